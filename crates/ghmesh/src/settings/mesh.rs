//! `mesh`: who belongs together, and how nodes find each other.
//!
//! Which secret is used in the end is decided in `choice`.

use super::address::{self, Use};
use super::dht::{self, DhtSettings};
use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::{Reader, check_range};
use super::secret::SecretText;
use super::value::Quantity;
use std::path::PathBuf;

/// Longest name of a cluster in bytes; it goes into every key derivation.
const MAX_CLUSTER_BYTES: u64 = 64;

static ENABLED: Key = Key {
    path: "mesh.enabled",
    default: Fallback::Text("true"),
    values: "`true`, `false`",
    meaning: "Whether this node looks for others. `false`: a cache for this machine only; no port is opened, no \
              secret is looked for.",
    because: "Sharing is what ghmesh is for.",
    secret: false,
};
pub(super) static SECRET: Key = Key {
    path: "mesh.secret",
    default: Fallback::Unset,
    values: "text; digits in quotes",
    meaning: "What the nodes of one mesh share. Whoever knows it can read every answer that is shared, so one mesh \
              per trust domain. `ghmesh secret new` makes one. Changed on one node only, that node is alone; to \
              change it everywhere see [another secret](#another-secret).",
    because: "Without it the next source is tried, see [the mesh secret](#the-mesh-secret).",
    secret: true,
};
pub(super) static SECRET_FILE: Key = Key {
    path: "mesh.secret_file",
    default: Fallback::Unset,
    values: "path",
    meaning: "A file that holds the mesh secret, for systemd credentials and mounted Kubernetes secrets. Line ends \
              behind the secret don't count. Not read if `mesh.secret` is set. A running daemon takes what the file says \
              within four seconds.",
    because: "There is no usual place for it.",
    secret: false,
};
pub(super) static ACCEPTED_SECRETS: Key = Key {
    path: "mesh.accepted_secrets",
    default: Fallback::EmptyList,
    values: "list of texts",
    meaning: "Secrets of other nodes that are accepted besides our own, seven at most with those of \
              `mesh.accepted_secrets_file`: for [another secret](#another-secret) without an outage. Removing one closes \
              the connections of those who hold no other.",
    because: "Nothing but the own secret is trusted.",
    secret: true,
};
pub(super) static ACCEPTED_SECRETS_FILE: Key = Key {
    path: "mesh.accepted_secrets_file",
    default: Fallback::Unset,
    values: "path",
    meaning: "A file with more such secrets, one in a line. It may be missing or empty. A running daemon takes what the \
              file says within four seconds.",
    because: "There is no usual place for it.",
    secret: false,
};
static COMPROMISED: Key = Key {
    path: "mesh.compromised",
    default: Fallback::Text("false"),
    values: "`true`, `false`",
    meaning: "Another secret than this node's own has leaked. None is accepted besides; where the secret changes, every \
              connection is closed at once; and what members told under another secret counts no more: GitHub confirms \
              it first. Set it together with the new secret, and take it back when all nodes have that.",
    because: "A secret that changes in the course of things should cost no answer.",
    secret: false,
};
static ALLOW_WEAK_SECRET: Key = Key {
    path: "mesh.allow_weak_secret",
    default: Fallback::Text("false"),
    values: "`true`, `false`",
    meaning: "Accepts a secret that is neither a long-lived token nor made by `ghmesh secret new`. Whoever can reach \
              a node's port can then guess it, undisturbed and fast, and read all that is shared.",
    because: "Length is not randomness: a sentence is guessed.",
    secret: false,
};
static CLUSTER: Key = Key {
    path: "mesh.cluster",
    default: Fallback::Text("default"),
    values: "1 to 64 bytes of text",
    meaning: "Separates meshes that have the same secret. Nodes with another name never meet.",
    because: "Most secrets serve one mesh.",
    secret: false,
};
static LISTEN: Key = Key {
    path: "mesh.listen",
    default: Fallback::Text(
        "/ip4/0.0.0.0/tcp/9000,/ip6/::/tcp/9000,/ip4/0.0.0.0/udp/9000/quic-v1,/ip6/::/udp/9000/quic-v1",
    ),
    values: "list of multiaddrs: `/ip4/…` or `/ip6/…`, then `/tcp/…` or `/udp/…/quic-v1`; port 0 is any free one",
    meaning: "Where other nodes reach this one, over TCP and over QUIC. They must get through firewalls on one of the two; \
              without either this node can still dial out. TCP is tried first, QUIC where TCP leads nowhere.",
    because: "9000 is the predecessor's port. All interfaces: strangers are turned away before anything else by the \
              proof of the secret.",
    secret: false,
};
static BOOTSTRAP: Key = Key {
    path: "mesh.bootstrap",
    default: Fallback::EmptyList,
    values: "list of multiaddrs: `/ip4`, `/ip6`, `/dns4` or `/dns6`, then `/tcp/…` or `/udp/…/quic-v1`; or \
             `/dnsaddr/NAME`; then `/p2p/…` if known",
    meaning: "Nodes to dial at the start, where mDNS cannot find any (routed networks, Kubernetes). One that is up is \
              enough: it names the others, and they are remembered. Names are resolved again and again, and changes \
              followed. `/dnsaddr/NAME` stands for the addresses in the TXT records at `_dnsaddr.NAME`, as in \
              `dnsaddr=/ip4/10.0.0.5/tcp/9000`.",
    because: "On one LAN none is needed.",
    secret: false,
};
static MDNS: Key = Key {
    path: "mesh.discovery.mdns",
    default: Fallback::Text("true"),
    values: "`true`, `false`",
    meaning: "Finds nodes on the same network by multicast. `false` where there is none (pod networks, clouds), or to \
              stay silent.",
    because: "It needs no configuration, and never leaves the network that the machine is in.",
    secret: false,
};

