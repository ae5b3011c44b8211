//! GraphQL: queries are answered from the cache, for the credential that asked; whatever else is sent passes, and makes stale
//! what it changed.

use ghmesh_github_sim::tokens::{Private, TokenSeed};
use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::client::{self, Answer, Endpoint};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Longer than a test takes, so that nothing but an invalidation makes an answer stale.
const LONG_TTL: &str = "50m";

const TITLE: &str = "query Title($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { issue(number: $number) { id title } }
}";

const RETITLE: &str = "mutation Retitle($id: ID!, $title: String!) {
  updateIssue(input: {id: $id, title: $title}) { issue { id title url } }
}";

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn alone(github: &Sim) -> Daemon {
    long_lived(DaemonBuilder::new(&github.url())).with("GHMESH_MESH__ENABLED", "false").start().await
}

fn long_lived(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GHMESH_CACHE__DEFAULT_TTL", LONG_TTL)
}

async fn post(daemon: &Daemon, token: &str, body: impl Into<bytes::Bytes>) -> Answer {
    let request = client::request(Method::POST, "/graphql", Some(token));
    daemon.send(request.header("content-type", "application/json; charset=utf-8"), body).await
}

async fn ask(daemon: &Daemon, token: &str, document: &str, variables: Value) -> Answer {
    post(daemon, token, json!({ "query": document, "variables": variables }).to_string()).await
}

fn issue(number: u64) -> Value {
    json!({ "owner": "octo", "name": "hello", "number": number })
}

