//! Gossip: reaches all, once, and only what members sign.

use super::cluster::{Node, Setup, cluster, eventually, ring};
use crate::allowance::BURST;
use crate::behaviour::topic;
use crate::task::Command;
use crate::{Author, Event, Identity, Offence, letters};
use ghmesh_model::Scope;
use ghmesh_model::limits::{MAX_GOSSIP_BYTES, MAX_INLINE_BODY_BYTES};
use ghmesh_model::wire::{Invalidated, Record, Shared};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_reaches_every_member_once() {
    let mut nodes = cluster(5).await;
    let shared = nodes[2].record(1);
    nodes[2].mesh.publish(shared.clone()).unwrap();
    for index in [0, 1, 3, 4] {
        let (_, received) = nodes[index].receives(&shared.signed).await;
        assert_eq!(received, shared);
    }
    let next = nodes[2].record(2);
    nodes[2].mesh.publish(next.clone()).unwrap();
    for index in [0, 1, 3, 4] {
        let first = nodes[index].event(|event| match event {
            Event::Record { shared, .. } => Some(shared),
            _ => None,
        });
        assert_eq!(first.await, next, "the first came once only");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_right_after_joining_arrives() {
    for _ in 0..5 {
        let mut first = Setup::new("secret").start().await;
        let mut second = Setup::new("secret").dialling([first.address()]).start().await;
        second.event(|event| matches!(event, Event::Joined { .. }).then_some(())).await;
        let shared = second.record(1);
        second.mesh.publish(shared.clone()).unwrap();
        first.receives(&shared.signed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_loses_gossip_and_nothing_else() {
    let mut node = Setup::new("secret").start().await;
    for tag in 0..10 {
        node.mesh.publish(node.record(tag)).unwrap();
    }
    eventually("ten losses", || node.mesh.status().counters.gossip_lost == 10).await;
    let mut other = Setup::new("secret").dialling([node.address()]).start().await;
    other.event(|event| matches!(event, Event::Joined { .. }).then_some(())).await;
    let shared = other.record(1);
    other.mesh.publish(shared.clone()).unwrap();
    node.receives(&shared.signed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_travels_where_it_fits_and_is_left_out_where_it_does_not() {
    let mut nodes = cluster(2).await;
    let random: Vec<u8> = (0..MAX_INLINE_BODY_BYTES).map(|_| rand::random()).collect();
    let mut fits = nodes[0].record(1);
    fits.body = Some(random.clone());
    let mut does_not = nodes[0].record(2);
    does_not.body = Some([random.clone(), random].concat());
    assert!(does_not.body.as_ref().unwrap().len() > MAX_GOSSIP_BYTES);
    nodes[0].mesh.publish(fits.clone()).unwrap();
    nodes[0].mesh.publish(does_not.clone()).unwrap();
    assert_eq!(nodes[1].receives(&fits.signed).await.1, fits);
    assert_eq!(nodes[1].receives(&does_not.signed).await.1.body, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_large_records_arrives() {
    let mut nodes = cluster(2).await;
    let sent: Vec<_> = (0..60)
        .map(|tag| {
            let mut shared = nodes[0].record(tag);
            shared.body = Some((0..MAX_INLINE_BODY_BYTES).map(|_| rand::random()).collect());
            shared
        })
        .collect();
    sent.iter().for_each(|shared| nodes[0].mesh.publish(shared.clone()).unwrap());
    let mut received = 0;
    while received < sent.len() {
        nodes[1].event(|event| matches!(event, Event::Record { .. }).then_some(())).await;
        received += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_seen_is_refused_in_another_envelope() {
    let mut nodes = cluster(3).await;
    let shared = nodes[0].record(1);
    nodes[0].mesh.publish(shared.clone()).unwrap();
    nodes[1].receives(&shared.signed).await;
    nodes[2].receives(&shared.signed).await;
    // Another member seals the same record anew: gossipsub takes it for a new message.
    nodes[2].mesh.publish(shared.clone()).unwrap();
    let refused = |node: &Node| node.mesh.status().counters.gossip_replayed == 1;
    eventually("the replay to be refused", || refused(&nodes[1])).await;
    // Its own author refuses it too.
    eventually("the author to refuse its own", || refused(&nodes[0])).await;
    let fresh = nodes[2].record(2);
    nodes[2].mesh.publish(fresh.clone()).unwrap();
    let next = nodes[1].event(|event| match event {
        Event::Record { shared, .. } => Some(shared),
        _ => None,
    });
    assert_eq!(next.await, fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_record_goes_no_further() {
    let mut nodes = cluster(2).await;
    let mut forged = nodes[0].record(1);
    forged.signed.stamp.author = nodes[1].member();
    forged.signed.stamp.sequence = u64::MAX;
    nodes[0].mesh.publish(forged).unwrap();
    let mut tampered = nodes[0].record(2);
    tampered.signed.payload.push(0);
    nodes[0].mesh.publish(tampered).unwrap();
    eventually("two refusals", || nodes[1].mesh.status().counters.gossip_refused == 2).await;
    let genuine = nodes[0].record(3);
    nodes[0].mesh.publish(genuine.clone()).unwrap();
    nodes[1].receives(&genuine.signed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_does_not_listen_loses_records_but_no_members() {
    let mut nodes = cluster(4).await;
    // 1,024 events wait at most; one member's allowance would not fill that. What is lost on the way is followed by more.
    let mut publishers = tokio::task::JoinSet::new();
    for node in nodes.drain(1..) {
        publishers.spawn(async move {
            loop {
                publish(&node, &node.author).await;
            }
        });
    }
    eventually("no room for another event", || nodes[0].events.capacity() == 0).await;
    let another = Setup::new("secret").dialling([nodes[0].address()]).start().await;
    let member = another.member();
    let joined = nodes[0].event(|event| match event {
        Event::Joined { member: joined, .. } if joined == member => Some(()),
        _ => None,
    });
    joined.await;
}

/// Publishes a record at once, faster than a well-behaved node would.
async fn publish(through: &Node, author: &Author) {
    let record = Record::Invalidated(Invalidated { scopes: vec![Scope([1; 16])] });
    let shared = Shared { signed: author.sign(author.stamp(), &record), age_ms: 0, body: None };
    let ring = ring("secret");
    let sealed = letters::seal_gossip(&ring, shared).unwrap();
    through.mesh.commands().send(Command::Publish { topic: topic(&ring).hash(), sealed }).await.unwrap();
}

/// Who signs the records of a flood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    TheFlooder,
    SomebodyNewEachTime,
}

/// One member floods without end; a quiet one must be heard meanwhile.
async fn is_heard_beside_a_flood(signs: Signs) {
    let mut nodes = cluster(3).await;
    let (mut victim, quiet, flooder) = (nodes.remove(0), nodes.remove(0), nodes.remove(0));
    let flooding = flooder.member();
    let begun = Instant::now();
    let flood = tokio::spawn(async move {
        loop {
            let invented = Author::new(&Identity::ephemeral(), 1);
            let author = if signs == Signs::TheFlooder { &flooder.author } else { &invented };
            publish(&flooder, author).await;
        }
    });
    let (status, quiet_member) = (victim.mesh.clone(), quiet.member());
    // Whoever speaks beside a flood may be lost on the way, as any gossip: so it speaks again.
    let speaking = tokio::spawn(async move {
        eventually("the flood to be dropped", || status.status().counters.gossip_excess > 500).await;
        loop {
            quiet.mesh.publish(quiet.record(1)).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let (mut heard_of_flood, mut offenders) = (0, BTreeSet::new());
    victim
        .event(|event| match event {
            Event::Record { shared, .. } if shared.signed.stamp.author == quiet_member => Some(()),
            Event::Record { .. } => {
                heard_of_flood += 1;
                None
            }
            Event::Offended { member, offence } => {
                offenders.insert((member, offence));
                None
            }
            _ => None,
        })
        .await;
    flood.abort();
    speaking.abort();
    // Who only passes on what invented authors said is not to blame: it can't know them all.
    let expected = if signs == Signs::TheFlooder { vec![(flooding, Offence::Flood)] } else { vec![] };
    assert!(offenders.iter().eq(&expected), "{offenders:?}");
    // By the one that floods, and at most as much again by the one that forwards.
    let allowed = 2.0 * (f64::from(BURST) + 64.0 * begun.elapsed().as_secs_f64());
    assert!(f64::from(heard_of_flood) <= allowed + 2.0, "{heard_of_flood} of the flood, {allowed} are allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_is_held_back_and_the_others_are_heard() {
    is_heard_beside_a_flood(Signs::TheFlooder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_invents_authors_is_held_back_too() {
    is_heard_beside_a_flood(Signs::SomebodyNewEachTime).await;
}
