use super::share::{MAX_IN_FLIGHT, MAX_POINTS, Pace, share};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const NOW: Moment = Moment { now: Millis(10_000_000), there: 1_000_000 };
const RESET: u64 = NOW.there + 1800;

fn standing(remaining: u64, reset: u64, as_of: u64) -> Standing {
    Standing { limit: 5000, remaining, reset, as_of: Millis(as_of) }
}

fn quota(remaining: u64, reset: u64) -> Quota {
    Quota { resource: "core".into(), limit: 5000, remaining, reset }
}

fn heard(remaining: u64, reset: u64) -> Heard {
    Heard { quota: Some(quota(remaining, reset)), wait: None, served: true }
}

fn told(member: u8, remaining: u64, reset: u64, as_of: u64) -> Told {
    let standings = vec![("core".to_owned(), standing(remaining, reset, as_of))];
    Told { from: MemberId([member; 32]), at: NOW.now, standings, stop: None }
}

fn stop(seconds: u64) -> Told {
    Told { from: MemberId([1; 32]), at: NOW.now, standings: Vec::new(), stop: Some(Duration::from_secs(seconds)) }
}

fn remaining(ledger: &Ledger) -> Option<u64> {
    ledger.standing("core", NOW.there).map(|standing| standing.remaining)
}

fn later(seconds: u64) -> Moment {
    Moment { now: NOW.now.after(Duration::from_secs(seconds)), there: NOW.there + seconds }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    (0..100_u64, 0..=100_u64, 0..400_u64, 0..100_u64).prop_map(|(limit, remaining, reset, as_of)| Standing {
        limit,
        remaining,
        reset,
        as_of: Millis(as_of),
    })
}

fn any_told() -> impl Strategy<Value = Told> {
    let around_now = NOW.now.0 - 100_000..NOW.now.0 + 100_000;
    let states = (0..6000_u64, NOW.there..NOW.there + 10_000, around_now);
    (0..4_u8, states, proptest::option::of(0..10_000_u64)).prop_map(|(member, (left, reset, as_of), wait)| Told {
        stop: wait.map(Duration::from_secs),
        ..told(member, left, reset, as_of)
    })
}

proptest! {
    #[test]
    fn words_merge_in_any_order_and_however_often(a in any_standing(), b in any_standing(), c in any_standing()) {
        prop_assert_eq!(a.merged(b), b.merged(a));
        prop_assert_eq!(a.merged(b).merged(c), a.merged(b.merged(c)));
        prop_assert_eq!(a.merged(a), a);
        prop_assert_eq!(a.merged(b).merged(b), a.merged(b));
    }

    #[test]
    fn what_members_say_comes_to_the_same_in_any_order(words in vec(any_told(), 0..8), turn in any::<usize>()) {
        let own = Some(heard(3000, RESET));
        for own in [None, own] {
            let tell = |words: &mut dyn Iterator<Item = &Told>| {
                let mut ledger = Ledger::default();
                own.iter().for_each(|own| ledger.observe(own, NOW.now, NOW.now));
                words.for_each(|word| ledger.learn(word, NOW));
                ledger
            };
            let turned = words.iter().cycle().skip(turn % words.len().max(1)).take(words.len());
            let straight = tell(&mut words.iter());
            prop_assert_eq!(&straight, &tell(&mut words.iter().rev()));
            prop_assert_eq!(&straight, &tell(&mut turned.clone()));
            prop_assert_eq!(&straight, &tell(&mut words.iter().chain(words.iter())));
        }
    }

    #[test]
    fn threat_22_no_member_raises_what_is_left_or_moves_the_reset(words in vec(any_told(), 0..8), left in 0..5000_u64) {
        let mut ledger = Ledger::default();
        ledger.observe(&heard(left, RESET), NOW.now, NOW.now);
        words.iter().for_each(|word| ledger.learn(word, NOW));
        let known = ledger.standing("core", NOW.there).expect("GitHub said so");
        prop_assert!(known.remaining <= left);
        prop_assert_eq!(known.reset, RESET);
    }

    #[test]
    fn threat_22_no_member_says_more_than_github_could(words in vec(any_told(), 0..8)) {
        let mut ledger = Ledger::default();
        words.iter().for_each(|word| ledger.learn(word, NOW));
        if let Some(known) = ledger.standing("core", NOW.there) {
            prop_assert!(known.remaining <= known.limit);
            prop_assert!(known.reset <= NOW.there + 3600 + RESET_TOLERANCE_SECONDS);
        }
        prop_assert!(ledger.stop_left(NOW.now).is_none_or(|left| left <= MAX_WAIT));
    }

    #[test]
    fn all_shares_together_are_within_the_limits(users in 1..=MAX_IN_FLIGHT) {
        let one = share(users);
        prop_assert!(one.in_flight * users <= MAX_IN_FLIGHT && one.points * users <= MAX_POINTS);
        prop_assert!(one.in_flight >= 1 && one.points >= 1);
    }

    #[test]
    fn no_minute_costs_more_than_the_share(steps in vec((0..20_000_u64, 1..=5_u32), 1..200), share in 5..60_u32) {
        let (mut pace, mut now, mut sent) = (Pace::default(), Millis(0), Vec::new());
        for (pause, points) in steps {
            now = now.after(Duration::from_millis(pause));
            if let Some(wait) = pace.wait(points, share, now) {
                now = now.after(wait);
            }
            prop_assert_eq!(pace.wait(points, share, now), None, "after the wait it fits");
            pace.spend(points, now);
            sent.push((now, points));
            let within = |(then, _): &&(Millis, u32)| now.since(*then).is_some_and(|age| age < Duration::from_secs(60));
            let spent: u32 = sent.iter().filter(within).map(|(_, points)| points).sum();
            prop_assert!(spent <= share);
        }
    }
}

