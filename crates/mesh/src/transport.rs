//! TCP with Noise and yamux, and QUIC; the membership gate after either, and the antechamber around all.
//!
//! Which of the two is dialled first is `precedence`'s matter.

use crate::antechamber::Antechamber;
use crate::gate::{Gate, Refusal};
use crate::precedence::HEAD_START;
use futures::FutureExt;
use futures::future::BoxFuture;
use ghmesh_seal::Transport as Carrier;
use libp2p::PeerId;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::derive_prelude::Either;
use libp2p::{Multiaddr, Transport, noise, quic, tcp, yamux};
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

/// QUIC's handshake, on either end: one round trip, and one repeat. A first packet that nobody answers is repeated after 1 s and then after
/// 3 s (RFC 9002, section 6.2, with its initial round trip of 333 ms); a new dial in between finds sooner that a member is back.
const QUIC_HANDSHAKE_LIMIT: Duration = Duration::from_secs(2);
/// QUIC ends a connection by itself after this long without a packet of the other end (or three times what a repeat of a packet takes,
/// if that is longer). Over TCP a kernel tells at once that a process was killed; over QUIC nobody does, so silence must. What ends
/// wrongly, at an outage as long as this, is made anew within milliseconds.
const QUIC_IDLE: Duration = Duration::from_millis(1200);
/// QUIC's own sign of life. A lost one is repeated within a few round trips.
const QUIC_KEEP_ALIVE: Duration = Duration::from_millis(400);
/// Bytes that a member may send ahead of what was read, on one substream and on all of a connection: 20 MB a second over 100 ms
/// of distance. Each waiting stranger can occupy as much, so the antechamber 64 MiB.
const QUIC_STREAM_WINDOW: u32 = 1 << 20;
const QUIC_WINDOW: u32 = 2 << 20;

/// The swarm's transport: each of the two under a gate of its own.
pub(crate) fn build(
    keypair: &Keypair,
    gate: impl Fn(Carrier) -> Gate,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = gated(over_tcp(keypair)?, gate(Carrier::Tcp));
    let quic = gated(over_quic(keypair), gate(Carrier::Quic));
    let either = tcp.or_transport(quic).map(|connection, _| connection.into_inner());
    Ok(Antechamber::new(either.boxed()).boxed())
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

/// QUIC alone.
pub(crate) fn over_quic(keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = QUIC_HANDSHAKE_LIMIT;
    config.max_idle_timeout = u32::try_from(QUIC_IDLE.as_millis()).expect("it is short");
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = u32::try_from(MAX_SUBSTREAMS).expect("there are few");
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_WINDOW;
    OnePort(quic::tokio::Transport::new(config))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed()
}

fn gated(transport: Boxed<(PeerId, StreamMuxerBox)>, gate: Gate) -> Boxed<(PeerId, StreamMuxerBox)> {
    transport.and_then(move |connection, endpoint| gate.admit(connection, endpoint)).boxed()
}

/// What the gate said, if it was the gate that refused.
pub(crate) fn refusal(error: &io::Error) -> Option<&Refusal> {
    let inner = error.get_ref()?;
    if let Some(Either::Right(refused)) = inner.downcast_ref::<Either<io::Error, Refusal>>() {
        return Some(refused);
    }
    if let Some(Either::Left(inner) | Either::Right(inner)) = inner.downcast_ref::<Either<io::Error, io::Error>>() {
        return refusal(inner);
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

/// Dials from the listening port always: there is no simultaneous open in QUIC, and a new port for each dial is a new socket.
///
/// Whom a behaviour dials by itself (Kademlia does) `precedence` does not know, so here TCP has its head start too.
struct OnePort<T>(T);

impl<T> Transport for OnePort<T>
where
    T: Transport<Dial: Send + 'static, Output: 'static, Error: 'static> + Unpin,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        let head_start = match options.port_use {
            // The task's own dials say so.
            PortUse::New => Duration::ZERO,
            PortUse::Reuse => HEAD_START,
        };
        let dial = self.0.dial(address, DialOpts { port_use: PortUse::Reuse, ..options })?;
        Ok(tokio::time::sleep(head_start).then(|()| dial).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
