//! The table of a chunk: where in its document the members stand that have a name here.

use core::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::json::{Document, Kind, Member, NodeId, Tape};

/// Most choices, and most tool calls, of one chunk.
const MOST_ROWS: usize = 4096;

/// Most mismatches that are noted of one chunk: looking for the place of each costs its document's
/// length.
pub(super) const MOST_MISMATCHES: usize = 256;

/// Member positions of one chunk; 0 where a member is absent or `null`. Reused from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkIndex {
    pub(crate) top: ChunkFields,
    pub(crate) choices: Vec<ChoiceFields>,
    pub(crate) calls: Vec<ToolCallFields>,
    /// The names of members that have no column, those of one object side by side.
    pub(crate) extras: Vec<NodeId>,
    /// Values of another type than the schema's.
    pub(crate) mismatches: Vec<NodeId>,
}

/// What a payload is read into; reused from one to the next.
#[derive(Clone, Default)]
pub(crate) struct ChunkBuffers {
    pub(crate) tape: Tape,
    pub(crate) table: ChunkIndex,
}

impl ChunkBuffers {
    /// Bytes that the buffers hold, roughly.
    pub(crate) fn held(&self) -> usize {
        self.tape.held() + self.table.held()
    }

    /// Copies the nodes and the table of `other` into its own buffers.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.tape.copy_from(&other.tape);
        let ChunkIndex { top, choices, calls, extras, mismatches } = &other.table;
        self.table.top.clone_from(top);
        self.table.choices.clone_from(choices);
        self.table.calls.clone_from(calls);
        self.table.extras.clone_from(extras);
        self.table.mismatches.clone_from(mismatches);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkFields {
    pub(crate) id: NodeId,
    pub(crate) object: NodeId,
    pub(crate) created: NodeId,
    pub(crate) model: NodeId,
    pub(crate) choices: NodeId,
    pub(crate) usage: NodeId,
    pub(crate) system_fingerprint: NodeId,
    pub(crate) service_tier: NodeId,
    pub(crate) obfuscation: NodeId,
    pub(crate) error: NodeId,
    pub(crate) x_groq: NodeId,
    pub(crate) extras: Range<u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ChoiceFields {
    pub(crate) node: NodeId,
    pub(crate) index: NodeId,
    pub(crate) finish_reason: NodeId,
    pub(crate) logprobs: NodeId,
    pub(crate) message: NodeId,
    pub(crate) usage: NodeId,
    pub(crate) text: NodeId,
    pub(crate) error: NodeId,
    pub(crate) delta: DeltaFields,
    pub(crate) extras: Range<u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DeltaFields {
    /// The delta itself, be it `null`.
    pub(crate) node: NodeId,
    pub(crate) role: NodeId,
    pub(crate) content: NodeId,
    pub(crate) refusal: NodeId,
    pub(crate) reasoning_content: NodeId,
    pub(crate) reasoning: NodeId,
    pub(crate) reasoning_details: NodeId,
    pub(crate) tool_calls: NodeId,
    pub(crate) function_call: NodeId,
    pub(crate) audio: NodeId,
    pub(crate) calls: Range<u32>,
    pub(crate) extras: Range<u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ToolCallFields {
    pub(crate) node: NodeId,
    pub(crate) index: NodeId,
    pub(crate) id: NodeId,
    pub(crate) kind: NodeId,
    pub(crate) function: NodeId,
    pub(crate) name: NodeId,
    pub(crate) arguments: NodeId,
    pub(crate) extras: Range<u32>,
    pub(crate) function_extras: Range<u32>,
}

impl DeltaFields {
    /// Whether there is nothing but a role and a content, as in most deltas.
    #[inline]
    pub(crate) const fn is_content(&self) -> bool {
        let more = self.refusal | self.tool_calls | self.function_call | self.audio;
        more == 0 && !self.has_reasoning() && self.extras.start == self.extras.end
    }

    #[inline]
    pub(crate) const fn has_reasoning(&self) -> bool {
        self.reasoning_content | self.reasoning | self.reasoning_details != 0
    }
}

/// The types that the schema allows for a member besides `null`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueType {
    String,
    Number,
    /// A whole number from 0 to `u64::MAX`.
    Count,
    /// A whole number from 0 to 255.
    Byte,
    Array,
    Object,
    StringOrArray,
    StringOrObject,
    /// A string, or a whole number from `i64::MIN` to `i64::MAX`.
    StringOrInteger,
    Any,
}

impl ValueType {
    /// The kinds that are of this type, as bits.
    const fn kinds(self) -> u16 {
        const fn bits(kinds: &[Kind]) -> u16 {
            match kinds {
                [] => 1 << Kind::Null as u16,
                [kind, more @ ..] => 1 << *kind as u16 | bits(more),
            }
        }
        match self {
            Self::String => bits(&[Kind::String]),
            Self::Number | Self::Count | Self::Byte => bits(&[Kind::Number]),
            Self::Array => bits(&[Kind::Array]),
            Self::Object => bits(&[Kind::Object]),
            Self::StringOrArray => bits(&[Kind::String, Kind::Array]),
            Self::StringOrObject => bits(&[Kind::String, Kind::Object]),
            Self::StringOrInteger => bits(&[Kind::String, Kind::Number]),
            Self::Any => u16::MAX,
        }
    }

    #[inline]
    pub(super) fn allows(self, document: Document<'_>, id: NodeId) -> bool {
        let Some(kind) = document.kind(id) else { return false };
        let is_truthy_error = self.kinds() & 1 << kind as u16 != 0;
        is_truthy_error
            && match self {
                Self::Count => kind == Kind::Null || document.count(id).is_some(),
                Self::Byte | Self::StringOrInteger => self.allows_number(document, id),
                _ => true,
            }
    }

    #[cold]
    fn allows_number(self, document: Document<'_>, id: NodeId) -> bool {
        let number = document.raw(id);
        document.kind(id) != Some(Kind::Number)
            || match self {
                Self::Byte => number.parse::<u8>().is_ok(),
                _ => number.parse::<i64>().is_ok(),
            }
    }
}

impl ChunkIndex {
    /// Fills the table from a document whose root is an object. Of members with the same name
    /// the last one counts. Fails where a chunk has so many choices or calls that the table
    /// would outgrow its document.
    pub(crate) fn fill(&mut self, document: Document<'_>) -> Result<(), Error> {
        self.choices.clear();
        self.calls.clear();
        self.extras.clear();
        self.mismatches.clear();
        self.top = self.top_row(document);
        for choice in document.elements(self.top.choices) {
            if document.kind(choice) != Some(Kind::Object) {
                self.note(choice);
                continue;
            }
            let row = self.choice_row(document, choice)?;
            room_for_one(&self.choices, document, choice)?;
            if self.choices.is_empty() {
                // Most chunks have one.
                self.choices.reserve_exact(1);
            }
            self.choices.push(row);
        }
        Ok(())
    }

    /// Returns true if a node decides whether the chunk is an error.
    pub(crate) fn decides(&self, id: NodeId) -> bool {
        let top = &self.top;
        [top.object, top.error].contains(&id) || self.choices.iter().any(|row| row.error == id)
    }

    /// How many choices and tool calls there are.
    pub(crate) fn rows(&self) -> usize {
        self.choices.len() + self.calls.len()
    }

    /// Bytes that the table holds, roughly.
    pub(crate) fn held(&self) -> usize {
        self.choices.capacity() * size_of::<ChoiceFields>()
            + self.calls.capacity() * size_of::<ToolCallFields>()
            + (self.extras.capacity() + self.mismatches.capacity()) * size_of::<NodeId>()
    }

    fn top_row(&mut self, document: Document<'_>) -> ChunkFields {
        let mut row = ChunkFields::default();
        let extras = self.extras_start();
        for Member { name, value } in document.members(0) {
            let (column, expected) = match name {
                b"id" => (&mut row.id, ValueType::String),
                b"object" => (&mut row.object, ValueType::String),
                b"created" => (&mut row.created, ValueType::Count),
                b"model" => (&mut row.model, ValueType::String),
                b"choices" => (&mut row.choices, ValueType::Array),
                b"usage" => (&mut row.usage, ValueType::Object),
                b"system_fingerprint" => (&mut row.system_fingerprint, ValueType::String),
                b"service_tier" => (&mut row.service_tier, ValueType::String),
                b"obfuscation" => (&mut row.obfuscation, ValueType::String),
                b"error" => (&mut row.error, ValueType::Any),
                b"x_groq" => (&mut row.x_groq, ValueType::Object),
                _ => {
                    self.extras.push(value - 1);
                    continue;
                }
            };
            self.set(document, column, value, expected);
        }
        row.extras = extras..self.extras_start();
        row
    }

    fn choice_row(&mut self, document: Document<'_>, node: NodeId) -> Result<ChoiceFields, Error> {
        let mut row = ChoiceFields { node, ..ChoiceFields::default() };
        let (mut delta, mut sent) = (0, 0);
        let extras = self.extras_start();
        for Member { name, value } in document.members(node) {
            let (column, expected) = match name {
                b"index" => (&mut row.index, ValueType::Count),
                b"delta" => {
                    sent = value;
                    (&mut delta, ValueType::Object)
                }
                b"finish_reason" => (&mut row.finish_reason, ValueType::String),
                b"logprobs" => (&mut row.logprobs, ValueType::Object),
                b"message" => (&mut row.message, ValueType::Object),
                b"usage" => (&mut row.usage, ValueType::Object),
                b"text" => (&mut row.text, ValueType::String),
                b"error" => (&mut row.error, ValueType::Any),
                _ => {
                    self.extras.push(value - 1);
                    continue;
                }
            };
            self.set(document, column, value, expected);
        }
        row.extras = extras..self.extras_start();
        row.delta = self.delta_row(document, sent)?;
        Ok(row)
    }

    fn delta_row(&mut self, document: Document<'_>, node: NodeId) -> Result<DeltaFields, Error> {
        let mut row = DeltaFields { node, ..DeltaFields::default() };
        if node == 0 {
            return Ok(row);
        }
        let extras = self.extras_start();
        for Member { name, value } in document.members(node) {
            let (column, expected) = match name {
                b"role" => (&mut row.role, ValueType::String),
                b"content" => (&mut row.content, ValueType::StringOrArray),
                b"refusal" => (&mut row.refusal, ValueType::String),
                b"reasoning_content" => (&mut row.reasoning_content, ValueType::String),
                b"reasoning" => (&mut row.reasoning, ValueType::String),
                b"reasoning_details" => (&mut row.reasoning_details, ValueType::Array),
                b"tool_calls" => (&mut row.tool_calls, ValueType::Array),
                b"function_call" => (&mut row.function_call, ValueType::Object),
                b"audio" => (&mut row.audio, ValueType::Object),
                _ => {
                    self.extras.push(value - 1);
                    continue;
                }
            };
            self.set(document, column, value, expected);
        }
        row.extras = extras..self.extras_start();
        let calls = row_number(self.calls.len());
        for call in document.elements(row.tool_calls) {
            if document.kind(call) != Some(Kind::Object) {
                self.note(call);
                continue;
            }
            room_for_one(&self.calls, document, call)?;
            let row = self.call_row(document, call);
            self.calls.push(row);
        }
        row.calls = calls..row_number(self.calls.len());
        Ok(row)
    }

    fn call_row(&mut self, document: Document<'_>, node: NodeId) -> ToolCallFields {
        let mut row = ToolCallFields { node, ..ToolCallFields::default() };
        let extras = self.extras_start();
        for Member { name, value } in document.members(node) {
            let (column, expected) = match name {
                b"index" => (&mut row.index, ValueType::Count),
                b"id" => (&mut row.id, ValueType::String),
                b"type" => (&mut row.kind, ValueType::String),
                b"function" => (&mut row.function, ValueType::Object),
                _ => {
                    self.extras.push(value - 1);
                    continue;
                }
            };
            self.set(document, column, value, expected);
        }
        row.extras = extras..self.extras_start();
        let extras = self.extras_start();
        for Member { name, value } in document.members_in_column(row.function) {
            let (column, expected) = match name {
                b"name" => (&mut row.name, ValueType::String),
                b"arguments" => (&mut row.arguments, ValueType::StringOrObject),
                _ => {
                    self.extras.push(value - 1);
                    continue;
                }
            };
            self.set(document, column, value, expected);
        }
        row.function_extras = extras..self.extras_start();
        row
    }

    /// Fills a column, and takes note of a value of a type that the schema doesn't have.
    #[inline]
    fn set(
        &mut self,
        document: Document<'_>,
        column: &mut NodeId,
        value: NodeId,
        expected: ValueType,
    ) {
        let is_null = document.kind(value) == Some(Kind::Null);
        let before = core::mem::replace(column, if is_null { 0 } else { value });
        if before != 0 {
            self.forget(before);
        }
        if !is_null && !expected.allows(document, value) {
            self.note(value);
        }
    }

    #[cold]
    fn note(&mut self, value: NodeId) {
        if self.mismatches.len() < MOST_MISMATCHES {
            self.mismatches.push(value);
        }
    }

    /// Of members with the same name the last one counts: what was noted of others is void.
    #[cold]
    fn forget(&mut self, before: NodeId) {
        self.mismatches.retain(|id| *id != before);
    }

    fn extras_start(&self) -> u32 {
        row_number(self.extras.len())
    }
}

/// Fails where `rows` has as many as a chunk may have.
fn room_for_one<R>(rows: &[R], document: Document<'_>, node: NodeId) -> Result<(), Error> {
    if rows.len() < MOST_ROWS {
        return Ok(());
    }
    let at = document.node(node).map_or(0, |node| u64::from(node.start));
    Err(Error::new(ErrorKind::TooManyValues, at))
}

/// A row's number: there are fewer rows than bytes of the text, so it fits.
#[expect(clippy::cast_possible_truncation, reason = "a text has less than 4 GiB")]
const fn row_number(len: usize) -> u32 {
    len as u32
}
