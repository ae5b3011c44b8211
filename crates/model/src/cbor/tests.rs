//! The bound of a message and its end; what is inside messages is tested beside their types.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn the_limit_counts_before_anything_is_read() {
    let garbage = [0xff; 11];
    let Err(CborError::TooLong { length, limit }) = decode::<u64>(&garbage, 10) else { panic!("it was read") };
    assert_eq!((length, limit), (11, 10));
    assert!(matches!(decode::<u64>(&garbage, 11), Err(CborError::Malformed(_))));
}

#[test]
fn a_message_of_just_the_limit_is_read() {
    let bytes = encode(&"four");
    assert_eq!(decode::<String>(&bytes, bytes.len()).unwrap(), "four");
    assert!(matches!(decode::<String>(&bytes, bytes.len() - 1), Err(CborError::TooLong { .. })));
}

#[test]
fn a_message_ends_where_its_value_ends() {
    let mut bytes = encode(&7_u64);
    bytes.push(0);
    assert!(matches!(decode::<u64>(&bytes, 10), Err(CborError::Malformed(_))));
    assert!(matches!(decode::<u64>(&[], 10), Err(CborError::Malformed(_))));
}

#[test]
fn named_fields_stand_in_the_order_of_their_declaration() {
    #[derive(serde::Serialize)]
    struct Named {
        b: u8,
        aa: u8,
    }
    // A map of two: text(1) "b" to 1, text(2) "aa" to 2 (RFC 8949, section 3.1).
    assert_eq!(encode_named(&Named { b: 1, aa: 2 }), [0xa2, 0x61, b'b', 1, 0x62, b'a', b'a', 2]);
}
