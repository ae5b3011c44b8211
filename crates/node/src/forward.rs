//! Everything that is not a read: streamed through, never sent twice, and buried if it may have changed something.

use crate::failure::Failure;
use crate::node::{Inner, Node};
use crate::tombstones::Buried;
use crate::unfinished::WriteId;
use bytes::Bytes;
use ghmesh_model::{Millis, Scope, limits};
use ghmesh_origin::{Body, BoxError, Safety, chain, full, read_ahead};
use ghmesh_policy::change::{self, Change, Told};
use ghmesh_policy::graphql::{self, NotRead};
use ghmesh_policy::{Mode, Pass, PolicyConfig, answer};
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Longest wait for a body that would tell more. A slower one is passed on as far as it has come, and counts as one that tells
/// nothing.
const TELLING: Duration = Duration::from_secs(5);

impl Node {
    /// Streams a request to its host and the answer back. Whatever it may have changed is stale everywhere before the answer
    /// begins; also where the caller hangs up, or no answer comes.
    ///
    /// # Errors
    /// [`Failure`] where no answer came.
    pub async fn forward(&self, pass: Pass, method: Method, body: Body) -> Result<Response<Body>, Failure> {
        let change = Change::of(&pass);
        self.0.clone().stream_through(&pass, method, body, change).await
    }

    /// Answers a GraphQL request: as a read, if its body says that it is one, else as [`Node::forward`] does.
    ///
    /// # Errors
    /// [`Failure`] where GitHub gave no answer and nothing kept may stand in.
    pub async fn graphql(
        &self,
        head: &Parts,
        pass: Pass,
        body: Body,
        policy: &PolicyConfig,
    ) -> Result<Response<Body>, Failure> {
        let (read, rest) = read_ahead(body, graphql::MAX_BODY_BYTES, TELLING).await;
        let reason = match &rest {
            None => match graphql::classify(head, &pass, &read, policy) {
                Ok(read) => return self.lookup(read).await,
                Err(reason) => reason,
            },
            Some(_) => NotRead::TooLarge,
        };
        tracing::debug!(%reason, "a GraphQL request passes through");
        if policy.mode == Mode::Offline {
            return Err(Failure::NotCached { reason: "policy.mode is offline" });
        }
        let change = match rest {
            None => Change::of_graphql(&pass, reason, read.clone()),
            Some(_) => Change::of_unread_graphql(&pass),
        };
        let body = rest.map_or_else(|| full(read.clone()), |rest| chain(read.clone(), rest));
        self.0.clone().stream_through(&pass, head.method.clone(), body, change).await
    }
}

impl Inner {
    async fn stream_through(
        self: Arc<Self>,
        pass: &Pass,
        method: Method,
        body: Body,
        change: Change,
    ) -> Result<Response<Body>, Failure> {
        self.counts.requests.add();
        let mut write = Write { node: Some(self.clone()), change, sent: Arc::default(), noted: None };
        write.begin().await;
        let body = write.watch(body);
        let result = self.pass(pass, method, body).await;
        let (head, body) = write.end(result).await?.into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = answer::pass_headers(pass, head.status, &head.headers);
        Ok(response)
    }

    async fn pass(&self, pass: &Pass, method: Method, body: Body) -> Result<Response<Body>, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = pass.target.upstream_uri();
        *request.headers_mut() = pass.headers.clone();
        let safety = if pass.idempotent { Safety::Idempotent } else { Safety::Once };
        let result = self.pay(pass, request, safety).await;
        self.count_call(&result, &pass.target, pass.headers.contains_key(header::AUTHORIZATION));
        if let Ok(response) = &result {
            self.note_redirect(&pass.target, response);
        }
        result
    }

    /// Makes everything in these scopes stale on this node. Holds from the call on; returns when it would survive a crash.
    pub(crate) async fn bury_here(&self, scopes: &[Scope], at: Millis) {
        self.engrave(self.tombstones.bury(scopes, at)).await;
    }

    /// Persists what was buried or denied.
    pub(crate) async fn engrave(&self, buried: Buried) {
        let written = match buried {
            Buried::Added(tombstones) => self.store.bury(tombstones).await,
            Buried::Thinned => {
                let all = self.tombstones.all().into_iter().chain(self.denials.all());
                self.store.replace_tombstones(all.collect()).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a tombstone could not be stored; it holds until this process ends");
        }
    }

    /// Makes everything in these scopes that was confirmed before `at` stale here and on the members.
    pub(crate) async fn bury(&self, scopes: Vec<Scope>, at: Millis) {
        self.bury_here(&scopes, at).await;
        self.tell_of_write(&scopes, at);
    }

    /// The same, but nobody waits for the disk: for what is not a write, and only lasts less long after a crash.
    pub(crate) async fn bury_unsynced(&self, scopes: &[Scope], at: Millis) {
        let buried = self.tombstones.bury(scopes, at);
        self.tell_of_write(scopes, at);
        let Buried::Added(tombstones) = buried else { return self.engrave(buried).await };
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.bury(tombstones).await {
                tracing::debug!(%error, "what moved on is not stored; it counts until this process ends");
            }
        });
    }

    fn tell_of_write(&self, scopes: &[Scope], at: Millis) {
        let Some(members) = self.members.get() else { return };
        for scopes in scopes.chunks(limits::MAX_SCOPES) {
            self.writes.note(members.exchange.publish_write(scopes.to_vec(), at), at);
        }
    }
}

