//! Tables, their rows, and how rows are sealed.
//!
//! | table | row | value |
//! |---|---|---|
//! | `meta/1` | `state` | [`State`], sealed |
//! | `entries/1` | name of the slot | slot, entry, boot, sealed |
//! | `bodies/1` | name of the CID, chunk number | up to [`CHUNK_BYTES`] of the body, sealed |
//! | `peers/1` | name of the member | [`RememberedPeer`], sealed |
//! | `tombstones/1` | name of the scope | scope and moment, sealed |
//! | `writes/1` | name of the write | [`Unfinished`], sealed |
//! | `index/1` | name of the slot | place in the order, cost in bytes, name of the CID |
//! | `order/1` | place in the order, oldest use first | name of a caller's slot |
//! | `offers/1` | place in the same order | name of an offer's slot that has no twin, its weight in bytes |
//! | `twins/1` | name of a caller's slot, and of the offer's that says the same | name of the other |
//! | `known/1` | name of the key's group, moment of the confirmation counted down, name of the slot | nothing |
//! | `references/1` | name of the CID | entries that name it, its length, whether it is here |
//!
//! Names are keyed hashes. The number in a table's name is its schema: another shape gets another number.

use ghmesh_model::wire::Record;
use ghmesh_model::{CacheKey, Entry, Fingerprint, LocalFingerprint, MemberId, Millis, Scope, WireKey, cbor};
use ghmesh_seal::DataKey;
use redb::TableDefinition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row's name: a keyed hash.
pub(crate) type Name = [u8; 32];
/// Values that are sealed, by their row's name.
pub(crate) type Sealed = TableDefinition<'static, &'static Name, &'static [u8]>;

pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta/1");
pub(crate) const ENTRIES: Sealed = TableDefinition::new("entries/1");
pub(crate) const BODIES: TableDefinition<'static, (&'static Name, u32), &'static [u8]> =
    TableDefinition::new("bodies/1");
pub(crate) const PEERS: Sealed = TableDefinition::new("peers/1");
pub(crate) const TOMBSTONES: Sealed = TableDefinition::new("tombstones/1");
/// Few, and there for as long as a write takes: not counted.
pub(crate) const WRITES: Sealed = TableDefinition::new("writes/1");
/// Place in the order, cost in bytes, name of the CID.
pub(crate) const INDEX: TableDefinition<'static, &'static Name, (u64, u64, &'static Name)> =
    TableDefinition::new("index/1");
pub(crate) const ORDER: TableDefinition<'static, u64, &'static Name> = TableDefinition::new("order/1");
/// Name of the slot, and what it counts towards the share of offers.
pub(crate) const OFFERS: TableDefinition<'static, u64, (&'static Name, u64)> = TableDefinition::new("offers/1");
pub(crate) const TWINS: TableDefinition<'static, &'static Name, &'static Name> = TableDefinition::new("twins/1");
/// All entries of one cache key, whatever their credential, the latest confirmed first.
pub(crate) const KNOWN: TableDefinition<'static, (&'static Name, u64, &'static Name), ()> =
    TableDefinition::new("known/1");
/// Entries that name it, length in bytes (0 where it is not here), whether it is here.
pub(crate) const REFERENCES: TableDefinition<'static, &'static Name, (u64, u64, bool)> =
    TableDefinition::new("references/1");

/// The only row of `meta/1`.
pub(crate) const STATE_ROW: &str = "state";
/// Bytes of a body in one row: with its seal and key it fills a page of 32 KiB even where nothing compresses.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024 - 128;
/// Largest entry, encoded: 16 headers of 8 KiB, two records of 24 KiB, 8 KiB of target, and room.
pub(crate) const MAX_ENTRY_BYTES: usize = 256 * 1024;
/// Largest of the small rows: a peer's with its addresses.
const MAX_SMALL_BYTES: usize = 4 * 1024;
/// Largest note of a write: a thousand scopes and more.
const MAX_WRITE_BYTES: usize = 64 * 1024;
/// What an entry costs beyond its own bytes: its rows in the index and order, seals, names.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 256;

