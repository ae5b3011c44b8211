//! One write transaction: what each change does to the tables.
//!
//! Invariants, kept within every transaction: each entry has one row in `entries` and `index`, and one in `order` or `offers`
//! unless it is an offer with a twin; `references` counts the entries that name a body; a body is there as long as one
//! does and `references` says so; `State::bytes` is the sum of costs and of the lengths of bodies that are there;
//! `State::offered_bytes` is the sum of weights in `offers`.

mod eviction;

use crate::error::StoreError;
use crate::memory::{CachedEntry, Effect, Used};
use crate::rows::{self, CHUNK_BYTES, ENTRY_OVERHEAD_BYTES, EntryRow, EntryRowRef, MAX_ENTRY_BYTES, Name, State};
use crate::rows::{RememberedPeer, Slot, Unfinished};
use crate::store::{MAX_PEERS, MAX_TOMBSTONES, MAX_WRITES};
use bytes::Bytes;
use ghmesh_model::{BodyCid, Entry, MemberId, Millis, Scope, cbor, limits};
use ghmesh_seal::DataKey;
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use std::sync::Arc;

/// One thing to write.
pub(crate) enum Change {
    Put {
        slot: Slot,
        entry: Arc<Entry>,
        body: Option<Bytes>,
    },
    Remove(Slot),
    Remember(RememberedPeer),
    Forget(MemberId),
    Bury(Vec<(Scope, Millis)>),
    ReplaceTombstones(Vec<(Scope, Millis)>),
    BeginWrite(Unfinished),
    EndWrites(Vec<[u8; 16]>),
    /// Nothing but the clock.
    Mark,
}

/// What evictions hold.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// A change's failure, told apart from a failure of the whole transaction.
pub(crate) type Outcome = Result<Result<(), StoreError>, redb::Error>;

/// The open tables of one transaction.
pub(crate) struct Batch<'t> {
    key: &'t DataKey,
    bounds: Bounds,
    pub(crate) state: State,
    pub(crate) effects: Vec<Effect>,
    /// The first place in the order that this transaction gives.
    first_order: u64,
    meta: Table<'t, &'static str, &'static [u8]>,
    entries: Table<'t, &'static Name, &'static [u8]>,
    bodies: Table<'t, (&'static Name, u32), &'static [u8]>,
    peers: Table<'t, &'static Name, &'static [u8]>,
    tombstones: Table<'t, &'static Name, &'static [u8]>,
    writes: Table<'t, &'static Name, &'static [u8]>,
    index: Table<'t, &'static Name, (u64, u64, &'static Name)>,
    order: Table<'t, u64, &'static Name>,
    offers: Table<'t, u64, (&'static Name, u64)>,
    twins: Table<'t, &'static Name, &'static Name>,
    known: Table<'t, (&'static Name, u64, &'static Name), ()>,
    references: Table<'t, &'static Name, (u64, u64, bool)>,
}

