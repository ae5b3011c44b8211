//! What becomes of members' records, and what members are told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Bench, PATH, altered, entry, ring};
use crate::keys::Keys;
use ghmesh_model::BodyCid;
use ghmesh_policy::Read;

const BODY: &[u8] = b"{\"one\": 1}";

fn stored(record: &mut Record) -> &mut Stored {
    match record {
        Record::Stored(stored) => stored,
        other => panic!("no stored record: {other:?}"),
    }
}

async fn offered(bench: &Bench, subject: Subject) -> Option<Arc<Entry>> {
    bench.exchange().store.entry(&offer_slot(subject))
}

#[tokio::test]
async fn a_members_record_becomes_an_offer_for_its_own_credential_and_key_only() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let subject = bench.subject(&read);
    let receipt = exchange.receive(bench.told(&read, &entry(BODY, bench.now()), BODY)).await;
    assert!(matches!(receipt, Receipt::Newer(of, _) if of == subject), "{receipt:?}");
    let offer = offered(&bench, subject).await.unwrap();
    assert_eq!((offer.source, offer.etag.as_deref(), offer.target.as_str()), (Source::Peer, None, ""));
    assert!(Exchange::vouched(&bench.alias(&read), &read.credential, &offer));
    assert!(!Exchange::vouched(&bench.alias(&read), &Credential::new(b"token ghp_another"), &offer));
    let elsewhere = bench.alias(&bench.read("/repos/octo/other", &[]));
    assert!(!Exchange::vouched(&elsewhere, &read.credential, &offer));
    let swollen = Entry { representation: entry(b"{}", bench.now()).representation, ..(*offer).clone() };
    assert!(!Exchange::vouched(&bench.alias(&read), &read.credential, &swollen), "the records speak of another body");
}

#[tokio::test]
async fn what_contradicts_itself_is_refused() {
    let bench = Bench::in_mesh().await;
    let (read, exchange, peer) = (bench.read(PATH, &[]), bench.exchange(), bench.peer());
    let told = bench.told(&read, &entry(BODY, bench.now()), BODY);
    let other_body = Shared { body: Some(b"{\"one\": 2}".to_vec()), ..told.clone() };
    let longer = altered(&told, &peer.author, |record| stored(record).representation.length += 1);
    // Of a credential that nobody here can check it with.
    let other_cid = altered(&told, &peer.author, |record| {
        let validation = &mut stored(record).validation;
        (validation.cid, validation.fingerprint) = (BodyCid::of(b"other"), Fingerprint([9; 32]));
    });
    for shared in [other_body, longer] {
        assert_eq!(exchange.receive(shared).await, Receipt::Refused, "who relayed it may have changed the body");
    }
    assert_eq!(exchange.receive(other_cid).await, Receipt::Untrue(Offence::Garbage));
    assert_eq!(offered(&bench, bench.subject(&read)).await, None);
}

#[tokio::test]
async fn who_presented_a_credential_here_is_not_told_of_it_by_those_who_do_not_have_it() {
    let bench = Bench::in_mesh().await;
    let (read, exchange, peer) = (bench.read(PATH, &[]), bench.exchange(), bench.peer());
    let told = bench.told(&read, &entry(BODY, bench.now()), BODY);
    for forge in [
        (|record| stored(record).validation.mac = vec![7; 32]) as fn(&mut Record),
        |record| stored(record).validation.origin_date += 1,
        |record| stored(record).representation.headers.push(("link".to_owned(), "<x>; rel=next".to_owned())),
    ] {
        assert_eq!(exchange.receive(altered(&told, &peer.author, forge)).await, Receipt::Untrue(Offence::Garbage));
    }
    let stranger = altered(&told, &peer.author, |record| stored(record).validation.fingerprint = Fingerprint([9; 32]));
    assert!(matches!(exchange.receive(stranger).await, Receipt::Newer(..)), "nobody here can tell");
}

#[tokio::test]
async fn a_date_may_lie_a_quarter_of_an_hour_ahead() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let now = bench.now().0 / 1000;
    for (ahead, refused) in [(16 * 60, true), (14 * 60, false)] {
        let late = Entry { origin_date: now + ahead, ..entry(BODY, bench.now()) };
        assert_eq!(exchange.receive(bench.told(&read, &late, BODY)).await == Receipt::Refused, refused, "{ahead} s");
    }
}

#[tokio::test]
async fn a_date_of_more_than_an_hour_ahead_is_a_lie_to_who_knows_githubs_time() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let receipt = async |minutes: u64| {
        let ahead = Entry { origin_date: bench.now().0 / 1000 + minutes * 60, ..entry(BODY, bench.now()) };
        exchange.receive(bench.told(&read, &ahead, BODY)).await
    };
    assert_eq!(receipt(62).await, Receipt::Refused, "it may be this node's clock that is wrong");
    bench.node.lookup(bench.read(PATH, &[])).await.unwrap();
    assert_eq!(receipt(62).await, Receipt::Untrue(Offence::WrongAge));
    assert_eq!(receipt(58).await, Receipt::Refused);
}

