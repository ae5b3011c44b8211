//! Printing answers: as they came, in colour, filtered, through a template, or not at all.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, Response, Version};
use jiff::Timestamp;

use super::environment::Environment;
use super::error::ApiError;
use super::options::Options;
use super::pages::Joiner;
use super::template::Template;
use super::transport::Body;
use super::{body, jq, json};

/// What is done with bodies.
enum Format<'a> {
    Plain,
    Coloured,
    Filter(&'a str),
    Template(Box<Template>),
    Silent,
}

/// Standard output and what is to be printed there.
pub(super) struct Output<'a> {
    stdout: &'a mut (dyn Write + Send),
    environment: &'a Environment,
    format: Format<'a>,
    colour: bool,
    /// Pages are joined into one text.
    joiner: Option<Joiner>,
    /// What is joined in colour, which can only be painted as a whole.
    unpainted: Vec<u8>,
}

impl<'a> Output<'a> {
    /// Decides how to print, and finds out whether the filter or template can be used at all.
    pub(super) fn new(
        options: &'a Options,
        environment: &'a Environment,
        stdout: &'a mut (dyn Write + Send),
    ) -> Result<Self, ApiError> {
        let colour = environment.colour();
        let format = match (options.filter(), options.go_template()) {
            (Some(filter), _) => Format::Filter(checked(filter)?),
            (None, Some(template)) => {
                let template = Template::parse(template, colour, environment.terminal_width, Timestamp::now())?;
                Format::Template(Box::new(template))
            }
            (None, None) if options.silent => Format::Silent,
            (None, None) if colour => Format::Coloured,
            (None, None) => Format::Plain,
        };
        let merges = matches!(format, Format::Plain) && !options.is_graphql() && !options.include;
        let joins = options.paginate && (options.slurp || merges) && !matches!(format, Format::Silent);
        let joiner = joins.then(|| Joiner::new(options.slurp));
        Ok(Self { stdout, environment, format, colour, joiner, unpainted: Vec::new() })
    }

    /// Prints the status line and the headers, sorted, as `gh api -i` does.
    pub(super) fn head(&mut self, response: &Response<Body>) -> Result<(), ApiError> {
        let mut head = format!("{} {}\n", protocol(response.version()), status_line(response));
        let (start, end) = if self.colour { ("\x1b[1;34m", "\x1b[m") } else { ("", "") };
        for (name, value) in listed(response.headers()) {
            head.push_str(&format!("{start}{name}{end}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head.as_bytes())
    }

    /// The empty line between two answers that are printed with their heads.
    pub(super) fn between(&mut self) -> Result<(), ApiError> {
        if self.joiner.is_none() { self.write(b"\n") } else { Ok(()) }
    }

    /// Whether a successful answer has to be held whole before it can be printed.
    pub(super) fn holds(&self, is_json: bool) -> bool {
        match self.format {
            Format::Plain => is_json && self.joiner.is_some(),
            Format::Coloured => is_json,
            Format::Filter(_) | Format::Template(_) => true,
            Format::Silent => false,
        }
    }

    /// Prints an answer as it comes.
    pub(super) async fn stream(&mut self, mut body: Body) -> Result<(), ApiError> {
        while let Some(chunk) = body::next_chunk(&mut body).await? {
            if !matches!(self.format, Format::Silent) {
                self.write(&chunk)?;
            }
        }
        Ok(())
    }

    /// Prints an answer that was held.
    pub(super) fn document(&mut self, document: Bytes, is_json: bool) -> Result<(), ApiError> {
        match &mut self.format {
            Format::Filter(filter) => {
                let filter = *filter;
                self.filtered(filter, document)
            }
            Format::Template(template) => {
                let text = template.execute(&document)?;
                self.write(text.as_bytes())
            }
            Format::Plain | Format::Coloured | Format::Silent => self.raw(&document, is_json),
        }
    }

    /// Prints a body without filter or template: errors, and all that has neither.
    pub(super) fn raw(&mut self, document: &[u8], is_json: bool) -> Result<(), ApiError> {
        if matches!(self.format, Format::Silent) {
            return Ok(());
        }
        match &mut self.joiner {
            Some(joiner) if is_json => {
                let parts = joiner.page(document).concat();
                self.joined(&parts)
            }
            _ if is_json && self.colour => self.painted(document),
            _ => self.write(document),
        }
    }

    fn joined(&mut self, part: &[u8]) -> Result<(), ApiError> {
        if self.colour {
            self.unpainted.extend_from_slice(part);
            Ok(())
        } else {
            self.write(part)
        }
    }

    fn painted(&mut self, document: &[u8]) -> Result<(), ApiError> {
        match json::coloured(document) {
            Some(text) => self.write(text.as_bytes()),
            None => self.write(document),
        }
    }

    fn filtered(&mut self, filter: &str, document: Bytes) -> Result<(), ApiError> {
        let (colour, variables) = (self.colour, &self.environment.variables);
        let stdout = &mut self.stdout;
        jq::run(filter, variables, document, jq::LIMITS, |line| {
            let painted = if colour && line.is_document { json::coloured(line.text.as_bytes()) } else { None };
            let text = painted.unwrap_or_else(|| line.text + "\n");
            stdout.write_all(text.as_bytes()).map_err(ApiError::Output)
        })
    }

    /// Prints what waits for the last page, and hands everything to the system.
    pub(super) fn finish(&mut self) -> Result<(), ApiError> {
        if let Some(end) = self.joiner.as_mut().map(Joiner::end) {
            self.joined(end)?;
        }
        if !self.unpainted.is_empty() {
            let document = std::mem::take(&mut self.unpainted);
            self.painted(&document)?;
        }
        if let Format::Template(template) = &mut self.format {
            let table = template.flush();
            self.write(table.as_bytes())?;
        }
        self.stdout.flush().map_err(ApiError::Output)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.stdout.write_all(bytes).map_err(ApiError::Output)
    }
}

fn checked(filter: &str) -> Result<&str, ApiError> {
    jq::check(filter)?;
    Ok(filter)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn status_line(response: &Response<Body>) -> String {
    let sent = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let reason = match sent {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => response.status().canonical_reason().unwrap_or_default().to_owned(),
    };
    format!("{} {reason}", response.status().as_u16())
}

/// Headers by name in Go's spelling (`X-Ratelimit-Limit`), several values joined; gh leaves `Status` out.
fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut listed: Vec<_> = headers
        .keys()
        .filter(|name| !matches!(name.as_str(), "status" | "transfer-encoding"))
        .map(|name| {
            let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            (canonical(name.as_str()), values.collect::<Vec<_>>().join(", "))
        })
        .collect();
    listed.sort_unstable();
    listed
}

fn canonical(name: &str) -> String {
    let capitalized = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(capitalized).collect::<Vec<_>>().join("-")
}
