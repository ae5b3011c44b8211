//! Deadlines as data: one moment per purpose, so that what has ended leaves nothing behind.

use crate::{LookupId, Subject};
use ghmesh_model::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The owner is slow: see whether a standby has it.
    Hedge(LookupId),
    /// The owner is silent: let a standby decide.
    TurnAway(LookupId),
    /// The present phase of a lookup has lasted long enough.
    GiveUp(LookupId),
    /// A lookup still fetches: its lessors are to know.
    Renew(LookupId),
    /// A lease ends.
    Lease(Subject),
}

/// All deadlines, by purpose and by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    moments: BTreeMap<Timer, Millis>,
    queue: BTreeSet<(Millis, Timer)>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, timer: Timer, at: Millis) {
        self.cancel(timer);
        self.moments.insert(timer, at);
        self.queue.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.moments.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// Takes out the earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Millis) -> Option<Timer> {
        let (_, timer) = self.queue.first().copied().filter(|(at, _)| *at <= now)?;
        self.cancel(timer);
        Some(timer)
    }

    pub(crate) fn first(&self) -> Option<Millis> {
        self.queue.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.moments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEDGE: Timer = Timer::Hedge(LookupId(1));
    const GIVE_UP: Timer = Timer::GiveUp(LookupId(1));

    #[test]
    fn a_deadline_that_is_moved_or_cancelled_leaves_nothing() {
        let mut timers = Timers::default();
        timers.set(HEDGE, Millis(5));
        timers.set(HEDGE, Millis(9));
        timers.set(GIVE_UP, Millis(7));
        assert_eq!((timers.len(), timers.first()), (2, Some(Millis(7))));
        assert_eq!(timers.pop_due(Millis(6)), None);
        assert_eq!(timers.pop_due(Millis(9)), Some(GIVE_UP));
        timers.cancel(HEDGE);
        assert_eq!((timers.len(), timers.first(), timers.pop_due(Millis(99))), (0, None, None));
    }
}
