//! What this node holds for a caller: its own entry, or a peer's offer that the caller's credential vouches for.

use crate::exchange::{self, Alias, Exchange, offer_slot};
use crate::insight::Insight;
use crate::landed::How;
use crate::node::Inner;
use crate::origin_call::history;
use bytes::Bytes;
use ghmesh_fleet::Subject;
use ghmesh_model::wire::Shared;
use ghmesh_model::{Entry, Source};
use ghmesh_policy::{CredentialKind, Read, Verdict, etag, freshness, storable};
use ghmesh_store::Slot;
use std::sync::Arc;
use std::time::Duration;

/// An entry that belongs to a caller, with its body if that is here.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) entry: Arc<Entry>,
    pub(crate) body: Option<Bytes>,
    pub(crate) how: How,
    pub(crate) verdict: Verdict,
}

impl Inner {
    /// Where a caller's own entry is stored.
    pub(crate) fn slot(&self, read: &Read) -> Slot {
        Slot::Local(read.key, self.holder(read))
    }

    /// How the mesh knows what a caller asks for. `None` where it must not know: the mesh is off or not ready, the
    /// credential could be guessed from its fingerprint, or the request has a secret.
    pub(crate) fn subject(&self, read: &Read) -> Option<Subject> {
        self.alias(read).map(|alias| alias.subject)
    }

    /// The same, with the keys under which it is shared.
    pub(crate) fn alias(&self, read: &Read) -> Option<Alias> {
        let members = self.members.get().filter(|_| is_shared(read))?;
        Some(members.exchange.alias(&read.key, self.identity(read)))
    }

    /// All names under which members may have told of it, the one that is shared under first.
    pub(crate) fn aliases(&self, read: &Read) -> Vec<Alias> {
        let members = self.members.get().filter(|_| is_shared(read));
        members.map(|members| members.exchange.aliases(&read.key, self.identity(read))).unwrap_or_default()
    }

    /// The newest that is held for this caller, fresh or not.
    pub(crate) fn held(&self, read: &Read) -> Option<Held> {
        let own = self.store.entry(&self.slot(read)).map(|own| self.aged(read, own));
        let verdict = own.as_ref().map_or(Verdict::MustRevalidate, |own| self.verdict(read, own));
        let offer = if verdict == Verdict::Fresh { None } else { self.vouched_offer(read, own.as_deref()) };
        let (entry, how, verdict) = match offer {
            Some(offer) => {
                let verdict = self.verdict(read, &offer);
                (offer, How::Peer, verdict)
            }
            None => (own?, How::Local, verdict),
        };
        let body = self.store.body(&entry.representation.cid);
        Some(Held { entry, body, how, verdict })
    }

    /// A peer's offer that is newer than the caller's own entry and was made by a holder of the caller's credential. Its
    /// scopes are this node's own: no member says which writes concern it.
    fn vouched_offer(&self, read: &Read, own: Option<&Entry>) -> Option<Arc<Entry>> {
        let newer = |offer: &Entry| own.is_none_or(|own| offer.confirmed_at > own.confirmed_at);
        let offer = self.latest_offer(read, |offer| offer.source == Source::Peer && newer(offer))?;
        Some(Arc::new(Entry { scopes: read.scopes(), ..(*offer).clone() }))
    }

    /// Of the offers that are `wanted` and that the caller's credential vouches for the one confirmed last.
    fn latest_offer(&self, read: &Read, wanted: impl Fn(&Entry) -> bool) -> Option<Arc<Entry>> {
        let offers = self.aliases(read).into_iter().filter_map(|alias| {
            let offer = self.aged(read, self.store.entry(&offer_slot(alias.subject))?);
            let offer = Some(offer).filter(|offer| wanted(offer))?;
            self.is_vouched(read, &alias, &offer).then_some(offer)
        });
        offers.max_by_key(|offer| offer.confirmed_at)
    }

