//! TCP, Noise, yamux, the membership gate after them, and the antechamber around all.

use crate::antechamber::Antechamber;
use crate::gate::{Gate, GateError};
use libp2p::PeerId;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::derive_prelude::Either;
use libp2p::{Multiaddr, Transport, noise, tcp, yamux};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Connecting, Noise and yamux, as the dialer: three to five round trips.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// Noise and yamux, as the listener. Shorter, since a silent stranger holds a slot for as long.
const ACCEPT_LIMIT: Duration = Duration::from_secs(3);
/// Substreams of one connection. Exceeding it ends the connection, so it lies far above what requests may use.
const MAX_SUBSTREAMS: usize = 1024;

/// The swarm's transport. QUIC will stand beside TCP, under the same gate.
pub(crate) fn build(keypair: &Keypair, gate: Gate) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    Ok(Antechamber::new(gated(over_tcp(keypair)?, gate)).boxed())
}

/// TCP, Noise and yamux alone.
pub(crate) fn over_tcp(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_SUBSTREAMS);
    let tcp = FreshPort(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)));
    #[cfg(test)]
    let tcp = crate::tests::memory::beside(tcp);
    let upgraded = tcp.upgrade(Version::V1Lazy).authenticate(noise::Config::new(keypair)?).multiplex(yamux);
    Ok(upgraded.outbound_timeout(DIAL_LIMIT).inbound_timeout(ACCEPT_LIMIT).boxed())
}

fn gated(transport: Boxed<(PeerId, StreamMuxerBox)>, gate: Gate) -> Boxed<(PeerId, StreamMuxerBox)> {
    transport.and_then(move |connection, endpoint| gate.admit(connection, endpoint)).boxed()
}

/// What the gate said, if it was the gate that refused.
pub(crate) fn refusal(error: &io::Error) -> Option<&GateError> {
    let inner = error.get_ref()?;
    if let Some(Either::Right(refusal)) = inner.downcast_ref::<Either<io::Error, GateError>>() {
        return Some(refusal);
    }
    // Each boxing of a transport wraps its errors once more.
    inner.downcast_ref::<io::Error>().and_then(refusal)
}

/// Dials from a new port always, also where a behaviour dials by itself. From the listening port two nodes that find each
/// other in the same instant would do a TCP simultaneous open, and both handshakes fail as both ends think they dial.
struct FreshPort<T>(T);

impl<T: Transport + Unpin> Transport for FreshPort<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.0.dial(address, DialOpts { port_use: PortUse::New, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
