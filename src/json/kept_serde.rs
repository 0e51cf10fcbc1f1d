//! What is kept as JSON text to JSON and back, as `serde_json` has it.

use core::fmt;
use std::collections::HashMap;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::kept::{Json, JsonList, JsonObject};

/// Serialises a JSON text as it is.
pub(super) fn serialize_text<S: Serializer>(json: &str, to: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
    raw.serialize(to)
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serialize_text(text, serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl Serialize for JsonList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// From a JSON text, which other formats than `serde_json`'s have none of. An object's members can
/// be looked for then; anything else is its text.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') {
            let object = serde_json::from_str(raw.get());
            return object.map(Self::Object).map_err(serde::de::Error::custom);
        }
        Ok(Self::Text(String::from(Box::<str>::from(raw))))
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = JsonObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<JsonObject, M::Error> {
        let mut members = Vec::<(Box<str>, Json)>::new();
        let mut known = HashMap::<Box<str>, usize>::new();
        while let Some((name, value)) = map.next_entry::<Box<str>, Json>()? {
            // Of members with the same name the last one counts.
            let at = *known.entry(name.clone()).or_insert(members.len());
            match members.get_mut(at) {
                Some((_, kept)) => *kept = value,
                None => members.push((name, value)),
            }
        }
        Ok(JsonObject::from_members(members))
    }
}

impl<'de> Deserialize<'de> for JsonList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<JsonObject>::deserialize(deserializer).map(Self::from_objects)
    }
}

impl JsonObject {
    /// Takes a member out and reads it as a `T`; `null` and absent are both `None`.
    pub(crate) fn take<T, E>(&mut self, name: &str) -> Result<Option<T>, E>
    where
        T: DeserializeOwned,
        E: serde::de::Error,
    {
        match self.remove(name) {
            None => Ok(None),
            Some(Json::Text(text)) => serde_json::from_str(&text).map_err(E::custom),
            // Written again, since only the caller knows what it is to be.
            Some(other) => {
                let text = serde_json::to_string(&other).map_err(E::custom)?;
                serde_json::from_str(&text).map_err(E::custom)
            }
        }
    }
}
