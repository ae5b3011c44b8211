//! Secrets that change while nodes run.

use super::cluster::{Node, Setup, all_connected, cluster, eventually, ring};
use crate::rings::RETIREMENT;
use crate::{AskError, Mesh};
use ghmesh_model::wire::{Request, Response};
use ghmesh_model::{BodyCid, MemberId};
use ghmesh_seal::KeyRing;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(5);

fn rings(secrets: &[&str]) -> Vec<KeyRing> {
    secrets.iter().map(|secret| ring(secret)).collect()
}

fn since(mesh: &Mesh) -> Vec<(MemberId, Instant)> {
    mesh.status().peers.iter().map(|peer| (peer.member, peer.connected_at)).collect()
}

/// Every node's record reaches every other.
async fn all_share(nodes: &mut [Node], tag: u8) {
    for author in 0..nodes.len() {
        let shared = nodes[author].record(tag);
        nodes[author].mesh.publish(shared.clone()).unwrap();
        for node in nodes.iter_mut().enumerate().filter(|(index, _)| *index != author).map(|(_, node)| node) {
            node.receives(&shared.signed).await;
        }
    }
}

fn leads(mesh: &Mesh, secret: &str) -> bool {
    mesh.rings()[0].label() == ring(secret).label()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_16_secrets_roll_in_three_steps_and_no_connection_and_no_record_is_lost() {
    let mut nodes = cluster(3).await;
    let before: Vec<_> = nodes.iter().map(|node| since(&node.mesh)).collect();
    let mut tag = 0;
    for step in [&["secret", "next"][..], &["next", "secret"], &["next"]] {
        for index in 0..nodes.len() {
            nodes[index].mesh.change_rings(rings(step), false).await;
            tag += 1;
            all_share(&mut nodes, tag).await;
        }
        for node in &nodes {
            let mesh = &node.mesh;
            eventually("all share under one secret", || {
                nodes.iter().all(|other| other.mesh.rings()[0].label() == mesh.rings()[0].label())
            })
            .await;
        }
    }
    assert!(nodes.iter().all(|node| leads(&node.mesh, "next")));
    // Who has not proved that it holds the next secret would be closed now.
    tokio::time::sleep(RETIREMENT + Duration::from_secs(1)).await;
    let after: Vec<_> = nodes.iter().map(|node| since(&node.mesh)).collect();
    assert_eq!(before, after, "the same connections");
    all_share(&mut nodes, tag + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_16_who_holds_a_dropped_secret_only_is_out_and_stays_out() {
    let mut nodes = cluster(3).await;
    let late = nodes.pop().unwrap();
    for step in [&["secret", "next"][..], &["next", "secret"], &["next"]] {
        for node in &nodes {
            node.mesh.change_rings(rings(step), false).await;
        }
    }
    late.connected_to([]).await;
    all_connected(&nodes).await;
    let strangers = |node: &Node| node.mesh.status().counters.strangers;
    eventually("it tries again, and is refused", || strangers(&late) + strangers(&nodes[0]) > 0).await;
    assert_eq!(late.mesh.members(), []);
    late.mesh.change_rings(rings(&["next"]), false).await;
    nodes.push(late);
    all_connected(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_16_a_cut_closes_everything_at_once_and_reads_nothing_under_the_leaked_secret() {
    let nodes = cluster(3).await;
    let [one, other, late] = <[Node; 3]>::try_from(nodes).ok().unwrap();
    let before = (since(&one.mesh), other.member());
    one.mesh.change_rings(rings(&["next"]), true).await;
    one.connected_to([]).await;
    let request = Request::Body { cid: BodyCid([1; 32]), offset: 0 };
    let asked = other.mesh.ask(one.member(), request, DEADLINE).await;
    assert!(matches!(asked, Err(AskError::NotConnected | AskError::Closed)), "{asked:?}");
    other.mesh.change_rings(rings(&["next"]), true).await;
    one.connected_to([other.member()]).await;
    other.connected_to([one.member()]).await;
    late.connected_to([]).await;
    let now = since(&one.mesh);
    assert!(now.iter().all(|(_, at)| before.0.iter().all(|(_, earlier)| at > earlier)), "another connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_under_a_dropped_secret_is_still_read() {
    let first = Setup::new("secret");
    let first = first.start().await;
    let mut second = Setup::new("secret").dialling([first.address()]);
    second.rings = rings(&["secret", "next"]);
    let second = second.start().await;
    second.connected_to([first.member()]).await;
    let (member, asker) = (second.member(), first.mesh.clone());
    let dropping = second.mesh.clone();
    let _answering = second.answering(|_| Response::Ok);
    dropping.change_rings(rings(&["next"]), false).await;
    let request = Request::Body { cid: BodyCid([1; 32]), offset: 0 };
    assert_eq!(asker.ask(member, request, DEADLINE).await, Ok(Response::Ok));
}
