//! The ETags that GitHub gave to single credentials, for answers that are everybody's.
//!
//! Such an answer has one entry for all, and GitHub's ETag is a hash over one of their credentials: it is not for the others, and
//! offering it to GitHub for another would confirm nothing. So the entry has a tag of its own, and GitHub's are noted here: they
//! are needed only where they can't be computed.

use crate::node::Inner;
use bytes::Bytes;
use ghmesh_model::{BodyCid, CacheKey, LocalFingerprint, Representation};
use ghmesh_policy::{Read, etag};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// ETags that are noted: some 3 MiB. What is forgotten costs a charged call.
const MAX_TAGS: usize = 16_384;

type Place = (CacheKey, LocalFingerprint);

/// The ETags of one node, in memory.
#[derive(Debug, Default)]
pub(crate) struct Tags(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    tags: HashMap<Place, (BodyCid, String)>,
    /// In the order in which they were first noted; the first goes first.
    order: VecDeque<Place>,
}

impl Tags {
    /// The ETag that GitHub gave to this credential for this body, if it is still known.
    pub(crate) fn of(&self, node: &Inner, read: &Read, cid: &BodyCid) -> Option<String> {
        let noted = self.lock();
        let (of, etag) = noted.tags.get(&(read.key, node.fingerprint(read)))?;
        (of == cid).then(|| etag.clone())
    }

    /// Takes GitHub's ETag for an answer and gives the one that its entry is to have.
    pub(crate) fn noted(
        &self,
        node: &Inner,
        read: &Read,
        representation: &Representation,
        body: &Bytes,
        etag: Option<String>,
    ) -> Option<String> {
        if !node.is_common(read) {
            return etag;
        }
        if let Some(etag) = etag {
            self.lock().note((read.key, node.fingerprint(read)), (representation.cid, etag));
        }
        Some(etag::for_everybody(body))
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // What a panic could leave half done is one tag's place in the order.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn note(&mut self, place: Place, tag: (BodyCid, String)) {
        if self.tags.insert(place, tag).is_some() {
            return;
        }
        self.order.push_back(place);
        if self.order.len() > MAX_TAGS
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_the_oldest_go_first() {
        let place = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(number as u64).to_be_bytes());
            (CacheKey(key), LocalFingerprint([1; 32]))
        };
        let mut noted = Noted::default();
        for number in 0..=MAX_TAGS {
            noted.note(place(number), (BodyCid::of(b""), String::new()));
            noted.note(place(number), (BodyCid::of(b""), "again".to_owned()));
        }
        assert_eq!((noted.tags.len(), noted.order.len()), (MAX_TAGS, MAX_TAGS));
        assert!(!noted.tags.contains_key(&place(0)) && noted.tags.contains_key(&place(MAX_TAGS)));
    }
}
