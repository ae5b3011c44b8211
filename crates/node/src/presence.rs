//! Tells the mesh that this node is there, and keeps who else is.

use crate::node::Inner;
use ghmesh_fleet::{Input, Roster};
use ghmesh_model::wire::{Presence, Record, Shared};
use ghmesh_model::{MemberId, limits};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// The roster of one node, and whether it last reached beyond its neighbours.
#[derive(Debug, Default)]
pub(crate) struct Attendance(Mutex<Roster>, AtomicBool);

impl Attendance {
    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Begins to tell that this node is there. Ends with the node.
    pub(crate) fn attend(self: &Arc<Self>) {
        tokio::spawn(attend(Arc::downgrade(self)));
    }

    /// A member connected (`true`) or its connection ended.
    pub(crate) fn note_neighbour(&self, member: MemberId, present: bool) {
        let mut roster = self.attendance.lock();
        if present {
            roster.joined(member)
        } else {
            roster.left(member, self.clock.now())
        }
        let beyond = roster.reaches_beyond();
        drop(roster);
        self.tell_extent(beyond);
    }

    /// A member tells that it is there. Where this node has few neighbours, it gets to know it.
    pub(crate) fn hear_presence(&self, member: MemberId, presence: Presence) {
        let Some(members) = self.members.get() else { return };
        let mesh = &members.exchange.mesh;
        if member == mesh.member() {
            return;
        }
        let mut roster = self.attendance.lock();
        roster.heard(member, self.clock.now());
        if roster.is_wanted(&member) {
            mesh.suggest(member, presence.addresses);
        }
        let beyond = roster.reaches_beyond();
        drop(roster);
        self.tell_extent(beyond);
    }

    /// Whether the fleet is larger than the circle of neighbours decides who is told of fetches.
    fn tell_extent(&self, beyond: bool) {
        let known = self.attendance.1.swap(beyond, Ordering::Relaxed);
        if known != beyond {
            self.repeat_extent(beyond);
        }
    }

    fn repeat_extent(&self, beyond: bool) {
        if let Some(members) = self.members.get() {
            members.coordinator.tell(Input::Extent { beyond });
        }
    }

    /// Members of the fleet, this node included.
    pub(crate) fn fleet_size(&self) -> u64 {
        self.attendance.lock().size(self.clock.now()) as u64
    }

    fn tell_presence(&self) {
        let Some(members) = self.members.get() else { return };
        let exchange = &members.exchange;
        let addresses = dialable(exchange.mesh.status().listen_addrs);
        let (neighbours, beyond) = {
            let mut roster = self.attendance.lock();
            roster.forget_silent(self.clock.now());
            (roster.neighbours() as u64, roster.reaches_beyond())
        };
        self.attendance.1.store(beyond, Ordering::Relaxed);
        // Now and then in any case: it may have been lost, or overtaken.
        self.repeat_extent(beyond);
        let record = Record::Presence(Presence { addresses, neighbours });
        let signed = exchange.author.sign(exchange.author.stamp(), &record);
        if let Err(full) = exchange.mesh.publish(Shared { signed, age_ms: 0, body: None }) {
            tracing::debug!(%full, "members were not told that this node is there");
        }
    }
}

/// With jitter, so that nodes that start at once don't speak at once.
async fn attend(node: Weak<Inner>) {
    loop {
        let Some(interval) = interval(&node) else { return };
        tokio::time::sleep(interval.mul_f64(rand::random_range(0.75..1.25))).await;
        let Some(node) = node.upgrade() else { return };
        node.tell_presence();
    }
}

fn interval(node: &Weak<Inner>) -> Option<Duration> {
    let node = node.upgrade()?;
    let now = node.clock.now();
    Some(node.attendance.lock().interval(now))
}

/// The addresses that are worth telling: those of a loopback interface only where there are no others.
fn dialable(mut addresses: Vec<String>) -> Vec<String> {
    addresses.retain(|address| address.len() <= limits::MAX_ADDRESS_BYTES);
    addresses.sort_by_key(|address| is_loopback(address));
    let beyond = addresses.iter().position(|address| is_loopback(address)).filter(|count| *count > 0);
    addresses.truncate(beyond.unwrap_or(addresses.len()).min(limits::MAX_PRESENCE_ADDRESSES));
    addresses
}

fn is_loopback(address: &str) -> bool {
    address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addresses: &[&str]) -> Vec<String> {
        dialable(addresses.iter().map(|address| (*address).to_owned()).collect())
    }

    #[test]
    fn loopback_addresses_are_told_only_where_there_are_no_others() {
        let (loopback, lan) = ("/ip4/127.0.0.1/tcp/9000/p2p/x", "/ip4/10.0.0.1/tcp/9000/p2p/x");
        assert_eq!(told(&[loopback]), [loopback]);
        assert_eq!(told(&[loopback, lan]), [lan]);
        assert_eq!(told(&[loopback, "/ip6/::1/tcp/9000/p2p/x", lan]), [lan]);
        assert_eq!(told(&[]), Vec::<String>::new());
    }

    #[test]
    fn no_more_and_no_longer_ones_are_told_than_members_take() {
        let long = format!("/dns4/{}/tcp/1", "a".repeat(limits::MAX_ADDRESS_BYTES));
        assert_eq!(told(&[&long, "/ip4/10.0.0.1/tcp/1"]), ["/ip4/10.0.0.1/tcp/1"]);
        let many = ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1", "/ip4/10.0.0.4/tcp/1"];
        assert_eq!(told(&many), many[..limits::MAX_PRESENCE_ADDRESSES]);
    }
}
