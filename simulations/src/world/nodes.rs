//! Nodes come, connect, hang, go; the network splits and merges; the mesh secret changes.

use super::World;
use crate::event::{Event, Happening};
use crate::model::{NodeIndex, Ring};
use crate::node::Node;
use crate::scenario::{Roll, RollStep, Span, Start, What, Who};
use ghmesh_fleet::{Input, owners};
use ghmesh_model::MemberId;
use std::time::Duration;

/// How often to look for somebody who calls, once one is to be struck.
const LOOK_AGAIN_US: u64 = 1_000;

/// Neighbours that gossip goes on to: aimed at, and at most. As `ghmesh_mesh` sets up gossipsub.
const MESH: usize = 6;
const MESH_HIGH: usize = 12;

/// A misbehaving node acts so often.
const MISCHIEF_MS: u64 = 500;

/// The old secret of the mesh, and the new one.
const OLD: Ring = 0;
const NEW: Ring = 1;

impl World<'_> {
    /// The nodes of the start, and all that the scenario says will happen.
    pub(super) fn begin(&mut self) {
        let mut byzantine = self.scenario.byzantine.iter().rev().flat_map(|group| (0..group.nodes).map(|_| group.kind));
        let mut kinds: Vec<_> = (0..self.scenario.nodes).map(|_| byzantine.next()).collect();
        kinds.reverse();
        for kind in kinds {
            let node = self.start(Start::default(), None);
            self.node_mut(node).kind = kind;
            if kind.is_some() {
                self.at(MISCHIEF_MS * 1000, node, Happening::Misbehave);
            }
        }
        (0..self.scenario.nodes).for_each(|node| self.connect(node));
        (0..self.scenario.nodes).for_each(|node| self.see_extent(node));
        for (number, event) in self.scenario.events.iter().enumerate() {
            let at = self.rng.within(event.at_ms) * 1000;
            self.queue.push(at, Event::Strike(number));
        }
        if let Some(churn) = self.scenario.churn {
            let at = self.rng.within(churn.start_every_ms) * 1000;
            self.queue.push(at, Event::Come);
        }
    }

    /// A node starts; [`World::connect`] lets it find others.
    fn start(&mut self, start: Start, life: Option<(u64, bool)>) -> NodeIndex {
        let node = NodeIndex::try_from(self.nodes.len()).unwrap_or(NodeIndex::MAX);
        let member = MemberId(self.rng.bytes());
        let skew_ms = self.rng.within(Span(0, 2 * self.scenario.clocks.skew_ms));
        let skew_ms = skew_ms as i64 - self.scenario.clocks.skew_ms as i64;
        let mut new = Node::new(member, skew_ms, self.scenario.rights.credentials > 1, self.now);
        new.rings = if start.old_secret { vec![OLD] } else { self.present_rings() };
        self.places.insert(node, self.alive.len());
        self.alive.push(node);
        self.by_member.insert(member, node);
        self.nodes.push(new);
        let first = self.after_ms(self.scenario.polls.spread_ms) + self.scenario.polls.first_ms * 1000;
        self.at(first, node, Happening::Poll);
        if let Some((life_ms, killed)) = life {
            self.at(self.now + life_ms * 1000, node, Happening::End(killed));
        }
        node
    }

    /// The secrets that a node has which starts now: what the nodes of the start have that take part in rolls.
    fn present_rings(&self) -> Vec<Ring> {
        self.nodes.first().map_or_else(|| vec![OLD], |first| first.rings.clone())
    }

    /// A node of the churn, and the next one.
    pub(super) fn come(&mut self) {
        let Some(churn) = self.scenario.churn else { return };
        let life_ms = self.rng.within(churn.life_ms);
        let killed = self.rng.chance(churn.killed);
        let node = self.start(Start::default(), Some((life_ms, killed)));
        self.connect(node);
        self.see_extent(node);
        let at = self.after_ms(churn.start_every_ms);
        if at < self.scenario.polls.until_ms * 1000 {
            self.queue.push(at, Event::Come);
        }
    }

    /// Knows from presence whether there are members that it is not going to be connected to.
    fn see_extent(&mut self, node: NodeIndex) {
        let beyond = self.scenario.network.degree.is_some_and(|degree| self.alive.len() > degree as usize + 1);
        self.tell(node, Input::Extent { beyond });
    }

    /// Looks for neighbours: everybody, or half of the degree that is aimed at, as others look for this node, too.
    fn connect(&mut self, node: NodeIndex) {
        let degree = self.scenario.network.degree.map(|degree| degree as usize);
        let Some(degree) = degree.filter(|degree| self.alive.len() > degree + 1) else {
            let peers: Vec<_> = self.alive.iter().copied().filter(|peer| *peer != node).collect();
            let is_start = self.now == 0;
            // At the start every pair is dialled by the later one.
            return peers.into_iter().filter(|peer| !is_start || *peer < node).for_each(|peer| self.dial(node, peer));
        };
        let wanted = degree.div_ceil(2).min(self.alive.len().saturating_sub(1));
        let mut chosen = Vec::new();
        // Tries are bounded: a part of a split network may hold fewer.
        for _ in 0..8 * degree {
            if chosen.len() >= wanted {
                break;
            }
            let peer = self.alive[(self.rng.number() % self.alive.len() as u64) as usize];
            let is_new = peer != node && !chosen.contains(&peer) && !self.node(node).links.contains(&peer);
            if is_new && self.node(peer).part == self.node(node).part {
                chosen.push(peer);
            }
        }
        chosen.into_iter().for_each(|peer| self.dial(node, peer));
    }

    /// Both ends notice, each at a moment of its own.
    fn dial(&mut self, node: NodeIndex, peer: NodeIndex) {
        for (one, other) in [(node, peer), (peer, node)] {
            let at = self.after_ms(self.scenario.network.join_ms);
            self.at(at, one, Happening::Link(other, true));
        }
    }

    pub(super) fn link(&mut self, node: NodeIndex, peer: NodeIndex) {
        let (here, there) = (self.node(node), self.node(peer));
        let shares_secret = here.rings.iter().any(|ring| there.rings.contains(ring));
        let is_barred = |one: &Node, other: NodeIndex| one.barred.get(&other).is_some_and(|until| *until > self.now);
        if is_barred(here, peer) || is_barred(there, node) {
            return;
        }
        if there.is_dead || here.part != there.part || !shares_secret || here.links.contains(&peer) {
            return;
        }
        let member = there.member;
        self.node_mut(node).links.insert(peer);
        self.graft(node, peer);
        self.tell(node, Input::Joined { member });
        self.greet(node, peer);
    }

    /// Gossip goes on between the two, where one of them lacks such neighbours.
    fn graft(&mut self, node: NodeIndex, peer: NodeIndex) {
        let (here, there) = (self.node(node), self.node(peer));
        let both = there.links.contains(&node) && !here.mesh.contains(&peer);
        let wanted = here.mesh.len().min(there.mesh.len()) < MESH;
        let room = here.mesh.len().max(there.mesh.len()) < MESH_HIGH;
        if both && wanted && room {
            self.node_mut(node).mesh.push(peer);
            self.node_mut(peer).mesh.push(node);
        }
    }

    pub(super) fn unlink(&mut self, node: NodeIndex, peer: NodeIndex) {
        if !self.node_mut(node).links.remove(&peer) {
            return;
        }
        let member = self.node(peer).member;
        self.node_mut(node).mesh.retain(|other| *other != peer);
        self.node_mut(peer).mesh.retain(|other| *other != node);
        self.tell(node, Input::Left { member });
        let candidates: Vec<_> = self.node(node).links.iter().copied().collect();
        for candidate in candidates {
            if self.node(node).mesh.len() >= MESH {
                break;
            }
            self.graft(node, candidate);
        }
        let lacks = |degree: u32| self.node(node).links.len() < degree.div_ceil(2) as usize;
        if self.scenario.network.degree.is_some_and(lacks) && self.severed.is_empty() {
            self.connect(node);
        }
    }

    /// Closes the connection to a member that misbehaves, and opens none until `span` is over.
    pub(super) fn expel(&mut self, node: NodeIndex, peer: NodeIndex, span: Duration) {
        let until = self.now + span.as_micros() as u64;
        self.node_mut(node).barred.insert(peer, until);
        self.report.expulsions += 1;
        for (one, other) in [(node, peer), (peer, node)] {
            self.at(self.now, one, Happening::Link(other, false));
            self.at(until, one, Happening::Link(other, true));
        }
    }

    /// It is gone. Neighbours notice a kill later than a goodbye.
    pub(super) fn end(&mut self, node: NodeIndex, killed: bool) {
        self.report.traffic.node_seconds += (self.now - self.node(node).started_at) / 1_000_000;
        self.node_mut(node).is_dead = true;
        if let Some(place) = self.places.remove(&node) {
            self.alive.swap_remove(place);
            if let Some(moved) = self.alive.get(place) {
                self.places.insert(*moved, place);
            }
        }
        for peer in self.node(node).links.clone() {
            let network = &self.scenario.network;
            let at =
                if killed { self.after_ms(network.detect_ms) } else { self.now + self.rng.within(network.latency_us) };
            self.at(at, peer, Happening::Link(node, false));
        }
    }

    // What the scenario lets happen.

    pub(super) fn strike(&mut self, number: usize) {
        let event = &self.scenario.events[number];
        let Some(what) = event.what() else { return };
        let every_ms = event.every_ms;
        let again = if self.befall(number, what) { every_ms.map(|ms| ms * 1000) } else { Some(LOOK_AGAIN_US) };
        let Some(again) = again.map(|after| self.now + after) else { return };
        if again < self.scenario.polls.until_ms * 1000 {
            self.queue.push(again, Event::Strike(number));
        }
    }

    /// Does what the scenario says. False where there is nobody yet to whom it could happen.
    fn befall(&mut self, number: usize, what: What) -> bool {
        match what {
            What::Kill(who) => {
                let found = self.find(who);
                found.into_iter().for_each(|node| self.end(node, true));
                return found.is_some();
            }
            What::Freeze(freeze) => {
                let (found, until) = (self.find(freeze.who), self.now + freeze.for_ms * 1000);
                found.into_iter().for_each(|node| self.node_mut(node).frozen_until = until);
                return found.is_some();
            }
            What::Start(start) => {
                let started: Vec<_> = (0..start.nodes.unwrap_or(1)).map(|_| self.start(start, None)).collect();
                started.into_iter().for_each(|node| self.connect(node));
            }
            What::Split(parts) => self.split(parts),
            What::Merge => self.merge(),
            What::Rights(change) => self.github.permit(change.credential, change.key, change.may),
            What::Write(write) => self.write(write.key),
            What::Roll(roll) => self.begin_roll(number, roll),
        }
        true
    }

    fn find(&self, who: Who) -> Option<NodeIndex> {
        let item = self.catalogue.items().next()?;
        let subject = self.subject(item, OLD);
        match who {
            Who::Owner => {
                let members = self.alive.iter().map(|node| self.node(*node).member);
                let owner = *owners(&subject.key, members).first()?;
                self.by_member.get(&owner).copied()
            }
            Who::Holder => {
                let mut alive = self.alive.clone();
                alive.sort_unstable();
                let calls = |node: &NodeIndex| {
                    self.node(*node).flights.values().any(|flight| flight.item == item && flight.is_calling)
                };
                alive.into_iter().find(calls)
            }
        }
    }

    fn split(&mut self, parts: u8) {
        for node in self.alive.clone() {
            self.node_mut(node).part = (self.rng.number() % u64::from(parts)) as u8;
        }
        for node in self.alive.clone() {
            for peer in self.node(node).links.clone() {
                if self.node(peer).part != self.node(node).part {
                    self.severed.insert((node.min(peer), node.max(peer)));
                    let at = self.after_ms(self.scenario.network.detect_ms);
                    self.at(at, node, Happening::Link(peer, false));
                }
            }
        }
    }

    fn merge(&mut self) {
        self.alive.clone().into_iter().for_each(|node| self.node_mut(node).part = 0);
        std::mem::take(&mut self.severed).into_iter().for_each(|(one, other)| self.dial(one, other));
    }

    fn begin_roll(&mut self, number: usize, roll: Roll) {
        let taking_part = self.scenario.nodes.saturating_sub(roll.left_behind);
        for node in 0..taking_part {
            let at = self.after_ms(Span(0, roll.over_ms));
            self.at(at, node, Happening::Roll(number));
        }
    }

    /// The node's file of secrets has changed.
    pub(super) fn roll(&mut self, node: NodeIndex, number: usize) {
        let Some(What::Roll(Roll { step, .. })) = self.scenario.events[number].what() else { return };
        self.node_mut(node).rings = match step {
            RollStep::Accept => vec![OLD, NEW],
            RollStep::Use => vec![NEW, OLD],
            RollStep::Drop => vec![NEW],
        };
        for peer in self.node(node).links.clone() {
            let (here, there) = (self.node(node), self.node(peer));
            if !here.rings.iter().any(|ring| there.rings.contains(ring)) {
                self.at(self.now, node, Happening::Link(peer, false));
                self.at(self.now, peer, Happening::Link(node, false));
            }
        }
    }
}
