//! What a chunk has in common with the one before it, where a decoder can tell.

use super::ChatCompletionChunk;
use super::schema::ChunkFields;
use crate::json::{Document, Kind, NodeId, Patch, Value, text};

/// Which member of a chunk a leaf belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Created,
    Obfuscation,
    /// A member of the usage itself, by its name.
    Usage,
    ChoiceIndex,
    Content,
    Refusal,
    Reasoning,
    ReasoningContent,
    /// A leaf in `reasoning_details`.
    ReasoningDetail,
    /// The index of the only tool call, and its arguments.
    CallIndex,
    Arguments,
    /// Something else in `tool_calls`.
    ToolCalls,
    /// A member of the delta without a column.
    DeltaMember,
    Other,
}

impl<'a> ChatCompletionChunk<'a> {
    /// The leaves in which the chunk may differ from others of the same constants.
    #[inline]
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = NodeId> + use<'a> {
        self.document.patches().iter().map(|patch| patch.id)
    }

    /// Length of the chunk's JSON text.
    #[inline]
    pub(crate) const fn json_len(&self) -> usize {
        self.document.text_len()
    }

    /// The text of the `nth` of these leaves, if it is a string.
    #[inline]
    pub(crate) fn slot_text(&self, nth: usize) -> Option<&'a str> {
        self.document.patched_text(self.document.patches().get(nth)?)
    }

    /// Whether the `nth` of these leaves is a string and has text.
    #[inline]
    pub(crate) fn has_slot_text(&self, nth: usize) -> bool {
        let patch = self.document.patches().get(nth);
        patch.is_some_and(|Patch { value, .. }| {
            value.kind == Kind::String && value.end - value.start > 2
        })
    }

    /// The count that the `nth` of these leaves is, if it is one.
    #[inline]
    pub(crate) fn slot_count(&self, nth: usize) -> Option<u64> {
        self.document.patched_count(self.document.patches().get(nth)?)
    }

    /// The `nth` of these leaves as it was sent, which is for numbers.
    #[inline]
    pub(crate) fn slot_number(&self, nth: usize) -> &'a str {
        let patch = self.document.patches().get(nth);
        patch.and_then(|patch| text(self.document.patched_bytes(patch))).unwrap_or_default()
    }

    /// A node of the chunk as a value.
    #[inline]
    pub(crate) fn value_at(&self, id: NodeId) -> Value<'a> {
        Value::new(self.document, id)
    }

    /// The leaves of these that are somewhere in the usage itself: name and node.
    pub(crate) fn usage_slots(&self) -> impl Iterator<Item = (&'a str, NodeId)> + use<'a> {
        let document = self.document;
        let usage = self.table.top.usage;
        let leaves = self.slots().filter(move |leaf| is_in(document, usage, *leaf));
        leaves.map(move |leaf| (document.name_of(leaf), leaf))
    }

    /// Which member a leaf belongs to.
    pub(crate) fn field_of(&self, leaf: NodeId) -> Field {
        let document = self.document;
        let ChunkFields { id, created, obfuscation, usage, .. } = self.table.top;
        if leaf == id {
            return Field::Id;
        } else if leaf == created {
            return Field::Created;
        } else if leaf == obfuscation {
            return Field::Obfuscation;
        } else if is_in(document, usage, leaf) {
            let found = document.members_in_column(usage).find(|member| member.value == leaf);
            return if found.is_some() { Field::Usage } else { Field::Other };
        }
        let choice = self.table.choices.iter().find(|row| is_in(document, row.node, leaf));
        let Some(choice) = choice else { return Field::Other };
        let delta = &choice.delta_fields;
        if leaf == choice.index {
            Field::ChoiceIndex
        } else if leaf == delta.content {
            Field::Content
        } else if leaf == delta.refusal {
            Field::Refusal
        } else if leaf == delta.reasoning {
            Field::Reasoning
        } else if leaf == delta.reasoning_content {
            Field::ReasoningContent
        } else if is_in(document, delta.reasoning_details, leaf) {
            Field::ReasoningDetail
        } else if is_in(document, delta.tool_calls, leaf) {
            match self.table.calls.as_slice() {
                [call] if leaf == call.index => Field::CallIndex,
                [call] if leaf == call.function_fields.arguments => Field::Arguments,
                _ => Field::ToolCalls,
            }
        } else if document.members_in_column(delta.node).any(|member| member.value == leaf) {
            Field::DeltaMember
        } else {
            Field::Other
        }
    }
}

/// Whether a column's value holds a leaf, or is it.
fn is_in(document: Document<'_>, column: NodeId, leaf: NodeId) -> bool {
    column != 0 && (column..document.behind(column)).contains(&leaf)
}
