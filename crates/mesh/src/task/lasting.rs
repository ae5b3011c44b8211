//! What outlives a panic of the task: the book, the members that are known, what waits to be told, and what a swarm is built from.

use super::Command;
use crate::behaviour::{self, Behaviour};
use crate::book::Book;
use crate::exiles::Exiles;
use crate::gate::{Gate, Plea};
use crate::growth::Growth;
use crate::identity::member_id;
use crate::interfaces::InterfacePolicy;
use crate::mesh::{Event, StartError};
use crate::offences::{Offence, Offences};
use crate::others::Others;
use crate::rations::{Account, Rations};
use crate::resolve::Target;
use crate::rings::Rings;
use crate::status::{Counters, Source, Status};
use crate::transport;
use crate::workers::Gossiped;
use ghmesh_model::MemberId;
use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::gossipsub::TopicHash;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};

/// A connection that nobody uses is closed after this. Gossip uses every one.
const IDLE: Duration = Duration::from_secs(60);
/// Requests of members that are answered at once, of all and of one. When full, a request is dropped, and its asker goes on
/// without this node.
const MAX_SERVING: usize = 256;
const MAX_SERVING_ONE: usize = 64;
/// Events about members that wait for the owner. An owner this far behind is broken; the oldest is dropped.
const MAX_OUTBOX: usize = 4096;
/// Connections at the gate that wait to hear whether they are wanted. When full, they wait longer.
const PLEAS: usize = 64;
/// First dials are spread over this. A first member within a second has room for it.
const SPREAD: Duration = Duration::from_millis(100);

/// What a swarm is built from, each time.
pub(crate) struct Blueprint {
    pub(crate) keypair: Keypair,
    pub(crate) rings: Rings,
    /// Once bound, with the ports that were got.
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) mdns: bool,
    pub(crate) interfaces: InterfacePolicy,
    pub(crate) growth: Growth,
}

/// What outlives a panic.
pub(crate) struct Core {
    pub(super) blueprint: Blueprint,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) own_commands: mpsc::WeakSender<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) intake: mpsc::Sender<Gossiped>,
    pub(super) status: watch::Sender<Status>,
    pub(super) book: Book,
    pub(super) others: Others,
    pub(super) members: BTreeMap<PeerId, Member>,
    pub(super) exiles: Exiles,
    pub(super) rations: Rations,
    pub(super) offences: Offences,
    pub(super) outbox: VecDeque<Event>,
    pub(super) serving: Arc<Semaphore>,
    pub(super) counters: Counters,
}

/// A connected member.
pub(super) struct Member {
    pub(super) member: MemberId,
    pub(super) since: Instant,
    pub(super) inbound: bool,
    /// Whether its subscription has arrived: before, gossip does not reach it.
    pub(super) subscribed: bool,
    /// What it is subscribed to: the secrets that it holds.
    pub(super) topics: BTreeSet<TopicHash>,
    pub(super) round_trip: Option<Duration>,
    /// Where it says that it listens, and is seen.
    pub(super) confirmed: Vec<Multiaddr>,
    /// What the owner was told of its addresses.
    pub(super) told: Vec<String>,
    /// Requests to it under way.
    pub(super) asking: usize,
    /// Gossip that it forwarded and that waits to be opened.
    pub(super) unread: usize,
    pub(super) serving: Arc<Semaphore>,
    pub(super) account: Account,
}

/// A new swarm and what belongs to it.
pub(crate) struct Built {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) pleas: mpsc::Receiver<Plea>,
    pub(super) listeners: HashMap<ListenerId, usize>,
}

impl Core {
    pub(crate) fn new(
        blueprint: Blueprint,
        (commands, own_commands): (mpsc::Receiver<Command>, mpsc::WeakSender<Command>),
        events: mpsc::Sender<Event>,
        intake: mpsc::Sender<Gossiped>,
        status: watch::Sender<Status>,
    ) -> Self {
        let mut book = Book::new(blueprint.keypair.public().to_peer_id());
        [Source::Kademlia, Source::Identify, Source::Inbound].into_iter().for_each(|source| book.enable(source));
        if blueprint.mdns {
            book.enable(Source::Mdns);
        }
        Core {
            blueprint,
            commands,
            own_commands,
            events,
            intake,
            status,
            book,
            others: Others::default(),
            members: BTreeMap::new(),
            exiles: Exiles::default(),
            rations: Rations::new(Instant::now()),
            offences: Offences::default(),
            outbox: VecDeque::new(),
            serving: Arc::new(Semaphore::new(MAX_SERVING)),
            counters: Counters::default(),
        }
    }

    pub(crate) fn learn_configured(&mut self, addresses: Vec<(Multiaddr, Option<PeerId>)>) {
        for (address, peer) in addresses {
            self.book.learn(address, peer, Source::Static, soon());
        }
    }

    /// Notes that names are to be resolved.
    pub(crate) fn expect(&mut self, targets: &[Target]) {
        targets.iter().for_each(|target| self.book.enable(target.source()));
    }

