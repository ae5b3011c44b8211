//! Names of the settings, resolved again and again: host names by the system's resolver, lists (`/dnsaddr`) by their TXT records.
//!
//! Each name has a task of its own, so that one that hangs delays no other.

mod dnsaddr;

use crate::config::{Families, List, Name};
use crate::status::Source;
use crate::task::Command;
pub(crate) use dnsaddr::Nameserver;
use ghmesh_seal::Transport;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;

/// IP addresses taken of each family: the first ones, sorted, so that all nodes of a large service start from the same few.
const FIRST_OF_FAMILY: usize = 3;
/// IP addresses taken besides, at random, so that no few nodes carry all.
const RANDOM: usize = 2;
/// Addresses taken in all: several nodes may share an IP address. Those that sort last are left out.
const MAX_CHOSEN: usize = 32;
/// For one resolution of a host name.
const LIMIT: Duration = Duration::from_secs(5);
/// The first pause after a failed one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a good one. A headless service changes with its pods.
const AGAIN: Duration = Duration::from_secs(15);

/// An address, and whose it is if that is known.
pub(crate) type Lead = (Multiaddr, Option<PeerId>);

/// What is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Name(Name),
    List(List),
}

/// How it is resolved.
#[derive(Clone, Debug)]
pub(crate) struct Resolving {
    /// Whom TXT records are asked of.
    pub(crate) nameserver: Nameserver,
    /// Pause after a good resolution.
    pub(crate) again: Duration,
}

impl Default for Resolving {
    fn default() -> Self {
        Resolving { nameserver: Nameserver::default(), again: AGAIN }
    }
}

/// What a name resolved to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) source: Source,
    pub(crate) found: io::Result<Found>,
}

/// A good resolution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// To be dialled.
    pub(crate) chosen: Vec<Lead>,
    /// What was to be dialled earlier, and is not among the name's addresses any more.
    pub(crate) vanished: Vec<Multiaddr>,
}

/// Resolves `target` until the mesh ends.
pub(crate) async fn follow(target: Target, resolving: Resolving, commands: mpsc::WeakSender<Command>) {
    let mut pause = FIRST_PAUSE;
    let mut given = BTreeSet::new();
    loop {
        let all = target.resolve(&resolving.nameserver).await;
        let wait = if all.is_ok() { resolving.again } else { pause };
        pause = if all.is_ok() { FIRST_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
        let found = all.map(|all| compare(&mut given, all, &mut rand::rng()));
        let Some(commands) = commands.upgrade() else { return };
        let resolved = Resolved { host: target.host().to_owned(), source: target.source(), found };
        if commands.send(Command::Resolved(Box::new(resolved))).await.is_err() {
            return;
        }
        drop(commands);
        tokio::time::sleep(wait.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

impl Target {
    async fn resolve(&self, nameserver: &Nameserver) -> io::Result<Vec<Lead>> {
        match self {
            Target::Name(name) => addresses(name).await,
            Target::List(list) => dnsaddr::addresses(list, nameserver).await,
        }
    }

    fn host(&self) -> &str {
        match self {
            Target::Name(name) => &name.host,
            Target::List(list) => &list.host,
        }
    }

    /// The source that it belongs to.
    pub(crate) fn source(&self) -> Source {
        match self {
            Target::Name(_) => Source::Dns,
            Target::List(_) => Source::Dnsaddr,
        }
    }
}

/// Every address of a host name.
async fn addresses(name: &Name) -> io::Result<Vec<Lead>> {
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
    Ok(ips.into_iter().map(|ip| (address(ip), name.peer)).collect())
}

/// A name without an address of the wanted family.
#[derive(Debug, thiserror::Error)]
#[error("it has no address of that family")]
struct NoAddresses;

/// Chooses among `all`, and finds what of the `given` is not there any more. Given is what was chosen at any time.
fn compare(given: &mut BTreeSet<Multiaddr>, all: Vec<Lead>, rng: &mut impl rand::Rng) -> Found {
    let there: BTreeSet<&Multiaddr> = all.iter().map(|(address, _)| address).collect();
    let vanished: Vec<Multiaddr> = given.iter().filter(|address| !there.contains(address)).cloned().collect();
    given.retain(|address| there.contains(address));
    let ips = choose(all.iter().filter_map(|(address, _)| crate::book::ip_of(address)).collect(), rng);
    let is_chosen = |address: &Multiaddr| crate::book::ip_of(address).is_some_and(|ip| ips.contains(&ip));
    let chosen: Vec<Lead> = all.into_iter().filter(|(address, _)| is_chosen(address)).take(MAX_CHOSEN).collect();
    given.extend(chosen.iter().map(|(address, _)| address.clone()));
    Found { chosen, vanished }
}

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
        assert_eq!(addresses(&name).await.unwrap(), [("/ip4/127.0.0.1/tcp/9".parse().unwrap(), None)]);
        let name = Name { transport: Transport::Quic, ..name };
        assert_eq!(addresses(&name).await.unwrap(), [("/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap(), None)]);
        let missing = Name { host: "missing.invalid".into(), ..name };
        assert!(addresses(&missing).await.is_err());
    }

    #[test]
    fn what_a_name_has_no_more_is_told_once_and_what_was_only_not_chosen_is_not() {
        let leads = |range: std::ops::Range<u8>| -> Vec<Lead> {
            range.map(|n| (format!("/ip4/10.0.0.{n}/tcp/9000").parse().unwrap(), None)).collect()
        };
        let (mut given, mut rng) = (BTreeSet::new(), rand::rng());
        let first = compare(&mut given, leads(1..101), &mut rng);
        assert_eq!((first.chosen.len(), first.vanished.len()), (5, 0));
        let again = compare(&mut given, leads(1..101), &mut rng);
        assert_eq!(again.vanished, [], "two others were taken at random, and the first ones are still there");
        let changed = compare(&mut given, leads(2..101), &mut rng);
        assert_eq!(changed.vanished, ["/ip4/10.0.0.1/tcp/9000".parse().unwrap()]);
        assert_eq!(compare(&mut given, leads(2..101), &mut rng).vanished, []);
    }

    #[test]
    fn nodes_that_share_an_address_are_all_taken_but_not_without_end() {
        let leads = (1..1000u16).map(|port| (format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap(), None)).collect();
        assert_eq!(compare(&mut BTreeSet::new(), leads, &mut rand::rng()).chosen.len(), MAX_CHOSEN);
    }
}
