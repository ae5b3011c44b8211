//! How fast a node connects to others, and when it has too many.
//!
//! - *Below [`FEW`] members* it dials what is due, the next one soon and without waiting for the one before: it should not be
//!   alone. But not all at the same moment: a hundred nodes that know the same three would all dial all three, and these could serve
//!   none in time.
//! - *From there to its target* it takes one step after the other. Where a hundred nodes start in the same moment, they find
//!   each other through the first few and spread over all, instead of falling upon the same ones at once.
//! - *At its target* it dials nobody but now and then a member that it is not connected to: so two halves of a mesh that
//!   were apart, each large enough for itself, grow together again.
//! - *Above its ceiling* it lets some go, at random. They are above their own targets, or dial again and make others go; so
//!   there is always room for who knows nobody else.
//!
//! Random graphs whose nodes have a few connections each hang together, whatever their size; a target has many. Moments and jitter
//! are arguments.

use std::time::{Duration, Instant};

/// With as many members a node is part of the mesh.
const FEW: usize = 5;
/// Between two dials of a node with fewer: nine addresses that never answer cost the tenth a second.
const HASTE: Duration = Duration::from_millis(100);
/// Between two dials from there on: a full set of connections takes a few seconds, and their handshakes an eighth of a core.
const STEP: Duration = Duration::from_millis(50);
/// Between two dials at the target. In a mesh of 200 that is one dial in 150 ms somewhere.
const EXPLORE: Duration = Duration::from_secs(30);
/// How long a connection is left alone before it may be let go: who came in through it has met others by then.
pub(crate) const SETTLED: Duration = Duration::from_secs(5);
/// Connections that are let go at once, every half second.
const MAX_LET_GO: usize = 16;

/// The pace.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// This node dials until it is connected to as many members; more may come in. Below it every node knows every other, so
    /// that each can ask any owner directly.
    target: usize,
    /// The most that stay connected, below the connections that are allowed in all.
    ceiling: usize,
    last: Option<Instant>,
    next_step: Option<Instant>,
    next_look: Option<Instant>,
}

impl Default for Growth {
    fn default() -> Self {
        Growth::to(64, 128)
    }
}

impl Growth {
    pub(crate) fn to(target: usize, ceiling: usize) -> Self {
        Growth { target, ceiling, last: None, next_step: None, next_look: None }
    }

    /// When the next dial may begin, with `connected` members and `under_way` dials: now, or later.
    pub(crate) fn next(&mut self, connected: usize, under_way: usize, now: Instant) -> Instant {
        let at = if connected < FEW.min(self.target) {
            self.last.filter(|_| under_way > 0).map(|last| last + HASTE)
        } else if connected + under_way < self.target {
            self.next_step
        } else {
            Some(*self.next_look.get_or_insert(now + EXPLORE))
        };
        at.unwrap_or(now).max(now)
    }

    /// A dial begins. `jitter` in 0..1 spreads the next one.
    pub(crate) fn dialled(&mut self, jitter: f64, now: Instant) {
        self.last = Some(now);
        self.next_step = Some(now + STEP.mul_f64(0.5 + jitter));
        self.next_look = Some(now + EXPLORE.mul_f64(0.5 + jitter));
    }

    /// Whether so many members are as many as it looks for.
    pub(crate) fn is_done(&self, connected: usize) -> bool {
        connected >= self.target
    }

    /// How many of `connected` members are to be let go now.
    pub(crate) fn excess(&self, connected: usize) -> usize {
        connected.saturating_sub(self.ceiling).min(MAX_LET_GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_alone_hurries_one_in_company_takes_steps_and_one_with_enough_looks_around() {
        let (mut growth, begun) = (Growth::to(64, 128), Instant::now());
        growth.dialled(0.5, begun);
        let mut wait = |connected, under_way| growth.next(connected, under_way, begun) - begun;
        assert_eq!([wait(0, 0), wait(4, 0)], [Duration::ZERO; 2]);
        assert_eq!([wait(0, 1), wait(4, 9)], [HASTE; 2]);
        assert_eq!([wait(5, 0), wait(40, 23)], [STEP; 2]);
        assert_eq!([wait(64, 0), wait(60, 4), wait(200, 0)], [EXPLORE; 3]);
        assert_eq!(growth.next(5, 0, begun + EXPLORE), begun + EXPLORE, "a step that is due is due now");
    }

    #[test]
    fn jitter_spreads_steps() {
        let (mut growth, begun) = (Growth::default(), Instant::now());
        growth.dialled(0.0, begun);
        assert_eq!(growth.next(5, 0, begun) - begun, STEP / 2);
        growth.dialled(0.999, begun);
        assert!(growth.next(5, 0, begun) - begun > STEP.mul_f64(1.4));
    }

    #[test]
    fn a_small_target_is_hurried_to_and_who_was_only_dialled_looks_around_too() {
        let (mut growth, begun) = (Growth::to(3, 4), Instant::now());
        assert_eq!(growth.next(2, 0, begun), begun);
        assert_eq!(growth.next(3, 0, begun), begun + EXPLORE);
        assert_eq!(growth.next(3, 0, begun + EXPLORE), begun + EXPLORE, "it has not dialled in between");
    }

    #[test]
    fn what_is_above_the_ceiling_goes_a_few_at_a_time() {
        let growth = Growth::to(64, 128);
        assert_eq!([0, 64, 128, 129, 200].map(|connected| growth.excess(connected)), [0, 0, 0, 1, MAX_LET_GO]);
    }
}
