//! Edits of JSON texts by position: all other bytes are unchanged, and no tree is built.

use std::ops::Range;

use deltawire::Error;
use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::json::Value;

/// A JSON object within the limits of deltawire's parser.
///
/// These are 128 levels, and 1 048 576 names and values.
pub(crate) struct Object(OwnedChatCompletionChunk);

impl Object {
    /// Reads a JSON object, which needn't be a chunk.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Error> {
        OwnedChatCompletionChunk::from_json(json).map(Self)
    }

    pub(crate) fn value(&self) -> Value<'_> {
        self.0.as_chunk().as_value()
    }
}

/// Yields the values of all members of this name.
///
/// If a name is repeated, some readers use the first member, some the last.
pub(crate) fn members<'a>(object: Value<'a>, name: &str) -> impl Iterator<Item = Value<'a>> {
    object.members().filter(move |member| member.0 == name).map(|member| member.1)
}

/// Edits of a text by position, without overlaps.
#[derive(Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Replaces a value with another JSON text.
    pub(crate) fn replace(&mut self, value: Value<'_>, json: String) {
        self.0.push((span(value), json));
    }

    /// Returns the edited text, or `None` if there are no edits.
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

/// Returns the position of a value in its text.
fn span(value: Value<'_>) -> Range<usize> {
    value.position()..value.position() + value.raw().len()
}
