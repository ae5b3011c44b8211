//! Everything that can be given wrongly, to real processes: settings, paths, files, secrets, addresses, HTTP. Each is
//! answered with an exit code or a status, and with words that a person can act on.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder, PATIENCE, eventually};
use http::Method;
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Nobody listens there.
const NO_ORIGIN: &str = "http://127.0.0.1:1";

async fn run(how: &DaemonBuilder, arguments: &[&str]) -> Output {
    let output = tokio::time::timeout(PATIENCE, how.command(arguments).output()).await;
    output.unwrap_or_else(|_| panic!("ghmesh {arguments:?} does not end")).expect("ghmesh starts")
}

/// Runs `ghmesh`, which must end with `code` and say all of `words`.
async fn complains(how: &DaemonBuilder, arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(how, arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "ghmesh {arguments:?}, of which {words:?} was expected: {complaint}");
    for word in words {
        assert!(complaint.contains(word), "ghmesh {arguments:?} does not say {word:?}: {complaint}");
    }
    assert!(!complaint.contains("panicked"), "{complaint}");
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_bad_setting_ends_the_daemon_with_2_and_says_what_to_write() {
    let job_token = format!("ghs_{}", "a1B2".repeat(9));
    let long_path = format!("/tmp/{}", "s".repeat(120));
    let cases: [(&str, &str, &[&str]); 23] = [
        ("GHMESH_MESH__SECERT", "x", &["GHMESH_MESH__SECERT is not a setting", "did you mean GHMESH_MESH__SECRET?"]),
        ("GHMESH_CACHE__TTL", "5", &["did you mean GHMESH_CACHE__DEFAULT_TTL?"]),
        ("GHMESH_CACHE__DEFAULT_TTL", "soon", &["cache.default_ttl = \"soon\" is not a time", "\"5m\""]),
        ("GHMESH_CACHE__PROOF_TTL", "-1", &["cache.proof_ttl = \"-1\" is not a time"]),
        ("GHMESH_CACHE__SHARING", "everybody", &["cache.sharing = \"everybody\" is not known", "\"credential\""]),
        ("GHMESH_CACHE__MAX_BYTES", "lots", &["cache.max_bytes = \"lots\" is not a size", "512 MiB"]),
        ("GHMESH_MESH__LISTEN", "0.0.0.0:9000", &["is not a multiaddr", "write /ip4/0.0.0.0/tcp/9000"]),
        ("GHMESH_MESH__LISTEN", "/ip4/0.0.0.0/udp/9000", &["nodes speak TCP", "/tcp/9000"]),
        ("GHMESH_MESH__BOOTSTRAP", "peer:9000", &["is not a multiaddr", "write /dns4/peer/tcp/9000"]),
        ("GHMESH_MESH__BOOTSTRAP", "/ip4/10.0.0.1/tcp/1/p2p/me", &["\"me\" is not a peer id", "ghmesh id"]),
        ("GHMESH_GATEWAY__LISTEN", "localhost", &["is not an address with a port", "127.0.0.1:9180"]),
        ("GHMESH_GATEWAY__LISTEN", "0.0.0.0:0", &["reached from other machines", "gateway.allow_remote = true"]),
        ("GHMESH_GATEWAY__SOCKET_MODE", "rw", &["gateway.socket_mode = \"rw\" is not a file mode", "\"0600\""]),
        ("GHMESH_GATEWAY__SOCKET", &long_path, &["gateway.socket", "bytes long", "107"]),
        ("GHMESH_ORIGIN__URL", "http://api.github.com", &["http to api.github.com", "clear text"]),
        ("GHMESH_ORIGIN__URL", "ghe.example", &["origin.url"]),
        ("GHMESH_ORIGIN__HOSTS", "https://ghe.example", &["is not a host", "write api.github.com or ghe.example.com"]),
        ("GHMESH_ADMIN__TOKEN", "short", &["admin.token has 5 characters", "16"]),
        ("GHMESH_POLICY__MODE", "on", &["policy.mode = \"on\" is not known", "\"cache\""]),
        ("GHMESH_LOG__LEVEL", "inof", &["log.level = \"inof\" is not a log level", "info"]),
        ("GHMESH_MESH__DISCOVERY__INTERFACES", "eth*0", &["mesh.discovery.interfaces", "eth*0", "is not an interface"]),
        ("GHMESH_MESH__ALLOW_WEAK_SECRET", "false", &["mesh.secret", "ghmesh secret new"]),
        ("GHMESH_MESH__SECRET", &job_token, &["mesh.secret", "ghs_ token", "ghmesh secret new"]),
    ];
    for (name, value, words) in cases {
        let how = DaemonBuilder::new(NO_ORIGIN).with(name, value);
        complains(&how, &["up"], 2, words).await;
        let output = run(&how, &["up"]).await;
        assert!(!String::from_utf8_lossy(&output.stderr).contains(&job_token), "a secret is shown");
        assert!(!how.path("data").join("store.redb").exists(), "{name}: nothing is begun");
    }
}

#[tokio::test]
async fn all_problems_are_told_at_once_also_to_the_other_commands() {
    let how = DaemonBuilder::new("ftp://origin")
        .with("GHMESH_CACHE__DEFAULT_TTL", "soon")
        .with("GHMESH_MESH__LISTEN", "9000")
        .with("GHMESH_MESH__SECERT", "x");
    let all = ["4 settings cannot be used", "origin.url", "cache.default_ttl", "mesh.listen", "GHMESH_MESH__SECERT"];
    for arguments in [&["up"][..], &["api", "user"], &["status"], &["peers", "--json"], &["id"]] {
        complains(&how, arguments, 2, &all).await;
    }
}

#[tokio::test]
async fn a_bad_file_of_settings_is_told_with_its_place() {
    let how = DaemonBuilder::new(NO_ORIGIN);
    let file = how.path("config.toml");
    let name = path(&file);
    complains(&how, &["up", "--config", &name], 2, &[&name, "there is no such file", "--config"]).await;
    for (text, words) in [
        ("[mesh\n", "line 1, column 6 is not TOML"),
        ("[mehs]\nlisten = []\n", "mehs.listen is not a setting; did you mean mesh.listen?"),
        ("[gateway]\nsocket_mode = 600\n", "gateway.socket_mode = 600 is not a file mode"),
        ("[cache]\ndefault_ttl = 1.5\n", "cache.default_ttl = 1.5 is not a time"),
    ] {
        std::fs::write(&file, text).expect("the file is written");
        complains(&how, &["up", "--config", &name], 2, &[&name, words]).await;
    }
    complains(&how, &["up", "--config", &path(&how.path(""))], 2, &["cannot be read", "Is a directory"]).await;
}

#[tokio::test]
async fn a_bad_file_with_a_secret_is_told() {
    let how =
        DaemonBuilder::new(NO_ORIGIN).with("GHMESH_MESH__SECRET", "").with("GHMESH_MESH__ALLOW_WEAK_SECRET", "false");
    let file = how.path("secret");
    let name = path(&file);
    let arguments = ["up", "--secret-file", &name];
    complains(&how, &arguments, 2, &["mesh.secret_file", &name, "cannot be read", "put into it"]).await;
    for (text, words) in
        [("\n", "is empty; put into it what `ghmesh secret new` prints"), ("password", "ghmesh secret new")]
    {
        std::fs::write(&file, text).expect("the file is written");
        complains(&how, &arguments, 2, &["mesh.secret_file", &name, words]).await;
    }
    std::fs::write(&file, vec![b'x'; 5000]).expect("the file is written");
    complains(&how, &arguments, 2, &[&name, "more than 4096 bytes"]).await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_told() {
    let how = DaemonBuilder::new(NO_ORIGIN);
    let file = how.path("file");
    std::fs::write(&file, "text").expect("the file is written");
    let at = |directory: &Path| how.clone().with("GHMESH_CACHE__DIR", &path(directory));
    complains(&at(&file), &["up"], 1, &[&path(&file), "not a directory", "cache.dir"]).await;
    let below = file.join("data");
    complains(&at(&below), &["up"], 1, &[&path(&below), "Not a directory"]).await;
    complains(&at(Path::new("/proc/ghmesh")), &["up"], 1, &["/proc/ghmesh", "a directory that it can write"]).await;

    let shared = how.path("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::fs::write(shared.join("photo.jpg"), "text").expect("the file is written");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).expect("permissions are ours to give");
    complains(&at(&shared), &["up"], 1, &["0777", "files that aren't ghmesh's", "chmod 700"]).await;
    assert_eq!(std::fs::read_dir(&shared).expect("a directory").count(), 1, "nothing is put there");
}

#[tokio::test]
async fn a_directory_that_another_daemon_holds_is_told_with_its_process() {
    let daemon = DaemonBuilder::new(NO_ORIGIN).start().await;
    let held = path(&daemon.data());
    let other = DaemonBuilder::new(NO_ORIGIN).with("GHMESH_CACHE__DIR", &held);
    let holder = format!("in use by process {}", daemon.pid());
    complains(&other, &["up"], 1, &[&held, &holder, "cache.dir"]).await;
    assert_eq!(daemon.admin("/_ghmesh/readyz").await.expect("it runs on").status, 200);
}

/// A daemon that has run on a directory, and has ended.
async fn used() -> DaemonBuilder {
    let daemon = DaemonBuilder::new(NO_ORIGIN).start().await;
    daemon.address().await;
    daemon.stop().await
}

#[tokio::test]
async fn damaged_files_of_the_cache_are_told_and_not_overwritten() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &[&str]); 4] = [
        ("store.redb", |file| write(file, "no database at all, by far"), &["damaged or no database", "delete it"]),
        ("store.redb", scramble, &["store.redb", "delete"]),
        ("data.key", |file| write(file, "short"), &["has 5 bytes instead of 32", "delete it"]),
        ("data.key", |file| std::fs::remove_file(file).expect("it is there"), &["is gone", "delete the database"]),
    ];
    for (name, damage, words) in cases {
        let how = used().await;
        let file = how.path("data").join(name);
        assert!(file.exists(), "{name} is in {:?}", std::fs::read_dir(how.path("data")).map(Iterator::count));
        damage(&file);
        let length = || std::fs::metadata(&file).ok().map(|file| file.len());
        let damaged = length();
        complains(&how, &["up"], 1, words).await;
        assert_eq!(length(), damaged, "{name} is not made anew");
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("the file is written");
}

/// Another key's rows, as after a copy of one file from another machine.
fn scramble(database: &Path) {
    let key = database.with_file_name("data.key");
    std::fs::write(key, [7; 32]).expect("the key is written");
}

#[tokio::test]
async fn a_damaged_identity_is_told_and_the_cache_goes_on_alone() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let how = used().await.with("GHMESH_ORIGIN__URL", &github.url());
    let file = how.path("data").join("identity");
    write(&file, "who am I?\n");
    complains(&how, &["id"], 1, &[&path(&file), "is not an identity", "remove it"]).await;
    let daemon = how.start().await;
    complains(daemon.how(), &["id"], 1, &["its mesh is", "ghmesh status"]).await;
    eventually("it tells what is wrong", async || {
        let log = daemon.log();
        (log.contains("is not an identity") && log.contains("this cache stays local")).then_some(())
    })
    .await;
    assert_eq!(daemon.get("/repos/octo/hello", tokens::ALICE).await.status, 200);
    assert!(daemon.get("/repos/octo/hello", tokens::ALICE).await.is_hit());
    assert_eq!(std::fs::read(&file).expect("it is there"), b"who am I?\n", "the file is left as it is");
}

