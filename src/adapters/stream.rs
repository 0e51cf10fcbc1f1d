//! `ChunkStream` and `EventStream`: decode a stream of pieces into lent or owned events.

use core::fmt;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use super::owned::OwnedEvent;
use crate::decoder::{ChunkDecoder, ChunkEvent, Place, StreamSummary};
use crate::slice::bytes_in;

/// Reads chunks from a stream of pieces, such as a response body.
///
/// [`next`](Self::next) lends one event at a time, as [`ChunkDecoder::next`] does. An event that is
/// whole in its piece is not copied, and nothing is allocated.
///
/// ```
/// use bytes::Bytes;
/// use deltawire::adapters::ChunkStream;
/// use deltawire::{Outcome, Reassembler};
/// use futures_core::Stream;
///
/// async fn ask<E>(body: impl Stream<Item = Result<Bytes, E>> + Unpin) -> Result<String, E> {
///     let (mut chunks, mut completion) = (ChunkStream::new(body), Reassembler::new());
///     while let Some(event) = chunks.next().await {
///         completion.push_payload(event?.payload());
///     }
///     let mut finished = completion.finish(chunks.finish());
///     assert_eq!(finished.outcome, Outcome::Complete); // or truncated, failed upstream, …
///     Ok(finished.completion.choices.remove(0).message.content.unwrap_or_default())
/// }
/// ```
///
/// Pin a stream that isn't `Unpin` by `core::pin::pin!` or `Box::pin`. Pieces are of any type that
/// converts to [`Bytes`].
///
/// An error of the stream is returned in its place, and the next call continues after it. After the
/// end each call returns `None`, and the stream isn't polled again.
pub struct ChunkStream<S> {
    body: S,
    events: PieceReader,
}

/// The state that both kinds of streams have besides the body.
struct PieceReader {
    decoder: ChunkDecoder,
    /// The current piece, and the number of its emitted bytes: `emitted <= piece.len()`.
    piece: Bytes,
    emitted: usize,
    is_at_end: bool,
}

/// Shows the decoder, but no payload.
impl fmt::Debug for PieceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceReader")
            .field("decoder", &self.decoder)
            .field("is_at_end", &self.is_at_end)
            .finish_non_exhaustive()
    }
}

impl PieceReader {
    fn new(decoder: ChunkDecoder) -> Self {
        Self { decoder, piece: Bytes::new(), emitted: 0, is_at_end: false }
    }

    /// Finds the next event, which is then at the front of the rest of the piece.
    ///
    /// A repeated call before the event is emitted finds it again.
    fn poll_find<S, B, E>(
        &mut self,
        mut body: Pin<&mut S>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Place, E>>>
    where
        S: Stream<Item = Result<B, E>>,
        B: Into<Bytes>,
    {
        loop {
            if let Some(place) = self.decoder.find(bytes_in(&self.piece, self.emitted..)) {
                return Poll::Ready(Some(Ok(place)));
            }
            // The decoder has consumed all of it.
            (self.piece, self.emitted) = (Bytes::new(), 0);
            if self.is_at_end {
                return Poll::Ready(None);
            }
            match ready!(body.as_mut().poll_next(context)) {
                Some(Ok(piece)) => self.piece = piece.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_at_end = true,
            }
        }
    }

    /// Returns the event that was found.
    fn lend(&mut self, place: Place) -> ChunkEvent<'_> {
        let event = self.advance(&place);
        self.decoder.emit(place, bytes_in(&self.piece, event))
    }

    /// Returns the event that was found, as slices of the piece.
    fn own(&mut self, place: Place) -> OwnedEvent {
        let event = self.advance(&place);
        OwnedEvent::take(&mut self.decoder, place, &self.piece.slice(event))
    }

    /// Returns the range in the piece of the event that was found, and advances past it.
    fn advance(&mut self, place: &Place) -> Range<usize> {
        let start = self.emitted;
        self.emitted += place.taken();
        debug_assert!(self.emitted <= self.piece.len());
        start..self.emitted
    }

    /// Returns true if there are no more events.
    fn is_over(&self) -> bool {
        self.is_at_end && self.emitted == self.piece.len()
    }

    /// Returns the decoder and the rest of the current piece.
    fn into_parts(self) -> (ChunkDecoder, Bytes) {
        let Self { decoder, mut piece, emitted, .. } = self;
        piece.advance(emitted);
        (decoder, piece)
    }
}

