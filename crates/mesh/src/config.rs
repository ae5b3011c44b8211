//! Where the mesh listens and whom it dials first.

use crate::identity::member_id;
use crate::interfaces::InterfacePolicy;
use crate::rendezvous::Network;
use crate::resolve::Target;
use ghmesh_seal::Transport;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use std::fmt;

/// What the mesh is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Multiaddrs to listen on: `/ip4/…` or `/ip6/…`, then `/tcp/PORT` or `/udp/PORT/quic-v1`; port 0 takes a free one. With none
    /// the node dials but cannot be dialled.
    pub listen: Vec<String>,
    /// Multiaddrs to dial: `/ip4`, `/ip6`, `/dns4`, `/dns6` or `/dns`, then `/tcp/PORT` or `/udp/PORT/quic-v1`; or
    /// `/dnsaddr/NAME`, a list in DNS. Then
    /// `/p2p/PEER-ID` or not.
    pub bootstrap: Vec<String>,
    /// Whether nodes on the same LAN are looked for by multicast.
    pub mdns: bool,
    /// Which of this machine's networks are used to find members.
    pub interfaces: InterfacePolicy,
    /// The DHT in which members leave their addresses for each other, if any.
    pub dht: Option<Dht>,
}

/// A DHT of IPFS nodes as the members' rendezvous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dht {
    /// Multiaddrs of its nodes that are asked first: each ends with `/p2p/PEER-ID`; at least one.
    pub bootstrap: Vec<String>,
    /// Multiaddrs at which this node is reached from outside, an IP address, then `/tcp/PORT` or `/udp/PORT/quic-v1`; at most three are told. With
    /// none, those on which it listens, and the one at which the DHT sees it.
    pub announce: Vec<String>,
    /// Its Kademlia protocol: `/ipfs/kad/1.0.0` for the public one.
    pub protocol: String,
}

impl Config {
    /// Checks every address.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.parse().map(drop)
    }

    pub(crate) fn parse(&self) -> Result<Plan, ConfigError> {
        let mut plan = Plan { mdns: self.mdns, interfaces: self.interfaces.clone(), ..Plan::default() };
        let mut problems = Vec::new();
        for value in &self.listen {
            match listen_address(value) {
                Ok(address) => plan.listen.push(address),
                Err(fault) => problems.push(Problem { setting: "mesh.listen", value: value.clone(), fault }),
            }
        }
        for value in &self.bootstrap {
            match contact(value) {
                Ok(Contact::Address(address, peer)) => plan.addresses.push((address, peer)),
                Ok(Contact::Name(name)) => plan.targets.push(Target::Name(name)),
                Ok(Contact::List(list)) => plan.targets.push(Target::List(list)),
                Err(fault) => problems.push(Problem { setting: "mesh.bootstrap", value: value.clone(), fault }),
            }
        }
        if let Some(dht) = &self.dht {
            plan.dht = dht.parse(&mut problems);
        }
        if problems.is_empty() { Ok(plan) } else { Err(ConfigError { problems }) }
    }
}

impl Dht {
    /// Checks every value.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        self.parse(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    /// Nothing where something is wrong, which is then among the problems.
    fn parse(&self, problems: &mut Vec<Problem>) -> Option<(Network, Vec<Multiaddr>)> {
        let before = problems.len();
        let mut wrong =
            |setting, value: &str, fault| problems.push(Problem { setting, value: value.to_owned(), fault });
        let nodes = self.bootstrap.iter().filter_map(|value| {
            dht_node(value).or_else(|| {
                wrong("mesh.discovery.dht.bootstrap", value, Fault::DhtNode);
                None
            })
        });
        let bootstrap: Vec<(PeerId, Multiaddr)> = nodes.collect();
        if self.bootstrap.is_empty() {
            wrong("mesh.discovery.dht.bootstrap", "", Fault::NoDhtNode);
        }
        let told = self.announce.iter().filter_map(|value| {
            announced(value).or_else(|| {
                wrong("mesh.discovery.dht.announce", value, Fault::Announce);
                None
            })
        });
        let announce = told.collect();
        let protocol = StreamProtocol::try_from_owned(self.protocol.clone()).ok();
        if protocol.is_none() {
            wrong("mesh.discovery.dht.protocol", &self.protocol, Fault::Protocol);
        }
        let good = problems.len() == before;
        protocol.filter(|_| good).map(|protocol| (Network { bootstrap, protocol }, announce))
    }
}

