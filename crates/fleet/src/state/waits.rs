//! How long anybody waits for another's fetch: for slow ones, failed ones, ones that can't be shared, and for liars.

use super::tests::{Bench, ask, inquired, member, replied};
use super::*;
use crate::Reply;

/// A lease before anything was measured.
const SPAN: Duration = Duration::from_secs(3);

/// What a liar says.
const FOR_EVER: Answer = Answer::Coming { wait: Duration::MAX };

fn answer(number: u64, answer: Answer) -> Input {
    Input::Answered { ask: AskId(number), answer }
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

fn renewed(number: u64, to: MemberId, subject: Subject, bench: &Bench) -> Output {
    ask(number, to, subject, true, bench.now.after(bench.fleet.lookup_budget()))
}

impl Bench {
    /// Looks up what another owns and is told to wait.
    fn waits(&mut self, lookup: u64, wait: Answer) -> (Subject, Vec<MemberId>) {
        let subject = self.subject(false);
        assert_eq!(self.look_up(lookup, subject).len(), 1);
        assert_eq!(self.give(answer(1, wait)), []);
        (subject, self.ranked(&subject))
    }

    /// Looks up what another owns and is told to fetch; nobody else has it.
    fn fetches(&mut self) -> (Subject, Vec<MemberId>) {
        let subject = self.subject(false);
        self.look_up(1, subject);
        self.give(answer(1, Answer::Lease { behind: None }));
        self.give(answer(2, Answer::No));
        assert_eq!(self.give(answer(3, Answer::No)), [fetch(1, FetchReason::Leased)]);
        (subject, self.ranked(&subject))
    }

    /// A liar answers every question of a lookup, until it fetches. Gives how long that took.
    fn lied_to(&mut self, id: u64, subject: Subject, liar: MemberId) -> Duration {
        let started = self.now;
        let mut out = self.look_up(id, subject);
        loop {
            let asked = out.iter().find_map(|output| match output {
                Output::Ask { ask, to, .. } if *to == liar => Some(*ask),
                _ => None,
            });
            if let Some(ask) = asked {
                out = self.give(Input::Answered { ask, answer: FOR_EVER });
                continue;
            }
            if out.iter().any(|output| matches!(output, Output::Fetch { .. })) {
                return self.now.since(started).expect("time goes on");
            }
            self.now = self.fleet.next_deadline().expect("something ends every wait");
            out = self.give(Input::Tick);
        }
    }
}

#[test]
fn a_wait_takes_no_longer_than_this_nodes_own_lease_whatever_a_member_states() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.waits(1, FOR_EVER);
    assert_eq!(bench.pass(3_049), []);
    let again = bench.pass(1);
    assert_eq!(again, [ask(2, ranked[0], subject, true, bench.now.after(Duration::from_millis(150)))]);
    assert_eq!(bench.give(answer(2, Answer::No)).len(), 1, "whom it waited for has forgotten: the standby is asked");
}

#[test]
fn a_shorter_wait_than_that_is_believed() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.waits(1, Answer::Coming { wait: Duration::from_millis(700) });
    assert_eq!(bench.pass(749), []);
    assert_eq!(bench.pass(1), [ask(2, ranked[0], subject, true, bench.now.after(Duration::from_millis(150)))]);
}

#[test]
fn whoever_always_says_coming_costs_ten_seconds_once_and_then_nothing_for_a_minute() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let liar = bench.ranked(&subject)[0];
    let first = bench.lied_to(1, subject, liar);
    assert!(first <= MAX_WAIT + Duration::from_millis(150), "{first:?}");
    assert!(first > SPAN, "as long as it says that the fetch goes on: {first:?}");
    bench.give(Input::Ended { lookup: LookupId(1), unshareable: false });
    let second = bench.lied_to(2, subject, liar);
    assert!(second <= bench.fleet.lookup_budget(), "{second:?}");
    bench.give(Input::Ended { lookup: LookupId(2), unshareable: false });
    bench.pass(60_000);
    assert!(bench.lied_to(3, subject, liar) > SPAN, "it has its chance again");
}

#[test]
fn where_an_owner_is_not_believed_its_standby_decides() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.fleet.reputation.misled(ranked[0], bench.now);
    bench.look_up(1, subject);
    let next = bench.give(answer(1, FOR_EVER));
    assert_eq!(next, [ask(2, ranked[1], subject, true, bench.now.after(Duration::from_millis(150)))]);
    bench.give(answer(2, Answer::Coming { wait: SPAN }));
    assert_eq!(bench.fleet.load().asks, 0, "it waits for the standby's word");
}

#[test]
fn who_fetches_for_long_tells_its_lessor_every_half_second_for_ten() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.fetches();
    let mut number = 3;
    for _ in 0..19 {
        assert_eq!(bench.pass(499), []);
        number += 1;
        let told = bench.pass(1);
        assert_eq!(told, [renewed(number, ranked[0], subject, &bench)]);
    }
    assert_eq!(bench.pass(20_000), [], "then it goes on in silence");
    assert_eq!(bench.fleet.load().timers, 0);
}

#[test]
fn what_a_lessor_answers_to_that_changes_nothing() {
    for said in [Answer::Lease { behind: None }, Answer::No, Answer::Have, FOR_EVER] {
        let mut bench = Bench::new();
        let (subject, ranked) = bench.fetches();
        assert_eq!(bench.pass(500).len(), 1);
        assert_eq!(bench.give(answer(4, said)), [], "{said:?}");
        let done = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(600) });
        assert_eq!(done, [Output::Deliver { to: ranked[0], subject }], "{said:?}");
        assert_eq!(bench.fleet.load(), Load::default());
    }
}

