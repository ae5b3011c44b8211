//! Many credentials whose rights change, through many nodes and beside a member that forges, at random: no answer ever differs from what GitHub would have
//! allowed that credential within the stated staleness, and what is charged is first reads and changes.
//!
//! `GHMESH_TEST_SEED` repeats a run; a failure names its seed.

use bytes::Bytes;
use futures::{StreamExt, stream};
use ghmesh_github_sim::tokens::{Private, TokenKind, TokenSeed, TokenState};
use ghmesh_github_sim::{Config, Mutation, Sim};
use ghmesh_model::wire::Response;
use ghmesh_tests::client::{self, Endpoint};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::forger::Forger;
use ghmesh_tests::{Answer, Daemon};
use http::Method;
use http_body_util::Full;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const REPOSITORIES: [&str; 2] = ["octo/secret", "octo/ops"];
const USERS: [&str; 4] = ["alice", "alice", "carol", "dave"];

/// None of them shows who asks.
const PATHS: [&str; 8] = [
    "/repos/octo/secret/issues/1",
    "/repos/octo/secret/issues/2",
    "/repos/octo/secret/issues?state=all",
    "/repos/octo/secret/commits?per_page=5",
    "/repos/octo/secret/branches",
    "/repos/octo/ops/issues/1",
    "/repos/octo/ops/issues?state=all&per_page=3",
    "/repos/octo/ops/commits?per_page=2",
];

/// `cache.proof_ttl`: the staleness that is stated.
const STATED: Duration = Duration::from_secs(2);
/// Between GitHub's answer and the moment from which this test counts.
const MARGIN: Duration = Duration::from_millis(500);
const STEPS: usize = 400;

/// xorshift64: the same steps for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// What GitHub said to a credential about a path, and until when that was so at the most.
struct Said {
    until: Option<Instant>,
    status: u16,
    body: Bytes,
}

struct Lab {
    github: Sim,
    daemons: Vec<Daemon>,
    _hostile: Arc<Forger>,
    random: Random,
    truth: BTreeMap<(usize, &'static str), Vec<Said>>,
}

/// Of a credential: what the daemons show, and a twin with the same rights by which this test asks GitHub itself.
fn token(credential: usize, twin: bool) -> String {
    let name = if twin { "twin" } else { "self" };
    format!("ghp_{name}{credential:032}")
}

impl Lab {
    async fn new(seed: u64) -> Self {
        let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
        let stated = format!("{}s", STATED.as_secs());
        let daemons = fleet(3, &github.url(), |how| {
            how.with("GHMESH_CACHE__PROOF_TTL", &stated).with("GHMESH_CACHE__DEFAULT_TTL", "1h")
        })
        .await;
        let hostile = Forger::join(&daemons, |forger, shared, stored, fingerprint| {
            let forged = forger.validated(shared, stored, fingerprint, vec![7; 32]);
            // To everybody, and before anybody can tell.
            let _ = forger.mesh.publish(forged.clone());
            Response::Have { records: vec![forged] }
        })
        .await;
        let mut lab = Lab { github, daemons, _hostile: hostile, random: Random(seed | 1), truth: BTreeMap::new() };
        for credential in 0..USERS.len() {
            lab.admit(credential, &REPOSITORIES);
        }
        lab.observe().await;
        lab
    }

    fn admit(&self, credential: usize, repositories: &[&str]) {
        for twin in [false, true] {
            self.github.put_token(TokenSeed {
                token: token(credential, twin),
                user: USERS[credential].to_owned(),
                private: Private::Listed(repositories.iter().map(|name| (*name).to_owned()).collect()),
                limit: Some(1_000_000),
                kind: TokenKind::User,
                state: TokenState::Live,
                label: Some(token(credential, twin)),
            });
        }
    }

    /// Asks GitHub itself, for each credential, what it would say now. What differs from before was so until now at the most.
    async fn observe(&mut self) {
        let endpoint = Endpoint::Tcp(self.github.address());
        for credential in 0..USERS.len() {
            for path in PATHS {
                let request = client::request(Method::GET, path, Some(&token(credential, true)));
                let request = request.body(Full::default()).expect("a request");
                let answer = client::send(&endpoint, request).await.expect("GitHub answers");
                let said = self.truth.entry((credential, path)).or_default();
                let last = said.last_mut();
                if last.as_ref().is_some_and(|last| last.status == answer.status && last.body == answer.body) {
                    continue;
                }
                if let Some(last) = last {
                    last.until = Some(Instant::now());
                }
                let status = answer.status.as_u16();
                said.push(Said { until: None, status, body: answer.body });
            }
        }
    }

    async fn step(&mut self) {
        match self.random.below(10) {
            0 => {
                let path = *self.random.of(&PATHS);
                let path = path.split('?').next().unwrap_or_default();
                if self.github.touch(path).is_err() {
                    return;
                }
            }
            1 => {
                let credential = self.random.below(USERS.len());
                let readable: Vec<&str> = REPOSITORIES.into_iter().filter(|_| self.random.below(3) > 0).collect();
                self.admit(credential, &readable);
            }
            2 => {
                let repository = (*self.random.of(&REPOSITORIES)).to_owned();
                let (path, content) = ("notes.txt".to_owned(), format!("{}", self.random.below(1 << 30)));
                let push = Mutation::Push { repository, branch: None, path, content };
                self.github.mutate(&push).expect("the repository is there");
            }
            3 => return self.write().await,
            _ => return self.read().await,
        }
        self.observe().await;
    }

