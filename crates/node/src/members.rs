//! The node's side of the mesh: what members send, what they are answered, and who they are.

use crate::afar::Parked;
use crate::bodies::{self, Pulled};
use crate::coordinator::{Coordinator, OnHand};
use crate::exchange::{Exchange, Receipt};
use crate::keys::Keys;
use crate::node::Inner;
use crate::pulse::{BEAT, Pulse};
use crate::stats::Stats;
use crate::status::{OtherView, PeerView, SourceView};
use crate::sync::Syncing;
use bytes::Bytes;
use ghmesh_fleet::sync::SyncInput;
use ghmesh_fleet::{Input, Offence, Subject};
use ghmesh_mesh::{Author, Event, Mesh, Peer, Replier};
use ghmesh_model::wire::{Record, Request, Response, Shared};
use ghmesh_model::{Entry, MemberId, Millis, limits};
use ghmesh_store::RememberedPeer;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Queues for records, by author: one author's records are stored in the order in which they came.
const INTAKES: usize = 8;

/// Records that wait in one queue. Gossip is a hint: what does not fit is asked for when it is needed.
const INTAKE_RECORDS: usize = 256;

/// How long a member may take to receive what it may have missed.
const PUSH_DEADLINE: Duration = Duration::from_secs(5);

/// A mesh that was started.
pub struct Membership {
    /// The swarm.
    pub mesh: Mesh,
    /// What it tells.
    pub events: mpsc::Receiver<Event>,
    /// This node's pen.
    pub author: Arc<Author>,
}

/// The mesh as the rest of the node uses it.
pub(crate) struct Members {
    pub(crate) exchange: Exchange,
    pub(crate) coordinator: Coordinator,
    pub(crate) syncing: Syncing,
    /// Bytes of bodies that may still be pulled at once.
    pulling: Semaphore,
    intakes: Vec<mpsc::Sender<Shared>>,
    /// Fetches that were told of, for credentials that nobody has presented here yet.
    pub(crate) parked: Parked,
}

impl Members {
    /// Starts to listen to a mesh.
    pub(crate) fn join(node: &Arc<Inner>, membership: Membership) {
        let Membership { mesh, events, author } = membership;
        let held = mesh.clone();
        let keys = Keys::new(move || held.rings(), node.config.freshness.proof_ttl);
        let exchange = Exchange {
            store: node.store.clone(),
            origin: node.origin.clone(),
            keys: Arc::new(keys),
            author,
            mesh: mesh.clone(),
            clock: node.clock,
            presented: Arc::default(),
            pulse: Pulse::new(node.clock.now()),
            authority: node.config.origins.authorities().next().unwrap_or_default().into(),
        };
        let coordinator = Coordinator::start(mesh, exchange.clone(), node.clock, node.config.sharing.borrows());
        let (intakes, outlets): (Vec<_>, Vec<_>) = (0..INTAKES).map(|_| mpsc::channel(INTAKE_RECORDS)).unzip();
        let (syncing, inbox) = Syncing::new();
        let pulling = Semaphore::new(bodies::PULLED_BYTES);
        if node
            .members
            .set(Members { exchange, coordinator, syncing, pulling, intakes, parked: Parked::default() })
            .is_ok()
        {
            Syncing::start(Arc::downgrade(node), inbox);
            tokio::spawn(beat(Arc::downgrade(node)));
            outlets.into_iter().for_each(|outlet| drop(tokio::spawn(take_in(Arc::downgrade(node), outlet))));
            tokio::spawn(listen(Arc::downgrade(node), events));
            let node = node.clone();
            node.attend();
            tokio::spawn(async move {
                node.share_early().await;
                node.own_up().await;
            });
        }
    }

