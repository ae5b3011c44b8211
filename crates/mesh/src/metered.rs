//! A behaviour of libp2p, with a limit on what each member may make it do.
//!
//! It counts what the connections of a member bring up to the behaviour (messages, queries, pushes, the ends of what this node
//! asked), and drops what is above the limit before the behaviour looks at it. The limits lie far above what well-behaved
//! members do, so whoever meets one floods.

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Members remembered. With more, the one that has most left is forgotten.
const MAX_BUCKETS: usize = 512;
/// How many seconds' worth may come in a row.
const BURST_SECONDS: u32 = 4;

/// The behaviour and its limit.
pub(crate) struct Metered<B> {
    inner: B,
    meter: Meter,
}

impl<B> Metered<B> {
    /// Lets each member bring up so many events a second, and four times as many in a row.
    pub(crate) fn new(inner: B, per_second: u32) -> Self {
        let meter = Meter { refill: Duration::from_secs(1) / per_second, ..Meter::default() };
        Metered { inner, meter }
    }

    /// Who met the limit since it was last asked.
    pub(crate) fn floods(&mut self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.meter.floods)
    }
}

impl<B> Deref for Metered<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Metered<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

/// A bucket of tokens for each member.
#[derive(Debug, Default)]
struct Meter {
    refill: Duration,
    /// When each bucket is full again; a moment that is over says the same as none.
    full_at: BTreeMap<PeerId, Instant>,
    floods: BTreeSet<PeerId>,
}

impl Meter {
    fn allows(&mut self, peer: PeerId, now: Instant) -> bool {
        let burst = Duration::from_secs(BURST_SECONDS.into());
        let full_at = self.full_at.get(&peer).map_or(now, |at| now.max(*at)) + self.refill;
        if full_at > now + burst {
            self.floods.insert(peer);
            return false;
        }
        if self.full_at.len() >= MAX_BUCKETS && !self.full_at.contains_key(&peer) {
            let fullest = self.full_at.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
            fullest.map(|peer| self.full_at.remove(&peer));
        }
        self.full_at.insert(peer, full_at);
        true
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Metered<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if self.meter.allows(peer, Instant::now()) {
            self.inner.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seconds_worth_in_a_row_then_as_it_comes_back() {
        let (mut meter, now) = (Meter { refill: Duration::from_millis(100), ..Meter::default() }, Instant::now());
        let (loud, quiet) = (PeerId::random(), PeerId::random());
        let mut passed = |peer, now| (0..100).filter(|_| meter.allows(peer, now)).count();
        assert_eq!((passed(loud, now), passed(loud, now)), (40, 0));
        assert_eq!(passed(loud, now + Duration::from_secs(1)), 10);
        assert_eq!(passed(quiet, now), 40);
        (0..1000).for_each(|_| assert!(meter.allows(PeerId::random(), now)));
        assert_eq!((meter.full_at.len(), meter.floods.len()), (MAX_BUCKETS, 2));
        assert!(!meter.allows(loud, now), "who has least left is not forgotten");
    }
}
