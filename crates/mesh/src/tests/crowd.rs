//! Many nodes at once: they all get in, hold together, and grow together again after they were apart.

use super::cluster::{Node, Setup, eventually};
use super::cut;
use crate::growth::Growth;
use crate::task::Command;
use futures::future::join_all;
use ghmesh_model::MemberId;
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Dials of one node that may lead nowhere while a hundred start at once, on a machine that has a sixth of a core for them. Where all
/// dial all three at once it is more than fifty, and the mesh falls apart again.
const MAX_FAILED: u64 = 30;
/// It takes seconds on an idle machine.
const MAX_WAIT: Duration = Duration::from_secs(90);

async fn crowd(count: usize, growth: &Growth) -> Vec<Node> {
    let setup = || {
        let mut setup = Setup::new("secret");
        setup.tuning.growth = growth.clone();
        setup
    };
    let mut nodes = join_all((0..3).map(|_| setup().start())).await;
    let seeds: Vec<String> = nodes.iter().map(Node::bare_address).collect();
    nodes.extend(join_all((3..count).map(|_| setup().dialling(seeds.clone()).start())).await);
    nodes
}

/// The members that can be reached from the first, from one to the next.
fn component(nodes: &[Node]) -> BTreeSet<MemberId> {
    let neighbours: BTreeMap<MemberId, Vec<MemberId>> =
        nodes.iter().map(|node| (node.member(), node.mesh.members())).collect();
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![nodes[0].member()]);
    while let Some(member) = waiting.pop() {
        if reached.insert(member) {
            waiting.extend(neighbours.get(&member).into_iter().flatten());
        }
    }
    reached
}

fn degrees(nodes: &[Node]) -> Vec<usize> {
    let mut degrees: Vec<usize> = nodes.iter().map(|node| node.mesh.members().len()).collect();
    degrees.sort_unstable();
    degrees
}

/// Waits until every node has at least `least` neighbours and can reach every other by way of them.
async fn one_mesh(nodes: &[Node], least: usize) {
    let begun = Instant::now();
    while degrees(nodes)[0] < least || component(nodes).len() < nodes.len() {
        let failed: Vec<u64> = nodes.iter().map(|node| node.mesh.status().counters.dials_failed).collect();
        let (degrees, reached) = (degrees(nodes), component(nodes).len());
        assert!(begun.elapsed() < MAX_WAIT, "{reached} of {}, degrees {degrees:?}, failed {failed:?}", nodes.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "thirty nodes in one process want both cores of a machine for themselves"]
async fn nodes_that_start_at_once_all_get_in_by_the_same_three() {
    all_get_in(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a hundred nodes in one process want both cores of a machine for themselves"]
async fn a_hundred_nodes_that_start_at_once_all_get_in_by_the_same_three() {
    all_get_in(100).await;
}

async fn all_get_in(count: usize) {
    let begun = Instant::now();
    let nodes = crowd(count, &Growth::to(8, 128)).await;
    one_mesh(&nodes, 1).await;
    let failed: Vec<u64> = nodes.iter().map(|node| node.mesh.status().counters.dials_failed).collect();
    let most = failed.iter().max().copied().unwrap_or_default();
    println!("one mesh after {:?}, degrees {:?}, most failures {most}", begun.elapsed(), degrees(&nodes));
    one_mesh(&nodes, 5).await;
    println!("five neighbours after {:?}, degrees {:?}", begun.elapsed(), degrees(&nodes));
    assert!(most <= MAX_FAILED, "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_have_too_many_let_some_go_and_the_mesh_stays_one() {
    let ceiling = 12;
    let nodes = crowd(30, &Growth::to(6, ceiling)).await;
    one_mesh(&nodes, 3).await;
    let bounded = || degrees(&nodes).last().is_some_and(|most| *most <= ceiling);
    eventually("all to be within their bounds", bounded).await;
    one_mesh(&nodes, 3).await;
}

/// Cuts the two groups off from each other, or no more.
async fn cut(one: &[Node], other: &[Node], is_cut: bool) {
    for (from, to) in [(one, other), (other, one)] {
        let ports = || to.iter().filter_map(|node| cut::port(&node.bare_address().parse().unwrap())).collect();
        let peers: Vec<PeerId> = to.iter().map(|node| node.identity.peer_id().parse().unwrap()).collect();
        for node in from {
            let ports = if is_cut { ports() } else { BTreeSet::new() };
            cut::cut_off(node.identity.peer_id().parse().unwrap(), ports);
            if is_cut {
                node.mesh.commands().send(Command::Disconnect(peers.clone())).await.unwrap();
            }
        }
    }
}

/// Tells every node where every other is, as each one's presence does that all hear by gossip. A node that joined by the three alone
/// knows these and a few more, and all of them may be on the far side of a cut.
fn introduce(nodes: &[Node]) {
    for node in nodes {
        nodes.iter().for_each(|other| node.mesh.suggest(other.member(), vec![other.address()]));
    }
}

/// Lets them together again after `failing` dials went wrong.
async fn split_and_merge(mut nodes: Vec<Node>, least: usize, failing: u64) {
    one_mesh(&nodes, least).await;
    introduce(&nodes);
    let other = nodes.split_off(nodes.len() / 2);
    let (one, size) = (nodes, other.len());
    cut(&one, &other, true).await;
    let apart = || component(&one).len() == one.len() && component(&other).len() == size;
    eventually("two meshes", apart).await;
    // Those that lack neighbours go on trying, and the pauses between dials grow.
    let failed = || one.iter().chain(&other).map(|node| node.mesh.status().counters.dials_failed).sum::<u64>();
    let before = failed();
    eventually("dials fail", || failed() >= before + failing).await;
    assert!(apart());
    cut(&one, &other, false).await;
    let healed = Instant::now();
    let all: Vec<Node> = one.into_iter().chain(other).collect();
    one_mesh(&all, 3).await;
    println!("one mesh again after {:?}", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_halves_that_know_all_of_each_other_merge() {
    split_and_merge(crowd(10, &Growth::default()).await, 9, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_halves_each_large_enough_for_itself_merge() {
    split_and_merge(crowd(24, &Growth::to(5, 10)).await, 5, 5).await;
}
