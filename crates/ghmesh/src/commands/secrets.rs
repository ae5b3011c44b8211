//! The mesh secrets of a running daemon: they are read again on SIGHUP and when their files change.
//!
//! A file is looked at every two seconds, by its contents. Notification by the kernel (inotify) would tell sooner, and of less:
//! Kubernetes replaces a symlink two levels above the file, editors rename, and network file systems say nothing. A file
//! counts once two looks in a row have found the same, so that no half-written one does.

use crate::commands::up::{gh_auth_token, told_notes};
use crate::settings::{Environment, Inputs, Mesh, SecretChoice, SecretSource, SecretText, load, mesh_secret};
use anyhow::{Context, bail};
use ghmesh_node::Node;
use ghmesh_seal::{Cost, KeyRing, Secret};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);
/// Bytes of a file that are compared; longer ones are no files of secrets.
const MAX_LOOKED_AT: u64 = 256 * 1024;

/// SHA-256.
type Hash = [u8; 32];

/// Where secrets are read from, again and again.
pub(crate) struct Sources {
    inputs: Inputs,
    /// The source in force at the start, where it was none that somebody gave: another of its kind is not taken up later.
    implicit: Option<SecretSource>,
}

impl Sources {
    /// Keeps what `inputs` are needed for. Tokens that are not this mesh's secret are wiped.
    pub(crate) fn new(mut inputs: Inputs, choice: &SecretChoice) -> Self {
        let source = choice.secret.as_ref().map(|chosen| chosen.source.clone());
        let implicit = source.filter(|source| matches!(source, SecretSource::Token(_) | SecretSource::GhCommand));
        let environment = &mut inputs.surroundings.environment;
        for name in ["GITHUB_TOKEN", "GH_TOKEN"] {
            if implicit != Some(SecretSource::Token(name)) {
                environment.remove(name);
            }
        }
        Sources { inputs, implicit }
    }

    /// Reads everything anew.
    fn read(&self) -> anyhow::Result<(Mesh, SecretChoice)> {
        let mut settings = load(&self.inputs).map_err(|problems| anyhow::anyhow!("{problems}"))?.settings;
        let environment: &Environment = &self.inputs.surroundings.environment;
        let asks_gh = self.implicit == Some(SecretSource::GhCommand);
        let choice = mesh_secret(&settings, environment, || asks_gh.then(gh_auth_token).flatten())?;
        settings.mesh.forget_secrets();
        Ok((settings.mesh, choice))
    }
}

/// The keys of secrets that are in force, so that none is derived twice. The secrets themselves are dropped.
pub(crate) struct Derived {
    cluster: String,
    /// Under the hashes: they leave this process no more than the keys do, and still don't show which secret it is.
    salt: Hash,
    rings: Vec<(Hash, KeyRing)>,
}

impl Derived {
    pub(crate) fn new(cluster: String) -> Self {
        Derived { cluster, salt: rand::random(), rings: Vec::new() }
    }

    /// The keys of these secrets; those of others are forgotten. Blocks for 0.4 s for each that is new, one after the other: each
    /// takes 128 MiB while it is derived.
    pub(crate) fn take(&mut self, secrets: &[SecretText]) -> Vec<KeyRing> {
        let taken = secrets.iter().map(|text| {
            let hash = Sha256::new().chain_update(self.salt).chain_update(text.expose()).finalize().into();
            let known = self.rings.iter().find(|(known, _)| *known == hash).map(|(_, ring)| ring.clone());
            let derive = || {
                let secret = Secret::new(text.expose().as_bytes().to_vec());
                ghmesh_seal::derive(&secret, &self.cluster, Cost::PRODUCTION)
            };
            (hash, known.unwrap_or_else(derive))
        });
        let taken: Vec<(Hash, KeyRing)> = taken.collect();
        self.rings = taken;
        self.rings.iter().map(|(_, ring)| ring.clone()).collect()
    }
}

/// The secrets that a choice consists of, the node's own first.
pub(crate) fn all_of(choice: SecretChoice) -> Vec<SecretText> {
    choice.secret.map(|chosen| chosen.text).into_iter().chain(choice.accepted).collect()
}

/// Keeps a running mesh's secrets as their sources say.
pub(crate) struct Keeper {
    sources: Sources,
    derived: Derived,
    compromised: bool,
    hangups: Signal,
    files: Vec<PathBuf>,
    /// What the files held when they were last read.
    read: Hash,
}

