//! Single-line events: one `data` line and a blank line, or a comment or blank line between events.
//!
//! Most events are such. One that lies whole in a piece needs none of the decoder's buffers.

use core::ops::Range;

use memchr::memchr2;

#[cfg(feature = "std")]
use super::decoder::Hot;
use super::decoder::{SseDecoder, State};
use super::emit::{EventSpan, SingleLine};
use super::event::EventKind;
use super::event_buffer::DataBuffer;
use super::general::General;
use super::line::{LineSpan, near_line_end};
use crate::slice::bytes_in;

/// The start of the line of a message.
const DATA: &[u8] = b"data:";

impl SseDecoder {
    /// Locates a single-line event that lies whole in `piece`, and the end of the first line.
    ///
    /// Counts a comment, and leaves the rest of the decoder as it is.
    #[inline]
    pub(super) fn locate_single_line(
        &mut self,
        piece: &[u8],
    ) -> (Option<EventSpan>, Option<usize>) {
        if let Some(value) = piece.strip_prefix(DATA) {
            let line_end = memchr2(b'\n', b'\r', value).map(|end| DATA.len() + end);
            let span = line_end.and_then(|end| {
                let (kind, end_len) = recognise(None, bytes_in(piece, end..))?;
                self.single_line(kind, data_start(piece)..end, end + end_len)
            });
            return (span, line_end);
        }
        let line_end = near_line_end(piece);
        let span = line_end.and_then(|end| {
            let (kind, end_len) = recognise(Some(*piece.first()?), bytes_in(piece, end..))?;
            let span = self.single_line(kind, 0..0, end + end_len)?;
            self.head.comments += u64::from(kind == EventKind::Comment);
            Some(span)
        });
        (span, line_end)
    }

    /// Counts the comment at the front of `piece`, if it is a whole event; returns its length.
    ///
    /// Returns `None`, too, where a buffer may have to be freed first. So the path of a heartbeat has
    /// no call.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn count_comment(&mut self, piece: &[u8]) -> Option<usize> {
        let Hot { state, patience, limit_free_len, .. } = &self.head.hot;
        let is_usual = matches!(state, State::BetweenEvents) && !patience.is_counting();
        if !is_usual || piece.first() != Some(&b':') {
            return None;
        }
        let end = near_line_end(piece)?;
        let (_, end_len) = recognise(Some(b':'), bytes_in(piece, end..))?;
        let len = end + end_len;
        if len > *limit_free_len {
            return None;
        }
        self.head.comments += 1;
        Some(len)
    }

    /// Returns the span of a single-line event, unless its length may exceed a limit.
    #[inline]
    fn single_line(&self, kind: EventKind, data: Range<usize>, len: usize) -> Option<EventSpan> {
        let single_line = Some(SingleLine { kind, data });
        (len <= self.head.hot.limit_free_len).then_some(EventSpan { len, single_line })
    }
}

impl General<'_> {
    /// Ends a single-line message, and returns the length of its rest in `piece`.
    ///
    /// `line` is the rest of its line. The start, at least `data:`, must be in the buffer.
    #[inline]
    pub(super) fn finish_single_line(&mut self, piece: &[u8], line: &LineSpan) -> Option<usize> {
        if self.cold.event.line_start > 0 || !self.cold.buffer.starts_with(DATA) {
            return None;
        }
        let line_end = line.content_end();
        let (_, end_len) = recognise(None, bytes_in(piece, line_end..))?;
        let len = line_end + end_len;
        if self.cold.event.len + len > self.hot.limit_free_len {
            return None;
        }
        let data_end = self.cold.event.len + line_end;
        self.cold.event.len += len;
        self.buffer_bytes(bytes_in(piece, ..len));
        self.cold.event.data = DataBuffer::Single(data_start(&self.cold.buffer)..data_end);
        self.hot.state = State::Emitted(None);
        Some(len)
    }
}

/// Returns the start of the value in a line that begins with [`DATA`].
#[inline]
fn data_start(line: &[u8]) -> usize {
    DATA.len() + usize::from(line.get(DATA.len()) == Some(&b' '))
}

