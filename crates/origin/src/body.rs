//! The body type of requests and answers, and what is done with bodies everywhere.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use std::time::Duration;
use tokio::time::Instant;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of either direction, streamed frame by frame: nothing is read before it is asked for.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is at hand.
pub fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// `first`, then everything of `rest`.
pub fn chain(first: Bytes, rest: Body) -> Body {
    let first = futures::stream::iter((!first.is_empty()).then(|| Ok(http_body::Frame::data(first))));
    let rest = http_body_util::BodyStream::new(rest);
    BodyExt::boxed_unsync(StreamBody::new(first.chain(rest)))
}

/// What [`collect_limited`] found.
#[derive(Debug)]
pub enum Collected {
    /// All of it, within the limit. Trailers are dropped.
    Whole(Bytes),
    /// More than the limit: what was read, and what follows it. [`chain`] makes them one body again.
    TooLong {
        /// The bytes read so far: possibly none, possibly some more than the limit (by less than one frame).
        read: Bytes,
        /// The unread rest.
        rest: Body,
    },
}

/// Reads `body` as long as it has no more than `limit` bytes. A body that says beforehand that it is longer isn't read.
pub async fn collect_limited(mut body: Body, limit: usize) -> Result<Collected, BoxError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Ok(Collected::TooLong { read: Bytes::new(), rest: body });
    }
    let mut read = Gather::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        read.push(data, announced as usize);
        if read.len() > limit {
            return Ok(Collected::TooLong { read: read.finish(), rest: body });
        }
    }
    Ok(Collected::Whole(read.finish()))
}

/// Reads `body` as far as `limit` bytes (by less than one frame more) and `patience` go. Gives what was read, and the rest if
/// that isn't all: where the body failed, that failure. Nothing is lost, so that the two can be passed on with [`chain`]. A body
/// that says beforehand that it is longer isn't read.
pub async fn read_ahead(mut body: Body, limit: usize, patience: Duration) -> (Bytes, Option<Body>) {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return (Bytes::new(), Some(body));
    }
    let until = Instant::now() + patience;
    let mut read = Gather::default();
    while read.len() <= limit {
        match tokio::time::timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().into_iter().for_each(|data| read.push(data, announced as usize)),
            Ok(Some(Err(error))) => return (read.finish(), Some(failing(error))),
            Ok(None) => return (read.finish(), None),
            Err(_) => break,
        }
    }
    (read.finish(), Some(body))
}

fn failing(error: BoxError) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter([Err(error)])))
}

/// Bytes gathered from frames; one frame alone is not copied.
#[derive(Default)]
enum Gather {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gather {
    fn push(&mut self, data: Bytes, announced: usize) {
        *self = match std::mem::take(self) {
            Gather::Nothing => Gather::One(data),
            Gather::One(first) => {
                let mut many = BytesMut::with_capacity(announced.max(first.len() + data.len()));
                many.extend_from_slice(&first);
                many.extend_from_slice(&data);
                Gather::Many(many)
            }
            Gather::Many(mut many) => {
                many.extend_from_slice(&data);
                Gather::Many(many)
            }
        };
    }

    fn len(&self) -> usize {
        match self {
            Gather::Nothing => 0,
            Gather::One(one) => one.len(),
            Gather::Many(many) => many.len(),
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Gather::Nothing => Bytes::new(),
            Gather::One(one) => one,
            Gather::Many(many) => many.freeze(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn frames(parts: &[&'static str]) -> Body {
        let parts: Vec<_> =
            parts.iter().map(|part| Ok(http_body::Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(parts)))
    }

    #[tokio::test]
    async fn a_body_within_the_limit_is_read_whole() {
        for (parts, limit) in [(&[][..], 0), (&["abc"], 3), (&["ab", "c"], 3), (&["a", "b", "c"], 10)] {
            let Collected::Whole(bytes) = collect_limited(frames(parts), limit).await.unwrap() else {
                panic!("{parts:?} within {limit}")
            };
            assert_eq!(bytes, parts.concat());
        }
    }

    #[tokio::test]
    async fn a_longer_body_can_still_be_passed_on_whole() {
        for body in [frames(&["ab", "cd", "ef"]), full(Bytes::from_static(b"abcdef"))] {
            let Collected::TooLong { read, rest } = collect_limited(body, 3).await.unwrap() else {
                panic!("six bytes are more than three")
            };
            assert!(read.len() <= 4, "{read:?}");
            assert_eq!(chain(read, rest).collect().await.unwrap().to_bytes(), "abcdef");
        }
    }

    #[tokio::test]
    async fn an_error_within_the_body_is_an_error() {
        let parts = [Ok(http_body::Frame::data(Bytes::from_static(b"ab"))), Err(BoxError::from("cut"))];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(parts)));
        assert_eq!(collect_limited(body, 10).await.unwrap_err().to_string(), "cut");
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn reading_ahead_loses_nothing() {
        let (read, rest) = read_ahead(frames(&["ab", "c"]), 3, LONG).await;
        assert!(read == "abc" && rest.is_none());
        for body in [frames(&["ab", "cd", "ef"]), full(Bytes::from_static(b"abcdef"))] {
            let (read, rest) = read_ahead(body, 3, LONG).await;
            assert!(read.len() <= 4, "{read:?}");
            assert_eq!(chain(read, rest.unwrap()).collect().await.unwrap().to_bytes(), "abcdef");
        }
    }

    #[tokio::test]
    async fn reading_ahead_keeps_what_came_before_a_failure() {
        let parts = [Ok(http_body::Frame::data(Bytes::from_static(b"ab"))), Err(BoxError::from("cut"))];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(parts)));
        let (read, rest) = read_ahead(body, 10, LONG).await;
        assert_eq!(read, "ab");
        assert_eq!(rest.unwrap().collect().await.unwrap_err().to_string(), "cut");
    }

    #[tokio::test]
    async fn reading_ahead_has_an_end() {
        let first = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"ab")))]);
        let body = BodyExt::boxed_unsync(StreamBody::new(first.chain(futures::stream::pending())));
        let (read, rest) = read_ahead(body, 10, Duration::from_millis(1)).await;
        assert!(read == "ab" && rest.is_some());
    }

    #[test]
    fn an_empty_body_says_so() {
        assert!(empty().is_end_stream());
        assert!(full(Bytes::new()).is_end_stream());
        assert!(!full(Bytes::from_static(b"x")).is_end_stream());
    }
}
