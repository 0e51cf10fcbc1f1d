//! The end of the input: what is left of an event that no blank line has closed.

use super::{SseDecoder, Step};
use crate::block::After;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind};

/// What [`SseDecoder::finish`] found at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEnd {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last block that no blank line closed, or of a last line without an end: by
    /// the standard they are dropped. What is over a limit isn't counted: its bytes have been given
    /// as they came.
    pub discarded_bytes: u64,
}

impl SseDecoder {
    /// The last block, where the stream ended before the blank line that would close it, as if
    /// that line had come.
    ///
    /// The standard and the SDKs drop such an event, and so does [`finish`](Self::finish).
    /// Call this before it, at the end of the input, to have the event all the same: a gateway
    /// that bills by the usage in the last event may want to.
    pub fn salvage(&mut self) -> Option<Event<'_>> {
        let step = self.end_block()?;
        Some(self.give(step, &[]))
    }

    /// Shows what [`salvage`](Self::salvage) would return, and leaves all as it was.
    #[cfg(feature = "std")]
    pub(crate) fn look_at_rest<R>(&mut self, look: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        self.begin();
        let (block, joined) = (self.block.clone(), self.joined.len());
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
        self.given = false;
        self.block = block;
        self.joined.truncate(joined);
        self.stream.comments = comments;
        self.stream.reconnection_time = reconnection_time;
        looked
    }

    /// Returns true while the bytes belong to something that is over a limit, and its end hasn't come.
    #[cfg(feature = "std")]
    pub(crate) const fn is_skipping(&self) -> bool {
        self.skipping.is_some()
    }

    /// Reads the last line of the block in the carry as if a blank line followed it.
    fn end_block(&mut self) -> Option<Step> {
        self.begin();
        if self.carry.is_empty() {
            return None;
        }
        let line = self.block.line_start.min(self.block.len)..self.block.len;
        if self.outgrows(&[], line.clone()) {
            let mut step = self.step_of(EventKind::TooLarge, 0, true);
            step.error = Some(Error::new(ErrorKind::EventTooLarge, self.offset));
            return Some(step);
        }
        if line.is_empty() && !self.block.open {
            // Nothing but a byte order mark.
            return None;
        }
        let after = if line.is_empty() { After::More } else { self.read_line(&[], line) };
        let kind = match after {
            After::Alone(kind) => kind,
            After::More | After::Close => self.block.kind(),
        };
        self.block.marks.unterminated = true;
        Some(self.step_of(kind, 0, true))
    }

    /// Says what is left at the end of the input. What the standard keeps over a reconnection,
    /// [`last_event_id`](Self::last_event_id) and [`reconnection_time`](Self::reconnection_time),
    /// stays readable.
    pub fn finish(&mut self) -> SseEnd {
        self.begin();
        let discarded = self.carry.len() as u64;
        SseEnd { bytes: self.offset + discarded, discarded_bytes: discarded }
    }
}
