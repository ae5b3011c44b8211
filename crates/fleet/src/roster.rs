//! Who is in the fleet beyond this node's neighbours, as far as their presence records tell.
//!
//! Owners are chosen among neighbours; the roster says how large the fleet is, how often to tell of oneself, whom to get to know while
//! there are too few neighbours, and whether fetches are to be told to everybody. Any member can make up members, so nothing else rests
//! on it.

use ghmesh_model::{MemberId, Millis};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Least time between two presence records of one member.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);

/// Presence records a second of the whole fleet, however large: 20, so that a node spends some 6 KiB a second on them for each
/// neighbour that gossips to it.
const RECORDS_A_SECOND: u32 = 20;

/// After so many intervals in silence a member is gone: four may be lost, and half as many again for what is slow. With less,
/// EdgeVPN reaped healthy nodes.
const SILENT_INTERVALS: u32 = 6;

/// Members kept, about a megabyte. When full, those that are new are not taken until others are gone: the fleet then seems to have
/// this size, and partitions of it merge by other ways of finding members.
const MAX_MEMBERS: usize = 16_384;

/// Neighbours that are enough. Who has fewer, and knows of more members, gets to know them: so partitions merge and late joiners
/// are found by those before them. Equal to the number up to which the mesh dials by itself.
const ENOUGH_NEIGHBOURS: usize = 64;

/// The fleet as one node sees it.
#[derive(Debug, Default)]
pub struct Roster {
    seen: BTreeMap<MemberId, Millis>,
    neighbours: BTreeSet<MemberId>,
}

impl Roster {
    /// A presence record came, of another member.
    pub fn heard(&mut self, member: MemberId, now: Millis) {
        if self.seen.len() >= MAX_MEMBERS && !self.seen.contains_key(&member) {
            self.forget_silent(now);
        }
        if self.seen.len() < MAX_MEMBERS || self.seen.contains_key(&member) {
            self.seen.insert(member, now);
        }
    }

    /// A member connected.
    pub fn joined(&mut self, member: MemberId) {
        self.neighbours.insert(member);
    }

    /// A member's connection ended. It is still counted for as long as one that was heard just now: most come back.
    pub fn left(&mut self, member: MemberId, now: Millis) {
        self.neighbours.remove(&member);
        self.heard(member, now);
    }

    /// Members of the fleet, this node included, without those that have been silent for too long.
    pub fn size(&mut self, now: Millis) -> usize {
        self.forget_silent(now);
        1 + self.neighbours.len() + self.seen.keys().filter(|member| !self.neighbours.contains(*member)).count()
    }

    /// Time between two presence records of this node: five seconds, or a second for each twenty members where that is more.
    pub fn interval(&mut self, now: Millis) -> Duration {
        let members = u32::try_from(self.size(now)).unwrap_or(u32::MAX);
        LEAST_INTERVAL.max(Duration::from_secs(1) * members / RECORDS_A_SECOND)
    }

    /// Whether the fleet is too large for everybody to be everybody's neighbour: more others are known than are enough as neighbours,
    /// and some of them are not connected to this node.
    pub fn reaches_beyond(&self) -> bool {
        let beyond = self.seen.keys().filter(|member| !self.neighbours.contains(*member));
        let beyond = beyond.take(ENOUGH_NEIGHBOURS + 1).count();
        beyond > 0 && self.neighbours.len() + beyond > ENOUGH_NEIGHBOURS
    }

    /// Connected members.
    pub fn neighbours(&self) -> usize {
        self.neighbours.len()
    }

    /// Whether to get to know a member that told where it is.
    pub fn is_wanted(&self, member: &MemberId) -> bool {
        self.neighbours.len() < ENOUGH_NEIGHBOURS && !self.neighbours.contains(member)
    }

