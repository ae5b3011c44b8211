//! Grows a world from its seed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::seed::{AccountSeed, RepositorySeed, Seed};
use super::{Account, Asset, Comment, Commit, EPOCH, Issue, Label, Pull, Release, Repository, Run, Runner, World};
use crate::text::object_name;

/// Time between two events of a repository's past, in seconds.
const STEP: u64 = 3_600;
/// Labels that every repository starts with, and their colours; GitHub's own.
const LABELS: [(&str, &str); 4] =
    [("bug", "d73a4a"), ("documentation", "0075ca"), ("enhancement", "a2eeef"), ("question", "d876e3")];

impl World {
    /// The world that the seed describes. References to accounts that don't exist are kept as they are.
    pub(crate) fn grow(seed: &Seed) -> Self {
        let mut world = Self { clock: EPOCH, last_id: 1_000, ..Self::default() };
        seed.accounts.iter().for_each(|account| world.add_account(account));
        for repository in &seed.repositories {
            world.add_repository(repository);
        }
        for (former, present) in &seed.renamed {
            if let Some(id) = world.names.get(&present.to_ascii_lowercase()).copied() {
                world.names.insert(former.to_ascii_lowercase(), id);
            }
        }
        world
    }

    fn add_account(&mut self, seed: &AccountSeed) {
        let members = seed.members.iter().map(|login| (login.to_ascii_lowercase(), false));
        let admins = seed.admins.iter().map(|login| (login.to_ascii_lowercase(), true));
        let account = Account {
            id: self.next_id(),
            login: seed.login.clone(),
            organization: seed.organization,
            members: members.chain(admins).collect(),
            runners: self.runners(seed.runners, "org-runner"),
            created: EPOCH - 90 * 24 * STEP,
            updated: EPOCH,
        };
        self.accounts.insert(seed.login.to_ascii_lowercase(), account);
    }

    /// Adds the repository and returns its id.
    pub(crate) fn add_repository(&mut self, seed: &RepositorySeed) -> u64 {
        let id = self.next_id();
        let mut repository = bare(id, seed, self.clock);
        for (name, color) in LABELS {
            let label = Label { id: self.next_id(), name: name.into(), color: color.into() };
            repository.labels.insert(name.into(), label);
        }
        grow_history(&mut repository, seed);
        self.grow_issues(&mut repository, seed);
        self.grow_actions(&mut repository, seed);
        self.grow_releases(&mut repository, seed);
        self.names.insert(repository.full_name().to_ascii_lowercase(), id);
        self.repositories.insert(id, repository);
        id
    }

    fn runners(&mut self, count: u32, prefix: &str) -> Vec<Runner> {
        let runner = |number| (number, self.next_id());
        (1..=count)
            .map(runner)
            .map(|(number, id)| Runner {
                id,
                name: format!("{prefix}-{number}"),
                online: number % 4 != 0,
                busy: number % 3 == 1,
            })
            .collect()
    }

    fn grow_issues(&mut self, repository: &mut Repository, seed: &RepositorySeed) {
        let total = u64::from(seed.issues) + u64::from(seed.closed_issues);
        for number in 1..=total {
            let mut issue = self.issue(number, &repository.owner);
            if number <= u64::from(seed.closed_issues) {
                issue.closed = Some(issue.updated);
                issue.state_reason = Some("completed".into());
            }
            repository.issues.insert(number, issue);
        }
        for number in total + 1..=total + u64::from(seed.pulls) {
            let pull = Pull { draft: number % 6 == 5, ..pull_between(repository) };
            let mut issue = Issue { pull: Some(pull), ..self.issue(number, &repository.owner) };
            issue.title = format!("Change number {number}");
            close_some(&mut issue);
            repository.issues.insert(number, issue);
        }
    }

    fn issue(&mut self, number: u64, owner: &str) -> Issue {
        let created = EPOCH - 30 * 24 * STEP + number * STEP;
        let (id, comment_id) = (self.next_id(), self.next_id());
        let comment = Comment {
            id: comment_id,
            author: "bob".into(),
            body: format!("I see number {number} too."),
            created,
            updated: created,
        };
        let author = ["alice", "bob", "carol", owner][(number % 4) as usize].to_owned();
        Issue {
            id,
            number,
            title: format!("Issue number {number}"),
            body: format!("What happens in case {number}, and what should."),
            author,
            labels: if number.is_multiple_of(3) { vec!["bug".into()] } else { Vec::new() },
            assignees: if number.is_multiple_of(5) { vec!["alice".into()] } else { Vec::new() },
            comments: if number.is_multiple_of(2) { vec![comment] } else { Vec::new() },
            created,
            updated: created + STEP / 2,
            closed: None,
            state_reason: None,
            pull: None,
        }
    }

    fn grow_actions(&mut self, repository: &mut Repository, seed: &RepositorySeed) {
        repository.runners = self.runners(seed.runners, "runner");
        let branch = repository.default_branch.clone();
        let sha = repository.branches[&branch].clone();
        for number in 1..=u64::from(seed.runs) {
            let id = self.next_id();
            let jobs = vec![(self.next_id(), 1), (self.next_id(), 1)];
            let newest = number == u64::from(seed.runs);
            let created = EPOCH - 10 * 24 * STEP + number * STEP;
            let run = Run {
                id,
                number,
                branch: branch.clone(),
                sha: sha.clone(),
                event: "push".into(),
                status: if newest { "in_progress" } else { "completed" }.into(),
                conclusion: (!newest).then(|| if number % 4 == 3 { "failure" } else { "success" }.into()),
                attempt: 1,
                created,
                updated: created + 300,
                jobs,
            };
            repository.runs.insert(id, run);
        }
    }

