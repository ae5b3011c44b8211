//! Which requests may be answered from the cache.
//!
//! A read is sent upstream with exactly these headers: `Accept`, `Authorization` and `X-GitHub-Api-Version` as the caller sent
//! them, a constant `User-Agent` and `Accept-Encoding`, and `CDN-Loop`, which no answer depends on. The cache key, the credential and the ETag come from that final
//! request, so what is keyed is what was asked. A client's header is therefore one of three kinds: it is sent; or it is known to
//! change nothing in a read's answer and left out (`LEFT_OUT`); or the request passes through with it, around the cache.

use crate::caller::{Caller, Conditionals, Directives, GH_CACHE_TTL};
use crate::credential::Credential;
use crate::graphql::GraphQlRead;
use crate::headers;
use crate::invalidation;
use crate::links::Base;
use crate::loops::CDN_LOOP;
use crate::origins::{Listener, Origins, Routed};
use crate::refusal::Refusal;
use crate::target::{Target, TargetKind};
use ghmesh_model::{CacheKey, KeyParts, Scope, limits};
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// GitHub's version header: not in `Vary`, so part of the key.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");
/// Headers that are sent with a read, as the caller gave them.
const SENT: [HeaderName; 3] = [header::ACCEPT, header::AUTHORIZATION, API_VERSION];

/// Headers that a read goes without, and that are no reason to bypass the cache: GitHub's answer to a GET doesn't depend on them.
/// A name that ends with `-` stands for all that start with it.
///
/// gh sends `Time-Zone` (for dates that it writes), `Graphql-Features` and a `Content-Type` with every GET. Node's fetch sends
/// `Accept-Language: *` and `Sec-Fetch-Mode`. Proxies and tracers add theirs. Conditionals and directives are answered here.
const LEFT_OUT: [&str; 30] = [
    "accept-encoding",
    "accept-language",
    "baggage",
    "cache-control",
    "cdn-loop",
    "content-length",
    "content-type",
    "date",
    "dnt",
    "forwarded",
    "from",
    "graphql-features",
    "host",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "priority",
    "referer",
    "sec-",
    "sentry-trace",
    "time-zone",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    GH_CACHE_TTL,
    "x-forwarded-",
    "x-octokit-",
    "x-real-ip",
    "x-request-id",
];

/// `policy.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Answer reads from the cache where that is allowed.
    #[default]
    Cache,
    /// Cache nothing: every request passes through.
    Pass,
    /// Never call the origin: what is cached, however stale within the proof's time, or nothing.
    Offline,
}

/// The operator's choices that classification depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyConfig {
    /// `policy.mode`.
    pub mode: Mode,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Plan {
    /// It may be answered from the cache.
    Read(Box<Read>),
    /// It is streamed through.
    Pass(Box<Pass>),
}

/// A request that may be answered from the cache.
#[derive(Clone, Debug)]
pub struct Read {
    /// Where it goes; its query is sorted.
    pub target: Target,
    /// K.
    pub key: CacheKey,
    /// Whose answers it may have.
    pub credential: Credential,
    /// The headers to send with a GET, complete but for `Host`, conditionals included never.
    pub upstream: HeaderMap,
    /// The client sent HEAD: the origin is asked with GET all the same, and the client gets the head alone.
    pub head: bool,
    /// What the client asked of the cache.
    pub caller: Caller,
    /// What is asked, where it is GraphQL: sent with POST, and answered without an ETag. `None` for REST.
    pub graphql: Option<Arc<GraphQlRead>>,
}

impl Read {
    /// The scopes that its answers belong to. Hashed anew at each call: an answer from the cache needs only its entry's.
    pub fn scopes(&self) -> Vec<Scope> {
        match &self.graphql {
            Some(asked) => asked.scopes(&self.target.authority),
            None => invalidation::scopes_of_read(&self.target),
        }
    }

