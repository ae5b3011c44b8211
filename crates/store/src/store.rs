//! The handle on a store: opening, reading, and sending changes to the writer.

use crate::batch::{Batch, Bounds, Change, read_body};
use crate::config::Config;
use crate::database::{self, Holder, Opener};
use crate::directory::{self, Lock};
use crate::error::{OpenError, StoreError};
use crate::memory::{CachedEntry, Memory, Used};
use crate::rows::{self, EntryRow, Group, Name, RememberedPeer, Slot, State, Unfinished};
use crate::writer::{Command, Promise, Request, Writer};
use bytes::Bytes;
use ghmesh_model::{BodyCid, Entry, MemberId, Millis, Scope};
use ghmesh_seal::DataKey;
use redb::{ReadTransaction, ReadableTable, TableHandle};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Most peers that are remembered; with more, those go that were not seen for the longest time.
pub const MAX_PEERS: usize = 200;
/// Most addresses of one remembered peer; further ones are left out.
pub const MAX_PEER_ADDRESSES: usize = 3;
/// Most writes that are under way at once.
pub const MAX_WRITES: u64 = 4096;
/// Most tombstones. They are never dropped: who has more must replace them by coarser ones.
pub const MAX_TOMBSTONES: u64 = 65_536;

/// Most entries of one cache key that are looked at together: 32 rows are a few pages, and far more than differ at one time.
pub const MAX_KNOWN: usize = 32;

/// Longest address that is remembered, in bytes; a multiaddr with a peer id has about 100.
const MAX_ADDRESS_BYTES: usize = 512;
/// Changes that may wait for the writer; then senders wait.
const QUEUE_LENGTH: usize = 1024;
/// Bytes of bodies that may wait for the writer (64 MiB, two of the largest); then senders wait.
const QUEUE_BYTES: u32 = 64 * 1024 * 1024;

/// The node's steady timeline.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// How much a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Answers stored. A caller's entry and the offer that says the same are one.
    pub entries: u64,
    /// Bytes of entries and bodies, as [`Config::max_bytes`] counts them.
    pub bytes: u64,
    /// Answers that may be stored.
    pub max_entries: u64,
    /// Bytes that may be stored.
    pub max_bytes: u64,
}

/// Some of the stored entries, in no order that means anything.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The entries and where each is kept.
    pub entries: Vec<(Slot, Entry)>,
    /// Where to go on, unless that were all.
    pub next: Option<[u8; 32]>,
}

/// A handle on the store. Clones share it; with the last one (or by [`Store::close`]) it closes.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
}

/// What readers and the writer share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) key: DataKey,
    pub(crate) clock: Clock,
    pub(crate) memory: Memory,
    pub(crate) database: Holder,
    pub(crate) entries: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Declared after the database: the directory stays locked until that is closed.
    pub(crate) lock: Lock,
    boot: u64,
    clock_floor: Millis,
    clock_set_back: u64,
}

/// Opens the store in `config.dir`, making what is missing. Blocks for some milliseconds, after a crash for some hundred.
///
/// # Errors
/// [`OpenError`], each with what to do. [`OpenError::Held`] where another process has it open.
pub fn open(config: Config, clock: Clock) -> Result<Store, OpenError> {
    open_with(config, clock, database::opener())
}

pub(crate) fn open_with(config: Config, clock: Clock, opener: Opener) -> Result<Store, OpenError> {
    directory::prepare_directory(&config.dir)?;
    let lock = Lock::take(&config.dir)?;
    let key = directory::data_key(&config.dir)?;
    let path = directory::database_path(&config.dir);
    let database = Holder::open(path.clone(), opener).map_err(|error| opening_failed(&path, error))?;
    let known = known_state(&database, &key, &path)?;
    let (state, entries) = start(&database, &key, known, clock()).map_err(|error| opening_failed(&path, error))?;
    let shared = Arc::new(Shared {
        memory: Memory::new(config.memory_bytes),
        config,
        key,
        clock,
        database,
        entries: AtomicU64::new(entries),
        bytes: AtomicU64::new(state.bytes),
        lock,
        boot: state.boot,
        clock_floor: known.clock,
        clock_set_back: state.clock_set_back,
    });
    spawn(shared, state)
}

