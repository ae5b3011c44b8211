//! The swarm's behaviours and their parameters.
//!
//! Gossipsub is anonymous on the outside: every record is signed by its author inside the seal, so a second signature by the
//! publisher would cost time on every hop and tell strangers' captures who wrote what. Peer scoring is off: scores by IP
//! address would ban a mesh that shares one (runner hosts behind a NAT), and who is let in has proved membership.

use crate::antechamber::PLACES;
use crate::codec::{Frames, PROTOCOL};
use crate::discreet::{Discreet, Discretion};
use crate::guarded::Guarded;
use crate::interfaces::InterfacePolicy;
use crate::metered::{Meter, Metered};
use crate::rings::MAX_RINGS;
use ghmesh_model::limits::MAX_GOSSIP_BYTES;
use ghmesh_seal::KeyRing;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, connection_limits, gossipsub, identify, kad, mdns, ping, request_response};
use sha2::{Digest, Sha256};
use std::io;
use std::time::Duration;

/// Incoming connections that the swarm counts before the gate. The antechamber holds them at half of this; those that it
/// evicts are counted until the swarm has noticed.
const MAX_INCOMING: u32 = 2 * PLACES as u32;
/// Dials before the gate, Kademlia's included.
const MAX_OUTGOING: u32 = 24;
/// Connections: each costs about 100 kB here and 6.5 ms of CPU to make.
const MAX_ESTABLISHED: u32 = 256;
/// The longest that a request may take, whatever its asker's deadline.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Requests at once on a connection, in both directions together.
const MAX_REQUEST_STREAMS: usize = 256;
/// Between pings, and for an answer to one.
const PING: Duration = Duration::from_secs(2);
/// A Kademlia query: a few round trips.
const QUERY_LIMIT: Duration = Duration::from_secs(5);
/// The same in every mesh: nobody sees it before the gate, and a secret that changes must not divide the table.
const KADEMLIA: StreamProtocol = StreamProtocol::new("/ghmesh/kad/1");
/// Topics of one member: its secrets' at once, and as many that it has dropped and has not said so. Beyond, it is not heard.
const MAX_TOPICS: usize = 2 * MAX_RINGS;
/// Between multicast queries, 300 s by default. One answer is heard by all, so the LAN sees about one query each interval.
const MDNS_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer to one counts.
const MDNS_TTL: Duration = Duration::from_secs(60);
/// Gossipsub refuses a read buffer longer than this, and the buffer may hold one message and the beginning of the next: so
/// it is far above [`MAX_GOSSIP_BYTES`], which is checked on both ends besides.
const GOSSIP_BUFFER_BYTES: usize = 2 * MAX_GOSSIP_BYTES + 16 * 1024;
/// Messages that wait for one slow member: 6 MiB at most.
const GOSSIP_QUEUE: usize = 256;

/// Gossipsub's messages of one member: what it passes on for a thousand others that gossip four records a second each.
const GOSSIP_PER_SECOND: u32 = 4096;
/// Identify's of one member: an exchange with each connection, and a push whenever its addresses change. It may restart in a loop.
const IDENTIFY_PER_SECOND: u32 = 16;
/// Kademlia's of one member: a lookup of its own every half minute, its part in ours, and as much for each member that has just
/// joined.
const KADEMLIA_PER_SECOND: u32 = 64;

/// Gossipsub that takes subscriptions to meshes' topics only, and few of each member.
pub(crate) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::MaxCountSubscriptionFilter<Labels>>;

/// Lets through what has the form of a mesh's topic. A member may subscribe to the topic of a secret that this node does not hold
/// yet: it says so once, so it must be remembered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Labels;

