//! What the swarm tells the task.

use super::Task;
use super::dialling::BACK;
use crate::behaviour::BehaviourEvent;
use crate::gate::Refusal;
use crate::mesh::Event;
use crate::status::Source;
use crate::transport::refusal;
use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, kad, mdns, ping};
use std::time::Instant;

impl Task<'_> {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, concurrent_dial_errors, .. } => {
                let failed = concurrent_dial_errors.unwrap_or_default();
                self.on_established(peer_id, connection_id, &endpoint, &failed);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, connection = %connection_id, ?cause, "a connection ended");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_error(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.on_refused(&send_back_addr, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, &address),
            SwarmEvent::ExpiredListenAddr { .. } => self.changed = true,
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                tracing::warn!(?reason, "a listener closed: it is opened again");
                self.listeners.remove(&listener_id);
                self.changed = true;
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener had a fault"),
            other => tracing::trace!(event = ?other, "nothing to do"),
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => self.on_ping(peer, connection, result),
            BehaviourEvent::Identify(identify::Event::Received { connection_id, peer_id, info }) => {
                self.on_identified(peer_id, connection_id, info.listen_addrs);
            }
            BehaviourEvent::Identify(event) => tracing::trace!(?event, "identify"),
            BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed { result, .. }) => self.on_query(result),
            BehaviourEvent::Kademlia(event) => tracing::trace!(?event, "kademlia"),
            BehaviourEvent::Mdns(mdns::Event::Discovered(announced)) => self.on_announced(announced),
            BehaviourEvent::Mdns(mdns::Event::Expired(expired)) => self.on_unannounced(expired),
            BehaviourEvent::Limits(never) => match never {},
        }
    }

    fn on_ping(&mut self, peer: PeerId, connection: ConnectionId, result: Result<std::time::Duration, ping::Failure>) {
        let rtt = match result {
            Ok(rtt) => rtt,
            Err(error) => {
                tracing::debug!(%peer, %error, "a ping failed");
                return;
            }
        };
        self.connections.alive(&peer, connection, Instant::now());
        if let Some(member) = self.core.members.get_mut(&peer) {
            member.round_trip = Some(rtt);
            let event = Event::RoundTrip { member: member.member, rtt };
            self.core.hint(event);
        }
    }

    fn on_refused(&mut self, from: &Multiaddr, error: &ListenError) {
        tracing::debug!(%from, %error, "refused a connection");
        if let ListenError::Transport(TransportError::Other(error)) = error
            && let Some(Refusal { peer, error }) = refusal(error)
            && let Some(kind) = error.kind()
        {
            self.core.counters.strangers += 1;
            self.core.others.met(*peer, from.clone(), Source::Inbound, kind, Instant::now());
            self.changed = true;
        }
    }

    /// Keeps the port that a listener on port 0 got: after a panic members look for this node there.
    fn on_listening(&mut self, listener: ListenerId, address: &Multiaddr) {
        tracing::info!(%address, "listening");
        self.changed = true;
        // A network has come up: whoever could not be reached may be now.
        self.core.book.hurry(BACK, Instant::now());
        self.dial();
        let Some(index) = self.listeners.get(&listener) else { return };
        let wanted = &mut self.core.blueprint.listen[*index];
        if let Some((_, port)) = crate::precedence::socket(address) {
            let replaced = wanted.iter().map(|part| match part {
                Protocol::Tcp(0) => Protocol::Tcp(port),
                Protocol::Udp(0) => Protocol::Udp(port),
                other => other,
            });
            *wanted = replaced.collect();
        }
    }
}
