//! The keys of the mesh secrets as the node uses them: to name what it shares, and to find what was shared under others.

use ghmesh_model::Millis;
use ghmesh_seal::KeyRing;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Dropped secrets whose names are still looked for in the store. Of more the oldest go: what was received under them is
/// asked for anew.
const MAX_PAST: usize = 2;

/// Gives the keys that are held, those to share under first.
type Held = Box<dyn Fn() -> Arc<[KeyRing]> + Send + Sync>;

/// The keys of one node.
pub(crate) struct Keys {
    held: Held,
    /// How long anything is used: then nothing of a dropped secret's time is of use.
    lifetime: Duration,
    past: RwLock<Vec<(Millis, KeyRing)>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("held", &(self.held)()).field("past", &self.past).finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(held: impl Fn() -> Arc<[KeyRing]> + Send + Sync + 'static, lifetime: Duration) -> Self {
        Keys { held: Box::new(held), lifetime, past: RwLock::default() }
    }

    /// Those to share under.
    pub(crate) fn leading(&self) -> KeyRing {
        (self.held)().first().expect("a mesh holds at least one secret").clone()
    }

    /// All that are held, those to share under first.
    pub(crate) fn held(&self) -> Arc<[KeyRing]> {
        (self.held)()
    }

    /// All under which something may be stored here.
    pub(crate) fn known(&self, now: Millis) -> Vec<KeyRing> {
        let mut known = self.held().to_vec();
        let past = self.past.read().unwrap_or_else(PoisonError::into_inner);
        let useful = past.iter().filter(|(at, _)| now.since(*at).is_some_and(|age| age < self.lifetime));
        known.extend(useful.map(|(_, ring)| ring.clone()));
        known
    }

    /// These are about to be held in place of all others. `cut`: nothing that was stored under others is looked for any more.
    pub(crate) fn change(&self, rings: &[KeyRing], cut: bool, now: Millis) {
        let is_held = |ring: &KeyRing| rings.iter().any(|held| held.label() == ring.label());
        let dropped = self.held();
        let dropped = dropped.iter().filter(|ring| !is_held(ring)).map(|ring| (now, ring.clone()));
        let mut past = self.past.write().unwrap_or_else(PoisonError::into_inner);
        past.retain(|(_, ring)| !is_held(ring));
        past.extend(dropped);
        let surplus = if cut { past.len() } else { past.len().saturating_sub(MAX_PAST) };
        past.drain(..surplus);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::fixtures::ring;
    use std::sync::Mutex;

    struct Changing {
        held: Arc<Mutex<Vec<KeyRing>>>,
        keys: Keys,
    }

    impl Changing {
        fn new(secret: &str) -> Self {
            let held = Arc::new(Mutex::new(vec![ring(secret)]));
            let theirs = held.clone();
            let keys = Keys::new(move || theirs.lock().unwrap().clone().into(), Duration::from_millis(100));
            Changing { held, keys }
        }

        fn change(&self, secrets: &[&str], cut: bool, now: u64) {
            let rings: Vec<KeyRing> = secrets.iter().map(|secret| ring(secret)).collect();
            self.keys.change(&rings, cut, Millis(now));
            *self.held.lock().unwrap() = rings;
        }

        fn known(&self, now: u64) -> Vec<String> {
            self.keys.known(Millis(now)).iter().map(|ring| ring.label().to_owned()).collect()
        }
    }

    fn labels(secrets: &[&str]) -> Vec<String> {
        secrets.iter().map(|secret| ring(secret).label().to_owned()).collect()
    }

    #[test]
    fn threat_16_what_was_shared_under_a_dropped_secret_is_found_as_long_as_it_is_of_use() {
        let node = Changing::new("a");
        node.change(&["b", "a"], false, 1);
        node.change(&["b"], false, 2);
        assert_eq!(node.known(101), labels(&["b", "a"]));
        assert_eq!(node.known(102), labels(&["b"]));
        node.change(&["a"], false, 50);
        assert_eq!(node.known(60), labels(&["a", "b"]), "one that is held again is no past one");
    }

    #[test]
    fn threat_16_what_was_shared_under_a_compromised_secret_is_not_found() {
        let node = Changing::new("a");
        node.change(&["b"], false, 1);
        node.change(&["c"], true, 2);
        assert_eq!(node.known(3), labels(&["c"]));
    }

    #[test]
    fn dropped_secrets_are_bounded() {
        let node = Changing::new("a");
        for secret in ["b", "c", "d", "e"] {
            node.change(&[secret], false, 1);
        }
        assert_eq!(node.known(2), labels(&["e", "c", "d"]));
    }
}
