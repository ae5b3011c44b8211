//! A switch, the hosts on it, and the router in front of it.

use super::commands::{inside, ip, ip_says, nft, try_ip};
use super::faults::Faults;
use super::relay::{self, Delay};
use super::{leftovers, names};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hosts on one LAN, the gateway not counted: its addresses are of 24 bits.
const MAX_HOSTS: usize = 253;

/// A switch with hosts on it, removed when dropped. Hosts have one address each besides loopback.
#[derive(Debug)]
pub struct Lan {
    /// The switch's namespace, which is the router's too.
    pub(super) name: String,
    /// The three bytes that all addresses begin with.
    subnet: String,
    hosts: Vec<Host>,
    /// This machine's end of its cable to the outermost switch.
    root_end: Option<String>,
    /// LANs behind this one that route without translating: subnet, router's address here, router's namespace.
    routed: Vec<(String, String, String)>,
    sites: usize,
    pub(super) faults: Faults,
}

/// Something plugged into the switch.
#[derive(Debug)]
struct Host {
    namespace: String,
    cable: Cable,
}

#[derive(Clone, Copy, Debug)]
enum Cable {
    Short,
    Far(Delay),
    /// Of the router of another LAN, which removes it.
    Router,
}

/// How a LAN behind another reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uplink {
    /// All hosts have the router's address outside, and nobody outside can begin anything with them.
    Masqueraded,
    /// Hosts of all LANs that route reach each other. So does this machine.
    Routed,
}

impl Lan {
    /// A switch with this machine on it, as host 1, the gateway. Others may listen there.
    pub fn new() -> Self {
        leftovers::sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = leftovers::name(number);
        let subnet = format!("{}.77", free_network(number));
        let root_end = format!("{name}r");
        let mut lan = Lan::switch(name, subnet);
        ip(&["link", "add", &root_end, "type", "veth", "peer", "name", "root", "netns", &lan.name]);
        lan.root_end = Some(root_end.clone());
        ip(&["-n", &lan.name, "link", "set", "root", "master", "switch", "up"]);
        ip(&["addr", "add", &format!("{}/24", lan.gateway()), "dev", &root_end]);
        ip(&["link", "set", &root_end, "up"]);
        lan
    }