#[tokio::test]
async fn a_port_or_socket_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let how = DaemonBuilder::new(NO_ORIGIN);
    let listening = how.clone().with("GHMESH_GATEWAY__LISTEN", &address);
    complains(&listening, &["up"], 1, &[&address, "is taken", "gateway.listen"]).await;

    let socket = how.path("other");
    let at_socket = how.clone().with("GHMESH_GATEWAY__SOCKET", &path(&socket));
    let holder = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    complains(&at_socket, &["up"], 1, &[&path(&socket), "is in use", "gateway.socket"]).await;
    drop(holder);
    std::fs::remove_file(&socket).expect("it is there");
    write(&socket, "a file");
    complains(&at_socket, &["up"], 1, &[&path(&socket), "is not a socket", "gateway.socket"]).await;
    let nowhere = how.path("missing").join("socket");
    let at_nowhere = how.clone().with("GHMESH_GATEWAY__SOCKET", &path(&nowhere));
    complains(&at_nowhere, &["up"], 1, &[&path(&how.path("missing")), "No such file", "gateway.socket"]).await;
    let group = how.with("GHMESH_GATEWAY__SOCKET_GROUP", "no-such-group");
    complains(&group, &["up"], 1, &["no group \"no-such-group\"", "create it"]).await;
}

