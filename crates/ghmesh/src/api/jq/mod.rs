//! `--jq`: the filter that `gh api` runs with gojq, here by jaq with gojq's dialect laid over it (`prelude.jq`).
//!
//! A filter is code that somebody may have pasted: it runs on its own thread and is given up on when it yields nothing for a
//! minute, takes memory without end, or prints without end. What stays different from gojq: integers keep all their digits,
//! division by zero gives infinity, an assignment makes nothing that is missing (`{} | .a.b = 1`; `setpath` does), and
//! `@base32`, `builtins` and `input` don't exist. The tests hold the list of what was compared.

mod interpolation;
mod natives;
mod value;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data};
use jaq_json::{Map, Val};

pub(super) use value::Line;
pub use value::ValueError;

/// Why a filter gave no (further) output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It doesn't parse.
    #[error("the jq filter doesn't parse: expected {expected}, got {}", at(found))]
    Syntax {
        /// What would have been right.
        expected: String,
        /// The text from there on.
        found: String,
    },
    /// It names something that doesn't exist.
    #[error("the jq filter uses an undefined {kind}: {name}")]
    Undefined {
        /// Function, variable, label or module.
        kind: &'static str,
        /// Its name, with `/arity` for functions.
        name: String,
    },
    /// The answer is not one JSON document.
    #[error("the answer is not JSON, so no jq filter can read it: {reason}")]
    Input {
        /// What the parser found.
        reason: String,
    },
    /// It ended with an error of its own, such as `error("x")` or a type that doesn't fit.
    #[error("jq: {message}")]
    Raised {
        /// jaq's message.
        message: String,
    },
    /// It yielded something that can't be printed.
    #[error("jq: {0}")]
    Value(#[from] ValueError),
    /// It yielded nothing for too long.
    #[error("the jq filter yielded nothing for {} seconds and was given up on", .0.as_secs())]
    Stalled(Duration),
    /// It took too much memory.
    #[error("the jq filter took more than {} MiB of memory and was given up on", .0 >> 20)]
    Memory(u64),
    /// It printed too much.
    #[error("the jq filter printed more than {} MiB and was given up on", .0 >> 20)]
    Output(u64),
    /// Its thread ended without a word, for instance because no thread could be started.
    #[error("the jq filter could not be run")]
    Lost,
}

/// Longest part of a bad filter that is quoted.
const QUOTED: usize = 40;

fn at(found: &str) -> String {
    match found.char_indices().nth(QUOTED) {
        _ if found.is_empty() => "the end of the filter".to_owned(),
        Some((end, _)) => format!("{:?}", format!("{}…", &found[..end])),
        None => format!("{found:?}"),
    }
}

/// What a filter may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest time between two outputs.
    stall: Duration,
    /// Growth of the process's resident memory, in bytes.
    memory: u64,
    /// Everything printed, in bytes.
    output: u64,
}

/// A minute without output is no filter on an API answer; memory and output are what a small machine bears.
pub(super) const LIMITS: Limits = Limits { stall: Duration::from_secs(60), memory: 2 << 30, output: 4 << 30 };

/// Stack of the filter's thread: room for recursion in a filter, reserved and not used until then.
const STACK: usize = 256 << 20;

/// Outputs in flight between the filter and the printer; the filter waits when they aren't taken.
const IN_FLIGHT: usize = 64;

/// How often the watch looks at time and memory while nothing comes.
const WATCH: Duration = Duration::from_millis(50);

type Data = data::JustLut<Val>;
type Filter = jaq_core::Filter<Data>;
type Output = Result<Line, FilterError>;

/// Finds out whether a filter can be run at all, so that no request is sent for one that can't.
pub(super) fn check(source: &str) -> Result<(), FilterError> {
    compile(source).map(|_| ())
}

/// Runs a filter on one document and hands each output to `print`, whose error ends the run.
pub(super) fn run<E: From<FilterError>>(
    source: &str,
    variables: &BTreeMap<String, String>,
    document: Bytes,
    limits: Limits,
    mut print: impl FnMut(Line) -> Result<(), E>,
) -> Result<(), E> {
    let (sender, outputs) = mpsc::sync_channel(IN_FLIGHT);
    let (source, variables) = (source.to_owned(), variables.clone());
    let filter = move || filter(&source, &variables, &document, &sender);
    let thread = std::thread::Builder::new().name("jq".to_owned()).stack_size(STACK).spawn(filter);
    let thread = thread.map_err(|_| FilterError::Lost)?;
    let mut watch = Watch::new(limits);
    while let Some(line) = watch.next(&outputs)? {
        print(line)?;
    }
    thread.join().map_err(|_| FilterError::Lost)?;
    Ok(())
}

/// Waits for outputs and gives up when a limit is passed. The thread of a filter that was given up on ends with the process.
struct Watch {
    limits: Limits,
    memory_at_start: u64,
    printed: u64,
}