static INTERFACES: Key = Key {
    path: "mesh.discovery.interfaces",
    default: Fallback::EmptyList,
    values: "list of names of network interfaces; `*` at the end stands for any ending",
    meaning: "The network interfaces by which nodes are looked for: addresses on others are neither announced, nor told to other \
              nodes, nor believed where multicast announces them. Addresses in `mesh.bootstrap` are dialled by whatever interface \
              leads there. Set it for a mesh across a VPN, as in `tailscale0`.",
    because: "All that `mesh.discovery.skip_interfaces` leaves; with a name here, that list counts for nothing.",
    secret: false,
};
static SKIP_INTERFACES: Key = Key {
    path: "mesh.discovery.skip_interfaces",
    default: Fallback::Text(
        "docker*,br-*,podman*,veth*,cni*,cali*,flannel*,cilium*,kube-*,lxc*,lxdbr*,virbr*,vnet*,vmnet*,vboxnet*,tun*,utun*,wg*,\
         tailscale*,zt*,nordlynx",
    ),
    values: "list of names of network interfaces; `*` at the end stands for any ending; `none` for none",
    meaning: "The network interfaces by which nodes are not looked for.",
    because: "Networks of containers and virtual machines hold this machine itself, or what it hides; a tunnel's other end has not \
              asked for it.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[
    &ENABLED,
    &SECRET,
    &SECRET_FILE,
    &ACCEPTED_SECRETS,
    &ACCEPTED_SECRETS_FILE,
    &COMPROMISED,
    &ALLOW_WEAK_SECRET,
    &CLUSTER,
    &LISTEN,
    &BOOTSTRAP,
    &MDNS,
    &dht::ENABLED,
    &dht::BOOTSTRAP,
    &dht::ANNOUNCE,
    &dht::PROTOCOL,
    &INTERFACES,
    &SKIP_INTERFACES,
];

/// The `mesh` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Whether this node looks for others.
    pub enabled: bool,
    /// The secret as given; its strength is judged by [`super::mesh_secret`].
    pub secret: Option<SecretText>,
    /// A file that holds it.
    pub secret_file: Option<PathBuf>,
    /// Other nodes' secrets that are accepted.
    pub accepted_secrets: Vec<SecretText>,
    /// A file that holds more of them.
    pub accepted_secrets_file: Option<PathBuf>,
    /// Whether another secret than this node's has leaked.
    pub compromised: bool,
    /// Whether secrets may be weak.
    pub allow_weak_secret: bool,
    /// The mesh's name, 1 to 64 bytes.
    pub cluster: String,
    /// Multiaddrs to listen on.
    pub listen: Vec<String>,
    /// Multiaddrs to dial at the start.
    pub bootstrap: Vec<String>,
    /// How nodes are found.
    pub discovery: Discovery,
}

/// The `mesh.discovery` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Whether multicast DNS is used.
    pub mdns: bool,
    /// The DHT of IPFS.
    pub dht: DhtSettings,
    /// Interfaces that are used; where there are none here, all but `skip_interfaces`.
    pub interfaces: Vec<String>,
    /// Interfaces that are not used.
    pub skip_interfaces: Vec<String>,
}

impl Mesh {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Mesh {
            enabled: reader.value(&ENABLED),
            secret: reader.optional(&SECRET),
            secret_file: reader.path(&SECRET_FILE),
            accepted_secrets: reader.list(&ACCEPTED_SECRETS),
            accepted_secrets_file: reader.path(&ACCEPTED_SECRETS_FILE),
            compromised: reader.value(&COMPROMISED),
            allow_weak_secret: reader.value(&ALLOW_WEAK_SECRET),
            cluster: reader.value(&CLUSTER),
            listen: reader.list(&LISTEN),
            bootstrap: reader.list(&BOOTSTRAP),
            discovery: Discovery {
                mdns: reader.value(&MDNS),
                interfaces: reader.list(&INTERFACES),
                skip_interfaces: reader.list(&SKIP_INTERFACES),
                dht: DhtSettings::read(reader),
            },
        }
    }

    /// Drops the secrets, which zeroizes them: for after [`super::mesh_secret`].
    pub fn forget_secrets(&mut self) {
        self.secret = None;
        self.accepted_secrets = Vec::new();
    }

    /// Notes every value that can be read and still not be used.
    pub fn validate(&self, problems: &mut Vec<Problem>) {
        check_addresses(problems, &LISTEN, &self.listen, Use::Listen);
        check_addresses(problems, &BOOTSTRAP, &self.bootstrap, Use::Dial);
        self.discovery.dht.validate(problems);
        check_interfaces(problems, &INTERFACES, &self.discovery.interfaces);
        check_interfaces(problems, &SKIP_INTERFACES, &self.discovery.skip_interfaces);
        let cluster_bytes = Quantity::Bytes(self.cluster.len() as u64);
        check_range(problems, &CLUSTER, cluster_bytes, (Quantity::Bytes(1), Quantity::Bytes(MAX_CLUSTER_BYTES)));
    }
}

/// A `*` within a name would match nothing and say nothing; `none` beside others can't be meant.
fn check_interfaces(problems: &mut Vec<Problem>, key: &'static Key, patterns: &[String]) {
    for pattern in patterns {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        if name.contains('*') || (pattern == "none" && patterns.len() > 1) {
            problems.push(Problem::of_item(key, pattern, Fault::Interface));
        }
    }
}

fn check_addresses(problems: &mut Vec<Problem>, key: &'static Key, addresses: &[String], usage: Use) {
    for text in addresses {
        if let Err(fault) = address::check(text, usage) {
            problems.push(Problem::of_item(key, text, Fault::Address(fault)));
        }
    }
}
