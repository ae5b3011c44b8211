//! `ghmesh id`: this node's multiaddrs, as others write them into `mesh.bootstrap`.

use crate::api::transport::{Daemon, Search};
use crate::commands::daemon;
use crate::exit::Exit;
use crate::settings::{Loaded, Settings};
use anyhow::bail;
use ghmesh_mesh::Identity;
use std::net::IpAddr;

/// A node's peer id, and the multiaddrs that it listens on, without the id.
struct Node {
    peer_id: String,
    addresses: Vec<String>,
}

/// Prints them, one a line: the running daemon's, else what its kept identity and the settings give. Makes no file.
pub(crate) async fn run(loaded: &Loaded) -> anyhow::Result<Exit> {
    let node = match daemon::find(loaded).await {
        Search { daemon: Some(daemon), .. } => of_daemon(&daemon).await?,
        Search { daemon: None, forbidden } if forbidden.is_empty() => of_settings(&loaded.settings)?,
        Search { daemon: None, forbidden } => bail!(daemon::permission_denied(&forbidden)),
    };
    if node.addresses.is_empty() {
        eprintln!("ghmesh: the addresses are not known before `ghmesh up` listens; this is the peer id alone");
        println!("/p2p/{}", node.peer_id);
    }
    for address in for_others(node.addresses) {
        println!("{address}/p2p/{}", node.peer_id);
    }
    Ok(Exit::Success)
}

async fn of_daemon(daemon: &Daemon) -> anyhow::Result<Node> {
    let stats = daemon::page(daemon, "/_ghmesh/stats").await?;
    let peer_id = stats["peer_id"].as_str().unwrap_or_default().to_owned();
    if peer_id.is_empty() {
        let state = daemon::page(daemon, "/_ghmesh/readyz").await?["mesh"].as_str().unwrap_or_default().to_owned();
        bail!("the daemon has no peer id: its mesh is {state}; `ghmesh status` says more");
    }
    let addresses = stats["listen_addrs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bare = |address: &serde_json::Value| Some(address.as_str()?.split("/p2p/").next()?.to_owned());
    Ok(Node { peer_id, addresses: addresses.iter().filter_map(bare).collect() })
}

fn of_settings(settings: &Settings) -> anyhow::Result<Node> {
    if !settings.mesh.enabled {
        bail!("mesh.enabled is false: this node has no multiaddrs");
    }
    let directory = &settings.cache.dir;
    let Some(identity) = Identity::kept(directory)? else {
        bail!("{} holds no identity yet: start `ghmesh up` first, which makes one", directory.display());
    };
    eprintln!("ghmesh: no daemon answers; this is what `ghmesh up` would listen on with these settings");
    let machine = machine_addresses();
    let addresses = settings.mesh.listen.iter().flat_map(|listen| expanded(listen, &machine)).collect();
    Ok(Node { peer_id: identity.peer_id(), addresses })
}

/// The addresses of this machine's interfaces; none where the system doesn't tell.
fn machine_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// What one of `mesh.listen` (`/ip4|ip6/HOST/tcp/PORT`, `/ip4|ip6/HOST/udp/PORT/quic-v1`) means on a machine with these addresses. Nothing where the port is
/// any free one.
fn expanded(listen: &str, machine: &[IpAddr]) -> Vec<String> {
    let parts: Vec<&str> = listen.split('/').collect();
    let [_, protocol, host, transport, port, rest @ ..] = parts.as_slice() else { return Vec::new() };
    let Ok(host) = host.parse::<IpAddr>() else { return Vec::new() };
    let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
    let at = |ip: &IpAddr| format!("/{protocol}/{ip}/{transport}/{port}{rest}");
    match (*port, host.is_unspecified()) {
        ("0", _) => Vec::new(),
        (_, true) => machine.iter().filter(|ip| ip.is_ipv4() == host.is_ipv4()).map(at).collect(),
        (_, false) => vec![at(&host)],
    }
}

/// Without what only this machine or only this link can dial, unless there is nothing else.
fn for_others(addresses: Vec<String>) -> Vec<String> {
    let wide: Vec<String> = addresses.iter().filter(|address| is_wide(address)).cloned().collect();
    if wide.is_empty() { addresses } else { wide }
}

fn is_wide(address: &str) -> bool {
    match address.split('/').nth(2).and_then(|host| host.parse::<IpAddr>().ok()) {
        Some(IpAddr::V4(ip)) => !ip.is_loopback() && !ip.is_link_local(),
        Some(IpAddr::V6(ip)) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        None => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn wildcards_become_the_machine_s_addresses() {
        let machine: Vec<IpAddr> =
            ["127.0.0.1", "10.0.0.5", "::1", "2001:db8::5"].map(|ip| ip.parse().unwrap()).to_vec();
        let of = |listen: &str| expanded(listen, &machine);
        assert_eq!(of("/ip4/0.0.0.0/tcp/9000"), ["/ip4/127.0.0.1/tcp/9000", "/ip4/10.0.0.5/tcp/9000"]);
        assert_eq!(of("/ip6/::/tcp/9000"), ["/ip6/::1/tcp/9000", "/ip6/2001:db8::5/tcp/9000"]);
        assert_eq!(of("/ip4/192.0.2.1/tcp/9000"), ["/ip4/192.0.2.1/tcp/9000"]);
        assert_eq!(of("/ip6/::/udp/9000/quic-v1"), ["/ip6/::1/udp/9000/quic-v1", "/ip6/2001:db8::5/udp/9000/quic-v1"]);
        assert_eq!(of("/ip4/0.0.0.0/tcp/0"), [""; 0]);
        assert_eq!(of("/ip4/0.0.0.0/udp/0/quic-v1"), [""; 0]);
    }

    #[test]
    fn what_nobody_else_can_dial_is_left_out_where_there_is_more() {
        let addresses =
            |hosts: &[&str]| -> Vec<String> { hosts.iter().map(|host| format!("{host}/tcp/9000")).collect() };
        let all = addresses(&["/ip4/127.0.0.1", "/ip4/10.0.0.5", "/ip4/169.254.1.1", "/ip6/::1", "/ip6/fe80::1"]);
        assert_eq!(for_others(all), addresses(&["/ip4/10.0.0.5"]));
        let local = addresses(&["/ip4/127.0.0.1", "/ip6/::1"]);
        assert_eq!(for_others(local.clone()), local);
    }
}
