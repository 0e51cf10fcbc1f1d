//! `OwnedChunkEvent`: an event of a stream of chunks that is stored beyond its piece.

use core::fmt;

use bytes::Bytes;

use super::owned_event::OwnedEvent;
use crate::chunk::{OwnedChatCompletionChunk, OwnedUpstreamError};
use crate::decoder::{ChunkEvent, Payload};
use crate::error::Error;
use crate::limits::Limits;

/// An [`OwnedEvent`] of a stream of chunks, with the kind of its payload.
///
/// It stores no chunk: [`chunk`](Self::chunk) reads it again.
#[derive(Clone)]
pub struct OwnedChunkEvent {
    event: OwnedEvent,
    payload: OwnedPayload,
    /// The decoder has read a chunk in the data.
    has_chunk: bool,
    /// The limits of the decoder: depth, and number of values.
    json_limits: (usize, usize),
}

/// The kind of payload of an [`OwnedChunkEvent`]; see [`Payload`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedPayload {
    /// A chunk, which [`OwnedChunkEvent::chunk`] reads.
    Chunk,
    /// The `[DONE]` that ends a stream.
    Done,
    /// An error that the server reports. [`OwnedChunkEvent::chunk`] reads its chunk, if it has one.
    Error(Box<OwnedUpstreamError>),
    /// A JSON object that is no chunk, in [`OwnedEvent::data`].
    Other,
    /// An event that can't be read; the next one is read normally.
    Malformed(Error),
    /// A comment, which servers send as a keep-alive.
    Comment,
    /// Bytes that a client ignores.
    ///
    /// They are blank lines, blocks without data, unknown lines, and the rest of an event that
    /// exceeds a limit.
    Ignored,
}

impl OwnedChunkEvent {
    /// Converts an event whose bytes are in `piece`, unless it was cut.
    pub(super) fn new(event: &ChunkEvent<'_>, piece: &Bytes, limits: &Limits) -> Self {
        let has_chunk = match event.payload() {
            Payload::Chunk(_) => true,
            Payload::Error(error) => error.chunk().is_some(),
            _ => false,
        };
        let payload = match event.payload() {
            Payload::Chunk(_) => OwnedPayload::Chunk,
            Payload::Done => OwnedPayload::Done,
            Payload::Error(error) => {
                OwnedPayload::Error(Box::new(OwnedUpstreamError::of(error, event.offset())))
            }
            Payload::Other(_) => OwnedPayload::Other,
            Payload::Malformed(error) => OwnedPayload::Malformed(*error),
            Payload::Comment => OwnedPayload::Comment,
            Payload::Ignored => OwnedPayload::Ignored,
        };
        Self {
            event: OwnedEvent::new(event.event(), piece),
            payload,
            has_chunk,
            json_limits: (limits.max_json_depth, limits.max_json_values),
        }
    }

    /// Returns the kind of the payload.
    #[must_use]
    pub const fn payload(&self) -> &OwnedPayload {
        &self.payload
    }

    /// Returns the event as it was framed.
    #[must_use]
    pub const fn event(&self) -> &OwnedEvent {
        &self.event
    }

    /// Returns the event as it was framed, without its payload.
    #[must_use]
    pub fn into_event(self) -> OwnedEvent {
        self.event
    }

    /// Returns the event's bytes as received; see [`OwnedEvent::raw`].
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        self.event.raw()
    }

    /// Returns the event's bytes as received, to be forwarded.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.event.into_raw()
    }

    /// Returns the offset of the event, in bytes from the start of the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.event.offset()
    }

    /// Reads the chunk again. Returns `None` if the event has no chunk.
    ///
    /// This copies the data. To read all chunks, a [`ChunkDecoder`](crate::ChunkDecoder) is faster, with
    /// the raw bytes of all events in order.
    ///
    /// ```
    /// use deltawire::adapters::OwnedChunkEvent;
    ///
    /// fn model(event: &OwnedChunkEvent) -> Option<String> {
    ///     Some(event.chunk()?.as_chunk().model()?.to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn chunk(&self) -> Option<OwnedChatCompletionChunk> {
        if !self.has_chunk {
            return None;
        }
        let mut limits = Limits::new();
        (limits.max_json_depth, limits.max_json_values) = self.json_limits;
        let chunk = OwnedChatCompletionChunk::read(self.event.data(), &limits).ok();
        debug_assert!(
            chunk.as_ref().is_some_and(|chunk| chunk.as_chunk().is_chunk()),
            "the decoder has read the same data"
        );
        chunk
    }
}

impl From<OwnedChunkEvent> for Bytes {
    fn from(event: OwnedChunkEvent) -> Self {
        event.into_raw()
    }
}

/// Shows the framing and the length of the text, which may be personal.
impl fmt::Debug for OwnedChunkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedChunkEvent").field("event", &self.event).finish_non_exhaustive()
    }
}
