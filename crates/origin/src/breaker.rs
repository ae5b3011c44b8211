//! A breaker: after several failures in a row a host is left alone for a while, then tried with one request.
//!
//! ```text
//! closed ── n failures in a row ──▶ open ── its time is over ──▶ half open: one probe
//!   ▲                                 ▲                              │        │
//!   └──────────── answered ───────────┼──────────────────────────────┘        │
//!                                     └────────────── failed: for longer ─────┘
//! ```
//!
//! A pure state machine: time and randomness are arguments. What counts as a failure is the caller's word.

use ghmesh_model::Millis;
use ghmesh_model::time::millis;
use std::time::Duration;

/// How long a request waits for another that is the probe, and is told to wait after that. A probe ends within the header
/// timeout, mostly much sooner.
pub(crate) const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a host is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it, at least 1. Default 5: one lost packet storm of a single caller with its retries
    /// (3 attempts) doesn't open it, two callers do.
    pub failures: u32,
    /// How long it stays open the first time, before jitter. Default 2 s: callers get an immediate 502 or a stale answer
    /// meanwhile, so longer than a blip costs more than the saved connects are worth.
    pub open: Duration,
    /// The longest it stays open, reached by doubling. Default 30 s: the most a recovered GitHub goes unnoticed.
    pub open_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { failures: 5, open: Duration::from_secs(2), open_max: Duration::from_secs(30) }
    }
}

/// What the breaker says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Send it.
    Go,
    /// Send it; it is the one probe, and its outcome decides.
    Probe,
    /// Don't. Another attempt is allowed after `retry_in`.
    Refused {
        /// Time until a request has a chance again.
        retry_in: Duration,
    },
}

/// What became of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The host answered, with whatever status: it is alive.
    Answered,
    /// It could not be reached, or kept silent for too long.
    Failed,
    /// Nobody knows: the caller went away, or its own body failed.
    Unknown,
}

/// The state as others may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through; so many in a row have failed.
    Closed {
        /// Failures since the last answer.
        failures: u32,
    },
    /// Requests are refused for this long.
    Open {
        /// Time until a probe is allowed.
        retry_in: Duration,
    },
    /// One probe is under way; others wait for what it finds, for a moment.
    HalfOpen,
}

/// The breaker of one host.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis, rounds: u32 },
    HalfOpen { rounds: u32 },
}

