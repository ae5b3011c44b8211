//! What happens when messages cross, members disagree or come and go in between: inputs and whole lists of outputs.

use super::tests::{Bench, TTL, ask, inquired, member, replied};
use super::*;
use crate::Reply;
use std::collections::BTreeSet;

const SPAN: Duration = Duration::from_secs(3);

fn answer(number: u64, answer: Answer) -> Input {
    Input::Answered { ask: AskId(number), answer }
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

fn took(lookup: u64) -> Input {
    Input::Fetched { lookup: LookupId(lookup), took: Duration::from_millis(80) }
}

impl Bench {
    fn deadline(&self) -> Millis {
        self.now.after(self.fleet.lookup_budget())
    }

    fn confirmed(&mut self, subject: Subject, milliseconds_ago: u64) -> Vec<Output> {
        let confirmed_at = Millis(self.now.0 - milliseconds_ago);
        self.give(Input::Arrived { subject, confirmed_at })
    }

    /// This node owns the subject, looks it up and hears from its first standby that somebody fetches.
    fn own_and_wait_for_a_standby(&mut self, wait: Duration) -> Subject {
        let subject = self.subject(true);
        assert_eq!(self.look_up(1, subject).len(), 2);
        assert_eq!(self.give(answer(1, Answer::Coming { wait })), []);
        subject
    }
}

#[test]
fn an_owner_that_waited_for_a_standby_in_vain_does_not_wait_for_its_own_lease() {
    let mut bench = Bench::new();
    let subject = bench.own_and_wait_for_a_standby(Duration::from_millis(500));
    let ranked = bench.ranked(&subject);
    let peeks = bench.pass(550);
    let deadline = bench.deadline();
    assert_eq!(peeks, [ask(3, ranked[1], subject, false, deadline), ask(4, ranked[2], subject, false, deadline)]);
    assert_eq!(bench.pass(150), [fetch(1, FetchReason::Leased)]);
}

#[test]
fn two_that_hold_leases_of_two_owners_do_not_wait_for_each_other() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.give(Input::Left { member: ranked[0] });
    assert_eq!(bench.look_up(1, subject).len(), 1, "the second is asked");
    bench.give(Input::Joined { member: ranked[0] });
    let peeks = bench.give(answer(1, Answer::Lease { behind: None }));
    let deadline = bench.deadline();
    assert_eq!(peeks, [ask(2, ranked[0], subject, false, deadline), ask(3, ranked[2], subject, false, deadline)]);
    // The new owner looks for it too, and its own peek may have been told to wait for this node.
    let given_back = bench.give(answer(2, Answer::Coming { wait: SPAN }));
    assert_eq!(given_back, [Output::Release { to: ranked[1], subject, unshareable: false }]);
    assert_eq!(bench.confirmed(subject, 40), [Output::Check { lookup: LookupId(1) }]);
    assert_eq!(bench.give(Input::Found { lookup: LookupId(1) }), []);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn a_new_owner_whose_predecessor_gets_the_lease_back_fetches() {
    let mut bench = Bench::new();
    let subject = bench.own_and_wait_for_a_standby(SPAN);
    let ranked = bench.ranked(&subject);
    let peeks = bench.give(Input::Released { from: ranked[1], subject, unshareable: false });
    let deadline = bench.deadline();
    assert_eq!(peeks, [ask(3, ranked[1], subject, false, deadline), ask(4, ranked[2], subject, false, deadline)]);
    bench.give(answer(3, Answer::No));
    assert_eq!(bench.give(answer(4, Answer::No)), [fetch(1, FetchReason::Leased)]);
    assert_eq!(bench.give(took(1)), []);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn a_new_owner_waits_for_the_fetch_that_the_old_one_let() {
    let mut bench = Bench::new();
    let subject = bench.own_and_wait_for_a_standby(SPAN);
    assert_eq!(bench.give(inquired(1, 3, subject, true)), [replied(1, Reply::Coming { wait: SPAN })]);
    let delivered = bench.confirmed(subject, 40);
    assert_eq!(delivered, [Output::Deliver { to: member(3), subject }, Output::Check { lookup: LookupId(1) }]);
    assert_eq!(bench.give(Input::Found { lookup: LookupId(1) }), []);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn an_old_record_ends_no_lease() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    assert_eq!(bench.look_up(9, subject), []);
    assert_eq!(bench.confirmed(subject, 30_000), [Output::Check { lookup: LookupId(9) }], "it may be enough for one");
    assert_eq!(bench.give(Input::Checked { lookup: LookupId(9) }), [], "it is not; the fetch goes on");
    assert_eq!(bench.give(inquired(3, 3, subject, true)), [replied(3, Reply::Coming { wait: SPAN })]);
    let delivered = bench.confirmed(subject, 1_500);
    let deliver = |number| Output::Deliver { to: member(number), subject };
    assert_eq!(
        delivered,
        [deliver(2), deliver(3), Output::Check { lookup: LookupId(9) }],
        "a Date counts whole seconds"
    );
}

#[test]
fn what_came_and_is_not_enough_is_not_waited_for_any_longer() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Coming { wait: SPAN }));
    assert_eq!(bench.confirmed(subject, 200), [Output::Check { lookup: LookupId(1) }]);
    let deadline = bench.deadline();
    assert_eq!(bench.give(Input::Checked { lookup: LookupId(1) }), [ask(2, owner, subject, true, deadline)]);
    assert_eq!(bench.give(Input::Checked { lookup: LookupId(1) }), [], "it asks already");
}

