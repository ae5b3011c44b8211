//! Small encodings that GitHub's bodies are made of: hexadecimal hashes, base64, ISO 8601 times, node ids.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// SHA-256 of the parts one after the other, in hexadecimal.
pub(crate) fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hex(&hash.finalize())
}

/// Forty hexadecimal digits that look like git's object names. (A SHA-256 cut short: nothing here checks them with git.)
pub(crate) fn object_name(kind: &str, content: &[u8]) -> String {
    let mut name = sha256([kind.as_bytes(), b"\0", content]);
    name.truncate(40);
    name
}

/// Whether the text has the form of a full git object name.
pub(crate) fn is_object_name(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = BASE64[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Base64 as the contents API prints it: a line break after every 60 digits and at the end.
pub(crate) fn base64_lines(bytes: &[u8]) -> String {
    let digits = base64(bytes);
    let mut out = String::with_capacity(digits.len() + digits.len() / 60 + 1);
    for start in (0..digits.len()).step_by(60) {
        out.push_str(&digits[start..digits.len().min(start + 60)]);
        out.push('\n');
    }
    out
}

/// Decodes standard base64, ignoring line breaks and padding; `None` at any other character.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut bits) = (0u32, 0u32);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r' | b'=')) {
        let digit = BASE64.iter().position(|known| *known == byte)?;
        group = (group << 6) | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    Some(out)
}

/// `2026-01-31T12:00:00Z` from seconds since 1970.
pub(crate) fn iso(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` from seconds since 1970.
pub(crate) fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Seconds since 1970, now.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Days since 1970 as (year, month, day). From Howard Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A global node id such as `R_kgDO000003e9`: the kind's prefix and the database id.
pub(crate) fn node_id(prefix: &str, id: u64) -> String {
    format!("{prefix}_kgDO{id:08x}")
}

/// The prefix and database id inside a node id.
pub(crate) fn parse_node_id(text: &str) -> Option<(&str, u64)> {
    let (prefix, digits) = text.split_once("_kgDO")?;
    Some((prefix, u64::from_str_radix(digits, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn base64_goes_there_and_back() {
        for text in ["", "a", "ab", "abc", "abcd", "Aladdin:open sesame"] {
            assert_eq!(from_base64(&base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(base64(b"Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(base64_lines(&[0; 60]).lines().map(str::len).collect::<Vec<_>>(), [60, 20]);
        assert_eq!(from_base64("!"), None);
    }

    #[test]
    fn times_are_printed_in_iso_8601() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn node_ids_name_their_object() {
        assert_eq!(parse_node_id(&node_id("R", 1001)), Some(("R", 1001)));
        assert_eq!(parse_node_id("nonsense"), None);
    }

    #[test]
    fn the_empty_text_has_the_known_hash() {
        assert!(sha256([]).starts_with("e3b0c442"));
    }
}