    /// The same read with one parameter of its query set. `None` where that makes no URL.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Option<Read> {
        let target = self.target.with_parameter(name, value)?;
        Some(Read { key: key(&target, &self.upstream), target, ..self.clone() })
    }
}

/// A request that is streamed through.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Where it goes.
    pub target: Target,
    /// The headers to send, complete but for `Host`.
    pub headers: HeaderMap,
    /// Why it isn't a read.
    pub reason: PassReason,
    /// What it may change: to be invalidated unless the outcome is a definite 4xx. Empty for a request that changes nothing;
    /// for GraphQL (see [`PassReason::GraphQl`]) its body tells: see [`crate::Change`].
    pub invalidates: Vec<Scope>,
    /// Safe and without a body: it may be sent again after a failure.
    pub idempotent: bool,
    /// The URL below which the client finds the API, for `Link` and `Location`.
    pub base: Base,
}

/// Why a request is not answered from the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassReason {
    /// A method other than GET and HEAD.
    Method,
    /// GraphQL, which only its body says more about: see [`graphql::classify`](crate::graphql::classify), also for whether it may
    /// be sent in [`Mode::Offline`]. Where its body isn't read, it counts as a mutation.
    GraphQl,
    /// Not the REST API: pages, uploads, archives, assets.
    NotApi,
    /// `policy.mode` is `pass`.
    Mode,
    /// The client said `no-store`.
    NoStore,
    /// A route whose answers are never kept: limits, archives, logs, what the headers tell about a token.
    Route,
    /// A header that may change the answer, or that comes twice.
    Header(HeaderName),
    /// A credential in the query.
    CredentialInQuery,
    /// Path and query have more than [`limits::MAX_TARGET_BYTES`].
    TargetTooLong,
    /// A GET or HEAD with a body.
    Body,
}

impl PassReason {
    /// Why the request goes forward, as RFC 9211 §2.2 names it.
    pub fn forward(&self) -> &'static str {
        match self {
            PassReason::Method | PassReason::GraphQl => "method",
            PassReason::NoStore => "request",
            PassReason::NotApi
            | PassReason::Mode
            | PassReason::Route
            | PassReason::Header(_)
            | PassReason::CredentialInQuery
            | PassReason::TargetTooLong
            | PassReason::Body => "bypass",
        }
    }
}

/// Decides what to do with a request. `granted` tells whether a redirect of GitHub's has lately named an authority.
///
/// # Errors
/// A request that is ambiguous, malformed, or for a host that isn't allowed. What is clear but unusual passes through.
pub fn classify(
    parts: &Parts,
    origins: &Origins,
    listener: &Listener,
    granted: &dyn Fn(&str) -> bool,
    config: &PolicyConfig,
) -> Result<Plan, Refusal> {
    one_meaning(&parts.headers)?;
    let Routed { target, base } = origins.routed(parts, listener, granted)?;
    match pass_reason(parts, &target, config) {
        None => Ok(Plan::Read(Box::new(read(parts, target, base, config)))),
        // Its body may say that it is a read.
        Some(reason) if config.mode == Mode::Offline && reason != PassReason::GraphQl => {
            Err(Refusal::Offline { what: "a request that can't be answered from the cache" })
        }
        Some(reason) => Ok(Plan::Pass(Box::new(pass(parts, target, base, reason)))),
    }
}

/// Refuses what two readers could read differently. Folded lines and several `Content-Length`s never get here: the HTTP parser
/// refuses them.
fn one_meaning(headers: &HeaderMap) -> Result<(), Refusal> {
    headers::nominated(headers)?;
    if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Refusal::AuthorizationRepeated);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Refusal::LengthAmbiguous);
    }
    Ok(())
}

