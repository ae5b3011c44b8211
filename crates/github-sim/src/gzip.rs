//! Gzip without compression: for clients that must cope with `Content-Encoding`, not to save bytes.

/// The longest stored block (RFC 1951 §3.2.4).
const BLOCK: usize = 65_535;

/// The bytes as one gzip member (RFC 1952) of stored blocks.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks: Vec<&[u8]> = if content.is_empty() { vec![&[]] } else { content.chunks(BLOCK).collect() };
    for (place, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).expect("blocks are at most 65,535 bytes long");
        out.push(u8::from(place + 1 == blocks.len()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(content).to_le_bytes());
    // RFC 1952: the length modulo 2^32.
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out
}

fn crc32(content: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    });
    !content.iter().fold(!0, |crc: u32, byte| table[usize::from((crc as u8) ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_content_takes_several_blocks() {
        let out = gzip(&[7; 70_000]);
        assert_eq!(out.len(), 10 + 2 * 5 + 70_000 + 8);
        assert_eq!(out[10], 0, "the first of two blocks is not the last");
    }
}
