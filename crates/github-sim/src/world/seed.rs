//! What a world is grown from: a short description, built in or read from a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tokens::TokenSeed;
use crate::world::Permission;

/// A description of a world, as a seed file holds it in JSON. Everything that is left out is empty or zero.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// Users and organisations, in the order of their ids.
    pub accounts: Vec<AccountSeed>,
    /// Repositories, in the order of their ids.
    pub repositories: Vec<RepositorySeed>,
    /// Former full names of repositories and their present ones.
    pub renamed: BTreeMap<String, String>,
    /// Tokens beyond the built-in ones of [`crate::tokens`].
    pub tokens: Vec<TokenSeed>,
}

/// A user or an organisation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSeed {
    /// The login, in the case it is shown in.
    pub login: String,
    /// Whether it is an organisation.
    pub organization: bool,
    /// Logins of an organisation's owners.
    pub admins: Vec<String>,
    /// Logins of its other members; they may push to its repositories, the private ones included.
    pub members: Vec<String>,
    /// How many organisation runners there are.
    pub runners: u32,
}

/// A repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositorySeed {
    /// Login of its owner, which must be among the accounts.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Whether only some may see it.
    pub private: bool,
    /// Who may do what, beyond the owner and an organisation's members.
    pub collaborators: BTreeMap<String, Permission>,
    /// Files of the first commit, by path.
    pub files: BTreeMap<String, String>,
    /// Commits after the first; each changes `CHANGELOG.md`.
    pub commits: u32,
    /// Branches besides `main`, each one commit ahead of it.
    pub branches: Vec<String>,
    /// Open issues.
    pub issues: u32,
    /// Closed issues.
    pub closed_issues: u32,
    /// Pull requests; of every four, one is closed, one merged and two are open.
    pub pulls: u32,
    /// Workflow runs with two jobs each; the newest is in progress.
    pub runs: u32,
    /// Repository runners.
    pub runners: u32,
    /// Releases `v1.0.0`, `v1.1.0`, … with two assets each, and their tags.
    pub releases: u32,
}

impl Seed {
    /// A handful of repositories with enough in them to page through. All tests of the simulator use it.
    ///
    /// Organisation `octo` (owner alice, member carol) has `octo/hello` (public: 130 open issues, 20 closed, 12 pull
    /// requests, 6 runs, 3 releases), `octo/secret` and `octo/ops` (private), `octo/big` (public: bodies of any size);
    /// `alice/dotfiles` is public, `alice/diary` private, `bob/tools` public, `bob/vault` private.
    /// `octo/old-hello` is the former name of `octo/hello`.
    pub fn small() -> Self {
        Self {
            accounts: people(),
            repositories: vec![
                RepositorySeed { issues: 130, closed_issues: 20, pulls: 12, ..working("octo", "hello", false) },
                RepositorySeed { issues: 3, pulls: 2, ..working("octo", "secret", true) },
                RepositorySeed { issues: 1, ..working("octo", "ops", true) },
                RepositorySeed { ..working("octo", "big", false) },
                RepositorySeed { issues: 2, ..plain("alice", "dotfiles", false) },
                plain("alice", "diary", true),
                RepositorySeed { issues: 4, pulls: 1, ..plain("bob", "tools", false) },
                plain("bob", "vault", true),
            ],
            renamed: BTreeMap::from([("octo/old-hello".into(), "octo/hello".into())]),
            tokens: Vec::new(),
        }
    }

    /// [`Seed::small`] and organisation `acme` (owner bob, member alice) with 200 repositories `acme/service-000` …, every
    /// fifth private, with 20 issues, 4 pull requests and 10 runs each.
    pub fn large() -> Self {
        let mut seed = Self::small();
        seed.accounts.push(AccountSeed {
            login: "acme".into(),
            organization: true,
            admins: vec!["bob".into()],
            members: vec!["alice".into()],
            runners: 150,
        });
        seed.repositories.extend((0..200).map(|number| RepositorySeed {
            issues: 20,
            pulls: 4,
            runs: 10,
            ..plain("acme", &format!("service-{number:03}"), number % 5 == 4)
        }));
        seed
    }
}

fn people() -> Vec<AccountSeed> {
    let user = |login: &str| AccountSeed { login: login.into(), ..AccountSeed::default() };
    let octo = AccountSeed {
        login: "octo".into(),
        organization: true,
        admins: vec!["alice".into()],
        members: vec!["carol".into()],
        runners: 3,
    };
    vec![user("alice"), user("bob"), user("carol"), user("dave"), octo]
}

fn plain(owner: &str, name: &str, private: bool) -> RepositorySeed {
    let readme = format!("# {name}\n\nA repository of the simulated GitHub.\n");
    RepositorySeed {
        owner: owner.into(),
        name: name.into(),
        description: format!("{name} of {owner}"),
        private,
        files: BTreeMap::from([
            ("README.md".into(), readme),
            ("src/main.rs".into(), "fn main() {\n    println!(\"Hello\");\n}\n".into()),
        ]),
        commits: 3,
        ..RepositorySeed::default()
    }
}

fn working(owner: &str, name: &str, private: bool) -> RepositorySeed {
    RepositorySeed {
        branches: vec!["develop".into(), "feature/colours".into()],
        commits: 8,
        runs: 6,
        runners: 2,
        releases: 3,
        ..plain(owner, name, private)
    }
}
