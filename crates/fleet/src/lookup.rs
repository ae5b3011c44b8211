//! Where one lookup of this node stands.

use crate::{AskId, FetchReason, LookupId, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a lookup is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Looking for a member that has it or says who fetches.
    Asking,
    /// It holds the lease that this member (or this node) granted, and looks once whether a standby has what the owner
    /// lacks (the owner may be new).
    Peeking {
        /// Who granted it.
        lessor: MemberId,
    },
    /// Another fetches.
    Waiting {
        /// Who said so. `None`: this node's own lease.
        on: Option<MemberId>,
        /// Whether what it waits for has come. If that was not enough, there is nothing more to wait for.
        come: bool,
    },
    /// The shell verifies what a member sent.
    Using,
    /// It may fetch, and waits for the body that another credential's fetch of the same key brings.
    Following {
        /// Who told of that fetch. `None`: this node knows of it itself.
        on: Option<MemberId>,
        /// Why it fetches afterwards.
        reason: FetchReason,
    },
    /// It was told to go to the origin.
    Fetching {
        /// Until then its lessors are told now and then that it still does.
        renew_until: Millis,
    },
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
    /// Members that were asked for a lease in this round. At most as many as are ranked.
    pub(crate) asked: BTreeSet<MemberId>,
    /// Members that granted the lease, or may have: what was lost or came late may have been a grant. They are told how
    /// the lookup ended.
    pub(crate) lessors: BTreeSet<MemberId>,
    /// A member whose "it came to nothing" overtook its "wait", and whether it said that the answer can't be shared.
    pub(crate) released: Option<(MemberId, bool)>,
    /// How often it began anew, after another's fetch came to nothing.
    pub(crate) restarts: u8,
    /// When it waits for nobody any more. Set when it first waits.
    pub(crate) patience: Option<Millis>,
    /// The member that granted its lease behind another credential's fetch, and when that should be done.
    pub(crate) behind: Option<(MemberId, Millis)>,
    /// Whether it may follow another credential's fetch.
    pub(crate) follow: bool,
    /// Whether it has followed another credential's fetch. It does so only once.
    pub(crate) followed: bool,
    /// Whether it has waited for a fetch that everybody was told of. It does so only once.
    pub(crate) has_waited_afar: bool,
    /// Whether the whole fleet was told of its fetch.
    pub(crate) announced: bool,
}

impl Lookup {
    pub(crate) fn new(subject: Subject, max_age: Duration, follow: bool) -> Self {
        Lookup {
            subject,
            max_age,
            phase: Phase::Asking,
            until: Millis(0),
            open: BTreeSet::new(),
            asked: BTreeSet::new(),
            lessors: BTreeSet::new(),
            released: None,
            restarts: 0,
            patience: None,
            behind: None,
            follow,
            followed: false,
            has_waited_afar: false,
            announced: false,
        }
    }

    /// Whether something that arrives may end it.
    pub(crate) fn is_searching(&self) -> bool {
        match self.phase {
            Phase::Asking | Phase::Peeking { .. } | Phase::Waiting { .. } => true,
            Phase::Using | Phase::Following { .. } | Phase::Fetching { .. } => false,
        }
    }

    /// Whether it has waited for others as long as it may.
    pub(crate) fn is_out_of_patience(&self, now: Millis) -> bool {
        self.patience.is_some_and(|end| end <= now)
    }
}

/// One question under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) lookup: LookupId,
    pub(crate) to: MemberId,
    pub(crate) sent: Millis,
    /// When its answer is of no more use.
    pub(crate) deadline: Millis,
    pub(crate) lease: bool,
}

impl Ask {
    /// Whether it has waited for so long that its member is turned away from.
    pub(crate) fn is_overdue(&self, turn_away: Duration, now: Millis) -> bool {
        now.since(self.sent).is_some_and(|waited| waited >= turn_away)
    }
}
