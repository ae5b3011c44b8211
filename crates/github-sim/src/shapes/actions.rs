//! Workflow runs, jobs, check runs and runners.

use serde_json::{Value, json};

use super::{View, WEB, extend};
use crate::text::{iso, node_id};
use crate::world::{Repository, Run, Runner};

/// The one workflow that every repository has.
pub(crate) const WORKFLOW: &str = "ci.yml";

impl View<'_> {
    /// The id of a repository's workflow.
    pub(crate) fn workflow_id(repository: &Repository) -> u64 {
        repository.id * 10 + 1
    }

    pub(crate) fn workflow(&self, repository: &Repository) -> Value {
        let id = Self::workflow_id(repository);
        let full_name = repository.full_name();
        json!({
            "id": id,
            "node_id": node_id("W", id),
            "name": "CI",
            "path": format!(".github/workflows/{WORKFLOW}"),
            "state": "active",
            "created_at": iso(repository.created),
            "updated_at": iso(repository.created),
            "url": format!("{}/actions/workflows/{id}", self.url(repository)),
            "html_url": format!("{WEB}/{full_name}/blob/main/.github/workflows/{WORKFLOW}"),
            "badge_url": format!("{WEB}/{full_name}/workflows/CI/badge.svg"),
        })
    }

    pub(crate) fn run(&self, repository: &Repository, run: &Run) -> Value {
        let url = format!("{}/actions/runs/{}", self.url(repository), run.id);
        let message = repository.resolve(&run.sha).map_or_else(String::new, |commit| commit.message.clone());
        let mut value = json!({
            "id": run.id,
            "name": "CI",
            "node_id": node_id("WFR", run.id),
            "head_branch": run.branch,
            "head_sha": run.sha,
            "path": format!(".github/workflows/{WORKFLOW}"),
            "display_title": message,
            "run_number": run.number,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": Self::workflow_id(repository),
            "check_suite_id": run.id + 1_000_000,
            "check_suite_node_id": node_id("CS", run.id),
            "url": url,
            "html_url": format!("{WEB}/{}/actions/runs/{}", repository.full_name(), run.id),
            "pull_requests": [],
            "created_at": iso(run.created),
            "updated_at": iso(run.updated),
            "actor": self.actor("alice"),
            "run_attempt": run.attempt,
            "referenced_workflows": [],
            "run_started_at": iso(run.created),
            "triggering_actor": self.actor("alice"),
        });
        let previous = (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1));
        extend(
            &mut value,
            json!({
                "jobs_url": format!("{url}/jobs"),
                "logs_url": format!("{url}/logs"),
                "check_suite_url": format!("{}/check-suites/{}", self.url(repository), run.id + 1_000_000),
                "artifacts_url": format!("{url}/artifacts"),
                "cancel_url": format!("{url}/cancel"),
                "rerun_url": format!("{url}/rerun"),
                "previous_attempt_url": previous,
                "workflow_url": format!("{}/actions/workflows/{}", self.url(repository), Self::workflow_id(repository)),
                "head_commit": {
                    "id": run.sha,
                    "message": message,
                    "timestamp": iso(run.created),
                    "author": {"name": "alice", "email": "alice@users.noreply.github.com"},
                },
                "repository": self.repository(repository),
                "head_repository": self.repository(repository),
            }),
        );
        value
    }

    /// A job of the run; its state is the run's.
    pub(crate) fn job(&self, repository: &Repository, run: &Run, job: u64, attempt: u64) -> Value {
        let latest = attempt == run.attempt;
        let done = !latest || run.status == "completed";
        let conclusion = if latest { run.conclusion.clone() } else { Some("failure".into()) };
        let name = if job.is_multiple_of(2) { "build" } else { "test" };
        let url = format!("{}/actions/jobs/{job}", self.url(repository));
        json!({
            "id": job,
            "run_id": run.id,
            "workflow_name": "CI",
            "head_branch": run.branch,
            "run_url": format!("{}/actions/runs/{}", self.url(repository), run.id),
            "run_attempt": attempt,
            "node_id": node_id("CR", job),
            "head_sha": run.sha,
            "url": url,
            "html_url": format!("{WEB}/{}/actions/runs/{}/job/{job}", repository.full_name(), run.id),
            "status": if done { "completed" } else { run.status.as_str() },
            "conclusion": conclusion,
            "created_at": iso(run.created),
            "started_at": iso(run.created + 5),
            "completed_at": done.then(|| iso(run.updated)),
            "name": name,
            "steps": [{
                "name": "Check out",
                "status": if done { "completed" } else { run.status.as_str() },
                "conclusion": done.then_some("success"),
                "number": 1,
                "started_at": iso(run.created + 5),
                "completed_at": done.then(|| iso(run.created + 10)),
            }],
            "check_run_url": format!("{}/check-runs/{job}", self.url(repository)),
            "labels": ["self-hosted", "linux"],
            "runner_id": 1,
            "runner_name": "runner-1",
            "runner_group_id": 1,
            "runner_group_name": "Default",
        })
    }

    /// The check run that goes with a job.
    pub(crate) fn check_run(&self, repository: &Repository, run: &Run, job: u64) -> Value {
        let done = run.status == "completed";
        json!({
            "id": job,
            "name": if job.is_multiple_of(2) { "build" } else { "test" },
            "node_id": node_id("CR", job),
            "head_sha": run.sha,
            "external_id": "",
            "url": format!("{}/check-runs/{job}", self.url(repository)),
            "html_url": format!("{WEB}/{}/actions/runs/{}/job/{job}", repository.full_name(), run.id),
            "details_url": format!("{WEB}/{}/actions/runs/{}/job/{job}", repository.full_name(), run.id),
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": iso(run.created),
            "completed_at": done.then(|| iso(run.updated)),
            "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": format!("{}/check-runs/{job}/annotations", self.url(repository))},
            "check_suite": {"id": run.id + 1_000_000},
            "app": {"id": 15_368, "slug": "github-actions", "name": "GitHub Actions"},
            "pull_requests": [],
        })
    }

    pub(crate) fn runner(&self, runner: &Runner) -> Value {
        let label = |id: u64, name: &str, kind: &str| json!({"id": id, "name": name, "type": kind});
        json!({
            "id": runner.id,
            "name": runner.name,
            "os": "Linux",
            "status": if runner.online { "online" } else { "offline" },
            "busy": runner.busy,
            "ephemeral": false,
            "labels": [label(1, "self-hosted", "read-only"), label(2, "Linux", "read-only"), label(3, "X64", "read-only")],
            "runner_group_id": 1,
        })
    }
}
