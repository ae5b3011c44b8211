//! The node itself: its parts, and the way of a read through them.

use crate::budgets::Budgets;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::denials::{self, Denials};
use crate::early::Early;
use crate::failure::Failure;
use crate::flights::{Flights, Outcome, Pilot, Role};
use crate::formulas::Formulas;
use crate::grants::Grants;
use crate::insight::Sightings;
use crate::landed::{How, Landed};
use crate::members::{Members, Membership};
use crate::presence::Attendance;
use crate::stats::{Count, Counts, Stats};
use crate::status::{LimitView, OriginView, PeerView, Readiness, Status};
use crate::tags::Tags;
use crate::tombstones::Tombstones;
use crate::unfinished;
use crate::writes::Writes;
use bytes::Bytes;
use ghmesh_model::{Entry, LocalFingerprint, Millis, Scope};
use ghmesh_origin::{Body, Origin};
use ghmesh_policy::answer::{self, HitKind};
use ghmesh_policy::{Credential, Freshness, Origins, Read, Sharing, Verdict};
use ghmesh_store::{Store, Unfinished};
use http::{HeaderMap, Response};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Flights that a caller joins one after the other, if what each brought home was not for it. Then it flies alone.
const JOINS: usize = 2;

/// Longest wait for another credential's flight: as long as a lease, before anything is measured, so that it is no longer within
/// one node than between two.
const FOLLOWING: Duration = Duration::from_secs(3);

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's times.
    pub freshness: Freshness,
    /// Whether a mesh will be joined ([`Node::join`]). Only shown.
    pub mesh_enabled: bool,
    /// The hosts that are trusted: their redirects let callers go where they point.
    pub origins: Origins,
    /// Whom a body that was fetched for one credential may serve.
    pub sharing: Sharing,
}

