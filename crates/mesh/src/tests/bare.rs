//! Gossipsub alone, over the same transport with the same parameters: what a mesh is measured against.

use super::memory;
use crate::{behaviour, transport};
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, gossipsub};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Bytes of a message: as those that `many` publishes have, sealed.
const BYTES: usize = 300;
/// Neighbours that each sends whole messages to before anything is measured, where there are as many.
const LEAST: usize = 4;

/// One swarm, driven by a task.
struct Bare {
    address: Multiaddr,
    publish: mpsc::Sender<Vec<u8>>,
    dial: mpsc::Sender<Multiaddr>,
    arrivals: mpsc::Receiver<Instant>,
    /// How many it sends whole messages to.
    neighbours: watch::Receiver<usize>,
}

fn topic() -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new("bare")
}

async fn start() -> Bare {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let config = behaviour::gossip_config().build().unwrap();
    let mut gossip: gossipsub::Behaviour =
        gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).unwrap();
    gossip.subscribe(&topic()).unwrap();
    let idle = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    let mut swarm = Swarm::new(transport::over_tcp(&keypair).unwrap(), gossip, peer, idle);
    swarm.listen_on(memory::LISTEN.parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let (publish, to_publish) = mpsc::channel(16);
    let (dial, to_dial) = mpsc::channel(128);
    let (arrived, arrivals) = mpsc::channel(1024);
    let (grown, neighbours) = watch::channel(0);
    tokio::spawn(drive(swarm, to_publish, to_dial, arrived, grown));
    Bare { address, publish, dial, arrivals, neighbours }
}

async fn drive(
    mut swarm: Swarm<gossipsub::Behaviour>,
    mut to_publish: mpsc::Receiver<Vec<u8>>,
    mut to_dial: mpsc::Receiver<Multiaddr>,
    arrived: mpsc::Sender<Instant>,
    grown: watch::Sender<usize>,
) {
    let mut heartbeat = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = heartbeat.tick() => drop(grown.send(swarm.behaviour().all_mesh_peers().count())),
            event = swarm.select_next_some() => if let SwarmEvent::Behaviour(gossipsub::Event::Message {
                propagation_source, message_id, ..
            }) = event {
                let accept = gossipsub::MessageAcceptance::Accept;
                swarm.behaviour_mut().report_message_validation_result(&message_id, &propagation_source, accept);
                let _ = arrived.try_send(Instant::now());
            },
            Some(message) = to_publish.recv() => drop(swarm.behaviour_mut().publish(topic(), message)),
            address = to_dial.recv() => match address {
                Some(address) => drop(swarm.dial(address)),
                None => return,
            },
        }
    }
}

/// The time until the last of `count` has each of a hundred messages.
pub(super) async fn measure(count: usize) -> Vec<Duration> {
    let mut swarms: Vec<Bare> = Vec::new();
    for _ in 0..count {
        let new = start().await;
        for other in &swarms {
            new.dial.send(other.address.clone()).await.unwrap();
        }
        swarms.push(new);
    }
    for swarm in &mut swarms {
        swarm.neighbours.wait_for(|neighbours| *neighbours >= LEAST.min(count - 1)).await.unwrap();
    }
    let mut last = Vec::new();
    for number in 0..100_u8 {
        let from = usize::from(number) % count;
        let began = Instant::now();
        swarms[from].publish.send(vec![number; BYTES]).await.unwrap();
        let mut latest = began;
        for (_, other) in swarms.iter_mut().enumerate().filter(|(index, _)| *index != from) {
            let arrival = tokio::time::timeout(Duration::from_secs(30), other.arrivals.recv());
            latest = latest.max(arrival.await.expect("it arrives").unwrap());
        }
        last.push(latest - began);
    }
    last
}
