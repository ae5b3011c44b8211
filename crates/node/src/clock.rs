//! The node's steady timeline: it starts at the wall clock and then follows a clock that runs through suspend.

use ghmesh_model::Millis;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time on one process's timeline.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What to add to the boot-time clock to get the timeline, in milliseconds.
    offset: u64,
}

impl Clock {
    /// A timeline that starts at the wall clock's present time.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ghmesh_model::time::millis);
        Clock { offset: wall.saturating_sub(boot_time()) }
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        Millis(self.offset.saturating_add(boot_time()))
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
}