/// One node. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) started: Millis,
    pub(crate) store: Store,
    pub(crate) origin: Origin,
    pub(crate) counts: Counts,
    pub(crate) flights: Flights,
    pub(crate) tombstones: Tombstones,
    /// Writes that an earlier process began, until members are told.
    pub(crate) unfinished: Mutex<Vec<Unfinished>>,
    pub(crate) grants: Grants,
    pub(crate) denials: Denials,
    pub(crate) writes: Writes,
    pub(crate) early: Early,
    pub(crate) budgets: Budgets,
    pub(crate) attendance: Attendance,
    pub(crate) formulas: Formulas,
    pub(crate) sightings: Sightings,
    pub(crate) changes: Changes,
    pub(crate) tags: Tags,
    pub(crate) everybody: Credential,
    /// Set once the mesh secret's keys are derived and the mesh listens.
    pub(crate) members: OnceLock<Members>,
    /// Set where the mesh could not be started: why.
    pub(crate) mesh_failure: OnceLock<String>,
    /// What is wrong with secrets that were to take the place of those in force.
    pub(crate) secret_problem: Mutex<Option<String>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Node {
    /// A node that answers from `store` and `origin` at once, and from a mesh after [`Node::join`]. `clock` must be the one
    /// that store and origin were given.
    pub fn new(config: Config, clock: Clock, store: Store, origin: Origin) -> Self {
        let (denied, buried): (Vec<_>, Vec<_>) = store.tombstones().into_iter().partition(denials::is_denial);
        // Those from a time to come are from before the clock was set back. What was confirmed before then is not shown, as its age is
        // unknown; what is confirmed from now on came after them.
        let started = clock.now();
        let past = |stones: Vec<(Scope, Millis)>| stones.into_iter().map(move |(scope, at)| (scope, at.min(started)));
        let denials = Denials::new(past(denied), config.freshness.proof_ttl);
        let unfinished = store.unfinished_writes();
        let begun = unfinished::tombstones(&unfinished, started);
        let tombstones = Tombstones::new(past(buried).chain(begun), config.freshness.proof_ttl);
        Node(Arc::new(Inner {
            config,
            clock,
            started,
            store,
            origin,
            counts: Counts::default(),
            flights: Flights::default(),
            tombstones,
            unfinished: Mutex::new(unfinished),
            grants: Grants::default(),
            denials,
            writes: Writes::default(),
            early: Early::default(),
            budgets: Budgets::default(),
            attendance: Attendance::default(),
            formulas: Formulas::default(),
            sightings: Sightings::default(),
            changes: Changes::default(),
            tags: Tags::default(),
            everybody: Credential::everybody(),
            members: OnceLock::new(),
            mesh_failure: OnceLock::new(),
            secret_problem: Mutex::default(),
        }))
    }

    /// Shares with a mesh from now on. Only the first call counts.
    pub fn join(&self, membership: Membership) {
        Members::join(&self.0, membership);
    }

    /// Notes why the mesh could not be started. The node goes on as a local cache, and says so. Only the first call counts.
    pub fn mesh_failed(&self, reason: String) {
        let _ = self.0.mesh_failure.set(reason);
    }

    /// Answers a read: the whole response, head and body.
    ///
    /// # Errors
    /// [`Failure`] where GitHub gave no answer and nothing kept may stand in.
    pub async fn lookup(&self, read: Read) -> Result<Response<Body>, Failure> {
        self.0.counts.requests.add();
        let answered = self.0.clone().resolve(Arc::new(read)).await;
        if answered.is_err() {
            self.0.counts.failures.add();
        }
        answered
    }

    /// Whether a redirect of GitHub's has lately named `authority`.
    pub fn is_granted(&self, authority: &str) -> bool {
        self.0.grants.allows(authority, self.0.clock.now())
    }

    /// The totals since the start.
    pub fn stats(&self) -> Stats {
        let inner = &self.0;
        let mut stats = Stats::default();
        inner.counts.fill(&mut stats);
        let usage = inner.store.usage();
        stats.entries = usage.entries;
        stats.bytes = usage.bytes;
        stats.max_entries = usage.max_entries;
        stats.fleet_size = inner.fleet_size();
        stats.uptime_seconds = inner.clock.now().since(inner.started).unwrap_or_default().as_secs();
        if let Some(members) = inner.members.get() {
            members.fill(&mut stats);
        }
        stats
    }

    /// The members that are connected.
    pub fn peers(&self) -> Vec<PeerView> {
        self.0.members.get().map(Members::peers).unwrap_or_default()
    }

    /// Everything an operator may want to know.
    pub fn status(&self) -> Status {
        let (members, now) = (self.0.members.get(), self.0.clock.now());
        Status {
            version: env!("CARGO_PKG_VERSION"),
            mesh: self.mesh_state(),
            mesh_failure: self.0.mesh_failure.get().cloned(),
            mesh_label: members.map(Members::label),
            accepted_labels: members.map(Members::accepted_labels).unwrap_or_default(),
            secret_problem: self.0.secret_problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            sharing: self.0.config.sharing.name(),
            adaptive: self.0.config.freshness.adaptive,
            changes: self.0.changes.views(),
            stats: self.stats(),
            peers: self.peers(),
            strangers: members.map(Members::strangers).unwrap_or_default(),
            sources: members.map(Members::sources).unwrap_or_default(),
            others: members.map(Members::others).unwrap_or_default(),
            formulas: self.0.formulas.views(),
            limits: self.0.budget_views().into_iter().map(LimitView::from).collect(),
            origins: self.0.origin.health().into_iter().map(|health| OriginView::new(health, now)).collect(),
        }
    }

    /// Whether requests are answered. A node without peers is ready.
    pub fn ready(&self) -> Readiness {
        Readiness { ready: true, mesh: self.mesh_state() }
    }

    fn mesh_state(&self) -> &'static str {
        match (self.0.members.get(), self.0.mesh_failure.get()) {
            (Some(_), _) => "running",
            (None, Some(_)) => "failed",
            (None, None) if self.0.config.mesh_enabled => "starting",
            (None, None) => "off",
        }
    }
}

/// What one caller gets out of a flight.
pub(crate) enum Flown {
    /// Something that everybody with the credential may have; with the headers of the call that this flight made.
    Landed(Arc<Landed>, Option<HeaderMap>),
    /// A response that only one can have: too large, or of an unusual kind.
    Stream(Response<Body>),
    /// Nothing.
    Failed(Failure),
}

