//! One body for many credentials, each with its own proof from GitHub: what that costs, and where it ends.

use ghmesh_github_sim::{Config, EtagStyle, Fault, Sim, tokens};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use std::collections::BTreeSet;

/// Five credentials that may all read the private repository: two persons, three of one's tokens, an installation.
const READERS: [&str; 5] =
    [tokens::ALICE, tokens::ALICE_SECOND, tokens::ALICE_OAUTH, tokens::CAROL, tokens::INSTALLATION];

const SECRET_ISSUE: &str = "/repos/octo/secret/issues/1";

/// Three answers each that don't depend on who asks.
const ROUNDS: [[&str; 3]; 3] = [
    [SECRET_ISSUE, "/repos/octo/secret/issues/2", "/repos/octo/secret/issues/3"],
    ["/repos/octo/secret/contents/README.md", "/repos/octo/secret/branches", "/repos/octo/secret/commits?per_page=3"],
    ["/repos/octo/secret/tags", "/repos/octo/secret/releases", "/repos/octo/secret/issues?state=all"],
];

/// Longer than any answer of the simulated GitHub takes otherwise: time for others to ask while a fetch is under way.
const SLOW_MS: u64 = 500;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn local(github: &Sim) -> DaemonBuilder {
    DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false")
}

async fn anonymous(daemon: &Daemon, path: &str) -> Answer {
    daemon.send(client::request(Method::GET, path, None), "").await
}

/// Waits until what an anonymous caller is given of it, however stale, is so many seconds old. Makes no call.
async fn is_older(daemon: &Daemon, path: &str, seconds: u64) {
    eventually(&format!("{path} is {seconds} s old"), async || {
        let request = client::request(Method::GET, path, None);
        let kept = daemon.send(request.header("cache-control", "only-if-cached, max-stale"), "").await;
        assert_eq!(kept.status, 200, "it is kept");
        (kept.header("age").parse::<u64>().ok()? >= seconds).then_some(())
    })
    .await;
}

async fn get_with(daemon: &Daemon, path: &str, token: &str, name: &str, value: &str) -> Answer {
    daemon.send(client::request(Method::GET, path, Some(token)).header(name, value), "").await
}

/// Calls and those charged.
fn bill(github: &Sim) -> (u64, u64) {
    let counters = github.counters();
    (counters.calls(), counters.charged())
}

/// What helps to see why too much was charged.
async fn told(github: &Sim, daemons: &[Daemon]) -> String {
    let mut fail_opens = Vec::new();
    for daemon in daemons {
        fail_opens.push(daemon.count("fail_opens").await);
    }
    let calls = github.counters().log;
    let calls: Vec<_> = calls.iter().map(|call| format!("{} {} {}", call.token, call.path, call.status)).collect();
    format!("lookups that failed open: {fail_opens:?}; {calls:#?}")
}

fn assert_same(answers: &[Answer], bodies: usize) {
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    let different: BTreeSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    assert_eq!(different.len(), bodies, "all get the same");
}

