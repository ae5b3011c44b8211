//! What GitHub's webhook events make stale.
//!
//! GitHub posts an event when something has changed: its name stands in `X-GitHub-Event`, and a JSON object tells about it. The
//! body is signed ([`WebhookSecret`]); the name and the delivery's id are not. So an event can only make things stale, never
//! fresh, and [`Deliveries`] knows a repeated one by its body. Events say the same as writes through this daemon, so that they
//! name the same scopes (see [`crate::invalidation`]). Those about access name all that access decides: what is in such a scope
//! is used for no credential, as a stale answer neither, until GitHub has confirmed it for that credential again.
//!
//! Source: "Webhook events and payloads" in GitHub's documentation.

mod signature;

pub use signature::WebhookSecret;

use crate::invalidation::{self, Group, Touched};
use crate::json;
use crate::origins::Origins;
use ghmesh_model::Scope;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, VecDeque};
use url::Url;

/// Largest payload that GitHub sends, in bytes (25 MB). What is read of one takes no memory to speak of.
pub const MAX_PAYLOAD_BYTES: usize = 25 * 1024 * 1024;
/// Deliveries that are remembered, by 32 bytes each; the oldest goes first. An hour of one event a second.
const MAX_DELIVERIES: usize = 3_600;

/// An event, read.
#[derive(Clone, Debug)]
pub struct WebhookEvent {
    reach: Reach,
    payload: Payload,
}

/// The body is no JSON object.
#[derive(Debug, thiserror::Error)]
#[error("the payload is no JSON object")]
pub struct NotAnEvent(#[source] serde_json::Error);

/// What is looked at of a payload. Shapes differ by event, so that what doesn't fit counts as absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    changes: Value,
    installation: Value,
    organization: Value,
    repository: Value,
    sender: Value,
}

/// Bodies of deliveries that have been seen, bounded.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    seen: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

/// How far an event reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It changes nothing that is read through the API.
    Nothing,
    /// Things of the repository that change together.
    Groups(&'static [Group]),
    /// These areas of the repository alone.
    Areas(&'static [&'static str]),
    /// How often it is starred, watched and forked.
    Fans,
    /// What GraphQL alone shows.
    GraphQl,
    /// Everything of the repository, and who may read it.
    Repository,
    /// Who may read what of an account, and of the repository where one is named.
    AccountAccess,
    /// What a user's tokens may do. Whose they are isn't known here.
    HostAccess,
}

impl WebhookEvent {
    /// Reads an event: `name` as in `X-GitHub-Event`, and the body, which must be JSON (a hook's content type can be set to it).
    ///
    /// # Errors
    /// The body is no JSON object.
    pub fn read(name: &str, body: &[u8]) -> Result<Self, NotAnEvent> {
        let payload: Payload = json::object(body).map_err(NotAnEvent)?;
        Ok(WebhookEvent { reach: reach(name), payload })
    }

    /// What it makes stale, on the API that it comes from; on all of these where it doesn't say which, or names another, as that
    /// costs free calls only.
    pub fn stale(&self, origins: &Origins) -> Vec<Scope> {
        let host = self.host();
        origins.meant_by(host.as_deref()).into_iter().flat_map(|authority| self.scopes(authority)).collect()
    }

