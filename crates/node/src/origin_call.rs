//! The call to the origin: conditional on what is held, kept and announced when it confirms or brings something.

use crate::coordinator::Search;
use crate::failure::Failure;
use crate::holdings::Held;
use crate::insight::Insight;
use crate::landed::{How, Landed};
use crate::node::{Flown, Inner};
use bytes::Bytes;
use ghmesh_model::{Attestation, BodyCid, Entry, History, Millis, Representation, Source, limits};
use ghmesh_origin::{Body, Collected, OriginError, Tries, chain, collect_limited, empty, full};
use ghmesh_policy::formula::Observation;
use ghmesh_policy::invalidation::Denial;
use ghmesh_policy::offer::{self, Candidate, Offer};
use ghmesh_policy::{
    CredentialKind, Keep, Read, Target, TargetKind, adaptive, answer, graphql, invalidation, limits_headers,
    pagination, storable,
};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, response};
use std::sync::Arc;
use std::time::Duration;

/// Answers that are not kept are shared with those who joined the flight up to this size; longer ones go to one caller.
const MAX_PLAIN_BYTES: usize = 64 * 1024;

/// Longest wait for the store before a caller is answered without the word `stored`.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// Above this size a body is hashed on a thread where nobody waits.
pub(crate) const HASH_INLINE_BYTES: usize = 128 * 1024;

/// An entry of the caller's with its body: what a request can be conditional on, and what may stand in for an answer.
pub(crate) type Kept = (Arc<Entry>, Bytes);

/// One call under way.
struct Call<'a> {
    read: &'a Read,
    kept: Option<Kept>,
    search: Option<Search>,
    /// Bodies whose computed ETags were offered.
    computed: Vec<BodyCid>,
    /// When the request that counts was sent.
    sent_at: Millis,
}

impl Inner {
    /// Asks the origin. `search` is told how it ended.
    pub(crate) async fn call(&self, read: &Read, search: Option<Search>) -> Flown {
        let kept = self.kept(read);
        if let Some(landed) = self.spared(read, kept.as_ref()) {
            return Flown::Landed(landed, None);
        }
        let offers = self.offers(read, kept.as_ref()).await;
        let computed = offers.iter().filter(|offer| offer.is_computed());
        let computed = computed.map(|offer| offer.candidate.representation.cid).collect();
        let mut call = Call { read, kept, search, computed, sent_at: self.clock.now() };
        let response = match self.send(read, offer::if_none_match(&offers).as_ref()).await {
            Ok(response) => response,
            Err(failure) => return self.instead(&call, failure),
        };
        if response.status() != StatusCode::NOT_MODIFIED {
            return self.received(call, response).await;
        }
        if let Some(offer) = offer::confirmed(offers, read, response.status(), response.headers())
            && self.is_whole(read, &offer.candidate).await
        {
            return self.revalidated(call, offer, response.headers()).await;
        }
        // A 304 to nothing, or to something else: it proves nothing about what is held.
        call.sent_at = self.clock.now();
        match self.send(read, None).await {
            Ok(response) if response.status() == StatusCode::NOT_MODIFIED => self.instead(&call, unfounded(read)),
            Ok(response) => self.received(call, response).await,
            Err(failure) => self.instead(&call, failure),
        }
    }

    fn kept(&self, read: &Read) -> Option<Kept> {
        let Held { entry, body, .. } = self.held(read)?;
        Some((entry, body?))
    }

    /// Whether a confirmed page is all that there is to say: where it is full and names no next one, an empty page must come
    /// after it. That is asked for with the tag of the empty list, so that the answer is free as long as the list ends here.
    async fn is_whole(&self, read: &Read, confirmed: &Candidate) -> bool {
        if !pagination::may_have_grown(read, &confirmed.representation, &confirmed.body) {
            return true;
        }
        let Some(next) = pagination::next_page(read) else { return false };
        let offers = offer::offers(&next, vec![Candidate::empty_list()], self.formulas.hashed(&next));
        let Some(condition) = offer::if_none_match(&offers) else { return false };
        match self.send(&next, Some(&condition)).await {
            Ok(response) => offer::confirmed(offers, &next, response.status(), response.headers()).is_some(),
            Err(_) => false,
        }
    }

