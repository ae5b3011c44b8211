use super::*;
use crate::fixtures::{CONFIRMED, Pair, after, entry, read};

const GITHUB: Pair<'_> = ("cache-control", "private, max-age=60, s-maxage=60");
const STALE: Verdict = Verdict::Stale { usable_on_error: true };
const LATE: Verdict = Verdict::Stale { usable_on_error: false };

fn judge(request: &[Pair<'_>], response: Pair<'_>, age_seconds: u64) -> Verdict {
    verdict(&read("/repos/o/r", request), &Freshness::default(), &entry(&[response], b"{}"), after(age_seconds))
}

fn asked(cache_control: &str, age_seconds: u64) -> Verdict {
    judge(&[("cache-control", cache_control)], GITHUB, age_seconds)
}

#[test]
fn an_answer_is_fresh_for_a_minute_and_usable_on_errors_for_an_hour() {
    for (age_seconds, wanted) in
        [(0, Verdict::Fresh), (59, Verdict::Fresh), (60, STALE), (3599, STALE), (3600, Verdict::MustRevalidate)]
    {
        assert_eq!(judge(&[], GITHUB, age_seconds), wanted, "{age_seconds} s");
    }
}

#[test]
fn callers_may_ask_for_fresher_answers() {
    assert_eq!(asked("no-cache", 1), Verdict::MustRevalidate);
    assert_eq!(judge(&[("pragma", "no-cache")], GITHUB, 1), Verdict::MustRevalidate);
    assert_eq!(asked("max-age=10", 10), Verdict::Fresh);
    assert_eq!(asked("max-age=10", 11), LATE, "nor on an error");
    assert_eq!(asked("min-fresh=20", 39), Verdict::Fresh);
    assert_eq!(asked("min-fresh=20", 40), STALE);
}

#[test]
fn callers_may_bear_staler_answers_within_the_proofs_time() {
    assert_eq!(asked("max-stale=100", 159), Verdict::Fresh);
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
    assert_eq!(judge(&[], ("vary", "Accept"), 59), Verdict::Fresh);
}

#[test]
fn the_operators_times_hold() {
    let second = Duration::from_secs;
    let config = Freshness { default_ttl: second(300), proof_ttl: second(1000), stale_ttl: second(100) };
    let at = |age_seconds| verdict(&read("/user", &[]), &config, &entry(&[GITHUB], b"{}"), after(age_seconds));
    assert_eq!(
        [at(299), at(300), at(399), at(400), at(1000)],
        [Verdict::Fresh, STALE, STALE, LATE, Verdict::MustRevalidate]
    );
    let short = Freshness { proof_ttl: second(10), ..config };
    assert_eq!(Stored::of(&entry(&[GITHUB], b"{}")).lifetime(&read("/user", &[]), &short), second(10));
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
