//! The task that owns the swarm.
//!
//! It moves events and never waits for anybody but the network: no sealing, no signatures, no files, no full channel. Who wants
//! something of it sends a [`Command`]. If it panics, it starts again with a new swarm on the same addresses, and everybody is
//! dialled anew: a fault in the mesh must not end the cache.

mod dialling;
mod events;
mod requests;
mod secrets;

use crate::behaviour::{self, Behaviour};
use crate::book::Book;
use crate::config::transport_of;
use crate::connections::{Connections, PATROL};
use crate::exiles::Exiles;
use crate::gate::{Gate, Plea};
use crate::growth::Growth;
use crate::identity::member_id;
use crate::interfaces::InterfacePolicy;
use crate::mesh::{Event, StartError};
use crate::offences::{Offence, Offences};
use crate::others::Others;
use crate::rations::{Account, Rations};
use crate::rendezvous::Met;
use crate::resolve::{Resolved, Target};
use crate::rings::Rings;
use crate::status::{Counters, Peer, Source, Status};
use crate::transport;
use crate::workers::Gossiped;
use futures::{FutureExt, StreamExt};
use ghmesh_model::MemberId;
use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::gossipsub::{MessageId, TopicHash};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Swarm};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use dialling::COMPANY;

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
/// Between two snapshots, where nobody joins or leaves: in a crowd there is something new every millisecond.
const SHOW: Duration = Duration::from_millis(25);
/// Before a panicked task starts again.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// How long goodbyes may take.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// What others want of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Gossip this.
    Publish { topic: TopicHash, sealed: Vec<u8> },
    /// Ask a member.
    Ask { peer: PeerId, sealed: Vec<u8>, records: usize, answer: Answer },
    /// Answer a member.
    Respond { channel: ResponseChannel<Vec<u8>>, sealed: Vec<u8> },
    /// A gossip message was judged.
    Verdict { id: MessageId, forwarder: PeerId, verdict: Verdict },
    /// The secrets have changed. `cut`: close everything. `dropped`: some are held no more.
    Rings { cut: bool, dropped: bool },
    /// A member wants to be shared with under the secret of this label.
    Renewing { peer: PeerId, label: String },
    /// A member did what it should not.
    Offended { member: MemberId, offence: Offence },
    /// Keep a member out.
    Expel { peer: PeerId, span: Duration },
    /// A host name was resolved.
    Resolved(Box<Resolved>),
    /// The public DHT was visited.
    Met(Met),
    /// Say goodbye and end.
    Stop(oneshot::Sender<()>),
    /// Panic.
    #[cfg(test)]
    Panic,
    /// Listen there too.
    #[cfg(test)]
    Listen(Multiaddr),
    /// Close the connections to these.
    #[cfg(test)]
    Disconnect(Vec<PeerId>),
    /// Tell who stands in Kademlia's routing table, and Kademlia's mode.
    #[cfg(test)]
    ShowTable(oneshot::Sender<(Vec<PeerId>, libp2p::kad::Mode)>),
}

/// Where a response goes, sealed, or the reason why there is none.
pub(crate) type Answer = oneshot::Sender<Result<Vec<u8>, AskFailure>>;

/// Why the swarm has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskFailure {
    NotConnected,
    Busy,
    TimedOut,
    Closed,
}

/// What became of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Given to the owner; goes on to others.
    Accepted,
    /// The owner was too busy to take it; goes on to others.
    AcceptedUnread,
    /// Seen before; ends here.
    Replayed,
    /// This author has gossiped more than its allowance; ends here.
    TooManyOf(MemberId),
    /// Who forwarded it has forwarded more than its allowance of authors that are not connected; ends here.
    TooManyForwarded,
    /// Not a member's word; ends here.
    Refused,
}

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
    blueprint: Blueprint,
    commands: mpsc::Receiver<Command>,
    own_commands: mpsc::WeakSender<Command>,
    events: mpsc::Sender<Event>,
    intake: mpsc::Sender<Gossiped>,
    status: watch::Sender<Status>,
    book: Book,
    others: Others,
    members: BTreeMap<PeerId, Member>,
    exiles: Exiles,
    rations: Rations,
    offences: Offences,
    outbox: VecDeque<Event>,
    serving: Arc<Semaphore>,
    counters: Counters,
}

