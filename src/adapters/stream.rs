//! `ChunkStream` and `EventStream`: events of a stream of pieces, lent or owned.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use super::owned::OwnedEvent;
use crate::decoder::{ChunkDecoder, ChunkEvent, End, Place};

/// Reads chunks from a stream of pieces, such as a response body.
///
/// [`next`](Self::next) lends one event at a time, as [`ChunkDecoder::next`] does: nothing is copied
/// that lay whole in its piece, and nothing is allocated.
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
/// A stream that isn't `Unpin` goes in pinned, by `core::pin::pin!` or `Box::pin`. What pieces are is
/// up to the stream: anything that becomes [`Bytes`].
///
/// An error of the stream is given in its place, and the next call goes on behind it, if there is
/// anything. Behind the end there is nothing but `None`, and the stream isn't asked again.
pub struct ChunkStream<S> {
    body: S,
    events: PieceReader,
}

/// What both kinds of streams have besides the body.
struct PieceReader {
    decoder: ChunkDecoder,
    /// The piece at hand, and how much of it has been given.
    piece: Bytes,
    given: usize,
    is_at_end: bool,
}

/// Shows where the decoder stands, and no payload.
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
        Self { decoder, piece: Bytes::new(), given: 0, is_at_end: false }
    }

    /// Finds the next event, which is at the front of the piece then. Nothing is lost where it is
    /// called again.
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
            let rest = self.piece.get(self.given..).unwrap_or_default();
            if let Some(place) = self.decoder.find(rest) {
                return Poll::Ready(Some(Ok(place)));
            }
            // The decoder has taken all of it.
            (self.piece, self.given) = (Bytes::new(), 0);
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

    /// The event that was found.
    fn lend(&mut self, place: Place) -> ChunkEvent<'_> {
        let start = self.given;
        self.given += place.taken();
        self.decoder.emit(place, self.piece.get(start..self.given).unwrap_or_default())
    }

    /// The event that was found, as slices of the piece.
    fn own(&mut self, place: Place) -> OwnedEvent {
        let start = self.given;
        self.given += place.taken();
        OwnedEvent::take(&mut self.decoder, place, &self.piece.slice(start..self.given))
    }

    /// Whether there are no more events.
    fn is_over(&self) -> bool {
        self.is_at_end && self.given == self.piece.len()
    }

    /// The decoder, and what is left of the piece at hand.
    fn into_parts(self) -> (ChunkDecoder, Bytes) {
        let Self { decoder, mut piece, given, .. } = self;
        piece.advance(given);
        (decoder, piece)
    }
}

impl<S> ChunkStream<S> {
    /// At the start of a body, with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new(body: S) -> Self {
        Self::with_decoder(body, ChunkDecoder::new())
    }

    /// With a decoder that has limits or settings of its own, or is used again after a
    /// [`reset`](ChunkDecoder::reset).
    #[must_use]
    pub fn with_decoder(body: S, decoder: ChunkDecoder) -> Self {
        Self { body, events: PieceReader::new(decoder) }
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`ChunkDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        self.events.decoder.salvage()
    }

    /// Tells at the end how the stream was; see [`ChunkDecoder::finish`].
    pub fn finish(&mut self) -> End {
        self.events.decoder.finish()
    }

    /// The decoder, for what it tells of the stream.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.events.decoder
    }

    /// The body, the decoder, and what is left of the piece at hand.
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
    /// Waits for the next event. `None` is the end of the stream; [`finish`](Self::finish) tells how
    /// it was.
    ///
    /// Whatever the server sends is an event: see [`Payload`](crate::Payload). Dropping the future
    /// loses nothing: the next call goes on where this one was.
    ///
    /// # Errors
    ///
    /// Those of the body.
    pub async fn next(&mut self) -> Option<Result<ChunkEvent<'_>, E>> {
        let Self { body, events } = self;
        let found = poll_fn(|context| events.poll_find(Pin::new(&mut *body), context)).await?;
        Some(found.map(|place| events.lend(place)))
    }

    /// [`next`](Self::next), for whoever polls.
    ///
    /// # Errors
    ///
    /// Those of the body.
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
    /// A stream of [`OwnedEvent`]s from a stream of pieces: for combinators, for events that are
    /// kept, and for those that go to other tasks.
    ///
    /// Events are slices of their piece where they lay whole in one; see [`OwnedEvent`]. To read all
    /// chunks of a stream where it arrives, [`ChunkStream`] is quicker.
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
    /// Errors of the body are given in their place, and the next call goes on behind them. The end is
    /// final. Nothing is lost where a future of `next` is dropped: what there is stays in here.
    pub struct EventStream<S> {
        #[pin]
        body: S,
        events: PieceReader,
    }
}

impl<S> EventStream<S> {
    /// At the start of a body, with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new(body: S) -> Self {
        Self::with_decoder(body, ChunkDecoder::new())
    }

    /// With a decoder that has limits or settings of its own.
    #[must_use]
    pub fn with_decoder(body: S, decoder: ChunkDecoder) -> Self {
        Self { body, events: PieceReader::new(decoder) }
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`ChunkDecoder::salvage`].
    #[must_use]
    pub fn salvage(self: Pin<&mut Self>) -> Option<OwnedEvent> {
        OwnedEvent::salvage(&mut self.project().events.decoder)
    }

    /// Tells at the end how the stream was; see [`ChunkDecoder::finish`].
    #[must_use]
    pub fn finish(self: Pin<&mut Self>) -> End {
        self.project().events.decoder.finish()
    }

    /// The decoder, for what it tells of the stream, such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.events.decoder
    }

    /// The body, the decoder, and what is left of the piece at hand.
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

    /// A piece may have any number of events, and none: only the end is known.
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
