//! The pages under `/_ghmesh/`: what they are and who may see them. Such a path is never sent to GitHub.
//!
//! Totals are open to whoever can connect, for probes and scrapers. What names paths, peers or keys is **private**: it needs
//! the unix socket, whose permissions say who may connect, or the admin token. Cross-site requests of browsers were
//! refused before they come here; a rebound DNS name is refused here, by its `Host`.

use crate::config::Config;
use crate::metrics::{self, GatewayTotals};
use crate::rescue::{self, Trouble};
use crate::webhook;
use ghmesh_node::{Body, Node};
use ghmesh_policy::Listener;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Response, StatusCode, Uri, request};
use serde::Serialize;

/// What every path of ours begins with, but for the bare `/_ghmesh`.
const PREFIX: &str = "/_ghmesh";

/// Longest part of a bad value that is repeated in a message, in characters.
const MAX_SHOWN: usize = 100;

/// Why an admin request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("the request has {0} Host headers; it must have exactly one")]
    Hosts(usize),
    #[error(
        "Host {host:?} is not this gateway: a page of /_ghmesh is given to requests for an IP address, localhost or a name in gateway.names"
    )]
    ForeignHost { host: String },
    #[error("there is no {path}; there are: {}", listing())]
    NotFound { path: String },
    #[error("{path} is read with GET or HEAD, not {method}")]
    Method { path: String, method: Method },
    #[error(
        "{path} names peers, paths or keys: ask over the unix socket (curl --unix-socket), or set admin.token and send it as Authorization: Bearer"
    )]
    Private { path: String },
    #[error(
        "{path} names peers, paths or keys: the Authorization header does not hold the admin token (Authorization: Bearer, then admin.token)"
    )]
    Token { path: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Healthz,
    Readyz,
    Stats,
    Metrics,
    Peers,
    Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Open,
    Private,
}

/// The whole table: name below `/_ghmesh/`, page, who may see it.
const PAGES: [(&str, Page, Access); 6] = [
    ("healthz", Page::Healthz, Access::Open),
    ("readyz", Page::Readyz, Access::Open),
    ("stats", Page::Stats, Access::Open),
    ("metrics", Page::Metrics, Access::Open),
    ("peers", Page::Peers, Access::Private),
    ("status", Page::Status, Access::Private),
];

fn listing() -> String {
    let pages = PAGES.map(|(name, ..)| format!("{PREFIX}/{name}")).join(", ");
    format!("{pages}, and for GitHub's deliveries {}", webhook::PATH)
}

/// Whether `path` is ours to answer.
pub(crate) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request for which [`is_ours`].
pub(crate) fn answer(
    head: &request::Parts,
    listener: &Listener,
    config: &Config,
    node: &Node,
    totals: GatewayTotals,
) -> Result<Response<Body>, Trouble> {
    let page = admit(head, listener, config)?;
    Ok(match page {
        Page::Healthz => json(StatusCode::OK, &serde_json::json!({"status": "ok"})),
        Page::Readyz => {
            let readiness = node.ready();
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(status, &readiness)
        }
        Page::Stats => json(StatusCode::OK, &node.stats()),
        Page::Metrics => rescue::text(
            StatusCode::OK,
            metrics::CONTENT_TYPE,
            metrics::render(&node.stats(), node.ready().mesh, totals),
        ),
        Page::Peers => json(StatusCode::OK, &node.peers()),
        Page::Status => json(StatusCode::OK, &node.status()),
    })
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let text = serde_json::to_string(value).expect("our own reports have string keys and no failing serializers");
    rescue::text(status, rescue::JSON, text)
}

/// The page that a request asks for, if it may have it.
fn admit(head: &request::Parts, listener: &Listener, config: &Config) -> Result<Page, AdminError> {
    let path = head.uri.path();
    check_host(&head.uri, &head.headers, listener, &config.names)?;
    let name = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
    let Some(&(_, page, access)) = PAGES.iter().find(|(known, ..)| *known == name) else {
        return Err(AdminError::NotFound { path: shown(path) });
    };
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(AdminError::Method { path: path.to_owned(), method: head.method.clone() });
    }
    match (access, listener) {
        (Access::Open, _) | (Access::Private, Listener::Unix) => Ok(page),
        (Access::Private, Listener::Tcp { .. }) => check_token(&head.headers, config, path).map(|()| page),
    }
}

/// Against DNS rebinding: a page that made a browser resolve its own name to this machine still sends that name. An IP
/// address or `localhost` cannot be rebound; browsers do not reach a unix socket at all.
fn check_host(uri: &Uri, headers: &HeaderMap, listener: &Listener, names: &[String]) -> Result<(), AdminError> {
    let mut hosts = headers.get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(AdminError::Hosts(headers.get_all(HOST).iter().count()));
    }
    if *listener == Listener::Unix {
        return Ok(());
    }
    // RFC 9112 §3.2.2: the absolute form's authority overrides Host. HTTP/1.0 probes may send neither.
    let header = first.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(host) = uri.authority().map(|authority| authority.as_str().into()).or(header) else { return Ok(()) };
    let name = without_port(&host);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let known = |known: &str| name.eq_ignore_ascii_case(known);
    if is_address || known("localhost") || names.iter().any(|ours| known(ours)) {
        Ok(())
    } else {
        Err(AdminError::ForeignHost { host: shown(&host) })
    }
}

