//! Names: what a host's files say, and a DNS server whose records change.

use super::{Lan, leftovers};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Debian's dnsmasq on a host of its own, which knows one name. It is killed when dropped.
#[derive(Debug)]
pub struct NameServer {
    child: Child,
    directory: TempDir,
    address: String,
    name: String,
}

impl NameServer {
    /// Starts it on a new host of `lan`, where `name` means these addresses.
    pub fn start(lan: &mut Lan, name: &str, addresses: &[String]) -> Self {
        let host = lan.add_host();
        let address = lan.address(&host);
        let directory = tempfile::Builder::new().prefix("ghmesh-").tempdir().expect("a temporary directory");
        let records = directory.path().join("records");
        std::fs::write(&records, lines(name, addresses)).expect("a file");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &host, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]);
        command.args(["--user=root", "--no-resolv", "--no-hosts", "--bind-interfaces", "--pid-file="]);
        // Asked again, it answers from what it knows then.
        command.args(["--local-ttl=0", "--local=/#/"]).arg(format!("--addn-hosts={}", records.display()));
        let child = command.stdin(Stdio::null()).spawn().expect("iproute2 is installed");
        NameServer { child, directory, address, name: name.to_owned() }
    }

    /// From now on the name means these addresses. It must have answered before: what is told to it while it starts ends it.
    pub fn set(&self, addresses: &[String]) {
        let (records, new) = (self.path("records"), self.path("new"));
        std::fs::write(&new, lines(&self.name, addresses)).expect("a file");
        std::fs::rename(new, records).expect("a file is replaced");
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::HUP).expect("dnsmasq runs");
    }

    /// Makes programs that are started in `host` from now on ask this server, and nobody else.
    pub fn serve(&self, host: &str) {
        write(host, "resolv.conf", &format!("nameserver {}\noptions timeout:1\n", self.address));
        write(host, "hosts", "127.0.0.1 localhost\n");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(name: &str, addresses: &[String]) -> String {
    addresses.iter().map(|address| format!("{address} {name}\n")).collect()
}

/// Puts a file in the place of one in `/etc`, for programs that are started in `host` from now on.
pub(super) fn write(host: &str, file: &str, text: &str) {
    let directory = leftovers::etc(host);
    std::fs::create_dir_all(&directory).expect("root may write below /etc/netns");
    std::fs::write(directory.join(file), text).expect("root may write below /etc/netns");
}
