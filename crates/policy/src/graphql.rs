//! GraphQL: which requests are reads that may be answered from the cache, and what the others change.
//!
//! GitHub has one GraphQL endpoint, `POST /graphql`. Its body is a JSON object around a document in a language of its own, with
//! one or more operations, of which one runs. [`classify()`] reads both. What runs is a [`GraphQlRead`] if it is a query that says
//! clearly what it wants; it is then sent in its canonical form, so that what is keyed is what is asked: equal queries are equal
//! whatever their spaces, commas and comments. Everything else is a [`NotRead`] and passes through as it came.
//!
//! GraphQL answers have no ETag: no other credential's answer can be confirmed, and a stale one is fetched whole.
//! Sources: the GraphQL specification (September 2025), and GitHub's GraphQL documentation.

mod answer;
mod document;
mod envelope;
mod json;
mod mutation;
mod names;

pub use answer::{NotKept, denial, is_limited, keepable};
pub use mutation::Mutation;

use crate::caller::{Caller, Conditionals, Directives};
use crate::classify::{self, API_VERSION, Mode, Pass, PolicyConfig, Read};
use crate::invalidation;
use crate::target::Target;
use bytes::Bytes;
use document::{Document, Kind};
use envelope::Envelope;
use ghmesh_model::{CacheKey, GraphQlParts, KeyParts, Scope, limits};
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use json::Json;
use names::Names;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Largest request that is looked at, in bytes of body (256 KiB). A larger one passes through. gh's largest have 8 KiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long an answer is fresh: half of what GitHub gives REST, as a GraphQL answer shows more that may change. A guess.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// Switches parts of the schema on; gh sends it.
const FEATURES: HeaderName = HeaderName::from_static("graphql-features");
/// By which days begin and end; gh sends it.
const TIME_ZONE: HeaderName = HeaderName::from_static("time-zone");
/// Most repositories, logins and node ids whose scopes an answer belongs to. One that names more belongs to any repository's.
const MAX_NAMED: usize = 4;

/// A query, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct GraphQlRead {
    /// The document: the operation that runs and the fragments that it uses, canonical.
    pub document: String,
    /// The operation's name; empty where it has none.
    pub operation: String,
    /// The variables, canonical JSON; `{}` where there are none.
    pub variables: String,
    /// The body to send upstream, with [`Read::upstream`].
    pub body: Bytes,
    names: Names,
}

/// Why a GraphQL request passes through. An everyday outcome, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// It changes something: see [`Mutation::touched`].
    #[error("a mutation")]
    Mutation(Box<Mutation>),
    /// GitHub has none; whatever it is, its answer isn't one value.
    #[error("a subscription")]
    Subscription,
    /// It asks for `rateLimit`: an answer to this request alone.
    #[error("it asks for the rate limit")]
    RateLimit,
    /// Not POST.
    #[error("a method other than POST")]
    Method,
    /// Parameters in the URL, which may be part of the request.
    #[error("parameters in the URL")]
    UrlQuery,
    /// Neither UTF-8 nor plain JSON by its headers.
    #[error("the headers don't say plain JSON")]
    ContentType,
    /// More than [`MAX_BODY_BYTES`].
    #[error("the body is too large")]
    TooLarge,
    /// The body isn't JSON.
    #[error("the body isn't JSON")]
    Json,
    /// JSON that two readers may understand differently, or with more than a query, a name and variables.
    #[error("the body has more than one meaning, or members other than query, operationName and variables")]
    Ambiguous,
    /// The document isn't GraphQL.
    #[error("the document isn't executable GraphQL")]
    Syntax,
    /// The document is nested too deeply.
    #[error("the document is nested too deeply")]
    TooDeep,
    /// The document has too many tokens.
    #[error("the document has too many tokens")]
    TooManyTokens,
    /// None or several operations, and no name that says which.
    #[error("it isn't clear which operation runs")]
    Operation,
    /// A fragment that is unknown, not used, defined twice, or that spreads itself.
    #[error("its fragments don't fit together")]
    Fragments,
    /// `policy.mode` is `pass`.
    #[error("nothing is cached")]
    Mode,
    /// The client said `no-store`.
    #[error("the client said no-store")]
    NoStore,
    /// A header that may change the answer, or that comes twice.
    #[error("header {0}")]
    Header(HeaderName),
}

