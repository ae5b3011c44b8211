//! Members that hang, lie and flood: they hold the mesh secret, so the gate lets them in. They may cost calls, but the others
//! answer rightly and in time, and nothing forged gets to a caller.

use ghmesh_github_sim::{Config, Sim, tokens};
use ghmesh_mesh::{Author, Event, Identity, Mesh, Replier};
use ghmesh_model::wire::{Invalidated, Record, Request, Response, Shared, Stamp, Stored, Validation};
use ghmesh_model::{BodyCid, Fingerprint, Representation, Scope, WireKey, limits};
use ghmesh_seal::{Cost, KeyRing, Secret, derive};
use ghmesh_tests::daemon::fleet;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, SECRET, eventually, within};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CLUSTER: &str = "bad-peers";

/// A lookup waits for what members say is coming for ten seconds at most, all waits together; before that and between waits it
/// asks, each time for at most 150 ms, of which the last may come after those ten seconds. Then comes the call.
const DEADLINE: Duration = Duration::from_millis(150 + 10_000 + 150).saturating_add(SOON);

/// What a request takes that waits for nobody: the lookup budget and a call. Twenty times that, for a machine under load.
const SOON: Duration = Duration::from_secs(3);

/// A first expulsion lasts a minute; then the member has to dial again, which it tries with growing pauses.
const EXPULSION: Duration = Duration::from_secs(180);

/// What no answer may hold.
const FORGED: &str = "FORGED";
const FORGED_BODY: &str = r#"{"title": "FORGED"}"#;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn in_cluster(how: DaemonBuilder) -> DaemonBuilder {
    how.with("GHMESH_MESH__CLUSTER", CLUSTER).with("GHMESH_CACHE__DEFAULT_TTL", "1h")
}

fn issue(number: usize) -> String {
    format!("/repos/octo/hello/issues/{number}")
}

/// Asks, and checks that the answer is GitHub's and came within `limit`.
async fn ask(daemon: &Daemon, number: usize, limit: Duration) -> Answer {
    let started = Instant::now();
    let answer = tokio::time::timeout(limit, daemon.get(&issue(number), tokens::ALICE)).await;
    let answer =
        answer.unwrap_or_else(|_| panic!("issue {number} is not answered within {limit:?}; log:\n{}", daemon.log()));
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "issue {number} after {:?}: {text}", started.elapsed());
    assert!(!text.contains(FORGED) && !answer.header("link").contains("evil"), "issue {number}: {:?}", answer.headers);
    assert_eq!(answer.json()["number"].as_u64(), Some(number as u64), "issue {number}: {text}");
    answer
}

