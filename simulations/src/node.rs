//! One node: the real state machine, and a store and flights around it.

use crate::event::NodeIndex;
use crate::model::{Held, Moment, Shared};
use ghmesh_fleet::{AskId, Config, Fleet, InquiryId, LookupId, Subject};
use ghmesh_model::{MemberId, Millis};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What `Date` may hide: it counts whole seconds.
const DATE_STEP: Duration = Duration::from_millis(999);

/// Callers of one node that wait for one subject.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) subject: Subject,
    /// When each of its callers asked.
    pub(crate) callers: Vec<Moment>,
    /// No step reaches it before: they come in order.
    pub(crate) ready: Moment,
    pub(crate) is_calling: bool,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) member: MemberId,
    pub(crate) fleet: Fleet,
    pub(crate) store: BTreeMap<Subject, Held>,
    pub(crate) flights: BTreeMap<LookupId, Flight>,
    pub(crate) inquiries: BTreeMap<InquiryId, (NodeIndex, AskId, Option<Shared>)>,
    pub(crate) links: BTreeSet<NodeIndex>,
    pub(crate) is_dead: bool,
    pub(crate) frozen_until: Moment,
    /// The coordinator's inbox is read in order: nothing reaches it before.
    pub(crate) inbox_ready: Moment,
    /// When its coordinator next looks at the time.
    pub(crate) tick_at: Option<Moment>,
    /// Its timeline at the run's beginning.
    epoch: u64,
    last_number: u64,
}

impl Node {
    pub(crate) fn new(member: MemberId, epoch: u64) -> Self {
        Node {
            member,
            fleet: Fleet::new(Config { me: member, follow: false }),
            store: BTreeMap::new(),
            flights: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            links: BTreeSet::new(),
            is_dead: false,
            frozen_until: 0,
            inbox_ready: 0,
            tick_at: None,
            epoch,
            last_number: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A moment on this node's timeline.
    pub(crate) fn millis(&self, at: Moment) -> Millis {
        Millis(self.epoch + at / 1000)
    }

    /// The moment at which this node's timeline reaches that.
    pub(crate) fn moment(&self, at: Millis) -> Moment {
        at.0.saturating_sub(self.epoch) * 1000
    }

    /// What it holds of a subject that was confirmed within `max_age`.
    pub(crate) fn fresh(&self, subject: Subject, max_age: Duration, now: Moment) -> Option<Held> {
        let held = self.store.get(&subject).copied()?;
        let age = self.millis(now).since(held.confirmed_at)?;
        (age < max_age).then_some(held)
    }

    /// What it tells others of a record.
    pub(crate) fn share(&self, subject: Subject, held: Held, now: Moment) -> Shared {
        let age = self.millis(now).since(held.confirmed_at).unwrap_or_default();
        Shared { subject, record: held.record, age }
    }

    /// Takes another's record, unless what it holds is as new. An age is never less than the time since the `Date`.
    pub(crate) fn receive(&mut self, Shared { subject, record, age }: Shared, now: Moment) -> Option<Millis> {
        let date = Duration::from_secs(record.origin_date) + DATE_STEP;
        let by_date = Duration::from_micros(now).saturating_sub(date);
        let confirmed_at = self.millis(now).before(by_date.max(age));
        let new = Held { record, confirmed_at };
        let is_newer = self.store.get(&subject).is_none_or(|held| new.supersedes(held));
        is_newer.then(|| self.store.insert(subject, new)).map(|_| confirmed_at)
    }

    /// The flight that a caller may join.
    pub(crate) fn flight_for(&mut self, subject: Subject) -> Option<&mut Flight> {
        self.flights.values_mut().find(|flight| flight.subject == subject)
    }
}
