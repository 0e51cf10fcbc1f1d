//! Appends JSON to a caller's buffer: strings, numbers, objects, arrays and stored values.

use crate::chunk::schema::{PROMPT_INDEX, tool_call};
use memchr::memchr;

use crate::completion::ElementKey;
use crate::json::{OwnedArray, OwnedObject, OwnedValue, plain_len};
use crate::slice::{bytes_in, split_bytes};

/// Appends a string with its quotes, in one line. Text that isn't ASCII is not escaped.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = split_bytes(rest, plain_len(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        escape(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// Returns the length of the JSON text that [`string`] writes.
pub(super) fn string_len(text: &str) -> usize {
    let mut len = text.len() + 2;
    let mut rest = text.as_bytes();
    loop {
        let (_, special) = split_bytes(rest, plain_len(rest));
        let Some((byte, after)) = special.split_first() else { return len };
        let is_short = matches!(byte, b'"' | b'\\' | 0x08 | 0x09 | 0x0A | 0x0C | 0x0D);
        len += if is_short { 1 } else { 5 };
        rest = after;
    }
}

/// Appends the escape of a quote, a backslash or a control character.
#[cold]
fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0A => b'n',
        0x0C => b'f',
        0x0D => b'r',
        _ => {
            let digit = b"0123456789abcdef".get(usize::from(byte & 0xF)).copied();
            out.extend_from_slice(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
            out.extend(digit);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a whole number.
pub(super) fn number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(bytes_in(&digits, digits.len() - len..));
}

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

/// Appends an object of a completion.
pub(super) fn object(members: &OwnedObject, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    object.members(members.iter());
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
    object.members(members.iter());
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

/// Appends an array of elements that `write` writes.
pub(super) fn array<T>(
    elements: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    let mut array = ArrayWriter::begin(out);
    for element in elements {
        array.element(|out| write(element, out));
    }
    array.end();
}

/// Writes an array to a buffer, with the commas between its elements.
pub(super) struct ArrayWriter<'o> {
    out: &'o mut Vec<u8>,
    pub(super) is_empty: bool,
}

impl<'o> ArrayWriter<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_empty: true }
    }

    /// Returns the length of the buffer.
    pub(super) const fn buffer_len(&self) -> usize {
        self.out.len()
    }

    /// Appends an element that `write` writes.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.attempt(|out| {
            write(out);
            true
        });
    }

    /// Appends an element that `write` writes, unless `write` returns false.
    pub(super) fn attempt(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.out.len();
        if !self.is_empty {
            self.out.push(b',');
        }
        if write(self.out) {
            self.is_empty = false;
        } else {
            self.out.truncate(start);
        }
    }

    pub(super) fn end(self) {
        self.out.push(b']');
    }
}

/// Writes an object to a buffer, with the commas between its members.
pub(super) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Appends the name of a member. Returns the buffer for its value.
    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn string(&mut self, name: &str, text: &str) {
        string(text, self.name(name));
    }

    pub(super) fn string_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(name, text);
        }
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        number(value, self.name(name));
    }

    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    pub(super) fn members<'m>(&mut self, members: impl Iterator<Item = (&'m str, &'m OwnedValue)>) {
        for (name, value) in members {
            json(value, self.name(name));
        }
    }

    /// Appends an object that `write` fills.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.object_if(name, false, write);
    }

    /// Appends an object that `write` fills. If `is_optional`, an empty object is omitted.
    pub(super) fn object_if(
        &mut self,
        name: &str,
        is_optional: bool,
        write: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        self.attempt(|object| {
            let mut inner = ObjectWriter::begin(object.name(name));
            write(&mut inner);
            let is_empty = inner.is_empty;
            inner.end();
            !is_empty || !is_optional
        });
    }

    /// Appends members that `write` writes, unless `write` returns false.
    pub(super) fn attempt(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>) -> bool) {
        let (start, was_empty) = (self.out.len(), self.is_empty);
        if !write(self) {
            self.out.truncate(start);
            self.is_empty = was_empty;
        }
    }

    /// Ends the object. Returns the buffer.
    pub(super) fn end(self) -> &'o mut Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::{join_lines, number, string, string_len};
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// `serde_json` writes the same.
        #[test]
        fn strings(text in "([a-zé😀\"\\\\/ ]|[\\x00-\\x1f\\x7f]|\u{2028}){0,40}") {
            let mut out = Vec::new();
            string(&text, &mut out);
            prop_assert_eq!(string_len(&text), out.len());
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap_or_default());
        }
    }
}
