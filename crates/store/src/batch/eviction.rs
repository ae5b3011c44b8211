//! What goes first when the store is full.
//!
//! An **answer** is what the bounds count: a caller's entry, or an offer, or both where they say the same. Then they are twins:
//! the offer has no place in any order, counts with the entry and goes with it.
//!
//! Answers that callers here asked for stand in `order`, offers that nobody here asked for in `offers`, oldest use first. The
//! oldest of all goes first. But members offer as much as they like: once their offers have more than their share, the oldest
//! offer goes, so that no flood of them takes more than that from what callers here use.

use super::{Batch, own};
use crate::memory::Used;
use crate::rows::Name;
use ghmesh_model::{Entry, limits};
use redb::{ReadableTable, ReadableTableMetadata};
use std::ops::RangeInclusive;

/// Answers that one transaction spares because they were used: bounds its work, and eviction is approximate anyway.
const MAX_SECOND_CHANCES: u32 = 64;
/// Of a full store, by count and by bytes, offers that nobody asked for hold at most one part in so many. A guess: members
/// offer what the whole fleet reads, and a caller here may want it next.
const OFFERS_SHARE: u64 = 4;
/// The place of an offer that has a twin.
pub(super) const NO_PLACE: u64 = 0;

/// An answer that may have to go.
struct Candidate {
    order: u64,
    name: Name,
    /// What an offer weighs; `None` for a caller's entry.
    offered: Option<u64>,
}

