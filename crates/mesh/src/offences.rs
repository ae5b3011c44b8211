//! What members did that no well-behaved member does, and how often the owner hears of it. Moments are arguments.

use ghmesh_model::MemberId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Of one member and kind the owner is told once in as long.
const PAUSE: Duration = Duration::from_secs(1);
/// Offences remembered for that. With more within a second, the rest of that second's are not told.
const MAX_TOLD: usize = 512;

/// What no well-behaved member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// It sent more than the limits of `docs/protocol.md` allow; a well-behaved member stays below them by itself.
    Flood,
    /// It sent what cannot be opened, decoded or verified: gossip, a request or a response.
    Garbage,
}

/// Of what the owner was told lately.
#[derive(Debug, Default)]
pub(crate) struct Offences(BTreeMap<(MemberId, Offence), Instant>);

impl Offences {
    /// Whether to tell the owner of this one.
    pub(crate) fn is_news(&mut self, member: MemberId, offence: Offence, now: Instant) -> bool {
        self.0.retain(|_, told_at| now.duration_since(*told_at) < PAUSE);
        if self.0.len() >= MAX_TOLD || self.0.contains_key(&(member, offence)) {
            return false;
        }
        self.0.insert((member, offence), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_each_member_is_told_once_a_second() {
        let (mut offences, now) = (Offences::default(), Instant::now());
        let (one, other) = (MemberId([1; 32]), MemberId([2; 32]));
        assert!(offences.is_news(one, Offence::Flood, now) && !offences.is_news(one, Offence::Flood, now));
        assert!(offences.is_news(one, Offence::Garbage, now) && offences.is_news(other, Offence::Flood, now));
        assert!(!offences.is_news(one, Offence::Flood, now + PAUSE - Duration::from_millis(1)));
        assert!(offences.is_news(one, Offence::Flood, now + PAUSE));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut offences, now) = (Offences::default(), Instant::now());
        let member = |number: u16| MemberId([number.to_be_bytes(); 16].concat().try_into().expect("32 bytes"));
        let told = (0..1000).filter(|number| offences.is_news(member(*number), Offence::Flood, now)).count();
        assert_eq!((told, offences.0.len()), (MAX_TOLD, MAX_TOLD));
    }
}
