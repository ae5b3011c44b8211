//! A round finds exactly what one side lacks, in bounded messages.

use super::*;
use ghmesh_model::cbor;
use ghmesh_model::wire::{Request, Response};
use ghmesh_model::{Fingerprint, WireKey};
use proptest::collection::btree_map;
use proptest::prelude::*;

/// The answer to a key of that number, given by the origin at `date`.
fn answer(number: u32, date: u64) -> Holding {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let id = ItemId::of_answer(&WireKey(key), &Fingerprint([0; 32]));
    Holding { item: Item { id, version: Item::answer_version(date, true) }, date: Some(date), rank: u64::MAX - date }
}

fn write(number: u64) -> Holding {
    let stamp = ghmesh_model::wire::Stamp { author: ghmesh_model::MemberId([9; 32]), boot: 1, sequence: number };
    Holding::write(ItemId::of_write(&stamp))
}

fn inventory(holdings: impl IntoIterator<Item = Holding>) -> Inventory {
    Inventory::new(holdings.into_iter().collect(), 0)
}

/// A round between these two: what the first asks the second for.
fn round(mine: &Inventory, theirs: &Inventory, since: u64) -> Vec<Item> {
    mine.wanted(&theirs.differing(since, &mine.digest(since)), &Useless::default(), usize::MAX)
}