#[test]
fn a_release_that_overtakes_the_word_to_wait_is_remembered() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.look_up(1, subject);
    assert_eq!(bench.give(Input::Released { from: owner, subject, unshareable: false }), []);
    let again = bench.give(answer(1, Answer::Coming { wait: SPAN }));
    assert_eq!(again, [ask(2, owner, subject, true, bench.deadline())]);
    assert_eq!(bench.give(answer(2, Answer::Coming { wait: SPAN })), [], "once");
}

#[test]
fn only_who_said_wait_can_end_the_wait() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Coming { wait: SPAN }));
    assert_eq!(bench.give(Input::Released { from: ranked[1], subject, unshareable: false }), []);
    let again = bench.give(Input::Released { from: ranked[0], subject, unshareable: false });
    assert_eq!(again, [ask(2, ranked[0], subject, true, bench.deadline())]);
}

#[test]
fn a_release_reaches_who_waits_also_where_a_lease_of_another_runs() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Coming { wait: SPAN }));
    let stranger = (1..5).find(|number| member(*number) != owner).expect("there are four");
    assert_eq!(
        bench.give(inquired(1, stranger, subject, true)),
        [replied(1, Reply::Lease { span: SPAN, behind: None })]
    );
    assert_eq!(
        bench.give(Input::Released { from: owner, subject, unshareable: false }),
        [],
        "now it waits for the one that this node let"
    );
    let again = bench.give(Input::Released { from: member(stranger), subject, unshareable: false });
    assert_eq!(again, [ask(2, owner, subject, true, bench.deadline())]);
    bench.give(answer(2, Answer::Coming { wait: SPAN }));
    let alone = bench.give(Input::Released { from: owner, subject, unshareable: false });
    assert_eq!(alone, [fetch(1, FetchReason::Waited)], "after the third it goes alone");
}

#[test]
fn the_silent_owner_that_may_have_granted_the_lease_is_told_the_end() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    bench.pass(50);
    bench.pass(63);
    bench.pass(37);
    let told: Vec<_> = ranked[..2].iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let released: Vec<_> = told.iter().map(|to| Output::Release { to: *to, subject, unshareable: false }).collect();
    assert_eq!(bench.give(Input::Ended { lookup: LookupId(1), unshareable: false }), released);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn a_standby_decides_where_the_owner_is_silent() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    let deadline = bench.deadline();
    bench.pass(50);
    bench.pass(63);
    let peeks = bench.give(answer(3, Answer::Lease { behind: None }));
    assert_eq!(peeks, [ask(4, ranked[2], subject, false, deadline)]);
    assert_eq!(bench.pass(37), [fetch(1, FetchReason::Leased)]);
    assert_eq!(bench.fleet.counters().fail_opens, 0);
}

