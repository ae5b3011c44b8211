//! What is put is there, once, sealed, until it is removed.

use super::*;
use crate::{MAX_PEERS, MAX_TOMBSTONES, MAX_WRITES, RememberedPeer, StoreError, Unfinished};
use ghmesh_model::{MemberId, Scope};
use tempfile::tempdir;

#[tokio::test]
async fn what_was_put_is_there_also_after_a_restart() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 100_000);
    put(&store, local(1), &text).await;
    for _ in 0..2 {
        assert_eq!(*store.entry(&local(1)).unwrap(), entry("h/p", &text));
        assert_eq!(store.body(&BodyCid::of(&text)).unwrap(), text);
    }
    let store = reopened(store, dir.path()).await;
    for _ in 0..2 {
        assert_eq!(*store.entry(&local(1)).unwrap(), entry("h/p", &text));
        assert_eq!(store.body(&BodyCid::of(&text)).unwrap(), text);
    }
    assert!(store.entry(&local(2)).is_none() && store.entry(&offer(1)).is_none());
    audit(&store);
}

#[tokio::test]
async fn what_is_put_unsynced_is_seen_at_once_and_kept() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (one, other) = (body(1, 10_000), body(2, 10_000));
    store.put_unsynced(local(1), entry("h/p", &one), Some(one.clone())).await.unwrap();
    assert_eq!(store.body(&BodyCid::of(&one)).unwrap(), one);
    put(&store, local(2), &other).await;
    store.put_unsynced(local(3), entry("h/p", &other), None).await.unwrap();
    let store = reopened(store, dir.path()).await;
    assert!([local(1), local(2), local(3)].iter().all(|slot| store.entry(slot).is_some()));
    assert_eq!(store.body(&BodyCid::of(&one)).unwrap(), one);
    audit(&store);
}

#[tokio::test]
async fn an_empty_body_and_the_largest_are_kept() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (empty, largest) = (Bytes::new(), body(2, 32 << 20));
    put(&store, local(1), &empty).await;
    put(&store, local(2), &largest).await;
    let store = reopened(store, dir.path()).await;
    assert_eq!(store.body(&BodyCid::of(&empty)), Some(empty));
    assert!(store.body(&BodyCid::of(&largest)).unwrap() == largest);
    let size = on_disk(dir.path());
    assert!(size < 48 << 20, "32 MiB that don't compress take {size} bytes");
    let over = body(3, (32 << 20) + 1);
    let refused = store.put(local(3), entry("h/p", &over), Some(over)).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_body_is_stored_once_and_goes_with_the_last_that_names_it() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 50_000);
    put(&store, local(1), &text).await;
    let one = store.usage().bytes;
    put(&store, local(2), &text).await;
    store.put(offer(3), entry("", &text), None).await.unwrap();
    assert!(store.usage().bytes < one + 2000, "the body counts once");
    for slot in [local(1), local(2)] {
        store.remove(slot).await.unwrap();
        assert!(store.entry(&slot).is_none());
        assert_eq!(store.body(&BodyCid::of(&text)).unwrap(), text);
    }
    audit(&store);
    store.remove(offer(3)).await.unwrap();
    store.remove(offer(3)).await.unwrap();
    assert!(store.body(&BodyCid::of(&text)).is_none());
    assert_eq!((store.usage().entries, store.usage().bytes), (0, 0));
    audit(&store);
}

#[tokio::test]
async fn a_replaced_entry_frees_its_body_but_not_one_that_stays() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (old, new) = (body(1, 3000), body(2, 3000));
    put(&store, local(1), &old).await;
    put(&store, local(1), &new).await;
    assert!(store.body(&BodyCid::of(&old)).is_none());
    // A revalidation: the same body, without it.
    let confirmed = Entry { confirmed_at: Millis(NOW.0 + 5), ..entry("h/p", &new) };
    store.put(local(1), confirmed.clone(), None).await.unwrap();
    assert_eq!(*store.entry(&local(1)).unwrap(), confirmed);
    assert_eq!(store.body(&BodyCid::of(&new)).unwrap(), new);
    let store = reopened(store, dir.path()).await;
    assert_eq!(*store.entry(&local(1)).unwrap(), confirmed);
    assert_eq!(store.body(&BodyCid::of(&new)).unwrap(), new);
    audit(&store);
}

