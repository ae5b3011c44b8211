//! The functions of templates: Go's own (text/template) and gh's. What none of them can do is touch files, the network or the process.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::super::fields::query_escaped;
use super::error::Fault;
use super::table::Table;
use super::value::Value;
use super::{printf, text, time};

/// What gh's functions need to know or keep.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) colour: bool,
    pub(super) width: usize,
    pub(super) now: Timestamp,
    pub(super) table: Table,
}

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal $most:expr, $want:literal;)*) => {
        /// A function that templates may call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function {
            $(#[doc = $name] $variant,)*
        }

        impl Function {
            /// The function of that name.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The fewest and the most arguments, and how to say so.
            fn arity(self) -> (usize, usize, &'static str) {
                match self {
                    $(Self::$variant => ($least, $most, $want),)*
                }
            }
        }
    };
}

const ANY: usize = usize::MAX;

functions! {
    And "and" 1 ANY, "at least 1";
    Or "or" 1 ANY, "at least 1";
    Not "not" 1 1, "1";
    Eq "eq" 1 ANY, "at least 1";
    Ne "ne" 2 2, "2";
    Lt "lt" 2 2, "2";
    Le "le" 2 2, "2";
    Gt "gt" 2 2, "2";
    Ge "ge" 2 2, "2";
    Len "len" 1 1, "1";
    Index "index" 1 ANY, "at least 1";
    Slice "slice" 1 4, "1 to 4";
    Call "call" 1 ANY, "at least 1";
    Html "html" 0 ANY, "any";
    Js "js" 0 ANY, "any";
    UrlQuery "urlquery" 0 ANY, "any";
    Print "print" 0 ANY, "any";
    Println "println" 0 ANY, "any";
    Printf "printf" 1 ANY, "at least 1";
    AutoColor "autocolor" 2 2, "2";
    Color "color" 2 2, "2";
    Contains "contains" 2 2, "2";
    HasPrefix "hasPrefix" 2 2, "2";
    HasSuffix "hasSuffix" 2 2, "2";
    Hyperlink "hyperlink" 2 2, "2";
    Join "join" 2 2, "2";
    Pluck "pluck" 2 2, "2";
    TableRender "tablerender" 0 0, "0";
    TableRow "tablerow" 0 ANY, "any";
    TimeAgo "timeago" 1 1, "1";
    TimeFormat "timefmt" 2 2, "2";
    Truncate "truncate" 2 2, "2";
}

impl Function {
    /// Whether that many arguments are right.
    pub(super) fn check_arguments(self, got: usize) -> Result<(), Fault> {
        let (least, most, want) = self.arity();
        if (least..=most).contains(&got) { Ok(()) } else { Err(Fault::Arguments { function: self.name(), want, got }) }
    }