#[tokio::test]
async fn a_mesh_port_that_is_taken_leaves_the_cache_local_and_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let daemon = DaemonBuilder::new(NO_ORIGIN).with("GHMESH_MESH__LISTEN", &listen).start().await;
    eventually("it tells what is wrong", async || {
        let log = daemon.log();
        (log.contains("this cache stays local") && log.contains(&listen) && log.contains("in use")).then_some(())
    })
    .await;
    let ready = daemon.admin("/_ghmesh/readyz").await.expect("it runs on");
    assert_eq!((ready.status.as_u16(), ready.json()), (200, serde_json::json!({"ready": true, "mesh": "failed"})));
    let status = run(daemon.how(), &["status"]).await;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let mesh = status.lines().find(|line| line.starts_with("mesh")).expect("a line for the mesh");
    assert!(mesh.contains("failed") && mesh.contains(&listen) && mesh.contains("in use"), "{status}");
    let metrics = daemon.admin("/_ghmesh/metrics").await.expect("it runs on");
    assert!(String::from_utf8_lossy(&metrics.body).contains("ghmesh_mesh_failed 1\n"));
}

#[tokio::test]
async fn no_mesh_is_no_reason_to_warn_and_no_secret_is() {
    let how = DaemonBuilder::new(NO_ORIGIN).with("GHMESH_MESH__SECRET", "").with("GHMESH_LOG__LEVEL", "warn");
    let alone = how.clone().with("GHMESH_MESH__ENABLED", "false").start().await;
    assert_eq!(alone.log(), "");
    let alone = alone.stop().await.with("GHMESH_MESH__ENABLED", "true").start().await;
    assert!(alone.log().contains("no mesh secret"), "{}", alone.log());
    let ready = alone.admin("/_ghmesh/readyz").await.expect("it runs").json();
    assert_eq!(ready["mesh"], "off", "what never starts is not starting");
}

