//! The state machine: a lookup of this node's, from its beginning to its end.

mod afar;
mod choice;
mod counts;
mod owner;

use self::afar::Fruitless;
pub use self::counts::{Counters, Load};
use crate::budget::{Budgets, RENEWAL};
use crate::lease::{Holder, Lease};
use crate::lookup::{Ask, Lookup, Phase};
use crate::rank::outranks;
use crate::reputation::{Reputation, Standing};
use crate::timers::{Timer, Timers};
use crate::{Answer, AskId, FetchReason, Input, LookupId, Offence, Output, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest that one lookup waits for others' fetches, all its waits together, whatever members claim. Equal to the longest
/// lease; GitHub itself ends what takes it longer.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How often a lookup asks again after a fetch that it waited for came to nothing; then it goes alone. Two, as the present owner
/// and the one from before the members changed may both tell of the same fetch.
const MAX_RESTARTS: u8 = 2;

/// Added to the wait that an owner states, for the way of the delivery.
const WAIT_MARGIN: Duration = Duration::from_millis(50);

/// What does not change while a node runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// This node.
    pub me: MemberId,
    /// Whether a body that was fetched for one credential can help another.
    pub follow: bool,
}

/// The coordination of one node. See the crate's documentation for the protocol.
#[derive(Debug)]
pub struct Fleet {
    me: MemberId,
    follow: bool,
    /// Who is connected, and since when.
    members: BTreeMap<MemberId, Millis>,
    /// Whether there are members beyond those that are connected.
    beyond: bool,
    lookups: BTreeMap<LookupId, Lookup>,
    asks: BTreeMap<AskId, Ask>,
    leases: BTreeMap<Subject, Lease>,
    timers: Timers,
    budgets: Budgets,
    reputation: Reputation,
    fruitless: Fruitless,
    counters: Counters,
    last_ask: u64,
    last_turn: u64,
}

impl Fleet {
    /// A node that knows no members.
    pub fn new(config: Config) -> Self {
        Fleet {
            me: config.me,
            follow: config.follow,
            members: BTreeMap::new(),
            beyond: false,
            lookups: BTreeMap::new(),
            asks: BTreeMap::new(),
            leases: BTreeMap::new(),
            timers: Timers::default(),
            budgets: Budgets::default(),
            reputation: Reputation::default(),
            fruitless: Fruitless::default(),
            counters: Counters::default(),
            last_ask: 0,
            last_turn: 0,
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn handle(&mut self, input: Input, now: Millis, out: &mut Vec<Output>) {
        match input {
            Input::Lookup { lookup, subject, max_age, follow } => {
                self.begin(lookup, Lookup::new(subject, max_age, follow && self.follow), now, out);
            }
            Input::Fetched { lookup, took } => self.fetched(lookup, took, now, out),
            Input::Found { lookup } => self.found(lookup, now, out),
            Input::Ended { lookup, unshareable } => self.ended(lookup, unshareable, now, out),
            Input::Refused { lookup } => self.refused(lookup, now, out),
            Input::Checked { lookup } => self.checked(lookup, now, out),
            Input::Answered { ask, answer } => self.answered(ask, answer, now, out),
            Input::AskFailed { ask } => self.ask_failed(ask, now, out),
            Input::Inquired { inquiry, from, subject, held, lease } => {
                let reply = self.inquired(from, subject, held, lease, now);
                out.push(Output::Reply { inquiry, reply });
            }
            Input::Arrived { subject, confirmed_at } => self.arrived(subject, confirmed_at, now, out),
            Input::Released { from, subject, unshareable } => self.released(from, subject, unshareable, now, out),
            Input::Announced { from, subject } => self.announced(from, subject, now, out),
            Input::Withdrawn { from, subject, unshareable } => self.withdrawn(from, subject, unshareable, now, out),
            Input::Concluded { from, subject } => self.concluded(from, subject, now, out),
            Input::Extent { beyond } => self.beyond = beyond,
            Input::Joined { member } => {
                self.members.entry(member).or_insert(now);
                self.reputation.joined(&member);
            }
            Input::Left { member } => self.left(member, now, out),
            Input::Offended { member, offence } => self.offended(member, offence, now, out),
            Input::RoundTrip { took } => self.budgets.round_trip(took),
            Input::Tick => self.tick(now, out),
        }
    }

    /// When to send [`Input::Tick`]: the earliest moment at which time alone changes anything.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.first()
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What is held at present.
    pub fn load(&self) -> Load {
        Load {
            lookups: self.lookups.len(),
            asks: self.asks.len(),
            leases: self.leases.len(),
            timers: self.timers.len(),
        }
    }

    /// The lookup for which a question was put, while its answer is awaited.
    pub fn asked_for(&self, ask: AskId) -> Option<LookupId> {
        self.asks.get(&ask).map(|ask| ask.lookup)
    }

    /// How long a lookup may search at present.
    pub fn lookup_budget(&self) -> Duration {
        self.budgets.lookup()
    }

    /// Members that are connected, without this node.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.keys().copied()
    }

    /// Members that are used for less than everything, connected or not.
    pub fn standings(&self, now: Millis) -> impl Iterator<Item = (MemberId, Standing)> + '_ {
        self.reputation.standings(now)
    }

