//! The only place where CBOR is read or written.
//!
//! Packed encoding (fields by position) as RFC 8949 maps with integer keys, and for others' formats named fields. [`decode`] must only be given bytes that a seal
//! has authenticated: the caller checks their size before, and they come from members alone.

use serde::{Serialize, de::DeserializeOwned};

#[cfg(test)]
mod tests;

/// Why bytes were not a message of ours.
#[derive(Debug, thiserror::Error)]
pub enum CborError {
    /// Longer than its kind of message may be.
    #[error("{length} bytes, more than the {limit} that this kind of message may have")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not CBOR, not of the expected shape, or with bytes left over.
    #[error("malformed CBOR: {0}")]
    Malformed(#[from] serde_cbor::Error),
}

/// Encodes `value`, packed.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_cbor::ser::to_vec_packed(value)
        .expect("our own records have string or integer keys and no failing serializers")
}

/// Encodes `value` with its fields by name, in the order in which they are declared: for formats that others define. DAG-CBOR
/// wants shorter names first, and those of one length by their bytes.
pub fn encode_named<T: Serialize>(value: &T) -> Vec<u8> {
    serde_cbor::ser::to_vec(value).expect("our own records have string or integer keys and no failing serializers")
}

/// Decodes authenticated `bytes` of at most `limit` bytes.
///
/// # Errors
/// [`CborError::TooLong`] before anything is read, [`CborError::Malformed`] for anything but exactly one `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLong { length: bytes.len(), limit });
    }
    Ok(serde_cbor::from_slice(bytes)?)
}
