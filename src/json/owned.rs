//! `OwnedValue`, `OwnedObject`, `OwnedArray`: JSON values that own their text.

use alloc::borrow::Cow;
use core::fmt;

use super::json_text::JsonText;
use super::name::Name;
use super::scan::plain_len;
use super::thin_list::ThinList;
use super::value::{Value, ValueKind};
use super::writer::{self, ObjectWriter, array};
use super::{TEXT_LIMITS, read_text};
use crate::error::Error;

/// An owned JSON value: merged from the chunks of a stream, read from JSON, or one's own.
///
/// Numbers and strings have the spelling in which they were sent. Own values are made by
/// [`from_json`](Self::from_json), or from a text, a number or a boolean:
///
/// ```
/// use deltawire::json::OwnedValue;
///
/// let value = OwnedValue::from("one\n\"two\"");
/// assert_eq!(value.as_raw(), Some(r#""one\n\"two\"""#));
/// assert_eq!(value.as_str().unwrap(), "one\n\"two\"");
/// assert_eq!(OwnedValue::from(-7).as_raw(), Some("-7"));
/// assert_eq!(OwnedValue::from(0.5).as_raw(), Some("0.5"));
/// assert_eq!(OwnedValue::from(true).as_raw(), Some("true"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedValue {
    /// A value as its JSON text, which isn't checked: [`from_json`](Self::from_json) checks one.
    ///
    /// A completion with a text that isn't JSON is written as JSON that can't be read. A
    /// [`Replay`](crate::gateway::Replay) writes no line end of it, so its event may be malformed, and
    /// no other event results.
    Raw(JsonText),
    /// An object that was merged member by member.
    Object(OwnedObject),
    /// An array whose elements were merged by their index or id.
    Array(OwnedArray),
}

/// The members of a JSON object: each name once, in the order of first appearance.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OwnedObject {
    pub(crate) members: ThinList<OwnedMember>,
}

/// A member of a merged object.
#[derive(Clone)]
pub(crate) struct OwnedMember {
    pub(crate) name: Name,
    pub(crate) value: OwnedValue,
    /// The number of further fragments that equal the value; [`VARIES`] once one differed.
    pub(crate) repeats: u32,
}

/// Marks a text whose fragments aren't all equal.
pub(crate) const VARIES: u32 = u32::MAX;

/// Compares name and value only: `repeats` isn't a part of the value.
impl PartialEq for OwnedMember {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for OwnedMember {}

/// The bytes of the budget for one entry of an object or array, besides its text.
pub(crate) const ENTRY_COST: usize = 96;

/// An array of objects, which are merged by a key: their index or their id.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OwnedArray {
    pub(crate) elements: ThinList<KeyedElement>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyedElement {
    pub(crate) key: OwnedElementKey,
    pub(crate) object: OwnedObject,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnedElementKey {
    pub(crate) index: Option<Box<str>>,
    pub(crate) id: Option<Box<str>>,
    pub(crate) r#type: Option<Box<str>>,
}

impl OwnedValue {
    /// Reads a value from a JSON text, with nesting limited as in a payload.
    ///
    /// An object is read to its members, of which the last one of a name counts. Any other value is
    /// stored as its text. Slightly invalid JSON is read as a decoder reads it: see
    /// [`JsonDeviations`](super::JsonDeviations).
    ///
    /// ```
    /// use deltawire::ErrorKind;
    /// use deltawire::json::OwnedValue;
    ///
    /// let value = OwnedValue::from_json(br#"{"cost": 0.50, "cached": true}"#)?;
    /// assert_eq!(value.get("cost").unwrap().as_raw(), Some("0.50"));
    /// assert_eq!(value.get("cost").unwrap().as_f64(), Some(0.5));
    /// assert_eq!(value.get("cached").unwrap().as_bool(), Some(true));
    ///
    /// let error = OwnedValue::from_json(b"[1,]").unwrap_err();
    /// assert_eq!((error.kind(), error.offset()), (ErrorKind::ExpectedValue, 3));
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the kind of the error, and its offset in the text.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        read_text(json, &TEXT_LIMITS, |value| Ok(Self::from_value(value)))
    }

    /// Returns the JSON text, or `None` for an object or array that was merged by members or keys.
    #[must_use]
    pub fn as_raw(&self) -> Option<&str> {
        match self {
            Self::Raw(text) => Some(text),
            Self::Object(_) | Self::Array(_) => None,
        }
    }

    /// Returns the value of a number written as a whole one, if it fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_raw()?.parse().ok()
    }