#[tokio::test]
async fn flags_of_lists_can_be_repeated() {
    let free = || TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").to_string();
    let (one, other) = (free(), free());
    let how = DaemonBuilder::new(NO_ORIGIN).with("GHMESH_MESH__ENABLED", "false");
    let mut command = how.command(&["up", "--listen", &one, "--listen", &other]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("ghmesh starts");
    for address in [&one, &other] {
        eventually(&format!("it listens on {address}"), async || TcpStream::connect(address).await.ok()).await;
    }
    child.kill().await.expect("it was running");
}

#[tokio::test]
async fn causes_are_told_once() {
    let how = DaemonBuilder::new(NO_ORIGIN);
    let nowhere = how.path("missing").join("socket");
    let output = run(&how.with("GHMESH_GATEWAY__SOCKET", &path(&nowhere)), &["up"]).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = complaint.lines().last().unwrap_or_default();
    assert_eq!(told.matches("No such file or directory").count(), 1, "{complaint}");
}

#[tokio::test]
async fn api_says_what_is_wrong_with_what_it_was_asked() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let how = DaemonBuilder::new(&github.url()).with("GH_TOKEN", tokens::ALICE);
    let missing = path(&how.path("missing.json"));
    let cases: [(&[&str], &[&str]); 10] = [
        (&["api", "user", "-q", ".["], &["jq"]),
        (&["api", "user", "-t", "{{.login"], &["template"]),
        (&["api", "user", "-F", "title"], &["field", "title"]),
        (&["api", "user", "-H", "NoColon"], &["header", "NoColon"]),
        (&["api", "user", "--input", &missing], &["missing.json", "no such file"]),
        (&["api", "repos/{owner}/{repo}/issues"], &["repo"]),
        (&["api", "user", "--cache", "soon"], &["soon"]),
        (&["api", "http://127.0.0.1:9180/user?a=b"], &["127.0.0.1 is this machine", "`ghmesh api '/user?a=b'`"]),
        (&["api", "http://localhost/_ghmesh/stats"], &["localhost is this machine", "'/_ghmesh/stats'"]),
        (&["api", "--paginate", "-X", "POST", "repos/octo/hello/issues"], &["--paginate"]),
    ];
    for (arguments, words) in cases {
        let output = run(&how, arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(matches!(output.status.code(), Some(1 | 2)), "ghmesh {arguments:?}: {} {complaint}", output.status);
        for word in words {
            assert!(
                complaint.contains(&word.to_lowercase()),
                "ghmesh {arguments:?} does not say {word:?}: {complaint}"
            );
        }
    }
    assert_eq!(github.counters().calls(), 0);
    let whole = format!("{}/user", github.url());
    let credential = format!("Authorization: token {}", tokens::ALICE);
    let output = run(&how, &["api", &whole, "-H", &credential, "-q", ".login"]).await;
    assert!(output.status.success(), "an origin on this machine can be named in full: {output:?}");
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_told_at_once() {
    let daemon = DaemonBuilder::new(NO_ORIGIN).start().await;
    let answer = daemon.get("/repos/octo/hello", tokens::ALICE).await;
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, 502, "{message}");
    assert!(message.contains("127.0.0.1:1"), "{message}");
    let status = run(daemon.how(), &["status"]).await;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let origin = status.lines().find(|line| line.starts_with("origin")).expect("a line for the origin");
    for word in ["127.0.0.1:1: failing", "no answer yet", "last failure", "refused"] {
        assert!(origin.contains(word), "{word} is not in {origin}");
    }
}

// HTTP, byte by byte.

/// A malformed or unwanted request, the status that answers it, and a word of the message.
fn bad_requests(own: &str) -> Vec<(String, u16, &'static str)> {
    let ask = |head: &str| format!("GET /repos/octo/hello HTTP/1.1\r\n{head}\r\n");
    let host = "Host: api.github.com\r\n";
    let post = |head: &str| format!("POST /repos/octo/hello/issues HTTP/1.1\r\n{host}{head}\r\nhello");
    vec![
        (ask(&format!("{host}{host}")), 400, "more than one Host"),
        (ask(""), 400, "no Host"),
        (ask("Host: a b\r\n"), 400, "is not a host"),
        (ask("Host: evil.example\r\n"), 421, "origin.hosts"),
        (ask(&format!("Host: evil.example:{}\r\n", own.rsplit(':').next().unwrap_or_default())), 421, "gateway.names"),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421, "evil.example"),
        ("GET /_ghmesh/stats HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421, "gateway.names"),
        (
            ask(&format!("{host}Authorization: token a\r\nAuthorization: token b\r\n")),
            400,
            "more than one Authorization",
        ),
        (ask(&format!("{host}Connection: authorization\r\n")), 400, "Connection header names authorization"),
        (ask(&format!("{host}X-A: b\r\n c\r\n")), 400, "well-formed"),
        (ask(&format!("{host}X-A: {}\r\n", "a".repeat(70_000))), 431, "longer"),
        (ask(&format!("{host}{}", "X-A: b\r\n".repeat(150))), 431, "more than 100 headers"),
        (ask(&format!("{host}Origin: https://evil.example\r\n")), 403, "browser"),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400, "well-formed"),
        (post("Content-Length: five\r\n"), 400, "well-formed"),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501, "chunked"),
        ("CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\n".to_owned(), 405, "CONNECT"),
        ("GET ftp://api.github.com/ HTTP/1.1\r\nHost: api.github.com\r\n\r\n".to_owned(), 400, "ftp"),
        ("hello\r\n\r\n".to_owned(), 400, "well-formed"),
    ]
}

