//! Connections: how many, how long, what ends at this hop, and how a server stops.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{DEADLINE, Front, answer, ask, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEALTH: &[u8] = b"GET /_ghmesh/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Answered when the upstream's gate opens.
const WAIT: &[u8] = b"POST /wait HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 0\r\n\r\n";

/// What a client sees at the end of a connection: no more bytes, or a reset.
async fn end(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut [0; 1])).await.expect("an end in time");
    read.map_err(|error| error.kind())
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let front = Front::start().await;
    let mut stream = front.connect().await;
    let requests = "GET /_ghmesh/healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /_ghmesh/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    HEAD /_ghmesh/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let statuses: Vec<_> =
        text.lines().filter_map(|line| line.split("HTTP/1.1 ").nth(1)).map(|line| &line[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
    assert!(text.ends_with("\r\n\r\n"), "a HEAD has no body");
}

#[tokio::test]
async fn headers_of_one_hop_end_here() {
    let front = Front::start().await;
    let asked = "POST /headers HTTP/1.1\r\nHost: api.github.com\r\nConnection: keep-alive, x-trace, Upgrade, HTTP2-Settings\r\nX-Trace: 1\r\n\
                 Keep-Alive: timeout=9\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Authorization: Basic eDp5\r\n\
                 Proxy-Connection: keep-alive\r\nX-End: 1\r\nAuthorization: token t\r\nContent-Length: 0\r\n\r\n";
    let reply = front.raw(asked.as_bytes()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let received = reply.json();
    let has = |name: &str| received.as_array().unwrap().iter().any(|pair| pair[0] == name);
    for name in [
        "connection",
        "x-trace",
        "keep-alive",
        "te",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-connection",
    ] {
        assert!(!has(name), "{name} went on: {received}");
    }
    assert!(has("x-end") && has("authorization"), "{received}");
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "connection"] {
        assert_eq!(reply.header(name), None, "{name} came back");
    }
    assert_eq!(reply.header("x-end"), Some("1"));
}

#[tokio::test]
async fn beyond_the_limit_a_newcomer_waits_while_all_are_being_answered() {
    let front = Front::with(|config| config.limits.connections = 1).await;
    let mut first = front.connect().await;
    first.write_all(WAIT).await.unwrap();
    eventually("the call arrived", || front.upstream_calls() == 1).await;
    let mut second = front.connect().await;
    second.write_all(HEALTH).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), second.readable()).await;
    assert!(early.is_err(), "served beyond the limit");
    front.upstream.gate.add_permits(1);
    assert_eq!(tokio::time::timeout(DEADLINE, answer(&mut first)).await.unwrap().status, 200);
    assert_eq!(tokio::time::timeout(DEADLINE, answer(&mut second)).await.unwrap().status, 200);
    assert_eq!(end(&mut first).await, Ok(0), "it was answered, so that its place was free for the second");
}

