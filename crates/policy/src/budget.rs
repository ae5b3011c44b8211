//! What a fleet knows of one credential's rate limits at one host, and how thrifty it is with what is left.
//!
//! A [`Ledger`] takes in what GitHub said to this node ([`Ledger::observe`]) and what members say that GitHub said to them
//! ([`Ledger::learn`]). Words of members make a node more careful, never less, and not for long: they count only until GitHub
//! has answered this node after them, within the windows that GitHub has, and where they alone hold something back a request
//! goes out now and then to see ([`PROBE_AFTER`]). Among themselves they merge by [`Standing::merged`], in whatever order and
//! however often they come.
//!
//! Near exhaustion an expired answer that may still be used is used ([`Thrift`]); nothing that a caller needs is refused for it.
//! A wait that GitHub asks for ([`Ledger::stop`]) holds back every read. How much of GitHub's secondary limits one of several
//! nodes takes is [`share`]'s. Source: GitHub, "Rate limits for the REST API".

use crate::limits_headers::{self, MAX_WAIT, Quota};
use ghmesh_model::{MemberId, Millis};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

pub mod share;
#[cfg(test)]
mod tests;

/// Most buckets of one credential. GitHub has about 15; further ones are not kept.
pub const MAX_BUCKETS: usize = 32;

/// Most members whose use of one credential is remembered: more than a mesh connects to. Beyond it the one heard of longest ago
/// is forgotten.
const MAX_OTHERS: usize = 1024;

/// Resets within the same half minute are of one window: GitHub's answers of one window differ by a second now and then, and
/// windows last a minute or more. Where such a difference crosses the step, an overtaken answer counts for a moment.
const WINDOW_STEP_SECONDS: u64 = 30;

/// After this time any new word of GitHub's replaces the old one, however odd that was: the longest window is an hour.
const BELIEVED_FOR: Duration = Duration::from_secs(3600);

/// How much further than the longest window a member's reset may lie: clocks that have not heard from GitHub are that wrong.
const RESET_TOLERANCE_SECONDS: u64 = 900;

/// How long members' words alone hold something back before one request goes out to see, a random half as long again at most.
/// GitHub's usual `Retry-After` is a minute: a true one is waited out.
pub const PROBE_AFTER: Duration = Duration::from_secs(60);

/// How long after its last word a member counts as a user of the credential.
pub const ACTIVE_FOR: Duration = Duration::from_secs(60);

/// A user of a credential tells so at least this often, which is three times within [`ACTIVE_FOR`].
pub const TELL_AT_LEAST: Duration = Duration::from_secs(20);

/// And not more often than this, except for a new wait.
pub const TELL_AT_MOST: Duration = Duration::from_secs(1);

/// A bucket is told of again when what is left has changed by one part in so many: often only where it matters.
const TELLING_CHANGE: u64 = 10;

/// Below one part in so many of an even use of the rest of the window, lifetimes are stretched. A guess.
const STRETCH_BELOW: u128 = 5;

/// Below one part in so many, whatever may still be used is used. A guess.
const SPARE_BELOW: u128 = 20;

/// How many times their lifetime answers are used while they are stretched. A guess.
pub const STRETCH: u32 = 4;

/// The state of one bucket at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests a window.
    pub limit: u64,
    /// What is left of them.
    pub remaining: u64,
    /// When it is full again, Unix seconds of GitHub's clock.
    pub reset: u64,
    /// When the request was sent whose answer said so, on this node's timeline.
    pub as_of: Millis,
}

/// This moment, here and there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On this node's timeline.
    pub now: Millis,
    /// Unix seconds of the host's clock.
    pub there: u64,
}

/// What an answer of GitHub's said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The bucket that it was charged to.
    pub quota: Option<Quota>,
    /// How long GitHub wants nothing more of this credential.
    pub wait: Option<Duration>,
    /// Whether it shows that requests get through: neither limited nor one of those that always do.
    pub served: bool,
}

/// What a member says. Who it is and that it holds the credential has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The member.
    pub from: MemberId,
    /// When it said so.
    pub at: Millis,
    /// Buckets by name, with moments on this node's timeline.
    pub standings: Vec<(String, Standing)>,
    /// What is left of a wait that GitHub asked it for.
    pub stop: Option<Duration>,
}

