//! Fetches that are told to the whole fleet: by this node, and to it.

use super::tests::{Bench, F, ask, inquired, member, replied};
use super::*;
use crate::Reply;
use ghmesh_model::WireKey;

/// Somebody whom this node is not connected to.
fn far() -> MemberId {
    member(77)
}

/// As most benches, and there are members beyond its neighbours.
fn bench() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.give(Input::Extent { beyond: true }), []);
    bench
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

fn announce(lookup: u64) -> Output {
    Output::Announce { lookup: LookupId(lookup) }
}

fn announced(from: MemberId, subject: Subject) -> Input {
    Input::Announced { from, subject }
}

fn failed(subject: Subject) -> Input {
    Input::Withdrawn { from: far(), subject, unshareable: false }
}

/// All questions of the lookup come to nothing, or the owner lets it fetch: what it does then.
fn let_go(bench: &mut Bench, lookup: u64) -> Vec<Output> {
    let mut out = Vec::new();
    for _ in 0..6 {
        let asks: Vec<_> = bench.fleet.asks.iter().filter(|(_, ask)| ask.lookup == LookupId(lookup)).collect();
        let asks: Vec<_> = asks.into_iter().map(|(id, ask)| (*id, ask.lease)).collect();
        for (ask, lease) in asks {
            let answer = if lease { Answer::Lease { behind: None } } else { Answer::No };
            out.extend(bench.give(Input::Answered { ask, answer }));
        }
    }
    out.retain(|output| !matches!(output, Output::Ask { .. }));
    out
}

#[test]
fn a_fetch_is_told_to_all_before_it_begins_and_so_is_its_failure() {
    let mut bench = bench();
    let subject = bench.subject(true);
    bench.look_up(1, subject);
    assert_eq!(let_go(&mut bench, 1), [announce(1), fetch(1, FetchReason::Leased)]);
    let ended = bench.give(Input::Ended { lookup: LookupId(1), unshareable: false });
    assert_eq!(ended, [Output::Withdraw { subject, unshareable: false }]);
    assert_eq!(bench.fleet.load(), Load::default());
}

#[test]
fn what_is_shared_is_told_by_its_record_alone() {
    let mut bench = bench();
    let subject = bench.subject(true);
    bench.look_up(1, subject);
    let_go(&mut bench, 1);
    assert_eq!(bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) }), []);
}

#[test]
fn where_all_are_neighbours_nothing_is_told_and_nothing_of_it_believed() {
    let mut bench = Bench::new();
    let subject = bench.subject(true);
    bench.give(announced(far(), subject));
    assert_eq!(bench.fleet.load(), Load::default());
    bench.look_up(1, subject);
    assert_eq!(let_go(&mut bench, 1), [fetch(1, FetchReason::Leased)]);
    assert_eq!(bench.give(Input::Ended { lookup: LookupId(1), unshareable: true }), []);
}

#[test]
fn a_fetch_that_failed_is_told_again_after_ten_seconds_and_one_that_is_for_each_after_ten_minutes() {
    for (unshareable, quiet_ms) in [(false, 10_000), (true, 600_000)] {
        let mut bench = bench();
        let subject = bench.subject(true);
        let told = |bench: &mut Bench, lookup| {
            bench.look_up(lookup, subject);
            let out = let_go(bench, lookup);
            bench.give(Input::Ended { lookup: LookupId(lookup), unshareable });
            out.contains(&announce(lookup))
        };
        assert!(told(&mut bench, 1));
        bench.pass(quiet_ms - 1);
        assert!(!told(&mut bench, 2));
        bench.pass(1);
        assert!(told(&mut bench, 3));
    }
}

#[test]
fn a_lookup_waits_for_a_fetch_far_away_and_asks_nobody() {
    for own in [true, false] {
        let mut bench = bench();
        let subject = bench.subject(own);
        assert_eq!(bench.give(announced(far(), subject)), []);
        assert_eq!(bench.look_up(1, subject), []);
        bench.now.0 += 200;
        let arrived = bench.give(Input::Arrived { subject, confirmed_at: bench.now });
        assert_eq!(arrived, [Output::Check { lookup: LookupId(1) }]);
        assert_eq!(bench.give(Input::Found { lookup: LookupId(1) }), []);
        assert_eq!(bench.fleet.load(), Load::default());
    }
}

