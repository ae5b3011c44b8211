//! Names of things: fixed-size, comparable, printable, and each its own type so that none stands in for another.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Multicodec of raw bytes.
const RAW: u64 = 0x55;
/// Multicodec of canonical CBOR.
const DAG_CBOR: u64 = 0x71;
/// Multihash code of SHA2-256.
const SHA2_256: u64 = 0x12;

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

bytes_id! {
    /// K: a hash over the final upstream request ([`crate::KeyParts`]). Independent of the mesh secret; stays on the node.
    CacheKey, 32
}
bytes_id! {
    /// K as it travels: hashed again under a mesh key.
    WireKey, 32
}
bytes_id! {
    /// F: a credential as it travels, hashed under a mesh key. Only high-entropy tokens have one that leaves the node.
    Fingerprint, 32
}
bytes_id! {
    /// A credential as this node's store knows it, hashed under the node's own data key. Never leaves the node.
    LocalFingerprint, 32
}
bytes_id! {
    /// A member of the mesh: the Ed25519 public key that its libp2p peer id wraps.
    MemberId, 32
}
bytes_id! {
    /// A subtree of an origin's paths, hashed. An entry belongs to several; an invalidation names some.
    Scope, 16
}

impl Scope {
    /// The scope of `path` (letter case folded, no trailing slash) and everything below it on `host`.
    pub fn of(host: &str, path: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"ghmesh/scope/1\0");
        hash.update(host.to_ascii_lowercase());
        hash.update(b"\0");
        hash.update(path.trim_end_matches('/').to_ascii_lowercase());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Scope(bytes)
    }
}

/// The name of a body: CIDv1, raw codec, SHA2-256. Holds the digest; [`BodyCid::to_cid`] gives the standard form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyCid(pub [u8; 32]);

impl BodyCid {
    /// The name of `body`.
    pub fn of(body: &[u8]) -> Self {
        BodyCid(Sha256::digest(body).into())
    }

    /// Whether `body` is what this CID names.
    pub fn names(&self, body: &[u8]) -> bool {
        *self == BodyCid::of(body)
    }

    /// The standard form: CIDv1, raw, sha2-256.
    pub fn to_cid(&self) -> cid::Cid {
        cid_of(RAW, &self.0)
    }
}

impl fmt::Display for BodyCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_cid().fmt(f)
    }
}

impl fmt::Debug for BodyCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyCid({self})")
    }
}

/// The name of the validation fields in a body: CIDv1, dag-cbor, sha2-256. Two bodies that show the same versions of the same
/// resources have the same one. Holds the digest; [`ValidationCid::to_cid`] gives the standard form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValidationCid(pub [u8; 32]);

impl ValidationCid {
    /// The name of validation fields in canonical CBOR.
    pub fn of(canonical: &[u8]) -> Self {
        ValidationCid(Sha256::digest(canonical).into())
    }

    /// The standard form: CIDv1, dag-cbor, sha2-256.
    pub fn to_cid(&self) -> cid::Cid {
        cid_of(DAG_CBOR, &self.0)
    }
}

impl fmt::Display for ValidationCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_cid().fmt(f)
    }
}

impl fmt::Debug for ValidationCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidationCid({self})")
    }
}

fn cid_of(codec: u64, digest: &[u8; 32]) -> cid::Cid {
    let hash = multihash::Multihash::<64>::wrap(SHA2_256, digest).expect("a 32-byte digest fits a 64-byte multihash");
    cid::Cid::new_v1(codec, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cid_is_the_standard_cid_of_raw_bytes() {
        // `ipfs add --cid-version=1 --raw-leaves` of "hello world" gives this name.
        let cid = BodyCid::of(b"hello world");
        assert_eq!(cid.to_string(), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e");
        assert!(cid.names(b"hello world"));
        assert!(!cid.names(b"hello worle"));
    }

    #[test]
    fn a_validation_cid_is_the_standard_cid_of_canonical_cbor() {
        // The CID of the empty map in DAG-CBOR (one byte, a0), as the IPLD fixtures give it.
        let cid = ValidationCid::of(&[0xa0]);
        assert_eq!(cid.to_string(), "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua");
    }

    #[test]
    fn scopes_ignore_letter_case_and_a_trailing_slash() {
        assert_eq!(Scope::of("API.github.com", "/Repos/O/R/"), Scope::of("api.github.com", "/repos/o/r"));
        assert_ne!(Scope::of("api.github.com", "/repos/o/r"), Scope::of("ghe.example", "/repos/o/r"));
    }
}
