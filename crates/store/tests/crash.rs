//! Real processes: one that is killed while it stores, and two that want the same directory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use ghmesh_model::{BodyCid, BodyFacts, CacheKey, Entry, History, LocalFingerprint, Millis, Representation, Source};
use ghmesh_store::{Config, OpenError, Slot, Store, open};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::tempdir;

const CHILD_DIR: &str = "GHMESH_STORE_TEST_DIR";
/// Tasks of the child that put at the same time, so that commits hold several changes.
const TASKS: u64 = 4;

fn opened(dir: &Path) -> Result<Store, OpenError> {
    let config = Config { dir: dir.to_path_buf(), max_bytes: 256 << 20, max_entries: 1_000_000, memory_bytes: 4 << 20 };
    open(config, Arc::new(|| Millis(1_700_000_000_000)))
}

fn slot(number: u64) -> Slot {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Slot::Local(CacheKey(key), LocalFingerprint([1; 32]))
}

fn body(number: u64) -> Bytes {
    Bytes::from(format!("{{\"number\": {number}}} ").repeat(1 + number as usize % 400))
}

fn entry(number: u64) -> Entry {
    let body = body(number);
    Entry {
        representation: Representation { cid: BodyCid::of(&body), length: body.len() as u64, headers: Vec::new() },
        etag: None,
        origin_date: number,
        confirmed_at: Millis(1_700_000_000_000),
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: String::new(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

/// The child: puts for ever, and says each number only after it was answered. Without its variable it has nothing to do.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let store = opened(Path::new(&dir)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let base = store.boot() * 1_000_000;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(store_for_ever(store.clone(), base + task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn store_for_ever(store: Store, first: u64) {
    for number in (first..).step_by(TASKS as usize) {
        // What is only seen yet must not harm what is stored.
        let unsynced = number + (1 << 40);
        store.put_unsynced(slot(unsynced), entry(unsynced), Some(body(unsynced))).await.unwrap();
        store.put(slot(number), entry(number), Some(body(number))).await.unwrap();
        // One write, so that lines of several tasks don't mix.
        std::io::stdout().write_all(format!("stored {number}\n").as_bytes()).unwrap();
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads what the child says until it has said `lines` numbers, kills it after `more`, and reads what it had still said.
fn kill_after(mut child: Child, lines: usize, more: Duration) -> Vec<u64> {
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut number = || loop {
        // The harness says its own things on the same line as the first number.
        let line = output.next()?.ok()?;
        if let Some((_, number)) = line.rsplit_once("stored ") {
            return number.parse().ok();
        }
    };
    let mut numbers: Vec<u64> = (0..lines).map(|_| number().expect("the child stores")).collect();
    std::thread::sleep(more);
    child.kill().unwrap();
    child.wait().unwrap();
    numbers.extend(std::iter::from_fn(number));
    numbers
}

#[test]
fn whatever_was_answered_survives_kill_9() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let mut all = Vec::new();
    for round in 0..8u64 {
        // At another moment of a commit each time: a commit takes some hundred microseconds.
        let said = kill_after(start(&data), 40 + 13 * round as usize, Duration::from_micros(137 * round));
        assert!(said.len() >= 40);
        all.extend(said);
        let store = opened(&data).unwrap();
        assert_eq!(store.boot(), 2 * round + 2, "every start counts");
        for number in &all {
            let found = store.entry(&slot(*number)).unwrap_or_else(|| panic!("{number} was answered and is gone"));
            assert_eq!(*found, entry(*number));
            assert_eq!(store.body(&found.representation.cid), Some(body(*number)));
        }
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.close()).unwrap();
    }
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let mut child = start(&data);
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !line.contains("stored ") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child stores");
    }
    let error = opened(&data).unwrap_err();
    assert!(matches!(&error, OpenError::Held { pid: Some(pid), .. } if *pid == child.id()), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    opened(&data).unwrap();
}
