//! Clocks that are wrong, nodes that stand still, and nodes that start again at another time: nothing is shown younger than it
//! is, and what was written is seen.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder, client, daemon, eventually};
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

const PATH: &str = "/repos/octo/hello/issues/1";
/// Makes a debug build's wall clock wrong by so many seconds.
const AHEAD: &str = "_GHMESH_WALL_CLOCK_AHEAD";
const TEN_MINUTES: i64 = 600;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// Three nodes: one ten minutes ahead, one ten minutes behind, one right.
async fn skewed(github: &Sim, ttl: &str) -> Vec<Daemon> {
    let how = |ahead: i64| {
        let how = DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", ttl);
        how.with(AHEAD, &ahead.to_string())
    };
    let first = how(TEN_MINUTES).start().await;
    let address = first.address().await;
    let mut daemons = vec![first];
    for ahead in [-TEN_MINUTES, 0] {
        daemons.push(how(ahead).with("GHMESH_MESH__BOOTSTRAP", &address).start().await);
    }
    for daemon in &daemons {
        daemon.connected(2).await;
    }
    daemons
}

/// The age that an answer says, in seconds.
fn age(answer: &ghmesh_tests::Answer) -> u64 {
    answer.header("age").parse().unwrap_or_else(|_| panic!("no age in {:?}", answer.headers))
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_nodes_ten_minutes_apart_share_answers_at_their_true_age_and_let_them_expire_in_time() {
    let github = github().await;
    let daemons = skewed(&github, "1m").await;
    for (fetcher, number) in daemons.iter().zip(1..) {
        let path = format!("{PATH}?number={number}");
        let before = Instant::now();
        let fetched = fetcher.get(&path, tokens::ALICE).await;
        let confirmed = Instant::now();
        assert_eq!(fetched.status, 200);
        // So that an age is to be seen.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        for other in &daemons {
            let least = confirmed.elapsed().as_secs();
            let answer = other.get(&path, tokens::ALICE).await;
            let most = before.elapsed().as_secs() + 2;
            assert!(answer.is_hit() && answer.body == fetched.body);
            assert!((least..=most).contains(&age(&answer)), "{} is not within {least} to {most}", age(&answer));
        }
    }
    assert_eq!(github.counters().calls(), 3, "each was fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_what_expires_on_the_node_that_fetched_it_expires_on_nodes_ten_minutes_away() {
    let github = github().await;
    let daemons = skewed(&github, "6s").await;
    let fetched = daemons[0].get(PATH, tokens::ALICE).await;
    let at = Instant::now();
    for daemon in &daemons[1..] {
        assert!(daemon.get(PATH, tokens::ALICE).await.is_hit());
    }
    for daemon in &daemons {
        daemon.expired(PATH, tokens::ALICE).await;
        assert!(at.elapsed() > Duration::from_secs(5), "up to a tenth early, and no more");
    }
    let (before, again) = (github.counters(), daemons[1].get(PATH, tokens::ALICE).await);
    let after = github.counters();
    assert_eq!(again.body, fetched.body);
    assert_eq!((after.calls() - before.calls(), after.charged() - before.charged()), (1, 0), "confirmed at no cost");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_a_write_on_any_node_is_seen_on_all_whatever_their_clocks_say_and_buries_nothing_later() {
    let github = github().await;
    let daemons = skewed(&github, "1h").await;
    for (number, writer) in daemons.iter().enumerate() {
        let title = format!("written by {number}");
        for daemon in &daemons {
            assert_ne!(daemon.get(PATH, tokens::ALICE).await.json()["title"], title.as_str());
        }
        let write = client::request(Method::PATCH, PATH, Some(tokens::ALICE));
        assert_eq!(writer.send(write, format!(r#"{{"title": "{title}"}}"#)).await.status, 200);
        assert_eq!(writer.get(PATH, tokens::ALICE).await.json()["title"], title.as_str(), "its own write, at once");
        for daemon in &daemons {
            eventually("what was written is seen", async || {
                (daemon.get(PATH, tokens::ALICE).await.json()["title"] == title.as_str()).then_some(())
            })
            .await;
            // A tombstone is distrusted for a second beyond itself. After that the answer is kept again: the future is not buried.
            eventually("it is kept again", async || {
                let answer = daemon.get(PATH, tokens::ALICE).await;
                assert_eq!(answer.json()["title"], title.as_str(), "nothing old revives");
                answer.is_hit().then_some(())
            })
            .await;
        }
    }
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_who_stood_still_for_longer_than_a_lifetime_shows_nothing_stale_as_fresh_when_it_wakes() {
    let github = github().await;
    let daemons = daemon::fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "3s")).await;
    let [sleeper, awake] = &daemons[..] else { panic!("two daemons") };
    let before = sleeper.get(PATH, tokens::ALICE).await.json();
    signal(sleeper, Signal::STOP);
    github.touch(PATH).expect("the issue is there");
    // Its entry has the same lifetime; by the time that it has expired here, so has the sleeper's.
    awake.expired(PATH, tokens::ALICE).await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let calls = github.counters().calls();
    signal(sleeper, Signal::CONT);
    let after = sleeper.get(PATH, tokens::ALICE).await;
    assert_eq!(after.status, 200);
    assert_ne!(after.json(), before, "it asked GitHub, or a member that had");
    assert_eq!(github.counters().calls() - calls, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_after_a_restart_with_the_clock_set_back_ages_are_unknown_and_everything_is_confirmed_first() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "1h");
    let daemon = how.start().await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    let write = client::request(Method::PATCH, "/repos/octo/hello/issues/2", Some(tokens::ALICE));
    assert_eq!(daemon.send(write, r#"{"title": "before"}"#).await.status, 200);
    let daemon = daemon.stop().await.with(AHEAD, &(-TEN_MINUTES).to_string()).start().await;
    let before = github.counters();
    let again = daemon.get(PATH, tokens::ALICE).await;
    let after = github.counters();
    assert_eq!(again.body, first.body);
    assert_eq!((after.calls() - before.calls(), after.charged() - before.charged()), (1, 0), "one free 304");
    // The tombstone of before lies ten minutes ahead now, and buries nothing that is confirmed from here on.
    daemon.get("/repos/octo/hello/issues/2", tokens::ALICE).await;
    eventually("what was written to is kept again", async || {
        daemon.get("/repos/octo/hello/issues/2", tokens::ALICE).await.is_hit().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_a_clock_set_back_by_less_than_a_node_was_away_is_found_out_by_githubs_clock() {
    let github = github().await;
    // It is away for eight seconds, of which its clock shows one.
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "5s");
    let daemon = how.start().await;
    daemon.get(PATH, tokens::ALICE).await;
    let how = daemon.stop().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let daemon = how.with(AHEAD, "-7").start().await;
    // GitHub tells its time with any answer.
    daemon.get("/repos/octo/hello/issues/2", tokens::ALICE).await;
    let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).header("cache-control", "only-if-cached");
    assert!(!daemon.send(request, "").await.status.is_success(), "eight seconds old, and not one");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_12_what_waited_in_the_sockets_of_a_node_that_stood_still_is_as_old_as_it_is_also_where_no_clock_is_right()
 {
    let github = github().await;
    let how = || DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "4s");
    let awake = how().start().await;
    // It never hears GitHub's time, by which it would find out.
    let behind = how().with(AHEAD, &(-TEN_MINUTES).to_string());
    let sleeper = behind.with("GHMESH_MESH__BOOTSTRAP", &awake.address().await).start().await;
    awake.connected(1).await;
    signal(&sleeper, Signal::STOP);
    assert_eq!(awake.get(PATH, tokens::ALICE).await.status, 200);
    // Longer than it is fresh, and shorter than the other waits for a sign of life.
    tokio::time::sleep(Duration::from_secs(5)).await;
    signal(&sleeper, Signal::CONT);
    eventually("it has stored it", async || (sleeper.count("entries").await > 0).then_some(())).await;
    assert!(!sleeper.holds(PATH, tokens::ALICE).await, "it is five seconds old");
}
