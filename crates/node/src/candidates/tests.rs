//! What is offered to GitHub, and for whom.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Bench, entry};
use ghmesh_github_sim::tokens;
use ghmesh_model::Millis;
use ghmesh_policy::etag;

/// A list, and one issue of it.
const LIST: &str = "/repos/octo/hello/issues";
const ISSUE: &str = "/repos/octo/hello/issues/1";

fn bob(bench: &Bench, path: &str) -> Read {
    bench.read_as(&format!("token {}", tokens::BOB), path, &[])
}

async fn keeps(bench: &Bench, read: &Read, body: &'static [u8], entry: Entry) {
    bench.inner().store.put(bench.inner().slot(read), entry, Some(Bytes::from_static(body))).await.unwrap();
}

fn with_tag(body: &[u8], confirmed_at: Millis, etag: &str) -> Entry {
    Entry { etag: Some(etag.to_owned()), ..entry(body, confirmed_at) }
}

/// The tags that are offered in a call for `read`.
async fn tags(bench: &Bench, read: &Read) -> Vec<String> {
    let kept = bench.inner().held(read).and_then(|held| Some((held.entry, held.body?)));
    bench.inner().offers(read, kept.as_ref()).await.into_iter().map(|offer| offer.etag).collect()
}

/// The tag that GitHub would give to the credential of `read` for a body.
fn computed(read: &Read, body: &[u8]) -> String {
    format!("W/{}", Hashed::DOCUMENTED.etag(&read.upstream, body))
}

#[tokio::test]
async fn ones_own_tag_comes_first_then_others_bodies_and_on_lists_the_empty_one() {
    let bench = Bench::alone().await;
    let (mine, other) = (bench.read(LIST, &[]), bob(&bench, LIST));
    assert_eq!(tags(&bench, &mine).await, [computed(&mine, b"[]")]);
    keeps(&bench, &mine, b"[1]", with_tag(b"[1]", bench.ago(10), "\"mine\"")).await;
    keeps(&bench, &other, b"[2]", with_tag(b"[2]", bench.ago(5), "\"bobs\"")).await;
    assert_eq!(tags(&bench, &mine).await, ["\"mine\"".to_owned(), computed(&mine, b"[2]"), computed(&mine, b"[]")]);
    let issue = bench.read(ISSUE, &[]);
    assert!(tags(&bench, &issue).await.is_empty(), "another key, and no list");
}

#[tokio::test]
async fn threat_3_a_tag_that_a_member_led_to_is_computed_anew() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(ISSUE, &[]);
    let adopted = Entry { source: Source::Peer, ..with_tag(b"{}", bench.ago(10), "\"under a member's Vary\"") };
    keeps(&bench, &read, b"{}", adopted).await;
    assert_eq!(tags(&bench, &read).await, [computed(&read, b"{}")]);
}

#[tokio::test]
async fn an_anonymous_caller_offers_nothing_and_helps_those_with_tokens() {
    let bench = Bench::alone().await;
    let anonymous = bench.read_as("", ISSUE, &[]);
    keeps(&bench, &anonymous, b"{}", with_tag(b"{}", bench.ago(10), "\"all\"")).await;
    assert!(tags(&bench, &anonymous).await.is_empty(), "its 304 would be charged");
    let read = bench.read(ISSUE, &[]);
    assert_eq!(tags(&bench, &read).await, [computed(&read, b"{}")]);
}

#[tokio::test]
async fn what_members_told_for_others_is_offered_with_this_callers_tag_and_never_held() {
    let bench = Bench::in_mesh().await;
    let (mine, other) = (bench.read(ISSUE, &[]), bob(&bench, ISSUE));
    bench.exchange().receive(bench.told(&other, &entry(b"{}", bench.ago(5)), b"{}")).await;
    assert!(bench.inner().held(&mine).is_none());
    assert_eq!(tags(&bench, &mine).await, [computed(&mine, b"{}")]);
    assert_ne!(computed(&mine, b"{}"), computed(&other, b"{}"));
}

#[tokio::test]
async fn large_bodies_are_hashed_elsewhere_and_rightly() {
    let bench = Bench::alone().await;
    let (mine, other) = (bench.read(ISSUE, &[]), bob(&bench, ISSUE));
    let large: &'static [u8] = vec![b'1'; HASH_INLINE_BYTES + 1].leak();
    keeps(&bench, &other, large, entry(large, bench.ago(5))).await;
    assert_eq!(tags(&bench, &mine).await, [computed(&mine, large)]);
}

#[test]
fn the_tag_of_what_is_everybodys_has_no_credential_in_it() {
    assert_eq!(etag::for_everybody(b"{}"), etag::for_everybody(b"{}"));
    assert_ne!(etag::for_everybody(b"{}"), etag::for_everybody(b"[]"));
}

#[test]
fn of_one_body_the_headers_that_github_gave_here_are_taken() {
    let slot = |number: u8| Slot::Local(ghmesh_model::CacheKey([1; 32]), ghmesh_model::LocalFingerprint([number; 32]));
    let of = |number: u8, body: &[u8], at: u64, source: Source| {
        (slot(number), Arc::new(Entry { source, ..entry(body, Millis(at)) }))
    };
    let (peers, here) = (of(1, b"1", 30, Source::Peer), of(2, b"1", 10, Source::Own));
    let (other, mine) = (of(3, b"2", 20, Source::Own), of(4, b"3", 40, Source::Own));
    let own = Some(mine.1.representation.cid);
    let expected = [here.1.clone(), other.1.clone()];
    assert_eq!(latest_of_each(vec![mine, other, here, peers], own), expected);
}
