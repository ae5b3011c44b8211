//! Fetches that are told to the whole fleet, where that is larger than the circle of a node's neighbours.
//!
//! Two nodes that share few neighbours turn to two owners, and neither owner knows of the other's lease. So who fetches tells
//! everybody, and a node that hears of it notes it as a lease that its own lookups wait for. Nobody is let wait for it by another's
//! word: whoever asks has heard the same. Hearsay gets one chance: a lookup waits for one such fetch, no longer than one should take, and
//! who kept it waiting in vain is not believed in this for a minute.

use super::Fleet;
use crate::lease::Holder;
use crate::lookup::Phase;
use crate::{FetchReason, LookupId, Output, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long nobody is told of fetches of what failed last time: in an outage, one word for each key in that time.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The same for answers that are no other node's (a 404, say): each node asks for itself, and nobody is to wait.
const AFTER_UNSHAREABLE: Duration = Duration::from_secs(600);

/// Subjects that are remembered for these two reasons.
const MAX_FRUITLESS: usize = 4096;

/// What was told and brought nothing.
#[derive(Debug, Default)]
pub(super) struct Fruitless {
    until: BTreeMap<Subject, Millis>,
    order: VecDeque<Subject>,
}

impl Fruitless {
    pub(super) fn note(&mut self, subject: Subject, unshareable: bool, now: Millis) {
        let span = if unshareable { AFTER_UNSHAREABLE } else { AFTER_FAILURE };
        if self.until.insert(subject, now.after(span)).is_none() {
            self.order.push_back(subject);
        }
        while self.order.len() > MAX_FRUITLESS {
            self.order.pop_front().and_then(|oldest| self.until.remove(&oldest));
        }
    }

    /// Something did come of it.
    pub(super) fn forget(&mut self, subject: &Subject) {
        self.until.remove(subject);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.until.len().max(self.order.len())
    }

    pub(super) fn contains(&self, subject: &Subject, now: Millis) -> bool {
        self.until.get(subject).is_some_and(|until| *until > now)
    }
}

impl Fleet {
    /// Tells everybody of a fetch that begins, where somebody may not hear of it otherwise. Not of one after a wait in vain: then
    /// nobody waits any more.
    pub(super) fn announce(&mut self, id: LookupId, reason: FetchReason, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let is_news = match reason {
            FetchReason::Leased | FetchReason::FailOpen => !self.fruitless.contains(&lookup.subject, now),
            FetchReason::Alone | FetchReason::Waited => false,
        };
        if self.beyond && is_news {
            lookup.announced = true;
            out.push(Output::Announce { lookup: id });
        }
    }

    /// A fetch that everybody was told of ended with nothing to share.
    pub(super) fn withdraw(&mut self, subject: Subject, unshareable: bool, now: Millis, out: &mut Vec<Output>) {
        self.fruitless.note(subject, unshareable, now);
        out.push(Output::Withdraw { subject, unshareable });
    }

    /// A member tells everybody that it fetches. An honest one is silent where the last such fetch came to nothing.
    pub(super) fn announced(&mut self, from: MemberId, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        let is_taken = self.running(&subject, now).is_some_and(|lease| match lease.holder {
            Holder::Own(id) => !self.is_about_to_fetch(id),
            Holder::Member(_) | Holder::Afar(_) => true,
        });
        let is_credible = self.reputation.believes_hearsay(&from, now) && !self.fruitless.contains(&subject, now);
        if !self.beyond || from == self.me || is_taken || !is_credible {
            return;
        }
        self.lease_out(subject, Holder::Afar(from), now);
        let of_it = self.lookups.iter().filter(|(_, lookup)| lookup.subject == subject).map(|(id, _)| *id);
        let about_to: Vec<_> = of_it.filter(|id| self.is_about_to_fetch(*id)).collect();
        for id in about_to {
            self.waits_afar(id, now, out);
        }
    }

    fn is_about_to_fetch(&self, id: LookupId) -> bool {
        let phase = self.lookups.get(&id).map(|lookup| &lookup.phase);
        matches!(phase, Some(Phase::Asking | Phase::Peeking { .. }))
    }

    /// Lets a lookup wait for a fetch that everybody was told of, if one runs and it has not waited for one before.
    pub(super) fn waits_afar(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) -> bool {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| !lookup.has_waited_afar) else { return false };
        let lease = self.running(&lookup.subject, now).filter(|lease| lease.is_hearsay());
        let Some(remaining) = lease.and_then(|lease| lease.until.since(now)) else { return false };
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.has_waited_afar = true;
        }
        self.wait(id, None, remaining, now, out);
        true
    }

    /// A member tells everybody that what it announced came to nothing. An answer that is for each to fetch all fetch at once; after a
    /// failure whoever waited asks its own owner, as if it had not heard.
    pub(super) fn withdrawn(
        &mut self,
        from: MemberId,
        subject: Subject,
        unshareable: bool,
        now: Millis,
        out: &mut Vec<Output>,
    ) {
        if !self.is_afar(&subject, from) {
            return;
        }
        self.fruitless.note(subject, unshareable, now);
        if unshareable { self.abandon(subject, true, now, out) } else { self.bereave(subject, now, out) }
    }

    /// What a member announced came to something that is of no use here: the 304 to an answer that this node lacks, say. Its own owner
    /// may have the rest.
    pub(super) fn concluded(&mut self, from: MemberId, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        if self.is_afar(&subject, from) {
            self.bereave(subject, now, out);
        }
    }

    fn is_afar(&self, subject: &Subject, from: MemberId) -> bool {
        self.leases.get(subject).is_some_and(|lease| lease.holder == Holder::Afar(from))
    }
}
