#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Bench, PATH, entry, ring};
use crate::landed::How;
use ghmesh_github_sim::tokens;
use ghmesh_policy::budget::Thrift;

fn authorization(token: &str) -> String {
    format!("token {token}")
}

fn host(bench: &Bench) -> String {
    bench.github.address().to_string()
}

/// What a member that holds `held` says of the limits of `of`.
fn said(bench: &Bench, of: &str, held: &str, remaining: u64) -> Said {
    let ring = bench.exchange().keys.leading();
    let now = bench.now();
    let bucket = Bucket { name: "core".into(), limit: 5000, remaining, reset: now.0 / 1000 + 1800, age_ms: 0 };
    let fingerprint = Fingerprint(ring.fingerprint(authorization(of).as_bytes()));
    let buckets = vec![bucket];
    let mut budget = Budget { host: host(bench), fingerprint, buckets, retry_after_ms: 30_000, mac: Vec::new() };
    let stamp = bench.peer().author.stamp();
    budget.mac = ring.validation_mac(authorization(held).as_bytes(), &budget.mac_input(&stamp)).to_vec();
    Said { budget, stamp, at: now }
}

fn present(bench: &Bench, token: &str) -> LocalFingerprint {
    let read = bench.read_as(&authorization(token), PATH, &[]);
    let account = bench.inner().fingerprint(&read);
    assert_eq!(bench.inner().share_budget(&host(bench), &read.credential, account), Users::Mesh);
    account
}

fn remaining(bench: &Bench, account: LocalFingerprint) -> Option<u64> {
    bench.inner().origin.standing(&host(bench), account, "core").map(|standing| standing.remaining)
}

#[tokio::test]
async fn threat_22_only_who_holds_a_credential_speaks_of_its_limits() {
    let bench = Bench::in_mesh().await;
    let (alice, bob) = (present(&bench, tokens::ALICE), present(&bench, tokens::BOB));
    assert!(!bench.inner().hear(&said(&bench, tokens::ALICE, tokens::BOB, 0)));
    let mut altered = said(&bench, tokens::ALICE, tokens::ALICE, 7);
    altered.budget.buckets[0].remaining = 0;
    assert!(!bench.inner().hear(&altered));
    assert_eq!(remaining(&bench, alice), None);
    assert!(bench.inner().hear(&said(&bench, tokens::ALICE, tokens::ALICE, 7)));
    assert_eq!((remaining(&bench, alice), remaining(&bench, bob)), (Some(7), None));
    let views = bench.node.status().limits;
    let of_alice = views.iter().find(|view| !view.buckets.is_empty()).unwrap();
    assert_eq!((of_alice.users, of_alice.credential.len(), of_alice.buckets[0].told), (2, 8, true));
    assert!(of_alice.retry_after_seconds >= Some(29));
}

#[tokio::test]
async fn threat_22_what_was_said_before_the_credential_was_presented_is_checked_then() {
    let bench = Bench::in_mesh().await;
    for held in [tokens::ALICE, tokens::BOB] {
        assert!(bench.inner().hear(&said(&bench, tokens::ALICE, held, 7)), "nobody here can tell");
        assert!(bench.inner().hear(&said(&bench, tokens::CAROL, held, 7)));
    }
    let (alice, carol) = (present(&bench, tokens::ALICE), present(&bench, tokens::CAROL));
    assert_eq!((remaining(&bench, alice), remaining(&bench, carol)), (Some(7), None));
    let read = bench.read(PATH, &[]);
    assert!(matches!(bench.inner().call(&read, None).await, crate::node::Flown::Failed(Failure::Limited { .. })));
    assert_eq!((bench.github.counters().calls(), bench.inner().counts.held_back.get()), (0, 1));
}

#[tokio::test]
async fn a_word_about_another_host_is_not_for_this_node() {
    let bench = Bench::in_mesh().await;
    let alice = present(&bench, tokens::ALICE);
    let mut elsewhere = said(&bench, tokens::ALICE, tokens::ALICE, 7);
    elsewhere.budget.host = "ghe.example".into();
    assert!(bench.inner().hear(&elsewhere));
    assert_eq!(remaining(&bench, alice), None);
}