/// Sends bytes, and reads the answer: to the end that its length says, or until the other side closes.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &str) -> (u16, String) {
    // It may answer and close before it has taken everything.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    let reading =
        async { while !is_whole(&answer) && stream.read_buf(&mut answer).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no end of the answer to {bytes:.200}"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

async fn by_tcp(daemon: &Daemon, bytes: &str) -> (u16, String) {
    exchange(TcpStream::connect(daemon.tcp().await).await.expect("it listens"), bytes).await
}

async fn by_socket(daemon: &Daemon, bytes: &str) -> (u16, String) {
    exchange(UnixStream::connect(daemon.socket()).await.expect("it listens"), bytes).await
}

#[tokio::test]
async fn bad_http_is_answered_in_words_and_reaches_no_github() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    let own = daemon.tcp().await.to_string();
    for (bytes, status, words) in bad_requests(&own) {
        let mut answers = vec![by_tcp(&daemon, &bytes).await];
        // No browser reaches a socket, so the daemon's own pages have any name there.
        if !bytes.contains("/_ghmesh/") {
            answers.push(by_socket(&daemon, &bytes).await);
        }
        for (got, body) in answers {
            let told: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            let message = told["message"].as_str().unwrap_or_default();
            assert!(got == status && message.contains(words), "{bytes:.200}\n{got} {body}, wanted {status} {words:?}");
        }
    }
    assert_eq!(github.counters().calls(), 0);
    assert_eq!(daemon.get("/repos/octo/hello", tokens::ALICE).await.status, 200, "it serves on");
}

