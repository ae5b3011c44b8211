//! Accepting connections, speaking HTTP/1.1 or HTTP/2 on them, and stopping.
//!
//! What a request means is not decided here: that is [`Gateway::handle`].

use crate::BoxError;
use crate::config::Limits;
use crate::gateway::Gateway;
use crate::listener::{self, BindError, UnixSocket};
use crate::places::{Answering, Call, Place, Places};
use crate::preface::{self, Protocol};
use crate::stall::PatientIo;
use bytes::Bytes;
use ghmesh_node::Body;
use ghmesh_policy::Listener;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// Answers that one connection of HTTP/2 may have under way at once: as many as GitHub lets one account have (100).
const MAX_STREAMS: u32 = 100;
/// Bytes of one such answer that are kept for a client that reads slowly (64 KiB).
const MAX_STREAM_BYTES: usize = 64 * 1024;

/// Pause after a failed accept. They fail for want of descriptors or memory, which passes when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A gateway's bound sockets. Connections wait in the kernel until [`Server::run`].
#[derive(Debug)]
pub struct Server {
    gateway: Gateway,
    doors: Vec<Door>,
}

/// One place to come in.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// One connection that came in.
enum Arrival {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// What every connection of a door needs.
#[derive(Clone)]
struct Connection {
    gateway: Gateway,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// Tells that the server stops: its sender is dropped.
struct Stop(watch::Receiver<()>);

impl Stop {
    async fn asked(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl Server {
    /// Binds everything that the gateway's configuration names, or nothing. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError::Config`] with all problems of the settings, else the first socket that could not be had.
    pub fn bind(gateway: Gateway) -> Result<Self, BindError> {
        let config = gateway.config();
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(BindError::Config(problems));
        }
        let mut doors = Vec::new();
        for &address in &config.listen {
            doors.push(Door::Tcp(listener::tcp(address, &config.listen)?));
        }
        if let Some(path) = &config.socket {
            doors.push(Door::Unix(listener::unix(path, config)?));
        }
        let server = Server { gateway, doors };
        server.announce();
        Ok(server)
    }

    /// The TCP addresses that are listened on, in the order configured, with the ports that stand for port 0.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(Door::local_address).collect()
    }

    /// Serves until `shutdown` resolves; then accepts no more, removes the socket, lets requests in flight go on for
    /// at most [`Limits::grace`], and returns. Dropping the future ends everything at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (serving, stop) = watch::channel(());
        let mut doors = JoinSet::new();
        for door in self.doors {
            let connection = Connection::new(self.gateway.clone());
            doors.spawn(door.serve(connection, Stop(stop.clone())));
        }
        shutdown.await;
        drop(serving);
        while let Some(ended) = doors.join_next().await {
            report(ended);
        }
    }

    fn announce(&self) {
        for address in self.local_addresses() {
            if address.ip().to_canonical().is_loopback() {
                tracing::info!(%address, "listening");
            } else {
                tracing::warn!(%address, "listening for other machines too, which send their credentials here in clear text");
            }
        }
        if let Some(path) = &self.gateway.config().socket {
            tracing::info!(path = %path.display(), "listening");
        }
    }
}

impl Door {
    fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Door::Tcp(listener) => listener.local_addr().ok(),
            Door::Unix(_) => None,
        }
    }

    /// The door's loop. It owns its connections' tasks, so that they end with it.
    async fn serve(self, connection: Connection, mut stop: Stop) {
        let limits = connection.gateway.config().limits;
        let loopback = self.local_address().is_some_and(|address| address.ip().to_canonical().is_loopback());
        let mut places = Places::new(limits.connections);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.asked() => break,
                Some(ended) = connections.join_next() => report(ended),
                arrival = self.accept() => match arrival {
                    Ok(arrival) => {
                        let place = tokio::select! {
                            () = stop.asked() => break,
                            place = places.take() => place,
                        };
                        connections.spawn(connection.clone().receive(arrival, loopback, place));
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(self);
        places.close();
        drain(connections, limits).await;
    }

    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Door::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?;
                Ok(Arrival::Tcp(stream, local))
            }
            Door::Unix(socket) => socket.listener.accept().await.map(|(stream, _)| Arrival::Unix(stream)),
        }
    }
}

