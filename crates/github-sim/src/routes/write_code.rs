//! Writing files, references, statuses, releases and workflow runs.

use serde_json::{Map, Value, json};

use super::write::{author, here, shown, text};
use super::{Ask, forbidden};
use crate::http::Reply;
use crate::text::{from_base64, object_name};
use crate::world::{Asset, Permission, Pull, Release, Run, Status, World};

/// What needs the permission to push.
pub(crate) fn write(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    permission: Permission,
    rest: &[&str],
    fields: &Map<String, Value>,
) -> Reply {
    if let Some(reply) = forbidden(permission, Permission::Push) {
        return reply;
    }
    match (ask.method.as_str(), rest) {
        ("PUT", ["contents", path @ ..]) => put_file(world, ask, id, &path.join("/"), fields),
        ("POST", ["git", "refs"]) => put_reference(world, ask, id, text(fields, "ref"), fields),
        ("PATCH", ["git", "refs", name @ ..]) => {
            put_reference(world, ask, id, Some(format!("refs/{}", name.join("/"))), fields)
        }
        ("DELETE", ["git", "refs", "heads", name @ ..]) => match here(world, id).branches.remove(&name.join("/")) {
            Some(_) => done(world, id),
            None => Reply::invalid("Reference", "ref", "does_not_exist"),
        },
        ("POST", ["statuses", sha]) => add_status(world, ask, id, sha, fields),
        ("POST", ["pulls"]) => open_pull(world, ask, id, fields),
        ("PUT", ["pulls", number, "merge"]) => merge(world, id, number),
        ("POST", ["releases"]) => add_release(world, ask, id, fields),
        ("PATCH" | "DELETE", ["releases", release]) => change_release(world, ask, id, release, fields),
        ("POST", ["releases", release, "assets"]) => add_asset(world, ask, id, release),
        ("POST", ["actions", "runs", run, "rerun"]) => rerun(world, id, run),
        ("POST", ["actions", "runs", run, "cancel"]) => cancel(world, id, run),
        ("DELETE", ["actions", "runs", run]) => match here(world, id).runs.remove(&run.parse().unwrap_or(0)) {
            Some(_) => done(world, id),
            None => Reply::not_found(),
        },
        ("POST", ["actions", "workflows", _, "dispatches"]) => {
            dispatch(world, id, "workflow_dispatch", text(fields, "ref"))
        }
        ("POST", ["dispatches"]) => dispatch(world, id, "repository_dispatch", None),
        ("POST", ["actions", "runners", "registration-token"]) => Reply::written(
            201,
            json!({"token": "AABF3JGZDX3P5PMEXLND6TS6FCWO6", "expires_at": "2036-01-22T12:13:35.123-08:00"}),
        ),
        _ => Reply::not_found(),
    }
}

fn done(world: &mut World, id: u64) -> Reply {
    let now = world.tick();
    here(world, id).updated = now;
    Reply::empty(204)
}

fn put_file(world: &mut World, ask: &Ask<'_>, id: u64, path: &str, fields: &Map<String, Value>) -> Reply {
    let content = text(fields, "content").and_then(|content| from_base64(&content));
    let Some(content) = content.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Reply::error(422, "content is not valid Base64");
    };
    let now = world.tick();
    let repository = here(world, id);
    let branch = text(fields, "branch").unwrap_or_else(|| repository.default_branch.clone());
    let existing = repository.resolve(&branch).and_then(|commit| commit.tree.get(path)).cloned();
    if existing.is_some() && existing != text(fields, "sha") {
        return Reply::error(409, &format!("{path} does not match {}", existing.unwrap_or_default()));
    }
    let message = text(fields, "message").unwrap_or_else(|| format!("Change {path}"));
    let sha = repository.commit(&branch, &message, &author(ask), now, &[(path, &content)]);
    (repository.pushed, repository.updated) = (now, now);
    let blob = object_name("blob", content.as_bytes());
    shown(world, ask, id, if existing.is_some() { 200 } else { 201 }, |view, repository| {
        let commit = repository.resolve(&sha)?;
        let file = view.file(repository, &branch, path, &blob, None);
        Some(json!({"content": file, "commit": view.git_commit(repository, commit)}))
    })
}

