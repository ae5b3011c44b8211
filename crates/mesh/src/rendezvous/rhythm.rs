//! When the DHT is visited. Pure: moments and jitter (0..1) are arguments.
//!
//! A node that is alone looks soon, then at doubling intervals. One that has company takes its time: it leaves its addresses for
//! those who come, and looks whether there is another part of the mesh.

use std::time::{Duration, Instant};

/// The intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Before the first visit: other sources need two seconds.
    pub(crate) first: Duration,
    /// After the first visit, while alone; it doubles with each.
    pub(crate) alone: Duration,
    /// The longest that it becomes.
    pub(crate) alone_max: Duration,
    /// Between visits in company. With jitter at most 25 minutes, within which each slot must be written
    /// (`places`).
    pub(crate) together: Duration,
}

impl Pace {
    /// Prices: a visit of a node that is alone is some hundred packets on the public DHT, of one in company half of that.
    pub(crate) const USUAL: Pace = Pace {
        first: Duration::from_secs(5),
        alone: Duration::from_secs(10),
        alone_max: Duration::from_secs(600),
        together: Duration::from_secs(1200),
    };
}

impl Default for Pace {
    fn default() -> Self {
        Pace::USUAL
    }
}

/// When the next visit is.
#[derive(Debug)]
pub(super) struct Rhythm {
    pace: Pace,
    alone: bool,
    lonely_visits: u32,
    due: Instant,
}

impl Rhythm {
    pub(super) fn new(pace: Pace, jitter: f64, now: Instant) -> Self {
        Rhythm { pace, alone: true, lonely_visits: 0, due: now + spread(pace.first, jitter) }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// A visit has ended, whatever came of it.
    pub(super) fn visited(&mut self, jitter: f64, now: Instant) {
        let pause = if self.alone {
            let doubled = self.pace.alone.saturating_mul(1 << self.lonely_visits.min(16));
            self.lonely_visits = self.lonely_visits.saturating_add(1);
            doubled.min(self.pace.alone_max)
        } else {
            self.pace.together
        };
        self.due = now + spread(pause, jitter);
    }

    /// Whether this node is connected to anybody.
    pub(super) fn company(&mut self, alone: bool, jitter: f64, now: Instant) {
        if alone == self.alone {
            return;
        }
        self.alone = alone;
        self.lonely_visits = 0;
        self.due = if alone {
            self.due.min(now + spread(self.pace.first, jitter))
        } else {
            // Spread over the whole interval: a fleet that starts at once meets here in the same moment.
            now + self.pace.together.mul_f64(0.05 + 0.95 * jitter)
        };
    }
}

/// Between three and five quarters.
fn spread(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.75 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// In the middle of the jitter: seconds from `start` until the next visit.
    fn due(rhythm: &Rhythm, start: Instant) -> u64 {
        rhythm.due().duration_since(start).as_secs()
    }

    #[test]
    fn who_is_alone_looks_soon_and_then_less_and_less() {
        let mut now = Instant::now();
        let mut rhythm = Rhythm::new(Pace::USUAL, 0.5, now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pauses.push(due(&rhythm, now));
            now = rhythm.due();
            rhythm.visited(0.5, now);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn who_finds_company_takes_its_time_and_who_loses_it_looks_again() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(Pace::USUAL, 0.5, start);
        rhythm.visited(0.5, start);
        rhythm.company(false, 0.0, start);
        assert_eq!(due(&rhythm, start), 60);
        rhythm.company(false, 1.0, start);
        assert_eq!(due(&rhythm, start), 60, "that it still has company changes nothing");
        rhythm.visited(1.0, start);
        assert_eq!(due(&rhythm, start), 1500, "25 minutes at most");
        rhythm.company(true, 0.5, start + 7 * SECOND);
        assert_eq!(due(&rhythm, start), 12);
        rhythm.visited(0.5, start);
        assert_eq!(due(&rhythm, start), 10, "as eager as at the start");
    }

    #[test]
    fn the_loss_of_company_never_puts_a_visit_off() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(Pace::USUAL, 0.5, start);
        rhythm.company(false, 0.0, start);
        rhythm.company(true, 0.5, start + 58 * SECOND);
        assert_eq!(due(&rhythm, start), 60);
    }
}
