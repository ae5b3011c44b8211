//! Writing issues, comments, labels and the repository itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Ask, forbidden, write_code};
use crate::http::Reply;
use crate::world::seed::RepositorySeed;
use crate::world::{Comment, Issue, Label, Permission, Repository, World};

/// A write under a repository that the caller may see.
pub(crate) fn write(world: &mut World, ask: &Ask<'_>, id: u64, permission: Permission, rest: &[&str]) -> Reply {
    let fields = match ask.fields() {
        Ok(fields) => fields,
        Err(reply) if ask.upload.is_none() => return reply,
        Err(_) => Map::new(),
    };
    match (ask.method.as_str(), rest) {
        ("PATCH" | "DELETE", []) => change_repository(world, ask, id, permission, &fields),
        ("POST", ["issues"]) => create_issue(world, ask, id, &fields),
        ("PATCH", ["issues" | "pulls", number]) => change_issue(world, ask, id, permission, number, &fields),
        ("POST", ["issues", number, "comments"]) => comment(world, ask, id, number, &fields),
        ("PATCH" | "DELETE", ["issues", "comments", comment]) => {
            change_comment(world, ask, id, permission, comment, &fields)
        }
        (_, ["issues", number, "labels", ..]) => label_issue(world, ask, id, permission, (number, rest), &fields),
        ("POST" | "PATCH" | "DELETE", ["labels", ..]) => change_label(world, ask, id, permission, rest, &fields),
        _ => write_code::write(world, ask, id, permission, rest, &fields),
    }
}

/// `POST /user/repos` and `POST /orgs/X/repos`, the latter for the organisation's members.
pub(crate) fn create_repository(world: &mut World, ask: &Ask<'_>) -> Reply {
    let Some(login) = ask.caller.login.clone() else { return Reply::error(401, "Requires authentication") };
    let owner = if ask.segments[0] == "orgs" { ask.segments[1].clone() } else { login.clone() };
    let member = world.account(&owner).is_some_and(|account| account.members.contains_key(&login.to_ascii_lowercase()));
    if owner != login && !member {
        return Reply::not_found();
    }
    let fields = match ask.fields() {
        Ok(fields) => fields,
        Err(reply) => return reply,
    };
    let Some(name) = text(&fields, "name") else { return Reply::invalid("Repository", "name", "missing_field") };
    if world.find(&owner, &name).is_some() {
        return Reply::invalid("Repository", "name", "custom");
    }
    world.tick();
    let id = world.add_repository(&RepositorySeed {
        files: BTreeMap::from([("README.md".into(), format!("# {name}\n"))]),
        description: text(&fields, "description").unwrap_or_default(),
        private: fields.get("private").and_then(Value::as_bool).unwrap_or(false),
        owner,
        name,
        ..RepositorySeed::default()
    });
    shown(world, ask, id, 201, |view, repository| Some(view.whole_repository(repository)))
}

pub(crate) fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(crate) fn author(ask: &Ask<'_>) -> String {
    ask.caller.login.clone().unwrap_or_else(|| "github-actions[bot]".into())
}

/// The repository to change. It was found before, and nothing else runs between.
pub(crate) fn here(world: &mut World, id: u64) -> &mut Repository {
    world.repositories.get_mut(&id).expect("the repository was found when the request was let in")
}

