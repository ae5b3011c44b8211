//! Pulls a body by its CID from those who hold it: in chunks, from several at once, verified as a whole.
//!
//! A holder that dies or is too slow costs its chunks only: what has arrived stays, and others are asked for the rest. Which chunk
//! is false shows only at the end, when the whole isn't what its name says. Then those who gave it are asked one at a time: the
//! true body tells whose chunks were false, and who gives a whole body that is false has told on itself.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ghmesh_mesh::Mesh;
use ghmesh_model::wire::{Request, Response};
use ghmesh_model::{BodyCid, MemberId, limits};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Chunks asked of one member at once: at 256 KiB each this fills a 1 Gbit/s link at 8 ms of round trip.
const CHUNKS_AT_ONCE: usize = 4;

/// Members asked at once, where there are chunks enough: 3 MiB are then under way.
const MEMBERS_AT_ONCE: usize = 3;

/// One chunk's deadline. A member that needs longer for 256 KiB is slower than GitHub.
const CHUNK_DEADLINE: Duration = Duration::from_secs(2);

/// Members tried for one body, so that a pull stays bounded whoever is silent.
const MEMBERS_TRIED: usize = 6;

/// Bytes of bodies that are pulled at once; further pulls wait. Two of the largest.
pub(crate) const PULLED_BYTES: usize = 2 * limits::MAX_BODY_BYTES as usize;

