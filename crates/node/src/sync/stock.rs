//! What this node holds, as it is compared.

use crate::node::Inner;
use ghmesh_fleet::Subject;
use ghmesh_fleet::sync::{Holding, Inventory, MAX_ITEMS, Use};
use ghmesh_model::digest::{Item, ItemId};
use ghmesh_model::{Millis, limits};
use ghmesh_store::Offered;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Answers that are looked at, the most recently stored first, to find as many as are compared: some are too old, or not to be
/// shared. About 10 µs each.
const LOOKED_AT: usize = 2 * MAX_ITEMS;

/// How old a stock may be that members' digests are compared with: however many ask, the store is read once in this time. Of writes
/// it always has the latest.
const FOR_DIGESTS: Duration = Duration::from_secs(5);

/// How old one may be in which what members pull is found. Then it is dropped, for it takes up to 2 MiB.
const KEPT: Duration = Duration::from_secs(60);

/// What a node holds at one moment.
pub(super) struct Stock {
    pub(super) inventory: Inventory,
    answers: Arc<HashMap<ItemId, Subject>>,
    at: Millis,
    /// Writes that were known.
    writes: u64,
}

impl Stock {
    /// Which answer has this id.
    pub(super) fn answer(&self, id: &ItemId) -> Option<Subject> {
        self.answers.get(id).copied()
    }
}

/// Keeps the latest stock for a while.
#[derive(Default)]
pub(crate) struct Shelf {
    latest: Mutex<Option<Arc<Stock>>>,
    /// Held while one is made, so that those who want one at the same time wait for the same.
    making: tokio::sync::Mutex<()>,
}

impl Shelf {
    fn latest(&self, now: Millis, most: Duration) -> Option<Arc<Stock>> {
        self.lock().clone().filter(|stock| now.since(stock.at).is_some_and(|age| age < most))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Stock>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What is held now.
    pub(super) async fn fresh_stock(self: &Arc<Self>, shelf: &Shelf) -> Option<Arc<Stock>> {
        self.stock(shelf, Duration::ZERO).await
    }

    /// What was held a few seconds ago.
    pub(super) async fn stock_for_digests(self: &Arc<Self>, shelf: &Shelf) -> Option<Arc<Stock>> {
        self.stock(shelf, FOR_DIGESTS).await
    }

    /// What was held lately: where what was listed is found.
    pub(super) async fn stock_for_pulls(self: &Arc<Self>, shelf: &Shelf) -> Option<Arc<Stock>> {
        self.stock(shelf, KEPT).await
    }

    async fn stock(self: &Arc<Self>, shelf: &Shelf, most: Duration) -> Option<Arc<Stock>> {
        let asked = self.clock.now();
        let _making = shelf.making.lock().await;
        // Who waited takes what was made meanwhile.
        let waited = self.clock.now().since(asked).unwrap_or_default();
        let latest = shelf.latest(self.clock.now(), most.max(waited));
        if let Some(stock) = latest.as_ref().filter(|stock| stock.writes == self.writes.known()) {
            return Some(stock.clone());
        }
        let node = self.clone();
        let take = move || latest.map_or_else(|| node.take_stock(), |stock| node.note_writes(&stock));
        let stock = Arc::new(tokio::task::spawn_blocking(take).await.ok()?);
        *shelf.lock() = Some(stock.clone());
        self.drop_later(&stock);
        Some(stock)
    }

    /// Frees the shelf unless there is another one by then.
    fn drop_later(self: &Arc<Self>, stock: &Arc<Stock>) {
        let (node, stock) = (Arc::downgrade(self), Arc::downgrade(stock));
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let Some(node) = node.upgrade() else { return };
            if let Some(members) = node.members.get() {
                let mut latest = members.syncing.shelf.lock();
                if latest.as_ref().is_some_and(|latest| Arc::downgrade(latest).ptr_eq(&stock)) {
                    *latest = None;
                }
            }
        });
    }

    /// Reads the store. Takes up to a fifth of a second: for a blocking thread.
    fn take_stock(&self) -> Stock {
        let now = self.clock.now();
        let mut answers = HashMap::new();
        let mut holdings = self.store.newest_offers(LOOKED_AT, |offered| {
            let (subject, holding) = self.holding(&offered, now)?;
            answers.insert(holding.item.id, subject);
            Some(holding)
        });
        // Counted first: one that comes in between is looked at again.
        let known = self.writes.known();
        let writes = self.writes.ids(now, self.config.freshness.proof_ttl);
        holdings.extend(writes.into_iter().map(Holding::write));
        let inventory = Inventory::new(holdings, self.earliest_date(now));
        Stock { inventory, answers: Arc::new(answers), at: now, writes: known }
    }

    /// The same stock with the writes that are known now. Takes a millisecond where there are ten thousand answers.
    fn note_writes(&self, Stock { inventory, answers, at, .. }: &Stock) -> Stock {
        let known = self.writes.known();
        let writes = self.writes.ids(self.clock.now(), self.config.freshness.proof_ttl);
        Stock { inventory: inventory.with_writes(writes), answers: answers.clone(), at: *at, writes: known }
    }

    /// The `Date`, in Unix seconds, of what GitHub says now that is too old to be used.
    fn earliest_date(&self, now: Millis) -> u64 {
        let github = self.members.get().map_or(now, |members| members.exchange.github_now());
        github.before(self.config.freshness.proof_ttl).0 / 1000
    }

    /// How an offer is compared. `None` for what is not to be shared: too old, or from before a write, or without its records.
    fn holding(&self, offered: &Offered, now: Millis) -> Option<(Subject, Holding)> {
        let entry = &offered.entry;
        let age = entry.age(now).filter(|age| *age < self.config.freshness.proof_ttl)?;
        if entry.attestation.is_none() || !self.tombstones.admit(&entry.scopes, entry.confirmed_at) {
            return None;
        }
        let subject = Subject { key: offered.key, fingerprint: offered.fingerprint };
        let whole = offered.has_body || entry.representation.length > limits::MAX_INLINE_BODY_BYTES as u64;
        let item = Item {
            id: ItemId::of_answer(&subject.key, &subject.fingerprint),
            version: Item::answer_version(entry.origin_date, whole),
        };
        let used = match (offered.asked, offered.used) {
            (true, true) => Use::Used,
            (true, false) => Use::Asked,
            (false, _) => Use::Offered,
        };
        let rank = Holding::answer_rank(age, used);
        Some((subject, Holding { item, date: Some(entry.origin_date), rank }))
    }
}
