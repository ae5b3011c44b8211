//! The thread that writes: takes what is queued, commits it as one transaction, then answers all.

use crate::batch::{Batch, Bounds, Change};
use crate::error::StoreError;
use crate::memory::Effect;
use crate::rows::State;
use crate::store::Shared;
use redb::Durability;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Changes in one transaction: at 0.2 ms for a sync and some 10 µs for a change, waiting for more gains nothing.
const MAX_BATCH: usize = 256;
/// Bytes of bodies in one transaction; with more, those that wait behind it wait too long.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// After a failed write: how long others fail at once before the next try.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long a change that only had to be seen may wait for others to be synced with.
const SYNC_AFTER: Duration = Duration::from_millis(50);

/// When a change is said to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Every reader sees it. It is on disk soon after; a crash before that loses it.
    Seen,
    /// It is on disk.
    Durable,
}

/// What a handle sends.
pub(crate) struct Command {
    pub(crate) request: Request,
    pub(crate) promise: Promise,
    pub(crate) reply: oneshot::Sender<Result<(), StoreError>>,
    /// The queue's room that its bytes take.
    pub(crate) room: OwnedSemaphorePermit,
}

pub(crate) enum Request {
    Change(Change),
    Close,
}

/// What the writer does next.
enum Next {
    Command(Command),
    Sync,
    End,
}

impl Promise {
    fn durability(self) -> Durability {
        match self {
            Promise::Seen => Durability::None,
            Promise::Durable => Durability::Immediate,
        }
    }
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Request::Change(Change::Put { body: Some(body), .. }) => body.len(),
            Request::Change(_) | Request::Close => 0,
        }
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: mpsc::Receiver<Command>,
    pub(crate) state: State,
    /// Until when writes fail at once, and why.
    pub(crate) broken: Option<(Instant, Arc<redb::Error>)>,
    /// When changes that are seen but not on disk must be.
    pub(crate) sync_by: Option<Instant>,
}

type Reply = (oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>);

impl Writer {
    /// Runs until the store is closed or its last handle is dropped. `timer` runs on this thread alone.
    pub(crate) fn run(mut self, timer: &Runtime) {
        loop {
            match self.next(timer) {
                Next::Sync => self.sync(),
                Next::Command(first) => {
                    let commands = self.collect(first);
                    if self.handle(commands).is_break() {
                        return;
                    }
                }
                Next::End => return self.sync(),
            }
        }
    }

    fn next(&mut self, timer: &Runtime) -> Next {
        let received = match self.sync_by {
            None => self.queue.blocking_recv(),
            Some(by) => {
                let left = by.saturating_duration_since(Instant::now());
                match timer.block_on(async { tokio::time::timeout(left, self.queue.recv()).await }) {
                    Ok(received) => received,
                    Err(_elapsed) => return Next::Sync,
                }
            }
        };
        received.map_or(Next::End, Next::Command)
    }

    /// Brings to disk what is only seen yet.
    fn sync(&mut self) {
        if self.sync_by.is_some() {
            // Its failure has been logged, and memory forgot what the disk doesn't have.
            let _ = self.try_commit(&[Change::Mark], Promise::Durable);
            self.sync_by = None;
        }
    }

