//! The same invocations given to gh and to us, against the same server: standard output and exit code have to be the same.

use super::*;

/// Invocations in which gh 2.23 and newer agree with us. What we do in newer gh's way, or in our own, has tests elsewhere: a bad
/// filter sends nothing, a redirect abroad gets no token (2.23 gives it the Enterprise one), control characters in plain bodies
/// stay as they are.
const INVOCATIONS: &[&[&str]] = &[
    &["echo"],
    &["/echo?a=b"],
    &["doc", "--silent"],
    &["404"],
    &["422"],
    &["errors"],
    &["500"],
    &["204"],
    &["304"],
    &["text"],
    &["moved"],
    &["circle"],
    &["-i", "objects"],
    &["-i", "404"],
    &["echo", "-f", "a=b c", "-F", "c=1", "-F", "d=true", "-F", "e=null", "-F", "f=-7", "-F", "g=1.5"],
    &[
        "echo",
        "-F",
        "a[b][c]=1",
        "-F",
        "l[]=1",
        "-F",
        "l[]=x",
        "-F",
        "o[][n]=1",
        "-F",
        "o[][m]=2",
        "-F",
        "o[][n]=3",
        "-F",
        "e[]",
    ],
    &["echo", "-X", "GET", "-f", "q=a b&c/é~*", "-F", "n=null", "-F", "t=true"],
    &["echo?x=1", "-X", "GET", "-f", "q=2"],
    &["echo", "-X", "DELETE"],
    &["echo", "-X", "PATCH", "-f", "a=1", "-H", "Content-Type: text/x"],
    &["echo", "--input", "body", "-f", "q=1"],
    &["echo", "--input", "-"],
    &["echo", "-F", "a=@body", "-F", "b=@-"],
    &["echo?x={owner}&y={repo}", "-F", "a={owner}", "-f", "b={owner}"],
    &["echo/é x", "--silent"],
    &["graphql", "-f", "query=q", "-F", "n=1"],
    &["graphql", "-f", "query=wrong"],
    &["graphql", "--paginate", "-f", "query=q"],
    &["graphql", "--paginate", "-f", "query=q", "-q", ".data.list.nodes[]"],
    &["objects", "--paginate"],
    &["lists", "--paginate", "-q", ".[]"],
    &["half", "--paginate", "-q", ".[]"],
    &["doc", "-q", ".rows[] | [.n, .t] | @tsv"],
    &["doc", "-q", ".rows, .pi, .n, .html"],
    &["doc", "-q", "error(\"x\")"],
    &["404", "-q", ".message"],
    &["doc", "-t", "{{range .rows}}{{tablerow (printf \"#%v\" .n) .t}}{{end}}"],
    &["doc", "-t", "{{.labels | pluck \"name\" | join \", \"}} {{timefmt \"Jan 2, 2006\" .t1}} {{.big}}"],
    &["doc", "-t", "{{"],
    &["lists", "--paginate", "-t", "{{range .}}{{printf \"%v;\" .}}{{end}}"],
    &["echo", "--hostname", "ghe.example.com"],
    &["https://api.github.com/echo"],
    &["echo", "-F", "a=@missing"],
    &["echo", "--input", "missing"],
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs gh"]
async fn gh_and_we_print_the_same() {
    let server = Server::start();
    let config = tempfile::tempdir().unwrap();
    std::fs::write(config.path().join("config.yml"), format!("http_unix_socket: {}\n", server.socket().display()))
        .unwrap();
    let path = std::env::var("PATH").unwrap();
    let scene = Scene { stdin: "from stdin\n", ..Scene::new() }
        .file("body", b"hello\n")
        .with("PATH", &path)
        .with("GH_REPO", "o/r")
        .with("GH_CONFIG_DIR", config.path().to_str().unwrap())
        .with("GH_ENTERPRISE_TOKEN", "ent");
    let mut different = Vec::new();
    for arguments in INVOCATIONS {
        let theirs = gh(&scene, arguments).await;
        let asked_by_gh = asked(&server);
        let ours = scene.run(&server, arguments).await;
        let asked_by_us = asked(&server);
        if (&theirs.stdout, theirs.code) != (&ours.stdout, ours.code) || asked_by_gh != asked_by_us {
            different.push(format!("{arguments:?}\n  gh:   {theirs:?}\n  here: {ours:?}\n  gh asked: {asked_by_gh:?}\n  we asked: {asked_by_us:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What a server can tell apart, apart from the headers that are each client's own.
fn asked(server: &Server) -> Vec<String> {
    let describe = |seen: server::Seen| {
        let authorization = seen.header("authorization").unwrap_or_default();
        format!(
            "{} {} {} {authorization} {:?}",
            seen.method,
            seen.uri,
            seen.header("host").unwrap_or_default(),
            seen.body()
        )
    };
    server.seen().into_iter().map(describe).collect()
}

async fn gh(scene: &Scene, arguments: &[&str]) -> Outcome {
    let mut command = tokio::process::Command::new("gh");
    command
        .arg("api")
        .args(arguments)
        .env_clear()
        .envs(&scene.variables)
        .env("HOME", scene.path())
        .env("TZ", "UTC")
        .current_dir(scene.path());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // gh may end without reading its input.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, scene.stdin.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap() as u8 }
}
