//! Entity tags: comparing them, and computing the one that GitHub would give to a credential.
//!
//! GitHub doesn't document its formula; it was read off its answers and holds for all that were recorded:
//!
//! ```text
//! ETag = '"' + hex(SHA-256(P ‖ body)) + '"', sometimes with W/ before it
//! P    = for each of Accept, Authorization, Cookie, in this order, that the request has and the response's Vary lists:
//!        its value and a colon
//! ```
//!
//! `Authorization` counts whole (`token x` is not `Bearer x`). So an ETag is a hash over a credential: it is given to that
//! credential's callers and to the origin, and never to a peer. Source: bored-engineer/github-conditional-http-transport.

use crate::headers::split_list;
use crate::{Read, headers};
use ghmesh_model::Entry;
use http::StatusCode;
use http::header::{self, HeaderMap};
use sha2::{Digest, Sha256};

/// The headers that may be part of P, in its order.
const HASHED: [header::HeaderName; 3] = [header::ACCEPT, header::AUTHORIZATION, header::COOKIE];
/// Most tags read out of one `If-None-Match`; the rest counts as not sent, which costs a body.
const MAX_TAGS: usize = 64;

/// Which request headers are part of P: those of `HASHED` that a `Vary` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed([bool; 3]);

impl Hashed {
    /// Those that GitHub lists on answers to authorised requests, on every route that was recorded.
    pub const DOCUMENTED: Hashed = Hashed([true; 3]);

    /// Those that these lines of `Vary` list.
    pub fn under<'a>(vary: impl IntoIterator<Item = &'a str>) -> Self {
        let listed: Vec<&str> = vary.into_iter().flat_map(split_list).collect();
        Hashed(HASHED.map(|name| listed.iter().any(|word| word.eq_ignore_ascii_case(name.as_str()))))
    }

    /// Those that a response's `Vary` lists.
    pub fn of(response: &HeaderMap) -> Self {
        Hashed::under(response.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()))
    }

    /// Those of them that `request` has: two with the same cover give the same ETags to its answers.
    pub fn covered(self, request: &HeaderMap) -> Self {
        let [accept, authorization, cookie] = HASHED.map(|name| request.contains_key(name));
        let [listed_accept, listed_authorization, listed_cookie] = self.0;
        Hashed([listed_accept && accept, listed_authorization && authorization, listed_cookie && cookie])
    }

    /// The strong ETag of `body` for the final upstream `request`.
    pub fn etag(self, request: &HeaderMap, body: &[u8]) -> String {
        let mut hash = Sha256::new();
        for (name, _) in HASHED.iter().zip(self.0).filter(|(_, listed)| *listed) {
            for value in request.get_all(name) {
                hash.update(value.as_bytes());
                hash.update(b":");
            }
        }
        hash.update(body);
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }
}

/// The ETag that a node gives to an entry whose representation came from a peer: by the formula, weak, as GitHub's mostly are.
/// `body` must be what the entry's CID names.
pub fn for_entry(read: &Read, entry: &Entry, body: &[u8]) -> String {
    let vary = entry.representation.headers.iter().filter(|(name, _)| name == "vary").map(|(_, value)| value.as_str());
    format!("W/{}", Hashed::under(vary).etag(&read.upstream, body))
}

/// The ETag of a body that everybody has: no credential is under it, so that it tells nothing of one.
pub fn for_everybody(body: &[u8]) -> String {
    format!("W/{}", Hashed([false; 3]).etag(&HeaderMap::new(), body))
}

/// Whether GitHub's own ETag for this answer follows the formula. Judged on this node's own answers only.
pub fn formula_holds(read: &Read, response: &HeaderMap, body: &[u8]) -> Option<bool> {
    let etag = response.get(header::ETAG)?.to_str().ok()?;
    Some(weak_eq(etag, &Hashed::of(response).etag(&read.upstream, body)))
}

/// The opaque tag, quotes included, without `W/`. `None` for what is no entity tag (RFC 9110 §8.8.3).
pub fn opaque(tag: &str) -> Option<&str> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    let allowed = inner.bytes().all(|byte| byte > 0x20 && byte != b'"' && byte != 0x7f);
    allowed.then_some(tag)
}

/// Weak comparison (RFC 9110 §8.8.3.2): the opaque tags are the same. What is no entity tag equals nothing.
pub fn weak_eq(one: &str, other: &str) -> bool {
    opaque(one).is_some_and(|one| opaque(other) == Some(one))
}

/// An `If-None-Match` list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validators {
    /// `*`: any representation at all.
    Any,
    /// Opaque tags.
    Tags(Vec<String>),
}

impl Validators {
    /// Reads `If-None-Match`; `None` where the request has none.
    pub fn of(request: &HeaderMap) -> Option<Self> {
        if !request.contains_key(header::IF_NONE_MATCH) {
            return None;
        }
        let words: Vec<&str> = headers::list(request, header::IF_NONE_MATCH).filter(|word| !word.is_empty()).collect();
        if words == ["*"] {
            return Some(Validators::Any);
        }
        Some(Validators::Tags(words.into_iter().filter_map(opaque).take(MAX_TAGS).map(str::to_owned).collect()))
    }

    /// Whether one of them is `etag`, weakly. `*` matches whatever there is.
    pub fn match_weakly(&self, etag: Option<&str>) -> bool {
        match self {
            Validators::Any => true,
            Validators::Tags(tags) => etag.and_then(opaque).is_some_and(|etag| tags.iter().any(|tag| tag == etag)),
        }
    }
}

