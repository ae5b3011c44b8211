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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use crate::exchange::offer_slot;
    use crate::fixtures::{Bench, PATH, entry, ring};
    use crate::landed::How;
    use ghmesh_model::Millis;
    use ghmesh_policy::Verdict;

    const BODY: &[u8] = b"{\"number\":1}";

    /// A node whose caller was given a member's answer, and one that has another's offer for its caller.
    async fn given_and_offered() -> [Bench; 2] {
        let (given, offered) = (Bench::in_mesh().await, Bench::in_mesh().await);
        for bench in [&given, &offered] {
            let read = bench.read(PATH, &[]);
            bench.exchange().receive(bench.told(&read, &entry(BODY, bench.now()), BODY)).await;
        }
        let read = given.read(PATH, &[]);
        let held = given.inner().held(&read).unwrap();
        given.inner().taken_over(&read, &held.entry, &held.body.unwrap()).await.unwrap();
        [given, offered]
    }

    #[tokio::test]
    async fn threat_16_what_members_told_before_the_secret_changed_is_of_use_after_it() {
        for (bench, how) in given_and_offered().await.iter().zip([How::Local, How::Peer]) {
            let read = bench.read(PATH, &[]);
            let before = bench.subject(&read);
            bench.node.change_secrets(vec![ring("another secret for tests")], false).await;
            assert_ne!(bench.subject(&read), before);
            let held = bench.inner().held(&read).unwrap();
            assert_eq!((held.how, held.verdict), (how, Verdict::Fresh));
        }
    }

    #[tokio::test]
    async fn threat_16_what_members_told_under_a_leaked_secret_is_doubted_and_its_body_kept_for_a_free_304() {
        let [given, offered] = given_and_offered().await;
        let (read, offer) = (given.read(PATH, &[]), offered.subject(&offered.read(PATH, &[])));
        for bench in [&given, &offered] {
            bench.node.change_secrets(vec![ring("another secret for tests")], true).await;
        }
        let held = given.inner().held(&read).unwrap();
        assert_eq!((held.entry.confirmed_at, held.verdict), (Millis(0), Verdict::MustRevalidate));
        assert_eq!(held.body.as_deref(), Some(BODY));
        assert!(offered.inner().held(&offered.read(PATH, &[])).is_none());
        assert!(offered.inner().store.entry(&offer_slot(offer)).is_none());
    }
}
