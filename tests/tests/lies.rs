//! Answers that lie: about their length, their hash, what comes next, what they confirm, how large they are. Each is bounded,
//! told, and kept from everybody else; what GitHub really said still arrives.

use bytes::Bytes;
use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::client::{self, Endpoint};
use ghmesh_tests::{Answer, Daemon, DaemonBuilder};
use http::Method;
use http_body_util::{BodyExt, Full};
use std::iter;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATH: &str = "/repos/octo/hello";

/// What a client reads of a body that has no end, before it goes.
const ENOUGH: usize = 96 << 20;

/// What a node may need for that beyond what it needs anyway, in KiB: one answer of the largest size that is kept (32 MiB), twice
/// while it is looked at.
const BOUNDED_KIB: u64 = 80 << 10;

/// About what an origin that never ends sends at once.
const PIECE_BYTES: usize = 1 << 16;

/// A gzip header (RFC 1952) and the start of one deflate block with fixed codes (RFC 1951 §3.2.6): a zero byte, to be repeated.
const BOMB: [u8; 12] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 98, 24];
/// Goes on with that block: eight times 258 more zeros. Thirteen bits each, so that whole bytes come round after eight.
const FUSE: [u8; 13] = [5, 163, 96, 20, 140, 130, 81, 48, 10, 70, 193, 40, 24];

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn daemon(origin: &str) -> Daemon {
    DaemonBuilder::new(origin)
        .with("GHMESH_MESH__ENABLED", "false")
        .with("GHMESH_CACHE__DEFAULT_TTL", "1h")
        .start()
        .await
}

fn with_headers(headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault { headers, ..Fault::default() }
}

async fn is_kept(daemon: &Daemon, path: &str) -> bool {
    let request = client::request(Method::GET, path, Some(tokens::ALICE)).header("cache-control", "only-if-cached");
    daemon.send(request, "").await.status.is_success()
}

