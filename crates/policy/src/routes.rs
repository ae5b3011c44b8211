//! What is known about GitHub's routes: how long their answers last, for whom, and what they are.
//!
//! A route is a row of data ([`Route`], all of them in `table`): a path template, and what follows from it. A segment in
//! braces stands for any one segment, `{+name}` at the end for one or more (RFC 6570, as in GitHub's own URL templates).
//! GitHub answers for a repository under two names, so that `/repositories/ID/…` is looked up as `/repos/{owner}/{repo}/…`, and
//! likewise `/organizations/ID/…` and `/user/ID/…`. Letter case and percent-encoding make no difference.
//!
//! The operator may give other times by template ([`RouteOverrides`]). Nothing here invalidates (`invalidation`) or looks at a
//! moment in time (`freshness`).

mod body;
mod overrides;
mod table;
mod template;

pub use body::settled;
pub use overrides::{MAX_OVERRIDES, RouteOverrides, RouteProblem};
pub use template::Template;

use crate::target::{Target, TargetKind};
use ghmesh_model::Settled;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::time::Duration;

/// Routes that are alike in what GitHub does with them: what is learned of one is believed of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Whatever is not in the table.
    Other,
    /// One repository's object and what hangs on it.
    Repository,
    /// Lists of repositories.
    Repositories,
    /// Files and directories.
    Contents,
    /// Git's own objects, by their hash.
    GitObjects,
    /// Git references.
    References,
    /// Commits and comparisons.
    Commits,
    /// Branches and tags.
    Branches,
    /// Issues, labels, milestones, comments.
    Issues,
    /// Pull requests.
    Pulls,
    /// Workflow runs.
    Runs,
    /// Workflow jobs.
    Jobs,
    /// Runners, their groups, and what belongs to a repository's Actions otherwise.
    Actions,
    /// Check runs and suites, statuses.
    Checks,
    /// Releases and their assets.
    Releases,
    /// Deployments and environments.
    Deployments,
    /// Organisations and teams.
    Organizations,
    /// Users and whoever asks.
    Users,
    /// Search.
    Search,
    /// Events and notifications.
    Events,
    /// Gists.
    Gists,
    /// GraphQL.
    GraphQl,
}

impl Family {
    /// All of them, in the order of their ids.
    pub const ALL: [Family; 22] = [
        Family::Other,
        Family::Repository,
        Family::Repositories,
        Family::Contents,
        Family::GitObjects,
        Family::References,
        Family::Commits,
        Family::Branches,
        Family::Issues,
        Family::Pulls,
        Family::Runs,
        Family::Jobs,
        Family::Actions,
        Family::Checks,
        Family::Releases,
        Family::Deployments,
        Family::Organizations,
        Family::Users,
        Family::Search,
        Family::Events,
        Family::Gists,
        Family::GraphQl,
    ];

    /// A small number, the same in one version of ghmesh only.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Family::Other => "other",
            Family::Repository => "repository",
            Family::Repositories => "repositories",
            Family::Contents => "contents",
            Family::GitObjects => "git objects",
            Family::References => "references",
            Family::Commits => "commits",
            Family::Branches => "branches",
            Family::Issues => "issues",
            Family::Pulls => "pulls",
            Family::Runs => "runs",
            Family::Jobs => "jobs",
            Family::Actions => "actions",
            Family::Checks => "checks",
            Family::Releases => "releases",
            Family::Deployments => "deployments",
            Family::Organizations => "organizations",
            Family::Users => "users",
            Family::Search => "search",
            Family::Events => "events",
            Family::Gists => "gists",
            Family::GraphQl => "graphql",
        }
    }
}

/// Whether a route answers a list, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// One object, or not known.
    No,
    /// A JSON array: an empty one is `[]`.
    Array,
    /// An object that wraps the array under this name, beside a `total_count`.
    Wrapped(&'static str),
}

/// What a body must say for what it describes to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `state` is `closed`: an issue, or a pull request, merged or not.
    Closed,
    /// `status` is `completed`: a run, a job, a check.
    Completed,
    /// The wrapped list isn't empty, is all on this page, and each item's `status` is `completed`.
    AllCompleted,
    /// `state` is neither `pending` nor missing, and there are statuses: the combined status of a commit.
    Decided,
}