    /// Pulls the body of an entry from who sent it, or who wrote it, or who may have it.
    pub(crate) async fn pull(&self, entry: &Entry, from: Option<MemberId>) -> Option<Bytes> {
        let attestation = entry.attestation.as_ref();
        let authors = attestation.into_iter().flat_map(|attestation| {
            let latest = attestation.revalidated.as_ref().map(|record| record.stamp.author);
            latest.into_iter().chain([attestation.stored.stamp.author])
        });
        let (mesh, representation) = (&self.exchange.mesh, &entry.representation);
        let holders = from.into_iter().chain(authors).chain(mesh.members()).filter(|holder| *holder != mesh.member());
        let room = usize::try_from(representation.length).unwrap_or(usize::MAX).min(bodies::PULLED_BYTES);
        let _room = self.pulling.acquire_many(u32::try_from(room).unwrap_or(u32::MAX)).await.ok()?;
        let Pulled { body, liars } = bodies::pull(mesh, representation.cid, representation.length, holders).await;
        for member in liars {
            tracing::debug!(%member, "a member gave a body that is not what its name says");
            self.coordinator.tell(Input::Offended { member, offence: Offence::WrongBody });
        }
        body
    }

    /// Tells who waits for `subject` that the store holds something new of it.
    pub(crate) fn announce_arrival(&self, subject: Subject, confirmed_at: Millis) {
        self.coordinator.tell(Input::Arrived { subject, confirmed_at });
    }

    /// Adds what the mesh knows to the totals.
    pub(crate) fn fill(&self, stats: &mut Stats) {
        let status = self.exchange.mesh.status();
        stats.peer_id = status.peer_id;
        stats.listen_addrs = status.listen_addrs;
        // The mesh hands on only what it has not refused itself.
        let refused = status.counters.gossip_refused + status.counters.gossip_replayed;
        stats.records_received += refused;
        stats.records_refused += refused;
        stats.gossip_sent = status.counters.gossip_sent;
        stats.gossip_lost = status.counters.gossip_lost;
        stats.gossip_dropped = status.counters.gossip_dropped;
        stats.gossip_excess = status.counters.gossip_excess;
        stats.requests_dropped = status.counters.requests_dropped;
        stats.requests_excess = status.counters.requests_excess;
        let view = self.coordinator.view();
        stats.connected_peers = view.members;
        stats.fail_opens = view.counters.fail_opens;
        stats.expulsions = view.counters.expulsions;
    }

    /// The connected members.
    pub(crate) fn peers(&self) -> Vec<PeerView> {
        let standings = self.coordinator.view().standings;
        let view = |peer: Peer| {
            let standing = standings.get(&peer.member).copied().unwrap_or_default();
            PeerView { standing: standing.name(), ..PeerView::from(peer) }
        };
        self.exchange.mesh.status().peers.into_iter().map(view).collect()
    }

    /// The label of this node's own secret.
    pub(crate) fn label(&self) -> String {
        self.exchange.mesh.current_ring().label().to_owned()
    }

    /// Those of the secrets that are accepted besides.
    pub(crate) fn accepted_labels(&self) -> Vec<String> {
        let own = self.label();
        let mut labels: Vec<String> = self.exchange.keys.held().iter().map(|ring| ring.label().to_owned()).collect();
        labels.retain(|label| *label != own);
        labels.sort();
        labels
    }

    /// Who was turned away at the gate.
    pub(crate) fn strangers(&self) -> u64 {
        self.exchange.mesh.status().counters.strangers
    }

    /// Who was met and is no member.
    pub(crate) fn others(&self) -> Vec<OtherView> {
        self.exchange.mesh.status().others.into_iter().map(OtherView::from).collect()
    }

    /// The ways of finding members.
    pub(crate) fn sources(&self) -> Vec<SourceView> {
        self.exchange.mesh.status().sources.into_iter().map(SourceView::from).collect()
    }
}

/// Stores the records of one queue, one after the other.
async fn take_in(node: Weak<Inner>, mut records: mpsc::Receiver<Shared>) {
    while let Some(shared) = records.recv().await {
        let Some(node) = node.upgrade() else { return };
        let _ = node.receive(shared).await;
    }
}

/// Lets the node notice that its process stood still.
async fn beat(node: Weak<Inner>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let Some(node) = node.upgrade() else { return };
        if let Some(members) = node.members.get() {
            members.exchange.pulse.beat(node.clock.now());
        }
    }
}

