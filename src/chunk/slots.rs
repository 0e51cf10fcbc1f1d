//! The slots of a chunk that matches a template: their fields and values.

use super::ChatCompletionChunk;
use super::schema::{ChunkFields, TextMember};
use crate::json::{Document, Kind, NodeId, Patch, Value, known_text};

/// The member of a chunk to which a slot belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Created,
    Obfuscation,
    /// A member of `usage` itself.
    Usage,
    ChoiceIndex,
    /// A list in `logprobs`.
    Logprobs,
    /// A text that is joined.
    Text(TextMember),
    /// A leaf in `reasoning_details`.
    ReasoningDetail,
    /// The `index` of the only tool call.
    CallIndex,
    Arguments,
    /// Another leaf in `tool_calls`.
    ToolCalls,
    /// A member of the delta without a column.
    DeltaMember,
    /// A leaf in the `message` of a choice.
    Message,
    Other,
}

impl<'a> ChatCompletionChunk<'a> {
    /// Returns the slots, the leaves in which chunks of one template may differ: position and leaf.
    ///
    /// The leaves whose values are bound in the stream aren't among them, nor is white space.
    #[inline]
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u8, NodeId)> + use<'a> {
        let silent = self.document.silent_patches();
        let leaves = self.document.patches().iter().map(Patch::id);
        (0_u8..).zip(leaves).filter(move |(position, _)| silent >> position & 1 == 0)
    }

    /// Returns true if the values that are bound in the stream are in columns of the chunk itself.
    ///
    /// These are its id, time, model and fingerprint. Their values affect no other member.
    pub(crate) fn binds_usual_columns(&self) -> bool {
        let ChunkFields { id, created, model, system_fingerprint, .. } = self.index.top;
        let silent = self.document.silent_patches();
        let leaves = (0_u8..).zip(self.document.patches().iter().map(Patch::id));
        let mut bound = leaves.filter(|(position, _)| silent >> position & 1 == 1);
        bound.all(|(_, leaf)| {
            // Padding is no node.
            [id, created, model, system_fingerprint].contains(&leaf) || leaf == self.document.len()
        })
    }

    /// Returns the length of the chunk's JSON text, in bytes.
    #[inline]
    pub(crate) const fn json_len(&self) -> usize {
        self.document.text_len()
    }

    /// Returns the text of a slot, by its position among the slots, if it is a string.
    #[inline]
    pub(crate) fn slot_text(&self, position: usize) -> Option<&'a str> {
        self.document.patched_text(self.document.patches().get(position)?)
    }

    /// Passes the text of a slot to `with`, if it is a string.
    #[inline]
    pub(crate) fn with_slot_text<R>(
        &self,
        position: usize,
        with: impl FnOnce(&str) -> R,
    ) -> Option<R> {
        self.document.with_patched_text(self.document.patches().get(position)?, with)
    }

    /// Copies the text of a slot to the front of `block`, if it is short; returns its length.
    ///
    /// See [`Document::copy_patched_text`].
    #[inline]
    pub(crate) fn copy_slot_text<const N: usize>(
        &self,
        position: usize,
        block: &mut [u8; N],
    ) -> Option<usize> {
        self.document.copy_patched_text(self.document.patches().get(position)?, block)
    }

    /// Copies as [`copy_slot_text`](Self::copy_slot_text), also a text with escapes or at the end.
    pub(crate) fn copy_any_slot_text<const N: usize>(
        &self,
        position: usize,
        block: &mut [u8; N],
    ) -> Option<usize> {
        self.document.copy_any_patched_text(self.document.patches().get(position)?, block)
    }

    /// Copies the text of a slot as sent, without its quotes, to the front of `block`.
    ///
    /// See [`copy_slot_text`](Self::copy_slot_text).
    #[inline]
    pub(crate) fn copy_slot_json<const N: usize>(
        &self,
        position: usize,
        block: &mut [u8; N],
    ) -> Option<usize> {
        self.document.copy_patched_json(self.document.patches().get(position)?, block)
    }

    /// Returns the text of a slot as sent, without its quotes, if it is a string.
    pub(crate) fn slot_json(&self, position: usize) -> Option<&'a str> {
        let patch = self.document.patches().get(position)?;
        let json = known_text(self.document.patched_bytes(patch));
        json.strip_prefix('"')?.strip_suffix('"')
    }

    /// Returns true if a slot is a string that isn't empty.
    #[inline]
    pub(crate) fn has_slot_text(&self, position: usize) -> bool {
        let patch = self.document.patches().get(position);
        patch.is_some_and(|patch| {
            patch.value().kind == Kind::String && !patch.value_range().is_empty()
        })
    }

    /// Returns the value of a slot, if it is a count.
    #[inline]
    pub(crate) fn slot_count(&self, position: usize) -> Option<u64> {
        self.document.patched_count(self.document.patches().get(position)?)
    }

    /// Returns the bytes of a slot as sent: the text of a number.
    #[inline]
    pub(crate) fn slot_number(&self, position: usize) -> &'a [u8] {
        let patch = self.document.patches().get(position);
        debug_assert!(patch.is_some(), "a slot of the chunk's template");
        patch.map_or(&[], |patch| self.document.patched_bytes(patch))
    }

    /// Returns a node of the chunk as a value.
    #[inline]
    pub(crate) fn value_at(&self, id: NodeId) -> Value<'a> {
        Value::new(self.document, id)
    }

    /// Returns the slots in the member `usage`: name and node.
    pub(crate) fn usage_slots(&self) -> impl Iterator<Item = (&'a str, NodeId)> + use<'a> {
        let document = self.document;
        let usage = self.index.top.usage;
        let leaves = self.slots().map(|(_, leaf)| leaf);
        let leaves = leaves.filter(move |leaf| is_in(document, usage, *leaf));
        leaves.map(move |leaf| (document.name_of(leaf), leaf))
    }

    /// Returns the field of a leaf.
    pub(crate) fn field_of(&self, leaf: NodeId) -> Field {
        let document = self.document;
        let ChunkFields { id, created, obfuscation, usage, .. } = self.index.top;
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
        let choice = self.index.choices.iter().find(|row| is_in(document, row.node, leaf));
        let Some(choice) = choice else { return Field::Other };
        let delta = &choice.delta_fields;
        let text = TextMember::ALL.into_iter().find(|member| leaf == delta.text(*member));
        if let Some(member) = text {
            Field::Text(member)
        } else if leaf == choice.index {
            Field::ChoiceIndex
        } else if is_in(document, choice.logprobs, leaf) && document.kind(leaf) == Some(Kind::Array)
        {
            Field::Logprobs
        } else if is_in(document, choice.message, leaf) {
            Field::Message
        } else if is_in(document, delta.reasoning_details, leaf) {
            Field::ReasoningDetail
        } else if is_in(document, delta.tool_calls, leaf) {
            match self.index.calls.as_slice() {
                [call] if leaf == call.index => Field::CallIndex,
                [call] if leaf == call.function_fields.arguments => Field::Arguments,
                _ => Field::ToolCalls,
            }
        } else if self.index.extras_in(&delta.extras).iter().any(|name| name + 1 == leaf) {
            Field::DeltaMember
        } else {
            Field::Other
        }
    }
}

/// Returns true if a leaf is the value of a column, or in it.
fn is_in(document: Document<'_>, column: NodeId, leaf: NodeId) -> bool {
    column != 0 && (column..document.behind(column)).contains(&leaf)
}
