//! The writes that this node has announced or heard of lately, for members that were away or did not hear.
//!
//! Gossip loses messages, and reaches nobody who is not connected. A member that (re)joins is told once more of what this node
//! wrote; of all the rest it learns when it compares ([`crate::sync`]), whoever is still there of those who wrote. What it knew
//! already changes nothing.

use ghmesh_model::digest::ItemId;
use ghmesh_model::wire::{Shared, SignedRecord};
use ghmesh_model::{MemberId, Millis, time::millis};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Announcements of this node's kept; the oldest goes first. At a write a second that is the last four minutes, far longer than
/// entries live by default.
const MAX_WRITES: usize = 256;

/// Announcements of others kept, of all and of one author: about 1 MiB. When full, the oldest of who has most goes first, so that who
/// announces much displaces its own.
const MAX_HEARD: usize = 1024;
const MAX_HEARD_ONE: usize = 256;

/// Records in one message: each has at most 32 scopes, so that sixteen stay far below the limit on requests.
const RECORDS_A_MESSAGE: usize = 16;

/// The latest announcements.
#[derive(Debug, Default)]
pub(crate) struct Writes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    own: VecDeque<Write>,
    heard: BTreeMap<MemberId, VecDeque<Write>>,
    heard_count: usize,
    /// Writes that came to be known, in all.
    known: u64,
}

#[derive(Debug)]
struct Write {
    id: ItemId,
    at: Millis,
    signed: SignedRecord,
}

impl Write {
    fn new(signed: SignedRecord, at: Millis) -> Self {
        Write { id: ItemId::of_write(&signed.stamp), at, signed }
    }

    fn shared(&self, now: Millis, lifetime: Duration) -> Option<Shared> {
        let age = now.since(self.at).filter(|age| *age < lifetime)?;
        Some(Shared { signed: self.signed.clone(), age_ms: millis(age), body: None })
    }
}

impl Kept {
    fn all(&self) -> impl Iterator<Item = &Write> {
        self.own.iter().chain(self.heard.values().flatten())
    }

    fn forget_oldest_of(&mut self, author: &MemberId) {
        let Some(writes) = self.heard.get_mut(author) else { return };
        self.heard_count -= usize::from(writes.pop_front().is_some());
        if writes.is_empty() {
            self.heard.remove(author);
        }
    }
}

impl Writes {
    /// This node announced this one at `at`.
    pub(crate) fn note(&self, record: SignedRecord, at: Millis) {
        let mut kept = self.lock();
        if kept.own.len() == MAX_WRITES {
            kept.own.pop_front();
        }
        kept.own.push_back(Write::new(record, at));
        kept.known += 1;
    }

    /// A member announced this one, of a write that ended at `at`.
    pub(crate) fn hear(&self, record: SignedRecord, at: Millis) {
        let mut kept = self.lock();
        let (author, write) = (record.stamp.author, Write::new(record, at));
        if kept.all().any(|known| known.id == write.id) {
            return;
        }
        if kept.heard.get(&author).is_some_and(|writes| writes.len() == MAX_HEARD_ONE) {
            kept.forget_oldest_of(&author);
        }
        if kept.heard_count == MAX_HEARD {
            let most = kept.heard.iter().max_by_key(|(_, writes)| writes.len()).map(|(author, _)| *author);
            most.iter().for_each(|author| kept.forget_oldest_of(author));
        }
        kept.heard.entry(author).or_default().push_back(write);
        kept.heard_count += 1;
        kept.known += 1;
    }

    /// How many writes have come to be known since the start.
    pub(crate) fn known(&self) -> u64 {
        self.lock().known
    }

    /// This node's own of the last `lifetime`, in messages.
    pub(crate) fn messages(&self, now: Millis, lifetime: Duration) -> Vec<Vec<Shared>> {
        let kept = self.lock();
        let aged: Vec<_> = kept.own.iter().filter_map(|write| write.shared(now, lifetime)).collect();
        aged.chunks(RECORDS_A_MESSAGE).map(<[Shared]>::to_vec).collect()
    }

    /// The ids of all of the last `lifetime`.
    pub(crate) fn ids(&self, now: Millis, lifetime: Duration) -> Vec<ItemId> {
        let young = |write: &&Write| now.since(write.at).is_some_and(|age| age < lifetime);
        self.lock().all().filter(young).map(|write| write.id).collect()
    }

    /// The one with this id, if it is of the last `lifetime`.
    pub(crate) fn find(&self, id: &ItemId, now: Millis, lifetime: Duration) -> Option<Shared> {
        self.lock().all().find(|write| write.id == *id)?.shared(now, lifetime)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghmesh_model::wire::Stamp;

    const HOUR: Duration = Duration::from_secs(3600);

    fn by(author: u8, sequence: u64) -> SignedRecord {
        let stamp = Stamp { author: MemberId([author; 32]), boot: 1, sequence };
        SignedRecord { stamp, kind: 3, payload: Vec::new(), signature: Vec::new() }
    }

    fn id(author: u8, sequence: u64) -> ItemId {
        ItemId::of_write(&by(author, sequence).stamp)
    }

    #[test]
    fn the_latest_writes_are_told_with_their_age() {
        let writes = Writes::default();
        (0..300).for_each(|number| writes.note(by(1, number), Millis(number)));
        let messages = writes.messages(Millis(1000), Duration::from_millis(800));
        assert!(messages.iter().all(|message| message.len() <= RECORDS_A_MESSAGE));
        let told: Vec<_> = messages.concat();
        assert_eq!(told.len(), 99, "of those that are kept, the ones younger than 800 ms");
        assert_eq!((told[0].signed.stamp.sequence, told[0].age_ms), (201, 799));
    }

    #[test]
    fn what_others_wrote_is_found_but_not_pushed_and_heard_once() {
        let writes = Writes::default();
        writes.note(by(1, 1), Millis(10));
        writes.hear(by(2, 1), Millis(20));
        writes.hear(by(2, 1), Millis(30));
        writes.hear(by(1, 1), Millis(30));
        assert_eq!(writes.messages(Millis(100), HOUR).concat().len(), 1);
        let mut ids = writes.ids(Millis(100), HOUR);
        ids.sort_unstable();
        let mut expected = [id(1, 1), id(2, 1)];
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!(writes.find(&id(2, 1), Millis(100), HOUR).map(|shared| shared.age_ms), Some(80));
        assert_eq!(writes.find(&id(2, 1), Millis(100), Duration::from_millis(80)), None, "it is too old");
        assert_eq!(writes.ids(Millis(100), Duration::from_millis(85)).len(), 1);
        assert_eq!(writes.find(&id(2, 2), Millis(100), HOUR), None);
    }

    #[test]
    fn who_writes_much_displaces_its_own() {
        let writes = Writes::default();
        writes.hear(by(1, 0), Millis(1));
        writes.note(by(0, 0), Millis(1));
        for author in 2..=10 {
            (0..300).for_each(|number| writes.hear(by(author, number), Millis(number)));
        }
        let kept = writes.lock();
        assert_eq!(kept.heard_count, MAX_HEARD);
        assert_eq!(kept.heard.values().map(VecDeque::len).sum::<usize>(), MAX_HEARD);
        assert!(kept.heard.values().all(|writes| writes.len() <= MAX_HEARD_ONE));
        drop(kept);
        for who in [0, 1] {
            assert!(writes.find(&id(who, 0), Millis(10), HOUR).is_some(), "{who}");
        }
    }
}
