//! Large bodies pass through in bounded memory. Its own binary, so that nothing else is measured.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{ME, Server, config, get, origin};
use ghmesh_origin::{BoxError, Safety};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1024 * 1024;
/// What both ends and the kernel's view of the sockets may take together.
const ALLOWED_GROWTH_BYTES: usize = 24 * MIB;

/// Resident memory of this process: the second number of statm, in pages of 4 KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

async fn both_ways(size: usize) {
    let server = Server::start(move |mut connection| async move {
        let head = connection.head().await.unwrap();
        let mut piece = vec![0; 64 * 1024];
        if head.starts_with("GET") {
            connection.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")).await;
            for _ in 0..size / piece.len() {
                connection.stream.write_all(&piece).await.unwrap();
            }
            return;
        }
        let mut left = size - connection.unread();
        while left > 0 {
            left -= connection.stream.read(&mut piece).await.unwrap();
        }
        connection.answer("201 Created", "").await;
    })
    .await;
    let origin = origin(config());
    let before = resident();
    let mut most = before;
    let mut body = get(&origin, &server.url("/")).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
        most = most.max(resident());
    }
    assert_eq!(received, size);
    let piece = Bytes::from(vec![0; 64 * 1024]);
    let pieces = (0..size / piece.len()).map(move |_| {
        // Fresh memory for each piece, as a real sender's would be.
        Ok::<_, BoxError>(Frame::data(Bytes::copy_from_slice(&piece)))
    });
    let body = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(pieces)));
    let request = Request::post(server.url("/")).header("content-length", size).body(body).unwrap();
    assert_eq!(origin.send(request, Safety::Once, ME).await.unwrap().status(), 201);
    most = most.max(resident());
    println!("{size} bytes each way: resident memory grew by {} KiB", (most - before) / 1024);
    assert!(most - before < ALLOWED_GROWTH_BYTES, "grew by {} bytes", most - before);
}

#[tokio::test]
async fn a_quarter_gibibyte_each_way_takes_no_memory() {
    both_ways(256 * MIB).await;
}

#[tokio::test]
#[ignore = "a few seconds of pure copying"]
async fn a_gibibyte_each_way_takes_no_memory() {
    both_ways(1024 * MIB).await;
}
