//! `ChunkStream` and `SseStream`: lend the events of a stream of pieces, one at a time.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::pieces::PieceReader;
use crate::decoder::{ChunkDecoder, ChunkEvent, StreamSummary};
use crate::sse::{Event, SseDecoder, SseEnd};

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
    events: PieceReader<ChunkDecoder>,
}

/// Reads Server-Sent Events of any dialect from a stream of pieces, such as a response body.
///
/// [`next`](Self::next) lends one event at a time, as [`SseDecoder::next`] does. An event that is whole
/// in its piece is not copied, and nothing is allocated. Comments and lines that the standard drops are
/// events too; see [`EventKind`](crate::sse::EventKind).
///
/// ```
/// use bytes::Bytes;
/// use deltawire::adapters::SseStream;
/// use deltawire::sse::EventKind;
/// use futures_core::Stream;
///
/// async fn watch<E>(body: impl Stream<Item = Result<Bytes, E>> + Unpin) -> Result<String, E> {
///     let mut events = SseStream::new(body);
///     while let Some(event) = events.next().await {
///         let event = event?;
///         if event.kind() == EventKind::Message && event.event_type() == "update" {
///             // show(event.data_lossy())
///         }
///     }
///     // To reconnect, send this as `Last-Event-ID`.
///     Ok(events.decoder().last_event_id().to_owned())
/// }
/// ```
///
/// Pieces, errors and the end are those of a [`ChunkStream`].
pub struct SseStream<S> {
    body: S,
    events: PieceReader<SseDecoder>,
}

/// Implements a stream that lends the events of a decoder.
macro_rules! lent_stream {
    ($stream:ident, $decoder:ident, $event:ident, $end:ident) => {
        impl<S> $stream<S> {
            /// Creates a stream at the start of a body, with the default [`Limits`](crate::Limits).
            #[must_use]
            pub fn new(body: S) -> Self {
                Self::with_decoder(body, $decoder::new())
            }

            /// Creates a stream with the limits and settings of a decoder.
            ///
            /// A decoder that is used again needs a `reset` before.
            #[must_use]
            pub fn with_decoder(body: S, decoder: $decoder) -> Self {
                Self { body, events: PieceReader::new(decoder) }
            }

            #[doc = concat!("Returns a last event without its blank line; see [`", stringify!($decoder), "::salvage`].")]
            pub fn salvage(&mut self) -> Option<$event<'_>> {
                self.events.decoder.salvage()
            }

            #[doc = concat!("Returns the summary of the stream at its end; see [`", stringify!($decoder), "::finish`].")]
            pub fn finish(&mut self) -> $end {
                self.events.decoder.finish()
            }

            /// Returns the decoder, which stores values of the stream such as the last event ID.
            #[must_use]
            pub const fn decoder(&self) -> &$decoder {
                &self.events.decoder
            }

            /// Returns the body, the decoder, and the rest of the current piece.
            #[must_use]
            pub fn into_parts(self) -> (S, $decoder, Bytes) {
                let (decoder, rest) = self.events.into_parts();
                (self.body, decoder, rest)
            }
        }

        impl<S, B, E> $stream<S>
        where
            S: Stream<Item = Result<B, E>> + Unpin,
            B: Into<Bytes>,
        {
            /// Waits for the next event. Returns `None` at the end of the stream.
            ///
            /// Then [`finish`](Self::finish) returns how the stream ended. All bytes of the server are
            /// part of an event. No event is lost if the future is dropped.
            ///
            /// # Errors
            ///
            /// The errors of the body.
            pub async fn next(&mut self) -> Option<Result<$event<'_>, E>> {
                let Self { body, events } = self;
                let found =
                    poll_fn(|context| events.poll_find(Pin::new(&mut *body), context)).await?;
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
            ) -> Poll<Option<Result<$event<'_>, E>>> {
                let Self { body, events } = self;
                let found = ready!(events.poll_find(Pin::new(body), context));
                Poll::Ready(found.map(|found| found.map(|place| events.lend(place))))
            }
        }

        impl<S> fmt::Debug for $stream<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($stream))
                    .field("events", &self.events)
                    .finish_non_exhaustive()
            }
        }
    };
}

lent_stream!(ChunkStream, ChunkDecoder, ChunkEvent, StreamSummary);
lent_stream!(SseStream, SseDecoder, Event, SseEnd);