#[test]
fn a_lookup_that_is_about_to_fetch_waits_instead_and_one_that_does_goes_on() {
    let mut bench = bench();
    let subject = bench.subject(false);
    bench.look_up(1, subject);
    assert_eq!(bench.give(announced(far(), subject)), []);
    assert_eq!(bench.fleet.load().asks, 0, "it waits");

    let subject = bench.subject(true);
    bench.look_up(2, subject);
    assert!(bench.fleet.load().asks > 0, "it looks at the standbys");
    assert_eq!(bench.give(announced(far(), subject)), []);
    assert_eq!(bench.fleet.load().asks, 0, "it waits");

    let other = Subject { key: WireKey([200; 32]), fingerprint: F };
    bench.look_up(3, other);
    assert!(let_go(&mut bench, 3).contains(&fetch(3, FetchReason::Leased)));
    assert_eq!(bench.give(announced(far(), other)), []);
    assert!(matches!(bench.fleet.lookups[&LookupId(3)].phase, Phase::Fetching { .. }));
}

#[test]
fn who_asks_is_not_made_to_wait_for_what_it_has_heard_itself() {
    let mut bench = bench();
    let subject = bench.subject(true);
    bench.give(announced(far(), subject));
    let span = Duration::from_secs(3);
    assert_eq!(bench.give(inquired(1, 2, subject, true)), [replied(1, Reply::Lease { span, behind: None })]);
    assert_eq!(bench.give(failed(subject)), [], "another fetches by now");
    assert_eq!(bench.fleet.load().leases, 1);
}

#[test]
fn a_lookup_waits_for_hearsay_once_whoever_says_it() {
    for own in [true, false] {
        let mut bench = bench();
        let subject = bench.subject(own);
        bench.give(announced(far(), subject));
        bench.look_up(1, subject);
        bench.pass(3_000);
        bench.give(announced(member(78), subject));
        bench.pass(50);
        bench.give(announced(member(79), subject));
        assert!(let_go(&mut bench, 1).contains(&fetch(1, FetchReason::Leased)));
    }
}

#[test]
fn after_a_failure_far_away_one_asks_again_and_after_an_answer_for_each_all_go_at_once() {
    let mut bench = bench();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.give(announced(far(), subject));
    bench.look_up(1, subject);
    let deadline = bench.now.after(Duration::from_millis(150));
    assert_eq!(bench.give(failed(subject)), [ask(1, owner, subject, true, deadline)]);
    assert_eq!(let_go(&mut bench, 1), [fetch(1, FetchReason::Leased)], "in an outage not everybody tells everybody");

    let subject = bench.subject(true);
    bench.give(announced(far(), subject));
    bench.look_up(2, subject);
    let unshareable = Input::Withdrawn { from: far(), subject, unshareable: true };
    assert_eq!(bench.give(unshareable), [fetch(2, FetchReason::Waited)]);
}

#[test]
fn only_its_author_takes_back_what_was_told() {
    let mut bench = bench();
    let subject = bench.subject(false);
    bench.give(announced(far(), subject));
    bench.look_up(1, subject);
    assert_eq!(bench.give(Input::Withdrawn { from: member(78), subject, unshareable: true }), []);
    assert_eq!(bench.fleet.load().leases, 1);
}

#[test]
fn threat_13_who_tells_of_fetches_that_never_end_costs_one_wait_and_is_not_believed_for_a_minute() {
    let mut bench = bench();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.give(announced(far(), subject));
    bench.look_up(1, subject);
    // Saying it again makes nobody wait longer.
    bench.now.0 += 2_000;
    bench.give(Input::Tick);
    assert_eq!(bench.give(announced(far(), subject)), []);
    assert_eq!(bench.pass(1_000), [], "the time that a fetch should take is over");
    assert_eq!(bench.give(announced(far(), subject)), []);
    let asked = bench.pass(50);
    assert!(matches!(asked[..], [Output::Ask { to, .. }] if to == owner), "{asked:?}");
    assert!(!bench.fleet.reputation.believes_hearsay(&far(), bench.now));
    assert!(bench.fleet.reputation.believes(&far(), bench.now), "as an owner it has done nothing wrong");
    assert!(let_go(&mut bench, 1).contains(&fetch(1, FetchReason::Leased)));
    bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) });

    bench.give(announced(far(), subject));
    assert!(matches!(bench.look_up(2, subject)[..], [Output::Ask { .. }]), "nobody waits for it now");
    bench.give(Input::Found { lookup: LookupId(2) });
    bench.pass(60_000);
    bench.give(announced(far(), subject));
    assert_eq!(bench.look_up(3, subject), [], "it has another chance");
}