/// Where an entry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// For callers of this node who present the credential.
    Local(CacheKey, LocalFingerprint),
    /// What members may be told, and what they told: unusable here until a caller presents the credential.
    Offer(WireKey, Fingerprint),
}

impl Slot {
    fn bytes(&self) -> [u8; 65] {
        let (kind, key, credential) = match self {
            Slot::Local(key, credential) => (1, &key.0, &credential.0),
            Slot::Offer(key, credential) => (2, &key.0, &credential.0),
        };
        let mut bytes = [kind; 65];
        bytes[1..33].copy_from_slice(key);
        bytes[33..].copy_from_slice(credential);
        bytes
    }

    pub(crate) fn name(&self, key: &DataKey) -> Name {
        key.row_name("entries/1", &self.bytes())
    }

    /// Where members are told what `entry`, in this slot of a caller's, says.
    pub(crate) fn twin(&self, entry: &Entry) -> Option<Slot> {
        match (self, entry.attestation.as_ref()?.stored.record()) {
            (Slot::Local(..), Ok(Record::Stored(stored))) => {
                Some(Slot::Offer(stored.validation.key, stored.validation.fingerprint))
            }
            (Slot::Local(..) | Slot::Offer(..), _) => None,
        }
    }
}

/// All slots of one cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Those of callers of this node.
    Local(CacheKey),
    /// Those of offers.
    Wire(WireKey),
}

impl Group {
    fn of(slot: &Slot) -> Self {
        match slot {
            Slot::Local(key, _) => Group::Local(*key),
            Slot::Offer(key, _) => Group::Wire(*key),
        }
    }

    pub(crate) fn name(&self, key: &DataKey) -> Name {
        let (kind, bytes) = match self {
            Group::Local(key) => (1, &key.0),
            Group::Wire(key) => (2, &key.0),
        };
        let mut row = [kind; 33];
        row[1..].copy_from_slice(bytes);
        key.row_name("known/1", &row)
    }
}

/// An entry's place in its group: the group's name, and a number that puts what was confirmed last first.
pub(crate) fn known_place(key: &DataKey, slot: &Slot, entry: &Entry) -> (Name, u64) {
    (Group::of(slot).name(key), u64::MAX - entry.confirmed_at.0)
}

/// A peer worth dialling after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedPeer {
    /// Who it is.
    pub member: MemberId,
    /// Multiaddrs that worked, best first.
    pub addresses: Vec<String>,
    /// When it was last connected, on this node's timeline.
    pub last_seen: Millis,
}

/// A write that was sent, or was about to be, and of whose end nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Its number: unlike any other's.
    pub id: [u8; 16],
    /// What it may have changed.
    pub scopes: Vec<Scope>,
    /// When it began, on this node's timeline.
    pub begun: Millis,
}

/// What every commit updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Counts opens; the one that is open now.
    pub(crate) boot: u64,
    /// The node's time at the last commit.
    pub(crate) clock: Millis,
    /// Next free place in the order.
    pub(crate) next_order: u64,
    /// Bytes of all entries and bodies.
    pub(crate) bytes: u64,
    /// The last boot that found the clock set back: ages of what was written before it are unknown.
    pub(crate) clock_set_back: u64,
    /// What offers without a twin weigh together.
    #[serde(default)]
    pub(crate) offered_bytes: u64,
}

/// An entry as it is read.
#[derive(Deserialize)]
pub(crate) struct EntryRow {
    pub(crate) slot: Slot,
    pub(crate) entry: Entry,
    pub(crate) boot: u64,
}

/// The same as it is written.
#[derive(Serialize)]
pub(crate) struct EntryRowRef<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) entry: &'a Entry,
    pub(crate) boot: u64,
}

impl EntryRow {
    pub(crate) fn open(key: &DataKey, name: &Name, sealed: &[u8]) -> Option<Self> {
        open(key, "entries/1", name, sealed, MAX_ENTRY_BYTES)
    }
}

/// The name of a body's rows.
pub(crate) fn body_name(key: &DataKey, cid: &ghmesh_model::BodyCid) -> Name {
    key.row_name("bodies/1", &cid.0)
}

