//! Where incoming connections wait until they have passed the gate, and who must leave when it is full.
//!
//! A stranger needs nothing to occupy a place but silence, so a newcomer is never refused: one that waits already leaves
//! instead. That is the longest waiting one of the address that has most, and an address from which a member has come before
//! is spared as long as there are others. Members pass in milliseconds; so whoever floods evicts mostly itself. (Refusing
//! newcomers by prefix would lock members out together with their silent neighbours.)

use futures::FutureExt;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, PeerId, Transport};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

/// Incoming connections before the gate: as many as a fleet that starts at once may bring. Where there are fewer, members evict
/// members that were about to pass, these come back, and none gets in.
pub(crate) const PLACES: usize = 128;
/// Addresses remembered as a member's. The oldest makes room.
const MAX_PROVEN: usize = 512;

type Connection = (PeerId, StreamMuxerBox);

/// A transport whose incoming connections wait in one room.
pub(crate) struct Antechamber {
    inner: Boxed<Connection>,
    room: Arc<Mutex<Room>>,
}

impl Antechamber {
    /// Around `inner`, whose upgrades end with the gate.
    pub(crate) fn new(inner: Boxed<Connection>) -> Self {
        Antechamber { inner, room: Arc::default() }
    }

    fn admit(&self, upgrade: <Boxed<Connection> as Transport>::ListenerUpgrade, from: &Multiaddr) -> Upgrade {
        let ip = crate::book::ip_of(from);
        let (handle, registration) = AbortHandle::new_pair();
        let seat = Seat { number: lock(&self.room).enter(ip, handle), room: self.room.clone() };
        async move {
            let outcome = Abortable::new(upgrade, registration).await;
            if let (Some(ip), Ok(Ok(_))) = (ip, &outcome) {
                lock(&seat.room).prove(ip);
            }
            drop(seat);
            outcome.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::ResourceBusy, MadeRoom)))
        }
        .boxed()
    }
}

type Upgrade = BoxFuture<'static, io::Result<Connection>>;

/// It waited long, and others came.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it made room for others before it had proved membership")]
struct MadeRoom;

impl Transport for Antechamber {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = <Boxed<Connection> as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| match event {
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                let upgrade = self.admit(upgrade, &send_back_addr);
                TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr }
            }
            other => other.map_upgrade(|_| unreachable!("only Incoming has an upgrade")),
        })
    }
}

/// A place in the room, until dropped.
struct Seat {
    number: u64,
    room: Arc<Mutex<Room>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.room).waiting.remove(&self.number);
    }
}

#[derive(Default)]
struct Room {
    next: u64,
    /// By order of arrival.
    waiting: BTreeMap<u64, (Option<IpAddr>, AbortHandle)>,
    proven: VecDeque<IpAddr>,
}

/// Nothing that holds the lock can panic in between, so what a poisoned one guards is whole.
fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Room {
    fn enter(&mut self, ip: Option<IpAddr>, handle: AbortHandle) -> u64 {
        if self.waiting.len() >= PLACES
            && let Some((_, evicted)) = self.whom_to_evict().and_then(|number| self.waiting.remove(&number))
        {
            evicted.abort();
        }
        self.next += 1;
        self.waiting.insert(self.next, (ip, handle));
        self.next
    }

    fn whom_to_evict(&self) -> Option<u64> {
        let count = |ip: &Option<IpAddr>| self.waiting.values().filter(|(other, _)| other == ip).count();
        let unproven = |ip: &Option<IpAddr>| !ip.is_some_and(|ip| self.proven.contains(&ip));
        let rank = |number: u64, ip: &Option<IpAddr>| (unproven(ip), count(ip), std::cmp::Reverse(number));
        self.waiting.iter().max_by_key(|(number, (ip, _))| rank(**number, ip)).map(|(number, _)| *number)
    }

    fn prove(&mut self, ip: IpAddr) {
        if !self.proven.contains(&ip) {
            self.proven.push_back(ip);
            if self.proven.len() > MAX_PROVEN {
                self.proven.pop_front();
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn enter(room: &mut Room, ip: &str) -> (u64, AbortHandle) {
        let (handle, _) = AbortHandle::new_pair();
        (room.enter(Some(ip.parse().unwrap()), handle.clone()), handle)
    }

    #[test]
    fn who_floods_evicts_itself_the_longest_waiting_first() {
        let mut room = Room::default();
        let (_, quiet) = enter(&mut room, "10.0.0.2");
        let flood: Vec<_> = (0..PLACES + 9).map(|_| enter(&mut room, "10.0.0.1").1).collect();
        assert_eq!(room.waiting.len(), PLACES);
        assert!(!quiet.is_aborted(), "the other address keeps its place");
        let evicted: Vec<bool> = flood.iter().map(AbortHandle::is_aborted).collect();
        assert!(evicted[..10].iter().all(|evicted| *evicted) && !evicted[10..].contains(&true), "{evicted:?}");
    }

    #[test]
    fn where_a_member_came_from_is_spared_while_there_are_others() {
        let mut room = Room::default();
        room.prove("10.0.0.1".parse().unwrap());
        let proven: Vec<_> = (0..PLACES - 1).map(|_| enter(&mut room, "10.0.0.1").1).collect();
        let (_, stranger) = enter(&mut room, "10.0.0.2");
        enter(&mut room, "10.0.0.1");
        assert!(stranger.is_aborted() && !proven.iter().any(AbortHandle::is_aborted));
        enter(&mut room, "10.0.0.2");
        assert!(proven[0].is_aborted(), "a full room of members' connections makes room too");
    }

    #[test]
    fn proven_addresses_are_bounded() {
        let mut room = Room::default();
        (0..2000u32).for_each(|n| room.prove(IpAddr::V4(n.into())));
        assert_eq!(room.proven.len(), MAX_PROVEN);
    }
}
