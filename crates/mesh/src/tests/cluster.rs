//! Nodes to test with.

use crate::mesh::{Tuning, start_tuned};
use crate::{Author, Config, Dht, Event, Identity, Mesh, Remembered};
use ghmesh_model::wire::{Invalidated, Record, Response, Shared, SignedRecord};
use ghmesh_model::{MemberId, Scope};
use ghmesh_seal::{Cost, KeyRing, Secret, derive};
use libp2p::Multiaddr;
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Far above what anything here takes; reached only if something never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The keys of a secret.
pub(crate) fn ring(secret: &str) -> KeyRing {
    derive(&Secret::new(secret.into()), "test", Cost::TEST)
}

/// The two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    Quic,
}

impl Wire {
    pub(crate) const BOTH: [Wire; 2] = [Wire::Tcp, Wire::Quic];

    /// The multiaddr of a socket.
    pub(crate) fn address(self, socket: SocketAddr) -> String {
        match self {
            Wire::Tcp => format!("/ip4/{}/tcp/{}", socket.ip(), socket.port()),
            Wire::Quic => format!("/ip4/{}/udp/{}/quic-v1", socket.ip(), socket.port()),
        }
    }
}

/// What a node is started with.
pub(crate) struct Setup {
    pub(crate) identity: Identity,
    pub(crate) rings: Vec<KeyRing>,
    pub(crate) boot: u64,
    pub(crate) listen: Vec<String>,
    pub(crate) bootstrap: Vec<String>,
    pub(crate) remembered: Vec<Remembered>,
    pub(crate) dht: Option<Dht>,
    pub(crate) tuning: Tuning,
}

impl Setup {
    pub(crate) fn new(secret: &str) -> Self {
        Setup {
            identity: Identity::ephemeral(),
            rings: vec![ring(secret)],
            boot: 1,
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            bootstrap: Vec::new(),
            remembered: Vec::new(),
            dht: None,
            tuning: Tuning::default(),
        }
    }

    /// Listening over `wire` alone.
    pub(crate) fn over(mut self, wire: Wire) -> Self {
        self.listen = vec![wire.address("127.0.0.1:0".parse().unwrap())];
        self
    }

    pub(crate) fn dialling(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.bootstrap.extend(addresses);
        self
    }

    pub(crate) async fn start(self) -> Node {
        let config = Config { listen: self.listen, bootstrap: self.bootstrap, dht: self.dht, ..Config::default() };
        let author = Author::new(&self.identity, self.boot);
        let Setup { identity, rings, boot, remembered, tuning, .. } = self;
        let (mesh, events) = start_tuned(config, identity.clone(), rings, boot, remembered, tuning).await.unwrap();
        Node { mesh, events, author, identity }
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) mesh: Mesh,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) author: Author,
    pub(crate) identity: Identity,
}

impl Node {
    pub(crate) fn member(&self) -> MemberId {
        self.mesh.member()
    }

    /// Where it listens, with its peer id.
    pub(crate) fn address(&self) -> String {
        self.mesh.status().listen_addrs[0].clone()
    }

    /// Where it listens, without.
    pub(crate) fn bare_address(&self) -> String {
        let mut address: Multiaddr = self.address().parse().unwrap();
        crate::config::split_peer(&mut address);
        address.to_string()
    }

    /// The socket behind its first address.
    pub(crate) fn socket(&self) -> SocketAddr {
        crate::precedence::socket(&self.address().parse().unwrap()).unwrap().into()
    }

    /// The next event that `pick` wants; others are passed over.
    pub(crate) async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        within("an event", async {
            loop {
                let event = self.events.recv().await.expect("the mesh runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    /// Waits until exactly `members` are connected.
    pub(crate) async fn connected_to(&self, members: impl IntoIterator<Item = MemberId>) {
        let expected: BTreeSet<MemberId> = members.into_iter().collect();
        let what = format!("{} members", expected.len());
        eventually(&what, || self.mesh.members().into_iter().collect::<BTreeSet<_>>() == expected).await;
    }

    /// A new record of this node.
    pub(crate) fn record(&self, tag: u8) -> Shared {
        let record = Record::Invalidated(Invalidated { scopes: vec![Scope([tag; 16])] });
        Shared { signed: self.author.sign(self.author.stamp(), &record), age_ms: 7, body: None }
    }

    /// Waits for the record.
    pub(crate) async fn receives(&mut self, expected: &SignedRecord) -> (MemberId, Shared) {
        self.event(|event| match event {
            Event::Record { from, shared } if shared.signed == *expected => Some((from, shared)),
            _ => None,
        })
        .await
    }

    /// Answers every request, in a task of its own, until the mesh ends.
    pub(crate) fn answering(
        mut self,
        answer: impl Fn(ghmesh_model::wire::Request) -> Response + Send + 'static,
    ) -> Mesh {
        let mesh = self.mesh.clone();
        tokio::spawn(async move {
            while let Some(event) = self.events.recv().await {
                if let Event::Asked { request, replier, .. } = event {
                    replier.reply(answer(request));
                }
            }
        });
        mesh
    }
}

/// `count` nodes of one mesh, each dialling all before it, all connected to all.
pub(crate) async fn cluster(count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let known: Vec<String> = nodes.iter().map(Node::address).collect();
        nodes.push(Setup::new("secret").dialling(known).start().await);
    }
    all_connected(&nodes).await;
    nodes
}

/// Waits until every node is connected to every other.
pub(crate) async fn all_connected(nodes: &[Node]) {
    for node in nodes {
        node.connected_to(nodes.iter().map(Node::member).filter(|member| *member != node.member())).await;
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
