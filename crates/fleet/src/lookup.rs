//! Where one lookup of this node stands.

use crate::{AskId, LookupId, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a lookup is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Looking for a member that has it or says who fetches.
    Asking,
    /// It holds the lease and looks once whether a standby has what the owner lacks (the owner may be new).
    Peeking,
    /// Another fetches.
    Waiting,
    /// The shell verifies what a member sent.
    Using,
    /// It was told to go to the origin.
    Fetching,
}

/// One lookup.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) subject: Subject,
    pub(crate) max_age: Duration,
    pub(crate) phase: Phase,
    /// When the present phase gives up.
    pub(crate) until: Millis,
    /// Questions whose answers are awaited.
    pub(crate) open: BTreeSet<AskId>,
    /// Members that were asked for a lease in this round.
    pub(crate) asked: BTreeSet<MemberId>,
    /// The member that granted the lease: it is told how the fetch ended.
    pub(crate) lessor: Option<MemberId>,
    /// Whether it began anew once, after another's fetch came to nothing. It does so only once.
    pub(crate) restarted: bool,
}

impl Lookup {
    pub(crate) fn new(subject: Subject, max_age: Duration, until: Millis) -> Self {
        Lookup {
            subject,
            max_age,
            phase: Phase::Asking,
            until,
            open: BTreeSet::new(),
            asked: BTreeSet::new(),
            lessor: None,
            restarted: false,
        }
    }
}

/// One question under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) lookup: LookupId,
    pub(crate) to: MemberId,
    pub(crate) sent: Millis,
    pub(crate) lease: bool,
}