/// Recognises a single-line event by the `tail` of the stream from the end of its line.
///
/// `first` is the first byte of a line that doesn't begin with [`DATA`]. Returns the kind of the
/// event, and the number of bytes of `tail` that belong to it.
#[inline]
const fn recognise(first: Option<u8>, tail: &[u8]) -> Option<(EventKind, usize)> {
    match (first, tail) {
        (None, [b'\n', b'\n', ..]) => Some((EventKind::Message, 2)),
        (None, [b'\r', b'\n', b'\r', b'\n', ..]) => Some((EventKind::Message, 4)),
        (Some(b':'), [b'\n', b'\n', ..]) => Some((EventKind::Comment, 2)),
        (Some(b':'), [b'\n', b'\r', ..]) => None,
        (Some(b':'), [b'\n', ..]) => Some((EventKind::Comment, 1)),
        (Some(b'\n'), _) => Some((EventKind::BlankLine, 1)),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use crate::limits::Limits;
    use crate::sse::EventKind;
    use crate::sse::decoder::{SseDecoder, State};
    use crate::sse::emit::EventSpan;

    /// Creates a decoder between two events, with a limit for lines, events and comments.
    fn decoder(limit: usize) -> SseDecoder {
        let limits = Limits {
            max_line_bytes: limit,
            max_event_bytes: limit,
            max_comment_bytes: limit,
            ..Limits::default()
        };
        let mut decoder = SseDecoder::with_limits(limits);
        assert!(decoder.next(&mut &b"data: 0\n\n"[..]).is_some());
        decoder.begin(b"");
        assert!(matches!(decoder.head.hot.state, State::BetweenEvents));
        decoder
    }

    #[test]
    fn single_line_events_are_located_at_once() {
        for (event, behind, kind) in [
            ("data: x\n\n", "", EventKind::Message),
            ("data: 01234\n\n", "data: y\n\n", EventKind::Message),
            ("data:x\r\n\r\n", "data", EventKind::Message),
            ("data: 0123456789012\r\n\r\n", "", EventKind::Message),
            ("data:\n\n", "\n", EventKind::Message),
            (": ping\n\n", "data", EventKind::Comment),
            (": ping\n", "data", EventKind::Comment),
            (":012345678901234567890123456\n\n", "", EventKind::Comment),
            ("\n", "data", EventKind::BlankLine),
        ] {
            let piece = [event, behind].concat();
            let span = decoder(30).locate_single_line(piece.as_bytes()).0.unwrap();
            let found = (span.single_line.unwrap().kind, span.len);
            assert_eq!(found, (kind, event.len()), "{piece:?}");
        }
    }

    #[test]
    fn the_end_of_a_cut_single_line_event_is_located_at_once() {
        let event = "data: 01234567\n\n";
        for cut in 5..event.len() - 2 {
            let mut decoder = decoder(30);
            assert!(decoder.next(&mut &event.as_bytes()[..cut]).is_none());
            assert!(matches!(decoder.head.hot.state, State::InLine));
            let piece = &event.as_bytes()[cut..];
            let line = decoder.head.hot.splitter.next(piece).unwrap();
            assert_eq!(
                decoder.general().finish_single_line(piece, &line),
                Some(piece.len()),
                "{cut}"
            );
            let event = decoder.emit(EventSpan::in_buffers(piece.len()), piece);
            assert_eq!((event.kind(), event.data()), (EventKind::Message, &b"01234567"[..]));
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn between_events_is_true_after_each_event() {
        let mut decoder = decoder(30);
        for event in ["data: x\n\n", ": ping\n\n", "id: 1\ndata: x\r\n\r\n"] {
            assert!(decoder.next(&mut event.as_bytes()).is_some());
            assert_eq!(decoder.between_events(b""), Some(30), "{event:?}");
        }
        assert!(decoder.next(&mut &b"da"[..]).is_none());
        assert_eq!(decoder.between_events(b""), None);
    }
}
