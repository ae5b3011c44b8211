//! The words of ghmesh: keys, bodies, entries and the records that nodes exchange.
//!
//! What was read and who may see it are kept apart. A **representation** is what was read: a body under the name of its CID,
//! and those of its headers that don't belong to one caller. A **validation** records that GitHub confirmed it under a key
//! for the holder of one credential; without one, the bytes alone give nobody a right to them.
//!
//! This crate is pure: no async, clock, entropy, socket or file. It decides nothing about GitHub (that is `policy`) and
//! encrypts nothing (that is `seal`).

pub mod cbor;
pub mod digest;
pub mod entry;
pub mod id;
pub mod key;
pub mod limits;
pub mod time;
pub mod wire;

pub use entry::{Attestation, BodyFacts, Entry, History, Representation, Settled, Source};
pub use id::{BodyCid, CacheKey, Fingerprint, LocalFingerprint, MemberId, Scope, ValidationCid, WireKey};
pub use key::{GraphQlParts, KeyParts};
pub use time::Millis;
