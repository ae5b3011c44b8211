//! `mesh.discovery.dht`: the public DHT, where nodes of different networks find each other.
//!
//! The mesh parses addresses itself; here they are only checked, with its words.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::Reader;

pub(super) static ENABLED: Key = Key {
    path: "mesh.discovery.dht.enabled",
    default: Fallback::Text("false"),
    values: "`true`, `false`",
    meaning: "Finds nodes in other networks through the DHT of IPFS, where nobody can be named in `mesh.bootstrap`: each node leaves its \
              addresses there, sealed, under names that only the mesh secret gives, and looks there for others. At least one node must \
              be reachable from outside. Nodes of the DHT see the IP addresses that ask, and names that mean nothing to them.",
    because: "It talks to strangers.",
    secret: false,
};
pub(super) static BOOTSTRAP: Key = Key {
    path: "mesh.discovery.dht.bootstrap",
    default: Fallback::Text(
        "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN,\
         /dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa,\
         /dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb,\
         /dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt,\
         /dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
    ),
    values: "list of multiaddrs: `/ip4`, `/ip6`, `/dns4` or `/dns6`, then `/tcp/…` or `/udp/…/quic-v1`, then `/p2p/…`; or `/dnsaddr/…/p2p/…`",
    meaning: "Nodes of the DHT that are asked first, when `mesh.discovery.dht.enabled` is set. An own DHT of a few IPFS nodes does as \
              well as the public one.",
    because: "The public ones that IPFS's own programs begin with.",
    secret: false,
};
pub(super) static ANNOUNCE: Key = Key {
    path: "mesh.discovery.dht.announce",
    default: Fallback::EmptyList,
    values: "list of multiaddrs: `/ip4/…` or `/ip6/…`, then `/tcp/…` or `/udp/…/quic-v1`; three are used",
    meaning: "Where nodes in other networks reach this one, if that is not an address of its own: behind a NAT, the outer address and \
              the port that is forwarded.",
    because: "Its own addresses are told, and the one at which the DHT sees it, with its own port, as clouds map them.",
    secret: false,
};
pub(super) static PROTOCOL: Key = Key {
    path: "mesh.discovery.dht.protocol",
    default: Fallback::Text("/ipfs/kad/1.0.0"),
    values: "a libp2p protocol's name",
    meaning: "The DHT's Kademlia protocol. IPFS nodes with private addresses form one under `/ipfs/lan/kad/1.0.0`.",
    because: "The public DHT's name.",
    secret: false,
};

/// The `mesh.discovery.dht` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhtSettings {
    /// Whether the DHT is used.
    pub enabled: bool,
    /// Its nodes, and what this node tells there.
    pub dht: ghmesh_mesh::Dht,
}

impl DhtSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let dht = ghmesh_mesh::Dht {
            bootstrap: reader.list(&BOOTSTRAP),
            announce: reader.list(&ANNOUNCE),
            protocol: reader.value(&PROTOCOL),
        };
        DhtSettings { enabled: reader.value(&ENABLED), dht }
    }

    /// What the mesh is started with.
    pub fn chosen(self) -> Option<ghmesh_mesh::Dht> {
        self.enabled.then_some(self.dht)
    }

    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        let Err(error) = self.dht.check() else { return };
        for problem in error.problems {
            let fault = Fault::Dht(problem.fault);
            let key = [&BOOTSTRAP, &ANNOUNCE, &PROTOCOL]
                .into_iter()
                .find(|key| key.path == problem.setting)
                .unwrap_or(&ENABLED);
            problems.push(match problem.value.as_str() {
                "" => Problem::of(key, fault),
                value => Problem::of_item(key, value, fault),
            });
        }
    }
}
