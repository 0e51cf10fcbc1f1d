//! `WholeMessage`: a message that a server sends in place of a delta, read as a delta.

use super::schema::{Columns, DeltaFields, FunctionFields, ToolCallFields};
use super::{ChatCompletionChunk, Choice, Delta, ToolCallDelta, loses_member};
use crate::json::{Document, Kind, Member, Members, Value, ValueKind};

/// The `message` of a choice whose delta has no content.
pub(crate) struct WholeMessage<'a> {
    chunk: ChatCompletionChunk<'a>,
    value: Value<'a>,
    /// The columns of the message. The ranges of other members and tool calls are empty.
    fields: DeltaFields,
}

impl<'a> Choice<'a> {
    /// Returns the message if it has content, and no member of the delta has.
    pub(crate) fn whole_message(&self) -> Option<WholeMessage<'a>> {
        self.message_as_delta().filter(|_| !self.has_delta())
    }

    /// Returns true if a member of the delta has content.
    pub(crate) fn has_delta(&self) -> bool {
        let mut members = self.delta().as_value().into_iter().flat_map(|delta| delta.members());
        members.any(|(_, value)| !value.is_empty_value())
    }

    /// Returns the message if it has content, also beside a delta.
    pub(crate) fn message_as_delta(&self) -> Option<WholeMessage<'a>> {
        let value = self.message().filter(|value| !value.is_empty_value())?;
        let mut fields = DeltaFields { node: value.id, ..DeltaFields::default() };
        fill_columns(value.document, value.document.members_in_column(value.id), &mut fields);
        Some(WholeMessage { chunk: self.chunk, value, fields })
    }
}

impl<'a> WholeMessage<'a> {
    /// Returns true if the message is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.value.kind() == ValueKind::Object
    }

    /// Returns the message as a delta, without tool calls and members outside the common schema.
    pub(crate) const fn as_delta(&self) -> Delta<'_> {
        Delta { chunk: self.chunk, row: &self.fields }
    }

    /// Returns true if the value of a member can't be stored.
    pub(crate) fn has_lost_member(&self) -> bool {
        loses_member(self.value)
    }

    /// Returns true if a part of the message can't be stored.
    pub(crate) fn has_unknown_part(&self) -> bool {
        self.has_lost_member() || self.as_delta().has_unknown_text()
    }

    /// Returns the members outside the common schema.
    pub(crate) fn extra(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        members_without_column::<DeltaFields>(self.value)
    }

    /// Passes each tool call, as a part of a delta, and its position to `push`.
    pub(crate) fn each_call(&self, mut push: impl FnMut(usize, &ToolCallDelta<'_>)) {
        let calls = self.chunk.value(self.fields.tool_calls);
        let calls = calls.into_iter().flat_map(|calls| calls.elements());
        let calls = calls.filter(|call| call.kind() == ValueKind::Object);
        for (at, call) in calls.enumerate() {
            let document = call.document;
            let mut row = ToolCallFields { node: call.id, ..ToolCallFields::default() };
            fill_columns(document, document.members(call.id), &mut row);
            let function = document.members_in_column(row.function);
            fill_columns(document, function, &mut row.function_fields);
            push(at, &ToolCallDelta { chunk: self.chunk, row: &row });
        }
    }
}

impl<'a> ToolCallDelta<'a> {
    /// Returns the members without a column: those of the call and those of its function.
    pub(crate) fn extra_of_whole(
        &self,
    ) -> (
        impl Iterator<Item = (&'a str, Value<'a>)> + use<'a>,
        impl Iterator<Item = (&'a str, Value<'a>)> + use<'a>,
    ) {
        let function = self.chunk.value(self.row.function).into_iter();
        (
            members_without_column::<ToolCallFields>(self.as_value()),
            function.flat_map(members_without_column::<FunctionFields>),
        )
    }
}

/// Fills the columns of one object. Of members with the same name the last one counts.
fn fill_columns(document: Document<'_>, members: Members<'_>, fields: &mut impl Columns) {
    for Member { name, value } in members {
        if let Some((column, _)) = fields.column(name) {
            let is_null = document.kind(value) == Some(Kind::Null);
            *column = if is_null { 0 } else { value };
        }
    }
}

fn members_without_column<F: Columns>(
    object: Value<'_>,
) -> impl Iterator<Item = (&str, Value<'_>)> + use<'_, F> {
    object.members().filter(|(name, _)| !F::NAMES.contains(name))
}
