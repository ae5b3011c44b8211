//! Between JSON and jaq's values, in gojq's view of them: keys in order, whole numbers as integers, control characters inert.

use std::fmt::Write as _;

use jaq_json::{Map, Num, Val};

use super::super::json::{self, Escapes};

/// Values that JSON can't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// `nan` and `infinite` inside a list or an object.
    #[error("JSON has no number for NaN or infinity")]
    NotFinite,
    /// A filter built a value that can't be written without overflowing the stack.
    #[error("the value is nested deeper than {DEEPEST}")]
    TooDeep,
}

/// Go's own limit for JSON is 10,000; jaq's recursion needs stack for each.
const DEEPEST: usize = 5_000;

/// A parsed document as jaq's value. Its depth is bounded by serde_json (128).
pub(super) fn from_json(document: serde_json::Value) -> Val {
    match document {
        serde_json::Value::Null => Val::Null,
        serde_json::Value::Bool(yes) => Val::Bool(yes),
        serde_json::Value::Number(number) => Val::Num(from_number(&number)),
        serde_json::Value::String(text) => Val::utf8_str(json::without_controls(text)),
        serde_json::Value::Array(list) => Val::Arr(list.into_iter().map(from_json).collect::<Vec<_>>().into()),
        serde_json::Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().collect();
            entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            let entry = |(key, item)| (Val::utf8_str(json::without_controls(key)), from_json(item));
            Val::obj(entries.into_iter().map(entry).collect::<Map>())
        }
    }
}

fn from_number(number: &serde_json::Number) -> Num {
    let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
    match (number.as_i64(), number.as_u64(), whole) {
        (Some(integer), _, _) => Num::from_integral(integer),
        (None, Some(integer), _) => Num::from_integral(integer),
        (None, None, Some(float)) => Num::from_integral(float as i64),
        (None, None, None) => Num::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The text of a string value; invalid UTF-8, which only `@base64d` can make, is replaced.
pub(super) fn text(value: &Val) -> String {
    match value {
        Val::TStr(bytes) | Val::BStr(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_string(),
    }
}

/// What a value is, for messages, with its beginning.
pub(super) fn kind(value: &Val) -> String {
    let name = match value {
        Val::Null => return "null".to_owned(),
        Val::Bool(_) => "boolean",
        Val::Num(_) => "number",
        Val::TStr(_) | Val::BStr(_) => "string",
        Val::Arr(_) => "array",
        Val::Obj(_) => "object",
    };
    let shown = json(value).unwrap_or_default();
    match shown.char_indices().nth(30) {
        Some((end, _)) => format!("{name} ({} ...)", &shown[..end]),
        None => format!("{name} ({shown})"),
    }
}

/// One output of a filter, without a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Line {
    pub(in super::super) text: String,
    /// A list or an object, which a terminal shows in colour.
    pub(in super::super) is_document: bool,
}

/// What gh prints for one output: strings raw, null empty, fractions with two places, the rest compact JSON.
pub(super) fn line(value: &Val) -> Result<Line, ValueError> {
    let scalar = |text| Line { text, is_document: false };
    Ok(match value {
        Val::Null => scalar(String::new()),
        Val::TStr(_) | Val::BStr(_) => scalar(text(value)),
        Val::Num(number) => scalar(scalar_number(number)),
        Val::Bool(yes) => scalar(yes.to_string()),
        Val::Arr(_) | Val::Obj(_) => Line { text: printed(value)?, is_document: true },
    })
}

fn scalar_number(number: &Num) -> String {
    match number {
        Num::Int(_) | Num::BigInt(_) => number.to_string(),
        Num::Float(float) => scalar_float(*float),
        Num::Dec(text) => scalar_float(text.parse().unwrap_or(f64::NAN)),
    }
}

fn scalar_float(float: f64) -> String {
    if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if float.fract() == 0.0 {
        format!("{float:.0}")
    } else {
        format!("{float:.2}")
    }
}

/// Compact JSON with sorted keys, as jq's `tojson` gives it: every number has a form, nothing is escaped without need.
pub(super) fn json(value: &Val) -> Result<String, ValueError> {
    let mut out = String::new();
    push(&mut out, value, Escapes::Needed, 0)?;
    Ok(out)
}

/// Compact JSON as gh prints it: escaped for HTML, numbers only finite.
fn printed(value: &Val) -> Result<String, ValueError> {
    let mut out = String::new();
    push(&mut out, value, Escapes::Html, 0)?;
    Ok(out)
}

fn push(out: &mut String, value: &Val, escapes: Escapes, depth: usize) -> Result<(), ValueError> {
    if depth > DEEPEST {
        return Err(ValueError::TooDeep);
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Val::Num(number) => push_number(out, number, escapes)?,
        Val::TStr(_) | Val::BStr(_) => json::push_string(out, &text(value), escapes),
        Val::Arr(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                json::push_comma(out, index);
                push(out, item, escapes, depth + 1)?;
            }
            out.push(']');
        }
        Val::Obj(object) => push_object(out, object, escapes, depth)?,
    }
    Ok(())
}

fn push_object(out: &mut String, object: &Map, escapes: Escapes, depth: usize) -> Result<(), ValueError> {
    let mut entries: Vec<_> = object.iter().map(|(key, item)| (text(key), item)).collect();
    entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    out.push('{');
    for (index, (key, item)) in entries.into_iter().enumerate() {
        json::push_comma(out, index);
        json::push_string(out, &key, escapes);
        out.push(':');
        push(out, item, escapes, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// gh refuses numbers that aren't finite; jq's own `tojson` writes null for NaN and the largest number for infinity.
fn push_number(out: &mut String, number: &Num, escapes: Escapes) -> Result<(), ValueError> {
    let float = match number {
        Num::Int(_) | Num::BigInt(_) => {
            let _ = write!(out, "{number}");
            return Ok(());
        }
        Num::Float(float) => *float,
        Num::Dec(text) => text.parse().unwrap_or(f64::NAN),
    };
    match float {
        _ if escapes == Escapes::Html && !float.is_finite() => return Err(ValueError::NotFinite),
        _ if float.is_nan() => out.push_str("null"),
        _ => json::push_float(out, float.clamp(f64::MIN, f64::MAX)),
    }
    Ok(())
}
