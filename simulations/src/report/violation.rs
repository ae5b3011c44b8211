//! What must not happen.

use crate::scenario::Span;
use ghmesh_fleet::Load;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A request never ended.
    #[error("node {node}: {requests} requests never ended")]
    Unended {
        /// Where.
        node: u32,
        /// How many.
        requests: usize,
    },
    /// A request took longer than searching, waiting and one call may take.
    #[error("node {node}: a request took {took_ms} ms, more than {limit_ms} ms")]
    TooSlow {
        /// Where.
        node: u32,
        /// How long.
        took_ms: u64,
        /// How long it may take.
        limit_ms: u64,
    },
    /// A caller was given what was confirmed too long ago.
    #[error("node {node}: an answer for key {key} was {age_ms} ms old, more than {limit_ms} ms")]
    TooOld {
        /// Where.
        node: u32,
        /// Of what.
        key: u16,
        /// How old.
        age_ms: u64,
        /// How old it may be.
        limit_ms: u64,
    },
    /// A caller was given what the origin never confirmed to its credential, or too long ago.
    #[error("node {node}: key {key} was shown to credential {credential} without proof")]
    NoProof {
        /// Where.
        node: u32,
        /// Of what.
        key: u16,
        /// To whom.
        credential: u16,
    },
    /// A caller was given what was there before a write that its node knew of.
    #[error("node {node}: version {version} of key {key} came back after a write made version {written}")]
    Revived {
        /// Where.
        node: u32,
        /// Of what.
        key: u16,
        /// Which version was shown.
        version: usize,
        /// Which version the write made.
        written: usize,
    },
    /// Two calls for one key and credential within its time to live.
    #[error("node {node}: a call for key {key} of credential {credential} only {after_ms} ms after another")]
    SecondCall {
        /// Whose.
        node: u32,
        /// Of what.
        key: u16,
        /// For whom.
        credential: u16,
        /// How soon.
        after_ms: u64,
    },
    /// More state than lookups and leases account for.
    #[error("node {node} holds too much: {load:?}")]
    Heavy {
        /// Where.
        node: u32,
        /// What.
        load: Load,
    },
    /// A queue is full, and something was dropped.
    #[error("node {node}: its inbox is full")]
    Overfull {
        /// Where.
        node: u32,
    },
    /// All was quiet, and something was left.
    #[error("node {node} is quiet and holds {load:?}")]
    Leftover {
        /// Where.
        node: u32,
        /// What.
        load: Load,
    },
    /// A count lies outside of what the scenario expects.
    #[error("{count} {what}, expected {} to {}", expected.0, expected.1)]
    Unexpected {
        /// What was counted.
        what: &'static str,
        /// How many.
        count: u64,
        /// What was expected.
        expected: Span,
    },
}