impl Batch<'_> {
    /// Answers stored.
    pub(super) fn answers(&self) -> Result<u64, redb::Error> {
        Ok(self.order.len()? + self.offers.len()?)
    }

    /// A place at the end of the order for a caller's entry.
    pub(super) fn place_entry(&mut self, name: &Name) -> Result<u64, redb::Error> {
        let order = self.next_order();
        self.order.insert(order, name)?;
        Ok(order)
    }

    /// A place at the end of the order for an offer. If it has a twin, that gets the place: what was just stored stays.
    pub(super) fn place_offer(&mut self, name: &Name, weight: u64) -> Result<u64, redb::Error> {
        let twin = self.twins.get(name)?.map(|row| *row.value());
        match twin {
            None => self.append_offer(name, weight),
            Some(entry) => {
                self.renew(&entry, None)?;
                Ok(NO_PLACE)
            }
        }
    }

    fn append_offer(&mut self, name: &Name, weight: u64) -> Result<u64, redb::Error> {
        let order = self.next_order();
        self.offers.insert(order, (name, weight))?;
        self.state.offered_bytes += weight;
        Ok(order)
    }

    fn next_order(&mut self) -> u64 {
        self.state.next_order += 1;
        self.state.next_order
    }

    /// What an offer counts towards its share. Its body counts for each that names it, and before it is here: whoever
    /// offers could else have bodies kept that count nowhere.
    pub(super) fn weight(&self, entry: &Entry, cost: u64, body_name: &Name) -> Result<u64, redb::Error> {
        let (_, length, present) = self.reference(body_name)?;
        let to_come = entry.representation.length.min(limits::MAX_INLINE_BODY_BYTES as u64);
        Ok(cost + if present { length } else { to_come })
    }

    /// Takes a place out of the order.
    pub(super) fn vacate(&mut self, order: u64) -> Result<(), redb::Error> {
        if let Some(row) = self.offers.remove(order)? {
            let (_, weight) = row.value();
            self.state.offered_bytes = self.state.offered_bytes.saturating_sub(weight);
        }
        self.order.remove(order)?;
        Ok(())
    }

    /// Makes an offer, there or to come, the twin of a caller's entry.
    pub(super) fn pair(&mut self, entry: &Name, offer: &Name) -> Result<(), redb::Error> {
        let before = self.twins.insert(offer, entry)?.map(|row| *row.value());
        if let Some(other) = before.filter(|other| other != entry) {
            self.twins.remove(&other)?;
        }
        self.twins.insert(entry, offer)?;
        let Some((order, cost, body_name)) = self.index.get(offer)?.map(|row| own(row.value())) else {
            return Ok(());
        };
        self.vacate(order)?;
        self.index.insert(offer, (NO_PLACE, cost, &body_name))?;
        Ok(())
    }

    /// A caller's entry is gone: its twin, if it has one, is an offer as any other.
    pub(super) fn part(&mut self, entry: &Name) -> Result<(), redb::Error> {
        let Some(offer) = self.twins.remove(entry)?.map(|row| *row.value()) else {
            return Ok(());
        };
        self.twins.remove(&offer)?;
        let Some((_, cost, body_name)) = self.index.get(&offer)?.map(|row| own(row.value())) else {
            return Ok(());
        };
        let (_, length, _) = self.reference(&body_name)?;
        let order = self.append_offer(&offer, cost + length)?;
        self.index.insert(&offer, (order, cost, &body_name))?;
        Ok(())
    }

    /// Evicts down to the bounds.
    pub(super) fn evict(&mut self, used: &Used) -> Result<(), redb::Error> {
        let mut chances = MAX_SECOND_CHANCES;
        let stored_now = self.first_order..=self.state.next_order;
        while self.state.bytes > self.bounds.bytes || self.answers()? > self.bounds.entries {
            let Some(candidate) = self.pop_candidate()? else { return Ok(()) };
            if self.is_spared(&candidate, &stored_now, &mut chances, used)? {
                self.renew(&candidate.name, candidate.offered)?;
            } else {
                self.take_out_with_twin(&candidate.name)?;
            }
        }
        Ok(())
    }

    fn pop_candidate(&mut self) -> Result<Option<Candidate>, redb::Error> {
        let oldest_entry = self.order.first()?.map(|(order, _)| order.value());
        let oldest_offer = self.offers.first()?.map(|(order, _)| order.value());
        let offer_is_older = oldest_offer.is_some_and(|offer| oldest_entry.is_none_or(|entry| offer < entry));
        if !offer_is_older && !self.offers_exceed_their_share()? {
            let popped = self.order.pop_first()?;
            return Ok(popped.map(|(order, name)| Candidate {
                order: order.value(),
                name: *name.value(),
                offered: None,
            }));
        }
        let Some((order, row)) = self.offers.pop_first()? else { return Ok(None) };
        let (name, weight) = row.value();
        self.state.offered_bytes = self.state.offered_bytes.saturating_sub(weight);
        Ok(Some(Candidate { order: order.value(), name: *name, offered: Some(weight) }))
    }

    fn offers_exceed_their_share(&self) -> Result<bool, redb::Error> {
        let most = (self.bounds.entries / OFFERS_SHARE).max(1);
        let offers = self.offers.len()?;
        Ok(offers > most || offers > 1 && self.state.offered_bytes > self.bounds.bytes / OFFERS_SHARE)
    }

    fn is_spared(
        &self,
        candidate: &Candidate,
        stored_now: &RangeInclusive<u64>,
        chances: &mut u32,
        used: &Used,
    ) -> Result<bool, redb::Error> {
        // What spared answers have overtaken must not go before it could be used.
        if stored_now.contains(&candidate.order) {
            return Ok(true);
        }
        let twin = self.twins.get(&candidate.name)?.map(|row| *row.value());
        let twin_used = twin.is_some_and(|twin| used.take(&twin));
        let spared = *chances > 0 && (used.take(&candidate.name) || twin_used);
        *chances -= u32::from(spared);
        Ok(spared)
    }

    /// Puts an answer at the end of its order. `offered` is what an offer weighs; `None` for a caller's entry.
    fn renew(&mut self, name: &Name, offered: Option<u64>) -> Result<(), redb::Error> {
        let Some((order, cost, body_name)) = self.index.get(name)?.map(|row| own(row.value())) else {
            return Ok(());
        };
        self.vacate(order)?;
        let order = match offered {
            Some(weight) => self.append_offer(name, weight)?,
            None => self.place_entry(name)?,
        };
        self.index.insert(name, (order, cost, &body_name))?;
        Ok(())
    }

    fn take_out_with_twin(&mut self, name: &Name) -> Result<(), redb::Error> {
        let twin = self.twins.get(name)?.map(|row| *row.value());
        if let Some(twin) = twin {
            self.take_out(&twin)?;
        }
        self.take_out(name)
    }
}
