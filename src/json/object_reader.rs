//! `ObjectReader`: reads the members of an object into fields; fails if one has another type.

use super::owned::{OwnedArray, OwnedObject, OwnedValue};
use super::value::{Value, ValueElements, ValueKind};
use crate::error::{Error, ErrorKind};

impl<'a> Value<'a> {
    /// Returns the elements of an array; fails if the value isn't an array.
    pub(crate) fn array(self) -> Result<ValueElements<'a>, Error> {
        expect(self.kind() == ValueKind::Array, self, ErrorKind::ExpectedArray)?;
        Ok(self.elements())
    }
}

/// Fails with an error at a value unless `holds`.
pub(crate) fn expect(holds: bool, value: Value<'_>, kind: ErrorKind) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::new(kind, value.position() as u64)) }
}

/// The members of an object, which are read by name, one by one.
///
/// Of members with the same name the last one counts. [`rest`](Self::rest) returns the unread
/// members.
pub(crate) struct ObjectReader<'a> {
    value: Value<'a>,
    /// Names and values; `None` in place of a value that was read.
    members: Vec<(&'a str, Option<Value<'a>>)>,
}

impl<'a> ObjectReader<'a> {
    /// Reads the members of an object; fails if the value isn't an object.
    pub(crate) fn new(value: Value<'a>) -> Result<Self, Error> {
        expect(value.kind() == ValueKind::Object, value, ErrorKind::ExpectedObject)?;
        let members = distinct(value).map(|(name, value)| (name, Some(value))).collect();
        Ok(Self { value, members })
    }

    /// Removes and returns a member; returns `None` if it is absent or `null`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let (_, value) = self.members.iter_mut().find(|(known, _)| *known == name)?;
        value.take().filter(|value| !value.is_null())
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

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<OwnedObject>, Error> {
        self.take(name).map(OwnedObject::from_value).transpose()
    }

    /// Returns the error for an absent member, at the end of the object.
    pub(crate) fn lacks(&self, kind: ErrorKind) -> Error {
        let end = self.value.position() + self.value.raw().len();
        Error::new(kind, end.saturating_sub(1) as u64)
    }

    /// Returns the members that weren't read.
    pub(crate) fn rest(self) -> OwnedObject {
        kept(self.members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

/// Returns each member of an object once, at the place of its first value, with its last value.
fn distinct(object: Value<'_>) -> impl Iterator<Item = (&str, Value<'_>)> {
    let mut members: Vec<_> = object.members().enumerate().collect();
    members.sort_by(|(one, (name, _)), (other, (other_name, _))| {
        name.cmp(other_name).then(one.cmp(other))
    });
    // Removes the later member, and stores its value in the earlier one.
    members.dedup_by(|(_, (later, value)), (_, (name, kept))| {
        let is_same = later == name;
        if is_same {
            *kept = *value;
        }
        is_same
    });
    members.sort_by_key(|(at, _)| *at);
    members.into_iter().map(|(_, member)| member)
}

fn kept<'a>(members: impl Iterator<Item = (&'a str, Value<'a>)>) -> OwnedObject {
    let members = members.map(|(name, value)| (name.into(), OwnedValue::from_value(value)));
    OwnedObject::from_members(members)
}

impl OwnedValue {
    /// Converts an object to its members, and any other value to its text.
    ///
    /// The parser's limit on depth bounds the recursion.
    pub(crate) fn from_value(value: Value<'_>) -> Self {
        match value.kind() {
            ValueKind::Object => Self::Object(kept(distinct(value))),
            _ => Self::copy_raw(value),
        }
    }
}

impl OwnedObject {
    /// Converts an object; fails if the value isn't an object.
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        Ok(ObjectReader::new(value)?.rest())
    }
}

impl OwnedArray {
    /// Converts an array of objects; fails if the value isn't one.
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let objects = value.array()?.map(OwnedObject::from_value).collect::<Result<_, _>>()?;
        Ok(Self::from_objects(objects))
    }
}
