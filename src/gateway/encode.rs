//! `SseEvent`: writes a gateway's own events and comments.

use core::fmt;

use crate::json::writer;
use crate::output_buffer::OutputBuffer;
use crate::slice::text_in;

/// The event that ends a stream of chunks.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Appends an event with an error, in the form of OpenAI's API.
pub(super) fn write_error(message: &str, r#type: &str, code: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: {\"error\":{\"message\":");
    writer::string(message, out);
    out.extend_from_slice(b",\"type\":");
    writer::string(r#type, out);
    out.extend_from_slice(b",\"param\":null,\"code\":");
    writer::string(code, out);
    out.extend_from_slice(b"}}\n\n");
}

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
/// Every line break in the data begins another `data` line: CR, LF or CRLF. A reader receives LF
/// for each.
#[derive(Clone, Copy)]
pub struct SseEvent<'a> {
    data: &'a str,
    event_type: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<u64>,
}

impl<'a> SseEvent<'a> {
    /// Creates an event with this data, which may be empty.
    #[must_use]
    pub const fn new(data: &'a str) -> Self {
        Self { data, event_type: None, id: None, retry: None }
    }

    setters! {
        /// Sets the event type, which is `message` by default.
        event_type(event_type: &'a str) = Some(event_type);
        /// Sets the last event ID, which a client sends when it reconnects.
        ///
        /// An empty ID removes the one that an earlier event has set.
        id(id: &'a str) = Some(id);
        /// Sets the time after which a client reconnects, in milliseconds.
        retry(milliseconds: u64) = Some(milliseconds);
    }

    /// Appends the event with its blank line. Allocates only if `out` has to grow.
    ///
    /// # Errors
    ///
    /// A line break or U+0000 in the event type or in the id. It would end the line, or make a
    /// reader ignore the id. Nothing is written then.
    pub fn write(&self, out: &mut impl OutputBuffer) -> Result<(), EncodeError> {
        out.with_vec(|out| self.append(out))
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
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
            writer::number(milliseconds, out);
            out.push(b'\n');
        }
        lines("data: ", self.data, out);
        Ok(())
    }
}

/// Shows only the length of the data, which may be personal.
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

/// Appends a comment with a blank line: a keep-alive, which clients ignore.
///
/// ```
/// let mut out = Vec::new();
/// deltawire::gateway::write_comment("keep-alive", &mut out);
/// assert_eq!(out, b": keep-alive\n\n");
/// ```
///
/// Each line of the text is written as a comment of its own.
pub fn write_comment(text: &str, out: &mut impl OutputBuffer) {
    out.with_vec(|out| lines(": ", text, out));
}

/// Appends every line of a text, each after `name`, and a blank line.
fn lines(name: &str, text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest.as_bytes()) {
        line(name, text_in(rest, ..end), out);
        let line_end = text_in(rest, end..);
        rest = line_end.strip_prefix("\r\n").unwrap_or_else(|| text_in(line_end, 1..));
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

/// The part of an event that can't be written: it contains a line break or U+0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event type.
    EventType,
    /// The id.
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

        /// A decoder reads the written event, with LF for each line break.
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
