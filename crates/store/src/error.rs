//! Why a store did not open, or did not store.

use ghmesh_model::BodyCid;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a store did not open. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{} is in use by {}: stop that one, or set cache.dir to another directory", .dir.display(),
        .pid.map_or("another process".to_string(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, as it wrote into the lock file.
        pid: Option<u32>,
    },
    /// The directory can't be used.
    #[error("{}: {fault}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        fault: DirectoryFault,
    },
    /// A file in it can't be read or written.
    #[error("{}: {source}: the daemon's user needs to read and write it, and the disk needs free space", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file belongs to another user, who could read or change it.
    #[error("{} belongs to user {owner}, not to the daemon's user {user}: give it to that user (chown), or delete it", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// This process's user id.
        user: u32,
    },
    /// The data key's file is none.
    #[error(
        "{} has {length} bytes instead of 32, so what is stored can't be read: delete it and the database beside it; \
         the cache fills again", .path.display()
    )]
    KeyMalformed {
        /// The file.
        path: PathBuf,
        /// Bytes it has.
        length: u64,
    },
    /// There is a database, and no key to it.
    #[error(
        "{} is gone, so the database beside it can't be read: put it back, or delete the database; the cache fills again",
        .path.display()
    )]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The database was sealed under another key.
    #[error(
        "{} was not sealed with the data.key beside it (copied from another machine?): delete the database; \
         the cache fills again", .path.display()
    )]
    OtherKey {
        /// The database.
        path: PathBuf,
    },
    /// A database of something else.
    #[error("{} is a database, but not of ghmesh: set cache.dir to an own directory, or move it away", .path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The database is damaged, or no database.
    #[error("{} is damaged or no database ({source}): delete it; the cache fills again", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// The writer's thread could not be started.
    #[error("no thread for writing the cache: {0}")]
    Thread(#[source] io::Error),
}

/// What is wrong with a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryFault {
    /// It can't be made or read.
    #[error("{0}: the daemon's user needs a directory that it can write; make one, or set cache.dir")]
    Unusable(#[source] io::Error),
    /// It is something else.
    #[error("not a directory: set cache.dir to one")]
    NotADirectory,
    /// It belongs to another user, who could read or change what is stored.
    #[error(
        "belongs to user {owner}, not to the daemon's user {user}: chown it, or set cache.dir to a directory below it"
    )]
    Owner {
        /// Its owner's id.
        owner: u32,
        /// This process's user id.
        user: u32,
    },
    /// Others may enter it, and it has files of others, so that its mode is not ours to change.
    #[error(
        "mode {mode:04o} lets other users in, and it has files that aren't ghmesh's: set cache.dir to a directory \
         below it (it will be made with mode 0700), or chmod 700 it"
    )]
    Shared {
        /// Its permission bits.
        mode: u32,
    },
}

/// Why something was not stored. Nothing of the change is on disk, or (after a failed commit) all of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store was closed.
    #[error("the cache is closed")]
    Closed,
    /// Writing failed: no space left, or the disk is broken. The store tries again with the next change.
    #[error("the cache could not be written: {0}")]
    Write(#[source] Arc<redb::Error>),
    /// Larger than the store or its kind may be.
    #[error("{bytes} bytes, more than the {limit} that may be stored")]
    TooLarge {
        /// Bytes it has.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The body is not what the entry's CID and length name.
    #[error("not the body that {cid} names")]
    BodyMismatch {
        /// The entry's.
        cid: BodyCid,
    },
    /// No body was given, and none is stored: it may have been evicted a moment ago.
    #[error("the body {cid} is not stored")]
    BodyMissing {
        /// The entry's.
        cid: BodyCid,
    },
    /// Too many writes under way.
    #[error("more than {limit} writes under way")]
    TooManyWrites {
        /// The limit.
        limit: u64,
    },
    /// Too many tombstones: replace them by coarser ones.
    #[error("more than {limit} tombstones")]
    TooManyTombstones {
        /// Tombstones allowed.
        limit: u64,
    },
}
