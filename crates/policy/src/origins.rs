//! The hosts that requests may go to, and how a request says which of them it means.
//!
//! A request reaches the daemon in one of these shapes, and all of them end at the same [`Target`](crate::Target):
//!
//! | shape | example | sent by |
//! |---|---|---|
//! | origin-form, `Host` of GitHub | `GET /repos/o/r`, `Host: api.github.com` | gh over the unix socket |
//! | origin-form, `Host` of the daemon | `GET /repos/o/r`, `Host: 127.0.0.1:9180` | a base URL in Octokit, PyGithub, curl |
//! | the same below Enterprise paths | `GET /api/v3/repos/o/r`, `POST /api/graphql` | Terraform, Renovate |
//! | absolute-form | `GET http://api.github.localhost/repos/o/r` | gh with `HTTP_PROXY` |
//!
//! This module doesn't resolve names or judge the addresses behind them; it never adds a credential to anything.

mod problem;
mod route;

pub use problem::OriginsProblem;
pub(crate) use route::Routed;

use crate::links::{ApiRoot, Roots};
use http::uri::{Authority, Scheme};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The unix socket.
    Unix,
    /// A TCP port.
    Tcp {
        /// The local address of the accepted connection (not `0.0.0.0`).
        address: SocketAddr,
        /// Whether the listener is bound to loopback, so that only this machine reaches it.
        loopback: bool,
    },
}

/// How a host's paths are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Style {
    /// REST at `/`, GraphQL at `/graphql`: github.com.
    Rooted,
    /// REST at `/api/v3`, GraphQL at `/api/graphql`, uploads at `/api/uploads`: Enterprise Server.
    Enterprise,
    /// Either, as the path says: this daemon's own names.
    Either,
    /// REST below this path, GraphQL at `graphql` below it: behind a proxy.
    Below(String),
}

/// A host that stands for an API.
#[derive(Clone, Debug)]
struct Alias {
    authority: String,
    style: Style,
}

/// One configured origin.
#[derive(Clone, Debug)]
struct Api {
    scheme: Scheme,
    authority: String,
    /// Path before every REST path; empty for github.com.
    rest: String,
    graphql: String,
    /// Authority and path prefix of the upload service.
    uploads: (String, String),
    /// Every authority that means this API, its own first.
    aliases: Vec<Alias>,
    /// What URLs in this API's answers may start with.
    roots: Arc<Roots>,
}

/// A name of the daemon itself: `gateway.names`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    host: String,
    port: Option<u16>,
}

/// The origins and the daemon's own names, validated.
#[derive(Clone, Debug)]
pub struct Origins {
    apis: Vec<Api>,
    names: Vec<Name>,
    /// The daemon's TCP listeners.
    addresses: Vec<SocketAddr>,
}

/// The public GitHub's API.
const GITHUB_API: &str = "api.github.com";
/// The name under which gh calls it in clear text (`GH_HOST=github.localhost`).
const GITHUB_API_LOCALHOST: &str = "api.github.localhost";

impl Origins {
    /// Reads `origin.hosts` (`host` or `host:port` each; empty means `api.github.com`), `origin.url` and `gateway.names`.
    ///
    /// With `url` there is one origin, which every API request goes to; `api.github.com`, `api.github.localhost` and `hosts`
    /// are other names for it.
    ///
    /// # Errors
    /// All problems at once, each naming its setting.
    pub fn new(hosts: &[String], url: Option<&str>, names: Vec<String>) -> Result<Self, Vec<OriginsProblem>> {
        let mut problems = Vec::new();
        let hosts = valid_hosts(hosts, &mut problems);
        let names = valid_names(&names, &mut problems);
        let apis = match url {
            Some(url) => Api::at_url(url, &hosts, &mut problems).into_iter().collect(),
            None => hosts.iter().map(|host| Api::at_host(host)).collect(),
        };
        if problems.is_empty() { Ok(Origins { apis, names, addresses: Vec::new() }) } else { Err(problems) }
    }

    /// Makes the addresses that the daemon listens on names of it over the unix socket too, where the listener itself has none.
    #[must_use]
    pub fn listening_on(self, addresses: Vec<SocketAddr>) -> Self {
        Origins { addresses, ..self }
    }

    /// The canonical authorities of the APIs: the keys under which everything about them is kept.
    pub fn authorities(&self) -> impl Iterator<Item = &str> {
        self.apis.iter().map(|api| api.authority.as_str())
    }

    /// The URL below which the first origin serves REST, without a slash at the end.
    pub fn first_url(&self) -> String {
        self.apis.first().map(|api| format!("{}://{}{}", api.scheme, api.authority, api.rest)).unwrap_or_default()
    }
}

impl Api {
    fn at_host(host: &str) -> Self {
        let style = style_of(host);
        let mut aliases = vec![Alias { authority: host.to_owned(), style: style.clone() }];
        if host == GITHUB_API {
            aliases.push(Alias { authority: GITHUB_API_LOCALHOST.to_owned(), style: Style::Rooted });
        }
        Api::new(Scheme::HTTPS, host, &style, aliases)
    }

