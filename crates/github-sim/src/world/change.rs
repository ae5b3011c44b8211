//! Changes that happen on GitHub by other hands than the client's: what a test asks for to see who notices.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Found, Permission, Repository, World};

/// A change, as `POST /_sim/mutate` takes it: `{"touch": {"path": "/repos/octo/hello"}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mutation {
    /// Changes the resource under an API path so that its body differs: a repository, `…/issues/N`, `…/pulls/N`,
    /// `…/actions/runs/ID`, `…/releases/ID`, `…/contents/PATH` (a commit on the default branch), `/users/X`, `/orgs/X`.
    Touch {
        /// The API path.
        path: String,
    },
    /// Commits a file.
    Push {
        /// Full name of the repository.
        repository: String,
        /// Branch; made if it isn't there. The default branch when left out.
        branch: Option<String>,
        /// Path of the file.
        path: String,
        /// Its new content.
        content: String,
    },
    /// Makes a repository private or public.
    Visibility {
        /// Full name of the repository.
        repository: String,
        /// Whether it is private from now on.
        private: bool,
    },
    /// Renames a repository. The former name answers 301.
    Rename {
        /// Full name of the repository.
        repository: String,
        /// Its new name, without owner.
        name: String,
    },
    /// Deletes a repository.
    Delete {
        /// Full name of the repository.
        repository: String,
    },
    /// Gives or takes a permission.
    Collaborator {
        /// Full name of the repository.
        repository: String,
        /// Whose permission it is.
        login: String,
        /// The permission, or nothing to remove it.
        permission: Option<Permission>,
    },
    /// Adds a user to an organisation or removes one.
    Member {
        /// The organisation's login.
        organization: String,
        /// The user's login.
        login: String,
        /// Whether the user is a member from now on.
        member: bool,
    },
    /// Ends a workflow run.
    CompleteRun {
        /// Full name of the repository.
        repository: String,
        /// Id of the run.
        run: u64,
        /// `success`, `failure`, ….
        conclusion: String,
    },
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MutationError {
    /// There is no such thing in this world.
    #[error("there is no {0} in this world")]
    Missing(String),
    /// The path leads to nothing that can be touched.
    #[error("{0} cannot be touched: see Mutation::Touch for the paths that can")]
    Untouchable(String),
}

impl World {
    /// Makes the change. On an error nothing has changed.
    pub(crate) fn mutate(&mut self, mutation: &Mutation) -> Result<(), MutationError> {
        match mutation {
            Mutation::Touch { path } => self.touch(path),
            Mutation::Push { repository, branch, path, content } => {
                self.with(repository, |here, now| here.push(branch.as_deref(), path, content, now))
            }
            Mutation::Visibility { repository, private } => self.with(repository, |here, now| {
                here.private = *private;
                here.updated = now;
            }),
            Mutation::Rename { repository, name } => self.rename(repository, name),
            Mutation::Delete { repository } => self.id_of(repository).map(|id| self.delete(id)),
            Mutation::Collaborator { repository, login, permission } => self.with(repository, |here, _| {
                let login = login.to_ascii_lowercase();
                match permission {
                    Some(permission) => here.collaborators.insert(login, *permission),
                    None => here.collaborators.remove(&login),
                };
            }),
            Mutation::Member { organization, login, member } => self.set_member(organization, login, *member),
            Mutation::CompleteRun { repository, run, conclusion } => self.complete(repository, *run, conclusion),
        }
    }

    /// Forgets a repository; its names lead nowhere from then on.
    pub(crate) fn delete(&mut self, id: u64) {
        self.tick();
        self.repositories.remove(&id);
        self.names.retain(|_, named| *named != id);
    }

    /// Gives the repository another name; the former one keeps leading to it.
    pub(crate) fn rename(&mut self, full_name: &str, name: &str) -> Result<(), MutationError> {
        let id = self.id_of(full_name)?;
        self.with(full_name, |here, now| {
            here.name = name.to_owned();
            here.updated = now;
        })?;
        let owner = self.repositories[&id].owner.clone();
        self.names.insert(format!("{owner}/{name}").to_ascii_lowercase(), id);
        Ok(())
    }