/// A node of the DHT: who it is, and where.
fn dht_node(value: &str) -> Option<(PeerId, Multiaddr)> {
    let mut address: Multiaddr = value.trim().parse().ok()?;
    let peer = split_peer(&mut address)?;
    let mut parts = address.iter();
    let host = parts.next()?;
    let rest: Vec<Protocol<'_>> = parts.collect();
    let good = match (host, rest.as_slice()) {
        (Protocol::Dnsaddr(_), []) => true,
        (host, rest) if is_host(&host) => {
            matches!(rest, [Protocol::Tcp(port)] | [Protocol::Udp(port), Protocol::QuicV1] if *port != 0)
        }
        _ => false,
    };
    good.then_some((peer, address))
}

fn is_host(part: &Protocol<'_>) -> bool {
    matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
}

fn announced(value: &str) -> Option<Multiaddr> {
    let address: Multiaddr = value.trim().parse().ok()?;
    let has_port = !address.iter().any(|part| matches!(part, Protocol::Tcp(0) | Protocol::Udp(0)));
    (is_dialable(&address) && has_port).then_some(address)
}

/// All problems of a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One value that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {value:?} {fault}")]
pub struct Problem {
    /// The setting's name.
    pub setting: &'static str,
    /// As given.
    pub value: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an address. The message says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a multiaddr at all, or not one that can be listened on.
    #[error(
        "is not an address to listen on; write /ip4/ADDRESS or /ip6/ADDRESS and then /tcp/PORT or /udp/PORT/quic-v1, as in \
         /ip4/0.0.0.0/tcp/9000"
    )]
    Listen,
    /// Not a multiaddr at all, or not one that can be dialled.
    #[error(
        "is not an address to dial; write /ip4/ADDRESS, /ip6/ADDRESS, /dns4/NAME or /dns6/NAME and then /tcp/PORT or /udp/PORT/quic-v1, or /dnsaddr/NAME, \
         with /p2p/PEER-ID at the end or without, as `ghmesh id` prints it on the other node"
    )]
    Dial,
    /// Port 0 can't be dialled.
    #[error("has port 0; write the port that the other node listens on, as in /tcp/9000")]
    Port,
    /// The peer id is of a kind that no node has.
    #[error("names a peer id that no node of ghmesh can have; `ghmesh id` prints the right one on the other node")]
    Peer,
    /// Not an address of a node of the DHT.
    #[error(
        "is not an address of a DHT's node; write /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID, /ip4/ADDRESS/udp/PORT/quic-v1/p2p/PEER-ID, the \
         same with /ip6, /dns4 or /dns6, or /dnsaddr/NAME/p2p/PEER-ID, as `ipfs id` prints it there"
    )]
    DhtNode,
    /// No node of the DHT.
    #[error("is empty; name a node of the DHT, or leave the setting out for the public DHT")]
    NoDhtNode,
    /// Not an address that others can dial.
    #[error(
        "is not an address that other nodes can dial; write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1, or with /ip6"
    )]
    Announce,
    /// Not a protocol's name.
    #[error("is not a protocol's name; it begins with a slash, as in /ipfs/kad/1.0.0")]
    Protocol,
}

/// A parsed [`Config`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) addresses: Vec<(Multiaddr, Option<PeerId>)>,
    pub(crate) targets: Vec<Target>,
    pub(crate) mdns: bool,
    /// The DHT and the addresses to leave there.
    pub(crate) dht: Option<(Network, Vec<Multiaddr>)>,
    pub(crate) interfaces: InterfacePolicy,
}

/// A host name to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) families: Families,
    pub(crate) peer: Option<PeerId>,
}

/// A list of addresses in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) host: String,
    /// Whom alone is wanted of it.
    pub(crate) peer: Option<PeerId>,
}

/// Which of a name's addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    Ip4,
    Ip6,
    Both,
}

/// What can be dialled, at once or once it is resolved.
pub(crate) enum Contact {
    Address(Multiaddr, Option<PeerId>),
    Name(Name),
    List(List),
}

