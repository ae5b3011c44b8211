//! What an operator may see of a node.

use crate::stats::Stats;
use ghmesh_mesh::{Other, Peer, SourceStatus};
use ghmesh_model::Millis;
use ghmesh_origin::{AccountView, BreakerState, HostHealth};
use ghmesh_policy::budget::Standing;
use ghmesh_policy::formula::{FormulaRow, Vary};
use serde::Serialize;

/// One connected member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerView {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// The last measured round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Seconds since it connected.
    pub connected_seconds: u64,
    /// Whether it dialled this node.
    pub inbound: bool,
    /// Over what it is connected: `tcp` or `quic`.
    pub transport: &'static str,
}

/// How one way of finding members does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceView {
    /// `static`, `dns`, `dnsaddr`, `remembered`, `mdns`, `kademlia`, `identify`, `inbound`.
    pub name: &'static str,
    /// `off`, `good`, `quiet` (neither found anybody nor failed), `failing` (failed, and found nobody since).
    pub health: &'static str,
    /// Addresses that it gave and that are still known.
    pub addresses: usize,
    /// Connections to members that it has led to.
    pub found: u64,
    /// Seconds since it last led to one.
    pub last_success_seconds: Option<u64>,
    /// Seconds since it last gave addresses, whoever may be there.
    pub last_answer_seconds: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// How many seconds ago.
    pub last_error_seconds: Option<u64>,
}

/// Somebody who was met and is no member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherView {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where it was dialled, or where it came from.
    pub address: String,
    /// Which way of finding members led to it.
    pub source: &'static str,
    /// `other mesh`, or `no node of ghmesh`: as it seems.
    pub kind: &'static str,
    /// Seconds since it was last met.
    pub seen_seconds: u64,
}

/// What is known of one host of the origin's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OriginView {
    /// The host.
    pub host: String,
    /// Whether requests go to it, and none has failed since it last answered.
    pub reachable: bool,
    /// Its breaker: `closed` (requests go through), `open` (they are refused for a while), `half-open` (one tries).
    pub breaker: &'static str,
    /// Seconds until an open breaker lets one request try.
    pub retry_in_seconds: Option<u64>,
    /// Failures in a row while the breaker is closed.
    pub failures: u32,
    /// Seconds since it last answered.
    pub last_answer_seconds: Option<u64>,
    /// Seconds since it last could not be reached, or kept silent for too long.
    pub last_failure_seconds: Option<u64>,
    /// How that showed.
    pub last_failure: Option<String>,
}

/// Where GitHub's ETags can be computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormulaView {
    /// The API's host.
    pub host: String,
    /// Which routes.
    pub routes: &'static str,
    /// Whether they are: if not, a credential's own stored ETags are offered to GitHub and nothing else.
    pub holds: bool,
    /// The `Vary` under which they are computed; none where that would not be safe.
    pub vary: Option<&'static str>,
}

/// How often one kind of resource was found changed when GitHub was asked again, since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeView {
    /// Which routes.
    pub routes: &'static str,
    /// Answers of GitHub's about what was kept here.
    pub checks: u64,
    /// Of those, with another body.
    pub changed: u64,
    /// Seconds between changes, as far as can be told; none before the first.
    pub change_every_seconds: Option<u64>,
}

/// What is known of one credential's rate limits at one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitView {
    /// The host.
    pub host: String,
    /// The start of the credential's fingerprint: the mesh's where it has one, else this node's.
    pub credential: String,
    /// Nodes that use it, this one included, as far as they say so.
    pub users: u32,
    /// This node's requests in flight.
    pub in_flight: u32,
    /// Seconds for which GitHub has asked for silence.
    pub retry_after_seconds: Option<u64>,
    /// The buckets whose windows run.
    pub buckets: Vec<BucketView>,
}

/// One bucket of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketView {
    /// `core`, `search`, `graphql`, …
    pub name: String,
    /// Requests a window.
    pub limit: u64,
    /// What is left of them.
    pub remaining: u64,
    /// Seconds until it is full again.
    pub reset_seconds: u64,
    /// Whether a member said so, and GitHub has not answered this node since.
    pub told: bool,
}

