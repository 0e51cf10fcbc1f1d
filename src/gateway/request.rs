//! `ChatRequest`: reads the body of a request, and edits its model and its `include_usage`.
//!
//! A gateway that forwards a request needs a few members of its body. [`ChatRequest`] returns them,
//! and writes the body with another model and with the usage requested. All other bytes stay.
//!
//! Servers differ in how they read some bodies. So a client could show one model to the gateway and
//! another one to the server behind it. Such a body is an [`Error`]; see [`ChatRequest::read`].

use alloc::borrow::Cow;
use core::fmt;
use core::ops::Range;

use super::byte_edit::{ByteEdit, write_data};
use crate::chunk::schema::top;
use crate::error::{Error, ErrorKind};
use crate::json::writer::{self, ObjectWriter};
use crate::json::{Parser, Tape, Value, ValueKind, expect};
use crate::limits::Limits;
use crate::report::named;

const STREAM: &str = "stream";
const INCLUDE_USAGE: &str = "include_usage";

/// Requests the usage of a stream. Returns the body, and who asks for the usage.
///
/// This is [`ChatRequest::ask_for_usage`] for a gateway that edits nothing else. An unchanged body is
/// borrowed.
///
/// ```
/// use deltawire::gateway::request::{AskedBy, ask_for_usage};
/// use deltawire::gateway::{Editor, UsageVisibility};
///
/// let (body, asked_by) = ask_for_usage(br#"{"model":"m", "stream":true}"#)?;
/// assert_eq!(&*body, br#"{"model":"m", "stream":true,"stream_options":{"include_usage":true}}"#);
///
/// let mut editor = Editor::new();
/// if asked_by == AskedBy::Gateway {
///     editor.hide_usage(UsageVisibility::Removed);
/// }
/// # Ok::<(), deltawire::Error>(())
/// ```
///
/// # Errors
///
/// Returns the errors of [`ChatRequest::read`].
pub fn ask_for_usage(body: &[u8]) -> Result<(Cow<'_, [u8]>, AskedBy), Error> {
    let mut request = ChatRequest::read(body)?;
    let asked_by = request.ask_for_usage();
    Ok((request.edited(), asked_by))
}

/// The peer that asks for the usage of a stream; see [`ChatRequest::ask_for_usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a client that didn't ask for the usage may fail at it"]
#[non_exhaustive]
pub enum AskedBy {
    /// The client: its `stream_options` have `"include_usage":true`.
    Client,
    /// The gateway, by its edit.
    ///
    /// The client expects no usage: see [`Editor::hide_usage`](super::Editor::hide_usage).
    Gateway,
    /// Neither of the two: the request is for a whole completion, which always has its usage.
    Neither,
}

impl AskedBy {
    /// Returns the name of the peer, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Neither => "neither",
        }
    }
}

named!(AskedBy);

/// The body of a request for a chat completion, and edits of it.
///
/// ```
/// use deltawire::gateway::request::{AskedBy, ChatRequest};
///
/// let body = br#"{"model": "fast", "stream": true, "messages": [], "stream_options": {"a": 1.0}}"#;
/// let mut request = ChatRequest::read(body)?;
/// assert_eq!((request.model(), request.is_stream()), (Some("fast"), true));
/// if request.model() == Some("fast") {
///     request.set_model("llama-3-70b");
/// }
/// assert_eq!(request.ask_for_usage(), AskedBy::Gateway);
///
/// let expected = concat!(
///     r#"{"model": "llama-3-70b", "stream": true, "messages": [], "#,
///     r#""stream_options": {"a": 1.0,"include_usage":true}}"#,
/// );
/// assert_eq!(&*request.edited(), expected.as_bytes());
/// # Ok::<(), deltawire::Error>(())
/// ```
///
/// The body is read once and stays borrowed.
#[derive(Clone)]
pub struct ChatRequest<'a> {
    body: &'a [u8],
    model: Option<Box<str>>,
    is_stream: bool,
    asks_for_usage: bool,
    /// The place of the model, and the model that the gateway sets.
    model_place: Insertion,
    new_model: Option<Box<str>>,
    /// The edit that requests the usage, and whether it is made.
    usage_place: Insertion,
    adds_usage: bool,
}

/// A text, and the range of the body that it replaces. For a new member the range is empty.
#[derive(Clone)]
struct Insertion {
    range: Range<usize>,
    text: Vec<u8>,
}

