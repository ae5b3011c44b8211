//! A member that holds the secret and does as it likes.

use super::cluster::{Node, Setup, eventually, ring, within};
use crate::behaviour::{self, Behaviour, BehaviourEvent, topic};
use crate::connections::Connections;
use crate::gate::{Gate, Plea};
use crate::letters;
use crate::{AskError, Author, Event, Identity, InterfacePolicy, Offence, transport};
use futures::StreamExt;
use ghmesh_model::limits::MAX_GOSSIP_BYTES;
use ghmesh_model::wire::{Invalidated, Record, Request, Response, Shared};
use ghmesh_model::{BodyCid, MemberId, Scope};
use ghmesh_seal::{KeyRing, Purpose};
use libp2p::request_response::{self, Message};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A swarm with the gate and all behaviours, and none of this crate's manners.
fn hostile(identity: &Identity, ring: &KeyRing) -> Swarm<Behaviour> {
    let keypair = identity.keypair();
    let local = keypair.public().to_peer_id();
    let rings = crate::rings::Rings::new(vec![ring.clone()]).unwrap();
    let (pleas, mut asked) = mpsc::channel::<Plea>(8);
    tokio::spawn(async move {
        let mut connections = Connections::new(local);
        while let Some(plea) = asked.recv().await {
            let _ = plea.answer.send(Ok(connections.grant(plea.peer, Instant::now())));
        }
    });
    let gate = |transport| Gate { local, rings: rings.clone(), transport, pleas: pleas.clone() };
    let transport = transport::build(&keypair, gate).unwrap();
    let (behaviour, _) = behaviour::build(&keypair, &rings.held(), false, &InterfacePolicy::default());
    Swarm::new(transport, behaviour, local, libp2p::swarm::Config::with_tokio_executor())
}

async fn until(swarm: &mut Swarm<Behaviour>, what: &str, mut done: impl FnMut(SwarmEvent<BehaviourEvent>) -> bool) {
    within(what, async { while !done(swarm.select_next_some().await) {} }).await;
}

async fn subscribed(swarm: &mut Swarm<Behaviour>) {
    until(swarm, "a subscription", |event| {
        matches!(event, SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed { .. })))
    })
    .await;
}

