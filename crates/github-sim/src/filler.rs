//! Content of any size that costs no memory: archives, assets and blobs whose size a test chooses.

use bytes::Bytes;
use futures::{Stream, stream};

/// Bytes in one streamed piece; also the period of the content.
const PIECE: u64 = 64 * 1024;

/// The `n`th byte of every archive and asset that the simulator streams: not constant, not text, period 64 KiB.
///
/// Tests use it to check what arrived without keeping it.
pub fn byte_at(offset: u64) -> u8 {
    let place = offset % PIECE;
    (place.wrapping_mul(2_654_435_761) >> 11) as u8 ^ (place >> 8) as u8
}

/// `size` bytes of [`byte_at`] in pieces of at most 64 KiB, all of which share one buffer.
pub(crate) fn stream(size: u64) -> impl Stream<Item = Bytes> + Send {
    let piece: Bytes = (0..PIECE).map(byte_at).collect();
    stream::unfold(0u64, move |sent| {
        let piece = piece.clone();
        async move {
            let length = PIECE.min(size.checked_sub(sent).filter(|rest| *rest > 0)?);
            let length_in_memory = usize::try_from(length).expect("a piece is at most 64 KiB");
            Some((piece.slice(..length_in_memory), sent + length))
        }
    })
}

/// `size` bytes of printable text in lines of 64, different for each `seed`.
pub(crate) fn text(size: usize, seed: u64) -> String {
    let digit = |place: usize| {
        let mixed = (place as u64).wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        char::from(b'0' + u8::try_from(mixed).expect("four bits"))
    };
    (0..size).map(|place| if place % 64 == 63 { '\n' } else { digit(place) }).collect()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_has_the_size_and_bytes_it_was_asked_for() {
        for size in [0, 1, PIECE, PIECE + 1, 3 * PIECE - 1] {
            let bytes: Vec<u8> = stream(size).flat_map(|piece| stream::iter(piece.to_vec())).collect().await;
            assert!(bytes.iter().copied().eq((0..size).map(byte_at)), "{size} bytes");
        }
    }

    #[test]
    fn text_has_the_size_asked_for_and_differs_by_seed() {
        assert_eq!(text(1000, 1).len(), 1000);
        assert_ne!(text(1000, 1), text(1000, 2));
    }
}
