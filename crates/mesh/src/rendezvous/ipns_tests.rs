//! The record's bytes, and what strangers may send in place of one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

/// A record's end, as far away as the fixture's.
const END: u64 = 4_070_912_400;

fn keypair(seed: u8) -> ed25519::Keypair {
    ed25519::SecretKey::try_from_bytes([seed; 32]).unwrap().into()
}

fn record() -> Record {
    Record { value: b"/ipfs/bafkqaaa".to_vec(), sequence: 7, valid_until: END }
}

fn verified(bytes: &[u8]) -> Result<Record, RecordError> {
    verify(&keypair(1).public(), bytes, 1_800_000_000)
}

/// Signs what `change` makes of the record's data.
fn signed_data(data: &[u8]) -> Vec<u8> {
    let signature_v2 = keypair(1).sign(&[SIGNED_PREFIX, data].concat());
    Envelope { signature_v2, data: data.to_vec() }.encode_to_vec()
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    // DAG-CBOR: a map of five, names by length and then by bytes, the shortest form of each number.
    let mut data = vec![0xa5];
    data.extend(b"\x63TTL\x1b\x00\x00\x00\x0d\xf8\x47\x58\x00");
    data.extend(b"\x65Value\x4e/ipfs/bafkqaaa");
    data.extend(b"\x68Sequence\x07");
    data.extend(b"\x68Validity\x54\x32099-01-01T01:00:00Z");
    data.extend(b"\x6cValidityType\x00");
    // Protobuf: field 8, 64 bytes; field 9.
    let signature = keypair(1).sign(&[b"ipns-signature:".as_slice(), &data].concat());
    let expected = [&[0x42, 64], signature.as_slice(), &[0x4a, data.len() as u8], &data].concat();
    assert_eq!(sign(&keypair(1), &record()), expected);
    assert_eq!(verified(&expected), Ok(record()));
}

#[test]
fn the_key_in_the_dht_holds_the_public_key_itself() {
    let public = keypair(1).public();
    // An identity multihash of 36 bytes, which are the key in protobuf: type 1 (Ed25519), 32 bytes.
    let expected = [b"/ipns/\x00\x24\x08\x01\x12\x20".as_slice(), &public.to_bytes()].concat();
    assert_eq!(routing_key(&public), expected);
}

#[test]
fn a_record_of_another_key_is_forged() {
    let bytes = sign(&keypair(2), &record());
    assert_eq!(verified(&bytes), Err(RecordError::Forged));
    let mut envelope = Envelope::decode(sign(&keypair(1), &record()).as_slice()).unwrap();
    envelope.signature_v2.truncate(63);
    assert_eq!(verified(&envelope.encode_to_vec()), Err(RecordError::Forged));
}

#[test]
fn a_record_counts_until_its_end() {
    let bytes = sign(&keypair(1), &record());
    let at = |now| verify(&keypair(1).public(), &bytes, now);
    assert_eq!((at(END), at(END + 1)), (Ok(record()), Err(RecordError::Expired)));
}

#[test]
fn a_record_that_is_too_long_is_not_read() {
    let long = Record { value: vec![b'a'; MAX_RECORD_BYTES], ..record() };
    assert_eq!(verified(&sign(&keypair(1), &long)), Err(RecordError::TooLong));
    assert_eq!(verified(&vec![0xff; MAX_RECORD_BYTES + 1]), Err(RecordError::TooLong));
}

#[test]
fn what_is_signed_but_no_record_is_malformed() {
    let valid = |data: Data| signed_data(&cbor::encode_named(&data));
    let data = |validity: &[u8], validity_type| Data {
        ttl: 0,
        value: Vec::new(),
        sequence: 0,
        validity: validity.to_vec(),
        validity_type,
    };
    let good: &[u8] = b"2099-01-01T01:00:00.123456789Z";
    assert!(verified(&valid(data(good, EOL))).is_ok());
    let malformed = [
        valid(data(good, 1)),
        valid(data(b"tomorrow", EOL)),
        valid(data(b"\xff", EOL)),
        signed_data(&[0xa0]),
        vec![],
        vec![0],
    ];
    for bytes in malformed {
        assert_eq!(verified(&bytes), Err(RecordError::Malformed), "{bytes:02x?}");
    }
}

proptest! {
    #[test]
    fn anything_else_is_refused_without_trouble(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verified(&bytes).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed_or_does_not_count(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = sign(&keypair(1), &record());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = verified(&bytes) {
            prop_assert_eq!(read, record());
        }
    }

    #[test]
    fn what_is_signed_is_read(value in prop::collection::vec(any::<u8>(), 0..2000), sequence: u64, end in 1_800_000_000u64..250_000_000_000) {
        let record = Record { value, sequence, valid_until: end };
        prop_assert_eq!(verified(&sign(&keypair(1), &record)), Ok(record));
    }
}
