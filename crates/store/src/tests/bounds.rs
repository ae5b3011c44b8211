//! Eviction holds the bounds, spares what is used, and never loses count.

use super::*;
use crate::StoreError;
use proptest::prelude::*;
use tempfile::tempdir;

#[derive(Clone, Debug)]
enum Step {
    Put { slot: u32, text: u32, length: usize, with_body: bool, attested: bool },
    Offer { slot: u32, text: u32, with_body: bool },
    Remove { slot: u32 },
    Retract { slot: u32 },
    Read { slot: u32 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![Just(0usize), 1..200usize, 3000..6000usize, 30_000..80_000usize];
    prop_oneof![
        6 => (0..12u32, 0..8u32, length, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(slot, text, length, with_body, attested)| Step::Put { slot, text, length, with_body, attested }),
        2 => (0..12u32, 0..8u32, any::<bool>()).prop_map(|(slot, text, with_body)| Step::Offer { slot, text, with_body }),
        2 => (0..12u32).prop_map(|slot| Step::Remove { slot }),
        1 => (0..12u32).prop_map(|slot| Step::Retract { slot }),
        2 => (0..12u32).prop_map(|slot| Step::Read { slot }),
        1 => Just(Step::Reopen),
    ]
}

/// What the store may still hold: for each slot the last body that was put there.
type Known = BTreeMap<Slot, Bytes>;

async fn take(step: Step, store: Store, known: &mut Known, tight: &Config) -> Store {
    match step {
        Step::Put { slot, text, length, with_body, attested: is_attested } => {
            let text = body(text, length);
            let entry = if is_attested { attested(slot, &text) } else { entry("h/p", &text) };
            store_one(&store, known, (local(slot), entry), text, with_body).await
        }
        Step::Offer { slot, text, with_body } => {
            let text = body(text, 500);
            store_one(&store, known, (offer(slot), attested(slot, &text)), text, with_body).await
        }
        Step::Remove { slot } => remove(&store, known, local(slot)).await,
        Step::Retract { slot } => remove(&store, known, offer(slot)).await,
        Step::Read { slot } => drop(store.entry(&local(slot))),
        Step::Reopen => {
            store.close().await.unwrap();
            return open(tight.clone(), at(NOW)).unwrap();
        }
    }
    store
}

async fn remove(store: &Store, known: &mut Known, slot: Slot) {
    store.remove(slot).await.unwrap();
    known.remove(&slot);
    assert!(store.entry(&slot).is_none());
}

async fn store_one(store: &Store, known: &mut Known, (slot, entry): (Slot, Entry), text: Bytes, with_body: bool) {
    match store.put(slot, entry, with_body.then(|| text.clone())).await {
        Ok(()) => {
            assert_eq!(
                store.entry(&slot).unwrap().representation.cid,
                BodyCid::of(&text),
                "what was just stored stays"
            );
            known.insert(slot, text);
        }
        Err(StoreError::BodyMissing { .. }) => assert!(!with_body),
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_counts_agree_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempdir().unwrap();
            let tight = Config { max_bytes: 120_000, max_entries: 8, memory_bytes: 60_000, ..config(dir.path()) };
            let mut store = open(tight.clone(), at(NOW)).unwrap();
            let mut known = Known::new();
            for step in steps {
                store = take(step, store, &mut known, &tight).await;
                audit(&store);
                for (slot, entry) in store.scan(None, 100).entries {
                    let text = known.get(&slot).expect("only what was put and not removed");
                    assert_eq!(entry.representation.cid, BodyCid::of(text));
                    if let Some(found) = store.body(&BodyCid::of(text)) {
                        assert_eq!(&found, text);
                    } else {
                        assert!(matches!(slot, Slot::Offer(..)), "an entry keeps its body");
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn what_is_used_outlives_what_is_not() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 50, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..50 {
        put(&store, local(number), &body(number, 100)).await;
    }
    for number in 50..140 {
        store.entry(&local(3)).unwrap();
        put(&store, local(number), &body(number, 100)).await;
    }
    assert!(store.entry(&local(3)).is_some(), "used all the time");
    assert!(store.entry(&local(4)).is_none(), "never used");
    assert_eq!(store.usage().entries, 50);
    audit(&store);
}

async fn offer_many(store: &Store, numbers: std::ops::Range<u32>, length: usize) {
    for number in numbers {
        let text = body(number, length);
        store.put(offer(number), attested(number, &text), Some(text)).await.unwrap();
    }
}

fn held(store: &Store, numbers: std::ops::Range<u32>, slot: fn(u32) -> Slot) -> Vec<u32> {
    let all: Vec<Slot> = store.scan(None, 10_000).entries.into_iter().map(|(slot, _)| slot).collect();
    numbers.filter(|number| all.contains(&slot(*number))).collect()
}

#[tokio::test]
async fn a_flood_of_offers_takes_a_quarter_of_the_entries_and_no_more() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 40, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..40 {
        put(&store, local(number), &body(number, 100)).await;
    }
    offer_many(&store, 100..500, 100).await;
    assert_eq!(held(&store, 0..40, local), (10..40).collect::<Vec<_>>(), "the oldest made room");
    assert_eq!(held(&store, 100..500, offer), (490..500).collect::<Vec<_>>(), "then the oldest offers did");
    audit(&store);
}

#[tokio::test]
async fn a_flood_of_large_offers_takes_a_quarter_of_the_bytes_and_no_more() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_bytes: 1 << 20, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..100 {
        put(&store, local(number), &body(number, 10_000)).await;
    }
    let before = held(&store, 0..100, local).len();
    offer_many(&store, 1000..1400, 16_000).await;
    let after = held(&store, 0..100, local).len();
    assert!(before > 90 && after >= before * 7 / 10, "{after} of {before} are left");
    assert!(store.usage().bytes > (1 << 20) - 32_000, "no room is left empty");
    audit(&store);
}

#[tokio::test]
async fn bodies_that_offers_leave_behind_count_too() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_bytes: 1 << 20, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..100 {
        put(&store, local(number), &body(number, 10_000)).await;
    }
    let before = held(&store, 0..100, local).len();
    // One offer without its body, another that brings that body and is then replaced.
    for number in 1000..1400 {
        let text = body(number, 16_000);
        store.put(offer(number), attested(number, &text), None).await.unwrap();
        store.put(offer(2000), attested(2000, &text), Some(text)).await.unwrap();
    }
    let after = held(&store, 0..100, local).len();
    assert!(after >= before * 7 / 10, "{after} of {before} are left");
    audit(&store);
}

#[tokio::test]
async fn offers_may_fill_what_nothing_else_needs_and_make_room() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 40, ..config(dir.path()) }, at(NOW)).unwrap();
    offer_many(&store, 0..60, 100).await;
    assert_eq!(held(&store, 0..60, offer), (20..60).collect::<Vec<_>>());
    for number in 0..60 {
        put(&store, local(number), &body(number, 100)).await;
    }
    assert_eq!(held(&store, 0..60, local).len(), 40, "all offers are older than these");
    audit(&store);
}