impl<'t> Batch<'t> {
    /// Opens the tables, making those that are missing.
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        key: &'t DataKey,
        bounds: Bounds,
        state: State,
    ) -> Result<Self, redb::Error> {
        Ok(Batch {
            key,
            bounds,
            state,
            effects: Vec::new(),
            first_order: state.next_order + 1,
            meta: transaction.open_table(rows::META)?,
            entries: transaction.open_table(rows::ENTRIES)?,
            bodies: transaction.open_table(rows::BODIES)?,
            peers: transaction.open_table(rows::PEERS)?,
            tombstones: transaction.open_table(rows::TOMBSTONES)?,
            writes: transaction.open_table(rows::WRITES)?,
            index: transaction.open_table(rows::INDEX)?,
            order: transaction.open_table(rows::ORDER)?,
            offers: transaction.open_table(rows::OFFERS)?,
            twins: transaction.open_table(rows::TWINS)?,
            known: transaction.open_table(rows::KNOWN)?,
            references: transaction.open_table(rows::REFERENCES)?,
        })
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Put { slot, entry, body } => self.put(slot, entry, body.as_ref()),
            Change::Remove(slot) => self.remove(slot).map(Ok),
            Change::Remember(peer) => self.remember(peer).map(Ok),
            Change::Forget(member) => {
                self.peers.remove(&rows::peer_name(self.key, member))?;
                Ok(Ok(()))
            }
            Change::Bury(tombstones) => self.bury(tombstones),
            Change::ReplaceTombstones(tombstones) => {
                self.tombstones.retain(|_, _| false)?;
                self.bury(tombstones)
            }
            Change::BeginWrite(write) => self.begin_write(write),
            Change::EndWrites(ids) => {
                for id in ids {
                    self.writes.remove(&rows::write_name(self.key, id))?;
                }
                Ok(Ok(()))
            }
            Change::Mark => Ok(Ok(())),
        }
    }

    /// Evicts down to the bounds, writes the state, and gives it back, with what memory must learn and how many answers are
    /// stored. The transaction is still to be committed.
    pub(crate) fn finish(mut self, used: &Used, now: Millis) -> Result<(State, Vec<Effect>, u64), redb::Error> {
        self.evict(used)?;
        self.state.clock = now;
        self.meta.insert(rows::STATE_ROW, rows::seal_state(self.key, &self.state).as_slice())?;
        let answers = self.answers()?;
        Ok((self.state, self.effects, answers))
    }

    fn put(&mut self, slot: &Slot, entry: &Arc<Entry>, body: Option<&Bytes>) -> Outcome {
        let cid = entry.representation.cid;
        let name = slot.name(self.key);
        let body_name = rows::body_name(self.key, &cid);
        let plain = cbor::encode(&EntryRowRef { slot, entry, boot: self.state.boot });
        let present = self.references.get(&body_name)?.is_some_and(|row| row.value().2);
        if let Err(refused) = self.check(slot, entry, plain.len(), body, present) {
            return Ok(Err(refused));
        }
        // Counted before the old entry goes: the same body is then not freed and written again.
        self.refer(&body_name)?;
        self.take_out(&name)?;
        if let Some(body) = body.filter(|_| !present) {
            self.write_body(&body_name, body)?;
        }
        self.write_entry((slot, entry), &name, &body_name, &plain)?;
        self.tell_memory(slot, entry, name, plain.len(), body);
        Ok(Ok(()))
    }

    fn check(
        &self,
        slot: &Slot,
        entry: &Entry,
        encoded: usize,
        body: Option<&Bytes>,
        present: bool,
    ) -> Result<(), StoreError> {
        let representation = &entry.representation;
        fits(encoded as u64, MAX_ENTRY_BYTES as u64)?;
        let Some(body) = body else {
            return match slot {
                Slot::Local(..) if !present => Err(StoreError::BodyMissing { cid: representation.cid }),
                Slot::Local(..) | Slot::Offer(..) => Ok(()),
            };
        };
        fits(body.len() as u64, limits::MAX_BODY_BYTES)?;
        fits(body.len() as u64 + encoded as u64 + ENTRY_OVERHEAD_BYTES, self.bounds.bytes)?;
        if body.len() as u64 == representation.length && (present || representation.cid.names(body)) {
            Ok(())
        } else {
            Err(StoreError::BodyMismatch { cid: representation.cid })
        }
    }

    /// What this node's callers asked for goes into memory; what peers offer waits on disk until somebody asks.
    fn tell_memory(&mut self, slot: &Slot, entry: &Arc<Entry>, name: Name, encoded: usize, body: Option<&Bytes>) {
        match slot {
            Slot::Local(..) => {
                let bytes = u32::try_from(encoded).expect("an entry's encoding was checked to be small");
                self.effects.push(Effect::EntryStored(*slot, CachedEntry { entry: entry.clone(), name, bytes }));
                self.effects.extend(body.map(|body| Effect::BodyStored(entry.representation.cid, body.clone())));
            }
            Slot::Offer(..) => self.effects.push(Effect::EntryGone(*slot)),
        }
    }

    fn write_entry(
        &mut self,
        (slot, entry): (&Slot, &Entry),
        name: &Name,
        body_name: &Name,
        plain: &[u8],
    ) -> Result<(), redb::Error> {
        let cost = plain.len() as u64 + ENTRY_OVERHEAD_BYTES;
        let sealed = rows::seal_bytes(self.key, "entries/1", name, plain);
        self.entries.insert(name, sealed.as_slice())?;
        let (group, place) = rows::known_place(self.key, slot, entry);
        self.known.insert((&group, place, name), ())?;
        self.state.bytes += cost;
        let order = match slot {
            Slot::Local(..) => self.place_entry(name)?,
            Slot::Offer(..) => self.place_offer(name, self.weight(entry, cost, body_name)?)?,
        };
        self.index.insert(name, (order, cost, body_name))?;
        match slot.twin(entry) {
            Some(offer) => self.pair(name, &offer.name(self.key)),
            None => Ok(()),
        }
    }

    fn remove(&mut self, slot: &Slot) -> Result<(), redb::Error> {
        self.take_out(&slot.name(self.key))
    }

    /// Removes an entry, if it is there, and the body that nothing else names.
    fn take_out(&mut self, name: &Name) -> Result<(), redb::Error> {
        let Some((order, cost, body_name)) = self.index.remove(name)?.map(|row| own(row.value())) else {
            return Ok(());
        };
        self.vacate(order)?;
        if order != eviction::NO_PLACE {
            self.part(name)?;
        }
        self.state.bytes = self.state.bytes.saturating_sub(cost);
        let old = self.entries.remove(name)?.and_then(|sealed| EntryRow::open(self.key, name, sealed.value()));
        let freed = self.release(&body_name)?;
        match old {
            Some(old) => {
                let (group, place) = rows::known_place(self.key, &old.slot, &old.entry);
                self.known.remove((&group, place, name))?;
                self.effects.push(Effect::EntryGone(old.slot));
                self.effects.extend(freed.then_some(Effect::BodyGone(old.entry.representation.cid)));
            }
            None => self.effects.push(Effect::Unknown),
        }
        Ok(())
    }

    fn refer(&mut self, body_name: &Name) -> Result<(), redb::Error> {
        let (count, length, present) = self.reference(body_name)?;
        self.references.insert(body_name, (count + 1, length, present))?;
        Ok(())
    }

    /// One entry less names the body. Whether that freed it.
    fn release(&mut self, body_name: &Name) -> Result<bool, redb::Error> {
        let (count, length, present) = self.reference(body_name)?;
        if count > 1 {
            self.references.insert(body_name, (count - 1, length, present))?;
            return Ok(false);
        }
        self.references.remove(body_name)?;
        if present {
            self.bodies.retain_in((body_name, 0)..=(body_name, u32::MAX), |_, _| false)?;
            self.state.bytes = self.state.bytes.saturating_sub(length);
        }
        Ok(present)
    }

    fn reference(&self, body_name: &Name) -> Result<(u64, u64, bool), redb::Error> {
        Ok(self.references.get(body_name)?.map_or((0, 0, false), |row| row.value()))
    }

    fn write_body(&mut self, body_name: &Name, body: &Bytes) -> Result<(), redb::Error> {
        for (number, chunk) in (0..).zip(body.chunks(CHUNK_BYTES)) {
            let sealed = rows::seal_bytes(self.key, "bodies/1", &rows::chunk_row(body_name, number), chunk);
            self.bodies.insert((body_name, number), sealed.as_slice())?;
        }
        let (count, _, _) = self.reference(body_name)?;
        self.references.insert(body_name, (count, body.len() as u64, true))?;
        self.state.bytes += body.len() as u64;
        Ok(())
    }

    fn remember(&mut self, peer: &RememberedPeer) -> Result<(), redb::Error> {
        let name = rows::peer_name(self.key, &peer.member);
        let sealed = rows::seal_peer(self.key, &name, peer);
        self.peers.insert(&name, sealed.as_slice())?;
        while self.peers.len()? > MAX_PEERS as u64 {
            let Some(oldest) = self.least_recent_peer(&name)? else { return Ok(()) };
            self.peers.remove(&oldest)?;
        }
        Ok(())
    }

    /// The peer, other than `kept`, that was not seen for the longest time; a damaged row before all others.
    fn least_recent_peer(&self, kept: &Name) -> Result<Option<Name>, redb::Error> {
        let mut oldest: Option<(Millis, Name)> = None;
        for row in self.peers.iter()? {
            let (name, sealed) = row?;
            let name = *name.value();
            let seen = rows::open_peer(self.key, &name, sealed.value()).map_or(Millis(0), |peer| peer.last_seen);
            if name != *kept && oldest.is_none_or(|(least, _)| seen < least) {
                oldest = Some((seen, name));
            }
        }
        Ok(oldest.map(|(_, name)| name))
    }

    fn begin_write(&mut self, write: &Unfinished) -> Outcome {
        if self.writes.len()? >= MAX_WRITES {
            return Ok(Err(StoreError::TooManyWrites { limit: MAX_WRITES }));
        }
        let name = rows::write_name(self.key, &write.id);
        self.writes.insert(&name, rows::seal_write(self.key, &name, write).as_slice())?;
        Ok(Ok(()))
    }

    fn bury(&mut self, tombstones: &[(Scope, Millis)]) -> Outcome {
        if self.tombstones.len()? + tombstones.len() as u64 > MAX_TOMBSTONES {
            return Ok(Err(StoreError::TooManyTombstones { limit: MAX_TOMBSTONES }));
        }
        for (scope, at) in tombstones {
            let name = rows::tombstone_name(self.key, scope);
            let known = self.tombstones.get(&name)?.and_then(|row| rows::open_tombstone(self.key, &name, row.value()));
            let latest = known.map_or(*at, |(_, known)| known.max(*at));
            let sealed = rows::seal_tombstone(self.key, &name, &(*scope, latest));
            self.tombstones.insert(&name, sealed.as_slice())?;
        }
        Ok(Ok(()))
    }
}

