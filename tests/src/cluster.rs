//! Daemons on hosts of their own, with a simulated GitHub that all of them reach.

use crate::network::Lan;
use crate::{Daemon, DaemonBuilder};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use ghmesh_github_sim::{Config, Sim, tokens};
use std::time::{Duration, Instant};

/// Where daemons listen for members.
pub const PORT: u16 = 9000;

/// What a node that holds an answer waits before it is asked again whether it does.
const GLANCE: Duration = Duration::from_millis(1);
/// Between two fetches of [`gossip_back`].
const BETWEEN_FETCHES: Duration = Duration::from_millis(50);
/// Records that gossip brought, as a daemon counts them.
const GOSSIPED: &str = "records_gossiped";
/// The longest wait for gossip. A record that has not come by then will not.
const LOST: Duration = Duration::from_secs(20);

/// By which transport members talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// TCP alone.
    Tcp,
    /// QUIC alone.
    Quic,
    /// Whichever they prefer.
    Both,
}

impl Over {
    /// Multiaddrs of [`PORT`] at that IP address, as settings take them.
    pub fn addresses(self, ip: &str) -> String {
        let (tcp, quic) = (format!("/ip4/{ip}/tcp/{PORT}"), format!("/ip4/{ip}/udp/{PORT}/quic-v1"));
        match self {
            Over::Tcp => tcp,
            Over::Quic => quic,
            Over::Both => format!("{tcp},{quic}"),
        }
    }
}

/// A GitHub on this machine, for the hosts of `lan`.
pub async fn github(lan: &Lan) -> Sim {
    let listen = format!("{}:0", lan.gateway()).parse().expect("an address");
    Sim::start(Config { listen, ..Config::default() }).await.expect("the simulated GitHub starts")
}

/// A daemon to be started on that host, with answers that last.
pub fn node(github: &Sim, host: &str, over: Over) -> DaemonBuilder {
    DaemonBuilder::new(&github.url())
        .in_namespace(host)
        .with("GHMESH_MESH__LISTEN", &over.addresses("0.0.0.0"))
        .with("GHMESH_CACHE__DEFAULT_TTL", "1h")
}

/// A daemon on each of these hosts, all knowing the first, once all are connected to all.
pub async fn mesh(github: &Sim, lan: &Lan, hosts: &[String], over: Over) -> Vec<Daemon> {
    let first = over.addresses(&lan.address(&hosts[0]));
    let hows = hosts.iter().map(|host| node(github, host, over));
    let mut daemons: Vec<Daemon> = hows.map(|how| how.with("GHMESH_MESH__BOOTSTRAP", &first).spawn()).collect();
    for daemon in &mut daemons {
        daemon.ready().await;
    }
    for daemon in &daemons {
        daemon.connected(hosts.len() as u64 - 1).await;
    }
    daemons
}

/// The `number`th of many answers, which differ in length and travel inside their records.
pub fn item(number: usize) -> String {
    format!("/repos/octo/big/contents/body-{}.json?number={number}", 1000 + number % 8000)
}

/// Fetches `path` on one node and measures from its answer until each of the others holds it.
pub async fn spread(from: &Daemon, others: &[&Daemon], path: &str) -> Vec<Duration> {
    let answer = from.get(path, tokens::ALICE).await;
    assert!(answer.header("cache-status").ends_with("; stored"), "{}", answer.header("cache-status"));
    let started = Instant::now();
    join_all(others.iter().map(async |daemon| {
        while !daemon.holds(path, tokens::ALICE).await {
            assert!(started.elapsed() < LOST, "{path} has not come within {LOST:?}; log:\n{}", daemon.log());
            tokio::time::sleep(GLANCE * others.len() as u32).await;
        }
        started.elapsed()
    }))
    .await
}

/// The value below which `percent` of all lie. `all` is not empty.
pub fn percentile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort();
    all[(all.len() * percent / 100).min(all.len() - 1)]
}

/// How long it takes, from now, until what is fetched on `one` reaches `other` by gossip: every few milliseconds something new is
/// fetched, from the `first`th [`item`] on, until `other` was told of something that everybody was told. What it was told alone, as
/// the owner of a key or where both compare what they hold, doesn't count.
pub async fn gossip_back(one: &Daemon, other: &Daemon, first: usize) -> Duration {
    let heard = other.count(GOSSIPED).await;
    let started = Instant::now();
    let fetch = async {
        let mut items = (first..).map(item);
        let mut under_way = FuturesUnordered::new();
        loop {
            let item = items.next().expect("there is no last number");
            under_way.push(async move { one.get(&item, tokens::ALICE).await });
            // A member that is about to be missed is waited for; the next fetch is not held up by that.
            let mut pause = std::pin::pin!(tokio::time::sleep(BETWEEN_FETCHES));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(_) = under_way.next() => {}
                }
            }
        }
    };
    let watch = async {
        loop {
            if other.count(GOSSIPED).await > heard {
                return started.elapsed();
            }
            assert!(started.elapsed() < LOST, "nothing came within {LOST:?}; log:\n{}", other.log());
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::select! {
        never = fetch => never,
        back = watch => back,
    }
}
