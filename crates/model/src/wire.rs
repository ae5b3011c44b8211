//! What members say to each other, before it is sealed.
//!
//! **Gossip** carries one [`Shared`]: a record signed by its author, with the age of what it confirms, computed when it is
//! sent. **Have-you-got** is a request and one response over a stream: [`Request`], [`Response`].
//!
//! A record's kind is a number beside opaque bytes, so that a version can ignore kinds that it does not know
//! ([`Record::Unknown`]) while it still verifies and relays their signatures. Fields are encoded by position: append only,
//! and give what is appended a `#[serde(default)]`.

use crate::cbor::{self, CborError};
use crate::digest::{Listing, Summaries, Wanted};
use crate::entry::Representation;
use crate::id::{BodyCid, Fingerprint, MemberId, Scope, WireKey};
use crate::limits;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Number that starts every seal's associated data and every signature: the protocol's major version.
pub const VERSION: u8 = 1;

/// An author's place in its own history: which start of the process, which record of that start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Who wrote it.
    pub author: MemberId,
    /// The author's persisted start counter.
    pub boot: u64,
    /// Counts from 1 within one start.
    pub sequence: u64,
}

/// A record as its author signed it; relayed without change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// Author, boot and sequence.
    pub stamp: Stamp,
    /// Kind number of the record.
    pub kind: u16,
    /// The record, encoded.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// Ed25519 signature by `stamp.author` over [`SignedRecord::signed_bytes`].
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl SignedRecord {
    /// The bytes that the author signs: domain, version, stamp, kind, payload.
    pub fn signed_bytes(stamp: &Stamp, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + payload.len());
        bytes.extend_from_slice(b"ghmesh/record\0");
        bytes.push(VERSION);
        bytes.extend_from_slice(&stamp.author.0);
        bytes.extend_from_slice(&stamp.boot.to_be_bytes());
        bytes.extend_from_slice(&stamp.sequence.to_be_bytes());
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Reads the record inside. Unknown kinds are a value, not an error.
    ///
    /// # Errors
    /// A known kind whose payload is malformed or breaks a limit.
    pub fn record(&self) -> Result<Record, CborError> {
        Record::from_parts(self.kind, &self.payload)
    }
}

/// What an author tells the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The origin answered 200: a representation and the author's validation of it.
    Stored(Stored),
    /// The origin answered 304: the same representation, confirmed again.
    Revalidated(Validation),
    /// A write may have changed these subtrees.
    Invalidated(Invalidated),
    /// What the origin said of a credential's rate limits.
    Budget(Budget),
    /// Its author is there.
    Presence(Presence),
    /// Its author fetches, or fetched in vain.
    Fetching(Fetching),
    /// A kind that this version does not know.
    Unknown(u16),
}

/// "GitHub confirmed representation `cid` of `key` for `fingerprint` at `origin_date`."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// K under the mesh key.
    pub key: WireKey,
    /// F.
    pub fingerprint: Fingerprint,
    /// The body that was confirmed.
    pub cid: BodyCid,
    /// The origin's `Date`, Unix seconds.
    pub origin_date: u64,
    /// Keyed from the credential itself over [`Validation::mac_input`]: only who presents that credential can make it or
    /// check it, so no member can forge permission for a credential that it never held.
    #[serde(with = "serde_bytes")]
    pub mac: Vec<u8>,
}

impl Validation {
    /// The bytes under the MAC: domain, version, K, F, CID, Date, author, boot, sequence, and for a `Stored` the headers.
    pub fn mac_input(&self, stamp: &Stamp, headers: &[(String, String)]) -> Vec<u8> {
        let mut bytes = b"ghmesh/validation\0".to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.fingerprint.0);
        bytes.extend_from_slice(&self.cid.0);
        bytes.extend_from_slice(&self.origin_date.to_be_bytes());
        bytes.extend_from_slice(&stamp.author.0);
        bytes.extend_from_slice(&stamp.boot.to_be_bytes());
        bytes.extend_from_slice(&stamp.sequence.to_be_bytes());
        for (name, value) in headers {
            for part in [name, value] {
                push_text(&mut bytes, part);
            }
        }
        bytes
    }
}