/// What this node has to tell members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidings {
    /// What GitHub told this node itself, of windows that still run.
    pub standings: Vec<(String, Standing)>,
    /// What is left of a wait that GitHub asked this node for.
    pub stop: Option<Duration>,
}

/// How carefully a bucket is to be spent from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thrift {
    /// There is enough.
    #[default]
    None,
    /// Answers are used up to [`STRETCH`] times their lifetime, as far as they may be used at all.
    Stretch,
    /// They are used as long as they may be used at all.
    Spare,
}

impl Thrift {
    /// Whether an expired answer that may stand in for a failing origin is used instead of asking.
    pub fn spares(self, age: Duration, lifetime: Duration) -> bool {
        match self {
            Thrift::None => false,
            Thrift::Stretch => age < lifetime.saturating_mul(STRETCH),
            Thrift::Spare => true,
        }
    }

    /// The reserve shrinks with the time that it has to last for: just before the reset everything may be spent.
    fn of(standing: &Standing, window_seconds: u64, there: u64) -> Self {
        let left = u128::from(standing.reset.saturating_sub(there).min(window_seconds));
        let even_use = u128::from(standing.limit) * left;
        let below = |part: u128| u128::from(standing.remaining) * u128::from(window_seconds) * part < even_use;
        match standing.remaining {
            0 => Thrift::Spare,
            _ if below(SPARE_BELOW) => Thrift::Spare,
            _ if below(STRETCH_BELOW) => Thrift::Stretch,
            _ => Thrift::None,
        }
    }
}

impl Standing {
    fn window(&self) -> u64 {
        self.reset / WINDOW_STEP_SECONDS
    }

    /// What two words say together: that of the later window, and within one window the less that is left. Commutative,
    /// associative and idempotent.
    #[must_use]
    pub fn merged(self, other: Standing) -> Standing {
        match self.window().cmp(&other.window()) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => Standing {
                limit: self.limit.max(other.limit),
                remaining: self.remaining.min(other.remaining),
                reset: self.reset.max(other.reset),
                as_of: self.as_of.max(other.as_of),
            },
        }
    }

    /// Whether GitHub could have said it.
    fn is_plausible(&self, moment: Moment) -> bool {
        let longest = BELIEVED_FOR.as_secs() + RESET_TOLERANCE_SECONDS;
        self.remaining <= self.limit && self.reset <= moment.there.saturating_add(longest) && self.as_of <= moment.now
    }
}

/// The bucket that GitHub charges requests for this path to, as far as it is known before GitHub says so.
pub fn bucket_of(path: &str) -> &'static str {
    match path {
        "/graphql" => "graphql",
        "/search/code" => "code_search",
        _ if path.starts_with("/search/") => "search",
        _ => "core",
    }
}

fn window_seconds(bucket: &str) -> u64 {
    if matches!(bucket, "search" | "code_search") { 60 } else { 3600 }
}

/// The quotas in the body of `GET /rate_limit`; nothing where it is none.
pub fn overview(body: &[u8]) -> Vec<Quota> {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return Vec::new() };
    let Some(resources) = body["resources"].as_object() else { return Vec::new() };
    let quota = |(name, state): (&String, &serde_json::Value)| {
        Some(Quota {
            resource: limits_headers::is_resource(name).then(|| name.clone())?,
            limit: state["limit"].as_u64()?,
            remaining: state["remaining"].as_u64()?,
            reset: state["reset"].as_u64()?,
        })
    };
    resources.iter().filter_map(quota).take(MAX_BUCKETS).collect()
}

/// Writes a standing as GitHub does.
pub fn write_headers(headers: &mut HeaderMap, bucket: &'static str, standing: &Standing) {
    let used = standing.limit.saturating_sub(standing.remaining);
    for (name, value) in [
        ("x-ratelimit-limit", standing.limit),
        ("x-ratelimit-remaining", standing.remaining),
        ("x-ratelimit-reset", standing.reset),
        ("x-ratelimit-used", used),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    headers.insert(HeaderName::from_static("x-ratelimit-resource"), HeaderValue::from_static(bucket));
}

/// What is known of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    own: Option<Standing>,
    told: Option<Standing>,
}

