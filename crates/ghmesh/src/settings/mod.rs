//! The settings: where they come from, what they may be, and everything that is wrong with them, told at once.
//!
//! Later layers win: defaults, `/etc/ghmesh/config.toml`, the user's file, the file of `--config`, the predecessor's
//! `CACHE_*` variables, `GHMESH_SECTION__KEY` variables, flags. Each section reads and judges its own values; figment
//! keeps the layers and where each value came from. Files of settings and of secrets are read; nothing is started.

mod address;
mod admin;
mod aliases;
mod cache;
mod choice;
mod dht;
pub mod documentation;
mod environment;
mod file;
mod freshness;
mod gateway;
pub mod key;
mod layers;
mod log;
mod mesh;
mod origin;
mod places;
mod policy;
mod problem;
mod reader;
mod secret;
#[cfg(test)]
mod tests;
mod value;
mod webhook;

pub use address::AddressFault;
pub use admin::Admin;
pub use cache::Cache;
pub use choice::{Chosen, SecretChoice, SecretError, SecretErrors, SecretNote, SecretSource, SkipReason, mesh_secret};
pub use dht::DhtSettings;
pub use environment::Environment;
pub(crate) use file::open as open_file;
pub use freshness::Freshness;
pub use gateway::Gateway;
pub use log::Log;
pub use mesh::{Discovery, Mesh};
pub use origin::{Origin, ProxyUrl};
pub use places::Surroundings;
pub use policy::Policy;
pub use problem::{Fault, Place, Problem, Problems};
pub use secret::SecretText;
pub use value::Quantity;
pub use webhook::{Webhook, WebhookSecretError};

pub use ghmesh_policy::{Mode, Sharing};

use figment::Figment;
use key::Key;
use layers::Layer;
use reader::Reader;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The machine's settings file.
pub const SYSTEM_FILE: &str = "/etc/ghmesh/config.toml";

/// All settings. `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who belongs together, and how nodes find each other.
    pub mesh: Mesh,
    /// Where callers connect.
    pub gateway: Gateway,
    /// The GitHub that is asked.
    pub origin: Origin,
    /// What is kept, where and for how long.
    pub cache: Cache,
    /// How long answers last.
    pub freshness: Freshness,
    /// What is done with a request.
    pub policy: Policy,
    /// How GitHub tells what has changed.
    pub webhook: Webhook,
    /// Who may see the private pages.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
}

impl Settings {
    /// The times of `cache` and `freshness` as policy uses them.
    pub fn times(&self) -> ghmesh_policy::Freshness {
        ghmesh_policy::Freshness {
            default_ttl: self.cache.default_ttl,
            proof_ttl: self.cache.proof_ttl,
            stale_ttl: self.cache.stale_ttl,
            adaptive: self.freshness.adaptive,
            target_staleness: self.freshness.target_staleness,
            routes: self.freshness.routes.clone(),
        }
    }
}

/// What the settings are loaded from.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The environment, and what is known about the machine.
    pub surroundings: Surroundings,
    /// The machine's settings file, [`SYSTEM_FILE`] but in tests. It need not exist.
    pub system_file: PathBuf,
    /// The file of `--config`, which must exist. Without it the variable `GHMESH_CONFIG` names it.
    pub config: Option<PathBuf>,
    /// Flags that set something.
    pub flags: Vec<Flag>,
    /// Who asks.
    pub role: Role,
}

/// Who asks for settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The daemon: every file that is there counts.
    Daemon,
    /// A command beside it, often of another user, who cannot read the machine's file when that holds the secret: the
    /// command goes on without that file.
    Client,
}

/// A flag that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As its user writes it: `--listen`.
    pub name: String,
    /// The setting: `gateway.listen`.
    pub path: &'static str,
    /// The value, written as in an environment variable.
    pub value: String,
}

/// Settings that can be used, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What their user should know, though they can be used.
    pub notes: Vec<Note>,
    /// Where commands look for the daemon's socket, in this order: the one that is set, else the usual places. Empty if
    /// sockets are turned off.
    pub socket_candidates: Vec<PathBuf>,
    places: BTreeMap<&'static str, Place>,
}

impl Loaded {
    /// Where the setting at `path` (`mesh.listen`) was set; `None` if it has its default.
    pub fn place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}

/// Something that their user should know about settings that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The machine's settings were left out.
    SystemFileUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// A secret stands in a file that everybody on the machine can read.
    SecretInReadableFile {
        /// The setting.
        path: &'static str,
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::SystemFileUnreadable { path } => {
                write!(f, "{} may not be read by this user; going on without it", path.display())
            }
            Note::SecretInReadableFile { path, file } => {
                let file = file.display();
                write!(f, "{path} stands in {file}, which every user of this machine can read; chmod 600 {file}")
            }
        }
    }
}

impl Inputs {
    /// What this process was started with. The only function here that asks the process.
    pub fn from_process(config: Option<PathBuf>, flags: Vec<Flag>, role: Role) -> Self {
        Inputs {
            surroundings: Surroundings::from_process(),
            system_file: PathBuf::from(SYSTEM_FILE),
            config,
            flags,
            role,
        }
    }
}

/// Loads the settings, or says everything that is wrong with them.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    let surroundings = &inputs.surroundings;
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    let values = gather(inputs, &mut notes, &mut problems);
    let home = surroundings.home();
    let mut reader = Reader { values: &values, home: home.as_deref(), problems: Vec::new() };
    let settings = read(&mut reader, surroundings);
    let mut found = reader.problems;
    validate(&settings, &mut found);
    if inputs.role == Role::Daemon {
        found.extend(choice::problems(&settings, &surroundings.environment));
        found.extend(settings.webhook.problem());
    }
    problems.extend(found.into_iter().map(|problem| locate(problem, &values)));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let places = places(&values);
    notes.extend(readable_secrets(&places));
    let socket_candidates = socket_candidates(&settings, &places, surroundings);
    Ok(Loaded { settings, notes, socket_candidates, places })
}

