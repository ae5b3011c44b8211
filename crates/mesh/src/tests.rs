//! Whole nodes in one process, over TCP on loopback. They wait for events, with deadlines that only a fault reaches.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod expulsion;
mod finding;
mod gossip;
mod hostile;
mod requests;
mod resilience;
mod strangers;
