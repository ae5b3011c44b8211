//! How nodes find each other where something is odd: names whose addresses change, and no multicast. Needs root.

use ghmesh_github_sim::{Sim, tokens};
use ghmesh_tests::cluster::{Over, PORT, github, item, node};
use ghmesh_tests::network::{Lan, NameServer};
use ghmesh_tests::{Daemon, DaemonBuilder, eventually, within};
use serde_json::Value;
use std::time::Duration;

/// A headless service's name.
const SERVICE: &str = "ghmesh.test";
/// A name is asked for again every 15 s or so; twice that and some more.
const RESOLVED_AGAIN: Duration = Duration::from_secs(45);

async fn source(daemon: &Daemon, name: &str) -> Value {
    let status = daemon.admin("/_ghmesh/status").await.expect("it answers").json();
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    sources.into_iter().find(|source| source["name"] == name).unwrap_or_else(|| panic!("no source {name} in {status}"))
}

/// A host whose daemon knows nothing but the service's name.
fn by_name(github: &Sim, host: &str, names: &NameServer) -> DaemonBuilder {
    names.serve(host);
    node(github, host, Over::Tcp).with("GHMESH_MESH__BOOTSTRAP", &format!("/dns4/{SERVICE}/tcp/{PORT}"))
}

async fn listening(how: DaemonBuilder) -> Daemon {
    let daemon = how.start().await;
    daemon.address().await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn nodes_of_a_headless_service_find_each_other_as_its_records_change() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts: Vec<_> = (0..5).map(|_| lan.add_host()).collect();
    let address = |index: usize| lan.address(&hosts[index]);
    let addresses: Vec<_> = (0..5).map(address).collect();
    let names = NameServer::start(&mut lan, SERVICE, &[]);

    // The first node of a service is alone, and healthy.
    let first = listening(by_name(&github, &hosts[0], &names)).await;
    eventually("the name has no address", async || {
        let error = source(&first, "dns").await["last_error"].as_str().map(str::to_owned)?;
        error.contains(SERVICE).then_some(())
    })
    .await;
    names.set(&addresses[..1]);
    let second = listening(by_name(&github, &hosts[1], &names)).await;
    second.connected(1).await;
    assert!(source(&second, "dns").await["found"].as_u64() > Some(0), "the name led there");

    // A record that is added: whoever is there dials the newcomer, which knows nobody itself.
    let silent = listening(node(&github, &hosts[2], Over::Tcp)).await;
    names.set(&addresses[..3]);
    within(RESOLVED_AGAIN, "the newcomer is dialled", async || {
        (silent.count("connected_peers").await == 2).then_some(())
    })
    .await;

    // A record that is removed, and its node gone: who comes later is led to those that are left.
    drop(silent);
    names.set(&addresses[..2]);
    let late = listening(by_name(&github, &hosts[3], &names)).await;
    late.connected(2).await;
    // A record whose node is not there (any more) does no harm.
    names.set(&addresses[1..3]);
    let last = listening(by_name(&github, &hosts[4], &names)).await;
    last.connected(3).await;
    assert_eq!(first.get(&item(1), tokens::ALICE).await.status, 200);
    for daemon in [&second, &late, &last] {
        assert!(daemon.get(&item(1), tokens::ALICE).await.is_hit());
    }
    assert_eq!(github.counters().calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn without_multicast_mdns_finds_nobody_and_says_so_and_all_else_works() {
    let mut lan = Lan::new();
    lan.drop_multicast();
    let github = github(&lan).await;
    let hosts: Vec<_> = (0..3).map(|_| lan.add_host()).collect();
    let how = |host: &str| node(&github, host, Over::Tcp).with("GHMESH_MESH__DISCOVERY__MDNS", "true");
    let one = listening(how(&hosts[0])).await;
    let lonely = listening(how(&hosts[1])).await;
    let contact = Over::Tcp.addresses(&lan.address(&hosts[0]));
    let two = listening(how(&hosts[2]).with("GHMESH_MESH__BOOTSTRAP", &contact)).await;
    two.connected(1).await;
    one.connected(1).await;

    // Nobody but its memory tells it where the others are.
    let again = listening(two.stop().await.without("GHMESH_MESH__BOOTSTRAP")).await;
    again.connected(1).await;
    eventually("its memory led there, or the other's", async || {
        let remembered = source(&again, "remembered").await["found"].as_u64()?;
        let inbound = source(&again, "inbound").await["found"].as_u64()?;
        (remembered + inbound > 0).then_some(())
    })
    .await;
    assert_eq!(again.get(&item(1), tokens::ALICE).await.status, 200);
    assert!(one.get(&item(1), tokens::ALICE).await.is_hit());

    assert_eq!(lonely.count("connected_peers").await, 0);
    for daemon in [&one, &lonely, &again] {
        let mdns = source(daemon, "mdns").await;
        assert_eq!((mdns["found"].as_u64(), mdns["last_success_seconds"].is_null()), (Some(0), true), "{mdns}");
    }
}