impl<'a> ChatRequest<'a> {
    /// Reads the body of a request, within the default [`Limits`]. Time is linear in its length.
    ///
    /// While it reads, it allocates up to 64 bytes for each name and value of the body, and a copy of
    /// the strings with escapes. It stores the model's name and the texts of the edits.
    ///
    /// # Errors
    ///
    /// Returns the error and its offset in the body. A gateway must not forward such a body. It has
    /// to be one JSON object in UTF-8 without a byte order mark, within the limits. If `null` is
    /// allowed, it has the meaning of an absent member:
    ///
    /// | member | value | else |
    /// |---|---|---|
    /// | `model` | a string or `null` | [`ErrorKind::ExpectedString`] |
    /// | `stream` | a boolean or `null` | [`ErrorKind::ExpectedBool`] |
    /// | `stream_options` | an object or `null` | [`ErrorKind::ExpectedObject`] |
    /// | its `include_usage` | a boolean or `null` | [`ErrorKind::ExpectedBool`] |
    ///
    /// OpenAI's schema has no `null` for `include_usage` and `model`. Servers whose members are optional
    /// accept it. An edit replaces it.
    ///
    /// Names are compared unescaped. Members with these names in other objects don't count. In the
    /// request and its `stream_options` these are errors, too:
    ///
    /// - [`ErrorKind::RepeatedName`]: one of the four names occurs twice. Some readers use the first
    ///   member, some the last.
    /// - [`ErrorKind::AmbiguousName`]: a name equals one of the four for some readers only, such as
    ///   `Model`. Go's `encoding/json` ignores case, and C strings end at U+0000.
    /// - [`ErrorKind::LoneSurrogate`]: a name or the model has half a surrogate pair. Readers
    ///   replace it, drop it or end the string there.
    /// - [`ErrorKind::NonFiniteNumber`]: `NaN`, `Infinity` or `-Infinity`, anywhere in the body.
    ///
    /// Half a surrogate pair elsewhere is JSON, as are numbers of any size. They stay as they are.
    pub fn read(body: &'a [u8]) -> Result<Self, Error> {
        Self::read_with_limits(body, &Limits::new())
    }

    /// Reads the body of a request within limits; see [`read`](Self::read).
    ///
    /// The limits are [`max_json_depth`](Limits::max_json_depth) and
    /// [`max_json_values`](Limits::max_json_values). The caller bounds the length of the body; 2 GiB
    /// are too long.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`read`](Self::read).
    pub fn read_with_limits(body: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let mut tape = Tape::default();
        let (document, deviations) = Parser::new(limits).parse(body, &mut tape)?;
        let request = Value::new(document, 0);
        expect(request.kind() == ValueKind::Object, request, ErrorKind::ExpectedObject)?;
        if let Some(number) = request.non_finite_numbers().next() {
            return Err(Error::new(ErrorKind::NonFiniteNumber, u64::from(number.start)));
        }
        let has_lone_surrogates = deviations.lone_surrogates > 0;
        let names = [top::MODEL, STREAM, top::STREAM_OPTIONS];
        let [model, stream, options] = members(request, names, has_lone_surrogates)?;
        let (asks_for_usage, usage_place) = match options.filter(|options| !options.is_null()) {
            None => {
                let mut place = Insertion::at(request, options, top::STREAM_OPTIONS);
                let mut new_options = ObjectWriter::begin(&mut place.text);
                new_options.raw(INCLUDE_USAGE, "true");
                new_options.end();
                (false, place)
            }
            Some(options) => {
                expect(options.kind() == ValueKind::Object, options, ErrorKind::ExpectedObject)?;
                let [include] = members(options, [INCLUDE_USAGE], has_lone_surrogates)?;
                let mut place = Insertion::at(options, include, INCLUDE_USAGE);
                place.text.extend_from_slice(b"true");
                (flag(include)?, place)
            }
        };
        Ok(Self {
            body,
            model: model_name(model, has_lone_surrogates)?,
            is_stream: flag(stream)?,
            asks_for_usage,
            model_place: Insertion::at(request, model, top::MODEL),
            new_model: None,
            usage_place,
            adds_usage: false,
        })
    }

    /// Returns the model that the client asks for, unescaped. An edit doesn't change it.
    ///
    /// Returns `None` if `model` is absent or `null`.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns true if the request is for a stream: `stream` is `true`.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Returns true if the client asks for the usage: `stream_options.include_usage` is `true`.
    ///
    /// An edit doesn't change it.
    #[must_use]
    pub const fn asks_for_usage(&self) -> bool {
        self.asks_for_usage
    }

    /// Sets the model: replaces its value, or adds the member at the end of the request.
    ///
    /// The last call counts. The client's own model is no edit.
    pub fn set_model(&mut self, model: &str) {
        self.new_model = (self.model() != Some(model)).then(|| model.into());
    }

    /// Sets `stream_options.include_usage` to `true` for a stream; returns who asks for the usage.
    ///
    /// Replaces the value of `include_usage` or a `stream_options` of `null`. An absent member is
    /// added at the end of its object. Changes nothing for a whole completion, since OpenAI rejects
    /// `stream_options` without `stream`.
    pub fn ask_for_usage(&mut self) -> AskedBy {
        match (self.asks_for_usage, self.is_stream) {
            (true, _) => AskedBy::Client,
            (false, false) => AskedBy::Neither,
            (false, true) => {
                self.adds_usage = true;
                AskedBy::Gateway
            }
        }
    }

