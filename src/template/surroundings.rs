//! The bytes of an event around its data: those before it are at most one line with the event type.

use crate::json;
use crate::slice::{bytes_in, split_bytes};
use crate::sse::Event;

/// Returns the bytes before and behind the data of an event, if they are at most a type line.
pub(super) fn surroundings<'a>(event: &Event<'a>) -> Option<(&'a str, &'a str)> {
    let (head, rest) = split_bytes(event.raw(), event.data_start()?);
    let head = json::text(head)?;
    let type_line = head.strip_suffix(' ').unwrap_or(head).strip_suffix("data:")?;
    let tail = match bytes_in(rest, event.data().len()..) {
        b"\n\n" => "\n\n",
        b"\r\n\r\n" => "\r\n\r\n",
        _ => return None,
    };
    is_type_line(type_line).then_some((head, tail))
}

/// Returns true if `head` is empty, or one line with an event type.
fn is_type_line(head: &str) -> bool {
    let line = head.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    head.is_empty()
        || line.is_some_and(|line| line.starts_with("event:") && !line.contains(['\r', '\n']))
}
