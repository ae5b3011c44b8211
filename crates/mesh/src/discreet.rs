//! What a behaviour is told of where this node listens: nothing that the interface policy hides.
//!
//! libp2p's mDNS and identify tell others each address that the swarm listens on. Before them stands this: addresses on interfaces
//! that are not used don't reach them. It also keeps them from adding addresses to dials: an announcement is hearsay, and only the
//! book decides who is dialled where.

use crate::guarded::{Guard, Guarded};
use crate::interfaces::{InterfacePolicy, Interfaces};
use libp2p::Multiaddr;
use libp2p::swarm::{ExpiredListenAddr, FromSwarm, NewListenAddr};
use std::collections::BTreeSet;

/// A behaviour that hears of some addresses only.
pub(crate) type Discreet<B> = Guarded<B, Discretion>;

/// Which addresses it hears of.
pub(crate) struct Discretion {
    policy: InterfacePolicy,
    /// Addresses that it has not heard of: it need not hear of their end either.
    hidden: BTreeSet<Multiaddr>,
}

impl Discretion {
    pub(crate) fn new(policy: InterfacePolicy) -> Self {
        Discretion { policy, hidden: BTreeSet::new() }
    }
}

impl Guard for Discretion {
    fn tells(&mut self, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => {
                let is_told = Interfaces::read(&self.policy).is_told(addr);
                if !is_told {
                    tracing::debug!(address = %addr, "not told to others: its interface is not used to find members");
                    self.hidden.insert((*addr).clone());
                }
                is_told
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => !self.hidden.remove(*addr),
            _ => true,
        }
    }

    fn shares_addresses(&self) -> bool {
        false
    }
}
