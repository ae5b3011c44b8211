//! What a store must be told.

use std::path::PathBuf;

/// Where a store lies, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's data directory. Made with mode 0700 where it is missing, parents too.
    pub dir: PathBuf,
    /// Most bytes that entries and bodies may have together. A body counts once, at its full length; on disk it is
    /// compressed (JSON to about a fifth), so that the file usually stays far below. Text that doesn't compress can make
    /// the file half as large again, as pages are not filled to the end.
    pub max_bytes: u64,
    /// Most entries; at least 1.
    pub max_entries: u64,
    /// Most bytes that the memory tier holds. It never holds more than what is stored.
    pub memory_bytes: u64,
}
