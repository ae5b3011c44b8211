//! Disks that are full, and power that is cut.

use super::*;
use crate::StoreError;
use crate::database::Opener;
use crate::store::open_with;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use tempfile::tempdir;

/// The real file, with a switch that makes it full.
#[derive(Debug)]
struct Fillable {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Fillable {
    fn opener(full: Arc<AtomicBool>) -> Opener {
        Arc::new(move |file| {
            let backend = Fillable { file: FileBackend::new(file)?, full: full.clone() };
            redb::Builder::new().set_cache_size(1 << 20).create_with_backend(backend)
        })
    }

    fn space(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Fillable {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.space()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.space()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.space()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_passes() {
    let dir = tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let store = open_with(config(dir.path()), at(NOW), Fillable::opener(full.clone())).unwrap();
    let (before, during, after) = (body(1, 20_000), body(2, 20_000), body(3, 20_000));
    put(&store, local(1), &before).await;
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = store.put(local(2), entry("h/p", &during), Some(during.clone())).await;
        assert!(matches!(refused, Err(StoreError::Write(_))), "{refused:?}");
    }
    assert!(store.entry(&local(2)).is_none());
    full.store(false, Ordering::SeqCst);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while store.put(local(3), entry("h/p", &after), Some(after.clone())).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "space is back, and it still can't write");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(store.body(&BodyCid::of(&before)).unwrap(), before, "what was stored before is still there");
    assert_eq!(store.body(&BodyCid::of(&after)).unwrap(), after);
    audit(&store);
    let store = reopened(store, dir.path()).await;
    assert!(store.entry(&local(1)).is_some() && store.entry(&local(2)).is_none() && store.entry(&local(3)).is_some());
    audit(&store);
}

#[tokio::test]
async fn what_was_only_seen_is_forgotten_when_it_cannot_be_synced() {
    let dir = tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let store = open_with(config(dir.path()), at(NOW), Fillable::opener(full.clone())).unwrap();
    let text = body(1, 20_000);
    put(&store, local(1), &text).await;
    store.put_unsynced(local(2), entry("h/p", &text), None).await.unwrap();
    assert!(store.entry(&local(2)).is_some());
    full.store(true, Ordering::SeqCst);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while store.entry(&local(2)).is_some() {
        assert!(std::time::Instant::now() < deadline, "nobody brings it to disk");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    full.store(false, Ordering::SeqCst);
    while store.flush().await.is_err() {
        assert!(std::time::Instant::now() < deadline, "space is back, and it still can't write");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(store.body(&BodyCid::of(&text)).unwrap(), text, "what was stored before is still there");
    audit(&store);
}

/// A disk with a volatile cache: what was not synced may be there or not, when the power goes.
#[derive(Debug)]
struct Disk {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    syncs_left: u64,
}

impl Disk {
    /// What is found after the cut: all that was synced, and of the rest what `noise` says.
    fn after_the_cut(&self, noise: &[u8]) -> Vec<u8> {
        let mut image = self.durable.clone();
        image.resize(self.live.len().max(image.len()), 0);
        for (number, (offset, data)) in self.unsynced.iter().enumerate() {
            if noise[number % noise.len()] & 1 == 0 {
                let end = (offset + data.len()).min(image.len());
                image[*offset..end].copy_from_slice(&data[..end - offset]);
            }
        }
        image
    }
}

#[derive(Clone, Debug)]
struct Powered(Arc<Mutex<Disk>>);

impl Powered {
    fn new(syncs: u64) -> Self {
        Powered(Arc::new(Mutex::new(Disk {
            live: Vec::new(),
            durable: Vec::new(),
            unsynced: Vec::new(),
            syncs_left: syncs,
        })))
    }

    fn opener(&self) -> Opener {
        let disk = self.clone();
        Arc::new(move |_| redb::Builder::new().set_cache_size(1 << 20).create_with_backend(disk.clone()))
    }

    fn on(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.0.lock().unwrap();
        if disk.syncs_left == 0 { Err(io::Error::other("no power")) } else { Ok(disk) }
    }
}

impl StorageBackend for Powered {
    fn len(&self) -> io::Result<u64> {
        Ok(self.on()?.live.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.on()?;
        let found = disk.live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.on()?.live.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.on()?;
        disk.syncs_left -= 1;
        if disk.syncs_left == 0 {
            return Err(io::Error::other("no power"));
        }
        disk.durable = disk.live.clone();
        disk.unsynced.clear();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.on()?;
        let offset = offset as usize;
        if disk.live.len() < offset + data.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        disk.live[offset..offset + data.len()].copy_from_slice(data);
        disk.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}

/// Puts, replaces and evicts until the power goes. The version that each slot had when it was last answered.
async fn work_until_the_cut(store: &Store) -> BTreeMap<u32, u32> {
    let mut acknowledged = BTreeMap::new();
    for round in 0u32.. {
        let slot = round * 7 % 10;
        let text = body(round, 2000 + (round as usize * 997) % 40_000);
        if store.put(local(slot), entry("h/p", &text), Some(text)).await.is_err() {
            return acknowledged;
        }
        acknowledged.insert(slot, round);
    }
    unreachable!("the power goes at some time")
}

#[tokio::test]
async fn whatever_was_answered_survives_a_power_cut_at_any_sync() {
    let most = AtomicU64::new(0);
    for syncs in 2..40 {
        let disk = Powered::new(syncs);
        let dir = tempdir().unwrap();
        // The first syncs belong to opening.
        let Ok(store) = open_with(config(dir.path()), at(NOW), disk.opener()) else { continue };
        let acknowledged = work_until_the_cut(&store).await;
        let _ = store.close().await;
        let image = disk.0.lock().unwrap().after_the_cut(&body(syncs as u32, 97));
        fs::write(dir.path().join("data/store.redb"), image).unwrap();
        let store = opened(dir.path());
        for (slot, round) in &acknowledged {
            let text = body(*round, 2000 + (*round as usize * 997) % 40_000);
            let found = store.entry(&local(*slot)).expect("it was answered").representation.cid;
            // The change that was cut short may have come through whole.
            let next = body(round + 10, 2000 + ((*round as usize + 10) * 997) % 40_000);
            assert!(found == BodyCid::of(&text) || found == BodyCid::of(&next), "cut at sync {syncs}, slot {slot}");
            assert!(store.body(&found).is_some());
        }
        audit(&store);
        most.fetch_max(acknowledged.len() as u64, Ordering::Relaxed);
        store.close().await.unwrap();
    }
    assert!(most.into_inner() >= 10, "the cuts came too early to test anything");
}
