//! `Error`: what was wrong, and at which byte of the stream.

use core::fmt;

/// What was wrong with a piece of the stream, and where.
///
/// An error belongs to one event. The decoder that reported it goes on with the next one.
/// Neither `Display` nor `Debug` repeats anything of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    kind: ErrorKind,
    offset: u64,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// What was wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where: bytes from the start of the stream. For an event or a line that is too large, where
    /// the event begins; for an `id` that is too long, where that begins; for a payload the byte
    /// that its reader stopped at. Whether a payload is UTF-8 is looked at first.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl core::error::Error for Error {}

/// What can be wrong with a stream, named after the grammar that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A line is longer than [`Limits::line_bytes`](crate::Limits::line_bytes).
    LineTooLong,
    /// An event is larger than [`Limits::event_bytes`](crate::Limits::event_bytes).
    EventTooLarge,
    /// The `id` of an event is longer than [`Limits::id_bytes`](crate::Limits::id_bytes).
    IdTooLong,
    /// A byte that no UTF-8 sequence can have there.
    InvalidUtf8,
    /// The payload is JSON, but no object.
    ExpectedObject,
    /// An array was expected, in a completion that is read from JSON.
    ExpectedArray,
    /// A string was expected, in a completion that is read from JSON.
    ExpectedString,
    /// A whole number from 0 to `u64::MAX` was expected, in a completion that is read from JSON.
    ExpectedInteger,
    /// A completion was expected, but the object has no `choices`.
    ExpectedChoices,
    /// A choice of a completion has no `index`.
    ExpectedIndex,
    /// A JSON value was expected.
    ExpectedValue,
    /// A member's name, a string, was expected.
    ExpectedName,
    /// The colon between a member's name and its value was expected.
    ExpectedColon,
    /// A comma or the end of the array or object was expected.
    ExpectedCommaOrEnd,
    /// Nothing but white space may follow the value.
    TrailingData,
    /// The JSON text ends inside a value.
    UnexpectedEnd,
    /// A backslash is followed by something that is no escape.
    InvalidEscape,
    /// A control character stands unescaped in a string.
    ControlCharacter,
    /// A number breaks the grammar of JSON numbers.
    InvalidNumber,
    /// A strict decoder met half of a surrogate pair, escaped, without its other half.
    LoneSurrogate,
    /// A strict decoder met `NaN`, `Infinity` or `-Infinity`.
    NotFinite,
    /// A strict decoder met an integer beyond `u64` or `i64`.
    BigInteger,
    /// A strict decoder met a number beyond `f64`.
    HugeNumber,
    /// Arrays and objects nest deeper than [`Limits::json_depth`](crate::Limits::json_depth).
    TooDeep,
    /// A payload has more names and values than [`Limits::json_values`](crate::Limits::json_values),
    /// or more than 4 096 choices or tool calls.
    TooManyValues,
    /// The payload has 2 GiB or more.
    PayloadTooLarge,
}

impl ErrorKind {
    /// Its name, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::EventTooLarge => "event_too_large",
            Self::IdTooLong => "id_too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::ExpectedObject => "expected_object",
            Self::ExpectedArray => "expected_array",
            Self::ExpectedString => "expected_string",
            Self::ExpectedInteger => "expected_integer",
            Self::ExpectedChoices => "expected_choices",
            Self::ExpectedIndex => "expected_index",
            Self::ExpectedValue => "expected_value",
            Self::ExpectedName => "expected_name",
            Self::ExpectedColon => "expected_colon",
            Self::ExpectedCommaOrEnd => "expected_comma_or_end",
            Self::TrailingData => "trailing_data",
            Self::UnexpectedEnd => "unexpected_end",
            Self::InvalidEscape => "invalid_escape",
            Self::ControlCharacter => "control_character",
            Self::InvalidNumber => "invalid_number",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NotFinite => "not_finite",
            Self::BigInteger => "big_integer",
            Self::HugeNumber => "huge_number",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::PayloadTooLarge => "payload_too_large",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "line longer than the limit",
            Self::EventTooLarge => "event larger than the limit",
            Self::IdTooLong => "event id longer than the limit",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::ExpectedObject => "expected a JSON object",
            Self::ExpectedArray => "expected an array",
            Self::ExpectedString => "expected a string",
            Self::ExpectedInteger => "expected a whole number from 0 on",
            Self::ExpectedChoices => "expected a member `choices`",
            Self::ExpectedIndex => "expected a member `index`",
            Self::ExpectedValue => "expected a JSON value",
            Self::ExpectedName => "expected a member name",
            Self::ExpectedColon => "expected a colon",
            Self::ExpectedCommaOrEnd => "expected a comma or the closing bracket",
            Self::TrailingData => "expected the end of the JSON text",
            Self::UnexpectedEnd => "expected more of the JSON text",
            Self::InvalidEscape => "invalid escape in a string",
            Self::ControlCharacter => "unescaped control character in a string",
            Self::InvalidNumber => "invalid number",
            Self::LoneSurrogate => "lone surrogate escape in a string",
            Self::NotFinite => "number that is not finite",
            Self::BigInteger => "integer beyond 64 bits",
            Self::HugeNumber => "number beyond 64-bit floats",
            Self::TooDeep => "nesting deeper than the limit",
            Self::TooManyValues => "more values than the limit",
            Self::PayloadTooLarge => "payload of 2 GiB or more",
        })
    }
}
