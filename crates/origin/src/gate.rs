//! One credential's requests in flight: a bound that may change while requests wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;

/// Counts requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    in_flight: AtomicU32,
    freed: Notify,
}

/// The place of one request in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Gate>);

impl Gate {
    /// A place if fewer than `most` are taken.
    pub(crate) fn try_enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let one_more = |taken: u32| (taken < most).then_some(taken + 1);
        self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Place(self.clone()))
    }

    /// A place however many are taken: for what is never held back.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        Place(self.clone())
    }

    /// Completes when a place may have become free.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        // Kept for the next that waits, where nobody does now.
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let gate = Arc::new(Gate::default());
        let first = gate.try_enter(2);
        let second = gate.try_enter(2);
        assert!(first.is_some() && second.is_some() && gate.try_enter(2).is_none());
        assert!(gate.try_enter(3).is_some(), "the bound may grow");
        let forced = gate.enter();
        assert_eq!(gate.in_flight(), 3);
        drop((first, forced));
        gate.freed().await;
        assert!(gate.try_enter(1).is_none() && gate.try_enter(2).is_some());
    }
}
