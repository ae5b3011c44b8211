//! Whether a body says that what it describes is over.

use super::{After, Condition, List, Route};
use ghmesh_model::Settled;
use serde::Deserialize;
use std::borrow::Cow;

/// Largest body that is looked into, in bytes; a larger one counts as going on.
const MAX_BYTES: usize = 1024 * 1024;
/// How long after its last job an attempt may still get another: GitHub lists a job only once those that it needs are done.
const QUIET_SECONDS: u64 = 600;

/// Whether what `body` describes is over. `origin_date` is when GitHub sent it, in Unix seconds.
///
/// What a route's completed list can't tell is if there will be more items. So a list is final only where nothing has happened
/// for ten minutes before GitHub sent it.
pub fn settled(route: &Route, body: &[u8], origin_date: u64) -> Settled {
    let Some((condition, after)) = route.settling else { return Settled::Open };
    if body.len() > MAX_BYTES {
        return Settled::Open;
    }
    let Ok(summary) = serde_json::from_slice::<Summary<'_>>(body) else { return Settled::Open };
    if !summary.fulfils(condition, route.list) {
        return Settled::Open;
    }
    match after {
        After::Final if condition != Condition::AllCompleted || summary.is_quiet(origin_date) => Settled::Final,
        After::Final | After::Lasts(_) => Settled::Over,
    }
}

#[derive(Deserialize)]
struct Summary<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    #[serde(default)]
    total_count: Option<u64>,
    #[serde(borrow, default)]
    jobs: Vec<Item<'a>>,
    #[serde(borrow, default)]
    check_runs: Vec<Item<'a>>,
    #[serde(borrow, default)]
    check_suites: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    completed_at: Option<Cow<'a, str>>,
}

impl Summary<'_> {
    fn fulfils(&self, condition: Condition, list: List) -> bool {
        match condition {
            Condition::Closed => self.state.as_deref() == Some("closed"),
            Condition::Completed => self.status.as_deref() == Some("completed"),
            Condition::AllCompleted => self.is_all_completed(list),
            Condition::Decided => {
                self.state.as_deref().is_some_and(|state| state != "pending") && self.total_count > Some(0)
            }
        }
    }

    fn is_all_completed(&self, list: List) -> bool {
        let items = match list {
            List::Wrapped("jobs") => &self.jobs,
            List::Wrapped("check_runs") => &self.check_runs,
            List::Wrapped("check_suites") => &self.check_suites,
            List::Wrapped(_) | List::Array | List::No => return false,
        };
        let complete = !items.is_empty() && self.total_count == Some(items.len() as u64);
        complete && items.iter().all(|item| item.status.as_deref() == Some("completed"))
    }

    fn is_quiet(&self, origin_date: u64) -> bool {
        let long_ago = |item: &Item<'_>| {
            let completed = item.completed_at.as_deref().and_then(unix_seconds);
            completed.is_some_and(|completed| completed.saturating_add(QUIET_SECONDS) <= origin_date)
        };
        self.jobs.iter().all(long_ago)
    }
}

/// GitHub's times, `2026-01-31T23:59:59Z`, as Unix seconds. `None` for every other form, and before 1970.
fn unix_seconds(time: &str) -> Option<u64> {
    let bytes = time.as_bytes();
    let shape = |(index, byte): (usize, &u8)| match index {
        4 | 7 => *byte == b'-',
        10 => *byte == b'T',
        13 | 16 => *byte == b':',
        19 => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if bytes.len() != 20 || !bytes.iter().enumerate().all(shape) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let days = days_since_1970(number(0..4)?, number(5..7)?, number(8..10)?)?;
    Some(days * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?)
}

/// The Gregorian calendar, years counted from March so that the leap day comes last. Source: Howard Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_unix_seconds() {
        for (time, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("1969-12-31T23:59:59Z", None),
            ("2023-13-14T22:13:20Z", None),
            ("2023-11-14T22:13:20+01:00", None),
            ("2023-11-14 22:13:20Z", None),
            ("0000-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(unix_seconds(time), seconds, "{time}");
        }
    }

    #[test]
    fn bodies_that_lie_or_are_no_json_go_on() {
        let run = Route::at("/repos/o/r/actions/runs/1");
        for body in ["", "[]", "completed", "{\"status\":7}", "{\"status\":\"completed\",\"status\":\"queued\"}", "{"] {
            assert_eq!(settled(run, body.as_bytes(), 0), Settled::Open, "{body}");
        }
        let long = format!("{{\"status\":\"completed\",\"name\":\"{}\"}}", "x".repeat(MAX_BYTES));
        assert_eq!(settled(run, long.as_bytes(), 0), Settled::Open);
    }
}