/// One credential's limits at one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    buckets: BTreeMap<String, Known>,
    own_stop: Option<Millis>,
    /// Until when, and when that was heard.
    told_stop: Option<(Millis, Millis)>,
    /// When the next request may go out against members' words.
    probe_at: Option<Millis>,
    others: BTreeMap<MemberId, Millis>,
    told: LastTold,
}

/// What members were told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LastTold {
    at: Option<Millis>,
    remaining: BTreeMap<String, u64>,
    stop: Option<Millis>,
}

impl Ledger {
    /// Takes in what GitHub answered to a request sent at `asked_at`. It ends what members said before that.
    pub fn observe(&mut self, heard: &Heard, asked_at: Millis, now: Millis) {
        if let Some(wait) = heard.wait {
            self.own_stop = self.own_stop.max(Some(now.after(wait.min(MAX_WAIT))));
        }
        if heard.served && self.told_stop.is_some_and(|(_, heard_at)| heard_at < asked_at) {
            self.told_stop = None;
            self.probe_at = None;
        }
        if let Some(quota) = &heard.quota {
            self.observe_quota(quota, asked_at);
        }
    }

    fn observe_quota(&mut self, quota: &Quota, asked_at: Millis) {
        let Quota { limit, remaining, reset, .. } = *quota;
        let new = Standing { limit, remaining, reset, as_of: asked_at };
        let Some(known) = self.bucket(&quota.resource) else { return };
        known.own = Some(match known.own {
            Some(own) if asked_at.since(own.as_of).is_none_or(|age| age < BELIEVED_FOR) => own.merged(new),
            Some(_) | None => new,
        });
        known.told = known.told.filter(|told| told.as_of > asked_at);
    }

    fn bucket(&mut self, name: &str) -> Option<&mut Known> {
        if !self.buckets.contains_key(name) {
            if self.buckets.len() >= MAX_BUCKETS {
                return None;
            }
            self.buckets.insert(name.to_owned(), Known::default());
        }
        self.buckets.get_mut(name)
    }

    /// Takes in what a member says, as far as GitHub could have said it.
    pub fn learn(&mut self, told: &Told, moment: Moment) {
        self.note_user(told.from, told.at);
        if let Some(left) = told.stop {
            let until = moment.now.after(left.min(MAX_WAIT));
            let known = self.told_stop.map_or(Millis(0), |(until, _)| until);
            self.told_stop = Some((until.max(known), moment.now));
        }
        for (name, standing) in &told.standings {
            if limits_headers::is_resource(name) && standing.is_plausible(moment) {
                self.learn_standing(name, *standing, moment);
            }
        }
    }

    fn learn_standing(&mut self, name: &str, standing: Standing, moment: Moment) {
        let Some(known) = self.bucket(name) else { return };
        let own = known.own.filter(|own| own.reset > moment.there);
        // A window can't begin before the one that GitHub told of has ended.
        let fits = own.is_none_or(|own| own.window() == standing.window() && standing.as_of > own.as_of);
        if fits {
            known.told = Some(known.told.map_or(standing, |told| told.merged(standing)));
        }
    }

    fn note_user(&mut self, member: MemberId, at: Millis) {
        let heard = self.others.entry(member).or_insert(at);
        *heard = at.max(*heard);
        if self.others.len() > MAX_OTHERS {
            let stalest = self.others.iter().min_by_key(|(_, heard)| **heard).map(|(member, _)| *member);
            if let Some(member) = stalest {
                self.others.remove(&member);
            }
        }
    }

