//! `policy`: what is done with a request.

use super::key::{Fallback, Key};
use super::problem::Fault;
use super::reader::Reader;
use super::value::Setting;
use ghmesh_policy::Mode;

static MODE: Key = Key {
    path: "policy.mode",
    default: Fallback::Text("cache"),
    values: "`cache`, `pass`, `offline`",
    meaning: "`cache`: answers reads from the cache and the mesh where it may. `pass`: hands everything to GitHub and \
              keeps nothing, to find out whether a fault is ours. `offline`: never asks GitHub; serves what is there, \
              however stale within `cache.proof_ttl`.",
    because: "Caching is what ghmesh is for.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[&MODE];

/// The `policy` section; `docs/configuration.md` says what each does. All that can be read can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What is done with a request.
    pub mode: Mode,
}

impl Setting for Mode {
    fn from_text(text: &str) -> Result<Self, Fault> {
        match text.trim().to_lowercase().as_str() {
            "cache" => Ok(Mode::Cache),
            "pass" => Ok(Mode::Pass),
            "offline" => Ok(Mode::Offline),
            _ => Err(Self::fault()),
        }
    }

    fn fault() -> Fault {
        Fault::Word { words: "\"cache\", \"pass\" or \"offline\"" }
    }
}

impl Policy {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Policy { mode: reader.value(&MODE) }
    }
}
