//! The routes. Times without a source are guesses, from how fast a person or a pipeline would want to see a change.
//!
//! Sources: GitHub's REST documentation for the routes, what they answer and which of them names its objects by hash;
//! `max-age=60` on nearly everything; `x-poll-interval` on events, notifications and references.

use super::template::{self, Template};
use super::{After, Condition, Family, List, Pin, Route};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// What isn't in the table: GitHub's own `max-age`, for the caller alone.
pub(super) static UNKNOWN: Route = route(Family::Other, "", 60);
/// Short: an answer may show anything of the host.
pub(super) static GRAPHQL: Route = route(Family::GraphQl, "/graphql", 30);

/// Only the one who asks may see it so.
const fn route(family: Family, template: &'static str, ttl_seconds: u64) -> Route {
    let ttl = Duration::from_secs(ttl_seconds);
    Route { template, family, ttl, settling: None, pin: None, who_dependent: true, list: List::No }
}

impl Route {
    /// Everyone who may read it sees the same.
    const fn same_for_all(self) -> Route {
        Route { who_dependent: false, ..self }
    }

    const fn array(self) -> Route {
        Route { list: List::Array, ..self }
    }

    const fn wrapped(self, name: &'static str) -> Route {
        Route { list: List::Wrapped(name), ..self }
    }

    const fn pinned(self, pin: Pin) -> Route {
        Route { pin: Some(pin), ..self }
    }

    const fn once(self, condition: Condition, ttl_seconds: u64) -> Route {
        Route { settling: Some((condition, After::Lasts(Duration::from_secs(ttl_seconds)))), ..self }
    }

    const fn final_once(self, condition: Condition) -> Route {
        Route { settling: Some((condition, After::Final)), ..self }
    }
}

