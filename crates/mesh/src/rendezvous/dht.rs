//! One visit to the DHT: a small swarm of its own that asks for records and leaves one, and is dropped.
//!
//! It has nothing to do with the mesh's swarm: another key each time, no listener, no gate, no protocol but Kademlia's and
//! identify. Those whom it meets are strangers, and learn the IP address that asks and the names it asks for. What they answer is
//! as good as its signature, which is not checked here.

use futures::StreamExt;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::futures::future::Either;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, PutRecordError, QueryId, QueryResult, Quorum};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport, connection_limits, dns, identify, noise, quic, tcp, yamux,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Dialling by TCP, and the handshakes. QUIC has a limit of its own of as long.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// One request of a query.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// All questions of a visit together, and leaving a record. What has come until then counts.
const READ_LIMIT: Duration = Duration::from_secs(45);
const WRITE_LIMIT: Duration = Duration::from_secs(45);
/// Connections at once, and dials. Queries go on as others end.
const MAX_CONNECTIONS: u32 = 96;
const MAX_DIALS: u32 = 32;
/// An answer names 20 peers with all their addresses.
const MAX_ANSWER_BYTES: usize = 128 * 1024;
/// A record's copies, from as many nodes, that are enough. More are not waited for.
const ENOUGH_COPIES: usize = 8;
/// Nodes of the DHT that are remembered for the next visit.
const MAX_KNOWN: usize = 32;
/// Nodes that must agree on the address at which they see this one.
const WITNESSES: usize = 2;
/// What identify calls the network, as all of its nodes do.
const NETWORK: &str = "ipfs/0.1.0";

/// A node of the DHT.
pub(super) type Contact = (PeerId, Multiaddr);

/// Which DHT.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The nodes that are asked first.
    pub(crate) bootstrap: Vec<Contact>,
    /// Kademlia's protocol there.
    pub(crate) protocol: StreamProtocol,
}

/// Why a visit came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum VisitError {
    /// The swarm could not be built.
    #[error("the transport cannot be built: {0}")]
    Transport(#[from] noise::Error),
    /// No node answered.
    #[error("no node of the DHT can be reached: {}", .0.as_deref().unwrap_or("none answered in time"))]
    Unreachable(Option<String>),
    /// No node kept the record.
    #[error("no node of the DHT keeps this node's addresses")]
    NotKept,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    kademlia: kad::Behaviour<MemoryStore>,
}

/// The swarm of one visit.
pub(super) struct Visit {
    swarm: Swarm<Behaviour>,
    /// Where each node says that it sees this one.
    seen_as: BTreeMap<PeerId, IpAddr>,
    reached: BTreeSet<PeerId>,
    last_error: Option<String>,
}

impl Visit {
    /// A swarm that knows whom to ask. Nothing is dialled yet.
    pub(super) fn new(network: &Network, known: &[Contact]) -> Result<Self, VisitError> {
        let keypair = Keypair::generate_ed25519();
        let local = keypair.public().to_peer_id();
        let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(REQUEST_LIMIT);
        let mut swarm = Swarm::new(transport(&keypair)?, behaviour(&keypair, network.protocol.clone()), local, config);
        for (peer, address) in network.bootstrap.iter().chain(known) {
            swarm.behaviour_mut().kademlia.add_address(peer, address.clone());
        }
        Ok(Visit { swarm, seen_as: BTreeMap::new(), reached: BTreeSet::new(), last_error: None })
    }

