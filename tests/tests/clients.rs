//! PyGithub and Octokit, unchanged, with the daemon's TCP address as their base URL.
//!
//! `.ci/run` installs both and says where: `GHMESH_TEST_PYTHON` is a Python that has PyGithub, `GHMESH_TEST_NODE_MODULES` a
//! `node_modules` that has `@octokit/rest`.
//!
//! Bodies keep GitHub's own URLs, since an entity tag is a body's hash. Octokit follows only `Link`, which is rewritten, and
//! does all it can. PyGithub asserts that URLs of bodies have the base URL's host: it reads what it asks for by a path of its
//! own (lazy objects, lists and their pages), and refuses what it would ask for by a body's URL.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder};
use std::process::Output;
use tokio::process::Command;

async fn stand() -> (Sim, Daemon) {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    (github, daemon)
}

fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; `.ci/run long_tests` installs the clients and sets it"))
}

/// Runs a program of a client's language, with the daemon's URL and a token as arguments, and gives what it printed.
async fn run(mut command: Command, daemon: &Daemon) -> String {
    command.arg(format!("http://{}", daemon.tcp().await)).arg(tokens::ALICE);
    let Output { status, stdout, stderr } = command.output().await.expect("the client's language is installed");
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

const PYTHON: &str = r#"
import sys, github
hub = github.Github(auth=github.Auth.Token(sys.argv[2]), base_url=sys.argv[1], retry=None,
                    seconds_between_requests=0, seconds_between_writes=0)
print("user", hub.get_user().login)
print("repository", hub.get_repo("octo/hello").full_name)
repository = hub.get_repo("octo/hello", lazy=True)
print("issue", repository.get_issue(1).number)
print("issues", sum(1 for _ in repository.get_issues(state="all")))
print("branches", ",".join(sorted(branch.name for branch in repository.get_branches())))
try:
    hub.get_repo("octo/nothing")
except github.UnknownObjectException as error:
    print("missing", error.status)
try:
    hub.get_repo("octo/hello").get_issue(1)
except AssertionError as error:
    print("refused", error)
print("created", repository.create_issue("From PyGithub").title)
"#;

#[tokio::test]
#[ignore = "needs PyGithub and Octokit"]
async fn pygithub_reads_lists_pages_and_writes() {
    let (github, daemon) = stand().await;
    let python = || {
        let mut command = Command::new(setting("GHMESH_TEST_PYTHON"));
        command.args(["-c", PYTHON]);
        command
    };
    let said = run(python(), &daemon).await;
    let expected = "user alice\nrepository octo/hello\nissue 1\nissues 162\nbranches develop,feature/colours,main\nmissing 404\n\
                    refused api.github.com\ncreated From PyGithub\n";
    assert_eq!(said, expected);
    let charged = github.counters().charged();
    assert_eq!(run(python(), &daemon).await, expected.replace("issues 162", "issues 163"));
    let again = github.counters().charged() - charged;
    assert!(again < charged, "{charged} charged calls at first, {again} for the second time");
    assert_eq!(github.counters().path("/user").calls, 1, "what no write has touched is answered from the cache");
    assert!(daemon.count("local_hits").await > 0);
}

const JAVASCRIPT: &str = r#"
const { Octokit } = await import(process.argv[1] + "/@octokit/rest/dist-src/index.js");
const octokit = new Octokit({ baseUrl: process.argv[2], auth: process.argv[3] });
const hello = { owner: "octo", repo: "hello" };
console.log("user", (await octokit.rest.users.getAuthenticated()).data.login);
console.log("repository", (await octokit.rest.repos.get(hello)).data.full_name);
console.log("issue", (await octokit.rest.issues.get({ ...hello, issue_number: 1 })).data.number);
const issues = await octokit.paginate(octokit.rest.issues.listForRepo, { ...hello, state: "all", per_page: 50 });
console.log("issues", issues.length);
const found = await octokit.graphql("query { viewer { login } }");
console.log("viewer", found.viewer.login);
const failed = await octokit.rest.repos.get({ owner: "octo", repo: "nothing" }).catch((error) => error);
console.log("missing", failed.status);
const first = await octokit.rest.issues.listForRepo({ ...hello, per_page: 1 });
const unchanged = octokit.rest.issues.listForRepo({ ...hello, per_page: 1, headers: { "if-none-match": first.headers.etag } });
console.log("unchanged", (await unchanged.catch((error) => error)).status);
console.log("created", (await octokit.rest.issues.create({ ...hello, title: "From Octokit" })).data.title);
"#;

#[tokio::test]
#[ignore = "needs PyGithub and Octokit"]
async fn octokit_reads_pages_asks_graphql_and_writes() {
    let (github, daemon) = stand().await;
    let node = || {
        let mut command = Command::new("node");
        command.args(["--input-type=module", "-e", JAVASCRIPT, "--"]).arg(setting("GHMESH_TEST_NODE_MODULES"));
        command
    };
    let said = run(node(), &daemon).await;
    let expected = "user alice\nrepository octo/hello\nissue 1\nissues 162\nviewer alice\nmissing 404\nunchanged 304\n\
                    created From Octokit\n";
    assert_eq!(said, expected);
    let charged = github.counters().charged();
    assert_eq!(run(node(), &daemon).await, expected.replace("issues 162", "issues 163"));
    let again = github.counters().charged() - charged;
    assert!(again < charged, "{charged} charged calls at first, {again} for the second time");
}