    /// Nodes that use the credential, this one included.
    pub fn active(&self, now: Millis) -> u32 {
        let recent = |heard: &&Millis| now.since(**heard).is_none_or(|age| age < ACTIVE_FOR);
        let others = self.others.values().filter(recent).count();
        u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The freshest known state of a bucket, while its window runs.
    pub fn standing(&self, bucket: &str, there: u64) -> Option<Standing> {
        self.buckets.get(bucket)?.effective(there).map(|(standing, _)| standing)
    }

    /// Every bucket whose window runs: name, state, and whether members' word is part of it.
    pub fn standings(&self, there: u64) -> impl Iterator<Item = (&str, Standing, bool)> {
        self.buckets.iter().filter_map(move |(name, known)| {
            let (standing, told) = known.effective(there)?;
            Some((name.as_str(), standing, told))
        })
    }

    /// Whether GitHub has spoken of any limit: a GitHub Enterprise Server may have none.
    pub fn is_limited(&self) -> bool {
        self.buckets.values().any(|known| known.own.is_some() || known.told.is_some())
    }

    /// How carefully to spend from a bucket. `random` is from 0 to 1.
    pub fn thrift(&mut self, bucket: &str, moment: Moment, random: f64) -> Thrift {
        let effective = self.buckets.get(bucket).and_then(|known| known.effective(moment.there));
        let Some((standing, told)) = effective else { return Thrift::None };
        let thrift = Thrift::of(&standing, window_seconds(bucket), moment.there);
        if told && thrift > Thrift::None && self.may_probe(moment.now, random) {
            return Thrift::None;
        }
        thrift
    }

    /// How long reads are to wait, because GitHub asked for it. `random` is from 0 to 1.
    pub fn stop(&mut self, now: Millis, random: f64) -> Option<Duration> {
        let left = self.stop_left(now)?;
        let own = self.own_stop.is_some_and(|until| until > now);
        (own || !self.may_probe(now, random)).then_some(left)
    }

    /// What is left of a wait that GitHub asked for, here or elsewhere.
    pub fn stop_left(&self, now: Millis) -> Option<Duration> {
        let until = self.own_stop.max(self.told_stop.map(|(until, _)| until))?;
        until.since(now).filter(|left| !left.is_zero())
    }

    fn may_probe(&mut self, now: Millis, random: f64) -> bool {
        let next = now.after(PROBE_AFTER + (PROBE_AFTER / 2).mul_f64(random.clamp(0.0, 1.0)));
        // Nothing lies further ahead than this, unless the clock went back.
        let due = self.probe_at.get_or_insert(next);
        let is_due = *due <= now;
        if is_due {
            *due = next;
        }
        is_due
    }

    /// What there is to tell members: only what GitHub said to this node, of windows that still run.
    pub fn tidings(&self, moment: Moment) -> Tidings {
        let own = |(name, known): (&String, &Known)| {
            let own = known.own.filter(|own| own.reset > moment.there && own.is_plausible(moment))?;
            Some((name.clone(), own))
        };
        let stop = self.own_stop.and_then(|until| until.since(moment.now)).filter(|left| !left.is_zero());
        Tidings { standings: self.buckets.iter().filter_map(own).collect(), stop }
    }

    /// What members should hear now, if anything; they are then taken to have heard it.
    pub fn due_tidings(&mut self, moment: Moment) -> Option<Tidings> {
        if !self.is_telling_due(moment) {
            return None;
        }
        let tidings = self.tidings(moment);
        let remaining = tidings.standings.iter().map(|(name, standing)| (name.clone(), standing.remaining)).collect();
        self.told = LastTold { at: Some(moment.now), remaining, stop: self.own_stop };
        Some(tidings)
    }

    fn is_telling_due(&self, moment: Moment) -> bool {
        let new_stop = self.own_stop > self.told.stop.max(Some(moment.now));
        let Some(silent) = self.told.at.and_then(|at| moment.now.since(at)) else { return true };
        let changed = |(name, known): (&String, &Known)| {
            let own = known.own.filter(|own| own.reset > moment.there);
            own.is_some_and(|own| self.told.is_worth_telling(name, own.remaining))
        };
        new_stop || silent >= TELL_AT_LEAST || (silent >= TELL_AT_MOST && self.buckets.iter().any(changed))
    }
}

impl LastTold {
    fn is_worth_telling(&self, bucket: &str, remaining: u64) -> bool {
        let told = self.remaining.get(bucket).copied();
        told.is_none_or(|told| told.abs_diff(remaining) >= (remaining / TELLING_CHANGE).max(1))
    }
}

impl Known {
    /// The state that counts while its window runs, and whether it rests on members' word. What GitHub said to this node is
    /// only ever lowered by them.
    fn effective(&self, there: u64) -> Option<(Standing, bool)> {
        let running = |standing: &Standing| standing.reset > there;
        match (self.own.filter(running), self.told.filter(running)) {
            (Some(own), Some(told)) if own.window() == told.window() && told.remaining < own.remaining => {
                Some((Standing { remaining: told.remaining, as_of: told.as_of, ..own }, true))
            }
            (Some(own), _) => Some((own, false)),
            (None, told) => Some((told?, true)),
        }
    }
}
