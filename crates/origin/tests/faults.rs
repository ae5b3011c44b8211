//! Servers that stall, close, cut, lie or are not there: each ends in bounded time with an error that names it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{ME, Server, config, get, origin, post, text};
use ghmesh_origin::{Body, BodyError, BoxError, BreakerConfig, BreakerState, Config, OriginError, Phase, Safety};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

async fn body_error(url: &str) -> Box<BodyError> {
    let response = get(&origin(config()), url).await.unwrap();
    response.into_body().collect().await.unwrap_err().downcast().unwrap()
}

/// A body of `count` pieces, one every `every`, then nothing more but no end either if `hangs`.
fn slow(count: usize, every: Duration, hangs: bool) -> Body {
    let pieces = futures::stream::unfold(0, move |number| async move {
        if number == count && hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(every).await;
        (number < count).then(|| (Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"piece"))), number + 1))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

async fn upload(url: &str, body: Body) -> Result<http::Response<Body>, OriginError> {
    origin(config()).send(Request::put(url).body(body).unwrap(), Safety::Idempotent, ME).await
}

#[tokio::test]
async fn silence_before_the_head_is_a_timeout_and_not_retried() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.stall().await;
    })
    .await;
    let started = Instant::now();
    let error = get(&origin(config()), &server.url("/")).await.unwrap_err();
    assert!(error.is_timeout() && matches!(error, OriginError::Timeout { phase: Phase::Head, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test]
async fn half_a_head_is_no_answer_either() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-le").await;
        connection.stall().await;
    })
    .await;
    let error = get(&origin(config()), &server.url("/")).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn silence_within_the_body_ends_it_with_an_error() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        connection.stall().await;
    })
    .await;
    let error = body_error(&server.url("/")).await;
    assert!(matches!(*error, BodyError::Stalled { .. }), "{error}");
}

#[tokio::test]
async fn a_slow_reader_does_not_make_a_silent_server() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.answer("200 OK\r\nx: y", &"x".repeat(4 << 20)).await;
        connection.stall().await;
    })
    .await;
    let mut body = get(&origin(config()), &server.url("/")).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(first + body.collect().await.unwrap().to_bytes().len(), 4 << 20);
}

#[tokio::test]
async fn a_cut_body_is_never_taken_for_a_whole_one() {
    let server = Server::start(|mut connection| async move {
        let head = connection.request().await.unwrap();
        match head.split(' ').nth(1).unwrap() {
            "/length" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await,
            "/chunks" => connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await,
            _ => connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhalf\r\n").await,
        }
    })
    .await;
    for target in ["/length", "/chunks", "/garbage"] {
        let error = body_error(&server.url(target)).await;
        assert!(matches!(*error, BodyError::Cut { .. }), "{target}: {error}");
    }
}

#[tokio::test]
async fn a_read_is_sent_again_when_the_connection_ends_before_an_answer() {
    let server = Server::start(|mut connection| async move {
        match connection.number {
            0 => connection.reset(),
            1 => drop(connection.request().await),
            _ => {
                connection.request().await;
                connection.answer("200 OK", "third").await;
            }
        }
    })
    .await;
    let origin = origin(config());
    assert_eq!(text(get(&origin, &server.url("/")).await.unwrap()).await, "third");
    assert_eq!(origin.attempts(), 3);
}

#[tokio::test]
async fn a_read_is_sent_three_times_at_most() {
    let server = Server::start(|mut connection| async move {
        let head = connection.request().await.unwrap();
        if head.starts_with("GET /gateway") {
            connection.answer("502 Bad Gateway", "upstream").await;
        } else if head.starts_with("GET /later") {
            connection.answer("503 Service Unavailable\r\nretry-after: 60", "").await;
        }
    })
    .await;
    let origin = origin(config());
    let error = get(&origin, &server.url("/closed")).await.unwrap_err();
    assert!(matches!(error, OriginError::Closed { .. }), "{error}");
    assert_eq!(server.count("GET"), 3);
    assert_eq!(text(get(&origin, &server.url("/gateway")).await.unwrap()).await, "upstream");
    assert_eq!(server.count("GET"), 6);
    assert_eq!(get(&origin, &server.url("/later")).await.unwrap().status(), 503);
    assert_eq!(server.count("GET"), 7, "it named a time to come back");
}

#[tokio::test]
async fn retries_end_with_the_budget() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.answer("504 Gateway Timeout", "").await;
    })
    .await;
    let budget = Duration::from_millis(150);
    let tight = Config { connect_timeout: budget, header_timeout: budget, total_budget: budget, ..config() };
    let started = Instant::now();
    let result = get(&origin(tight), &server.url("/")).await;
    assert!(result.is_err() || result.is_ok_and(|response| response.status() == 504));
    assert!(started.elapsed() < Duration::from_millis(600));
    assert!(server.count("GET") <= 2);
}

