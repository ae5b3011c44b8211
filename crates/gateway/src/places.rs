//! The places of one door: how many connections it has at once, and which of them leaves for a newcomer.
//!
//! A connection that waits for its client, be it for a whole head or for another request, keeps nothing but its place. While all
//! places are taken, a newcomer gets that of whoever has waited longest. A connection whose request is being answered stays;
//! where that is true of all, the newcomer waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A request is being answered.
const ANSWERING: u64 = 0;
/// The answer is complete, but not all of it has left.
const ANSWERED: u64 = 1;
/// The first turn. A state from here on says since when the connection waits for its client: the lower, the longer.
const FIRST_TURN: u64 = 2;
/// It was asked to leave for a newcomer.
const LEAVING: u64 = u64::MAX - 1;
/// It is closed.
const GONE: u64 = u64::MAX;

/// All places of one door. Only the door itself has this.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    seats: Vec<Arc<Seat>>,
    shared: Arc<Shared>,
}

/// What the door and its connections share.
#[derive(Debug)]
struct Shared {
    turns: AtomicU64,
    /// A newcomer waits for a place.
    sought: AtomicBool,
    /// Something changed that may give the newcomer a place.
    changed: Notify,
    closing: AtomicBool,
}

/// One connection's place, as the connection sees it.
#[derive(Debug)]
pub(crate) struct Seat {
    state: AtomicU64,
    /// Requests that are being answered: several at once over HTTP/2.
    answers: AtomicU64,
    called: Notify,
    shared: Arc<Shared>,
}

/// Holds a place until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Seat>);

/// What a door wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// End now: nothing is being answered.
    Leave,
    /// End after the answer that is under way: the server stops.
    Finish,
}

impl Places {
    /// `most` is at least 1.
    pub(crate) fn new(most: usize) -> Self {
        let shared = Shared {
            turns: AtomicU64::new(FIRST_TURN),
            sought: AtomicBool::new(false),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
        };
        Places { most, seats: Vec::new(), shared: Arc::new(shared) }
    }

    /// A place for a newcomer, as soon as there is one.
    pub(crate) async fn take(&mut self) -> Place {
        loop {
            if let Some(place) = self.free() {
                self.shared.sought.store(false, Ordering::SeqCst);
                return place;
            }
            // First this, then a look at who waits: whoever begins to wait after that look tells of it.
            self.shared.sought.store(true, Ordering::SeqCst);
            self.ask_to_leave();
            self.shared.changed.notified().await;
        }
    }

    /// Asks every connection to finish.
    pub(crate) fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.seats.iter().for_each(|seat| seat.called.notify_one());
    }

    fn free(&mut self) -> Option<Place> {
        if self.seats.len() >= self.most {
            self.seats.retain(|seat| seat.state() != GONE);
        }
        if self.seats.len() >= self.most {
            return None;
        }
        let shared = self.shared.clone();
        let (state, answers) = (AtomicU64::new(shared.turn()), AtomicU64::new(0));
        let seat = Arc::new(Seat { state, answers, called: Notify::new(), shared });
        self.seats.push(seat.clone());
        Some(Place(seat))
    }

    /// Asks the one that has waited longest, unless somebody is leaving already.
    fn ask_to_leave(&self) {
        if self.seats.iter().any(|seat| matches!(seat.state(), LEAVING | GONE)) {
            return;
        }
        let waiting = self.seats.iter().filter(|seat| seat.state() >= FIRST_TURN);
        if let Some(longest) = waiting.min_by_key(|seat| seat.state()) {
            longest.ask_to_leave();
        }
    }
}

