//! The API's entry and what belongs to nobody.

use serde_json::{Value, json};

use super::{Ask, page};
use crate::http::{Cache, Reply};
use crate::world::World;

/// `/rate_limit` is not here: the server answers it, since it knows the quotas.
pub(crate) fn root(world: &World, ask: &Ask<'_>, segments: &[&str]) -> Reply {
    if !ask.reads() {
        return Reply::not_found();
    }
    match segments {
        [] => Reply::json(entry(&ask.bases.bodies)),
        ["meta"] => Reply::json(meta()),
        ["zen"] => Reply::bytes("Keep it logically awesome.", "text/plain;charset=utf-8").untagged(),
        ["repositories"] => public_repositories(world, ask),
        ["versions"] => Reply::json(json!(["2022-11-28", "2026-03-10"])),
        ["emojis"] => {
            Reply::json(json!({"+1": "https://github.githubassets.com/images/icons/emoji/unicode/1f44d.png?v8"}))
        }
        ["issues"] if ask.caller.login.is_some() => assigned(world, ask),
        ["issues"] => Reply::error(401, "Requires authentication"),
        ["events"] => Reply { cache: Cache::Usual, ..Reply::json(json!([])).header("x-poll-interval", "60".into()) },
        _ => Reply::not_found(),
    }
}

fn entry(api: &str) -> Value {
    json!({
        "current_user_url": format!("{api}/user"),
        "current_user_repositories_url": format!("{api}/user/repos{{?type,page,per_page,sort}}"),
        "issues_url": format!("{api}/issues"),
        "issue_search_url": format!("{api}/search/issues?q={{query}}{{&page,per_page,sort,order}}"),
        "notifications_url": format!("{api}/notifications"),
        "organization_url": format!("{api}/orgs/{{org}}"),
        "organization_repositories_url": format!("{api}/orgs/{{org}}/repos{{?type,page,per_page,sort}}"),
        "rate_limit_url": format!("{api}/rate_limit"),
        "repository_url": format!("{api}/repos/{{owner}}/{{repo}}"),
        "user_url": format!("{api}/users/{{user}}"),
    })
}

fn meta() -> Value {
    json!({
        "verifiable_password_authentication": false,
        "ssh_key_fingerprints": {"SHA256_ED25519": "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"},
        "hooks": ["192.30.252.0/22", "185.199.108.0/22"],
        "web": ["192.30.252.0/22"],
        "api": ["192.30.252.0/22"],
        "actions": ["4.148.0.0/16"],
    })
}

fn public_repositories(world: &World, ask: &Ask<'_>) -> Reply {
    let since = ask.query("since").and_then(|text| text.parse().ok()).unwrap_or(0);
    let view = ask.view(world);
    let public = world.repositories.range(since + 1..).map(|(_, repository)| repository).filter(|found| !found.private);
    page::list(world, ask, public.collect(), |repository| view.repository(repository))
}

fn assigned(world: &World, ask: &Ask<'_>) -> Reply {
    let view = ask.view(world);
    let login = ask.caller.login.as_deref().unwrap_or_default();
    let repositories = world.repositories.values().filter(|repository| view.sees(repository));
    let issues = repositories.flat_map(|repository| repository.issues.values().map(move |issue| (repository, issue)));
    let mine = issues.filter(|(_, issue)| issue.assignees.iter().any(|assignee| assignee == login));
    page::list(world, ask, mine.collect(), |(repository, issue)| view.issue(repository, issue)).private(true)
}
