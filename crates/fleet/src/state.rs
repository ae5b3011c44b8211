//! The state machine.

use crate::budget::Budgets;
use crate::lease::{Holder, Lease};
use crate::lookup::{Ask, Lookup, Phase};
use crate::rank::owners;
use crate::{Answer, AskId, FetchReason, Input, LookupId, Output, Reply, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Leases that an owner keeps at once. Beyond, it grants without noting: a fetch too many, never a call too slow.
const MAX_LEASES: usize = 65_536;

/// Longest wait for another's fetch, whatever a member claims. Equal to the longest lease.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Added to the wait that an owner states, for the way of the delivery.
const WAIT_MARGIN: Duration = Duration::from_millis(50);

/// What does not change while a node runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// This node.
    pub me: MemberId,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lookups that went to the origin because members did not answer in time or not usefully.
    pub fail_opens: u64,
    /// Leases granted to other members.
    pub leases_granted: u64,
    /// Lookups that waited for another node's fetch.
    pub waits: u64,
    /// Lookups that asked a standby because the owner was slow.
    pub hedges: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Hedge(LookupId),
    GiveUp(LookupId),
    Lease(Subject),
}

/// The coordination of one node. See the crate's documentation for the protocol.
#[derive(Debug)]
pub struct Fleet {
    me: MemberId,
    members: BTreeSet<MemberId>,
    lookups: BTreeMap<LookupId, Lookup>,
    asks: BTreeMap<AskId, Ask>,
    leases: BTreeMap<Subject, Lease>,
    timers: BTreeSet<(Millis, Timer)>,
    budgets: Budgets,
    counters: Counters,
    last_ask: u64,
}

impl Fleet {
    /// A node that knows no members.
    pub fn new(config: Config) -> Self {
        Fleet {
            me: config.me,
            members: BTreeSet::new(),
            lookups: BTreeMap::new(),
            asks: BTreeMap::new(),
            leases: BTreeMap::new(),
            timers: BTreeSet::new(),
            budgets: Budgets::default(),
            counters: Counters::default(),
            last_ask: 0,
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn handle(&mut self, input: Input, now: Millis, out: &mut Vec<Output>) {
        match input {
            Input::Lookup { lookup, subject, max_age } => self.begin(lookup, subject, max_age, now, out),
            Input::Fetched { lookup, took } => self.fetched(lookup, took, now, out),
            Input::Found { lookup } => self.found(lookup, out),
            Input::Ended { lookup } => self.ended(lookup, now, out),
            Input::Refused { lookup } => self.refused(lookup, out),
            Input::Answered { ask, answer } => self.answered(ask, answer, now, out),
            Input::AskFailed { ask } => self.ask_failed(ask, now, out),
            Input::Inquired { inquiry, from, subject, held, lease } => {
                let reply = self.inquired(from, subject, held, lease, now);
                out.push(Output::Reply { inquiry, reply });
            }
            Input::Arrived { subject } => self.arrived(subject, out),
            Input::Released { from, subject } => self.released(from, subject, now, out),
            Input::Joined { member } => {
                self.members.insert(member);
            }
            Input::Left { member } => self.left(member, now, out),
            Input::RoundTrip { took } => self.budgets.round_trip(took),
            Input::Tick => self.tick(now, out),
        }
    }

    /// When to send [`Input::Tick`]: the earliest moment at which time alone changes anything.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How long a lookup may search at present.
    pub fn lookup_budget(&self) -> Duration {
        self.budgets.lookup()
    }

    /// Members that are connected, without this node.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.iter().copied()
    }

    // A lookup, from its beginning on.

    fn begin(&mut self, lookup: LookupId, subject: Subject, max_age: Duration, now: Millis, out: &mut Vec<Output>) {
        let until = now.after(self.budgets.lookup());
        self.lookups.insert(lookup, Lookup::new(subject, max_age, until));
        if self.members.is_empty() {
            return self.fetch(lookup, FetchReason::Alone, out);
        }
        self.timers.insert((until, Timer::GiveUp(lookup)));
        self.timers.insert((now.after(self.budgets.hedge()), Timer::Hedge(lookup)));
        self.ask_next(lookup, now, out);
    }

    /// Turns to the best ranked member that was not asked yet. Where that is this node, it acts as the owner.
    fn ask_next(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        let next = self.ranked(&lookup.subject).into_iter().find(|member| !lookup.asked.contains(member));
        match next {
            Some(member) if member == self.me => self.own(id, now, out),
            Some(member) if now < lookup.until => self.ask(id, member, true, now, out),
            Some(_) | None => self.fail_open(id, out),
        }
    }

    /// This node owns the key: it takes the lease, or waits for who has it.
    fn own(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        let subject = lookup.subject;
        if let Some(lease) = self.leases.get(&subject).filter(|lease| lease.until > now) {
            let remaining = lease.until.since(now).unwrap_or_default();
            return self.wait(id, remaining, now);
        }
        self.lease_out(subject, Holder::Own(id), now);
        self.peek(id, now, out);
    }

    /// One look at the standbys before a charged call.
    fn peek(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Peeking;
        self.drop_asks(id);
        let Some(lookup) = self.lookups.get(&id) else { return };
        let standbys = self.ranked(&lookup.subject);
        let others: Vec<_> = standbys.into_iter().filter(|m| *m != self.me && !lookup.asked.contains(m)).collect();
        if others.is_empty() || now >= lookup.until {
            return self.fetch(id, FetchReason::Leased, out);
        }
        others.into_iter().for_each(|member| self.ask(id, member, false, now, out));
    }

    fn ask(&mut self, id: LookupId, to: MemberId, lease: bool, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        self.last_ask += 1;
        let ask = AskId(self.last_ask);
        lookup.open.insert(ask);
        if lease {
            lookup.asked.insert(to);
        }
        self.asks.insert(ask, Ask { lookup: id, to, sent: now, lease });
        let Lookup { subject, max_age, until, .. } = *lookup;
        out.push(Output::Ask { ask, to, subject, max_age, lease, deadline: until });
    }

    fn answered(&mut self, ask: AskId, answer: Answer, now: Millis, out: &mut Vec<Output>) {
        let Some(Ask { lookup: id, to, sent, lease }) = self.asks.remove(&ask) else { return };
        if let Some(took) = now.since(sent) {
            self.budgets.round_trip(took);
        }
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.open.remove(&ask);
        if !matches!(lookup.phase, Phase::Asking | Phase::Peeking) {
            return;
        }
        match answer {
            Answer::Have => self.use_answer(id, ask, out),
            Answer::Coming { wait } => self.wait(id, wait, now),
            Answer::Lease if lease => {
                lookup.lessor = Some(to);
                self.peek(id, now, out);
            }
            Answer::Lease | Answer::No => self.no_answer(id, now, out),
        }
    }

    fn ask_failed(&mut self, ask: AskId, now: Millis, out: &mut Vec<Output>) {
        let Some(Ask { lookup: id, .. }) = self.asks.remove(&ask) else { return };
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.open.remove(&ask);
        self.no_answer(id, now, out);
    }

    /// A question came to nothing. While others are open, they may still answer.
    fn no_answer(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| lookup.open.is_empty()) else { return };
        match lookup.phase {
            Phase::Asking => self.ask_next(id, now, out),
            Phase::Peeking => self.fetch(id, FetchReason::Leased, out),
            Phase::Waiting | Phase::Using | Phase::Fetching => {}
        }
    }

