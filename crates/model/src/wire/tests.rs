//! Messages come back as they were, within their limits, and are signed as a whole.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod signing;
mod strategies;

use super::*;
use proptest::prelude::*;
use serde::de::DeserializeOwned;

/// The largest message of all.
const LIMIT: usize = limits::MAX_RESPONSE_BYTES;

fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    cbor::decode(&cbor::encode(value), LIMIT).unwrap()
}

fn plain_stamp() -> Stamp {
    Stamp { author: MemberId([1; 32]), boot: 2, sequence: 3 }
}

fn plain_validation() -> Validation {
    Validation {
        key: WireKey([4; 32]),
        fingerprint: Fingerprint([5; 32]),
        cid: BodyCid([6; 32]),
        origin_date: 7,
        mac: vec![8; 32],
    }
}

fn plain_stored() -> Stored {
    let validation = plain_validation();
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Stored {
        representation: Representation { cid: validation.cid, length: 9, headers },
        validation,
        scopes: vec![Scope([10; 16])],
    }
}

fn with_headers(headers: Vec<(String, String)>) -> Record {
    let mut stored = plain_stored();
    stored.representation.headers = headers;
    Record::Stored(stored)
}

fn with_length(length: u64) -> Record {
    let mut stored = plain_stored();
    stored.representation.length = length;
    Record::Stored(stored)
}

fn stored_with_scopes(count: usize) -> Record {
    Record::Stored(Stored { scopes: vec![Scope([1; 16]); count], ..plain_stored() })
}

fn invalidated_with_scopes(count: usize) -> Record {
    Record::Invalidated(Invalidated { scopes: vec![Scope([1; 16]); count] })
}

fn sent(record: &Record) -> Result<Record, CborError> {
    let (kind, payload) = record.to_parts();
    SignedRecord { stamp: plain_stamp(), kind, payload, signature: vec![0; 64] }.record()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_comes_back(record in strategies::record(), stamp in strategies::stamp()) {
        let (kind, payload) = record.to_parts();
        let signed = SignedRecord { stamp, kind, payload, signature: vec![7; 64] };
        prop_assert_eq!(&again(&signed), &signed);
        prop_assert_eq!(again(&signed).record().unwrap(), record);
    }

    #[test]
    fn every_shared_record_comes_back(shared in strategies::shared()) {
        prop_assert_eq!(again(&shared), shared);
    }

    #[test]
    fn every_request_comes_back(request in strategies::request()) {
        prop_assert_eq!(again(&request), request);
    }

    #[test]
    fn every_response_comes_back(response in strategies::response()) {
        prop_assert_eq!(again(&response), response);
    }
}

#[test]
fn each_bound_of_a_record_is_kept_on_both_sides() {
    let pair = |name: usize, value: usize| ("n".repeat(name), "v".repeat(value));
    let (long, longer) = (limits::MAX_HEADER_BYTES, limits::MAX_HEADER_BYTES + 1);
    for (most, more, length, limit) in [
        (
            with_headers(vec![pair(1, 1); limits::MAX_HEADERS]),
            with_headers(vec![pair(1, 1); limits::MAX_HEADERS + 1]),
            limits::MAX_HEADERS + 1,
            limits::MAX_HEADERS,
        ),
        (with_headers(vec![pair(long, 1)]), with_headers(vec![pair(longer, 1)]), longer, long),
        (with_headers(vec![pair(1, long)]), with_headers(vec![pair(1, 1), pair(1, longer)]), longer, long),
        (
            with_length(limits::MAX_BODY_BYTES),
            with_length(limits::MAX_BODY_BYTES + 1),
            limits::MAX_BODY_BYTES as usize + 1,
            limits::MAX_BODY_BYTES as usize,
        ),
        (
            stored_with_scopes(limits::MAX_SCOPES),
            stored_with_scopes(limits::MAX_SCOPES + 1),
            limits::MAX_SCOPES + 1,
            limits::MAX_SCOPES,
        ),
        (
            invalidated_with_scopes(limits::MAX_SCOPES),
            invalidated_with_scopes(limits::MAX_SCOPES + 1),
            limits::MAX_SCOPES + 1,
            limits::MAX_SCOPES,
        ),
    ] {
        assert_eq!(sent(&most).unwrap(), most);
        let Err(CborError::TooLong { length: found, limit: allowed }) = sent(&more) else { panic!("taken: {more:?}") };
        assert_eq!((found, allowed), (length, limit));
    }
    assert!(sent(&with_length(u64::MAX)).is_err());
}

fn budget(host: usize, buckets: usize, name: usize) -> Budget {
    let bucket = Bucket { name: "n".repeat(name), limit: 1, remaining: 2, reset: 3, age_ms: 4 };
    Budget {
        host: "h".repeat(host),
        fingerprint: Fingerprint([5; 32]),
        buckets: vec![bucket; buckets],
        retry_after_ms: 6,
        mac: vec![7; 32],
    }
}

