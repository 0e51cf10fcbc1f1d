//! The end of the input: the last event, if no blank line closes it.

use super::decoder::{SseDecoder, State};
use super::emit::EventSpan;
use super::event::Event;
use crate::error::{Error, ErrorKind};

/// The result of [`SseDecoder::finish`] at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEnd {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closed, or of a last line without an end.
    ///
    /// The standard drops them. Bytes of a [`TooLarge`](crate::sse::EventKind::TooLarge) event or
    /// truncated line don't count, because the decoder has already returned them.
    pub discarded_bytes: u64,
}

impl SseDecoder {
    /// Returns an unfinished last event as if a blank line had closed it.
    ///
    /// The standard and the SDKs drop such an event, and so does [`finish`](Self::finish). A gateway
    /// that bills by the usage in the last event may need it, before it calls `finish`.
    pub fn salvage(&mut self) -> Option<Event<'_>> {
        self.locate_rest()?;
        Some(self.emit(EventSpan::in_buffers(0), &[]))
    }

    /// Passes the event of [`salvage`](Self::salvage) to `look`, and restores the decoder.
    #[cfg(feature = "std")]
    pub(crate) fn peek_rest<R>(&mut self, look: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        self.begin();
        let (state, event, data_len) = (self.state, self.event.clone(), self.data_buffer.len());
        let (comments, reconnection_time) = (self.stream.comments, self.stream.reconnection_time);
        let looked = self.locate_rest().map(|()| {
            if self.event.error.is_none() {
                self.event.error = self.check_fields(&[]).err();
            }
            look(&self.view(&[]))
        });
        (self.state, self.event) = (state, event);
        self.data_buffer.truncate(data_len);
        self.stream.comments = comments;
        self.stream.reconnection_time = reconnection_time;
        looked
    }

    /// Returns true while the decoder discards the rest of an event or line.
    #[cfg(feature = "std")]
    pub(crate) const fn is_skipping(&self) -> bool {
        matches!(self.state, State::Discarding(_) | State::Emitted(Some(_)))
    }

    /// Ends the event in the buffer, if any, as if a line end and a blank line followed it.
    fn locate_rest(&mut self) -> Option<()> {
        self.begin();
        let line = self.event.line_start..self.event.len;
        // Without a line and a field, the buffer is empty or contains a byte order mark.
        if line.is_empty() && !self.event.has_field {
            return None;
        }
        if self.exceeds_event_limit(&[], line.clone()) {
            self.event.error = Some(Error::new(ErrorKind::EventTooLarge, self.offset));
        } else {
            if !line.is_empty() {
                self.read_line(&[], line);
            }
            self.event.flags.unterminated = true;
        }
        self.state = State::Emitted(None);
        Some(())
    }

    /// Returns the length of the stream and of its unfinished rest, at the end of the input.
    ///
    /// [`last_event_id`](Self::last_event_id) and [`reconnection_time`](Self::reconnection_time)
    /// remain, because the standard keeps them over a reconnection.
    pub fn finish(&mut self) -> SseEnd {
        self.begin();
        let discarded = self.buffer.len() as u64;
        SseEnd { bytes: self.offset + discarded, discarded_bytes: discarded }
    }
}
