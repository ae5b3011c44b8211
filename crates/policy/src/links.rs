//! The API's URLs in terms of the URL that the caller used: in `Link` headers (RFC 8288), and in bodies on their way out.
//!
//! Octokit follows `Link` as it stands, and other clients stop paging where its host isn't theirs. So URLs of the API become
//! URLs of the caller's own base; every other URL is left as it is. Kept bodies are never changed, as an ETag is their hash; what
//! a caller of this daemon's own name sees of them is (see [`BodyRewriter`]).

mod body;

pub use body::BodyRewriter;

use crate::headers::split_list;
use std::sync::Arc;

/// Where an API's paths start, on one of its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiRoot {
    authority: String,
    prefix: String,
}

impl ApiRoot {
    pub(crate) fn new(authority: &str, prefix: &str) -> Self {
        ApiRoot { authority: authority.to_owned(), prefix: prefix.to_owned() }
    }
}

/// Where everything of one API starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roots {
    /// REST, on each of its hosts.
    pub(crate) rest: Vec<ApiRoot>,
    /// The service that takes uploads. Without a prefix where it has a host of its own; for nothing where that is empty.
    pub(crate) uploads: ApiRoot,
}

/// The URL below which the caller finds the API, and the roots that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    caller: String,
    /// Bytes of `scheme://authority` in it.
    site_bytes: usize,
    /// The caller named this daemon, not GitHub.
    own: bool,
    roots: Arc<Roots>,
}

/// Below which a caller of this daemon's own name finds the service that takes uploads.
const OWN_UPLOADS: &str = "/api/uploads";

impl Base {
    /// `site` is `scheme://authority`, `prefix` a path without a slash at its end.
    pub(crate) fn new(site: String, prefix: &str, roots: Arc<Roots>) -> Self {
        Base { site_bytes: site.len(), caller: site + prefix, own: false, roots }
    }

    /// The same for a caller that named this daemon, and expects its URLs in bodies.
    pub(crate) fn own(self) -> Self {
        Base { own: true, ..self }
    }

    /// Stands for no API: nothing is rewritten.
    pub(crate) fn none() -> Self {
        Base::new(String::new(), "", Arc::default())
    }

    /// Whether bodies are rewritten for this caller too.
    pub fn rewrites_bodies(&self) -> bool {
        self.own
    }

    /// `scheme://authority[/prefix]`, without a slash at the end; empty where there is nothing to rewrite.
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// `url` below the caller's base, or `None` where it is none of the API's.
    pub fn rewritten(&self, url: &str) -> Option<String> {
        self.below_root(url).map(|rest| format!("{}{rest}", self.caller))
    }

    /// The same for a URL in a body, where uploads are named too.
    fn rewritten_in_body(&self, url: &str) -> Option<String> {
        let uploaded = |rest| format!("{}{OWN_UPLOADS}{rest}", &self.caller[..self.site_bytes]);
        self.rewritten(url).or_else(|| below([&self.roots.uploads], url).map(uploaded))
    }

    /// A `Link` value with the API's URLs rewritten. Everything else stays byte for byte.
    pub fn rewrite_link(&self, value: &str) -> String {
        let mut written = String::with_capacity(value.len() + 64);
        let mut rest = value;
        while let Some((before, url, after)) = next_reference(rest) {
            written.push_str(before);
            written.push('<');
            written.push_str(&self.rewritten(url).unwrap_or_else(|| url.to_owned()));
            written.push('>');
            rest = after;
        }
        written.push_str(rest);
        written
    }

    /// Whether every URL of a `Link` value is a page of the API object at `path`: the same path, or GitHub's other name for it
    /// (`/repositories/ID/…` for `/repos/o/r/…`). A `Link` that a peer sent must be, or it is not used.
    pub fn is_all_pages_of(&self, value: &str, path: &str) -> bool {
        let is_page = |url: &str| self.below_root(url).is_some_and(|rest| is_same_object(path, before_query(rest)));
        let mut rest = value;
        while let Some((_, url, after)) = next_reference(rest) {
            if !is_page(url) {
                return false;
            }
            rest = after;
        }
        true
    }

    /// What follows an API root in `url`: empty, or starting with `/` or `?`.
    pub(crate) fn below_root<'a>(&self, url: &'a str) -> Option<&'a str> {
        below(&self.roots.rest, url)
    }
}

/// What follows the first root that `url` is below.
fn below<'a, 'r>(roots: impl IntoIterator<Item = &'r ApiRoot>, url: &'a str) -> Option<&'a str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let mut below = roots.into_iter().filter(|root| root.authority.eq_ignore_ascii_case(authority));
    below.find_map(|root| path.strip_prefix(root.prefix.as_str()).filter(|rest| starts_path(rest)))
}

fn starts_path(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '?'])
}

fn before_query(path: &str) -> &str {
    path.find(['?', '#']).map_or(path, |end| &path[..end])
}

/// Whether a `Link` value names a page of this relation (`next`, `last`).
pub fn has_relation(value: &str, relation: &str) -> bool {
    split_list(value).any(|link| link.split(';').skip(1).any(|parameter| is_relation(parameter, relation)))
}

