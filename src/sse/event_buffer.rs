//! `EventBuffer`: the fields of the event that is being read, as positions in its bytes.

use alloc::vec::Vec;
use core::ops::Range;

use memchr::memchr;

use super::cold::StreamState;
use super::event::{EventFlags, EventKind, SseField};
use crate::error::Error;
use crate::limits::Limits;
use crate::slice::bytes_in;

/// The lines of one event so far. Positions count from its first byte.
///
/// `line_start <= len`, and the ranges end at or before `len`.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBuffer {
    /// Number of bytes of the event that were read.
    pub(crate) len: usize,
    /// Start of the current line.
    pub(crate) line_start: usize,
    /// True if the event has a field, so that the next blank line closes it.
    pub(crate) has_field: bool,
    pub(crate) data: DataBuffer,
    pub(crate) event_type: Option<Range<usize>>,
    pub(crate) id: Option<Range<usize>>,
    pub(crate) flags: EventFlags,
    /// Number of comments among the lines.
    pub(crate) comments: u64,
    /// The kind of a line, or of discarded bytes, between two events.
    pub(crate) lone_kind: Option<EventKind>,
    /// The error of an event that exceeds a limit.
    pub(crate) error: Option<Error>,
}

/// The standard's data buffer.
#[derive(Clone, Debug, Default)]
pub(crate) enum DataBuffer {
    #[default]
    Empty,
    /// One value, in the event's bytes.
    Single(Range<usize>),
    /// Several values, in a buffer of their own.
    Joined,
}

impl EventBuffer {
    /// Returns the kind of the event, if it ends here.
    #[inline]
    pub(crate) const fn kind(&self) -> EventKind {
        match (self.error, self.lone_kind, &self.data) {
            (Some(_), ..) => EventKind::TooLarge,
            (None, Some(kind), _) => kind,
            (None, None, DataBuffer::Empty) => EventKind::Undispatched,
            (None, None, _) => EventKind::Message,
        }
    }

    /// Processes a finished line ("9.2.6 Interpreting an event stream"); `bytes` are the event's.
    ///
    /// Returns true if the line ends the event, because it closes the event or is one.
    #[inline]
    pub(crate) fn read_line(
        &mut self,
        bytes: &[u8],
        line: Range<usize>,
        data_buffer: &mut Vec<u8>,
        stream: &mut StreamState,
        limits: &Limits,
    ) -> bool {
        debug_assert!(line.start == self.line_start && line.end <= self.len);
        let text = bytes_in(bytes, line.clone());
        if text.is_empty() {
            self.lone_kind = (!self.has_field).then_some(EventKind::BlankLine);
            return true;
        }
        match SseField::of(text) {
            SseField::Data(start) => {
                let max_capacity = limits.max_event_bytes.saturating_sub(line.end);
                self.add_data(bytes, line.start + start..line.end, data_buffer, max_capacity);
            }
            SseField::Event(start) => self.event_type = Some(line.start + start..line.end),
            SseField::Id(start) => {
                // The standard ignores an id with U+0000.
                if memchr(0, bytes_in(text, start..)).is_none() {
                    self.id = Some(line.start + start..line.end);
                }
            }
            SseField::Retry(start) => {
                let time = milliseconds(bytes_in(text, start..));
                stream.reconnection_time = time.or(stream.reconnection_time);
            }
            SseField::Unknown => {
                let is_comment = text.first() == Some(&b':');
                self.comments += u64::from(is_comment);
                self.flags.comments |= is_comment;
                self.flags.unknown |= !is_comment;
                let kind = if is_comment { EventKind::Comment } else { EventKind::UnknownField };
                self.lone_kind = (!self.has_field).then_some(kind);
                return !self.has_field;
            }
        }
        self.has_field = true;
        false
    }

    /// Returns the length of the joined data including `line`, or 0 if `line` joins nothing.
    #[inline]
    pub(crate) fn joined_len(&self, bytes: &[u8], line: Range<usize>, data_len: usize) -> usize {
        let before = match &self.data {
            DataBuffer::Empty => return 0,
            DataBuffer::Single(first) => first.len(),
            DataBuffer::Joined => data_len,
        };
        match SseField::of(bytes_in(bytes, line.clone())) {
            SseField::Data(start) => before + 1 + (line.len() - start),
            _ => 0,
        }
    }

    /// Adds the value of a `data` line; the second value moves both to `data_buffer`.
    #[inline]
    fn add_data(
        &mut self,
        bytes: &[u8],
        value: Range<usize>,
        data_buffer: &mut Vec<u8>,
        max_capacity: usize,
    ) {
        match &self.data {
            DataBuffer::Empty => {
                self.data = DataBuffer::Single(value);
                return;
            }
            DataBuffer::Single(first) => {
                append(data_buffer, bytes_in(bytes, first.clone()), max_capacity);
                self.data = DataBuffer::Joined;
            }
            DataBuffer::Joined => {}
        }
        append(data_buffer, b"\n", max_capacity);
        append(data_buffer, bytes_in(bytes, value), max_capacity);
    }
}

/// Appends to a buffer that grows to powers of two up to `max_capacity`, and past it only by need.
#[inline]
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8], max_capacity: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let doubled = needed.checked_next_power_of_two().unwrap_or(needed);
        let capacity = doubled.max(256).min(max_capacity).max(needed);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// Returns the value of a `retry` line that is one or more ASCII digits.
fn milliseconds(digits: &[u8]) -> Option<u64> {
    digits.first()?;
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}
