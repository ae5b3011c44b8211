//! An answer's body on its way down: read only as fast as it is asked for, given up when the host falls silent.

use crate::error::BodyError;
use crate::gate::Place;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// One among the host's requests in flight, and one among the credential's.
type Places = (OwnedSemaphorePermit, Place);

/// An answer's body. Holds its places among the requests in flight until it ends or is dropped.
pub(crate) struct Download {
    /// `None` once it has ended, well or badly.
    open: Option<Open>,
    host: String,
    idle_timeout: Duration,
}

struct Open {
    incoming: Incoming,
    silence: Silence,
    _places: Places,
}

/// The time the host has been silent while it was asked. A reader that doesn't ask makes no silence.
#[derive(Default)]
struct Silence {
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Silence {
    fn poll_too_long(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let until = Instant::now() + timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if !self.running {
            sleep.as_mut().reset(until);
            self.running = true;
        }
        sleep.as_mut().poll(cx)
    }
}

impl Download {
    pub(crate) fn new(incoming: Incoming, host: &str, idle_timeout: Duration, places: Places) -> Self {
        let open = Open { incoming, silence: Silence::default(), _places: places };
        let open = (!open.incoming.is_end_stream()).then_some(open);
        Download { open, host: host.to_owned(), idle_timeout }
    }

    /// Ends the body and frees its place.
    fn end(&mut self, last: Option<BodyError>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.open = None;
        Poll::Ready(last.map(Err))
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let idle_timeout = self.idle_timeout;
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        // What has arrived is taken before the time is looked at: a slow reader must not find its data expired.
        match Pin::new(&mut open.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                open.silence.running = false;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => self.end(None),
            Poll::Ready(Some(Err(source))) => {
                let host = self.host.clone();
                self.end(Some(BodyError::Cut { host, source }))
            }
            Poll::Pending => match open.silence.poll_too_long(idle_timeout, cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => {
                    let host = self.host.clone();
                    self.end(Some(BodyError::Stalled { host, after: idle_timeout }))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |open| open.incoming.size_hint())
    }
}
