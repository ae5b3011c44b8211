//! The run: takes events in order, moves inputs and outputs between nodes as their shells do, and checks what comes out.

use crate::event::{Event, Happening, NodeIndex, Queue};
use crate::model::{Held, Message, Moment, Record, Response, Shared, Step};
use crate::node::{Flight, Node};
use crate::report::{AGE_SLACK_MS, Report, Violation};
use crate::rng::Rng;
use crate::scenario::{Scenario, Span, What, Who};
use ghmesh_fleet::{Answer, AskId, Input, InquiryId, Load, LookupId, Output, Reply, Subject, owners};
use ghmesh_model::{Fingerprint, MemberId, WireKey};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Searching and waiting at their longest: 150 ms, ten seconds of waiting in all, and 150 ms for asking a last time.
const SEARCH_AND_WAIT_MS: u64 = 150 + 10_000 + 150;

/// Nothing is under way so long after the last poll, or it will be for ever.
const DRAIN_MS: u64 = 120_000;

/// How often to look for somebody who calls, once one is to be struck.
const LOOK_AGAIN_US: u64 = 1_000;

/// Runs a scenario with one seed. `trace` writes every event to stderr.
pub fn run(scenario: &Scenario, seed: u64, trace: bool) -> Report {
    let mut world = World::new(scenario, seed);
    world.is_traced = trace;
    let mut digest = DefaultHasher::new();
    while let Some((at, event)) = world.queue.pop() {
        if at > (scenario.polls.until_ms + DRAIN_MS) * 1000 {
            break;
        }
        world.now = at;
        let line = format!("{at:>12} {event:?}");
        line.hash(&mut digest);
        if trace {
            eprintln!("{line}");
        }
        world.happen(event);
    }
    world.report.digest = digest.finish();
    world.finish()
}