/// An issue's title over GraphQL, as alice.
async fn title(daemon: &Daemon, number: u64) -> String {
    let answer = ask(daemon, tokens::ALICE, TITLE, issue(number)).await;
    answer.json()["data"]["repository"]["issue"]["title"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn id_of(daemon: &Daemon, number: u64) -> String {
    let answer = ask(daemon, tokens::ALICE, TITLE, issue(number)).await;
    answer.json()["data"]["repository"]["issue"]["id"].as_str().expect("an id").to_owned()
}

async fn rest_title(daemon: &Daemon, number: u64) -> String {
    let answer = daemon.get(&format!("/repos/octo/hello/issues/{number}"), tokens::ALICE).await;
    answer.json()["title"].as_str().expect("a title").to_owned()
}

/// Waits until asking makes no call: what was confirmed within a second of a write is not kept.
async fn kept(github: &Sim, asking: impl AsyncFn() -> String) {
    eventually("it is kept", async || {
        let calls = github.counters().calls();
        asking().await;
        (github.counters().calls() == calls).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_query_is_asked_once_however_it_is_written() {
    let github = github().await;
    let daemon = alone(&github).await;
    let first = ask(&daemon, tokens::ALICE, TITLE, issue(1)).await;
    assert_eq!((first.status.as_u16(), first.is_hit(), first.header("etag")), (200, false, ""));
    assert_eq!(first.header("cache-status"), "ghmesh; fwd=miss; stored");
    let spaced = TITLE.replace(", ", " ,\n # a comment\n ");
    let reordered =
        format!(r#"{{"variables": {{"number": 1, "name": "hello", "owner": "octo"}}, "query": {}}}"#, json!(spaced));
    let again = post(&daemon, tokens::ALICE, reordered).await;
    assert_eq!((again.header("cache-status"), again.is_hit()), ("ghmesh; hit", true));
    assert_eq!((again.body, github.counters().calls()), (first.body, 1));

    let by_url =
        client::request(Method::POST, "/api/graphql", Some(tokens::ALICE)).header("content-type", "application/json");
    let by_url = by_url.body(json!({ "query": TITLE, "variables": issue(1) }).to_string().into()).expect("a request");
    let (mut head, body) = by_url.into_parts();
    let address = daemon.tcp().await;
    head.headers.insert("host", address.to_string().parse().expect("a header"));
    let by_url = client::send(&Endpoint::Tcp(address), http::Request::from_parts(head, body)).await.expect("an answer");
    assert!(by_url.is_hit(), "a base URL leads to the same: {by_url:?}");
    assert_eq!(title(&daemon, 2).await, rest_title(&daemon, 2).await, "other variables, another answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_under_way_are_joined_also_across_the_fleet() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), long_lived).await;
    github.set_faults(vec![Fault::latency(500)]);
    let asked = daemons.iter().flat_map(|daemon| (0..5).map(move |_| ask(daemon, tokens::ALICE, TITLE, issue(1))));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(github.counters().calls(), 1, "ten callers of two nodes at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_waits_for_another_s_query() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), long_lived).await;
    github.set_faults(vec![Fault::latency(2_000)]);
    let pairs = [(0, tokens::ALICE), (1, tokens::ALICE_SECOND), (0, tokens::BOB)];
    let asked = pairs.map(|(node, token)| ask(&daemons[node], token, TITLE, issue(1)));
    assert!(futures::future::join_all(asked).await.iter().all(|answer| answer.status == 200));
    let counters = github.counters();
    assert_eq!((counters.calls(), counters.max_in_flight), (3, 3), "an answer proves nothing to who gets it next");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_has_asked_another_need_not() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), long_lived).await;
    let many = "{repository(owner:\"octo\",name:\"hello\"){issues(first:100){nodes{id title body url createdAt}}}}";
    for document in ["{repository(owner:\"octo\",name:\"hello\"){id}}", many] {
        let calls = github.counters().calls();
        let first = ask(&daemons[0], tokens::ALICE, document, json!({})).await;
        let second = ask(&daemons[1], tokens::ALICE, document, json!({})).await;
        assert_eq!((second.header("cache-status"), second.header("etag")), ("ghmesh; hit; detail=peer", ""));
        assert_eq!((second.body, github.counters().calls()), (first.body, calls + 1), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_credential_asks_for_itself() {
    for sharing in ["proof", "mesh"] {
        let github = github().await;
        let daemons = fleet(2, &github.url(), |how| long_lived(how).with("GHMESH_CACHE__SHARING", sharing)).await;
        let secret = "{repository(owner:\"octo\",name:\"secret\"){id}}";
        let asked = ask(&daemons[0], tokens::ALICE, secret, json!({})).await;
        assert!(asked.json()["data"]["repository"]["id"].is_string());
        for daemon in &daemons {
            let bob = ask(daemon, tokens::BOB, secret, json!({})).await;
            assert_eq!(bob.json()["errors"][0]["type"], "NOT_FOUND", "{sharing}");
        }
        assert_eq!(github.counters().calls(), 3, "{sharing}");
        let second = ask(&daemons[1], tokens::ALICE_SECOND, secret, json!({})).await;
        assert_eq!((second.is_hit(), second.body), (false, asked.body), "{sharing}: the same rights prove nothing");
        assert_eq!(github.counters().calls(), 4, "{sharing}");
    }
}

#[tokio::test]
async fn trap_6_graphql_errors_are_never_stored_and_limits_bring_back_what_is_kept() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let daemon = how.with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    for calls in 1..=2 {
        let nothing = json!({ "owner": "octo", "name": "nothing", "number": 1 });
        let answer = ask(&daemon, tokens::ALICE, TITLE, nothing).await;
        assert_eq!((answer.status.as_u16(), answer.is_hit()), (200, false));
        assert_eq!(answer.json()["errors"][0]["type"], "NOT_FOUND");
        assert_eq!(github.counters().calls(), calls);
    }
    let kept = title(&daemon, 1).await;
    eventually("it has expired", async || {
        let request =
            client::request(Method::POST, "/graphql", Some(tokens::ALICE)).header("cache-control", "only-if-cached");
        let body = json!({ "query": TITLE, "variables": issue(1) }).to_string();
        (daemon.send(request.header("content-type", "application/json"), body).await.status == 504).then_some(())
    })
    .await;
    let limited = r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}"#;
    github.set_faults(vec![Fault { body: Some(limited.to_owned()), ..Fault::status(200) }]);
    let stale = ask(&daemon, tokens::ALICE, TITLE, issue(1)).await;
    assert_eq!(stale.header("cache-status"), "ghmesh; hit; detail=stale");
    assert_eq!(stale.json()["data"]["repository"]["issue"]["title"], kept);
    let unknown = ask(&daemon, tokens::ALICE, TITLE, issue(2)).await;
    assert_eq!((unknown.json()["errors"][0]["type"].clone(), unknown.is_hit()), (json!("RATE_LIMITED"), false));
    github.set_faults(Vec::new());
    assert_eq!(title(&daemon, 2).await, rest_title(&daemon, 2).await, "GitHub's own answer, once it gives one");
}

#[tokio::test]
async fn trap_3_and_threat_20_what_is_no_plain_query_passes_and_is_never_stored() {
    let github = github().await;
    let daemon = alone(&github).await;
    let plain = json!({ "query": "{viewer{login}}" }).to_string();
    let padded = format!("{{\"query\":\"{{viewer{{login}}}}{}\"}}", " ".repeat(300 * 1024));
    let bodies = [
        json!({ "query": "{viewer{login} rateLimit{remaining}}" }).to_string(),
        json!({ "query": "{viewer{login} a:rateLimit{cost}}" }).to_string(),
        json!({ "query": "subscription{a}" }).to_string(),
        json!({ "query": "query A{viewer{login}} query B{viewer{login}}" }).to_string(),
        json!({ "query": "{viewer{login}}", "extensions": {} }).to_string(),
        r#"{"query":"{viewer{login}}","query":"{viewer{id}}"}"#.to_owned(),
        format!("[{plain}]"),
        "{viewer".to_owned(),
        json!({ "query": format!("{}{}", "{a".repeat(20_000), "}".repeat(20_000)) }).to_string(),
        "[".repeat(200_000),
        padded,
    ];
    for body in bodies {
        let calls = github.counters().calls();
        let answers =
            [post(&daemon, tokens::ALICE, body.clone()).await, post(&daemon, tokens::ALICE, body.clone()).await];
        let start = &body[..body.len().min(80)];
        assert!(
            answers.iter().all(|answer| answer.header("cache-status").starts_with("ghmesh; fwd=method")),
            "{start}"
        );
        assert_eq!(github.counters().calls(), calls + 2, "{start}");
    }
    let id = id_of(&daemon, 1).await;
    let comment = "# query\nmutation($id:ID!){addComment(input:{subjectId:$id,body:\"twice\"}){subject{id}}}";
    for _ in 0..2 {
        assert!(ask(&daemon, tokens::ALICE, comment, json!({ "id": id })).await.json()["errors"].is_null());
    }
    let comments = daemon.get("/repos/octo/hello/issues/1/comments?per_page=100", tokens::ALICE).await.json();
    let twice = comments.as_array().expect("a list").iter().filter(|comment| comment["body"] == "twice").count();
    assert_eq!(twice, 2, "each was sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_10_a_mutation_makes_stale_what_it_changed_at_once_here_and_soon_elsewhere() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), long_lived).await;
    let id = id_of(&daemons[0], 1).await;
    let unplaced = RETITLE.replace(" title url", "");
    for (document, wanted) in [(RETITLE, "Placed by its URL"), (unplaced.as_str(), "Placed by nothing")] {
        for daemon in &daemons {
            assert_ne!(title(daemon, 1).await, wanted);
            assert_ne!(rest_title(daemon, 1).await, wanted);
        }
        kept(&github, async || title(&daemons[1], 1).await).await;
        let changed = ask(&daemons[0], tokens::ALICE, document, json!({ "id": id, "title": wanted })).await;
        assert!(changed.json()["errors"].is_null(), "{changed:?}");
        assert_eq!((title(&daemons[0], 1).await, rest_title(&daemons[0], 1).await), (wanted.into(), wanted.into()));
        eventually("the other node has heard of it", async || {
            let told = title(&daemons[1], 1).await == wanted && rest_title(&daemons[1], 1).await == wanted;
            told.then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_write_makes_graphql_answers_stale_that_show_what_was_written() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), long_lived).await;
    // By its former name nothing but the issue's node id tells that it is the same.
    let former = json!({ "owner": "octo", "name": "old-hello", "number": 3 });
    let shown = async |daemon: &Daemon, variables: &Value| {
        let answer = ask(daemon, tokens::ALICE, TITLE, variables.clone()).await;
        answer.json()["data"]["repository"]["issue"]["title"].as_str().expect("a title").to_owned()
    };
    for (variables, wanted) in [(issue(3), "By name"), (former, "By node id")] {
        for daemon in &daemons {
            assert_ne!(shown(daemon, &variables).await, wanted);
        }
        kept(&github, async || shown(&daemons[0], &variables).await).await;
        let request = client::request(Method::PATCH, "/repos/octo/hello/issues/3", Some(tokens::ALICE));
        let written = daemons[0].send(request, json!({ "title": wanted }).to_string()).await;
        assert_eq!((written.status.as_u16(), written.json()["title"].as_str()), (200, Some(wanted)));
        assert_eq!(shown(&daemons[0], &variables).await, wanted, "the writer reads what it wrote");
        let heard = async || (shown(&daemons[1], &variables).await == wanted).then_some(());
        eventually("the other node has heard of it", heard).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_10_a_query_under_way_during_a_write_is_no_answer_to_who_asks_after_it() {
    let github = github().await;
    let daemon = alone(&github).await;
    let former = json!({ "owner": "octo", "name": "old-hello", "number": 4 });
    github.set_faults(vec![Fault { path: "/graphql".to_owned(), ..Fault::latency(3_000).times(1) }]);
    let after_it_has_begun = async {
        eventually("the query is under way", async || (github.counters().in_flight == 1).then_some(())).await;
        let request = client::request(Method::PATCH, "/repos/octo/hello/issues/4", Some(tokens::ALICE));
        assert_eq!(daemon.send(request, r#"{"title":"Written meanwhile"}"#).await.status, 200);
        ask(&daemon, tokens::ALICE, TITLE, former.clone()).await
    };
    let (before, after) = futures::join!(ask(&daemon, tokens::ALICE, TITLE, former.clone()), after_it_has_begun);
    let title = |answer: &Answer| answer.json()["data"]["repository"]["issue"]["title"].clone();
    assert_ne!(title(&before), "Written meanwhile", "GitHub had answered it before");
    assert_eq!(title(&after), "Written meanwhile");
}

#[tokio::test]
async fn threat_8_a_refusal_over_rest_takes_back_graphql_answers() {
    let github = github().await;
    let daemon = alone(&github).await;
    let secret = "{repository(owner:\"octo\",name:\"secret\"){id}}";
    assert!(ask(&daemon, tokens::CAROL, secret, json!({})).await.json()["data"]["repository"]["id"].is_string());
    assert!(ask(&daemon, tokens::CAROL, secret, json!({})).await.is_hit());
    let lost = TokenSeed {
        token: tokens::CAROL.to_owned(),
        user: "carol".to_owned(),
        private: Private::None,
        ..TokenSeed::default()
    };
    github.put_token(lost);
    assert_eq!(daemon.get("/repos/octo/secret", tokens::CAROL).await.status, 404);
    let refused = ask(&daemon, tokens::CAROL, secret, json!({})).await;
    assert_eq!((refused.is_hit(), refused.json()["errors"][0]["type"].clone()), (false, json!("NOT_FOUND")));
}

#[tokio::test]
async fn offline_a_query_is_answered_from_the_cache_and_nothing_is_sent() {
    let github = github().await;
    let daemon = alone(&github).await;
    let known = title(&daemon, 1).await;
    let id = id_of(&daemon, 1).await;
    let daemon = daemon.stop().await.with("GHMESH_POLICY__MODE", "offline").start().await;
    let calls = github.counters().calls();
    assert_eq!(title(&daemon, 1).await, known);
    let unknown = ask(&daemon, tokens::ALICE, TITLE, issue(2)).await;
    let mutation = ask(&daemon, tokens::ALICE, RETITLE, json!({ "id": id, "title": "Offline" })).await;
    for refused in [unknown, mutation] {
        assert_eq!(refused.status, 504);
        assert!(refused.json()["message"].as_str().is_some_and(|message| message.starts_with("ghmesh: ")));
    }
    assert_eq!((github.counters().calls(), title(&daemon, 1).await), (calls, known));
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_hangs_nobody_and_reaches_nobody() {
    let github = github().await;
    let daemon = alone(&github).await;
    let mut caller = UnixStream::connect(daemon.socket()).await.expect("the daemon listens");
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: api.github.com\r\nauthorization: token {}\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{{\"query\":\"mutation{{",
        tokens::ALICE
    );
    caller.write_all(head.as_bytes()).await.expect("it reads");
    caller.shutdown().await.expect("half of the connection closes");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), caller.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection ends");
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(github.counters().calls(), 0);
    assert!(!title(&daemon, 1).await.is_empty(), "others are answered");
}

#[tokio::test]
async fn a_change_elsewhere_shows_once_the_time_is_over() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let daemon = how.with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    let before = title(&daemon, 1).await;
    let path = "/repos/octo/hello/issues/1";
    let updated = "{repository(owner:\"octo\",name:\"hello\"){issue(number:1){updatedAt}}}";
    let first = ask(&daemon, tokens::ALICE, updated, json!({})).await.body;
    github.touch(path).expect("it is there");
    eventually("the change shows", async || {
        (ask(&daemon, tokens::ALICE, updated, json!({})).await.body != first).then_some(())
    })
    .await;
    assert_eq!(title(&daemon, 1).await, before);
}
