//! An entry and its body from memory, and from the file. `cargo bench -p ghmesh-store`
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use bytes::Bytes;
use criterion::Criterion;
use ghmesh_model::{BodyCid, BodyFacts, CacheKey, Entry, History, LocalFingerprint, Millis, Representation, Source};
use ghmesh_store::{Config, Slot, Store, open};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const NOW: Millis = Millis(1_700_000_000_000);
const BODY_BYTES: usize = 6 * 1024;

fn opened(directory: &Path, memory_bytes: u64) -> Store {
    let config = Config { dir: directory.to_owned(), max_bytes: 64 << 20, max_entries: 1_000, memory_bytes };
    open(config, Arc::new(|| NOW)).unwrap()
}

fn entry(body: &Bytes) -> Entry {
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Entry {
        representation: Representation { cid: BodyCid::of(body), length: body.len() as u64, headers },
        etag: Some("\"675ebb4af602c27e13d298420974c93558aaf2f51bde50693699a07534da718c\"".to_owned()),
        origin_date: 1_700_000_000,
        confirmed_at: NOW,
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: "api.github.com/repos/o/r".to_owned(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

fn bench(criterion: &mut Criterion, name: &str, memory_bytes: u64) {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path(), memory_bytes);
    let slot = Slot::Local(CacheKey([1; 32]), LocalFingerprint([2; 32]));
    let body = Bytes::from((0..BODY_BYTES).map(|at| b'a' + (at * at % 23) as u8).collect::<Vec<_>>());
    let entry = entry(&body);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.put(slot, entry.clone(), Some(body.clone()))).unwrap();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let entry = store.entry(black_box(&slot)).unwrap();
            store.body(&entry.representation.cid).unwrap()
        });
    });
    runtime.block_on(store.close()).unwrap();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "entry and body of 6 KiB from memory", 16 << 20);
    bench(&mut criterion, "entry and body of 6 KiB from the file", 0);
    criterion.final_summary();
}
