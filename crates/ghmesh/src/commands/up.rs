//! `ghmesh up`: the daemon.

use crate::commands::parts;
use crate::exit::Exit;
use crate::settings::{Environment, Loaded, Mesh, SecretChoice, SecretNote, SecretText, Settings, mesh_secret};
use anyhow::Context;
use ghmesh_gateway::{BindError, Server};
use ghmesh_mesh::{Author, Identity};
use ghmesh_node::{Clock, Membership, Node};
use ghmesh_policy::WebhookSecret;
use ghmesh_seal::{Cost, KeyRing, Secret};
use ghmesh_store::{OpenError, Store};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Longest wait for `gh auth token`.
const GH_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop. The secrets that it was given are dropped once the keys are derived.
pub(crate) async fn run(loaded: Loaded, environment: Environment) -> anyhow::Result<Exit> {
    let is_usual_socket = loaded.place("gateway.socket").is_none();
    loaded.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let (settings, choice) = match choose_secret(loaded.settings, environment).await {
        Ok(chosen) => chosen,
        Err(errors) => {
            eprintln!("ghmesh: {errors}");
            return Ok(Exit::Usage);
        }
    };
    let clock = Clock::start();
    let store = match open(&settings, clock).await {
        Ok(store) => store,
        Err(error) => {
            eprintln!("ghmesh: {error}");
            return Ok(Exit::Failure);
        }
    };
    let node = parts::node(&settings, clock, store.clone())?;
    let server = bind(&settings, &node, is_usual_socket)?;
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(server.run(stopped(stopping.clone())));
    let sharing = tokio::spawn(share(Joining::new(settings), choice, node, store.clone(), stopping));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    wait_for_signal().await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    serving.await.context("the gateway failed")?;
    sharing.await.context("the mesh failed")?;
    store.close().await.context("the store did not close cleanly; what was acknowledged is on disk")?;
    Ok(Exit::Success)
}

/// Binds the gateway. Where the usual socket can't be had, as with a second daemon on one machine, the one in the data
/// directory is taken instead: `ghmesh` looks there too.
fn bind(settings: &Settings, node: &Node, is_usual_socket: bool) -> anyhow::Result<Server> {
    let webhook_secret = settings.webhook.chosen()?.map(|secret| WebhookSecret::new(secret.expose()));
    let error = match Server::bind(parts::gateway(settings, node.clone(), webhook_secret.clone())?) {
        Ok(server) => return Ok(server),
        Err(error) => error,
    };
    let is_about_socket =
        matches!(error, BindError::SocketTaken { .. } | BindError::SocketDirectory { .. } | BindError::Socket { .. });
    if !is_usual_socket || !is_about_socket {
        return Err(error).context("the gateway can't listen");
    }
    let mut settings = settings.clone();
    settings.gateway.socket = Some(settings.cache.dir.join("ghmesh.sock"));
    tracing::warn!("{error}; listening in the data directory instead");
    Server::bind(parts::gateway(&settings, node.clone(), webhook_secret)?).context("the gateway can't listen")
}