#[tokio::test]
async fn a_request_with_both_lengths_smuggles_nothing() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    let smuggled = "GET /repos/octo/secret HTTP/1.1\r\nHost: api.github.com\r\n\r\n";
    let lengths = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let head = format!("POST /repos/octo/hello/issues HTTP/1.1\r\nHost: api.github.com\r\n{lengths}\r\n");
    by_tcp(&daemon, &format!("{head}2\r\n{{}}\r\n0\r\n\r\n{smuggled}")).await;
    assert_eq!(github.counters().path("/repos/octo/secret").calls, 0, "what follows is not read as a request");
}

#[tokio::test]
async fn private_pages_are_refused_over_tcp_with_the_reason() {
    let daemon = DaemonBuilder::new(NO_ORIGIN).start().await;
    let (status, body) = by_tcp(&daemon, "GET /_ghmesh/peers HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!((401..=403).contains(&status) && body.contains("admin.token"), "{status} {body}");
    let (status, body) = by_tcp(&daemon, "GET /_ghmesh/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status, 404, "{body}");
    let (status, body) = by_tcp(&daemon, "DELETE /_ghmesh/stats HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status, 405, "{body}");
}

#[tokio::test]
async fn strange_paths_are_answered_by_github_itself() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    for path in ["/repos/octo/hello/../secret", "/repos/octo/%00", "/repos/octo/%zz", "//repos//octo", "/?a=1&a=2"] {
        let answer = daemon.send(ghmesh_tests::client::request(Method::GET, path, None), "").await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.status);
        assert_ne!(answer.json()["full_name"], "octo/secret", "{path}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_does_no_harm() {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    let address = daemon.tcp().await;
    for bytes in
        ["GET /repos", "POST /repos/octo/hello/issues HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 9\r\n\r\n{"]
    {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        std::io::Write::write_all(&mut stream, bytes.as_bytes()).expect("it takes bytes");
        stream.shutdown(Shutdown::Both).expect("it was open");
    }
    assert_eq!(daemon.get("/repos/octo/hello", tokens::ALICE).await.status, 200);
    assert_eq!(
        github.counters().path("/repos/octo/hello/issues").failed,
        github.counters().path("/repos/octo/hello/issues").calls
    );
}