/// A view of what was just written.
pub(crate) fn shown(
    world: &World,
    ask: &Ask<'_>,
    id: u64,
    status: u16,
    show: impl FnOnce(&crate::shapes::View<'_>, &Repository) -> Option<Value>,
) -> Reply {
    let view = ask.view(world);
    let value = world.repositories.get(&id).and_then(|repository| show(&view, repository));
    value.map_or_else(Reply::not_found, |value| Reply::written(status, value))
}

fn change_repository(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    permission: Permission,
    fields: &Map<String, Value>,
) -> Reply {
    if let Some(reply) = forbidden(permission, Permission::Admin) {
        return reply;
    }
    if ask.method == "DELETE" {
        world.delete(id);
        return Reply::empty(204);
    }
    if let Some(name) = text(fields, "name") {
        let full_name = here(world, id).full_name();
        // The id was found, so its name leads somewhere.
        let _renamed = world.rename(&full_name, &name);
    }
    let now = world.tick();
    let repository = here(world, id);
    repository.updated = now;
    repository.description = text(fields, "description").unwrap_or_else(|| repository.description.clone());
    repository.private = fields.get("private").and_then(Value::as_bool).unwrap_or(repository.private);
    repository.archived = fields.get("archived").and_then(Value::as_bool).unwrap_or(repository.archived);
    shown(world, ask, id, 200, |view, repository| Some(view.whole_repository(repository)))
}

fn create_issue(world: &mut World, ask: &Ask<'_>, id: u64, fields: &Map<String, Value>) -> Reply {
    let Some(title) = text(fields, "title").filter(|title| !title.is_empty()) else {
        return Reply::invalid("Issue", "title", "missing_field");
    };
    let new = NewIssue {
        title,
        body: text(fields, "body").unwrap_or_default(),
        labels: names(fields, "labels"),
        assignees: names(fields, "assignees"),
    };
    let number = world.open_issue(id, &author(ask), new);
    let reply = shown(world, ask, id, 201, |view, repository| {
        repository.issues.get(&number).map(|issue| view.issue(repository, issue))
    });
    let url = format!("{}/repos/{}/issues/{number}", ask.bases.bodies, here(world, id).full_name());
    reply.header("location", url)
}

/// What someone says of an issue when opening it.
#[derive(Debug, Default)]
pub(crate) struct NewIssue {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
}

impl World {
    /// Opens an issue and returns its number.
    pub(crate) fn open_issue(&mut self, repository: u64, author: &str, new: NewIssue) -> u64 {
        let (now, id) = (self.tick(), self.next_id());
        let label_ids: Vec<u64> = new.labels.iter().map(|_| self.next_id()).collect();
        let repository = here(self, repository);
        for (name, id) in new.labels.iter().zip(label_ids) {
            let label = || Label { id, name: name.clone(), color: "ededed".into() };
            repository.labels.entry(name.clone()).or_insert_with(label);
        }
        let number = repository.issues.last_key_value().map_or(1, |(last, _)| last + 1);
        let issue = Issue {
            id,
            number,
            title: new.title,
            body: new.body,
            author: author.to_owned(),
            labels: new.labels,
            assignees: new.assignees,
            comments: Vec::new(),
            created: now,
            updated: now,
            closed: None,
            state_reason: None,
            pull: None,
        };
        repository.issues.insert(number, issue);
        repository.updated = now;
        number
    }

    /// Adds a comment and returns its id, or `None` if there is no such issue.
    pub(crate) fn add_comment(&mut self, repository: u64, number: u64, author: &str, body: String) -> Option<u64> {
        let (now, id) = (self.tick(), self.next_id());
        let issue = here(self, repository).issues.get_mut(&number)?;
        issue.comments.push(Comment { id, author: author.to_owned(), body, created: now, updated: now });
        issue.updated = now;
        Some(id)
    }
}

impl Issue {
    /// Opens or closes it, as the `state` and `state_reason` of a request say.
    pub(crate) fn set_state(&mut self, state: &str, reason: Option<String>, now: u64) {
        if state == "closed" {
            self.closed = Some(now);
            self.state_reason = Some(reason.unwrap_or_else(|| "completed".into()));
        } else {
            self.closed = None;
            self.state_reason = Some("reopened".into());
        }
    }
}

fn names(fields: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = fields.get(name).and_then(Value::as_array).into_iter().flatten();
    let named = |item: &Value| item.as_str().or_else(|| item["name"].as_str()).map(str::to_owned);
    list.filter_map(named).collect()
}

fn change_issue(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    permission: Permission,
    number: &str,
    fields: &Map<String, Value>,
) -> Reply {
    let number = number.parse().unwrap_or(0);
    let Some(issue) = here(world, id).issues.get(&number) else { return Reply::not_found() };
    let own = ask.caller.login.as_ref() == Some(&issue.author);
    if let Some(reply) = forbidden(permission, Permission::Triage).filter(|_| !own) {
        return reply;
    }
    let now = world.tick();
    if let Some(issue) = here(world, id).issues.get_mut(&number) {
        issue.title = text(fields, "title").unwrap_or_else(|| issue.title.clone());
        issue.body = text(fields, "body").unwrap_or_else(|| issue.body.clone());
        if let Some(state) = text(fields, "state") {
            issue.set_state(&state, text(fields, "state_reason"), now);
        }
        if fields.contains_key("labels") {
            issue.labels = names(fields, "labels");
        }
        if fields.contains_key("assignees") {
            issue.assignees = names(fields, "assignees");
        }
        issue.updated = now;
    }
    let as_pull = ask.segments.iter().any(|segment| segment == "pulls");
    shown(world, ask, id, 200, |view, repository| {
        let issue = repository.issues.get(&number)?;
        match &issue.pull {
            Some(pull) if as_pull => Some(view.whole_pull(repository, issue, pull)),
            _ => Some(view.issue(repository, issue)),
        }
    })
}

fn comment(world: &mut World, ask: &Ask<'_>, id: u64, number: &str, fields: &Map<String, Value>) -> Reply {
    let Some(body) = text(fields, "body").filter(|body| !body.is_empty()) else {
        return Reply::invalid("IssueComment", "body", "missing_field");
    };
    let number = number.parse().unwrap_or(0);
    let Some(new) = world.add_comment(id, number, &author(ask), body) else { return Reply::not_found() };
    shown(world, ask, id, 201, |view, repository| {
        let issue = repository.issues.get(&number)?;
        let comment = issue.comments.iter().find(|comment| comment.id == new)?;
        Some(view.comment(repository, issue, comment))
    })
}

fn change_comment(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    permission: Permission,
    comment: &str,
    fields: &Map<String, Value>,
) -> Reply {
    let comment_id: u64 = comment.parse().unwrap_or(0);
    let holds = |issue: &Issue| issue.comments.iter().position(|comment| comment.id == comment_id);
    let found = here(world, id).issues.values().find_map(|issue| Some((issue.number, holds(issue)?)));
    let Some((number, place)) = found else { return Reply::not_found() };
    let own = here(world, id).issues[&number].comments[place].author == author(ask);
    if let Some(reply) = forbidden(permission, Permission::Push).filter(|_| !own) {
        return reply;
    }
    let now = world.tick();
    let issue = here(world, id).issues.get_mut(&number).expect("the issue was found above");
    issue.updated = now;
    if ask.method == "DELETE" {
        issue.comments.remove(place);
        return Reply::empty(204);
    }
    let comment = &mut issue.comments[place];
    comment.body = text(fields, "body").unwrap_or_else(|| comment.body.clone());
    comment.updated = now;
    shown(world, ask, id, 200, |view, repository| {
        let issue = repository.issues.get(&number)?;
        Some(view.comment(repository, issue, &issue.comments[place]))
    })
}

/// POST adds, PUT replaces, DELETE removes one or all.
fn label_issue(
    world: &mut World,
    ask: &Ask<'_>,
    id: u64,
    permission: Permission,
    (number, rest): (&str, &[&str]),
    fields: &Map<String, Value>,
) -> Reply {
    if let Some(reply) = forbidden(permission, Permission::Triage) {
        return reply;
    }
    let number = number.parse().unwrap_or(0);
    if !here(world, id).issues.contains_key(&number) {
        return Reply::not_found();
    }
    let wanted = names(fields, "labels");
    let (now, label_ids) = (world.tick(), wanted.iter().map(|_| world.next_id()).collect::<Vec<_>>());
    let repository = here(world, id);
    for (name, id) in wanted.iter().zip(label_ids) {
        let label = || Label { id, name: name.clone(), color: "ededed".into() };
        repository.labels.entry(name.clone()).or_insert_with(label);
    }
    let issue = repository.issues.get_mut(&number).expect("the issue was found above");
    match (ask.method.as_str(), rest) {
        ("POST", _) => issue.labels.extend(wanted),
        ("PUT", _) => issue.labels = wanted,
        ("DELETE", [_, _, _, name]) => issue.labels.retain(|label| label != name),
        ("DELETE", _) => issue.labels.clear(),
        _ => return Reply::not_found(),
    }
    issue.labels.dedup();
    issue.updated = now;
    shown(world, ask, id, 200, |view, repository| {
        let labels = repository.issues.get(&number)?.labels.iter().filter_map(|name| repository.labels.get(name));
        Some(labels.map(|label| view.label(repository, label)).collect())
    })
}

fn change_label(
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
    let (_, label_id) = (world.tick(), world.next_id());
    let labels = &mut here(world, id).labels;
    let color = text(fields, "color").unwrap_or_else(|| "ededed".into());
    let name = match (ask.method.as_str(), rest) {
        ("POST", ["labels"]) => match text(fields, "name") {
            Some(name) if !labels.contains_key(&name) => {
                labels.insert(name.clone(), Label { id: label_id, name: name.clone(), color });
                name
            }
            Some(_) => return Reply::invalid("Label", "name", "already_exists"),
            None => return Reply::invalid("Label", "name", "missing_field"),
        },
        ("PATCH", ["labels", name]) => match labels.get_mut(*name) {
            Some(label) => {
                label.color = color;
                label.name.clone()
            }
            None => return Reply::not_found(),
        },
        ("DELETE", ["labels", name]) if labels.remove(*name).is_some() => return Reply::empty(204),
        _ => return Reply::not_found(),
    };
    let status = if ask.method == "POST" { 201 } else { 200 };
    shown(world, ask, id, status, |view, repository| {
        Some(repository.labels.get(&name).map_or(json!({}), |label| view.label(repository, label)))
    })
}
