//! Networks on one machine: hosts, switches, routers and what goes wrong with them. Needs root.
//!
//! A [`Lan`] is a switch with hosts on it. Hosts and switches are network namespaces; a host's cable is a veth pair, or a pair of
//! TAP devices with a [`Delay`] between them. The outermost LAN has this machine on it, as its gateway, so that tests can
//! listen for its hosts. Further ones stand behind it, with a router that translates addresses or doesn't ([`Uplink`]).
//!
//! What goes wrong does so in the switch: hosts fall silent as without power, cables are pulled, packets are lost, whole
//! protocols are blocked ([`Lan::lose`], [`Lan::part`], …). No rule is ever made in this machine's own namespace.
//!
//! Everything is gone when the [`Lan`] is dropped, also after a panic. What a killed run left is removed by the next one.

mod commands;
mod faults;
mod lan;
mod leftovers;
mod names;
mod relay;

pub use faults::Protocol;
pub use lan::{Lan, Uplink};
pub use names::NameServer;
pub use relay::Delay;
