//! Primary and secondary limits, charged as GitHub charges them.
//!
//! Source: GitHub's REST documentation, "Rate limits for the REST API" and "Best practices".

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::config::{Secondary, Settings};
use crate::tokens::Caller;

/// Primary windows are an hour long, those of the search resources a minute.
const HOUR: u64 = 3_600;
const MINUTE: u64 = 60;

/// One of the separate budgets that a caller has, named as in `X-RateLimit-Resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    Core,
    Search,
    CodeSearch,
    Graphql,
    RunnerRegistration,
}

impl Resource {
    const ALL: [Self; 5] = [Self::Core, Self::Search, Self::CodeSearch, Self::Graphql, Self::RunnerRegistration];

    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/graphql" => Self::Graphql,
            "/search/code" => Self::CodeSearch,
            _ if path.starts_with("/search/") => Self::Search,
            _ if path.ends_with("/registration-token") => Self::RunnerRegistration,
            _ => Self::Core,
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Search => "search",
            Self::CodeSearch => "code_search",
            Self::Graphql => "graphql",
            Self::RunnerRegistration => "actions_runner_registration",
        }
    }

    fn window(self) -> u64 {
        match self {
            Self::Search | Self::CodeSearch => MINUTE,
            Self::Core | Self::Graphql | Self::RunnerRegistration => HOUR,
        }
    }

    fn limit(self, caller: &Caller) -> u64 {
        match self {
            Self::Search if caller.is_anonymous() => 10,
            Self::Search => 30,
            Self::CodeSearch => 10,
            Self::Graphql if caller.is_anonymous() => 0,
            Self::RunnerRegistration => 10_000,
            Self::Core | Self::Graphql => caller.limit,
        }
    }
}

/// What is left of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) resource: Resource,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    /// Seconds since 1970.
    pub(crate) reset: u64,
}

impl Standing {
    pub(crate) fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    pub(crate) fn headers(&self) -> [(&'static str, String); 5] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining().to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
            ("x-ratelimit-used", self.used.min(self.limit).to_string()),
            ("x-ratelimit-resource", self.resource.name().to_owned()),
        ]
    }

    fn json(&self) -> Value {
        let used = self.used.min(self.limit);
        json!({"limit": self.limit, "used": used, "remaining": self.remaining(), "reset": self.reset})
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Budget {
    used: u64,
    reset: u64,
    /// Set by `POST /_sim/quota`.
    limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    in_flight: u64,
    points: u64,
    minute: u64,
}

/// Why a request is turned away before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Primary,
    Secondary { retry_after: u64 },
}

/// All budgets. Maps grow with the callers there are, which the test decides.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    budgets: BTreeMap<(String, Resource), Budget>,
    paces: BTreeMap<String, Pace>,
}

impl Quotas {
    pub(crate) fn standing(&mut self, caller: &Caller, resource: Resource, now: u64) -> Standing {
        let budget = self.budget(&caller.bucket, resource, now);
        let limit = budget.limit.unwrap_or(resource.limit(caller));
        Standing { resource, limit, used: budget.used, reset: budget.reset }
    }

    pub(crate) fn charge(&mut self, caller: &Caller, resource: Resource, points: u64, now: u64) {
        self.budget(&caller.bucket, resource, now).used += points;
    }

    /// Sets what one bucket has used of a resource, and its limit, by the bucket's name.
    pub(crate) fn set(&mut self, bucket: &str, resource: Resource, change: &Change, now: u64) {
        let budget = self.budget(bucket, resource, now);
        budget.used = change.used.unwrap_or(budget.used);
        budget.limit = change.limit.or(budget.limit);
        budget.reset = change.reset_in.map_or(budget.reset, |seconds| now + seconds);
    }

    /// Begins a request of a caller, unless a limit forbids it. One that begins must [`Quotas::end`].
    pub(crate) fn begin(
        &mut self,
        caller: &Caller,
        resource: Resource,
        points: u64,
        settings: &Settings,
        now: u64,
    ) -> Option<Exceeded> {
        let standing = self.standing(caller, resource, now);
        let pace = self.paces.entry(caller.bucket.clone()).or_default();
        if pace.minute != now / MINUTE {
            *pace = Pace { minute: now / MINUTE, points: 0, ..*pace };
        }
        pace.in_flight += 1;
        pace.points += points;
        let exceeded = |limit: Secondary| {
            let rest_points = if resource == Resource::Graphql { limit.points.max(2_000) } else { limit.points };
            (pace.in_flight > limit.in_flight || pace.points > rest_points)
                .then_some(Exceeded::Secondary { retry_after: limit.retry_after })
        };
        let secondary = settings.secondary.and_then(exceeded);
        secondary.or((standing.remaining() == 0).then_some(Exceeded::Primary))
    }

    pub(crate) fn end(&mut self, bucket: &str) {
        if let Some(pace) = self.paces.get_mut(bucket) {
            pace.in_flight = pace.in_flight.saturating_sub(1);
        }
    }

    /// The body of `GET /rate_limit`.
    pub(crate) fn overview(&mut self, caller: &Caller, now: u64) -> Value {
        let mut resources = serde_json::Map::new();
        for resource in Resource::ALL {
            resources.insert(resource.name().to_owned(), self.standing(caller, resource, now).json());
        }
        let core = resources["core"].clone();
        json!({"resources": resources, "rate": core})
    }

    fn budget(&mut self, bucket: &str, resource: Resource, now: u64) -> &mut Budget {
        let budget = self.budgets.entry((bucket.to_owned(), resource)).or_default();
        if budget.reset <= now {
            budget.used = 0;
            budget.reset = now + resource.window();
        }
        budget
    }
}

/// What `POST /_sim/quota` changes of a budget.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    pub(crate) used: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) reset_in: Option<u64>,
}

/// What a request counts for the secondary limits: "GraphQL requests without mutations: 1. GraphQL requests with mutations: 5. Most
/// REST API GET, HEAD, and OPTIONS requests: 1. Most REST API POST, PATCH, PUT, or DELETE requests: 5."
pub(crate) fn points(method: &Method, resource: Resource, changes: bool) -> u64 {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || (resource == Resource::Graphql && !changes) { 1 } else { 5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_counts_five_times() {
        let of = |method, path, changes| points(&method, Resource::of(path), changes);
        assert_eq!((of(Method::GET, "/user", false), of(Method::HEAD, "/user", false)), (1, 1));
        assert_eq!((of(Method::POST, "/user/repos", false), of(Method::DELETE, "/repos/o/r", false)), (5, 5));
        assert_eq!((of(Method::POST, "/graphql", false), of(Method::POST, "/graphql", true)), (1, 5));
    }

    #[test]
    fn requests_at_once_are_counted_until_they_end() {
        let (mut quotas, caller) = (Quotas::default(), Caller::anonymous("127.0.0.1", 60));
        let secondary = Some(Secondary { in_flight: 2, ..Secondary::default() });
        let settings = Settings { secondary, ..Settings::default() };
        let begin = |quotas: &mut Quotas| quotas.begin(&caller, Resource::Core, 1, &settings, 1_000);
        assert_eq!((begin(&mut quotas), begin(&mut quotas)), (None, None));
        assert_eq!(begin(&mut quotas), Some(Exceeded::Secondary { retry_after: 60 }));
        quotas.end(&caller.bucket);
        assert!(begin(&mut quotas).is_some(), "the refused one counts too while it lasts");
        (0..3).for_each(|_| quotas.end(&caller.bucket));
        assert_eq!(begin(&mut quotas), None);
    }
}
