//! From a request's target and `Host` to the URL that is called.

use super::{Alias, Api, Listener, Name, Origins, Style, is_local, name};
use crate::links::Base;
use crate::refusal::Refusal;
use crate::target::{self, Target, TargetKind};
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, StatusCode, Uri};
use std::net::SocketAddr;

/// GitHub hosts that are no API, each always allowed: device login, uploads, archives.
const GITHUB_HOSTS: [&str; 3] = ["github.com", "uploads.github.com", "codeload.github.com"];
/// Release assets, raw files, avatars, logs.
const GITHUB_CONTENT: &str = ".githubusercontent.com";
/// The name under which gh calls github.com in clear text (`GH_HOST=github.localhost`).
const GITHUB_LOCALHOST: &str = "github.localhost";
/// Longest part of a bad host that is repeated in a message, in characters.
const SHOWN: usize = 100;

/// A request's target, and the base URL by which its caller reached it.
pub(crate) struct Routed {
    pub(crate) target: Target,
    pub(crate) base: Base,
}

/// What a path means in a host's layout, with the rest of the path where it has one.
enum View<'a> {
    Rest(&'a str),
    GraphQl,
    Uploads(&'a str),
    Web,
}

/// Who the request names, before anything is looked up.
struct Named {
    name: Name,
    /// `http` or `https`, as the caller sees it.
    scheme: &'static str,
    absolute: bool,
}

/// A path and a query, normalised.
type PathAndQuery = (String, Option<String>);

impl Origins {
    /// Where a request goes. `granted` tells whether a redirect of GitHub's has lately named an authority (`host` or
    /// `host:port`, lower case).
    ///
    /// # Errors
    /// A host that isn't allowed, or a request that doesn't say clearly which host it means.
    pub fn route(&self, parts: &Parts, listener: &Listener, granted: &dyn Fn(&str) -> bool) -> Result<Target, Refusal> {
        self.routed(parts, listener, granted).map(|routed| routed.target)
    }

    /// The APIs that `authority` may mean, by their canonical authorities: the one that it is a name of, else all.
    pub(crate) fn meant_by(&self, authority: Option<&str>) -> Vec<&str> {
        match authority.and_then(|authority| self.alias(authority)) {
            Some((api, _)) => vec![&api.authority],
            None => self.authorities().collect(),
        }
    }

    pub(crate) fn routed(
        &self,
        parts: &Parts,
        listener: &Listener,
        granted: &dyn Fn(&str) -> bool,
    ) -> Result<Routed, Refusal> {
        if parts.method == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let named = named(parts, listener)?;
        let location = target::normalised(&parts.uri)?;
        let authority = named.name.authority();
        if let Some((api, alias)) = self.alias(&authority) {
            return api.at(&alias.style, &named, location);
        }
        if self.is_own(&named, listener) {
            return self.first()?.at_own_name(&named, location);
        }
        if let Some(api) = self.apis.iter().find(|api| api.uploads.0 == authority) {
            return api.upload(location);
        }
        self.elsewhere(&authority, location, granted)
    }

    /// The authority that an answer of GitHub's redirects to, as `granted` is asked for it later. `None` where the answer is no
    /// redirect or not from GitHub itself (what is named by a granted host is not granted in turn), or where it names an
    /// address that isn't public although GitHub is: nobody outside may choose what is called inside.
    pub fn granted_by(&self, target: &Target, status: StatusCode, response: &HeaderMap) -> Option<String> {
        let from_github = self.apis.iter().any(|api| api.authority == target.authority) || is_github(&target.authority);
        if !status.is_redirection() || !from_github {
            return None;
        }
        let location: Uri = response.get(header::LOCATION)?.to_str().ok()?.parse().ok()?;
        let named = name(location.authority()?.as_str())?;
        let local = named.is_loopback() || named.ip().is_some_and(is_local);
        let origin_is_local = self.apis.iter().any(|api| api.scheme == Scheme::HTTP);
        (!local || origin_is_local).then(|| named.authority())
    }

    fn alias(&self, authority: &str) -> Option<(&Api, &Alias)> {
        let aliases = self.apis.iter().flat_map(|api| api.aliases.iter().map(move |alias| (api, alias)));
        aliases.into_iter().find(|(_, alias)| alias.authority == authority)
    }

    fn first(&self) -> Result<&Api, Refusal> {
        self.apis.first().ok_or(Refusal::HostMissing)
    }

    /// Whether the request names this daemon. A page in a browser can make its own name resolve to loopback (DNS rebinding),
    /// but can't send another name than its own, so that only addresses and configured names count.
    fn is_own(&self, named: &Named, listener: &Listener) -> bool {
        let configured = self
            .names
            .iter()
            .any(|own| own.host == named.name.host && (own.port.is_none() || own.port == named.name.port));
        configured
            || match listener {
                Listener::Unix => self.is_own_over_unix(&named.name),
                Listener::Tcp { address, loopback } => is_address(named, *address, *loopback),
            }
    }

    /// Clients of a unix socket are given a URL without a port (`http://localhost/`), for there is none, or the daemon's own.
    fn is_own_over_unix(&self, name: &Name) -> bool {
        let listens = |address: &SocketAddr| {
            let same_ip = name.ip() == Some(address.ip().to_canonical());
            name.port == Some(address.port()) && (same_ip || name.is_loopback() && is_reached_by_loopback(*address))
        };
        match name.port {
            None | Some(80) => name.is_loopback(),
            Some(_) => self.addresses.iter().any(listens),
        }
    }

    fn elsewhere(
        &self,
        authority: &str,
        (path, query): PathAndQuery,
        granted: &dyn Fn(&str) -> bool,
    ) -> Result<Routed, Refusal> {
        let host = if authority == GITHUB_LOCALHOST { "github.com" } else { authority };
        let known =
            GITHUB_HOSTS.contains(&host) || (host.ends_with(GITHUB_CONTENT) && host.len() > GITHUB_CONTENT.len());
        if !known && !granted(host) {
            return Err(Refusal::HostNotAllowed { host: host.chars().take(SHOWN).collect() });
        }
        let scheme = if known { Scheme::HTTPS } else { self.scheme_of_granted(host) };
        let target = Target::new(scheme, host, path, query, TargetKind::Other)?;
        Ok(Routed { target, base: Base::none() })
    }

    /// Clear text only beside an origin that is spoken to in clear text itself, and only to an address that isn't public.
    fn scheme_of_granted(&self, authority: &str) -> Scheme {
        let in_clear = self.apis.iter().any(|api| api.scheme == Scheme::HTTP);
        let local = name(authority).is_some_and(|name| name.is_loopback() || name.ip().is_some_and(is_local));
        if in_clear && local { Scheme::HTTP } else { Scheme::HTTPS }
    }
}

impl Api {
    fn at(&self, style: &Style, named: &Named, (path, query): PathAndQuery) -> Result<Routed, Refusal> {
        let (view, prefix) = view(style, &path);
        let target = match view {
            View::Rest(rest) => {
                self.target(format!("{}{rest}", self.rest), query, TargetKind::Api)?.about(&self.authority, &self.rest)
            }
            View::GraphQl => self.target(self.graphql.clone(), query, TargetKind::GraphQl)?,
            View::Uploads(rest) => return self.upload((rest.to_owned(), query)),
            View::Web => self.target(path.clone(), query, TargetKind::Other)?,
        };
        Ok(Routed { target, base: self.base(named, prefix) })
    }

    /// The same where the caller named this daemon. GraphQL answers stay as they are: they hold what was asked for, and no URLs
    /// of the API.
    fn at_own_name(&self, named: &Named, location: PathAndQuery) -> Result<Routed, Refusal> {
        let routed = self.at(&Style::Either, named, location)?;
        let base = match routed.target.kind {
            TargetKind::GraphQl => routed.base,
            TargetKind::Api => routed.base.own(),
            // Uploads.
            TargetKind::Other => self.base(named, "/api/v3").own(),
        };
        Ok(Routed { base, ..routed })
    }

    fn base(&self, named: &Named, prefix: &str) -> Base {
        Base::new(format!("{}://{}", named.scheme, named.name.shown()), prefix, self.roots.clone())
    }

    fn target(&self, path: String, query: Option<String>, kind: TargetKind) -> Result<Target, Refusal> {
        Target::new(self.scheme.clone(), &self.authority, path, query, kind)
    }

    fn upload(&self, (path, query): PathAndQuery) -> Result<Routed, Refusal> {
        let (authority, prefix) = &self.uploads;
        let target = Target::new(self.scheme.clone(), authority, format!("{prefix}{path}"), query, TargetKind::Other)?;
        Ok(Routed { target: target.about(&self.authority, prefix), base: Base::none() })
    }
}

impl Name {
    /// As the caller wrote it, port included.
    fn shown(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

fn is_github(host: &str) -> bool {
    GITHUB_HOSTS.contains(&host) || (host.ends_with(GITHUB_CONTENT) && host.len() > GITHUB_CONTENT.len())
}

/// What `path` means in `style`, and the prefix that the caller's own URLs have before a REST path.
fn view<'a>(style: &'a Style, path: &'a str) -> (View<'a>, &'a str) {
    match style {
        Style::Rooted => (rooted(path), ""),
        Style::Enterprise => (enterprise(path).unwrap_or(View::Web), "/api/v3"),
        Style::Either => enterprise(path).map_or_else(|| (rooted(path), ""), |view| (view, "/api/v3")),
        Style::Below(prefix) => match below(path, prefix) {
            Some("/graphql") => (View::GraphQl, prefix),
            Some(rest) => (View::Rest(rest), prefix),
            None => (View::Web, prefix),
        },
    }
}

fn rooted(path: &str) -> View<'_> {
    if path == "/graphql" { View::GraphQl } else { View::Rest(path) }
}

fn enterprise(path: &str) -> Option<View<'_>> {
    if path == "/api/graphql" {
        return Some(View::GraphQl);
    }
    below(path, "/api/v3").map(View::Rest).or_else(|| below(path, "/api/uploads").map(View::Uploads))
}

