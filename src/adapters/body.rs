//! `ObservedBody`: an HTTP body that is observed while it is forwarded.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::gateway::{Observed, UsageTap};

pin_project! {
    /// A body that passes on the frames of another one as they are, trailers too, and shows their
    /// bytes to an observer.
    ///
    /// Nothing of the body changes for whoever reads it: frames, their memory, errors, the size hint
    /// and whether it is at its end are those of the inner one. The observer is told of the end
    /// exactly once, also where the body fails, or is dropped in the middle since the client has
    /// gone.
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
    /// [`tap`](Self::tap) watches by a [`UsageTap`]. For the time to first token, or whatever else
    /// has to be known while the stream runs, a [`BodyObserver`] of one's own sees each piece; any
    /// closure that takes a [`BodyStep`] is one.
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
    /// Nothing but the end can come.
    Trailers,
    /// The observer knows the end.
    EndReported,
    /// So does the reader.
    Finished,
}

/// How a body ended; see [`BodyObserver::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyEnd {
    /// It was read to its end.
    Complete,
    /// It failed: an error came from it.
    Failed,
    /// It was dropped before its end: the client has gone, or a time was over.
    Dropped,
}

/// What looks at the bytes of a body on their way.
pub trait BodyObserver {
    /// Looks at the next piece, before it is passed on.
    fn data(&mut self, piece: &[u8]);

    /// Takes note of the end. It is called once, and nothing behind it; perhaps while the body is
    /// being dropped.
    fn end(&mut self, end: BodyEnd);
}

/// What a closure is told that is a [`BodyObserver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyStep<'p> {
    /// The next piece, before it is passed on.
    Data(&'p [u8]),
    /// The end.
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

/// A [`UsageTap`], and what is done with that which it has seen; see [`ObservedBody::tap`].
pub struct TapThen<F> {
    tap: UsageTap,
    then: Option<F>,
}

impl<F: FnOnce(Observed, BodyEnd)> BodyObserver for TapThen<F> {
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

impl<B: Body, F: FnOnce(Observed, BodyEnd)> ObservedBody<B, TapThen<F>> {
    /// Watches by a [`UsageTap`] with the default [`Limits`](crate::Limits), and calls `then` at the
    /// end with what it has seen.
    #[must_use]
    pub fn tap(inner: B, then: F) -> Self {
        Self::with_tap(inner, UsageTap::new(), then)
    }

    /// Watches by a tap that has limits of its own.
    #[must_use]
    pub fn with_tap(inner: B, tap: UsageTap, then: F) -> Self {
        Self::new(inner, TapThen { tap, then: Some(then) })
    }
}

impl<B: Body, O: BodyObserver> ObservedBody<B, O> {
    /// Shows the body's bytes to an observer.
    #[must_use]
    pub const fn new(inner: B, observer: O) -> Self {
        Self { inner, observer, state: State::Running }
    }

    /// The inner body.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    /// The observer.
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
        let is_told = *this.state == State::EndReported;
        let end = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && !is_told
                {
                    this.observer.data(data);
                }
                if frame.is_trailers() && !is_told {
                    *this.state = State::Trailers;
                }
                // Who sees that here reads no further.
                this.inner.is_end_stream().then_some(BodyEnd::Complete)
            }
            Some(Err(_)) => Some(BodyEnd::Failed),
            None => Some(BodyEnd::Complete),
        };
        if let Some(end) = end
            && !is_told
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
