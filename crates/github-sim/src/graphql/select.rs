//! Walks a selection over a thing and collects what it asks for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::{Found, Thing};
use super::parse::{Directive, Field, Fragment, Selection};
use super::{arguments, resolved};
use crate::shapes::View;

/// How deep fragments may spread into each other: they could name themselves.
const DEEPEST: usize = 80;

/// One walk, with the errors it met.
pub(crate) struct Selecting<'a> {
    pub(crate) view: View<'a>,
    fragments: &'a BTreeMap<String, Fragment>,
    variables: &'a Map<String, Value>,
    pub(crate) rate_limit: Value,
    pub(crate) errors: Vec<Value>,
    /// Whether the request doesn't fit the schema, so that there is no data at all.
    pub(crate) invalid: bool,
    path: Vec<String>,
    depth: usize,
}

impl<'a> Selecting<'a> {
    pub(crate) fn new(
        view: View<'a>,
        fragments: &'a BTreeMap<String, Fragment>,
        variables: &'a Map<String, Value>,
        rate_limit: Value,
    ) -> Self {
        Self { view, fragments, variables, rate_limit, errors: Vec::new(), invalid: false, path: Vec::new(), depth: 0 }
    }

    /// The thing as an object with the fields asked for.
    pub(crate) fn select(&mut self, thing: &Thing<'a>, selections: &'a [Selection]) -> Value {
        let mut object = Map::new();
        self.collect(thing, selections, &mut object);
        Value::Object(object)
    }

    fn collect(&mut self, thing: &Thing<'a>, selections: &'a [Selection], object: &mut Map<String, Value>) {
        if self.depth >= DEEPEST {
            return self.reject("the fragments spread too deeply".to_owned());
        }
        self.depth += 1;
        for selection in selections {
            match selection {
                Selection::Field(field) if self.included(&field.directives) => self.collect_field(thing, field, object),
                Selection::Spread(name, directives) if self.included(directives) => match self.fragments.get(name) {
                    Some(fragment) => self.collect_fragment(thing, fragment, object),
                    None => self.reject(format!("Fragment {name} was used, but not defined")),
                },
                Selection::Inline(fragment, directives) if self.included(directives) => {
                    self.collect_fragment(thing, fragment, object);
                }
                Selection::Field(_) | Selection::Spread(..) | Selection::Inline(..) => {}
            }
        }
        self.depth -= 1;
    }

    fn collect_fragment(&mut self, thing: &Thing<'a>, fragment: &'a Fragment, object: &mut Map<String, Value>) {
        if fragment.on.as_deref().is_none_or(|on| thing.is_a(on)) {
            self.collect(thing, &fragment.selections, object);
        }
    }

    fn collect_field(&mut self, thing: &Thing<'a>, field: &'a Field, object: &mut Map<String, Value>) {
        if field.name == "__typename" {
            object.insert(field.key.clone(), thing.type_name().into());
            return;
        }
        let arguments = arguments(&field.arguments, self.variables);
        self.path.push(field.key.clone());
        let value = match thing.field(self, field, &arguments) {
            Some(found) => self.complete(found, field),
            None => {
                self.reject(format!("Field '{}' doesn't exist on type '{}'", field.name, thing.type_name()));
                Value::Null
            }
        };
        self.path.pop();
        merge(object, &field.key, value);
    }

    fn complete(&mut self, found: Found<'a>, field: &'a Field) -> Value {
        match found {
            Found::Value(Value::Object(_) | Value::Array(_)) | Found::Thing(_) | Found::Things(_)
                if field.selections.is_empty() =>
            {
                self.reject(format!(
                    "Field must have selections (field '{}' returns objects but has no selections)",
                    field.name
                ));
                Value::Null
            }
            Found::Scalars(value)
            | Found::Value(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
            Found::Value(Value::Array(items)) => {
                items.into_iter().map(|item| self.select(&Thing::Plain(item), &field.selections)).collect()
            }
            Found::Value(object @ Value::Object(_)) => self.select(&Thing::Plain(object), &field.selections),
            Found::Thing(thing) => self.select(&thing, &field.selections),
            Found::Things(things) => things.iter().map(|thing| self.select(thing, &field.selections)).collect(),
            Found::Missing(message) => {
                let path = self.path.clone();
                self.errors.push(json!({"type": "NOT_FOUND", "path": path, "message": message}));
                Value::Null
            }
        }
    }

    fn reject(&mut self, message: String) {
        self.invalid = true;
        self.errors.push(json!({"path": self.path, "extensions": {"code": "undefinedField"}, "message": message}));
    }

    /// `@include(if: …)` and `@skip(if: …)`.
    fn included(&self, directives: &[Directive]) -> bool {
        directives.iter().all(|(name, arguments)| {
            let condition = arguments.iter().find(|(name, _)| name == "if");
            let condition = condition.map(|(_, value)| resolved(value, self.variables) == Value::Bool(true));
            match name.as_str() {
                "include" => condition.unwrap_or(true),
                "skip" => !condition.unwrap_or(false),
                _ => true,
            }
        })
    }
}

/// A field that is asked for twice gets what both ask of it.
fn merge(object: &mut Map<String, Value>, key: &str, value: Value) {
    match (object.get_mut(key), value) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| merge(known, &key, value));
        }
        (Some(Value::Array(known)), Value::Array(more)) if known.len() == more.len() => {
            for (known, more) in known.iter_mut().zip(more) {
                crate::shapes::extend(known, more);
            }
        }
        (_, value) => {
            object.insert(key.to_owned(), value);
        }
    }
}
