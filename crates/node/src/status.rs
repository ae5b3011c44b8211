//! What an operator may see of a node.

use crate::stats::Stats;
use ghmesh_mesh::{Peer, SourceStatus};
use ghmesh_origin::{BreakerState, HostHealth};
use serde::Serialize;

/// One connected member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerView {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// The last measured round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Seconds since it connected.
    pub connected_seconds: u64,
    /// Whether it dialled this node.
    pub inbound: bool,
}

/// How one way of finding members does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceView {
    /// `static`, `dns`, `remembered`, `mdns`, `kademlia`, `identify`, `inbound`.
    pub name: &'static str,
    /// Addresses that it gave and that are still known.
    pub addresses: usize,
    /// Connections to members that it has led to.
    pub found: u64,
    /// Seconds since it last led to one.
    pub last_success_seconds: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// What is known of one host of the origin's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OriginView {
    /// The host.
    pub host: String,
    /// Whether requests go to it at present.
    pub reachable: bool,
}

/// A node's state, in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// The mesh's state: `off`, `starting`, `running`.
    pub mesh: &'static str,
    /// The mesh's label: the same on all nodes that share a secret and a cluster name. Tells nothing of the secret.
    pub mesh_label: Option<String>,
    /// Who shares with whom: `credential`.
    pub sharing: &'static str,
    /// The totals.
    pub stats: Stats,
    /// The members.
    pub peers: Vec<PeerView>,
    /// Nodes of other meshes, and foreign programs, that were turned away at the gate since the start.
    pub strangers: u64,
    /// The ways of finding members.
    pub sources: Vec<SourceView>,
    /// The hosts that requests have gone to.
    pub origins: Vec<OriginView>,
}

/// Whether requests are answered. It never depends on peers: one node alone is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether they are.
    pub ready: bool,
    /// The mesh's state: `off`, `starting`, `running`.
    pub mesh: &'static str,
}

impl From<Peer> for PeerView {
    fn from(peer: Peer) -> Self {
        PeerView {
            peer_id: peer.peer_id,
            addresses: peer.addresses,
            round_trip_ms: peer.round_trip.map(|took| took.as_secs_f64() * 1000.0),
            connected_seconds: peer.connected_at.elapsed().as_secs(),
            inbound: peer.inbound,
        }
    }
}

impl From<SourceStatus> for SourceView {
    fn from(source: SourceStatus) -> Self {
        SourceView {
            name: source.source.name(),
            addresses: source.addresses,
            found: source.found,
            last_success_seconds: source.last_success.map(|at| at.elapsed().as_secs()),
            last_error: source.last_error.map(|(_, error)| error),
        }
    }
}

impl From<HostHealth> for OriginView {
    fn from(health: HostHealth) -> Self {
        OriginView { host: health.host, reachable: matches!(health.breaker, BreakerState::Closed { .. }) }
    }
}
