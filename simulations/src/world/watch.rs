//! What always holds, checked as the run goes.

use super::World;
use super::flight::Landing;
use crate::model::{Held, Item, Moment, NodeIndex};
use crate::report::Violation;
use crate::scenario::What;
use ghmesh_fleet::Load;
use std::time::Duration;

/// How far a confirmation may seem younger than it is: the origin's `Date` counts whole seconds, and messages take time that
/// no age counts.
const AGE_SLACK_MS: u64 = 1_000;

/// Searching and waiting at their longest: 150 ms, ten seconds of waiting in all, and 150 ms for asking a last time.
const SEARCH_AND_WAIT_MS: u64 = 150 + 10_000 + 150;

/// How much longer than the route table's time an answer of the table's is used at most: `policy::adaptive`.
const LONGEST_OF_TABLE: u32 = 8;

/// Rules that a test may have broken, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Nodes answer with what has expired.
    ServeExpired,
    /// Nodes answer with what was fetched for another credential.
    ServeUnproven,
    /// Nodes forget writes.
    ForgetWrites,
    /// Nodes don't ask each other.
    GoAlone,
    /// Nodes don't tell their coordinator that a flight has ended.
    NeverEnd,
    /// Nodes lose requests once they have an answer.
    LoseRequests,
    /// Nodes answer only after a while.
    Dawdle,
    /// A node is told everything a thousand times.
    Flood,
    /// Coordinators keep what nothing accounts for.
    Hoard,
}