/// Which of the offered ETags a response confirms.
///
/// "The 304 must name an offered ETag": without an ETag it confirms only what was offered alone. `None` where it confirms
/// nothing: fetch whole.
pub fn confirmed(offered: &[&str], status: StatusCode, response: &HeaderMap) -> Option<usize> {
    if status != StatusCode::NOT_MODIFIED {
        return None;
    }
    match response.get(header::ETAG) {
        Some(named) => offered.iter().position(|etag| named.to_str().is_ok_and(|named| weak_eq(named, etag))),
        None => (offered.len() == 1).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::fixtures;
    use http::{HeaderName, HeaderValue};

    const NOTHING: &str = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn computed<'a>(vary: impl IntoIterator<Item = &'a str>, request: &HeaderMap, body: &[u8]) -> String {
        Hashed::under(vary).etag(request, body)
    }

    fn sha256(text: &str) -> String {
        format!("\"{}\"", Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    #[test]
    fn no_header_and_no_body_is_the_hash_of_nothing() {
        assert_eq!(computed([], &HeaderMap::new(), b""), NOTHING);
        assert_eq!(
            computed(["Accept, Authorization"], &HeaderMap::new(), b""),
            NOTHING,
            "an absent header adds nothing"
        );
        assert_eq!(computed([], &headers(&[("accept", "*/*")]), b""), NOTHING, "nor does one that Vary doesn't list");
    }

    #[test]
    fn accept_authorization_and_cookie_count_in_this_order_where_vary_lists_them() {
        let request =
            headers(&[("cookie", "c=1"), ("authorization", "token x"), ("accept", "a/b"), ("user-agent", "u")]);
        let all = ["Accept, Authorization, Cookie, X-GitHub-OTP", "Accept-Encoding, Accept, X-Requested-With"];
        assert_eq!(computed(all, &request, b"{}"), sha256("a/b:token x:c=1:{}"));
        assert_eq!(
            computed(["cookie", "ACCEPT"], &request, b"{}"),
            sha256("a/b:c=1:{}"),
            "whatever lines and letter case"
        );
        assert_eq!(computed(["Accept-Encoding"], &request, b"{}"), sha256("{}"), "whole names only");
    }

    #[test]
    fn the_scheme_is_part_of_the_credential() {
        let token = computed(["Authorization"], &headers(&[("authorization", "token x")]), b"{}");
        let bearer = computed(["Authorization"], &headers(&[("authorization", "Bearer x")]), b"{}");
        assert_eq!(token, sha256("token x:{}"));
        assert_ne!(token, bearer);
    }

    #[test]
    fn every_value_of_a_header_counts() {
        assert_eq!(computed(["Accept"], &headers(&[("accept", "a"), ("accept", "b")]), b"-"), sha256("a:b:-"));
        assert_eq!(computed(["Accept"], &headers(&[("accept", "")]), b"-"), sha256(":-"), "an empty one too");
    }

    #[test]
    fn trap_7_weak_prefixes_come_and_go() {
        assert!(weak_eq("W/\"a\"", "\"a\""));
        assert!(weak_eq("\"a\"", "W/\"a\""));
        assert!(!weak_eq("\"a\"", "\"b\""));
        assert!(!weak_eq("a", "a"), "no quotes, no tag");
        assert!(!weak_eq("w/\"a\"", "\"a\""), "the prefix is upper case");
    }

    #[test]
    fn trap_7_a_list_of_validators() {
        let list =
            Validators::of(&headers(&[("if-none-match", "\"x\", W/\"y,z\""), ("if-none-match", "broken, \"q\"")]))
                .unwrap();
        assert_eq!(list, Validators::Tags(vec!["\"x\"".into(), "\"y,z\"".into(), "\"q\"".into()]));
        assert!(list.match_weakly(Some("\"y,z\"")));
        assert!(!list.match_weakly(Some("\"z\"")));
        assert!(!list.match_weakly(None));
        assert!(Validators::of(&headers(&[("if-none-match", "*")])).unwrap().match_weakly(None));
        assert_eq!(Validators::of(&HeaderMap::new()), None);
    }

    #[test]
    fn trap_7_and_threat_3_a_304_confirms_only_what_it_names() {
        let named = headers(&[("etag", "\"b\"")]);
        let unnamed = HeaderMap::new();
        let not_modified = StatusCode::NOT_MODIFIED;
        assert_eq!(confirmed(&["\"a\"", "W/\"b\""], not_modified, &named), Some(1));
        assert_eq!(confirmed(&["\"a\""], not_modified, &named), None, "it names what was not offered");
        assert_eq!(confirmed(&["\"a\""], not_modified, &unnamed), Some(0), "only one thing can be meant");
        assert_eq!(confirmed(&["\"a\"", "\"b\""], not_modified, &unnamed), None, "no telling which");
        assert_eq!(confirmed(&[], not_modified, &unnamed), None);
        assert_eq!(confirmed(&["\"b\""], StatusCode::OK, &named), None);
    }

    #[test]
    fn threat_3_an_etag_under_a_narrower_vary_is_another_bodys() {
        // Under a Vary without Accept, a body that begins with the Accept value has the same hash: the Vary must be the one
        // that the origin sent.
        let request = headers(&[("accept", "a/b")]);
        assert_eq!(computed(["Accept"], &request, b"{}"), computed(["Cookie"], &request, b"a/b:{}"));
    }

    #[test]
    fn whether_the_formula_holds_is_seen_from_an_answer() {
        let read = fixtures::read("/repos/o/r", &[]);
        let etag = computed(["Accept"], &read.upstream, b"{}");
        let answer = fixtures::headers(&[("etag", &format!("W/{etag}")), ("vary", "Accept")]);
        assert_eq!(formula_holds(&read, &answer, b"{}"), Some(true));
        assert_eq!(formula_holds(&read, &answer, b"{ }"), Some(false));
        assert_eq!(formula_holds(&read, &HeaderMap::new(), b"{}"), None);
    }
}