/// The state that the last process left; a new one for an empty file.
fn known_state(database: &Holder, key: &DataKey, path: &Path) -> Result<State, OpenError> {
    let found = database.read(|transaction| {
        let tables: Vec<String> = transaction.list_tables()?.map(|table| table.name().to_string()).collect();
        if !tables.iter().any(|name| name == rows::META.name()) {
            return Ok((tables.is_empty(), None));
        }
        Ok((false, read_state_row(transaction)?))
    });
    match found.map_err(|error| opening_failed(path, error))? {
        (true, _) => Ok(State::default()),
        (false, None) => Err(OpenError::Foreign { path: path.to_path_buf() }),
        (false, Some(sealed)) => {
            rows::open_state(key, &sealed).ok_or_else(|| OpenError::OtherKey { path: path.to_path_buf() })
        }
    }
}

fn read_state_row(transaction: &ReadTransaction) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(transaction.open_table(rows::META)?.get(rows::STATE_ROW)?.map(|sealed| sealed.value().to_vec()))
}

/// Counts this start, and notices a clock that was set back: then nobody knows how old the entries are.
fn start(database: &Holder, key: &DataKey, known: State, now: Millis) -> Result<(State, u64), redb::Error> {
    let boot = known.boot + 1;
    let clock_set_back = if known.clock > now { boot } else { known.clock_set_back };
    let state = State { boot, clock_set_back, ..known };
    database.with(|database| {
        let transaction = database.begin_write()?;
        let none = Bounds { bytes: u64::MAX, entries: u64::MAX };
        let batch = Batch::open(&transaction, key, none, state)?;
        let (state, _, entries) = batch.finish(&Used::new(), now)?;
        transaction.commit()?;
        Ok((state, entries))
    })
}

fn spawn(shared: Arc<Shared>, state: State) -> Result<Store, OpenError> {
    let (sender, queue) = mpsc::channel(QUEUE_LENGTH);
    let writer = Writer { shared: shared.clone(), queue, state, broken: None, sync_by: None };
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
    let thread = std::thread::Builder::new().name("ghmesh-store".to_string());
    thread.spawn(move || writer.run(&timer)).map_err(OpenError::Thread)?;
    Ok(Store { shared, queue: sender, room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)) })
}

fn opening_failed(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_path_buf();
    match error {
        redb::Error::DatabaseAlreadyOpen => {
            OpenError::Held { dir: path.parent().unwrap_or(&path).to_path_buf(), pid: None }
        }
        redb::Error::Io(source) if !is_damage(&source) => OpenError::File { path, source },
        other => OpenError::Corrupt { path, source: Box::new(other) },
    }
}

