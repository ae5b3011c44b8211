//! The demo's machinery: a simulated GitHub in this process, three daemons as children, requests over their sockets.

use super::Cost;
use crate::api::transport::{self, Daemon, Transport};
use anyhow::{Context, bail};
use bytes::Bytes;
use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::future::Future;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longest wait for anything. Deriving the mesh keys takes half a second on a small machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that the story happens on.
pub(super) struct Stage {
    github: Sim,
    nodes: Vec<Actor>,
    asked: AtomicU64,
    ttl: Duration,
    // Removed last.
    _directory: TempDir,
}

/// One daemon.
struct Actor {
    name: &'static str,
    daemon: Daemon,
    child: Child,
}

/// The sums over all nodes.
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) hits: u64,
    pub(super) local_hits: u64,
    pub(super) peer_hits: u64,
    pub(super) saved: u64,
    /// What the nodes count of their calls to GitHub.
    pub(super) spent: Cost,
}

/// An answer.
pub(super) struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Told {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// How it came about, read off its `Cache-Status`.
    pub(super) fn kind(&self) -> &'static str {
        match self.header("cache-status") {
            status if status.contains("detail=peer") => "peer",
            status if status.contains("detail=stale") => "stale",
            status if status.contains("fwd-status=304") => "confirmed",
            status if status.contains("fwd=miss; stored") => "fetched",
            status if status.contains("; hit") => "local",
            status if status.contains("fwd=method") => "passed",
            _ => "not cached",
        }
    }

    /// The title of the issue in it.
    pub(super) fn title(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["title"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Stage {
    /// Starts everything, and waits until the nodes are connected.
    pub(super) async fn set(ttl: Duration) -> anyhow::Result<Self> {
        let github = Sim::start(Config::default()).await?;
        let directory = tempfile::Builder::new().prefix("ghmesh-demo-").tempdir()?;
        let secret = directory.path().join("secret");
        std::fs::write(&secret, ghmesh_seal::generate(rand::random()).as_bytes())?;
        let mut stage = Stage { github, nodes: Vec::new(), asked: AtomicU64::new(0), ttl, _directory: directory };
        stage.start("A", None)?;
        let first = stage.bootstrap().await?;
        stage.start("B", Some(&first))?;
        stage.start("C", Some(&first))?;
        eventually("the nodes are connected", async || stage.are_connected().await).await?;
        Ok(stage)
    }

    fn start(&mut self, name: &'static str, bootstrap: Option<&str>) -> anyhow::Result<()> {
        let directory = self._directory.path();
        let (socket, data) = (directory.join(format!("{name}.sock")), directory.join(name));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("up").env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory);
        command.env("GHMESH_CACHE__DIR", data).env("GHMESH_CACHE__DEFAULT_TTL", self.ttl.as_secs().to_string());
        command.env("GHMESH_GATEWAY__SOCKET", &socket).env("GHMESH_GATEWAY__LISTEN", "127.0.0.1:0");
        command.env("GHMESH_ORIGIN__URL", self.github.url());
        command.env("GHMESH_MESH__SECRET_FILE", directory.join("secret"));
        command.env("GHMESH_MESH__LISTEN", "/ip4/127.0.0.1/tcp/0").env("GHMESH_MESH__DISCOVERY__MDNS", "false");
        command.envs(bootstrap.map(|address| ("GHMESH_MESH__BOOTSTRAP", address)));
        let log = std::fs::File::create(directory.join(format!("{name}.log")))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().context("a node could not be started")?;
        self.nodes.push(Actor { name, daemon: Daemon::on_socket(&socket), child });
        Ok(())
    }

    /// The first node's multiaddr, once it listens.
    async fn bootstrap(&self) -> anyhow::Result<String> {
        eventually("node A listens", async || {
            let stats = self.report(&self.nodes[0], "/_ghmesh/stats").await.ok()?;
            let (address, peer_id) = (stats["listen_addrs"][0].as_str()?, stats["peer_id"].as_str()?);
            let address = address.split("/p2p/").next().unwrap_or_default();
            (!peer_id.is_empty()).then(|| format!("{address}/p2p/{peer_id}"))
        })
        .await
    }

    async fn are_connected(&self) -> Option<()> {
        for node in &self.nodes {
            let stats = self.report(node, "/_ghmesh/stats").await.ok()?;
            if stats["connected_peers"].as_u64()? + 1 < self.nodes.len() as u64 {
                return None;
            }
        }
        Some(())
    }

    /// Calls and charges that the simulated GitHub has counted.
    pub(super) fn spent(&self) -> Cost {
        let counters = self.github.counters();
        Cost { calls: counters.calls(), charged: counters.charged() }
    }

    /// Requests made so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Makes the simulated GitHub fail in these ways, or no more.
    pub(super) fn github_fails(&self, faults: Vec<Fault>) {
        self.github.set_faults(faults);
    }

    /// Asks one node as a client would.
    pub(super) async fn ask(&self, name: &str, method: Method, path: &str, body: &str) -> anyhow::Result<Told> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let request = Request::builder().method(method).uri(format!("http://api.github.com{path}"));
        let request = request.header("authorization", format!("token {}", tokens::ALICE));
        let (head, body) = self.send(self.actor(name), request, body).await?;
        Ok(Told { status: head.status, headers: head.headers, body })
    }

    fn actor(&self, name: &str) -> &Actor {
        self.nodes.iter().find(|node| node.name == name).expect("the story names nodes that were started")
    }

    async fn send(
        &self,
        node: &Actor,
        request: http::request::Builder,
        body: &str,
    ) -> anyhow::Result<(http::response::Parts, Bytes)> {
        let request = request.body(transport::full(body.to_owned()))?;
        let (head, body) = node.daemon.send(request).await?.into_parts();
        let body = body.collect().await.map_err(|error| anyhow::anyhow!("an answer broke off: {error}"))?.to_bytes();
        Ok((head, body))
    }

    async fn report(&self, node: &Actor, page: &str) -> anyhow::Result<Value> {
        let request = Request::builder().uri(format!("http://localhost{page}"));
        Ok(serde_json::from_slice(&self.send(node, request, "").await?.1)?)
    }

    /// Waits until what one node stored has reached the others.
    pub(super) async fn spread(&self, path: &str) -> anyhow::Result<()> {
        let entries = self.entries(&self.nodes[0]).await.context("node A reports")?;
        eventually(&format!("{path} has reached all nodes"), async || {
            for node in &self.nodes[1..] {
                if self.entries(node).await? == 0 {
                    return None;
                }
            }
            Some(())
        })
        .await
        .with_context(|| format!("node A has {entries} entries"))
    }

    async fn entries(&self, node: &Actor) -> Option<u64> {
        self.report(node, "/_ghmesh/stats").await.ok()?["entries"].as_u64()
    }

    /// Lets every answer that was given so far expire.
    pub(super) async fn expire(&self) {
        println!("   ({} s pass)", self.ttl.as_secs());
        tokio::time::sleep(self.ttl).await;
    }

    /// How often others told a node that something was written.
    pub(super) async fn heard(&self, name: &str) -> anyhow::Result<u64> {
        let stats = self.report(self.actor(name), "/_ghmesh/stats").await?;
        Ok(stats["invalidations_heard"].as_u64().unwrap_or_default())
    }

    /// Waits until a node has heard more than `before`.
    pub(super) async fn hears_more(&self, name: &str, before: u64) -> anyhow::Result<()> {
        let what = format!("{name} has heard of the write");
        eventually(&what, async || (self.heard(name).await.ok()? > before).then_some(())).await
    }

    /// The sums over all nodes.
    pub(super) async fn totals(&self) -> anyhow::Result<Totals> {
        let mut totals = Totals {
            requests: 0,
            hits: 0,
            local_hits: 0,
            peer_hits: 0,
            saved: 0,
            spent: Cost { calls: 0, charged: 0 },
        };
        for node in &self.nodes {
            let stats = self.report(node, "/_ghmesh/stats").await?;
            let count = |name: &str| stats[name].as_u64().unwrap_or_default();
            totals.requests += count("requests");
            totals.hits += count("hits");
            totals.local_hits += count("local_hits");
            totals.peer_hits += count("peer_hits");
            totals.saved += count("api_calls_saved");
            totals.spent.calls += count("api_calls_made");
            totals.spent.charged += count("api_calls_charged");
        }
        Ok(totals)
    }

    /// Ends everything.
    pub(super) async fn strike(mut self) {
        for node in &mut self.nodes {
            // It may have ended by itself; then there is nothing to kill.
            let _ = node.child.kill().await;
        }
        self.github.shutdown().await;
    }
}

async fn eventually<T, F>(what: &str, mut ready: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = ready().await {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            bail!("waited {} s in vain until {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