async fn open(settings: &Settings, clock: Clock) -> Result<Store, OpenError> {
    let settings = settings.clone();
    let opened = tokio::task::spawn_blocking(move || parts::store(&settings, clock)).await;
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Chooses the mesh secret. The settings come back without secrets, and without a mesh where there is none to key it; the
/// environment is dropped.
async fn choose_secret(
    mut settings: Settings,
    environment: Environment,
) -> Result<(Settings, SecretChoice), crate::settings::SecretErrors> {
    let chosen = tokio::task::spawn_blocking(move || {
        let choice = mesh_secret(&settings, &environment, gh_auth_token)?;
        settings.mesh.forget_secrets();
        settings.mesh.enabled = choice.secret.is_some();
        Ok((settings, choice))
    });
    let (settings, choice) = chosen.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    for note in &choice.notes {
        match note {
            SecretNote::LocalOnly { enabled: false } => tracing::info!("{note}"),
            SecretNote::LocalOnly { enabled: true }
            | SecretNote::Skipped { .. }
            | SecretNote::Weak { .. }
            | SecretNote::ReadableByAll { .. } => tracing::warn!("{note}"),
        }
    }
    Ok((settings, choice))
}

/// What `gh auth token` prints, if gh is there and logged in.
fn gh_auth_token() -> Option<SecretText> {
    let mut gh = std::process::Command::new("gh");
    gh.args(["auth", "token"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = gh.spawn().ok()?;
    let deadline = std::time::Instant::now() + GH_PATIENCE;
    while child.try_wait().ok()?.is_none() {
        if std::time::Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().ok()?;
    let printed = Zeroizing::new(output.stdout);
    let token = std::str::from_utf8(&printed).ok()?.trim();
    (output.status.success() && !token.is_empty()).then(|| SecretText::new(token))
}

/// What of the settings is needed to join the mesh, once its secret is chosen.
struct Joining {
    cluster: String,
    /// Where the identity is.
    data: PathBuf,
    config: ghmesh_mesh::Config,
}

impl Joining {
    fn new(settings: Settings) -> Self {
        let Mesh { cluster, listen, bootstrap, discovery, .. } = settings.mesh;
        let interfaces = ghmesh_mesh::InterfacePolicy {
            only: discovery.interfaces,
            skip: discovery.skip_interfaces,
            dht: discovery.dht.chosen(),
        };
        let config =
            ghmesh_mesh::Config { listen, bootstrap, mdns: discovery.mdns, interfaces, dht: discovery.dht.chosen() };
        Joining { cluster, data: settings.cache.dir, config }
    }
}

/// Joins the mesh once its keys are derived, and leaves it at the end.
///
/// Whatever fails here, the daemon stays up as a local cache and says so (`failed` in its reports): clients that point at it
/// would fail without it, while a missing mesh costs them calls only.
async fn share(joining: Joining, choice: SecretChoice, node: Node, store: Store, stopping: watch::Receiver<bool>) {
    let Some(secret) = choice.secret else { return };
    let secrets = std::iter::once(secret.text).chain(choice.accepted).collect();
    let stop = stopped(stopping);
    tokio::pin!(stop);
    let started = tokio::select! {
        started = start(joining, secrets, &store) => started,
        () = &mut stop => return,
    };
    match started {
        Ok(membership) => {
            let mesh = membership.mesh.clone();
            node.join(membership);
            stop.await;
            mesh.stop().await;
        }
        Err(error) => {
            let reason = crate::told(&error);
            tracing::error!("the mesh can't be joined, this cache stays local: {reason}");
            node.mesh_failed(reason);
        }
    }
}

async fn start(joining: Joining, secrets: Vec<SecretText>, store: &Store) -> anyhow::Result<Membership> {
    let Joining { cluster, data, config } = joining;
    // One after the other: each derivation takes 128 MiB while it runs.
    let rings: Vec<KeyRing> = tokio::task::spawn_blocking(move || {
        let ring = |text: &SecretText| {
            let secret = Secret::new(text.expose().as_bytes().to_vec());
            ghmesh_seal::derive(&secret, &cluster, Cost::PRODUCTION)
        };
        secrets.iter().map(ring).collect()
    })
    .await?;
    let identity = Identity::load_or_create(&data)?;
    let author = Arc::new(Author::new(&identity, store.boot()));
    let ring = rings.first().context("a secret was chosen")?.clone();
    let remembered = store
        .peers()
        .into_iter()
        .map(|peer| ghmesh_mesh::Remembered { member: peer.member, addresses: peer.addresses });
    let (mesh, events) = ghmesh_mesh::start(config, identity, rings, store.boot(), remembered.collect()).await?;
    Ok(Membership { mesh, events, ring, author })
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives as long as the daemon; if it went, that is an end too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn wait_for_signal() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
