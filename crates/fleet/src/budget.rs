//! How long to look before going on alone, learned from what was measured.

use std::collections::VecDeque;
use std::time::Duration;

/// Measurements kept of each kind. Of 128, the 99th percentile is the second largest.
const WINDOW: usize = 128;

/// Least and most time for finding a member that has the answer. Below 20 ms a busy host's scheduler decides, above 150 ms
/// a caller of GitHub begins to notice. Twenty was measured by Spegel on LANs, 150 across regions.
const LOOKUP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(150));

/// Round trips that a lookup may take at the 99th percentile: an ask, a hedge, a peek, and room.
const LOOKUP_ROUND_TRIPS: u32 = 8;

/// Least and most length of a lease. The upper end bounds how long a caller waits for another's fetch.
const LEASE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How often a lessor is told that a fetch goes on: twice within the shortest lease, so that one such message may be lost.
pub(crate) const RENEWAL: Duration = Duration::from_millis(500);

/// Of members' answers so many percent come before a standby is asked as well: one lookup in seven asks one question more, and a
/// slow owner costs hardly more than a usual one. Between the 80th and the 90th makes little difference.
const HEDGE_PERCENT: usize = 85;

/// The least time before that. Deadlines are whole milliseconds, and on a LAN most answers take less than one.
const LEAST_HEDGE: Duration = Duration::from_millis(2);

/// Measurements of members before anything is derived from them.
const ENOUGH: usize = 32;

/// Before anything is measured: GitHub's slow answers take about so long.
const FIRST_LEASE: Duration = Duration::from_secs(3);

/// The last measurements of one kind.
#[derive(Clone, Debug, Default)]
struct Window {
    in_order: VecDeque<Duration>,
    sorted: Vec<Duration>,
}

impl Window {
    fn record(&mut self, took: Duration) {
        if self.in_order.len() == WINDOW
            && let Some(oldest) = self.in_order.pop_front()
        {
            let place = self.sorted.partition_point(|other| *other < oldest);
            self.sorted.remove(place);
        }
        self.in_order.push_back(took);
        let place = self.sorted.partition_point(|other| *other < took);
        self.sorted.insert(place, took);
    }

    /// The value that at least `percent` of the measurements don't exceed; `None` before `least` of them.
    fn percentile(&self, percent: usize, least: usize) -> Option<Duration> {
        if self.sorted.len() < least.max(1) {
            return None;
        }
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }
}

/// Learned limits of time.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    round_trips: Window,
    answers: Window,
    fetches: Window,
}

impl Budgets {
    /// A member answered a ping or a question.
    pub fn round_trip(&mut self, took: Duration) {
        self.round_trips.record(took);
    }

    /// A member answered a question after this time, or had not answered by then and is not waited for any more.
    pub fn answered(&mut self, took: Duration) {
        self.answers.record(took);
    }

    /// The origin answered.
    pub fn fetched(&mut self, took: Duration) {
        self.fetches.record(took);
    }

    /// How long a lookup may search: eight round trips at the 99th percentile, within 20 to 150 ms; 150 ms until 32 round
    /// trips were measured.
    pub fn lookup(&self) -> Duration {
        let learned = self.round_trips.percentile(99, ENOUGH).map(|p99| p99 * LOOKUP_ROUND_TRIPS);
        learned.unwrap_or(LOOKUP.1).clamp(LOOKUP.0, LOOKUP.1)
    }

    /// When to ask a standby as well: once 85 % of answers would have come, within 2 ms and half of the budget; at a third of the
    /// budget until 32 answers were measured.
    pub fn hedge(&self) -> Duration {
        let learned = self.answers.percentile(HEDGE_PERCENT, ENOUGH);
        learned.map_or(self.lookup() / 3, |usual| usual.clamp(LEAST_HEDGE, self.lookup() / 2))
    }

    /// When to let a standby decide in a silent owner's place: three quarters of the budget. Two round trips at the 99th
    /// percentile are left for its answer.
    pub fn turn_away(&self) -> Duration {
        self.lookup() * 3 / 4
    }

    /// How long a lease lasts: twice the origin's 99th percentile, within 1 to 10 s; 3 s at first.
    pub fn lease(&self) -> Duration {
        let learned = self.fetches.percentile(99, 8).map(|p99| p99 * 2);
        learned.map_or(FIRST_LEASE, |lease| lease.clamp(LEASE.0, LEASE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_lookup_budget_is_learned_within_its_bounds() {
        let mut budgets = Budgets::default();
        assert_eq!(budgets.lookup(), ms(150), "nothing measured yet");
        (0..128).for_each(|_| budgets.round_trip(ms(5)));
        assert_eq!(budgets.lookup(), ms(40));
        (0..128).for_each(|_| budgets.round_trip(Duration::from_micros(150)));
        assert_eq!(budgets.lookup(), ms(20));
        (0..2).for_each(|_| budgets.round_trip(ms(900)));
        assert_eq!(budgets.lookup(), ms(150), "a slow tail raises it, to its bound");
    }

    #[test]
    fn a_standby_is_asked_once_most_answers_would_have_come() {
        let mut budgets = Budgets::default();
        assert_eq!(budgets.hedge(), ms(50), "a third of the budget before anything is measured");
        (0..85).for_each(|_| budgets.answered(ms(9)));
        (0..15).for_each(|_| budgets.answered(ms(70)));
        assert_eq!(budgets.hedge(), ms(9), "85 of 100 took no longer");
        budgets.answered(ms(70));
        assert_eq!(budgets.hedge(), ms(70), "85 of 101 are fewer than 85 percent");
        (0..128).for_each(|_| budgets.answered(ms(900)));
        assert_eq!(budgets.hedge(), ms(75), "half of the budget at most");
        (0..128).for_each(|_| budgets.answered(Duration::from_micros(150)));
        assert_eq!(budgets.hedge(), ms(2));
        (0..128).for_each(|_| budgets.round_trip(ms(1)));
        assert!(budgets.hedge() < budgets.turn_away(), "a standby is asked before it decides");
    }

    #[test]
    fn only_the_latest_measurements_count() {
        let mut window = Window::default();
        (0..WINDOW as u64).rev().for_each(|number| window.record(ms(number)));
        assert_eq!((window.percentile(100, 1), window.percentile(1, 1)), (Some(ms(127)), Some(ms(1))));
        window.record(ms(3));
        assert_eq!(window.percentile(100, 1), Some(ms(126)), "the oldest has gone");
        assert_eq!((window.in_order.len(), window.sorted.len()), (WINDOW, WINDOW));
        assert_eq!(window.percentile(50, WINDOW + 1), None, "too few");
    }

    #[test]
    fn a_lease_is_twice_the_origins_tail() {
        let mut budgets = Budgets::default();
        assert_eq!(budgets.lease(), ms(3000), "nothing measured yet");
        (0..128).for_each(|_| budgets.fetched(ms(900)));
        assert_eq!(budgets.lease(), ms(1800));
        (0..128).for_each(|_| budgets.fetched(ms(60_000)));
        assert_eq!(budgets.lease(), ms(10_000));
    }
}
