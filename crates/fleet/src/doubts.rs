//! Members that made this node wait in vain, to the end of its patience.
//!
//! Doubt costs calls at most: whom this node doubts it still asks, serves and believes what can be verified; it only waits no
//! more for what that member says is coming.

use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a member is doubted. With the longest wait of ten seconds, one that always lies costs a caller that wait once a
/// minute; one that was merely unlucky loses no more than a minute of its keys to its standbys.
const DOUBT: Duration = Duration::from_secs(60);

/// Who is doubted, and until when. Holds at most the members that kept a lookup waiting within the last minute.
#[derive(Debug, Default)]
pub(crate) struct Doubts(BTreeMap<MemberId, Millis>);

impl Doubts {
    /// `member` kept a lookup waiting in vain.
    pub(crate) fn note(&mut self, member: MemberId, now: Millis) {
        self.0.retain(|_, until| *until > now);
        self.0.insert(member, now.after(DOUBT));
    }

    pub(crate) fn has(&self, member: &MemberId, now: Millis) -> bool {
        self.0.get(member).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_lasts_a_minute_and_leaves_nothing() {
        let (one, other) = (MemberId([1; 32]), MemberId([2; 32]));
        let mut doubts = Doubts::default();
        doubts.note(one, Millis(0));
        assert!(doubts.has(&one, Millis(59_999)) && !doubts.has(&other, Millis(0)));
        assert!(!doubts.has(&one, Millis(60_000)));
        doubts.note(other, Millis(60_000));
        assert_eq!(doubts.0.len(), 1);
    }
}
