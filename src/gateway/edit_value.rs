//! `EditValue`: the JSON value that an edit writes.

use crate::error::{Error, ErrorKind};
use crate::json::{Document, NodeId, Parser, Tape, Value, writer};
use crate::limits::Limits;

/// A JSON value that an edit writes: a text, a number, a boolean, `null`, or any checked JSON text.
///
/// ```
/// use deltawire::gateway::EditValue;
///
/// let text = EditValue::from("null"); // the string `"null"`
/// let null = EditValue::NULL;
/// let number = EditValue::from(0.5);
/// let object = EditValue::from_json(br#"{"tier": "gold", "weights": [1, 2.5]}"#)?;
/// # let _ = (text, null, number, object);
///
/// let error = EditValue::from_json(br#"{"tier": gold}"#).unwrap_err();
/// assert_eq!(error.offset(), 9);
/// # Ok::<(), deltawire::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EditValue<'v>(Source<'v>);

/// A value of Rust, or a JSON text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source<'v> {
    Text(&'v str),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Json(&'v str),
}

impl<'v> EditValue<'v> {
    /// The value `null`.
    pub const NULL: Self = Self(Source::Json("null"));

    /// Checks that a text is one JSON value that all readers read alike.
    ///
    /// It is written without its line breaks, which would end a line of the event. The names of each
    /// object are sorted. Allocates up to 64 bytes for each name and value, and frees them.
    ///
    /// # Errors
    ///
    /// Returns the error and its offset in the text, for a text that isn't JSON. The same for a lone
    /// surrogate, for `NaN` and `Infinity`, and for a number beyond 64 bits. An object with two members of
    /// one name is an error, and so is a text over the default [`Limits`].
    pub fn from_json(json: &'v [u8]) -> Result<Self, Error> {
        let mut parser = Parser::new(&Limits::new());
        parser.set_strict(true);
        let mut tape = Tape::default();
        let (text, _) = parser.parse_onto(&mut tape, json)?;
        check_names(Document::new(&tape, text))?;
        Ok(Self(Source::Json(text)))
    }

    /// Appends the value as JSON without line breaks.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Text(text) => writer::string(text, out),
            Source::Unsigned(number) => writer::number(number, out),
            Source::Signed(number) => writer::signed(number, out),
            Source::Float(number) => writer::float(number, out),
            Source::Bool(true) => out.extend_from_slice(b"true"),
            Source::Bool(false) => out.extend_from_slice(b"false"),
            // Line breaks in strings are escaped, so these are between tokens.
            Source::Json(json) => {
                out.extend(json.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
            }
        }
    }
}

/// Fails at the first name that an object has twice.
fn check_names(document: Document<'_>) -> Result<(), Error> {
    let (mut names, mut first) = (Vec::new(), NodeId::MAX);
    for object in 0..document.behind(0) {
        names.clear();
        names.extend(document.members(object).map(|member| (member.name, member.value)));
        names.sort_unstable();
        let same = names.windows(2).filter_map(|pair| match pair {
            [(one, _), (other, value)] if one == other => Some(*value),
            _ => None,
        });
        first = same.fold(first, NodeId::min);
    }
    if first == NodeId::MAX {
        return Ok(());
    }
    let name = Value::new(document, first.saturating_sub(1));
    Err(Error::new(ErrorKind::RepeatedName, name.position() as u64))
}

impl<'v> From<&'v str> for EditValue<'v> {
    /// Creates a string. Its text may contain any characters.
    fn from(text: &'v str) -> Self {
        Self(Source::Text(text))
    }
}

impl<'v> From<&'v String> for EditValue<'v> {
    /// Creates a string. Its text may contain any characters.
    fn from(text: &'v String) -> Self {
        Self(Source::Text(text))
    }
}

impl From<bool> for EditValue<'_> {
    fn from(value: bool) -> Self {
        Self(Source::Bool(value))
    }
}

impl From<u64> for EditValue<'_> {
    fn from(number: u64) -> Self {
        Self(Source::Unsigned(number))
    }
}

impl From<i64> for EditValue<'_> {
    fn from(number: i64) -> Self {
        Self(Source::Signed(number))
    }
}

impl From<u32> for EditValue<'_> {
    fn from(number: u32) -> Self {
        Self(Source::Unsigned(number.into()))
    }
}

impl From<i32> for EditValue<'_> {
    fn from(number: i32) -> Self {
        Self(Source::Signed(number.into()))
    }
}

impl From<f64> for EditValue<'_> {
    /// Creates a number; `null` for `NaN` and the infinities, which JSON lacks.
    fn from(number: f64) -> Self {
        Self(Source::Float(number))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::EditValue;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    fn written<'v>(value: impl Into<EditValue<'v>>) -> String {
        let mut out = Vec::new();
        value.into().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_is_one_value_in_one_line() {
        let json = EditValue::from_json(b" {\r\n \"a\": [1,\n2.50] }\n").unwrap();
        assert_eq!(written(json), " { \"a\": [1,2.50] }");
        assert_eq!(written(EditValue::NULL), "null");
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(written(number), "null");
        }
        for (json, kind, offset) in [
            ("", ErrorKind::UnexpectedEnd, 0),
            ("{\"a\":}", ErrorKind::ExpectedValue, 5),
            ("1 2", ErrorKind::TrailingData, 2),
            ("\"a\nb\"", ErrorKind::ControlCharacter, 2),
            ("[1,]", ErrorKind::ExpectedValue, 3),
            ("[NaN]", ErrorKind::NonFiniteNumber, 1),
            ("\"\\ud800\"", ErrorKind::LoneSurrogate, 1),
            ("[1e999]", ErrorKind::FloatOutOfRange, 1),
            (r#"{"a":1,"a":2}"#, ErrorKind::RepeatedName, 7),
            (r#"{"a":1,"\u0061":2}"#, ErrorKind::RepeatedName, 7),
            (r#"{"b":{"":1,"c":2,"" :3},"b":4}"#, ErrorKind::RepeatedName, 17),
            (r#"{"b":1,"b":{"c":1,"c":2}}"#, ErrorKind::RepeatedName, 7),
            (r#"[{"a":1,"b":2,"a":3,"b":4}]"#, ErrorKind::RepeatedName, 14),
        ] {
            let error = EditValue::from_json(json.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{json}");
        }
    }

    /// Objects may share names with each other, and a name may be a value.
    #[test]
    fn a_name_is_repeated_in_one_object_only() {
        for json in [r#"{"a":{"a":"a"},"b":[{"a":"b"},{"a":1}]}"#, r#"["a","a"]"#, r#""a""#, "{}"] {
            assert!(EditValue::from_json(json.as_bytes()).is_ok(), "{json}");
        }
        let error = EditValue::from_json(b"\"\xFF\"").unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::InvalidUtf8, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// `serde_json` reads each value as the one that it was made from.
        #[test]
        fn values_are_json(
            text in "[a\"\\\\\n\u{0}é😀]{0,8}",
            unsigned: u64,
            signed: i64,
            float in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
            is_true: bool,
        ) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
            prop_assert_eq!(serde_json::from_str::<u64>(&written(unsigned)).unwrap(), unsigned);
            prop_assert_eq!(serde_json::from_str::<i64>(&written(signed)).unwrap(), signed);
            let read: serde_json::Number = serde_json::from_str(&written(float)).unwrap();
            prop_assert_eq!(read.as_str().parse::<f64>().unwrap().to_bits(), float.to_bits());
            prop_assert_eq!(serde_json::from_str::<bool>(&written(is_true)).unwrap(), is_true);
        }
    }
}
