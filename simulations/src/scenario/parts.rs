//! The tables of a scenario file.

use super::Span;
use serde::Deserialize;

/// How long answers count as fresh. The first of these that is given counts; with none, the route table's times do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// What clients ask for with `X-Gh-Cache-Ttl`: exact.
    pub caller_ttl_ms: Option<u64>,
    /// The operator's `cache.default_ttl`: ends up to a tenth early on each node.
    pub ttl_ms: Option<u64>,
    /// Whether the route table's times follow how often a key changes.
    #[serde(default)]
    pub adaptive: bool,
    /// `cache.proof_ttl`. Absent: an hour.
    pub proof_ttl_ms: Option<u64>,
    /// `cache.stale_ttl`. Absent: an hour.
    pub stale_ttl_ms: Option<u64>,
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
    /// Connections that a node aims at. Absent: everybody is connected to everybody.
    pub degree: Option<u32>,
    /// One way between neighbours.
    pub latency_us: Span,
    /// Added for each hop of gossip: opening and verifying a record before it goes on.
    pub relay_us: Span,
    /// Between two tasks of one node.
    pub handover_us: Span,
    /// Share of messages that never arrive, 0 to 1.
    pub loss: f64,
    /// From a node's start until a member sees it, for each direction.
    pub join_ms: Span,
    /// From a node's death until a member notices.
    pub detect_ms: Span,
}

/// What nodes tell each other when they connect: a digest of what they hold, and what the other lacks of it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AntiEntropy {
    /// Whether they do.
    pub on_connect: bool,
}

/// The origin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// From call to answer.
    pub latency_ms: Span,
    /// How often each key's answer changes by itself. Absent: never.
    pub change_every_ms: Option<u64>,
    /// Share of calls that fail with nothing to share, 0 to 1.
    pub failures: f64,
}

/// GitHub's limits, for each credential.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Charged calls an hour. Beyond them: 403 until the hour is over.
    pub hourly: u64,
    /// Calls a minute, charged or not. Beyond them: 429 with this many seconds to wait. Absent: no such limit.
    pub minutely: Option<Minutely>,
}

/// GitHub's secondary limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minutely {
    /// Calls a minute.
    pub calls: u64,
    /// `Retry-After` of the answer to one too many.
    pub retry_after_s: u64,
}

/// Credentials, and what they may read: everything, unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Node i presents credential i modulo this.
    pub credentials: u16,
    /// Credentials that each node's client presents in turn.
    #[serde(default = "one")]
    pub each: u16,
    /// Keys that a credential may not read from the start.
    #[serde(default)]
    pub denied: Vec<RightsChange>,
}

impl Default for Rights {
    fn default() -> Self {
        Rights { credentials: 1, each: 1, denied: Vec::new() }
    }
}

fn one() -> u16 {
    1
}

/// Bytes of a body where a scenario does not say: GitHub's issues and runs have 2 to 10 KiB.
pub(super) fn body_bytes() -> usize {
    4096
}

/// One credential and one key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightsChange {
    /// The credential's number.
    pub credential: u16,
    /// The key's number.
    pub key: u16,
    /// Whether it may read it. In `rights.denied`: not.
    #[serde(default)]
    pub may: bool,
}

/// Nodes' wall clocks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// How far each may be off, either way: drawn once for each node.
    pub skew_ms: u64,
}

/// Nodes that come and go all the time, beside those of the start, which stay.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// From one start to the next.
    pub start_every_ms: Span,
    /// How long each lives.
    pub life_ms: Span,
    /// Share of them that is killed rather than stopped, 0 to 1.
    pub killed: f64,
}

/// Members that misbehave. They hold a credential of their own that nobody else presents.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Byzantine {
    /// How.
    pub kind: ByzantineKind,
    /// How many of the nodes: the last ones.
    pub nodes: u32,
}

/// How a member misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByzantineKind {
    /// It gossips, delivers and answers with records for others' credentials that it made up, from the future, just confirmed.
    Forger,
    /// It gossips others' true records again and again, as just confirmed.
    Replayer,
    /// It tells everybody to wait.
    Liar,
    /// It answers nothing and passes nothing on.
    Silent,
}

