//! `General`: the events that aren't whole single lines, line by line.

use core::ops::Range;

use super::cold::Cold;
use super::decoder::{Hot, State};
use super::discard::LimitExceeded;
use super::event::EventKind;
use super::event_buffer::{EventBuffer, append};
use super::line::LineSpan;
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::slice::bytes_in;

/// The parts of a decoder whose cold state exists.
pub(super) struct General<'d> {
    pub(super) hot: &'d mut Hot,
    pub(super) cold: &'d mut Cold,
    pub(super) limits: &'d Limits,
}

impl General<'_> {
    /// Locates an event that isn't a single line in `piece`, and returns its length in the piece.
    ///
    /// `line_end` is the first line's end in `piece` between two events.
    #[inline]
    pub(super) fn locate(&mut self, piece: &[u8], line_end: Option<usize>) -> Option<usize> {
        debug_assert!(self.has_valid_state());
        let line = match self.hot.state {
            State::BetweenEvents => self.hot.splitter.span_to(piece, line_end),
            State::InLine => self.hot.splitter.next(piece)?,
            _ => return self.locate_from_line_start(piece),
        };
        let len = self.cold.event.len + piece.len() + self.cold.data_buffer.len();
        if !line.is_complete() && len <= self.hot.limit_free_len {
            self.cold.event.len += piece.len();
            self.buffer_bytes(piece);
            self.hot.state = State::InLine;
            return None;
        }
        let len = self.finish_single_line(piece, &line);
        len.or_else(|| self.locate_lines(piece, Some(line)))
    }

    /// Locates an event in a state that has no unfinished line.
    fn locate_from_line_start(&mut self, piece: &[u8]) -> Option<usize> {
        match self.hot.state {
            State::Discarding(discarding) => Some(self.discard(piece, discarding)),
            State::AtStart if self.hot.splitter.take_lf(piece) => {
                Some(self.end_lone(EventKind::BlankLine, 1, None))
            }
            _ => self.locate_lines(piece, None),
        }
    }

    /// Locates the next event line by line, and returns its length in the piece.
    ///
    /// `first_line` is the first line of the piece, if its end has been searched.
    fn locate_lines(&mut self, piece: &[u8], mut first_line: Option<LineSpan>) -> Option<usize> {
        let buffered = self.cold.buffer.len();
        let mut len = 0;
        while let Some(line) =
            first_line.take().or_else(|| self.hot.splitter.next(bytes_in(piece, len..)))
        {
            let start = buffered + len;
            if self.cold.event.line_start == self.cold.event.len {
                self.cold.event.line_start = start + line.content_start() - line.held().len();
            }
            self.cold.event.len = start + line.len();
            if self.cold.event.len + self.cold.data_buffer.len() > self.hot.limit_free_len
                && let Some(exceeded) = self.limit_exceeded(piece, buffered, &line)
            {
                return Some(self.cut(piece, buffered, exceeded));
            }
            if buffered > 0 {
                self.buffer_bytes(bytes_in(piece, len..len + line.len()));
            }
            len += line.len();
            if !line.is_complete() {
                break;
            }
            let range = self.cold.event.line_start..start + line.content_end();
            if self.exceeds_event_limit(piece, range.clone()) {
                let error = Some(ErrorKind::EventTooLarge);
                let exceeded = LimitExceeded { position: range.end, error };
                return Some(self.cut(piece, buffered, exceeded));
            }
            if !self.read_line(piece, range) {
                self.cold.event.line_start = self.cold.event.len;
                continue;
            }
            if self.cold.event.kind() == EventKind::Comment
                && matches!(piece.get(len), Some(b'\n' | b'\r'))
                && let Some(blank_line) = self.hot.splitter.next(bytes_in(piece, len..))
            {
                if buffered > 0 {
                    self.buffer_bytes(bytes_in(piece, len..len + blank_line.len()));
                }
                len += blank_line.len();
                self.cold.event.len += blank_line.len();
            }
            self.hot.state = State::Emitted(None);
            return Some(len);
        }
        debug_assert_eq!(len, piece.len());
        if buffered == 0 {
            self.buffer_bytes(piece);
        }
        let is_in_line = self.cold.event.line_start < self.cold.event.len;
        self.hot.state = if is_in_line { State::InLine } else { State::BetweenLines };
        None
    }

    /// Returns true if the fields have the invariant of the state.
    fn has_valid_state(&self) -> bool {
        let EventBuffer { len, line_start, .. } = self.cold.event;
        let buffered = self.cold.buffer.len();
        match self.hot.state {
            State::AtStart | State::BetweenEvents | State::Discarding(_) => {
                len == 0 && line_start == 0 && buffered == 0 && self.cold.data_buffer.is_empty()
            }
            State::InLine => line_start < len && len == buffered,
            State::BetweenLines => 0 < line_start && line_start == len && len == buffered,
            State::Emitted(_) => false,
        }
    }

    /// Returns true if joining the data of a finished `line` exceeds the limit of the event.
    #[inline]
    pub(super) fn exceeds_event_limit(&self, piece: &[u8], line: Range<usize>) -> bool {
        let bytes = self.cold.bytes(piece);
        let end = line.end;
        let joined_len = self.cold.event.joined_len(bytes, line, self.cold.data_buffer.len());
        joined_len > 0 && end + 1 + joined_len > self.limits.max_event_bytes
    }

    /// Reads a finished line of the event; returns true if the line ends it.
    #[inline]
    pub(super) fn read_line(&mut self, piece: &[u8], line: Range<usize>) -> bool {
        let Cold { event, buffer, data_buffer, stream, .. } = &mut *self.cold;
        let bytes: &[u8] = if buffer.is_empty() { piece } else { buffer };
        event.read_line(bytes, line, data_buffer, stream, self.limits)
    }

    /// Appends bytes to the buffer, whose capacity stays within the limits.
    pub(super) fn buffer_bytes(&mut self, bytes: &[u8]) {
        let limit = self.limits.max_event_bytes.max(self.limits.max_comment_bytes);
        append(&mut self.cold.buffer, bytes, limit.saturating_sub(self.cold.data_buffer.len()));
    }
}
