//! Tests of the store on real files, and what they share.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod faults;
mod keeping;
mod opening;

use crate::rows::{self, EntryRow};
use crate::{Clock, Config, Slot, Store, open};
use bytes::Bytes;
use ghmesh_model::{BodyCid, CacheKey, Entry, Fingerprint, LocalFingerprint, Millis, Representation, Source, WireKey};
use redb::ReadableTable;
use std::collections::BTreeMap;
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
    }
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
    let key = store.data_key();
    let (entries, present, bytes) = store
        .shared()
        .database
        .read(|transaction| {
            let mut named: BTreeMap<[u8; 32], u64> = BTreeMap::new();
            let mut bytes = 0;
            let mut entries = 0;
            let order = transaction.open_table(rows::ORDER)?;
            let sealed = transaction.open_table(rows::ENTRIES)?;
            for row in transaction.open_table(rows::INDEX)?.iter()? {
                let (name, row) = row?;
                let (place, cost, body_name) = row.value();
                assert_eq!(*order.get(place)?.unwrap().value(), *name.value(), "its place in the order");
                let entry = EntryRow::open(key, name.value(), sealed.get(name.value())?.unwrap().value()).unwrap();
                assert_eq!(*body_name, rows::body_name(key, &entry.entry.representation.cid));
                *named.entry(*body_name).or_default() += 1;
                bytes += cost;
                entries += 1;
            }
            assert_eq!(order.iter()?.count() as u64, entries, "no stray places");
            assert_eq!(sealed.iter()?.count() as u64, entries, "no stray entries");
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
            Ok((entries, present, bytes))
        })
        .unwrap();
    let usage = store.usage();
    assert_eq!((usage.entries, usage.bytes), (entries, bytes));
    assert!(usage.entries <= usage.max_entries && usage.bytes <= store.shared().config.max_bytes, "{usage:?}");
    assert!(present.len() as u64 <= entries);
}
