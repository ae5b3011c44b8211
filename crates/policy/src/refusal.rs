//! Why a request is not taken at all, in words that its sender can act on.

use http::StatusCode;

/// A request that is answered here, with [`Refusal::status`] and its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, or an empty one.
    #[error("the request has no Host header: name the GitHub host that it is for")]
    HostMissing,
    /// More than one `Host`: nobody can say which one counts.
    #[error("the request has more than one Host header: send exactly one")]
    HostRepeated,
    /// A `Host` that is no `host` or `host:port`.
    #[error("{host:?} is not a host, or a host and a port")]
    HostMalformed {
        /// As sent, shortened.
        host: String,
    },
    /// A host that this daemon has no business with.
    #[error(
        "{host} is not a host that this daemon forwards to: for a GitHub Enterprise Server add it to origin.hosts; for another name \
         of this daemon add it to gateway.names"
    )]
    HostNotAllowed {
        /// As sent, shortened.
        host: String,
    },
    /// More than one `Authorization`.
    #[error("the request has more than one Authorization header: send exactly one")]
    AuthorizationRepeated,
    /// `Connection` names a header that is not the connection's to remove.
    #[error("the Connection header names {name}, which belongs to the whole way to GitHub: remove it from Connection")]
    ConnectionNames {
        /// In lower case.
        name: String,
    },
    /// Both `Transfer-Encoding` and `Content-Length`.
    #[error("the request has both Transfer-Encoding and Content-Length: send one of them")]
    LengthAmbiguous,
    /// `user:password@` in the request target.
    #[error("the request target has a user or password in it: send credentials in the Authorization header")]
    UserInfo,
    /// An absolute target that is neither `http` nor `https`.
    #[error("the scheme {scheme} is not forwarded: use http or https")]
    Scheme {
        /// As sent.
        scheme: String,
    },
    /// No path, `*`, or nothing that can be sent on.
    #[error("the request target can't be sent on: it must be a path, or an http URL, of less than 64 KiB")]
    TargetMalformed,
    /// `CONNECT`.
    #[error("CONNECT is not served here: give the client this daemon's URL or socket, or use an http:// URL")]
    Connect,
    /// It bears this daemon's own mark ([`crate::LoopMark`]).
    #[error(
        "this request was sent by this very daemon: origin.url, origin.hosts or the request's host leads back to it instead of to GitHub"
    )]
    Loop,
    /// Something that only the origin can do, while `policy.mode` is `offline`.
    #[error("{what} needs GitHub, which is never called while policy.mode is offline")]
    Offline {
        /// What was asked for.
        what: &'static str,
    },
}

impl Refusal {
    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::HostNotAllowed { .. } => StatusCode::MISDIRECTED_REQUEST,
            Refusal::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Loop => StatusCode::LOOP_DETECTED,
            Refusal::Offline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Refusal::HostMissing
            | Refusal::HostRepeated
            | Refusal::HostMalformed { .. }
            | Refusal::AuthorizationRepeated
            | Refusal::ConnectionNames { .. }
            | Refusal::LengthAmbiguous
            | Refusal::UserInfo
            | Refusal::Scheme { .. }
            | Refusal::TargetMalformed => StatusCode::BAD_REQUEST,
        }
    }
}
