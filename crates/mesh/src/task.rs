//! The task that owns the swarm.
//!
//! It moves events and never waits for anybody but the network: no sealing, no signatures, no files, no full channel. Who wants
//! something of it sends a [`Command`]. If it panics, it starts again with a new swarm on the same addresses, and everybody is
//! dialled anew: a fault in the mesh must not end the cache.

mod dialling;
mod events;
mod lasting;
mod requests;
mod secrets;

use crate::behaviour::Behaviour;
use crate::config::transport_of;
use crate::connections::{Connections, PATROL};
use crate::gate::Plea;
use crate::identity::member_id;
use crate::metered::Meter;
use crate::offences::Offence;
use crate::rendezvous::Met;
use crate::resolve::Resolved;
use crate::status::{Peer, Status};
use futures::{FutureExt, StreamExt};
use ghmesh_model::MemberId;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{MessageId, TopicHash};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Swarm};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(crate) use lasting::{Blueprint, Core};

use dialling::COMPANY;
use lasting::{Built, Member};

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
    /// Where a member says that it is.
    Suggest(Vec<(Multiaddr, PeerId)>),
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
        let floods: BTreeSet<PeerId> = [&mut gossip.guard, &mut identify.guard, &mut kademlia.guard]
            .map(Meter::floods)
            .into_iter()
            .flatten()
            .collect();
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
            Some(Command::Suggest(addresses)) => self.core.learn_suggested(addresses),
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
