//! What goes over a limit: found at the same byte however the input is cut, given as far as it
//! fits, and passed on to its end.

use super::event::{EventKind, SseField};
use super::line::{LineSpan, LineSplitter};
use super::{SseDecoder, Step};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;

/// Bytes on their way to the end of something that is over a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discarding {
    pub(super) until: DiscardUntil,
    pub(super) line_is_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscardUntil {
    LineEnd,
    BlankLine,
}

/// Where a block is cut since it is over a limit.
pub(super) struct LimitExceeded {
    pub(super) at: usize,
    pub(super) error: Option<ErrorKind>,
}

impl SseDecoder {
    /// Looks for the first byte of the block that is over a limit. The answer depends on the
    /// bytes alone, not on how they were cut.
    #[cold]
    pub(super) fn limit_exceeded(
        &mut self,
        piece: &[u8],
        carried: usize,
        at: usize,
        span: &LineSpan,
    ) -> Option<LimitExceeded> {
        let Limits { line_bytes, event_bytes, comment_bytes, .. } = self.limits;
        let start = self.block.line_start;
        let end = at + span.content_end();
        if span.content_end() == span.content_start() && !span.is_complete() {
            // Only the LF of a CRLF: it counts once something follows, as in one piece.
            return None;
        }
        if !self.block.open {
            let mut head = [0; 16];
            let head = self.head(&mut head, piece, carried, start, end);
            if head.len() > 8 && SseField::of(head) == SseField::Unknown {
                let over = end - start > comment_bytes;
                return over.then_some(LimitExceeded { at: start + comment_bytes, error: None });
            }
        }
        let line = (end - start > line_bytes)
            .then(|| LimitExceeded { at: start + line_bytes, error: Some(ErrorKind::LineTooLong) });
        // A line ends with the first byte of its end.
        let len = end + usize::from(span.is_complete());
        let room = event_bytes.saturating_sub(self.data_buffer.len());
        let error = Some(ErrorKind::EventTooLarge);
        let event =
            (len > room).then(|| LimitExceeded { at: room.max(at + span.content_start()), error });
        match (line, event) {
            (Some(line), Some(event)) if event.at < line.at => Some(event),
            (Some(line), _) => Some(line),
            (None, Some(event)) => Some(event),
            (None, None) => {
                // The block is no comment, so only these two limits are left for it.
                self.limit_free_len = line_bytes.min(event_bytes);
                None
            }
        }
    }

    /// The first bytes of the line at hand, from the carry and the piece.
    fn head<'h>(
        &self,
        head: &'h mut [u8; 16],
        piece: &[u8],
        carried: usize,
        start: usize,
        end: usize,
    ) -> &'h [u8] {
        let in_carry = self.buffer.get(start..).unwrap_or_default();
        let in_piece = piece.get(start.saturating_sub(carried)..end - carried).unwrap_or_default();
        let mut len = 0;
        for (slot, byte) in head.iter_mut().zip(in_carry.iter().chain(in_piece)) {
            *slot = *byte;
            len += 1;
        }
        head.get(..len).unwrap_or_default()
    }

    /// Gives what fits of a block that is over a limit; the rest will be skipped.
    #[cold]
    pub(super) fn cut(
        &mut self,
        piece: &[u8],
        carried: usize,
        limit_exceeded: LimitExceeded,
    ) -> Step {
        let taken = limit_exceeded.at.saturating_sub(carried).min(piece.len());
        let fits = piece.get(..taken).unwrap_or_default();
        let kept = self.buffer.len().saturating_sub(carried);
        if carried > 0 {
            self.buffer.truncate(carried + kept.min(taken));
            self.buffer_bytes(fits.get(kept.min(taken)..).unwrap_or_default());
        }
        let last = fits.last().or(self.buffer.last()).copied().unwrap_or(b'\n');
        self.splitter = LineSplitter::behind(last);
        let line_is_empty = matches!(last, b'\n' | b'\r');
        self.block.len = carried + taken;
        let Some(kind) = limit_exceeded.error else {
            self.discarding = Some(Discarding { until: DiscardUntil::LineEnd, line_is_empty });
            self.block.marks.truncated = true;
            let bytes = if carried > 0 { &self.buffer } else { fits };
            let is_comment = bytes.get(self.block.line_start) == Some(&b':');
            self.stream.comments += u64::from(is_comment);
            self.block.marks.comments = is_comment;
            self.block.marks.unknown = !is_comment;
            let kind = if is_comment { EventKind::Comment } else { EventKind::Unknown };
            return self.step_of(kind, taken, carried > 0);
        };
        self.discarding = Some(Discarding { until: DiscardUntil::BlankLine, line_is_empty });
        let mut step = self.step_of(EventKind::TooLarge, taken, carried > 0);
        step.error = Some(Error::new(kind, self.offset));
        step
    }

    /// Passes on what belongs to something that is over a limit, up to its end.
    #[cold]
    pub(super) fn skip(&mut self, piece: &[u8], mut discarding: Discarding) -> Option<Step> {
        let mut taken = 0;
        while let Some(span) = self.splitter.next(piece.get(taken..).unwrap_or_default()) {
            taken += span.len();
            discarding.line_is_empty &= span.content_end() == span.content_start();
            if span.is_complete() {
                if discarding.until == DiscardUntil::LineEnd || discarding.line_is_empty {
                    self.discarding = None;
                    return Some(self.alone(EventKind::Skipped, taken));
                }
                discarding.line_is_empty = true;
            }
        }
        self.discarding = Some(discarding);
        (taken > 0).then(|| self.alone(EventKind::Skipped, taken))
    }
}