/// A node's state, in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// The mesh's state: `off`, `starting`, `running`, `failed`.
    pub mesh: &'static str,
    /// Why it failed to start; the node is a local cache until its next start.
    pub mesh_failure: Option<String>,
    /// The mesh's label: the same on all nodes that share a secret and a cluster name. Tells nothing of the secret.
    pub mesh_label: Option<String>,
    /// The labels of secrets that are accepted besides.
    pub accepted_labels: Vec<String>,
    /// Why secrets that were to take the place of those in force can't.
    pub secret_problem: Option<String>,
    /// Whom a body may serve: `proof`, `credential` or `mesh`.
    pub sharing: &'static str,
    /// The totals.
    pub stats: Stats,
    /// The members.
    pub peers: Vec<PeerView>,
    /// Nodes of other meshes, and foreign programs, that were turned away at the gate since the start.
    pub strangers: u64,
    /// The ways of finding members.
    pub sources: Vec<SourceView>,
    /// Who was met in the last hour and is no member, the latest first.
    pub others: Vec<OtherView>,
    /// Whether lifetimes follow how often resources change.
    pub adaptive: bool,
    /// How often they do.
    pub changes: Vec<ChangeView>,
    /// Where ETags follow the formula, as far as this node has seen.
    pub formulas: Vec<FormulaView>,
    /// What is known of credentials' rate limits.
    pub limits: Vec<LimitView>,
    /// The hosts that requests have gone to.
    pub origins: Vec<OriginView>,
}

/// Whether requests are answered. It never depends on peers: one node alone is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether they are.
    pub ready: bool,
    /// The mesh's state: `off`, `starting`, `running`, `failed`. No reason: the page is open to all who connect.
    pub mesh: &'static str,
}

impl From<Peer> for PeerView {
    fn from(peer: Peer) -> Self {
        PeerView {
            peer_id: peer.peer_id,
            addresses: peer.addresses,
            round_trip_ms: peer.round_trip.map(|took| took.as_secs_f64() * 1000.0),
            connected_seconds: peer.connected_at.elapsed().as_secs(),
            inbound: peer.inbound,
            transport: peer.transport.name(),
        }
    }
}

impl From<SourceStatus> for SourceView {
    fn from(source: SourceStatus) -> Self {
        SourceView {
            name: source.source.name(),
            health: source.health.name(),
            addresses: source.addresses,
            found: source.found,
            last_success_seconds: source.last_success.map(|at| at.elapsed().as_secs()),
            last_answer_seconds: source.last_answer.map(|at| at.elapsed().as_secs()),
            last_error_seconds: source.last_error.as_ref().map(|(at, _)| at.elapsed().as_secs()),
            last_error: source.last_error.map(|(_, error)| error),
        }
    }
}

impl From<Other> for OtherView {
    fn from(other: Other) -> Self {
        OtherView {
            peer_id: other.peer_id,
            address: other.address,
            source: other.source.name(),
            kind: other.kind.name(),
            seen_seconds: other.seen_at.elapsed().as_secs(),
        }
    }
}

impl From<FormulaRow<'_>> for FormulaView {
    fn from(row: FormulaRow<'_>) -> Self {
        FormulaView {
            host: row.authority.to_owned(),
            routes: row.family.name(),
            holds: row.holds,
            vary: row.vary.map(Vary::line),
        }
    }
}

impl From<(String, AccountView)> for LimitView {
    fn from((credential, view): (String, AccountView)) -> Self {
        let AccountView { host, ledger, moment, in_flight, .. } = view;
        let bucket = |(name, standing, told): (&str, Standing, bool)| BucketView {
            name: name.to_owned(),
            limit: standing.limit,
            remaining: standing.remaining,
            reset_seconds: standing.reset.saturating_sub(moment.there),
            told,
        };
        LimitView {
            host,
            credential,
            users: ledger.active(moment.now),
            in_flight,
            retry_after_seconds: ledger.stop_left(moment.now).map(|left| left.as_secs()),
            buckets: ledger.standings(moment.there).map(bucket).collect(),
        }
    }
}

impl OriginView {
    pub(crate) fn new(health: HostHealth, now: Millis) -> Self {
        let ago = |at: Millis| now.since(at).unwrap_or_default().as_secs();
        let (breaker, retry_in_seconds, failures) = match health.breaker {
            BreakerState::Closed { failures } => ("closed", None, failures),
            BreakerState::Open { retry_in } => ("open", Some(retry_in.as_secs()), 0),
            BreakerState::HalfOpen => ("half-open", None, 0),
        };
        OriginView {
            host: health.host,
            reachable: breaker == "closed" && failures == 0,
            breaker,
            retry_in_seconds,
            failures,
            last_answer_seconds: health.last_answer.map(ago),
            last_failure_seconds: health.last_failure.as_ref().map(|(at, _)| ago(*at)),
            last_failure: health.last_failure.map(|(_, error)| error),
        }
    }
}
