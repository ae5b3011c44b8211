//! Gossip, hop by hop: from its author to all neighbours, from those on to the few that gossipsub calls its mesh.

use super::World;
use crate::event::{Event, FloodId};
use crate::model::{Gossip, Moment, NodeIndex, Ring};
use crate::scenario::ByzantineKind;
use crate::sizes::MESSAGE_ID;

/// Heartbeats in which gossipsub names a record to neighbours outside of its mesh, and to how many of them at least and at most:
/// `history_gossip`, `gossip_lazy`, `gossip_factor`.
const HEARTBEATS: u64 = 3;
const LAZY: f64 = 6.0;
const FACTOR: f64 = 0.25;
/// Neighbours in the mesh, as `ghmesh_mesh` aims at.
const MESH: f64 = 6.0;

/// Presence is due every so often, but not more often than so many times a second in the whole fleet.
const PRESENCE_LEAST_SECONDS: u64 = 5;
const PRESENCES_A_SECOND: u64 = 20;

/// One record on its way through the fleet.
#[derive(Debug)]
pub(super) struct Flood {
    gossip: Gossip,
    author: NodeIndex,
    ring: Ring,
    bytes: u64,
    /// Who has it: a bit for each node.
    seen: Vec<u64>,
    reached: usize,
    /// Copies under way.
    pending: u32,
    began: Moment,
    last: Moment,
}

impl Flood {
    fn has(&self, node: NodeIndex) -> bool {
        self.seen.get(node as usize / 64).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }

    /// Notes that `node` has it now. False where it had it before.
    fn note(&mut self, node: NodeIndex, now: Moment) -> bool {
        if self.has(node) {
            return false;
        }
        let word = node as usize / 64;
        self.seen.resize(self.seen.len().max(word + 1), 0);
        self.seen[word] |= 1 << (node % 64);
        self.reached += 1;
        self.last = now;
        true
    }
}

impl World<'_> {
    /// Tells everybody, through the neighbours.
    pub(super) fn publish(&mut self, author: NodeIndex, gossip: Gossip) {
        let bytes = match &gossip {
            Gossip::Record(shared) if shared.whole => self.sizes.stored,
            Gossip::Record(_) => self.sizes.revalidated,
            Gossip::Written(_) => self.sizes.invalidated,
            Gossip::Budget(_) => self.sizes.budget,
            Gossip::Fetching(..) => self.sizes.fetching,
        };
        let ring = self.leading(author);
        let mut flood = Flood {
            gossip,
            author,
            ring,
            bytes,
            seen: Vec::new(),
            reached: 0,
            pending: 0,
            began: self.now,
            last: self.now,
        };
        flood.note(author, self.now);
        self.report.traffic.records += 1;
        self.last_flood += 1;
        let id = self.last_flood;
        let peers: Vec<_> = self.node(author).links.iter().copied().collect();
        peers.into_iter().for_each(|peer| self.hop(id, &mut flood, author, peer));
        self.settle(id, flood);
    }

    fn hop(&mut self, id: FloodId, flood: &mut Flood, from: NodeIndex, to: NodeIndex) {
        self.report.traffic.copies += 1;
        self.report.traffic.record_bytes += flood.bytes;
        let network = &self.scenario.network;
        // A copy for who has it already changes nothing.
        if self.rng.chance(network.loss) || flood.has(to) {
            return;
        }
        flood.pending += 1;
        let at = self.now + self.rng.within(network.latency_us) + self.rng.within(network.relay_us);
        self.queue.push(at, Event::Gossip(id, to, from));
    }

    pub(super) fn gossip_arrives(&mut self, id: FloodId, to: NodeIndex, from: NodeIndex) {
        let (is_dead, wakes) = (self.node(to).is_dead, self.node(to).frozen_until);
        if !is_dead && wakes > self.now {
            return self.queue.push(wakes, Event::Gossip(id, to, from));
        }
        let Some(mut flood) = self.floods.remove(&id) else { return };
        flood.pending -= 1;
        let (here, author) = (self.node(to), flood.author);
        let is_connected = !here.is_dead && here.part == self.node(from).part && here.rings.contains(&flood.ring);
        if is_connected && flood.note(to, self.now) {
            let passes_on = here.kind != Some(ByzantineKind::Silent);
            let peers: Vec<_> = here.mesh.iter().copied().filter(|_| passes_on).collect();
            for peer in peers.into_iter().filter(|peer| *peer != from && *peer != author) {
                self.hop(id, &mut flood, to, peer);
            }
            self.hear(to, flood.gossip.clone());
        }
        self.settle(id, flood);
    }

    /// Keeps a record's state while copies of it are under way.
    fn settle(&mut self, id: FloodId, flood: Flood) {
        if flood.pending > 0 {
            self.floods.insert(id, flood);
            return;
        }
        let alive = self.alive.len();
        let traffic = &mut self.report.traffic;
        let per_node = lazy(self.scenario.network.degree, alive);
        traffic.heartbeat_bytes += (flood.reached as f64 * per_node * (HEARTBEATS * MESSAGE_ID) as f64) as u64;
        if flood.reached >= alive && alive > 1 {
            traffic.spread_us.note(flood.last - flood.began);
        } else if alive > 1 {
            traffic.incomplete += 1;
        }
    }

    /// What presence costs: one record of each node every max(5 s, N/20 s). Each is copied as the run's other records were, which is
    /// as exact as to send it: where it goes does not depend on what it says.
    pub(super) fn count_presence(&mut self) {
        let traffic = &mut self.report.traffic;
        let nodes = self.alive.len() as u64;
        let interval = PRESENCE_LEAST_SECONDS.max(nodes.div_ceil(PRESENCES_A_SECOND));
        traffic.presences = traffic.node_seconds / interval.max(1);
        let copies = traffic.copies as f64 / traffic.records.max(1) as f64;
        let heartbeats =
            nodes as f64 * lazy(self.scenario.network.degree, self.alive.len()) * (HEARTBEATS * MESSAGE_ID) as f64;
        let each = copies * self.sizes.presence as f64 + heartbeats;
        traffic.presence_bytes = (traffic.presences as f64 * each) as u64;
    }
}

/// Neighbours to which a node names what it has in each heartbeat.
fn lazy(degree: Option<u32>, alive: usize) -> f64 {
    let others = alive.saturating_sub(1) as f64;
    let links = degree.map_or(others, |degree| f64::from(degree).min(others));
    let outside = (links - MESH).max(0.0);
    (outside * FACTOR).max(LAZY).min(outside)
}
