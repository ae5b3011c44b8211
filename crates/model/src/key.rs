//! The cache key: everything of the final upstream request that may change the answer, and nothing else.

use crate::id::CacheKey;
use sha2::{Digest, Sha256};

/// What a cache key is made of. Build it from the request as it will be sent upstream, never from the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyParts<'a> {
    /// Upstream host with its port where it is not the default, in lower case.
    pub host: &'a str,
    /// Path as sent.
    pub path: &'a str,
    /// Query as sent, its pairs sorted stably by name; empty where there is none.
    pub query: &'a str,
    /// The `Accept` that is sent.
    pub accept: &'a str,
    /// The `X-GitHub-Api-Version` that is sent; GitHub does not list it in `Vary`.
    pub api_version: &'a str,
}

impl KeyParts<'_> {
    /// Hashes the parts, each with its length before it so that no two requests share a preimage.
    pub fn key(&self) -> CacheKey {
        let mut hash = Sha256::new();
        hash.update(b"ghmesh/key/1\0");
        for part in [self.host, self.path, self.query, self.accept, self.api_version] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        CacheKey(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_part_changes_the_key() {
        let base = KeyParts { host: "h", path: "/p", query: "q", accept: "a", api_version: "v" };
        let keys = BTreeSet::from([
            base.key(),
            KeyParts { host: "h2", ..base.clone() }.key(),
            KeyParts { path: "/p2", ..base.clone() }.key(),
            KeyParts { query: "q2", ..base.clone() }.key(),
            KeyParts { accept: "a2", ..base.clone() }.key(),
            KeyParts { api_version: "v2", ..base.clone() }.key(),
        ]);
        assert_eq!(keys.len(), 6);
    }

    #[test]
    fn a_byte_that_moves_between_parts_changes_the_key() {
        let one = KeyParts { host: "h", path: "/ab", query: "c", accept: "", api_version: "" };
        let two = KeyParts { host: "h", path: "/a", query: "bc", accept: "", api_version: "" };
        assert_ne!(one.key(), two.key());
    }
}
