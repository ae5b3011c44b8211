//! Reading issues, pull requests, comments and labels.

use std::cmp::Reverse;

use serde_json::json;

use super::{Ask, code, page};
use crate::http::{Media, Reply};
use crate::shapes::View;
use crate::world::{Issue, Pull, Repository};

/// `/issues`, `/pulls`, `/labels`, `/milestones`, `/assignees` of a repository.
pub(crate) fn read(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    let world = view.world;
    match rest {
        ["issues"] => {
            let found = selected(ask, repository.issues.values());
            page::list(world, ask, found, |issue| view.issue(repository, issue))
        }
        ["issues", "comments"] => {
            let comments =
                repository.issues.values().flat_map(|issue| issue.comments.iter().map(move |comment| (issue, comment)));
            page::list(world, ask, comments.collect(), |(issue, comment)| view.comment(repository, issue, comment))
        }
        ["issues", "comments", id] => comment(view, repository, id),
        ["issues", number, rest @ ..] => {
            with(repository, number, |issue| one_issue(view, ask, repository, issue, rest))
        }
        ["pulls"] => {
            let pulls = repository.issues.values().filter(|issue| issue.pull.is_some());
            let found = selected(ask, pulls).into_iter().filter_map(|issue| Some((issue, issue.pull.as_ref()?)));
            page::list(world, ask, found.collect(), |(issue, pull)| view.pull(repository, issue, pull))
        }
        ["pulls", number, rest @ ..] => with(repository, number, |issue| match &issue.pull {
            Some(pull) => one_pull(view, ask, repository, (issue, pull), rest),
            None => Reply::not_found(),
        }),
        ["labels"] => {
            page::list(world, ask, repository.labels.values().collect(), |label| view.label(repository, label))
        }
        ["labels", name] => {
            let label = repository.labels.get(*name);
            label.map_or_else(Reply::not_found, |label| Reply::json(view.label(repository, label)))
        }
        ["milestones"] => Reply::json(json!([])),
        ["assignees"] => page::list(world, ask, vec!["alice", "bob", "carol"], |login| view.actor(login)),
        _ => Reply::not_found(),
    }
}

fn with(repository: &Repository, number: &str, answer: impl FnOnce(&Issue) -> Reply) -> Reply {
    let issue = number.parse().ok().and_then(|number: u64| repository.issues.get(&number));
    issue.map_or_else(Reply::not_found, answer)
}

fn one_issue(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, issue: &Issue, rest: &[&str]) -> Reply {
    match rest {
        [] => Reply::json(view.issue(repository, issue)).modified(issue.updated),
        ["comments"] => page::list(view.world, ask, issue.comments.iter().collect(), |comment| {
            view.comment(repository, issue, comment)
        }),
        ["labels"] => {
            let labels = issue.labels.iter().filter_map(|name| repository.labels.get(name)).collect();
            page::list(view.world, ask, labels, |label| view.label(repository, label))
        }
        ["timeline" | "events" | "reactions"] => Reply::json(json!([])),
        _ => Reply::not_found(),
    }
}

fn one_pull(
    view: &View<'_>,
    ask: &Ask<'_>,
    repository: &Repository,
    (issue, pull): (&Issue, &Pull),
    rest: &[&str],
) -> Reply {
    match (rest, ask.media()) {
        ([], Media::Diff) => {
            Reply::bytes(code::diff(repository, &pull.head_sha), "application/vnd.github.diff; charset=utf-8")
        }
        ([], Media::Patch) => {
            Reply::bytes(code::patch(repository, &pull.head_sha), "application/vnd.github.patch; charset=utf-8")
        }
        ([], _) => Reply::json(view.whole_pull(repository, issue, pull)).modified(issue.updated),
        (["commits"], _) => {
            let commits = repository.resolve(&pull.head_sha).into_iter().collect();
            page::list(view.world, ask, commits, |commit| view.commit(repository, commit))
        }
        (["files"], _) => Reply::json(code::files(view, repository, &pull.head_sha)),
        (["reviews" | "comments" | "requested_reviewers"], _) => Reply::json(json!([])),
        (["merge"], _) if pull.merged.is_some() => Reply::empty(204),
        _ => Reply::not_found(),
    }
}

fn comment(view: &View<'_>, repository: &Repository, id: &str) -> Reply {
    let all = repository.issues.values().flat_map(|issue| issue.comments.iter().map(move |comment| (issue, comment)));
    let found = all.into_iter().find(|(_, comment)| comment.id.to_string() == *id);
    found.map_or_else(Reply::not_found, |(issue, comment)| Reply::json(view.comment(repository, issue, comment)))
}

/// `state` (open by default), `labels`, `creator`, `assignee`, `since`, `head`, `base`, `sort`, `direction`.
fn selected<'a>(ask: &Ask<'_>, all: impl Iterator<Item = &'a Issue>) -> Vec<&'a Issue> {
    let state = ask.query("state").unwrap_or("open");
    let labels: Vec<&str> = ask.query("labels").into_iter().flat_map(|text| text.split(',')).collect();
    let is = |asked: Option<&str>, value: &str| asked.is_none_or(|asked| asked.eq_ignore_ascii_case(value));
    let mut found: Vec<&Issue> = all
        .filter(|issue| state == "all" || issue.state() == state)
        .filter(|issue| labels.iter().all(|label| issue.labels.iter().any(|known| known == label)))
        .filter(|issue| is(ask.query("creator"), &issue.author))
        .filter(|issue| ask.query("assignee").is_none_or(|login| issue.assignees.iter().any(|known| known == login)))
        .filter(|issue| ask.query("since").is_none_or(|since| crate::text::iso(issue.updated).as_str() >= since))
        .filter(|issue| {
            let head = ask.query("head").map(|head| head.rsplit(':').next().unwrap_or(head));
            issue.pull.as_ref().is_none_or(|pull| is(head, &pull.head) && is(ask.query("base"), &pull.base))
        })
        .collect();
    match ask.query("sort") {
        Some("updated") => found.sort_by_key(|issue| Reverse((issue.updated, issue.number))),
        _ => found.sort_by_key(|issue| Reverse(issue.number)),
    }
    if ask.query("direction") == Some("asc") {
        found.reverse();
    }
    found
}
