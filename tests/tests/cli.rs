//! The commands as a person or a unit file runs them: real processes, their output and their exit codes.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::binaries::binaries;
use ghmesh_tests::daemon::{directory_contains, fleet};
use ghmesh_tests::{DaemonBuilder, PATIENCE};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

/// Longest run of a command. The demo waits twice for its answers to expire.
const COMMAND: std::time::Duration = PATIENCE.saturating_mul(4);

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// Runs a command in the environment of a daemon.
async fn run(how: &DaemonBuilder, arguments: &[&str]) -> Output {
    let output = tokio::time::timeout(COMMAND, how.command(arguments).output()).await;
    output.unwrap_or_else(|_| panic!("ghmesh {arguments:?} does not end")).expect("ghmesh starts")
}

/// What it prints. It must succeed.
async fn says(how: &DaemonBuilder, arguments: &[&str]) -> String {
    let output = run(how, arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "ghmesh {arguments:?}: {}\n{complaint}\nIt said:\n{said}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

async fn reports(how: &DaemonBuilder, arguments: &[&str]) -> Value {
    let said = says(how, arguments).await;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("ghmesh {arguments:?}: {error} in {said}"))
}

#[tokio::test]
async fn the_demo_tells_its_story_and_ends_well() {
    let how = DaemonBuilder::new("http://127.0.0.1:1");
    let story = says(&how, &["demo"]).await;
    for part in [
        "three nodes and a simulated GitHub",
        "200 from GitHub",
        "200 from a peer",
        "confirmed by GitHub with a 304",
        "Changed by the demo",
        "expired, as GitHub gives no answer",
        "calls to GitHub",
        "charged by GitHub",
        "Every figure is what it should be.",
    ] {
        assert!(story.contains(part), "the story lacks {part:?}:\n{story}");
    }
}

#[tokio::test]
async fn new_secrets_differ_and_are_strong_enough() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url());
    let (one, other) = (says(&how, &["secret", "new"]).await, says(&how, &["secret", "new"]).await);
    assert_ne!(one, other);
    assert_eq!(one.lines().count(), 1, "nothing but the secret, so that it can be redirected to a file: {one}");
    let how = how.with("GHMESH_MESH__SECRET", one.trim()).with("GHMESH_MESH__ALLOW_WEAK_SECRET", "false");
    let daemon = how.start().await;
    daemon.address().await;
    assert!(!daemon.log().contains("guessed"), "{}", daemon.log());
}

#[tokio::test]
async fn id_prints_whole_addresses_with_and_without_the_daemon() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    daemon.address().await;
    let addresses = daemon.addresses().await;
    let told: Vec<_> = says(daemon.how(), &["id"]).await.lines().map(str::to_owned).collect();
    assert_eq!(told, addresses);
    let peer_id = addresses[0].rsplit('/').next().expect("an address has parts").to_owned();

    let how = daemon.stop().await;
    assert_eq!(says(&how, &["id"]).await.trim(), format!("/p2p/{peer_id}"), "nobody knows which port 0 will be");
    let how = how.with("GHMESH_MESH__LISTEN", "/ip4/10.0.0.5/tcp/9000");
    assert_eq!(says(&how, &["id"]).await.trim(), format!("/ip4/10.0.0.5/tcp/9000/p2p/{peer_id}"));
    let everywhere = how.clone().with("GHMESH_MESH__LISTEN", "/ip4/0.0.0.0/tcp/9000");
    let told = says(&everywhere, &["id"]).await;
    assert!(told.lines().count() >= 1 && !told.contains("/0.0.0.0/"), "nobody can dial {told}");
    let again = how.with("GHMESH_MESH__LISTEN", "/ip4/127.0.0.1/tcp/0").start().await;
    assert!(again.address().await.ends_with(&peer_id), "a restart keeps the identity");
}