/// The URL of the first link with this relation type.
pub(crate) fn url_of<'a>(value: &'a str, relation: &str) -> Option<&'a str> {
    let link = split_list(value).find(|link| has_relation(link, relation))?;
    Some(link.trim().strip_prefix('<')?.split_once('>')?.0)
}

fn is_relation(parameter: &str, relation: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel")
        && value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(relation))
}

/// The text before the next `<reference>` outside of quotes, the reference, and the text after it.
fn next_reference(text: &str) -> Option<(&str, &str, &str)> {
    let mut quoted = false;
    let start = text.find(|character: char| {
        quoted ^= character == '"';
        character == '<' && !quoted
    })?;
    let length = text[start..].find('>')?;
    Some((&text[..start], &text[start + 1..start + length], &text[start + length + 1..]))
}

/// Whether `linked` is `requested`, or the id form of it that GitHub writes into `Link`.
fn is_same_object(requested: &str, linked: &str) -> bool {
    if requested.eq_ignore_ascii_case(linked) {
        return true;
    }
    let (requested, linked) = (segments(requested), segments(linked));
    match (requested.as_slice(), linked.as_slice()) {
        (["repos", _, _, rest @ ..], ["repositories", id, same @ ..]) => is_id(id) && is_equal(rest, same),
        (["orgs", _, "teams", _, rest @ ..], ["organizations", id, "team", team, same @ ..]) => {
            is_id(id) && is_id(team) && is_equal(rest, same)
        }
        (["orgs", _, rest @ ..], ["organizations", id, same @ ..])
        | (["users", _, rest @ ..], ["user", id, same @ ..]) => is_id(id) && is_equal(rest, same),
        _ => false,
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn is_id(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_equal(one: &[&str], other: &[&str]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(caller: &str) -> Base {
        let rest = vec![ApiRoot::new("api.github.com", ""), ApiRoot::new("ghe.example", "/api/v3")];
        Base::new(caller.to_owned(), "", Arc::new(Roots { rest, ..Roots::default() }))
    }

    #[test]
    fn pages_of_the_api_become_pages_of_the_callers_base() {
        let link = r#"<https://api.github.com/repositories/1/issues?page=2>; rel="next", <https://api.github.com/repositories/1/issues?page=5>; rel="last""#;
        let seen = base("http://127.0.0.1:9180/api/v3").rewrite_link(link);
        assert_eq!(
            seen,
            r#"<http://127.0.0.1:9180/api/v3/repositories/1/issues?page=2>; rel="next", <http://127.0.0.1:9180/api/v3/repositories/1/issues?page=5>; rel="last""#
        );
    }

    #[test]
    fn an_enterprise_prefix_is_replaced_with_the_callers() {
        let link = "<https://ghe.example/api/v3/user/repos?page=2>; rel=next";
        assert_eq!(
            base("http://localhost:9180").rewrite_link(link),
            "<http://localhost:9180/user/repos?page=2>; rel=next"
        );
    }

    #[test]
    fn other_urls_stay_as_they_are() {
        for link in [
            "<https://docs.github.com/rest>; rel=deprecation",
            "<https://api.github.com.evil.example/x>; rel=next",
            "<https://user@api.github.com/x>; rel=next",
            "<https://ghe.example/login>; rel=next",
            "<https://ghe.example/api/v3x>; rel=next",
            "<ftp://api.github.com/x>; rel=next",
            r#"</relative>; rel="next"; title="<https://api.github.com/x>""#,
            "<https://api.github.com/unclosed",
            "",
        ] {
            assert_eq!(base("http://localhost:9180").rewrite_link(link), link);
        }
    }

    #[test]
    fn threat_4_a_peers_link_must_name_pages_of_the_same_object() {
        let base = base("http://localhost:9180");
        let link = |url: &str| format!("<{url}>; rel=\"next\"");
        for (path, url, same) in [
            ("/repos/o/r/issues", "https://api.github.com/repos/O/R/issues?page=2", true),
            ("/repos/o/r/issues", "https://api.github.com/repositories/12/issues?page=2", true),
            ("/orgs/o/repos", "https://api.github.com/organizations/9/repos?page=2", true),
            ("/orgs/o/teams/t/members", "https://api.github.com/organizations/9/team/4/members?page=2", true),
            ("/users/u/repos", "https://api.github.com/user/7/repos?page=2", true),
            ("/repos/o/r/issues", "https://api.github.com/repositories/12/pulls?page=2", false),
            ("/repos/o/r/issues", "https://api.github.com/repositories/x/issues?page=2", false),
            ("/repos/o/r/issues", "https://evil.example/repositories/12/issues?page=2", false),
            ("/users/u/repos", "https://api.github.com/user/repos?page=2", false),
        ] {
            assert_eq!(base.is_all_pages_of(&link(url), path), same, "{path} {url}");
        }
    }

    #[test]
    fn relations_are_words_of_rel() {
        assert!(has_relation(r#"<https://a/x?a=1,2>; rel="prev next""#, "next"));
        assert!(has_relation("<https://a/x>; rel=first, <https://a/y>; title=\"a,b\"; REL=NEXT", "next"));
        assert!(!has_relation(r#"<https://a/x?rel=next>; rel="prev""#, "next"));
        assert!(!has_relation("", "next"));
    }
}
