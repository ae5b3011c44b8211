//! Fetches that are told to the whole fleet, over a real mesh on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Bench, entry, eventually, membership};
use ghmesh_github_sim::tokens;
use ghmesh_mesh::Event;
use ghmesh_model::wire::{Presence, SignedRecord};
use ghmesh_model::{Entry, MemberId};
use tokio::sync::mpsc;

const PATH: &str = "/repos/octo/hello";

/// Two nodes that are connected, and know of members beyond.
async fn two() -> [Bench; 2] {
    let one = Bench::in_mesh().await;
    let other = Bench::beside(&[&one]).await;
    for bench in [&one, &other] {
        eventually("they are connected", || (!bench.exchange().mesh.members().is_empty()).then_some(())).await;
        reaches_beyond(bench);
    }
    [one, other]
}

/// Hears of more members than it will be connected to.
fn reaches_beyond(bench: &Bench) {
    for number in 100..165 {
        bench.inner().hear_presence(MemberId([number; 32]), Presence { addresses: Vec::new(), neighbours: 3 });
    }
}

/// What a member that is connected to nobody here says of its fetch, in the name of that credential.
fn begun(bench: &Bench, far: &Exchange, read: &Read, held: &Read) -> Shared {
    let (stamp, mut fetching) = (far.author.stamp(), far.fetching(bench.subject(read), FetchStage::Begun));
    said(bench, far, read, held, stamp, &mut fetching)
}

fn said(bench: &Bench, far: &Exchange, read: &Read, held: &Read, stamp: Stamp, fetching: &mut Fetching) -> Shared {
    let mac = bench.alias(read).ring.validation_mac(held.credential.as_bytes(), &fetching.mac_input(&stamp));
    fetching.mac = mac.to_vec();
    Shared { signed: far.author.sign(stamp, &Record::Fetching(fetching.clone())), age_ms: 0, body: None }
}

