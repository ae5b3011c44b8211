//! Reading branches, commits, git objects, contents, statuses and comparisons.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Ask, actions, page};
use crate::filler;
use crate::http::{Media, Reply};
use crate::shapes::View;
use crate::text::{is_object_name, object_name};
use crate::world::{Commit, Repository};

/// The largest body that a `body-N.json` can be asked for, in bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// What lies under a repository and is made of commits.
pub(crate) fn read(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    let commit = |sha: &str| repository.resolve(sha);
    match rest {
        ["branches"] => {
            let tips = repository.branches.iter().filter_map(|(name, sha)| Some((name, commit(sha)?)));
            page::list(view.world, ask, tips.collect(), |(name, tip)| view.branch(repository, name, tip, false))
        }
        ["branches", name @ ..] => {
            let name = name.join("/");
            let tip = repository.branches.get(&name).and_then(|sha| commit(sha));
            tip.map_or_else(
                || Reply::error(404, "Branch not found"),
                |tip| Reply::json(view.branch(repository, &name, tip, true)),
            )
        }
        ["tags"] => page::list(view.world, ask, repository.tags.iter().rev().collect(), |(name, sha)| {
            view.tag(repository, name, sha)
        }),
        ["commits"] => commits(view, ask, repository),
        ["commits", reference @ .., "status"] => combined_status(view, repository, &reference.join("/")),
        ["commits", reference @ .., "statuses"] | ["statuses", reference @ ..] => {
            statuses(view, ask, repository, &reference.join("/"))
        }
        ["commits", reference @ .., "check-runs"] => actions::check_runs(view, ask, repository, &reference.join("/")),
        ["commits", reference @ .., "check-suites"] => {
            found(commit(&reference.join("/")), |_| Reply::json(json!({"total_count": 0, "check_suites": []})))
        }
        ["commits", reference @ .., "pulls" | "comments"] => {
            found(commit(&reference.join("/")), |_| Reply::json(json!([])))
        }
        ["commits", reference @ ..] => one_commit(view, ask, repository, &reference.join("/")),
        ["compare", basehead @ ..] => compare(view, ask, repository, &basehead.join("/")),
        ["contents", path @ ..] => contents(view, ask, repository, &path.join("/")),
        ["readme"] => contents(view, ask, repository, "README.md"),
        ["git", rest @ ..] => objects(view, ask, repository, rest),
        _ => Reply::not_found(),
    }
}

fn found<T>(thing: Option<T>, answer: impl FnOnce(T) -> Reply) -> Reply {
    thing.map_or_else(Reply::not_found, answer)
}

fn commits(view: &View<'_>, ask: &Ask<'_>, repository: &Repository) -> Reply {
    let Some(from) = repository.resolve(ask.query("sha").unwrap_or("HEAD")) else { return Reply::not_found() };
    let author = |commit: &&Commit| ask.query("author").is_none_or(|author| commit.author == author);
    let touches = |commit: &&Commit| {
        ask.query("path").is_none_or(|path| changed(repository, commit).iter().any(|(changed, _)| *changed == path))
    };
    let line = repository.history(from).into_iter().filter(author).filter(touches).collect();
    page::list(view.world, ask, line, |commit| view.commit(repository, commit)).modified(from.date)
}

fn one_commit(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, reference: &str) -> Reply {
    let Some(commit) = repository.resolve(reference) else {
        return Reply::error(422, &format!("No commit found for SHA: {reference}"));
    };
    match ask.media() {
        Media::Sha => Reply::bytes(commit.sha.clone(), "application/vnd.github.sha; charset=utf-8").strong(),
        Media::Diff => Reply::bytes(diff(repository, &commit.sha), "application/vnd.github.diff; charset=utf-8"),
        Media::Patch => Reply::bytes(patch(repository, &commit.sha), "application/vnd.github.patch; charset=utf-8"),
        Media::Json | Media::Raw | Media::Binary => {
            let mut value = view.commit(repository, commit);
            value["stats"] = json!({"total": 1, "additions": 1, "deletions": 0});
            value["files"] = files(view, repository, &commit.sha);
            Reply::json(value).modified(commit.date)
        }
    }
}

fn combined_status(view: &View<'_>, repository: &Repository, reference: &str) -> Reply {
    found(repository.resolve(reference), |commit| {
        let statuses = repository.statuses.get(&commit.sha).map(Vec::as_slice).unwrap_or_default();
        let bad = statuses.iter().any(|status| matches!(status.state.as_str(), "failure" | "error"));
        let good = !statuses.is_empty() && statuses.iter().all(|status| status.state == "success");
        let state = if bad {
            "failure"
        } else if good {
            "success"
        } else {
            "pending"
        };
        let listed: Vec<Value> = statuses.iter().map(|status| view.status(repository, &commit.sha, status)).collect();
        Reply::json(json!({
            "state": state,
            "statuses": listed,
            "sha": commit.sha,
            "total_count": statuses.len(),
            "repository": view.repository(repository),
            "commit_url": format!("{}/commits/{}", view.url(repository), commit.sha),
            "url": format!("{}/commits/{}/status", view.url(repository), commit.sha),
        }))
    })
}

