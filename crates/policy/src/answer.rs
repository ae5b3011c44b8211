//! The head of what the client gets: from the cache, or passed on from the origin.
//!
//! A kept answer never carries what was true for an earlier call only: quotas, scopes of a token, request ids. Where this very
//! request made a call, those of that call are added. `Cache-Status` (RFC 9211) says where the answer came from, `Age` how old
//! it is, and `X-From-Cache: 1` makes go-github and its like ignore the quota headers that aren't there.

use crate::etag;
use crate::headers::end_to_end;
use crate::links::Base;
use crate::storable;
use crate::{Conditionals, Pass, Read};
use bytes::Bytes;
use ghmesh_model::{Entry, Millis};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::time::{Duration, UNIX_EPOCH};

/// The name under which this cache appears in `Cache-Status`.
const CACHE: &str = "ghmesh";
/// RFC 9211 §2.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// What httpcache for Go and its descendants set on answers from a cache.
const X_FROM_CACHE: HeaderName = HeaderName::from_static("x-from-cache");
/// Starts of the names of headers that are true for one call only. They go to the caller whose call it was.
const OF_ONE_CALL: [&str; 5] =
    ["x-ratelimit-", "x-oauth-", "x-accepted-", "github-authentication-token-expiration", "x-github-request-id"];
/// Headers that a 304 leaves out: they describe the body (RFC 9110 §15.4.5).
const OF_THE_BODY: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_LANGUAGE];

/// Room for all headers of a usual answer, so that none is moved when others come.
const ANSWER_HEADERS: usize = 16;

/// How an answer from an entry came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitKind {
    /// The entry was this node's own.
    Local,
    /// The entry came from a peer.
    Peer,
    /// Another request of this node was already fetching it.
    Collapsed,
    /// The origin failed or limited; the entry is no longer fresh.
    Stale,
    /// This request fetched it.
    Miss {
        /// Whether it was committed to the store.
        stored: bool,
    },
    /// This request had it confirmed with a 304.
    Revalidated {
        /// Whether that was committed to the store.
        stored: bool,
    },
}

impl HitKind {
    /// Whether it was answered without a call of this request's.
    pub fn is_hit(self) -> bool {
        match self {
            HitKind::Local | HitKind::Peer | HitKind::Collapsed | HitKind::Stale => true,
            HitKind::Miss { .. } | HitKind::Revalidated { .. } => false,
        }
    }

    fn cache_status(self) -> &'static str {
        match self {
            HitKind::Local => "ghmesh; hit",
            HitKind::Peer => "ghmesh; hit; detail=peer",
            HitKind::Collapsed => "ghmesh; fwd=miss; collapsed",
            HitKind::Stale => "ghmesh; hit; detail=stale",
            HitKind::Miss { stored: true } => "ghmesh; fwd=miss; stored",
            HitKind::Miss { stored: false } => "ghmesh; fwd=miss",
            HitKind::Revalidated { stored: true } => "ghmesh; fwd=stale; fwd-status=304; stored",
            HitKind::Revalidated { stored: false } => "ghmesh; fwd=stale; fwd-status=304",
        }
    }
}

/// The head of an answer from `entry`: 200, or 304 to a client that asked for it and has the same. `live` holds the headers of
/// the origin's answer where this very request made a call. The body goes with it only if [`carries_body`].
pub fn hit(read: &Read, entry: &Entry, now: Millis, kind: HitKind, live: Option<&HeaderMap>) -> Response<()> {
    let last_modified = entry.header("last-modified");
    let unchanged = read.caller.conditionals.is_met(entry.etag.as_deref(), last_modified);
    let mut headers = kept_headers(read, entry);
    if unchanged {
        OF_THE_BODY.iter().for_each(|name| drop(headers.remove(name)));
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(entry.representation.length));
    }
    set(&mut headers, header::DATE, &http_date(entry.origin_date));
    headers.insert(CACHE_STATUS, HeaderValue::from_static(kind.cache_status()));
    if kind.is_hit() {
        headers.insert(header::AGE, HeaderValue::from(entry.age(now).unwrap_or_default().as_secs()));
        headers.insert(X_FROM_CACHE, HeaderValue::from_static("1"));
    }
    headers.extend(live.into_iter().flat_map(of_this_call));
    head(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK }, headers)
}

