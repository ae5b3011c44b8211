//! Between the store and the mesh: what this node tells members of its entries, and what it takes from them.
//!
//! A record from a member becomes an **offer**: stored under (W, F), usable by nobody. When a caller presents the credential,
//! the offer's MAC can be checked ([`Exchange::vouched`]), and only then does it become an entry of that credential.

use crate::budgets::Said;
use crate::candidates::latest_of_each;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::presented::Presented;
use crate::pulse::Pulse;
use bytes::Bytes;
use ghmesh_fleet::{Offence, Subject};
use ghmesh_mesh::{Author, Mesh};
use ghmesh_model::wire::{Presence, Record, Shared, SignedRecord, Stamp, Stored, Validation};
use ghmesh_model::{
    Attestation, BodyFacts, CacheKey, Entry, Fingerprint, History, Millis, Scope, Source, WireKey, limits, time::millis,
};
use ghmesh_origin::Origin;
use ghmesh_policy::Credential;
use ghmesh_seal::KeyRing;
use ghmesh_store::{Group, Slot, Store};
use std::sync::Arc;
use std::time::Duration;

/// GitHub's `Date` counts whole seconds: what it confirms may be this much younger than it says.
const DATE_STEP: Duration = Duration::from_millis(999);

/// How far in the future a `Date` may lie: clocks of nodes that have not heard from the origin may be wrong by minutes.
const DATE_TOLERANCE: Duration = Duration::from_secs(15 * 60);

/// How far in the future a `Date` lies that no origin sent: one whose clock is an hour off serves no GitHub App, as their tokens
/// (RFC 7519) live for ten minutes.
const DATE_LIE: Duration = Duration::from_secs(60 * 60);

/// What became of a member's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// The store now holds a newer validation of this, confirmed at that moment of this node's timeline.
    Newer(Subject, Millis),
    /// What was held is as good.
    Known,
    /// Writes went to these subtrees, and ended then.
    Written(Vec<Scope>, Millis),
    /// Something about a credential's limits, whose MAC is yet to be checked.
    Said(Box<Said>),
    /// A kind from a later version.
    Unknown,
    /// Its author is there.
    Present(Presence),
    /// It contradicts itself or breaks a limit.
    Refused,
    /// Likewise, and what is wrong with it stands under its author's own signature.
    Untrue(Offence),
}

/// A key and a credential as holders of one mesh secret know them, and that secret's keys.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) subject: Subject,
    pub(crate) ring: KeyRing,
}

/// One mesh's keys and this node's pen, beside the store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) store: Store,
    pub(crate) origin: Origin,
    pub(crate) keys: Arc<Keys>,
    pub(crate) author: Arc<Author>,
    pub(crate) mesh: Mesh,
    pub(crate) clock: Clock,
    /// The first origin: whose clock `Date`s are compared with.
    pub(crate) authority: Arc<str>,
    /// What tells true validations of credentials that were presented here from forged ones.
    pub(crate) presented: Arc<Presented>,
    /// Whether what is read now may have waited for this process.
    pub(crate) pulse: Pulse,
}

impl Exchange {
    /// A key and a credential as they are shared.
    pub(crate) fn alias(&self, key: &CacheKey, credential: &Credential) -> Alias {
        self.alias_under(self.keys.leading(), key, credential)
    }

    /// All under which something of theirs may be stored here, the one above first: while secrets roll, members share under
    /// different ones.
    pub(crate) fn aliases(&self, key: &CacheKey, credential: &Credential) -> Vec<Alias> {
        let rings = self.keys.known(self.clock.now());
        rings.into_iter().map(|ring| self.alias_under(ring, key, credential)).collect()
    }

    fn alias_under(&self, ring: KeyRing, key: &CacheKey, credential: &Credential) -> Alias {
        let fingerprint = Fingerprint(ring.fingerprint(credential.as_bytes()));
        self.presented.note(fingerprint, || ring.validation_key(credential.as_bytes()));
        Alias { subject: Subject { key: WireKey(ring.wire_key(&key.0)), fingerprint }, ring }
    }

    /// Whether records speak of this key under a secret that is held now.
    pub(crate) fn is_of_now(&self, attestation: &Attestation, key: &CacheKey) -> bool {
        let Ok(Record::Stored(Stored { validation, .. })) = attestation.stored.record() else { return false };
        self.keys.held().iter().any(|ring| ring.wire_key(&key.0) == validation.key.0)
    }

    /// Whether records speak of `subject` under this mesh's present keys; after a new secret they don't.
    pub(crate) fn concerns(&self, attestation: &Attestation, subject: Subject) -> bool {
        match attestation.stored.record() {
            Ok(Record::Stored(Stored { validation, .. })) => {
                validation.key == subject.key && validation.fingerprint == subject.fingerprint
            }
            Ok(
                Record::Revalidated(_)
                | Record::Invalidated(_)
                | Record::Budget(_)
                | Record::Presence(_)
                | Record::Fetching(_)
                | Record::Unknown(_),
            )
            | Err(_) => false,
        }
    }

