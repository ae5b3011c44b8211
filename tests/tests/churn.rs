//! A day of short-lived runners in a minute: nodes come, ask, and go, half of them without a word, while three stay. Needs root.

use futures::future::join_all;
use ghmesh_github_sim::{Sim, tokens};
use ghmesh_tests::cluster::{Over, github, mesh, node};
use ghmesh_tests::network::Lan;
use ghmesh_tests::{Daemon, DaemonBuilder, within};
use http::Method;
use std::time::{Duration, Instant};

/// Nodes that stay, and nodes that are born, two at a time: deriving keys takes a second of a core.
const STAYERS: usize = 3;
const BIRTHS: usize = 60;
const AT_ONCE: usize = 2;
/// Births after which memory is measured for the first time: buffers and tables have their size then.
const WARM: usize = 20;
/// By how much the memory of a stayer may grow afterwards, in KiB. A connection costs about 100 KiB while it lasts: a hundredth of
/// what would be kept if it were kept.
const GROWTH: u64 = 8 * 1024;
/// After the last goodbye. Who said none is missed after some seconds.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How long GitHub lets an answer be used at least: a minute, less the jitter by which nodes spread their questions.
const SHORTEST_LIFE: Duration = Duration::from_secs(40);

const ISSUES: [&str; 3] = ["/repos/octo/hello/issues/1", "/repos/octo/hello/issues/2", "/repos/octo/hello/issues/3"];

async fn stay(github: &Sim, lan: &mut Lan) -> (Vec<Daemon>, String) {
    let hosts: Vec<_> = (0..STAYERS).map(|_| lan.add_host()).collect();
    let daemons = mesh(github, lan, &hosts, Over::Tcp).await;
    let contacts: Vec<_> = hosts.iter().map(|host| Over::Tcp.addresses(&lan.address(host))).collect();
    (daemons, contacts.join(","))
}

/// A runner's life: it joins, asks for everything, and ends. Gives the calls that it made, and how many lookups were in vain.
async fn live(how: DaemonBuilder, said_goodbye: bool) -> [u64; 2] {
    let daemon = how.start().await;
    daemon.connected(STAYERS as u64).await;
    for issue in ISSUES {
        assert_eq!(daemon.get(issue, tokens::ALICE).await.status, 200);
    }
    let counts = [daemon.count("api_calls_made").await, daemon.count("fail_opens").await];
    if said_goodbye {
        daemon.stop().await;
    } else {
        daemon.kill().await;
    }
    counts
}

async fn peers(daemon: &Daemon) -> usize {
    let status = daemon.admin("/_ghmesh/status").await.expect("it answers").json();
    status["peers"].as_array().map_or(0, Vec::len)
}

/// A node that stays changes something on GitHub, and all that stay read on, what was changed and what may have changed with it, until
/// each has it. For about two seconds after a write no node believes another's reading of what was written: `Date` counts whole
/// seconds, and a reading counts that began a second after the write. Each asks GitHub itself meanwhile, for free, and who comes just
/// then has to ask it too.
async fn change(stayers: &[Daemon], round: usize) {
    let issue = ISSUES[round % ISSUES.len()];
    let title = format!("as of round {round}");
    let write = ghmesh_tests::client::request(Method::PATCH, issue, Some(tokens::ALICE));
    let writer = &stayers[round % STAYERS];
    assert_eq!(writer.send(write, serde_json::json!({ "title": title }).to_string()).await.status, 200);
    for read in ISSUES {
        for reader in std::iter::once(writer).chain(stayers) {
            let has_it = async || {
                let answer = reader.get(read, tokens::ALICE).await.json();
                ((read != issue || answer["title"] == title.as_str()) && reader.holds(read, tokens::ALICE).await)
                    .then_some(())
            };
            ghmesh_tests::eventually("what was written is read anew", has_it).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn sixty_runners_come_and_go_and_the_three_that_stay_neither_grow_nor_ask_more_than_what_changed() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let (stayers, contacts) = stay(&github, &mut lan).await;
    let runners = lan.add_host();
    for issue in ISSUES {
        assert_eq!(stayers[0].get(issue, tokens::ALICE).await.status, 200);
    }
    let (begun, mut warm, mut made, mut in_vain) = (Instant::now(), Vec::new(), 0, 0);
    for round in 0..BIRTHS / AT_ONCE {
        if round * AT_ONCE == WARM {
            warm = stayers.iter().map(Daemon::memory).collect();
        }
        if round % 5 == 4 {
            change(&stayers, round).await;
        }
        let births = (0..AT_ONCE).map(|number| {
            let listen = format!("/ip4/0.0.0.0/tcp/{}", 9000 + (round * AT_ONCE + number) % 50);
            let how = node(&github, &runners, Over::Tcp).with("GHMESH_MESH__LISTEN", &listen);
            live(how.with("GHMESH_MESH__BOOTSTRAP", &contacts), number % 2 == 0)
        });
        for [calls, fail_opens] in join_all(births).await {
            made += calls;
            in_vain += fail_opens;
        }
    }
    for stayer in &stayers {
        let alone = async || (peers(stayer).await == STAYERS - 1).then_some(());
        within(FORGOTTEN, "only those that stay are left", alone).await;
    }
    let grown: Vec<_> = stayers.iter().zip(&warm).map(|(stayer, warm)| stayer.memory().saturating_sub(*warm)).collect();
    let counters = github.counters();
    println!(
        "{BIRTHS} births: grown by {grown:?} KiB from {warm:?} after the first {WARM}; {} calls, {} charged; runners made {made} calls after {in_vain} lookups in vain",
        counters.calls(),
        counters.charged()
    );
    assert!(grown.iter().all(|grown| *grown <= GROWTH), "{grown:?} KiB from {warm:?}");
    let changes = BIRTHS / AT_ONCE / 5;
    // Each issue once, and for each change the write and one read. All else was held, told or confirmed for free, but for what
    // runners asked GitHub because nobody told them in time.
    let needed = (ISSUES.len() + 2 * changes) as u64;
    assert!(counters.charged() <= needed + made, "{} charged, {needed} needed", counters.charged());
    // When an answer has become too old, whoever asks first has it confirmed, be it a runner.
    let expired = (begun.elapsed().as_secs() / SHORTEST_LIFE.as_secs() + 1) * ISSUES.len() as u64;
    assert!(made <= in_vain + expired, "runners made {made} calls after {in_vain} lookups in vain");
    assert!(in_vain <= (BIRTHS * ISSUES.len() / 5) as u64, "{in_vain} lookups in vain");
}