fn put_reference(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    name: Option<String>,
    fields: &Map<String, Value>,
) -> Reply {
    let name = name.and_then(|name| name.strip_prefix("refs/").map(str::to_owned));
    let sha = text(fields, "sha").filter(|sha| here(world, id).resolve(sha).is_some());
    let (Some(name), Some(sha)) = (name, sha) else { return Reply::error(422, "Object does not exist") };
    let now = world.tick();
    let repository = here(world, id);
    let new = ask.method == "POST";
    match name.split_once('/') {
        Some(("heads", branch)) if new != repository.branches.contains_key(branch) => {
            repository.branches.insert(branch.to_owned(), sha.clone());
        }
        Some(("tags", tag)) if new != repository.tags.contains_key(tag) => {
            repository.tags.insert(tag.to_owned(), sha.clone());
        }
        _ => return Reply::error(422, if new { "Reference already exists" } else { "Reference does not exist" }),
    }
    repository.pushed = now;
    shown(world, ask, id, if new { 201 } else { 200 }, |view, repository| Some(view.reference(repository, &name, &sha)))
}

fn add_status(world: &mut World, ask: &Ask<'_>, id: u64, sha: &str, fields: &Map<String, Value>) -> Reply {
    let state =
        text(fields, "state").filter(|state| ["error", "failure", "pending", "success"].contains(&state.as_str()));
    let Some(state) = state else { return Reply::invalid("Status", "state", "invalid") };
    let Some(sha) = here(world, id).resolve(sha).map(|commit| commit.sha.clone()) else {
        return Reply::error(422, &format!("No commit found for SHA: {sha}"));
    };
    let (now, status_id) = (world.tick(), world.next_id());
    let status = Status {
        id: status_id,
        state,
        context: text(fields, "context").unwrap_or_else(|| "default".into()),
        description: text(fields, "description").unwrap_or_default(),
        author: author(ask),
        created: now,
    };
    here(world, id).statuses.entry(sha.clone()).or_default().insert(0, status);
    shown(world, ask, id, 201, |view, repository| {
        repository.statuses.get(&sha)?.first().map(|status| view.status(repository, &sha, status))
    })
}

fn open_pull(world: &mut World, ask: &Ask<'_>, id: u64, fields: &Map<String, Value>) -> Reply {
    let (title, head, base) = (text(fields, "title"), text(fields, "head"), text(fields, "base"));
    let (Some(title), Some(head), Some(base)) = (title, head, base) else {
        return Reply::invalid("PullRequest", "head", "missing_field");
    };
    let head = head.rsplit(':').next().unwrap_or(&head).to_owned();
    let branches = &here(world, id).branches;
    let (Some(head_sha), Some(base_sha)) = (branches.get(&head).cloned(), branches.get(&base).cloned()) else {
        return Reply::invalid("PullRequest", "head", "invalid");
    };
    let draft = fields.get("draft").and_then(Value::as_bool).unwrap_or(false);
    let body = text(fields, "body").unwrap_or_default();
    let new = super::write::NewIssue { title, body, ..Default::default() };
    let number = world.open_issue(id, &author(ask), new);
    let issue = here(world, id).issues.get_mut(&number).expect("the issue was opened above");
    issue.pull = Some(Pull { head, head_sha, base, base_sha, draft, merged: None });
    shown(world, ask, id, 201, |view, repository| {
        let issue = repository.issues.get(&number)?;
        Some(view.whole_pull(repository, issue, issue.pull.as_ref()?))
    })
}

