//! Writes: what they answer, what they change, who may.

use ghmesh_github_sim::tokens::{ACTIONS, ALICE, BOB, CAROL};
use reqwest::Method;
use serde_json::json;

use crate::common::{Case, header};

const HELLO: &str = "/repos/octo/hello";

#[tokio::test]
async fn an_issue_is_opened_changed_commented_labelled_and_closed() {
    let case = Case::new().await;
    let issues = "/repos/octo/hello/issues";
    let list = header(&case.get(issues, BOB).await, "etag").to_owned();
    let (status, issue) = case.send(Method::POST, issues, BOB, json!({"title": "New", "labels": ["fresh"]})).await;
    assert_eq!((status, issue["user"]["login"].as_str()), (201, Some("bob")));
    let again = case.ask(Method::GET, issues, BOB).header("if-none-match", list).send().await.unwrap();
    assert_eq!(again.status(), 200, "the list has changed");
    let one = format!("{issues}/{}", issue["number"]);
    assert_eq!(case.json(&one, ALICE).await["labels"][0]["name"], "fresh");

    let (status, _) = case.send(Method::PATCH, &one, BOB, json!({"title": "Newer"})).await;
    assert_eq!(status, 200, "his own");
    let (status, _) = case.send(Method::PATCH, &format!("{issues}/3"), BOB, json!({"title": "Not his"})).await;
    assert_eq!(status, 403);
    let (status, comment) = case.send(Method::POST, &format!("{one}/comments"), BOB, json!({"body": "Hm."})).await;
    assert_eq!(status, 201);
    let comment = format!("{issues}/comments/{}", comment["id"]);
    let (_, changed) = case.send(Method::PATCH, &comment, BOB, json!({"body": "Ah."})).await;
    assert_eq!(changed["body"], "Ah.");
    assert_eq!(case.ask(Method::DELETE, &comment, BOB).send().await.unwrap().status(), 204);
    let (_, labels) = case.send(Method::PUT, &format!("{one}/labels"), ALICE, json!({"labels": ["bug"]})).await;
    assert_eq!(labels[0]["name"], "bug");
    let (_, labels) = case.send(Method::DELETE, &format!("{one}/labels/bug"), ALICE, json!({})).await;
    assert_eq!(labels, json!([]));
    let (_, closed) =
        case.send(Method::PATCH, &one, ALICE, json!({"state": "closed", "state_reason": "not_planned"})).await;
    assert_eq!((closed["state"].as_str(), closed["state_reason"].as_str()), (Some("closed"), Some("not_planned")));
    assert_eq!(case.sim.counters().by_status.get(&403), Some(&1));
}

#[tokio::test]
async fn writes_need_rights_and_a_body_that_can_be_read() {
    let case = Case::new().await;
    let send = |method: Method, path: &'static str, token: &'static str, body| case.send(method, path, token, body);
    assert_eq!(send(Method::POST, "/repos/octo/hello/issues", "", json!({"title": "x"})).await.0, 401);
    assert_eq!(send(Method::POST, "/repos/octo/secret/issues", BOB, json!({"title": "x"})).await.0, 404);
    assert_eq!(send(Method::POST, "/repos/octo/hello/issues", BOB, json!({"body": "no title"})).await.0, 422);
    assert_eq!(send(Method::POST, "/repos/octo/hello/dispatches", BOB, json!({})).await.0, 403);
    assert_eq!(send(Method::DELETE, HELLO, CAROL, json!({})).await.0, 403);
    let broken = case.ask(Method::POST, "/repos/octo/hello/issues", BOB).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
}

#[tokio::test]
async fn a_repository_is_made_renamed_hidden_and_deleted() {
    let case = Case::new().await;
    let (status, made) = case.send(Method::POST, "/user/repos", BOB, json!({"name": "fresh"})).await;
    assert_eq!((status, made["full_name"].as_str()), (201, Some("bob/fresh")));
    assert_eq!(case.send(Method::POST, "/orgs/octo/repos", BOB, json!({"name": "fresh"})).await.0, 404);
    let change = json!({"name": "fresher", "private": true, "description": "d"});
    let (_, changed) = case.send(Method::PATCH, "/repos/bob/fresh", BOB, change).await;
    assert_eq!((changed["name"].as_str(), changed["private"].as_bool()), (Some("fresher"), Some(true)));
    assert_eq!(case.get("/repos/bob/fresh", BOB).await.status(), 301);
    assert_eq!(case.get("/repos/bob/fresher", ALICE).await.status(), 404);
    assert_eq!(case.ask(Method::DELETE, "/repos/bob/fresher", BOB).send().await.unwrap().status(), 204);
    assert_eq!(case.get("/repos/bob/fresher", BOB).await.status(), 404);
}

