//! The versions of resources that a body shows.
//!
//! GitHub's objects name their own resource in `url` and carry fields that change whenever it does (`updated_at`, `status`,
//! `conclusion`, …): **validation fields**. So a list tells of each resource in it whether what is kept of it has been left
//! behind, without asking for it. This module reads them out of a body ([`Validators::of`]), compares two sightings
//! ([`moved_on`]) and names all that a body shows ([`Validators::cid`]).
//!
//! What is read here only ever makes an answer be confirmed sooner. A body that lies costs free 304s, no more.
//!
//! Left alone: bodies of more than [`MAX_BYTES`], what lies deeper than [`MAX_DEPTH`], all beyond [`MAX_OBJECTS`]; and what is
//! under `payload`, in which events and deliveries hold what was then.

mod fields;
mod scan;

pub use fields::{Fields, Value};

use crate::links::Base;
use crate::target::Target;
use ghmesh_model::{Scope, ValidationCid, cbor};
use std::collections::BTreeMap;

/// Largest body that is looked into, in bytes. A hundred pull requests are about 2.5 MB, a hundred issues 0.5 MB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest object or array that is looked into; the body's own is 1.
pub const MAX_DEPTH: usize = 12;
/// Most objects of one body.
pub const MAX_OBJECTS: usize = 512;
/// Most fields of one object.
pub const MAX_FIELDS: usize = 16;

/// What names a resource in a body: path and query below the API's root, in lower case.
pub type Name = String;

/// The validation fields of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The name of the body's own object, where it is one that has fields.
    own: Option<Name>,
    /// Every object with fields, by its name; the own one too. One that the body shows in two versions has none.
    objects: BTreeMap<Name, Fields>,
}

impl Validators {
    /// Reads a JSON body that was answered for `target`; `base` tells which URLs are the same API's. Empty for what is no JSON,
    /// too long, or without such objects.
    pub fn of(target: &Target, base: &Base, body: &[u8]) -> Self {
        let Some(resource) = &target.resource else { return Validators::default() };
        if body.len() > MAX_BYTES {
            return Validators::default();
        }
        let asked = match &target.query {
            Some(query) => format!("{}?{query}", resource.path),
            None => resource.path.clone(),
        };
        let found = scan::objects(body, &|url| base.below_root(url).and_then(name));
        let mut validators = Validators::default();
        for object in found {
            let own = object.is_whole_body;
            let Some(name) = object.name.or_else(|| own.then(|| name(&asked)).flatten()) else { continue };
            if own {
                validators.own = Some(name.clone());
            }
            validators.add(name, object.fields);
        }
        validators.objects.retain(|_, fields| !fields.is_empty());
        validators.own = validators.own.filter(|own| validators.objects.contains_key(own));
        validators
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The body's own object: what is to be compared when another body shows the same resource.
    pub fn own(&self) -> Option<(&str, &Fields)> {
        let name = self.own.as_deref()?;
        Some((name, self.objects.get(name)?))
    }

    /// Every object, by its name.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Fields)> {
        self.objects.iter().map(|(name, fields)| (name.as_str(), fields))
    }

    /// The fields of the object with this name.
    pub fn get(&self, name: &str) -> Option<&Fields> {
        self.objects.get(name)
    }

    /// The names of the resources that have moved on since `older` showed them, and of which it had the same fields.
    pub fn moved_on_since<'a>(&'a self, older: &'a Validators) -> impl Iterator<Item = &'a str> {
        let moved = |(name, fields): &(&str, &Fields)| older.get(name).is_some_and(|old| moved_on(old, fields));
        self.objects().filter(moved).map(|(name, _)| name)
    }

    /// Names all versions that the body shows: the CID of the canonical CBOR (RFC 8949 §4.2.3, as in DAG-CBOR) of a map from
    /// names to maps of fields. `None` where it shows none.
    pub fn cid(&self) -> Option<ValidationCid> {
        let canonical = fields::Canonical(&self.objects);
        (!self.is_empty()).then(|| ValidationCid::of(&cbor::encode(&canonical)))
    }

    /// Two versions of one resource in one body contradict each other, so that neither counts. (The statuses of a commit all
    /// have the same `url`.)
    fn add(&mut self, name: Name, fields: Fields) {
        match self.objects.get_mut(&name) {
            None => drop(self.objects.insert(name, fields)),
            Some(known) if known.is_empty() || known.contradicts(&fields) => *known = Fields::default(),
            Some(known) => known.join(fields),
        }
    }
}

/// Whether a resource that was seen with the fields `old` is another version where it is seen with the fields `new`. Only
/// fields that both have count; and `new` may be the older sighting, from a list that lags behind: then nothing has moved.
pub fn moved_on(old: &Fields, new: &Fields) -> bool {
    !new.is_before(old) && old.contradicts(new)
}

/// The scopes of what is kept for a resource of `host`'s API by itself: what becomes stale when it has moved on. A reference
/// has two paths.
pub fn scopes(host: &str, name: &str) -> Vec<Scope> {
    let path = name.split('?').next().unwrap_or_default();
    let own = |path: &str| crate::invalidation::own_scope(host, path);
    match path.split_once("/git/refs/") {
        Some((repository, reference)) => vec![own(path), own(&format!("{repository}/git/ref/{reference}"))],
        None => vec![own(path)],
    }
}

/// The scopes by which a write may be said to have changed that resource: those of a read of it, all told.
pub fn covering(host: &str, name: &str) -> Vec<Scope> {
    crate::invalidation::scopes_of_path(host, name.split('?').next().unwrap_or_default())
}

/// How a path with a query is named; `None` where it is the API's root.
fn name(path_and_query: &str) -> Option<Name> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    (!path.trim_matches('/').is_empty()).then(|| path_and_query.to_lowercase())
}

#[cfg(test)]
mod tests;