/// The start of what a client sent, for a message.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn check_token(headers: &HeaderMap, config: &Config, path: &str) -> Result<(), AdminError> {
    let Some(token) = &config.admin_token else { return Err(AdminError::Private { path: path.to_owned() }) };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let presented = match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes().split_at_checked("Bearer ".len()),
        _ => None,
    };
    match presented {
        Some((scheme, presented)) if scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(presented) => Ok(()),
        _ => Err(AdminError::Token { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::config::AdminToken;
    use http::Request;
    use std::net::SocketAddr;

    const TOKEN: &str = "0123456789abcdef0123";

    fn head(path: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn config(token: Option<&str>) -> Config {
        let admin_token = token.map(|token| AdminToken::new(token.to_owned()));
        Config { admin_token, names: vec!["cache.example".to_owned()], ..Config::default() }
    }

    fn tcp(address: &str) -> Listener {
        let address: SocketAddr = address.parse().unwrap();
        Listener::Tcp { address, loopback: address.ip().is_loopback() }
    }

    #[test]
    fn who_may_see_what() {
        let token = format!("Bearer {TOKEN}");
        let lower = format!("bearer {TOKEN}");
        let wrong = "Bearer 0123456789abcdef0124";
        let open = ["healthz", "readyz", "stats", "metrics"];
        let private = ["peers", "status"];
        for listener in [tcp("127.0.0.1:9180"), tcp("[::1]:9180"), tcp("10.0.0.7:9180"), Listener::Unix] {
            for page in open {
                let head = head(&format!("/_ghmesh/{page}"), &[("host", "127.0.0.1")]);
                assert!(admit(&head, &listener, &config(None)).is_ok(), "{page} on {listener:?}");
            }
            for page in private {
                let path = format!("/_ghmesh/{page}");
                let ask = |authorization: &[(&str, &str)], token| {
                    admit(&head(&path, authorization), &listener, &config(token))
                };
                if listener == Listener::Unix {
                    assert!(ask(&[], None).is_ok());
                    continue;
                }
                assert_eq!(ask(&[], None), Err(AdminError::Private { path: path.clone() }));
                assert_eq!(ask(&[("authorization", &token)], None), Err(AdminError::Private { path: path.clone() }));
                assert!(ask(&[("authorization", &token)], Some(TOKEN)).is_ok());
                assert!(ask(&[("authorization", &lower)], Some(TOKEN)).is_ok());
                let twice = [("authorization", token.as_str()), ("authorization", token.as_str())];
                let basic = format!("Basic {TOKEN}");
                let short = format!("Bearer {}", &TOKEN[1..]);
                for refused in [
                    &[][..],
                    &[("authorization", wrong)],
                    &[("authorization", &basic)],
                    &[("authorization", &short)],
                    &[("authorization", "")],
                    &twice,
                ] {
                    assert_eq!(ask(refused, Some(TOKEN)), Err(AdminError::Token { path: path.clone() }), "{refused:?}");
                }
            }
        }
    }

    #[test]
    fn a_rebound_name_sees_nothing() {
        let listener = tcp("127.0.0.1:9180");
        let ask = |path: &str, host: &str| admit(&head(path, &[("host", host)]), &listener, &config(None));
        for host in [
            "127.0.0.1:9180",
            "127.0.0.1",
            "[::1]:9180",
            "[::1]",
            "localhost",
            "LOCALHOST:80",
            "cache.example:9180",
            "10.1.2.3",
        ] {
            assert_eq!(ask("/_ghmesh/stats", host), Ok(Page::Stats), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:9180",
            "api.github.com",
            "",
            ":",
            "evil:80:80",
        ] {
            assert_eq!(ask("/_ghmesh/stats", host), Err(AdminError::ForeignHost { host: host.to_owned() }));
        }
        assert!(ask("http://evil.example/_ghmesh/stats", "127.0.0.1").is_err(), "the absolute form overrides Host");
        let twice = head("/_ghmesh/stats", &[("host", "127.0.0.1"), ("host", "127.0.0.1")]);
        assert_eq!(admit(&twice, &listener, &config(None)), Err(AdminError::Hosts(2)));
        assert_eq!(admit(&twice, &Listener::Unix, &config(None)), Err(AdminError::Hosts(2)));
        assert_eq!(
            admit(&head("/_ghmesh/stats", &[("host", "api.github.com")]), &Listener::Unix, &config(None)),
            Ok(Page::Stats)
        );
    }

    #[test]
    fn our_paths_and_no_others() {
        for path in ["/_ghmesh", "/_ghmesh/", "/_ghmesh/stats", "/_ghmesh/x/y"] {
            assert!(is_ours(path), "{path}");
        }
        for path in ["/", "/_ghmeshes", "/api/v3/_ghmesh/stats", "/repos/_ghmesh/stats", "/_GHMESH/stats"] {
            assert!(!is_ours(path), "{path}");
        }
    }

    #[test]
    fn unknown_pages_name_the_known_ones_and_methods_are_refused() {
        let ask = |head| admit(&head, &Listener::Unix, &config(None)).unwrap_err();
        for path in
            ["/_ghmesh", "/_ghmesh/", "/_ghmesh/Stats", "/_ghmesh/stats/", "/_ghmesh/../stats", "/_ghmesh/%73tats"]
        {
            let error = ask(head(path, &[]));
            assert!(
                matches!(error, AdminError::NotFound { .. }) && error.to_string().contains("/_ghmesh/readyz"),
                "{error}"
            );
        }
        let mut post = head("/_ghmesh/stats", &[]);
        post.method = Method::POST;
        assert!(matches!(ask(post), AdminError::Method { .. }));
    }
}