fn statuses(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, reference: &str) -> Reply {
    found(repository.resolve(reference), |commit| {
        let statuses = repository.statuses.get(&commit.sha).map(Vec::as_slice).unwrap_or_default();
        page::list(view.world, ask, statuses.iter().collect(), |status| view.status(repository, &commit.sha, status))
    })
}

fn compare(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, basehead: &str) -> Reply {
    let sides = basehead.split_once("...").or(basehead.split_once(".."));
    let resolve = |(base, head): (&str, &str)| Some((repository.resolve(base)?, repository.resolve(head)?));
    let Some((base, head)) = sides.and_then(resolve) else { return Reply::not_found() };
    let behind = repository.history(base);
    let ahead = repository.history(head);
    let new: Vec<&&Commit> =
        ahead.iter().rev().filter(|commit| !behind.iter().any(|old| old.sha == commit.sha)).collect();
    let missing = behind.iter().filter(|commit| !ahead.iter().any(|known| known.sha == commit.sha)).count();
    let status = match (new.len(), missing) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        (_, _) => "diverged",
    };
    if ask.media() == Media::Diff {
        return Reply::bytes(diff(repository, &head.sha), "application/vnd.github.diff; charset=utf-8");
    }
    let merge_base = behind.iter().find(|commit| ahead.iter().any(|known| known.sha == commit.sha)).unwrap_or(&base);
    Reply::json(json!({
        "url": format!("{}/compare/{basehead}", view.url(repository)),
        "html_url": format!("{}/{}/compare/{basehead}", crate::shapes::WEB, repository.full_name()),
        "base_commit": view.commit(repository, base),
        "merge_base_commit": view.commit(repository, merge_base),
        "status": status,
        "ahead_by": new.len(),
        "behind_by": missing,
        "total_commits": new.len(),
        "commits": new.iter().map(|commit| view.commit(repository, commit)).collect::<Vec<_>>(),
        "files": files(view, repository, &head.sha),
    }))
}

/// `body-N.json` in any repository called `big` is a file whose JSON has at least N bytes and at most 2,000 more;
/// `big.json` is `body-1048576.json`. Everything else is in the commit's tree.
fn contents(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, path: &str) -> Reply {
    let reference = ask.query("ref").unwrap_or(&repository.default_branch);
    let Some(commit) = repository.resolve(reference) else {
        return Reply::error(404, &format!("No commit found for the ref {reference}"));
    };
    let reply = match (commit.tree.get(path), virtual_size(repository, path)) {
        (Some(sha), _) => {
            let content = repository.blobs.get(sha).cloned().unwrap_or_default();
            file(view, ask, repository, (reference, path, sha), content)
        }
        (None, Some(size)) => {
            let content = virtual_content(repository, size);
            let sha = object_name("blob", content.as_bytes());
            file(view, ask, repository, (reference, path, &sha), content.into())
        }
        (None, None) => directory(view, repository, commit, reference, path),
    };
    reply.modified(commit.date)
}

fn file(
    view: &View<'_>,
    ask: &Ask<'_>,
    repository: &Repository,
    (reference, path, sha): (&str, &str, &str),
    content: Bytes,
) -> Reply {
    match ask.media() {
        Media::Raw => Reply::bytes(content, "application/vnd.github.raw+json; charset=utf-8").strong(),
        Media::Json | Media::Diff | Media::Patch | Media::Sha | Media::Binary => {
            Reply::json(view.file(repository, reference, path, sha, Some(&content)))
        }
    }
}

fn directory(view: &View<'_>, repository: &Repository, commit: &Commit, reference: &str, path: &str) -> Reply {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries: Vec<Value> = Vec::new();
    let mut last_directory = "";
    for (full, sha) in commit.tree.iter().filter(|(full, _)| full.starts_with(&prefix)) {
        match full[prefix.len()..].split_once('/') {
            None => entries.push(view.file(repository, reference, full, sha, None)),
            Some((name, _)) if name != last_directory => {
                last_directory = name;
                entries.push(view.directory(repository, reference, &format!("{prefix}{name}")));
            }
            Some(_) => {}
        }
    }
    if entries.is_empty() && !path.is_empty() { Reply::not_found() } else { Reply::json(entries.into()) }
}

/// The bytes that the JSON of a virtual file shall have.
fn virtual_size(repository: &Repository, path: &str) -> Option<usize> {
    if repository.name != "big" {
        return None;
    }
    let size = match path {
        "big.json" => 1024 * 1024,
        _ => path.strip_prefix("body-")?.strip_suffix(".json")?.parse().ok()?,
    };
    (size <= LARGEST_BODY).then_some(size)
}

