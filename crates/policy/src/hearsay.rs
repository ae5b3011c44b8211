//! What is believed of the headers that a member sent with a body.
//!
//! A 304 to an ETag that was computed here proves the body and nothing else: not its `Content-Type`, and not its `Link`. A member
//! that lies about them could have a body shown as a page that runs scripts, or lead a caller that follows pages past some of
//! them or into another repository. So of a member's word remains which relations a list has, with URLs that are made here; and
//! a media type, if it is one that the API answers with and browsers only show. What the 304 tells comes from the 304.

use crate::{Read, pagination, storable};
use ghmesh_model::Representation;

/// The headers that only describe the body.
const BELIEVED: [&str; 4] =
    ["content-language", "content-type", "x-github-api-version-selected", "x-github-media-type"];

/// A member's representation with the headers that may be believed. `None` where it may not be offered at all: the list may go
/// on, and the member left out where or says it otherwise than by a page's number.
pub fn believable(read: &Read, told: &Representation, body: &[u8]) -> Option<Representation> {
    if !storable::is_acceptable(read, &told.headers) || pagination::ends_too_early(read, told, body) {
        return None;
    }
    let of = |wanted: &'static str| told.headers.iter().filter(move |(name, _)| name == wanted);
    let mut types = of("content-type").map(|(_, value)| value.as_str());
    if !types.next().is_some_and(is_only_shown) || types.next().is_some() {
        return None;
    }
    let believed = told.headers.iter().filter(|(name, _)| BELIEVED.contains(&name.as_str())).cloned();
    let mut headers: Vec<_> = believed.collect();
    let links: Vec<&str> = of("link").map(|(_, value)| value.as_str()).collect();
    if !links.is_empty() {
        headers.push(("link".to_owned(), pagination::retold(read, &links.join(", "))?));
    }
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some(Representation { headers, ..told.clone() })
}

fn is_only_shown(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json || essence == "text/plain" || essence.starts_with("application/vnd.github.")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::fixtures::{self, Pair};

    const JSON: Pair<'_> = ("content-type", "application/json; charset=utf-8");

    fn believed(uri: &str, told: &[Pair<'_>], body: &[u8]) -> Option<Vec<(String, String)>> {
        let told = fixtures::entry(told, body).representation;
        believable(&fixtures::read(uri, &[]), &told, body).map(|representation| representation.headers)
    }

    fn owned(pairs: &[Pair<'_>]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_describes_the_body_is_believed() {
        let told = [
            ("cache-control", "max-age=0"),
            JSON,
            ("last-modified", "Thu, 01 Jan 2099 00:00:00 GMT"),
            ("vary", "Nothing"),
            ("x-github-media-type", "github.v3; format=json"),
            ("x-poll-interval", "900"),
        ];
        let expected = [JSON, ("x-github-media-type", "github.v3; format=json")];
        assert_eq!(believed("/repos/o/r", &told, b"{}"), Some(owned(&expected)));
    }

    #[test]
    fn a_type_that_a_browser_would_run_is_refused() {
        for (types, taken) in [
            (vec!["application/json"], true),
            (vec!["application/scim+json"], true),
            (vec!["application/vnd.github.raw; charset=utf-8"], true),
            (vec!["text/plain;charset=utf-8"], true),
            (vec!["text/html; charset=utf-8"], false),
            (vec!["image/svg+xml"], false),
            (vec!["application/json", "text/html"], false),
            (vec![], false),
        ] {
            let told: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
            assert_eq!(believed("/repos/o/r", &told, b"{}").is_some(), taken, "{types:?}");
        }
    }

    #[test]
    fn threat_4_a_members_links_lead_nowhere_but_to_the_next_page_of_the_same_list() {
        let uri = "/repos/o/r/issues?per_page=2&page=3";
        let own = |page: u32| format!("https://api.github.com/repos/o/r/issues?page={page}&per_page=2");
        let at = |url: &str, relation: &str| format!("<{url}>; rel=\"{relation}\"");
        let other = |page: u32| format!("https://api.github.com/repositories/666/issues?per_page=2&page={page}");
        let retold = |told: &str| {
            let headers = believed(uri, &[JSON, ("link", told)], b"[1,2]")?;
            headers.into_iter().find(|(name, _)| name == "link").map(|(_, value)| value)
        };
        assert_eq!(retold(&at(&other(4), "next")), Some(at(&own(4), "next")), "whatever repository it names");
        let all =
            [at(&other(2), "prev"), at(&other(4), "next"), at(&other(9), "last"), at(&other(1), "first")].join(", ");
        let expected = [at(&own(2), "prev"), at(&own(4), "next"), at(&own(9), "last"), at(&own(1), "first")].join(", ");
        assert_eq!(retold(&all), Some(expected));
        assert_eq!(retold(&at(&other(5), "next")), None, "a page is left out");
        assert_eq!(retold(&[at(&other(4), "next"), at(&other(3), "last")].join(", ")), None, "it contradicts itself");
        let cursor = "https://api.github.com/repositories/666/issues?per_page=2&after=abc";
        assert_eq!(retold(&at(cursor, "next")), None, "no number");
        assert_eq!(retold(&at("https://evil.example/?page=4", "next")), None);
    }

    #[test]
    fn what_is_believed_is_what_is_offered() {
        let read = fixtures::read("/repos/o/r", &[]);
        let told = fixtures::entry(&[JSON], b"{}").representation;
        assert_eq!(believable(&read, &told, b"{}").unwrap(), told);
    }
}
