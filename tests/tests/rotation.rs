//! A fleet changes its secret while it runs: three rolls, no restart, no connection lost, and at every step what one node
//! fetches is a hit on the others.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_tests::{Daemon, DaemonBuilder, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::cell::Cell;
use std::os::unix::fs::symlink;
use std::path::Path;

const OLD: &str = "an old secret for tests only";
const NEW: &str = "a new secret for tests only";
const PATH: &str = "/repos/octo/hello/issues/1";

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

/// Where a daemon reads its secrets, and how it notices that they are others.
#[derive(Clone, Copy)]
enum Source {
    /// A settings file, and SIGHUP.
    SettingsFile,
    /// Two files in a directory that is replaced as the kubelet replaces a mounted Secret.
    Mount,
}

impl Source {
    fn configured(self, how: DaemonBuilder) -> DaemonBuilder {
        self.write(&how, OLD, &[], 0);
        let how = how.without("GHMESH_MESH__SECRET").with("GHMESH_CACHE__DEFAULT_TTL", "1h");
        let path = |name: &str| how.path(name).to_string_lossy().into_owned();
        let (config, secret, accepted) = (path("config.toml"), path("mount/secret"), path("mount/accepted"));
        match self {
            Source::SettingsFile => how.with("GHMESH_CONFIG", &config),
            Source::Mount => {
                how.with("GHMESH_MESH__SECRET_FILE", &secret).with("GHMESH_MESH__ACCEPTED_SECRETS_FILE", &accepted)
            }
        }
    }

    fn write(self, how: &DaemonBuilder, secret: &str, accepted: &[&str], version: usize) {
        match self {
            Source::SettingsFile => {
                let config = format!("[mesh]\nsecret = {secret:?}\naccepted_secrets = {accepted:?}\n");
                std::fs::write(how.path("config.toml"), config).expect("a file system");
            }
            Source::Mount => swap(&how.path("mount"), secret, accepted, version),
        }
    }

    /// Gives a daemon other secrets, and waits until they are in force.
    async fn change(self, daemon: &Daemon, secret: &str, accepted: &[&str], version: usize) {
        let before = in_force(daemon).await;
        self.write(daemon.how(), secret, accepted, version);
        if let Source::SettingsFile = self {
            signal(daemon, Signal::HUP);
        }
        eventually("other secrets are in force", async || (in_force(daemon).await != before).then_some(())).await;
        assert_eq!(in_force(daemon).await.1, accepted.len(), "log:\n{}", daemon.log());
    }
}

