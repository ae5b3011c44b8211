//! Reading workflow runs, jobs, check runs and runners.

use serde_json::json;

use super::{Ask, page};
use crate::http::Reply;
use crate::shapes::View;
use crate::shapes::WORKFLOW;
use crate::world::{Permission, Repository, Run};

/// `/actions`, `/check-runs` and `/check-suites` of a repository.
pub(crate) fn read(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    let world = view.world;
    let workflow = View::workflow_id(repository).to_string();
    match rest {
        ["actions", "runs"] => runs(view, ask, repository),
        ["actions", "runs", id, rest @ ..] => match run(repository, id) {
            Some(found) => one_run(view, ask, repository, found, rest),
            None => Reply::not_found(),
        },
        ["actions", "jobs", id, rest @ ..] => one_job(view, ask, repository, id, rest),
        ["actions", "workflows"] => page::counted(world, ask, "workflows", vec![()], |()| view.workflow(repository)),
        ["actions", "workflows", name] if *name == WORKFLOW || *name == workflow => {
            Reply::json(view.workflow(repository))
        }
        ["actions", "workflows", name, "runs"] if *name == WORKFLOW || *name == workflow => runs(view, ask, repository),
        ["actions", "runners", ..] if view.permission(repository) < Some(Permission::Admin) => {
            Reply::error(403, "Must have admin rights to Repository.")
        }
        ["actions", "runners"] => {
            page::counted(world, ask, "runners", repository.runners.iter().collect(), |runner| view.runner(runner))
        }
        ["actions", "runners", id] => {
            let runner = repository.runners.iter().find(|runner| runner.id.to_string() == *id);
            runner.map_or_else(Reply::not_found, |runner| Reply::json(view.runner(runner)))
        }
        ["actions", "artifacts"] => Reply::json(json!({"total_count": 0, "artifacts": []})),
        ["actions", kind @ ("secrets" | "variables")] => {
            let mut body = json!({"total_count": 0});
            body[*kind] = json!([]);
            Reply::json(body)
        }
        ["check-runs", id] => job(repository, id)
            .map_or_else(Reply::not_found, |(run, job, _)| Reply::json(view.check_run(repository, run, job))),
        _ => Reply::not_found(),
    }
}

/// Check runs of a commit: one for each job of its runs.
pub(crate) fn check_runs(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, reference: &str) -> Reply {
    let Some(commit) = repository.resolve(reference) else { return Reply::not_found() };
    let runs = repository.runs.values().filter(|run| run.sha == commit.sha);
    let jobs = runs.flat_map(|run| run.jobs.iter().map(move |(job, _)| (run, *job)));
    page::counted(view.world, ask, "check_runs", jobs.collect(), |(run, job)| view.check_run(repository, run, job))
}

fn run<'a>(repository: &'a Repository, id: &str) -> Option<&'a Run> {
    repository.runs.get(&id.parse().ok()?)
}

/// The run, the job and the attempt of a job's id.
fn job<'a>(repository: &'a Repository, id: &str) -> Option<(&'a Run, u64, u64)> {
    let id: u64 = id.parse().ok()?;
    repository
        .runs
        .values()
        .find_map(|run| run.jobs.iter().find(|(job, _)| *job == id).map(|(job, attempt)| (run, *job, *attempt)))
}

fn runs(view: &View<'_>, ask: &Ask<'_>, repository: &Repository) -> Reply {
    let is = |asked: Option<&str>, value: &str| asked.is_none_or(|asked| asked == value);
    let status = |run: &Run| {
        ask.query("status").is_none_or(|asked| run.status == asked || run.conclusion.as_deref() == Some(asked))
    };
    let found = repository.runs.values().rev().filter(|run| {
        status(run)
            && is(ask.query("branch"), &run.branch)
            && is(ask.query("event"), &run.event)
            && is(ask.query("head_sha"), &run.sha)
    });
    page::counted(view.world, ask, "workflow_runs", found.collect(), |run| view.run(repository, run))
}

fn one_run(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, run: &Run, rest: &[&str]) -> Reply {
    let jobs =
        |attempt: u64| -> Vec<(u64, u64)> { run.jobs.iter().copied().filter(|(_, of)| *of == attempt).collect() };
    let listed = |attempt: u64| {
        page::counted(view.world, ask, "jobs", jobs(attempt), |(job, attempt)| view.job(repository, run, job, attempt))
    };
    match rest {
        [] => Reply::json(view.run(repository, run)),
        ["jobs"] => listed(run.attempt),
        ["attempts", attempt, "jobs"] => match attempt.parse() {
            Ok(attempt) if (1..=run.attempt).contains(&attempt) => listed(attempt),
            _ => Reply::not_found(),
        },
        ["attempts", attempt] if *attempt == run.attempt.to_string() => Reply::json(view.run(repository, run)),
        ["logs"] => super::storage::redirect(ask, &format!("/_assets/logs/{}.zip", run.id), 40_000),
        ["artifacts"] => Reply::json(json!({"total_count": 0, "artifacts": []})),
        _ => Reply::not_found(),
    }
}

fn one_job(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, id: &str, rest: &[&str]) -> Reply {
    let Some((run, job, attempt)) = job(repository, id) else { return Reply::not_found() };
    match rest {
        [] => Reply::json(view.job(repository, run, job, attempt)),
        ["logs"] => super::storage::redirect(ask, &format!("/_assets/logs/{job}.txt"), 4_000),
        _ => Reply::not_found(),
    }
}
