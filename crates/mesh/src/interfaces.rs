//! Which networks of this machine the mesh uses to find members.
//!
//! Multicast discovery answers on every interface, and a listener on all addresses has one on each. What a container bridge, a
//! virtual machine's network or a tunnel leads to is this machine itself, something that it hides, or a network whose owner has
//! not been asked. So by default such interfaces are left out: addresses on them are not announced, not told to members, and not
//! believed where others announce them. Who is dialled by address (`mesh.bootstrap`), and who dials, is another matter.
//!
//! Interfaces are known by their names, as Docker, Podman, CNI plugins, LXC, libvirt, WireGuard and others give them. (The outer
//! ends of veth pairs have no addresses; the inner ends are called otherwise.) Link-local addresses need a zone that a multiaddr has
//! not, so they are of no use anywhere.

use crate::book::ip_of;
use libp2p::Multiaddr;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Routes of this network namespace, as Linux shows them: IPv4 and IPv6.
const ROUTES: [&str; 2] = ["/proc/net/route", "/proc/net/ipv6_route"];

/// Which interfaces are used. A pattern is a name, or the beginning of one and `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePolicy {
    /// These alone, and nothing else counts; all where it is empty.
    pub only: Vec<String>,
    /// All but these.
    pub skip: Vec<String>,
}

impl InterfacePolicy {
    /// Container networks, networks of virtual machines, tunnels.
    pub const SKIPPED: [&str; 21] = [
        "docker*",
        "br-*",
        "podman*",
        "veth*",
        "cni*",
        "cali*",
        "flannel*",
        "cilium*",
        "kube-*",
        "lxc*",
        "lxdbr*",
        "virbr*",
        "vnet*",
        "vmnet*",
        "vboxnet*",
        "tun*",
        "utun*",
        "wg*",
        "tailscale*",
        "zt*",
        "nordlynx",
    ];

    fn uses(&self, interface: &str) -> bool {
        let is_any_of = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, interface));
        if self.only.is_empty() { !is_any_of(&self.skip) } else { is_any_of(&self.only) }
    }
}

impl Default for InterfacePolicy {
    fn default() -> Self {
        InterfacePolicy { only: Vec::new(), skip: Self::SKIPPED.map(str::to_owned).into() }
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// This machine's networks, and which of them are used.
#[derive(Clone, Debug)]
pub(crate) struct Interfaces {
    policy: InterfacePolicy,
    routes: Vec<Route>,
    own: BTreeMap<IpAddr, String>,
}

/// Addresses that begin with `network`'s first `bits` bits leave by `interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    network: u128,
    bits: u32,
    interface: String,
}

impl Interfaces {
    /// Reads them now: two small files of the kernel's and a question to it, in some ten microseconds. Where there are no such files,
    /// all networks are used.
    pub(crate) fn read(policy: &InterfacePolicy) -> Self {
        let [ip4, ip6] = ROUTES.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let routes = ip4.lines().filter_map(ip4_route).chain(ip6.lines().filter_map(ip6_route)).collect();
        let own = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
        let own = own.map(|interface| (interface.ip(), interface.name)).collect();
        Interfaces { policy: policy.clone(), routes, own }
    }

    /// Whether only certain interfaces are used, and this machine has none of them.
    pub(crate) fn are_missing(&self) -> bool {
        !self.policy.only.is_empty() && !self.own.values().any(|interface| self.policy.uses(interface))
    }

    /// Whether dialling an announced `address` can lead to another machine by a network that is used.
    pub(crate) fn is_useful(&self, address: &Multiaddr) -> bool {
        let Some(ip) = ip_of(address) else { return false };
        !is_link_local(ip)
            && !ip.is_unspecified()
            && self.leaving(ip).is_none_or(|interface| self.policy.uses(interface))
    }

    /// Whether this node's own `address` may be told. Loopback may: it leads nowhere else.
    pub(crate) fn is_told(&self, address: &Multiaddr) -> bool {
        let Some(ip) = ip_of(address) else { return true };
        !is_link_local(ip)
            && (ip.is_loopback() || self.own.get(&ip).is_none_or(|interface| self.policy.uses(interface)))
    }

