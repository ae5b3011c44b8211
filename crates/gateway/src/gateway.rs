//! What happens to one request: the gateway's own checks, then policy's, then the node.

use crate::BoxError;
use crate::admin;
use crate::config::Config;
use crate::metrics::GatewayTotals;
use crate::outgoing::View;
use crate::rescue::{self, Trouble};
use crate::webhook::{self, Hook};
use bytes::Bytes;
use ghmesh_node::{Body, Failure, Node};
use ghmesh_policy::{Listener, LoopMark, Origins, PassReason, Plan, PolicyConfig, Refusal};
use http::header::{ACCEPT_ENCODING, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, request};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The front of one node. Cheap to clone; all clones are one gateway.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    node: Node,
    origins: Origins,
    policy: PolicyConfig,
    mark: LoopMark,
    hook: Hook,
    connections: AtomicU64,
    refused: AtomicU64,
}

impl Gateway {
    /// A gateway before `node`. It listens nowhere: [`crate::Server::bind`] does that.
    pub fn new(config: Config, node: Node, origins: Origins, policy: PolicyConfig) -> Self {
        let origins = origins.listening_on(config.listen.clone());
        let hook = Hook::new(config.webhook_secret.clone());
        let (connections, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Gateway(Arc::new(Inner { config, node, origins, policy, mark: new_mark(), hook, connections, refused }))
    }

    /// As given to [`Gateway::new`].
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Answers one request that came in by `listener`. Never fails: what goes wrong is told in the response.
    ///
    /// Dropping the future, or the response's body, ends a call that passes through; a fetch that other callers wait for goes on.
    pub async fn handle<B>(&self, request: Request<B>, listener: &Listener) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        match self.answer(request.map(erased), listener).await {
            Ok(response) => response,
            Err(trouble) => self.rescue(&trouble),
        }
    }

    async fn answer(&self, request: Request<Body>, listener: &Listener) -> Result<Response<Body>, Trouble> {
        let (head, body) = request.into_parts();
        check_site(&head.headers)?;
        check_coding(&head.headers)?;
        if head.uri.path() == webhook::PATH {
            let event = self.0.hook.delivery(&head, body).await?;
            return Ok(webhook::follow(event, &self.0.origins, self.0.node.clone()).await);
        }
        if admin::is_ours(head.uri.path()) {
            return admin::answer(&head, listener, &self.0.config, &self.0.node, self.totals());
        }
        let plan = self.plan(&head, listener)?;
        let view = View::of(&plan);
        let answered = self.planned(plan, head, body, view.rewrites_bodies()).await?;
        Ok(view.seen(answered).await)
    }

    fn plan(&self, head: &request::Parts, listener: &Listener) -> Result<Plan, Refusal> {
        let Inner { node, origins, policy, mark, .. } = &*self.0;
        if mark.is_on(&head.headers) {
            return Err(Refusal::Loop);
        }
        // A redirect is followed to read what it names, never to write there.
        let granted = |authority: &str| head.method.is_safe() && node.is_granted(authority);
        ghmesh_policy::classify(head, origins, listener, &granted, policy)
    }

    /// Carries a plan out. `plain`: the answer must not come compressed.
    async fn planned(
        &self,
        plan: Plan,
        mut head: request::Parts,
        body: Body,
        plain: bool,
    ) -> Result<Response<Body>, Trouble> {
        let Inner { node, policy, mark, .. } = &*self.0;
        match plan {
            Plan::Read(mut read) => {
                drop(body);
                mark.put_on(&mut read.upstream);
                node.lookup(*read).await.map_err(|failure| Trouble::Failed { failure, forward: "miss" })
            }
            Plan::Pass(mut pass) => {
                let forward = pass.reason.forward();
                if plain {
                    pass.headers.remove(ACCEPT_ENCODING);
                }
                mark.put_on(&mut pass.headers);
                mark.put_on(&mut head.headers);
                let answered = match pass.reason {
                    PassReason::GraphQl => node.graphql(&head, *pass, body, policy).await,
                    _ => node.forward(*pass, head.method, body).await,
                };
                answered.map_err(|failure| Trouble::Failed { failure, forward })
            }
        }
    }

    /// Logs trouble, once, and makes its response.
    fn rescue(&self, trouble: &Trouble) -> Response<Body> {
        match trouble {
            // Callers break off as they please, some with every job.
            Trouble::Failed { failure: Failure::ClientBody { .. }, .. } => {
                tracing::debug!(%trouble, "a caller broke off")
            }
            Trouble::Failed { .. } => tracing::warn!(%trouble, "a request failed"),
            Trouble::CrossSite(_)
            | Trouble::TransferCoding(_)
            | Trouble::Admin(_)
            | Trouble::Webhook(_)
            | Trouble::Refused(_) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%trouble, "refused a request");
            }
        }
        rescue::response(trouble)
    }

    fn totals(&self) -> GatewayTotals {
        let Inner { connections, refused, hook, .. } = &*self.0;
        let (connections, refused) = (connections.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        GatewayTotals { connections, refused, deliveries: hook.taken() }
    }

    /// Counts a connection until the returned guard is dropped.
    pub(crate) fn opened(&self) -> OpenConnection {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gateway);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Any caller's body as the node takes it.
fn erased<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Differs from every other daemon's, and from an earlier one's here.
fn new_mark() -> LoopMark {
    use std::hash::{BuildHasher, Hasher, RandomState};
    LoopMark::new(RandomState::new().build_hasher().finish())
}

/// Refuses what a browser sends for a web site: any page in it can make it call a loopback port. `Origin` comes with every
/// such request that could write; `Sec-Fetch-Site` also with those for images and scripts (W3C Fetch Metadata). An
/// address that a person typed is `none`. Programs send neither.
fn check_site(headers: &HeaderMap) -> Result<(), Trouble> {
    if let Some(site) = headers.get("sec-fetch-site") {
        return match site.as_bytes() {
            b"none" | b"same-origin" => Ok(()),
            _ => Err(Trouble::CrossSite("a Sec-Fetch-Site header of another site")),
        };
    }
    if headers.contains_key(ORIGIN) { Err(Trouble::CrossSite("an Origin header")) } else { Ok(()) }
}

/// hyper takes `chunked` off a body and leaves any other coding on it, while the header that names it ends here.
fn check_coding(headers: &HeaderMap) -> Result<(), Trouble> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(first), _) => Err(Trouble::TransferCoding(String::from_utf8_lossy(first.as_bytes()).into_owned())),
    }
}
