//! Whom the task dials, and what comes of it.

use super::{Member, Task, Waiting};
use crate::book::{Dial, Failure};
use crate::config::{is_dialable, split_peer};
use crate::connections::{Connection, Ruling};
use crate::gate::{Denial, GateError, Plea, Refusal};
use crate::growth::SETTLED;
use crate::interfaces::Interfaces;
use crate::mesh::Event;
use crate::rendezvous::Met;
use crate::resolve::{Found, Resolved};
use crate::status::Source;
use crate::transport::refusal;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::TransportError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, kad};
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

/// Addresses told of one member, and taken from what a member says of itself or of another.
const MAX_TOLD: usize = 3;
/// Announced addresses taken from one multicast answer.
const MAX_ANNOUNCED: usize = 64;
/// How long a connection at the gate waits for an older one to close. That takes a millisecond, unless the older one's buffers
/// are full; then both exist for a while.
const CLOSING: Duration = Duration::from_secs(1);
/// Between lookups in Kademlia for members that no other source has told.
const WALK: Duration = Duration::from_secs(30);
/// Between looks at whether there are too few members.
pub(super) const COMPANY: Duration = Duration::from_secs(10);
/// When a member is back that had been away, or this node has a new address, all others are tried within this.
pub(super) const BACK: Duration = Duration::from_secs(2);
/// Before the lookup that follows a new member: others may join in the same moment.
const WALK_SOON: Duration = Duration::from_millis(200);
/// Between two lookups at least: each dials, and where many join, each who joins is followed by one.
const WALK_PAUSE: Duration = Duration::from_secs(2);

