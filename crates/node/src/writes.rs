//! The writes that this node has announced lately, for members that were away when it did.
//!
//! Gossip loses messages, and reaches nobody who is not connected. A member that (re)joins is told of these once more; what it
//! knew already changes nothing.

use ghmesh_model::wire::{Shared, SignedRecord};
use ghmesh_model::{Millis, time::millis};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Announcements kept; the oldest goes first. At a write a second that is the last four minutes, far longer than entries live by
/// default.
const MAX_WRITES: usize = 256;

/// Records in one message: each has at most 32 scopes, so that sixteen stay far below the limit on requests.
const RECORDS_A_MESSAGE: usize = 16;

/// The latest announcements.
#[derive(Debug, Default)]
pub(crate) struct Writes(Mutex<VecDeque<(Millis, SignedRecord)>>);

impl Writes {
    /// This one was announced at `at`.
    pub(crate) fn note(&self, record: SignedRecord, at: Millis) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writes.len() == MAX_WRITES {
            writes.pop_front();
        }
        writes.push_back((at, record));
    }

    /// Those of the last `lifetime`, in messages.
    pub(crate) fn messages(&self, now: Millis, lifetime: Duration) -> Vec<Vec<Shared>> {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let aged = writes.iter().filter_map(|(at, signed)| {
            let age = now.since(*at).filter(|age| *age < lifetime)?;
            Some(Shared { signed: signed.clone(), age_ms: millis(age), body: None })
        });
        let aged: Vec<_> = aged.collect();
        aged.chunks(RECORDS_A_MESSAGE).map(<[Shared]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghmesh_model::MemberId;
    use ghmesh_model::wire::Stamp;

    fn record(sequence: u64) -> SignedRecord {
        let stamp = Stamp { author: MemberId([1; 32]), boot: 1, sequence };
        SignedRecord { stamp, kind: 3, payload: Vec::new(), signature: Vec::new() }
    }

    #[test]
    fn the_latest_writes_are_told_with_their_age() {
        let writes = Writes::default();
        (0..300).for_each(|number| writes.note(record(number), Millis(number)));
        let messages = writes.messages(Millis(1000), Duration::from_millis(800));
        assert!(messages.iter().all(|message| message.len() <= RECORDS_A_MESSAGE));
        let told: Vec<_> = messages.concat();
        assert_eq!(told.len(), 99, "of those that are kept, the ones younger than 800 ms");
        assert_eq!((told[0].signed.stamp.sequence, told[0].age_ms), (201, 799));
    }
}