fn listen_address(value: &str) -> Result<Multiaddr, Fault> {
    let address: Multiaddr = value.trim().parse().map_err(|_| Fault::Listen)?;
    if is_dialable(&address) { Ok(address) } else { Err(Fault::Listen) }
}

/// Reads an address to dial.
pub(crate) fn contact(value: &str) -> Result<Contact, Fault> {
    let mut address: Multiaddr = value.trim().parse().map_err(|_| Fault::Dial)?;
    let peer = split_peer(&mut address);
    if peer.is_some_and(|peer| member_id(&peer).is_none()) {
        return Err(Fault::Peer);
    }
    let mut parts = address.iter();
    if let (Some(Protocol::Dnsaddr(host)), None) = (parts.next(), parts.next()) {
        return Ok(Contact::List(List { host: host.into_owned(), peer }));
    }
    let mut parts = address.iter();
    let host = parts.next().ok_or(Fault::Dial)?;
    let (transport, port) = carrier(parts).ok_or(Fault::Dial)?;
    if port == 0 {
        return Err(Fault::Port);
    }
    let name = |host: &str, families| Contact::Name(Name { host: host.to_owned(), transport, port, families, peer });
    match host {
        Protocol::Ip4(_) | Protocol::Ip6(_) => Ok(Contact::Address(address.clone(), peer)),
        Protocol::Dns4(host) => Ok(name(&host, Families::Ip4)),
        Protocol::Dns6(host) => Ok(name(&host, Families::Ip6)),
        Protocol::Dns(host) => Ok(name(&host, Families::Both)),
        _ => Err(Fault::Dial),
    }
}

/// Whether the address is what this node can dial without asking anybody.
pub(crate) fn is_dialable(address: &Multiaddr) -> bool {
    transport_of(address).is_some()
}

/// Over what this node can dial the address without asking anybody: an IP address, then a TCP port, or a UDP port and QUIC, no
/// more.
pub(crate) fn transport_of(address: &Multiaddr) -> Option<Transport> {
    let mut parts = address.iter();
    match parts.next() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => carrier(parts).map(|(transport, _)| transport),
        _ => None,
    }
}

/// What stands behind the host, and the port.
fn carrier<'a>(mut parts: impl Iterator<Item = Protocol<'a>>) -> Option<(Transport, u16)> {
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None, None) => Some((Transport::Tcp, port)),
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) => Some((Transport::Quic, port)),
        _ => None,
    }
}