#[test]
fn each_bound_of_a_budget_is_kept_on_both_sides() {
    let (host, buckets, name) = (limits::MAX_HOST_BYTES, limits::MAX_BUCKETS, limits::MAX_BUCKET_NAME_BYTES);
    let most = Record::Budget(budget(host, buckets, name));
    assert_eq!(sent(&most).unwrap(), most);
    for more in [budget(host + 1, 1, 1), budget(1, buckets + 1, 1), budget(1, 1, name + 1)] {
        assert!(matches!(sent(&Record::Budget(more)), Err(CborError::TooLong { .. })));
    }
}

#[test]
fn each_bound_of_a_presence_is_kept_on_both_sides() {
    let (count, length) = (limits::MAX_PRESENCE_ADDRESSES, limits::MAX_ADDRESS_BYTES);
    let presence =
        |count, length| Record::Presence(Presence { addresses: vec!["a".repeat(length); count], neighbours: 7 });
    assert_eq!(sent(&presence(count, length)).unwrap(), presence(count, length));
    for more in [presence(count + 1, 1), presence(1, length + 1)] {
        assert!(matches!(sent(&more), Err(CborError::TooLong { .. })));
    }
}

#[test]
fn a_budgets_mac_covers_everything_but_itself() {
    let (plain, stamp) = (budget(1, 1, 1), plain_stamp());
    let input = plain.mac_input(&stamp);
    assert_eq!(Budget { mac: Vec::new(), ..plain.clone() }.mac_input(&stamp), input);
    let with = |change: &dyn Fn(&mut Bucket)| {
        let mut changed = plain.clone();
        change(&mut changed.buckets[0]);
        changed
    };
    let changed = [
        Budget { host: "other".into(), ..plain.clone() },
        Budget { fingerprint: Fingerprint([9; 32]), ..plain.clone() },
        Budget { retry_after_ms: 9, ..plain.clone() },
        Budget { buckets: Vec::new(), ..plain.clone() },
        with(&|bucket| bucket.name = "other".into()),
        with(&|bucket| bucket.limit = 9),
        with(&|bucket| bucket.remaining = 9),
        with(&|bucket| bucket.reset = 9),
        with(&|bucket| bucket.age_ms = 9),
    ];
    assert!(changed.iter().all(|changed| changed.mac_input(&stamp) != input));
    let later = Stamp { sequence: stamp.sequence + 1, ..stamp };
    assert_ne!(plain.mac_input(&later), input, "nor can it be said again");
    assert_ne!(plain.mac_input(&Stamp { author: MemberId([8; 32]), ..stamp }), input, "or by another");
}

#[test]
fn a_payload_that_is_too_long_is_not_read() {
    for kind in [KIND_STORED, KIND_REVALIDATED, KIND_INVALIDATED, KIND_BUDGET, KIND_PRESENCE, KIND_FETCHING] {
        let signed = |length| SignedRecord {
            stamp: plain_stamp(),
            kind,
            // The "break" code alone: no decoder gets beyond its first byte.
            payload: vec![0xff; length],
            signature: Vec::new(),
        };
        assert!(matches!(signed(limits::MAX_GOSSIP_BYTES + 1).record(), Err(CborError::TooLong { .. })));
        assert!(matches!(signed(limits::MAX_GOSSIP_BYTES).record(), Err(CborError::Malformed(_))));
    }
}

#[test]
fn an_unknown_kind_is_a_value_and_is_relayed_as_it_was() {
    let signed = SignedRecord { stamp: plain_stamp(), kind: 999, payload: vec![0xff; 50], signature: vec![7; 64] };
    let relayed = again(&Shared { signed: signed.clone(), age_ms: 1, body: None }).signed;
    assert_eq!(relayed.record().unwrap(), Record::Unknown(999));
    assert_eq!(relayed.signature, signed.signature);
    let signed_bytes = |record: &SignedRecord| SignedRecord::signed_bytes(&record.stamp, record.kind, &record.payload);
    assert_eq!(signed_bytes(&relayed), signed_bytes(&signed));
}

/// A later version may append fields.
#[test]
fn appended_fields_are_ignored() {
    #[derive(Serialize)]
    struct Later {
        scopes: Vec<Scope>,
        reason: String,
        more: Vec<(u8, Option<bool>)>,
    }
    let later =
        Later { scopes: vec![Scope([1; 16])], reason: "why".to_owned(), more: vec![(1, None), (2, Some(true))] };
    let signed = SignedRecord {
        stamp: plain_stamp(),
        kind: KIND_INVALIDATED,
        payload: cbor::encode(&later),
        signature: Vec::new(),
    };
    assert_eq!(signed.record().unwrap(), Record::Invalidated(Invalidated { scopes: later.scopes }));
}