/// Text that changes with the repository. In base64, with an escaped line break after every 60 digits, 45 bytes take 62.
fn virtual_content(repository: &Repository, json_size: usize) -> String {
    filler::text(json_size.div_ceil(62) * 45, repository.updated)
}

fn objects(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    match rest {
        ["ref", kind @ ("heads" | "tags"), name @ ..] => {
            let name = name.join("/");
            let known = if *kind == "heads" { &repository.branches } else { &repository.tags };
            let answer = known.get(&name).map(|sha| view.reference(repository, &format!("{kind}/{name}"), sha));
            found(answer, Reply::json).header("x-poll-interval", "300".into())
        }
        ["refs"] => matching(view, ask, repository, ""),
        ["matching-refs" | "refs", prefix @ ..] => matching(view, ask, repository, &prefix.join("/")),
        ["commits", sha] => found(repository.resolve(sha).filter(|_| is_object_name(sha)), |commit| {
            Reply::json(view.git_commit(repository, commit))
        }),
        ["trees", reference @ ..] => {
            let reference = reference.join("/");
            let named = repository.commits.iter().find(|commit| commit.tree_sha == reference);
            let commit = named.or_else(|| repository.resolve(&reference));
            found(commit, |commit| Reply::json(view.tree(repository, commit, ask.query("recursive").is_some())))
        }
        ["blobs", sha] => found(repository.blobs.get(*sha), |content| match ask.media() {
            Media::Raw => Reply::bytes(content.clone(), "application/vnd.github.raw+json; charset=utf-8").strong(),
            Media::Json | Media::Diff | Media::Patch | Media::Sha | Media::Binary => {
                Reply::json(view.blob(repository, sha, content))
            }
        }),
        _ => Reply::not_found(),
    }
}

fn matching(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, prefix: &str) -> Reply {
    let heads = repository.branches.iter().map(|(name, sha)| (format!("heads/{name}"), sha));
    let tags = repository.tags.iter().map(|(name, sha)| (format!("tags/{name}"), sha));
    let named = heads.chain(tags).filter(|(name, _)| name.starts_with(prefix)).collect();
    page::list(view.world, ask, named, |(name, sha)| view.reference(repository, &name, sha))
        .header("x-poll-interval", "300".into())
}

/// Paths and blobs in which a commit differs from its parent.
fn changed<'a>(repository: &Repository, commit: &'a Commit) -> Vec<(&'a str, &'a str)> {
    let parent = commit.parent.as_ref().and_then(|sha| repository.resolve(sha));
    let before = |path: &String| parent.and_then(|parent| parent.tree.get(path));
    let differs = commit.tree.iter().filter(|(path, sha)| before(path) != Some(sha));
    differs.map(|(path, sha)| (path.as_str(), sha.as_str())).collect()
}

/// The `files` of a commit.
pub(crate) fn files(view: &View<'_>, repository: &Repository, sha: &str) -> Value {
    let Some(commit) = repository.resolve(sha) else { return json!([]) };
    let url = view.url(repository);
    let one = |(path, blob): (&str, &str)| {
        json!({
            "sha": blob,
            "filename": path,
            "status": "modified",
            "additions": 1,
            "deletions": 0,
            "changes": 1,
            "contents_url": format!("{url}/contents/{path}?ref={sha}"),
            "patch": hunk(repository, blob),
        })
    };
    changed(repository, commit).into_iter().map(one).collect()
}

fn hunk(repository: &Repository, blob: &str) -> String {
    let content = repository.blobs.get(blob).map(|content| String::from_utf8_lossy(content)).unwrap_or_default();
    let lines: Vec<String> = content.lines().map(|line| format!("+{line}")).collect();
    format!("@@ -0,0 +1,{} @@\n{}", lines.len(), lines.join("\n"))
}

/// A commit as a unified diff in which every changed file is new.
pub(crate) fn diff(repository: &Repository, sha: &str) -> String {
    let Some(commit) = repository.resolve(sha) else { return String::new() };
    let one = |(path, blob): (&str, &str)| {
        format!("diff --git a/{path} b/{path}\n--- /dev/null\n+++ b/{path}\n{}\n", hunk(repository, blob))
    };
    changed(repository, commit).into_iter().map(one).collect()
}

/// A commit as a mail with its diff.
pub(crate) fn patch(repository: &Repository, sha: &str) -> String {
    let (message, author) = repository.resolve(sha).map_or(("", ""), |commit| (&commit.message, &commit.author));
    format!(
        "From {sha} Mon Sep 17 00:00:00 2001\nFrom: {author}\nSubject: [PATCH] {message}\n\n---\n{}",
        diff(repository, sha)
    )
}
