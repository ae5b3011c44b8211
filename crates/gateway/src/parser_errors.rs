//! Words for requests that are not HTTP.
//!
//! hyper answers what it cannot parse with a bare status and gives a server no say in it. This recognises such an answer on
//! its way out (a 400, 414 or 431 with no headers but hyper's own; every answer of the gateway or GitHub has more) and gives
//! it a body that says what to do. The parsing itself stays hyper's.

use hyper::rt::Write;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Most bytes in hyper's own error answer: a status line, `connection`, `content-length: 0` and `date`.
const MAX_BARE_BYTES: usize = 160;

/// Status lines that hyper's parser can cause, and what each should have said.
const WORDS: [(&[u8], &str); 3] = [
    (
        b"HTTP/1.1 400 ",
        "this is not a well-formed HTTP/1.1 request: look at its request line, its header names, folded headers, Content-Length and \
         Transfer-Encoding; a client that speaks TLS here must be told to use plain http://",
    ),
    (b"HTTP/1.1 414 ", "the request target is longer than the 65,534 bytes that are taken"),
    (
        b"HTTP/1.1 431 ",
        "the request has more than 100 headers, or its line and headers are longer than this gateway takes",
    ),
];

/// The only headers in hyper's own error answer.
const BARE_HEADERS: [&[u8]; 3] = [b"connection: close", b"content-length: 0", b"date: "];

/// An answer that is being written in place of hyper's.
#[derive(Debug)]
pub(crate) struct Substitute {
    bytes: Vec<u8>,
    written: usize,
    replaces: usize,
}

impl Substitute {
    /// The answer to write in place of `bytes`, if those are a bare answer of hyper's.
    pub(crate) fn for_bare(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BARE_BYTES {
            return None;
        }
        let (_, words) = WORDS.iter().find(|(start, _)| bytes.starts_with(start))?;
        let head = bytes.strip_suffix(b"\r\n\r\n")?;
        let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let status = lines.next()?;
        lines
            .all(|line| BARE_HEADERS.iter().any(|bare| line.starts_with(bare)))
            .then(|| Substitute::new(status, words, bytes.len()))
    }

    fn new(status: &[u8], words: &str, replaces: usize) -> Self {
        let body = serde_json::json!({ "message": format!("ghmesh: {words}") }).to_string();
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let mut bytes = status.to_vec();
        bytes.extend_from_slice(
            format!(
                "\r\nconnection: close\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
                 cache-status: ghmesh; detail=malformed\r\ndate: {date}\r\n\r\n{body}",
                crate::rescue::JSON,
                body.len()
            )
            .as_bytes(),
        );
        Substitute { bytes, written: 0, replaces }
    }

    /// Writes on. Ready with the length of what is replaced once all of it is out.
    pub(crate) fn poll<W: Write + Unpin>(&mut self, io: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while self.written < self.bytes.len() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Poll::Ready(Ok(self.replaces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_answers_are_given_words() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        let substitute = Substitute::for_bare(bare).expect("bare");
        let text = String::from_utf8(substitute.bytes).expect("text");
        assert!(
            text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n")
                && text.contains("more than 100 headers")
        );
        assert_eq!(substitute.replaces, bare.len());
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ncache-status: ghmesh\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 ",
            b"",
        ] {
            assert!(Substitute::for_bare(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }
}