    // A lookup, from its beginning on.

    fn begin(&mut self, id: LookupId, lookup: Lookup, now: Millis, out: &mut Vec<Output>) {
        self.remove(id, now);
        self.lookups.insert(id, lookup);
        if self.members.is_empty() {
            return self.fetch(id, FetchReason::Alone, now, out);
        }
        self.search(id, now, out);
    }

    /// One round of questions, within one lookup budget. None is needed where this node let a member fetch, be it as the
    /// owner from before.
    fn search(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        if let Some(remaining) = self.let_fetch(&lookup.subject, now) {
            return self.wait(id, None, remaining, now, out);
        }
        if self.waits_afar(id, now, out) {
            return;
        }
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Asking;
        lookup.asked.clear();
        lookup.until = now.after(self.budgets.lookup());
        self.timers.set(Timer::GiveUp(id), lookup.until);
        self.timers.set(Timer::Hedge(id), now.after(self.budgets.hedge()));
        self.timers.set(Timer::TurnAway(id), now.after(self.budgets.turn_away()));
        self.ask_next(id, now, out);
    }

    /// Turns to the best ranked member that was not asked yet. Where that is this node, it acts as the owner.
    fn ask_next(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        let next = self.deciders(&lookup.subject, now).into_iter().find(|member| !lookup.asked.contains(member));
        match next {
            Some(member) if member == self.me => self.own(id, now, out),
            Some(member) if now < lookup.until => self.ask(id, member, true, now, out),
            Some(_) => self.fail_open(id, now, out),
            None if lookup.open.is_empty() => self.fail_open(id, now, out),
            // Whom a slow answer was turned away from may still give it.
            None => {}
        }
    }

    /// This node decides: it takes the lease, or waits for who has it.
    fn own(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        let subject = lookup.subject;
        if let Some(lease) = self.granted(&subject, now).filter(|lease| lease.holder != Holder::Own(id)) {
            let remaining = lease.until.since(now).unwrap_or_default();
            return self.wait(id, None, remaining, now, out);
        }
        self.lease_out(subject, Holder::Own(id), now);
        self.peek(id, self.me, now, out);
    }

    /// One look at the standbys before a charged call. The owner from before the members changed is not only asked whether it
    /// has something, or let somebody fetch: it is asked for its leave too, so that it tells whoever still turns to it.
    fn peek(&mut self, id: LookupId, lessor: MemberId, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Peeking { lessor };
        let Lookup { subject, until, ref asked, .. } = *lookup;
        let asked = asked.clone();
        if let Some(remaining) = self.let_fetch(&subject, now).filter(|_| outranks(&subject.key, &lessor, &self.me)) {
            return self.wait(id, None, remaining, now, out);
        }
        let former = self.former_owner(&subject, &lessor, now);
        let former = former.filter(|former| outranks(&subject.key, &lessor, former));
        if former == Some(self.me) && self.granted(&subject, now).is_none() {
            self.lease_out(subject, Holder::Own(id), now);
        }
        let asked_yet = |member: &MemberId| *member == self.me || asked.contains(member);
        let mut others: Vec<_> = self.askable(&subject, now).filter(|member| !asked_yet(member)).collect();
        let is_left_out = |former: &MemberId| !asked_yet(former) && !others.contains(former);
        others.extend(former.filter(is_left_out).filter(|former| self.is_askable(former, now)));
        if others.is_empty() || now >= until {
            return self.fetch(id, FetchReason::Leased, now, out);
        }
        self.timers.set(Timer::GiveUp(id), until);
        others.into_iter().for_each(|member| self.ask(id, member, former == Some(member), now, out));
    }

