//! Writes: sent once, and what they may have changed is read anew. What a write answers is never kept.

use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::client::{self, Answer, Endpoint};
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use http::Method;
use serde_json::json;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// One whose answers stay fresh longer than a test takes.
async fn alone(github: &Sim) -> Daemon {
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    how.with("GHMESH_CACHE__DEFAULT_TTL", "50m").start().await
}

async fn write(daemon: &Daemon, method: Method, path: &str, body: &str) -> Answer {
    daemon.send(client::request(method, path, Some(tokens::ALICE)), body.to_owned()).await
}

/// Reads each until it is kept: what was confirmed within a second of a write is not.
async fn all_kept(daemon: &Daemon, paths: &[&str]) {
    for path in paths {
        let hit = async || daemon.get(path, tokens::ALICE).await.is_hit().then_some(());
        eventually(&format!("{path} is kept"), hit).await;
    }
}

async fn number_at(daemon: &Daemon, path: &str, pointer: &str) -> u64 {
    let list = daemon.get(path, tokens::ALICE).await.json();
    list.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {list}"))
}

#[tokio::test]
async fn a_write_makes_stale_the_resource_its_collection_and_its_parents_lists() {
    let github = github().await;
    let daemon = alone(&github).await;
    let run = number_at(&daemon, "/repos/octo/hello/actions/runs", "/workflow_runs/0/id").await;
    let (run, rerun) =
        (format!("/repos/octo/hello/actions/runs/{run}"), format!("/repos/octo/hello/actions/runs/{run}/rerun"));
    let writes: [(Method, &str, &str, &[&str]); 4] = [
        (
            Method::PATCH,
            "/repos/octo/hello/issues/5",
            r#"{"title":"Changed"}"#,
            &[
                "/repos/octo/hello/issues/5",
                "/repos/octo/hello/issues/5/comments",
                "/repos/octo/hello/issues",
                "/repos/octo/hello",
            ],
        ),
        (
            Method::POST,
            "/repos/octo/hello/issues/5/comments",
            r#"{"body":"A comment"}"#,
            &[
                "/repos/octo/hello/issues/5/comments",
                "/repos/octo/hello/issues/comments",
                "/repos/octo/hello/issues/5",
                "/repos/octo/hello/issues",
            ],
        ),
        (
            Method::PUT,
            "/repos/octo/hello/contents/new.txt",
            r#"{"message":"Add","content":"bmV3"}"#,
            &["/repos/octo/hello/commits", "/repos/octo/hello/branches", "/repos/octo/hello", "/orgs/octo/repos"],
        ),
        (Method::POST, &rerun, "", &[&run, "/repos/octo/hello/actions/runs"]),
    ];
    for (method, path, body, stale) in writes {
        all_kept(&daemon, stale).await;
        all_kept(&daemon, &["/repos/octo/big/issues", "/user"]).await;
        let written = write(&daemon, method.clone(), path, body).await;
        assert!(written.status.is_success(), "{method} {path}: {written:?}");
        for read in stale {
            assert!(!daemon.get(read, tokens::ALICE).await.is_hit(), "{read} after {method} {path}");
        }
        for read in ["/repos/octo/big/issues", "/user"] {
            assert!(daemon.get(read, tokens::ALICE).await.is_hit(), "{read} after {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_write_to_a_path_that_nobody_knows_makes_stale_all_that_is_below_its_parent() {
    let github = github().await;
    let daemon = alone(&github).await;
    let (inside, outside) = (["/repos/octo/hello", "/repos/octo/hello/issues/1"], ["/repos/octo/big", "/user"]);
    all_kept(&daemon, &inside).await;
    all_kept(&daemon, &outside).await;
    github.set_faults(vec![Fault { path: "/repos/octo/hello/anything-new".to_owned(), ..Fault::status(202) }]);
    assert_eq!(write(&daemon, Method::PUT, "/repos/octo/hello/anything-new/1", "{}").await.status, 202);
    for path in inside {
        assert!(!daemon.get(path, tokens::ALICE).await.is_hit(), "{path}");
    }
    for path in outside {
        assert!(daemon.get(path, tokens::ALICE).await.is_hit(), "{path}");
    }
}

#[tokio::test]
async fn a_definite_refusal_makes_nothing_stale_and_a_5xx_does() {
    let github = github().await;
    let daemon = alone(&github).await;
    let path = "/repos/octo/hello/issues/1";
    all_kept(&daemon, &[path]).await;
    assert_eq!(write(&daemon, Method::POST, "/repos/octo/hello/issues", r#"{"body":"no title"}"#).await.status, 422);
    assert!(daemon.get(path, tokens::ALICE).await.is_hit());
    github.set_faults(vec![Fault { method: Some("PATCH".to_owned()), ..Fault::status(502) }]);
    assert_eq!(write(&daemon, Method::PATCH, path, r#"{"title":"Perhaps"}"#).await.status, 502);
    assert!(!daemon.get(path, tokens::ALICE).await.is_hit(), "it may have happened");
    assert_eq!(github.counters().by_method["PATCH"].calls, 1, "and is not sent again");
}

#[tokio::test]
async fn an_answer_that_is_a_token_is_asked_for_each_time() {
    let github = github().await;
    let daemon = alone(&github).await;
    let path = "/repos/octo/hello/actions/runners/registration-token";
    for calls in 1..=2 {
        let answer = write(&daemon, Method::POST, path, "").await;
        assert!(answer.status.is_success() && answer.json()["token"].is_string(), "{answer:?}");
        assert!(!answer.is_hit());
        assert_eq!(github.counters().path(path).calls, calls);
    }
    // A route that nobody knows yet, read, and marked as GitHub marks its tokens.
    let new = "/repos/octo/hello/anything-new";
    let token = json!({ "token": "ghs_never_kept", "expires_at": "2030-01-01T00:00:00Z" }).to_string();
    let marked = vec![("cache-control".to_owned(), "public, max-age=60, s-maxage=60".to_owned())];
    let minted = Fault { path: new.to_owned(), body: Some(token), headers: marked, ..Fault::status(200) };
    github.set_faults(vec![minted]);
    for calls in 1..=2 {
        let answer = daemon.get(new, tokens::ALICE).await;
        assert_eq!((answer.json()["token"].as_str(), answer.is_hit()), (Some("ghs_never_kept"), false));
        assert_eq!(github.counters().path(new).calls, calls);
    }
}

#[tokio::test]
async fn an_upload_passes_as_it_is_and_shows_in_its_release() {
    let github = github().await;
    let daemon = alone(&github).await;
    let release = number_at(&daemon, "/repos/octo/hello/releases", "/0/id").await;
    let assets = format!("/repos/octo/hello/releases/{release}/assets");
    all_kept(&daemon, &[&assets, "/repos/octo/hello/releases"]).await;
    let address = daemon.tcp().await;
    let content = vec![7_u8; 3 << 20];
    let request = http::Request::post(format!("/api/uploads{assets}?name=a.bin")).header("host", address.to_string());
    let request = request.header("authorization", format!("token {}", tokens::ALICE));
    let request = request.header("content-type", "application/octet-stream");
    let request = request.body(content.clone().into()).expect("a request");
    let answer = client::send(&Endpoint::Tcp(address), request).await.expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    let counters = github.counters();
    assert_eq!(counters.uploads.iter().map(|upload| upload.bytes).collect::<Vec<_>>(), [content.len() as u64]);
    for path in [&assets, "/repos/octo/hello/releases"] {
        assert!(!daemon.get(path, tokens::ALICE).await.is_hit(), "{path}");
    }
}
