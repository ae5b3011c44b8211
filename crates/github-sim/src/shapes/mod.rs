//! GitHub's JSON: what each thing of the world looks like to the one who asks.
//!
//! Field names and their order are GitHub's; some fields that no known client reads are left out.

mod actions;
mod git;
mod issue;
mod release;
mod repository;

pub(crate) use actions::WORKFLOW;

use serde_json::{Value, json};

use crate::text::{iso, node_id};
use crate::tokens::{Caller, Private, TokenKind};
use crate::world::{Account, Permission, Repository, World};

/// Where web pages are; only the API's base can be set.
pub(crate) const WEB: &str = "https://github.com";

/// The world as one caller sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) caller: &'a Caller,
    /// The base of the API's URLs, `https://api.github.com` unless set otherwise.
    pub(crate) api: &'a str,
}

impl<'a> View<'a> {
    /// What the caller may do; `None` is not even to know that it exists.
    pub(crate) fn permission(&self, repository: &Repository) -> Option<Permission> {
        let full_name = repository.full_name();
        let login = self.caller.login.as_deref();
        let by_user = login.and_then(|login| self.world.permission(login, repository));
        let listed = matches!(&self.caller.private, Private::Listed(names)
            if names.iter().any(|name| name.eq_ignore_ascii_case(&full_name)));
        let granted = match (&self.caller.private, self.caller.kind) {
            (_, Some(TokenKind::Installation)) if listed => Some(Permission::Push),
            (_, Some(TokenKind::Actions)) if self.caller.bucket == format!("jobs of {full_name}") => {
                Some(Permission::Push)
            }
            (Private::Listed(_), _) if repository.private && listed => by_user.max(Some(Permission::Pull)),
            (Private::Users(true), _) if repository.private => by_user,
            _ if repository.private => None,
            _ => by_user,
        };
        granted.or((!repository.private).then_some(Permission::Pull))
    }

    pub(crate) fn sees(&self, repository: &Repository) -> bool {
        self.permission(repository).is_some()
    }

    /// The caller's own account.
    pub(crate) fn viewer(&self) -> Option<&'a Account> {
        self.caller.login.as_deref().and_then(|login| self.world.account(login))
    }

    /// The short form of an account that stands in other things; of one that doesn't exist, GitHub's `ghost`.
    pub(crate) fn actor(&self, login: &str) -> Value {
        let account = self.world.account(login);
        let (id, login) = account.map_or((10_137, "ghost"), |account| (account.id, &account.login));
        let organization = account.is_some_and(|account| account.organization);
        let (kind, prefix) = if organization { ("Organization", "O") } else { ("User", "U") };
        let url = format!("{}/users/{login}", self.api);
        json!({
            "login": login,
            "id": id,
            "node_id": node_id(prefix, id),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            "gravatar_id": "",
            "url": url,
            "html_url": format!("{WEB}/{login}"),
            "followers_url": format!("{url}/followers"),
            "following_url": format!("{url}/following{{/other_user}}"),
            "gists_url": format!("{url}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{url}/subscriptions"),
            "organizations_url": format!("{url}/orgs"),
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events{{/privacy}}"),
            "received_events_url": format!("{url}/received_events"),
            "type": kind,
            "user_view_type": "public",
            "site_admin": false,
        })
    }

    /// A whole account as `/users/X` and, for the caller's own, `/user` show it.
    pub(crate) fn account(&self, account: &Account, own: bool) -> Value {
        let mut value = self.actor(&account.login);
        let mine = self.world.repositories_of(&account.login);
        let (private, public): (Vec<_>, Vec<_>) = mine.partition(|repository| repository.private);
        let name = capitalised(&account.login);
        extend(
            &mut value,
            json!({
                "name": name,
                "company": null,
                "blog": "",
                "location": "Simulation",
                "email": null,
                "hireable": null,
                "bio": null,
                "twitter_username": null,
                "public_repos": public.len(),
                "public_gists": 0,
                "followers": 0,
                "following": 0,
                "created_at": iso(account.created),
                "updated_at": iso(account.updated),
            }),
        );
        if own {
            extend(
                &mut value,
                json!({
                    "private_gists": 0,
                    "total_private_repos": private.len(),
                    "owned_private_repos": private.len(),
                    "disk_usage": 1024,
                    "collaborators": 0,
                    "two_factor_authentication": true,
                    "plan": {"name": "pro", "space": 976_562_499, "collaborators": 0, "private_repos": 9999},
                }),
            );
        }
        value
    }

    /// An organisation as `/orgs/X` shows it; members see more of it.
    pub(crate) fn organization(&self, account: &Account) -> Value {
        let url = format!("{}/orgs/{}", self.api, account.login);
        let (private, public): (Vec<_>, Vec<_>) =
            self.world.repositories_of(&account.login).partition(|repository| repository.private);
        let mut value = json!({
            "login": account.login,
            "id": account.id,
            "node_id": node_id("O", account.id),
            "url": url,
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events"),
            "hooks_url": format!("{url}/hooks"),
            "issues_url": format!("{url}/issues"),
            "members_url": format!("{url}/members{{/member}}"),
            "public_members_url": format!("{url}/public_members{{/member}}"),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id),
            "description": format!("Organisation {}", account.login),
            "name": capitalised(&account.login),
            "is_verified": false,
            "has_organization_projects": true,
            "has_repository_projects": true,
            "public_repos": public.len(),
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "html_url": format!("{WEB}/{}", account.login),
            "created_at": iso(account.created),
            "updated_at": iso(account.updated),
            "archived_at": null,
            "type": "Organization",
        });
        if self.caller.login.as_ref().is_some_and(|login| account.members.contains_key(&login.to_ascii_lowercase())) {
            extend(&mut value, json!({"total_private_repos": private.len(), "owned_private_repos": private.len()}));
        }
        value
    }
}

fn capitalised(login: &str) -> String {
    let mut letters = login.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// Adds the fields of one object to another.
pub(crate) fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}
