//! What came out of a run: counts, and what must not happen.

use crate::scenario::{Scenario, Span};
use ghmesh_fleet::Load;
use std::fmt::Write as _;

/// How far a confirmation may seem younger than it is: the origin's `Date` counts whole seconds, and messages take time that
/// no age counts.
pub(crate) const AGE_SLACK_MS: u64 = 1_000;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A request never ended.
    #[error("node {node}: {requests} requests never ended")]
    Unended {
        /// Where.
        node: usize,
        /// How many.
        requests: usize,
    },
    /// A request took longer than searching, waiting and one call may take.
    #[error("node {node}: a request took {took_ms} ms, more than {limit_ms} ms")]
    TooSlow {
        /// Where.
        node: usize,
        /// How long.
        took_ms: u64,
        /// How long it may take.
        limit_ms: u64,
    },
    /// A caller was given what was confirmed too long ago.
    #[error("node {node}: an answer was {age_ms} ms old")]
    TooOld {
        /// Where.
        node: usize,
        /// How old.
        age_ms: u64,
    },
    /// Two calls for one key within its time to live.
    #[error("node {node}: a call for key {key} only {after_ms} ms after another")]
    SecondCall {
        /// Whose.
        node: usize,
        /// Of what.
        key: usize,
        /// How soon.
        after_ms: u64,
    },
    /// More state than lookups and leases account for.
    #[error("node {node} holds too much: {load:?}")]
    Heavy {
        /// Where.
        node: usize,
        /// What.
        load: Load,
    },
    /// All was quiet, and something was left.
    #[error("node {node} is quiet and holds {load:?}")]
    Leftover {
        /// Where.
        node: usize,
        /// What.
        load: Load,
    },
    /// A count lies outside of what the scenario expects.
    #[error("{count} {what}, expected {} to {}", expected.0, expected.1)]
    Unexpected {
        /// What was counted.
        what: &'static str,
        /// How many.
        count: u64,
        /// What was expected.
        expected: Span,
    },
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Those answered without asking anybody.
    pub local: u64,
    /// Calls to the origin.
    pub calls: u64,
    /// Those it charges.
    pub charged: u64,
    /// Different answers that the origin gave: what a fleet that shares everything is charged for.
    pub versions: u64,
    /// Lookups that members did not help in time.
    pub fail_opens: u64,
    /// How long each request took that was not answered from its own node's store, in milliseconds.
    pub durations_ms: Vec<u64>,
    /// What must not happen and did.
    pub violations: Vec<Violation>,
    /// A fingerprint of all that happened, in order: equal where two runs were the same.
    pub digest: u64,
}

impl Report {
    /// Holds the counts to what the scenario expects.
    pub(crate) fn judge(&mut self, scenario: &Scenario) {
        let expect = &scenario.expect;
        let slowest = self.durations_ms.iter().copied().max().unwrap_or_default();
        let mut counts = vec![
            ("calls", self.calls, expect.calls),
            ("charged calls", self.charged, expect.charged),
            ("ms for the slowest request", slowest, Span(0, expect.slowest_ms)),
        ];
        if expect.single_flight {
            counts.push(("charged calls", self.charged, Span(self.versions, self.versions)));
        }
        let outside = counts.into_iter().filter(|(_, count, Span(low, high))| count < low || count > high);
        let outside = outside.map(|(what, count, expected)| Violation::Unexpected { what, count, expected });
        self.violations.extend(outside);
    }
}

/// A table of scenarios, each with the reports of its seeds.
pub fn table(rows: &[(String, Vec<Report>)]) -> String {
    let mut table = format!(
        "{:<14} {:>5} {:>9} {:>7} {:>9} {:>9} {:>10} {:>16} {:>7}\n",
        "scenario", "seeds", "requests", "local", "calls", "charged", "fail-opens", "p50/p99/max ms", "failed"
    );
    for (name, reports) in rows {
        let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
        let mut durations: Vec<_> = reports.iter().flat_map(|report| report.durations_ms.iter().copied()).collect();
        durations.sort_unstable();
        let times = [50, 99, 100].map(|percent| percentile(&durations, percent).to_string()).join("/");
        let _ = writeln!(
            table,
            "{name:<14} {:>5} {:>9} {:>6}% {:>9} {:>9} {:>10} {times:>16} {:>7}",
            reports.len(),
            sum(|report| report.requests),
            sum(|report| report.local) * 100 / sum(|report| report.requests).max(1),
            range(reports, |report| report.calls),
            range(reports, |report| report.charged),
            sum(|report| report.fail_opens),
            reports.iter().filter(|report| !report.violations.is_empty()).count(),
        );
    }
    table
}

/// Least and most of a count, over the seeds.
fn range(reports: &[Report], count: fn(&Report) -> u64) -> String {
    let (least, most) = (reports.iter().map(count).min(), reports.iter().map(count).max());
    match (least.unwrap_or_default(), most.unwrap_or_default()) {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least}-{most}"),
    }
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
