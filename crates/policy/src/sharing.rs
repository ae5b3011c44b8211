//! Whom a body that was fetched for one credential may serve.

use crate::{CredentialKind, Read, Route};
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
    /// Whether what was fetched for one credential may help another.
    pub fn borrows(self) -> bool {
        match self {
            Sharing::Proof | Sharing::Mesh => true,
            Sharing::Credential => false,
        }
    }

    /// Whether an answer to `read` is everybody's: GitHub confirms it for one, and all may have it. Never where it depends on who
    /// asks, and never for a credential that may be a password.
    pub fn is_common(self, read: &Read) -> bool {
        match self {
            Sharing::Proof | Sharing::Credential => false,
            Sharing::Mesh => {
                read.credential.kind() != CredentialKind::Private && !Route::of(&read.target).who_dependent
            }
        }
    }

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Sharing::Proof => "proof",
            Sharing::Credential => "credential",
            Sharing::Mesh => "mesh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const TOKEN: &str = "token ghp_alice";
    const BASIC: &str = "Basic b2N0b2NhdDpodW50ZXIy";

    #[test]
    fn only_in_a_mesh_of_equals_is_an_answer_everybodys_and_not_if_it_depends_on_who_asks() {
        for (uri, authorization, common) in [
            ("/repos/o/r/issues/1", Some(TOKEN), true),
            ("/repos/o/r/issues/1", None, true),
            ("/repos/o/r/issues/1", Some(BASIC), false),
            ("/user", Some(TOKEN), false),
            ("/repos/o/r", Some(TOKEN), false),
            ("/no/such/route", Some(TOKEN), false),
        ] {
            let headers: Vec<_> = authorization.into_iter().map(|value| ("authorization", value)).collect();
            let read = fixtures::read(uri, &headers);
            assert_eq!(Sharing::Mesh.is_common(&read), common, "{uri} {authorization:?}");
            assert!(!Sharing::Proof.is_common(&read) && !Sharing::Credential.is_common(&read));
        }
        assert!(Sharing::Proof.borrows() && Sharing::Mesh.borrows() && !Sharing::Credential.borrows());
    }
}