#[tokio::test]
async fn garbage_is_named_as_such() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send("SSH-2.0-OpenSSH_9.2p1\r\n\r\n").await;
    })
    .await;
    let error = get(&origin(config()), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, OriginError::Protocol { .. }), "{error}");
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_tried_then_left_alone_then_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/");
    let open = Duration::from_millis(400);
    let breaker = BreakerConfig { failures: 4, open, open_max: open };
    let origin = origin(Config { breaker, ..config() });
    let error = get(&origin, &url).await.unwrap_err();
    assert!(matches!(error, OriginError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(origin.attempts(), 3);
    let error = get(&origin, &url).await.unwrap_err();
    assert!(matches!(error, OriginError::Connect { .. }), "what opened it says more than the refusal: {error}");
    assert_eq!(origin.attempts(), 4);
    let error = get(&origin, &url).await.unwrap_err();
    assert!(matches!(error, OriginError::Breaker { .. }), "the fourth failure opened it: {error}");
    assert_eq!(origin.attempts(), 4);
    let _server = Server::start_at(address, |mut connection| async move {
        connection.request().await;
        connection.answer("204 No Content", "").await;
    })
    .await;
    tokio::time::sleep(open).await;
    assert_eq!(get(&origin, &url).await.unwrap().status(), 204);
    assert_eq!(origin.health()[0].breaker, BreakerState::Closed { failures: 0 });
}

#[tokio::test]
async fn when_a_host_is_back_nobody_is_refused_who_comes_with_the_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/");
    let open = Duration::from_millis(200);
    let breaker = BreakerConfig { failures: 1, open, open_max: open };
    let origin = origin(Config { breaker, ..config() });
    assert!(matches!(get(&origin, &url).await, Err(OriginError::Connect { .. })));
    let _server = Server::start_at(address, |mut connection| async move {
        connection.request().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.answer("204 No Content", "").await;
    })
    .await;
    tokio::time::sleep(open).await;
    let together = futures::future::join_all((0..5).map(|_| get(&origin, &url))).await;
    for answer in together {
        assert_eq!(answer.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = post(&origin(config()), "http://ghmesh.invalid/", "").await.unwrap_err();
    assert!(error.to_string().starts_with("ghmesh.invalid"), "{error}");
    assert!(
        matches!(error, OriginError::Connect { .. } | OriginError::Timeout { phase: Phase::Connect, .. }),
        "{error}"
    );
    let error = get(&origin(config()), "/no/host").await.unwrap_err();
    assert!(matches!(error, OriginError::Target), "{error}");
}

#[tokio::test]
async fn tls_that_never_answers_is_a_connect_timeout() {
    let server = Server::start(|connection| connection.stall()).await;
    let error = get(&origin(config()), &format!("https://{}/", server.address)).await.unwrap_err();
    assert!(matches!(error, OriginError::Timeout { phase: Phase::Connect, .. }), "{error}");
}

#[tokio::test]
async fn an_upload_may_take_long_while_it_moves() {
    let server = Server::start(|mut connection| async move {
        connection.head().await;
        let mut rest = String::new();
        while !rest.contains("0\r\n\r\n") {
            let mut chunk = [0; 1024];
            let count = tokio::io::AsyncReadExt::read(&mut connection.stream, &mut chunk).await.unwrap();
            rest.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
        let pieces = rest.matches("piece").count().to_string();
        connection.answer("201 Created", &pieces).await;
    })
    .await;
    let body = slow(8, Duration::from_millis(100), false);
    assert_eq!(text(upload(&server.url("/"), body).await.unwrap()).await, "8");
}

#[tokio::test]
async fn a_caller_that_stops_sending_is_told_apart_from_a_host_that_stops_reading() {
    let server = Server::start(|mut connection| async move {
        connection.head().await;
        connection.stall().await;
    })
    .await;
    let error = upload(&server.url("/"), slow(2, Duration::from_millis(1), true)).await.unwrap_err();
    assert!(matches!(error, OriginError::Timeout { phase: Phase::RequestBody, .. }), "{error}");
    let endless = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 65536]))));
    let error = upload(&server.url("/"), BodyExt::boxed_unsync(StreamBody::new(endless))).await.unwrap_err();
    assert!(matches!(error, OriginError::Timeout { phase: Phase::Upload, .. }), "{error}");
}

#[tokio::test]
async fn a_failing_request_body_is_the_callers_fault() {
    let server = Server::start(|mut connection| async move { while connection.request().await.is_some() {} }).await;
    let pieces = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(BoxError::from("the caller hung up"))];
    let body = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(pieces)));
    let error = upload(&server.url("/"), body).await.unwrap_err();
    assert!(matches!(error, OriginError::RequestBody { .. }), "{error}");
    assert!(error.to_string().contains("the caller hung up"), "{error}");
}
