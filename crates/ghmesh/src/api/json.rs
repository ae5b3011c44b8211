//! JSON as Go's `encoding/json` writes it, because scripts compare what `gh api` prints: sorted keys, shortest numbers, `<`, `>`
//! and `&` escaped. Also gh's coloured form for terminals, and its removal of control characters.
//!
//! Bodies that are printed as they came never pass through here.

use std::fmt::Write as _;

use serde_json::Value;

/// Which characters a JSON string escapes beyond those it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// None, as jq's `tojson`.
    Needed,
    /// U+2028 and U+2029, which end a line in JavaScript: Go without HTML escaping.
    Lines,
    /// Also `<`, `>` and `&`: Go's default.
    Html,
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(out: &mut String, text: &str, escapes: Escapes) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' if escapes == Escapes::Html => push_escape(out, c),
            '\u{2028}' | '\u{2029}' if escapes != Escapes::Needed => push_escape(out, c),
            c if c < ' ' => push_escape(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_escape(out: &mut String, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

/// Appends a number as `encoding/json` does: shortest digits, an exponent below 1e-6 and from 1e21 on.
pub(super) fn push_float(out: &mut String, number: f64) {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        out.push_str(&text.replacen('e', if text.contains("e-") { "e" } else { "e+" }, 1));
    } else {
        let _ = write!(out, "{number}");
    }
}

/// Appends a document with sorted keys and no spaces.
pub(super) fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) if number.is_f64() => push_float(out, number.as_f64().unwrap_or_default()),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => push_string(out, text, Escapes::Html),
        Value::Array(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                push_comma(out, index);
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by(|left, right| left.0.cmp(right.0));
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                push_comma(out, index);
                push_string(out, key, Escapes::Html);
                out.push(':');
                push_value(out, item);
            }
            out.push('}');
        }
    }
}

pub(super) fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Replaces control characters by caret notation (`^[` for escape) so that text from the network can't drive a terminal.
/// Tab, line feed, vertical tab and carriage return stay, as in gh.
pub(super) fn without_controls(text: String) -> String {
    if !text.chars().any(is_unsafe) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.push('^');
            // C0 and C1 have the same 32 names: `@`, the letters, `[ \ ] ^ _`.
            safe.push(char::from(0x40 + (u32::from(c) % 32) as u8));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\u{b}' | '\r' | '\u{7f}')
}

const DELIMITER: &str = "\x1b[1;38m";
const KEY: &str = "\x1b[1;34m";
const NULL: &str = "\x1b[36m";
const STRING: &str = "\x1b[32m";
const BOOLEAN: &str = "\x1b[33m";
const RESET: &str = "\x1b[m";

/// Colours and indents a JSON document as gh does on a terminal. Numbers keep their digits, keys their order.
/// `None` when the text isn't one JSON document.
pub(super) fn coloured(document: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(document).ok()?;
    let mut painter = Painter { text: std::str::from_utf8(document).ok()?, out: String::new(), depth: 0 };
    painter.value()?;
    painter.out.push('\n');
    Some(painter.out)
}

/// Walks over a text that is known to be valid JSON, nested at most as deep as serde_json allows (128).
struct Painter<'a> {
    text: &'a str,
    out: String,
    depth: usize,
}

impl Painter<'_> {
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            '{' => self.container('}', true),
            '[' => self.container(']', false),
            '"' => self.string(STRING),
            _ => self.scalar(),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.text = self.text.trim_start();
        self.text.chars().next()
    }

    fn delimiter(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.text = self.text.get(c.len_utf8()..)?;
        self.paint(DELIMITER, c.encode_utf8(&mut [0; 4]));
        Some(c)
    }

    fn container(&mut self, close: char, keyed: bool) -> Option<()> {
        self.delimiter()?;
        if self.peek()? == close {
            self.delimiter()?;
            return Some(());
        }
        self.depth += 1;
        self.line();
        loop {
            if keyed {
                self.string(KEY)?;
                self.peek()?;
                self.delimiter()?;
                self.out.push(' ');
            }
            self.value()?;
            if self.peek()? == close {
                break;
            }
            self.delimiter()?;
            self.line();
        }
        self.depth -= 1;
        self.line();
        self.delimiter().map(|_| ())
    }

    fn string(&mut self, colour: &str) -> Option<()> {
        self.peek()?;
        let end = string_end(self.text)?;
        let (literal, rest) = self.text.split_at(end);
        let text: String = serde_json::from_str(literal).ok()?;
        self.text = rest;
        let mut quoted = String::new();
        push_string(&mut quoted, &without_controls(text), Escapes::Lines);
        self.paint(colour, &quoted);
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        let end = self.text.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(self.text.len());
        let (literal, rest) = self.text.split_at(end);
        self.text = rest;
        match literal {
            "null" => self.paint(NULL, literal),
            "true" | "false" => self.paint(BOOLEAN, literal),
            number => self.out.push_str(number),
        }
        Some(())
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }

    fn paint(&mut self, colour: &str, text: &str) {
        self.out.extend([colour, text, RESET]);
    }
}

/// Where the string literal at the start of `text` ends, its closing quote included.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn documents_are_written_as_go_writes_them() {
        for (json, go) in [
            (
                r#"{"b":1,"a":[1.0,1e30,1e-9,0.1,1e20,1e21,-0.000001]}"#,
                "{\"a\":[1,1e+30,1e-9,0.1,100000000000000000000,1e+21,-0.000001],\"b\":1}",
            ),
            (r#""<a&b>\u2028\u001b\n\"é""#, "\"\\u003ca\\u0026b\\u003e\\u2028\\u001b\\n\\\"é\""),
            ("[null,true,9007199254740993,18446744073709551615]", "[null,true,9007199254740993,18446744073709551615]"),
        ] {
            let mut out = String::new();
            push_value(&mut out, &serde_json::from_str(json).unwrap());
            assert_eq!(out, go);
        }
    }

    #[test]
    fn control_characters_become_inert() {
        assert_eq!(without_controls("a\tb\nc".into()), "a\tb\nc");
        assert_eq!(without_controls("\u{1b}[31m\u{7}\0\u{9b}\u{9c}".into()), "^[[31m^G^@^[^\\");
    }

    #[test]
    fn a_terminal_gets_colour_and_indentation() {
        let painted = coloured(br#" {"a":[1.0,null,true,"<\u00e9]"],"b":{},"c":[]} "#).unwrap();
        let plain = [DELIMITER, KEY, NULL, STRING, BOOLEAN, RESET]
            .iter()
            .fold(painted.clone(), |text, code| text.replace(code, ""));
        assert_eq!(
            plain,
            "{\n  \"a\": [\n    1.0,\n    null,\n    true,\n    \"<é]\"\n  ],\n  \"b\": {},\n  \"c\": []\n}\n"
        );
        assert!(painted.starts_with(
            "\x1b[1;38m{\x1b[m\n  \x1b[1;34m\"a\"\x1b[m\x1b[1;38m:\x1b[m \x1b[1;38m[\x1b[m\n    1.0\x1b[1;38m,\x1b[m"
        ));
        assert!(
            painted.contains("\x1b[36mnull\x1b[m")
                && painted.contains("\x1b[33mtrue\x1b[m")
                && painted.contains("\x1b[32m\"<é]\"\x1b[m")
        );
        assert_eq!(coloured(b"{oops"), None);
        assert_eq!(coloured(b"7").unwrap(), "7\n");
    }
}
