//! Whether a kept answer may be used (RFC 9111 §4.2), and how that is bounded.
//!
//! A kept answer is proof that its credential may read it, so its age counts from the last time GitHub confirmed it *for that
//! credential*, and `proof_ttl` caps every other lifetime: what the operator, the caller or the route would allow longer.
//!
//! GitHub marks answers `s-maxage=60`, which would forbid a shared cache to serve them stale (RFC 9111 §5.2.2.10). A kept
//! answer is used for one credential only, so that towards its callers this is a private cache, and `max-age` is what counts.

use crate::{Directives, Read, headers};
use ghmesh_model::{Entry, Millis, Scope};
use std::time::Duration;

/// How long a tombstone is distrusted beyond itself: clocks and GitHub's replicas may differ by this much.
pub const TOMBSTONE_MARGIN: Duration = Duration::from_secs(1);
/// The `max-age` that GitHub puts on everything, so that it says nothing about the resource at hand; a shorter one does.
const GITHUB_MAX_AGE: Duration = Duration::from_secs(60);

/// The operator's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `cache.default_ttl`: how long an answer is fresh. 60 s: what GitHub's own `max-age` says.
    pub default_ttl: Duration,
    /// `cache.proof_ttl`: the longest time that an answer is used without GitHub confirming it for that credential, whatever
    /// else says so: a revoked credential reads from the cache for no longer. 1 h: the life of an App token.
    pub proof_ttl: Duration,
    /// `cache.stale_ttl`: how long after it ceased to be fresh an answer may stand in for a failing origin.
    pub stale_ttl: Duration,
}

impl Default for Freshness {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Freshness { default_ttl: GITHUB_MAX_AGE, proof_ttl: hour, stale_ttl: hour }
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

/// What may be done with `entry` for this caller at `now`.
pub fn verdict(read: &Read, config: &Freshness, entry: &Entry, now: Millis) -> Verdict {
    let directives = &read.caller.directives;
    let Some(age) = entry.age(now) else { return Verdict::MustRevalidate };
    let stored = Stored::of(entry);
    if age >= config.proof_ttl || directives.no_cache || stored.is_never_fresh() {
        return Verdict::MustRevalidate;
    }
    let lifetime = stored.lifetime(read, config);
    if is_fresh(directives, age, lifetime) {
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

/// What the origin's `Cache-Control` says, as far as it counts here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stored {
    no_cache: bool,
    /// The first one.
    max_age: Option<Duration>,
}

impl Stored {
    fn of(entry: &Entry) -> Self {
        let lines = entry.representation.headers.iter().filter(|(name, _)| name == "cache-control");
        let mut stored = Stored::default();
        for (name, argument) in lines.flat_map(|(_, value)| headers::split_list(value)).map(headers::directive) {
            match &*name {
                "no-cache" => stored.no_cache = true,
                "max-age" if stored.max_age.is_none() => {
                    stored.max_age = Some(crate::caller::seconds(argument).unwrap_or_default());
                }
                _ => {}
            }
        }
        stored
    }

    /// `no-cache` or `max-age=0` from the origin: "the response MUST NOT be used […] without forwarding it for validation" (RFC
    /// 9111 §5.2.2.4).
    fn is_never_fresh(self) -> bool {
        self.no_cache || self.max_age == Some(Duration::ZERO)
    }

    /// How long after its confirmation an answer is fresh for this caller.
    fn lifetime(self, read: &Read, config: &Freshness) -> Duration {
        let configured = match self.max_age {
            Some(max_age) if max_age < GITHUB_MAX_AGE => config.default_ttl.min(max_age),
            Some(_) | None => config.default_ttl,
        };
        read.caller.directives.ttl.unwrap_or(configured).min(config.proof_ttl)
    }
}

/// Whether an answer to a request sent at `confirmed_at` may be kept or used, given the latest tombstone over each of its
/// scopes. A read that started before a write ended may show what was there before it, whatever its `Date` says.
pub fn admitted(scopes: &[Scope], confirmed_at: Millis, tombstone: &dyn Fn(&Scope) -> Option<Millis>) -> bool {
    scopes.iter().filter_map(tombstone).all(|buried| confirmed_at >= buried.after(TOMBSTONE_MARGIN))
}

#[cfg(test)]
mod tests;
