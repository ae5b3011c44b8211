//! A node's coordinator, as `ghmesh_node`'s coordinator does it, and what nodes say to each other.

use super::World;
use super::watch::Sabotage;
use crate::event::{Event, Happening};
use crate::model::{Gossip, Item, Message, Moment, NodeIndex, Response, Shared, Step, Written};
use crate::node::{Inquiry, nothing};
use crate::report::Violation;
use crate::scenario::Span;
use crate::sizes::DIGEST_ENTRY;
use ghmesh_fleet::{Answer, AskId, Input, InquiryId, LookupId, Offence, Output, Reply, Subject};
use ghmesh_model::wire::FetchStage;
use ghmesh_model::{MemberId, Millis};
use std::rc::Rc;
use std::time::Duration;

/// What waits for a coordinator, as `ghmesh_node` bounds it. Beyond, it is dropped.
const INBOX: usize = 4096;

impl World<'_> {
    /// Hands something over to the coordinator.
    pub(super) fn tell(&mut self, node: NodeIndex, input: Input) {
        self.hand_over(node, Happening::Input(input));
    }

    fn hand_over(&mut self, node: NodeIndex, happening: Happening) {
        if self.node(node).inbox >= INBOX {
            return self.report.violated(Violation::Overfull { node });
        }
        let at = self.handed_over(self.node(node).inbox_ready);
        let here = self.node_mut(node);
        here.inbox_ready = at;
        here.inbox += 1;
        self.at(at, node, happening);
    }

    /// A part of the inbox is read.
    pub(super) fn read_inbox(&mut self, node: NodeIndex) {
        let here = self.node_mut(node);
        here.inbox = here.inbox.saturating_sub(1);
    }

    fn handed_over(&mut self, ready: Moment) -> Moment {
        ready.max(self.now + self.rng.within(self.scenario.network.handover_us))
    }

    /// A ping is answered: that is what lookups learn their patience from.
    pub(super) fn ping(&mut self, node: NodeIndex) {
        if !self.node(node).links.is_empty() {
            let Span(low, high) = self.scenario.network.latency_us;
            let took = Duration::from_micros(self.rng.within(Span(2 * low, 2 * high)));
            self.tell(node, Input::RoundTrip { took });
        }
    }

    pub(super) fn asked(
        &mut self,
        node: NodeIndex,
        from: NodeIndex,
        ask: AskId,
        subject: Subject,
        max_age: Duration,
        lease: bool,
    ) {
        self.read_inbox(node);
        let Some((item, ring)) = self.items.get(&subject).copied() else { return };
        if let Some(kind) = self.node(node).kind {
            let response = self.answer_falsely(node, kind, item);
            return response.into_iter().for_each(|response| self.send(node, from, Message::Answer { ask, response }));
        }
        if !self.node(node).rings.contains(&ring) {
            return self.send(node, from, Message::Answer { ask, response: nothing() });
        }
        let now = self.now;
        let here = self.node_mut(node);
        let young = |confirmed_at: Millis| here.millis(now).since(confirmed_at).is_some_and(|age| age < max_age);
        let held = here.offers.get(&item).copied().filter(|held| young(held.confirmed_at));
        let held = held.map(|held| here.share(held, now));
        let known = here.known(item, now).into();
        let inquiry = InquiryId(here.number());
        here.inquiries.insert(inquiry, Inquiry { from, ask, held, known });
        let from = self.node(from).member;
        self.input(node, Input::Inquired { inquiry, from, subject, held: held.is_some(), lease }, None);
    }

    pub(super) fn answered(&mut self, node: NodeIndex, ask: AskId, response: Response) {
        self.read_inbox(node);
        let (answer, shared, known) = match response {
            Response::Have(shared) => (Answer::Have, Some(shared), None),
            Response::Coming(wait) => (Answer::Coming { wait }, None, None),
            Response::Lease(behind, known) => (Answer::Lease { behind }, None, Some(known)),
            Response::No(known) => (Answer::No, None, Some(known)),
        };
        let lookup = self.node(node).fleet.asked_for(ask);
        if let Some((lookup, known)) = lookup.zip(known.filter(|known| !known.is_empty())) {
            self.tell_flight(node, lookup, Step::Learn(known));
        }
        self.input(node, Input::Answered { ask, answer }, shared);
    }

    pub(super) fn tick(&mut self, node: NodeIndex) {
        let now = self.now;
        let here = self.node_mut(node);
        // One that was overtaken by an earlier one.
        if here.tick_at.is_none_or(|at| at > now) {
            return;
        }
        here.tick_at = None;
        self.input(node, Input::Tick, None);
    }

    pub(super) fn input(&mut self, node: NodeIndex, input: Input, answer: Option<Shared>) {
        let mut outputs = Vec::new();
        let now = self.now;
        let here = self.node_mut(node);
        here.fleet.handle(input, here.millis(now), &mut outputs);
        self.weigh(node);
        if self.options.trace {
            outputs.iter().for_each(|output| eprintln!("{:>12}   node {node}: {output:?}", ""));
        }
        outputs.into_iter().for_each(|output| self.output(node, output, answer));
        self.wind(node);
    }

    /// Sees to it that the next deadline is kept.
    fn wind(&mut self, node: NodeIndex) {
        let now = self.now;
        let here = self.node_mut(node);
        let Some(at) = here.fleet.next_deadline().map(|at| here.moment(at).max(now)) else { return };
        if here.tick_at.is_none_or(|earlier| at < earlier) {
            here.tick_at = Some(at);
            self.at(at, node, Happening::Tick);
        }
    }

    fn output(&mut self, node: NodeIndex, output: Output, answer: Option<Shared>) {
        match output {
            Output::Ask { ask, to, subject, max_age, lease, deadline } => {
                let failed_at = self.node(node).moment(deadline).max(self.now);
                self.at(failed_at, node, Happening::Input(Input::AskFailed { ask }));
                self.node_mut(node).inbox += 1;
                self.send_to(node, to, Message::Ask { ask, subject, max_age, lease });
            }
            Output::Use { lookup, .. } => self.tell_flight(node, lookup, Step::Use(answer)),
            Output::Check { lookup } => self.tell_flight(node, lookup, Step::Check),
            Output::Fetch { lookup, .. } => self.tell_flight(node, lookup, Step::Fetch),
            Output::Reply { inquiry, reply } => self.reply(node, inquiry, reply),
            Output::Deliver { to, subject } => {
                let item = self.items.get(&subject).map(|(item, _)| *item);
                let held = item.and_then(|item| self.node(node).offers.get(&item).copied());
                let message = match held {
                    Some(held) => Message::Record(self.node(node).share(held, self.now)),
                    None => Message::Release(subject, false),
                };
                self.send_to(node, to, message);
            }
            Output::Release { to, subject, unshareable } => {
                self.send_to(node, to, Message::Release(subject, unshareable));
            }
            Output::Announce { lookup } => {
                let flight = self.node(node).flights.get(&lookup).map(|flight| flight.item);
                flight.into_iter().for_each(|item| self.publish(node, Gossip::Fetching(item, node, FetchStage::Begun)));
            }
            Output::Withdraw { subject, unshareable } => {
                let stage = if unshareable { FetchStage::Unshareable } else { FetchStage::Failed };
                let item = self.items.get(&subject).map(|(item, _)| *item);
                item.into_iter().for_each(|item| self.publish(node, Gossip::Fetching(item, node, stage)));
            }
            Output::Expel { member, span } => {
                let peer = self.by_member.get(&member).copied();
                peer.into_iter().for_each(|peer| self.expel(node, peer, span));
            }
        }
    }

    pub(super) fn tell_flight(&mut self, node: NodeIndex, lookup: LookupId, step: Step) {
        let Some(ready) = self.node(node).flights.get(&lookup).map(|flight| flight.ready) else { return };
        let at = self.handed_over(ready);
        if let Some(flight) = self.node_mut(node).flights.get_mut(&lookup) {
            flight.ready = at;
        }
        self.at(at, node, Happening::Step(lookup, step));
    }

    fn reply(&mut self, node: NodeIndex, inquiry: InquiryId, reply: Reply) {
        let Some(Inquiry { from, ask, held, known }) = self.node_mut(node).inquiries.remove(&inquiry) else { return };
        let response = match (reply, held) {
            (Reply::Have, Some(shared)) => Response::Have(shared),
            (Reply::Have, None) | (Reply::No, _) => Response::No(known),
            (Reply::Coming { wait }, _) => Response::Coming(wait),
            (Reply::Lease { behind, .. }, _) => Response::Lease(behind, known),
        };
        self.send(node, from, Message::Answer { ask, response });
    }

    // The network.

    fn send_to(&mut self, from: NodeIndex, to: MemberId, message: Message) {
        if let Some(to) = self.by_member.get(&to).copied() {
            self.send(from, to, message);
        }
    }

    fn send(&mut self, from: NodeIndex, to: NodeIndex, message: Message) {
        self.report.traffic.direct_bytes += self.bytes_of(&message);
        let at = self.now + self.rng.within(self.scenario.network.latency_us);
        if !self.rng.chance(self.scenario.network.loss) {
            self.queue.push(at, Event::At(to, Happening::Message(from, message)));
        }
    }

    fn bytes_of(&self, message: &Message) -> u64 {
        let records = |count: usize| count as u64 * self.sizes.stored;
        let sizes = &self.sizes;
        match message {
            Message::Ask { .. } => sizes.ask,
            Message::Answer { response: Response::Have(_), .. } | Message::Record(_) => sizes.stored,
            Message::Answer { response: Response::Lease(_, known) | Response::No(known), .. } => {
                sizes.word + known.len() as u64 * sizes.revalidated
            }
            Message::Answer { response: Response::Coming(_), .. } | Message::Release(..) => sizes.word,
            Message::Digest(items, writes) => sizes.word + (items.len() + writes) as u64 * DIGEST_ENTRY,
            Message::Missing(shared, writes) => {
                sizes.word + records(shared.len()) + writes.len() as u64 * sizes.invalidated
            }
        }
    }

    pub(super) fn message(&mut self, node: NodeIndex, from: NodeIndex, message: Message) {
        if self.node(node).part != self.node(from).part {
            return;
        }
        match message {
            Message::Ask { ask, subject, max_age, lease } => {
                let times = if self.options.sabotage == Some(Sabotage::Flood) { 2 * INBOX } else { 1 };
                for _ in 1..times {
                    self.hand_over(node, Happening::Asked { from, ask, subject, max_age, lease });
                }
                self.hand_over(node, Happening::Asked { from, ask, subject, max_age, lease });
            }
            Message::Answer { ask, response } => self.hand_over(node, Happening::Answered(ask, response)),
            Message::Record(shared) => self.hear(node, Gossip::Record(shared)),
            Message::Release(subject, unshareable) => {
                let from = self.node(from).member;
                self.tell(node, Input::Released { from, subject, unshareable });
            }
            Message::Digest(items, writes) => self.compare(node, from, &items, writes),
            Message::Missing(shared, writes) => {
                writes.iter().for_each(|written| self.bury(node, *written));
                shared.iter().for_each(|shared| self.hear(node, Gossip::Record(*shared)));
            }
        }
    }

    /// A member's record arrives.
    pub(super) fn hear(&mut self, node: NodeIndex, gossip: Gossip) {
        if !self.node(node).is_honest() {
            return self.overhear(node, &gossip);
        }
        match gossip {
            Gossip::Record(shared) => {
                let Some(confirmed_at) = self.receive(node, shared) else { return };
                for ring in self.node(node).rings.clone() {
                    let subject = self.subject(shared.validation.item, ring);
                    self.tell(node, Input::Arrived { subject, confirmed_at });
                }
            }
            Gossip::Written(written) => self.bury(node, written),
            Gossip::Budget(said) => self.learn_limits(node, &said),
            Gossip::Fetching(item, author, stage) => self.hear_of_fetch(node, item, author, stage),
        }
    }

    fn hear_of_fetch(&mut self, node: NodeIndex, item: Item, author: NodeIndex, stage: FetchStage) {
        let from = self.node(author).member;
        for ring in self.node(node).rings.clone() {
            let subject = self.subject(item, ring);
            self.tell(
                node,
                match stage {
                    FetchStage::Begun => Input::Announced { from, subject },
                    FetchStage::Failed => Input::Withdrawn { from, subject, unshareable: false },
                    FetchStage::Unshareable => Input::Withdrawn { from, subject, unshareable: true },
                },
            );
        }
    }

    /// Who misbehaves keeps what others said, the first of each for good.
    fn overhear(&mut self, node: NodeIndex, gossip: &Gossip) {
        if let Gossip::Record(Shared { validation, .. }) = gossip
            && self.is_vouched(validation)
        {
            self.hoard.entry(validation.item).or_insert(*validation);
            let now = self.now;
            if let Gossip::Record(shared) = gossip {
                self.node_mut(node).receive(*shared, now);
            }
        }
    }

    /// Takes a record that may be what it says: under a secret that is accepted, not from the future, and, where its credential was
    /// presented here, made by a holder of it. Gives when it was confirmed, if it is news.
    pub(super) fn receive(&mut self, node: NodeIndex, shared: Shared) -> Option<Millis> {
        let validation = &shared.validation;
        let here = self.node(node);
        let is_readable = here.rings.contains(&validation.ring);
        let is_early = !here.is_plausible(validation.origin_date, self.now);
        let is_forged = here.presented.contains(&validation.item.credential) && !self.is_vouched(validation);
        let offence = match is_forged {
            true => Some(Offence::Garbage),
            false if is_early => Some(Offence::WrongAge),
            false => None,
        };
        if let Some(offence) = offence {
            let member = self.node(validation.stamp.author).member;
            self.tell(node, Input::Offended { member, offence });
        }
        if !is_readable || is_forged || is_early {
            return None;
        }
        let now = self.now;
        self.node_mut(node).receive(shared, now)
    }

    // What members tell each other when they meet.

    /// Tells a new neighbour what this node holds.
    pub(super) fn greet(&mut self, node: NodeIndex, peer: NodeIndex) {
        let here = self.node(node);
        if !self.scenario.anti_entropy.on_connect || !here.is_honest() {
            return;
        }
        let items: Rc<[(Item, u64)]> =
            here.offers.iter().map(|(item, held)| (*item, held.validation.origin_date)).collect();
        let writes = here.writes.len();
        self.send(node, peer, Message::Digest(items, writes));
    }

    /// Sends what the sender of a digest lacks.
    fn compare(&mut self, node: NodeIndex, from: NodeIndex, items: &[(Item, u64)], writes: usize) {
        let (here, now) = (self.node(node), self.now);
        if !here.is_honest() {
            return;
        }
        let lacks = |item: &Item, date: u64| {
            items.binary_search_by_key(item, |(item, _)| *item).is_ok_and(|at| items[at].1 >= date)
        };
        let missing = here.offers.iter().filter(|(item, held)| !lacks(item, held.validation.origin_date));
        let missing: Rc<[Shared]> = missing.map(|(_, held)| here.share(*held, now)).collect();
        let told: Rc<[Written]> = if writes < here.writes.len() { self.written_so_far(node) } else { Rc::from([]) };
        if !missing.is_empty() || !told.is_empty() {
            self.send(node, from, Message::Missing(missing, told));
        }
    }

    /// The writes that a node knows of. It knows how old its tombstones are, which are as young as the last write over them.
    fn written_so_far(&self, node: NodeIndex) -> Rc<[Written]> {
        let here = self.node(node);
        let age = |write: &usize| {
            let (key, _) = self.writes[*write];
            let scopes = &self.catalogue.get(Item { key, credential: 0 }).written;
            let latest = scopes.iter().filter_map(|scope| here.tombstones.get(scope)).max().copied();
            here.millis(self.now).since(latest.unwrap_or_default()).unwrap_or_default()
        };
        here.writes.keys().map(|write| Written { write: *write, age: age(write) }).collect()
    }
}
