//! When a 304 can't be trusted to say that a list is complete.
//!
//! The ETag doesn't cover `Link`. If the last page of a list is full and an item is added, the page's body stays the same and
//! the answer is a 304, but a `next` page exists now: a list that is only ever confirmed by 304s would be cut there for good.
//! So a full page without `next` is fetched whole. Pages that GitHub wraps in an object carry a `total_count`, which changes.

use crate::{Read, links};
use ghmesh_model::Entry;

/// Items on a page unless `per_page` says otherwise. Source: GitHub, "Using pagination in the REST API".
const DEFAULT_PER_PAGE: usize = 30;
/// Most items on a page, whatever `per_page` says.
const MAX_PER_PAGE: usize = 100;

/// Whether a 304 for this entry would leave open if the list goes on: it is a full page that names no `next`. A list longer
/// than a page is not paged at all (a directory's contents).
pub fn may_have_grown(read: &Read, entry: &Entry, body: &[u8]) -> bool {
    let mut links = entry.representation.headers.iter().filter(|(name, _)| name == "link");
    if links.any(|(_, value)| links::has_relation(value, "next")) {
        return false;
    }
    let full = per_page(read);
    array_length(body, full + 1) == Some(full)
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
            assert_eq!(may_have_grown(&read(uri, &[]), &entry, &body), whole, "{uri} with {items} items");
            assert_eq!(crate::etag::conditional(&read(uri, &[]), &entry, &body).is_none(), whole, "{uri}");
        }
    }
}
