//! Users, organisations and the caller's own things.

use serde_json::json;

use super::{Ask, page, visible};
use crate::http::Reply;
use crate::tokens::TokenKind;
use crate::world::{Account, Repository, World};

/// `/user`, `/users`, `/orgs`, `/organizations`, `/installation`, `/app`, `/notifications`.
pub(crate) fn accounts(world: &World, ask: &Ask<'_>, segments: &[&str]) -> Reply {
    if !ask.reads() {
        return Reply::not_found();
    }
    match segments {
        ["user", rest @ ..] if rest.first().is_none_or(|first| first.parse::<u64>().is_err()) => own(world, ask, rest),
        ["user", id, rest @ ..] => by_id(world, ask, id, rest),
        ["users", login, rest @ ..] => with(world.account(login), |account| user(world, ask, account, rest)),
        ["orgs", login, rest @ ..] => with(world.account(login), |account| organization(world, ask, account, rest)),
        ["organizations", id, rest @ ..] => by_id(world, ask, id, rest),
        ["installation", "repositories"] => installation(world, ask),
        ["app"] if ask.caller.app => Reply::json(json!({"id": 1, "slug": "sim-app", "name": "Sim App"})).private(true),
        ["notifications"] if ask.caller.login.is_some() => {
            Reply::json(json!([])).header("x-poll-interval", "60".into()).modified(world.now()).private(true)
        }
        ["app" | "notifications" | "installation", ..] => Reply::error(401, "Requires authentication"),
        _ => Reply::not_found(),
    }
}

fn with(account: Option<&Account>, answer: impl FnOnce(&Account) -> Reply) -> Reply {
    account.map_or_else(Reply::not_found, answer)
}

fn by_id(world: &World, ask: &Ask<'_>, id: &str, rest: &[&str]) -> Reply {
    let account = id.parse().ok().and_then(|id| world.account_by_id(id));
    with(account, |account| match account.organization && ask.segments[0] == "organizations" {
        true => organization(world, ask, account, rest),
        false => user(world, ask, account, rest),
    })
}

/// `/user/…` of the caller. Apps and jobs have none.
fn own(world: &World, ask: &Ask<'_>, rest: &[&str]) -> Reply {
    let view = ask.view(world);
    let Some(account) = view.viewer() else {
        let apps = matches!(ask.caller.kind, Some(TokenKind::Installation | TokenKind::Actions));
        return match apps {
            true => Reply::error(403, "Resource not accessible by integration"),
            false => Reply::error(401, "Requires authentication"),
        };
    };
    let reply = match rest {
        [] => Reply::json(view.account(account, true)).modified(account.updated),
        ["repos"] => {
            let mine = visible(&view, world.repositories.values()).into_iter().filter(|repository| {
                repository.owner == account.login
                    || repository.collaborators.contains_key(&account.login)
                    || world.account(&repository.owner).is_some_and(|owner| owner.members.contains_key(&account.login))
            });
            page::list(world, ask, sorted(ask, mine.collect()), |repository| view.repository(repository))
        }
        ["orgs"] => {
            let orgs = world.accounts.values().filter(|org| org.members.contains_key(&account.login));
            page::list(world, ask, orgs.collect(), |org| short_organization(ask, org))
        }
        ["emails"] => Reply::json(json!([{
            "email": format!("{}@example.com", account.login), "primary": true, "verified": true, "visibility": null,
        }])),
        _ => return Reply::not_found(),
    };
    reply.private(true)
}

fn user(world: &World, ask: &Ask<'_>, account: &Account, rest: &[&str]) -> Reply {
    let view = ask.view(world);
    match rest {
        [] => Reply::json(view.account(account, false)).modified(account.updated),
        ["repos"] => {
            // Only what everybody sees: GitHub's `/users/X/repos` leaves private ones out.
            let public = world.repositories_of(&account.login).filter(|repository| !repository.private).collect();
            page::list(world, ask, sorted(ask, public), |repository| view.repository(repository))
        }
        ["orgs"] => {
            let orgs =
                world.accounts.values().filter(|org| org.members.contains_key(&account.login.to_ascii_lowercase()));
            page::list(world, ask, orgs.collect(), |org| short_organization(ask, org))
        }
        ["starred" | "followers" | "following" | "gists"] => Reply::json(json!([])),
        ["events"] => Reply::json(json!([])).header("x-poll-interval", "60".into()),
        _ => Reply::not_found(),
    }
}

fn organization(world: &World, ask: &Ask<'_>, account: &Account, rest: &[&str]) -> Reply {
    let view = ask.view(world);
    let login = ask.caller.login.as_deref().unwrap_or_default().to_ascii_lowercase();
    match rest {
        _ if !account.organization => Reply::not_found(),
        [] => Reply::json(view.organization(account)).modified(account.updated),
        ["repos"] => {
            let seen = visible(&view, world.repositories_of(&account.login));
            let private = seen.iter().any(|repository| repository.private);
            page::list(world, ask, sorted(ask, seen), |repository| view.repository(repository)).private(private)
        }
        ["members"] => page::list(world, ask, account.members.keys().collect(), |login| view.actor(login)),
        ["actions", "runners"] if account.members.get(&login) == Some(&true) => {
            page::counted(world, ask, "runners", account.runners.iter().collect(), |runner| view.runner(runner))
                .private(true)
        }
        ["actions", "runners", id] if account.members.get(&login) == Some(&true) => {
            let runner = account.runners.iter().find(|runner| runner.id.to_string() == *id);
            runner.map_or_else(Reply::not_found, |runner| Reply::json(view.runner(runner)).private(true))
        }
        ["actions", "runners", ..] if ask.caller.is_anonymous() => Reply::error(401, "Requires authentication"),
        ["actions", "runners", ..] => Reply::error(403, "Resource not accessible by personal access token"),
        ["dependabot" | "secret-scanning" | "code-scanning", "alerts"] => Reply::json(json!([])).untagged(),
        _ => Reply::not_found(),
    }
}

fn short_organization(ask: &Ask<'_>, account: &Account) -> serde_json::Value {
    let url = format!("{}/orgs/{}", ask.bases.bodies, account.login);
    json!({
        "login": account.login,
        "id": account.id,
        "node_id": crate::text::node_id("O", account.id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id),
        "description": format!("Organisation {}", account.login),
    })
}

fn installation(world: &World, ask: &Ask<'_>) -> Reply {
    if ask.caller.kind != Some(TokenKind::Installation) {
        return Reply::error(403, "You must authenticate with an installation access token");
    }
    let view = ask.view(world);
    let granted = world
        .repositories
        .values()
        .filter(|repository| view.permission(repository) >= Some(crate::world::Permission::Push));
    page::counted(world, ask, "repositories", granted.collect(), |repository| view.repository(repository)).private(true)
}

fn sorted<'a>(ask: &Ask<'_>, mut repositories: Vec<&'a Repository>) -> Vec<&'a Repository> {
    match ask.query("sort") {
        Some("updated") => repositories.sort_by_key(|repository| std::cmp::Reverse(repository.updated)),
        Some("pushed") => repositories.sort_by_key(|repository| std::cmp::Reverse(repository.pushed)),
        Some("full_name") => repositories.sort_by_key(|repository| repository.full_name()),
        _ => {}
    }
    repositories
}