impl World<'_> {
    /// A caller gets what its flight came to.
    pub(super) fn shown(&mut self, node: NodeIndex, item: Item, landing: Landing, asked_at: Moment) {
        match landing {
            Landing::Fresh(held) => self.check(node, item, &held, asked_at, false),
            Landing::Stale(held) => {
                self.report.stale += 1;
                self.check(node, item, &held, asked_at, true);
            }
            Landing::Refused => {}
            Landing::Failed => self.report.failures += 1,
        }
    }

    fn check(&mut self, node: NodeIndex, item: Item, held: &Held, asked_at: Moment, is_marked: bool) {
        self.check_age(node, item, held, is_marked);
        self.check_proof(node, item, held);
        let Some(body) = self.github.body(held.validation.body) else { return };
        let version = body.version;
        self.check_writes(node, item.key, version, asked_at);
        if self.github.version(item.key, self.now) != version {
            self.report.outdated += 1;
            let since = self.github.superseded_at(item.key, version).unwrap_or(self.now);
            self.report.outdated_ms.note((self.now - since) / 1000);
        }
    }

    fn check_age(&mut self, node: NodeIndex, item: Item, held: &Held, is_marked: bool) {
        let age_ms = (self.now - held.validation.sent_at) / 1000;
        let rules = &self.catalogue.rules;
        let read = &self.catalogue.get(item).read;
        let of_table = || ghmesh_policy::Route::of(&read.target).ttl * LONGEST_OF_TABLE;
        let longest = self.catalogue.ttl.unwrap_or_else(of_table).min(rules.proof_ttl);
        let limit = if is_marked { rules.proof_ttl } else { longest };
        let limit_ms = limit.as_millis() as u64 + AGE_SLACK_MS;
        let just_fetched = age_ms <= self.scenario.origin.latency_ms.1;
        if age_ms > limit_ms && !just_fetched {
            self.report.violated(Violation::TooOld { node, key: item.key, age_ms, limit_ms });
        }
    }

    /// The origin itself must have confirmed this body to this credential, within the time for which a proof lasts.
    fn check_proof(&mut self, node: NodeIndex, item: Item, held: &Held) {
        let lasts = self.catalogue.rules.proof_ttl + Duration::from_millis(AGE_SLACK_MS);
        let oldest = self.now.saturating_sub(lasts.as_micros() as u64);
        if self.github.proof(item, held.validation.body).is_none_or(|proved_at| proved_at < oldest) {
            self.report.violated(Violation::NoProof { node, key: item.key, credential: item.credential });
        }
    }

    /// What its node knew was overwritten when the caller asked must not come back.
    fn check_writes(&mut self, node: NodeIndex, key: u16, version: usize, asked_at: Moment) {
        let known = self.node(node).writes.iter().filter(|(_, since)| **since < asked_at);
        let of_key = known.map(|(write, _)| self.writes[*write]).filter(|(of, _)| *of == key);
        let latest = of_key.map(|(_, written)| written).max().unwrap_or_default();
        if version < latest {
            self.report.violated(Violation::Revived { node, key, version, written: latest });
        }
    }

    pub(super) fn took(&mut self, node: NodeIndex, took_ms: u64) {
        let took_ms = if self.options.sabotage == Some(Sabotage::Dawdle) { took_ms + 60_000 } else { took_ms };
        self.report.durations_ms.note(took_ms);
        self.report.slowest_ms = self.report.slowest_ms.max(took_ms);
        let limit_ms = self.limit_ms();
        if took_ms > limit_ms {
            self.report.violated(Violation::TooSlow { node, took_ms, limit_ms });
        }
    }

    /// The longest that a request may take: two rounds, one call, and every time that a node hangs. Where bodies are shared between
    /// credentials, it may follow one fetch as well.
    fn limit_ms(&self) -> u64 {
        let hangs = self.scenario.events.iter().map(|event| match event.what() {
            Some(What::Freeze(freeze)) => freeze.for_ms,
            _ => 0,
        });
        let handovers = 16 * self.scenario.network.handover_us.1 / 1000;
        let follows = if self.scenario.rights.credentials > 1 { 10_000 } else { 0 };
        SEARCH_AND_WAIT_MS + follows + self.scenario.origin.latency_ms.1 + handovers + hangs.sum::<u64>()
    }

    /// Whether some client has not asked yet.
    pub(super) fn is_cold(&self) -> bool {
        let polls = &self.scenario.polls;
        self.now <= (polls.first_ms + polls.spread_ms.1 + self.scenario.origin.latency_ms.1) * 1000
    }

    /// A call begins: where everybody is connected, nobody else makes one, and none is made again before its time.
    pub(super) fn count_call(&mut self, node: NodeIndex, item: Item) {
        self.report.calls += 1;
        self.report.cold_calls += u64::from(self.is_cold());
        let under_way = self.under_way.entry(item).or_default();
        self.report.doubled += u64::from(*under_way > 0);
        *under_way += 1;
        let last = self.last_calls.insert(item, self.now);
        let Some(after_ms) = last.map(|last| (self.now - last) / 1000) else { return };
        let shortest = match (self.scenario.freshness.caller_ttl_ms, self.scenario.freshness.ttl_ms) {
            (Some(exact), _) => exact,
            (None, Some(jittered)) => jittered - jittered / 10,
            (None, None) => 0,
        };
        // Two milliseconds: timelines count whole ones.
        if self.scenario.expect.single_flight && after_ms + 2 < shortest {
            let Item { key, credential } = item;
            self.report.violated(Violation::SecondCall { node, key, credential, after_ms });
        }
    }

    /// What a coordinator holds must be accounted for by what it does.
    pub(super) fn weigh(&mut self, node: NodeIndex) {
        let mut load = self.node(node).fleet.load();
        if self.options.sabotage == Some(Sabotage::Hoard) {
            load.timers += 1_000;
        }
        if load.timers > 3 * load.lookups + load.leases || load.asks > 6 * load.lookups {
            self.report.violated(Violation::Heavy { node, load });
        }
    }

    pub(super) fn finish(mut self) -> crate::report::Report {
        for node in 0..self.nodes.len() as NodeIndex {
            let here = &self.nodes[node as usize];
            self.report.fail_opens += here.fleet.counters().fail_opens;
            if here.is_dead {
                continue;
            }
            self.report.traffic.node_seconds += (self.now - here.started_at) / 1_000_000;
            self.report.alone += u64::from(here.links.is_empty());
            let requests: usize = here.flights.values().map(|flight| flight.callers.len()).sum();
            let load = here.fleet.load();
            if requests > 0 {
                self.report.violated(Violation::Unended { node, requests });
            }
            if load != Load::default() {
                self.report.violated(Violation::Leftover { node, load });
            }
        }
        self.count_presence();
        self.report.versions = self.github.answers() as u64;
        self.report.judge(self.scenario);
        self.report
    }
}
