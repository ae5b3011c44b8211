//! Tests of the store on real files, and what they share.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod faults;
mod keeping;
mod known;
mod offers;
mod opening;

use crate::rows::{self, EntryRow};
use crate::{Clock, Config, Slot, Store, open};
use bytes::Bytes;
use ghmesh_model::wire::{Record, SignedRecord, Stamp, Stored, Validation};
use ghmesh_model::{
    Attestation, BodyCid, BodyFacts, CacheKey, Entry, Fingerprint, History, LocalFingerprint, MemberId,
};
use ghmesh_model::{Millis, Representation, Source, WireKey};
use redb::{ReadTransaction, ReadableTable};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const NOW: Millis = Millis(1_700_000_000_000);

fn at(now: Millis) -> Clock {
    Arc::new(move || now)
}

fn config(dir: &Path) -> Config {
    Config { dir: dir.join("data"), max_bytes: 64 << 20, max_entries: 1000, memory_bytes: 8 << 20 }
}

fn opened(dir: &Path) -> Store {
    open(config(dir), at(NOW)).unwrap()
}

/// The same store without anything in memory.
async fn reopened(store: Store, dir: &Path) -> Store {
    store.close().await.unwrap();
    opened(dir)
}

fn local(number: u32) -> Slot {
    Slot::Local(CacheKey(id(number)), LocalFingerprint([7; 32]))
}

fn offer(number: u32) -> Slot {
    Slot::Offer(WireKey(id(number)), Fingerprint([7; 32]))
}

