//! Who joins a warm fleet gets what the fleet holds, without asking GitHub: real processes.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Daemon, DaemonBuilder, client, eventually};
use http::Method;

/// What the fleet reads.
const HOT: usize = 60;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn issue(number: usize) -> String {
    format!("/repos/octo/hello/issues/{number}")
}

fn long_lived(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")
}

async fn newcomer(github: &Sim, daemon: &Daemon) -> Daemon {
    let how = long_lived(DaemonBuilder::new(&github.url()));
    how.with("GHMESH_MESH__BOOTSTRAP", &daemon.address().await).start().await
}

/// Waits until it has compared itself with so many members.
async fn compared(daemon: &Daemon, rounds: u64) {
    eventually("it has compared itself", async || (daemon.count("sync_rounds").await >= rounds).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_has_the_hot_set_of_three_warm_ones_without_a_call() {
    let github = github().await;
    let daemons = fleet(3, &github.url(), long_lived).await;
    for number in 1..=HOT {
        assert_eq!(daemons[number % 3].get(&issue(number), tokens::ALICE).await.status, 200);
    }
    let before = github.counters().calls();
    assert_eq!(before, HOT as u64);
    let fourth = newcomer(&github, &daemons[0]).await;
    eventually("it has taken all", async || (fourth.count("sync_records_pulled").await >= HOT as u64).then_some(()))
        .await;
    // It needs nobody any more: what it has it has itself.
    for daemon in daemons {
        daemon.kill().await;
    }
    for number in 1..=HOT {
        let request = client::request(Method::GET, &issue(number), Some(tokens::ALICE));
        let answer = fourth.send(request.header("cache-control", "only-if-cached"), "").await;
        assert_eq!(answer.status, 200, "issue {number}");
        assert_eq!(answer.json()["number"].as_u64(), Some(number as u64));
    }
    assert_eq!(github.counters().calls(), before, "no call was made for the fourth");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_11_a_newcomer_hears_of_a_write_whose_author_has_gone() {
    let github = github().await;
    let mut daemons = fleet(2, &github.url(), long_lived).await;
    // Read before the write, by a node that is away when it happens.
    let away = newcomer(&github, &daemons[0]).await;
    assert_eq!(away.get(&issue(1), tokens::ALICE).await.status, 200);
    let writer = daemons.pop().expect("two daemons");
    eventually("the other one has heard of the answer", async || {
        let cached =
            client::request(Method::GET, &issue(1), Some(tokens::ALICE)).header("cache-control", "only-if-cached");
        (daemons[0].send(cached, "").await.status == 200).then_some(())
    })
    .await;
    let away = away.stop().await;
    let write = client::request(Method::PATCH, &issue(1), Some(tokens::ALICE));
    assert_eq!(writer.send(write, r#"{"title": "written meanwhile"}"#).await.status, 200);
    daemons[0].expired(&issue(1), tokens::ALICE).await;
    writer.kill().await;
    let away = away.with("GHMESH_MESH__BOOTSTRAP", &daemons[0].address().await).start().await;
    compared(&away, 1).await;
    assert_eq!(away.get(&issue(1), tokens::ALICE).await.json()["title"], "written meanwhile");
}
