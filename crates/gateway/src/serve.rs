//! Accepting connections, speaking HTTP/1.1 on them, and stopping.
//!
//! What a request means is not decided here: that is [`Gateway::handle`].

use crate::BoxError;
use crate::config::{Config, Limits};
use crate::gateway::Gateway;
use crate::listener::{self, BindError, UnixSocket};
use crate::places::{Call, Place, Places, Seat};
use crate::stall::PatientIo;
use bytes::Bytes;
use ghmesh_node::Body;
use ghmesh_policy::Listener;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

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
    http: http1::Builder,
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
            let http = protocol(self.gateway.config());
            let connection = Connection { gateway: self.gateway.clone(), http };
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
fn protocol(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    let Limits { head_bytes, head_timeout, .. } = config.limits;
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .half_close(true)
        .max_buf_size(head_bytes)
        .max_header_size(head_bytes);
    http
}

impl Connection {
    async fn receive(self, arrival: Arrival, loopback: bool, place: Place) {
        match arrival {
            Arrival::Tcp(stream, address) => self.converse(stream, Listener::Tcp { address, loopback }, place).await,
            Arrival::Unix(stream) => self.converse(stream, Listener::Unix, place).await,
        }
    }

    async fn converse<T>(self, stream: T, listener: Listener, place: Place)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let gateway = &self.gateway;
        let _open = gateway.opened();
        let seat = place.seat();
        let io = PatientIo::new(stream, gateway.config().limits.stall_timeout, seat.clone());
        let service = hyper::service::service_fn(|request| async move {
            seat.answering();
            let response = gateway.handle(request, &listener).await;
            Ok::<_, Infallible>(response.map(|body| Answer { body, seat: seat.clone() }))
        });
        let mut talk = std::pin::pin!(self.http.serve_connection(io, service));
        let ended = tokio::select! {
            biased;
            ended = talk.as_mut() => ended,
            call = place.called() => match call {
                Call::Leave => return tracing::debug!("a connection that waited gave its place to a newcomer"),
                Call::Finish => {
                    talk.as_mut().graceful_shutdown();
                    talk.await
                }
            },
        };
        if let Err(error) = ended {
            log_end(&error);
        }
    }
}

/// An answer's body, which tells its connection's place of its end.
struct Answer {
    body: Body,
    seat: Arc<Seat>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.seat.answered();
    }
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
