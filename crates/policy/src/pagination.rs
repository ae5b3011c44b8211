//! When a 304 can't be trusted to say that a list is complete.
//!
//! The ETag doesn't cover `Link`. If the last page of a list is full and an item is added, the page's body stays the same and
//! the answer is a 304, but a `next` page exists now: a list that is only ever confirmed by 304s would be cut there for good.
//! So after a 304 to a full page without `next` the page behind it is asked for with the ETag of an empty list, at no cost
//! either; if that is not confirmed, the page is fetched whole. Pages that GitHub wraps in an object carry a `total_count`,
//! which changes.

use crate::{Read, links};
use ghmesh_model::Representation;
use serde::Deserialize;

/// Items on a page unless `per_page` says otherwise. Source: GitHub, "Using pagination in the REST API".
const DEFAULT_PER_PAGE: usize = 30;
/// Most items on a page, whatever `per_page` says.
const MAX_PER_PAGE: usize = 100;
/// Parameters that say where a page starts otherwise than by a number.
const CURSORS: [&str; 3] = ["after", "before", "cursor"];

/// Whether a 304 for this representation would leave open if the list goes on: it is a full page that names no `next`. A list
/// longer than a page is not paged at all (a directory's contents).
pub fn may_have_grown(read: &Read, representation: &Representation, body: &[u8]) -> bool {
    let full = per_page(read);
    !names_next(representation) && array_length(body, full + 1) == Some(full)
}

/// Whether a representation from a member could cut a list short: it names no `next` although there may be one.
pub fn ends_too_early(read: &Read, representation: &Representation, body: &[u8]) -> bool {
    may_have_grown(read, representation, body) || (!names_next(representation) && counts_more(read, body))
}

/// The read of the page after this one. `None` where pages have no numbers.
pub fn next_page(read: &Read) -> Option<Read> {
    if has_cursor(read) {
        return None;
    }
    let next = page(read).checked_add(1)?;
    read.with_parameter("page", &next.to_string())
}

/// A member's `Link` to the pages of a list, with URLs made here: of its word remains which relations there are, and the number
/// of the last page. `None` where its pages have no numbers, or other ones than they must have.
pub(crate) fn retold(read: &Read, link: &str) -> Option<String> {
    let here = page(read);
    let told = ["prev", "next", "last", "first"].into_iter().filter(|relation| links::has_relation(link, relation));
    let retold: Option<Vec<String>> = told
        .map(|relation| {
            let number = number_in(links::url_of(link, relation)?)?;
            let fits = match relation {
                "prev" => number.checked_add(1) == Some(here),
                "next" => here.checked_add(1) == Some(number),
                "first" => number == 1,
                _ => number >= here + usize::from(links::has_relation(link, "next")),
            };
            let page = read.with_parameter("page", &number.to_string()).filter(|_| fits && !has_cursor(read))?;
            Some(format!("<{}>; rel=\"{relation}\"", page.target.upstream_uri()))
        })
        .collect();
    retold.map(|links| links.join(", "))
}

/// The page's number in a URL.
fn number_in(url: &str) -> Option<usize> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("page=")).and_then(|number| number.parse().ok())
}

fn has_cursor(read: &Read) -> bool {
    CURSORS.iter().any(|cursor| read.target.parameter(cursor).is_some())
}

fn names_next(representation: &Representation) -> bool {
    let mut links = representation.headers.iter().filter(|(name, _)| name == "link");
    links.any(|(_, value)| links::has_relation(value, "next"))
}

/// A page that GitHub wraps in an object: whether the count in it is more than this page and those before it can hold.
fn counts_more(read: &Read, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wrapped {
        total_count: u64,
    }
    let held = (page(read) as u64).saturating_mul(per_page(read) as u64);
    serde_json::from_slice::<Wrapped>(body).is_ok_and(|wrapped| wrapped.total_count > held)
}

fn page(read: &Read) -> usize {
    read.target.parameter("page").and_then(|value| value.parse().ok()).unwrap_or(1)
}

fn per_page(read: &Read) -> usize {
    let asked = read.target.parameter("per_page").and_then(|value| value.parse().ok());
    asked.unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE)
}

/// How many items a JSON array has, counted up to `enough`; `None` where the body is no array. One pass, no allocation.
fn array_length(body: &[u8], enough: usize) -> Option<usize> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if body[start] != b'[' {
        return None;
    }
    let mut scan = Scan::default();
    for byte in &body[start + 1..] {
        if scan.is_over(*byte) || scan.items() >= enough {
            break;
        }
    }
    Some(scan.items())
}

/// Counts the commas between the items of an array.
#[derive(Default)]
struct Scan {
    depth: usize,
    commas: usize,
    quoted: bool,
    escaped: bool,
    started: bool,
}

