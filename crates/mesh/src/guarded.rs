//! A behaviour of libp2p behind a guard, which decides what reaches it and what it may ask for.

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll, ready};

/// What a guard lets through: everything, where it says nothing else.
pub(crate) trait Guard: 'static {
    /// Whether the behaviour hears of this.
    fn tells(&mut self, _event: &FromSwarm<'_>) -> bool {
        true
    }

    /// Whether something that a connection of `peer` brought up reaches the behaviour.
    fn admits(&mut self, _peer: PeerId) -> bool {
        true
    }

    /// Whether addresses that the behaviour knows reach the swarm: more of them for a dial, and those that it heard of.
    fn shares_addresses(&self) -> bool {
        true
    }
}

/// A behaviour and its guard.
pub(crate) struct Guarded<B, G> {
    inner: B,
    pub(crate) guard: G,
}

impl<B, G> Guarded<B, G> {
    pub(crate) fn by(guard: G, inner: B) -> Self {
        Guarded { inner, guard }
    }
}

impl<B, G> Deref for Guarded<B, G> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B, G> DerefMut for Guarded<B, G> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour, G: Guard> NetworkBehaviour for Guarded<B, G> {
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
        let more = self.inner.handle_pending_outbound_connection(id, peer, addresses, role)?;
        Ok(if self.guard.shares_addresses() { more } else { Vec::new() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if self.guard.tells(&event) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if self.guard.admits(peer) {
            self.inner.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            match ready!(self.inner.poll(cx)) {
                ToSwarm::NewExternalAddrOfPeer { .. } if !self.guard.shares_addresses() => {}
                other => return Poll::Ready(other),
            }
        }
    }
}
