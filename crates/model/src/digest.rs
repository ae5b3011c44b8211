//! What members compare to find out what one of them lacks: ids, versions, and sums of them.
//!
//! An **item** is one thing that a member may hold in several versions: the answer to a key for one credential, or the record of a
//! write. Its id is a hash, so that ids are spread evenly and a row has a fixed size. Lists of items travel packed, row after
//! row in one byte string: CBOR would take twice the bytes.

use crate::id::{Fingerprint, WireKey};
use crate::limits;
use crate::wire::Stamp;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

const ID_BYTES: usize = 16;
const SUM_BYTES: usize = 8;
const ITEM_BYTES: usize = ID_BYTES + SUM_BYTES;

/// Names one thing that members may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub [u8; ID_BYTES]);

/// One thing in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Which.
    pub id: ItemId,
    /// Of two versions of one thing the larger is the better one, on whichever member.
    pub version: u64,
}

impl ItemId {
    /// The answer to a key for one credential.
    pub fn of_answer(key: &WireKey, fingerprint: &Fingerprint) -> Self {
        ItemId::of(b"ghmesh/sync/answer\0", &[&key.0, &fingerprint.0])
    }

    /// The record of a write, by its author's stamp.
    pub fn of_write(stamp: &Stamp) -> Self {
        let (boot, sequence) = (stamp.boot.to_be_bytes(), stamp.sequence.to_be_bytes());
        ItemId::of(b"ghmesh/sync/write\0", &[&stamp.author.0, &boot, &sequence])
    }

    fn of(label: &[u8], parts: &[&[u8]]) -> Self {
        let hash = parts.iter().fold(Sha256::new().chain_update(label), |hash, part| hash.chain_update(part));
        ItemId(first(&hash.finalize()))
    }

    /// Which of `buckets` it belongs to, a power of two of at most [`limits::MAX_SUMMARIES`].
    pub fn bucket(&self, buckets: usize) -> usize {
        usize::from(u16::from_be_bytes(first(&self.0))) & (buckets - 1)
    }
}

impl Item {
    /// The version of a write: there is only one. No answer has it.
    pub const WRITE_VERSION: u64 = 1;

    /// The version of an answer that GitHub gave at `origin_date`. `whole`: its body is here, or is too large to come with it.
    pub fn answer_version(origin_date: u64, whole: bool) -> u64 {
        origin_date.saturating_mul(2).saturating_add(u64::from(whole))
    }

    /// What it adds to its bucket's summary.
    fn weight(&self) -> u64 {
        let hash = Sha256::new().chain_update(self.id.0).chain_update(self.version.to_be_bytes());
        u64::from_be_bytes(first(&hash.finalize()))
    }
}

/// One number for each bucket of ids: the sum, modulo 2^64, of the first eight bytes of SHA-256 over each item's id and version. Equal
/// numbers mean equal contents, but for an accident of 2^-64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ByteBuf", try_from = "ByteBuf")]
pub struct Summaries(Vec<u64>);

impl Summaries {
    /// Of these items, in so many buckets: a power of two of at most [`limits::MAX_SUMMARIES`].
    ///
    /// # Panics
    /// For another number of buckets.
    pub fn of(items: impl IntoIterator<Item = Item>, buckets: usize) -> Self {
        assert!(is_possible(buckets), "{buckets} is no power of two within the limit");
        let mut sums = vec![0_u64; buckets];
        for item in items {
            let sum = &mut sums[item.id.bucket(buckets)];
            *sum = sum.wrapping_add(item.weight());
        }
        Summaries(sums)
    }

    /// How many buckets: a power of two.
    pub fn buckets(&self) -> usize {
        self.0.len()
    }

    /// The buckets in which the other's numbers, of as many buckets, are different.
    ///
    /// # Panics
    /// If the numbers of buckets differ.
    pub fn differing(&self, other: &Summaries) -> Vec<bool> {
        assert_eq!(self.buckets(), other.buckets(), "summaries are compared bucket by bucket");
        self.0.iter().zip(&other.0).map(|(one, other)| one != other).collect()
    }
}

/// Items, the most useful first: at most [`limits::MAX_LISTED`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ByteBuf", try_from = "ByteBuf")]
pub struct Listing(pub Vec<Item>);

/// Ids of items that are asked for, in the order in which they are wanted: at most [`limits::MAX_PULLED`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ByteBuf", try_from = "ByteBuf")]
pub struct Wanted(pub Vec<ItemId>);

/// A packed list that is no list of whole rows, or has more of them than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, which can't be rows of {row} bytes, at most {most} of them")]
pub struct Unpackable {
    bytes: usize,
    row: usize,
    most: usize,
}

fn rows<const ROW: usize, T>(packed: &[u8], most: usize, read: fn(&[u8; ROW]) -> T) -> Result<Vec<T>, Unpackable> {
    let (rows, rest) = packed.as_chunks::<ROW>();
    if !rest.is_empty() || rows.len() > most {
        return Err(Unpackable { bytes: packed.len(), row: ROW, most });
    }
    Ok(rows.iter().map(read).collect())
}

fn is_possible(buckets: usize) -> bool {
    buckets.is_power_of_two() && buckets <= limits::MAX_SUMMARIES
}

fn first<const COUNT: usize>(bytes: &[u8]) -> [u8; COUNT] {
    let mut taken = [0; COUNT];
    taken.copy_from_slice(&bytes[..COUNT]);
    taken
}

impl From<Summaries> for ByteBuf {
    fn from(Summaries(sums): Summaries) -> Self {
        ByteBuf::from(sums.iter().flat_map(|sum| sum.to_be_bytes()).collect::<Vec<u8>>())
    }
}

impl TryFrom<ByteBuf> for Summaries {
    type Error = Unpackable;

    fn try_from(packed: ByteBuf) -> Result<Self, Unpackable> {
        let most = limits::MAX_SUMMARIES;
        let sums = rows::<SUM_BYTES, _>(&packed, most, |row| u64::from_be_bytes(*row))?;
        if is_possible(sums.len()) {
            Ok(Summaries(sums))
        } else {
            Err(Unpackable { bytes: packed.len(), row: SUM_BYTES, most })
        }
    }
}

impl From<Listing> for ByteBuf {
    fn from(Listing(items): Listing) -> Self {
        let mut packed = Vec::with_capacity(items.len() * ITEM_BYTES);
        for Item { id, version } in items {
            packed.extend_from_slice(&id.0);
            packed.extend_from_slice(&version.to_be_bytes());
        }
        ByteBuf::from(packed)
    }
}

impl TryFrom<ByteBuf> for Listing {
    type Error = Unpackable;

    fn try_from(packed: ByteBuf) -> Result<Self, Unpackable> {
        let read = |row: &[u8; ITEM_BYTES]| Item {
            id: ItemId(first(row)),
            version: u64::from_be_bytes(first(&row[ID_BYTES..])),
        };
        rows(&packed, limits::MAX_LISTED, read).map(Listing)
    }
}

impl From<Wanted> for ByteBuf {
    fn from(Wanted(ids): Wanted) -> Self {
        ByteBuf::from(ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>())
    }
}

impl TryFrom<ByteBuf> for Wanted {
    type Error = Unpackable;

    fn try_from(packed: ByteBuf) -> Result<Self, Unpackable> {
        rows::<ID_BYTES, _>(&packed, limits::MAX_PULLED, |row| ItemId(*row)).map(Wanted)
    }
}

#[cfg(test)]
mod tests;
