//! What was asked: every call by path, token and charge.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// How many calls [`Counters::log`] keeps; older ones stay in the sums.
const LOG_CAPACITY: usize = 10_000;
/// How many different paths are counted by name; calls of further ones go under `(others)`.
const PATHS_CAPACITY: usize = 100_000;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Method in capitals.
    pub method: String,
    /// Path and query as sent, without `/api/v3` and its like, with `/graphql` for `/api/graphql`.
    pub path: String,
    /// Name of the token, `anonymous`, or `unknown` for a bad one.
    pub token: String,
    /// Status of the answer; 0 when a fault kept it back.
    pub status: u16,
    /// Whether it was counted against a primary limit.
    pub charged: bool,
    /// Whether it carried `If-None-Match` or `If-Modified-Since`.
    pub conditional: bool,
    /// Of a GraphQL request, the operation's kind and name, such as `query RepositoryList`.
    pub operation: Option<String>,
}

/// Sums over some of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub calls: u64,
    /// Those counted against a primary limit.
    pub charged: u64,
    /// Those answered 304.
    pub not_modified: u64,
    /// Those answered with a status of 400 or more, or not at all.
    pub failed: u64,
}

/// An upload that was swallowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The path it came to.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Everything counted since the start or the last reset. `GET /_sim/counters` is this in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// All calls, also those that never got an answer. Calls under `/_sim/` are not counted.
    pub total: Tally,
    /// By path and query (see [`Call::path`]).
    pub by_path: BTreeMap<String, Tally>,
    /// By name of the token.
    pub by_token: BTreeMap<String, Tally>,
    /// By method.
    pub by_method: BTreeMap<String, Tally>,
    /// By status; `0` for no answer.
    pub by_status: BTreeMap<u16, u64>,
    /// TCP and unix connections that were accepted.
    pub connections: u64,
    /// Calls being answered now: from the request's head until the answer's head.
    pub in_flight: u64,
    /// The most there were at once.
    pub max_in_flight: u64,
    /// Uploads, newest last, the newest 1,000.
    pub uploads: VecDeque<Upload>,
    /// The newest 10,000 calls, newest last. `GET /_sim/calls` shows them; `/_sim/counters` leaves them out.
    #[serde(skip)]
    pub log: VecDeque<Call>,
}

impl Counters {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.total.calls
    }

    /// Calls counted against a primary limit.
    pub fn charged(&self) -> u64 {
        self.total.charged
    }

    /// Calls of one path, whatever their query.
    pub fn path(&self, path: &str) -> Tally {
        let same = |counted: &&String| counted.split('?').next() == Some(path);
        let mut sum = Tally::default();
        self.by_path.keys().filter(same).map(|counted| self.by_path[counted]).for_each(|tally| sum.merge(tally));
        sum
    }

    /// Calls with one token, by its name.
    pub fn token(&self, label: &str) -> Tally {
        self.by_token.get(label).copied().unwrap_or_default()
    }

    pub(crate) fn record(&mut self, call: Call) {
        self.total.add(&call);
        let known = self.by_path.contains_key(&call.path) || self.by_path.len() < PATHS_CAPACITY;
        let path = if known { call.path.clone() } else { "(others)".to_owned() };
        self.by_path.entry(path).or_default().add(&call);
        self.by_token.entry(call.token.clone()).or_default().add(&call);
        self.by_method.entry(call.method.clone()).or_default().add(&call);
        *self.by_status.entry(call.status).or_default() += 1;
        keep(&mut self.log, call, LOG_CAPACITY);
    }

    pub(crate) fn record_upload(&mut self, upload: Upload) {
        keep(&mut self.uploads, upload, 1_000);
    }

    pub(crate) fn begin(&mut self) {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    pub(crate) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Back to nothing, except what is under way.
    pub(crate) fn reset(&mut self) {
        let in_flight = self.in_flight;
        *self = Self { in_flight, max_in_flight: in_flight, ..Self::default() };
    }
}

impl Tally {
    fn add(&mut self, call: &Call) {
        let failed = call.status >= 400 || call.status == 0;
        let one = |is: bool| u64::from(is);
        self.merge(Self {
            calls: 1,
            charged: one(call.charged),
            not_modified: one(call.status == 304),
            failed: one(failed),
        });
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.charged += other.charged;
        self.not_modified += other.not_modified;
        self.failed += other.failed;
    }
}

fn keep<T>(line: &mut VecDeque<T>, item: T, capacity: usize) {
    if line.len() >= capacity {
        line.pop_front();
    }
    line.push_back(item);
}
