//! What is wrong with a setting, told so that a person can act on it: where it was set, to what, and what to write
//! instead.
//!
//! Values of secrets never appear here.

use super::key::Key;
use super::value::Quantity;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Most characters of a value or an unknown name that a message repeats.
pub(super) const MAX_SHOWN_CHARACTERS: usize = 80;

/// Most problems that are printed; who has more has the wrong file.
const MAX_SHOWN_PROBLEMS: usize = 50;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is the default.
    Default,
    /// In this file.
    File(PathBuf),
    /// In the environment variable of this name.
    Variable(String),
    /// By the flag of this name, as `--listen`.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Variable(name) | Place::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// Where it was set.
    pub place: Place,
    /// The setting, as its writer named it. `None` if the whole file is wrong.
    pub name: Option<String>,
    /// What it was set to, quoted; `None` for secrets and for what has no value.
    pub value: Option<String>,
    /// What is wrong with it. Completes the sentence that name and value begin.
    pub fault: Fault,
}

/// What can be wrong with a setting.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No such setting.
    #[error("is not a setting{}", nearest_text(.nearest))]
    Unknown {
        /// The name that was most likely meant, written as at that place.
        nearest: Option<String>,
    },
    /// Not of the kind that the setting takes.
    #[error("is not {kind}; write {instead}")]
    Kind {
        /// What it should be.
        kind: &'static str,
        /// Examples of good values.
        instead: &'static str,
    },
    /// Too small or too large.
    #[error("is out of range; write {least} to {most}")]
    Range {
        /// Smallest good value.
        least: Quantity,
        /// Largest good value.
        most: Quantity,
    },
    /// Not one of the words that the setting takes.
    #[error("is not known; write {words}")]
    Word {
        /// The good words.
        words: &'static str,
    },
    /// A bare number where digits are text.
    #[error("is a number, and numbers lose their leading zeros; put it in quotes")]
    Unquoted,
    /// An environment variable that isn't text.
    #[error("holds bytes that are not UTF-8; write it in UTF-8")]
    NotUtf8,
    /// `~` without a home.
    #[error("begins with ~, but HOME is not set; write the whole path")]
    NoHome,
    /// No place for the data.
    #[error("has no default here, as HOME, XDG_DATA_HOME and STATE_DIRECTORY are not set; set it to a directory")]
    NoDataDirectory,
    /// A mesh address that cannot be used.
    #[error("is not an address that nodes can use: {0}")]
    Address(#[from] super::address::AddressFault),
    /// An address or name that a DHT does not have; the sentence says what to write.
    #[error(transparent)]
    Dht(ghmesh_mesh::AddressFault),
    /// What is no pattern for interfaces' names.
    #[error("is not an interface; write a name, or its beginning and *, or none alone")]
    Interface,
    /// A filter of the log that its library refuses.
    #[error("is not a log level; write error, warn, info, debug or trace, or with parts, as in info,ghmesh_mesh=debug")]
    LogLevel,
    /// A file that isn't TOML.
    #[error("line {line}, column {column} is not TOML: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The parser's words, which do not repeat the line.
        reason: String,
    },
    /// A file that must be there and is not.
    #[error("cannot be read: there is no such file; write it, or name another with --config or GHMESH_CONFIG")]
    Missing,
    /// A file that cannot be read.
    #[error("cannot be read: {0}{remedy}", remedy = remedy(.0.kind()))]
    Unreadable(#[source] io::Error),
    /// A file larger than any settings are.
    #[error("has more than {limit} bytes; is it the right file?")]
    FileTooLarge {
        /// Largest size that is read, in bytes.
        limit: u64,
    },
    /// It cannot key a mesh, in a sentence of its own.
    #[error(transparent)]
    Secret(super::SecretError),
    /// It cannot be a hook's secret, in a sentence of its own.
    #[error(transparent)]
    Webhook(super::WebhookSecretError),
    /// The gateway refuses it, in a sentence of its own.
    #[error(transparent)]
    Gateway(ghmesh_gateway::config::Problem),
    /// Policy refuses it as a route with a time, in a sentence of its own.
    #[error("is refused: {0}")]
    Route(ghmesh_policy::RouteProblem),
    /// Policy refuses it as an origin, in a sentence of its own.
    #[error(transparent)]
    Origin(ghmesh_policy::OriginsProblem),
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::PermissionDenied { "; let this user read it" } else { "" }
}

fn nearest_text(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; docs/configuration.md lists them all".to_owned(),
    }
}

impl Problem {
    /// Something wrong with the value of `key`, wherever it was set: [`super::load`] fills in place and value.
    pub(super) fn of(key: &'static Key, fault: Fault) -> Self {
        Problem { place: Place::Default, name: Some(key.path.to_owned()), value: None, fault }
    }

    /// The same about one item of a list.
    pub(super) fn of_item(key: &'static Key, item: &str, fault: Fault) -> Self {
        Problem { value: (!key.secret).then(|| shown(item)), ..Problem::of(key, fault) }
    }

    /// Something wrong with a whole file.
    pub(super) fn of_file(path: PathBuf, fault: Fault) -> Self {
        Problem { place: Place::File(path), name: None, value: None, fault }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_none() && matches!(self.fault, Fault::Secret(_)) {
            // Its sentence begins with the place.
            return fmt::Display::fmt(&self.fault, f);
        }
        if matches!(self.fault, Fault::Gateway(_) | Fault::Origin(_) | Fault::Secret(_) | Fault::Webhook(_)) {
            return write!(f, "{}: {}", self.place, self.fault);
        }
        match (&self.name, &self.value) {
            (Some(name), Some(value)) => write!(f, "{}: {name} = {value} {}", self.place, self.fault),
            (Some(name), None) if self.place.to_string() != *name => write!(f, "{}: {name} {}", self.place, self.fault),
            _ => write!(f, "{} {}", self.place, self.fault),
        }
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.source()
    }
}

/// Everything that is wrong, told at once. Never empty.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("a setting cannot be used:")?,
            count => write!(f, "{count} settings cannot be used:")?,
        }
        self.0.iter().take(MAX_SHOWN_PROBLEMS).try_for_each(|problem| write!(f, "\n  {problem}"))?;
        match self.0.len().checked_sub(MAX_SHOWN_PROBLEMS) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

impl Error for Problems {}

/// `text` in quotes, with control characters escaped and its end cut if it is long. A URL that holds a password is not
/// shown.
pub(super) fn shown(text: &str) -> String {
    if text.contains("://") && text.contains('@') {
        return "\"…\"".to_owned();
    }
    let mut cut: String = text.chars().take(MAX_SHOWN_CHARACTERS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
