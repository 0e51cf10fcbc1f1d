//! Appends stored JSON values to the data of an event.

use crate::chunk::schema::{PROMPT_INDEX, tool_call};
use memchr::memchr;

use crate::completion::ElementKey;
use crate::json::writer::{ObjectWriter, array};
use crate::json::{OwnedArray, OwnedObject, OwnedValue};
use crate::slice::{bytes_in, split_bytes};

/// Appends a value of a completion to the data of an event.
pub(super) fn json(value: &OwnedValue, out: &mut Vec<u8>) {
    match value {
        OwnedValue::Raw(text) => json_text(text, out),
        OwnedValue::Object(members) => object(members, out),
        OwnedValue::Array(elements) => list(elements, out),
    }
}

/// Appends JSON text to the data of an event, with a `data` line for each of its lines.
pub(super) fn json_text(text: &str, out: &mut Vec<u8>) {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    for (number, line) in lines.flat_map(|line| line.split('\r')).enumerate() {
        out.extend_from_slice(if number > 0 { b"\ndata: " } else { b"" });
        out.extend_from_slice(line.as_bytes());
    }
}

/// Writes members of a completion to an object.
pub(super) fn write_members<'m>(
    members: impl Iterator<Item = (&'m str, &'m OwnedValue)>,
    object: &mut ObjectWriter<'_>,
) {
    for (name, value) in members {
        json(value, object.name(name));
    }
}

/// Appends an object of a completion.
pub(super) fn object(members: &OwnedObject, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    write_members(members.iter(), &mut object);
    object.end();
}

/// Appends a list of a completion.
fn list(elements: &OwnedArray, out: &mut Vec<u8>) {
    let elements = elements.elements();
    array(elements, out, |(key, members), out| element(key, members, out));
}

/// Appends an element of a list, with all members that identify it.
pub(super) fn element(key: ElementKey<'_>, members: &OwnedObject, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    write_members(members.iter(), &mut object);
    write_key(key, members, &mut object);
    object.end();
}

/// Writes the members of an element's key that are missing among its members.
///
/// The budget may have excluded them. Without them, the element could be merged with others.
pub(super) fn write_key(key: ElementKey<'_>, members: &OwnedObject, object: &mut ObjectWriter<'_>) {
    for (name, value) in key.members() {
        let Some(value) = value.filter(|_| members.get(name).is_none()) else { continue };
        match name {
            tool_call::INDEX if members.get(PROMPT_INDEX).is_some() => {}
            tool_call::INDEX => object.raw(name, value),
            _ => object.string(name, value),
        }
    }
}

/// Joins the `data` lines of the event at the end of `out`. Returns true if it had several.
///
/// Line breaks of a JSON text are white space between its tokens.
pub(super) fn join_lines(out: &mut Vec<u8>, start: usize) -> bool {
    const NEXT: &[u8] = b"\ndata: ";
    let text = bytes_in(out, start..).to_vec();
    out.truncate(start);
    let mut rest = &text[..];
    while let Some(position) = memchr(b'\n', rest) {
        let (line, after) = split_bytes(rest, position);
        out.extend_from_slice(line);
        rest = after.strip_prefix(NEXT).unwrap_or_else(|| {
            out.push(b'\n');
            bytes_in(after, 1..)
        });
    }
    out.extend_from_slice(rest);
    out.len() < start + text.len()
}

#[cfg(test)]
mod tests {
    use super::join_lines;

    #[test]
    fn lines() {
        for (lines, joined) in [
            ("data: {\ndata: \ndata: \"a\":\ndata: 1}\n\n", "data: {\"a\":1}\n\n"),
            ("data: {}\n\n", "data: {}\n\n"),
            ("", ""),
        ] {
            let before = "data: \ndata: 1\n\n";
            let mut out = [before, lines].concat().into_bytes();
            assert_eq!(join_lines(&mut out, before.len()), lines != joined);
            assert_eq!(out, [before, joined].concat().into_bytes());
        }
    }
}
