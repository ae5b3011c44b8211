//! How often asking again found a change, by kind of resource: what adaptive lifetimes follow, for people.

use crate::status::ChangeView;
use ghmesh_model::{Entry, Millis, Representation};
use ghmesh_policy::{Family, Read, Route};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The tallies of one node since its start: at most one for each family.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<BTreeMap<Family, Tally>>);

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    checks: u64,
    changed: u64,
    observed: Duration,
}

impl Changes {
    /// Takes a confirmation, sent at `sent_at`, that found `now` where `kept` had been.
    pub(crate) fn note(&self, read: &Read, kept: &Entry, now: &Representation, sent_at: Millis) {
        let mut tallies = self.lock();
        let tally = tallies.entry(Route::of(&read.target).family).or_default();
        tally.checks += 1;
        tally.changed += u64::from(kept.representation.cid != now.cid);
        tally.observed = tally.observed.saturating_add(sent_at.since(kept.confirmed_at).unwrap_or_default());
    }

    /// All of them.
    pub(crate) fn views(&self) -> Vec<ChangeView> {
        self.lock().iter().map(|(family, tally)| tally.view(*family)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Family, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn view(self, family: Family) -> ChangeView {
        ChangeView {
            routes: family.name(),
            checks: self.checks,
            changed: self.changed,
            change_every_seconds: self.observed.as_secs().checked_div(self.changed),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::fixtures::{Bench, PATH, entry};

    #[tokio::test]
    async fn confirmations_and_what_they_found_are_counted_by_routes() {
        let bench = Bench::alone().await;
        let read = bench.read(PATH, &[]);
        let changes = Changes::default();
        let kept = entry(b"[1]", Millis(1_000));
        for (body, sent_at) in [(&b"[1]"[..], 61_000), (b"[2]", 121_000)] {
            changes.note(&read, &kept, &entry(body, Millis(0)).representation, Millis(sent_at));
        }
        let view = changes.views().pop().unwrap();
        assert_eq!((view.routes, view.checks, view.changed), ("repository", 2, 1));
        assert_eq!(view.change_every_seconds, Some(180));
    }
}
