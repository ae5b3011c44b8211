//! One flight: the members first, within their budget, then the origin.

use crate::coordinator::{Search, Step};
use crate::holdings::Held;
use crate::landed::{How, Landed};
use crate::members::Members;
use crate::node::{Flown, Inner};
use bytes::Bytes;
use ghmesh_fleet::Subject;
use ghmesh_model::{Entry, MemberId};
use ghmesh_policy::{Read, Verdict};
use std::sync::Arc;

impl Inner {
    /// Brings home an answer for everybody with the credential of `read`.
    pub(crate) async fn fly(&self, read: &Read) -> Flown {
        let Some((members, subject)) = self.members.get().zip(self.subject(read)) else {
            return self.call(read, None).await;
        };
        if read.caller.directives.no_cache {
            let flown = self.call(read, None).await;
            members.announce_arrival(subject, self.clock.now());
            return flown;
        }
        if let Some(landed) = self.complete(read, members, None).await {
            return Flown::Landed(landed, None);
        }
        self.recall_fetch(members, subject);
        let mut search = members.coordinator.search(subject, self.max_age(read), self.borrows(read)).await;
        match self.found(read, members, subject, &mut search).await {
            Some(landed) => {
                search.found();
                Flown::Landed(landed, None)
            }
            None => self.call(read, Some(search)).await,
        }
    }

    /// Follows the search until it has led to an entry, or says: fetch.
    async fn found(
        &self,
        read: &Read,
        members: &Members,
        subject: Subject,
        search: &mut Search,
    ) -> Option<Arc<Landed>> {
        let mut is_announced = false;
        loop {
            match search.next().await {
                Step::Use { from, records } => {
                    let taken = self.take(read, records).await;
                    let landed = if taken.is_some() { self.complete(read, members, Some(from)).await } else { None };
                    match landed {
                        Some(landed) => return Some(landed),
                        None => search.refuse(),
                    }
                }
                Step::Learn(records) => self.receive_pulled(members, records).await,
                Step::Check => {
                    if let Some(landed) = self.complete(read, members, None).await {
                        return Some(landed);
                    }
                    search.go_on();
                }
                Step::Announce => is_announced = true,
                Step::Fetch(reason) => {
                    // What arrived before the search was known was announced to nobody here.
                    let landed = self.complete(read, members, None).await;
                    if landed.is_none() {
                        if is_announced {
                            self.announce_fetch(members, read);
                        }
                        tracing::debug!(?reason, key = %subject.key, "going to the origin");
                    }
                    return landed;
                }
            }
        }
    }

    /// A fresh entry of this caller's with its body: pulled from a member where it is not here.
    async fn complete(&self, read: &Read, members: &Members, from: Option<MemberId>) -> Option<Arc<Landed>> {
        let Held { entry, body, how, verdict } = self.held(read)?;
        if verdict != Verdict::Fresh {
            return None;
        }
        let (body, how) = match body {
            Some(body) => (body, how),
            None => (members.pull(&entry, from).await?, How::Peer),
        };
        let entry = if how == How::Peer { self.taken_over(read, &entry, &body).await? } else { entry };
        Some(Arc::new(Landed::Entry { entry, body, how }))
    }

    /// An expired entry that may stand in for an origin that fails or limits.
    pub(crate) fn stale(&self, read: &Read, held: Option<&(Arc<Entry>, Bytes)>) -> Option<Arc<Landed>> {
        let (entry, body) = held?;
        let usable = match self.verdict(read, entry) {
            // Fresh where a member's entry has arrived in the meantime.
            Verdict::Fresh => true,
            Verdict::Stale { usable_on_error } => usable_on_error,
            Verdict::MustRevalidate => false,
        };
        usable.then(|| Arc::new(Landed::Entry { entry: entry.clone(), body: body.clone(), how: How::Stale }))
    }
}
