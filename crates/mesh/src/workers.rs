//! The tasks beside the swarm's: they seal, open and verify, so that it never does.
//!
//! - the *outlet* seals records for gossip, one after the other, no faster than members allow each other;
//! - the *intake* opens gossip messages, verifies authors, refuses replays and holds back floods; it owns the replay windows and
//!   the allowances;
//! - one task for each request of a member opens it, waits for the owner's answer, and seals that.

use crate::allowance::{Allowances, Payer};
use crate::behaviour::{REQUEST_LIMIT, topic};
use crate::letters::{self, Unanswerable};
use crate::mesh::{Event, Replier};
use crate::offences::Offence;
use crate::rations::{Pace, Ration};
use crate::renewal;
use crate::replay::{Novelty, ReplayGuard};
use crate::rings::Rings;
use crate::status::Status;
use crate::task::{Command, Verdict};
use ghmesh_model::MemberId;
use ghmesh_model::wire::{Request, Response, Shared};
use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use libp2p::request_response::ResponseChannel;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// Gossip messages that wait to be opened: 12 MiB at most. When full, messages are dropped unread. One forwarder fills a quarter at
/// most ([`MAX_UNREAD_ONE`]).
const INTAKE: usize = 512;
/// Of those, messages that one member forwarded: so a flood leaves the others room. When full, that member's are dropped unread.
pub(crate) const MAX_UNREAD_ONE: usize = INTAKE / 4;

/// A gossip message as it came.
#[derive(Debug)]
pub(crate) struct Gossiped {
    pub(crate) id: MessageId,
    pub(crate) forwarder: PeerId,
    pub(crate) from: MemberId,
    pub(crate) sealed: Vec<u8>,
}

/// What the task that opens gossip messages owns.
pub(crate) struct Intake {
    rings: Rings,
    local: MemberId,
    events: mpsc::Sender<Event>,
    status: watch::Receiver<Status>,
    replays: ReplayGuard,
    allowances: Allowances,
}

impl Intake {
    pub(crate) fn new(
        rings: Rings,
        local: MemberId,
        events: mpsc::Sender<Event>,
        status: watch::Receiver<Status>,
    ) -> Self {
        let (replays, allowances) = (ReplayGuard::default(), Allowances::default());
        Intake { rings, local, events, status, replays, allowances }
    }

    /// Starts the task. It ends with the last sender, or with who takes its verdicts.
    pub(crate) fn spawn(mut self, commands: mpsc::WeakSender<Command>) -> mpsc::Sender<Gossiped> {
        let (sender, mut messages) = mpsc::channel::<Gossiped>(INTAKE);
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                let (id, forwarder) = (message.id.clone(), message.forwarder);
                let verdict = self.take_in(&message);
                let Some(commands) = commands.upgrade() else { return };
                if commands.send(Command::Verdict { id, forwarder, verdict }).await.is_err() {
                    return;
                }
            }
        });
        sender
    }

    fn take_in(&mut self, message: &Gossiped) -> Verdict {
        let Ok(shared) = letters::open_gossip(&self.rings.openable(), &message.sealed) else {
            tracing::debug!(from = %message.from, "refused a gossip message that is not sealed or signed as it must be");
            return Verdict::Refused;
        };
        let author = shared.signed.stamp.author;
        // What this node wrote it knows; gossipsub forgets it after two minutes.
        if author == self.local || self.replays.judge(&shared.signed.stamp) != Novelty::New {
            return Verdict::Replayed;
        }
        let payer = if self.is_connected(author) { Payer::Author(author) } else { Payer::Forwarder(message.from) };
        if !self.allowances.spend(payer, Instant::now()) {
            tracing::debug!(?payer, "dropped a record: too many come from there");
            return match payer {
                Payer::Author(author) => Verdict::TooManyOf(author),
                Payer::Forwarder(_) => Verdict::TooManyForwarded,
            };
        }
        match self.events.try_send(Event::Record { from: message.from, shared }) {
            Ok(()) => Verdict::Accepted,
            Err(_) => Verdict::AcceptedUnread,
        }
    }

    fn is_connected(&self, member: MemberId) -> bool {
        self.status.borrow().peers.binary_search_by_key(&member, |peer| peer.member).is_ok()
    }
}

/// Starts the task that seals records for gossip. It ends with the last sender.
pub(crate) fn spawn_outlet(rings: Rings, mut records: mpsc::Receiver<Shared>, commands: mpsc::Sender<Command>) {
    tokio::spawn(async move {
        let pace = Pace::new(Instant::now());
        while let Some(shared) = records.recv().await {
            let ring = rings.leading();
            let Ok(sealed) = letters::seal_gossip(&ring, shared) else {
                tracing::warn!("a record is too large to be gossiped even without its body");
                continue;
            };
            if commands.send(Command::Publish { topic: topic(&ring).hash(), sealed }).await.is_err() {
                return;
            }
            tokio::time::sleep(pace.wait(Instant::now())).await;
        }
    });
}

/// A member's request as it came, with the room that it occupies.
pub(crate) struct Asked {
    pub(crate) peer: PeerId,
    pub(crate) from: MemberId,
    pub(crate) sealed: Vec<u8>,
    pub(crate) channel: ResponseChannel<Vec<u8>>,
    pub(crate) ration: Arc<Ration>,
    pub(crate) permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Answers one request.
pub(crate) async fn serve(
    (rings, local): (Rings, PeerId),
    asked: Asked,
    events: mpsc::Sender<Event>,
    commands: mpsc::WeakSender<Command>,
) {
    let Asked { peer, from, sealed, channel, ration, permits } = asked;
    let may_send = |records| ration.records(records, Instant::now());
    let openable = rings.openable();
    let (ring, id, request) = match letters::open_request(&openable, &sealed, may_send) {
        Ok(opened) => opened,
        Err(reason) => {
            tracing::debug!(%from, ?reason, "refused a request");
            let offence = match reason {
                Unanswerable::Unreadable => Offence::Garbage,
                Unanswerable::TooMany => Offence::Flood,
                // Versions mix: who asks what this one doesn't know has done nothing wrong.
                Unanswerable::Unknown => return,
            };
            // What is lost here, as the task has too much to do, repeats itself.
            if let Some(commands) = commands.upgrade() {
                let _ = commands.try_send(Command::Offended { member: from, offence });
            }
            return;
        }
    };
    let response = if let Request::Renew { nonce } = request {
        if let Some(commands) = commands.upgrade() {
            let _ = commands.send(Command::Renewing { peer, label: ring.label().to_owned() }).await;
        }
        renewal::answer(ring, peer, local, nonce)
    } else {
        // The asker has given up after this.
        let Ok(response) = tokio::time::timeout(REQUEST_LIMIT, owners_answer(from, request, &events)).await else {
            return;
        };
        response
    };
    let sealed = letters::seal_response(ring, id, response).or_else(|_| {
        tracing::warn!("a response is too large to be sent");
        letters::seal_response(ring, id, Response::No)
    });
    if let (Ok(sealed), Some(commands)) = (sealed, commands.upgrade()) {
        ration.response(sealed.len(), Instant::now());
        let _ = commands.send(Command::Respond { channel, sealed }).await;
    }
    drop(permits);
}

async fn owners_answer(from: MemberId, request: Request, events: &mpsc::Sender<Event>) -> Response {
    let (answer, answered) = oneshot::channel();
    // Where the owner is too busy, the replier is dropped, and the answer is "no".
    let _ = events.try_send(Event::Asked { from, request, replier: Replier::new(answer) });
    answered.await.unwrap_or(Response::No)
}
