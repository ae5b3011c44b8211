//! `POST /_ghmesh/webhook`: GitHub tells what has changed, and that is stale here and on the members.
//!
//! The signature is the permission, so that this is open on every listener and under every name, behind whatever brings GitHub's
//! deliveries here. A body is checked before anything in it is looked at, and at most a few are held at once. What an event means
//! is `policy`'s ([`WebhookEvent`]); the worst that one can do is to cost free calls.

use crate::BoxError;
use crate::rescue;
use ghmesh_node::{Body, Node};
use ghmesh_policy::webhook::MAX_PAYLOAD_BYTES;
use ghmesh_policy::{Deliveries, Origins, WebhookEvent, WebhookSecret};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Response, StatusCode, request};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Where deliveries go.
pub(crate) const PATH: &str = "/_ghmesh/webhook";

/// Deliveries that are read at once, each of at most [`MAX_PAYLOAD_BYTES`]. Others wait.
const MAX_AT_ONCE: usize = 2;
/// How long one may wait and be read. GitHub itself gives up after 10 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a delivery was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error(
        "webhooks are not set up here: give webhook.secret or webhook.secret_file the secret of the hook on GitHub, and start the daemon again"
    )]
    NotConfigured,
    #[error("{PATH} takes POST, not {0}")]
    Method(Method),
    #[error("the delivery has no X-Hub-Signature-256 header; give the hook on GitHub a secret")]
    SignatureMissing,
    #[error("X-Hub-Signature-256 is not this body's; the hook's secret on GitHub and webhook.secret here differ")]
    Signature,
    #[error("the delivery has no X-GitHub-Event header")]
    EventMissing,
    #[error("the delivery's Content-Type is not application/json; choose that as the hook's content type on GitHub")]
    ContentType,
    #[error("the delivery is longer than the {MAX_PAYLOAD_BYTES} bytes that GitHub sends at most")]
    TooLarge,
    #[error("the delivery took longer than {} seconds", PATIENCE.as_secs())]
    TooSlow,
    #[error("the delivery ended early")]
    Body(#[source] BoxError),
    #[error("the delivery can't be read")]
    NotAnEvent(#[from] ghmesh_policy::webhook::NotAnEvent),
}

impl WebhookError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            WebhookError::NotConfigured => StatusCode::NOT_FOUND,
            WebhookError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            WebhookError::SignatureMissing | WebhookError::Signature => StatusCode::UNAUTHORIZED,
            WebhookError::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            WebhookError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            WebhookError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            WebhookError::EventMissing | WebhookError::Body(_) | WebhookError::NotAnEvent(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// What takes deliveries.
#[derive(Debug)]
pub(crate) struct Hook {
    secret: Option<WebhookSecret>,
    reading: Semaphore,
    deliveries: Mutex<Deliveries>,
    taken: AtomicU64,
}

impl Hook {
    pub(crate) fn new(secret: Option<WebhookSecret>) -> Self {
        let (reading, deliveries) = (Semaphore::new(MAX_AT_ONCE), Mutex::default());
        Hook { secret, reading, deliveries, taken: AtomicU64::new(0) }
    }

    /// Deliveries with a good signature.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// The event that comes with a request; `None` where it has come before.
    pub(crate) async fn delivery(
        &self,
        head: &request::Parts,
        body: Body,
    ) -> Result<Option<WebhookEvent>, WebhookError> {
        let secret = self.secret.as_ref().ok_or(WebhookError::NotConfigured)?;
        if head.method != Method::POST {
            return Err(WebhookError::Method(head.method.clone()));
        }
        let headers = &head.headers;
        let signature = text(headers, "x-hub-signature-256").ok_or(WebhookError::SignatureMissing)?;
        let body =
            tokio::time::timeout(PATIENCE, self.read(headers, body)).await.map_err(|_| WebhookError::TooSlow)??;
        if !secret.has_signed(&body, signature) {
            return Err(WebhookError::Signature);
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.event(headers, &body)
    }

    /// The whole body, when it is its turn.
    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, WebhookError> {
        let told = text(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        if told.is_some_and(|length| length > MAX_PAYLOAD_BYTES as u64) {
            return Err(WebhookError::TooLarge);
        }
        let _turn = self.reading.acquire().await;
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(WebhookError::Body)?.into_data().unwrap_or_default();
            if read.len() + data.len() > MAX_PAYLOAD_BYTES {
                return Err(WebhookError::TooLarge);
            }
            read.extend_from_slice(&data);
        }
        Ok(read)
    }

    fn event(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<WebhookEvent>, WebhookError> {
        if !text(headers, CONTENT_TYPE.as_str()).is_some_and(is_json) {
            return Err(WebhookError::ContentType);
        }
        let name = text(headers, "x-github-event").ok_or(WebhookError::EventMissing)?;
        let event = WebhookEvent::read(name, body)?;
        let is_new = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).is_new(body);
        Ok(is_new.then_some(event))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Does what an event says, and tells it. What it made stale is stale before this returns.
pub(crate) async fn follow(event: Option<WebhookEvent>, origins: &Origins, node: Node) -> Response<Body> {
    let Some(event) = event else { return accepted("this delivery has come before") };
    let scopes = event.stale(origins);
    let count = scopes.len();
    if count == 0 {
        return accepted("this event changes nothing that is kept here");
    }
    node.invalidate(scopes).await;
    tracing::debug!(scopes = count, "a webhook event made something stale");
    accepted(&format!("what this event may have changed is stale here and on the members of the mesh ({count} scopes)"))
}

fn accepted(message: &str) -> Response<Body> {
    let message = serde_json::json!({ "message": format!("ghmesh: {message}") });
    rescue::text(StatusCode::ACCEPTED, rescue::JSON, message.to_string())
}
