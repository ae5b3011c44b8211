//! IPNS records, as the public DHT keeps them: a value under the name of an Ed25519 key, signed by it.
//!
//! Source: the IPNS record specification (specs.ipfs.tech/ipns/ipns-record), version 2. A record is a protobuf message with two
//! fields that count: `data`, five fields in DAG-CBOR, and `signatureV2` over it. The fields of version 1 beside them are neither
//! written nor read. Its key in the DHT is `/ipns/` and the peer id of the signing key, which holds the key itself, so that
//! nodes of the DHT verify a record before they keep it, and throw it away at its end.

use ghmesh_model::cbor;
use jiff::Timestamp;
use libp2p::identity::{PublicKey, ed25519};
use prost::Message;
use serde::{Deserialize, Serialize};

/// The longest record that is looked at: ours have about 2 KiB. (Nodes of the DHT take 10 KiB.)
pub(super) const MAX_RECORD_BYTES: usize = 4 * 1024;

/// What the signature covers begins with this.
const SIGNED_PREFIX: &[u8] = b"ipns-signature:";
/// `ValidityType`: the record ends at a moment.
const EOL: u64 = 0;
/// How long others may cache it, in nanoseconds: a minute, since it changes with every member that comes.
const TTL_NANOSECONDS: u64 = 60_000_000_000;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// A path, as a rule.
    pub(super) value: Vec<u8>,
    /// The larger one counts.
    pub(super) sequence: u64,
    /// Its end, in Unix seconds.
    pub(super) valid_until: u64,
}

/// Why bytes are no record of that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// Longer than [`MAX_RECORD_BYTES`].
    #[error("it is too long")]
    TooLong,
    /// No IPNS record, or one without a version 2.
    #[error("it is no record")]
    Malformed,
    /// Signed by another key, or changed since.
    #[error("it is not signed by the key of its name")]
    Forged,
    /// Its end has come.
    #[error("it has expired")]
    Expired,
}

/// The protobuf message `IpnsRecord`, without the fields of version 1.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(bytes = "vec", tag = "8")]
    signature_v2: Vec<u8>,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
}

/// Field `data`. DAG-CBOR wants them in this order: by length, then by bytes.
#[derive(Serialize, Deserialize)]
struct Data {
    #[serde(rename = "TTL")]
    ttl: u64,
    #[serde(rename = "Value", with = "serde_bytes")]
    value: Vec<u8>,
    #[serde(rename = "Sequence")]
    sequence: u64,
    #[serde(rename = "Validity", with = "serde_bytes")]
    validity: Vec<u8>,
    #[serde(rename = "ValidityType")]
    validity_type: u64,
}

/// The record's key in the DHT: `/ipns/` and the peer id of `key`, as bytes.
pub(super) fn routing_key(key: &ed25519::PublicKey) -> Vec<u8> {
    let name = PublicKey::from(key.clone()).to_peer_id();
    [b"/ipns/".as_slice(), &name.to_bytes()].concat()
}

/// The record in bytes, signed.
pub(super) fn sign(keypair: &ed25519::Keypair, record: &Record) -> Vec<u8> {
    let seconds = i64::try_from(record.valid_until).unwrap_or(i64::MAX);
    let end = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    let data = cbor::encode_named(&Data {
        ttl: TTL_NANOSECONDS,
        value: record.value.clone(),
        sequence: record.sequence,
        validity: end.to_string().into_bytes(),
        validity_type: EOL,
    });
    let signature_v2 = keypair.sign(&[SIGNED_PREFIX, &data].concat());
    Envelope { signature_v2, data }.encode_to_vec()
}

/// Reads a record that whoever sent: its length, then its signature by `key`, and only then what it says.
///
/// # Errors
/// [`RecordError`]; none says anything about who sent it.
pub(super) fn verify(key: &ed25519::PublicKey, bytes: &[u8], now: u64) -> Result<Record, RecordError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(RecordError::TooLong);
    }
    let envelope = Envelope::decode(bytes).map_err(|_| RecordError::Malformed)?;
    if envelope.data.is_empty() || envelope.signature_v2.is_empty() {
        return Err(RecordError::Malformed);
    }
    if !key.verify(&[SIGNED_PREFIX, &envelope.data].concat(), &envelope.signature_v2) {
        return Err(RecordError::Forged);
    }
    let data: Data = cbor::decode(&envelope.data, MAX_RECORD_BYTES).map_err(|_| RecordError::Malformed)?;
    let valid_until = end_of(&data).ok_or(RecordError::Malformed)?;
    if valid_until < now {
        return Err(RecordError::Expired);
    }
    Ok(Record { value: data.value, sequence: data.sequence, valid_until })
}

fn end_of(data: &Data) -> Option<u64> {
    let text = std::str::from_utf8(&data.validity).ok().filter(|_| data.validity_type == EOL)?;
    u64::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok()
}

#[cfg(test)]
#[path = "ipns_tests.rs"]
mod tests;
