//! Members that are kept out for a while, because this node's owner said so.
//!
//! Nothing here survives a restart, and nobody else is told: each node judges for itself. Moments are arguments.

use libp2p::PeerId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Members kept out at once: as many as connections there may be. When full, the one whose time ends first is let back.
const MAX_EXILES: usize = 256;
/// The longest that a member is kept out.
const MAX_SPAN: Duration = Duration::from_hours(24);

/// Who is kept out, and until when.
#[derive(Debug, Default)]
pub(crate) struct Exiles(BTreeMap<PeerId, Instant>);

impl Exiles {
    /// Keeps `peer` out for `span`, whatever was said before. A span of zero lets it back.
    pub(crate) fn expel(&mut self, peer: PeerId, span: Duration, now: Instant) {
        self.0.remove(&peer);
        if span.is_zero() {
            return;
        }
        if self.0.len() >= MAX_EXILES {
            let first = self.0.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            first.map(|peer| self.0.remove(&peer));
        }
        self.0.insert(peer, now + span.min(MAX_SPAN));
    }

    /// Whether `peer` is kept out.
    pub(crate) fn contains(&self, peer: &PeerId, now: Instant) -> bool {
        self.0.get(peer).is_some_and(|until| *until > now)
    }

    /// Forgets those whose time is over. True if there were any.
    pub(crate) fn let_back(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|_, until| *until > now);
        self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_member_is_kept_out_until_its_time_is_over() {
        let (mut exiles, now, peer) = (Exiles::default(), Instant::now(), PeerId::random());
        exiles.expel(peer, MINUTE, now);
        assert!(exiles.contains(&peer, now + MINUTE - Duration::from_millis(1)) && !exiles.let_back(now));
        assert!(!exiles.contains(&PeerId::random(), now));
        assert!(!exiles.contains(&peer, now + MINUTE) && exiles.let_back(now + MINUTE));
        exiles.expel(peer, Duration::MAX, now);
        assert!(exiles.contains(&peer, now + MAX_SPAN - MINUTE) && !exiles.contains(&peer, now + MAX_SPAN));
        exiles.expel(peer, Duration::ZERO, now);
        assert!(!exiles.contains(&peer, now));
    }

    #[test]
    fn with_too_many_the_first_that_may_return_returns_now() {
        let (mut exiles, now, peer) = (Exiles::default(), Instant::now(), PeerId::random());
        exiles.expel(peer, MINUTE, now);
        (0..MAX_EXILES).for_each(|_| exiles.expel(PeerId::random(), 2 * MINUTE, now));
        assert_eq!(exiles.0.len(), MAX_EXILES);
        assert!(!exiles.contains(&peer, now));
    }
}
