//! A gateway before a real node, before a small origin that counts what reaches it; and a client that sends any bytes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part")]

pub(crate) mod node;
pub(crate) mod upstream;

use ghmesh_gateway::{Config, Gateway, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use upstream::Upstream;

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running gateway.
pub(crate) struct Front {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) upstream: Upstream,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Front {
    pub(crate) async fn start() -> Self {
        Front::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("ghmesh.sock");
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let mut config = Config { listen, socket: Some(socket.clone()), ..Config::default() };
        change(&mut config);
        let upstream = Upstream::start().await;
        let gateway = node::gateway(config, &upstream.url(), directory.path(), ghmesh_origin::Config::default());
        let server = Server::bind(gateway.clone()).unwrap();
        let address = server.local_addresses()[0];
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async { drop(stopped.await) }));
        Front { gateway, address, socket, upstream, stop: Some(stop), serving, _directory: directory }
    }

    /// Asks the server to stop; the handle ends with it.
    pub(crate) fn stop(&mut self) -> &mut JoinHandle<()> {
        drop(self.stop.take());
        &mut self.serving
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` over TCP and reads one answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        ask(&mut stream, bytes).await
    }

    /// Sends `bytes` over the unix socket and reads one answer.
    pub(crate) async fn raw_unix(&self, bytes: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        ask(&mut stream, bytes).await
    }

    /// Sends `bytes` and reads until the gateway closes.
    pub(crate) async fn raw_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good as an end.
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        answer
    }

    /// Requests that the origin received.
    pub(crate) fn upstream_calls(&self) -> u64 {
        self.upstream.calls()
    }
}

/// One answer, and what came after it.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) rest: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `message` of a JSON body.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends `bytes` and reads one answer; all that follows it too, if it says that the connection ends.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Reply {
    // The gateway may refuse and close before it has read all: then writing fails, and the answer is there to be read.
    let _ = stream.write_all(bytes).await;
    tokio::time::timeout(DEADLINE, answer(stream)).await.expect("an answer in time")
}

pub(crate) async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Reply {
    let mut bytes = Vec::new();
    let (mut reply, end) = loop {
        if let Some(reply) = parse(&bytes) {
            break reply;
        }
        if read_more(stream, &mut bytes).await == 0 {
            return Reply { rest: bytes, ..Reply::default() };
        }
    };
    if reply.header("connection") == Some("close") {
        while read_more(stream, &mut bytes).await > 0 {}
    }
    reply.rest = bytes.split_off(end);
    reply
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> usize {
    stream.read_buf(bytes).await.unwrap_or(0)
}

/// A whole answer at the start of `bytes`, and where it ends.
fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut reply = Reply { status, headers, ..Reply::default() };
    if reply.header("transfer-encoding") == Some("chunked") {
        let (body, length) = dechunk(&bytes[head_end..])?;
        reply.body = body;
        return Some((reply, head_end + length));
    }
    let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    let end = head_end + length;
    reply.body = bytes.get(head_end..end)?.to_vec();
    Some((reply, end))
}

fn dechunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).unwrap(), 16).unwrap();
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + length)?);
        at += length + 2;
        if length == 0 {
            return (bytes.len() >= at).then_some((body, at));
        }
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
