//! Base32 of RFC 4648 in lower case without padding, for whole groups of five bytes only: every text then has exactly one
//! meaning. Its alphabet lacks 0, 1, 8 and 9, which people misread.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Appends `bytes` to `text`, eight characters for each five bytes.
pub(crate) fn encode(bytes: &[u8], text: &mut String) {
    for group in bytes.chunks_exact(5) {
        let number = group.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        for place in (0..8).rev() {
            text.push(char::from(ALPHABET[(number >> (place * 5)) as usize & 31]));
        }
    }
}

/// Appends the bytes of `text` to `bytes`. `Err` holds the position of the first character outside the alphabet.
pub(crate) fn decode(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), usize> {
    for (index, group) in text.chunks_exact(8).enumerate() {
        let mut number = 0u64;
        for (place, character) in group.iter().enumerate() {
            let value = ALPHABET.iter().position(|a| a == character).ok_or(index * 8 + place)?;
            number = (number << 5) | value as u64;
        }
        bytes.extend_from_slice(&number.to_be_bytes()[3..]);
    }
    Ok(())
}
