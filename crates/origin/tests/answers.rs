//! What goes out is what was given; what comes back is what was sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{ME, Server, config, eventually, get, now, origin, text};
use ghmesh_origin::{Config, OriginError, Safety, empty};
use http::{Request, StatusCode, header};
use std::process::Command;
use std::time::Duration;

#[tokio::test]
async fn the_request_goes_out_byte_for_byte() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.answer("200 OK", "").await;
    })
    .await;
    let target = "/repos/o/r/contents/a%2e%2E/../b//%c3%9F/./{c}?ref=a&ref='%27&x=%2f&&y";
    let request = Request::get(server.url(target)).header("X-One", "1").header(header::HOST, "elsewhere.example");
    origin(config()).send(request.body(empty()).unwrap(), Safety::Idempotent, ME).await.unwrap();
    let expected = format!("GET {target} HTTP/1.1\r\nx-one: 1\r\nhost: {}\r\n\r\n", server.address);
    assert_eq!(*server.heads.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn redirects_errors_and_encoded_bodies_come_back_as_they_are() {
    let server = Server::start(|mut connection| async move {
        while let Some(head) = connection.request().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/moved" => "301 Moved Permanently\r\nlocation: /elsewhere",
                "/gzip" => "200 OK\r\ncontent-encoding: gzip",
                _ => "500 Internal Server Error",
            };
            connection.answer(answer, "as it is").await;
        }
    })
    .await;
    let origin = origin(config());
    for (target, status) in [("/moved", 301), ("/gzip", 200), ("/broken", 500)] {
        let response = get(&origin, &server.url(target)).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(text(response).await, "as it is");
    }
    assert_eq!(server.count("GET"), 3);
    assert_eq!(origin.attempts(), 3);
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let server = Server::start(|mut connection| async move {
        while connection.request().await.is_some() {
            let number = connection.number.to_string();
            connection.answer("200 OK", &number).await;
        }
    })
    .await;
    let origin = origin(config());
    for _ in 0..5 {
        assert_eq!(text(get(&origin, &server.url("/")).await.unwrap()).await, "0");
    }
}

#[tokio::test]
async fn the_place_of_a_request_is_free_when_its_answer_has_ended() {
    let server = Server::start(|mut connection| async move {
        while connection.request().await.is_some() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await;
            // Long after the second request has given up its wait for a place.
            tokio::time::sleep(Duration::from_millis(800)).await;
            connection.send("lf").await;
        }
    })
    .await;
    let origin = origin(Config { max_in_flight_per_host: 1, idle_timeout: Duration::from_secs(5), ..config() });
    let first = get(&origin, &server.url("/")).await.unwrap();
    let refused = get(&origin, &server.url("/")).await.unwrap_err();
    assert!(matches!(refused, OriginError::Busy { in_flight: 1, .. }), "{refused}");
    assert_eq!(text(first).await, "half");
    let second = get(&origin, &server.url("/")).await.unwrap();
    drop(second);
    assert_eq!(origin.health()[0].in_flight, 0, "a dropped answer frees its place too");
}

#[tokio::test]
async fn limits_and_the_hosts_time_are_read_from_every_answer() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        let date = httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_secs(3600));
        let limits = "x-ratelimit-limit: 60\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1795251600";
        let answer = format!("403 Forbidden\r\nretry-after: 30\r\ndate: {date}\r\n{limits}");
        connection.answer(&answer, "").await;
    })
    .await;
    let origin = origin(config());
    let host = server.address.to_string();
    assert_eq!(origin.github_time(&host, now()), None);
    let before = now();
    assert_eq!(get(&origin, &server.url("/")).await.unwrap().status(), StatusCode::FORBIDDEN);
    let known = origin.accounts().remove(0);
    assert_eq!((known.host.as_str(), known.account, known.in_flight), (host.as_str(), ME, 0));
    let core = known.ledger.standing("core", 0).unwrap();
    assert_eq!((core.limit, core.remaining, core.reset), (60, 0, 1_795_251_600));
    let wait = known.ledger.stop_left(before).unwrap();
    assert!((30..35).contains(&wait.as_secs()), "{wait:?}");
    let slow = now().since(origin.github_time(&host, now()).unwrap()).unwrap();
    assert!((3600..3605).contains(&slow.as_secs()), "an hour behind, never less: {slow:?}");
    let health = origin.health();
    assert_eq!((health[0].host.as_str(), health[0].attempts), (host.as_str(), 1));
    assert!(health[0].last_answer.is_some());
}

#[tokio::test]
async fn the_environments_proxy_is_not_used() {
    // The same test binary again, with a proxy in its environment that nobody serves.
    let run = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:1");
        }
        command.args(["--exact", "one_connection_serves_one_request_after_the_other"]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_server() {
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = written.clone();
    let server = Server::start(move |mut connection| {
        let counter = counter.clone();
        async move {
            connection.request().await;
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
            let piece = vec![b'x'; 64 * 1024];
            while tokio::io::AsyncWriteExt::write_all(&mut connection.stream, &piece).await.is_ok() {
                counter.fetch_add(piece.len(), std::sync::atomic::Ordering::Relaxed);
            }
        }
    })
    .await;
    let response = get(&origin(config()), &server.url("/")).await.unwrap();
    let mut before = usize::MAX;
    eventually("the server can't write any more", || {
        let now = written.load(std::sync::atomic::Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now && now > 0
    })
    .await;
    let before = written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(before < 64 * 1024 * 1024, "{before} bytes were taken though nobody reads");
    drop(response);
}
