//! PyGithub, Octokit with its plugins, and the toolkit of Actions, unchanged, with the daemon's TCP address as their base URL.
//!
//! `.ci/run` installs them and says where: `GHMESH_TEST_PYTHON` is a Python that has PyGithub, `GHMESH_TEST_NODE_MODULES` a
//! `node_modules` that has the others. Each program does its work twice, through the daemon and on a GitHub of its own, and must
//! say the same, URLs included but for their base; and once more through the daemon, for less.

use ghmesh_github_sim::{Base, Config, Settings, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder};
use std::process::Output;
use tokio::process::Command;

/// A GitHub that says `https://api.github.com` in everything, behind a daemon.
async fn stand() -> (Sim, Daemon) {
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemon = DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false").start().await;
    (github, daemon)
}

/// A GitHub for clients that come to it directly: its URLs are its own.
async fn direct() -> Sim {
    let settings = Settings { bodies: Base::Own, links: Base::Own, ..Settings::default() };
    Sim::start(Config { settings, ..Config::default() }).await.expect("the simulated GitHub starts")
}

fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; `.ci/run long_tests` installs the clients and sets it"))
}

/// Runs a program of a client's language, with a base URL and tokens as arguments, and gives what it printed, `BASE` for the URL.
async fn run(program: &Program, base: &str) -> String {
    let mut command = match program {
        Program::Python(text) => {
            let mut command = Command::new(setting("GHMESH_TEST_PYTHON"));
            command.args(["-c", text]);
            command
        }
        Program::JavaScript(text) => {
            let mut command = Command::new("node");
            command.args(["--input-type=module", "-e", text, "--"]).arg(setting("GHMESH_TEST_NODE_MODULES"));
            command
        }
    };
    command.arg(base).arg(tokens::ALICE);
    let Output { status, stdout, stderr } = command.output().await.expect("the client's language is installed");
    let said = String::from_utf8(stdout).expect("UTF-8");
    assert!(status.success(), "{status} at {base} after\n{said}\n{}", String::from_utf8_lossy(&stderr));
    said.replace(base, "BASE")
}

