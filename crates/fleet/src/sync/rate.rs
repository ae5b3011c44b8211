//! How much in which time: a bucket of tokens.

use ghmesh_model::Millis;
use std::time::Duration;

/// An allowance of some units a second, records or bytes, of which one second's worth may be saved up. Who spends more than there
/// is gets into debt, and has to wait until that is paid: so a message whose size shows only when it is there counts in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    /// When all of it is there again, in microseconds of this node's timeline.
    full_at: u64,
}

const SECOND: u64 = 1_000_000;

impl Rate {
    /// With so many units a second, at least 1; all of them are there.
    pub fn new(per_second: u64) -> Self {
        Rate { per_second: per_second.max(1), full_at: 0 }
    }

    /// Spends units.
    pub fn spend(&mut self, units: u64, now: Millis) {
        let takes = units.saturating_mul(SECOND) / self.per_second;
        self.full_at = self.full_at.max(micros(now)).saturating_add(takes);
    }

    /// How long it is until nothing is owed: zero where something may be spent now.
    pub fn wait(&self, now: Millis) -> Duration {
        Duration::from_micros(self.full_at.saturating_sub(micros(now)).saturating_sub(SECOND))
    }
}

fn micros(moment: Millis) -> u64 {
    moment.0.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000);

    #[test]
    fn a_seconds_worth_is_free_and_what_is_beyond_has_to_be_waited_for() {
        let mut rate = Rate::new(100);
        rate.spend(100, START);
        assert_eq!(rate.wait(START), Duration::ZERO, "nothing is owed");
        rate.spend(50, START);
        assert_eq!(rate.wait(START), Duration::from_millis(500));
        assert_eq!(rate.wait(Millis(START.0 + 499)), Duration::from_millis(1));
        assert_eq!(rate.wait(Millis(START.0 + 500)), Duration::ZERO);
    }

    #[test]
    fn in_the_long_run_no_more_than_the_rate_is_spent() {
        let (mut rate, mut now, mut spent) = (Rate::new(1000), START, 0);
        while now.0 < START.0 + 60_000 {
            let wait = rate.wait(now);
            if wait.is_zero() {
                rate.spend(64, now);
                spent += 64;
            }
            now = now.after(wait.max(Duration::from_millis(1)));
        }
        assert!((60_000..=61_100).contains(&spent), "{spent}");
    }

    #[test]
    fn an_hour_of_rest_saves_up_no_more_than_a_second() {
        let mut rate = Rate::new(10);
        let later = Millis(START.0 + 3_600_000);
        rate.spend(1, START);
        rate.spend(20, later);
        assert_eq!(rate.wait(later), Duration::from_secs(1));
    }
}
