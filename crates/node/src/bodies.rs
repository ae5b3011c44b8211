//! Pulls a body by its CID from whoever holds it: in chunks, several at once, verified as a whole.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream;
use ghmesh_mesh::Mesh;
use ghmesh_model::wire::{Request, Response};
use ghmesh_model::{BodyCid, MemberId, limits};
use std::time::Duration;

/// Chunks asked of one member at once: at 256 KiB each this fills a 1 Gbit/s link at 8 ms of round trip.
const CHUNKS_AT_ONCE: usize = 4;

/// One chunk's deadline. A member that needs longer for 256 KiB is slower than GitHub.
const CHUNK_DEADLINE: Duration = Duration::from_secs(2);

/// Members tried for one body, so that a pull stays bounded whoever is silent.
const MEMBERS_TRIED: usize = 3;

/// Asks `holders` in turn for the body that `cid` names, of `length` bytes. `None` where nobody gave exactly it.
pub(crate) async fn pull(mesh: &Mesh, cid: BodyCid, length: u64, holders: Vec<MemberId>) -> Option<Bytes> {
    if length > limits::MAX_BODY_BYTES {
        return None;
    }
    let mut tried = Vec::new();
    for holder in holders {
        if tried.len() == MEMBERS_TRIED {
            break;
        }
        if holder == mesh.member() || tried.contains(&holder) {
            continue;
        }
        tried.push(holder);
        if let Some(body) = pull_from(mesh, cid, length, holder).await {
            return Some(body);
        }
    }
    None
}

async fn pull_from(mesh: &Mesh, cid: BodyCid, length: u64, holder: MemberId) -> Option<Bytes> {
    let offsets = (0..length.max(1)).step_by(limits::CHUNK_BYTES as usize);
    let mut chunks =
        stream::iter(offsets).map(|offset| chunk(mesh, cid, length, offset, holder)).buffered(CHUNKS_AT_ONCE);
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk?);
    }
    verified(cid, body.freeze()).await
}

/// One chunk, of exactly the bytes that belong there.
async fn chunk(mesh: &Mesh, cid: BodyCid, length: u64, offset: u64, holder: MemberId) -> Option<Vec<u8>> {
    let expected = (length - offset).min(u64::from(limits::CHUNK_BYTES));
    match mesh.ask(holder, Request::Body { cid, offset }, CHUNK_DEADLINE).await {
        Ok(Response::Body { length: whole, bytes }) if whole == length && bytes.len() as u64 == expected => Some(bytes),
        Ok(_) | Err(_) => None,
    }
}

/// Hashing 32 MiB takes tens of milliseconds: not on a thread that serves others.
async fn verified(cid: BodyCid, body: Bytes) -> Option<Bytes> {
    let checked = tokio::task::spawn_blocking(move || cid.names(&body).then_some(body)).await;
    checked.ok().flatten()
}

/// The chunk of `body` at `offset`: the answer to a member that pulls it.
pub(crate) fn answer(body: Option<&Bytes>, offset: u64) -> Response {
    let Some(body) = body else { return Response::No };
    let length = body.len();
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    if start > length {
        return Response::No;
    }
    let end = length.min(start.saturating_add(limits::CHUNK_BYTES as usize));
    Response::Body { length: length as u64, bytes: body.slice(start..end).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(response: Response) -> usize {
        match response {
            Response::Body { bytes, .. } => bytes.len(),
            other => panic!("no chunk: {other:?}"),
        }
    }

    #[test]
    fn chunks_cover_a_body_exactly() {
        let chunk = limits::CHUNK_BYTES as usize;
        let body = Bytes::from(vec![7; chunk + 5]);
        assert_eq!(bytes_of(answer(Some(&body), 0)), chunk);
        assert_eq!(bytes_of(answer(Some(&body), chunk as u64)), 5);
        assert_eq!(bytes_of(answer(Some(&Bytes::new()), 0)), 0);
    }

    #[test]
    fn an_offset_beyond_the_body_or_a_body_that_is_not_here_is_no() {
        assert_eq!(answer(Some(&Bytes::from_static(b"abc")), 4), Response::No);
        assert_eq!(answer(Some(&Bytes::from_static(b"abc")), u64::MAX), Response::No);
        assert_eq!(answer(None, 0), Response::No);
    }
}
