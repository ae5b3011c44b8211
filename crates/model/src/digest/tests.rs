//! Packed lists come back as they were, within their limits; sums tell contents apart.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::cbor;
use crate::id::MemberId;
use proptest::prelude::*;
use serde::de::DeserializeOwned;

fn item(number: u32, version: u64) -> Item {
    Item { id: ItemId::of(b"test", &[&number.to_be_bytes()]), version }
}

fn again<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, cbor::CborError> {
    cbor::decode(&cbor::encode(value), limits::MAX_RESPONSE_BYTES)
}

#[test]
fn lists_come_back_up_to_their_limits_and_not_beyond() {
    let items = |count: usize| Listing((0..count).map(|number| item(number as u32, number as u64)).collect());
    let ids = |count: usize| Wanted(items(count).0.iter().map(|item| item.id).collect());
    for count in [0, 1, limits::MAX_LISTED] {
        assert_eq!(again(&items(count)).unwrap(), items(count));
    }
    assert!(again(&items(limits::MAX_LISTED + 1)).is_err());
    for count in [0, limits::MAX_PULLED] {
        assert_eq!(again(&ids(count)).unwrap(), ids(count));
    }
    assert!(again(&ids(limits::MAX_PULLED + 1)).is_err());
    let largest = Summaries::of(items(100).0, limits::MAX_SUMMARIES);
    assert_eq!(again(&largest).unwrap(), largest);
    assert!(again(&Summaries(vec![1; 2 * limits::MAX_SUMMARIES])).is_err());
}

#[test]
fn summaries_of_a_number_of_buckets_that_is_no_power_of_two_are_refused() {
    for count in [0, 3, 1000] {
        assert!(again(&Summaries(vec![1; count])).is_err(), "{count}");
    }
    assert!(again(&Summaries(vec![1; 4])).is_ok());
}

#[test]
fn a_list_that_ends_within_a_row_is_refused() {
    for (rows, bytes) in [(1, ITEM_BYTES - 1), (2, 2 * ITEM_BYTES + 1)] {
        assert!(Listing::try_from(ByteBuf::from(vec![0; bytes])).is_err(), "{rows} rows");
    }
    assert!(Wanted::try_from(ByteBuf::from(vec![0; ID_BYTES + 1])).is_err());
    assert!(Summaries::try_from(ByteBuf::from(vec![0; SUM_BYTES - 1])).is_err());
}

#[test]
fn the_largest_lists_fit_their_messages() {
    assert!(limits::MAX_SUMMARIES * SUM_BYTES + 1024 < limits::MAX_REQUEST_BYTES);
    assert!(limits::MAX_PULLED * ID_BYTES + 1024 < limits::MAX_REQUEST_BYTES);
    assert!(limits::MAX_LISTED * ITEM_BYTES + 1024 < limits::MAX_RESPONSE_BYTES);
}

#[test]
fn a_list_takes_no_more_bytes_than_its_rows() {
    let listing = Listing((0..1000).map(|number| item(number, 1)).collect());
    assert_eq!(cbor::encode(&listing).len(), 1000 * ITEM_BYTES + 3);
}

#[test]
fn answers_and_writes_have_ids_of_their_own() {
    let (key, fingerprint) = (WireKey([1; 32]), Fingerprint([2; 32]));
    let stamp = Stamp { author: MemberId([1; 32]), boot: 2, sequence: 3 };
    let ids = [
        ItemId::of_answer(&key, &fingerprint),
        ItemId::of_answer(&WireKey([2; 32]), &Fingerprint([1; 32])),
        ItemId::of_write(&stamp),
        ItemId::of_write(&Stamp { boot: 3, sequence: 2, ..stamp }),
        ItemId::of_write(&Stamp { author: MemberId([2; 32]), ..stamp }),
    ];
    for (number, id) in ids.iter().enumerate() {
        assert!(!ids[..number].contains(id), "{number}");
    }
}

#[test]
fn a_later_answer_is_a_larger_version_and_so_is_one_with_its_body() {
    assert!(Item::answer_version(7, true) > Item::answer_version(7, false));
    assert!(Item::answer_version(8, false) > Item::answer_version(7, true));
    assert_eq!(Item::answer_version(u64::MAX, true), u64::MAX, "no member's date overflows");
}

#[test]
fn ids_spread_over_all_buckets() {
    let mut counts = vec![0_usize; 64];
    (0..64 * 100).for_each(|number| counts[item(number, 0).id.bucket(64)] += 1);
    assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The order in which items are summed makes no difference; any change of one shows in its bucket and in no other.
    #[test]
    fn summaries_differ_exactly_where_the_items_do(
        numbers in proptest::collection::btree_set(any::<u32>(), 1..100),
        at in any::<proptest::sample::Index>(),
        bits in 0_u32..11,
    ) {
        let buckets = 1 << bits;
        let items: Vec<_> = numbers.iter().map(|number| item(*number, 1)).collect();
        let whole = Summaries::of(items.clone(), buckets);
        prop_assert_eq!(&Summaries::of(items.iter().rev().copied(), buckets), &whole);
        let changed = at.index(items.len());
        let mut newer = items.clone();
        newer[changed].version += 1;
        let mut fewer = items.clone();
        fewer.remove(changed);
        for other in [newer, fewer] {
            let differing = whole.differing(&Summaries::of(other, buckets));
            let expected: Vec<_> = (0..buckets).map(|bucket| bucket == items[changed].id.bucket(buckets)).collect();
            prop_assert_eq!(differing, expected);
        }
    }
}
