//! What a store must be told.

use std::path::PathBuf;

/// Where a store lies, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's data directory. Made with mode 0700 where it is missing, parents too.
    pub dir: PathBuf,
    /// Most bytes that entries and bodies may have together. A body counts once, at its full length; on disk it is
    /// compressed, so that JSON takes about half of this. What doesn't compress may take up to three times as much, for
    /// pages are not filled to the end, and a commit writes beside what it replaces.
    pub max_bytes: u64,
    /// Most answers; at least 1. A caller's entry and the offer that says the same are one answer and two entries, each of
    /// which costs bytes.
    pub max_entries: u64,
    /// Most bytes that the memory tier holds. It never holds more than what is stored.
    pub memory_bytes: u64,
}