    /// A LAN behind this one. Its gateway is its router. Drop it before this one.
    pub fn behind(&mut self, uplink: Uplink) -> Lan {
        let network = self.subnet.rsplit_once('.').expect("it has three bytes").0;
        self.sites += 1;
        let subnet = format!("{network}.{}", 100 + self.sites);
        let lan = Lan::switch(format!("{}s{}", self.name, self.sites), subnet);
        ip(&["-n", &lan.name, "addr", "add", &format!("{}/24", lan.gateway()), "dev", "switch"]);
        inside(&lan.name, &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
        let host = self.plug_in(Host { namespace: lan.name.clone(), cable: Cable::Router }, "uplink");
        match uplink {
            Uplink::Masqueraded => nft(
                &lan.name,
                "table ip nat {\nchain leaving {\ntype nat hook postrouting priority 100\noifname uplink masquerade\n}\n}\n",
            ),
            Uplink::Routed => self.route(&lan, self.address_at(host)),
        }
        lan
    }

    /// Makes a switch without anything on it.
    fn switch(name: String, subnet: String) -> Self {
        ip(&["netns", "add", &name]);
        let faults = Faults::default();
        let lan = Lan { name, subnet, hosts: Vec::new(), root_end: None, routed: Vec::new(), sites: 0, faults };
        ip(&["-n", &lan.name, "link", "add", "switch", "type", "bridge"]);
        ip(&["-n", &lan.name, "link", "set", "switch", "up"]);
        ip(&["-n", &lan.name, "link", "set", "lo", "up"]);
        lan
    }

    /// Adds a host and gives the name of its namespace.
    pub fn add_host(&mut self) -> String {
        self.add(Cable::Short)
    }

    /// Adds a host at the end of a long cable: each packet takes its time, in each direction, and some overtake others.
    pub fn add_far_host(&mut self, delay: Delay) -> String {
        self.add(Cable::Far(delay))
    }

    fn add(&mut self, cable: Cable) -> String {
        let namespace = format!("{}h{}", self.name, self.hosts.len());
        self.make(&namespace, cable);
        namespace
    }

    fn make(&mut self, namespace: &str, cable: Cable) {
        ip(&["netns", "add", namespace]);
        ip(&["-n", namespace, "link", "set", "lo", "up"]);
        self.plug_in(Host { namespace: namespace.to_owned(), cable }, "eth0");
        if self.root_end.is_none() {
            ip(&["-n", namespace, "route", "add", "default", "via", &self.gateway()]);
        }
    }

    /// Connects a namespace, whose end of the cable gets that name.
    fn plug_in(&mut self, host: Host, inner: &str) -> usize {
        assert!(self.hosts.len() < MAX_HOSTS, "no address is left");
        self.hosts.push(host);
        let index = self.hosts.len() - 1;
        self.lay_cable(index, inner);
        index
    }

    fn lay_cable(&self, index: usize, inner: &str) {
        let Host { namespace, cable } = &self.hosts[index];
        let (port, mac) = (port(index), self.mac(index));
        match cable {
            Cable::Short | Cable::Router => {
                let outer = ["-n", &self.name, "link", "add", &port, "type", "veth"];
                let inner = ["peer", "name", inner, "address", &mac, "netns", namespace];
                ip(&[&outer[..], &inner[..]].concat());
            }
            Cable::Far(delay) => relay::lay((&self.name, &port), (namespace, inner, &mac), *delay),
        }
        ip(&["-n", &self.name, "link", "set", &port, "master", "switch", "up"]);
        ip(&["-n", namespace, "addr", "add", &format!("{}/24", self.address_at(index)), "dev", inner]);
        ip(&["-n", namespace, "link", "set", inner, "up"]);
    }

    /// Without power a host says nothing any more, not even goodbye. Kill its programs next, and give it power again.
    pub fn cut_power(&mut self, host: &str) {
        self.silence(host, true);
    }

    /// The host comes back with its addresses and without any memory of connections.
    pub fn restore_power(&mut self, host: &str) {
        let index = self.index(host);
        // The namespace lives on until the last of its programs has ended, under no name and without a cable.
        try_ip(&["-n", &self.name, "link", "del", &port(index)]);
        ip(&["netns", "del", host]);
        ip(&["netns", "add", host]);
        ip(&["-n", host, "link", "set", "lo", "up"]);
        self.lay_cable(index, "eth0");
        if self.root_end.is_none() {
            ip(&["-n", host, "route", "add", "default", "via", &self.gateway()]);
        }
        self.silence(host, false);
    }

    /// Makes these names mean the gateway, for programs that are started in `host` from now on.
    pub fn name_gateway(&self, host: &str, names: &[&str]) {
        names::write(host, "hosts", &format!("127.0.0.1 localhost\n{} {}\n", self.gateway(), names.join(" ")));
    }

    /// The address by which all hosts reach this machine, or the LAN's router.
    pub fn gateway(&self) -> String {
        format!("{}.1", self.subnet)
    }

    /// All addresses of this LAN.
    pub fn network(&self) -> String {
        format!("{}.0/24", self.subnet)
    }

    /// A host's address.
    pub fn address(&self, host: &str) -> String {
        self.address_at(self.index(host))
    }

    fn address_at(&self, index: usize) -> String {
        format!("{}.{}", self.subnet, index + 2)
    }

    /// A machine keeps its hardware address when it comes back.
    fn mac(&self, index: usize) -> String {
        let bytes: Vec<String> =
            self.address_at(index).split('.').map(|byte| format!("{:02x}", byte.parse::<u8>().unwrap_or(0))).collect();
        format!("02:00:{}", bytes.join(":"))
    }

    pub(super) fn index(&self, host: &str) -> usize {
        let found = self.hosts.iter().position(|known| known.namespace == host);
        found.unwrap_or_else(|| panic!("{host} is no host of {}", self.name))
    }

    /// Tells all that route, and this machine, of another router.
    fn route(&mut self, lan: &Lan, router: String) {
        let root_end = self.root_end.as_ref().expect("only the outermost LAN has LANs behind it that route");
        ip(&["route", "add", &lan.network(), "via", &router, "dev", root_end]);
        for (network, other_router, namespace) in &self.routed {
            ip(&["-n", namespace, "route", "add", &lan.network(), "via", &router]);
            ip(&["-n", &lan.name, "route", "add", network, "via", other_router]);
        }
        self.routed.push((lan.network(), router, lan.name.clone()));
    }
}

impl Default for Lan {
    fn default() -> Self {
        Lan::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if let Some(root_end) = &self.root_end {
            try_ip(&["link", "del", root_end]);
        }
        for host in self.hosts.iter().filter(|host| !matches!(host.cable, Cable::Router)) {
            leftovers::remove(&host.namespace);
        }
        leftovers::remove(&self.name);
    }
}

/// The switch's end of a host's cable.
pub(super) fn port(index: usize) -> String {
    format!("port{index}")
}

/// Two bytes that no address or route of this machine begins with.
fn free_network(number: u32) -> String {
    let taken = ip_says(&["-4", "-o", "addr"]) + &ip_says(&["-4", "route"]);
    let first = std::process::id() + number * 97;
    let mut all = (0..200).map(|step| format!("10.{}", (first + step) % 200 + 20));
    all.find(|network| !taken.contains(&format!(" {network}.")) && !taken.contains(&format!("\n{network}.")))
        .expect("this machine uses all networks from 10.20 to 10.219")
}
