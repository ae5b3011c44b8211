//! Cuts a template into text and actions (`{{ … }}`), and actions into tokens. Trim markers and comments end here.

use super::error::{Problem, TemplateError};
use super::value::Value;

/// What stands inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or function name.
    Word(String),
    /// `.name`, directly behind something or on its own.
    Field(String),
    /// `$name`, or `$` as the empty name.
    Variable(String),
    /// A literal.
    Literal(Value),
    /// `nil`.
    Nil,
    /// `.`
    Dot,
    /// `|`
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// `(`
    Open,
    /// `)`
    Close,
    /// White space, which separates operands.
    Space,
}

/// A piece of a template with the line it begins on.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Text to print.
    Text(String),
    /// An action's tokens.
    Action(Vec<Token>, usize),
}

/// Cuts the whole template.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut cursor = Cursor { rest: template, line: 1 };
    let mut trim_start = false;
    while let Some((text, _)) = cursor.rest.split_once("{{") {
        cursor.advance(text.len() + 2);
        let trim_end = cursor.takes_left_marker();
        push_text(&mut pieces, text, trim_start, trim_end);
        let line = cursor.line;
        trim_start = if cursor.rest.starts_with("/*") {
            cursor.comment()?
        } else {
            let (tokens, trims) = cursor.action()?;
            pieces.push(Piece::Action(tokens, line));
            trims
        };
    }
    push_text(&mut pieces, cursor.rest, trim_start, false);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start_matches(is_space) } else { text };
    let text = if trim_end { text.trim_end_matches(is_space) } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn error(&self, problem: Problem) -> TemplateError {
        TemplateError::Syntax { line: self.line, problem }
    }

    fn advance(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest.starts_with(text);
        if found {
            self.advance(text.len());
        }
        found
    }

    /// `{{- `: a hyphen with a space behind it, so that `{{-3}}` stays a number.
    fn takes_left_marker(&mut self) -> bool {
        let marked = self.rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space));
        if marked {
            self.advance(2);
        }
        marked
    }

    /// A comment up to its `*/}}`; whether it trims what follows.
    fn comment(&mut self) -> Result<bool, TemplateError> {
        let end = self.rest.find("*/").ok_or_else(|| self.error(Problem::OpenComment))?;
        self.advance(end + 2);
        let after_spaces = self.rest.trim_start_matches(is_space);
        if after_spaces.len() < self.rest.len() && after_spaces.starts_with("-}}") {
            self.advance(self.rest.len() - after_spaces.len() + 3);
            return Ok(true);
        }
        if self.take("}}") { Ok(false) } else { Err(self.error(Problem::OpenComment)) }
    }

    /// The tokens up to `}}`; whether a trim marker stood there.
    fn action(&mut self) -> Result<(Vec<Token>, bool), TemplateError> {
        let mut tokens = Vec::new();
        loop {
            if self.take("}}") {
                return Ok((tokens, false));
            }
            let spaces = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            if spaces > 0 {
                self.advance(spaces);
                if self.take("-}}") {
                    return Ok((tokens, true));
                }
                tokens.push(Token::Space);
                continue;
            }
            let token = self.token()?;
            tokens.push(token);
        }
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or_else(|| self.error(Problem::OpenAction))?;
        let next = chars.next();
        match c {
            '|' => self.simple(1, Token::Pipe),
            ',' => self.simple(1, Token::Comma),
            '(' => self.simple(1, Token::Open),
            ')' => self.simple(1, Token::Close),
            ':' if next == Some('=') => self.simple(2, Token::Declare),
            '=' => self.simple(1, Token::Assign),
            '"' | '`' | '\'' => self.quoted(c),
            '$' => Ok(Token::Variable(self.name(1))),
            '.' if !next.is_some_and(|c| c.is_ascii_digit()) => Ok(self.field()),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            c if is_name(c) => Ok(self.word()),
            c => Err(self.error(Problem::Character(c))),
        }
    }

    fn simple(&mut self, bytes: usize, token: Token) -> Result<Token, TemplateError> {
        self.advance(bytes);
        Ok(token)
    }

    /// The letters, digits and underscores behind `skip` bytes.
    fn name(&mut self, skip: usize) -> String {
        self.advance(skip);
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let name = self.rest[..end].to_owned();
        self.advance(end);
        name
    }

    fn field(&mut self) -> Token {
        match self.name(1) {
            name if name.is_empty() => Token::Dot,
            name => Token::Field(name),
        }
    }

    fn word(&mut self) -> Token {
        let word = self.name(0);
        match word.as_str() {
            "true" => Token::Literal(Value::Bool(true)),
            "false" => Token::Literal(Value::Bool(false)),
            "nil" => Token::Nil,
            _ => Token::Word(word),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, TemplateError> {
        let literal = quoted_literal(self.rest, quote).ok_or_else(|| self.error(Problem::OpenString))?;
        let text = &literal[1..literal.len() - 1];
        let value = match quote {
            '`' => Some(Value::text(text)),
            '"' => unescaped(text).map(Value::text),
            _ => character(text).map(|c| Value::Int(i64::from(u32::from(c)))),
        };
        let value = value.ok_or_else(|| self.error(Problem::Literal(literal.to_owned())))?;
        self.advance(literal.len());
        Ok(Token::Literal(value))
    }

    fn number(&mut self) -> Result<Token, TemplateError> {
        let end = number_end(self.rest);
        let literal = self.rest[..end].to_owned();
        let value = parse_number(&literal).ok_or_else(|| self.error(Problem::Literal(literal.clone())))?;
        self.advance(end);
        Ok(Token::Literal(value))
    }
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The literal at the start with both quotes. Only raw strings may hold a line break.
fn quoted_literal(text: &str, quote: char) -> Option<&str> {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            '\n' if quote != '`' => return None,
            c if c == quote => return text.get(..=index),
            _ => {}
        }
    }
    None
}

