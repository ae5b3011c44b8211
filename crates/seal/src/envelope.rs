//! Envelopes: `version (1) | nonce (24) | ciphertext | tag (16)`, XChaCha20-Poly1305.
//!
//! The plaintext inside begins with one byte: 0, the message follows; 1, its length (4 bytes, big-endian) and a zstd frame
//! follow. Compressed is what has more than 512 bytes and becomes smaller. Lengths are checked before anything of that length
//! is allocated: the envelope's before decryption, the message's before decompression.
//!
//! Nonces are random: at 192 bits a repetition is out of reach however many nodes seal under one key.

use crate::derive::Key;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

/// First byte of every envelope.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
/// Bytes that an envelope has more than its message, at most.
pub const OVERHEAD_BYTES: usize = HEAD_BYTES + 1 + TAG_BYTES;

/// Messages up to this size stay as they are: a frame's header would eat most of the gain.
const COMPRESS_ABOVE_BYTES: usize = 512;
/// zstd's fastest normal level: JSON shrinks to a fifth, at about 400 MB/s.
const ZSTD_LEVEL: i32 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const LENGTH_BYTES: usize = 4;

/// Why an envelope did not open. Says nothing about keys or contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Larger than any envelope of a message within the limit; nothing was decrypted.
    #[error("an envelope of {length} bytes, but a message may have {limit}")]
    TooLong {
        /// Bytes of the envelope.
        length: usize,
        /// Bytes that the message may have.
        limit: usize,
    },
    /// Too short to be an envelope.
    #[error("{length} bytes are no envelope")]
    TooShort {
        /// Bytes given.
        length: usize,
    },
    /// Of a version that this one does not know.
    #[error("an envelope of version {0}")]
    Version(u8),
    /// Sealed under another key, for another purpose or place, or changed since.
    #[error("not sealed for this place under this key, or changed since")]
    Forged,
    /// Authentic, but its message would be too long when decompressed; nothing was decompressed.
    #[error("a message of {length} bytes when decompressed, of at most {limit}")]
    Expands {
        /// Bytes that it says it has.
        length: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// Authentic, but not of this format.
    #[error("a message of an unknown or broken format")]
    Malformed,
}

/// How a message lies in its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Compressed where that makes it smaller.
    Smallest,
    /// As it is, so that equally long messages make equally long envelopes.
    Plain,
}

/// Seals `message` under `key`, bound to `aad`.
pub(crate) fn seal(key: &Key, aad: &[u8], nonce: [u8; NONCE_BYTES], message: &[u8], packing: Packing) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(OVERHEAD_BYTES + message.len());
    envelope.push(VERSION);
    envelope.extend_from_slice(&nonce);
    pack(message, packing, &mut envelope);
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(nonce), aad, (&mut envelope[HEAD_BYTES..]).into())
        .expect("messages are far below the cipher's limit of 256 GiB");
    envelope.extend_from_slice(&tag);
    envelope
}

/// Opens an envelope whose message has at most `limit` bytes.
pub(crate) fn open(key: &Key, aad: &[u8], envelope: &[u8], limit: usize) -> Result<Vec<u8>, OpenError> {
    let length = envelope.len();
    if length > limit.saturating_add(OVERHEAD_BYTES) {
        return Err(OpenError::TooLong { length, limit });
    }
    if length < OVERHEAD_BYTES {
        return Err(OpenError::TooShort { length });
    }
    if envelope[0] != VERSION {
        return Err(OpenError::Version(envelope[0]));
    }
    let packed = decrypt(key, aad, envelope)?;
    unpack(packed, limit)
}

fn decrypt(key: &Key, aad: &[u8], envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (body, tag) = envelope.split_at(envelope.len() - TAG_BYTES);
    let nonce: [u8; NONCE_BYTES] = body[1..HEAD_BYTES].try_into().expect("the slice has the length of a nonce");
    let tag: [u8; TAG_BYTES] = tag.try_into().expect("the slice has the length of a tag");
    let mut packed = body[HEAD_BYTES..].to_vec();
    cipher(key)
        .decrypt_inout_detached(&XNonce::from(nonce), aad, packed.as_mut_slice().into(), &Tag::from(tag))
        .map_err(|_| OpenError::Forged)?;
    Ok(packed)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new_from_slice(&key.0).expect("the key has the cipher's length")
}

fn pack(message: &[u8], packing: Packing, envelope: &mut Vec<u8>) {
    let compressed = match packing {
        Packing::Smallest => compressed(message),
        Packing::Plain => None,
    };
    if let Some((length, frame)) = compressed {
        envelope.push(ZSTD);
        envelope.extend_from_slice(&length.to_be_bytes());
        envelope.extend_from_slice(&frame);
    } else {
        envelope.push(PLAIN);
        envelope.extend_from_slice(message);
    }
}

/// A frame that is smaller than the message by more than the length before it.
fn compressed(message: &[u8]) -> Option<(u32, Vec<u8>)> {
    if message.len() <= COMPRESS_ABOVE_BYTES {
        return None;
    }
    let length = u32::try_from(message.len()).ok()?;
    let frame = zstd::bulk::compress(message, ZSTD_LEVEL).ok()?;
    (frame.len() + LENGTH_BYTES < message.len()).then_some((length, frame))
}

fn unpack(mut packed: Vec<u8>, limit: usize) -> Result<Vec<u8>, OpenError> {
    match packed.first() {
        // The envelope's length was checked, so this message is within the limit.
        Some(&PLAIN) => {
            packed.remove(0);
            Ok(packed)
        }
        Some(&ZSTD) => decompress(&packed[1..], limit),
        Some(_) | None => Err(OpenError::Malformed),
    }
}

fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, OpenError> {
    let (length, frame) = packed.split_first_chunk::<LENGTH_BYTES>().ok_or(OpenError::Malformed)?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > limit {
        return Err(OpenError::Expands { length, limit });
    }
    let message = zstd::bulk::decompress(frame, length).map_err(|_| OpenError::Malformed)?;
    if message.len() == length { Ok(message) } else { Err(OpenError::Malformed) }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
