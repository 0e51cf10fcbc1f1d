//! `Error`: the kind of an error in a stream, and its offset.

use core::fmt;

use crate::report::serialize_by_name;

/// An error in one event of a stream: its kind and its offset.
///
/// The decoder reads the next event normally. Neither `Display` nor `Debug` repeats bytes of the
/// stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    kind: ErrorKind,
    offset: u64,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the offset of the error, in bytes from the start of the stream.
    ///
    /// - An event or line over a limit: the offset of the event.
    /// - An `id` over a limit: the offset of the `id`.
    /// - A payload, or JSON in a line without `data:`: the offset of the byte that the parser
    ///   rejects. UTF-8 is checked first.
    ///
    /// An error in a JSON text outside of a stream counts from the start of the text.
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

#[cfg(feature = "serde")]
crate::report::report!(Error { kind, offset });

/// The kinds of errors, named after the rule of the grammar or the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A line is longer than [`Limits::max_line_bytes`](crate::Limits::max_line_bytes).
    LineTooLong,
    /// An event is larger than [`Limits::max_event_bytes`](crate::Limits::max_event_bytes).
    EventTooLarge,
    /// The `id` of an event is longer than [`Limits::max_id_bytes`](crate::Limits::max_id_bytes).
    IdTooLong,
    /// A byte that can't be there in UTF-8.
    InvalidUtf8,
    /// The payload is JSON, but not an object. The same for a request and its `stream_options`.
    ExpectedObject,
    /// An array was expected, in a completion that is read from JSON.
    ExpectedArray,
    /// A string was expected, in a completion that is read from JSON, or as a request's `model`.
    ExpectedString,
    /// A whole number from 0 to `u64::MAX` was expected, in a completion that is read from JSON.
    ExpectedInteger,
    /// A boolean was expected, as a request's `stream` or `include_usage`.
    ExpectedBool,
    /// A completion was expected, but the object has no `choices`.
    ExpectedChoices,
    /// Two choices of a completion have the same index.
    RepeatedIndex,
    /// A member of a request, or of an edit's value, is repeated: readers differ in which one they use.
    RepeatedName,
    /// A member's name in a request equals a known one for some readers only, such as `Model`.
    AmbiguousName,
    /// A JSON value was expected.
    ExpectedValue,
    /// A member's name, a string, was expected.
    ExpectedName,
    /// The colon between a member's name and its value was expected.
    ExpectedColon,
    /// A comma or the end of the array or object was expected.
    ExpectedCommaOrEnd,
    /// Only white space may follow the value.
    TrailingData,
    /// The JSON text ends inside a value.
    UnexpectedEnd,
    /// A backslash doesn't begin a valid escape.
    InvalidEscape,
    /// A string contains a control character without an escape.
    ControlCharacter,
    /// A number breaks the grammar of JSON numbers.
    InvalidNumber,
    /// A strict decoder found an escaped half of a surrogate pair without its other half.
    ///
    /// The same for a name or the `model` of a request.
    LoneSurrogate,
    /// A strict decoder found `NaN`, `Infinity` or `-Infinity`; so did the reader of a request.
    NonFiniteNumber,
    /// A strict decoder found an integer beyond `u64` and `i64`.
    IntegerOutOfRange,
    /// A strict decoder found a number beyond `f64`.
    FloatOutOfRange,
    /// Arrays and objects nest deeper than [`Limits::max_json_depth`](crate::Limits::max_json_depth).
    TooDeep,
    /// A payload has too many names and values, choices or tool calls.
    ///
    /// The bound of names and values is [`Limits::max_json_values`](crate::Limits::max_json_values). A
    /// chunk has at most 4 096 choices and 4 096 tool calls.
    TooManyValues,
    /// The payload has 2 GiB or more.
    PayloadTooLarge,
}

impl ErrorKind {
    /// Returns the name of the kind, in lower case with underscores.
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
            Self::ExpectedBool => "expected_bool",
            Self::ExpectedChoices => "expected_choices",
            Self::RepeatedIndex => "repeated_index",
            Self::RepeatedName => "repeated_name",
            Self::AmbiguousName => "ambiguous_name",
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
            Self::NonFiniteNumber => "non_finite_number",
            Self::IntegerOutOfRange => "integer_out_of_range",
            Self::FloatOutOfRange => "float_out_of_range",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::PayloadTooLarge => "payload_too_large",
        }
    }
}

serialize_by_name!(ErrorKind);

/// Writes a sentence; [`as_str`](Self::as_str) returns the name.
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
            Self::ExpectedBool => "expected a boolean",
            Self::ExpectedChoices => "expected a member `choices`",
            Self::RepeatedIndex => "index of another choice",
            Self::RepeatedName => "repeated member name",
            Self::AmbiguousName => "member name that some readers equate with another",
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
            Self::NonFiniteNumber => "number that is not finite",
            Self::IntegerOutOfRange => "integer beyond 64 bits",
            Self::FloatOutOfRange => "number beyond 64-bit floats",
            Self::TooDeep => "nesting deeper than the limit",
            Self::TooManyValues => "more values than the limit",
            Self::PayloadTooLarge => "payload of 2 GiB or more",
        })
    }
}
