//! Opening what is foreign, damaged, held or open to others: a message to act on, and never a panic.

use super::*;
use crate::{DirectoryFault, OpenError, prepare_directory};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A closed store with an entry in it.
async fn filled() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    for number in 0..20 {
        put(&store, local(number), &body(number, 5000)).await;
    }
    store.close().await.unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

fn refused(dir: &Path) -> OpenError {
    open(config(dir), at(NOW)).expect_err("it must not open")
}

#[tokio::test]
async fn everything_is_made_private() {
    let (_dir, data) = filled().await;
    assert_eq!(mode(&data), 0o700);
    for file in fs::read_dir(&data).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn modes_that_let_others_in_are_repaired() {
    let (dir, data) = filled().await;
    set_mode(&data, 0o755);
    set_mode(&data.join("data.key"), 0o644);
    let store = opened(dir.path());
    assert!(store.entry(&local(1)).is_some());
    assert_eq!((mode(&data), mode(&data.join("data.key"))), (0o700, 0o600));
}

#[test]
fn a_directory_that_others_use_is_not_touched() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    set_mode(dir.path(), 0o1777);
    let error = prepare_directory(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Directory { fault: DirectoryFault::Shared { mode: 0o1777 }, .. }), "{error}");
    assert!(error.to_string().contains("cache.dir"), "{error}");
    assert_eq!(mode(dir.path()), 0o1777);
}

#[test]
fn a_path_that_can_hold_no_directory_is_told() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "").unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Directory { fault: DirectoryFault::NotADirectory, .. }), "{error}");
    let below = prepare_directory(&file.join("below")).unwrap_err();
    assert!(matches!(below, OpenError::Directory { fault: DirectoryFault::Unusable(_), .. }), "{below}");
    assert!(below.to_string().contains("cache.dir"), "{below}");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give a directory away.
    }
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(12345), None).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Directory { fault: DirectoryFault::Owner { owner: 12345, .. }, .. }), "{error}");
}

#[tokio::test]
async fn a_missing_or_foreign_key_is_told_apart() {
    let (dir, data) = filled().await;
    let key = data.join("data.key");
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::KeyMissing { .. }));
    fs::write(&key, [1; 31]).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::KeyMalformed { length: 31, .. }));
    fs::write(&key, [1; 32]).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::OtherKey { .. }), "{error}");
    assert!(error.to_string().contains("delete the database"), "{error}");
    fs::write(&key, bytes).unwrap();
    assert!(opened(dir.path()).entry(&local(1)).is_some(), "nothing was lost by trying");
}

#[test]
fn a_file_of_something_else_is_told() {
    let dir = tempdir().unwrap();
    drop(opened(dir.path()));
    let path = dir.path().join("data/store.redb");
    let opens = |expected: fn(&OpenError) -> bool| {
        let error = eventually_refused(dir.path());
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().contains("store.redb"), "{error}");
    };
    fs::write(&path, b"SQLite format 3\0 and so on, long enough to hold a header of any kind".repeat(100)).unwrap();
    opens(|error| matches!(error, OpenError::Corrupt { .. }));
    fs::write(&path, b"short").unwrap();
    opens(|error| matches!(error, OpenError::Corrupt { .. }));
    fs::remove_file(&path).unwrap();
    let other = redb::Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, &str>::new("accounts")).unwrap().insert("a", "b").unwrap();
    transaction.commit().unwrap();
    drop(other);
    opens(|error| matches!(error, OpenError::Foreign { .. }));
    // It was left as it is.
    let other = redb::Database::open(&path).unwrap();
    assert_eq!(redb::ReadableDatabase::begin_read(&other).unwrap().list_tables().unwrap().count(), 1);
}

/// A dropped store gives its directory free when its thread ends.
fn eventually_refused(dir: &Path) -> OpenError {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match refused(dir) {
            OpenError::Held { .. } if std::time::Instant::now() < deadline => std::thread::yield_now(),
            error => return error,
        }
    }
}

/// Cut short or with bytes changed, the file either opens or is refused; what is read from it is what was stored, or nothing.
#[tokio::test]
async fn a_damaged_file_never_panics_and_never_lies() {
    let (dir, data) = filled().await;
    let path = data.join("store.redb");
    let whole = fs::read(&path).unwrap();
    let mut outcomes = [0, 0];
    for round in 0..120usize {
        let damaged = damage(&whole, round);
        fs::write(&path, damaged).unwrap();
        match open(config(dir.path()), at(NOW)) {
            Ok(store) => {
                outcomes[0] += 1;
                for number in 0..20 {
                    let found = store.entry(&local(number)).map(|entry| entry.representation.cid);
                    assert!(found.is_none_or(|cid| cid == BodyCid::of(&body(number, 5000))));
                    let text = store.body(&BodyCid::of(&body(number, 5000)));
                    assert!(text.is_none_or(|text| text == body(number, 5000)));
                }
                // It may fail, but it must answer.
                let _ = store.put(local(50), entry("h/p", b"new"), Some(Bytes::from_static(b"new"))).await;
                let _ = store.close().await;
            }
            Err(OpenError::Corrupt { .. } | OpenError::Foreign { .. } | OpenError::OtherKey { .. }) => outcomes[1] += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "both happen: {outcomes:?}");
}

/// A third of the rounds cut the file, a third damage one page, a third damage bytes all over.
fn damage(whole: &[u8], round: usize) -> Vec<u8> {
    let mut damaged = whole.to_vec();
    let noise = body(round as u32, 64);
    match round % 3 {
        0 => damaged.truncate(whole.len() * (round + 1) / 122),
        1 => {
            let page = (round * 7919 % (whole.len() / 4096)) * 4096;
            noise.iter().enumerate().for_each(|(place, byte)| damaged[page + place * 61] ^= byte);
        }
        _ => {
            for place in 0..64 {
                let at = (round * 104_729 + place * 15_485_863) % whole.len();
                damaged[at] = noise[place];
            }
        }
    }
    damaged
}

#[test]
fn a_directory_that_is_held_says_by_whom() {
    let dir = tempdir().unwrap();
    let _store = opened(dir.path());
    let error = refused(dir.path());
    assert!(matches!(&error, OpenError::Held { pid: Some(pid), .. } if *pid == std::process::id()), "{error:?}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_closed_store_answers_and_frees_its_directory() {
    let dir = tempdir().unwrap();
    let store = opened(dir.path());
    let text = body(1, 100);
    put(&store, local(1), &text).await;
    store.close().await.unwrap();
    assert!(store.entry(&local(1)).is_none() && store.body(&BodyCid::of(&text)).is_none());
    assert!(matches!(store.remove(local(1)).await, Err(crate::StoreError::Closed)));
    assert!(matches!(store.close().await, Err(crate::StoreError::Closed)));
    let again = opened(dir.path());
    assert!(again.entry(&local(1)).is_some());
    assert_eq!(again.boot(), 2);
}
