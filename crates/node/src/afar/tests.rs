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

/// Hears of a member that it is not connected to.
fn reaches_beyond(bench: &Bench) {
    bench.inner().hear_presence(MemberId([77; 32]), Presence { addresses: Vec::new(), neighbours: 3 });
}

/// What a member that is connected to nobody here says of its fetch, in the name of that credential.
fn begun(bench: &Bench, far: &Exchange, read: &Read, held: &Read) -> Shared {
    let (stamp, mut fetching) = (far.author.stamp(), fetching(bench.subject(read), FetchStage::Begun));
    let mac = bench.alias(read).ring.validation_mac(held.credential.as_bytes(), &fetching.mac_input(&stamp));
    fetching.mac = mac.to_vec();
    Shared { signed: far.author.sign(stamp, &Record::Fetching(fetching)), age_ms: 0, body: None }
}

/// Passes something on by gossip, and waits until the other has heard it.
async fn passed_on(from: &Bench, to: &Bench, shared: Shared) {
    let before = to.node.stats().records_received;
    from.exchange().mesh.publish(shared).unwrap();
    eventually("it is heard", || (to.node.stats().records_received > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_waits_for_the_fetch_of_a_member_that_is_no_neighbour() {
    let [one, other] = two().await;
    let (far, read) = (one.peer(), other.read(PATH, &[]));
    passed_on(&one, &other, begun(&one, &far, &one.read(PATH, &[]), &read)).await;
    let (node, again) = (other.node.clone(), other.read(PATH, &[]));
    let lookup = tokio::spawn(async move { node.lookup(again).await });
    let coordinator = &other.inner().members.get().unwrap().coordinator;
    eventually("it waits", || (coordinator.view().counters.waits == 1).then_some(())).await;

    let body = br#"{"name": "hello"}"#.to_vec();
    let fetched = Entry { scopes: read.scopes(), ..entry(&body, one.now()) };
    let signed = far.attest(&one.alias(&read), &read.credential, &fetched).stored;
    one.exchange().mesh.publish(Shared { signed, age_ms: 0, body: Some(body) }).unwrap();
    let answer = lookup.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), other.github.counters().calls()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_13_who_does_not_hold_a_credential_makes_none_of_its_callers_wait() {
    let [one, other] = two().await;
    let far = one.peer();
    // The credential is presented to the other, which can tell from then on.
    assert_eq!(other.node.lookup(other.read("/repos/octo/hello/issues", &[])).await.unwrap().status(), 200);
    let calls = other.github.counters().calls();
    let bob = one.read_as(&format!("token {}", tokens::BOB), PATH, &[]);
    passed_on(&one, &other, begun(&one, &far, &one.read(PATH, &[]), &bob)).await;
    eventually("it is refused", || (other.node.stats().records_refused == 1).then_some(())).await;
    assert_eq!(other.node.lookup(other.read(PATH, &[])).await.unwrap().status(), 200);
    let coordinator = &other.inner().members.get().unwrap().coordinator;
    assert_eq!((coordinator.view().counters.waits, other.github.counters().calls()), (0, calls + 1));
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
    assert!(bench.exchange().is_credible(&signed.stamp, begun));
    let forged = Fetching { key: ghmesh_model::WireKey([1; 32]), ..begun.clone() };
    assert!(!bench.exchange().is_credible(&signed.stamp, &forged));

    let (status, told) = look_up("/repos/octo/none").await;
    let [(_, Record::Fetching(begun)), (_, Record::Fetching(ended))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((status, begun.stage, ended.stage), (404, FetchStage::Begun, FetchStage::Unshareable));
}
