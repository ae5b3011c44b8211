//! From tokens to a tree: Go's template grammar (text/template), with `else if`, `else with`, `break`, `continue`, `define` and `block`.

use std::collections::BTreeMap;

use super::error::{Problem, TemplateError};
use super::functions::Function;
use super::lex::{Piece, Token};
use super::value::Value;

/// A piece of the tree with the line it stands on.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text(String),
    Action(Pipeline),
    If(Branches),
    With(Branches),
    Range(Branches),
    Template { name: String, argument: Option<Pipeline> },
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Branches {
    pub(super) pipeline: Pipeline,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands that feed each other, and the variables that get the result.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `=` and not `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value with its arguments; never empty.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) term: Term,
    /// `.a.b` behind the term.
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    Literal(Value),
    Variable(String),
    Function(Function),
    Pipeline(Box<Pipeline>),
}

/// Every template by its name; the one that is run first has the empty name.
pub(super) type Templates = BTreeMap<String, Vec<Node>>;

/// Blocks and parentheses within each other; each costs stack here and when run.
const DEEPEST: usize = 100;

/// Parses the pieces of a template.
pub(super) fn parse(pieces: Vec<Piece>) -> Result<Templates, TemplateError> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        variables: vec![String::new()],
        templates: Templates::new(),
        loops: 0,
        depth: 0,
        line: 1,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Stop::Template => {}
        Stop::End => return Err(parser.error(Problem::Stray("end"))),
        Stop::Else(_) => return Err(parser.error(Problem::Stray("else"))),
    }
    parser.templates.insert(String::new(), nodes);
    Ok(parser.templates)
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// Names in scope; the first is `$` itself.
    variables: Vec<String>,
    templates: Templates,
    /// Ranges around the current place.
    loops: usize,
    depth: usize,
    line: usize,
}

/// What ended a list of nodes.
enum Stop {
    Template,
    End,
    /// The rest of `{{else …}}`.
    Else(Tokens),
}

type Parsed<T> = Result<T, TemplateError>;

impl Parser {
    fn error(&self, problem: Problem) -> TemplateError {
        TemplateError::Syntax { line: self.line, problem }
    }

    fn nodes(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node { line: self.line, kind: Kind::Text(text) });
                    continue;
                }
                Piece::Action(tokens, line) => (tokens, line),
            };
            self.line = line;
            let mut tokens = Tokens::new(tokens);
            match tokens.keyword() {
                Some(Keyword::End) => return self.finished(&tokens, "end").map(|()| (nodes, Stop::End)),
                Some(Keyword::Else) => return Ok((nodes, Stop::Else(tokens))),
                keyword => nodes.extend(self.node(keyword, tokens)?.map(|kind| Node { line, kind })),
            }
        }
        Ok((nodes, Stop::Template))
    }

    fn node(&mut self, keyword: Option<Keyword>, mut tokens: Tokens) -> Parsed<Option<Kind>> {
        match keyword {
            None => self.pipeline(tokens, "command").map(Kind::Action).map(Some),
            Some(Keyword::If) => self.branches(tokens, "if").map(Kind::If).map(Some),
            Some(Keyword::With) => self.branches(tokens, "with").map(Kind::With).map(Some),
            Some(Keyword::Range) => self.branches(tokens, "range").map(Kind::Range).map(Some),
            Some(Keyword::Break) => self.jump(&tokens, "break", Kind::Break).map(Some),
            Some(Keyword::Continue) => self.jump(&tokens, "continue", Kind::Continue).map(Some),
            Some(Keyword::Template) => {
                let name = self.template_name(&mut tokens)?;
                let argument = self.optional_pipeline(tokens)?;
                Ok(Some(Kind::Template { name, argument }))
            }
            Some(Keyword::Define) => {
                let name = self.template_name(&mut tokens)?;
                self.finished(&tokens, "define")?;
                self.definition(name).map(|()| None)
            }
            Some(Keyword::Block) => {
                let name = self.template_name(&mut tokens)?;
                let argument = Some(self.pipeline(tokens, "block")?);
                self.definition(name.clone())?;
                Ok(Some(Kind::Template { name, argument }))
            }
            Some(Keyword::End) => Err(self.error(Problem::Stray("end"))),
            Some(Keyword::Else) => Err(self.error(Problem::Stray("else"))),
        }
    }

    fn finished(&self, tokens: &Tokens, place: &'static str) -> Parsed<()> {
        match tokens.rest().iter().find(|token| **token != Token::Space) {
            None => Ok(()),
            Some(token) => Err(self.error(Problem::Unexpected { found: shown(token), place })),
        }
    }

    fn jump(&self, tokens: &Tokens, name: &'static str, kind: Kind) -> Parsed<Kind> {
        self.finished(tokens, name)?;
        if self.loops == 0 { Err(self.error(Problem::OutsideRange(name))) } else { Ok(kind) }
    }

    fn template_name(&self, tokens: &mut Tokens) -> Parsed<String> {
        tokens.skip_spaces();
        match tokens.next() {
            Some(Token::Literal(Value::Text(name))) => Ok(name.to_string()),
            found => {
                Err(self.error(Problem::Unexpected { found: shown_or_end(found.as_ref()), place: "template name" }))
            }
        }
    }

    fn optional_pipeline(&mut self, tokens: Tokens) -> Parsed<Option<Pipeline>> {
        if tokens.rest().iter().all(|token| *token == Token::Space) {
            return Ok(None);
        }
        self.pipeline(tokens, "template").map(Some)
    }

    /// The body of `define` or `block`, which sees no variable of its surroundings.
    fn definition(&mut self, name: String) -> Parsed<()> {
        let variables = std::mem::replace(&mut self.variables, vec![String::new()]);
        let loops = std::mem::take(&mut self.loops);
        let nodes = self.nested(Self::nodes_to_end)?;
        self.variables = variables;
        self.loops = loops;
        self.templates.insert(name, nodes);
        Ok(())
    }

    fn nodes_to_end(&mut self) -> Parsed<Vec<Node>> {
        match self.nodes()? {
            (nodes, Stop::End) => Ok(nodes),
            (_, Stop::Else(_)) => Err(self.error(Problem::Stray("else"))),
            (_, Stop::Template) => Err(self.error(Problem::MissingEnd)),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(Problem::TooDeep(DEEPEST)));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn branches(&mut self, tokens: Tokens, name: &'static str) -> Parsed<Branches> {
        let scope = self.variables.len();
        let loops = usize::from(name == "range");
        let branches = self.nested(|parser| {
            let pipeline = parser.pipeline(tokens, name)?;
            parser.loops += loops;
            let (then, end) = parser.nodes()?;
            parser.loops -= loops;
            let otherwise = parser.otherwise(end, name)?;
            Ok(Branches { pipeline, then, otherwise })
        })?;
        self.variables.truncate(scope);
        Ok(branches)
    }

    fn otherwise(&mut self, end: Stop, name: &'static str) -> Parsed<Vec<Node>> {
        let mut tokens = match end {
            Stop::End => return Ok(Vec::new()),
            Stop::Template => return Err(self.error(Problem::MissingEnd)),
            Stop::Else(tokens) => tokens,
        };
        let line = self.line;
        let chained = match (tokens.keyword(), name) {
            (Some(Keyword::If), "if") => Kind::If(self.branches(tokens, "if")?),
            (Some(Keyword::With), "with") => Kind::With(self.branches(tokens, "with")?),
            (None, _) => {
                self.finished(&tokens, "else")?;
                return self.nodes_to_end();
            }
            (Some(_), _) => {
                let found = "keyword".to_owned();
                return Err(self.error(Problem::Unexpected { found, place: "else" }));
            }
        };
        Ok(vec![Node { line, kind: chained }])
    }

    /// The whole rest of an action as one pipeline. Its variables come into scope.
    fn pipeline(&mut self, mut tokens: Tokens, place: &'static str) -> Parsed<Pipeline> {
        let pipeline = self.pipeline_part(&mut tokens, place)?;
        match tokens.next() {
            None => Ok(pipeline),
            Some(token) => Err(self.error(Problem::Unexpected { found: shown(&token), place })),
        }
    }

    /// A pipeline up to the end of the tokens or an unopened `)`.
    fn pipeline_part(&mut self, tokens: &mut Tokens, place: &'static str) -> Parsed<Pipeline> {
        let (variables, assigns) = self.declarations(tokens, place)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command(tokens)?;
            if command.operands.is_empty() {
                return Err(self.error(Problem::MissingValue(place)));
            }
            if !commands.is_empty() && !is_executable(&command) {
                return Err(self.error(Problem::NotExecutable(commands.len() + 1)));
            }
            commands.push(command);
            if !tokens.take(&Token::Pipe) {
                break;
            }
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, assigns, commands })
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, tokens: &mut Tokens, place: &'static str) -> Parsed<(Vec<String>, bool)> {
        let start = tokens.position;
        let mut variables = Vec::new();
        while let Some(name) = tokens.take_variable() {
            variables.push(name);
            tokens.skip_spaces();
            if tokens.take(&Token::Declare) {
                return self.declared(variables, place).map(|variables| (variables, false));
            }
            if tokens.take(&Token::Assign) {
                let unknown = variables.iter().find(|name| !self.variables.contains(name));
                return match unknown {
                    Some(name) => Err(self.error(Problem::UndefinedVariable(name.clone()))),
                    None => self.declared(variables, place).map(|variables| (variables, true)),
                };
            }
            if !tokens.take(&Token::Comma) {
                break;
            }
        }
        tokens.position = start;
        Ok((Vec::new(), false))
    }

    fn declared(&self, variables: Vec<String>, place: &'static str) -> Parsed<Vec<String>> {
        let most = if place == "range" { 2 } else { 1 };
        if variables.len() > most { Err(self.error(Problem::Declarations(place))) } else { Ok(variables) }
    }

    fn command(&mut self, tokens: &mut Tokens) -> Parsed<Command> {
        let mut operands = Vec::new();
        loop {
            tokens.skip_spaces();
            match tokens.peek() {
                None | Some(Token::Pipe | Token::Close) => return Ok(Command { operands }),
                Some(_) => operands.push(self.operand(tokens)?),
            }
            if !matches!(tokens.peek(), None | Some(Token::Space | Token::Pipe | Token::Close | Token::Open)) {
                let found = shown_or_end(tokens.peek());
                return Err(self.error(Problem::Unexpected { found, place: "operand" }));
            }
        }
    }

    fn operand(&mut self, tokens: &mut Tokens) -> Parsed<Operand> {
        let mut fields = Vec::new();
        let term = match tokens.next() {
            Some(Token::Field(name)) => {
                fields.push(name);
                Term::Dot
            }
            Some(Token::Dot) => Term::Dot,
            Some(Token::Nil) => Term::Nil,
            Some(Token::Literal(value)) => return Ok(Operand { term: Term::Literal(value), fields }),
            Some(Token::Variable(name)) => self.variable(name)?,
            Some(Token::Word(name)) => self.function(name)?,
            Some(Token::Open) => self.parenthesized(tokens)?,
            found => {
                return Err(self.error(Problem::Unexpected { found: shown_or_end(found.as_ref()), place: "operand" }));
            }
        };
        while let Some(Token::Field(name)) = tokens.peek() {
            fields.push(name.clone());
            tokens.position += 1;
        }
        Ok(Operand { term, fields })
    }

    fn variable(&self, name: String) -> Parsed<Term> {
        if self.variables.contains(&name) {
            Ok(Term::Variable(name))
        } else {
            Err(self.error(Problem::UndefinedVariable(name)))
        }
    }

    fn function(&self, name: String) -> Parsed<Term> {
        match Function::named(&name) {
            Some(function) => Ok(Term::Function(function)),
            None => Err(self.error(Problem::UnknownFunction(name))),
        }
    }

    fn parenthesized(&mut self, tokens: &mut Tokens) -> Parsed<Term> {
        let pipeline = self.nested(|parser| parser.pipeline_part(tokens, "parenthesized pipeline"))?;
        if tokens.take(&Token::Close) {
            Ok(Term::Pipeline(Box::new(pipeline)))
        } else {
            Err(self.error(Problem::OpenParenthesis))
        }
    }
}

/// Literals and plain dots can't take a piped value.
fn is_executable(command: &Command) -> bool {
    let first = command.operands.first();
    first.is_some_and(|operand| match operand.term {
        Term::Literal(_) | Term::Nil => false,
        Term::Dot => !operand.fields.is_empty(),
        Term::Variable(_) | Term::Function(_) | Term::Pipeline(_) => true,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    If,
    With,
    Range,
    Else,
    End,
    Define,
    Block,
    Template,
    Break,
    Continue,
}

/// An action's tokens and how far they are read.
struct Tokens {
    tokens: Vec<Token>,
    position: usize,
}

impl Tokens {
    fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, position: 0 }
    }

    fn rest(&self) -> &[Token] {
        self.tokens.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.position += 1;
        }
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.position += usize::from(found);
        found
    }

    fn take_variable(&mut self) -> Option<String> {
        self.skip_spaces();
        let Some(Token::Variable(name)) = self.peek() else { return None };
        let name = name.clone();
        self.position += 1;
        Some(name)
    }

    fn keyword(&mut self) -> Option<Keyword> {
        self.skip_spaces();
        let Some(Token::Word(word)) = self.peek() else { return None };
        let keyword = match word.as_str() {
            "if" => Keyword::If,
            "with" => Keyword::With,
            "range" => Keyword::Range,
            "else" => Keyword::Else,
            "end" => Keyword::End,
            "define" => Keyword::Define,
            "block" => Keyword::Block,
            "template" => Keyword::Template,
            "break" => Keyword::Break,
            "continue" => Keyword::Continue,
            _ => return None,
        };
        self.position += 1;
        Some(keyword)
    }
}

fn shown_or_end(token: Option<&Token>) -> String {
    token.map_or_else(|| "end of action".to_owned(), shown)
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word:?}"),
        Token::Field(name) => format!("\".{name}\""),
        Token::Variable(name) => format!("\"${name}\""),
        Token::Literal(value) => format!("{:?}", super::printf::plain(value)),
        Token::Nil => "nil".to_owned(),
        Token::Dot => "\".\"".to_owned(),
        Token::Pipe => "\"|\"".to_owned(),
        Token::Declare => "\":=\"".to_owned(),
        Token::Assign => "\"=\"".to_owned(),
        Token::Comma => "\",\"".to_owned(),
        Token::Open => "\"(\"".to_owned(),
        Token::Close => "\")\"".to_owned(),
        Token::Space => "space".to_owned(),
    }
}
