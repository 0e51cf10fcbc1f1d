//! Appends JSON to a caller's buffer: strings, numbers, objects and arrays.

use super::scan::plain_len;
use crate::slice::{bytes_in, split_bytes};

/// Appends a string with its quotes, in one line. Text that isn't ASCII is not escaped.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
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

/// Appends a whole number.
pub(crate) fn signed(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(if number < 0 { b"-" } else { b"" });
    self::number(number.unsigned_abs(), out);
}

/// Appends a number; `null` for `NaN` and the infinities, which JSON lacks.
pub(crate) fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        // The format of `Debug` has an exponent where one is shorter, and is JSON.
        out.extend_from_slice(format!("{number:?}").as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Returns bytes that are known to be UTF-8 as text.
pub(crate) fn known_string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        debug_assert!(false, "{error}");
        String::new()
    })
}

/// Returns the length of the JSON text that [`string`] writes.
pub(crate) fn string_len(text: &str) -> usize {
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

/// Appends a JSON text without white space between its tokens.
///
/// A line break in a string, which isn't JSON, is written as its escape.
pub(crate) fn minified(json: &str, out: &mut Vec<u8>) {
    let mut rest = json.as_bytes();
    loop {
        let is_special = |byte: &u8| matches!(byte, b'"' | b' ' | b'\t' | b'\n' | b'\r');
        let (plain, special) =
            split_bytes(rest, rest.iter().position(is_special).unwrap_or(rest.len()));
        out.extend_from_slice(plain);
        rest = match special.split_first() {
            Some((b'"', inside)) => copy_string(inside, out),
            Some((_, after)) => after,
            None => return,
        };
    }
}

/// Appends a string from behind its first quote on. Returns the bytes behind it.
fn copy_string<'j>(inside: &'j [u8], out: &mut Vec<u8>) -> &'j [u8] {
    out.push(b'"');
    let mut rest = inside;
    loop {
        let (plain, special) = split_bytes(rest, plain_len(rest));
        out.extend_from_slice(plain);
        rest = match special {
            [] => return special,
            [b'"', after @ ..] => {
                out.push(b'"');
                return after;
            }
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                out.extend_from_slice(&[b'\\', *escaped]);
                after
            }
            [b'\\', after @ ..] => {
                out.push(b'\\');
                after
            }
            [byte, after @ ..] => {
                escape(*byte, out);
                after
            }
        };
    }
}

/// Appends a whole number.
pub(crate) fn number(number: u64, out: &mut Vec<u8>) {
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

/// Appends an array of elements that `write` writes.
pub(crate) fn array<T>(
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
pub(crate) struct ArrayWriter<'o> {
    out: &'o mut Vec<u8>,
    pub(crate) is_empty: bool,
}

impl<'o> ArrayWriter<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_empty: true }
    }

    /// Returns the length of the buffer.
    pub(crate) const fn buffer_len(&self) -> usize {
        self.out.len()
    }

    /// Appends an element that `write` writes.
    pub(crate) fn element(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.attempt(|out| {
            write(out);
            true
        });
    }

    /// Appends an element that `write` writes, unless `write` returns false.
    pub(crate) fn attempt(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
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

    pub(crate) fn end(self) {
        self.out.push(b']');
    }
}

/// Writes an object to a buffer, with the commas between its members.
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Appends the name of a member. Returns the buffer for its value.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn string(&mut self, name: &str, text: &str) {
        string(text, self.name(name));
    }

    pub(crate) fn string_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(name, text);
        }
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        number(value, self.name(name));
    }

    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    /// Appends an object that `write` fills.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.object_if(name, false, write);
    }

    /// Appends an object that `write` fills. If `is_optional`, an empty object is omitted.
    pub(crate) fn object_if(
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
    pub(crate) fn attempt(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>) -> bool) {
        let (start, was_empty) = (self.out.len(), self.is_empty);
        if !write(self) {
            self.out.truncate(start);
            self.is_empty = was_empty;
        }
    }

    /// Ends the object. Returns the buffer.
    pub(crate) fn end(self) -> &'o mut Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::{minified, number, string, string_len};
    use proptest::prelude::*;

    #[test]
    fn numbers_are_written_as_by_display() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn only_strings_have_white_space() {
        for (json, expected) in [
            ("", ""),
            (" [ 1.50 ,\r\n\t-0e+1, \"a b\\\"\\\\\" , { } ] ", r#"[1.50,-0e+1,"a b\"\\",{}]"#),
            (r#"["\u00e9 \/ é", " "]"#, r#"["\u00e9 \/ é"," "]"#),
            // Texts that aren't JSON remain in one line.
            ("\"a\nb\" \n", r#""a\nb""#),
            ("\"a\\\nb", r#""a\\nb"#),
            ("\"\\", r#""\"#),
        ] {
            let mut out = Vec::new();
            minified(json, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{json}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// A pretty text becomes the compact one of `serde_json`.
        #[test]
        fn pretty_texts_become_compact(texts in proptest::collection::vec("[a \n\t\"\\\\{}:,é]{0,8}", 0..6), number in any::<i64>()) {
            let mut value = serde_json::json!([number, {"a b": [], "c": {}}, {"texts": texts, " ": [true, null]}]);
            for _ in 0..2 {
                let mut out = Vec::new();
                minified(&format!(" {value:#}\n"), &mut out);
                prop_assert_eq!(String::from_utf8_lossy(&out), value.to_string());
                value = serde_json::json!({"inside": value});
            }
        }

        /// `serde_json` writes the same.
        #[test]
        fn strings_are_written_as_by_serde_json(text in "([a-zé😀\"\\\\/ ]|[\\x00-\\x1f\\x7f]|\u{2028}){0,40}") {
            let mut out = Vec::new();
            string(&text, &mut out);
            prop_assert_eq!(string_len(&text), out.len());
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap_or_default());
        }
    }
}
