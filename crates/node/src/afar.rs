//! Fetches that are told to the whole fleet, where that is larger than this node's circle of neighbours: when is `fleet`'s decision
//! (`ghmesh_fleet`'s `state/afar.rs`), what travels is signed and checked here.

use crate::exchange::{Alias, Exchange};
use crate::members::Members;
use crate::node::Inner;
use ghmesh_fleet::{Input, Offence, Subject};
use ghmesh_model::wire::{FetchStage, Fetching, Record, Shared, SignedRecord, Stamp};
use ghmesh_policy::{Credential, Read};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How far from now, in seconds of the origin's clock, a fetch may be said to begin: that counts whole seconds and is estimated, and
/// gossip is quick. What is told of later, or again, keeps nobody waiting.
const TIMELY_SECONDS: u64 = 5;

/// Fetches that wait for their credential to be presented.
const MAX_PARKED: usize = 1024;

/// Fetches that were told of for credentials that nobody has presented here yet: who made the MAC can't be told before. The latest are kept.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<VecDeque<(Stamp, Fetching)>>);

impl Parked {
    fn note(&self, stamp: Stamp, fetching: Fetching) {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.len() == MAX_PARKED {
            parked.pop_front();
        }
        parked.push_back((stamp, fetching));
    }

    /// Those of `subject`.
    fn take(&self, subject: Subject) -> Vec<(Stamp, Fetching)> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = |(_, fetching): &(Stamp, Fetching)| subject_of(fetching) == subject;
        let (taken, left) = std::mem::take(&mut *parked).into_iter().partition(of_it);
        *parked = left;
        Vec::from(taken)
    }
}

fn subject_of(&Fetching { key, fingerprint, .. }: &Fetching) -> Subject {
    Subject { key, fingerprint }
}

impl Exchange {
    /// Tells the whole fleet that a fetch begins, in the name of its credential.
    pub(crate) fn announce_fetch(&self, Alias { subject, ring }: &Alias, credential: &Credential) {
        let stamp = self.author.stamp();
        let mut fetching = self.fetching(*subject, FetchStage::Begun);
        fetching.mac = ring.validation_mac(credential.as_bytes(), &fetching.mac_input(&stamp)).to_vec();
        self.tell_of_fetch(stamp, fetching);
    }

    /// Tells the whole fleet that a fetch which it was told of came to nothing. It speaks of this author's own alone, so that it needs
    /// no credential's word.
    pub(crate) fn withdraw_fetch(&self, subject: Subject, unshareable: bool) {
        let stage = if unshareable { FetchStage::Unshareable } else { FetchStage::Failed };
        self.tell_of_fetch(self.author.stamp(), self.fetching(subject, stage));
    }

    fn fetching(&self, Subject { key, fingerprint }: Subject, stage: FetchStage) -> Fetching {
        Fetching { key, fingerprint, stage, at: self.github_now().0 / 1000, mac: Vec::new() }
    }

    fn tell_of_fetch(&self, stamp: Stamp, fetching: Fetching) {
        let signed = self.author.sign(stamp, &Record::Fetching(fetching));
        if let Err(full) = self.mesh.publish(Shared { signed, age_ms: 0, body: None }) {
            tracing::debug!(%full, "a fetch was not announced; others may fetch the same");
        }
    }

    fn is_timely(&self, fetching: &Fetching) -> bool {
        fetching.at.abs_diff(self.github_now().0 / 1000) <= TIMELY_SECONDS
    }

    /// Whether a holder of its credential announces this fetch. `None`: nobody here can tell.
    fn is_genuine(&self, stamp: &Stamp, fetching: &Fetching) -> Option<bool> {
        self.presented.knows(fetching.fingerprint, &fetching.mac_input(stamp), &fetching.mac)
    }
}

impl Inner {
    /// Tells the whole fleet that the fetch for `read` begins.
    pub(crate) fn announce_fetch(&self, members: &Members, read: &Read) {
        if let Some(alias) = self.alias(read) {
            members.exchange.announce_fetch(&alias, self.identity(read));
        }
    }

    /// A member tells the whole fleet of its fetch. Nothing is stored, so it does not wait behind what is.
    pub(crate) fn hear_of_fetch(&self, members: &Members, stamp: &Stamp, fetching: Fetching) {
        let (from, subject) = (stamp.author, subject_of(&fetching));
        let input = match fetching.stage {
            FetchStage::Begun if !members.exchange.is_timely(&fetching) => return,
            FetchStage::Begun => match members.exchange.is_genuine(stamp, &fetching) {
                Some(true) => Input::Announced { from, subject },
                Some(false) => {
                    self.counts.records_refused.add();
                    Input::Offended { member: from, offence: Offence::Garbage }
                }
                None => return members.parked.note(*stamp, fetching),
            },
            FetchStage::Failed => Input::Withdrawn { from, subject, unshareable: false },
            FetchStage::Unshareable => Input::Withdrawn { from, subject, unshareable: true },
        };
        members.coordinator.tell(input);
    }

    /// A credential was presented, for this: what was told of its fetch before can be checked now.
    pub(crate) fn recall_fetch(&self, members: &Members, subject: Subject) {
        for (stamp, fetching) in members.parked.take(subject) {
            self.hear_of_fetch(members, &stamp, fetching);
        }
    }

    /// A member's record is of no use here. If it announced the fetch that brought it, whoever waits asks elsewhere.
    pub(crate) fn conclude_fetch(&self, members: &Members, signed: &SignedRecord) {
        let validation = match signed.record() {
            Ok(Record::Stored(stored)) => stored.validation,
            Ok(Record::Revalidated(validation)) => validation,
            _ => return,
        };
        let subject = Subject { key: validation.key, fingerprint: validation.fingerprint };
        members.coordinator.tell(Input::Concluded { from: signed.stamp.author, subject });
    }
}

#[cfg(test)]
mod tests;