/// Asks all daemons for all of these, one after the other for each daemon.
async fn ask_all(daemons: &[Daemon], numbers: std::ops::Range<usize>, limit: Duration) {
    let lanes = daemons.iter().map(|daemon| {
        let numbers = numbers.clone();
        async move {
            for number in numbers {
                ask(daemon, number, limit).await;
            }
        }
    });
    futures::future::join_all(lanes).await;
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_frozen_delays_nobody_and_is_a_member_again_when_it_thaws() {
    let github = github().await;
    let mut daemons = fleet(3, &github.url(), in_cluster).await;
    let frozen = daemons.pop().expect("three daemons");
    signal(&frozen, Signal::STOP);
    ask_all(&daemons, 1..31, SOON).await;
    eventually("the others have noticed", async || {
        let counts = [daemons[0].count("connected_peers").await, daemons[1].count("connected_peers").await];
        (counts == [1, 1]).then_some(())
    })
    .await;
    ask_all(&daemons, 31..36, SOON).await;
    signal(&frozen, Signal::CONT);
    frozen.connected(2).await;
    ask_all(&[frozen], 1..36, SOON).await;
}

// Members that lie.

/// What a bad member does with a question. `None` keeps the asker waiting.
type Habit = Box<dyn FnMut(&Liar, Request) -> Option<Response> + Send>;

/// A member of the mesh that is not ghmesh.
struct Liar {
    mesh: Mesh,
    author: Author,
    ring: KeyRing,
    /// Questions it got.
    asked: Arc<AtomicU64>,
    /// Genuine records that it heard of.
    heard: Arc<Mutex<Vec<Shared>>>,
}

async fn ring() -> KeyRing {
    let derived = tokio::task::spawn_blocking(|| derive(&Secret::new(SECRET.into()), CLUSTER, Cost::PRODUCTION)).await;
    derived.expect("scrypt does not panic")
}

impl Liar {
    /// Joins the mesh of these daemons, and waits until it is a member for all.
    async fn join(
        daemons: &[Daemon],
        habit: impl FnMut(&Liar, Request) -> Option<Response> + Send + 'static,
    ) -> Arc<Self> {
        let identity = Identity::ephemeral();
        let mut bootstrap = Vec::new();
        for daemon in daemons {
            bootstrap.push(daemon.address().await);
        }
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let config = ghmesh_mesh::Config { listen, bootstrap, ..ghmesh_mesh::Config::default() };
        let author = Author::new(&identity, 1);
        let ring = ring().await;
        let (mesh, events) =
            ghmesh_mesh::start(config, identity, vec![ring.clone()], 1, Vec::new()).await.expect("it starts");
        let liar = Arc::new(Liar { mesh, author, ring, asked: Arc::default(), heard: Arc::default() });
        tokio::spawn(liar.clone().live(events, Box::new(habit)));
        for daemon in daemons {
            daemon.connected(daemons.len() as u64).await;
        }
        liar
    }

    async fn live(self: Arc<Self>, mut events: tokio::sync::mpsc::Receiver<Event>, mut habit: Habit) {
        let mut unanswered: Vec<Replier> = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                Event::Record { shared, .. } => self.heard.lock().expect("no test thread panicked").push(shared),
                Event::Asked { request, replier, .. } => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    match habit(&self, request) {
                        Some(response) => replier.reply(response),
                        None => unanswered.push(replier),
                    }
                }
                Event::Joined { .. }
                | Event::Left { .. }
                | Event::RoundTrip { .. }
                | Event::Addresses { .. }
                | Event::Offended { .. } => {}
            }
        }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// A record that it signs itself, of a body that it made up, for a credential that it does not hold.
    fn forged(&self, key: WireKey, fingerprint: Fingerprint) -> Shared {
        let record = self.forged_record(key, fingerprint);
        Shared { signed: self.author.sign(self.author.stamp(), &record), age_ms: 0, body: Some(FORGED_BODY.into()) }
    }

    fn forged_record(&self, key: WireKey, fingerprint: Fingerprint) -> Record {
        let representation = Representation {
            cid: BodyCid::of(FORGED_BODY.as_bytes()),
            length: FORGED_BODY.len() as u64,
            headers: vec![
                ("content-type".to_owned(), "application/json; charset=utf-8".to_owned()),
                ("vary".to_owned(), "Accept, Authorization".to_owned()),
            ],
        };
        record(representation, key, fingerprint)
    }

    fn stored(&self, representation: Representation, key: WireKey, fingerprint: Fingerprint, body: Vec<u8>) -> Shared {
        let record = record(representation, key, fingerprint);
        Shared { signed: self.author.sign(self.author.stamp(), &record), age_ms: 0, body: Some(body) }
    }

    /// A genuine record that it heard.
    fn heard(&self, is_wanted: impl Fn(&Stored) -> bool) -> Option<(Shared, Stored)> {
        let heard = self.heard.lock().expect("no test thread panicked");
        heard.iter().find_map(|shared| match shared.signed.record() {
            Ok(Record::Stored(stored)) if is_wanted(&stored) => Some((shared.clone(), stored)),
            _ => None,
        })
    }
}

