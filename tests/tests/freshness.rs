//! How long an answer is fresh: by its route, by what it says of itself, by what a newer list shows of it.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use serde_json::Value;

const REPOSITORY: &str = "/repos/octo/hello";
const ISSUE: &str = "/repos/octo/hello/issues/1";
/// The page with issue 1: the newest come first.
const ISSUES: &str = "/repos/octo/hello/issues?state=all&per_page=100&page=2";
/// The first twenty are closed, and last longer.
const OPEN_ISSUE: &str = "/repos/octo/hello/issues/100";
const RUNS: &str = "/repos/octo/hello/actions/runs";

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn local(github: &Sim) -> DaemonBuilder {
    DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false")
}

async fn asking(daemon: &Daemon, path: &str, cache_control: &str) -> Answer {
    let request = client::request(Method::GET, path, Some(tokens::ALICE));
    daemon.send(request.header("cache-control", cache_control), "").await
}

/// Whether a kept answer stays fresh for so long.
async fn lasts(daemon: &Daemon, path: &str, seconds: u64) -> bool {
    let least = format!("min-fresh={seconds}, only-if-cached");
    asking(daemon, path, &least).await.status.is_success()
}

async fn keep(daemon: &Daemon, path: &str) {
    assert_eq!(daemon.get(path, tokens::ALICE).await.status, 200);
    assert!(daemon.get(path, tokens::ALICE).await.is_hit(), "{path}");
}

async fn status(daemon: &Daemon) -> Value {
    daemon.admin("/_ghmesh/status").await.expect("the socket answers").json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_list_makes_what_it_shows_changed_stale_on_every_node_without_a_call() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    for daemon in &daemons {
        keep(daemon, ISSUE).await;
    }
    asking(&daemons[0], ISSUES, "no-cache").await;
    assert!(daemons[1].get(ISSUE, tokens::ALICE).await.is_hit(), "a list that shows nothing new ends nothing");
    github.touch(ISSUE).expect("it is there");
    let calls = github.counters().calls();
    asking(&daemons[0], ISSUES, "no-cache").await;
    for daemon in &daemons {
        daemon.expired(ISSUE, tokens::ALICE).await;
        assert!(daemon.get(REPOSITORY, tokens::ALICE).await.status.is_success());
    }
    assert_eq!(github.counters().calls() - calls, 2, "the list and the repository");
    let shown = daemons[1].get(ISSUE, tokens::ALICE).await;
    let listed = daemons[0].get(ISSUES, tokens::ALICE).await.json();
    let listed = listed.as_array().expect("a list").iter().find(|issue| issue["number"] == 1).expect("issue 1");
    assert_eq!(shown.json()["updated_at"], listed["updated_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_poll_interval_binds_the_whole_fleet() {
    let github = github().await;
    // Every read asks, but for what GitHub doesn't want to be asked for yet.
    let daemons = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "0")).await;
    let events = "/repos/octo/hello/events";
    assert_eq!(daemons[0].get(events, tokens::ALICE).await.header("x-poll-interval"), "60");
    eventually("the other node has it", async || daemons[1].get(events, tokens::ALICE).await.is_hit().then_some(()))
        .await;
    let calls = github.counters().calls();
    for daemon in &daemons {
        let eager = client::request(Method::GET, events, Some(tokens::ALICE)).header("x-gh-cache-ttl", "0s");
        assert!(daemon.send(eager, "").await.is_hit());
    }
    assert_eq!(github.counters().calls(), calls);
    assert!(!asking(&daemons[0], events, "no-cache").await.is_hit(), "who insists is answered by GitHub");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_and_what_a_hash_names_lasts_longer_than_what_goes_on() {
    let github = github().await;
    let daemon = local(&github).with("GHMESH_FRESHNESS__ADAPTIVE", "false").start().await;
    let runs = daemon.get(RUNS, tokens::ALICE).await.json();
    let runs = runs["workflow_runs"].as_array().expect("runs").clone();
    let path = |state: &str| {
        let run = runs.iter().find(|run| run["status"] == state).expect("one of each state");
        format!("{RUNS}/{}", run["id"])
    };
    let (over, going_on) = (path("completed"), path("in_progress"));
    let readme = daemon.get("/repos/octo/hello/contents/README.md", tokens::ALICE).await.json();
    let blob = format!("/repos/octo/hello/git/blobs/{}", readme["sha"].as_str().expect("a hash"));
    for path in [&over, &going_on, &blob] {
        keep(&daemon, path).await;
    }
    assert!(!lasts(&daemon, &going_on, 120).await, "a minute");
    assert!(lasts(&daemon, &over, 120).await && !lasts(&daemon, &over, 900).await, "five");
    assert!(lasts(&daemon, &blob, 3000).await, "as long as the proof");
    assert!(!lasts(&daemon, &blob, 3601).await, "and no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_routes_have_the_operators_times() {
    let github = github().await;
    let routes = "/repos/{owner}/{repo} = 0, /repos/{owner}/{repo}/issues/{+rest} = 45m";
    let daemon = local(&github).with("GHMESH_FRESHNESS__ROUTES", routes).start().await;
    for path in [REPOSITORY, ISSUE, RUNS] {
        daemon.get(path, tokens::ALICE).await;
    }
    assert_eq!(
        daemon.get(REPOSITORY, tokens::ALICE).await.header("cache-status"),
        "ghmesh; fwd=stale; fwd-status=304; stored",
        "0: every read asks"
    );
    assert!(lasts(&daemon, ISSUE, 2000).await && !lasts(&daemon, RUNS, 2000).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_follow_how_often_a_resource_is_found_changed_and_status_tells() {
    let github = github().await;
    let daemon = local(&github).start().await;
    keep(&daemon, OPEN_ISSUE).await;
    assert!(lasts(&daemon, OPEN_ISSUE, 60).await, "the table says two minutes");
    for _ in 0..4 {
        github.touch(OPEN_ISSUE).expect("it is there");
        asking(&daemon, OPEN_ISSUE, "no-cache").await;
    }
    assert!(daemon.holds(OPEN_ISSUE, tokens::ALICE).await, "the newest version is as good as the first");
    assert!(!lasts(&daemon, OPEN_ISSUE, 60).await, "what changes all the time is asked for more often");
    let status = status(&daemon).await;
    let row = status["changes"].as_array().expect("rows").iter().find(|row| row["routes"] == "issues");
    let row = row.expect("issues were asked for again");
    assert_eq!((&row["checks"], &row["changed"]), (&4.into(), &4.into()), "{status:#}");
    assert_eq!(status["adaptive"], true);
}
