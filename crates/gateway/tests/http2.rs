//! HTTP/2 with prior knowledge, over TCP and the unix socket.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::Front;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

async fn client<S>(stream: S) -> SendRequest<Empty<Bytes>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn get(client: &mut SendRequest<Empty<Bytes>>, uri: &str) -> Response<Incoming> {
    let request = Request::get(uri).header("authorization", "token ghp_x").body(Empty::new()).unwrap();
    tokio::time::timeout(support::DEADLINE, client.send_request(request)).await.expect("in time").unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn many_requests_share_a_connection_over_tcp_and_the_socket() {
    let front = Front::start().await;
    let over_tcp = client(front.connect().await).await;
    let over_unix = client(UnixStream::connect(&front.socket).await.unwrap()).await;
    for client in [over_tcp, over_unix] {
        let all = (0..20).map(|number| {
            let mut client = client.clone();
            tokio::spawn(
                async move { get(&mut client, &format!("http://api.github.com/repos/o/r{number}")).await.status() },
            )
        });
        for status in futures::future::join_all(all).await {
            assert!(status.unwrap().is_success());
        }
    }
    assert_eq!(front.upstream_calls(), 20, "the second time from the cache");
}

#[tokio::test]
async fn the_authority_is_the_host() {
    let front = Front::start().await;
    let mut client = client(front.connect().await).await;
    let own = format!("http://{}", front.address);
    assert_eq!(get(&mut client, &format!("{own}/_ghmesh/healthz")).await.status(), 200);
    assert_eq!(get(&mut client, &format!("{own}/user")).await.status(), 200);
    let refused = get(&mut client, "http://evil.example/user").await;
    assert_eq!(refused.status(), 421);
    assert!(text(refused).await.contains("evil.example"));
    assert_eq!(get(&mut client, "http://evil.example/_ghmesh/stats").await.status(), 421);
    let two = Request::get("http://api.github.com/user").header("host", "github.com").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(two).await.unwrap().status(), 400);
    assert_eq!(front.upstream_calls(), 1);
}

#[tokio::test]
async fn a_preface_that_goes_wrong_is_answered_as_the_request_that_it_is() {
    let front = Front::start().await;
    let reply = front.raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    assert_eq!(reply.status, 400);
    let mut silent = front.connect().await;
    silent.write_all(b"PRI").await.unwrap();
    assert_eq!(front.raw(b"GET /_ghmesh/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn stopping_lets_streams_finish() {
    let mut front = Front::start().await;
    let mut client = client(front.connect().await).await;
    assert!(get(&mut client, "http://api.github.com/repos/o/r").await.status().is_success());
    let ended = front.stop();
    tokio::time::timeout(support::DEADLINE, ended).await.expect("an idle connection ends at once").unwrap();
}