/// Reads a request whose head [`classify()`](classify::classify) passed as GraphQL. `body` is all of it.
///
/// # Errors
/// [`NotRead`]: stream it through as it came, and invalidate [`NotRead::touched`].
pub fn classify(parts: &Parts, pass: &Pass, body: &[u8], config: &PolicyConfig) -> Result<Read, NotRead> {
    is_plain(parts, &pass.target, body)?;
    let envelope = Envelope::of(body)?;
    let document = Document::of(&envelope.document, envelope.operation.as_deref())?;
    match document.kind {
        Kind::Query => {}
        Kind::Mutation => return Err(NotRead::Mutation(Box::new(Mutation::of(&document, &envelope.variables)))),
        Kind::Subscription => return Err(NotRead::Subscription),
    }
    if names::asks_for(&document, "rateLimit") {
        return Err(NotRead::RateLimit);
    }
    headers_fit(&parts.headers, config)?;
    Ok(read(parts, pass, GraphQlRead::of(&document, &envelope.variables), config))
}

fn is_plain(parts: &Parts, target: &Target, body: &[u8]) -> Result<(), NotRead> {
    if parts.method != Method::POST {
        return Err(NotRead::Method);
    }
    if target.query.is_some() {
        return Err(NotRead::UrlQuery);
    }
    if !is_json(&parts.headers) {
        return Err(NotRead::ContentType);
    }
    if body.len() > MAX_BODY_BYTES { Err(NotRead::TooLarge) } else { Ok(()) }
}

/// `application/json`, in UTF-8 and not compressed.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !classify::is_opaque_body(headers)
}

fn headers_fit(headers: &HeaderMap, config: &PolicyConfig) -> Result<(), NotRead> {
    if config.mode == Mode::Pass {
        return Err(NotRead::Mode);
    }
    if let Some(name) = classify::unfit_header(headers).or_else(|| unfit_here(headers)) {
        return Err(NotRead::Header(name));
    }
    if Directives::of(headers).no_store { Err(NotRead::NoStore) } else { Ok(()) }
}

/// A condition on a POST asks whether to perform it (RFC 9110 §13.1.2).
fn unfit_here(headers: &HeaderMap) -> Option<HeaderName> {
    let conditional =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE].into_iter().find(|name| headers.contains_key(name));
    let is_one_text = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().is_none_or(|value| value.to_str().is_ok()) && values.next().is_none()
    };
    conditional.or_else(|| [FEATURES, TIME_ZONE].into_iter().find(|name| !is_one_text(name)))
}

fn read(parts: &Parts, pass: &Pass, asked: GraphQlRead, config: &PolicyConfig) -> Read {
    let upstream = upstream(&parts.headers);
    Read {
        key: asked.key(&pass.target, &upstream),
        credential: classify::credential(&upstream),
        head: false,
        caller: Caller {
            directives: classify::directives(&parts.headers, config),
            conditionals: Conditionals::default(),
            base: pass.base.clone(),
        },
        upstream,
        target: pass.target.clone(),
        graphql: Some(Arc::new(asked)),
    }
}

fn upstream(headers: &HeaderMap) -> HeaderMap {
    let mut sent = classify::upstream(headers);
    sent.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in [FEATURES, TIME_ZONE] {
        if let Some(value) = headers.get(&name).filter(|value| !value.is_empty()) {
            sent.insert(name, value.clone());
        }
    }
    sent
}

impl GraphQlRead {
    fn of(document: &Document, variables: &BTreeMap<String, Json>) -> Self {
        let names = Names::of(document, variables);
        let variables = serde_json::to_string(variables).expect("texts are the only names in it");
        let (text, operation) = (document.text(), document.name.clone());
        GraphQlRead { body: body(&text, &operation, &variables), document: text, operation, variables, names }
    }

