//! The simulator as a process of its own, steered over HTTP, and `gh` against it.

use std::process::{Output, Stdio};

use ghmesh_github_sim::tokens::{ALICE, BOB};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running `github-sim`, killed when dropped.
struct Process {
    _child: Child,
    url: String,
    directory: TempDir,
}

impl Process {
    async fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("sock");
        let mut child = Command::new(env!("CARGO_BIN_EXE_github-sim"))
            .args(arguments)
            .arg("--unix")
            .arg(&socket)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let url = first.strip_prefix("listening on ").unwrap().to_owned();
        std::fs::write(directory.path().join("config.yml"), format!("http_unix_socket: {}\n", socket.display()))
            .unwrap();
        Self { _child: child, url, directory }
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Client::new().request(method, format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.header("authorization", format!("token {token}"));
        }
        let answer = request.body(body.map_or_else(String::new, |body| body.to_string())).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.send(Method::GET, path, token, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, "", Some(body)).await
    }

    async fn gh(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("gh");
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).env("GH_CONFIG_DIR", self.directory.path()).env("GH_TOKEN", ALICE);
        command.current_dir(self.directory.path()).output().await.unwrap()
    }

    /// What `gh` prints, which must succeed.
    async fn gh_says(&self, arguments: &[&str]) -> String {
        let output = self.gh(arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gh {arguments:?}: {complaint}");
        format!("{}{complaint}", String::from_utf8_lossy(&output.stdout))
    }
}

#[tokio::test]
async fn counters_are_read_and_reset() {
    let process = Process::start(&[]).await;
    assert_eq!(process.get("/_sim/healthz", "").await.0, 200);
    process.get("/repos/octo/hello?x=1", ALICE).await;
    process.get("/repos/octo/hello", "").await;
    let (_, counters) = process.get("/_sim/counters", "").await;
    assert_eq!(counters["total"]["calls"], 2);
    assert_eq!(counters["by_path"]["/repos/octo/hello?x=1"]["charged"], 1);
    assert_eq!(counters["by_token"]["alice"]["calls"], 1);
    assert_eq!(counters["by_token"]["anonymous"]["calls"], 1);
    let (_, calls) = process.get("/_sim/calls?path=/repos", "").await;
    assert_eq!((calls[1]["token"].as_str(), calls[1]["status"].as_u64()), (Some("anonymous"), Some(200)));
    process.post("/_sim/reset", json!({})).await;
    assert_eq!(process.get("/_sim/counters", "").await.1["total"]["calls"], 0);
}

#[tokio::test]
async fn faults_mutations_tokens_and_quotas_are_set() {
    let process = Process::start(&["--latency-ms", "1"]).await;
    process.post("/_sim/faults", json!({"status": 503, "path": "/user", "times": 1})).await;
    assert_eq!(process.get("/user", ALICE).await.0, 503);
    assert_eq!(process.get("/user", ALICE).await.0, 200);
    assert_eq!(process.get("/_sim/faults", "").await.1[0]["times"], 0);
    process.send(Method::DELETE, "/_sim/faults", "", None).await;

    let before = process.get("/repos/octo/hello", ALICE).await.1["updated_at"].clone();
    assert_eq!(process.post("/_sim/mutate", json!({"touch": {"path": "/repos/octo/hello"}})).await.0, 200);
    assert_ne!(process.get("/repos/octo/hello", ALICE).await.1["updated_at"], before);
    let collaborator = json!({"collaborator": {"repository": "octo/secret", "login": "bob", "permission": "pull"}});
    assert_eq!(process.get("/repos/octo/secret", BOB).await.0, 404);
    process.post("/_sim/mutate", collaborator).await;
    assert_eq!(process.get("/repos/octo/secret", BOB).await.0, 200);

    let token = json!({"token": "ghp_new", "user": "dave", "private": ["octo/secret"], "limit": 3});
    process.post("/_sim/tokens", token.clone()).await;
    assert_eq!(process.get("/repos/octo/secret", "ghp_new").await.0, 200);
    process.post("/_sim/quota", json!({"token": "ghp_new", "remaining": 0})).await;
    assert_eq!(process.get("/repos/octo/secret", "ghp_new").await.0, 403);
    process.post("/_sim/settings", json!({"limited_status": 429})).await;
    assert_eq!(process.get("/repos/octo/secret", "ghp_new").await.0, 429);
    process.post("/_sim/reset", json!({"all": true})).await;
    assert_eq!(process.get("/repos/octo/secret", "ghp_new").await.0, 401, "it is as at the start");
}

