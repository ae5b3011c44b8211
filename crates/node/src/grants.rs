//! Hosts that GitHub itself sent a caller to: a redirect to a signed asset, an archive, a log.

use ghmesh_model::Millis;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a redirect's host may be called. GitHub's signed URLs live for minutes; an hour lets a slow download resume.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Hosts kept; the oldest goes first. GitHub redirects to about a dozen.
const MAX_GRANTS: usize = 256;

/// The hosts that redirects have lately named.
#[derive(Debug, Default)]
pub(crate) struct Grants(Mutex<BTreeMap<String, Millis>>);

impl Grants {
    /// A trusted host's redirect named `authority`.
    pub(crate) fn grant(&self, authority: &str, now: Millis) {
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, at| is_live(*at, now));
        if grants.len() >= MAX_GRANTS {
            let oldest = grants.iter().min_by_key(|(_, at)| **at).map(|(authority, _)| authority.clone());
            oldest.map(|authority| grants.remove(&authority));
        }
        grants.insert(authority.to_owned(), now);
    }

    /// Whether `authority` may be called.
    pub(crate) fn allows(&self, authority: &str, now: Millis) -> bool {
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.get(authority).is_some_and(|at| is_live(*at, now))
    }
}

fn is_live(at: Millis, now: Millis) -> bool {
    now.since(at).is_some_and(|age| age < LIFETIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_after_a_redirect_and_for_an_hour() {
        let grants = Grants::default();
        assert!(!grants.allows("assets.example", Millis(0)));
        grants.grant("assets.example", Millis(0));
        assert!(grants.allows("assets.example", Millis(3_599_999)));
        assert!(!grants.allows("assets.example", Millis(3_600_000)));
    }

    #[test]
    fn grants_are_bounded() {
        let grants = Grants::default();
        for number in 0..1000_u64 {
            grants.grant(&format!("h{number}.example"), Millis(number));
        }
        assert!(grants.allows("h999.example", Millis(1000)));
        assert!(!grants.allows("h0.example", Millis(1000)));
    }
}
