//! What a node holds for one key and one credential.

use crate::id::{BodyCid, Scope};
use crate::time::Millis;
use crate::wire::SignedRecord;
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
}

impl Entry {
    /// How old the confirmation is. `None` where it lies in the future: unknown, so expired.
    pub fn age(&self, now: Millis) -> Option<Duration> {
        now.since(self.confirmed_at)
    }

    /// The first value of a shared header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.representation.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}
