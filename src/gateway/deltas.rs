//! Deltas of choices: the first one, pieces of texts, tool calls, and the last one.

use super::chunk_page::{ChunkPage, Rule};
use super::json_write::ObjectWriter;
use crate::chunk::{Level, Merge};
use crate::completion::{CompletionChoice, FunctionCall, Message, ToolCall};

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

/// Returns the `nth` text of a message, empty if it is absent; `None` after the last one.
pub(super) fn text_of(message: &Message, nth: usize) -> Option<(DeltaText<'_>, &str)> {
    let Message { content, refusal, reasoning, reasoning_name, tool_calls, function_call, .. } =
        message;
    let (part, text) = match nth {
        0 => (DeltaText::Text(reasoning_name.as_str()), reasoning.as_deref()),
        1 => (DeltaText::Text("content"), content.as_deref()),
        2 => (DeltaText::Text("refusal"), refusal.as_deref()),
        3 => (DeltaText::Function, function_call.as_ref().map(|call| call.arguments.as_str())),
        _ => {
            let call = tool_calls.get(nth - 4)?;
            let arguments = call.function.as_ref().map(|function| function.arguments.as_str());
            (DeltaText::Call(nth - 4, call), arguments)
        }
    };
    Some((part, text.unwrap_or_default()))
}

/// Returns the length of a text's first piece: at most `most` bytes, but at least one character.
pub(super) fn piece_len(text: &str, most: usize) -> usize {
    let down = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    match down {
        Some(0) | None => text.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
    }
}

/// Appends the first delta of a choice, or a further one with the members that had no room in it.
///
/// The first delta contains all members of the choice except its tool calls, the pieces of its
/// texts and its finish reason.
pub(super) fn begin(choice: &CompletionChoice, portion: &mut ChunkPage, out: &mut Vec<u8>) {
    let CompletionChoice { index, message, logprobs, extra, .. } = choice;
    let start = out.len();
    let (before, is_alone, is_first) = (portion.parts(), portion.is_alone, portion.is_first);
    let mut object = ObjectWriter::begin(out);
    // An absent index is 0.
    if !is_alone || *index != 0 {
        object.number("index", *index);
    }
    object.nested("delta", is_alone, |delta| {
        if let Some(role) = &message.role {
            portion.text("role", role, delta);
        }
        if is_first {
            begin_texts(message, delta);
        }
        if let Some(call) = &message.function_call {
            delta.nested("function_call", !is_first, |function| {
                begin_function(
                    call,
                    is_first.then_some(""),
                    Rule::All(Merge::KeepFirst),
                    portion,
                    function,
                );
            });
        }
        portion.details("reasoning_details", &message.reasoning_details, delta);
        if let Some(audio) = &message.audio {
            portion.inside("audio", audio, Rule::At(Level::Audio), delta);
        }
        let members = message.extra.iter().filter(|(name, _)| *name != "reasoning");
        portion.members(Rule::At(Level::Delta), members, delta);
    });
    if !is_alone {
        object.raw("finish_reason", "null");
    }
    if let Some(logprobs) = logprobs {
        portion.inside("logprobs", logprobs, Rule::All(Merge::Extend), &mut object);
    }
    let members = extra.iter().filter(|(name, _)| *name != "delta");
    portion.members(Rule::At(Level::Choice), members, &mut object);
    object.end();
    if is_alone && portion.parts() == before {
        out.truncate(start);
    }
}

/// Writes the texts of the first delta of a choice: empty strings, and `null` for absent content.
fn begin_texts(message: &Message, delta: &mut ObjectWriter<'_>) {
    match message.content {
        Some(_) => delta.string("content", ""),
        None => delta.raw("content", "null"),
    }
    if message.reasoning.is_some() {
        delta.string(message.reasoning_name.as_str(), "");
    }
    if message.refusal.is_some() {
        delta.string("refusal", "");
    }
}

/// Appends the last delta of a choice.
pub(super) fn finish(choice: &CompletionChoice, portion: &mut ChunkPage, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    if !portion.is_alone || choice.index != 0 {
        object.number("index", choice.index);
    }
    if !portion.is_alone {
        object.raw("delta", "{}");
    }
    portion.text("finish_reason", choice.finish_reason.as_deref().unwrap_or_default(), &mut object);
    object.end();
}

/// Appends a choice with a delta that `write` fills.
pub(super) fn with_delta(
    index: u64,
    is_alone: bool,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut ObjectWriter<'_>),
) {
    let mut choice = ObjectWriter::begin(out);
    if !is_alone || index != 0 {
        choice.number("index", index);
    }
    let mut delta = ObjectWriter::begin(choice.name("delta"));
    write(&mut delta);
    delta.end();
    if !is_alone {
        choice.raw("finish_reason", "null");
    }
    choice.end();
}

/// Appends a delta with a piece of a text. `begins` is true in the first delta of a tool call.
pub(super) fn delta(
    index: u64,
    part: DeltaText<'_>,
    (piece, begins): (&str, bool),
    portion: &mut ChunkPage,
    out: &mut Vec<u8>,
) {
    with_delta(index, portion.is_alone, out, |delta| match part {
        DeltaText::Text(name) => delta.string(name, piece),
        DeltaText::Function => {
            let mut function = ObjectWriter::begin(delta.name("function_call"));
            function.string("arguments", piece);
            function.end();
        }
        DeltaText::Call(at, call) => {
            let calls = delta.name("tool_calls");
            calls.push(b'[');
            write_call(at, call, (piece, begins), portion, calls);
            calls.push(b']');
        }
    });
}

pub(super) fn write_call(
    at: usize,
    call: &ToolCall,
    (piece, begins): (&str, bool),
    portion: &mut ChunkPage,
    out: &mut Vec<u8>,
) {
    let ToolCall { id, r#type, function, extra } = call;
    let mut object = ObjectWriter::begin(out);
    if portion.has_index {
        object.number("index", at as u64);
    }
    if !begins {
        if function.is_some() {
            let mut function = ObjectWriter::begin(object.name("function"));
            function.string("arguments", piece);
            function.end();
        }
        object.end();
        return;
    }
    if !id.is_empty() {
        portion.text("id", id, &mut object);
    }
    if let Some(r#type) = r#type {
        portion.text("type", r#type, &mut object);
    }
    if let Some(call) = function {
        object.nested("function", !portion.is_first, |function| {
            let piece = portion.is_first.then_some(piece);
            begin_function(call, piece, Rule::At(Level::Function), portion, function);
        });
    }
    let members = extra.iter().filter(|(name, _)| *name != "index");
    portion.members(Rule::At(Level::ToolCall), members, &mut object);
    object.end();
}

/// Writes the name, the first piece of the arguments, and other members, as far as they have room.
fn begin_function(
    call: &FunctionCall,
    piece: Option<&str>,
    rule: Rule,
    portion: &mut ChunkPage,
    function: &mut ObjectWriter<'_>,
) {
    portion.text("name", &call.name, function);
    if let Some(piece) = piece {
        function.string("arguments", piece);
    }
    portion.members(rule, call.extra.iter(), function);
}
