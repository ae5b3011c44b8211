//! Members that know nothing of each other meet in a DHT of strangers.

use super::cluster::{Node, PATIENCE, Setup, eventually, ring};
use crate::rendezvous::Pace;
use crate::{Dht, Source, SourceStatus};
use futures::StreamExt;
use ghmesh_seal::KeyRing;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, kad, noise, tcp, yamux};
use std::time::Duration;
use tokio::task::JoinHandle;

const PROTOCOL: &str = "/ipfs/kad/1.0.0";

/// Visits of the DHT as often as a test can wait for.
const FAST: Pace = Pace {
    first: Duration::from_millis(50),
    alone: Duration::from_millis(100),
    alone_max: Duration::from_secs(1),
    together: Duration::from_secs(1),
};

/// A node of the DHT, as others run it.
#[derive(NetworkBehaviour)]
struct DhtNode {
    kademlia: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

fn dht_node(known: &[Multiaddr]) -> Swarm<DhtNode> {
    let behaviour = |keypair: &Keypair| {
        let local = keypair.public().to_peer_id();
        let config = kad::Config::new(StreamProtocol::new(PROTOCOL));
        let mut kademlia = kad::Behaviour::with_config(local, MemoryStore::new(local), config);
        kademlia.set_mode(Some(kad::Mode::Server));
        let identify = identify::Behaviour::new(identify::Config::new("ipfs/0.1.0".into(), keypair.public()));
        DhtNode { kademlia, identify }
    };
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
    let mut swarm = builder.with_behaviour(behaviour).unwrap().build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    for address in known {
        let Some(Protocol::P2p(peer)) = address.iter().last() else { panic!("no peer id in {address}") };
        swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
    }
    swarm
}

/// A DHT of `count` nodes: where they listen, and their tasks.
async fn dht(count: usize) -> (Vec<String>, Vec<JoinHandle<()>>) {
    let (mut addresses, mut tasks): (Vec<Multiaddr>, Vec<JoinHandle<()>>) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut swarm = dht_node(&addresses);
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with(Protocol::P2p(*swarm.local_peer_id()));
            }
        };
        addresses.push(address);
        let _ = swarm.behaviour_mut().kademlia.bootstrap();
        tasks.push(tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        }));
    }
    (addresses.iter().map(Multiaddr::to_string).collect(), tasks)
}

/// A node that finds others by that DHT only.
async fn node(rings: Vec<KeyRing>, bootstrap: &[String]) -> Node {
    let port = super::finding::free_port();
    let mut setup = Setup { rings, ..Setup::new("") };
    setup.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    setup.dht = Some(Dht {
        bootstrap: bootstrap.to_vec(),
        announce: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
        protocol: PROTOCOL.to_owned(),
    });
    setup.tuning.pace = FAST;
    setup.start().await
}

fn health(node: &Node) -> SourceStatus {
    node.mesh.status().sources.into_iter().find(|source| source.source == Source::Rendezvous).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_in_a_dht_and_strangers_there_never_learn_of_it() {
    let (bootstrap, _tasks) = dht(4).await;
    let one = node(vec![ring("secret")], &bootstrap[..1]).await;
    let other = node(vec![ring("secret")], &bootstrap[3..]).await;
    let stranger = node(vec![ring("another secret")], &bootstrap[..1]).await;
    one.connected_to([other.member()]).await;
    other.connected_to([one.member()]).await;
    assert!(health(&one).found + health(&other).found >= 1);
    assert_eq!((health(&stranger).addresses, health(&stranger).found), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_members_that_start_at_once_become_one_mesh() {
    let (bootstrap, _tasks) = dht(3).await;
    let nodes = futures::future::join_all((0..6).map(|_| node(vec![ring("secret")], &bootstrap))).await;
    super::cluster::all_connected(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_while_their_secret_changes() {
    let (bootstrap, _tasks) = dht(3).await;
    let behind = node(vec![ring("old"), ring("new")], &bootstrap).await;
    let ahead = node(vec![ring("new"), ring("old")], &bootstrap).await;
    // Each writes under its own secret and looks under both.
    ahead.connected_to([behind.member()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dht_that_is_not_there_is_this_sources_trouble_alone() {
    let nobody = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN".to_owned();
    let first = node(vec![ring("secret")], &[nobody]).await;
    eventually("the source's trouble", || health(&first).last_error.is_some()).await;
    let second = Setup::new("secret").dialling([first.address()]).start().await;
    second.connected_to([first.member()]).await;
    assert!(health(&second).last_error.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_visits_end_with_the_mesh() {
    let (bootstrap, tasks) = dht(1).await;
    let one = node(vec![ring("secret")], &bootstrap).await;
    let runtime = tokio::runtime::Handle::current().metrics();
    let Node { mesh, events, .. } = one;
    mesh.stop().await;
    drop(events);
    tasks.into_iter().for_each(|task| task.abort());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while runtime.num_alive_tasks() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "{} tasks are left", runtime.num_alive_tasks());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
