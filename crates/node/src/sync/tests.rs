//! Nodes that compare themselves, over a real mesh on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::Membership;
use crate::exchange::{Receipt, offer_slot};
use crate::fixtures::{Bench, entry, eventually, membership};
use ghmesh_mesh::Event;
use ghmesh_model::digest::{Item, ItemId, Listing, Summaries, Wanted};
use ghmesh_model::wire::{Invalidated, Record, Request, Response, Shared};
use ghmesh_model::{Entry, Millis, Scope, limits};
use ghmesh_policy::Read;

/// What doesn't change, so that a slow machine lets nothing expire.
fn commit(bench: &Bench, number: usize) -> Read {
    bench.read(&format!("/repos/octo/hello/git/commits/{number:040x}"), &[])
}

/// What only writes to this one change.
fn own_scopes(bench: &Bench, number: usize) -> Vec<Scope> {
    let others = commit(bench, number + 1).scopes();
    commit(bench, number).scopes().into_iter().filter(|scope| !others.contains(scope)).collect()
}

fn body(number: usize) -> Vec<u8> {
    format!("{{\"number\": {number}, \"text\": \"{}\"}}", "x".repeat(2000)).into_bytes()
}

/// What a member told of a commit that GitHub answered so many seconds ago.
fn told(bench: &Bench, number: usize, seconds_ago: u64) -> Shared {
    let scopes = commit(bench, number).scopes();
    let fetched = Entry { scopes, ..entry(&body(number), bench.ago(seconds_ago)) };
    bench.told(&commit(bench, number), &fetched, &body(number))
}

/// Has heard of this many commits.
async fn warm(bench: &Bench, count: usize) {
    let all: Vec<_> = (0..count).map(|number| told(bench, number, 5)).collect();
    let heard = all.into_iter().map(|shared| bench.inner().receive(shared));
    for receipt in futures::future::join_all(heard).await {
        assert!(matches!(receipt, Some(Receipt::Newer(..))), "{receipt:?}");
    }
}

async fn compared(bench: &Bench, rounds: u64) {
    eventually("it has compared itself", || (bench.node.stats().sync_rounds >= rounds).then_some(())).await;
}