#[tokio::test]
async fn beyond_the_limit_whoever_has_waited_longest_makes_room() {
    let front = Front::with(|config| config.limits.connections = 2).await;
    let mut slow = front.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut idle = front.connect().await;
    assert_eq!(ask(&mut idle, HEALTH).await.status, 200);
    let mut newcomer = front.connect().await;
    assert_eq!(ask(&mut newcomer, HEALTH).await.status, 200);
    assert!(matches!(end(&mut slow).await, Ok(0) | Err(ErrorKind::ConnectionReset)), "half a head keeps no place");
    assert_eq!(ask(&mut idle, HEALTH).await.status, 200, "it had waited for less time");
    let mut next = front.connect().await;
    assert_eq!(ask(&mut next, HEALTH).await.status, 200);
    assert_eq!(end(&mut newcomer).await, Ok(0), "idle for longer than the other");
    assert_eq!(ask(&mut idle, HEALTH).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_not_cut_for_a_newcomer() {
    const BYTES: usize = 32 * 1024 * 1024;
    let front = Front::with(|config| config.limits.connections = 1).await;
    let mut slow = front.connect().await;
    slow.write_all(format!("POST /big/{BYTES} HTTP/1.1\r\nHost: api.github.com\r\n\r\n").as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 1024]).await.unwrap();
    let mut newcomer = front.connect().await;
    newcomer.write_all(HEALTH).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, slow.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.len() > BYTES - 1024, "{} bytes", rest.len());
    assert_eq!(tokio::time::timeout(DEADLINE, answer(&mut newcomer)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_answered() {
    let front = Front::start().await;
    for request in [HEALTH, WAIT] {
        let mut stream = front.connect().await;
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        front.upstream.gate.add_permits(1);
        assert_eq!(tokio::time::timeout(DEADLINE, answer(&mut stream)).await.unwrap().status, 200);
        assert_eq!(end(&mut stream).await, Ok(0));
    }
    let mut silent = front.connect().await;
    silent.shutdown().await.unwrap();
    assert_eq!(end(&mut silent).await, Ok(0), "without a request there is nothing to answer");
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused_instead_of_going_round() {
    // The upstream tells what it received; a gateway that called itself would receive the same.
    let front = Front::start().await;
    for request in ["POST /headers HTTP/1.1\r\nContent-Length: 0\r\n", "GET /headers HTTP/1.1\r\n"] {
        let ask = |marks: &str| format!("{request}Host: api.github.com\r\nCDN-Loop: other.example\r\n{marks}\r\n");
        let received = front.raw(ask("").as_bytes()).await.json();
        let marks: Vec<_> = received.as_array().unwrap().iter().filter(|pair| pair[0] == "cdn-loop").collect();
        let [other, own] = marks[..] else { panic!("{received}") };
        assert_eq!(other[1], "other.example", "marks of others go on");
        let own = own[1].as_str().unwrap();
        let calls = front.upstream_calls();
        let reply = front.raw(ask(&format!("CDN-Loop: {own}\r\n")).as_bytes()).await;
        assert_eq!((reply.status, front.upstream_calls()), (508, calls));
        assert!(reply.message().contains("origin.url"), "{}", reply.message());
        let stranger = front.raw(ask("CDN-Loop: ghmesh-0000000000000000\r\n").as_bytes()).await;
        assert_eq!(stranger.status, 200, "another daemon may send its requests here");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let front = Front::with(|config| config.limits.head_timeout = Duration::from_millis(300)).await;
    let mut stream = front.connect().await;
    assert_eq!(ask(&mut stream, HEALTH).await.status, 200);
    assert_eq!(tokio::time::timeout(DEADLINE, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn the_socket_serves_its_owner_and_its_private_pages() {
    let front = Front::start().await;
    let mode = std::fs::metadata(&front.socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    for host in ["localhost", "api.github.com", "ghmesh"] {
        let reply = front.raw_unix(format!("GET /_ghmesh/peers HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        assert_eq!((reply.status, reply.json().is_array()), (200, true), "{reply:?}");
    }
    let reply = front.raw_unix(b"GET /_ghmesh/status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((reply.status, reply.json().is_object()), (200, true), "{reply:?}");
    let reply = front.raw(b"GET /_ghmesh/peers HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(reply.status, 403);
    assert!(reply.message().contains("--unix-socket"), "{}", reply.message());
    assert_eq!(front.upstream_calls(), 0);
}

#[tokio::test]
async fn open_pages_answer_with_their_types() {
    let front = Front::start().await;
    for (page, kind) in [
        ("healthz", "application/json; charset=utf-8"),
        ("readyz", "application/json; charset=utf-8"),
        ("stats", "application/json; charset=utf-8"),
        ("metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let reply =
            front.raw(format!("GET /_ghmesh/{page} HTTP/1.1\r\nHost: {}\r\n\r\n", front.address).as_bytes()).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{page}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let reply = front.raw(b"DELETE /_ghmesh/stats HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(front.upstream_calls(), 0);
}

#[tokio::test]
async fn stopping_lets_requests_finish_and_takes_no_more() {
    let mut front = Front::start().await;
    let mut idle = front.connect().await;
    assert_eq!(ask(&mut idle, HEALTH).await.status, 200);
    let mut busy = front.connect().await;
    busy.write_all(WAIT).await.unwrap();
    eventually("the call arrived", || front.upstream_calls() == 1).await;
    let (address, socket) = (front.address, front.socket.clone());
    front.stop();
    assert_eq!(
        tokio::time::timeout(DEADLINE, idle.read(&mut [0; 1])).await.unwrap().unwrap(),
        0,
        "an idle connection ends"
    );
    eventually("the socket is gone", || !socket.exists()).await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(!front.stop().is_finished(), "a request is still in flight");
    front.upstream.gate.add_permits(1);
    let reply = answer(&mut busy).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    tokio::time::timeout(DEADLINE, front.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_takes_no_longer_than_the_grace() {
    let mut front = Front::with(|config| config.limits.grace = Duration::from_millis(200)).await;
    let mut busy = front.connect().await;
    busy.write_all(WAIT).await.unwrap();
    eventually("the call arrived", || front.upstream_calls() == 1).await;
    let begun = Instant::now();
    tokio::time::timeout(DEADLINE, front.stop()).await.unwrap().unwrap();
    assert!((150..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    eventually("the call is ended", || front.upstream.abandoned() == 1).await;
}