/// Who can be asked for parts of bodies.
pub(crate) trait Holders: Sync {
    /// The bytes of the body of `length` from `offset` on, one chunk of them. `None` where the holder has no such body, or does
    /// not answer.
    fn chunk(
        &self,
        holder: MemberId,
        cid: BodyCid,
        length: u64,
        offset: u64,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

impl Holders for Mesh {
    async fn chunk(&self, holder: MemberId, cid: BodyCid, length: u64, offset: u64) -> Option<Vec<u8>> {
        match self.ask(holder, Request::Body { cid, offset }, CHUNK_DEADLINE).await {
            Ok(Response::Body { length: whole, bytes }) if whole == length => Some(bytes),
            Ok(_) | Err(_) => None,
        }
    }
}

/// What a pull came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// The body, if anybody gave it.
    pub(crate) body: Option<Bytes>,
    /// Who gave what isn't in it.
    pub(crate) liars: BTreeSet<MemberId>,
}

/// Asks `holders`, the most promising first, for the body of `length` bytes that `cid` names.
pub(crate) async fn pull(
    source: &impl Holders,
    cid: BodyCid,
    length: u64,
    holders: impl Iterator<Item = MemberId>,
) -> Pulled {
    let mut pulled = Pulled::default();
    if length > limits::MAX_BODY_BYTES {
        return pulled;
    }
    let mut candidates = VecDeque::new();
    for holder in holders {
        if candidates.len() < MEMBERS_TRIED && !candidates.contains(&holder) {
            candidates.push_back(holder);
        }
    }
    // Each turn takes one candidate at least.
    while let Some(whole) = gather(source, cid, length, &mut candidates).await {
        let (whole, is_genuine) = whole.verified(cid).await;
        if is_genuine {
            pulled.body = Some(whole.body());
            return pulled;
        }
        pulled.body = find_liars(source, cid, &whole, &mut pulled.liars).await;
        if pulled.body.is_some() {
            return pulled;
        }
    }
    pulled
}

/// Asks those who gave a false body for the whole of it, one after the other. The true one, if somebody gives it.
async fn find_liars(
    source: &impl Holders,
    cid: BodyCid,
    false_whole: &Whole,
    liars: &mut BTreeSet<MemberId>,
) -> Option<Bytes> {
    let givers = false_whole.givers();
    if let [only] = givers[..] {
        liars.insert(only);
        return None;
    }
    for giver in givers {
        let Some(again) = gather(source, cid, false_whole.length(), &mut VecDeque::from([giver])).await else {
            // It has gone, or fallen silent: nobody can tell.
            continue;
        };
        let (again, is_genuine) = again.verified(cid).await;
        if is_genuine {
            liars.extend(false_whole.givers_of_other_than(&again));
            return Some(again.body());
        }
        liars.insert(giver);
    }
    None
}

/// A body as it was given, and by whom.
struct Whole {
    bytes: BytesMut,
    /// Of each chunk.
    givers: Vec<Option<MemberId>>,
}

impl Whole {
    fn new(length: u64) -> Self {
        let length = usize::try_from(length).expect("no body is longer than 32 MiB");
        let chunks = length.div_ceil(limits::CHUNK_BYTES as usize).max(1);
        // The system gives memory for it as it is written.
        Whole { bytes: BytesMut::zeroed(length), givers: vec![None; chunks] }
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn offset(chunk: usize) -> usize {
        chunk * limits::CHUNK_BYTES as usize
    }

    fn place(&self, chunk: usize) -> std::ops::Range<usize> {
        Whole::offset(chunk)..self.bytes.len().min(Whole::offset(chunk + 1))
    }

    /// Whether these are as many bytes as belong there. Then they are put there.
    fn put(&mut self, chunk: usize, bytes: &[u8], giver: MemberId) -> bool {
        let place = self.place(chunk);
        let fits = bytes.len() == place.len();
        if fits {
            self.bytes[place].copy_from_slice(bytes);
            self.givers[chunk] = Some(giver);
        }
        fits
    }

    fn givers(&self) -> Vec<MemberId> {
        self.givers.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn givers_of_other_than<'a>(&'a self, genuine: &'a Whole) -> impl Iterator<Item = MemberId> + 'a {
        let differs = |chunk: usize| self.bytes[self.place(chunk)] != genuine.bytes[genuine.place(chunk)];
        self.givers.iter().enumerate().filter(move |(chunk, _)| differs(*chunk)).filter_map(|(_, giver)| *giver)
    }

    /// Hashing 32 MiB takes tens of milliseconds: not on a thread that serves others.
    async fn verified(self, cid: BodyCid) -> (Self, bool) {
        let check = move || {
            let is_genuine = cid.names(&self.bytes);
            (self, is_genuine)
        };
        tokio::task::spawn_blocking(check).await.expect("hashing does not panic")
    }

    fn body(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// Members that are asked now, with the chunks under way from each.
#[derive(Default)]
struct Active(Vec<(MemberId, usize)>);

impl Active {
    /// Who is to be asked for one more chunk: one more member, while there may be more, else the one with the fewest under way.
    fn next(&mut self, most: usize, candidates: &mut VecDeque<MemberId>) -> Option<MemberId> {
        if self.0.len() < most
            && let Some(candidate) = candidates.pop_front()
        {
            self.0.push((candidate, 1));
            return Some(candidate);
        }
        let idle = self.0.iter_mut().filter(|(_, asked)| *asked < CHUNKS_AT_ONCE);
        let (member, asked) = idle.min_by_key(|(_, asked)| *asked)?;
        *asked += 1;
        Some(*member)
    }

    fn answered(&mut self, member: MemberId) {
        self.0.iter_mut().filter(|(active, _)| *active == member).for_each(|(_, asked)| *asked -= 1);
    }

    fn drop(&mut self, member: MemberId) {
        self.0.retain(|(active, _)| *active != member);
    }
}

/// A body from as many candidates as it takes. Takes those out that it asks. `None` where chunks are missing in the end.
async fn gather(
    source: &impl Holders,
    cid: BodyCid,
    length: u64,
    candidates: &mut VecDeque<MemberId>,
) -> Option<Whole> {
    let mut whole = Whole::new(length);
    let mut missing: VecDeque<usize> = (0..whole.givers.len()).collect();
    let members = missing.len().div_ceil(CHUNKS_AT_ONCE).min(MEMBERS_AT_ONCE);
    let (mut active, mut asked, mut left) = (Active::default(), FuturesUnordered::new(), missing.len());
    while left > 0 {
        while let Some(chunk) = missing.front().copied() {
            let Some(member) = active.next(members, candidates) else { break };
            missing.pop_front();
            asked.push(
                async move { (member, chunk, source.chunk(member, cid, length, Whole::offset(chunk) as u64).await) },
            );
        }
        let (member, chunk, bytes) = asked.next().await?;
        active.answered(member);
        if bytes.is_some_and(|bytes| whole.put(chunk, &bytes, member)) {
            left -= 1;
        } else {
            active.drop(member);
            missing.push_front(chunk);
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests;
