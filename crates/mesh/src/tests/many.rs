//! Swarms of many whole nodes in one process, over memory.

use super::cluster::{Node, Setup};
use super::memory;
use crate::Event;
use ghmesh_model::wire::SignedRecord;
use std::time::{Duration, Instant};

/// All of a swarm's start, on a machine that does other things besides.
const LONG: Duration = Duration::from_secs(60);

/// Neighbours from which on gossip surely reaches a node.
const ENOUGH: usize = 4;

fn setup() -> Setup {
    Setup { listen: vec![memory::LISTEN.into()], ..Setup::new("secret") }
}

/// `count` nodes, of which each knows `known` of those before it, and may look for more.
async fn swarm(count: usize, known: usize, looks: bool) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..count {
        // Spread over all before it: the same few would have to take everybody in.
        let told = (0..known.min(number)).map(|index| index * number / known.min(number).max(1));
        let addresses: Vec<String> = told.map(|index| nodes[index].address()).collect();
        let setup = setup().dialling(addresses);
        if !looks {
            memory::keep_still(setup.identity.keypair().public().to_peer_id());
        }
        nodes.push(setup.start().await);
    }
    nodes
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waited).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// When the node gets the record.
async fn arrives(node: &mut Node, expected: &SignedRecord) -> Instant {
    let waited = async {
        loop {
            match node.events.recv().await {
                Some(Event::Record { shared, .. }) if shared.signed == *expected => return Instant::now(),
                Some(_) => {}
                None => panic!("the mesh has ended"),
            }
        }
    };
    tokio::time::timeout(LONG, waited).await.unwrap_or_else(|_| panic!("a record never came"))
}

/// Has one node publish, and gives how long it took until each other had it.
async fn publish(nodes: &mut [Node], from: usize, tag: u8) -> Vec<Duration> {
    let shared = nodes[from].record(tag);
    let began = Instant::now();
    nodes[from].mesh.publish(shared.clone()).unwrap();
    let others = nodes.iter_mut().enumerate().filter(|(index, _)| *index != from);
    let arrivals = others.map(|(_, node)| arrives(node, &shared.signed));
    futures::future::join_all(arrivals).await.into_iter().map(|at| at - began).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_nodes_that_know_one_other_each_become_one_mesh() {
    let mut nodes = swarm(50, 1, true).await;
    until("neighbours for all", || nodes.iter().all(|node| node.mesh.members().len() >= ENOUGH)).await;
    for (tag, from) in [(1, 0), (2, 49)] {
        assert_eq!(publish(&mut nodes, from, tag).await.len(), 49, "it reaches all");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_nodes_without_kademlia_are_one_mesh_over_six_neighbours_each() {
    let mut nodes = swarm(100, 6, false).await;
    until("neighbours for all", || nodes.iter().all(|node| node.mesh.members().len() >= ENOUGH)).await;
    let connections: usize = nodes.iter().map(|node| node.mesh.members().len()).sum();
    assert!(connections <= 2 * 6 * 100, "they were told of six each: {connections}");
    for (tag, from) in [(1, 0), (2, 99)] {
        assert_eq!(publish(&mut nodes, from, tag).await.len(), 99, "it reaches all");
    }
}

/// Prints how long a record takes to all others, at sizes that are told of in `docs/scaling.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it alone"]
async fn measure_how_long_a_record_takes_to_all() {
    for count in [5, 20, 60] {
        let mut nodes = swarm(count, 1, true).await;
        until("everybody's neighbours", || nodes.iter().all(|node| node.mesh.members().len() == count - 1)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut last = Vec::new();
        for tag in 0..100 {
            let from = usize::from(tag) % count;
            last.extend(publish(&mut nodes, from, tag).await.into_iter().max());
        }
        print_times("ghmesh", count, last);
        drop(nodes);
        print_times("bare gossipsub", count, super::bare::measure(count).await);
    }
}

fn print_times(what: &str, count: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    println!("{what}, {count} nodes: until the last has it p50 {:?}, p99 {:?}", percentile(50), percentile(99));
}
