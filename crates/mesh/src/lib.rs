//! The mesh: members find each other, prove membership, gossip records, and ask each other *have-you-got*.
//!
//! One task owns the libp2p swarm and never waits for anybody: sealing, opening and checking signatures happen in other tasks,
//! behind bounded channels. What is said to whom is not decided here; `fleet` decides and `node` carries out.
//!
//! - [`Identity`], [`Author`]: who this node is, and its signature under records.
//! - [`start`], [`Mesh`], [`Event`]: the running mesh.
//! - `gate`: a connection comes into being only between holders of one mesh secret.
//! - `rings`, `renewal`: which secrets are held, while they change, and who proves anew.
//! - `book`, `precedence`, `resolve`, `interfaces`: whom to dial, over what first, from all sources at once.
//! - `rendezvous`: the public DHT, where members leave their addresses for others.
//! - `antechamber`, `connections`, `exiles`: which connections there may be before the gate, which there are, and who is kept out.
//! - `behaviour`, `guarded`, `metered`, `discreet`: libp2p's parts, and what stands between them and the members.
//! - `letters`, `replay`, `allowance`, `rations`, `offences`: what is sealed and opened, what was seen before, how much is too much, and who did what
//!   nobody should.

mod allowance;
mod antechamber;
mod behaviour;
mod book;
mod codec;
mod config;
mod connections;
mod discreet;
mod exiles;
mod gate;
mod growth;
mod guarded;
mod identity;
mod interfaces;
mod letters;
mod mesh;
mod metered;
mod offences;
mod others;
mod precedence;
mod rations;
mod rendezvous;
mod renewal;
mod replay;
mod resolve;
mod rings;
mod status;
mod task;
mod transport;
mod workers;

pub use config::{Config, ConfigError, Dht, Fault as AddressFault, Problem};
pub use identity::{Author, Fault as IdentityFault, Identity, IdentityError, Provenance, is_genuine};
pub use interfaces::InterfacePolicy;
pub use mesh::{AskError, Event, Full, Mesh, Remembered, Replier, StartError, start};
pub use offences::Offence;
pub use rings::MAX_RINGS;
pub use status::{Counters, Health, Other, OtherKind, Peer, Source, SourceStatus, Status, Transport};

#[cfg(test)]
mod tests;
