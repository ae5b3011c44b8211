//! A request and its flight, as `ghmesh_node` does them: the store, the members, the origin.

use super::World;
use super::watch::Sabotage;
use crate::event::{CallId, Event, Happening};
use crate::github::Answered;
use crate::model::{Held, Item, Moment, NodeIndex, Shared, Step, Validation, mac};
use crate::node::Flight;
use ghmesh_fleet::{Input, LookupId};
use ghmesh_model::{BodyCid, Representation};
use ghmesh_policy::etag::Hashed;
use ghmesh_policy::invalidation::{self, Denial};
use ghmesh_policy::offer::{self, Candidate, Offer, Provenance};
use ghmesh_policy::{Verdict, freshness, limits_headers, storable};
use http::StatusCode;
use std::time::Duration;

/// One call under way.
#[derive(Debug)]
pub(super) struct Call {
    lookup: LookupId,
    item: Item,
    sent_at: Moment,
    offers: Vec<Offer>,
    answered: Option<Answered>,
}

/// How a flight ends for its callers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Landing {
    /// With this answer.
    Fresh(Held),
    /// With this expired one, marked so.
    Stale(Held),
    /// The origin refuses.
    Refused,
    /// With nothing.
    Failed,
}

impl World<'_> {
    pub(super) fn poll(&mut self, node: NodeIndex) {
        let polls = &self.scenario.polls;
        let next = self.now + polls.every_ms * 1000;
        if self.now > polls.until_ms * 1000 || !self.node(node).is_honest() {
            return;
        }
        self.ping(node);
        let rights = &self.scenario.rights;
        let turn = self.node(node).polls % rights.each;
        let credential = ((node + u32::from(turn)) % u32::from(rights.credentials)) as u16;
        self.node_mut(node).polls += 1;
        let keys = self.scenario.targets().len() as u16;
        (0..keys).for_each(|key| self.request(node, Item { key, credential }));
        if next <= polls.until_ms * 1000 {
            self.at(next, node, Happening::Poll);
        }
    }

    fn request(&mut self, node: NodeIndex, item: Item) {
        self.report.requests += 1;
        self.poll_without(item.credential);
        self.node_mut(node).presented.insert(item.credential);
        if let Some(held) = self.complete(node, item) {
            self.report.local += 1;
            return self.shown(node, item, Landing::Fresh(held), self.now);
        }
        let now = self.now;
        let scopes = &self.catalogue.get(item).entry.scopes;
        let here = &mut self.nodes[node as usize];
        if let Some(flight) = here.flight_for(item, scopes) {
            return flight.callers.push(now);
        }
        let lookup = LookupId(here.number());
        here.flights.insert(
            lookup,
            Flight { item, callers: vec![now], started: here.millis(now), ready: now, is_calling: false },
        );
        let (subject, asked) = (self.subject(item, self.leading(node)), self.catalogue.get(item));
        let max_age = freshness::oldest_wanted(&asked.read, &self.catalogue.rules);
        if self.options.sabotage == Some(Sabotage::GoAlone) {
            return self.tell_flight(node, lookup, Step::Fetch);
        }
        self.tell(node, Input::Lookup { lookup, subject, max_age, follow: true });
    }

    /// What may be shown to a holder of the credential: its own, or what a member offers and a holder made.
    fn complete(&mut self, node: NodeIndex, item: Item) -> Option<Held> {
        let held = self.held(node, item)?;
        let fresh = self.verdict(node, &held) == Verdict::Fresh
            || matches!(self.options.sabotage, Some(Sabotage::ServeExpired | Sabotage::ServeUnproven));
        if !fresh {
            return None;
        }
        let is_new = |own: &Held| own.validation.stamp != held.validation.stamp;
        if self.node(node).own.get(&item).is_none_or(is_new) {
            let history = self.node(node).observed(&held.validation, held.confirmed_at);
            self.node_mut(node).own.insert(item, Held { history, ..held });
        }
        Some(held)
    }

    /// The newest that is held for the credential, fresh or not.
    fn held(&self, node: NodeIndex, item: Item) -> Option<Held> {
        let here = self.node(node);
        let own = here.own.get(&item).copied();
        let vouched = |offer: &Held| {
            own.is_none_or(|own| offer.confirmed_at > own.confirmed_at) && self.is_vouched(&offer.validation)
        };
        let offer = here.offers.get(&item).copied().filter(vouched);
        let unproven = || match self.options.sabotage {
            Some(Sabotage::ServeUnproven) => {
                here.offers.iter().find(|(other, _)| other.key == item.key).map(|(_, held)| *held)
            }
            _ => None,
        };
        offer.or(own).or_else(unproven)
    }

    fn verdict(&mut self, node: NodeIndex, held: &Held) -> Verdict {
        let (asked, rules) = self.catalogue.judged(held.validation.item);
        let here = &mut self.nodes[node as usize];
        if self.options.sabotage == Some(Sabotage::ForgetWrites) {
            here.tombstones.clear();
        }
        here.verdict(asked, rules, held, self.now)
    }

    /// Whether a holder of its credential made it.
    pub(super) fn is_vouched(&self, validation: &Validation) -> bool {
        mac(self.secrets[usize::from(validation.item.credential)], validation) == validation.mac
    }

    pub(super) fn step(&mut self, node: NodeIndex, lookup: LookupId, step: Step) {
        let Some(flight) = self.node(node).flights.get(&lookup).filter(|flight| !flight.is_calling) else { return };
        let item = flight.item;
        let brought: &[Shared] = match &step {
            Step::Use(Some(shared)) => std::slice::from_ref(shared),
            Step::Learn(known) => known,
            Step::Use(None) | Step::Check | Step::Fetch => &[],
        };
        for shared in brought {
            self.receive(node, *shared);
        }
        if matches!(step, Step::Learn(_)) {
            return;
        }
        if let Some(held) = self.complete(node, item) {
            return self.land(node, lookup, Landing::Fresh(held), Input::Found { lookup });
        }
        match step {
            Step::Use(_) => self.tell(node, Input::Refused { lookup }),
            Step::Check => self.tell(node, Input::Checked { lookup }),
            Step::Fetch => self.call(node, lookup, item),
            Step::Learn(_) => {}
        }
    }

    pub(super) fn land(&mut self, node: NodeIndex, lookup: LookupId, landing: Landing, input: Input) {
        if self.options.sabotage == Some(Sabotage::LoseRequests) && matches!(landing, Landing::Fresh(_)) {
            return;
        }
        let Some(flight) = self.node_mut(node).flights.remove(&lookup) else { return };
        for asked_at in flight.callers {
            self.shown(node, flight.item, landing, asked_at);
            self.took(node, (self.now - asked_at) / 1000);
        }
        if self.options.sabotage != Some(Sabotage::NeverEnd) {
            self.tell(node, input);
        }
    }

    // The origin.

    fn call(&mut self, node: NodeIndex, lookup: LookupId, item: Item) {
        self.tell_limits(node, item.credential);
        let kept = self.held(node, item);
        if let Some(landing) = self.held_back(node, item, kept) {
            return self.land(node, lookup, landing, Input::Ended { lookup, unshareable: false });
        }
        let offers = self.offers(node, item, kept);
        self.last_call += 1;
        let call = Call { lookup, item, sent_at: self.now, offers, answered: None };
        self.calls.insert(self.last_call, call);
        self.count_call(node, item);
        if let Some(flight) = self.node_mut(node).flights.get_mut(&lookup) {
            flight.is_calling = true;
        }
        let took_us = self.rng.within(self.scenario.origin.latency_ms) * 1000;
        let (there, back) = (self.now + took_us / 2, self.now + took_us);
        self.queue.push(there, Event::Origin(self.last_call));
        self.at(back, node, Happening::Called(self.last_call));
    }

    /// What is offered for confirmation: the caller's own, then what was fetched for others.
    fn offers(&self, node: NodeIndex, item: Item, kept: Option<Held>) -> Vec<Offer> {
        let here = self.node(node);
        let own = kept.into_iter().filter_map(|held| self.candidate(&held, held.own));
        let borrows = self.scenario.rights.credentials > 1;
        let known = here.known(item, self.now).into_iter().filter(|_| borrows);
        let known = known.filter_map(|shared| self.candidate_of(&shared.validation, Provenance::Peer));
        let candidates = own.chain(known).collect();
        offer::offers(&self.catalogue.get(item).read, candidates, Some(Hashed::DOCUMENTED))
    }

    fn candidate(&self, held: &Held, own: bool) -> Option<Candidate> {
        let provenance = if own { Provenance::Here } else { Provenance::Peer };
        self.candidate_of(&held.validation, provenance)
    }

    /// `None` where there is no body of that name to be had.
    fn candidate_of(&self, validation: &Validation, provenance: Provenance) -> Option<Candidate> {
        let body = self.github.body(validation.body)?.bytes.clone();
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        let representation = Representation { cid: BodyCid::of(&body), length: body.len() as u64, headers };
        Some(Candidate { representation, body, provenance })
    }

    pub(super) fn at_origin(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if self.rng.chance(self.scenario.origin.failures) {
            return;
        }
        let condition = offer::if_none_match(&call.offers);
        let asked = self.catalogue.get(call.item);
        let answered = self.github.answer(call.item, asked, condition.as_ref(), call.sent_at, self.now);
        let is_limited = limits_headers::is_limited(answered.status, &answered.headers);
        let is_charged = answered.status != StatusCode::NOT_MODIFIED && !is_limited;
        call.answered = Some(answered);
        self.report.charged += u64::from(is_charged);
        self.report.cold_charged += u64::from(is_charged && self.is_cold());
    }

    pub(super) fn called(&mut self, node: NodeIndex, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        let Call { lookup, item, sent_at, .. } = call;
        self.under_way.entry(item).and_modify(|count| *count = count.saturating_sub(1));
        let Some(answered) = call.answered else { return self.instead(node, lookup, item) };
        let date = storable::origin_date(&answered.headers).unwrap_or_default();
        let now = self.now;
        self.node_mut(node).hear_date(date, now);
        self.hear_limits(node, item.credential, &answered, sent_at);
        self.tell_limits(node, item.credential);
        let read = &self.catalogue.get(item).read;
        match answered.status {
            StatusCode::NOT_MODIFIED => {
                let confirmed = offer::confirmed(call.offers, read, answered.status, &answered.headers);
                match confirmed.and(answered.body) {
                    Some(_) => self.keep(node, lookup, item, answered, sent_at),
                    None => self.instead(node, lookup, item),
                }
            }
            StatusCode::OK => match storable::storable(read, answered.status, &answered.headers) {
                Ok(_) => self.keep(node, lookup, item, answered, sent_at),
                Err(_) => self.instead(node, lookup, item),
            },
            status if limits_headers::is_limited(status, &answered.headers) => self.instead(node, lookup, item),
            status => {
                let denial = invalidation::denial(&read.target, status, &answered.headers);
                self.forget(node, item, denial);
                self.land(node, lookup, Landing::Refused, Input::Ended { lookup, unshareable: true });
            }
        }
    }

    /// The origin confirmed something: kept, told, and shown.
    fn keep(&mut self, node: NodeIndex, lookup: LookupId, item: Item, answered: Answered, sent_at: Moment) {
        let Some(body) = answered.body else { return };
        let origin_date = storable::origin_date(&answered.headers).unwrap_or_default();
        let confirmed_at = self.node(node).millis(sent_at);
        let (stamp, ring) = (self.node_mut(node).stamp(node), self.leading(node));
        let validation = Validation { item, body, origin_date, stamp, ring, mac: crate::model::Mac(0), sent_at };
        let validation = Validation { mac: mac(self.secrets[usize::from(item.credential)], &validation), ..validation };
        let here = self.node_mut(node);
        let history = here.observed(&validation, confirmed_at);
        // A record from before a new secret means nothing to those that have only that.
        let extends = |held: &Held| held.validation.body == body && held.validation.ring == ring;
        let whole = !here.offers.get(&item).is_some_and(extends);
        let held = Held { validation, confirmed_at, own: true, history };
        here.own.insert(item, held);
        here.offers.insert(item, held);
        let shared = Shared { whole, ..self.node(node).share(held, self.now) };
        self.publish(node, crate::model::Gossip::Record(shared));
        let took = Duration::from_micros(self.now - sent_at);
        self.land(node, lookup, Landing::Fresh(held), Input::Fetched { lookup, took });
    }

    /// No answer: an expired entry if one may stand in, else a failure.
    fn instead(&mut self, node: NodeIndex, lookup: LookupId, item: Item) {
        let kept = self.held(node, item);
        let landing = self.stale(node, kept).unwrap_or(Landing::Failed);
        self.land(node, lookup, landing, Input::Ended { lookup, unshareable: false });
    }

    pub(super) fn stale(&mut self, node: NodeIndex, kept: Option<Held>) -> Option<Landing> {
        let held = kept?;
        match self.verdict(node, &held) {
            Verdict::Fresh => Some(Landing::Fresh(held)),
            Verdict::Stale { usable_on_error: true } => Some(Landing::Stale(held)),
            Verdict::Stale { usable_on_error: false } | Verdict::MustRevalidate => None,
        }
    }

    /// What the origin no longer shows to a credential, this node no longer shows it either.
    fn forget(&mut self, node: NodeIndex, item: Item, denial: Denial) {
        let scopes = match denial {
            Denial::None => return,
            Denial::Credential => self.catalogue.get(item).entry.scopes.clone(),
            Denial::Scopes(scopes) => scopes,
        };
        let now = self.now;
        let here = self.node_mut(node);
        let at = here.millis(now);
        here.denials.extend(scopes.into_iter().map(|scope| ((item.credential, scope), at)));
        here.own.remove(&item);
        here.offers.remove(&item);
    }

    // Writes.

    pub(super) fn write(&mut self, key: u16) {
        if let Some(node) = self.anybody() {
            let there = self.now + self.rng.within(self.scenario.origin.latency_ms) * 500;
            self.queue.push(there, Event::Write(node, key));
        }
    }

    pub(super) fn write_at_origin(&mut self, node: NodeIndex, key: u16) {
        let version = self.github.write(key, self.now);
        self.writes.push((key, version));
        let back = self.now + self.rng.within(self.scenario.origin.latency_ms) * 500;
        self.at(back, node, Happening::Written(self.writes.len() - 1));
    }

    pub(super) fn written(&mut self, node: NodeIndex, write: usize) {
        let written = crate::model::Written { write, age: Duration::ZERO };
        self.bury(node, written);
        self.publish(node, crate::model::Gossip::Written(written));
    }

    /// What was confirmed before this write is stale here from now on.
    pub(super) fn bury(&mut self, node: NodeIndex, written: crate::model::Written) {
        let (key, _) = self.writes[written.write];
        let scopes = self.catalogue.get(Item { key, credential: 0 }).written.clone();
        let now = self.now;
        let here = self.node_mut(node);
        let at = here.millis(now).before(written.age);
        here.writes.entry(written.write).or_insert(now);
        for scope in scopes {
            let latest = here.tombstones.entry(scope).or_insert(at);
            *latest = (*latest).max(at);
        }
    }
}