/// Waits until the node is told that this member sends garbage.
async fn garbage_of(node: &mut Node, who: MemberId) {
    node.event(|event| match event {
        Event::Offended { member, offence } => {
            assert_eq!((member, offence), (who, Offence::Garbage));
            Some(())
        }
        _ => None,
    })
    .await;
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|_| rand::random()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_gossip_stops_at_the_first_member() {
    let mut node = Setup::new("secret").start().await;
    let mut witness = Setup::new("secret").dialling([node.address()]).start().await;
    let ring = ring("secret");
    let identity = Identity::ephemeral();
    let mut swarm = hostile(&identity, &ring);
    swarm.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    subscribed(&mut swarm).await;
    let garbage = [
        noise(0),
        noise(1),
        noise(1000),
        noise(MAX_GOSSIP_BYTES),
        noise(MAX_GOSSIP_BYTES + 1),
        noise(2 * MAX_GOSSIP_BYTES),
        ring.seal(Purpose::Gossip, rand::random(), b"nothing of ours"),
        ring.seal(Purpose::Gossip, rand::random(), &vec![0; 8 << 20]),
        ring.seal(Purpose::Request, rand::random(), b"another purpose"),
    ];
    let count = garbage.len() as u64;
    for bytes in garbage {
        swarm.behaviour_mut().gossip.publish(topic(&ring), bytes).unwrap();
    }
    let running = tokio::spawn(async move { while swarm.next().await.is_some() {} });
    eventually("every piece to be refused", || node.mesh.status().counters.gossip_refused == count).await;
    garbage_of(&mut node, identity.member()).await;
    let shared = node.record(1);
    node.mesh.publish(shared.clone()).unwrap();
    witness.receives(&shared.signed).await;
    assert_eq!(witness.mesh.status().counters.gossip_refused, 0, "nothing of it went on");
    let back = witness.record(2);
    witness.mesh.publish(back.clone()).unwrap();
    node.receives(&back.signed).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_for_an_answer_is_an_error_at_once() {
    let mut node = Setup::new("secret").start().await;
    let ring = ring("secret");
    let identity = Identity::ephemeral();
    let mut swarm = hostile(&identity, &ring);
    swarm.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    subscribed(&mut swarm).await;
    // Noise; a response to another request, well sealed; a request for a response.
    let other = letters::seal_response(&ring, [7; 16], Response::Ok).unwrap();
    let (_, request) = letters::seal_request(&ring, Request::Body { cid: BodyCid([1; 32]), offset: 0 }).unwrap();
    let mut answers = [noise(100), Vec::new(), other, request].into_iter();
    let running = tokio::spawn(async move {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(BehaviourEvent::Exchange(request_response::Event::Message {
                message: Message::Request { channel, .. },
                ..
            })) = event
            {
                // After the last the channel is dropped.
                answers.next().map(|bytes| swarm.behaviour_mut().exchange.send_response(channel, bytes));
            }
        }
    });
    let ask =
        || node.mesh.ask(identity.member(), Request::Body { cid: BodyCid([1; 32]), offset: 0 }, Duration::from_secs(5));
    let begun = Instant::now();
    for _ in 0..4 {
        assert_eq!(ask().await, Err(AskError::Unreadable));
    }
    assert_eq!(ask().await, Err(AskError::Closed));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    garbage_of(&mut node, identity.member()).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_for_a_question_is_dropped_and_so_are_too_many() {
    let mut node = Setup::new("secret").start().await;
    let ring = ring("secret");
    let identity = Identity::ephemeral();
    let mut swarm = hostile(&identity, &ring);
    let address: Multiaddr = node.address().parse().unwrap();
    let peer: PeerId = node.identity.peer_id().parse().unwrap();
    swarm.dial(address).unwrap();
    subscribed(&mut swarm).await;
    for bytes in [noise(100), Vec::new(), ring.seal(Purpose::Request, rand::random(), b"nothing of ours")] {
        swarm.behaviour_mut().exchange.send_request(&peer, bytes);
    }
    let mut failed = 0;
    until(&mut swarm, "three failures", |event| {
        let failure = matches!(
            event,
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(request_response::Event::OutboundFailure { .. }))
        );
        failed += u32::from(failure);
        failed == 3
    })
    .await;
    garbage_of(&mut node, identity.member()).await;
    // More than one member may ask at once; the owner answers none of them yet.
    for _ in 0..200 {
        let (_, sealed) = letters::seal_request(&ring, Request::Body { cid: BodyCid([1; 32]), offset: 0 }).unwrap();
        swarm.behaviour_mut().exchange.send_request(&peer, sealed);
    }
    let running = tokio::spawn(async move { while swarm.next().await.is_some() {} });
    eventually("some to be dropped", || node.mesh.status().counters.requests_dropped >= 100).await;
    let mut friend = Setup::new("secret").dialling([node.address()]).start().await;
    friend.event(|event| matches!(event, Event::Joined { .. }).then_some(())).await;
    let member = node.member();
    let asking = tokio::spawn(async move {
        let request = Request::Body { cid: BodyCid([2; 32]), offset: 9 };
        friend.mesh.ask(member, request, Duration::from_secs(5)).await
    });
    let replier = node.event(|event| match event {
        Event::Asked { request: Request::Body { offset: 9, .. }, replier, .. } => Some(replier),
        _ => None,
    });
    replier.await.reply(Response::Ok);
    assert_eq!(asking.await.unwrap(), Ok(Response::Ok), "another member is still answered");
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_much_gets_no_answer_and_is_told_of() {
    let mut node = Setup::new("secret").start().await;
    let ring = ring("secret");
    let identity = Identity::ephemeral();
    let mut swarm = hostile(&identity, &ring);
    let peer: PeerId = node.identity.peer_id().parse().unwrap();
    swarm.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    subscribed(&mut swarm).await;
    let author = Author::new(&identity, 1);
    let record = Record::Invalidated(Invalidated { scopes: vec![Scope([1; 16])] });
    let record = Shared { signed: author.sign(author.stamp(), &record), age_ms: 0, body: None };
    let delivery = Request::Deliver { records: vec![record; 100] };
    // Each as soon as the one before has an answer, or none.
    let flood = tokio::spawn(async move {
        loop {
            let (_, sealed) = letters::seal_request(&ring, delivery.clone()).unwrap();
            swarm.behaviour_mut().exchange.send_request(&peer, sealed);
            until(&mut swarm, "an end of the exchange", |event| {
                matches!(
                    event,
                    SwarmEvent::Behaviour(BehaviourEvent::Exchange(
                        request_response::Event::OutboundFailure { .. }
                            | request_response::Event::Message { message: Message::Response { .. }, .. }
                    ))
                )
            })
            .await;
        }
    });
    let mut answered = 0;
    node.event(|event| match event {
        Event::Asked { replier, .. } => {
            answered += 1;
            replier.reply(Response::Ok);
            None
        }
        Event::Offended { member, offence } => {
            assert_eq!((member, offence), (identity.member(), Offence::Flood));
            Some(())
        }
        _ => None,
    })
    .await;
    assert!(answered >= 81, "{answered} of the deliveries that are allowed in a row");
    flood.abort();
}

/// A member that does this a thousand times a second, until the node is told that it floods.
async fn floods(mut act: impl FnMut(&mut Swarm<Behaviour>, PeerId) + Send + 'static) {
    let mut node = Setup::new("secret").start().await;
    let identity = Identity::ephemeral();
    let mut swarm = hostile(&identity, &ring("secret"));
    let peer: PeerId = node.identity.peer_id().parse().unwrap();
    swarm.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    subscribed(&mut swarm).await;
    let flood = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => act(&mut swarm, peer),
                _ = swarm.next() => {}
            }
        }
    });
    let offender = node.event(|event| match event {
        Event::Offended { member, offence: Offence::Flood } => Some(member),
        _ => None,
    });
    assert_eq!(offender.await, identity.member());
    flood.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_by_gossipsub_is_told_of() {
    let topic = topic(&ring("another secret"));
    floods(move |swarm, _| {
        for _ in 0..10 {
            let _ = swarm.behaviour_mut().gossip.subscribe(&topic);
            let _ = swarm.behaviour_mut().gossip.unsubscribe(&topic);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_by_identify_is_told_of() {
    floods(|swarm, peer| swarm.behaviour_mut().identify.push([peer])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_by_kademlia_is_told_of() {
    floods(|swarm, peer| {
        // They are connected: no address is dialled.
        swarm.behaviour_mut().kademlia.add_address(&peer, Multiaddr::empty());
        swarm.behaviour_mut().kademlia.get_closest_peers(PeerId::random());
    })
    .await;
}
