//! Inputs and whole lists of outputs, "nothing happens" included: the protocol's plain course.

use super::*;
use crate::rank::owners;
use crate::{InquiryId, Reply};
use ghmesh_model::{Fingerprint, WireKey};

pub(super) const F: Fingerprint = Fingerprint([7; 32]);
pub(super) const TTL: Duration = Duration::from_secs(60);

pub(super) fn member(number: u8) -> MemberId {
    MemberId([number; 32])
}

/// One node among members 1 to 4 (it is number 0), with everybody connected for a minute.
pub(super) struct Bench {
    pub(super) fleet: Fleet,
    pub(super) now: Millis,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut bench = Bench { fleet: Fleet::new(Config { me: member(0), follow: true }), now: Millis(1_000_000) };
        for number in 1..5 {
            assert_eq!(bench.give(Input::Joined { member: member(number) }), []);
        }
        bench.now.0 += 60_000;
        bench
    }

    pub(super) fn give(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.fleet.handle(input, self.now, &mut out);
        out
    }

    pub(super) fn pass(&mut self, milliseconds: u64) -> Vec<Output> {
        self.now.0 += milliseconds;
        self.give(Input::Tick)
    }

    pub(super) fn look_up(&mut self, number: u64, subject: Subject) -> Vec<Output> {
        self.give(Input::Lookup { lookup: LookupId(number), subject, max_age: TTL, follow: true })
    }

    pub(super) fn ranked(&self, subject: &Subject) -> Vec<MemberId> {
        owners(&subject.key, (0..5).map(member))
    }

    /// A subject whose owner is this node (`true`) or another (`false`), with no standby role for this node.
    pub(super) fn subject(&self, own: bool) -> Subject {
        let subjects = (0..=255).map(|byte| Subject { key: WireKey([byte; 32]), fingerprint: F });
        let fits = |subject: &Subject| {
            let ranked = self.ranked(subject);
            if own { ranked[0] == member(0) } else { !ranked.contains(&member(0)) }
        };
        subjects.into_iter().find(fits).expect("among 256 keys each of five members owns some")
    }
}

pub(super) fn ask(number: u64, to: MemberId, subject: Subject, lease: bool, deadline: Millis) -> Output {
    Output::Ask { ask: AskId(number), to, subject, max_age: TTL, lease, deadline }
}

pub(super) fn inquired(number: u64, from: u8, subject: Subject, lease: bool) -> Input {
    Input::Inquired { inquiry: InquiryId(number), from: member(from), subject, held: false, lease }
}

pub(super) fn replied(number: u64, reply: Reply) -> Output {
    Output::Reply { inquiry: InquiryId(number), reply }
}

#[test]
fn a_node_alone_fetches_at_once() {
    let mut fleet = Fleet::new(Config { me: member(0), follow: true });
    let mut out = Vec::new();
    let subject = Subject { key: WireKey([1; 32]), fingerprint: F };
    fleet.handle(Input::Lookup { lookup: LookupId(1), subject, max_age: TTL, follow: true }, Millis(5), &mut out);
    assert_eq!(out, [Output::Fetch { lookup: LookupId(1), reason: FetchReason::Alone }]);
}

#[test]
fn the_owner_is_asked_and_its_answer_used() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    let deadline = bench.now.after(Duration::from_millis(150));
    assert_eq!(bench.look_up(1, subject), [ask(1, owner, subject, true, deadline)]);
    let used = bench.give(Input::Answered { ask: AskId(1), answer: Answer::Have });
    assert_eq!(used, [Output::Use { lookup: LookupId(1), ask: AskId(1) }]);
    assert_eq!(bench.give(Input::Found { lookup: LookupId(1) }), []);
    assert_eq!(bench.fleet.load(), Load::default(), "nothing is left of it");
}

#[test]
fn a_lease_is_preceded_by_one_look_at_the_standbys_and_its_fetch_is_delivered_to_the_owner() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    let deadline = bench.now.after(Duration::from_millis(150));
    let peeks = bench.give(Input::Answered { ask: AskId(1), answer: Answer::Lease { behind: None } });
    assert_eq!(peeks, [ask(2, ranked[1], subject, false, deadline), ask(3, ranked[2], subject, false, deadline)]);
    assert_eq!(bench.give(Input::Answered { ask: AskId(2), answer: Answer::No }), []);
    let fetch = bench.give(Input::AskFailed { ask: AskId(3) });
    assert_eq!(fetch, [Output::Fetch { lookup: LookupId(1), reason: FetchReason::Leased }]);
    let done = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) });
    assert_eq!(done, [Output::Deliver { to: ranked[0], subject }]);
}

