//! `ChunkIndex`: the positions of a chunk's known members in its document.

use core::cell::Cell;
use core::ops::Range;
use std::sync::OnceLock;

use super::schema::{
    ChoiceFields, ChunkFields, Columns, DeltaFields, FunctionFields, ToolCallFields, choice, delta,
    top, usage as usage_rows,
};
use super::value_type::Expected;
use crate::error::{Error, ErrorKind};
use crate::json::{Document, Kind, Member, Members, NodeId};
use crate::slice::items_in;
use crate::template::{Buffers, Index, Leaf, Locals};

/// The largest number of choices, and of tool calls, in one chunk.
const MOST_ROWS: usize = 4096;

/// The largest number of mismatches in the index of one chunk.
///
/// The search for the path of each costs the length of the document.
pub(super) const MOST_MISMATCHES: usize = 256;

/// Member positions of one chunk; 0 if a member is absent or `null`. Reused from chunk to chunk.
///
/// Each range of a row is within its list: `start <= end <= extras.len()`, or `calls.len()`. At
/// most [`MOST_ROWS`] choices and calls, and [`MOST_MISMATCHES`] mismatches.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkIndex {
    pub(crate) top: ChunkFields,
    pub(crate) choices: Vec<ChoiceFields>,
    pub(crate) calls: Vec<ToolCallFields>,
    /// The names of members without a column; those of one object are adjacent.
    pub(crate) extras: Vec<NodeId>,
    /// Values of another type than the schema's.
    pub(crate) mismatches: Vec<NodeId>,
}

/// The buffers of a chunk's tape and index.
pub(crate) type ChunkBuffers = Buffers<ChunkIndex>;

thread_local! {
    /// The views of sets that this thread has used last.
    static LOCALS: Cell<Locals<ChunkIndex>> = const { Cell::new(Locals::new()) };
}

impl Index for ChunkIndex {
    fn empty() -> &'static Self {
        static EMPTY: OnceLock<ChunkIndex> = OnceLock::new();
        EMPTY.get_or_init(Self::default)
    }

    fn rows(&self) -> usize {
        self.choices.len() + self.calls.len()
    }

    fn held(&self) -> usize {
        self.choices.capacity() * size_of::<ChoiceFields>()
            + self.calls.capacity() * size_of::<ToolCallFields>()
            + (self.extras.capacity() + self.mismatches.capacity()) * size_of::<NodeId>()
    }

    /// Returns true if a leaf decides whether the chunk is an error, or is in place of a container.
    ///
    /// Of members with the same name the last one decides, and readers differ in that. In place of a
    /// container, an empty text is no value, and any other text is a part that is lost.
    fn is_fixed(&self, document: Document<'_>, leaf: NodeId) -> bool {
        let names = [top::OBJECT, top::ERROR].map(str::as_bytes);
        let mut members = document.members(0);
        let mut in_x_groq = document.members_in_column(self.top.x_groq);
        members.any(|member| member.value == leaf && names.contains(&member.name))
            || in_x_groq.any(|member| member.value == leaf && member.name == top::ERROR.as_bytes())
            || self.choices.iter().any(|row| row.error == leaf)
            || self.is_odd(document, leaf)
    }

    fn take_locals() -> Locals<Self> {
        LOCALS.try_with(Cell::take).unwrap_or_default()
    }

    fn store_locals(locals: Locals<Self>) {
        // A thread that ends stores none.
        let _ = LOCALS.try_with(|stored| stored.set(locals));
    }

    fn refill(&mut self, document: Document<'_>) -> bool {
        self.fill(document).is_ok()
    }

    /// Returns true if a leaf is the index of a choice or call.
    fn varies(&self, leaf: NodeId) -> bool {
        self.choices.iter().any(|row| row.index == leaf || row.finish_reason == leaf)
            || self.calls.iter().any(|row| row.index == leaf)
    }

    /// Adds the values of columns that differ from event to event or from stream to stream.
    ///
    /// These are padding, texts that accumulate, lists of log probabilities and numbers of the usage.
    /// The ids and names of the stream, its model and its calls differ too. Of the numbers of the
    /// usage those that don't grow with the completion are bound.
    ///
    /// An empty text usually belongs to an event of another kind, in which it remains empty.
    fn each_leaf(&self, document: Document<'_>, mut add: impl FnMut(NodeId, Leaf)) {
        let ChunkFields {
            id, created, model, system_fingerprint, usage, x_groq, obfuscation, ..
        } = self.top;
        add_values(document, [id, created, model, system_fingerprint], Leaf::Bound, &mut add);
        add_values(document, [obfuscation], Leaf::Varying, &mut add);
        for choice in &self.choices {
            add_values(document, choice.delta_fields.texts(), Leaf::Varying, &mut add);
            let lists = document.members_in_column(choice.logprobs).map(|list| list.value);
            lists
                .filter(|list| document.kind(*list) == Some(Kind::Array))
                .filter(|list| document.raw_len(*list) > "[]".len())
                .for_each(|list| add(list, Leaf::Varying));
        }
        for call in &self.calls {
            let FunctionFields { name, arguments, .. } = call.function_fields;
            add_values(document, [call.id, name, arguments], Leaf::Varying, &mut add);
        }
        for column in [usage, x_groq].into_iter().filter(|column| *column != 0) {
            let nodes = column..document.behind(column);
            let numbers = nodes.filter(|leaf| document.kind(*leaf) == Some(Kind::Number));
            for leaf in numbers {
                let grows = [usage_rows::COMPLETION_TOKENS, usage_rows::TOTAL_TOKENS]
                    .contains(&document.name_of(leaf));
                let is_member = document.members(column).any(|member| member.value == leaf);
                add(leaf, if grows && is_member { Leaf::Varying } else { Leaf::Bound });
            }
        }
    }
}

