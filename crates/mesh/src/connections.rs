//! Established connections by member, who may have a new one, and which are dead.
//!
//! A member has one connection, because gossipsub needs that: it greets only on the first connection to a peer, and all
//! connections to one share a queue, so what a dying one has taken from it is lost, the greeting included. So the gate asks
//! here before it lets anybody in:
//!
//! - *The end that dials* goes no further if it has a connection to that member already. So an end that goes on has none,
//!   and what the other end had before is dead (a power cut, a sleeping laptop): it is closed first.
//! - *Both ends may dial in the same moment.* Then the end with the smaller peer id admits the one that comes first to it and
//!   refuses the other; the end with the larger id follows.
//!
//! Moments are arguments.

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use rand::seq::IteratorRandom;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A connection without an answer to a ping for this long is dead: pings leave every 2 s and have 2 s each, so two were
/// missed.
const SILENCE: Duration = Duration::from_millis(6500);
/// How often the dead are looked for.
pub(crate) const PATROL: Duration = Duration::from_millis(500);
/// How long a place is kept for a connection that was let in: the rest of the gate, and the swarm's own steps.
const RESERVED: Duration = Duration::from_secs(3);

/// One established connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// The other end, as dialled or as seen.
    pub(crate) address: Multiaddr,
    since: Instant,
    alive_at: Instant,
    closing: bool,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, address: Multiaddr, now: Instant) -> Self {
        Connection { id, address, since: now, alive_at: now, closing: false }
    }
}

/// Which end of the new connection this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It dials, and has not proved its membership yet.
    Dialer,
    /// It was dialled, by somebody who has proved.
    Listener {
        /// When this node sent its nonce. The dialer looked for another connection of its own after that.
        nonce_at: Instant,
    },
}

/// Whether a new connection may come into being.
#[derive(Debug)]
pub(crate) enum Ruling {
    /// Yes.
    Granted(Pass),
    /// No: there is another, or one is coming up.
    Redundant,
    /// Once these are closed; ask again then.
    After(Vec<ConnectionId>),
}

/// The leave to let somebody in. Dropped without [`Pass::use_up`], it is void.
#[derive(Debug)]
pub(crate) struct Pass(Option<Arc<AtomicBool>>);

impl Pass {
    /// The connection goes to the swarm: its place is kept until the swarm tells of it.
    pub(crate) fn use_up(mut self) {
        self.0 = None;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(void) = &self.0 {
            void.store(true, Ordering::Release);
        }
    }
}

#[derive(Debug)]
struct Reservation {
    void: Arc<AtomicBool>,
    until: Instant,
}

/// All established connections, and those that the gate is letting in.
#[derive(Debug)]
pub(crate) struct Connections {
    local: PeerId,
    peers: BTreeMap<PeerId, Vec<Connection>>,
    reserved: BTreeMap<PeerId, Reservation>,
    patrolled_at: Option<Instant>,
}

impl Connections {
    pub(crate) fn new(local: PeerId) -> Self {
        Connections { local, peers: BTreeMap::new(), reserved: BTreeMap::new(), patrolled_at: None }
    }

    /// Whether a connection to `peer` may come into being.
    pub(crate) fn rule(&mut self, peer: PeerId, end: End, now: Instant) -> Ruling {
        self.reserved.retain(|_, reservation| reservation.until > now && !reservation.void.load(Ordering::Acquire));
        let coming_up = self.reserved.contains_key(&peer);
        let all = self.peers.get_mut(&peer).map(Vec::as_mut_slice).unwrap_or_default();
        let redundant = match end {
            End::Dialer => coming_up || all.iter().any(|connection| !connection.closing),
            // A connection that came up since then the dialer may not have seen.
            End::Listener { nonce_at } => {
                self.local < peer && (coming_up || all.iter().any(|c| !c.closing && c.since >= nonce_at))
            }
        };
        if redundant {
            return Ruling::Redundant;
        }
        if all.is_empty() { Ruling::Granted(self.grant(peer, now)) } else { Ruling::After(close(all.iter_mut())) }
    }

    /// Keeps a place for a connection to `peer`, whatever there is.
    pub(crate) fn grant(&mut self, peer: PeerId, now: Instant) -> Pass {
        let void = Arc::new(AtomicBool::new(false));
        self.reserved.insert(peer, Reservation { void: void.clone(), until: now + RESERVED });
        Pass(Some(void))
    }

    /// Notes a connection. Gives older ones to be closed; there are some only if they could not be closed before.
    pub(crate) fn established(&mut self, peer: PeerId, new: Connection) -> Vec<ConnectionId> {
        self.reserved.remove(&peer);
        let all = self.peers.entry(peer).or_default();
        let older = close(all.iter_mut());
        all.push(new);
        older
    }

    /// Notes that a connection ended. True where it was the member's last.
    pub(crate) fn closed(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let Some(all) = self.peers.get_mut(peer) else { return false };
        all.retain(|connection| connection.id != id);
        all.is_empty() && self.peers.remove(peer).is_some()
    }

    /// Notes a sign of life.
    pub(crate) fn alive(&mut self, peer: &PeerId, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.peers.get_mut(peer).and_then(|all| all.iter_mut().find(|c| c.id == id)) {
            connection.alive_at = now;
        }
    }

    /// The connections that are dead, to be closed now. Call it every [`PATROL`].
    pub(crate) fn patrol(&mut self, now: Instant) -> Vec<ConnectionId> {
        let pause = self.patrolled_at.map_or(Duration::ZERO, |at| now.duration_since(at).saturating_sub(PATROL));
        self.patrolled_at = Some(now);
        let all = self.peers.values_mut().flatten();
        let silent = all.filter_map(|connection| {
            // If this process itself stood still, silence says nothing about the others.
            connection.alive_at += pause;
            (now.saturating_duration_since(connection.alive_at) > SILENCE).then_some(connection)
        });
        close(silent)
    }

    /// At most `count` members at random whose connections have lasted for `settled`.
    pub(crate) fn some_settled(
        &self,
        count: usize,
        settled: Duration,
        rng: &mut impl rand::Rng,
        now: Instant,
    ) -> Vec<PeerId> {
        let lasted = |all: &[Connection]| all.iter().all(|c| !c.closing && now.duration_since(c.since) >= settled);
        self.peers.iter().filter(|(_, all)| lasted(all)).map(|(peer, _)| *peer).sample(rng, count)
    }

    /// Whether the peer has a connection.
    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Members connected.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Each member's latest connection.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Connection)> {
        self.peers.iter().filter_map(|(peer, all)| Some((peer, all.last()?)))
    }

    /// One connection.
    pub(crate) fn get(&self, peer: &PeerId, id: ConnectionId) -> Option<&Connection> {
        self.peers.get(peer)?.iter().find(|connection| connection.id == id)
    }
}

/// Marks those that are not being closed yet, and gives them.
fn close<'a>(connections: impl Iterator<Item = &'a mut Connection>) -> Vec<ConnectionId> {
    let open = connections.filter(|connection| !connection.closing);
    open.map(|connection| {
        connection.closing = true;
        connection.id
    })
    .collect()
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