fn holds(bench: &Bench, number: usize) -> bool {
    bench.inner().store.peek(&offer_slot(bench.subject(&commit(bench, number)))).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_has_two_thousand_answers_of_a_warm_node_without_a_call() {
    const ANSWERS: usize = 2000;
    let warm_one = Bench::in_mesh().await;
    warm(&warm_one, ANSWERS).await;
    let newcomer = Bench::beside(&[&warm_one]).await;
    compared(&newcomer, 1).await;
    let stats = newcomer.node.stats();
    assert_eq!(stats.sync_records_pulled, ANSWERS as u64);
    assert_eq!(warm_one.node.stats().sync_records_given, ANSWERS as u64);
    assert_eq!((stats.sync_bytes_pulled, stats.records_refused), (warm_one.node.stats().sync_bytes_given, 0));
    for number in (0..ANSWERS).step_by(97) {
        let answer = newcomer.node.lookup(commit(&newcomer, number)).await.unwrap();
        assert_eq!(answer.status(), 200, "{number}");
    }
    assert_eq!((newcomer.github.counters().calls(), newcomer.node.stats().api_calls_made), (0, 0));
    assert_eq!(newcomer.node.stats().peer_hits, ANSWERS.div_ceil(97) as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_have_what_either_had_and_equals_pull_nothing() {
    let one = Bench::in_mesh().await;
    warm(&one, 20).await;
    let other = Bench::beside(&[&one]).await;
    for number in 100..120 {
        assert!(other.inner().receive(told(&other, number, 5)).await.is_some());
    }
    compared(&other, 1).await;
    // What came after the digest was sent comes with the next one.
    let member = other.exchange().mesh.member();
    eventually("each has heard of the other's", || {
        let compared = one.node.stats().sync_rounds > 0;
        compared.then_some(())
    })
    .await;
    // A member looks at what it holds every five seconds at most.
    while one.node.stats().sync_records_pulled < 20 {
        assert_eq!(one.inner().round(member).await, RoundEnd::Complete);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((0..20).chain(100..120).all(|number| holds(&one, number)));
    assert!((0..20).chain(100..120).all(|number| holds(&other, number)));
    let pulled = one.node.stats().sync_records_pulled;
    assert_eq!(one.inner().round(member).await, RoundEnd::Complete);
    assert_eq!((pulled, one.node.stats().sync_records_pulled), (20, 20), "there was nothing more to pull");
}

/// Somebody's word that a write went to these, which ended so many seconds ago.
fn write(bench: &Bench, scopes: Vec<Scope>, seconds_ago: u64) -> Shared {
    let author = bench.peer().author;
    let signed = author.sign(author.stamp(), &Record::Invalidated(Invalidated { scopes }));
    Shared { signed, age_ms: seconds_ago * 1000, body: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_11_a_write_is_heard_of_from_others_than_its_author_and_before_any_answer() {
    let one = Bench::in_mesh().await;
    warm(&one, 2).await;
    let scopes = commit(&one, 0).scopes();
    // Its author has gone since.
    assert!(matches!(one.inner().receive(write(&one, own_scopes(&one, 0), 2)).await, Some(Receipt::Written(..))));
    let newcomer = Bench::beside(&[&one]).await;
    let own = Entry { scopes, ..entry(&body(0), newcomer.ago(30)) };
    compared(&newcomer, 1).await;
    assert!(!newcomer.inner().tombstones.admit(&own.scopes, own.confirmed_at), "what it has from before is stale");
    assert!(newcomer.inner().tombstones.admit(&own.scopes, newcomer.now()));
    assert!(!holds(&newcomer, 0) && holds(&newcomer, 1), "what was written over is not told of");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_11_a_write_is_listed_from_the_moment_it_is_heard_of() {
    let one = Bench::in_mesh().await;
    warm(&one, 2).await;
    let listed = async || match one.inner().list(one.now().0 / 1000 - 3400, Summaries::of([], 1)).await {
        Response::Digest { listing, .. } => listing.0,
        other => panic!("it lists what it has: {other:?}"),
    };
    let before = listed().await;
    let write = write(&one, own_scopes(&one, 0), 0);
    let id = ItemId::of_write(&write.signed.stamp);
    assert!(matches!(one.inner().receive(write).await, Some(Receipt::Written(..))));
    let after = listed().await;
    assert_eq!((after[0].id, &after[1..]), (id, &before[..]), "the answers are those of a moment ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_told_nothing_that_is_too_old_or_without_its_records() {
    let one = Bench::in_mesh().await;
    for (number, seconds_ago) in [(1, 10), (2, 3000), (3, 3610)] {
        one.inner().receive(told(&one, number, seconds_ago)).await;
    }
    let bare = Entry { attestation: None, ..entry(&body(4), one.ago(1)) };
    one.inner().store.put(offer_slot(one.subject(&commit(&one, 4))), bare, Some(body(4).into())).await.unwrap();
    let nothing = || Summaries::of([], 1);
    let Response::Digest { listing, .. } = one.inner().list(one.now().0 / 1000 - 3400, nothing()).await else {
        panic!("it lists what it has")
    };
    let id = |number| {
        let subject = one.subject(&commit(&one, number));
        ItemId::of_answer(&subject.key, &subject.fingerprint)
    };
    let listed: Vec<_> = listing.0.iter().map(|item| item.id).collect();
    assert_eq!(listed, [id(1), id(2)], "the newest first");
    let Response::Digest { since, listing } = one.inner().list(0, nothing()).await else { panic!("it answers") };
    assert!(listing.0.is_empty() && since.abs_diff(one.now().0 / 1000 - 3600) <= 60, "it can't look back to 1970");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_is_answered_in_order_as_far_as_it_fits_and_what_is_gone_is_left_out() {
    let one = Bench::in_mesh().await;
    let large = vec![b'x'; limits::MAX_INLINE_BODY_BYTES];
    let mut wanted = vec![ItemId([7; 16])];
    for number in 0..40 {
        let mut body = large.clone();
        body[..2].copy_from_slice(format!("{number:02}").as_bytes());
        let read = commit(&one, number);
        one.inner().receive(one.told(&read, &entry(&body, one.ago(1)), &body)).await;
        let subject = one.subject(&read);
        wanted.push(ItemId::of_answer(&subject.key, &subject.fingerprint));
    }
    let me = one.exchange().mesh.member();
    let Response::Pulled { records, dealt } = one.inner().give(me, Wanted(wanted)).await else { panic!("it gives") };
    assert!(records.len() >= 12, "256 KiB of 16 KiB each, and a little around: {}", records.len());
    assert_eq!(records.len() + 1, dealt as usize, "the first is not here");
    assert!(ghmesh_model::cbor::encode(&Response::Pulled { records, dealt }).len() < limits::MAX_RESPONSE_BYTES - 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_given_enough_or_is_busy_says_so() {
    let one = Bench::in_mesh().await;
    let (me, syncing) = (one.exchange().mesh.member(), &one.inner().members.get().unwrap().syncing);
    let pulled = || one.inner().give(me, Wanted(vec![ItemId([7; 16])]));
    assert_eq!(pulled().await, Response::Pulled { records: Vec::new(), dealt: 1 });
    syncing.given.spend(0, 100 * GIVEN_BYTES, one.now());
    assert_eq!(pulled().await, Response::No);
    assert_ne!(one.inner().list(one.now().0, Summaries::of([], 1)).await, Response::No, "that costs little");
    let _all = syncing.serving.try_acquire_many(u32::try_from(SERVING).unwrap()).unwrap();
    assert_eq!(one.inner().list(one.now().0, Summaries::of([], 1)).await, Response::No);
}

/// A member that lists one item in each round, and answers pulls with what `sends` makes.
async fn liar(bench: &Bench, item: Item, sends: impl Fn() -> Vec<Shared> + Send + 'static) -> MemberId {
    let Membership { mesh, mut events, .. } = membership(bench.exchange().mesh.status().listen_addrs).await;
    let member = mesh.member();
    tokio::spawn(async move {
        // With its last handle the mesh would end.
        let _mesh = mesh;
        while let Some(event) = events.recv().await {
            let Event::Asked { request, replier, .. } = event else { continue };
            replier.reply(match request {
                Request::Digest { since, .. } => Response::Digest { since, listing: Listing(vec![item]) },
                Request::Pull { .. } => Response::Pulled { records: sends(), dealt: 1 },
                _ => Response::No,
            });
        }
    });
    member
}

fn item_of(bench: &Bench, number: usize) -> Item {
    let subject = bench.subject(&commit(bench, number));
    let version = Item::answer_version(bench.now().0 / 1000, true);
    Item { id: ItemId::of_answer(&subject.key, &subject.fingerprint), version }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_11_what_nobody_asked_for_or_is_too_old_or_was_written_over_is_refused_and_not_asked_for_again() {
    let old = |bench: &Bench| Shared { age_ms: 3_600_000, ..told(bench, 1, 1) };
    let other = |bench: &Bench| told(bench, 2, 1);
    let buried = |bench: &Bench| told(bench, 1, 60);
    for sent in [old, other, buried] {
        let bench = Bench::in_mesh().await;
        bench.inner().bury_here(&own_scopes(&bench, 1), bench.ago(30)).await;
        let shared = sent(&bench);
        let member = liar(&bench, item_of(&bench, 1), move || vec![shared.clone()]).await;
        compared(&bench, 1).await;
        assert!(!holds(&bench, 1) && !holds(&bench, 2));
        assert_eq!((bench.node.stats().sync_records_pulled, bench.node.stats().records_refused), (1, 1));
        assert_eq!(bench.inner().round(member).await, RoundEnd::Complete);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_confirmed_after_a_write_is_taken_although_it_was_fetched_before() {
    let bench = Bench::in_mesh().await;
    let read = commit(&bench, 1);
    bench.inner().bury_here(&own_scopes(&bench, 1), bench.ago(30)).await;
    let (first, again) = (entry(&body(1), bench.ago(60)), entry(&body(1), bench.ago(5)));
    let peer = bench.peer();
    let attestation = peer.attest(&bench.alias(&read), &read.credential, &Entry { scopes: read.scopes(), ..first });
    let attestation = peer.attest_again(&bench.alias(&read), &read.credential, &again, attestation);
    let records = [
        Shared { signed: attestation.stored, age_ms: 5000, body: Some(body(1)) },
        Shared { signed: attestation.revalidated.unwrap(), age_ms: 5000, body: None },
    ];
    liar(&bench, item_of(&bench, 1), move || records.to_vec()).await;
    compared(&bench, 1).await;
    let offer = bench.inner().store.peek(&offer_slot(bench.subject(&read))).unwrap();
    assert!(offer.confirmed_at > bench.ago(20) && bench.node.stats().records_refused == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_never_comes_is_left_and_a_member_that_says_no_is_not_waited_for_long() {
    let bench = Bench::in_mesh().await;
    let member = liar(&bench, item_of(&bench, 1), Vec::new).await;
    compared(&bench, 1).await;
    assert_eq!(bench.node.stats().sync_records_pulled, 0);
    assert_eq!(bench.inner().round(member).await, RoundEnd::Complete);
    assert_eq!(bench.inner().round(MemberId([9; 32])).await, RoundEnd::Postponed, "nobody of that name");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_small_body_was_lost_is_completed() {
    let one = Bench::in_mesh().await;
    let shared = told(&one, 0, 5);
    assert!(matches!(one.inner().receive(shared.clone()).await, Some(Receipt::Newer(..))));
    let other = Bench::beside(&[&one]).await;
    other.inner().receive(Shared { body: None, ..shared }).await;
    eventually("its body is here", || {
        let offer = other.inner().store.peek(&offer_slot(other.subject(&commit(&other, 0))))?;
        other.inner().store.has_body(&offer.representation.cid).then_some(())
    })
    .await;
}

#[test]
fn an_allowance_runs_out_by_records_and_by_bytes() {
    let now = Millis(1_000_000);
    for (records, bytes) in [(100, 0), (0, 10_000)] {
        let allowance = Allowance::new(10, 1000);
        assert!(allowance.wait(now).is_zero());
        allowance.spend(records, bytes, now);
        assert_eq!(allowance.wait(now), Duration::from_secs(9));
    }
}
