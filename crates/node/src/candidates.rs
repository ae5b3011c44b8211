//! Bodies that may be what GitHub would answer a caller, for whomever they were fetched. They permit nothing: GitHub says with
//! a 304 which of them the caller may have.

use crate::exchange::offer_slot;
use crate::node::Inner;
use crate::origin_call::{HASH_INLINE_BYTES, Kept};
use bytes::Bytes;
use ghmesh_model::{BodyCid, Entry, Source};
use ghmesh_policy::etag::Hashed;
use ghmesh_policy::offer::{self, Candidate, Offer, Provenance};
use ghmesh_policy::routes::List;
use ghmesh_policy::{CredentialKind, Read, Route, pagination};
use ghmesh_store::{Group, Slot};
use std::sync::Arc;
use std::time::Duration;

/// Bodies that are pulled from members for one call: the latest ones. The rest is offered only where it is here already.
const MAX_PULLED: usize = 2;

/// Longest that one call waits for such bodies. One that takes longer costs a charged call, which is what it was to save.
const PULL_PATIENCE: Duration = Duration::from_secs(1);

impl Inner {
    /// What is offered for confirmation in a call for `read`: the caller's own entry first, then what was fetched for others,
    /// the latest first, then on lists the empty one.
    pub(crate) async fn offers(&self, read: &Read, kept: Option<&Kept>) -> Vec<Offer> {
        // A 304 costs an anonymous caller as much as a 200, and the page behind a full one as much again. GraphQL has none.
        if read.credential.kind() == CredentialKind::Anonymous || read.graphql.is_some() {
            return Vec::new();
        }
        let hashed = self.formulas.hashed(read);
        let mut candidates: Vec<Candidate> = kept.map(|kept| self.own(read, kept)).into_iter().collect();
        if self.borrows(read) && hashed.is_some() {
            candidates.extend(self.borrowed(read, kept).await);
            if Route::of(&read.target).list == List::Array {
                candidates.push(Candidate::empty_list());
            }
        }
        let can_probe = hashed.is_some() && pagination::next_page(read).is_some();
        candidates.retain(|candidate| {
            can_probe || !pagination::may_have_grown(read, &candidate.representation, &candidate.body)
        });
        hashed_offers(read, candidates, hashed).await
    }

    /// Whether other credentials' bodies may help. An anonymous caller pays for a 304 as for a 200, and GraphQL has none.
    pub(crate) fn borrows(&self, read: &Read) -> bool {
        let asks_for_304 = read.credential.kind() != CredentialKind::Anonymous && read.graphql.is_none();
        self.config.sharing.borrows() && asks_for_304
    }

    /// Whether an answer to `read` is everybody's.
    pub(crate) fn is_common(&self, read: &Read) -> bool {
        self.config.sharing.is_common(read)
    }

    /// The caller's own entry. What GitHub said to this node about it holds for the credential to which it was said.
    fn own(&self, read: &Read, (entry, body): &Kept) -> Candidate {
        let etag = if self.is_common(read) {
            self.tags.of(self, read, &entry.representation.cid)
        } else {
            entry.etag.clone().filter(|_| entry.source == Source::Own)
        };
        match etag {
            Some(etag) => Candidate { provenance: Provenance::Own { etag }, ..borrowed(entry, body.clone()) },
            None => borrowed(entry, body.clone()),
        }
    }

    /// What was fetched for other credentials, here or elsewhere.
    async fn borrowed(&self, read: &Read, kept: Option<&Kept>) -> Vec<Candidate> {
        let mut entries = self.store.known(&Group::Local(read.key));
        let mut mine = vec![self.slot(read)];
        for alias in self.aliases(read) {
            entries.extend(self.store.known(&Group::Wire(alias.subject.key)));
            mine.push(offer_slot(alias.subject));
        }
        entries.retain(|(slot, _)| !mine.contains(slot));
        let entries = latest_of_each(entries, kept.map(|(entry, _)| entry.representation.cid));
        let bodies = tokio::time::timeout(PULL_PATIENCE, self.bodies_of(&entries)).await;
        let bodies =
            bodies.unwrap_or_else(|_| entries.iter().map(|entry| self.store.body(&entry.representation.cid)).collect());
        entries.iter().zip(bodies).filter_map(|(entry, body)| Some(borrowed(entry, body?))).collect()
    }

    async fn bodies_of(&self, entries: &[Arc<Entry>]) -> Vec<Option<Bytes>> {
        let mut pulls = MAX_PULLED;
        let mut bodies = Vec::with_capacity(entries.len());
        for entry in entries {
            let here = self.store.body(&entry.representation.cid);
            bodies.push(match (here, self.members.get()) {
                (None, Some(members)) if pulls > 0 => {
                    pulls -= 1;
                    members.pull(entry, None).await
                }
                (here, _) => here,
            });
        }
        bodies
    }
}

/// Computes the ETags: of large bodies on a thread where nobody waits.
async fn hashed_offers(read: &Read, candidates: Vec<Candidate>, hashed: Option<Hashed>) -> Vec<Offer> {
    let bytes: usize = candidates.iter().map(|candidate| candidate.body.len()).sum();
    if bytes <= HASH_INLINE_BYTES {
        return offer::offers(read, candidates, hashed);
    }
    let read = read.clone();
    let offers = tokio::task::spawn_blocking(move || offer::offers(&read, candidates, hashed)).await;
    // Without offers the call is charged, and right.
    offers.unwrap_or_default()
}

fn borrowed(entry: &Entry, body: Bytes) -> Candidate {
    let provenance = match entry.source {
        Source::Own => Provenance::Here,
        Source::Peer => Provenance::Peer,
    };
    Candidate { representation: entry.representation.clone(), body, provenance }
}

/// One entry of each body but the caller's own, the latest confirmed first; of several the one whose headers GitHub gave here.
pub(crate) fn latest_of_each(mut entries: Vec<(Slot, Arc<Entry>)>, own: Option<BodyCid>) -> Vec<Arc<Entry>> {
    entries.sort_by_key(|(_, entry)| (std::cmp::Reverse(entry.confirmed_at), entry.source == Source::Peer));
    let mut chosen: Vec<Arc<Entry>> = Vec::new();
    for (_, entry) in entries {
        let cid = entry.representation.cid;
        match chosen.iter().position(|earlier| earlier.representation.cid == cid) {
            Some(index) if chosen[index].source == Source::Peer && entry.source == Source::Own => chosen[index] = entry,
            Some(_) => {}
            None if own != Some(cid) && chosen.len() < offer::MAX_OFFERS => chosen.push(entry),
            None => {}
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
