//! What is made of what the DHT's nodes answer, and which addresses are left with them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::places::SLOT_SECONDS;
use super::*;
use crate::Identity;
use crate::tests::ring;

const NOW: u64 = 500_000 * SLOT_SECONDS + 1800;
const PLACE: Place = Place { slot: 500_000, shard: 1 };

fn notice(member: u8, written: u64) -> Notice {
    Notice::new(MemberId([member; 32]), written, [])
}

/// The names of one ring and place.
fn names(ring: &KeyRing) -> BTreeMap<Vec<u8>, Name<'_>> {
    let keypair = PLACE.keypair(ring);
    [(ipns::routing_key(&keypair.public()), Name { ring, place: PLACE, keypair })].into()
}

/// A record for `place`, sealed by one ring and signed by the key of another place.
fn copy(sealed_by: &KeyRing, place: Place, signed_by: (&KeyRing, Place), members: &[u8], sequence: u64) -> Vec<u8> {
    let notices = members.iter().map(|member| notice(*member, NOW)).collect();
    let record = roster::record(sealed_by, place, notices, sequence, [sequence as u8; 24]);
    ipns::sign(&signed_by.1.keypair(signed_by.0), &record)
}

/// The members that count, and the sequence that a writer has to exceed.
fn read(ring: &KeyRing, copies: Vec<Vec<u8>>) -> (Vec<u8>, u64) {
    let names = names(ring);
    let key = names.keys().next().unwrap().clone();
    let copies = copies.into_iter().map(|bytes| (key.clone(), bytes)).collect();
    let here = standing(&names, copies, NOW).remove(&key).unwrap_or_default();
    let mut members: Vec<u8> = here.notices.iter().map(|notice| notice.member.0[0]).collect();
    members.sort();
    (members, here.sequence)
}

#[test]
fn copies_of_any_age_are_put_together() {
    let ring = ring("secret");
    let genuine = |members, sequence| copy(&ring, PLACE, (&ring, PLACE), members, sequence);
    assert_eq!(read(&ring, vec![]), (vec![], 0));
    assert_eq!(read(&ring, vec![genuine(&[1, 2], 4), genuine(&[2, 3], 9), genuine(&[1], 1)]), (vec![1, 2, 3], 9));
}

#[test]
fn what_strangers_put_beside_a_record_counts_for_nothing() {
    let (ring, other) = (ring("secret"), ring("other"));
    let last_hour = Place { slot: PLACE.slot - 1, ..PLACE };
    let long_ago = Place { slot: PLACE.slot - 5, ..PLACE };
    let genuine = copy(&ring, PLACE, (&ring, PLACE), &[1], 4);
    let mut changed = genuine.clone();
    *changed.last_mut().unwrap() ^= 1;
    let refused = [
        vec![],
        vec![0xff; 20_000],
        changed,
        copy(&other, PLACE, (&other, PLACE), &[2], 90),
        // An old slot's record, as it was signed then.
        copy(&ring, last_hour, (&ring, last_hour), &[3], 91),
        copy(&ring, long_ago, (&ring, long_ago), &[3], 92),
    ];
    for stranger in refused {
        assert_eq!(read(&ring, vec![stranger.clone()]), (vec![], 0));
        assert_eq!(read(&ring, vec![stranger, genuine.clone()]), (vec![1], 4));
    }
}

#[test]
fn what_a_member_signs_in_vain_is_still_to_be_exceeded() {
    let (ring, other) = (ring("secret"), ring("other"));
    let last_hour = Place { slot: PLACE.slot - 1, ..PLACE };
    let replay = copy(&ring, last_hour, (&ring, PLACE), &[3], 91);
    assert_eq!(read(&ring, vec![replay]), (vec![], 91), "an old slot's roster under this slot's signature");
    let foreign = copy(&other, PLACE, (&ring, PLACE), &[3], 91);
    assert_eq!(read(&ring, vec![foreign]), (vec![], 91), "another mesh's seal");
}

#[test]
fn only_addresses_that_can_be_dialled_are_told_and_ones_own_never() {
    let (local, other) = (Identity::ephemeral().member(), Identity::ephemeral().member());
    let address = |text: &str| text.parse::<Multiaddr>().unwrap().to_vec();
    let texts = ["/ip4/192.0.2.1/tcp/9000", "/dns4/a.example/tcp/9", "/ip4/192.0.2.1/udp/9"];
    let addresses = |member| Notice::new(member, NOW, texts.map(address).into_iter().chain([b"\xff\xff".to_vec()]));
    // Not every 32 bytes are a key.
    let impossible = (0..=u8::MAX).map(|byte| MemberId([byte; 32])).find(|member| peer_id(member).is_none());
    let impossible = addresses(impossible.unwrap());
    let notices = [addresses(local), addresses(other), impossible];
    let found = addresses_of(notices.iter(), &local);
    assert_eq!(found, [(texts[0].parse().unwrap(), peer_id(&other).unwrap())]);
}

fn announced(announce: &[&str], listening: &[&str], seen_as: Option<&str>) -> Vec<String> {
    let announce: Vec<Multiaddr> = announce.iter().map(|text| text.parse().unwrap()).collect();
    let listening: Vec<String> = listening.iter().map(|text| (*text).to_owned()).collect();
    let addresses = own_addresses(&announce, &listening, seen_as.map(|ip| ip.parse().unwrap()));
    addresses.iter().map(Multiaddr::to_string).collect()
}

const LISTENING: [&str; 6] = [
    "/ip6/2001:db8::7/udp/9000/quic-v1",
    "/ip4/127.0.0.1/tcp/9000",
    "/ip4/10.1.2.3/tcp/9000",
    "/ip6/::1/tcp/9000",
    "/ip6/fe80::1/tcp/9000",
    "/ip6/2001:db8::7/tcp/9000",
];

#[test]
fn addresses_that_reach_far_stand_first_and_those_that_lead_nowhere_are_left_out() {
    assert_eq!(
        announced(&[], &LISTENING, None),
        ["/ip6/2001:db8::7/tcp/9000", "/ip6/2001:db8::7/udp/9000/quic-v1", "/ip4/10.1.2.3/tcp/9000",]
    );
    assert!(announced(&[], &LISTENING[1..2], None).is_empty());
}

#[test]
fn behind_a_nat_the_address_that_others_see_is_tried_with_the_own_port() {
    let outside = announced(&[], &LISTENING[1..3], Some("198.51.100.7"));
    assert_eq!(outside, ["/ip4/198.51.100.7/tcp/9000", "/ip4/10.1.2.3/tcp/9000"]);
    assert_eq!(announced(&[], &LISTENING[1..3], Some("192.168.9.9")), ["/ip4/10.1.2.3/tcp/9000"], "no way out");
    assert!(announced(&[], &[], Some("198.51.100.7")).is_empty(), "it listens nowhere");
    assert!(announced(&[], &LISTENING[1..2], Some("2001:db8::9")).is_empty(), "nor there over IPv6");
}

#[test]
fn what_the_settings_say_is_left_and_nothing_else() {
    let set = ["/ip4/127.0.0.1/tcp/7"];
    assert_eq!(announced(&set, &LISTENING, Some("198.51.100.7")), set);
}
