//! How long a resource may go unasked, from how often asking found a change.
//!
//! Changes are taken as a Poisson process of rate λ, of which each confirmation only tells whether there was any. The estimator
//! is the one of Cho and Garcia-Molina ("Estimating frequency of change", ACM TOIT 3(3), 2003, §4.2), which stays finite and
//! nearly unbiased where every confirmation found a change:
//!
//! ```text
//! λ = −ln((unchanged + ½) / (checks + ½)) / mean interval
//! ```
//!
//! An answer that is refreshed every T is outdated for the fraction 1 − (1 − e^(−λT)) / λT of the time, which is about λT/2 where
//! it is small. So a target of s gives **T = 2·s/λ**, between a quarter and eight times of what the route table says.
//!
//! The estimator says 0 as soon as nothing was seen to change, however short the look. So a lifetime above the table's needs
//! evidence: half a change is assumed beyond those seen, λ ≥ ½ / observed time. Intervals of different length count as their mean.

use ghmesh_model::History;
use std::time::Duration;

/// The fraction of time for which an answer may be outdated where nothing is configured. A guess: with the table's lifetimes
/// and changes as rare as the table supposes, it asks about as often as the table alone.
pub const DEFAULT_TARGET: f64 = 0.1;
/// The targets that make sense: beyond a half an answer is rather wrong than right.
pub const TARGETS: std::ops::RangeInclusive<f64> = 0.001..=0.5;
/// The shortest lifetime, as a part of the table's.
const SHORTEST: u32 = 4;
/// The longest lifetime, in times of the table's.
const LONGEST: u32 = 8;
/// Confirmations after which the older half of a history is forgotten, so that a resource that falls quiet or wakes up is
/// noticed after about as many.
const MEMORY: u16 = 16;
/// The change that is assumed beyond those seen before a lifetime may exceed the table's.
const UNSEEN_CHANGES: f64 = 0.5;

/// `history` after one more confirmation, `interval` after the last one.
pub fn observed(history: History, interval: Duration, changed: bool) -> History {
    let kept = if history.checks >= MEMORY { halved(history) } else { history };
    let checks = kept.checks.saturating_add(1);
    History {
        checks,
        unchanged: kept.unchanged.saturating_add(u16::from(!changed)).min(checks),
        observed_ms: kept.observed_ms.saturating_add(ghmesh_model::time::millis(interval)),
    }
}

fn halved(history: History) -> History {
    History { checks: history.checks / 2, unchanged: history.unchanged / 2, observed_ms: history.observed_ms / 2 }
}

/// Changes per second, as estimated; `None` before there is anything to estimate from.
pub fn rate(history: &History) -> Option<f64> {
    if history.checks == 0 || history.observed_ms == 0 {
        return None;
    }
    let unchanged = f64::from(history.unchanged.min(history.checks));
    let checks = f64::from(history.checks);
    let interval_seconds = observed_seconds(history) / checks;
    Some(-((unchanged + 0.5) / (checks + 0.5)).ln() / interval_seconds)
}

/// How long an answer is fresh, given that the route table says `table` and that it may be outdated for `target` (a fraction,
/// held within [`TARGETS`]) of the time: from `table / 4` to `table × 8`.
pub fn ttl(history: &History, table: Duration, target: f64) -> Duration {
    let Some(rate) = rate(history) else { return table };
    let target = if target.is_nan() { DEFAULT_TARGET } else { target.clamp(*TARGETS.start(), *TARGETS.end()) };
    let wanted = span(2.0 * target / rate.max(0.0));
    let evident = span(2.0 * target * observed_seconds(history) / UNSEEN_CHANGES).max(table);
    wanted.min(evident).clamp(table / SHORTEST, table.saturating_mul(LONGEST))
}

fn observed_seconds(history: &History) -> f64 {
    history.observed_ms as f64 / 1000.0
}

