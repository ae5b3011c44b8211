//! Whether this process stood still: stopped, starved, or its machine asleep.
//!
//! What members sent meanwhile lies in its sockets, and the ages that they state count from when they sent it. Read after the pause it
//! would seem younger than it is by as long as that lasted. So what is read just after a pause counts as that much older: at worst
//! GitHub is asked once more than it need be.

use ghmesh_model::Millis;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two beats.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// A beat that is so late is a pause. What a busy machine is late by stays below it, and within what answers may be outdated by anyway.
const PAUSE: Duration = Duration::from_secs(2);
/// How long what is read after a pause may be from before its end: sockets hold some hundred messages.
const BACKLOG: Duration = Duration::from_secs(5);

/// The beats of one process.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Beats>>);

#[derive(Clone, Copy, Debug)]
struct Beats {
    last: Millis,
    /// How long the last pause was, and until when it counts.
    pause: Duration,
    counts_until: Millis,
}

impl Pulse {
    pub(crate) fn new(now: Millis) -> Self {
        Pulse(Arc::new(Mutex::new(Beats { last: now, pause: Duration::ZERO, counts_until: now })))
    }

    /// The process moves. To be called every [`BEAT`].
    pub(crate) fn beat(&self, now: Millis) {
        self.lock().beat(now);
    }

    /// By how much what is read now may be older than it says.
    pub(crate) fn delay(&self, now: Millis) -> Duration {
        let mut beats = self.lock();
        // Who reads may be awake before who beats.
        beats.beat(now);
        if now < beats.counts_until { beats.pause } else { Duration::ZERO }
    }

    fn lock(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beats {
    fn beat(&mut self, now: Millis) {
        let late = now.since(self.last).unwrap_or_default();
        if late > PAUSE {
            // Of two pauses in a row what lies there may have waited for both.
            let before = if self.last < self.counts_until { self.pause } else { Duration::ZERO };
            (self.pause, self.counts_until) = (before + late, now.after(BACKLOG));
        }
        self.last = self.last.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Millis {
        Millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn what_is_read_just_after_a_pause_may_be_older_by_it_whoever_notices_first() {
        for beats_first in [true, false] {
            let pulse = Pulse::new(at(0));
            pulse.beat(at(1));
            assert_eq!(pulse.delay(at(2)), Duration::ZERO);
            if beats_first {
                pulse.beat(at(32));
            }
            assert_eq!(pulse.delay(at(32)), Duration::from_secs(30));
            pulse.beat(at(33));
            assert_eq!(pulse.delay(at(34)), Duration::from_secs(30), "there may be more of it");
            assert_eq!(pulse.delay(at(36)), Duration::from_secs(30));
            assert_eq!(pulse.delay(at(37)), Duration::ZERO);
        }
    }

    #[test]
    fn pauses_in_a_row_add_up() {
        let pulse = Pulse::new(at(0));
        pulse.beat(at(10));
        assert_eq!(pulse.delay(at(13)), Duration::from_secs(13));
        pulse.beat(at(14));
        (15..20).for_each(|second| pulse.beat(at(second)));
        assert_eq!(pulse.delay(at(30)), Duration::from_secs(11), "the ones before are over");
    }
}
