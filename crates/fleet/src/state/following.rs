//! One key for several credentials: who may fetch waits once for the body that another credential's fetch brings.

use super::tests::{Bench, F, TTL, inquired, member, replied};
use super::*;
use crate::Reply;
use ghmesh_model::Fingerprint;

/// A lease before anything was measured.
const SPAN: Duration = Duration::from_secs(3);

fn of_another(subject: Subject) -> Subject {
    assert_eq!(subject.fingerprint, F);
    Subject { fingerprint: Fingerprint([8; 32]), ..subject }
}

fn fetch(lookup: u64, reason: FetchReason) -> Output {
    Output::Fetch { lookup: LookupId(lookup), reason }
}

fn leased(number: u64, behind: Option<Duration>) -> Output {
    replied(number, Reply::Lease { span: SPAN, behind })
}

/// A node that knows no members.
fn alone(follow: bool) -> Bench {
    Bench { fleet: Fleet::new(Config { me: member(0), follow }), now: Millis(1_000_000) }
}

impl Bench {
    /// Looks up what another owns, and is told to fetch behind another credential's fetch of `wait`.
    fn is_put_behind(&mut self, wait: Duration) -> Subject {
        let subject = self.subject(false);
        self.look_up(1, subject);
        self.give(Input::Answered { ask: AskId(1), answer: Answer::Lease { behind: Some(wait) } });
        self.give(Input::Answered { ask: AskId(2), answer: Answer::No });
        assert_eq!(self.give(Input::Answered { ask: AskId(3), answer: Answer::No }), [], "it follows");
        subject
    }
}

#[test]
fn an_owner_puts_the_second_credential_behind_the_first_and_tells_it_of_the_outcome() {
    let mut bench = Bench::new();
    let first = bench.subject(true);
    let second = of_another(first);
    assert_eq!(bench.give(inquired(1, 1, first, true)), [leased(1, None)]);
    bench.now.0 += 1000;
    assert_eq!(bench.give(inquired(2, 2, second, true)), [leased(2, Some(Duration::from_secs(2)))]);
    assert_eq!(bench.give(inquired(3, 2, second, true)), [leased(3, None)], "it asks again while it fetches");
    let told = bench.give(Input::Arrived { subject: first, confirmed_at: bench.now });
    assert_eq!(told, [Output::Deliver { to: member(2), subject: first }]);
}

#[test]
fn who_is_put_behind_fetches_once_the_body_has_come() {
    let mut bench = Bench::new();
    let subject = bench.is_put_behind(Duration::from_secs(2));
    let elsewhere = Subject { key: ghmesh_model::WireKey([0xee; 32]), ..subject };
    assert_eq!(bench.give(Input::Arrived { subject: elsewhere, confirmed_at: bench.now }), []);
    let arrived = bench.give(Input::Arrived { subject: of_another(subject), confirmed_at: bench.now });
    assert_eq!(arrived, [fetch(1, FetchReason::Leased)]);
    assert_eq!(bench.fleet.counters().follows, 1);
}

#[test]
fn who_is_put_behind_fetches_when_the_other_comes_to_nothing() {
    for unshareable in [true, false] {
        let mut bench = Bench::new();
        let subject = bench.is_put_behind(Duration::from_secs(2));
        let owner = bench.ranked(&subject)[0];
        let released = bench.give(Input::Released { from: owner, subject: of_another(subject), unshareable });
        assert_eq!(released, [fetch(1, FetchReason::Leased)]);
    }
}

#[test]
fn nobody_is_followed_for_longer_than_a_fetch_should_take() {
    for (told, waited) in [(200, 250), (3_600_000, 3050)] {
        let mut bench = Bench::new();
        bench.is_put_behind(Duration::from_millis(told));
        assert_eq!(bench.pass(waited - 1), []);
        assert_eq!(bench.pass(1), [fetch(1, FetchReason::Leased)], "told {told} ms");
    }
}

#[test]
fn on_one_node_the_second_credential_follows_the_first() {
    let mut bench = alone(true);
    let first = Subject { key: ghmesh_model::WireKey([1; 32]), fingerprint: F };
    assert_eq!(bench.look_up(1, first), [fetch(1, FetchReason::Alone)]);
    bench.now.0 += 5;
    assert_eq!(bench.look_up(2, of_another(first)), []);
    let fetched = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) });
    assert_eq!(fetched, [fetch(2, FetchReason::Alone)]);
    assert_eq!(bench.give(Input::Fetched { lookup: LookupId(2), took: Duration::from_millis(80) }), []);
    assert_eq!(bench.fleet.load(), Load::default(), "nothing is left of it");
}

#[test]
fn of_two_credentials_in_the_same_moment_the_second_follows() {
    let mut bench = alone(true);
    let first = Subject { key: ghmesh_model::WireKey([1; 32]), fingerprint: F };
    assert_eq!(bench.look_up(1, first), [fetch(1, FetchReason::Alone)]);
    assert_eq!(bench.look_up(2, of_another(first)), [], "no millisecond has passed");
    let fetched = bench.give(Input::Fetched { lookup: LookupId(1), took: Duration::from_millis(80) });
    assert_eq!(fetched, [fetch(2, FetchReason::Alone)]);
}

#[test]
fn nobody_follows_one_that_follows() {
    let mut bench = alone(true);
    let first = Subject { key: ghmesh_model::WireKey([1; 32]), fingerprint: F };
    let third = Subject { fingerprint: Fingerprint([9; 32]), ..first };
    bench.look_up(1, first);
    bench.now.0 += 5;
    assert_eq!(bench.look_up(2, of_another(first)), []);
    bench.now.0 += 5;
    assert_eq!(bench.look_up(3, third), []);
    let ended = bench.give(Input::Ended { lookup: LookupId(1), unshareable: true });
    assert_eq!(ended, [fetch(2, FetchReason::Alone), fetch(3, FetchReason::Alone)], "both followed the first");
}

#[test]
fn where_bodies_are_of_no_use_to_others_nobody_follows() {
    for (everywhere, here) in [(false, true), (true, false)] {
        let mut bench = alone(everywhere);
        let first = Subject { key: ghmesh_model::WireKey([1; 32]), fingerprint: F };
        bench.look_up(1, first);
        bench.now.0 += 5;
        let lookup = Input::Lookup { lookup: LookupId(2), subject: of_another(first), max_age: TTL, follow: here };
        assert_eq!(bench.give(lookup), [fetch(2, FetchReason::Alone)]);
    }
}
