//! Who asks whom, who fetches, who waits: the coordination that lets a fleet ask GitHub once.
//!
//! One member **owns** a key: the highest rank by rendezvous hashing over the live members. A node whose callers lack a
//! fresh validation of a subject (a key for one credential) starts a *lookup* and asks the owner. The owner answers *have*
//! (here it is), *coming* (somebody fetches, wait) or *lease* (you fetch). A lease saves cost only; nothing that a caller
//! may see rests on it. When members are silent, dead or wrong, a lookup ends with a fetch of its own within its budget.
//!
//! A slow owner is hedged: at a third of the budget its first standby is asked whether it has the answer, at three quarters
//! it is asked to decide in the owner's place. Who fetches, for whatever reason, tells whoever asks that it does. Who holds a
//! lease and hears of another's fetch waits for it; but from a member that outranks its lessor it does so only after giving
//! the lease back. The order is the same for everybody, so no two holders ever wait for each other.
//!
//! A lookup waits for another's fetch as long as this node expects a fetch to take (its own estimate of a lease, whatever a
//! member states), and then asks again: it is told to wait on only while the fetch goes on. For that, who fetches under a
//! member's lease asks that member again every half second, which extends the lease. All waits of one lookup together take
//! at most ten seconds, and so does one lease; beyond, everybody goes alone. Who kept this node waiting in vain for so
//! long is not waited for again for a minute: its standby decides in its place.
//!
//! A fetch that shared nothing is told to who waits, in one of two ways. Either it *failed*: then one of those that waited
//! fetches in its place and the others wait for that once more, so that a passing fault costs one call more and not one for
//! each. Or the origin *answered* with what is no other node's (a 404, say): then every node needs a call of its own, and all
//! make it at once.
//!
//! Credentials share bodies, never permission. Who is to fetch a key that is already being fetched for another credential
//! *follows* that fetch once: it waits for the body, to have it confirmed for its own credential at no charge, and then goes
//! to the origin, whatever came of it.
//!
//! Each node keeps a reputation of the others (the table stands in `reputation.rs`). The *order* of the members of a key stays the
//! same for everybody; what differs is whom a node leaves out when it asks: who is used less is asked to decide only where nobody
//! else is there, who rests is not asked at all. So where views differ, two nodes may turn to two members that both let somebody
//! fetch: one call more for each owner that is asked, never a wait without end. The argument above rests on the order alone: who
//! holds a lease of member L waits only for members behind L, or gives the lease back first; a node that decides itself is its own
//! L, and lets go of its lease likewise. As ranks only fall along a chain of such waits, no chain is a circle, whatever anybody left
//! out. And as a lease's holder looks at the standbys once before it fetches, also at those that are used less, the call more is
//! the exception.
//!
//! Where the fleet is larger than the circle of a node's neighbours, owners are chosen among those, and two far apart may not know of
//! each other's leases. There, who fetches tells everybody (`state/afar.rs`), and who hears of it treats that as a lease of its own
//! granting, for once and for no longer than one fetch should take.
//!
//! The crate decides and does nothing: [`Fleet::handle`] takes one input and the time and appends outputs, effects as data.
//! It holds no clock, socket or randomness, so that the same inputs always give the same outputs.

mod budget;
mod lease;
mod lookup;
mod rank;
mod reputation;
mod roster;
mod state;
pub mod sync;
mod timers;

pub use budget::Budgets;
pub use rank::owners;
pub use reputation::{Offence, Standing};
pub use roster::Roster;
pub use state::{Config, Counters, Fleet, Load};

use ghmesh_model::{Fingerprint, MemberId, Millis, WireKey};
use std::time::Duration;

/// What is looked up: one key for one credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// K under the mesh key.
    pub key: WireKey,
    /// F.
    pub fingerprint: Fingerprint,
}

/// One lookup of this node's; the shell numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

/// One question this node put to a member; numbered by [`Fleet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// One question a member put to this node; the shell numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InquiryId(pub u64);

