//! kill -9, and a node that comes back.

use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Daemon, DaemonBuilder, client, eventually};
use http::Method;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A second is what is wanted; here as many as a machine under load may need.
const BACK_WITHIN: Duration = Duration::from_secs(5);

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn issue(number: usize) -> String {
    format!("/repos/octo/hello/issues/{number}")
}

/// Reads issues one after the other until the daemon is gone; notes those whose answers said `stored`.
async fn load(daemon: Arc<Daemon>, numbers: std::ops::Range<usize>, stored: Arc<Mutex<BTreeSet<usize>>>) {
    for number in numbers {
        let request = client::request(Method::GET, &issue(number), Some(tokens::ALICE));
        let request = request.body(Default::default()).expect("a request");
        let Ok(answer) = client::send(&daemon.endpoint(), request).await else { return };
        if answer.header("cache-status").ends_with("; stored") {
            stored.lock().expect("no test thread panicked").insert(number);
        }
    }
}

/// The rule beside threat 10: a write that was sent and whose end nobody heard may have happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_during_a_write_shows_nothing_from_before_it_nor_do_others_once_it_is_back() {
    let github = github().await;
    let long = |how: DaemonBuilder| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h");
    let mut daemons = fleet(2, &github.url(), long).await;
    let writer = daemons.pop().expect("two daemons");
    for daemon in [&writer, &daemons[0]] {
        assert_eq!(daemon.get(&issue(1), tokens::ALICE).await.status, 200);
        assert!(daemon.holds(&issue(1), tokens::ALICE).await);
    }
    // GitHub writes at once, and answers when nobody listens any more.
    github.set_faults(vec![Fault { method: Some("PATCH".into()), ..Fault::latency(60_000) }]);
    let before = github.counters().calls();
    let write = client::request(Method::PATCH, &issue(1), Some(tokens::ALICE))
        .body(r#"{"title": "written, and not heard of"}"#.into());
    let (endpoint, write) = (writer.endpoint(), write.expect("a request"));
    let writing = tokio::spawn(async move { client::send(&endpoint, write).await.is_err() });
    eventually("GitHub has the write", async || (github.counters().calls() > before).then_some(())).await;
    let how = writer.kill().await;
    assert!(writing.await.expect("it ends"), "the writer is gone before there is an answer");
    let writer = how.with("GHMESH_MESH__BOOTSTRAP", &daemons[0].address().await).start().await;
    let shown = async |daemon: &Daemon| daemon.get(&issue(1), tokens::ALICE).await.json()["title"].clone();
    assert_eq!(shown(&writer).await, "written, and not heard of", "from its first answer on");
    daemons[0].expired(&issue(1), tokens::ALICE).await;
    assert_eq!(shown(&daemons[0]).await, "written, and not heard of");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_as_stored_survives_a_kill_under_load() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "1h");
    let daemon = Arc::new(how.start().await);
    let stored = Arc::new(Mutex::new(BTreeSet::new()));
    let loads: Vec<_> =
        (0..4).map(|lane| tokio::spawn(load(daemon.clone(), 1 + lane * 32..33 + lane * 32, stored.clone()))).collect();
    eventually("twenty answers are stored", async || (stored.lock().ok()?.len() >= 20).then_some(())).await;
    let pid = i32::try_from(daemon.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was running");
    for load in loads {
        load.await.expect("the load ends when the daemon is gone");
    }

    let how = daemon.how().clone();
    let again = how.start().await;
    let before = github.counters().calls();
    let stored = stored.lock().expect("no test thread panicked").clone();
    assert!(stored.len() < 128, "the daemon was killed under load, not after it");
    for number in &stored {
        let answer = again.get(&issue(*number), tokens::ALICE).await;
        assert_eq!(answer.header("cache-status"), "ghmesh; hit", "issue {number}, acknowledged as stored");
    }
    assert_eq!(github.counters().calls(), before, "no call is needed for what was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_gossips_again_soon_after_its_restart() {
    let github = github().await;
    let one =
        DaemonBuilder::new(&github.url()).with("GHMESH_MESH__LISTEN", &format!("/ip4/127.0.0.1/tcp/{}", free_port()));
    let one = one.start().await;
    let address = one.address().await;
    let two = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__BOOTSTRAP", &address).start().await;
    one.connected(1).await;
    two.connected(1).await;

    let again = one.kill().await.start().await;
    assert_eq!(again.address().await, address, "the same port and the same identity");
    let listening = Instant::now();
    again.connected(1).await;
    let answer = two.get(&issue(1), tokens::ALICE).await;
    assert_eq!(answer.status, 200);
    eventually("what the survivor fetched has reached the restarted node", async || {
        (again.count("entries").await > 0).then_some(())
    })
    .await;
    assert!(again.get(&issue(1), tokens::ALICE).await.is_hit());
    let back = listening.elapsed();
    println!("gossip and a hit {} ms after the restarted node listened", back.as_millis());
    assert!(back < BACK_WITHIN, "{back:?}");
    assert_eq!(github.counters().calls(), 1);
}

/// A port below those that the system gives to connections, so that it is still free after the kill.
fn free_port() -> u16 {
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).expect("it is small");
    (first..30_001).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}
