//! `Issue`, `PullRequest`, `IssueComment` and `Label`.

use serde_json::{Value, json};

use super::{Found, Thing, many, no_reactions, nothing};
use crate::shapes::{View, WEB};
use crate::text::{iso, node_id};
use crate::world::{Comment, Issue, Label, Pull, Repository};

impl Issue {
    pub(crate) fn graphql_state(&self) -> &'static str {
        match (&self.pull, self.closed) {
            (_, None) => "OPEN",
            (Some(Pull { merged: Some(_), .. }), Some(_)) => "MERGED",
            (_, Some(_)) => "CLOSED",
        }
    }
}

pub(crate) fn issue<'a>(
    view: View<'a>,
    repository: &'a Repository,
    issue: &'a Issue,
    name: &str,
    arguments: &Value,
) -> Option<Found<'a>> {
    let actor = |login: &str| Found::maybe(view.world.account(login).map(Thing::Account));
    Some(match name {
        "author" => actor(&issue.author),
        "editor" => Found::Value(Value::Null),
        "repository" => Found::Thing(Thing::Repository(repository)),
        "assignees" => {
            many(issue.assignees.iter().filter_map(|login| view.world.account(login)).map(Thing::Account), arguments)
        }
        "labels" => {
            let labels = issue.labels.iter().filter_map(|name| repository.labels.get(name));
            many(labels.map(|label| Thing::Label(repository, label)), arguments)
        }
        "comments" => many(issue.comments.iter().map(|comment| Thing::Comment(repository, issue, comment)), arguments),
        "participants" => many(view.world.account(&issue.author).into_iter().map(Thing::Account), arguments),
        "projectCards" | "projectItems" | "timelineItems" | "linkedBranches" => nothing(arguments),
        "reactionGroups" => Found::Value(no_reactions()),
        _ => match (scalar(repository, issue, name), &issue.pull) {
            (Some(value), _) => Found::Value(value),
            (None, Some(pull)) => pull_request(view, repository, (issue, pull), name, arguments)?,
            (None, None) => return None,
        },
    })
}

fn scalar(repository: &Repository, issue: &Issue, name: &str) -> Option<Value> {
    let (page, prefix) = if issue.pull.is_some() { ("pull", "PR") } else { ("issues", "I") };
    let path = format!("/{}/{page}/{}", repository.full_name(), issue.number);
    Some(match name {
        "id" => node_id(prefix, issue.id).into(),
        "databaseId" => issue.id.into(),
        "number" => issue.number.into(),
        "title" => issue.title.clone().into(),
        "titleHTML" => issue.title.clone().into(),
        "body" | "bodyText" => issue.body.clone().into(),
        "state" => issue.graphql_state().into(),
        "stateReason" if issue.pull.is_none() => {
            issue.state_reason.as_ref().map(|reason| reason.to_ascii_uppercase()).into()
        }
        "closed" => issue.closed.is_some().into(),
        "url" => format!("{WEB}{path}").into(),
        "resourcePath" => path.into(),
        "createdAt" => iso(issue.created).into(),
        "updatedAt" => iso(issue.updated).into(),
        "closedAt" => issue.closed.map(iso).into(),
        "authorAssociation" => "CONTRIBUTOR".into(),
        "milestone" | "activeLockReason" => Value::Null,
        "isPinned" if issue.pull.is_none() => false.into(),
        "locked" | "viewerDidAuthor" | "includesCreatedEdit" => false.into(),
        _ => return None,
    })
}

