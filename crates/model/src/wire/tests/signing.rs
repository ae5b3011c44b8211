//! What is signed, and what is under the MAC: everything, and no two records alike.

use super::*;
use std::collections::BTreeSet;

type Headers = Vec<(String, String)>;

fn stamps() -> [Stamp; 4] {
    let stamp = plain_stamp();
    [
        stamp,
        Stamp { author: MemberId([9; 32]), ..stamp },
        Stamp { boot: stamp.boot + 1, ..stamp },
        Stamp { sequence: stamp.sequence + 1, ..stamp },
    ]
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_field_changes_the_signed_bytes() {
    let mut signed = stamps().map(|stamp| SignedRecord::signed_bytes(&stamp, 1, b"payload")).to_vec();
    signed.push(SignedRecord::signed_bytes(&plain_stamp(), 2, b"payload"));
    signed.push(SignedRecord::signed_bytes(&plain_stamp(), 1, b"payloae"));
    signed.push(SignedRecord::signed_bytes(&plain_stamp(), 1, b"payload\0"));
    signed.push(SignedRecord::signed_bytes(&plain_stamp(), 1, b""));
    assert_eq!(signed.iter().collect::<BTreeSet<_>>().len(), signed.len());
}

#[test]
fn every_field_changes_the_mac_input() {
    let base = plain_validation();
    let plain = headers(&[("a", "b")]);
    let mut inputs = stamps().map(|stamp| base.mac_input(&stamp, &plain)).to_vec();
    for other in [
        Validation { key: WireKey([9; 32]), ..base.clone() },
        Validation { fingerprint: Fingerprint([9; 32]), ..base.clone() },
        Validation { cid: BodyCid([9; 32]), ..base.clone() },
        Validation { origin_date: 9, ..base.clone() },
    ] {
        inputs.push(other.mac_input(&plain_stamp(), &plain));
    }
    for other in [
        headers(&[]),
        headers(&[("A", "b")]),
        headers(&[("a", "c")]),
        headers(&[("ab", "")]),
        headers(&[("", "ab")]),
        headers(&[("a", "b"), ("a", "b")]),
        headers(&[("a", ""), ("b", "")]),
    ] {
        inputs.push(base.mac_input(&plain_stamp(), &other));
    }
    assert_eq!(inputs.iter().collect::<BTreeSet<_>>().len(), inputs.len());
}

#[test]
fn the_mac_is_not_under_itself() {
    let base = plain_validation();
    let other = Validation { mac: vec![9; 32], ..base.clone() };
    assert_eq!(base.mac_input(&plain_stamp(), &[]), other.mac_input(&plain_stamp(), &[]));
}

/// A signature of one kind never serves as another's, nor as a MAC's input.
#[test]
fn each_purpose_has_its_own_domain() {
    let signed = SignedRecord::signed_bytes(&plain_stamp(), 1, b"");
    let mac = plain_validation().mac_input(&plain_stamp(), &[]);
    assert!(signed.starts_with(b"ghmesh/record\0\x01"));
    assert!(mac.starts_with(b"ghmesh/validation\0\x01"));
}

/// Few letters, so that pairs often differ in nothing but where a text ends.
fn few_headers() -> impl Strategy<Value = Headers> {
    proptest::collection::vec(("[a\0]{0,2}", "[a\0]{0,2}"), 0..3)
}

proptest! {
    #[test]
    fn only_the_same_headers_give_the_same_mac_input(one in few_headers(), other in few_headers()) {
        let input = |headers: &Headers| plain_validation().mac_input(&plain_stamp(), headers);
        prop_assert_eq!(one == other, input(&one) == input(&other));
    }

    #[test]
    fn only_the_same_record_gives_the_same_signed_bytes(one in strategies::signed(), other in strategies::signed()) {
        let bytes = |of: &SignedRecord| SignedRecord::signed_bytes(&of.stamp, of.kind, &of.payload);
        let parts = |of: &SignedRecord| (of.stamp, of.kind, of.payload.clone());
        prop_assert_eq!(parts(&one) == parts(&other), bytes(&one) == bytes(&other));
        let stamped = SignedRecord { stamp: one.stamp, kind: one.kind, ..other };
        prop_assert_eq!(parts(&one) == parts(&stamped), bytes(&one) == bytes(&stamped));
    }
}
