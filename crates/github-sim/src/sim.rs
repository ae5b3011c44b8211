//! The handle by which a test in the same process starts, steers and reads a simulator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{Config, Settings};
use crate::control::{QuotaChange, set_quota};
use crate::counters::Counters;
use crate::fault::{Armed, Fault};
use crate::server::{Shared, serve};
use crate::state::State;
use crate::tokens::TokenSeed;
use crate::world::{Mutation, MutationError};

/// Pause after a connection that could not be accepted, usually for want of file descriptors: a guess.
const RETRY: Duration = Duration::from_millis(20);

/// Why a simulator didn't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The unix socket can't be made.
    #[error("can't make the socket {}: {source}", path.display())]
    Socket {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a quota wasn't set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no such token, or no rate limit resource called {resource:?}")]
pub struct QuotaError {
    /// The resource asked for.
    pub resource: String,
}

/// A running simulator. It ends, with all its connections, by [`Sim::shutdown`] or when this is dropped.
#[derive(Debug)]
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sim {
    /// Starts listening; requests are answered once this returns.
    ///
    /// # Errors
    /// When the address or the socket can't be had.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let socket = config.unix.clone().map(bind_socket).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let own = format!("http://{address}");
        let shared = Arc::new(Shared { state: Mutex::new(State::new(&config)), own });
        let mut listeners = vec![tokio::spawn(accept(Door::Tcp(listener), Arc::clone(&shared), stopped.clone()))];
        listeners.extend(socket.map(|socket| tokio::spawn(accept(Door::Unix(socket), Arc::clone(&shared), stopped))));
        Ok(Self { shared, address, stop, listeners })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.own.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters.clone()
    }

    /// Sets the counters to nothing.
    pub fn reset_counters(&self) {
        self.shared.lock().counters.reset();
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.lock().faults = faults.into_iter().map(Armed::from).collect();
    }

    /// Changes settings, for requests that come after.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().settings);
    }

    /// Changes the world.
    ///
    /// # Errors
    /// When what is to be changed isn't there.
    pub fn mutate(&self, mutation: &Mutation) -> Result<(), MutationError> {
        self.shared.lock().world.mutate(mutation)
    }

    /// Changes what lies at an API path so that its body differs: [`Mutation::Touch`].
    ///
    /// # Errors
    /// When nothing that can be touched is there.
    pub fn touch(&self, path: &str) -> Result<(), MutationError> {
        self.mutate(&Mutation::Touch { path: path.to_owned() })
    }

    /// Adds a token or replaces it, for example by a revoked one.
    pub fn put_token(&self, token: TokenSeed) {
        self.shared.lock().tokens.put(token);
    }

    /// Leaves a token so many requests of a resource (`core`, `search`, `graphql`, …) in this window.
    ///
    /// # Errors
    /// When the token or the resource isn't known.
    pub fn set_remaining(&self, token: &str, resource: &str, remaining: u64) -> Result<(), QuotaError> {
        let change = QuotaChange {
            token: Some(token.to_owned()),
            resource: Some(resource.to_owned()),
            remaining: Some(remaining),
            ..QuotaChange::default()
        };
        set_quota(&mut self.shared.lock(), change, "").map_err(|_| QuotaError { resource: resource.to_owned() })
    }

    /// Stops listening and cuts all connections; returns when that is done, so that the address is free again.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for listener in self.listeners.drain(..) {
            // A listener that panicked is gone too.
            let _ended = listener.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

/// Takes the place of a socket that an earlier process left behind.
fn bind_socket(path: PathBuf) -> Result<UnixListener, StartError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(StartError::Socket { path, source }),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(&path).map_err(|source| StartError::Socket { path, source })
}

/// Where connections come from.
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    /// Serves the next connection, in a task of its own.
    async fn open(&self, shared: &Arc<Shared>, connections: &mut JoinSet<()>) -> io::Result<()> {
        let shared = Arc::clone(shared);
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Only delays small answers; a connection works without.
                let _unset = stream.set_nodelay(true);
                connections.spawn(serve(shared, stream, peer.ip().to_string()));
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                connections.spawn(serve(shared, stream, "127.0.0.1".to_owned()));
            }
        }
        Ok(())
    }
}

/// Serves all connections until told to stop.
async fn accept(door: Door, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            opened = door.open(&shared, &mut connections) => if let Err(error) = opened {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(RETRY).await;
            },
            _ = stopped.changed() => break,
        }
    }
    connections.shutdown().await;
}