#[tokio::test]
async fn id_makes_nothing_where_no_daemon_has_run() {
    let how = DaemonBuilder::new("http://127.0.0.1:1");
    let output = run(&how, &["id"]).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{complaint}");
    assert!(complaint.contains("no identity yet") && complaint.contains("ghmesh up"), "{complaint}");
    assert!(!how.path("data").exists(), "the data directory is made by the daemon");
}

#[tokio::test]
#[ignore = "needs root, to run as another user"]
async fn who_may_not_open_the_socket_is_told_so() {
    const NOBODY: u32 = 65534;
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    // Where the program lies, another user may not look.
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let program = elsewhere.path().join("ghmesh");
    copy_program(&program);
    for directory in [elsewhere.path(), daemon.how().path("").as_path()] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let socket = daemon.socket();
    for arguments in [&["status"][..], &["peers", "--json"], &["id"]] {
        let mut command = tokio::process::Command::new(&program);
        command
            .args(arguments)
            .env_clear()
            .env("GHMESH_GATEWAY__SOCKET", &socket)
            .env("GHMESH_GATEWAY__LISTEN", "none");
        command.env("GHMESH_CACHE__DIR", daemon.data());
        let output = command.uid(NOBODY).gid(NOBODY).output().await.expect("ghmesh starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        for words in ["permission denied", &socket.to_string_lossy(), "gateway.socket_mode", "gateway.socket_group"] {
            assert!(complaint.contains(words), "ghmesh {arguments:?} does not say {words}: {complaint}");
        }
        assert!(!complaint.contains("no daemon answers"), "{complaint}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_seen_in_the_status() {
    let github = github().await;
    let one = DaemonBuilder::new(&github.url()).start().await;
    let bootstrap = one.address().await;
    let other = DaemonBuilder::new(&github.url())
        .with("GHMESH_MESH__SECRET", "another mesh's")
        .with("GHMESH_MESH__BOOTSTRAP", &bootstrap)
        .start()
        .await;
    for daemon in [&one, &other] {
        ghmesh_tests::eventually("the status tells of strangers", async || {
            let status = says(daemon.how(), &["status"]).await;
            let line = status.lines().find(|line| line.starts_with("strangers"))?;
            (line.contains("turned away, and no peers") && line.contains("mesh.secret")).then_some(())
        })
        .await;
    }
    let status = says(one.how(), &["status"]).await;
    for name in ["passed on", "failures", "fail-opens"] {
        assert!(status.lines().any(|line| line.starts_with(name)), "{name} is not in {status}");
    }
}

#[tokio::test]
async fn status_and_peers_tell_people_and_programs() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| how).await;
    daemons[0].get("/repos/octo/hello", tokens::ALICE).await;
    daemons[0].get("/repos/octo/hello", tokens::ALICE).await;
    let how = daemons[0].how();

    let status = reports(how, &["status", "--json"]).await;
    assert_eq!(status["mesh"], "running");
    let stats = &status["stats"];
    let counts = ["requests", "local_hits", "misses", "api_calls_made", "api_calls_charged", "connected_peers"];
    let counted: Vec<_> = counts.iter().map(|name| stats[*name].as_u64().expect(name)).collect();
    assert_eq!(counted, [2, 1, 1, 1, 1, 1], "{counts:?} in {stats}");
    let text = says(how, &["status"]).await;
    assert!(text.contains("1 (local 1, from peers 0)") && text.contains("calls to GitHub"), "{text}");

    let peers = reports(how, &["peers", "--json"]).await;
    let other = daemons[1].stats().await["peer_id"].as_str().expect("a peer id").to_owned();
    assert_eq!(peers.as_array().map(Vec::len), Some(1), "{peers}");
    assert_eq!(peers[0]["peer_id"], other.as_str());
    assert!(says(how, &["peers"]).await.contains(&other));
}

#[tokio::test]
async fn reports_without_a_daemon_say_what_to_do() {
    let how = DaemonBuilder::new("http://127.0.0.1:1");
    for command in ["status", "peers"] {
        let output = run(&how, &[command]).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("no daemon answers") && complaint.contains("ghmesh up"), "{complaint}");
    }
}

