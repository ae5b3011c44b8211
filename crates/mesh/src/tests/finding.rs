//! Members find each other, from whatever source.

use super::cluster::{Node, Setup, all_connected, cluster, eventually, ring, within};
use super::nameserver::Server;
use crate::resolve::Resolving;
use crate::task::Command;
use crate::{AddressFault, Config, Event, Health, Identity, Remembered, Source, StartError, start};
use libp2p::{PeerId, kad};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_find_each_other_by_static_addresses() {
    let nodes = cluster(5).await;
    for node in &nodes {
        let status = node.mesh.status();
        assert_eq!(status.peer_id, node.identity.peer_id());
        assert!(status.listen_addrs[0].ends_with(&status.peer_id), "{:?}", status.listen_addrs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_peer_id_will_do() {
    let first = Setup::new("secret").start().await;
    let second = Setup::new("secret").dialling([first.bare_address()]).start().await;
    second.connected_to([first.member()]).await;
    let found = second.mesh.status().sources.into_iter().find(|source| source.source == Source::Static).unwrap();
    assert!(found.found == 1 && found.last_success.is_some(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_resolved_by_the_system() {
    let first = Setup::new("secret").start().await;
    let port = first.bare_address().rsplit('/').next().unwrap().to_owned();
    let names = [format!("/dns4/localhost/tcp/{port}"), "/dns4/missing.invalid/tcp/9".to_owned()];
    let second = Setup::new("secret").dialling(names).start().await;
    second.connected_to([first.member()]).await;
    let dns = || second.mesh.status().sources.into_iter().find(|source| source.source == Source::Dns).unwrap();
    eventually("an error of the missing name", || dns().last_error.is_some()).await;
    assert_eq!(dns().found, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_in_dns_is_followed_as_it_changes() {
    let server = Server::start().await;
    let first = Setup::new("secret").start().await;
    let second = Setup::new("secret").start().await;
    server.set("mesh.test", &[&format!("dnsaddr={}", first.address())]);
    let mut setup = Setup::new("secret").dialling(["/dnsaddr/mesh.test".to_owned()]);
    setup.tuning.resolving = Resolving { nameserver: server.nameserver(), again: Duration::from_millis(100) };
    let node = setup.start().await;
    node.connected_to([first.member()]).await;
    let dnsaddr = || node.mesh.status().sources.into_iter().find(|source| source.source == Source::Dnsaddr).unwrap();
    assert_eq!((dnsaddr().health, dnsaddr().found, dnsaddr().addresses), (Health::Good, 1, 1));

    server.set("mesh.test", &[&format!("dnsaddr={}", second.address())]);
    node.connected_to([first.member(), second.member()]).await;
    first.mesh.stop().await;
    node.connected_to([second.member()]).await;
    eventually("the first address to be forgotten", || dnsaddr().addresses == 1).await;
    assert!(dnsaddr().last_answer.is_some() && dnsaddr().health == Health::Good, "{:?}", dnsaddr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_is_told_to_members() {
    let first = Setup::new("secret").start().await;
    let mut second = Setup::new("secret").dialling([first.address()]).start().await;
    second.connected_to([first.member()]).await;
    first.mesh.commands().send(Command::Listen("/ip4/127.0.0.1/tcp/0".parse().unwrap())).await.unwrap();
    eventually("a second listener", || first.mesh.status().listen_addrs.len() == 2).await;
    let all = second.event(|event| match event {
        Event::Addresses { addresses, .. } if addresses.len() == 2 => Some(addresses),
        _ => None,
    });
    assert!(all.await.contains(&first.bare_address()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_a_member_finds_it_again() {
    let mut first = Setup::new("secret").start().await;
    let second = Setup::new("secret").dialling([first.address()]).start().await;
    // The one that was dialled learns from identify where the other listens.
    let (member, addresses) = first
        .event(|event| match event {
            Event::Addresses { member, addresses } => Some((member, addresses)),
            _ => None,
        })
        .await;
    assert_eq!((member, &addresses), (second.member(), &vec![second.bare_address()]));
    let mut third = Setup::new("secret");
    third.remembered = vec![Remembered { member, addresses }];
    let third = third.start().await;
    eventually("the remembered member", || third.mesh.members().contains(&second.member())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kademlia_tells_of_members_that_nobody_named() {
    let hub = Setup::new("secret").start().await;
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..3 {
        nodes.push(Setup::new("secret").dialling([hub.address()]).start().await);
    }
    nodes.push(hub);
    all_connected(&nodes).await;
}

/// Who stands in a node's routing table, and the mode of its Kademlia.
async fn table(node: &Node) -> (Vec<PeerId>, kad::Mode) {
    let (table, told) = oneshot::channel();
    node.mesh.commands().send(Command::ShowTable(table)).await.unwrap();
    told.await.unwrap()
}

/// Waits until exactly these stand in the routing table.
async fn holds(node: &Node, expected: BTreeSet<String>) {
    within("the routing table to change", async {
        loop {
            let held: BTreeSet<String> = table(node).await.0.iter().map(PeerId::to_string).collect();
            if held == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_gone_is_told_to_nobody() {
    let node = Setup::new("secret").start().await;
    assert_eq!(table(&node).await, (vec![], kad::Mode::Server), "a server before anybody has confirmed an address");
    let stays = Setup::new("secret").dialling([node.address()]).start().await;
    let goes = Setup::new("secret").dialling([node.address()]).start().await;
    let ids = |nodes: &[&Node]| nodes.iter().map(|node| node.identity.peer_id()).collect::<BTreeSet<_>>();
    holds(&node, ids(&[&stays, &goes])).await;
    let left = ids(&[&stays]);
    goes.mesh.stop().await;
    holds(&node, left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_on_one_address_all_hear_each_other() {
    // Scoring by address would empty this mesh at 14 nodes and silence it at 16.
    let mut nodes = cluster(16).await;
    let shared = nodes[3].record(1);
    nodes[3].mesh.publish(shared.clone()).unwrap();
    for (index, node) in nodes.iter_mut().enumerate() {
        if index != 3 {
            node.receives(&shared.signed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_dial_each_other_at_once_keep_one_connection() {
    for _ in 0..20 {
        let (one, two) = (free_port(), free_port());
        let setup = |own: u16, other: u16| {
            let mut setup = Setup::new("secret").dialling([format!("/ip4/127.0.0.1/tcp/{other}")]);
            setup.listen = vec![format!("/ip4/127.0.0.1/tcp/{own}")];
            setup
        };
        let (one, two) = tokio::join!(setup(one, two).start(), setup(two, one).start());
        one.connected_to([two.member()]).await;
        two.connected_to([one.member()]).await;
        let mut nodes = [one, two];
        for (from, to) in [(0, 1), (1, 0)] {
            let shared = nodes[from].record(1);
            nodes[from].mesh.publish(shared.clone()).unwrap();
            nodes[to].receives(&shared.signed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_oneself_is_recognised() {
    let port = free_port();
    let mut setup =
        Setup::new("secret").dialling([format!("/ip4/127.0.0.1/tcp/{port}"), format!("/dns4/localhost/tcp/{port}")]);
    setup.listen = vec![format!("/ip4/0.0.0.0/tcp/{port}")];
    let node = setup.start().await;
    let friend = Setup::new("secret").dialling([format!("/ip4/127.0.0.1/tcp/{port}")]).start().await;
    node.connected_to([friend.member()]).await;
    let status = node.mesh.status();
    assert!(status.sources.iter().all(|source| source.last_error.is_none()), "{:?}", status.sources);
    assert_eq!(status.counters.strangers, 0);
}

#[tokio::test]
async fn bad_settings_and_taken_ports_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let config = |listen: &str, bootstrap: &str| Config {
        listen: vec![listen.to_owned()],
        bootstrap: vec![bootstrap.to_owned()],
        ..Config::default()
    };
    let begin = |config| start(config, Identity::ephemeral(), vec![ring("secret")], 1, vec![]);
    let error = begin(config(&address, "/ip4/127.0.0.1/tcp/9")).await.unwrap_err();
    assert!(matches!(&error, StartError::Listen { .. }) && error.to_string().contains(&address), "{error}");
    let error = begin(config("9000", "nonsense")).await.unwrap_err();
    let StartError::Config(error) = error else { panic!("{error}") };
    let faults: Vec<_> = error.problems.iter().map(|problem| problem.fault).collect();
    assert_eq!(faults, [AddressFault::Listen, AddressFault::Dial]);
    let nothing = Config { listen: vec![], bootstrap: vec![], ..Config::default() };
    assert!(matches!(start(nothing, Identity::ephemeral(), vec![], 1, vec![]).await, Err(StartError::NoKeys)));
}

/// A port that was free a moment ago, below those that the system gives to connections.
pub(crate) fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| rand::random_range(10_000..30_000));
    ports.into_iter().find(|port| std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok()).unwrap()
}
