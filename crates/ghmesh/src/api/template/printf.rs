//! Go's `fmt` for the values of templates: `print`, `println` and `printf`, the complaints (`%!d(string=x)`) included.

use std::fmt::Write as _;

use super::value::Value;

/// How Go prints a value on its own (`%v`).
pub(super) fn plain(value: &Value) -> String {
    let mut out = String::new();
    push(&mut out, value, &Spec::default());
    out
}

/// `fmt.Sprint`: a space between two operands when neither is a string.
pub(super) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !after_text && !is_text {
            out.push(' ');
        }
        out.push_str(&plain(value));
        after_text = is_text;
    }
    out
}

/// `fmt.Sprintln`: always a space, and a line feed.
pub(super) fn sprintln(values: &[Value]) -> String {
    let mut out = values.iter().map(plain).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

/// One `%…` directive.
#[derive(Debug, Clone)]
struct Spec {
    verb: char,
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            verb: 'v',
            plus: false,
            minus: false,
            sharp: false,
            space: false,
            zero: false,
            width: 0,
            precision: None,
        }
    }
}

/// Go's own bound for widths and precisions is a million; a template needs less.
const WIDEST: usize = 10_000;

/// `fmt.Sprintf`.
pub(super) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut printer = Printer { rest: format, values, next: 0, reordered: false, out: String::new() };
    while let Some((text, rest)) = printer.rest.split_once('%') {
        printer.out.push_str(text);
        printer.rest = rest;
        printer.directive();
    }
    printer.out.push_str(printer.rest);
    printer.extra();
    printer.out
}

struct Printer<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    reordered: bool,
    out: String,
}

impl Printer<'_> {
    fn directive(&mut self) {
        let mut spec = self.flags();
        let mut good_index = self.index();
        if let Some(width) = self.number_or_star() {
            spec.minus |= width < 0;
            spec.width = bounded(width.abs());
        }
        if self.take('.') {
            good_index &= self.index();
            spec.precision = Some(self.number_or_star().map_or(0, bounded));
        }
        good_index &= self.index();
        let Some(verb) = self.rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        self.rest = &self.rest[verb.len_utf8()..];
        spec.verb = verb;
        // `%+v` asks structs for their field names and means nothing for what JSON has.
        spec.plus &= verb != 'v';
        self.value(&spec, good_index);
    }

    fn value(&mut self, spec: &Spec, good_index: bool) {
        if spec.verb == '%' {
            self.out.push('%');
            return;
        }
        match self.values.get(self.next) {
            _ if !good_index => {
                let _ = write!(self.out, "%!{}(BADINDEX)", spec.verb);
            }
            Some(value) => {
                push(&mut self.out, value, spec);
                self.next += 1;
            }
            None => {
                let _ = write!(self.out, "%!{}(MISSING)", spec.verb);
            }
        }
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        loop {
            match self.rest.chars().next() {
                Some('+') => spec.plus = true,
                Some('-') => spec.minus = true,
                Some('#') => spec.sharp = true,
                Some(' ') => spec.space = true,
                Some('0') => spec.zero = true,
                _ => return spec,
            }
            self.rest = &self.rest[1..];
        }
    }

    /// `[n]`, which chooses the operand; false when there is no such operand.
    fn index(&mut self) -> bool {
        let Some((number, rest)) = self.rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            return true;
        };
        self.rest = rest;
        self.reordered = true;
        let number = number.trim().parse::<usize>().ok().filter(|number| (1..=self.values.len()).contains(number));
        self.next = number.map_or(self.next, |number| number - 1);
        number.is_some()
    }

    fn number_or_star(&mut self) -> Option<i64> {
        if self.take('*') {
            let value = self.values.get(self.next);
            self.next += 1;
            return match value {
                Some(Value::Int(number)) => Some(*number),
                _ => {
                    self.out.push_str("%!(BADWIDTH)");
                    None
                }
            };
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::MAX)) }
    }

    fn extra(&mut self) {
        let rest = self.values.get(self.next..).unwrap_or_default();
        if self.reordered || rest.is_empty() {
            return;
        }
        let shown = rest.iter().map(|value| match value {
            Value::Nil => "<nil>".to_owned(),
            value => format!("{}={}", value.type_name(), plain(value)),
        });
        let _ = write!(self.out, "%!(EXTRA {})", shown.collect::<Vec<_>>().join(", "));
    }
}

fn bounded(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0).min(WIDEST)
}

fn push(out: &mut String, value: &Value, spec: &Spec) {
    if spec.verb == 'T' {
        return pad(out, value.type_name(), spec);
    }
    match value {
        Value::Nil if spec.verb == 'v' => pad(out, "<nil>", spec),
        Value::Nil => {
            let _ = write!(out, "%!{}(<nil>)", spec.verb);
        }
        Value::Bool(yes) => match spec.verb {
            't' | 'v' => pad(out, if *yes { "true" } else { "false" }, spec),
            _ => bad_verb(out, value, spec),
        },
        Value::Int(number) => push_integer(out, *number, value, spec),
        Value::Float(number) => push_float(out, *number, value, spec),
        Value::Text(text) => push_text(out, text, value, spec),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                push(out, item, spec);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                push(out, &Value::text(key.as_str()), spec);
                out.push(':');
                push(out, item, spec);
            }
            out.push(']');
        }
    }
}

