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
    uri: Uri,
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
        let uri = uri(&scheme, authority, &path, query.as_deref())?;
        Ok(Target { scheme, authority: authority.to_owned(), path, query, kind, resource: None, uri })
    }

    /// Says that it is about the object at `host`'s API, `prefix` being where that API starts in this target's path.
    pub(crate) fn about(mut self, host: &str, prefix: &str) -> Self {
        let path = self.path.strip_prefix(prefix).unwrap_or(&self.path);
        let path = if path.is_empty() { "/" } else { path };
        self.resource = Some(Resource { host: host.to_owned(), path: path.to_owned() });
        self
    }

    /// The same with its query's pairs sorted by name; pairs of one name keep their order, which can matter (`ref=a&ref=b`).
    pub(crate) fn with_sorted_query(mut self) -> Result<Self, Refusal> {
        if let Some(query) = &self.query {
            let mut pairs: Vec<&str> = query.split('&').collect();
            pairs.sort_by_key(|pair| name_of(pair));
            let sorted = pairs.join("&");
            self.uri = uri(&self.scheme, &self.authority, &self.path, Some(&sorted))?;
            self.query = Some(sorted);
        }
        Ok(self)
    }

    /// The same with the parameter `name` set, the query's pairs sorted.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Result<Self, Refusal> {
        let pairs = self.query.iter().flat_map(|query| query.split('&')).filter(|pair| name_of(pair) != name);
        let set = format!("{name}={value}");
        let query = pairs.chain([set.as_str()]).collect::<Vec<_>>().join("&");
        Target { query: Some(query), ..self.clone() }.with_sorted_query()
    }

    /// The URL to call.
    pub fn upstream_uri(&self) -> Uri {
        self.uri.clone()
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
    if !uri.path().starts_with('/') {
        return Err(Refusal::TargetMalformed);
    }
    let text = format!("http://any{}{}", uri.path(), suffix(uri.query()));
    let url = Url::parse(&text).map_err(|_| Refusal::TargetMalformed)?;
    Ok((url.path().to_owned(), url.query().filter(|query| !query.is_empty()).map(str::to_owned)))
}

fn suffix(query: Option<&str>) -> String {
    query.map(|query| format!("?{query}")).unwrap_or_default()
}

fn uri(scheme: &Scheme, authority: &str, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let path_and_query = format!("{path}{}", suffix(query));
    let built = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path_and_query).build();
    built.map_err(|_| Refusal::TargetMalformed)
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
        let sorted = target("/x?per_page=2&ref=b&page=1&ref=a").with_sorted_query().unwrap();
        assert_eq!(sorted.query.as_deref(), Some("page=1&per_page=2&ref=b&ref=a"));
        assert_eq!(sorted.upstream_uri(), "https://api.github.com/x?page=1&per_page=2&ref=b&ref=a");
    }

    #[test]
    fn dot_segments_are_resolved_before_anything_looks_at_the_path() {
        assert_eq!(target("/repos/o/r/../../../user").path, "/user");
        assert_eq!(target("/repos/o/r/%2e%2e/s").path, "/repos/o/s");
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