#[test]
fn what_waits_is_bounded_and_the_latest_of_each_member() {
    let mut table = Table::default();
    let said = |number: u32, remaining| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let bucket = Bucket { name: "core".into(), limit: 1, remaining, reset: 1, age_ms: 0 };
        let budget = Budget {
            host: "h".into(),
            fingerprint: Fingerprint(bytes),
            buckets: vec![bucket],
            retry_after_ms: 0,
            mac: Vec::new(),
        };
        Said { budget, stamp: Stamp { author: MemberId(bytes), boot: 1, sequence: 1 }, at: Millis(0) }
    };
    (0..MAX_PARKED as u32 + 9).for_each(|number| table.park(said(number, 1)));
    assert_eq!(table.parked.len(), MAX_PARKED);
    let one = Fingerprint([9; 32]);
    for number in 0..MAX_PARKED_EACH as u32 + 2 {
        for remaining in [5, 4] {
            let said = said(number, remaining);
            table.park(Said { budget: Budget { fingerprint: one, ..said.budget }, ..said });
        }
    }
    let parked = &table.parked[&one];
    assert_eq!(parked.len(), MAX_PARKED_EACH);
    assert!(parked.iter().all(|said| said.budget.buckets[0].remaining == 4));
}

#[tokio::test]
async fn near_exhaustion_an_expired_entry_is_used_and_otherwise_confirmed() {
    let bench = Bench::in_mesh().await;
    let alice = present(&bench, tokens::ALICE);
    let read = bench.read(PATH, &[]);
    let old = entry(b"{}", bench.ago(1200));
    bench.inner().store.put(bench.inner().slot(&read), old, Some("{}".into())).await.unwrap();
    let kept = bench.inner().held(&read).and_then(|held| Some((held.entry, held.body?)));
    assert!(bench.inner().spared(&read, kept.as_ref()).is_none(), "nothing is known");
    let mut low = said(&bench, tokens::ALICE, tokens::ALICE, 7);
    low.budget.retry_after_ms = 0;
    low.budget.mac = bench
        .exchange()
        .keys
        .leading()
        .validation_mac(authorization(tokens::ALICE).as_bytes(), &low.budget.mac_input(&low.stamp))
        .to_vec();
    assert!(bench.inner().hear(&low));
    assert_eq!(bench.inner().origin.thrift(&host(&bench), alice, "core"), Thrift::Spare);
    let landed = bench.inner().spared(&read, kept.as_ref()).unwrap();
    assert!(matches!(&*landed, Landed::Entry { how: How::Stale, .. }));
    assert_eq!(bench.github.counters().calls(), 0);
    let now = bench.read(PATH, &[("cache-control", "no-cache")]);
    assert!(bench.inner().spared(&now, kept.as_ref()).is_none(), "a caller that wants GitHub's word gets it");
}

#[tokio::test]
async fn the_overview_fills_every_bucket() {
    let bench = Bench::in_mesh().await;
    let account = present(&bench, tokens::ALICE);
    let body = r#"{"resources": {"core": {"limit": 9, "remaining": 8, "reset": 99999999999}, "search": {"limit": 7, "remaining": 6,
        "reset": 99999999999}}}"#;
    let response = Response::new(full(body.into()));
    let response = bench.inner().overviewed(&host(&bench), account, response, bench.now()).await.unwrap();
    let Ok(Collected::Whole(passed)) = collect_limited(response.into_body(), 1024).await else { panic!("it is short") };
    assert_eq!(passed, body);
    let search = bench.inner().origin.standing(&host(&bench), account, "search").unwrap();
    assert_eq!((remaining(&bench, account), search.limit), (Some(8), 7));
}

#[test]
fn another_mesh_has_other_names_and_keys() {
    let (one, other) = (ring("one"), ring("other"));
    assert_ne!(one.fingerprint(b"token a"), other.fingerprint(b"token a"));
    assert!(!other.validation_key(b"token a").verify(b"input", &one.validation_key(b"token a").make(b"input")));
}
