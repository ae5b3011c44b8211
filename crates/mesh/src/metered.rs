//! A limit on what each member may make a behaviour of libp2p do.
//!
//! It counts what the connections of a member bring up to the behaviour (messages, queries, pushes, the ends of what this node
//! asked), and drops what is above the limit before the behaviour looks at it. The limits lie far above what well-behaved
//! members do, so whoever meets one floods.

use crate::guarded::{Guard, Guarded};
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Members remembered. With more, the one that has most left is forgotten.
const MAX_BUCKETS: usize = 512;
/// How many seconds' worth may come in a row.
const BURST_SECONDS: u32 = 4;

/// A behaviour and its limit.
pub(crate) type Metered<B> = Guarded<B, Meter>;

/// A bucket of tokens for each member.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    refill: Duration,
    /// When each bucket is full again; a moment that is over says the same as none.
    full_at: BTreeMap<PeerId, Instant>,
    floods: BTreeSet<PeerId>,
}

impl Meter {
    /// Lets each member bring up so many events a second, and four times as many in a row.
    pub(crate) fn new(per_second: u32) -> Self {
        Meter { refill: Duration::from_secs(1) / per_second, ..Meter::default() }
    }

    /// Who met the limit since it was last asked.
    pub(crate) fn floods(&mut self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.floods)
    }

    fn allows(&mut self, peer: PeerId, now: Instant) -> bool {
        let burst = Duration::from_secs(BURST_SECONDS.into());
        let full_at = self.full_at.get(&peer).map_or(now, |at| now.max(*at)) + self.refill;
        if full_at > now + burst {
            self.floods.insert(peer);
            return false;
        }
        if self.full_at.len() >= MAX_BUCKETS && !self.full_at.contains_key(&peer) {
            let fullest = self.full_at.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
            fullest.map(|peer| self.full_at.remove(&peer));
        }
        self.full_at.insert(peer, full_at);
        true
    }
}

impl Guard for Meter {
    fn admits(&mut self, peer: PeerId) -> bool {
        self.allows(peer, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seconds_worth_in_a_row_then_as_it_comes_back() {
        let (mut meter, now) = (Meter::new(10), Instant::now());
        let (loud, quiet) = (PeerId::random(), PeerId::random());
        let mut passed = |peer, now| (0..100).filter(|_| meter.allows(peer, now)).count();
        assert_eq!((passed(loud, now), passed(loud, now)), (40, 0));
        assert_eq!(passed(loud, now + Duration::from_secs(1)), 10);
        assert_eq!(passed(quiet, now), 40);
        (0..1000).for_each(|_| assert!(meter.allows(PeerId::random(), now)));
        assert_eq!((meter.full_at.len(), meter.floods.len()), (MAX_BUCKETS, 2));
        assert!(!meter.allows(loud, now), "who has least left is not forgotten");
    }
}
