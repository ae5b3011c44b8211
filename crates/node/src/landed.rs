//! What a flight brings home.

use bytes::Bytes;
use ghmesh_model::Entry;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// An answer that may be given to every caller with the same credential.
#[derive(Clone, Debug)]
pub(crate) enum Landed {
    /// A kept one.
    Entry {
        /// Its validation and headers.
        entry: Arc<Entry>,
        /// Its body, as the entry's CID names it.
        body: Bytes,
        /// How it came to be.
        how: How,
    },
    /// GitHub's own words, small and not kept: an error, as a rule.
    Plain {
        /// As received.
        status: StatusCode,
        /// As received, without hop-by-hop headers.
        headers: HeaderMap,
        /// The whole body.
        body: Bytes,
    },
}

/// How a kept answer came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// From this node's own entry.
    Local,
    /// From a peer's, for the first time.
    Peer,
    /// The origin answered 200.
    Fetched {
        /// Whether it was committed to the store.
        stored: bool,
    },
    /// The origin answered 304.
    Revalidated {
        /// Whether it was committed to the store.
        stored: bool,
    },
    /// The origin failed, and this expired entry may stand in.
    Stale,
}
