//! What GitHub says about its limits, read from every answer. Source: GitHub, "Rate limits for the REST API".

use crate::caller;
use http::StatusCode;
use http::header::{self, HeaderMap};
use std::time::Duration;

/// Longest wait that is believed (1 h): the primary limit resets hourly, and a longer one would silence a node for a typo.
pub const MAX_WAIT: Duration = Duration::from_secs(3600);
/// "Otherwise, wait for at least one minute before retrying."
pub const MIN_WAIT: Duration = Duration::from_secs(60);
/// Longest bucket name that is believed, in bytes. GitHub's longest has 30.
const MAX_RESOURCE_BYTES: usize = 64;
/// What the message of a secondary limit says where no header does.
const LIMIT_MESSAGES: [&[u8]; 3] = [b"secondary rate limit", b"API rate limit exceeded", b"abuse detection"];

/// One bucket of the primary limit, for one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `core`, `search`, `graphql`, …
    pub resource: String,
    /// Requests an hour (a minute for searches).
    pub limit: u64,
    /// What is left of them.
    pub remaining: u64,
    /// When it is full again, Unix seconds.
    pub reset: u64,
}

/// Which limit was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// The quota is used up.
    Primary,
    /// Too many at once, too fast, or too expensive.
    Secondary,
}

/// A limit that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which one.
    pub kind: LimitKind,
    /// How long to ask nothing with this credential: between zero and [`MAX_WAIT`].
    pub wait: Duration,
}

/// The state of the bucket that an answer was charged to. `None` where the headers are missing or nonsense.
pub fn quota(response: &HeaderMap) -> Option<Quota> {
    let resource = text(response, "x-ratelimit-resource").unwrap_or("core");
    is_resource(resource).then_some(Quota {
        resource: resource.to_owned(),
        limit: number(response, "x-ratelimit-limit")?,
        remaining: number(response, "x-ratelimit-remaining")?,
        reset: number(response, "x-ratelimit-reset")?,
    })
}

/// Whether this can be a bucket's name.
pub(crate) fn is_resource(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    !name.is_empty() && name.len() <= MAX_RESOURCE_BYTES && letters
}

/// Whether an answer says that a limit was hit: 429, or 403 with a sign of it. A 403 without one is a refusal, unless its
/// message says otherwise ([`message_says_limited`]).
pub fn is_limited(status: StatusCode, response: &HeaderMap) -> bool {
    let sign = response.contains_key(header::RETRY_AFTER) || number(response, "x-ratelimit-remaining") == Some(0);
    status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && sign)
}

/// Whether the message of a 403 speaks of a limit. Looks at the first KiB.
pub fn message_says_limited(body: &[u8]) -> bool {
    let start = &body[..body.len().min(1024)];
    LIMIT_MESSAGES.iter().any(|message| start.windows(message.len()).any(|window| window.eq_ignore_ascii_case(message)))
}

/// The limit that an answer reports, and how long to wait: `retry-after` where it is sent, else until the reset of a used-up
/// quota, else a minute. `unix_now` in seconds, by GitHub's clock where that is known.
pub fn limit(status: StatusCode, response: &HeaderMap, unix_now: u64) -> Option<Limit> {
    if !is_limited(status, response) {
        return None;
    }
    let used_up = number(response, "x-ratelimit-remaining") == Some(0);
    let kind =
        if used_up && !response.contains_key(header::RETRY_AFTER) { LimitKind::Primary } else { LimitKind::Secondary };
    let until_reset = || {
        number(response, "x-ratelimit-reset")
            .filter(|_| used_up)
            .map(|reset| Duration::from_secs(reset.saturating_sub(unix_now)))
    };
    let wait = retry_after(response, unix_now).or_else(until_reset).unwrap_or(MIN_WAIT);
    Some(Limit { kind, wait: wait.min(MAX_WAIT) })
}

/// `Retry-After` (RFC 9110 §10.2.3), in seconds or as a date; at most [`MAX_WAIT`].
pub fn retry_after(response: &HeaderMap, unix_now: u64) -> Option<Duration> {
    let value = response.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || caller::unix_seconds(value).map(|date| Duration::from_secs(date.saturating_sub(unix_now)));
    caller::seconds(Some(value)).or_else(until).map(|wait| wait.min(MAX_WAIT))
}

fn text<'a>(response: &'a HeaderMap, name: &str) -> Option<&'a str> {
    response.get(name)?.to_str().ok()
}

fn number(response: &HeaderMap, name: &str) -> Option<u64> {
    text(response, name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_quota_needs_all_its_numbers() {
        let all = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4999"),
            ("x-ratelimit-reset", "1700000000"),
            ("x-ratelimit-resource", "search"),
        ];
        let wanted = Quota { resource: "search".into(), limit: 5000, remaining: 4999, reset: 1_700_000_000 };
        assert_eq!(quota(&headers(&all)), Some(wanted));
        assert_eq!(quota(&headers(&all[..2])), None);
        assert_eq!(quota(&headers(&[("x-ratelimit-limit", "many"), all[1], all[2]])), None);
        assert_eq!(quota(&headers(&[all[0], all[1], all[2], ("x-ratelimit-resource", "Core\u{20}1")])), None);
    }

    #[test]
    fn a_limit_says_how_long_to_wait() {
        let now = 1_000;
        let second = Duration::from_secs;
        let of = |status, pairs: &[(&'static str, &'static str)]| {
            limit(status, &headers(pairs), now).map(|limit| (limit.kind, limit.wait))
        };
        let (forbidden, many) = (StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS);
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")];
        assert_eq!(of(forbidden, &[("retry-after", "30")]), Some((LimitKind::Secondary, second(30))));
        assert_eq!(of(forbidden, &used_up), Some((LimitKind::Primary, second(90))));
        assert_eq!(of(many, &[]), Some((LimitKind::Secondary, second(60))));
        assert_eq!(of(many, &[("retry-after", "1000000000")]), Some((LimitKind::Secondary, MAX_WAIT)), "clamped");
        assert_eq!(
            of(many, &[("retry-after", "Thu, 01 Jan 1970 00:17:00 GMT")]),
            Some((LimitKind::Secondary, second(20)))
        );
        assert_eq!(of(forbidden, &[("x-ratelimit-remaining", "12")]), None, "a refusal");
        assert_eq!(of(StatusCode::OK, &used_up), None, "the last one that was allowed");
    }

    #[test]
    fn a_message_can_be_the_only_sign() {
        assert!(message_says_limited(br#"{"message":"You have exceeded a secondary rate limit."}"#));
        assert!(!message_says_limited(br#"{"message":"Resource not accessible by integration"}"#));
    }
}