/// Adds the leaves among columns that are numbers, or strings with a text.
fn add_values<const N: usize>(
    document: Document<'_>,
    columns: [NodeId; N],
    leaf: Leaf,
    add: &mut impl FnMut(NodeId, Leaf),
) {
    let has_value = |column: &NodeId| match document.kind(*column) {
        Some(Kind::String) => document.string(*column).is_some_and(|text| !text.is_empty()),
        kind => kind == Some(Kind::Number),
    };
    columns
        .into_iter()
        .filter(|column| *column != 0)
        .filter(has_value)
        .for_each(|column| add(column, leaf));
}

impl DeltaFields {
    /// Returns true if the delta has no members but a role and a content.
    #[inline]
    pub(crate) fn is_content(&self) -> bool {
        let Self { extras, tool_calls, function_call, audio, .. } = self;
        let more = *tool_calls | *function_call | *audio;
        more == 0 && !self.has_reasoning() && !self.has_plain_text() && extras.start == extras.end
    }

    #[inline]
    pub(crate) const fn has_reasoning(&self) -> bool {
        self.reasoning_content | self.reasoning | self.reasoning_details != 0
    }
}

impl ChunkIndex {
    /// Returns true if a leaf has another type than the schema's, or may have.
    ///
    /// A member of a delta is lost even if a later one has its name.
    fn is_odd(&self, document: Document<'_>, leaf: NodeId) -> bool {
        const CONTAINERS: [&str; 4] =
            [delta::TOOL_CALLS, delta::FUNCTION_CALL, delta::AUDIO, delta::REASONING_DETAILS];
        let is_or_has = |value: NodeId| {
            value == leaf || document.elements(value).any(|element| element == leaf)
        };
        let is_in_delta = |row: &ChoiceFields| {
            let mut members = document.members_in_column(row.delta_fields.node);
            members.any(|Member { name, value }| {
                CONTAINERS.iter().any(|container| container.as_bytes() == name) && is_or_has(value)
            })
        };
        self.mismatches.len() == MOST_MISMATCHES
            || self.mismatches.contains(&leaf)
            || self.choices.iter().any(is_in_delta)
    }

    /// Returns the names in one of the ranges of `extras`.
    pub(crate) fn extras_in(&self, range: &Range<u32>) -> &[NodeId] {
        items_in(&self.extras, range.start as usize..range.end as usize)
    }

    /// Returns the rows in one of the ranges of `calls`.
    #[inline]
    pub(crate) fn calls_in(&self, range: &Range<u32>) -> &[ToolCallFields] {
        items_in(&self.calls, range.start as usize..range.end as usize)
    }

    /// Fills the index from a document.
    ///
    /// Of members with the same name the last one counts. Fails if the root isn't an object, and if
    /// there are more than [`MOST_ROWS`] choices or tool calls. So the index has a largest size.
    ///
    /// If it fails, it has all members of an object and the choices before the failure.
    pub(crate) fn fill(&mut self, document: Document<'_>) -> Result<(), Error> {
        let Self { top, choices, calls, extras, mismatches } = self;
        choices.clear();
        calls.clear();
        extras.clear();
        mismatches.clear();
        let mut lists = Lists { calls, extras, mismatches };
        // Each row is filled in its place: a processor waits for a copy of columns just stored.
        *top = ChunkFields::default();
        if document.kind(0) != Some(Kind::Object) {
            return Err(error_at(document, 0, ErrorKind::ExpectedObject));
        }
        top.extras = lists.columns(document, document.members(0), top);
        for choice in document.elements(top.choices) {
            if document.kind(choice) != Some(Kind::Object) {
                lists.note(choice);
                continue;
            }
            check_next_row(choices, document, choice)?;
            if choices.is_empty() {
                // Most chunks have one choice.
                choices.reserve_exact(1);
            }
            choices.push(ChoiceFields { node: choice, ..ChoiceFields::default() });
            let Some(row) = choices.last_mut() else { break };
            lists.choice(document, row)?;
        }
        Ok(())
    }
}

