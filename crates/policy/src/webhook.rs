//! What GitHub's webhook events make stale.
//!
//! GitHub posts an event when something has changed: its name stands in `X-GitHub-Event`, and a JSON object tells about it. The
//! body is signed, which the caller checks; the name and the delivery's id are not. So an event can only make things stale, never
//! fresh, and [`Deliveries`] knows a repeated one by its body. Events say the same as writes through this daemon, so that they
//! name the same scopes (see [`crate::invalidation`]); those about access end proofs of access too.
//!
//! Source: "Webhook events and payloads" in GitHub's documentation.

use crate::invalidation::{self, Group, Touched};
use crate::json;
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

/// What an event changes. Nothing where no scope is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookEffect {
    /// What is stale: at most [`MAX_SCOPES`](ghmesh_model::limits::MAX_SCOPES).
    pub scopes: Vec<Scope>,
    /// Who may read what is in these scopes has changed: no entry in them may be used for any credential, stale ones
    /// neither, until GitHub has confirmed it again.
    pub ends_proofs: bool,
}

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
    action: Value,
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
    /// Everything of the repository.
    Repository,
    /// Everything of the repository, and who may read it.
    RepositoryAccess,
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
        Ok(WebhookEvent { reach: reach(name, payload.action.as_str().unwrap_or_default()), payload })
    }

    /// The authority of the API that it comes from, in lower case, as its objects name it.
    pub fn host(&self) -> Option<String> {
        let Payload { repository, organization, sender, .. } = &self.payload;
        let url = [repository, organization, sender].into_iter().find_map(|object| object["url"].as_str())?;
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// What it changes on the API at `host`.
    pub fn effect(&self, host: &str) -> WebhookEffect {
        let mut touched = Touched::new(host);
        let ends_proofs = match self.reach {
            Reach::Nothing => false,
            Reach::GraphQl => {
                touched.graphql_of_any();
                false
            }
            Reach::HostAccess => {
                return WebhookEffect { scopes: vec![invalidation::host_scope(host)], ends_proofs: true };
            }
            Reach::AccountAccess => {
                self.accounts().for_each(|login| touched.access_to_account(login));
                self.touch_repository(&mut touched);
                true
            }
            Reach::Groups(_) | Reach::Areas(_) | Reach::Fans | Reach::Repository | Reach::RepositoryAccess => {
                self.touch_repository(&mut touched);
                self.reach == Reach::RepositoryAccess
            }
        };
        let scopes = touched.into_scopes();
        WebhookEffect { ends_proofs: ends_proofs && !scopes.is_empty(), scopes }
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
            Reach::Nothing
            | Reach::GraphQl
            | Reach::Repository
            | Reach::RepositoryAccess
            | Reach::AccountAccess
            | Reach::HostAccess => touched.all_of_repository(owner, name),
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

fn reach(event: &str, action: &str) -> Reach {
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
        "repository" if matches!(action, "created" | "edited") => Reach::Repository,
        "repository" | "public" | "member" => Reach::RepositoryAccess,
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
