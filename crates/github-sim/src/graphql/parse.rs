//! GraphQL documents (October 2021 edition, §2), as far as clients send them: operations, fragments, arguments, the
//! directives `@include` and `@skip`. Type definitions are not understood; types of variables are skipped.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

/// How deep selections and values may nest; GitHub's own limits are lower.
const DEEPEST: usize = 60;

/// A parsed request.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) operations: Vec<Operation>,
    pub(crate) fragments: BTreeMap<String, Fragment>,
}

#[derive(Debug)]
pub(crate) struct Operation {
    /// `query`, `mutation` or `subscription`.
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    /// Names and default values.
    pub(crate) variables: Vec<(String, Option<Literal>)>,
    pub(crate) selections: Vec<Selection>,
}

#[derive(Debug)]
pub(crate) struct Fragment {
    /// The type it is on; `None` for an inline fragment without one.
    pub(crate) on: Option<String>,
    pub(crate) selections: Vec<Selection>,
}

#[derive(Debug)]
pub(crate) enum Selection {
    Field(Field),
    Spread(String, Vec<Directive>),
    Inline(Fragment, Vec<Directive>),
}

#[derive(Debug)]
pub(crate) struct Field {
    /// The alias, or the name without one.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, Literal)>,
    pub(crate) directives: Vec<Directive>,
    pub(crate) selections: Vec<Selection>,
}

pub(crate) type Directive = (String, Vec<(String, Literal)>);

