//! How a request reaches an answer: the trait, and the way over a running daemon (unix socket, or TCP on loopback).
//!
//! Requests carry their absolute upstream URI; the daemon gets them in origin-form with the upstream's `Host`, as gh sends them
//! through `http_unix_socket`. Nothing here retries: a request that may have been sent is the caller's to judge.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Any error that a body may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is streamed, of a request or an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An empty body.
pub fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is already here.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The daemon didn't take the connection.
    #[error("error connecting to the ghmesh daemon at {address}: {source}")]
    Connect {
        /// Its socket or address.
        address: Address,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The connection broke before the head of the answer.
    #[error("the ghmesh daemon at {address} broke off: {source}")]
    Broken {
        /// Its socket or address.
        address: Address,
        /// hyper's reason.
        source: hyper::Error,
    },
    /// The request has no host, or can't be put on the wire.
    #[error("the request can't be sent: {source}")]
    Request {
        /// What is wrong with it.
        source: http::Error,
    },
    /// Another transport's failure, such as an origin that can't be reached.
    #[error("error connecting to {host}: {source}")]
    Other {
        /// The upstream host.
        host: String,
        /// Why.
        source: BoxError,
    },
}

/// Something that answers requests: a daemon, or a node in this process.
pub trait Transport: Sync {
    /// Sends one request, whose URI is the absolute upstream URI, and gives the answer as soon as its head is there.
    fn send(&self, request: Request<Body>) -> impl Future<Output = Result<Response<Body>, TransportError>> + Send;
}

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP, meant for loopback.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "{}", path.display()),
            Self::Tcp(address) => write!(formatter, "http://{address}"),
        }
    }
}

/// How long a daemon on the same machine may take to accept. Accepting needs microseconds; this bounds a frozen process.
const CONNECT_WAIT: Duration = Duration::from_millis(100);

/// What a daemon answers when it is one.
const HEALTH_PATH: &str = "/_ghmesh/healthz";

/// A daemon that is asked over HTTP/1.1, one connection a request.
#[derive(Debug, Clone)]
pub struct Daemon {
    address: Address,
}

/// What a search for the daemon found.
#[derive(Debug)]
pub struct Search {
    /// The first candidate that takes a connection.
    pub daemon: Option<Daemon>,
    /// Sockets before it that this user may not open.
    pub forbidden: Vec<PathBuf>,
}

/// Tries the sockets in their order, then TCP. Each gets at most 100 ms.
///
/// Whoever owns a socket's directory made the socket, but anyone may listen on a TCP port: there a health check has to answer
/// before a credential is sent. (That keeps a token from an unrelated service, not from a hostile user of this machine.)
pub async fn find_daemon(sockets: &[PathBuf], tcp: Option<SocketAddr>) -> Search {
    let mut forbidden = Vec::new();
    for socket in sockets {
        match tokio::time::timeout(CONNECT_WAIT, UnixStream::connect(socket)).await {
            Ok(Ok(_)) => return Search { daemon: Some(Daemon::on_socket(socket)), forbidden },
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => forbidden.push(socket.clone()),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    let daemon = match tcp.map(Daemon::on_tcp) {
        Some(daemon) => daemon.is_healthy_soon().await.then_some(daemon),
        None => None,
    };
    Search { daemon, forbidden }
}

impl Daemon {
    /// The daemon behind a unix socket.
    pub fn on_socket(path: &Path) -> Self {
        Self { address: Address::Unix(path.to_owned()) }
    }

    /// The daemon behind a TCP address.
    pub fn on_tcp(address: SocketAddr) -> Self {
        Self { address: Address::Tcp(address) }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    async fn is_healthy_soon(&self) -> bool {
        tokio::time::timeout(CONNECT_WAIT, self.is_healthy()).await.unwrap_or(false)
    }

    async fn is_healthy(&self) -> bool {
        let uri = Uri::builder().scheme("http").authority(self.authority()).path_and_query(HEALTH_PATH).build();
        let request = uri.ok().and_then(|uri| Request::get(uri).body(empty()).ok());
        match request {
            Some(request) => self.send(request).await.is_ok_and(|response| response.status().is_success()),
            None => false,
        }
    }

    /// The daemon's own name, for requests to itself.
    pub fn authority(&self) -> String {
        match &self.address {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp(address) => address.to_string(),
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Body>,
    ) -> Result<Response<Body>, TransportError> {
        let broken = |source| TransportError::Broken { address: self.address.clone(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends when the answer's body was read or dropped: the sender goes out of scope below, so nothing is kept alive.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }
}

impl Transport for Daemon {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let request = origin_form(request)?;
        let refused = |source| TransportError::Connect { address: self.address.clone(), source };
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(refused)?;
                self.exchange(stream, request).await
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(refused)?;
                self.exchange(stream, request).await
            }
        }
    }
}

/// Moves the authority of the absolute URI into `Host`.
fn origin_form(mut request: Request<Body>) -> Result<Request<Body>, TransportError> {
    let invalid = |source: http::Error| TransportError::Request { source };
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let host = header::HeaderValue::from_str(&authority).map_err(|error| invalid(error.into()))?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
    *request.uri_mut() = path.map_err(|error| invalid(error.into()))?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}
