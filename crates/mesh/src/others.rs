//! Who was met and is no member of this mesh: named to the operator, never joined.
//!
//! The gate tells nothing of another mesh, so what can be said is where it is, which peer id it has, and whether it spoke the
//! gate's language. Moments are arguments.

use crate::status::{Other, OtherKind, Source};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Strangers that are remembered. When full, the one that was not met for longest makes room.
const MAX_OTHERS: usize = 32;
/// Who was not met for this long is forgotten: a stranger on the LAN is dialled every five minutes.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// The strangers.
#[derive(Debug, Default)]
pub(crate) struct Others(BTreeMap<PeerId, Met>);

#[derive(Debug)]
struct Met {
    address: Multiaddr,
    source: Source,
    kind: OtherKind,
    at: Instant,
}

impl Others {
    /// Notes that `peer` was refused, or refused this node. Where it can be dialled says more than where it came from.
    pub(crate) fn met(&mut self, peer: PeerId, address: Multiaddr, source: Source, kind: OtherKind, now: Instant) {
        self.0.retain(|_, met| now.duration_since(met.at) < FORGOTTEN_AFTER);
        if let Some(met) = self.0.get_mut(&peer) {
            met.at = now;
            // Both ends of a refusal see it; the one that dialled knows more.
            if source != Source::Inbound {
                (met.address, met.source, met.kind) = (address, source, kind);
            }
            return;
        }
        if self.0.len() >= MAX_OTHERS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, met)| met.at).map(|(peer, _)| *peer)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(peer, Met { address, source, kind, at: now });
    }

    /// It is a member now: secrets change.
    pub(crate) fn joined(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// All of them, the latest first.
    pub(crate) fn list(&self, now: Instant) -> Vec<Other> {
        let recent = self.0.iter().filter(|(_, met)| now.duration_since(met.at) < FORGOTTEN_AFTER);
        let mut all: Vec<Other> = recent
            .map(|(peer, met)| Other {
                peer_id: peer.to_string(),
                address: met.address.to_string(),
                source: met.source,
                kind: met.kind,
                seen_at: met.at,
            })
            .collect();
        all.sort_by_key(|other| std::cmp::Reverse(other.seen_at));
        all
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn address(n: u32) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{}", 1000 + n).parse().unwrap()
    }

    #[test]
    fn the_latest_stand_first_and_a_flood_is_bounded() {
        let (mut others, begun) = (Others::default(), Instant::now());
        let peers: Vec<PeerId> = (0..100).map(|_| PeerId::random()).collect();
        for (number, peer) in (0..100).zip(&peers) {
            let now = begun + Duration::from_secs(number.into());
            others.met(*peer, address(number), Source::Mdns, OtherKind::Foreign, now);
        }
        let listed = others.list(begun + Duration::from_secs(100));
        assert_eq!((listed.len(), &listed[0].peer_id), (MAX_OTHERS, &peers[99].to_string()));
        assert_eq!(listed[MAX_OTHERS - 1].peer_id, peers[100 - MAX_OTHERS].to_string());
        others.joined(&peers[99]);
        assert_eq!(others.list(begun + Duration::from_secs(100)).len(), MAX_OTHERS - 1);
        assert_eq!(others.list(begun + 2 * FORGOTTEN_AFTER), []);
    }

    #[test]
    fn where_it_can_be_dialled_counts_more_than_where_it_came_from() {
        let (mut others, now, peer) = (Others::default(), Instant::now(), PeerId::random());
        others.met(peer, address(1), Source::Inbound, OtherKind::Foreign, now);
        others.met(peer, address(2), Source::Mdns, OtherKind::OtherMesh, now);
        others.met(peer, address(3), Source::Inbound, OtherKind::Foreign, now + Duration::from_secs(1));
        let listed = others.list(now + Duration::from_secs(1));
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].address.as_str(), listed[0].kind), ("/ip4/10.0.0.1/tcp/1002", OtherKind::OtherMesh));
        assert_eq!(listed[0].seen_at, now + Duration::from_secs(1));
    }
}
