//! The node's steady timeline: it starts at the wall clock and then follows a clock that runs through suspend.

use ghmesh_model::Millis;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time on one process's timeline.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What to add to the boot-time clock to get the timeline, in milliseconds.
    offset: i64,
}

impl Clock {
    /// A timeline that starts at the wall clock's present time.
    pub fn start() -> Self {
        Self::start_at(SystemTime::now())
    }

    /// A timeline that takes `wall` for the wall clock's present time: for what is to happen where that is wrong.
    pub fn start_at(wall: SystemTime) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).map_or(0, ghmesh_model::time::millis);
        Clock { offset: signed(wall).saturating_sub(signed(boot_time())) }
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        Millis(boot_time().saturating_add_signed(self.offset))
    }

    /// Completes at `deadline`; never where there is none.
    pub(crate) async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline {
            Some(at) => tokio::time::sleep(at.since(self.now()).unwrap_or_default()).await,
            None => std::future::pending().await,
        }
    }

    /// The same timeline as a function, as store and origin take it.
    pub fn function(self) -> Arc<dyn Fn() -> Millis + Send + Sync> {
        Arc::new(move || self.now())
    }
}

/// Milliseconds from 1970 to the year 292,000,000.
fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// Milliseconds since boot, time in suspend included.
fn boot_time() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(tv_nsec).unwrap_or(0) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_starts_at_the_wall_clock_and_never_runs_backwards() {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let clock = Clock::start();
        let first = clock.now();
        assert!(u128::from(first.0).abs_diff(wall) < 1_000);
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_machine_whose_clock_stands_at_1970_has_a_timeline_too() {
        let clock = Clock::start_at(UNIX_EPOCH);
        assert!(clock.now().0 < 10_000, "it starts there, however long ago the machine was started");
    }
}
