//! Which answers may be kept, and which of their headers.
//!
//! Headers alone never decide: GitHub marks an answer that holds a fresh token `public, max-age=60`. So only answers to reads
//! are looked at here, only successes, and only with a content type that the API answers with.

use crate::credential::CredentialKind;
use crate::graphql::{self, NotKept};
use crate::{Read, caller, headers, invalidation, json};
use ghmesh_model::limits;
use http::StatusCode;
use http::header::{self, HeaderMap};

/// The headers that may be kept and given to other callers of the same representation, in lower case. Not in it, so never
/// kept: quotas (`x-ratelimit-*`), what they tell about a token (`x-oauth-*`, `x-accepted-*`, its expiration), cookies, ETags
/// (a hash over the credential), request ids, and dates, which entries hold themselves.
const SHAREABLE: [&str; 13] = [
    "cache-control",
    "content-language",
    "content-type",
    "deprecation",
    "last-modified",
    "link",
    "sunset",
    "vary",
    "warning",
    "x-github-api-version-selected",
    "x-github-enterprise-version",
    "x-github-media-type",
    "x-poll-interval",
];

/// Those of them that say something about an answer to GraphQL.
const GRAPHQL_SHAREABLE: [&str; 3] = ["content-type", "x-github-enterprise-version", "x-github-media-type"];

/// An answer that may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The headers to keep (names in lower case), in the order received.
    pub headers: Vec<(String, String)>,
    /// Whether peers may have it too, for the same credential.
    pub shareable_beyond_node: bool,
}

/// Why an answer is not kept. An everyday outcome, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// Not 200: errors, redirects and "not ready" are never data.
    #[error("the status is {0}, not 200")]
    Status(StatusCode),
    /// `Cache-Control: no-store`, from either side.
    #[error("no-store")]
    NoStore,
    /// It sets a cookie, so it is for one session.
    #[error("it sets a cookie")]
    SetCookie,
    /// Neither JSON nor text.
    #[error("the content type is neither JSON nor text")]
    ContentType,
    /// Compressed although that was not asked for: what is kept must be what GitHub hashed.
    #[error("it has a content encoding")]
    Encoded,
    /// More than [`limits::MAX_BODY_BYTES`].
    #[error("{length} bytes are more than an entry may have")]
    TooLarge {
        /// Bytes of body.
        length: u64,
    },
    /// `Vary: *`, or headers that are too many, too long or not text.
    #[error("the headers can't be kept: {name}")]
    Headers {
        /// Which header, or why.
        name: &'static str,
    },
    /// It makes a secret.
    #[error("the route gives out secrets")]
    Secret,
    /// It holds a token.
    #[error("it holds a token")]
    Token,
    /// It is GraphQL's, and says so in its body.
    #[error(transparent)]
    GraphQl(#[from] NotKept),
}

/// Decides about an answer to `read`, before its body has been read: a body that turns out longer than
/// [`limits::MAX_BODY_BYTES`] is not kept either, nor one that [`keepable`] refuses.
///
/// # Errors
/// [`NotStored`]: pass it on and keep nothing.
pub fn storable(read: &Read, status: StatusCode, response: &HeaderMap) -> Result<Keep, NotStored> {
    if status != StatusCode::OK {
        return Err(NotStored::Status(status));
    }
    if invalidation::gives_secret(&read.target) {
        return Err(NotStored::Secret);
    }
    if read.caller.directives.no_store || headers::cache_control(response).any(|(name, _)| name == "no-store") {
        return Err(NotStored::NoStore);
    }
    if response.contains_key(header::SET_COOKIE) {
        return Err(NotStored::SetCookie);
    }
    body_is_plain(response)?;
    if headers::list(response, header::VARY).any(|name| name == "*") {
        return Err(NotStored::Headers { name: "vary" });
    }
    let headers = if read.graphql.is_some() { graphql_headers(response)? } else { shareable(response)? };
    Ok(Keep { headers, shareable_beyond_node: may_leave_node(read, response) })
}

/// Decides about the body of an answer whose head may be kept.
///
/// # Errors
/// [`NotStored`]: pass it on and keep nothing.
pub fn keepable(read: &Read, body: &[u8]) -> Result<(), NotStored> {
    match &read.graphql {
        Some(_) => Ok(graphql::keepable(body)?),
        None if holds_token(body) => Err(NotStored::Token),
        None => Ok(()),
    }
}

