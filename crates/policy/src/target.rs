//! Where a request goes, as it will be sent.

use crate::refusal::Refusal;
use http::Uri;
use http::uri::Scheme;
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;

/// Names of query parameters that carry a credential. GitHub took the first two in queries until 2021 and GHES still may;
/// `token` stands in the download URLs of private files.
const CREDENTIAL_PARAMETERS: [&str; 7] =
    ["access_token", "client_secret", "token", "private_token", "code", "otp", "password"];

/// Most bytes of authority, path and query together: `http` counts a URI's bytes in 16 bits, and the scheme needs some.
const MAX_URI_BYTES: usize = 65_500;

/// What kind of service a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The REST API.
    Api,
    /// The GraphQL endpoint.
    GraphQl,
    /// Anything else: login pages, uploads, archives, assets.
    Other,
}

/// The API object that a request is about, however it is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API's canonical authority.
    pub host: String,
    /// The path below the API's root: `/repos/o/r`, also where the origin serves it under `/api/v3`.
    pub path: String,
}

/// Where a request goes: the parts of the URL that is sent upstream, normalised as a URL parser does (dot segments resolved,
/// unsafe characters percent-encoded), so that what is keyed is what is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `https`, or `http` to an origin on an address that isn't public.
    pub scheme: Scheme,
    /// Host, and port where it is not the scheme's default, in lower case.
    pub authority: String,
    /// Path as sent, with the `/api/v3` of an Enterprise Server.
    pub path: String,
    /// Query as sent; `None` where it is absent or empty.
    pub query: Option<String>,
    /// What it is for.
    pub kind: TargetKind,
    /// The API object that it is about; `None` where there is none (GraphQL, pages, archives).
    pub resource: Option<Resource>,
}

impl Target {
    /// `path` and `query` as [`normalised`] gives them.
    pub(crate) fn new(
        scheme: Scheme,
        authority: &str,
        path: String,
        query: Option<String>,
        kind: TargetKind,
    ) -> Result<Self, Refusal> {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let target = Target { scheme, authority: authority.to_owned(), path, query, kind, resource: None };
        if target.can_be_sent() { Ok(target) } else { Err(Refusal::TargetMalformed) }
    }

    /// Says that it is about the object at `host`'s API, `prefix` being where that API starts in this target's path.
    pub(crate) fn about(mut self, host: &str, prefix: &str) -> Self {
        let path = self.path.strip_prefix(prefix).unwrap_or(&self.path);
        let path = if path.is_empty() { "/" } else { path };
        self.resource = Some(Resource { host: host.to_owned(), path: path.to_owned() });
        self
    }

    /// The same with its query's pairs sorted by name; pairs of one name keep their order, which can matter (`ref=a&ref=b`).
    pub(crate) fn with_sorted_query(mut self) -> Self {
        if let Some(query) = &self.query {
            let mut pairs: Vec<&str> = query.split('&').collect();
            pairs.sort_by_key(|pair| name_of(pair));
            self.query = Some(pairs.join("&"));
        }
        self
    }

    /// The same with the parameter `name` set, the query's pairs sorted. `None` where that is too long to be sent.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Option<Self> {
        let pairs = self.query.iter().flat_map(|query| query.split('&')).filter(|pair| name_of(pair) != name);
        let set = format!("{name}={value}");
        let query = pairs.chain([set.as_str()]).collect::<Vec<_>>().join("&");
        let target = Target { query: Some(query), ..self.clone() }.with_sorted_query();
        target.can_be_sent().then_some(target)
    }

    /// The URL to call.
    pub fn upstream_uri(&self) -> Uri {
        let path_and_query = self.query.as_ref().map(|query| format!("{}?{query}", self.path));
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.as_str())
            .path_and_query(path_and_query.as_deref().unwrap_or(&self.path));
        uri.build().expect("`can_be_sent` was checked when this target was made")
    }

    /// Whether it makes a URI. A normalised path or query has none of the characters that a URI can't have, but what a host's
    /// layout puts before it can make it too long.
    fn can_be_sent(&self) -> bool {
        let is_text =
            |text: &str, without: &[u8]| text.bytes().all(|byte| byte.is_ascii_graphic() && !without.contains(&byte));
        self.path.starts_with('/')
            && is_text(&self.path, b"<>`#?")
            && self.query.as_deref().is_none_or(|query| is_text(query, b"\"<>#"))
            && self.authority.len() + self.length() <= MAX_URI_BYTES
    }

    /// Whether the query carries a credential.
    pub fn has_credential_in_query(&self) -> bool {
        self.query.iter().flat_map(|query| query.split('&')).any(|pair| is_credential(name_of(pair)))
    }

    /// The value of the first parameter called `name`, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pair = self.query.iter().flat_map(|query| query.split('&')).find(|pair| name_of(pair) == name)?;
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// Bytes of path and query.
    pub fn length(&self) -> usize {
        self.path.len() + self.query.as_ref().map_or(0, |query| query.len() + 1)
    }
}