/// The rest of `path` below `prefix`, which ends at a slash or the end.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_reached_by_loopback(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

fn is_address(named: &Named, address: SocketAddr, loopback: bool) -> bool {
    if named.name.port.unwrap_or(80) != address.port() {
        return false;
    }
    // Beyond loopback an address can be a Service's or a NAT's. It is still no name that a page in a browser can take; in an
    // absolute target it means another machine.
    let own_ip = named.name.ip().is_some_and(|ip| ip == address.ip().to_canonical() || (!loopback && !named.absolute));
    own_ip || named.name.is_loopback()
}

fn named(parts: &Parts, listener: &Listener) -> Result<Named, Refusal> {
    // "When an origin server receives a request with an absolute-form of request-target, the origin server MUST ignore the
    // received Host header field (if any) and instead use the host information of the request-target." (RFC 9112 §3.2.2)
    if parts.headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Refusal::HostRepeated);
    }
    match parts.uri.authority() {
        Some(authority) => absolute(&parts.uri, authority.as_str()),
        None => origin_form(&parts.headers, listener),
    }
}

fn absolute(uri: &Uri, authority: &str) -> Result<Named, Refusal> {
    if authority.contains('@') {
        return Err(Refusal::UserInfo);
    }
    let scheme = match uri.scheme_str() {
        Some("http") => "http",
        Some("https") => "https",
        Some(other) => return Err(Refusal::Scheme { scheme: other.chars().take(SHOWN).collect() }),
        None => return Err(Refusal::TargetMalformed),
    };
    Ok(Named { name: parsed(authority)?, scheme, absolute: true })
}

fn origin_form(headers: &HeaderMap, listener: &Listener) -> Result<Named, Refusal> {
    let host = headers.get(header::HOST).ok_or(Refusal::HostMissing)?;
    let host = host.to_str().map_err(|_| Refusal::HostMalformed { host: "…".to_owned() })?.trim();
    if host.is_empty() {
        return Err(Refusal::HostMissing);
    }
    let name = parsed(host)?;
    let scheme = caller_scheme(&name, headers, listener);
    Ok(Named { name, scheme, absolute: false })
}

/// The scheme of the URL that the caller used. gh writes plain HTTP to the unix socket for `https` URLs; a proxy before the
/// daemon says what it was asked with. It decides how `Link` is written back and nothing else.
fn caller_scheme(name: &Name, headers: &HeaderMap, listener: &Listener) -> &'static str {
    let local = name.is_loopback() || name.host.ends_with(".localhost");
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|value| value == "https");
    if forwarded || (*listener == Listener::Unix && !local) { "https" } else { "http" }
}

fn parsed(host: &str) -> Result<Name, Refusal> {
    if host.contains('@') {
        return Err(Refusal::UserInfo);
    }
    name(host).ok_or_else(|| Refusal::HostMalformed { host: host.chars().take(SHOWN).collect() })
}