impl Watch {
    fn new(limits: Limits) -> Self {
        Self { limits, memory_at_start: resident_bytes(), printed: 0 }
    }

    fn next(&mut self, outputs: &mpsc::Receiver<Output>) -> Result<Option<Line>, FilterError> {
        let since = Instant::now();
        loop {
            match outputs.recv_timeout(WATCH) {
                Ok(line) => return self.count(line?).map(Some),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(since)?,
            }
        }
    }

    fn count(&mut self, line: Line) -> Result<Line, FilterError> {
        self.printed += line.text.len() as u64 + 1;
        if self.printed > self.limits.output { Err(FilterError::Output(self.limits.output)) } else { Ok(line) }
    }

    fn look(&self, since: Instant) -> Result<(), FilterError> {
        if since.elapsed() > self.limits.stall {
            return Err(FilterError::Stalled(self.limits.stall));
        }
        if resident_bytes().saturating_sub(self.memory_at_start) > self.limits.memory {
            return Err(FilterError::Memory(self.limits.memory));
        }
        Ok(())
    }
}

/// Resident memory of this process; 0 where `/proc` doesn't say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The thread's whole work: parse, compile, run, send. Ends early when nobody listens any more.
fn filter(source: &str, variables: &BTreeMap<String, String>, document: &[u8], outputs: &mpsc::SyncSender<Output>) {
    if let Err(error) = produce(source, variables, document, outputs) {
        // Nobody listens when the printer stopped first: then nobody wants the error either.
        let _ = outputs.send(Err(error));
    }
}

fn produce(
    source: &str,
    variables: &BTreeMap<String, String>,
    document: &[u8],
    outputs: &mpsc::SyncSender<Output>,
) -> Result<(), FilterError> {
    let filter = compile(source)?;
    let input = serde_json::from_slice(document).map_err(|error| FilterError::Input { reason: error.to_string() })?;
    let context = Ctx::<Data>::new(&filter.lut, Vars::new([environment(variables)]));
    for output in filter.id.run((context, value::from_json(input))) {
        let output = match output {
            Ok(output) => value::line(&output)?,
            Err(exception) => match exception.get_err() {
                Ok(error) => return Err(FilterError::Raised { message: error.to_string() }),
                // `halt`, the only other way out that a filter has.
                Err(_halt) => return Ok(()),
            },
        };
        if outputs.send(Ok(output)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The value of `$ENV`.
fn environment(variables: &BTreeMap<String, String>) -> Val {
    let text = |text: &String| Val::utf8_str(text.clone());
    Val::obj(variables.iter().map(|(name, value)| (text(name), text(value))).collect::<Map>())
}

fn compile(source: &str) -> Result<Filter, FilterError> {
    let source = interpolation::go_numbers(source).map_err(|errors| lex_error(&errors))?;
    let prelude = jaq_core::load::parse(include_str!("prelude.jq"), |parser| parser.defs());
    let prelude = prelude.expect("the prelude is part of the program and parses");
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(prelude);
    let natives = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs()).chain(natives::natives());
    let arena = Arena::default();
    let modules = Loader::new(definitions).load(&arena, File { code: source.as_str(), path: () });
    let modules = modules.map_err(|errors| load_error(&errors))?;
    let compiler = Compiler::default().with_funs(natives).with_global_vars(["$ENV"]);
    compiler.compile(modules).map_err(|errors| compile_error(&errors))
}

fn load_error(errors: &jaq_core::load::Errors<&str, ()>) -> FilterError {
    use jaq_core::load::Error;
    match errors.first().map(|(_, error)| error) {
        Some(Error::Lex(errors)) => lex_error(errors),
        Some(Error::Parse(errors)) => match errors.first() {
            Some((expected, found)) => syntax(expected.as_str(), found),
            None => syntax("a filter", ""),
        },
        Some(Error::Io(errors)) => {
            let name = errors.first().map_or("", |(path, _)| path);
            FilterError::Undefined { kind: "module", name: name.to_owned() }
        }
        None => syntax("a filter", ""),
    }
}

fn lex_error(errors: &[jaq_core::load::lex::Error<&str>]) -> FilterError {
    match errors.first() {
        Some((expected, found)) => syntax(expected.as_str(), found),
        None => syntax("a filter", ""),
    }
}

fn syntax(expected: &str, found: &str) -> FilterError {
    FilterError::Syntax { expected: expected.to_owned(), found: found.to_owned() }
}

fn compile_error(errors: &jaq_core::compile::Errors<&str, ()>) -> FilterError {
    use jaq_core::compile::Undefined;
    match errors.iter().flat_map(|(_, errors)| errors).next() {
        Some((name, Undefined::Filter(arity))) => {
            FilterError::Undefined { kind: "function", name: format!("{name}/{arity}") }
        }
        Some((name, undefined)) => FilterError::Undefined { kind: undefined.as_str(), name: (*name).to_owned() },
        None => FilterError::Lost,
    }
}

#[cfg(test)]
mod tests;
