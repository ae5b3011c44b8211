//! Which of two transports is dialled first: TCP, and QUIC where TCP leads nowhere.
//!
//! TCP first, because a killed member's kernel says so at once over TCP, and because what blocks UDP is more common than what blocks
//! TCP. QUIC follows once TCP has failed, or after a head start if TCP is still silent; and at once where with this member only QUIC has
//! ever worked. Moments are arguments.

use ghmesh_seal::Transport;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long QUIC waits for a TCP dial that neither succeeds nor fails: five round trips of 200 ms.
pub(crate) const HEAD_START: Duration = Duration::from_secs(1);

/// Addresses that lead to the same node: those of one peer, and as long as it is unknown those of one IP address and port number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Peer(PeerId),
    Socket(IpAddr, u16),
    /// Nothing is known to belong to it.
    Address(Multiaddr),
}

impl Party {
    pub(crate) fn of(address: &Multiaddr, peer: Option<PeerId>) -> Self {
        match (peer, socket(address)) {
            (Some(peer), _) => Party::Peer(peer),
            (None, Some((ip, port))) => Party::Socket(ip, port),
            (None, None) => Party::Address(address.clone()),
        }
    }
}

/// The IP address and port number of an address of either kind.
pub(crate) fn socket(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    });
    Some((crate::book::ip_of(address)?, port?))
}

/// What is known of one address of a party.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) transport: Transport,
    /// Since when it is being dialled.
    pub(crate) dialling: Option<Instant>,
    /// Whether it is dialled now or soon, if nothing stands in the way.
    pub(crate) due: bool,
    pub(crate) worked: bool,
}

#[derive(Debug, Default)]
struct Standing {
    tcp_since: Option<Instant>,
    quic_dialling: bool,
    tcp_due: bool,
    tcp_worked: bool,
    quic_worked: bool,
}

/// How every party stands.
#[derive(Debug, Default)]
pub(crate) struct Standings(BTreeMap<Party, Standing>);

impl Standings {
    pub(crate) fn note(&mut self, party: Party, facts: Facts) {
        let Facts { transport, dialling, due, worked } = facts;
        let standing = self.0.entry(party).or_default();
        match transport {
            Transport::Tcp => {
                standing.tcp_since = standing.tcp_since.max(dialling);
                standing.tcp_due |= due && dialling.is_none();
                standing.tcp_worked |= worked;
            }
            Transport::Quic => {
                standing.quic_dialling |= dialling.is_some();
                standing.quic_worked |= worked;
            }
        }
    }

    /// From when on the party may be dialled over `transport`, as far as its other addresses are concerned. None: not while they
    /// are as they are.
    pub(crate) fn free_at(&self, party: &Party, transport: Transport, now: Instant) -> Option<Instant> {
        let Some(standing) = self.0.get(party) else { return Some(now) };
        if standing.quic_dialling {
            return None;
        }
        let only_quic = standing.quic_worked && !standing.tcp_worked;
        match (transport, standing.tcp_since) {
            (Transport::Tcp, Some(_)) => None,
            (Transport::Tcp, None) => Some(now),
            (Transport::Quic, _) if only_quic => Some(now),
            (Transport::Quic, Some(since)) => Some(since + HEAD_START),
            (Transport::Quic, None) => (!standing.tcp_due).then_some(now),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const IDLE: Facts = Facts { transport: Transport::Tcp, dialling: None, due: false, worked: false };
    const QUIC: Facts = Facts { transport: Transport::Quic, ..IDLE };

    /// When TCP and QUIC may be dialled.
    fn free(facts: &[Facts], now: Instant) -> [Option<Instant>; 2] {
        let (mut standings, party) = (Standings::default(), Party::Peer(PeerId::random()));
        facts.iter().for_each(|facts| standings.note(party.clone(), *facts));
        [Transport::Tcp, Transport::Quic].map(|transport| standings.free_at(&party, transport, now))
    }

    #[test]
    fn tcp_goes_first_and_quic_follows_when_it_fails_or_is_silent() {
        let now = Instant::now();
        let due = Facts { due: true, ..IDLE };
        assert_eq!(free(&[due, QUIC], now), [Some(now), None], "TCP is due");
        let dialling = Facts { dialling: Some(now), ..due };
        assert_eq!(free(&[dialling, QUIC], now), [None, Some(now + HEAD_START)], "TCP is under way");
        assert_eq!(free(&[IDLE, QUIC], now), [Some(now), Some(now)], "TCP has failed and is due later");
        assert_eq!(free(&[QUIC], now), [Some(now), Some(now)], "there is no TCP");
        assert_eq!(free(&[IDLE, Facts { dialling: Some(now), ..QUIC }], now), [None, None], "QUIC is under way");
    }

    #[test]
    fn where_only_quic_has_worked_it_waits_for_nothing() {
        let now = Instant::now();
        let (quic, dialling) = (Facts { worked: true, ..QUIC }, Facts { dialling: Some(now), ..IDLE });
        assert_eq!(free(&[Facts { due: true, ..IDLE }, quic], now), [Some(now), Some(now)]);
        assert_eq!(free(&[dialling, quic], now), [None, Some(now)]);
        assert_eq!(free(&[Facts { worked: true, ..dialling }, quic], now), [None, Some(now + HEAD_START)]);
    }

    #[test]
    fn unknown_nodes_are_told_apart_by_address_and_port() {
        let of = |address: &str| Party::of(&address.parse().unwrap(), None);
        assert_eq!(of("/ip4/10.0.0.1/tcp/9000"), of("/ip4/10.0.0.1/udp/9000/quic-v1"));
        assert_ne!(of("/ip4/10.0.0.1/tcp/9000"), of("/ip4/10.0.0.1/udp/9001/quic-v1"));
        assert_ne!(of("/ip4/10.0.0.1/tcp/9000"), of("/ip4/10.0.0.2/tcp/9000"));
    }
}