/// A representation and the validation that came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The body's name and the shareable headers.
    pub representation: Representation,
    /// The permission.
    pub validation: Validation,
    /// The subtrees it belongs to.
    pub scopes: Vec<Scope>,
}

/// Subtrees that a write may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidated {
    /// Each names a path and everything below it.
    pub scopes: Vec<Scope>,
}

/// What the origin said to its author of one credential's rate limits at one host, and that the author uses that credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The host, with its port where that isn't the scheme's own.
    pub host: String,
    /// F.
    pub fingerprint: Fingerprint,
    /// Each bucket whose window runs.
    pub buckets: Vec<Bucket>,
    /// Milliseconds, at sending, for which the origin has asked for silence; 0 where it hasn't.
    pub retry_after_ms: u64,
    /// Keyed from the credential itself over [`Budget::mac_input`], as a validation's: no member can speak of the limits of a
    /// credential that it never held.
    #[serde(with = "serde_bytes")]
    pub mac: Vec<u8>,
}

/// One bucket of a primary limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// As in `X-RateLimit-Resource`.
    pub name: String,
    /// Requests a window.
    pub limit: u64,
    /// What is left of them.
    pub remaining: u64,
    /// When it is full again, Unix seconds of the origin's clock.
    pub reset: u64,
    /// Milliseconds, at sending, since the request was sent whose answer said so.
    pub age_ms: u64,
}

impl Budget {
    /// The bytes under the MAC: domain, version, host, F, what is left of a wait, author, boot, sequence, and the buckets.
    pub fn mac_input(&self, stamp: &Stamp) -> Vec<u8> {
        let mut bytes = b"ghmesh/budget\0".to_vec();
        bytes.push(VERSION);
        push_text(&mut bytes, &self.host);
        bytes.extend_from_slice(&self.fingerprint.0);
        bytes.extend_from_slice(&self.retry_after_ms.to_be_bytes());
        bytes.extend_from_slice(&stamp.author.0);
        bytes.extend_from_slice(&stamp.boot.to_be_bytes());
        bytes.extend_from_slice(&stamp.sequence.to_be_bytes());
        for bucket in &self.buckets {
            push_text(&mut bytes, &bucket.name);
            for number in [bucket.limit, bucket.remaining, bucket.reset, bucket.age_ms] {
                bytes.extend_from_slice(&number.to_be_bytes());
            }
        }
        bytes
    }

    fn bounded(self) -> Result<Self, CborError> {
        within(self.host.len(), limits::MAX_HOST_BYTES)?;
        within(self.buckets.len(), limits::MAX_BUCKETS)?;
        for bucket in &self.buckets {
            within(bucket.name.len(), limits::MAX_BUCKET_NAME_BYTES)?;
        }
        Ok(self)
    }
}

/// That a member is there, and where it may be dialled. Its start counter stands in the record's stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Multiaddrs, the best first. Nobody vouches for them: only who answers there can prove whom they lead to.
    pub addresses: Vec<String>,
    /// Members that it is connected to.
    pub neighbours: u64,
}

impl Presence {
    fn bounded(self) -> Result<Self, CborError> {
        within(self.addresses.len(), limits::MAX_PRESENCE_ADDRESSES)?;
        for address in &self.addresses {
            within(address.len(), limits::MAX_ADDRESS_BYTES)?;
        }
        Ok(self)
    }
}

/// That its author asks the origin, or did so in vain: told where not everybody is a neighbour of everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetching {
    /// K under the mesh key.
    pub key: WireKey,
    /// F.
    pub fingerprint: Fingerprint,
    /// How far it is.
    pub stage: FetchStage,
    /// When that was, Unix seconds of the origin's clock as its author estimates it: who hears of it much later does not wait.
    pub at: u64,
    /// Keyed from the credential itself over [`Fetching::mac_input`], as a validation's: nobody makes the holders of a credential
    /// wait who never held it. Empty unless the fetch begins.
    #[serde(with = "serde_bytes")]
    pub mac: Vec<u8>,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchStage {
    /// It begins.
    Begun,
    /// It ended with nothing to share; another may try.
    Failed,
    /// The origin answered, with what no other node may have.
    Unshareable,
}

