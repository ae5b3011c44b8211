//! What is read for members: offers, the newest first, and parts of bodies.

use super::*;
use crate::Offered;
use crate::rows::CHUNK_BYTES;
use tempfile::tempdir;

/// Keys of what is found, in the order found, with whether a caller asked for it and whether it was used.
fn found(store: &Store, most: usize) -> Vec<([u8; 32], bool, bool)> {
    store.newest_offers(most, |Offered { key, asked, used, .. }| Some((key.0, asked, used)))
}

fn keys(store: &Store, most: usize) -> Vec<[u8; 32]> {
    found(store, most).into_iter().map(|(key, _, _)| key).collect()
}

/// An answer that a caller here asked for, with its twin for members.
async fn ask(store: &Store, number: u32) {
    let text = body(number, 300);
    let entry = attested(number, &text);
    store.put(local(number), entry.clone(), Some(text.clone())).await.unwrap();
    store.put(offer(number), Entry { source: Source::Own, ..entry }, Some(text)).await.unwrap();
}

#[tokio::test]
async fn offers_come_as_they_were_stored_the_latest_first_wherever_they_are_from() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    put(&store, offer(1), &body(1, 300)).await;
    ask(&store, 2).await;
    put(&store, offer(3), &body(3, 300)).await;
    put(&store, local(4), &body(4, 300)).await;
    ask(&store, 5).await;
    put(&store, offer(1), &body(6, 300)).await;
    let expected = [1, 5, 3, 2].map(id);
    assert_eq!(keys(&store, 100), expected);
    let asked: Vec<_> = found(&store, 100).into_iter().map(|(_, asked, _)| asked).collect();
    assert_eq!(asked, [false, true, false, true]);
    assert_eq!(keys(&reopened(store, dir.path()).await, 100), expected);
}

#[tokio::test]
async fn no_more_answers_are_looked_at_than_wanted() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    for number in 0..20 {
        put(&store, offer(number), &body(number, 300)).await;
    }
    let mut seen = 0;
    let none: Vec<()> = store.newest_offers(7, |_| {
        seen += 1;
        None
    });
    assert_eq!((none.len(), seen), (0, 7));
    assert_eq!(keys(&store, 2), [19, 18].map(id));
    assert_eq!(keys(&store, 0), [[0; 32]; 0]);
    store.close().await.unwrap();
    assert_eq!(keys(&store, 100), [[0; 32]; 0], "nothing is found once it is closed");
}

#[tokio::test]
async fn what_callers_use_is_told_apart_and_looking_leaves_the_mark() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    ask(&store, 1).await;
    ask(&store, 2).await;
    put(&store, offer(3), &body(3, 300)).await;
    store.entry(&local(1)).unwrap();
    let expected = vec![(id(3), false, false), (id(2), true, false), (id(1), true, true)];
    assert_eq!(found(&store, 100), expected);
    assert_eq!(found(&store, 100), expected);
}

#[tokio::test]
async fn an_offer_says_whether_its_body_is_here() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (here, away) = (body(1, 300), body(2, 300));
    put(&store, offer(1), &here).await;
    store.put(offer(2), entry("h/p", &away), None).await.unwrap();
    let bodies = store.newest_offers(10, |offered| Some((offered.entry.representation.cid, offered.has_body)));
    assert_eq!(bodies, [(BodyCid::of(&away), false), (BodyCid::of(&here), true)]);
}

#[tokio::test]
async fn parts_of_a_body_are_what_stands_there_in_memory_and_on_disk() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let whole = body(1, 3 * CHUNK_BYTES + 17);
    let cid = BodyCid::of(&whole);
    put(&store, local(1), &whole).await;
    let parts = [
        (0, 1),
        (0, CHUNK_BYTES),
        (1, CHUNK_BYTES),
        (CHUNK_BYTES - 1, 2),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (17, 10 * CHUNK_BYTES),
        (whole.len() - 1, 5),
        (whole.len(), 5),
    ];
    let check = |store: &Store| {
        for (offset, length) in parts {
            let expected = whole.slice(offset..whole.len().min(offset + length));
            let part = store.body_part(&cid, offset as u64, length);
            assert!(part == Some((whole.len() as u64, expected)), "{length} bytes from {offset}");
        }
        for offset in [whole.len() as u64 + 1, u64::MAX] {
            assert_eq!(store.body_part(&cid, offset, 1), None);
        }
        assert_eq!(store.body_part(&BodyCid::of(b"another"), 0, 1), None);
    };
    check(&store);
    check(&reopened(store, dir.path()).await);
}

#[tokio::test]
async fn reading_a_part_brings_nothing_into_memory() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let whole = body(1, 100_000);
    put(&store, local(1), &whole).await;
    let store = reopened(store, dir.path()).await;
    let cid = BodyCid::of(&whole);
    store.body_part(&cid, 50_000, 1000).unwrap();
    assert!(store.shared().memory.body_at_hand(&cid).is_none());
    store.body(&cid).unwrap();
    assert!(store.shared().memory.body_at_hand(&cid).is_some());
}

#[tokio::test]
async fn peeking_is_no_use_and_brings_nothing_into_memory() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    ask(&store, 1).await;
    put(&store, offer(2), &body(2, 300)).await;
    for slot in [local(1), offer(1), offer(2)] {
        assert!(store.peek(&slot).is_some(), "{slot:?}");
    }
    assert_eq!(store.peek(&offer(3)), None);
    assert_eq!(found(&store, 100), [(id(2), false, false), (id(1), true, false)]);
    assert!(store.shared().memory.entry_at_hand(&offer(2)).is_none());
    store.entry(&offer(2)).unwrap();
    assert!(store.shared().memory.entry_at_hand(&offer(2)).is_some());
}
