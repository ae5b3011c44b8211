//! What a body says beside its content: how long it lasts, which versions of which resources it shows, which nodes it has.
//!
//! Read once, when an answer is kept. What it shows of resources is compared with what was last seen of them: one that has moved
//! on makes what was kept of it stale, here and on the members, without a call.

use crate::node::Inner;
use bytes::Bytes;
use ghmesh_model::{BodyFacts, Millis, Representation, Scope};
use ghmesh_policy::validators::{self, Fields};
use ghmesh_policy::{Nodes, Read, Route, Target, Validators, freshness, routes};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Scopes of one entry beyond those of its path: 4 KiB.
const MAX_BODY_SCOPES: usize = 256;

/// Resources of which the last seen version is remembered: about 8 MiB. Of what is forgotten, only the lifetime ends entries.
const MAX_SIGHTINGS: usize = 16_384;

/// How much later than the answer that showed it the word that a resource has moved on may reach a member: the answer counts there
/// all the same.
const WORD_TRAVELS: Duration = Duration::from_millis(250);

/// What was read out of one body.
#[derive(Debug, Default)]
pub(crate) struct Insight {
    /// How long it lasts, and the name of the versions in it.
    pub(crate) facts: BodyFacts,
    /// All scopes that the answer belongs to: those of its path first.
    pub(crate) scopes: Vec<Scope>,
    /// The versions that it shows.
    pub(crate) validators: Validators,
}

impl Insight {
    /// Reads the body of an answer to `read`. `origin_date`: when GitHub sent it, in Unix seconds.
    pub(crate) fn of(read: &Read, representation: &Representation, body: &Bytes, origin_date: u64) -> Self {
        let mut insight = Insight { scopes: read.scopes(), ..Insight::default() };
        if read.graphql.is_some() {
            insight.add(Nodes::of_graphql(body).scopes_of_read(&read.target.authority, MAX_BODY_SCOPES));
        } else if is_json(representation) {
            insight.read_rest(read, body, origin_date);
        }
        insight
    }

    fn read_rest(&mut self, read: &Read, body: &Bytes, origin_date: u64) {
        let Target { resource: Some(resource), .. } = &read.target else { return };
        self.validators = Validators::of(&read.target, &read.caller.base, body);
        self.facts = BodyFacts {
            settled: routes::settled(Route::of(&read.target), body, origin_date),
            validation: self.validators.cid(),
        };
        let own = self.validators.own().map(|(name, _)| validators::scopes(&resource.host, name));
        let own: Vec<_> = own.into_iter().flatten().collect();
        self.add(own);
        self.add(Nodes::of_rest(body).scopes_of_read(&resource.host, MAX_BODY_SCOPES));
    }

    fn add(&mut self, scopes: Vec<Scope>) {
        for scope in scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
    }
}

fn is_json(representation: &Representation) -> bool {
    let content_type = representation.headers.iter().find(|(name, _)| name == "content-type");
    content_type
        .is_some_and(|(_, value)| value.split(';').next().is_some_and(|essence| essence.trim().ends_with("json")))
}

/// A resource by its host and its name there.
type Resource = (String, String);

/// The versions of resources that this node saw last, in memory.
#[derive(Debug, Default)]
pub(crate) struct Sightings(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    latest: HashMap<Resource, (Fields, Millis)>,
    /// In the order in which they were first seen; the first goes first.
    order: VecDeque<Resource>,
}

/// A resource that is another version than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moved {
    /// Of what is kept for it by itself.
    scopes: Vec<Scope>,
    /// Of the writes that may have changed it.
    covering: Vec<Scope>,
    /// When the version of before was asked for.
    seen_before: Millis,
    /// Whether the body that showed it is the resource.
    is_own: bool,
}

impl Sightings {
    /// Takes what an answer from `host` showed that was asked for at `sent_at`. Gives what has moved on since it was last seen.
    fn note(&self, host: &str, shown: &Validators, sent_at: Millis) -> Vec<Moved> {
        let own = shown.own().map(|(name, _)| name);
        let mut seen = self.lock();
        let moved = shown.objects().filter_map(|(name, fields)| {
            let seen_before = seen.note((host.to_owned(), name.to_owned()), fields, sent_at)?;
            let (scopes, covering) = (validators::scopes(host, name), validators::covering(host, name));
            Some(Moved { scopes, covering, seen_before, is_own: own == Some(name) })
        });
        moved.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// If the resource is another version now than it was: when that one was asked for.
    fn note(&mut self, resource: Resource, fields: &Fields, sent_at: Millis) -> Option<Millis> {
        if let Some((known, at)) = self.latest.get_mut(&resource) {
            if *at > sent_at {
                return None;
            }
            let moved = validators::moved_on(known, fields).then_some(*at);
            *known = fields.clone();
            *at = sent_at;
            return moved;
        }
        if self.order.len() == MAX_SIGHTINGS
            && let Some(oldest) = self.order.pop_front()
        {
            self.latest.remove(&oldest);
        }
        self.order.push_back(resource.clone());
        self.latest.insert(resource, (fields.clone(), sent_at));
        None
    }
}

impl Inner {
    /// Makes what is kept of the resources stale that an answer, asked for at `sent_at`, shows to have moved on. The answer itself
    /// is not: where it is the resource, only what was asked for before it is. Who was told, after the older version was seen here,
    /// that the resource is another one now, has nothing to tell: what others have of it may be as new as this.
    pub(crate) async fn note_versions(&self, read: &Read, insight: &Insight, sent_at: Millis) {
        let Some(resource) = &read.target.resource else { return };
        let mut moved = self.sightings.note(&resource.host, &insight.validators, sent_at);
        moved.retain(|moved| !self.tombstones.buried_since(&moved.covering, moved.seen_before));
        let (own, others): (Vec<_>, Vec<_>) = moved.into_iter().partition(|moved| moved.is_own);
        for (moved, at) in [(own, sent_at.before(freshness::TOMBSTONE_MARGIN + WORD_TRAVELS)), (others, sent_at)] {
            let scopes: Vec<_> = moved.into_iter().flat_map(|moved| moved.scopes).collect();
            if !scopes.is_empty() {
                self.bury_unsynced(&scopes, at).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