/// Waits after a failed accept, unless it failed because the client had already gone.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected) {
        tracing::debug!(%error, "a client left before it was accepted");
    } else {
        tracing::warn!(%error, "could not accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn drain(mut connections: JoinSet<()>, limits: Limits) {
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests still ran when the grace period ended");
    }
    connections.shutdown().await;
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// A client that has said all it will say, and ends its side, still gets its answer (`half_close`): TCP does not tell that from
/// a client that is gone, so that a call whose client is gone ends when its answer can't be written.
///
/// Not `pipeline_flush`: with it hyper 1.12 buffers a response without bound when its reader is slow, and does not flush
/// the answer to a malformed request.
fn http1(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .half_close(true)
        .max_buf_size(limits.head_bytes)
        .max_header_size(limits.head_bytes);
    http
}

/// Who is silent is asked for a sign of life, so that a client that is gone doesn't keep its place.
fn http2(limits: Limits) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_STREAM_BYTES);
    http
}

impl Connection {
    fn new(gateway: Gateway) -> Self {
        let limits = gateway.config().limits;
        Connection { gateway, http1: http1(limits), http2: http2(limits) }
    }

    async fn receive(self, arrival: Arrival, loopback: bool, place: Place) {
        match arrival {
            Arrival::Tcp(stream, address) => self.open(stream, Listener::Tcp { address, loopback }, place).await,
            Arrival::Unix(stream) => self.open(stream, Listener::Unix, place).await,
        }
    }

    async fn open<T>(self, stream: T, listener: Listener, place: Place)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let _open = self.gateway.opened();
        let opened = tokio::select! {
            biased;
            opened = preface::tell(stream, self.gateway.config().limits.head_timeout) => opened,
            _ = place.called() => return tracing::debug!("a connection that waited gave its place to a newcomer, or the end"),
        };
        match opened {
            Ok((protocol, stream)) => self.converse(protocol, stream, listener, place).await,
            Err(error) => tracing::debug!(%error, "a connection ended before it began"),
        }
    }

    async fn converse<T>(self, protocol: Protocol, stream: T, listener: Listener, place: Place)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Connection { gateway, http1, http2 } = self;
        let seat = place.seat().clone();
        let io = PatientIo::new(stream, gateway.config().limits.stall_timeout, seat.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (gateway, answering) = (gateway.clone(), seat.answering());
            async move {
                let response = gateway.handle(preface::as_http1(request), &listener).await;
                Ok::<_, Infallible>(response.map(|body| Answer { body, _answering: answering }))
            }
        });
        let ended = match protocol {
            Protocol::Http1 => hold(http1.serve_connection(io, service), &place).await,
            Protocol::Http2 => hold(http2.serve_connection(io, service), &place).await,
        };
        if let Err(error) = ended {
            log_end(&error);
        }
    }
}

/// A connection of either protocol.
trait Talk: Future<Output = hyper::Result<()>> {
    /// Asks it to end after what is under way.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Talk for http1::Connection<I, S>
where
    S: HttpService<Incoming, ResBody = Answer, Error = Infallible>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Talk for http2::Connection<I, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = Answer, Error = Infallible>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Goes on with a connection to its end, or until its place is wanted.
async fn hold(talk: impl Talk, place: &Place) -> hyper::Result<()> {
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        biased;
        ended = talk.as_mut() => ended,
        call = place.called() => match call {
            Call::Leave => {
                tracing::debug!("a connection that waited gave its place to a newcomer");
                Ok(())
            }
            Call::Finish => {
                talk.as_mut().finish();
                talk.await
            }
        },
    }
}

/// An answer's body, which tells its connection's place of its end.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A malformed request is worth a line to whoever debugs a client: hyper answers it 400, 414 or 431 without a word.
fn log_end(error: &hyper::Error) {
    if error.is_parse() {
        tracing::info!(%error, "refused a malformed request");
    } else {
        tracing::debug!(%error, "a connection ended early");
    }
}
