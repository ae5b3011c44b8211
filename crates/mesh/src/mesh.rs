//! The handle to a running mesh, and what it tells its owner.

use crate::behaviour::REQUEST_LIMIT;
use crate::config::{Config, ConfigError};
use crate::growth::Growth;
use crate::identity::{Identity, peer_id};
use crate::interfaces::Interfaces;
use crate::letters;
use crate::offences::Offence;
use crate::rendezvous::{self, Pace};
use crate::resolve::Resolving;
use crate::rings::Rings;
use crate::status::Status;
use crate::task::{AskFailure, Blueprint, Command, Core};
use crate::workers::{self, Intake};
use ghmesh_model::MemberId;
use ghmesh_model::wire::{Request, Response, Shared};
use ghmesh_seal::KeyRing;
use libp2p::{Multiaddr, PeerId};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Events that wait for the owner. When full, records and requests are dropped (gossip is a hint, and an asker goes on
/// alone); who joined and left is kept.
const EVENTS: usize = 1024;
/// Commands that wait for the swarm's task. When full, asking and publishing fail at once.
const COMMANDS: usize = 1024;
/// Records that wait to be sealed for gossip.
const OUTGOING: usize = 256;
/// Peers of an earlier run that are dialled, and addresses of each.
const MAX_REMEMBERED: usize = 200;
const MAX_REMEMBERED_ADDRESSES: usize = 3;
/// How long a question waits for a member to prove itself after a secret was dropped: some round trips.
const PROOF_LIMIT: Duration = Duration::from_millis(250);
/// How long [`start`] waits for the addresses that a listener gets. Binding itself fails at once or not.
const LISTEN_LIMIT: Duration = Duration::from_secs(1);

/// A member of an earlier run, and where it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Who.
    pub member: MemberId,
    /// Multiaddrs, the best first; at most three are used.
    pub addresses: Vec<String>,
}

/// What the mesh tells.
#[derive(Debug)]
pub enum Event {
    /// A member proved its membership and is connected. Comes before any other event of that member but [`Event::Record`] and
    /// [`Event::Asked`], which take a shorter way.
    Joined {
        /// Who.
        member: MemberId,
        /// Multiaddrs at which it was dialled; empty where it dialled.
        addresses: Vec<String>,
    },
    /// Its last connection ended.
    Left {
        /// Who.
        member: MemberId,
    },
    /// A ping was answered: once right after joining, then every 2 s.
    RoundTrip {
        /// By whom.
        member: MemberId,
        /// Within.
        rtt: Duration,
    },
    /// A record came by gossip: its author's signature is verified, and it was not seen before.
    Record {
        /// Who forwarded it; its author stands in the record.
        from: MemberId,
        /// The record.
        shared: Shared,
    },
    /// A member asks. Records inside are verified.
    Asked {
        /// Who.
        from: MemberId,
        /// What.
        request: Request,
        /// Where the answer goes.
        replier: Replier,
    },
    /// Multiaddrs at which a connected member can be dialled, all that are known: worth remembering.
    Addresses {
        /// Who.
        member: MemberId,
        /// At least one.
        addresses: Vec<String>,
    },
    /// A member did what no well-behaved member does. Told once a second at most of each member and kind.
    Offended {
        /// Who.
        member: MemberId,
        /// What.
        offence: Offence,
    },
}

/// Answers one request. Dropped, it answers [`Response::No`].
#[derive(Debug)]
pub struct Replier(oneshot::Sender<Response>);

impl Replier {
    pub(crate) fn new(answer: oneshot::Sender<Response>) -> Self {
        Replier(answer)
    }

    /// Answers. An asker that has gone is no error.
    pub fn reply(self, response: Response) {
        let _ = self.0.send(response);
    }
}

/// Too much waits to be gossiped. Gossip is a hint: the record is lost for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more records wait to be gossiped than can be sealed")]
pub struct Full;

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The member is not connected. Nothing was sent.
    #[error("the member is not connected")]
    NotConnected,
    /// Too many requests wait for this member, or for the swarm, or this node has asked this member as much as any may. Nothing
    /// was sent.
    #[error("too many requests wait already, or were made lately")]
    Busy,
    /// The request is longer than [`ghmesh_model::limits::MAX_REQUEST_BYTES`]. Nothing was sent.
    #[error("the request is too large")]
    TooLarge,
    /// No response within the deadline.
    #[error("no response in time")]
    TimedOut,
    /// The connection ended, or the member refused to answer.
    #[error("the member ended the exchange")]
    Closed,
    /// The response is not one to this request, or not from a member.
    #[error("the response cannot be read")]
    Unreadable,
    /// The mesh has been stopped.
    #[error("the mesh has been stopped")]
    Stopped,
}

/// Why the mesh could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Addresses that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No key ring was given.
    #[error("the mesh needs the keys of a secret")]
    NoKeys,
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Noise could not use the identity.
    #[error("the transport cannot use this identity: {0}")]
    Transport(#[from] libp2p::noise::Error),
}