fn fits(bytes: u64, limit: u64) -> Result<(), StoreError> {
    if bytes > limit { Err(StoreError::TooLarge { bytes, limit }) } else { Ok(()) }
}

fn own((order, cost, name): (u64, u64, &Name)) -> (u64, u64, Name) {
    (order, cost, *name)
}

/// A body as a snapshot has it.
pub(crate) fn read_body(
    transaction: &redb::ReadTransaction,
    key: &DataKey,
    cid: &BodyCid,
) -> Result<Option<Bytes>, redb::Error> {
    let name = rows::body_name(key, cid);
    let Some((_, length, true)) = transaction.open_table(rows::REFERENCES)?.get(&name)?.map(|row| row.value()) else {
        return Ok(None);
    };
    let mut body = Vec::with_capacity(usize::try_from(length.min(limits::MAX_BODY_BYTES)).unwrap_or(0));
    for row in transaction.open_table(rows::BODIES)?.range((&name, 0)..=(&name, u32::MAX))? {
        let (chunk, sealed) = row?;
        let place = rows::chunk_row(&name, chunk.value().1);
        match key.open_row("bodies/1", &place, sealed.value(), CHUNK_BYTES) {
            Ok(bytes) if body.len() + bytes.len() <= body.capacity() => body.extend_from_slice(&bytes),
            Ok(_) | Err(_) => break,
        }
    }
    if body.len() as u64 == length {
        return Ok(Some(Bytes::from(body)));
    }
    tracing::warn!(%cid, "a damaged body in the cache");
    Ok(None)
}