    /// Returns the text of a string. Allocates only if it has escapes.
    ///
    /// Half a surrogate pair is U+FFFD.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        let json = self.as_raw().filter(|json| json.starts_with('"'))?;
        let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(text) = inside.filter(|text| plain_len(text.as_bytes()) == text.len()) {
            return Some(Cow::Borrowed(text));
        }
        read_text(json.as_bytes(), &TEXT_LIMITS, |value| Ok(value.as_str().map(Into::into)))
            .ok()?
            .map(Cow::Owned)
    }

    /// Returns the value of `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.as_raw()?.parse().ok()
    }

    /// Returns the nearest `f64` of a number, or `None` if that is infinite, as for `1e400`.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        let is_number = |json: &&str| json.starts_with(|first| matches!(first, '-' | '0'..='9'));
        let number = self.as_raw().filter(is_number)?.parse().ok();
        number.filter(|number: &f64| number.is_finite())
    }

    /// Returns the member `name` of a merged object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OwnedValue> {
        match self {
            Self::Object(object) => object.get(name),
            Self::Raw(_) | Self::Array(_) => None,
        }
    }

    pub(crate) fn copy_raw(value: Value<'_>) -> Self {
        Self::Raw(JsonText::known(&value.stored()))
    }

    /// Returns true for `null`, `""`, `[]` and `{}`; an empty stored value has no white space.
    pub(crate) fn is_empty_value(&self) -> bool {
        match self {
            Self::Raw(text) => matches!(text.as_bytes(), b"null" | b"\"\"" | b"[]" | b"{}"),
            Self::Object(object) => object.is_empty(),
            Self::Array(list) => list.is_empty(),
        }
    }

    /// Returns true if the value is a string, an array or an object, as `kind` states.
    pub(crate) fn is_of(&self, kind: ValueKind) -> bool {
        match (self, kind) {
            (Self::Raw(text), ValueKind::String) => text.begins_with(b'"'),
            (Self::Raw(text), ValueKind::Array) => text.begins_with(b'['),
            (Self::Raw(text), ValueKind::Object) => text.begins_with(b'{'),
            (Self::Array(_), ValueKind::Array) | (Self::Object(_), ValueKind::Object) => true,
            _ => false,
        }
    }

    /// Returns the bytes of the budget that the value needs.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Raw(text) => text.len(),
            Self::Object(object) => object.cost(),
            Self::Array(list) => list.cost(),
        }
    }

    /// Frees the memory that the texts don't need.
    pub(crate) fn shrink_to_fit(&mut self) {
        match self {
            Self::Raw(text) => text.shrink_to_fit(),
            Self::Object(object) => object.shrink_to_fit(),
            Self::Array(list) => list.shrink_to_fit(),
        }
    }

    /// Appends the JSON text of this value to `out`.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(text) => out.extend_from_slice(text.as_bytes()),
            Self::Object(object) => object.write_json(out),
            Self::Array(list) => list.write_json(out),
        }
    }
}

