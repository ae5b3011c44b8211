//! Today's wire format, which later versions must read and write alike: `fixtures/wire-1.txt` has one message a line, in
//! hexadecimal. A line is never changed, only added: what has another form gets another name, and the old one must still be read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghmesh_model::digest::{Item, ItemId, Listing, Summaries, Wanted};
use ghmesh_model::wire::{
    Bucket, Budget, FetchStage, Fetching, Invalidated, Presence, Record, Request, Response, Shared, SignedRecord,
    Stamp, Stored, Validation,
};
use ghmesh_model::{BodyCid, Fingerprint, MemberId, Representation, Scope, WireKey, cbor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

const FIXTURE: &str = include_str!("fixtures/wire-1.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn fixture() -> BTreeMap<&'static str, &'static str> {
    FIXTURE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once(" = ").unwrap()).collect()
}

fn validation() -> Validation {
    Validation {
        key: WireKey([1; 32]),
        fingerprint: Fingerprint([2; 32]),
        cid: BodyCid([3; 32]),
        origin_date: 1_800_000_000,
        mac: vec![4; 32],
    }
}

fn stored() -> Stored {
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Stored {
        representation: Representation { cid: BodyCid([3; 32]), length: 70_000, headers },
        validation: validation(),
        scopes: vec![Scope([5; 16]), Scope([6; 16])],
    }
}

fn budget() -> Budget {
    let bucket = Bucket { name: "core".to_owned(), limit: 5000, remaining: 4999, reset: 1_800_003_600, age_ms: 20 };
    Budget {
        host: "api.github.com".to_owned(),
        fingerprint: Fingerprint([2; 32]),
        buckets: vec![bucket],
        retry_after_ms: 60_000,
        mac: vec![7; 32],
    }
}

fn fetching(stage: FetchStage, mac: Vec<u8>) -> Fetching {
    Fetching { key: WireKey([1; 32]), fingerprint: Fingerprint([2; 32]), stage, at: 1_800_000_000, mac }
}

fn records() -> Vec<(&'static str, Record)> {
    let presence = Presence { addresses: vec!["/ip4/10.0.0.1/tcp/9000".to_owned()], neighbours: 12 };
    vec![
        ("record 1 stored", Record::Stored(stored())),
        ("record 2 revalidated", Record::Revalidated(validation())),
        ("record 3 invalidated", Record::Invalidated(Invalidated { scopes: vec![Scope([5; 16])] })),
        ("record 4 budget", Record::Budget(budget())),
        ("record 5 presence", Record::Presence(presence)),
        ("record 6 fetching, begun", Record::Fetching(fetching(FetchStage::Begun, vec![15; 32]))),
        ("record 6 fetching, failed", Record::Fetching(fetching(FetchStage::Failed, Vec::new()))),
        ("record 6 fetching, unshareable", Record::Fetching(fetching(FetchStage::Unshareable, Vec::new()))),
    ]
}

fn signed(record: &Record) -> SignedRecord {
    let (kind, payload) = record.to_parts();
    let stamp = Stamp { author: MemberId([8; 32]), boot: 3, sequence: 300 };
    SignedRecord { stamp, kind, payload, signature: vec![9; 64] }
}

fn shared(body: Option<Vec<u8>>) -> Shared {
    Shared { signed: signed(&Record::Stored(stored())), age_ms: 1500, body }
}

fn item() -> Item {
    Item { id: ItemId([11; 16]), version: 3_600_000_001 }
}

fn requests() -> Vec<(&'static str, Request)> {
    let (key, fingerprint) = (WireKey([1; 32]), Fingerprint([2; 32]));
    vec![
        ("request have", Request::Have { key, fingerprint, max_age_ms: 30_000, lease: true }),
        ("request deliver", Request::Deliver { records: vec![shared(None)] }),
        ("request release", Request::Release { key, fingerprint, unshareable: true }),
        ("request body", Request::Body { cid: BodyCid([3; 32]), offset: 262_144 }),
        ("request digest", Request::Digest { since: 1_799_990_000, summaries: Summaries::of([item()], 4) }),
        ("request pull", Request::Pull { wanted: Wanted(vec![item().id]) }),
        ("request renew", Request::Renew { nonce: [12; 32] }),
    ]
}

