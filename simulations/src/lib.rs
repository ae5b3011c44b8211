//! The real coordination and the real rules of many nodes in virtual time.
//!
//! Each node is a real [`ghmesh_fleet::Fleet`], and `ghmesh_policy` decides what a request is, what may be kept, how long it is
//! fresh, what is offered for confirmation, what a write makes stale, what a refusal takes back, and how rate limits are spent.
//! Around them everything is modelled and small: stores, the hand-over between a node's tasks, a network of neighbours over which
//! gossip goes hop by hop, credentials with MACs that only their holders can make, wall clocks that are wrong, secrets that change,
//! members that misbehave, nodes that die, hang and join, and an origin with rights, versions and limits. One queue of events,
//! ordered by time and number, and one seeded generator: the same scenario and seed give the same run, so a failure is replayed by
//! its seed.
//!
//! Scenarios are data (`scenarios/*.toml`, read by [`scenario`]). A run checks as it goes ([`report::Violation`]): every request
//! ends, in time; nothing is answered that is older than it may be, that the origin never confirmed to that credential, or that its
//! node knows was overwritten; while all are connected and nothing is lost one node calls for all; queues stay bounded; nothing is
//! left when all is quiet. The same polls without ghmesh are counted beside.
//!
//! What is not here: HTTP, GraphQL, webhooks, the store's eviction and restarts of a node with its store, the pull of large bodies,
//! pacing within a minute, and libp2p itself, whose gossip is modelled by its parameters. Those are tested where they live.

mod asked;
mod event;
mod github;
mod model;
mod node;
mod rng;
mod sizes;
mod world;

pub mod output;
pub mod plot;
pub mod report;
pub mod scenario;
pub mod sweep;

pub use world::{Options, Sabotage, run, run_with};