    // Telling.

    /// Signs a `Stored` record of an entry that this node just got from the origin.
    pub(crate) fn attest(&self, alias: &Alias, credential: &Credential, entry: &Entry) -> Attestation {
        let stamp = self.author.stamp();
        let validation = self.validation(alias, credential, entry, stamp, &entry.representation.headers);
        // What the body adds to the scopes is for each node to see for itself.
        let scopes = entry.scopes.iter().take(limits::MAX_SCOPES).copied().collect();
        let stored = Stored { representation: entry.representation.clone(), validation, scopes };
        Attestation { stored: self.author.sign(stamp, &Record::Stored(stored)), revalidated: None }
    }

    /// Signs a `Revalidated` record that extends `earlier`.
    pub(crate) fn attest_again(
        &self,
        alias: &Alias,
        credential: &Credential,
        entry: &Entry,
        earlier: Attestation,
    ) -> Attestation {
        let stamp = self.author.stamp();
        let validation = self.validation(alias, credential, entry, stamp, &[]);
        Attestation { revalidated: Some(self.author.sign(stamp, &Record::Revalidated(validation))), ..earlier }
    }

    fn validation(
        &self,
        Alias { subject, ring }: &Alias,
        credential: &Credential,
        entry: &Entry,
        stamp: Stamp,
        headers: &[(String, String)],
    ) -> Validation {
        let mut validation = Validation {
            key: subject.key,
            fingerprint: subject.fingerprint,
            cid: entry.representation.cid,
            origin_date: entry.origin_date,
            mac: Vec::new(),
        };
        let input = validation.mac_input(&stamp, headers);
        validation.mac = ring.validation_mac(credential.as_bytes(), &input).to_vec();
        validation
    }

    /// Tells the mesh of an entry: a 304 by its small record, a 200 with its body where that is small. Gossip is a hint:
    /// what is lost is asked for.
    pub(crate) fn publish(&self, entry: &Entry, body: Option<&Bytes>) {
        let Some(attestation) = &entry.attestation else { return };
        let age_ms = entry.age(self.clock.now()).map_or(0, millis);
        let shared = match &attestation.revalidated {
            Some(revalidated) => Shared { signed: revalidated.clone(), age_ms, body: None },
            None => Shared { signed: attestation.stored.clone(), age_ms, body: inline(body) },
        };
        if let Err(full) = self.mesh.publish(shared) {
            tracing::debug!(%full, "an entry was not announced; members will ask for it");
        }
    }

    /// Tells the mesh that these subtrees changed at that moment; gives the record, for members that come later.
    pub(crate) fn publish_write(&self, scopes: Vec<Scope>, at: Millis) -> SignedRecord {
        let record = Record::Invalidated(ghmesh_model::wire::Invalidated { scopes });
        let signed = self.author.sign(self.author.stamp(), &record);
        let age_ms = self.clock.now().since(at).map_or(0, millis);
        let shared = Shared { signed: signed.clone(), age_ms, body: None };
        if let Err(full) = self.mesh.publish(shared) {
            tracing::warn!(%full, "a write was not announced; members that are connected notice it when their entries expire");
        }
        signed
    }

    /// The records of what the store offers on `subject`, if it was confirmed within `max_age`.
    pub(crate) fn records(&self, subject: Subject, max_age: Duration) -> Option<Vec<Shared>> {
        let entry = self.store.entry(&offer_slot(subject))?;
        let small = entry.representation.length <= limits::MAX_INLINE_BODY_BYTES as u64;
        let body = if small { self.store.body(&entry.representation.cid) } else { None };
        self.records_of(&entry, body, max_age)
    }

    /// The same, without counting as a use.
    pub(crate) fn records_aside(&self, subject: Subject, max_age: Duration) -> Option<Vec<Shared>> {
        let entry = self.store.peek(&offer_slot(subject))?;
        let most = limits::MAX_INLINE_BODY_BYTES;
        let small = entry.representation.length <= most as u64;
        let body = if small { self.store.body_part(&entry.representation.cid, 0, most) } else { None };
        self.records_of(&entry, body.map(|(_, body)| body), max_age)
    }

    fn records_of(&self, entry: &Entry, body: Option<Bytes>, max_age: Duration) -> Option<Vec<Shared>> {
        let now = self.clock.now();
        // What is from before a restart may be older than this node's clock says.
        let confirmed_at = self.confirmed_at(millis(entry.age(now)?), entry.origin_date);
        let age = now.since(confirmed_at).filter(|age| *age < max_age)?;
        let attestation = entry.attestation.as_ref()?;
        let age_ms = millis(age);
        let stored = Shared { signed: attestation.stored.clone(), age_ms, body: inline(body.as_ref()) };
        let revalidated = attestation.revalidated.clone().map(|signed| Shared { signed, age_ms, body: None });
        Some([Some(stored), revalidated].into_iter().flatten().collect())
    }

