//! `--template`: Go's text/template with gh's functions, over JSON. Written here because the one published crate for it (gtmpl
//! 0.7) fails where GitHub's answers need it: fields of null, `break`, assignment, lists printed as Go prints them.
//!
//! Left out, with an error that says so: complex numbers, methods and functions as values (`call`), byte escapes that aren't
//! text, and newer gh's `regexMatch`.

mod error;
mod exec;
mod functions;
mod lex;
mod parse;
mod printf;
mod table;
mod text;
mod time;
mod value;

pub use error::{Fault, Problem, TemplateError};

use jiff::Timestamp;

use functions::Context;
use parse::Templates;
use table::Table;
use value::Value;

/// A parsed template with the table that its pages fill together.
#[derive(Debug)]
pub(super) struct Template {
    templates: Templates,
    context: Context,
}

impl Template {
    /// Parses a template for an output with or without colour, `width` columns wide. `now` is what `timeago` counts from.
    pub(super) fn parse(source: &str, colour: bool, width: usize, now: Timestamp) -> Result<Self, TemplateError> {
        let templates = parse::parse(lex::pieces(source)?)?;
        Ok(Self { templates, context: Context { colour, width, now, table: Table::default() } })
    }

    /// What the template prints for one JSON document.
    pub(super) fn execute(&mut self, document: &[u8]) -> Result<String, TemplateError> {
        let document =
            serde_json::from_slice(document).map_err(|error| TemplateError::Input { reason: error.to_string() })?;
        let run = exec::Run {
            templates: &self.templates,
            context: &mut self.context,
            out: String::new(),
            variables: Vec::new(),
            depth: 0,
            steps: 0,
            line: 1,
        };
        run.main(Value::from_json(document))
    }

    /// Rows that no `tablerender` printed.
    pub(super) fn flush(&mut self) -> String {
        self.context.table.render(self.context.width)
    }
}

#[cfg(test)]
mod tests;
