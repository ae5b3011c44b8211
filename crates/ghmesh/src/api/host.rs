//! Which URL an endpoint means on which host, and whose credential may go there. The rules are gh's (`internal/ghinstance`).

use http::Uri;

/// An endpoint that is no URL.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text doesn't parse, even after encoding what URLs can't hold.
    #[error("{url:?} is not a valid URL: {source}")]
    Form {
        /// What was tried.
        url: String,
        /// Why not.
        source: http::uri::InvalidUri,
    },
    /// A user name or password in the URL, which would end up in logs.
    #[error("a URL with a user name in it isn't asked: pass the credential with -H 'Authorization: ...'")]
    UserInfo,
    /// Another scheme than http and https, or no host.
    #[error("{url:?} is not an http or https URL with a host")]
    Scheme {
        /// What was tried.
        url: String,
    },
}

const GITHUB: &str = "github.com";
const LOCALHOST: &str = "github.localhost";
const TENANCY: &str = "ghe.com";

/// gh's own name for a host: subdomains of github.com and github.localhost fold into it, tenants keep theirs.
pub(super) fn normalized(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if let Some(tenant) = host.strip_suffix(TENANCY).and_then(|rest| rest.strip_suffix('.')) {
        let tenant = tenant.rsplit('.').next().unwrap_or(tenant);
        return format!("{tenant}.{TENANCY}");
    }
    for known in [GITHUB, LOCALHOST] {
        if belongs_to(&host, known) {
            return known.to_owned();
        }
    }
    host
}

/// Whether the host is an Enterprise Server, which has its own token variables and paths.
pub(super) fn is_enterprise(host: &str) -> bool {
    let host = normalized(host);
    host != GITHUB && host != LOCALHOST && !belongs_to(&host, TENANCY)
}

/// Whether `host` is `domain` or below it.
pub(super) fn belongs_to(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

/// The absolute URL of an endpoint: a whole URL as it is, `graphql`, or a path below the host's REST root.
pub(super) fn url(host: &str, endpoint: &str) -> Result<Uri, EndpointError> {
    let url = if endpoint.contains("://") {
        endpoint.to_owned()
    } else if endpoint == "graphql" {
        graphql_url(host)
    } else {
        format!("{}{}", rest_root(host), endpoint.trim_start_matches('/'))
    };
    absolute(&url)
}

/// An absolute http or https URL, such as a redirect or a link to the next page.
pub(super) fn absolute(url: &str) -> Result<Uri, EndpointError> {
    let url = encoded(url);
    let uri: Uri = url.parse().map_err(|source| EndpointError::Form { url: url.clone(), source })?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(EndpointError::UserInfo);
    }
    let known_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let named = uri.host().is_some_and(|host| !host.is_empty());
    if known_scheme && named { Ok(uri) } else { Err(EndpointError::Scheme { url }) }
}

fn rest_root(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match normalized(&host).as_str() {
        LOCALHOST => format!("http://api.{LOCALHOST}/"),
        GITHUB => format!("https://api.{GITHUB}/"),
        tenant if belongs_to(tenant, TENANCY) => format!("https://api.{tenant}/"),
        _ => format!("https://{host}/api/v3/"),
    }
}

fn graphql_url(host: &str) -> String {
    if is_enterprise(host) {
        format!("https://{}/api/graphql", host.to_ascii_lowercase())
    } else {
        format!("{}graphql", rest_root(host))
    }
}

/// Percent-encodes what may not stand in a URL (spaces, braces, anything beyond ASCII) and drops a fragment, as Go's URLs do.
fn encoded(url: &str) -> String {
    const FORBIDDEN: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    let url = url.split_once('#').map_or(url, |(url, _fragment)| url);
    percent_encoding::utf8_percent_encode(url, FORBIDDEN).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn endpoints_become_the_urls_gh_asks() {
        for (host, endpoint, expected) in [
            ("github.com", "user", "https://api.github.com/user"),
            ("GitHub.com", "/user", "https://api.github.com/user"),
            ("api.github.com", "user", "https://api.github.com/user"),
            ("github.com", "graphql", "https://api.github.com/graphql"),
            ("github.localhost", "user", "http://api.github.localhost/user"),
            ("ghe.example.com", "user", "https://ghe.example.com/api/v3/user"),
            ("ghe.example.com", "graphql", "https://ghe.example.com/api/graphql"),
            ("acme.ghe.com", "user", "https://api.acme.ghe.com/user"),
            ("acme.ghe.com", "graphql", "https://api.acme.ghe.com/graphql"),
            ("github.com", "https://uploads.github.com/x?y=z", "https://uploads.github.com/x?y=z"),
            ("github.com", "repos/{foo}/é x?q=a|b#frag", "https://api.github.com/repos/%7Bfoo%7D/%C3%A9%20x?q=a%7Cb"),
            ("github.com", "a%2Fb", "https://api.github.com/a%2Fb"),
        ] {
            assert_eq!(url(host, endpoint).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_schemes_and_empty_hosts_are_refused() {
        for endpoint in ["ftp://x/y", "file:///etc/passwd", "https://", "://x", "https://user:pass@api.github.com/x"] {
            assert!(url("github.com", endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn hosts_have_families() {
        assert!(belongs_to("api.github.com", "github.com"));
        assert!(belongs_to("GitHub.com", "github.com"));
        assert!(!belongs_to("evilgithub.com", "github.com"));
        assert!(!belongs_to("github.com.evil.org", "github.com"));
        assert!(is_enterprise("ghe.example.com"));
        assert!(
            !is_enterprise("acme.ghe.com")
                && !is_enterprise("uploads.github.com")
                && !is_enterprise("github.localhost")
        );
    }
}
