//! `User` and `Organization`.

use serde_json::{Value, json};

use super::{Found, Thing, many, nothing};
use crate::shapes::{View, WEB};
use crate::text::{iso, node_id};
use crate::world::{Account, Repository};

pub(crate) fn account<'a>(view: View<'a>, account: &'a Account, name: &str, arguments: &Value) -> Option<Found<'a>> {
    let prefix = if account.organization { "O" } else { "U" };
    let value = match name {
        "id" => node_id(prefix, account.id).into(),
        "databaseId" => account.id.into(),
        "login" => account.login.clone().into(),
        "name" => account.login.clone().into(),
        "email" | "bio" | "company" | "location" | "description" | "websiteUrl" => "".into(),
        "url" => format!("{WEB}/{}", account.login).into(),
        "resourcePath" => format!("/{}", account.login).into(),
        "avatarUrl" => format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id).into(),
        "createdAt" => iso(account.created).into(),
        "updatedAt" => iso(account.updated).into(),
        "isViewer" => view.viewer().is_some_and(|viewer| viewer.id == account.id).into(),
        "viewerIsAMember" => account.members.contains_key(&viewer_login(view)).into(),
        "viewerCanAdminister" => (account.members.get(&viewer_login(view)) == Some(&true)).into(),
        "followers" | "following" if !account.organization => json!({"totalCount": 0}),
        "repositories" => return Some(repositories(view, account, arguments)),
        "repository" => {
            let named =
                |repository: &&Repository| arguments["name"].as_str().is_some_and(|name| repository.name == name);
            let seen = view.world.repositories_of(&account.login).filter(|repository| view.sees(repository));
            return Some(Found::maybe(seen.into_iter().find(named).map(Thing::Repository)));
        }
        "organizations" if !account.organization => {
            let login = account.login.to_ascii_lowercase();
            let orgs = view.world.accounts.values().filter(move |org| org.members.contains_key(&login));
            return Some(many(orgs.map(Thing::Account), arguments));
        }
        "membersWithRole" if account.organization => {
            let members = account.members.keys().filter_map(|login| view.world.account(login));
            return Some(many(members.map(Thing::Account), arguments));
        }
        "projects" | "projectsV2" | "teams" | "gists" | "starredRepositories" => return Some(nothing(arguments)),
        _ => return None,
    };
    Some(Found::Value(value))
}

fn viewer_login(view: View<'_>) -> String {
    view.caller.login.as_deref().unwrap_or_default().to_ascii_lowercase()
}

/// `privacy`, `isFork` and `orderBy` are honoured; everything an account has is its own.
fn repositories<'a>(view: View<'a>, account: &'a Account, arguments: &Value) -> Found<'a> {
    let privacy = match arguments["privacy"].as_str() {
        Some("PRIVATE") => Some(true),
        Some("PUBLIC") => Some(false),
        _ => None,
    };
    let seen = view.world.repositories_of(&account.login).filter(|repository| view.sees(repository));
    let mut found: Vec<&Repository> =
        seen.filter(|repository| privacy.is_none_or(|private| repository.private == private)).collect();
    if arguments["isFork"] == Value::Bool(true) {
        found.clear();
    }
    let order = &arguments["orderBy"];
    match order["field"].as_str() {
        Some("PUSHED_AT") => found.sort_by_key(|repository| repository.pushed),
        Some("UPDATED_AT") => found.sort_by_key(|repository| repository.updated),
        Some("NAME") => found.sort_by_key(|repository| repository.name.clone()),
        _ => {}
    }
    if order["direction"] == "DESC" {
        found.reverse();
    }
    many(found.into_iter().map(Thing::Repository), arguments)
}
