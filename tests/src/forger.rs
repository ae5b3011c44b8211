//! A member of the mesh that lies: it has the secret, hears what the others publish, and forges answers from it.

use crate::{Daemon, SECRET};
use ghmesh_mesh::{Author, Event, Identity, Mesh};
use ghmesh_model::wire::{Record, Request, Response, Shared, Stored, Validation};
use ghmesh_model::{Fingerprint, Representation};
use ghmesh_seal::{Cost, KeyRing, Secret, derive};
use std::sync::{Arc, Mutex};

/// A member of the mesh that is not ghmesh, and what it heard.
pub struct Forger {
    /// Its end of the mesh.
    pub mesh: Mesh,
    /// Who signs its records.
    pub author: Author,
    /// The mesh's keys: it has the secret.
    pub ring: KeyRing,
    heard: Mutex<Vec<Shared>>,
}

/// What it makes of a genuine record.
pub type Forge = fn(&Forger, &Shared, &Stored, Fingerprint) -> Response;

impl Forger {
    /// Joins the mesh of `daemons`, and answers with forgeries whoever asks it for what it has heard.
    pub async fn join(daemons: &[Daemon], forge: Forge) -> Arc<Self> {
        let derived = tokio::task::spawn_blocking(|| derive(&Secret::new(SECRET.into()), "default", Cost::PRODUCTION));
        let ring = derived.await.expect("scrypt does not panic");
        let identity = Identity::ephemeral();
        let mut bootstrap = Vec::new();
        for daemon in daemons {
            bootstrap.push(daemon.address().await);
        }
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let config = ghmesh_mesh::Config { listen, bootstrap, ..ghmesh_mesh::Config::default() };
        let author = Author::new(&identity, 1);
        let started = ghmesh_mesh::start(config, identity, vec![ring.clone()], 1, Vec::new()).await;
        let (mesh, mut events) = started.expect("it starts");
        let forger = Arc::new(Forger { mesh, author, ring, heard: Mutex::default() });
        let itself = forger.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    Event::Record { shared, .. } => itself.heard.lock().expect("no panic").push(shared),
                    Event::Asked { request, replier, .. } => replier.reply(itself.answer(&request, forge)),
                    _ => {}
                }
            }
        });
        for daemon in daemons {
            daemon.connected(daemons.len() as u64).await;
        }
        forger
    }

    /// How many records it has heard.
    pub fn heard(&self) -> usize {
        self.heard.lock().expect("no panic").len()
    }

    fn answer(&self, request: &Request, forge: Forge) -> Response {
        let Request::Have { key, fingerprint, .. } = request else { return Response::No };
        let heard = self.heard.lock().expect("no panic").clone();
        let genuine = heard.iter().find_map(|shared| match shared.signed.record() {
            Ok(Record::Stored(stored)) if stored.validation.key == *key => Some((shared, stored)),
            _ => None,
        });
        match genuine {
            Some((shared, stored)) if stored.validation.fingerprint != *fingerprint => {
                forge(self, shared, &stored, *fingerprint)
            }
            _ => Response::No,
        }
    }

    /// The genuine body, as if GitHub had confirmed it for `fingerprint`.
    pub fn validated(&self, shared: &Shared, stored: &Stored, fingerprint: Fingerprint, mac: Vec<u8>) -> Shared {
        let validation = Validation { fingerprint, mac, ..stored.validation.clone() };
        let record = Record::Stored(Stored { validation, ..stored.clone() });
        Shared { signed: self.author.sign(self.author.stamp(), &record), ..shared.clone() }
    }

    /// The same for other headers than GitHub's, for the credential for which it is.
    pub fn with_headers(&self, shared: &Shared, stored: &Stored, headers: &[(&str, &str)]) -> Shared {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let representation = Representation { headers, ..stored.representation.clone() };
        let record = Record::Stored(Stored { representation, ..stored.clone() });
        Shared { signed: self.author.sign(self.author.stamp(), &record), ..shared.clone() }
    }
}
