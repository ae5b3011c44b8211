//! What the mesh shows of itself.

use ghmesh_model::MemberId;
use std::time::{Duration, Instant};

/// A way of finding members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Addresses in the settings.
    Static,
    /// Names in the settings.
    Dns,
    /// Peers of an earlier run.
    Remembered,
    /// Multicast on the LAN.
    Mdns,
    /// Other members' routing tables.
    Kademlia,
    /// Where a connected member says that it listens.
    Identify,
    /// Where members beyond the neighbours say that they are.
    Presence,
    /// They dialled this node.
    Inbound,
}

impl Source {
    /// Every source, in the order in which they are shown.
    pub const ALL: [Source; 8] = [
        Source::Static,
        Source::Dns,
        Source::Remembered,
        Source::Mdns,
        Source::Kademlia,
        Source::Identify,
        Source::Presence,
        Source::Inbound,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Source::Static => "static",
            Source::Dns => "dns",
            Source::Remembered => "remembered",
            Source::Mdns => "mdns",
            Source::Kademlia => "kademlia",
            Source::Identify => "identify",
            Source::Presence => "presence",
            Source::Inbound => "inbound",
        }
    }
}

/// How a source does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Which.
    pub source: Source,
    /// Addresses that it gave and that are still known.
    pub addresses: usize,
    /// Connections to members that it has led to.
    pub found: u64,
    /// When it last led to one.
    pub last_success: Option<Instant>,
    /// What went wrong last, and when.
    pub last_error: Option<(Instant, String)>,
}

/// A connected member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub member: MemberId,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Multiaddrs at which it can be dialled: dialled before, or said by it and matching where it is seen. Then where it is seen.
    pub addresses: Vec<String>,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
    /// When it connected.
    pub connected_at: Instant,
    /// Whether it dialled this node.
    pub inbound: bool,
}

/// What has happened since the start. Each counts what its name says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections refused at the gate, in either direction: other meshes, foreign programs.
    pub strangers: u64,
    /// Gossip messages sent.
    pub gossip_sent: u64,
    /// Gossip messages that went nowhere: nobody was connected, or queues were full.
    pub gossip_lost: u64,
    /// Gossip messages that were refused: not sealed or signed as they must be, or too large.
    pub gossip_refused: u64,
    /// Gossip messages that were seen before by author, boot and sequence.
    pub gossip_replayed: u64,
    /// Gossip messages dropped because their author, or who forwarded them, gossips too much.
    pub gossip_excess: u64,
    /// Gossip messages dropped because this node was busy, or because their forwarder had too many waiting.
    pub gossip_dropped: u64,
    /// Requests of members that were dropped because this node was busy, or could not be read.
    pub requests_dropped: u64,
    /// Times that the swarm's task was started again after a panic.
    pub restarts: u64,
}

/// A snapshot of the mesh.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// This node's libp2p peer id.
    pub peer_id: String,
    /// Multiaddrs that it listens on, each with the peer id at the end.
    pub listen_addrs: Vec<String>,
    /// The connected members, by id.
    pub peers: Vec<Peer>,
    /// Each source of members.
    pub sources: Vec<SourceStatus>,
    /// Counts since the start.
    pub counters: Counters,
}
