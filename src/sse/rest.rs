//! The end of the input: the last event, if no blank line closes it.

use super::decoder::{SseDecoder, State};
use super::emit::EventSpan;
use super::event::Event;
#[cfg(feature = "std")]
use super::event::{EventKind, SseField};
use super::general::General;
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
        self.begin(&[]);
        self.head.cold.as_ref()?;
        self.general().locate_rest()?;
        Some(self.emit(EventSpan::in_buffers(0), &[]))
    }

    /// Passes the event of [`salvage`](Self::salvage) to `look`, and restores the decoder.
    #[cfg(feature = "std")]
    pub(crate) fn peek_rest<R>(&mut self, look: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        self.begin(&[]);
        let cold = self.head.cold.as_ref()?;
        let (state, event, data_len) =
            (self.head.hot.state, cold.event.clone(), cold.data_buffer.len());
        let reconnection_time = cold.stream.reconnection_time;
        let mut general = self.general();
        let looked = general.locate_rest().map(|()| {
            if general.cold.event.error.is_none() {
                general.cold.event.error = general.check_fields(&[]).err();
            }
            look(&general.cold.view(general.hot.offset, &[]))
        });
        let General { hot, cold, .. } = general;
        (hot.state, cold.event) = (state, event);
        cold.data_buffer.truncate(data_len);
        cold.stream.reconnection_time = reconnection_time;
        looked
    }

    /// Returns true if the rest ends inside of a line that a client must not read as a whole one.
    ///
    /// That is a field other than `data`. Behind data it is any line but white space, a comment or data
    /// with a text.
    #[cfg(feature = "std")]
    pub(crate) fn rest_ends_in_torn_line(&mut self) -> bool {
        let is_torn = |event: &Event<'_>| {
            let Some(line) = event.line_without_end() else { return false };
            match SseField::of(line) {
                SseField::Id(_) | SseField::Event(_) | SseField::Retry(_) => true,
                field => event.kind() == EventKind::Message && field.is_torn_data_or_unknown(line),
            }
        };
        self.peek_rest(is_torn).unwrap_or(false)
    }

    /// Returns true while the decoder discards the rest of an event or line.
    #[cfg(feature = "std")]
    pub(crate) const fn is_skipping(&self) -> bool {
        matches!(self.head.hot.state, State::Discarding(_) | State::Emitted(Some(_)))
    }

    /// Returns the length of the stream and of its unfinished rest, at the end of the input.
    ///
    /// [`last_event_id`](Self::last_event_id) and [`reconnection_time`](Self::reconnection_time)
    /// remain, because the standard keeps them over a reconnection.
    pub fn finish(&mut self) -> SseEnd {
        self.begin(&[]);
        let discarded = self.head.cold.as_ref().map_or(0, |cold| cold.buffer.len()) as u64;
        SseEnd { bytes: self.head.hot.offset + discarded, discarded_bytes: discarded }
    }
}

impl General<'_> {
    /// Ends the event in the buffer, if any, as if a line end and a blank line followed it.
    fn locate_rest(&mut self) -> Option<()> {
        let line = self.cold.event.line_start..self.cold.event.len;
        // Without a line and a field, the buffer is empty or contains a byte order mark.
        if line.is_empty() && !self.cold.event.has_field {
            return None;
        }
        if self.exceeds_event_limit(&[], line.clone()) {
            self.cold.event.error = Some(Error::new(ErrorKind::EventTooLarge, self.hot.offset));
        } else {
            if !line.is_empty() {
                self.read_line(&[], line);
            }
            self.cold.event.flags.unterminated = true;
        }
        self.hot.state = State::Emitted(None);
        Some(())
    }
}