/// Converts values of Rust by a function of the writer.
macro_rules! from_values {
    ($($(#[doc = $doc:literal])* $type:ty, $value:ident => $write:expr;)+) => {$(
        $(#[doc = $doc])*
        impl From<$type> for OwnedValue {
            fn from($value: $type) -> Self {
                let mut json = Vec::new();
                $write(&mut json);
                Self::Raw(writer::known_string(json).into())
            }
        }
    )+};
}

from_values! {
    /// Writes the text as a JSON string.
    &str, text => |json| writer::string(text, json);
    /// Writes the text as a JSON string.
    &String, text => |json| writer::string(text, json);
    /// Writes the text as a JSON string.
    String, text => |json| writer::string(&text, json);
    /// Writes the number as JSON.
    u64, number => |json| writer::number(number, json);
    /// Writes the number as JSON.
    i64, number => |json| writer::signed(number, json);
    /// Writes the number as JSON.
    u32, number => |json| writer::number(number.into(), json);
    /// Writes the number as JSON.
    i32, number => |json| writer::signed(number.into(), json);
    /// Writes the number as JSON; `null` for `NaN` and the infinities, which JSON lacks.
    f64, number => |json| writer::float(number, json);
    /// Writes `true` or `false`.
    bool, value => |json: &mut Vec<u8>| {
        json.extend_from_slice(if value { b"true" } else { b"false" });
    };
}

impl fmt::Debug for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(text) => f.write_str(text),
            Self::Object(object) => fmt::Debug::fmt(object, f),
            Self::Array(list) => fmt::Debug::fmt(list, f),
        }
    }
}

impl OwnedObject {
    /// Returns the value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OwnedValue> {
        self.members.iter().find(|member| member.name == *name).map(|member| &member.value)
    }

    /// Returns the members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OwnedValue)> {
        self.members.iter().map(|member| (&*member.name, &member.value))
    }

    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true if there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Sets a member: replaces its value at its place, or appends it. Returns the former value.
    ///
    /// Searches all members. Each name remains once.
    ///
    /// ```
    /// use deltawire::completion::ChatCompletion;
    ///
    /// let json = br#"{"choices":[],"provider":{"name":"a"},"cost":0.5}"#;
    /// let mut completion = ChatCompletion::from_json(json)?;
    /// completion.extra.remove("cost");
    /// completion.extra.insert("provider", "our-gateway");
    /// completion.extra.insert("latency_ms", 250);
    /// let names: Vec<_> = completion.extra.iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["provider", "latency_ms"]);
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    ///
    /// An `extra` is written beside the fields. A name that has a field doesn't belong in it: readers
    /// would find the name twice.
    pub fn insert(&mut self, name: &str, value: impl Into<OwnedValue>) -> Option<OwnedValue> {
        let value = value.into();
        if let Some(member) = self.member_mut(name) {
            member.repeats = 0;
            return Some(core::mem::replace(&mut member.value, value));
        }
        self.members.push(OwnedMember { name: name.into(), value, repeats: 0 });
        None
    }

    /// Removes a member and returns its value. The others remain in their order.
    pub fn remove(&mut self, name: &str) -> Option<OwnedValue> {
        let position = self.position(name)?;
        self.members.remove(position).map(|member| member.value)
    }

    pub(crate) fn member_mut(&mut self, name: &str) -> Option<&mut OwnedMember> {
        self.members.iter_mut().find(|member| member.name == *name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut OwnedValue> {
        self.member_mut(name).map(|member| &mut member.value)
    }

    /// Returns the position of a member, which doesn't change while a reassembler has the object.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == *name)
    }

    /// Creates an object of members whose names differ.
    pub(crate) fn from_members(members: impl Iterator<Item = (Name, OwnedValue)>) -> Self {
        let members = members.map(|(name, value)| OwnedMember { name, value, repeats: 0 });
        Self { members: members.collect() }
    }

    /// Makes a buffer for the members of `value`, if there is no member.
    ///
    /// A list with more grows as any list.
    pub(crate) fn reserve_first(&mut self, value: Value<'_>) {
        const MOST: usize = 32;
        if self.is_empty() {
            let members = value.document.members(value.id);
            self.members.reserve_first(members.take(MOST).count());
        }
    }

    pub(crate) fn cost(&self) -> usize {
        self.members
            .iter()
            .map(|OwnedMember { name, value, .. }| name.len() + ENTRY_COST + value.cost())
            .sum()
    }

    /// Frees the memory that the texts don't need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.members.shrink_to_fit();
        self.members.iter_mut().for_each(|member| member.value.shrink_to_fit());
    }

    /// Appends the JSON text of the object to `out`.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(out);
        for (name, value) in self.iter() {
            value.write_json(object.name(name));
        }
        object.end();
    }
}

