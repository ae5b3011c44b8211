//! One pass over a JSON body that keeps nothing but ids.

use super::{Kind, MAX_BYTES, MAX_NODES, Nodes};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Deepest object or array that is looked into. GitHub's GraphQL answers nest about twice as deep as their queries.
const MAX_DEPTH: usize = 64;
/// Most different ids that are collected before the outermost are chosen.
const MAX_FOUND: usize = 16 * MAX_NODES;

/// Whether a text, with the name of the member that it is the value of, is an id.
type IsId<'a> = &'a dyn Fn(Option<&str>, &str) -> bool;

/// Which ids count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All of them.
    All,
    /// Those that lie no deeper than another.
    Outermost,
}

pub(super) fn nodes(body: &[u8], which: Which, is_id: IsId<'_>) -> Nodes {
    if body.len() > MAX_BYTES {
        return Nodes { ids: Vec::new(), cut: true, kind: Kind::default() };
    }
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Place { is_id, found: &mut found, depth: 1, name: None }.deserialize(&mut deserializer);
    let whole = read.and_then(|()| deserializer.end()).is_ok();
    found.into_nodes(which, whole)
}

/// Ids, each with its least depth and the order in which it was first seen.
#[derive(Default)]
struct Found {
    places: BTreeMap<String, (usize, usize)>,
    too_deep: bool,
}

impl Found {
    fn add(&mut self, id: &str, depth: usize) {
        let order = self.places.len();
        match self.places.get_mut(id) {
            Some(place) => place.0 = place.0.min(depth),
            None => drop(self.places.insert(id.to_owned(), (depth, order))),
        }
    }

    fn into_nodes(self, which: Which, whole: bool) -> Nodes {
        let mut places: Vec<_> = self.places.into_iter().map(|(id, place)| (place, id)).collect();
        places.sort();
        if which == Which::Outermost {
            let least = places.first().map_or(0, |((depth, _), _)| *depth);
            places.retain(|((depth, _), _)| *depth == least);
        }
        let cut = !whole || self.too_deep || places.len() > MAX_NODES;
        Nodes { ids: places.into_iter().take(MAX_NODES).map(|(_, id)| id).collect(), cut, kind: Kind::default() }
    }
}

struct Place<'a> {
    is_id: IsId<'a>,
    found: &'a mut Found,
    depth: usize,
    name: Option<&'a str>,
}

impl Place<'_> {
    fn inside<'b>(&'b mut self, name: Option<&'b str>) -> Place<'b> {
        Place { is_id: self.is_id, found: self.found, depth: self.depth + 1, name }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            self.found.too_deep = true;
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if (self.is_id)(self.name, text) {
            self.found.add(text, self.depth);
        }
        if self.found.places.len() > MAX_FOUND { Err(E::custom("enough ids")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let name = self.name;
        while items.next_element_seed(self.inside(name))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(self.inside(Some(&name)))?;
        }
        Ok(())
    }
}
