//! An origin with the few paths that the gateway's tests need.

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, hyper::Error>;

/// Bytes of one frame of `/big`.
const FRAME: u64 = 64 * 1024;

#[derive(Debug, Default)]
struct Seen {
    calls: AtomicU64,
    sent: AtomicU64,
    abandoned: AtomicU64,
}

/// The origin. Its tasks end with the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// `/wait` answers when it can take a permit.
    pub(crate) gate: Arc<Semaphore>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Upstream { address, seen: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
        let serving = upstream.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let upstream = serving.clone();
                let service = hyper::service::service_fn(move |request| {
                    let upstream = upstream.clone();
                    async move { Ok::<_, Infallible>(upstream.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        upstream
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests received.
    pub(crate) fn calls(&self) -> u64 {
        self.seen.calls.load(Ordering::SeqCst)
    }

    /// Bytes of `/big` handed to the connection.
    pub(crate) fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// Requests and answers that were dropped before their end.
    pub(crate) fn abandoned(&self) -> u64 {
        self.seen.abandoned.load(Ordering::SeqCst)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        let path = request.uri().path().trim_start_matches("/api/v3").to_owned();
        match path.split('/').nth(1).unwrap_or_default() {
            "echo" => octets(request.into_body().boxed_unsync()),
            "count" => self.count(request.into_body()).await,
            "headers" => self.headers(&request),
            "big" => self.big(path.rsplit('/').next().and_then(|count| count.parse().ok()).unwrap_or(0)),
            "wait" => {
                let unfinished = Unfinished(self.seen.clone());
                self.gate.acquire().await.unwrap().forget();
                std::mem::forget(unfinished);
                json(&serde_json::json!({ "waited": true }))
            }
            _ => json(&serde_json::json!({ "path": path })),
        }
    }

    async fn count(&self, mut body: Incoming) -> Response<Body> {
        let unfinished = Unfinished(self.seen.clone());
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return json(&serde_json::json!({ "cut after": bytes })) };
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        std::mem::forget(unfinished);
        json(&serde_json::json!({ "bytes": bytes }))
    }

    /// What was received, as JSON; and hop-by-hop headers that end at the gateway.
    fn headers(&self, request: &Request<Incoming>) -> Response<Body> {
        let pairs =
            request.headers().iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
        let mut response = json(&serde_json::json!(pairs.collect::<Vec<_>>()));
        for (name, value) in [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("x-end", "1"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    }

    /// That many bytes, made only as they are taken.
    fn big(&self, bytes: u64) -> Response<Body> {
        let frame = Bytes::from(vec![b'x'; FRAME as usize]);
        let unfinished = Unfinished(self.seen.clone());
        let frames = stream::unfold((bytes, Some(unfinished)), move |(left, mut unfinished)| {
            let frame = frame.slice(..left.min(FRAME) as usize);
            async move {
                if left == 0 {
                    std::mem::forget(unfinished.take());
                    return None;
                }
                let seen = &unfinished.as_ref()?.0;
                seen.sent.fetch_add(frame.len() as u64, Ordering::SeqCst);
                let left = left - frame.len() as u64;
                Some((Ok(Frame::data(frame)), (left, unfinished)))
            }
        });
        let mut response = octets(StreamBody::new(frames).boxed_unsync());
        response.headers_mut().insert("content-length", bytes.into());
        response
    }
}

/// Counts itself when it is dropped; what ends well forgets it.
struct Unfinished(Arc<Seen>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, Ordering::SeqCst);
    }
}

fn octets(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "application/octet-stream").body(body).unwrap()
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed_unsync();
    Response::builder().header("content-type", "application/json; charset=utf-8").body(body).unwrap()
}
