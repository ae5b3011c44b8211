//! Why a request ended without an answer of GitHub's.

use ghmesh_origin::OriginError;
use std::sync::Arc;
use std::time::Duration;

/// What the gateway turns into an error of its own. Cheap to clone: everybody who waited for the same fetch is told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The origin was too slow, and nothing kept may stand in for its answer.
    #[error("{error}")]
    Timeout {
        /// Which host, in which phase, after how long.
        error: Arc<OriginError>,
    },
    /// The origin failed repeatedly and is left alone for a while.
    #[error("{error}")]
    BreakerOpen {
        /// Which host.
        error: Arc<OriginError>,
        /// Until it is asked again.
        retry_in: Duration,
    },
    /// As many requests as are allowed are under way to the origin.
    #[error("{error}")]
    Busy {
        /// Which host.
        error: Arc<OriginError>,
    },
    /// The origin limits this credential: it asked for silence, or what may be asked of it in a minute is used up.
    #[error("{error}")]
    Limited {
        /// Which host.
        error: Arc<OriginError>,
        /// Until it may be asked again.
        retry_in: Duration,
    },
    /// The origin can't be reached, or what it sent is no answer.
    #[error("{error}")]
    Unreachable {
        /// Which host, and why.
        error: Arc<OriginError>,
    },
    /// The client's own body ended early.
    #[error("{error}")]
    ClientBody {
        /// How.
        error: Arc<OriginError>,
    },
    /// The origin's answer broke off.
    #[error("{host} broke off its answer: {reason}")]
    Interrupted {
        /// The host.
        host: String,
        /// What the connection said.
        reason: String,
    },
    /// The client wants no call made, or `policy.mode` is `offline`, and nothing fresh enough is kept.
    #[error("nothing fresh enough is kept, and {reason}")]
    NotCached {
        /// Why GitHub was not asked.
        reason: &'static str,
    },
}

impl Failure {
    /// Whether the request may have reached the origin and been charged.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Failure::Timeout { .. } | Failure::Interrupted { .. } => true,
            Failure::Unreachable { error } => !matches!(**error, OriginError::Connect { .. } | OriginError::Target),
            Failure::BreakerOpen { .. }
            | Failure::Busy { .. }
            | Failure::Limited { .. }
            | Failure::ClientBody { .. }
            | Failure::NotCached { .. } => false,
        }
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        let timeout = error.is_timeout();
        let error = Arc::new(error);
        match &*error {
            OriginError::Breaker { retry_in, .. } => {
                let retry_in = *retry_in;
                Failure::BreakerOpen { error, retry_in }
            }
            OriginError::Busy { .. } => Failure::Busy { error },
            OriginError::Limited { retry_in, .. } => {
                let retry_in = *retry_in;
                Failure::Limited { error, retry_in }
            }
            OriginError::RequestBody { .. } => Failure::ClientBody { error },
            _ if timeout => Failure::Timeout { error },
            OriginError::Target
            | OriginError::Connect { .. }
            | OriginError::Untrusted { .. }
            | OriginError::Timeout { .. }
            | OriginError::Closed { .. }
            | OriginError::Protocol { .. } => Failure::Unreachable { error },
        }
    }
}
