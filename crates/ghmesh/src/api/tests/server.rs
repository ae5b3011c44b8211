//! A small API on a unix socket: it records what it is asked and answers by path, with `Content-Length` and nothing random.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixListener;

pub(super) const DOCUMENT: &str = include_str!("../testdata/document.json");

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn body(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(super) struct Server {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(accept(listener, seen.clone()));
        Self { _directory: directory, socket, seen }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What was asked since the last look.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The only request since the last look.
    pub(super) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}

async fn accept(listener: UnixListener, seen: Arc<Mutex<Vec<Seen>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let seen = seen.clone();
        let service = service_fn(move |request| handle(request, seen.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn handle(request: Request<Incoming>, seen: Arc<Mutex<Vec<Seen>>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let response = answer(&request);
    seen.lock().unwrap().push(request);
    Ok(response)
}

fn answer(request: &Seen) -> Response<Full<Bytes>> {
    match request.uri.path().trim_start_matches("/api/v3") {
        "/echo" => json(200, &echo(request)),
        "/404" => json(404, r#"{"message":"Not Found","documentation_url":"x"}"#),
        "/401" => json(401, r#"{"message":"Requires authentication"}"#),
        "/422" => json(422, r#"{"message":"Validation Failed","errors":[{"message":"a"},"b"]}"#),
        "/errors" => json(422, r#"{"errors":[{"message":"a"},"b"]}"#),
        "/500" => typed(500, "text/plain", "oops"),
        "/204" => typed(204, "text/plain", ""),
        "/304" => typed(304, "text/plain", ""),
        "/text" => typed(200, "text/plain", "plain \x1b[1m\n"),
        "/large" => typed(200, "application/octet-stream", &"0123456789abcdef".repeat(1 << 18)),
        "/moved" => redirect(301, "/echo"),
        "/found" => redirect(302, "https://objects.githubusercontent.com/echo"),
        "/temporary" => redirect(307, "https://api.github.com/echo"),
        "/downgrade" => redirect(302, "http://api.github.com/echo"),
        "/circle" => redirect(302, "/circle"),
        "/lists" => page(request, &["[1,2]", "[3]\n", "[]", r#"[{"a":"<4>"}]"#]),
        "/objects" => page(request, &[r#"{"x":1}"#, r#"{"x":2}"#]),
        "/half" => page(request, &["[1]"]),
        "/same" => with_link(json(200, "[1]"), "https://api.github.com/same?per_page=100"),
        "/graphql" | "/api/graphql" => graphql(request),
        _ => json(200, DOCUMENT),
    }
}

fn typed(status: u16, content_type: &str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response.headers_mut().append("x-multi", "a".parse().unwrap());
    response.headers_mut().append("x-multi", "b".parse().unwrap());
    response.headers_mut().insert("x-ratelimit-limit", "5000".parse().unwrap());
    response.headers_mut().insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
    response
}

fn json(status: u16, body: &str) -> Response<Full<Bytes>> {
    typed(status, "application/json; charset=utf-8", body)
}

fn redirect(status: u16, location: &str) -> Response<Full<Bytes>> {
    let mut response = typed(status, "text/html", "");
    response.headers_mut().insert("location", location.parse().unwrap());
    response
}

fn with_link(mut response: Response<Full<Bytes>>, url: &str) -> Response<Full<Bytes>> {
    let link = format!(r#"<https://api.github.com/?page=1>; rel="first", <{url}>; rel="next""#);
    response.headers_mut().insert("link", link.parse().unwrap());
    response
}

/// Page `?page=N`; behind the pages of `/half` comes an error.
fn page(request: &Seen, pages: &[&str]) -> Response<Full<Bytes>> {
    let query = request.uri.query().unwrap_or_default();
    let number =
        query.split('&').find_map(|pair| pair.strip_prefix("page=")).map_or(1, |number| number.parse().unwrap());
    let Some(body) = pages.get(number - 1) else { return json(502, r#"{"message":"Server Error"}"#) };
    let response = json(200, body);
    if number < pages.len() || request.uri.path() == "/half" {
        let url = format!("https://api.github.com{}?per_page=100&page={}", request.uri.path(), number + 1);
        return with_link(response, &url);
    }
    response
}

fn echo(request: &Seen) -> String {
    json!({ "method": request.method.as_str(), "path": request.uri.to_string(), "body": request.body() }).to_string()
}

fn graphql(request: &Seen) -> Response<Full<Bytes>> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let query = body.get("query").and_then(serde_json::Value::as_str).unwrap_or_default();
    if query.contains("wrong") {
        return json(200, r#"{"data":null,"errors":[{"message":"bad thing","type":"NOT_FOUND"},{"message":"two"}]}"#);
    }
    let cursor = body.pointer("/variables/endCursor").and_then(serde_json::Value::as_str);
    let next = match cursor {
        _ if query.contains("stuck") => "C1",
        None => "C1",
        Some(_) => "C2",
    };
    let more = query.contains("stuck") || cursor != Some("C1");
    let page = json!({ "nodes": [cursor], "pageInfo": { "hasNextPage": more, "endCursor": next } });
    json(200, &json!({ "data": { "list": page } }).to_string())
}