impl Breaker {
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Breaker { config, state: State::Closed { failures: 0 } }
    }

    /// Asks for admission. A `Probe` must be followed by [`Breaker::record`], whatever happens to it.
    pub(crate) fn admit(&mut self, now: Millis) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Go,
            State::Open { until, .. } if now < until => Admission::Refused { retry_in: span(now, until) },
            State::Open { rounds, .. } => {
                self.state = State::HalfOpen { rounds };
                Admission::Probe
            }
            State::HalfOpen { .. } => Admission::Refused { retry_in: PROBE_WAIT },
        }
    }

    /// Takes in what became of a request that was admitted as `admission`. `random` jitters the time it stays open.
    pub(crate) fn record(&mut self, admission: Admission, outcome: Outcome, now: Millis, random: u64) {
        match (outcome, &self.state) {
            (Outcome::Answered, _) => self.state = State::Closed { failures: 0 },
            (Outcome::Failed, State::Closed { failures }) if failures + 1 < self.config.failures => {
                self.state = State::Closed { failures: failures + 1 };
            }
            (Outcome::Failed, State::Closed { .. }) => self.open(0, now, random),
            (Outcome::Failed, State::HalfOpen { rounds }) if admission == Admission::Probe => {
                self.open(rounds.saturating_add(1), now, random);
            }
            // A probe that told nothing gives its turn to the next request.
            (Outcome::Unknown, State::HalfOpen { rounds }) if admission == Admission::Probe => {
                self.state = State::Open { until: now, rounds: *rounds };
            }
            // Requests admitted before it opened: they say nothing about now.
            (Outcome::Failed, State::Open { .. } | State::HalfOpen { .. }) => {}
            (Outcome::Unknown, State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }) => {}
        }
    }

    pub(crate) fn state(&self, now: Millis) -> BreakerState {
        match self.state {
            State::Closed { failures } => BreakerState::Closed { failures },
            State::Open { until, .. } => BreakerState::Open { retry_in: span(now, until) },
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Opens for `open` × 2^`rounds`, at most `open_max`, less up to half of it by chance: nodes that lost GitHub in the
    /// same second don't come back in the same second.
    fn open(&mut self, rounds: u32, now: Millis, random: u64) {
        let longest = self.config.open.saturating_mul(1 << rounds.min(16)).min(self.config.open_max);
        let half = millis(longest) / 2;
        let until = now.after(longest - Duration::from_millis(random % (half + 1)));
        self.state = State::Open { until, rounds };
    }
}

/// The time from `now` until `until`, zero when it is past.
fn span(now: Millis, until: Millis) -> Duration {
    until.since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig =
        BreakerConfig { failures: 3, open: Duration::from_secs(2), open_max: Duration::from_secs(5) };

    fn fail(breaker: &mut Breaker, times: usize, now: Millis) {
        for _ in 0..times {
            breaker.record(Admission::Go, Outcome::Failed, now, 0);
        }
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_not_before() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, 2, Millis(0));
        breaker.record(Admission::Go, Outcome::Answered, Millis(0), 0);
        fail(&mut breaker, 2, Millis(0));
        breaker.record(Admission::Go, Outcome::Unknown, Millis(0), 0);
        assert_eq!(breaker.state(Millis(0)), BreakerState::Closed { failures: 2 });
        fail(&mut breaker, 1, Millis(0));
        assert_eq!(breaker.admit(Millis(500)), Admission::Refused { retry_in: Duration::from_millis(1500) });
    }

    #[test]
    fn one_probe_is_let_through_and_an_answer_closes_it() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, 3, Millis(0));
        assert_eq!(breaker.admit(Millis(2000)), Admission::Probe);
        assert_eq!(breaker.admit(Millis(2000)), Admission::Refused { retry_in: PROBE_WAIT });
        breaker.record(Admission::Probe, Outcome::Answered, Millis(2100), 0);
        assert_eq!(breaker.admit(Millis(2100)), Admission::Go);
    }

    #[test]
    fn a_failed_probe_opens_it_for_longer_up_to_the_limit() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, 3, Millis(0));
        let mut now = Millis(2000);
        for seconds in [4, 5, 5] {
            assert_eq!(breaker.admit(now), Admission::Probe);
            breaker.record(Admission::Probe, Outcome::Failed, now, 0);
            assert_eq!(breaker.state(now), BreakerState::Open { retry_in: Duration::from_secs(seconds) });
            now = now.after(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_probe_that_tells_nothing_gives_its_turn_to_the_next() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, 3, Millis(0));
        assert_eq!(breaker.admit(Millis(2000)), Admission::Probe);
        breaker.record(Admission::Probe, Outcome::Unknown, Millis(2500), 0);
        assert_eq!(breaker.admit(Millis(2500)), Admission::Probe);
    }

    #[test]
    fn requests_from_before_it_opened_can_close_it_but_not_prolong_it() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, 3, Millis(0));
        fail(&mut breaker, 90, Millis(1000));
        assert_eq!(breaker.state(Millis(1000)), BreakerState::Open { retry_in: Duration::from_secs(1) });
        breaker.admit(Millis(2000));
        fail(&mut breaker, 1, Millis(2000));
        assert_eq!(breaker.state(Millis(2000)), BreakerState::HalfOpen);
        breaker.record(Admission::Go, Outcome::Answered, Millis(2000), 0);
        assert_eq!(breaker.state(Millis(2000)), BreakerState::Closed { failures: 0 });
    }

    #[test]
    fn jitter_shortens_by_at_most_half() {
        for random in [0, 1, 999, 1000, 1001, u64::MAX] {
            let mut breaker = Breaker::new(BreakerConfig { failures: 1, ..CONFIG });
            breaker.record(Admission::Go, Outcome::Failed, Millis(0), random);
            let BreakerState::Open { retry_in } = breaker.state(Millis(0)) else { panic!("open after one failure") };
            assert!((1000..=2000).contains(&retry_in.as_millis()), "{retry_in:?} with {random}");
        }
    }
}
