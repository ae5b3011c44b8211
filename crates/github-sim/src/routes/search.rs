//! Search, which carries no entity tag for anything but users and repositories.

use serde_json::{Value, json};

use super::{Ask, page, visible};
use crate::http::{Cache, Reply};
use crate::world::{Issue, Repository, World};

/// `/search/KIND?q=…`: understands `repo:`, `org:`, `user:`, `is:`, `state:`, `type:`, `author:`, `label:` and words.
pub(crate) fn search(world: &World, ask: &Ask<'_>, kind: &str) -> Reply {
    let Some(text) = ask.query("q").filter(|text| !text.is_empty()) else {
        return Reply::invalid("Search", "q", "missing");
    };
    let view = ask.view(world);
    let terms: Vec<&str> = text.split_whitespace().collect();
    let seen = visible(&view, world.repositories.values());
    let within: Vec<&Repository> = seen.into_iter().filter(|repository| in_scope(repository, &terms)).collect();
    let reply = match kind {
        "issues" => {
            let issues =
                within.iter().flat_map(|repository| repository.issues.values().map(move |issue| (*repository, issue)));
            let found = issues.filter(|(_, issue)| terms.iter().all(|term| matches(issue, term))).collect();
            scored(page::counted(world, ask, "items", found, |(repository, issue)| view.issue(repository, issue)))
                .untagged()
        }
        "repositories" => {
            let words: Vec<&&str> = terms.iter().filter(|term| !term.contains(':')).collect();
            let named =
                within.into_iter().filter(|repository| words.iter().all(|word| repository.name.contains(**word)));
            scored(page::counted(world, ask, "items", named.collect(), |repository| view.repository(repository)))
        }
        "code" | "commits" | "topics" => {
            Reply::json(json!({"total_count": 0, "incomplete_results": false, "items": []})).untagged()
        }
        _ => return Reply::not_found(),
    };
    Reply { cache: Cache::Uncached, ..reply.private(!ask.caller.is_anonymous()) }
}

fn scored(mut reply: Reply) -> Reply {
    if let crate::http::Payload::Json(body) = &mut reply.payload {
        let items = body["items"].take();
        body["incomplete_results"] = false.into();
        body["items"] = items;
        for item in body["items"].as_array_mut().into_iter().flatten() {
            item["score"] = Value::from(1.0);
        }
    }
    reply
}

/// Whether `repo:`, `org:` and `user:` let the repository in.
pub(crate) fn in_scope(repository: &Repository, terms: &[&str]) -> bool {
    terms.iter().all(|term| match term.split_once(':') {
        Some(("repo", name)) => repository.full_name().eq_ignore_ascii_case(name),
        Some(("org" | "user", login)) => repository.owner.eq_ignore_ascii_case(login),
        _ => true,
    })
}

/// Whether the issue is what the term says.
pub(crate) fn matches(issue: &Issue, term: &str) -> bool {
    match term.split_once(':') {
        Some(("is" | "state" | "type", "open")) => issue.closed.is_none(),
        Some(("is" | "state", "closed")) => issue.closed.is_some(),
        Some(("is", "merged")) => issue.pull.as_ref().is_some_and(|pull| pull.merged.is_some()),
        Some(("is" | "type", "pr")) => issue.pull.is_some(),
        Some(("is" | "type", "issue")) => issue.pull.is_none(),
        Some(("author", login)) => issue.author.eq_ignore_ascii_case(login),
        Some(("label", name)) => issue.labels.iter().any(|label| label == name.trim_matches('"')),
        Some(_) => true,
        None => issue.title.to_lowercase().contains(&term.to_lowercase()),
    }
}
