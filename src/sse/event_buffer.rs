//! `EventBuffer`: what the lines of one event have said so far, as positions in its bytes.

use alloc::vec::Vec;
use core::ops::Range;

use memchr::memchr;

use super::event::{EventFlags, EventKind, SseField, StreamState};
use crate::limits::Limits;

/// The lines from one blank line to the next. Positions count from its first byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBuffer {
    /// Bytes of the block in the pieces so far.
    pub(crate) len: usize,
    /// Where the line at hand begins.
    pub(crate) line_start: usize,
    /// A field has been read: the next blank line closes the block.
    pub(crate) open: bool,
    pub(crate) data: DataBuffer,
    pub(crate) event_type: Option<Range<usize>>,
    pub(crate) id: Option<Range<usize>>,
    pub(crate) marks: EventFlags,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum DataBuffer {
    #[default]
    Empty,
    /// One value, in the event's bytes.
    Single(Range<usize>),
    /// Several values, in a buffer.
    Joined,
}

/// What a line does to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineEffect {
    /// The block goes on.
    Continue,
    /// The block is closed.
    Dispatch,
    /// The line stands alone, between two blocks.
    Standalone(EventKind),
}

impl EventBuffer {
    /// What the block is once it is closed.
    pub(crate) const fn kind(&self) -> EventKind {
        if matches!(self.data, DataBuffer::Empty) {
            EventKind::Undispatched
        } else {
            EventKind::Message
        }
    }

    /// Processes a whole line of the block, whose bytes so far are `bytes` ("9.2.6 Interpreting
    /// an event stream").
    #[inline]
    pub(crate) fn read_line(
        &mut self,
        bytes: &[u8],
        line: Range<usize>,
        data_buffer: &mut Vec<u8>,
        stream: &mut StreamState,
        limits: &Limits,
    ) -> LineEffect {
        let text = bytes.get(line.clone()).unwrap_or_default();
        if text.is_empty() {
            return if self.open {
                LineEffect::Dispatch
            } else {
                LineEffect::Standalone(EventKind::Blank)
            };
        }
        match SseField::of(text) {
            SseField::Data(start) => {
                let most = limits.event_bytes.saturating_sub(line.end);
                self.add_data(bytes, line.start + start..line.end, data_buffer, most);
            }
            SseField::Event(start) => self.event_type = Some(line.start + start..line.end),
            SseField::Id(start) => {
                // "If the field value does not contain U+0000 NULL": else it is ignored.
                if memchr(0, text.get(start..).unwrap_or_default()).is_none() {
                    self.id = Some(line.start + start..line.end);
                }
            }
            SseField::Retry(start) => {
                let time = milliseconds(text.get(start..).unwrap_or_default());
                stream.reconnection_time = time.or(stream.reconnection_time);
            }
            SseField::Unknown => {
                let is_comment = text.first() == Some(&b':');
                stream.comments += u64::from(is_comment);
                self.marks.comments |= is_comment;
                self.marks.unknown |= !is_comment;
                return match (self.open, is_comment) {
                    (true, _) => LineEffect::Continue,
                    (false, true) => LineEffect::Standalone(EventKind::Comment),
                    (false, false) => LineEffect::Standalone(EventKind::Unknown),
                };
            }
        }
        self.open = true;
        LineEffect::Continue
    }

    /// How long the joined data becomes with `line`; 0 where nothing is to be joined.
    #[inline]
    pub(crate) fn joined_len(&self, bytes: &[u8], line: Range<usize>, data_len: usize) -> usize {
        let before = match &self.data {
            DataBuffer::Empty => return 0,
            DataBuffer::Single(first) => first.len(),
            DataBuffer::Joined => data_len,
        };
        match SseField::of(bytes.get(line.clone()).unwrap_or_default()) {
            SseField::Data(start) => before + 1 + (line.len() - start),
            _ => 0,
        }
    }

    /// Adds the value of a `data` line. One value stays where it is; a second one makes both
    /// move to `data_buffer`.
    #[inline]
    fn add_data(
        &mut self,
        bytes: &[u8],
        value: Range<usize>,
        data_buffer: &mut Vec<u8>,
        most: usize,
    ) {
        match &self.data {
            DataBuffer::Empty => self.data = DataBuffer::Single(value),
            DataBuffer::Single(first) => {
                append(data_buffer, bytes.get(first.clone()).unwrap_or_default(), most);
                append(data_buffer, b"\n", most);
                append(data_buffer, bytes.get(value).unwrap_or_default(), most);
                self.data = DataBuffer::Joined;
            }
            DataBuffer::Joined => {
                append(data_buffer, b"\n", most);
                append(data_buffer, bytes.get(value).unwrap_or_default(), most);
            }
        }
    }
}

/// Appends to a buffer that grows to powers of two, but not past `most` bytes: the caller keeps no
/// more.
#[inline]
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let capacity =
            needed.checked_next_power_of_two().unwrap_or(needed).max(256).min(most).max(needed);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// A `retry` value: one or more ASCII digits.
fn milliseconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}
