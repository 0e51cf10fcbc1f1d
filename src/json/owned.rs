//! `Json`, `JsonObject`, `JsonList`: JSON values that own their text.

use core::fmt;

use super::value::Value;
use super::{Parser, Tape};
use crate::limits::Limits;

/// An owned JSON value that was gathered from the chunks of a stream.
///
/// What has come whole is the text that was sent; numbers and strings keep their spelling.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Json {
    /// A value as its JSON text.
    Text(String),
    /// An object that was merged member by member.
    Object(JsonObject),
    /// A list whose elements were merged by their index.
    List(JsonList),
}

/// The members of a JSON object, each name once, in the order in which they first came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject {
    pub(crate) members: Vec<OwnedMember>,
}

/// A stored member.
#[derive(Clone)]
pub(crate) struct OwnedMember {
    pub(crate) name: Box<str>,
    pub(crate) value: Json,
    /// The number of further pieces of a text that equal the value; [`VARIES`] once one differed.
    pub(crate) repeats: u32,
}

/// Marks a text whose pieces aren't all equal.
pub(crate) const VARIES: u32 = u32::MAX;

/// Compares name and value only: `repeats` isn't a part of the value.
impl PartialEq for OwnedMember {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for OwnedMember {}

/// The bytes of room that one entry of an object or list costs besides its text.
pub(crate) const ENTRY_COST: usize = 96;

/// A list whose elements are merged by a key: their index or their id.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonList {
    pub(crate) elements: Vec<KeyedElement>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyedElement {
    pub(crate) key: OwnedElementKey,
    pub(crate) object: JsonObject,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnedElementKey {
    pub(crate) index: Option<Box<str>>,
    pub(crate) id: Option<Box<str>>,
    pub(crate) r#type: Option<Box<str>>,
}

impl Json {
    /// The JSON text, if the value came whole.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object(_) | Self::List(_) => None,
        }
    }

    /// A number that is written as a whole one and fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_text()?.parse().ok()
    }

    /// Returns the text of a string without its escapes, or `None` if the value isn't a string.
    pub(crate) fn unescaped(&self) -> Option<String> {
        let json = self.as_text().filter(|json| json.starts_with('"'))?;
        let mut tape = Tape::default();
        let (document, _) = Parser::new(&Limits::new()).parse(json.as_bytes(), &mut tape).ok()?;
        Value::new(document, 0).as_str().map(Into::into)
    }

    /// The member `name` of a merged object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Object(object) => object.get(name),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    pub(crate) fn text(value: Value<'_>) -> Self {
        let mut text = String::new();
        value.write_json(&mut text);
        Self::Text(text)
    }

    pub(crate) fn is_empty_value(&self) -> bool {
        matches!(self, Self::Text(text) if matches!(text.as_str(), "null" | "\"\"" | "[]" | "{}"))
    }

    /// The room that it takes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Object(object) => object.cost(),
            Self::List(list) => list.cost(),
        }
    }

    /// Gives back what the texts hold more than they need.
    pub(crate) fn shrink_to_fit(&mut self) {
        match self {
            Self::Text(text) => text.shrink_to_fit(),
            Self::Object(object) => object.shrink_to_fit(),
            Self::List(list) => list.shrink_to_fit(),
        }
    }

    /// Appends the JSON text of this value to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Object(object) => object.write(out),
            Self::List(list) => {
                out.push('[');
                for (nth, element) in list.iter().enumerate() {
                    out.push_str(if nth > 0 { "," } else { "" });
                    element.write(out);
                }
                out.push(']');
            }
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Object(object) => fmt::Debug::fmt(object, f),
            Self::List(list) => fmt::Debug::fmt(list, f),
        }
    }
}

impl JsonObject {
    /// The value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members.iter().find(|member| *member.name == *name).map(|member| &member.value)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|member| (&*member.name, &member.value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn member_mut(&mut self, name: &str) -> Option<&mut OwnedMember> {
        self.members.iter_mut().find(|member| *member.name == *name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.member_mut(name).map(|member| &mut member.value)
    }

    /// Which member has this name. It stays the same one.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| *member.name == *name)
    }

    /// An object of members whose names differ.
    pub(crate) fn from_members(members: impl Iterator<Item = (Box<str>, Json)>) -> Self {
        let members = members.map(|(name, value)| OwnedMember { name, value, repeats: 0 });
        Self { members: members.collect() }
    }

    pub(crate) fn cost(&self) -> usize {
        self.members
            .iter()
            .map(|OwnedMember { name, value, .. }| name.len() + ENTRY_COST + value.cost())
            .sum()
    }

    /// Gives back what the texts hold more than they need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.members.shrink_to_fit();
        self.members.iter_mut().for_each(|member| member.value.shrink_to_fit());
    }

    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (nth, (name, value)) in self.iter().enumerate() {
            out.push_str(if nth > 0 { ",\"" } else { "\"" });
            for character in name.chars() {
                match character {
                    '"' | '\\' => out.extend(['\\', character]),
                    '\0'..='\x1F' => {
                        let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                        let code = u32::from(character);
                        out.push_str("\\u00");
                        out.extend([digit(code >> 4), digit(code & 0xF)]);
                    }
                    _ => out.push(character),
                }
            }
            out.push_str("\":");
            value.write(out);
        }
        out.push('}');
    }
}

impl fmt::Debug for JsonObject {
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

impl JsonList {
    /// The elements in the order of their first chunks.
    pub fn iter(&self) -> impl Iterator<Item = &JsonObject> {
        self.elements.iter().map(|element| &element.object)
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Returns true if there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Makes a list of objects without keys.
    pub(crate) fn from_objects(objects: Vec<JsonObject>) -> Self {
        let elements = objects
            .into_iter()
            .map(|object| KeyedElement { key: OwnedElementKey::default(), object });
        Self { elements: elements.collect() }
    }

    /// Returns the bytes of room that the list needs.
    pub(crate) fn cost(&self) -> usize {
        self.elements.iter().map(KeyedElement::cost).sum()
    }

    /// Frees the memory that the texts don't need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.elements.shrink_to_fit();
        self.elements.iter_mut().for_each(|element| element.object.shrink_to_fit());
    }
}

impl fmt::Debug for JsonList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
