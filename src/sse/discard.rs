//! Events and lines that exceed a limit: cut at the same byte in every piecing, then discarded.

use super::decoder::State;
use super::event::{EventKind, SseField};
use super::general::General;
use super::line::{LineSpan, LineSplitter};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::slice::bytes_in;

/// The end up to which bytes are discarded.
#[derive(Clone, Copy)]
pub(super) enum Discarding {
    /// The end of the line, which is a comment.
    CommentEnd,
    /// The end of the line, which is an unknown line.
    LineEnd,
    /// The end of the next blank line.
    BlankLine { line_is_empty: bool },
}

/// Where an event or a line is cut.
pub(super) struct LimitExceeded {
    /// `line_start <= position <= event.len`
    pub(super) position: usize,
    /// `None` for a comment or an unknown line, which is truncated without an error.
    pub(super) error: Option<ErrorKind>,
}

impl General<'_> {
    /// Returns the first position of the event that exceeds a limit.
    ///
    /// `line` is the end of the event so far, from `piece`. The result depends on the bytes of the
    /// stream only, not on its pieces.
    #[cold]
    pub(super) fn limit_exceeded(
        &mut self,
        piece: &[u8],
        buffered: usize,
        line: &LineSpan,
    ) -> Option<LimitExceeded> {
        let Limits { max_line_bytes, max_event_bytes, max_comment_bytes, .. } = *self.limits;
        let line_start = self.cold.event.line_start;
        let span_start = self.cold.event.len - line.len();
        let content_start = span_start + line.content_start();
        let end = span_start + line.content_end();
        if content_start == end && !line.is_complete() {
            // Only the LF of a CRLF: as in one piece, it counts with the byte behind it.
            return None;
        }
        if !self.cold.event.has_field
            && self.is_unknown_field(bytes_in(piece, ..end - buffered), buffered)
        {
            let exceeds = end - line_start > max_comment_bytes;
            return exceeds
                .then(|| LimitExceeded { position: line_start + max_comment_bytes, error: None });
        }
        let line_cut = (end - line_start > max_line_bytes)
            .then(|| (line_start + max_line_bytes, ErrorKind::LineTooLong));
        // A line ends with the first byte of its end.
        let len = end + usize::from(line.is_complete());
        let budget = max_event_bytes.saturating_sub(self.cold.data_buffer.len());
        let event_cut =
            (len > budget).then_some((budget.max(content_start), ErrorKind::EventTooLarge));
        let first = [line_cut, event_cut].into_iter().flatten().min_by_key(|(cut, _)| *cut);
        if first.is_none() {
            // The event isn't a comment, so only these two limits apply to it.
            self.hot.limit_free_len = max_line_bytes.min(max_event_bytes);
        }
        first.map(|(position, error)| LimitExceeded { position, error: Some(error) })
    }

    /// Returns true if the current line, which ends with `piece`, isn't a field of the standard.
    ///
    /// Returns false for lines of up to eight bytes: more bytes may make them a field.
    fn is_unknown_field(&self, piece: &[u8], buffered: usize) -> bool {
        let line_start = self.cold.event.line_start;
        let in_buffer = self.cold.buffer.get(line_start..).unwrap_or_default();
        let in_piece = bytes_in(piece, line_start.saturating_sub(buffered)..);
        let mut head = [0; 9];
        let bytes = in_buffer.iter().chain(in_piece);
        let len = head.iter_mut().zip(bytes).map(|(slot, byte)| *slot = *byte).count();
        len == head.len() && SseField::of(&head) == SseField::Unknown
    }

    /// Cuts an event that exceeds a limit, and returns its length in the piece.
    ///
    /// Its rest is discarded. `buffered` is the number of its bytes from earlier pieces.
    #[cold]
    pub(super) fn cut(&mut self, piece: &[u8], buffered: usize, exceeded: LimitExceeded) -> usize {
        let LimitExceeded { position, error } = exceeded;
        debug_assert!(buffered.max(self.cold.event.line_start) <= position);
        debug_assert!(position <= self.cold.event.len);
        let len = position - buffered;
        let raw = bytes_in(piece, ..len);
        if buffered > 0 {
            self.cold.buffer.truncate(buffered);
            self.buffer_bytes(raw);
        }
        self.cold.event.len = position;
        let bytes = if buffered > 0 { &self.cold.buffer } else { raw };
        let last = bytes.last().copied().unwrap_or(b'\n');
        let is_comment = bytes.get(self.cold.event.line_start) == Some(&b':');
        self.hot.splitter = LineSplitter::behind(last);
        let discarding = if let Some(error) = error {
            self.cold.event.error = Some(Error::new(error, self.hot.offset));
            Discarding::BlankLine { line_is_empty: matches!(last, b'\n' | b'\r') }
        } else {
            self.cold.event.comments += u64::from(is_comment);
            let kind = if is_comment { EventKind::Comment } else { EventKind::UnknownField };
            self.cold.event.lone_kind = Some(kind);
            self.cold.event.flags.truncated = true;
            self.cold.event.flags.comments = is_comment;
            self.cold.event.flags.unknown = !is_comment;
            if is_comment { Discarding::CommentEnd } else { Discarding::LineEnd }
        };
        self.hot.state = State::Emitted(Some(discarding));
        len
    }

    /// Returns the number of bytes to discard, up to the end of `piece` or of the exceeding event.
    #[cold]
    pub(super) fn discard(&mut self, piece: &[u8], mut discarding: Discarding) -> usize {
        let mut len = 0;
        self.cold.event.flags.rest_of_comment = matches!(discarding, Discarding::CommentEnd);
        while let Some(line) = self.hot.splitter.next(bytes_in(piece, len..)) {
            len += line.len();
            let is_empty = line.content_start() == line.content_end();
            match &mut discarding {
                Discarding::BlankLine { line_is_empty } if !(*line_is_empty && is_empty) => {
                    *line_is_empty = line.is_complete();
                }
                _ if line.is_complete() => return self.end_lone(EventKind::Skipped, len, None),
                _ => {}
            }
        }
        self.end_lone(EventKind::Skipped, len, Some(discarding))
    }

    /// Ends an event of `len` bytes of the piece that has no fields; returns `len`.
    pub(super) fn end_lone(
        &mut self,
        kind: EventKind,
        len: usize,
        discarding: Option<Discarding>,
    ) -> usize {
        self.cold.event.len = len;
        self.cold.event.lone_kind = Some(kind);
        self.hot.state = State::Emitted(discarding);
        len
    }
}
