//! Host names of the settings, resolved again and again by the system's resolver.

use crate::config::{Families, Name};
use crate::task::Command;
use ghmesh_seal::Transport;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;

/// Addresses taken of each family: the first ones, sorted, so that all nodes of a large service start from the same few.
const FIRST_OF_FAMILY: usize = 3;
/// Addresses taken besides, at random, so that no few nodes carry all.
const RANDOM: usize = 2;
/// For one resolution.
const LIMIT: Duration = Duration::from_secs(5);
/// The first pause after a failed one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a good one. A headless service changes with its pods.
const AGAIN: Duration = Duration::from_secs(15);

/// What a name resolved to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: io::Result<Vec<Multiaddr>>,
}

/// Resolves `name` until the mesh ends.
pub(crate) async fn follow(name: Name, commands: mpsc::WeakSender<Command>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let addresses = resolve(&name).await;
        let wait = match &addresses {
            Ok(_) => {
                pause = FIRST_PAUSE;
                AGAIN
            }
            Err(_) => {
                pause = (pause * 2).min(MAX_PAUSE);
                pause
            }
        };
        let Some(commands) = commands.upgrade() else { return };
        let resolved = Resolved { host: name.host.clone(), peer: name.peer, addresses };
        if commands.send(Command::Resolved(resolved)).await.is_err() {
            return;
        }
        drop(commands);
        tokio::time::sleep(wait.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

async fn resolve(name: &Name) -> io::Result<Vec<Multiaddr>> {
    let lookup = tokio::net::lookup_host((name.host.as_str(), name.port));
    let found = tokio::time::timeout(LIMIT, lookup).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let wanted = |address: &SocketAddr| match name.families {
        Families::Ip4 => address.is_ipv4(),
        Families::Ip6 => address.is_ipv6(),
        Families::Both => true,
    };
    let ips: BTreeSet<IpAddr> = found.filter(wanted).map(|address| address.ip()).collect();
    if ips.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, NoAddresses));
    }
    let address = |ip: IpAddr| match name.transport {
        Transport::Tcp => Multiaddr::from(ip).with(Protocol::Tcp(name.port)),
        Transport::Quic => Multiaddr::from(ip).with(Protocol::Udp(name.port)).with(Protocol::QuicV1),
    };
    Ok(choose(ips, &mut rand::rng()).into_iter().map(address).collect())
}

/// A name without an address of the wanted family.
#[derive(Debug, thiserror::Error)]
#[error("it has no address of that family")]
struct NoAddresses;

fn choose(ips: BTreeSet<IpAddr>, rng: &mut impl rand::Rng) -> Vec<IpAddr> {
    let (ip4, ip6): (Vec<IpAddr>, Vec<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv4);
    let first = |all: &[IpAddr]| all.len().min(FIRST_OF_FAMILY);
    let mut rest = [&ip4[first(&ip4)..], &ip6[first(&ip6)..]].concat();
    rest.shuffle(rng);
    rest.truncate(RANDOM);
    [&ip4[..first(&ip4)], &ip6[..first(&ip6)], &rest].concat()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::net::Ipv4Addr;

    #[test]
    fn all_start_from_the_same_few_and_two_of_their_own() {
        let ips: BTreeSet<IpAddr> = (0..100u8).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, 200 - n))).collect();
        let chosen = |seed| choose(ips.clone(), &mut rand::rngs::StdRng::seed_from_u64(seed));
        let (one, other) = (chosen(1), chosen(2));
        let firsts: Vec<IpAddr> = (101..104u8).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))).collect();
        assert_eq!((one.len(), &one[..3], &other[..3]), (5, &firsts[..], &firsts[..]));
        assert_ne!(one[3..], other[3..]);
        let few = choose(["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()].into(), &mut rand::rng());
        assert_eq!(few.len(), 2);
    }

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let transport = Transport::Tcp;
        let name = Name { host: "localhost".into(), transport, port: 9, families: Families::Ip4, peer: None };
        assert_eq!(resolve(&name).await.unwrap(), ["/ip4/127.0.0.1/tcp/9".parse().unwrap()]);
        let name = Name { transport: Transport::Quic, ..name };
        assert_eq!(resolve(&name).await.unwrap(), ["/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap()]);
        let missing = Name { host: "missing.invalid".into(), ..name };
        assert!(resolve(&missing).await.is_err());
    }
}