#[test]
fn answers_that_overtake_each_other_leave_the_freshest_word() {
    let mut ledger = Ledger::default();
    let mut tell = |left, reset| {
        ledger.observe(&heard(left, reset), NOW.now, NOW.now);
        remaining(&ledger)
    };
    let reset = RESET / WINDOW_STEP_SECONDS * WINDOW_STEP_SECONDS;
    assert_eq!(tell(4990, reset), Some(4990));
    assert_eq!(tell(4991, reset), Some(4990), "an older answer of the same window");
    assert_eq!(tell(4980, reset + 1), Some(4980), "the window's end wobbles by a second");
    assert_eq!(tell(4999, reset + 3600), Some(4999), "the next window");
    assert_eq!(tell(4000, reset), Some(4999), "an answer of the window before");
}

#[test]
fn an_odd_word_is_not_believed_for_ever() {
    let mut ledger = Ledger::default();
    ledger.observe(&heard(0, u64::MAX), NOW.now, NOW.now);
    let at = |millis| NOW.now.after(Duration::from_millis(millis));
    ledger.observe(&heard(10, RESET + 3600), at(3_599_999), at(3_599_999));
    assert_eq!(remaining(&ledger), Some(0));
    ledger.observe(&heard(10, RESET + 3600), at(3_600_000), at(3_600_000));
    assert_eq!(remaining(&ledger), Some(10));
}

#[test]
fn githubs_own_word_ends_what_members_said_before_it() {
    let mut ledger = Ledger::default();
    ledger.observe(&heard(3000, RESET), NOW.now.before(Duration::from_secs(9)), NOW.now);
    ledger.learn(&told(1, 7, RESET, NOW.now.0 - 1), NOW);
    assert_eq!(remaining(&ledger), Some(7), "later and less");
    ledger.observe(&heard(2999, RESET), NOW.now, NOW.now);
    assert_eq!(remaining(&ledger), Some(2999), "it was a lie, or GitHub gave some back");
    ledger.learn(&told(1, 7, RESET, NOW.now.0 - 1), NOW);
    assert_eq!(remaining(&ledger), Some(2999), "old news");
}

#[test]
fn a_window_that_has_ended_says_nothing() {
    let mut ledger = Ledger::default();
    ledger.observe(&heard(3, RESET), NOW.now, NOW.now);
    assert_eq!(ledger.standing("core", RESET), None);
    assert_eq!(ledger.thrift("core", later(1800), 0.0), Thrift::None);
    ledger.learn(&told(1, 4000, RESET + 3600, later(1800).now.0), later(1800));
    assert_eq!(ledger.standing("core", RESET).map(|next| next.remaining), Some(4000), "the next one has begun");
}

