//! One round with a member: compare, and take what is lacking.

use crate::exchange::Receipt;
use crate::members::Members;
use crate::node::Inner;
use futures::{StreamExt, stream};
use ghmesh_fleet::sync::RoundEnd;
use ghmesh_model::digest::{Item, ItemId, Wanted};
use ghmesh_model::wire::{Record, Request, Response, Shared};
use ghmesh_model::{MemberId, Millis, Scope, cbor, limits};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a member may take for one answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The longest round: at this node's rates it brings far more than is compared. A member that gives crumbs is left.
const ROUND: Duration = Duration::from_secs(120);

/// Answers of the earliest times are not compared: a member whose clock is behind by less than this can look as far back.
const MARGIN_SECONDS: u64 = 60;

/// After a member said that it has no time, and how often in a row it may.
const PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: u32 = 20;

/// Of a store, what counts as a few: one part of so many.
const A_FEW: u64 = 16;

/// Items that are stored at once: the store's writer commits together what waits for it.
const AT_ONCE: usize = 32;

impl Inner {
    /// Compares with a member, and takes from it what this node lacks.
    pub(super) async fn round(self: &Arc<Self>, with: MemberId) -> RoundEnd {
        let Some(members) = self.members.get() else { return RoundEnd::Postponed };
        let end = tokio::time::timeout(ROUND, self.compare_and_take(members, with)).await;
        let end = end.unwrap_or(RoundEnd::Postponed);
        if end == RoundEnd::Complete {
            self.counts.sync_rounds.add();
        }
        tracing::debug!(%with, ?end, "compared with a member");
        end
    }

    async fn compare_and_take(self: &Arc<Self>, members: &Members, with: MemberId) -> RoundEnd {
        if self.is_busy() {
            return RoundEnd::Postponed;
        }
        match self.compare(members, with).await {
            Some(wanted) => self.take_all(members, with, wanted.into()).await,
            None => RoundEnd::Postponed,
        }
    }

    /// What the member has for this node. `None` where it does not say.
    async fn compare(self: &Arc<Self>, members: &Members, with: MemberId) -> Option<Vec<Item>> {
        let stock = self.fresh_stock(&members.syncing.shelf).await?;
        let mut since = stock.inventory.floor() + MARGIN_SECONDS;
        // Once as far back as this node can, and once as far as the member can.
        for _ in 0..2 {
            let compared = stock.clone();
            let summaries = tokio::task::spawn_blocking(move || compared.inventory.digest(since)).await.ok()?;
            let request = Request::Digest { since, summaries };
            match members.exchange.mesh.ask(with, request, DEADLINE).await {
                Ok(Response::Digest { since: from, listing }) if from <= since => {
                    return Some(stock.inventory.wanted(&listing, &members.syncing.useless(), self.room()));
                }
                Ok(Response::Digest { since: from, .. }) => since = from,
                Ok(_) | Err(_) => return None,
            }
        }
        None
    }

    /// Answers that are taken beyond those that this node has: as many as the store has room for. A full one takes a few, the best, in
    /// place of what is used least; more would displace each other, and be lacked again in the next round.
    fn room(&self) -> usize {
        let usage = self.store.usage();
        let few = usage.max_entries / A_FEW;
        let is_full = usage.bytes > usage.max_bytes - usage.max_bytes / A_FEW;
        let free = if is_full { 0 } else { usage.max_entries.saturating_sub(usage.entries) };
        usize::try_from(free.max(few)).unwrap_or(usize::MAX)
    }