    /// Drops who has been silent for too long.
    pub fn forget_silent(&mut self, now: Millis) {
        let members = u32::try_from(self.neighbours.len() + self.seen.len()).unwrap_or(u32::MAX);
        let interval = LEAST_INTERVAL.max(Duration::from_secs(1) * members / RECORDS_A_SECOND);
        let since = now.before(interval * SILENT_INTERVALS);
        self.seen.retain(|_, at| *at > since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: usize) -> MemberId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        MemberId(id)
    }

    fn seconds(count: u64) -> Millis {
        Millis(1_000_000 + count * 1000)
    }

    #[test]
    fn who_is_heard_is_counted_until_it_has_been_silent_for_six_intervals() {
        let mut roster = Roster::default();
        assert_eq!(roster.size(seconds(0)), 1, "this node");
        roster.heard(member(1), seconds(0));
        roster.heard(member(2), seconds(10));
        assert_eq!(roster.size(seconds(29)), 3);
        assert_eq!(roster.size(seconds(30)), 2);
        assert_eq!(roster.size(seconds(40)), 1);
    }

    #[test]
    fn a_neighbour_is_counted_once_and_however_long_it_says_nothing() {
        let mut roster = Roster::default();
        roster.joined(member(1));
        roster.heard(member(1), seconds(0));
        assert_eq!((roster.size(seconds(0)), roster.size(seconds(3600))), (2, 2));
        roster.left(member(1), seconds(3600));
        assert_eq!((roster.size(seconds(3629)), roster.size(seconds(3630))), (2, 1));
    }

    #[test]
    fn a_fleet_reaches_beyond_the_neighbours_where_it_is_larger_than_enough_of_them() {
        let mut roster = Roster::default();
        for number in 1..ENOUGH_NEIGHBOURS {
            roster.joined(member(number));
            roster.heard(member(number), seconds(0));
        }
        roster.heard(member(100), seconds(30));
        assert!(!roster.reaches_beyond(), "it will be connected to that one, too");
        roster.heard(member(101), seconds(30));
        assert!(roster.reaches_beyond());
        roster.joined(member(100));
        roster.joined(member(101));
        assert!(!roster.reaches_beyond(), "it is connected to all");
        roster.left(member(101), seconds(31));
        assert!(roster.reaches_beyond(), "it may be somebody else's neighbour");
        roster.forget_silent(seconds(100));
        assert!(!roster.reaches_beyond());
    }

    #[test]
    fn the_whole_fleet_says_twenty_words_a_second_at_most() {
        for (members, expected_ms) in [(1, 5_000), (100, 5_000), (101, 5_050), (1_000, 50_000), (10_000, 500_000)] {
            let mut roster = Roster::default();
            (1..members).for_each(|number| roster.heard(member(number), seconds(0)));
            assert_eq!(roster.interval(seconds(1)), Duration::from_millis(expected_ms), "{members}");
        }
    }

    /// While it learns of a large fleet a node's own interval is still short; it must not take the others for gone meanwhile.
    #[test]
    fn a_newcomer_to_a_large_fleet_forgets_nobody_while_it_learns() {
        let mut roster = Roster::default();
        let members = 2_000;
        for tick in 0..3 * members {
            roster.heard(member(1 + tick % (members - 1)), Millis(1_000_000 + 50 * tick as u64));
        }
        assert_eq!(roster.size(Millis(1_000_000 + 150 * members as u64)), members);
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_as_members_go() {
        let mut roster = Roster::default();
        (1..=MAX_MEMBERS + 10).for_each(|number| roster.heard(member(number), seconds(0)));
        assert_eq!(roster.size(seconds(0)), MAX_MEMBERS + 1);
        roster.heard(member(1_000_000), seconds(100_000));
        assert_eq!(roster.size(seconds(100_000)), 2);
    }

    #[test]
    fn members_are_wanted_until_there_are_neighbours_enough() {
        let mut roster = Roster::default();
        (0..ENOUGH_NEIGHBOURS - 1).for_each(|number| roster.joined(member(number)));
        assert!(roster.is_wanted(&member(1000)) && !roster.is_wanted(&member(3)));
        roster.joined(member(1000));
        assert!(!roster.is_wanted(&member(1001)));
    }
}
