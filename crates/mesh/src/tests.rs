//! Whole nodes in one process, over TCP and QUIC on loopback. They wait for events, with deadlines that only a fault reaches.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
mod cluster;
mod crowd;
pub(crate) mod cut;
mod expulsion;
mod finding;
mod gossip;
mod hostile;
mod many;
pub(crate) mod memory;
pub(crate) mod nameserver;
mod quic;
mod requests;
mod resilience;
mod restart;
mod strangers;