fn kept_headers(read: &Read, entry: &Entry) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    for (name, value) in entry.representation.headers.iter().filter(|(name, _)| storable::is_shareable(name)) {
        let value = if name == header::LINK.as_str() { read.caller.base.rewrite_link(value) } else { value.clone() };
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    if let Some(etag) = &entry.etag {
        set(&mut headers, header::ETAG, etag);
    }
    headers
}

fn of_this_call(live: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let is_of_one_call = |name: &HeaderName| OF_ONE_CALL.iter().any(|start| name.as_str().starts_with(start));
    live.iter().filter(move |(name, _)| is_of_one_call(name)).map(|(name, value)| (name.clone(), value.clone()))
}

/// Whether a body goes with this head: not for HEAD, not with a 304 or 204.
pub fn carries_body(read: &Read, head: &Response<()>) -> bool {
    !read.head && !matches!(head.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
}

/// The head of the origin's own answer to a read, where nothing was kept of it. A client whose validator matches gets its 304
/// all the same: its conditionals didn't go upstream.
pub fn uncached(read: &Read, status: StatusCode, origin: &HeaderMap) -> Response<()> {
    let mut headers = rewritten(&read.caller.base, origin);
    let unchanged = status == StatusCode::OK && is_unchanged(&read.caller.conditionals, origin);
    let forwarded = format!("{CACHE}; fwd=miss; fwd-status={}", status.as_u16());
    append(&mut headers, CACHE_STATUS, &forwarded);
    if unchanged {
        OF_THE_BODY
            .iter()
            .chain([&header::CONTENT_LENGTH, &header::CONTENT_ENCODING])
            .for_each(|name| drop(headers.remove(name)));
    }
    head(if unchanged { StatusCode::NOT_MODIFIED } else { status }, headers)
}

fn is_unchanged(conditionals: &Conditionals, origin: &HeaderMap) -> bool {
    let text = |name| origin.get(name).and_then(|value| value.to_str().ok());
    let etag = text(header::ETAG).filter(|etag| etag::opaque(etag).is_some());
    conditionals.is_met(etag, text(header::LAST_MODIFIED))
}

/// The headers of an answer that passes through: those of the connection taken out, the API's URLs in `Link` and `Location`
/// written as the caller's, and why it was forwarded.
pub fn pass_headers(pass: &Pass, status: StatusCode, origin: &HeaderMap) -> HeaderMap {
    let mut headers = rewritten(&pass.base, origin);
    let reason = pass.reason.forward();
    append(&mut headers, CACHE_STATUS, &format!("{CACHE}; fwd={reason}; fwd-status={}", status.as_u16()));
    headers
}

/// The answer to `only-if-cached` where nothing may be used: "SHOULD either respond using a stored response […] or respond with
/// a 504" (RFC 9111 §5.2.1.7).
pub fn nothing_cached() -> Response<Bytes> {
    let body = Bytes::from_static(
        br#"{"message":"Nothing usable is cached for this request, and GitHub was not to be asked"}"#,
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_STATUS, HeaderValue::from_static("ghmesh; detail=only-if-cached"));
    head(StatusCode::GATEWAY_TIMEOUT, headers).map(|()| body)
}

/// Goes on to the caller: every client follows `Link`, and most drop their credential where a redirect leaves their host, so
/// that the API's own URLs become the caller's. Redirects to other hosts stay.
fn rewritten(base: &Base, origin: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(origin.len() + 1);
    for (name, value) in &end_to_end(origin) {
        headers.append(name.clone(), seen_by_caller(base, name, value));
    }
    headers
}

fn seen_by_caller(base: &Base, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
    let Ok(text) = value.to_str() else { return value.clone() };
    let seen = match *name {
        header::LINK => Some(base.rewrite_link(text)),
        header::LOCATION => base.rewritten(text),
        _ => None,
    };
    seen.and_then(|seen| HeaderValue::try_from(seen).ok()).unwrap_or_else(|| value.clone())
}

fn http_date(unix_seconds: u64) -> String {
    // The format has four digits for the year: 9999-12-31T23:59:59Z is the last moment that it can write.
    let seconds = unix_seconds.min(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

fn head(status: StatusCode, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests;
