//! The two primitives under every key: HKDF-SHA256 (RFC 5869) and HMAC-SHA256 (RFC 2104).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One 256-bit key. Zeroized when dropped; has no `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key(pub(crate) [u8; 32]);

/// Keys from one root: extracted with an empty salt, expanded with a label each.
pub(crate) struct Root(Hkdf<Sha256>);

impl Root {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Root(Hkdf::new(None, secret))
    }

    /// Extracted with `salt`: another root for each salt.
    pub(crate) fn salted(salt: &Key, secret: &[u8]) -> Self {
        Root(Hkdf::new(Some(&salt.0), secret))
    }

    pub(crate) fn key(&self, label: &str) -> Key {
        let mut key = Key([0; 32]);
        self.0.expand(label.as_bytes(), &mut key.0).expect("32 bytes are within what HKDF-SHA256 can expand");
        key
    }
}

/// HMAC-SHA256 of the concatenated `parts`.
pub(crate) fn mac(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
