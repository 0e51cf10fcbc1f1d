//! `Json` and `JsonObject`: JSON that is kept beyond its payload, as text, and merged as text.

use core::fmt;

use super::value::{Value, ValueKind};

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
    List(Vec<JsonObject>),
}

/// The members of a JSON object, each name once, in the order in which they first came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject {
    members: Vec<(Box<str>, Json)>,
}

/// Most members of a merged object and most elements of a merged list: they are looked through
/// one by one.
const MOST_ENTRIES: usize = 256;

/// A merge would make something larger than it may be; nothing was changed.
#[derive(Debug)]
pub(crate) struct Full;

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

    fn is_null(&self) -> bool {
        matches!(self, Self::Text(text) if text == "null")
    }

    /// Bytes of all names and texts.
    fn text_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Object(object) => object.text_len(),
            Self::List(list) => list.iter().map(JsonObject::text_len).sum(),
        }
    }

    fn set(&mut self, value: Value<'_>) {
        match self {
            Self::Text(text) => {
                text.clear();
                value.write_json(text);
            }
            Self::Object(_) | Self::List(_) => *self = Self::text(value),
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
        self.members.iter().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(name, value)| (&**name, value))
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

    /// Bytes of all names and texts.
    fn text_len(&self) -> usize {
        self.members.iter().map(|(name, value)| name.len() + value.text_len()).sum()
    }

    /// The member `name`; where there is none, `new` is put there, and its size returned.
    fn member(
        &mut self,
        name: &str,
        new: impl FnOnce() -> Result<Json, Full>,
    ) -> Result<Result<&mut Json, usize>, Full> {
        match self.members.iter().position(|(key, _)| **key == *name) {
            Some(at) => match self.members.get_mut(at) {
                Some((_, value)) => Ok(Ok(value)),
                None => Err(Full),
            },
            None if self.members.len() >= MOST_ENTRIES => Err(Full),
            None => {
                let value = new()?;
                let grown = name.len() + value.text_len();
                self.members.push((name.into(), value));
                Ok(Err(grown))
            }
        }
    }

    /// Keeps the first value that is not null. Like all of these, tells by how many bytes the
    /// object has grown.
    pub(crate) fn first(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        match self.member(name, || Ok(Json::text(value)))? {
            Ok(kept) if kept.is_null() => Ok(grown(kept, |kept| kept.set(value))),
            Ok(_) => Ok(0),
            Err(grown) => Ok(grown),
        }
    }

    /// Keeps the last value that is not null.
    pub(crate) fn last(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        match self.member(name, || Ok(Json::text(value)))? {
            Ok(_) if value.is_null() => Ok(0),
            Ok(Json::Text(kept)) if kept == value.raw() => Ok(0),
            Ok(kept) => Ok(grown(kept, |kept| kept.set(value))),
            Err(grown) => Ok(grown),
        }
    }

    /// Joins strings. Both stay escaped as they are, so that the halves of a surrogate pair
    /// meet again. Anything else replaces what was there.
    pub(crate) fn concat(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        match self.member(name, || Ok(Json::text(value)))? {
            Ok(_) if value.is_null() => Ok(0),
            Ok(Json::Text(kept)) if kept.starts_with('"') && value.as_str().is_some() => {
                let before = kept.len();
                kept.pop();
                kept.push_str(value.raw().get(1..).unwrap_or_default());
                Ok(kept.len() - before)
            }
            Ok(kept) => Ok(grown(kept, |kept| kept.set(value))),
            Err(grown) => Ok(grown),
        }
    }

    /// Joins arrays. Anything else replaces what was there.
    pub(crate) fn append(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        let is_array = value.kind() == ValueKind::Array;
        let joined = |text: &mut String| {
            for element in value.elements() {
                text.pop();
                if text != "[" {
                    text.push(',');
                }
                element.write_json(text);
                text.push(']');
            }
        };
        let new = || {
            let mut text = String::from("[]");
            joined(&mut text);
            Ok(if is_array { Json::Text(text) } else { Json::text(value) })
        };
        match self.member(name, new)? {
            Ok(_) if value.is_null() => Ok(0),
            Ok(Json::Text(kept)) if is_array && kept.starts_with('[') => {
                let before = kept.len();
                joined(kept);
                Ok(kept.len() - before)
            }
            Ok(kept) => Ok(grown(kept, |kept| kept.set(value))),
            Err(grown) => Ok(grown),
        }
    }

    /// Merges objects member by member; the last value of a leaf that is not null counts.
    pub(crate) fn deep_last(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        if value.kind() != ValueKind::Object {
            return self.last(name, value);
        }
        match self.member(name, || Ok(Json::Object(Self::default())))? {
            Ok(Json::Object(kept)) => kept.merge(value),
            Ok(kept) => {
                let mut object = Self::default();
                let grown = object.merge(value)?;
                *kept = Json::Object(object);
                Ok(grown)
            }
            Err(grown) => match self.member(name, || Err(Full))? {
                Ok(Json::Object(kept)) => Ok(grown + kept.merge(value)?),
                _ => Ok(grown),
            },
        }
    }

    /// Merges all members of `object` into this one.
    pub(crate) fn merge(&mut self, object: Value<'_>) -> Result<usize, Full> {
        let mut grown = 0;
        for (name, value) in object.members() {
            grown += self.deep_last(name, value)?;
        }
        Ok(grown)
    }

    /// Merges the elements of arrays that have the same index.
    pub(crate) fn index_merge(&mut self, name: &str, value: Value<'_>) -> Result<usize, Full> {
        if value.kind() != ValueKind::Array {
            return self.last(name, value);
        }
        let mut grown = match self.member(name, || Ok(Json::List(Vec::new())))? {
            Err(grown) => grown,
            Ok(_) => 0,
        };
        if let Ok(Json::List(list)) = self.member(name, || Err(Full))? {
            for element in value.elements() {
                grown += merge_element(list, element, Self::merge)?;
            }
        }
        Ok(grown)
    }

    /// The JSON text of the member that says which element of a list this is.
    fn has(&self, name: &str, value: Option<Value<'_>>) -> bool {
        let value = value.filter(|value| !value.is_null());
        self.get(name).filter(|kept| !kept.is_null()).and_then(Json::as_text)
            == value.map(|value| value.raw())
    }
}

