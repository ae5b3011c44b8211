//! The keys of the secrets that a node holds, as they change while it runs.
//!
//! Secrets roll in three steps, and at no moment do all nodes take the same one. So a node tells apart
//! - what it *proves* with when it dials: its current secret, which the others accept at each step;
//! - what it *shares* under: of the secrets that all members connected to it hold, the one with the smallest label (each node
//!   that can choose chooses the same, so that a key has one name and one owner in the fleet);
//! - what it can *open*: all that it holds, and for a moment those that it has just dropped, for what is on its way.

use ghmesh_seal::KeyRing;
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// Secrets that a node holds at once. Further ones are left out: each is tried on whatever arrives.
pub const MAX_RINGS: usize = 8;
/// How long a dropped secret's letters are still read, and members have to prove that they hold another: a few round trips,
/// also to one whose daemon stalls for a moment.
pub(crate) const RETIREMENT: Duration = Duration::from_secs(2);
/// Peers whose proof is remembered, four times as many as there may be connections. When full, one is forgotten: it is asked for
/// another proof when a secret is dropped.
const MAX_PROOFS: usize = 1024;

/// One mesh's keys. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Rings(Arc<RwLock<State>>);

#[derive(Debug)]
struct State {
    /// The current secret's first. Never empty.
    held: Arc<[KeyRing]>,
    /// The same, the one to share under first.
    leading: Arc<[KeyRing]>,
    /// The same as `held`, then those that were just dropped.
    openable: Arc<[KeyRing]>,
    retired_at: Option<Instant>,
    /// With which secret each peer has proved its membership last.
    proofs: BTreeMap<PeerId, String>,
}

impl Rings {
    /// `None` where there are none.
    pub(crate) fn new(rings: Vec<KeyRing>) -> Option<Self> {
        let held = distinct(rings);
        let state =
            State { leading: held.clone(), openable: held.clone(), retired_at: None, proofs: BTreeMap::new(), held };
        (!state.held.is_empty()).then(|| Rings(Arc::new(RwLock::new(state))))
    }

    /// All, the current secret's first.
    pub(crate) fn held(&self) -> Arc<[KeyRing]> {
        self.read().held.clone()
    }

    /// All, the one that is shared under first.
    pub(crate) fn by_lead(&self) -> Arc<[KeyRing]> {
        self.read().leading.clone()
    }

    /// What a dialler proves with.
    pub(crate) fn current(&self) -> KeyRing {
        first(&self.read().held)
    }

    /// What is shared under.
    pub(crate) fn leading(&self) -> KeyRing {
        first(&self.read().leading)
    }

    /// What letters are opened with.
    pub(crate) fn openable(&self) -> Arc<[KeyRing]> {
        self.read().openable.clone()
    }

    /// Takes these in place of all others. `cut`: what is dropped is not read for another moment, and no proof counts that was
    /// made before. An empty list changes nothing.
    pub(crate) fn change(&self, rings: Vec<KeyRing>, cut: bool, now: Instant) {
        let held = distinct(rings);
        if held.is_empty() {
            return;
        }
        let mut state = self.write();
        let kept = |ring: &&KeyRing| !held.iter().any(|held| held.label() == ring.label());
        let dropped: Vec<KeyRing> =
            if cut { Vec::new() } else { state.openable.iter().filter(kept).cloned().collect() };
        if cut {
            state.proofs.clear();
        }
        state.retired_at = (!dropped.is_empty()).then_some(now);
        state.openable = held.iter().cloned().chain(dropped).collect();
        state.leading = held.clone();
        state.held = held;
    }

    /// Shares under the secret of this label from now on, if it is held.
    pub(crate) fn lead(&self, label: &str) {
        let mut state = self.write();
        if let Some(index) = state.leading.iter().position(|ring| ring.label() == label).filter(|index| *index > 0) {
            let mut rings = state.leading.to_vec();
            rings[..=index].rotate_right(1);
            state.leading = rings.into();
        }
    }

    /// Ends the retirement of dropped secrets, if it is time. Whether it ended now.
    pub(crate) fn retire(&self, now: Instant) -> bool {
        let mut state = self.write();
        let due = state.retired_at.is_some_and(|at| now.saturating_duration_since(at) >= RETIREMENT);
        if due {
            state.retired_at = None;
            state.openable = state.held.clone();
        }
        due
    }

