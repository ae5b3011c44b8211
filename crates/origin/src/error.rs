//! What can go wrong between here and an origin, with what a person can do about it.
//!
//! Messages name the host, never the path or a header: those may hold what nobody else should read.

use crate::body::BoxError;
use crate::connect::ConnectTimedOut;
use crate::upload::UploadError;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Most causes that are looked at below one error.
const MAX_CAUSES: usize = 16;

/// What an exchange was waiting for when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The name, the connection and TLS.
    Connect,
    /// The caller, for more of the request's body.
    RequestBody,
    /// The host, to take more of the request's body.
    Upload,
    /// The answer's status and headers.
    Head,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connect => "a connection",
            Phase::RequestBody => "the caller to send more of the request's body",
            Phase::Upload => "the host to take more of the request's body",
            Phase::Head => "the answer's head",
        })
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OriginError {
    /// The request's URI isn't absolute, or is neither http nor https.
    #[error("the upstream request names no http or https host")]
    Target,
    /// No connection: the name doesn't resolve, nobody listens, the network is down, TLS failed.
    #[error("{host} can't be reached: {}", Causes(&**source))]
    Connect {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The connector's error.
        source: BoxError,
    },
    /// TLS was refused here because the host's certificate isn't trusted.
    #[error(
        "{host} showed a certificate that isn't trusted: {}; if its authority is your own (GitHub Enterprise Server, a \
         company proxy), name its PEM file in origin.ca_file",
        Causes(&**source)
    )]
    Untrusted {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The TLS library's error.
        source: BoxError,
    },
    /// Too long without progress.
    #[error("{host}: waited {:.1} s for {phase}", after.as_secs_f64())]
    Timeout {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// What it waited for.
        phase: Phase,
        /// How long it waited.
        after: Duration,
    },
    /// The host failed several times in a row and is left alone for a while.
    #[error("{host} has failed repeatedly and is left alone for another {:.1} s", retry_in.as_secs_f64())]
    Breaker {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// Time until a request has a chance again.
        retry_in: Duration,
    },
    /// As many requests as are allowed are in flight to the host, and none ended in time.
    #[error("{host}: {in_flight} requests are in flight, and none ended within {:.1} s", waited.as_secs_f64())]
    Busy {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The bound on requests in flight.
        in_flight: usize,
        /// How long this one queued; zero if the queue itself was full.
        waited: Duration,
    },
    /// GitHub wants nothing more of this credential for a while, or would soon.
    #[error(
        "{host} limits this credential (secondary rate limit): it is asked nothing more with it for another {:.0} s",
        retry_in.as_secs_f64().ceil()
    )]
    Limited {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// Time until a request has a chance again.
        retry_in: Duration,
    },
    /// The connection ended before an answer began.
    #[error("{host} closed the connection without an answer: {}", Causes(&**source))]
    Closed {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The client library's error.
        source: BoxError,
    },
    /// What came isn't an HTTP answer.
    #[error("{host} sent something that isn't a valid HTTP answer: {}", Causes(&**source))]
    Protocol {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The client library's error.
        source: BoxError,
    },
    /// The caller's own request body failed. The host isn't to blame.
    #[error("the request's body ended early: {}", Causes(&**source))]
    RequestBody {
        /// The body's error.
        source: BoxError,
    },
}

/// Why an answer's body ended before its end. Comes out of [`crate::Body`] as its boxed error.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Nothing came for too long.
    #[error("{host}: nothing more of the answer's body came for {:.1} s", after.as_secs_f64())]
    Stalled {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The idle timeout.
        after: Duration,
    },
    /// The connection ended, or what came isn't a body.
    #[error("{host}: the answer's body was cut short: {}", Causes(source))]
    Cut {
        /// Host, with its port where that isn't the scheme's own.
        host: String,
        /// The client library's error.
        source: hyper::Error,
    },
}

impl OriginError {
    /// Whether it is a timeout (a gateway's 504 rather than its 502).
    pub fn is_timeout(&self) -> bool {
        matches!(self, OriginError::Timeout { .. })
    }

    /// Whether the host certainly did not begin to answer, so that an idempotent request may be sent again.
    pub(crate) fn is_before_answer(&self) -> bool {
        matches!(
            self,
            OriginError::Connect { .. }
                | OriginError::Closed { .. }
                | OriginError::Timeout { phase: Phase::Connect, .. }
        )
    }

    /// Whether it shows that the host is unreachable or silent, as the breaker counts it.
    pub(crate) fn is_host_failure(&self) -> bool {
        match self {
            OriginError::Connect { .. } => true,
            OriginError::Timeout { phase, .. } => *phase != Phase::RequestBody,
            OriginError::Target
            | OriginError::Untrusted { .. }
            | OriginError::Breaker { .. }
            | OriginError::Busy { .. }
            | OriginError::Limited { .. }
            | OriginError::Closed { .. }
            | OriginError::Protocol { .. }
            | OriginError::RequestBody { .. } => false,
        }
    }

    /// Sorts the client library's error by what lies beneath it.
    pub(crate) fn sort(host: &str, error: hyper_util::client::legacy::Error) -> OriginError {
        let host = host.to_owned();
        if let Some(timeout) = find::<ConnectTimedOut>(&error) {
            return OriginError::Timeout { host, phase: Phase::Connect, after: timeout.after };
        }
        if causes(&error).any(is_certificate) {
            return OriginError::Untrusted { host, source: error.into() };
        }
        if error.is_connect() {
            return OriginError::Connect { host, source: error.into() };
        }
        if find::<UploadError>(&error).is_some() {
            return OriginError::RequestBody { source: error.into() };
        }
        let closed = causes(&error).any(is_closed);
        let source = error.into();
        if closed { OriginError::Closed { host, source } } else { OriginError::Protocol { host, source } }
    }
}

fn is_certificate(cause: &(dyn Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}

/// Whether a cause says that the connection ended, or that the host told it had not looked at the request: RFC 9113, 8.7:
/// "The REFUSED_STREAM error code [...] indicate[s] that the stream is being closed prior to any processing having
/// occurred".
fn is_closed(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_incomplete_message() || error.is_canceled() || error.is_closed() || error.is_timeout();
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        return error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    }
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    kind.is_some_and(|kind| {
        [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof].contains(&kind)
    })
}

fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error and everything beneath it. `io::Error` hides what it wraps from `source`, so it is asked directly.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| beneath(*error)).take(MAX_CAUSES)
}

fn beneath<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// Shows every cause once, outermost first; the client library's own wrapper says nothing and is left out.
struct Causes<'e>(&'e (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        for cause in causes(self.0).filter(|cause| !cause.is::<hyper_util::client::legacy::Error>()) {
            let text = cause.to_string();
            if shown.contains(&text) {
                continue;
            }
            if !shown.is_empty() {
                shown.push_str(": ");
            }
            shown.push_str(&text);
        }
        f.write_str(&shown)
    }
}