impl Keeper {
    /// `mesh`: the settings that are in force, without secrets. `derived`: of the secrets in force.
    pub(crate) fn new(sources: Sources, derived: Derived, hangups: Signal, mesh: &Mesh) -> Self {
        let files = files(mesh);
        let read = look(&files);
        Keeper { sources, derived, compromised: mesh.compromised, hangups, files, read }
    }

    /// Follows the sources for ever.
    pub(crate) async fn keep(mut self, node: &Node) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.read;
        loop {
            tokio::select! {
                _ = self.hangups.recv() => {
                    tracing::info!("SIGHUP: reading the mesh secrets again");
                    self.reload(node).await;
                    seen = self.read;
                }
                _ = looks.tick() => {
                    let files = self.files.clone();
                    let now = tokio::task::spawn_blocking(move || look(&files)).await.unwrap_or(self.read);
                    let settled = now == seen;
                    seen = now;
                    if now != self.read && settled {
                        tracing::info!("a file of mesh secrets has changed");
                        self.reload(node).await;
                        seen = self.read;
                    }
                }
            }
        }
    }

    async fn reload(&mut self, node: &Node) {
        match self.change(node).await {
            Ok(()) => node.note_secret_problem(None),
            Err(error) => {
                let reason = crate::told(&error);
                tracing::error!("the mesh secrets stay as they were: {reason}");
                node.note_secret_problem(Some(reason));
            }
        }
    }

    async fn change(&mut self, node: &Node) -> anyhow::Result<()> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let files_before = self.files.clone();
        let looked = tokio::task::spawn_blocking(move || look(&files_before)).await?;
        self.read = looked;
        let (mesh, choice) = tokio::task::block_in_place(|| self.sources.read())?;
        if choice.secret.is_none() {
            bail!("no mesh secret is given any more; to leave the mesh, set mesh.enabled = false and start anew");
        }
        let files = files(&mesh);
        if files != self.files {
            let files = files.clone();
            self.read = tokio::task::spawn_blocking(move || look(&files)).await?;
        }
        self.files = files;
        told_notes(&choice.notes);
        let compromised = choice.compromised;
        let before = self.labels();
        let rings = tokio::task::block_in_place(|| self.derived.take(&all_of(choice)));
        let cut = compromised && (before != self.labels() || !self.compromised);
        if before == self.labels() && !cut {
            self.compromised = compromised;
            tracing::info!("the mesh secrets are what they were");
            return Ok(());
        }
        self.compromised = compromised;
        let own = rings.first().context("a secret was chosen")?.label().to_owned();
        tracing::info!(label = own, accepted = rings.len() - 1, cut, "other mesh secrets are in force");
        node.change_secrets(rings, cut).await;
        Ok(())
    }

    /// What is in force, in order.
    fn labels(&self) -> Vec<String> {
        self.derived.rings.iter().map(|(_, ring)| ring.label().to_owned()).collect()
    }
}

fn files(mesh: &Mesh) -> Vec<PathBuf> {
    mesh.secret_file.iter().chain(&mesh.accepted_secrets_file).cloned().collect()
}

/// What the files hold now. Opening a path follows whatever symlinks it has at this moment.
fn look(files: &[PathBuf]) -> Hash {
    let mut hash = Sha256::new();
    for path in files {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = crate::settings::open_file(path).and_then(|file| file.take(MAX_LOOKED_AT).read_to_end(&mut bytes));
        // One that can't be read is another than one that is empty.
        hash.update([u8::from(read.is_ok())]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(&*bytes);
    }
    hash.finalize().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_look_sees_a_file_that_is_written_removed_or_reached_another_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = [path("secret"), path("accepted")];
        let mut seen = vec![look(&files)];
        let mut is_new = |what: &str| {
            let now = look(&files);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        std::fs::write(path("secret"), "").unwrap();
        is_new("an empty file");
        std::fs::write(path("secret"), "a").unwrap();
        is_new("another text");
        std::fs::remove_file(path("secret")).unwrap();
        for version in ["1", "2"] {
            std::fs::create_dir(path(version)).unwrap();
            std::fs::write(path(version).join("secret"), version).unwrap();
        }
        symlink("1", path("..data")).unwrap();
        symlink("..data/secret", path("secret")).unwrap();
        is_new("a link");
        symlink("2", path("..tmp")).unwrap();
        std::fs::rename(path("..tmp"), path("..data")).unwrap();
        is_new("a link to another place");
        std::fs::write(path("accepted"), "2").unwrap();
        is_new("the second file");
        assert_eq!(look(&files), look(&files));
    }
}
