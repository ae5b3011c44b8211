//! GitHub is down, slow or limits: what is kept is served and marked, the rest fails clearly and in time, and no write is sent
//! twice.

use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use std::time::{Duration, Instant};

const KEPT: &str = "/repos/octo/hello";
const FRESH: &str = "/repos/octo/hello/issues/1";
const UNKNOWN: &str = "/repos/octo/hello/issues/2";

/// How long GitHub may take to begin its answer.
const HEADER_TIMEOUT: &str = "500ms";

/// A timeout with its retries and waits, on a busy machine.
const IN_TIME: Duration = Duration::from_secs(10);

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// A node of short times, which holds a stale answer to [`KEPT`] and a fresh one to [`FRESH`].
async fn prepared(github: &Sim) -> Daemon {
    let daemon = impatient(github).await;
    let answer = daemon.get(KEPT, tokens::ALICE).await;
    assert_eq!(answer.status, 200);
    daemon.expired(KEPT, tokens::ALICE).await;
    assert_eq!(fresh(&daemon).await.status, 200);
    daemon
}

async fn impatient(github: &Sim) -> Daemon {
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let how = how.with("GHMESH_ORIGIN__HEADER_TIMEOUT", HEADER_TIMEOUT).with("GHMESH_CACHE__DEFAULT_TTL", "2s");
    how.start().await
}

/// As `gh api --cache 1h` asks.
async fn fresh(daemon: &Daemon) -> Answer {
    let request = client::request(Method::GET, FRESH, Some(tokens::ALICE)).header("x-gh-cache-ttl", "1h0m0s");
    daemon.send(request, "").await
}

