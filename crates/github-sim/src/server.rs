//! Connections: HTTP/1.1 in and out, faults included.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::control::control;
use crate::counters::Upload;
use crate::fault::{Fault, pick};
use crate::http::{Content, Finished};
use crate::state::{Answered, Asked, State};
use crate::{filler, gzip, text};

/// The largest body of a request that is not an upload; GitHub's own limits are below it.
const LARGEST_REQUEST: usize = 32 * 1024 * 1024;

/// What a broken answer gives the connection to send what it has: an error at once would take that along.
const TO_BE_SENT: Duration = Duration::from_millis(20);

pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// Why a connection ends without an answer, or in the middle of one.
#[derive(Debug, Error)]
pub(crate) enum Cut {
    #[error("the connection was cut by a fault")]
    Fault,
    #[error("the request's body ended early")]
    Request(#[from] hyper::Error),
    #[error("the answer could not be put together")]
    Response(#[from] http::Error),
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// The simulator's own URL.
    pub(crate) own: String,
}

impl Shared {
    /// No request leaves the state half changed for long: a panic in one must not end the others.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin, address: String) {
    shared.lock().counters.connections += 1;
    let service = service_fn(|request| {
        let (shared, address) = (Arc::clone(&shared), address.clone());
        async move { handle(&shared, request, address).await }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn handle(shared: &Shared, request: Request<Incoming>, address: String) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let path = normal_path(&parts);
    if path.starts_with("/_sim/") {
        return steer(shared, &parts, &path, body, &address).await;
    }
    let mut flight = Flight::begin(shared);
    let asked = read(parts, path, body, address).await?;
    let (answered, fault, latency) = answer(shared, &asked);
    flight.bucket = Some(answered.bucket);
    let fault = fault.unwrap_or_default();
    tokio::time::sleep(latency).await;
    if fault.stall {
        return std::future::pending().await;
    }
    if fault.drop {
        return Err(Cut::Fault);
    }
    respond(&asked.method, answered.finished, &fault)
}

fn answer(shared: &Shared, asked: &Asked) -> (Answered, Option<Fault>, Duration) {
    let mut state = shared.lock();
    let fault = pick(&mut state.faults, &asked.method, &asked.path);
    let mut answered = state.answer(asked, &shared.own, fault.as_ref());
    if let Some(upload) = &asked.upload {
        state.counters.record_upload(upload.clone());
    }
    if state.settings.gzip {
        compress(asked, &mut answered.finished);
    }
    let latency = state.settings.latency_ms + fault.as_ref().map_or(0, |fault| fault.latency_ms);
    (answered, fault, Duration::from_millis(latency))
}

/// A request from its head to its answer's head, also when the client goes away in between.
struct Flight<'a> {
    shared: &'a Shared,
    bucket: Option<String>,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.lock().counters.begin();
        Self { shared, bucket: None }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.counters.end();
        if let Some(bucket) = &self.bucket {
            state.quotas.end(bucket);
        }
    }
}

async fn steer(
    shared: &Shared,
    parts: &Parts,
    path: &str,
    body: Incoming,
    address: &str,
) -> Result<Response<Body>, Cut> {
    let body = body.collect().await?.to_bytes();
    let result = control(&mut shared.lock(), &parts.method, path, parts.uri.query(), &body, address);
    let (status, value) = match result {
        Ok(value) => (200, value),
        Err(error) => (error.status(), serde_json::json!({"message": error.to_string()})),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    Ok(response.body(whole(format!("{value:#}\n").into()))?)
}

/// The path as routes know it: the Enterprise prefix taken away, storage hosts turned into prefixes.
fn normal_path(parts: &Parts) -> String {
    let path = parts.uri.path();
    let host = parts.uri.host().or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
    let prefix = match host.unwrap_or("").split(':').next().unwrap_or("") {
        "codeload.github.com" => "/_codeload",
        "objects.githubusercontent.com" | "release-assets.githubusercontent.com" => "/_assets",
        "github.com" => "/_web",
        _ => "",
    };
    if path == "/api/graphql" {
        return "/graphql".to_owned();
    }
    let rest = path.strip_prefix("/api/v3").or(path.strip_prefix("/api/uploads")).unwrap_or(path);
    let rest = if rest.is_empty() { "/" } else { rest };
    format!("{prefix}{rest}")
}

/// Reads the body: of uploads only length and hash are kept.
async fn read(parts: Parts, path: String, body: Incoming, address: String) -> Result<Asked, Cut> {
    let uploads = parts.method == Method::POST && path.contains("/releases/") && path.ends_with("/assets");
    let (body, upload) =
        if uploads { (Bytes::new(), Some(swallow(&path, body).await?)) } else { (keep(body).await?, None) };
    let query = parts.uri.query().map(str::to_owned);
    Ok(Asked { method: parts.method, path, query, headers: parts.headers, body, upload, address })
}

async fn swallow(path: &str, mut body: Incoming) -> Result<Upload, Cut> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame?.data_ref() {
            hash.update(piece);
            bytes += piece.len() as u64;
        }
    }
    Ok(Upload { path: path.to_owned(), bytes, sha256: text::hex(&hash.finalize()) })
}

/// The body, or a cut connection when it is larger than any that GitHub takes here.
async fn keep(mut body: Incoming) -> Result<Bytes, Cut> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame?.data_ref() {
            kept.extend_from_slice(piece);
        }
        if kept.len() > LARGEST_REQUEST {
            return Err(Cut::Fault);
        }
    }
    Ok(kept.into())
}

