//! A credential that may not read a repository tries every way to what others fetched of it: it never sees a body, nor a 200.

use bytes::Bytes;
use ghmesh_github_sim::tokens::{self, Private, TokenSeed};
use ghmesh_github_sim::{Config, Fault, Mutation, Sim};
use ghmesh_model::wire::{Response, Shared, Validation};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::forger::{Forge, Forger};
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use std::sync::Arc;

/// What the victims read and the attackers may not.
const ISSUE: &str = "/repos/octo/secret/issues/1";
const LIST: &str = "/repos/octo/secret/issues?per_page=2";
const REPOSITORY: &str = "/repos/octo/secret";
const COMMIT_LIST: &str = "/repos/octo/secret/commits";
const TARGETS: [&str; 4] = [ISSUE, LIST, REPOSITORY, COMMIT_LIST];

/// Longer than any answer of the simulated GitHub takes otherwise: time to join a flight.
const SLOW_MS: u64 = 500;

/// Who attacks: another user, a job of another repository, a revoked token, one that nobody knows, a password, and nobody.
const ATTACKERS: [Option<&str>; 6] = [
    Some("token ghp_bob000000000000000000000000000000000"),
    Some("Bearer ghs_actions00000000000000000000000000000"),
    Some("token ghp_revoked00000000000000000000000000000"),
    Some("token ghp_nobody00000000000000000000000000000000"),
    Some("Basic Ym9iOmd1ZXNz"),
    None,
];

/// What a request may hold that asks a cache for more than it should give.
const TRICKS: [(&str, &str); 11] = [
    ("accept-language", "en"),
    ("cache-control", "only-if-cached"),
    ("cache-control", "only-if-cached, max-stale"),
    ("cache-control", "max-stale=31536000"),
    ("x-gh-cache-ttl", "8760h0m0s"),
    ("if-none-match", "*"),
    ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ("range", "bytes=0-0"),
    ("if-range", "\"anything\""),
    ("accept", "application/vnd.github.raw+json"),
    ("cookie", "user_session=alice"),
];

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn lasting(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")
}

async fn pair(github: &Sim) -> [Daemon; 2] {
    fleet(2, &github.url(), lasting).await.try_into().expect("two daemons")
}

fn request(method: Method, path: &str, authorization: Option<&str>) -> http::request::Builder {
    let request = client::request(method, path, None);
    authorization.into_iter().fold(request, |request, value| request.header("authorization", value))
}

/// What a victim read, on that node.
async fn read_by_victim(daemon: &Daemon) -> Vec<Answer> {
    let mut answers = Vec::new();
    for path in TARGETS {
        let answer = daemon.get(path, tokens::ALICE).await;
        assert_eq!(answer.status, 200, "{path}");
        answers.push(answer);
    }
    answers
}

/// Fails if an answer shows anything of what the victims read.
fn shows_nothing(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    assert!(status >= 400, "{what}: {status} {:?}", answer.headers);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("octo/secret") && !text.contains("secret of octo"), "{what}: {text}");
    for name in ["link", "last-modified", "age"] {
        assert_eq!(answer.header(name), "", "{what}: {name}");
    }
    assert!(!answer.is_hit(), "{what}: {:?}", answer.headers);
}

async fn attempt(daemon: &Daemon, request: http::request::Builder, what: &str) {
    shows_nothing(&daemon.send(request, Bytes::new()).await, what);
}

/// Every attacker, method and trick, for these paths.
async fn all_tricks(daemon: &Daemon, paths: &[&str]) {
    for path in paths {
        for attacker in ATTACKERS {
            for method in [Method::GET, Method::HEAD] {
                for (name, value) in TRICKS {
                    let what = format!("{method} {path} by {attacker:?} with {name}: {value}");
                    attempt(daemon, request(method.clone(), path, attacker).header(name, value), &what).await;
                }
            }
        }
    }
}

