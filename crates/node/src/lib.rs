//! Answers requests from the store, the mesh and the origin, in this order, and tells the mesh what it learned.
//!
//! [`Node::lookup`] answers a read: a fresh entry of the caller's own credential at once; else one *flight* per (key,
//! credential) asks the members, then the origin, conditionally. [`Node::forward`] streams everything else, and lays
//! tombstones over what a write may have changed before its caller is answered.
//!
//! What may be cached and shown is `policy`'s decision, who asks whom is `fleet`'s; here their decisions are carried out.

mod afar;
mod bodies;
mod budgets;
mod candidates;
mod changes;
mod clock;
mod coordinator;
mod denials;
mod early;
mod exchange;
mod failure;
#[cfg(test)]
mod fixtures;
mod flight;
mod flights;
mod formulas;
mod forward;
mod grants;
mod holdings;
mod insight;
mod keys;
mod landed;
mod members;
mod node;
mod origin_call;
mod presence;
mod presented;
mod pulse;
mod rotation;
mod stats;
mod status;
mod sync;
mod tags;
mod tombstones;
mod unfinished;
mod writes;

pub use clock::Clock;
pub use failure::Failure;
pub use ghmesh_origin::Body;
pub use members::Membership;
pub use node::{Config, Node};
pub use stats::Stats;
pub use status::{BucketView, FormulaView, LimitView, OriginView, OtherView, PeerView, Readiness, SourceView, Status};