/// The length of a body as a snapshot has it, and `length` of its bytes from `offset` on, or fewer where it ends. Reads no more rows
/// than those take.
pub(crate) fn read_part(
    transaction: &redb::ReadTransaction,
    key: &DataKey,
    cid: &BodyCid,
    offset: u64,
    length: usize,
) -> Result<Option<(u64, Bytes)>, redb::Error> {
    let name = rows::body_name(key, cid);
    let Some((_, whole, true)) = transaction.open_table(rows::REFERENCES)?.get(&name)?.map(|row| row.value()) else {
        return Ok(None);
    };
    if offset > whole {
        return Ok(None);
    }
    let wanted = usize::try_from(whole - offset).unwrap_or(usize::MAX).min(length);
    let row_bytes = CHUNK_BYTES as u64;
    let first = u32::try_from(offset / row_bytes).unwrap_or(u32::MAX);
    let mut skipped = usize::try_from(offset % row_bytes).unwrap_or(0);
    let mut part = Vec::with_capacity(wanted);
    for row in transaction.open_table(rows::BODIES)?.range((&name, first)..=(&name, u32::MAX))? {
        if part.len() == wanted {
            break;
        }
        let (chunk, sealed) = row?;
        let place = rows::chunk_row(&name, chunk.value().1);
        let Ok(bytes) = key.open_row("bodies/1", &place, sealed.value(), CHUNK_BYTES) else { break };
        let bytes = bytes.get(skipped..).unwrap_or_default();
        part.extend_from_slice(&bytes[..bytes.len().min(wanted - part.len())]);
        skipped = 0;
    }
    if part.len() == wanted {
        return Ok(Some((whole, Bytes::from(part))));
    }
    tracing::warn!(%cid, "a damaged body in the cache");
    Ok(None)
}
