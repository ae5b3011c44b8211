//! Whom a body that was fetched for one credential may serve.

use serde::Deserialize;

/// `cache.sharing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Any credential to which GitHub has confirmed it, with a 304 to that credential's own ETag.
    #[default]
    Proof,
    /// The same credential only.
    Credential,
    /// Every caller of every member, as far as the answer does not depend on who asks: all trust each other.
    Mesh,
}

impl Sharing {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Sharing::Proof => "proof",
            Sharing::Credential => "credential",
            Sharing::Mesh => "mesh",
        }
    }
}
