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
