//! What an answer shows of resources, and what becomes stale by it.

use super::*;
use crate::fixtures::{Bench, entry};
use ghmesh_policy::invalidation::scopes_of_write;

const ISSUE: &str = "/repos/octo/hello/issues/1";
const ISSUES: &str = "/repos/octo/hello/issues";

fn issue(minute: u32) -> String {
    format!(
        r#"{{"url":"https://api.github.com{ISSUE}","number":1,"state":"open","updated_at":"2026-01-01T00:{minute:02}:00Z"}}"#
    )
}

/// The node is shown a body at `path`, asked for then.
async fn shown(bench: &Bench, path: &str, body: String, sent_at: Millis) {
    let (read, body) = (bench.read(path, &[]), Bytes::from(body));
    let representation = entry(b"", sent_at).representation;
    let insight = Insight::of(&read, &representation, &body, 0);
    assert!(!insight.validators.is_empty(), "it tells a version");
    bench.inner().note_versions(&read, &insight, sent_at).await;
}

/// Whether what was kept of the issue counts that was asked for then.
fn counts(bench: &Bench, sent_at: Millis) -> bool {
    let read = bench.read(ISSUE, &[]);
    let insight = Insight::of(&read, &entry(b"", sent_at).representation, &Bytes::from(issue(0)), 0);
    bench.inner().tombstones.admit(&insight.scopes, sent_at)
}

#[tokio::test]
async fn a_new_version_makes_those_before_it_stale_and_not_itself() {
    let bench = Bench::in_mesh().await;
    let [before, seen, at_once] = [30, 20, 20].map(|ago| bench.ago(ago));
    shown(&bench, ISSUE, issue(1), before).await;
    assert!(counts(&bench, before));
    shown(&bench, ISSUE, issue(2), seen).await;
    assert!(!counts(&bench, before) && !counts(&bench, Millis(seen.0 - 1_000)));
    assert!(counts(&bench, at_once), "what showed it is as new as it");
}

#[tokio::test]
async fn what_a_list_shows_changed_is_stale_for_as_long_as_a_replica_may_lag() {
    let bench = Bench::in_mesh().await;
    shown(&bench, ISSUE, issue(1), bench.ago(30)).await;
    let listed = bench.ago(20);
    shown(&bench, ISSUES, format!("[{}]", issue(2)), listed).await;
    assert!(!counts(&bench, listed));
    assert!(counts(&bench, listed.after(freshness::TOMBSTONE_MARGIN)));
}

#[tokio::test]
async fn each_list_that_shows_it_changed_again_is_news() {
    let bench = Bench::in_mesh().await;
    for (minute, ago) in [(1, 40), (2, 30), (3, 20), (4, 10)] {
        shown(&bench, ISSUES, format!("[{}]", issue(minute)), bench.ago(ago)).await;
        assert_eq!(counts(&bench, bench.ago(ago + 2)), minute == 1, "version {minute}");
    }
}

#[tokio::test]
async fn who_was_told_of_a_change_does_not_tell_of_it_again() {
    let bench = Bench::in_mesh().await;
    shown(&bench, ISSUE, issue(1), bench.ago(30)).await;
    let write = scopes_of_write(&http::Method::PATCH, &bench.read(ISSUE, &[]).target);
    bench.inner().bury_here(&write, bench.ago(20)).await;
    shown(&bench, ISSUE, issue(2), bench.ago(10)).await;
    assert!(counts(&bench, bench.ago(15)), "what others asked for since may be as new");
    shown(&bench, ISSUE, issue(3), bench.ago(5)).await;
    assert!(!counts(&bench, bench.ago(15)), "that it is yet another is news");
}

#[tokio::test]
async fn an_older_version_of_a_slow_answer_ends_nothing() {
    let bench = Bench::in_mesh().await;
    shown(&bench, ISSUE, issue(2), bench.ago(10)).await;
    shown(&bench, ISSUE, issue(1), bench.ago(20)).await;
    shown(&bench, ISSUES, format!("[{}]", issue(1)), bench.ago(5)).await;
    assert!(counts(&bench, bench.ago(10)));
}
