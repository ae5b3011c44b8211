//! Fetches that are told to the whole fleet, where that is larger than this node's circle of neighbours: when is `fleet`'s decision
//! (`ghmesh_fleet`'s `state/afar.rs`), what travels is signed and checked here.

use crate::exchange::{Alias, Exchange};
use crate::members::Members;
use crate::node::Inner;
use ghmesh_fleet::{Input, Offence, Subject};
use ghmesh_model::wire::{FetchStage, Fetching, Record, Shared, Stamp};
use ghmesh_policy::{Credential, Read};

impl Exchange {
    /// Tells the whole fleet that a fetch begins, in the name of its credential.
    pub(crate) fn announce_fetch(&self, Alias { subject, ring }: &Alias, credential: &Credential) {
        let stamp = self.author.stamp();
        let mut fetching = fetching(*subject, FetchStage::Begun);
        fetching.mac = ring.validation_mac(credential.as_bytes(), &fetching.mac_input(&stamp)).to_vec();
        self.tell_of_fetch(stamp, fetching);
    }

    /// Tells the whole fleet that a fetch which it was told of came to nothing. It speaks of this author's own alone, so that it needs
    /// no credential's word.
    pub(crate) fn withdraw_fetch(&self, subject: Subject, unshareable: bool) {
        let stage = if unshareable { FetchStage::Unshareable } else { FetchStage::Failed };
        self.tell_of_fetch(self.author.stamp(), fetching(subject, stage));
    }

    fn tell_of_fetch(&self, stamp: Stamp, fetching: Fetching) {
        let signed = self.author.sign(stamp, &Record::Fetching(fetching));
        if let Err(full) = self.mesh.publish(Shared { signed, age_ms: 0, body: None }) {
            tracing::debug!(%full, "a fetch was not announced; others may fetch the same");
        }
    }

    /// Whether a holder of its credential announces this fetch, as far as can be told here.
    fn is_credible(&self, stamp: &Stamp, fetching: &Fetching) -> bool {
        self.presented.believes(fetching.fingerprint, &fetching.mac_input(stamp), &fetching.mac)
    }
}

fn fetching(Subject { key, fingerprint }: Subject, stage: FetchStage) -> Fetching {
    Fetching { key, fingerprint, stage, mac: Vec::new() }
}

impl Inner {
    /// Tells the whole fleet that the fetch for `read` begins.
    pub(crate) fn announce_fetch(&self, members: &Members, read: &Read) {
        if let Some(alias) = self.alias(read) {
            members.exchange.announce_fetch(&alias, self.identity(read));
        }
    }

    /// A member tells the whole fleet of its fetch. Nothing is stored, so it does not wait behind what is.
    pub(crate) fn hear_of_fetch(&self, members: &Members, stamp: &Stamp, fetching: &Fetching) {
        let from = stamp.author;
        let subject = Subject { key: fetching.key, fingerprint: fetching.fingerprint };
        members.coordinator.tell(match fetching.stage {
            FetchStage::Begun if members.exchange.is_credible(stamp, fetching) => Input::Announced { from, subject },
            FetchStage::Begun => {
                self.counts.records_refused.add();
                Input::Offended { member: from, offence: Offence::Garbage }
            }
            FetchStage::Failed => Input::Withdrawn { from, subject, unshareable: false },
            FetchStage::Unshareable => Input::Withdrawn { from, subject, unshareable: true },
        });
    }
}

#[cfg(test)]
mod tests;
