//! Addresses to dial: who gave them, when each is tried next, and how its source does.
//!
//! It decides whom to dial and dials nobody. Moments and jitter are arguments.

use crate::config::transport_of;
use crate::precedence::{Facts, Party, Standings, socket};
use crate::status::{Health, Source, SourceStatus};
use ghmesh_seal::Transport;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// Addresses kept. When full, one that never worked makes room; else one that fails, the longest failing first, unless the new
/// one is hearsay. Where there is none either, the new one is not kept.
const MAX_ADDRESSES: usize = 1024;
/// Addresses kept of one peer, but those in the settings.
const MAX_ADDRESSES_OF_PEER: usize = 6;
/// Own dials under way at once. A source that has none under way gets one nevertheless, so that no other source's dead
/// addresses delay it: that makes fewer than the 24 that are allowed in all, so that Kademlia's lookups have some too.
const MAX_DIALS: usize = 10;
/// Of those, dials to addresses that anybody may have announced: strangers that never answer leave the others room.
const MAX_DOUBTFUL_DIALS: usize = 6;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before an address is tried again that worked until a moment ago: its node is restarting, and may not know
/// whom to dial itself. A refused dial costs little, and none is under way twice.
const MAX_PAUSE_LOST: Duration = Duration::from_millis(500);
/// How long that moment lasts: longer than a service manager takes for a restart.
const LOST_FOR: Duration = Duration::from_secs(30);
/// The longest pause before an address that worked lately is tried again: its node may be restarting.
const MAX_PAUSE_PROVEN: Duration = Duration::from_secs(2);
/// How long an address counts as having worked lately.
const PROVEN_FOR: Duration = Duration::from_secs(600);
/// The longest pause before an address of the settings is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause before an address of a member is tried again that has been away for long: the other half of a mesh that
/// was cut in two is found again after it.
const MAX_PAUSE_MEMBER: Duration = Duration::from_secs(60);
/// The longest pause before an address that anybody may have announced is tried again.
const MAX_PAUSE_DOUBTFUL: Duration = Duration::from_secs(300);
/// Pause where there was no room for the dial here, or another connection came up.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Pause before an address that turned out to be this node's own is tried again: the address may change hands.
const OWN_PAUSE: Duration = Duration::from_secs(600);
/// Failures in a row after which hearsay that never worked is forgotten.
const MAX_FAILURES: u32 = 20;
/// After this long without success any address is forgotten but those of the settings.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A connection that ends sooner than this was a failure: the other end has no room, or throws this node out.
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// Failures in a row after which a member counts as having been away: when it is back, others may be too.
const FAILURES_OF_THE_AWAY: u32 = 4;
/// With fewer neighbours than this, of those that are known, a node may be cut off from the mesh.
const FEW_NEIGHBOURS: usize = 4;
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
    /// Connections in a row that ended soon.
    flaps: u32,
    not_before: Instant,
    worked_at: Option<Instant>,
    /// When it was learned, or worked last.
    since: Instant,
    /// Since when.
    dialling: Option<Instant>,
    /// Its name has it no more.
    vanished: bool,
    /// A number at random, but always the same on this node: so that not all nodes dial in one order.
    rank: u64,
}

impl Entry {
    /// Nobody vouches for what is announced on a LAN or by hearsay.
    fn is_doubtful(&self) -> bool {
        self.worked_at.is_none() && matches!(self.source, Source::Mdns | Source::Kademlia | Source::Presence)
    }

    /// Whether the settings have it, or a name in them.
    fn is_set(&self) -> bool {
        matches!(self.source, Source::Static | Source::Dns | Source::Dnsaddr)
    }

    fn is_given_up(&self, now: Instant) -> bool {
        let hearsay = self.is_doubtful() && self.failures >= MAX_FAILURES;
        !self.is_set() && (hearsay || self.failures > 0 && now.duration_since(self.since) > FORGOTTEN_AFTER)
    }

    /// What is tried first: what has not failed, in an order of this node's own; then what is due for longest.
    fn order(&self, now: Instant) -> (bool, u64) {
        if self.failures == 0 {
            return (false, self.rank);
        }
        let overdue = u64::try_from(now.saturating_duration_since(self.not_before).as_millis()).unwrap_or(u64::MAX);
        (true, u64::MAX - overdue)
    }

