//! How much each member may gossip: buckets of tokens, one token a record.
//!
//! A record is charged to its author if that is a connected member, else to who forwarded it: keys cost nothing, so a member
//! could else invent an author for each record. The two are apart, so that what a member forwards takes nothing from what it
//! says itself. Gossip is a hint: what is over the allowance is dropped, and not passed on, so a flood ends at the first member
//! that it reaches. Moments are arguments.

use ghmesh_model::MemberId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Records of one member in a row: what it fetched while its mesh was starting, and more.
pub(crate) const BURST: u32 = 512;
/// Records of one member in a second, in the long run. GitHub lets one credential make 15 requests a second
/// ("900 points per minute", GitHub, "Rate limits for the REST API"), so that is four at their limit.
pub(crate) const PER_SECOND: u64 = 64;
const REFILL: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND);
/// Buckets kept: two for each connection that there may be. With more, the fullest is forgotten, which gains its member the rest of
/// a burst.
const MAX_BUCKETS: usize = 512;

/// To whom a record is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Payer {
    /// Its author, who is connected.
    Author(MemberId),
    /// Who forwarded it for somebody who isn't.
    Forwarder(MemberId),
}

/// The allowances of all members.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    /// When each bucket is full again.
    full_at: BTreeMap<Payer, Instant>,
}

impl Allowances {
    /// Charges one record. False where nothing is left; then nothing is charged.
    pub(crate) fn spend(&mut self, payer: Payer, now: Instant) -> bool {
        let full_at = self.full_at.get(&payer).map_or(now, |at| now.max(*at)) + REFILL;
        if full_at > now + REFILL * BURST {
            return false;
        }
        if !self.full_at.contains_key(&payer) {
            self.make_room(now);
        }
        self.full_at.insert(payer, full_at);
        true
    }

    fn make_room(&mut self, now: Instant) {
        if self.full_at.len() >= MAX_BUCKETS {
            self.full_at.retain(|_, at| *at > now);
        }
        if self.full_at.len() >= MAX_BUCKETS {
            let fullest = self.full_at.iter().min_by_key(|(_, at)| **at).map(|(payer, _)| *payer);
            fullest.map(|payer| self.full_at.remove(&payer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u32) -> MemberId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        MemberId(id)
    }

    fn author(number: u32) -> Payer {
        Payer::Author(member(number))
    }

    /// Records that pass out of `tried` at one moment.
    fn passed(allowances: &mut Allowances, who: Payer, tried: u32, now: Instant) -> usize {
        (0..tried).filter(|_| allowances.spend(who, now)).count()
    }

    #[test]
    fn a_burst_passes_then_sixty_four_a_second_and_others_are_not_concerned() {
        let (mut allowances, now) = (Allowances::default(), Instant::now());
        assert_eq!(passed(&mut allowances, author(1), 2 * BURST, now), BURST as usize);
        assert_eq!(passed(&mut allowances, Payer::Forwarder(member(1)), BURST, now), BURST as usize);
        assert_eq!(passed(&mut allowances, author(2), BURST, now), BURST as usize);
        let later = now + Duration::from_secs(2);
        assert_eq!(passed(&mut allowances, author(1), 2 * BURST, later), 128);
        let rested = later + Duration::from_secs(3600);
        assert_eq!(
            passed(&mut allowances, author(1), 2 * BURST, rested),
            BURST as usize,
            "no more than a burst is saved"
        );
    }

    #[test]
    fn members_that_come_and_go_take_bounded_memory() {
        let (mut allowances, now) = (Allowances::default(), Instant::now());
        assert_eq!(passed(&mut allowances, author(0), BURST + 1, now), BURST as usize);
        for number in 1..=10_000 {
            assert!(allowances.spend(author(number), now));
        }
        assert_eq!(allowances.full_at.len(), MAX_BUCKETS);
        assert!(!allowances.spend(author(0), now), "who has spent most is not forgotten");
    }
}