fn with_token(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GH_TOKEN", tokens::ALICE)
}

const READ: [&str; 4] = ["api", "repos/octo/hello", "-q", ".full_name"];

#[tokio::test]
async fn api_goes_through_the_daemon() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    let how = with_token(daemon.how().clone());
    for _ in 0..2 {
        assert_eq!(says(&how, &READ).await.trim(), "octo/hello");
    }
    assert_eq!((daemon.count("misses").await, daemon.count("local_hits").await), (1, 1));
    assert_eq!(github.counters().calls(), 1);
    let missing = run(&how, &["api", "repos/octo/nothing"]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("HTTP 404"), "{missing:?}");
}

#[tokio::test]
async fn api_without_a_daemon_keeps_what_it_reads_and_never_a_write() {
    let github = github().await;
    let how = with_token(DaemonBuilder::new(&github.url()));
    for _ in 0..2 {
        assert_eq!(says(&how, &READ).await.trim(), "octo/hello");
    }
    assert_eq!(github.counters().calls(), 1, "the second answer is the first one's");
    for number in ["163", "164"] {
        let post = ["api", "repos/octo/hello/issues", "-f", "title=Again", "-q", ".number"];
        assert_eq!(says(&how, &post).await.trim(), number);
    }
    assert_eq!(github.counters().calls(), 3);
}

#[tokio::test]
async fn api_beside_a_process_that_holds_the_directory_goes_straight_to_the_origin() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    let elsewhere = daemon.how().path("no-daemon-here");
    let how = with_token(daemon.how().clone()).with("GHMESH_GATEWAY__SOCKET", &elsewhere.to_string_lossy());
    for calls in 1..=2 {
        assert_eq!(says(&how, &READ).await.trim(), "octo/hello");
        assert_eq!(github.counters().calls(), calls, "nothing is kept");
    }
    assert_eq!(daemon.count("requests").await, 0);
}

#[tokio::test]
async fn a_daemon_that_is_told_to_end_ends_well_and_takes_its_socket_along() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    let socket = daemon.socket();
    assert_eq!(daemon.get("/repos/octo/hello", tokens::ALICE).await.status, 200);
    assert!(socket.exists());
    let how = daemon.stop().await;
    assert!(!socket.exists(), "the socket is removed");
    let again = how.start().await;
    assert!(again.get("/repos/octo/hello", tokens::ALICE).await.is_hit(), "what was stored is there");
}

/// Five seconds is what is promised; ten would be felt at every restart.
#[tokio::test]
async fn an_upload_that_hangs_delays_the_end_by_five_seconds_at_most() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", origin.local_addr().expect("it is bound"));
    let daemon = DaemonBuilder::new(&url).with("GHMESH_MESH__ENABLED", "false").start().await;
    let mut upload = tokio::net::UnixStream::connect(daemon.socket()).await.expect("it listens");
    let begun = "POST /repos/octo/hello/issues HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 1000\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut upload, begun.as_bytes()).await.expect("it takes bytes");
    let _passed_on = tokio::time::timeout(PATIENCE, origin.accept()).await.expect("GitHub is called");
    let told = std::time::Instant::now();
    daemon.stop().await;
    assert!(told.elapsed() < std::time::Duration::from_secs(9), "{:?}", told.elapsed());
}