    async fn read(&mut self) {
        let (credential, path) = (self.random.below(USERS.len()), *self.random.of(&PATHS));
        let daemon = self.random.below(self.daemons.len());
        let asked = Instant::now();
        let answer = self.daemons[daemon].get(path, &token(credential, false)).await;
        self.judge(credential, path, &answer, asked, STATED + MARGIN);
    }

    /// Whoever writes reads at once what was written.
    async fn write(&mut self) {
        let (credential, daemon) = (self.random.below(USERS.len()), self.random.below(self.daemons.len()));
        let path = PATHS[self.random.below(2)];
        let title = format!("{{\"title\": \"{}\"}}", self.random.below(1 << 30));
        let request = client::request(Method::PATCH, path, Some(&token(credential, false)));
        let request = request.header("content-type", "application/json");
        let answer = self.daemons[daemon].send(request, title).await;
        self.observe().await;
        if answer.status.is_success() {
            let asked = Instant::now();
            let read = self.daemons[daemon].get(path, &token(credential, false)).await;
            self.judge(credential, path, &read, asked, Duration::ZERO);
        }
    }

    fn judge(&self, credential: usize, path: &str, answer: &Answer, asked: Instant, staleness: Duration) {
        let (_, said) = self
            .truth
            .iter()
            .find(|((whose, what), _)| *whose == credential && *what == path)
            .expect("every pair was observed");
        let oldest = asked - staleness;
        let allowed = |said: &&Said| said.until.is_none_or(|until| until >= oldest);
        let same = |said: &Said| said.status == answer.status && (said.body == answer.body || said.status >= 400);
        assert!(
            said.iter().filter(allowed).any(same),
            "{path} for {}: {} ({}) {}; GitHub would have said {:?}",
            USERS[credential],
            answer.status,
            answer.header("cache-status"),
            String::from_utf8_lossy(&answer.body),
            said.iter().filter(allowed).map(|said| (said.status, said.body.len())).collect::<Vec<_>>()
        );
    }

    /// Of the calls that the daemons made, those charged for a whole answer: for each path at most one for each body that it had.
    fn audit(&self) {
        let mut bodies: BTreeMap<&str, BTreeSet<&Bytes>> = BTreeMap::new();
        for ((_, path), said) in &self.truth {
            let whole = said.iter().filter(|said| said.status == 200).map(|said| &said.body);
            bodies.entry(path).or_default().extend(whole);
        }
        let log = self.github.counters().log;
        let ours = |path: &str| {
            log.iter()
                .filter(|call| call.path == path && call.token.starts_with("ghp_self"))
                .filter(|call| call.method == "GET" && call.status == 200 && call.charged)
                .count()
        };
        for (path, bodies) in bodies {
            assert!(ours(path) <= bodies.len(), "{path}: {} charged for {} bodies", ours(path), bodies.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_differs_from_what_github_would_have_allowed_and_only_first_reads_and_changes_are_charged() {
    let seed = std::env::var("GHMESH_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20);
    println!("GHMESH_TEST_SEED={seed}");
    let mut lab = Lab::new(seed).await;
    for _ in 0..STEPS {
        lab.step().await;
    }
    lab.audit();
}

/// Twenty answers that don't depend on who asks. None is a full last page, which costs each node a call of its own, and each
/// credential a free one that looks behind it.
fn twenty() -> Vec<String> {
    let pages = (1..=8).flat_map(|size| REPOSITORIES.map(|name| format!("/repos/{name}/commits?per_page={size}")));
    let issues = ["issues/1", "branches"].into_iter();
    let issues = issues.flat_map(|rest| REPOSITORIES.map(|name| format!("/repos/{name}/{rest}")));
    pages.chain(issues).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_jobs_with_tokens_of_their_own_are_charged_for_each_resource_once() {
    const JOBS: usize = 100;
    let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
    let daemons = fleet(5, &github.url(), |how| how.with("GHMESH_CACHE__DEFAULT_TTL", "1h")).await;
    let token = |job: usize| format!("ghs_job{job:033}");
    for job in 0..JOBS {
        github.put_token(TokenSeed {
            token: token(job),
            user: "octo".to_owned(),
            private: Private::Listed(REPOSITORIES.map(str::to_owned).to_vec()),
            kind: TokenKind::Installation,
            ..TokenSeed::default()
        });
    }
    let paths = twenty();
    let (daemons, paths) = (&daemons, &paths);
    let run = |job: usize| async move {
        let mut read = Vec::new();
        for path in paths {
            let answer = daemons[job % daemons.len()].get(path, &token(job)).await;
            assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
            read.push(answer.body);
        }
        read
    };
    let read: Vec<_> = stream::iter(0..JOBS).map(run).buffer_unordered(20).collect().await;
    assert!(read.iter().all(|bodies| *bodies == read[0]), "all jobs read the same");
    let counters = github.counters();
    assert_eq!(paths.len(), 20);
    assert_eq!((counters.calls(), counters.charged()), (2_000, 20), "{:#?}", counters.by_path);
}
