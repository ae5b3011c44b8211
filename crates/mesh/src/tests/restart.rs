//! A member that is killed, loses its power, or sleeps, is heard and hears soon after it is back: on both transports.
//!
//! The member is a process of its own, this test program once more, so that it can be killed as `kill -9` does.

use super::cluster::{Node, Setup, Wire, within};
use super::finding::free_port;
use super::resilience::{gossip_arrives, leaves};
use crate::{Event, Identity, Transport};
use ghmesh_model::MemberId;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UdpSocket;
use tokio::process::{Child, ChildStdout, Command};

/// Between two records of each side while they wait for each other: a little longer than the pace that a node keeps.
const BEAT: Duration = Duration::from_millis(25);
/// Set for the process that is a member.
const ROLE: &str = "GHMESH_TEST_MEMBER";
/// How many restarts [`measured`] makes of each kind.
const RESTARTS: &str = "GHMESH_TEST_RESTARTS";

impl Wire {
    /// Gossip flows both ways again within this, once a killed member listens again.
    fn bound(self) -> Duration {
        match self {
            Wire::Tcp => Duration::from_secs(1),
            Wire::Quic => Duration::from_secs(2),
        }
    }

    fn transport(self) -> Transport {
        match self {
            Wire::Tcp => Transport::Tcp,
            Wire::Quic => Transport::Quic,
        }
    }
}

/// The process: a node that speaks without end, and prints when it listens and when it first hears somebody.
#[tokio::test]
async fn member_process() {
    let Ok(arguments) = std::env::var(ROLE) else { return };
    let [directory, boot, listen, bootstrap] = arguments.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let mut setup = Setup::new("secret");
    setup.identity = Identity::load_or_create(Path::new(directory)).unwrap();
    setup.boot = boot.parse().unwrap();
    setup.listen = vec![listen.to_owned()];
    setup.bootstrap = Some(bootstrap.to_owned()).into_iter().filter(|address| !address.is_empty()).collect();
    let mut node = setup.start().await;
    println!("\nlistens");
    let mut heard = false;
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => drop(node.mesh.publish(node.record(1))),
            event = node.events.recv() => match event {
                None => return,
                Some(Event::Record { .. }) if !heard => {
                    heard = true;
                    println!("\nhears");
                }
                Some(_) => {}
            },
        }
    }
}

/// A member in a process of its own. Killed when dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(directory: &Path, boot: u64, listen: &str, bootstrap: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["tests::restart::member_process", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, format!("{} {boot} {listen} {bootstrap}", directory.display()));
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    async fn says(&mut self, word: &str) {
        within(word, async { while self.lines.next_line().await.unwrap().expect("it runs").trim() != word {} }).await;
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Speaks until the process has heard it, and waits for a record of its start `boot`.
async fn both_ways(node: &mut Node, process: &mut Process, member: MemberId, boot: u64) {
    within("gossip both ways", async {
        let (mut hears, mut is_heard) = (false, false);
        let mut beat = tokio::time::interval(BEAT);
        while !(hears && is_heard) {
            tokio::select! {
                _ = beat.tick() => drop(node.mesh.publish(node.record(1))),
                () = process.says("hears"), if !is_heard => is_heard = true,
                event = node.events.recv() => if let Some(Event::Record { shared, .. }) = event {
                    let stamp = &shared.signed.stamp;
                    hears |= stamp.author == member && stamp.boot == boot;
                },
            }
        }
    })
    .await;
}

/// Who dials whom after the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dials {
    TheRestarted,
    TheOther,
}

/// Kills a member `count` times; after how long, counted from when it listens again, gossip flowed both ways.
async fn killed(wire: Wire, dials: Dials, count: u64) -> Vec<Duration> {
    let directory = tempfile::tempdir().unwrap();
    let member = Identity::load_or_create(directory.path()).unwrap().member();
    let listen = wire.address(format!("127.0.0.1:{}", free_port()).parse().unwrap());
    let setup = Setup::new("secret").over(wire);
    let mut node = match dials {
        Dials::TheRestarted => setup,
        Dials::TheOther => setup.dialling([listen.clone()]),
    }
    .start()
    .await;
    let bootstrap = if dials == Dials::TheRestarted { node.address() } else { String::new() };
    let mut took = Vec::new();
    let mut process = Process::start(directory.path(), 1, &listen, &bootstrap);
    both_ways(&mut node, &mut process, member, 1).await;
    assert_eq!(node.mesh.status().peers[0].transport, wire.transport());
    for boot in 2..count + 2 {
        process.kill().await;
        process = Process::start(directory.path(), boot, &listen, &bootstrap);
        process.says("listens").await;
        let listens = Instant::now();
        both_ways(&mut node, &mut process, member, boot).await;
        took.push(listens.elapsed());
    }
    took.sort();
    took
}

