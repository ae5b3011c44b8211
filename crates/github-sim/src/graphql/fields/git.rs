//! `Ref`, `Commit`, `Release`, `CheckRun` and `StatusContext`.

use serde_json::{Value, json};

use super::{Found, Thing, many};
use crate::shapes::{View, WEB};
use crate::text::{iso, node_id};
use crate::world::{Commit, Release, Repository, Run, Status};

pub(crate) fn reference<'a>(repository: &'a Repository, full_name: &str, sha: &str, name: &str) -> Option<Found<'a>> {
    let value = match name {
        "id" => node_id("REF", repository.id).into(),
        "name" => full_name.trim_start_matches("refs/heads/").into(),
        "prefix" => "refs/heads/".into(),
        "branchProtectionRule" => Value::Null,
        "target" => return Some(Found::maybe(repository.resolve(sha).map(|commit| Thing::Commit(repository, commit)))),
        "repository" => return Some(Found::Thing(Thing::Repository(repository))),
        _ => return None,
    };
    Some(Found::Value(value))
}

pub(crate) fn commit<'a>(
    view: View<'a>,
    repository: &'a Repository,
    commit: &'a Commit,
    name: &str,
    arguments: &Value,
) -> Option<Found<'a>> {
    let person = || {
        let user = view.world.account(&commit.author);
        json!({
            "name": commit.author,
            "email": format!("{}@users.noreply.github.com", commit.author),
            "date": iso(commit.date),
            "user": user.map(|user| json!({"id": node_id("U", user.id), "login": user.login})),
        })
    };
    let value = match name {
        "id" => node_id("C", repository.id).into(),
        "oid" => commit.sha.clone().into(),
        "abbreviatedOid" => commit.sha[..7].into(),
        "message" => commit.message.clone().into(),
        "messageHeadline" => commit.message.lines().next().unwrap_or_default().into(),
        "messageBody" => "".into(),
        "committedDate" | "authoredDate" | "pushedDate" => iso(commit.date).into(),
        "url" => format!("{WEB}/{}/commit/{}", repository.full_name(), commit.sha).into(),
        "author" | "committer" => person(),
        "authors" => json!({"totalCount": 1, "nodes": [person()]}),
        "history" => {
            let line = repository.history(commit).into_iter().map(|commit| Thing::Commit(repository, commit));
            return Some(many(line, arguments));
        }
        "statusCheckRollup" => return Some(Found::maybe(Some(Thing::Rollup(repository, commit)))),
        _ => return None,
    };
    Some(Found::Value(value))
}

/// The checks of a commit: its runs' jobs and its statuses.
pub(crate) fn rollup<'a>(
    repository: &'a Repository,
    commit: &Commit,
    name: &str,
    arguments: &Value,
) -> Option<Found<'a>> {
    let runs = repository.runs.values().filter(|run| run.sha == commit.sha);
    let statuses = repository.statuses.get(&commit.sha).into_iter().flatten();
    match name {
        "state" => {
            let pending = runs.clone().any(|run| run.status != "completed");
            let failed = runs.clone().any(|run| run.conclusion.as_deref() == Some("failure"))
                || statuses.clone().any(|status| status.state != "success");
            let state = if failed {
                "FAILURE"
            } else if pending {
                "PENDING"
            } else {
                "SUCCESS"
            };
            Some(Found::Value(state.into()))
        }
        "contexts" => {
            let jobs = runs.flat_map(|run| run.jobs.iter().map(move |(job, _)| Thing::CheckRun(repository, run, *job)));
            Some(many(jobs.chain(statuses.map(Thing::Status)), arguments))
        }
        _ => None,
    }
}

pub(crate) fn check_run<'a>(repository: &Repository, run: &Run, job: u64, name: &str) -> Option<Found<'a>> {
    let value = match name {
        "id" => node_id("CR", job).into(),
        "name" => if job.is_multiple_of(2) { "build" } else { "test" }.into(),
        "status" => run.status.to_ascii_uppercase().into(),
        "conclusion" => run.conclusion.as_ref().map(|conclusion| conclusion.to_ascii_uppercase()).into(),
        "startedAt" => iso(run.created).into(),
        "completedAt" => (run.status == "completed").then(|| iso(run.updated)).into(),
        "detailsUrl" | "url" => format!("{WEB}/{}/actions/runs/{}/job/{job}", repository.full_name(), run.id).into(),
        "checkSuite" => json!({"workflowRun": {"event": run.event, "workflow": {"name": "CI"}}}),
        "isRequired" => false.into(),
        _ => return None,
    };
    Some(Found::Value(value))
}

pub(crate) fn status<'a>(status: &Status, name: &str) -> Option<Found<'a>> {
    let value = match name {
        "context" => status.context.clone().into(),
        "state" => status.state.to_ascii_uppercase().into(),
        "description" => status.description.clone().into(),
        "targetUrl" => "".into(),
        "createdAt" => iso(status.created).into(),
        "isRequired" => false.into(),
        _ => return None,
    };
    Some(Found::Value(value))
}

pub(crate) fn release<'a>(view: View<'a>, repository: &Repository, release: &Release, name: &str) -> Option<Found<'a>> {
    let value = match name {
        "author" => return Some(Found::maybe(view.world.account(&release.author).map(Thing::Account))),
        "id" => node_id("RE", release.id).into(),
        "databaseId" => release.id.into(),
        "name" => release.name.clone().into(),
        "tagName" => release.tag.clone().into(),
        "description" => release.body.clone().into(),
        "isDraft" => release.draft.into(),
        "isPrerelease" => release.prerelease.into(),
        "isLatest" => (repository.releases.values().next_back().map(|last| last.id) == Some(release.id)).into(),
        "createdAt" => iso(release.created).into(),
        "publishedAt" => iso(release.created).into(),
        "url" => format!("{WEB}/{}/releases/tag/{}", repository.full_name(), release.tag).into(),
        _ => return None,
    };
    Some(Found::Value(value))
}
