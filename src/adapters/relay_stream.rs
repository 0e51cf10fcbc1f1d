//! `RelayStream`: a stream of bytes that relays an upstream's stream of pieces.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::{FusedStream, Stream, TryStream};
use pin_project_lite::pin_project;

use super::relay_engine::{RelayEngine, Upstream};
use super::relay_error::RelayError;
use crate::gateway::{Relay, RelayEnd, RelayReport};

pin_project! {
    /// A stream of bytes that passes an upstream's stream of pieces through a [`Relay`].
    ///
    /// The upstream is a [`Stream`] of `Result<impl Into<Bytes>, E>`, such as reqwest's
    /// `bytes_stream()`. The items are `Result<Bytes, RelayError<E>>`, as axum's `Body::from_stream`
    /// expects them. Bytes that the relay doesn't change are slices of the upstream's pieces. `then`
    /// receives the report exactly once, however the stream ends. It may be called while the stream is
    /// being dropped.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use deltawire::adapters::{RelayError, RelayStream};
    /// use deltawire::gateway::Relay;
    /// use futures_core::Stream;
    ///
    /// fn relayed<E>(
    ///     upstream: impl Stream<Item = Result<Bytes, E>>,
    /// ) -> impl Stream<Item = Result<Bytes, RelayError<E>>> {
    ///     RelayStream::new(upstream, Relay::builder().measure().build(), |report| {
    ///         // metrics.record(report.outcome.as_str(), report.stream.tokens)
    ///     })
    /// }
    /// ```
    ///
    /// | end | the stream returns | report |
    /// |---|---|---|
    /// | the upstream ends | the relay's last bytes, the end | [`RelayEnd::Upstream`] |
    /// | the upstream fails | an error event unless `[DONE]` was sent, then [`RelayError::Upstream`] | [`RelayEnd::UpstreamFailed`] |
    /// | the upstream fails behind a whole stream with its `[DONE]` | the end | complete |
    /// | the guard, the editor or [`stop`](Self::stop) ends the stream | an error event unless `[DONE]` was sent, then the end | [`RelayEnd::Stopped`] |
    /// | one of these inside of an event of which the client has a part | [`RelayError::Aborted`] or [`RelayError::Upstream`] | [`must_abort`](RelayReport::must_abort) |
    /// | the stream is dropped before its last bytes are read | nothing more | [`RelayEnd::ClientGone`] |
    ///
    /// A stream that is dropped behind `[DONE]`, before the upstream has ended, is reported as
    /// [`RelayEnd::ClientGone`]. It isn't known whether the client has read the last bytes.
    ///
    /// An error is the last item. The upstream is dropped as soon as the relay has ended. It is polled
    /// only if no bytes wait for the client, so the stream stores the relay and the bytes of one piece.
    /// It is pending once between its last bytes and an error, with a wake. So a server that drops its
    /// buffer at an error has written it before. The relay measures since the stream was created, or
    /// since the time in [`with_start`](Self::with_start).
    pub struct RelayStream<S: TryStream, F: FnOnce(RelayReport)> {
        // `None` once the relay has ended.
        #[pin]
        inner: Option<S>,
        engine: RelayEngine<S::Error, F>,
    }
}

impl<S: TryStream, F: FnOnce(RelayReport)> RelayStream<S, F> {
    /// Creates a stream that relays `inner`, and calls `then` with the report at the end.
    #[must_use]
    pub fn new(inner: S, relay: Relay, then: F) -> Self {
        Self { inner: Some(inner), engine: RelayEngine::new(relay, then) }
    }

    /// Sets the time of the request, from which the relay measures.
    #[must_use]
    pub fn with_start(mut self, start: Instant) -> Self {
        self.engine.set_start(start);
        self
    }

    /// Returns the relay, for the counts so far.
    #[must_use]
    pub const fn relay(&self) -> &Relay {
        self.engine.relay()
    }

    /// Stops the stream, for a time limit or a shutdown: see [`RelayEnd::Stopped`].
    ///
    /// Drops the upstream. Waiting bytes and an error event follow, and then the end. Does nothing once
    /// the relay has ended. The caller has to wake the task that polls the stream.
    pub fn stop(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.engine.end(RelayEnd::Stopped);
        this.inner.set(None);
    }
}

impl<S: TryStream<Ok: Into<Bytes>>, F: FnOnce(RelayReport)> Stream for RelayStream<S, F> {
    type Item = Result<Bytes, RelayError<S::Error>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.engine.poll(this.inner, context, |stream, context| {
            stream.try_poll_next(context).map(|polled| match polled {
                Some(Ok(piece)) => Upstream::Piece { bytes: piece.into(), is_last: false },
                Some(Err(error)) => Upstream::Failed(error),
                None => Upstream::End,
            })
        })
    }

    /// Returns the number of waiting items as the lower bound. It is exact if only they follow.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let (waiting, is_all) = self.engine.waiting();
        (waiting.len(), is_all.then_some(waiting.len()))
    }
}

impl<S: TryStream<Ok: Into<Bytes>>, F: FnOnce(RelayReport)> FusedStream for RelayStream<S, F> {
    fn is_terminated(&self) -> bool {
        self.engine.is_end()
    }
}

/// Shows no text.
impl<S: TryStream, F: FnOnce(RelayReport)> fmt::Debug for RelayStream<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayStream").field("engine", &self.engine).finish_non_exhaustive()
    }
}
