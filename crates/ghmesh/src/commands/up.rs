//! `ghmesh up`: the daemon.

use crate::commands::parts;
use crate::commands::secrets::{self, Derived, Keeper, Sources};
use crate::exit::Exit;
use crate::settings::{Inputs, Loaded, Mesh, SecretChoice, SecretNote, SecretText, Settings, mesh_secret};
use anyhow::Context;
use ghmesh_gateway::{BindError, Server};
use ghmesh_mesh::{Author, Identity};
use ghmesh_node::{Clock, Membership, Node};
use ghmesh_policy::WebhookSecret;
use ghmesh_store::{OpenError, Store};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Longest wait for `gh auth token`.
const GH_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop. The secrets that it was given are dropped once the keys are derived; what `inputs`
/// still hold of them is for reading them again.
pub(crate) async fn run(loaded: Loaded, inputs: Inputs) -> anyhow::Result<Exit> {
    // Before anybody is told that this daemon is ready: unheard, the signal would end it.
    let hangups = signal(SignalKind::hangup())?;
    let is_usual_socket = loaded.place("gateway.socket").is_none();
    loaded.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let (settings, choice, sources) = match choose_secret(loaded.settings, inputs).await {
        Ok(chosen) => chosen,
        Err(errors) => {
            eprintln!("ghmesh: {errors}");
            return Ok(Exit::Usage);
        }
    };
    let clock = clock();
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
    let sharing =
        tokio::spawn(share(Joining::new(settings), choice, (sources, hangups), node, store.clone(), stopping));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    wait_for_signal().await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    serving.await.context("the gateway failed")?;
    sharing.await.context("the mesh failed")?;
    store.close().await.context("the store did not close cleanly; what was acknowledged is on disk")?;
    Ok(Exit::Success)
}

/// The node's timeline. In a debug build `_GHMESH_WALL_CLOCK_AHEAD`, in seconds, makes the wall clock wrong by so much, for tests: a
/// machine has one wall clock, and tests need several.
fn clock() -> Clock {
    let ahead = if cfg!(debug_assertions) { std::env::var("_GHMESH_WALL_CLOCK_AHEAD").ok() } else { None };
    let ahead: i64 = ahead.and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
    let span = Duration::from_secs(ahead.unsigned_abs());
    let now = SystemTime::now();
    Clock::start_at(if ahead < 0 { now - span } else { now + span })
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

/// Chooses the mesh secret. The settings come back without secrets, and without a mesh where there is none to key it; with them,
/// where secrets are read again.
async fn choose_secret(
    mut settings: Settings,
    inputs: Inputs,
) -> Result<(Settings, SecretChoice, Sources), crate::settings::SecretErrors> {
    let chosen = tokio::task::spawn_blocking(move || {
        let choice = mesh_secret(&settings, &inputs.surroundings.environment, gh_auth_token)?;
        settings.mesh.forget_secrets();
        settings.mesh.enabled = choice.secret.is_some();
        let sources = Sources::new(inputs, &choice);
        Ok((settings, choice, sources))
    });
    let (settings, choice, sources) =
        chosen.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    told_notes(&choice.notes);
    Ok((settings, choice, sources))
}

/// Tells the operator of a choice.
pub(crate) fn told_notes(notes: &[SecretNote]) {
    for note in notes {
        match note {
            SecretNote::LocalOnly { enabled: false } => tracing::info!("{note}"),
            SecretNote::LocalOnly { enabled: true }
            | SecretNote::Skipped { .. }
            | SecretNote::Weak { .. }
            | SecretNote::NotAccepted { .. }
            | SecretNote::ReadableByAll { .. } => tracing::warn!("{note}"),
        }
    }
}

/// What `gh auth token` prints, if gh is there and logged in.
pub(crate) fn gh_auth_token() -> Option<SecretText> {
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
    mesh: Mesh,
    /// Where the identity is.
    data: PathBuf,
    config: ghmesh_mesh::Config,
}

impl Joining {
    fn new(settings: Settings) -> Self {
        let Mesh { listen, bootstrap, discovery, .. } = settings.mesh.clone();
        let interfaces = ghmesh_mesh::InterfacePolicy { only: discovery.interfaces, skip: discovery.skip_interfaces };
        let dht = discovery.dht.chosen();
        let config = ghmesh_mesh::Config { listen, bootstrap, mdns: discovery.mdns, interfaces, dht };
        Joining { mesh: settings.mesh, data: settings.cache.dir, config }
    }
}

/// Joins the mesh once its keys are derived, and leaves it at the end.
///
/// Whatever fails here, the daemon stays up as a local cache and says so (`failed` in its reports): clients that point at it
/// would fail without it, while a missing mesh costs them calls only.
async fn share(
    joining: Joining,
    choice: SecretChoice,
    (sources, mut hangups): (Sources, Signal),
    node: Node,
    store: Store,
    stopping: watch::Receiver<bool>,
) {
    let stop = stopped(stopping);
    tokio::pin!(stop);
    if choice.secret.is_none() {
        node.own_up().await;
        tokio::select! {
            () = unheard(&mut hangups) => {}
            () = stop => {}
        }
        return;
    }
    let mesh = joining.mesh.clone();
    let secrets = secrets::all_of(choice);
    let started = tokio::select! {
        started = start(joining, secrets, &store) => started,
        () = &mut stop => return,
    };
    match started {
        Ok((membership, derived)) => {
            let handle = membership.mesh.clone();
            node.join(membership);
            let keeper = Keeper::new(sources, derived, hangups, &mesh);
            tokio::select! {
                () = follow(keeper, mesh.compromised, &node) => {}
                () = stop => {}
            }
            handle.stop().await;
        }
        Err(error) => {
            let reason = crate::told(&error);
            tracing::error!("the mesh can't be joined, this cache stays local: {reason}");
            node.mesh_failed(reason);
            node.own_up().await;
            tokio::select! {
                () = unheard(&mut hangups) => {}
                () = stop => {}
            }
        }
    }
}

/// Keeps the secrets as their sources say, for ever. `compromised`: others have leaked, and what came under them may be in the store.
async fn follow(keeper: Keeper, compromised: bool, node: &Node) {
    if compromised {
        node.distrust().await;
    }
    keeper.keep(node).await;
}

/// Without a mesh there is nothing to be read again.
async fn unheard(hangups: &mut Signal) {
    while hangups.recv().await.is_some() {
        tracing::warn!("SIGHUP: there is no mesh whose secrets could change; start anew to join one");
    }
}

async fn start(joining: Joining, secrets: Vec<SecretText>, store: &Store) -> anyhow::Result<(Membership, Derived)> {
    let Joining { mesh: Mesh { cluster, .. }, data, config } = joining;
    let (rings, derived) = tokio::task::spawn_blocking(move || {
        let mut derived = Derived::new(cluster);
        (derived.take(&secrets), derived)
    })
    .await?;
    let identity = Identity::load_or_create(&data)?;
    let author = Arc::new(Author::new(&identity, store.boot()));
    let remembered = store
        .peers()
        .into_iter()
        .map(|peer| ghmesh_mesh::Remembered { member: peer.member, addresses: peer.addresses });
    let (mesh, events) = ghmesh_mesh::start(config, identity, rings, store.boot(), remembered.collect()).await?;
    Ok((Membership { mesh, events, author }, derived))
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
