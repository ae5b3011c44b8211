//! One node: the real state machine, and a store and flights around it.

use crate::asked::Asked;
use crate::github::START;
use crate::model::{Held, Item, Moment, NodeIndex, Response, Ring, Shared, Stamp};
use crate::scenario::ByzantineKind;
use ghmesh_fleet::{AskId, Config, Fleet, InquiryId, LookupId};
use ghmesh_model::{History, MemberId, Millis, Scope};
use ghmesh_policy::budget::Ledger;
use ghmesh_policy::{Freshness, Verdict, adaptive, freshness};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What `Date` may hide: it counts whole seconds.
const DATE_STEP: Duration = Duration::from_millis(999);

/// How far in the future a `Date` may lie, as `ghmesh_node` has it.
const DATE_TOLERANCE_MS: u64 = 15 * 60 * 1000;

/// Callers of one node that wait for one item.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) item: Item,
    /// When each of its callers asked.
    pub(crate) callers: Vec<Moment>,
    /// When it began, on the node's timeline.
    pub(crate) started: Millis,
    /// No step reaches it before: they come in order.
    pub(crate) ready: Moment,
    pub(crate) is_calling: bool,
}

/// A question of a member's that waits for the state machine, with what the store has on it.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) from: NodeIndex,
    pub(crate) ask: AskId,
    pub(crate) held: Option<Shared>,
    pub(crate) known: std::rc::Rc<[Shared]>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) member: MemberId,
    pub(crate) fleet: Fleet,
    /// What its own callers have.
    pub(crate) own: BTreeMap<Item, Held>,
    /// What members say, usable by who holds the credential.
    pub(crate) offers: BTreeMap<Item, Held>,
    pub(crate) flights: BTreeMap<LookupId, Flight>,
    pub(crate) inquiries: BTreeMap<InquiryId, Inquiry>,
    pub(crate) links: BTreeSet<NodeIndex>,
    /// Those of them that gossip goes on to.
    pub(crate) mesh: Vec<NodeIndex>,
    pub(crate) tombstones: BTreeMap<Scope, Millis>,
    /// The run's writes that it knows of, and since when.
    pub(crate) writes: BTreeMap<usize, Moment>,
    /// What the origin has refused: by credential and scope.
    pub(crate) denials: BTreeMap<(u16, Scope), Millis>,
    /// Credentials that were presented here.
    pub(crate) presented: BTreeSet<u16>,
    pub(crate) ledgers: BTreeMap<u16, Ledger>,
    pub(crate) kind: Option<ByzantineKind>,
    /// Members that it has expelled, and until when.
    pub(crate) barred: BTreeMap<NodeIndex, Moment>,
    pub(crate) is_dead: bool,
    /// Which part of a split network it is in.
    pub(crate) part: u8,
    /// Secrets that it accepts.
    pub(crate) rings: Vec<Ring>,
    pub(crate) frozen_until: Moment,
    /// The coordinator's inbox is read in order: nothing reaches it before.
    pub(crate) inbox_ready: Moment,
    pub(crate) inbox: usize,
    /// When its coordinator next looks at the time.
    pub(crate) tick_at: Option<Moment>,
    pub(crate) polls: u16,
    pub(crate) started_at: Moment,
    /// Its wall clock at the run's beginning.
    epoch: u64,
    /// The origin's clock less its own, in milliseconds, from the origin's answers.
    origin_ahead: Option<i64>,
    last_number: u64,
    last_sequence: u32,
}