/// Puts the layers on each other.
fn gather(inputs: &Inputs, notes: &mut Vec<Note>, problems: &mut Vec<Problem>) -> Figment {
    let environment = &inputs.surroundings.environment;
    let mut layers = vec![Layer::defaults()];
    layers.extend(system_layer(inputs, notes, problems));
    layers.extend(inputs.surroundings.user_file().and_then(|path| file_layer(&path, Presence::Optional, problems)));
    let named = inputs.surroundings.variable(layers::CONFIG_VARIABLE).map(PathBuf::from);
    let named = inputs.config.clone().or(named);
    layers.extend(named.and_then(|path| file_layer(&path, Presence::Required, problems)));
    layers.extend(aliases::layers(environment, problems));
    layers.extend(layers::environment(environment, problems));
    layers.extend(inputs.flags.iter().filter_map(|flag| flag_layer(flag, problems)));
    layers.into_iter().fold(Figment::new(), Figment::merge)
}

fn flag_layer(flag: &Flag, problems: &mut Vec<Problem>) -> Option<Layer> {
    let place = Place::Flag(flag.name.clone());
    let Some(key) = key::find(flag.path) else {
        problems.push(layers::unknown(flag.path, &place));
        return None;
    };
    Some(Layer::one(place, key, &flag.value))
}

/// Whether a file must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

fn file_layer(path: &Path, presence: Presence, problems: &mut Vec<Problem>) -> Option<Layer> {
    let fault = match layers::file(path, problems) {
        Ok(Some(layer)) => return Some(layer),
        Ok(None) if presence == Presence::Optional => return None,
        Ok(None) => Fault::Missing,
        Err(fault) => fault,
    };
    problems.push(Problem::of_file(path.to_owned(), fault));
    None
}

fn system_layer(inputs: &Inputs, notes: &mut Vec<Note>, problems: &mut Vec<Problem>) -> Option<Layer> {
    let path = &inputs.system_file;
    match layers::file(path, problems) {
        Ok(layer) => layer,
        Err(Fault::Unreadable(error)) if is_other_users(&error, inputs.role) => {
            notes.push(Note::SystemFileUnreadable { path: path.clone() });
            None
        }
        Err(fault) => {
            problems.push(Problem::of_file(path.clone(), fault));
            None
        }
    }
}

fn is_other_users(error: &io::Error, role: Role) -> bool {
    role == Role::Client && error.kind() == io::ErrorKind::PermissionDenied
}

fn read(reader: &mut Reader<'_>, surroundings: &Surroundings) -> Settings {
    let data = surroundings.data_directory();
    if data.is_none() && !reader.values.contains(cache::DIR.path) {
        reader.problems.push(Problem::of(&cache::DIR, Fault::NoDataDirectory));
    }
    let cache = Cache::read(reader, data);
    let socket = surroundings.socket(&cache.dir);
    Settings {
        mesh: Mesh::read(reader),
        gateway: Gateway::read(reader, Some(socket)),
        origin: Origin::read(reader),
        cache,
        freshness: Freshness::read(reader),
        policy: Policy::read(reader),
        webhook: Webhook::read(reader),
        admin: Admin::read(reader),
        log: Log::read(reader),
    }
}

fn validate(settings: &Settings, problems: &mut Vec<Problem>) {
    settings.mesh.validate(problems);
    settings.gateway.validate(&settings.admin, problems);
    settings.origin.validate(problems);
    settings.cache.validate(problems);
    settings.log.validate(problems);
}

/// Fills in where the value was set and what it is.
fn locate(problem: Problem, values: &Figment) -> Problem {
    let Some(key) = problem.name.as_deref().and_then(key::find) else { return problem };
    let Some((place, value)) = written(key, values) else { return problem };
    let value = problem.value.or_else(|| (!key.secret).then(|| reader::display(&value)));
    Problem { place, value, ..problem }
}

fn written(key: &Key, values: &Figment) -> Option<(Place, figment::value::Value)> {
    let value = values.find_value(key.path).ok()?;
    let metadata = values.get_metadata(value.tag())?;
    Some((layers::place_of(metadata), value))
}

fn places(values: &Figment) -> BTreeMap<&'static str, Place> {
    let place = |key: &'static Key| Some((key.path, written(key, values)?.0));
    key::all().filter_map(place).filter(|(_, place)| *place != Place::Default).collect()
}

/// Notes secrets in files whose mode lets every user read them.
fn readable_secrets(places: &BTreeMap<&'static str, Place>) -> Vec<Note> {
    let secrets = key::all().filter(|key| key.secret);
    let note = |key: &'static Key| match places.get(key.path)? {
        Place::File(file) if choice::is_readable_by_all(file) => {
            Some(Note::SecretInReadableFile { path: key.path, file: file.clone() })
        }
        Place::File(_) | Place::Default | Place::Variable(_) | Place::Flag(_) => None,
    };
    secrets.filter_map(note).collect()
}

fn socket_candidates(
    settings: &Settings,
    places: &BTreeMap<&'static str, Place>,
    surroundings: &Surroundings,
) -> Vec<PathBuf> {
    if places.contains_key("gateway.socket") {
        return settings.gateway.socket.clone().into_iter().collect();
    }
    surroundings.sockets(&settings.cache.dir)
}
