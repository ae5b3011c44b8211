//! Secrets that change while the swarm runs: topics, connections, and which secret is shared under.

use super::Task;
use crate::behaviour::topic;
use crate::renewal;
use libp2p::PeerId;
use libp2p::gossipsub::TopicHash;
use std::collections::BTreeSet;
use std::time::Instant;

impl Task<'_> {
    /// The secrets are others. `cut`: no connection outlives it.
    pub(super) fn on_rings(&mut self, cut: bool, dropped: bool) {
        self.subscribe();
        if cut {
            self.unsubscribe();
            self.held.clear();
            let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
            tracing::warn!(connections = peers.len(), "closing every connection: other secrets are compromised");
            for peer in peers {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        } else if dropped {
            let peers: Vec<PeerId> = self.core.members.keys().copied().collect();
            peers.into_iter().for_each(|peer| self.renew(peer));
        }
        self.lead();
        self.changed = true;
    }

    /// Asks a member to prove itself under a secret that is still held. It learns so, too, that the others are not.
    pub(super) fn renew(&self, peer: PeerId) {
        let (rings, local) = (self.core.blueprint.rings.clone(), *self.swarm.local_peer_id());
        tokio::spawn(renewal::renew(rings, local, peer, self.core.own_commands.clone()));
    }

    /// A connection has come up. One whose secret was dropped while it stood at the gate goes; who holds another comes back.
    pub(super) fn check_proof(&mut self, peer: PeerId) {
        if self.core.blueprint.rings.is_proved(&peer) {
            return;
        }
        tracing::debug!(%peer, "its secret was dropped while it was let in");
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    /// A member asks to be shared with under the secret of this label alone.
    pub(super) fn on_renewing(&mut self, peer: &PeerId, label: &str) {
        let held = self.core.blueprint.rings.held();
        let Some(ring) = held.iter().find(|ring| ring.label() == label) else { return };
        if let Some(member) = self.core.members.get_mut(peer) {
            member.topics = BTreeSet::from([topic(ring).hash()]);
        }
        self.lead();
    }

    pub(super) fn on_subscription(&mut self, peer: &PeerId, topic: TopicHash, subscribed: bool) {
        let Some(member) = self.core.members.get_mut(peer) else { return };
        if subscribed {
            member.topics.insert(topic)
        } else {
            member.topics.remove(&topic)
        };
        self.lead();
    }

    /// Ends what was kept for dropped secrets, if it is time: topics, and connections of those who have not proved that they
    /// hold another.
    pub(super) fn retire(&mut self, now: Instant) {
        let rings = self.core.blueprint.rings.clone();
        if !rings.retire(now) {
            return;
        }
        self.unsubscribe();
        let unproved: Vec<PeerId> = self.core.members.keys().filter(|peer| !rings.is_proved(peer)).copied().collect();
        for peer in unproved {
            tracing::info!(%peer, "closing the connection of a member that holds a dropped secret only");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Chooses what to share under: of what all connected members hold, what every node would choose.
    pub(super) fn lead(&mut self) {
        let rings = &self.core.blueprint.rings;
        let held = rings.held();
        if held.len() == 1 {
            return;
        }
        // Who has subscribed to nothing has just come.
        let known: Vec<_> = self.core.members.values().filter(|member| !member.topics.is_empty()).collect();
        let is_common = |topic: TopicHash| known.iter().all(|member| member.topics.contains(&topic));
        let common = held.iter().filter(|ring| is_common(topic(ring).hash()));
        let leading = common.min_by_key(|ring| ring.label()).unwrap_or(&held[0]);
        rings.lead(leading.label());
    }

    fn subscribe(&mut self) {
        for ring in self.core.blueprint.rings.held().iter() {
            if let Err(error) = self.swarm.behaviour_mut().gossip.subscribe(&topic(ring)) {
                tracing::warn!(%error, "cannot subscribe to the topic of a secret");
            }
        }
    }

    fn unsubscribe(&mut self) {
        let held: Vec<TopicHash> = self.core.blueprint.rings.held().iter().map(|ring| topic(ring).hash()).collect();
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let dropped: Vec<TopicHash> = gossip.topics().filter(|topic| !held.contains(topic)).cloned().collect();
        for topic in dropped {
            gossip.unsubscribe(&libp2p::gossipsub::IdentTopic::new(topic.into_string()));
        }
    }
}
