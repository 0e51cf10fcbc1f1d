//! Time limits for the upstream's body.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use deltawire::gateway::{SniffResult, Sniffer};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::BoxError;

/// The upstream's body, with a limit for its silence and one for its total time.
pub(crate) struct Idle {
    inner: Incoming,
    most: Duration,
    /// Deadline of the whole body.
    over: Instant,
    sleep: Pin<Box<Sleep>>,
    /// Frames that [`sniff`](Self::sniff) has read, and that are still to be passed on.
    ahead: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

impl Idle {
    pub(crate) fn new(inner: Incoming, most: Duration, over: Instant) -> Self {
        let sleep = Box::pin(sleep_until(over.min(Instant::now() + most)));
        Self { inner, most, over, sleep, ahead: VecDeque::new() }
    }

    /// Reads the first bytes, and returns the kind of body that they indicate.
    pub(crate) async fn sniff(&mut self) -> SniffResult {
        let (mut sniffer, mut ahead) = (Sniffer::new(), VecDeque::new());
        let found = loop {
            let Some(frame) = self.frame().await else { break sniffer.finish() };
            let found = match frame.as_ref().map(Frame::data_ref) {
                Ok(Some(piece)) => sniffer.push(piece),
                _ => Some(sniffer.finish()),
            };
            ahead.push_back(frame);
            if let Some(found) = found {
                break found;
            }
        };
        self.ahead = ahead;
        found
    }
}

impl Body for Idle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { inner, most, over, sleep, ahead } = &mut *self;
        if let Some(frame) = ahead.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            let now = Instant::now();
            if now >= *over && frame.is_some() {
                return Poll::Ready(Some(Err("the answer takes too long".into())));
            }
            sleep.as_mut().reset((*over).min(now + *most));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Some(Err("the upstream says nothing, or takes too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let pieces = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        let ahead = pieces.map(|piece| piece.len() as u64).sum::<u64>();
        let rest = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}

/// A body whose failure waits until hyper has written the bytes before it.
///
/// hyper closes the connection at an error, and drops all bytes that it hasn't written yet.
pub(crate) struct Flushed<B: Body> {
    inner: B,
    failure: Option<B::Error>,
}

impl<B: Body> Flushed<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, failure: None }
    }
}

impl<B: Body<Error: Unpin> + Unpin> Body for Flushed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Err(failure)) => {
                self.failure = Some(failure);
                // Without a frame hyper writes its buffer, and the wake makes it poll again.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
