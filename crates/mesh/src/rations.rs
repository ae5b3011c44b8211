//! How much each member may ask of this node: buckets of tokens for requests, for records inside them, and for bytes in both
//! directions.
//!
//! A well-behaved member never meets these limits: it counts what it asks, and asks half as much at most. So whoever exceeds
//! them floods. What is over the limit gets no answer. Moments are arguments.

use libp2p::PeerId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests: a third of a core, at 84 µs each. Every call to GitHub that a request saves is one of 15 a second, so this is far
/// above what members need.
const REQUESTS: Measure = Measure { per_second: 4096, burst: 16_384 };
/// Records inside requests: a tenth of a core, at 50 µs for each signature.
const RECORDS: Measure = Measure { per_second: 2048, burst: 8192 };
/// Bytes of requests and responses, sealed: an eighth of a core, at 4 ms to seal a mebibyte. The burst is eight of the largest
/// bodies.
const BYTES: Measure = Measure { per_second: 32 << 20, burst: 256 << 20 };
/// Members remembered: two for each connection that there may be. With more, of those that are not connected the one that has
/// most left is forgotten.
const MAX_ACCOUNTS: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Measure {
    per_second: u64,
    burst: u64,
}

impl Measure {
    /// What a well-behaved member allows itself.
    const fn half(self) -> Self {
        Measure { per_second: self.per_second / 2, burst: self.burst / 2 }
    }

    /// How long `amount` takes to come back.
    fn refill(self, amount: u64) -> u64 {
        amount.saturating_mul(1_000_000_000) / self.per_second
    }
}

