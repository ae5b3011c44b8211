//! Members come and go while somebody fetches: the present owner and the one from before tell the same.

use super::tests::{Bench, F, ask, inquired, member, replied};
use super::*;
use crate::rank::owners;
use crate::{InquiryId, Reply};
use ghmesh_model::WireKey;
use std::collections::BTreeSet;

const SPAN: Duration = Duration::from_secs(3);

fn answer(number: u64, answer: Answer) -> Input {
    Input::Answered { ask: AskId(number), answer }
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

impl Bench {
    /// Members 5 to 7 join, and outrank its owner of this subject, which is this
    /// node (`own`) or another. Gives the subject, the new ranking and the former owner.
    fn newcomers(&mut self, own: bool) -> (Subject, Vec<MemberId>, MemberId) {
        (5..8).for_each(|number| drop(self.give(Input::Joined { member: member(number) })));
        let fits = |key: &WireKey| {
            let before = owners(key, (0..5).map(member))[0];
            let now = owners(key, (0..8).map(member));
            now.iter().all(|member| member.0[0] >= 5) && (before == member(0)) == own
        };
        let key = (0..=255).map(|byte| WireKey([byte; 32])).find(fits).expect("one in sixty or so");
        (Subject { key, fingerprint: F }, owners(&key, (0..8).map(member)), owners(&key, (0..5).map(member))[0])
    }

    fn deadline_from_now(&self) -> Millis {
        self.now.after(self.fleet.lookup_budget())
    }
}

#[test]
fn who_is_let_by_a_new_owner_asks_the_former_for_its_leave_too() {
    let mut bench = Bench::new();
    let (subject, ranked, former) = bench.newcomers(false);
    let deadline = bench.deadline_from_now();
    assert_eq!(bench.look_up(1, subject), [ask(1, ranked[0], subject, true, deadline)]);
    let peeks = bench.give(answer(1, Answer::Lease { behind: None }));
    let (second, third) = (ask(2, ranked[1], subject, false, deadline), ask(3, ranked[2], subject, false, deadline));
    assert_eq!(peeks, [second, third, ask(4, former, subject, true, deadline)]);
    assert_eq!(bench.give(answer(2, Answer::No)), []);
    assert_eq!(bench.give(answer(3, Answer::No)), []);
    let leave = bench.give(answer(4, Answer::Lease { behind: None }));
    assert_eq!(leave, [fetch(1, FetchReason::Leased)], "now it tells others to wait, too");
    let done = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) });
    let both: BTreeSet<_> = [ranked[0], former].into();
    assert_eq!(done, both.into_iter().map(|to| Output::Deliver { to, subject }).collect::<Vec<_>>());
}

#[test]
fn who_hears_from_the_former_owner_that_somebody_fetches_waits_and_keeps_the_new_owners_lease() {
    let mut bench = Bench::new();
    let (subject, _, _) = bench.newcomers(false);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Lease { behind: None }));
    assert_eq!(bench.give(answer(4, Answer::Coming { wait: SPAN })), [], "the former is behind the new one");
    assert_eq!(bench.fleet.load().asks, 0, "it waits");
}

#[test]
fn who_hears_it_from_one_between_the_two_gives_back_the_formers_lease_alone() {
    let mut bench = Bench::new();
    let (subject, _, former) = bench.newcomers(false);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Lease { behind: None }));
    bench.give(answer(4, Answer::Lease { behind: None }));
    let given_back = bench.give(answer(2, Answer::Coming { wait: SPAN }));
    assert_eq!(given_back, [Output::Release { to: former, subject, unshareable: false }]);
}

#[test]
fn a_former_owner_that_is_let_by_the_new_one_tells_who_still_turns_to_it() {
    let mut bench = Bench::new();
    let (subject, ranked, _) = bench.newcomers(true);
    bench.look_up(1, subject);
    let peeks = bench.give(answer(1, Answer::Lease { behind: None }));
    assert_eq!(peeks.len(), 2, "the standbys alone: {peeks:?}");
    assert_eq!(bench.give(inquired(1, 3, subject, true)), [replied(1, Reply::Coming { wait: SPAN })]);
    let given_back = bench.give(answer(2, Answer::Coming { wait: SPAN }));
    let freed = Output::Release { to: member(3), subject, unshareable: false };
    assert_eq!(given_back, [freed], "it keeps the lease of {:?}, and lets go of its own", ranked[0]);
}

#[test]
fn after_ten_seconds_everybody_knows_the_new_owner() {
    let mut bench = Bench::new();
    let (subject, _, _) = bench.newcomers(false);
    bench.now.0 += 10_000;
    bench.look_up(1, subject);
    let peeks = bench.give(answer(1, Answer::Lease { behind: None }));
    assert!(peeks.iter().all(|peek| matches!(peek, Output::Ask { lease: false, .. })), "{peeks:?}");
    assert_eq!(peeks.len(), 2);
}

#[test]
fn who_fetches_for_an_owner_that_leaves_tells_the_next_at_once() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Lease { behind: None }));
    bench.give(answer(2, Answer::No));
    assert_eq!(bench.give(answer(3, Answer::No)), [fetch(1, FetchReason::Leased)]);
    let told = bench.give(Input::Left { member: ranked[0] });
    assert_eq!(told, [ask(4, ranked[1], subject, true, bench.deadline_from_now())]);
    assert_eq!(bench.give(answer(4, Answer::Coming { wait: SPAN })), [], "whatever it says, the call is made");
    let ended = bench.give(Input::Ended { lookup: LookupId(1), unshareable: false });
    assert_eq!(ended, [Output::Release { to: ranked[1], subject, unshareable: false }]);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn who_has_an_owners_leave_and_has_not_begun_asks_the_next_where_the_owner_leaves() {
    let mut bench = Bench::new();
    let subject = bench.subject(false);
    let ranked = bench.ranked(&subject);
    bench.look_up(1, subject);
    bench.give(answer(1, Answer::Lease { behind: None }));
    let again = bench.give(Input::Left { member: ranked[0] });
    assert_eq!(again, [ask(4, ranked[1], subject, true, bench.deadline_from_now())]);
}

#[test]
fn a_hot_key_is_answered_by_whoever_has_it() {
    let mut bench = Bench::new();
    for own in [true, false] {
        let subject = bench.subject(own);
        let held = |lease| Input::Inquired { inquiry: InquiryId(1), from: member(1), subject, held: true, lease };
        assert_eq!(bench.give(held(true)), [replied(1, Reply::Have)], "owner: {own}");
        assert_eq!(bench.give(held(false)), [replied(1, Reply::Have)], "owner: {own}");
    }
}