/// Merges an element into the one of the same index and type with `merge`, or into a new one.
pub(crate) fn merge_element(
    list: &mut Vec<JsonObject>,
    element: Value<'_>,
    merge: impl Fn(&mut JsonObject, Value<'_>) -> Result<usize, Full>,
) -> Result<usize, Full> {
    let index = element.get("index").or_else(|| element.get("prompt_index"));
    let same = |kept: &JsonObject| {
        (kept.has("index", index) || kept.has("prompt_index", index))
            && kept.has("type", element.get("type"))
    };
    if index.is_some_and(|index| !index.is_null())
        && let Some(at) = list.iter().rposition(same)
    {
        return list.get_mut(at).map_or(Ok(0), |kept| merge(kept, element));
    }
    if list.len() >= MOST_ENTRIES {
        return Err(Full);
    }
    let mut new = JsonObject::default();
    let grown = merge(&mut new, element)?;
    list.push(new);
    Ok(grown)
}

/// By how much `change` makes a value longer.
fn grown(kept: &mut Json, change: impl FnOnce(&mut Json)) -> usize {
    let before = kept.text_len();
    change(kept);
    kept.text_len().saturating_sub(before)
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Serialises a JSON text as it is.
#[cfg(feature = "serde")]
pub(super) fn serialize_text<S: serde::Serializer>(json: &str, to: S) -> Result<S::Ok, S::Error> {
    use serde::{Serialize as _, ser::Error as _};

    let raw: &serde_json::value::RawValue = serde_json::from_str(json).map_err(S::Error::custom)?;
    raw.serialize(to)
}

#[cfg(feature = "serde")]
impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serialize_text(text, serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for JsonObject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
