//! Real `gh` through a daemon's socket, compared with the same `gh` on the simulated GitHub's own socket.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use http::Method;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// `gh` with a configuration, a home and a cache of its own.
struct Gh(TempDir);

/// What a `gh` has said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Gh {
    fn on(socket: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = format!("http_unix_socket: {}\n", socket.display());
        std::fs::write(directory.path().join("config.yml"), config).expect("the configuration is written");
        Gh(directory)
    }

    async fn run_as(&self, token: &str, arguments: &[&str]) -> Said {
        let mut gh = Command::new("gh");
        gh.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for name in ["HOME", "GH_CONFIG_DIR", "XDG_CACHE_HOME", "TMPDIR"] {
            gh.env(name, self.0.path());
        }
        let output = gh.env("GH_TOKEN", token).current_dir(self.0.path()).output().await.expect("gh is installed");
        let text = |bytes: &[u8]| without_elapsed(&String::from_utf8_lossy(bytes));
        Said { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        self.run_as(tokens::ALICE, arguments).await
    }

    /// What it prints. It must succeed.
    async fn says(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert_eq!(said.status, Some(0), "gh {arguments:?}: {}{}", said.stdout, said.stderr);
        said.stdout
    }
}

/// What `gh` printed without the time that a run has taken so far, which is another one each second.
fn without_elapsed(text: &str) -> String {
    let is_elapsed = |field: &str| {
        field.contains('h')
            && field.ends_with('s')
            && field.bytes().all(|byte| byte.is_ascii_digit() || b"hms".contains(&byte))
    };
    let line = |line: &str| {
        let fields = line.split('\t').map(|field| if is_elapsed(field) { "elapsed" } else { field });
        fields.collect::<Vec<_>>().join("\t")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A GitHub, a daemon before it, and a `gh` on each.
struct Stand {
    github: Sim,
    daemon: Daemon,
    through: Gh,
    direct: Gh,
    _directory: TempDir,
}

impl Stand {
    async fn new() -> Self {
        Stand::with(|how| how).await
    }

    async fn with(how: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("github");
        let config = Config { unix: Some(socket.clone()), ..Config::default() };
        let github = Sim::start(config).await.expect("the simulated GitHub starts");
        let builder = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false");
        let daemon = how(builder).start().await;
        let (through, direct) = (Gh::on(&daemon.socket()), Gh::on(&socket));
        Stand { github, daemon, through, direct, _directory: directory }
    }

    /// Runs the same on both, and gives what both have said.
    async fn both(&self, token: &str, arguments: &[&str]) -> Said {
        let direct = self.direct.run_as(token, arguments).await;
        let through = self.through.run_as(token, arguments).await;
        assert_eq!(through, direct, "gh {arguments:?}, through the daemon (left) and without it (right)");
        through
    }

    fn calls(&self) -> u64 {
        self.github.counters().calls()
    }
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_api_prints_what_github_says_and_the_second_time_needs_no_call() {
    let stand = Stand::new().await;
    let invocations: [&[&str]; 7] = [
        &["api", "repos/octo/hello"],
        &["api", "/user", "-q", ".login"],
        &["api", "repos/octo/secret", "--jq", ".private"],
        &["api", "repos/octo/hello/issues?per_page=3&state=all", "-q", ".[].title"],
        &["api", "-X", "GET", "repos/octo/hello/pulls", "-f", "state=closed", "-F", "per_page=2"],
        &["api", "repos/octo/hello/contents/README.md", "-H", "Accept: application/vnd.github.raw"],
        &["api", "orgs/octo/repos", "-t", "{{range .}}{{.full_name}}\n{{end}}"],
    ];
    for arguments in invocations {
        let said = stand.both(tokens::ALICE, arguments).await;
        assert_eq!((said.status, said.stderr.as_str()), (Some(0), ""), "gh {arguments:?}");
        assert!(!said.stdout.is_empty(), "gh {arguments:?}");
        let calls = stand.calls();
        assert_eq!(stand.through.run(arguments).await, said, "gh {arguments:?} for the second time");
        assert_eq!(stand.calls(), calls, "gh {arguments:?} for the second time");
    }
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_lists_repositories_pull_requests_and_issues() {
    let stand = Stand::new().await;
    let invocations: [(&[&str], usize); 6] = [
        (&["repo", "list", "octo"], 4),
        (&["pr", "list", "-R", "octo/hello"], 6),
        (&["issue", "list", "-R", "octo/hello", "-L", "120"], 120),
        (&["issue", "list", "-R", "octo/hello", "--json", "number,title", "-L", "3"], 1),
        (&["run", "list", "-R", "octo/hello"], 6),
        (&["release", "list", "-R", "octo/hello"], 3),
    ];
    for (arguments, lines) in invocations {
        let said = stand.both(tokens::ALICE, arguments).await;
        assert_eq!((said.status, said.stdout.lines().count()), (Some(0), lines), "gh {arguments:?}: {said:?}");
    }
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_commands_need_no_call_the_second_time() {
    let stand = Stand::new().await;
    let invocations: [&[&str]; 6] = [
        &["pr", "list", "-R", "octo/hello"],
        &["issue", "list", "-R", "octo/hello", "-L", "120"],
        &["repo", "view", "octo/hello"],
        &["run", "list", "-R", "octo/hello"],
        &["repo", "list", "octo"],
        &["api", "graphql", "-f", "query={viewer{login}}"],
    ];
    for arguments in invocations {
        let said = stand.both(tokens::ALICE, arguments).await;
        assert_eq!((said.status, said.stderr.as_str()), (Some(0), ""), "gh {arguments:?}");
        assert!(!said.stdout.is_empty(), "gh {arguments:?}");
        let calls = stand.calls();
        // Another gh, which has nothing in a cache of its own.
        let other = Gh::on(&stand.daemon.socket());
        assert_eq!(other.run(arguments).await, said, "gh {arguments:?} for the second time");
        assert_eq!(stand.calls(), calls, "gh {arguments:?} for the second time");
    }
    assert_eq!(stand.daemon.count("passed").await, 0, "all of them are reads");
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_follows_all_pages_and_again_without_a_call() {
    let stand = Stand::new().await;
    let pages = ["api", "--paginate", "repos/octo/hello/issues?state=all", "-q", ".[].number"];
    let said = stand.both(tokens::ALICE, &pages).await;
    assert_eq!((said.status, said.stdout.lines().count()), (Some(0), 162));
    let calls = stand.calls();
    assert_eq!(stand.through.run(&pages).await, said);
    assert_eq!(stand.calls(), calls);
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_reads_an_issue_that_it_has_just_created() {
    let stand = Stand::new().await;
    let newest = ["api", "repos/octo/hello/issues?per_page=1", "-q", ".[0].title"];
    let before = stand.both(tokens::ALICE, &newest).await.stdout;

    let create = ["issue", "create", "-R", "octo/hello", "-t", "From gh", "-b", "A body"];
    let url = stand.through.says(&create).await;
    assert_eq!(url.trim(), "https://github.com/octo/hello/issues/163");
    let direct = stand.direct.says(&create).await;
    assert_eq!(direct.trim(), "https://github.com/octo/hello/issues/164", "the same, one further");
    let view = stand.both(tokens::ALICE, &["issue", "view", "163", "-R", "octo/hello"]).await;
    assert!(view.stdout.contains("From gh") && view.stdout.contains("A body"), "{}", view.stdout);

    let post = ["api", "-X", "POST", "repos/octo/hello/issues", "-f", "title=By api", "-q", ".number"];
    assert_eq!(stand.through.says(&post).await.trim(), "165");
    let after = stand.both(tokens::ALICE, &newest).await.stdout;
    assert_eq!((after.trim(), before == after), ("By api", false), "the list that was read before is not shown again");
    let read = stand.both(tokens::ALICE, &["api", "repos/octo/hello/issues/165", "-q", ".title"]).await;
    assert_eq!(read.stdout.trim(), "By api");

    stand.through.says(&["api", "-X", "PATCH", "repos/octo/hello/issues/165", "-f", "title=Changed"]).await;
    let read = stand.both(tokens::ALICE, &["api", "repos/octo/hello/issues/165", "-q", ".title"]).await;
    assert_eq!(read.stdout.trim(), "Changed");
    let created = stand.github.counters().path("/repos/octo/hello/issues");
    assert!(created.calls >= 1 && created.failed == 0, "{created:?}");
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_auth_status_says_who_is_logged_in() {
    let stand = Stand::new().await;
    let said = stand.both(tokens::ALICE, &["auth", "status"]).await;
    let text = format!("{}{}", said.stdout, said.stderr);
    // "as alice" in gh 2.23, "account alice" in 2.63.
    let logged_in = text.lines().any(|line| line.contains("Logged in to github.com ") && line.contains(" alice "));
    assert!(said.status == Some(0) && logged_in, "{text}");
    let said = stand.both(tokens::REVOKED, &["auth", "status"]).await;
    assert_eq!(said.status, Some(1), "{said:?}");
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_api_cache_is_answered_for_as_long_as_it_says() {
    let stand =
        Stand::with(|how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1").with("GHMESH_CACHE__PROOF_TTL", "2h")).await;
    let invocation = ["api", "--cache", "1h", "repos/octo/hello", "-q", ".full_name"];
    assert_eq!(stand.both(tokens::ALICE, &invocation).await.stdout.trim(), "octo/hello");
    eventually("the usual time has passed", async || {
        let request = ghmesh_tests::client::request(Method::GET, "/repos/octo/hello", Some(tokens::ALICE));
        let request = request.header("accept", "*/*").header("cache-control", "only-if-cached");
        (stand.daemon.send(request, "").await.status == 504).then_some(())
    })
    .await;
    let calls = stand.calls();
    // Another gh, which has nothing in a cache of its own.
    let other = Gh::on(&stand.daemon.socket());
    assert_eq!(other.says(&invocation).await.trim(), "octo/hello");
    assert_eq!(stand.calls(), calls, "an hour has not passed");
    assert_eq!(other.says(&["api", "repos/octo/hello", "-q", ".full_name"]).await.trim(), "octo/hello");
    assert_eq!(stand.calls(), calls + 1, "without --cache the usual time counts");
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_fails_as_without_the_daemon() {
    let stand = Stand::new().await;
    let invocations: [(&str, &[&str], &str); 5] = [
        (tokens::ALICE, &["api", "repos/octo/nothing"], "HTTP 404"),
        (tokens::BOB, &["api", "repos/octo/secret"], "HTTP 404"),
        (tokens::REVOKED, &["api", "user"], "HTTP 401"),
        (tokens::ALICE, &["api", "-X", "POST", "repos/octo/hello/issues", "-f", "body=no title"], "HTTP 422"),
        (tokens::ALICE, &["repo", "view", "octo/nothing"], "Could not resolve to a Repository"),
    ];
    for (token, arguments, words) in invocations {
        // A private answer that the daemon holds changes nothing for those who may not see it.
        stand.through.says(&["api", "repos/octo/secret"]).await;
        let said = stand.both(token, arguments).await;
        assert_eq!(said.status, Some(1), "gh {arguments:?}: {said:?}");
        assert!(said.stderr.contains(words), "gh {arguments:?}: {said:?}");
    }
}

#[tokio::test]
#[ignore = "needs gh"]
async fn gh_gets_a_304_only_if_it_asked_for_one() {
    let stand = Stand::new().await;
    for gh in [&stand.direct, &stand.through] {
        let answer = gh.says(&["api", "-i", "repos/octo/hello"]).await;
        let etag = answer.lines().find_map(|line| line.strip_prefix("Etag: ")).expect("an entity tag");
        let condition = format!("If-None-Match: {}", etag.trim());
        let said = gh.run(&["api", "repos/octo/hello", "-H", &condition]).await;
        assert_eq!((said.status, said.stderr.as_str()), (Some(1), "gh: HTTP 304\n"), "gh takes a 304 for an error");
    }
    assert_eq!(stand.through.run(&["api", "repos/octo/hello"]).await.status, Some(0));
}
