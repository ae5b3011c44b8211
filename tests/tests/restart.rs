//! Real daemons that are killed or put to sleep, over either transport.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use rustix::process::{Pid, Signal};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Kills of each.
const KILLS: usize = 5;
/// What a killed node may need on TCP and on QUIC, from when it listens again, until gossip of another reaches it.
const BOUNDS: [(&str, Duration); 2] = [("tcp", Duration::from_secs(1)), ("quic", Duration::from_secs(2))];
/// A machine under load may need a multiple.
const LEEWAY: u32 = 3;

fn issue(number: usize) -> String {
    format!("/repos/octo/hello/issues/{number}")
}

/// A node on a port of its own, and one that knows it, connected over `transport`.
async fn pair(github: &Sim, transport: &str) -> (Daemon, Daemon) {
    let ends = |port: u16| match transport {
        "tcp" => format!("/ip4/127.0.0.1/tcp/{port}"),
        _ => format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
    };
    let builder = || DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "1h");
    let one = builder().with("GHMESH_MESH__LISTEN", &ends(free_port())).start().await;
    let two = builder().with("GHMESH_MESH__LISTEN", &ends(0)).with("GHMESH_MESH__BOOTSTRAP", &one.address().await);
    let two = two.start().await;
    one.connected(1).await;
    two.connected(1).await;
    let peers = two.admin("/_ghmesh/peers").await.expect("peers are answered").json();
    assert!(peers.to_string().contains(&format!("\"transport\":\"{transport}\"")), "{peers}");
    (one, two)
}

/// Waits until everybody, and so `to`, has been told of what `from` fetches now.
async fn gossip(from: &Daemon, to: &Daemon, number: usize) {
    let before = to.count("records_gossiped").await;
    assert_eq!(from.get(&issue(number), tokens::ALICE).await.status, 200);
    eventually("gossip arrives", async || (to.count("records_gossiped").await > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_gossips_again_within_a_second_on_tcp_and_two_on_quic() {
    for (transport, bound) in BOUNDS {
        let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
        let (mut one, two) = pair(&github, transport).await;
        let mut took = Vec::new();
        for kill in 0..KILLS {
            let address = one.address().await;
            one = one.kill().await.start().await;
            assert_eq!(one.address().await, address, "the same port and the same identity");
            let listens = Instant::now();
            one.connected(1).await;
            gossip(&two, &one, 2 * kill + 1).await;
            gossip(&one, &two, 2 * kill + 2).await;
            took.push(listens.elapsed());
        }
        took.sort();
        println!("{transport}: gossip both ways after a kill: p50 {:?}, max {:?}", took[KILLS / 2], took[KILLS - 1]);
        assert!(took[KILLS / 2] < bound * LEEWAY, "{transport}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_gossips_again() {
    for (transport, bound) in BOUNDS {
        let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
        let (one, two) = pair(&github, transport).await;
        signal(&one, Signal::STOP);
        eventually("the other notices", async || (two.count("connected_peers").await == 0).then_some(())).await;
        signal(&one, Signal::CONT);
        let awake = Instant::now();
        two.connected(1).await;
        gossip(&two, &one, 1).await;
        gossip(&one, &two, 2).await;
        println!("{transport}: gossip both ways {:?} after waking", awake.elapsed());
        assert!(awake.elapsed() < 3 * bound * LEEWAY, "{transport}: {:?}", awake.elapsed());
    }
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// A port below those that the system gives to connections, so that it is still free after the kill; each time another.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 19_000).expect("it is small");
    let first = 10_000 + own + TAKEN.fetch_add(10, Ordering::Relaxed);
    let free = |port: &u16| {
        std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok()
    };
    (first..30_001).find(free).expect("a port is free")
}
