//! Anti-entropy: this node compares what it holds with members, and takes what it lacks.
//!
//! When and with whom is `fleet`'s decision ([`Schedule`]); which items a node lacks follows from the sums that both send
//! ([`ghmesh_fleet::sync`]). Here the store is read for that (`stock`), members are answered (`give`), and what they have is
//! fetched and admitted (`take`). Nothing of it is in anybody's way: a node that is busy puts it off, on both sides.

mod give;
mod stock;
mod take;

use crate::node::Inner;
use ghmesh_fleet::sync::{Compare, Rate, RoundEnd, Schedule, SyncInput, Useless};
use ghmesh_model::MemberId;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

pub(crate) use stock::Shelf;

/// Comings and goings that wait for the task, which never waits itself. When full, a newcomer is compared with by chance only.
const INPUTS: usize = 1024;

/// Records and bytes a second that a node takes: a hot set of 2,000 answers of 4 KiB is there in two seconds, at the price of a fifth
/// of a core (opening, verifying, storing: about 0.2 ms a record).
const TAKEN_RECORDS: u64 = 1000;
const TAKEN_BYTES: u64 = 8 << 20;

/// Records and bytes a second that a node gives to all members together: two that join at once get what one can take.
const GIVEN_RECORDS: u64 = 2 * TAKEN_RECORDS;
const GIVEN_BYTES: u64 = 2 * TAKEN_BYTES;

/// Members that are answered at once; others are told to come again.
const SERVING: usize = 4;

/// Reads that are under way on a busy node: with so many callers waiting for an answer, comparing can wait.
const BUSY_FLIGHTS: usize = 64;

/// What a node keeps of its comparing.
pub(crate) struct Syncing {
    inputs: mpsc::Sender<SyncInput>,
    shelf: Shelf,
    given: Allowance,
    taken: Allowance,
    useless: Mutex<Useless>,
    serving: Semaphore,
}

/// How much may be sent or received.
pub(crate) struct Allowance(Mutex<(Rate, Rate)>);

impl Allowance {
    fn new(records: u64, bytes: u64) -> Self {
        Allowance(Mutex::new((Rate::new(records), Rate::new(bytes))))
    }

    /// How long it is until there is something left.
    fn wait(&self, now: ghmesh_model::Millis) -> Duration {
        let (records, bytes) = *self.lock();
        records.wait(now).max(bytes.wait(now))
    }

    fn spend(&self, records: u64, bytes: u64, now: ghmesh_model::Millis) {
        let (of_records, of_bytes) = &mut *self.lock();
        of_records.spend(records, now);
        of_bytes.spend(bytes, now);
    }

    fn lock(&self) -> MutexGuard<'_, (Rate, Rate)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Syncing {
    /// What is kept, and what [`Syncing::start`] reads.
    pub(crate) fn new() -> (Self, mpsc::Receiver<SyncInput>) {
        let (inputs, inbox) = mpsc::channel(INPUTS);
        let syncing = Syncing {
            inputs,
            shelf: Shelf::default(),
            given: Allowance::new(GIVEN_RECORDS, GIVEN_BYTES),
            taken: Allowance::new(TAKEN_RECORDS, TAKEN_BYTES),
            useless: Mutex::default(),
            serving: Semaphore::new(SERVING),
        };
        (syncing, inbox)
    }

    /// Starts the task that compares. It ends with the node.
    pub(crate) fn start(node: Weak<Inner>, inbox: mpsc::Receiver<SyncInput>) {
        tokio::spawn(Task { node, schedule: Schedule::default(), rounds: JoinSet::new() }.run(inbox));
    }

    /// Passes on who comes and goes.
    pub(crate) fn tell(&self, input: SyncInput) {
        let _ = self.inputs.try_send(input);
    }

    fn useless(&self) -> MutexGuard<'_, Useless> {
        self.useless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether callers wait for so much that comparing is to wait, too.
    fn is_busy(&self) -> bool {
        self.flights.under_way() >= BUSY_FLIGHTS
    }
}

struct Task {
    node: Weak<Inner>,
    schedule: Schedule,
    /// One at most.
    rounds: JoinSet<(MemberId, RoundEnd)>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<SyncInput>) {
        loop {
            let Some(node) = self.node.upgrade() else { return };
            let (clock, deadline) = (node.clock, self.schedule.next_deadline());
            drop(node);
            let input = tokio::select! {
                input = inbox.recv() => match input {
                    Some(input) => input,
                    None => return,
                },
                Some(ended) = self.rounds.join_next() => match ended {
                    Ok((member, end)) => SyncInput::Ended(member, end),
                    // It panicked, which the runtime has told.
                    Err(_) => SyncInput::Failed,
                },
                () = clock.sleep_until(deadline) => SyncInput::Tick,
            };
            let mut rounds = Vec::new();
            self.schedule.handle(input, clock.now(), rand::random(), &mut rounds);
            rounds.into_iter().for_each(|round| self.compare(round));
        }
    }

    fn compare(&mut self, Compare(member): Compare) {
        let node = self.node.clone();
        self.rounds.spawn(async move {
            let end = match node.upgrade() {
                Some(node) => node.round(member).await,
                None => RoundEnd::Postponed,
            };
            (member, end)
        });
    }
}

#[cfg(test)]
mod tests;