    async fn send(&self, read: &Read, condition: Option<&HeaderValue>) -> Result<Response<Body>, Failure> {
        let (method, body) = match &read.graphql {
            Some(asked) => (Method::POST, full(asked.body.clone())),
            None => (Method::GET, empty()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = read.target.upstream_uri();
        *request.headers_mut() = read.upstream.clone();
        if let Some(condition) = condition {
            request.headers_mut().insert(header::IF_NONE_MATCH, condition.clone());
        }
        // A request with a body is sent once, whatever this says.
        let result = self.ask(read, request).await;
        self.count_call(&result, &read.target, read.credential.kind() != CredentialKind::Anonymous);
        if let Ok(response) = &result {
            self.note_redirect(&read.target, response);
        }
        result
    }

    /// Counts a call, and whether GitHub charges it. "Making a conditional request does not count against your primary rate
    /// limit if a 304 response is returned and the request was made while correctly authorized" (GitHub, "Best practices for
    /// using the REST API").
    pub(crate) fn count_call(&self, result: &Result<Response<Body>, Failure>, target: &Target, authorised: bool) {
        if target.kind == TargetKind::Other {
            return;
        }
        match result {
            Ok(response) => {
                let tries = response.extensions().get::<Tries>().map_or(1, |tries| tries.0);
                self.counts.api_calls_made.add_many(u64::from(tries));
                if is_charged(target, response.status(), authorised) {
                    self.counts.api_calls_charged.add();
                }
            }
            Err(failure) if failure.may_have_arrived() => self.counts.api_calls_made.add(),
            Err(_) => {}
        }
    }

    /// Lets callers follow a redirect of the origin's.
    pub(crate) fn note_redirect(&self, target: &Target, response: &Response<Body>) {
        if let Some(authority) = self.config.origins.granted_by(target, response.status(), response.headers()) {
            self.grants.grant(&authority, self.clock.now());
        }
    }

    /// An answer that is no 304.
    async fn received(&self, mut call: Call<'_>, response: Response<Body>) -> Flown {
        let (head, body) = response.into_parts();
        let read = call.read;
        match storable::storable(read, head.status, &head.headers) {
            Ok(keep) => self.fetched(call, keep, head, body).await,
            Err(reason) => {
                tracing::debug!(target = %read.target, %reason, "an answer is not kept");
                let in_trouble =
                    head.status.is_server_error() || limits_headers::is_limited(head.status, &head.headers);
                if let Some(landed) = in_trouble.then(|| self.stale(read, call.kept.as_ref())).flatten() {
                    return Flown::Landed(landed, None);
                }
                // In trouble, another node's call may be answered better.
                call.search.take_if(|_| !in_trouble).into_iter().for_each(Search::unshareable);
                self.forget(read, invalidation::denial(&read.target, head.status, &head.headers)).await;
                self.unkept(read, head, body).await
            }
        }
    }

    /// What GitHub no longer shows to a credential, this node no longer shows it either.
    async fn forget(&self, read: &Read, denial: Denial) {
        // Who shows no credential has none that could be revoked: a 401 is about this one request.
        let about_nobody = denial == Denial::Credential && read.credential.kind() == CredentialKind::Anonymous;
        if denial == Denial::None || about_nobody {
            return;
        }
        self.engrave(self.denials.note(self.fingerprint(read), denial, self.clock.now())).await;
        // What is everybody's stays for the others; this credential has it no more.
        if self.is_common(read) {
            return;
        }
        if let Err(error) = self.store.remove(self.slot(read)).await {
            tracing::warn!(%error, "an entry that its credential may no longer read could not be removed");
        }
        for alias in self.aliases(read) {
            let _ = self.store.remove(crate::exchange::offer_slot(alias.subject)).await;
        }
    }

    /// A 200 that may be kept.
    async fn fetched(&self, call: Call<'_>, keep: Keep, head: response::Parts, body: Body) -> Flown {
        let body = match collect_limited(body, limits::MAX_BODY_BYTES as usize).await {
            Ok(Collected::Whole(body)) => body,
            Ok(Collected::TooLong { read, rest }) => {
                call.search.into_iter().for_each(Search::unshareable);
                return self.stream(call.read, head, chain(read, rest));
            }
            Err(error) => {
                let host = call.read.target.authority.clone();
                return self.instead(&call, Failure::Interrupted { host, reason: error.to_string() });
            }
        };
        if let Err(reason) = storable::keepable(call.read, &body) {
            tracing::debug!(target = %call.read.target, %reason, "an answer is not kept");
            return self.unkeepable(call, head, body).await;
        }
        let representation =
            Representation { cid: hash(body.clone()).await, length: body.len() as u64, headers: keep.headers };
        let missed = call.computed.contains(&representation.cid);
        if call.read.graphql.is_none() {
            self.formulas.saw(call.read, &head.headers, Observation::of(call.read, &head.headers, &body, missed));
        }
        let entry = self.entry(&call, representation, &body, &head.headers, text(&head.headers, header::ETAG)).await;
        let (entry, stored) = self.keep(call.read, entry, None, &body, keep.shareable_beyond_node).await;
        self.landed_from_origin(call, entry, body, How::Fetched { stored }, head.headers)
    }

    /// A 200 whose body says that it is for this caller only: a token, or the errors of GraphQL.
    async fn unkeepable(&self, mut call: Call<'_>, head: response::Parts, body: Bytes) -> Flown {
        let read = call.read;
        let in_trouble = read.graphql.is_some() && graphql::is_limited(&body);
        if let Some(landed) = in_trouble.then(|| self.stale(read, call.kept.as_ref())).flatten() {
            return Flown::Landed(landed, None);
        }
        call.search.take_if(|_| !in_trouble).into_iter().for_each(Search::unshareable);
        if let Some(asked) = &read.graphql {
            self.forget(read, graphql::denial(asked, &read.target.authority, &body)).await;
        }
        Flown::Landed(Arc::new(Landed::Plain { status: head.status, headers: head.headers, body }), None)
    }

    /// A 304 that names what was offered: the proof that the caller may read it, and that it is current.
    async fn revalidated(&self, call: Call<'_>, offer: Offer, headers: &HeaderMap) -> Flown {
        let observation = if offer.is_computed() { Observation::Held } else { Observation::Untold };
        self.formulas.saw(call.read, headers, observation);
        let Offer { etag, candidate: Candidate { mut representation, body, .. }, .. } = offer;
        representation.headers = offer::freshened(&representation.headers, headers);
        let held = call.kept.as_ref().map(|(held, _)| held).filter(|held| held.representation == representation);
        let earlier = held.and_then(|held| held.attestation.clone());
        let etag = text(headers, header::ETAG).unwrap_or(etag);
        let entry = self.entry(&call, representation, &body, headers, Some(etag)).await;
        let shareable = storable::may_leave_node(call.read, headers);
        let (entry, stored) = self.keep(call.read, entry, earlier, &body, shareable).await;
        self.landed_from_origin(call, entry, body, How::Revalidated { stored }, headers.clone())
    }

    /// An entry of what the origin has just said.
    async fn entry(
        &self,
        call: &Call<'_>,
        representation: Representation,
        body: &Bytes,
        headers: &HeaderMap,
        etag: Option<String>,
    ) -> Entry {
        let read = call.read;
        let etag = self.tags.noted(self, read, &representation, body, etag);
        let origin_date = self.origin_date(&read.target.authority, headers);
        let insight = Insight::of(read, &representation, body, origin_date);
        self.note_versions(read, &insight, call.sent_at).await;
        if let Some((kept, _)) = &call.kept {
            self.changes.note(read, kept, &representation, call.sent_at);
        }
        Entry {
            history: history(call.kept.as_ref().map(|(kept, _)| &**kept), &representation, call.sent_at),
            representation,
            etag,
            origin_date,
            confirmed_at: call.sent_at,
            scopes: insight.scopes,
            source: Source::Own,
            attestation: None,
            target: read.target.to_string(),
            facts: insight.facts,
        }
    }

    fn landed_from_origin(
        &self,
        call: Call<'_>,
        entry: Arc<Entry>,
        body: Bytes,
        how: How,
        headers: HeaderMap,
    ) -> Flown {
        let stored = matches!(how, How::Fetched { stored: true } | How::Revalidated { stored: true });
        match call.search {
            Some(search) if entry.attestation.is_none() => search.unshareable(),
            Some(search) if stored => search.fetched(self.clock.now().since(call.sent_at).unwrap_or_default()),
            // It is not here for those who wait; another node may have more luck with its store.
            Some(_) | None => {}
        }
        Flown::Landed(Arc::new(Landed::Entry { entry, body, how }), Some(headers))
    }

    /// Persists an entry, then announces it. Says whether it was committed.
    pub(crate) async fn keep(
        &self,
        read: &Read,
        mut entry: Entry,
        earlier: Option<Attestation>,
        body: &Bytes,
        shareable: bool,
    ) -> (Arc<Entry>, bool) {
        if shareable {
            self.share_later(read);
        }
        let members = self.members.get().filter(|_| shareable).zip(self.alias(read));
        if let Some((members, alias)) = &members {
            let exchange = &members.exchange;
            // Records from before a new secret, or from another mesh, mean nothing to this one.
            entry.attestation = Some(match earlier.filter(|earlier| exchange.concerns(earlier, alias.subject)) {
                Some(earlier) => exchange.attest_again(alias, self.identity(read), &entry, earlier),
                None => exchange.attest(alias, self.identity(read), &entry),
            });
        }
        let own = self.store.put(self.slot(read), entry.clone(), Some(body.clone()));
        let offer = async {
            match &members {
                Some((_, alias)) => {
                    self.store.put(crate::exchange::offer_slot(alias.subject), entry.clone(), Some(body.clone())).await
                }
                None => Ok(()),
            }
        };
        let stored = match tokio::time::timeout(STORE_PATIENCE, async { tokio::try_join!(own, offer) }).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "an answer could not be stored");
                false
            }
            Err(_) => false,
        };
        if let Some((members, _)) = members.filter(|_| stored) {
            members.exchange.publish(&entry, Some(body));
        }
        (Arc::new(entry), stored)
    }

    /// Where an answer has no `Date`: the origin's time by others of its answers, as nodes' clocks differ.
    fn origin_date(&self, authority: &str, headers: &HeaderMap) -> u64 {
        let now = self.clock.now();
        let by_others = || self.origin.github_time(authority, now).unwrap_or(now).0 / 1000;
        storable::origin_date(headers).unwrap_or_else(by_others)
    }

    /// No answer: an expired entry if one may stand in, else the failure.
    fn instead(&self, call: &Call<'_>, failure: Failure) -> Flown {
        match self.stale(call.read, call.kept.as_ref()) {
            Some(landed) => {
                tracing::info!(target = %call.read.target, %failure, "answering from an expired entry");
                Flown::Landed(landed, None)
            }
            None => Flown::Failed(failure),
        }
    }

    /// GitHub's own answer, unchanged: shared with who waits if it is small.
    async fn unkept(&self, read: &Read, head: response::Parts, body: Body) -> Flown {
        match collect_limited(body, MAX_PLAIN_BYTES).await {
            Ok(Collected::Whole(body)) => {
                let landed = Landed::Plain { status: head.status, headers: head.headers, body };
                Flown::Landed(Arc::new(landed), None)
            }
            Ok(Collected::TooLong { read: start, rest }) => self.stream(read, head, chain(start, rest)),
            Err(error) => {
                let host = read.target.authority.clone();
                Flown::Failed(Failure::Interrupted { host, reason: error.to_string() })
            }
        }
    }

    fn stream(&self, read: &Read, head: response::Parts, body: Body) -> Flown {
        self.counts.misses.add();
        let answered = answer::uncached(read, head.status, &head.headers);
        let body = if answer::carries_body(read, &answered) { body } else { empty() };
        Flown::Stream(answered.map(|()| body))
    }
}

