//! Whole nodes in one process, over TCP and QUIC on loopback. They wait for events, with deadlines that only a fault reaches.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
pub(crate) mod cluster;
mod crowd;
pub(crate) mod cut;
mod expulsion;
mod finding;
mod gossip;
mod hostile;
mod many;
mod meeting;
pub(crate) mod memory;
pub(crate) mod nameserver;
mod quic;
mod requests;
mod resilience;
mod restart;
mod rotation;
mod strangers;

pub(crate) use cluster::ring;
