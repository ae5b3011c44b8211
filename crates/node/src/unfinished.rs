//! Writes whose end this node did not live to see.
//!
//! What a write may have changed is buried when it ends. A process that is killed before would forget it, and show what it has from
//! before as fresh when it is back. So each write is noted on disk before it is sent, and the note goes once the burial is stored.
//! What is found noted at the start was sent, or about to be, and nobody knows what came of it: it counts as written just then.

use crate::node::{Inner, Node};
use ghmesh_model::{Millis, Scope};
use ghmesh_store::Unfinished;
use std::sync::PoisonError;
use std::time::Duration;

/// Names one write, unlike any other.
pub(crate) type WriteId = [u8; 16];

/// How long a write waits to be noted. One commit takes 4 ms on a plain disk; one that is slow, full or broken keeps no write waiting.
const NOTING: Duration = Duration::from_millis(150);

impl Node {
    /// Tells members of the writes whose end an earlier process did not live to see, and forgets them. Here they were buried at the start.
    /// Call it once there are members, or where there will be none.
    pub async fn own_up(&self) {
        self.0.own_up().await;
    }
}

impl Inner {
    /// Notes a write that is about to be sent.
    pub(crate) async fn note_write(&self, id: WriteId, scopes: Vec<Scope>) {
        let noted = self.store.begin_write(Unfinished { id, scopes, begun: self.clock.now() });
        match tokio::time::timeout(NOTING, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "a write goes on unnoted; if this process is killed meanwhile, what it changed shows late")
            }
            Err(_) => tracing::warn!("a write goes on before it is noted: the disk takes long"),
        }
    }

    /// A write ended: buries what it may have changed, up to now, and drops its note after that. Returns when the burial is stored.
    pub(crate) async fn end_write(&self, id: Option<WriteId>, changed: Vec<Scope>) {
        if !changed.is_empty() {
            self.bury(changed, self.clock.now()).await;
        }
        let (Some(id), store) = (id, self.store.clone()) else { return };
        tokio::spawn(async move {
            if let Err(error) = store.end_writes(vec![id]).await {
                tracing::debug!(%error, "the note of a write stays until the next start");
            }
        });
    }

    /// See [`Node::own_up`].
    pub(crate) async fn own_up(&self) {
        let unfinished = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        if unfinished.is_empty() {
            return;
        }
        tracing::warn!(writes = unfinished.len(), "killed during writes: what they may have changed counts as changed");
        let ids = unfinished.iter().map(|write| write.id).collect();
        let mut scopes: Vec<Scope> = unfinished.into_iter().flat_map(|write| write.scopes).collect();
        scopes.sort_unstable();
        scopes.dedup();
        self.bury(scopes, self.started).await;
        if let Err(error) = self.store.end_writes(ids).await {
            tracing::debug!(%error, "notes of writes stay until the next start");
        }
    }
}

/// What these may have changed counts as changed at `started`.
pub(crate) fn tombstones(unfinished: &[Unfinished], started: Millis) -> impl Iterator<Item = (Scope, Millis)> {
    unfinished.iter().flat_map(|write| &write.scopes).map(move |scope| (*scope, started))
}
