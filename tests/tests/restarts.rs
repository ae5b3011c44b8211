//! Nodes that die and come back, or stand still: killed, without power, suspended; on either transport. Needs root.

use ghmesh_github_sim::{Sim, tokens};
use ghmesh_tests::cluster::{Over, github, gossip_back, item, mesh};
use ghmesh_tests::network::Lan;
use ghmesh_tests::{Daemon, eventually};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How often each is tried; `GHMESH_TEST_ROUNDS` says otherwise.
const ROUNDS: usize = 3;
/// What a single round may take on a machine under load. The median of the rounds is held to the transport's own bound.
const ANY_ROUND: Duration = Duration::from_secs(10);
/// Longer than any silence that members bear.
const SUSPENDED_FOR: Duration = Duration::from_secs(30);

/// How a node ends.
#[derive(Clone, Copy)]
enum End {
    /// As with `kill -9`: the kernel says goodbye for it.
    Killed,
    /// Nobody says goodbye.
    PowerLost,
}

/// When gossip must be back, in either direction.
fn bound(over: Over) -> Duration {
    match over {
        Over::Tcp | Over::Both => Duration::from_secs(1),
        Over::Quic => Duration::from_secs(2),
    }
}

fn rounds() -> usize {
    std::env::var("GHMESH_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

/// Gossip in both directions.
async fn both_ways(one: &Daemon, other: &Daemon, first: usize) -> Duration {
    let (to, from) = tokio::join!(gossip_back(one, other, first), gossip_back(other, one, first + 2_000));
    to.max(from)
}

/// Ends one of two nodes, starts it again with the same data, and measures from when it listens until gossip is back both ways.
async fn ended_and_back(over: Over, end: End) {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts = [lan.add_host(), lan.add_host()];
    let mut daemons = mesh(&github, &lan, &hosts, over).await;
    let mut taken = Vec::new();
    for round in 0..rounds() {
        // The one that is dialled, and the one that dials.
        let which = round % 2;
        let victim = daemons.remove(which);
        if matches!(end, End::PowerLost) {
            lan.cut_power(&hosts[which]);
        }
        let how = victim.kill().await;
        if matches!(end, End::PowerLost) {
            lan.restore_power(&hosts[which]);
        }
        let mut again = how.spawn();
        again.ready().await;
        again.address().await;
        taken.push(both_ways(&daemons[0], &again, 10_000 * round).await);
        daemons.insert(which, again);
        later_records_come_at_once(&github, &daemons, 10_000 * round + 5_000).await;
    }
    report(over, taken);
}

/// What was fetched after gossip had come back has reached the other.
async fn later_records_come_at_once(github: &Sim, daemons: &[Daemon], first: usize) {
    let calls = github.counters().calls();
    for (number, (one, other)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let path = item(first + number);
        assert_eq!(daemons[one].get(&path, tokens::ALICE).await.status, 200);
        eventually("it is there", async || daemons[other].holds(&path, tokens::ALICE).await.then_some(())).await;
    }
    // Fetches that a round began and did not wait for may still be counted, so no more than this can be said.
    assert!(github.counters().calls() >= calls + 2, "each was fetched");
}

fn report(over: Over, mut taken: Vec<Duration>) {
    taken.sort();
    let median = taken[taken.len() / 2];
    println!("{over:?}: gossip was back both ways after {taken:?}, median {median:?}");
    assert!(median <= bound(over), "{taken:?}");
    assert!(taken.iter().all(|took| *took <= ANY_ROUND), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_is_killed_gossips_again_within_a_second_over_tcp() {
    ended_and_back(Over::Tcp, End::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_is_killed_gossips_again_within_two_seconds_over_quic() {
    ended_and_back(Over::Quic, End::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_lost_power_gossips_again_within_a_second_over_tcp() {
    ended_and_back(Over::Tcp, End::PowerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_lost_power_gossips_again_within_two_seconds_over_quic() {
    ended_and_back(Over::Quic, End::PowerLost).await;
}

/// Stops a node for longer than the others wait for it, and measures from its first moment awake.
async fn suspended(over: Over) {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts = [lan.add_host(), lan.add_host()];
    let daemons = mesh(&github, &lan, &hosts, over).await;
    let [awake, asleep] = &daemons[..] else { panic!("two daemons") };
    asleep.signal(Signal::STOP);
    let stopped = Instant::now();
    eventually("it is missed", async || (awake.count("connected_peers").await == 0).then_some(())).await;
    assert!(awake.get(&item(1), tokens::ALICE).await.status.is_success(), "nobody waits for it");
    // No event says that half a minute is over.
    tokio::time::sleep(SUSPENDED_FOR.saturating_sub(stopped.elapsed())).await;
    asleep.signal(Signal::CONT);
    let back = both_ways(awake, asleep, 10).await;
    report(over, vec![back]);
    assert!(asleep.get(&item(1), tokens::ALICE).await.is_hit(), "what was fetched meanwhile is found");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_was_suspended_gossips_again_over_tcp() {
    suspended(Over::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_node_that_was_suspended_gossips_again_over_quic() {
    suspended(Over::Quic).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn a_host_whose_cable_was_pulled_goes_on_alone_and_is_a_member_again_when_it_is_back() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts = [lan.add_host(), lan.add_host()];
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    let [one, other] = &daemons[..] else { panic!("two daemons") };

    // Pulled for less than members bear, it costs nothing but the time.
    lan.pull_cable(&hosts[1], true);
    assert_eq!(one.get(&item(1), tokens::ALICE).await.status, 200);
    lan.pull_cable(&hosts[1], false);
    eventually("it comes late", async || other.holds(&item(1), tokens::ALICE).await.then_some(())).await;

    lan.pull_cable(&hosts[1], true);
    for daemon in &daemons {
        eventually("it is missed", async || (daemon.count("connected_peers").await == 0).then_some(())).await;
    }
    assert!(other.get(&item(1), tokens::ALICE).await.is_hit(), "what it holds it serves");
    lan.pull_cable(&hosts[1], false);
    other.connected(1).await;
    one.connected(1).await;
    all_hear_of(&github, &daemons, 2).await;
}

/// One call brings it to all.
async fn all_hear_of(github: &Sim, daemons: &[Daemon], number: usize) {
    let calls = github.counters().calls();
    assert_eq!(daemons[0].get(&item(number), tokens::ALICE).await.status, 200);
    for daemon in daemons {
        eventually("it is there", async || daemon.holds(&item(number), tokens::ALICE).await.then_some(())).await;
    }
    assert_eq!(github.counters().calls(), calls + 1);
}
