//! Takes values out of the layers, key by key, and notes every one that cannot be read.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem, shown};
use super::value::{Quantity, Setting, items};
use figment::Figment;
use figment::value::Value;
use std::path::{Path, PathBuf};

/// The layers, and what was found wrong in them so far.
pub(super) struct Reader<'a> {
    pub(super) values: &'a Figment,
    pub(super) home: Option<&'a Path>,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    /// A setting that always has a value. If what was written cannot be read, that is noted and the default taken, so
    /// that the rest can be checked too.
    pub(super) fn value<T: Setting>(&mut self, key: &'static Key) -> T {
        self.optional(key).unwrap_or_else(|| {
            let Fallback::Text(text) = key.default else { unreachable!("{} has a default", key.path) };
            T::from_text(text).unwrap_or_else(|_| unreachable!("the default of {} is one", key.path))
        })
    }

    /// A setting that may be unset.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static Key) -> Option<T> {
        let value = self.values.find_value(key.path).ok()?;
        match T::from_value(&value) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.problems.push(Problem::of(key, fault));
                None
            }
        }
    }

    /// A list, without the items that cannot be read.
    pub(super) fn list<T: Setting>(&mut self, key: &'static Key) -> Vec<T> {
        let Ok(value) = self.values.find_value(key.path) else { return Vec::new() };
        let Some(items) = items(&value) else {
            self.problems.push(Problem::of(key, LIST));
            return Vec::new();
        };
        items.iter().filter_map(|item| self.item(key, item)).collect()
    }

    fn item<T: Setting>(&mut self, key: &'static Key, item: &Value) -> Option<T> {
        match T::from_value(item) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.problems.push(Problem::of_item(key, &plain(item), fault));
                None
            }
        }
    }

    /// A path that may be unset. `~/` at its start is the home directory.
    pub(super) fn path(&mut self, key: &'static Key) -> Option<PathBuf> {
        let text: String = self.optional(key)?;
        let Some(rest) = text.strip_prefix("~/") else { return Some(PathBuf::from(text)) };
        match self.home {
            Some(home) => Some(home.join(rest)),
            None => {
                self.problems.push(Problem::of(key, Fault::NoHome));
                None
            }
        }
    }
}

/// A list was expected.
const LIST: Fault = Fault::Kind { kind: "a list", instead: "[\"one\", \"two\"], or one text with commas" };

/// A value as its writer wrote it, more or less, for messages.
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::String(_, text) => shown(text),
        Value::Array(_, items) => {
            let items: Vec<String> = items.iter().map(display).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => plain(value),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Char(_, character) => character.to_string(),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), _, _) => number.to_string(),
            (_, Some(number), _) => number.to_string(),
            (_, _, number) => number.map(|number| number.to_string()).unwrap_or_default(),
        },
        Value::Array(..) => "a list".to_owned(),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
    }
}

/// Notes `value` if it lies outside `least` to `most`.
pub(super) fn check_range(
    problems: &mut Vec<Problem>,
    key: &'static Key,
    value: Quantity,
    (least, most): (Quantity, Quantity),
) {
    if value < least || value > most {
        problems.push(Problem::of(key, Fault::Range { least, most }));
    }
}
