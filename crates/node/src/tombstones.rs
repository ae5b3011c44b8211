//! Where writes went: what was confirmed before a write is not served as fresh after it.
//!
//! A tombstone outlives what it buries: no entry is used for longer than the proof's lifetime, so that older tombstones may
//! go. Where there are too many all the same, they become one over everything: coarser, and never forgotten.

use crate::denials::MAX_DENIALS;
use crate::node::Node;
use ghmesh_model::{Millis, Scope};
use ghmesh_policy::freshness;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Tombstones kept. The store keeps denials beside them.
const MAX_TOMBSTONES: usize = ghmesh_store::MAX_TOMBSTONES as usize - MAX_DENIALS;

/// Names everything. No path hashes to it but by an accident of 2^-128.
const EVERYTHING: Scope = Scope([0xff; 16]);

impl Node {
    /// Makes everything in these scopes that was confirmed up to now stale, here and on the members. Goes on where the caller
    /// drops the future.
    pub async fn invalidate(&self, scopes: Vec<Scope>) {
        let node = self.0.clone();
        let now = node.clock.now();
        let _ = tokio::spawn(async move { node.bury(scopes, now).await }).await;
    }
}

/// The tombstones of one node.
#[derive(Debug)]
pub(crate) struct Tombstones {
    /// How long a tombstone is kept at least.
    lifetime: Duration,
    scopes: RwLock<BTreeMap<Scope, Millis>>,
}

/// What is to be written to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Buried {
    /// These came on top.
    Added(Vec<(Scope, Millis)>),
    /// Some are gone: all that are left take the place of what is stored.
    Thinned,
}

impl Tombstones {
    /// With what was persisted. `lifetime`: the longest time for which any entry is used.
    pub(crate) fn new(buried: impl IntoIterator<Item = (Scope, Millis)>, lifetime: Duration) -> Self {
        Tombstones { lifetime, scopes: RwLock::new(buried.into_iter().collect()) }
    }

    /// A write to these subtrees ended at `at`.
    pub(crate) fn bury(&self, scopes: &[Scope], at: Millis) -> Buried {
        let mut graves = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        for scope in scopes {
            let latest = graves.entry(*scope).or_insert(at);
            *latest = (*latest).max(at);
        }
        if graves.len() <= MAX_TOMBSTONES {
            return Buried::Added(scopes.iter().map(|scope| (*scope, at)).collect());
        }
        graves.retain(|_, buried| *buried >= at.before(self.lifetime));
        // Half, so that the next write does not sweep again.
        if graves.len() > MAX_TOMBSTONES / 2 {
            let latest = graves.values().copied().max().unwrap_or(at);
            *graves = BTreeMap::from([(EVERYTHING, latest)]);
        }
        Buried::Thinned
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> Vec<(Scope, Millis)> {
        let graves = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        graves.iter().map(|(scope, at)| (*scope, *at)).collect()
    }

    /// Whether there was a write to one of these scopes after `at`.
    pub(crate) fn buried_since(&self, scopes: &[Scope], at: Millis) -> bool {
        let graves = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().chain([&EVERYTHING]).any(|scope| graves.get(scope).is_some_and(|buried| *buried > at))
    }

    /// Whether a read of an entry with these scopes, sent at `started`, saw the state after every known write.
    pub(crate) fn admit(&self, scopes: &[Scope], started: Millis) -> bool {
        let graves = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        let latest = |scope: &Scope| graves.get(scope).copied();
        freshness::admitted(&[EVERYTHING], started, &latest) && freshness::admitted(scopes, started, &latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(3600);

    #[test]
    fn a_read_that_started_before_a_write_or_within_its_margin_is_not_admitted() {
        let issues = Scope::of("api.github.com", "/repos/o/r/issues");
        let tombstones = Tombstones::new([], LIFETIME);
        assert_eq!(tombstones.bury(&[issues], Millis(10_000)), Buried::Added(vec![(issues, Millis(10_000))]));
        assert!(!tombstones.admit(&[issues], Millis(9_999)));
        assert!(!tombstones.admit(&[issues], Millis(10_999)));
        assert!(tombstones.admit(&[issues], Millis(11_000)));
        assert!(tombstones.admit(&[Scope::of("api.github.com", "/repos/o/other")], Millis(1)));
    }

    #[test]
    fn an_older_write_does_not_lift_a_newer_one() {
        let scope = Scope::of("h", "/a");
        let tombstones = Tombstones::new([(scope, Millis(20_000))], LIFETIME);
        tombstones.bury(&[scope], Millis(10_000));
        assert!(!tombstones.admit(&[scope], Millis(15_000)));
    }

    #[test]
    fn an_overflow_of_young_tombstones_buries_everything() {
        let tombstones = Tombstones::new([], LIFETIME);
        let last = overflow(&tombstones, |_| Millis(50_000));
        assert_eq!((last, tombstones.all()), (Buried::Thinned, vec![(EVERYTHING, Millis(50_000))]));
        assert!(!tombstones.admit(&[Scope::of("h", "/elsewhere")], Millis(50_000)));
        assert!(tombstones.admit(&[Scope::of("h", "/elsewhere")], Millis(51_000)));
    }

    #[test]
    fn an_overflow_first_forgets_what_buries_nothing_alive() {
        let tombstones = Tombstones::new([], LIFETIME);
        let last_number = MAX_TOMBSTONES as u64;
        let last = overflow(&tombstones, |number| if number == last_number { Millis(10_000_000) } else { Millis(1) });
        assert_eq!((last, tombstones.all().len()), (Buried::Thinned, 1));
        assert!(tombstones.admit(&[Scope::of("h", "/elsewhere")], Millis(2)));
    }

    /// One tombstone too many; gives what the last one led to.
    fn overflow(tombstones: &Tombstones, at: impl Fn(u64) -> Millis) -> Buried {
        let bury = |number| tombstones.bury(&[Scope::of("h", &format!("/{number}"))], at(number));
        (0..=MAX_TOMBSTONES as u64).map(bury).last().expect("at least one")
    }
}
