//! Members that this node uses less, lets rest or expels: whom it asks instead, and that nobody waits for ever.

use super::tests::{Bench, ask, inquired, member, replied};
use super::*;
use crate::{InquiryId, Reply};

const SPAN: Duration = Duration::from_secs(3);

fn answer(number: u64, answer: Answer) -> Input {
    Input::Answered { ask: AskId(number), answer }
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

impl Bench {
    fn budget_from_now(&self) -> Millis {
        self.now.after(self.fleet.lookup_budget())
    }

    /// A member is caught once: it is used less from now on.
    fn catch(&mut self, member: MemberId) {
        assert_eq!(self.give(Input::Offended { member, offence: Offence::WrongBody }), []);
    }

    /// This node is the first standby of a subject.
    fn subject_as_standby(&self) -> Subject {
        let subjects =
            (0..=255).map(|byte| Subject { key: ghmesh_model::WireKey([byte; 32]), fingerprint: super::tests::F });
        subjects.into_iter().find(|subject| self.ranked(subject)[1] == member(0)).expect("among 256 keys")
    }

    /// Its lookups ask a member that stays silent to the end, one after the other.
    fn asks_in_vain(&mut self, times: u64, subject: Subject) {
        for number in 0..times {
            let id = 1000 + number;
            self.look_up(id, subject);
            self.now.0 += 150;
            self.give(Input::Tick);
            self.give(Input::Ended { lookup: LookupId(id), unshareable: true });
        }
    }
}

#[test]
fn who_is_used_less_is_not_asked_to_decide_but_whether_it_has_it_or_somebody_fetches() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.catch(ranked[0]);
    let deadline = bench.budget_from_now();
    assert_eq!(bench.look_up(1, subject), [ask(1, ranked[1], subject, true, deadline)]);
    let peeks = bench.give(answer(1, Answer::Lease { behind: None }));
    assert_eq!(peeks, [ask(2, ranked[0], subject, false, deadline), ask(3, ranked[2], subject, false, deadline)]);
    let given_back = bench.give(answer(2, Answer::Coming { wait: SPAN }));
    assert_eq!(given_back, [Output::Release { to: ranked[1], subject, unshareable: false }], "one call for all still");
}

#[test]
fn who_decides_beside_an_owner_that_it_left_out_lets_go_of_its_own_lease_before_it_waits() {
    let mut bench = Bench::new();
    let subject = bench.subject_as_standby();
    let ranked = bench.ranked(&subject);
    bench.catch(ranked[0]);
    let deadline = bench.budget_from_now();
    let peeks = bench.look_up(1, subject);
    assert_eq!(peeks, [ask(1, ranked[0], subject, false, deadline), ask(2, ranked[2], subject, false, deadline)]);
    let other = (1..5).find(|number| !ranked.contains(&member(*number))).expect("two are not ranked");
    assert_eq!(bench.give(inquired(1, other, subject, true)), [replied(1, Reply::Coming { wait: SPAN })]);
    let let_go = bench.give(answer(1, Answer::Coming { wait: SPAN }));
    assert_eq!(let_go, [Output::Release { to: member(other), subject, unshareable: false }]);
    assert_eq!(bench.fleet.load().leases, 0);
}

#[test]
fn who_is_used_less_decides_where_nobody_else_is_left() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    ranked.iter().for_each(|member| bench.catch(*member));
    assert_eq!(bench.look_up(1, subject), [ask(1, ranked[0], subject, true, bench.budget_from_now())]);
}

#[test]
fn whoever_misbehaved_is_answered_like_everybody() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.catch(member(1));
    assert_eq!(bench.give(inquired(1, 1, subject, true)), [replied(1, Reply::Lease { span: SPAN, behind: None })]);
    let held = Input::Inquired { inquiry: InquiryId(2), from: member(1), subject, held: true, lease: true };
    assert_eq!(bench.give(held), [replied(2, Reply::Have)]);
}

