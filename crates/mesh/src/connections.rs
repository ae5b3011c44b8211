//! Established connections by member, which of two is kept, and which are dead.
//!
//! One connection for each member is wanted. A second one has one of three reasons: both dialled in the same moment; one dialled
//! an address without knowing whose it is; or the member restarted, or lost the first connection, without this node noticing. In
//! the last case the second is no help: gossipsub greets only on the first connection to a peer, so the restarted member would
//! never learn what this node subscribes to. Then all connections to it are closed, and the fresh one that follows greets
//! both ways. A moment is an argument everywhere.

use crate::gate::Instance;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Connections that came up within this time may have been dialled in the same moment, from both ends.
const SIMULTANEOUS: Duration = Duration::from_secs(2);
/// How long the dialer of a second connection has to close it, if it knows of the first.
const GRACE: Duration = Duration::from_millis(500);
/// A connection without an answer to a ping for this long is dead: pings leave every 2 s and have 2 s each, so two were
/// missed.
const SILENCE: Duration = Duration::from_millis(6500);
/// How often the dead are looked for.
pub(crate) const PATROL: Duration = Duration::from_millis(500);

/// One established connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// Whether this node dialled it.
    pub(crate) dialled: bool,
    /// The other end, as dialled or as seen.
    pub(crate) address: Multiaddr,
    pub(crate) since: Instant,
    /// The member's process, where known.
    pub(crate) instance: Option<Instance>,
    pub(crate) alive_at: Instant,
    closing: bool,
    /// Set when the member dialled again: dead, unless the member closes one of the two by then.
    doubted_until: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        dialled: bool,
        address: Multiaddr,
        instance: Option<Instance>,
        now: Instant,
    ) -> Self {
        Connection { id, dialled, address, since: now, instance, alive_at: now, closing: false, doubted_until: None }
    }
}

/// What a new connection means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Established {
    /// Whether the member had none before.
    pub(crate) joined: bool,
    /// Connections to close now.
    pub(crate) close: Vec<ConnectionId>,
}

/// All established connections.
#[derive(Debug)]
pub(crate) struct Connections {
    local: PeerId,
    peers: BTreeMap<PeerId, Vec<Connection>>,
    patrolled_at: Option<Instant>,
}

impl Connections {
    pub(crate) fn new(local: PeerId) -> Self {
        Connections { local, peers: BTreeMap::new(), patrolled_at: None }
    }

    /// Notes a connection and judges it against those that are there.
    pub(crate) fn established(&mut self, peer: PeerId, new: Connection, now: Instant) -> Established {
        let local = self.local;
        let all = self.peers.entry(peer).or_default();
        let joined = all.is_empty();
        let mut close = Vec::new();
        for old in all.iter_mut().filter(|old| !old.closing) {
            match judge(&local, &peer, old, &new, now) {
                Judgement::CloseOld => close.push(old.id),
                Judgement::CloseNew => close.push(new.id),
                Judgement::CloseBoth => close.extend([old.id, new.id]),
                Judgement::Wait => old.doubted_until = Some(now + GRACE),
            }
        }
        all.push(new);
        all.iter_mut().filter(|c| close.contains(&c.id)).for_each(|c| c.closing = true);
        close.sort();
        close.dedup();
        Established { joined, close }
    }

    /// Notes that a connection ended. True where it was the member's last.
    pub(crate) fn closed(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let Some(all) = self.peers.get_mut(peer) else { return false };
        all.retain(|connection| connection.id != id);
        if all.len() == 1 {
            all[0].doubted_until = None;
        }
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
        let mut dead = Vec::new();
        for all in self.peers.values_mut() {
            // If this process itself stood still, silence says nothing about the others.
            all.iter_mut().for_each(|connection| connection.alive_at += pause);
            let doubted = all.iter().any(|c| !c.closing && c.doubted_until.is_some_and(|until| until <= now));
            for connection in all.iter_mut().filter(|c| !c.closing) {
                if doubted || now.saturating_duration_since(connection.alive_at) > SILENCE {
                    connection.closing = true;
                    dead.push(connection.id);
                }
            }
        }
        dead
    }

    /// Whether the peer has a connection.
    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Members connected.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Each member's oldest connection that is not being closed, or its oldest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Connection)> {
        self.peers.iter().filter_map(|(peer, all)| Some((peer, all.iter().find(|c| !c.closing).or(all.first())?)))
    }

    /// One connection.
    pub(crate) fn get(&self, peer: &PeerId, id: ConnectionId) -> Option<&Connection> {
        self.peers.get(peer)?.iter().find(|connection| connection.id == id)
    }
}

enum Judgement {
    CloseOld,
    CloseNew,
    CloseBoth,
    Wait,
}

fn judge(local: &PeerId, peer: &PeerId, old: &Connection, new: &Connection, now: Instant) -> Judgement {
    let restarted = old.instance.is_some() && new.instance.is_some() && old.instance != new.instance;
    if restarted {
        return Judgement::CloseBoth;
    }
    let simultaneous = now.saturating_duration_since(old.since) < SIMULTANEOUS;
    if simultaneous && old.dialled != new.dialled {
        // Both ends keep the one that the smaller peer id dialled.
        let keep_dialled = local < peer;
        return if old.dialled == keep_dialled { Judgement::CloseNew } else { Judgement::CloseOld };
    }
    // The end that dialled again knows whether it still has the first one: then it closes the second. The other end waits for
    // that, and believes that the first is dead if it does not happen.
    if new.dialled { Judgement::CloseNew } else { Judgement::Wait }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
