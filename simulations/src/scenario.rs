//! Scenarios: what a run is made of, and what is expected of it. See `scenarios/herd.toml` for a commented one.

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
    pub nodes: u16,
    /// Keys that every poll asks for, all by one credential.
    pub keys: u16,
    /// How long a confirmation counts as fresh.
    pub ttl_ms: u64,
    /// When clients ask.
    pub polls: Polls,
    /// Between nodes.
    pub network: Network,
    /// The origin.
    pub origin: Origin,
    /// What happens to nodes.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What must come out.
    pub expect: Expect,
}

/// When each node's client asks for every key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Polls {
    /// After the node's start.
    pub first_ms: u64,
    /// Added to the first, drawn once for each node.
    pub spread_ms: Span,
    /// Between two polls.
    pub every_ms: u64,
    /// No poll after this.
    pub until_ms: u64,
}

/// Between nodes. Hand-over inside a node takes time, too: threads are scheduled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// One way, for questions, answers and pushes.
    pub latency_us: Span,
    /// From an author to each member, over however many relays.
    pub gossip_us: Span,
    /// Between two tasks of one node.
    pub handover_us: Span,
    /// Share of messages that never arrive, 0 to 1.
    pub loss: f64,
    /// From a node's start until a member sees it, for each direction.
    pub join_ms: Span,
    /// From a node's death until a member notices.
    pub detect_ms: Span,
}

/// The origin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// From call to answer.
    pub latency_ms: Span,
    /// How often each key's answer changes. Absent: never.
    pub change_every_ms: Option<u64>,
    /// Share of calls that fail with nothing to share, 0 to 1.
    pub failures: f64,
}

/// Something that happens to a node.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: Span,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happens to a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is gone; its members notice.
    Kill(Who),
    /// It neither works nor answers for a while, and its connections stay.
    Freeze {
        /// Which node.
        who: Who,
        /// How long.
        for_ms: u64,
    },
    /// A further node starts.
    Start {},
}

/// A node by its part for the first key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whom all rank first.
    Owner,
    /// Who calls the origin, as soon as somebody does.
    Holder,
}

/// What must come out of every seed. Beyond that every run is held to what always holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Calls to the origin.
    pub calls: Span,
    /// Calls that the origin charges: those it did not answer with 304, and did answer.
    pub charged: Span,
    /// The longest that any request took.
    pub slowest_ms: u64,
    /// Whether no two calls for one key lie within its time to live, and each change is charged once.
    #[serde(default)]
    pub single_flight: bool,
}

/// Why a scenario could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No such file, or not readable.
    #[error("{path} could not be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a scenario.
    #[error("{path} is no scenario")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: toml::de::Error,
    },
    /// A span whose end lies before its beginning, or a share beyond 0 to 1, or nothing to do.
    #[error("{path}: {what} makes no sense")]
    Senseless {
        /// Which.
        path: PathBuf,
        /// The field.
        what: &'static str,
    },
}

impl Scenario {
    /// Reads a scenario by its name in `scenarios/`, or by a path that ends in `.toml`.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn load(name: &str) -> Result<Self, ScenarioError> {
        let path = if name.ends_with(".toml") { PathBuf::from(name) } else { directory().join(format!("{name}.toml")) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ScenarioError::Read { path, source }),
        };
        let scenario: Scenario = match toml::from_str(&text) {
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

    fn senseless(&self) -> Option<&'static str> {
        let Network { latency_us, gossip_us, handover_us, join_ms, detect_ms, loss } = &self.network;
        let spans = [
            ("network.latency_us", *latency_us),
            ("network.gossip_us", *gossip_us),
            ("network.handover_us", *handover_us),
            ("network.join_ms", *join_ms),
            ("network.detect_ms", *detect_ms),
            ("origin.latency_ms", self.origin.latency_ms),
            ("polls.spread_ms", self.polls.spread_ms),
            ("expect.calls", self.expect.calls),
            ("expect.charged", self.expect.charged),
        ];
        let event = self.events.iter().map(|event| ("events.at_ms", event.at_ms));
        let span = spans.into_iter().chain(event).find(|(_, Span(low, high))| low > high || high - low == u64::MAX);
        let shares = [("network.loss", *loss), ("origin.failures", self.origin.failures)];
        let share = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share));
        let counts = [
            ("nodes", u64::from(self.nodes)),
            ("keys", u64::from(self.keys)),
            ("polls.every_ms", self.polls.every_ms),
            ("origin.change_every_ms", self.origin.change_every_ms.unwrap_or(1)),
        ];
        let count = counts.into_iter().find(|(_, count)| *count == 0);
        span.map(|(what, _)| what).or(share.map(|(what, _)| what)).or(count.map(|(what, _)| what))
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}
