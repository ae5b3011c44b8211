//! The public DHT as a rendezvous: how members find each other across networks where nobody can be named beforehand. Opt-in.
//!
//! Every member that knows the secret can derive the same Ed25519 keys from it, from the hour and from a small shard number. Under such a
//! key's name each leaves its addresses in the IPFS DHT, as an IPNS record that only the key can sign and whose content only members
//! can open; the others look there. `docs/protocol.md` has the bytes.
//!
//! - `places`: which names, by slot and shard; `roster`: what stands there, sealed; `ipns`: the record around it, signed.
//! - `rhythm`: when the DHT is visited; `dht`: one visit.
//!
//! It runs beside the mesh's task, which hears of it only what was found. Nothing here can stop or slow the mesh.

mod dht;
mod ipns;
mod places;
mod rhythm;
mod roster;

pub(crate) use dht::Network;
pub(crate) use rhythm::Pace;

use crate::config::{is_dialable, split_peer, transport_of};
use crate::identity::peer_id;
use crate::interfaces::{InterfacePolicy, Interfaces};
use crate::rings::Rings;
use crate::status::Status;
use crate::task::Command;
use dht::{Contact, Visit, VisitError};
use ghmesh_model::MemberId;
use ghmesh_seal::{KeyRing, Transport};
use libp2p::identity::ed25519;
use libp2p::{Multiaddr, PeerId};
use places::Place;
use rhythm::Rhythm;
use roster::Notice;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// What it is started with.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) network: Network,
    /// Own addresses to leave there; with none, those on which the mesh listens.
    pub(crate) announce: Vec<Multiaddr>,
    pub(crate) pace: Pace,
    /// Which of this machine's networks are named there.
    pub(crate) interfaces: InterfacePolicy,
}

/// What a visit found: addresses and whose they are.
#[derive(Debug)]
pub(crate) struct Met(pub(crate) Result<Vec<(Multiaddr, PeerId)>, MeetError>);

/// Why it found nothing. The source's health says so.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct MeetError(#[from] VisitError);

/// Visits the DHT until the mesh ends.
pub(crate) async fn follow(
    plan: Plan,
    member: MemberId,
    rings: Rings,
    commands: mpsc::WeakSender<Command>,
    mut status: watch::Receiver<Status>,
) {
    let mut rhythm = Rhythm::new(plan.pace, rand::random(), Instant::now());
    let mut ended = status.clone();
    let held = rings.held();
    let mut visitor = Visitor { plan, member, rings, held, commands, status: status.clone(), known: Vec::new() };
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(rhythm.due().into()) => {
                tokio::select! {
                    () = visitor.visit() => rhythm.visited(rand::random(), Instant::now()),
                    _ = ended.wait_for(|_| false) => return,
                }
            }
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let alone = status.borrow_and_update().peers.is_empty();
        rhythm.company(alone, rand::random(), Instant::now());
    }
}

/// What goes from one visit to the next.
struct Visitor {
    plan: Plan,
    member: MemberId,
    rings: Rings,
    /// The keys of the secrets that were held when this visit began.
    held: Arc<[KeyRing]>,
    commands: mpsc::WeakSender<Command>,
    status: watch::Receiver<Status>,
    known: Vec<Contact>,
}

/// A name under which to look: of one ring and place.
struct Name<'a> {
    ring: &'a KeyRing,
    place: Place,
    keypair: ed25519::Keypair,
}

/// What stands in a place.
#[derive(Default)]
struct Standing {
    notices: Vec<Notice>,
    sequence: u64,
}

impl Visitor {
    async fn visit(&mut self) {
        let met = self.meet().await;
        if let Err(error) = met {
            tracing::debug!(%error, "the DHT was visited in vain");
            self.tell(Err(MeetError(error))).await;
        }
    }

    /// Reads, tells, and leaves this node's addresses if they are wanted.
    async fn meet(&mut self) -> Result<(), VisitError> {
        self.held = self.rings.held();
        let now = unix_seconds();
        let alone = self.status.borrow().peers.is_empty();
        let names = self.names(alone, now);
        let mut visit = Visit::new(&self.plan.network, &self.known)?;
        let keys = names.keys().cloned().collect();
        let mut standing = standing(&names, visit.read(keys).await?, now);
        let read = standing.len();
        self.tell(Ok(addresses_of(standing.values().flat_map(|standing| &standing.notices), &self.member))).await;
        let own = Place::of(&self.member, now);
        let ring = self.held.first().expect("a mesh has the keys of a secret").clone();
        let key = ipns::routing_key(&own.keypair(&ring).public());
        let here = standing.remove(&key).unwrap_or_default();
        let left = self.leave(&mut visit, &ring, own, here, now).await;
        tracing::debug!(read, left = left.as_ref().is_ok_and(|left| *left), "the DHT was visited");
        self.known = visit.known();
        left.map(drop)
    }

    /// Writes this node's addresses to `own`, where they are wanted.
    async fn leave(
        &self,
        visit: &mut Visit,
        ring: &KeyRing,
        own: Place,
        here: Standing,
        now: u64,
    ) -> Result<bool, VisitError> {
        let (connected, listening) = {
            let status = self.status.borrow();
            let connected: BTreeSet<MemberId> = status.peers.iter().map(|peer| peer.member).collect();
            (connected, status.listen_addrs.clone())
        };
        let addresses = own_addresses(&self.plan.announce, &self.plan.interfaces, &listening, visit.seen_as());
        let notice = Notice::new(self.member, now, addresses.iter().map(Multiaddr::to_vec));
        let Some(notices) = roster::revised(&here.notices, notice, &connected, now) else { return Ok(false) };
        let keypair = own.keypair(ring);
        let record = roster::record(ring, own, notices, here.sequence.saturating_add(1), rand::random());
        visit.write(ipns::routing_key(&keypair.public()), ipns::sign(&keypair, &record)).await.map(|()| true)
    }