    fn use_answer(&mut self, id: LookupId, ask: AskId, out: &mut Vec<Output>) {
        self.drop_asks(id);
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.phase = Phase::Using;
            out.push(Output::Use { lookup: id, ask });
        }
    }

    fn wait(&mut self, id: LookupId, wait: Duration, now: Millis) {
        self.drop_asks(id);
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Waiting;
        lookup.until = now.after(wait.min(MAX_WAIT) + WAIT_MARGIN);
        self.timers.insert((lookup.until, Timer::GiveUp(id)));
        self.counters.waits += 1;
    }

    fn fail_open(&mut self, id: LookupId, out: &mut Vec<Output>) {
        self.counters.fail_opens += 1;
        self.fetch(id, FetchReason::FailOpen, out);
    }

    fn fetch(&mut self, id: LookupId, reason: FetchReason, out: &mut Vec<Output>) {
        self.drop_asks(id);
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.phase = Phase::Fetching;
            out.push(Output::Fetch { lookup: id, reason });
        }
    }

    /// Another's fetch came to nothing: ask once more (the owner then lets one of those that waited fetch), then go alone.
    fn restart(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if lookup.restarted {
            return self.fetch(id, FetchReason::Waited, out);
        }
        lookup.restarted = true;
        lookup.phase = Phase::Asking;
        lookup.asked.clear();
        lookup.until = now.after(self.budgets.lookup());
        self.timers.insert((lookup.until, Timer::GiveUp(id)));
        self.ask_next(id, now, out);
    }

    fn drop_asks(&mut self, id: LookupId) {
        if let Some(lookup) = self.lookups.get_mut(&id) {
            for ask in std::mem::take(&mut lookup.open) {
                self.asks.remove(&ask);
            }
        }
    }

    // How a lookup ends.

    fn fetched(&mut self, id: LookupId, took: Duration, _now: Millis, out: &mut Vec<Output>) {
        self.budgets.fetched(took);
        self.found(id, out);
    }

    /// The store now holds what was looked for: those who wait for this node are told.
    fn found(&mut self, id: LookupId, out: &mut Vec<Output>) {
        let Some(lookup) = self.remove(id) else { return };
        if let Some(lessor) = lookup.lessor {
            out.push(Output::Deliver { to: lessor, subject: lookup.subject });
        }
        self.settle(lookup.subject, out);
    }

    /// A refused answer is of no use: the members had their chance.
    fn refused(&mut self, id: LookupId, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        match lookup.phase {
            Phase::Using => self.fail_open(id, out),
            Phase::Asking | Phase::Peeking | Phase::Waiting | Phase::Fetching => {}
        }
    }

    fn ended(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.remove(id) else { return };
        if let Some(to) = lookup.lessor {
            out.push(Output::Release { to, subject: lookup.subject });
        }
        if self.leases.get(&lookup.subject).is_some_and(|lease| lease.holder == Holder::Own(id)) {
            self.abandon(lookup.subject, now, out);
        }
    }

    fn remove(&mut self, id: LookupId) -> Option<Lookup> {
        self.drop_asks(id);
        self.lookups.remove(&id)
    }

    // The owner's side.

    fn inquired(&mut self, from: MemberId, subject: Subject, held: bool, lease: bool, now: Millis) -> Reply {
        if held {
            return Reply::Have;
        }
        if let Some(running) = self.leases.get_mut(&subject).filter(|lease| lease.until > now)
            && running.holder != Holder::Member(from)
        {
            running.wait(from);
            return Reply::Coming { wait: running.until.since(now).unwrap_or_default() };
        }
        if !lease {
            return Reply::No;
        }
        self.counters.leases_granted += 1;
        Reply::Lease { span: self.lease_out(subject, Holder::Member(from), now) }
    }

    fn lease_out(&mut self, subject: Subject, holder: Holder, now: Millis) -> Duration {
        let span = self.budgets.lease();
        let until = now.after(span);
        let waiters = self.leases.remove(&subject).map(|lease| lease.waiters).unwrap_or_default();
        if self.leases.len() < MAX_LEASES {
            self.leases.insert(subject, Lease { waiters, ..Lease::new(holder, until) });
            self.timers.insert((until, Timer::Lease(subject)));
        }
        span
    }

    fn arrived(&mut self, subject: Subject, out: &mut Vec<Output>) {
        self.settle(subject, out);
    }

    /// The store holds a new validation of `subject`: whoever waits for it, here or elsewhere, is served.
    fn settle(&mut self, subject: Subject, out: &mut Vec<Output>) {
        if let Some(lease) = self.leases.remove(&subject) {
            out.extend(lease.waiters.into_iter().map(|to| Output::Deliver { to, subject }));
        }
        let searching = self.lookups.iter().filter(|(_, lookup)| {
            lookup.subject == subject && matches!(lookup.phase, Phase::Asking | Phase::Peeking | Phase::Waiting)
        });
        out.extend(searching.map(|(id, _)| Output::Check { lookup: *id }));
    }

    fn released(&mut self, from: MemberId, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        match self.leases.get(&subject) {
            Some(lease) if lease.holder == Holder::Member(from) => self.abandon(subject, now, out),
            Some(_) => {}
            None => self.restart_waiting(subject, now, out),
        }
    }

    /// A lease ended with nothing: who waited is told to go on.
    fn abandon(&mut self, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        if let Some(lease) = self.leases.remove(&subject) {
            out.extend(lease.waiters.into_iter().map(|to| Output::Release { to, subject }));
        }
        self.restart_waiting(subject, now, out);
    }

    fn restart_waiting(&mut self, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        let waiting: Vec<_> = self
            .lookups
            .iter()
            .filter(|(_, lookup)| lookup.subject == subject && lookup.phase == Phase::Waiting)
            .map(|(id, _)| *id)
            .collect();
        waiting.into_iter().for_each(|id| self.restart(id, now, out));
    }

    fn left(&mut self, member: MemberId, now: Millis, out: &mut Vec<Output>) {
        self.members.remove(&member);
        let unanswered: Vec<_> = self.asks.iter().filter(|(_, ask)| ask.to == member).map(|(id, _)| *id).collect();
        unanswered.into_iter().for_each(|ask| self.ask_failed(ask, now, out));
        let held: Vec<_> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.holder == Holder::Member(member))
            .map(|(subject, _)| *subject)
            .collect();
        held.into_iter().for_each(|subject| self.abandon(subject, now, out));
    }

    // Time.

    fn tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Hedge(id) => self.hedge(id, now, out),
                Timer::GiveUp(id) => self.give_up(id, now, out),
                Timer::Lease(subject) => self.expire(subject, now),
            }
        }
    }

    /// The owner is slow: look whether the first standby has it.
    fn hedge(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| lookup.phase == Phase::Asking) else { return };
        let ranked = self.ranked(&lookup.subject);
        let standby = ranked.into_iter().find(|member| *member != self.me && !lookup.asked.contains(member));
        if let Some(member) = standby {
            self.counters.hedges += 1;
            self.ask(id, member, false, now, out);
        }
    }

    /// The time of a lookup's phase is over, unless it has moved on since the timer was set.
    fn give_up(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| lookup.until <= now) else { return };
        match lookup.phase {
            Phase::Asking => self.fail_open(id, out),
            Phase::Peeking => self.fetch(id, FetchReason::Leased, out),
            Phase::Waiting => self.restart(id, now, out),
            Phase::Using | Phase::Fetching => {}
        }
    }

    fn expire(&mut self, subject: Subject, now: Millis) {
        if self.leases.get(&subject).is_some_and(|lease| lease.until <= now) {
            self.leases.remove(&subject);
        }
    }

    fn ranked(&self, subject: &Subject) -> Vec<MemberId> {
        owners(&subject.key, self.members.iter().copied().chain([self.me]))
    }
}

#[cfg(test)]
mod tests;
