//! Whether a kept answer may be used (RFC 9111 §4.2), and how that is bounded.
//!
//! A kept answer is proof that its credential may read it, so its age counts from the last time GitHub confirmed it *for that
//! credential*, and `proof_ttl` caps every other lifetime: what the operator, the caller or the route would allow longer.
//!
//! How long it is fresh is what the first of these says:
//! 1. the caller, with `X-Gh-Cache-Ttl`;
//! 2. the operator for this route (`freshness.routes`), or for all of them (`cache.default_ttl`);
//! 3. the route table ([`crate::routes`]), stretched or shortened by how often this resource changed ([`crate::adaptive`]).
//!
//! What names a Git object by its hash stays as it is, whatever 2 and 3 say. GitHub's own `max-age` counts where it is shorter
//! than its usual minute. Lifetimes of 2 and 3 end up to a tenth early, differently for each answer and node, so that what was
//! fetched together is not asked for together. And GitHub isn't asked before its `x-poll-interval` has passed, unless the caller
//! says `no-cache` or something was written.
//!
//! GitHub marks answers `s-maxage=60`, which would forbid a shared cache to serve them stale (RFC 9111 §5.2.2.10). A kept
//! answer is used for one credential only, so that towards its callers this is a private cache, and `max-age` is what counts.

use crate::routes::{Route, RouteOverrides};
use crate::{Directives, Read, adaptive, headers};
use ghmesh_model::{CacheKey, Entry, Millis, Scope};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a tombstone is distrusted beyond itself: clocks and GitHub's replicas may differ by this much.
pub const TOMBSTONE_MARGIN: Duration = Duration::from_secs(1);
/// The `max-age` that GitHub puts on everything, so that it says nothing about the resource at hand; a shorter one does.
const GITHUB_MAX_AGE: Duration = Duration::from_secs(60);
/// Longest poll interval that is obeyed. GitHub's longest is five minutes; the header may come from a peer, which must not be
/// able to hold an answer back from being refreshed.
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(900);
/// A lifetime may end early by one part of so many.
const JITTER: u32 = 10;

/// The operator's times.
#[derive(Clone, Debug, PartialEq)]
pub struct Freshness {
    /// `cache.default_ttl`: how long an answer is fresh, in place of the route table's times. `None`: as the table says.
    pub default_ttl: Option<Duration>,
    /// `cache.proof_ttl`: the longest time that an answer is used without GitHub confirming it for that credential, whatever
    /// else says so: a revoked credential reads from the cache for no longer. 1 h: the life of an App token.
    pub proof_ttl: Duration,
    /// `cache.stale_ttl`: how long after it ceased to be fresh an answer may stand in for a failing origin.
    pub stale_ttl: Duration,
    /// `freshness.adaptive`: whether the route table's times follow how often a resource changes. Times that the operator
    /// gives stay as they are.
    pub adaptive: bool,
    /// `freshness.target_staleness`: the fraction of time for which an answer may be outdated ([`adaptive::TARGETS`]).
    pub target_staleness: f64,
    /// `freshness.routes`: times for some routes. They count before `default_ttl`.
    pub routes: RouteOverrides,
}

impl Default for Freshness {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Freshness {
            default_ttl: None,
            proof_ttl: hour,
            stale_ttl: hour,
            adaptive: true,
            target_staleness: adaptive::DEFAULT_TARGET,
            routes: RouteOverrides::default(),
        }
    }
}

/// What may be done with a kept answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with it.
    Fresh,
    /// Confirm it first.
    Stale {
        /// If the origin limits, fails or is too slow, answer with it, marked.
        usable_on_error: bool,
    },
    /// Confirm it first, and never answer with it otherwise.
    MustRevalidate,
}

/// How long after its confirmation `entry` is fresh for this caller.
pub fn lifetime(read: &Read, config: &Freshness, entry: &Entry) -> Duration {
    Stored::of(entry).lifetime(read, config, entry)
}

/// The oldest confirmation that is worth asking a member for, for this caller, while there is no entry to tell more. It is
/// fresh here wherever in its jitter this node ends it: one that came and were refused would cost the lookup.
pub fn oldest_wanted(read: &Read, config: &Freshness) -> Duration {
    let directives = &read.caller.directives;
    let own = || ended_soonest(base(read, config, None).min(config.proof_ttl));
    let lifetime = directives.ttl.map_or_else(own, |ttl| ttl.min(config.proof_ttl));
    let wanted = lifetime.min(directives.max_age.unwrap_or(Duration::MAX));
    wanted.saturating_sub(directives.min_fresh.unwrap_or_default())
}

fn base(read: &Read, config: &Freshness, entry: Option<&Entry>) -> Duration {
    let route = Route::of(&read.target);
    let given = config.routes.ttl(&read.target).or(config.default_ttl);
    // 0 is the operator's way to say that every read asks.
    if given == Some(Duration::ZERO) {
        return Duration::ZERO;
    }
    if route.is_immutable(&read.target) {
        return Duration::MAX;
    }
    given.unwrap_or_else(|| of_table(route, config, entry))
}