    fn ask(&mut self, id: LookupId, to: MemberId, lease: bool, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        self.last_ask += 1;
        let ask = AskId(self.last_ask);
        lookup.open.insert(ask);
        if lease {
            lookup.asked.insert(to);
            lookup.lessors.insert(to);
        }
        let Lookup { subject, max_age, until, .. } = *lookup;
        self.asks.insert(ask, Ask { lookup: id, to, sent: now, lease, deadline: until });
        self.reputation.asked(&to, now);
        out.push(Output::Ask { ask, to, subject, max_age, lease, deadline: until });
    }

    fn answered(&mut self, ask: AskId, answer: Answer, now: Millis, out: &mut Vec<Output>) {
        let Some(Ask { lookup: id, to, sent, lease, .. }) = self.asks.remove(&ask) else { return };
        let took = now.since(sent).unwrap_or_default();
        self.reputation.answered(to, took >= self.budgets.turn_away(), now);
        self.budgets.round_trip(took);
        self.budgets.answered(took);
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.open.remove(&ask);
        if matches!(lookup.phase, Phase::Fetching { .. }) {
            return;
        }
        if lease && !matches!(answer, Answer::Lease { .. }) {
            lookup.lessors.remove(&to);
        }
        match answer {
            Answer::Have => self.use_answer(id, ask, now, out),
            Answer::Coming { wait } => self.coming(id, to, wait, now, out),
            Answer::Lease { behind } if lease && lookup.phase == Phase::Asking => {
                lookup.behind = behind.map(|wait| (to, now.after(wait)));
                self.peek(id, to, now, out);
            }
            // From the owner before the present one: it now tells others, too.
            Answer::Lease { .. } | Answer::No => self.no_answer(id, now, out),
        }
    }

    fn ask_failed(&mut self, ask: AskId, now: Millis, out: &mut Vec<Output>) {
        let Some(question) = self.asks.remove(&ask) else { return };
        let Ask { lookup: id, to, deadline, .. } = question;
        // A question that was put late in the budget proves nothing by its deadline.
        if now < deadline || question.is_overdue(self.budgets.turn_away(), now) {
            self.reputation.failed(to, now);
        }
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.open.remove(&ask);
        self.no_answer(id, now, out);
    }