#[test]
fn the_third_misdeed_within_minutes_expels_and_the_next_time_for_twice_as_long() {
    let mut bench = Bench::new();
    let one = member(1);
    for span in [60, 120] {
        for _ in 0..2 {
            bench.catch(one);
            bench.now.0 += 1_000;
        }
        let expelled = bench.give(Input::Offended { member: one, offence: Offence::Garbage });
        assert_eq!(expelled, [Output::Expel { member: one, span: Duration::from_secs(span) }]);
        assert_eq!(bench.give(Input::Offended { member: one, offence: Offence::Garbage }), [], "it is on its way out");
        bench.now.0 += 120_000;
    }
    assert_eq!(bench.fleet.counters().expulsions, 2);
    assert_eq!(bench.fleet.standings(bench.now).count(), 0, "and is let back");
}

#[test]
fn lateness_alone_never_expels() {
    let mut bench = Bench::new();
    for _ in 0..10_000 {
        bench.now.0 += 1_000;
        assert_eq!(bench.give(Input::Offended { member: member(1), offence: Offence::Late }), []);
    }
    assert_eq!(bench.fleet.standings(bench.now).collect::<Vec<_>>(), [(member(1), Standing::UsedLess)]);
}

#[test]
fn a_silent_owner_rests_after_three_lookups_and_is_tried_again_by_one() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.asks_in_vain(3, subject);
    assert_eq!(bench.fleet.standings(bench.now).next(), Some((ranked[0], Standing::Resting)));
    let at_once = bench.look_up(1, subject);
    assert!(matches!(at_once[..], [Output::Ask { to, lease: true, .. }] if to == ranked[1]), "{at_once:?}");
    bench.give(Input::Ended { lookup: LookupId(1), unshareable: true });
    bench.now.0 += 1_000;
    let tried = bench.look_up(2, subject);
    assert!(matches!(tried[..], [Output::Ask { to, lease: true, .. }] if to == ranked[0]), "{tried:?}");
    let beside = bench.look_up(3, subject);
    assert!(matches!(beside[..], [Output::Ask { to, lease: true, .. }] if to == ranked[1]), "one tries: {beside:?}");
    let [Output::Ask { ask, .. }] = tried[..] else { panic!("{tried:?}") };
    bench.give(Input::Answered { ask, answer: Answer::No });
    assert_eq!(bench.fleet.standings(bench.now).count(), 0, "an answer is enough");
}

#[test]
fn where_all_rest_a_lookup_does_not_wait_to_learn_that() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    for _ in 0..3 {
        bench.now.0 += 200;
        bench.ranked(&subject).into_iter().for_each(|to| bench.fleet.reputation.failed(to, bench.now));
    }
    assert_eq!(bench.look_up(1, subject), [fetch(1, FetchReason::FailOpen)]);
}

#[test]
fn an_owner_that_answers_only_after_its_standby_was_asked_to_decide_is_used_less() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    for id in 0..6 {
        let asked = bench.look_up(id, subject);
        let [Output::Ask { ask, to, .. }] = asked[..] else { panic!("{asked:?}") };
        assert_eq!(to, ranked[0], "lookup {id}");
        bench.pass(120);
        bench.give(Input::Answered { ask, answer: Answer::Have });
        bench.give(Input::Found { lookup: LookupId(id) });
    }
    assert_eq!(bench.fleet.standings(bench.now).collect::<Vec<_>>(), [(ranked[0], Standing::UsedLess)]);
}

#[test]
fn a_question_that_was_put_late_in_the_budget_proves_nothing_of_who_does_not_answer_it() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    for id in 0..3 {
        bench.look_up(id, subject);
        assert_eq!(bench.pass(50).len(), 1, "the standby is asked as well");
        assert_eq!(bench.pass(63).len(), 1, "and to decide");
        assert_eq!(bench.pass(37), [fetch(id, FetchReason::FailOpen)]);
        bench.give(Input::Ended { lookup: LookupId(id), unshareable: true });
    }
    assert_eq!(bench.fleet.standings(bench.now).collect::<Vec<_>>(), [(ranked[0], Standing::Resting)]);
}

#[test]
fn the_hedge_comes_once_most_answers_would_have_come() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    (0..128).for_each(|_| bench.fleet.budgets.answered(Duration::from_millis(6)));
    bench.look_up(1, subject);
    let deadline = bench.budget_from_now();
    assert_eq!(bench.pass(5), []);
    assert_eq!(bench.pass(1), [ask(2, ranked[1], subject, false, deadline)]);
}
