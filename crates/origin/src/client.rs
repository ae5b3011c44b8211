//! The client: one request through queue, breaker, connection and timeouts, and again where that is safe.

use crate::body::{Body, BoxError, empty};
use crate::breaker::Outcome;
use crate::config::{Config, ConfigError};
use crate::connect::Connector;
use crate::download::Download;
use crate::error::OriginError;
use crate::gate::Place;
use crate::hosts::{Clock, HostHealth, Hosts, Users, name_of};
use crate::retry::{self, MAX_RETRIES, Safety};
use crate::upload::{Patience, Progress, Upload};
use ghmesh_model::{LocalFingerprint, Millis};
use http::{Method, Request, Response, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

mod limits;

/// The path, at the end of an API's own, that GitHub answers also while it limits.
const RATE_LIMIT_PATH: &str = "/rate_limit";

/// How long an idle connection is kept. Shorter than what servers keep them (nginx: 75 s), so that few requests meet one
/// that is just being closed: a write that does is not sent again.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// What one HTTP/2 stream may have under way unread. At 50 ms to GitHub that is 10 MB/s for one body.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// Largest head of an answer, and largest piece of a body read at once. GitHub's heads stay under 10 KiB.
const MAX_HEAD_BYTES: u32 = 128 * 1024;

/// HTTP/2 pings while requests are under way: a connection that vanished is given up within twice this time.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How many requests an answer took, its own included: in the extensions of answers to requests without a body, which alone may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries(pub u32);

/// The client for GitHub and the hosts around it. Clones share everything.
///
/// Redirects are not followed, bodies not decoded, no header added but `Host`, and the request line goes out byte for byte
/// as the URI has it.
#[derive(Clone)]
pub struct Origin {
    inner: Arc<Inner>,
}

/// Whose request it is, and whether it waits for its turn among that credential's.
#[derive(Clone, Copy)]
struct Payer {
    account: LocalFingerprint,
    /// `None`: it goes out at once whatever is known.
    turns: Option<Users>,
}

struct Inner {
    client: Client<Connector, Upload>,
    config: Config,
    hosts: Hosts,
}

impl Origin {
    /// Builds the client; nothing is connected yet. `clock` tells the node's steady time.
    pub fn new(config: Config, clock: Clock) -> Result<Origin, ConfigError> {
        let mut problems = config.problems();
        let connector = Connector::new(&config).map_err(|more| problems.extend(more)).ok();
        match connector {
            Some(connector) if problems.is_empty() => {
                let client = client(&config, connector);
                let hosts = Hosts::new(&config, clock);
                Ok(Origin { inner: Arc::new(Inner { client, config, hosts }) })
            }
            Some(_) | None => Err(ConfigError(problems)),
        }
    }

    /// Sends `request` and returns as soon as the head of the answer is there; both bodies are streamed, each read only as
    /// fast as the other side takes it.
    ///
    /// The URI is absolute. Hop-by-hop headers must be gone already. `account` is whose limits the answer tells about.
    /// Any HTTP answer is `Ok`, whatever its status. [`Tries`] in its extensions tells how many requests it took.
    pub async fn send(
        &self,
        request: Request<Body>,
        safety: Safety,
        account: LocalFingerprint,
    ) -> Result<Response<Body>, OriginError> {
        self.dispatch(request, safety, Payer { account, turns: None }).await
    }

    /// As [`Origin::send`] for what changes nothing, but held back as GitHub's limits for `account` want it: it goes out when
    /// this node's share of them has room, and not at all while GitHub has asked for silence. `users` may share the limits.
    pub async fn read(
        &self,
        request: Request<Body>,
        account: LocalFingerprint,
        users: Users,
    ) -> Result<Response<Body>, OriginError> {
        self.dispatch(request, Safety::Idempotent, Payer { account, turns: Some(users) }).await
    }

    async fn dispatch(
        &self,
        request: Request<Body>,
        safety: Safety,
        payer: Payer,
    ) -> Result<Response<Body>, OriginError> {
        let host = name_of(request.uri()).ok_or(OriginError::Target)?;
        let mut request = ready_for_the_wire(request);
        if !request.body().is_end_stream() {
            return self.inner.attempt(&host, request, payer, None).await;
        }
        let deadline = Instant::now() + self.inner.config.total_budget;
        for number in 0..MAX_RETRIES {
            let again = copy(&request);
            let outcome = self.inner.attempt(&host, request, payer, Some(deadline)).await;
            let wait = retry::wait(number, rand::random());
            let late = Instant::now() + wait >= deadline;
            // Where this failure opened the breaker, it says more than the refusal would that follows.
            if safety == Safety::Once || !worth_repeating(&outcome) || late || self.inner.hosts.refuses(&host).is_some()
            {
                return counted(outcome, number + 1);
            }
            drop(outcome);
            tokio::time::sleep(wait).await;
            request = again;
        }
        counted(self.inner.attempt(&host, request, payer, Some(deadline)).await, MAX_RETRIES + 1)
    }

    /// The hosts that requests have gone to, by name.
    pub fn health(&self) -> Vec<HostHealth> {
        self.inner.hosts.health()
    }

    /// Requests sent or tried since the start, each retry counted.
    pub fn attempts(&self) -> u64 {
        self.inner.hosts.attempts()
    }

    /// The time at `host` (as in [`HostHealth::host`]) when it is `now` here, in ms since 1970; never later than its true
    /// time. `None` if it hasn't answered within the last hour.
    pub fn github_time(&self, host: &str, now: Millis) -> Option<Millis> {
        self.inner.hosts.time(host, now)
    }
}

impl Inner {
    /// One attempt. With a `deadline` the head must be there by then.
    async fn attempt(
        &self,
        host: &str,
        request: Request<Body>,
        payer: Payer,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, OriginError> {
        if let Some(refusal) = self.hosts.refuses(host) {
            return Err(refusal);
        }
        let longest = || deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let place = self.place(host, request.method().clone(), payer, longest()).await?;
        let slot = self.hosts.slot(host, longest()).await?;
        let admitted = self.hosts.admitted(host).await?;
        let (asked_at, always_served) = (self.hosts.now(), request.uri().path().ends_with(RATE_LIMIT_PATH));
        let result = self.head(host, request, deadline).await;
        admitted.finish(outcome(&result));
        if let Err(error) = &result
            && error.is_host_failure()
        {
            self.hosts.note_failure(host, error);
        }
        let (head, incoming) = result?.into_parts();
        self.hosts.observe(host, payer.account, &head, asked_at, always_served);
        let body = Download::new(incoming, host, self.config.idle_timeout, (slot, place));
        Ok(Response::from_parts(head, body.map_err(BoxError::from).boxed_unsync()))
    }

    /// A place among the credential's requests in flight.
    async fn place(&self, host: &str, method: Method, payer: Payer, longest: Duration) -> Result<Place, OriginError> {
        match payer.turns {
            Some(users) => self.hosts.await_turn(host, payer.account, users, longest).await,
            None => Ok(self.hosts.pass(host, payer.account, &method)),
        }
    }

    /// Sends the request and waits for the head of the answer, as long as something moves.
    async fn head(
        &self,
        host: &str,
        request: Request<Body>,
        deadline: Option<Instant>,
    ) -> Result<Response<Incoming>, OriginError> {
        let (parts, body) = request.into_parts();
        let (upload, progress) = Upload::new(body);
        let mut response = pin!(self.client.request(Request::from_parts(parts, upload)));
        let started = Instant::now();
        loop {
            // The body may end meanwhile, and the head's time with it begin: look again before that could be over.
            let patience = self.until(&progress, deadline).min(Instant::now() + self.config.header_timeout);
            tokio::select! {
                biased;
                answer = &mut response => return answer.map_err(|error| OriginError::sort(host, error)),
                () = tokio::time::sleep_until(patience) => {}
            }
            if self.until(&progress, deadline) <= Instant::now() {
                let (phase, since) = progress.turn();
                let after = since.max(started).elapsed();
                return Err(OriginError::Timeout { host: host.to_owned(), phase, after });
            }
        }
    }

    /// When this exchange will have waited too long, as things stand.
    fn until(&self, progress: &Progress, deadline: Option<Instant>) -> Instant {
        let patience = Patience { idle: self.config.idle_timeout, head: self.config.header_timeout };
        let until = patience.deadline(progress);
        deadline.map_or(until, |deadline| deadline.min(until))
    }
}

fn client(config: &Config, connector: Connector) -> Client<Connector, Upload> {
    let in_flight = u32::try_from(config.max_in_flight_per_host).unwrap_or(u32::MAX);
    // Wide enough for every stream at once: readers that stand still must not hold up the others on their connection.
    let connection_window = STREAM_WINDOW_BYTES.saturating_mul(in_flight).min(i32::MAX.unsigned_abs());
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .http1_max_buf_size(MAX_HEAD_BYTES as usize)
        .http2_max_header_list_size(MAX_HEAD_BYTES)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(connection_window)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_INTERVAL)
        // Covers only requests of which not one byte was written, because the pooled connection turned out to be closed:
        // the library gets the whole request back unsent. Without it a write would fail for nothing; with it none is
        // ever sent twice (`tests/once.rs`).
        .retry_canceled_requests(true)
        .build(connector)
}

/// The request line is taken from the URI alone, so that `Host` can't say something else than the connection.
fn ready_for_the_wire(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(header::HOST);
    // HTTP/2 is agreed on in TLS where the host speaks it, whatever the caller spoke.
    *request.version_mut() = Version::HTTP_11;
    request
}

/// Notes in an answer how many requests it took.
fn counted(outcome: Result<Response<Body>, OriginError>, tries: u32) -> Result<Response<Body>, OriginError> {
    outcome.map(|mut response| {
        response.extensions_mut().insert(Tries(tries));
        response
    })
}

/// The same request once more; for requests without a body.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut again = Request::new(empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    again
}

fn worth_repeating(outcome: &Result<Response<Body>, OriginError>) -> bool {
    match outcome {
        Ok(response) => retry::worth_repeating(response.status(), response.headers()),
        Err(error) => error.is_before_answer(),
    }
}

fn outcome<T>(result: &Result<T, OriginError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Answered,
        Err(error) if error.is_host_failure() => Outcome::Failed,
        Err(_) => Outcome::Unknown,
    }
}