/// Whether an answer is a token: an object with a member of that name, as every route of GitHub's that makes one answers.
fn holds_token(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Minted {
        token: Option<String>,
    }
    const MEMBER: &[u8] = b"\"token\"";
    let mentions_it = body.windows(MEMBER.len()).any(|window| window == MEMBER);
    mentions_it && json::object::<Minted>(body).is_ok_and(|minted| minted.token.is_some_and(|token| !token.is_empty()))
}

fn body_is_plain(response: &HeaderMap) -> Result<(), NotStored> {
    if !is_text(response) {
        return Err(NotStored::ContentType);
    }
    if headers::list(response, header::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(NotStored::Encoded);
    }
    let length = response.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > limits::MAX_BODY_BYTES => Err(NotStored::TooLarge { length }),
        Some(_) | None => Ok(()),
    }
}

pub(crate) fn is_json(response: &HeaderMap) -> bool {
    essence(response) == "application/json"
}

fn essence(response: &HeaderMap) -> String {
    let value = response.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// JSON, text, and GitHub's own media types: diffs, patches, raw and rendered files.
fn is_text(response: &HeaderMap) -> bool {
    let essence = essence(response);
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json || essence.starts_with("text/") || essence.starts_with("application/vnd.github.")
}

/// GitHub marks all answers to POST `no-cache`, queries too; how long they are fresh is the operator's choice.
fn graphql_headers(response: &HeaderMap) -> Result<Vec<(String, String)>, NotStored> {
    let kept = shareable(response)?.into_iter().filter(|(name, _)| GRAPHQL_SHAREABLE.contains(&name.as_str()));
    if is_json(response) { Ok(kept.collect()) } else { Err(NotStored::ContentType) }
}

/// The headers to keep of a response, sorted by name.
///
/// # Errors
/// They are too many, too long or not text.
pub(crate) fn shareable(response: &HeaderMap) -> Result<Vec<(String, String)>, NotStored> {
    let mut kept = Vec::new();
    for name in SHAREABLE {
        for value in response.get_all(name) {
            let text = value.to_str().map_err(|_| NotStored::Headers { name })?;
            if text.len() > limits::MAX_HEADER_BYTES {
                return Err(NotStored::Headers { name });
            }
            kept.push((name.to_owned(), text.to_owned()));
        }
    }
    if kept.len() > limits::MAX_HEADERS { Err(NotStored::Headers { name: "too many" }) } else { Ok(kept) }
}

/// Whether an answer with these headers (of a 200 or a 304) may be known beyond this node. Anonymous answers are shared only
/// where GitHub says that they depend on nobody.
pub fn may_leave_node(read: &Read, response: &HeaderMap) -> bool {
    match read.credential.kind() {
        CredentialKind::Token => true,
        CredentialKind::Private => false,
        CredentialKind::Anonymous => {
            let public = headers::cache_control(response).any(|(name, _)| name == "public");
            let personal = headers::list(response, header::VARY).any(|name| name.eq_ignore_ascii_case("authorization"));
            public && !personal
        }
    }
}

/// Whether a header may be kept and given to other callers. `name` in lower case.
pub fn is_shareable(name: &str) -> bool {
    SHAREABLE.contains(&name)
}

/// Whether the headers of a representation that a peer sent are ones that this node would have kept for `read`: shareable
/// names, a text type, and a `Link` that names only pages of the same object.
pub fn is_acceptable(read: &Read, kept: &[(String, String)]) -> bool {
    let path = read.target.resource.as_ref().map_or("", |resource| resource.path.as_str());
    let header_is_fine = |(name, value): &(String, String)| {
        let text = http::HeaderValue::from_str(value).is_ok() && value.len() <= limits::MAX_HEADER_BYTES;
        is_shareable(name) && text && (name != "link" || read.caller.base.is_all_pages_of(value, path))
    };
    kept.len() <= limits::MAX_HEADERS && kept.iter().all(header_is_fine)
}

/// The origin's `Date`, Unix seconds.
pub fn origin_date(response: &HeaderMap) -> Option<u64> {
    response.get(header::DATE).and_then(|value| caller::unix_seconds(value.to_str().ok()?))
}

#[cfg(test)]
mod tests;
