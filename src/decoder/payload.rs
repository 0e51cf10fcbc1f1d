//! `ChunkEvent`: an event, and what its payload says.

use core::fmt;

use crate::chunk::{Carries, ChatCompletionChunk, UpstreamError};
use crate::error::Error;
use crate::json::{Leniencies, Value};
use crate::sse::Event;

/// What one event of a stream says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// A chunk.
    Chunk(ChatCompletionChunk<'a>),
    /// The `[DONE]` that ends a stream.
    Done,
    /// An error that the server reports. The chunk that it came with, if any, is
    /// [`UpstreamError::chunk`].
    Error(UpstreamError<'a>),
    /// A JSON object that is no chunk, such as a ping or the progress of a tool.
    ///
    /// It has neither `choices` nor a usage, and its `object` names neither a chunk nor a
    /// completion. Its [`Event::event_type`] may name its kind.
    Other(OtherObject<'a>),
    /// An event that can't be read; the next one is read normally.
    Malformed(Error),
    /// A comment, which servers send as a keep-alive.
    Comment,
    /// Nothing that a client has to do with: blank lines, blocks without data, unknown lines,
    /// and what is left of an event that went over a limit.
    Ignored,
}

impl Payload<'_> {
    /// What kinds of things the payload brings. Costs a look at the chunk's table.
    #[must_use]
    pub fn carries(&self) -> Carries {
        let mut carries = Carries::default();
        match self {
            Self::Chunk(chunk) => return chunk.carries(),
            Self::Error(error) => {
                carries = error.chunk().map(|chunk| chunk.carries()).unwrap_or_default();
                carries.error = true;
            }
            Self::Done => carries.done = true,
            Self::Other(_) | Self::Malformed(_) | Self::Comment | Self::Ignored => {}
        }
        carries
    }
}

/// A JSON object that is no chunk; see [`Payload::Other`].
#[derive(Clone, Copy)]
pub struct OtherObject<'a>(pub(crate) ChatCompletionChunk<'a>);

impl<'a> OtherObject<'a> {
    /// Returns the member `name`, of any type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.get(name)
    }

    /// Returns the object as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        self.0.as_value()
    }
}

/// Writes the JSON text that was sent.
impl fmt::Debug for OtherObject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An event with its payload.
#[derive(Clone, Copy)]
pub struct ChunkEvent<'a> {
    pub(super) event: Event<'a>,
    pub(super) payload: Payload<'a>,
    pub(super) leniencies: Leniencies,
}

impl<'a> ChunkEvent<'a> {
    /// What the event says.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &Payload<'a> {
        &self.payload
    }

    /// The event as it was framed.
    #[inline]
    #[must_use]
    pub const fn event(&self) -> &Event<'a> {
        &self.event
    }

    /// The event's bytes as they came; see [`Event::raw`].
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

    /// Where the event begins: bytes from the start of the stream.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.event.offset()
    }

    /// What of the payload was let pass though it isn't quite JSON; see
    /// [`ChunkDecoder::set_strict`](crate::ChunkDecoder::set_strict).
    #[must_use]
    pub const fn leniencies(&self) -> Leniencies {
        self.leniencies
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
