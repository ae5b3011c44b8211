//! The words of ghmesh: keys, bodies, entries and the records that nodes exchange.
//!
//! A **representation** is content: one body, named by its CID, with the headers that may be shared. A **validation** is
//! permission: "GitHub confirmed representation R of key K for credential F". One body can serve many credentials, each
//! with its own validation.
//!
//! This crate is pure: no async, clock, entropy, socket or file. It decides nothing about GitHub (that is `policy`) and
//! encrypts nothing (that is `seal`).

pub mod cbor;
pub mod entry;
pub mod id;
pub mod key;
pub mod limits;
pub mod time;
pub mod wire;

pub use entry::{Attestation, Entry, Representation, Source};
pub use id::{BodyCid, CacheKey, Fingerprint, LocalFingerprint, MemberId, Scope, WireKey};
pub use key::KeyParts;
pub use time::Millis;
