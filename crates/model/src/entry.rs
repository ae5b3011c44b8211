//! What a node holds for one key and one credential.

use crate::id::{BodyCid, Scope, ValidationCid};
use crate::time::Millis;
use crate::wire::{SignedRecord, Stamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One body's name and the headers that may be shared with it. The body itself is stored once per CID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Representation {
    /// Names the body.
    pub cid: BodyCid,
    /// Length of the body in bytes.
    pub length: u64,
    /// Shareable response headers (names in lower case), in the order received: content-type, link, last-modified,
    /// vary, cache-control and their like; never quotas, scopes, cookies or ETags.
    pub headers: Vec<(String, String)>,
}

/// Where an entry's validation came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// This node asked the origin.
    Own,
    /// A peer did. The first answer given from it is a peer hit, later ones are local.
    Peer,
}

/// The moment of a confirmation that nobody knows: so long ago that it permits nothing.
const UNKNOWN: Millis = Millis(0);

/// The signed records behind an entry, kept so that they can be handed on and verified by whoever receives them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The `Stored` record.
    pub stored: SignedRecord,
    /// The latest `Revalidated` record that extended it, if any.
    pub revalidated: Option<SignedRecord>,
}

/// A validated representation, as kept at rest for one (key, credential).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was confirmed.
    pub representation: Representation,
    /// The ETag that the origin gave to *this* credential. Never leaves the node: it is a hash over the credential.
    pub etag: Option<String>,
    /// The origin's `Date` of the confirming response, in Unix seconds. Orders versions within one (key, credential).
    pub origin_date: u64,
    /// When the confirming request was *sent*, on this node's timeline; for a peer's entry, now minus its age. Counting
    /// from the sending makes the age an upper bound and tells whether a write came in between.
    pub confirmed_at: Millis,
    /// The path prefixes that it belongs to: what an invalidation can name.
    pub scopes: Vec<Scope>,
    /// Where the validation came from.
    pub source: Source,
    /// The records to hand on. `None` where the credential's fingerprint must not leave the node, or the mesh is off.
    pub attestation: Option<Attestation>,
    /// `host/path?query`, for the operator's eyes only. Empty for an entry that nobody here has asked for yet.
    pub target: String,
    /// What the body says about how long it lasts.
    #[serde(default)]
    pub facts: BodyFacts,
    /// How often confirming found a change.
    #[serde(default)]
    pub history: History,
}

/// What was read out of a body once, when it was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyFacts {
    /// Whether what it describes has come to its end (a run that completed, an issue that was closed).
    pub settled: Settled,
    /// Names the validation fields in it; `None` where it has none, or nobody has looked yet.
    pub validation: Option<ValidationCid>,
}

/// Whether what a body describes is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// It goes on, or nothing is known.
    #[default]
    Open,
    /// It is over, but may be taken up again.
    Over,
    /// It is over for good.
    Final,
}

/// How often one resource was confirmed and how often it had not changed, over which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Confirmations, the first fetch not counted.
    pub checks: u16,
    /// Those of them that found the same body.
    pub unchanged: u16,
    /// The time between the first and the last of them, in milliseconds.
    pub observed_ms: u64,
}

impl Entry {
    /// How old the confirmation is. `None` where it lies in the future: unknown, so expired.
    pub fn age(&self, now: Millis) -> Option<Duration> {
        now.since(self.confirmed_at)
    }

    /// What two entries for one key and credential say together. The later `Date` counts. Two bodies of one second can't be
    /// ordered, so one of them is kept, the same whoever meets which first, and its confirmation counts as unknown: the origin
    /// has to be asked. In what it says (date, body, moment) this is commutative, associative and idempotent, so that nodes
    /// that have heard the same agree, in whatever order it came and however often.
    #[must_use]
    pub fn joined(self, other: Entry) -> Entry {
        if self.origin_date != other.origin_date {
            return if self.origin_date > other.origin_date { self } else { other };
        }
        let disputed = self.representation.cid != other.representation.cid || self.is_disputed() || other.is_disputed();
        let rank = |entry: &Entry| (entry.representation.cid, entry.confirmed_at, entry.latest_stamp());
        let kept = if rank(&other) > rank(&self) { other } else { self };
        if disputed { Entry { confirmed_at: UNKNOWN, attestation: None, ..kept } } else { kept }
    }

