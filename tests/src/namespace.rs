//! Hosts on one machine: network namespaces on one bridge. Needs root.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bridge with hosts on it, removed when dropped. Hosts have addresses `10.<n>.0.<host>` and no others but loopback.
#[derive(Debug)]
pub struct Lan {
    name: String,
    subnet: String,
    hosts: Vec<String>,
}

impl Lan {
    /// An empty bridge. Its own address is host 1.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = (std::process::id() + COUNT.fetch_add(1, Ordering::Relaxed) * 97) % 200 + 20;
        let name = format!("gm{}x{number}", std::process::id() % 10_000);
        let subnet = format!("10.{number}.77");
        ip(&["link", "add", &name, "type", "bridge"]);
        ip(&["addr", "add", &format!("{subnet}.1/24"), "dev", &name]);
        ip(&["link", "set", &name, "up"]);
        Lan { name, subnet, hosts: Vec::new() }
    }

    /// Adds a host and gives the name of its namespace.
    pub fn add_host(&mut self) -> String {
        let index = self.hosts.len() + 2;
        let host = format!("{}h{index}", self.name);
        let (outer, inner) = (format!("{}v{index}", self.name), "eth0");
        ip(&["netns", "add", &host]);
        self.hosts.push(host.clone());
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", inner, "netns", &host]);
        ip(&["link", "set", &outer, "master", &self.name, "up"]);
        ip(&["-n", &host, "link", "set", "lo", "up"]);
        ip(&["-n", &host, "addr", "add", &format!("{}.{index}/24", self.subnet), "dev", inner]);
        ip(&["-n", &host, "link", "set", inner, "up"]);
        host
    }

    /// Makes these names mean the bridge's own address, for programs that are started in `host` from now on.
    pub fn name_gateway(&self, host: &str, names: &[&str]) {
        let directory = resolver_directory(host);
        std::fs::create_dir_all(&directory).expect("root may write below /etc/netns");
        let hosts = format!("127.0.0.1 localhost\n{} {}\n", self.gateway(), names.join(" "));
        std::fs::write(directory.join("hosts"), hosts).expect("root may write below /etc/netns");
    }

    /// The bridge's own address: what every host reaches the outer namespace by.
    pub fn gateway(&self) -> String {
        format!("{}.1", self.subnet)
    }
}

impl Default for Lan {
    fn default() -> Self {
        Lan::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in &self.hosts {
            let _ = Command::new("ip").args(["netns", "del", host]).status();
            // Most have none.
            let _ = std::fs::remove_dir_all(resolver_directory(host));
        }
        let _ = Command::new("ip").args(["link", "del", &self.name]).status();
    }
}

/// What `ip netns exec` puts in the place of files in `/etc`.
fn resolver_directory(host: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(host)
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {error}", arguments.join(" "));
}