    fn collect(&mut self, first: Command) -> Vec<Command> {
        let mut bytes = first.request.bytes();
        let mut commands = vec![first];
        while commands.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Ok(next) = self.queue.try_recv() else { break };
            bytes += next.request.bytes();
            commands.push(next);
        }
        commands
    }

    fn handle(&mut self, commands: Vec<Command>) -> ControlFlow<()> {
        let mut closing = Vec::new();
        let mut changes = Vec::new();
        let mut room = Vec::new();
        // One that was due is not put off by others.
        let mut promise =
            if self.sync_by.is_some_and(|by| by <= Instant::now()) { Promise::Durable } else { Promise::Seen };
        for command in commands {
            room.push(command.room);
            if command.promise == Promise::Durable {
                promise = Promise::Durable;
            }
            match command.request {
                Request::Change(change) => changes.push((change, command.reply)),
                Request::Close => closing.push(command.reply),
            }
        }
        if !changes.is_empty() {
            self.write(changes, promise);
        }
        if closing.is_empty() { ControlFlow::Continue(()) } else { self.close(closing) }
    }

    /// Leaves a mark of the time, then lets the file and the directory go.
    fn close(&mut self, replies: Vec<oneshot::Sender<Result<(), StoreError>>>) -> ControlFlow<()> {
        let marked = self
            .commit(&[Change::Mark], Promise::Durable)
            .map(|_| ())
            .map_err(|error| StoreError::Write(Arc::new(error)));
        self.shared.database.close();
        self.shared.memory.clear();
        self.shared.lock.release();
        replies.into_iter().for_each(|reply| drop(reply.send(marked.clone())));
        ControlFlow::Break(())
    }

    fn write(&mut self, changes: Vec<(Change, oneshot::Sender<Result<(), StoreError>>)>, promise: Promise) {
        let (changes, replies): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let outcomes = self.try_commit(&changes, promise);
        // The bytes of bodies are given back before anybody is answered who might send more.
        drop(changes);
        let answers: Vec<Reply> = match outcomes {
            Ok(outcomes) => replies.into_iter().zip(outcomes).collect(),
            Err(error) => replies.into_iter().map(|reply| (reply, Err(StoreError::Write(error.clone())))).collect(),
        };
        // Who no longer waits needs no answer.
        answers.into_iter().for_each(|(reply, outcome)| drop(reply.send(outcome)));
    }

    fn try_commit(
        &mut self,
        changes: &[Change],
        promise: Promise,
    ) -> Result<Vec<Result<(), StoreError>>, Arc<redb::Error>> {
        if let Some((until, error)) = &self.broken {
            if Instant::now() < *until {
                return Err(error.clone());
            }
            self.reopen().map_err(|error| self.pause(error))?;
        }
        self.commit(changes, promise).map_err(|error| {
            tracing::error!(%error, "the cache could not be written");
            // What the failed commit left is known only from the file; memory may say otherwise. Readers need it open, too.
            let reopened = self.reopen();
            self.shared.memory.clear();
            self.pause(reopened.err().unwrap_or(error))
        })
    }

    /// Lets writes fail at once for a while: trying costs a reopening each time, and a disk stays full for longer.
    fn pause(&mut self, error: redb::Error) -> Arc<redb::Error> {
        let error = Arc::new(error);
        self.broken = Some((Instant::now() + RETRY_PAUSE, error.clone()));
        error
    }

    fn commit(&mut self, changes: &[Change], promise: Promise) -> Result<Vec<Result<(), StoreError>>, redb::Error> {
        let shared = &self.shared;
        let (outcomes, state, effects, entries) = shared.database.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(promise.durability()).expect("there are no savepoints");
            let bounds = Bounds { bytes: shared.config.max_bytes, entries: shared.config.max_entries };
            let mut batch = Batch::open(&transaction, &shared.key, bounds, self.state)?;
            let outcomes = changes.iter().map(|change| batch.apply(change)).collect::<Result<Vec<_>, _>>()?;
            let (state, effects, entries) = batch.finish(shared.memory.used(), (shared.clock)())?;
            transaction.commit()?;
            Ok((outcomes, state, effects, entries))
        })?;
        self.committed(state, effects, entries);
        self.sync_by = match promise {
            Promise::Seen => self.sync_by.or_else(|| Some(Instant::now() + SYNC_AFTER)),
            Promise::Durable => None,
        };
        Ok(outcomes)
    }

    fn committed(&mut self, state: State, effects: Vec<Effect>, entries: u64) {
        self.state = state;
        self.shared.memory.apply(effects);
        self.shared.bytes.store(state.bytes, Ordering::Relaxed);
        self.shared.entries.store(entries, Ordering::Relaxed);
    }

    fn reopen(&mut self) -> Result<(), redb::Error> {
        self.shared.database.reopen()?;
        self.state = self.shared.load_state()?;
        self.broken = None;
        Ok(())
    }
}
