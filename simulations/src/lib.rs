//! The real coordination of many nodes in virtual time.
//!
//! Each node is a real [`ghmesh_fleet::Fleet`]. Around it everything is modelled and small: a store that knows when what was
//! confirmed, the hand-over between a node's tasks, a network with latency and loss, an origin that counts calls, nodes that
//! die, hang and join. One queue of events, ordered by time and number, and one seeded generator: the same scenario and seed
//! give the same run, so a failure is replayed by its seed.
//!
//! Scenarios are data (`scenarios/*.toml`, read by [`scenario`]). A run checks as it goes ([`report::Violation`]): every request
//! ends, in time; nothing is answered that is older than it may be; while all are connected and nothing is lost one node calls
//! for all; nothing is left when all is quiet.
//!
//! What is not here: HTTP, credentials, policy, bodies, libp2p. Those are tested where they live.

mod asked;
mod event;
mod github;
mod model;
mod node;
mod rng;
mod sizes;
mod world;

pub mod report;
pub mod scenario;

pub use world::{Options, Sabotage, run, run_with};
