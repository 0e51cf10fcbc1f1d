//! `OwnedEvent`: an event that is kept beyond its piece, as slices of it.

use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::chunk::OwnedChatCompletionChunk;
use crate::decoder::{ChunkDecoder, ChunkEvent, Payload, Place, UpstreamFailure};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::sse::{Event, EventKind, MESSAGE};

/// An event with a memory of its own, to be kept, or sent to other tasks.
///
/// Where the event lay whole in a piece of the body, [`raw`](Self::raw) and [`data`](Self::data) are
/// slices of that piece, and nothing is copied. An event that was cut over several pieces is copied
/// once. A slice keeps all of its piece alive: who keeps events for long copies them, with
/// [`Bytes::copy_from_slice`].
///
/// The payload has been read; of a chunk that is said and nothing kept. [`chunk`](Self::chunk) reads
/// it again, for whoever wants it.
///
/// The last event ID and the reconnection time outlive an event, and are the decoder's to tell.
#[derive(Clone)]
pub struct OwnedEvent {
    kind: EventKind,
    offset: u64,
    raw: Bytes,
    data: Bytes,
    /// Where `data` begins in `raw`; `None` where it was joined from several lines.
    data_start: Option<usize>,
    /// UTF-8; `None` is `message`.
    event_type: Option<Bytes>,
    is_unterminated: bool,
    payload: OwnedPayload,
    /// Those of the decoder: depth, and number of values.
    json_limits: (usize, usize),
}

/// What an [`OwnedEvent`] says; see [`Payload`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedPayload {
    /// A chunk; [`OwnedEvent::chunk`] has it.
    Chunk,
    /// The `[DONE]` that ends a stream.
    Done,
    /// An error that the server reports. If it came with a chunk, [`OwnedEvent::chunk`] has it.
    Error(Box<UpstreamFailure>),
    /// A JSON object that is no chunk; [`OwnedEvent::data`] has it.
    Other,
    /// An event that can't be read; the next one is read normally.
    Malformed(Error),
    /// A comment, which servers send as a keep-alive.
    Comment,
    /// Nothing that a client has to do with: blank lines, blocks without data, unknown lines,
    /// and what is left of an event that went over a limit.
    Ignored,
}

impl OwnedEvent {
    /// The event that `place` has found in `taken`.
    pub(super) fn take(decoder: &mut ChunkDecoder, place: Place, taken: &Bytes) -> Self {
        let limits = *decoder.sse().limits();
        Self::new(&decoder.emit(place, taken), taken, &limits)
    }

    /// The last event of a stream that ended before its blank line.
    pub(super) fn salvage(decoder: &mut ChunkDecoder) -> Option<Self> {
        let limits = *decoder.sse().limits();
        Some(Self::new(&decoder.salvage()?, &Bytes::new(), &limits))
    }

    /// Of an event whose bytes, unless it was cut, are in `piece`.
    fn new(event: &ChunkEvent<'_>, piece: &Bytes, limits: &Limits) -> Self {
        let payload = match event.payload() {
            Payload::Chunk(_) => OwnedPayload::Chunk,
            Payload::Done => OwnedPayload::Done,
            Payload::Error(error) => {
                OwnedPayload::Error(Box::new(UpstreamFailure::of(error, event.offset())))
            }
            Payload::Other(_) => OwnedPayload::Other,
            Payload::Malformed(error) => OwnedPayload::Malformed(*error),
            Payload::Comment => OwnedPayload::Comment,
            Payload::Ignored => OwnedPayload::Ignored,
        };
        let event: &Event<'_> = event.event();
        let raw = slice(piece, event.raw());
        let data = match event.data_start {
            Some(start) => {
                let data = raw.get(start..start + event.data().len());
                raw.slice_ref(data.unwrap_or_default())
            }
            None => Bytes::copy_from_slice(event.data()),
        };
        let event_type = event.event_type();
        let event_type = (event_type != MESSAGE).then(|| type_in(&raw, event));
        Self {
            kind: event.kind(),
            offset: event.offset(),
            data,
            data_start: event.data_start,
            event_type,
            is_unterminated: event.is_unterminated(),
            raw,
            payload,
            json_limits: (limits.json_depth, limits.json_values),
        }
    }

    /// What this is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// What the event says.
    #[must_use]
    pub const fn payload(&self) -> &OwnedPayload {
        &self.payload
    }

    /// The event's bytes as they came, all lines and line ends included; those of all events, in
    /// order, are the stream.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The event's bytes as they came, to be forwarded.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// Where [`raw`](Self::raw) begins: bytes from the start of the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The range of [`raw`](Self::raw) in the stream.
    #[must_use]
    pub const fn span(&self) -> Range<u64> {
        self.offset..self.offset + self.raw.len() as u64
    }

    /// The event's `data`, the values of several lines joined by LF. Empty unless this is a
    /// [`Message`](EventKind::Message).
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Where [`data`](Self::data) stands in [`raw`](Self::raw). `None` where it was joined from
    /// several lines, or the event has none.
    #[must_use]
    pub fn data_range(&self) -> Option<Range<usize>> {
        let start = self.data_start.filter(|_| self.kind == EventKind::Message)?;
        Some(start..start + self.data.len())
    }

    /// The event's `data` as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUtf8`] with the stream offset of the first byte that isn't UTF-8; of the
    /// event, where data in several lines were joined.
    pub fn data_str(&self) -> Result<&str, Error> {
        core::str::from_utf8(&self.data).map_err(|error| {
            let position = self.data_range().map_or(0, |data| data.start + error.valid_up_to());
            Error::new(ErrorKind::InvalidUtf8, self.offset + position as u64)
        })
    }

    /// The event type: the value of the last `event` line, else `message`. What isn't UTF-8
    /// is U+FFFD.
    #[must_use]
    pub fn event_type(&self) -> &str {
        let name = self.event_type.as_deref();
        name.and_then(|name| core::str::from_utf8(name).ok()).unwrap_or(MESSAGE)
    }

    /// Whether the stream ended before the blank line that would have closed this event. Only
    /// `salvage` gives such events.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.is_unterminated
    }

    /// The chunk, read again; `None` where there is none.
    ///
    /// It is a copy of the data and of what was read. Where all chunks are wanted, a [`ChunkDecoder`]
    /// reads them many times as fast, from the raw bytes of all events in order.
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
                (limits.json_depth, limits.json_values) = self.json_limits;
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

/// Shows the framing, and of the text its length only: it may be personal.
impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedEvent")
            .field("kind", &self.kind)
            .field("span", &self.span())
            .field("data_len", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// The event type as a slice of the event's bytes, which are `raw`; a copy where it isn't UTF-8 there.
fn type_in(raw: &Bytes, event: &Event<'_>) -> Bytes {
    let event_type = event.event_type().as_bytes();
    let start = event_type.as_ptr().addr().checked_sub(event.raw().as_ptr().addr());
    let slice = start.and_then(|start| raw.get(start..start.checked_add(event_type.len())?));
    match slice.filter(|slice| *slice == event_type) {
        Some(slice) => raw.slice_ref(slice),
        None => Bytes::copy_from_slice(event_type),
    }
}

/// `part` as a slice of `whole` where it is one, else a copy.
fn slice(whole: &Bytes, part: &[u8]) -> Bytes {
    let (range, start) = (whole.as_ptr_range(), part.as_ptr());
    let is_in = start >= range.start && start < range.end;
    if is_in || part.is_empty() { whole.slice_ref(part) } else { Bytes::copy_from_slice(part) }
}
