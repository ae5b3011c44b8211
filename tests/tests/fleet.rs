//! A fleet asks GitHub once: five real processes, three keys, the same second.

use ghmesh_github_sim::{Config, Counters, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, eventually};
use std::collections::BTreeSet;

/// A few seconds, so that expiry can be waited for.
const TTL_SECONDS: &str = "3";

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
                let request = ghmesh_tests::client::request(http::Method::GET, path, Some(tokens::ALICE));
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
async fn a_body_of_one_mebibyte_is_fetched_once_and_pulled_from_peers() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", TTL_SECONDS)).await;
    for repetition in 0..REPETITIONS {
        let size = (1 << 20) + repetition * 3;
        let paths: Vec<_> = (0..3).map(|key| format!("/repos/octo/big/contents/body-{}.json", size + key)).collect();
        herd(&github, &daemons, &paths, repetition).await;
    }
}
