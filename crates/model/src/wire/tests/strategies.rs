//! Any message within the limits.

use super::*;
use crate::digest::{Item, ItemId};
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn scopes() -> impl Strategy<Value = Vec<Scope>> {
    vec(any::<[u8; 16]>().prop_map(Scope), 0..=limits::MAX_SCOPES)
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((".{0,12}", ".{0,40}"), 0..=limits::MAX_HEADERS)
}

pub(super) fn stamp() -> impl Strategy<Value = Stamp> {
    any::<([u8; 32], u64, u64)>().prop_map(|(author, boot, sequence)| Stamp {
        author: MemberId(author),
        boot,
        sequence,
    })
}

pub(super) fn validation() -> impl Strategy<Value = Validation> {
    let names = any::<([u8; 32], [u8; 32], [u8; 32])>();
    (names, any::<u64>(), bytes(32)).prop_map(|((key, fingerprint, cid), origin_date, mac)| Validation {
        key: WireKey(key),
        fingerprint: Fingerprint(fingerprint),
        cid: BodyCid(cid),
        origin_date,
        mac,
    })
}

fn stored() -> impl Strategy<Value = Stored> {
    (validation(), 0..=limits::MAX_BODY_BYTES, headers(), scopes()).prop_map(|(validation, length, headers, scopes)| {
        Stored { representation: Representation { cid: validation.cid, length, headers }, validation, scopes }
    })
}

pub(super) fn budget() -> impl Strategy<Value = Budget> {
    let bucket = ("[a-z_]{1,12}", any::<(u64, u64, u64, u64)>())
        .prop_map(|(name, (limit, remaining, reset, age_ms))| Bucket { name, limit, remaining, reset, age_ms });
    let parts = ("[a-z.]{1,20}", any::<[u8; 32]>(), vec(bucket, 0..=limits::MAX_BUCKETS), any::<u64>(), bytes(32));
    parts.prop_map(|(host, fingerprint, buckets, retry_after_ms, mac)| Budget {
        host,
        fingerprint: Fingerprint(fingerprint),
        buckets,
        retry_after_ms,
        mac,
    })
}

fn presence() -> impl Strategy<Value = Presence> {
    let addresses = vec("[a-z0-9/.]{0,60}", 0..=limits::MAX_PRESENCE_ADDRESSES);
    (addresses, any::<u64>()).prop_map(|(addresses, neighbours)| Presence { addresses, neighbours })
}

fn fetching() -> impl Strategy<Value = Fetching> {
    let stage = prop_oneof![Just(FetchStage::Begun), Just(FetchStage::Failed), Just(FetchStage::Unshareable)];
    let at = any::<u64>();
    (any::<[u8; 32]>(), any::<[u8; 32]>(), stage, at, bytes(32)).prop_map(|(key, fingerprint, stage, at, mac)| {
        Fetching { key: WireKey(key), fingerprint: Fingerprint(fingerprint), stage, at, mac }
    })
}

pub(super) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        stored().prop_map(Record::Stored),
        validation().prop_map(Record::Revalidated),
        scopes().prop_map(|scopes| Record::Invalidated(Invalidated { scopes })),
        budget().prop_map(Record::Budget),
        presence().prop_map(Record::Presence),
        fetching().prop_map(Record::Fetching),
    ]
}

/// With a payload and a signature of any bytes: who relays does not read them.
pub(super) fn signed() -> impl Strategy<Value = SignedRecord> {
    (stamp(), any::<u16>(), bytes(200), bytes(64)).prop_map(|(stamp, kind, payload, signature)| SignedRecord {
        stamp,
        kind,
        payload,
        signature,
    })
}

pub(super) fn shared() -> impl Strategy<Value = Shared> {
    (signed(), any::<u64>(), proptest::option::of(bytes(200))).prop_map(|(signed, age_ms, body)| Shared {
        signed,
        age_ms,
        body,
    })
}

fn records() -> impl Strategy<Value = Vec<Shared>> {
    vec(shared(), 0..3)
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = any::<([u8; 16], u64)>().prop_map(|(id, version)| Item { id: ItemId(id), version });
    vec(item, 0..=limits::MAX_PULLED)
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    let names = any::<([u8; 32], [u8; 32])>().prop_map(|(key, fingerprint)| (WireKey(key), Fingerprint(fingerprint)));
    prop_oneof![
        (names.clone(), any::<u64>(), any::<bool>())
            .prop_map(|((key, fingerprint), max_age_ms, lease)| Request::Have { key, fingerprint, max_age_ms, lease }),
        records().prop_map(|records| Request::Deliver { records }),
        (names, any::<bool>()).prop_map(|((key, fingerprint), unshareable)| Request::Release {
            key,
            fingerprint,
            unshareable
        }),
        any::<([u8; 32], u64)>().prop_map(|(cid, offset)| Request::Body { cid: BodyCid(cid), offset }),
        (any::<u64>(), items(), 0_u32..8)
            .prop_map(|(since, items, bits)| Request::Digest { since, summaries: Summaries::of(items, 1 << bits) }),
        items().prop_map(|items| Request::Pull { wanted: Wanted(items.into_iter().map(|item| item.id).collect()) }),
        any::<[u8; 32]>().prop_map(|nonce| Request::Renew { nonce }),
    ]
}

pub(super) fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        records().prop_map(|records| Response::Have { records }),
        any::<u64>().prop_map(|wait_ms| Response::Coming { wait_ms }),
        (any::<u64>(), any::<Option<u64>>(), vec(shared(), 0..3))
            .prop_map(|(lease_ms, behind_ms, known)| Response::Lease { lease_ms, behind_ms, known }),
        (any::<u64>(), bytes(300)).prop_map(|(length, bytes)| Response::Body { length, bytes }),
        Just(Response::Ok),
        Just(Response::No),
        vec(shared(), 0..3).prop_map(|records| Response::Known { records }),
        (any::<u64>(), items()).prop_map(|(since, items)| Response::Digest { since, listing: Listing(items) }),
        (records(), any::<u32>()).prop_map(|(records, dealt)| Response::Pulled { records, dealt }),
        any::<([u8; 32], [u8; 32])>().prop_map(|(nonce, mac)| Response::Proof { nonce, mac }),
    ]
}
