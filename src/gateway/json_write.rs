//! Appends stored JSON values to the data of an event, without white space.

use crate::chunk::schema::{PROMPT_INDEX, tool_call};
use crate::completion::ElementKey;
use crate::json::writer::{self, ObjectWriter, array};
use crate::json::{OwnedArray, OwnedObject, OwnedValue};

/// Appends a value of a completion to the data of an event.
pub(super) fn json(value: &OwnedValue, out: &mut Vec<u8>) {
    match value {
        OwnedValue::Raw(text) => writer::minified(text, out),
        OwnedValue::Object(members) => object(members, out),
        OwnedValue::Array(elements) => list(elements, out),
    }
}

/// Writes members of a completion to an object.
pub(super) fn write_members<'m>(
    members: impl Iterator<Item = (&'m str, &'m OwnedValue)>,
    object: &mut ObjectWriter<'_>,
) {
    for (name, value) in members {
        json(value, object.name(name));
    }
}

/// Appends an object of a completion.
pub(super) fn object(members: &OwnedObject, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    write_members(members.iter(), &mut object);
    object.end();
}

/// Appends a list of a completion.
fn list(elements: &OwnedArray, out: &mut Vec<u8>) {
    let elements = elements.elements();
    array(elements, out, |(key, members), out| element(key, members, out));
}

/// Appends an element of a list, with all members that identify it.
pub(super) fn element(key: ElementKey<'_>, members: &OwnedObject, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    write_members(members.iter(), &mut object);
    write_key(key, members, &mut object);
    object.end();
}

/// Writes the members of an element's key that are missing among its members.
///
/// The budget may have excluded them. Without them, the element could be merged with others.
pub(super) fn write_key(key: ElementKey<'_>, members: &OwnedObject, object: &mut ObjectWriter<'_>) {
    for (name, value) in key.members() {
        let Some(value) = value.filter(|_| members.get(name).is_none()) else { continue };
        match name {
            tool_call::INDEX if members.get(PROMPT_INDEX).is_some() => {}
            tool_call::INDEX => object.raw(name, value),
            _ => object.string(name, value),
        }
    }
}
