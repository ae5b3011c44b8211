//! When a request is sent again, and after how long. Pure.
//!
//! Only a request that may be repeated without harm and whose body is empty is ever sent again: RFC 9110, 9.2.2: "A user
//! agent [...] SHOULD NOT automatically retry a request with a non-idempotent method unless it has some means to know
//! that the request semantics are actually idempotent".

use http::{HeaderMap, StatusCode, header};
use std::time::Duration;

/// How often a request is sent again at most.
pub(crate) const MAX_RETRIES: u32 = 2;

/// The longest wait before the first retry; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Whether a request may be sent more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Sending it twice does what sending it once does.
    Idempotent,
    /// It is sent once at most, whatever happens.
    Once,
}

/// Whether an answer calls for another attempt. A server that names its own time (`Retry-After`) is not asked before.
pub(crate) fn worth_repeating(status: StatusCode, headers: &HeaderMap) -> bool {
    let gateway_trouble =
        matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
    gateway_trouble && !headers.contains_key(header::RETRY_AFTER)
}

/// The wait before retry `number` (from 0): anything from nothing to 200 ms × 2^number ("full jitter").
pub(crate) fn wait(number: u32, random: u64) -> Duration {
    let longest = FIRST_WAIT * (1 << number.min(MAX_RETRIES));
    Duration::from_millis(random % (longest.as_millis() as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_anywhere_up_to_a_doubling_limit() {
        assert_eq!(wait(0, 0), Duration::ZERO);
        assert_eq!(wait(0, 200), Duration::from_millis(200));
        assert_eq!(wait(1, 400), Duration::from_millis(400));
        assert!(wait(u32::MAX, u64::MAX) <= Duration::from_millis(800));
    }

    #[test]
    fn only_gateway_errors_without_a_named_time_are_worth_repeating() {
        let mut headers = HeaderMap::new();
        for status in [502, 503, 504] {
            assert!(worth_repeating(StatusCode::from_u16(status).expect("a status"), &headers));
        }
        for status in [200, 304, 403, 404, 408, 429, 500, 501] {
            assert!(!worth_repeating(StatusCode::from_u16(status).expect("a status"), &headers));
        }
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("60"));
        assert!(!worth_repeating(StatusCode::SERVICE_UNAVAILABLE, &headers));
    }
}