/// Passes something on by gossip, and waits until the other has heard it.
async fn passed_on(from: &Bench, to: &Bench, shared: Shared) {
    let before = to.node.stats().records_received;
    from.exchange().mesh.publish(shared).unwrap();
    eventually("it is heard", || (to.node.stats().records_received > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_waits_for_the_fetch_of_a_member_that_is_no_neighbour() {
    for presented_before in [true, false] {
        waits(presented_before).await;
    }
}

async fn waits(presented_before: bool) {
    let [one, other] = two().await;
    let (far, read) = (one.peer(), other.read(PATH, &[]));
    if presented_before {
        other.alias(&read);
    }
    let lookup = announced_and_looked_up(&one, &other, &far, PATH, 1).await;

    let body = br#"{"name": "hello"}"#.to_vec();
    let fetched = Entry { scopes: read.scopes(), ..entry(&body, one.now()) };
    let signed = far.attest(&one.alias(&read), &read.credential, &fetched).stored;
    one.exchange().mesh.publish(Shared { signed, age_ms: 0, body: Some(body) }).unwrap();
    assert_eq!((lookup.await.unwrap(), other.github.counters().calls()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_13_who_does_not_hold_a_credential_makes_none_of_its_callers_wait() {
    for presented_before in [true, false] {
        let [one, other] = two().await;
        if presented_before {
            other.alias(&other.read(PATH, &[]));
        }
        let bob = one.read_as(&format!("token {}", tokens::BOB), PATH, &[]);
        passed_on(&one, &other, begun(&one, &one.peer(), &one.read(PATH, &[]), &bob)).await;
        not_waited(&other, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_13_what_was_told_long_ago_keeps_nobody_waiting_when_it_is_told_again() {
    let [one, other] = two().await;
    let (far, read) = (one.peer(), one.read(PATH, &[]));
    let (stamp, mut old) = (far.author.stamp(), far.fetching(one.subject(&read), FetchStage::Begun));
    old.at -= 6;
    passed_on(&one, &other, said(&one, &far, &read, &read, stamp, &mut old)).await;
    not_waited(&other, 0).await;
}

async fn not_waited(bench: &Bench, refused: u64) {
    assert_eq!(bench.node.lookup(bench.read(PATH, &[])).await.unwrap().status(), 200);
    let coordinator = &bench.inner().members.get().unwrap().coordinator;
    assert_eq!((coordinator.view().counters.waits, bench.github.counters().calls()), (0, 1));
    eventually("it is refused", || (bench.node.stats().records_refused == refused).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_what_was_confirmed_afar_asks_its_owner_and_holds_nothing_against_its_author() {
    let [one, other] = two().await;
    let (far, read) = (one.peer(), other.read(PATH, &[]));
    let lookup = announced_and_looked_up(&one, &other, &far, PATH, 1).await;
    let confirmed = Entry { scopes: read.scopes(), ..entry(b"{}", one.now()) };
    let alias = one.alias(&read);
    let stored = far.attest(&alias, &read.credential, &confirmed);
    let signed = far.attest_again(&alias, &read.credential, &confirmed, stored).revalidated.unwrap();
    one.exchange().mesh.publish(Shared { signed, age_ms: 0, body: None }).unwrap();
    assert_eq!(lookup.await.unwrap(), 200);
    assert_eq!(other.github.counters().calls(), 1);

    // Had it kept this node waiting to the end of its lease, its next word would not count.
    let issues = "/repos/octo/hello/issues";
    let lookup = announced_and_looked_up(&one, &other, &far, issues, 2).await;
    let failed = far.fetching(one.subject(&one.read(issues, &[])), FetchStage::Failed);
    let signed = far.author.sign(far.author.stamp(), &Record::Fetching(failed));
    one.exchange().mesh.publish(Shared { signed, age_ms: 0, body: None }).unwrap();
    assert_eq!(lookup.await.unwrap(), 200);
}

/// A far member announces a fetch, and a lookup of the same waits: the node's first, second, and so on.
async fn announced_and_looked_up(
    one: &Bench,
    other: &Bench,
    far: &Exchange,
    path: &str,
    waits: u64,
) -> tokio::task::JoinHandle<u16> {
    let read = one.read(path, &[]);
    passed_on(one, other, begun(one, far, &read, &read)).await;
    let (node, read) = (other.node.clone(), other.read(path, &[]));
    let lookup = tokio::spawn(async move { node.lookup(read).await.unwrap().status().as_u16() });
    let coordinator = &other.inner().members.get().unwrap().coordinator;
    eventually("it waits", || (coordinator.view().counters.waits == waits).then_some(())).await;
    lookup
}

#[test]
fn what_waits_for_its_credential_is_bounded() {
    let parked = Parked::default();
    let stamp = Stamp { author: MemberId([1; 32]), boot: 1, sequence: 1 };
    let fetching = |number: u16| Fetching {
        key: ghmesh_model::WireKey(std::array::from_fn(|at| number.to_be_bytes()[at % 2])),
        fingerprint: ghmesh_model::Fingerprint([2; 32]),
        stage: FetchStage::Begun,
        at: 0,
        mac: Vec::new(),
    };
    (0..=MAX_PARKED as u16).for_each(|number| parked.note(stamp, fetching(number)));
    assert_eq!(parked.take(subject_of(&fetching(0))), []);
    assert_eq!(parked.take(subject_of(&fetching(1))), [(stamp, fetching(1))]);
    assert_eq!(parked.take(subject_of(&fetching(1))), [], "once");
}

/// Fetches and answers that a member is told of, up to an answer or the end of a fetch.
async fn told(events: &mut mpsc::Receiver<Event>) -> Vec<(SignedRecord, Record)> {
    let mut told = Vec::new();
    loop {
        let event = events.recv().await.unwrap();
        let Event::Record { shared, .. } = event else { continue };
        let record = shared.signed.record().unwrap();
        let is_end = match &record {
            Record::Stored(_) => true,
            Record::Fetching(fetching) => fetching.stage != FetchStage::Begun,
            _ => continue,
        };
        told.push((shared.signed, record));
        if is_end {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_told_as_it_begins_and_its_end_by_what_it_brought() {
    let bench = Bench::in_mesh().await;
    let mut observer = membership(bench.exchange().mesh.status().listen_addrs).await;
    eventually("they are connected", || (!bench.exchange().mesh.members().is_empty()).then_some(())).await;
    let mut look_up = async |path: &str| {
        let answer = bench.node.lookup(bench.read(path, &[])).await.unwrap();
        (answer.status().as_u16(), told(&mut observer.events).await)
    };

    let (status, told) = look_up(PATH).await;
    assert!(status == 200 && matches!(told[..], [(_, Record::Stored(_))]), "all are neighbours: {told:?}");
    reaches_beyond(&bench);
    let (status, told) = look_up("/repos/octo/hello/issues").await;
    let [(signed, Record::Fetching(begun)), (_, Record::Stored(stored))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((status, begun.key, begun.stage), (200, stored.validation.key, FetchStage::Begun));
    assert_eq!(bench.exchange().is_genuine(&signed.stamp, begun), Some(true));
    let forged = Fetching { key: ghmesh_model::WireKey([1; 32]), ..begun.clone() };
    assert_eq!(bench.exchange().is_genuine(&signed.stamp, &forged), Some(false));

    let (status, told) = look_up("/repos/octo/none").await;
    let [(_, Record::Fetching(begun)), (_, Record::Fetching(ended))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((status, begun.stage, ended.stage), (404, FetchStage::Begun, FetchStage::Unshareable));
}