#[test]
fn a_lease_is_extended_as_long_as_its_holder_asks_for_it_and_for_ten_seconds_at_most() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(0, 1, subject, true));
    let mut remaining = Vec::new();
    for second in 1..=9 {
        bench.pass(1_000);
        let extended = bench.give(inquired(second * 2, 1, subject, true));
        assert!(matches!(extended[..], [Output::Reply { reply: Reply::Lease { .. }, .. }]), "{extended:?}");
        match bench.give(inquired(second * 2 + 1, 2, subject, true))[..] {
            [Output::Reply { reply: Reply::Coming { wait }, .. }] => remaining.push(wait.as_secs()),
            ref other => panic!("after {second} s: {other:?}"),
        }
    }
    assert_eq!(remaining, [3, 3, 3, 3, 3, 3, 3, 2, 1]);
    assert_eq!(bench.fleet.counters().leases_granted, 1);
    bench.pass(1_000);
    assert_eq!(bench.give(inquired(20, 2, subject, true)), [replied(20, Reply::Lease { span: SPAN, behind: None })]);
}

#[test]
fn who_waits_is_told_to_wait_on_while_the_fetch_goes_on_and_fetches_where_it_does_not() {
    let mut bench = Bench::new();
    let (_, ranked) = bench.waits(1, Answer::Coming { wait: SPAN });
    bench.pass(3_050);
    assert_eq!(bench.give(answer(2, Answer::Coming { wait: SPAN })), []);
    assert_eq!(bench.fleet.counters().waits, 1, "one wait, however often it asks");
    let again = bench.pass(3_050);
    assert!(matches!(again[..], [Output::Ask { to, lease: true, .. }] if to == ranked[0]), "{again:?}");
    let peeks = bench.give(answer(3, Answer::Lease { behind: None }));
    assert_eq!(peeks.len(), 2, "the holder has gone silent: this node fetches: {peeks:?}");
}

#[test]
fn the_owners_own_long_fetch_is_waited_for_ten_seconds() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::No));
    bench.give(answer(2, Answer::No));
    for number in 1..=3 {
        assert_eq!(bench.pass(3_000), []);
        let coming = bench.give(inquired(number, 2, subject, true));
        assert!(matches!(coming[..], [Output::Reply { reply: Reply::Coming { .. }, .. }]), "{number}: {coming:?}");
    }
    assert_eq!(bench.pass(1_000), []);
    assert_eq!(bench.give(inquired(9, 2, subject, true)), [replied(9, Reply::Lease { span: SPAN, behind: None })]);
}

#[test]
fn what_can_not_be_shared_is_fetched_by_all_at_once() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    bench.give(inquired(3, 3, subject, true));
    assert_eq!(bench.look_up(9, subject), []);
    let freed = bench.give(Input::Released { from: member(1), subject, unshareable: true });
    let release = |number| Output::Release { to: member(number), subject, unshareable: true };
    assert_eq!(freed, [release(2), release(3), fetch(9, FetchReason::Waited)]);
}

#[test]
fn who_is_told_so_fetches_without_asking_again() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.waits(1, Answer::Coming { wait: SPAN });
    let freed = bench.give(Input::Released { from: ranked[0], subject, unshareable: true });
    assert_eq!(freed, [fetch(1, FetchReason::Waited)]);
    let mut bench = Bench::new();
    bench.look_up(1, subject);
    bench.give(Input::Released { from: ranked[0], subject, unshareable: true });
    let overtaken = bench.give(answer(1, Answer::Coming { wait: SPAN }));
    assert_eq!(overtaken, [fetch(1, FetchReason::Waited)], "also where that came before the word to wait");
}

#[test]
fn who_fetched_what_can_not_be_shared_says_so() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.fetches();
    bench.give(inquired(1, 4, subject, true));
    let told = bench.give(Input::Ended { lookup: LookupId(1), unshareable: true });
    let release = |to| Output::Release { to, subject, unshareable: true };
    assert_eq!(told, [release(ranked[0]), release(member(4))]);
}

#[test]
fn after_a_failed_fetch_one_of_those_that_waited_fetches_and_the_others_wait_once_more() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    (1..=4).for_each(|number| drop(bench.give(inquired(u64::from(number), number, subject, true))));
    bench.give(Input::Released { from: member(1), subject, unshareable: false });
    let inquiries = (2..=4).map(|number| bench.give(inquired(u64::from(number) + 10, number, subject, true)));
    let replies: Vec<_> = inquiries.flatten().collect();
    let (lease, coming) = (Reply::Lease { span: SPAN, behind: None }, Reply::Coming { wait: SPAN });
    assert_eq!(replies, [replied(12, lease), replied(13, coming), replied(14, coming)]);
}

#[test]
fn releases_do_not_begin_the_patience_anew() {
    let mut bench = Bench::new();
    let (subject, ranked) = bench.waits(1, Answer::Coming { wait: SPAN });
    bench.pass(3_050);
    bench.give(answer(2, FOR_EVER));
    bench.pass(3_050);
    bench.give(answer(3, FOR_EVER));
    bench.pass(2_900);
    assert_eq!(bench.give(Input::Released { from: ranked[0], subject, unshareable: false }).len(), 1, "it asks again");
    assert_eq!(bench.give(answer(4, FOR_EVER)), []);
    assert_eq!(bench.pass(999), []);
    assert_eq!(bench.pass(1), [fetch(1, FetchReason::Waited)], "ten seconds after it began to wait");
}
