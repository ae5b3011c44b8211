//! One `ghmesh up` process.

use crate::binaries::binaries;
use crate::client::{self, Answer, Endpoint};
use crate::{SECRET, eventually};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How a daemon is to be started.
#[derive(Clone, Debug)]
pub struct DaemonBuilder {
    directory: Arc<TempDir>,
    environment: Vec<(String, String)>,
    namespace: Option<String>,
}

/// A running daemon. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    how: DaemonBuilder,
    child: Child,
}

impl DaemonBuilder {
    /// A daemon of its own data directory on loopback, in a mesh with [`SECRET`], without mDNS, that calls `origin`.
    pub fn new(origin: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("ghmesh-").tempdir().expect("a temporary directory");
        let builder = DaemonBuilder { directory: Arc::new(directory), environment: Vec::new(), namespace: None };
        let (data, socket) = (builder.path("data"), builder.path("socket"));
        builder
            .with("GHMESH_ORIGIN__URL", origin)
            .with("GHMESH_CACHE__DIR", &data.to_string_lossy())
            .with("GHMESH_GATEWAY__SOCKET", &socket.to_string_lossy())
            .with("GHMESH_GATEWAY__LISTEN", "127.0.0.1:0")
            .with("GHMESH_MESH__LISTEN", "/ip4/127.0.0.1/tcp/0")
            .with("GHMESH_MESH__DISCOVERY__MDNS", "false")
            .with("GHMESH_MESH__SECRET", SECRET)
            .with("GHMESH_MESH__ALLOW_WEAK_SECRET", "true")
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves an environment variable out.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Runs it in a network namespace.
    pub fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.to_owned());
        self
    }

    /// Something in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with its environment and nothing of ours but `PATH`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.namespace {
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(&binaries().ghmesh);
                command
            }
            None => Command::new(&binaries().ghmesh),
        };
        command.args(arguments).env_clear().envs(self.environment.clone());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.directory.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.ready().await;
        daemon
    }

    /// Starts it and returns at once.
    pub fn spawn(self) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let child = self.command(&["up"]).stdout(Stdio::null()).stderr(log).spawn().expect("ghmesh starts");
        Daemon { how: self, child }
    }
}

impl Daemon {
    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        eventually("the daemon is ready", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            let answer = self.admin("/_ghmesh/readyz").await.ok()?;
            answer.status.is_success().then_some(())
        })
        .await;
    }

    /// Waits until it is connected to `count` peers.
    pub async fn connected(&self, count: u64) {
        eventually(&format!("{count} peers are connected"), async || {
            let stats = self.stats().await;
            (stats["connected_peers"].as_u64() >= Some(count)).then_some(())
        })
        .await;
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.how.path("log")).unwrap_or_default()
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.how.path("socket")
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.how.path("data")
    }

    /// How it was started.
    pub fn how(&self) -> &DaemonBuilder {
        &self.how
    }

    /// Its process id (of `ip netns exec`, which becomes the daemon, where it runs in a namespace).
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the daemon runs")
    }

    /// Its totals.
    pub async fn stats(&self) -> Value {
        self.admin("/_ghmesh/stats").await.expect("stats are answered").json()
    }

    /// One of its totals.
    pub async fn count(&self, name: &str) -> u64 {
        let stats = self.stats().await;
        stats[name].as_u64().unwrap_or_else(|| panic!("no count called {name} in {stats}"))
    }

    /// Its multiaddrs, with its peer id.
    pub async fn addresses(&self) -> Vec<String> {
        let stats = self.stats().await;
        let peer_id = stats["peer_id"].as_str().unwrap_or_default().to_owned();
        let addresses = stats["listen_addrs"].as_array().cloned().unwrap_or_default();
        let text = |address: &Value| address.as_str().unwrap_or_default().to_owned();
        let full =
            |address: String| if address.contains("/p2p/") { address } else { format!("{address}/p2p/{peer_id}") };
        addresses.iter().map(text).map(full).collect()
    }

    /// Waits until its mesh listens, and gives its first address.
    pub async fn address(&self) -> String {
        eventually("the mesh listens", async || self.addresses().await.into_iter().next()).await
    }

    /// Where it listens for HTTP by unix socket.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.socket())
    }

    /// Where it listens for HTTP by TCP, as its log says.
    pub async fn tcp(&self) -> std::net::SocketAddr {
        eventually("the daemon tells its TCP address", async || {
            let log = self.log();
            let words = log.lines().filter(|line| line.contains("listening")).flat_map(str::split_whitespace);
            words.filter_map(|word| word.strip_prefix("address=")?.parse().ok()).next()
        })
        .await
    }

    /// Asks one of its own pages.
    ///
    /// # Errors
    /// Where it is not there (yet).
    pub async fn admin(&self, path: &str) -> Result<Answer, client::BoxError> {
        let request = Request::get(path).header("host", "localhost").body(Full::default())?;
        client::send(&self.endpoint(), request).await
    }

    /// `GET path` with this token, as gh would send it.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(client::request(Method::GET, path, Some(token)), Bytes::new()).await
    }

    /// Any request.
    pub async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let request = request.body(Full::new(body.into())).expect("a request");
        client::send(&self.endpoint(), request).await.unwrap_or_else(|error| panic!("{error}; log:\n{}", self.log()))
    }

    /// Whether it would answer `path` from a fresh entry of its own. Makes no call and asks no member.
    pub async fn holds(&self, path: &str, token: &str) -> bool {
        let request = client::request(Method::GET, path, Some(token)).header("cache-control", "only-if-cached");
        self.send(request, "").await.status.is_success()
    }

    /// Waits until it would not answer `path` from a fresh entry. Makes no call.
    pub async fn expired(&self, path: &str, token: &str) {
        eventually(&format!("{path} has expired"), async || (!self.holds(path, token).await).then_some(())).await;
    }

    /// The most memory that it has had at once, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.memory_line("VmHWM:")
    }

    /// The memory that it has at present, in KiB.
    pub fn memory(&self) -> u64 {
        self.memory_line("VmRSS:")
    }

    fn memory_line(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(mut self) -> DaemonBuilder {
        self.child.kill().await.expect("it was running");
        self.how.clone()
    }

    /// Asks it to end, as systemd does, and waits until it has.
    pub async fn stop(mut self) -> DaemonBuilder {
        self.signal(Signal::TERM);
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{status}; log:\n{}", self.log());
        self.how.clone()
    }
}

/// Starts `count` daemons of one mesh that know each other, and waits until all are connected.
pub async fn fleet(count: usize, origin: &str, with: impl Fn(DaemonBuilder) -> DaemonBuilder) -> Vec<Daemon> {
    let first = with(DaemonBuilder::new(origin)).start().await;
    let address = first.address().await;
    let mut daemons = vec![first];
    for _ in 1..count {
        let how = with(DaemonBuilder::new(origin)).with("GHMESH_MESH__BOOTSTRAP", &address);
        daemons.push(how.spawn());
    }
    for daemon in &mut daemons {
        daemon.ready().await;
    }
    for daemon in &daemons {
        daemon.connected(count as u64 - 1).await;
    }
    daemons
}

/// Whether a directory holds `text` in any of its files, as bytes.
pub fn directory_contains(directory: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    let holds = |path: PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files.filter(|path| path.is_file()).any(holds)
}