impl Scan {
    fn items(&self) -> usize {
        if self.started { self.commas + 1 } else { 0 }
    }

    /// Takes one byte; true at the end of the array.
    fn is_over(&mut self, byte: u8) -> bool {
        if self.quoted {
            self.in_string(byte);
            return false;
        }
        match byte {
            b']' | b'}' if self.depth == 0 => return true,
            b']' | b'}' => self.depth -= 1,
            b'[' | b'{' => self.depth += 1,
            b',' if self.depth == 0 => self.commas += 1,
            b'"' => self.quoted = true,
            _ => {}
        }
        self.started |= !byte.is_ascii_whitespace();
        false
    }

    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.quoted = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::fixtures::{entry, read};

    #[test]
    fn items_of_an_array_are_counted() {
        for (body, items) in [
            ("[]", Some(0)),
            (" [ ] ", Some(0)),
            ("[1]", Some(1)),
            ("[{\"a\":[1,2]},{\"b\":\"x,]\\\",\"}]", Some(2)),
            ("[1,2,3", Some(3)),
            ("{\"total_count\":1,\"items\":[1]}", None),
            ("", None),
            ("\"[1,2]\"", None),
        ] {
            assert_eq!(array_length(body.as_bytes(), 100), items, "{body}");
        }
        assert_eq!(array_length("[1,2,3,4]".as_bytes(), 2), Some(2), "no further than needed");
    }

    #[test]
    fn threat_4_a_full_page_without_next_is_never_confirmed_by_a_304_alone() {
        let list = |items: usize| format!("[{}]", vec!["1"; items].join(",")).into_bytes();
        let prev = ("link", "<https://api.github.com/x?page=1>; rel=\"prev\"");
        let next = ("link", "<https://api.github.com/x?page=3>; rel=\"next\"");
        for (uri, items, link, whole) in [
            ("/repos/o/r/issues", 30, None, true),
            ("/repos/o/r/issues", 29, None, false),
            ("/repos/o/r/issues?page=2", 30, Some(prev), true),
            ("/repos/o/r/issues?page=2", 30, Some(next), false),
            ("/repos/o/r/issues?per_page=5", 5, None, true),
            ("/repos/o/r/issues?per_page=100", 100, None, true),
            ("/repos/o/r/issues?per_page=1000", 100, None, true),
            ("/repos/o/r/issues?per_page=x", 30, None, true),
            ("/repos/o/r/contents/src", 31, None, false),
        ] {
            let body = list(items);
            let entry = entry(link.as_slice(), &body);
            assert_eq!(
                may_have_grown(&read(uri, &[]), &entry.representation, &body),
                whole,
                "{uri} with {items} items"
            );
        }
    }

    #[test]
    fn threat_4_a_members_link_never_ends_a_pagination() {
        let next = ("link", "<https://api.github.com/x?page=2>; rel=\"next\"");
        let wrapped = |count: u64| format!("{{\"total_count\":{count},\"items\":[1]}}").into_bytes();
        for (uri, body, link, early) in [
            ("/repos/o/r/actions/runs", wrapped(31), None, true),
            ("/repos/o/r/actions/runs", wrapped(31), Some(next), false),
            ("/repos/o/r/actions/runs", wrapped(30), None, false),
            ("/repos/o/r/actions/runs?page=2", wrapped(60), None, false),
            ("/repos/o/r/actions/runs?page=2&per_page=10", wrapped(21), None, true),
            ("/repos/o/r/issues?per_page=2", b"[1,2]".to_vec(), None, true),
            ("/repos/o/r/issues?per_page=2", b"[1]".to_vec(), None, false),
            ("/repos/o/r", b"{}".to_vec(), None, false),
        ] {
            let entry = entry(link.as_slice(), &body);
            assert_eq!(ends_too_early(&read(uri, &[]), &entry.representation, &body), early, "{uri}");
        }
    }

    #[test]
    fn the_page_behind_one_is_another_key() {
        let target = |uri: &str| next_page(&read(uri, &[])).map(|read| read.target.to_string());
        assert_eq!(
            target("/repos/o/r/issues?page=2&per_page=5").unwrap(),
            "api.github.com/repos/o/r/issues?page=3&per_page=5"
        );
        assert_eq!(target("/repos/o/r/issues").unwrap(), "api.github.com/repos/o/r/issues?page=2");
        assert_eq!(target("/repos/o/r/issues?after=abc"), None);
        assert_eq!(target(&format!("/repos/o/r/issues?page={}", usize::MAX)), None);
        let page = read("/repos/o/r/issues?page=2", &[]);
        assert_eq!(next_page(&read("/repos/o/r/issues", &[])).unwrap().key, page.key);
    }
}
