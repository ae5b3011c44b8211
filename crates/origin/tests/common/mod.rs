//! A scripted server on a raw socket, and the client under test with short times.
#![expect(dead_code, reason = "each test binary uses a part of it")]

use bytes::Bytes;
use ghmesh_model::{LocalFingerprint, Millis};
use ghmesh_origin::{Body, Config, Origin, OriginError, Safety, empty, full};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Whose limits the tests' answers tell about.
pub(crate) const ME: LocalFingerprint = LocalFingerprint([7; 32]);

/// A server that runs a script on every connection and remembers the heads of all requests.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

/// One connection of the server.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// From 0, in the order of acceptance.
    pub(crate) number: usize,
    unread: Vec<u8>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start<F, R>(script: F) -> Server
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Server::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(crate) async fn start_at<F, R>(address: SocketAddr, script: F) -> Server
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let log = heads.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = Connection { stream, number, unread: Vec::new(), heads: log.clone() };
                tokio::spawn(script(connection));
            }
        });
        Server { address, heads }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// How many requests with this method have arrived.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.starts_with(&format!("{method} "))).count()
    }
}

impl Connection {
    /// Reads one request with its body; `None` when the client has closed.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.read_more().await?;
        }
        self.unread.drain(..length);
        Some(head)
    }

    /// Reads the head of one request.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
                self.heads.lock().unwrap().push(head.clone());
                return Some(head);
            }
            self.read_more().await?;
        }
    }

    /// Bytes of a body that came along with the head.
    pub(crate) fn unread(&self) -> usize {
        self.unread.len()
    }

    async fn read_more(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        self.unread.extend_from_slice(&chunk[..count]);
        Some(())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        // The client may be gone already; what it saw is what the tests look at.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    pub(crate) async fn answer(&mut self, status: &str, body: &str) {
        self.send(&format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    /// Keeps the connection open and silent.
    pub(crate) async fn stall(self) {
        let _open = self;
        std::future::pending::<()>().await;
    }

    /// Ends the connection with a reset instead of a close.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// Times short enough for tests, long enough for a busy machine.
pub(crate) fn config() -> Config {
    Config {
        connect_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(400),
        idle_timeout: Duration::from_millis(400),
        total_budget: Duration::from_secs(10),
        queue_timeout: Duration::from_millis(200),
        ..Config::default()
    }
}

pub(crate) fn now() -> Millis {
    Millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64)
}

pub(crate) fn origin(config: Config) -> Origin {
    Origin::new(config, Arc::new(now)).unwrap()
}

pub(crate) async fn get(origin: &Origin, url: &str) -> Result<Response<Body>, OriginError> {
    origin.send(Request::get(url).body(empty()).unwrap(), Safety::Idempotent, ME).await
}

pub(crate) async fn post(origin: &Origin, url: &str, body: &'static str) -> Result<Response<Body>, OriginError> {
    let request = Request::post(url).body(full(Bytes::from_static(body.as_bytes()))).unwrap();
    origin.send(request, Safety::Once, ME).await
}

/// A write without a body.
pub(crate) async fn delete(origin: &Origin, url: &str) -> Result<Response<Body>, OriginError> {
    let request = Request::builder().method(Method::DELETE).uri(url).body(empty()).unwrap();
    origin.send(request, Safety::Once, ME).await
}

pub(crate) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Waits until `condition` holds, for at most five seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not within 5 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