fn proc(pid: u32, file: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_else(|error| panic!("/proc/{pid}/{file}: {error}"))
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Copies the program, in a process of its own: a copy that this one wrote would be open for writing in whatever another test starts
/// meanwhile, and nobody could run it (`execve(2)`: `ETXTBSY`).
fn copy_program(to: &Path) {
    let copied = std::process::Command::new("cp").arg(&binaries().ghmesh).arg(to).status().expect("cp runs");
    assert!(copied.success(), "the program is copied");
}

/// Gives everything in a directory to another user.
fn give_away(directory: &Path, user: u32) {
    std::os::unix::fs::chown(directory, Some(user), Some(user)).expect("root may");
}

#[tokio::test]
#[ignore = "needs root, to run as another user"]
async fn the_daemon_s_memory_is_its_own_and_no_key_log_is_written() {
    const NOBODY: u32 = 65534;
    let github = github().await;
    let how = DaemonBuilder::new(&github.url());
    let key_log = how.path("keys");
    let how = how.with("SSLKEYLOGFILE", &key_log.to_string_lossy());
    // Where the program lies, another user may not look.
    let program = how.path("ghmesh");
    copy_program(&program);
    give_away(program.parent().expect("it lies in a directory"), NOBODY);
    let mut command = how.command(&["up"]);
    let environment: Vec<_> =
        command.as_std().get_envs().map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned))).collect();
    command = tokio::process::Command::new(&program);
    command.arg("up").env_clear().envs(environment.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let mut child = command.uid(NOBODY).gid(NOBODY).kill_on_drop(true).spawn().expect("ghmesh starts");
    let socket = how.path("socket");
    ghmesh_tests::eventually("it listens", async || socket.exists().then_some(())).await;

    let pid = child.id().expect("it runs");
    assert!(contains(&proc(pid, "environ"), "GHMESH_CACHE__DIR="), "the environment can be read by root");
    assert!(!contains(&proc(pid, "environ"), "SSLKEYLOGFILE"), "the running process has it not");
    let owner = std::fs::metadata(format!("/proc/{pid}/environ")).expect("it runs").uid();
    assert_eq!(owner, 0, "proc(5): the files of a process that is not dumpable belong to root, not to its user");
    let limits = String::from_utf8(proc(pid, "limits")).expect("text");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line for cores");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    assert!(!key_log.exists());
    child.kill().await.expect("it was running");
}

#[tokio::test]
async fn secrets_are_in_no_log_no_argument_and_no_file() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_LOG__LEVEL", "trace");
    let secret = says(&how, &["secret", "new"]).await.trim().to_owned();
    let daemons =
        fleet(2, &github.url(), |how| how.with("GHMESH_MESH__SECRET", &secret).with("GHMESH_LOG__LEVEL", "trace"))
            .await;
    for path in ["/repos/octo/secret", "/repos/octo/secret/issues", "/repos/octo/nothing"] {
        daemons[0].get(path, tokens::ALICE).await;
        daemons[1].get(path, tokens::ALICE).await;
    }
    let peers = reports(daemons[0].how(), &["status", "--json"]).await;
    for daemon in daemons {
        let arguments = proc(daemon.pid(), "cmdline");
        let (data, log) = (daemon.data(), daemon.log());
        for hidden in [secret.as_str(), tokens::ALICE] {
            assert!(!log.contains(hidden), "the log shows a secret");
            assert!(!contains(&arguments, hidden), "ps shows a secret");
            assert!(!directory_contains(&data, hidden), "a file shows a secret");
            assert!(!peers.to_string().contains(hidden), "a report shows a secret");
        }
        assert!(!directory_contains(&data, "octo/secret"), "what is stored is sealed");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn wrong_arguments_say_what_is_right() {
    let how = DaemonBuilder::new("http://127.0.0.1:1");
    for (arguments, words) in [
        (&[][..], "Usage: ghmesh"),
        (&["upp"][..], "'up'"),
        (&["up", "--socet", "x"][..], "'--socket'"),
        (&["api"][..], "<ENDPOINT>"),
        (&["secret"][..], "new"),
        (&["secret", "now"][..], "'new'"),
        (&["status", "--jsno"][..], "'--json'"),
    ] {
        let output = run(&how, arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "ghmesh {arguments:?}: {complaint}");
        assert!(complaint.contains(words), "ghmesh {arguments:?}: {complaint}");
    }
}