    /// Every name under which to look, by its key in the DHT.
    fn names(&self, alone: bool, now: u64) -> BTreeMap<Vec<u8>, Name<'_>> {
        let places = places::to_read(&self.member, alone, rand::random(), now);
        let name = |ring, place: Place| {
            let keypair = place.keypair(ring);
            (ipns::routing_key(&keypair.public()), Name { ring, place, keypair })
        };
        self.held.iter().flat_map(|ring| places.iter().map(move |place| name(ring, *place))).collect()
    }

    async fn tell(&self, met: Result<Vec<(Multiaddr, PeerId)>, MeetError>) {
        if let Some(commands) = self.commands.upgrade() {
            // The mesh has ended if nobody takes it.
            let _ = commands.send(Command::Met(Met(met))).await;
        }
    }
}

/// What the copies say, each verified, by key. What is no record of ours counts for nothing.
fn standing(
    names: &BTreeMap<Vec<u8>, Name<'_>>,
    copies: Vec<(Vec<u8>, Vec<u8>)>,
    now: u64,
) -> BTreeMap<Vec<u8>, Standing> {
    let mut standing: BTreeMap<Vec<u8>, Standing> = BTreeMap::new();
    for (key, bytes) in copies {
        let Some(Name { ring, place, keypair }) = names.get(&key) else { continue };
        let record = match ipns::verify(&keypair.public(), &bytes, now) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "a record of the DHT is refused");
                continue;
            }
        };
        let here = standing.entry(key).or_default();
        here.sequence = here.sequence.max(record.sequence);
        match roster::open(ring, *place, &record) {
            Ok(notices) => {
                let before = std::mem::take(&mut here.notices);
                here.notices = roster::believable(before.into_iter().chain(notices), now);
            }
            Err(error) => tracing::debug!(%error, "a record of the DHT is refused"),
        }
    }
    standing
}

/// Where others can be dialled.
fn addresses_of<'a>(notices: impl Iterator<Item = &'a Notice>, local: &MemberId) -> Vec<(Multiaddr, PeerId)> {
    let others = notices.filter(|notice| notice.member != *local);
    let known = others.filter_map(|notice| Some((notice, peer_id(&notice.member)?)));
    let addresses = known.flat_map(|(notice, peer)| {
        let parsed = notice.addresses.iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok());
        parsed.filter(is_dialable).map(move |address| (address, peer)).collect::<Vec<_>>()
    });
    addresses.collect()
}

/// What this node leaves: what the settings say, or where it listens, the addresses that reach farthest first, TCP before QUIC. Where a NAT gives the
/// machine an address that it does not know (as clouds do), that address with the port on which it listens is worth a try.
fn own_addresses(
    announce: &[Multiaddr],
    interfaces: &InterfacePolicy,
    listening: &[String],
    seen_as: Option<IpAddr>,
) -> Vec<Multiaddr> {
    if !announce.is_empty() {
        return announce.to_vec();
    }
    let networks = Interfaces::read(interfaces);
    let parsed = listening.iter().filter_map(|text| text.parse::<Multiaddr>().ok());
    let bare = parsed.map(|mut address| {
        split_peer(&mut address);
        address
    });
    let over_quic = |address: &Multiaddr| transport_of(address) == Some(Transport::Quic);
    let mut listening: Vec<Multiaddr> = bare.filter(is_dialable).collect();
    listening.sort_by_key(over_quic);
    let outside = seen_as.filter(|ip| reach(*ip) == Reach::World).and_then(|ip| {
        let same_family =
            listening.iter().find(|address| crate::book::ip_of(address).is_some_and(|at| at.is_ipv4() == ip.is_ipv4()));
        same_family.map(|address| address.replace(0, |_| Some(ip.into())).expect("it has a first part"))
    });
    let useful = listening.into_iter().filter(|address| networks.is_useful(address) && networks.is_told(address));
    let mut all: Vec<Multiaddr> = Vec::new();
    for address in outside.into_iter().chain(useful) {
        if crate::book::ip_of(&address).is_some_and(|ip| reach(ip) != Reach::Nowhere) && !all.contains(&address) {
            all.push(address);
        }
    }
    all.sort_by_key(|address| (crate::book::ip_of(address).map(reach), over_quic(address)));
    all
}

/// From where an address leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    World,
    /// Networks that are routed inside: a company's, a cloud's, a VPN's.
    Inside,
    Nowhere,
}

fn reach(ip: IpAddr) -> Reach {
    match ip {
        _ if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() => Reach::Nowhere,
        IpAddr::V4(ip) if ip.is_link_local() || ip.is_broadcast() => Reach::Nowhere,
        // RFC 6598: shared by a carrier's customers.
        IpAddr::V4(ip) if ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) => Reach::Inside,
        IpAddr::V4(_) => Reach::World,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Reach::Nowhere,
        // RFC 4291: what is given out begins with the bits 001.
        IpAddr::V6(ip) if ip.segments()[0] & 0xe000 == 0x2000 => Reach::World,
        IpAddr::V6(_) => Reach::Inside,
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[path = "rendezvous_tests.rs"]
mod tests;
