//! `ChunkEvent`: an event with its parsed payload.

use core::fmt;

use crate::chunk::{ChatCompletionChunk, ContentFlags, OtherObject, UpstreamError};
use crate::error::Error;
use crate::json::JsonDeviations;
use crate::sse::Event;

/// The parsed payload of one event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// A chunk.
    Chunk(ChatCompletionChunk<'a>),
    /// The text `[DONE]`, which ends a stream.
    Done,
    /// An error of the server, with the chunk that contains it, if any: [`UpstreamError::chunk`].
    Error(UpstreamError<'a>),
    /// A JSON object that is no chunk, such as a ping or the progress of a tool.
    ///
    /// It has neither `choices` nor a usage, and its `object` isn't that of a chunk or completion.
    /// Its [`Event::event_type`] may name its kind.
    Other(OtherObject<'a>),
    /// An event that can't be read; the decoder reads the next one normally.
    ///
    /// An event is one too if a line without `data:` begins JSON and isn't a whole object.
    Malformed(Error),
    /// A comment, which servers send as a keep-alive.
    Comment,
    /// An event without a meaning for a client.
    ///
    /// It is a blank line, an event without data, a line with another unknown field, or the
    /// rest of an event over a limit. Before the first field, a line of JSON is one too, as it may
    /// be the body. If a field follows, the [`StreamSummary`](crate::StreamSummary) has its failure.
    Ignored,
}

impl Payload<'_> {
    /// Returns the kinds of content in the payload.
    ///
    /// Reads the index of the chunk, and the parts of a `content` that is an array.
    #[must_use]
    pub fn content_flags(&self) -> ContentFlags {
        let mut content_flags = ContentFlags::default();
        match self {
            Self::Chunk(chunk) => return chunk.content_flags(),
            Self::Error(error) => {
                content_flags =
                    error.chunk().map(|chunk| chunk.content_flags()).unwrap_or_default();
                content_flags.error = true;
            }
            Self::Done => content_flags.done = true,
            Self::Other(_) | Self::Malformed(_) | Self::Comment | Self::Ignored => {}
        }
        content_flags
    }
}

/// An event with its payload.
#[derive(Clone, Copy)]
pub struct ChunkEvent<'a> {
    pub(super) event: Event<'a>,
    pub(super) payload: Payload<'a>,
    pub(super) deviations: &'a JsonDeviations,
}

impl<'a> ChunkEvent<'a> {
    /// Returns the payload.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &Payload<'a> {
        &self.payload
    }

    /// Returns the event as it was framed.
    #[inline]
    #[must_use]
    pub const fn event(&self) -> &Event<'a> {
        &self.event
    }

    /// Returns the event's bytes as received; see [`Event::raw`].
    #[inline]
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.event.raw()
    }

    /// Returns the line ends that are missing to close the event; see [`Event::missing_end`].
    #[must_use]
    pub fn missing_end(&self) -> &'static [u8] {
        self.event.missing_end()
    }

    /// Returns the offset of the event, in bytes from the start of the stream.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.event.offset()
    }

    /// Returns the deviations from interoperable JSON (RFC 8259) in the payload.
    ///
    /// See [`ChunkDecoder::set_strict`](crate::ChunkDecoder::set_strict).
    #[must_use]
    pub const fn deviations(&self) -> JsonDeviations {
        *self.deviations
    }
}

impl fmt::Debug for ChunkEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkEvent")
            .field("event", &self.event)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::ChunkEvent;

    /// An event is written, moved and read in each call, so it has at most two cache lines.
    #[test]
    fn an_event_has_at_most_128_bytes() {
        assert!(size_of::<ChunkEvent<'_>>() <= 128);
        assert!(size_of::<Option<ChunkEvent<'_>>>() <= 128);
    }
}
