//! The queue of everything that will happen, in the order of time and, within one moment, of arrival.

use crate::model::{Message, Moment, NodeIndex, Response, Step};
use ghmesh_fleet::{AskId, Input, LookupId, Subject};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A call to the origin, by its number in the run.
pub(crate) type CallId = u64;

/// Something that is gossiped, by its number in the run.
pub(crate) type FloodId = u64;

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// To the run, not to one node: the scenario's event of that number.
    Strike(usize),
    /// A node of the churn starts, and the next one after it.
    Come,
    /// A call reaches the origin.
    Origin(CallId),
    /// A client's write reaches the origin through a node.
    Write(NodeIndex, u16),
    /// Gossip reaches a node from another.
    Gossip(FloodId, NodeIndex, NodeIndex),
    /// To one node. Nothing happens to one that is dead; one that hangs gets to it later.
    At(NodeIndex, Happening),
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A client asks for every key.
    Poll,
    /// The connection to a node is there (`true`) or noticed to be gone.
    Link(NodeIndex, bool),
    /// A message comes in.
    Message(NodeIndex, Message),
    /// Its coordinator hears something.
    Input(Input),
    /// Its coordinator looks at the time.
    Tick,
    /// Its coordinator hears an answer.
    Answered(AskId, Response),
    /// Its coordinator hears a question.
    Asked { from: NodeIndex, ask: AskId, subject: Subject, max_age: Duration, lease: bool },
    /// A flight is told what to do.
    Step(LookupId, Step),
    /// The origin's answer to a flight.
    Called(CallId),
    /// The origin has done a write: the run's write of that number.
    Written(usize),
    /// It takes a step of a new secret: the scenario's event of that number.
    Roll(usize),
    /// It ends: killed, or in good order.
    End(bool),
    /// A misbehaving node does something.
    Misbehave,
}

impl Event {
    /// Numbers what happens where, for the run's fingerprint.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        match self {
            Event::Strike(number) => (1, *number as u64),
            Event::Come => (2, 0),
            Event::Origin(call) => (3, *call),
            Event::Write(node, key) => (4, u64::from(*node) << 16 | u64::from(*key)),
            Event::Gossip(flood, to, from) => (5, flood << 40 ^ u64::from(*to) << 20 ^ u64::from(*from)),
            Event::At(node, happening) => (u64::from(*node) << 8 | 6, happening.number()),
        }
    }
}

impl Happening {
    fn number(&self) -> u64 {
        match self {
            Happening::Poll => 1,
            Happening::Link(peer, there) => u64::from(*peer) << 9 | u64::from(*there) << 8 | 2,
            Happening::Message(from, message) => u64::from(*from) << 16 | message.number() << 8 | 3,
            Happening::Input(input) => input_number(input) << 8 | 4,
            Happening::Tick => 5,
            Happening::Answered(ask, _) => ask.0 << 8 | 6,
            Happening::Asked { from, ask, .. } => (ask.0 << 20 ^ u64::from(*from)) << 8 | 7,
            Happening::Step(lookup, step) => (lookup.0 << 2 | step.number()) << 8 | 8,
            Happening::Called(call) => call << 8 | 9,
            Happening::Written(write) => (*write as u64) << 8 | 10,
            Happening::Roll(step) => (*step as u64) << 8 | 11,
            Happening::End(killed) => u64::from(*killed) << 8 | 12,
            Happening::Misbehave => 13,
        }
    }
}

impl Message {
    /// Which kind it is.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Message::Ask { .. } => 1,
            Message::Answer { .. } => 2,
            Message::Record(_) => 3,
            Message::Release(..) => 4,
            Message::Digest(..) => 5,
            Message::Missing(..) => 6,
        }
    }
}

impl Step {
    fn number(&self) -> u64 {
        match self {
            Step::Use(_) => 0,
            Step::Learn(_) => 1,
            Step::Check => 2,
            Step::Fetch => 3,
        }
    }
}

fn input_number(input: &Input) -> u64 {
    match input {
        Input::Lookup { lookup, .. }
        | Input::Fetched { lookup, .. }
        | Input::Found { lookup }
        | Input::Ended { lookup, .. }
        | Input::Refused { lookup }
        | Input::Checked { lookup } => lookup.0,
        Input::AskFailed { ask } | Input::Answered { ask, .. } => ask.0,
        _ => 0,
    }
}

/// One event and its place.
#[derive(Debug)]
struct Due {
    at: Moment,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The greatest of a heap comes first: the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The future.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BinaryHeap<Due>,
    last: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        self.last += 1;
        self.events.push(Due { at, number: self.last, event });
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.events.pop().map(|due| (due.at, due.event))
    }
}