    /// Calls it. `and` and `or` are given the values up to the one that decides.
    pub(super) fn call(self, context: &mut Context, arguments: &[Value], out: &mut String) -> Result<Value, Fault> {
        self.check_arguments(arguments.len())?;
        match (self, arguments) {
            (Self::And | Self::Or, [.., last]) => Ok(last.clone()),
            (Self::Not, [value]) => Ok(Value::Bool(!value.is_true())),
            (Self::Eq, [first, rest @ ..]) => self.equal_to_any(first, rest).map(Value::Bool),
            (Self::Ne, [left, right]) => self.equal(left, right).map(|equal| Value::Bool(!equal)),
            (Self::Lt, [left, right]) => {
                self.order(left, right).map(|order| Value::Bool(order == Some(Ordering::Less)))
            }
            (Self::Le, [left, right]) => {
                self.order(left, right).map(|order| Value::Bool(order.is_some_and(Ordering::is_le)))
            }
            (Self::Gt, [left, right]) => {
                self.order(left, right).map(|order| Value::Bool(order == Some(Ordering::Greater)))
            }
            (Self::Ge, [left, right]) => {
                self.order(left, right).map(|order| Value::Bool(order.is_some_and(Ordering::is_ge)))
            }
            (Self::Len, [value]) => self.len(value),
            (Self::Index, [value, positions @ ..]) => {
                positions.iter().try_fold(value.clone(), |value, at| self.index(&value, at))
            }
            (Self::Slice, [value, positions @ ..]) => self.slice(value, positions),
            (Self::Call, [value, ..]) => Err(self.type_fault("a function", value)),
            (Self::Html, values) => Ok(Value::text(html(&as_text(values)))),
            (Self::Js, values) => Ok(Value::text(javascript(&as_text(values)))),
            (Self::UrlQuery, values) => Ok(Value::text(query_escaped(&as_text(values)))),
            (Self::Print, values) => Ok(Value::text(printf::sprint(values))),
            (Self::Println, values) => Ok(Value::text(printf::sprintln(values))),
            (Self::Printf, [format, values @ ..]) => Ok(Value::text(printf::sprintf(self.text(format)?, values))),
            (Self::AutoColor | Self::Color, [style, value]) => self.colour(context, style, value),
            (Self::Contains, [part, text]) => Ok(Value::Bool(self.text(text)?.contains(self.text(part)?))),
            (Self::HasPrefix, [part, text]) => Ok(Value::Bool(self.text(text)?.starts_with(self.text(part)?))),
            (Self::HasSuffix, [part, text]) => Ok(Value::Bool(self.text(text)?.ends_with(self.text(part)?))),
            (Self::Hyperlink, [link, text]) => Ok(Value::text(hyperlink(self.text(link)?, self.text(text)?))),
            (Self::Join, [separator, list]) => self.join(self.text(separator)?, self.list(list)?),
            (Self::Pluck, [field, list]) => self.pluck(self.text(field)?, self.list(list)?),
            (Self::TableRender, _) => {
                out.push_str(&context.table.render(context.width));
                Ok(Value::text(""))
            }
            (Self::TableRow, values) => {
                let row = values.iter().map(|value| self.scalar(value)).collect::<Result<_, _>>()?;
                context.table.add(row);
                Ok(Value::text(""))
            }
            (Self::TimeAgo, [value]) => {
                let ago = time::parse(self.text(value)?).and_then(|time| time::ago(&time, context.now));
                ago.map(Value::text).ok_or_else(|| self.time_fault(value))
            }
            (Self::TimeFormat, [layout, value]) => {
                let time = time::parse(self.text(value)?).ok_or_else(|| self.time_fault(value))?;
                Ok(Value::text(time.format(self.text(layout)?)))
            }
            (Self::Truncate, [most, value]) => self.truncate(most, value),
            (_, values) => Err(Fault::Arguments { function: self.name(), want: self.arity().2, got: values.len() }),
        }
    }

    fn type_fault(self, expected: &'static str, found: &Value) -> Fault {
        Fault::Type { function: self.name(), expected, found: found.type_name() }
    }

    fn time_fault(self, value: &Value) -> Fault {
        Fault::Time { function: self.name(), text: printf::plain(value) }
    }

