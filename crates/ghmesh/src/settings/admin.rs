//! `admin`: who may see the private pages below `/_ghmesh/`.

use super::key::{Fallback, Key};
use super::reader::Reader;
use super::secret::SecretText;

pub(super) static TOKEN: Key = Key {
    path: "admin.token",
    default: Fallback::Unset,
    values: "text of at least 16 characters without spaces",
    meaning: "Opens the private pages (peers, paths, keys) over TCP too, to callers that send it as `Authorization: \
              Bearer …`. Without it they are served over the unix socket only.",
    because: "The unix socket already knows who may connect.",
    secret: true,
};

pub(super) const KEYS: &[&Key] = &[&TOKEN];

/// The `admin` section; `docs/configuration.md` says what each does. Its values are judged with the gateway's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The token that opens the private pages over TCP.
    pub token: Option<SecretText>,
}

impl Admin {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Admin { token: reader.optional(&TOKEN) }
    }
}