/// A connected member.
struct Member {
    member: MemberId,
    since: Instant,
    inbound: bool,
    /// Whether its subscription has arrived: before, gossip does not reach it.
    subscribed: bool,
    /// What it is subscribed to: the secrets that it holds.
    topics: BTreeSet<TopicHash>,
    round_trip: Option<Duration>,
    /// Where it says that it listens, and is seen.
    confirmed: Vec<Multiaddr>,
    /// What the owner was told of its addresses.
    told: Vec<String>,
    /// Requests to it under way.
    asking: usize,
    /// Gossip that it forwarded and that waits to be opened.
    unread: usize,
    serving: Arc<Semaphore>,
    account: Account,
}

/// A new swarm and what belongs to it.
pub(crate) struct Built {
    swarm: Swarm<Behaviour>,
    pleas: mpsc::Receiver<Plea>,
    listeners: HashMap<ListenerId, usize>,
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

    fn build(&mut self) -> Result<Built, libp2p::noise::Error> {
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
    fn recover(&mut self) {
        self.counters.restarts += 1;
        let now = Instant::now();
        for (peer, member) in std::mem::take(&mut self.members) {
            self.book.lost(&peer, now.duration_since(member.since), rand::random(), now);
            self.tell(Event::Left { member: member.member });
        }
        self.book.nothing_under_way();
    }

    fn tell(&mut self, event: Event) {
        if self.outbox.len() == MAX_OUTBOX {
            tracing::error!("nobody reads the mesh's events: the oldest is dropped");
            self.outbox.pop_front();
        }
        self.outbox.push_back(event);
    }

    fn offended(&mut self, member: MemberId, offence: Offence) {
        if self.offences.is_news(member, offence, Instant::now()) {
            tracing::debug!(%member, ?offence, "a member did what it should not");
            self.tell(Event::Offended { member, offence });
        }
    }

    /// For what is of use only while it is new.
    fn hint(&mut self, event: Event) {
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

/// Runs the task until the mesh is stopped, whatever happens to it.
pub(crate) async fn supervise(mut core: Core, first: Built) {
    let mut next = Some(first);
    loop {
        let built = next.take().map_or_else(|| core.build(), Ok);
        match built {
            Ok(built) => {
                let run = AssertUnwindSafe(Task::new(&mut core, built).run()).catch_unwind();
                if run.await.is_ok() {
                    return;
                }
                tracing::error!("the mesh's task panicked: it starts again");
                core.recover();
            }
            Err(error) => tracing::error!(%error, "the mesh's swarm cannot be built"),
        }
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

struct Task<'a> {
    core: &'a mut Core,
    swarm: Swarm<Behaviour>,
    pleas: mpsc::Receiver<Plea>,
    connections: Connections,
    /// Connections at the gate that wait for an older one to close.
    waiting: Vec<Waiting>,
    dials: BTreeMap<ConnectionId, Vec<Multiaddr>>,
    /// Members that this node is letting go.
    released: BTreeSet<PeerId>,
    asks: HashMap<OutboundRequestId, (PeerId, Answer)>,
    /// Gossip that waits for a new member's subscription.
    held: VecDeque<Held>,
    /// Which of the blueprint's addresses each listener is for.
    listeners: HashMap<ListenerId, usize>,
    timers: Timers,
    changed: bool,
}

struct Waiting {
    plea: Plea,
    until: Instant,
}

struct Held {
    topic: TopicHash,
    sealed: Vec<u8>,
    until: Instant,
}

struct Timers {
    patrol: Instant,
    walk: Instant,
    walked: Instant,
    company: Instant,
    hurry: Instant,
    show: Instant,
    dial: Option<Instant>,
}

enum Next {
    GoOn,
    Stop(Option<oneshot::Sender<()>>),
}

impl<'a> Task<'a> {
    fn new(core: &'a mut Core, built: Built) -> Self {
        let now = Instant::now();
        let connections = Connections::new(*built.swarm.local_peer_id());
        Task {
            core,
            swarm: built.swarm,
            pleas: built.pleas,
            connections,
            waiting: Vec::new(),
            dials: BTreeMap::new(),
            released: BTreeSet::new(),
            asks: HashMap::new(),
            held: VecDeque::new(),
            listeners: built.listeners,
            timers: Timers {
                patrol: now,
                walk: now + Duration::from_secs(1),
                walked: now,
                company: now + COMPANY,
                hurry: now,
                show: now,
                dial: Some(now),
            },
            changed: true,
        }
    }

    async fn run(mut self) {
        let events = self.core.events.clone();
        let done = loop {
            let wake = self.wake();
            let next = tokio::select! {
                biased;
                permit = events.reserve(), if !self.core.outbox.is_empty() => {
                    // An owner that dropped its end wants no events.
                    if let (Some(event), Ok(permit)) = (self.core.outbox.pop_front(), permit) {
                        permit.send(event);
                    }
                    Next::GoOn
                }
                () = tokio::time::sleep_until(wake.into()) => { self.on_deadline(); Next::GoOn }
                command = self.core.commands.recv() => self.on_command(command),
                Some(plea) = self.pleas.recv() => { self.on_plea(plea); Next::GoOn }
                event = self.swarm.select_next_some() => { self.on_swarm_event(event); Next::GoOn }
            };
            if let Next::Stop(done) = next {
                break done;
            }
            self.show();
        };
        let _ = tokio::time::timeout(STOP_LIMIT, self.say_goodbye()).await;
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    async fn say_goodbye(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        while self.swarm.network_info().num_peers() > 0 {
            self.swarm.select_next_some().await;
        }
    }

    fn wake(&self) -> Instant {
        let held = self.held.front().map(|held| held.until);
        let show = self.changed.then_some(self.timers.show);
        [self.timers.dial, held, show]
            .into_iter()
            .flatten()
            .fold(self.timers.patrol.min(self.timers.walk), Instant::min)
    }

    fn on_deadline(&mut self) {
        let now = Instant::now();
        if now >= self.timers.patrol {
            self.timers.patrol = now + PATROL;
            self.changed = true;
            for id in self.connections.patrol(now) {
                tracing::debug!(connection = %id, "closing a connection that is dead");
                self.swarm.close_connection(id);
            }
            self.listen_again();
            self.retire(now);
            self.balance(now);
            self.let_waiting_in(now);
            self.tell_floods();
            if self.core.exiles.let_back(now) {
                self.dial();
            }
        }
        if now >= self.timers.walk {
            self.walk(now);
        }
        if self.held.front().is_some_and(|held| held.until <= now) {
            self.release();
        }
        if self.timers.dial.is_some_and(|at| at <= now) {
            self.dial();
        }
    }

    /// Tells of members that made a behaviour do more than they may.
    fn tell_floods(&mut self) {
        let Behaviour { gossip, identify, kademlia, .. } = self.swarm.behaviour_mut();
        let floods: BTreeSet<PeerId> =
            [gossip.floods(), identify.floods(), kademlia.floods()].into_iter().flatten().collect();
        for member in floods.iter().filter_map(member_id) {
            self.core.offended(member, Offence::Flood);
        }
    }

    fn on_command(&mut self, command: Option<Command>) -> Next {
        match command {
            Some(Command::Publish { topic, sealed }) => self.publish(topic, sealed),
            Some(Command::Ask { peer, sealed, records, answer }) => self.ask(peer, sealed, records, answer),
            Some(Command::Respond { channel, sealed }) => {
                // The asker may have gone.
                let _ = self.swarm.behaviour_mut().exchange.send_response(channel, sealed);
            }
            Some(Command::Verdict { id, forwarder, verdict }) => self.judge(&id, &forwarder, verdict),
            Some(Command::Offended { member, offence }) => self.core.offended(member, offence),
            Some(Command::Expel { peer, span }) => self.expel(peer, span),
            Some(Command::Resolved(resolved)) => self.on_resolved(*resolved),
            Some(Command::Rings { cut, dropped }) => self.on_rings(cut, dropped),
            Some(Command::Renewing { peer, label }) => self.on_renewing(&peer, &label),
            Some(Command::Met(met)) => self.on_met(met),
            Some(Command::Stop(done)) => return Next::Stop(Some(done)),
            None => return Next::Stop(None),
            #[cfg(test)]
            Some(Command::Panic) => panic!("asked to"),
            #[cfg(test)]
            Some(Command::Listen(address)) => drop(self.swarm.listen_on(address)),
            #[cfg(test)]
            Some(Command::Disconnect(peers)) => {
                for peer in peers {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
            #[cfg(test)]
            Some(Command::ShowTable(table)) => {
                let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                let buckets: Vec<_> = kademlia.kbuckets().collect();
                let peers = buckets.iter().flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()));
                let _ = table.send((peers.collect(), kademlia.mode()));
            }
        }
        Next::GoOn
    }

    /// Tries what is not listened on again: an address may come up late, or be released late after a panic.
    fn listen_again(&mut self) {
        for index in 0..self.core.blueprint.listen.len() {
            if self.listeners.values().any(|of| *of == index) {
                continue;
            }
            match self.swarm.listen_on(self.core.blueprint.listen[index].clone()) {
                Ok(listener) => drop(self.listeners.insert(listener, index)),
                Err(error) => tracing::debug!(%error, "cannot listen yet"),
            }
        }
    }

    /// Publishes the status if it changed.
    fn show(&mut self) {
        let now = Instant::now();
        if self.changed && now >= self.timers.show {
            self.changed = false;
            self.timers.show = now + SHOW;
            let local = *self.swarm.local_peer_id();
            let addresses =
                self.swarm.listeners().map(|address| address.clone().with(Protocol::P2p(local)).to_string());
            let mut listen_addrs: Vec<String> = addresses.collect();
            listen_addrs.sort();
            let status = Status {
                peer_id: local.to_string(),
                listen_addrs,
                peers: self.peers(),
                sources: self.core.book.sources(|peer| self.connections.contains(peer)),
                others: self.core.others.list(now),
                counters: self.core.counters,
            };
            self.core.status.send_replace(status);
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let proven = self.core.book.all_proven();
        let shown = self.connections.iter().filter_map(|(peer, connection)| {
            let member = self.core.members.get(peer)?;
            let mut addresses = self.dialable_of(peer, proven.get(peer).map(Vec::as_slice).unwrap_or_default());
            let seen = connection.address.to_string();
            if !addresses.contains(&seen) {
                addresses.push(seen);
            }
            Some(Peer {
                member: member.member,
                peer_id: peer.to_string(),
                addresses,
                round_trip: member.round_trip,
                connected_at: member.since,
                inbound: member.inbound,
                transport: match transport_of(&connection.address) {
                    Some(ghmesh_seal::Transport::Quic) => crate::status::Transport::Quic,
                    Some(ghmesh_seal::Transport::Tcp) | None => crate::status::Transport::Tcp,
                },
            })
        });
        let mut peers: Vec<Peer> = shown.collect();
        peers.sort_by_key(|peer| peer.member);
        peers
    }
}

impl Member {
    fn new(peer: &PeerId, inbound: bool, account: Account, now: Instant) -> Option<Self> {
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
