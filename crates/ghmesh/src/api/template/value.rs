//! The values a template works on: what Go's `encoding/json` makes of a document, plus the integers of literals and `len`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::json;

/// A Go value, as far as templates over JSON meet them. Lists and maps are shared, since pipelines copy them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// JSON null, a missing key, or `nil`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer literal or the result of `len`; never from JSON.
    Int(i64),
    /// Every number of a document, as in Go.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// `[]interface {}`.
    List(Rc<[Value]>),
    /// `map[string]interface {}`; iterated in the order of its keys.
    Map(Rc<BTreeMap<String, Value>>),
}

impl Value {
    /// A parsed document; its depth is bounded by serde_json (128).
    pub(super) fn from_json(document: serde_json::Value) -> Self {
        match document {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(yes) => Self::Bool(yes),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::text(json::without_controls(text)),
            serde_json::Value::Array(list) => Self::List(list.into_iter().map(Self::from_json).collect()),
            serde_json::Value::Object(object) => {
                let entry = |(key, item)| (json::without_controls(key), Self::from_json(item));
                Self::Map(Rc::new(object.into_iter().map(entry).collect()))
            }
        }
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Go's `template.IsTrue`: not the zero value of its type, and not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(yes) => *yes,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// The name Go gives the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// gh's rule for `color`, `join` and `tablerow`: scalars only, fractions with two places, null empty.
    pub(super) fn scalar(&self) -> Option<String> {
        match self {
            Self::Nil => Some(String::new()),
            Self::Bool(yes) => Some(yes.to_string()),
            Self::Text(text) => Some(text.to_string()),
            Self::Float(number) if number.fract() == 0.0 => Some(format!("{number:.0}")),
            Self::Float(number) => Some(format!("{number:.2}")),
            Self::Int(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}