    /// The interface by which packets to `ip` leave, as far as routes say; default routes aside.
    fn leaving(&self, ip: IpAddr) -> Option<&str> {
        let number = number(ip);
        let fitting = self.routes.iter().filter(|route| masked(number, route.bits) == route.network);
        fitting.max_by_key(|route| route.bits).map(|route| route.interface.as_str())
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// All addresses as IPv6 addresses, those of IPv4 mapped (RFC 4291, 2.5.5.2).
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn masked(number: u128, bits: u32) -> u128 {
    number & u128::MAX.checked_shl(128 - bits).unwrap_or_default()
}

fn ip4_route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, network, _, _, _, _, _, mask, ..] = fields.as_slice() else { return None };
    // The kernel prints addresses as it holds them, in network order on a machine of whatever order.
    let address =
        |text: &str| u32::from_str_radix(text, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()));
    let bits = address(mask)?.count_ones();
    let network = number(IpAddr::V4(address(network)?.into()));
    (bits > 0).then(|| Route { network, bits: 96 + bits, interface: (*interface).to_owned() })
}

fn ip6_route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [network, bits, .., interface] = fields.as_slice() else { return None };
    if network.len() != 32 {
        return None;
    }
    let bits = u32::from_str_radix(bits, 16).ok().filter(|bits| (1..=128).contains(bits))?;
    let network = Ipv6Addr::from_bits(u128::from_str_radix(network, 16).ok()?).to_bits();
    Some(Route { network, bits, interface: (*interface).to_owned() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const IP4: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        br-1f2e\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n";
    const IP6: &str = "\
        20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
        fd000000000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001  docker0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

    fn interfaces(policy: InterfacePolicy) -> Interfaces {
        let routes = IP4.lines().filter_map(ip4_route).chain(IP6.lines().filter_map(ip6_route)).collect();
        let own = [("10.0.1.7", "eth0"), ("172.17.0.1", "docker0"), ("100.64.0.1", "tailscale0"), ("127.0.0.1", "lo")];
        let own = own.map(|(ip, interface)| (ip.parse().unwrap(), interface.to_owned())).into();
        Interfaces { policy, routes, own }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn announced_addresses_of_skipped_networks_are_of_no_use() {
        let interfaces = interfaces(InterfacePolicy::default());
        let useful = |ip: &str| interfaces.is_useful(&format!("{ip}/tcp/9000").parse().unwrap());
        assert!(useful("/ip4/10.0.1.7") && useful("/ip4/172.19.0.2") && useful("/ip6/2001:db8::1"));
        assert!(!useful("/ip4/172.17.0.2") && !useful("/ip4/172.18.255.2") && !useful("/ip6/fd00:0:0:1::2"));
        assert!(!useful("/ip4/100.64.0.2"), "half of all addresses lead into the tunnel");
        assert!(!useful("/ip4/169.254.1.1") && !useful("/ip6/fe80::1") && !useful("/dns4/x"));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn own_addresses_on_skipped_interfaces_are_not_told() {
        let told = |policy: InterfacePolicy| {
            let interfaces = interfaces(policy);
            ["10.0.1.7", "172.17.0.1", "100.64.0.1", "127.0.0.1", "192.0.2.1", "169.254.0.1"]
                .map(|ip| interfaces.is_told(&format!("/ip4/{ip}/udp/9000/quic-v1").parse().unwrap()))
        };
        assert_eq!(told(InterfacePolicy::default()), [true, false, false, true, true, false]);
        let nothing = InterfacePolicy { only: vec![], skip: vec![] };
        assert_eq!(told(nothing), [true, true, true, true, true, false]);
        let tunnel = InterfacePolicy { only: vec!["tailscale0".into()], ..InterfacePolicy::default() };
        assert_eq!(
            told(tunnel.clone()),
            [false, false, true, true, true, false],
            "only what is named, whatever is skipped"
        );
        let absent = InterfacePolicy { only: vec!["enp0s*".into()], ..InterfacePolicy::default() };
        assert_eq!([tunnel, absent].map(|policy| interfaces(policy).are_missing()), [false, true]);
    }

    #[test]
    fn a_strange_table_is_no_trouble() {
        for line in
            ["", "\n", "a b c", "docker0 zz 0 0 0 0 0 zz", "docker0 00 00 0 0 0 0 00", "x 00 y", "00 ff z", "0 81 z"]
        {
            assert_eq!((ip4_route(line), ip6_route(line)), (None, None), "{line}");
        }
    }

    #[test]
    fn this_machine_can_be_read() {
        let interfaces = Interfaces::read(&InterfacePolicy::default());
        assert!(interfaces.own.contains_key(&"127.0.0.1".parse().unwrap()));
    }
}
