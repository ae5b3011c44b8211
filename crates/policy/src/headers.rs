//! Headers of one connection and headers of the whole way (RFC 9110 §7.6.1), and reading lists out of headers.

use crate::refusal::Refusal;
use http::header::{self, HeaderMap, HeaderName};
use std::borrow::Cow;

/// Headers that end at this hop, in lower case. `http2-settings` goes with an upgrade that is not offered here.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];
/// Words in `Connection` that name no header.
const CONNECTION_WORDS: [&str; 3] = ["close", "keep-alive", "upgrade"];
/// Starts of the names of headers that belong to the whole way. `Connection` naming one would make a proxy take it out of the
/// request after it was looked at.
const END_TO_END: [&str; 14] = [
    "accept",
    "authorization",
    "cache-control",
    "content-",
    "cookie",
    "date",
    "expect",
    "host",
    "if-",
    "pragma",
    "range",
    "user-agent",
    "x-gh-",
    "x-github-",
];

/// Whether a header ends at this hop.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

/// The header names that `Connection` lists beyond the usual words, in lower case.
///
/// # Errors
/// [`Refusal::ConnectionNames`] where it names a header that belongs to the whole way.
pub fn nominated(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = nominees(headers).collect();
    match names.iter().find(|name| END_TO_END.iter().any(|start| name.starts_with(start))) {
        Some(name) => Err(Refusal::ConnectionNames { name: name.clone() }),
        None => Ok(names),
    }
}

fn nominees(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let options = list(headers, header::CONNECTION).map(|option| option.to_ascii_lowercase());
    options.filter(|option| !option.is_empty() && !CONNECTION_WORDS.contains(&option.as_str()))
}

/// The headers that go on beyond this hop. Without what `Connection` names: "Intermediaries MUST […] remove any header or
/// trailer field(s) from the message with the same name as the connection-option" (RFC 9110 §7.6.1).
pub fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let nominees: Vec<String> = nominees(headers).collect();
    let stays =
        |name: &HeaderName| !is_hop_by_hop(name.as_str()) && !nominees.iter().any(|nominee| nominee == name.as_str());
    let kept = headers.iter().filter(|(name, _)| stays(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The members of a comma-separated list over all lines of a header, trimmed. Commas in quoted strings separate nothing.
/// Values that aren't text count as absent.
pub fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(split_list)
}

/// Splits a list at the commas outside of quoted strings.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    let at_comma = move |character: char| {
        let comma = character == ',' && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        comma
    };
    value.split(at_comma).map(str::trim)
}

/// The directives of `Cache-Control`: name in lower case, and argument without its quotes.
pub fn cache_control(headers: &HeaderMap) -> impl Iterator<Item = (Cow<'_, str>, Option<&str>)> {
    list(headers, header::CACHE_CONTROL).filter(|directive| !directive.is_empty()).map(directive)
}

/// One directive, split.
pub fn directive(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let (name, argument) = match text.split_once('=') {
        Some((name, argument)) => (name, Some(argument.trim().trim_matches('"'))),
        None => (text, None),
    };
    let name = name.trim();
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    (if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) }, argument)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn connection_and_what_it_names_end_here() {
        let sent = headers(&[
            ("connection", "close, X-Trace"),
            ("x-trace", "1"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("accept", "*/*"),
        ]);
        assert_eq!(nominated(&sent), Ok(vec!["x-trace".to_owned()]));
        assert_eq!(end_to_end(&sent), headers(&[("accept", "*/*")]));
    }

    #[test]
    fn connection_must_not_name_what_belongs_to_the_whole_way() {
        for name in ["Accept", "authorization", "Cookie", "X-GitHub-OTP", "Content-Length", "host", "If-None-Match"] {
            let sent: HeaderMap =
                [(header::CONNECTION, HeaderValue::from_str(&format!("close, {name}")).unwrap())].into_iter().collect();
            assert_eq!(nominated(&sent), Err(Refusal::ConnectionNames { name: name.to_ascii_lowercase() }));
        }
    }

    #[test]
    fn lists_span_lines_and_respect_quotes() {
        let sent = headers(&[("vary", "Accept, Authorization"), ("vary", "Cookie")]);
        assert_eq!(list(&sent, header::VARY).collect::<Vec<_>>(), ["Accept", "Authorization", "Cookie"]);
        assert_eq!(split_list(r#""a,b", W/"c\",d""#).collect::<Vec<_>>(), [r#""a,b""#, r#"W/"c\",d""#]);
    }

    #[test]
    fn cache_directives_have_lower_case_names_and_bare_arguments() {
        let sent = headers(&[("cache-control", "Private, MAX-AGE=60,, s-maxage=\"60\"")]);
        let read: Vec<_> = cache_control(&sent).collect();
        let wanted = [("private", None), ("max-age", Some("60")), ("s-maxage", Some("60"))];
        assert_eq!(read, wanted.map(|(name, argument)| (Cow::from(name), argument)));
    }
}
