//! What is kept of one cache key, whatever its credential, is found together.

use super::*;
use crate::{Group, MAX_KNOWN};
use tempfile::tempdir;

/// The slot of one of many credentials for a key.
fn of(number: u32, credential: u8) -> Slot {
    Slot::Local(CacheKey(id(number)), LocalFingerprint([credential; 32]))
}

fn told(number: u32, credential: u8) -> Slot {
    Slot::Offer(WireKey(id(number)), Fingerprint([credential; 32]))
}

async fn put_at(store: &Store, slot: Slot, text: &Bytes, seconds_ago: u64) {
    let confirmed_at = Millis(NOW.0 - seconds_ago * 1000);
    store.put(slot, Entry { confirmed_at, ..entry("h/p", text) }, Some(text.clone())).await.unwrap();
}

fn slots(store: &Store, group: Group) -> Vec<Slot> {
    store.known(&group).into_iter().map(|(slot, _)| slot).collect()
}

fn here(store: &Store, number: u32) -> Vec<Slot> {
    slots(store, Group::Local(CacheKey(id(number))))
}

#[tokio::test]
async fn the_entries_of_a_key_come_latest_first_also_after_a_restart() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 300);
    for (credential, seconds_ago) in [(1, 30), (2, 10), (3, 20)] {
        put_at(&store, of(1, credential), &text, seconds_ago).await;
    }
    put_at(&store, of(2, 1), &text, 0).await;
    put_at(&store, told(1, 9), &text, 0).await;
    let latest_first = [of(1, 2), of(1, 3), of(1, 1)];
    assert_eq!(here(&store, 1), latest_first);
    assert_eq!(slots(&store, Group::Wire(WireKey(id(1)))), [told(1, 9)], "what members told is apart");
    assert_eq!(here(&store, 3), []);
    let store = reopened(store, dir.path()).await;
    assert_eq!(here(&store, 1), latest_first);
    let (_, first) = &store.known(&Group::Local(CacheKey(id(1))))[0];
    assert_eq!(**first, Entry { confirmed_at: Millis(NOW.0 - 10_000), ..entry("h/p", &text) });
    audit(&store);
}

#[tokio::test]
async fn what_is_replaced_or_removed_is_known_no_more() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (old, new) = (body(1, 300), body(2, 300));
    put_at(&store, of(1, 1), &old, 20).await;
    put_at(&store, of(1, 2), &old, 10).await;
    put_at(&store, of(1, 1), &new, 0).await;
    assert_eq!(here(&store, 1), [of(1, 1), of(1, 2)], "confirmed anew, it is the latest, and there once");
    store.remove(of(1, 2)).await.unwrap();
    assert_eq!(here(&store, 1), [of(1, 1)]);
    store.remove(of(1, 1)).await.unwrap();
    assert_eq!(here(&store, 1), []);
    audit(&store);
}

#[tokio::test]
async fn what_is_evicted_is_known_no_more() {
    let dir = tempdir().unwrap();
    let store = open(Config { max_entries: 4, ..config(dir.path()) }, at(NOW)).unwrap();
    for credential in 1..=20 {
        put_at(&store, of(1, credential), &body(1, 300), 0).await;
    }
    assert!(here(&store, 1).len() <= 4);
    audit(&store);
}

#[tokio::test]
async fn of_many_credentials_the_latest_are_found() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 300);
    let many = u8::try_from(MAX_KNOWN).unwrap() + 8;
    for credential in 0..many {
        put_at(&store, of(1, credential), &text, u64::from(credential)).await;
    }
    let expected: Vec<_> = (0..many).take(MAX_KNOWN).map(|credential| of(1, credential)).collect();
    assert_eq!(here(&store, 1), expected);
}
