//! What can be wrong with a template, and what can go wrong while it runs. The words follow Go's where Go has them.

/// Why a template can't be parsed or didn't run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template itself is wrong.
    #[error("template: line {line}: {problem}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// It met data it can't work on.
    #[error("template: line {line}: {fault}")]
    Execution {
        /// The line of the action, counted from 1.
        line: usize,
        /// What went wrong.
        fault: Fault,
    },
    /// The answer is not one JSON document.
    #[error("the answer is not JSON, so no template can read it: {reason}")]
    Input {
        /// What the parser found.
        reason: String,
    },
}

/// What is wrong with the text of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// `{{` without `}}`.
    #[error("unclosed action")]
    OpenAction,
    /// `/*` without `*/}}`.
    #[error("unclosed comment")]
    OpenComment,
    /// A quote without its end.
    #[error("unterminated quoted string")]
    OpenString,
    /// `(` without `)`.
    #[error("unclosed left paren")]
    OpenParenthesis,
    /// A character that begins nothing.
    #[error("unexpected {0:?} in an action")]
    Character(char),
    /// A malformed number, or a string with an unknown escape. Complex numbers are not supported.
    #[error("bad literal syntax: {0}")]
    Literal(String),
    /// Something that may not stand there.
    #[error("unexpected {found} in {place}")]
    Unexpected {
        /// What was found.
        found: String,
        /// Where.
        place: &'static str,
    },
    /// `{{if}}`, `{{()}}` and the like.
    #[error("missing value for {0}")]
    MissingValue(&'static str),
    /// A name no function has.
    #[error("function {0:?} not defined")]
    UnknownFunction(String),
    /// A `$name` that was not declared.
    #[error("undefined variable \"${0}\"")]
    UndefinedVariable(String),
    /// `{{end}}` or `{{else}}` without a beginning.
    #[error("unexpected {{{{{0}}}}}")]
    Stray(&'static str),
    /// The template ended before `{{end}}`.
    #[error("unexpected end: {{{{end}}}} is missing")]
    MissingEnd,
    /// `{{break}}` or `{{continue}}` on its own.
    #[error("{{{{{0}}}}} outside {{{{range}}}}")]
    OutsideRange(&'static str),
    /// Only a function can be given a piped value.
    #[error("non executable command in pipeline stage {0}")]
    NotExecutable(usize),
    /// More than an index and an element.
    #[error("too many declarations in {0}")]
    Declarations(&'static str),
    /// Blocks or parentheses within each other, more than any template needs.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
}

/// What went wrong while a template ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `.name` of something that has no fields.
    #[error("can't evaluate field {name} in type {found}")]
    Field {
        /// The field.
        name: String,
        /// What it was asked of.
        found: &'static str,
    },
    /// `nil` alone.
    #[error("nil is not a command")]
    NilCommand,
    /// Arguments for something that takes none.
    #[error("can't give argument to non-function {0}")]
    NotAFunction(String),
    /// `range` over a scalar.
    #[error("range can't iterate over {0}")]
    Range(String),
    /// A wrong number of arguments.
    #[error("wrong number of args for {function}: want {want} got {got}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// How many it takes.
        want: &'static str,
        /// How many there were.
        got: usize,
    },
    /// An argument of the wrong type.
    #[error("error calling {function}: expected {expected}, got {found}")]
    Type {
        /// The function.
        function: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
    /// A value that a table or a list of words can't show.
    #[error("error calling {function}: cannot convert type to string: {value}")]
    NotScalar {
        /// The function.
        function: &'static str,
        /// The value, printed.
        value: String,
    },
    /// A position that isn't there.
    #[error("error calling {function}: index out of range: {index}")]
    OutOfRange {
        /// The function.
        function: &'static str,
        /// The position.
        index: i64,
    },
    /// Values that have no order or can't be equal.
    #[error("error calling {function}: incompatible types for comparison")]
    Incomparable {
        /// The function.
        function: &'static str,
    },
    /// A timestamp in another form than RFC 3339.
    #[error("error calling {function}: {text:?} is not an RFC 3339 time")]
    Time {
        /// The function.
        function: &'static str,
        /// The text.
        text: String,
    },
    /// A template that isn't defined.
    #[error("template {0:?} not defined")]
    UnknownTemplate(String),
    /// Templates that call themselves without end.
    #[error("exceeded maximum template depth ({0})")]
    TooDeep(usize),
    /// More actions than any answer needs.
    #[error("the template ran for more than {0} steps and was given up on")]
    TooLong(u64),
    /// More output than is sensible.
    #[error("the template printed more than {} MiB and was given up on", .0 >> 20)]
    TooMuchOutput(usize),
}