    async fn take_all(self: &Arc<Self>, members: &Members, from: MemberId, mut wanted: VecDeque<Item>) -> RoundEnd {
        let (syncing, mut refusals) = (&members.syncing, 0);
        while !wanted.is_empty() {
            tokio::time::sleep(syncing.taken.wait(self.clock.now())).await;
            if self.is_busy() || refusals > PATIENCE {
                return RoundEnd::Postponed;
            }
            let batch: Vec<Item> = wanted.iter().take(limits::MAX_PULLED).copied().collect();
            let request = Request::Pull { wanted: Wanted(batch.iter().map(|item| item.id).collect()) };
            match members.exchange.mesh.ask(from, request, DEADLINE).await {
                Ok(Response::Pulled { records, dealt }) if (1..=batch.len()).contains(&(dealt as usize)) => {
                    refusals = 0;
                    let dealt = wanted.drain(..dealt as usize).collect();
                    self.admit(members, records, dealt).await;
                }
                Ok(_) => {
                    refusals += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => return RoundEnd::Postponed,
            }
        }
        RoundEnd::Complete
    }

    /// Takes what a member sent for these items, and notes which of them it can't use.
    async fn admit(self: &Arc<Self>, members: &Members, records: Vec<Shared>, asked: Vec<Item>) {
        let bytes: usize = records.iter().map(|shared| cbor::encode(shared).len()).sum();
        members.syncing.taken.spend(records.len() as u64, bytes as u64, self.clock.now());
        self.counts.records_received.add_many(records.len() as u64);
        self.counts.sync_records_pulled.add_many(records.len() as u64);
        self.counts.sync_bytes_pulled.add_many(bytes as u64);
        let mut of_items: HashMap<ItemId, Vec<Shared>> = HashMap::new();
        for shared in records {
            match item_of(&shared).filter(|id| asked.iter().any(|item| item.id == *id)) {
                Some(id) => of_items.entry(id).or_default().push(shared),
                // Nobody asked for it.
                None => self.counts.records_refused.add(),
            }
        }
        let admitted = asked.into_iter().filter_map(|item| {
            let records = of_items.remove(&item.id)?;
            Some(async move { (item, self.admit_one(members, records).await) })
        });
        let mut admitted = stream::iter(admitted).buffer_unordered(AT_ONCE);
        while let Some((item, useful)) = admitted.next().await {
            if !useful {
                members.syncing.useless().note(item);
            }
        }
    }

    /// Takes the records of one item, unless what they say is too old, or older than a write. Whether anything came of it.
    async fn admit_one(&self, members: &Members, records: Vec<Shared>) -> bool {
        if !self.is_admissible(members, &records) {
            self.counts.records_refused.add_many(records.len() as u64);
            return false;
        }
        let mut useful = false;
        for shared in records {
            useful |= match self.receive(shared).await {
                Some(Receipt::Newer(..) | Receipt::Written(..)) => true,
                Some(
                    Receipt::Known
                    | Receipt::Refused
                    | Receipt::Untrue(_)
                    | Receipt::Said(_)
                    | Receipt::Present(_)
                    | Receipt::Unknown,
                )
                | None => false,
            };
        }
        useful
    }

    /// The rules for what is pulled, beyond those for gossip. Of an answer the latest confirmation counts.
    fn is_admissible(&self, members: &Members, records: &[Shared]) -> bool {
        let lifetime = self.config.freshness.proof_ttl;
        let mut scopes: Vec<Scope> = Vec::new();
        let mut latest: Option<Millis> = None;
        for shared in records {
            if Duration::from_millis(shared.age_ms) >= lifetime {
                return false;
            }
            let date = match shared.signed.record() {
                Ok(Record::Stored(stored)) => {
                    scopes = stored.scopes;
                    stored.validation.origin_date
                }
                Ok(Record::Revalidated(validation)) => validation.origin_date,
                Ok(Record::Invalidated(_)) => return true,
                Ok(_) | Err(_) => return false,
            };
            latest = latest.max(Some(members.exchange.confirmed_at(shared.age_ms, date)));
        }
        let now = self.clock.now();
        latest.is_some_and(|at| now.since(at).is_some_and(|age| age < lifetime) && self.tombstones.admit(&scopes, at))
    }
}

/// Which item a record is about.
fn item_of(shared: &Shared) -> Option<ItemId> {
    let validation = match shared.signed.record().ok()? {
        Record::Stored(stored) => stored.validation,
        Record::Revalidated(validation) => validation,
        Record::Invalidated(_) => return Some(ItemId::of_write(&shared.signed.stamp)),
        _ => return None,
    };
    Some(ItemId::of_answer(&validation.key, &validation.fingerprint))
}
