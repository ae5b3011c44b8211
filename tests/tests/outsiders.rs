//! Strangers by every means: a whole libp2p node of another make, bytes without sense, handshakes that never end, thousands of
//! connections. None becomes a member, none learns anything, and members keep their pace. Needs root.
//!
//! `.ci/run` installs js-libp2p and says where: `GHMESH_TEST_LIBP2P_MODULES` is a `node_modules` that has it.

use ghmesh_github_sim::{Sim, tokens};
use ghmesh_tests::cluster::{Over, PORT, github, item, mesh, node, percentile, spread};
use ghmesh_tests::network::Lan;
use ghmesh_tests::{Daemon, eventually};
use serde_json::Value;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;

/// How often the stranger is to be turned away before it is asked what it has learned.
const VISITS: u64 = 5;
const STRANGERS_PORT: u16 = 9100;

/// js-libp2p on a host.
struct Outsider {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Outsider {
    async fn start(host: &str, addresses: &[String]) -> Self {
        let modules = std::env::var("GHMESH_TEST_LIBP2P_MODULES")
            .expect("GHMESH_TEST_LIBP2P_MODULES is not set; `.ci/run long_tests` installs js-libp2p and sets it");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host, "node"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outsider/outsider.mjs"));
        command.arg(modules).arg(STRANGERS_PORT.to_string()).args(addresses);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("iproute2 is installed");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut outsider = Outsider { child, lines };
        assert!(outsider.line().await["peer"].is_string(), "it runs");
        outsider
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(ghmesh_tests::PATIENCE, self.lines.next_line()).await;
        let line = line.expect("it says something in time").expect("it prints UTF-8").expect("it has not failed");
        serde_json::from_str(&line).expect("it prints JSON")
    }

