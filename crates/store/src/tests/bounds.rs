//! Eviction holds the bounds, spares what is used, and never loses count.

use super::*;
use crate::StoreError;
use proptest::prelude::*;
use tempfile::tempdir;

#[derive(Clone, Debug)]
enum Step {
    Put { slot: u32, text: u32, length: usize, with_body: bool },
    Offer { slot: u32, text: u32, with_body: bool },
    Remove { slot: u32 },
    Read { slot: u32 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![Just(0usize), 1..200usize, 3000..6000usize, 30_000..80_000usize];
    prop_oneof![
        6 => (0..12u32, 0..8u32, length, prop::bool::weighted(0.8))
            .prop_map(|(slot, text, length, with_body)| Step::Put { slot, text, length, with_body }),
        2 => (0..12u32, 0..8u32, any::<bool>()).prop_map(|(slot, text, with_body)| Step::Offer { slot, text, with_body }),
        2 => (0..12u32).prop_map(|slot| Step::Remove { slot }),
        2 => (0..12u32).prop_map(|slot| Step::Read { slot }),
        1 => Just(Step::Reopen),
    ]
}

/// What the store may still hold: for each slot the last body that was put there.
type Known = BTreeMap<Slot, Bytes>;

async fn take(step: Step, store: Store, known: &mut Known, tight: &Config) -> Store {
    match step {
        Step::Put { slot, text, length, with_body } => {
            store_one(&store, known, local(slot), body(text, length), with_body).await
        }
        Step::Offer { slot, text, with_body } => {
            store_one(&store, known, offer(slot), body(text, 500), with_body).await
        }
        Step::Remove { slot } => {
            store.remove(local(slot)).await.unwrap();
            known.remove(&local(slot));
            assert!(store.entry(&local(slot)).is_none());
        }
        Step::Read { slot } => drop(store.entry(&local(slot))),
        Step::Reopen => {
            store.close().await.unwrap();
            return open(tight.clone(), at(NOW)).unwrap();
        }
    }
    store
}

async fn store_one(store: &Store, known: &mut Known, slot: Slot, text: Bytes, with_body: bool) {
    match store.put(slot, entry("h/p", &text), with_body.then(|| text.clone())).await {
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