    /// K. `upstream` is what is sent.
    fn key(&self, target: &Target, upstream: &HeaderMap) -> CacheKey {
        let text = |name: HeaderName| upstream.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let graphql = GraphQlParts {
            document: &self.document,
            operation: &self.operation,
            variables: &self.variables,
            features: text(FEATURES),
            time_zone: text(TIME_ZONE),
        };
        let key = KeyParts {
            host: &target.authority,
            path: &target.path,
            query: "",
            accept: text(header::ACCEPT),
            api_version: text(API_VERSION),
            graphql: Some(graphql),
        };
        key.key()
    }

    /// The scopes that its answers belong to, on the API at `host`: at most [`limits::MAX_SCOPES`], the host's first. The node
    /// ids in an answer name more.
    pub fn scopes(&self, host: &str) -> Vec<Scope> {
        let mut scopes = vec![invalidation::host_scope(host), invalidation::graphql_of_host(host)];
        if self.is_open() {
            scopes.push(invalidation::graphql_without_repository(host));
        }
        let mut paths = vec!["/repos".to_owned()];
        for login in self.names.logins.iter().take(MAX_NAMED) {
            paths.extend(["repos", "orgs", "users"].map(|root| format!("/{root}/{login}")));
        }
        for (owner, name) in self.names.repositories.iter().take(MAX_NAMED) {
            paths.push(format!("/repos/{owner}/{name}"));
            scopes.push(invalidation::graphql_of_repository(host, owner, name));
        }
        scopes.extend(paths.iter().map(|path| Scope::of(host, path)));
        scopes.extend(self.names.node_ids.iter().take(MAX_NAMED).map(|id| invalidation::node_scope(host, id)));
        debug_assert!(scopes.len() <= limits::MAX_SCOPES);
        scopes
    }

    /// Owner and name of the repositories that it names.
    pub fn repositories(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.repositories.iter().map(|(owner, name)| (owner.as_str(), name.as_str()))
    }

    /// Whether a change to any repository may show in it.
    fn is_open(&self) -> bool {
        let names = [self.names.repositories.len(), self.names.logins.len(), self.names.node_ids.len()];
        self.names.open || names.iter().any(|count| *count > MAX_NAMED)
    }
}

/// Shows no variables: they may hold what nobody else should read.
impl fmt::Debug for GraphQlRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GraphQlRead({:?}, {} bytes)", self.operation, self.body.len())
    }
}

impl NotRead {
    /// The scopes that the request may have changed on `target`'s host, given its body and, where it is known and whole, the
    /// body of its answer. What couldn't be read counts as a mutation if it mentions one.
    pub fn touched(&self, target: &Target, body: &[u8], answer: Option<&[u8]>) -> Vec<Scope> {
        let everything = || vec![invalidation::host_scope(&target.authority)];
        match self {
            NotRead::Mutation(mutation) => mutation.touched(&target.authority, answer),
            NotRead::UrlQuery | NotRead::TooLarge => everything(),
            NotRead::Subscription | NotRead::RateLimit | NotRead::Mode | NotRead::NoStore | NotRead::Header(_) => {
                Vec::new()
            }
            NotRead::Method
            | NotRead::ContentType
            | NotRead::Json
            | NotRead::Ambiguous
            | NotRead::Syntax
            | NotRead::TooDeep
            | NotRead::TooManyTokens
            | NotRead::Operation
            | NotRead::Fragments => {
                if invalidation::graphql_may_mutate(body) {
                    everything()
                } else {
                    Vec::new()
                }
            }
        }
    }
}

/// The request that is sent.
fn body(document: &str, operation: &str, variables: &str) -> Bytes {
    let text = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let mut body = format!("{{\"query\":{}", text(document));
    if !operation.is_empty() {
        body += &format!(",\"operationName\":{}", text(operation));
    }
    if variables != "{}" {
        body += &format!(",\"variables\":{variables}");
    }
    Bytes::from(body + "}")
}

#[cfg(test)]
mod tests;
