//! The request's body on its way up, and who is to blame when it stops moving.

use crate::body::{Body, BoxError};
use crate::error::Phase;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// Marks an error as the caller's, so that it is found beneath the client library's.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct UploadError(BoxError);

/// Whose turn it is, and since when.
#[derive(Clone, Copy, Debug)]
struct Turn {
    phase: Phase,
    since: Instant,
}

/// Watches one request's body from outside.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<Turn>>);

impl Progress {
    fn new(phase: Phase) -> Self {
        Progress(Arc::new(Mutex::new(Turn { phase, since: Instant::now() })))
    }

    /// What is waited for, and since when.
    pub(crate) fn turn(&self) -> (Phase, Instant) {
        let turn = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (turn.phase, turn.since)
    }

    fn moved(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Turn { phase, since: Instant::now() };
    }

    /// The caller has nothing ready: its turn, since it was last asked in vain.
    fn starved(&self) {
        if self.turn().0 != Phase::RequestBody {
            self.moved(Phase::RequestBody);
        }
    }
}

/// How long each turn of an upload may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For either side to move the body.
    pub(crate) idle: Duration,
    /// For the answer's head once the body is up.
    pub(crate) head: Duration,
}

impl Patience {
    /// When the present turn has taken too long.
    pub(crate) fn deadline(self, progress: &Progress) -> Instant {
        let (phase, since) = progress.turn();
        since + if phase == Phase::Head { self.head } else { self.idle }
    }
}

/// A request's body that tells how it gets on.
pub(crate) struct Upload {
    inner: Body,
    progress: Progress,
}

impl Upload {
    pub(crate) fn new(inner: Body) -> (Upload, Progress) {
        let progress = Progress::new(if inner.is_end_stream() { Phase::Head } else { Phase::Upload });
        (Upload { inner, progress: progress.clone() }, progress)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_pending() {
            self.progress.starved();
        }
        let frame = ready!(polled);
        let ended = frame.is_none() || self.inner.is_end_stream();
        self.progress.moved(if ended { Phase::Head } else { Phase::Upload });
        Poll::Ready(frame.map(|frame| frame.map_err(UploadError)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