/// The plain request and the two that make no call, by every attacker.
async fn plain_tricks(daemon: &Daemon, paths: &[&str]) {
    for path in paths {
        for attacker in ATTACKERS {
            for (name, value) in &TRICKS[..3] {
                let what = format!("{path} by {attacker:?} with {name}: {value}");
                attempt(daemon, request(Method::GET, path, attacker).header(*name, *value), &what).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_gives_nothing_whatever_is_asked_of_the_cache() {
    let github = github().await;
    let how = lasting(DaemonBuilder::new(&github.url())).with("GHMESH_MESH__ENABLED", "false");
    let daemon = how.start().await;
    let read = read_by_victim(&daemon).await;
    all_tricks(&daemon, &TARGETS).await;
    for (path, answer) in TARGETS.iter().zip(&read) {
        for attacker in ATTACKERS {
            let with_tag = request(Method::GET, path, attacker).header("if-none-match", answer.header("etag"));
            attempt(&daemon, with_tag, "who has learned the victim's ETag").await;
        }
        assert!(daemon.get(path, tokens::ALICE).await.is_hit(), "the victim has what it had");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_gives_nothing_after_a_restart() {
    let github = github().await;
    let daemon = lasting(DaemonBuilder::new(&github.url())).start().await;
    read_by_victim(&daemon).await;
    let daemon = daemon.kill().await.start().await;
    plain_tricks(&daemon, &TARGETS).await;
    let daemon = daemon.stop().await.with("GHMESH_MESH__ENABLED", "false").start().await;
    plain_tricks(&daemon, &TARGETS).await;
    assert!(daemon.get(ISSUE, tokens::ALICE).await.is_hit(), "it was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_pushed_or_is_asked_for_gives_nothing() {
    let github = github().await;
    let [one, two] = pair(&github).await;
    read_by_victim(&one).await;
    eventually("the other has been told", async || (two.count("entries").await >= TARGETS.len() as u64).then_some(()))
        .await;
    plain_tricks(&two, &TARGETS).await;
    // One that was told nothing, and can only ask.
    let late = lasting(DaemonBuilder::new(&github.url())).with("GHMESH_MESH__BOOTSTRAP", &one.address().await);
    let late = late.start().await;
    late.connected(2).await;
    plain_tricks(&late, &TARGETS).await;
    assert_eq!(late.count("peer_hits").await, 0);
    assert!(late.get(ISSUE, tokens::ALICE).await.is_hit(), "they have it for whom it is");
}

/// Attackers ask while a victim's fetch is under way, on the nodes `with`.
async fn beside_a_flight(github: &Sim, victims: &Daemon, with: &[&Daemon]) {
    github.set_faults(vec![Fault::latency(SLOW_MS)]);
    for path in [ISSUE, LIST] {
        github.reset_counters();
        let victim = async { victims.get(path, tokens::ALICE).await };
        let attackers = async {
            eventually("the victim's call is under way", async || (github.counters().in_flight > 0).then_some(()))
                .await;
            let asked = with.iter().flat_map(|daemon| {
                ATTACKERS.map(|attacker| daemon.send(request(Method::GET, path, attacker), Bytes::new()))
            });
            futures::future::join_all(asked).await
        };
        let (victim, attackers) = tokio::join!(victim, attackers);
        assert_eq!(victim.status, 200);
        attackers.iter().for_each(|answer| shows_nothing(answer, "beside a flight"));
    }
    github.set_faults(Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_flight_gives_nothing_on_the_same_node_nor_on_others() {
    let github = github().await;
    let alone = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    beside_a_flight(&github, &alone, &[&alone]).await;
    let [one, two] = pair(&github).await;
    beside_a_flight(&github, &one, &[&one, &two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_is_down_makes_nobody_read_what_is_stale() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_CACHE__DEFAULT_TTL", "1s");
    let daemon = how.with("GHMESH_MESH__ENABLED", "false").start().await;
    read_by_victim(&daemon).await;
    for path in TARGETS {
        daemon.expired(path, tokens::ALICE).await;
    }
    for fault in [Fault::dropped(), Fault::status(502)] {
        github.set_faults(vec![fault]);
        for path in TARGETS {
            let victim = daemon.get(path, tokens::ALICE).await;
            assert_eq!(victim.header("cache-status"), "ghmesh; hit; detail=stale", "{path}");
        }
        all_tricks(&daemon, &[ISSUE]).await;
    }
    github.shutdown().await;
    let daemon = daemon.kill().await.start().await;
    plain_tricks(&daemon, &TARGETS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_a_repository_give_nothing() {
    let github = github().await;
    let [one, two] = pair(&github).await;
    let id = read_by_victim(&one).await[2].json()["id"].clone();
    let names = [
        "/repos/OCTO/Secret/issues/1".to_owned(),
        "/repos/octo/%73ecret/issues/1".to_owned(),
        "/repos/octo/secret/issues/1?".to_owned(),
        format!("/repositories/{id}/issues/1"),
        format!("/repositories/{id}"),
    ];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    plain_tricks(&one, &names).await;
    plain_tricks(&two, &names).await;
    let rename = Mutation::Rename { repository: "octo/secret".to_owned(), name: "hidden".to_owned() };
    github.mutate(&rename).expect("it is there");
    let renamed = ["/repos/octo/hidden", "/repos/octo/hidden/issues/1", "/repos/octo/secret/issues/1"];
    plain_tricks(&one, &renamed).await;
    // The victim reads it under its new name; its former one may now be somebody else's.
    assert_eq!(one.get("/repos/octo/hidden/issues/1", tokens::ALICE).await.status, 200);
    plain_tricks(&one, &renamed).await;
    plain_tricks(&two, &renamed).await;
}

/// A query for what only some may see, and one that differs in nothing but its layout: the same to the cache.
const QUERIES: [&str; 2] = [
    r#"{"query":"query { repository(owner: \"octo\", name: \"secret\") { nameWithOwner issue(number: 1) { title } } }"}"#,
    r#"{"query":"query{repository(owner:\"octo\",name:\"secret\"){nameWithOwner,issue(number:1){title}}}"}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn graphql_answers_are_their_credentials_own() {
    let github = github().await;
    let nodes = pair(&github).await;
    let query = |authorization: Option<&str>| {
        request(Method::POST, "/graphql", authorization).header("content-type", "application/json")
    };
    let victim = Some("token ghp_alice0000000000000000000000000000000");
    for daemon in &nodes {
        let read = daemon.send(query(victim), QUERIES[0]).await;
        assert_eq!(read.json()["data"]["repository"]["nameWithOwner"], "octo/secret", "{read:?}");
    }
    assert!(nodes[1].send(query(victim), QUERIES[1]).await.is_hit(), "it is kept");
    let title = nodes[0].get(ISSUE, tokens::ALICE).await.json()["title"].as_str().expect("a title").to_owned();
    for daemon in &nodes {
        for (attacker, document) in ATTACKERS.iter().flat_map(|attacker| QUERIES.map(|document| (attacker, document))) {
            for (name, value) in &TRICKS[..5] {
                let answer = daemon.send(query(*attacker).header(*name, *value), document).await;
                let text = String::from_utf8_lossy(&answer.body);
                assert!(!answer.is_hit() && !text.contains(&title), "{attacker:?} with {name}: {value}: {text}");
                assert!(answer.json()["data"]["repository"].is_null(), "{attacker:?}: {text}");
            }
        }
    }
}

/// From now on the token may read no private repository.
fn revoke(github: &Sim) {
    let carol =
        TokenSeed { token: tokens::CAROL.into(), user: "carol".into(), private: Private::None, ..TokenSeed::default() };
    github.put_token(carol);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_a_repository_reads_none_of_it_once_github_has_said_so_whoever_else_may() {
    let github = github().await;
    let [one, _two] = pair(&github).await;
    read_by_victim(&one).await;
    for path in TARGETS {
        assert_eq!(one.get(path, tokens::CAROL).await.status, 200, "she may, so far");
    }
    revoke(&github);
    let ask = |name: &'static str, value: &'static str, path: &'static str| {
        client::request(Method::GET, path, Some(tokens::CAROL)).header(name, value)
    };
    attempt(&one, ask("cache-control", "no-cache", ISSUE), "GitHub says no").await;
    for fault in [None, Some(Fault::dropped())] {
        github.set_faults(fault.into_iter().collect());
        for path in TARGETS {
            for (name, value) in TRICKS {
                attempt(&one, ask(name, value, path), &format!("{path} with {name}: {value}")).await;
            }
        }
    }
    // Others read it anew, and that changes nothing for her.
    github.set_faults(Vec::new());
    let again = client::request(Method::GET, ISSUE, Some(tokens::ALICE)).header("cache-control", "no-cache");
    assert_eq!(one.send(again, "").await.status, 200);
    let one = one.kill().await.start().await;
    for path in TARGETS {
        attempt(&one, ask("cache-control", "only-if-cached", path), path).await;
        attempt(&one, ask("accept-language", "en", path), path).await;
    }
}

// A member that lies about permission: it has the mesh secret, heard the body, and wants an attacker's node to show it.

fn lease(known: Vec<Shared>) -> Response {
    Response::Lease { lease_ms: 1_000, behind_ms: None, known }
}

/// It heard alice's answers, and forges for whoever else asks.
async fn forging(github: &Sim, forge: Forge) -> ([Daemon; 2], Arc<Forger>) {
    let nodes = pair(github).await;
    let forger = Forger::join(&nodes, forge).await;
    read_by_victim(&nodes[0]).await;
    eventually("the forger has heard all", async || (forger.heard() >= TARGETS.len()).then_some(())).await;
    (nodes, forger)
}

#[tokio::test(flavor = "multi_thread")]
async fn validations_that_a_member_forges_permit_nothing() {
    let forgeries: [Forge; 4] = [
        |forger, shared, stored, fingerprint| {
            let forged = forger.validated(shared, stored, fingerprint, vec![7; 32]);
            // To everybody, and before anybody can tell.
            let _ = forger.mesh.publish(forged.clone());
            Response::Have { records: vec![forged] }
        },
        // The victim's own MAC.
        |forger, shared, stored, fingerprint| {
            let mac = stored.validation.mac.clone();
            Response::Have { records: vec![forger.validated(shared, stored, fingerprint, mac)] }
        },
        // One of a credential that it does hold.
        |forger, shared, stored, fingerprint| {
            let stamp = forger.author.stamp();
            let validation = Validation { fingerprint, ..stored.validation.clone() };
            let input = validation.mac_input(&stamp, &stored.representation.headers);
            let mac = forger.ring.validation_mac(b"token ghp_forger", &input).to_vec();
            Response::Have { records: vec![forger.validated(shared, stored, fingerprint, mac)] }
        },
        // The victim's record as it is, in answer to another's question.
        |_, shared, _, _| Response::Have { records: vec![shared.clone()] },
    ];
    for forge in forgeries {
        let github = github().await;
        let (nodes, _forger) = forging(&github, forge).await;
        for node in &nodes {
            plain_tricks(node, &TARGETS).await;
            plain_tricks(node, &TARGETS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_a_member_offers_as_known_permit_nothing() {
    let github = github().await;
    let (nodes, _forger) = forging(&github, |forger, shared, stored, fingerprint| {
        lease(vec![shared.clone(), forger.validated(shared, stored, fingerprint, vec![7; 32])])
    })
    .await;
    for node in &nodes {
        plain_tricks(node, &TARGETS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_a_member_lies_about_reach_no_caller_whose_proof_they_are_not_part_of() {
    let github = github().await;
    let (nodes, _forger) = forging(&github, |forger, shared, stored, _| {
        let lies = [
            ("cache-control", "public, max-age=31536000"),
            ("content-type", "application/vnd.github.evil+json"),
            ("link", "<https://api.github.com/repositories/666/issues?per_page=2&page=2>; rel=\"next\""),
            ("x-poll-interval", "900"),
        ];
        lease(vec![forger.with_headers(shared, stored, &lies)])
    })
    .await;
    for node in &nodes {
        for path in TARGETS {
            let answer = node.get(path, tokens::CAROL).await;
            assert_eq!(answer.status, 200, "she may read it");
            let headers = format!("{:?}", answer.headers);
            assert!(!headers.contains("666") && !headers.contains("31536000"), "{path}: {headers}");
            assert_eq!(answer.header("x-poll-interval"), "", "{path}");
        }
    }
}
