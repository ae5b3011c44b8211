//! Scenarios: what a run is made of, and what is expected of it. See `scenarios/herd.toml` for a commented one.
//!
//! A key that is not known is an error that names the file and the key, so that a misspelt one does not silently change what is
//! tried.

mod check;
mod parts;

pub use parts::{
    AntiEntropy, Byzantine, ByzantineKind, Churn, Clocks, Event, Expect, Freeze, Freshness, Limits, Minutely, Network,
    Origin, Polls, Rights, RightsChange, Roll, RollStep, Start, What, Who, Write,
};

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A value drawn anew each time it is used: both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Span(pub u64, pub u64);

/// One scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line for the reader.
    pub about: String,
    /// Seeds that are run where none is named: 0 to this, excluded.
    pub seeds: u64,
    /// Nodes at the start.
    pub nodes: u32,
    /// Keys that every poll asks for.
    #[serde(default)]
    pub keys: u16,
    /// Paths of the API that every poll asks for, in place of `keys`.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Bytes of each body.
    #[serde(default = "parts::body_bytes")]
    pub body_bytes: usize,
    /// How long answers count as fresh.
    pub freshness: Freshness,
    /// When clients ask.
    pub polls: Polls,
    /// Between nodes.
    pub network: Network,
    /// What nodes tell each other when they connect.
    #[serde(default)]
    pub anti_entropy: AntiEntropy,
    /// The origin.
    pub origin: Origin,
    /// Its limits; absent: none.
    pub limits: Option<Limits>,
    /// Credentials, and what they may read.
    #[serde(default)]
    pub rights: Rights,
    /// Nodes' wall clocks.
    #[serde(default)]
    pub clocks: Clocks,
    /// Nodes that come and go all the time.
    pub churn: Option<Churn>,
    /// Members that misbehave.
    #[serde(default)]
    pub byzantine: Vec<Byzantine>,
    /// What happens, and when.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What must come out.
    #[serde(default)]
    pub expect: Expect,
}

/// Why a scenario could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No such file, or not readable.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a scenario: a key that is not known, one that is missing, or a value of the wrong kind.
    #[error("{} is no scenario: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why, with line and key.
        source: toml::de::Error,
    },
    /// A span whose end lies before its beginning, or a share beyond 0 to 1, or nothing to do.
    #[error("{}: {what} makes no sense", path.display())]
    Senseless {
        /// Which.
        path: PathBuf,
        /// The key.
        what: String,
    },
}

impl Scenario {
    /// Reads a scenario by its name in `scenarios/`, or by a path that ends in `.toml`.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn load(name: &str) -> Result<Self, ScenarioError> {
        let path = if name.ends_with(".toml") { PathBuf::from(name) } else { directory().join(format!("{name}.toml")) };
        match std::fs::read_to_string(&path) {
            Ok(text) => Scenario::parse(&text, &path),
            Err(source) => Err(ScenarioError::Read { path, source }),
        }
    }

    /// Reads a scenario out of `text`; `path` is for what is said of its faults.
    ///
    /// # Errors
    /// [`ScenarioError::Parse`], [`ScenarioError::Senseless`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ScenarioError> {
        let path = path.to_owned();
        let scenario: Scenario = match toml::from_str(text) {
            Ok(scenario) => scenario,
            Err(source) => return Err(ScenarioError::Parse { path, source }),
        };
        match scenario.senseless() {
            Some(what) => Err(ScenarioError::Senseless { path, what }),
            None => Ok(scenario),
        }
    }

    /// The names of all scenarios in `scenarios/`, sorted.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn names() -> std::io::Result<Vec<String>> {
        let files = std::fs::read_dir(directory())?.collect::<Result<Vec<_>, _>>()?;
        let stems = files.iter().filter_map(|file| file.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned));
        let mut names: Vec<_> = stems.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What is polled: path and query of each key.
    pub fn targets(&self) -> Vec<String> {
        if self.paths.is_empty() {
            (0..self.keys).map(|key| format!("/repos/octo/fleet/issues/{key}")).collect()
        } else {
            self.paths.clone()
        }
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}
