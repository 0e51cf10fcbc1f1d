//! `OwnedChunkStream` and `OwnedSseStream`: a stream of pieces as a stream of owned events.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use super::locate::Locate as _;
use super::owned_chunk_event::OwnedChunkEvent;
use super::owned_event::OwnedEvent;
use super::pieces::PieceReader;
use crate::decoder::{ChunkDecoder, StreamSummary};
use crate::sse::{SseDecoder, SseEnd};

pin_project! {
    #[project = ProjectedChunks]
    /// A stream of [`OwnedChunkEvent`]s from a stream of pieces.
    ///
    /// Use it for combinators, or to store events or send them to other tasks. An event that is
    /// whole in its piece is a slice of it; see [`OwnedChunkEvent`]. To read all chunks of a stream in
    /// one task, [`ChunkStream`] is faster.
    ///
    /// ```
    /// use core::pin::Pin;
    /// use bytes::Bytes;
    /// use deltawire::adapters::{OwnedChunkStream, OwnedChunkEvent};
    /// use futures_core::Stream;
    ///
    /// fn events<S, E>(body: S) -> Pin<Box<dyn Stream<Item = Result<OwnedChunkEvent, E>> + Send>>
    /// where
    ///     S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    ///     E: 'static,
    /// {
    ///     Box::pin(OwnedChunkStream::new(body))
    /// }
    /// ```
    ///
    /// A [`Reassembler`](crate::Reassembler) receives the chunk of each event. All other payloads are in the
    /// summary of the stream.
    ///
    /// ```
    /// use core::future::poll_fn;
    /// use core::pin::pin;
    /// use bytes::Bytes;
    /// use deltawire::Reassembler;
    /// use deltawire::adapters::OwnedChunkStream;
    /// use deltawire::completion::FinishedCompletion;
    /// use futures_core::Stream;
    ///
    /// async fn read<E>(body: impl Stream<Item = Result<Bytes, E>>) -> Result<FinishedCompletion, E> {
    ///     let (mut events, mut completion) = (pin!(OwnedChunkStream::new(body)), Reassembler::new());
    ///     while let Some(event) = poll_fn(|context| events.as_mut().poll_next(context)).await {
    ///         if let Some(chunk) = event?.chunk() {
    ///             completion.push(&chunk.as_chunk());
    ///         }
    ///     }
    ///     Ok(completion.finish(events.as_mut().finish()))
    /// }
    /// ```
    ///
    /// An error of the body is returned in its place, and the next call continues after it. The end
    /// is final. No event is lost if a future of `next` is dropped, since the stream stores it.
    pub struct OwnedChunkStream<S> {
        #[pin]
        body: S,
        events: PieceReader<ChunkDecoder>,
    }
}

pin_project! {
    #[project = ProjectedEvents]
    /// A stream of [`OwnedEvent`]s of any dialect from a stream of pieces.
    ///
    /// Use it for combinators, or to store events or send them to other tasks. An event that is
    /// whole in its piece is a slice of it; see [`OwnedEvent`]. To read all events in one task,
    /// [`SseStream`](super::SseStream) is faster.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use deltawire::adapters::{OwnedEvent, OwnedSseStream};
    /// use futures_core::Stream;
    ///
    /// fn events<E>(
    ///     body: impl Stream<Item = Result<Bytes, E>>,
    /// ) -> impl Stream<Item = Result<OwnedEvent, E>> {
    ///     OwnedSseStream::new(body)
    /// }
    /// ```
    ///
    /// Errors and the end are those of an [`OwnedChunkStream`].
    pub struct OwnedSseStream<S> {
        #[pin]
        body: S,
        events: PieceReader<SseDecoder>,
    }
}

/// Implements a stream of the owned events of a decoder.
macro_rules! owned_stream {
    ($stream:ident, $projected:ident, $decoder:ident, $event:ident, $end:ident) => {
        impl<S> $stream<S> {
            /// Creates a stream at the start of a body, with the default [`Limits`](crate::Limits).
            #[must_use]
            pub fn new(body: S) -> Self {
                Self::with_decoder(body, $decoder::new())
            }

            /// Creates a stream with the limits and settings of a decoder.
            #[must_use]
            pub fn with_decoder(body: S, decoder: $decoder) -> Self {
                Self { body, events: PieceReader::new(decoder) }
            }

            #[doc = concat!("Returns a last event without its blank line; see [`", stringify!($decoder), "::salvage`].")]
            #[must_use]
            pub fn salvage(self: Pin<&mut Self>) -> Option<$event> {
                self.project().events.decoder.own_last()
            }

            #[doc = concat!("Returns the summary of the stream at its end; see [`", stringify!($decoder), "::finish`].")]
            #[must_use]
            pub fn finish(self: Pin<&mut Self>) -> $end {
                self.project().events.decoder.finish()
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

        impl<S, B, E> Stream for $stream<S>
        where
            S: Stream<Item = Result<B, E>>,
            B: Into<Bytes>,
        {
            type Item = Result<$event, E>;

            fn poll_next(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                let $projected { body, events } = self.project();
                let found = ready!(events.poll_find(body, context));
                Poll::Ready(found.map(|found| found.map(|place| events.own(place))))
            }

            /// Returns the exact size at the end only, since a piece may contain any number of events.
            fn size_hint(&self) -> (usize, Option<usize>) {
                (0, self.events.is_over().then_some(0))
            }
        }

        impl<S, B, E> FusedStream for $stream<S>
        where
            S: Stream<Item = Result<B, E>>,
            B: Into<Bytes>,
        {
            fn is_terminated(&self) -> bool {
                self.events.is_over()
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

owned_stream!(OwnedChunkStream, ProjectedChunks, ChunkDecoder, OwnedChunkEvent, StreamSummary);
owned_stream!(OwnedSseStream, ProjectedEvents, SseDecoder, OwnedEvent, SseEnd);