#[test]
fn an_owner_lets_one_fetch_and_the_others_wait_for_its_delivery() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    let span = Duration::from_secs(3);
    assert_eq!(bench.give(inquired(1, 1, subject, true)), [replied(1, Reply::Lease { span, behind: None })]);
    assert_eq!(bench.give(inquired(2, 2, subject, true)), [replied(2, Reply::Coming { wait: span })]);
    assert_eq!(bench.give(inquired(3, 3, subject, false)), [replied(3, Reply::Coming { wait: span })]);
    assert_eq!(bench.look_up(9, subject), [], "its own caller waits as well");
    let delivered = bench.give(Input::Arrived { subject, confirmed_at: bench.now });
    assert_eq!(
        delivered,
        [
            Output::Deliver { to: member(2), subject },
            Output::Deliver { to: member(3), subject },
            Output::Check { lookup: LookupId(9) },
        ]
    );
}

#[test]
fn the_owners_own_lookup_makes_others_wait_while_it_peeks() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    let peeks = bench.look_up(1, subject);
    assert_eq!(peeks.len(), 2, "both standbys are asked: {peeks:?}");
    let coming = bench.give(inquired(1, 3, subject, true));
    assert_eq!(coming, [replied(1, Reply::Coming { wait: Duration::from_secs(3) })]);
    bench.give(Input::Answered { ask: AskId(1), answer: Answer::No });
    let fetch = bench.give(Input::Answered { ask: AskId(2), answer: Answer::No });
    assert_eq!(fetch, [Output::Fetch { lookup: LookupId(1), reason: FetchReason::Leased }]);
    let done = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(9) });
    assert_eq!(done, [Output::Deliver { to: member(3), subject }]);
}

#[test]
fn a_silent_owner_costs_no_more_than_the_budget() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    let deadline = bench.now.after(Duration::from_millis(150));
    assert_eq!(bench.pass(50), [ask(2, ranked[1], subject, false, deadline)], "the standby is asked as well");
    assert_eq!(bench.give(Input::Answered { ask: AskId(2), answer: Answer::No }), []);
    assert_eq!(bench.pass(63), [ask(3, ranked[1], subject, true, deadline)], "it may decide in the owner's place");
    assert_eq!(bench.pass(37), [Output::Fetch { lookup: LookupId(1), reason: FetchReason::FailOpen }]);
    assert_eq!(bench.fleet.counters().fail_opens, 1);
    assert_eq!(bench.give(Input::Answered { ask: AskId(1), answer: Answer::Lease { behind: None } }), [], "too late");
}

#[test]
fn an_owner_that_leaves_is_replaced_by_its_standby() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    let deadline = bench.now.after(Duration::from_millis(150));
    let again = bench.give(Input::Left { member: ranked[0] });
    assert_eq!(again, [ask(2, ranked[1], subject, true, deadline)]);
}

#[test]
fn a_lease_holder_that_dies_lets_another_fetch() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    assert_eq!(bench.look_up(9, subject), []);
    let out = bench.give(Input::Left { member: member(1) });
    assert_eq!(out[0], Output::Release { to: member(2), subject, unshareable: false });
    assert!(
        out[1..].iter().all(|output| matches!(output, Output::Ask { lease: false, .. })),
        "the own lookup takes the lease and peeks: {out:?}"
    );
    let wait = bench.give(inquired(3, 2, subject, true));
    assert!(matches!(wait[..], [Output::Reply { reply: Reply::Coming { .. }, .. }]), "no herd: {wait:?}");
}

#[test]
fn a_fetch_with_nothing_to_share_releases_owner_and_waiters() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.give(inquired(2, 2, subject, true));
    let released = bench.give(Input::Released { from: member(1), subject, unshareable: false });
    assert_eq!(released, [Output::Release { to: member(2), subject, unshareable: false }]);
    let strangers = bench.give(Input::Released { from: member(4), subject, unshareable: false });
    assert_eq!(strangers, [], "who holds no lease releases none");
}

#[test]
fn a_lease_runs_out() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(inquired(1, 1, subject, true));
    bench.pass(3_000);
    let again = bench.give(inquired(2, 2, subject, true));
    assert!(matches!(again[..], [Output::Reply { reply: Reply::Lease { .. }, .. }]), "{again:?}");
}

#[test]
fn garbage_and_refused_answers_end_in_a_fetch() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    bench.look_up(1, subject);
    bench.give(Input::Answered { ask: AskId(1), answer: Answer::Have });
    let fetch = bench.give(Input::Refused { lookup: LookupId(1) });
    assert_eq!(fetch, [Output::Fetch { lookup: LookupId(1), reason: FetchReason::FailOpen }]);
    assert_eq!(bench.give(Input::Refused { lookup: LookupId(77) }), []);
    assert_eq!(bench.give(Input::Answered { ask: AskId(77), answer: Answer::Lease { behind: None } }), []);
}

#[test]
fn a_peek_never_takes_a_lease() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    assert_eq!(bench.give(inquired(1, 1, subject, false)), [replied(1, Reply::No)]);
    let first = bench.give(inquired(2, 2, subject, true));
    assert!(matches!(first[..], [Output::Reply { reply: Reply::Lease { .. }, .. }]));
}
