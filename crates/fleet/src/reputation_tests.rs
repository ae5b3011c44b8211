//! What each kind of conduct leads to, and that it fades.

use super::*;

const ONE: MemberId = MemberId([1; 32]);
const OTHER: MemberId = MemberId([2; 32]);

fn seconds(count: u64) -> Millis {
    Millis(count * 1000)
}

/// One offence a second from that moment on. Gives when it was expelled, and for how long.
fn goes_on(reputation: &mut Reputation, offence: Offence, from: u64) -> Option<(u64, Duration)> {
    (from..from + 1000).find_map(|at| Some((at, reputation.offended(ONE, offence, seconds(at))?)))
}

#[test]
fn one_misdeed_makes_a_member_used_less_for_ten_minutes() {
    for offence in [Offence::WrongBody, Offence::WrongAge, Offence::Garbage] {
        let mut reputation = Reputation::default();
        assert_eq!(reputation.offended(ONE, offence, seconds(0)), None);
        assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::UsedLess);
        assert_eq!(reputation.standing(&OTHER, seconds(0)), Standing::Good);
        assert_eq!(reputation.standing(&ONE, seconds(599)), Standing::UsedLess);
        assert_eq!(reputation.standing(&ONE, seconds(601)), Standing::Good, "{offence:?}");
    }
}

#[test]
fn three_misdeeds_expel_and_nine_seconds_of_flooding() {
    let expelled = |offence| goes_on(&mut Reputation::default(), offence, 0);
    let minute = Duration::from_secs(60);
    assert_eq!(expelled(Offence::WrongBody), Some((2, minute)));
    assert_eq!(expelled(Offence::Garbage), Some((2, minute)));
    assert_eq!(expelled(Offence::Flood), Some((8, minute)));
}

#[test]
fn what_one_fault_breaks_many_times_over_counts_once() {
    let mut reputation = Reputation::default();
    for _ in 0..1000 {
        assert_eq!(reputation.offended(ONE, Offence::Garbage, seconds(0)), None);
    }
    assert_eq!(reputation.offended(ONE, Offence::Garbage, Millis(999)), None);
    assert_eq!(reputation.offended(ONE, Offence::Garbage, seconds(1)), None, "the second");
    assert!(reputation.offended(ONE, Offence::Garbage, seconds(2)).is_some(), "the third");
}

#[test]
fn misdeeds_that_are_rare_expel_nobody() {
    let mut reputation = Reputation::default();
    for at in 0..1000 {
        assert_eq!(reputation.offended(ONE, Offence::WrongBody, seconds(at * 600)), None);
    }
}

#[test]
fn each_expulsion_is_twice_as_long_up_to_an_hour_and_after_a_good_day_it_begins_anew() {
    let mut reputation = Reputation::default();
    let (mut at, mut spans) = (0, Vec::new());
    for _ in 0..8 {
        let (then, span) = goes_on(&mut reputation, Offence::Garbage, at).expect("it does not stop");
        spans.push(span.as_secs() / 60);
        assert_eq!(reputation.standing(&ONE, seconds(then)), Standing::Resting);
        assert_eq!(reputation.offended(ONE, Offence::Garbage, seconds(then + 5)), None, "it is expelled already");
        at = then + span.as_secs();
        assert_eq!(reputation.standing(&ONE, seconds(at)), Standing::Good, "it is let back");
    }
    assert_eq!(spans, [1, 2, 4, 8, 16, 32, 60, 60]);
    let (_, span) = goes_on(&mut reputation, Offence::Garbage, at + 24 * 3600).expect("it does not stop");
    assert_eq!(span, Duration::from_secs(60));
}

#[test]
fn who_is_merely_late_is_used_less_but_never_expelled() {
    let mut reputation = Reputation::default();
    for number in 1..=6 {
        assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::Good, "before the {number}th");
        reputation.answered(ONE, true, seconds(0));
    }
    assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::UsedLess);
    assert_eq!(goes_on(&mut reputation, Offence::Late, 0), None);
    assert_eq!(reputation.standing(&ONE, seconds(1000)), Standing::UsedLess);
    assert_eq!(reputation.standing(&ONE, seconds(1059)), Standing::Good, "in a minute at most it has its chance");
}

