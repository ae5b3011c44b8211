//! The queue of everything that will happen, in the order of time and, within one moment, of arrival.

use crate::model::{Message, Moment, Record, Step};
use crate::scenario::What;
use ghmesh_fleet::{AskId, Input, LookupId, Subject};
use std::collections::BTreeMap;
use std::time::Duration;

/// A node's number in the run.
pub(crate) type NodeIndex = usize;

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// To the run, not to one node.
    Strike(What),
    /// To one node. Nothing happens to one that is dead; one that hangs gets to it later.
    At(NodeIndex, Happening),
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A client asks for the key of that number.
    Poll(usize),
    /// The connection to a node is there (`true`) or noticed to be gone.
    Link(NodeIndex, bool),
    /// A message comes in.
    Message(NodeIndex, Message),
    /// Its coordinator hears something.
    Input(Input),
    /// Its coordinator hears an answer.
    Answered(AskId, crate::model::Response),
    /// Its coordinator hears a question.
    Asked { from: NodeIndex, ask: AskId, subject: Subject, max_age: Duration, lease: bool },
    /// A flight is told what to do.
    Step(LookupId, Step),
    /// The origin answers a flight: with what it confirms, if anything.
    Called(LookupId, Moment, Option<Record>),
}

/// The future.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Moment, u64), Event>,
    last: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        self.last += 1;
        self.events.insert((at, self.last), event);
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
