//! The one place where something that went wrong becomes a response.
//!
//! Its body has GitHub's shape (`{"message": …}`), so that every client shows it; its `Cache-Status` says that the
//! gateway, not GitHub, is speaking.

use crate::admin::AdminError;
use crate::webhook::WebhookError;
use bytes::Bytes;
use ghmesh_node::{Body, Failure};
use ghmesh_policy::Refusal;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// By the end of this go-github knows a secondary limit. Octokit looks at the message.
const SECONDARY_LIMITS: &str =
    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits";

/// The content type of every JSON answer of the gateway's own.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// Everything that ends a request without an answer from the node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// A browser sends it on behalf of another site.
    #[error(
        "requests that a browser makes for a web site are refused, as any site could make them: this one has {0}; call the gateway from a program"
    )]
    CrossSite(&'static str),
    /// A body in a coding that would reach GitHub undecoded.
    #[error("Transfer-Encoding {0:?} is not understood; send the body chunked, or with a Content-Length")]
    TransferCoding(String),
    /// By the rules on admin pages.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// By the rules on webhooks.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// By the rules on requests.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node could not get an answer.
    #[error("{failure}")]
    Failed {
        /// Why.
        failure: Failure,
        /// The reason for going to the origin, as RFC 9211 §2.2 names it.
        forward: &'static str,
    },
}

/// Turns trouble into the response that tells it.
pub(crate) fn response(trouble: &Trouble) -> Response<Body> {
    let mut message = serde_json::json!({ "message": format!("ghmesh: {trouble}") });
    if let Trouble::Failed { failure: Failure::Limited { .. }, .. } = trouble {
        message["documentation_url"] = SECONDARY_LIMITS.into();
    }
    let mut response = text(status(trouble), JSON, message.to_string());
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, cache_status(trouble));
    if let Trouble::Admin(AdminError::Method { .. }) = trouble {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if let Trouble::Webhook(WebhookError::Method(_)) = trouble {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if let Trouble::Admin(AdminError::Token { .. }) = trouble {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ghmesh\""));
    }
    if let Some(seconds) = retry_after_seconds(trouble) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A short answer of the gateway's own. It is about this moment, so nobody may keep it.
pub(crate) fn text(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::CrossSite(_) => StatusCode::FORBIDDEN,
        // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD
        // respond with 501 (Not Implemented)."
        Trouble::TransferCoding(_) => StatusCode::NOT_IMPLEMENTED,
        Trouble::Admin(error) => match error {
            AdminError::Hosts(_) => StatusCode::BAD_REQUEST,
            AdminError::ForeignHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            AdminError::NotFound { .. } => StatusCode::NOT_FOUND,
            AdminError::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            AdminError::Private { .. } => StatusCode::FORBIDDEN,
            AdminError::Token { .. } => StatusCode::UNAUTHORIZED,
        },
        Trouble::Webhook(error) => error.status(),
        Trouble::Refused(refusal) => refusal.status(),
        Trouble::Failed { failure, .. } => failure_status(failure),
    }
}

/// When trying again may help, where that is known.
fn retry_after_seconds(trouble: &Trouble) -> Option<u64> {
    match trouble {
        Trouble::Failed { failure: Failure::BreakerOpen { retry_in, .. }, .. } => Some(retry_in.as_secs() + 1),
        Trouble::Failed { failure: Failure::Limited { retry_in, .. }, .. } => Some(retry_in.as_secs() + 1),
        Trouble::Failed { failure: Failure::Busy { .. }, .. } => Some(1),
        Trouble::Failed { .. }
        | Trouble::CrossSite(_)
        | Trouble::TransferCoding(_)
        | Trouble::Admin(_)
        | Trouble::Webhook(_)
        | Trouble::Refused(_) => None,
    }
}

/// RFC 9211 §2: `fwd` only where the request went on, `detail` in a word of ours.
fn cache_status(trouble: &Trouble) -> HeaderValue {
    let text = match trouble {
        Trouble::CrossSite(_) => "ghmesh; detail=cross-site".to_owned(),
        Trouble::TransferCoding(_) => "ghmesh; detail=transfer-coding".to_owned(),
        Trouble::Admin(_) => "ghmesh; detail=admin".to_owned(),
        Trouble::Webhook(_) => "ghmesh; detail=webhook".to_owned(),
        Trouble::Refused(_) => "ghmesh; detail=refused".to_owned(),
        // Nothing was forwarded.
        Trouble::Failed { failure: Failure::NotCached { .. }, .. } => "ghmesh; detail=not-cached".to_owned(),
        Trouble::Failed { failure, forward } => format!("ghmesh; fwd={forward}; detail={}", detail(failure)),
    };
    HeaderValue::try_from(text).expect("our own words are visible ASCII")
}

fn failure_status(failure: &Failure) -> StatusCode {
    match failure {
        // RFC 9111 §5.2.1.7 on only-if-cached: "respond with a 504 (Gateway Timeout) status code".
        Failure::Timeout { .. } | Failure::NotCached { .. } => StatusCode::GATEWAY_TIMEOUT,
        Failure::BreakerOpen { .. } | Failure::Unreachable { .. } | Failure::Interrupted { .. } => {
            StatusCode::BAD_GATEWAY
        }
        Failure::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::ClientBody { .. } => StatusCode::BAD_REQUEST,
    }
}

fn detail(failure: &Failure) -> &'static str {
    match failure {
        Failure::Timeout { .. } => "timeout",
        Failure::BreakerOpen { .. } => "breaker-open",
        Failure::Busy { .. } => "busy",
        Failure::Limited { .. } => "limited",
        Failure::Unreachable { .. } => "unreachable",
        Failure::ClientBody { .. } => "client-body",
        Failure::Interrupted { .. } => "interrupted",
        Failure::NotCached { .. } => "not-cached",
    }
}