    /// A peer has proved that it holds the secret of this label.
    pub(crate) fn prove(&self, peer: PeerId, label: &str) {
        let mut state = self.write();
        if state.proofs.len() >= MAX_PROOFS && !state.proofs.contains_key(&peer) {
            // Ids are hashes: the first is as good as a random one.
            state.proofs.pop_first();
        }
        state.proofs.insert(peer, label.to_owned());
    }

    /// A peer has gone.
    pub(crate) fn forget(&self, peer: &PeerId) {
        self.write().proofs.remove(peer);
    }

    /// Whether a peer has proved that it holds one of the secrets that are held here.
    pub(crate) fn is_proved(&self, peer: &PeerId) -> bool {
        let state = self.read();
        let proof = state.proofs.get(peer);
        proof.is_some_and(|label| state.held.iter().any(|ring| ring.label() == label))
    }

    /// Whether a secret was just dropped, and a peer has yet to prove that it holds another.
    pub(crate) fn awaits_proof(&self, peer: &PeerId) -> bool {
        // One after the other: a thread that reads twice at once waits for itself where another wants to write in between.
        let retiring = self.read().retired_at.is_some();
        retiring && !self.is_proved(peer)
    }

    /// Nothing that holds the lock can panic in between, so what a poisoned one guards is whole.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first(rings: &[KeyRing]) -> KeyRing {
    rings.first().expect("a mesh holds at least one secret").clone()
}

fn distinct(rings: Vec<KeyRing>) -> Arc<[KeyRing]> {
    let mut distinct: Vec<KeyRing> = Vec::new();
    for ring in rings {
        if distinct.len() < MAX_RINGS && !distinct.iter().any(|known| known.label() == ring.label()) {
            distinct.push(ring);
        }
    }
    distinct.into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::tests::cluster::ring;

    fn labels(rings: &[KeyRing]) -> Vec<String> {
        rings.iter().map(|ring| ring.label().to_owned()).collect()
    }

    #[test]
    fn a_dropped_secret_is_read_for_a_moment_and_one_that_was_cut_is_not() {
        let (old, new) = (ring("old"), ring("new"));
        let rings = Rings::new(vec![old.clone(), new.clone()]).unwrap();
        let now = Instant::now();
        rings.change(vec![new.clone()], false, now);
        let both = labels(&[new.clone(), old]);
        assert_eq!((labels(&rings.held()), labels(&rings.openable())), (both[..1].to_vec(), both.clone()));
        assert!(!rings.retire(now) && rings.retire(now + RETIREMENT) && !rings.retire(now + RETIREMENT));
        assert_eq!(labels(&rings.openable()), both[..1]);
        let third = ring("third");
        rings.change(vec![third.clone()], true, now);
        assert_eq!(labels(&rings.openable()), labels(&[third]));
    }

    #[test]
    fn a_proof_counts_as_long_as_its_secret_is_held_and_not_beyond_a_cut() {
        let (old, new, peer) = (ring("old"), ring("new"), PeerId::random());
        let rings = Rings::new(vec![old.clone(), new.clone()]).unwrap();
        assert!(!rings.is_proved(&peer));
        rings.prove(peer, old.label());
        assert!(rings.is_proved(&peer));
        rings.change(vec![new.clone()], false, Instant::now());
        assert!(!rings.is_proved(&peer), "its secret was dropped");
        rings.prove(peer, new.label());
        assert!(rings.is_proved(&peer));
        rings.change(vec![new], true, Instant::now());
        assert!(!rings.is_proved(&peer));
    }

    #[test]
    fn who_leads_comes_first_and_the_current_stays_what_it_is() {
        let all = [ring("1"), ring("2"), ring("3")];
        let rings = Rings::new(all.to_vec()).unwrap();
        rings.lead(all[2].label());
        assert_eq!(labels(&rings.by_lead()), labels(&[all[2].clone(), all[0].clone(), all[1].clone()]));
        assert_eq!((rings.leading().label(), rings.current().label()), (all[2].label(), all[0].label()));
        rings.lead("unknown");
        assert_eq!(rings.leading().label(), all[2].label());
    }

    #[test]
    fn repeated_secrets_count_once_and_too_many_are_left_out() {
        let many = (0..20).flat_map(|number| [ring(&number.to_string()), ring(&number.to_string())]);
        assert_eq!(Rings::new(many.collect()).unwrap().held().len(), MAX_RINGS);
        assert!(Rings::new(Vec::new()).is_none());
    }
}
