//! The redb file while it is open: reads on snapshots, and opening it again after a failed write.
//!
//! redb refuses everything after a failed write until the file is opened again; so a disk that was full needs this, or
//! the cache would stay shut until a restart. A panic inside redb (a page damaged on disk) becomes an error.

use crate::directory::open_database_file;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Memory that redb may use for pages (8 MiB): the memory tier before it holds what is hot.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Makes a database of a file.
pub(crate) type Opener = Arc<dyn Fn(File) -> Result<Database, DatabaseError> + Send + Sync>;

/// The opener outside of tests.
pub(crate) fn opener() -> Opener {
    Arc::new(|file| redb::Builder::new().set_cache_size(CACHE_BYTES).create_file(file))
}

/// The database, or nothing while it can't be opened.
pub(crate) struct Holder {
    path: PathBuf,
    opener: Opener,
    database: RwLock<Option<Database>>,
}

impl Holder {
    pub(crate) fn open(path: PathBuf, opener: Opener) -> Result<Self, redb::Error> {
        let holder = Holder { path, opener, database: RwLock::new(None) };
        holder.reopen()?;
        Ok(holder)
    }

    /// Closes what is open and opens the file anew.
    pub(crate) fn reopen(&self) -> Result<(), redb::Error> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Dropped before the file is opened again: redb holds a lock on it.
        discard(database.take());
        *database = Some(guarded(|| Ok((self.opener)(open_database_file(&self.path)?)?))?);
        Ok(())
    }

    pub(crate) fn close(&self) {
        discard(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs `read` on a snapshot.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        self.with(|database| read(&database.begin_read()?))
    }

    /// Runs `work` on the database.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        guarded(|| work(database))
    }
}

/// Also where opening fails after the file was opened.
impl Drop for Holder {
    fn drop(&mut self) {
        self.close();
    }
}

/// redb writes while it closes, and may meet the same fault again.
fn discard(database: Option<Database>) {
    if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
        tracing::error!("closing the cache's database failed");
    }
}

/// Nothing that `work` leaves half done is used afterwards: a transaction that unwinds is never committed.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("a page contradicts what points to it".to_string())))
}