    fn text(self, value: &Value) -> Result<&str, Fault> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(self.type_fault("string", other)),
        }
    }

    fn list(self, value: &Value) -> Result<&[Value], Fault> {
        match value {
            Value::List(list) => Ok(list),
            other => Err(self.type_fault("[]interface {}", other)),
        }
    }

    fn scalar(self, value: &Value) -> Result<String, Fault> {
        value.scalar().ok_or_else(|| Fault::NotScalar { function: self.name(), value: printf::plain(value) })
    }

    fn equal_to_any(self, first: &Value, rest: &[Value]) -> Result<bool, Fault> {
        if rest.is_empty() {
            return Err(Fault::Arguments { function: self.name(), want: "at least 2", got: 1 });
        }
        for other in rest {
            if self.equal(first, other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Values of one scalar type; nil equals nil and nothing else.
    fn equal(self, left: &Value, right: &Value) -> Result<bool, Fault> {
        match (left, right) {
            (Value::Nil, other) | (other, Value::Nil) => Ok(*other == Value::Nil),
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            _ => self.order(left, right).map(|order| order == Some(Ordering::Equal)),
        }
    }

    /// Numbers of one type, or strings. `None` with a NaN.
    fn order(self, left: &Value, right: &Value) -> Result<Option<Ordering>, Fault> {
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => Ok(Some(left.cmp(right))),
            (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right)),
            (Value::Text(left), Value::Text(right)) => Ok(Some(left.cmp(right))),
            _ => Err(Fault::Incomparable { function: self.name() }),
        }
    }

    fn len(self, value: &Value) -> Result<Value, Fault> {
        let len = match value {
            Value::Text(text) => text.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            other => return Err(self.type_fault("a string, list or map", other)),
        };
        Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX)))
    }

    fn index(self, value: &Value, at: &Value) -> Result<Value, Fault> {
        match (value, at) {
            (Value::Map(map), Value::Text(key)) => Ok(map.get(&**key).cloned().unwrap_or(Value::Nil)),
            (Value::Map(_), other) => Err(self.type_fault("string", other)),
            (Value::List(list), Value::Int(at)) => self.position(*at, list.len()).map(|at| list[at].clone()),
            (Value::Text(text), Value::Int(at)) => {
                self.position(*at, text.len()).map(|at| Value::Int(i64::from(text.as_bytes()[at])))
            }
            (Value::List(_) | Value::Text(_), other) => Err(self.type_fault("int", other)),
            (other, _) => Err(self.type_fault("a string, list or map", other)),
        }
    }

    fn position(self, at: i64, len: usize) -> Result<usize, Fault> {
        let position = usize::try_from(at).ok().filter(|position| *position < len);
        position.ok_or(Fault::OutOfRange { function: self.name(), index: at })
    }

    /// `slice x i j`: strings by bytes, as in Go; a character cut in half is replaced.
    fn slice(self, value: &Value, positions: &[Value]) -> Result<Value, Fault> {
        let len = match value {
            Value::Text(text) => text.len(),
            Value::List(list) => list.len(),
            other => return Err(self.type_fault("a string or list", other)),
        };
        let mut bounds = [0, len];
        for (bound, at) in bounds.iter_mut().zip(positions) {
            let Value::Int(at) = at else { return Err(self.type_fault("int", at)) };
            *bound = self.position(*at, len + 1)?;
        }
        let [start, end] = bounds;
        if start > end {
            return Err(Fault::OutOfRange { function: self.name(), index: i64::try_from(start).unwrap_or(i64::MAX) });
        }
        Ok(match value {
            Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[start..end])),
            Value::List(list) => Value::List(list[start..end].into()),
            other => other.clone(),
        })
    }

    fn colour(self, context: &Context, style: &Value, value: &Value) -> Result<Value, Fault> {
        let (style, text) = (self.text(style)?, self.scalar(value)?);
        Ok(Value::text(if context.colour { text::coloured(style, &text) } else { text }))
    }

    fn join(self, separator: &str, list: &[Value]) -> Result<Value, Fault> {
        let words = list.iter().map(|value| self.scalar(value)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::text(words.join(separator)))
    }

    fn pluck(self, field: &str, list: &[Value]) -> Result<Value, Fault> {
        let fields = list.iter().map(|item| match item {
            Value::Map(map) => Ok(map.get(field).cloned().unwrap_or(Value::Nil)),
            other => Err(self.type_fault("map[string]interface {}", other)),
        });
        Ok(Value::List(fields.collect::<Result<_, _>>()?))
    }

    fn truncate(self, most: &Value, value: &Value) -> Result<Value, Fault> {
        let Value::Int(most) = most else { return Err(self.type_fault("int", most)) };
        match value {
            Value::Nil => Ok(Value::text("")),
            value => Ok(Value::text(text::truncated(usize::try_from(*most).unwrap_or(0), self.text(value)?))),
        }
    }
}

/// The text that `html`, `js` and `urlquery` work on: a string as it is, anything else printed.
fn as_text(values: &[Value]) -> String {
    match values {
        [Value::Text(text)] => text.to_string(),
        values => printf::sprint(values),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if printf::is_unprintable(c) => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// OSC 8, which terminals show as a link.
fn hyperlink(link: &str, text: &str) -> String {
    let text = if text.is_empty() { link } else { text };
    format!("\u{1b}]8;;{link}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\")
}