impl Fetching {
    /// The bytes under the MAC: domain, version, K, F, moment, author, boot, sequence.
    pub fn mac_input(&self, stamp: &Stamp) -> Vec<u8> {
        let mut bytes = b"ghmesh/fetching\0".to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.fingerprint.0);
        bytes.extend_from_slice(&self.at.to_be_bytes());
        bytes.extend_from_slice(&stamp.author.0);
        bytes.extend_from_slice(&stamp.boot.to_be_bytes());
        bytes.extend_from_slice(&stamp.sequence.to_be_bytes());
        bytes
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

const KIND_STORED: u16 = 1;
const KIND_REVALIDATED: u16 = 2;
const KIND_INVALIDATED: u16 = 3;
const KIND_BUDGET: u16 = 4;
const KIND_PRESENCE: u16 = 5;
const KIND_FETCHING: u16 = 6;

impl Record {
    /// The kind number and the encoded payload, as they are signed.
    ///
    /// # Panics
    /// For [`Record::Unknown`]: nobody authors what it does not know.
    pub fn to_parts(&self) -> (u16, Vec<u8>) {
        match self {
            Record::Stored(stored) => (KIND_STORED, cbor::encode(stored)),
            Record::Revalidated(validation) => (KIND_REVALIDATED, cbor::encode(validation)),
            Record::Invalidated(invalidated) => (KIND_INVALIDATED, cbor::encode(invalidated)),
            Record::Budget(budget) => (KIND_BUDGET, cbor::encode(budget)),
            Record::Presence(presence) => (KIND_PRESENCE, cbor::encode(presence)),
            Record::Fetching(fetching) => (KIND_FETCHING, cbor::encode(fetching)),
            Record::Unknown(kind) => unreachable!("nobody authors a record of the unknown kind {kind}"),
        }
    }

    fn from_parts(kind: u16, payload: &[u8]) -> Result<Self, CborError> {
        let limit = limits::MAX_GOSSIP_BYTES;
        let record = match kind {
            KIND_STORED => Record::Stored(cbor::decode::<Stored>(payload, limit)?.bounded()?),
            KIND_REVALIDATED => Record::Revalidated(cbor::decode(payload, limit)?),
            KIND_INVALIDATED => Record::Invalidated(cbor::decode::<Invalidated>(payload, limit)?.bounded()?),
            KIND_BUDGET => Record::Budget(cbor::decode::<Budget>(payload, limit)?.bounded()?),
            KIND_PRESENCE => Record::Presence(cbor::decode::<Presence>(payload, limit)?.bounded()?),
            KIND_FETCHING => Record::Fetching(cbor::decode(payload, limit)?),
            other => Record::Unknown(other),
        };
        Ok(record)
    }
}

impl Stored {
    fn bounded(self) -> Result<Self, CborError> {
        within(self.representation.headers.len(), limits::MAX_HEADERS)?;
        within(self.scopes.len(), limits::MAX_SCOPES)?;
        within(usize::try_from(self.representation.length).unwrap_or(usize::MAX), limits::MAX_BODY_BYTES as usize)?;
        for (name, value) in &self.representation.headers {
            within(name.len().max(value.len()), limits::MAX_HEADER_BYTES)?;
        }
        Ok(self)
    }
}

impl Invalidated {
    fn bounded(self) -> Result<Self, CborError> {
        within(self.scopes.len(), limits::MAX_SCOPES)?;
        Ok(self)
    }
}

fn within(length: usize, limit: usize) -> Result<(), CborError> {
    if length > limit { Err(CborError::TooLong { length, limit }) } else { Ok(()) }
}

/// A signed record on its way: with its age at sending, and its body where that is small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// As its author signed it.
    pub signed: SignedRecord,
    /// Milliseconds since the confirming request was sent to the origin (for an invalidation: since the write ended).
    /// Relays only add.
    pub age_ms: u64,
    /// The body, where it is at most [`limits::MAX_INLINE_BODY_BYTES`]. Verified by its CID, so it needs no signature.
    #[serde(with = "serde_bytes")]
    pub body: Option<Vec<u8>>,
}