    /// Notes that a DHT is to be visited.
    pub(crate) fn expect_rendezvous(&mut self) {
        self.book.enable(Source::Rendezvous);
    }

    pub(crate) fn learn_remembered(&mut self, addresses: Vec<(Multiaddr, PeerId)>) {
        for (address, peer) in addresses {
            self.book.learn(address, Some(peer), Source::Remembered, soon());
        }
    }

    pub(super) fn learn_suggested(&mut self, addresses: Vec<(Multiaddr, PeerId)>) {
        let now = Instant::now();
        addresses.into_iter().for_each(|(address, peer)| self.book.learn(address, Some(peer), Source::Presence, now));
    }

    /// A swarm that listens on every address, or the reason why not.
    pub(crate) fn first_swarm(&mut self) -> Result<Built, StartError> {
        let mut built = self.build()?;
        for index in 0..self.blueprint.listen.len() {
            let address = self.blueprint.listen[index].clone();
            probe(&address).map_err(|source| StartError::Listen { address: address.to_string(), source })?;
            let listener = built
                .swarm
                .listen_on(address.clone())
                .map_err(|error| StartError::Listen { address: address.to_string(), source: listen_error(error) })?;
            built.listeners.insert(listener, index);
        }
        Ok(built)
    }

    pub(super) fn build(&mut self) -> Result<Built, libp2p::noise::Error> {
        let (sender, pleas) = mpsc::channel(PLEAS);
        let Blueprint { keypair, rings, mdns, interfaces, .. } = &self.blueprint;
        let local = keypair.public().to_peer_id();
        let gate = |transport| Gate { local, rings: rings.clone(), transport, pleas: sender.clone() };
        let transport = transport::build(keypair, gate)?;
        #[cfg(test)]
        let transport = libp2p::Transport::boxed(crate::tests::cut::Cuttable::new(transport, local));
        let (behaviour, error) = behaviour::build(keypair, &rings.held(), *mdns, interfaces);
        if let Some(error) = error {
            tracing::warn!(%error, "members on the LAN cannot be looked for");
            self.book.error(Source::Mdns, error.to_string(), Instant::now());
        }
        let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
        Ok(Built { swarm: Swarm::new(transport, behaviour, local, config), pleas, listeners: HashMap::new() })
    }

    /// After a panic: every connection is gone.
    pub(super) fn recover(&mut self) {
        self.counters.restarts += 1;
        let now = Instant::now();
        for (peer, member) in std::mem::take(&mut self.members) {
            self.book.lost(&peer, now.duration_since(member.since), rand::random(), now);
            self.tell(Event::Left { member: member.member });
        }
        self.book.nothing_under_way();
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.outbox.len() == MAX_OUTBOX {
            tracing::error!("nobody reads the mesh's events: the oldest is dropped");
            self.outbox.pop_front();
        }
        self.outbox.push_back(event);
    }

    pub(super) fn offended(&mut self, member: MemberId, offence: Offence) {
        if self.offences.is_news(member, offence, Instant::now()) {
            tracing::debug!(%member, ?offence, "a member did what it should not");
            self.tell(Event::Offended { member, offence });
        }
    }

    /// For what is of use only while it is new.
    pub(super) fn hint(&mut self, event: Event) {
        if self.outbox.is_empty() {
            let _ = self.events.try_send(event);
        }
    }
}

/// A moment of the next few: so that nodes which start together don't dial the same address together.
pub(crate) fn soon() -> Instant {
    Instant::now() + SPREAD.mul_f64(rand::random())
}

/// Whether a port is free. libp2p's TCP listeners share a port with any other of the same user (`SO_REUSEPORT`), so that a second
/// daemon would silently take half of the first one's connections. Those of QUIC share nothing; here their error is a plain one.
fn probe(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        // Bound without sharing, `::` would also claim every IPv4 address, which has a listener of its own.
        Some(Protocol::Ip6(ip)) if !ip.is_unspecified() => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => std::net::TcpListener::bind((ip, port)).map(drop),
        Some(Protocol::Udp(port)) if port != 0 => std::net::UdpSocket::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

fn listen_error(error: TransportError<io::Error>) -> io::Error {
    match error {
        TransportError::MultiaddrNotSupported(address) => {
            io::Error::new(io::ErrorKind::Unsupported, format!("{address} is not supported"))
        }
        TransportError::Other(error) => error,
    }
}

impl Member {
    pub(super) fn new(peer: &PeerId, inbound: bool, account: Account, now: Instant) -> Option<Self> {
        Some(Member {
            member: member_id(peer)?,
            since: now,
            inbound,
            subscribed: false,
            topics: BTreeSet::new(),
            round_trip: None,
            confirmed: Vec::new(),
            told: Vec::new(),
            asking: 0,
            unread: 0,
            serving: Arc::new(Semaphore::new(MAX_SERVING_ONE)),
            account,
        })
    }
}
