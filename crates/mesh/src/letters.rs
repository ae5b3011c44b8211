//! What members say, sealed and opened. Nothing here runs in the swarm's task: sealing 256 KiB takes a millisecond.
//!
//! Each limit is checked on the sealed bytes and, before anything is decompressed or decoded, on the plain ones.

use crate::identity::is_genuine;
use ghmesh_model::cbor;
use ghmesh_model::limits::{MAX_GOSSIP_BYTES, MAX_INLINE_BODY_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use ghmesh_model::wire::{Request, Response, Shared};
use ghmesh_seal::{KeyRing, NONCE_BYTES, Purpose};
use serde::{Deserialize, Serialize};

/// A record's payload may have as many bytes as a sealed message, and its body rides beside it.
const MAX_PLAIN_GOSSIP_BYTES: usize = MAX_GOSSIP_BYTES + MAX_INLINE_BODY_BYTES + 1024;
/// A request may carry records with a body.
const MAX_PLAIN_REQUEST_BYTES: usize = 2 * MAX_REQUEST_BYTES;
/// A chunk of a body, or records with one.
const MAX_PLAIN_RESPONSE_BYTES: usize = MAX_RESPONSE_BYTES;

/// Names one request, so that no other request's response can be taken for its own.
pub(crate) type RequestId = [u8; 16];

/// A request as it is sealed.
#[derive(Serialize, Deserialize)]
struct Asking {
    #[serde(with = "serde_bytes")]
    id: RequestId,
    request: Request,
}

/// The response to the request of that id.
#[derive(Serialize, Deserialize)]
struct Answering {
    #[serde(with = "serde_bytes")]
    id: RequestId,
    response: Response,
}

/// Longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswerable {
    /// It is [`Unreadable`].
    Unreadable,
    /// It holds more records than its sender may send.
    TooMany,
    /// A member sealed it, and it is none of the requests that this version knows: a later version's, perhaps.
    Unknown,
}

/// Not sealed by a member, not decodable, breaking a limit, or with a record that its author did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// A gossip message. The body is left out where it does not fit.
pub(crate) fn seal_gossip(ring: &KeyRing, mut shared: Shared) -> Result<Vec<u8>, TooLarge> {
    if !fits(&shared) {
        shared.body = None;
    }
    let whole = seal(ring, Purpose::Gossip, &shared, (MAX_PLAIN_GOSSIP_BYTES, MAX_GOSSIP_BYTES));
    if whole.is_ok() || shared.body.take().is_none() {
        return whole;
    }
    seal(ring, Purpose::Gossip, &shared, (MAX_PLAIN_GOSSIP_BYTES, MAX_GOSSIP_BYTES))
}

/// Opens a gossip message and verifies its author's signature.
pub(crate) fn open_gossip(rings: &[KeyRing], sealed: &[u8]) -> Result<Shared, Unreadable> {
    let (_, plain) = open(rings, Purpose::Gossip, sealed, (MAX_PLAIN_GOSSIP_BYTES, MAX_GOSSIP_BYTES))?;
    let shared: Shared = cbor::decode(&plain, MAX_PLAIN_GOSSIP_BYTES).map_err(|_| Unreadable)?;
    if is_acceptable(&shared) { Ok(shared) } else { Err(Unreadable) }
}

/// A request with a fresh id.
pub(crate) fn seal_request(ring: &KeyRing, request: Request) -> Result<(RequestId, Vec<u8>), TooLarge> {
    if !records_of(&request).iter().all(fits) {
        return Err(TooLarge);
    }
    let id = rand::random();
    let limits = (MAX_PLAIN_REQUEST_BYTES, MAX_REQUEST_BYTES);
    Ok((id, seal(ring, Purpose::Request, &Asking { id, request }, limits)?))
}