    /// Records, without bodies, of what the store offers on the same key for other credentials: what they name may be what
    /// GitHub would answer.
    pub(crate) fn known(&self, subject: Subject) -> Vec<Shared> {
        let mut entries = self.store.known(&Group::Wire(subject.key));
        entries.retain(|(slot, _)| *slot != offer_slot(subject));
        let now = self.clock.now();
        let shared = latest_of_each(entries, None).into_iter().filter_map(|entry| {
            let signed = entry.attestation.as_ref()?.stored.clone();
            Some(Shared { signed, age_ms: millis(entry.age(now)?), body: None })
        });
        shared.take(limits::MAX_KNOWN).collect()
    }

    // Listening.

    /// Takes a record whose author's signature the mesh has verified. Returns once it is stored.
    pub(crate) async fn receive(&self, shared: Shared) -> Receipt {
        match shared.signed.record() {
            Ok(Record::Stored(stored)) => self.receive_stored(stored, shared).await,
            Ok(Record::Revalidated(validation)) => self.receive_revalidated(validation, shared).await,
            Ok(Record::Invalidated(invalidated)) => {
                let at = self.clock.now().before(Duration::from_millis(shared.age_ms));
                Receipt::Written(invalidated.scopes, at)
            }
            Ok(Record::Budget(budget)) => {
                let at = self.clock.now().before(Duration::from_millis(shared.age_ms));
                Receipt::Said(Box::new(Said { budget, stamp: shared.signed.stamp, at }))
            }
            Ok(Record::Presence(presence)) => Receipt::Present(presence),
            // A fetch is told to all at once, or not at all.
            Ok(Record::Fetching(_) | Record::Unknown(_)) => Receipt::Unknown,
            Err(error) => {
                tracing::debug!(%error, author = %shared.signed.stamp.author, "refused a record");
                Receipt::Untrue(Offence::Garbage)
            }
        }
    }

    async fn receive_stored(&self, stored: Stored, shared: Shared) -> Receipt {
        let Stored { representation, validation, scopes } = stored;
        let body = shared.body.map(Bytes::from);
        let contradicts = |body: &Bytes| body.len() as u64 != representation.length || !validation.cid.names(body);
        if validation.cid != representation.cid {
            return Receipt::Untrue(Offence::Garbage);
        }
        // The body is not under the signature: who relayed it may have changed it.
        if body.as_ref().is_some_and(contradicts) {
            return Receipt::Refused;
        }
        if let Some(objection) = self.objection(&validation, &shared.signed.stamp, &representation.headers) {
            return objection;
        }
        let subject = Subject { key: validation.key, fingerprint: validation.fingerprint };
        let confirmed_at = self.confirmed_at(shared.age_ms, validation.origin_date);
        let entry = Entry {
            representation,
            etag: None,
            origin_date: validation.origin_date,
            confirmed_at,
            scopes,
            source: Source::Peer,
            attestation: Some(Attestation { stored: shared.signed, revalidated: None }),
            target: String::new(),
            facts: BodyFacts::default(),
            history: History::default(),
        };
        self.keep_newer(subject, entry, body).await
    }

    async fn receive_revalidated(&self, validation: Validation, shared: Shared) -> Receipt {
        if let Some(objection) = self.objection(&validation, &shared.signed.stamp, &[]) {
            return objection;
        }
        let subject = Subject { key: validation.key, fingerprint: validation.fingerprint };
        let Some(held) = self.store.peek(&offer_slot(subject)) else { return Receipt::Known };
        let Some(attestation) = held.attestation.clone() else { return Receipt::Known };
        if held.representation.cid != validation.cid {
            return Receipt::Known;
        }
        let entry = Entry {
            origin_date: validation.origin_date,
            confirmed_at: self.confirmed_at(shared.age_ms, validation.origin_date),
            source: Source::Peer,
            attestation: Some(Attestation { revalidated: Some(shared.signed), ..attestation }),
            ..(*held).clone()
        };
        self.keep_newer(subject, entry, None).await
    }

    /// What speaks against a validation: it is from the future, or was not made by a holder of its credential, which can be told
    /// where that credential was presented here. So nobody forges away what a node uses.
    fn objection(&self, validation: &Validation, stamp: &Stamp, headers: &[(String, String)]) -> Option<Receipt> {
        let input = validation.mac_input(stamp, headers);
        if !self.presented.believes(validation.fingerprint, &input, &validation.mac) {
            return Some(Receipt::Untrue(Offence::Garbage));
        }
        let is_beyond = |tolerance| validation.origin_date > self.github_now().after(tolerance).0 / 1000;
        let knows_time = self.origin.github_time(&self.authority, self.clock.now()).is_some();
        match is_beyond(DATE_TOLERANCE) {
            true if knows_time && is_beyond(DATE_LIE) => Some(Receipt::Untrue(Offence::WrongAge)),
            true => Some(Receipt::Refused),
            false => None,
        }
    }