/// Bytes of the digest and of the listing that answers it, before they are sealed.
fn bytes(mine: &Inventory, theirs: &Inventory) -> (usize, usize) {
    let summaries = mine.digest(0);
    let listing = theirs.differing(0, &summaries);
    (
        cbor::encode(&Request::Digest { since: 0, summaries }).len(),
        cbor::encode(&Response::Digest { since: 0, listing }).len(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against the plain reference: look at every item of the other.
    #[test]
    fn a_round_asks_for_what_is_lacked_or_older_and_for_nothing_else(
        mine in btree_map(0_u32..200, 1_u64..5, 0..150),
        theirs in btree_map(0_u32..200, 1_u64..5, 0..150),
        since in 0_u64..6,
    ) {
        let all = |held: &std::collections::BTreeMap<u32, u64>| {
            inventory(held.iter().map(|(number, date)| answer(*number, *date)))
        };
        let lacked = theirs.iter().filter(|(number, date)| {
            **date >= since && mine.get(number).is_none_or(|held| held < date)
        });
        let mut expected: Vec<_> = lacked.map(|(number, date)| answer(*number, *date).item).collect();
        let mut asked = round(&all(&mine), &all(&theirs), since);
        expected.sort_unstable();
        asked.sort_unstable();
        prop_assert_eq!(asked, expected);
    }

    /// Whatever is exchanged, a second round finds nothing.
    #[test]
    fn after_a_round_in_each_direction_both_hold_the_same(
        mine in btree_map(0_u32..200, 1_u64..5, 0..150),
        theirs in btree_map(0_u32..200, 1_u64..5, 0..150),
    ) {
        let better = |one: &std::collections::BTreeMap<u32, u64>, other: &std::collections::BTreeMap<u32, u64>| {
            let mut merged = one.clone();
            for (number, date) in other {
                let held = merged.entry(*number).or_insert(*date);
                *held = (*held).max(*date);
            }
            inventory(merged.iter().map(|(number, date)| answer(*number, *date)))
        };
        let (one, other) = (better(&mine, &theirs), better(&theirs, &mine));
        prop_assert_eq!(one.digest(0), other.digest(0));
        prop_assert!(round(&one, &other, 0).is_empty());
    }
}

#[test]
fn equals_cost_their_sums_and_nothing_is_listed() {
    let held = inventory((0..10_000).map(|number| answer(number, 7)));
    let (asked, answered) = bytes(&held, &held);
    assert!(asked < 8 * 1024 + 64 && answered < 32, "{asked} and {answered} bytes");
}

/// What docs/adr/0013 states.
#[test]
fn the_bytes_of_a_round_are_what_the_decision_says() {
    let all = |count: u32| inventory((0..count).map(|number| answer(number, 7)));
    for (count, lacked, most) in
        [(10_000, 0, 8_300), (10_000, 100, 32_000), (10_000, 1000, 175_000), (2000, 2000, 48_100), (100, 1, 500)]
    {
        let (mine, theirs) = (all(count - lacked), all(count));
        let (asked, answered) = bytes(&mine, &theirs);
        println!("{count} items, {lacked} lacked: digest {asked}, listing {answered} bytes");
        assert!(asked + answered <= most, "{count}, {lacked}: {asked} + {answered}");
        assert_eq!(round(&mine, &theirs, 0).len(), lacked as usize);
    }
}

#[test]
fn who_has_nothing_is_told_writes_first_and_then_the_newest_and_most_used() {
    let ranked = |number, age, used| Holding {
        rank: Holding::answer_rank(Duration::from_secs(age), used),
        ..answer(number, 100)
    };
    let expected = [
        write(1),
        ranked(1, 0, Use::Offered),
        ranked(2, 80, Use::Used),
        ranked(3, 60, Use::Asked),
        ranked(4, 40, Use::Offered),
        ranked(5, 2000, Use::Used),
        ranked(6, 2000, Use::Offered),
    ];
    let theirs = inventory(expected.iter().rev().copied());
    let items: Vec<_> = expected.iter().map(|holding| holding.item).collect();
    assert_eq!(round(&Inventory::default(), &theirs, 0), items);
}

#[test]
fn writes_are_compared_whatever_their_age_and_answers_only_from_a_date_on() {
    let theirs = inventory([write(1), answer(1, 50), answer(2, 60)]);
    let mut asked = round(&Inventory::default(), &theirs, 60);
    asked.sort_unstable();
    let mut expected = [write(1).item, answer(2, 60).item];
    expected.sort_unstable();
    assert_eq!(asked, expected);
}

#[test]
fn writes_take_the_place_of_those_that_were_known_before_and_answers_stay() {
    let held = inventory([write(1), write(2), answer(1, 50)]);
    let told = held.with_writes([2, 3].map(|number| write(number).item.id));
    assert_eq!(told, inventory([write(2), write(3), answer(1, 50)]));
}

#[test]
fn an_answer_whose_small_body_is_not_here_is_asked_for_again() {
    let mut bare = answer(1, 50);
    bare.item.version = Item::answer_version(50, false);
    assert_eq!(round(&inventory([bare]), &inventory([answer(1, 50)]), 0), [answer(1, 50).item]);
    assert_eq!(round(&inventory([answer(1, 50)]), &inventory([bare]), 0), []);
}

#[test]
fn what_was_of_no_use_is_asked_for_again_only_in_a_later_version() {
    let (mine, mut useless) = (Inventory::default(), Useless::default());
    useless.note(answer(1, 50).item);
    let wanted = |date, useless: &Useless| {
        let theirs = inventory([answer(1, date), answer(2, 50)]);
        mine.wanted(&theirs.differing(0, &mine.digest(0)), useless, usize::MAX).contains(&answer(1, date).item)
    };
    assert!(!wanted(50, &useless) && !wanted(49, &useless) && wanted(51, &useless));
    (10..10 + MAX_USELESS as u32).for_each(|number| useless.note(answer(number, 1).item));
    assert!(wanted(50, &useless), "the oldest is forgotten");
    assert_eq!((useless.order.len(), useless.versions.len()), (MAX_USELESS, MAX_USELESS));
}

#[test]
fn a_node_that_holds_more_than_is_compared_leaves_the_oldest_out_and_says_from_when_on() {
    let most = MAX_ITEMS as u64;
    let many = inventory((0..most as u32 + 100).map(|number| answer(number, u64::from(number) + 1)));
    assert_eq!((many.len(), many.floor()), (MAX_ITEMS, 101));
    assert_eq!(many.digest(many.floor()).buckets(), 1024, "16 items a bucket, or a few less");
    // Half of a second can't be compared.
    let same = inventory((0..most as u32 + 1).map(|number| answer(number, 5 + u64::from(number > 0))));
    assert_eq!((same.len(), same.floor()), (MAX_ITEMS, 6));
    let all_at_once = inventory((0..most as u32 + 1).map(|number| answer(number, 5)).chain([write(1)]));
    assert_eq!((all_at_once.len(), all_at_once.floor()), (1, 6), "the write is left");
    let old = Inventory::new(vec![answer(1, 9), answer(2, 10)], 10);
    assert_eq!((old.len(), old.floor()), (1, 10));
}

#[test]
fn the_largest_inventory_fits_one_listing() {
    let theirs = inventory((0..2 * MAX_ITEMS as u32).map(|number| answer(number, u64::from(number))));
    assert_eq!(theirs.differing(0, &Inventory::default().digest(0)).0.len(), limits::MAX_LISTED);
}

#[test]
fn who_has_no_room_takes_the_most_useful_and_what_replaces_older_versions_and_writes() {
    let mine = inventory([answer(1, 5), answer(2, 9)]);
    let theirs = inventory([write(1), answer(1, 6), answer(2, 9), answer(3, 8), answer(4, 7), answer(5, 9)]);
    let wanted = |room| mine.wanted(&theirs.differing(0, &mine.digest(0)), &Useless::default(), room);
    let always = [write(1), answer(1, 6)].map(|holding| holding.item);
    assert_eq!(wanted(0), always);
    assert_eq!(wanted(2), [write(1), answer(5, 9), answer(3, 8), answer(1, 6)].map(|holding| holding.item));
}