/// Takes a `/p2p` at the end off.
pub(crate) fn split_peer(address: &mut Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            Some(peer)
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn config(listen: &[&str], bootstrap: &[&str]) -> Config {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Config { listen: owned(listen), bootstrap: owned(bootstrap), ..Config::default() }
    }

    fn with_dht(bootstrap: &[&str], announce: &[&str], protocol: &str) -> Config {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let dht = Dht { bootstrap: owned(bootstrap), announce: owned(announce), protocol: protocol.to_owned() };
        Config { dht: Some(dht), ..config(&[], &[]) }
    }

    #[test]
    fn every_form_of_a_dht_node_is_understood() {
        let id = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let hosts =
            ["/ip4/192.0.2.1", "/ip6/2001:db8::1", "/dns4/dht.example", "/dns6/dht.example", "/dns/dht.example"];
        let nodes = hosts.iter().flat_map(|host| [format!("{host}/tcp/4001"), format!("{host}/udp/4001/quic-v1")]);
        let nodes = nodes.chain(["/dnsaddr/dht.example".to_owned()]).map(|node| format!("{node}/p2p/{id}"));
        let nodes: Vec<String> = nodes.collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let plan = with_dht(&nodes, &["/ip4/192.0.2.7/tcp/9000"], "/ipfs/kad/1.0.0").parse().unwrap();
        let (network, announce) = plan.dht.unwrap();
        assert_eq!((network.bootstrap.len(), announce.len()), (11, 1));
        assert_eq!(network.bootstrap[0], (id.parse().unwrap(), "/ip4/192.0.2.1/tcp/4001".parse().unwrap()));
    }

    #[test]
    fn every_problem_of_a_dht_is_told() {
        let id = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let nodes =
            ["/ip4/192.0.2.1/tcp/4001", &format!("/ip4/192.0.2.1/tcp/0/p2p/{id}"), &format!("/ip4/192.0.2.1/p2p/{id}")];
        let announce = ["/dns4/node.example/tcp/9000", "/ip4/192.0.2.7/tcp/0"];
        let error = with_dht(&nodes, &announce, "kad").check().unwrap_err();
        let faults: Vec<Fault> = error.problems.iter().map(|problem| problem.fault).collect();
        let (node, told) = (Fault::DhtNode, Fault::Announce);
        assert_eq!(faults, [node, node, node, told, told, Fault::Protocol]);
        let empty = with_dht(&[], &[], "/ipfs/kad/1.0.0").check().unwrap_err();
        assert_eq!(empty.problems[0].fault, Fault::NoDhtNode);
    }

    #[test]
    fn every_form_of_address_is_understood() {
        let id = Identity::ephemeral().peer_id();
        let forms = [
            "/ip4/10.0.0.1/tcp/9000",
            "/ip6/fe80::1/tcp/9000",
            "/dns4/mesh/tcp/9000",
            "/dns6/mesh/tcp/9",
            "/dns/mesh/tcp/9",
            "/dnsaddr/mesh",
            "/ip4/10.0.0.1/udp/9000/quic-v1",
            "/dns6/mesh/udp/9/quic-v1",
        ];
        let with_ids: Vec<String> = forms.iter().map(|form| format!("{form}/p2p/{id}")).collect();
        let all: Vec<&str> = forms.iter().copied().chain(with_ids.iter().map(String::as_str)).collect();
        let listen = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/9000", "/ip6/::/udp/9000/quic-v1"];
        let plan = config(&listen, &all).parse().unwrap();
        assert_eq!((plan.listen.len(), plan.addresses.len(), plan.targets.len()), (3, 6, 10));
        assert_eq!(plan.addresses[0], ("/ip4/10.0.0.1/tcp/9000".parse().unwrap(), None));
        assert_eq!(plan.addresses[3], ("/ip4/10.0.0.1/tcp/9000".parse().unwrap(), Some(id.parse().unwrap())));
        let name =
            Name { host: "mesh".into(), transport: Transport::Tcp, port: 9, families: Families::Ip6, peer: None };
        assert_eq!(plan.targets[1], Target::Name(name.clone()));
        assert_eq!(plan.targets[3], Target::List(List { host: "mesh".into(), peer: None }));
        assert_eq!(plan.targets[4], Target::Name(Name { transport: Transport::Quic, ..name }));
        assert_eq!(plan.targets[8], Target::List(List { host: "mesh".into(), peer: Some(id.parse().unwrap()) }));
    }

    #[test]
    fn all_problems_are_told_at_once_with_what_to_write() {
        let rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let bootstrap = [
            "10.0.0.1:9000",
            "/ip4/10.0.0.1/udp/9000",
            "/ip4/10.0.0.1",
            "/ip4/10.0.0.1/tcp/0",
            "/dnsaddr/mesh/tcp/9000",
            &format!("/ip4/10.0.0.1/tcp/9000/p2p/{rsa}"),
        ];
        let error = config(&["0.0.0.0:9000", "/dns4/mesh/tcp/9000"], &bootstrap).check().unwrap_err();
        let faults: Vec<(&str, Fault)> =
            error.problems.iter().map(|problem| (problem.setting, problem.fault)).collect();
        let (listen, dial) = ("mesh.listen", "mesh.bootstrap");
        let expected = [
            (listen, Fault::Listen),
            (listen, Fault::Listen),
            (dial, Fault::Dial),
            (dial, Fault::Dial),
            (dial, Fault::Dial),
            (dial, Fault::Port),
            (dial, Fault::Dial),
            (dial, Fault::Peer),
        ];
        assert_eq!(faults, expected);
        let text = error.to_string();
        assert_eq!(text.lines().count(), 8);
        assert!(
            text.contains(r#"mesh.bootstrap: "10.0.0.1:9000" is not an address to dial; write /ip4/ADDRESS, "#),
            "{text}"
        );
    }
}