#[test]
fn late_now_and_then_is_good_enough() {
    let mut reputation = Reputation::default();
    for number in 0..1000 {
        reputation.answered(ONE, number % 3 == 0, seconds(0));
        assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::Good);
    }
    (0..9).for_each(|_| reputation.overdue(ONE, seconds(0)));
    assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::UsedLess);
    (0..5).for_each(|_| reputation.answered(ONE, false, seconds(0)));
    assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::Good, "answers in time count at once");
}

#[test]
fn who_does_not_answer_three_times_rests_and_each_failed_try_doubles_that() {
    let mut reputation = Reputation::default();
    reputation.failed(ONE, Millis(0));
    reputation.failed(ONE, Millis(149));
    reputation.failed(ONE, Millis(150));
    assert_eq!(reputation.standing(&ONE, Millis(150)), Standing::Good, "the second came in the first's stall");
    let mut now = Millis(300);
    let mut rests = Vec::new();
    for _ in 0..8 {
        reputation.failed(ONE, now);
        let until = (now.0..).step_by(500).find(|at| reputation.standing(&ONE, Millis(*at)) != Standing::Resting);
        let until = Millis(until.expect("it ends"));
        rests.push(until.since(now).expect("later").as_secs());
        now = until;
        reputation.asked(&ONE, now);
        assert_eq!(reputation.standing(&ONE, now), Standing::Resting, "one question tries it, not two");
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
    reputation.answered(ONE, false, now);
    assert_eq!(reputation.standing(&ONE, now), Standing::Good, "one answer is enough");
}

#[test]
fn a_try_that_comes_to_nothing_by_others_answers_is_repeated_after_the_same_rest() {
    let mut reputation = Reputation::default();
    [0, 200, 400].into_iter().for_each(|at| reputation.failed(ONE, Millis(at)));
    assert_eq!(reputation.standing(&ONE, Millis(1_399)), Standing::Resting);
    assert_eq!(reputation.standing(&ONE, Millis(1_400)), Standing::Good);
    reputation.asked(&ONE, Millis(1_400));
    assert_eq!(reputation.standing(&ONE, Millis(2_399)), Standing::Resting);
    assert_eq!(reputation.standing(&ONE, Millis(2_400)), Standing::Good);
}

#[test]
fn a_new_connection_ends_a_rest_but_forgives_no_misdeed() {
    let mut reputation = Reputation::default();
    [0, 200, 400].into_iter().for_each(|at| reputation.failed(ONE, Millis(at)));
    reputation.offended(ONE, Offence::WrongBody, Millis(400));
    assert_eq!(reputation.standing(&ONE, Millis(400)), Standing::Resting);
    reputation.joined(&ONE);
    assert_eq!(reputation.standing(&ONE, Millis(400)), Standing::UsedLess);
}

#[test]
fn a_wait_in_vain_is_held_against_a_member_for_a_minute() {
    let mut reputation = Reputation::default();
    reputation.misled(ONE, seconds(0));
    assert!(!reputation.believes(&ONE, Millis(59_999)) && reputation.believes(&OTHER, seconds(0)));
    assert!(reputation.believes(&ONE, seconds(60)));
    assert_eq!(reputation.standing(&ONE, seconds(0)), Standing::Good, "it is asked all the same");
}

#[test]
fn the_memory_is_bounded_and_keeps_the_worst() {
    let mut reputation = Reputation::default();
    goes_on(&mut reputation, Offence::Garbage, 0);
    for number in 0..2 * MAX_RECORDS {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        reputation.failed(MemberId(id), seconds(3));
    }
    assert_eq!(reputation.0.len(), MAX_RECORDS);
    assert_eq!(reputation.standing(&ONE, seconds(3)), Standing::Resting, "it is still expelled");
    assert_eq!(reputation.standings(seconds(3)).count(), 1);
}

#[test]
fn nothing_grows_beyond_its_bounds_and_all_fades() {
    let mut fading = Fading { value: u32::MAX, at: Millis(5) };
    assert_eq!(fading.now(HALF_LIFE, Millis(0)), u32::MAX, "a clock that went back fades nothing");
    assert_eq!(fading.now(HALF_LIFE, Millis(u64::MAX)), 0);
    fading.value = 1000;
    assert_eq!(fading.now(Duration::from_secs(10), Millis(10_005)), 500);
    assert_eq!(fading.now(Duration::from_secs(10), Millis(5_005)), 750);
}