#[test]
fn a_far_member_that_goes_is_waited_for_no_longer_than_one_fetch_takes() {
    let mut bench = bench();
    let subject = bench.subject(true);
    bench.give(announced(far(), subject));
    bench.look_up(1, subject);
    assert_eq!(bench.pass(3_000), []);
    let out = bench.pass(50);
    assert!(out.iter().all(|output| matches!(output, Output::Ask { lease: false, .. })), "{out:?}");
    assert!(let_go(&mut bench, 1).contains(&fetch(1, FetchReason::Leased)));
}

#[test]
fn what_is_remembered_of_failures_is_bounded() {
    let mut fruitless = Fruitless::default();
    for number in 0..=4096_u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        fruitless.note(Subject { key: WireKey(key), fingerprint: F }, true, Millis(0));
    }
    let first = Subject { key: WireKey([0; 32]), fingerprint: F };
    assert!(!fruitless.contains(&first, Millis(0)));
    assert_eq!(fruitless.len(), 4096);
}

#[test]
fn who_fetches_in_spite_of_hearsay_is_waited_for_and_nobody_follows_hearsay() {
    let mut bench = bench();
    let subject = bench.subject(true);
    let of_another = Subject { fingerprint: ghmesh_model::Fingerprint([8; 32]), ..subject };
    bench.give(announced(far(), of_another));
    bench.look_up(1, subject);
    assert!(let_go(&mut bench, 1).contains(&fetch(1, FetchReason::Leased)), "no credential is waited for on hearsay");

    let subject = bench.subject(false);
    bench.give(announced(far(), subject));
    bench.look_up(2, subject);
    bench.pass(3_000);
    bench.pass(50);
    bench.give(announced(member(78), subject));
    assert!(let_go(&mut bench, 2).contains(&fetch(2, FetchReason::Leased)));
    let reply = bench.give(inquired(1, 2, subject, true));
    assert!(matches!(reply[..], [Output::Reply { reply: Reply::Coming { .. }, .. }]), "{reply:?}");
}

#[test]
fn threat_13_who_takes_back_what_it_told_and_tells_it_again_is_not_waited_for_again() {
    let mut bench = bench();
    let subject = bench.subject(false);
    bench.give(announced(far(), subject));
    bench.give(failed(subject));
    bench.give(announced(far(), subject));
    assert!(matches!(bench.look_up(1, subject)[..], [Output::Ask { .. }]));
    bench.give(Input::Arrived { subject, confirmed_at: bench.now });
    bench.give(Input::Found { lookup: LookupId(1) });
    bench.give(announced(member(78), subject));
    assert_eq!(bench.look_up(2, subject), [], "something has come of it since");
}

#[test]
fn a_record_that_is_of_no_use_here_ends_the_wait_for_it() {
    let mut bench = bench();
    let subject = bench.subject(false);
    let owner = bench.ranked(&subject)[0];
    bench.give(announced(far(), subject));
    bench.look_up(1, subject);
    assert_eq!(bench.give(Input::Concluded { from: member(78), subject }), []);
    let asked = bench.give(Input::Concluded { from: far(), subject });
    assert!(matches!(asked[..], [Output::Ask { to, .. }] if to == owner), "{asked:?}");
    assert!(bench.fleet.reputation.believes_hearsay(&far(), bench.now));
}

#[test]
fn who_follows_another_credentials_fetch_keeps_its_lease() {
    let mut bench = bench();
    let subject = bench.subject(true);
    let ahead = Subject { fingerprint: ghmesh_model::Fingerprint([8; 32]), ..subject };
    bench.give(inquired(1, 2, ahead, true));
    bench.look_up(1, subject);
    let_go(&mut bench, 1);
    assert!(matches!(bench.fleet.lookups[&LookupId(1)].phase, Phase::Following { .. }));
    bench.give(announced(far(), subject));
    let reply = bench.give(inquired(2, 3, subject, true));
    assert!(matches!(reply[..], [Output::Reply { reply: Reply::Coming { .. }, .. }]), "{reply:?}");
}

#[test]
fn what_somebody_else_brought_ends_the_silence_about_it() {
    let mut bench = bench();
    let subject = bench.subject(false);
    bench.give(announced(far(), subject));
    bench.give(failed(subject));
    bench.give(Input::Arrived { subject, confirmed_at: bench.now });
    bench.give(announced(far(), subject));
    assert_eq!(bench.look_up(1, subject), [], "it waits");
}
