//! `EventSpan`: a located event as positions, and the [`Event`] that borrows its bytes.

use alloc::string::String;
use core::ops::Range;

use super::cold::{Cold, IDLE_CAPACITY};
use super::decoder::{SseDecoder, State};
use super::event::{Event, EventKind};
use super::event_buffer::EventBuffer;
use super::general::General;
use crate::error::{Error, ErrorKind};
use crate::slice::bytes_in;

/// An event that was located and not emitted yet. It borrows nothing.
pub(crate) struct EventSpan {
    /// Number of bytes at the front of the piece that belong to the event.
    pub(crate) len: usize,
    /// `None` if the event is described by the decoder's [`EventBuffer`](super::EventBuffer).
    pub(super) single_line: Option<SingleLine>,
}

/// A single-line event whose `len` bytes are in the piece.
pub(super) struct SingleLine {
    pub(super) kind: EventKind,
    /// `start <= end <= len`
    pub(super) data: Range<usize>,
}

impl EventSpan {
    /// Creates the span of the event in the decoder's buffers.
    #[inline]
    pub(super) const fn in_buffers(len: usize) -> Self {
        Self { len, single_line: None }
    }
}

impl SseDecoder {
    /// Returns the event that was located last; `raw` is its part of the piece.
    #[inline]
    pub(crate) fn emit<'a>(&'a mut self, span: EventSpan, raw: &'a [u8]) -> Event<'a> {
        if let Some(SingleLine { kind, data }) = span.single_line {
            return self.emit_single_line(kind, raw, data);
        }
        self.emit_general(raw)
    }

    /// Returns the event in the buffers, after storing its id and its type.
    #[inline(never)]
    fn emit_general<'a>(&'a mut self, raw: &'a [u8]) -> Event<'a> {
        let mut general = self.general();
        let EventBuffer { id, event_type, error, .. } = &general.cold.event;
        if error.is_none() && (id.is_some() || event_type.is_some()) {
            general.cold.event.error = general.store_fields(raw).err();
        }
        let General { hot, cold, .. } = general;
        cold.view(hot.offset, raw)
    }

    /// Returns the length up to which no event exceeds a limit, if `piece` begins with an event.
    #[inline]
    pub(crate) fn between_events(&mut self, piece: &[u8]) -> Option<usize> {
        if !matches!(self.head.hot.state, State::BetweenEvents) {
            self.begin(piece);
        }
        matches!(self.head.hot.state, State::BetweenEvents).then_some(self.head.hot.limit_free_len)
    }

    /// Returns a message of one `data` line, and perhaps an `event` line, that is `raw`.
    ///
    /// [`between_events`](Self::between_events) must have returned at least `raw.len()` before.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn emit_templated<'a>(&'a mut self, raw: &'a [u8], data: Range<usize>) -> Event<'a> {
        self.emit_single_line(EventKind::Message, raw, data)
    }

    /// Returns the comment that is `raw`, which [`count_comment`](Self::count_comment) has counted.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn emit_comment<'a>(&'a mut self, raw: &'a [u8]) -> Event<'a> {
        self.emit_single_line(EventKind::Comment, raw, 0..0)
    }

    /// Returns the event that is `raw`; the decoder stays in [`State::BetweenEvents`].
    #[inline]
    fn emit_single_line<'a>(
        &'a mut self,
        kind: EventKind,
        raw: &'a [u8],
        data: Range<usize>,
    ) -> Event<'a> {
        let Range { start, end } = data;
        let is_message = kind == EventKind::Message;
        let data = if is_message { bytes_in(bytes_in(raw, ..end), start..) } else { &[] };
        let offset = self.head.hot.offset;
        self.advance(raw.len());
        let event = Event { raw, data, offset, cold: self.head.cold.as_deref() };
        debug_assert!(event.kind() == kind && event.data_start() == Some(start), "by its bytes");
        event
    }

    /// Skips a single-line event of `len` bytes.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        self.head.hot.offset += len as u64;
        if self.head.hot.patience.is_counting() {
            self.count_idle();
        }
    }
}

impl General<'_> {
    /// Stores the event's id, and its type if that isn't UTF-8.
    pub(super) fn store_fields(&mut self, raw: &[u8]) -> Result<(), Error> {
        let (is_new_id, type_len) = self.check_fields(raw)?;
        let Cold { event, buffer, data_buffer, stream, lossy_type, .. } = &mut *self.cold;
        if type_len > IDLE_CAPACITY {
            // The limit counts the needs of this event, not the spare capacity of earlier ones.
            buffer.shrink_to_fit();
            data_buffer.shrink_to_fit();
        }
        let bytes = if buffer.is_empty() { raw } else { buffer };
        if let Some(id) = &event.id
            && is_new_id
        {
            set_lossy(&mut stream.last_event_id, bytes_in(bytes, id.clone()));
        }
        if let Some(event_type) = &event.event_type
            && type_len > 0
        {
            set_lossy(lossy_type, bytes_in(bytes, event_type.clone()));
        }
        Ok(())
    }

    /// Checks that the id and type of a finished event are within the limits.
    ///
    /// Returns true if the id is new, and the length of the text that replaces a type that isn't
    /// UTF-8. The length is 0 for any other type.
    pub(super) fn check_fields(&self, raw: &[u8]) -> Result<(bool, usize), Error> {
        let Cold { event, data_buffer, stream, .. } = &*self.cold;
        let (bytes, limits) = (self.cold.bytes(raw), self.limits);
        let id = event.id.clone().map(|id| (id.start, bytes_in(bytes, id)));
        let new_id = id.filter(|(_, id)| *id != stream.last_event_id.as_bytes());
        if let Some((start, id)) = new_id
            && lossy_len(id) > limits.max_id_bytes
        {
            return Err(Error::new(ErrorKind::IdTooLong, self.hot.offset + start as u64));
        }
        let event_type = event.event_type.clone().map(|event_type| bytes_in(bytes, event_type));
        let invalid_type = event_type.filter(|text| core::str::from_utf8(text).is_err());
        let type_len = invalid_type.map_or(0, lossy_len);
        let len = event.line_start + 1 + data_buffer.len();
        if type_len > 0 && len + type_len > limits.max_event_bytes {
            return Err(Error::new(ErrorKind::EventTooLarge, self.hot.offset));
        }
        Ok((new_id.is_some(), type_len))
    }
}

/// Returns the length of `bytes` as text, in which U+FFFD replaces invalid bytes.
fn lossy_len(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|chunk| chunk.valid().len() + replacement(&chunk).len()).sum()
}

/// Sets `text` to `bytes` as the standard decodes them; reserves exactly their length.
fn set_lossy(text: &mut String, bytes: &[u8]) {
    text.clear();
    text.reserve_exact(lossy_len(bytes));
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(replacement(&chunk));
    }
}

fn replacement(chunk: &core::str::Utf8Chunk<'_>) -> &'static str {
    if chunk.invalid().is_empty() { "" } else { "\u{FFFD}" }
}
