//! What an owner knows of a fetch that somebody was told to make, and who waits for it.

use crate::LookupId;
use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeSet;

/// Members that wait for one lease and are pushed its outcome. Those beyond hear of it by gossip, or ask again.
const MAX_WAITERS: usize = 256;

/// Who was told to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A lookup of this node.
    Own(LookupId),
    /// Another member.
    Member(MemberId),
}

/// One running fetch.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) holder: Holder,
    pub(crate) until: Millis,
    pub(crate) waiters: BTreeSet<MemberId>,
}

impl Lease {
    pub(crate) fn new(holder: Holder, until: Millis) -> Self {
        Lease { holder, until, waiters: BTreeSet::new() }
    }

    pub(crate) fn wait(&mut self, member: MemberId) {
        if self.waiters.len() < MAX_WAITERS {
            self.waiters.insert(member);
        }
    }
}
