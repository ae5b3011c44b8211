use super::*;
use crate::fixtures::{CONFIRMED, Pair, after, entry, read};
use proptest::prelude::*;

const GITHUB: Pair<'_> = ("cache-control", "private, max-age=60, s-maxage=60");
const STALE: Verdict = Verdict::Stale { usable_on_error: true };
const LATE: Verdict = Verdict::Stale { usable_on_error: false };

/// A route that is fresh for a minute.
const RUNS: &str = "/repos/o/r/actions/runs";
/// The last second at which what lives for a minute is fresh for sure, whatever its jitter.
const STILL: u64 = 53;

fn judge(request: &[Pair<'_>], response: Pair<'_>, age_seconds: u64) -> Verdict {
    verdict(&read(RUNS, request), &Freshness::default(), &entry(&[response], b"{}"), after(age_seconds))
}

fn asked(cache_control: &str, age_seconds: u64) -> Verdict {
    judge(&[("cache-control", cache_control)], GITHUB, age_seconds)
}

fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether a lifetime is this one but for its jitter.
fn is_about(lifetime: Duration, seconds: u64) -> bool {
    (second(seconds) * 9 / 10..=second(seconds)).contains(&lifetime)
}

#[test]
fn an_answer_is_fresh_as_the_table_says_and_usable_on_errors_for_an_hour() {
    for (age_seconds, wanted) in
        [(0, Verdict::Fresh), (STILL, Verdict::Fresh), (60, STALE), (3599, STALE), (3600, Verdict::MustRevalidate)]
    {
        assert_eq!(judge(&[], GITHUB, age_seconds), wanted, "{age_seconds} s");
    }
    let repository = lifetime(&read("/repos/o/r", &[]), &Freshness::default(), &entry(&[GITHUB], b"{}"));
    assert!(is_about(repository, 300), "{repository:?}");
}

#[test]
fn callers_may_ask_for_fresher_answers() {
    assert_eq!(asked("no-cache", 1), Verdict::MustRevalidate);
    assert_eq!(judge(&[("pragma", "no-cache")], GITHUB, 1), Verdict::MustRevalidate);
    assert_eq!(asked("max-age=10", 10), Verdict::Fresh);
    assert_eq!(asked("max-age=10", 11), LATE, "nor on an error");
    assert_eq!(asked("min-fresh=20", STILL - 20), Verdict::Fresh);
    assert_eq!(asked("min-fresh=20", 40), STALE);
}

#[test]
fn callers_may_bear_staler_answers_within_the_proofs_time() {
    assert_eq!(asked("max-stale=100", 100 + STILL), Verdict::Fresh);
    assert_eq!(asked("max-stale=100", 160), STALE);
    assert_eq!(asked("max-stale", 3599), Verdict::Fresh);
    assert_eq!(asked("max-stale", 3600), Verdict::MustRevalidate);
    assert_eq!(asked("max-stale, max-age=10", 11), LATE);
}

#[test]
fn ghs_ttl_stands_in_for_the_configured_one() {
    let with_ttl = |ttl: &str, age_seconds| judge(&[("x-gh-cache-ttl", ttl)], GITHUB, age_seconds);
    assert_eq!(with_ttl("30m0s", 1799), Verdict::Fresh);
    assert_eq!(with_ttl("30m0s", 1800), STALE);
    assert_eq!(with_ttl("10s", 10), STALE);
    assert_eq!(with_ttl("0s", 0), STALE);
    assert_eq!(with_ttl("24h0m0s", 3599), Verdict::Fresh);
    assert_eq!(with_ttl("24h0m0s", 3600), Verdict::MustRevalidate, "the proof's time caps everything");
}

#[test]
fn the_origin_may_ask_for_confirmation_every_time() {
    for directive in ["no-cache", "private, max-age=0", "no-cache=\"link\"", "max-age=soon"] {
        assert_eq!(judge(&[], ("cache-control", directive), 0), Verdict::MustRevalidate, "{directive}");
    }
    assert_eq!(judge(&[], ("cache-control", "max-age=10"), 10), STALE, "shorter than GitHub's usual minute");
    assert_eq!(judge(&[], ("vary", "Accept"), STILL), Verdict::Fresh);
}

#[test]
fn the_origins_poll_interval_is_the_least_time_between_two_looks() {
    let polled: Pair<'_> = ("x-poll-interval", "300");
    for request in [&[][..], &[("cache-control", "max-age=0")], &[("x-gh-cache-ttl", "5s")]] {
        assert_eq!(judge(request, polled, 299), Verdict::Fresh, "{request:?}");
        assert_ne!(judge(request, polled, 300), Verdict::Fresh, "{request:?}");
    }
    assert_eq!(judge(&[("cache-control", "no-cache")], polled, 1), Verdict::MustRevalidate);
    for (hostile, seconds) in [("99999999999999999999", 900), ("-1", 60), ("soon", 60), ("", 60)] {
        let read = read(RUNS, &[]);
        let lifetime = lifetime(&read, &Freshness::default(), &entry(&[("x-poll-interval", hostile)], b"{}"));
        assert!(is_about(lifetime, seconds), "{hostile}: {lifetime:?}");
    }
}

#[test]
fn the_operators_times_hold() {
    let config = Freshness {
        default_ttl: Some(second(300)),
        proof_ttl: second(1000),
        stale_ttl: second(100),
        ..Freshness::default()
    };
    let at = |age_seconds| verdict(&read("/user", &[]), &config, &entry(&[GITHUB], b"{}"), after(age_seconds));
    assert_eq!(
        [at(269), at(300), at(369), at(400), at(1000)],
        [Verdict::Fresh, STALE, STALE, LATE, Verdict::MustRevalidate]
    );
    let short = Freshness { proof_ttl: second(10), ..config };
    assert!(is_about(lifetime(&read("/user", &[]), &short, &entry(&[GITHUB], b"{}")), 10));
}

#[test]
fn the_operators_times_stand_in_for_the_tables_and_his_routes_for_his_default() {
    let mut busy = entry(&[GITHUB], b"{}");
    busy.history = ghmesh_model::History { checks: 10, unchanged: 0, observed_ms: 600_000 };
    busy.facts.settled = ghmesh_model::Settled::Over;
    let routes = RouteOverrides::new([("/repos/{owner}/{repo}/issues/{n}", second(500))]).expect("a template");
    let default = Freshness { default_ttl: Some(second(100)), ..Freshness::default() };
    let both = Freshness { routes, ..default.clone() };
    let seconds = |config: &Freshness, path: &str, wanted: u64| {
        let lifetime = lifetime(&read(path, &[]), config, &busy);
        assert!(is_about(lifetime, wanted), "{path}: {lifetime:?}");
    };
    seconds(&default, "/repos/o/r/issues/5", 100);
    seconds(&both, "/repos/o/r/issues/5", 500);
    seconds(&both, "/repos/o/r/actions/runs/5", 100);
    seconds(&Freshness { adaptive: false, ..Freshness::default() }, "/repos/o/r/issues/5", 3600);
    seconds(&Freshness::default(), "/repos/o/r/issues/5", 900);
    seconds(&Freshness::default(), "/repos/o/r/issues", 30);
}

#[test]
fn what_a_hash_names_lasts_as_long_as_the_proof() {
    let blob = read("/repos/o/r/git/blobs/0123456789abcdef0123456789abcdef01234567", &[]);
    let entry = entry(&[GITHUB], b"{}");
    for default_ttl in [None, Some(second(5))] {
        let config = Freshness { default_ttl, ..Freshness::default() };
        assert!(is_about(lifetime(&blob, &config, &entry), 3600));
        assert_eq!(oldest_wanted(&blob, &config), second(3240));
        assert_eq!(verdict(&blob, &config, &entry, after(3600)), Verdict::MustRevalidate);
    }
    let never = Freshness { default_ttl: Some(Duration::ZERO), ..Freshness::default() };
    assert_eq!(lifetime(&blob, &never, &entry), Duration::ZERO, "0: every read asks");
}

#[test]
fn members_are_asked_for_what_this_caller_would_use() {
    let wanted = |request: &[Pair<'_>]| oldest_wanted(&read(RUNS, request), &Freshness::default()).as_secs();
    assert_eq!(wanted(&[]), 54, "an older one may have ended here");
    assert_eq!(wanted(&[("cache-control", "max-age=10")]), 10);
    assert_eq!(wanted(&[("cache-control", "min-fresh=20")]), 34);
    assert_eq!(wanted(&[("x-gh-cache-ttl", "2h")]), 3600);
}

#[test]
fn answers_confirmed_together_do_not_end_together() {
    let read = read(RUNS, &[]);
    let ends: std::collections::BTreeSet<Duration> = (0..100)
        .map(|milli| {
            let entry = Entry { confirmed_at: Millis(CONFIRMED.0 + milli), ..entry(&[GITHUB], b"{}") };
            assert_eq!(lifetime(&read, &Freshness::default(), &entry), lifetime(&read, &Freshness::default(), &entry));
            lifetime(&read, &Freshness::default(), &entry)
        })
        .collect();
    assert!(ends.len() > 90, "{} different ones", ends.len());
    assert!(ends.iter().all(|end| is_about(*end, 60)));
    let spread = ends.last().zip(ends.first()).map(|(last, first)| *last - *first);
    assert!(spread > Some(second(4)), "{spread:?}");
}

proptest! {
    #[test]
    fn no_lifetime_exceeds_the_proofs(
        proof in any::<u32>(), default in proptest::option::of(any::<u32>()), ttl in any::<u64>(), header in "[0-9]{0,25}",
        checks in any::<u16>(), unchanged in any::<u16>(), observed_ms in any::<u64>(), target in any::<f64>(),
    ) {
        let config = Freshness {
            proof_ttl: second(proof.into()),
            default_ttl: default.map(|seconds| second(seconds.into())),
            target_staleness: target,
            ..Freshness::default()
        };
        let mut entry = entry(&[("x-poll-interval", &header), ("cache-control", &format!("max-age={header}"))], b"{}");
        entry.history = ghmesh_model::History { checks, unchanged, observed_ms };
        let ttl = format!("{ttl}");
        for request in [&[][..], &[("x-gh-cache-ttl", ttl.as_str())]] {
            prop_assert!(lifetime(&read(RUNS, request), &config, &entry) <= config.proof_ttl);
            prop_assert!(oldest_wanted(&read(RUNS, request), &config) <= config.proof_ttl);
        }
        prop_assert_ne!(verdict(&read(RUNS, &[]), &config, &entry, CONFIRMED.after(config.proof_ttl)), Verdict::Fresh);
    }
}

#[test]
fn an_age_that_is_unknown_is_expired() {
    let before = CONFIRMED.before(Duration::from_millis(1));
    assert_eq!(
        verdict(&read("/user", &[]), &Freshness::default(), &entry(&[GITHUB], b"{}"), before),
        Verdict::MustRevalidate
    );
}

#[test]
fn threat_10_a_fill_counts_only_if_it_started_after_the_write() {
    let (buried, other) = (Scope([1; 16]), Scope([2; 16]));
    let tombstone = |scope: &Scope| (*scope == buried).then_some(CONFIRMED);
    let admitted_at = |scopes: &[Scope], millis: u64| admitted(scopes, Millis(CONFIRMED.0 + millis), &tombstone);
    assert!(!admitted_at(&[other, buried], 0));
    assert!(!admitted_at(&[other, buried], 999), "within the margin");
    assert!(admitted_at(&[other, buried], 1000));
    assert!(admitted_at(&[other], 0));
    assert!(!admitted(&[buried], CONFIRMED.before(Duration::from_secs(9)), &tombstone), "it started before the write");
}
