//! The end of the input: the rest of an event that no blank line has closed.

use super::event::{Event, EventKind};
use super::event_buffer::LineEffect;
use super::{SseDecoder, Step};
use crate::error::{Error, ErrorKind};

/// The result of [`SseDecoder::finish`] at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEnd {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event block that no blank line closed, or of a last line without an end.
    ///
    /// By the standard they are dropped. Not counted are bytes that the decoder has already
    /// returned, because their event or line is over a limit.
    pub discarded_bytes: u64,
}

impl SseDecoder {
    /// Returns an unfinished last event block as if a blank line had closed it.
    ///
    /// The standard and the SDKs drop such an event, and so does [`finish`](Self::finish).
    /// Call this before `finish`, at the end of the input, to read the event all the same. A
    /// gateway that bills by the usage in the last event may need it.
    pub fn salvage(&mut self) -> Option<Event<'_>> {
        let step = self.end_block()?;
        Some(self.emit(step, &[]))
    }

    /// Calls `look` with the event that [`salvage`](Self::salvage) would return.
    ///
    /// Restores the state of the decoder.
    #[cfg(feature = "std")]
    pub(crate) fn peek_rest<R>(&mut self, look: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        self.begin();
        let (block, data_buffer) = (self.block.clone(), self.data_buffer.len());
        let (comments, reconnection_time) = (self.stream.comments, self.stream.reconnection_time);
        let step = self.end_block();
        let looked = step.map(|mut step| {
            if matches!(step.kind, EventKind::Message | EventKind::Undispatched)
                && let Err(error) = self.check(None)
            {
                (step.kind, step.error) = (EventKind::TooLarge, Some(error));
            }
            look(&self.view(&step, &[]))
        });
        self.emitted = false;
        self.block = block;
        self.data_buffer.truncate(data_buffer);
        self.stream.comments = comments;
        self.stream.reconnection_time = reconnection_time;
        looked
    }

    /// Returns true while the decoder skips the rest of a line or event that is over a limit.
    #[cfg(feature = "std")]
    pub(crate) const fn is_skipping(&self) -> bool {
        self.discarding.is_some()
    }

    /// Reads the last line of the event block in the carry as if a blank line followed it.
    fn end_block(&mut self) -> Option<Step> {
        self.begin();
        if self.buffer.is_empty() {
            return None;
        }
        let line = self.block.line_start.min(self.block.len)..self.block.len;
        if self.exceeds_event_limit(&[], line.clone()) {
            let mut step = self.step_of(EventKind::TooLarge, 0, true);
            step.error = Some(Error::new(ErrorKind::EventTooLarge, self.offset));
            return Some(step);
        }
        if line.is_empty() && !self.block.open {
            // Only a byte order mark.
            return None;
        }
        let after = if line.is_empty() { LineEffect::Continue } else { self.read_line(&[], line) };
        let kind = match after {
            LineEffect::Standalone(kind) => kind,
            LineEffect::Continue | LineEffect::Dispatch => self.block.kind(),
        };
        self.block.marks.unterminated = true;
        Some(self.step_of(kind, 0, true))
    }

    /// Returns the length of the stream and of its unfinished rest, at the end of the input.
    ///
    /// The standard keeps the last event ID and the reconnection time over a reconnection:
    /// [`last_event_id`](Self::last_event_id) and [`reconnection_time`](Self::reconnection_time)
    /// remain readable.
    pub fn finish(&mut self) -> SseEnd {
        self.begin();
        let discarded = self.buffer.len() as u64;
        SseEnd { bytes: self.offset + discarded, discarded_bytes: discarded }
    }
}
