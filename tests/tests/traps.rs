//! The traps that GitHub lays for caches, numbered as in `docs/hazards.md`, sprung on real processes.

use ghmesh_github_sim::tokens::{self, Private, TokenSeed, TokenState};
use ghmesh_github_sim::{Config, EtagStyle, Fault, Sim};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::{Method, StatusCode};
use std::collections::BTreeSet;

const PATH: &str = "/repos/octo/hello";

/// Longer than any answer of the simulated GitHub takes otherwise: time to do something while a fetch is under way.
const SLOW_MS: u64 = 1_500;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn alone(github: &Sim) -> Daemon {
    DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await
}

/// `GET path` as alice with one more header.
async fn get_with(daemon: &Daemon, path: &str, name: &str, value: &str) -> Answer {
    daemon.send(client::request(Method::GET, path, Some(tokens::ALICE)).header(name, value), "").await
}

/// Has it confirmed, whatever is fresh.
async fn confirm(daemon: &Daemon, path: &str) -> Answer {
    get_with(daemon, path, "cache-control", "no-cache").await
}

fn of_one_call(answer: &Answer) -> Vec<String> {
    let starts = ["x-oauth-", "x-accepted-", "x-github-request-id", "set-cookie"];
    let names = answer.headers.keys().map(|name| name.as_str().to_owned());
    names.filter(|name| starts.iter().any(|start| name.starts_with(start))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_1_limits_of_an_earlier_call_are_never_replayed() {
    let github = github().await;
    let [one, two] = pair(&github).await;
    let fetched = one.get(PATH, tokens::ALICE).await;
    assert_eq!(fetched.header("x-ratelimit-remaining"), "4999", "the call that was made says what it left");
    assert_eq!(fetched.header("x-from-cache"), "");
    for daemon in [&one, &two, &two] {
        let hit = daemon.get(PATH, tokens::ALICE).await;
        assert!(hit.is_hit(), "{}", hit.header("cache-status"));
        assert_eq!(of_one_call(&hit), Vec::<String>::new());
        assert!(["", "4999"].contains(&hit.header("x-ratelimit-remaining")), "what is known to be left, or nothing");
    }
    github.set_remaining(tokens::ALICE, "core", 1_234).expect("alice's quota");
    let confirmed = confirm(&one, PATH).await;
    assert_eq!(confirmed.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    assert_eq!(confirmed.header("x-ratelimit-remaining"), "1234", "a 304 says what is left now");
    let hit = one.get(PATH, tokens::ALICE).await;
    assert_eq!((hit.is_hit(), hit.header("x-ratelimit-remaining")), (true, "1234"), "and so does a hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_2_what_accept_and_the_api_version_ask_for_is_never_mixed_up_also_not_in_flight() {
    let github = github().await;
    let daemon = alone(&github).await;
    let pulls = daemon.get("/repos/octo/hello/pulls", tokens::ALICE).await.json();
    let path = format!("/repos/octo/hello/pulls/{}", pulls[0]["number"]);
    let variants = [
        ("accept", "application/vnd.github+json"),
        ("accept", "application/vnd.github.diff"),
        ("accept", "application/vnd.github.patch"),
        ("x-github-api-version", "2026-03-10"),
        ("x-github-api-version", "2022-11-28"),
    ];
    github.set_faults(vec![Fault::latency(200).on(&path)]);
    let asked = variants.iter().map(|(name, value)| get_with(&daemon, &path, name, value));
    let fetched = futures::future::join_all(asked).await;
    assert_eq!(github.counters().path(&path).calls, variants.len() as u64, "no flight served another's");
    let starts: Vec<_> = fetched.iter().map(|answer| answer.body.slice(..answer.body.len().min(5))).collect();
    assert_eq!(&starts[1][..], b"diff ", "{starts:?}");
    assert_eq!(&starts[2][..], b"From ", "{starts:?}");
    assert!(starts[0].starts_with(b"{") && starts[3].starts_with(b"{") && starts[4].starts_with(b"{"), "{starts:?}");
    for ((name, value), first) in variants.iter().zip(&fetched) {
        let again = get_with(&daemon, &path, name, value).await;
        assert!(again.is_hit(), "{name}: {value}");
        assert_eq!(again.body, first.body, "{name}: {value}");
        for name in ["content-type", "x-github-api-version-selected"] {
            assert_eq!(again.header(name), first.header(name));
        }
    }
    assert_eq!(fetched[3].header("x-github-api-version-selected"), "2026-03-10");
    assert_eq!(github.counters().path(&path).calls, variants.len() as u64);
}

/// The status with which `daemon` answers from what it has, without asking anybody.
async fn here(daemon: &Daemon, path: &str, token: &str) -> StatusCode {
    let request = client::request(Method::GET, path, Some(token)).header("cache-control", "only-if-cached");
    daemon.send(request, "").await.status
}

async fn nothing_is_left(daemon: &Daemon, paths: &[&str], token: &str) {
    for path in paths {
        assert_eq!(here(daemon, path, token).await, StatusCode::GATEWAY_TIMEOUT, "{path}");
    }
}

/// Reads some on the first of two nodes and some on the second, until the first has them all; nobody has asked it for the
/// second's last yet.
async fn read_on_two(nodes: &[Daemon; 2], on_first: &[&str], on_second: &[&str], token: &str) {
    for (daemon, paths) in nodes.iter().zip([on_first, on_second]) {
        for path in paths {
            assert_eq!(daemon.get(path, token).await.status, 200, "{path}");
        }
    }
    eventually("the first node has heard of all", async || {
        (nodes[0].count("records_received").await >= on_second.len() as u64).then_some(())
    })
    .await;
    for path in on_first.iter().chain(on_second.split_last().map_or(&[][..], |(_, others)| others)) {
        eventually("it is stored", async || (here(&nodes[0], path, token).await == StatusCode::OK).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_4_and_threat_8_a_revoked_token_reads_nothing_more_from_the_cache_also_after_a_restart() {
    let own = [PATH, "/repos/OCTO/Hello/issues/1", "/repos/octo/hello/issues?per_page=5", "/repos/octo/secret"];
    let peers = ["/repos/octo/hello/issues/2", "/repos/octo/hello/issues/3"];
    let github = github().await;
    let nodes = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let nodes: [Daemon; 2] = nodes.try_into().expect("two daemons");
    read_on_two(&nodes, &own, &peers, tokens::ALICE).await;
    let revoked = TokenSeed { token: tokens::ALICE.into(), state: TokenState::Revoked, ..TokenSeed::default() };
    github.put_token(revoked);
    let [one, _two] = nodes;
    assert_eq!(confirm(&one, PATH).await.status, 401);
    let all: Vec<_> = own.into_iter().chain(peers).collect();
    nothing_is_left(&one, &all, tokens::ALICE).await;
    let one = one.kill().await.start().await;
    nothing_is_left(&one, &all, tokens::ALICE).await;
}

#[tokio::test]
async fn trap_4_a_401_to_nobody_takes_nothing_back() {
    let github = github().await;
    let daemon = alone(&github).await;
    let anonymous = async |path: &str| daemon.send(client::request(Method::GET, path, None), "").await;
    anonymous(PATH).await;
    assert!(anonymous(PATH).await.is_hit());
    assert_eq!(anonymous("/user").await.status, 401);
    assert!(anonymous(PATH).await.is_hit(), "there is no credential that could have been revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_4_and_threat_8_a_lost_repository_is_gone_under_all_its_names_also_after_a_restart() {
    let lost = ["/repos/octo/secret", "/repos/Octo/SECRET", "/repos/octo/secret/branches"];
    let peers = ["/repos/octo/secret/issues?state=all", "/repos/octo/Secret/pulls"];
    let github = github().await;
    let nodes = fleet(2, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let nodes: [Daemon; 2] = nodes.try_into().expect("two daemons");
    assert_eq!(nodes[0].get(PATH, tokens::CAROL).await.status, 200);
    read_on_two(&nodes, &lost, &peers, tokens::CAROL).await;
    let carol =
        TokenSeed { token: tokens::CAROL.into(), user: "carol".into(), private: Private::None, ..TokenSeed::default() };
    github.put_token(carol);
    let [one, _two] = nodes;
    let request = client::request(Method::GET, lost[0], Some(tokens::CAROL)).header("cache-control", "no-cache");
    assert_eq!(one.send(request, "").await.status, 404);
    let all: Vec<_> = lost.into_iter().chain(peers).collect();
    nothing_is_left(&one, &all, tokens::CAROL).await;
    let one = one.kill().await.start().await;
    nothing_is_left(&one, &all, tokens::CAROL).await;
    assert_eq!(here(&one, PATH, tokens::CAROL).await, StatusCode::OK, "another repository stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_6_an_error_is_never_stored_and_never_reported_as_an_empty_list() {
    let github = github().await;
    let daemon = alone(&github).await;
    let path = "/repos/octo/hello/issues";
    for status in [401, 403, 404, 410, 422, 451, 500, 202, 204] {
        let headers = [("cache-control", "public, max-age=60"), ("etag", "\"0123456789abcdef\"")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        github.set_faults(vec![Fault { headers, ..Fault::status(status).on(path) }]);
        for _ in 0..2 {
            let answer = daemon.get(path, tokens::ALICE).await;
            assert_eq!(answer.status.as_u16(), status, "as GitHub said");
            assert!(!answer.is_hit());
            assert_ne!(&answer.body[..], b"[]", "{status}");
        }
    }
    assert_eq!(daemon.count("entries").await, 0);
    github.set_faults(Vec::new());
    let answer = daemon.get(path, tokens::ALICE).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().as_array().map(Vec::len), Some(30), "a page of issues");
    assert!(daemon.get(path, tokens::ALICE).await.is_hit());

    // GitHub has answered such a path with a bogus 304 to a conditional request: errors are never revalidated.
    let missing = "/repos/octo/hello/git/ref/heads/missing";
    assert_eq!(daemon.get(missing, tokens::ALICE).await.status, 404);
    assert_eq!(daemon.get(missing, tokens::ALICE).await.status, 404);
    let counters = github.counters();
    assert!(counters.log.iter().filter(|call| call.path == missing).all(|call| !call.conditional));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_a_304_without_an_etag_confirms_the_one_that_was_offered() {
    let github = github().await;
    let daemon = alone(&github).await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    github.configure(|settings| settings.etags = EtagStyle::AbsentOn304);
    let confirmed = confirm(&daemon, PATH).await;
    assert_eq!(confirmed.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
    assert_eq!((confirmed.body, confirmed.headers.get("etag")), (first.body, first.headers.get("etag")));
    assert_eq!(github.counters().charged(), 1);
    github.touch(PATH).expect("it is there");
    assert_eq!(confirm(&daemon, PATH).await.header("cache-status"), "ghmesh; fwd=miss; stored");
}

/// A 304 from nowhere.
fn bogus_304(etag: Option<&str>) -> Fault {
    let headers = etag.map(|etag| ("etag".to_owned(), etag.to_owned())).into_iter().collect();
    Fault { headers, ..Fault::status(304).on(PATH) }
}

fn conditional(github: &Sim) -> Vec<bool> {
    github.counters().log.iter().map(|call| call.conditional).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_and_threat_3_a_304_that_names_what_was_not_offered_confirms_nothing() {
    let github = github().await;
    let daemon = alone(&github).await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    github.touch(PATH).expect("it is there");
    for etag in ["\"0123456789abcdef\"", "W/\"0123456789abcdef\"", "no tag at all"] {
        github.set_faults(vec![bogus_304(Some(etag)).times(1)]);
        let answer = confirm(&daemon, PATH).await;
        assert_eq!(answer.header("cache-status"), "ghmesh; fwd=miss; stored", "{etag}");
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &now_at(&github).await), "{etag}");
        assert_ne!(answer.body, first.body);
    }
    assert_eq!(conditional(&github)[..3], [false, true, false], "once more, and whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_and_threat_3_a_304_to_a_request_without_conditions_is_no_answer() {
    let github = github().await;
    let daemon = alone(&github).await;
    github.set_faults(vec![bogus_304(None).times(1)]);
    // What the client has is not offered to GitHub, so that a 304 says nothing about it either.
    let answer = get_with(&daemon, PATH, "if-none-match", "\"one\", \"two\"").await;
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &now_at(&github).await));
    assert_eq!(conditional(&github)[..2], [false, false]);
    github.set_faults(vec![bogus_304(None)]);
    let other = "/repos/octo/hello/issues/1";
    let never = get_with(&daemon, other, "if-none-match", "\"one\"").await;
    assert_eq!(never.status, 502, "nothing here for a 304 to confirm: {:?}", never.headers);
    assert_eq!(here(&daemon, other, tokens::ALICE).await, 504, "and nothing to store");
}

/// What GitHub says, asked directly and without its faults.
async fn now_at(github: &Sim) -> bytes::Bytes {
    github.set_faults(Vec::new());
    let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).header("accept", "*/*");
    let request = request.body(Default::default()).expect("a request");
    client::send(&client::Endpoint::Tcp(github.address()), request).await.expect("GitHub answers").body
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_an_etag_that_flips_between_weak_and_strong_is_the_same() {
    let github = github().await;
    github.configure(|settings| settings.etags = EtagStyle::Flipping);
    let daemon = alone(&github).await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    for _ in 0..4 {
        let confirmed = confirm(&daemon, PATH).await;
        assert_eq!(confirmed.header("cache-status"), "ghmesh; fwd=stale; fwd-status=304; stored");
        assert_eq!(confirmed.body, first.body);
    }
    let bare = first.header("etag").trim_start_matches("W/").to_owned();
    for etag in [bare.clone(), format!("W/{bare}")] {
        assert_eq!(get_with(&daemon, PATH, "if-none-match", &etag).await.status, 304, "{etag}");
    }
    assert_eq!(github.counters().charged(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_a_head_request_and_a_get_share_one_entry() {
    let github = github().await;
    let daemon = alone(&github).await;
    let head = daemon.send(client::request(Method::HEAD, PATH, Some(tokens::ALICE)), "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    let got = daemon.get(PATH, tokens::ALICE).await;
    assert!(got.is_hit());
    assert_eq!(got.body.len().to_string(), head.header("content-length"), "the length that a GET would have");
    let again = daemon.send(client::request(Method::HEAD, PATH, Some(tokens::ALICE)), "").await;
    assert!(again.is_hit());
    assert_eq!((again.body.len(), again.header("etag")), (0, got.header("etag")));
    assert_eq!(github.counters().calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_7_any_validator_of_a_clients_list_may_match_and_none_goes_to_github() {
    let github = github().await;
    let daemon = alone(&github).await;
    let etag = daemon.get(PATH, tokens::ALICE).await.header("etag").to_owned();
    let list = format!("\"other\", {etag}, W/\"third\"");
    for (list, status) in [(list.as_str(), 304), ("*", 304), ("\"other\", W/\"third\"", 200)] {
        let answer = get_with(&daemon, PATH, "if-none-match", list).await;
        assert_eq!(answer.status.as_u16(), status, "{list}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    // A client's own validators would prove nothing about what is kept here, so they stay here.
    let other = "/repos/octo/hello/issues/1";
    assert_eq!(get_with(&daemon, other, "if-none-match", "\"anything\"").await.status, 200);
    assert!(github.counters().log.iter().all(|call| !call.conditional));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_8_followers_are_answered_when_the_caller_that_leads_hangs_up() {
    let github = github().await;
    let daemon = alone(&github).await;
    github.set_faults(vec![Fault::latency(SLOW_MS).on(PATH)]);
    let endpoint = daemon.endpoint();
    let leader = tokio::spawn(async move {
        let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).body(Default::default());
        client::send(&endpoint, request.expect("a request")).await
    });
    eventually("the leader's call is under way", async || (github.counters().calls() == 1).then_some(())).await;
    let followers = futures::future::join_all((0..5).map(|_| daemon.get(PATH, tokens::ALICE)));
    let ends = async {
        leader.abort();
        assert!(leader.await.is_err(), "it has hung up");
    };
    let (answers, ()) = tokio::join!(followers, ends);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let bodies: BTreeSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    assert_eq!((bodies.len(), github.counters().calls()), (1, 1), "one call, and all have its answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_8_followers_on_other_nodes_are_answered_when_the_node_that_leads_dies() {
    let github = github().await;
    let mut daemons = fleet(3, &github.url(), |how| how).await;
    github.set_faults(vec![Fault::latency(SLOW_MS).on(PATH).times(1)]);
    let leader = daemons.remove(0);
    let endpoint = leader.endpoint();
    let asked = tokio::spawn(async move {
        let request = client::request(Method::GET, PATH, Some(tokens::ALICE)).body(Default::default());
        client::send(&endpoint, request.expect("a request")).await
    });
    eventually("the leader's call is under way", async || (github.counters().calls() == 1).then_some(())).await;
    let followers = futures::future::join_all(daemons.iter().map(|daemon| daemon.get(PATH, tokens::ALICE)));
    let (answers, _) = tokio::join!(followers, leader.kill());
    assert!(asked.await.expect("it did not panic").is_err(), "the leader's own caller is gone with it");
    assert!(answers.iter().all(|answer| answer.status == 200));
    let calls = github.counters().calls();
    assert!((2..=3).contains(&calls), "the dead one's call, and one or two of the others': {calls}");
}

async fn pair(github: &Sim) -> [Daemon; 2] {
    fleet(2, &github.url(), |how| how).await.try_into().expect("two daemons")
}
