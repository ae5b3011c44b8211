//! Bytes of peers and of strangers.

use ghmesh_model::cbor;
use ghmesh_model::digest::{Item, ItemId, Listing, Summaries, Wanted};
use ghmesh_model::limits::{CHUNK_BYTES, MAX_RESPONSE_BYTES};
use ghmesh_model::wire::{
    Budget, FetchStage, Fetching, Invalidated, Presence, Record, Request, Response, Shared, SignedRecord, Stamp,
    Stored, Validation,
};
use ghmesh_model::{BodyCid, Fingerprint, MemberId, Representation, Scope, WireKey, limits};
use ghmesh_seal::{Cost, KeyRing, NONCE_BYTES, Purpose, Secret, derive};
use std::sync::LazyLock;

/// The longest message of any kind.
const LIMIT: usize = MAX_RESPONSE_BYTES;

static RING: LazyLock<KeyRing> =
    LazyLock::new(|| derive(&Secret::new(b"a mesh for fuzzing".to_vec()), "default", Cost::TEST));

/// What a member sends, opened: a gossiped record, a request, a response, and the records inside.
pub fn message(input: &[u8]) {
    if let Some(request) = again::<Request>(input)
        && let Request::Deliver { records } = request
    {
        records.iter().for_each(record);
    }
    if let Some(shared) = again::<Shared>(input) {
        record(&shared);
    }
    if let Some(
        Response::Have { records }
        | Response::Known { records }
        | Response::Lease { known: records, .. }
        | Response::Pulled { records, .. },
    ) = again::<Response>(input)
    {
        records.iter().for_each(record);
    }
    // Payloads of every kind, and of one that nobody knows.
    for kind in 0..=8 {
        inside(&SignedRecord { kind, payload: input.to_vec(), ..signed(0, Vec::new()) });
    }
}

/// Reads a value; what it was is what is written, and that can be read.
fn again<T>(input: &[u8]) -> Option<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let value: T = cbor::decode(input, LIMIT).ok()?;
    let written = cbor::encode(&value);
    let read: T = cbor::decode(&written, usize::MAX).expect("what was written can be read");
    assert_eq!(read, value);
    Some(value)
}

fn record(shared: &Shared) {
    // The signature is of random bytes at best.
    let _ = ghmesh_mesh::is_genuine(&shared.signed);
    inside(&shared.signed);
}

fn inside(signed: &SignedRecord) {
    let Ok(record) = signed.record() else { return };
    match &record {
        Record::Stored(stored) => {
            assert!(stored.scopes.len() <= limits::MAX_SCOPES);
            assert!(stored.representation.headers.len() <= limits::MAX_HEADERS);
            assert!(stored.representation.length <= limits::MAX_BODY_BYTES);
            let _ = stored.validation.mac_input(&signed.stamp, &stored.representation.headers);
        }
        Record::Revalidated(validation) => drop(validation.mac_input(&signed.stamp, &[])),
        Record::Invalidated(invalidated) => assert!(invalidated.scopes.len() <= limits::MAX_SCOPES),
        Record::Budget(budget) => {
            assert!(budget.buckets.len() <= limits::MAX_BUCKETS && budget.host.len() <= limits::MAX_HOST_BYTES);
            let _ = budget.mac_input(&signed.stamp);
        }
        Record::Presence(presence) => assert!(presence.addresses.len() <= limits::MAX_PRESENCE_ADDRESSES),
        Record::Fetching(fetching) => drop(fetching.mac_input(&signed.stamp)),
        Record::Unknown(kind) => {
            assert_eq!(*kind, signed.kind);
            return;
        }
    }
    let (kind, payload) = record.to_parts();
    let read = SignedRecord { kind, payload, ..signed.clone() }.record().expect("what was written can be read");
    assert_eq!(read, record);
}

/// Sealed bytes: nothing but what this mesh sealed for the same purpose opens.
pub fn envelope(input: &[u8]) {
    for purpose in [Purpose::Gossip, Purpose::Request, Purpose::Response] {
        assert!(RING.open(purpose, input, LIMIT).is_err(), "opened what nobody sealed");
        let sealed = RING.seal(purpose, [7; NONCE_BYTES], input);
        match RING.open(purpose, &sealed, LIMIT) {
            Ok(opened) => assert_eq!(opened, input),
            Err(_) => assert!(input.len() > LIMIT),
        }
        let Some(bit) = input.first().map(|first| usize::from(*first) * 7 % (sealed.len() * 8)) else { continue };
        let mut damaged = sealed;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(RING.open(purpose, &damaged, LIMIT).is_err(), "opened what was damaged");
    }
}