fn pull_request<'a>(
    view: View<'a>,
    repository: &'a Repository,
    (issue, pull): (&'a Issue, &'a Pull),
    name: &str,
    arguments: &Value,
) -> Option<Found<'a>> {
    let branch = |branch: &str| {
        let sha = repository.branches.get(branch)?;
        Some(Thing::Reference(repository, format!("refs/heads/{branch}"), sha))
    };
    let head = repository.resolve(&pull.head_sha);
    Some(match name {
        "headRef" => Found::maybe(branch(&pull.head)),
        "baseRef" => Found::maybe(branch(&pull.base)),
        "headRepository" | "baseRepository" => Found::Thing(Thing::Repository(repository)),
        "headRepositoryOwner" => Found::maybe(view.world.account(&repository.owner).map(Thing::Account)),
        "mergedBy" => Found::maybe(pull.merged.and_then(|_| view.world.account("alice")).map(Thing::Account)),
        "mergeCommit" => {
            let merged = head.filter(|_| pull.merged.is_some());
            Found::maybe(merged.map(|commit| Thing::Commit(repository, commit)))
        }
        "commits" => {
            let commits = head.into_iter().map(|commit| Thing::PullCommit(repository, commit));
            many(commits, arguments)
        }
        "reviews" | "latestReviews" | "reviewRequests" | "reviewThreads" | "closingIssuesReferences" => {
            nothing(arguments)
        }
        "files" => Found::Value(json!({
            "totalCount": 1,
            "nodes": [{"path": "NOTES.md", "additions": 1, "deletions": 0}],
            "pageInfo": {"hasNextPage": false, "endCursor": null},
        })),
        _ => Found::Value(pull_scalar(issue, pull, name)?),
    })
}

fn pull_scalar(issue: &Issue, pull: &Pull, name: &str) -> Option<Value> {
    let open = issue.closed.is_none();
    Some(match name {
        "headRefName" => pull.head.clone().into(),
        "headRefOid" => pull.head_sha.clone().into(),
        "baseRefName" => pull.base.clone().into(),
        "baseRefOid" => pull.base_sha.clone().into(),
        "isDraft" => pull.draft.into(),
        "isCrossRepository" | "maintainerCanModify" | "isInMergeQueue" | "isMergeQueueEnabled" => false.into(),
        "merged" => pull.merged.is_some().into(),
        "mergedAt" => pull.merged.map(iso).into(),
        "mergeable" => if open { "MERGEABLE" } else { "UNKNOWN" }.into(),
        "mergeStateStatus" => if open { "CLEAN" } else { "UNKNOWN" }.into(),
        "reviewDecision" => "".into(),
        "potentialMergeCommit" | "autoMergeRequest" => Value::Null,
        "additions" | "changedFiles" => 1.into(),
        "deletions" => 0.into(),
        _ => return None,
    })
}

pub(crate) fn comment<'a>(
    view: View<'a>,
    (repository, issue, comment): (&'a Repository, &'a Issue, &'a Comment),
    name: &str,
) -> Option<Found<'a>> {
    let value = match name {
        "author" => return Some(Found::maybe(view.world.account(&comment.author).map(Thing::Account))),
        "issue" => return Some(Found::Thing(Thing::Issue(repository, issue))),
        "id" => node_id("IC", comment.id).into(),
        "databaseId" => comment.id.into(),
        "body" | "bodyText" => comment.body.clone().into(),
        "createdAt" => iso(comment.created).into(),
        "updatedAt" => iso(comment.updated).into(),
        "authorAssociation" => "CONTRIBUTOR".into(),
        "includesCreatedEdit" => (comment.updated != comment.created).into(),
        "isMinimized" => false.into(),
        "minimizedReason" => "".into(),
        "reactionGroups" => no_reactions(),
        "url" => format!("{WEB}/{}/issues/{}#issuecomment-{}", repository.full_name(), issue.number, comment.id).into(),
        "viewerDidAuthor" => (view.caller.login.as_ref() == Some(&comment.author)).into(),
        _ => return None,
    };
    Some(Found::Value(value))
}

pub(crate) fn label<'a>(view: View<'a>, repository: &Repository, label: &Label, name: &str) -> Option<Found<'a>> {
    let value = match name {
        "id" => node_id("LA", label.id).into(),
        "name" => label.name.clone().into(),
        "color" => label.color.clone().into(),
        "description" => "".into(),
        "isDefault" => true.into(),
        "url" => format!("{}/labels/{}", view.url(repository), label.name).into(),
        "createdAt" => iso(repository.created).into(),
        _ => return None,
    };
    Some(Found::Value(value))
}
