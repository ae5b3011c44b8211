//! Who does not hold the secret never becomes a connection, and keeps no member out.

use super::cluster::{Node, PATIENCE, Setup, Wire, eventually, within};
use crate::antechamber::PLACES;
use crate::{Event, OtherKind, Source, transport};
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, ping};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A libp2p node without a gate.
fn plain() -> Swarm<ping::Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let transport = transport::over_tcp(&keypair).unwrap();
    let config = libp2p::swarm::Config::with_tokio_executor();
    Swarm::new(transport, ping::Behaviour::default(), keypair.public().to_peer_id(), config)
}

async fn listening(swarm: &mut Swarm<ping::Behaviour>) -> String {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address.to_string();
        }
    }
}

/// A member can still join, and nobody else ever did.
pub(super) async fn only_members_join(mut node: Node) {
    let member = Setup::new("secret").dialling([node.address()]).start().await;
    let joined = node.event(|event| match event {
        Event::Joined { member, .. } => Some(member),
        _ => None,
    });
    assert_eq!(joined.await, member.member(), "the first to join is the member");
    assert_eq!(node.mesh.members(), [member.member()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_is_another_mesh_whoever_dials() {
    let node = Setup::new("secret").start().await;
    let other = Setup::new("another").dialling([node.address()]).start().await;
    eventually("the listener to refuse", || node.mesh.status().counters.strangers > 0).await;
    eventually("the dialer to notice", || other.mesh.status().counters.strangers > 0).await;
    let third = Setup::new("secret").dialling([other.bare_address()]).start().await;
    eventually("a member to be refused elsewhere", || third.mesh.status().counters.strangers > 0).await;
    let status = third.mesh.status();
    let error = status.sources.iter().find_map(|source| source.last_error.clone()).unwrap().1;
    assert!(error.contains("another mesh"), "{error}");
    let met = |node: &Node, whom: &Node| {
        let id = whom.identity.peer_id();
        node.mesh.status().others.into_iter().find(|met| met.peer_id == id).unwrap()
    };
    for (who, whom) in [(&other, &node), (&third, &other)] {
        let met = met(who, whom);
        assert_eq!((met.address, met.kind, met.source), (whom.bare_address(), OtherKind::OtherMesh, Source::Static));
    }
    assert_eq!((met(&node, &other).kind, met(&node, &other).source), (OtherKind::OtherMesh, Source::Inbound));
    assert!(other.mesh.members().is_empty() && third.mesh.members().is_empty());
    only_members_join(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_libp2p_is_refused_when_it_dials() {
    let node = Setup::new("secret").start().await;
    let mut stranger = plain();
    let address: Multiaddr = node.address().parse().unwrap();
    stranger.dial(address).unwrap();
    // Without a gate the stranger believes in the connection, until it is closed.
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
async fn a_program_of_libp2p_is_refused_when_it_is_dialled() {
    let mut stranger = plain();
    let address = listening(&mut stranger).await;
    let running = tokio::spawn(async move { while stranger.next().await.is_some() {} });
    let node = Setup::new("secret").dialling([address]).start().await;
    eventually("a stranger to be counted", || node.mesh.status().counters.strangers > 0).await;
    only_members_join(node).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused() {
    let node = Setup::new("secret").start().await;
    let garbage: Vec<u8> = (0..100_000).map(|_| rand::random()).collect();
    for bytes in
        [&garbage[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x13/multistream/1.0.0\n\x07/noise\n\0\0\0\0", b""]
    {
        let mut stream = TcpStream::connect(node.socket()).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    }
    only_members_join(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_leave_room_for_members() {
    let node = Setup::new("secret").start().await;
    // From two addresses of loopback, silent connections: more from each than are allowed in all.
    let mut silent = Vec::new();
    for source in ["127.0.0.2:0", "127.0.0.3:0"] {
        for _ in 0..PLACES + 8 {
            let stream = tokio::net::TcpSocket::new_v4().unwrap();
            stream.bind(source.parse().unwrap()).unwrap();
            silent.push(stream.connect(node.socket()).await.unwrap());
        }
    }
    let begun = std::time::Instant::now();
    only_members_join(node).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "members waited {:?} for strangers", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_dialled_beside_addresses_that_never_answer() {
    let mut dead = Vec::new();
    for _ in 0..9 {
        dead.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses = dead.iter().map(|listener| format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()));
    let member = Setup::new("secret").start().await;
    let addresses: Vec<String> = addresses.chain([member.address()]).collect();
    let begun = std::time::Instant::now();
    let node = Setup::new("secret").dialling(addresses).start().await;
    node.connected_to([member.member()]).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// How long twenty records take, one after the other, each as soon as the one before has arrived.
async fn twenty_records(from: &Node, to: &mut Node) -> Duration {
    let begun = Instant::now();
    for tag in 0..20 {
        let shared = from.record(tag);
        from.mesh.publish(shared.clone()).unwrap();
        to.receives(&shared.signed).await;
    }
    begun.elapsed()
}

/// Connections that come and go, say nothing or something else, over both transports: thousands.
async fn knock(tcp: SocketAddr, quic: SocketAddr, knocks: Arc<AtomicUsize>) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut silent = VecDeque::new();
    loop {
        let Ok(mut stream) = TcpStream::connect(tcp).await else { continue };
        if rand::random() {
            let _ = stream.write_all(b"\x13/multistream/1.0.0\n\x07/noise\n").await;
        }
        silent.push_back(stream);
        // No more than a process may have open.
        if silent.len() > 100 {
            silent.pop_front();
        }
        let noise: Vec<u8> = (0..1200).map(|_| rand::random()).collect();
        let _ = udp.send_to(&noise, quic).await;
        knocks.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_keeps_its_pace_beside_strangers() {
    let mut setup = Setup::new("secret");
    setup.listen = Wire::BOTH.map(|wire| wire.address("127.0.0.1:0".parse().unwrap())).to_vec();
    let mut node = setup.start().await;
    let sockets = node.mesh.status().listen_addrs.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>();
    let sockets: Vec<SocketAddr> =
        sockets.iter().map(|address| crate::precedence::socket(address).unwrap().into()).collect();
    let over_tcp = Setup::new("secret").dialling([node.address()]).start().await;
    let over_quic = Setup::new("secret").dialling([Wire::Quic.address(sockets[1])]).start().await;
    let members = [over_tcp.member(), over_quic.member()];
    node.connected_to(members).await;
    let mut alone = Vec::new();
    for _ in 0..5 {
        alone.push([twenty_records(&over_tcp, &mut node).await, twenty_records(&over_quic, &mut node).await]);
    }
    let knocks = Arc::new(AtomicUsize::new(0));
    let mut strangers = tokio::task::JoinSet::new();
    (0..4).for_each(|_| drop(strangers.spawn(knock(sockets[0], sockets[1], knocks.clone()))));
    let mut beside = Vec::new();
    while knocks.load(Ordering::Relaxed) < 2000 {
        // Slowly, so that the pace that a member keeps by itself is not what is measured.
        tokio::time::sleep(Duration::from_millis(500)).await;
        beside.push([twenty_records(&over_tcp, &mut node).await, twenty_records(&over_quic, &mut node).await]);
    }
    strangers.abort_all();
    for wire in [0, 1] {
        let median = |rounds: &[[Duration; 2]]| {
            let mut took: Vec<Duration> = rounds.iter().map(|round| round[wire]).collect();
            took.sort();
            took[took.len() / 2]
        };
        let (alone, beside) = (median(&alone), median(&beside));
        println!("{:?}: twenty records in {alone:?} alone, in {beside:?} beside strangers", Wire::BOTH[wire]);
        // The strangers' own work is done by the same two cores.
        assert!(beside < alone.max(Duration::from_millis(20)) * 10, "{alone:?} alone, {beside:?} beside strangers");
    }
    let mut members = members;
    members.sort();
    assert_eq!(node.mesh.members(), members, "nobody was lost, and nobody else came");
}
