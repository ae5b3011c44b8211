//! Rosters: what is sealed and opened, who stays in one, and when it is written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::ipns;
use super::super::places::SLOT_SECONDS;
use super::*;
use crate::tests::ring;
use proptest::prelude::*;

/// Half past the hour, in 2099: the fixture's records have not ended when Kubo looks at them.
const NOW: u64 = 1_130_808 * SLOT_SECONDS + 1800;
const PLACE: Place = Place { slot: 1_130_808, shard: 2 };
const MINUTE: u64 = 60;

fn notice(member: u8, written: u64) -> Notice {
    let address: libp2p::Multiaddr = format!("/ip4/192.0.2.{member}/tcp/9000").parse().unwrap();
    Notice::new(MemberId([member; 32]), written, [address.to_vec()])
}

fn members(notices: &[Notice]) -> Vec<u8> {
    notices.iter().map(|notice| notice.member.0[0]).collect()
}

fn full() -> Vec<Notice> {
    merge((1..=5).map(|member| notice(member, NOW - u64::from(member))))
}

#[test]
fn the_record_is_the_one_that_kubo_has_checked() {
    let ring = ring("fixture");
    let notices = merge([notice(1, NOW), notice(2, NOW - 60)]);
    let record = record(&ring, PLACE, notices.clone(), 3, [0x24; 24]);
    let keypair = PLACE.keypair(&ring);
    let bytes = ipns::sign(&keypair, &record);
    let name = libp2p::identity::PublicKey::from(keypair.public()).to_peer_id();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // tests/long/public-dht.sh gives this file to Kubo, which verifies it under that name.
    let fixture = include_str!("../../fixtures/ipns-record.txt");
    assert_eq!(fixture, format!("name = {name}\nrecord = {hex}\n"));
    let read = ipns::verify(&keypair.public(), &bytes, NOW).unwrap();
    assert_eq!(open(&ring, PLACE, &read), Ok(notices));
}

#[test]
fn every_roster_has_the_same_length_and_shows_nothing() {
    let ring = ring("secret");
    let most: Vec<Notice> = (1..=5)
        .map(|member| {
            Notice::new(MemberId([0xff - member; 32]), u64::MAX, vec![vec![0xff; MAX_ADDRESS_BYTES]; MAX_ADDRESSES])
        })
        .collect();
    let (empty, full) = (record(&ring, PLACE, vec![], 1, [1; 24]), record(&ring, PLACE, most.clone(), 1, [2; 24]));
    assert_eq!(empty.value.len(), full.value.len());
    assert_eq!(open(&ring, PLACE, &full), Ok(most));
    assert!(ipns::sign(&PLACE.keypair(&ring), &full).len() < ipns::MAX_RECORD_BYTES);
}

#[test]
fn a_roster_opens_in_its_place_with_its_ring_only() {
    let ring = ring("secret");
    let record = record(&ring, PLACE, full(), 1, [1; 24]);
    assert!(open(&ring, PLACE, &record).is_ok());
    assert_eq!(open(&crate::tests::ring("other"), PLACE, &record), Err(Unreadable), "another mesh's");
    let last_hour = Place { slot: PLACE.slot - 1, ..PLACE };
    assert_eq!(open(&ring, last_hour, &record), Err(Unreadable), "an old slot's, signed anew by a member");
    assert_eq!(open(&ring, Place { shard: 0, ..PLACE }, &record), Err(Unreadable));
    for value in
        [&b""[..], b"/ipfs/", b"/ipfs/bafkqaaa", b"/ipns/bafkqaaa", b"\xff", &record.value[..record.value.len() - 8]]
    {
        assert_eq!(open(&ring, PLACE, &Record { value: value.to_vec(), ..record.clone() }), Err(Unreadable));
    }
}

#[test]
fn a_member_cant_fill_a_roster_beyond_its_bounds() {
    let ring = ring("secret");
    let many = (0..6).map(|member| notice(member, NOW)).collect();
    assert_eq!(open(&ring, PLACE, &record(&ring, PLACE, many, 1, [1; 24])), Err(Unreadable));
    let long = Notice { addresses: vec![ByteBuf::from(vec![1; MAX_ADDRESS_BYTES + 1])], ..notice(1, NOW) };
    assert_eq!(open(&ring, PLACE, &record(&ring, PLACE, vec![long], 1, [1; 24])), Err(Unreadable));
    let numerous = Notice { addresses: vec![ByteBuf::new(); MAX_ADDRESSES + 1], ..notice(1, NOW) };
    assert_eq!(open(&ring, PLACE, &record(&ring, PLACE, vec![numerous], 1, [1; 24])), Err(Unreadable));
}