#[tokio::test]
async fn a_bad_control_request_says_what_is_wrong() {
    let process = Process::start(&[]).await;
    let bad = [
        ("/_sim/nothing", json!({}), "no control request"),
        ("/_sim/faults", json!({"statuss": 1}), "can't be used"),
        ("/_sim/mutate", json!({"touch": {"path": "/repos/octo/none"}}), "no repository octo/none"),
        ("/_sim/mutate", json!({"touch": {"path": "/rate_limit"}}), "can't be touched"),
        ("/_sim/settings", json!({"latency": 1}), "unknown field"),
        ("/_sim/quota", json!({"resource": "gold"}), "gold"),
        ("/_sim/quota", json!({"token": "nobody's"}), "not known"),
    ];
    for (path, body, words) in bad {
        let (status, answer) = process.post(path, body).await;
        let message = answer["message"].as_str().unwrap_or_default().replace("cannot", "can't");
        assert!(status >= 400 && message.contains(words), "{path}: {status} {message}");
    }
}

#[tokio::test]
async fn a_world_comes_from_a_file_or_is_large() {
    let directory = tempfile::tempdir().unwrap();
    let seed = directory.path().join("seed.json");
    let world = json!({"accounts": [{"login": "eve"}], "repositories": [{"owner": "eve", "name": "one", "issues": 2}]});
    std::fs::write(&seed, world.to_string()).unwrap();
    let process = Process::start(&["--seed-file", seed.to_str().unwrap()]).await;
    assert_eq!(process.get("/repos/eve/one/issues", "").await.1.as_array().unwrap().len(), 2);
    let large = Process::start(&["--world", "large"]).await;
    assert_eq!(large.get("/orgs/acme/repos?per_page=100", "").await.1.as_array().unwrap().len(), 100);

    std::fs::write(&seed, "{\"repos\": []}").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_github-sim")).arg("--seed-file").arg(&seed).output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("seed.json") && complaint.contains("repos"), "{complaint}");
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_reads_pages_and_lists() {
    let process = Process::start(&[]).await;
    assert_eq!(process.gh_says(&["api", "repos/octo/hello", "-q", ".full_name"]).await.trim(), "octo/hello");
    let numbers =
        process.gh_says(&["api", "--paginate", "repos/octo/hello/issues?state=all", "-q", ".[].number"]).await;
    assert_eq!(numbers.lines().count(), 162);
    assert_eq!(process.gh_says(&["repo", "list", "octo"]).await.lines().count(), 4);
    assert_eq!(process.gh_says(&["pr", "list", "-R", "octo/hello"]).await.lines().count(), 6);
    assert_eq!(process.gh_says(&["issue", "list", "-R", "octo/hello", "-L", "120"]).await.lines().count(), 120);
    assert!(process.gh_says(&["repo", "view", "octo/hello"]).await.contains("hello of octo"));
    assert!(process.gh_says(&["run", "list", "-R", "octo/hello"]).await.contains("in_progress"));
    assert!(process.gh_says(&["release", "list", "-R", "octo/hello"]).await.contains("v1.2.0"));
    assert!(process.gh_says(&["auth", "status"]).await.contains("Logged in to github.com as alice"));
    let unknown = process.gh(&["repo", "view", "octo/nothing"]).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Could not resolve to a Repository"));
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_opens_comments_on_and_closes_an_issue() {
    let process = Process::start(&[]).await;
    let url = process.gh_says(&["issue", "create", "-R", "octo/hello", "-t", "From gh", "-b", "body"]).await;
    let number = url.trim().rsplit('/').next().unwrap().to_owned();
    assert_eq!(number, "163");
    assert!(process.gh_says(&["issue", "view", &number, "-R", "octo/hello"]).await.contains("From gh"));
    process.gh_says(&["issue", "comment", &number, "-R", "octo/hello", "-b", "Indeed."]).await;
    assert!(process.gh_says(&["issue", "view", &number, "-R", "octo/hello", "--comments"]).await.contains("Indeed."));
    process.gh_says(&["issue", "close", &number, "-R", "octo/hello"]).await;
    let (_, issue) = process.get("/repos/octo/hello/issues/163", ALICE).await;
    assert_eq!((issue["state"].as_str(), issue["comments"].as_u64()), (Some("closed"), Some(1)));
    process.gh_says(&["issue", "edit", "5", "-R", "octo/hello", "-t", "Other"]).await;
    let created = ["api", "repos/octo/hello/issues", "-f", "title=By api", "-q", ".number"];
    assert_eq!(process.gh_says(&created).await.trim(), "164");
}
