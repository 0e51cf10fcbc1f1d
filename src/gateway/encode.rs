//! `SseEvent`: what a gateway says itself as events, by the WHATWG rules.

use core::fmt;

use super::json_write;

/// The event that ends a stream of chunks.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// An event to be written (WHATWG HTML, 9.2.5).
///
/// ```
/// use deltawire::gateway::SseEvent;
///
/// let mut out = Vec::new();
/// SseEvent::new("two\nlines").event_type("note").id("7").write(&mut out)?;
/// assert_eq!(out, b"event: note\nid: 7\ndata: two\ndata: lines\n\n");
/// # Ok::<(), deltawire::gateway::EncodeError>(())
/// ```
///
/// Every line break in the data, be it CR, LF or CRLF, begins another `data` line: a reader gets
/// LF for each.
#[derive(Clone, Copy)]
pub struct SseEvent<'a> {
    data: &'a str,
    event_type: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<u64>,
}

impl<'a> SseEvent<'a> {
    /// An event with this data, which may be empty.
    #[must_use]
    pub const fn new(data: &'a str) -> Self {
        Self { data, event_type: None, id: None, retry: None }
    }

    /// Sets the event type. Without one it is `message`.
    #[must_use]
    pub const fn event_type(mut self, event_type: &'a str) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// Sets the last event ID, which a client sends back when it reconnects. An empty one takes
    /// back what an earlier event has set.
    #[must_use]
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the time after which a client reconnects, in milliseconds.
    #[must_use]
    pub const fn retry(mut self, milliseconds: u64) -> Self {
        self.retry = Some(milliseconds);
        self
    }

    /// Appends the event with its blank line. Allocates only where `out` has to grow.
    ///
    /// # Errors
    ///
    /// A line break or U+0000 in the event type or in the id: it would end the line, or make a
    /// reader ignore the id. Nothing is written then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let breaks = |text: &&str| text.contains(['\r', '\n', '\0']);
        if self.event_type.as_ref().is_some_and(breaks) {
            return Err(EncodeError::EventType);
        }
        if self.id.as_ref().is_some_and(breaks) {
            return Err(EncodeError::Id);
        }
        for (name, value) in [("event: ", self.event_type), ("id: ", self.id)] {
            if let Some(value) = value {
                line(name, value, out);
            }
        }
        if let Some(milliseconds) = self.retry {
            out.extend_from_slice(b"retry: ");
            json_write::number(milliseconds, out);
            out.push(b'\n');
        }
        lines("data: ", self.data, out);
        Ok(())
    }
}

/// Shows of the data its length only: it may be personal.
impl fmt::Debug for SseEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseEvent")
            .field("event_type", &self.event_type)
            .field("id", &self.id)
            .field("retry", &self.retry)
            .field("data_len", &self.data.len())
            .finish()
    }
}

/// Appends a comment, which clients pass over, with a blank line: a keep-alive.
///
/// ```
/// let mut out = Vec::new();
/// deltawire::gateway::write_comment("keep-alive", &mut out);
/// assert_eq!(out, b": keep-alive\n\n");
/// ```
///
/// Each line of a text of several is a comment.
pub fn write_comment(text: &str, out: &mut Vec<u8>) {
    lines(": ", text, out);
}

/// Appends every line of a text behind `name`, and a blank line.
fn lines(name: &str, text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest.as_bytes()) {
        let (text, behind) = rest.split_at_checked(at).unwrap_or_default();
        line(name, text, out);
        let one = behind.strip_prefix("\r\n");
        rest = one.or_else(|| behind.get(1..)).unwrap_or_default();
    }
    line(name, rest, out);
    out.push(b'\n');
}

fn line(name: &str, text: &str, out: &mut Vec<u8>) {
    out.reserve(name.len() + text.len() + 2);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// Why an event can't be written: a line break or U+0000 where none may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// In the event type.
    EventType,
    /// In the id.
    Id,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EventType => "line break or U+0000 in an event type",
            Self::Id => "line break or U+0000 in an event id",
        })
    }
}

impl core::error::Error for EncodeError {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{EncodeError, SseEvent, write_comment};
    use crate::sse::EventKind;
    use crate::sse::SseDecoder;
    use proptest::prelude::*;

    #[test]
    fn what_would_end_a_line_is_refused() {
        for bad in ["a\nb", "\r", "a\r\n", "\0", "id\0"] {
            let mut out = b"x".to_vec();
            let event = SseEvent::new("d");
            assert_eq!(event.event_type(bad).write(&mut out), Err(EncodeError::EventType));
            assert_eq!(event.id(bad).write(&mut out), Err(EncodeError::Id));
            assert_eq!(out, b"x");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// A decoder reads what was said, with LF for each line break.
        #[test]
        fn what_is_written_is_read(
            data in "[ab :\r\n\u{feff}é\0]{0,12}",
            event_type in proptest::option::of("[ab :é]{0,4}"),
            id in proptest::option::of("[ab :é]{0,4}"),
            retry in proptest::option::of(any::<u64>()),
            comment in "[ab:\r\n]{0,6}",
        ) {
            let mut out = Vec::new();
            write_comment(&comment, &mut out);
            let mut event = SseEvent::new(&data);
            if let Some(event_type) = &event_type { event = event.event_type(event_type); }
            if let Some(id) = &id { event = event.id(id); }
            if let Some(retry) = retry { event = event.retry(retry); }
            event.write(&mut out).unwrap();
            let (mut decoder, mut input, mut found) = (SseDecoder::new(), &out[..], 0);
            while let Some(event) = decoder.next(&mut input) {
                if matches!(event.kind(), EventKind::Comment) { continue; }
                prop_assert_eq!(event.kind(), EventKind::Message);
                let expected = data.replace("\r\n", "\n").replace('\r', "\n");
                prop_assert_eq!(event.data_str(), Ok(expected.as_str()));
                let expected = event_type.as_deref().filter(|name| !name.is_empty());
                prop_assert_eq!(event.event_type(), expected.unwrap_or("message"));
                prop_assert_eq!(event.last_event_id(), id.as_deref().unwrap_or_default());
                prop_assert_eq!(event.reconnection_time(), retry);
                found += 1;
            }
            prop_assert_eq!(found, 1);
            prop_assert_eq!(decoder.finish().discarded_bytes, 0);
        }
    }
}
