//! A text that must not be seen.

use std::fmt;
use zeroize::Zeroizing;

/// A secret setting. Zeroized when dropped; shown as `…` only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Wraps `text`. Line ends behind it are dropped: `echo` and editors add them, to files and to Kubernetes secrets
    /// alike, and two nodes that differ in one would not find each other.
    pub fn new(text: &str) -> Self {
        SecretText(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}
