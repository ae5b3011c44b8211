//! Have-you-got: asked and answered, bounded, and never mixed up.

use super::cluster::{Setup, cluster};
use crate::{AskError, Event, Identity};
use ghmesh_model::limits::{CHUNK_BYTES, MAX_RESPONSE_BYTES};
use ghmesh_model::wire::{Request, Response};
use ghmesh_model::{BodyCid, Fingerprint, WireKey};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(4);

fn body_at(offset: u64) -> Request {
    Request::Body { cid: BodyCid([1; 32]), offset }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_chunk_is_asked_for_and_answered() {
    let mut nodes = cluster(2).await;
    let answerer = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let bytes: Vec<u8> = (0..CHUNK_BYTES).map(|_| rand::random()).collect();
    let expected = Response::Body { length: 1 << 20, bytes: bytes.clone() };
    let member = answerer.member();
    let _answerer = answerer.answering(move |request| match request {
        Request::Body { offset: 512, .. } => Response::Body { length: 1 << 20, bytes: bytes.clone() },
        _ => Response::No,
    });
    assert_eq!(asker.mesh.ask(member, body_at(512), DEADLINE).await, Ok(expected));
    assert_eq!(asker.mesh.ask(member, body_at(0), DEADLINE).await, Ok(Response::No));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_at_once_each_get_their_own_answer() {
    let mut nodes = cluster(2).await;
    let answerer = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let member = answerer.member();
    let _answerer = answerer.answering(|request| match request {
        Request::Body { offset, .. } => Response::Body { length: offset, bytes: vec![] },
        _ => Response::No,
    });
    // Of one member 64 are answered at once, and of the 36 others the asker hears that soon.
    let asked = (0..100).map(|offset| {
        let mesh = asker.mesh.clone();
        tokio::spawn(async move { (offset, mesh.ask(member, body_at(offset), DEADLINE).await) })
    });
    let mut answered = 0;
    for outcome in asked.collect::<Vec<_>>() {
        match outcome.await.unwrap() {
            (offset, Ok(response)) => {
                assert_eq!(response, Response::Body { length: offset, bytes: vec![] });
                answered += 1;
            }
            (_, Err(error)) => assert_eq!(error, AskError::Closed),
        }
    }
    assert!(answered >= 64, "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asker_waits_no_longer_than_its_deadline() {
    let mut nodes = cluster(2).await;
    let mut silent = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let begun = Instant::now();
    let outcome = asker.mesh.ask(silent.member(), body_at(0), Duration::from_millis(150)).await;
    assert_eq!(outcome, Err(AskError::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // A dropped replier says no at once.
    let asking = tokio::spawn({
        let (mesh, member) = (asker.mesh.clone(), silent.member());
        async move { mesh.ask(member, body_at(9), DEADLINE).await }
    });
    let wanted = |event| match event {
        Event::Asked { request: Request::Body { offset: 9, .. }, replier, .. } => Some(replier),
        _ => None,
    };
    drop(silent.event(wanted).await);
    assert_eq!(asking.await.unwrap(), Ok(Response::No));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_who_is_not_connected() {
    let mut nodes = cluster(2).await;
    let leaver = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let stranger = Identity::ephemeral().member();
    assert_eq!(asker.mesh.ask(stranger, body_at(0), DEADLINE).await, Err(AskError::NotConnected));
    assert_eq!(asker.mesh.ask(asker.member(), body_at(0), DEADLINE).await, Err(AskError::NotConnected));
    let member = leaver.member();
    leaver.mesh.stop().await;
    asker.connected_to([]).await;
    assert_eq!(asker.mesh.ask(member, body_at(0), DEADLINE).await, Err(AskError::NotConnected));
    let mesh = asker.mesh.clone();
    asker.mesh.stop().await;
    assert_eq!(mesh.ask(member, body_at(0), DEADLINE).await, Err(AskError::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_not_sent() {
    let mut nodes = cluster(2).await;
    let answerer = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let record = |length: usize| {
        let mut shared = asker.record(1);
        shared.body = Some((0..length).map(|_| rand::random()).collect());
        Request::Deliver { records: vec![shared] }
    };
    let (small, large) = (record(16 * 1024), record(33 * 1024));
    let member = answerer.member();
    let _answerer = answerer.answering(|request| match request {
        Request::Deliver { .. } => Response::Ok,
        _ => Response::Body { length: 0, bytes: (0..MAX_RESPONSE_BYTES).map(|_| rand::random()).collect() },
    });
    assert_eq!(asker.mesh.ask(member, small, DEADLINE).await, Ok(Response::Ok));
    assert_eq!(asker.mesh.ask(member, large, DEADLINE).await, Err(AskError::TooLarge));
    assert_eq!(asker.mesh.ask(member, body_at(0), DEADLINE).await, Ok(Response::No), "instead of too large a response");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_records_do_not_come_through() {
    let mut nodes = cluster(2).await;
    let answerer = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let mut forged = asker.record(1);
    forged.signed.stamp.sequence = 99;
    let member = answerer.member();
    let answer = forged.clone();
    let _answerer = answerer.answering(move |request| match request {
        Request::Have { .. } => Response::Have { records: vec![answer.clone()] },
        _ => Response::Ok,
    });
    let have = Request::Have { key: WireKey([0; 32]), fingerprint: Fingerprint([0; 32]), max_age_ms: 1, lease: false };
    assert_eq!(asker.mesh.ask(member, have, DEADLINE).await, Err(AskError::Unreadable));
    let deliver = Request::Deliver { records: vec![forged] };
    assert_eq!(asker.mesh.ask(member, deliver, DEADLINE).await, Err(AskError::Closed));
    assert_eq!(asker.mesh.ask(member, body_at(0), DEADLINE).await, Ok(Response::Ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_rotate_overlap() {
    use super::cluster::ring;
    let rings = |secrets: &[&str]| secrets.iter().map(|secret| ring(secret)).collect::<Vec<_>>();
    let mut first = Setup::new("old");
    first.rings = rings(&["old", "new"]);
    let mut first = first.start().await;
    let mut second = Setup::new("new").dialling([first.address()]);
    second.rings = rings(&["new", "old"]);
    let mut second = second.start().await;
    second.connected_to([first.member()]).await;
    for (one, other) in [(&mut first, &mut second)] {
        let shared = one.record(1);
        one.mesh.publish(shared.clone()).unwrap();
        other.receives(&shared.signed).await;
        let shared = other.record(1);
        other.mesh.publish(shared.clone()).unwrap();
        one.receives(&shared.signed).await;
    }
    let (one, other) = (first.member(), second.member());
    let (first, second) = (first.answering(|_| Response::Ok), second.answering(|_| Response::Ok));
    assert_eq!(first.ask(other, body_at(0), DEADLINE).await, Ok(Response::Ok));
    assert_eq!(second.ask(one, body_at(0), DEADLINE).await, Ok(Response::Ok));
}

fn delivery(author: &super::cluster::Node) -> Request {
    Request::Deliver { records: (0..100).map(|tag| author.record(tag)).collect() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_counts_what_it_asks_offends_nobody() {
    let mut nodes = cluster(2).await;
    let mut answerer = nodes.pop().unwrap();
    let asker = nodes.pop().unwrap();
    let member = answerer.member();
    let (told, mut offences) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(event) = answerer.events.recv().await {
            match event {
                Event::Asked { replier, .. } => replier.reply(Response::Ok),
                Event::Offended { member, offence } => told.send((member, offence)).await.unwrap(),
                _ => {}
            }
        }
    });
    // Far more records than any member takes in a row.
    let (mut delivered, mut refused) = (0, 0);
    while refused < 50 {
        match asker.mesh.ask(member, delivery(&asker), DEADLINE).await {
            Ok(response) => {
                assert_eq!(response, Response::Ok);
                delivered += 1;
            }
            Err(error) => {
                assert_eq!(error, AskError::Busy);
                refused += 1;
            }
        }
    }
    assert!(delivered >= 40, "{delivered}");
    assert_eq!(asker.mesh.ask(member, body_at(0), DEADLINE).await, Ok(Response::Ok), "others are still asked");
    assert!(offences.try_recv().is_err());
}