impl Task<'_> {
    /// Dials what is due, as fast as this node grows.
    pub(super) fn dial(&mut self) {
        let now = Instant::now();
        loop {
            let at = self.core.blueprint.growth.next(self.connections.len(), self.dials.len(), now);
            if at > now {
                self.timers.dial = Some(at);
                return;
            }
            let (connections, exiles) = (&self.connections, &self.core.exiles);
            let unwanted = |peer: &PeerId| connections.contains(peer) || exiles.contains(peer, now);
            let Some(dial) = self.core.book.next_dial(unwanted, now) else {
                self.timers.dial = self.core.book.next_due(unwanted, now);
                return;
            };
            self.core.blueprint.growth.dialled(rand::random(), now);
            self.dial_one(dial, now);
        }
    }

    /// Lets members go where there are too many, and tries everybody again where there are too few.
    pub(super) fn balance(&mut self, now: Instant) {
        let excess = self.core.blueprint.growth.excess(self.connections.len());
        for peer in self.connections.some_settled(excess, SETTLED, &mut rand::rng(), now) {
            tracing::debug!(%peer, "letting a member go: there are enough");
            self.released.insert(peer);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        if now >= self.timers.company {
            self.timers.company = now + COMPANY;
            if self.core.book.is_lonely(self.connections.len()) {
                self.core.book.hurry(COMPANY, now);
                self.dial();
            }
        }
    }

    fn dial_one(&mut self, Dial { peer, addresses }: Dial, now: Instant) {
        let options: DialOpts = match peer {
            Some(peer) => {
                // The book may add QUIC to a TCP dial that is still under way.
                let options = DialOpts::peer_id(peer).condition(PeerCondition::Disconnected);
                options.addresses(addresses.clone()).allocate_new_port().build()
            }
            None => DialOpts::unknown_peer_id().address(addresses[0].clone()).allocate_new_port().build(),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, addresses)),
            Err(error) => self.dial_failed(&addresses, &error, now),
        }
    }

    pub(super) fn on_dial_error(&mut self, id: ConnectionId, error: &DialError) {
        // Kademlia's own dials are its own matter.
        if let Some(addresses) = self.dials.remove(&id) {
            self.dial_failed(&addresses, error, Instant::now());
        }
        self.dial();
    }

    fn dial_failed(&mut self, addresses: &[Multiaddr], error: &DialError, now: Instant) {
        match error {
            DialError::Transport(errors) => self.addresses_failed(errors, now),
            DialError::WrongPeerId { obtained, address } => {
                self.address_failed(address, &Failure::OtherPeer(*obtained), now);
            }
            // The swarm takes this node's own addresses out of a dial.
            DialError::LocalPeerId { .. } | DialError::NoAddresses => {
                addresses.iter().for_each(|address| self.address_failed(address, &Failure::Own, now));
            }
            DialError::DialPeerConditionFalse(_) | DialError::Aborted | DialError::Denied { .. } => {
                addresses.iter().for_each(|address| self.address_failed(address, &Failure::Busy, now));
            }
        }
        addresses.iter().for_each(|address| self.core.book.spared(address));
        self.changed = true;
    }

    fn addresses_failed(&mut self, errors: &[(Multiaddr, TransportError<io::Error>)], now: Instant) {
        for (address, error) in errors {
            let failure = failure(error);
            if let TransportError::Other(error) = error
                && let Some(refusal) = refusal(error)
            {
                self.note_other(refusal, address.clone(), now);
            }
            self.address_failed(address, &failure, now);
        }
    }

    fn note_other(&mut self, Refusal { peer, error }: &Refusal, mut address: Multiaddr, now: Instant) {
        let Some(kind) = error.kind() else { return };
        split_peer(&mut address);
        let source = self.core.book.source_of(&address).unwrap_or(Source::Kademlia);
        self.core.counters.strangers += 1;
        self.core.others.met(*peer, address, source, kind, now);
    }

    fn address_failed(&mut self, address: &Multiaddr, failure: &Failure, now: Instant) {
        let mut address = address.clone();
        split_peer(&mut address);
        tracing::debug!(%address, ?failure, "could not dial");
        if matches!(failure, Failure::Unreachable(_) | Failure::Stranger(_) | Failure::OtherPeer(_)) {
            self.core.counters.dials_failed += 1;
        }
        let gone = self.core.book.failed(&address, failure, rand::random(), now);
        // A dead peer's last address would otherwise be told to others for ever.
        if let Some(peer) = gone.filter(|peer| !self.connections.contains(peer)) {
            self.swarm.behaviour_mut().kademlia.remove_peer(&peer);
        }
    }

    /// The gate asks whether a connection is wanted. An answer that is dropped says no.
    pub(super) fn on_plea(&mut self, plea: Plea) {
        let now = Instant::now();
        if self.core.exiles.contains(&plea.peer, now) {
            return drop(plea.answer.send(Err(Denial::Expelled)));
        }
        match self.connections.rule(plea.peer, plea.end, now) {
            Ruling::Granted(pass) => drop(plea.answer.send(Ok(pass))),
            Ruling::Redundant => tracing::debug!(peer = %plea.peer, end = ?plea.end, "one connection is enough"),
            Ruling::After(older) => {
                for id in older {
                    tracing::debug!(peer = %plea.peer, connection = %id, "closing a connection: the member made another");
                    self.swarm.close_connection(id);
                }
                self.waiting.push(Waiting { plea, until: now + CLOSING });
            }
        }
    }

    /// Lets in who waited for an older connection that is closed now, or does not close.
    pub(super) fn let_waiting_in(&mut self, now: Instant) {
        for Waiting { plea, until } in std::mem::take(&mut self.waiting) {
            if !self.connections.contains(&plea.peer) {
                self.on_plea(plea);
            } else if until <= now {
                let pass = self.connections.grant(plea.peer, now);
                let _ = plea.answer.send(Ok(pass));
            } else {
                self.waiting.push(Waiting { plea, until });
            }
        }
    }

    pub(super) fn on_established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
        failed: &[(Multiaddr, TransportError<io::Error>)],
    ) {
        let now = Instant::now();
        let mut address = endpoint.get_remote_address().clone();
        split_peer(&mut address);
        let joined = !self.connections.contains(&peer);
        for older in self.connections.established(peer, Connection::new(id, address.clone(), now)) {
            self.swarm.close_connection(older);
        }
        self.addresses_failed(failed, now);
        // It may have been let in just before it was expelled.
        if self.core.exiles.contains(&peer, now) {
            self.swarm.close_connection(id);
        }
        if endpoint.is_dialer() {
            if self.core.book.succeeded(&address, peer, now) && now >= self.timers.hurry {
                self.timers.hurry = now + COMPANY;
                self.core.book.hurry(BACK, now);
            }
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address);
        } else if joined {
            self.core.book.found(Source::Inbound, now);
        }
        self.dials.remove(&id).into_iter().flatten().for_each(|address| self.core.book.spared(&address));
        if joined {
            self.on_joined(peer, !endpoint.is_dialer(), now);
        } else {
            self.tell_addresses(&peer);
        }
        self.changed = true;
        self.dial();
    }

    fn on_joined(&mut self, peer: PeerId, inbound: bool, now: Instant) {
        let account = self.core.rations.account(peer, |peer| self.connections.contains(peer));
        let Some(mut member) = Member::new(&peer, inbound, account, now) else { return };
        tracing::info!(%peer, inbound, "a member joined");
        let addresses = self.dialable(&peer);
        member.told.clone_from(&addresses);
        self.core.others.joined(&peer);
        self.timers.show = now;
        self.core.tell(Event::Joined { member: member.member, addresses });
        self.core.members.insert(peer, member);
        self.check_proof(peer);
        self.walk_soon(now);
    }

    /// Keeps a member out.
    pub(super) fn expel(&mut self, peer: PeerId, span: Duration) {
        let now = Instant::now();
        tracing::info!(%peer, ?span, "a member is kept out");
        self.core.exiles.expel(peer, span, now);
        if !span.is_zero() {
            self.swarm.behaviour_mut().kademlia.remove_peer(&peer);
            // Not connected is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.dial();
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        let now = Instant::now();
        if self.connections.closed(&peer, id) {
            let since = self.core.members.get(&peer).map_or(now, |member| member.since);
            self.core.book.lost(&peer, now.duration_since(since), rand::random(), now);
            self.core.blueprint.rings.forget(&peer);
            if self.released.remove(&peer) {
                self.core.book.released(&peer, now);
            }
            self.let_waiting_in(now);
            self.timers.show = now;
            if let Some(member) = self.core.members.remove(&peer) {
                tracing::info!(%peer, "a member left");
                self.core.tell(Event::Left { member: member.member });
            }
            self.lead();
        }
        self.changed = true;
        self.dial();
    }

    /// Multiaddrs at which a member can be dialled, the best first.
    pub(super) fn dialable(&self, peer: &PeerId) -> Vec<String> {
        self.dialable_of(peer, &self.core.book.proven(peer))
    }

    pub(super) fn dialable_of(&self, peer: &PeerId, proven: &[Multiaddr]) -> Vec<String> {
        let confirmed = self.core.members.get(peer).map(|member| member.confirmed.as_slice()).unwrap_or_default();
        let mut addresses: Vec<String> = Vec::new();
        for address in proven.iter().chain(confirmed) {
            let address = address.to_string();
            if addresses.len() < MAX_TOLD && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    fn tell_addresses(&mut self, peer: &PeerId) {
        let addresses = self.dialable(peer);
        let Some(member) = self.core.members.get_mut(peer) else { return };
        if member.told != addresses && !addresses.is_empty() {
            member.told.clone_from(&addresses);
            let event = Event::Addresses { member: member.member, addresses };
            self.core.tell(event);
        }
    }

    /// A connected member says where it listens. Believed is what matches where it is seen: nothing else is known to lead
    /// back to it, and a wildcard listener names every container bridge of its machine.
    pub(super) fn on_identified(&mut self, peer: PeerId, id: ConnectionId, listens: Vec<Multiaddr>) {
        let now = Instant::now();
        let seen = self.connections.get(&peer, id).and_then(|connection| crate::book::ip_of(&connection.address));
        let listens = listens.into_iter().map(|mut address| {
            split_peer(&mut address);
            address
        });
        let believed = listens.filter(|address| is_dialable(address) && crate::book::ip_of(address) == seen);
        let confirmed: Vec<Multiaddr> = believed.take(MAX_TOLD).collect();
        for address in &confirmed {
            self.core.book.learn(address.clone(), Some(peer), Source::Identify, now);
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
        }
        if let Some(member) = self.core.members.get_mut(&peer) {
            member.confirmed = confirmed;
        }
        self.tell_addresses(&peer);
        self.walk_soon(now);
    }

    pub(super) fn on_announced(&mut self, announced: Vec<(PeerId, Multiaddr)>) {
        let (now, interfaces) = (Instant::now(), Interfaces::read(&self.core.blueprint.interfaces));
        self.core.book.answered(Source::Mdns, now);
        for (peer, mut address) in announced.into_iter().take(MAX_ANNOUNCED) {
            split_peer(&mut address);
            if is_dialable(&address) && interfaces.is_useful(&address) {
                self.core.book.learn(address, Some(peer), Source::Mdns, now);
            }
        }
        self.dial();
    }

    pub(super) fn on_unannounced(&mut self, expired: Vec<(PeerId, Multiaddr)>) {
        for (_, mut address) in expired {
            split_peer(&mut address);
            self.core.book.retract(&address, Source::Mdns);
        }
    }

    pub(super) fn on_resolved(&mut self, Resolved { host, source, found }: Resolved) {
        let now = Instant::now();
        match found {
            Ok(Found { chosen, vanished }) => {
                if !chosen.is_empty() {
                    self.core.book.answered(source, now);
                }
                chosen
                    .into_iter()
                    .for_each(|(address, peer)| self.core.book.learn(address, peer, source, super::lasting::soon()));
                let connections = &self.connections;
                let vanished = vanished.iter();
                vanished.for_each(|address| self.core.book.vanish(address, source, |peer| connections.contains(peer)));
            }
            Err(error) => {
                tracing::debug!(%host, %error, "could not resolve");
                self.core.book.error(source, format!("{host}: {error}"), now);
            }
        }
        self.changed = true;
        self.dial();
    }

    pub(super) fn on_met(&mut self, Met(met): Met) {
        let now = Instant::now();
        match met {
            Ok(addresses) => {
                let source = Source::Rendezvous;
                self.core.book.answered(source, now);
                addresses
                    .into_iter()
                    .for_each(|(address, peer)| self.core.book.learn(address, Some(peer), source, now));
            }
            Err(error) => self.core.book.error(Source::Rendezvous, error.to_string(), now),
        }
        self.changed = true;
        self.dial();
    }

    /// Looks for members near a random point of Kademlia's key space.
    pub(super) fn walk(&mut self, now: Instant) {
        #[cfg(test)]
        if crate::tests::memory::is_still(self.swarm.local_peer_id()) {
            self.timers.walk = now + WALK;
            return;
        }
        self.timers.walk = now + WALK.mul_f64(0.75 + rand::random::<f64>() / 2.0);
        self.timers.walked = now;
        // Kademlia dials whom it asks: that would end with everybody connected to everybody.
        if self.connections.len() > 0 && !self.core.blueprint.growth.is_done(self.connections.len()) {
            self.swarm.behaviour_mut().kademlia.get_closest_peers(PeerId::random());
        }
    }

    fn walk_soon(&mut self, now: Instant) {
        let soon = (now + WALK_SOON).max(self.timers.walked + WALK_PAUSE);
        self.timers.walk = self.timers.walk.min(soon);
    }

    pub(super) fn on_query(&mut self, result: kad::QueryResult) {
        let kad::QueryResult::GetClosestPeers(result) = result else { return };
        let peers = match result {
            Ok(kad::GetClosestPeersOk { peers, .. }) | Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let now = Instant::now();
        if !peers.is_empty() {
            self.core.book.answered(Source::Kademlia, now);
        }
        for kad::PeerInfo { peer_id, addrs } in peers {
            for mut address in addrs.into_iter().take(MAX_TOLD) {
                split_peer(&mut address);
                if is_dialable(&address) {
                    self.core.book.learn(address, Some(peer_id), Source::Kademlia, now);
                }
            }
        }
        self.dial();
    }
}

fn failure(error: &TransportError<io::Error>) -> Failure {
    match error {
        TransportError::MultiaddrNotSupported(_) => Failure::Unreachable("no transport for this address".to_owned()),
        TransportError::Other(error) => match refusal(error) {
            Some(Refusal { error: GateError::Redundant(peer) | GateError::Exile(peer), .. }) => {
                Failure::Redundant(*peer)
            }
            Some(refusal @ Refusal { error: GateError::Expelled, .. }) => Failure::Unreachable(refusal.to_string()),
            Some(refusal) => Failure::Stranger(refusal.to_string()),
            None => Failure::Unreachable(root_cause(error).to_string()),
        },
    }
}

/// The innermost error: those around it only say that a transport failed.
fn root_cause<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