/// The lists of an index that objects of each level share.
struct Lists<'i> {
    calls: &'i mut Vec<ToolCallFields>,
    extras: &'i mut Vec<NodeId>,
    mismatches: &'i mut Vec<NodeId>,
}

impl Lists<'_> {
    /// Fills the columns of one object; returns the range of its other members in `extras`.
    #[inline]
    fn columns<F: Columns>(
        &mut self,
        document: Document<'_>,
        members: Members<'_>,
        fields: &mut F,
    ) -> Range<u32> {
        let start = self.extras_start();
        for Member { name, value } in members {
            match fields.column(name) {
                Some((column, expected)) => self.set(document, column, value, expected),
                None => self.extras.push(value - 1),
            }
        }
        start..self.extras_start()
    }

    fn choice(&mut self, document: Document<'_>, row: &mut ChoiceFields) -> Result<(), Error> {
        row.extras = self.columns(document, document.members(row.node), row);
        let delta = if row.delta == 0 { null_delta(document, row.node) } else { row.delta };
        row.delta_fields.node = delta;
        self.delta(document, &mut row.delta_fields)
    }

    fn delta(&mut self, document: Document<'_>, fields: &mut DeltaFields) -> Result<(), Error> {
        fields.extras = self.columns(document, document.members_in_column(fields.node), fields);
        let calls = row_number(self.calls.len());
        for call in document.elements(fields.tool_calls) {
            if document.kind(call) != Some(Kind::Object) {
                self.note(call);
                continue;
            }
            check_next_row(self.calls, document, call)?;
            self.tool_call(document, call);
        }
        fields.calls = calls..row_number(self.calls.len());
        Ok(())
    }

    fn tool_call(&mut self, document: Document<'_>, node: NodeId) {
        let mut fields = ToolCallFields { node, ..ToolCallFields::default() };
        fields.extras = self.columns(document, document.members(node), &mut fields);
        let function = document.members_in_column(fields.function);
        let function_fields = &mut fields.function_fields;
        function_fields.extras = self.columns(document, function, function_fields);
        self.calls.push(fields);
    }

    /// Fills a column, and notes a value of another type than the schema's.
    #[expect(clippy::inline_always, reason = "`vllm general-next`: a call costs 3 % of an event")]
    #[inline(always)]
    fn set(
        &mut self,
        document: Document<'_>,
        column: &mut NodeId,
        value: NodeId,
        expected: Expected,
    ) {
        let kind = document.kind(value).unwrap_or(Kind::Null);
        let is_null = kind == Kind::Null;
        let before = core::mem::replace(column, if is_null { 0 } else { value });
        if before != 0 {
            self.forget(before);
        }
        if !is_null && !expected.allows(document, value, kind) {
            self.note(value);
        }
    }

    #[cold]
    fn note(&mut self, value: NodeId) {
        if self.mismatches.len() < MOST_MISMATCHES {
            self.mismatches.push(value);
        }
    }

    /// Removes the note of a value that a later member of the same name replaces.
    #[cold]
    fn forget(&mut self, before: NodeId) {
        self.mismatches.retain(|id| *id != before);
    }

    fn extras_start(&self) -> u32 {
        row_number(self.extras.len())
    }
}

/// Returns the last `delta` of a choice, which is `null`; 0 if there is none.
#[cold]
fn null_delta(document: Document<'_>, choice: NodeId) -> NodeId {
    let deltas = document.members(choice).filter(|it| it.name == choice::DELTA.as_bytes());
    deltas.last().map_or(0, |delta| delta.value)
}

/// Fails if a list can't have a next row, for a node.
///
/// The list has [`MOST_ROWS`] rows then, and isn't doubled for another one.
fn check_next_row<R>(rows: &[R], document: Document<'_>, node: NodeId) -> Result<(), Error> {
    if rows.len() < MOST_ROWS {
        return Ok(());
    }
    Err(error_at(document, node, ErrorKind::TooManyValues))
}

/// Creates an error at the first byte of a node.
#[cold]
fn error_at(document: Document<'_>, node: NodeId, kind: ErrorKind) -> Error {
    Error::new(kind, document.node(node).map_or(0, |node| node.start.into()))
}

/// Converts a number of rows; it fits, since a document has more bytes than rows.
#[expect(clippy::cast_possible_truncation, reason = "a text has less than 4 GiB")]
const fn row_number(len: usize) -> u32 {
    debug_assert!(len <= u32::MAX as usize, "a document has fewer rows");
    len as u32
}

#[cfg(test)]
mod tests {
    use crate::chunk::schema::{Columns, DeltaFields, delta};

    /// Sets each column by its name, so that none is missing in `is_content`.
    #[test]
    fn each_column_besides_role_and_content_is_more_than_a_content() {
        for name in DeltaFields::NAMES {
            let mut fields = DeltaFields::default();
            if let Some((column, _)) = fields.column(name.as_bytes()) {
                *column = 1;
            }
            assert_eq!(fields.is_content(), [delta::ROLE, delta::CONTENT].contains(name), "{name}");
        }
    }
}