/// Seconds as a span; [`Duration::MAX`] for what is too long for one, infinity included.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: Duration = Duration::from_secs(60);

    /// A resource that is confirmed whenever its lifetime ends, and has changed at each of them or at none.
    fn settled_ttl(changes: bool) -> Duration {
        let mut history = History::default();
        for _ in 0..100 {
            history = observed(history, ttl(&history, TABLE, DEFAULT_TARGET), changes);
        }
        ttl(&history, TABLE, DEFAULT_TARGET)
    }

    #[test]
    fn what_never_changes_is_asked_rarely_and_what_always_changes_often() {
        assert_eq!(settled_ttl(false), TABLE * 8);
        assert_eq!(settled_ttl(true), TABLE / 4);
    }

    #[test]
    fn nothing_known_is_what_the_table_says() {
        assert_eq!(ttl(&History::default(), TABLE, 0.1), TABLE);
        assert_eq!(ttl(&observed(History::default(), Duration::ZERO, true), TABLE, 0.1), TABLE, "no time has passed");
    }

    #[test]
    fn a_short_quiet_look_is_no_evidence() {
        let polled = (0..10).fold(History::default(), |history, _| observed(history, Duration::from_secs(1), false));
        assert_eq!(ttl(&polled, TABLE, 0.1), TABLE);
        let watched = (0..10).fold(History::default(), |history, _| observed(history, Duration::from_secs(60), false));
        assert_eq!(ttl(&watched, TABLE, 0.1), Duration::from_secs(240), "0.4 of the ten minutes");
    }

    #[test]
    fn the_estimate_is_the_papers() {
        let history = History { checks: 10, unchanged: 5, observed_ms: 600_000 };
        let rate = rate(&history).unwrap_or_default();
        assert!((rate - (10.5_f64 / 5.5).ln() / 60.0).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn a_resource_that_falls_quiet_is_noticed() {
        let busy = (0..100).fold(History::default(), |history, _| observed(history, TABLE / 4, true));
        let quiet = (0..40).fold(busy, |history, _| observed(history, ttl(&history, TABLE, 0.1), false));
        assert!(ttl(&quiet, TABLE, 0.1) > TABLE, "{quiet:?}");
    }

    fn histories() -> impl Strategy<Value = History> {
        (any::<u16>(), any::<u16>(), any::<u64>()).prop_map(|(checks, unchanged, observed_ms)| History {
            checks,
            unchanged,
            observed_ms,
        })
    }

    proptest! {
        #[test]
        fn lifetimes_stay_within_their_bounds(history in histories(), seconds in 0_u64..1_000_000, target in any::<f64>()) {
            let table = Duration::from_secs(seconds);
            let ttl = ttl(&history, table, target);
            prop_assert!(table / 4 <= ttl && ttl <= table * 8, "{ttl:?}");
        }

        #[test]
        fn no_table_is_too_long(history in histories(), nanos in any::<u32>()) {
            let table = Duration::new(u64::MAX, nanos % 1_000_000_000);
            prop_assert!(ttl(&history, table, 0.1) >= table / 4);
        }

        #[test]
        fn more_changes_never_mean_a_longer_lifetime(
            checks in 1_u16..1000, one in 0_u16..1000, other in 0_u16..1000, observed_ms in 1_u64..1_000_000_000,
        ) {
            let with = |unchanged: u16| History { checks, unchanged, observed_ms };
            let (fewer, more) = (one.min(other), one.max(other));
            prop_assert!(rate(&with(more)) <= rate(&with(fewer)));
            prop_assert!(ttl(&with(more), TABLE, 0.1) >= ttl(&with(fewer), TABLE, 0.1));
        }

        #[test]
        fn a_looser_target_never_means_a_shorter_lifetime(history in histories(), one in 0.0..1.0, other in 0.0..1.0) {
            let (strict, loose) = (f64::min(one, other), f64::max(one, other));
            prop_assert!(ttl(&history, TABLE, strict) <= ttl(&history, TABLE, loose));
        }

        #[test]
        fn counts_stay_sensible(checks in proptest::collection::vec((any::<u64>(), any::<bool>()), 0..60)) {
            let mut history = History::default();
            for (millis, changed) in checks {
                history = observed(history, Duration::from_millis(millis), changed);
                prop_assert!(history.unchanged <= history.checks && history.checks <= MEMORY);
            }
        }
    }
}