/// redb reports a wrong magic number, and a file that ends too early, as errors of these kinds.
fn is_damage(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

impl Shared {
    pub(crate) fn load_state(&self) -> Result<State, redb::Error> {
        let sealed = self.database.read(read_state_row)?;
        sealed
            .and_then(|sealed| rows::open_state(&self.key, &sealed))
            .ok_or_else(|| redb::Error::Corrupted("the state row is gone".to_string()))
    }

    pub(crate) fn read_entry(&self, slot: &Slot) -> Option<CachedEntry> {
        let name = slot.name(&self.key);
        let read = |transaction: &ReadTransaction| {
            let found = transaction.open_table(rows::ENTRIES)?.get(&name)?;
            Ok(found.and_then(|sealed| {
                let row = EntryRow::open(&self.key, &name, sealed.value())?;
                Some(CachedEntry {
                    bytes: u32::try_from(sealed.value().len()).ok()?,
                    entry: Arc::new(self.aged(row)),
                    name,
                })
            }))
        };
        self.read("an entry", read).flatten()
    }

    /// What was written before the clock was set back comes as old as can be: its age is unknown.
    pub(crate) fn aged(&self, row: EntryRow) -> Entry {
        let mut entry = row.entry;
        if row.boot < self.clock_set_back {
            entry.confirmed_at = Millis(0);
        }
        entry
    }

    /// A read that fails is a miss: the caller goes on without the cache. While closed there is nothing to tell.
    pub(crate) fn read<T>(
        &self,
        what: &str,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Option<T> {
        let read = self.database.read(read);
        read.inspect_err(|error| match error {
            redb::Error::DatabaseClosed => {}
            error => tracing::warn!(%error, what, "the cache could not be read"),
        })
        .ok()
    }
}

impl Store {
    /// The key under which this node seals what it keeps.
    pub fn data_key(&self) -> &DataKey {
        &self.shared.key
    }

    /// How often the store was opened, this time included: never the same twice.
    pub fn boot(&self) -> u64 {
        self.shared.boot
    }

    /// The node's time at the last commit before this start. Where the clock was behind it at the start, it had been set back:
    /// then entries from before come with `confirmed_at` 0.
    pub fn clock_floor(&self) -> Millis {
        self.shared.clock_floor
    }

    /// The entry in `slot`, fresh or not. Reads at most one page from disk; a failed read is a miss.
    pub fn entry(&self, slot: &Slot) -> Option<Arc<Entry>> {
        self.shared.memory.entry(slot, || self.shared.read_entry(slot))
    }

    /// The entries of one cache key, whatever their credential, the latest confirmed first: of each body one or more, at most
    /// [`MAX_KNOWN`]. Reads from disk.
    pub fn known(&self, group: &Group) -> Vec<(Slot, Arc<Entry>)> {
        let shared = &self.shared;
        let name = group.name(&shared.key);
        let read = |transaction: &ReadTransaction| {
            let (known, entries) = (transaction.open_table(rows::KNOWN)?, transaction.open_table(rows::ENTRIES)?);
            let mut found = Vec::new();
            for row in known.range((&name, 0, &[0; 32])..=(&name, u64::MAX, &[0xff; 32]))?.take(MAX_KNOWN) {
                let entry = *row?.0.value().2;
                let opened =
                    entries.get(&entry)?.and_then(|sealed| EntryRow::open(&shared.key, &entry, sealed.value()));
                found.extend(opened.map(|row| (row.slot, Arc::new(shared.aged(row)))));
            }
            Ok(found)
        };
        shared.read("entries of one key", read).unwrap_or_default()
    }

    /// The body that `cid` names. From disk a body of 32 MiB takes tens of milliseconds: read large ones on a blocking thread.
    pub fn body(&self, cid: &BodyCid) -> Option<Bytes> {
        let shared = &self.shared;
        shared
            .memory
            .body(cid, || shared.read("a body", |transaction| read_body(transaction, &shared.key, cid)).flatten())
    }

    /// Stores `entry` in `slot`, in place of what is there. `Ok` only after the commit.
    ///
    /// Without `body` the body must be stored already, except that an offer may wait for its body. A body is verified by its
    /// CID before it is written, and written once however many entries name it. The change goes on if the caller stops waiting.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::BodyMissing`] may come after [`Store::body`] found it, for eviction goes on meanwhile.
    pub async fn put(&self, slot: Slot, entry: Entry, body: Option<Bytes>) -> Result<(), StoreError> {
        self.put_as(Promise::Durable, slot, entry, body).await
    }

    /// The same, but `Ok` as soon as every reader sees it. It is on disk some 50 ms later, and a crash before that loses it: for
    /// what others hold too, and somebody waits for.
    ///
    /// # Errors
    /// As of [`Store::put`].
    pub async fn put_unsynced(&self, slot: Slot, entry: Entry, body: Option<Bytes>) -> Result<(), StoreError> {
        self.put_as(Promise::Seen, slot, entry, body).await
    }

    async fn put_as(&self, promise: Promise, slot: Slot, entry: Entry, body: Option<Bytes>) -> Result<(), StoreError> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        self.send(Request::Change(Change::Put { slot, entry: Arc::new(entry), body }), promise, bytes).await
    }

    /// Removes the entry in `slot`, if there is one, and the body that nothing else names.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::Closed`].
    pub async fn remove(&self, slot: Slot) -> Result<(), StoreError> {
        self.change(Change::Remove(slot)).await
    }

    /// Up to `limit` stored entries, from the start or from where a scan before ended. For showing and comparing, not for
    /// lookups: entries that change meanwhile may be missed.
    pub fn scan(&self, after: Option<[u8; 32]>, limit: usize) -> Scan {
        self.shared.read("entries", |transaction| self.scan_rows(transaction, after, limit)).unwrap_or_default()
    }

    fn scan_rows(&self, transaction: &ReadTransaction, after: Option<Name>, limit: usize) -> Result<Scan, redb::Error> {
        let mut scan = Scan::default();
        let mut last = None;
        let first = after.unwrap_or([0; 32]);
        for row in transaction.open_table(rows::ENTRIES)?.range::<&Name>(&first..)? {
            let (name, sealed) = row?;
            let name = *name.value();
            if Some(name) == after {
                continue;
            }
            if scan.entries.len() >= limit {
                scan.next = last;
                break;
            }
            last = Some(name);
            let opened = EntryRow::open(&self.shared.key, &name, sealed.value());
            scan.entries.extend(opened.map(|row| (row.slot, self.shared.aged(row))));
        }
        Ok(scan)
    }

    /// Remembers a peer, in place of what was remembered of it; at most [`MAX_PEER_ADDRESSES`] of its addresses.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::Closed`].
    pub async fn remember(&self, mut peer: RememberedPeer) -> Result<(), StoreError> {
        peer.addresses.retain(|address| address.len() <= MAX_ADDRESS_BYTES);
        peer.addresses.truncate(MAX_PEER_ADDRESSES);
        self.change(Change::Remember(peer)).await
    }

    /// Forgets a peer.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::Closed`].
    pub async fn forget(&self, member: MemberId) -> Result<(), StoreError> {
        self.change(Change::Forget(member)).await
    }

    /// All remembered peers, most recently seen first.
    pub fn peers(&self) -> Vec<RememberedPeer> {
        let key = &self.shared.key;
        let mut peers = self.all(rows::PEERS, |name, sealed| rows::open_peer(key, name, sealed));
        peers.sort_by_key(|peer: &RememberedPeer| std::cmp::Reverse((peer.last_seen, peer.member)));
        peers
    }

    /// Notes that a write is about to be sent: until [`Store::end_writes`] it is among the [`Store::unfinished_writes`], also after a crash.
    ///
    /// # Errors
    /// [`StoreError::TooManyWrites`], [`StoreError::Write`], [`StoreError::Closed`]; then it was not noted.
    pub async fn begin_write(&self, write: Unfinished) -> Result<(), StoreError> {
        self.change(Change::BeginWrite(write)).await
    }

    /// What there is to be remembered of these writes is stored otherwise.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::Closed`].
    pub async fn end_writes(&self, ids: Vec<[u8; 16]>) -> Result<(), StoreError> {
        self.change(Change::EndWrites(ids)).await
    }

    /// The writes that were begun and not ended.
    pub fn unfinished_writes(&self) -> Vec<Unfinished> {
        let key = &self.shared.key;
        self.all(rows::WRITES, |name, sealed| rows::open_write(key, name, sealed))
    }

    /// Adds tombstones; of two for one scope the later stays.
    ///
    /// # Errors
    /// [`StoreError::TooManyTombstones`], and nothing was added: [`Store::replace_tombstones`] by coarser ones.
    pub async fn bury(&self, tombstones: Vec<(Scope, Millis)>) -> Result<(), StoreError> {
        self.change(Change::Bury(tombstones)).await
    }

    /// Stores these tombstones in place of all others: when old ones have outlived what they bury, or were coarsened.
    ///
    /// # Errors
    /// [`StoreError::TooManyTombstones`], and those before are kept.
    pub async fn replace_tombstones(&self, tombstones: Vec<(Scope, Millis)>) -> Result<(), StoreError> {
        if tombstones.len() as u64 > MAX_TOMBSTONES {
            return Err(StoreError::TooManyTombstones { limit: MAX_TOMBSTONES });
        }
        self.change(Change::ReplaceTombstones(tombstones)).await
    }

    /// All tombstones.
    pub fn tombstones(&self) -> Vec<(Scope, Millis)> {
        let key = &self.shared.key;
        self.all(rows::TOMBSTONES, |name, sealed| rows::open_tombstone(key, name, sealed))
    }

    fn all<T>(&self, table: rows::Sealed, open: impl Fn(&Name, &[u8]) -> Option<T>) -> Vec<T> {
        let read = |transaction: &ReadTransaction| {
            let mut all = Vec::new();
            for row in transaction.open_table(table)?.iter()? {
                let (name, sealed) = row?;
                all.extend(open(name.value(), sealed.value()));
            }
            Ok(all)
        };
        self.shared.read(table.name(), read).unwrap_or_default()
    }

    /// How much is stored.
    pub fn usage(&self) -> Usage {
        Usage {
            entries: self.shared.entries.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            max_entries: self.shared.config.max_entries,
            max_bytes: self.shared.config.max_bytes,
        }
    }

    /// Waits until all changes sent before are on disk, and marks the time there. Called now and then on an idle node it
    /// narrows what a clock that was set back can hide.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::Closed`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.change(Change::Mark).await
    }

    /// Writes what was sent before, then closes the file and frees the directory. Other handles then find nothing and store nothing.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if it was closed before, [`StoreError::Write`] if the last mark could not be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.send(Request::Close, Promise::Durable, 0).await
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn change(&self, change: Change) -> Result<(), StoreError> {
        self.send(Request::Change(change), Promise::Durable, 0).await
    }

    async fn send(&self, request: Request, promise: Promise, bytes: usize) -> Result<(), StoreError> {
        // One that is larger than all the room is refused by the writer; here it only must not wait for ever.
        let bytes = u32::try_from(bytes).unwrap_or(QUEUE_BYTES).min(QUEUE_BYTES);
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command { request, promise, reply, room }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.shared.config.dir)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