impl<S> ChunkStream<S> {
    /// Creates a stream at the start of a body, with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new(body: S) -> Self {
        Self::with_decoder(body, ChunkDecoder::new())
    }

    /// Creates a stream with the limits and settings of a decoder.
    ///
    /// A decoder that is used again needs a [`reset`](ChunkDecoder::reset).
    #[must_use]
    pub fn with_decoder(body: S, decoder: ChunkDecoder) -> Self {
        Self { body, events: PieceReader::new(decoder) }
    }

    /// Returns a last event without its blank line; see [`ChunkDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        self.events.decoder.salvage()
    }

    /// Returns the summary of the stream at its end; see [`ChunkDecoder::finish`].
    pub fn finish(&mut self) -> StreamSummary {
        self.events.decoder.finish()
    }

    /// Returns the decoder, which stores values of the stream such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.events.decoder
    }

    /// Returns the body, the decoder, and the rest of the current piece.
    #[must_use]
    pub fn into_parts(self) -> (S, ChunkDecoder, Bytes) {
        let (decoder, rest) = self.events.into_parts();
        (self.body, decoder, rest)
    }
}

impl<S, B, E> ChunkStream<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    /// Waits for the next event. Returns `None` at the end of the stream.
    ///
    /// Then [`finish`](Self::finish) returns how the stream ended. All bytes of the server are part
    /// of an event: see [`Payload`](crate::Payload). No event is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// The errors of the body.
    pub async fn next(&mut self) -> Option<Result<ChunkEvent<'_>, E>> {
        let Self { body, events } = self;
        let found = poll_fn(|context| events.poll_find(Pin::new(&mut *body), context)).await?;
        Some(found.map(|place| events.lend(place)))
    }

    /// Polls for the next event, like [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// The errors of the body.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ChunkEvent<'_>, E>>> {
        let Self { body, events } = self;
        let found = ready!(events.poll_find(Pin::new(body), context));
        Poll::Ready(found.map(|found| found.map(|place| events.lend(place))))
    }
}

impl<S> fmt::Debug for ChunkStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkStream").field("events", &self.events).finish_non_exhaustive()
    }
}

pin_project! {
    #[project = Projected]
    /// A stream of [`OwnedEvent`]s from a stream of pieces.
    ///
    /// Use it for combinators, or to store events or send them to other tasks. An event that is
    /// whole in its piece is a slice of it; see [`OwnedEvent`]. To read all chunks of a stream in
    /// one task, [`ChunkStream`] is faster.
    ///
    /// ```
    /// use core::pin::Pin;
    /// use bytes::Bytes;
    /// use deltawire::adapters::{EventStream, OwnedEvent};
    /// use futures_core::Stream;
    ///
    /// fn events<S, E>(body: S) -> Pin<Box<dyn Stream<Item = Result<OwnedEvent, E>> + Send>>
    /// where
    ///     S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    ///     E: 'static,
    /// {
    ///     Box::pin(EventStream::new(body))
    /// }
    /// ```
    ///
    /// An error of the body is returned in its place, and the next call continues after it. The end
    /// is final. No event is lost if a future of `next` is dropped, since the stream stores it.
    pub struct EventStream<S> {
        #[pin]
        body: S,
        events: PieceReader,
    }
}

impl<S> EventStream<S> {
    /// Creates a stream at the start of a body, with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new(body: S) -> Self {
        Self::with_decoder(body, ChunkDecoder::new())
    }

    /// Creates a stream with the limits and settings of a decoder.
    #[must_use]
    pub fn with_decoder(body: S, decoder: ChunkDecoder) -> Self {
        Self { body, events: PieceReader::new(decoder) }
    }

    /// Returns a last event without its blank line; see [`ChunkDecoder::salvage`].
    #[must_use]
    pub fn salvage(self: Pin<&mut Self>) -> Option<OwnedEvent> {
        OwnedEvent::salvage(&mut self.project().events.decoder)
    }

    /// Returns the summary of the stream at its end; see [`ChunkDecoder::finish`].
    #[must_use]
    pub fn finish(self: Pin<&mut Self>) -> StreamSummary {
        self.project().events.decoder.finish()
    }

    /// Returns the decoder, which stores values of the stream such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.events.decoder
    }

    /// Returns the body, the decoder, and the rest of the current piece.
    #[must_use]
    pub fn into_parts(self) -> (S, ChunkDecoder, Bytes) {
        let (decoder, rest) = self.events.into_parts();
        (self.body, decoder, rest)
    }
}

impl<S, B, E> Stream for EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
{
    type Item = Result<OwnedEvent, E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Projected { body, events } = self.project();
        let found = ready!(events.poll_find(body, context));
        Poll::Ready(found.map(|found| found.map(|place| events.own(place))))
    }

    /// Returns the exact size at the end only, since a piece may contain any number of events.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.events.is_over().then_some(0))
    }
}

impl<S, B, E> FusedStream for EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
{
    fn is_terminated(&self) -> bool {
        self.events.is_over()
    }
}

impl<S> fmt::Debug for EventStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("events", &self.events).finish_non_exhaustive()
    }
}
