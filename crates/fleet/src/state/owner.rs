//! The other side: what members ask this node, who waits for whom, and how they are told.

use super::{Fleet, MAX_WAIT};
use crate::budget::RENEWAL;
use crate::lease::{self, Holder, Lease};
use crate::lookup::{Lookup, Phase};
use crate::timers::Timer;
use crate::{LookupId, Output, Reply, Subject};
use ghmesh_model::{Fingerprint, MemberId, Millis, WireKey};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Leases that a node keeps at once. Beyond, it grants without noting: a fetch too many, never a call too slow.
const MAX_LEASES: usize = 65_536;

impl Fleet {
    pub(super) fn inquired(&mut self, from: MemberId, subject: Subject, held: bool, lease: bool, now: Millis) -> Reply {
        if held {
            return Reply::Have;
        }
        // What everybody was told the member has heard itself, and believes it or not.
        let another_fetches = |running: &&mut Lease| {
            running.until > now && !running.is_hearsay() && running.holder != Holder::Member(from)
        };
        if let Some(running) = self.leases.get_mut(&subject).filter(another_fetches) {
            running.wait(from);
            return Reply::Coming { wait: running.until.since(now).unwrap_or_default() };
        }
        if !lease {
            return Reply::No;
        }
        let renews = self.running(&subject, now).is_some_and(|running| running.holder == Holder::Member(from));
        self.counters.leases_granted += u64::from(!renews);
        let behind = if renews { None } else { self.put_behind(from, &subject, now) };
        Reply::Lease { span: self.lease_out(subject, Holder::Member(from), now), behind }
    }

    /// Has `from` told of the outcome of another credential's fetch of the same key, if one runs.
    fn put_behind(&mut self, from: MemberId, subject: &Subject, now: Millis) -> Option<Duration> {
        let (ahead, until) = self.ahead(subject, now)?;
        self.leases.get_mut(&ahead)?.wait(from);
        until.since(now)
    }

    /// The fetch of the same key for another credential that was let begin first, before that of `subject`, and when it
    /// should be done. One that itself follows is nobody's to follow, so that no two wait for each other.
    pub(super) fn ahead(&self, subject: &Subject, now: Millis) -> Option<(Subject, Millis)> {
        if !self.follow {
            return None;
        }
        let turn = self.granted(subject, now).map(|own| own.turn);
        let is_ahead = |other: &Subject, lease: &Lease| {
            other != subject
                && !lease.is_hearsay()
                && lease.until > now
                && turn.is_none_or(|turn| lease.turn < turn)
                && !self.follows(lease.holder)
        };
        let of_this_key = self.leases.range(of_key(subject.key)).filter(|(other, lease)| is_ahead(other, lease));
        of_this_key.min_by_key(|(_, lease)| lease.turn).map(|(other, lease)| (*other, lease.until))
    }

    fn is_fetching(&self, id: LookupId) -> bool {
        self.lookups.get(&id).is_some_and(|lookup| matches!(lookup.phase, Phase::Fetching { .. }))
    }

    fn follows(&self, holder: Holder) -> bool {
        let Holder::Own(id) = holder else { return false };
        self.lookups.get(&id).is_some_and(|lookup| matches!(lookup.phase, Phase::Following { .. }))
    }

    /// The lease of `subject` that this node granted, or took, if one runs.
    pub(super) fn granted(&self, subject: &Subject, now: Millis) -> Option<&Lease> {
        self.running(subject, now).filter(|lease| !lease.is_hearsay())
    }

    /// The lease of `subject`, by hearsay too, if one runs.
    pub(super) fn running(&self, subject: &Subject, now: Millis) -> Option<&Lease> {
        self.leases.get(subject).filter(|lease| lease.until > now)
    }

    /// How long a member may still fetch that this node let.
    pub(super) fn let_fetch(&self, subject: &Subject, now: Millis) -> Option<Duration> {
        let lease = self.running(subject, now).filter(|lease| matches!(lease.holder, Holder::Member(_)))?;
        lease.until.since(now)
    }

    pub(super) fn lease_out(&mut self, subject: Subject, holder: Holder, now: Millis) -> Duration {
        let earlier = self.take_lease(&subject);
        self.last_turn += 1;
        let lease = Lease::new(holder, now, self.budgets.lease(), self.last_turn, earlier);
        let until = lease.until;
        if self.leases.len() < MAX_LEASES {
            self.leases.insert(subject, lease);
            self.timers.set(Timer::Lease(subject), until);
        }
        until.since(now).unwrap_or_default()
    }