/// The rows that may match a path, those that say most first.
pub(super) fn rows(segments: &[&str]) -> impl Iterator<Item = &'static (Template, &'static Route)> {
    static BUCKETS: LazyLock<BTreeMap<String, Vec<(Template, &'static Route)>>> = LazyLock::new(buckets);
    BUCKETS.get(template::bucket(segments)).into_iter().flatten()
}

fn buckets() -> BTreeMap<String, Vec<(Template, &'static Route)>> {
    let mut buckets: BTreeMap<String, Vec<(Template, &'static Route)>> = BTreeMap::new();
    for row in ROUTES {
        let template = Template::parse(row.template).expect("the table's templates are well formed");
        buckets.entry(template.bucket().to_owned()).or_default().push((template, row));
    }
    buckets.values_mut().for_each(|rows| rows.sort_by(|(one, _), (other, _)| one.cmp(other)));
    buckets
}

/// Every route that something is known of.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    // A repository's object shows the caller's own permissions in it, and so does every list of such objects.
    route(Family::Repository, "/repos/{owner}/{repo}", 300),
    route(Family::Repository, "/repos/{owner}/{repo}/topics", 300).same_for_all(),
    route(Family::Repository, "/repos/{owner}/{repo}/languages", 300).same_for_all(),
    route(Family::Repository, "/repos/{owner}/{repo}/license", 300).same_for_all(),
    route(Family::Repository, "/repos/{owner}/{repo}/contributors", 300).same_for_all().array(),
    route(Family::Repository, "/repos/{owner}/{repo}/collaborators", 300).array(),
    route(Family::Repository, "/repos/{owner}/{repo}/collaborators/{username}/permission", 300),
    route(Family::Repository, "/repos/{owner}/{repo}/hooks", 300).array(),
    route(Family::Repository, "/repos/{owner}/{repo}/keys", 300).array(),
    route(Family::Repository, "/repos/{owner}/{repo}/stargazers", 300).same_for_all().array(),
    route(Family::Repository, "/repos/{owner}/{repo}/subscribers", 300).same_for_all().array(),
    route(Family::Repositories, "/repos/{owner}/{repo}/forks", 300).array(),
    route(Family::Repositories, "/repositories", 300).array(),
    route(Family::Repositories, "/orgs/{org}/repos", 300).array(),
    route(Family::Repositories, "/users/{username}/repos", 300).array(),
    route(Family::Repositories, "/users/{username}/starred", 300).array(),
    route(Family::Repositories, "/users/{username}/subscriptions", 300).array(),
    route(Family::Repositories, "/user/repos", 300).array(),
    route(Family::Repositories, "/user/starred", 300).array(),
    route(Family::Repositories, "/user/subscriptions", 300).array(),
    route(Family::Repositories, "/installation/repositories", 300).wrapped("repositories"),

    // A directory is an array, a file an object; `download_url` holds a token of the caller's where the repository is private.
    route(Family::Contents, "/repos/{owner}/{repo}/contents", 300).pinned(Pin::Reference),
    route(Family::Contents, "/repos/{owner}/{repo}/contents/{+path}", 300).pinned(Pin::Reference),
    route(Family::Contents, "/repos/{owner}/{repo}/readme", 300).pinned(Pin::Reference),
    route(Family::Contents, "/repos/{owner}/{repo}/readme/{+dir}", 300).pinned(Pin::Reference),

    route(Family::GitObjects, "/repos/{owner}/{repo}/git/blobs/{sha}", 300).same_for_all().pinned(Pin::Object),
    route(Family::GitObjects, "/repos/{owner}/{repo}/git/trees/{sha}", 300).same_for_all().pinned(Pin::Object),
    route(Family::GitObjects, "/repos/{owner}/{repo}/git/commits/{sha}", 300).same_for_all().pinned(Pin::Object),
    route(Family::GitObjects, "/repos/{owner}/{repo}/git/tags/{sha}", 300).same_for_all().pinned(Pin::Object),
    route(Family::References, "/repos/{owner}/{repo}/git/ref/{+ref}", 60).same_for_all(),
    route(Family::References, "/repos/{owner}/{repo}/git/refs", 60).same_for_all().array(),
    route(Family::References, "/repos/{owner}/{repo}/git/refs/{+ref}", 60).same_for_all(),
    route(Family::References, "/repos/{owner}/{repo}/git/matching-refs/{+ref}", 60).same_for_all().array(),

    route(Family::Commits, "/repos/{owner}/{repo}/commits", 60).same_for_all().array(),
    route(Family::Commits, "/repos/{owner}/{repo}/commits/{+ref}", 60).same_for_all(),
    route(Family::Commits, "/repos/{owner}/{repo}/commits/{ref}", 60).same_for_all().pinned(Pin::Commit),
    route(Family::Commits, "/repos/{owner}/{repo}/commits/{ref}/comments", 120).same_for_all().array(),
    route(Family::Pulls, "/repos/{owner}/{repo}/commits/{ref}/pulls", 120).array(),
    route(Family::Branches, "/repos/{owner}/{repo}/commits/{ref}/branches-where-head", 60).same_for_all().array(),
    route(Family::Commits, "/repos/{owner}/{repo}/compare/{+basehead}", 60).same_for_all().pinned(Pin::Commits),
    route(Family::Branches, "/repos/{owner}/{repo}/branches", 60).same_for_all().array(),
    route(Family::Branches, "/repos/{owner}/{repo}/branches/{+branch}", 60),
    route(Family::Branches, "/repos/{owner}/{repo}/tags", 300).same_for_all().array(),

    // Over means closed or merged; either may be opened again or edited.
    route(Family::Issues, "/repos/{owner}/{repo}/issues", 120).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/{number}", 120).same_for_all().once(Condition::Closed, 3600),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/{number}/comments", 120).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/{number}/labels", 120).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/{number}/events", 120).array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/{number}/timeline", 120).array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/comments", 120).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/comments/{id}", 120).same_for_all(),
    route(Family::Issues, "/repos/{owner}/{repo}/issues/events", 120).array(),
    route(Family::Issues, "/repos/{owner}/{repo}/labels", 300).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/labels/{name}", 300).same_for_all(),
    route(Family::Issues, "/repos/{owner}/{repo}/milestones", 300).same_for_all().array(),
    route(Family::Issues, "/repos/{owner}/{repo}/milestones/{number}", 300).same_for_all(),
    route(Family::Issues, "/repos/{owner}/{repo}/assignees", 300).same_for_all().array(),
    route(Family::Issues, "/issues", 120).array(),
    route(Family::Issues, "/user/issues", 120).array(),
    route(Family::Issues, "/orgs/{org}/issues", 120).array(),

    // A pull request shows whole repository objects, and a head repository only to those who may read it.
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls", 120).array(),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}", 120).once(Condition::Closed, 3600),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}/commits", 120).same_for_all().array(),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}/files", 120).same_for_all().array(),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}/comments", 120).same_for_all().array(),
    // A review that isn't submitted yet is its author's alone.
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}/reviews", 120).array(),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers", 120).same_for_all(),
    route(Family::Pulls, "/repos/{owner}/{repo}/pulls/comments", 120).same_for_all().array(),

    // A re-run reuses the ids of the run and of its jobs; an attempt's are its own.
    route(Family::Runs, "/repos/{owner}/{repo}/actions/runs", 60).same_for_all().wrapped("workflow_runs"),
    route(Family::Runs, "/repos/{owner}/{repo}/actions/workflows/{id}/runs", 60).same_for_all().wrapped("workflow_runs"),
    route(Family::Runs, "/repos/{owner}/{repo}/actions/runs/{id}", 60).same_for_all().once(Condition::Completed, 300),
    route(Family::Runs, "/repos/{owner}/{repo}/actions/runs/{id}/attempts/{n}", 60)
        .same_for_all().final_once(Condition::Completed),
    route(Family::Jobs, "/repos/{owner}/{repo}/actions/runs/{id}/jobs", 60)
        .same_for_all().wrapped("jobs").once(Condition::AllCompleted, 300),
    route(Family::Jobs, "/repos/{owner}/{repo}/actions/runs/{id}/attempts/{n}/jobs", 60)
        .same_for_all().wrapped("jobs").final_once(Condition::AllCompleted),
    route(Family::Jobs, "/repos/{owner}/{repo}/actions/jobs/{id}", 60).same_for_all().once(Condition::Completed, 300),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/runs/{id}/artifacts", 60).same_for_all().wrapped("artifacts"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/artifacts", 60).same_for_all().wrapped("artifacts"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/workflows", 300).same_for_all().wrapped("workflows"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/workflows/{id}", 300).same_for_all(),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/caches", 60).wrapped("actions_caches"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/secrets", 300).wrapped("secrets"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/variables", 300).wrapped("variables"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/runners", 30).wrapped("runners"),
    route(Family::Actions, "/repos/{owner}/{repo}/actions/runners/{id}", 30),
    route(Family::Actions, "/orgs/{org}/actions/runners", 30).wrapped("runners"),
    route(Family::Actions, "/orgs/{org}/actions/runners/{id}", 30),
    route(Family::Actions, "/orgs/{org}/actions/runner-groups", 300).wrapped("runner_groups"),
    route(Family::Actions, "/orgs/{org}/actions/runner-groups/{id}/runners", 30).wrapped("runners"),
    route(Family::Actions, "/enterprises/{enterprise}/actions/runners", 30).wrapped("runners"),
    route(Family::Actions, "/enterprises/{enterprise}/actions/runners/{id}", 30),

    // Shorter for lists than for one check: another may be made at any time.
    route(Family::Checks, "/repos/{owner}/{repo}/commits/{ref}/check-runs", 60)
        .same_for_all().wrapped("check_runs").once(Condition::AllCompleted, 120),
    route(Family::Checks, "/repos/{owner}/{repo}/commits/{ref}/check-suites", 60)
        .same_for_all().wrapped("check_suites").once(Condition::AllCompleted, 120),
    route(Family::Checks, "/repos/{owner}/{repo}/check-suites/{id}/check-runs", 60)
        .same_for_all().wrapped("check_runs").once(Condition::AllCompleted, 120),
    route(Family::Checks, "/repos/{owner}/{repo}/check-runs/{id}", 60).same_for_all().once(Condition::Completed, 300),
    route(Family::Checks, "/repos/{owner}/{repo}/check-runs/{id}/annotations", 60).same_for_all().array(),
    route(Family::Checks, "/repos/{owner}/{repo}/check-suites/{id}", 60).same_for_all().once(Condition::Completed, 300),
    route(Family::Checks, "/repos/{owner}/{repo}/commits/{ref}/status", 60)
        .same_for_all().once(Condition::Decided, 120),
    route(Family::Checks, "/repos/{owner}/{repo}/commits/{ref}/statuses", 60).same_for_all().array(),
    route(Family::Checks, "/repos/{owner}/{repo}/statuses/{ref}", 60).same_for_all().array(),

    // Drafts show to those who may push.
    route(Family::Releases, "/repos/{owner}/{repo}/releases", 300).array(),
    route(Family::Releases, "/repos/{owner}/{repo}/releases/{id}", 300),
    route(Family::Releases, "/repos/{owner}/{repo}/releases/latest", 300).same_for_all(),
    route(Family::Releases, "/repos/{owner}/{repo}/releases/tags/{+tag}", 3600).same_for_all(),
    route(Family::Releases, "/repos/{owner}/{repo}/releases/{id}/assets", 300).array(),
    route(Family::Releases, "/repos/{owner}/{repo}/releases/assets/{id}", 300),

    route(Family::Deployments, "/repos/{owner}/{repo}/deployments", 60).same_for_all().array(),
    route(Family::Deployments, "/repos/{owner}/{repo}/deployments/{id}", 60).same_for_all(),
    route(Family::Deployments, "/repos/{owner}/{repo}/deployments/{id}/statuses", 60).same_for_all().array(),
    route(Family::Deployments, "/repos/{owner}/{repo}/environments", 300).same_for_all().wrapped("environments"),

    // Members that conceal themselves, plans and settings show to some only.
    route(Family::Organizations, "/orgs/{org}", 300),
    route(Family::Organizations, "/orgs/{org}/members", 300).array(),
    route(Family::Organizations, "/orgs/{org}/teams", 300).array(),
    route(Family::Organizations, "/orgs/{org}/teams/{team}", 300),
    route(Family::Organizations, "/orgs/{org}/teams/{team}/members", 300).array(),
    route(Family::Organizations, "/orgs/{org}/teams/{team}/repos", 300).array(),
    route(Family::Organizations, "/user/orgs", 300).array(),
    route(Family::Organizations, "/user/teams", 300).array(),
    route(Family::Organizations, "/users/{username}/orgs", 300).array(),

    route(Family::Users, "/user", 300),
    route(Family::Users, "/user/{+any}", 300),
    route(Family::Users, "/users/{username}", 300),

    route(Family::Search, "/search/repositories", 60).wrapped("items"),
    route(Family::Search, "/search/{kind}", 60).wrapped("items"),

    route(Family::Events, "/events", 60).array(),
    route(Family::Events, "/notifications", 60).array(),
    route(Family::Events, "/notifications/{+any}", 60),
    route(Family::Events, "/repos/{owner}/{repo}/events", 60).array(),
    route(Family::Events, "/repos/{owner}/{repo}/notifications", 60).array(),
    route(Family::Events, "/orgs/{org}/events", 60).array(),
    route(Family::Events, "/users/{username}/events", 60).array(),
    route(Family::Events, "/users/{username}/received_events", 60).array(),

    route(Family::Gists, "/gists", 300).array(),
    route(Family::Gists, "/gists/public", 60).same_for_all().array(),
    route(Family::Gists, "/gists/starred", 300).array(),
    route(Family::Gists, "/gists/{id}", 300).same_for_all(),
    route(Family::Gists, "/gists/{id}/comments", 300).same_for_all().array(),
    route(Family::Gists, "/users/{username}/gists", 300).array(),

    // Free of charge, and about the caller's own quota: never kept.
    route(Family::Other, "/rate_limit", 0),
];