/// A value that may hold variables. Enumeration values are strings.
#[derive(Debug, Clone)]
pub(crate) enum Literal {
    Value(Value),
    Variable(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ParseError {
    #[error("Expected {expected}, actual: {found:?} at offset {offset}")]
    Unexpected { expected: &'static str, found: String, offset: usize },
    #[error("the document nests deeper than {DEEPEST}")]
    TooDeep,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { text, offset: 0, depth: 0 };
        let mut document = Self::default();
        while !parser.peek().is_empty() {
            match parser.peek() {
                "{" => document.operations.push(Operation {
                    kind: "query".into(),
                    name: None,
                    variables: Vec::new(),
                    selections: parser.selections()?,
                }),
                "query" | "mutation" | "subscription" => document.operations.push(parser.operation()?),
                "fragment" => {
                    parser.next();
                    let name = parser.name()?;
                    parser.expect("on")?;
                    let on = Some(parser.name()?);
                    parser.directives()?;
                    let selections = parser.selections()?;
                    document.fragments.insert(name, Fragment { on, selections });
                }
                _ => return Err(parser.unexpected("an operation or a fragment")),
            }
        }
        Ok(document)
    }

    /// The operation asked for: the named one, or the only one.
    pub(crate) fn operation(&self, name: Option<&str>) -> Option<&Operation> {
        match name {
            Some(name) => self.operations.iter().find(|operation| operation.name.as_deref() == Some(name)),
            None => self.operations.first().filter(|_| self.operations.len() == 1),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// The next token without taking it; empty at the end.
    fn peek(&mut self) -> &'a str {
        self.skip();
        let rest = &self.text[self.offset..];
        &rest[..token_length(rest)]
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.offset += token.len();
        token
    }

    /// White space, commas, comments and a byte order mark mean nothing.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.offset..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
            self.offset += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.offset += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
        }
    }

    fn unexpected(&mut self, expected: &'static str) -> ParseError {
        let found = self.peek().to_owned();
        ParseError::Unexpected { expected, found, offset: self.offset }
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.peek() == token;
        if taken {
            self.next();
        }
        taken
    }

    fn expect(&mut self, token: &'static str) -> Result<(), ParseError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(token)) }
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let token = self.peek();
        let starts = token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if starts { Ok(self.next().to_owned()) } else { Err(self.unexpected("a name")) }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth >= DEEPEST {
            return Err(ParseError::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn operation(&mut self) -> Result<Operation, ParseError> {
        let kind = self.next().to_owned();
        let name = if matches!(self.peek(), "(" | "{" | "@") { None } else { Some(self.name()?) };
        let mut variables = Vec::new();
        if self.take("(") {
            while !self.take(")") {
                variables.push(self.variable()?);
            }
        }
        self.directives()?;
        Ok(Operation { kind, name, variables, selections: self.selections()? })
    }

    fn variable(&mut self) -> Result<(String, Option<Literal>), ParseError> {
        self.expect("$")?;
        let name = self.name()?;
        self.expect(":")?;
        self.type_reference()?;
        let default = if self.take("=") { Some(self.value()?) } else { None };
        self.directives()?;
        Ok((name, default))
    }

    /// `[State!]!`, whose meaning is not looked at.
    fn type_reference(&mut self) -> Result<(), ParseError> {
        if self.take("[") {
            self.deeper(Self::type_reference)?;
            self.expect("]")?;
        } else {
            self.name()?;
        }
        self.take("!");
        Ok(())
    }

    fn selections(&mut self) -> Result<Vec<Selection>, ParseError> {
        self.expect("{")?;
        let mut selections = Vec::new();
        while !self.take("}") {
            selections.push(self.deeper(Self::selection)?);
        }
        Ok(selections)
    }

    fn selection(&mut self) -> Result<Selection, ParseError> {
        if !self.take("...") {
            return self.field().map(Selection::Field);
        }
        if !matches!(self.peek(), "on" | "{" | "@") {
            let name = self.name()?;
            return Ok(Selection::Spread(name, self.directives()?));
        }
        let on = if self.take("on") { Some(self.name()?) } else { None };
        let directives = self.directives()?;
        Ok(Selection::Inline(Fragment { on, selections: self.selections()? }, directives))
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        let key = self.name()?;
        let name = if self.take(":") { self.name()? } else { key.clone() };
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selections = if self.peek() == "{" { self.selections()? } else { Vec::new() };
        Ok(Field { key, name, arguments, directives, selections })
    }

    fn arguments(&mut self) -> Result<Vec<(String, Literal)>, ParseError> {
        let mut arguments = Vec::new();
        if self.take("(") {
            while !self.take(")") {
                arguments.push(self.pair()?);
            }
        }
        Ok(arguments)
    }

    fn pair(&mut self) -> Result<(String, Literal), ParseError> {
        let name = self.name()?;
        self.expect(":")?;
        Ok((name, self.value()?))
    }

    fn directives(&mut self) -> Result<Vec<Directive>, ParseError> {
        let mut directives = Vec::new();
        while self.take("@") {
            directives.push((self.name()?, self.arguments()?));
        }
        Ok(directives)
    }

    fn value(&mut self) -> Result<Literal, ParseError> {
        self.deeper(|parser| {
            if parser.take("$") {
                return parser.name().map(Literal::Variable);
            }
            if parser.take("[") {
                let mut items = Vec::new();
                while !parser.take("]") {
                    items.push(parser.value()?);
                }
                return Ok(Literal::List(items));
            }
            if parser.take("{") {
                let mut fields = Vec::new();
                while !parser.take("}") {
                    fields.push(parser.pair()?);
                }
                return Ok(Literal::Object(fields));
            }
            parser.scalar().map(Literal::Value)
        })
    }

    fn scalar(&mut self) -> Result<Value, ParseError> {
        let token = self.peek();
        let value = match token {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ if token.starts_with("\"\"\"") => token.trim_matches('"').trim().into(),
            // Strings are JSON's, and so are numbers.
            _ if token.starts_with(['"', '-']) || token.starts_with(|first: char| first.is_ascii_digit()) => {
                serde_json::from_str(token).map_err(|_| self.unexpected("a value"))?
            }
            _ => return self.name().map(Value::String),
        };
        self.next();
        Ok(value)
    }
}

/// The length of the token at the beginning of `text`, which is neither white space nor a comment.
fn token_length(text: &str) -> usize {
    let word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-' | '+');
    match text.chars().next() {
        None => 0,
        Some('.') if text.starts_with("...") => 3,
        Some('"') if text.starts_with("\"\"\"") => text[3..].find("\"\"\"").map_or(text.len(), |end| end + 6),
        Some('"') => string_length(text),
        Some(first) if first.is_ascii_digit() || first == '-' => text.find(|other| !word(other)).unwrap_or(text.len()),
        Some(first) if first.is_ascii_alphabetic() || first == '_' => {
            text.find(|other: char| !other.is_ascii_alphanumeric() && other != '_').unwrap_or(text.len())
        }
        Some(other) => other.len_utf8(),
    }
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return offset + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn comments_fragments_and_several_operations_are_told_apart() {
        let text = "# mutation in a comment\nfragment pr on PullRequest{number,title}\nquery A($n: Int = 3, $s: [State!]! = OPEN) \
                    { r: repository(owner: \"o\", name: $n) { ...pr ... on X { y } } } mutation B { m(input: {a: [1, -2.5, true]}) { id } }";
        let document = Document::parse(text).unwrap();
        assert_eq!(document.operations.len(), 2);
        assert_eq!(document.operation(Some("B")).unwrap().kind, "mutation");
        assert!(document.operation(None).is_none(), "which of two is not said");
        let Selection::Field(field) = &document.operation(Some("A")).unwrap().selections[0] else { panic!("a field") };
        assert_eq!((field.key.as_str(), field.name.as_str(), field.selections.len()), ("r", "repository", 2));
        assert_eq!(document.fragments["pr"].selections.len(), 2);
    }

    #[test]
    fn strings_are_unescaped_and_blocks_kept() {
        let text = "{ f(a: \"q\\\"\\n\", b: \"\"\" block \"x\" \"\"\", c: ENUM) }";
        let document = Document::parse(text).unwrap();
        let Selection::Field(field) = &document.operations[0].selections[0] else { panic!("a field") };
        let values: Vec<String> = field
            .arguments
            .iter()
            .map(|(_, value)| match value {
                Literal::Value(Value::String(text)) => text.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(values, ["q\"\n", "block \"x\"", "ENUM"]);
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        for text in [
            "{",
            "query",
            "query {",
            "{ a(",
            "{ a(b:",
            "{ a(b: \"",
            "}",
            "{ ...",
            "fragment x",
            "{ a(b: $) }",
            "{ é }",
            "query ($a: ) {b}",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        assert_eq!(Document::parse(&"{a".repeat(1_000)).unwrap_err(), ParseError::TooDeep);
        assert_eq!(Document::parse(&format!("{{a(b:{})}}", "[".repeat(1_000))).unwrap_err(), ParseError::TooDeep);
    }
}
