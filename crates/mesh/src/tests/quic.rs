//! QUIC beside TCP: the same mesh, dialled second.

use super::cluster::{Node, Setup, Wire, all_connected, eventually, ring, within};
use super::finding::free_port;
use super::strangers::only_members_join;
use crate::{Config, Identity, Source, StartError, Transport, start, transport};
use futures::StreamExt;
use ghmesh_model::BodyCid;
use ghmesh_model::limits::CHUNK_BYTES;
use ghmesh_model::wire::{Request, Response};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, ping};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_tcp_are_a_mesh_too() {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..4 {
        let known: Vec<String> = nodes.iter().map(Node::address).collect();
        nodes.push(Setup::new("secret").over(Wire::Quic).dialling(known).start().await);
    }
    all_connected(&nodes).await;
    assert!(nodes.iter().flat_map(|node| node.mesh.status().peers).all(|peer| peer.transport == Transport::Quic));
    let shared = nodes[2].record(1);
    nodes[2].mesh.publish(shared.clone()).unwrap();
    for index in [0, 1, 3] {
        assert_eq!(nodes[index].receives(&shared.signed).await.1, shared);
    }
    let (answerer, asker) = (nodes.remove(0), nodes.remove(0));
    let member = answerer.member();
    let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|_| rand::random()).collect();
    let answer = Response::Body { length: 1 << 20, bytes: chunk };
    let expected = answer.clone();
    let _answerer = answerer.answering(move |_| answer.clone());
    let request = Request::Body { cid: BodyCid([1; 32]), offset: 0 };
    assert_eq!(asker.mesh.ask(member, request, Duration::from_secs(5)).await, Ok(expected));
}

/// A node that listens on both, at the same port number.
async fn on_both() -> Node {
    let mut setup = Setup::new("secret");
    let socket = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    setup.listen = Wire::BOTH.map(|wire| wire.address(socket)).to_vec();
    setup.start().await
}