impl Inner {
    /// A credential as denials and the origin's ledger know it.
    pub(crate) fn fingerprint(&self, read: &Read) -> LocalFingerprint {
        LocalFingerprint(self.store.data_key().local_fingerprint(read.credential.as_bytes()))
    }

    /// Whose answers a caller may have: its credential's, or everybody's.
    pub(crate) fn identity<'a>(&'a self, read: &'a Read) -> &'a Credential {
        if self.config.sharing.is_common(read) { &self.everybody } else { &read.credential }
    }

    /// That identity as the store and flights know it.
    pub(crate) fn holder(&self, read: &Read) -> LocalFingerprint {
        LocalFingerprint(self.store.data_key().local_fingerprint(self.identity(read).as_bytes()))
    }

    async fn resolve(self: Arc<Self>, read: Arc<Read>) -> Result<Response<Body>, Failure> {
        if let Some(answered) = self.fresh_here(&read).await {
            return Ok(answered);
        }
        if read.caller.directives.only_if_cached {
            return Err(Failure::NotCached {
                reason: "the request, or policy.mode = \"offline\", forbids asking GitHub",
            });
        }
        let key = (read.key, self.holder(&read));
        // Who wants the origin's word now does not take what a flight of before brings home.
        let joins = if read.caller.directives.no_cache { 0 } else { JOINS };
        for _ in 0..joins {
            let late_enough = |started| self.tombstones.admit(&read.scopes(), started);
            match self.flights.join(key, self.clock.now(), late_enough) {
                Role::Lead(pilot) => return self.lead(read, Some(pilot)).await,
                Role::Follow(mut flight) => {
                    let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
                    if let Some(answered) = self.follow(&read, outcome) {
                        return answered;
                    }
                }
            }
        }
        self.lead(read, None).await
    }

    /// The answer from an entry that is fresh and whole here: no network.
    async fn fresh_here(&self, read: &Read) -> Option<Response<Body>> {
        let held = self.held(read)?;
        let body = held.body.filter(|_| held.verdict == Verdict::Fresh)?;
        let entry = match held.how {
            How::Peer => self.taken_over(read, &held.entry, &body).await?,
            How::Local | How::Fetched { .. } | How::Revalidated { .. } | How::Stale => held.entry,
        };
        self.count(held.how);
        Some(self.answer(read, &entry, body, held.how, false, None))
    }

    /// Takes what the flight of another caller of the same credential brought home, if it is good enough for this one.
    fn follow(&self, read: &Read, outcome: Option<Outcome>) -> Option<Result<Response<Body>, Failure>> {
        match outcome? {
            Outcome::Alone => None,
            Outcome::Failed(failure) => Some(Err(failure)),
            Outcome::Landed(landed) => match &*landed {
                Landed::Entry { entry, body, how } => {
                    let verdict = self.verdict(read, entry);
                    let just_now = matches!(how, How::Fetched { .. } | How::Revalidated { .. });
                    let stale = *how == How::Stale && verdict == Verdict::Stale { usable_on_error: true };
                    let before_a_write = !self.tombstones.admit(&entry.scopes, entry.confirmed_at);
                    if (verdict != Verdict::Fresh && !just_now && !stale) || (just_now && before_a_write) {
                        return None;
                    }
                    self.count(if stale { How::Stale } else { How::Local });
                    Some(Ok(self.answer(read, entry, body.clone(), *how, true, None)))
                }
                Landed::Plain { status, headers, body } => {
                    self.counts.misses.add();
                    Some(Ok(plain(read, *status, headers, body.clone())))
                }
            },
        }
    }

