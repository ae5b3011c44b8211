//! What a node keeps: entries and bodies, the peers it knows, the tombstones it must not forget.
//!
//! One [redb](https://docs.rs/redb) file, one thread that writes it, any number of readers on snapshots. The writer commits what is
//! queued as one transaction and only then answers: "stored" always means "on disk". A memory tier stands before the file.
//!
//! Everything that says something is sealed under the node's own data key (`seal`'s `DataKey`), which lies beside the file: that
//! guards a stolen file or disk image, not a stolen directory. The tables that put entries in their order and count
//! references hold only keyed names, sizes and counters, and are not sealed.
//!
//! This crate decides nothing about freshness: expired entries stay (for revalidation, and for when GitHub is down) until
//! the bounds evict them, least recently used first. What members offered and nobody here asked for has a bounded share of a
//! full store.

mod batch;
mod config;
mod database;
mod directory;
mod error;
mod memory;
mod offers;
mod rows;
mod store;
mod writer;

pub use config::Config;
pub use directory::prepare_directory;
pub use error::{DirectoryFault, OpenError, StoreError};
pub use offers::Offered;
pub use rows::{Group, RememberedPeer, Slot, Unfinished};
pub use store::{
    Clock, MAX_KNOWN, MAX_PEER_ADDRESSES, MAX_PEERS, MAX_TOMBSTONES, MAX_WRITES, Scan, Store, Usage, open,
};

#[cfg(test)]
mod tests;
