//! Reading for members: what there is to tell them, the newest first, and parts of bodies.

use crate::batch::read_part;
use crate::memory::Used;
use crate::rows::{self, EntryRow, Name, Slot};
use crate::store::{Shared, Store};
use bytes::Bytes;
use ghmesh_model::{BodyCid, Entry, Fingerprint, WireKey};
use redb::{ReadTransaction, ReadableTable};
use std::sync::Arc;

/// What members may be told, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// K under the mesh key.
    pub key: WireKey,
    /// F.
    pub fingerprint: Fingerprint,
    /// The offer.
    pub entry: Entry,
    /// Whether a caller of this node has asked for it: it is the twin of a caller's entry.
    pub asked: bool,
    /// Whether it, or its twin, was used since eviction last looked at it.
    pub used: bool,
    /// Whether its body is here.
    pub has_body: bool,
}

impl Store {
    /// What `pick` makes of the offers, the most recently stored first; looks at `most` answers at most, on one snapshot. Each costs some
    /// microseconds of decryption: call it on a blocking thread.
    pub fn newest_offers<T>(&self, most: usize, pick: impl FnMut(Offered) -> Option<T>) -> Vec<T> {
        let shared = self.shared();
        shared.read("offers", |transaction| shared.newest_offers(transaction, most, pick)).unwrap_or_default()
    }

    /// The entry in `slot` without counting as a use of it, and without bringing it into memory: for what callers did not ask for.
    pub fn peek(&self, slot: &Slot) -> Option<Arc<Entry>> {
        let shared = self.shared();
        shared.memory.entry_at_hand(slot).or_else(|| Some(shared.read_entry(slot)?.entry))
    }

    /// Whether the body that `cid` names is here.
    pub fn has_body(&self, cid: &BodyCid) -> bool {
        let shared = self.shared();
        let read = |transaction: &ReadTransaction| {
            let name = rows::body_name(&shared.key, cid);
            Ok(transaction.open_table(rows::REFERENCES)?.get(&name)?.is_some_and(|row| row.value().2))
        };
        shared.memory.body_at_hand(cid).is_some() || shared.read("whether a body is here", read).unwrap_or_default()
    }

    /// The length of the body that `cid` names, and its bytes from `offset` on, at most `length`. From disk it reads no more than
    /// those.
    pub fn body_part(&self, cid: &BodyCid, offset: u64, length: usize) -> Option<(u64, Bytes)> {
        let shared = self.shared();
        if let Some(body) = shared.memory.body_at_hand(cid) {
            let start = usize::try_from(offset).ok().filter(|start| *start <= body.len())?;
            let end = body.len().min(start.saturating_add(length));
            return Some((body.len() as u64, body.slice(start..end)));
        }
        shared
            .read("a part of a body", |transaction| read_part(transaction, &shared.key, cid, offset, length))
            .flatten()
    }
}

impl Shared {
    fn newest_offers<T>(
        &self,
        transaction: &ReadTransaction,
        most: usize,
        mut pick: impl FnMut(Offered) -> Option<T>,
    ) -> Result<Vec<T>, redb::Error> {
        let (order, offers) = (transaction.open_table(rows::ORDER)?, transaction.open_table(rows::OFFERS)?);
        let mut asked = order.iter()?.rev().peekable();
        let mut offered = offers.iter()?.rev().peekable();
        let finder = Finder::open(self, transaction)?;
        let mut picked = Vec::new();
        for _ in 0..most {
            // Both are counted by the same number: the larger one was stored later.
            let asked_at = asked.peek().and_then(|row| row.as_ref().ok()).map(|(place, _)| place.value());
            let offered_at = offered.peek().and_then(|row| row.as_ref().ok()).map(|(place, _)| place.value());
            let found = if asked_at > offered_at {
                let Some((_, name)) = asked.next().transpose()? else { break };
                finder.twin_of(name.value())?
            } else {
                let Some((_, row)) = offered.next().transpose()? else { break };
                finder.offer(row.value().0, None)?
            };
            picked.extend(found.and_then(&mut pick));
        }
        Ok(picked)
    }
}

/// The tables in which an offer is found.
struct Finder<'s> {
    shared: &'s Shared,
    used: &'s Used,
    entries: redb::ReadOnlyTable<&'static Name, &'static [u8]>,
    twins: redb::ReadOnlyTable<&'static Name, &'static Name>,
    references: redb::ReadOnlyTable<&'static Name, (u64, u64, bool)>,
}

impl<'s> Finder<'s> {
    fn open(shared: &'s Shared, transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Finder {
            shared,
            used: shared.memory.used(),
            entries: transaction.open_table(rows::ENTRIES)?,
            twins: transaction.open_table(rows::TWINS)?,
            references: transaction.open_table(rows::REFERENCES)?,
        })
    }

    /// The offer that says the same as a caller's entry, if there is one.
    fn twin_of(&self, name: &Name) -> Result<Option<Offered>, redb::Error> {
        match self.twins.get(name)?.map(|twin| *twin.value()) {
            Some(offer) => self.offer(&offer, Some(name)),
            None => Ok(None),
        }
    }

    fn offer(&self, name: &Name, twin: Option<&Name>) -> Result<Option<Offered>, redb::Error> {
        let key = &self.shared.key;
        let opened = self.entries.get(name)?.and_then(|sealed| EntryRow::open(key, name, sealed.value()));
        let Some(row) = opened else { return Ok(None) };
        let Slot::Offer(wire_key, fingerprint) = row.slot else { return Ok(None) };
        let body = rows::body_name(key, &row.entry.representation.cid);
        Ok(Some(Offered {
            key: wire_key,
            fingerprint,
            entry: self.shared.aged(row),
            asked: twin.is_some(),
            used: self.used.was_marked(name) || twin.is_some_and(|twin| self.used.was_marked(twin)),
            has_body: self.references.get(&body)?.is_some_and(|reference| reference.value().2),
        }))
    }
}