/// What the kubelet does (its AtomicWriter): a new directory, and one rename of the link that all files go through.
fn swap(mount: &Path, secret: &str, accepted: &[&str], version: usize) {
    let versioned = format!("..version_{version}");
    std::fs::create_dir_all(mount.join(&versioned)).expect("a file system");
    std::fs::write(mount.join(&versioned).join("secret"), secret).expect("a file system");
    std::fs::write(mount.join(&versioned).join("accepted"), accepted.join("\n")).expect("a file system");
    symlink(&versioned, mount.join("..data_tmp")).expect("a file system");
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("a file system");
    for name in ["secret", "accepted"] {
        if version == 0 {
            symlink(format!("..data/{name}"), mount.join(name)).expect("a file system");
        }
    }
    if let Some(before) = version.checked_sub(1) {
        std::fs::remove_dir_all(mount.join(format!("..version_{before}"))).expect("a file system");
    }
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

async fn status(daemon: &Daemon) -> Value {
    daemon.admin("/_ghmesh/status").await.expect("it answers").json()
}

/// The label of a daemon's own secret, and how many more it accepts.
async fn in_force(daemon: &Daemon) -> (String, usize) {
    let status = status(daemon).await;
    let accepted = status["accepted_labels"].as_array().expect("a list").len();
    (status["mesh_label"].as_str().unwrap_or_default().to_owned(), accepted)
}

/// For how long a daemon has run, in seconds.
async fn uptime(daemon: &Daemon) -> u64 {
    daemon.count("uptime_seconds").await
}

/// How long after its start a daemon was connected to the last of its peers, in seconds.
async fn complete_after(daemon: &Daemon) -> u64 {
    let status = status(daemon).await;
    let connected = status["peers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|peer| peer["connected_seconds"].as_u64().expect("a number"));
    status["stats"]["uptime_seconds"].as_u64().expect("a number").saturating_sub(connected.min().unwrap_or_default())
}

/// Paths that nobody has asked for.
struct Fresh(Cell<usize>);

impl Fresh {
    fn path(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("/repos/octo/hello/issues?per_page={}", self.0.get())
    }
}

/// What each daemon fetches is a hit on all others, at one call.
async fn all_share(github: &Sim, daemons: &[&Daemon], fresh: &Fresh, when: &str) {
    for (index, fetcher) in daemons.iter().enumerate() {
        let (path, before) = (fresh.path(), github.counters().calls());
        let fetched = fetcher.get(&path, tokens::ALICE).await;
        assert_eq!(fetched.status, 200);
        for (_, other) in daemons.iter().enumerate().filter(|(other, _)| *other != index) {
            let answer = other.get(&path, tokens::ALICE).await;
            assert!(answer.is_hit() && answer.body == fetched.body, "{when}, fetched by {index}: {:?}", answer.headers);
        }
        assert_eq!(github.counters().calls() - before, 1, "{when}, fetched by {index}");
    }
}

async fn started(source: Source, github: &Sim, count: usize) -> Vec<Daemon> {
    ghmesh_tests::daemon::fleet(count, &github.url(), |how| source.configured(how)).await
}

async fn three_rolls(source: Source) {
    let github = github().await;
    let mut daemons = started(source, &github, 4).await;
    let late = daemons.pop().expect("a file system");
    let [one, two, three] = &daemons[..] else { panic!("three daemons") };
    let (all, fresh) = ([one, two, three], Fresh(Cell::new(0)));
    let first = one.get(PATH, tokens::ALICE).await;
    all_share(&github, &all, &fresh, "before").await;
    let complete = [complete_after(one).await, complete_after(two).await, complete_after(three).await];
    for (version, (secret, accepted)) in [(OLD, &[NEW][..]), (NEW, &[OLD][..]), (NEW, &[][..])].into_iter().enumerate()
    {
        for (number, daemon) in all.iter().enumerate() {
            let up = uptime(daemon).await;
            source.change(daemon, secret, accepted, version + 1).await;
            all_share(&github, &all, &fresh, &format!("roll {}, node {number}", version + 1)).await;
            assert!(uptime(daemon).await >= up, "the process is another");
        }
    }
    for daemon in all {
        eventually("who holds the old secret only is out", async || {
            (daemon.count("connected_peers").await == 2).then_some(())
        })
        .await;
    }
    for (daemon, complete) in all.iter().zip(complete) {
        // Two moments are rounded.
        assert!(complete_after(daemon).await <= complete + 2, "a connection was lost");
    }
    eventually("it is alone", async || (late.count("connected_peers").await == 0).then_some(())).await;
    let before = github.counters().calls();
    for daemon in all {
        let answer = daemon.get(PATH, tokens::ALICE).await;
        assert!(answer.is_hit() && answer.body == first.body, "shared under the old secret, and still of use");
    }
    assert_eq!(github.counters().calls(), before);
    let path = fresh.path();
    late.get(&path, tokens::ALICE).await;
    assert!(!one.get(&path, tokens::ALICE).await.is_hit(), "what it fetches is its own");
    all_share(&github, &all, &fresh, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_16_three_rolls_by_sighup_leave_no_gap_and_who_holds_the_old_secret_only_is_out() {
    three_rolls(Source::SettingsFile).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_16_three_rolls_by_a_mounted_secret_leave_no_gap_and_who_holds_the_old_secret_only_is_out() {
    three_rolls(Source::Mount).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_can_t_be_used_change_nothing_and_say_so() {
    let github = github().await;
    let daemons = started(Source::Mount, &github, 2).await;
    let [one, two] = &daemons[..] else { panic!("two daemons") };
    let before = in_force(one).await;
    for (version, (secret, accepted, problem)) in
        [("", &[][..], "is empty"), (OLD, &["ghs_0123456789abcdefghijABCDEFGHIJ012345"][..], "line 1: a ghs_ token")]
            .into_iter()
            .enumerate()
    {
        swap(&one.how().path("mount"), secret, accepted, version + 1);
        eventually("the reason is shown", async || {
            let status = status(one).await;
            status["secret_problem"].as_str().is_some_and(|text| text.contains(problem)).then_some(())
        })
        .await;
        assert!(one.log().contains("the mesh secrets stay as they were"));
        assert_eq!(in_force(one).await, before);
        all_share(&github, &[one, two], &Fresh(Cell::new(10 * version)), problem).await;
    }
    swap(&one.how().path("mount"), OLD, &[], 3);
    eventually("all is well", async || status(one).await["secret_problem"].is_null().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_16_when_a_secret_has_leaked_nothing_that_was_told_under_it_is_shown_unconfirmed() {
    let github = github().await;
    let daemons = started(Source::SettingsFile, &github, 3).await;
    let [one, two, left_behind] = &daemons[..] else { panic!("three daemons") };
    let fetched = one.get(PATH, tokens::ALICE).await;
    assert!(two.get(PATH, tokens::ALICE).await.is_hit());
    assert!(two.get(PATH, tokens::ALICE).await.is_hit(), "it is two's own now");
    let old = in_force(two).await.0;
    for daemon in [one, two] {
        let config = format!("[mesh]\nsecret = {NEW:?}\naccepted_secrets = [{OLD:?}]\ncompromised = true\n");
        std::fs::write(daemon.how().path("config.toml"), config).expect("a file system");
        signal(daemon, Signal::HUP);
        eventually("the secret is another", async || {
            let (label, accepted) = in_force(daemon).await;
            assert_eq!(accepted, 0, "there is no overlap");
            (label != old).then_some(())
        })
        .await;
    }
    for daemon in [one, two] {
        eventually("the two have found each other again", async || {
            (daemon.count("connected_peers").await == 1).then_some(())
        })
        .await;
    }
    eventually("the third is alone", async || (left_behind.count("connected_peers").await == 0).then_some(())).await;
    let (before, own) = (github.counters(), one.get(PATH, tokens::ALICE).await);
    assert!(own.is_hit() && github.counters().calls() == before.calls(), "GitHub told one itself");
    two.expired(PATH, tokens::ALICE).await;
    let again = two.get(PATH, tokens::ALICE).await;
    let after = github.counters();
    assert_eq!((again.status.as_u16(), again.body), (200, fetched.body));
    assert_eq!((after.calls() - before.calls(), after.charged() - before.charged()), (1, 0), "one free 304");
    all_share(&github, &[one, two], &Fresh(Cell::new(0)), "after the leak").await;
}