/// Its only peer, once it has one.
async fn reached_over(node: &Node) -> Transport {
    eventually("a member", || !node.mesh.members().is_empty()).await;
    node.mesh.status().peers[0].transport
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_both_are_there_tcp_is_taken_and_both_are_remembered() {
    for with_ids in [true, false] {
        let target = on_both().await;
        let addresses = target.mesh.status().listen_addrs;
        let bare = |address: &String| address.split("/p2p/").next().unwrap().to_owned();
        // QUIC first, so that the order says nothing.
        let known = addresses.iter().rev().map(|address| if with_ids { address.clone() } else { bare(address) });
        let node = Setup::new("secret").dialling(known).start().await;
        assert_eq!(reached_over(&node).await, Transport::Tcp);
        let told = || node.mesh.status().peers[0].addresses.clone();
        let expected: Vec<String> = addresses.iter().map(bare).collect();
        eventually("both addresses", || expected.iter().all(|address| told().contains(address))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tcp_is_refused_or_silent_quic_is_taken() {
    let target = Setup::new("secret").over(Wire::Quic).start().await;
    let id = target.identity.peer_id();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let tcp = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}");
        let node = Setup::new("secret").dialling([tcp, target.address()]).start().await;
        assert_eq!(reached_over(&node).await, Transport::Quic);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_leads_nowhere_tcp_is_taken() {
    let target = Setup::new("secret").start().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let quic = format!("{}/p2p/{}", Wire::Quic.address(silent.local_addr().unwrap()), target.identity.peer_id());
    let node = Setup::new("secret").dialling([quic, target.address()]).start().await;
    assert_eq!(reached_over(&node).await, Transport::Tcp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_dial_each_other_at_once_over_quic_keep_one_connection() {
    for _ in 0..10 {
        let sockets = [free_udp_port(), free_udp_port()].map(|port| format!("127.0.0.1:{port}").parse().unwrap());
        let setup = |own: usize| {
            let mut setup = Setup::new("secret").dialling([Wire::Quic.address(sockets[1 - own])]);
            setup.listen = vec![Wire::Quic.address(sockets[own])];
            setup
        };
        let (one, two) = tokio::join!(setup(0).start(), setup(1).start());
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

fn free_udp_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_lead_to_quic_too() {
    let first = Setup::new("secret").over(Wire::Quic).start().await;
    let name = format!("/dns4/localhost/udp/{}/quic-v1", first.socket().port());
    let second = Setup::new("secret").dialling([name]).start().await;
    second.connected_to([first.member()]).await;
}

#[tokio::test]
async fn a_udp_port_that_is_taken_is_told() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = Wire::Quic.address(taken.local_addr().unwrap());
    let config = Config { listen: vec![address.clone()], bootstrap: vec![], ..Config::default() };
    match start(config, Identity::ephemeral(), vec![ring("secret")], 1, vec![]).await {
        Err(StartError::Listen { address: told, .. }) => assert_eq!(told, address),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oneself_is_recognised_over_quic() {
    let socket = format!("127.0.0.1:{}", free_udp_port()).parse().unwrap();
    let mut setup = Setup::new("secret").dialling([Wire::Quic.address(socket)]);
    setup.listen = vec![Wire::Quic.address(socket)];
    let node = setup.start().await;
    let friend = Setup::new("secret").dialling([node.address()]).start().await;
    node.connected_to([friend.member()]).await;
    let status = node.mesh.status();
    assert!(status.sources.iter().all(|source| source.last_error.is_none()), "{:?}", status.sources);
    assert_eq!(status.counters.strangers, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_is_another_mesh_over_quic() {
    let node = Setup::new("secret").over(Wire::Quic).start().await;
    let other = Setup::new("another").over(Wire::Quic).dialling([node.address()]).start().await;
    eventually("the listener to refuse", || node.mesh.status().counters.strangers > 0).await;
    eventually("the dialer to notice", || other.mesh.status().counters.strangers > 0).await;
    let errors = other.mesh.status().sources.into_iter().filter(|source| source.source == Source::Static);
    assert!(errors.filter_map(|source| source.last_error).any(|(_, error)| error.contains("another mesh")));
    assert!(other.mesh.members().is_empty());
    only_members_join(node).await;
}

/// A libp2p node that speaks QUIC and has no gate.
fn plain() -> Swarm<ping::Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let config = libp2p::swarm::Config::with_tokio_executor();
    Swarm::new(transport::over_quic(&keypair), ping::Behaviour::default(), keypair.public().to_peer_id(), config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_libp2p_is_refused_over_quic() {
    let node = Setup::new("secret").over(Wire::Quic).start().await;
    let mut stranger = plain();
    stranger.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    within("the stranger to be thrown out", async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return,
                SwarmEvent::Behaviour(ping::Event { result: Ok(_), .. }) => panic!("a stranger was answered"),
                _ => {}
            }
        }
    })
    .await;
    eventually("a stranger to be counted", || node.mesh.status().counters.strangers == 1).await;
    only_members_join(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_leave_room_for_members_over_quic() {
    let node = Setup::new("secret").over(Wire::Quic).start().await;
    let address: Multiaddr = node.address().parse().unwrap();
    // Each shakes hands and then says nothing. More than are let into the antechamber at once.
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let address = address.clone();
        strangers.spawn(async move {
            loop {
                let mut stranger = plain();
                stranger.dial(address.clone()).unwrap();
                let ended = |event: &SwarmEvent<ping::Event>| {
                    matches!(event, SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. })
                };
                while !ended(&stranger.select_next_some().await) {}
            }
        });
    }
    eventually("strangers to be refused", || node.mesh.status().counters.strangers > 0).await;
    only_members_join(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_over_udp_disturbs_nobody() {
    let mut node = Setup::new("secret").over(Wire::Quic).start().await;
    let member = Setup::new("secret").over(Wire::Quic).dialling([node.address()]).start().await;
    node.connected_to([member.member()]).await;
    let target = node.socket();
    let flood = tokio::spawn(async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for number in 0u32.. {
            let _ = socket.send_to(&packet(number), target).await;
            if number % 64 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for tag in 0..100 {
        let shared = member.record(tag);
        member.mesh.publish(shared.clone()).unwrap();
        node.receives(&shared.signed).await;
    }
    flood.abort();
    assert_eq!(node.mesh.members(), [member.member()]);
    assert_eq!(node.mesh.status().peers[0].transport, Transport::Quic);
}

/// Noise; noise that begins as QUIC's Initial packets do; and packets of a version that nobody speaks.
fn packet(number: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..1200).map(|_| rand::random()).collect();
    let version: u32 = match number % 3 {
        0 => return bytes,
        1 => 1,
        _ => 0x0a0a_0a0a,
    };
    bytes[0] = 0xc3;
    bytes[1..5].copy_from_slice(&version.to_be_bytes());
    // Two connection ids of eight bytes, no token, and the rest's length.
    (bytes[5], bytes[14], bytes[23]) = (8, 8, 0);
    bytes[24..26].copy_from_slice(&(0x4000u16 | (1200 - 26)).to_be_bytes());
    bytes
}
