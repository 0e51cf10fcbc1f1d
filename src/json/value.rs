//! `Value<'_>`: any JSON value of a payload, as sent.

use alloc::borrow::Cow;
use core::fmt;

use super::document::{Document, Elements, Members};
use super::tape::{Kind, Node, NodeId};
use crate::report::named;
use crate::slice::{split_bytes, text_in};

/// A borrowed JSON value of a payload: its kind, its text and its contents.
///
/// It provides every member of a payload, also those without a method. It parses nothing again and
/// allocates nothing, but for the [log probabilities](crate::chunk::Logprobs) of an ordinary event.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) id: NodeId,
}

/// The kind of a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number of any size, whose text is available.
    Number,
    /// `NaN`, `Infinity` or `-Infinity`, which aren't JSON, but which Python servers send.
    NonFiniteNumber,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl ValueKind {
    /// Returns the name of the kind, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::NonFiniteNumber => "non_finite_number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

named!(ValueKind);

impl<'a> Value<'a> {
    pub(crate) const fn new(document: Document<'a>, id: NodeId) -> Self {
        Self { document, id }
    }

    /// Returns the kind of the value.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.document.kind(self.id) {
            Some(Kind::True | Kind::False) => ValueKind::Bool,
            Some(Kind::Number | Kind::Huge) => ValueKind::Number,
            Some(Kind::NonFiniteNumber) => ValueKind::NonFiniteNumber,
            Some(Kind::String) => ValueKind::String,
            Some(Kind::Array) => ValueKind::Array,
            Some(Kind::Object) => ValueKind::Object,
            Some(Kind::Null) | None => ValueKind::Null,
        }
    }

    /// Returns true if the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == ValueKind::Null
    }

    /// Returns the JSON text of the value, byte for byte as sent.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.document.raw(self.id)
    }

    /// Returns the text of [`raw`](Self::raw), which isn't checked.
    #[inline]
    pub(crate) fn raw_bytes(&self) -> &'a [u8] {
        self.document.raw_bytes(self.id)
    }

    /// Returns the unescaped text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        self.document.string(self.id)
    }

    /// Returns the value of `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.document.kind(self.id) {
            Some(Kind::True) => Some(true),
            Some(Kind::False) => Some(false),
            _ => None,
        }
    }

    /// Returns the value of a number that is written as a whole one and fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.document.count(self.id)
    }

    /// Returns the value of a number that is written as a whole one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// Returns the nearest `f64` of a number, or `None` if that is infinite, as for `1e400`.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns the member `name` of an object.
    ///
    /// Of members with the same name the last one counts, as in JavaScript, Python and
    /// `serde_json`. The search costs the number of members.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.document
            .members(self.id)
            .filter(|member| member.name == name.as_bytes())
            .last()
            .map(|member| Self::new(self.document, member.value))
    }

    /// Returns the members of an object in the order sent, repeated names included.
    #[must_use]
    pub fn members(&self) -> ValueMembers<'a> {
        ValueMembers { document: self.document, members: self.document.members(self.id) }
    }

    /// Returns the elements of an array.
    ///
    /// The first look into a list of log probabilities may allocate: see
    /// [`Logprobs`](crate::chunk::Logprobs).
    #[must_use]
    pub fn elements(&self) -> ValueElements<'a> {
        let Self { document, id } = if self.is_unread() { self.in_full() } else { *self };
        ValueElements { document, elements: document.elements(id) }
    }

    /// Returns the position of [`raw`](Self::raw) in the payload, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.document.node(self.id).map_or(0, |node| node.start as usize)
    }

    /// Returns true if both values are of one document.
    pub(crate) fn is_in_document_of(&self, other: &Value<'_>) -> bool {
        self.document.is(&other.document)
    }

    /// Returns the lone surrogates at the ends of a string: a low one first, a high one last.
    ///
    /// Their other halves may be in the strings of the chunks before and after.
    #[cold]
    pub(crate) fn lone_surrogates_at_ends(&self) -> (Option<u16>, Option<u16>) {
        let raw = self.raw().as_bytes();
        let text = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
        let text = text.unwrap_or_default();
        let first = code_unit(text.get(..6)).filter(|unit| (0xDC00..=0xDFFF).contains(unit));
        let before = text.len().saturating_sub(6);
        let (head, tail) = split_bytes(text, before);
        // An escaped backslash begins no escape.
        let escaping = head.iter().rev().take_while(|byte| **byte == b'\\').count();
        let last = code_unit(Some(tail)).filter(|unit| (0xD800..=0xDBFF).contains(unit));
        (first, last.filter(|_| escaping % 2 == 0))
    }

    /// Returns true for `null`, `""`, `[]` and `{}`, which change nothing when merged.
    pub(crate) fn is_empty_value(&self) -> bool {
        match self.document.kind(self.id) {
            None | Some(Kind::Null) => true,
            Some(Kind::String) => self.document.raw_len(self.id) == "\"\"".len(),
            Some(Kind::Array | Kind::Object) => {
                self.document.behind(self.id) == self.id + 1 && !self.is_unread()
            }
            Some(_) => false,
        }
    }

    /// Returns the JSON text that a completion stores.
    ///
    /// Numbers that aren't finite are `null`. An empty array or object has no white space, so that it
    /// is known by its bytes.
    pub(crate) fn stored(&self) -> Cow<'a, [u8]> {
        match self.document.kind(self.id) {
            Some(Kind::Array) if self.is_empty_value() => Cow::Borrowed(b"[]"),
            Some(Kind::Object) if self.is_empty_value() => Cow::Borrowed(b"{}"),
            _ if !self.document.has_non_finite_numbers() => Cow::Borrowed(self.raw_bytes()),
            _ => {
                let mut text = String::with_capacity(self.json_len());
                self.write_json(&mut text);
                Cow::Owned(text.into_bytes())
            }
        }
    }

    /// Returns true if the stored text is an empty value, so that merging it changes nothing.
    ///
    /// A number that isn't finite is stored as `null`.
    pub(crate) fn adds_nothing(&self) -> bool {
        self.is_empty_value() || self.kind() == ValueKind::NonFiniteNumber
    }

    /// Returns the length of the text that [`write_json`](Self::write_json) appends.
    pub(crate) fn json_len(&self) -> usize {
        self.document.raw_len(self.id) + self.non_finite_numbers().count() * "null".len()
            - self.non_finite_numbers().map(|node| (node.end - node.start) as usize).sum::<usize>()
    }

    /// Appends the JSON text, with `null` in place of numbers that aren't finite.
    pub(crate) fn write_json(&self, out: &mut String) {
        let text = self.raw();
        if !self.document.has_non_finite_numbers() {
            return out.push_str(text);
        }
        let start = self.position();
        let mut written = 0;
        for node in self.non_finite_numbers() {
            out.push_str(text_in(text, written..node.start as usize - start));
            out.push_str("null");
            written = node.end as usize - start;
        }
        out.push_str(text_in(text, written..));
    }

    /// Returns the nodes of numbers that aren't finite.
    pub(crate) fn non_finite_numbers(&self) -> impl Iterator<Item = Node> + use<'a> {
        let document = self.document;
        // Most documents have none.
        let end =
            if document.has_non_finite_numbers() { document.behind(self.id) } else { self.id };
        (self.id..end)
            .filter(move |id| document.kind(*id) == Some(Kind::NonFiniteNumber))
            .filter_map(move |id| document.node(id))
    }

    fn number(&self) -> Option<&'a str> {
        matches!(self.document.kind(self.id)?, Kind::Number | Kind::Huge).then(|| self.raw())
    }
}

