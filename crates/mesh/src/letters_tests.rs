//! What is sealed opens, at the right end, within limits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::identity::{Author, Identity};
use ghmesh_model::limits::CHUNK_BYTES;
use ghmesh_model::wire::{Invalidated, Record};
use ghmesh_model::{BodyCid, Scope};
use ghmesh_seal::{Cost, Secret, derive};

fn ring(secret: &str) -> KeyRing {
    derive(&Secret::new(secret.into()), "test", Cost::TEST)
}

fn record(body: Option<Vec<u8>>) -> Shared {
    let author = Author::new(&Identity::ephemeral(), 1);
    let signed = author.sign(author.stamp(), &Record::Invalidated(Invalidated { scopes: vec![Scope([1; 16])] }));
    Shared { signed, age_ms: 1, body }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|_| rand::random()).collect()
}

#[test]
fn a_response_answers_its_own_request_only() {
    let ring = ring("secret");
    let (id, request) = seal_request(&ring, Request::Body { cid: BodyCid([1; 32]), offset: 5 }).unwrap();
    let rings = [super::tests::ring("other"), ring.clone()];
    let (answering, opened_id, opened) = open_request(&rings, &request, |_| true).unwrap();
    assert_eq!((opened_id, opened), (id, Request::Body { cid: BodyCid([1; 32]), offset: 5 }));
    let response = seal_response(answering, id, Response::No).unwrap();
    assert_eq!(open_response(&ring, id, &response), Ok(Response::No));
    assert_eq!(open_response(&ring, [0; 16], &response), Err(Unreadable), "another request's");
    assert_eq!(open_response(&rings[0], id, &response), Err(Unreadable), "another mesh's");
    assert_eq!(open_response(&ring, id, &request), Err(Unreadable), "a request");
}

#[test]
fn a_later_versions_request_is_told_from_what_no_member_wrote() {
    let rings = [ring("secret")];
    let unknown = rings[0].seal(Purpose::Request, [7; NONCE_BYTES], &cbor::encode(&([1_u8; 16], "a request to come")));
    assert_eq!(open_request(&rings, &unknown, |_| true).map(drop), Err(Unanswerable::Unknown));
    let forged = ring("other").seal(Purpose::Request, [7; NONCE_BYTES], &unknown);
    assert_eq!(open_request(&rings, &forged, |_| true).map(drop), Err(Unanswerable::Unreadable));
}

#[test]
fn two_requests_never_look_alike() {
    let ring = ring("secret");
    let seal = || seal_request(&ring, Request::Body { cid: BodyCid([1; 32]), offset: 5 }).unwrap();
    let (one, other) = (seal(), seal());
    assert!(one.0 != other.0 && one.1 != other.1);
}

#[test]
fn limits_hold_on_both_ends() {
    let ring = ring("secret");
    let chunk = Response::Body { length: 1 << 20, bytes: noise(CHUNK_BYTES as usize) };
    let sealed = seal_response(&ring, [1; 16], chunk.clone()).unwrap();
    assert_eq!(open_response(&ring, [1; 16], &sealed), Ok(chunk));
    let large = Response::Body { length: 1 << 20, bytes: noise(MAX_RESPONSE_BYTES) };
    assert_eq!(seal_response(&ring, [1; 16], large), Err(TooLarge));
    let zeros = Response::Body { length: 1 << 20, bytes: vec![0; MAX_RESPONSE_BYTES + 1] };
    assert_eq!(seal_response(&ring, [1; 16], zeros), Err(TooLarge), "also where it would compress");
    assert_eq!(open_response(&ring, [1; 16], &noise(MAX_RESPONSE_BYTES + 1)), Err(Unreadable));
    let deliver = |body| seal_request(&ring, Request::Deliver { records: vec![record(Some(body))] });
    assert!(deliver(noise(MAX_INLINE_BODY_BYTES)).is_ok());
    assert_eq!(deliver(vec![0; MAX_INLINE_BODY_BYTES + 1]).unwrap_err(), TooLarge);
}

#[test]
fn a_body_that_does_not_fit_is_left_out_of_gossip() {
    let ring = ring("secret");
    for (length, travels) in [(MAX_INLINE_BODY_BYTES, true), (MAX_INLINE_BODY_BYTES + 1, false), (1 << 20, false)] {
        let shared = record(Some(noise(length)));
        let sealed = seal_gossip(&ring, shared.clone()).unwrap();
        assert!(sealed.len() <= MAX_GOSSIP_BYTES);
        let opened = open_gossip(std::slice::from_ref(&ring), &sealed).unwrap();
        assert_eq!((opened.signed == shared.signed, opened.body.is_some()), (true, travels), "{length}");
    }
}

#[test]
fn garbage_is_unreadable() {
    let ring = ring("secret");
    let rings = std::slice::from_ref(&ring);
    let garbled = |purpose| ring.seal(purpose, rand::random(), b"\xa1\x00\xff nothing of ours");
    assert_eq!(open_gossip(rings, &garbled(Purpose::Gossip)), Err(Unreadable));
    assert!(open_request(rings, &garbled(Purpose::Request), |_| true).is_err());
    assert_eq!(open_response(&ring, [0; 16], &garbled(Purpose::Response)), Err(Unreadable));
    for length in [0, 1, 41, 42, 1000, MAX_GOSSIP_BYTES + 1] {
        assert_eq!(open_gossip(rings, &noise(length)), Err(Unreadable), "{length}");
    }
    let large = ring.seal(Purpose::Gossip, rand::random(), &vec![0; 8 << 20]);
    assert!(large.len() < MAX_GOSSIP_BYTES, "a bomb of 8 MiB in a small envelope");
    assert_eq!(open_gossip(rings, &large), Err(Unreadable));
}

#[test]
fn a_record_that_its_author_did_not_sign_is_unreadable_wherever_it_comes() {
    let ring = ring("secret");
    let mut forged = record(None);
    forged.signed.stamp.sequence += 1;
    let sealed = seal_gossip(&ring, forged.clone()).unwrap();
    assert_eq!(open_gossip(std::slice::from_ref(&ring), &sealed), Err(Unreadable));
    let (_, sealed) = seal_request(&ring, Request::Deliver { records: vec![record(None), forged.clone()] }).unwrap();
    assert!(open_request(std::slice::from_ref(&ring), &sealed, |_| true).is_err());
    let records = vec![forged];
    for response in [Response::Have { records: records.clone() }, Response::Pulled { records, dealt: 1 }] {
        let sealed = seal_response(&ring, [1; 16], response).unwrap();
        assert_eq!(open_response(&ring, [1; 16], &sealed), Err(Unreadable));
    }
}
