//! What invocations ask, print and end with.

use super::*;

/// Arguments with the standard output and the code that they end with.
async fn expect(server: &Server, cases: &[(&[&str], &str, u8)]) {
    let scene = Scene::new().file("body", b"hello\n").file("bad", b"\xff");
    for (arguments, stdout, code) in cases {
        let outcome = scene.run(server, arguments).await;
        assert_eq!((outcome.stdout.as_str(), outcome.code), (*stdout, *code), "{arguments:?}: {}", outcome.stderr);
    }
}

#[tokio::test]
async fn bodies_are_printed_and_errors_end_with_one() {
    let server = Server::start();
    let not_found = r#"{"message":"Not Found","documentation_url":"x"}"#;
    expect(
        &server,
        &[
            (&["doc"], server::DOCUMENT, 0),
            (&["text"], "plain \x1b[1m\n", 0),
            (&["404"], not_found, 1),
            (&["404", "-q", ".message"], not_found, 1),
            (&["404", "-t", "{{.}}"], not_found, 1),
            (&["404", "--silent"], "", 1),
            (&["500"], "oops", 1),
            (&["500", "-q", "."], "oops", 1),
            (&["204"], "", 0),
            (&["204", "-q", "."], "", 0),
            (&["304"], "", 1),
            (&["doc", "--silent"], "", 0),
            (&["doc", "-X", "HEAD"], "", 0),
            (&["doc", "-q", ".rows[].n, .labels[0]"], "1\n22\n{\"name\":\"bug\"}\n", 0),
            (&["doc", "-t", "{{range .rows}}{{tablerow .n .t}}{{end}}"], "1   one two three\n22  日本語\n", 0),
        ],
    )
    .await;
}

#[tokio::test]
async fn errors_are_told_as_gh_tells_them() {
    let server = Server::start();
    for (arguments, stderr) in [
        (&["404"][..], "gh: Not Found (HTTP 404)\n"),
        (&["422"], "gh: Validation Failed (HTTP 422)\n"),
        (&["errors"], "gh: a\nb\n"),
        (&["500"], "gh: HTTP 500\n"),
        (&["304"], "gh: HTTP 304\n"),
        (&["401"], "gh: Requires authentication (HTTP 401)\n"),
        (&["graphql", "-f", "query=wrong"], "gh: bad thing\ntwo\n"),
    ] {
        let outcome = Scene::new().run(&server, arguments).await;
        assert_eq!((outcome.stderr.as_str(), outcome.code), (stderr, 1), "{arguments:?}");
    }
}

#[tokio::test]
async fn usage_errors_end_with_two_and_send_nothing() {
    let server = Server::start();
    for arguments in [
        &["echo", "--nope"][..],
        &["echo", "extra"],
        &[],
        &["echo", "--slurp"],
        &["echo", "--paginate", "-X", "POST"],
        &["echo", "-q", ".", "-t", "x"],
        &["echo", "-f", "novalue"],
        &["echo", "-f", "a=1", "-f", "a=2"],
        &["echo", "-H", "nocolon"],
        &["echo", "-X", "NO SPACE"],
        &["echo", "--cache", "soon"],
        &["echo", "--hostname", "a/b"],
    ] {
        let outcome = Scene::new().run(&server, arguments).await;
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 2), "{arguments:?}: {}", outcome.stderr);
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [
        &["echo", "-q", ".["][..],
        &["echo", "-t", "{{"],
        &["echo", "-F", "a=@missing"],
        &["echo", "--input", "missing"],
    ] {
        let outcome = Scene::new().run(&server, arguments).await;
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 1), "{arguments:?}: {}", outcome.stderr);
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn requests_look_like_ghs() {
    let server = Server::start();
    Scene::new().run(&server, &["/echo?a=b"]).await;
    let seen = server.only();
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("GET", "/echo?a=b"));
    assert_eq!(seen.header("host"), Some("api.github.com"));
    assert_eq!(seen.header("authorization"), Some("token tok"));
    assert_eq!(seen.header("accept"), Some("*/*"));
    assert_eq!(seen.header("content-type"), None);
    assert_eq!(seen.header("x-gh-cache-ttl"), None);

    Scene::new()
        .run(&server, &["echo", "-H", "Accept: text/x", "-H", "X-A:b", "-H", "Host: evil", "-p", "nebula,baptiste"])
        .await;
    let seen = server.only();
    let accepts: Vec<_> = seen.headers.get_all("accept").iter().map(|value| value.to_str().unwrap()).collect();
    let previews = "application/vnd.github.nebula-preview+json, application/vnd.github.baptiste-preview";
    assert_eq!(accepts, ["text/x", previews]);
    assert_eq!((seen.header("x-a"), seen.header("host")), (Some("b"), Some("api.github.com")));
}

