//! What came out of a run: counts, and what must not happen.

mod table;
mod violation;

pub use table::table;
pub use violation::Violation;

use crate::scenario::{Scenario, Span};
use std::collections::BTreeMap;

/// Values and how often each came, rounded to three digits: a run has millions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Takes in one value.
    pub fn note(&mut self, value: u64) {
        let step = 10_u64.pow(value.checked_ilog10().unwrap_or_default().saturating_sub(2));
        *self.0.entry(value / step * step).or_default() += 1;
    }

    /// Takes in all of another.
    pub fn merge(&mut self, other: &Histogram) {
        other.0.iter().for_each(|(value, count)| *self.0.entry(*value).or_default() += count);
    }

    /// The least value that `percent` of all don't exceed; 0 where there are none.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0, |(value, _)| *value)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What nodes said to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Records that were published.
    pub records: u64,
    /// Copies of them that were sent, all hops together.
    pub copies: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// Bytes of the heartbeats that name records to neighbours (gossipsub's `IHAVE`).
    pub heartbeat_bytes: u64,
    /// Records of presence, by the rule of how often one is due.
    pub presences: u64,
    /// Their bytes, each copied as often as the run's other records were on average, with their heartbeats.
    pub presence_bytes: u64,
    /// Bytes of questions, answers, deliveries and digests.
    pub direct_bytes: u64,
    /// From publishing a record until the last node has it, in microseconds; of those that reached all.
    pub spread_us: Histogram,
    /// Records that some connected node did not get.
    pub incomplete: u64,
    /// Node-seconds: every node's time alive.
    pub node_seconds: u64,
}

impl Traffic {
    /// Bytes of gossip that a node sends each second, on average.
    pub fn gossip_bytes_per_node_second(&self) -> f64 {
        let bytes = self.record_bytes + self.heartbeat_bytes + self.presence_bytes;
        bytes as f64 / self.node_seconds.max(1) as f64
    }
}

/// The same polls without ghmesh: each is a call, and each call is charged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Calls.
    pub calls: u64,
    /// Those that the origin answered with its limits.
    pub failures: u64,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Nodes at the start.
    pub nodes: u64,
    /// The time that clients polled, in milliseconds.
    pub duration_ms: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Those answered without asking anybody.
    pub local: u64,
    /// Those answered with something expired, marked so, as the origin would not answer or was to be spared.
    pub stale: u64,
    /// Those that got no answer.
    pub failures: u64,
    /// Answers to which the origin had something newer at that moment.
    pub outdated: u64,
    /// For how long it had, in milliseconds.
    pub outdated_ms: Histogram,
    /// Calls to the origin.
    pub calls: u64,
    /// Those it charges.
    pub charged: u64,
    /// Of the calls those until every client has asked once: nobody has anything yet.
    pub cold_calls: u64,
    /// Those of them that the origin charges.
    pub cold_charged: u64,
    /// Calls for what another call already under way would have brought.
    pub doubled: u64,
    /// Different answers that the origin gave: what a fleet that shares everything is charged for.
    pub versions: u64,
    /// Lookups that members did not help in time.
    pub fail_opens: u64,
    /// How long each request took that was not answered from its own node's store, in milliseconds.
    pub durations_ms: Histogram,
    /// The longest of them.
    pub slowest_ms: u64,
    /// What nodes said to each other.
    pub traffic: Traffic,
    /// The same polls without ghmesh.
    pub without: Without,
    /// Times that a node expelled a member.
    pub expulsions: u64,
    /// Nodes that are alive at the end and connected to nobody.
    pub alone: u64,
    /// What must not happen and did: the first [`MAX_VIOLATIONS`].
    pub violations: Vec<Violation>,
    /// A fingerprint of all that happened, in order: equal where two runs were the same.
    pub digest: u64,
}

/// Violations that are kept of one run: further ones say nothing new.
pub const MAX_VIOLATIONS: usize = 100;

impl Report {
    /// Notes something that must not happen.
    pub(crate) fn violated(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    /// A count for each hour of the run.
    pub fn hourly(&self, count: u64) -> f64 {
        count as f64 * 3_600_000.0 / self.duration_ms.max(1) as f64
    }

    /// Answers to which the origin had something newer, in tenths of a percent.
    pub fn outdated_permille(&self) -> u64 {
        self.outdated * 1000 / self.requests.max(1)
    }

    /// Holds the counts to what the scenario expects.
    pub(crate) fn judge(&mut self, scenario: &Scenario) {
        let expect = &scenario.expect;
        let saved = |count: u64| 100_u64.saturating_sub(count * 100 / self.without.calls.max(1));
        let mut counts = vec![
            ("calls", self.calls, expect.calls),
            ("charged calls", self.charged, expect.charged),
            ("charged calls too many", self.charged.saturating_sub(self.versions), expect.overcharged),
            ("calls beside another for the same", self.doubled, expect.doubled),
            ("% of calls saved", saved(self.calls), expect.saved_percent),
            ("% of charged calls saved", saved(self.charged), expect.saved_charges_percent),
            ("requests without an answer", self.failures, expect.failures),
            ("requests without an answer, without ghmesh", self.without.failures, expect.failures_without),
            ("‰ of answers outdated", self.outdated_permille(), expect.outdated_permille),
            ("expulsions", self.expulsions, expect.expulsions),
            ("nodes alone", self.alone, expect.alone),
            ("ms for the slowest request", self.slowest_ms, expect.slowest_ms.map(|most| Span(0, most))),
        ];
        if expect.single_flight {
            counts.push(("charged calls", self.charged, Some(Span(self.versions, self.versions))));
        }
        for (what, count, expected) in counts {
            if let Some(expected @ Span(low, high)) = expected
                && !(low..=high).contains(&count)
            {
                self.violated(Violation::Unexpected { what, count, expected });
            }
        }
    }
}
