//! What time it is at a host, as far as its answers tell: never later than it really is.
//!
//! `Date` is cut to whole seconds and arrives after it was written, so `Date` − (now at receipt) is never more than the
//! true difference between the host's clock and ours. The largest of the recent differences is the closest.

use ghmesh_model::Millis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Differences are kept in slots of this length, the largest of each.
const SLOT: Duration = Duration::from_mins(5);

/// How many slots are kept: an hour. Clocks drift by some 50 ppm, which makes 0.2 s in that time.
const SLOTS: usize = 12;

/// The largest recent differences between a host's `Date` and our timeline.
#[derive(Debug, Default)]
pub(crate) struct HostClock {
    /// (start of the slot, largest difference in ms), oldest first, at most [`SLOTS`].
    slots: Vec<(Millis, i64)>,
}

impl HostClock {
    /// Takes in the `Date` header of an answer whose head arrived at `now`. Unreadable dates are ignored.
    pub(crate) fn observe(&mut self, date: &str, now: Millis) {
        let Some(difference) = httpdate::parse_http_date(date).ok().and_then(|date| difference(date, now)) else {
            return;
        };
        self.forget(now);
        match self.slots.last_mut() {
            Some((start, largest)) if now < start.after(SLOT) => *largest = difference.max(*largest),
            _ => self.slots.push((now, difference)),
        }
        if self.slots.len() > SLOTS {
            self.slots.remove(0);
        }
    }

    /// The host's time at `now`, in ms since 1970; at most its true time. `None` without a recent answer.
    pub(crate) fn time(&self, now: Millis) -> Option<Millis> {
        let newest_allowed = now.before(SLOT * SLOTS as u32);
        let recent = self.slots.iter().filter(|(start, _)| *start >= newest_allowed);
        recent.map(|(_, difference)| *difference).max().map(|largest| Millis(now.0.saturating_add_signed(largest)))
    }

    fn forget(&mut self, now: Millis) {
        let oldest = now.before(SLOT * SLOTS as u32);
        self.slots.retain(|(start, _)| *start >= oldest);
    }
}

/// `date` − `now` in ms. `None` for dates before 1970 or beyond what fits.
fn difference(date: SystemTime, now: Millis) -> Option<i64> {
    let date = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    date.checked_sub(i64::try_from(now.0).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T09:00:00Z in ms.
    const NINE: u64 = 1_795_251_600_000;
    const NINE_TEXT: &str = "Sat, 21 Nov 2026 09:00:00 GMT";

    #[test]
    fn the_estimate_is_the_largest_recent_difference() {
        let mut clock = HostClock::default();
        assert_eq!(clock.time(Millis(NINE)), None);
        clock.observe(NINE_TEXT, Millis(NINE + 2900));
        assert_eq!(clock.time(Millis(NINE + 2900)), Some(Millis(NINE)));
        clock.observe(NINE_TEXT, Millis(NINE + 300));
        assert_eq!(clock.time(Millis(NINE + 5000)), Some(Millis(NINE + 4700)));
    }

    #[test]
    fn old_differences_are_forgotten() {
        let mut clock = HostClock::default();
        clock.observe(NINE_TEXT, Millis(NINE));
        assert!(clock.time(Millis(NINE).after(Duration::from_mins(59))).is_some());
        assert_eq!(clock.time(Millis(NINE).after(Duration::from_mins(61))), None);
    }

    #[test]
    fn many_answers_take_bounded_space() {
        let mut clock = HostClock::default();
        for minute in 0..10_000 {
            clock.observe(NINE_TEXT, Millis(NINE).after(Duration::from_mins(minute)));
        }
        assert!(clock.slots.len() <= SLOTS);
    }

    #[test]
    fn nonsense_is_ignored() {
        let mut clock = HostClock::default();
        for date in ["", "yesterday", "Thu, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT\u{0}"] {
            clock.observe(date, Millis(NINE));
        }
        assert_eq!(clock.time(Millis(NINE)), None);
    }
}
