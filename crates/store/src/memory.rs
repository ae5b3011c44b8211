//! The memory tier, and which entries were used since they were last looked at for eviction.
//!
//! A reader that misses holds a placeholder while it reads the file; the writer, after its commit, inserts or removes. Whatever the
//! writer does to a key makes the placeholder void, so that a reader can never put back what has just been replaced.

use crate::rows::{Name, Slot};
use bytes::Bytes;
use ghmesh_model::{BodyCid, Entry};
use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{OptionsBuilder, Weighter};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Entries take this share of the tier, bodies the rest.
const ENTRIES_SHARE: u64 = 4;
/// A guess at an item's weight, to size the tables: GitHub's answers have a few KiB.
const TYPICAL_BYTES: u64 = 4096;
/// A body heavier than a shard is not kept, so few shards: readers only share a lock.
const SHARDS: usize = 4;
/// What the cache itself takes for an item, about.
const ITEM_BYTES: u64 = 128;

/// An entry with what is needed to mark its use.
#[derive(Clone)]
pub(crate) struct CachedEntry {
    pub(crate) entry: Arc<Entry>,
    pub(crate) name: Name,
    /// Bytes of the entry, encoded.
    pub(crate) bytes: u32,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Slot, CachedEntry> for Weight {
    /// Decoded it takes about twice its encoding: strings and vectors have their own allocations.
    fn weight(&self, _: &Slot, cached: &CachedEntry) -> u64 {
        u64::from(cached.bytes) * 2 + ITEM_BYTES * 4
    }
}

impl Weighter<BodyCid, Bytes> for Weight {
    fn weight(&self, _: &BodyCid, body: &Bytes) -> u64 {
        body.len() as u64 + ITEM_BYTES
    }
}

/// What happened to the memory tier's matter in a commit.
pub(crate) enum Effect {
    EntryStored(Slot, CachedEntry),
    EntryGone(Slot),
    BodyStored(BodyCid, Bytes),
    BodyGone(BodyCid),
    /// What exactly is gone can't be told, for its row was damaged.
    Unknown,
}

/// Entries and bodies in memory, bounded by bytes.
pub(crate) struct Memory {
    entries: Cache<Slot, CachedEntry, Weight>,
    bodies: Cache<BodyCid, Bytes, Weight>,
    largest_body: u64,
    used: Used,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = bytes / ENTRIES_SHARE;
        let bodies = bytes - entries;
        Memory {
            entries: cache(entries),
            bodies: cache(bodies),
            largest_body: bodies / SHARDS as u64,
            used: Used::new(),
        }
    }

    /// The entry, from memory or as `read` finds it.
    pub(crate) fn entry(&self, slot: &Slot, read: impl FnOnce() -> Option<CachedEntry>) -> Option<Arc<Entry>> {
        let cached = through(&self.entries, slot, read)?;
        self.used.mark(&cached.name);
        Some(cached.entry)
    }

    /// The body, from memory or as `read` finds it.
    pub(crate) fn body(&self, cid: &BodyCid, read: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        through(&self.bodies, cid, read)
    }

    /// The entry, if it is in memory. Not a use of it.
    pub(crate) fn entry_at_hand(&self, slot: &Slot) -> Option<Arc<Entry>> {
        Some(self.entries.get(slot)?.entry)
    }

    /// The body, if it is in memory. Does not bring it there.
    pub(crate) fn body_at_hand(&self, cid: &BodyCid) -> Option<Bytes> {
        self.bodies.get(cid)
    }

    pub(crate) fn apply(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::EntryStored(slot, cached) => self.entries.insert(slot, cached),
                Effect::EntryGone(slot) => drop(self.entries.remove(&slot)),
                Effect::BodyStored(cid, body) => self.keep_body(cid, &body),
                Effect::BodyGone(cid) => drop(self.bodies.remove(&cid)),
                Effect::Unknown => self.clear(),
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.entries.clear();
        self.bodies.clear();
    }

    pub(crate) fn used(&self) -> &Used {
        &self.used
    }

    /// A copy: the caller's bytes may be a small part of a large buffer, which they would keep alive.
    fn keep_body(&self, cid: BodyCid, body: &Bytes) {
        if body.len() as u64 <= self.largest_body {
            self.bodies.insert(cid, Bytes::copy_from_slice(body));
        }
    }
}

fn cache<K: Eq + Hash, V: Clone>(bytes: u64) -> Cache<K, V, Weight>
where
    Weight: Weighter<K, V>,
{
    let options = OptionsBuilder::new()
        .weight_capacity(bytes)
        .estimated_items_capacity(usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX))
        .shards(SHARDS)
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, Weight, Default::default(), Default::default())
}

fn through<K, V: Clone>(cache: &Cache<K, V, Weight>, key: &K, read: impl FnOnce() -> Option<V>) -> Option<V>
where
    K: Copy + Eq + Hash,
    Weight: Weighter<K, V>,
{
    match cache.get_value_or_guard(key, Some(Duration::ZERO)) {
        GuardResult::Value(value) => Some(value),
        GuardResult::Guard(guard) => {
            let value = read()?;
            // Refused where the writer was faster: then the caller has the snapshot's value, and memory the newer one.
            let _ = guard.insert(value.clone());
            Some(value)
        }
        // Another reader is at it: read beside it rather than wait for it.
        GuardResult::Timeout => read(),
    }
}

/// Marks of use, one bit for each of 2^20 hashes of names: 128 KiB, no lock, and nothing written for a read. Two entries that share
/// a bit lend each other a second chance, no more.
pub(crate) struct Used(Box<[AtomicU64]>);

impl Used {
    const BITS: usize = 1 << 20;

    pub(crate) fn new() -> Self {
        Used((0..Self::BITS / 64).map(|_| AtomicU64::new(0)).collect())
    }

    fn mark(&self, name: &Name) {
        let (word, bit) = self.place(name);
        // Reading first keeps hot entries' cache lines shared between cores.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether it was used since the last call.
    pub(crate) fn take(&self, name: &Name) -> bool {
        let (word, bit) = self.place(name);
        word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    /// The same, and it stays so.
    pub(crate) fn was_marked(&self, name: &Name) -> bool {
        let (word, bit) = self.place(name);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn place(&self, name: &Name) -> (&AtomicU64, u64) {
        let hash = u32::from_be_bytes([name[0], name[1], name[2], name[3]]) as usize % Self::BITS;
        (&self.0[hash / 64], 1 << (hash % 64))
    }
}