#[test]
fn who_waits_for_a_member_that_leaves_asks_the_next() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Coming { wait: SPAN }));
    let next = bench.give(Input::Left { member: ranked[0] });
    assert_eq!(next, [ask(2, ranked[1], subject, true, bench.deadline())]);
}

#[test]
fn who_fetches_says_so_whatever_the_reason() {
    let mut fleet = Fleet::new(Config { me: member(0), follow: true });
    let mut give = |input| {
        let mut out = Vec::new();
        fleet.handle(input, Millis(1_000), &mut out);
        out
    };
    let subject = Bench::new().subject(false);
    let alone = give(Input::Lookup { lookup: LookupId(1), subject, max_age: TTL, follow: true });
    assert_eq!(alone, [fetch(1, FetchReason::Alone)]);
    give(Input::Joined { member: member(2) });
    assert_eq!(give(inquired(1, 2, subject, true)), [replied(1, Reply::Coming { wait: SPAN })]);
    assert_eq!(give(took(1)), [Output::Deliver { to: member(2), subject }]);
    assert_eq!(fleet.load(), Load::default());
}

#[test]
fn a_holder_that_asks_again_gets_the_lease_again_and_leaves_one_deadline() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    bench.now.0 += 10;
    assert_eq!(bench.give(inquired(3, 1, subject, true)), [replied(3, Reply::Lease { span: SPAN, behind: None })]);
    assert_eq!(bench.fleet.load(), Load { leases: 1, timers: 1, ..Load::default() });
    let delivered = bench.confirmed(subject, 0);
    assert_eq!(delivered, [Output::Deliver { to: member(2), subject }], "who waited is not forgotten");
}

#[test]
fn a_lease_that_runs_out_does_not_let_all_that_waited_fetch() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    bench.give(inquired(3, 3, subject, true));
    assert_eq!(bench.pass(3_000), []);
    assert_eq!(bench.fleet.load(), Load::default());
    assert_eq!(bench.give(inquired(4, 2, subject, true)), [replied(4, Reply::Lease { span: SPAN, behind: None })]);
    assert_eq!(bench.give(inquired(5, 3, subject, true)), [replied(5, Reply::Coming { wait: SPAN })]);
}

#[test]
fn when_the_owners_own_fetch_fails_one_of_those_that_waited_fetches() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.look_up(1, subject);
    bench.give(inquired(1, 3, subject, true));
    assert_eq!(bench.look_up(2, subject), [], "a second caller here waits");
    assert_eq!(bench.pass(150), [fetch(1, FetchReason::Leased)]);
    let out = bench.give(Input::Ended { lookup: LookupId(1), unshareable: false });
    assert_eq!(out[0], Output::Release { to: member(3), subject, unshareable: false });
    assert!(matches!(out[1..], [Output::Ask { lease: false, .. }, Output::Ask { lease: false, .. }]), "{out:?}");
    let wait = bench.give(inquired(2, 3, subject, true));
    assert!(matches!(wait[..], [Output::Reply { reply: Reply::Coming { .. }, .. }]), "{wait:?}");
}

#[test]
fn an_owner_from_before_waits_for_the_fetch_that_it_let() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    bench.give(inquired(1, 1, subject, true));
    assert_eq!(bench.look_up(1, subject), [], "nobody needs to be asked");
    assert_eq!(bench.confirmed(subject, 40), [Output::Check { lookup: LookupId(1) }]);
}

#[test]
fn an_owner_from_before_that_let_another_fetch_meanwhile_waits_for_it() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    assert_eq!(bench.look_up(1, subject).len(), 1);
    bench.give(inquired(1, 1, subject, true));
    assert_eq!(bench.give(answer(1, Answer::Lease { behind: None })), [], "not a second call");
    assert_eq!(bench.confirmed(subject, 40), [Output::Check { lookup: LookupId(1) }]);
    assert_eq!(bench.give(Input::Found { lookup: LookupId(1) }), [Output::Deliver { to: owner, subject }]);
}
