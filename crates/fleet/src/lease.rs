//! What a node knows of a fetch that somebody was told to make, and who waits for it.

use crate::LookupId;
use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeSet;
use std::time::Duration;

/// Members that wait for one lease and are pushed its outcome. Those beyond hear of it by gossip, or ask again.
const MAX_WAITERS: usize = 256;

/// Longest lease, extensions included. Who waits for it has no more patience by then.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);

/// How much older than it is a confirmation may seem: the origin's `Date` counts whole seconds, and its clock is estimated.
const DATE_SLACK: Duration = Duration::from_secs(2);

/// Who was told to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A lookup of this node.
    Own(LookupId),
    /// Another member, by this node's leave.
    Member(MemberId),
    /// A member that told the whole fleet, and asked somebody else for leave.
    Afar(MemberId),
}

impl Holder {
    /// Whether it is that member, by whoever's leave.
    pub(crate) fn is(self, member: MemberId) -> bool {
        match self {
            Holder::Member(holder) | Holder::Afar(holder) => holder == member,
            Holder::Own(_) => false,
        }
    }
}

/// One running fetch.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) holder: Holder,
    /// When it was first granted: what was confirmed before is not its outcome.
    pub(crate) since: Millis,
    /// When this holder got it.
    pub(crate) granted: Millis,
    /// Its place among all that were granted here: moments may be the same.
    pub(crate) turn: u64,
    pub(crate) until: Millis,
    pub(crate) waiters: BTreeSet<MemberId>,
}

impl Lease {
    /// A grant, or the extension of `earlier` where that has the same holder. Who waited for `earlier` now waits for this.
    pub(crate) fn new(holder: Holder, now: Millis, span: Duration, turn: u64, earlier: Option<Lease>) -> Self {
        let same = earlier.as_ref().filter(|lease| lease.holder == holder);
        let (granted, turn) = same.map_or((now, turn), |lease| (lease.granted, lease.turn));
        let (since, mut waiters) = earlier.map_or((now, BTreeSet::new()), |lease| (lease.since, lease.waiters));
        if let Holder::Member(member) | Holder::Afar(member) = holder {
            waiters.remove(&member);
        }
        let until = now.after(span).min(granted.after(LONGEST));
        Lease { holder, since, granted, turn, until, waiters }
    }

    /// Whether it is only what somebody told everybody.
    pub(crate) fn is_hearsay(&self) -> bool {
        matches!(self.holder, Holder::Afar(_))
    }

    pub(crate) fn wait(&mut self, member: MemberId) {
        if self.waiters.len() < MAX_WAITERS {
            self.waiters.insert(member);
        }
    }

    /// Whether a confirmation of that moment can be what the holder was to bring.
    pub(crate) fn ends_with(&self, confirmed_at: Millis) -> bool {
        confirmed_at.after(DATE_SLACK) >= self.since
    }
}
