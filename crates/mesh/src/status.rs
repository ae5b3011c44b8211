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
    /// Lists of addresses in DNS (`/dnsaddr`).
    Dnsaddr,
    /// Peers of an earlier run.
    Remembered,
    /// Multicast on the LAN.
    Mdns,
    /// Other members' routing tables.
    Kademlia,
    /// The public DHT, where members leave their addresses.
    Rendezvous,
    /// Where a connected member says that it listens.
    Identify,
    /// Where members beyond the neighbours say that they are.
    Presence,
    /// They dialled this node.
    Inbound,
}

impl Source {
    /// Every source, in the order in which they are shown.
    pub const ALL: [Source; 10] = [
        Source::Static,
        Source::Dns,
        Source::Dnsaddr,
        Source::Remembered,
        Source::Mdns,
        Source::Kademlia,
        Source::Rendezvous,
        Source::Identify,
        Source::Presence,
        Source::Inbound,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Source::Static => "static",
            Source::Dns => "dns",
            Source::Dnsaddr => "dnsaddr",
            Source::Remembered => "remembered",
            Source::Mdns => "mdns",
            Source::Kademlia => "kademlia",
            Source::Rendezvous => "dht",
            Source::Identify => "identify",
            Source::Presence => "presence",
            Source::Inbound => "inbound",
        }
    }
}

/// Whether a source is of any use at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was given nothing to do, or is switched off.
    Off,
    /// It has led to a member that is connected, or did so after it last failed.
    Good,
    /// It has neither led to a member nor failed.
    Quiet,
    /// It failed, and has led to nobody since.
    Failing,
}

impl Health {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Health::Off => "off",
            Health::Good => "good",
            Health::Quiet => "quiet",
            Health::Failing => "failing",
        }
    }
}

/// How a source does. Each works for itself: what one waits for, no other waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Which.
    pub source: Source,
    /// Its use at the moment.
    pub health: Health,
    /// Addresses that it gave and that are still known.
    pub addresses: usize,
    /// Connections to members that it has led to.
    pub found: u64,
    /// When it last led to one.
    pub last_success: Option<Instant>,
    /// When it last gave addresses, whoever may be there: names that resolved, an answer on the LAN.
    pub last_answer: Option<Instant>,
    /// What went wrong last, and when.
    pub last_error: Option<(Instant, String)>,
}

/// Somebody who was met and is no member of this mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its libp2p peer id: what it proved in the transport's handshake, which says nothing of who it is.
    pub peer_id: String,
    /// Where: the address that was dialled, or the one that it came from.
    pub address: String,
    /// Which source led to it; [`Source::Inbound`] where it dialled this node.
    pub source: Source,
    /// What it seems to be.
    pub kind: OtherKind,
    /// When it was last met.
    pub seen_at: Instant,
}

/// What somebody outside the mesh seems to be. It may pretend: this is for operators to look at, nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// A node of ghmesh with another secret or cluster name.
    OtherMesh,
    /// Some other program of libp2p.
    Foreign,
}

impl OtherKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            OtherKind::OtherMesh => "other mesh",
            OtherKind::Foreign => "no node of ghmesh",
        }
    }
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
    /// What its connection runs over.
    pub transport: Transport,
}

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP with Noise.
    Tcp,
    /// QUIC.
    Quic,
}

impl Transport {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Quic => "quic",
        }
    }
}

/// What has happened since the start. Each counts what its name says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Addresses that were dialled and led nowhere, or to somebody else.
    pub dials_failed: u64,
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
    /// Requests of members that were dropped because the member asks too much.
    pub requests_excess: u64,
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
    /// Who was met lately and is no member: the latest first, at most 32.
    pub others: Vec<Other>,
    /// Counts since the start.
    pub counters: Counters,
}
