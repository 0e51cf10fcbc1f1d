//! `BareLine`: a line without a field name that is an error, or JSON that can't be read.

use super::torn::{ERROR_TYPE, begins_error, begins_json, is_torn};
use crate::chunk::{ChatCompletionChunk, ChunkBuffers, UpstreamError};
use crate::error::Error;
use crate::json::{Document, Kind, NodeId, Parser, Value};
use crate::slice::bytes_in;
use crate::sse::{Event, EventKind, SseField};

/// The first line with an unknown field that the standard ignores, but a client must not.
#[derive(Clone, Copy)]
pub(super) enum BareLine<'a> {
    /// An error: `error: …`, or `{"error": …}` without `data:`.
    Error(LineError<'a>),
    /// The beginning of JSON that isn't one whole object, so it may be a part of an error.
    Unread(Error),
}

/// An error in a line.
#[derive(Clone, Copy)]
pub(super) struct LineError<'a> {
    pub(super) text: &'a [u8],
    /// The node of the error, if the text is JSON; it has the same number on each tape.
    pub(super) node: NodeId,
}

/// Finds an error in the unknown lines of an event, or else JSON that can't be read.
///
/// A line that the end of the stream cuts is read only for an error.
#[cold]
pub(super) fn bare_line<'a>(
    event: &Event<'a>,
    parser: &Parser,
    buffers: &mut ChunkBuffers,
) -> Option<BareLine<'a>> {
    let mut unread = None;
    for (start, line) in event.placed_unknown_lines() {
        match read(line, *parser, buffers) {
            Ok(None) => {}
            Ok(Some(error)) => return Some(BareLine::Error(error)),
            Err(_) if event.is_unterminated() && is_torn_end(event, start, line) => {}
            Err(error) => {
                // The text behind `error:` is never unread, so the text begins the line.
                let indent = line.len() - line.trim_ascii_start().len();
                let offset = event.offset() + (start + indent) as u64 + error.offset();
                unread = unread.or(Some(Error::new(error.kind(), offset)));
            }
        }
    }
    unread.map(BareLine::Unread)
}

/// Returns true if the event ends with a torn line, which may be the first part of a failure.
///
/// That is a line with an unknown field that begins cut JSON. Behind data it is any line that may
/// become a failure, or more data.
pub(super) fn ends_in_torn_line(event: &Event<'_>) -> bool {
    let is_behind_data = event.kind() == EventKind::Message;
    let Some(line) = event.line_without_end() else { return false };
    match SseField::of(line) {
        SseField::Event(start) if is_behind_data => {
            ERROR_TYPE.as_bytes().starts_with(bytes_in(line, start..))
        }
        field if is_behind_data => field.is_torn_data_or_unknown(line),
        SseField::Unknown => event.kind() != EventKind::TooLarge && is_torn(line),
        _ => false,
    }
}

/// Returns true if a line begins cut JSON, and its end is that of the event.
fn is_torn_end(event: &Event<'_>, start: usize, line: &[u8]) -> bool {
    start + line.len() == event.raw().len() && is_torn(line)
}

/// Returns the error in a line, if there is one. Fails if the line begins JSON and can't be read.
///
/// The offset of a failure counts from the first byte that isn't white space.
fn read<'a>(
    line: &'a [u8],
    mut parser: Parser,
    buffers: &mut ChunkBuffers,
) -> Result<Option<LineError<'a>>, Error> {
    let behind_name = line.strip_prefix(b"error:");
    let text = behind_name.unwrap_or(line).trim_ascii();
    if behind_name.is_none() && !begins_json(text) {
        return Ok(None);
    }
    // A deviation never decides whether a line is an error.
    parser.set_strict(false);
    let ChunkBuffers { tape, index } = buffers;
    let root = LineError { text, node: 0 };
    let document = match parser.parse_onto(tape, text) {
        Ok((json, _)) => Document::new(tape, json),
        Err(_) if behind_name.is_some() => return Ok((!text.is_empty()).then_some(root)),
        Err(_) if begins_error(text) => return Ok(Some(root)),
        Err(error) => return Err(error),
    };
    if behind_name.is_some() && document.kind(0) != Some(Kind::Object) {
        let is_error = UpstreamError::is_truthy_error(&Value::new(document, 0));
        return Ok(is_error.then_some(root));
    }
    let filled = index.fill(document);
    let error = ChatCompletionChunk::new(document, index).error();
    let inner = error.and_then(|error| error.as_value());
    let inner = inner.map(|error| LineError { text, node: error.id });
    match inner.or_else(|| behind_name.map(|_| root)) {
        Some(error) => Ok(Some(error)),
        None => filled.map(|()| None),
    }
}
