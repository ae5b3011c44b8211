//! What a node counts, since its start. Each count means what its name says and nothing else.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// One count.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The running counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: Count,
    pub(crate) local_hits: Count,
    pub(crate) peer_hits: Count,
    pub(crate) misses: Count,
    pub(crate) revalidated: Count,
    pub(crate) passed: Count,
    pub(crate) api_calls_made: Count,
    pub(crate) api_calls_charged: Count,
    pub(crate) stale_served: Count,
    pub(crate) spared: Count,
    pub(crate) held_back: Count,
    pub(crate) failures: Count,
    pub(crate) records_received: Count,
    pub(crate) records_gossiped: Count,
    pub(crate) invalidations_heard: Count,
    pub(crate) records_refused: Count,
    /// Of the records received, those that only tell that a member is there.
    pub(crate) presences: Count,
    pub(crate) sync_rounds: Count,
    pub(crate) sync_records_pulled: Count,
    pub(crate) sync_records_given: Count,
    pub(crate) sync_bytes_pulled: Count,
    pub(crate) sync_bytes_given: Count,
}

/// A node's totals. Nothing here names a path, a key or a credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// This node's libp2p peer id; empty until the mesh has started, or where it is off.
    pub peer_id: String,
    /// Multiaddrs that the mesh listens on.
    pub listen_addrs: Vec<String>,
    /// Members connected at present.
    pub connected_peers: u64,
    /// Members of the fleet, this node included: those connected, and those that have told lately that they are there.
    pub fleet_size: u64,
    /// Requests to the API that were received: hits, misses, passed, stale and failed.
    pub requests: u64,
    /// Answered without a call of this node's: `local_hits` + `peer_hits`.
    pub hits: u64,
    /// Body and validation were this node's own, or had answered here before. A request that joined another caller's
    /// running fetch on this node counts here if that brought an entry: it caused no call.
    pub local_hits: u64,
    /// Body or validation came from a peer; later answers from the same entry are local.
    pub peer_hits: u64,
    /// Needed this node's call, or joined another caller's for an answer that is not kept (an error, as a rule).
    pub misses: u64,
    /// Misses that GitHub answered with a 304.
    pub revalidated: u64,
    /// Writes and all else that is not cached, in no other count but `requests`. What a caller broke off counts here too.
    pub passed: u64,
    /// `hits` / (`hits` + `misses`); 0 before the first.
    pub hit_rate: f64,
    /// Calls to GitHub that were answered or may have arrived there, each repetition counted.
    pub api_calls_made: u64,
    /// Of those, what GitHub charges as far as it says so: answers other than 304s to authorised requests, than `/rate_limit`, and
    /// than GitHub's own failures (5xx).
    pub api_calls_charged: u64,
    /// `hits` + `revalidated`.
    pub api_calls_saved: u64,
    /// Answers from an expired entry because GitHub was limited, down or slow.
    pub stale_served: u64,
    /// Of those, how many because little was left of a rate limit.
    pub spared: u64,
    /// Reads that were not sent to GitHub because it had asked for silence, or because a minute's worth of requests was used up.
    pub held_back: u64,
    /// Lookups that went to GitHub because the members did not answer in time.
    pub fail_opens: u64,
    /// Times that a member was kept out for a while, for what no honest one does.
    pub expulsions: u64,
    /// Requests that ended with an error of ghmesh's own (429, 502, 503, 504). A caller that breaks off is none.
    pub failures: u64,
    /// Records that came from peers, but those that only tell that a member is there.
    pub records_received: u64,
    /// Of those, what was told to everybody and not to this node alone.
    pub records_gossiped: u64,
    /// Times that a member told that something was written, or is another version now: what was kept of it is stale here since.
    pub invalidations_heard: u64,
    /// Of the records received, refused: malformed, replayed, forged or from the future; by whichever way they came.
    pub records_refused: u64,
    /// Times that this node compared what it holds with a member, to the end.
    pub sync_rounds: u64,
    /// Records that it took because it lacked them; they count as received, too.
    pub sync_records_pulled: u64,
    /// Records that it gave to members that lacked them.
    pub sync_records_given: u64,
    /// Bytes of the records that it took so, before they are sealed.
    pub sync_bytes_pulled: u64,
    /// Bytes of those that it gave.
    pub sync_bytes_given: u64,
    /// Records gossiped.
    pub gossip_sent: u64,
    /// Records that gossip did not take: nobody was connected, or queues were full.
    pub gossip_lost: u64,
    /// Gossip of members that was dropped because this node was busy.
    pub gossip_dropped: u64,
    /// Gossip of members that was dropped because they gossip too much.
    pub gossip_excess: u64,
    /// Requests of members that were dropped because this node was busy.
    pub requests_dropped: u64,
    /// Requests of members that were dropped because they ask too much.
    pub requests_excess: u64,
    /// Answers stored: each once, also where it is kept both for callers here and for members.
    pub entries: u64,
    /// Bytes stored, bodies and entries. A body counts once, an answer's entries each.
    pub bytes: u64,
    /// Most entries that are kept.
    pub max_entries: u64,
    /// Seconds since the start.
    pub uptime_seconds: u64,
}

impl Counts {
    /// Fills in what is counted here.
    pub(crate) fn fill(&self, stats: &mut Stats) {
        stats.requests = self.requests.get();
        stats.local_hits = self.local_hits.get();
        stats.peer_hits = self.peer_hits.get();
        stats.hits = stats.local_hits + stats.peer_hits;
        stats.misses = self.misses.get();
        stats.revalidated = self.revalidated.get();
        stats.passed = self.passed.get();
        stats.hit_rate = ratio(stats.hits, stats.hits + stats.misses);
        stats.api_calls_made = self.api_calls_made.get();
        stats.api_calls_charged = self.api_calls_charged.get();
        stats.api_calls_saved = stats.hits + stats.revalidated;
        stats.stale_served = self.stale_served.get();
        stats.spared = self.spared.get();
        stats.held_back = self.held_back.get();
        stats.failures = self.failures.get();
        stats.records_received = self.records_received.get().saturating_sub(self.presences.get());
        stats.records_gossiped = self.records_gossiped.get();
        stats.invalidations_heard = self.invalidations_heard.get();
        stats.records_refused = self.records_refused.get();
        stats.sync_rounds = self.sync_rounds.get();
        stats.sync_records_pulled = self.sync_records_pulled.get();
        stats.sync_records_given = self.sync_records_given.get();
        stats.sync_bytes_pulled = self.sync_bytes_pulled.get();
        stats.sync_bytes_given = self.sync_bytes_given.get();
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_calls_are_never_more_than_were_asked() {
        let counts = Counts::default();
        (0..4).for_each(|_| counts.requests.add());
        counts.local_hits.add();
        counts.peer_hits.add();
        counts.misses.add();
        counts.revalidated.add();
        let mut stats = Stats::default();
        counts.fill(&mut stats);
        assert_eq!((stats.hits, stats.api_calls_saved), (2, 3));
        assert!((stats.hit_rate - 2.0 / 3.0).abs() < 1e-9);
        assert!(stats.api_calls_saved <= stats.requests);
    }
}