impl fmt::Debug for OwnedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl OwnedElementKey {
    pub(crate) fn cost(&self) -> usize {
        let texts = [&self.index, &self.id, &self.r#type];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

impl KeyedElement {
    pub(crate) fn cost(&self) -> usize {
        ENTRY_COST + self.key.cost() + self.object.cost()
    }
}

impl OwnedArray {
    /// Returns the elements in the order of their first chunks.
    pub fn iter(&self) -> impl Iterator<Item = &OwnedObject> {
        self.elements.iter().map(|element| &element.object)
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Returns true if there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Creates an array of objects without keys.
    pub(crate) fn from_objects(objects: Vec<OwnedObject>) -> Self {
        let elements = objects
            .into_iter()
            .map(|object| KeyedElement { key: OwnedElementKey::default(), object });
        Self { elements: elements.collect() }
    }

    /// Appends the JSON text of the array to `out`.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        array(self.iter(), out, OwnedObject::write_json);
    }

    /// Returns the bytes of the budget that the array needs.
    pub(crate) fn cost(&self) -> usize {
        self.elements.iter().map(KeyedElement::cost).sum()
    }

    /// Frees the memory that the texts don't need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.elements.shrink_to_fit();
        self.elements.iter_mut().for_each(|element| element.object.shrink_to_fit());
    }
}

impl fmt::Debug for OwnedArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::{OwnedObject, OwnedValue};

    fn written(value: &OwnedValue) -> String {
        let mut json = Vec::new();
        value.write_json(&mut json);
        String::from_utf8(json).unwrap_or_default()
    }

    /// A value of Rust has the JSON that an edit writes for it.
    #[test]
    fn values_of_rust_are_json() {
        for (value, expected) in [
            (OwnedValue::from("a\"\n"), json!("a\"\n")),
            (String::from("é").into(), json!("é")),
            ((&String::from("é")).into(), json!("é")),
            (u64::MAX.into(), json!(u64::MAX)),
            (i64::MIN.into(), json!(i64::MIN)),
            (u32::MAX.into(), json!(u32::MAX)),
            (i32::MIN.into(), json!(i32::MIN)),
            (1e300.into(), json!(1e300)),
            ((-0.0).into(), json!(-0.0)),
            (f64::NAN.into(), json!(null)),
            (f64::NEG_INFINITY.into(), json!(null)),
            (true.into(), json!(true)),
            (false.into(), json!(false)),
        ] {
            let read = value.as_raw().and_then(|json| serde_json::from_str(json).ok());
            assert_eq!(read, Some(expected));
        }
    }

    /// Compares the readings of a value with those of `serde_json`.
    #[test]
    fn each_kind_is_read_as_itself_only() {
        for json in
            ["null", "true", "false", "0", "-1", "2.50", "1e2", "1e400", "\"\"", "[]", "\"1\""]
        {
            let value = OwnedValue::Raw(json.into());
            let expected: Option<serde_json::Value> = serde_json::from_str(json).ok();
            let expected = expected.unwrap_or_default();
            assert_eq!(value.as_str().as_deref(), expected.as_str(), "{json}");
            assert_eq!(value.as_bool(), expected.as_bool(), "{json}");
            assert_eq!(value.as_u64(), expected.as_u64(), "{json}");
            let is_finite = expected.as_f64().filter(|number| number.is_finite());
            assert_eq!(value.as_f64(), is_finite, "{json}");
        }
        // Texts that aren't JSON: a caller has made them.
        for text in
            ["", "\"", "\"a", "nan", "inf", "-inf", "-nan", "+1", "\"a\"b\"", "\"\n\"", "\"\\\""]
        {
            let value = OwnedValue::Raw(text.into());
            assert_eq!(
                (value.as_str(), value.as_f64(), value.as_bool()),
                (None, None, None),
                "{text}"
            );
        }
        let half = OwnedValue::Raw(r#""\ud83d""#.into());
        assert_eq!(half.as_str().as_deref(), Some("\u{FFFD}"));
    }

    /// A text without escapes is borrowed.
    #[test]
    fn only_escapes_need_a_copy() {
        use alloc::borrow::Cow;
        let long = "é😀/".repeat(100);
        for (text, is_borrowed) in
            [("", true), ("a", true), (&*long, true), ("\n", false), ("\"", false)]
        {
            let value = OwnedValue::from(text);
            assert_eq!(value.as_str().as_deref(), Some(text));
            assert_eq!(matches!(value.as_str(), Some(Cow::Borrowed(_))), is_borrowed, "{text:?}");
        }
    }

    /// A text is rejected at the byte at which it isn't JSON.
    #[test]
    fn a_value_is_checked_when_it_is_read() {
        for (json, at) in
            [("", 0), ("[1,]", 3), ("{} x", 3), ("\"\n\"", 1), ("nul", 3), ("[\"a\" 1]", 5)]
        {
            let error = OwnedValue::from_json(json.as_bytes()).err();
            assert_eq!(error.map(|error| error.offset()), Some(at), "{json}");
        }
        let deep = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(OwnedValue::from_json(deep(128).as_bytes()).is_ok());
        assert!(OwnedValue::from_json(deep(129).as_bytes()).is_err());
        assert!(OwnedValue::from_json(b"[\"\xFF\"]").is_err());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[a\"\\\\\n\u{0}é😀]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Into::into),
                vec(("[ab\"\n\u{1f}]{0,2}", inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        /// A value is written as it was read.
        #[test]
        fn values_are_written_as_they_were_read(json in any_json()) {
            let compact = json.to_string();
            let value = OwnedValue::from_json(compact.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(written(&value), compact);
            let pretty = format!("{json:#}");
            let value = OwnedValue::from_json(pretty.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let again: serde_json::Value = serde_json::from_str(&written(&value)).unwrap_or_default();
            prop_assert_eq!(again, json);
        }

        /// A text is written and read as by `serde_json`, also with other escapes.
        #[test]
        fn texts_are_written_as_by_serde_json(text in "([a-c\"\\\\/é😀\u{2028}]|[\\x00-\\x1f\\x7f]){0,12}") {
            let value = OwnedValue::from(&*text);
            prop_assert_eq!(Some(written(&value)), serde_json::to_string(&text).ok());
            prop_assert_eq!(value.as_str().map(Into::into), Some(text.clone()));
            let escaped: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let escaped = escaped.concat();
            let value = OwnedValue::Raw(format!("\"{escaped}\"").into());
            prop_assert_eq!(value.as_str().map(Into::into), Some(text.clone()));
        }

        /// Members are set and removed as in an ordered map of `serde_json`.
        #[test]
        fn members_are_set_and_removed_as_in_an_ordered_map(
            edits in vec(("[a-e]", proptest::option::weighted(0.7, any::<u64>())), 0..24),
        ) {
            let (mut object, mut expected) = (OwnedObject::default(), serde_json::Map::new());
            let number = |value: Option<OwnedValue>| value.and_then(|value| value.as_u64());
            for (name, value) in edits {
                let (before, known) = match value {
                    Some(value) => (number(object.insert(&name, value)), expected.insert(name, value.into())),
                    None => (number(object.remove(&name)), expected.shift_remove(&name)),
                };
                prop_assert_eq!(before, known.and_then(|known| known.as_u64()));
                prop_assert_eq!(object.len(), expected.len());
                let json = written(&OwnedValue::Object(object.clone()));
                prop_assert_eq!(json, serde_json::Value::Object(expected.clone()).to_string());
            }
        }
    }
}
