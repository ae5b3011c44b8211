//! What stands in a place: a few members and their addresses, sealed.
//!
//! Strangers keep it, so it has one length whatever is in it, and opens only with the mesh's keys. Members write it one after
//! the other: each takes what is there, adds itself, and signs it with the next sequence number. Who loses such a race finds
//! itself missing the next time, and writes again. Pure.

use super::ipns::Record;
use super::places::{Place, SKEW_SECONDS};
use ghmesh_model::{MemberId, cbor};
use ghmesh_seal::{KeyRing, NONCE_BYTES, OVERHEAD_BYTES, Purpose};
use multibase::Base;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;

/// Members in one place. When full, the newest stay: who comes finds five to dial, and they know the others.
pub(super) const MAX_NOTICES: usize = 5;
/// Addresses of a member. More are left out.
pub(super) const MAX_ADDRESSES: usize = 3;
/// Bytes of one address: `/ip6/…/udp/…/quic-v1` has 22.
const MAX_ADDRESS_BYTES: usize = 24;
/// Every roster has as many bytes: `length (2) | CBOR | zeros`. The most that [`MAX_NOTICES`] can need is about 800.
const ROSTER_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 2;
const SEALED_BYTES: usize = ROSTER_BYTES + OVERHEAD_BYTES;

/// The record's value is a path, as IPNS wants it: `/ipfs/` and a CID that holds the sealed roster itself.
const PATH: &[u8] = b"/ipfs/";
/// CIDv1, codec raw, hash identity, and the length as a varint.
const CID_HEAD: [u8; 5] = [1, 0x55, 0, 0x80 | (SEALED_BYTES & 0x7f) as u8, (SEALED_BYTES >> 7) as u8];
const _: () = assert!(SEALED_BYTES >= 1 << 7 && SEALED_BYTES < 1 << 14, "the varint has two bytes");

/// An own notice of this age is written anew.
const REFRESH_SECONDS: u64 = 10 * 60;
/// A notice of this age makes room for another: its node would have written a new one, within 25 minutes of that, even if its clock
/// is late by [`SKEW_SECONDS`].
const STALE_SECONDS: u64 = 55 * 60;

/// "This member is reached there."
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) member: MemberId,
    /// By the member's clock, in Unix seconds.
    pub(super) written: u64,
    /// Multiaddrs as bytes: an IP address, a transport and a port.
    pub(super) addresses: Vec<ByteBuf>,
}

/// A roster says itself where it stands, so that none can be taken for another's.
#[derive(Serialize, Deserialize)]
struct Roster {
    slot: u64,
    shard: u8,
    notices: Vec<Notice>,
}

/// A path that is not a roster of ours for this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no members' addresses for this place")]
pub(super) struct Unreadable;

impl Notice {
    /// Addresses that are too long are left out, and so are more than [`MAX_ADDRESSES`].
    pub(super) fn new(member: MemberId, written: u64, addresses: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let short = addresses.into_iter().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        Notice { member, written, addresses: short.take(MAX_ADDRESSES).map(ByteBuf::from).collect() }
    }

    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.written)
    }

    fn is_within_bounds(&self) -> bool {
        self.addresses.len() <= MAX_ADDRESSES && self.addresses.iter().all(|address| address.len() <= MAX_ADDRESS_BYTES)
    }
}

/// The record of `place` that says `notices`. `nonce` must be random.
pub(super) fn record(
    ring: &KeyRing,
    place: Place,
    notices: Vec<Notice>,
    sequence: u64,
    nonce: [u8; NONCE_BYTES],
) -> Record {
    let encoded = cbor::encode(&Roster { slot: place.slot, shard: place.shard, notices });
    let length = u16::try_from(encoded.len()).expect("bounded notices fit a roster");
    let mut plain = [&length.to_be_bytes(), encoded.as_slice()].concat();
    plain.resize(ROSTER_BYTES, 0);
    let sealed = ring.seal(Purpose::Rendezvous, nonce, &plain);
    let cid = multibase::encode(Base::Base32Lower, [CID_HEAD.as_slice(), &sealed].concat());
    Record { value: [PATH, cid.as_bytes()].concat(), sequence, valid_until: place.valid_until() }
}

/// What a verified record of `place` says.
///
/// # Errors
/// [`Unreadable`]: no roster, not sealed with this ring, or of another place.
pub(super) fn open(ring: &KeyRing, place: Place, record: &Record) -> Result<Vec<Notice>, Unreadable> {
    let cid = record.value.strip_prefix(PATH).and_then(|cid| std::str::from_utf8(cid).ok()).ok_or(Unreadable)?;
    let (_, bytes) = multibase::decode(cid).map_err(|_| Unreadable)?;
    let sealed = bytes.strip_prefix(&CID_HEAD).ok_or(Unreadable)?;
    let plain = ring.open(Purpose::Rendezvous, sealed, ROSTER_BYTES).map_err(|_| Unreadable)?;
    let (length, rest) = plain.split_first_chunk::<LENGTH_BYTES>().ok_or(Unreadable)?;
    let encoded = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(Unreadable)?;
    let roster: Roster = cbor::decode(encoded, ROSTER_BYTES).map_err(|_| Unreadable)?;
    let here = (roster.slot, roster.shard) == (place.slot, place.shard);
    let bounded = roster.notices.len() <= MAX_NOTICES && roster.notices.iter().all(Notice::is_within_bounds);
    if here && bounded { Ok(roster.notices) } else { Err(Unreadable) }
}

/// Of each member its newest notice, and of those the newest [`MAX_NOTICES`]. In whatever order notices come, the same is left.
pub(super) fn merge(notices: impl IntoIterator<Item = Notice>) -> Vec<Notice> {
    let newest_first = |notice: &Notice| std::cmp::Reverse((notice.written, notice.member, notice.addresses.clone()));
    let mut all: Vec<Notice> = notices.into_iter().collect();
    all.sort_by_key(newest_first);
    let mut members = BTreeSet::new();
    all.retain(|notice| members.insert(notice.member));
    all.truncate(MAX_NOTICES);
    all
}

/// What stands there as this node believes it. What claims to be written in a future that no clock can show is left out: it
/// would keep its place for ever.
pub(super) fn believable(notices: impl IntoIterator<Item = Notice>, now: u64) -> Vec<Notice> {
    merge(notices.into_iter().filter(|notice| notice.written <= now.saturating_add(SKEW_SECONDS)))
}

/// What this node should write over `seen`, if anything.
///
/// A place that is full of others' fresh notices is left alone: whoever reads it finds the mesh. That is, if it is the same mesh as seen
/// from here: where this node is `connected` to none of them, it may be what they lack.
pub(super) fn revised(seen: &[Notice], own: Notice, connected: &BTreeSet<MemberId>, now: u64) -> Option<Vec<Notice>> {
    if own.addresses.is_empty() {
        return None;
    }
    let wanted = match seen.iter().find(|notice| notice.member == own.member) {
        Some(mine) => mine.addresses != own.addresses || mine.age(now) >= REFRESH_SECONDS,
        None => {
            let has_room = seen.len() < MAX_NOTICES || seen.iter().any(|notice| notice.age(now) >= STALE_SECONDS);
            has_room || !seen.iter().any(|notice| connected.contains(&notice.member))
        }
    };
    let others = merge(seen.iter().filter(|notice| notice.member != own.member).cloned());
    // One place is this node's, whatever others' clocks say.
    wanted.then(|| merge(others.into_iter().take(MAX_NOTICES - 1).chain([own])))
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
