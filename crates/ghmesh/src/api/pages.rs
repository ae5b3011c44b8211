//! Following pages: where the next one is, and how several become one text.

use http::HeaderMap;
use serde_json::Value;

/// The URL that a `Link` header gives for the next page (RFC 8288, in the form GitHub writes it).
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(http::header::LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|(_, parameters)| is_next(parameters)).map(|(url, _)| url.to_owned())
}

/// The links of a header: each URL with the parameters behind it. Commas inside `<…>` are part of the URL.
fn links(header: &str) -> Vec<(&str, &str)> {
    let starts = header.match_indices('<').map(|(start, _)| start);
    let link = |start: usize| {
        let (url, rest) = header.get(start + 1..)?.split_once('>')?;
        Some((url, rest.split_once('<').map_or(rest, |(parameters, _)| parameters)))
    };
    starts.filter_map(link).collect()
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel")
            && value.trim().trim_matches('"').split_whitespace().any(|rel| rel == "next")
    })
}

/// The endpoint with `per_page=100`, unless it, or a field, says how long pages are.
pub(super) fn with_page_size(endpoint: &str) -> String {
    let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
    let sized =
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "per_page" && !value.is_empty());
    match (sized, query.is_empty()) {
        (true, _) => endpoint.to_owned(),
        (false, true) => format!("{path}?per_page={PAGE_SIZE}"),
        (false, false) => format!("{endpoint}&per_page={PAGE_SIZE}"),
    }
}

/// The most that GitHub gives on a page.
const PAGE_SIZE: u8 = 100;

/// The cursor of the first `pageInfo` that has another page; the document is searched in its own order.
pub(super) fn end_cursor(document: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    let info = page_info(&document)?;
    let cursor = info.get("endCursor").and_then(Value::as_str).filter(|cursor| !cursor.is_empty());
    let more = info.get("hasNextPage").and_then(Value::as_bool).unwrap_or(false);
    cursor.filter(|_| more).map(str::to_owned)
}

/// The first object under a key `pageInfo` that says both whether and where it goes on. Recursion is bounded by the parser.
fn page_info(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(list) => list.iter().find_map(page_info),
        Value::Object(object) => object.iter().find_map(|(key, value)| {
            let complete = value.get("hasNextPage").is_some_and(Value::is_boolean)
                && value.get("endCursor").is_some_and(Value::is_string);
            if key == "pageInfo" && complete { Some(value) } else { page_info(value) }
        }),
        _ => None,
    }
}

/// Joins pages that are printed: lists become one list, anything else follows as it is; or, with `--slurp`, a list of pages.
#[derive(Debug)]
pub(super) struct Joiner {
    slurp: bool,
    pages: usize,
    /// A merged list was begun and not yet ended.
    open: bool,
    /// The open list has an element.
    filled: bool,
}

impl Joiner {
    pub(super) fn new(slurp: bool) -> Self {
        Self { slurp, pages: 0, open: false, filled: false }
    }

    /// What to print for a page.
    pub(super) fn page<'a>(&mut self, page: &'a [u8]) -> Vec<&'a [u8]> {
        self.pages += 1;
        if self.slurp {
            return vec![if self.pages == 1 { b"[" } else { b"," }, page];
        }
        match elements(page) {
            Some(elements) => self.list(elements),
            None => {
                let close: &[u8] = self.close();
                vec![close, page]
            }
        }
    }

    fn list<'a>(&mut self, elements: &'a [u8]) -> Vec<&'a [u8]> {
        let start: &[u8] = if self.open { b"" } else { b"[" };
        let comma: &[u8] = if self.filled && !elements.is_empty() { b"," } else { b"" };
        self.open = true;
        self.filled |= !elements.is_empty();
        vec![start, comma, elements]
    }

    /// What to print behind the last page.
    pub(super) fn end(&mut self) -> &'static [u8] {
        match (self.slurp, self.pages) {
            (true, 0) => b"[]",
            (true, _) => b"]",
            (false, _) => self.close(),
        }
    }

    fn close(&mut self) -> &'static [u8] {
        let open = std::mem::take(&mut self.open);
        self.filled = false;
        if open { b"]" } else { b"" }
    }
}

/// What stands between the brackets of a JSON list.
fn elements(page: &[u8]) -> Option<&[u8]> {
    let elements = page.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    Some(elements.trim_ascii())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_any_place() {
        for (header, expected) in [
            (r#"<https://a/?page=2>; rel="next", <https://a/?page=9>; rel="last""#, Some("https://a/?page=2")),
            (
                r#"<https://a/?page=1>; rel="prev", <https://a/?q=a,b&page=3>; rel="next""#,
                Some("https://a/?q=a,b&page=3"),
            ),
            (r#"<https://a/>; rel="first""#, None),
            (r#"<https://a/>; title="x"; rel=next"#, Some("https://a/")),
            ("<https://a/; rel=next", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(http::header::LINK, header.parse().unwrap())]);
            assert_eq!(next_link(&headers).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn pages_are_as_long_as_they_may_be_unless_said() {
        for (endpoint, expected) in [
            ("items", "items?per_page=100"),
            ("items?state=open", "items?state=open&per_page=100"),
            ("items?per_page=6", "items?per_page=6"),
            ("items?per_page=", "items?per_page=&per_page=100"),
        ] {
            assert_eq!(with_page_size(endpoint), expected);
        }
    }

    #[test]
    fn cursors_come_from_the_first_complete_page_info() {
        for (document, expected) in [
            (r#"{"data":{"r":{"pageInfo":{"hasNextPage":true,"endCursor":"C"}}}}"#, Some("C")),
            (r#"{"data":{"r":{"pageInfo":{"hasNextPage":false,"endCursor":"C"}}}}"#, None),
            (r#"{"data":{"r":{"pageInfo":{"hasNextPage":false,"endCursor":null}}}}"#, None),
            (
                r#"{"a":[{"pageInfo":{"hasNextPage":true}},{"pageInfo":{"hasNextPage":true,"endCursor":"D"}}]}"#,
                Some("D"),
            ),
            (r#"{"hasNextPage":true,"endCursor":"C"}"#, None),
            ("oops", None),
        ] {
            assert_eq!(end_cursor(document.as_bytes()).as_deref(), expected, "{document}");
        }
    }

    fn joined(slurp: bool, pages: &[&str]) -> String {
        let mut joiner = Joiner::new(slurp);
        let mut out = Vec::new();
        for page in pages {
            joiner.page(page.as_bytes()).into_iter().for_each(|part| out.extend_from_slice(part));
        }
        out.extend_from_slice(joiner.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_become_one_and_objects_follow_each_other() {
        for (pages, merged, slurped) in [
            (&["[1,2]", "[3]", "[]"][..], "[1,2,3]", "[[1,2],[3],[]]"),
            (&["[]", " [1]\n", "[ ]", "[2]"], "[1,2]", "[[], [1]\n,[ ],[2]]"),
            (&["[]"], "[]", "[[]]"),
            (&[r#"{"x":1}"#, r#"{"x":2}"#], r#"{"x":1}{"x":2}"#, r#"[{"x":1},{"x":2}]"#),
            (&["[1]", r#"{"x":2}"#, "[3]"], r#"[1]{"x":2}[3]"#, r#"[[1],{"x":2},[3]]"#),
            (&[], "", "[]"),
        ] {
            assert_eq!(joined(false, pages), merged);
            assert_eq!(joined(true, pages), slurped);
        }
    }
}
