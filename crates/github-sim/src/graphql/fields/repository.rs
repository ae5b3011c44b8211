//! `Repository`.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::{Found, Thing, many, nothing};
use crate::shapes::{View, WEB};
use crate::text::{iso, node_id};
use crate::world::{Issue, Permission, Repository};

pub(crate) fn repository<'a>(
    view: View<'a>,
    repository: &'a Repository,
    name: &str,
    arguments: &Value,
) -> Option<Found<'a>> {
    scalar(view, repository, name).map(Found::Value).or_else(|| linked(view, repository, name, arguments))
}

fn scalar(view: View<'_>, repository: &Repository, name: &str) -> Option<Value> {
    let full_name = repository.full_name();
    Some(match name {
        "id" => node_id("R", repository.id).into(),
        "databaseId" => repository.id.into(),
        "name" => repository.name.clone().into(),
        "nameWithOwner" => full_name.into(),
        "description" => repository.description.clone().into(),
        "url" => format!("{WEB}/{full_name}").into(),
        "resourcePath" => format!("/{full_name}").into(),
        "sshUrl" => format!("git@github.com:{full_name}.git").into(),
        "homepageUrl" | "openGraphImageUrl" | "securityPolicyUrl" => "".into(),
        "mirrorUrl" | "codeOfConduct" | "parent" | "templateRepository" => Value::Null,
        "createdAt" => iso(repository.created).into(),
        "updatedAt" => iso(repository.updated).into(),
        "pushedAt" => iso(repository.pushed).into(),
        "isPrivate" => repository.private.into(),
        "isArchived" => repository.archived.into(),
        "visibility" => if repository.private { "PRIVATE" } else { "PUBLIC" }.into(),
        "isInOrganization" => view.world.account(&repository.owner).is_some_and(|owner| owner.organization).into(),
        "isFork"
        | "isEmpty"
        | "isMirror"
        | "isTemplate"
        | "isDisabled"
        | "isLocked"
        | "isUserConfigurationRepository"
        | "usesCustomOpenGraphImage"
        | "isSecurityPolicyEnabled"
        | "hasDiscussionsEnabled"
        | "deleteBranchOnMerge"
        | "viewerHasStarred"
        | "autoMergeAllowed" => false.into(),
        "hasIssuesEnabled"
        | "hasProjectsEnabled"
        | "hasWikiEnabled"
        | "isBlankIssuesEnabled"
        | "mergeCommitAllowed"
        | "squashMergeAllowed"
        | "rebaseMergeAllowed"
        | "forkingAllowed" => true.into(),
        "forkCount" | "stargazerCount" => 0.into(),
        "diskUsage" => 1.into(),
        "watchers" | "stargazers" => json!({"totalCount": 0}),
        "primaryLanguage" => json!({"__typename": "Language", "name": "Rust"}),
        "languages" => {
            json!({"totalCount": 1, "edges": [{"size": 4096, "node": {"name": "Rust"}}], "nodes": [{"name": "Rust"}]})
        }
        "licenseInfo" => json!({"key": "mit", "name": "MIT License", "nickname": null, "spdxId": "MIT"}),
        "repositoryTopics" => topics(repository),
        "issueTemplates" | "pullRequestTemplates" | "contactLinks" | "fundingLinks" => json!([]),
        "viewerCanAdminister" => (view.permission(repository) == Some(Permission::Admin)).into(),
        "viewerPermission" => permission(view, repository),
        "viewerDefaultMergeMethod" => "MERGE".into(),
        "viewerSubscription" => "UNSUBSCRIBED".into(),
        "viewerDefaultCommitEmail" => "nobody@users.noreply.github.com".into(),
        _ => return None,
    })
}

fn topics(repository: &Repository) -> Value {
    let nodes: Vec<Value> = repository.topics.iter().map(|topic| json!({"topic": {"name": topic}})).collect();
    json!({"totalCount": nodes.len(), "nodes": nodes})
}

fn permission(view: View<'_>, repository: &Repository) -> Value {
    match view.permission(repository) {
        Some(Permission::Admin) => "ADMIN".into(),
        Some(Permission::Maintain) => "MAINTAIN".into(),
        Some(Permission::Push) => "WRITE".into(),
        Some(Permission::Triage) => "TRIAGE".into(),
        Some(Permission::Pull) => "READ".into(),
        None => Value::Null,
    }
}