/// An answer that GitHub is said to give in ten minutes, with a MAC that is none.
fn record(representation: Representation, key: WireKey, fingerprint: Fingerprint) -> Record {
    let validation = Validation { key, fingerprint, cid: representation.cid, origin_date: soon(), mac: vec![7; 32] };
    Record::Stored(Stored { representation, validation, scopes: Vec::new() })
}

/// Unix seconds, ten minutes from now: newer than everything, and no further off than clocks may be.
fn soon() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs() + 600
}

/// Two daemons and a member of such habits; every request must be answered within the deadline.
async fn beside(habit: impl FnMut(&Liar, Request) -> Option<Response> + Send + 'static, limit: Duration) {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, habit).await;
    let count = if limit == SOON { 25 } else { 7 };
    let lanes = (1..=count).map(|number| ask(&daemons[number % 2], number, limit));
    futures::future::join_all(lanes).await;
    assert!(liar.asked() > 0, "it owned none of {count} keys");
    assert_eq!(github.counters().total.failed, 0);
    ask_all(&daemons, 1..count + 1, limit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_never_answers_costs_no_more_than_the_lookup_budget() {
    beside(|_, _| None, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_always_says_coming_costs_one_bounded_wait() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let lie = |_: &Liar, request| answer_have(request, Response::Coming { wait_ms: u64::MAX });
    let liar = Liar::join(&daemons, lie).await;
    let together = |numbers: std::ops::Range<usize>, limit| {
        futures::future::join_all(numbers.map(|number| ask(&daemons[number % 2], number, limit)))
    };
    // Of three members each is asked about every key, as the owner or as a standby.
    together(1..11, DEADLINE).await;
    let asked = liar.asked();
    assert!(asked > 0);
    together(11..21, SOON).await;
    assert!(liar.asked() > asked, "it is still asked, but no longer waited for");
    assert_eq!(github.counters().total.failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_gives_everybody_a_lease_costs_calls_only() {
    beside(
        |_, request| answer_have(request, Response::Lease { lease_ms: u64::MAX, behind_ms: None, known: Vec::new() }),
        SOON,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_answers_what_was_not_asked_is_passed_over() {
    beside(|_, _| Some(Response::Body { length: u64::MAX, bytes: vec![0; 1000] }), SOON).await;
    beside(|_, request| answer_have(request, Response::Have { records: Vec::new() }), SOON).await;
}

fn answer_have(request: Request, answer: Response) -> Option<Response> {
    Some(if matches!(request, Request::Have { .. }) { answer } else { Response::Ok })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_for_a_credential_that_its_author_never_held_is_refused() {
    let forge = |liar: &Liar, request: Request| match request {
        Request::Have { key, fingerprint, .. } => {
            // To the asker, and by gossip to everybody.
            let _ = liar.mesh.publish(liar.forged(key, fingerprint));
            Some(Response::Have { records: vec![liar.forged(key, fingerprint)] })
        }
        Request::Deliver { .. } | Request::Release { .. } | Request::Body { .. } => Some(Response::Ok),
        Request::Digest { .. } | Request::Pull { .. } | Request::Renew { .. } => Some(Response::No),
    };
    beside(forge, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_by_another_s_name_is_refused() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, _| Some(Response::No)).await;
    ask(&daemons[0], 1, SOON).await;
    heard_of_one(&daemons[1]).await;
    let (genuine, stored) = eventually("the member has heard of it", async || liar.heard(|_| true)).await;
    // It has the credential, so that all is right but the signature: newer, and by the name of who fetched it.
    let stamp = Stamp { sequence: genuine.signed.stamp.sequence + 100, ..genuine.signed.stamp };
    let Record::Stored(mut forged) = liar.forged_record(stored.validation.key, stored.validation.fingerprint) else {
        panic!("it forges answers")
    };
    let input = forged.validation.mac_input(&stamp, &forged.representation.headers);
    forged.validation.mac = liar.ring.validation_mac(format!("token {}", tokens::ALICE).as_bytes(), &input).to_vec();
    let signed = liar.author.sign(stamp, &Record::Stored(forged));
    let shared = Shared { signed, age_ms: 0, body: Some(FORGED_BODY.into()) };
    liar.mesh.publish(shared.clone()).expect("there is room");
    for member in liar.mesh.members() {
        let delivered = Request::Deliver { records: vec![shared.clone()] };
        liar.mesh.ask(member, delivered, SOON).await.expect_err("who checks it closes the stream");
    }
    for daemon in &daemons {
        refused(daemon, 1).await;
        assert!(ask(daemon, 1, SOON).await.is_hit(), "its own entry is as good as before");
    }
    assert_eq!(github.counters().calls(), 1);
}

/// The first entry that the second daemon hears of.
async fn heard_of_one(daemon: &Daemon) {
    eventually("the answer has reached the other node", async || (daemon.count("entries").await > 0).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_held_is_not_displaced_by_forged_ones() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, _| Some(Response::No)).await;
    ask(&daemons[0], 1, SOON).await;
    heard_of_one(&daemons[1]).await;
    assert!(ask(&daemons[1], 1, SOON).await.is_hit());
    let (_, genuine) = eventually("the member has heard of it", async || liar.heard(|_| true)).await;
    let received = daemons[0].count("records_received").await + daemons[1].count("records_received").await;
    let Validation { key, fingerprint, .. } = genuine.validation;
    liar.mesh.publish(liar.forged(key, fingerprint)).expect("there is room");
    // The same body, with a Link that leads elsewhere.
    let mut elsewhere = genuine.representation.clone();
    elsewhere.headers.push(("link".to_owned(), "<https://evil.example/?page=2>; rel=\"next\"".to_owned()));
    liar.mesh.publish(liar.stored(elsewhere, key, fingerprint, b"{}".to_vec())).expect("there is room");
    // Confirmed again, ten minutes from now.
    let again = Validation { origin_date: soon(), mac: vec![7; 32], ..genuine.validation };
    let again = liar.author.sign(liar.author.stamp(), &Record::Revalidated(again));
    liar.mesh.publish(Shared { signed: again, age_ms: 0, body: None }).expect("there is room");
    eventually("all three have reached both", async || {
        let now = daemons[0].count("records_received").await + daemons[1].count("records_received").await;
        (now >= received + 6).then_some(())
    })
    .await;
    for daemon in &daemons {
        assert!(ask(daemon, 1, SOON).await.is_hit(), "its own entry is as good as before");
        refused(daemon, 3).await;
    }
    assert_eq!(github.counters().calls(), 1);
}

async fn refused(daemon: &Daemon, count: u64) {
    eventually(&format!("{count} records are counted as refused"), async || {
        let stats = daemon.stats().await;
        assert!(stats["records_refused"].as_u64() <= stats["records_received"].as_u64(), "{stats}");
        (stats["records_refused"].as_u64() == Some(count)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_waits_for_its_caller_is_not_displaced_by_a_forged_one() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, _| Some(Response::No)).await;
    // The second node has seen the credential, so that it can tell what was made with it.
    ask(&daemons[1], 1, SOON).await;
    let (_, first) = eventually("the member has heard of the first", async || liar.heard(|_| true)).await;
    ask(&daemons[0], 2, SOON).await;
    let is_second = |stored: &Stored| stored.validation.key != first.validation.key;
    let (_, second) = eventually("the member has heard of the second", async || liar.heard(is_second)).await;
    eventually("so has the second node", async || (daemons[1].count("records_received").await > 0).then_some(())).await;
    let Validation { key, fingerprint, .. } = second.validation;
    liar.mesh.publish(liar.forged(key, fingerprint)).expect("there is room");
    for daemon in &daemons {
        refused(daemon, 1).await;
    }
    assert!(ask(&daemons[1], 2, SOON).await.is_hit(), "what the first node fetched");
    assert_eq!(github.counters().calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_mesh_itself_refuses_is_counted() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, _| Some(Response::No)).await;
    ask(&daemons[0], 1, SOON).await;
    let (genuine, _) = eventually("the member has heard of it", async || liar.heard(|_| true)).await;
    eventually("so has the other node", async || (daemons[1].count("records_received").await > 0).then_some(())).await;
    liar.mesh.publish(genuine).expect("there is room");
    refused(&daemons[1], 1).await;
    assert!(daemons[1].count("records_received").await >= 2, "once, and once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_a_member_alters_is_not_served() {
    // A genuine record, whose body is larger than what travels with it, and a member that gives other bytes of that length.
    const PATH: &str = "/repos/octo/big/contents/body-100000.json";
    let github = github().await;
    let mut daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |liar, request| {
        Some(match request {
            Request::Body { cid, offset } => {
                let length = liar.heard(|stored| stored.representation.cid == cid)?.1.representation.length;
                let chunk = length.saturating_sub(offset).min(u64::from(limits::CHUNK_BYTES));
                Response::Body { length, bytes: vec![b'x'; usize::try_from(chunk).ok()?] }
            }
            Request::Have { .. }
            | Request::Deliver { .. }
            | Request::Release { .. }
            | Request::Digest { .. }
            | Request::Pull { .. }
            | Request::Renew { .. } => Response::No,
        })
    })
    .await;
    let other = daemons.pop().expect("two daemons");
    let author = daemons.pop().expect("two daemons");
    let genuine = author.get(PATH, tokens::ALICE).await;
    heard_of_one(&other).await;
    eventually("the member has heard of it", async || liar.heard(|_| true)).await;
    author.kill().await;
    eventually("the author is gone", async || (other.count("connected_peers").await == 1).then_some(())).await;
    let answer = tokio::time::timeout(DEADLINE, other.get(PATH, tokens::ALICE)).await.expect("in time");
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &genuine.body));
    assert!(liar.asked() > 0, "the member was asked for the body");
    assert_eq!(github.counters().calls(), 2, "GitHub was asked in its place");
    eventually("the member is used less", async || {
        standings(&other).await.contains(&"used_less".to_owned()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_record_with_another_body_or_with_other_headers_is_refused() {
    let altered = Arc::new(AtomicU64::new(0));
    let count = altered.clone();
    let alter = move |liar: &Liar, request: Request| {
        let Request::Have { key, fingerprint, .. } = request else { return Some(Response::No) };
        let Some((genuine, stored)) = liar.heard(|stored| stored.validation.key == key) else {
            return Some(Response::No);
        };
        count.fetch_add(1, Ordering::Relaxed);
        let other_body = Shared { body: Some(FORGED.into()), age_ms: 0, ..genuine.clone() };
        let mut headers = stored.representation.clone();
        headers.headers.push(("link".to_owned(), "<https://evil.example/>; rel=\"next\"".to_owned()));
        let other_headers = liar.stored(headers, key, fingerprint, genuine.body.unwrap_or_default());
        Some(Response::Have { records: vec![other_body, other_headers] })
    };
    let github = github().await;
    let daemons = fleet(2, &github.url(), |how| in_cluster(how).with("GHMESH_CACHE__DEFAULT_TTL", "2s")).await;
    let liar = Liar::join(&daemons, alter).await;
    // What it has heard of it is asked for once that is too old.
    ask_all(&daemons, 1..11, SOON).await;
    for number in 1..11 {
        for daemon in &daemons {
            daemon.expired(&issue(number), tokens::ALICE).await;
        }
    }
    ask_all(&daemons, 1..11, SOON).await;
    assert!(altered.load(Ordering::Relaxed) > 0, "it owned none of ten keys, of {} questions", liar.asked());
    let refused = daemons[0].count("records_refused").await + daemons[1].count("records_refused").await;
    assert!(refused >= altered.load(Ordering::Relaxed), "{refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_records_and_questions_drowns_nobody() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, _| Some(Response::No)).await;
    let flooding = tokio::spawn(flood(liar.clone()));
    ask_all(&daemons, 1..31, DEADLINE).await;
    flooding.abort();
    for daemon in &daemons {
        let stats = daemon.stats().await;
        assert!(stats["entries"].as_u64() <= stats["max_entries"].as_u64(), "{stats}");
        assert_eq!(daemon.admin("/_ghmesh/readyz").await.expect("it serves").status, 200);
    }
}

/// Gossips and asks without end, as fast as the mesh takes it.
async fn flood(liar: Arc<Liar>) {
    for number in 0_u64.. {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let (key, fingerprint) = (WireKey(bytes), Fingerprint(bytes));
        let _ = liar.mesh.publish(liar.forged(key, fingerprint));
        let mut scope = [0; 16];
        scope[..8].copy_from_slice(&number.to_be_bytes());
        let write = Record::Invalidated(Invalidated { scopes: vec![Scope(scope)] });
        let signed = liar.author.sign(liar.author.stamp(), &write);
        let _ = liar.mesh.publish(Shared { signed, age_ms: 0, body: None });
        for member in liar.mesh.members() {
            let question = Request::Have { key, fingerprint, max_age_ms: u64::MAX, lease: true };
            let _ = liar.mesh.ask(member, question, Duration::from_millis(50)).await;
            let pushed = Request::Deliver { records: vec![liar.forged(key, fingerprint)] };
            let _ = liar.mesh.ask(member, pushed, Duration::from_millis(50)).await;
        }
    }
}

/// How members stand with a daemon, in no order.
async fn standings(daemon: &Daemon) -> Vec<String> {
    let status = daemon.admin("/_ghmesh/status").await.expect("it answers").json();
    let peers = status["peers"].as_array().cloned().unwrap_or_default();
    peers.iter().map(|peer| peer["standing"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_goes_on_forging_is_used_less_then_kept_out_and_let_back_after_a_minute() {
    let github = github().await;
    let daemons = fleet(2, &github.url(), in_cluster).await;
    let liar = Liar::join(&daemons, |_, request| answer_have(request, Response::No)).await;
    // The credential is presented at both, so both can tell who holds it.
    ask_all(&daemons, 1..2, SOON).await;
    let (_, stored) = eventually("a genuine record arrives", async || liar.heard(|_| true)).await;
    let validation = stored.validation;
    liar.mesh.publish(liar.forged(validation.key, validation.fingerprint)).expect("there is room");
    for daemon in &daemons {
        let one = async || standings(daemon).await.contains(&"used_less".to_owned()).then_some(());
        eventually("it is used less", one).await;
        assert_eq!(daemon.count("connected_peers").await, 2, "and no worse");
    }
    eventually("both have had enough of it", async || {
        let _ = liar.mesh.publish(liar.forged(validation.key, validation.fingerprint));
        let counts = [daemons[0].count("expulsions").await, daemons[1].count("expulsions").await];
        (counts == [1, 1]).then_some(())
    })
    .await;
    eventually("both have closed its connections", async || {
        let counts = [daemons[0].count("connected_peers").await, daemons[1].count("connected_peers").await];
        (counts == [1, 1]).then_some(())
    })
    .await;
    ask_all(&daemons, 1..6, SOON).await;
    for daemon in &daemons {
        let back = async || (daemon.count("connected_peers").await == 2).then_some(());
        within(EXPULSION, "it is let back", back).await;
    }
    ask_all(&daemons, 6..11, SOON).await;
    assert_eq!([daemons[0].count("expulsions").await, daemons[1].count("expulsions").await], [1, 1]);
}
