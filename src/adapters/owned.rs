//! `OwnedEvent`: an event that is stored beyond its piece, as slices of the piece.

use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::chunk::{OwnedChatCompletionChunk, OwnedUpstreamError};
use crate::decoder::{ChunkDecoder, ChunkEvent, Payload, Place};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::slice::bytes_in;
use crate::sse::{Event, EventKind, MESSAGE};

/// An event with its own memory, which can be stored or sent to other tasks.
///
/// If the event was whole in a piece of the body, [`raw`](Self::raw) and [`data`](Self::data) are
/// slices of that piece, without a copy. An event that was cut over several pieces is copied once. A
/// slice keeps all of its piece alive. Copy events that are stored for long, with
/// [`Bytes::copy_from_slice`].
///
/// The kind of the payload is stored, but no chunk. [`chunk`](Self::chunk) reads it again.
///
/// The decoder stores the last event ID and the reconnection time, which outlive an event.
#[derive(Clone)]
pub struct OwnedEvent {
    kind: EventKind,
    offset: u64,
    raw: Bytes,
    data: Bytes,
    /// The start of `data` in `raw`: `data_start + data.len() <= raw.len()`.
    ///
    /// `None` if the data were joined from several lines.
    data_start: Option<usize>,
    /// UTF-8; `None` is `message`.
    event_type: Option<Bytes>,
    is_unterminated: bool,
    payload: OwnedPayload,
    /// The limits of the decoder: depth, and number of values.
    json_limits: (usize, usize),
}

/// The kind of payload of an [`OwnedEvent`]; see [`Payload`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedPayload {
    /// A chunk, which [`OwnedEvent::chunk`] reads.
    Chunk,
    /// The `[DONE]` that ends a stream.
    Done,
    /// An error that the server reports. [`OwnedEvent::chunk`] reads its chunk, if it has one.
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

impl OwnedEvent {
    /// Returns the event at `place`, whose bytes are `bytes`.
    pub(super) fn take(decoder: &mut ChunkDecoder, place: Place, bytes: &Bytes) -> Self {
        let limits = *decoder.sse().limits();
        Self::new(&decoder.emit(place, bytes), bytes, &limits)
    }

    /// Returns a last event without its blank line.
    pub(super) fn salvage(decoder: &mut ChunkDecoder) -> Option<Self> {
        let limits = *decoder.sse().limits();
        Some(Self::new(&decoder.salvage()?, &Bytes::new(), &limits))
    }

    /// Converts an event whose bytes are in `piece`, unless it was cut.
    fn new(event: &ChunkEvent<'_>, piece: &Bytes, limits: &Limits) -> Self {
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
        let event: &Event<'_> = event.event();
        let raw = slice(piece, event.raw());
        let data = match event.data_start() {
            Some(start) => raw.slice_ref(bytes_in(&raw, start..start + event.data().len())),
            None => Bytes::copy_from_slice(event.data()),
        };
        let event_type = event.event_type();
        let event_type = (event_type != MESSAGE).then(|| type_in(&raw, event));
        Self {
            kind: event.kind(),
            offset: event.offset(),
            data,
            data_start: event.data_start(),
            event_type,
            is_unterminated: event.is_unterminated(),
            raw,
            payload,
            json_limits: (limits.max_json_depth, limits.max_json_values),
        }
    }

    /// Returns the kind of the event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// Returns the kind of the payload.
    #[must_use]
    pub const fn payload(&self) -> &OwnedPayload {
        &self.payload
    }

    /// Returns the received bytes of the event, including all lines and line ends.
    ///
    /// The bytes of all events, in order, are the stream.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the received bytes of the event, to be forwarded.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// Returns the offset of [`raw`](Self::raw): bytes from the start of the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the range of [`raw`](Self::raw) in the stream.
    #[must_use]
    pub const fn span(&self) -> Range<u64> {
        self.offset..self.offset + self.raw.len() as u64
    }

    /// Returns the event's `data`, with the values of several lines joined by LF.
    ///
    /// It is empty unless this is a [`Message`](EventKind::Message).
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the range of [`data`](Self::data) in [`raw`](Self::raw).
    ///
    /// Returns `None` if the data were joined from several lines, or the event has no data.
    #[must_use]
    pub fn data_range(&self) -> Option<Range<usize>> {
        let start = self.data_start.filter(|_| self.kind == EventKind::Message)?;
        Some(start..start + self.data.len())
    }

    /// Returns the event's `data` as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUtf8`] with the stream offset of the first byte that isn't UTF-8. If data
    /// in several lines were joined, it is the offset of the event.
    pub fn data_str(&self) -> Result<&str, Error> {
        core::str::from_utf8(&self.data).map_err(|error| {
            let position = self.data_range().map_or(0, |data| data.start + error.valid_up_to());
            Error::new(ErrorKind::InvalidUtf8, self.offset + position as u64)
        })
    }

    /// Returns the event type: the value of the last `event` line, else `message`.
    ///
    /// Bytes that aren't UTF-8 are U+FFFD.
    #[must_use]
    pub fn event_type(&self) -> &str {
        let name = self.event_type.as_deref();
        name.and_then(|name| core::str::from_utf8(name).ok()).unwrap_or(MESSAGE)
    }

    /// Returns true if the stream ended before the blank line of this event.
    ///
    /// Only `salvage` returns such events.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.is_unterminated
    }

    /// Reads the chunk again. Returns `None` if the event has no chunk.
    ///
    /// This copies the data. To read all chunks, a [`ChunkDecoder`] is faster, with the raw bytes of
    /// all events in order.
    ///
    /// ```
    /// use deltawire::adapters::OwnedEvent;
    ///
    /// fn model(event: &OwnedEvent) -> Option<String> {
    ///     Some(event.chunk()?.as_chunk().model()?.to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn chunk(&self) -> Option<OwnedChatCompletionChunk> {
        match self.payload {
            OwnedPayload::Chunk | OwnedPayload::Error(_) => {
                let mut limits = Limits::new();
                (limits.max_json_depth, limits.max_json_values) = self.json_limits;
                OwnedChatCompletionChunk::read(&self.data, &limits)
                    .ok()
                    .filter(|chunk| chunk.as_chunk().is_chunk())
            }
            _ => None,
        }
    }
}

impl From<OwnedEvent> for Bytes {
    fn from(event: OwnedEvent) -> Self {
        event.raw
    }
}

/// Shows the framing and the length of the text, which may be personal.
impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedEvent")
            .field("kind", &self.kind)
            .field("span", &self.span())
            .field("data_len", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Returns the event type as a slice of the event's bytes `raw`, or a copy if it isn't UTF-8 there.
fn type_in(raw: &Bytes, event: &Event<'_>) -> Bytes {
    let event_type = event.event_type().as_bytes();
    let start = event_type.as_ptr().addr().checked_sub(event.raw().as_ptr().addr());
    let slice = start.and_then(|start| raw.get(start..start.checked_add(event_type.len())?));
    match slice.filter(|slice| *slice == event_type) {
        Some(slice) => raw.slice_ref(slice),
        None => Bytes::copy_from_slice(event_type),
    }
}

/// Returns `part` as a slice of `whole` if it is one, else a copy.
fn slice(whole: &Bytes, part: &[u8]) -> Bytes {
    let (range, start) = (whole.as_ptr_range(), part.as_ptr());
    let is_in = start >= range.start && start < range.end;
    if is_in || part.is_empty() { whole.slice_ref(part) } else { Bytes::copy_from_slice(part) }
}
