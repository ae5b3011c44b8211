//! A fleet asks GitHub once: five real processes, three keys, the same second.

use ghmesh_github_sim::{Config, Counters, Fault, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;

/// A few seconds, so that expiry can be waited for.
const TTL_SECONDS: &str = "3";

/// How often everything changes. Nodes take turns at fetching, so that most have seen several versions by then.
const CHANGES: usize = 6;

/// Repetitions of the herd. None may need a fourth call.
const REPETITIONS: usize = 20;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// Asks every daemon for every path, all at once.
async fn ask_all(daemons: &[Daemon], paths: &[String]) -> Vec<Answer> {
    let pairs: Vec<_> = daemons.iter().flat_map(|daemon| paths.iter().map(move |path| (daemon, path))).collect();
    let asked = pairs.into_iter().map(|(daemon, path)| daemon.get(path, tokens::ALICE));
    futures::future::join_all(asked).await
}

/// Waits until no daemon would answer `path` from a fresh entry. `only-if-cached` makes no call.
async fn expired(daemons: &[Daemon], paths: &[String]) {
    for path in paths {
        eventually(&format!("{path} has expired everywhere"), async || {
            for daemon in daemons {
                let request = client::request(Method::GET, path, Some(tokens::ALICE));
                let answer = daemon.send(request.header("cache-control", "only-if-cached"), "").await;
                if answer.status.is_success() {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
}

fn assert_all_alike(answers: &[Answer], paths: usize) {
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    let bodies: BTreeSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    assert_eq!(bodies.len(), paths, "one body a path");
}

fn spent(before: &Counters, after: &Counters) -> (u64, u64) {
    (after.calls() - before.calls(), after.charged() - before.charged())
}

/// One herd on fresh keys, and another after they have expired.
async fn herd(github: &Sim, daemons: &[Daemon], paths: &[String], repetition: usize) {
    let before = github.counters();
    assert_all_alike(&ask_all(daemons, paths).await, paths.len());
    let first = github.counters();
    assert_eq!(spent(&before, &first), (3, 3), "repetition {repetition}, first reads; {}", fail_opens(daemons).await);
    expired(daemons, paths).await;
    assert_all_alike(&ask_all(daemons, paths).await, paths.len());
    let second = github.counters();
    assert_eq!(spent(&first, &second), (3, 0), "repetition {repetition}, after expiry; {}", fail_opens(daemons).await);
}

async fn fail_opens(daemons: &[Daemon]) -> String {
    let mut counts = Vec::new();
    for daemon in daemons {
        counts.push(daemon.count("fail_opens").await);
    }
    format!("lookups that failed open: {counts:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_and_three_keys_in_the_same_second_make_three_calls_twenty_times_in_a_row() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", TTL_SECONDS)).await;
    for repetition in 0..REPETITIONS {
        let paths: Vec<_> = (1..=3).map(|key| format!("/repos/octo/hello/issues/{}", repetition * 3 + key)).collect();
        herd(&github, &daemons, &paths, repetition).await;
    }
    let requests = REPETITIONS as u64 * 2 * 3;
    for daemon in &daemons {
        let stats = daemon.stats().await;
        let count = |name: &str| stats[name].as_u64().expect("a count");
        assert_eq!(count("hits"), count("local_hits") + count("peer_hits"));
        assert!(count("hits") + count("misses") >= requests, "{stats}");
        assert_eq!(count("api_calls_saved"), count("hits") + count("revalidated"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_on_github_is_fetched_once_and_shared_at_once() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", TTL_SECONDS)).await;
    let paths: Vec<_> = (1..=3).map(|number| format!("/repos/octo/hello/issues/{number}")).collect();
    ask_all(&daemons, &paths).await;
    for repetition in 0..CHANGES {
        for path in &paths {
            github.touch(path).expect("it is there");
        }
        expired(&daemons, &paths).await;
        let before = github.counters();
        assert_all_alike(&ask_all(&daemons, &paths).await, paths.len());
        assert_all_alike(&ask_all(&daemons, &paths).await, paths.len());
        let spent = spent(&before, &github.counters());
        assert_eq!(spent, (3, 3), "change {repetition}; {}", fail_opens(&daemons).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_one_mebibyte_is_fetched_once_and_pulled_from_peers() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", TTL_SECONDS)).await;
    for repetition in 0..REPETITIONS {
        let size = (1 << 20) + repetition * 3;
        let paths: Vec<_> = (0..3).map(|key| format!("/repos/octo/big/contents/body-{}.json", size + key)).collect();
        herd(&github, &daemons, &paths, repetition).await;
    }
}

const PATH: &str = "/repos/octo/hello/issues/1";

/// Longer than a lease before anything is measured, and shorter than anybody's patience.
const LONGER_THAN_A_LEASE_MS: u64 = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_takes_longer_than_a_lease_is_waited_for() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how).await;
    github.set_faults(vec![Fault::latency(LONGER_THAN_A_LEASE_MS)]);
    // Of two nodes that are asked, hardly ever one owns every key: most fetches hold the lease of somebody who doesn't fetch.
    let paths: Vec<_> = (1..=6).map(|number| format!("/repos/octo/hello/issues/{number}")).collect();
    assert_all_alike(&ask_all(&daemons[..2], &paths).await, paths.len());
    assert_eq!(github.counters().calls(), 6, "{}", fail_opens(&daemons).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_can_not_be_shared_is_fetched_by_all_that_waited_at_once() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how).await;
    github.set_faults(vec![Fault::latency(1_500)]);
    let answers = ask_all(&daemons, &["/repos/octo/none".to_owned()]).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    let counters = github.counters();
    assert_eq!(counters.calls(), 5, "each needs its own");
    assert!(counters.max_in_flight >= 4, "one, then all others together: {}", counters.max_in_flight);
}

/// Waits until `daemon` has what GitHub was asked for elsewhere, without asking anybody itself.
async fn has_it(daemon: &Daemon) {
    eventually("it is shared", async || {
        let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).header("cache-control", "only-if-cached");
        (daemon.send(request, "").await.status == 200).then_some(())
    })
    .await;
}

/// What `one` kept from before `change` is confirmed after it, for free, and then shared with another node.
async fn is_shared_after(github: &Sim, one: Daemon, change: impl Fn(DaemonBuilder) -> DaemonBuilder) {
    assert_eq!(one.get(PATH, tokens::ALICE).await.status, 200);
    let one = change(one.stop().await).start().await;
    let address = one.address().await;
    let two = change(DaemonBuilder::new(&github.url())).with("GHMESH_MESH__BOOTSTRAP", &address).start().await;
    one.connected(1).await;
    two.connected(1).await;
    let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).header("cache-control", "no-cache");
    let confirmed = one.send(request, "").await;
    assert_eq!(confirmed.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    has_it(&two).await;
    assert_eq!((github.counters().calls(), github.counters().charged()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_without_a_mesh_is_shared_once_there_is_one() {
    let github = github().await;
    let one = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    is_shared_after(&github, one, |how| how.with("GHMESH_MESH__ENABLED", "true")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_16_what_was_shared_under_one_secret_is_shared_under_the_next() {
    let github = github().await;
    let one = DaemonBuilder::new(&github.url()).start().await;
    // Before its mesh has started nothing is made under the secret.
    one.address().await;
    is_shared_after(&github, one, |how| how.with("GHMESH_MESH__SECRET", "another secret for tests only")).await;
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn threats_10_and_11_who_was_away_when_something_was_written_is_told_when_it_is_back() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let [writer, away] = &daemons[..] else { panic!("two daemons") };
    let before = away.get(PATH, tokens::ALICE).await.json();
    signal(away, Signal::STOP);
    eventually("it is missed", async || (writer.count("connected_peers").await == 0).then_some(())).await;
    let write = client::request(Method::PATCH, PATH, Some(tokens::ALICE));
    assert_eq!(writer.send(write, r#"{"title": "written meanwhile"}"#).await.status, 200);
    signal(away, Signal::CONT);
    eventually("what was written is seen", async || {
        let title = away.get(PATH, tokens::ALICE).await.json()["title"].clone();
        assert!(title == before["title"] || title == "written meanwhile", "{title}");
        (title == "written meanwhile").then_some(())
    })
    .await;
}

/// How long GitHub takes for one answer: far longer than any lease lasts.
const VERY_SLOW_MS: u64 = 60_000;

/// Far less than that, and less than the others would wait for somebody who still fetches.
const SOON: std::time::Duration = std::time::Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_stop_keeps_nobody_waiting_for_it() {
    let github = github().await;
    let mut daemons = fleet(3, &github.url(), |how| how).await;
    let path = "/repos/octo/hello/issues/7";
    github.set_faults(vec![Fault::latency(VERY_SLOW_MS).on(path).times(1)]);
    let leader = daemons.remove(0);
    let endpoint = leader.endpoint();
    let asked = tokio::spawn(async move {
        let request = client::request(Method::GET, path, Some(tokens::ALICE)).body(Default::default());
        client::send(&endpoint, request.expect("a request")).await
    });
    eventually("the leader's call is under way", async || (github.counters().calls() == 1).then_some(())).await;
    let followers = daemons.iter().map(|daemon| daemon.get(path, tokens::ALICE));
    let followers = tokio::time::timeout(SOON, futures::future::join_all(followers));
    let pid = i32::try_from(leader.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::TERM).expect("it runs");
    let answers = followers.await.expect("they don't wait for the departed");
    assert!(answers.iter().all(|answer| answer.status == 200));
    let calls = github.counters().calls();
    assert!((2..=3).contains(&calls), "the leader's call, and one or two of the others': {calls}");
    asked.abort();
}
