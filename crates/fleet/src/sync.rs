//! Anti-entropy: how members find out, in two messages, what one of them lacks, and when they do.
//!
//! Gossip is a hint: it loses messages, and reaches nobody who is away. So a node compares what it holds with what a member
//! holds: with those that join, and every few minutes with one. A **round** goes one way, from a member to this node:
//!
//! 1. This node sends a digest: its items' sums, in buckets by the items' ids ([`Inventory::digest`]).
//! 2. The member lists what it holds in those buckets whose sums differ, the most useful first ([`Inventory::differing`]).
//! 3. This node pulls what it lacks or has in an older version ([`Inventory::wanted`]), as fast as its [`Rate`]s allow.
//!
//! The other way round the member sees to itself. What is pulled is admitted by the rules for gossip: a listing tells what there
//! is and permits nothing.
//!
//! [`Schedule`] decides when and with whom. It holds no clock and no randomness: moments and random numbers are arguments.

mod rate;
mod schedule;

pub use rate::Rate;
pub use schedule::{Compare, RoundEnd, Schedule, SyncInput};

use ghmesh_model::digest::{Item, ItemId, Listing, Summaries};
use ghmesh_model::limits;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Items that a node compares: the newest of what it holds, as many as one listing tells. When there are more, the oldest answers are
/// left out, and no member is asked about such: they are found when somebody wants them.
pub const MAX_ITEMS: usize = limits::MAX_LISTED;

/// Items a bucket, about. A round of equals costs 8 bytes a bucket, and each item that differs the 24 bytes of each item in its
/// bucket: for a hundred differences among ten thousand items the two are about equal.
const ITEMS_A_BUCKET: usize = 16;

/// Items that are not asked for again because they were of no use. When full, the oldest is asked for again.
const MAX_USELESS: usize = 4096;

/// How much less an answer's age counts for each degree of use: an answer that is used here is as useful as one that is four
/// times younger. A guess.
const USE_COUNTS: u32 = 4;

/// How much an answer is used where it is held, as far as the store knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Nobody here has asked for it: members offered it.
    Offered,
    /// Callers here have asked for it.
    Asked,
    /// Callers here have asked for it, and it was used again.
    Used,
}

/// One item as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which, in which version.
    pub item: Item,
    /// The `Date` of the origin's answer, Unix seconds; `None` for a write, which is compared whatever its age.
    pub date: Option<u64>,
    /// Its place in a listing: the least comes first.
    pub rank: u64,
}

impl Holding {
    /// The rank of an answer that was confirmed so long ago: the newest and most used first.
    pub fn answer_rank(age: Duration, used: Use) -> u64 {
        let degrees = match used {
            Use::Offered => 0,
            Use::Asked => 1,
            Use::Used => 2,
        };
        // 1 and more: a write comes before.
        ghmesh_model::time::millis(age / USE_COUNTS.pow(degrees)).saturating_add(1)
    }

    /// A write: it is told before any answer that it may have made stale.
    pub fn write(id: ItemId) -> Self {
        Holding { item: Item { id, version: Item::WRITE_VERSION }, date: None, rank: 0 }
    }
}

/// What a node holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    holdings: BTreeMap<ItemId, Holding>,
    floor: u64,
}

impl Inventory {
    /// Of these, at most [`MAX_ITEMS`]. `floor`: the earliest `Date` of answers among them, in Unix seconds; later ones that are
    /// left out raise it.
    pub fn new(mut holdings: Vec<Holding>, floor: u64) -> Self {
        let mut floor = floor;
        holdings.retain(|holding| holding.date.is_none_or(|date| date >= floor));
        if holdings.len() > MAX_ITEMS {
            holdings.sort_unstable_by_key(|holding| std::cmp::Reverse(holding.date.unwrap_or(u64::MAX)));
            // Of one second all or none, so that who compares from the floor on has the same.
            floor = holdings[MAX_ITEMS].date.unwrap_or(u64::MAX).saturating_add(1);
            holdings.truncate(MAX_ITEMS);
            holdings.retain(|holding| holding.date.is_none_or(|date| date >= floor));
        }
        Inventory { holdings: holdings.into_iter().map(|holding| (holding.item.id, holding)).collect(), floor }
    }

    /// The same answers, and of writes these: they count from the moment they are heard of, however long it takes to look through all
    /// answers.
    pub fn with_writes(&self, writes: impl IntoIterator<Item = ItemId>) -> Self {
        let answers = self.holdings.values().filter(|holding| holding.date.is_some()).copied();
        Inventory::new(answers.chain(writes.into_iter().map(Holding::write)).collect(), self.floor)
    }

    /// The earliest `Date`, Unix seconds, from which on it can be compared.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        self.holdings.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }

    fn since(&self, since: u64) -> impl Iterator<Item = &Holding> {
        self.holdings.values().filter(move |holding| holding.date.is_none_or(|date| date >= since))
    }

    /// The sums over what is not older than `since`, in about as many buckets as keep a round cheap.
    pub fn digest(&self, since: u64) -> Summaries {
        let buckets = self.since(since).count().div_ceil(ITEMS_A_BUCKET).next_power_of_two();
        self.sums(since, buckets.min(limits::MAX_SUMMARIES))
    }

    fn sums(&self, since: u64, buckets: usize) -> Summaries {
        Summaries::of(self.since(since).map(|holding| holding.item), buckets)
    }

    /// What is held in those buckets whose sums differ from a member's: the most useful first.
    pub fn differing(&self, since: u64, theirs: &Summaries) -> Listing {
        let buckets = theirs.buckets();
        let differs = self.sums(since, buckets).differing(theirs);
        let mut listed: Vec<_> = self.since(since).filter(|holding| differs[holding.item.id.bucket(buckets)]).collect();
        listed.sort_unstable_by_key(|holding| (holding.rank, holding.item.id));
        Listing(listed.into_iter().map(|holding| holding.item).collect())
    }

    /// What this node lacks of a member's listing, or has in an older version only: in the listing's order. Answers of which it has none
    /// need a place: no more than `room` of them.
    pub fn wanted(&self, listing: &Listing, useless: &Useless, room: usize) -> Vec<Item> {
        let mut room = room;
        let mut wanted = Vec::new();
        for item in listing.0.iter().filter(|item| !useless.contains(item)) {
            match self.holdings.get(&item.id) {
                Some(held) if held.item.version >= item.version => continue,
                Some(_) => {}
                None if item.version == Item::WRITE_VERSION => {}
                None if room == 0 => continue,
                None => room -= 1,
            }
            wanted.push(*item);
        }
        wanted
    }
}

/// What was pulled and could not be used: refused, or contradicted by what is held. Asking for it in each round would bring the
/// same each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Useless {
    versions: HashMap<ItemId, u64>,
    order: VecDeque<ItemId>,
}

impl Useless {
    /// This version of this item was of no use.
    pub fn note(&mut self, item: Item) {
        if self.versions.insert(item.id, item.version).is_some() {
            return;
        }
        self.order.push_back(item.id);
        if self.order.len() > MAX_USELESS
            && let Some(oldest) = self.order.pop_front()
        {
            self.versions.remove(&oldest);
        }
    }

    fn contains(&self, item: &Item) -> bool {
        self.versions.get(&item.id).is_some_and(|version| *version >= item.version)
    }
}

#[cfg(test)]
mod tests;