#[tokio::test]
async fn fields_go_into_the_body_or_the_query() {
    let server = Server::start();
    let scene = Scene { stdin: "from stdin", ..Scene::new() }.file("body", b"hello\n").with("GH_REPO", "o/r");
    for (arguments, method, uri, body) in [
        (&["echo", "-f", "b=<1>", "-F", "a=2"][..], "POST", "/echo", r#"{"a":2,"b":"\u003c1\u003e"}"#),
        (&["echo", "-X", "get", "-f", "q=a b", "-F", "n=1"], "GET", "/echo?n=1&q=a+b", ""),
        (&["echo?x=1", "-X", "GET", "-f", "q=2"], "GET", "/echo?x=1&q=2", ""),
        (&["echo", "-X", "PATCH", "-F", "t=true"], "PATCH", "/echo", r#"{"t":true}"#),
        (&["echo", "-X", "DELETE"], "DELETE", "/echo", ""),
        (&["echo", "-F", "a=@body", "-F", "b=@-"], "POST", "/echo", r#"{"a":"hello\n","b":"from stdin"}"#),
        (&["echo", "--input", "body", "-f", "q=1"], "POST", "/echo?q=1", "hello\n"),
        (&["echo", "--input", "-", "-X", "PUT"], "PUT", "/echo", "from stdin"),
        (
            &["repos/{owner}/:repo/{x}", "-F", "a={repo}", "-f", "b={repo}"],
            "POST",
            "/repos/o/r/%7Bx%7D",
            r#"{"a":"r","b":"{repo}"}"#,
        ),
        (
            &["graphql", "-f", "query=q", "-F", "n=1", "-f", "operationName=op"],
            "POST",
            "/graphql",
            r#"{"operationName":"op","query":"q","variables":{"n":1}}"#,
        ),
    ] {
        let outcome = scene.run(&server, arguments).await;
        let seen = server.only();
        assert_eq!(
            (seen.method.as_str(), seen.uri.to_string().as_str(), seen.body()),
            (method, uri, body),
            "{arguments:?}: {}",
            outcome.stderr
        );
        let expected = (!body.is_empty()).then_some("application/json; charset=utf-8");
        assert_eq!(seen.header("content-type"), expected, "{arguments:?}");
    }
    scene.run(&server, &["echo", "--input", "body"]).await;
    assert_eq!(server.only().header("content-length"), Some("6"));
}

#[tokio::test]
async fn a_lifetime_goes_with_reads_only() {
    let server = Server::start();
    for (arguments, lifetime) in [
        (&["echo", "--cache", "1h"][..], Some("1h0m0s")),
        (&["echo", "--ttl", "90"], Some("1m30s")),
        (&["graphql", "-f", "query=q", "--cache", "60s"], Some("1m0s")),
        (&["echo", "-f", "a=1", "--cache", "1h"], None),
        (&["echo", "-X", "DELETE", "--ttl", "5"], None),
        (&["echo", "--ttl", "0"], None),
    ] {
        Scene::new().run(&server, arguments).await;
        assert_eq!(server.only().header("x-gh-cache-ttl"), lifetime, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_credential_goes_only_to_its_own_host() {
    let server = Server::start();
    let scene = Scene::new().with("GH_ENTERPRISE_TOKEN", "ent");
    for (arguments, host, authorization) in [
        (&["echo"][..], "api.github.com", Some("token tok")),
        (&["https://uploads.github.com/echo"], "uploads.github.com", Some("token tok")),
        (&["https://example.com/echo"], "example.com", None),
        (&["https://github.com.evil.org/echo"], "github.com.evil.org", None),
        (&["echo", "--hostname", "ghe.example.com"], "ghe.example.com", Some("token ent")),
        (&["https://api.github.com/echo", "--hostname", "ghe.example.com"], "api.github.com", Some("token tok")),
        (&["echo", "--hostname", "github.localhost"], "api.github.localhost", Some("token tok")),
        (&["echo", "-H", "Authorization: bearer mine"], "api.github.com", Some("bearer mine")),
    ] {
        scene.run(&server, arguments).await;
        let seen = server.only();
        assert_eq!((seen.header("host"), seen.header("authorization")), (Some(host), authorization), "{arguments:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_without_the_credential_abroad() {
    let server = Server::start();
    let scene = Scene::new();
    for (arguments, host, method, authorization) in [
        (&["moved"][..], "api.github.com", "GET", Some("token tok")),
        (&["moved", "-f", "a=1"], "api.github.com", "GET", Some("token tok")),
        (&["found"], "objects.githubusercontent.com", "GET", None),
        (&["found", "-H", "Authorization: token own"], "objects.githubusercontent.com", "GET", None),
        (&["downgrade"], "api.github.com", "GET", None),
        (&["temporary", "-f", "a=1"], "api.github.com", "POST", Some("token tok")),
    ] {
        let outcome = scene.run(&server, arguments).await;
        let seen = server.seen();
        let last = seen.last().unwrap();
        assert_eq!((seen.len(), outcome.code), (2, 0), "{arguments:?}: {}", outcome.stderr);
        assert_eq!(last.uri.path(), "/echo");
        assert_eq!((last.header("host"), last.method.as_str()), (Some(host), method), "{arguments:?}");
        assert_eq!(last.header("authorization"), authorization, "{arguments:?}");
        assert_eq!(last.body().is_empty(), method == "GET");
    }
    let circle = scene.run(&server, &["circle"]).await;
    assert_eq!((circle.code, circle.stderr.as_str()), (1, "ghmesh: stopped after 10 redirects\n"));
    let once = Scene { stdin: "x", ..Scene::new() }.run(&server, &["temporary", "--input", "-"]).await;
    assert_eq!((once.code, once.stderr.as_str()), (1, "gh: HTTP 307\n"));
}

#[tokio::test]
async fn without_a_token_the_call_is_anonymous_and_says_so() {
    let server = Server::start();
    let scene = Scene::new().without("GH_TOKEN");
    let outcome = scene.run(&server, &["echo", "--silent"]).await;
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (0, 1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("anonymously"));
    assert_eq!(server.only().header("authorization"), None);
    assert_eq!(scene.run(&server, &["401"]).await.code, 4);
    assert_eq!(scene.run(&server, &["404"]).await.code, 1);
    assert_eq!(Scene::new().run(&server, &["401"]).await.code, 1);
}

#[tokio::test]
async fn pages_are_followed_and_joined() {
    let server = Server::start();
    let slurped = "[[1,2],[3]\n,[],[{\"a\":\"<4>\"}]]";
    expect(
        &server,
        &[
            (&["lists"], "[1,2]", 0),
            (&["lists", "--paginate"], "[1,2,3,{\"a\":\"<4>\"}]", 0),
            (&["lists", "--paginate", "--slurp"], slurped, 0),
            (&["lists", "--paginate", "-q", "length"], "2\n1\n0\n1\n", 0),
            (&["lists", "--paginate", "-t", "{{range .}}{{tablerow (print .)}}{{end}}"], "1\n2\n3\nmap[a:<4>]\n", 0),
            (&["lists", "--paginate", "--silent"], "", 0),
            (&["objects", "--paginate"], "{\"x\":1}{\"x\":2}", 0),
            (&["objects", "--paginate", "--slurp"], "[{\"x\":1},{\"x\":2}]", 0),
            (&["half", "--paginate"], "[1]{\"message\":\"Server Error\"}", 1),
            (&["half", "--paginate", "--slurp"], "[[1],{\"message\":\"Server Error\"}]", 1),
            (&["same", "--paginate"], "[1", 1),
        ],
    )
    .await;
    server.seen();
    Scene::new().run(&server, &["lists", "--paginate", "-X", "GET", "-f", "q=1"]).await;
    let asked: Vec<_> = server.seen().iter().map(|seen| seen.uri.to_string()).collect();
    assert_eq!(
        asked,
        [
            "/lists?per_page=100&q=1",
            "/lists?per_page=100&page=2",
            "/lists?per_page=100&page=3",
            "/lists?per_page=100&page=4"
        ]
    );
}

#[tokio::test]
async fn graphql_pages_follow_the_cursor() {
    let server = Server::start();
    let page = |node: &str, more: bool, cursor: &str| {
        format!(
            r#"{{"data":{{"list":{{"nodes":[{node}],"pageInfo":{{"hasNextPage":{more},"endCursor":"{cursor}"}}}}}}}}"#
        )
    };
    let (first, second) = (page("null", true, "C1"), page("\"C1\"", false, "C2"));
    let scene = Scene::new();
    let outcome = scene.run(&server, &["graphql", "--paginate", "-f", "query=q"]).await;
    assert_eq!((outcome.stdout, outcome.code), (format!("{first}{second}"), 0));
    let bodies: Vec<_> = server.seen().iter().map(|seen| seen.body().to_owned()).collect();
    assert_eq!(bodies, [r#"{"query":"q"}"#, r#"{"query":"q","variables":{"endCursor":"C1"}}"#]);
    let outcome = scene.run(&server, &["graphql", "--paginate", "--slurp", "-f", "query=q"]).await;
    assert_eq!(outcome.stdout, format!("[{first},{second}]"));
    let outcome = scene.run(&server, &["graphql", "--paginate", "-f", "query=q", "-q", ".data.list.nodes[]"]).await;
    assert_eq!(outcome.stdout, "\nC1\n");
    let outcome = scene.run(&server, &["graphql", "--paginate", "-f", "query=stuck", "--silent"]).await;
    assert_eq!((outcome.code, outcome.stderr.contains("$endCursor")), (1, true), "{}", outcome.stderr);
}

#[tokio::test]
async fn heads_are_printed_in_gos_spelling() {
    let server = Server::start();
    let outcome = Scene::new().run(&server, &["-i", "404"]).await;
    let expected = "HTTP/1.1 404 Not Found\nContent-Length: 47\r\nContent-Type: application/json; charset=utf-8\r\n\
                    Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Multi: a, b\r\nX-Ratelimit-Limit: 5000\r\n\r\n\
                    {\"message\":\"Not Found\",\"documentation_url\":\"x\"}";
    assert_eq!(outcome.stdout, expected);
    let pages = Scene::new().run(&server, &["-i", "objects", "--paginate"]).await.stdout;
    assert_eq!(pages.matches("HTTP/1.1 200 OK\n").count(), 2);
    assert!(pages.contains("{\"x\":1}\nHTTP/1.1 200 OK\n"));
}

#[tokio::test]
async fn a_terminal_gets_colour() {
    let server = Server::start();
    let scene = Scene::new().with("CLICOLOR_FORCE", "1");
    let outcome = scene.run(&server, &["objects"]).await;
    assert_eq!(outcome.stdout, "\x1b[1;38m{\x1b[m\n  \x1b[1;34m\"x\"\x1b[m\x1b[1;38m:\x1b[m 1\n\x1b[1;38m}\x1b[m\n");
    let slurped = scene.run(&server, &["objects", "--paginate", "--slurp"]).await.stdout;
    assert!(slurped.starts_with("\x1b[1;38m[\x1b[m\n  \x1b[1;38m{") && slurped.matches("\"x\"").count() == 2);
    assert_eq!(scene.run(&server, &["doc", "-q", ".s"]).await.stdout, "x y\n");
}

/// Fails like a closed pipe after some bytes.
struct Pipe {
    room: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let server = Server::start();
    let daemon = Daemon::on_socket(server.socket());
    for arguments in [&["large"][..], &["doc", "-q", "repeat(.)"], &["doc", "-t", "{{.}}"]] {
        let ending = Scene::new().run_into(&daemon, arguments, &mut Pipe { room: 100 }).await;
        assert_eq!(ending, (0, String::new()), "{arguments:?}");
    }
}

#[tokio::test]
async fn large_answers_come_whole() {
    let server = Server::start();
    assert_eq!(Scene::new().run(&server, &["large"]).await.stdout.len(), 4 << 20);
}

#[tokio::test]
async fn a_daemon_is_found_in_order_and_checked_on_tcp() {
    let server = Server::start();
    let missing = server.socket().with_file_name("missing");
    let sockets = [missing.clone(), server.socket().to_owned()];
    let found = find_daemon(&sockets, None).await.daemon.unwrap();
    assert_eq!(*found.address(), Address::Unix(server.socket().to_owned()));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(find_daemon(std::slice::from_ref(&missing), Some(silent.local_addr().unwrap())).await.daemon.is_none());
    let healthy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = healthy.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = healthy.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    });
    assert_eq!(
        *find_daemon(std::slice::from_ref(&missing), Some(address)).await.daemon.unwrap().address(),
        Address::Tcp(address)
    );

    let gone = Scene::new().run_into(&Daemon::on_socket(&missing), &["echo"], &mut Vec::new()).await;
    assert_eq!(gone.0, 1);
    assert!(gone.1.contains("error connecting to the ghmesh daemon"), "{}", gone.1);
}
