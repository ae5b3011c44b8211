//! One pass over a JSON body that keeps nothing but validation fields.

use super::fields::{FIELDS, Fields, Value};
use super::{MAX_DEPTH, MAX_OBJECTS, Name};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// Longest `url` that is looked at, in bytes.
const MAX_URL: usize = 1024;

/// An object with fields, or the whole body.
pub(super) struct Found {
    /// What its `url` names; `None` without one.
    pub(super) name: Option<Name>,
    pub(super) fields: Fields,
    pub(super) is_whole_body: bool,
}

/// The objects of a body that name themselves, and the body's own. None where it isn't JSON.
pub(super) fn objects(body: &[u8], named: &dyn Fn(&str) -> Option<Name>) -> Vec<Found> {
    let scan = Scan { named, found: RefCell::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Place { scan: &scan, depth: 1, key: Key::Other }.deserialize(&mut deserializer).map(drop);
    let whole = read.and_then(|()| deserializer.end()).is_ok();
    let found = scan.found.into_inner();
    // A scan that had enough stops the parser, which is no fault of the body's.
    if whole || found.len() >= MAX_OBJECTS { found } else { Vec::new() }
}

struct Scan<'a> {
    named: &'a dyn Fn(&str) -> Option<Name>,
    found: RefCell<Vec<Found>>,
}

/// What a member of an object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Url,
    Field(&'static str),
    /// An object that lends its `sha` to the one that it is in (a reference's target, a branch's head), under this name.
    Lender(&'static str),
    Payload,
    Other,
}

/// What was read at a place of the body.
enum Read {
    Scalar(Value),
    /// The `sha` of an object.
    Hash(Option<Value>),
    Nothing,
}

/// Where in the body the parser is.
struct Place<'a> {
    scan: &'a Scan<'a>,
    depth: usize,
    key: Key,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        if self.key == Key::Payload {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Read::Nothing);
        }
        deserializer.deserialize_any(self)
    }
}

impl Place<'_> {
    fn scalar<E>(&self, value: Value) -> Result<Read, E> {
        Ok(if matches!(self.key, Key::Field(_)) { Read::Scalar(value) } else { Read::Nothing })
    }

    fn finish<E: Error>(&self, object: Object) -> Result<Read, E> {
        let hash = object.fields.get("sha").cloned();
        let is_whole_body = self.depth == 1;
        if object.name.is_none() && !is_whole_body {
            return Ok(Read::Hash(hash));
        }
        let mut fields = object.fields;
        if object.name.is_some() {
            fields.remove("name");
        }
        let mut found = self.scan.found.borrow_mut();
        found.push(Found { name: object.name, fields, is_whole_body });
        if found.len() >= MAX_OBJECTS { Err(E::custom("enough objects")) } else { Ok(Read::Hash(hash)) }
    }
}

#[derive(Default)]
struct Object {
    name: Option<Name>,
    fields: Fields,
}

impl Object {
    fn take(&mut self, scan: &Scan<'_>, key: Key, read: Read) {
        match (key, read) {
            (Key::Url, Read::Scalar(Value::Text(url))) => self.name = (scan.named)(&url),
            (Key::Field(name), Read::Scalar(value)) => self.fields.set(name, value),
            (Key::Lender(name), Read::Hash(Some(hash))) => self.fields.set(name, hash),
            _ => {}
        }
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Read, E> {
        self.scalar(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Read, E> {
        self.scalar(Value::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Read, E> {
        i64::try_from(number).map_or(Ok(Read::Nothing), |number| self.scalar(Value::Number(number)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Read, E> {
        Ok(Read::Nothing)
    }

    fn visit_str<E>(self, text: &str) -> Result<Read, E> {
        let wanted = match self.key {
            Key::Url if text.len() <= MAX_URL => Some(Value::Text(text.to_owned())),
            Key::Field(_) => Value::text(text),
            Key::Url | Key::Lender(_) | Key::Payload | Key::Other => None,
        };
        Ok(wanted.map_or(Read::Nothing, Read::Scalar))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Read, A::Error> {
        if self.depth > MAX_DEPTH {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Read::Nothing);
        }
        let item = || Place { scan: self.scan, depth: self.depth + 1, key: Key::Other };
        while items.next_element_seed(item())?.is_some() {}
        Ok(Read::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Read, A::Error> {
        if self.depth > MAX_DEPTH {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Read::Nothing);
        }
        let mut object = Object::default();
        while let Some(key) = members.next_key_seed(KeySeed)? {
            let read = members.next_value_seed(Place { scan: self.scan, depth: self.depth + 1, key })?;
            object.take(self.scan, key, read);
        }
        self.finish(object)
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match name {
            "url" => Key::Url,
            "payload" => Key::Payload,
            "object" => Key::Lender("object.sha"),
            "commit" => Key::Lender("commit.sha"),
            _ => FIELDS.iter().find(|field| **field == name).map_or(Key::Other, |field| Key::Field(field)),
        })
    }
}
