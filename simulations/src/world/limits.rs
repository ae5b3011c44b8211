//! Rate limits: what the origin says of them, what members say, and how careful a node is with what is left.

use super::World;
use super::flight::Landing;
use crate::github::{Answered, Refused, unix};
use crate::model::{Gossip, Held, Item, Moment, NodeIndex, Said};
use ghmesh_policy::budget::{Heard, Standing, Told};
use ghmesh_policy::{freshness, limits_headers};
use std::rc::Rc;

/// The one bucket that a run has.
const BUCKET: &str = "core";

impl World<'_> {
    /// The same request without ghmesh: a call, charged.
    pub(super) fn poll_without(&mut self, credential: u16) {
        self.report.without.calls += 1;
        match self.without.refuse(credential, self.now) {
            Some(Refused::Primary | Refused::Secondary) => self.report.without.failures += 1,
            None => self.without.charge(credential, self.now),
        }
    }

    /// What is done instead of a call, where the limits hold it back.
    pub(super) fn held_back(&mut self, node: NodeIndex, item: Item, kept: Option<Held>) -> Option<Landing> {
        self.scenario.limits?;
        let random = self.fraction();
        let (now, there) = (self.node(node).millis(self.now), self.node(node).moment_there(self.now));
        let ledger = self.node_mut(node).ledgers.entry(item.credential).or_default();
        let thrift = ledger.thrift(BUCKET, there, random);
        let stop = ledger.stop(now, random);
        if stop.is_some() {
            return Some(self.stale(node, kept).unwrap_or(Landing::Failed));
        }
        let held = kept?;
        let age = now.since(held.confirmed_at)?;
        let asked = self.catalogue.get(item);
        let lifetime = freshness::lifetime(&asked.read, &self.catalogue.rules, &asked.entry);
        if thrift.spares(age, lifetime) { self.stale(node, kept) } else { None }
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        (self.rng.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn hear_limits(&mut self, node: NodeIndex, credential: u16, answered: &Answered, sent_at: Moment) {
        if self.scenario.limits.is_none() {
            return;
        }
        let wait = limits_headers::limit(answered.status, &answered.headers, unix(self.now)).map(|limit| limit.wait);
        let heard = Heard { quota: limits_headers::quota(&answered.headers), wait, served: wait.is_none() };
        let (asked_at, now) = (self.node(node).millis(sent_at), self.node(node).millis(self.now));
        self.node_mut(node).ledgers.entry(credential).or_default().observe(&heard, asked_at, now);
    }

    /// Tells members of a credential's limits, where that is due.
    pub(super) fn tell_limits(&mut self, node: NodeIndex, credential: u16) {
        if self.scenario.limits.is_none() {
            return;
        }
        let moment = self.node(node).moment_there(self.now);
        let ledger = self.node_mut(node).ledgers.entry(credential).or_default();
        let Some(tidings) = ledger.due_tidings(moment) else { return };
        let bucket = |(name, standing): (String, Standing)| {
            let age = moment.now.since(standing.as_of).unwrap_or_default();
            (name, standing.limit, standing.remaining, standing.reset, age)
        };
        let buckets = tidings.standings.into_iter().map(bucket).collect();
        let said = Said { credential, author: node, genuine: true, buckets, stop: tidings.stop };
        self.publish(node, Gossip::Budget(Rc::new(said)));
    }

    /// A member says something of a credential's limits. What its holders did not say is not believed, and what nobody here has
    /// presented can't be judged.
    pub(super) fn learn_limits(&mut self, node: NodeIndex, said: &Said) {
        if !said.genuine || !self.node(node).presented.contains(&said.credential) {
            return;
        }
        let (from, moment) = (self.node(said.author).member, self.node(node).moment_there(self.now));
        let standing = |(name, limit, remaining, reset, age): &(String, u64, u64, u64, std::time::Duration)| {
            let as_of = moment.now.before(*age);
            (name.clone(), Standing { limit: *limit, remaining: *remaining, reset: *reset, as_of })
        };
        let standings = said.buckets.iter().map(standing).collect();
        let told = Told { from, at: moment.now, standings, stop: said.stop };
        self.node_mut(node).ledgers.entry(said.credential).or_default().learn(&told, moment);
    }
}
