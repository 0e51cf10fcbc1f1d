//! The looks that most events need: one line of data, or a line that stands alone, within the
//! limits. They touch none of the state that other events need, and leave those to `step`.

#[cfg(feature = "std")]
use core::ops::Range;

use memchr::memchr2;

use super::event::{Event, EventFlags, EventKind, MESSAGE};
use super::event_buffer::DataBuffer;
use super::line::{LineSpan, near_line_end};
use super::{SseDecoder, Step};

/// An event of one line, and the input behind it.
pub(super) struct SingleLineEvent<'i> {
    pub(super) kind: EventKind,
    pub(super) raw: &'i [u8],
    pub(super) data: &'i [u8],
    pub(super) data_start: usize,
    pub(super) rest: &'i [u8],
}

impl SseDecoder {
    /// Whether the next byte begins an event, and how long that may be without going over a limit.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn between_events(&mut self) -> Option<usize> {
        if !self.is_between_events {
            self.begin();
        }
        self.is_between_events.then_some(self.limit_free_len)
    }

    /// Gives an event of one line of data that is `raw` and was found between events. `data` is
    /// where its data stand.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn emit_templated<'a>(
        &'a mut self,
        raw: &'a [u8],
        data: Range<usize>,
        event_type: &'a str,
    ) -> Event<'a> {
        let offset = self.offset;
        self.advance(raw.len());
        let data_start = Some(data.start);
        Event {
            kind: EventKind::Message,
            offset,
            raw,
            data: raw.get(data).unwrap_or_default(),
            data_start,
            event_type,
            stream: &self.stream,
            marks: EventFlags::default(),
            error: None,
        }
    }

    /// Goes on behind such an event, which nobody wants.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn advance(&mut self, len: usize) {
        self.offset += len as u64;
    }

    /// Whether a line has begun and is wanting its end.
    #[inline]
    pub(super) fn is_inside_a_line(&self) -> bool {
        self.block.line_start < self.block.len && self.discarding.is_none()
    }

    /// Keeps a piece that only goes on with a line and stays within the limits. `span` is the
    /// piece's first part of a line.
    #[inline]
    pub(super) fn buffer_partial_line(&mut self, piece: &[u8], span: &LineSpan) -> bool {
        let len = self.block.len + span.len();
        let fits = !span.is_complete() && len + self.data_buffer.len() <= self.limit_free_len;
        if fits {
            self.block.len = len;
            self.buffer_bytes(piece);
        }
        fits
    }

    /// Ends an event of one line of data, as [`single_line`](Self::single_line) sees them, whose beginning is
    /// in the carry.
    #[inline]
    pub(super) fn finish_single_line(&mut self, piece: &[u8], span: &LineSpan) -> Option<Step> {
        let taken = span.len() + 1;
        let is_first = self.block.line_start == 0;
        let ends = piece.get(span.content_end()..taken) == Some(b"\n\n");
        let fits = self.block.len + taken <= self.limit_free_len;
        if !(is_first && ends && fits && self.buffer.starts_with(b"data:")) {
            return None;
        }
        self.buffer_bytes(piece.get(..taken).unwrap_or_default());
        self.block.len += taken;
        let start = if self.buffer.get(5) == Some(&b' ') { 6 } else { 5 };
        self.block.data = DataBuffer::Single(start..self.block.len - 2);
        Some(self.step_of(EventKind::Message, taken, true))
    }

    /// Sees the events that need no more than a look: one line of data and a blank line, or a
    /// line that stands alone, whole in the piece and within the limits. Most events are such.
    /// Whatever else comes is for [`step`](Self::step), with the end of its first line.
    #[inline]
    pub(super) fn single_line<'i>(
        &mut self,
        piece: &'i [u8],
    ) -> (Option<SingleLineEvent<'i>>, Option<usize>) {
        let single_line;
        let Some(value) = piece.strip_prefix(b"data:") else {
            let end = near_line_end(piece);
            single_line = end.and_then(|end| self.standalone_line(piece, end));
            return (single_line, end);
        };
        let Some(end) = memchr2(b'\n', b'\r', value) else { return (None, None) };
        let (data, ends) = value.split_at_checked(end).unwrap_or_default();
        let rest = match ends {
            [b'\n', b'\n', rest @ ..] | [b'\r', b'\n', b'\r', b'\n', rest @ ..] => Some(rest),
            _ => None,
        };
        let fits = end + 9 <= self.limit_free_len;
        single_line = rest.filter(|_| fits).map(|rest| {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            let raw = piece.get(..piece.len() - rest.len()).unwrap_or_default();
            SingleLineEvent {
                kind: EventKind::Message,
                raw,
                data,
                data_start: 5 + end - data.len(),
                rest,
            }
        });
        (single_line, Some(5 + end))
    }

    /// [`single_line`](Self::single_line) at a line that is no data and ends at `end`.
    #[inline]
    fn standalone_line<'i>(&mut self, piece: &'i [u8], end: usize) -> Option<SingleLineEvent<'i>> {
        let (kind, taken) = match (piece.first()?, piece.get(end..)?) {
            (b':', [b'\n', b'\n', ..]) => (EventKind::Comment, end + 2),
            (b':', [b'\n', b'\r', ..] | [b'\r', ..]) => return None,
            (b':', _) => (EventKind::Comment, end + 1),
            (b'\n', _) => (EventKind::Blank, 1),
            _ => return None,
        };
        if taken > self.limit_free_len {
            return None;
        }
        self.stream.comments += u64::from(kind == EventKind::Comment);
        let (raw, rest) = piece.split_at_checked(taken)?;
        Some(SingleLineEvent { kind, raw, data: &[], data_start: 0, rest })
    }

    #[inline]
    pub(super) fn emit_single_line<'a>(
        &'a mut self,
        single_line: &SingleLineEvent<'a>,
    ) -> Event<'a> {
        let offset = self.offset;
        self.offset += single_line.raw.len() as u64;
        Event {
            kind: single_line.kind,
            offset,
            raw: single_line.raw,
            data: single_line.data,
            data_start: Some(single_line.data_start),
            event_type: MESSAGE,
            stream: &self.stream,
            marks: EventFlags {
                comments: single_line.kind == EventKind::Comment,
                ..EventFlags::default()
            },
            error: None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use crate::limits::Limits;
    use crate::sse::EventKind;
    use crate::sse::SseDecoder;

    /// A decoder between two events, whose lines, events and comments may have `most` bytes.
    fn decoder(most: usize) -> SseDecoder {
        let limits = Limits {
            line_bytes: most,
            event_bytes: most,
            comment_bytes: most,
            ..Limits::default()
        };
        let mut decoder = SseDecoder::with_limits(limits);
        assert!(decoder.next(&mut &b"data: 0\n\n"[..]).is_some());
        decoder.begin();
        assert!(decoder.is_between_events);
        decoder
    }

    /// The events that most streams are made of need no more than a look.
    #[test]
    fn ordinary_events_are_seen_at_once() {
        for (event, behind, kind) in [
            ("data: x\n\n", "", EventKind::Message),
            ("data: 01234\n\n", "data: y\n\n", EventKind::Message),
            ("data:x\r\n\r\n", "data", EventKind::Message),
            ("data: 0123456789012\r\n\r\n", "", EventKind::Message),
            ("data:\n\n", "\n", EventKind::Message),
            (": ping\n\n", "data", EventKind::Comment),
            (": ping\n", "data", EventKind::Comment),
            (":012345678901234567890123456\n\n", "", EventKind::Comment),
            ("\n", "data", EventKind::Blank),
        ] {
            let piece = [event, behind].concat();
            let mut decoder = decoder(30);
            let single_line = decoder.single_line(piece.as_bytes()).0.unwrap();
            let seen = (single_line.kind, single_line.raw, single_line.rest);
            assert_eq!(seen, (kind, event.as_bytes(), behind.as_bytes()), "{piece:?}");
        }
    }

    /// So does the end of one that was cut.
    #[test]
    fn the_end_of_ordinary_data_is_seen_at_once() {
        let event = "data: 01234567\n\n";
        for at in 6..event.len() - 2 {
            let mut decoder = decoder(30);
            assert!(decoder.next(&mut &event.as_bytes()[..at]).is_none());
            assert!(decoder.is_inside_a_line());
            let piece = &event.as_bytes()[at..];
            let span = decoder.splitter.next(piece).unwrap();
            assert!(!decoder.buffer_partial_line(piece, &span));
            let step = decoder.finish_single_line(piece, &span).unwrap();
            assert_eq!((step.kind, step.taken), (EventKind::Message, piece.len()), "{at}");
        }
    }

    /// Behind each event, before anything of the next one is there.
    #[cfg(feature = "std")]
    #[test]
    fn between_events_is_known() {
        let mut decoder = decoder(30);
        for event in ["data: x\n\n", ": ping\n\n", "id: 1\ndata: x\r\n\r\n"] {
            assert!(decoder.next(&mut event.as_bytes()).is_some());
            assert_eq!(decoder.between_events(), Some(30), "{event:?}");
        }
        assert!(decoder.next(&mut &b"da"[..]).is_none());
        assert_eq!(decoder.between_events(), None);
    }
}