/// Follows the mesh's events until it ends.
async fn listen(node: Weak<Inner>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let Some(node) = node.upgrade() else { return };
        node.handle(event);
    }
}

impl Inner {
    /// Handles one event without waiting for anything.
    fn handle(self: &Arc<Self>, event: Event) {
        let Some(members) = self.members.get() else { return };
        match event {
            Event::Joined { member, addresses } => {
                members.coordinator.tell(Input::Joined { member });
                self.count_member(member, true);
                self.note_neighbour(member, true);
                self.remember(member, addresses);
                self.tell_writes(member);
                self.tell_budgets(member);
                members.syncing.tell(SyncInput::Joined(member));
            }
            Event::Addresses { member, addresses } => self.remember(member, addresses),
            Event::Left { member } => {
                members.coordinator.tell(Input::Left { member });
                self.count_member(member, false);
                self.note_neighbour(member, false);
                members.syncing.tell(SyncInput::Left(member));
            }
            Event::RoundTrip { rtt, .. } => members.coordinator.tell(Input::RoundTrip { took: rtt }),
            Event::Record { shared, .. } => {
                self.counts.records_received.add();
                let record = shared.signed.record();
                if !matches!(record, Ok(Record::Presence(_))) {
                    self.counts.records_gossiped.add();
                }
                match record {
                    Ok(Record::Fetching(fetching)) => self.hear_of_fetch(members, &shared.signed.stamp, fetching),
                    _ => self.queue(shared),
                }
            }
            Event::Offended { member, offence } => {
                tracing::debug!(%member, ?offence, "a member did what it should not");
                let offence = match offence {
                    ghmesh_mesh::Offence::Flood => Offence::Flood,
                    ghmesh_mesh::Offence::Garbage => Offence::Garbage,
                };
                members.coordinator.tell(Input::Offended { member, offence });
            }
            Event::Asked { from, request, replier } => {
                let node = self.clone();
                tokio::spawn(async move { node.asked(from, request, replier).await });
            }
        }
    }

    /// Tells a member that has just joined what it may have missed.
    fn tell_writes(&self, member: MemberId) {
        let Some(members) = self.members.get() else { return };
        let mesh = members.exchange.mesh.clone();
        let messages = self.writes.messages(self.clock.now(), self.config.freshness.proof_ttl);
        tokio::spawn(async move {
            for records in messages {
                if let Err(error) = mesh.ask(member, Request::Deliver { records }, PUSH_DEADLINE).await {
                    tracing::debug!(%error, "a member could not be told of earlier writes");
                }
            }
        });
    }

    /// Takes records that a member answered.
    pub(crate) async fn receive_pulled(&self, members: &Members, records: Vec<Shared>) {
        for shared in records.into_iter().filter(|shared| self.arrives(shared)) {
            let author = shared.signed.stamp.author;
            match members.exchange.receive(shared).await {
                Receipt::Refused => self.counts.records_refused.add(),
                Receipt::Untrue(offence) => self.refute(members, author, offence),
                Receipt::Newer(..)
                | Receipt::Known
                | Receipt::Written(..)
                | Receipt::Said(_)
                | Receipt::Present(_)
                | Receipt::Unknown => {}
            }
        }
    }

    /// Counts a record that a member sent to this node alone. Such records were not gossiped, so their signatures are checked
    /// here.
    fn arrives(&self, shared: &Shared) -> bool {
        self.counts.records_received.add();
        let genuine = ghmesh_mesh::is_genuine(&shared.signed);
        if !genuine {
            self.counts.records_refused.add();
        }
        genuine
    }

    /// A record whose author must have known that it isn't true.
    fn refute(&self, members: &Members, author: MemberId, offence: Offence) {
        self.counts.records_refused.add();
        if author != members.exchange.mesh.member() {
            members.coordinator.tell(Input::Offended { member: author, offence });
        }
    }