#[tokio::test]
async fn code_statuses_and_runs_are_written() {
    let case = Case::new().await;
    let file = "/repos/octo/hello/contents/NEW.md";
    let body = json!({"message": "Add it", "content": "aGVsbG8K"});
    let (status, written) = case.send(Method::PUT, file, ALICE, body.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(case.json(file, BOB).await["sha"], written["content"]["sha"]);
    assert_eq!(case.send(Method::PUT, file, ALICE, body).await.0, 409, "the present blob is not named");
    let sha = written["commit"]["sha"].as_str().unwrap();
    let reference = json!({"ref": "refs/heads/topic", "sha": sha});
    assert_eq!(case.send(Method::POST, "/repos/octo/hello/git/refs", ALICE, reference.clone()).await.0, 201);
    assert_eq!(case.send(Method::POST, "/repos/octo/hello/git/refs", ALICE, reference).await.0, 422);
    let status = json!({"state": "success", "context": "ci"});
    assert_eq!(case.send(Method::POST, &format!("{HELLO}/statuses/{sha}"), ACTIONS, status).await.0, 201);
    assert_eq!(case.json(&format!("{HELLO}/commits/{sha}/status"), BOB).await["state"], "success");
    let pull = json!({"title": "Topic", "head": "topic", "base": "main"});
    let (code, pull) = case.send(Method::POST, &format!("{HELLO}/pulls"), ALICE, pull).await;
    assert_eq!(code, 201);
    let merge = format!("{HELLO}/pulls/{}/merge", pull["number"]);
    assert_eq!(case.send(Method::PUT, &merge, ALICE, json!({})).await.0, 200);
    assert_eq!(case.get(&merge, ALICE).await.status(), 204);
}

#[tokio::test]
async fn a_rerun_keeps_the_runs_id_and_adds_jobs() {
    let case = Case::new().await;
    let runs = "/repos/octo/hello/actions/runs";
    let dispatch = json!({"ref": "main"});
    let path = format!("{HELLO}/actions/workflows/ci.yml/dispatches");
    assert_eq!(case.send(Method::POST, &path, ALICE, dispatch).await.0, 204);
    let newest = case.json(runs, ALICE).await["workflow_runs"][0].clone();
    assert_eq!((newest["event"].as_str(), newest["status"].as_str()), (Some("workflow_dispatch"), Some("queued")));
    let run = format!("{runs}/{}", newest["id"]);
    let before = case.json(&format!("{run}/jobs"), ALICE).await;
    assert_eq!(case.send(Method::POST, &format!("{run}/rerun"), ALICE, json!({})).await.0, 201);
    let after = case.json(&format!("{run}/jobs"), ALICE).await;
    assert_ne!(before["jobs"][0]["id"], after["jobs"][0]["id"]);
    assert_eq!(case.json(&run, ALICE).await["run_attempt"], 2);
    assert_eq!(case.json(&format!("{run}/attempts/1/jobs"), ALICE).await["jobs"][0]["id"], before["jobs"][0]["id"]);
}

#[tokio::test]
async fn an_upload_is_swallowed_and_hashed() {
    let case = Case::new().await;
    let release = json!({"tag_name": "v9", "draft": true});
    let (_, release) = case.send(Method::POST, &format!("{HELLO}/releases"), ALICE, release).await;
    assert!(
        release["upload_url"].as_str().unwrap().starts_with("https://uploads.github.com/repos/octo/hello/releases/")
    );
    assert_eq!(case.get(&format!("{HELLO}/releases/{}", release["id"]), BOB).await.status(), 404, "a draft");
    let path = format!("{HELLO}/releases/{}/assets?name=big.bin", release["id"]);
    let content = vec![7; 5_000_000];
    let answer = case.ask(Method::POST, &path, ALICE).body(content).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let uploads = case.sim.counters().uploads;
    assert_eq!((uploads.len(), uploads[0].bytes), (1, 5_000_000));
    let asset = case.json(&format!("{HELLO}/releases/{}/assets", release["id"]), ALICE).await[0].clone();
    assert_eq!(asset["digest"], format!("sha256:{}", uploads[0].sha256));
}