    /// Ends it and gives what it has learned.
    async fn learned(mut self) -> Value {
        drop(self.child.stdin.take());
        self.line().await
    }
}

async fn strangers(daemon: &Daemon) -> u64 {
    let status = daemon.admin("/_ghmesh/status").await.expect("it answers").json();
    status["strangers"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces, and js-libp2p"]
async fn a_libp2p_node_of_another_make_is_never_a_connection_and_learns_nothing() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let (hosts, stranger) = ([lan.add_host(), lan.add_host()], lan.add_host());
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    let mut addresses = Vec::new();
    for (daemon, host) in daemons.iter().zip(&hosts) {
        let peer_id = daemon.stats().await["peer_id"].as_str().expect("the mesh runs").to_owned();
        addresses.push(format!("/ip4/{}/tcp/{PORT}/p2p/{peer_id}", lan.address(host)));
    }
    let outsider = Outsider::start(&stranger, &addresses).await;
    // Somebody has written its address into the settings of a third: that one comes to it.
    let contacts = format!("{},/ip4/{}/tcp/{STRANGERS_PORT}", addresses[0], lan.address(&stranger));
    let third = lan.add_host();
    let third = node(&github, &third, Over::Tcp).with("GHMESH_MESH__BOOTSTRAP", &contacts).start().await;
    third.connected(2).await;

    for (number, daemon) in daemons.iter().enumerate() {
        let mut next = number * 1000;
        eventually("the stranger has been turned away often, while members share", async || {
            next += 1;
            daemon.get(&item(next), tokens::ALICE).await;
            (strangers(daemon).await >= VISITS).then_some(())
        })
        .await;
    }
    eventually("the third has turned to it, and away", async || (strangers(&third).await > 0).then_some(())).await;

    let status = daemons[0].admin("/_ghmesh/status").await.expect("it answers").json();
    let learned = outsider.learned().await;
    println!("{learned}");
    assert!(
        learned["dials"].as_u64() >= Some(2 * VISITS) && learned["inbound"].as_u64() > Some(0),
        "it tried: {learned}"
    );
    for nothing in ["identified", "streams", "told"] {
        assert_eq!(learned[nothing], Value::Array(Vec::new()), "{nothing}: {learned}");
    }
    for none in ["gossip", "peersOfTheDht", "subscribers"] {
        assert_eq!(learned[none], 0, "{none}: {learned}");
    }
    assert!(!learned.to_string().contains(status["mesh_label"].as_str().expect("a label")), "{learned}");
    for daemon in daemons.iter().chain([&third]) {
        assert_eq!(daemon.count("connected_peers").await, 2, "members only");
        assert_eq!(daemon.count("records_refused").await, 0);
    }
}

/// What a daemon says to somebody who only connects, or answers with anything but a handshake: the name of what it speaks.
const GREETING: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";

/// Sends and reads until the daemon hangs up, and gives all that it said.
async fn until_hung_up(address: &str, sends: &[u8], pause: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        for byte in sends.iter().cycle() {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        // A reset is as good an end as another.
        _ = reader.read_to_end(&mut said) => {}
        () = drip => {}
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn nonsense_and_handshakes_that_never_end_get_a_greeting_at_most_and_are_hung_up_on() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let host = lan.add_host();
    let daemon = node(&github, &host, Over::Tcp).start().await;
    daemon.address().await;
    let address = format!("{}:{PORT}", lan.address(&host));
    let second = Duration::from_secs(1);
    let tries: [(&[u8], Duration); 5] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Duration::ZERO),
        (&[0xff], Duration::ZERO),
        (&[0], second),
        // The right words, a byte a second.
        (GREETING, second),
        (b"\x13/multistream/1.0.0\n\x03ls\n", Duration::from_millis(1)),
    ];
    let all = tries.map(|(sends, pause)| until_hung_up(&address, sends, pause));
    let said = tokio::time::timeout(ghmesh_tests::PATIENCE, futures::future::join_all(all)).await;
    for said in said.expect("all are hung up on") {
        let text = String::from_utf8_lossy(&said);
        assert!(said.len() <= 64 && !text.contains("ghmesh") && !text.contains("meshsub"), "{text:?}");
    }
    assert_eq!(daemon.count("connected_peers").await, 0);
}

/// Connections of the flood, and how many of them are made at once.
const FLOOD: usize = 2_000;
const AT_ONCE: usize = 100;
/// Records by which the members' pace is measured.
const RECORDS: usize = 30;
/// By how much a flood may slow members down. The flood runs on the same cores; a member that had to wait for it would wait for
/// seconds.
const SLOWER: u32 = 10;

async fn pace(daemons: &[Daemon], first: usize) -> Duration {
    let mut all = Vec::new();
    for number in first..first + RECORDS {
        all.extend(spread(&daemons[number % 2], &[&daemons[(number + 1) % 2]], &item(number)).await);
    }
    percentile(&mut all, 50)
}

/// Holds connections open as long as it can, each saying the right words, a byte a second; and makes new ones in their place.
fn flood(address: String, made: Arc<AtomicUsize>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (address, made) = (address.clone(), made.clone());
        tasks.spawn(async move {
            let mut held = Vec::new();
            loop {
                let Ok(stream) = TcpStream::connect(&address).await else { continue };
                made.fetch_add(1, Ordering::Relaxed);
                held.push(stream);
                if held.len() > FLOOD / AT_ONCE {
                    held.remove(0);
                }
                for stream in &held {
                    // Most were hung up on.
                    let _ = stream.try_write(&GREETING[..1]);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn two_thousand_connections_of_strangers_leave_members_their_pace_and_let_new_members_in() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let hosts = [lan.add_host(), lan.add_host()];
    let daemons = mesh(&github, &lan, &hosts, Over::Tcp).await;
    let before = pace(&daemons, 0).await;

    let made = Arc::new(AtomicUsize::new(0));
    let flooding = flood(format!("{}:{PORT}", lan.address(&hosts[0])), made.clone());
    eventually("the flood is in full spate", async || (made.load(Ordering::Relaxed) >= FLOOD).then_some(())).await;
    let during = pace(&daemons, RECORDS).await;
    newcomer_is_let_in(&github, &mut lan, &hosts[0]).await;
    drop(flooding);

    println!(
        "stored on one, held by the other after {before:?} (p50) before, {during:?} during {} connections: {:.1} times",
        made.load(Ordering::Relaxed),
        during.as_secs_f64() / before.as_secs_f64(),
    );
    assert!(during <= before * SLOWER + Duration::from_millis(20), "{before:?} before, {during:?} during the flood");
    for daemon in &daemons {
        let status = daemon.admin("/_ghmesh/status").await.expect("it answers").json();
        assert_eq!(status["peers"].as_array().map(Vec::len), Some(1), "{status}");
    }
}

async fn newcomer_is_let_in(github: &Sim, lan: &mut Lan, contact: &str) {
    let contact = Over::Tcp.addresses(&lan.address(contact));
    let host = lan.add_host();
    let newcomer = node(github, &host, Over::Tcp).with("GHMESH_MESH__BOOTSTRAP", &contact).start().await;
    newcomer.connected(2).await;
    newcomer.stop().await;
}
