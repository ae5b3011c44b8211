//! Requests that come back to the daemon that sent them: an `origin.url`, or a name, that leads to the daemon itself.
//!
//! `CDN-Loop` (RFC 8586) names the caches that a request has gone through, each by a name of its own. `Via` would name them too,
//! but servers change what they answer because of it: nginx, by default, no longer compresses.

use crate::headers;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// RFC 8586 §2.
pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name that one running daemon leaves on every request that it sends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopMark(HeaderValue);

impl LoopMark {
    /// `number` tells this daemon from every other; it is no secret.
    pub fn new(number: u64) -> Self {
        let pseudonym = format!("ghmesh-{number:016x}");
        LoopMark(HeaderValue::try_from(pseudonym).expect("letters, digits and a hyphen"))
    }

    /// Whether the daemon of this mark has sent a request with these headers.
    pub fn is_on(&self, headers: &HeaderMap) -> bool {
        headers::list(headers, CDN_LOOP).any(|cache| before_parameters(cache).as_bytes() == self.0.as_bytes())
    }

    /// Adds the mark to a request that is sent on.
    pub fn put_on(&self, headers: &mut HeaderMap) {
        headers.append(CDN_LOOP, self.0.clone());
    }
}

/// `cdn-info = cdn-id *( OWS ";" OWS parameter )`
fn before_parameters(cache: &str) -> &str {
    cache.split_once(';').map_or(cache, |(id, _)| id.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_knows_its_own_mark_among_those_of_others() {
        let (own, other) = (LoopMark::new(1), LoopMark::new(2));
        let mut headers = HeaderMap::new();
        assert!(!own.is_on(&headers));
        other.put_on(&mut headers);
        headers.append(CDN_LOOP, HeaderValue::from_static("cdn.example;v=1, ghmesh-00000000000000010"));
        assert!(other.is_on(&headers) && !own.is_on(&headers));
        own.put_on(&mut headers);
        assert!(own.is_on(&headers));
        headers.insert(CDN_LOOP, HeaderValue::from_static("x, ghmesh-0000000000000001 ; hops=2"));
        assert!(own.is_on(&headers) && !other.is_on(&headers));
    }
}
