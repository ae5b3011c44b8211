//! A network that can be cut: nodes that can't dial certain others.

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

type Inner = Boxed<(PeerId, StreamMuxerBox)>;

/// Which ports of loopback each node can't dial.
static CUT: Mutex<BTreeMap<PeerId, BTreeSet<u16>>> = Mutex::new(BTreeMap::new());

/// From now on `who` can dial all ports but these.
pub(crate) fn cut_off(who: PeerId, ports: BTreeSet<u16>) {
    CUT.lock().unwrap().insert(who, ports);
}

pub(crate) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// The transport of a node whose dials may be cut off.
pub(crate) struct Cuttable {
    inner: Inner,
    local: PeerId,
}

impl Cuttable {
    pub(crate) fn new(inner: Inner, local: PeerId) -> Self {
        Cuttable { inner, local }
    }

    fn is_cut(&self, address: &Multiaddr) -> bool {
        let cut = CUT.lock().unwrap();
        cut.get(&self.local).zip(port(address)).is_some_and(|(ports, port)| ports.contains(&port))
    }
}

impl Transport for Cuttable {
    type Output = <Inner as Transport>::Output;
    type Error = io::Error;
    type ListenerUpgrade = <Inner as Transport>::ListenerUpgrade;
    type Dial = <Inner as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        if self.is_cut(&address) {
            return Err(TransportError::Other(io::ErrorKind::HostUnreachable.into()));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