    /// Flies, in a task of its own: this caller may hang up, those who joined may not.
    async fn lead(self: Arc<Self>, read: Arc<Read>, pilot: Option<Pilot>) -> Result<Response<Body>, Failure> {
        let (sender, receiver) = oneshot::channel();
        let (node, errand) = (self.clone(), read.clone());
        tokio::spawn(async move {
            if let Some(pilot) = &pilot {
                node.after_another(&errand, pilot).await;
            }
            let flown = node.fly(&errand).await;
            if let Some(pilot) = pilot {
                pilot.land(node.outcome(&errand, &flown));
            }
            // Nobody listens where the caller has hung up.
            let _ = sender.send(flown);
        });
        match receiver.await {
            Ok(Flown::Landed(landed, live)) => Ok(self.landed(&read, &landed, live.as_ref())),
            Ok(Flown::Stream(response)) => Ok(response),
            Ok(Flown::Failed(failure)) => Err(failure),
            // The task panicked: tell this one caller; the others were freed by the pilot.
            Err(_) => Err(Failure::Interrupted {
                host: read.target.authority.clone(),
                reason: "an internal error".to_owned(),
            }),
        }
    }

    /// Where another credential's flight for the same key began first, waits for its end, once: what it brings home is confirmed
    /// for this credential at no cost. Where the mesh knows the credential, `fleet` sees to that, also between nodes.
    async fn after_another(&self, read: &Read, pilot: &Pilot) {
        let helps = self.borrows(read) && !read.caller.directives.no_cache && self.subject(read).is_none();
        let Some(mut first) = helps.then(|| pilot.first_of_key(&read.key)).flatten() else { return };
        // One that takes longer costs a charged call, which is what waiting was to save.
        let _ = tokio::time::timeout(FOLLOWING, first.wait_for(Option::is_some)).await;
    }

    /// What those who joined a flight are told of it.
    fn outcome(&self, read: &Read, flown: &Flown) -> Outcome {
        match flown {
            // GitHub's words to one credential are not for another.
            Flown::Landed(landed, _) if matches!(**landed, Landed::Plain { .. }) && self.is_common(read) => {
                Outcome::Alone
            }
            Flown::Failed(Failure::Limited { .. }) if self.is_common(read) => Outcome::Alone,
            Flown::Landed(landed, _) => Outcome::Landed(landed.clone()),
            Flown::Stream(_) => Outcome::Alone,
            Flown::Failed(failure) => Outcome::Failed(failure.clone()),
        }
    }

    fn landed(&self, read: &Read, landed: &Landed, live: Option<&HeaderMap>) -> Response<Body> {
        match landed {
            Landed::Entry { entry, body, how } => {
                self.count(*how);
                self.answer(read, entry, body.clone(), *how, false, live)
            }
            Landed::Plain { status, headers, body } => {
                self.counts.misses.add();
                plain(read, *status, headers, body.clone())
            }
        }
    }

    fn count(&self, how: How) {
        let count: &Count = match how {
            How::Local => &self.counts.local_hits,
            How::Peer => &self.counts.peer_hits,
            How::Stale => &self.counts.stale_served,
            How::Fetched { .. } => &self.counts.misses,
            How::Revalidated { .. } => {
                self.counts.revalidated.add();
                &self.counts.misses
            }
        };
        count.add();
    }

    fn answer(
        &self,
        read: &Read,
        entry: &Entry,
        body: Bytes,
        how: How,
        collapsed: bool,
        live: Option<&HeaderMap>,
    ) -> Response<Body> {
        let kind = match how {
            How::Stale => HitKind::Stale,
            _ if collapsed => HitKind::Collapsed,
            How::Local => HitKind::Local,
            How::Peer => HitKind::Peer,
            How::Fetched { stored } => HitKind::Miss { stored },
            How::Revalidated { stored } => HitKind::Revalidated { stored },
        };
        let mut head = answer::hit(read, entry, self.clock.now(), kind, live);
        if live.is_none() {
            self.write_limits(read, head.headers_mut());
        }
        let body = if answer::carries_body(read, &head) { ghmesh_origin::full(body) } else { ghmesh_origin::empty() };
        head.map(|()| body)
    }
}

/// GitHub's own answer, not kept.
fn plain(read: &Read, status: http::StatusCode, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    let head = answer::uncached(read, status, headers);
    let body = if answer::carries_body(read, &head) { ghmesh_origin::full(body) } else { ghmesh_origin::empty() };
    head.map(|()| body)
}
