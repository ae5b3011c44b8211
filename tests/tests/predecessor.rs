//! The predecessor's faults, numbered as in `docs/hazards.md`, which says who that is: none of them is ghmesh's.

use ghmesh_github_sim::{Config, Fault, Sim, tokens};
use ghmesh_tests::daemon::{directory_contains, fleet};
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client, eventually};
use http::Method;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATH: &str = "/repos/octo/hello";
const PRIVATE: &str = "/repos/octo/secret";
const ISSUES: &str = "/repos/octo/hello/issues";

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

async fn pair(github: &Sim, with: impl Fn(DaemonBuilder) -> DaemonBuilder) -> [Daemon; 2] {
    fleet(2, &github.url(), with).await.try_into().expect("two daemons")
}

async fn alone(github: &Sim) -> Daemon {
    DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await
}

fn issue(number: usize) -> String {
    format!("{ISSUES}/{number}")
}

async fn write(daemon: &Daemon, method: Method, path: &str, body: &'static str) -> Answer {
    daemon.send(client::request(method, path, Some(tokens::ALICE)), body).await
}

/// The TCP address in a multiaddr.
fn socket_address(multiaddr: &str) -> SocketAddr {
    let parts: Vec<_> = multiaddr.split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().expect("/ip4/…/tcp/…")
}

// 1. Strangers' bytes, and clear text.

/// What it sends: a length, then JSON with the entry.
fn predecessors_entry() -> Vec<u8> {
    let entry = format!(r#"{{"key":"{PATH}","entry":{{"data":{{"full_name":"forged/by-a-peer"}},"ttl":300}}}}"#);
    [&(entry.len() as u32).to_be_bytes()[..], entry.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_bytes_that_prove_no_membership_get_nowhere() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    let address = socket_address(&daemon.address().await);
    let noise = b"\x13/multistream/1.0.0\n\x07/noise\n".to_vec();
    let offers = [
        predecessors_entry(),
        [&b"\x13/multistream/1.0.0\n"[..], &predecessors_entry()].concat(),
        [noise.clone(), predecessors_entry()].concat(),
        [noise, vec![0xff; 64 << 10]].concat(),
        b"GET /repos/octo/hello HTTP/1.1\r\nHost: api.github.com\r\n\r\n".to_vec(),
    ];
    for offer in offers {
        let mut stream = TcpStream::connect(address).await.expect("the mesh listens");
        // It may hang up before it has read everything.
        let _ = stream.write_all(&offer).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await.expect("it hangs up");
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("octo") && !said.contains("full_name"), "{said}");
    }
    for count in ["connected_peers", "records_received", "entries", "peer_hits"] {
        assert_eq!(daemon.count(count).await, 0, "{count}");
    }
    let answer = daemon.get(PATH, tokens::ALICE).await;
    assert_eq!((answer.is_hit(), &answer.json()["full_name"]), (false, &Value::from("octo/hello")));
}

/// Passes connections on to `to`, and keeps every byte of both directions.
async fn wiretap(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.expect("the node listens");
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(listen(near_in, far_out, ears.clone()));
            tokio::spawn(listen(far_in, near_out, ears.clone()));
        }
    });
    (address, heard)
}

async fn listen(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        heard.lock().expect("no test thread panicked").extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_neither_the_wire_nor_the_disk_holds_plaintext() {
    let github = github().await;
    let one = DaemonBuilder::new(&github.url()).start().await;
    let (tap, heard) = wiretap(socket_address(&one.address().await)).await;
    let bootstrap = format!("/ip4/127.0.0.1/tcp/{}", tap.port());
    let two = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__BOOTSTRAP", &bootstrap).start().await;
    two.connected(1).await;
    let large = "/repos/octo/big/contents/body-100000.json";
    for path in [PRIVATE, large] {
        let fetched = one.get(path, tokens::ALICE).await;
        let shared = two.get(path, tokens::ALICE).await;
        assert!(shared.is_hit(), "{}", shared.header("cache-status"));
        assert_eq!(shared.body, fetched.body);
    }
    let heard = heard.lock().expect("no test thread panicked").clone();
    assert!(heard.len() > 20_000, "the large body went by: {} bytes", heard.len());
    let credential = format!("token {}", tokens::ALICE);
    for secret in ["octo/secret", "body-100000", "full_name", "application/json", tokens::ALICE, &credential] {
        let holds = heard.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds, "the wire shows {secret}");
        for daemon in [&one, &two] {
            assert!(!directory_contains(&daemon.data(), secret), "the disk shows {secret}");
            assert!(!daemon.log().contains(tokens::ALICE), "the log shows a credential");
        }
    }
    assert!(!directory_contains(&one.data(), ghmesh_tests::SECRET), "the disk shows the mesh secret");
}