/// A handle to the running mesh. With the last one dropped the mesh ends.
#[derive(Clone, Debug)]
pub struct Mesh {
    member: MemberId,
    rings: Rings,
    commands: mpsc::Sender<Command>,
    outgoing: mpsc::Sender<Shared>,
    status: watch::Receiver<Status>,
}

/// Starts the mesh: listens, and dials all that is known. Returns once it listens; members come as events.
///
/// `rings` are the current secret's keys and then those that are accepted besides. `boot` is the persisted start counter (the
/// same that the [`crate::Author`] has). Must be called within a Tokio runtime.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    config: Config,
    identity: Identity,
    rings: Vec<KeyRing>,
    boot: u64,
    remembered: Vec<Remembered>,
) -> Result<(Mesh, mpsc::Receiver<Event>), StartError> {
    start_tuned(config, identity, rings, boot, remembered, Tuning::default()).await
}

/// What is the same in every mesh but those of tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) resolving: Resolving,
    pub(crate) growth: Growth,
    pub(crate) pace: Pace,
}

pub(crate) async fn start_tuned(
    config: Config,
    identity: Identity,
    rings: Vec<KeyRing>,
    boot: u64,
    remembered: Vec<Remembered>,
    tuning: Tuning,
) -> Result<(Mesh, mpsc::Receiver<Event>), StartError> {
    let plan = config.parse()?;
    let rings = Rings::new(rings).ok_or(StartError::NoKeys)?;
    tracing::debug!(peer = %identity.peer_id(), boot, label = rings.current().label(), "starting the mesh");
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let (event_sender, events) = mpsc::channel(EVENTS);
    let (outgoing, to_seal) = mpsc::channel(OUTGOING);
    let (status_sender, status) = watch::channel(Status::default());
    let listeners = plan.listen.len();
    let blueprint = Blueprint {
        keypair: identity.keypair(),
        rings: rings.clone(),
        listen: plan.listen,
        mdns: plan.mdns,
        interfaces: plan.interfaces.clone(),
        growth: tuning.growth,
    };
    let weak = command_sender.downgrade();
    let intake =
        Intake::new(rings.clone(), identity.member(), event_sender.clone(), status.clone()).spawn(weak.clone());
    let mut core = Core::new(blueprint, (commands, weak.clone()), event_sender, intake, status_sender);
    if Interfaces::read(&plan.interfaces).are_missing() {
        tracing::warn!(only = ?plan.interfaces.only, "this machine has none of the interfaces by which members are to be looked for");
    }
    core.learn_configured(plan.addresses);
    core.learn_remembered(addresses_of(remembered));
    core.expect(&plan.targets);
    let swarm = core.first_swarm()?;
    if let Some((network, announce)) = plan.dht {
        let plan = rendezvous::Plan { network, announce, pace: tuning.pace, interfaces: plan.interfaces };
        core.expect_rendezvous();
        tokio::spawn(rendezvous::follow(plan, identity.member(), rings.clone(), weak.clone(), status.clone()));
    }
    for target in plan.targets {
        tokio::spawn(crate::resolve::follow(target, tuning.resolving.clone(), weak.clone()));
    }
    workers::spawn_outlet(rings.clone(), to_seal, command_sender.clone());
    tokio::spawn(crate::task::supervise(core, swarm));
    let mesh = Mesh { member: identity.member(), rings, commands: command_sender, outgoing, status };
    mesh.wait_for_listeners(listeners).await;
    Ok((mesh, events))
}

fn addresses_of(remembered: Vec<Remembered>) -> Vec<(Multiaddr, PeerId)> {
    let mut addresses = Vec::new();
    for Remembered { member, addresses: texts } in remembered.into_iter().take(MAX_REMEMBERED) {
        let Some(peer) = peer_id(&member) else { continue };
        let parsed = texts.iter().filter_map(|text| text.parse::<Multiaddr>().ok());
        let usable = parsed.map(|mut address| {
            crate::config::split_peer(&mut address);
            address
        });
        let usable = usable.filter(crate::config::is_dialable).take(MAX_REMEMBERED_ADDRESSES);
        addresses.extend(usable.map(|address| (address, peer)));
    }
    addresses
}

impl Mesh {
    /// This node.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The connected members.
    pub fn members(&self) -> Vec<MemberId> {
        self.status.borrow().peers.iter().map(|peer| peer.member).collect()
    }

    /// A snapshot, at most half a second old.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The keys of the secrets that are held. First those that are shared under now, which all connected members hold; the
    /// order changes as these change theirs.
    pub fn rings(&self) -> Arc<[KeyRing]> {
        self.rings.by_lead()
    }

    /// The keys of this node's own secret.
    pub fn current_ring(&self) -> KeyRing {
        self.rings.current()
    }

