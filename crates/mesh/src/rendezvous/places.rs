//! Where members meet: which slot of time, which shard, under which name.
//!
//! Pure: moments are arguments, in Unix seconds of this node's clock.
//!
//! A name counts for one slot only, so that whoever watches the DHT can't follow a mesh over time by a name. Clocks differ: a
//! node writes into the slot that its own clock shows, and reads the slots in which others may have written.

use ghmesh_model::MemberId;
use ghmesh_seal::KeyRing;
use libp2p::identity::ed25519;
use std::ops::RangeInclusive;

/// An hour. Longer, and a name could be watched for longer, and addresses of nodes that are gone would be found for longer (two
/// slots); shorter, and all would have to write more often.
pub(super) const SLOT_SECONDS: u64 = 3600;
/// How far two clocks may lie apart: ten minutes off to either side.
pub(super) const SKEW_SECONDS: u64 = 1200;
/// Records of a slot, each with a few members: two nodes rarely write one at the same time, and all are read in one go.
pub(super) const SHARDS: u8 = 4;

/// One record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) slot: u64,
    pub(super) shard: u8,
}

impl Place {
    /// Where `member` leaves its addresses.
    pub(super) fn of(member: &MemberId, now: u64) -> Self {
        Place { slot: now / SLOT_SECONDS, shard: shard_of(member) }
    }

    /// The key pair that names the place and signs its record: of all who hold the ring.
    pub(super) fn keypair(&self, ring: &KeyRing) -> ed25519::Keypair {
        let mut seed = ring.rendezvous_seed(self.slot, self.shard);
        let secret = ed25519::SecretKey::try_from_bytes(seed.as_mut_slice()).expect("any 32 bytes are a seed");
        secret.into()
    }

    /// When its record ends. It is read until the end of the next slot, by clocks that may be late.
    pub(super) fn valid_until(&self) -> u64 {
        self.slot.saturating_add(2).saturating_mul(SLOT_SECONDS).saturating_add(SKEW_SECONDS)
    }
}

/// The shard of a member: ids are keys, so their bytes are spread evenly.
fn shard_of(member: &MemberId) -> u8 {
    member.0[0] % SHARDS
}

/// Slots that may hold what others wrote lately: the previous one, where this slot is too young for all to have written into it; the
/// current one; the next, where its beginning is so near that faster clocks have passed it.
fn slots(now: u64) -> RangeInclusive<u64> {
    (now / SLOT_SECONDS).saturating_sub(1)..=now.saturating_add(SKEW_SECONDS) / SLOT_SECONDS
}

/// What to read: everything for a node that is alone; else its own shard, which it may have to write, and `another`.
pub(super) fn to_read(member: &MemberId, alone: bool, another: u8, now: u64) -> Vec<Place> {
    let own = shard_of(member);
    let wanted = |shard: &u8| alone || *shard == own || *shard == another % SHARDS;
    slots(now).flat_map(|slot| (0..SHARDS).filter(wanted).map(move |shard| Place { slot, shard })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60;
    const MEMBER: MemberId = MemberId([7; 32]);

    #[test]
    fn who_is_alone_reads_every_shard_others_their_own_and_one_more() {
        let now = 1000 * SLOT_SECONDS + 30 * MINUTE;
        let places = |alone, another| to_read(&MEMBER, alone, another, now);
        let in_slots = |slots: &[u64], shards: &[u8]| -> Vec<Place> {
            slots.iter().flat_map(|&slot| shards.iter().map(move |&shard| Place { slot, shard })).collect()
        };
        assert_eq!(places(true, 0), in_slots(&[999, 1000], &[0, 1, 2, 3]));
        assert_eq!(places(false, 5), in_slots(&[999, 1000], &[1, 3]));
        assert_eq!(places(false, 3), in_slots(&[999, 1000], &[3]));
    }

    #[test]
    fn the_next_slot_is_read_when_faster_clocks_are_in_it() {
        let boundary = 1000 * SLOT_SECONDS;
        let last = |now| slots(now).last();
        assert_eq!(last(boundary - SKEW_SECONDS - 1), Some(999));
        assert_eq!(last(boundary - SKEW_SECONDS), Some(1000));
        assert_eq!(slots(0), 0..=0);
    }

    proptest! {
        /// Every node writes at least every 25 minutes, into the slot of its own clock.
        #[test]
        fn what_a_node_wrote_last_is_found_whatever_the_clocks(
            now in 10 * SLOT_SECONDS..1_000_000 * SLOT_SECONDS,
            writer_skew in -600i64..=600,
            reader_skew in -600i64..=600,
            since in 0..=25 * MINUTE,
        ) {
            let by = |time: u64, skew: i64| time.checked_add_signed(skew).expect("far from both ends");
            let written = Place::of(&MEMBER, by(now - since, writer_skew));
            let reader = by(now, reader_skew);
            prop_assert!(to_read(&MEMBER, true, 0, reader).contains(&written));
            prop_assert!(to_read(&MEMBER, false, 0, reader).contains(&written), "own shard");
            prop_assert!(written.valid_until() > reader, "it has not ended");
            prop_assert!(written.valid_until() > by(now, -reader_skew), "nor for whoever keeps it");
        }
    }
}
