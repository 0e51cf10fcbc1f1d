//! JSON texts that are edited in place: only the bytes of an edit change, and no tree is built.

use std::ops::Range;

use deltawire::json::Value;
use deltawire::{Error, OwnedChatCompletionChunk};

/// A JSON object that was read, within the bounds of deltawire's parser: 128 levels, and 1 048 576 names
/// and values.
pub(crate) struct Object(OwnedChatCompletionChunk);

impl Object {
    /// Reads a text. Its kind doesn't matter: the views of a chunk are made when they are asked for.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Error> {
        OwnedChatCompletionChunk::from_json(json).map(Self)
    }

    pub(crate) fn value(&self) -> Value<'_> {
        self.0.as_chunk().as_value()
    }
}

/// Yields all members of that name: some readers take the first of them, some the last.
pub(crate) fn members<'a>(object: Value<'a>, name: &str) -> impl Iterator<Item = Value<'a>> {
    object.members().filter(move |member| member.0 == name).map(|member| member.1)
}

/// Returns the member of that name, or an error if there are several.
pub(crate) fn only<'a>(object: Value<'a>, name: &str) -> Result<Option<Value<'a>>, Repeated> {
    let mut members = members(object, name);
    let first = members.next();
    if members.next().is_some() { Err(Repeated) } else { Ok(first) }
}

/// A name is repeated: which of its values counts depends on the reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated;

/// Edits of a text, by position. No two of them overlap.
#[derive(Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Replaces a value by another JSON text.
    pub(crate) fn replace(&mut self, value: Value<'_>, json: String) {
        self.0.push((span(value), json));
    }

    /// Adds a member, which is `"name":value`, at the end of an object.
    pub(crate) fn add(&mut self, object: Value<'_>, member: &str) {
        let end = span(object).end.saturating_sub(1);
        let comma = if object.members().next().is_some() { "," } else { "" };
        self.0.push((end..end, format!("{comma}{member}")));
    }

    /// Returns the edited text; `None` if there are no edits.
    pub(crate) fn apply(mut self, json: &[u8]) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by_key(|(at, _)| at.start);
        let added: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut edited = Vec::with_capacity(json.len() + added);
        let mut from = 0;
        for (at, text) in &self.0 {
            edited.extend_from_slice(json.get(from..at.start).unwrap_or_default());
            edited.extend_from_slice(text.as_bytes());
            from = at.end;
        }
        edited.extend_from_slice(json.get(from..).unwrap_or_default());
        Some(edited)
    }
}

/// Returns where a value stands in its text.
fn span(value: Value<'_>) -> Range<usize> {
    value.position()..value.position() + value.raw().len()
}