    /// The time at the origin; before this node has heard from it, its own clock is the best estimate.
    pub(crate) fn github_now(&self) -> Millis {
        let now = self.clock.now();
        self.origin.github_time(&self.authority, now).unwrap_or(now)
    }

    /// Stores an offer, unless what is held says as much already.
    async fn keep_newer(&self, subject: Subject, entry: Entry, body: Option<Bytes>) -> Receipt {
        let slot = offer_slot(subject);
        let cid = entry.representation.cid;
        let joined = match self.store.peek(&slot) {
            Some(held) => {
                let lacks_body = body.is_some() && !self.store.has_body(&held.representation.cid);
                let joined = (*held).clone().joined(entry.clone());
                if joined == *held && !lacks_body {
                    return Receipt::Known;
                }
                if joined.is_disputed() {
                    // Neither permits anything; the body heard of last is the likelier answer when the origin is asked.
                    Entry { confirmed_at: joined.confirmed_at, attestation: None, ..entry }
                } else {
                    joined
                }
            }
            None => entry,
        };
        let body = body.filter(|_| joined.representation.cid == cid);
        let (confirmed_at, is_disputed) = (joined.confirmed_at, joined.is_disputed());
        match self.store.put_unsynced(slot, joined, body).await {
            Ok(()) if is_disputed => Receipt::Known,
            Ok(()) => Receipt::Newer(subject, confirmed_at),
            Err(error) => {
                tracing::warn!(%error, "a member's record could not be stored");
                Receipt::Known
            }
        }
    }

    /// When a confirmation of that age was sent, on this node's timeline. An age is never less than the time since the
    /// response's `Date`, whatever a member claims, and counts from before a pause of this process.
    pub(crate) fn confirmed_at(&self, age_ms: u64, origin_date: u64) -> Millis {
        let now = self.clock.now();
        let date = latest_of_date(origin_date);
        let by_date = self.github_now().since(date).unwrap_or_default();
        now.before(by_date.max(Duration::from_millis(age_ms).saturating_add(self.pulse.delay(now))))
    }

    // Trusting.

    /// Whether who holds `credential` made the validations behind this offer: the one thing that makes it usable.
    pub(crate) fn vouched(alias: &Alias, credential: &Credential, entry: &Entry) -> bool {
        let Some(attestation) = &entry.attestation else { return false };
        let Ok(Record::Stored(stored)) = attestation.stored.record() else { return false };
        let stored_holds = stored.representation == entry.representation
            && alias.is_made_by(credential, entry, &stored.validation, &attestation.stored, Some(&stored));
        let revalidated_holds = attestation.revalidated.as_ref().is_none_or(|signed| match signed.record() {
            Ok(Record::Revalidated(validation)) => alias.is_made_by(credential, entry, &validation, signed, None),
            Ok(
                Record::Stored(_)
                | Record::Invalidated(_)
                | Record::Budget(_)
                | Record::Presence(_)
                | Record::Fetching(_)
                | Record::Unknown(_),
            )
            | Err(_) => false,
        });
        stored_holds && revalidated_holds
    }
}

impl Alias {
    /// Whether a holder of `credential` made this validation of the entry.
    fn is_made_by(
        &self,
        credential: &Credential,
        entry: &Entry,
        validation: &Validation,
        signed: &SignedRecord,
        stored: Option<&Stored>,
    ) -> bool {
        let headers = stored.map_or(&[][..], |stored| &stored.representation.headers);
        let input = validation.mac_input(&signed.stamp, headers);
        validation.key == self.subject.key
            && validation.fingerprint == self.subject.fingerprint
            && validation.cid == entry.representation.cid
            && validation.origin_date <= entry.origin_date
            && self.ring.verify_validation(credential.as_bytes(), &input, &validation.mac)
    }
}

/// The latest moment of the origin's clock that this `Date`, in seconds, stands for.
pub(crate) fn latest_of_date(origin_date: u64) -> Millis {
    Millis(origin_date.saturating_mul(1000)).after(DATE_STEP)
}

/// Where a subject's offer is stored.
pub(crate) fn offer_slot(subject: Subject) -> Slot {
    Slot::Offer(subject.key, subject.fingerprint)
}

fn inline(body: Option<&Bytes>) -> Option<Vec<u8>> {
    body.filter(|body| body.len() <= limits::MAX_INLINE_BODY_BYTES).map(|body| body.to_vec())
}

#[cfg(test)]
mod tests;
