//! `/dnsaddr/NAME`: a list of addresses in DNS, as libp2p's addressing spec has it.
//!
//! The TXT records at `_dnsaddr.NAME` read `dnsaddr=` and a multiaddr: of a node, of a host name, or of another list. With a
//! peer id at the end of the list's own address, only what ends with that id counts. The system's resolver gives no TXT
//! records, so these alone are asked for by a resolver of our own, with the system's servers and search list.

use super::Lead;
use crate::config::{Contact, List, contact};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Lists within lists: so deep, and not deeper.
const MAX_DEPTH: usize = 4;
/// Lookups for one list, those of host names in it included. What would need more is left out.
const MAX_LOOKUPS: usize = 32;
/// Addresses of one list. Those that are named later are left out.
const MAX_ADDRESSES: usize = 256;
/// For one question to one server; each is asked twice.
const LIMIT: Duration = Duration::from_secs(2);

/// Whom TXT records are asked of: the system's servers, unless a test says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Nameserver(pub(crate) Option<SocketAddr>);

impl Nameserver {
    /// Made anew for each resolution: the system's servers change where a machine moves, and nothing may be kept.
    fn resolver(self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.0 {
            None => TokioResolver::builder_tokio()?,
            Some(address) => {
                let mut connection = ConnectionConfig::udp();
                connection.port = address.port();
                let server = NameServerConfig::new(address.ip(), true, vec![connection]);
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        (options.cache_size, options.timeout, options.attempts) = (0, LIMIT, 2);
        builder.build()
    }
}

/// A list without anything to dial.
#[derive(Debug, thiserror::Error)]
#[error("no TXT record at _dnsaddr.{0} names an address that this node can dial")]
struct Empty(String);

/// Every address of a list.
///
/// # Errors
/// The first that happened, where nothing was found at all.
pub(super) async fn addresses(list: &List, nameserver: &Nameserver) -> io::Result<Vec<Lead>> {
    let resolver = nameserver.resolver().map_err(io::Error::other)?;
    let mut search = Search { resolver, lookups: 0, asked: BTreeSet::new(), found: BTreeMap::new(), error: None };
    let mut waiting = VecDeque::from([(list.clone(), 0)]);
    while let Some((list, depth)) = waiting.pop_front() {
        let inner = search.read(&list).await;
        if depth < MAX_DEPTH {
            waiting.extend(inner.into_iter().map(|list| (list, depth + 1)));
        }
    }
    if search.found.is_empty() {
        let empty = || io::Error::new(io::ErrorKind::NotFound, Empty(list.host.clone()));
        return Err(search.error.unwrap_or_else(empty));
    }
    Ok(search.found.into_iter().collect())
}

struct Search {
    resolver: TokioResolver,
    lookups: usize,
    asked: BTreeSet<String>,
    found: BTreeMap<libp2p::Multiaddr, Option<PeerId>>,
    error: Option<io::Error>,
}

impl Search {
    /// Takes the addresses of one list; gives the lists in it.
    async fn read(&mut self, list: &List) -> Vec<List> {
        if self.lookups >= MAX_LOOKUPS || !self.asked.insert(list.host.clone()) {
            return Vec::new();
        }
        self.lookups += 1;
        let mut inner = Vec::new();
        for text in self.texts(&list.host).await {
            match contact(&text) {
                Ok(Contact::Address(address, peer)) => self.take(list.peer, [(address, peer)]),
                Ok(Contact::Name(name)) if self.lookups < MAX_LOOKUPS => {
                    self.lookups += 1;
                    match super::addresses(&name).await {
                        Ok(addresses) => self.take(list.peer, addresses),
                        Err(error) => drop(self.error.get_or_insert(error)),
                    }
                }
                Ok(Contact::Name(_)) => {}
                Ok(Contact::List(other)) if list.peer.is_none() || other.peer.is_none() || list.peer == other.peer => {
                    inner.push(List { peer: list.peer.or(other.peer), ..other });
                }
                Ok(Contact::List(_)) => {}
                Err(fault) => tracing::debug!(record = text, %fault, "a TXT record is no address for this node"),
            }
        }
        inner
    }

    fn take(&mut self, wanted: Option<PeerId>, leads: impl IntoIterator<Item = Lead>) {
        for (address, peer) in leads {
            if (wanted.is_none() || wanted == peer) && self.found.len() < MAX_ADDRESSES {
                self.found.insert(address, peer);
            }
        }
    }

    async fn texts(&mut self, host: &str) -> Vec<String> {
        let lookup = match self.resolver.txt_lookup(format!("_dnsaddr.{host}")).await {
            Ok(lookup) => lookup,
            Err(error) => {
                self.error.get_or_insert(io::Error::other(error));
                return Vec::new();
            }
        };
        let texts = lookup.answers().iter().filter_map(|record| match &record.data {
            // RFC 1035: a record's strings of up to 255 bytes are one text.
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        });
        texts.filter_map(|text| text.strip_prefix("dnsaddr=").map(str::to_owned)).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::tests::nameserver::Server;

    async fn found(server: &Server, address: &str) -> io::Result<Vec<String>> {
        let Contact::List(list) = contact(address).unwrap() else { panic!("{address} is no list") };
        let found = addresses(&list, &server.nameserver()).await?;
        Ok(found.into_iter().map(|(address, _)| address.to_string()).collect())
    }

    #[tokio::test]
    async fn a_list_names_addresses_hosts_and_other_lists() {
        let server = Server::start().await;
        let id = crate::Identity::ephemeral().peer_id();
        let long = format!("dnsaddr=/ip6/2001:db8::1/tcp/9000/p2p/{id}");
        server.set("mesh.test", &["dnsaddr=/ip4/10.0.0.1/tcp/9000", &long, "v=spf1 -all", "dnsaddr=nonsense"]);
        assert_eq!(
            found(&server, "/dnsaddr/mesh.test").await.unwrap(),
            ["/ip4/10.0.0.1/tcp/9000", "/ip6/2001:db8::1/tcp/9000"]
        );
        server.set("mesh.test", &["dnsaddr=/dnsaddr/eu.mesh.test", "dnsaddr=/dns4/localhost/tcp/9"]);
        server.set("eu.mesh.test", &["dnsaddr=/ip4/10.0.0.2/tcp/9000"]);
        assert_eq!(
            found(&server, "/dnsaddr/mesh.test").await.unwrap(),
            ["/ip4/10.0.0.2/tcp/9000", "/ip4/127.0.0.1/tcp/9"]
        );
    }

    #[tokio::test]
    async fn a_peer_id_at_the_end_takes_that_peer_alone() {
        let server = Server::start().await;
        let [one, two] = [(); 2].map(|()| crate::Identity::ephemeral().peer_id());
        let records = [
            format!("dnsaddr=/ip4/10.0.0.1/tcp/9000/p2p/{one}"),
            format!("dnsaddr=/ip4/10.0.0.2/tcp/9000/p2p/{two}"),
            "dnsaddr=/ip4/10.0.0.3/tcp/9000".to_owned(),
        ];
        server.set("mesh.test", &records.each_ref().map(String::as_str));
        assert_eq!(found(&server, &format!("/dnsaddr/mesh.test/p2p/{two}")).await.unwrap(), ["/ip4/10.0.0.2/tcp/9000"]);
        let nobody = crate::Identity::ephemeral().peer_id();
        let error = found(&server, &format!("/dnsaddr/mesh.test/p2p/{nobody}")).await.unwrap_err();
        assert!(error.to_string().contains("_dnsaddr.mesh.test"), "{error}");
    }

    #[tokio::test]
    async fn lists_that_name_each_other_end_and_so_do_deep_and_wide_ones() {
        let server = Server::start().await;
        server.set("a.test", &["dnsaddr=/dnsaddr/b.test", "dnsaddr=/ip4/10.0.0.1/tcp/1"]);
        server.set("b.test", &["dnsaddr=/dnsaddr/a.test", "dnsaddr=/ip4/10.0.0.2/tcp/1"]);
        assert_eq!(found(&server, "/dnsaddr/a.test").await.unwrap().len(), 2);
        assert_eq!(server.asked(), 2);
        for n in 0..10 {
            let next = format!("dnsaddr=/dnsaddr/d{}.test", n + 1);
            server.set(&format!("d{n}.test"), &[&next, &format!("dnsaddr=/ip4/10.0.0.{n}/tcp/1")]);
        }
        assert_eq!(found(&server, "/dnsaddr/d0.test").await.unwrap().len(), MAX_DEPTH + 1);
        let wide: Vec<String> = (0..30).map(|n| format!("dnsaddr=/dnsaddr/w{n}.test")).collect();
        let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
        server.set("wide.test", &wide);
        (0..30).for_each(|n| server.set(&format!("w{n}.test"), &wide));
        let before = server.asked();
        assert!(found(&server, "/dnsaddr/wide.test").await.is_err());
        assert!(server.asked() - before <= MAX_LOOKUPS);
    }

    #[tokio::test]
    async fn a_list_that_is_not_there_is_an_error() {
        let server = Server::start().await;
        assert!(found(&server, "/dnsaddr/missing.test").await.is_err());
    }
}
