//! What is held for whom.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Bench, PATH, entry};
use ghmesh_model::Millis;
use ghmesh_policy::invalidation::Denial;

/// Stores a caller's own entry, confirmed then.
async fn own(bench: &Bench, read: &Read, body: &'static [u8], confirmed_at: Millis) -> Entry {
    let entry = Entry { scopes: read.scopes(), ..entry(body, confirmed_at) };
    let body = Some(Bytes::from_static(body));
    bench.inner().store.put(bench.inner().slot(read), entry.clone(), body).await.unwrap();
    entry
}

async fn told(bench: &Bench, read: &Read, body: &'static [u8], confirmed_at: Millis) {
    bench.exchange().receive(bench.told(read, &entry(body, confirmed_at), body)).await;
}

fn held(bench: &Bench, read: &Read) -> Option<(Bytes, How, Verdict)> {
    let held = bench.inner().held(read)?;
    Some((held.body.unwrap_or_default(), held.how, held.verdict))
}

const STALE: Verdict = Verdict::Stale { usable_on_error: true };

#[tokio::test]
async fn a_fresh_entry_of_ones_own_is_enough_and_a_stale_one_gives_way_to_a_members_newer() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(PATH, &[]);
    assert_eq!(held(&bench, &read), None);
    own(&bench, &read, b"[1]", bench.ago(400)).await;
    assert_eq!(held(&bench, &read), Some((Bytes::from_static(b"[1]"), How::Local, STALE)));
    told(&bench, &read, b"[0]", bench.ago(500)).await;
    assert_eq!(held(&bench, &read).unwrap().1, How::Local, "the member's is older");
    told(&bench, &read, b"[2]", bench.ago(10)).await;
    assert_eq!(held(&bench, &read), Some((Bytes::from_static(b"[2]"), How::Peer, Verdict::Fresh)));
    own(&bench, &read, b"[3]", bench.ago(20)).await;
    assert_eq!(held(&bench, &read), Some((Bytes::from_static(b"[3]"), How::Local, Verdict::Fresh)));
}

#[tokio::test]
async fn a_members_entry_is_for_the_credential_that_vouches_for_it() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(PATH, &[]);
    told(&bench, &read, b"[1]", bench.ago(1)).await;
    let other = bench.read_as(&format!("token {}", ghmesh_github_sim::tokens::BOB), PATH, &[]);
    assert_eq!(held(&bench, &other), None);
    assert_eq!(held(&bench, &read).unwrap().1, How::Peer);
}

#[tokio::test]
async fn which_writes_concern_a_members_entry_is_decided_here() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(PATH, &[]);
    told(&bench, &read, b"[1]", bench.ago(5)).await;
    assert_eq!(bench.inner().held(&read).unwrap().entry.scopes, read.scopes(), "the member named none");
    bench.inner().bury_here(&read.scopes()[..1], bench.now()).await;
    assert_eq!(held(&bench, &read).unwrap().2, Verdict::MustRevalidate);
}

#[tokio::test]
async fn what_was_refused_since_is_confirmed_first_whoever_brought_it() {
    let bench = Bench::in_mesh().await;
    let (mine, members) = (bench.read(PATH, &[]), bench.read("/repos/octo/hello/issues/1", &[]));
    own(&bench, &mine, b"[1]", bench.ago(5)).await;
    told(&bench, &members, b"[2]", bench.ago(5)).await;
    let verdicts = || [&mine, &members].map(|read| held(&bench, read).unwrap().2);
    assert_eq!(verdicts(), [Verdict::Fresh; 2]);
    bench.inner().denials.note(bench.inner().fingerprint(&mine), Denial::Credential, bench.now());
    assert_eq!(verdicts(), [Verdict::MustRevalidate; 2]);
}

#[tokio::test]
async fn an_adopted_offer_is_local_and_has_this_callers_tag() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(PATH, &[]);
    told(&bench, &read, b"[1]", bench.ago(5)).await;
    let offer = bench.inner().held(&read).unwrap().entry;
    let adopted = bench.inner().adopt(&read, &offer, &Bytes::from_static(b"[1]")).await;
    assert!(adopted.etag.is_some() && adopted.target.ends_with(PATH), "{adopted:?}");
    assert_eq!(held(&bench, &read), Some((Bytes::from_static(b"[1]"), How::Local, Verdict::Fresh)));
}

#[tokio::test]
async fn only_what_can_not_be_guessed_leaves_the_node() {
    let bench = Bench::in_mesh().await;
    assert!(bench.inner().subject(&bench.read(PATH, &[])).is_some());
    let password = bench.read_as("Basic YWxpY2U6c2VjcmV0", PATH, &[]);
    assert_eq!(bench.inner().subject(&password), None);
    let alone = Bench::alone().await;
    assert_eq!(alone.inner().subject(&alone.read(PATH, &[])), None, "there is nobody to tell");
}

#[tokio::test]
async fn a_caller_says_how_old_an_answer_may_be_within_what_a_proof_lasts() {
    let bench = Bench::alone().await;
    // A route of one minute.
    let path = "/repos/octo/hello/branches";
    let max_age = |headers: &[(&str, &str)]| bench.inner().max_age(&bench.read(path, headers)).as_secs();
    assert_eq!(max_age(&[]), 54, "what is older may have ended here");
    assert_eq!(max_age(&[("x-gh-cache-ttl", "10m")]), 600);
    assert_eq!(max_age(&[("x-gh-cache-ttl", "48h")]), 3600, "the proof's lifetime");
    assert_eq!(max_age(&[("cache-control", "max-age=5")]), 5);
    assert_eq!(max_age(&[("cache-control", "max-age=500")]), 54);
    assert_eq!(max_age(&[("cache-control", "min-fresh=20")]), 34);
    assert_eq!(max_age(&[("cache-control", "min-fresh=90")]), 0);
}

#[tokio::test]
async fn an_adopted_list_makes_stale_here_what_it_shows_changed() {
    let bench = Bench::in_mesh().await;
    let (item, list) = (bench.read("/repos/octo/hello/issues/1", &[]), bench.read("/repos/octo/hello/issues", &[]));
    let shown = |minute: u32| {
        let url = "https://api.github.com/repos/octo/hello/issues/1";
        format!(r#"{{"url":"{url}","updated_at":"2026-01-01T00:{minute:02}:00Z"}}"#)
    };
    let offer = |seconds| Entry { source: Source::Peer, ..entry(b"", bench.ago(seconds)) };
    let kept = bench.inner().adopt(&item, &offer(30), &Bytes::from(shown(1))).await;
    assert_eq!(bench.inner().verdict(&item, &kept), Verdict::Fresh);
    bench.inner().adopt(&list, &offer(20), &Bytes::from(format!("[{}]", shown(2)))).await;
    assert_eq!(bench.inner().verdict(&item, &kept), Verdict::MustRevalidate);
}
