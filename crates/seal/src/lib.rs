//! Secrets and seals: from one mesh secret to a ring of independent keys, and from plaintext to envelopes.
//!
//! `root = scrypt(secret, "ghmesh/1/" + cluster)`, then HKDF-SHA256 with a label for each key. `docs/protocol.md` teaches the
//! derivations byte by byte, with known answers that a test of this crate reads.
//!
//! This crate is pure: random bytes and nonces are arguments, and it reads no clock, file, socket or environment. It finds no
//! secret (the binary does), keeps none, and decides nothing about membership (`mesh` does): it computes and checks proofs.

mod at_rest;
mod base32;
mod derive;
mod envelope;
mod gate;
mod ring;
mod secret;

pub use at_rest::DataKey;
pub use envelope::{NONCE_BYTES, OVERHEAD_BYTES, OpenError};
pub use gate::{NONCE_BYTES as GATE_NONCE_BYTES, Role, Transcript, Transport};
pub use ring::{Cost, KeyRing, Purpose, ValidationKey, derive};
pub use secret::{Mistake, Refusal, Secret, Strength, WeakSecrets, assess, generate};