    fn max_pause(&self, now: Instant) -> Duration {
        let worked_within = |span| self.worked_at.is_some_and(|at| now.duration_since(at) < span);
        if worked_within(LOST_FOR) {
            MAX_PAUSE_LOST
        } else if worked_within(PROVEN_FOR) {
            MAX_PAUSE_PROVEN
        } else if self.is_doubtful() {
            MAX_PAUSE_DOUBTFUL
        } else if self.is_set() {
            MAX_PAUSE
        } else {
            MAX_PAUSE_MEMBER
        }
    }
}

#[derive(Debug, Default)]
struct Record {
    /// Whether the source has anything to do.
    enabled: bool,
    found: u64,
    last_answer: Option<Instant>,
    last_success: Option<Instant>,
    last_error: Option<(Instant, String)>,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    local: PeerId,
    entries: BTreeMap<Multiaddr, Entry>,
    records: BTreeMap<Source, Record>,
}

impl Book {
    pub(crate) fn new(local: PeerId) -> Self {
        Book { local, entries: BTreeMap::new(), records: BTreeMap::new() }
    }

    /// Notes an address, due at once. Of an address that is known, only a better idea of whose it is.
    pub(crate) fn learn(&mut self, address: Multiaddr, peer: Option<PeerId>, source: Source, now: Instant) {
        if peer == Some(self.local) {
            return;
        }
        self.enable(source);
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.peer = entry.peer.or(peer);
            entry.vanished &= entry.source != source;
        } else if self.has_room_for(peer, source) {
            let entry = Entry {
                peer,
                source,
                failures: 0,
                flaps: 0,
                not_before: now,
                worked_at: None,
                since: now,
                dialling: None,
                vanished: false,
                rank: self.rank(&address),
            };
            self.entries.insert(address, entry);
        }
    }

    fn rank(&self, address: &Multiaddr) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.local, address).hash(&mut hasher);
        hasher.finish()
    }

    fn has_room_for(&mut self, peer: Option<PeerId>, source: Source) -> bool {
        if source == Source::Static {
            return true;
        }
        if peer.is_some() && self.entries.values().filter(|e| e.peer == peer).count() >= MAX_ADDRESSES_OF_PEER {
            return false;
        }
        self.entries.len() < MAX_ADDRESSES || self.forget_worst(matches!(source, Source::Mdns | Source::Kademlia))
    }

    fn forget_worst(&mut self, for_hearsay: bool) -> bool {
        let useless = |e: &Entry| e.worked_at.is_none() || !for_hearsay && e.failures > 0;
        let is_evictable = |e: &Entry| e.dialling.is_none() && e.source != Source::Static && useless(e);
        let badness = |e: &Entry| (e.worked_at.is_none(), e.is_doubtful(), e.failures, std::cmp::Reverse(e.since));
        let evictable = self.entries.iter().filter(|(_, e)| is_evictable(e));
        let worst = evictable.max_by_key(|(_, e)| badness(e)).map(|(address, _)| address.clone());
        worst.is_some_and(|address| self.entries.remove(&address).is_some())
    }

    /// The name that an address came from has it no more: it is forgotten, at once or when its member leaves.
    pub(crate) fn vanish(&mut self, address: &Multiaddr, source: Source, connected: impl Fn(&PeerId) -> bool) {
        let Some(entry) = self.entries.get_mut(address).filter(|e| e.source == source) else { return };
        entry.vanished = true;
        if entry.dialling.is_none() && !entry.peer.as_ref().is_some_and(connected) {
            self.entries.remove(address);
        }
    }

    /// Makes every address due within `limit`, hearsay that never worked excepted: something has changed for the better.
    pub(crate) fn hurry(&mut self, limit: Duration, now: Instant) {
        for entry in self.entries.values_mut().filter(|e| !e.is_doubtful()) {
            let fraction = f64::from((entry.rank >> 32) as u32) / f64::from(u32::MAX);
            entry.not_before = entry.not_before.min(now + limit.mul_f64(fraction));
        }
    }

    /// Whether a node with so many neighbours should have more: fewer than four, and it knows of others.
    pub(crate) fn is_lonely(&self, neighbours: usize) -> bool {
        let known: BTreeSet<&PeerId> = self.entries.values().filter_map(|e| e.peer.as_ref()).collect();
        let nameless = self.entries.values().filter(|e| e.peer.is_none()).count();
        neighbours < FEW_NEIGHBOURS.min(known.len() + nameless)
    }

    /// A source takes an address back. One that worked stays.
    pub(crate) fn retract(&mut self, address: &Multiaddr, source: Source) {
        let unused = |e: &Entry| e.source == source && e.dialling.is_none() && e.worked_at.is_none();
        if self.entries.get(address).is_some_and(unused) {
            self.entries.remove(address);
        }
    }

    /// The next dial that is due, if there is room for one. It counts as under way until its addresses have succeeded or failed.
    pub(crate) fn next_dial(&mut self, connected: impl Fn(&PeerId) -> bool, now: Instant) -> Option<Dial> {
        let mut under_way: BTreeMap<Source, usize> = BTreeMap::new();
        let dialling = || self.entries.values().filter(|e| e.dialling.is_some());
        dialling().for_each(|e| *under_way.entry(e.source).or_default() += 1);
        let full = dialling().count() >= MAX_DIALS;
        let full_of_doubtful = dialling().filter(|e| e.is_doubtful()).count() >= MAX_DOUBTFUL_DIALS;
        let of = |e: &Entry| under_way.get(&e.source).copied().unwrap_or_default();
        let has_room = |e: &Entry| of(e) == 0 || !(full || full_of_doubtful && e.is_doubtful());
        let due = |e: &Entry, at: Instant| at <= now && has_room(e);
        let candidates: Vec<_> = self.idle(&connected, now).filter(|(_, e, at)| due(e, *at)).collect();
        let (address, first, _) = candidates.iter().min_by_key(|(_, e, _)| (of(e), e.order(now)))?;
        let peer = first.peer;
        let addresses: Vec<Multiaddr> = match peer {
            Some(_) => candidates.iter().filter(|(_, e, _)| e.peer == peer).map(|(a, ..)| (*a).clone()).collect(),
            None => vec![(*address).clone()],
        };
        for address in &addresses {
            self.entries.get_mut(address).expect("it was just found").dialling = Some(now);
        }
        Some(Dial { peer, addresses })
    }

    /// When to ask for a dial again, if nothing else happens.
    pub(crate) fn next_due(&self, connected: impl Fn(&PeerId) -> bool, now: Instant) -> Option<Instant> {
        // What is due already waits for room, which the end of a dial makes.
        self.idle(&connected, now).map(|(_, _, at)| at).filter(|at| *at > now).min()
    }

    /// What may be dialled, and from when on: neither under way nor of a peer that is connected, nor of one that is being dialled
    /// over what takes precedence.
    fn idle<'a>(
        &'a self,
        connected: &'a impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> impl Iterator<Item = (&'a Multiaddr, &'a Entry, Instant)> {
        let standings = self.standings(now);
        let idle =
            self.entries.iter().filter(move |(_, e)| e.dialling.is_none() && !e.peer.as_ref().is_some_and(connected));
        idle.filter_map(move |(address, e)| {
            let transport = transport_of(address).unwrap_or(Transport::Tcp);
            let free_at = standings.free_at(&Party::of(address, e.peer), transport, now)?;
            Some((address, e, e.not_before.max(free_at)))
        })
    }

    fn standings(&self, now: Instant) -> Standings {
        let mut standings = Standings::default();
        for (address, e) in &self.entries {
            let transport = transport_of(address).unwrap_or(Transport::Tcp);
            // What has not failed is dialled soon: newcomers are spread over a moment, each address by itself.
            let (due, worked) = (e.failures == 0 || e.not_before <= now, e.worked_at.is_some());
            standings.note(Party::of(address, e.peer), Facts { transport, dialling: e.dialling, due, worked });
        }
        standings
    }

    /// A dial reached `peer` at `address`. True if the member had been away.
    pub(crate) fn succeeded(&mut self, address: &Multiaddr, peer: PeerId, now: Instant) -> bool {
        // Kademlia dials by itself, addresses that the book may not know.
        self.learn(address.clone(), Some(peer), Source::Kademlia, now);
        let Some(entry) = self.entries.get_mut(address) else { return false };
        let was_away = entry.worked_at.is_some() && entry.failures >= FAILURES_OF_THE_AWAY;
        (entry.peer, entry.worked_at, entry.since) = (Some(peer), Some(now), now);
        (entry.not_before, entry.failures, entry.dialling) = (now, 0, None);
        let source = entry.source;
        self.found(source, now);
        // Its other transport has the same port as a rule.
        let same = |other: &Multiaddr| socket(other).is_some() && socket(other) == socket(address);
        let nameless = self.entries.iter_mut().filter(|(other, e)| e.peer.is_none() && same(other));
        nameless.for_each(|(_, e)| e.peer = Some(peer));
        was_away
    }

    /// `address` was part of a dial that ended at another address of the same peer.
    pub(crate) fn spared(&mut self, address: &Multiaddr) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.dialling = None;
        }
    }

    /// No dial is under way any more.
    pub(crate) fn nothing_under_way(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.dialling = None);
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
        entry.dialling = None;
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
        if entry.is_given_up(now) || entry.vanished {
            self.entries.remove(address);
        }
        if let Some(text) = failure.text(address) {
            self.error(source, text, now);
        }
        gone
    }

    /// The peer's connection ended after `lived`: its addresses are due soon, each from the shortest pause on. After several
    /// that were short the pauses grow, as after failures.
    pub(crate) fn lost(&mut self, peer: &PeerId, lived: Duration, jitter: f64, now: Instant) {
        self.entries.retain(|_, e| !e.vanished || e.peer.as_ref() != Some(peer));
        for entry in self.entries.values_mut().filter(|e| e.peer.as_ref() == Some(peer)) {
            entry.flaps = if lived < SHORT_LIFE { entry.flaps.saturating_add(1) } else { 0 };
            entry.failures = entry.flaps;
            entry.worked_at = entry.worked_at.map(|_| now);
            entry.since = now;
            entry.not_before = now + pause(entry, jitter, now);
        }
    }

    /// This node let the peer go, having enough others.
    pub(crate) fn released(&mut self, peer: &PeerId, now: Instant) {
        for entry in self.entries.values_mut().filter(|e| e.peer.as_ref() == Some(peer)) {
            entry.not_before = now + MAX_PAUSE_MEMBER;
        }
    }

    /// A source has something to do. Until then it counts as switched off.
    pub(crate) fn enable(&mut self, source: Source) {
        self.records.entry(source).or_default().enabled = true;
    }

    /// A source gave addresses, whoever may be there.
    pub(crate) fn answered(&mut self, source: Source, now: Instant) {
        self.records.entry(source).or_default().last_answer = Some(now);
    }

    /// A source led to a member.
    pub(crate) fn found(&mut self, source: Source, now: Instant) {
        let record = self.records.entry(source).or_default();
        record.found += 1;
        record.last_success = Some(now);
    }

    /// A source failed.
    pub(crate) fn error(&mut self, source: Source, text: String, now: Instant) {
        let record = self.records.entry(source).or_default();
        record.enabled = true;
        record.last_error = Some((now, text));
    }

    /// Which source gave an address.
    pub(crate) fn source_of(&self, address: &Multiaddr) -> Option<Source> {
        self.entries.get(address).map(|entry| entry.source)
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

    /// Addresses that worked, by peer, the latest first: in one pass, as there may be many of both.
    pub(crate) fn all_proven(&self) -> BTreeMap<PeerId, Vec<Multiaddr>> {
        let mut proven: BTreeMap<PeerId, Vec<(Instant, &Multiaddr)>> = BTreeMap::new();
        for (address, entry) in &self.entries {
            if let (Some(peer), Some(at)) = (entry.peer, entry.worked_at) {
                proven.entry(peer).or_default().push((at, address));
            }
        }
        proven
            .into_iter()
            .map(|(peer, mut all)| {
                all.sort_by(|one, other| other.cmp(one));
                (peer, all.into_iter().map(|(_, address)| address.clone()).collect())
            })
            .collect()
    }

    /// Every source, in its order.
    pub(crate) fn sources(&self, connected: impl Fn(&PeerId) -> bool) -> Vec<SourceStatus> {
        Source::ALL.into_iter().map(|source| self.source(source, &connected)).collect()
    }

    fn source(&self, source: Source, connected: &impl Fn(&PeerId) -> bool) -> SourceStatus {
        let of_source = || self.entries.values().filter(|e| e.source == source);
        let serves = of_source().any(|e| e.worked_at.is_some() && e.peer.as_ref().is_some_and(connected));
        let nothing = Record::default();
        let record = self.records.get(&source).unwrap_or(&nothing);
        SourceStatus {
            source,
            health: if serves { Health::Good } else { record.health() },
            addresses: of_source().count(),
            found: record.found,
            last_success: record.last_success,
            last_answer: record.last_answer,
            last_error: record.last_error.clone(),
        }
    }
}

impl Record {
    fn health(&self) -> Health {
        match (self.last_success, &self.last_error) {
            (Some(success), Some((error, _))) if success < *error => Health::Failing,
            (Some(_), _) => Health::Good,
            (None, Some(_)) => Health::Failing,
            (None, None) if self.enabled => Health::Quiet,
            (None, None) => Health::Off,
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

/// Doubles with each failure, between half and one and a half times that: many nodes may have failed in the same moment.
fn pause(entry: &Entry, jitter: f64, now: Instant) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << entry.failures.saturating_sub(1).min(16));
    doubled.min(entry.max_pause(now)).mul_f64(0.5 + jitter)
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
