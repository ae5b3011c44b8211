//! Hosts on one LAN (network namespaces on a bridge) that find each other by mDNS, with no address configured. Needs root.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::network::Lan;
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use std::time::{Duration, Instant};

const PATH: &str = "/repos/octo/hello";

/// The bound that discovery is to hold. Counted from when the last mesh has begun to listen.
const FOUND_WITHIN: Duration = Duration::from_secs(2);

async fn github(lan: &Lan) -> Sim {
    let listen = format!("{}:0", lan.gateway()).parse().expect("an address");
    Sim::start(Config { listen, ..Config::default() }).await.expect("the simulated GitHub starts")
}

fn host(lan: &mut Lan, github: &Sim) -> DaemonBuilder {
    DaemonBuilder::new(&github.url())
        .in_namespace(&lan.add_host())
        .with("GHMESH_MESH__LISTEN", "/ip4/0.0.0.0/tcp/9000")
        .with("GHMESH_MESH__DISCOVERY__MDNS", "true")
}

async fn listening(daemon: &mut Daemon) {
    daemon.ready().await;
    daemon.address().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn three_hosts_find_each_other_by_mdns_and_share_and_a_stranger_learns_nothing() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts: Vec<_> = (0..3).map(|_| host(&mut lan, &github)).collect();
    let stranger = host(&mut lan, &github).with("GHMESH_MESH__SECRET", "another secret, of another mesh");

    let mut daemons: Vec<_> = hosts.into_iter().map(DaemonBuilder::spawn).collect();
    let mut stranger = stranger.spawn();
    for daemon in &mut daemons {
        listening(daemon).await;
    }
    let started = Instant::now();
    for daemon in &daemons {
        daemon.connected(2).await;
    }
    let found_after = started.elapsed();
    assert!(found_after < FOUND_WITHIN, "peers were connected after {found_after:?}");

    let first = daemons[0].get(PATH, tokens::ALICE).await;
    assert_eq!((first.status.as_u16(), first.is_hit()), (200, false));
    for daemon in &daemons[1..] {
        let answer = daemon.get(PATH, tokens::ALICE).await;
        assert!(answer.is_hit(), "{}", answer.header("cache-status"));
        assert_eq!(answer.body, first.body);
    }
    assert_eq!(github.counters().calls(), 1, "one call for three hosts");

    listening(&mut stranger).await;
    eventually("the stranger has tried and been turned away", async || {
        let status = stranger.admin("/_ghmesh/status").await.ok()?.json();
        (status["strangers"].as_u64()? > 0).then_some(())
    })
    .await;
    eventually("it names whom multicast showed it", async || {
        let status = stranger.admin("/_ghmesh/status").await.ok()?.json();
        let is_named = |other: &serde_json::Value| other["kind"] == "other mesh" && other["source"] == "mdns";
        status["others"].as_array()?.iter().any(is_named).then_some(())
    })
    .await;
    assert_eq!(stranger.count("connected_peers").await, 0);
    assert_eq!(stranger.count("records_received").await, 0);
    assert_eq!(stranger.count("entries").await, 0);
    for daemon in &daemons {
        assert_eq!(daemon.count("connected_peers").await, 2);
    }
}