fn of_table(route: &Route, config: &Freshness, entry: Option<&Entry>) -> Duration {
    let Some(entry) = entry else { return route.ttl };
    let ttl = route.lifetime(entry.facts.settled);
    if config.adaptive { adaptive::ttl(&entry.history, ttl, config.target_staleness) } else { ttl }
}

/// What is left of a lifetime that ends as early as jitter ever lets it.
fn ended_soonest(ttl: Duration) -> Duration {
    ttl - ttl / JITTER
}

/// Up to a tenth less, the same for each look at the same entry: by its key and the moment of its confirmation, which is another
/// one on each node.
fn jittered(ttl: Duration, key: &CacheKey, confirmed_at: Millis) -> Duration {
    let digest = Sha256::new().chain_update(key.0).chain_update(confirmed_at.0.to_be_bytes()).finalize();
    let fraction = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    ttl - (ttl / JITTER).mul_f64(fraction)
}

/// What may be done with `entry` for this caller at `now`.
pub fn verdict(read: &Read, config: &Freshness, entry: &Entry, now: Millis) -> Verdict {
    let directives = &read.caller.directives;
    let Some(age) = entry.age(now) else { return Verdict::MustRevalidate };
    let stored = Stored::of(entry);
    if age >= config.proof_ttl || directives.no_cache || stored.is_never_fresh() {
        return Verdict::MustRevalidate;
    }
    let lifetime = stored.lifetime(read, config, entry);
    if age < stored.poll_interval || is_fresh(directives, age, lifetime) {
        return Verdict::Fresh;
    }
    Verdict::Stale { usable_on_error: is_usable_on_error(directives, config, age, lifetime) }
}

fn is_fresh(directives: &Directives, age: Duration, lifetime: Duration) -> bool {
    let young_enough = directives.max_age.is_none_or(|max_age| age <= max_age);
    let wanted = age.saturating_add(directives.min_fresh.unwrap_or_default());
    let bearable = lifetime.saturating_add(directives.max_stale.unwrap_or_default());
    young_enough && (wanted < lifetime || (directives.min_fresh.is_none() && age < bearable))
}

/// A caller that says how old an answer may be has said what it thinks of older ones.
fn is_usable_on_error(directives: &Directives, config: &Freshness, age: Duration, lifetime: Duration) -> bool {
    let young_enough = directives.max_age.is_none_or(|max_age| age <= max_age);
    young_enough && age < lifetime.saturating_add(config.stale_ttl).min(config.proof_ttl)
}

/// What the origin said of an answer's lifetime, as far as it counts here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stored {
    no_cache: bool,
    /// The first one.
    max_age: Option<Duration>,
    /// "The X-Poll-Interval header specifies how often (in seconds) you are allowed to poll. […] Please obey the header."
    /// Source: GitHub's REST documentation, "Events".
    poll_interval: Duration,
}

impl Stored {
    fn of(entry: &Entry) -> Self {
        let mut stored = Stored::default();
        for (name, value) in &entry.representation.headers {
            match name.as_str() {
                "cache-control" => headers::split_list(value).for_each(|part| stored.take(part)),
                "x-poll-interval" => {
                    let interval = crate::caller::seconds(Some(value)).unwrap_or_default();
                    stored.poll_interval = interval.min(LONGEST_POLL_INTERVAL);
                }
                _ => {}
            }
        }
        stored
    }

    /// Takes one directive of a `Cache-Control`.
    fn take(&mut self, part: &str) {
        let (name, argument) = headers::directive(part);
        match &*name {
            "no-cache" => self.no_cache = true,
            "max-age" if self.max_age.is_none() => {
                self.max_age = Some(crate::caller::seconds(argument).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// `no-cache` or `max-age=0` from the origin: "the response MUST NOT be used […] without forwarding it for validation" (RFC
    /// 9111 §5.2.2.4).
    fn is_never_fresh(self) -> bool {
        self.no_cache || self.max_age == Some(Duration::ZERO)
    }

    /// How long after its confirmation `entry` is fresh for this caller.
    fn lifetime(self, read: &Read, config: &Freshness, entry: &Entry) -> Duration {
        let chosen = read.caller.directives.ttl.unwrap_or_else(|| self.configured(read, config, entry));
        chosen.max(self.poll_interval).min(config.proof_ttl)
    }

    /// The operator's lifetime or the table's, as bounded by the origin, ending early by some jitter.
    fn configured(self, read: &Read, config: &Freshness, entry: &Entry) -> Duration {
        let ttl = base(read, config, Some(entry));
        let bounded = match self.max_age {
            Some(max_age) if max_age < GITHUB_MAX_AGE => ttl.min(max_age),
            Some(_) | None => ttl,
        };
        jittered(bounded.min(config.proof_ttl), &read.key, entry.confirmed_at)
    }
}

/// Whether an answer to a request sent at `confirmed_at` may be kept or used, given the latest tombstone over each of its
/// scopes. A read that started before a write ended may show what was there before it, whatever its `Date` says.
pub fn admitted(scopes: &[Scope], confirmed_at: Millis, tombstone: &dyn Fn(&Scope) -> Option<Millis>) -> bool {
    scopes.iter().filter_map(tombstone).all(|buried| confirmed_at >= buried.after(TOMBSTONE_MARGIN))
}

#[cfg(test)]
mod tests;