    fn queue(&self, shared: Shared) {
        let Some(members) = self.members.get() else { return };
        let intake = usize::from(shared.signed.stamp.author.0[0]) % INTAKES;
        if members.intakes[intake].try_send(shared).is_err() {
            tracing::debug!("a record was dropped: more came than could be stored");
        }
    }

    /// Stores a record whose signature was verified, and tells who waits for it. Gives what became of it.
    pub(crate) async fn receive(&self, shared: Shared) -> Option<Receipt> {
        let members = self.members.get()?;
        let signed = shared.signed.clone();
        let author = signed.stamp.author;
        let receipt = members.exchange.receive(shared).await;
        match &receipt {
            Receipt::Newer(subject, confirmed_at) => members.announce_arrival(*subject, *confirmed_at),
            Receipt::Written(scopes, at) => {
                self.writes.hear(signed.clone(), *at);
                self.bury_here(scopes, *at).await;
                self.counts.invalidations_heard.add();
            }
            Receipt::Said(said) if self.hear(said) => {}
            Receipt::Said(_) => self.refute(members, author, Offence::Garbage),
            Receipt::Untrue(offence) => self.refute(members, author, *offence),
            Receipt::Refused => self.counts.records_refused.add(),
            Receipt::Present(presence) => {
                self.counts.presences.add();
                self.hear_presence(author, presence.clone());
            }
            Receipt::Known => self.conclude_fetch(members, &signed),
            Receipt::Unknown => {}
        }
        Some(receipt)
    }

    async fn asked(self: &Arc<Self>, from: MemberId, request: Request, replier: Replier) {
        let Some(members) = self.members.get() else { return };
        match request {
            Request::Have { key, fingerprint, max_age_ms, lease } => {
                let subject = Subject { key, fingerprint };
                let on_hand = self.on_hand(members, subject, Duration::from_millis(max_age_ms));
                members.coordinator.inquire(from, subject, lease, on_hand, replier);
            }
            Request::Deliver { records } => {
                replier.reply(Response::Ok);
                records.into_iter().filter(|shared| self.arrives(shared)).for_each(|shared| self.queue(shared));
            }
            Request::Release { key, fingerprint, unshareable } => {
                let subject = Subject { key, fingerprint };
                members.coordinator.tell(Input::Released { from, subject, unshareable });
                replier.reply(Response::Ok);
            }
            // The mesh itself answers these.
            Request::Renew { .. } => {}
            Request::Body { cid, offset } => {
                let store = self.store.clone();
                let part = move || store.body_part(&cid, offset, limits::CHUNK_BYTES as usize);
                let part = tokio::task::spawn_blocking(part).await.ok().flatten();
                replier
                    .reply(part.map_or(Response::No, |(length, bytes)| Response::Body { length, bytes: bytes.into() }));
            }
            Request::Digest { since, summaries } => replier.reply(self.list(since, summaries).await),
            Request::Pull { wanted } => replier.reply(self.give(from, wanted).await),
        }
    }

    fn on_hand(&self, members: &Members, subject: Subject, max_age: Duration) -> OnHand {
        let held = self.offered(members, subject, max_age);
        let helps = held.is_none() && self.config.sharing.borrows();
        let known = if helps { members.exchange.known(subject) } else { Vec::new() };
        OnHand { held, known }
    }

    /// What this node has for a member: young enough, and from after every known write.
    fn offered(&self, members: &Members, subject: Subject, max_age: Duration) -> Option<Vec<Shared>> {
        let entry = self.store.entry(&crate::exchange::offer_slot(subject))?;
        if !self.tombstones.admit(&entry.scopes, entry.confirmed_at) {
            return None;
        }
        members.exchange.records(subject, max_age)
    }

    fn remember(self: &Arc<Self>, member: MemberId, addresses: Vec<String>) {
        if addresses.is_empty() {
            return;
        }
        let peer = RememberedPeer { member, addresses, last_seen: self.clock.now() };
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.remember(peer).await {
                tracing::debug!(%error, "a peer could not be remembered");
            }
        });
    }
}