// 2. Another key's value, or an expired one.

#[tokio::test(flavor = "multi_thread")]
async fn fault_2_every_key_gets_its_own_value_also_from_a_peer() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how).await;
    let paths: Vec<_> = [1, 2, 10, 11, 12, 110, 111].map(issue).into_iter().collect();
    for daemon in [&one, &two] {
        for path in &paths {
            let answer = daemon.get(path, tokens::ALICE).await;
            let url = answer.json()["url"].as_str().unwrap_or_default().to_owned();
            assert_eq!(url, format!("https://api.github.com{path}"));
        }
    }
    assert_eq!((github.counters().calls(), two.count("peer_hits").await), (7, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_2_an_entry_that_expired_at_a_peer_is_not_served() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1s")).await;
    one.get(PATH, tokens::ALICE).await;
    eventually("the peer has heard of it", async || (two.count("entries").await > 0).then_some(())).await;
    one.expired(PATH, tokens::ALICE).await;
    two.expired(PATH, tokens::ALICE).await;
    github.touch(PATH).expect("it is there");
    let answer = two.get(PATH, tokens::ALICE).await;
    assert!(!answer.is_hit(), "{}", answer.header("cache-status"));
    assert_eq!(github.counters().calls(), 2);
}

// 3. Nothing left for when GitHub limits.

#[tokio::test(flavor = "multi_thread")]
async fn fault_3_expired_entries_stay_for_a_stale_answer_also_across_a_restart() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let daemon = how.with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    daemon.expired(PATH, tokens::ALICE).await;
    github.shutdown().await;
    let is_stale = async |daemon: &Daemon| {
        let answer = daemon.get(PATH, tokens::ALICE).await;
        assert_eq!((answer.header("cache-status"), &answer.body), ("ghmesh; hit; detail=stale", &first.body));
        assert_eq!(daemon.count("entries").await, 1);
    };
    is_stale(&daemon).await;
    let daemon = daemon.stop().await.start().await;
    is_stale(&daemon).await;
    let daemon = daemon.kill().await.start().await;
    is_stale(&daemon).await;
}

// 4. Another token's answers.

#[tokio::test(flavor = "multi_thread")]
async fn fault_4_another_token_never_reads_what_was_fetched_with_the_first() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how).await;
    let login = async |daemon: &Daemon, token| daemon.get("/user", token).await.json()["login"].clone();
    for daemon in [&one, &two] {
        assert_eq!(daemon.get(PRIVATE, tokens::ALICE).await.status, 200);
        assert_eq!(login(daemon, tokens::ALICE).await, "alice");
        for token in [tokens::BOB, tokens::REVOKED, "ghp_nobody00000000000000000000000000000000"] {
            let answer = daemon.get(PRIVATE, token).await;
            assert!(answer.status.is_client_error() && !answer.is_hit(), "{}", answer.status);
            assert!(!String::from_utf8_lossy(&answer.body).contains("octo/secret"));
        }
        assert_eq!(login(daemon, tokens::BOB).await, "bob");
        assert_eq!(login(daemon, tokens::ALICE).await, "alice");
        let anonymous = daemon.send(client::request(Method::GET, PRIVATE, None), "").await;
        assert_eq!(anonymous.status, 404);
        let bearer = client::request(Method::GET, PRIVATE, None).header("authorization", "Basic Ym9iOmd1ZXNz");
        assert!(daemon.send(bearer, "").await.status.is_client_error());
    }
    let counters = github.counters();
    assert_eq!(counters.token("alice").calls, 2, "the same credential shares: its repository and its user, once each");
}

