//! One node's steady timeline.
//!
//! Nodes' clocks differ, so no moment ever travels: ages do. Inside one node moments are [`Millis`]: they start at the
//! wall clock when the process starts and then advance with a clock that runs through suspend, so that later steps of the
//! wall clock neither freshen nor age anything.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment on this node's steady timeline: milliseconds, close to Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The time since `earlier`. `None` where `earlier` lies in the future: its age is unknown, so treat it as expired.
    pub fn since(self, earlier: Millis) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }

    /// This moment plus `span`, saturating.
    pub fn after(self, span: Duration) -> Millis {
        Millis(self.0.saturating_add(millis(span)))
    }

    /// This moment minus `span`, saturating at zero.
    pub fn before(self, span: Duration) -> Millis {
        Millis(self.0.saturating_sub(millis(span)))
    }
}

/// A duration as whole milliseconds, saturating.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