    fn at_url(text: &str, hosts: &[String], problems: &mut Vec<OriginsProblem>) -> Option<Self> {
        let url = match valid_url(text) {
            Ok(url) => url,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        let scheme = if url.scheme() == "http" { Scheme::HTTP } else { Scheme::HTTPS };
        let style = match url.path().trim_end_matches('/') {
            "" => Style::Rooted,
            "/api/v3" => Style::Enterprise,
            prefix => Style::Below(prefix.to_owned()),
        };
        let others = [GITHUB_API, GITHUB_API_LOCALHOST].into_iter().chain(hosts.iter().map(String::as_str));
        let mut aliases = vec![Alias { authority: url.authority().to_owned(), style: style.clone() }];
        aliases.extend(others.map(|host| Alias { authority: host.to_owned(), style: style_of(host) }));
        Some(Api::new(scheme, url.authority(), &style, aliases))
    }

    fn new(scheme: Scheme, authority: &str, style: &Style, aliases: Vec<Alias>) -> Self {
        let (rest, graphql) = (style.rest().to_owned(), style.graphql());
        let uploads = match authority.strip_prefix("api.") {
            Some(domain) if *style == Style::Rooted && scheme == Scheme::HTTPS => {
                (format!("uploads.{domain}"), String::new())
            }
            Some(_) | None => (authority.to_owned(), "/api/uploads".to_owned()),
        };
        let roots = Roots {
            rest: aliases.iter().map(|alias| ApiRoot::new(&alias.authority, alias.style.rest())).collect(),
            uploads: ApiRoot::new(&uploads.0, &uploads.1),
        };
        Api { scheme, authority: authority.to_owned(), rest, graphql, uploads, aliases, roots: Arc::new(roots) }
    }
}

impl Style {
    fn rest(&self) -> &str {
        match self {
            Style::Rooted | Style::Either => "",
            Style::Enterprise => "/api/v3",
            Style::Below(prefix) => prefix,
        }
    }

    fn graphql(&self) -> String {
        match self {
            Style::Rooted | Style::Either => "/graphql".to_owned(),
            Style::Enterprise => "/api/graphql".to_owned(),
            Style::Below(prefix) => format!("{prefix}/graphql"),
        }
    }
}

/// github.com, its clear-text name, and Enterprise Cloud with data residency (`api.SUBDOMAIN.ghe.com`) serve REST at the root;
/// every other host is an Enterprise Server. Source: GitHub's "Getting started with the REST API".
fn style_of(host: &str) -> Style {
    let rooted =
        host == GITHUB_API || host == GITHUB_API_LOCALHOST || (host.starts_with("api.") && host.ends_with(".ghe.com"));
    if rooted { Style::Rooted } else { Style::Enterprise }
}

fn valid_hosts(hosts: &[String], problems: &mut Vec<OriginsProblem>) -> Vec<String> {
    if hosts.is_empty() {
        return vec![GITHUB_API.to_owned()];
    }
    let mut valid: Vec<String> = Vec::new();
    for entry in hosts {
        match name(entry).map(|name| name.authority()) {
            Some(host) if host == "github.com" => problems.push(OriginsProblem::HostIsWebsite),
            Some(host) if valid.contains(&host) => problems.push(OriginsProblem::HostRepeated { entry: host }),
            Some(host) => valid.push(host),
            None => problems.push(OriginsProblem::HostMalformed { entry: problem::shown(entry) }),
        }
    }
    valid
}

fn valid_names(names: &[String], problems: &mut Vec<OriginsProblem>) -> Vec<Name> {
    let mut valid = Vec::new();
    for entry in names {
        match name(entry) {
            Some(name) => valid.push(name),
            None => problems.push(OriginsProblem::NameMalformed { entry: problem::shown(entry) }),
        }
    }
    valid
}

fn valid_url(text: &str) -> Result<Url, OriginsProblem> {
    let url = Url::parse(text).map_err(|source| OriginsProblem::UrlMalformed { url: problem::shown(text), source })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OriginsProblem::UrlScheme { scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OriginsProblem::UrlCredentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(OriginsProblem::UrlQuery { url: problem::shown(text) });
    }
    if url.scheme() == "http" && !url.host().is_some_and(|host| is_not_public(&host)) {
        return Err(OriginsProblem::UrlInClear { host: url.host_str().unwrap_or_default().to_owned() });
    }
    Ok(url)
}

/// A host and a port, as in `Host`; `None` for anything else, such as userinfo, a list, or an address in an unusual form.
fn name(text: &str) -> Option<Name> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let port_length = authority.port().map_or(0, |port| port.as_str().len() + 1);
    let complete = authority.as_str().len() == authority.host().len() + port_length;
    (complete && is_host(&host)).then(|| Name { host, port: authority.port_u16() })
}

/// A domain of letters, digits, hyphens and underscores, or an address as it is usually written.
fn is_host(host: &str) -> bool {
    is_surely_host(host) || is_host_to_url_parsers(host)
}

/// What nearly every request has, told without the whole algorithm for internationalised names: a dotted quad, or a domain in
/// plain ASCII whose last label can't be part of an address.
fn is_surely_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    let last_label = host.rsplit('.').next().unwrap_or_default();
    let is_domain = last_label.starts_with(|character: char| character.is_ascii_lowercase())
        && host.bytes().all(plain)
        && !host.contains("xn--");
    is_domain || host.parse::<Ipv4Addr>().is_ok()
}

fn is_host_to_url_parsers(host: &str) -> bool {
    let domain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    (domain || host.starts_with('[')) && Host::parse(host).is_ok_and(|parsed| parsed.to_string() == host)
}

impl Name {
    /// Without the port where it is the default of http or https.
    fn authority(&self) -> String {
        match self.port {
            None | Some(80 | 443) => self.host.clone(),
            Some(port) => format!("{}:{port}", self.host),
        }
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }
}

/// Whether clear text to this host stays on this machine or its own network: loopback, private (RFC 1918), shared (RFC 6598),
/// link-local, unique local (RFC 4193), or a name that must resolve to loopback (RFC 6761).
fn is_not_public<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost" || name.as_ref().ends_with(".localhost"),
        Host::Ipv4(ip) => is_local(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => is_local(IpAddr::V6(*ip)),
    }
}

fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
