//! Who is expelled stays out for a while, and no longer.

use super::cluster::{Node, Setup, cluster, eventually};
use crate::Event;
use ghmesh_model::MemberId;
use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_secs(2);

async fn left(node: &mut Node, who: MemberId) {
    node.event(|event| match event {
        Event::Left { member } if member == who => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_expelled_comes_back_once_its_time_is_over_and_not_before() {
    // The second knows the first's address from its settings, and dials it again and again.
    let mut nodes = cluster(3).await;
    let expelled = nodes.remove(1);
    let (member, others) = (expelled.member(), [nodes[0].member(), nodes[1].member()]);
    let begun = Instant::now();
    nodes[0].mesh.expel(member, SPAN);
    left(&mut nodes[0], member).await;
    let says_why = || {
        let errors = expelled.mesh.status().sources.into_iter().filter_map(|source| source.last_error);
        errors.into_iter().any(|(_, error)| error.contains("keeps this node out for a while"))
    };
    eventually("the expelled to be told why", says_why).await;
    assert_eq!(expelled.mesh.members(), [others[1]], "who did not expel it keeps it");
    nodes[0]
        .event(|event| match event {
            Event::Joined { member: joined, .. } => {
                assert_eq!(joined, member);
                Some(())
            }
            _ => None,
        })
        .await;
    assert!(begun.elapsed() >= SPAN, "back after {:?}", begun.elapsed());
    expelled.connected_to(others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_expelled_a_member_does_not_dial_it_until_it_is_let_back() {
    let target = Setup::new("secret").start().await;
    let mut node = Setup::new("secret").dialling([target.address()]).start().await;
    node.connected_to([target.member()]).await;
    node.mesh.expel(target.member(), Duration::from_hours(1));
    left(&mut node, target.member()).await;
    // The third tells each of the other; the target stays out nevertheless.
    let third = Setup::new("secret").dialling([target.address(), node.address()]).start().await;
    third.connected_to([target.member(), node.member()]).await;
    assert_eq!(node.mesh.members(), [third.member()]);
    assert!(!target.mesh.members().contains(&node.member()));
    node.mesh.expel(target.member(), Duration::ZERO);
    node.connected_to([target.member(), third.member()]).await;
}