impl Shared {
    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn tell(&self) {
        if self.sought.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Seat>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl Seat {
    /// A request has come whole.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        self.answers.fetch_add(1, Ordering::SeqCst);
        if self.state.swap(ANSWERING, Ordering::SeqCst) == LEAVING {
            // It stays after all: another must be asked.
            self.shared.tell();
        }
        Answering(self.clone())
    }

    /// An answer is complete, or not wanted any more.
    fn answered(&self) {
        if self.answers.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        self.state.store(ANSWERED, Ordering::SeqCst);
        // Another request may have come between the two.
        if self.answers.load(Ordering::SeqCst) > 0 {
            self.state.store(ANSWERING, Ordering::SeqCst);
        }
    }

    /// Everything that was written has left.
    pub(crate) fn flushed(&self) {
        if self.state() == ANSWERED {
            self.state.store(self.shared.turn(), Ordering::SeqCst);
            self.shared.tell();
        }
    }

    /// A place of no door.
    #[cfg(test)]
    pub(crate) fn alone() -> Arc<Seat> {
        let mut places = Places::new(1);
        places.free().expect("there is room").0.clone()
    }

    fn state(&self) -> u64 {
        self.state.load(Ordering::SeqCst)
    }

    fn ask_to_leave(&self) {
        let state = self.state();
        let is_waiting = (FIRST_TURN..LEAVING).contains(&state);
        if is_waiting && self.state.compare_exchange(state, LEAVING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.called.notify_one();
        } else {
            self.shared.tell();
        }
    }
}

impl Place {
    /// The place, for those who tell what the connection does.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.0
    }

    /// Waits for a call from the door.
    pub(crate) async fn called(&self) -> Call {
        loop {
            self.0.called.notified().await;
            if self.0.state() == LEAVING {
                return Call::Leave;
            }
            if self.0.shared.closing.load(Ordering::SeqCst) {
                return Call::Finish;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state.store(GONE, Ordering::SeqCst);
        self.0.shared.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    /// What a future gives without waiting.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    async fn filled(most: usize) -> (Places, Vec<Place>) {
        let mut places = Places::new(most);
        let mut taken = Vec::new();
        for _ in 0..most {
            taken.push(at_once(places.take()).await.expect("there is room"));
        }
        (places, taken)
    }

    #[tokio::test]
    async fn who_has_waited_longest_leaves() {
        let (mut places, mut taken) = filled(3).await;
        let first = taken[0].seat();
        drop(first.answering());
        first.flushed();
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(taken[1].called()).await, Some(Call::Leave));
        assert_eq!((at_once(taken[0].called()).await, at_once(taken[2].called()).await), (None, None));
        assert!(at_once(places.take()).await.is_none(), "one is leaving already, nobody else is asked");
        assert_eq!((at_once(taken[0].called()).await, at_once(taken[2].called()).await), (None, None));
        drop(taken.remove(1));
        assert!(at_once(places.take()).await.is_some());
    }

    #[tokio::test]
    async fn an_answer_under_way_is_not_ended_before_it_has_left() {
        let (mut places, taken) = filled(1).await;
        let (place, seat) = (&taken[0], taken[0].seat());
        let answering = seat.answering();
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(place.called()).await, None, "answering");
        seat.flushed();
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(place.called()).await, None, "a part has left");
        drop(answering);
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(place.called()).await, None, "the last part has not left");
        let mut newcomer = Box::pin(places.take());
        assert!(at_once(&mut newcomer).await.is_none());
        seat.flushed();
        assert!(at_once(&mut newcomer).await.is_none());
        assert_eq!(at_once(place.called()).await, Some(Call::Leave));
        drop(taken);
        assert!(at_once(&mut newcomer).await.is_some());
    }

    #[tokio::test]
    async fn a_connection_with_several_answers_waits_when_the_last_has_left() {
        let (mut places, taken) = filled(1).await;
        let (place, seat) = (&taken[0], taken[0].seat());
        let (one, two) = (seat.answering(), seat.answering());
        drop(one);
        seat.flushed();
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(place.called()).await, None, "one is still being answered");
        drop(two);
        seat.flushed();
        assert!(at_once(places.take()).await.is_none());
        assert_eq!(at_once(place.called()).await, Some(Call::Leave));
    }

    #[tokio::test]
    async fn whose_request_comes_while_leaving_stays_and_the_next_is_asked() {
        let (mut places, taken) = filled(2).await;
        let mut newcomer = Box::pin(places.take());
        assert!(at_once(&mut newcomer).await.is_none());
        let _answering = taken[0].seat().answering();
        assert!(at_once(&mut newcomer).await.is_none());
        assert_eq!(at_once(taken[0].called()).await, None);
        assert_eq!(at_once(taken[1].called()).await, Some(Call::Leave));
    }

    #[tokio::test]
    async fn all_are_called_when_the_door_closes() {
        let (places, taken) = filled(2).await;
        let _answering = taken[0].seat().answering();
        places.close();
        for place in &taken {
            assert_eq!(at_once(place.called()).await, Some(Call::Finish));
        }
    }
}