/// A quick look at each: for the median, and thrice the bounds, since a machine under load may be slow. Over QUIC its round trips
/// grow, and silence is borne for three times what a repeat takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_member_gossips_again_soon_on_both_transports() {
    for wire in Wire::BOTH {
        for dials in [Dials::TheRestarted, Dials::TheOther] {
            let took = killed(wire, dials, 3).await;
            assert!(took[1] < 3 * wire.bound(), "{wire:?}, dials {dials:?}: {took:?}");
        }
    }
}

/// The bounds themselves, on a machine that has nothing else to do:
/// `GHMESH_TEST_RESTARTS=25 cargo test -p ghmesh-mesh --lib restart::measured -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, for a minute"]
async fn measured() {
    let count = std::env::var(RESTARTS).map_or(20, |count| count.parse().unwrap());
    for wire in Wire::BOTH {
        for dials in [Dials::TheRestarted, Dials::TheOther] {
            let took = killed(wire, dials, count).await;
            let (p50, max) = (took[took.len() / 2], took[took.len() - 1]);
            println!("{wire:?}, dials {dials:?}: {count} restarts, p50 {p50:?}, max {max:?}");
            assert!(max < wire.bound(), "{took:?}");
        }
    }
}

/// Stopped for longer than silence is borne, and then let go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_slept_is_back_soon() {
    let mut sleepers = tokio::task::JoinSet::new();
    for wire in Wire::BOTH {
        sleepers.spawn(async move {
            let directory = tempfile::tempdir().unwrap();
            let member = Identity::load_or_create(directory.path()).unwrap().member();
            let mut node = Setup::new("secret").over(wire).start().await;
            let listen = wire.address("127.0.0.1:0".parse().unwrap());
            let mut process = Process::start(directory.path(), 1, &listen, &node.address());
            both_ways(&mut node, &mut process, member, 1).await;
            process.signal("-STOP");
            leaves(&mut node, member).await;
            process.signal("-CONT");
            let awake = Instant::now();
            node.connected_to([member]).await;
            let record = node.event(|event| match event {
                Event::Record { shared, .. } => (shared.signed.stamp.author == member).then_some(()),
                _ => None,
            });
            record.await;
            let took = awake.elapsed();
            println!("{wire:?}: gossip {took:?} after waking");
            assert!(took < 3 * wire.bound(), "{wire:?}: {took:?}");
        });
    }
    while let Some(outcome) = sleepers.join_next().await {
        outcome.unwrap();
    }
}

/// Forwards datagrams between one client and a target, until it falls silent: from then on it swallows everything.
struct UdpRelay {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl UdpRelay {
    async fn to(target: SocketAddr) -> Self {
        let inner = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let outer = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        outer.connect(target).await.unwrap();
        let (address, silent) = (inner.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let (client, flag) = (Arc::new(tokio::sync::OnceCell::<SocketAddr>::new()), silent.clone());
        let (known, there, back, back_flag) = (client.clone(), outer.clone(), inner.clone(), silent.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; 65536];
            while let Ok((length, from)) = inner.recv_from(&mut buffer).await {
                let _ = client.set(from);
                if !flag.load(Ordering::SeqCst) {
                    let _ = outer.send(&buffer[..length]).await;
                }
            }
        });
        tokio::spawn(async move {
            let mut buffer = vec![0; 65536];
            loop {
                // An error says that the target refuses; the relay stays.
                let Ok(length) = there.recv(&mut buffer).await else { continue };
                if let Some(to) = known.get().filter(|_| !back_flag.load(Ordering::SeqCst)) {
                    let _ = back.send_to(&buffer[..length], to).await;
                }
            }
        });
        UdpRelay { address, silent }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_power_is_back_soon_on_quic() {
    let relayed = Setup::new("secret").over(Wire::Quic);
    let identity = relayed.identity.clone();
    let mut second = relayed.start().await;
    let relay = UdpRelay::to(second.socket()).await;
    let mut first = Setup::new("secret").over(Wire::Quic).dialling([Wire::Quic.address(relay.address)]).start().await;
    gossip_arrives(&first, &mut second).await;
    gossip_arrives(&second, &mut first).await;
    relay.silent.store(true, Ordering::SeqCst);
    second.mesh.stop().await;
    assert_eq!(first.mesh.members(), [identity.member()], "the first has noticed nothing");
    let mut again =
        Setup { identity, boot: 2, ..Setup::new("secret").over(Wire::Quic).dialling([first.address()]) }.start().await;
    let begun = Instant::now();
    gossip_arrives(&first, &mut again).await;
    gossip_arrives(&again, &mut first).await;
    // Below the time after which a silent connection is closed.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quic_connection_that_falls_silent_is_closed() {
    let silent = Setup::new("secret").over(Wire::Quic).start().await;
    let relay = UdpRelay::to(silent.socket()).await;
    let mut node = Setup::new("secret").over(Wire::Quic).dialling([Wire::Quic.address(relay.address)]).start().await;
    node.event(|event| matches!(event, Event::RoundTrip { .. }).then_some(())).await;
    relay.silent.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    leaves(&mut node, silent.member()).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}