fn bad_verb(out: &mut String, value: &Value, spec: &Spec) {
    let _ = write!(out, "%!{}({}={})", spec.verb, value.type_name(), plain(value));
}

/// Pads to the width in characters, as Go does.
fn pad(out: &mut String, text: &str, spec: &Spec) {
    let missing = spec.width.saturating_sub(text.chars().count());
    let padding = |out: &mut String, c| out.extend(std::iter::repeat_n(c, missing));
    if spec.minus {
        out.push_str(text);
        padding(out, ' ');
    } else {
        padding(out, ' ');
        out.push_str(text);
    }
}

/// Pads a number: zeros go between the sign and the digits.
fn pad_number(out: &mut String, sign: &str, digits: &str, spec: &Spec) {
    if spec.zero && !spec.minus {
        let missing = spec.width.saturating_sub(sign.len() + digits.len());
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        pad(out, &format!("{sign}{digits}"), spec);
    }
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn push_integer(out: &mut String, number: i64, value: &Value, spec: &Spec) {
    let size = number.unsigned_abs();
    let digits = match spec.verb {
        'd' | 'v' => size.to_string(),
        'b' => format!("{size:b}"),
        'o' | 'O' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        'c' => return pad(out, &character(number).to_string(), spec),
        'q' => return pad(out, &format!("'{}'", quoted_character(character(number), '\'')), spec),
        'U' => return pad(out, &format!("U+{size:04X}"), spec),
        _ => return bad_verb(out, value, spec),
    };
    let prefix = match spec.verb {
        'b' if spec.sharp => "0b",
        'o' if spec.sharp => "0",
        'O' => "0o",
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        _ => "",
    };
    let least = spec.precision.unwrap_or(0);
    let sign = format!("{}{prefix}", sign(number < 0, spec));
    let zero_by_width = spec.zero && spec.precision.is_none();
    pad_number(out, &sign, &format!("{digits:0>least$}"), &Spec { zero: zero_by_width, ..spec.clone() });
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn push_float(out: &mut String, number: f64, value: &Value, spec: &Spec) {
    let size = number.abs();
    let digits = match spec.verb {
        _ if !"vgGeEfF".contains(spec.verb) => return bad_verb(out, value, spec),
        _ if number.is_nan() => "NaN".to_owned(),
        _ if number.is_infinite() => "Inf".to_owned(),
        'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
        'e' | 'E' => exponential(size, spec.precision.unwrap_or(6)),
        _ => general(size, spec.precision),
    };
    let digits = if matches!(spec.verb, 'E' | 'G') { digits.to_uppercase() } else { digits };
    let negative = number.is_sign_negative() && !number.is_nan();
    pad_number(out, sign(negative, spec), &digits, &Spec { zero: spec.zero && number.is_finite(), ..spec.clone() });
}

/// `d.ddde±XX`, the exponent with at least two digits.
fn exponential(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Go's `%g`: shortest digits or so many, with an exponent when it is small or beyond the digits (6 for shortest).
fn general(size: f64, precision: Option<usize>) -> String {
    let text = match precision {
        None => format!("{size:e}"),
        Some(precision) => format!("{size:.*e}", precision.max(1) - 1),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let digits = i32::try_from(mantissa.len().saturating_sub(1).max(1)).unwrap_or(i32::MAX);
    let limit = match precision.map(|precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX)) {
        None => SHORTEST_LIMIT,
        Some(limit) if limit > digits && digits > exponent => digits,
        Some(limit) => limit,
    };
    if exponent < -4 || exponent >= limit {
        return with_exponent(mantissa, exponent);
    }
    let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let places = i32::try_from(places).unwrap_or(0) - exponent;
    format!("{size:.*}", usize::try_from(places).unwrap_or(0))
}

/// From which exponent on Go writes a shortest `%g` (and so `%v`) with an exponent: 1000000 is 1e+06.
const SHORTEST_LIMIT: i32 = 6;

fn push_text(out: &mut String, text: &str, value: &Value, spec: &Spec) {
    let cut = |text: &str| match spec.precision {
        Some(most) => text.chars().take(most).collect::<String>(),
        None => text.to_owned(),
    };
    match spec.verb {
        's' | 'v' => pad(out, &cut(text), spec),
        'q' => pad(out, &quoted(&cut(text)), spec),
        'x' => pad(out, &text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>(), spec),
        'X' => pad(out, &text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>(), spec),
        _ => bad_verb(out, value, spec),
    }
}

/// `strconv.Quote`.
fn quoted(text: &str) -> String {
    let body: String = text.chars().map(|c| quoted_character(c, '"')).collect();
    format!("\"{body}\"")
}

fn quoted_character(c: char, quote: char) -> String {
    match c {
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c if is_unprintable(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// Controls, and the spaces and marks that Go doesn't print as they are.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{a0}' | '\u{feff}')
}
