//! The repository and branch that `{owner}`, `{repo}` and `{branch}` stand for: `GH_REPO`, else the git remotes and `HEAD` of the
//! current directory. Git is asked by its command, so that its own rules (worktrees, `insteadOf`) hold.

use super::environment::Environment;
use super::host;

/// Why a placeholder can't be filled in.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// `GH_REPO` has another form.
    #[error("expected the \"[HOST/]OWNER/REPO\" format in GH_REPO, got {value:?}")]
    Variable {
        /// Its value.
        value: String,
    },
    /// With `GH_REPO` there is no checkout to ask.
    #[error(
        "unable to determine an appropriate value for the 'branch' placeholder: GH_REPO names a repository, not a checkout"
    )]
    NoBranch,
    /// `HEAD` names a commit.
    #[error("could not determine current branch: git is not on any branch")]
    Detached,
    /// Git couldn't be run.
    #[error("could not run git: {source}")]
    Git {
        /// Why not.
        source: std::io::Error,
    },
    /// Git ran and refused.
    #[error("git failed: {message}")]
    GitFailed {
        /// Its own first line.
        message: String,
    },
    /// No remote is a GitHub repository of this host.
    #[error("none of the git remotes of this directory points to {host}; set GH_REPO to OWNER/REPO")]
    NoRemote {
        /// The host that is asked.
        host: String,
    },
}

/// `OWNER/REPO` on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Repository {
    host: String,
    owner: String,
    name: String,
}

/// Fills placeholders in, looking the repository up once and only if one is there.
pub(super) struct Placeholders<'a> {
    environment: &'a Environment,
    /// The API host; remotes on other hosts don't count.
    host: &'a str,
    repository: Option<Repository>,
    branch: Option<String>,
}

impl<'a> Placeholders<'a> {
    pub(super) fn new(environment: &'a Environment, host: &'a str) -> Self {
        Self { environment, host, repository: None, branch: None }
    }