    /// Whether another body was confirmed in the same second, so that nobody can tell which is the later.
    pub fn is_disputed(&self) -> bool {
        self.confirmed_at == UNKNOWN
    }

    fn latest_stamp(&self) -> Option<Stamp> {
        let attestation = self.attestation.as_ref()?;
        Some(attestation.revalidated.as_ref().unwrap_or(&attestation.stored).stamp)
    }

    /// The first value of a shared header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.representation.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::cbor;
    use crate::id::MemberId;
    use proptest::prelude::*;

    /// Few dates, bodies, moments and authors, so that they meet.
    fn any_entry() -> impl Strategy<Value = Entry> {
        (0..3_u64, 0..3_u8, 1..4_u64, 0..3_u8).prop_map(|(origin_date, body, confirmed_at, author)| {
            let stamp = Stamp { author: MemberId([author; 32]), boot: 1, sequence: 1 };
            let stored = SignedRecord { stamp, kind: 1, payload: Vec::new(), signature: Vec::new() };
            Entry {
                representation: Representation { cid: BodyCid::of(&[body]), length: 1, headers: Vec::new() },
                etag: None,
                origin_date,
                confirmed_at: Millis(confirmed_at),
                scopes: Vec::new(),
                source: Source::Peer,
                attestation: Some(Attestation { stored, revalidated: None }),
                target: String::new(),
                facts: BodyFacts::default(),
                history: History::default(),
            }
        })
    }

    fn joined(entries: &[Entry]) -> Entry {
        entries.iter().cloned().reduce(Entry::joined).unwrap()
    }

    proptest! {
        #[test]
        fn the_order_and_number_of_times_in_which_entries_come_does_not_matter(
            (entries, shuffled) in proptest::collection::vec(any_entry(), 1..8).prop_flat_map(|entries| {
                let twice = [entries.clone(), entries.clone()].concat();
                (Just(entries), Just(twice).prop_shuffle())
            })
        ) {
            prop_assert_eq!(joined(&entries), joined(&shuffled));
        }

        #[test]
        fn joining_is_associative_commutative_and_idempotent(a in any_entry(), b in any_entry(), c in any_entry()) {
            let (left, right) = (a.clone().joined(b.clone()).joined(c.clone()), a.clone().joined(b.clone().joined(c)));
            prop_assert_eq!(left, right);
            prop_assert_eq!(a.clone().joined(b.clone()), b.joined(a.clone()));
            prop_assert_eq!(a.clone().joined(a.clone()), a);
        }

        #[test]
        fn two_bodies_of_one_second_permit_nothing_and_a_later_one_ends_the_dispute(a in any_entry(), b in any_entry()) {
            let together = a.clone().joined(b.clone());
            let disputed = a.origin_date == b.origin_date && a.representation.cid != b.representation.cid;
            prop_assert_eq!(together.is_disputed(), disputed);
            prop_assert!(!disputed || together.attestation.is_none());
            let later = Entry { origin_date: 9, ..a };
            prop_assert_eq!(together.joined(later.clone()), later);
        }
    }

    /// What an entry was before it knew facts and a history.
    #[derive(Serialize)]
    struct Earlier {
        representation: Representation,
        etag: Option<String>,
        origin_date: u64,
        confirmed_at: Millis,
        scopes: Vec<Scope>,
        source: Source,
        attestation: Option<Attestation>,
        target: String,
    }

    #[test]
    fn an_entry_kept_by_an_earlier_version_is_read_as_one_that_nothing_is_known_of() {
        let earlier = Earlier {
            representation: Representation { cid: BodyCid::of(b"{}"), length: 2, headers: Vec::new() },
            etag: Some("\"a\"".to_owned()),
            origin_date: 1,
            confirmed_at: Millis(1000),
            scopes: Vec::new(),
            source: Source::Own,
            attestation: None,
            target: "api.github.com/user".to_owned(),
        };
        let read: Entry = cbor::decode(&cbor::encode(&earlier), 1024).unwrap();
        assert_eq!((read.facts, read.history), (BodyFacts::default(), History::default()));
        assert_eq!(read.target, earlier.target);
    }
}
