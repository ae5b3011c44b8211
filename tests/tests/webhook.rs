//! GitHub's webhooks: signed deliveries make what they tell of stale on every node, and nothing else does anything.

use bytes::Bytes;
use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_policy::webhook::MAX_PAYLOAD_BYTES;
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

const SECRET: &str = "what the hook and the daemon share";
const PATH: &str = "/_ghmesh/webhook";

fn with_secret(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GHMESH_WEBHOOK__SECRET", SECRET).with("GHMESH_CACHE__DEFAULT_TTL", "1h")
}

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn alone(github: &Sim) -> Daemon {
    with_secret(DaemonBuilder::new(&github.url())).with("GHMESH_MESH__ENABLED", "false").start().await
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key").chain_update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// A delivery as GitHub sends it, but for what `headers` say otherwise; an empty value leaves a header out.
async fn send(daemon: &Daemon, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let signed = signature(SECRET, body);
    let usual = [
        ("host", "hooks.example"),
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", signed.as_str()),
    ];
    let others = usual.iter().filter(|(name, _)| headers.iter().all(|(given, _)| given != name));
    let all = others.chain(headers).filter(|(_, value)| !value.is_empty());
    let request = all.fold(Request::post(PATH), |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
    let endpoint = client::Endpoint::Tcp(daemon.tcp().await);
    client::send(&endpoint, request).await.expect("the gateway answers")
}

async fn deliver(daemon: &Daemon, event: &str, payload: &Value) -> Answer {
    send(daemon, payload.to_string().as_bytes(), &[("x-github-event", event)]).await
}

/// An event about `octo/hello`, whose body no other has.
fn about_hello(number: usize) -> Value {
    json!({
        "action": "happened",
        "number": number,
        "repository": { "id": 1, "full_name": "octo/hello", "url": "https://github.com/octo/hello" },
        "organization": { "login": "octo" },
        "sender": { "url": "https://api.github.com/users/alice" },
    })
}

async fn get(daemon: &Daemon, path: &str) -> Answer {
    daemon.get(path, tokens::ALICE).await
}

/// Whether the node would answer this without asking GitHub. Makes no call.
async fn is_fresh(daemon: &Daemon, path: &str) -> bool {
    let request = client::request(Method::GET, path, Some(tokens::ALICE)).header("cache-control", "only-if-cached");
    daemon.send(request, "").await.status.is_success()
}

/// Waits until it is kept: what is fetched within a second after it became stale doesn't count. Asks rarely, as a credential has
/// 900 points a minute.
async fn kept(daemon: &Daemon, path: &str) {
    eventually(&format!("{path} is kept"), async || {
        if is_fresh(daemon, path).await {
            return Some(());
        }
        get(daemon, path).await;
        let kept = is_fresh(daemon, path).await;
        if !kept {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        kept.then_some(())
    })
    .await;
}

/// What a repository has, one path for each kind of thing that changes by itself.
const PATHS: [&str; 11] = [
    "/repos/octo/hello",
    "/repos/octo/hello/git/ref/heads/main",
    "/repos/octo/hello/branches",
    "/repos/octo/hello/commits",
    "/repos/octo/hello/issues",
    "/repos/octo/hello/issues/1",
    "/repos/octo/hello/pulls",
    "/repos/octo/hello/labels",
    "/repos/octo/hello/actions/runs",
    "/repos/octo/hello/releases",
    "/repos/octo/other-things-of-nobody/issues",
];

const OWN: &[&str] = &["/repos/octo/hello"];
/// A push starts runs, and may move what releases are made of.
const CODE: &[&str] = &[
    "/repos/octo/hello/actions/runs",
    "/repos/octo/hello/releases",
    "/repos/octo/hello",
    "/repos/octo/hello/git/ref/heads/main",
    "/repos/octo/hello/branches",
    "/repos/octo/hello/commits",
    "/repos/octo/hello/pulls",
];
/// What is below `commits` and `branches` shows pull requests and checks.
const TALK: &[&str] = &[
    "/repos/octo/hello",
    "/repos/octo/hello/issues",
    "/repos/octo/hello/issues/1",
    "/repos/octo/hello/pulls",
    "/repos/octo/hello/labels",
    "/repos/octo/hello/branches",
    "/repos/octo/hello/commits",
];
const CHECKS: &[&str] = &["/repos/octo/hello/actions/runs", "/repos/octo/hello/branches", "/repos/octo/hello/commits"];
const RELEASES: &[&str] = &["/repos/octo/hello/releases"];
const EVERYTHING: &[&str] = &PATHS;

#[tokio::test(flavor = "multi_thread")]
async fn threat_21_each_event_makes_exactly_what_it_tells_of_ask_again() {
    let github = github().await;
    let daemon = alone(&github).await;
    let mut known = Vec::new();
    for path in PATHS {
        if get(&daemon, path).await.status == 200 {
            known.push(path);
        }
    }
    assert!(known.len() >= 8, "{known:?}");
    let events: [(&str, &[&str]); 20] = [
        ("push", CODE),
        ("create", CODE),
        ("pull_request", TALK),
        ("issues", TALK),
        ("issue_comment", TALK),
        ("label", TALK),
        ("milestone", TALK),
        ("check_run", CHECKS),
        ("check_suite", CHECKS),
        ("status", CHECKS),
        ("workflow_run", CHECKS),
        ("workflow_job", CHECKS),
        ("release", RELEASES),
        ("star", OWN),
        ("repository", EVERYTHING),
        ("public", EVERYTHING),
        ("member", EVERYTHING),
        ("team", EVERYTHING),
        ("organization", EVERYTHING),
        ("installation", EVERYTHING),
    ];
    for (number, (event, stale)) in events.into_iter().enumerate() {
        for path in &known {
            kept(&daemon, path).await;
        }
        let answer = deliver(&daemon, event, &about_hello(number)).await;
        assert_eq!(answer.status, 202, "{event}: {:?}", answer.body);
        for path in &known {
            assert_eq!(is_fresh(&daemon, path).await, !stale.contains(path), "{path} after {event}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_21_what_one_node_hears_is_stale_on_the_others_and_free_to_confirm() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), with_secret).await;
    let path = "/repos/octo/hello/issues/1";
    for daemon in &daemons {
        assert_eq!(get(daemon, path).await.status, 200);
        assert!(is_fresh(daemon, path).await);
    }
    assert_eq!(deliver(&daemons[0], "issues", &about_hello(1)).await.status, 202);
    assert!(!is_fresh(&daemons[0], path).await, "stale before the delivery is answered");
    eventually("the other node has heard of it", async || (!is_fresh(&daemons[1], path).await).then_some(())).await;
    let charged = github.counters().charged();
    kept(&daemons[0], path).await;
    assert_eq!(github.counters().charged(), charged);
}

/// Headers, the status that they lead to, and words of its message.
type Refused<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn threat_21_what_is_not_signed_or_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let github = github().await;
    let daemon = alone(&github).await;
    let path = "/repos/octo/hello/commits";
    get(&daemon, path).await;
    let body = about_hello(1).to_string();
    let other = signature("another secret, as long as ours", body.as_bytes());
    let of_other_body = signature(SECRET, b"{}");
    let cases: [Refused<'_>; 8] = [
        (&[("x-hub-signature-256", "")], 401, "no X-Hub-Signature-256"),
        (&[("x-hub-signature-256", &other)], 401, "differ"),
        (&[("x-hub-signature-256", &of_other_body)], 401, "differ"),
        (&[("x-hub-signature-256", "sha256=00")], 401, "differ"),
        (&[("x-hub-signature-256", ""), ("x-hub-signature", "sha1=00")], 401, "no X-Hub-Signature-256"),
        (&[("content-type", "application/x-www-form-urlencoded")], 415, "application/json"),
        (&[("x-github-event", "")], 400, "X-GitHub-Event"),
        (&[("origin", "https://evil.example")], 403, "browser"),
    ];
    for (headers, status, words) in cases {
        let answer = send(&daemon, body.as_bytes(), headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("cache-status").split(';').next(), Some("ghmesh"));
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.starts_with("ghmesh: ") && message.contains(words), "{headers:?}: {message}");
    }
    for garbage in [&b"garbage"[..], b"", b"[]", b"{\"repository\":", b"\xff\xfe"] {
        assert_eq!(send(&daemon, garbage, &[]).await.status, 400, "{garbage:?}");
    }
    assert!(is_fresh(&daemon, path).await);
    assert_eq!(send(&daemon, body.as_bytes(), &[]).await.status, 202, "none of these counts as the first delivery");
    assert!(!is_fresh(&daemon, path).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_21_a_delivery_that_comes_again_changes_nothing_whatever_its_headers_say() {
    let github = github().await;
    let daemon = alone(&github).await;
    let path = "/repos/octo/hello/commits";
    let payload = about_hello(1);
    assert!(deliver(&daemon, "push", &payload).await.json()["message"].as_str().expect("text").contains("is stale"));
    kept(&daemon, path).await;
    for event in ["push", "repository", "github_app_authorization"] {
        let answer = deliver(&daemon, event, &payload).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["message"].as_str()),
            (202, Some("ghmesh: this delivery has come before"))
        );
    }
    assert!(is_fresh(&daemon, path).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_21_a_body_that_is_too_large_is_refused_before_it_is_read() {
    let github = github().await;
    let daemon = alone(&github).await;
    let before = daemon.peak_memory();
    let length = (MAX_PAYLOAD_BYTES + 1).to_string();
    let request = Request::post(PATH).header("x-hub-signature-256", "sha256=00").header("content-length", length);
    let request = request.body(http_body_util::Empty::<Bytes>::new()).expect("a request");
    // Nothing of the body comes: an answer means that nobody waited for it.
    let answer = client::open(&client::Endpoint::Tcp(daemon.tcp().await), request).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 413));
    let endless = http_body_util::StreamBody::new(futures::stream::repeat_with(|| {
        Ok::<_, client::BoxError>(http_body::Frame::data(Bytes::from_static(&[b' '; 65_536])))
    }));
    let request = Request::post(PATH).header("x-hub-signature-256", "sha256=00").body(endless).expect("a request");
    // The gateway answers and closes while the sender is still at it, which may end the exchange before the answer is read.
    let answer = client::open(&client::Endpoint::Tcp(daemon.tcp().await), request).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 413));
    let grown = daemon.peak_memory() - before;
    assert!(grown < 4 * (MAX_PAYLOAD_BYTES as u64 / 1024), "{grown} KiB");
    assert_eq!(send(&daemon, about_hello(1).to_string().as_bytes(), &[]).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_the_path_says_how_to_set_one() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    let answer = deliver(&daemon, "push", &about_hello(1)).await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["message"].as_str().is_some_and(|message| message.contains("webhook.secret_file")));
    let daemon = alone(&github).await;
    let request = Request::get(PATH).header("host", "localhost");
    let answer = daemon.send(request, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
}
