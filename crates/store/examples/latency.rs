//! Measures a store in a temporary directory: latencies of get and put, size on disk, memory.
//! `cargo run --release -p ghmesh-store --example latency`

use bytes::Bytes;
use ghmesh_model::{BodyCid, BodyFacts, CacheKey, Entry, History, LocalFingerprint, Millis, Representation, Source};
use ghmesh_store::{Config, Slot, Store, open};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ENTRIES: u32 = 10_000;
const GETS: u32 = 200_000;
const IN_FLIGHT: u32 = 64;

fn slot(number: u32) -> Slot {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    Slot::Local(CacheKey(key), LocalFingerprint([1; 32]))
}

/// Some 4 KiB of JSON that compresses as GitHub's does.
fn body(number: u32) -> Bytes {
    let item = |part: u32| {
        let id = u64::from(number * 31 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{{\"id\":{id},\"node_id\":\"MDEwOl{id:x}\",\"url\":\"https://api.github.com/repos/o/r{number}/issues/{part}\",\
             \"html_url\":\"https://github.com/o/r{number}/issues/{part}\",\"state\":\"open\",\"locked\":false,\"comments\":{part}}},"
        )
    };
    Bytes::from((0..19).map(item).collect::<String>())
}

fn entry(body: &Bytes) -> Entry {
    Entry {
        representation: Representation {
            cid: BodyCid::of(body),
            length: body.len() as u64,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
        },
        etag: Some("W/\"5f2e2e4e6c4d4a0b9a3d0d5b1c7f8e9a5f2e2e4e6c4d4a0b9a3d0d5b1c7f8e9a\"".into()),
        origin_date: 1_700_000_000,
        confirmed_at: Millis(1_700_000_000_000),
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: "api.github.com/repos/o/r/issues".into(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

fn opened(dir: &std::path::Path, memory_bytes: u64) -> Store {
    let config = Config { dir: dir.to_path_buf(), max_bytes: 512 << 20, max_entries: 100_000, memory_bytes };
    open(config, Arc::new(|| Millis(1_700_000_000_000))).expect("a temporary directory opens")
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what:<44} p50 {:>10.2?}  p99 {:>10.2?}  max {:>10.2?}", at(0.5), at(0.99), at(1.0));
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

async fn fill(store: &Store) {
    let mut times = Vec::new();
    for number in 0..1000 {
        let body = body(number);
        let start = Instant::now();
        store.put(slot(number), entry(&body), Some(body)).await.expect("it stores");
        times.push(start.elapsed());
    }
    report("put 4 KiB, one at a time", times);
    let start = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT).map(|task| tokio::spawn(fill_share(store.clone(), 1000 + task))).collect();
    for task in tasks {
        task.await.expect("it doesn't panic");
    }
    println!("put 4 KiB, {IN_FLIGHT} at once: {:?} each", start.elapsed() / (ENTRIES - 1000));
    let mut times = Vec::new();
    for number in 0..1000 {
        let start = Instant::now();
        store.put(slot(number), entry(&body(number)), None).await.expect("it stores");
        times.push(start.elapsed());
    }
    report("confirm again (no body), one at a time", times);
    let mut times = Vec::new();
    for number in 0..1000 {
        let (body, start) = (body(number), Instant::now());
        store.put_unsynced(slot(number), entry(&body), Some(body)).await.expect("it stores");
        times.push(start.elapsed());
    }
    report("put 4 KiB unsynced, one at a time", times);
}

async fn fill_share(store: Store, first: u32) {
    for number in (first..ENTRIES).step_by(IN_FLIGHT as usize) {
        let body = body(number);
        store.put(slot(number), entry(&body), Some(body)).await.expect("it stores");
    }
}

fn get(store: &Store, what: &str, count: u32, spread: u32) {
    let cids: Vec<BodyCid> = (0..spread).map(|number| BodyCid::of(&body(number))).collect();
    let times = |read: &dyn Fn(u32)| (0..count).map(|i| timed(|| read(i * 7919 % spread))).collect();
    report(&format!("get entry, {what}"), times(&|number| drop(black_box(store.entry(&slot(number))))));
    report(&format!("get body of 4 KiB, {what}"), times(&|number| drop(black_box(store.body(&cids[number as usize])))));
}

async fn large(store: &Store) {
    let large: Bytes = (0..2000).map(body).collect::<Vec<_>>().concat().into();
    let length = large.len() >> 20;
    let cid = BodyCid::of(&large);
    let start = Instant::now();
    store.put(slot(ENTRIES), entry(&large), Some(large)).await.expect("it stores");
    println!("put {length} MiB: {:?}; get: {:?}", start.elapsed(), timed(|| store.body(&cid)));
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    println!("resident at start: {} KiB", resident_kib());
    let store = opened(&data, 64 << 20);
    println!("resident when open: {} KiB", resident_kib());
    fill(&store).await;
    println!("resident with {:?}: {} KiB", store.usage(), resident_kib());
    get(&store, "in memory", GETS, 1000);
    store.close().await.expect("it closes");
    drop(store);
    let start = Instant::now();
    let store = opened(&data, 0);
    println!("open with {} entries: {:?}", store.usage().entries, start.elapsed());
    get(&store, "from the file", 20_000, ENTRIES);
    large(&store).await;
    let file = std::fs::metadata(data.join("store.redb")).expect("the file is there");
    let blocks = std::os::unix::fs::MetadataExt::blocks(&file) * 512;
    println!("{} KiB on disk for {} KiB stored", blocks >> 10, store.usage().bytes >> 10);
}