#[tokio::test]
async fn an_offer_may_wait_for_its_body_and_an_entry_may_not() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 3000);
    store.put(offer(1), entry("", &text), None).await.unwrap();
    assert!(store.body(&BodyCid::of(&text)).is_none());
    let refused = store.put(local(1), entry("h/p", &text), None).await;
    assert!(matches!(refused, Err(StoreError::BodyMissing { .. })), "{refused:?}");
    audit(&store);
    put(&store, local(1), &text).await;
    store.remove(offer(1)).await.unwrap();
    assert_eq!(store.body(&BodyCid::of(&text)).unwrap(), text);
    audit(&store);
}

#[tokio::test]
async fn a_body_that_is_not_what_the_entry_names_is_refused() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 3000);
    let same_length = body(2, 3000);
    let wrong_length = Entry {
        representation: Representation { length: 5, ..entry("h/p", &text).representation },
        ..entry("h/p", &text)
    };
    for (entry, body) in [(entry("h/p", &text), same_length), (wrong_length, text)] {
        let refused = store.put(local(1), entry, Some(body)).await;
        assert!(matches!(refused, Err(StoreError::BodyMismatch { .. })), "{refused:?}");
    }
    assert_eq!((store.usage().entries, store.usage().bytes), (0, 0));
    let huge = entry(&"x".repeat(300_000), b"");
    let refused = store.put(local(1), huge, Some(Bytes::new())).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { limit: 262_144, .. })), "{refused:?}");
    audit(&store);
}

#[tokio::test]
async fn nothing_that_is_stored_shows_in_the_files() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = Bytes::from("{\"secret_project\": \"needle-in-the-body\"}");
    let member = MemberId([0xAB; 32]);
    store.put(local(1), entry("api.github.com/needle-in-the-target", &text), Some(text.clone())).await.unwrap();
    store.bury(vec![(Scope([0xCD; 16]), NOW)]).await.unwrap();
    let peer =
        RememberedPeer { member, addresses: vec!["/dns4/needle-in-the-address/tcp/9000".into()], last_seen: NOW };
    store.remember(peer).await.unwrap();
    store.close().await.unwrap();
    let file = std::fs::read(dir.path().join("data/store.redb")).unwrap();
    let slot: Vec<u8> = id(1).to_vec();
    let cid = BodyCid::of(&text).0;
    let secrets: [&[u8]; 8] = [
        b"needle-in",
        b"secret_project",
        b"0123456789abcdef",
        b"application/json",
        &[0xAB; 32],
        &[0xCD; 16],
        &cid,
        &slot,
    ];
    for secret in secrets {
        assert!(!file.windows(secret.len()).any(|window| window == secret), "{}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test]
async fn peers_are_remembered_within_bounds() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let address = |number| format!("/ip4/10.0.0.1/tcp/{number}");
    let peer = |number: u32| RememberedPeer {
        member: MemberId(id(number)),
        addresses: vec!["x".repeat(4000), address(1), address(2), address(3), address(4)],
        last_seen: Millis(u64::from(number)),
    };
    for number in 0..MAX_PEERS as u32 + 3 {
        store.remember(peer(number)).await.unwrap();
    }
    store.forget(MemberId(id(100))).await.unwrap();
    let store = reopened(store, dir.path()).await;
    let peers = store.peers();
    assert_eq!(peers.len(), MAX_PEERS - 1);
    assert_eq!(peers[0].member, MemberId(id(MAX_PEERS as u32 + 2)), "most recently seen first");
    assert_eq!(peers[0].addresses, [address(1), address(2), address(3)]);
    assert!(peers.iter().all(|peer| peer.last_seen >= Millis(3)), "the least recently seen went");
    // A peer that was seen earlier than all others is still remembered when it is told.
    store.remember(peer(0)).await.unwrap();
    store.remember(RememberedPeer { last_seen: Millis(0), ..peer(1) }).await.unwrap();
    assert!(store.peers().iter().any(|peer| peer.member == MemberId(id(1))));
}

#[tokio::test]
async fn tombstones_stay_until_they_are_replaced() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let scope = |number: u8| Scope([number; 16]);
    store.bury(vec![(scope(1), Millis(10)), (scope(2), Millis(20))]).await.unwrap();
    store.bury(vec![(scope(1), Millis(5)), (scope(2), Millis(25))]).await.unwrap();
    let store = reopened(store, dir.path()).await;
    let mut all = store.tombstones();
    all.sort();
    assert_eq!(all, [(scope(1), Millis(10)), (scope(2), Millis(25))]);
    let many: Vec<_> =
        (0..MAX_TOMBSTONES).map(|number| (Scope(number.to_be_bytes().repeat(2).try_into().unwrap()), NOW)).collect();
    let refused = store.bury(many).await;
    assert!(matches!(refused, Err(StoreError::TooManyTombstones { .. })), "{refused:?}");
    assert_eq!(store.tombstones().len(), 2, "none was dropped");
    store.replace_tombstones(vec![(scope(3), Millis(30))]).await.unwrap();
    assert_eq!(store.tombstones(), [(scope(3), Millis(30))]);
}