fn pass_reason(parts: &Parts, target: &Target, config: &PolicyConfig) -> Option<PassReason> {
    match target.kind {
        TargetKind::GraphQl => return Some(PassReason::GraphQl),
        TargetKind::Other => return Some(PassReason::NotApi),
        TargetKind::Api => {}
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Some(PassReason::Method);
    }
    if config.mode == Mode::Pass {
        return Some(PassReason::Mode);
    }
    if has_body(&parts.headers) {
        return Some(PassReason::Body);
    }
    target_reason(target).or_else(|| header_reason(&parts.headers))
}

fn target_reason(target: &Target) -> Option<PassReason> {
    if target.length() > limits::MAX_TARGET_BYTES {
        return Some(PassReason::TargetTooLong);
    }
    if target.has_credential_in_query() {
        return Some(PassReason::CredentialInQuery);
    }
    (is_passed_route(target) || invalidation::gives_secret(target)).then_some(PassReason::Route)
}

/// Routes whose answers are about the token (the root, which `gh auth status` reads scopes from, and the limits), or that
/// redirect to an archive or a log elsewhere.
fn is_passed_route(target: &Target) -> bool {
    let path = target.resource.as_ref().map_or("/", |resource| resource.path.as_str());
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let in_repository = match segments.as_slice() {
        [] | ["rate_limit"] => return true,
        ["repos", _, _, rest @ ..] | ["repositories", _, rest @ ..] => rest,
        _ => return segments.ends_with(&["archive"]),
    };
    matches!(
        in_repository,
        ["tarball" | "zipball", ..] | ["actions", "runs" | "jobs", .., "logs"] | ["actions", "artifacts", _, "zip"]
    )
}

fn header_reason(headers: &HeaderMap) -> Option<PassReason> {
    let no_store = || Directives::of(headers).no_store.then_some(PassReason::NoStore);
    unfit_header(headers).map(PassReason::Header).or_else(no_store)
}

/// A header with which a request isn't a read: one that may change the answer, or that can't be keyed.
pub(crate) fn unfit_header(headers: &HeaderMap) -> Option<HeaderName> {
    let nominated = headers::nominated(headers).unwrap_or_default();
    let ends_here = |name: &str| headers::is_hop_by_hop(name) || nominated.iter().any(|nominee| nominee == name);
    let unknown = headers.keys().find(|name| !SENT.contains(name) && !is_left_out(name) && !ends_here(name.as_str()));
    if let Some(name) = unknown.or_else(|| headers.contains_key(header::UPGRADE).then_some(&header::UPGRADE)) {
        return Some(name.clone());
    }
    let is_text = |name: &HeaderName| headers.get_all(name).iter().all(|value| value.to_str().is_ok());
    let is_unusable =
        |name: &HeaderName| !is_text(name) || (*name == API_VERSION && headers.get_all(name).iter().count() > 1);
    [header::ACCEPT, API_VERSION].into_iter().find(is_unusable)
}

fn is_left_out(name: &HeaderName) -> bool {
    let name = name.as_str();
    LEFT_OUT.iter().any(|known| if known.ends_with('-') { name.starts_with(known) } else { name == *known })
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    length.is_some_and(|length| length != "0") || headers.contains_key(header::TRANSFER_ENCODING)
}

fn read(parts: &Parts, target: Target, base: Base, config: &PolicyConfig) -> Read {
    let target = target.with_sorted_query();
    let upstream = upstream(&parts.headers);
    Read {
        key: key(&target, &upstream),
        credential: credential(&upstream),
        head: parts.method == Method::HEAD,
        caller: Caller {
            directives: directives(&parts.headers, config),
            conditionals: Conditionals::of(&parts.headers),
            base,
        },
        upstream,
        target,
        graphql: None,
    }
}

fn key(target: &Target, upstream: &HeaderMap) -> CacheKey {
    let text = |name: HeaderName| upstream.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parts = KeyParts {
        host: &target.authority,
        path: &target.path,
        query: target.query.as_deref().unwrap_or_default(),
        accept: text(header::ACCEPT),
        api_version: text(API_VERSION),
        graphql: None,
    };
    parts.key()
}

