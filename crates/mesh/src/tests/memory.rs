//! Memory in place of TCP, so that many whole nodes fit into one process: no sockets, no kernel, and everything above as it is.
//!
//! It takes the addresses of one loopback network. So nothing else knows of it: addresses are told, dialled and judged as TCP's.

use libp2p::core::transport::{DialOpts, ListenerId, MemoryTransport, OrTransport, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

/// The network.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// What a node in memory listens on.
pub(crate) const LISTEN: &str = "/ip4/127.77.0.1/tcp/0";

/// Ports that were given out, in this process.
static NEXT_PORT: AtomicU16 = AtomicU16::new(1024);

/// Nodes that do not look for others by Kademlia.
static STILL: Mutex<BTreeSet<PeerId>> = Mutex::new(BTreeSet::new());

/// This node only dials what it was told.
pub(crate) fn keep_still(peer: PeerId) {
    STILL.lock().unwrap().insert(peer);
}

pub(crate) fn is_still(peer: &PeerId) -> bool {
    STILL.lock().unwrap().contains(peer)
}

/// Memory for its own network, `other` for all others.
pub(crate) fn beside<T: Transport>(other: T) -> OrTransport<Memory, T> {
    OrTransport::new(Memory(MemoryTransport::new()), other)
}

/// The memory transport under TCP's addresses.
pub(crate) struct Memory(MemoryTransport);

/// `/ip4/127.77.0.1/tcp/PORT` as `/memory/PORT`.
fn inside(address: &Multiaddr) -> Option<Multiaddr> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(HOST), Protocol::Tcp(port)) => Some(Protocol::Memory(u64::from(port)).into()),
        _ => None,
    }
}

/// And back. Who dials has a longer number, of which what fits is shown.
fn outside(address: &Multiaddr) -> Multiaddr {
    let port = match address.iter().next() {
        Some(Protocol::Memory(port)) => (port & 0xffff) as u16,
        _ => 0,
    };
    Multiaddr::from(HOST).with(Protocol::Tcp(port))
}

impl Transport for Memory {
    type Output = <MemoryTransport as Transport>::Output;
    type Error = <MemoryTransport as Transport>::Error;
    type ListenerUpgrade = <MemoryTransport as Transport>::ListenerUpgrade;
    type Dial = <MemoryTransport as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        let Some(memory) = inside(&address) else { return Err(TransportError::MultiaddrNotSupported(address)) };
        let any: Multiaddr = Protocol::Memory(0).into();
        let free = || Protocol::Memory(u64::from(NEXT_PORT.fetch_add(1, Ordering::Relaxed))).into();
        self.0.listen_on(id, if memory == any { free() } else { memory })
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        match inside(&address) {
            Some(memory) => self.0.dial(memory, options),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx).map(|event| match event {
            TransportEvent::NewAddress { listener_id, listen_addr } => {
                TransportEvent::NewAddress { listener_id, listen_addr: outside(&listen_addr) }
            }
            TransportEvent::AddressExpired { listener_id, listen_addr } => {
                TransportEvent::AddressExpired { listener_id, listen_addr: outside(&listen_addr) }
            }
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr: outside(&local_addr),
                send_back_addr: outside(&send_back_addr),
            },
            other => other,
        })
    }
}