async fn post_issue(daemon: &Daemon) -> Answer {
    let request = client::request(Method::POST, "/repos/octo/hello/issues", Some(tokens::ALICE));
    daemon.send(request, r#"{"title":"Written once"}"#).await
}

/// Fresh and stale answers are served; a caller that wants GitHub's own word now is not given an old one.
async fn serves_what_it_has(daemon: &Daemon) {
    let answer = fresh(daemon).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-status")), (200, "ghmesh; hit"));
    let stale = daemon.get(KEPT, tokens::ALICE).await;
    assert_eq!((stale.status.as_u16(), stale.header("cache-status")), (200, "ghmesh; hit; detail=stale"));
    assert!(stale.is_hit());
    let age: u64 = stale.header("age").parse().expect("seconds");
    assert!(age >= 1, "it is older than it may be");
    assert_eq!(stale.json()["full_name"], "octo/hello");
    assert!(daemon.count("stale_served").await >= 1);
    let young = client::request(Method::GET, KEPT, Some(tokens::ALICE)).header("cache-control", "max-age=0");
    assert_ne!(daemon.send(young, "").await.status, 200, "a caller that refuses old answers gets none");
}

/// What is not kept ends with an error of ghmesh's own, in time.
async fn fails_clearly(daemon: &Daemon, statuses: &[u16], words: &str) {
    let started = Instant::now();
    let answer = daemon.get(UNKNOWN, tokens::ALICE).await;
    assert!(started.elapsed() < IN_TIME, "after {:?}", started.elapsed());
    assert!(statuses.contains(&answer.status.as_u16()), "{}", answer.status);
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("ghmesh: ") && message.contains(words), "{message}");
    assert!(
        answer.header("cache-status").starts_with("ghmesh; fwd=miss; detail="),
        "{}",
        answer.header("cache-status")
    );
    assert!(!answer.is_hit());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_refuses_connections() {
    let github = github().await;
    let daemon = prepared(&github).await;
    let address = github.address();
    github.shutdown().await;
    serves_what_it_has(&daemon).await;
    fails_clearly(&daemon, &[502], &address.to_string()).await;
    assert_eq!(post_issue(&daemon).await.status, 502);

    let again = Sim::start(Config { listen: address, ..Config::default() }).await.expect("the address is free again");
    eventually("GitHub's return is noticed", async || {
        (daemon.get(UNKNOWN, tokens::ALICE).await.status == 200).then_some(())
    })
    .await;
    let answer = daemon.get(KEPT, tokens::ALICE).await;
    assert!(!answer.is_hit(), "{}", answer.header("cache-status"));
    assert!(again.counters().calls() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_never_answers() {
    let github = github().await;
    let daemon = prepared(&github).await;
    github.set_faults(vec![Fault::stalled()]);
    let started = Instant::now();
    let stale = daemon.get(KEPT, tokens::ALICE).await;
    assert_eq!(stale.header("cache-status"), "ghmesh; hit; detail=stale");
    assert!(started.elapsed() < IN_TIME);
    fails_clearly(&daemon, &[502, 504], "").await;
    serves_what_it_has(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_answer_that_never_comes_is_a_504_that_says_after_how_long() {
    let github = github().await;
    let daemon = impatient(&github).await;
    github.set_faults(vec![Fault::stalled()]);
    fails_clearly(&daemon, &[504], "0.5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_whose_answer_stops_in_the_middle() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let how = how.with("GHMESH_ORIGIN__IDLE_TIMEOUT", "500ms").with("GHMESH_CACHE__DEFAULT_TTL", "1s");
    let daemon = how.start().await;
    let whole = daemon.get(KEPT, tokens::ALICE).await;
    daemon.expired(KEPT, tokens::ALICE).await;
    github.touch(KEPT).expect("it is there");
    for cut in
        [Fault { stall_body_after: Some(100), ..Fault::default() }, Fault { truncate: Some(100), ..Fault::default() }]
    {
        github.set_faults(vec![cut]);
        let answer = daemon.get(KEPT, tokens::ALICE).await;
        assert_eq!(answer.header("cache-status"), "ghmesh; hit; detail=stale");
        assert_eq!(answer.body, whole.body, "the whole of the old answer, never a part of the new one");
        fails_clearly(&daemon, &[502, 504], "").await;
    }
    github.set_faults(Vec::new());
    eventually("the new answer is there", async || {
        let answer = daemon.get(KEPT, tokens::ALICE).await;
        (answer.status == 200 && answer.body != whole.body).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_answers_502() {
    let github = github().await;
    let daemon = prepared(&github).await;
    let body = Some(r#"{"message":"Server Error"}"#.to_owned());
    github.set_faults(vec![Fault { body, ..Fault::status(502) }]);
    let before = github.counters().calls();
    let answer = daemon.get(UNKNOWN, tokens::ALICE).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (502, &br#"{"message":"Server Error"}"#[..]),
        "GitHub's own"
    );
    assert!((1..=3).contains(&(github.counters().calls() - before)), "a read is tried again, a few times");
    serves_what_it_has(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_limits() {
    for status in [403, 429] {
        let github = github().await;
        github.configure(|settings| settings.limited_status = status);
        let daemon = prepared(&github).await;
        github.set_remaining(tokens::ALICE, "core", 0).expect("alice's quota");
        serves_what_it_has(&daemon).await;
        let before = github.counters().calls();
        let answer = daemon.get(UNKNOWN, tokens::ALICE).await;
        assert_eq!(answer.status.as_u16(), status, "GitHub's own error, unchanged");
        assert_eq!(answer.header("x-ratelimit-remaining"), "0");
        assert!(answer.json()["message"].as_str().unwrap_or_default().contains("rate limit"), "{}", answer.json());
        assert_eq!(github.counters().calls() - before, 1, "asking again would not help");
        assert_eq!(daemon.get(FRESH, tokens::BOB).await.status, 200, "another credential's limit is its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_sent_once_whatever_becomes_of_it() {
    let github = github().await;
    for (fault, status, passed, failures) in
        [(Fault::status(502), 502, 1, 0), (Fault::dropped(), 502, 0, 1), (Fault::stalled(), 504, 0, 1)]
    {
        // A node each: failures in a row open the breaker.
        let daemon = impatient(&github).await;
        github.reset_counters();
        github.set_faults(vec![fault]);
        let started = Instant::now();
        let answer = post_issue(&daemon).await;
        assert_eq!(answer.status.as_u16(), status, "{}", String::from_utf8_lossy(&answer.body));
        assert!(started.elapsed() < IN_TIME);
        assert_eq!(github.counters().calls(), 1);
        let stats = daemon.stats().await;
        let counted = ["passed", "failures", "misses"].map(|name| stats[name].as_u64());
        assert_eq!(counted, [Some(passed), Some(failures), Some(0)], "{stats}");
        github.set_faults(Vec::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_may_have_happened_so_what_it_may_have_changed_is_read_anew() {
    let github = github().await;
    let daemon = impatient(&github).await;
    let list = "/repos/octo/hello/issues";
    let read = async || {
        let request = client::request(Method::GET, list, Some(tokens::ALICE)).header("x-gh-cache-ttl", "1h0m0s");
        daemon.send(request, "").await
    };
    read().await;
    assert!(read().await.is_hit());
    github.set_faults(vec![Fault { method: Some("POST".into()), ..Fault::dropped() }]);
    assert_eq!(post_issue(&daemon).await.status, 502);
    github.set_faults(Vec::new());
    let answer = read().await;
    assert!(!answer.is_hit(), "{}", answer.header("cache-status"));
    assert_eq!(answer.json()[0]["title"], "Written once", "GitHub did it and could not say so");
}