/// A chunk's row as it is bound into the seal.
pub(crate) fn chunk_row(name: &Name, chunk: u32) -> [u8; 36] {
    let mut row = [0; 36];
    row[..32].copy_from_slice(name);
    row[32..].copy_from_slice(&chunk.to_be_bytes());
    row
}

pub(crate) fn seal_bytes(key: &DataKey, table: &str, row: &[u8], plain: &[u8]) -> Vec<u8> {
    key.seal_row(table, row, rand::random(), plain)
}

pub(crate) fn seal_state(key: &DataKey, state: &State) -> Vec<u8> {
    seal_bytes(key, "meta/1", STATE_ROW.as_bytes(), &cbor::encode(state))
}

pub(crate) fn open_state(key: &DataKey, sealed: &[u8]) -> Option<State> {
    open(key, "meta/1", STATE_ROW.as_bytes(), sealed, MAX_SMALL_BYTES)
}

pub(crate) fn peer_name(key: &DataKey, member: &MemberId) -> Name {
    key.row_name("peers/1", &member.0)
}

pub(crate) fn seal_peer(key: &DataKey, name: &Name, peer: &RememberedPeer) -> Vec<u8> {
    seal_bytes(key, "peers/1", name, &cbor::encode(peer))
}

pub(crate) fn open_peer(key: &DataKey, name: &Name, sealed: &[u8]) -> Option<RememberedPeer> {
    open(key, "peers/1", name, sealed, MAX_SMALL_BYTES)
}

pub(crate) fn write_name(key: &DataKey, id: &[u8; 16]) -> Name {
    key.row_name("writes/1", id)
}

pub(crate) fn seal_write(key: &DataKey, name: &Name, write: &Unfinished) -> Vec<u8> {
    seal_bytes(key, "writes/1", name, &cbor::encode(write))
}

pub(crate) fn open_write(key: &DataKey, name: &Name, sealed: &[u8]) -> Option<Unfinished> {
    open(key, "writes/1", name, sealed, MAX_WRITE_BYTES)
}

pub(crate) fn tombstone_name(key: &DataKey, scope: &Scope) -> Name {
    key.row_name("tombstones/1", &scope.0)
}

pub(crate) fn seal_tombstone(key: &DataKey, name: &Name, tombstone: &(Scope, Millis)) -> Vec<u8> {
    seal_bytes(key, "tombstones/1", name, &cbor::encode(tombstone))
}

pub(crate) fn open_tombstone(key: &DataKey, name: &Name, sealed: &[u8]) -> Option<(Scope, Millis)> {
    open(key, "tombstones/1", name, sealed, MAX_SMALL_BYTES)
}

/// `None`, and a line in the log, for a row that was damaged: whoever reads goes on as if it were not there.
fn open<T: DeserializeOwned>(key: &DataKey, table: &str, row: &[u8], sealed: &[u8], limit: usize) -> Option<T> {
    let plain = key
        .open_row(table, row, sealed, limit)
        .inspect_err(|error| tracing::warn!(table, %error, "a damaged row in the cache"))
        .ok()?;
    cbor::decode(&plain, limit).inspect_err(|error| tracing::warn!(table, %error, "a malformed row in the cache")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_from_before_offers_were_weighed_is_read() {
        #[derive(Serialize)]
        struct Earlier {
            boot: u64,
            clock: Millis,
            next_order: u64,
            bytes: u64,
            clock_set_back: u64,
        }
        let key = DataKey::new([1; 32]);
        let earlier = Earlier { boot: 3, clock: Millis(5), next_order: 7, bytes: 11, clock_set_back: 2 };
        let sealed = seal_bytes(&key, "meta/1", STATE_ROW.as_bytes(), &cbor::encode(&earlier));
        let expected =
            State { boot: 3, clock: Millis(5), next_order: 7, bytes: 11, clock_set_back: 2, offered_bytes: 0 };
        assert_eq!(open_state(&key, &sealed), Some(expected));
    }
}