    fn id_of(&self, full_name: &str) -> Result<u64, MutationError> {
        let found = full_name.split_once('/').and_then(|(owner, name)| self.find(owner, name));
        match found {
            Some(Found::Here(id) | Found::Moved(id)) => Ok(id),
            None => Err(MutationError::Missing(format!("repository {full_name}"))),
        }
    }

    fn with(&mut self, full_name: &str, change: impl FnOnce(&mut Repository, u64)) -> Result<(), MutationError> {
        let id = self.id_of(full_name)?;
        let now = self.tick();
        let repository = self.repositories.get_mut(&id).expect("names lead to repositories that are there");
        change(repository, now);
        Ok(())
    }

    fn set_member(&mut self, organization: &str, login: &str, member: bool) -> Result<(), MutationError> {
        let account = self.accounts.get_mut(&organization.to_ascii_lowercase());
        let account = account.ok_or_else(|| MutationError::Missing(format!("organisation {organization}")))?;
        self.clock += 1;
        let login = login.to_ascii_lowercase();
        match member {
            true => account.members.insert(login, false),
            false => account.members.remove(&login),
        };
        Ok(())
    }

    fn complete(&mut self, full_name: &str, run: u64, conclusion: &str) -> Result<(), MutationError> {
        let missing = || MutationError::Missing(format!("run {run} of {full_name}"));
        let id = self.id_of(full_name)?;
        self.repositories[&id].runs.get(&run).ok_or_else(missing)?;
        self.with(full_name, |here, now| {
            if let Some(run) = here.runs.get_mut(&run) {
                run.status = "completed".into();
                run.conclusion = Some(conclusion.to_owned());
                run.updated = now;
            }
        })
    }

    fn touch(&mut self, path: &str) -> Result<(), MutationError> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["users" | "orgs", login] => self.touch_account(login),
            ["repos", owner, name, rest @ ..] => {
                let full_name = format!("{owner}/{name}");
                let id = self.id_of(&full_name)?;
                if !self.repositories[&id].has(rest) {
                    return Err(MutationError::Untouchable(path.to_owned()));
                }
                self.with(&full_name, |here, now| here.touch(rest, now))
            }
            _ => Err(MutationError::Untouchable(path.to_owned())),
        }
    }

    fn touch_account(&mut self, login: &str) -> Result<(), MutationError> {
        let account = self.accounts.get_mut(&login.to_ascii_lowercase());
        let account = account.ok_or_else(|| MutationError::Missing(format!("account {login}")))?;
        self.clock += 1;
        account.updated = self.clock;
        Ok(())
    }
}

impl Repository {
    fn has(&self, rest: &[&str]) -> bool {
        let id = |text: &str| text.parse::<u64>().unwrap_or(0);
        match rest {
            [] | ["contents", _, ..] => true,
            ["issues" | "pulls", number] => self.issues.contains_key(&id(number)),
            ["actions", "runs", run] => self.runs.contains_key(&id(run)),
            ["releases", release] => self.releases.contains_key(&id(release)),
            _ => false,
        }
    }

    /// Changes what `rest` names, which [`Repository::has`] said is there.
    fn touch(&mut self, rest: &[&str], now: u64) {
        let id = |text: &str| text.parse::<u64>().unwrap_or(0);
        match rest {
            ["contents", path @ ..] => {
                let content = format!("Touched at {now}.\n");
                self.push(None, &path.join("/"), &content, now);
            }
            ["issues" | "pulls", number] => {
                self.issues.entry(id(number)).and_modify(|issue| issue.updated = now);
            }
            ["actions", "runs", run] => {
                self.runs.entry(id(run)).and_modify(|run| run.updated = now);
            }
            ["releases", release] => {
                self.releases.entry(id(release)).and_modify(|release| release.body = format!("Touched at {now}."));
            }
            _ => self.updated = now,
        }
    }

    fn push(&mut self, branch: Option<&str>, path: &str, content: &str, now: u64) {
        let branch = branch.unwrap_or(&self.default_branch).to_owned();
        self.commit(&branch, &format!("Change {path}"), "bob", now, &[(path, content)]);
        self.pushed = now;
        self.updated = now;
    }
}