/// Go's escapes. A byte escape beyond ASCII (`"\xff"`) is no text and is refused.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, after) = escape(after)?;
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn escape(text: &str) -> Option<(char, &str)> {
    let kind = text.chars().next()?;
    let after = text.get(kind.len_utf8()..)?;
    let simple = |c| Some((c, after));
    match kind {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' | '"' | '\'' => simple(kind),
        'x' => code(after, 2, 16).filter(|(c, _)| c.is_ascii()),
        'u' => code(after, 4, 16),
        'U' => code(after, 8, 16),
        '0'..='7' => code(text, 3, 8).filter(|(c, _)| c.is_ascii()),
        _ => None,
    }
}

fn code(text: &str, digits: usize, radix: u32) -> Option<(char, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    Some((char::from_u32(u32::from_str_radix(number, radix).ok()?)?, rest))
}

fn character(text: &str) -> Option<char> {
    let text = unescaped(text)?;
    let mut chars = text.chars();
    let c = chars.next()?;
    chars.next().is_none().then_some(c)
}

/// Digits, letters, dots and underscores, and signs behind an exponent.
fn number_end(text: &str) -> usize {
    let hexadecimal = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
    let exponent = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
    let mut before = '+';
    for (index, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && (index == 0 || exponent.contains(&before));
        if !sign && c != '.' && !is_name(c) {
            return index;
        }
        before = c;
    }
    text.len()
}

/// Go's number literals, except the complex ones: decimal, `0x`, `0b`, `0o`, leading 0 for octal, underscores, floats.
fn parse_number(literal: &str) -> Option<Value> {
    let (sign, digits) = match literal.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, literal.strip_prefix('+').unwrap_or(literal)),
    };
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let (radix, body) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some(octal) if octal.starts_with('0') && octal.ends_with(|c: char| c.is_ascii_digit()) => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if let Ok(number) = i64::from_str_radix(body, radix) {
        return Some(Value::Int(sign * number));
    }
    let float = if radix == 16 { hexadecimal_float(body)? } else { digits.parse::<f64>().ok()? };
    float.is_finite().then_some(Value::Float(sign as f64 * float))
}

/// `1.8p3`: hexadecimal digits times a power of two.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = i64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(digits as f64 * 2f64.powi(exponent.checked_sub(places)?))
}
