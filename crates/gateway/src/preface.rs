//! Whether a connection speaks HTTP/1.1 or HTTP/2, told by how it begins.
//!
//! A client that knows beforehand that HTTP/2 is spoken (RFC 9113 §3.3) begins with a preface of 24 bytes that is no request of
//! HTTP/1.1; nothing is negotiated. What was read to tell them apart is read again by whoever speaks the protocol.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, Version};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// RFC 9113 §3.4.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The two that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A connection, and what has been read of it already.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    stream: T,
    read: [u8; PREFACE.len()],
    /// Where in `read` the bytes are that nobody has taken yet.
    left: std::ops::Range<usize>,
}

/// Reads until it is clear which protocol a client speaks, at most for `patience`.
///
/// # Errors
/// The connection's, or [`io::ErrorKind::TimedOut`].
pub(crate) async fn tell<T: AsyncRead + Unpin>(stream: T, patience: Duration) -> io::Result<(Protocol, Opened<T>)> {
    let mut opened = Opened { stream, read: [0; PREFACE.len()], left: 0..0 };
    let protocol = tokio::time::timeout(patience, opened.protocol()).await??;
    Ok((protocol, opened))
}

impl<T: AsyncRead + Unpin> Opened<T> {
    async fn protocol(&mut self) -> io::Result<Protocol> {
        while self.left.end < PREFACE.len() {
            let length = self.stream.read(&mut self.read[self.left.end..]).await?;
            self.left.end += length;
            if length == 0 || !PREFACE.starts_with(&self.read[self.left.clone()]) {
                return Ok(Protocol::Http1);
            }
        }
        Ok(Protocol::Http2)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Opened<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let length = this.left.len().min(buffer.remaining());
        buffer.put_slice(&this.read[this.left.start..this.left.start + length]);
        this.left.start += length;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Opened<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request of HTTP/2 as HTTP/1.1 would have it: `:authority` is its `Host` (RFC 9113 §8.3.1), and its target a path. Where it has
/// a `Host` too, it has two in the end, and is refused unless they are one and the same.
pub(crate) fn as_http1<B>(mut request: Request<B>) -> Request<B> {
    if request.version() != Version::HTTP_2 {
        return request;
    }
    let target = std::mem::take(request.uri_mut()).into_parts();
    if let Some(host) = target.authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        && request.headers().get(HOST) != Some(&host)
    {
        request.headers_mut().append(HOST, host);
    }
    *request.uri_mut() = Uri::from(target.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
    request
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use tokio::io::AsyncWriteExt;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// What is told of a connection that begins so, and what can be read of it then.
    async fn told(pieces: &[&[u8]]) -> (Protocol, Vec<u8>) {
        let (mut client, ours) = tokio::io::duplex(1024);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writing = tokio::spawn(async move {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (protocol, mut opened) = tell(ours, PATIENCE).await.unwrap();
        writing.await.unwrap();
        let mut read = Vec::new();
        opened.read_to_end(&mut read).await.unwrap();
        (protocol, read)
    }

    #[tokio::test]
    async fn how_it_begins_tells_the_protocol_and_nothing_is_lost() {
        for (pieces, protocol) in [
            (&[&PREFACE[..], b"frames"][..], Protocol::Http2),
            (&[&PREFACE[..3], &PREFACE[3..10], &PREFACE[10..]], Protocol::Http2),
            (&[b"GET / HTTP/1.1\r\n\r\n"], Protocol::Http1),
            (&[b"P", b"OST / HTTP/1.1\r\n\r\n"], Protocol::Http1),
            (&[b"PRI * HTTP/2.0\r\n\r\nsm"], Protocol::Http1),
            (&[&PREFACE[..20]], Protocol::Http1),
            (&[], Protocol::Http1),
        ] {
            assert_eq!(told(pieces).await, (protocol, pieces.concat()), "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_waited_for_for_a_time() {
        let (_client, ours) = tokio::io::duplex(1024);
        assert_eq!(tell(ours, PATIENCE).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_request_of_http2_names_its_host_as_one_of_http1_does() {
        let request = |host: Option<&str>| {
            let mut request = Request::get("http://api.github.com/user?a=1").version(Version::HTTP_2);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            as_http1(request.body(()).unwrap())
        };
        for host in [None, Some("api.github.com")] {
            let request = request(host);
            assert_eq!(
                (request.uri().to_string().as_str(), &request.headers()[HOST]),
                ("/user?a=1", &HeaderValue::from_static("api.github.com"))
            );
            assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
        }
        assert_eq!(request(Some("evil.example")).headers().get_all(HOST).iter().count(), 2);
    }
}
