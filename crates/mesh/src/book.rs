//! Addresses to dial: who gave them, when each is tried next, and how its source does.
//!
//! It decides whom to dial and dials nobody. Moments and jitter are arguments.

use crate::status::{Source, SourceStatus};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Addresses kept. When full, an address that never worked makes room; where all did, the new one is not kept.
const MAX_ADDRESSES: usize = 1024;
/// Addresses kept of one peer, but those in the settings.
const MAX_ADDRESSES_OF_PEER: usize = 6;
/// Own dials under way at once; below the 16 that are allowed in all, so that Kademlia's lookups have some too.
const MAX_DIALS: usize = 10;
/// Of those, dials to addresses that anybody may have announced: strangers that never answer leave the others room.
const MAX_DOUBTFUL_DIALS: usize = 6;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before an address that worked lately is tried again: its node may be restarting.
const MAX_PAUSE_PROVEN: Duration = Duration::from_secs(2);
/// How long an address counts as having worked lately.
const PROVEN_FOR: Duration = Duration::from_secs(600);
/// The longest pause before an address of the settings or of a member is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause before an address that anybody may have announced is tried again.
const MAX_PAUSE_DOUBTFUL: Duration = Duration::from_secs(300);
/// Pause where there was no room for the dial here, or another connection came up.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Pause before an address that turned out to be this node's own is tried again: the address may change hands.
const OWN_PAUSE: Duration = Duration::from_secs(600);
/// Failures in a row after which an address that never worked is forgotten, unless it stands in the settings.
const MAX_FAILURES: u32 = 20;
/// Failures in a row after which a peer should not be told to others any more.
const FAILURES_OF_THE_GONE: u32 = 5;

/// How a dial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody there, or not a node.
    Unreachable(String),
    /// Somebody of another mesh, or of none.
    Stranger(String),
    /// Another member than expected.
    OtherPeer(PeerId),
    /// This node itself.
    Own,
    /// It is that member, who has a connection already, or is about to.
    Redundant(PeerId),
    /// Refused here, for lack of room.
    Busy,
}

/// One dial: every due address of a peer, or one address of an unknown one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Multiaddr>,
}

#[derive(Debug)]
struct Entry {
    peer: Option<PeerId>,
    source: Source,
    failures: u32,
    not_before: Instant,
    worked_at: Option<Instant>,
    dialling: bool,
}

impl Entry {
    /// Nobody vouches for what is announced on a LAN or by hearsay.
    fn is_doubtful(&self) -> bool {
        self.worked_at.is_none() && matches!(self.source, Source::Mdns | Source::Kademlia | Source::Presence)
    }

    fn is_set(&self) -> bool {
        self.source == Source::Static
    }

    fn max_pause(&self, now: Instant) -> Duration {
        if self.worked_at.is_some_and(|at| now.duration_since(at) < PROVEN_FOR) {
            MAX_PAUSE_PROVEN
        } else if self.is_doubtful() {
            MAX_PAUSE_DOUBTFUL
        } else {
            MAX_PAUSE
        }
    }
}

#[derive(Debug, Default)]
struct Health {
    found: u64,
    last_success: Option<Instant>,
    last_error: Option<(Instant, String)>,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    local: PeerId,
    entries: BTreeMap<Multiaddr, Entry>,
    health: BTreeMap<Source, Health>,
}

impl Book {
    pub(crate) fn new(local: PeerId) -> Self {
        Book { local, entries: BTreeMap::new(), health: BTreeMap::new() }
    }