    /// The text with `{owner}`, `{repo}`, `{branch}` (and their old forms `:owner`, `:repo`, `:branch`) replaced. Other braces stay.
    pub(super) async fn fill(&mut self, text: &str) -> Result<String, RepositoryError> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, placeholder, after)) = next_placeholder(rest) {
            filled.push_str(before);
            filled.push_str(&self.value(placeholder).await?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    async fn value(&mut self, placeholder: Placeholder) -> Result<String, RepositoryError> {
        match placeholder {
            Placeholder::Owner => Ok(self.repository().await?.owner.clone()),
            Placeholder::Repo => Ok(self.repository().await?.name.clone()),
            Placeholder::Branch => self.branch().await,
        }
    }

    async fn repository(&mut self) -> Result<&Repository, RepositoryError> {
        let found = match self.repository.take() {
            Some(repository) => repository,
            None => find_repository(self.environment, self.host).await?,
        };
        Ok(self.repository.insert(found))
    }

    async fn branch(&mut self) -> Result<String, RepositoryError> {
        if self.environment.variable("GH_REPO").is_some() {
            return Err(RepositoryError::NoBranch);
        }
        if self.branch.is_none() {
            self.branch = Some(find_branch(self.environment).await?);
        }
        self.branch.clone().ok_or(RepositoryError::Detached)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Owner,
    Repo,
    Branch,
}

const NAMES: [(&str, Placeholder); 3] =
    [("owner", Placeholder::Owner), ("repo", Placeholder::Repo), ("branch", Placeholder::Branch)];

/// Splits at the first placeholder: what stands before it, which it is, what stands behind.
fn next_placeholder(text: &str) -> Option<(&str, Placeholder, &str)> {
    text.char_indices().filter(|(_, c)| matches!(c, '{' | ':')).find_map(|(start, open)| {
        let (before, rest) = (text.get(..start)?, text.get(start + 1..)?);
        NAMES.iter().find_map(|(name, placeholder)| {
            let after = rest.strip_prefix(name)?;
            let after = if open == '{' { after.strip_prefix('}')? } else { word_boundary(after)? };
            Some((before, *placeholder, after))
        })
    })
}

/// The text, if it doesn't go on with a letter, digit or underscore.
fn word_boundary(after: &str) -> Option<&str> {
    (!after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')).then_some(after)
}

async fn find_repository(environment: &Environment, host: &str) -> Result<Repository, RepositoryError> {
    if let Some(value) = environment.variable("GH_REPO") {
        return named(value, host).ok_or_else(|| RepositoryError::Variable { value: value.to_owned() });
    }
    let remotes = git(environment, &["remote", "-v"]).await?;
    let wanted = host::normalized(host);
    let best = remotes
        .lines()
        .filter_map(remote)
        .filter(|(_, repository)| host::normalized(&repository.host) == wanted)
        .min_by_key(|(name, _)| rank(name));
    best.map(|(_, repository)| repository).ok_or(RepositoryError::NoRemote { host: wanted })
}

/// gh's order of remotes.
fn rank(remote: &str) -> u8 {
    match remote {
        "upstream" => 0,
        "github" => 1,
        "origin" => 2,
        _ => 3,
    }
}

/// A line of `git remote -v`: `name<TAB>url (fetch)`.
fn remote(line: &str) -> Option<(&str, Repository)> {
    let (name, rest) = line.split_once('\t')?;
    let url = rest.rsplit_once(' ').map_or(rest, |(url, _direction)| url);
    Some((name, located(url)?))
}

/// `OWNER/REPO`, `HOST/OWNER/REPO` or a URL.
fn named(value: &str, default_host: &str) -> Option<Repository> {
    if value.contains("://") || value.starts_with("git@") {
        return located(value);
    }
    let parts: Vec<_> = value.split('/').collect();
    match parts.as_slice() {
        [owner, name] => repository(default_host, owner, name),
        [host, owner, name] => repository(host, owner, name),
        _ => None,
    }
}

/// The repository of a git URL: `https://host/owner/repo.git`, `ssh://git@host:22/owner/repo`, `git@host:owner/repo.git`.
fn located(url: &str) -> Option<Repository> {
    let (authority, path) = match url.split_once("://") {
        Some((_scheme, rest)) => rest.split_once('/')?,
        None => url.split_once(':')?,
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    let host = if host.eq_ignore_ascii_case("ssh.github.com") { "github.com" } else { host.trim_start_matches("www.") };
    let (owner, name) = path.trim_matches('/').split_once('/')?;
    repository(host, owner, name.strip_suffix(".git").unwrap_or(name))
}

fn repository(host: &str, owner: &str, name: &str) -> Option<Repository> {
    let parts = [host, owner, name];
    let valid = parts.iter().all(|part| !part.is_empty() && !part.contains(['/', '?', '#', ' ']));
    valid.then(|| Repository { host: host.to_owned(), owner: owner.to_owned(), name: name.to_owned() })
}

async fn find_branch(environment: &Environment) -> Result<String, RepositoryError> {
    match git(environment, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await {
        Ok(branch) => Ok(branch.trim().to_owned()),
        // `--quiet` says nothing when HEAD is detached; another failure has a message.
        Err(RepositoryError::GitFailed { message }) if message.is_empty() => Err(RepositoryError::Detached),
        Err(error) => Err(error),
    }
}

async fn git(environment: &Environment, arguments: &[&str]) -> Result<String, RepositoryError> {
    let output = environment.command("git").args(arguments).output().await;
    let output = output.map_err(|source| RepositoryError::Git { source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(RepositoryError::GitFailed { message: message.lines().next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn environment(directory: &std::path::Path, repository: Option<&str>) -> Environment {
        let mut environment = Environment { directory: directory.to_owned(), ..Environment::of_process() };
        environment.variables.remove("GH_REPO");
        environment.variables.retain(|name, _| !name.starts_with("GIT_"));
        environment.variables.insert("HOME".into(), directory.to_str().unwrap().to_owned());
        environment.variables.insert("GIT_CEILING_DIRECTORIES".into(), "/".into());
        if let Some(repository) = repository {
            environment.variables.insert("GH_REPO".into(), repository.to_owned());
        }
        environment
    }

    fn run_git(directory: &std::path::Path, arguments: &[&str]) {
        let status = std::process::Command::new("git").args(arguments).current_dir(directory).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    #[tokio::test]
    async fn gh_repo_fills_owner_and_repo() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path(), Some("o/r"));
        let mut placeholders = Placeholders::new(&environment, "github.com");
        assert_eq!(placeholders.fill("repos/{owner}/{repo}/x").await.unwrap(), "repos/o/r/x");
        assert_eq!(
            placeholders.fill("repos/:owner/:repo/:repository/{foo}{").await.unwrap(),
            "repos/o/r/:repository/{foo}{"
        );
        assert!(matches!(placeholders.fill("{branch}").await, Err(RepositoryError::NoBranch)));
    }

    #[test]
    fn repositories_are_read_from_every_form() {
        for (value, expected) in [
            ("o/r", Some(("github.com", "o", "r"))),
            ("ghe.example.com/o/r", Some(("ghe.example.com", "o", "r"))),
            ("https://github.com/o/r.git", Some(("github.com", "o", "r"))),
            ("git@github.com:o/r.git", Some(("github.com", "o", "r"))),
            ("ssh://git@ssh.github.com:443/o/r.git", Some(("github.com", "o", "r"))),
            ("https://user:secret@www.github.com/o/r/", Some(("github.com", "o", "r"))),
            ("o", None),
            ("a/b/c/d", None),
            ("/r", None),
            ("o/r?x", None),
            ("file:///tmp/repo", None),
        ] {
            let expected = expected.and_then(|(host, owner, name)| repository(host, owner, name));
            assert_eq!(named(value, "github.com"), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn a_checkout_is_asked_for_its_remotes_and_branch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run_git(path, &["init", "-q", "-b", "feat/x"]);
        run_git(path, &["remote", "add", "origin", "git@github.com:fork/r.git"]);
        run_git(path, &["remote", "add", "aaa", "https://github.com/other/r"]);
        run_git(path, &["remote", "add", "work", "https://ghe.example.com/corp/tool.git"]);
        let environment = environment(path, None);
        let mut placeholders = Placeholders::new(&environment, "github.com");
        assert_eq!(placeholders.fill("{owner}/{repo}@{branch}").await.unwrap(), "fork/r@feat/x");
        assert_eq!(Placeholders::new(&environment, "ghe.example.com").fill("{owner}").await.unwrap(), "corp");
        let nowhere = Placeholders::new(&environment, "elsewhere.org").fill("{owner}").await;
        assert!(matches!(nowhere, Err(RepositoryError::NoRemote { .. })));
        run_git(path, &["remote", "add", "upstream", "https://github.com/root/r"]);
        assert_eq!(Placeholders::new(&environment, "github.com").fill("{owner}").await.unwrap(), "root");
    }

    #[tokio::test]
    async fn outside_a_checkout_git_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path(), None);
        let error = Placeholders::new(&environment, "github.com").fill("{owner}").await.unwrap_err();
        assert!(error.to_string().contains("not a git repository"), "{error}");
    }
}
