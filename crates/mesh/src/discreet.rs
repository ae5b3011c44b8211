//! A behaviour that tells others where this node listens, kept from telling what the interface policy hides.
//!
//! libp2p's mDNS and identify take each address that the swarm listens on. Around them stands this: addresses on interfaces that are
//! not used don't reach them. It also keeps them from adding addresses to dials, as only the book decides who is dialled where.

use crate::interfaces::{InterfacePolicy, Interfaces};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour, NewListenAddr, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeSet;
use std::task::{Context, Poll, ready};

/// The inner behaviour, which hears of some addresses only.
pub(crate) struct Discreet<B> {
    inner: B,
    policy: InterfacePolicy,
    /// Addresses that it has not heard of: it need not hear of their end either.
    hidden: BTreeSet<Multiaddr>,
}

impl<B> Discreet<B> {
    pub(crate) fn new(inner: B, policy: InterfacePolicy) -> Self {
        Discreet { inner, policy, hidden: BTreeSet::new() }
    }

    fn hides(&mut self, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => {
                let is_hidden = !Interfaces::read(&self.policy).is_told(addr);
                if is_hidden {
                    tracing::debug!(address = %addr, "not told to others: its interface is not used to find members");
                    self.hidden.insert((*addr).clone());
                }
                is_hidden
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => self.hidden.remove(*addr),
            _ => false,
        }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Discreet<B> {
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
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role).map(|_more| Vec::new())
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
        if !self.hides(&event) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            match ready!(self.inner.poll(cx)) {
                // An announcement is hearsay, and goes to the book.
                ToSwarm::NewExternalAddrOfPeer { .. } => {}
                other => return Poll::Ready(other),
            }
        }
    }
}
