//! Where queries begin, and what mutations give back.

use serde_json::{Value, json};

use super::super::change::Changed;
use super::super::select::Selecting;
use super::{Found, Thing, many};
use crate::routes::search::{in_scope, matches};
use crate::shapes::View;
use crate::text::parse_node_id;
use crate::world::{Found as Place, Repository};

/// The fields of `Query`.
pub(crate) fn query<'a>(selecting: &Selecting<'a>, name: &str, arguments: &Value) -> Option<Found<'a>> {
    let view = selecting.view;
    let text = |name: &str| arguments[name].as_str().unwrap_or_default();
    Some(match name {
        "viewer" => match view.viewer() {
            Some(account) => Found::Thing(Thing::Account(account)),
            None => Found::Missing("Resource not accessible by integration".into()),
        },
        "rateLimit" => Found::Value(selecting.rate_limit.clone()),
        "repository" => repository(view, text("owner"), text("name")),
        "repositoryOwner" | "user" | "organization" => owner(view, name, text("login")),
        "node" => node(view, text("id")).map_or_else(
            || Found::Missing(format!("Could not resolve to a node with the global id of '{}'", text("id"))),
            Found::Thing,
        ),
        "search" => search(view, arguments),
        "__type" => Found::Value(type_fields(text("name"))),
        _ => return None,
    })
}

fn repository<'a>(view: View<'a>, owner: &str, name: &str) -> Found<'a> {
    let found = view.world.find(owner, name).map(|(Place::Here(id) | Place::Moved(id))| id);
    let seen = found.and_then(|id| view.world.repositories.get(&id)).filter(|repository| view.sees(repository));
    let missing = || Found::Missing(format!("Could not resolve to a Repository with the name '{owner}/{name}'."));
    seen.map_or_else(missing, |repository| Found::Thing(Thing::Repository(repository)))
}

fn owner<'a>(view: View<'a>, kind: &str, login: &str) -> Found<'a> {
    let fits = |organization: bool| match kind {
        "user" => !organization,
        "organization" => organization,
        _ => true,
    };
    match view.world.account(login).filter(|account| fits(account.organization)) {
        Some(account) => Found::Thing(Thing::Account(account)),
        // An owner that isn't there is null without an error.
        None if kind == "repositoryOwner" => Found::Value(Value::Null),
        None if kind == "user" => Found::Missing(format!("Could not resolve to a User with the login of '{login}'.")),
        None => Found::Missing(format!("Could not resolve to an Organization with the login of '{login}'.")),
    }
}

fn node<'a>(view: View<'a>, id: &str) -> Option<Thing<'a>> {
    let (prefix, number) = parse_node_id(id)?;
    let mut seen = view.world.repositories.values().filter(|repository| view.sees(repository));
    match prefix {
        "U" | "O" => view.world.account_by_id(number).map(Thing::Account),
        "R" => seen.find(|repository| repository.id == number).map(Thing::Repository),
        "I" | "PR" => seen.find_map(|repository| {
            let issue = repository.issues.values().find(|issue| issue.id == number)?;
            Some(Thing::Issue(repository, issue))
        }),
        _ => None,
    }
}

fn search<'a>(view: View<'a>, arguments: &Value) -> Found<'a> {
    let terms: Vec<&str> = arguments["query"].as_str().unwrap_or_default().split_whitespace().collect();
    let seen = view.world.repositories.values().filter(|repository| view.sees(repository));
    let within = seen.filter(|repository| in_scope(repository, &terms));
    match arguments["type"].as_str() {
        Some("REPOSITORY") => {
            let words = |repository: &&Repository| {
                terms.iter().filter(|term| !term.contains(':')).all(|word| repository.name.contains(word))
            };
            many(within.filter(words).map(Thing::Repository), arguments)
        }
        Some("ISSUE") => {
            let issues =
                within.flat_map(|repository| repository.issues.values().rev().map(move |issue| (repository, issue)));
            let found = issues.filter(|(_, issue)| terms.iter().all(|term| matches(issue, term)));
            many(found.map(|(repository, issue)| Thing::Issue(repository, issue)), arguments)
        }
        _ => super::nothing(arguments),
    }
}

/// As much introspection as `gh` does to see what a server can: the names of a type's fields.
fn type_fields(name: &str) -> Value {
    let names: &[&str] = match name {
        "PullRequest" => &["number", "title", "state", "isDraft", "reviewDecision", "mergeable", "commits"],
        "Issue" => &["number", "title", "state", "stateReason"],
        "Repository" => &["name", "visibility", "autoMergeAllowed", "pullRequestTemplates", "issueTemplates"],
        "Commit" => &["oid", "statusCheckRollup"],
        _ => return Value::Null,
    };
    let fields: Vec<Value> = names.iter().map(|name| json!({"__typename": "__Field", "name": name})).collect();
    json!({"__typename": "__Type", "name": name, "fields": fields, "enumValues": []})
}

/// The fields of what a mutation gives back.
pub(crate) fn payload<'a>(view: View<'a>, changed: &Changed, name: &str) -> Option<Found<'a>> {
    let repository = view.world.repositories.get(&changed.repository)?;
    let issue = repository.issues.get(&changed.number)?;
    let comment = || issue.comments.iter().find(|comment| Some(comment.id) == changed.comment);
    Some(match name {
        "issue" if issue.pull.is_none() => Found::Thing(Thing::Issue(repository, issue)),
        "pullRequest" if issue.pull.is_some() => Found::Thing(Thing::Issue(repository, issue)),
        "subject" => Found::Thing(Thing::Issue(repository, issue)),
        "commentEdge" => Found::maybe(
            comment().map(|comment| Thing::Edge(Box::new(Thing::Comment(repository, issue, comment)), String::new())),
        ),
        "clientMutationId" => Found::Value(changed.client_id.clone()),
        _ => return None,
    })
}