#[test]
fn the_newest_five_members_stay_each_once() {
    let notices = (1..=7).map(|member| notice(member, NOW + u64::from(member))).chain([notice(7, NOW - 9)]);
    assert_eq!(members(&merge(notices)), [7, 6, 5, 4, 3]);
}

#[test]
fn what_no_clock_can_show_is_not_believed() {
    let seen = believable([notice(1, u64::MAX), notice(2, NOW + SKEW_SECONDS), notice(3, NOW + SKEW_SECONDS + 1)], NOW);
    assert_eq!(members(&seen), [2]);
}

/// The members that stand there after `own` has looked at `seen`.
fn written(seen: &[Notice], own: Notice, connected: &[u8]) -> Option<Vec<u8>> {
    let connected = connected.iter().map(|member| MemberId([*member; 32])).collect();
    revised(seen, own, &connected, NOW).map(|notices| members(&notices))
}

#[test]
fn who_is_missing_where_there_is_room_is_written() {
    assert_eq!(written(&[], notice(9, NOW), &[]), Some(vec![9]));
    assert_eq!(written(&full()[..4], notice(9, NOW), &[1, 2, 3]), Some(vec![9, 1, 2, 3, 4]));
}

#[test]
fn who_has_no_address_writes_nothing() {
    assert_eq!(written(&[], Notice::new(MemberId([9; 32]), NOW, []), &[]), None);
}

#[test]
fn a_full_place_of_ones_own_mesh_is_left_alone() {
    assert_eq!(written(&full(), notice(9, NOW), &[4]), None);
}

#[test]
fn who_is_connected_to_none_of_them_takes_the_place_of_the_oldest() {
    assert_eq!(written(&full(), notice(9, NOW), &[]), Some(vec![9, 1, 2, 3, 4]));
    assert_eq!(
        written(&full(), notice(9, NOW - 600), &[8]),
        Some(vec![1, 2, 3, 4, 9]),
        "also with a clock that is late"
    );
}

#[test]
fn a_stale_notice_makes_room() {
    let with_stale = |age| merge(full().into_iter().take(4).chain([notice(5, NOW - age)]));
    assert_eq!(written(&with_stale(STALE_SECONDS), notice(9, NOW), &[4]), Some(vec![9, 1, 2, 3, 4]));
    assert_eq!(written(&with_stale(STALE_SECONDS - 1), notice(9, NOW), &[4]), None);
}

#[test]
fn ones_own_notice_is_written_anew_when_it_ages_or_changes() {
    let seen = |age| merge([notice(1, NOW), notice(9, NOW - age)]);
    assert_eq!(written(&seen(9 * MINUTE), notice(9, NOW), &[]), None);
    assert_eq!(written(&seen(10 * MINUTE), notice(9, NOW), &[]), Some(vec![9, 1]));
    let moved = Notice { addresses: notice(8, 0).addresses, ..notice(9, NOW) };
    assert_eq!(written(&seen(0), moved, &[]), Some(vec![9, 1]));
}

fn notices() -> impl Strategy<Value = Vec<Notice>> {
    prop::collection::vec((0u8..9, 0u64..6).prop_map(|(member, written)| notice(member, written)), 0..12)
}

proptest! {
    #[test]
    fn merging_has_no_order(one in notices(), two in notices(), three in notices()) {
        let both = |one: &[Notice], two: &[Notice]| merge(one.iter().chain(two).cloned());
        prop_assert_eq!(both(&one, &two), both(&two, &one));
        prop_assert_eq!(both(&both(&one, &two), &three), both(&one, &both(&two, &three)));
        prop_assert_eq!(both(&both(&one, &two), &two), both(&one, &two));
        prop_assert!(merge(one).len() <= MAX_NOTICES);
    }

    #[test]
    fn what_is_written_holds_the_writer_and_is_settled(seen in notices(), own in 0u8..9, connected in prop::collection::btree_set(0u8..9, 0..4)) {
        let connected: BTreeSet<MemberId> = connected.into_iter().map(|member| MemberId([member; 32])).collect();
        let seen = merge(seen);
        let own = notice(own, 6);
        if let Some(written) = revised(&seen, own.clone(), &connected, 6) {
            prop_assert!(written.contains(&own) && written.len() <= MAX_NOTICES);
            prop_assert_eq!(revised(&written, own, &connected, 6), None, "once is enough");
        } else {
            prop_assert!(!seen.is_empty());
        }
    }
}
