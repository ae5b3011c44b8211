//! What nodes keep and say, reduced to what coordination can tell apart: who confirmed which version when.

use ghmesh_fleet::{AskId, Subject};
use ghmesh_model::Millis;
use std::time::Duration;

/// A moment of the whole run, in microseconds. Nodes only see their own [`Millis`].
pub(crate) type Moment = u64;

/// What the origin confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Which answer.
    pub(crate) version: u64,
    /// The origin's `Date`, in seconds.
    pub(crate) origin_date: u64,
    /// When the confirming call was really sent. For the checks only: no node knows it of another's call.
    pub(crate) sent_at: Moment,
}

/// A record in a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) record: Record,
    /// On the node's timeline, as far as it knows.
    pub(crate) confirmed_at: Millis,
}

impl Held {
    /// Versions are ordered by the origin's `Date`, and within one second by when they were confirmed.
    pub(crate) fn supersedes(&self, held: &Held) -> bool {
        (self.record.origin_date, self.confirmed_at) > (held.record.origin_date, held.confirmed_at)
    }
}

/// A record on its way, with its age at sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) subject: Subject,
    pub(crate) record: Record,
    pub(crate) age: Duration,
}

/// A question's answer on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Response {
    Have(Shared),
    Coming(Duration),
    Lease(Option<Duration>),
    No,
}

/// What one node sends another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Ask {
        ask: AskId,
        subject: Subject,
        max_age: Duration,
        lease: bool,
    },
    Answer {
        ask: AskId,
        response: Response,
    },
    /// A delivery, or gossip.
    Record(Shared),
    /// A fetch failed.
    Release(Subject),
}

/// What a flight is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Use(Option<Shared>),
    Check,
    Fetch,
}
