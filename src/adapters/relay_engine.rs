//! `RelayEngine`: the states of a relayed stream, shared by the adapters for bodies and streams.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::relay_error::RelayError;
use crate::gateway::{Relay, RelayEnd, RelayOutcome, RelayReport};

/// Capacity of the queue that an engine retains once the queue is empty.
const KEPT_CAPACITY: usize = 32;

/// The result of polling an upstream.
pub(super) enum Upstream<E> {
    Piece {
        bytes: Bytes,
        /// True if the upstream has no further piece.
        is_last: bool,
    },
    End,
    Failed(E),
}

/// A relay, its bytes for the client, and the receiver of its report.
///
/// `then` receives the report once: when the last bytes are returned, or in `drop`.
pub(super) struct RelayEngine<E, F: FnOnce(RelayReport)> {
    relay: Relay,
    start: Instant,
    /// The upstream is polled only while this is empty.
    waiting: VecDeque<Bytes>,
    writing: Writing<E>,
    /// `Some` only while bytes wait behind the relay's end.
    report: Option<Box<RelayReport>>,
    then: Option<F>,
}

/// The state of the response, by the names of hyper's connections.
enum Writing<E> {
    /// The upstream is open.
    Body,
    /// Waiting bytes are returned, and then the server writes its buffer.
    Flush(RelayError<E>),
    /// The server has written its buffer: only the error follows.
    Failed(RelayError<E>),
    /// Only waiting bytes follow.
    Closed,
}

impl<E> Writing<E> {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Flush(_) => "flush",
            Self::Failed(_) => "failed",
            Self::Closed => "closed",
        }
    }
}

impl<E, F: FnOnce(RelayReport)> RelayEngine<E, F> {
    pub(super) fn new(relay: Relay, then: F) -> Self {
        Self {
            relay,
            start: Instant::now(),
            waiting: VecDeque::new(),
            writing: Writing::Body,
            report: None,
            then: Some(then),
        }
    }

    /// Sets the time of the request.
    pub(super) const fn set_start(&mut self, start: Instant) {
        self.start = start;
    }

    pub(super) const fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Returns the next bytes, or the end. Drops the upstream at its end, or at that of the relay.
    pub(super) fn poll<S>(
        &mut self,
        mut upstream: Pin<&mut Option<S>>,
        context: &mut Context<'_>,
        mut read: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<Upstream<E>>,
    ) -> Poll<Option<Result<Bytes, RelayError<E>>>> {
        loop {
            if let Some(bytes) = self.pop() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if !self.is_reading() {
                return self.poll_end(context);
            }
            let Some(open) = upstream.as_mut().as_pin_mut() else {
                debug_assert!(false, "an engine that reads has an upstream");
                self.finish(RelayEnd::Upstream, None);
                continue;
            };
            match ready!(read(open, context)) {
                Upstream::Piece { bytes, is_last } => {
                    self.push(&bytes);
                    if is_last {
                        self.end(RelayEnd::Upstream);
                    }
                }
                Upstream::End => self.end(RelayEnd::Upstream),
                Upstream::Failed(error) => self.finish(RelayEnd::UpstreamFailed, Some(error)),
            }
            if !self.is_reading() {
                upstream.set(None);
            }
        }
    }

    /// Ends the relay, unless it has ended.
    pub(super) fn end(&mut self, end: RelayEnd) {
        if self.is_reading() {
            self.finish(end, None);
        }
    }

    /// Returns true if no bytes and no error follow.
    pub(super) fn is_end(&self) -> bool {
        self.waiting.is_empty() && matches!(self.writing, Writing::Closed)
    }

    /// Returns the bytes that wait, and true if only they follow.
    pub(super) const fn waiting(&self) -> (&VecDeque<Bytes>, bool) {
        (&self.waiting, matches!(self.writing, Writing::Closed))
    }

    const fn is_reading(&self) -> bool {
        matches!(self.writing, Writing::Body)
    }

    fn push(&mut self, piece: &Bytes) {
        let flow = self.relay.push_bytes(piece, self.start.elapsed(), &mut self.waiting);
        if !flow.is_open() {
            self.finish(RelayEnd::Stopped, None);
        }
    }

    fn finish(&mut self, end: RelayEnd, error: Option<E>) {
        debug_assert!(self.is_reading(), "a relay ends once");
        let mut last = Vec::new();
        let report = self.relay.finish(end, self.start.elapsed(), &mut last);
        if !last.is_empty() {
            self.waiting.push_back(last.into());
        }
        self.writing = match error {
            Some(error) if report.outcome != RelayOutcome::Complete => {
                Writing::Flush(RelayError::Upstream(error))
            }
            _ if report.must_abort => Writing::Flush(RelayError::Aborted(report.outcome.clone())),
            _ => Writing::Closed,
        };
        if self.waiting.is_empty() {
            self.hand_over(report);
        } else {
            self.report = Some(Box::new(report));
        }
    }

    /// Returns the first of the waiting bytes. The last ones of a stream hand over the report.
    fn pop(&mut self) -> Option<Bytes> {
        let bytes = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            if self.waiting.capacity() > KEPT_CAPACITY {
                self.waiting = VecDeque::new();
            }
            if let Some(report) = self.report.take() {
                self.hand_over(*report);
            }
        }
        Some(bytes)
    }

    /// Returns the error or the end, behind the last bytes.
    ///
    /// hyper closes the connection at an error, and drops the bytes that it hasn't written. It writes
    /// them while the body is pending.
    fn poll_end(&mut self, context: &Context<'_>) -> Poll<Option<Result<Bytes, RelayError<E>>>> {
        match core::mem::replace(&mut self.writing, Writing::Closed) {
            Writing::Flush(error) => {
                self.writing = Writing::Failed(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Writing::Failed(error) => Poll::Ready(Some(Err(error))),
            Writing::Body | Writing::Closed => Poll::Ready(None),
        }
    }

    fn hand_over(&mut self, report: RelayReport) {
        debug_assert!(self.then.is_some(), "a report is handed over once");
        if let Some(then) = self.then.take() {
            then(report);
        }
    }
}

impl<E, F: FnOnce(RelayReport)> Drop for RelayEngine<E, F> {
    fn drop(&mut self) {
        if self.is_reading() {
            let now = self.start.elapsed();
            let report = self.relay.finish(RelayEnd::ClientGone, now, &mut Vec::new());
            self.hand_over(report);
        } else if let Some(mut report) = self.report.take() {
            if matches!(report.outcome, RelayOutcome::Complete | RelayOutcome::Other) {
                // The client hasn't read the end.
                report.outcome = RelayOutcome::ClientGone;
            }
            self.hand_over(*report);
        }
    }
}

/// Shows no text.
impl<E, F: FnOnce(RelayReport)> fmt::Debug for RelayEngine<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayEngine")
            .field("relay", &self.relay)
            .field("waiting", &self.waiting.len())
            .field("writing", &self.writing.as_str())
            .finish_non_exhaustive()
    }
}
