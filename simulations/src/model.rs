//! What nodes keep and say, reduced to what can make a difference: who confirmed which body of what for whom when.

use ghmesh_fleet::{AskId, Subject};
use ghmesh_model::wire::FetchStage;
use ghmesh_model::{History, Millis};
use std::rc::Rc;
use std::time::Duration;

/// A moment of the whole run, in microseconds. Nodes only see their own [`Millis`].
pub(crate) type Moment = u64;

/// A node's number in the run.
pub(crate) type NodeIndex = u32;

/// A secret of the mesh: 0 is the old one, 1 the new one.
pub(crate) type Ring = u8;

/// What is looked up: one key for one credential, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) key: u16,
    pub(crate) credential: u16,
}

/// Names a body, as its CID does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BodyId(pub(crate) u32);

/// Stands for a MAC keyed from a credential and the mesh secret: equal to what [`mac`] gives for the credential's secret, which
/// only its holders know, or worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) u64);

/// An author's place in its own history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) author: NodeIndex,
    pub(crate) sequence: u32,
}

/// "The origin confirmed this body of this key for this credential."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validation {
    pub(crate) item: Item,
    pub(crate) body: BodyId,
    /// The origin's `Date`, in seconds.
    pub(crate) origin_date: u64,
    pub(crate) stamp: Stamp,
    pub(crate) ring: Ring,
    pub(crate) mac: Mac,
    /// When the confirming call was really sent. For the checks only: no node knows it of another's call.
    pub(crate) sent_at: Moment,
}

/// What a holder of `secret` makes of a validation, as far as a MAC covers it.
pub(crate) fn mac(secret: u64, validation: &Validation) -> Mac {
    let Validation { item, body, origin_date, stamp, ring, .. } = *validation;
    let parts = [
        u64::from(item.key) << 32 | u64::from(item.credential),
        u64::from(body.0),
        origin_date,
        u64::from(stamp.author) << 32 | u64::from(stamp.sequence),
        u64::from(ring),
    ];
    Mac(parts.into_iter().fold(secret, mix))
}

/// One step of a hash that is good enough where nobody tries to break it (the finaliser of SplitMix64).
pub(crate) fn mix(state: u64, next: u64) -> u64 {
    let mut mixed = (state ^ next).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A validation in a store, with its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) validation: Validation,
    /// On the node's timeline, as far as it knows.
    pub(crate) confirmed_at: Millis,
    /// Whether this node asked the origin itself.
    pub(crate) own: bool,
    pub(crate) history: History,
}

impl Held {
    /// Versions are ordered by the origin's `Date`, and within one second by when they were confirmed.
    pub(crate) fn supersedes(&self, held: &Held) -> bool {
        (self.validation.origin_date, self.confirmed_at) > (held.validation.origin_date, held.confirmed_at)
    }
}

/// A record on its way, with its age at sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) validation: Validation,
    pub(crate) age: Duration,
    /// Whether it brings the body, or only extends one that the receiver must have.
    pub(crate) whole: bool,
}

/// A write of which members are told: which one of the run's, and how long ago it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) write: usize,
    pub(crate) age: Duration,
}

/// A question's answer on its way.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    Have(Shared),
    Coming(Duration),
    Lease(Option<Duration>, Rc<[Shared]>),
    No(Rc<[Shared]>),
}

/// What one node sends another.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Ask {
        ask: AskId,
        subject: Subject,
        max_age: Duration,
        lease: bool,
    },
    Answer {
        ask: AskId,
        response: Response,
    },
    /// A delivery.
    Record(Shared),
    /// A fetch ended with nothing to share.
    Release(Subject, bool),
    /// What the sender holds: `Date` by item. And the writes that it knows of.
    Digest(Rc<[(Item, u64)]>, usize),
    /// What the sender of a digest lacks.
    Missing(Rc<[Shared]>, Rc<[Written]>),
}

/// What is gossiped.
#[derive(Clone, Debug)]
pub(crate) enum Gossip {
    Record(Shared),
    Written(Written),
    Budget(Rc<Said>),
    /// Who fetches what, and how far that is.
    Fetching(Item, NodeIndex, FetchStage),
}

/// What the author of a `Budget` record says of one credential's limits.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) credential: u16,
    pub(crate) author: NodeIndex,
    /// Whether its MAC is that of a holder of the credential.
    pub(crate) genuine: bool,
    /// Buckets: name, limit, remaining, reset, and the age of that word.
    pub(crate) buckets: Vec<(String, u64, u64, u64, Duration)>,
    pub(crate) stop: Option<Duration>,
}

/// What a flight is told.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Use(Option<Shared>),
    Learn(Rc<[Shared]>),
    Check,
    Fetch,
}