/// Opens a request. Gives the ring that it is to be answered with. `may_send` says, before any signature is verified, whether its
/// sender may send as many records.
pub(crate) fn open_request<'a>(
    rings: &'a [KeyRing],
    sealed: &[u8],
    may_send: impl FnOnce(usize) -> bool,
) -> Result<(&'a KeyRing, RequestId, Request), Unanswerable> {
    let limits = (MAX_PLAIN_REQUEST_BYTES, MAX_REQUEST_BYTES);
    let (ring, plain) = open(rings, Purpose::Request, sealed, limits).map_err(|_| Unanswerable::Unreadable)?;
    let asking = cbor::decode(&plain, MAX_PLAIN_REQUEST_BYTES);
    let Asking { id, request } = asking.map_err(|_| Unanswerable::Unknown)?;
    let records = records_of(&request);
    if !may_send(records.len()) {
        return Err(Unanswerable::TooMany);
    }
    if records.iter().all(is_acceptable) { Ok((ring, id, request)) } else { Err(Unanswerable::Unreadable) }
}

/// How many records a request holds.
pub(crate) fn record_count(request: &Request) -> usize {
    records_of(request).len()
}

/// The response to the request `id`.
pub(crate) fn seal_response(ring: &KeyRing, id: RequestId, response: Response) -> Result<Vec<u8>, TooLarge> {
    if !records_in(&response).iter().all(fits) {
        return Err(TooLarge);
    }
    seal(ring, Purpose::Response, &Answering { id, response }, (MAX_PLAIN_RESPONSE_BYTES, MAX_RESPONSE_BYTES))
}

/// Opens the response to the request `id`, which was sealed with `ring`.
pub(crate) fn open_response(ring: &KeyRing, id: RequestId, sealed: &[u8]) -> Result<Response, Unreadable> {
    let limits = (MAX_PLAIN_RESPONSE_BYTES, MAX_RESPONSE_BYTES);
    let (_, plain) = open(std::slice::from_ref(ring), Purpose::Response, sealed, limits)?;
    let answering: Answering = cbor::decode(&plain, MAX_PLAIN_RESPONSE_BYTES).map_err(|_| Unreadable)?;
    if answering.id == id && records_in(&answering.response).iter().all(is_acceptable) {
        Ok(answering.response)
    } else {
        Err(Unreadable)
    }
}

fn records_of(request: &Request) -> &[Shared] {
    match request {
        Request::Deliver { records } => records,
        Request::Have { .. }
        | Request::Release { .. }
        | Request::Body { .. }
        | Request::Digest { .. }
        | Request::Pull { .. }
        | Request::Renew { .. } => &[],
    }
}

fn records_in(response: &Response) -> &[Shared] {
    match response {
        Response::Have { records }
        | Response::Lease { known: records, .. }
        | Response::Known { records }
        | Response::Pulled { records, .. } => records,
        Response::Coming { .. }
        | Response::Body { .. }
        | Response::Digest { .. }
        | Response::Ok
        | Response::No
        | Response::Proof { .. } => &[],
    }
}

fn fits(shared: &Shared) -> bool {
    shared.body.as_ref().is_none_or(|body| body.len() <= MAX_INLINE_BODY_BYTES)
}

fn is_acceptable(shared: &Shared) -> bool {
    fits(shared) && is_genuine(&shared.signed)
}

fn seal<T: Serialize>(
    ring: &KeyRing,
    purpose: Purpose,
    message: &T,
    (plain_limit, limit): (usize, usize),
) -> Result<Vec<u8>, TooLarge> {
    let plain = cbor::encode(message);
    if plain.len() > plain_limit {
        return Err(TooLarge);
    }
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let sealed = ring.seal(purpose, nonce, &plain);
    if sealed.len() > limit { Err(TooLarge) } else { Ok(sealed) }
}

fn open<'a>(
    rings: &'a [KeyRing],
    purpose: Purpose,
    sealed: &[u8],
    (plain_limit, limit): (usize, usize),
) -> Result<(&'a KeyRing, Vec<u8>), Unreadable> {
    if sealed.len() > limit {
        return Err(Unreadable);
    }
    let opened = |ring: &'a KeyRing| Some((ring, ring.open(purpose, sealed, plain_limit).ok()?));
    rings.iter().find_map(opened).ok_or(Unreadable)
}

#[cfg(test)]
#[path = "letters_tests.rs"]
mod tests;