/// Returns the code unit of an escape of six bytes.
fn code_unit(escape: Option<&[u8]>) -> Option<u16> {
    let digits = core::str::from_utf8(escape?.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// Writes the JSON text as sent.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

/// The members of an object; see [`Value::members`].
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct ValueMembers<'a> {
    document: Document<'a>,
    members: Members<'a>,
}

impl<'a> Iterator for ValueMembers<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.members.next()?.value;
        let name = self.document.name_of(value);
        Some((name, Value::new(self.document, value)))
    }
}

/// The elements of an array; see [`Value::elements`].
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct ValueElements<'a> {
    document: Document<'a>,
    elements: Elements<'a>,
}

impl<'a> Iterator for ValueElements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        Some(Value::new(self.document, self.elements.next()?))
    }
}

/// Serializes the value as sent, for `serde_json`, with the text of numbers.
///
/// `NaN` and the infinities, which aren't JSON, become `null`. Any other value can be written as
/// text. `serde_json::to_value` parses the text again, and rejects some values, such as half a
/// surrogate pair.
#[cfg(feature = "serde")]
impl serde::Serialize for Value<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.non_finite_numbers().next().is_none() {
            return super::serde::serialize_text(self.raw(), serializer);
        }
        let mut json = String::new();
        self.write_json(&mut json);
        super::serde::serialize_text(&json, serializer)
    }
}
