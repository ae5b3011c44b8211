//! A whole node for the tests of this crate: its store in a directory, a simulated GitHub, and if wanted a mesh of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::exchange::{Alias, Exchange};
use crate::node::Inner;
use crate::{Clock, Config, Membership, Node};
use ghmesh_fleet::Subject;
use ghmesh_github_sim::{Sim, tokens};
use ghmesh_mesh::{Author, Identity};
use ghmesh_model::wire::{Record, Shared};
use ghmesh_model::{BodyCid, BodyFacts, Entry, History, Millis, Representation, Source};
use ghmesh_origin::Origin;
use ghmesh_policy::{Freshness, Listener, Origins, Plan, PolicyConfig, Read, Sharing, classify};
use ghmesh_seal::{Cost, KeyRing, Secret, derive};
use http::Request;
use std::sync::Arc;
use std::time::Duration;

/// What most tests ask for.
pub(crate) const PATH: &str = "/repos/octo/hello";

/// A member of the tests' mesh that is yet to be somebody's.
pub(crate) async fn membership(bootstrap: Vec<String>) -> Membership {
    let (identity, ring) = (Identity::ephemeral(), ring("a secret for tests"));
    let author = Arc::new(Author::new(&identity, 1));
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let config = ghmesh_mesh::Config { listen, bootstrap, ..ghmesh_mesh::Config::default() };
    let (mesh, events) = ghmesh_mesh::start(config, identity, vec![ring], 1, Vec::new()).await.unwrap();
    Membership { mesh, events, author }
}

/// Waits until `check` gives something, for at most a minute.
pub(crate) async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = check() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to pass that {what}");
}

pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) github: Arc<Sim>,
    origins: Origins,
    _directory: tempfile::TempDir,
}

/// Keys of a mesh with this secret.
pub(crate) fn ring(secret: &str) -> KeyRing {
    derive(&Secret::new(secret.into()), "test", Cost::TEST)
}

impl Bench {
    /// A node without a mesh.
    pub(crate) async fn alone() -> Self {
        let github = Sim::start(ghmesh_github_sim::Config::default()).await.unwrap();
        Bench::of(Arc::new(github))
    }

    fn of(github: Arc<Sim>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let dir = directory.path().join("data");
        let bounds = ghmesh_store::Config { dir, max_bytes: 1 << 26, max_entries: 10_000, memory_bytes: 1 << 22 };
        let store = ghmesh_store::open(bounds, clock.function()).unwrap();
        let origin = Origin::new(ghmesh_origin::Config::default(), clock.function()).unwrap();
        let origins = Origins::new(&[], Some(&github.url()), Vec::new()).unwrap();
        let freshness = Freshness { adaptive: false, ..Freshness::default() };
        let config = Config { freshness, sharing: Sharing::Proof, mesh_enabled: true, origins: origins.clone() };
        Bench { node: Node::new(config, clock, store, origin), github, origins, _directory: directory }
    }

    /// The only member of its mesh.
    pub(crate) async fn in_mesh() -> Self {
        let bench = Bench::alone().await;
        bench.node.join(membership(Vec::new()).await);
        bench
    }

    /// Another node that calls the same GitHub, in the mesh of these.
    pub(crate) async fn beside(others: &[&Bench]) -> Self {
        let bench = Bench::of(others[0].github.clone());
        let addresses = others.iter().flat_map(|other| other.exchange().mesh.status().listen_addrs);
        bench.node.join(membership(addresses.collect()).await);
        bench
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.node.0
    }

    pub(crate) fn exchange(&self) -> &Exchange {
        &self.inner().members.get().unwrap().exchange
    }

    pub(crate) fn now(&self) -> Millis {
        self.inner().clock.now()
    }

    pub(crate) fn ago(&self, seconds: u64) -> Millis {
        self.now().before(Duration::from_secs(seconds))
    }

    /// `GET path` as alice, with more headers.
    pub(crate) fn read(&self, path: &str, headers: &[(&str, &str)]) -> Read {
        self.read_as(&format!("token {}", tokens::ALICE), path, headers)
    }

    pub(crate) fn read_as(&self, authorization: &str, path: &str, headers: &[(&str, &str)]) -> Read {
        let request = Request::get(path).header("host", "127.0.0.1:9180").header("authorization", authorization);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let listener = Listener::Tcp { address: "127.0.0.1:9180".parse().unwrap(), loopback: true };
        match classify(&head, &self.origins, &listener, &|_| false, &PolicyConfig::default()).unwrap() {
            Plan::Read(read) => *read,
            Plan::Pass(pass) => panic!("{path} passes: {:?}", pass.reason),
        }
    }

    pub(crate) fn subject(&self, read: &Read) -> Subject {
        self.alias(read).subject
    }

    pub(crate) fn alias(&self, read: &Read) -> Alias {
        self.inner().alias(read).unwrap()
    }

    /// Another member of the same mesh, with its own pen.
    pub(crate) fn peer(&self) -> Exchange {
        Exchange { author: Arc::new(Author::new(&Identity::ephemeral(), 1)), ..self.exchange().clone() }
    }

    /// What a member that just fetched `body` for `read` tells of it.
    pub(crate) fn told(&self, read: &Read, entry: &Entry, body: &[u8]) -> Shared {
        let peer = self.peer();
        let attestation = peer.attest(&self.alias(read), &read.credential, entry);
        let age_ms = self.now().since(entry.confirmed_at).map_or(0, ghmesh_model::time::millis);
        Shared { signed: attestation.stored, age_ms, body: Some(body.to_vec()) }
    }
}

/// An entry confirmed then, as it comes from GitHub.
pub(crate) fn entry(body: &[u8], confirmed_at: Millis) -> Entry {
    let headers = [("content-type", "application/json; charset=utf-8"), ("vary", "Accept, Authorization")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Entry {
        representation: Representation { cid: BodyCid::of(body), length: body.len() as u64, headers },
        etag: None,
        origin_date: confirmed_at.0 / 1000,
        confirmed_at,
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: String::new(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

/// The same record, signed anew by `author` after a change.
pub(crate) fn altered(shared: &Shared, author: &Author, change: impl FnOnce(&mut Record)) -> Shared {
    let mut record = shared.signed.record().unwrap();
    change(&mut record);
    Shared { signed: author.sign(shared.signed.stamp, &record), ..shared.clone() }
}