#[test]
fn thrift_grows_as_less_is_left_for_the_time_to_the_reset() {
    let of = |bucket: &str, limit, left, seconds: u64| {
        Thrift::of(
            &Standing { limit, remaining: left, reset: 100 + seconds, as_of: Millis(0) },
            window_seconds(bucket),
            100,
        )
    };
    assert_eq!(of("core", 5000, 1000, 3600), Thrift::None);
    assert_eq!(of("core", 5000, 999, 3600), Thrift::Stretch, "a fifth of an even use");
    assert_eq!(of("core", 5000, 249, 3600), Thrift::Spare, "a twentieth");
    assert_eq!(of("core", 5000, 249, 360), Thrift::None, "it need not last for long");
    assert_eq!(of("core", 5000, 0, 1), Thrift::Spare, "nothing is left");
    assert_eq!(of("search", 30, 5, 60), Thrift::Stretch);
    assert_eq!(of("search", 30, 5, 20), Thrift::None);
}

#[test]
fn only_what_may_still_be_used_is_stretched() {
    let seconds = Duration::from_secs;
    assert!(!Thrift::None.spares(seconds(61), seconds(60)));
    assert!(Thrift::Stretch.spares(seconds(239), seconds(60)) && !Thrift::Stretch.spares(seconds(240), seconds(60)));
    assert!(Thrift::Spare.spares(seconds(3600), seconds(60)));
}

#[test]
fn a_wait_holds_until_it_ends_and_is_never_longer_than_an_hour() {
    let mut ledger = Ledger::default();
    let wait = |seconds| Heard { wait: Some(Duration::from_secs(seconds)), ..Heard::default() };
    ledger.observe(&wait(60), NOW.now, NOW.now);
    ledger.observe(&wait(1), NOW.now, NOW.now);
    assert_eq!(ledger.stop(NOW.now, 0.0), Some(Duration::from_secs(60)), "the longest that was asked for");
    ledger.observe(&heard(100, RESET), later(1).now, later(1).now);
    assert!(ledger.stop(later(59).now, 0.0).is_some(), "GitHub said so to this node");
    assert_eq!(ledger.stop(later(60).now, 0.0), None);
    ledger.observe(&wait(1_000_000_000), NOW.now, NOW.now);
    assert_eq!(ledger.stop(NOW.now, 0.0), Some(MAX_WAIT));
}

#[test]
fn threat_22_a_wait_that_a_member_tells_of_is_clamped_and_probed() {
    let mut ledger = Ledger::default();
    ledger.learn(&stop(1_000_000_000), NOW);
    assert_eq!(ledger.stop(NOW.now, 0.0), Some(MAX_WAIT));
    assert!(ledger.stop(later(59).now, 0.0).is_some(), "a true Retry-After of a minute is waited out");
    assert_eq!(ledger.stop(later(60).now, 1.0), None, "one request goes out to see");
    assert!(ledger.stop(later(60).now, 1.0).is_some(), "only one");
    assert!(ledger.stop(later(149).now, 1.0).is_some() && ledger.stop(later(150).now, 1.0).is_none(), "with jitter");
    ledger.observe(&heard(100, RESET), NOW.now.before(Duration::from_millis(1)), later(151).now);
    assert!(ledger.stop(later(151).now, 0.0).is_some(), "an answer to an earlier request shows nothing");
    ledger.observe(&heard(100, RESET), later(150).now, later(151).now);
    assert_eq!(ledger.stop(later(151).now, 0.0), None, "GitHub itself has answered since");
}

#[test]
fn threat_22_scarcity_that_only_members_tell_of_is_probed() {
    let mut ledger = Ledger::default();
    ledger.learn(&told(1, 0, RESET, NOW.now.0), NOW);
    assert_eq!(ledger.thrift("core", NOW, 0.0), Thrift::Spare);
    assert_eq!(ledger.thrift("core", later(60), 0.0), Thrift::None);
    assert_eq!(ledger.thrift("core", later(60), 0.0), Thrift::Spare);
}