    /// The end of a lease has come. What this node itself still fetches goes on.
    pub(super) fn lease_over(&mut self, subject: Subject, now: Millis) {
        let Some(&Lease { holder, granted, .. }) = self.leases.get(&subject) else { return };
        let fetches = match holder {
            Holder::Own(id) => self.is_fetching(id),
            Holder::Member(_) => false,
            Holder::Afar(member) => {
                if !self.waiting_on(None, |lookup| lookup.subject == subject).is_empty() {
                    self.reputation.kept_waiting(member, now);
                }
                false
            }
        };
        if fetches && now < granted.after(lease::LONGEST) {
            self.lease_out(subject, holder, now);
        } else {
            self.leases.remove(&subject);
        }
    }

    fn take_lease(&mut self, subject: &Subject) -> Option<Lease> {
        self.timers.cancel(Timer::Lease(*subject));
        self.leases.remove(subject)
    }

    /// A validation was stored. One from before a running fetch does not end that fetch, but may be enough for somebody.
    pub(super) fn arrived(&mut self, subject: Subject, confirmed_at: Millis, now: Millis, out: &mut Vec<Output>) {
        self.end_following(subject.key, now, out);
        self.fruitless.forget(&subject);
        if self.leases.get(&subject).is_some_and(|lease| !lease.ends_with(confirmed_at)) {
            return self.check(subject, false, out);
        }
        self.deliver(subject, BTreeSet::new(), out);
        self.check(subject, confirmed_at >= now.before(MAX_WAIT), out);
    }

    /// The store holds a new validation of `subject`: `lessors` and whoever waits for it, here or elsewhere, are served.
    pub(super) fn settle(&mut self, subject: Subject, lessors: BTreeSet<MemberId>, now: Millis, out: &mut Vec<Output>) {
        self.fruitless.forget(&subject);
        self.deliver(subject, lessors, out);
        self.check(subject, true, out);
        self.end_following(subject.key, now, out);
    }

    /// The body that lookups of this key followed is there, or will not come: they fetch.
    fn end_following(&mut self, key: WireKey, now: Millis, out: &mut Vec<Output>) {
        let following = self.lookups.iter().filter_map(|(id, lookup)| match lookup.phase {
            Phase::Following { reason, .. } if lookup.subject.key == key => Some((*id, reason)),
            _ => None,
        });
        following.collect::<Vec<_>>().into_iter().for_each(|(id, reason)| self.fetch_now(id, reason, now, out));
    }

    fn deliver(&mut self, subject: Subject, lessors: BTreeSet<MemberId>, out: &mut Vec<Output>) {
        let waiters = self.take_lease(&subject).map(|lease| lease.waiters).unwrap_or_default();
        out.extend(lessors.union(&waiters).map(|to| Output::Deliver { to: *to, subject }));
    }

    /// Lets the lookups of `subject` read the store. `come`: it may be what they wait for.
    fn check(&mut self, subject: Subject, come: bool, out: &mut Vec<Output>) {
        for (id, lookup) in self.lookups.iter_mut().filter(|(_, lookup)| lookup.subject == subject) {
            if let Phase::Waiting { come: waited_for, .. } = &mut lookup.phase {
                *waited_for |= come;
            }
            if lookup.is_searching() {
                out.push(Output::Check { lookup: *id });
            }
        }
    }

    /// `from` fetched in vain, or who it told this node to wait for did.
    pub(super) fn released(
        &mut self,
        from: MemberId,
        subject: Subject,
        unshareable: bool,
        now: Millis,
        out: &mut Vec<Output>,
    ) {
        if self.leases.get(&subject).is_some_and(|lease| lease.holder == Holder::Member(from)) {
            self.abandon(subject, unshareable, now, out);
        }
        let questions = self.asks.values().filter(|ask| ask.to == from).map(|ask| ask.lookup);
        for id in questions.collect::<Vec<_>>() {
            if let Some(lookup) = self.lookups.get_mut(&id).filter(|lookup| lookup.subject == subject) {
                lookup.released = Some((from, unshareable));
            }
        }
        self.end_waits(Some(from), subject, unshareable, now, out);
        self.end_following(subject.key, now, out);
    }