fn merge(world: &mut World, id: u64, number: &str) -> Reply {
    let now = world.tick();
    let repository = here(world, id);
    let issue = repository.issues.get_mut(&number.parse().unwrap_or(0)).filter(|issue| issue.closed.is_none());
    let Some(issue) = issue else { return Reply::error(405, "Pull Request is not mergeable") };
    let Some(pull) = &mut issue.pull else { return Reply::not_found() };
    pull.merged = Some(now);
    (issue.closed, issue.updated) = (Some(now), now);
    let (base, sha) = (pull.base.clone(), pull.head_sha.clone());
    repository.branches.insert(base, sha.clone());
    repository.pushed = now;
    Reply::written(200, json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"}))
}

fn add_release(world: &mut World, ask: &Ask<'_>, id: u64, fields: &Map<String, Value>) -> Reply {
    let Some(tag) = text(fields, "tag_name") else { return Reply::invalid("Release", "tag_name", "missing_field") };
    let (now, release_id) = (world.tick(), world.next_id());
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or(false);
    let release = Release {
        id: release_id,
        name: text(fields, "name").unwrap_or_else(|| tag.clone()),
        body: text(fields, "body").unwrap_or_default(),
        draft: flag("draft"),
        prerelease: flag("prerelease"),
        author: author(ask),
        created: now,
        assets: Vec::new(),
        tag: tag.clone(),
    };
    let repository = here(world, id);
    let tip = repository.branches.get(&repository.default_branch).cloned();
    if let Some(tip) = tip.filter(|_| !release.draft) {
        repository.tags.entry(tag).or_insert(tip);
    }
    repository.releases.insert(release_id, release);
    shown(world, ask, id, 201, |view, repository| Some(view.release(repository, repository.releases.get(&release_id)?)))
}

fn change_release(world: &mut World, ask: &Ask<'_>, id: u64, release: &str, fields: &Map<String, Value>) -> Reply {
    let release_id = release.parse().unwrap_or(0);
    if !here(world, id).releases.contains_key(&release_id) {
        return Reply::not_found();
    }
    if ask.method == "DELETE" {
        here(world, id).releases.remove(&release_id);
        return done(world, id);
    }
    world.tick();
    if let Some(release) = here(world, id).releases.get_mut(&release_id) {
        release.name = text(fields, "name").unwrap_or_else(|| release.name.clone());
        release.body = text(fields, "body").unwrap_or_else(|| release.body.clone());
        release.draft = fields.get("draft").and_then(Value::as_bool).unwrap_or(release.draft);
    }
    shown(world, ask, id, 200, |view, repository| Some(view.release(repository, repository.releases.get(&release_id)?)))
}

fn add_asset(world: &mut World, ask: &Ask<'_>, id: u64, release: &str) -> Reply {
    let (Some(upload), Some(name)) = (ask.upload, ask.query("name")) else {
        return Reply::invalid("ReleaseAsset", "name", "missing_field");
    };
    let release_id = release.parse().unwrap_or(0);
    let (_, asset_id) = (world.tick(), world.next_id());
    let Some(release) = here(world, id).releases.get_mut(&release_id) else { return Reply::not_found() };
    let content_type = ask.headers.get("content-type").and_then(|value| value.to_str().ok());
    release.assets.push(Asset {
        id: asset_id,
        name: name.to_owned(),
        content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
        size: upload.bytes,
        sha256: Some(upload.sha256.clone()),
    });
    shown(world, ask, id, 201, |view, repository| {
        let release = repository.releases.get(&release_id)?;
        release.assets.last().map(|asset| view.asset(repository, release, asset))
    })
}

/// A re-run keeps the run's id and counts its attempts.
fn rerun(world: &mut World, id: u64, run: &str) -> Reply {
    let (now, first, second) = (world.tick(), world.next_id(), world.next_id());
    let Some(run) = here(world, id).runs.get_mut(&run.parse().unwrap_or(0)) else { return Reply::not_found() };
    run.attempt += 1;
    run.status = "queued".into();
    run.conclusion = None;
    run.updated = now;
    run.jobs.extend([(first, run.attempt), (second, run.attempt)]);
    Reply::written(201, json!({}))
}

fn cancel(world: &mut World, id: u64, run: &str) -> Reply {
    let now = world.tick();
    let Some(run) = here(world, id).runs.get_mut(&run.parse().unwrap_or(0)) else { return Reply::not_found() };
    run.status = "completed".into();
    run.conclusion = Some("cancelled".into());
    run.updated = now;
    Reply::written(202, json!({}))
}

fn dispatch(world: &mut World, id: u64, event: &str, reference: Option<String>) -> Reply {
    let now = world.tick();
    let ids = [world.next_id(), world.next_id(), world.next_id()];
    let repository = here(world, id);
    let branch = reference.unwrap_or_else(|| repository.default_branch.clone());
    let Some(sha) = repository.resolve(&branch).map(|commit| commit.sha.clone()) else {
        return Reply::error(422, &format!("No ref found for: {branch}"));
    };
    let run = Run {
        id: ids[0],
        number: repository.runs.len() as u64 + 1,
        branch,
        sha,
        event: event.into(),
        status: "queued".into(),
        conclusion: None,
        attempt: 1,
        created: now,
        updated: now,
        jobs: vec![(ids[1], 1), (ids[2], 1)],
    };
    repository.runs.insert(run.id, run);
    Reply::empty(204)
}
