//! How many bytes messages have: records as the real encoding makes them, in an envelope, in gossipsub's frame.

use crate::asked::Asked;
use ghmesh_model::wire::{
    Bucket, Budget, FetchStage, Fetching, Invalidated, Presence, Record, Request, Response, Shared, SignedRecord,
    Stamp, Stored, Validation,
};
use ghmesh_model::{BodyCid, Fingerprint, MemberId, Representation, WireKey, cbor, limits};

/// An envelope: version, nonce, authentication tag. See `ghmesh_seal`.
const ENVELOPE: u64 = 1 + 24 + 16;
/// The topic's name (64 characters at most) and protobuf's fields around a message.
const FRAME: u64 = 64 + 12;
/// A request's or an answer's id and length.
const STREAM: u64 = 16 + 6;
/// One message id in gossipsub's `IHAVE` or `IWANT`: a SHA-256 and its field.
pub(crate) const MESSAGE_ID: u64 = 32 + 2;
/// One entry of a digest: a hashed key, a fingerprint's part, a `Date`.
pub(crate) const DIGEST_ENTRY: u64 = 48;

/// Bytes of each kind of message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Gossip: a representation with its body, where that is small enough to ride along.
    pub(crate) stored: u64,
    /// Gossip: the same one, confirmed again.
    pub(crate) revalidated: u64,
    /// Gossip: a write.
    pub(crate) invalidated: u64,
    /// Gossip: limits.
    pub(crate) budget: u64,
    /// Gossip: a fetch that begins.
    pub(crate) fetching: u64,
    /// Gossip: a member that lives.
    pub(crate) presence: u64,
    pub(crate) ask: u64,
    /// An answer without records, or a release.
    pub(crate) word: u64,
}

impl Sizes {
    pub(crate) fn of(asked: &Asked, body_bytes: usize) -> Self {
        let validation = validation();
        let headers = [
            ("cache-control", "private, max-age=60, s-maxage=60"),
            ("content-type", "application/json; charset=utf-8"),
            ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let representation = Representation { cid: BodyCid([1; 32]), length: body_bytes as u64, headers };
        let scopes = asked.entry.scopes.clone();
        let body = (body_bytes <= limits::MAX_INLINE_BODY_BYTES).then(|| vec![b'x'; body_bytes]);
        let stored = Record::Stored(Stored { representation, validation: validation.clone(), scopes });
        Sizes {
            stored: gossip(&stored, body),
            revalidated: gossip(&Record::Revalidated(validation), None),
            invalidated: gossip(&Record::Invalidated(Invalidated { scopes: asked.written.clone() }), None),
            budget: gossip(&Record::Budget(budget()), None),
            fetching: gossip(&Record::Fetching(fetching()), None),
            presence: gossip(&Record::Presence(presence()), None),
            ask: ENVELOPE + STREAM + cbor::encode(&have()).len() as u64,
            word: ENVELOPE + STREAM + cbor::encode(&Response::Coming { wait_ms: 3000 }).len() as u64,
        }
    }
}

/// One that tells as many addresses as it may, of a usual length.
fn presence() -> Presence {
    let address = "/ip4/10.200.100.100/tcp/9000".to_owned();
    Presence { addresses: vec![address; limits::MAX_PRESENCE_ADDRESSES], neighbours: 64 }
}

fn fetching() -> Fetching {
    let (key, fingerprint) = (WireKey([1; 32]), Fingerprint([2; 32]));
    Fetching { key, fingerprint, stage: FetchStage::Begun, at: crate::github::START, mac: vec![4; 32] }
}

fn have() -> Request {
    Request::Have { key: WireKey([1; 32]), fingerprint: Fingerprint([2; 32]), max_age_ms: 300_000, lease: true }
}

fn validation() -> Validation {
    Validation {
        key: WireKey([1; 32]),
        fingerprint: Fingerprint([2; 32]),
        cid: BodyCid([3; 32]),
        origin_date: crate::github::START,
        mac: vec![4; 32],
    }
}

fn budget() -> Budget {
    let bucket =
        Bucket { name: "core".into(), limit: 5000, remaining: 4000, reset: crate::github::START, age_ms: 1000 };
    Budget {
        host: "api.github.com".into(),
        fingerprint: Fingerprint([2; 32]),
        buckets: vec![bucket],
        retry_after_ms: 0,
        mac: vec![4; 32],
    }
}

fn gossip(record: &Record, body: Option<Vec<u8>>) -> u64 {
    let (kind, payload) = record.to_parts();
    let stamp = Stamp { author: MemberId([5; 32]), boot: 1000, sequence: 100_000 };
    let signed = SignedRecord { stamp, kind, payload, signature: vec![6; 64] };
    cbor::encode(&Shared { signed, age_ms: 1000, body }).len() as u64 + ENVELOPE + FRAME
}