/// What a member answered, without the records: those stay with the shell, under the [`AskId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It sent a validation.
    Have,
    /// Somebody fetches; wait at most so long.
    Coming {
        /// How long the member thinks it may take.
        wait: Duration,
    },
    /// This node is to fetch; the owner tells nobody else to for so long.
    Lease {
        /// Somebody already fetches the same key for another credential, and should be done within this time.
        behind: Option<Duration>,
    },
    /// It has nothing and grants nothing.
    No,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A flight of this node found no fresh validation in its own store.
    Lookup {
        /// A new number.
        lookup: LookupId,
        /// What is wanted.
        subject: Subject,
        /// The oldest confirmation that is of use.
        max_age: Duration,
        /// Whether a body that is fetched for another credential would help, so that it is worth waiting for.
        follow: bool,
    },
    /// The flight ended and shares what it stored: the origin answered 200 or 304.
    Fetched {
        /// The lookup that was told to fetch.
        lookup: LookupId,
        /// How long the origin took.
        took: Duration,
    },
    /// What a member sent, or what arrived in the store, ended the lookup without a call.
    Found {
        /// The lookup.
        lookup: LookupId,
    },
    /// The flight ended with nothing to share: an error, an answer that can't be stored, a caller that went away.
    Ended {
        /// Any lookup.
        lookup: LookupId,
        /// Whether the origin answered, with what no other node may have: another call would bring no other node more.
        unshareable: bool,
    },
    /// The shell refused what an [`Output::Use`] offered: wrong MAC, too old, no body to be had.
    Refused {
        /// The lookup that goes on.
        lookup: LookupId,
    },
    /// What an [`Output::Check`] pointed to is not enough.
    Checked {
        /// The lookup that goes on.
        lookup: LookupId,
    },
    /// A member answered.
    Answered {
        /// Which question.
        ask: AskId,
        /// The answer.
        answer: Answer,
    },
    /// A question could not be delivered, was refused, or the answer was garbage.
    AskFailed {
        /// Which question.
        ask: AskId,
    },
    /// A member asks this node. The shell has looked into its store.
    Inquired {
        /// A new number.
        inquiry: InquiryId,
        /// Who asks.
        from: MemberId,
        /// About what.
        subject: Subject,
        /// Whether the store holds a validation that is young enough.
        held: bool,
        /// Whether a lease may be granted, or the member only peeks.
        lease: bool,
    },
    /// A validation of this subject was stored here, by gossip or delivery.
    Arrived {
        /// Of what.
        subject: Subject,
        /// When the origin confirmed it, on this node's timeline.
        confirmed_at: Millis,
    },
    /// A member's fetch came to nothing: it held this node's lease, or told this node to wait for whoever held its own.
    Released {
        /// Who.
        from: MemberId,
        /// Of what.
        subject: Subject,
        /// Whether the origin answered, with what no other node may have.
        unshareable: bool,
    },
    /// A member tells the whole fleet that it fetches. The shell has seen that it holds the credential, as far as can be told.
    Announced {
        /// Who.
        from: MemberId,
        /// What.
        subject: Subject,
    },
    /// A member tells the whole fleet that what it announced came to nothing.
    Withdrawn {
        /// Who.
        from: MemberId,
        /// Of what.
        subject: Subject,
        /// Whether the origin answered, with what no other node may have.
        unshareable: bool,
    },
    /// A member's record came of what it announced, and is of no use here: the confirmation of an answer that this node lacks, say.
    Concluded {
        /// Who.
        from: MemberId,
        /// Of what.
        subject: Subject,
    },
    /// Whether there are members beyond those that are connected, so that fetches are to be told to the whole fleet.
    Extent {
        /// Whether there are.
        beyond: bool,
    },
    /// A member connected.
    Joined {
        /// Who.
        member: MemberId,
    },
    /// A member's last connection closed.
    Left {
        /// Who.
        member: MemberId,
    },
    /// A member did what it must not, or was late with what this crate does not see.
    Offended {
        /// Who.
        member: MemberId,
        /// What.
        offence: Offence,
    },
    /// A ping or a question was answered after this time.
    RoundTrip {
        /// How long.
        took: Duration,
    },
    /// The time of [`Fleet::next_deadline`] has come.
    Tick,
}

/// Why a lookup goes to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchReason {
    /// The owner (or this node as the owner) said so.
    Leased,
    /// There is no other member.
    Alone,
    /// The members did not answer in time, or not usefully.
    FailOpen,
    /// Another node's fetch did not end in time, or ended with nothing to share.
    Waited,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Put a question to a member.
    Ask {
        /// Its number.
        ask: AskId,
        /// To whom.
        to: MemberId,
        /// About what.
        subject: Subject,
        /// The oldest confirmation that is of use.
        max_age: Duration,
        /// Whether a lease is wanted if nobody has it.
        lease: bool,
        /// When its answer is of no more use.
        deadline: Millis,
    },
    /// The answer to this question ends the lookup, if the shell can verify it; else [`Input::Refused`].
    Use {
        /// The lookup.
        lookup: LookupId,
        /// The question whose answer holds the records.
        ask: AskId,
    },
    /// Something arrived in the store: read it again. If it is not enough, [`Input::Checked`].
    Check {
        /// The lookup.
        lookup: LookupId,
    },
    /// Go to the origin. End with [`Input::Fetched`] or [`Input::Ended`].
    Fetch {
        /// The lookup.
        lookup: LookupId,
        /// Why.
        reason: FetchReason,
    },
    /// Answer a member's question; for [`Reply::Have`] with the records from the store.
    Reply {
        /// The question.
        inquiry: InquiryId,
        /// The answer.
        reply: Reply,
    },
    /// Push what the store now holds of a subject to a member that waits for it, or that owns it.
    Deliver {
        /// To whom.
        to: MemberId,
        /// Of what.
        subject: Subject,
    },
    /// Tell a member that this subject's fetch ended with nothing to share.
    Release {
        /// To whom.
        to: MemberId,
        /// Of what.
        subject: Subject,
        /// Whether the origin answered, with what no other node may have.
        unshareable: bool,
    },
    /// Tell the whole fleet of the fetch that this lookup begins; the [`Output::Fetch`] follows.
    Announce {
        /// The lookup.
        lookup: LookupId,
    },
    /// Tell the whole fleet that a fetch that it was told of ended with nothing to share.
    Withdraw {
        /// Of what.
        subject: Subject,
        /// Whether the origin answered, with what no other node may have.
        unshareable: bool,
    },
    /// Close all connections to a member, and open none, until the span is over.
    Expel {
        /// Whom.
        member: MemberId,
        /// For how long.
        span: Duration,
    },
}

/// What this node answers a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The records of the store.
    Have,
    /// Somebody fetches; it will be delivered.
    Coming {
        /// How long that may take at most.
        wait: Duration,
    },
    /// You fetch.
    Lease {
        /// For how long nobody else is told to.
        span: Duration,
        /// How long another credential's fetch of the same key may still take; its outcome will be delivered.
        behind: Option<Duration>,
    },
    /// Nothing here.
    No,
}