/// One bucket: the moment at which it will be full again, in nanoseconds.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Takes `amount`, if there is anything left: a large one may empty the bucket beyond its ground.
    fn spend(&self, amount: u64, measure: Measure, now: u64) -> bool {
        let later = |full_at: u64| {
            let left = full_at <= now.saturating_add(measure.refill(measure.burst));
            left.then(|| full_at.max(now).saturating_add(measure.refill(amount)))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).is_ok()
    }

    /// Takes `amount`, whatever is left.
    fn owe(&self, amount: u64, measure: Measure, now: u64) {
        let later = |full_at: u64| Some(full_at.max(now).saturating_add(measure.refill(amount)));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    fn full_at(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one member asks of the other.
#[derive(Debug)]
pub(crate) struct Ration {
    epoch: Instant,
    measures: [Measure; 3],
    requests: Bucket,
    records: Bucket,
    bytes: Bucket,
}

impl Ration {
    fn new(epoch: Instant, measures: [Measure; 3]) -> Self {
        Ration { epoch, measures, requests: Bucket::default(), records: Bucket::default(), bytes: Bucket::default() }
    }

    /// A request of so many bytes. False where too much was asked.
    pub(crate) fn request(&self, bytes: usize, now: Instant) -> bool {
        let ([requests, _, measure], now) = (self.measures, self.nanoseconds(now));
        self.bytes.spend(bytes as u64, measure, now) && self.requests.spend(1, requests, now)
    }

    /// Records inside a request. False where there were too many.
    pub(crate) fn records(&self, count: usize, now: Instant) -> bool {
        count == 0 || self.records.spend(count as u64, self.measures[1], self.nanoseconds(now))
    }

    /// A response of so many bytes.
    pub(crate) fn response(&self, bytes: usize, now: Instant) {
        self.bytes.owe(bytes as u64, self.measures[2], self.nanoseconds(now));
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    fn full_at(&self) -> u64 {
        [&self.requests, &self.records, &self.bytes].into_iter().map(Bucket::full_at).max().unwrap_or_default()
    }
}

/// What a member asks here, and what this node asks there.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Shared with the tasks that answer.
    pub(crate) theirs: Arc<Ration>,
    pub(crate) ours: Arc<Ration>,
}

/// The accounts of all members. They outlive connections, so that reconnecting gains nothing.
#[derive(Debug)]
pub(crate) struct Rations {
    epoch: Instant,
    accounts: BTreeMap<PeerId, Account>,
}

impl Rations {
    pub(crate) fn new(now: Instant) -> Self {
        Rations { epoch: now, accounts: BTreeMap::new() }
    }

    /// The account of a member that connects.
    pub(crate) fn account(&mut self, peer: PeerId, connected: impl Fn(&PeerId) -> bool) -> Account {
        if self.accounts.len() >= MAX_ACCOUNTS && !self.accounts.contains_key(&peer) {
            let absent = self.accounts.iter().filter(|(peer, _)| !connected(peer));
            let fullest = absent.min_by_key(|(_, account)| account.theirs.full_at()).map(|(peer, _)| *peer);
            fullest.map(|peer| self.accounts.remove(&peer));
        }
        let measures = [REQUESTS, RECORDS, BYTES];
        let new = || Account {
            theirs: Arc::new(Ration::new(self.epoch, measures)),
            ours: Arc::new(Ration::new(self.epoch, measures.map(Measure::half))),
        };
        self.accounts.entry(peer).or_insert_with(new).clone()
    }
}

/// How long this node waits, after each record that it gossips, so that it stays below what members allow each other.
#[derive(Debug)]
pub(crate) struct Pace(Bucket, Instant);

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Pace(Bucket::default(), now)
    }

    /// How long to wait before the next record.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let measure = Measure { per_second: crate::allowance::PER_SECOND, burst: crate::allowance::BURST.into() };
        let measure = Measure { per_second: measure.per_second * 3 / 4, burst: measure.burst * 3 / 4 };
        let at = u64::try_from(now.duration_since(self.1).as_nanos()).unwrap_or(u64::MAX);
        self.0.owe(1, measure, at);
        Duration::from_nanos(self.0.full_at().saturating_sub(at).saturating_sub(measure.refill(measure.burst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(ration: &Ration, tried: u64, now: Instant) -> u64 {
        (0..tried).filter(|_| ration.request(100, now)).count() as u64
    }

    #[test]
    fn a_burst_of_requests_passes_then_so_many_a_second() {
        let now = Instant::now();
        let account = Rations::new(now).account(PeerId::random(), |_| true);
        let burst = passed(&account.theirs, 40_000, now);
        assert_eq!(burst, REQUESTS.burst + 1);
        let later = now + Duration::from_secs(1);
        assert_eq!(passed(&account.theirs, 40_000, later), REQUESTS.per_second);
        let ours = passed(&account.ours, 40_000, now);
        assert_eq!(ours, REQUESTS.burst / 2 + 1, "who counts for itself never meets the limit");
    }

    #[test]
    fn records_and_bytes_have_limits_of_their_own() {
        let now = Instant::now();
        let theirs = Rations::new(now).account(PeerId::random(), |_| true).theirs;
        let deliveries = (0..1000).filter(|_| theirs.records(100, now)).count() as u64;
        assert_eq!(deliveries, RECORDS.burst / 100 + 1);
        assert!(theirs.records(0, now) && theirs.request(100, now));
        (0..1025).for_each(|_| theirs.response(256 << 10, now));
        assert!(!theirs.request(100, now), "what was answered counts");
        assert!(theirs.request(100, now + Duration::from_secs(1)));
    }

    #[test]
    fn reconnecting_gains_nothing_and_memory_is_bounded() {
        let (now, greedy) = (Instant::now(), PeerId::random());
        let mut rations = Rations::new(now);
        passed(&rations.account(greedy, |_| false).theirs, 40_000, now);
        (0..2000).for_each(|_| drop(rations.account(PeerId::random(), |_| false)));
        assert_eq!(rations.accounts.len(), MAX_ACCOUNTS);
        assert_eq!(passed(&rations.account(greedy, |_| false).theirs, 10, now), 0);
    }

    #[test]
    fn own_gossip_is_paced_below_what_others_allow() {
        let (now, mut waited) = (Instant::now(), Duration::ZERO);
        let pace = Pace::new(now);
        for _ in 0..384 {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        for _ in 0..480 {
            waited += pace.wait(now + waited);
        }
        assert!((waited.as_secs_f64() - 10.0).abs() < 0.01, "{waited:?}");
    }
}
