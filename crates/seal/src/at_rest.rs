//! Sealing at rest: everything a node stores, under its own random key, independent of the mesh secret.
//!
//! It guards a stolen file or a discarded disk image, not a stolen directory: the key lies beside the file.

use crate::derive::{Key, Root, mac};
use crate::envelope::{self, NONCE_BYTES, OpenError, Packing};
use std::fmt;
use zeroize::Zeroizing;

/// A node's data key. Zeroized when dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct DataKey {
    rows: Key,
    names: Key,
    fingerprints: Key,
}

impl DataKey {
    /// Derives what is needed from 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let root = Root::new(bytes.as_slice());
        DataKey {
            rows: root.key("ghmesh/data/1/rows"),
            names: root.key("ghmesh/data/1/names"),
            fingerprints: root.key("ghmesh/data/1/fingerprints"),
        }
    }

    /// The name under which `table` keeps `row`: keyed, so that a stolen file doesn't tell what it holds.
    pub fn row_name(&self, table: &str, row: &[u8]) -> [u8; 32] {
        mac(&self.names, &[&(table.len() as u64).to_be_bytes(), table.as_bytes(), row])
    }

    /// L: a credential as this node's store knows it. Never leaves the node.
    pub fn local_fingerprint(&self, credential: &[u8]) -> [u8; 32] {
        mac(&self.fingerprints, &[credential])
    }

    /// Seals one value, bound to its table and row. `nonce` must be random.
    pub fn seal_row(&self, table: &str, row: &[u8], nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Vec<u8> {
        envelope::seal(&self.rows, &aad(table, row), nonce, plaintext, Packing::Smallest)
    }

    /// Opens one value of at most `limit` bytes.
    ///
    /// # Errors
    /// [`OpenError`] where the file was changed, or belongs to another key.
    pub fn open_row(&self, table: &str, row: &[u8], sealed: &[u8], limit: usize) -> Result<Vec<u8>, OpenError> {
        envelope::open(&self.rows, &aad(table, row), sealed, limit)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

/// Version, the table with its length before it, the row.
fn aad(table: &str, row: &[u8]) -> Vec<u8> {
    [&[envelope::VERSION], (table.len() as u64).to_be_bytes().as_slice(), table.as_bytes(), row].concat()
}