// 5. A key from whatever token is at hand.

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_shared_secret_joins_nodes_whose_jobs_have_different_tokens() {
    let github = github().await;
    let made = DaemonBuilder::new(&github.url()).command(&["secret", "new"]).output().await.expect("it runs");
    let secret = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let how = |token: &str| {
        let how = DaemonBuilder::new(&github.url()).without("GHMESH_MESH__SECRET");
        let how = how.without("GHMESH_MESH__ALLOW_WEAK_SECRET").with("CACHE_P2P_SHARED_SECRET", &secret);
        how.with("GITHUB_TOKEN", token)
    };
    let one = how(tokens::ACTIONS).start().await;
    let two = how(tokens::INSTALLATION).with("CACHE_BOOTSTRAP_PEERS", &one.address().await).start().await;
    one.connected(1).await;
    two.connected(1).await;
    assert!(!one.get(PATH, tokens::ALICE).await.is_hit());
    assert!(two.get(PATH, tokens::ALICE).await.is_hit(), "the same caller on another node");
    assert!(!two.get(PATH, tokens::BOB).await.is_hit(), "another caller has its own proof");
    assert_eq!(github.counters().calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_jobs_token_is_never_taken_for_the_mesh_secret() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).without("GHMESH_MESH__SECRET");
    let daemon = how.without("GHMESH_MESH__ALLOW_WEAK_SECRET").with("GITHUB_TOKEN", tokens::ACTIONS).start().await;
    assert!(!daemon.get(PATH, tokens::ACTIONS).await.is_hit());
    assert!(daemon.get(PATH, tokens::ACTIONS).await.is_hit(), "the local cache works");
    assert_eq!(daemon.stats().await["peer_id"], "", "and there is no mesh");
    assert!(daemon.log().contains("ghs_"), "{}", daemon.log());
    assert!(!daemon.log().contains(tokens::ACTIONS), "{}", daemon.log());
}

// 7. Figures and limits made up.

