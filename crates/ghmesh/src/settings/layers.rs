//! The layers that settings come from, each a figment provider that remembers its place: defaults, files, environment,
//! flags.
//!
//! Nothing here reads the process environment or knows which files there are; both are arguments.

use super::Environment;
use super::key::{self, ENVIRONMENT_PREFIX, Fallback, Key};
use super::problem::{Fault, MAX_SHOWN_CHARACTERS, Place, Problem};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider, Source};
use std::io::{self, Read};
use std::path::Path;

/// Largest settings file that is read, in bytes; a hundred times any sensible one.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Variables with our prefix that are no settings: the path of the file that `--config` names.
pub(super) const CONFIG_VARIABLE: &str = "GHMESH_CONFIG";

/// Values from one place.
pub(super) struct Layer {
    place: Place,
    values: Dict,
}

impl Layer {
    /// What every setting is when nobody sets it.
    pub(super) fn defaults() -> Self {
        let text = |key: &'static Key| match key.default {
            Fallback::Text(text) => Some((key, text)),
            Fallback::EmptyList | Fallback::Unset | Fallback::Rule(_) => None,
        };
        let mut values = Dict::new();
        key::all().filter_map(text).for_each(|(key, text)| insert(&mut values, key.path, Value::from(text)));
        Layer { place: Place::Default, values }
    }

    /// One value of one setting.
    pub(super) fn one(place: Place, key: &'static Key, value: &str) -> Self {
        let mut values = Dict::new();
        insert(&mut values, key.path, Value::from(value));
        Layer { place, values }
    }
}

fn insert(values: &mut Dict, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(values.insert(path.to_owned(), value)),
        Some((table, rest)) => {
            let table = values.entry(table.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = table {
                insert(inner, rest, value);
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.place {
            Place::Default => Metadata::named("default"),
            Place::File(path) => Metadata::from("file", Source::File(path.clone())),
            Place::Variable(name) => Metadata::from("variable", Source::Custom(name.clone())),
            Place::Flag(name) => Metadata::from("flag", Source::Custom(name.clone())),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The place that a layer's metadata stand for.
pub(super) fn place_of(metadata: &Metadata) -> Place {
    match (&metadata.source, metadata.name.as_ref()) {
        (Some(Source::File(path)), _) => Place::File(path.clone()),
        (Some(Source::Custom(name)), "flag") => Place::Flag(name.clone()),
        (Some(Source::Custom(name)), _) => Place::Variable(name.clone()),
        _ => Place::Default,
    }
}

/// The text of a file, bounded. `None` if there is no such file.
fn read_bounded(path: &Path) -> Result<Option<String>, Fault> {
    let file = match super::file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::Unreadable(error)),
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(Fault::Unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES { Err(Fault::FileTooLarge { limit: MAX_FILE_BYTES }) } else { Ok(Some(text)) }
}

/// The layer of a settings file, without what is unknown in it, which goes to `problems`. `None` if there is no such
/// file.
pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Result<Option<Layer>, Fault> {
    let Some(text) = read_bounded(path)? else { return Ok(None) };
    let mut values: Dict = toml::from_str(&text).map_err(|error| syntax_fault(&text, &error))?;
    let place = Place::File(path.to_owned());
    sift(&mut values, "", &place, problems);
    Ok(Some(Layer { place, values }))
}

/// The parser's own report repeats the line, which may hold a secret; this one only says where it is.
fn syntax_fault(text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let reason = error.message().lines().collect::<Vec<_>>().join(", ");
    Fault::Syntax {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        reason,
    }
}

/// Keeps what is known in the table at `path`, and notes the rest.
fn sift(values: &mut Dict, path: &str, place: &Place, problems: &mut Vec<Problem>) {
    values.retain(|name, value| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            _ if key::find(&path).is_some() => true,
            Value::Dict(_, inner) if key::is_table(&path) => {
                sift(inner, &path, place, problems);
                true
            }
            Value::Dict(_, inner) if !inner.is_empty() => {
                sift(inner, &path, place, problems);
                false
            }
            _ => {
                problems.push(unknown(&path, place));
                false
            }
        }
    });
}

/// A path that names no setting.
pub(super) fn unknown(path: &str, place: &Place) -> Problem {
    let path = &printable(path);
    let fault = if key::is_table(path) {
        Fault::Kind {
            kind: "a value but a table of settings",
            instead: "its settings below a line with its name in brackets",
        }
    } else {
        Fault::Unknown { nearest: key::nearest(path).map(|key| key.path.to_owned()) }
    };
    Problem { place: place.clone(), name: Some(path.to_owned()), value: None, fault }
}

/// A name without control characters and of bounded length.
fn printable(name: &str) -> String {
    name.chars().take(MAX_SHOWN_CHARACTERS).collect::<String>().escape_debug().to_string()
}

/// One layer for each variable that sets something; unknown ones go to `problems`. Empty variables set nothing.
pub(super) fn environment(environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (name, value) in environment.iter() {
        let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        if value.is_empty() || name == CONFIG_VARIABLE || is_service_link(rest, value) {
            continue;
        }
        match key::find(&rest.to_lowercase().replace("__", ".")) {
            Some(key) => layers.extend(variable(name, key, value, problems)),
            None => problems.push(unknown_variable(name, rest)),
        }
    }
    layers
}

/// The layer of one variable, if its value is text.
pub(super) fn variable(name: &str, key: &'static Key, value: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    let place = Place::Variable(name.to_owned());
    if value.contains(char::REPLACEMENT_CHARACTER) {
        problems.push(Problem { place, ..Problem::of(key, Fault::NotUtf8) });
        return None;
    }
    Some(Layer::one(place, key, value))
}

fn unknown_variable(name: &str, rest: &str) -> Problem {
    let (name, rest) = (printable(name), printable(rest));
    let nearest = key::nearest(&rest).map(Key::variable);
    Problem { place: Place::Variable(name.clone()), name: Some(name), value: None, fault: Fault::Unknown { nearest } }
}

/// Whether a variable is one that Kubernetes sets in every pod beside a Service called `ghmesh…`
/// (`GHMESH_SERVICE_HOST`, `GHMESH_PORT=tcp://…`, `GHMESH_PORT_9180_TCP_ADDR`): "Accessing the Service, Environment
/// variables" in its documentation.
fn is_service_link(rest: &str, value: &str) -> bool {
    let port = |text: &str| text.starts_with("tcp://") || text.starts_with("udp://") || text.starts_with("sctp://");
    rest.ends_with("SERVICE_HOST")
        || rest.ends_with("SERVICE_PORT")
        || rest.contains("SERVICE_PORT_")
        || (rest.ends_with("PORT") && port(value))
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            let parts = ["", "_ADDR", "_PORT", "_PROTO"];
            rest.contains("PORT_") && parts.iter().any(|part| rest.ends_with(&format!("{protocol}{part}")))
        })
}
