//! Answers that were fetched before the mesh had started: deriving its keys takes a moment, and callers don't wait for it.
//!
//! A validation can be signed only with the caller's credential. So the reads are kept, in memory and for that moment, and
//! what they brought is shared as soon as there is somebody to share it with.

use crate::node::Inner;
use ghmesh_policy::{CredentialKind, Read};
use std::sync::{Mutex, PoisonError};

/// Reads kept. What is beyond is shared when GitHub confirms it for the first time.
const MAX_READS: usize = 1024;

/// The reads of before the mesh.
#[derive(Debug, Default)]
pub(crate) struct Early(Mutex<Vec<Read>>);

impl Early {
    fn note(&self, read: &Read) {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.len() < MAX_READS {
            reads.push(read.clone());
        }
    }

    fn take(&self) -> Vec<Read> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Notes a read whose answer may be shared, if the mesh is still to come.
    pub(crate) fn share_later(&self, read: &Read) {
        let coming = self.config.mesh_enabled && self.members.get().is_none() && self.mesh_failure.get().is_none();
        if coming && read.credential.kind() != CredentialKind::Private {
            self.early.note(read);
        }
    }

    /// Shares what was fetched before there was a mesh.
    pub(crate) async fn share_early(&self) {
        for read in self.early.take() {
            let held = self.store.entry(&self.slot(&read)).filter(|entry| entry.attestation.is_none());
            let Some(entry) = held else { continue };
            if let Some(body) = self.store.body(&entry.representation.cid) {
                self.keep(&read, (*entry).clone(), None, &body, true).await;
            }
        }
    }
}
