//! Writes the deltas of a choice: the first one, pieces of texts, tool calls, and the last one.

use super::chunk_page::{ChunkPage, Rule};
use crate::chunk::schema::{choice, delta, function, tool_call};
use crate::chunk::{Level, Merge, MessageText, TextMember};
use crate::completion::{CompletionChoice, FunctionCall, Message, ToolCall};
use crate::json::writer::{self, ObjectWriter};

/// A text of a message that is written in deltas.
#[derive(Clone, Copy)]
pub(super) enum DeltaText<'c> {
    /// The text of the member with this name.
    Text(&'static str),
    /// The arguments of the tool call at this position.
    Call(usize, &'c ToolCall),
    /// The arguments of the deprecated `function_call`.
    Function,
}

impl<'c> DeltaText<'c> {
    /// Returns the text at a position, empty if it is absent; `None` after the last one.
    pub(super) fn find(message: &'c Message, position: usize) -> Option<(Self, &'c str)> {
        if let Some((name, text)) = texts(message).nth(position) {
            return Some((Self::Text(name), text.unwrap_or_default()));
        }
        let (target, text) = match position.checked_sub(MessageText::ALL.len())? {
            0 => (Self::Function, message.function_call.as_ref().map(|call| &*call.arguments)),
            calls => {
                let call = message.tool_calls.get(calls - 1)?;
                let arguments = call.function.as_ref().map(|function| &*function.arguments);
                (Self::Call(calls - 1, call), arguments)
            }
        };
        Some((target, text.unwrap_or_default()))
    }

    /// Appends a choice with a piece of the text.
    ///
    /// `is_begin` is true in the first delta of a tool call.
    pub(super) fn write(
        self,
        choice_index: u64,
        piece: &str,
        is_begin: bool,
        page: &mut ChunkPage,
        out: &mut Vec<u8>,
    ) {
        write_choice(choice_index, page.is_alone, out, |delta| match self {
            Self::Text(name) => delta.string(name, piece),
            Self::Function => {
                delta.object(delta::FUNCTION_CALL, |function| {
                    function.string(function::ARGUMENTS, piece);
                });
            }
            Self::Call(position, call) => {
                writer::array([call], delta.name(delta::TOOL_CALLS), |call, out| {
                    write_call(position, call, piece, is_begin, page, out);
                });
            }
        });
    }
}

/// Returns the texts of a message in the order of a replay, with their names: first the reasoning.
fn texts(message: &Message) -> impl Iterator<Item = (&'static str, Option<&str>)> {
    let is_other = |member: &TextMember| member.text() != MessageText::Reasoning;
    let others = TextMember::ALL.into_iter().filter(is_other);
    let reasoning = (message.reasoning_name.as_str(), message.reasoning.as_deref());
    let others = others.map(|member| (member.as_str(), message.text(member.text())));
    core::iter::once(reasoning).chain(others)
}

/// Returns the length of a text's first piece: at most `max_len`, but at least one character.
pub(super) fn piece_len(text: &str, max_len: usize) -> usize {
    let down = (0..=max_len.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    match down {
        Some(0) | None => text.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
    }
}

/// Appends the first delta of a choice, or a further one with members that the first one lacks.
///
/// The first delta contains all members of the choice except its tool calls, the pieces of its
/// texts and its finish reason.
pub(super) fn begin(choice: &CompletionChoice, page: &mut ChunkPage, out: &mut Vec<u8>) {
    let CompletionChoice { index, message, logprobs, extra, .. } = choice;
    let start = out.len();
    let (parts, is_alone, is_first) = (page.parts, page.is_alone, page.is_first);
    let mut object = begin_choice(*index, is_alone, out);
    object.object_if(choice::DELTA, is_alone, |delta| {
        page.text(delta::ROLE, message.role.as_deref(), delta);
        if is_first {
            begin_texts(message, delta);
        }
        if let Some(call) = &message.function_call {
            delta.object_if(delta::FUNCTION_CALL, !is_first, |function| {
                let rule = Rule::All(Merge::KeepFirst);
                begin_function(call, is_first.then_some(""), rule, page, function);
            });
        }
        page.details(delta::REASONING_DETAILS, &message.reasoning_details, delta);
        if let Some(audio) = &message.audio {
            page.object(delta::AUDIO, audio, Rule::At(Level::Audio), delta);
        }
        let members = message.extra.iter().filter(|(name, _)| *name != delta::REASONING);
        page.members(Rule::At(Level::Delta), members, delta);
    });
    if !is_alone {
        object.raw(choice::FINISH_REASON, "null");
    }
    if let Some(logprobs) = logprobs {
        page.object(choice::LOGPROBS, logprobs, Rule::All(Merge::Extend), &mut object);
    }
    let members = extra.iter().filter(|(name, _)| *name != choice::DELTA);
    page.members(Rule::At(Level::Choice), members, &mut object);
    object.end();
    if is_alone && page.parts == parts {
        out.truncate(start);
    }
}

/// Begins a choice. An absent index is 0.
fn begin_choice(index: u64, is_alone: bool, out: &mut Vec<u8>) -> ObjectWriter<'_> {
    let mut choice = ObjectWriter::begin(out);
    if !is_alone || index != 0 {
        choice.number(choice::INDEX, index);
    }
    choice
}

/// Writes the texts of the first delta of a choice: empty strings, and `null` for absent content.
fn begin_texts(message: &Message, delta: &mut ObjectWriter<'_>) {
    match message.content {
        Some(_) => delta.string(delta::CONTENT, ""),
        None => delta.raw(delta::CONTENT, "null"),
    }
    let reasoning = message.reasoning.as_ref().map(|_| "");
    delta.string_if(message.reasoning_name.as_str(), reasoning);
    for member in TextMember::ALL.into_iter().filter(|member| member.is_plain()) {
        delta.string_if(member.as_str(), message.text(member.text()).map(|_| ""));
    }
}

/// Appends the last delta of a choice, with its finish reason.
pub(super) fn finish(choice: &CompletionChoice, page: &mut ChunkPage, out: &mut Vec<u8>) {
    let mut object = begin_choice(choice.index, page.is_alone, out);
    if !page.is_alone {
        object.raw(choice::DELTA, "{}");
    }
    page.text(choice::FINISH_REASON, choice.finish_reason.as_deref(), &mut object);
    object.end();
}

/// Appends a choice with a delta that `write` fills.
pub(super) fn write_choice(
    index: u64,
    is_alone: bool,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut ObjectWriter<'_>),
) {
    let mut choice = begin_choice(index, is_alone, out);
    choice.object(choice::DELTA, write);
    if !is_alone {
        choice.raw(choice::FINISH_REASON, "null");
    }
    choice.end();
}

/// Appends a tool call with a piece of its arguments, and with its other members if `is_begin`.
pub(super) fn write_call(
    position: usize,
    call: &ToolCall,
    piece: &str,
    is_begin: bool,
    page: &mut ChunkPage,
    out: &mut Vec<u8>,
) {
    let ToolCall { id, r#type, function, extra } = call;
    let mut object = ObjectWriter::begin(out);
    if page.has_index {
        object.number(tool_call::INDEX, position as u64);
    }
    if is_begin {
        page.text(tool_call::ID, Some(&**id).filter(|id| !id.is_empty()), &mut object);
        page.text(tool_call::TYPE, r#type.as_deref(), &mut object);
        if let Some(call) = function {
            object.object_if(tool_call::FUNCTION, !page.is_first, |function| {
                let piece = page.is_first.then_some(piece);
                begin_function(call, piece, Rule::At(Level::Function), page, function);
            });
        }
        let members = extra.iter().filter(|(name, _)| *name != tool_call::INDEX);
        page.members(Rule::At(Level::ToolCall), members, &mut object);
    } else if function.is_some() {
        object.object(tool_call::FUNCTION, |function| function.string(function::ARGUMENTS, piece));
    }
    object.end();
}

/// Writes the name, the first piece of the arguments, and other members within the page's budget.
fn begin_function(
    call: &FunctionCall,
    piece: Option<&str>,
    rule: Rule,
    page: &mut ChunkPage,
    function: &mut ObjectWriter<'_>,
) {
    page.text(function::NAME, Some(&call.name), function);
    function.string_if(function::ARGUMENTS, piece);
    page.members(rule, call.extra.iter(), function);
}
