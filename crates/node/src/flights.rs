//! One flight per (key, credential) on this node: the first caller leads, the others wait for what it brings home.
//!
//! The leader's work runs in a task of its own, so a caller that hangs up stops nobody else; and a [`Pilot`] that is
//! dropped for any reason, a panic included, frees its followers to go on alone.

use crate::failure::Failure;
use crate::landed::Landed;
use ghmesh_model::{CacheKey, LocalFingerprint, Millis};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Flights that can be joined at once. Beyond, every caller leads a flight that nobody can join.
const MAX_FLIGHTS: usize = 16_384;

/// What a flight is about.
pub(crate) type FlightKey = (CacheKey, LocalFingerprint);

/// What followers receive.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A validated entry, or a small answer that is not stored, given to the same credential.
    Landed(Arc<Landed>),
    /// The origin gave no answer, and nothing may stand in: the same to all who wait.
    Failed(Failure),
    /// Nothing to share: go on alone.
    Alone,
}

/// What a caller becomes.
pub(crate) enum Role {
    /// Wait: `None` until the flight has ended.
    Follow(watch::Receiver<Option<Outcome>>),
    /// Fly.
    Lead(Pilot),
}

/// The flights under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    running: BTreeMap<FlightKey, Running>,
    /// Flights so far.
    count: u64,
}

#[derive(Debug)]
struct Running {
    started: Millis,
    /// Its place among all flights, in the order in which they began: a millisecond has room for several.
    number: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Held by whoever leads a flight.
pub(crate) struct Pilot {
    flights: Flights,
    key: FlightKey,
    number: u64,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins the flight for `key` if one is under way that started late enough, else leads a new one.
    pub(crate) fn join(&self, key: FlightKey, now: Millis, late_enough: impl Fn(Millis) -> bool) -> Role {
        let mut table = self.lock();
        if let Some(flight) = table.running.get(&key).filter(|flight| late_enough(flight.started)) {
            return Role::Follow(flight.outcome.clone());
        }
        table.count += 1;
        let number = table.count;
        let (sender, outcome) = watch::channel(None);
        if table.running.len() < MAX_FLIGHTS {
            table.running.insert(key, Running { started: now, number, outcome });
        }
        Role::Lead(Pilot { flights: self.clone(), key, number, outcome: sender })
    }

    /// Flights that can be joined now.
    pub(crate) fn under_way(&self) -> usize {
        self.lock().running.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No critical section leaves the map half changed, so that a poisoned one is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pilot {
    /// The flight for `key` that began first, if that is not this one but another credential's. As the first waits for nobody, no
    /// two wait for each other.
    pub(crate) fn first_of_key(&self, key: &CacheKey) -> Option<watch::Receiver<Option<Outcome>>> {
        let table = self.flights.lock();
        let of_key = table.running.range((*key, LocalFingerprint([0; 32]))..=(*key, LocalFingerprint([0xff; 32])));
        let ((_, credential), first) = of_key.min_by_key(|(_, flight)| flight.number)?;
        (first.number < self.number && *credential != self.key.1).then(|| first.outcome.clone())
    }

    /// Ends the flight for everybody who joined it.
    pub(crate) fn land(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        if table.running.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            table.running.remove(&self.key);
        }
        drop(table);
        self.outcome.send_if_modified(|outcome| {
            let unset = outcome.is_none();
            if unset {
                *outcome = Some(Outcome::Alone);
            }
            unset
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FlightKey = (CacheKey([1; 32]), LocalFingerprint([2; 32]));

    fn always(_: Millis) -> bool {
        true
    }

    #[tokio::test]
    async fn a_leader_that_dies_frees_its_followers() {
        let flights = Flights::default();
        let Role::Lead(pilot) = flights.join(KEY, Millis(1), always) else { panic!("the first leads") };
        let Role::Follow(mut follower) = flights.join(KEY, Millis(2), always) else { panic!("the second follows") };
        let task = tokio::spawn(async move {
            let _pilot = pilot;
            panic!("the leader dies");
        });
        assert!(task.await.is_err());
        let outcome = follower.wait_for(Option::is_some).await.expect("the outcome was sent before the sender went");
        assert!(matches!(*outcome, Some(Outcome::Alone)));
        assert!(matches!(flights.join(KEY, Millis(3), always), Role::Lead(_)), "the flight is over");
    }

    #[test]
    fn another_credential_never_joins() {
        let flights = Flights::default();
        let _first = flights.join(KEY, Millis(1), always);
        let other = (KEY.0, LocalFingerprint([3; 32]));
        assert!(matches!(flights.join(other, Millis(1), always), Role::Lead(_)));
    }

    #[test]
    fn of_the_flights_of_a_key_all_others_may_wait_for_the_first_and_it_for_none() {
        let flights = Flights::default();
        // All in one millisecond.
        let lead = |key: u8, credential: u8| {
            let key = (CacheKey([key; 32]), LocalFingerprint([credential; 32]));
            match flights.join(key, Millis(10), always) {
                Role::Lead(pilot) => pilot,
                Role::Follow(_) => panic!("nobody else has that credential"),
            }
        };
        let (other, first, second, third) = (lead(2, 1), lead(1, 9), lead(1, 3), lead(1, 1));
        let key = CacheKey([1; 32]);
        assert!(first.first_of_key(&key).is_none());
        assert!(other.first_of_key(&CacheKey([2; 32])).is_none());
        for pilot in [&second, &third] {
            let ahead = pilot.first_of_key(&key).expect("one began first");
            assert!(ahead.same_channel(&first.outcome.subscribe()));
        }
        drop(first);
        assert!(second.first_of_key(&key).is_none(), "now it is the first");
        assert!(third.first_of_key(&key).is_some());
    }

    #[test]
    fn a_flight_from_before_a_write_is_not_joined_and_its_end_leaves_the_new_one_alone() {
        let flights = Flights::default();
        let Role::Lead(old) = flights.join(KEY, Millis(1), always) else { panic!("the first leads") };
        let after_write = |started: Millis| started > Millis(5);
        let Role::Lead(_new) = flights.join(KEY, Millis(6), after_write) else {
            panic!("the old one started too early")
        };
        drop(old);
        assert!(matches!(flights.join(KEY, Millis(7), after_write), Role::Follow(_)));
    }
}
