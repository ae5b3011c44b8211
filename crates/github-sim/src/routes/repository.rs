//! Reading a repository: itself and what has no file of its own.

use serde_json::json;

use super::{Ask, actions, code, issues, page, releases};
use crate::http::Reply;
use crate::shapes::View;
use crate::world::{Permission, Repository};

/// `rest` is the path below the repository, which the caller may see.
pub(crate) fn read(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    match rest {
        [] => Reply::json(view.whole_repository(repository)).modified(repository.updated),
        ["issues" | "pulls" | "labels" | "milestones" | "assignees", ..] => issues::read(view, ask, repository, rest),
        ["actions" | "check-runs" | "check-suites", ..] => actions::read(view, ask, repository, rest),
        ["releases" | "tarball" | "zipball", ..] => releases::read(view, ask, repository, rest),
        ["languages"] => Reply::json(json!({"Rust": 4096})).modified(repository.pushed),
        ["topics"] => Reply::json(json!({"names": repository.topics})),
        ["contributors"] => contributors(view, repository),
        ["collaborators"] => collaborators(view, ask, repository),
        ["collaborators", login, "permission"] => permission_of(view, repository, login),
        ["stargazers" | "subscribers" | "forks" | "hooks" | "deployments" | "teams" | "keys"] => Reply::json(json!([])),
        ["events"] => Reply::json(json!([])).header("x-poll-interval", "60".into()).modified(repository.updated),
        // Computed in the background: GitHub answers 202 until it is ready, and here it never is.
        ["stats", _] => Reply::written(202, json!({})),
        ["traffic", ..] if view.permission(repository) >= Some(Permission::Push) => {
            Reply::json(json!({"count": 0, "uniques": 0, "views": []}))
        }
        ["dependabot" | "secret-scanning" | "code-scanning", "alerts"] => Reply::json(json!([])).untagged(),
        _ => code::read(view, ask, repository, rest),
    }
}

fn contributors(view: &View<'_>, repository: &Repository) -> Reply {
    let count = |login: &str| repository.commits.iter().filter(|commit| commit.author == login).count();
    let one = |login: &str| {
        let mut actor = view.actor(login);
        actor["contributions"] = count(login).into();
        actor
    };
    Reply::json(json!([one("alice"), one("bob")]))
}

fn collaborators(view: &View<'_>, ask: &Ask<'_>, repository: &Repository) -> Reply {
    if view.permission(repository) < Some(Permission::Push) {
        return Reply::error(403, "Must have push access to view repository collaborators.");
    }
    let logins = repository.collaborators.keys().map(String::as_str).chain([repository.owner.as_str()]).collect();
    page::list(view.world, ask, logins, |login| view.actor(login))
}

fn permission_of(view: &View<'_>, repository: &Repository, login: &str) -> Reply {
    let permission = match view.world.permission(login, repository) {
        Some(Permission::Admin) => "admin",
        Some(Permission::Push | Permission::Maintain) => "write",
        Some(Permission::Pull | Permission::Triage) => "read",
        None => "none",
    };
    Reply::json(json!({"permission": permission, "role_name": permission, "user": view.actor(login)}))
}