/// What a request may change. Buried when it ends, however it ends, unless the origin definitely refused it. Counted then, too.
struct Write {
    node: Option<Arc<Inner>>,
    change: Change,
    /// Whether the caller's body has been read to its end. Before that the origin has no whole request to act on.
    sent: Arc<AtomicBool>,
    /// Its name in the store, from before it is sent.
    noted: Option<WriteId>,
}

impl Write {
    async fn begin(&mut self) {
        let scopes = self.change.scopes(Told::Nothing);
        if let Some(node) = self.node.clone().filter(|_| !scopes.is_empty()) {
            let id = *self.noted.insert(rand::random());
            node.note_write(id, scopes).await;
        }
    }

    fn watch(&self, body: Body) -> Body {
        if body.is_end_stream() {
            self.sent.store(true, Ordering::Release);
            return body;
        }
        Watched { body, sent: self.sent.clone() }.boxed_unsync()
    }

    /// The answer's head is there, or there is none. Gives the answer on, once everything that it may have changed is buried.
    async fn end(mut self, ended: Result<Response<Body>, Failure>) -> Result<Response<Body>, Failure> {
        let (ended, changed) = match ended {
            Ok(response) => {
                self.sent.store(true, Ordering::Release);
                let (response, changed) = self.told_by(response).await;
                (Ok(response), changed)
            }
            Err(failure) => {
                let sent = self.sent.load(Ordering::Acquire);
                (Err(failure), if sent { self.change.scopes(Told::Nothing) } else { Vec::new() })
            }
        };
        let Some(node) = self.node.take() else { return ended };
        match ended {
            Ok(_) | Err(Failure::ClientBody { .. }) => node.counts.passed.add(),
            Err(_) => node.counts.failures.add(),
        }
        let (noted, must_wait) = (self.noted.take(), !changed.is_empty());
        // In a task: a caller that hangs up now must not keep the members from hearing of it.
        let ending = tokio::spawn(async move { node.end_write(noted, changed).await });
        if must_wait {
            let _ = ending.await;
        }
        ended
    }

    /// Looks into an answer for what was changed, and gives it on as it came.
    async fn told_by(&self, response: Response<Body>) -> (Response<Body>, Vec<Scope>) {
        if change::is_refused(response.status()) {
            return (response, Vec::new());
        }
        let (head, body) = response.into_parts();
        let head = Response::from_parts(head, ());
        if !self.change.is_told_by(&head) {
            return (head.map(|()| body), self.change.scopes(Told::Nothing));
        }
        let (read, rest) = read_ahead(body, change::MAX_ANSWER_BYTES, TELLING).await;
        let told = if rest.is_none() { Told::Whole(&read) } else { Told::Cut };
        let changed = self.change.scopes(told);
        let body = rest.map_or_else(|| full(read.clone()), |rest| chain(read.clone(), rest));
        (head.map(|()| body), changed)
    }
}

impl Drop for Write {
    /// The caller hung up. If its whole request had been read, the origin may have done it all the same.
    fn drop(&mut self) {
        let Some(node) = self.node.take() else { return };
        node.counts.passed.add();
        let sent = self.sent.load(Ordering::Acquire);
        let (noted, changed) = (self.noted, if sent { self.change.scopes(Told::Nothing) } else { Vec::new() });
        tokio::spawn(async move { node.end_write(noted, changed).await });
    }
}

/// A body that is watched on its way: whether it has come to its end.
struct Watched {
    body: Body,
    sent: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && self.body.is_end_stream()) {
            self.sent.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