    fn grow_releases(&mut self, repository: &mut Repository, seed: &RepositorySeed) {
        let shas: Vec<String> = repository.commits.iter().map(|commit| commit.sha.clone()).collect();
        for number in 0..seed.releases {
            let tag = format!("v1.{number}.0");
            let sha = &shas[(number as usize + 1).min(shas.len() - 1)];
            repository.tags.insert(tag.clone(), sha.clone());
            let id = self.next_id();
            let assets = vec![self.asset("tool-linux-amd64.tar.gz", 300_000), self.asset("checksums.txt", 200)];
            let release = Release {
                id,
                name: format!("Version 1.{number}.0"),
                body: format!("What is new in 1.{number}.0"),
                tag,
                draft: false,
                prerelease: false,
                author: "alice".into(),
                created: EPOCH - 5 * 24 * STEP + u64::from(number) * STEP,
                assets,
            };
            repository.releases.insert(id, release);
        }
    }

    fn asset(&mut self, name: &str, size: u64) -> Asset {
        let content_type = if name.ends_with(".txt") { "text/plain" } else { "application/gzip" };
        Asset { id: self.next_id(), name: name.into(), content_type: content_type.into(), size, sha256: None }
    }
}

fn close_some(issue: &mut Issue) {
    let at = issue.updated;
    if issue.number % 4 < 2 {
        issue.closed = Some(at);
    }
    if let Some(pull) = issue.pull.as_mut().filter(|_| issue.number % 4 == 1) {
        pull.merged = Some(at);
        pull.draft = false;
    }
}

fn pull_between(repository: &Repository) -> Pull {
    let base = repository.default_branch.clone();
    let head = repository.branches.keys().find(|name| **name != base).unwrap_or(&base).clone();
    Pull {
        head_sha: repository.branches[&head].clone(),
        base_sha: repository.branches[&base].clone(),
        head,
        base,
        draft: false,
        merged: None,
    }
}

fn bare(id: u64, seed: &RepositorySeed, now: u64) -> Repository {
    let lower = |(login, permission): (&String, &_)| (login.to_ascii_lowercase(), *permission);
    Repository {
        id,
        owner: seed.owner.clone(),
        name: seed.name.clone(),
        description: seed.description.clone(),
        private: seed.private,
        archived: false,
        default_branch: "main".into(),
        topics: vec!["simulation".into()],
        created: now.min(EPOCH - 60 * 24 * STEP),
        updated: now,
        pushed: now,
        collaborators: seed.collaborators.iter().map(lower).collect(),
        branches: BTreeMap::new(),
        tags: BTreeMap::new(),
        commits: Vec::new(),
        blobs: BTreeMap::new(),
        issues: BTreeMap::new(),
        labels: BTreeMap::new(),
        runs: BTreeMap::new(),
        runners: Vec::new(),
        releases: BTreeMap::new(),
        statuses: BTreeMap::new(),
    }
}

fn grow_history(repository: &mut Repository, seed: &RepositorySeed) {
    let start = EPOCH - 40 * 24 * STEP;
    let first: Vec<(&str, &str)> = seed.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    repository.commit("main", "First commit", "alice", start, &first);
    for number in 1..=seed.commits {
        let log = format!("# Changes\n\n{number} of them.\n");
        let message = format!("Change {number}");
        repository.commit("main", &message, "alice", start + u64::from(number) * STEP, &[("CHANGELOG.md", &log)]);
    }
    for (place, branch) in seed.branches.iter().enumerate() {
        let tip = repository.branches["main"].clone();
        repository.branches.insert(branch.clone(), tip);
        let note = format!("Work on {branch}.\n");
        let date = EPOCH - 2 * 24 * STEP + place as u64;
        repository.commit(branch, &format!("Begin {branch}"), "bob", date, &[("NOTES.md", &note)]);
    }
}

impl Repository {
    /// Commits the files on top of the branch, which is made if need be, and returns the commit's name.
    pub(crate) fn commit(
        &mut self,
        branch: &str,
        message: &str,
        author: &str,
        date: u64,
        files: &[(&str, &str)],
    ) -> String {
        let parent = self.branches.get(branch).cloned();
        let before = parent.as_ref().and_then(|sha| self.commits.iter().find(|commit| commit.sha == *sha));
        let mut tree = before.map(|commit| commit.tree.clone()).unwrap_or_default();
        for (path, content) in files {
            let blob = object_name("blob", content.as_bytes());
            tree.insert((*path).to_owned(), blob.clone());
            self.blobs.insert(blob, Bytes::copy_from_slice(content.as_bytes()));
        }
        let listing: String = tree.iter().map(|(path, blob)| format!("{path} {blob}\n")).collect();
        let tree_sha = object_name("tree", listing.as_bytes());
        let full = format!("{} {parent:?} {tree_sha} {author} {date} {message}", self.full_name());
        let sha = object_name("commit", full.as_bytes());
        let (message, author) = (message.to_owned(), author.to_owned());
        self.commits.push(Commit { sha: sha.clone(), parent, message, author, date, tree_sha, tree });
        self.branches.insert(branch.to_owned(), sha.clone());
        sha
    }
}