#[tokio::test]
async fn a_write_is_unfinished_from_its_beginning_to_its_end() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let write = |number: u8| Unfinished { id: [number; 16], scopes: vec![Scope([number; 16]); 300], begun: NOW };
    for number in 1..=3 {
        store.begin_write(write(number)).await.unwrap();
    }
    store.end_writes(vec![[1; 16], [3; 16], [9; 16]]).await.unwrap();
    let store = reopened(store, dir.path()).await;
    assert_eq!(store.unfinished_writes(), [write(2)]);
    let mut others = tokio::task::JoinSet::new();
    for number in 1..MAX_WRITES {
        let (store, id) = (store.clone(), u128::from(number).to_le_bytes());
        others.spawn(async move { store.begin_write(Unfinished { id, scopes: Vec::new(), begun: NOW }).await });
    }
    assert!(others.join_all().await.iter().all(Result::is_ok));
    let refused = store.begin_write(write(4)).await;
    assert!(matches!(refused, Err(StoreError::TooManyWrites { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_ages_unknown() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let (old, new) = (body(1, 100), body(2, 100));
    put(&store, local(1), &old).await;
    store.close().await.unwrap();
    let hour = 3_600_000;
    let earlier = open(config(dir.path()), at(Millis(NOW.0 - hour))).unwrap();
    assert_eq!((earlier.boot(), earlier.clock_floor()), (2, NOW));
    assert_eq!(earlier.entry(&local(1)).unwrap().confirmed_at, Millis(0));
    let confirmed = Entry { confirmed_at: Millis(NOW.0 - hour), ..entry("h/p", &new) };
    earlier.put(local(2), confirmed, Some(new)).await.unwrap();
    earlier.close().await.unwrap();
    // However the clock goes on: what was written before it was set back stays of unknown age, the rest does not.
    let later = open(config(dir.path()), at(Millis(NOW.0 + hour))).unwrap();
    assert_eq!((later.boot(), later.clock_floor()), (3, Millis(NOW.0 - hour)));
    assert_eq!(later.entry(&local(1)).unwrap().confirmed_at, Millis(0));
    assert_eq!(later.entry(&local(2)).unwrap().confirmed_at, Millis(NOW.0 - hour));
    assert_eq!(later.scan(None, 10).entries.iter().filter(|(_, entry)| entry.confirmed_at == Millis(0)).count(), 1);
}

#[tokio::test]
async fn a_scan_meets_every_entry_once() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    for number in 0..25 {
        put(&store, local(number), &body(number, 40)).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let scan = store.scan(after, 10);
        seen.extend(scan.entries.into_iter().map(|(slot, _)| slot));
        after = scan.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..25).map(local).collect::<Vec<_>>());
}

/// A reader that loads an old snapshot while a newer entry is committed must not put the old one back into memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_reads_after_a_put_was_answered_never_reads_older() {
    let dir = tempdir().unwrap();
    let store = open(Config { memory_bytes: 1 << 20, ..config(dir.path()) }, at(NOW)).unwrap();
    let text = body(1, 100);
    put(&store, local(1), &text).await;
    let acknowledged = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            tokio::task::spawn_blocking(move || {
                let mut reads = 0u64;
                while acknowledged.load(std::sync::atomic::Ordering::SeqCst) < 300 {
                    let least = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
                    // So that readers go to the file again and again.
                    store.shared().memory.clear();
                    for _ in 0..3 {
                        let read = store.entry(&local(1)).unwrap().origin_date;
                        assert!(least == 0 || read >= least, "{read} after {least} was stored");
                        reads += 1;
                    }
                }
                reads
            })
        })
        .collect();
    for version in 1..=300 {
        store.put(local(1), Entry { origin_date: version, ..entry("h/p", &text) }, None).await.unwrap();
        acknowledged.store(version, std::sync::atomic::Ordering::SeqCst);
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}
