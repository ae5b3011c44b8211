//! Gossip and have-you-got, as bytes: what they say is read elsewhere.

use super::{Answer, AskFailure, Held, Task, Verdict};
use crate::codec::Frames;
use crate::identity::member_id;
use crate::offences::Offence;
use crate::workers::{self, Asked, Gossiped, MAX_UNREAD_ONE};
use ghmesh_model::MemberId;
use ghmesh_model::limits::MAX_GOSSIP_BYTES;
use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash};
use libp2p::request_response::{
    self, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use libp2p::swarm::NetworkBehaviour;
use std::io;
use std::time::{Duration, Instant};

/// Requests to one member at once. It lies below the streams of a connection, so that the member can still ask back.
const MAX_ASKING_ONE: usize = 128;
/// How long gossip waits for the subscription of a member that has just joined: it comes one round trip after the connection.
const HOLD: Duration = Duration::from_millis(300);
/// Messages that wait so. When full, the newest is sent to whoever listens.
const MAX_HELD: usize = 64;

type ExchangeEvent = <request_response::Behaviour<Frames> as NetworkBehaviour>::ToSwarm;

impl Task<'_> {
    /// Gossips at once, unless a member that has just joined would miss it.
    pub(super) fn publish(&mut self, topic: TopicHash, sealed: Vec<u8>) {
        let now = Instant::now();
        if self.held.len() < MAX_HELD && (!self.held.is_empty() || self.awaits_subscription(now)) {
            self.held.push_back(Held { topic, sealed, until: now + HOLD });
        } else {
            self.send(topic, sealed);
        }
    }

    fn awaits_subscription(&self, now: Instant) -> bool {
        self.core.members.values().any(|member| !member.subscribed && now.duration_since(member.since) < HOLD)
    }

    pub(super) fn release(&mut self) {
        for held in std::mem::take(&mut self.held) {
            self.send(held.topic, held.sealed);
        }
    }

    fn send(&mut self, topic: TopicHash, sealed: Vec<u8>) {
        match self.swarm.behaviour_mut().gossip.publish(topic, sealed) {
            Ok(_) => self.core.counters.gossip_sent += 1,
            // One node alone, full queues: normal outcomes, since gossip is a hint.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                self.core.counters.gossip_lost += 1;
            }
            Err(error) => {
                tracing::debug!(%error, "could not gossip");
                self.core.counters.gossip_lost += 1;
            }
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(message_id, propagation_source, message.data);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(member) = self.core.members.get_mut(&peer_id) {
                    member.subscribed = true;
                }
                self.on_subscription(&peer_id, topic, true);
                if !self.awaits_subscription(Instant::now()) {
                    self.release();
                }
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => self.on_subscription(&peer_id, topic, false),
            other => tracing::trace!(event = ?other, "gossipsub"),
        }
    }

    fn on_message(&mut self, id: MessageId, forwarder: PeerId, sealed: Vec<u8>) {
        let Some(member) = self.core.members.get_mut(&forwarder) else {
            return self.report(&id, &forwarder, MessageAcceptance::Ignore);
        };
        if sealed.len() > MAX_GOSSIP_BYTES {
            let from = member.member;
            return self.refuse_unread(&id, &forwarder, from);
        }
        let gossiped = Gossiped { id: id.clone(), forwarder, from: member.member, sealed };
        if member.unread < MAX_UNREAD_ONE && self.core.intake.try_send(gossiped).is_ok() {
            member.unread += 1;
        } else {
            self.core.counters.gossip_dropped += 1;
            self.report(&id, &forwarder, MessageAcceptance::Ignore);
        }
    }

    fn refuse_unread(&mut self, id: &MessageId, forwarder: &PeerId, from: MemberId) {
        self.core.counters.gossip_refused += 1;
        self.core.offended(from, Offence::Garbage);
        self.report(id, forwarder, MessageAcceptance::Reject);
    }

    pub(super) fn judge(&mut self, id: &MessageId, forwarder: &PeerId, verdict: Verdict) {
        if let Some(member) = self.core.members.get_mut(forwarder) {
            // A verdict may be about what came before it left and joined again.
            member.unread = member.unread.saturating_sub(1);
        }
        match verdict {
            Verdict::TooManyOf(author) => self.core.offended(author, Offence::Flood),
            // Members read what they forward, so it is this one's own doing.
            Verdict::Refused => member_id(forwarder).into_iter().for_each(|m| self.core.offended(m, Offence::Garbage)),
            Verdict::Accepted | Verdict::AcceptedUnread | Verdict::Replayed | Verdict::TooManyForwarded => {}
        }
        let counters = &mut self.core.counters;
        let acceptance = match verdict {
            Verdict::Accepted => MessageAcceptance::Accept,
            Verdict::AcceptedUnread => {
                counters.gossip_dropped += 1;
                MessageAcceptance::Accept
            }
            Verdict::Replayed => {
                counters.gossip_replayed += 1;
                MessageAcceptance::Ignore
            }
            Verdict::TooManyOf(_) | Verdict::TooManyForwarded => {
                counters.gossip_excess += 1;
                MessageAcceptance::Ignore
            }
            Verdict::Refused => {
                counters.gossip_refused += 1;
                MessageAcceptance::Reject
            }
        };
        self.report(id, forwarder, acceptance);
    }

    fn report(&mut self, id: &MessageId, forwarder: &PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, forwarder, acceptance);
    }

    pub(super) fn ask(&mut self, peer: PeerId, sealed: Vec<u8>, records: usize, answer: Answer) {
        let now = Instant::now();
        let failure = match self.core.members.get_mut(&peer) {
            Some(member) if self.swarm.behaviour().exchange.is_connected(&peer) => {
                let ration = &member.account.ours;
                if member.asking < MAX_ASKING_ONE && ration.records(records, now) && ration.request(sealed.len(), now) {
                    member.asking += 1;
                    let id = self.swarm.behaviour_mut().exchange.send_request(&peer, sealed);
                    self.asks.insert(id, (peer, answer));
                    return;
                }
                AskFailure::Busy
            }
            Some(_) | None => AskFailure::NotConnected,
        };
        let _ = answer.send(Err(failure));
    }

    fn answered(&mut self, id: OutboundRequestId, outcome: Result<Vec<u8>, AskFailure>) {
        let Some((peer, answer)) = self.asks.remove(&id) else { return };
        if let Some(member) = self.core.members.get_mut(&peer) {
            member.asking = member.asking.saturating_sub(1);
            if let Ok(response) = &outcome {
                member.account.ours.response(response.len(), Instant::now());
            }
        }
        // Whoever asked may have gone on.
        let _ = answer.send(outcome);
    }

    pub(super) fn on_exchange(&mut self, event: ExchangeEvent) {
        match event {
            request_response::Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.answered(request_id, Ok(response));
            }
            request_response::Event::Message {
                peer,
                message: Message::Request { request_id, request, channel },
                ..
            } => {
                self.on_request(peer, request_id, request, channel);
            }
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                if let OutboundFailure::Io(error) = &error {
                    self.misframed(&peer, error);
                }
                let failure = match error {
                    OutboundFailure::Timeout => AskFailure::TimedOut,
                    OutboundFailure::DialFailure => AskFailure::NotConnected,
                    OutboundFailure::ConnectionClosed
                    | OutboundFailure::UnsupportedProtocols
                    | OutboundFailure::Io(_) => AskFailure::Closed,
                };
                self.answered(request_id, Err(failure));
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a member's request failed");
                if let InboundFailure::Io(error) = &error {
                    self.misframed(&peer, error);
                }
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Only a frame that is longer than any may be is an offence; those that break off are everyday.
    fn misframed(&mut self, peer: &PeerId, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData
            && let Some(member) = member_id(peer)
        {
            self.core.offended(member, Offence::Garbage);
        }
    }

    /// Hands a request to a task of its own. Where too many are being answered it is dropped: the asker sees the stream end.
    fn on_request(&mut self, peer: PeerId, id: InboundRequestId, sealed: Vec<u8>, channel: ResponseChannel<Vec<u8>>) {
        let Some(member) = self.core.members.get(&peer) else { return };
        let (from, ration) = (member.member, member.account.theirs.clone());
        if !ration.request(sealed.len(), Instant::now()) {
            self.core.counters.requests_excess += 1;
            return self.core.offended(from, Offence::Flood);
        }
        let permits = (|| {
            let all = self.core.serving.clone().try_acquire_owned().ok()?;
            Some((all, member.serving.clone().try_acquire_owned().ok()?))
        })();
        let Some(permits) = permits else {
            tracing::debug!(%peer, request = %id, "too many requests");
            self.core.counters.requests_dropped += 1;
            return;
        };
        let asked = Asked { peer, from, sealed, channel, ration, permits };
        let (rings, events) = (self.core.blueprint.rings.clone(), self.core.events.clone());
        let local = *self.swarm.local_peer_id();
        tokio::spawn(workers::serve((rings, local), asked, events, self.core.own_commands.clone()));
    }
}
