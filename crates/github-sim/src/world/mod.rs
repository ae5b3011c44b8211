//! What the simulated GitHub holds: accounts and repositories with everything in them.
//!
//! The world is deterministic: ids, times and object names follow from the seed and from the order of changes. Its clock
//! does not tick by itself; every change moves it one second on, so `updated_at` and `Last-Modified` show each change.

mod build;
mod change;
pub(crate) mod seed;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use change::{Mutation, MutationError};

/// 2026-01-01T00:00:00Z, where the world's clock starts.
pub(crate) const EPOCH: u64 = 1_767_225_600;

/// Everything that requests can read and change.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// By lower-case login.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// By id.
    pub(crate) repositories: BTreeMap<u64, Repository>,
    /// Lower-case full names, former names included.
    names: BTreeMap<String, u64>,
    /// Seconds since 1970.
    clock: u64,
    /// The last database id given out.
    last_id: u64,
}

/// A user or an organisation.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) organization: bool,
    /// Of an organisation: member logins, with true for its owners.
    pub(crate) members: BTreeMap<String, bool>,
    pub(crate) runners: Vec<Runner>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

/// What someone may do in a repository; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read.
    Pull,
    /// Manage issues and pull requests.
    Triage,
    /// Write code, releases and statuses.
    Push,
    /// Manage the repository without its sensitive settings.
    Maintain,
    /// Everything.
    Admin,
}

#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    pub(crate) default_branch: String,
    pub(crate) topics: Vec<String>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) pushed: u64,
    pub(crate) collaborators: BTreeMap<String, Permission>,
    /// Branch name to commit.
    pub(crate) branches: BTreeMap<String, String>,
    /// Tag name to commit.
    pub(crate) tags: BTreeMap<String, String>,
    /// Oldest first.
    pub(crate) commits: Vec<Commit>,
    pub(crate) blobs: BTreeMap<String, Bytes>,
    /// Issues and pull requests by number.
    pub(crate) issues: BTreeMap<u64, Issue>,
    pub(crate) labels: BTreeMap<String, Label>,
    /// Workflow runs by id.
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) runners: Vec<Runner>,
    pub(crate) releases: BTreeMap<u64, Release>,
    /// Statuses by commit, newest first.
    pub(crate) statuses: BTreeMap<String, Vec<Status>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) parent: Option<String>,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) date: u64,
    pub(crate) tree_sha: String,
    /// Paths to blob names.
    pub(crate) tree: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    /// When it was closed, if it is.
    pub(crate) closed: Option<u64>,
    /// Why it was closed: `completed` or `not_planned`.
    pub(crate) state_reason: Option<String>,
    pub(crate) pull: Option<Pull>,
}

#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

/// What a pull request has beyond an issue.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) head: String,
    pub(crate) head_sha: String,
    pub(crate) base: String,
    pub(crate) base_sha: String,
    pub(crate) draft: bool,
    pub(crate) merged: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) branch: String,
    pub(crate) sha: String,
    pub(crate) event: String,
    /// `queued`, `in_progress` or `completed`.
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) attempt: u64,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    /// Job ids and the attempt they belong to.
    pub(crate) jobs: Vec<(u64, u64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) online: bool,
    pub(crate) busy: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: u64,
    pub(crate) tag: String,
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) prerelease: bool,
    pub(crate) author: String,
    pub(crate) created: u64,
    pub(crate) assets: Vec<Asset>,
}

#[derive(Debug, Clone)]
pub(crate) struct Asset {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) size: u64,
    /// Of an uploaded asset, the SHA-256 in hexadecimal.
    pub(crate) sha256: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) state: String,
    pub(crate) context: String,
    pub(crate) description: String,
    pub(crate) author: String,
    pub(crate) created: u64,
}

/// What a repository path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Here(u64),
    /// It was renamed: GitHub answers 301 to `/repositories/ID`.
    Moved(u64),
}

impl World {
    /// The world's present, in seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.clock
    }

    /// Moves the clock a second on, as every change does, and returns it.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.get(&login.to_ascii_lowercase())
    }

    pub(crate) fn account_by_id(&self, id: u64) -> Option<&Account> {
        self.accounts.values().find(|account| account.id == id)
    }

    /// Names are compared without case.
    pub(crate) fn find(&self, owner: &str, name: &str) -> Option<Found> {
        let asked = format!("{owner}/{name}").to_ascii_lowercase();
        let id = *self.names.get(&asked)?;
        let repository = self.repositories.get(&id)?;
        let here = repository.full_name().eq_ignore_ascii_case(&asked);
        Some(if here { Found::Here(id) } else { Found::Moved(id) })
    }

    /// What `login` may do there by ownership, membership or invitation; nothing is `None`.
    pub(crate) fn permission(&self, login: &str, repository: &Repository) -> Option<Permission> {
        let owns = repository.owner.eq_ignore_ascii_case(login);
        let member = self.account(&repository.owner).and_then(|owner| owner.members.get(&login.to_ascii_lowercase()));
        let invited = repository.collaborators.get(&login.to_ascii_lowercase()).copied();
        match (owns, member) {
            (true, _) | (false, Some(true)) => Some(Permission::Admin),
            (false, Some(false)) => invited.max(Some(Permission::Push)),
            (false, None) => invited.or((!repository.private).then_some(Permission::Pull)),
        }
    }

    /// Repositories of one account, in order of creation.
    pub(crate) fn repositories_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Repository> {
        self.repositories.values().filter(move |repository| repository.owner.eq_ignore_ascii_case(owner))
    }
}

impl Repository {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The commit that a branch, a tag, a full or shortened object name, `heads/B`, `tags/T` or `HEAD` stands for.
    pub(crate) fn resolve(&self, reference: &str) -> Option<&Commit> {
        let name = reference.strip_prefix("refs/").unwrap_or(reference);
        let short = name.strip_prefix("heads/").or(name.strip_prefix("tags/")).unwrap_or(name);
        let short = if short.is_empty() || short == "HEAD" { &self.default_branch } else { short };
        let sha = self.branches.get(short).or(self.tags.get(short));
        let prefix = sha.map_or(short, String::as_str);
        let named = sha.is_some() || (prefix.len() >= 7 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit()));
        self.commits.iter().find(|commit| named && commit.sha.starts_with(prefix))
    }

    /// The commit and its ancestors, newest first.
    pub(crate) fn history<'a>(&'a self, from: &'a Commit) -> Vec<&'a Commit> {
        let mut line = vec![from];
        let mut parent = from.parent.as_deref();
        while let Some(commit) = parent.and_then(|sha| self.commits.iter().find(|commit| commit.sha == sha)) {
            line.push(commit);
            parent = commit.parent.as_deref();
        }
        line
    }
}
