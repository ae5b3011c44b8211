//! Bytes that are no message: an error, without a panic, and without memory that only their claims ask for.

use super::*;

/// Reads `bytes` as everything that they may be. Whether anything took them.
fn is_anything(bytes: &[u8]) -> bool {
    let record = |kind| {
        let (stamp, payload) = (plain_stamp(), bytes.to_vec());
        SignedRecord { stamp, kind, payload, signature: Vec::new() }.record().is_ok()
    };
    let records =
        [KIND_STORED, KIND_REVALIDATED, KIND_INVALIDATED, KIND_BUDGET, KIND_PRESENCE, KIND_FETCHING].map(record);
    records.contains(&true)
        || cbor::decode::<SignedRecord>(bytes, LIMIT).is_ok()
        || cbor::decode::<Shared>(bytes, LIMIT).is_ok()
        || cbor::decode::<Request>(bytes, LIMIT).is_ok()
        || cbor::decode::<Response>(bytes, LIMIT).is_ok()
}

/// Whether every beginning of the message, and the message with something behind it, is refused.
fn is_whole<T: Serialize + DeserializeOwned>(message: &T, behind: &[u8]) -> bool {
    let bytes = cbor::encode(message);
    let refused = |bytes: &[u8]| cbor::decode::<T>(bytes, LIMIT).is_err();
    (0..bytes.len()).all(|end| refused(&bytes[..end])) && refused(&[&bytes, behind].concat())
}

fn behind() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cut_and_extended_messages_are_refused(
        (shared, request) in (strategies::shared(), strategies::request()),
        response in strategies::response(),
        behind in behind(),
    ) {
        prop_assert!(is_whole(&shared, &behind));
        prop_assert!(is_whole(&request, &behind));
        prop_assert!(is_whole(&response, &behind));
    }

    #[test]
    fn cut_and_extended_records_are_refused(record in strategies::record(), behind in behind()) {
        let (kind, whole) = record.to_parts();
        let is_refused = |payload: Vec<u8>| {
            SignedRecord { stamp: plain_stamp(), kind, payload, signature: Vec::new() }.record().is_err()
        };
        prop_assert!(is_refused([whole.as_slice(), &behind].concat()));
        prop_assert!((0..whole.len()).step_by(7).all(|end| is_refused(whole[..end].to_vec())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_anything(&bytes);
    }

    /// One byte of a real message changed: that gets further into the decoder than random bytes do.
    #[test]
    fn changed_messages_never_panic(
        (shared, request, record) in (strategies::shared(), strategies::request(), strategies::record()),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for mut bytes in [cbor::encode(&shared), cbor::encode(&request), record.to_parts().1] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            is_anything(&bytes);
        }
    }
}

/// The head of a CBOR item of `major` type that claims a length of `claim` (RFC 8949, section 3).
fn head(major: u8, claim: u64) -> Vec<u8> {
    [&[major << 5 | 27][..], &claim.to_be_bytes()].concat()
}

/// Every place of a message where a length may stand, with the claim there. Strings, arrays and maps alike.
fn claims(claim: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for major in [2, 3, 4, 5] {
        let head = head(major, claim);
        // Alone; as a record's only field; as each field of a message; as what an unknown field holds; in a variant.
        all.push(head.clone());
        (0..6).for_each(|field| all.push([&[0xa1, field], head.as_slice()].concat()));
        all.push([&[0xa1, 0x17], head.as_slice()].concat());
        for variant in 0..6 {
            all.push([&[0x82, variant, 0xa1, 0x00], head.as_slice()].concat());
            all.push([&[0x82, variant, 0xa1, 0x01], head.as_slice()].concat());
            all.push([&[0xa1, variant, 0xa1, 0x00], head.as_slice()].concat());
        }
        // A representation whose headers are that many.
        all.push([&[0xa1, 0x00, 0xa1, 0x02], head.as_slice()].concat());
    }
    all
}

/// The most address space that this process ever had, in KiB (proc_pid_status(5)).
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// Memory that is asked for and never touched counts too, so the address space is measured. The threads of other tests
/// take some of it, 128 MiB each: the claims are of much more.
#[cfg(target_os = "linux")]
#[test]
fn claimed_lengths_cost_no_memory() {
    let before = peak();
    for claim in [1 << 32, 1 << 36, 1 << 60, u64::MAX / 2, u64::MAX] {
        for bytes in claims(claim) {
            assert!(!is_anything(&bytes), "{bytes:02x?}");
        }
    }
    let grown = peak() - before;
    assert!(grown < 3 * 1024 * 1024, "{grown} KiB");
}

/// Arrays, maps, tags, and their forms without a length, each in itself as often as a message may be long.
#[test]
fn depth_does_not_exhaust_the_stack() {
    for inside in [&[0x81][..], &[0x9f], &[0xa1, 0x00], &[0xbf, 0x00], &[0xc0], &[0x82, 0x00], &[0x5f], &[0x7f]] {
        let bomb = inside.repeat((limits::MAX_GOSSIP_BYTES - 8) / inside.len());
        let in_unknown_field = [&[0xa2, 0x00, 0x80, 0x17], bomb.as_slice()].concat();
        let in_variant = [&[0x82, 0x01, 0xa1, 0x00], bomb.as_slice()].concat();
        for bytes in [bomb, in_unknown_field, in_variant] {
            assert!(!is_anything(&bytes), "{:02x?}…", &bytes[..8]);
        }
    }
}

#[test]
fn unknown_variants_are_refused() {
    assert!(cbor::decode::<Response>(&[5], LIMIT).is_ok(), "the last variant there is");
    assert!(cbor::decode::<Response>(&[6], LIMIT).is_err());
    assert!(cbor::decode::<Request>(&[0x82, 6, 0xa0], LIMIT).is_err());
    assert!(cbor::decode::<Response>(&[0x82, 9, 0xa0], LIMIT).is_err());
}