/// Something that happens. One of its fields says what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at_ms: Span,
    /// Again after so long, until the last poll.
    pub every_ms: Option<u64>,
    /// It is gone; its members notice.
    pub kill: Option<Who>,
    /// It neither works nor answers for a while, and its connections stay.
    pub freeze: Option<Freeze>,
    /// Further nodes start.
    pub start: Option<Start>,
    /// The network falls into so many parts that don't hear of each other.
    pub split: Option<u8>,
    /// And is one again.
    pub merge: Option<bool>,
    /// A credential's rights change.
    pub rights: Option<RightsChange>,
    /// A client changes a key through its node.
    pub write: Option<Write>,
    /// The mesh secret changes.
    pub roll: Option<Roll>,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// See [`Event::kill`].
    Kill(Who),
    /// See [`Event::freeze`].
    Freeze(Freeze),
    /// See [`Event::start`].
    Start(Start),
    /// See [`Event::split`].
    Split(u8),
    /// See [`Event::merge`].
    Merge,
    /// See [`Event::rights`].
    Rights(RightsChange),
    /// See [`Event::write`].
    Write(Write),
    /// See [`Event::roll`].
    Roll(Roll),
}

impl Event {
    /// What happens. `None` unless exactly one thing does.
    pub fn what(&self) -> Option<What> {
        let all = [
            self.kill.map(What::Kill),
            self.freeze.map(What::Freeze),
            self.start.map(What::Start),
            self.split.map(What::Split),
            self.merge.map(|_| What::Merge),
            self.rights.map(What::Rights),
            self.write.map(What::Write),
            self.roll.map(What::Roll),
        ];
        let mut given = all.into_iter().flatten();
        given.next().filter(|_| given.next().is_none())
    }
}

/// A node that hangs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Which node.
    pub who: Who,
    /// How long.
    pub for_ms: u64,
}

/// Further nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// How many. Absent: one.
    pub nodes: Option<u32>,
    /// Whether they only have the secret of before [`Roll`].
    #[serde(default)]
    pub old_secret: bool,
}

/// A write through a node.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The key's number.
    pub key: u16,
}

/// One roll of the mesh secret: every node takes it at a moment of its own within `over_ms`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Which.
    pub step: RollStep,
    /// The time that the whole fleet takes for it.
    pub over_ms: u64,
    /// Nodes, the last of the start, that are left behind.
    #[serde(default)]
    pub left_behind: u32,
}

/// The three rolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollStep {
    /// The new secret is accepted beside the old one.
    Accept,
    /// The new one is the secret, the old one is still accepted.
    Use,
    /// The old one goes, and its connections with it.
    Drop,
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
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Calls to the origin.
    pub calls: Option<Span>,
    /// Calls that the origin charges: those it did not answer with 304, and did answer.
    pub charged: Option<Span>,
    /// Calls that the origin charges beyond one for each change that somebody asked for.
    pub overcharged: Option<Span>,
    /// Calls for what another call that was under way would have brought.
    pub doubled: Option<Span>,
    /// Calls saved, in percent of what the same polls cost without ghmesh.
    pub saved_percent: Option<Span>,
    /// Charged calls saved, in percent of what the same polls cost without ghmesh.
    pub saved_charges_percent: Option<Span>,
    /// Requests that got no answer.
    pub failures: Option<Span>,
    /// Requests that would have got none without ghmesh.
    pub failures_without: Option<Span>,
    /// Answers to which the origin had something newer, in tenths of a percent.
    pub outdated_permille: Option<Span>,
    /// Times that a node expelled a member.
    pub expulsions: Option<Span>,
    /// Nodes that are alive at the end and connected to nobody.
    pub alone: Option<Span>,
    /// The longest that any request took.
    pub slowest_ms: Option<u64>,
    /// Whether no two calls for one key and credential lie within its shortest time to live, and each change is charged once.
    #[serde(default)]
    pub single_flight: bool,
}
