//! `OwnedValue`, `OwnedObject`, `OwnedArray`: JSON values that own their text.

use core::fmt;

use super::thin_list::ThinList;
use super::value::Value;
use super::writer::{ObjectWriter, array};
use super::{Parser, Tape};
use crate::limits::Limits;

/// An owned JSON value that was merged from the chunks of a stream.
///
/// Numbers and strings have the spelling in which they were sent.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedValue {
    /// A value as its JSON text.
    Raw(String),
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
    pub(crate) name: Box<str>,
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

    /// Returns the text of a string without its escapes, or `None` if the value isn't a string.
    pub(crate) fn unescaped(&self) -> Option<String> {
        let json = self.as_raw().filter(|json| json.starts_with('"'))?;
        let mut tape = Tape::default();
        let (document, _) = Parser::new(&Limits::new()).parse(json.as_bytes(), &mut tape).ok()?;
        Value::new(document, 0).as_str().map(Into::into)
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
        let len = value.json_len();
        let mut text = String::with_capacity(len);
        value.write_json(&mut text);
        debug_assert_eq!(text.len(), len, "the length of the text");
        Self::Raw(text)
    }

    pub(crate) fn is_empty_value(&self) -> bool {
        matches!(self, Self::Raw(text) if matches!(text.as_str(), "null" | "\"\"" | "[]" | "{}"))
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
        self.members.iter().find(|member| *member.name == *name).map(|member| &member.value)
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

    pub(crate) fn member_mut(&mut self, name: &str) -> Option<&mut OwnedMember> {
        self.members.iter_mut().find(|member| *member.name == *name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut OwnedValue> {
        self.member_mut(name).map(|member| &mut member.value)
    }

    /// Returns the position of a member, which never changes.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| *member.name == *name)
    }

    /// Creates an object of members whose names differ.
    pub(crate) fn from_members(members: impl Iterator<Item = (Box<str>, OwnedValue)>) -> Self {
        let members = members.map(|(name, value)| OwnedMember { name, value, repeats: 0 });
        Self { members: members.collect() }
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