struct World<'a> {
    scenario: &'a Scenario,
    is_traced: bool,
    rng: Rng,
    now: Moment,
    queue: Queue,
    nodes: Vec<Node>,
    subjects: Vec<Subject>,
    /// When each key was last asked of the origin.
    last_calls: BTreeMap<Subject, Moment>,
    /// Answers that the origin gave.
    versions: BTreeSet<(Subject, u64)>,
    report: Report,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let fingerprint = Fingerprint(rng.bytes());
        let subjects = (0..scenario.keys).map(|_| Subject { key: WireKey(rng.bytes()), fingerprint }).collect();
        let mut world = World {
            scenario,
            is_traced: false,
            rng,
            now: 0,
            queue: Queue::default(),
            nodes: Vec::new(),
            subjects,
            last_calls: BTreeMap::new(),
            versions: BTreeSet::new(),
            report: Report { seed, ..Report::default() },
        };
        (0..scenario.nodes).for_each(|_| world.start());
        for event in &scenario.events {
            let at = world.rng.within(event.at_ms) * 1000;
            world.queue.push(at, Event::Strike(event.what.clone()));
        }
        world
    }

    fn happen(&mut self, event: Event) {
        let (node, happening) = match event {
            Event::Strike(what) => return self.strike(what),
            Event::At(node, happening) => (node, happening),
        };
        if self.nodes[node].is_dead {
            return;
        }
        if self.nodes[node].frozen_until > self.now {
            return self.queue.push(self.nodes[node].frozen_until, Event::At(node, happening));
        }
        match happening {
            Happening::Poll(key) => self.poll(node, self.subjects[key]),
            Happening::Link(peer, is_there) => self.link(node, peer, is_there),
            Happening::Message(from, message) => self.message(node, from, message),
            Happening::Input(input) => self.input(node, input, None),
            Happening::Answered(ask, response) => self.answered(node, ask, response),
            Happening::Asked { from, ask, subject, max_age, lease } => {
                self.asked(node, from, ask, subject, max_age, lease)
            }
            Happening::Step(lookup, step) => self.step(node, lookup, step),
            Happening::Called(lookup, sent_at, record) => self.called(node, lookup, sent_at, record),
        }
    }

    // Nodes come and go.

    fn start(&mut self) {
        let node = self.nodes.len();
        let (member, epoch) = (MemberId(self.rng.bytes()), self.rng.within(Span(1_700_000_000_000, 1_800_000_000_000)));
        for peer in 0..node {
            for (one, other) in [(node, peer), (peer, node)] {
                let at = self.after_ms(self.scenario.network.join_ms);
                self.queue.push(at, Event::At(one, Happening::Link(other, true)));
            }
        }
        self.nodes.push(Node::new(member, epoch));
        let polls = &self.scenario.polls;
        let mut at = self.after_ms(polls.spread_ms) + polls.first_ms * 1000;
        while at <= polls.until_ms * 1000 {
            (0..self.subjects.len()).for_each(|key| self.queue.push(at, Event::At(node, Happening::Poll(key))));
            at += polls.every_ms * 1000;
        }
    }

    fn strike(&mut self, what: What) {
        let (What::Kill(who) | What::Freeze { who, .. }) = what else { return self.start() };
        let Some(node) = self.find(who) else {
            let again = self.now + LOOK_AGAIN_US;
            return if again < self.scenario.polls.until_ms * 1000 {
                self.queue.push(again, Event::Strike(what))
            };
        };
        match what {
            What::Kill(_) => self.kill(node),
            What::Freeze { for_ms, .. } => self.nodes[node].frozen_until = self.now + for_ms * 1000,
            What::Start {} => {}
        }
    }

    fn find(&self, who: Who) -> Option<NodeIndex> {
        let subject = self.subjects.first()?;
        let mut alive = self.nodes.iter().enumerate().filter(|(_, node)| !node.is_dead);
        match who {
            Who::Owner => {
                let owner = *owners(&subject.key, alive.clone().map(|(_, node)| node.member)).first()?;
                alive.find(|(_, node)| node.member == owner).map(|(index, _)| index)
            }
            Who::Holder => alive.find_map(|(index, node)| {
                node.flights.values().any(|flight| flight.subject == *subject && flight.is_calling).then_some(index)
            }),
        }
    }

    fn kill(&mut self, dead: NodeIndex) {
        self.nodes[dead].is_dead = true;
        for peer in 0..self.nodes.len() {
            let at = self.after_ms(self.scenario.network.detect_ms);
            self.queue.push(at, Event::At(peer, Happening::Link(dead, false)));
        }
    }

    fn link(&mut self, node: NodeIndex, peer: NodeIndex, is_there: bool) {
        if is_there && self.nodes[peer].is_dead {
            return;
        }
        let member = self.nodes[peer].member;
        let links = &mut self.nodes[node].links;
        let _ = if is_there { links.insert(peer) } else { links.remove(&peer) };
        self.tell(node, if is_there { Input::Joined { member } } else { Input::Left { member } });
    }

    // A request and its flight, as `ghmesh_node`'s flight does it.

    fn poll(&mut self, node: NodeIndex, subject: Subject) {
        self.report.requests += 1;
        if let Some(held) = self.fresh(node, subject) {
            self.report.local += 1;
            return self.check_age(node, held.record);
        }
        let now = self.now;
        if let Some(flight) = self.nodes[node].flight_for(subject) {
            return flight.callers.push(now);
        }
        let lookup = LookupId(self.nodes[node].number());
        let flight = Flight { subject, callers: vec![now], ready: now, is_calling: false };
        self.nodes[node].flights.insert(lookup, flight);
        let max_age = self.ttl();
        self.tell(node, Input::Lookup { lookup, subject, max_age, follow: true });
    }

    fn step(&mut self, node: NodeIndex, lookup: LookupId, step: Step) {
        let Some(flight) = self.nodes[node].flights.get(&lookup).filter(|flight| !flight.is_calling) else { return };
        let subject = flight.subject;
        if let Step::Use(Some(shared)) = step {
            self.nodes[node].receive(shared, self.now);
        }
        if let Some(held) = self.fresh(node, subject) {
            return self.land(node, lookup, Some(held.record), Input::Found { lookup });
        }
        match step {
            Step::Use(_) => self.tell(node, Input::Refused { lookup }),
            Step::Check => self.tell(node, Input::Checked { lookup }),
            Step::Fetch => self.call(node, lookup, subject),
        }
    }

    fn land(&mut self, node: NodeIndex, lookup: LookupId, record: Option<Record>, input: Input) {
        let Some(flight) = self.nodes[node].flights.remove(&lookup) else { return };
        if let Some(record) = record {
            self.check_age(node, record);
        }
        for asked_at in flight.callers {
            let took_ms = (self.now - asked_at) / 1000;
            self.report.durations_ms.push(took_ms);
            let limit_ms = self.limit_ms();
            if took_ms > limit_ms {
                self.report.violations.push(Violation::TooSlow { node, took_ms, limit_ms });
            }
        }
        self.tell(node, input);
    }

    // The origin.

    fn call(&mut self, node: NodeIndex, lookup: LookupId, subject: Subject) {
        self.report.calls += 1;
        let last = self.last_calls.insert(subject, self.now);
        let after_ms = last.map(|last| (self.now - last) / 1000);
        // Two milliseconds: timelines count whole ones.
        if let Some(after_ms) =
            after_ms.filter(|after| self.scenario.expect.single_flight && after + 2 < self.scenario.ttl_ms)
        {
            let key = self.subjects.iter().position(|one| *one == subject).unwrap_or_default();
            self.report.violations.push(Violation::SecondCall { node, key, after_ms });
        }
        let sent_at = self.now;
        let answered_at = self.after_ms(self.scenario.origin.latency_ms);
        let version = self.scenario.origin.change_every_ms.map_or(0, |every| self.now / 1000 / every);
        let fails = self.rng.chance(self.scenario.origin.failures);
        let record = (!fails).then_some(Record { version, origin_date: answered_at / 1_000_000, sent_at });
        if !fails {
            self.versions.insert((subject, version));
            let is_known = self.nodes[node].store.get(&subject).is_some_and(|held| held.record.version == version);
            self.report.charged += u64::from(!is_known);
        }
        if let Some(flight) = self.nodes[node].flights.get_mut(&lookup) {
            flight.is_calling = true;
        }
        self.queue.push(answered_at, Event::At(node, Happening::Called(lookup, sent_at, record)));
    }

    fn called(&mut self, node: NodeIndex, lookup: LookupId, sent_at: Moment, record: Option<Record>) {
        let Some(subject) = self.nodes[node].flights.get(&lookup).map(|flight| flight.subject) else { return };
        let Some(record) = record else {
            return self.land(node, lookup, None, Input::Ended { lookup, unshareable: false });
        };
        let held = Held { record, confirmed_at: self.nodes[node].millis(sent_at) };
        self.nodes[node].store.insert(subject, held);
        let shared = self.nodes[node].share(subject, held, self.now);
        for peer in self.nodes[node].links.clone() {
            self.send_within(self.scenario.network.gossip_us, node, peer, Message::Record(shared));
        }
        let took = Duration::from_micros(self.now - sent_at);
        self.land(node, lookup, Some(record), Input::Fetched { lookup, took });
    }

    // A node's coordinator, as `ghmesh_node`'s coordinator does it.

    /// Hands something over to the coordinator.
    fn tell(&mut self, node: NodeIndex, input: Input) {
        self.hand_over(node, Happening::Input(input));
    }

    fn hand_over(&mut self, node: NodeIndex, happening: Happening) {
        let at = self.handed_over(self.nodes[node].inbox_ready);
        self.nodes[node].inbox_ready = at;
        self.queue.push(at, Event::At(node, happening));
    }

    fn asked(
        &mut self,
        node: NodeIndex,
        from: NodeIndex,
        ask: AskId,
        subject: Subject,
        max_age: Duration,
        lease: bool,
    ) {
        let here = &mut self.nodes[node];
        let held = here.fresh(subject, max_age, self.now).map(|held| here.share(subject, held, self.now));
        let inquiry = InquiryId(here.number());
        here.inquiries.insert(inquiry, (from, ask, held));
        let from = self.nodes[from].member;
        self.input(node, Input::Inquired { inquiry, from, subject, held: held.is_some(), lease }, None);
    }

    fn answered(&mut self, node: NodeIndex, ask: AskId, response: Response) {
        let (answer, shared) = match response {
            Response::Have(shared) => (Answer::Have, Some(shared)),
            Response::Coming(wait) => (Answer::Coming { wait }, None),
            Response::Lease(behind) => (Answer::Lease { behind }, None),
            Response::No => (Answer::No, None),
        };
        self.input(node, Input::Answered { ask, answer }, shared);
    }

    fn input(&mut self, node: NodeIndex, input: Input, answer: Option<Shared>) {
        let mut outputs = Vec::new();
        let here = &mut self.nodes[node];
        if input == Input::Tick {
            here.tick_at = None;
        }
        here.fleet.handle(input, here.millis(self.now), &mut outputs);
        let load = here.fleet.load();
        if load.timers > 3 * load.lookups + load.leases || load.asks > 6 * load.lookups {
            self.report.violations.push(Violation::Heavy { node, load });
        }
        if self.is_traced {
            outputs.iter().for_each(|output| eprintln!("{:>12}   node {node}: {output:?}", ""));
        }
        outputs.into_iter().for_each(|output| self.output(node, output, answer));
        self.wind(node);
    }

    /// Sees to it that the next deadline is kept.
    fn wind(&mut self, node: NodeIndex) {
        let here = &mut self.nodes[node];
        let Some(at) = here.fleet.next_deadline().map(|at| here.moment(at).max(self.now)) else { return };
        if here.tick_at.is_none_or(|earlier| at < earlier) {
            here.tick_at = Some(at);
            self.queue.push(at, Event::At(node, Happening::Input(Input::Tick)));
        }
    }

    fn output(&mut self, node: NodeIndex, output: Output, answer: Option<Shared>) {
        match output {
            Output::Ask { ask, to, subject, max_age, lease, deadline } => {
                let failed_at = self.nodes[node].moment(deadline).max(self.now);
                self.queue.push(failed_at, Event::At(node, Happening::Input(Input::AskFailed { ask })));
                self.send_to(node, to, Message::Ask { ask, subject, max_age, lease });
            }
            Output::Use { lookup, .. } => self.tell_flight(node, lookup, Step::Use(answer)),
            Output::Check { lookup } => self.tell_flight(node, lookup, Step::Check),
            Output::Fetch { lookup, .. } => self.tell_flight(node, lookup, Step::Fetch),
            Output::Reply { inquiry, reply } => self.reply(node, inquiry, reply),
            Output::Deliver { to, subject } => {
                if let Some(held) = self.nodes[node].store.get(&subject).copied() {
                    let shared = self.nodes[node].share(subject, held, self.now);
                    self.send_to(node, to, Message::Record(shared));
                }
            }
            Output::Release { to, subject, .. } => self.send_to(node, to, Message::Release(subject)),
            // No node of a scenario does what leads there.
            Output::Expel { .. } => {}
        }
    }

    fn tell_flight(&mut self, node: NodeIndex, lookup: LookupId, step: Step) {
        let Some(ready) = self.nodes[node].flights.get(&lookup).map(|flight| flight.ready) else { return };
        let at = self.handed_over(ready);
        if let Some(flight) = self.nodes[node].flights.get_mut(&lookup) {
            flight.ready = at;
        }
        self.queue.push(at, Event::At(node, Happening::Step(lookup, step)));
    }

    fn reply(&mut self, node: NodeIndex, inquiry: InquiryId, reply: Reply) {
        let Some((from, ask, held)) = self.nodes[node].inquiries.remove(&inquiry) else { return };
        let response = match (reply, held) {
            (Reply::Have, Some(shared)) => Response::Have(shared),
            (Reply::Have, None) | (Reply::No, _) => Response::No,
            (Reply::Coming { wait }, _) => Response::Coming(wait),
            (Reply::Lease { behind, .. }, _) => Response::Lease(behind),
        };
        self.send(node, from, Message::Answer { ask, response });
    }

    // The network.

    fn send_to(&mut self, from: NodeIndex, to: MemberId, message: Message) {
        if let Some(to) = self.nodes.iter().position(|node| node.member == to) {
            self.send(from, to, message);
        }
    }

    fn send(&mut self, from: NodeIndex, to: NodeIndex, message: Message) {
        self.send_within(self.scenario.network.latency_us, from, to, message);
    }

    fn send_within(&mut self, latency_us: Span, from: NodeIndex, to: NodeIndex, message: Message) {
        let at = self.now + self.rng.within(latency_us);
        if !self.rng.chance(self.scenario.network.loss) {
            self.queue.push(at, Event::At(to, Happening::Message(from, message)));
        }
    }

    fn message(&mut self, node: NodeIndex, from: NodeIndex, message: Message) {
        match message {
            Message::Ask { ask, subject, max_age, lease } => {
                self.hand_over(node, Happening::Asked { from, ask, subject, max_age, lease });
            }
            Message::Answer { ask, response } => self.hand_over(node, Happening::Answered(ask, response)),
            Message::Record(shared) => {
                if let Some(confirmed_at) = self.nodes[node].receive(shared, self.now) {
                    self.tell(node, Input::Arrived { subject: shared.subject, confirmed_at });
                }
            }
            Message::Release(subject) => {
                let from = self.nodes[from].member;
                self.tell(node, Input::Released { from, subject, unshareable: false });
            }
        }
    }

    // Times and checks.

    fn after_ms(&mut self, span: Span) -> Moment {
        self.now + self.rng.within(span) * 1000
    }

    fn handed_over(&mut self, ready: Moment) -> Moment {
        ready.max(self.now + self.rng.within(self.scenario.network.handover_us))
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(self.scenario.ttl_ms)
    }

    fn fresh(&self, node: NodeIndex, subject: Subject) -> Option<Held> {
        self.nodes[node].fresh(subject, self.ttl(), self.now)
    }

    fn check_age(&mut self, node: NodeIndex, record: Record) {
        let age_ms = (self.now - record.sent_at) / 1000;
        let just_fetched = age_ms <= self.scenario.origin.latency_ms.1;
        if age_ms > self.scenario.ttl_ms + AGE_SLACK_MS && !just_fetched {
            self.report.violations.push(Violation::TooOld { node, age_ms });
        }
    }

    /// The longest that a request may take: two rounds, one call, and every time that a node hangs.
    fn limit_ms(&self) -> u64 {
        let hangs = self.scenario.events.iter().map(|event| match event.what {
            What::Freeze { for_ms, .. } => for_ms,
            What::Kill(_) | What::Start {} => 0,
        });
        let handovers = 16 * self.scenario.network.handover_us.1 / 1000;
        SEARCH_AND_WAIT_MS + self.scenario.origin.latency_ms.1 + handovers + hangs.sum::<u64>()
    }

    fn finish(mut self) -> Report {
        for (node, here) in self.nodes.iter().enumerate() {
            self.report.fail_opens += here.fleet.counters().fail_opens;
            if here.is_dead {
                continue;
            }
            let requests = here.flights.values().map(|flight| flight.callers.len()).sum();
            if requests > 0 {
                self.report.violations.push(Violation::Unended { node, requests });
            }
            let load = here.fleet.load();
            if load != Load::default() {
                self.report.violations.push(Violation::Leftover { node, load });
            }
        }
        self.report.versions = self.versions.len() as u64;
        self.report.judge(self.scenario);
        self.report
    }
}
