//! `EditValue`: the JSON value that an edit writes.

use crate::error::Error;
use crate::json::{Parser, Tape, writer};
use crate::limits::Limits;

/// A JSON value that an edit writes: a text, a number, a boolean, `null`, or any checked JSON text.
///
/// ```
/// use deltawire::gateway::EditValue;
///
/// let text = EditValue::from("null"); // the string `"null"`
/// let null = EditValue::NULL;
/// let number = EditValue::from(0.5);
/// let object = EditValue::json(r#"{"tier": "gold", "weights": [1, 2.5]}"#)?;
/// # let _ = (text, null, number, object);
///
/// let error = EditValue::json(r#"{"tier": gold}"#).unwrap_err();
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
    /// It is written without its line breaks, which would end a line of the event. Allocates up to 64
    /// bytes for each name and value, and frees them.
    ///
    /// # Errors
    ///
    /// Returns the error and its offset in the text, for a text that isn't JSON. The same for a lone
    /// surrogate, for `NaN` and `Infinity`, for a number beyond 64 bits, and for a text over the
    /// default [`Limits`].
    pub fn json(json: &'v str) -> Result<Self, Error> {
        let mut parser = Parser::new(&Limits::new());
        parser.set_strict(true);
        parser.parse_onto(&mut Tape::default(), json.as_bytes())?;
        Ok(Self(Source::Json(json)))
    }

    /// Appends the value as JSON without line breaks.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Text(text) => writer::string(text, out),
            Source::Unsigned(number) => writer::number(number, out),
            Source::Signed(number) => {
                out.extend_from_slice(if number < 0 { b"-" } else { b"" });
                writer::number(number.unsigned_abs(), out);
            }
            // The format of `Debug` has an exponent where one is shorter, and is JSON.
            Source::Float(number) if number.is_finite() => {
                out.extend_from_slice(format!("{number:?}").as_bytes());
            }
            Source::Float(_) => out.extend_from_slice(b"null"),
            Source::Bool(true) => out.extend_from_slice(b"true"),
            Source::Bool(false) => out.extend_from_slice(b"false"),
            // Line breaks in strings are escaped, so these are between tokens.
            Source::Json(json) => {
                out.extend(json.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
            }
        }
    }
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
        let json = EditValue::json(" {\r\n \"a\": [1,\n2.50] }\n").unwrap();
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
        ] {
            let error = EditValue::json(json).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{json}");
        }
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