/// Every node asks for every path, all at once, each for its own credential.
async fn ask_all(daemons: &[Daemon], paths: &[&str]) -> Vec<Answer> {
    let callers = daemons.iter().zip(READERS);
    let asked = callers.flat_map(|(daemon, token)| paths.iter().map(move |path| daemon.get(path, token)));
    futures::future::join_all(asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_with_five_credentials_and_three_keys_are_charged_three_calls_of_fifteen() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how).await;
    for (round, paths) in ROUNDS.iter().enumerate() {
        github.reset_counters();
        assert_same(&ask_all(&daemons, paths).await, 3);
        assert_eq!(bill(&github), (15, 3), "round {round}; {}", told(&github, &daemons).await);
        let again = ask_all(&daemons, paths).await;
        assert!(again.iter().all(Answer::is_hit), "each has its own proof now");
        assert_eq!(bill(&github).0, 15);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_charged_once_whoever_asks() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "2s")).await;
    assert_same(&ask_all(&daemons, &[SECRET_ISSUE]).await, 1);
    github.touch(SECRET_ISSUE).expect("it is there");
    for (daemon, token) in daemons.iter().zip(READERS) {
        daemon.expired(SECRET_ISSUE, token).await;
    }
    github.reset_counters();
    assert_same(&ask_all(&daemons, &[SECRET_ISSUE]).await, 1);
    assert_eq!(bill(&github), (5, 1), "{}", told(&github, &daemons).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_for_gossip_is_pulled_and_proved() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how).await;
    let path = "/repos/octo/big/contents/body-1000000.json";
    assert_same(&ask_all(&daemons, &[path]).await, 1);
    assert_eq!(bill(&github), (5, 1), "{}", told(&github, &daemons).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_tomorrow_on_a_node_that_was_not_there_is_served_by_a_proof() {
    let github = github().await;
    let first = DaemonBuilder::new(&github.url()).start().await;
    let fetched = first.get(SECRET_ISSUE, tokens::ALICE).await;
    let late = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__BOOTSTRAP", &first.address().await).start().await;
    late.connected(1).await;
    let proved = late.get(SECRET_ISSUE, tokens::CAROL).await;
    assert_eq!((proved.status, &proved.body), (fetched.status, &fetched.body));
    assert_eq!(proved.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    assert_eq!(proved.header("content-type"), fetched.header("content-type"));
    assert_eq!(proved.header("x-ratelimit-remaining"), "5000", "the limits are the caller's own");
    assert_ne!(proved.header("etag"), fetched.header("etag"), "and so is the ETag");
    assert_eq!(bill(&github), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_on_one_node_without_a_mesh_share_by_proof_also_at_once_and_after_a_restart() {
    let github = github().await;
    let daemon = local(&github).start().await;
    github.set_faults(vec![Fault::latency(SLOW_MS)]);
    let together = [tokens::ALICE, tokens::CAROL, tokens::INSTALLATION].map(|token| daemon.get(SECRET_ISSUE, token));
    assert_same(&futures::future::join_all(together).await, 1);
    assert_eq!(bill(&github), (3, 1), "the others waited for the first, and had it confirmed");
    github.set_faults(Vec::new());
    let daemon = daemon.kill().await.start().await;
    let later = daemon.get(SECRET_ISSUE, tokens::ALICE_SECOND).await;
    assert_eq!(later.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    let basic = "Basic eDpnaHBfYWxpY2UwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw";
    let request = client::request(Method::GET, SECRET_ISSUE, None).header("authorization", basic);
    assert_eq!(daemon.send(request, "").await.body, later.body, "one that never leaves the node, too");
    assert_eq!(bill(&github), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fetches_first_and_may_not_read_it_holds_up_nobody_and_tells_nobody() {
    let github = github().await;
    let daemon = local(&github).start().await;
    github.set_faults(vec![Fault::latency(SLOW_MS)]);
    let refused = async { daemon.get(SECRET_ISSUE, tokens::BOB).await };
    let waits = async {
        eventually("the first call is under way", async || (github.counters().in_flight == 1).then_some(())).await;
        daemon.get(SECRET_ISSUE, tokens::ALICE).await
    };
    let (refused, allowed) = tokio::join!(refused, waits);
    assert_eq!((refused.status.as_u16(), allowed.status.as_u16()), (404, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_callers_share_by_time_and_are_never_conditional() {
    let github = github().await;
    let path = "/repos/octo/hello/issues/1";
    let daemons = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "3s")).await;
    let [one, two] = &daemons[..] else { panic!("two daemons") };
    let fetched = anonymous(one, path).await;
    let shared = anonymous(two, path).await;
    assert!(shared.is_hit(), "{}", shared.header("cache-status"));
    assert_eq!(shared.body, fetched.body);
    for daemon in [one, two] {
        is_older(daemon, path, 3).await;
    }
    assert_eq!(anonymous(two, path).await.body, fetched.body);
    // Nor does what somebody with a token fetched help: GitHub charges an anonymous 304 like a 200.
    assert_eq!(one.get("/repos/octo/hello/issues/2", tokens::ALICE).await.status, 200);
    assert_eq!(anonymous(one, "/repos/octo/hello/issues/2").await.status, 200);
    let counters = github.counters();
    assert!(counters.log.iter().all(|call| !call.conditional), "{:#?}", counters.log);
    assert_eq!(bill(&github), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_formula_does_not_hold_only_a_credentials_own_tags_are_offered_and_the_status_says_so() {
    let github = github().await;
    github.configure(|settings| settings.etags = EtagStyle::Opaque);
    let daemon = local(&github).start().await;
    let issue = |number: usize| format!("/repos/octo/hello/issues/{number}");
    for number in 1..=2 {
        daemon.get(&issue(number), tokens::ALICE).await;
    }
    let shown = eventually("the status tells", async || {
        let status = daemon.how().command(&["status"]).output().await.expect("it runs");
        let text = String::from_utf8(status.stdout).expect("text");
        text.lines().find(|line| line.starts_with("entity tags")).map(str::to_owned)
    })
    .await;
    assert!(shown.contains("issues of") && shown.contains("only those that GitHub gave"), "{shown}");
    github.reset_counters();
    let other = daemon.get(&issue(1), tokens::BOB).await;
    assert_eq!(other.header("cache-status"), "ghmesh; fwd=miss; stored", "nothing to offer for another credential");
    assert!(!github.counters().log[0].conditional);
    let own = get_with(&daemon, &issue(1), tokens::ALICE, "cache-control", "no-cache").await;
    assert_eq!(own.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    assert_eq!(bill(&github), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_never_asked_for_and_is_empty_is_free() {
    let github = github().await;
    let daemon = local(&github).start().await;
    let empty = "/repos/alice/diary/pulls";
    let answer = daemon.get(empty, tokens::ALICE).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"[]"[..]));
    assert!(answer.header("content-type").starts_with("application/json"), "{:?}", answer.headers);
    assert!(daemon.get(empty, tokens::ALICE).await.is_hit());
    assert_eq!(bill(&github), (1, 0));
    assert_eq!(
        daemon.get(empty, tokens::BOB).await.status,
        404,
        "who may not see the list is not told that it is empty"
    );
    // What isn't empty, or is no list, is as it is.
    assert_ne!(&daemon.get("/repos/octo/secret/issues", tokens::ALICE).await.body[..], b"[]");
    assert_eq!(daemon.get("/repos/alice/diary/issues/99", tokens::ALICE).await.status, 404);
}

/// The pages of a list of five, of five each: the one before the end is full.
const FULL: &str = "/repos/octo/secret/issues?state=all&sort=created&direction=asc&per_page=5";

#[tokio::test(flavor = "multi_thread")]
async fn threat_4_a_full_last_page_is_confirmed_with_the_page_behind_it_and_never_freezes() {
    let github = github().await;
    let daemon = local(&github).start().await;
    let first = daemon.get(FULL, tokens::ALICE).await;
    assert_eq!(first.json().as_array().map(Vec::len), Some(5), "the seed's issues and pull requests");
    assert_eq!(first.header("link"), "");
    for (token, calls) in [(tokens::ALICE, 2), (tokens::CAROL, 2)] {
        github.reset_counters();
        let confirmed = get_with(&daemon, FULL, token, "cache-control", "no-cache").await;
        assert_eq!((confirmed.status.as_u16(), &confirmed.body), (200, &first.body));
        assert_eq!(bill(&github), (calls, 0), "the page, and the empty one behind it");
    }
    let created = client::request(Method::POST, "/repos/octo/secret/issues", Some(tokens::INSTALLATION));
    assert_eq!(daemon.send(created, r#"{"title": "one more"}"#).await.status, 201);
    for token in [tokens::ALICE, tokens::CAROL] {
        let grown = get_with(&daemon, FULL, token, "cache-control", "no-cache").await;
        assert_eq!(grown.body, first.body, "the page itself is the same");
        assert!(grown.header("link").contains("rel=\"next\""), "but not the last any more: {:?}", grown.headers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_whose_agents_github_would_print_for_share_with_all_others() {
    let github = github().await;
    let daemon = local(&github).start().await;
    let mut bodies = BTreeSet::new();
    for (token, agent) in
        [(tokens::ALICE, "curl/8.5.0"), (tokens::CAROL, "Mozilla/5.0 Safari/605"), (tokens::INSTALLATION, "octokit.js")]
    {
        let answer = get_with(&daemon, SECRET_ISSUE, token, "user-agent", agent).await;
        assert_eq!(answer.status, 200);
        bodies.insert(answer.body);
    }
    assert_eq!((bodies.len(), bill(&github)), (1, (3, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_credential_sharing_nobody_has_what_another_fetched_confirmed() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__SHARING", "credential")).await;
    for (daemon, token, hit) in [
        (&daemons[0], tokens::ALICE, false),
        (&daemons[0], tokens::CAROL, false),
        (&daemons[1], tokens::ALICE, true),
        (&daemons[1], tokens::INSTALLATION, false),
    ] {
        let answer = daemon.get(SECRET_ISSUE, token).await;
        assert_eq!((answer.status.as_u16(), answer.is_hit()), (200, hit), "{}", answer.header("cache-status"));
    }
    let counters = github.counters();
    assert!(counters.log.iter().all(|call| !call.conditional));
    assert_eq!(bill(&github), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_mesh_sharing_all_callers_of_all_members_have_one_answer() {
    let github = github().await;
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__SHARING", "mesh")).await;
    assert_same(&ask_all(&daemons, &ROUNDS[0]).await, 3);
    assert_eq!(bill(&github), (3, 3));
    // Whoever it is: that is what this mode says.
    let stranger = daemons[2].get(SECRET_ISSUE, tokens::BOB).await;
    assert_eq!((stranger.status.as_u16(), stranger.is_hit()), (200, true));
    let tags: BTreeSet<_> =
        ask_all(&daemons, &[SECRET_ISSUE]).await.iter().map(|a| a.header("etag").to_owned()).collect();
    assert_eq!(tags.len(), 1, "a tag that is no hash over anybody's credential");
    assert_eq!(bill(&github), (3, 3));
    // What depends on who asks stays each one's own, and so does what a password fetched.
    for (token, login) in [(tokens::ALICE, "alice"), (tokens::BOB, "bob")] {
        assert_eq!(daemons[0].get("/user", token).await.json()["login"], login);
    }
    let basic = client::request(Method::GET, SECRET_ISSUE, None).header("authorization", "Basic Ym9iOmd1ZXNz");
    assert!(daemons[0].send(basic, "").await.status.is_client_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_mesh_sharing_a_refusal_is_its_credentials_own() {
    let github = github().await;
    let how = local(&github).with("GHMESH_CACHE__SHARING", "mesh").with("GHMESH_CACHE__DEFAULT_TTL", "1h");
    let daemon = how.start().await;
    let again = async |token| get_with(&daemon, SECRET_ISSUE, token, "cache-control", "no-cache").await;
    let fetched = daemon.get(SECRET_ISSUE, tokens::ALICE).await;
    for (token, status) in [(tokens::BOB, 404), (tokens::REVOKED, 401)] {
        assert_eq!(again(token).await.status.as_u16(), status);
        let refused = get_with(&daemon, SECRET_ISSUE, token, "cache-control", "only-if-cached").await;
        assert_eq!(refused.status, 504, "GitHub has told it no");
        assert!(daemon.get(SECRET_ISSUE, tokens::ALICE).await.is_hit(), "the others keep what they had");
    }
    // GitHub's tag for one is not offered for another: what is offered is computed.
    github.reset_counters();
    for token in [tokens::CAROL, tokens::ALICE, tokens::INSTALLATION] {
        let confirmed = again(token).await;
        assert_eq!((confirmed.status.as_u16(), &confirmed.body), (200, &fetched.body));
    }
    assert_eq!(bill(&github), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_mesh_sharing_tags_that_cannot_be_computed_are_offered_for_whom_github_gave_them() {
    let github = github().await;
    github.configure(|settings| settings.etags = EtagStyle::Opaque);
    let daemon = local(&github).with("GHMESH_CACHE__SHARING", "mesh").start().await;
    let again = async |path: &str, token| get_with(&daemon, path, token, "cache-control", "no-cache").await;
    for number in 1..=3 {
        again(&format!("/repos/octo/secret/issues/{number}"), tokens::ALICE).await;
    }
    github.reset_counters();
    assert_eq!(
        again(SECRET_ISSUE, tokens::ALICE).await.header("cache-status"),
        "ghmesh; fwd=stale; fwd-status=304; stored"
    );
    assert_eq!(again(SECRET_ISSUE, tokens::CAROL).await.header("cache-status"), "ghmesh; fwd=miss; stored");
    assert_eq!(bill(&github), (2, 1));
    assert!(!github.counters().log[1].conditional, "another's tag is not shown to GitHub");
}
