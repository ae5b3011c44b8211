//! Bodies of any size pass in bounded memory, as fast as their reader reads, and end when their client goes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;
use support::{DEADLINE, Front, answer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GIB: u64 = 1024 * 1024 * 1024;

/// What passing a body may add to the memory of this process, which is client, gateway and origin at once.
const MEMORY: u64 = 64 * 1024 * 1024;

/// What may lie between an origin that sends and a client that does not read: both connections' kernel buffers, which
/// grow to some MiB each, and one buffer of each HTTP implementation.
const BETWEEN: u64 = 32 * 1024 * 1024;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The highest resident size while `work` runs, less that before it.
async fn growth(work: impl Future<Output = ()>) -> u64 {
    let before = resident_bytes();
    let mut highest = before;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return highest - before,
            _ = ticks.tick() => highest = highest.max(resident_bytes()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_down() {
    let front = Front::start().await;
    let grown = growth(async {
        let mut stream = front.connect().await;
        let ask = format!("GET /big/{GIB} HTTP/1.1\r\nHost: api.github.com\r\nAccept: application/octet-stream\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 256 * 1024];
        let (mut bytes, mut count) = (0, 1);
        while count > 0 {
            count = stream.read(&mut buffer).await.unwrap();
            bytes += count as u64;
        }
        assert!((GIB..GIB + 4096).contains(&bytes), "{bytes}");
    })
    .await;
    assert!(grown < MEMORY, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_up() {
    let front = Front::start().await;
    let grown = growth(async {
        let mut stream = front.connect().await;
        let ask = format!(
            "POST /count HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: {GIB}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let buffer = vec![0; 256 * 1024];
        for _ in 0..GIB / buffer.len() as u64 {
            stream.write_all(&buffer).await.unwrap();
        }
        let reply = answer(&mut stream).await;
        assert_eq!((reply.status, reply.json()["bytes"].as_u64()), (200, Some(GIB)));
    })
    .await;
    assert!(grown < MEMORY, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_sends_no_faster_than_the_client_reads() {
    let front = Front::start().await;
    let mut stream = front.connect().await;
    let ask = format!("POST /big/{GIB} HTTP/1.1\r\nHost: api.github.com\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    eventually("the first bytes were sent", || front.upstream.sent() > 0).await;
    let mut before = 0;
    while front.upstream.sent() != before {
        before = front.upstream.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < BETWEEN, "{before} bytes were sent to a client that reads nothing");
    let mut buffer = vec![0; 1024 * 1024];
    for _ in 0..before / buffer.len() as u64 + 16 {
        stream.read_exact(&mut buffer).await.unwrap();
    }
    eventually("reading lets more through", || front.upstream.sent() > before).await;
    drop(stream);
    eventually("the client's end is the origin's", || front.upstream.abandoned() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_given_up() {
    let front = Front::with(|config| config.limits.stall_timeout = Duration::from_millis(300)).await;
    let mut stream = front.connect().await;
    stream.write_all(format!("POST /big/{GIB} HTTP/1.1\r\nHost: api.github.com\r\n\r\n").as_bytes()).await.unwrap();
    eventually("the call is ended", || front.upstream.abandoned() == 1).await;
}

#[tokio::test]
async fn a_client_that_goes_before_it_has_said_all_ends_its_call() {
    let front = Front::start().await;
    let mut stream = front.connect().await;
    stream.write_all(b"POST /count HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
    eventually("the call arrived", || front.upstream_calls() == 1).await;
    drop(stream);
    eventually("the call is ended", || front.upstream.abandoned() == 1).await;
}

#[tokio::test]
async fn a_body_is_asked_for_before_it_is_sent() {
    let front = Front::start().await;
    let mut stream = front.connect().await;
    let ask = "POST /count HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut go = [0; 25];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut go)).await.unwrap().unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(answer(&mut stream).await.json()["bytes"], 5);
}
