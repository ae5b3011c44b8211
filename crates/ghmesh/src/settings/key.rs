//! What a setting is called, what it means and what it is when nobody sets it.
//!
//! Each section lists its keys; everything else is derived from that one list: which names are known, which is nearest
//! to a mistyped one, the defaults (parsed by the same code as anybody's values) and `docs/configuration.md`.

use super::{admin, cache, freshness, gateway, log, mesh, origin, policy, webhook};

/// What all environment variables of ours begin with.
pub(super) const ENVIRONMENT_PREFIX: &str = "GHMESH_";

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Section and name joined by dots, as in `mesh.discovery.mdns`.
    pub path: &'static str,
    /// What it is when nobody sets it.
    pub default: Fallback,
    /// The values it takes, with their unit.
    pub values: &'static str,
    /// What it does, and what happens if it is changed.
    pub meaning: &'static str,
    /// Where the default comes from.
    pub because: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This value, written as in an environment variable.
    Text(&'static str),
    /// A list without items.
    EmptyList,
    /// It stays unset.
    Unset,
    /// It depends on the machine; the text says how.
    Rule(&'static str),
}

impl Key {
    /// Its environment variable, as in `GHMESH_MESH__DISCOVERY__MDNS`.
    pub fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.path.replace('.', "__").to_uppercase())
    }
}

/// A section: its name, what it is about, and its keys in the order of the documentation.
#[derive(Debug)]
pub struct Section {
    /// The TOML table.
    pub name: &'static str,
    /// One sentence about it.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [&'static Key],
}

/// All sections, in the order of the documentation.
pub static SECTIONS: [Section; 9] = [
    Section { name: "mesh", about: "Who belongs together, and how nodes find each other.", keys: mesh::KEYS },
    Section { name: "gateway", about: "Where callers connect.", keys: gateway::KEYS },
    Section { name: "origin", about: "The GitHub that is asked.", keys: origin::KEYS },
    Section { name: "cache", about: "What is kept, where and for how long.", keys: cache::KEYS },
    Section { name: "freshness", about: "How long answers last, within `cache`'s bounds.", keys: freshness::KEYS },
    Section { name: "policy", about: "What is done with a request.", keys: policy::KEYS },
    Section { name: "webhook", about: "How GitHub tells the daemon what has changed.", keys: webhook::KEYS },
    Section { name: "admin", about: "Who may see the private pages below `/_ghmesh/`.", keys: admin::KEYS },
    Section { name: "log", about: "What is written to standard error.", keys: log::KEYS },
];

/// Every key.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().copied())
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// Whether `path` is a table that holds keys, as `mesh` or `mesh.discovery`.
pub(super) fn is_table(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The key that whoever wrote `path` most likely meant: one typing mistake in three letters is forgiven, and so are a
/// wrong section, a wrong separator and the first words of a name (`cache.ttl`).
pub(super) fn nearest(path: &str) -> Option<&'static Key> {
    let path = path.to_lowercase().replace("__", ".");
    let distances = all().filter_map(|key| Some((distance(&path, key.path)?, key)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

/// How far what was written is from a key's path: typing mistakes, and one for a wrong section or left out words.
/// `None` if that is far.
fn distance(written: &str, path: &str) -> Option<usize> {
    let (section, name) = written.rsplit_once('.').unwrap_or(("", written));
    let (key_section, key_name) = path.rsplit_once('.').unwrap_or(("", path));
    let is_end = section == key_section && key_name.ends_with(&format!("_{name}"));
    let whole = mistakes(&written.replace('.', "_"), &path.replace('.', "_"));
    let name = if is_end { Some(0) } else { mistakes(name, key_name) };
    whole.into_iter().chain(name.map(|mistakes| mistakes + 1)).min()
}

/// How many letters differ, or `None` if it is more than one in three.
fn mistakes(written: &str, known: &str) -> Option<usize> {
    let count = strsim::damerau_levenshtein(written, known);
    (count <= written.chars().count() / 3).then_some(count)
}
