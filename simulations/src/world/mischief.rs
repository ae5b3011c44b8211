//! What members do that misbehave. They know the mesh secret, but no credential that others present.

use super::World;
use crate::event::Happening;
use crate::github::unix;
use crate::model::{Gossip, Item, Mac, NodeIndex, Response, Said, Shared, Validation};
use crate::scenario::{ByzantineKind, Span};
use ghmesh_model::wire::FetchStage;
use std::rc::Rc;
use std::time::Duration;

/// A misbehaving node acts so often.
const EVERY_MS: u64 = 500;

/// How far from the future what it makes up claims to be.
const FUTURE_SECONDS: u64 = 600;

impl World<'_> {
    pub(super) fn misbehave(&mut self, node: NodeIndex) {
        match self.node(node).kind {
            Some(ByzantineKind::Forger) => self.forge(node),
            Some(ByzantineKind::Replayer) => self.replay(node),
            Some(ByzantineKind::Liar) => self.feign(node),
            Some(ByzantineKind::Silent) | None => {}
        }
        if self.now < self.scenario.polls.until_ms * 1000 {
            self.at(self.now + EVERY_MS * 1000, node, Happening::Misbehave);
        }
    }

    /// A fetch that it does not make. Here it holds the credential, so that it is believed as far as one can be.
    fn feign(&mut self, node: NodeIndex) {
        let item = self.any_item();
        self.publish(node, Gossip::Fetching(item, node, FetchStage::Begun));
    }

    /// Records and limits for others' credentials.
    fn forge(&mut self, node: NodeIndex) {
        let item = self.any_item();
        let forged = self.forged(node, item);
        self.publish(node, Gossip::Record(forged));
        if self.scenario.limits.is_some() {
            let stop = Some(Duration::from_secs(3600));
            let said = Said { credential: item.credential, author: node, genuine: false, buckets: Vec::new(), stop };
            self.publish(node, Gossip::Budget(Rc::new(said)));
        }
    }

    fn any_item(&mut self) -> Item {
        let keys = self.scenario.targets().len() as u64;
        let key = self.rng.within(Span(0, keys - 1)) as u16;
        let credential = self.rng.within(Span(0, u64::from(self.scenario.rights.credentials) - 1)) as u16;
        Item { key, credential }
    }

    /// A body that somebody else may read, or one that it made up; it can guess a MAC at best.
    fn forged(&mut self, node: NodeIndex, item: Item) -> Shared {
        let others = self.node(node).offers.values().find(|held| held.validation.item.key == item.key);
        let others = others.map(|held| held.validation.body);
        let body = if self.rng.chance(0.5) { others } else { None };
        let body = body.unwrap_or_else(|| self.invented());
        let origin_date = unix(self.now) + self.rng.within(Span(0, FUTURE_SECONDS));
        let mac = Mac(self.rng.number());
        let (stamp, ring) = (self.node_mut(node).stamp(node), self.leading(node));
        let validation = Validation { item, body, origin_date, stamp, ring, mac, sent_at: 0 };
        Shared { validation, age: Duration::ZERO, whole: true }
    }

    /// The oldest true record that it remembers of something, as if it were just confirmed.
    fn replay(&mut self, node: NodeIndex) {
        let item = self.any_item();
        if let Some(shared) = self.replayed(item) {
            self.publish(node, Gossip::Record(shared));
        }
    }

    fn replayed(&self, item: Item) -> Option<Shared> {
        let validation = *self.hoard.get(&item)?;
        Some(Shared { validation, age: Duration::ZERO, whole: true })
    }

    /// What it answers a question. `None`: nothing.
    pub(super) fn answer_falsely(&mut self, node: NodeIndex, kind: ByzantineKind, item: Item) -> Option<Response> {
        match kind {
            ByzantineKind::Silent => None,
            ByzantineKind::Liar => Some(Response::Coming(Duration::from_secs(3600))),
            ByzantineKind::Forger => Some(Response::Have(self.forged(node, item))),
            ByzantineKind::Replayer => Some(self.replayed(item).map_or_else(crate::node::nothing, Response::Have)),
        }
    }
}
