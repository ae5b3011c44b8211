//! Links that lose packets, take their time, shuffle them or are narrow. Answers stay right and every call ends. Needs root.

use futures::future::join_all;
use ghmesh_github_sim::{Sim, tokens};
use ghmesh_tests::Daemon;
use ghmesh_tests::cluster::{Over, github, item, mesh};
use ghmesh_tests::network::{Delay, Lan};
use std::ops::Range;
use std::time::{Duration, Instant};

const HOSTS: usize = 4;
/// Answers that every node asks for.
const ITEMS: usize = 40;
/// Of them, how many at once.
const AT_ONCE: usize = 5;
/// A call ends within this, whatever the link. Lookups wait ten seconds at most, the origin's header for twenty.
const ENDS_WITHIN: Duration = Duration::from_secs(35);

/// Every node asks for everything, a few at a time: for half of it all at once, for half of it one before the others. Each gets
/// GitHub's own words.
async fn every_call_ends_with_the_right_answer(what: &str, github: &Sim, daemons: &[Daemon]) {
    let started = Instant::now();
    for first in (0..ITEMS).step_by(2 * AT_ONCE) {
        ask_all(daemons, first..first + AT_ONCE).await;
        let (one, others) = daemons.split_at(1);
        ask_all(one, first + AT_ONCE..first + 2 * AT_ONCE).await;
        ask_all(others, first + AT_ONCE..first + 2 * AT_ONCE).await;
    }
    let (mut fail_opens, mut hits) = (0, 0);
    for daemon in daemons {
        fail_opens += daemon.count("fail_opens").await;
        hits += daemon.count("hits").await;
    }
    let (calls, questions) = (github.counters().calls(), (daemons.len() * ITEMS) as u64);
    println!(
        "{what}: {questions} questions in {:?}, {hits} hits, {calls} calls, {fail_opens} lookups failed open",
        started.elapsed()
    );
    assert!(calls >= ITEMS as u64 && hits > 0, "the mesh was of some use");
    // What a node fetched although another did, it fetched because its lookup failed open or was told to.
    assert_eq!(hits + calls, questions, "each question was a hit or a call, no call was repeated");
}

async fn ask_all(daemons: &[Daemon], numbers: Range<usize>) {
    join_all(daemons.iter().flat_map(|daemon| numbers.clone().map(move |number| ask(daemon, number)))).await;
}

async fn ask(daemon: &Daemon, number: usize) {
    let answer = tokio::time::timeout(ENDS_WITHIN, daemon.get(&item(number), tokens::ALICE)).await;
    let answer = answer.unwrap_or_else(|_| panic!("item {number} is not answered within {ENDS_WITHIN:?}"));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let name = item(number).split(['/', '?']).find(|part| part.starts_with("body-")).unwrap_or_default().to_owned();
    assert_eq!(answer.json()["name"].as_str(), Some(&*name), "item {number}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn one_packet_in_ten_is_lost() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts: Vec<_> = (0..HOSTS).map(|_| lan.add_host()).collect();
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    lan.lose(10);
    every_call_ends_with_the_right_answer("10 % loss", &github, &daemons).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn packets_take_their_time_and_overtake_each_other() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    // Two cables lie between two hosts: 40 to 60 ms, and as much back.
    let delay = Delay { least: Duration::from_millis(20), jitter: Duration::from_millis(10) };
    let hosts: Vec<_> = (0..HOSTS).map(|_| lan.add_far_host(delay)).collect();
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    every_call_ends_with_the_right_answer("50 ms, shuffled", &github, &daemons).await;
    let status = daemons[0].admin("/_ghmesh/status").await.expect("it answers").json();
    let round_trip = status["peers"][0]["round_trip_ms"].as_f64().unwrap_or_default();
    assert!(round_trip > 80.0, "the way is as long as it is meant to be: {round_trip} ms");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn links_carry_a_megabit_a_second() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts: Vec<_> = (0..HOSTS).map(|_| lan.add_host()).collect();
    hosts.iter().for_each(|host| lan.limit_rate(host, 1000));
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    every_call_ends_with_the_right_answer("1 Mbit/s", &github, &daemons).await;
}