    /// Copies of the records under `keys`, as the nodes have them: any number, of any age, by anybody.
    ///
    /// # Errors
    /// [`VisitError::Unreachable`] if no node could be asked.
    pub(super) async fn read(&mut self, keys: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, VisitError> {
        let deadline = Instant::now() + READ_LIMIT;
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        let mut pending: HashMap<QueryId, usize> =
            keys.into_iter().map(|key| (kademlia.get_record(key.into()), 0)).collect();
        let mut copies = Vec::new();
        while !pending.is_empty() {
            let Some((id, result, last)) = self.progress(deadline).await else { break };
            let Some(found) = pending.get_mut(&id) else { continue };
            if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found_record))) = result {
                *found += 1;
                copies.push((found_record.record.key.to_vec(), found_record.record.value));
            }
            if *found >= ENOUGH_COPIES
                && let Some(mut query) = self.swarm.behaviour_mut().kademlia.query_mut(&id)
            {
                query.finish();
            }
            if last {
                pending.remove(&id);
            }
        }
        if self.reached.is_empty() { Err(VisitError::Unreachable(self.last_error.take())) } else { Ok(copies) }
    }

    /// Leaves a record with the nodes that are nearest to its key. One that keeps it is enough.
    ///
    /// # Errors
    /// [`VisitError::NotKept`] if none does, as where another record with a higher sequence number came first.
    pub(super) async fn write(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), VisitError> {
        let deadline = Instant::now() + WRITE_LIMIT;
        let record = kad::Record::new(key, value);
        let query = self.swarm.behaviour_mut().kademlia.put_record(record, Quorum::One);
        let query = query.map_err(|_| VisitError::NotKept)?;
        while let Some((id, result, _)) = self.progress(deadline).await {
            if id != query {
                continue;
            }
            return match result {
                QueryResult::PutRecord(Ok(_)) => Ok(()),
                QueryResult::PutRecord(Err(
                    PutRecordError::QuorumFailed { success, .. } | PutRecordError::Timeout { success, .. },
                )) if !success.is_empty() => Ok(()),
                _ => Err(VisitError::NotKept),
            };
        }
        Err(VisitError::NotKept)
    }

    /// The address of this node as others see it, if enough agree.
    pub(super) fn seen_as(&self) -> Option<IpAddr> {
        agreed(self.seen_as.values().copied())
    }

    /// Nodes that were reached, to begin with the next time.
    pub(super) fn known(mut self) -> Vec<Contact> {
        let reached = &self.reached;
        let buckets = self.swarm.behaviour_mut().kademlia.kbuckets();
        let nodes = buckets.flat_map(|bucket| {
            bucket
                .iter()
                .map(|node| (*node.node.key.preimage(), node.node.value.first().clone()))
                .collect::<Vec<Contact>>()
        });
        nodes.filter(|(peer, _)| reached.contains(peer)).take(MAX_KNOWN).collect()
    }

    /// The next step of any query, or nothing before `deadline`.
    async fn progress(&mut self, deadline: Instant) -> Option<(QueryId, QueryResult, bool)> {
        loop {
            let event = tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await.ok()?;
            match event {
                SwarmEvent::Behaviour(BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed {
                    id,
                    result,
                    step,
                    ..
                })) => return Some((id, result, step.last)),
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                    peer_id, info, ..
                })) => {
                    if let Some(ip) = crate::book::ip_of(&info.observed_addr) {
                        self.seen_as.insert(peer_id, ip);
                    }
                }
                SwarmEvent::ConnectionEstablished { peer_id, .. } => drop(self.reached.insert(peer_id)),
                SwarmEvent::OutgoingConnectionError { error, .. } => self.last_error = Some(error.to_string()),
                other => tracing::trace!(event = ?other, "nothing to do"),
            }
        }
    }
}

/// What most say, and at least [`WITNESSES`].
fn agreed(addresses: impl Iterator<Item = IpAddr>) -> Option<IpAddr> {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    addresses.for_each(|ip| *counts.entry(ip).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (most.1 >= WITNESSES).then_some(most.0)
}

fn behaviour(keypair: &Keypair, protocol: StreamProtocol) -> Behaviour {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_outgoing(Some(MAX_DIALS))
        .with_max_established(Some(MAX_CONNECTIONS));
    let identify = identify::Config::new(NETWORK.to_owned(), keypair.public()).with_cache_size(0);
    Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(identify.with_hide_listen_addrs(true)),
        kademlia: kademlia(keypair.public().to_peer_id(), protocol),
    }
}

/// A client: it asks, and nobody asks it or keeps anything with it.
fn kademlia(local: PeerId, protocol: StreamProtocol) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(READ_LIMIT)
        .set_substreams_timeout(REQUEST_LIMIT)
        .set_max_packet_size(MAX_ANSWER_BYTES)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let mut kademlia = kad::Behaviour::with_config(local, MemoryStore::new(local), config);
    kademlia.set_mode(Some(kad::Mode::Client));
    kademlia
}

/// QUIC and TCP, since many nodes of the public DHT are behind NATs that only one of them gets through; names as they are
/// resolved by the machine's resolver, if it has one.
fn transport(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .outbound_timeout(DIAL_LIMIT);
    let both =
        quic::tokio::Transport::new(quic::Config::new(keypair)).or_transport(tcp).map(|either, _| match either {
            Either::Left((peer, connection)) => (peer, StreamMuxerBox::new(connection)),
            Either::Right((peer, connection)) => (peer, StreamMuxerBox::new(connection)),
        });
    let both = both.boxed();
    let resolver = hickory_resolver::system_conf::read_system_conf();
    Ok(match resolver {
        Ok((config, options)) => dns::tokio::Transport::custom(both, config, options).boxed(),
        Err(error) => {
            tracing::debug!(%error, "names of the DHT's nodes cannot be resolved");
            both
        }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn one_node_alone_does_not_say_where_this_one_is() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (here, lie) = (ip("192.0.2.1"), ip("198.51.100.9"));
        assert_eq!(agreed([].into_iter()), None);
        assert_eq!(agreed([here].into_iter()), None);
        assert_eq!(agreed([lie, here, here].into_iter()), Some(here));
    }
}