/// What follows from a body that fulfils a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It may be taken up again (a re-run reuses the id, an issue is opened again): a longer lifetime.
    Lasts(Duration),
    /// It stays as it is.
    Final,
}

/// Where a path or query names a Git object by its whole hash, so that the answer never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The last segment is the hash of an object: 40 or 64 hexadecimal digits.
    Object,
    /// The last segment is a commit: 40 digits. Nothing else may be called so: GitHub refuses such names for branches and tags,
    /// which isn't known of those with 64.
    Commit,
    /// The last segment is two commits, `A...B`.
    Commits,
    /// The query has just one `ref`, and it is a commit.
    Reference,
}

/// What is known about one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path below the API's root.
    pub template: &'static str,
    /// What it is like.
    pub family: Family,
    /// How long an answer is fresh.
    pub ttl: Duration,
    /// What the body may say to change that.
    pub settling: Option<(Condition, After)>,
    /// What in the request makes the answer immutable.
    pub pin: Option<Pin>,
    /// Whether two credentials that may both read it can get different answers. True where nothing is known.
    pub who_dependent: bool,
    /// Whether it is a list.
    pub list: List,
}

impl Route {
    /// The route of a request. Where the table has none: one whose answers are fresh for GitHub's own minute and depend on who
    /// asks.
    pub fn of(target: &Target) -> &'static Route {
        match (target.kind, &target.resource) {
            (TargetKind::GraphQl, _) => &table::GRAPHQL,
            (TargetKind::Api, Some(resource)) => Route::at(&resource.path),
            (TargetKind::Api | TargetKind::Other, _) => &table::UNKNOWN,
        }
    }

    /// The route of a path below the API's root.
    pub fn at(path: &str) -> &'static Route {
        let path = folded(path);
        let segments = template::segments(&path);
        table::rows(&segments).find(|(template, _)| template.matches(&segments)).map_or(&table::UNKNOWN, |(_, row)| row)
    }

    /// Whether this request's answer never changes.
    pub fn is_immutable(&self, target: &Target) -> bool {
        self.pin.is_some_and(|pin| pin.holds(target))
    }

    /// How long an answer is fresh whose body says this, before anything is known of how often it changes. [`Duration::MAX`]
    /// where it doesn't change.
    pub fn lifetime(&self, settled: Settled) -> Duration {
        match (settled, self.settling) {
            (Settled::Open, _) | (Settled::Over | Settled::Final, None) => self.ttl,
            (Settled::Over | Settled::Final, Some((_, After::Lasts(longer)))) => longer,
            (Settled::Over, Some((_, After::Final))) => self.ttl,
            (Settled::Final, Some((_, After::Final))) => Duration::MAX,
        }
    }
}

impl Pin {
    fn holds(self, target: &Target) -> bool {
        let path = target.resource.as_ref().map_or("", |resource| resource.path.as_str());
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        match self {
            Pin::Object => is_hash(last, 40) || is_hash(last, 64),
            Pin::Commit => is_hash(last, 40),
            Pin::Commits => last.split_once("...").is_some_and(|(base, head)| is_hash(base, 40) && is_hash(head, 40)),
            Pin::Reference => only_reference(target.query.as_deref()).is_some_and(|name| is_hash(name, 40)),
        }
    }
}

fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The value of `ref`, unless anything else in the query could be taken for it.
fn only_reference(query: Option<&str>) -> Option<&str> {
    let pairs = query.into_iter().flat_map(|query| query.split(['&', ';']));
    let mut references = pairs.filter(|pair| is_reference(pair));
    let only = references.next()?.strip_prefix("ref=")?;
    references.next().is_none().then_some(only)
}

fn is_reference(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    percent_decode_str(name).decode_utf8_lossy().trim().to_ascii_lowercase().starts_with("ref")
}

/// With percent-encoding undone and in lower case, as GitHub reads it; the path itself where that changes nothing.
fn folded(path: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if decoded.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(decoded.to_ascii_lowercase())
    } else {
        decoded
    }
}

#[cfg(test)]
mod tests;
