//! What the client asked of the cache, as opposed to what it asked of GitHub.

use crate::etag::Validators;
use crate::headers;
use crate::links::Base;
use http::header::{self, HeaderMap};
use std::time::{Duration, UNIX_EPOCH};

/// The header with which `gh api --cache` says how old an answer may be, as a Go duration. Never sent upstream.
pub const GH_CACHE_TTL: &str = "x-gh-cache-ttl";

/// A client's wishes. They change what it gets and never what is kept.
#[derive(Clone, Debug)]
pub struct Caller {
    /// How fresh the answer must be.
    pub directives: Directives,
    /// What the client already has.
    pub conditionals: Conditionals,
    /// The URL below which the client finds the API, for `Link`.
    pub base: Base,
}

/// The request directives of RFC 9111 §5.2.1, `Pragma: no-cache` (§5.4) and gh's own TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Nothing unconfirmed: ask the origin, conditionally.
    pub no_cache: bool,
    /// Keep nothing of it. Such a request passes through.
    pub no_store: bool,
    /// Don't ask the origin.
    pub only_if_cached: bool,
    /// Oldest answer wanted.
    pub max_age: Option<Duration>,
    /// How long the answer must stay fresh.
    pub min_fresh: Option<Duration>,
    /// How long an answer may have been stale; [`Duration::MAX`] for any time.
    pub max_stale: Option<Duration>,
    /// `X-Gh-Cache-Ttl`: how long an answer counts as fresh, in place of the configured time.
    pub ttl: Option<Duration>,
}

/// The client's own validators. They are answered here and never sent upstream: a 304 to them would prove nothing about what
/// is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditionals {
    /// `If-None-Match`.
    pub if_none_match: Option<Validators>,
    /// `If-Modified-Since`, Unix seconds. Ignored beside `If-None-Match` (RFC 9110 §13.1.3).
    pub if_modified_since: Option<u64>,
}

impl Directives {
    /// Reads a request's headers. What can't be understood is read as the strictest thing that it could mean.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut read = Directives::default();
        for (name, argument) in headers::cache_control(headers) {
            read.apply(&name, argument);
        }
        // "When the Cache-Control header field is also present and understood in a request, Pragma is ignored." (RFC 9111 §5.4)
        if !headers.contains_key(header::CACHE_CONTROL) {
            read.no_cache = headers::list(headers, header::PRAGMA).any(|word| word.eq_ignore_ascii_case("no-cache"));
        }
        read.ttl = headers.get(GH_CACHE_TTL).and_then(|value| go_duration(value.to_str().ok()?.trim()));
        read
    }

    fn apply(&mut self, name: &str, argument: Option<&str>) {
        match name {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = Some(seconds(argument).unwrap_or_default()),
            "min-fresh" => self.min_fresh = Some(seconds(argument).unwrap_or(Duration::MAX)),
            "max-stale" => self.max_stale = argument.map_or(Some(Duration::MAX), |text| seconds(Some(text))),
            _ => {}
        }
    }
}

impl Conditionals {
    /// Reads a request's headers.
    pub fn of(headers: &HeaderMap) -> Self {
        Conditionals {
            if_none_match: Validators::of(headers),
            if_modified_since: headers
                .get(header::IF_MODIFIED_SINCE)
                .and_then(|value| unix_seconds(value.to_str().ok()?)),
        }
    }

    /// Whether the client asked for a 304 at all.
    pub fn is_conditional(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some()
    }

    /// Whether the client has this representation already, so that a 304 answers it.
    pub fn is_met(&self, etag: Option<&str>, last_modified: Option<&str>) -> bool {
        // "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header field" (RFC 9110 §13.1.3)
        if let Some(validators) = &self.if_none_match {
            return validators.match_weakly(etag);
        }
        let modified = last_modified.and_then(unix_seconds);
        self.if_modified_since.zip(modified).is_some_and(|(since, modified)| modified <= since)
    }
}

/// An HTTP date as Unix seconds.
pub fn unix_seconds(date: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(date).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Delta-seconds (RFC 9111 §1.2.2): too many digits mean "as long as there is".
pub(crate) fn seconds(argument: Option<&str>) -> Option<Duration> {
    let text = argument?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))))
}