fn compress(asked: &Asked, finished: &mut Finished) {
    let accepts = asked.headers.get("accept-encoding").and_then(|value| value.to_str().ok());
    let accepted = accepts.is_some_and(|value| value.contains("gzip"));
    let Content::Whole(body) = &mut finished.content else { return };
    if accepted && !body.is_empty() {
        *body = gzip::gzip(body).into();
        finished.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Puts the answer together as the fault wants it.
fn respond(method: &Method, finished: Finished, fault: &Fault) -> Result<Response<Body>, Cut> {
    let status = StatusCode::from_u16(finished.status).map_err(http::Error::from)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = finished.headers;
    for (name, value) in &fault.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        response.headers_mut().insert(name, HeaderValue::from_str(value).map_err(http::Error::from)?);
    }
    let size = match &finished.content {
        Content::Whole(body) => body.len() as u64,
        Content::Stream(size) => *size,
    };
    let has_body = !matches!(finished.status, 204 | 304);
    if has_body {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(fault.content_length.unwrap_or(size)));
    }
    let head = *method == Method::HEAD || !has_body;
    let body = match finished.content {
        _ if head => whole(Bytes::new()),
        Content::Whole(body) => broken(whole(body), fault),
        Content::Stream(size) => broken(streamed(size), fault),
    };
    Ok(response.map(|()| body))
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(never).boxed_unsync()
}

fn streamed(size: u64) -> Body {
    StreamBody::new(filler::stream(size).map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

fn never(error: Infallible) -> Cut {
    match error {}
}

/// The body up to where the fault breaks it off.
fn broken(body: Body, fault: &Fault) -> Body {
    // A length that lies goes with a body that doesn't know its own: hyper compares the two.
    let whole_but_unmeasured = fault.content_length.map(|_| u64::MAX);
    let Some(limit) = fault.truncate.or(fault.stall_body_after).or(whole_but_unmeasured) else { return body };
    let stalls = fault.truncate.is_none();
    let pieces = futures::stream::try_unfold((body, limit), move |(mut body, left)| async move {
        if left == 0 {
            tokio::time::sleep(TO_BE_SENT).await;
            return if stalls { std::future::pending().await } else { Err(Cut::Fault) };
        }
        let Some(frame) = body.frame().await else {
            tokio::time::sleep(TO_BE_SENT).await;
            return Ok(None);
        };
        let piece = frame?.into_data().unwrap_or_default();
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        Ok(Some((Frame::data(piece.slice(..length)), (body, left - length as u64))))
    });
    StreamBody::new(pieces).boxed_unsync()
}
