//! `ghmesh api`: through the daemon, else through the store in this process, else straight to the origin.

use crate::api::{self, Body, Environment, ExitStatus, Options, Search, Transport, TransportError};
use crate::commands::{daemon, parts};
use crate::exit::Exit;
use crate::settings::{Loaded, Origin, Settings};
use ghmesh_gateway::Gateway;
use ghmesh_node::Clock;
use ghmesh_policy::Listener;
use ghmesh_store::{OpenError, Store};
use http::{Request, Response};
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use url::{Host, Position, Url};

/// How long another process may hold the data directory before this command goes on without it.
const HOLD_PATIENCE: Duration = Duration::from_millis(500);

/// How often the directory is tried in that time.
const RETRY: Duration = Duration::from_millis(25);

/// Calls the API once.
pub(crate) async fn run(options: Options, loaded: &Loaded) -> anyhow::Result<Exit> {
    if let Some(url) = named_itself(&options.endpoint, &loaded.settings) {
        let (host, path) = (url.host_str().unwrap_or_default(), &url[Position::BeforePath..]);
        eprintln!("ghmesh: {host} is this machine and not GitHub; give the path alone: `ghmesh api '{path}'`");
        return Ok(Exit::Gh(ExitStatus::Usage.code()));
    }
    let status = match daemon::find(loaded).await {
        Search { daemon: Some(daemon), .. } => call(&options, &daemon).await,
        Search { daemon: None, forbidden } => {
            if !forbidden.is_empty() {
                tracing::warn!("{}; going on without the daemon", daemon::permission_denied(&forbidden));
            }
            let node = InProcess::new(loaded).await?;
            let status = call(&options, &node).await;
            node.close().await;
            status
        }
    };
    Ok(Exit::Gh(status.code()))
}

/// The endpoint, if it is a URL of this machine or of `gateway.names`, and not of an origin. The daemon would take it for a
/// request of its own and ask GitHub instead of whoever listens there, which is where gh would go.
fn named_itself(endpoint: &str, settings: &Settings) -> Option<Url> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_own = match url.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.to_canonical().is_loopback(),
        Host::Domain(name) => {
            name == "localhost" || settings.gateway.names.iter().any(|own| own.eq_ignore_ascii_case(name))
        }
    };
    (is_own && !is_origin(&url, &settings.origin)).then_some(url)
}

fn is_origin(url: &Url, origin: &Origin) -> bool {
    let authority = url.authority();
    let by_url = origin.url.as_deref().and_then(|origin| Url::parse(origin).ok());
    by_url.is_some_and(|origin| origin.authority() == authority)
        || origin.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority))
}

async fn call(options: &Options, transport: &impl Transport) -> ExitStatus {
    let mut environment = Environment::of_process();
    let mut stdout = std::io::BufWriter::new(std::io::stdout());
    api::run(options, &mut environment, transport, &mut stdout, &mut std::io::stderr()).await
}

/// A node in this process, without a mesh.
struct InProcess {
    gateway: Gateway,
    /// What was stored must be on disk before the process ends.
    store: Store,
    /// Where nothing is kept: removed at the end.
    _scratch: Option<TempDir>,
}

impl InProcess {
    /// A node on the data directory, or on a directory that is thrown away where another process holds that one.
    async fn new(loaded: &Loaded) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let (store, scratch) = open(&loaded.settings, clock).await?;
        let node = parts::node(&loaded.settings, clock, store.clone())?;
        let gateway = parts::gateway(&loaded.settings, node, None)?;
        Ok(InProcess { gateway, store, _scratch: scratch })
    }

    /// Ends it.
    async fn close(self) {
        if let Err(error) = self.store.close().await {
            tracing::debug!(%error, "the store did not close cleanly");
        }
    }
}

impl Transport for InProcess {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let response = self.gateway.handle(request, &Listener::Unix).await;
        Ok(response.map(|body| body.boxed_unsync()))
    }
}

async fn open(settings: &Settings, clock: Clock) -> anyhow::Result<(Store, Option<TempDir>)> {
    let started = Instant::now();
    loop {
        match parts::store(settings, clock) {
            Ok(store) => return Ok((store, None)),
            Err(OpenError::Held { .. }) if started.elapsed() < HOLD_PATIENCE => tokio::time::sleep(RETRY).await,
            Err(error) => {
                tracing::debug!(%error, "going on without the data directory");
                return scratch(settings, clock);
            }
        }
    }
}

/// A store that keeps nothing: the request goes straight to the origin.
fn scratch(settings: &Settings, clock: Clock) -> anyhow::Result<(Store, Option<TempDir>)> {
    let directory = tempfile::Builder::new().prefix("ghmesh-").tempdir()?;
    let mut settings = settings.clone();
    settings.cache.dir = directory.path().join("data");
    Ok((parts::store(&settings, clock)?, Some(directory)))
}