enum Program {
    Python(&'static str),
    JavaScript(&'static str),
}

/// Says the same through the daemon as directly, under both kinds of base URL, and is charged less the second time. Gives what was
/// said.
async fn same_results(program: Program) -> String {
    let directly = run(&program, &direct().await.url()).await;
    for prefix in ["", "/api/v3"] {
        let (github, daemon) = stand().await;
        let base = format!("http://{}{prefix}", daemon.tcp().await);
        assert_eq!(run(&program, &base).await, directly, "through the daemon at {base}");
        let charged = github.counters().charged();
        run(&program, &base).await;
        let again = github.counters().charged() - charged;
        assert!(again < charged, "{charged} charged calls at first, {again} for the second time");
        assert!(daemon.count("local_hits").await > 0);
    }
    directly
}

const PYTHON: &str = r#"
import sys, github
def hub_of(token):
    return github.Github(auth=github.Auth.Token(token), base_url=sys.argv[1], per_page=50, retry=None,
                         seconds_between_requests=0, seconds_between_writes=0)
hub = hub_of(sys.argv[2])
print("user", hub.get_user().login)
repository = hub.get_repo("octo/hello")
print("repository", repository.full_name, repository.url, repository.issues_url)
issue = repository.get_issue(1)
print("issue", issue.number, issue.url, issue.user.url)
print("unchanged", issue.update())
issues = list(repository.get_issues(state="all", sort="created", direction="asc"))
print("issues", len(issues), issues[0].url, issues[-1].comments_url)
print("comments", [comment.url for comment in issues[0].get_comments()])
print("branches", sorted(branch.name for branch in repository.get_branches()))
print("pulls", sorted(pull.number for pull in repository.get_pulls(state="all")))
created = repository.create_issue("From PyGithub", body="see https://api.github.com/repos/octo/hello")
print("created", created.title, created.body)
print("listed", repository.get_issues(state="all", sort="created", direction="desc")[0].title)
created.edit(title="Changed", state="closed")
again = repository.get_issue(created.number)
print("read back", again.title, again.state, again.url == created.url)
comment = again.create_comment("a remark")
print("remark", comment.body, [comment.body for comment in again.get_comments()])
for doing in (lambda: hub.get_repo("octo/nothing"), lambda: repository.get_issue(99999),
              lambda: repository.create_label("bug", "00ff00"), lambda: hub_of("ghp_nobody").get_user().login):
    try:
        doing()
    except github.GithubException as error:
        print("refused", error.status, type(error).__name__)
"#;

#[tokio::test]
#[ignore = "needs PyGithub and Octokit"]
async fn pygithub_says_the_same_through_the_daemon_as_directly() {
    let said = same_results(Program::Python(PYTHON)).await;
    for line in
        ["user alice", "unchanged False", "read back Changed closed True", "refused 401 BadCredentialsException"]
    {
        assert!(said.lines().any(|present| present == line), "{line}:\n{said}");
    }
    assert!(said.contains("BASE/repos/octo/hello/issues/1 BASE/users/"), "{said}");
    assert!(said.contains("created From PyGithub see https://api.github.com/repos/octo/hello\n"), "{said}");
}

const OCTOKIT: &str = r#"
const [modules, baseUrl, auth] = process.argv.slice(1);
const load = (name) => import(`${modules}/${name}`);
const { Octokit: Plain } = await load("@octokit/rest/dist-src/index.js");
const { throttling } = await load("@octokit/plugin-throttling/dist-bundle/index.js");
const { retry } = await load("@octokit/plugin-retry/dist-bundle/index.js");
const Octokit = Plain.plugin(throttling, retry);
const no = (kind) => () => { console.log("limited", kind); return false; };
const options = { baseUrl, throttle: { onRateLimit: no("primary"), onSecondaryRateLimit: no("secondary") }, log: { debug() {}, info() {}, warn() {}, error() {} } };
const octokit = new Octokit({ ...options, auth });
const hello = { owner: "octo", repo: "hello" };
const status = (promise) => promise.then((answer) => answer.status, (error) => error.status);
console.log("user", (await octokit.rest.users.getAuthenticated()).data.login);
const repository = (await octokit.rest.repos.get(hello)).data;
console.log("repository", repository.full_name, repository.url, repository.commits_url);
const issue = (await octokit.rest.issues.get({ ...hello, issue_number: 1 })).data;
console.log("issue", issue.number, issue.url, issue.comments_url);
console.log("by its own url", (await octokit.request(`GET ${issue.url}`)).data.number, (await octokit.request(`GET ${issue.comments_url}`)).data.length);
const all = { ...hello, state: "all", per_page: 50, sort: "created", direction: "asc" };
const issues = await octokit.paginate(octokit.rest.issues.listForRepo, all);
console.log("issues", issues.length, issues[0].url, issues.at(-1).url);
let pages = 0;
for await (const page of octokit.paginate.iterator(octokit.rest.issues.listForRepo, { ...all, per_page: 100 })) pages += page.status === 200;
console.log("pages", pages);
console.log("viewer", (await octokit.graphql("query { viewer { login } }")).viewer.login);
const first = await octokit.rest.issues.listForRepo({ ...hello, per_page: 1 });
console.log("unchanged", await status(octokit.rest.issues.listForRepo({ ...hello, per_page: 1, headers: { "if-none-match": first.headers.etag } })));
console.log("changed", await status(octokit.rest.issues.listForRepo({ ...hello, per_page: 1, headers: { "if-none-match": '"other"' } })));
const created = (await octokit.rest.issues.create({ ...hello, title: "From Octokit" })).data;
await octokit.rest.issues.update({ ...hello, issue_number: created.number, title: "Changed", state: "closed" });
const again = (await octokit.request(`GET ${created.url}`)).data;
console.log("read back", again.title, again.state, again.url === created.url);
console.log("listed", (await octokit.rest.issues.listForRepo({ ...all, direction: "desc", per_page: 1 })).data[0].title);
console.log("missing", await status(octokit.rest.repos.get({ owner: "octo", repo: "nothing" })));
console.log("invalid", await status(octokit.rest.issues.createLabel({ ...hello, name: "bug", color: "00ff00" })));
console.log("nobody", await status(new Octokit({ ...options, auth: "ghp_nobody" }).rest.users.getAuthenticated()));
"#;

#[tokio::test]
#[ignore = "needs PyGithub and Octokit"]
async fn octokit_with_its_plugins_says_the_same_through_the_daemon_as_directly() {
    let said = same_results(Program::JavaScript(OCTOKIT)).await;
    for line in
        ["unchanged 304", "changed 200", "read back Changed closed true", "missing 404", "invalid 422", "nobody 401"]
    {
        assert!(said.lines().any(|present| present == line), "{line}:\n{said}");
    }
    assert!(said.contains("issue 1 BASE/repos/octo/hello/issues/1 BASE/"), "{said}");
}

const ACTIONS: &str = r#"
const [modules, baseUrl, token] = process.argv.slice(1);
const { createRequire } = await import("node:module");
const { getOctokit } = createRequire(modules + "/")("@actions/github");
const octokit = getOctokit(token, { baseUrl });
const hello = { owner: "octo", repo: "hello" };
const status = (promise) => promise.then((answer) => answer.status, (error) => error.status);
const runs = (await octokit.rest.actions.listWorkflowRunsForRepo({ ...hello, per_page: 1 })).data;
console.log("runs", runs.total_count, runs.workflow_runs[0]?.url, runs.workflow_runs[0]?.jobs_url);
const issues = await octokit.paginate(octokit.rest.issues.listForRepo, { ...hello, state: "all", per_page: 50 });
console.log("issues", issues.length, issues[0].url);
const pull = issues.find((issue) => issue.pull_request);
console.log("pull", pull && (await octokit.request(`GET ${pull.pull_request.url}`)).data.url);
console.log("viewer", (await octokit.graphql("query { viewer { login } }")).viewer.login);
const first = await octokit.rest.repos.get(hello);
console.log("unchanged", await status(octokit.rest.repos.get({ ...hello, headers: { "if-none-match": first.headers.etag } })));
const created = (await octokit.rest.issues.create({ ...hello, title: "From Actions", labels: ["bug"] })).data;
const remark = (await octokit.rest.issues.createComment({ ...hello, issue_number: created.number, body: "a remark" })).data;
console.log("remark", (await octokit.request(`GET ${created.comments_url}`)).data[0].body, (await octokit.request(`GET ${remark.url}`)).data.body);
console.log("read back", (await octokit.rest.issues.get({ ...hello, issue_number: created.number })).data.comments);
console.log("missing", await status(octokit.rest.issues.get({ owner: "octo", repo: "nothing", issue_number: 1 })));
console.log("nobody", await status(getOctokit("ghp_nobody", { baseUrl }).rest.users.getAuthenticated()));
"#;

#[tokio::test]
#[ignore = "needs PyGithub and Octokit"]
async fn the_toolkit_of_actions_says_the_same_through_the_daemon_as_directly() {
    let said = same_results(Program::JavaScript(ACTIONS)).await;
    for line in ["unchanged 304", "remark a remark a remark", "read back 1", "missing 404", "nobody 401"] {
        assert!(said.lines().any(|present| present == line), "{line}:\n{said}");
    }
}