    /// A question came to nothing. While others are open, they may still answer.
    fn no_answer(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| lookup.open.is_empty()) else { return };
        match lookup.phase {
            Phase::Asking => self.ask_next(id, now, out),
            Phase::Peeking { .. } => self.fetch(id, FetchReason::Leased, now, out),
            Phase::Waiting { .. } | Phase::Using | Phase::Following { .. } | Phase::Fetching { .. } => {}
        }
    }

    fn use_answer(&mut self, id: LookupId, ask: AskId, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.phase = Phase::Using;
            out.push(Output::Use { lookup: id, ask });
        }
    }

    /// `from` says that somebody fetches.
    fn coming(&mut self, id: LookupId, from: MemberId, wait: Duration, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        let holds_lease = match lookup.phase {
            Phase::Asking => false,
            Phase::Peeking { .. } => true,
            Phase::Waiting { .. } | Phase::Using | Phase::Following { .. } | Phase::Fetching { .. } => return,
        };
        if !self.reputation.believes(&from, now) {
            return self.no_answer(id, now, out);
        }
        if lookup.is_out_of_patience(now) {
            return self.fetch(id, FetchReason::Waited, now, out);
        }
        if let Some((_, unshareable)) = lookup.released.filter(|(member, _)| *member == from) {
            return self.waited_in_vain(id, unshareable, now, out);
        }
        self.wait(id, Some(from), wait, now, out);
        if holds_lease {
            self.give_back(id, from, now, out);
        }
    }

    /// Who waits for a member gives back the leases of all that it outranks, also its own. So a holder only ever waits for lower
    /// ranks than its lessors', and no two that hold leases of two owners wait for each other.
    fn give_back(&mut self, id: LookupId, from: MemberId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let subject = lookup.subject;
        let outranked = lookup.lessors.extract_if(.., |lessor| outranks(&subject.key, &from, lessor));
        out.extend(outranked.map(|to| Output::Release { to, subject, unshareable: false }));
        let holder = self.leases.get(&subject).map(|lease| lease.holder);
        if holder == Some(Holder::Own(id)) && outranks(&subject.key, &from, &self.me) {
            self.abandon(subject, false, now, out);
        }
    }

    /// Waits no longer than this node itself expects a fetch to take, and no longer than its patience lasts.
    fn wait(&mut self, id: LookupId, on: Option<MemberId>, wait: Duration, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let wait = wait.min(self.budgets.lease()) + WAIT_MARGIN;
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        self.counters.waits += u64::from(lookup.patience.is_none());
        let patience = *lookup.patience.get_or_insert(now.after(MAX_WAIT));
        if patience <= now {
            return self.fetch(id, FetchReason::Waited, now, out);
        }
        lookup.phase = Phase::Waiting { on, come: false };
        lookup.until = now.after(wait).min(patience);
        self.timers.set(Timer::GiveUp(id), lookup.until);
    }

    /// What a lookup waited for has not come in the time that a fetch should take: asks again, and waits on where it is told
    /// that the fetch goes on. Its patience does not begin anew.
    fn wait_over(&mut self, id: LookupId, on: Option<MemberId>, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        if !self.lookups.get(&id).is_some_and(|lookup| lookup.is_out_of_patience(now)) {
            return self.search(id, now, out);
        }
        on.into_iter().for_each(|member| self.reputation.misled(member, now));
        self.fetch(id, FetchReason::Waited, now, out);
    }

    fn fail_open(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        self.counters.fail_opens += 1;
        self.fetch(id, FetchReason::FailOpen, now, out);
    }

    /// Sends a lookup to the origin, behind another credential's fetch if there is one. Whoever asks this node meanwhile is
    /// told, whatever the reason.
    fn fetch(&mut self, id: LookupId, reason: FetchReason, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let Some(lookup) = self.lookups.get(&id) else { return };
        let subject = lookup.subject;
        let ahead = self.to_follow(lookup, reason, now);
        if self.granted(&subject, now).is_none() {
            self.lease_out(subject, Holder::Own(id), now);
        }
        match ahead {
            Some((on, until)) => self.follow(id, on, until, reason),
            None => self.fetch_now(id, reason, now, out),
        }
    }

    fn fetch_now(&mut self, id: LookupId, reason: FetchReason, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Fetching { renew_until: now.after(MAX_WAIT) };
        if !lookup.lessors.is_empty() {
            self.timers.set(Timer::Renew(id), now.after(RENEWAL));
        }
        self.announce(id, reason, now, out);
        out.push(Output::Fetch { lookup: id, reason });
    }

    /// The fetch for another credential that a lookup is to wait for, if any: who told of it, and for how long to wait.
    fn to_follow(&self, lookup: &Lookup, reason: FetchReason, now: Millis) -> Option<(Option<MemberId>, Millis)> {
        if !lookup.follow || lookup.followed || reason == FetchReason::Waited {
            return None;
        }
        let here = self.ahead(&lookup.subject, now).map(|(_, until)| (None, until));
        let told = || lookup.behind.filter(|(_, until)| *until > now).map(|(member, until)| (Some(member), until));
        let (on, until) = here.or_else(told)?;
        Some((on, until.min(now.after(self.budgets.lease())).after(WAIT_MARGIN)))
    }

    fn follow(&mut self, id: LookupId, on: Option<MemberId>, until: Millis, reason: FetchReason) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.phase = Phase::Following { on, reason };
        lookup.followed = true;
        lookup.until = until;
        self.timers.set(Timer::GiveUp(id), until);
        self.counters.follows += 1;
    }

    /// Tells those who let this node fetch that it still does: who holds a lease and asks again has it extended. What they
    /// answer changes nothing here.
    fn renew(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let until = now.after(self.budgets.lookup());
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        match lookup.phase {
            Phase::Fetching { renew_until } if now < renew_until && !lookup.lessors.is_empty() => {}
            _ => return,
        }
        lookup.until = until;
        self.timers.set(Timer::Renew(id), now.after(RENEWAL));
        lookup.lessors.clone().into_iter().for_each(|lessor| self.ask(id, lessor, true, now, out));
    }

    /// Another's fetch came to nothing. An answer that can't be shared is for each to fetch, at once; after a failure one
    /// tries again for all.
    fn waited_in_vain(&mut self, id: LookupId, unshareable: bool, now: Millis, out: &mut Vec<Output>) {
        if unshareable { self.fetch(id, FetchReason::Waited, now, out) } else { self.restart(id, now, out) }
    }

    /// Asks again (the owner then lets one of those that waited fetch), and after that goes alone.
    fn restart(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if lookup.restarts == MAX_RESTARTS {
            return self.fetch(id, FetchReason::Waited, now, out);
        }
        lookup.restarts += 1;
        lookup.released = None;
        self.search(id, now, out);
    }

    /// Leaves a phase: nothing of it can happen any more.
    fn rest(&mut self, id: LookupId, now: Millis) {
        let (hedge, turn_away) = (self.budgets.hedge(), self.budgets.turn_away());
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        for ask in std::mem::take(&mut lookup.open) {
            let Some(ask) = self.asks.remove(&ask) else { continue };
            let waited = now.since(ask.sent).unwrap_or_default();
            if waited >= hedge {
                // Without those the usual time would seem shorter with each hedge that was quicker.
                self.budgets.answered(waited);
            }
            match waited >= turn_away {
                true if now >= ask.deadline => self.reputation.failed(ask.to, now),
                true => self.reputation.overdue(ask.to, now),
                false => {}
            }
        }
        [Timer::Hedge(id), Timer::TurnAway(id), Timer::GiveUp(id), Timer::Renew(id)]
            .into_iter()
            .for_each(|timer| self.timers.cancel(timer));
    }

    // How a lookup ends.

    fn fetched(&mut self, id: LookupId, took: Duration, now: Millis, out: &mut Vec<Output>) {
        self.budgets.fetched(took);
        self.found(id, now, out);
    }

    /// The store now holds what was looked for: those who wait for this node are told.
    fn found(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        if let Some(lookup) = self.remove(id, now) {
            self.settle(lookup.subject, lookup.lessors, now, out);
        }
    }

    /// A refused answer is of no use: the members had their chance.
    fn refused(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        if self.lookups.get(&id).is_some_and(|lookup| lookup.phase == Phase::Using) {
            self.fail_open(id, now, out);
        }
    }

    /// What came is not enough. Where it was what the lookup waited for, waiting on is of no use: a write may have come in
    /// between.
    fn checked(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        if self.lookups.get(&id).is_some_and(|lookup| matches!(lookup.phase, Phase::Waiting { come: true, .. })) {
            self.restart(id, now, out);
        }
    }

    fn ended(&mut self, id: LookupId, unshareable: bool, now: Millis, out: &mut Vec<Output>) {
        let Some(Lookup { subject, lessors, announced, .. }) = self.remove(id, now) else { return };
        if announced {
            self.withdraw(subject, unshareable, now, out);
        }
        out.extend(lessors.into_iter().map(|to| Output::Release { to, subject, unshareable }));
        if self.leases.get(&subject).is_some_and(|lease| lease.holder == Holder::Own(id)) {
            self.abandon(subject, unshareable, now, out);
        }
    }

    fn remove(&mut self, id: LookupId, now: Millis) -> Option<Lookup> {
        self.rest(id, now);
        self.lookups.remove(&id)
    }

    // Time.

    fn tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hedge(id) => self.hedge(id, now, out),
                Timer::TurnAway(id) => self.ask_next(id, now, out),
                Timer::GiveUp(id) => self.give_up(id, now, out),
                Timer::Renew(id) => self.renew(id, now, out),
                Timer::Lease(subject) => self.lease_over(subject, now),
            }
        }
    }

    /// The owner is slow: look whether the first standby has it.
    fn hedge(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| now < lookup.until) else { return };
        let deciders = self.deciders(&lookup.subject, now).into_iter();
        let standby = deciders.filter(|member| *member != self.me).find(|member| !lookup.asked.contains(member));
        if let Some(member) = standby {
            self.counters.hedges += 1;
            self.ask(id, member, false, now, out);
        }
    }

    /// The time of a lookup's phase is over.
    fn give_up(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        match lookup.phase {
            Phase::Asking => self.fail_open(id, now, out),
            Phase::Peeking { .. } => self.fetch(id, FetchReason::Leased, now, out),
            Phase::Waiting { on, .. } => self.wait_over(id, on, now, out),
            Phase::Following { reason, .. } => self.fetch_now(id, reason, now, out),
            Phase::Using | Phase::Fetching { .. } => {}
        }
    }

    fn offended(&mut self, member: MemberId, offence: Offence, now: Millis, out: &mut Vec<Output>) {
        if let Some(span) = self.reputation.offended(member, offence, now) {
            self.counters.expulsions += 1;
            out.push(Output::Expel { member, span });
        }
    }
}

#[cfg(test)]
mod changes;
#[cfg(test)]
mod following;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod races;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod told;
#[cfg(test)]
mod waits;
