//! Envelopes: what opens, what doesn't, and how much memory a hostile one may cost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

const KEY: Key = Key([7; 32]);
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

fn envelope_of(packed: &[u8]) -> Vec<u8> {
    let mut envelope = vec![VERSION];
    envelope.extend_from_slice(&NONCE);
    envelope.extend_from_slice(packed);
    let tag =
        cipher(&KEY).encrypt_inout_detached(&XNonce::from(NONCE), b"a", (&mut envelope[HEAD_BYTES..]).into()).unwrap();
    envelope.extend_from_slice(&tag);
    envelope
}

fn zstd_packed(declared: u32, frame: &[u8]) -> Vec<u8> {
    [&[ZSTD], declared.to_be_bytes().as_slice(), frame].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens(message in prop::collection::vec(any::<u8>(), 0..2048), nonce in any::<[u8; NONCE_BYTES]>()) {
        let sealed = seal(&KEY, b"aad", nonce, &message, Packing::Smallest);
        prop_assert!(sealed.len() <= message.len() + OVERHEAD_BYTES);
        prop_assert_eq!(open(&KEY, b"aad", &sealed, message.len()), Ok(message));
    }

    #[test]
    fn what_compresses_opens_and_is_smaller(byte in any::<u8>(), length in 600usize..100_000) {
        let message = vec![byte; length];
        let sealed = seal(&KEY, b"aad", NONCE, &message, Packing::Smallest);
        prop_assert!(sealed.len() < length);
        prop_assert_eq!(open(&KEY, b"aad", &sealed, length), Ok(message));
    }

    #[test]
    fn any_flipped_bit_fails(message in prop::collection::vec(any::<u8>(), 0..700), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut sealed = seal(&KEY, b"aad", NONCE, &message, Packing::Smallest);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let expected = if at == 0 { OpenError::Version(sealed[0]) } else { OpenError::Forged };
        prop_assert_eq!(open(&KEY, b"aad", &sealed, 4096), Err(expected));
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&KEY, b"aad", &bytes, 4096).is_err());
    }

    #[test]
    fn arbitrary_authentic_bytes_never_panic(packed in prop::collection::vec(any::<u8>(), 0..300), first in 0u8..3) {
        let mut packed = packed;
        packed.insert(0, first);
        let _ = open(&KEY, b"a", &envelope_of(&packed), 4096);
    }
}

#[test]
fn another_key_or_place_does_not_open() {
    let sealed = seal(&KEY, b"here", NONCE, b"message", Packing::Smallest);
    assert_eq!(open(&KEY, b"there", &sealed, 100), Err(OpenError::Forged));
    assert_eq!(open(&Key([8; 32]), b"here", &sealed, 100), Err(OpenError::Forged));
}

#[test]
fn too_long_is_told_before_decryption() {
    // Not even authentic: it is refused by its length.
    let garbage = vec![0; 101 + OVERHEAD_BYTES];
    assert_eq!(open(&KEY, b"", &garbage, 100), Err(OpenError::TooLong { length: 101 + OVERHEAD_BYTES, limit: 100 }));
    assert_eq!(open(&KEY, b"", &[VERSION], 100), Err(OpenError::TooShort { length: 1 }));
}

#[test]
fn a_bomb_that_says_so_is_refused_before_decompression() {
    let frame = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    assert!(frame.len() < 8192, "64 MiB of zeros fit an envelope of a small message");
    let bomb = envelope_of(&zstd_packed(64 << 20, &frame));
    assert_eq!(open(&KEY, b"a", &bomb, 8192), Err(OpenError::Expands { length: 64 << 20, limit: 8192 }));
}

#[test]
fn a_bomb_that_lies_about_its_length_stops_at_that_length() {
    let frame = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let bomb = envelope_of(&zstd_packed(8000, &frame));
    assert_eq!(open(&KEY, b"a", &bomb, 8192), Err(OpenError::Malformed));
    // Many small frames one after another must not add up to more either.
    let frames = zstd::bulk::compress(&[0; 4000], 1).unwrap().repeat(3);
    assert_eq!(open(&KEY, b"a", &envelope_of(&zstd_packed(8000, &frames)), 8192), Err(OpenError::Malformed));
}

#[test]
fn a_frame_shorter_than_it_says_is_malformed() {
    let frame = zstd::bulk::compress(&[1; 600], 1).unwrap();
    assert_eq!(open(&KEY, b"a", &envelope_of(&zstd_packed(601, &frame)), 8192), Err(OpenError::Malformed));
    assert_eq!(open(&KEY, b"a", &envelope_of(&[ZSTD, 0, 0]), 8192), Err(OpenError::Malformed));
    assert_eq!(open(&KEY, b"a", &envelope_of(&[2, 1, 1]), 8192), Err(OpenError::Malformed));
}

#[test]
fn an_empty_message_is_a_message() {
    let sealed = seal(&KEY, b"", NONCE, b"", Packing::Smallest);
    assert_eq!(sealed.len(), OVERHEAD_BYTES);
    assert_eq!(open(&KEY, b"", &sealed, 0), Ok(Vec::new()));
}
