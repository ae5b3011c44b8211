//! Patience with clients that stop reading: a connection that takes nothing at all for too long ends with a timeout. And word to
//! the connection's place when everything written has left.
//!
//! Costs nothing while bytes move: the timer is made at the first wait and thrown away with the next byte. How long a
//! request's head may take is hyper's business, and how long its body, the origin client's.

use crate::parser_errors::Substitute;
use crate::places::Seat;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

/// A timer that runs only while something is waited for.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Patience { limit, waiting: None }
    }

    /// Passes `outcome` on, or `stalled` once it has been pending for the limit.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<T>, stalled: impl FnOnce() -> T) -> Poll<T> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let limit = self.limit;
        ready!(self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx));
        Poll::Ready(stalled())
    }
}

/// A connection whose writes must make progress.
#[derive(Debug)]
pub(crate) struct PatientIo<T> {
    inner: TokioIo<T>,
    patience: Patience,
    substitute: Option<Substitute>,
    seat: Arc<Seat>,
}

impl<T> PatientIo<T> {
    pub(crate) fn new(stream: T, limit: Duration, seat: Arc<Seat>) -> Self {
        PatientIo { inner: TokioIo::new(stream), patience: Patience::new(limit), substitute: None, seat }
    }
}

impl<T: AsyncRead + Unpin> hyper::rt::Read for PatientIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for PatientIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.substitute.is_none() {
            this.substitute = Substitute::for_bare(bytes);
        }
        let outcome = match &mut this.substitute {
            Some(substitute) => substitute.poll(&mut this.inner, cx),
            None => Pin::new(&mut this.inner).poll_write(cx, bytes),
        };
        if outcome.is_ready() {
            this.substitute = None;
        }
        this.patience.watch(cx, outcome, || Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bytes {
            return self.poll_write(cx, only);
        }
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.patience.watch(cx, outcome, || Err(io::ErrorKind::TimedOut.into()))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.seat.flushed();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_writer_is_given_up_only_when_nothing_moves() {
        use tokio::io::AsyncReadExt;
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut io = PatientIo::new(ours, Duration::from_secs(10), Seat::alone());
        let mut write = async |bytes: &[u8]| {
            std::future::poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut io), cx, bytes)).await
        };
        assert_eq!(write(&[0; 1024]).await.unwrap(), 1024);
        let slow = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(9)).await;
            theirs.read_exact(&mut [0; 512]).await.unwrap();
            theirs
        });
        assert_eq!(write(&[0; 1024]).await.unwrap(), 512);
        let _theirs = slow.await.unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(write(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 10);
    }
}
