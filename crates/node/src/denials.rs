//! What GitHub has refused to a credential: from then on nothing from before is shown to it without GitHub's new word, also
//! after a restart, and whoever sends it.
//!
//! A denial is stored as a tombstone under a name of its own, of a credential and a subtree.

use crate::tombstones::Buried;
use ghmesh_model::{LocalFingerprint, Millis, Scope};
use ghmesh_policy::invalidation::Denial;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Denials kept. Beyond, those that are older than any entry may be used go, and of younger ones the older half.
pub(crate) const MAX_DENIALS: usize = 16_384;

/// Begins the name of every denial. A path's scope begins so by an accident of 2^-48, and is then kept as nobody's denial.
const TAG: [u8; 6] = *b"denied";

/// Whether a stored tombstone is a denial.
pub(crate) fn is_denial((scope, _): &(Scope, Millis)) -> bool {
    scope.0.starts_with(&TAG)
}

/// Names a credential's subtree (`None`: all that it has). Parts of two hashes: where two names fall together, GitHub is asked once
/// more than it need be.
fn name(credential: &LocalFingerprint, scope: Option<&Scope>) -> Scope {
    let mut name = [0xff; 16];
    name[..6].copy_from_slice(&TAG);
    name[6..10].copy_from_slice(&credential.0[..4]);
    if let Some(scope) = scope {
        name[10..].copy_from_slice(&scope.0[..6]);
    }
    Scope(name)
}

/// The denials of one node.
#[derive(Debug)]
pub(crate) struct Denials {
    lifetime: Duration,
    marks: RwLock<BTreeMap<Scope, Millis>>,
}

impl Denials {
    /// With what was persisted. `lifetime`: the longest time for which any entry is used.
    pub(crate) fn new(denied: impl IntoIterator<Item = (Scope, Millis)>, lifetime: Duration) -> Self {
        Denials { lifetime, marks: RwLock::new(denied.into_iter().collect()) }
    }

    /// GitHub refused `credential` something at `now`. Gives what is to be stored.
    pub(crate) fn note(&self, credential: LocalFingerprint, denial: Denial, now: Millis) -> Buried {
        let names = match denial {
            Denial::None => Vec::new(),
            Denial::Credential => vec![name(&credential, None)],
            Denial::Scopes(scopes) => scopes.iter().map(|scope| name(&credential, Some(scope))).collect(),
        };
        let added: Vec<_> = names.into_iter().map(|name| (name, now)).collect();
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        marks.extend(added.iter().copied());
        if marks.len() <= MAX_DENIALS {
            return Buried::Added(added);
        }
        marks.retain(|_, at| *at >= now.before(self.lifetime));
        if marks.len() > MAX_DENIALS / 2 {
            let mut oldest_first: Vec<_> = marks.iter().map(|(name, at)| (*at, *name)).collect();
            oldest_first.sort_unstable();
            let kept = oldest_first.split_off(oldest_first.len() - MAX_DENIALS / 2);
            *marks = kept.into_iter().map(|(at, name)| (name, at)).chain(added).collect();
        }
        Buried::Thinned
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> Vec<(Scope, Millis)> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        marks.iter().map(|(name, at)| (*name, *at)).collect()
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
        let names = scopes.iter().map(Some).chain([None]).map(|scope| name(&credential, scope));
        names.filter_map(|name| marks.get(&name)).all(|at| confirmed_at > *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(3600);

    fn credential(number: u8) -> LocalFingerprint {
        LocalFingerprint([number; 32])
    }

    fn none() -> Denials {
        Denials::new([], LIFETIME)
    }

    #[test]
    fn a_refused_credential_is_shown_nothing_from_before() {
        let denials = none();
        denials.note(credential(1), Denial::Credential, Millis(100));
        assert!(!denials.admit(|| credential(1), &[], Millis(100)));
        assert!(denials.admit(|| credential(1), &[], Millis(101)), "confirmed since");
        assert!(denials.admit(|| credential(2), &[], Millis(50)), "another credential");
    }

    #[test]
    fn a_lost_repository_takes_only_its_own_subtree() {
        let (lost, other) = (Scope::of("h", "/repos/o/lost"), Scope::of("h", "/repos/o/other"));
        let denials = none();
        denials.note(credential(1), Denial::Scopes(vec![lost]), Millis(100));
        assert!(!denials.admit(|| credential(1), &[lost], Millis(99)));
        assert!(denials.admit(|| credential(1), &[other], Millis(99)));
    }

    #[test]
    fn what_was_denied_before_a_restart_is_denied_after_it() {
        let lost = Scope::of("h", "/repos/o/lost");
        let denials = none();
        let Buried::Added(one) = denials.note(credential(1), Denial::Credential, Millis(100)) else { panic!("one") };
        let two = denials.note(credential(2), Denial::Scopes(vec![lost]), Millis(200));
        let Buried::Added(two) = two else { panic!("two") };
        let stored: Vec<_> = one.into_iter().chain(two).collect();
        assert!(stored.iter().all(is_denial));
        assert!(!is_denial(&(lost, Millis(0))));
        let denials = Denials::new(stored, LIFETIME);
        assert!(!denials.admit(|| credential(1), &[], Millis(100)));
        assert!(!denials.admit(|| credential(2), &[lost], Millis(200)));
        assert!(denials.admit(|| credential(2), &[], Millis(200)));
    }

    #[test]
    fn denials_are_bounded_and_the_latest_always_holds() {
        let scope = |number: u64| Scope::of("h", &number.to_string());
        for at in [|number| Millis(number), |_| Millis(7)] {
            let denials = none();
            let note = |number| denials.note(credential(1), Denial::Scopes(vec![scope(number)]), at(number));
            let last_number = MAX_DENIALS as u64;
            let last = (0..=last_number).map(note).last();
            assert_eq!(last, Some(Buried::Thinned));
            assert!(denials.all().len() <= MAX_DENIALS);
            assert!(!denials.admit(|| credential(1), &[scope(last_number)], at(last_number)));
        }
    }

    #[test]
    fn what_has_outlived_all_entries_goes_first() {
        let denials = none();
        for number in 0..MAX_DENIALS as u64 {
            denials.note(credential(1), Denial::Scopes(vec![Scope::of("h", &number.to_string())]), Millis(number));
        }
        let late = Millis(LIFETIME.as_millis() as u64 * 2);
        assert_eq!(denials.note(credential(2), Denial::Credential, late), Buried::Thinned);
        assert_eq!(denials.all().len(), 1);
    }
}