#[tokio::test]
async fn an_age_is_at_least_the_time_since_the_date_whatever_is_claimed() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let old = entry(BODY, bench.ago(100));
    let told = Shared { age_ms: 0, ..bench.told(&read, &old, BODY) };
    let Receipt::Newer(subject, confirmed_at) = exchange.receive(told).await else { panic!("it is taken") };
    assert!(confirmed_at <= bench.ago(98), "{:?} ago", bench.now().since(confirmed_at));
    let told = Shared { age_ms: 40_000, ..bench.told(&read, &entry(BODY, bench.ago(1)), BODY) };
    let Receipt::Newer(_, confirmed_at) = exchange.receive(told).await else { panic!("it is newer") };
    assert!(confirmed_at <= bench.ago(40));
    assert_eq!(offered(&bench, subject).await.unwrap().confirmed_at, confirmed_at);
}

#[tokio::test]
async fn versions_are_ordered_by_githubs_date_not_by_their_arrival() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let (old, new) = (bench.told(&read, &entry(b"[1]", bench.ago(50)), b"[1]"), entry(b"[2]", bench.ago(10)));
    let new = bench.told(&read, &new, b"[2]");
    assert!(matches!(exchange.receive(new).await, Receipt::Newer(..)));
    assert_eq!(exchange.receive(old).await, Receipt::Known);
    assert_eq!(offered(&bench, bench.subject(&read)).await.unwrap().representation.cid, BodyCid::of(b"[2]"));
}

/// A member's word that what it told of before was confirmed again.
fn again(bench: &Bench, read: &Read, of: &Entry, told: &Shared) -> Shared {
    let earlier = Attestation { stored: told.signed.clone(), revalidated: None };
    let attestation = bench.peer().attest_again(&bench.alias(read), &read.credential, of, earlier);
    Shared { signed: attestation.revalidated.unwrap(), age_ms: 0, body: None }
}

#[tokio::test]
async fn a_304_elsewhere_extends_the_same_body_only() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let first = entry(BODY, bench.ago(50));
    let told = bench.told(&read, &first, BODY);
    let confirmed = again(&bench, &read, &entry(BODY, bench.now()), &told);
    assert_eq!(exchange.receive(confirmed.clone()).await, Receipt::Known, "there is nothing to extend");
    assert!(matches!(exchange.receive(told.clone()).await, Receipt::Newer(..)));
    let other = again(&bench, &read, &entry(b"{}", bench.now()), &told);
    assert_eq!(exchange.receive(other).await, Receipt::Known, "another body");
    assert!(matches!(exchange.receive(confirmed).await, Receipt::Newer(..)));
    let subject = bench.subject(&read);
    let offer = offered(&bench, subject).await.unwrap();
    assert!(offer.confirmed_at > bench.ago(5) && Exchange::vouched(&bench.alias(&read), &read.credential, &offer));
    let records = exchange.records(subject, Duration::from_secs(30)).unwrap();
    assert_eq!(records.iter().map(|shared| shared.body.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn members_are_told_what_is_young_enough_and_small_bodies_with_it() {
    let bench = Bench::in_mesh().await;
    let (read, exchange) = (bench.read(PATH, &[]), bench.exchange());
    let subject = bench.subject(&read);
    assert_eq!(exchange.records(subject, Duration::MAX), None);
    for (length, inline) in [(limits::MAX_INLINE_BODY_BYTES, true), (limits::MAX_INLINE_BODY_BYTES + 1, false)] {
        let body = vec![b'x'; length];
        exchange.receive(bench.told(&read, &entry(&body, bench.ago(20)), &body)).await;
        exchange.store.remove(offer_slot(subject)).await.unwrap();
        exchange.receive(bench.told(&read, &entry(&body, bench.ago(20)), &body)).await;
        let records = exchange.records(subject, Duration::from_secs(60)).unwrap();
        assert_eq!((records.len(), records[0].body.is_some()), (1, inline), "{length}");
        assert!(records[0].age_ms >= 20_000);
        assert_eq!(exchange.records(subject, Duration::from_secs(20)), None);
    }
}

#[tokio::test]
async fn a_write_elsewhere_is_as_old_as_it_says() {
    let bench = Bench::in_mesh().await;
    let scopes = vec![Scope([3; 16])];
    let record = Record::Invalidated(ghmesh_model::wire::Invalidated { scopes: scopes.clone() });
    let author = &bench.peer().author;
    let shared = Shared { signed: author.sign(author.stamp(), &record), age_ms: 30_000, body: None };
    let Receipt::Written(written, at) = bench.exchange().receive(shared).await else { panic!("it is a write") };
    assert_eq!(written, scopes);
    assert!(at <= bench.ago(30) && at > bench.ago(40));
}

#[tokio::test]
async fn records_of_another_meshs_keys_do_not_concern_this_one() {
    let bench = Bench::in_mesh().await;
    let read = bench.read(PATH, &[]);
    let keys = Arc::new(Keys::new(|| vec![ring("another secret")].into(), Duration::ZERO));
    let other = Exchange { keys, presented: Arc::default(), ..bench.exchange().clone() };
    let there = other.alias(&read.key, &read.credential);
    let attestation = other.attest(&there, &read.credential, &entry(BODY, bench.now()));
    assert!(other.concerns(&attestation, there.subject) && other.is_of_now(&attestation, &read.key));
    assert!(!bench.exchange().is_of_now(&attestation, &read.key));
    assert!(!bench.exchange().concerns(&attestation, bench.subject(&read)));
}
