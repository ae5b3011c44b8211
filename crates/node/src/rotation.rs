//! Mesh secrets that change while the node runs.

use crate::node::{Inner, Node};
use ghmesh_model::{Entry, Millis, Source};
use ghmesh_seal::KeyRing;
use ghmesh_store::{Slot, StoreError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Entries that are looked at together while the store is gone through.
const PAGE: usize = 256;

/// After this nothing that was under way when secrets were cut comes in any more: requests end within 5 s, and what they bring is
/// stored within one more.
const AFTERMATH: Duration = Duration::from_secs(8);

impl Node {
    /// Shares under these secrets' keys from now on: this node's own first, then those that are accepted besides. Without a mesh it
    /// does nothing.
    ///
    /// What was received before stays of use, for as long as any answer does. `cut` says that secrets which are not among these
    /// have leaked: their members are cut off, and nothing counts any more that came from members under them. Returns once that
    /// is so.
    pub async fn change_secrets(&self, rings: Vec<KeyRing>, cut: bool) {
        let Some(members) = self.0.members.get() else { return };
        let exchange = &members.exchange;
        exchange.keys.change(&rings, cut, self.0.clock.now());
        exchange.mesh.change_rings(rings, cut).await;
        self.0.budgets.forget_holders();
        if cut {
            exchange.presented.clear();
            self.0.distrust(Suspects::All).await;
            self.again_soon();
        }
    }

    /// Takes away the trust in all that members told under secrets that are not held now: offers go, and what callers were given
    /// of them is shown again only when GitHub has confirmed it. Returns when that is done, and does it once more for what was
    /// still under way.
    pub async fn distrust(&self) {
        self.0.distrust(Suspects::Given).await;
        self.again_soon();
    }

    fn again_soon(&self) {
        let node = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(AFTERMATH).await;
            if let Some(node) = node.upgrade() {
                node.distrust(Suspects::Given).await;
            }
        });
    }

    /// Notes why secrets that were to take the place of those in force can't; `None`: nothing is wrong with them.
    pub fn note_secret_problem(&self, problem: Option<String>) {
        *self.0.secret_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// What loses trust.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspects {
    /// What callers were given, and all offers.
    All,
    /// What callers were given. Offers under other secrets have names that nobody looks for.
    Given,
}

impl Inner {
    async fn distrust(&self, suspects: Suspects) {
        let mut after = None;
        loop {
            let store = self.store.clone();
            let Ok(page) = tokio::task::spawn_blocking(move || store.scan(after, PAGE)).await else { return };
            for (slot, entry) in page.entries {
                if let Err(error) = self.distrust_one(suspects, slot, entry).await {
                    tracing::warn!(%error, "an entry from before the secret changed is still there");
                }
            }
            after = page.next;
            if after.is_none() {
                return;
            }
        }
    }

    async fn distrust_one(&self, suspects: Suspects, slot: Slot, entry: Entry) -> Result<(), StoreError> {
        let Some(members) = self.members.get().filter(|_| entry.source == Source::Peer) else { return Ok(()) };
        let key = match slot {
            Slot::Offer(..) if suspects == Suspects::All => return self.store.remove(slot).await,
            Slot::Offer(..) => return Ok(()),
            Slot::Local(key, _) => key,
        };
        let of_now =
            entry.attestation.as_ref().is_some_and(|attestation| members.exchange.is_of_now(attestation, &key));
        if of_now || entry.confirmed_at == Millis(0) {
            return Ok(());
        }
        let doubted = Entry { confirmed_at: Millis(0), attestation: None, ..entry };
        match self.store.put(slot, doubted, None).await {
            Ok(()) => Ok(()),
            // Evicted meanwhile, or its body.
            Err(_) => self.store.remove(slot).await,
        }
    }
}
