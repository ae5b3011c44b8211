//! Validation fields of one object.

use super::{MAX_FIELDS, Name};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Longest text that counts as a field, in bytes; longer ones are prose.
const MAX_TEXT: usize = 256;
/// When the object was last changed: GitHub's `2026-01-31T23:59:59Z`, ordered as text is.
const UPDATED: &str = "updated_at";
/// What GitHub works out in its own time, and says `null` until then.
const COMPUTED: &str = "mergeable";

/// The fields that change whenever their resource does. The same object shows `name` differently in different places (a
/// repository's is `o/r` in an event, `r` in itself), so that it counts only where there is no `url` to compare by.
pub(super) const FIELDS: [&str; 17] = [
    "updated_at",
    "pushed_at",
    "published_at",
    "completed_at",
    "merged_at",
    "state",
    "status",
    "conclusion",
    "run_attempt",
    "comments",
    "review_comments",
    "mergeable",
    "tag_name",
    "sha",
    "busy",
    "protected",
    "name",
];

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text of at most 256 bytes.
    Text(String),
}

impl Value {
    pub(super) fn text(text: &str) -> Option<Self> {
        (text.len() <= MAX_TEXT).then(|| Value::Text(text.to_owned()))
    }
}

/// The validation fields of one object, at most [`MAX_FIELDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        if self.0.len() < MAX_FIELDS {
            self.0.insert(name.to_owned(), value);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn join(&mut self, other: Fields) {
        other.0.into_iter().for_each(|(name, value)| self.set(&name, value));
    }

    /// Whether a field that both have has two values.
    pub(super) fn contradicts(&self, other: &Fields) -> bool {
        let unknown = |name: &str, value: &Value| name == COMPUTED && *value == Value::Null;
        self.iter().any(|(name, mine)| {
            let theirs = other.get(name);
            theirs.is_some_and(|theirs| theirs != mine && !unknown(name, mine) && !unknown(name, theirs))
        })
    }

    /// Whether this is an older version than `other`, as far as they tell.
    pub(super) fn is_before(&self, other: &Fields) -> bool {
        match (self.get(UPDATED), other.get(UPDATED)) {
            (Some(Value::Text(mine)), Some(Value::Text(theirs))) => mine.len() == theirs.len() && mine < theirs,
            _ => false,
        }
    }
}

/// Objects as canonical CBOR writes them: shorter keys first, those of one length by their bytes.
pub(super) struct Canonical<'a>(pub(super) &'a BTreeMap<Name, Fields>);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(in_order(self.0).into_iter().map(|(name, fields)| (name, CanonicalFields(fields))))
    }
}

struct CanonicalFields<'a>(&'a Fields);

impl Serialize for CanonicalFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(in_order(&self.0.0))
    }
}

fn in_order<V>(map: &BTreeMap<String, V>) -> Vec<(&String, &V)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| (name.len(), *name));
    entries
}