    /// Takes these secrets' keys in place of all others: the current secret's first, then those that are accepted besides, at
    /// most [`crate::MAX_RINGS`]. An empty list changes nothing.
    ///
    /// Members that hold one of these keep their connection; from others it is taken, within some seconds where a secret was
    /// dropped in the course of things. `cut`: at once and from everybody, and nothing that was sealed with a dropped one is read
    /// any more: who has seen a secret that leaked may be among them.
    pub async fn change_rings(&self, rings: Vec<KeyRing>, cut: bool) {
        let held = self.rings.held();
        let dropped = held.iter().any(|held| !rings.iter().any(|ring| ring.label() == held.label()));
        self.rings.change(rings, cut, Instant::now());
        // A task that is gone has no connections.
        let _ = self.commands.send(Command::Rings { cut, dropped }).await;
    }

    /// Gossips a record, 384 in a row and 48 a second in the long run (members allow a little more). Its body is left out where the sealed message would exceed
    /// [`ghmesh_model::limits::MAX_GOSSIP_BYTES`]. That nobody is connected is no error.
    ///
    /// # Errors
    /// [`Full`]: more is published than can be sealed.
    pub fn publish(&self, shared: Shared) -> Result<(), Full> {
        self.outgoing.try_send(shared).map_err(|_| Full)
    }

    /// Asks a connected member. Ends within `deadline`, and within 5 s. Records in the response are verified.
    ///
    /// # Errors
    /// [`AskError`]: each means to go on without this member.
    pub async fn ask(&self, to: MemberId, request: Request, deadline: Duration) -> Result<Response, AskError> {
        let exchange = self.exchange(to, request);
        tokio::time::timeout(deadline.min(REQUEST_LIMIT), exchange).await.unwrap_or(Err(AskError::TimedOut))
    }

    /// Whether a member can read what is sealed now. When a secret was dropped it has yet to prove that it holds another: who can't
    /// would take a question for garbage.
    async fn is_proved(&self, peer: PeerId) -> bool {
        let asked_at = Instant::now();
        while self.rings.awaits_proof(&peer) {
            if asked_at.elapsed() > PROOF_LIMIT {
                return false;
            }
            tokio::time::sleep(PROOF_LIMIT / 50).await;
        }
        true
    }

    async fn exchange(&self, to: MemberId, request: Request) -> Result<Response, AskError> {
        let peer = peer_id(&to).ok_or(AskError::NotConnected)?;
        if !self.is_proved(peer).await {
            return Err(AskError::NotConnected);
        }
        let ring = self.rings.leading();
        let records = letters::record_count(&request);
        let (id, sealed) = letters::seal_request(&ring, request).map_err(|_| AskError::TooLarge)?;
        let (answer, answered) = oneshot::channel();
        self.commands.try_send(Command::Ask { peer, sealed, records, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Busy,
            mpsc::error::TrySendError::Closed(_) => AskError::Stopped,
        })?;
        let ended = |_| if self.commands.is_closed() { AskError::Stopped } else { AskError::Closed };
        let sealed = answered.await.map_err(ended)?.map_err(AskError::from)?;
        letters::open_response(&ring, id, &sealed).map_err(|_| {
            // What is lost here, as the task has too much to do, repeats itself.
            let _ = self.commands.try_send(Command::Offended { member: to, offence: Offence::Garbage });
            AskError::Unreadable
        })
    }

    /// Tells where a member says that it is: at most three multiaddrs, dialled if there is need and room. Nobody has to answer there.
    /// Lost where too much waits already.
    pub fn suggest(&self, member: MemberId, addresses: Vec<String>) {
        let addresses = addresses_of(vec![Remembered { member, addresses }]);
        if !addresses.is_empty() {
            let _ = self.commands.try_send(Command::Suggest(addresses));
        }
    }

    /// Keeps a member out for `span` (24 h at most): closes its connections, lets it in no more, and doesn't dial it until then. A
    /// span of zero lets it back. Returns at once; that the member is gone is told by [`Event::Left`].
    pub fn expel(&self, member: MemberId, span: Duration) {
        let Some(peer) = peer_id(&member) else { return };
        let commands = self.commands.clone();
        // Waits where the queue is full: an expulsion must not be lost.
        tokio::spawn(async move { commands.send(Command::Expel { peer, span }).await });
    }

    /// Says goodbye to all members and ends. Other handles then get [`AskError::Stopped`].
    pub async fn stop(self) {
        let (stopped, wait) = oneshot::channel();
        if self.commands.send(Command::Stop(stopped)).await.is_ok() {
            let _ = wait.await;
        }
    }

    async fn wait_for_listeners(&self, count: usize) {
        let mut status = self.status.clone();
        let ready = status.wait_for(|status| status.listen_addrs.len() >= count);
        if tokio::time::timeout(LISTEN_LIMIT, ready).await.is_err() {
            tracing::warn!("not every address to listen on is up yet");
        }
    }

    #[cfg(test)]
    pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }
}

impl From<AskFailure> for AskError {
    fn from(failure: AskFailure) -> Self {
        match failure {
            AskFailure::NotConnected => AskError::NotConnected,
            AskFailure::Busy => AskError::Busy,
            AskFailure::TimedOut => AskError::TimedOut,
            AskFailure::Closed => AskError::Closed,
        }
    }
}