impl Node {
    /// A node whose wall clock is `skew_ms` ahead.
    pub(crate) fn new(member: MemberId, skew_ms: i64, follow: bool, started_at: Moment) -> Self {
        Node {
            member,
            fleet: Fleet::new(Config { me: member, follow }),
            own: BTreeMap::new(),
            offers: BTreeMap::new(),
            flights: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            links: BTreeSet::new(),
            mesh: Vec::new(),
            tombstones: BTreeMap::new(),
            writes: BTreeMap::new(),
            denials: BTreeMap::new(),
            presented: BTreeSet::new(),
            ledgers: BTreeMap::new(),
            kind: None,
            barred: BTreeMap::new(),
            is_dead: false,
            part: 0,
            rings: vec![0],
            frozen_until: 0,
            inbox_ready: 0,
            inbox: 0,
            tick_at: None,
            polls: 0,
            started_at,
            epoch: (START * 1000).saturating_add_signed(skew_ms),
            origin_ahead: None,
            last_number: 0,
            last_sequence: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn stamp(&mut self, me: NodeIndex) -> Stamp {
        self.last_sequence += 1;
        Stamp { author: me, sequence: self.last_sequence }
    }

    /// A moment on this node's timeline.
    pub(crate) fn millis(&self, at: Moment) -> Millis {
        Millis(self.epoch + at / 1000)
    }

    /// The moment at which this node's timeline reaches that.
    pub(crate) fn moment(&self, at: Millis) -> Moment {
        at.0.saturating_sub(self.epoch) * 1000
    }

    /// The origin answered: its `Date` tells the time there.
    pub(crate) fn hear_date(&mut self, origin_date: u64, now: Moment) {
        let ahead =
            i64::try_from(origin_date * 1000).unwrap_or(i64::MAX) - i64::try_from(self.millis(now).0).unwrap_or(0);
        self.origin_ahead = Some(self.origin_ahead.map_or(ahead, |known| known.max(ahead)));
    }

    /// The time at the origin; before it was heard from, this node's own clock is the best estimate.
    pub(crate) fn origin_millis(&self, now: Moment) -> u64 {
        self.millis(now).0.saturating_add_signed(self.origin_ahead.unwrap_or_default())
    }

    /// What policy says of something held, if there was no write and no refusal since.
    pub(crate) fn verdict(&self, asked: &mut Asked, rules: &Freshness, held: &Held, now: Moment) -> Verdict {
        let (scopes, confirmed_at) = (&asked.entry.scopes, held.confirmed_at);
        let buried = |scope: &Scope| self.tombstones.get(scope).copied();
        let credential = held.validation.item.credential;
        let denied = |scope: &Scope| self.denials.get(&(credential, *scope)).is_some_and(|at| confirmed_at <= *at);
        let is_denied = !self.denials.is_empty() && scopes.iter().any(denied);
        if is_denied || (!self.tombstones.is_empty() && !freshness::admitted(scopes, confirmed_at, &buried)) {
            return Verdict::MustRevalidate;
        }
        asked.entry.confirmed_at = confirmed_at;
        asked.entry.origin_date = held.validation.origin_date;
        asked.entry.history = held.history;
        freshness::verdict(&asked.read, rules, &asked.entry, self.millis(now))
    }

    /// What it tells others of something held.
    pub(crate) fn share(&self, held: Held, now: Moment) -> Shared {
        let age = self.millis(now).since(held.confirmed_at).unwrap_or_default();
        Shared { validation: held.validation, age, whole: true }
    }

    /// When a confirmation of that age was sent, on this node's timeline. An age is never less than the time since the `Date`.
    pub(crate) fn confirmed_at(&self, age: Duration, origin_date: u64, now: Moment) -> Millis {
        let date = Duration::from_secs(origin_date) + DATE_STEP;
        let by_date = Duration::from_millis(self.origin_millis(now)).saturating_sub(date);
        self.millis(now).before(by_date.max(age))
    }

    /// Whether a `Date` is not from the future.
    pub(crate) fn is_plausible(&self, origin_date: u64, now: Moment) -> bool {
        origin_date <= (self.origin_millis(now) + DATE_TOLERANCE_MS) / 1000
    }

    /// Takes a member's record as an offer, unless what it holds is as new. Gives when it was confirmed.
    pub(crate) fn receive(&mut self, shared: Shared, now: Moment) -> Option<Millis> {
        let Shared { validation, age, whole } = shared;
        let earlier = self.offers.get(&validation.item);
        if !whole && earlier.is_none_or(|held| held.validation.body != validation.body) {
            return None;
        }
        let confirmed_at = self.confirmed_at(age, validation.origin_date, now);
        let new = Held { validation, confirmed_at, own: false, history: History::default() };
        let is_newer = earlier.is_none_or(|held| new.supersedes(held));
        is_newer.then(|| self.offers.insert(validation.item, new)).map(|_| confirmed_at)
    }

    /// The history of what it holds, with one more confirmation.
    pub(crate) fn observed(&self, validation: &crate::model::Validation, confirmed_at: Millis) -> History {
        let Some(kept) = self.own.get(&validation.item) else { return History::default() };
        let interval = confirmed_at.since(kept.confirmed_at).unwrap_or_default();
        adaptive::observed(kept.history, interval, kept.validation.body != validation.body)
    }

    /// The flight that a caller may join: one that began after every write that this node knows of.
    pub(crate) fn flight_for(&mut self, item: Item, scopes: &[Scope]) -> Option<&mut Flight> {
        let buried = |scope: &Scope| self.tombstones.get(scope).copied();
        let late_enough = |flight: &Flight| freshness::admitted(scopes, flight.started, &buried);
        self.flights.values_mut().find(|flight| flight.item == item && late_enough(flight))
    }

    /// Offers of the same key for other credentials, the latest first.
    pub(crate) fn known(&self, item: Item, now: Moment) -> Vec<Shared> {
        let of_key = Item { credential: 0, ..item }..=Item { credential: u16::MAX, ..item };
        let others = self.offers.range(of_key).filter(|(other, _)| **other != item);
        let mut others: Vec<_> = others.map(|(_, held)| *held).collect();
        others.sort_by_key(|held| std::cmp::Reverse(held.confirmed_at));
        others.truncate(ghmesh_model::limits::MAX_KNOWN);
        others.into_iter().map(|held| self.share(held, now)).collect()
    }

    /// Says that `response` was never asked for by honest nodes: for the trace.
    pub(crate) fn is_honest(&self) -> bool {
        self.kind.is_none()
    }

    /// How far its wall clock is from the origin's.
    pub(crate) fn moment_there(&self, now: Moment) -> ghmesh_policy::budget::Moment {
        ghmesh_policy::budget::Moment { now: self.millis(now), there: self.origin_millis(now) / 1000 }
    }
}

/// The answer of a member that has nothing to say.
pub(crate) fn nothing() -> Response {
    Response::No(std::rc::Rc::from([]))
}