/// What GitHub says when it doesn't lie.
async fn truth(github: &Sim, daemon: &Daemon, path: &str) -> Answer {
    github.set_faults(Vec::new());
    let request = client::request(Method::GET, path, Some(tokens::ALICE)).header("cache-control", "no-cache");
    let answer = daemon.send(request, "").await;
    assert_eq!(answer.status, 200);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_shorter_than_it_says_is_never_kept_nor_passed_off_as_whole() {
    let github = github().await;
    let daemon = daemon(&github.url()).await;
    for fault in [
        Fault { truncate: Some(10), ..Fault::default() },
        Fault { content_length: Some(1 << 20), truncate: Some(200), ..Fault::default() },
    ] {
        github.set_faults(vec![fault]);
        let cut = daemon.get(PATH, tokens::ALICE).await;
        assert_eq!(cut.status, 502, "{:?}", cut.headers);
        assert!(
            cut.json()["message"].as_str().is_some_and(|message| message.starts_with("ghmesh: ")),
            "{}",
            cut.json()
        );
        assert!(!is_kept(&daemon, PATH).await);
    }
    assert_eq!(truth(&github, &daemon, PATH).await.json()["full_name"], "octo/hello");
    assert!(is_kept(&daemon, PATH).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_is_not_the_hash_is_offered_to_nobody_else_and_status_tells() {
    let github = github().await;
    let daemon = daemon(&github.url()).await;
    github.set_faults(vec![with_headers(&[("etag", "\"0123456789abcdef\"")])]);
    for number in 1..=3 {
        let answer = daemon.get(&format!("{PATH}/issues/{number}"), tokens::ALICE).await;
        assert_eq!((answer.status.as_u16(), answer.json()["number"].as_u64()), (200, Some(number)));
    }
    let before = github.counters().log.len();
    let other = daemon.get(&format!("{PATH}/issues/1"), tokens::CAROL).await;
    assert_eq!(other.json()["number"], 1);
    let log = github.counters().log;
    assert!(log.iter().skip(before).all(|call| !call.conditional), "nothing was computed for another credential");
    let status = daemon.admin("/_ghmesh/status").await.expect("the socket answers").json();
    let rows = status["formulas"].as_array().expect("rows");
    assert!(rows.iter().any(|row| row["routes"] == "issues" && row["holds"] == false), "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_host_is_neither_rewritten_nor_followed_nor_opened_to_callers() {
    let github = github().await;
    let daemon = daemon(&github.url()).await;
    github.set_faults(vec![with_headers(&[("link", "<http://evil.example/issues?page=2>; rel=\"next\"")])]);
    let list = daemon.get(&format!("{PATH}/issues"), tokens::ALICE).await;
    assert_eq!(list.status, 200);
    let link = list.header("link");
    assert!(link.is_empty() || link == "<http://evil.example/issues?page=2>; rel=\"next\"", "{link}");
    let there = http::Request::builder().uri("/issues?page=2").header("host", "evil.example");
    let refused = daemon.send(there, "").await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    assert!(refused.json()["message"].as_str().is_some_and(|message| message.contains("evil.example")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_to_what_was_not_offered_brings_the_truth_instead() {
    let github = github().await;
    let daemon = daemon(&github.url()).await;
    daemon.get(PATH, tokens::ALICE).await;
    let lie = Fault { status: Some(304), ..with_headers(&[("etag", "\"another\"")]) };
    github.set_faults(vec![lie.times(1)]);
    github.touch(PATH).expect("it is there");
    let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).header("cache-control", "no-cache");
    let answer = daemon.send(request, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, truth(&github, &daemon, PATH).await.body, "what is there now, not what was confirmed");
}

/// An origin that answers every request with `head`, then `start`, then `period` again and again, as long as somebody reads.
async fn endless(head: &'static str, start: &'static [u8], period: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let piece: Arc<[u8]> = period.repeat(PIECE_BYTES / period.len()).into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pour(stream, head, start, piece.clone()));
        }
    });
    url
}

async fn pour(mut stream: TcpStream, head: &str, start: &[u8], piece: Arc<[u8]>) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let mut sent = stream.write_all(head.as_bytes()).await;
    for chunk in iter::once(start).filter(|start| !start.is_empty()).chain(iter::repeat(&*piece)) {
        if sent.is_err() {
            return;
        }
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        sent = stream.write_all(&framed).await;
    }
}

/// Reads [`ENOUGH`] of an answer that begins with `start`, and goes.
async fn sip(daemon: &Daemon, path: &str, start: &[u8]) -> usize {
    let request = client::request(Method::GET, path, Some(tokens::ALICE)).header("accept-encoding", "gzip");
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    let mut answer = client::open(&Endpoint::Unix(daemon.socket()), request).await.expect("its head comes");
    assert_eq!(answer.status(), 200);
    let (mut read, mut first) = (0, Vec::new());
    while read < ENOUGH
        && let Some(frame) = answer.body_mut().frame().await
    {
        let data = frame.expect("the origin goes on").into_data().unwrap_or_default();
        first.extend_from_slice(&data[..data.len().min(start.len() - first.len())]);
        read += data.len();
    }
    assert_eq!(first, start, "as the origin sent it");
    read
}

/// What comes from such an origin goes through in bounded memory, as it came, and is not kept.
async fn goes_through(origin: &str, start: &[u8]) {
    let daemon = daemon(origin).await;
    let before = daemon.peak_memory();
    assert!(sip(&daemon, PATH, start).await >= ENOUGH);
    let grown = daemon.peak_memory() - before;
    assert!(grown < BOUNDED_KIB, "{grown} KiB");
    assert!(!is_kept(&daemon, PATH).await);
    assert_eq!(daemon.count("entries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_streams_in_bounded_memory_and_is_not_kept() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    goes_through(&endless(head, b"", b" ").await, b" ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_stays_packed() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
                transfer-encoding: chunked\r\n\r\n";
    goes_through(&endless(head, &BOMB, &FUSE).await, &BOMB).await;
}