fn linked<'a>(view: View<'a>, repository: &'a Repository, name: &str, arguments: &Value) -> Option<Found<'a>> {
    let branch = |name: &str| {
        let sha = repository.branches.get(name)?;
        Some(Thing::Reference(repository, format!("refs/heads/{name}"), sha))
    };
    Some(match name {
        "owner" => Found::maybe(view.world.account(&repository.owner).map(Thing::Account)),
        "defaultBranchRef" => Found::maybe(branch(&repository.default_branch)),
        "ref" => {
            let asked = arguments["qualifiedName"].as_str().unwrap_or_default();
            Found::maybe(branch(asked.strip_prefix("refs/heads/").unwrap_or(asked)))
        }
        "object" => {
            let commit = arguments["expression"].as_str().and_then(|expression| repository.resolve(expression));
            Found::maybe(commit.map(|commit| Thing::Commit(repository, commit)))
        }
        "refs" => {
            let names = repository.branches.keys().filter_map(|name| branch(name));
            many(names, arguments)
        }
        "latestRelease" => {
            let latest = repository.releases.values().rev().find(|release| !release.draft && !release.prerelease);
            Found::maybe(latest.map(|release| Thing::Release(repository, release)))
        }
        "releases" => {
            many(repository.releases.values().rev().map(|release| Thing::Release(repository, release)), arguments)
        }
        "labels" => many(repository.labels.values().map(|label| Thing::Label(repository, label)), arguments),
        "assignableUsers" | "mentionableUsers" | "collaborators" => {
            many(view.world.accounts.values().filter(|account| !account.organization).map(Thing::Account), arguments)
        }
        "milestones" | "projects" | "projectsV2" | "forks" | "branchProtectionRules" => nothing(arguments),
        "viewerPossibleCommitEmails" => Found::Scalars(json!([])),
        "issues" => issues(repository, arguments, false),
        "pullRequests" => issues(repository, arguments, true),
        "issue" | "pullRequest" | "issueOrPullRequest" => one_issue(repository, name, arguments),
        _ => return None,
    })
}

fn one_issue<'a>(repository: &'a Repository, kind: &str, arguments: &Value) -> Found<'a> {
    let number = arguments["number"].as_u64().unwrap_or(0);
    let fits = |issue: &&Issue| match kind {
        "issue" => issue.pull.is_none(),
        "pullRequest" => issue.pull.is_some(),
        _ => true,
    };
    let wanted = match kind {
        "issue" => "an Issue",
        "pullRequest" => "a PullRequest",
        _ => "an issue or pull request",
    };
    let found = repository.issues.get(&number).filter(fits);
    let missing = || Found::Missing(format!("Could not resolve to {wanted} with the number of {number}."));
    found.map_or_else(missing, |issue| Found::Thing(Thing::Issue(repository, issue)))
}

/// `states`, `labels`, `filterBy`, `headRefName`, `baseRefName` and `orderBy` are honoured.
fn issues<'a>(repository: &'a Repository, arguments: &Value, pulls: bool) -> Found<'a> {
    let filter = &arguments["filterBy"];
    let states = strings(&arguments["states"]).or_else(|| strings(&filter["states"]));
    let labels = strings(&arguments["labels"]).or_else(|| strings(&filter["labels"])).unwrap_or_default();
    let is = |asked: &Value, known: &str| asked.as_str().is_none_or(|asked| asked == known);
    let mut found: Vec<&Issue> = repository
        .issues
        .values()
        .filter(|issue| issue.pull.is_some() == pulls)
        .filter(|issue| states.as_ref().is_none_or(|states| states.iter().any(|state| state == issue.graphql_state())))
        .filter(|issue| labels.iter().all(|label| issue.labels.contains(label)))
        .filter(|issue| is(&filter["createdBy"], &issue.author))
        .filter(|issue| {
            filter["assignee"].as_str().is_none_or(|login| issue.assignees.iter().any(|known| known == login))
        })
        // Nobody is mentioned in this world.
        .filter(|_| filter["mentioned"].is_null())
        .filter(|issue| {
            issue.pull.as_ref().is_none_or(|pull| {
                is(&arguments["headRefName"], &pull.head) && is(&arguments["baseRefName"], &pull.base)
            })
        })
        .collect();
    match arguments["orderBy"]["field"].as_str() {
        Some("UPDATED_AT") => found.sort_by_key(|issue| Reverse((issue.updated, issue.number))),
        Some("CREATED_AT") => found.sort_by_key(|issue| Reverse(issue.number)),
        _ => {}
    }
    if arguments["orderBy"]["direction"] == "ASC" {
        found.reverse();
    }
    many(found.into_iter().map(|issue| Thing::Issue(repository, issue)), arguments)
}

/// A list of strings; a single one stands for a list of it (GraphQL §3.11).
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}
