//! Key rings: known answers from the protocol's document, independence of keys, and silence about them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::at_rest::DataKey;
use crate::gate::{Role, Transport};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn ring(secret: &str, cluster: &str) -> KeyRing {
    derive(&Secret::new(secret.into()), cluster, Cost::TEST)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn transcript(role: Role) -> Transcript {
    Transcript {
        transport: Transport::Tcp,
        role,
        dialer_nonce: [1; 32],
        listener_nonce: [2; 32],
        dialer: b"dialer".to_vec(),
        listener: b"listener".to_vec(),
    }
}

/// The lines `name = value` of the document's section.
fn documented() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, section) = document.split_once("## Known-answer vectors").expect("the section exists");
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn computed() -> BTreeMap<String, String> {
    let keys = derive(&Secret::new(b"correct horse battery staple".to_vec()), "default", Cost::PRODUCTION);
    let credential = b"token ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let envelope = keys.seal(Purpose::Gossip, [0x24; 24], b"hello mesh");
    let data = DataKey::new([0x11; 32]);
    let vectors = [
        ("generated secret", generated()),
        ("label", keys.label().to_string()),
        ("topic", keys.topic().to_string()),
        ("gossip seal key", hex(&keys.0.gossip.0)),
        ("request seal key", hex(&keys.0.request.0)),
        ("response seal key", hex(&keys.0.response.0)),
        ("key hash key", hex(&keys.0.key_hash.0)),
        ("fingerprint hash key", hex(&keys.0.fingerprint_hash.0)),
        ("validation key", hex(&keys.0.validation.0)),
        ("membership key", hex(&keys.0.membership.0)),
        ("wire key", hex(&keys.wire_key(&[0x33; 32]))),
        ("fingerprint", hex(&keys.fingerprint(credential))),
        ("validation MAC", hex(&keys.validation_mac(credential, b"input"))),
        ("dialer's proof", hex(&keys.gate_proof(&transcript(Role::Dialer)))),
        ("listener's proof", hex(&keys.gate_proof(&transcript(Role::Listener)))),
        ("rendezvous seal key", hex(&keys.0.rendezvous.0)),
        ("rendezvous name key", hex(&keys.0.rendezvous_names.0)),
        ("rendezvous seed", hex(&*keys.rendezvous_seed(500_000, 3))),
        ("gossip envelope", hex(&envelope)),
        ("row name", hex(&data.row_name("entries/1", b"row"))),
        ("local fingerprint", hex(&data.local_fingerprint(credential))),
        ("sealed row", hex(&data.seal_row("entries/1", b"row", [0x24; 24], b"hello disk"))),
    ];
    vectors.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn generated() -> String {
    crate::secret::generate([0x5a; 32]).to_string()
}

#[test]
fn the_document_has_the_known_answers() {
    let computed = computed();
    let lines: Vec<String> = computed.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    assert_eq!(documented(), computed, "the document should list:\n{}", lines.join("\n"));
}

#[test]
fn the_documented_envelopes_open() {
    let keys = derive(&Secret::new(b"correct horse battery staple".to_vec()), "default", Cost::PRODUCTION);
    let text = &documented()["gossip envelope"];
    let envelope: Vec<u8> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    assert_eq!(keys.open(Purpose::Gossip, &envelope, 100).unwrap(), b"hello mesh");
}

#[test]
fn every_key_is_its_own() {
    let keys = ring("secret", "default");
    let all = [
        &keys.0.gossip,
        &keys.0.request,
        &keys.0.response,
        &keys.0.key_hash,
        &keys.0.fingerprint_hash,
        &keys.0.validation,
        &keys.0.membership,
        &keys.0.rendezvous,
        &keys.0.rendezvous_names,
    ];
    assert_eq!(all.iter().map(|key| key.0).collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.iter().all(|key| !hex(&key.0).contains(keys.label())), "no key shows in the label");
}

#[test]
fn another_secret_or_cluster_is_another_mesh() {
    let labels = BTreeSet::from(
        [("secret", "default"), ("secret2", "default"), ("secret", "other")]
            .map(|(s, c)| ring(s, c).label().to_string()),
    );
    assert_eq!(labels.len(), 3);
    let sealed = ring("secret", "default").seal(Purpose::Gossip, [0; 24], b"m");
    assert_eq!(ring("secret", "other").open(Purpose::Gossip, &sealed, 9), Err(OpenError::Forged));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn purposes_do_not_mix(message in prop::collection::vec(any::<u8>(), 0..1200), nonce in any::<[u8; 24]>()) {
        let keys = ring("secret", "default");
        let purposes = [Purpose::Gossip, Purpose::Request, Purpose::Response, Purpose::Rendezvous];
        for sealed_for in purposes {
            let sealed = keys.seal(sealed_for, nonce, &message);
            for opened_for in purposes {
                let opened = keys.open(opened_for, &sealed, message.len());
                prop_assert_eq!(opened.is_ok(), sealed_for == opened_for);
            }
        }
    }

    #[test]
    fn a_validation_is_bound_to_credential_and_input(input in prop::collection::vec(any::<u8>(), 1..200), bit in 0u8..8) {
        let keys = ring("secret", "default");
        let mac = keys.validation_mac(b"token a", &input);
        prop_assert!(keys.verify_validation(b"token a", &input, &mac));
        prop_assert!(!keys.verify_validation(b"token b", &input, &mac));
        let mut changed = input.clone();
        changed[0] ^= 1 << bit;
        prop_assert!(!keys.verify_validation(b"token a", &changed, &mac));
        prop_assert!(!keys.verify_validation(b"token a", &input, &mac[..31]));
        prop_assert!(!ring("secret", "other").verify_validation(b"token a", &input, &mac));
    }
}

#[test]
fn a_proof_fits_one_side_of_one_connection_only() {
    let keys = ring("secret", "default");
    let base = transcript(Role::Dialer);
    let proof = keys.gate_proof(&base);
    assert!(keys.verify_gate(&base, &proof));
    let others = [
        Transcript { role: Role::Listener, ..base.clone() },
        Transcript { transport: Transport::Quic, ..base.clone() },
        Transcript { dialer_nonce: [3; 32], ..base.clone() },
        Transcript { listener_nonce: [3; 32], ..base.clone() },
        Transcript { dialer_nonce: base.listener_nonce, listener_nonce: base.dialer_nonce, ..base.clone() },
        Transcript { dialer: b"stranger".to_vec(), ..base.clone() },
        Transcript { listener: b"stranger".to_vec(), ..base.clone() },
        Transcript { dialer: b"dialerl".to_vec(), listener: b"istener".to_vec(), ..base.clone() },
    ];
    for other in others {
        assert!(!keys.verify_gate(&other, &proof), "{other:?}");
    }
    assert!(!ring("another", "default").verify_gate(&base, &proof));
}

#[test]
fn every_slot_and_shard_has_a_place_of_its_own() {
    let (keys, other) = (ring("secret", "default"), ring("other", "default"));
    let places = (0..50u64).flat_map(|slot| (0..4u8).map(move |shard| (slot, shard)));
    let seeds: BTreeSet<[u8; 32]> = places
        .flat_map(|(slot, shard)| [*keys.rendezvous_seed(slot, shard), *other.rendezvous_seed(slot, shard)])
        .collect();
    assert_eq!(seeds.len(), 400);
}

#[test]
fn what_strangers_keep_does_not_tell_by_its_length_what_is_in_it() {
    let keys = ring("secret", "default");
    let length = |purpose, message: &[u8]| keys.seal(purpose, [0; 24], message).len();
    let (empty, full): (Vec<u8>, Vec<u8>) = (vec![0; 1024], (0..1024).map(|n: u32| (n * n % 251) as u8).collect());
    assert_eq!(length(Purpose::Rendezvous, &empty), length(Purpose::Rendezvous, &full));
    assert_ne!(length(Purpose::Gossip, &empty), length(Purpose::Gossip, &full), "others are compressed");
}

#[test]
fn nothing_secret_shows_in_debug() {
    let keys = ring("hunter2", "default");
    let shown = format!("{keys:?} {:?} {:?}", Secret::new(b"hunter2".to_vec()), DataKey::new([0x41; 32]));
    assert_eq!(shown, format!("KeyRing {{ label: \"{}\", .. }} Secret(redacted) DataKey(redacted)", keys.label()),);
}

#[test]
fn rows_open_only_where_they_were_sealed() {
    let data = DataKey::new([1; 32]);
    let sealed = data.seal_row("entries/1", b"row", [0; 24], b"value");
    assert_eq!(data.open_row("entries/1", b"row", &sealed, 5).unwrap(), b"value");
    assert_eq!(data.open_row("entries/1", b"row2", &sealed, 5), Err(OpenError::Forged));
    assert_eq!(data.open_row("entries/", b"1row", &sealed, 5), Err(OpenError::Forged));
    assert_eq!(DataKey::new([2; 32]).open_row("entries/1", b"row", &sealed, 5), Err(OpenError::Forged));
    assert_ne!(data.row_name("a", b"bc"), data.row_name("ab", b"c"));
    assert_ne!(data.local_fingerprint(b"token a"), data.local_fingerprint(b"token b"));
}