#[tokio::test(flavor = "multi_thread")]
async fn fault_7_counts_are_of_what_was_asked_and_answered() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how).await;
    for number in 1..=5 {
        one.get(&issue(number), tokens::ALICE).await;
    }
    eventually("the peer has heard of all five", async || (two.count("entries").await >= 5).then_some(())).await;
    for count in ["requests", "hits", "peer_hits", "api_calls_saved", "misses"] {
        assert_eq!(two.count(count).await, 0, "{count}: nobody has asked yet");
    }
    for (expected, path) in [((1, 0), issue(1)), ((1, 1), issue(1)), ((2, 1), issue(2)), ((2, 2), issue(2))] {
        assert!(two.get(&path, tokens::ALICE).await.is_hit());
        assert_eq!((two.count("peer_hits").await, two.count("local_hits").await), expected);
    }
    for daemon in [&one, &two] {
        assert!(daemon.count("api_calls_saved").await <= daemon.count("requests").await);
    }
    assert_eq!(one.count("api_calls_made").await, 5);
    assert_eq!(two.count("api_calls_made").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_7_limits_are_githubs_or_none_and_errors_are_errors() {
    let github = github().await;
    let daemon = alone(&github).await;
    let limits = daemon.get("/rate_limit", tokens::ACTIONS).await;
    assert_eq!(limits.json()["resources"]["core"]["limit"], 1_000, "what GitHub says of a job's token");
    daemon.get(PATH, tokens::ALICE).await;
    let hit = daemon.get(PATH, tokens::ALICE).await;
    assert!(hit.is_hit());
    assert_eq!(
        (hit.header("x-ratelimit-limit"), hit.header("x-ratelimit-remaining")),
        ("5000", "4999"),
        "as GitHub said"
    );
    github.set_faults(vec![Fault::status(500).on(ISSUES)]);
    let failed = daemon.get(ISSUES, tokens::ALICE).await;
    assert_eq!((failed.status.as_u16(), failed.json().is_array()), (500, false));
}

// 8. Writes answered from the cache, and forgotten by it.

#[tokio::test(flavor = "multi_thread")]
async fn fault_8_two_posts_create_two_issues() {
    let github = github().await;
    let daemon = alone(&github).await;
    let one = write(&daemon, Method::POST, ISSUES, r#"{"title":"Twice"}"#).await;
    let two = write(&daemon, Method::POST, ISSUES, r#"{"title":"Twice"}"#).await;
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
    assert_ne!(one.json()["number"], two.json()["number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_8_a_write_makes_the_item_and_its_list_stale_here_and_on_other_nodes() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let title = async |daemon: &Daemon| daemon.get(&issue(130), tokens::ALICE).await.json()["title"].clone();
    let listed = async |daemon: &Daemon| daemon.get(ISSUES, tokens::ALICE).await.json()[0]["title"].clone();
    for daemon in [&one, &two] {
        title(daemon).await;
        listed(daemon).await;
    }
    let other = daemon_hits(&one, "/repos/octo/big").await;
    assert!(!other, "the first time");
    assert_eq!(write(&one, Method::PATCH, &issue(130), r#"{"title":"Changed"}"#).await.status, 200);
    assert_eq!(title(&one).await, "Changed", "whoever wrote sees it at once");
    assert_eq!(write(&one, Method::POST, ISSUES, r#"{"title":"New"}"#).await.status, 201);
    assert_eq!(listed(&one).await, "New");
    eventually("the other node shows both", async || {
        (title(&two).await == "Changed" && listed(&two).await == "New").then_some(())
    })
    .await;
    assert!(daemon_hits(&one, "/repos/octo/big").await, "another repository is untouched");
}

async fn daemon_hits(daemon: &Daemon, path: &str) -> bool {
    daemon.get(path, tokens::ALICE).await.is_hit()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_8_what_was_deleted_does_not_come_back() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let path = "/repos/alice/dotfiles";
    for daemon in [&one, &two] {
        assert_eq!(daemon.get(path, tokens::ALICE).await.status, 200);
    }
    assert_eq!(write(&one, Method::DELETE, path, "").await.status, 204);
    assert_eq!(one.get(path, tokens::ALICE).await.status, 404);
    eventually("the other node has heard of it", async || {
        (two.get(path, tokens::ALICE).await.status == 404).then_some(())
    })
    .await;
    // Neither from the other's store, nor from its own after a restart, nor once they have met again.
    let two = two.kill().await.start().await;
    two.connected(1).await;
    for daemon in [&one, &two, &one] {
        assert_eq!(daemon.get(path, tokens::ALICE).await.status, 404);
    }
}

// 10. Files.

#[tokio::test(flavor = "multi_thread")]
async fn fault_10_names_neither_collide_nor_are_too_long() {
    let github = github().await;
    let daemon = alone(&github).await;
    let long = format!("{ISSUES}?labels={}", "x".repeat(2_000));
    // The one that isn't there comes first: what GitHub refuses makes the rest of the repository be asked for anew.
    let paths = ["/repos/octo/hello/branches/feature_colours", "/repos/octo/hello/branches/feature/colours", &long];
    let mut first = vec![daemon.get(paths[0], tokens::ALICE).await];
    for path in &paths[1..] {
        let kept = async || Some(daemon.get(path, tokens::ALICE).await).filter(Answer::is_hit);
        first.push(eventually("it is kept", kept).await);
    }
    assert_eq!([first[0].status, first[1].status, first[2].status].map(|status| status.as_u16()), [404, 200, 200]);
    let daemon = daemon.kill().await.start().await;
    for (path, before) in paths.iter().zip(&first).rev() {
        let answer = daemon.get(path, tokens::ALICE).await;
        assert_eq!((answer.status, &answer.body), (before.status, &before.body), "{path}");
        assert_eq!(answer.is_hit(), before.status == 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_10_files_are_their_owners_alone() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    daemon.address().await;
    daemon.get(PRIVATE, tokens::ALICE).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&daemon.data()), 0o700);
    assert_eq!(mode(&daemon.socket()), 0o600);
    let files: Vec<_> = std::fs::read_dir(daemon.data()).expect("a directory").flatten().collect();
    assert!(files.len() >= 4, "data key, identity, lock, database: {files:?}");
    for file in files {
        assert_eq!(mode(&file.path()), 0o600, "{file:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_10_the_bounds_hold() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    let daemon =
        daemon.with("GHMESH_CACHE__MAX_ENTRIES", "10").with("GHMESH_CACHE__MAX_BYTES", "256 KiB").start().await;
    for number in 1..=40 {
        assert_eq!(daemon.get(&issue(number), tokens::ALICE).await.status, 200);
        assert!(daemon.count("entries").await <= 10, "after {number}");
    }
    assert!(daemon.get(&issue(40), tokens::ALICE).await.is_hit(), "the newest is there");
    for size in 0..6 {
        let path = format!("/repos/octo/big/contents/body-{}.json", 100_000 + size);
        assert_eq!(daemon.get(&path, tokens::ALICE).await.status, 200);
        assert!(daemon.count("bytes").await <= 256 << 10);
    }
    assert_eq!(daemon.count("max_entries").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_10_a_second_process_is_told_who_holds_the_directory() {
    let github = github().await;
    let daemon = alone(&github).await;
    daemon.get(PATH, tokens::ALICE).await;
    let output = daemon.how().command(&["up"]).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let holder = format!("in use by process {}", daemon.pid());
    assert!(said.contains(&holder) && said.contains(&*daemon.data().to_string_lossy()), "{said}");
    assert!(daemon.get(PATH, tokens::ALICE).await.is_hit(), "the first one goes on");
}

// 11. Identity and addresses.

async fn peer_id(daemon: &Daemon) -> String {
    daemon.address().await;
    daemon.stats().await["peer_id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_11_the_peer_id_outlives_restarts() {
    let github = github().await;
    let daemon = DaemonBuilder::new(&github.url()).start().await;
    let first = peer_id(&daemon).await;
    assert!(first.starts_with("12D3Koo"), "{first}");
    let daemon = daemon.stop().await.start().await;
    assert_eq!(peer_id(&daemon).await, first);
    let daemon = daemon.kill().await.start().await;
    assert_eq!(peer_id(&daemon).await, first);
    let other = DaemonBuilder::new(&github.url()).start().await;
    assert_ne!(peer_id(&other).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_11_a_dns_name_and_oneself_are_fine_as_bootstrap_addresses() {
    let github = github().await;
    let one = DaemonBuilder::new(&github.url()).start().await;
    let port = socket_address(&one.address().await).port();
    // Its own port must be known before it starts: taken here and given back.
    let own = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound").port();
    let bootstrap = format!("/dns4/localhost/tcp/{port},/dns4/localhost/tcp/{own},/ip4/127.0.0.1/tcp/{own}");
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__LISTEN", &format!("/ip4/127.0.0.1/tcp/{own}"));
    let two = how.with("GHMESH_MESH__BOOTSTRAP", &bootstrap).start().await;
    two.connected(1).await;
    one.connected(1).await;
    one.get(PATH, tokens::ALICE).await;
    assert!(two.get(PATH, tokens::ALICE).await.is_hit());
    assert_eq!(
        (one.count("connected_peers").await, two.count("connected_peers").await),
        (1, 1),
        "nobody is its own peer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_11_who_joins_late_gets_what_was_fetched_before() {
    let github = github().await;
    // Asked at once, before its mesh has started: what it fetches now is shared later.
    let one = DaemonBuilder::new(&github.url()).start().await;
    for number in 1..=8 {
        one.get(&issue(number), tokens::ALICE).await;
    }
    let late = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__BOOTSTRAP", &one.address().await).start().await;
    late.connected(1).await;
    one.connected(1).await;
    for number in 1..=8 {
        let answer = late.get(&issue(number), tokens::ALICE).await;
        assert!(answer.is_hit(), "issue {number}: {}", answer.header("cache-status"));
    }
    assert_eq!((github.counters().calls(), late.count("peer_hits").await), (8, 8));
}

// 12. Monitors that see nothing, checks that pass.

async fn command(how: &DaemonBuilder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = how.command(arguments).output().await.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_12_status_and_peers_show_the_running_daemons_numbers() {
    let github = github().await;
    let [one, two] = pair(&github, |how| how).await;
    one.get(PATH, tokens::ALICE).await;
    two.get(PATH, tokens::ALICE).await;
    two.get(PATH, tokens::ALICE).await;
    let (code, status, _) = command(two.how(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(code, Some(0));
    for name in ["requests", "hits", "peer_hits", "local_hits", "misses", "connected_peers", "peer_id", "entries"] {
        assert_eq!(status["stats"][name], two.stats().await[name], "{name}");
    }
    assert_eq!((&status["stats"]["peer_hits"], &status["stats"]["local_hits"]), (&1.into(), &1.into()));
    assert_eq!(status["mesh"], "running");
    let (code, text, _) = command(two.how(), &["status"]).await;
    assert!(code == Some(0) && text.contains("2 (local 1, from peers 1)"), "{text}");

    let (code, peers, _) = command(two.how(), &["peers", "--json"]).await;
    let peers: Value = serde_json::from_str(&peers).expect("JSON");
    assert_eq!((code, peers.as_array().map(Vec::len)), (Some(0), Some(1)));
    assert_eq!(peers[0]["peer_id"], peer_id(&one).await);
    let (code, id, _) = command(one.how(), &["id"]).await;
    assert_eq!((code, id.trim()), (Some(0), one.address().await.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_12_without_a_daemon_or_without_a_mesh_nobody_says_that_all_is_well() {
    let github = github().await;
    let how = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
    for arguments in [&["status"][..], &["status", "--json"], &["peers"], &["peers", "--json"]] {
        let (code, said, complaint) = command(&how, arguments).await;
        assert_eq!((code, said.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(complaint.contains("ghmesh up"), "{complaint}");
    }
    let daemon = how.start().await;
    let (code, text, _) = command(daemon.how(), &["status"]).await;
    assert!(code == Some(0) && text.contains("off"), "{text}");
    let (_, peers, _) = command(daemon.how(), &["peers"]).await;
    assert!(peers.contains("no peers"), "{peers}");
}