/// A have-you-got request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// "Have you got a validation of this key for this credential, no older than this?"
    Have {
        /// K under the mesh key.
        key: WireKey,
        /// F.
        fingerprint: Fingerprint,
        /// Oldest confirmation that is of use, in milliseconds.
        max_age_ms: u64,
        /// Whether a lease is wanted if nobody has it; else the member only peeks, and the answer is `Have`, `Coming` or `No`.
        lease: bool,
    },
    /// "This is what you wait for": a record pushed to somebody who asked for it, or to its owner.
    Deliver {
        /// The `Stored` record, and the `Revalidated` one that extended it.
        records: Vec<Shared>,
    },
    /// "My fetch of this ended without an answer to share: do not wait for it."
    Release {
        /// K under the mesh key.
        key: WireKey,
        /// F.
        fingerprint: Fingerprint,
        /// Whether the origin answered, with what no other node may have: who waited needs a call of its own.
        #[serde(default)]
        unshareable: bool,
    },
    /// One chunk of a body.
    Body {
        /// The body.
        cid: BodyCid,
        /// First byte wanted.
        offset: u64,
    },
    /// "This is what I hold, in sums: what have you got that I lack?"
    Digest {
        /// The earliest `Date` of the origin, Unix seconds, of the answers in the sums. Writes are in them whatever their age.
        since: u64,
        /// One number for each bucket of items.
        summaries: Summaries,
    },
    /// "Send me these": items of a listing that was answered to a [`Request::Digest`].
    Pull {
        /// In the order in which they are wanted.
        wanted: Wanted,
    },
    /// "Prove that you hold the secret that this is sealed with": asked when other secrets were dropped. `mesh` answers.
    Renew {
        /// Random.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The records: a `Stored`, then the `Revalidated` that extended it, if any.
    Have {
        /// One or two records.
        records: Vec<Shared>,
    },
    /// Somebody fetches it; its answer will be delivered. Wait at most this long.
    Coming {
        /// Milliseconds.
        wait_ms: u64,
    },
    /// Nobody has it: you fetch it, and nobody else is told to until this has passed.
    Lease {
        /// Milliseconds.
        lease_ms: u64,
        /// Milliseconds that another credential's fetch of the same key may still take; its outcome will be delivered.
        behind_ms: Option<u64>,
        /// Without bodies, `Stored` records of the same key for other credentials: at most [`limits::MAX_KNOWN`], the latest
        /// first. What they name may be what the origin would answer; they permit nothing.
        known: Vec<Shared>,
    },
    /// Bytes of a body from the offset asked.
    Body {
        /// Length of the whole body.
        length: u64,
        /// At most [`limits::CHUNK_BYTES`] bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Received (to `Deliver` and `Release`).
    Ok,
    /// Not here: no such body, or this node can't say now. Go on without it.
    No,
    /// [`Response::No`], but what it has of the same key for other credentials, as in [`Response::Lease`].
    Known {
        /// Without bodies.
        records: Vec<Shared>,
    },
    /// What it holds in those buckets of a [`Request::Digest`] whose numbers differ, the most useful first.
    Digest {
        /// As asked. Where it is later, this node can't look as far back: the listing is empty, ask again with this.
        since: u64,
        /// At most [`limits::MAX_LISTED`].
        listing: Listing,
    },
    /// What a [`Request::Pull`] wanted, as much as fits.
    Pulled {
        /// Of an answer the `Stored` and the `Revalidated` that extended it; of a write the `Invalidated`.
        records: Vec<Shared>,
        /// How many of those wanted, from the first, are done with: in these records, or no longer here.
        dealt: u32,
    },
    /// To [`Request::Renew`].
    Proof {
        /// Random.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
        /// The gate's proof over both nonces and both ends of the connection.
        #[serde(with = "serde_bytes")]
        mac: [u8; 32],
    },
}
