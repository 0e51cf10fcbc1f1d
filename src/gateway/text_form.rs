//! `TextForm`: the form of a piece of a text. Some clients skip the pieces of some forms.

use super::elements::hash_of;
use crate::chunk::ChatCompletionChunk;
use crate::chunk::schema::CHUNK_OBJECT;

/// The form of a piece of a text: some clients read one form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextForm {
    pub(super) of: Holder,
    /// The choice has an index: openai-node has one without it beside the list.
    pub(super) has_index: bool,
    pub(super) chunk: ChunkForm,
}

/// The form of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkForm {
    /// Its `object` is `chat.completion.chunk`. openai-python skips another one, such as Azure's.
    pub(super) is_named: bool,
    /// The hash of the value of its `event` line, or 0 without this line.
    ///
    /// Earlier versions of openai-node yield the data of an event with a type as no chunk, and a browser
    /// calls the listeners of this type.
    pub(super) event_type: u32,
}

impl ChunkForm {
    /// Returns the form of a chunk. `event_type` is the value of the `event` line of its event.
    #[inline]
    pub(super) fn of(chunk: Option<&ChatCompletionChunk<'_>>, event_type: Option<&str>) -> Self {
        let is_named = chunk.is_some_and(|chunk| chunk.object() == Some(CHUNK_OBJECT));
        let hash = |event_type| (hash_of(event_type) >> 32) as u32 | 1;
        Self { is_named, event_type: event_type.map_or(0, hash) }
    }
}

/// The part of a message that contains a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The message itself, or its `function_call`.
    Message,
    /// A part of the content: a string, or one of the types of the schema.
    Part,
    /// A part of the content of another type, whose text is in the same member.
    OtherPart,
    /// The last element of a list that was found.
    Element,
    /// The last element, which is a reasoning detail of another type than that of its text.
    OtherElement,
}

impl Holder {
    /// Returns true for the last element of a list that was found.
    pub(super) const fn is_element(self) -> bool {
        matches!(self, Self::Element | Self::OtherElement)
    }
}
