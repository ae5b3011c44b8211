//! A plain HTTP/1.1 client over TCP or a unix socket: it sends what a test says and nothing else.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The first value of a header, as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error} in the body of {}: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// Whether it says that it came from the cache.
    pub fn is_hit(&self) -> bool {
        self.header("x-from-cache") == "1"
    }
}

/// A request to the API: `path` may hold a query.
pub fn request(method: Method, path: &str, token: Option<&str>) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path).header("host", "api.github.com");
    match token {
        Some(token) => request.header("authorization", format!("token {token}")),
        None => request,
    }
}

/// Sends one request over a connection of its own.
///
/// # Errors
/// Whatever ends the exchange before its end.
pub async fn send(endpoint: &Endpoint, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
    let (head, body) = open(endpoint, request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// Sends one request over a connection of its own and gives the answer once its head is there, to be read piece by piece.
/// Dropping the answer ends the connection.
///
/// # Errors
/// Whatever ends the exchange before the answer's head.
pub async fn open<B>(endpoint: &Endpoint, request: Request<B>) -> Result<Response<Incoming>, BoxError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match endpoint {
        Endpoint::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
        Endpoint::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
    }
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange<S, B>(stream: S, request: Request<B>) -> Result<Response<Incoming>, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself once sender and answer are gone.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
