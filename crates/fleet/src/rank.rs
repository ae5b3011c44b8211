//! Rendezvous hashing (highest random weight; Thaler and Ravishankar, 1998): every member computes the same owner for a key
//! from the members alone, and when one leaves only its own keys move.

use ghmesh_model::{MemberId, WireKey};
use sha2::{Digest, Sha256};

/// Owner and two standbys.
pub(crate) const RANKED: usize = 3;

/// The members that coordinate `key`, best first: the owner, then its standbys. At most three.
pub fn owners(key: &WireKey, members: impl Iterator<Item = MemberId>) -> Vec<MemberId> {
    let mut ranked: Vec<_> = members.map(|member| (weight(key, &member), member)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.truncate(RANKED);
    ranked.into_iter().map(|(_, member)| member).collect()
}

/// Whether `one` comes before `other` among the members that coordinate `key`. The order is the same for everybody, whoever
/// else is a member.
pub(crate) fn outranks(key: &WireKey, one: &MemberId, other: &MemberId) -> bool {
    (weight(key, one), one) > (weight(key, other), other)
}

fn weight(key: &WireKey, member: &MemberId) -> [u8; 32] {
    Sha256::new().chain_update(b"ghmesh/owner/1\0").chain_update(key.0).chain_update(member.0).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(number: u8) -> MemberId {
        MemberId([number; 32])
    }

    #[test]
    fn keys_spread_over_members() {
        let mut owned = [0_u32; 5];
        for key in 0..=255 {
            let owner = owners(&WireKey([key; 32]), (0..5).map(member))[0];
            owned[usize::from(owner.0[0])] += 1;
        }
        assert!(owned.iter().all(|count| *count > 25), "{owned:?}");
    }

    proptest! {
        #[test]
        fn the_order_of_members_does_not_matter(key: [u8; 32], numbers: std::collections::BTreeSet<u8>) {
            let forward = owners(&WireKey(key), numbers.iter().copied().map(member));
            let backward = owners(&WireKey(key), numbers.iter().rev().copied().map(member));
            prop_assert_eq!(forward, backward);
        }

        #[test]
        fn the_order_of_two_is_their_order_among_all(key: [u8; 32], count in 2_u8..40) {
            let ranked = owners(&WireKey(key), (0..count).map(member));
            prop_assert!(ranked.is_sorted_by(|one, other| outranks(&WireKey(key), one, other)));
        }

        #[test]
        fn a_member_that_leaves_takes_only_its_own_keys(key: [u8; 32], count in 2_u8..40, gone in 0_u8..40) {
            let before = owners(&WireKey(key), (0..count).map(member))[0];
            let after = owners(&WireKey(key), (0..count).filter(|number| *number != gone).map(member))[0];
            prop_assert!(before == after || before == member(gone));
        }
    }
}
