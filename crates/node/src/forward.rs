//! Everything that is not a read: streamed through, never sent twice, and buried if it may have changed something.

use crate::failure::Failure;
use crate::node::{Inner, Node};
use crate::tombstones::Buried;
use bytes::Bytes;
use ghmesh_model::{LocalFingerprint, Millis, Scope, limits};
use ghmesh_origin::{Body, BoxError, Safety};
use ghmesh_policy::invalidation::{self, MutationScan};
use ghmesh_policy::{Pass, PassReason, answer};
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

impl Node {
    /// Streams a request to its host and the answer back. Whatever it may have changed is stale everywhere before the answer
    /// begins; also where the caller hangs up, or no answer comes.
    ///
    /// # Errors
    /// [`Failure`] where no answer came.
    pub async fn forward(&self, pass: Pass, method: Method, body: Body) -> Result<Response<Body>, Failure> {
        let node = &self.0;
        node.counts.requests.add();
        let mut write = Write::new(node.clone(), &pass);
        let body = write.watch(body);
        let result = node.pass(&pass, method, body).await;
        let ended = result.as_ref().map(Response::status).map_err(Failure::clone);
        write.end(ended).await;
        let (head, body) = result?.into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = answer::pass_headers(&pass, head.status, &head.headers);
        Ok(response)
    }
}

impl Inner {
    async fn pass(&self, pass: &Pass, method: Method, body: Body) -> Result<Response<Body>, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = pass.target.upstream_uri();
        *request.headers_mut() = pass.headers.clone();
        let safety = if pass.idempotent { Safety::Idempotent } else { Safety::Once };
        let credential = pass.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let account = LocalFingerprint(self.store.data_key().local_fingerprint(credential));
        let result = self.origin.send(request, safety, account).await.map_err(Failure::from);
        self.count_call(&result, &pass.target, !credential.is_empty());
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
        if let Some(members) = self.members.get() {
            for scopes in scopes.chunks(limits::MAX_SCOPES) {
                self.writes.note(members.exchange.publish_write(scopes.to_vec(), at), at);
            }
        }
    }
}

/// What a request may change. Buried when it ends, however it ends, unless the origin definitely refused it. Counted then, too.
struct Write {
    node: Option<Arc<Inner>>,
    scopes: Vec<Scope>,
    /// Whether the caller's body has been read to its end. Before that the origin has no whole request to act on.
    sent: Arc<AtomicBool>,
    /// GraphQL: looked through for a mutation as it streams by, and what that would change.
    scan: Option<(Arc<Mutex<MutationScan>>, Scope)>,
}

impl Write {
    fn new(node: Arc<Inner>, pass: &Pass) -> Self {
        // GitHub lets nobody write who does not say who they are, so that nobody can empty the cache that way.
        let anonymous = !pass.headers.contains_key(header::AUTHORIZATION);
        let scopes = if anonymous { Vec::new() } else { pass.invalidates.clone() };
        let scan = (pass.reason == PassReason::GraphQl && !anonymous)
            .then(|| (Arc::default(), invalidation::host_scope(&pass.target.authority)));
        Write { node: Some(node), scopes, sent: Arc::default(), scan }
    }

    fn watch(&mut self, body: Body) -> Body {
        if body.is_end_stream() {
            self.sent.store(true, Ordering::Release);
            return body;
        }
        let scan = self.scan.as_ref().map(|(scan, _)| scan.clone());
        Watched { body, sent: self.sent.clone(), scan }.boxed_unsync()
    }

    fn changed(&self) -> Vec<Scope> {
        let mutated =
            self.scan.iter().filter(|(scan, _)| scan.lock().unwrap_or_else(PoisonError::into_inner).may_mutate());
        self.scopes.iter().copied().chain(mutated.map(|(_, host)| *host)).collect()
    }

    /// The answer's status is known, or there is none. A definite refusal changed nothing; a 5xx or a timeout may have.
    async fn end(mut self, ended: Result<StatusCode, Failure>) {
        let Some(node) = self.node.take() else { return };
        match ended {
            Ok(_) | Err(Failure::ClientBody { .. }) => node.counts.passed.add(),
            Err(_) => node.counts.failures.add(),
        }
        let refused = match ended {
            Ok(status) => status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT,
            Err(_) => !self.sent.load(Ordering::Acquire),
        };
        let changed = self.changed();
        if !refused && !changed.is_empty() {
            // In a task: a caller that hangs up now must not keep the members from hearing of it.
            let _ = tokio::spawn(async move { node.bury(changed, node.clock.now()).await }).await;
        }
    }
}

impl Drop for Write {
    /// The caller hung up. If its whole request had been read, the origin may have done it all the same.
    fn drop(&mut self) {
        let Some(node) = self.node.take() else { return };
        node.counts.passed.add();
        let changed = self.changed();
        if !changed.is_empty() && self.sent.load(Ordering::Acquire) {
            tokio::spawn(async move { node.bury(changed, node.clock.now()).await });
        }
    }
}

/// A body that is watched on its way: whether it has come to its end, and for GraphQL what it says.
struct Watched {
    body: Body,
    sent: Arc<AtomicBool>,
    scan: Option<Arc<Mutex<MutationScan>>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(scan)) = (&polled, &self.scan)
            && let Some(data) = frame.data_ref()
        {
            scan.lock().unwrap_or_else(PoisonError::into_inner).push(data);
        }
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
