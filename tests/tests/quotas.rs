//! One credential's limits, and a fleet that uses it: what one node hears of them all heed, and together they stay within them.

use ghmesh_github_sim::{Config, Fault, Secondary, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, client, eventually};
use http::Method;
use serde_json::Value;

const KEPT: &str = "/repos/octo/hello/issues/1";
const OTHER: &str = "/repos/octo/hello/issues/2";
const UNKNOWN: &str = "/repos/octo/hello/issues/3";

/// Requests at the same time that GitHub allows one credential.
const AT_ONCE: u64 = 100;

/// More reads than that at once, on each node.
const STORM: usize = 80;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn nodes(count: usize, github: &Sim) -> Vec<Daemon> {
    fleet(count, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1s")).await
}

async fn with_header(daemon: &Daemon, path: &str, name: &str, value: &str) -> Answer {
    daemon.send(client::request(Method::GET, path, Some(tokens::ALICE)).header(name, value), "").await
}

/// GitHub's own word, which a 304 makes free.
async fn confirm(daemon: &Daemon, path: &str) -> Answer {
    with_header(daemon, path, "cache-control", "no-cache").await
}

/// A hit, however old.
async fn hit(daemon: &Daemon, path: &str) -> Answer {
    let answer = with_header(daemon, path, "x-gh-cache-ttl", "1h0m0s").await;
    assert!(answer.is_hit(), "{}", answer.header("cache-status"));
    answer
}

/// What a node knows of the limits of the only credential that it has heard of so far.
async fn limits(daemon: &Daemon) -> Value {
    let status = daemon.admin("/_ghmesh/status").await.expect("its own socket").json();
    status["limits"][0].clone()
}

async fn remaining(daemon: &Daemon, bucket: &str) -> Option<u64> {
    let limits = limits(daemon).await;
    let buckets = limits["buckets"].as_array()?.clone();
    buckets.iter().find(|known| known["name"] == bucket)?["remaining"].as_u64()
}

/// Lets every node hold an answer to [`KEPT`] that has expired.
async fn all_hold_an_expired_answer(daemons: &[Daemon]) {
    for daemon in daemons {
        assert_eq!(daemon.get(KEPT, tokens::ALICE).await.status, 200);
    }
    for daemon in daemons {
        daemon.expired(KEPT, tokens::ALICE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_11_near_exhaustion_the_fleet_serves_what_it_has_and_spends_no_more() {
    let github = github().await;
    let daemons = nodes(2, &github).await;
    all_hold_an_expired_answer(&daemons).await;
    github.set_remaining(tokens::ALICE, "core", 3).expect("alice's quota");
    eventually("the other node has heard how little is left", async || {
        assert_eq!(confirm(&daemons[0], KEPT).await.status, 200);
        (remaining(&daemons[1], "core").await == Some(3)).then_some(())
    })
    .await;
    for daemon in &daemons {
        daemon.expired(KEPT, tokens::ALICE).await;
    }
    // From now on a question about it would be charged.
    github.touch(KEPT).expect("it can be changed");
    let before = github.counters();
    for daemon in &daemons {
        let stale = eventually("it is too old to be fresh for anybody", async || {
            let answer = daemon.get(KEPT, tokens::ALICE).await;
            assert!(answer.status == 200 && answer.is_hit(), "{}", answer.header("cache-status"));
            (answer.header("cache-status") == "ghmesh; hit; detail=stale").then_some(answer)
        })
        .await;
        assert_eq!(stale.header("x-ratelimit-remaining"), "3");
        assert!(daemon.count("spared").await >= 1);
    }
    assert_eq!(github.counters().calls(), before.calls(), "nothing was asked");

    let needed = daemons[1].get(OTHER, tokens::ALICE).await;
    assert_eq!((needed.status.as_u16(), needed.header("x-ratelimit-remaining")), (200, "2"), "what is needed is spent");
    assert_eq!(confirm(&daemons[0], KEPT).await.header("x-ratelimit-remaining"), "1", "a caller insists");
    let elsewhere = daemons[1].get(KEPT, tokens::BOB).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.is_hit()), (200, false), "another credential has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_11_and_threat_22_a_retry_after_that_one_node_sees_stops_all() {
    let github = github().await;
    let daemons = nodes(3, &github).await;
    let [one, two, three] = &daemons[..] else { panic!("three daemons") };
    all_hold_an_expired_answer(&daemons[..2]).await;
    eventually("nothing more is under way to the third", async || {
        let request = client::request(Method::GET, KEPT, Some(tokens::ALICE)).header("x-gh-cache-ttl", "1h0m0s");
        (three.send(request.header("cache-control", "only-if-cached"), "").await.status == 200).then_some(())
    })
    .await;
    let limited = Fault { headers: vec![("retry-after".into(), "50".into())], ..Fault::status(403) };
    github.set_faults(vec![limited.on(UNKNOWN).times(1)]);
    let refused = one.get(UNKNOWN, tokens::ALICE).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (403, "50"), "GitHub's own words");
    for other in [two, three] {
        eventually("the others have heard", async || limits(other).await["retry_after_seconds"].as_u64()).await;
    }

    let before = github.counters().calls();
    // The third has never asked GitHub with this credential before.
    for daemon in &daemons {
        let held_back = daemon.get(UNKNOWN, tokens::ALICE).await;
        assert_eq!(held_back.status, 429, "{}", String::from_utf8_lossy(&held_back.body));
        let seconds: u64 = held_back.header("retry-after").parse().expect("seconds");
        assert!((1..=51).contains(&seconds), "{seconds}");
        assert!(held_back.json()["message"].as_str().unwrap_or_default().contains("secondary rate limit"));
        assert_eq!(held_back.header("cache-status"), "ghmesh; fwd=miss; detail=limited");
        let documented = held_back.json()["documentation_url"].as_str().unwrap_or_default().to_owned();
        assert!(documented.ends_with("secondary-rate-limits"), "how go-github knows it: {documented}");
        assert!(daemon.count("held_back").await >= 1);
    }
    for daemon in [one, two] {
        assert_eq!(daemon.get(KEPT, tokens::ALICE).await.header("cache-status"), "ghmesh; hit; detail=stale");
    }
    assert_eq!(github.counters().calls(), before, "GitHub was left alone");

    let write = client::request(Method::POST, "/repos/octo/hello/issues", Some(tokens::ALICE));
    assert_eq!(two.send(write, r#"{"title":"Passes"}"#).await.status, 201, "a write is never held back");
    assert_eq!(two.get(UNKNOWN, tokens::BOB).await.status, 200, "another credential is not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_11_a_storm_on_three_nodes_is_never_more_than_github_allows_at_once() {
    let github = github().await;
    let daemons = nodes(3, &github).await;
    github.configure(|settings| settings.secondary = Some(Secondary { in_flight: AT_ONCE, ..Secondary::default() }));
    github.set_faults(vec![Fault::latency(300)]);
    let reads = daemons.iter().enumerate().flat_map(|(node, daemon)| {
        (0..STORM).map(move |number| {
            let path = format!("/repos/octo/big/contents/body-{}.json", 100 + node * STORM + number);
            async move { daemon.get(&path, tokens::ALICE).await.status.as_u16() }
        })
    });
    let statuses = futures::future::join_all(reads).await;
    let counters = github.counters();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}, {:?}", counters.by_status);
    assert_eq!(counters.calls(), 3 * STORM as u64);
    assert!(counters.max_in_flight <= AT_ONCE, "{} at once", counters.max_in_flight);
    assert!(counters.max_in_flight >= AT_ONCE / 2, "{} at once: what is allowed is used", counters.max_in_flight);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_1_a_hit_says_the_freshest_that_is_known_of_its_own_credential() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| how).await;
    let [one, two] = &daemons[..] else { panic!("two daemons") };
    one.get(KEPT, tokens::ALICE).await;
    one.get(OTHER, tokens::ALICE).await;
    let fresh = hit(one, KEPT).await;
    assert_eq!(fresh.header("x-ratelimit-remaining"), "4998", "not what was left when it was fetched");
    assert_eq!((fresh.header("x-ratelimit-resource"), fresh.header("x-ratelimit-limit")), ("core", "5000"));
    assert_eq!(fresh.header("x-ratelimit-used"), "2");
    one.get(KEPT, tokens::BOB).await;
    assert_eq!(hit(one, KEPT).await.header("x-ratelimit-remaining"), "4998", "bob's are his");

    github.set_remaining(tokens::ALICE, "core", 1_234).expect("alice's quota");
    eventually("the other node has heard", async || {
        assert_eq!(confirm(one, KEPT).await.status, 200);
        let told = two.get(KEPT, tokens::ALICE).await;
        (told.is_hit() && told.header("x-ratelimit-remaining") == "1234").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_of_limits_passes_and_tells_of_every_bucket() {
    let github = github().await;
    let daemons = nodes(1, &github).await;
    github.set_remaining(tokens::ALICE, "search", 17).expect("alice's quota");
    github.configure(|settings| settings.gzip = true);
    let request = client::request(Method::GET, "/rate_limit", Some(tokens::ALICE)).header("accept-encoding", "gzip");
    let overview = daemons[0].send(request, "").await;
    assert_eq!((overview.status.as_u16(), overview.is_hit()), (200, false));
    assert_eq!(overview.json()["resources"]["search"]["remaining"], 17);
    assert_eq!((remaining(&daemons[0], "search").await, remaining(&daemons[0], "core").await), (Some(17), Some(5000)));
    assert_eq!(daemons[0].get("/rate_limit", tokens::ALICE).await.json()["resources"]["search"]["remaining"], 17);
    assert_eq!(github.counters().path("/rate_limit").calls, 2, "it is never kept");
}