/// Addresses in text, as operators, name servers and members write them.
pub fn address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let values: Vec<String> = text.lines().take(8).map(str::to_owned).collect();
    for (listen, bootstrap) in [(values.clone(), Vec::new()), (Vec::new(), values)] {
        let given = listen.len() + bootstrap.len();
        let config = ghmesh_mesh::Config { listen, bootstrap, ..ghmesh_mesh::Config::default() };
        if let Err(error) = config.check() {
            assert!((1..=given).contains(&error.problems.len()), "one problem for each bad address");
            assert!(!error.to_string().is_empty());
        }
    }
}

fn signed(kind: u16, payload: Vec<u8>) -> SignedRecord {
    let stamp = Stamp { author: MemberId([3; 32]), boot: 2, sequence: 9 };
    SignedRecord { stamp, kind, payload, signature: vec![5; 64] }
}

fn shared(record: &Record) -> Shared {
    let (kind, payload) = record.to_parts();
    Shared { signed: signed(kind, payload), age_ms: 1_500, body: Some(b"[]".to_vec()) }
}

fn records() -> Vec<Record> {
    let validation = Validation {
        key: WireKey([1; 32]),
        fingerprint: Fingerprint([2; 32]),
        cid: BodyCid::of(b"[]"),
        origin_date: 1_800_000_000,
        mac: vec![4; 32],
    };
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let representation = Representation { cid: validation.cid, length: 2, headers };
    let scopes = vec![Scope([6; 16])];
    let budget = Budget {
        host: "api.github.com".to_owned(),
        fingerprint: validation.fingerprint,
        buckets: Vec::new(),
        retry_after_ms: 0,
        mac: vec![4; 32],
    };
    let (key, fingerprint) = (validation.key, validation.fingerprint);
    vec![
        Record::Fetching(Fetching { key, fingerprint, stage: FetchStage::Begun, at: 1_700_000_000, mac: vec![4; 32] }),
        Record::Stored(Stored { representation, validation: validation.clone(), scopes: scopes.clone() }),
        Record::Revalidated(validation),
        Record::Invalidated(Invalidated { scopes }),
        Record::Budget(budget),
        Record::Presence(Presence { addresses: vec!["/ip4/10.0.0.1/tcp/9000".to_owned()], neighbours: 3 }),
    ]
}

pub(crate) fn messages() -> Vec<Vec<u8>> {
    let (key, fingerprint) = (WireKey([1; 32]), Fingerprint([2; 32]));
    let all: Vec<Shared> = records().iter().map(shared).collect();
    let item = Item { id: ItemId::of_answer(&key, &fingerprint), version: Item::answer_version(1_700_000_000, true) };
    let requests = [
        Request::Have { key, fingerprint, max_age_ms: 60_000, lease: true },
        Request::Deliver { records: all.clone() },
        Request::Release { key, fingerprint, unshareable: false },
        Request::Body { cid: BodyCid::of(b"[]"), offset: u64::from(CHUNK_BYTES) },
        Request::Digest { since: 1_700_000_000, summaries: Summaries::of([item], 4) },
        Request::Pull { wanted: Wanted(vec![item.id]) },
        Request::Renew { nonce: [12; 32] },
    ];
    let responses = [
        Response::Have { records: all.clone() },
        Response::Coming { wait_ms: 3_000 },
        Response::Lease { lease_ms: 3_000, behind_ms: Some(20), known: all.clone() },
        Response::Body { length: 2, bytes: b"[]".to_vec() },
        Response::Ok,
        Response::No,
        Response::Known { records: all.clone() },
        Response::Digest { since: 1_700_000_000, listing: Listing(vec![item]) },
        Response::Pulled { records: all.clone(), dealt: 1 },
        Response::Proof { nonce: [13; 32], mac: [14; 32] },
    ];
    let payloads = records().into_iter().map(|record| record.to_parts().1);
    let encoded = requests.iter().map(cbor::encode).chain(responses.iter().map(cbor::encode));
    encoded.chain(all.iter().map(cbor::encode)).chain(payloads).collect()
}

pub(crate) fn envelopes() -> Vec<Vec<u8>> {
    let foreign = derive(&Secret::new(b"another mesh".to_vec()), "default", Cost::TEST);
    let text = b"{\"message\":\"as long as it takes to be compressed\"}".repeat(40);
    vec![Vec::new(), foreign.seal(Purpose::Gossip, [1; NONCE_BYTES], b"[]"), text]
}

pub(crate) fn addresses() -> Vec<Vec<u8>> {
    let texts = [
        "/ip4/10.0.0.1/tcp/9000\n/ip6/fe80::1/tcp/9000",
        "/dns4/mesh.example/tcp/9000/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
        "/ip4/0.0.0.0/udp/9000/quic-v1\n/dnsaddr/example.org",
        "10.0.0.1:9000",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
