//! What members are answered that compare themselves with this node.

use super::Syncing;
use crate::exchange::offer_slot;
use crate::node::Inner;
use ghmesh_fleet::Subject;
use ghmesh_model::digest::{ItemId, Listing, Summaries, Wanted};
use ghmesh_model::wire::{Response, Shared};
use ghmesh_model::{Entry, MemberId, cbor, limits};
use std::sync::Arc;

/// Bytes of records in one response. The rest of the limit is for what stands around them.
const MAX_GIVEN_BYTES: usize = limits::CHUNK_BYTES as usize;

impl Inner {
    /// Answers a digest. `No` where this node is busy.
    pub(crate) async fn list(self: &Arc<Self>, since: u64, summaries: Summaries) -> Response {
        let Some((syncing, _serving)) = self.serving() else { return Response::No };
        let Some(stock) = self.stock_for_digests(&syncing.shelf).await else { return Response::No };
        let floor = stock.inventory.floor();
        if floor > since {
            return Response::Digest { since: floor, listing: Listing::default() };
        }
        let listed = tokio::task::spawn_blocking(move || stock.inventory.differing(since, &summaries)).await;
        listed.map_or(Response::No, |listing| Response::Digest { since, listing })
    }

    /// Answers a pull. `No` where this node is busy, or has given as much as it may.
    pub(crate) async fn give(self: &Arc<Self>, to: MemberId, wanted: Wanted) -> Response {
        let Some((syncing, _serving)) = self.serving() else { return Response::No };
        if !syncing.given.wait(self.clock.now()).is_zero() {
            return Response::No;
        }
        let Some(stock) = self.stock_for_pulls(&syncing.shelf).await else { return Response::No };
        let node = self.clone();
        let found = tokio::task::spawn_blocking(move || {
            node.gather(&wanted, |id| match stock.answer(id) {
                Some(subject) => node.answer_records(subject),
                None => node.writes.find(id, node.clock.now(), node.config.freshness.proof_ttl).into_iter().collect(),
            })
        });
        let Ok((records, dealt, bytes)) = found.await else { return Response::No };
        tracing::debug!(%to, records = records.len(), bytes, "gave what a member lacked");
        syncing.given.spend(records.len() as u64, bytes as u64, self.clock.now());
        self.counts.sync_records_given.add_many(records.len() as u64);
        self.counts.sync_bytes_given.add_many(bytes as u64);
        Response::Pulled { records, dealt }
    }

    fn serving(&self) -> Option<(&Syncing, tokio::sync::SemaphorePermit<'_>)> {
        let syncing = &self.members.get()?.syncing;
        if self.is_busy() { None } else { Some((syncing, syncing.serving.try_acquire().ok()?)) }
    }

    /// The records of as many items as fit, how many items those are, and their bytes.
    fn gather(&self, wanted: &Wanted, find: impl Fn(&ItemId) -> Vec<Shared>) -> (Vec<Shared>, u32, usize) {
        let (mut records, mut dealt, mut bytes) = (Vec::new(), 0, 0);
        for id in &wanted.0 {
            let found = find(id);
            let takes: usize = found.iter().map(|shared| cbor::encode(shared).len()).sum();
            if bytes + takes > MAX_GIVEN_BYTES {
                break;
            }
            bytes += takes;
            records.extend(found);
            dealt += 1;
        }
        (records, dealt, bytes)
    }

    /// The records of an answer, unless it has become too old or was written over since it was listed.
    fn answer_records(&self, subject: Subject) -> Vec<Shared> {
        let Some(members) = self.members.get() else { return Vec::new() };
        let written_over = |entry: &Entry| !self.tombstones.admit(&entry.scopes, entry.confirmed_at);
        if self.store.peek(&offer_slot(subject)).is_none_or(|entry| written_over(&entry)) {
            return Vec::new();
        }
        members.exchange.records_aside(subject, self.config.freshness.proof_ttl).unwrap_or_default()
    }
}