fn id(number: u32) -> [u8; 32] {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

/// Text that is the same for the same number and compresses badly.
fn body(number: u32, length: usize) -> Bytes {
    let mut state = u64::from(number) + 1;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(step).collect()
}

fn entry(target: &str, body: &[u8]) -> Entry {
    Entry {
        representation: Representation {
            cid: BodyCid::of(body),
            length: body.len() as u64,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
        },
        etag: Some("W/\"0123456789abcdef\"".into()),
        origin_date: 1_700_000_000,
        confirmed_at: NOW,
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: target.into(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

/// The same entry, with a record that says it to members: its twin is the offer of that number.
fn attested(number: u32, body: &[u8]) -> Entry {
    let plain = entry("h/p", body);
    let validation = Validation {
        key: WireKey(id(number)),
        fingerprint: Fingerprint([7; 32]),
        cid: plain.representation.cid,
        origin_date: plain.origin_date,
        mac: Vec::new(),
    };
    let stored = Stored { representation: plain.representation.clone(), validation, scopes: Vec::new() };
    let (kind, payload) = Record::Stored(stored).to_parts();
    let stamp = Stamp { author: MemberId([1; 32]), boot: 1, sequence: 1 };
    let stored = SignedRecord { stamp, kind, payload, signature: Vec::new() };
    Entry { attestation: Some(Attestation { stored, revalidated: None }), ..plain }
}

async fn put(store: &Store, slot: Slot, body: &Bytes) {
    store.put(slot, entry("h/p", body), Some(body.clone())).await.unwrap();
}

/// Bytes that the database takes on disk. The file itself is longer: redb doubles it ahead of need, with holes.
fn on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(dir.join("data/store.redb")).unwrap().blocks() * 512
}

/// Counts everything anew and compares it with what the store keeps about itself.
fn audit(store: &Store) {
    let database = &store.shared().database;
    let (rows, bytes) = database.read(|transaction| audit_entries(store, transaction)).unwrap();
    let (answers, offered) = database.read(|transaction| audit_order(store, transaction, rows)).unwrap();
    let usage = store.usage();
    assert_eq!((usage.entries, usage.bytes), (answers, bytes));
    assert_eq!(store.shared().load_state().unwrap().offered_bytes, offered);
    assert!(usage.entries <= usage.max_entries && usage.bytes <= store.shared().config.max_bytes, "{usage:?}");
}

/// Name of the group, place in it, name of the slot.
type KnownRow = ([u8; 32], u64, [u8; 32]);

fn known_rows(transaction: &ReadTransaction) -> Result<BTreeSet<KnownRow>, redb::Error> {
    let mut known = BTreeSet::new();
    for row in transaction.open_table(rows::KNOWN)?.iter()? {
        let (name, _) = row?;
        let (group, place, entry) = name.value();
        known.insert((*group, place, *entry));
    }
    Ok(known)
}

/// Rows of entries, and the bytes of all.
fn audit_entries(store: &Store, transaction: &ReadTransaction) -> Result<(u64, u64), redb::Error> {
    let key = store.data_key();
    let mut named: BTreeMap<[u8; 32], u64> = BTreeMap::new();
    let (mut bytes, mut rows) = (0, 0);
    let sealed = transaction.open_table(rows::ENTRIES)?;
    let mut known = known_rows(transaction)?;
    for row in transaction.open_table(rows::INDEX)?.iter()? {
        let (name, row) = row?;
        let (_, cost, body_name) = row.value();
        let entry = EntryRow::open(key, name.value(), sealed.get(name.value())?.unwrap().value()).unwrap();
        assert_eq!(*body_name, rows::body_name(key, &entry.entry.representation.cid));
        *named.entry(*body_name).or_default() += 1;
        let (group, place) = rows::known_place(key, &entry.slot, &entry.entry);
        assert!(known.remove(&(group, place, *name.value())), "each entry is known by its key");
        bytes += cost;
        rows += 1;
    }
    assert_eq!(sealed.iter()?.count() as u64, rows, "no stray entries");
    assert!(known.is_empty(), "nothing is known of what is gone");
    let mut present = Vec::new();
    let mut counted = BTreeMap::new();
    for row in transaction.open_table(rows::REFERENCES)?.iter()? {
        let (name, row) = row?;
        let (count, length, here) = row.value();
        counted.insert(*name.value(), count);
        if here {
            bytes += length;
            present.push(*name.value());
        }
    }
    assert_eq!(counted, named, "references count entries");
    for row in transaction.open_table(rows::BODIES)?.iter()? {
        assert!(present.contains(row?.0.value().0), "no chunk of a body that is gone");
    }
    assert!(present.len() as u64 <= rows);
    Ok((rows, bytes))
}

/// Answers, and what offers without a twin weigh.
fn audit_order(store: &Store, transaction: &ReadTransaction, rows: u64) -> Result<(u64, u64), redb::Error> {
    let key = store.data_key();
    let sealed = transaction.open_table(rows::ENTRIES)?;
    let (order, offers) = (transaction.open_table(rows::ORDER)?, transaction.open_table(rows::OFFERS)?);
    let twins = transaction.open_table(rows::TWINS)?;
    let (mut twins_of_entries, mut without_place) = (0, 0);
    for row in transaction.open_table(rows::INDEX)?.iter()? {
        let (name, row) = row?;
        let (name, place) = (*name.value(), row.value().0);
        let EntryRow { slot, entry, .. } = EntryRow::open(key, &name, sealed.get(&name)?.unwrap().value()).unwrap();
        let twin = twins.get(&name)?.map(|twin| *twin.value());
        assert!(twin.is_none_or(|twin| *twins.get(&twin).unwrap().unwrap().value() == name), "each is the other's");
        if matches!(slot, Slot::Local(..)) {
            assert_eq!(*order.get(place)?.unwrap().value(), name, "an entry's place in the order");
            assert_eq!(twin, slot.twin(&entry).map(|offer| offer.name(key)));
            twins_of_entries += u64::from(twin.is_some());
        } else if twin.is_some() {
            assert_eq!(place, 0, "an offer with a twin has no place");
            without_place += 1;
        } else {
            assert_eq!(*offers.get(place)?.unwrap().value().0, name, "an offer's place in the order");
        }
    }
    assert_eq!(twins.iter()?.count() as u64, 2 * twins_of_entries, "no stray twins");
    let weights: Vec<u64> = offers.iter()?.map(|row| row.unwrap().1.value().1).collect();
    let answers = order.iter()?.count() as u64 + weights.len() as u64;
    assert_eq!(answers + without_place, rows, "no stray places");
    Ok((answers, weights.iter().sum()))
}
