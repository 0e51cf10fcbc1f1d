//! `ObservedBody`: forwards an HTTP body and passes its bytes to an observer.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::gateway::{StreamReport, UsageTap};
use crate::report::named;

pin_project! {
    /// A body that forwards the frames of another body and passes their bytes to an observer.
    ///
    /// Its frames, their memory, errors, the size hint and the end are those of the inner body. The
    /// observer receives the end exactly once, even if the body fails, or is dropped before its end
    /// because the client has left.
    ///
    /// ```
    /// use deltawire::adapters::{BodyEnd, ObservedBody};
    /// use http_body::Body;
    /// use bytes::Bytes;
    ///
    /// fn watched<B: Body<Data = Bytes>>(upstream: B) -> impl Body<Data = Bytes, Error = B::Error> {
    ///     ObservedBody::tap(upstream, |seen, end| {
    ///         // metrics.record(seen.outcome.as_str(), seen.tokens)
    ///         let client_left = end == BodyEnd::Dropped;
    ///     })
    /// }
    /// ```
    ///
    /// [`tap`](Self::tap) observes with a [`UsageTap`]. Implement [`BodyObserver`] to receive each
    /// piece while the stream runs, for example for the time to first token. A closure with a
    /// [`BodyStep`] argument is such an observer.
    pub struct ObservedBody<B: Body, O: BodyObserver> {
        #[pin]
        inner: B,
        observer: O,
        state: State,
    }

    impl<B: Body, O: BodyObserver> PinnedDrop for ObservedBody<B, O> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let end = match this.state {
                State::Running if !this.inner.is_end_stream() => BodyEnd::Dropped,
                State::Running | State::Trailers => BodyEnd::Complete,
                State::EndReported | State::Finished => return,
            };
            this.observer.end(end);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Only the end can follow.
    Trailers,
    /// The observer has received the end.
    EndReported,
    /// The reader has received the end, too.
    Finished,
}

/// How a body ended; see [`BodyObserver::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyEnd {
    /// The body was read to its end.
    Complete,
    /// The body returned an error.
    Failed,
    /// The body was dropped before its end: the client has left, or a timeout has elapsed.
    Dropped,
}

impl BodyEnd {
    /// Returns the name of the end, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

named!(BodyEnd);

/// Receives the bytes of a forwarded body.
pub trait BodyObserver {
    /// Receives the next piece, before it is forwarded.
    fn data(&mut self, piece: &[u8]);

    /// Receives the end.
    ///
    /// This is the last call, and the only one of this method. It may occur while the body is being
    /// dropped.
    fn end(&mut self, end: BodyEnd);
}

/// The argument of a closure that is a [`BodyObserver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyStep<'p> {
    /// The next piece, before it is forwarded.
    Data(&'p [u8]),
    /// The end of the body.
    End(BodyEnd),
}

impl<F: FnMut(BodyStep<'_>)> BodyObserver for F {
    fn data(&mut self, piece: &[u8]) {
        self(BodyStep::Data(piece));
    }

    fn end(&mut self, end: BodyEnd) {
        self(BodyStep::End(end));
    }
}

/// A [`UsageTap`], and the function that receives its findings; see [`ObservedBody::tap`].
pub struct TapThen<F> {
    tap: UsageTap,
    then: Option<F>,
}

impl<F: FnOnce(StreamReport, BodyEnd)> BodyObserver for TapThen<F> {
    fn data(&mut self, piece: &[u8]) {
        self.tap.push(piece);
    }

    fn end(&mut self, end: BodyEnd) {
        if let Some(then) = self.then.take() {
            then(self.tap.finish(), end);
        }
    }
}

impl<F> fmt::Debug for TapThen<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapThen").field("tap", &self.tap).finish_non_exhaustive()
    }
}

impl<B: Body, F: FnOnce(StreamReport, BodyEnd)> ObservedBody<B, TapThen<F>> {
    /// Observes with a [`UsageTap`], and calls `then` with its findings at the end.
    ///
    /// The tap has the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn tap(inner: B, then: F) -> Self {
        Self::with_tap(inner, UsageTap::new(), then)
    }

    /// Observes like [`tap`](Self::tap), with a tap that has other limits.
    #[must_use]
    pub fn with_tap(inner: B, tap: UsageTap, then: F) -> Self {
        Self::new(inner, TapThen { tap, then: Some(then) })
    }
}

impl<B: Body, O: BodyObserver> ObservedBody<B, O> {
    /// Creates a body that passes the bytes of `inner` to an observer.
    #[must_use]
    pub const fn new(inner: B, observer: O) -> Self {
        Self { inner, observer, state: State::Running }
    }

    /// Returns the inner body.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    /// Returns the observer.
    #[must_use]
    pub const fn observer(&self) -> &O {
        &self.observer
    }
}

impl<B: Body<Data = Bytes>, O: BodyObserver> Body for ObservedBody<B, O> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if *this.state == State::Finished {
            return Poll::Ready(None);
        }
        let frame = ready!(this.inner.as_mut().poll_frame(context));
        let is_reported = *this.state == State::EndReported;
        let end = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && !is_reported
                {
                    this.observer.data(data);
                }
                if frame.is_trailers() && !is_reported {
                    *this.state = State::Trailers;
                }
                // A reader that checks `is_end_stream` polls no further.
                this.inner.is_end_stream().then_some(BodyEnd::Complete)
            }
            Some(Err(_)) => Some(BodyEnd::Failed),
            None => Some(BodyEnd::Complete),
        };
        if let Some(end) = end
            && !is_reported
        {
            *this.state = State::EndReported;
            this.observer.end(end);
        }
        if frame.is_none() {
            *this.state = State::Finished;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Finished || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body + fmt::Debug, O: BodyObserver> fmt::Debug for ObservedBody<B, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody")
            .field("inner", &self.inner)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
