//! The credentials that were presented to this node, as far as they are needed to tell true validations from forged ones.

use ghmesh_model::Fingerprint;
use ghmesh_seal::ValidationKey;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Credentials remembered. Beyond, one is forgotten: its validations are then checked only when it is presented again.
const MAX_PRESENTED: usize = 4096;

/// Keys of presented credentials, in memory only.
#[derive(Debug, Default)]
pub(crate) struct Presented(RwLock<BTreeMap<Fingerprint, ValidationKey>>);

impl Presented {
    /// A caller presents the credential behind `fingerprint`.
    pub(crate) fn note(&self, fingerprint: Fingerprint, key: impl FnOnce() -> ValidationKey) {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&fingerprint) {
            return;
        }
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_PRESENTED {
            // Fingerprints are hashes: the first is as good as a random one.
            keys.pop_first();
        }
        keys.insert(fingerprint, key());
    }

    /// Forgets all, until they are presented again.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a validation for `fingerprint` may be true: its MAC is right, or nobody here can tell.
    pub(crate) fn believes(&self, fingerprint: Fingerprint, input: &[u8], mac: &[u8]) -> bool {
        self.knows(fingerprint, input, mac) != Some(false)
    }

    /// Whether a holder of the credential made this MAC. `None`: it was not presented here.
    pub(crate) fn knows(&self, fingerprint: Fingerprint, input: &[u8], mac: &[u8]) -> Option<bool> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&fingerprint).map(|key| key.verify(input, mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghmesh_seal::{Cost, Secret, derive};

    #[test]
    fn a_forged_validation_is_known_once_its_credential_was_presented() {
        let ring = derive(&Secret::new(b"a secret for tests".to_vec()), "test", Cost::TEST);
        let (presented, fingerprint) = (Presented::default(), Fingerprint([1; 32]));
        let genuine = ring.validation_mac(b"token ghp_a", b"input");
        assert!(presented.believes(fingerprint, b"input", b"forged"), "nobody here can tell");
        presented.note(fingerprint, || ring.validation_key(b"token ghp_a"));
        assert!(presented.believes(fingerprint, b"input", &genuine));
        assert!(!presented.believes(fingerprint, b"input", b"forged"));
        assert!(!presented.believes(fingerprint, b"other input", &genuine));
    }

    #[test]
    fn the_memory_is_bounded() {
        let ring = derive(&Secret::new(b"a secret for tests".to_vec()), "test", Cost::TEST);
        let presented = Presented::default();
        for number in 0..=MAX_PRESENTED {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&(number as u64).to_be_bytes());
            presented.note(Fingerprint(fingerprint), || ring.validation_key(b"token"));
        }
        assert_eq!(presented.0.read().expect("no test thread panicked").len(), MAX_PRESENTED);
    }
}