    /// Notes an address, due at once. Of an address that is known, only a better idea of whose it is.
    pub(crate) fn learn(&mut self, address: Multiaddr, peer: Option<PeerId>, source: Source, now: Instant) {
        if peer == Some(self.local) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.peer = entry.peer.or(peer);
            return;
        }
        if self.has_room_for(peer, source) {
            let entry = Entry { peer, source, failures: 0, not_before: now, worked_at: None, dialling: false };
            self.entries.insert(address, entry);
        }
    }

    fn has_room_for(&mut self, peer: Option<PeerId>, source: Source) -> bool {
        if source == Source::Static {
            return true;
        }
        if peer.is_some() && self.entries.values().filter(|e| e.peer == peer).count() >= MAX_ADDRESSES_OF_PEER {
            return false;
        }
        self.entries.len() < MAX_ADDRESSES || self.forget_worst()
    }

    fn forget_worst(&mut self) -> bool {
        let evictable = self.entries.iter().filter(|(_, e)| !e.dialling && !e.is_set() && e.worked_at.is_none());
        let worst = evictable.max_by_key(|(_, e)| (e.is_doubtful(), e.failures)).map(|(address, _)| address.clone());
        worst.is_some_and(|address| self.entries.remove(&address).is_some())
    }

    /// A source takes an address back. One that worked stays.
    pub(crate) fn retract(&mut self, address: &Multiaddr, source: Source) {
        let unused = |e: &Entry| e.source == source && !e.dialling && e.worked_at.is_none();
        if self.entries.get(address).is_some_and(unused) {
            self.entries.remove(address);
        }
    }

    /// The next dial that is due, if there is room for one. It counts as under way until its addresses have succeeded or failed.
    pub(crate) fn next_dial(&mut self, connected: impl Fn(&PeerId) -> bool, now: Instant) -> Option<Dial> {
        let dialling = self.entries.values().filter(|e| e.dialling).count();
        let doubtful = self.entries.values().filter(|e| e.dialling && e.is_doubtful()).count();
        if dialling >= MAX_DIALS {
            return None;
        }
        let room_for_doubtful = doubtful < MAX_DOUBTFUL_DIALS;
        let due = |e: &Entry| e.not_before <= now && (room_for_doubtful || !e.is_doubtful());
        let candidates = self.idle(&connected).filter(|(_, e)| due(e));
        let (address, peer) = candidates.min_by_key(|(_, e)| e.not_before).map(|(a, e)| (a.clone(), e.peer))?;
        let addresses = match peer {
            Some(_) => {
                self.idle(&connected).filter(|(_, e)| e.peer == peer && due(e)).map(|(a, _)| a.clone()).collect()
            }
            None => vec![address],
        };
        for address in &addresses {
            self.entries.get_mut(address).expect("it was just found").dialling = true;
        }
        Some(Dial { peer, addresses })
    }

    /// When to ask for a dial again, if nothing else happens.
    pub(crate) fn next_due(&self, connected: impl Fn(&PeerId) -> bool, now: Instant) -> Option<Instant> {
        // What is due already waits for room, which the end of a dial makes.
        self.idle(&connected).map(|(_, e)| e.not_before).filter(|at| *at > now).min()
    }

    /// What may be dialled, due or not: neither under way nor of a peer that is connected or being dialled.
    fn idle<'a>(&'a self, connected: &'a impl Fn(&PeerId) -> bool) -> impl Iterator<Item = (&'a Multiaddr, &'a Entry)> {
        let dialling: BTreeSet<PeerId> = self.entries.values().filter(|e| e.dialling).filter_map(|e| e.peer).collect();
        let busy = move |peer: &PeerId| dialling.contains(peer) || connected(peer);
        self.entries.iter().filter(move |(_, e)| !e.dialling && !e.peer.as_ref().is_some_and(&busy))
    }

    /// A dial reached `peer` at `address`.
    pub(crate) fn succeeded(&mut self, address: &Multiaddr, peer: PeerId, now: Instant) {
        // Kademlia dials by itself, addresses that the book may not know.
        self.learn(address.clone(), Some(peer), Source::Kademlia, now);
        let Some(entry) = self.entries.get_mut(address) else { return };
        *entry =
            Entry { peer: Some(peer), failures: 0, not_before: now, worked_at: Some(now), dialling: false, ..*entry };
        let source = entry.source;
        self.found(source, now);
    }

    /// `address` was part of a dial that ended at another address of the same peer.
    pub(crate) fn spared(&mut self, address: &Multiaddr) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.dialling = false;
        }
    }

    /// No dial is under way any more.
    pub(crate) fn nothing_under_way(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.dialling = false);
    }

    /// A dial of `address` failed. `jitter` in 0..1 spreads the next try. Gives the peer that is out of reach, once that is
    /// likely to last.
    pub(crate) fn failed(
        &mut self,
        address: &Multiaddr,
        failure: &Failure,
        jitter: f64,
        now: Instant,
    ) -> Option<PeerId> {
        let entry = self.entries.get_mut(address)?;
        let source = entry.source;
        entry.dialling = false;
        match failure {
            Failure::Redundant(peer) => {
                entry.peer = Some(*peer);
                entry.not_before = now + BUSY_PAUSE;
            }
            Failure::Busy => entry.not_before = now + BUSY_PAUSE,
            Failure::Own => entry.not_before = now + OWN_PAUSE,
            Failure::OtherPeer(peer) => {
                entry.peer = Some(*peer);
                entry.not_before = now + pause(entry, jitter, now);
            }
            Failure::Unreachable(_) | Failure::Stranger(_) => {
                entry.failures = entry.failures.saturating_add(1);
                entry.not_before = now + pause(entry, jitter, now);
            }
        }
        let gone = entry.peer.filter(|_| entry.failures >= FAILURES_OF_THE_GONE);
        if entry.failures >= MAX_FAILURES && !entry.is_set() && entry.worked_at.is_none() {
            self.entries.remove(address);
        }
        if let Some(text) = failure.text(address) {
            self.error(source, text, now);
        }
        gone
    }

    /// The peer's connection ended: its addresses are due soon, each from the shortest pause on.
    pub(crate) fn lost(&mut self, peer: &PeerId, now: Instant) {
        for entry in self.entries.values_mut().filter(|e| e.peer.as_ref() == Some(peer)) {
            entry.failures = 0;
            entry.not_before = now + FIRST_PAUSE;
        }
    }

    /// A source led to a member.
    pub(crate) fn found(&mut self, source: Source, now: Instant) {
        let health = self.health.entry(source).or_default();
        health.found += 1;
        health.last_success = Some(now);
    }

    /// A source failed.
    pub(crate) fn error(&mut self, source: Source, text: String, now: Instant) {
        self.health.entry(source).or_default().last_error = Some((now, text));
    }

    /// Addresses of `peer` that worked, the latest first.
    pub(crate) fn proven(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let mut proven: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, e)| e.peer.as_ref() == Some(peer))
            .filter_map(|(address, e)| e.worked_at.map(|at| (at, address.clone())))
            .collect();
        proven.sort_by(|one, other| other.cmp(one));
        proven.into_iter().map(|(_, address)| address).collect()
    }

    /// Every source, in its order.
    pub(crate) fn sources(&self) -> Vec<SourceStatus> {
        Source::ALL.into_iter().map(|source| self.source(source)).collect()
    }

    fn source(&self, source: Source) -> SourceStatus {
        let health = self.health.get(&source);
        SourceStatus {
            source,
            addresses: self.entries.values().filter(|e| e.source == source).count(),
            found: health.map_or(0, |health| health.found),
            last_success: health.and_then(|health| health.last_success),
            last_error: health.and_then(|health| health.last_error.clone()),
        }
    }
}

impl Failure {
    fn text(&self, address: &Multiaddr) -> Option<String> {
        match self {
            Failure::Unreachable(reason) | Failure::Stranger(reason) => Some(format!("{address}: {reason}")),
            Failure::OtherPeer(peer) => Some(format!("{address}: another node answers there, {peer}")),
            Failure::Own | Failure::Redundant(_) | Failure::Busy => None,
        }
    }
}

/// Doubles with each failure, between three and five quarters of that.
fn pause(entry: &Entry, jitter: f64, now: Instant) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << entry.failures.saturating_sub(1).min(16));
    doubled.min(entry.max_pause(now)).mul_f64(0.75 + jitter / 2.0)
}

/// The IP address at the start of a multiaddr.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<std::net::IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
