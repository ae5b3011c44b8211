//! Which gossiped records were seen: a window over each author's sequence numbers.
//!
//! Gossipsub forgets a message after two minutes and would then take it again; this doesn't, for as long as the process
//! runs. Pulled records have their own rules and are not counted here.

use ghmesh_model::MemberId;
use ghmesh_model::wire::Stamp;
use std::collections::BTreeMap;

/// Sequence numbers below the highest seen that are still told apart. Gossip reorders by seconds at most; an author that
/// writes 500 records a second has two.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// Authors remembered. The one that was silent longest makes room: its old records could then be replayed, but a member that
/// floods with invented authors gains no more than that.
const MAX_AUTHORS: usize = 4096;

/// What a stamp is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// Not seen before.
    New,
    /// Seen, or too old to tell.
    Replayed,
    /// Of an earlier start of its author.
    EarlierBoot,
}

/// The windows of all authors. In memory only: after a restart the age that each record states bounds what a replay can do.
#[derive(Debug, Default)]
pub(crate) struct ReplayGuard {
    authors: BTreeMap<MemberId, Window>,
    clock: u64,
}

#[derive(Debug)]
struct Window {
    boot: u64,
    highest: u64,
    /// Bit `n % WINDOW` tells whether `n` was seen, for the `WINDOW` numbers up to `highest`.
    seen: [u64; WORDS],
    touched: u64,
}

impl ReplayGuard {
    /// Judges `stamp`, whose signature must have been verified, and remembers it.
    pub(crate) fn judge(&mut self, stamp: &Stamp) -> Novelty {
        self.clock += 1;
        if !self.authors.contains_key(&stamp.author) {
            self.make_room();
        }
        let window = self.authors.entry(stamp.author).or_insert_with(|| Window::new(stamp.boot));
        window.touched = self.clock;
        window.judge(stamp.boot, stamp.sequence)
    }

    fn make_room(&mut self) {
        if self.authors.len() >= MAX_AUTHORS {
            let oldest = self.authors.iter().min_by_key(|(_, window)| window.touched).map(|(author, _)| *author);
            oldest.map(|author| self.authors.remove(&author));
        }
    }
}

impl Window {
    fn new(boot: u64) -> Self {
        Window { boot, highest: 0, seen: [0; WORDS], touched: 0 }
    }

    fn judge(&mut self, boot: u64, sequence: u64) -> Novelty {
        if boot < self.boot {
            return Novelty::EarlierBoot;
        }
        if boot > self.boot {
            *self = Window { touched: self.touched, ..Window::new(boot) };
        }
        if sequence > self.highest {
            self.advance(sequence);
        } else if self.highest - sequence >= WINDOW || self.has(sequence) || sequence == 0 {
            return Novelty::Replayed;
        }
        self.set(sequence);
        Novelty::New
    }

    /// Clears the numbers that come into the window.
    fn advance(&mut self, to: u64) {
        if to - self.highest >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            (self.highest + 1..=to).for_each(|number| self.seen[word(number)] &= !bit(number));
        }
        self.highest = to;
    }

    fn has(&self, sequence: u64) -> bool {
        self.seen[word(sequence)] & bit(sequence) != 0
    }

    fn set(&mut self, sequence: u64) {
        self.seen[word(sequence)] |= bit(sequence);
    }
}

fn word(sequence: u64) -> usize {
    usize::try_from(sequence % WINDOW / 64).expect("a window has few words")
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn stamp(author: u8, boot: u64, sequence: u64) -> Stamp {
        Stamp { author: MemberId([author; 32]), boot, sequence }
    }

    fn judged(guard: &mut ReplayGuard, stamps: &[(u64, u64)]) -> Vec<Novelty> {
        stamps.iter().map(|(boot, sequence)| guard.judge(&stamp(1, *boot, *sequence))).collect()
    }

    #[test]
    fn each_number_counts_once_in_any_order() {
        use Novelty::{New, Replayed};
        let mut guard = ReplayGuard::default();
        let order = [(1, 3), (1, 1), (1, 3), (1, 2), (1, 1), (1, 0), (1, 4)];
        assert_eq!(judged(&mut guard, &order), [New, New, Replayed, New, Replayed, Replayed, New]);
        assert_eq!(guard.judge(&stamp(2, 1, 3)), New, "authors are apart");
    }

    #[test]
    fn a_restart_begins_anew_and_ends_the_earlier_start() {
        use Novelty::{EarlierBoot, New, Replayed};
        let mut guard = ReplayGuard::default();
        let order = [(5, 9), (6, 9), (5, 10), (6, 9), (6, 1)];
        assert_eq!(judged(&mut guard, &order), [New, New, EarlierBoot, Replayed, New]);
    }

    #[test]
    fn what_left_the_window_is_not_taken_again() {
        use Novelty::{New, Replayed};
        let mut guard = ReplayGuard::default();
        let order = [
            (1, 1),
            (1, WINDOW),
            (1, 2),
            (1, WINDOW + 1),
            (1, 1),
            (1, 2),
            (1, 3),
            (1, u64::MAX),
            (1, 4),
            (1, u64::MAX),
        ];
        let expected = [New, New, New, New, Replayed, Replayed, New, New, Replayed, Replayed];
        assert_eq!(judged(&mut guard, &order), expected);
    }

    #[test]
    fn the_window_agrees_with_a_set_of_all_numbers() {
        let mut guard = ReplayGuard::default();
        let (mut seen, mut highest, mut state) = (BTreeSet::new(), 0u64, 1u64);
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sequence = (highest + 40).saturating_sub((state >> 33) % 1500).max(1);
            let fresh = sequence + WINDOW > highest && seen.insert(sequence);
            highest = highest.max(sequence);
            let expected = if fresh { Novelty::New } else { Novelty::Replayed };
            assert_eq!(guard.judge(&stamp(1, 1, sequence)), expected, "{sequence} with highest {highest}");
        }
    }

    #[test]
    fn invented_authors_are_bounded() {
        let mut guard = ReplayGuard::default();
        for number in 0..(MAX_AUTHORS as u64 + 50) {
            let mut author = [0; 32];
            author[..8].copy_from_slice(&number.to_be_bytes());
            guard.judge(&Stamp { author: MemberId(author), boot: 1, sequence: 1 });
        }
        assert_eq!(guard.authors.len(), MAX_AUTHORS);
    }
}