    /// A lease ended with nothing: who waited is told to go on.
    pub(super) fn abandon(&mut self, subject: Subject, unshareable: bool, now: Millis, out: &mut Vec<Output>) {
        self.release_waiters(subject, unshareable, out);
        self.end_waits(None, subject, unshareable, now, out);
        self.end_following(subject.key, now, out);
    }

    /// The holder of a lease is gone.
    pub(super) fn bereave(&mut self, subject: Subject, now: Millis, out: &mut Vec<Output>) {
        self.release_waiters(subject, false, out);
        let waiting = self.waiting_on(None, |lookup| lookup.subject == subject);
        waiting.into_iter().for_each(|id| self.search_anew(id, now, out));
        self.end_following(subject.key, now, out);
    }

    fn release_waiters(&mut self, subject: Subject, unshareable: bool, out: &mut Vec<Output>) {
        let waiters = self.take_lease(&subject).map(|lease| lease.waiters).unwrap_or_default();
        out.extend(waiters.into_iter().map(|to| Output::Release { to, subject, unshareable }));
    }

    /// Lets the lookups go on that wait on that member's word (`None`: this node's) for this subject.
    fn end_waits(
        &mut self,
        on: Option<MemberId>,
        subject: Subject,
        unshareable: bool,
        now: Millis,
        out: &mut Vec<Output>,
    ) {
        let waiting = self.waiting_on(on, |lookup| lookup.subject == subject);
        waiting.into_iter().for_each(|id| self.waited_in_vain(id, unshareable, now, out));
    }

    fn waiting_on(&self, on: Option<MemberId>, is_meant: impl Fn(&Lookup) -> bool) -> Vec<LookupId> {
        let waits = |lookup: &Lookup| matches!(lookup.phase, Phase::Waiting { on: whom, .. } if whom == on);
        let waiting = self.lookups.iter().filter(|(_, lookup)| waits(lookup) && is_meant(lookup));
        waiting.map(|(id, _)| *id).collect()
    }

    pub(super) fn left(&mut self, member: MemberId, now: Millis, out: &mut Vec<Output>) {
        self.members.remove(&member);
        let (mut fetching, mut peeking) = (Vec::new(), Vec::new());
        for (id, lookup) in self.lookups.iter_mut().filter(|(_, lookup)| lookup.lessors.contains(&member)) {
            lookup.lessors.remove(&member);
            match lookup.phase {
                Phase::Fetching { .. } => fetching.push(*id),
                Phase::Peeking { lessor } if lessor == member => peeking.push(*id),
                Phase::Asking
                | Phase::Peeking { .. }
                | Phase::Waiting { .. }
                | Phase::Using
                | Phase::Following { .. } => {}
            }
        }
        peeking.into_iter().for_each(|id| self.search_anew(id, now, out));
        let held = |(subject, lease): (&Subject, &Lease)| lease.holder.is(member).then_some(*subject);
        let held: Vec<_> = self.leases.iter().filter_map(held).collect();
        held.into_iter().for_each(|subject| self.bereave(subject, now, out));
        let unanswered: Vec<_> = self.asks.iter().filter(|(_, ask)| ask.to == member).map(|(id, _)| *id).collect();
        unanswered.into_iter().for_each(|ask| self.ask_failed(ask, now, out));
        fetching.into_iter().for_each(|id| self.tell_heir(id, now, out));
        // It may have been the one that fetched. That is no fault of the origin's, after a few of which one goes alone.
        self.waiting_on(Some(member), |_| true).into_iter().for_each(|id| self.search_anew(id, now, out));
    }

    /// The member on whose word it waits, or whose lease it holds, is gone: it asks the next.
    fn search_anew(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        self.rest(id, now);
        self.search(id, now, out);
    }

    /// A member that let this node fetch is gone: whoever decides now is to know that this node still does.
    fn tell_heir(&mut self, id: LookupId, now: Millis, out: &mut Vec<Output>) {
        let until = now.after(self.budgets.lookup());
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.until = until;
        let subject = lookup.subject;
        let heir = self.deciders(&subject, now).into_iter().next().filter(|heir| *heir != self.me);
        if let Some(heir) = heir {
            self.timers.set(Timer::Renew(id), now.after(RENEWAL));
            self.ask(id, heir, true, now, out);
        }
    }
}

/// All subjects of one key.
fn of_key(key: WireKey) -> RangeInclusive<Subject> {
    let subject = |byte| Subject { key, fingerprint: Fingerprint([byte; 32]) };
    subject(0)..=subject(0xff)
}