fn responses() -> Vec<(&'static str, Response)> {
    let known = vec![shared(None)];
    vec![
        ("response have", Response::Have { records: vec![shared(Some(b"[]".to_vec()))] }),
        ("response coming", Response::Coming { wait_ms: 900 }),
        ("response lease", Response::Lease { lease_ms: 3000, behind_ms: Some(250), known: known.clone() }),
        ("response lease alone", Response::Lease { lease_ms: 3000, behind_ms: None, known: Vec::new() }),
        ("response body", Response::Body { length: 70_000, bytes: vec![10; 20] }),
        ("response ok", Response::Ok),
        ("response no", Response::No),
        ("response known", Response::Known { records: known.clone() }),
        ("response digest", Response::Digest { since: 1_799_990_000, listing: Listing(vec![item()]) }),
        ("response pulled", Response::Pulled { records: known, dealt: 2 }),
        ("response proof", Response::Proof { nonce: [13; 32], mac: [14; 32] }),
    ]
}

/// The line is what the value is written as, and the value is what the line is read as.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T, missing: &mut Vec<String>) {
    let written = cbor::encode(value);
    let Some(line) = fixture().get(name).copied() else {
        missing.push(format!("{name} = {}", hex(&written)));
        return;
    };
    assert_eq!(&cbor::decode::<T>(&bytes(line), usize::MAX).unwrap(), value, "{name} is read as something else");
    assert_eq!(hex(&written), line, "{name} is written otherwise: nodes of other versions can't read it");
}

#[test]
fn what_members_say_has_the_form_that_it_had() {
    let mut missing = Vec::new();
    for (name, record) in records() {
        let signed = signed(&record);
        match fixture().get(name) {
            Some(line) => {
                assert_eq!(hex(&signed.payload), *line, "{name} is written otherwise");
                let read = SignedRecord { payload: bytes(line), ..signed };
                assert_eq!(read.record().unwrap(), record, "{name} is read as something else");
            }
            None => missing.push(format!("{name} = {}", hex(&signed.payload))),
        }
    }
    holds("shared", &shared(None), &mut missing);
    holds("shared with its body", &shared(Some(b"[]".to_vec())), &mut missing);
    requests().iter().for_each(|(name, request)| holds(name, request, &mut missing));
    responses().iter().for_each(|(name, response)| holds(name, response, &mut missing));
    assert!(missing.is_empty(), "tests/fixtures/wire-1.txt lacks:\n{}", missing.join("\n"));
}

#[test]
fn what_is_signed_has_the_form_that_it_had() {
    let stamp = Stamp { author: MemberId([8; 32]), boot: 3, sequence: 300 };
    let signed = SignedRecord::signed_bytes(&stamp, 3, b"payload");
    let macs = [
        ("mac of a validation", validation().mac_input(&stamp, &stored().representation.headers)),
        ("mac of a budget", budget().mac_input(&stamp)),
        ("mac of a fetch", fetching(FetchStage::Begun, Vec::new()).mac_input(&stamp)),
    ];
    let lines: Vec<String> = [("signed bytes", signed)]
        .into_iter()
        .chain(macs)
        .filter(|(name, input)| fixture().get(name) != Some(&hex(input).as_str()))
        .map(|(name, input)| format!("{name} = {}", hex(&input)))
        .collect();
    assert!(lines.is_empty(), "tests/fixtures/wire-1.txt has other lines than:\n{}", lines.join("\n"));
}

#[test]
fn every_line_is_still_held_to_something() {
    let held: Vec<&str> = records().iter().map(|(name, _)| *name).collect();
    let held = held.into_iter().chain(requests().iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let held = held.chain(responses().iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let others =
        ["shared", "shared with its body", "signed bytes", "mac of a validation", "mac of a budget", "mac of a fetch"];
    let held: Vec<&str> = held.chain(others).collect();
    assert!(fixture().keys().all(|name| held.contains(name)), "a line of the fixture is checked by nothing");
}