/// `host/path?query`, without the query where that may hold a secret (a signed URL, a token).
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.authority, self.path)?;
        match &self.query {
            Some(query) if self.kind == TargetKind::Api && !self.has_credential_in_query() => write!(f, "?{query}"),
            Some(_) => write!(f, "?…"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:?} {}://{self})", self.kind, self.scheme)
    }
}

/// Path and query as every URL parser on the way writes them: dot segments (also percent-encoded ones) resolved, unsafe
/// characters percent-encoded. Doing it again changes nothing.
pub(crate) fn normalised(uri: &Uri) -> Result<(String, Option<String>), Refusal> {
    let (path, query) = (uri.path(), uri.query().filter(|query| !query.is_empty()));
    if !path.starts_with('/') {
        return Err(Refusal::TargetMalformed);
    }
    if is_normal(path, query) {
        return Ok((path.to_owned(), query.map(str::to_owned)));
    }
    let separator = if query.is_some() { "?" } else { "" };
    let text = format!("http://any{path}{separator}{}", query.unwrap_or_default());
    let url = Url::parse(&text).map_err(|_| Refusal::TargetMalformed)?;
    Ok((url.path().to_owned(), url.query().filter(|query| !query.is_empty()).map(str::to_owned)))
}

/// What nearly every request has, told without parsing: no segment that begins with a dot, only characters that stay as they
/// are.
fn is_normal(path: &str, query: Option<&str>) -> bool {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/".contains(&byte);
    let stays_in_query = |byte: u8| stays(byte) || matches!(byte, b'%' | b'?');
    path.bytes().all(stays) && !path.contains("/.") && query.is_none_or(|query| query.bytes().all(stays_in_query))
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

fn is_credential(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    CREDENTIAL_PARAMETERS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    fn of(kind: TargetKind, url: &str) -> Target {
        let uri: Uri = url.parse().unwrap();
        let (path, query) = normalised(&uri).unwrap();
        Target::new(Scheme::HTTPS, uri.host().unwrap(), path, query, kind).unwrap()
    }

    fn target(path_and_query: &str) -> Target {
        of(TargetKind::Api, &format!("https://api.github.com{path_and_query}"))
    }

    #[test]
    fn a_query_is_sorted_by_name_and_pairs_of_one_name_keep_their_order() {
        let sorted = target("/x?per_page=2&ref=b&page=1&ref=a").with_sorted_query();
        assert_eq!(sorted.query.as_deref(), Some("page=1&per_page=2&ref=b&ref=a"));
        assert_eq!(sorted.upstream_uri(), "https://api.github.com/x?page=1&per_page=2&ref=b&ref=a");
    }

    #[test]
    fn dot_segments_are_resolved_before_anything_looks_at_the_path() {
        assert_eq!(target("/repos/o/r/../../../user").path, "/user");
        assert_eq!(target("/repos/o/r/%2e%2e/s").path, "/repos/o/s");
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_as_it_is(path in "/[a-zA-Z0-9./%_~!$&'()*+,;=:@|^-]{0,16}", query in "[a-z0-9&=%'+?/.:@|^-]{0,8}") {
            let uri: Uri = format!("{path}?{query}").parse().unwrap();
            let url = Url::parse(&format!("http://any{path}?{query}")).unwrap();
            if is_normal(&path, Some(&query)) {
                prop_assert_eq!((url.path(), url.query()), (path.as_str(), Some(query.as_str())));
            }
            let (path, query) = normalised(&uri).unwrap();
            let target = Target::new(Scheme::HTTPS, "a.example", path, query, TargetKind::Api);
            prop_assert!(target.is_ok_and(|target| target.upstream_uri().path() == target.path));
        }

        #[test]
        fn every_target_makes_a_uri(path in "/[!-~]{0,4}", query in "[!-~]{0,4}", long in prop_oneof![Just(0), 65_400..65_520usize]) {
            let path = path + &"a".repeat(long);
            if let Ok(target) = Target::new(Scheme::HTTPS, "a.example", path, Some(query), TargetKind::Api) {
                let uri = target.upstream_uri();
                prop_assert_eq!(uri.path(), target.path);
            }
        }
    }

    #[test]
    fn an_empty_query_is_no_query() {
        assert_eq!(target("/x?").query, None);
    }

    #[test]
    fn parameters_are_read_decoded() {
        assert_eq!(target("/x?per_page=5&q=a%20b").parameter("q").as_deref(), Some("a b"));
        assert_eq!(target("/x?per_page=5").parameter("page"), None);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let signed = of(TargetKind::Other, "https://objects.githubusercontent.com/a?X-Amz-Signature=s3cret");
        assert_eq!(signed.to_string(), "objects.githubusercontent.com/a?…");
        let token = target("/user?Access%5Ftoken=s3cret");
        assert!(!format!("{token:?} {token}").contains("s3cret"));
        assert_eq!(target("/user/repos?page=2").to_string(), "api.github.com/user/repos?page=2");
    }
}