    /// Returns the body with the edits. Without edits it is borrowed.
    #[must_use]
    pub fn edited(&self) -> Cow<'a, [u8]> {
        let (mut texts, mut edits) = (Vec::new(), Vec::new());
        if let Some(model) = &self.new_model {
            texts.extend_from_slice(&self.model_place.text);
            writer::string(model, &mut texts);
            edits.push(ByteEdit { range: self.model_place.range.clone(), text: 0..texts.len() });
        }
        if self.adds_usage {
            let start = texts.len();
            texts.extend_from_slice(&self.usage_place.text);
            let range = self.usage_place.range.clone();
            edits.push(ByteEdit { range, text: start..texts.len() });
        }
        if edits.is_empty() {
            return Cow::Borrowed(self.body);
        }
        edits.sort_by_key(|edit| edit.range.start);
        let mut out = Vec::with_capacity(self.body.len() + texts.len());
        let written = write_data(self.body, &edits, &texts, &mut out);
        debug_assert!(written.is_some(), "an edit is outside of the body");
        if written.is_none() {
            // No server accepts an empty body.
            out.clear();
        }
        Cow::Owned(out)
    }
}

/// Shows no text of the body.
impl fmt::Debug for ChatRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("is_stream", &self.is_stream)
            .field("asks_for_usage", &self.asks_for_usage)
            .field("sets_model", &self.new_model.is_some())
            .field("adds_usage", &self.adds_usage)
            .finish_non_exhaustive()
    }
}

impl Insertion {
    /// Returns the place of a member's value, with the text before a new value.
    ///
    /// `member` is its current value; without one, the member is added at the end of `object`.
    fn at(object: Value<'_>, member: Option<Value<'_>>, name: &str) -> Self {
        if let Some(member) = member {
            return Self { range: range(member), text: Vec::new() };
        }
        let end = range(object).end.saturating_sub(1);
        let mut text = Vec::new();
        if object.members().next().is_some() {
            text.push(b',');
        }
        writer::string(name, &mut text);
        text.push(b':');
        Self { range: end..end, text }
    }
}

/// Returns the range of a value in the body.
fn range(value: Value<'_>) -> Range<usize> {
    value.position()..value.position() + value.raw().len()
}

/// Returns the values of the members with these names.
///
/// Fails if a name is repeated, or if readers differ in whether it is one of them.
fn members<'v, const N: usize>(
    object: Value<'v>,
    names: [&str; N],
    has_lone_surrogates: bool,
) -> Result<[Option<Value<'v>>; N], Error> {
    let mut found = [None; N];
    for (name, value) in object.members() {
        // The node of the name is before that of its value.
        let name_value = Value::new(value.document, value.id - 1);
        if has_lone_surrogates {
            expect_whole_characters(name_value)?;
        }
        for (known, place) in names.iter().zip(&mut found) {
            if may_be_read_as(name, known) {
                expect(name == *known, name_value, ErrorKind::AmbiguousName)?;
                expect(place.replace(value).is_none(), name_value, ErrorKind::RepeatedName)?;
            }
        }
    }
    Ok(found)
}

/// Returns true if a reader may equate a name with a known one.
///
/// `known` is in lower case and has neither `k` nor a letter that isn't ASCII.
fn may_be_read_as(name: &str, known: &str) -> bool {
    // Only these letters beyond ASCII equal one of ASCII in Go's or Java's comparisons, besides `K`.
    let folded = name.chars().take_while(|letter| *letter != '\0').map(|letter| match letter {
        'ſ' => 's',
        'ı' | 'İ' => 'i',
        _ => letter.to_ascii_lowercase(),
    });
    folded.eq(known.chars())
}

/// Fails if a string has half a surrogate pair.
#[cold]
fn expect_whole_characters(string: Value<'_>) -> Result<(), Error> {
    let mut parser = Parser::new(&Limits::new());
    parser.set_strict(true);
    let read = parser.parse_onto(&mut Tape::default(), string.raw().as_bytes());
    let moved = |error: Error| Error::new(error.kind(), string.position() as u64 + error.offset());
    read.map(|_| ()).map_err(moved)
}

/// Returns the name of a model; `None` if it is absent or `null`. Fails for any other type.
fn model_name(
    model: Option<Value<'_>>,
    has_lone_surrogates: bool,
) -> Result<Option<Box<str>>, Error> {
    let Some(model) = model.filter(|model| !model.is_null()) else { return Ok(None) };
    expect(model.kind() == ValueKind::String, model, ErrorKind::ExpectedString)?;
    if has_lone_surrogates {
        expect_whole_characters(model)?;
    }
    Ok(model.as_str().map(Into::into))
}

/// Returns the value of a boolean; false if it is absent or `null`. Fails for any other type.
fn flag(value: Option<Value<'_>>) -> Result<bool, Error> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(false) };
    expect(value.kind() == ValueKind::Bool, value, ErrorKind::ExpectedBool)?;
    Ok(value.as_bool() == Some(true))
}
