//! What the mesh can listen on and dial, as far as a look at the text can tell.
//!
//! The mesh parses addresses itself; this is here to say, beside all other problems, what to write instead.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where an address is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// To listen on: an IP address and a port.
    Listen,
    /// To dial: a name is good too, and the peer's id may follow.
    Dial,
}

/// Why a text is no address that nodes can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// An address as other programs write it.
    #[error("it is not a multiaddr; write {instead}")]
    NotMultiaddr {
        /// The same address as a multiaddr, or an example.
        instead: String,
    },
    /// A first part that cannot be listened on or dialled.
    #[error("it begins with /{protocol}; write one that begins with {known}")]
    Host {
        /// The first part.
        protocol: String,
        /// What may stand there.
        known: &'static str,
    },
    /// A host that isn't what its protocol promises.
    #[error("{host:?} is not what /{protocol} takes")]
    HostValue {
        /// The protocol.
        protocol: String,
        /// The host.
        host: String,
    },
    /// Neither TCP nor QUIC.
    #[error("nodes speak TCP and QUIC; write /tcp/9000 after the host, or /udp/9000/quic-v1, with the port")]
    Transport,
    /// Not a port.
    #[error("{port:?} is not a port; write a number from {least} to 65535")]
    Port {
        /// As written.
        port: String,
        /// 0 where any free port will do, else 1.
        least: u16,
    },
    /// Not a peer id.
    #[error("{id:?} is not a peer id; `ghmesh id` on that node prints its whole addresses")]
    Peer {
        /// As written.
        id: String,
    },
    /// More than an address has.
    #[error("/{rest} is too much; the address ends before it")]
    Rest {
        /// What follows.
        rest: String,
    },
}

/// Whether `text` is an address for `usage`: `/ip4|ip6/…`, then `/tcp/PORT` or `/udp/PORT/quic-v1`, and to dial also
/// `/dns|dns4|dns6/…`, `/dnsaddr/NAME` without a port, and `/p2p/ID` at the end.
pub(super) fn check(text: &str, usage: Use) -> Result<(), AddressFault> {
    let Some(parts) = text.strip_prefix('/') else { return Err(AddressFault::NotMultiaddr { instead: instead(text) }) };
    let mut parts = parts.split('/');
    let (protocol, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    check_host(protocol, host, usage)?;
    if protocol == "dnsaddr" {
        return check_end(&parts.collect::<Vec<_>>(), usage);
    }
    let transport = parts.next();
    let port = parts.next().unwrap_or_default();
    match transport {
        Some("tcp") => check_port(port, usage)?,
        Some("udp") if parts.next() == Some("quic-v1") => check_port(port, usage)?,
        _ => return Err(AddressFault::Transport),
    }
    check_end(&parts.collect::<Vec<_>>(), usage)
}

fn check_host(protocol: &str, host: &str, usage: Use) -> Result<(), AddressFault> {
    let good = match (protocol, usage) {
        ("ip4", _) => host.parse::<Ipv4Addr>().is_ok(),
        ("ip6", _) => host.parse::<Ipv6Addr>().is_ok(),
        ("dns" | "dns4" | "dns6" | "dnsaddr", Use::Dial) => matches!(url::Host::parse(host), Ok(url::Host::Domain(_))),
        (_, Use::Listen) => return Err(AddressFault::Host { protocol: protocol.to_owned(), known: "/ip4 or /ip6" }),
        (_, Use::Dial) => {
            return Err(AddressFault::Host {
                protocol: protocol.to_owned(),
                known: "/ip4, /ip6, /dns4, /dns6 or /dnsaddr",
            });
        }
    };
    if good { Ok(()) } else { Err(AddressFault::HostValue { protocol: protocol.to_owned(), host: host.to_owned() }) }
}

fn check_port(port: &str, usage: Use) -> Result<(), AddressFault> {
    let least = match usage {
        Use::Listen => 0,
        Use::Dial => 1,
    };
    match port.parse::<u16>() {
        Ok(number) if number >= least => Ok(()),
        _ => Err(AddressFault::Port { port: port.to_owned(), least }),
    }
}

fn check_end(rest: &[&str], usage: Use) -> Result<(), AddressFault> {
    match (rest, usage) {
        ([], _) => Ok(()),
        (["p2p", id], Use::Dial) if is_peer_id(id) => Ok(()),
        (["p2p", id, ..], Use::Dial) if !is_peer_id(id) => Err(AddressFault::Peer { id: (*id).to_owned() }),
        (rest, _) => Err(AddressFault::Rest { rest: rest.join("/") }),
    }
}

/// A base58 multihash: 34 bytes of SHA-256 give 46 characters, 38 bytes of an inlined Ed25519 key give 52 (libp2p
/// peer-ids spec).
fn is_peer_id(id: &str) -> bool {
    let base58 = |c: char| c.is_ascii_alphanumeric() && !matches!(c, '0' | 'O' | 'I' | 'l');
    (46..=60).contains(&id.len()) && id.chars().all(base58)
}

/// The multiaddr that is likely meant by `host:port`, a bare port or a bare host.
fn instead(text: &str) -> String {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let protocol = if address.is_ipv4() { "ip4" } else { "ip6" };
        return format!("/{protocol}/{}/tcp/{}", address.ip(), address.port());
    }
    match text.rsplit_once(':').unwrap_or((text, "9000")) {
        (host, port) if port.parse::<u16>().is_ok() && is_domain(host) => format!("/dns4/{host}/tcp/{port}"),
        _ => "it as in /ip4/10.0.0.5/tcp/9000".to_owned(),
    }
}

fn is_domain(host: &str) -> bool {
    host.contains(|c: char| c.is_ascii_alphabetic()) && matches!(url::Host::parse(host), Ok(url::Host::Domain(_)))
}
