//! What GitHub has refused to a credential: from then on nothing from before is shown to it without GitHub's new word.

use ghmesh_model::{LocalFingerprint, Millis, Scope};
use ghmesh_policy::invalidation::Denial;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Denials remembered. Those that are older than any entry may be used go first, then the oldest.
const MAX_DENIALS: usize = 16_384;

/// Per credential, a subtree (`None`: everything) and when it was refused.
type Marks = BTreeMap<(LocalFingerprint, Option<Scope>), Millis>;

/// The denials of one node, in memory: after a restart GitHub is asked again before `proof_ttl` is over, at the latest.
#[derive(Debug)]
pub(crate) struct Denials {
    lifetime: Duration,
    marks: RwLock<Marks>,
}

impl Denials {
    /// `lifetime`: the longest time for which any entry is used.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Denials { lifetime, marks: RwLock::default() }
    }

    /// GitHub refused `credential` something at `now`.
    pub(crate) fn note(&self, credential: LocalFingerprint, denial: Denial, now: Millis) {
        let scopes = match denial {
            Denial::None => return,
            Denial::Credential => vec![None],
            Denial::Scopes(scopes) => scopes.into_iter().map(Some).collect(),
        };
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        marks.extend(scopes.into_iter().map(|scope| ((credential, scope), now)));
        if marks.len() > MAX_DENIALS {
            marks.retain(|_, at| *at >= now.before(self.lifetime));
        }
        while marks.len() > MAX_DENIALS {
            let oldest = marks.iter().min_by_key(|(_, at)| **at).map(|(mark, _)| *mark);
            oldest.map(|mark| marks.remove(&mark));
        }
    }

    /// Whether GitHub has confirmed an entry with these scopes since it last refused anything around it. `credential` is asked
    /// for only if there is anything to compare with.
    pub(crate) fn admit(
        &self,
        credential: impl FnOnce() -> LocalFingerprint,
        scopes: &[Scope],
        confirmed_at: Millis,
    ) -> bool {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        if marks.is_empty() {
            return true;
        }
        let credential = credential();
        let names = scopes.iter().copied().map(Some).chain([None]);
        names.filter_map(|scope| marks.get(&(credential, scope))).all(|at| confirmed_at > *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(3600);

    fn credential(number: u8) -> LocalFingerprint {
        LocalFingerprint([number; 32])
    }

    #[test]
    fn a_refused_credential_is_shown_nothing_from_before() {
        let denials = Denials::new(LIFETIME);
        denials.note(credential(1), Denial::Credential, Millis(100));
        assert!(!denials.admit(|| credential(1), &[], Millis(100)));
        assert!(denials.admit(|| credential(1), &[], Millis(101)), "confirmed since");
        assert!(denials.admit(|| credential(2), &[], Millis(50)), "another credential");
    }

    #[test]
    fn a_lost_repository_takes_only_its_own_subtree() {
        let (lost, other) = (Scope::of("h", "/repos/o/lost"), Scope::of("h", "/repos/o/other"));
        let denials = Denials::new(LIFETIME);
        denials.note(credential(1), Denial::Scopes(vec![lost]), Millis(100));
        assert!(!denials.admit(|| credential(1), &[lost], Millis(99)));
        assert!(denials.admit(|| credential(1), &[other], Millis(99)));
    }

    #[test]
    fn denials_are_bounded() {
        let denials = Denials::new(LIFETIME);
        for number in 0..=MAX_DENIALS as u64 {
            denials.note(credential(1), Denial::Scopes(vec![Scope::of("h", &number.to_string())]), Millis(number));
        }
        assert_eq!(denials.marks.read().expect("no test thread panicked").len(), MAX_DENIALS);
    }
}