/// A 304 to a request without conditions is no answer: there is nothing that it could confirm.
fn unfounded(read: &Read) -> Failure {
    let source = "a 304 to a request without conditions".into();
    OriginError::Protocol { host: read.target.authority.clone(), source }.into()
}

/// How often the resource has changed, this confirmation included.
pub(crate) fn history(kept: Option<&Entry>, now: &Representation, sent_at: Millis) -> History {
    let Some(kept) = kept else { return History::default() };
    let interval = sent_at.since(kept.confirmed_at).unwrap_or_default();
    adaptive::observed(kept.history, interval, kept.representation.cid != now.cid)
}

/// GitHub's own failures are taken as free: it says nothing of them, and they carry no quota.
fn is_charged(target: &Target, status: StatusCode, authorised: bool) -> bool {
    let confirmed = status == StatusCode::NOT_MODIFIED && authorised;
    // "Accessing this endpoint does not count against your REST API rate limit." (GitHub, "Rate limit")
    let about_limits = target.resource.as_ref().is_some_and(|resource| resource.path == "/rate_limit");
    !confirmed && !about_limits && !status.is_server_error()
}

async fn hash(body: Bytes) -> BodyCid {
    if body.len() <= HASH_INLINE_BYTES {
        return BodyCid::of(&body);
    }
    let copy = body.clone();
    let hashed = tokio::task::spawn_blocking(move || BodyCid::of(&copy)).await;
    hashed.unwrap_or_else(|_| BodyCid::of(&body))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