/// A Go duration (`1h0m0s`, `90s`, `1.5h`, `0`), or whole seconds. Negative ones are zero. `None` for anything else.
pub fn go_duration(text: &str) -> Option<Duration> {
    if let Some(whole) = seconds(Some(text)) {
        return Some(whole);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = Duration::ZERO;
    let mut terms = 0;
    while !rest.is_empty() {
        let (term, after) = go_term(rest)?;
        total = total.saturating_add(term);
        terms += 1;
        rest = after;
    }
    (terms > 0).then_some(if negative { Duration::ZERO } else { total })
}

/// One number with its unit.
fn go_term(text: &str) -> Option<(Duration, &str)> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, rest) = text.split_at(digits);
    let length = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(length);
    let seconds_per_unit = match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" | "μs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    let span = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds_per_unit).unwrap_or(Duration::MAX);
    Some((span, rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn directives(cache_control: &'static str) -> Directives {
        Directives::of(&headers(&[("cache-control", cache_control)]))
    }

    #[test]
    fn request_directives_are_read() {
        let none = Directives::default();
        let five = Some(Duration::from_secs(5));
        for (text, wanted) in [
            ("no-cache", Directives { no_cache: true, ..none }),
            ("No-Store, only-if-cached", Directives { no_store: true, only_if_cached: true, ..none }),
            ("max-age=5", Directives { max_age: five, ..none }),
            ("max-age=\"5\"", Directives { max_age: five, ..none }),
            ("max-age=soon", Directives { max_age: Some(Duration::ZERO), ..none }),
            ("min-fresh=5", Directives { min_fresh: five, ..none }),
            ("max-stale=5", Directives { max_stale: five, ..none }),
            ("max-stale", Directives { max_stale: Some(Duration::MAX), ..none }),
            ("max-stale=x", none),
            ("unknown=5", none),
        ] {
            assert_eq!(directives(text), wanted, "{text}");
        }
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        assert!(Directives::of(&headers(&[("pragma", "no-cache")])).no_cache);
        assert!(!Directives::of(&headers(&[("pragma", "no-cache"), ("cache-control", "max-age=5")])).no_cache);
    }

    #[test]
    fn go_durations_are_read_as_gh_writes_them() {
        for (text, seconds) in [
            ("1h0m0s", 3600.0),
            ("0s", 0.0),
            ("0", 0.0),
            ("300", 300.0),
            ("1.5h", 5400.0),
            ("1m30s", 90.0),
            ("250ms", 0.25),
            ("-5s", 0.0),
        ] {
            assert_eq!(go_duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "-", "h", "5", "1h5", "1x", "1..5s", "one", "1h 5m"] {
            let wanted = if text == "5" { Some(Duration::from_secs(5)) } else { None };
            assert_eq!(go_duration(text), wanted, "{text}");
        }
        assert_eq!(go_duration("999999999999999999h"), Some(Duration::MAX));
        let sent = headers(&[(GH_CACHE_TTL, "1h0m0s")]);
        assert_eq!(Directives::of(&sent).ttl, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn if_none_match_comes_before_if_modified_since() {
        let date = "Tue, 15 Nov 1994 12:45:26 GMT";
        let both = Conditionals::of(&headers(&[("if-none-match", "\"a\""), ("if-modified-since", date)]));
        assert!(!both.is_met(Some("\"b\""), Some(date)));
        assert!(both.is_met(Some("W/\"a\""), None));
        let since = Conditionals::of(&headers(&[("if-modified-since", date)]));
        assert!(since.is_met(None, Some(date)));
        assert!(!since.is_met(None, Some("Tue, 15 Nov 1994 12:45:27 GMT")));
        assert!(!since.is_met(None, None));
        assert!(!Conditionals::default().is_met(Some("\"a\""), Some(date)));
    }

    #[test]
    fn dates_before_1970_and_nonsense_are_no_dates() {
        assert_eq!(unix_seconds("Thu, 01 Jan 1970 00:00:01 GMT").unwrap(), 1);
        assert_eq!(unix_seconds("yesterday"), None);
    }
}
