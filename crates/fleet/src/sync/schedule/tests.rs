//! When rounds start: the whole output of each input.

use super::*;

const START: Millis = Millis(1_000_000);
const NONE: [Compare; 0] = [];

fn member(number: u8) -> MemberId {
    MemberId([number; 32])
}

fn feed(schedule: &mut Schedule, input: SyncInput, now: Millis, random: u64) -> Vec<Compare> {
    let mut out = Vec::new();
    schedule.handle(input, now, random, &mut out);
    out
}

/// A schedule that has completed a round with its only member.
fn warm() -> Schedule {
    let mut schedule = Schedule::default();
    assert_eq!(feed(&mut schedule, SyncInput::Joined(member(1)), START, 0), [Compare(member(1))]);
    assert_eq!(feed(&mut schedule, SyncInput::Ended(member(1), RoundEnd::Complete), START, 0), NONE);
    schedule
}

#[test]
fn who_knows_nothing_compares_with_the_first_member_at_once_and_with_two_more_one_after_the_other() {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.next_deadline(), None);
    assert_eq!(feed(&mut schedule, SyncInput::Joined(member(1)), START, 5), [Compare(member(1))]);
    for number in 2..=50 {
        assert_eq!(feed(&mut schedule, SyncInput::Joined(member(number)), START, 5), NONE);
    }
    assert_eq!(schedule.next_deadline(), None, "a round goes on");
    let mut with = Vec::new();
    for number in 1..=4 {
        with.extend(feed(&mut schedule, SyncInput::Ended(member(number), RoundEnd::Complete), START, 5));
    }
    assert_eq!(with, [member(2), member(3), member(4)].map(Compare));
    let next = schedule.next_deadline().expect("the next round by chance");
    assert!((START.0 + 135_000..=START.0 + 225_000).contains(&next.0), "{next:?}");
}

#[test]
fn who_has_compared_waits_a_little_for_a_newcomer() {
    let mut schedule = warm();
    assert_eq!(feed(&mut schedule, SyncInput::Joined(member(2)), START, 4_321), NONE);
    assert_eq!(schedule.next_deadline(), Some(Millis(START.0 + 4_321)));
    assert_eq!(feed(&mut schedule, SyncInput::Tick, Millis(START.0 + 4_320), 0), NONE);
    assert_eq!(feed(&mut schedule, SyncInput::Tick, Millis(START.0 + 4_321), 0), [Compare(member(2))]);
}

#[test]
fn every_few_minutes_one_member_is_compared_with_whichever_chance_says() {
    let mut schedule = warm();
    for number in 2..=3 {
        feed(&mut schedule, SyncInput::Joined(member(number)), START, 0);
        feed(&mut schedule, SyncInput::Ended(member(number), RoundEnd::Complete), START, 0);
    }
    for (random, expected) in [(0, 1), (1, 2), (2, 3), (3, 1), (u64::MAX, 1)] {
        let mut schedule = schedule.clone();
        let at = schedule.next_deadline().expect("there is a next round");
        assert_eq!(feed(&mut schedule, SyncInput::Tick, at, random), [Compare(member(expected))]);
    }
}

#[test]
fn a_round_that_was_postponed_is_tried_again_ever_later_and_with_anybody() {
    let mut schedule = Schedule::default();
    assert_eq!(feed(&mut schedule, SyncInput::Joined(member(1)), START, 0), [Compare(member(1))]);
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let postponed = SyncInput::Ended(member(1), RoundEnd::Postponed);
        assert_eq!(feed(&mut schedule, postponed, now, 0), NONE);
        let next = schedule.next_deadline().expect("it is tried again");
        waits.push((next.0 - now.0) / 1000);
        now = next;
        assert_eq!(feed(&mut schedule, SyncInput::Tick, now, 0), [Compare(member(1))]);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 180, 180, 180]);
    feed(&mut schedule, SyncInput::Ended(member(1), RoundEnd::Complete), now, 0);
    assert_eq!(schedule.next_deadline(), Some(now.after(Duration::from_secs(135))));
}

#[test]
fn who_left_is_not_compared_with_and_the_last_one_takes_the_next_round_along() {
    let mut schedule = warm();
    feed(&mut schedule, SyncInput::Joined(member(2)), START, 1000);
    feed(&mut schedule, SyncInput::Left(member(2)), START, 0);
    assert_eq!(feed(&mut schedule, SyncInput::Tick, Millis(START.0 + 1000), 0), NONE);
    feed(&mut schedule, SyncInput::Left(member(1)), START, 0);
    assert_eq!(schedule.next_deadline(), None);
    assert_eq!(feed(&mut schedule, SyncInput::Tick, Millis(START.0 + 10_000_000), 0), NONE);
}

#[test]
fn a_member_that_leaves_within_its_round_ends_it_and_nothing_follows() {
    let mut schedule = Schedule::default();
    feed(&mut schedule, SyncInput::Joined(member(1)), START, 0);
    assert_eq!(feed(&mut schedule, SyncInput::Left(member(1)), START, 0), NONE);
    assert_eq!(feed(&mut schedule, SyncInput::Ended(member(1), RoundEnd::Postponed), START, 0), NONE);
    assert_eq!(schedule.next_deadline(), None);
    for stray in [SyncInput::Ended(member(2), RoundEnd::Complete), SyncInput::Failed] {
        assert_eq!(feed(&mut schedule, stray, START, 0), NONE);
    }
}

#[test]
fn a_round_that_fails_counts_as_postponed() {
    let mut schedule = Schedule::default();
    feed(&mut schedule, SyncInput::Joined(member(1)), START, 0);
    let mut other = schedule.clone();
    feed(&mut schedule, SyncInput::Failed, START, 7);
    feed(&mut other, SyncInput::Ended(member(1), RoundEnd::Postponed), START, 7);
    assert_eq!(schedule, other);
}
