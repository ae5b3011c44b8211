//! Which announced addresses are of no use: those of this machine's container networks.
//!
//! Multicast discovery answers on every interface. What a container bridge or a virtual machine's network answers is
//! this machine itself, or something that it hides; link-local addresses need a zone that a multiaddr has not. Interfaces are
//! known by their names, as Docker, Podman, CNI plugins, LXC and libvirt give them. (The outer ends of veth pairs have no
//! addresses; the inner ends are called otherwise.)

use libp2p::Multiaddr;
use std::net::{IpAddr, Ipv4Addr};

/// Routes of this network namespace, as Linux shows them.
const ROUTES: &str = "/proc/net/route";
/// How the names of such interfaces begin.
const CONTAINER_NETWORKS: [&str; 11] =
    ["docker", "br-", "podman", "cni", "cali", "flannel", "cilium", "lxc", "lxdbr", "virbr", "vnet"];

/// The container networks, as (network, mask).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerNetworks(Vec<(u32, u32)>);

impl ContainerNetworks {
    /// Reads them now: one small file of the kernel's, in microseconds. None where there is no such file.
    pub(crate) fn read() -> Self {
        std::fs::read_to_string(ROUTES).map(|routes| Self::parse(&routes)).unwrap_or_default()
    }

    fn parse(routes: &str) -> Self {
        ContainerNetworks(routes.lines().skip(1).filter_map(container_route).collect())
    }

    /// Whether dialling `address` can lead to another machine.
    pub(crate) fn is_useful(&self, address: &Multiaddr) -> bool {
        match crate::book::ip_of(address) {
            Some(IpAddr::V4(ip)) => !ip.is_link_local() && !ip.is_unspecified() && !self.contains(ip),
            Some(IpAddr::V6(ip)) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
            None => false,
        }
    }

    fn contains(&self, ip: Ipv4Addr) -> bool {
        self.0.iter().any(|(network, mask)| u32::from(ip) & mask == *network)
    }
}

/// Network and mask of a line whose interface is a container network's and that has no gateway (so it is directly attached).
fn container_route(line: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, network, gateway, _, _, _, _, mask, ..] = fields.as_slice() else { return None };
    // The kernel prints addresses as it holds them, in network order on a machine of whatever order.
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()));
    let is_container = CONTAINER_NETWORKS.iter().any(|prefix| interface.starts_with(prefix));
    let (network, mask) = (number(network)?, number(mask)?);
    (is_container && number(gateway)? == 0 && mask != 0).then_some((network, mask))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        br-1f2e\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_of_container_networks_are_of_no_use() {
        let networks = ContainerNetworks::parse(TABLE);
        let useful = |address: &str| networks.is_useful(&address.parse().unwrap());
        assert!(
            useful("/ip4/10.0.1.7/tcp/9000")
                && useful("/ip4/172.19.0.2/tcp/9000")
                && useful("/ip6/2001:db8::1/tcp/9000")
        );
        assert!(!useful("/ip4/172.17.0.2/tcp/9000") && !useful("/ip4/172.18.255.2/tcp/9000"));
        assert!(
            !useful("/ip4/169.254.1.1/tcp/9000") && !useful("/ip6/fe80::1/tcp/9000") && !useful("/dns4/x/tcp/9000")
        );
    }

    #[test]
    fn a_strange_table_is_no_trouble() {
        for table in ["", "\n", "a b c\nd e\n", "x\ndocker0 zz 0 0 0 0 0 zz\n", "x\ndocker0 00 00 0 0 0 0 00\n"] {
            assert_eq!(ContainerNetworks::parse(table), ContainerNetworks::default());
        }
    }
}
