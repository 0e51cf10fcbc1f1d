//! `ToolCallDelta<'_>`: the addition of a delta to one tool call.

use core::fmt;

use super::schema::ToolCallFields;
use super::{ChatCompletionChunk, ExtraMembers};
use crate::json::{Kind, NodeId, Value, ValueKind};

/// The tool calls of a delta; see [`Delta::tool_calls`](super::Delta::tool_calls).
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct ToolCalls<'a> {
    pub(super) chunk: ChatCompletionChunk<'a>,
    pub(super) rows: core::slice::Iter<'a, ToolCallFields>,
}

impl<'a> Iterator for ToolCalls<'a> {
    type Item = ToolCallDelta<'a>;

    #[inline]
    fn next(&mut self) -> Option<ToolCallDelta<'a>> {
        Some(ToolCallDelta { chunk: self.chunk, row: self.rows.next()? })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for ToolCalls<'_> {}

/// The addition of a delta to one tool call.
#[derive(Clone, Copy)]
pub struct ToolCallDelta<'a> {
    pub(super) chunk: ChatCompletionChunk<'a>,
    pub(super) row: &'a ToolCallFields,
}

impl<'a> ToolCallDelta<'a> {
    /// `index`: the number of the call; `None` if it is absent, as at some servers.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.chunk.value(self.row.index)?.as_u64()
    }

    /// Returns true if `index` is present and not a count.
    pub(crate) fn has_invalid_index(&self) -> bool {
        self.chunk.is_invalid_count(self.row.index)
    }

    /// Returns true if `function` is present and not `null`.
    pub(crate) fn has_function(&self) -> bool {
        let function = self.row.function;
        function != 0 && self.chunk.document.kind(function) != Some(Kind::Null)
    }

    /// `id`: the id of the call.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.chunk.string(self.row.id)
    }

    /// Returns the id; of a number, its text as sent.
    #[inline]
    pub(crate) fn id_text(&self) -> Option<&'a str> {
        self.id().or_else(|| number_text(self.chunk.value(self.row.id)?))
    }

    /// Returns the function's name; of a number, its text as sent.
    #[inline]
    pub(crate) fn name_text(&self) -> Option<&'a str> {
        self.name().or_else(|| number_text(self.chunk.value(self.row.function_fields.name)?))
    }

    /// Returns how many of id, name and arguments are numbers.
    pub(crate) fn numbers_for_texts(&self) -> usize {
        let ids = [self.row.id, self.row.function_fields.name, self.row.function_fields.arguments];
        let is_number = |id: NodeId| self.chunk.document.kind(id) == Some(Kind::Number);
        ids.into_iter().filter(|id| *id != 0 && is_number(*id)).count()
    }

    /// `type`: `function` or `custom`.
    #[must_use]
    pub fn r#type(&self) -> Option<&'a str> {
        self.chunk.string(self.row.r#type)
    }

    /// `function.name`: the name of the function.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.chunk.string(self.row.function_fields.name)
    }

    /// `function.arguments`: a fragment of a JSON text.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a str> {
        self.chunk.string(self.row.function_fields.arguments)
    }

    /// Returns the arguments; of a number, its text as sent.
    pub(crate) fn arguments_text(&self) -> Option<&'a str> {
        self.arguments().or_else(|| number_text(self.arguments_value()?))
    }

    /// Returns the arguments, of any type.
    pub(crate) fn arguments_value(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.function_fields.arguments)
    }

    /// `function.arguments`, if a server sends them whole, as a JSON object.
    #[must_use]
    pub fn arguments_object(&self) -> Option<Value<'a>> {
        let object = self.chunk.is_object(self.row.function_fields.arguments);
        object.then(|| Value::new(self.chunk.document, self.row.function_fields.arguments))
    }

    /// Returns the member `name`, of any type; of members with the same name the last one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// Returns the members outside the common schema, in the order sent.
    ///
    /// These are all but `index`, `id`, `type` and `function`; `custom` is one of them. A repeated
    /// name occurs repeatedly.
    #[must_use]
    pub fn extra(&self) -> ExtraMembers<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// Returns the members of `function` besides `name` and `arguments`, in the order sent.
    #[must_use]
    pub fn function_extra(&self) -> ExtraMembers<'a> {
        self.chunk.extra_of(&self.row.function_fields.extras)
    }

    /// Returns the whole element of `tool_calls` as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.chunk.document, self.row.node)
    }
}

/// Returns the text of a number.
pub(super) fn number_text(value: Value<'_>) -> Option<&str> {
    (value.kind() == ValueKind::Number).then(|| value.raw())
}

impl fmt::Debug for ToolCallDelta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}