    /// The authority of the API that it comes from, in lower case, as its objects name it. A push names its repository by the
    /// page's URL, so that the sender is asked first.
    fn host(&self) -> Option<String> {
        let Payload { repository, organization, sender, .. } = &self.payload;
        let url = [sender, organization, repository].into_iter().find_map(|object| object["url"].as_str())?;
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// What it makes stale of the API at `host`: at most [`MAX_SCOPES`](ghmesh_model::limits::MAX_SCOPES), and nothing where it
    /// names nothing.
    fn scopes(&self, host: &str) -> Vec<Scope> {
        let mut touched = Touched::new(host);
        match self.reach {
            Reach::Nothing => {}
            Reach::GraphQl => touched.graphql_of_any(),
            Reach::HostAccess => return vec![invalidation::host_scope(host)],
            Reach::AccountAccess => {
                self.accounts().for_each(|login| touched.access_to_account(login));
                self.touch_repository(&mut touched);
            }
            Reach::Groups(_) | Reach::Areas(_) | Reach::Fans | Reach::Repository => self.touch_repository(&mut touched),
        }
        touched.into_scopes()
    }

    fn touch_repository(&self, touched: &mut Touched<'_>) {
        let names = self.names();
        for (owner, name) in &names {
            self.touch(touched, owner, name);
            touched.graphql_of(owner, name);
        }
        match self.payload.repository["id"].as_u64() {
            // Pages after the first are there.
            Some(id) if !names.is_empty() => touched.subtree(&["repositories", &id.to_string()]),
            Some(_) | None => {}
        }
    }

    fn touch(&self, touched: &mut Touched<'_>, owner: &str, name: &str) {
        match self.reach {
            Reach::Groups(groups) => touched.groups_of_named(owner, name, groups),
            Reach::Areas(areas) => areas.iter().for_each(|area| touched.subtree(&["repos", owner, name, area])),
            Reach::Fans => {
                for list in ["stargazers", "subscribers", "forks"] {
                    touched.subtree(&["repos", owner, name, list]);
                }
                touched.alone(&["repos", owner, name]);
                touched.lists_of(owner);
            }
            Reach::Nothing | Reach::GraphQl | Reach::Repository | Reach::AccountAccess | Reach::HostAccess => {
                touched.all_of_repository(owner, name)
            }
        }
    }

    /// The repository's owner and name, and what they were before.
    fn names(&self) -> BTreeSet<(&str, &str)> {
        let Payload { repository, changes, .. } = &self.payload;
        let Some((owner, name)) = repository["full_name"].as_str().and_then(|full| full.split_once('/')) else {
            return BTreeSet::new();
        };
        let from = &changes["owner"]["from"];
        let old_owner = from["user"]["login"].as_str().or_else(|| from["organization"]["login"].as_str());
        let old_name = changes["repository"]["name"]["from"].as_str();
        let old = (old_owner.unwrap_or(owner), old_name.unwrap_or(name));
        BTreeSet::from([(owner, name), old])
    }

    fn accounts(&self) -> impl Iterator<Item = &str> {
        let Payload { installation, organization, .. } = &self.payload;
        [&installation["account"], organization].into_iter().filter_map(|account| account["login"].as_str())
    }
}

impl Deliveries {
    /// Whether this body comes for the first time, as far as is remembered. Remembers it.
    pub fn is_new(&mut self, body: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(body).into();
        if !self.seen.insert(digest) {
            return false;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX_DELIVERIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

fn reach(event: &str) -> Reach {
    match event {
        "gollum" | "marketplace_purchase" | "meta" | "ping" | "security_advisory" | "sponsorship" => Reach::Nothing,
        "push" | "create" | "delete" | "commit_comment" => Reach::Groups(&[Group::Code]),
        "issue_comment"
        | "issue_dependencies"
        | "issues"
        | "label"
        | "milestone"
        | "pull_request"
        | "pull_request_review"
        | "pull_request_review_comment"
        | "pull_request_review_thread"
        | "sub_issues" => Reach::Groups(&[Group::Talk]),
        "check_run"
        | "check_suite"
        | "deployment"
        | "deployment_protection_rule"
        | "deployment_review"
        | "deployment_status"
        | "page_build"
        | "status"
        | "workflow_dispatch"
        | "workflow_job"
        | "workflow_run" => Reach::Groups(&[Group::Checks]),
        "code_scanning_alert" => Reach::Areas(&["code-scanning"]),
        "dependabot_alert" | "repository_vulnerability_alert" => Reach::Areas(&["dependabot"]),
        "deploy_key" => Reach::Areas(&["keys"]),
        "secret_scanning_alert" | "secret_scanning_alert_location" | "secret_scanning_scan" => {
            Reach::Areas(&["secret-scanning"])
        }
        "projects_v2" | "projects_v2_item" | "projects_v2_status_update" => Reach::GraphQl,
        "release" => Reach::Areas(&["releases"]),
        "discussion" | "discussion_comment" => Reach::Areas(&["discussions"]),
        "fork" | "star" | "watch" => Reach::Fans,
        "repository" | "public" | "member" => Reach::Repository,
        "installation"
        | "installation_repositories"
        | "installation_target"
        | "membership"
        | "org_block"
        | "organization"
        | "personal_access_token_request"
        | "team"
        | "team_add" => Reach::AccountAccess,
        "github_app_authorization" => Reach::HostAccess,
        // As much as it could.
        _ => Reach::Repository,
    }
}

#[cfg(test)]
mod tests;
