//! `ObjectReader`: the members of an object that is read into fields, and the errors where one is of
//! another type.

use std::collections::HashMap;

use super::kept::{Json, JsonList, JsonObject};
use super::value::{Value, ValueElements, ValueKind};
use crate::error::{Error, ErrorKind};

impl<'a> Value<'a> {
    /// The elements of a value that must be an array.
    pub(crate) fn array(self) -> Result<ValueElements<'a>, Error> {
        expect(self.kind() == ValueKind::Array, self, ErrorKind::ExpectedArray)?;
        Ok(self.elements())
    }
}

fn expect(holds: bool, value: Value<'_>, kind: ErrorKind) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::new(kind, value.position() as u64)) }
}

/// The members of an object, each name once: of members with the same name the last one counts. Each
/// is taken by its name, and those that are left are kept as they are.
pub(crate) struct ObjectReader<'a> {
    value: Value<'a>,
    members: Vec<(&'a str, Value<'a>)>,
}

impl<'a> ObjectReader<'a> {
    /// Fails where the value is no object.
    pub(crate) fn new(value: Value<'a>) -> Result<Self, Error> {
        expect(value.kind() == ValueKind::Object, value, ErrorKind::ExpectedObject)?;
        Ok(Self { value, members: distinct(value) })
    }

    /// Takes a member; `None` where it is absent or `null`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.members.remove(at);
        Some(value).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        expect(value.kind() == ValueKind::String, value, ErrorKind::ExpectedString)?;
        Ok(value.as_str().map(Into::into))
    }

    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        expect(value.as_u64().is_some(), value, ErrorKind::ExpectedInteger)?;
        Ok(value.as_u64())
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<JsonObject>, Error> {
        self.take(name).map(JsonObject::from_value).transpose()
    }

    /// The error that a member is absent, at the end of the object.
    pub(crate) fn lacks(&self, kind: ErrorKind) -> Error {
        let end = self.value.position() + self.value.raw().len();
        Error::new(kind, end.saturating_sub(1) as u64)
    }

    /// The members that weren't taken.
    pub(crate) fn rest(self) -> JsonObject {
        kept(self.members)
    }
}

/// The members of an object, each name once: where it first stands, with its last value.
fn distinct(object: Value<'_>) -> Vec<(&str, Value<'_>)> {
    const FEW: usize = 32;
    let mut members = Vec::<(&str, Value<'_>)>::new();
    let mut known = HashMap::<&str, usize>::new();
    for (name, value) in object.members() {
        let at = if members.len() < FEW {
            members.iter().position(|(known, _)| *known == name)
        } else {
            if known.is_empty() {
                known.extend(members.iter().enumerate().map(|(at, (name, _))| (*name, at)));
            }
            known.get(name).copied()
        };
        if let Some((_, earlier)) = at.and_then(|at| members.get_mut(at)) {
            *earlier = value;
            continue;
        }
        if members.len() >= FEW {
            known.insert(name, members.len());
        }
        members.push((name, value));
    }
    members
}

fn kept(members: Vec<(&str, Value<'_>)>) -> JsonObject {
    let members = members.into_iter().map(|(name, value)| (name.into(), Json::from_value(value)));
    JsonObject::from_members(members.collect())
}

impl Json {
    /// An object is one, whose members can be looked for; anything else is its text. The depth of the
    /// parser bounds how deep this goes.
    pub(crate) fn from_value(value: Value<'_>) -> Self {
        match value.kind() {
            ValueKind::Object => Self::Object(kept(distinct(value))),
            _ => Self::text(value),
        }
    }
}

impl JsonObject {
    /// Fails where the value is no object.
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        Ok(ObjectReader::new(value)?.rest())
    }
}

impl JsonList {
    /// Fails where the value is no array of objects.
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let objects = value.array()?.map(JsonObject::from_value).collect::<Result<_, _>>()?;
        Ok(Self::from_objects(objects))
    }
}