impl gossipsub::TopicSubscriptionFilter for Labels {
    fn can_subscribe(&mut self, topic: &gossipsub::TopicHash) -> bool {
        let label = topic.as_str().strip_prefix("ghmesh/1/");
        label.is_some_and(|label| label.len() == 32 && label.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Those that decide about connections stand first: what they refuse, the others don't see.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) gossip: Metered<Gossip>,
    pub(crate) exchange: request_response::Behaviour<Frames>,
    pub(crate) ping: ping::Behaviour,
    pub(crate) identify: Metered<Discreet<identify::Behaviour>>,
    pub(crate) kademlia: Metered<kad::Behaviour<MemoryStore>>,
    pub(crate) mdns: Toggle<Discreet<mdns::tokio::Behaviour>>,
}

/// Builds all of them. The error is multicast's alone, whose lack stops nothing.
pub(crate) fn build(
    keypair: &Keypair,
    rings: &[KeyRing],
    with_mdns: bool,
    interfaces: &InterfacePolicy,
) -> (Behaviour, Option<io::Error>) {
    let local = keypair.public().to_peer_id();
    let (mdns, error) = match with_mdns.then(|| multicast(local)).transpose() {
        Ok(mdns) => (mdns.map(|mdns| Guarded::by(Discretion::new(interfaces.clone()), mdns)), None),
        Err(error) => (None, Some(error)),
    };
    let identify = identify::Behaviour::new(identification(keypair));
    let identify = Guarded::by(Discretion::new(interfaces.clone()), identify);
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits()),
        gossip: Guarded::by(Meter::new(GOSSIP_PER_SECOND), gossip(rings)),
        exchange: exchange(),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING).with_timeout(PING)),
        identify: Guarded::by(Meter::new(IDENTIFY_PER_SECOND), identify),
        kademlia: Guarded::by(Meter::new(KADEMLIA_PER_SECOND), kademlia(local)),
        mdns: mdns.into(),
    };
    (behaviour, error)
}

/// The topic of a ring's mesh.
pub(crate) fn topic(ring: &KeyRing) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(ring.topic())
}

fn limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_INCOMING))
        .with_max_pending_outgoing(Some(MAX_OUTGOING))
        .with_max_established(Some(MAX_ESTABLISHED))
}

fn gossip(rings: &[KeyRing]) -> Gossip {
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: Labels,
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: 2 * MAX_TOPICS,
    };
    let config = gossip_config().build().expect("the parameters are consistent");
    let mut gossip = Gossip::new_with_subscription_filter(gossipsub::MessageAuthenticity::Anonymous, config, filter)
        .expect("the authenticity fits the validation mode");
    for ring in rings {
        gossip.subscribe(&topic(ring)).expect("the filter allows the mesh's own topics");
    }
    gossip
}

pub(crate) fn gossip_config() -> gossipsub::ConfigBuilder {
    let mut config = gossipsub::ConfigBuilder::default();
    config
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        // A message goes on only after it was opened and its author verified.
        .validate_messages()
        // By content: an envelope's nonce could be repeated by a member to suppress another's message.
        .message_id_fn(|message| gossipsub::MessageId::new(&Sha256::digest(&message.data)))
        .max_transmit_size(GOSSIP_BUFFER_BYTES)
        .mesh_n_low(4)
        .mesh_n(6)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_secs(1))
        // Heartbeats that a message waits for its validation at most.
        .history_length(10)
        .history_gossip(3)
        // What this node writes goes to every member connected, not only to the mesh's few.
        .flood_publish(true)
        .duplicate_cache_time(Duration::from_secs(120))
        .prune_backoff(Duration::from_secs(10))
        .unsubscribe_backoff(Duration::from_secs(2))
        .connection_handler_queue_len(GOSSIP_QUEUE);
    config
}

fn exchange() -> request_response::Behaviour<Frames> {
    let config = request_response::Config::default()
        .with_request_timeout(REQUEST_LIMIT)
        .with_max_concurrent_streams(MAX_REQUEST_STREAMS);
    request_response::Behaviour::new([(PROTOCOL, request_response::ProtocolSupport::Full)], config)
}

fn identification(keypair: &Keypair) -> identify::Config {
    identify::Config::new("/ghmesh/1".into(), keypair.public())
        .with_agent_version(concat!("ghmesh/", env!("CARGO_PKG_VERSION")).into())
        .with_push_listen_addr_updates(true)
        // Addresses are believed after this crate's own checks only.
        .with_cache_size(0)
}

/// Server mode always: in private networks the automatic mode stays client for ever. Peers come into the table by hand, and
/// only after the gate. Nobody's records are kept: the table is all that is used.
fn kademlia(local: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(KADEMLIA);
    config
        .set_query_timeout(QUERY_LIMIT)
        .set_substreams_timeout(QUERY_LIMIT)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let empty = MemoryStoreConfig { max_records: 0, max_provided_keys: 0, ..MemoryStoreConfig::default() };
    let mut kademlia = kad::Behaviour::with_config(local, MemoryStore::with_config(local, empty), config);
    kademlia.set_mode(Some(kad::Mode::Server));
    kademlia
}

fn multicast(local: PeerId) -> io::Result<mdns::tokio::Behaviour> {
    let config = mdns::Config { ttl: MDNS_TTL, query_interval: MDNS_INTERVAL, enable_ipv6: false };
    mdns::tokio::Behaviour::new(config, local)
}