    fn is_vouched(&self, read: &Read, alias: &Alias, offer: &Entry) -> bool {
        storable::is_acceptable(read, &offer.representation.headers)
            && Exchange::vouched(alias, self.identity(read), offer)
    }

    /// What may be done with an entry: policy's verdict, if there was no write and no refusal since.
    pub(crate) fn verdict(&self, read: &Read, entry: &Entry) -> Verdict {
        let written_since = !self.tombstones.admit(&entry.scopes, entry.confirmed_at);
        if written_since || !self.denials.admit(|| self.fingerprint(read), &entry.scopes, entry.confirmed_at) {
            return Verdict::MustRevalidate;
        }
        freshness::verdict(read, &self.config.freshness, entry, self.clock.now())
    }

    /// An entry as old as it is at least by GitHub's clock. Only those from before this start are looked at: the wall clock may have
    /// been set meanwhile, by less than this node was away, and nothing else here can tell.
    fn aged(&self, read: &Read, entry: Arc<Entry>) -> Arc<Entry> {
        if entry.confirmed_at >= self.started {
            return entry;
        }
        let now = self.clock.now();
        let Some(github_now) = self.origin.github_time(&read.target.authority, now) else { return entry };
        let by_date = github_now.since(exchange::latest_of_date(entry.origin_date)).unwrap_or_default();
        let confirmed_at = now.before(by_date);
        if confirmed_at >= entry.confirmed_at {
            return entry;
        }
        Arc::new(Entry { confirmed_at, ..(*entry).clone() })
    }

    /// The oldest confirmation that this caller takes from a member.
    pub(crate) fn max_age(&self, read: &Read) -> Duration {
        freshness::oldest_wanted(read, &self.config.freshness)
    }

    /// Makes a vouched offer the caller's own entry: from now on it is local. `None` where its body shows what was written since.
    pub(crate) async fn taken_over(&self, read: &Read, offer: &Entry, body: &Bytes) -> Option<Arc<Entry>> {
        let entry = self.adopt(read, offer, body).await;
        (self.verdict(read, &entry) == Verdict::Fresh).then_some(entry)
    }

    async fn adopt(&self, read: &Read, offer: &Entry, body: &Bytes) -> Arc<Entry> {
        let insight = Insight::of(read, &offer.representation, body, offer.origin_date);
        self.note_versions(read, &insight, offer.confirmed_at).await;
        let earlier = self.store.entry(&self.slot(read));
        let entry = Entry {
            etag: read.graphql.is_none().then(|| self.tag_of(read, offer, body)),
            target: read.target.to_string(),
            scopes: insight.scopes,
            facts: insight.facts,
            history: history(earlier.as_deref(), &offer.representation, offer.confirmed_at),
            ..offer.clone()
        };
        if let Err(error) = self.store.put_unsynced(self.slot(read), entry.clone(), Some(body.clone())).await {
            tracing::warn!(%error, "a peer's entry could not be kept");
        }
        Arc::new(entry)
    }

    /// The ETag that callers see of a peer's entry.
    fn tag_of(&self, read: &Read, offer: &Entry, body: &Bytes) -> String {
        if self.is_common(read) { etag::for_everybody(body) } else { etag::for_entry(read, offer, body) }
    }

    /// Stores what a member answered as an offer and gives it if the caller's credential vouches for it.
    pub(crate) async fn take(&self, read: &Read, records: Vec<Shared>) -> Option<Arc<Entry>> {
        let members = self.members.get()?;
        self.receive_pulled(members, records).await;
        self.latest_offer(read, |_| true)
    }
}

/// Whether members may know what is asked for: not by a credential that could be guessed from its fingerprint.
fn is_shared(read: &Read) -> bool {
    match read.credential.kind() {
        CredentialKind::Token | CredentialKind::Anonymous => true,
        CredentialKind::Private => false,
    }
}

#[cfg(test)]
mod tests;