#[test]
fn users_count_for_a_minute_after_their_last_word() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.active(NOW.now), 1);
    ledger.learn(&told(1, 10, RESET, NOW.now.0), NOW);
    ledger.learn(&Told { at: later(30).now, ..told(2, 10, RESET, NOW.now.0) }, later(30));
    assert_eq!((ledger.active(later(59).now), ledger.active(later(60).now)), (3, 2));
    for number in 0..MAX_OTHERS as u32 + 5 {
        let mut member = [0; 32];
        member[..4].copy_from_slice(&number.to_be_bytes());
        ledger.learn(&Told { from: MemberId(member), at: later(61).now, ..stop(0) }, later(61));
    }
    assert_eq!(ledger.others.len(), MAX_OTHERS);
}

#[test]
fn members_are_told_of_use_of_changes_that_matter_and_of_waits_at_once() {
    let mut ledger = Ledger::default();
    let told = |ledger: &mut Ledger, seconds| ledger.due_tidings(later(seconds));
    assert_eq!(told(&mut ledger, 0), Some(Tidings::default()), "that it is used");
    ledger.observe(&heard(4000, RESET), NOW.now, NOW.now);
    assert_eq!(told(&mut ledger, 0), None, "not twice in a second");
    assert_eq!(told(&mut ledger, 1).map(|tidings| tidings.standings.len()), Some(1));
    ledger.observe(&heard(3700, RESET), NOW.now, NOW.now);
    assert_eq!(told(&mut ledger, 3), None, "less than a tenth");
    ledger.observe(&heard(3600, RESET), NOW.now, NOW.now);
    assert!(told(&mut ledger, 3).is_some());
    ledger.observe(&Heard { wait: Some(Duration::from_secs(60)), ..Heard::default() }, NOW.now, later(3).now);
    assert_eq!(told(&mut ledger, 3).and_then(|tidings| tidings.stop), Some(Duration::from_secs(60)));
    assert_eq!(told(&mut ledger, 22), None);
    assert!(told(&mut ledger, 23).is_some(), "that it is still used");
}

#[test]
fn hearsay_is_not_told_on() {
    let mut ledger = Ledger::default();
    ledger.learn(&told(1, 0, RESET, NOW.now.0), NOW);
    ledger.learn(&stop(60), NOW);
    assert_eq!(ledger.tidings(NOW), Tidings::default());
}

#[test]
fn buckets_are_bounded_and_named_as_github_names_them() {
    let mut ledger = Ledger::default();
    for number in 0..MAX_BUCKETS + 5 {
        let name = "r".repeat(number + 1);
        ledger.observe(
            &Heard { quota: Some(Quota { resource: name, ..quota(1, RESET) }), ..Heard::default() },
            NOW.now,
            NOW.now,
        );
    }
    assert_eq!(ledger.standings(NOW.there).count(), MAX_BUCKETS);
    let mut odd = Ledger::default();
    let named = |name: &str| Told { standings: vec![(name.to_owned(), standing(1, RESET, 0))], ..stop(0) };
    ["Core", "a b", ""].iter().for_each(|name| odd.learn(&named(name), NOW));
    assert_eq!(odd.standings(NOW.there).count(), 0);
}

#[test]
fn the_overview_names_all_buckets() {
    let body = br#"{"resources":{"core":{"limit":5000,"used":1,"remaining":4999,"reset":7},"search":{"limit":30,"remaining":30,
        "reset":8},"odd":{"limit":"many"},"B B":{"limit":1,"remaining":1,"reset":1}},"rate":{}}"#;
    let search = Quota { resource: "search".into(), limit: 30, remaining: 30, reset: 8 };
    assert_eq!(overview(body), [quota(4999, 7), search]);
    assert_eq!(overview(b"{}"), []);
    assert_eq!(overview(b"no json"), []);
}

#[test]
fn paths_are_charged_to_their_buckets() {
    let of = ["/graphql", "/search/code", "/search/issues", "/repos/o/r"].map(bucket_of);
    assert_eq!(of, ["graphql", "code_search", "search", "core"]);
}
