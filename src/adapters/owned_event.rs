//! `OwnedEvent`: an event that is stored beyond its piece, as slices of the piece.

use core::fmt;
use core::ops::Range;
use std::borrow::Cow;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::slice::bytes_in;
use crate::sse::{Event, EventKind, LineSplitter, MESSAGE, SseField};

/// An event with its own memory, which can be stored or sent to other tasks.
///
/// If the event was whole in a piece of the body, [`raw`](Self::raw) and [`data`](Self::data) are
/// slices of that piece, without a copy. An event that was cut over several pieces is copied once. A
/// slice keeps all of its piece alive. Copy events that are stored for long, with
/// [`Bytes::copy_from_slice`].
///
/// The decoder stores the last event ID and the reconnection time, which outlive an event.
/// [`id`](Self::id) is the part that this event has in it.
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
    error: Option<Error>,
}

impl OwnedEvent {
    /// Converts an event whose bytes are in `piece`, unless it was cut.
    pub(super) fn new(event: &Event<'_>, piece: &Bytes) -> Self {
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
            error: event.error(),
            raw,
        }
    }

    /// Returns the kind of the event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
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

    /// Returns the value of the last `id` line of the event. Returns `None` if it has none.
    ///
    /// It is the last event ID of this event and of those behind it, up to the next one with an ID. An
    /// empty value removes the ID. As in the standard, a line with U+0000 is ignored, and bytes that
    /// aren't UTF-8 are U+FFFD. Searches the lines of the event.
    #[must_use]
    pub fn id(&self) -> Option<Cow<'_, str>> {
        if !matches!(self.kind, EventKind::Message | EventKind::Undispatched) {
            return None;
        }
        let is_first = self.offset == 0;
        let mut lines = if is_first { LineSplitter::new() } else { LineSplitter::behind(b'\n') };
        let (mut rest, mut id) = (&self.raw[..], None);
        while let Some(span) = lines.next(rest) {
            let line = span.content(rest);
            if let SseField::Id(start) = SseField::of(line) {
                id = Some(bytes_in(line, start..)).filter(|id| !id.contains(&0)).or(id);
            }
            rest = bytes_in(rest, span.len()..);
        }
        id.map(String::from_utf8_lossy)
    }

    /// Returns true if the stream ended before the blank line of this event.
    ///
    /// Only `salvage` returns such events.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.is_unterminated
    }

    /// Returns the limit that a [`TooLarge`](EventKind::TooLarge) event exceeds.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        self.error
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
