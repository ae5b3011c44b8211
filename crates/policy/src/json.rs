//! Reading JSON objects.

use serde::de::{DeserializeOwned, Error};

/// Reads an object. A list is none, although serde takes one for a struct.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body),
        Some(_) | None => Err(serde_json::Error::custom("not an object")),
    }
}