#[tokio::test]
async fn an_answer_that_members_may_have_too_counts_once_and_goes_whole() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 3, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..4 {
        let text = body(number, 100);
        let slots = if number % 2 == 0 { [local(number), offer(number)] } else { [offer(number), local(number)] };
        for slot in slots {
            store.put(slot, attested(number, &text), Some(text.clone())).await.unwrap();
        }
        // A member asked for it: that counts as use of the answer.
        store.entry(&offer(1));
        assert_eq!(store.usage().entries, u64::from(number + 1).min(3));
        audit(&store);
    }
    assert_eq!(held(&store, 0..4, local), [1, 2, 3]);
    assert_eq!(held(&store, 0..4, offer), [1, 2, 3]);
    for number in 4..6 {
        put(&store, local(number), &body(number, 100)).await;
    }
    assert_eq!((held(&store, 0..6, local), held(&store, 0..6, offer)), (vec![1, 4, 5], vec![1]), "used, so spared");
    store.remove(local(1)).await.unwrap();
    assert_eq!((store.usage().entries, held(&store, 0..6, offer)), (3, vec![1]), "what is left is an offer");
    audit(&store);
}

#[tokio::test]
async fn what_was_just_stored_stays_also_beside_an_entry_that_is_old() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_bytes: 50_000, ..config(dir.path()) }, at(NOW)).unwrap();
    let text = body(0, 100);
    store.put(local(0), attested(0, &text), Some(text.clone())).await.unwrap();
    let rest = usize::try_from(50_000 - store.usage().bytes).unwrap();
    put(&store, local(1), &body(1, rest - 800)).await;
    assert_eq!(store.usage().entries, 2);
    store.put(offer(0), attested(0, &text), None).await.unwrap();
    assert_eq!((held(&store, 0..2, local), held(&store, 0..2, offer)), (vec![0], vec![0]));
    audit(&store);
}

#[tokio::test]
async fn eviction_goes_on_when_everything_is_used() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 200, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..400 {
        put(&store, local(number), &body(number, 10)).await;
        (0..=number).for_each(|used| drop(store.entry(&local(used))));
    }
    assert_eq!(store.usage().entries, 200);
    audit(&store);
}

#[tokio::test]
async fn a_store_that_shrank_evicts_with_its_next_change() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    for number in 0..40 {
        put(&store, local(number), &body(number, 1000)).await;
    }
    store.close().await.unwrap();
    let store = open(Config { max_entries: 10, ..config(dir.path()) }, at(NOW)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.usage().entries, 10);
    assert!(store.entry(&local(39)).is_some() && store.entry(&local(29)).is_none());
    audit(&store);
}

#[tokio::test]
async fn what_never_fits_is_refused_and_evicts_nothing() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_bytes: 50_000, ..config(dir.path()) }, at(NOW)).unwrap();
    put(&store, local(1), &body(1, 1000)).await;
    let large = body(2, 50_000);
    let refused = store.put(local(2), entry("h/p", &large), Some(large)).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { limit: 50_000, .. })), "{refused:?}");
    assert!(store.entry(&local(1)).is_some());
}

#[tokio::test]
async fn churn_does_not_grow_the_file() {
    let dir = tempdir().unwrap();
    let limit = 2 << 20;
    let store = open(Config { max_bytes: limit, memory_bytes: 1 << 20, ..config(dir.path()) }, at(NOW)).unwrap();
    for number in 0..600 {
        put(&store, local(number), &body(number, 4000 + (number as usize * 7919) % 60_000)).await;
    }
    let size = on_disk(dir.path());
    assert!(size < 3 * limit, "{size} bytes for {limit} that don't compress");
    assert!(store.usage().bytes <= limit);
    audit(&store);
}