/// The final headers of a read.
pub(crate) fn upstream(headers: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::with_capacity(5);
    sent.insert(header::ACCEPT, accept(headers));
    for name in [header::AUTHORIZATION, API_VERSION] {
        if let Some(value) = headers.get(&name).filter(|value| !value.is_empty()) {
            let mut value = value.clone();
            value.set_sensitive(name == header::AUTHORIZATION);
            sent.insert(name, value);
        }
    }
    // "intermediaries […] MUST NOT remove this header field" (RFC 8586 §2)
    for cache in headers.get_all(CDN_LOOP) {
        sent.append(CDN_LOOP, cache.clone());
    }
    // The ETag is a hash of the plain bytes, and so is the body's name here.
    sent.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    sent.insert(header::USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
    sent
}

/// One line, always there: gh sends an empty `Accept`, others `*/*` or none, and all of them get the same. HTTP clients add
/// `*/*` where there is none, and what is sent must be what is keyed and hashed.
fn accept(headers: &HeaderMap) -> HeaderValue {
    let ranges: Vec<&str> = headers::list(headers, header::ACCEPT).filter(|range| !range.is_empty()).collect();
    let joined = ranges.join(", ");
    HeaderValue::from_str(&joined).ok().filter(|value| !value.is_empty()).unwrap_or(HeaderValue::from_static("*/*"))
}

pub(crate) fn credential(upstream: &HeaderMap) -> Credential {
    upstream.get(header::AUTHORIZATION).map_or_else(Credential::anonymous, |value| Credential::new(value.as_bytes()))
}

pub(crate) fn directives(headers: &HeaderMap, config: &PolicyConfig) -> Directives {
    let read = Directives::of(headers);
    match config.mode {
        Mode::Cache | Mode::Pass => read,
        Mode::Offline => Directives { only_if_cached: true, max_stale: Some(Duration::MAX), ..read },
    }
}

fn pass(parts: &Parts, target: Target, base: Base, reason: PassReason) -> Pass {
    Pass {
        headers: passed_headers(&parts.headers),
        invalidates: invalidates(parts, &target),
        idempotent: is_safe(&parts.method) && !has_body(&parts.headers) && !is_overridden(&parts.headers),
        target,
        reason,
        base,
    }
}

fn passed_headers(headers: &HeaderMap) -> HeaderMap {
    let mut sent = headers::end_to_end(headers);
    for name in [header::HOST, header::EXPECT, HeaderName::from_static(GH_CACHE_TTL)] {
        sent.remove(name);
    }
    for name in [header::AUTHORIZATION, header::COOKIE] {
        if let header::Entry::Occupied(mut values) = sent.entry(name) {
            values.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
    // "All API requests MUST include a valid User-Agent header."
    sent.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(crate::USER_AGENT));
    sent
}

fn invalidates(parts: &Parts, target: &Target) -> Vec<Scope> {
    let written = match target.kind {
        TargetKind::GraphQl => is_opaque_body(&parts.headers),
        TargetKind::Api | TargetKind::Other => !is_safe(&parts.method) || is_overridden(&parts.headers),
    };
    if written { invalidation::scopes_of_write(&parts.method, target) } else { Vec::new() }
}

/// "Safe" (RFC 9110 §9.2.1): GET, HEAD, OPTIONS, TRACE.
fn is_safe(method: &Method) -> bool {
    method.is_safe()
}

fn is_overridden(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().contains("method-override") || name == "x-http-method")
}

/// Whether a GraphQL body can't be searched for a mutation as it streams by: compressed, or not in UTF-8.
pub(crate) fn is_opaque_body(headers: &HeaderMap) -> bool {
    let encoded = headers.contains_key(header::CONTENT_ENCODING);
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let charset = content_type.split_once("charset=").map(|(_, charset)| charset.trim_matches('"'));
    encoded || charset.is_some_and(|charset| !charset.starts_with("utf-8"))
}

#[cfg(test)]
mod tests;
