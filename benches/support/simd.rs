//! The typed chunk of a payload that simd-json has read: its tape, and the same fields from it.

use std::cell::RefCell;

use simd_json::prelude::{ValueAsScalar, ValueIntoString};
use simd_json::tape::Value;
use simd_json::{Buffers, Tape};

use crate::typed::{Choice, Chunk, Content, Delta, Function, Part, Text, ToolCall, Usage, XGroq};

/// The buffers of simd-json, and the copy of the payload that it writes to.
struct Reader {
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Vec<Tape<'static>>,
}

thread_local! {
    static READER: RefCell<Reader> =
        RefCell::new(Reader { copy: Vec::new(), buffers: Buffers::new(4096), tape: Vec::new() });
}

/// Reads a payload onto the tape of this thread, and passes the tape on if it is JSON.
///
/// All buffers are reused.
pub fn read_tape(data: &[u8], read: &mut dyn FnMut(&Tape<'_>)) {
    READER.with_borrow_mut(|reader| {
        let Reader { copy, buffers, tape: kept } = reader;
        copy.clear();
        copy.extend_from_slice(data);
        let mut tape = kept.pop().unwrap_or(Tape(Vec::new())).reset();
        if simd_json::fill_tape(copy, buffers, &mut tape).is_ok() {
            read(&tape);
        }
        kept.push(tape.reset());
    });
}

/// Reads a payload and passes its chunk on, if it is one.
pub fn read_chunk(data: &str, take: &mut dyn FnMut(&Chunk<'_>)) {
    read_tape(data.as_bytes(), &mut |tape| {
        if let Some(chunk) = chunk(tape.as_value()) {
            take(&chunk);
        }
    });
}

fn text<'i>(value: Value<'_, 'i>) -> Option<Text<'i>> {
    value.into_string().map(|text| Text(text.into()))
}

fn list<'t, 'i, T>(
    value: Value<'t, 'i>,
    element: impl Fn(Value<'t, 'i>) -> Option<T>,
) -> Option<Vec<T>> {
    value.as_array()?.iter().map(element).collect()
}

/// Returns the members of an object; none of another value.
fn members<'t, 'i>(value: Value<'t, 'i>) -> impl Iterator<Item = (&'i str, Value<'t, 'i>)> {
    value.as_object().into_iter().flat_map(|object| object.iter())
}

fn chunk<'i>(value: Value<'_, 'i>) -> Option<Chunk<'i>> {
    let mut chunk = Chunk::default();
    for (name, value) in &value.as_object()? {
        match name {
            "id" => chunk.id = text(value),
            "object" => chunk.object = text(value),
            "created" => chunk.created = value.as_u64(),
            "model" => chunk.model = text(value),
            "service_tier" => chunk.service_tier = text(value),
            "system_fingerprint" => chunk.system_fingerprint = text(value),
            "choices" => chunk.choices = list(value, choice),
            "usage" => chunk.usage = usage(value),
            "x_groq" => {
                let found = members(value).find(|(name, _)| *name == "usage");
                chunk.x_groq = Some(XGroq { usage: found.and_then(|(_, value)| usage(value)) });
            }
            "error" if value.as_null().is_none() => chunk.error = Some(serde::de::IgnoredAny),
            _ => {}
        }
    }
    Some(chunk)
}

fn usage(value: Value<'_, '_>) -> Option<Usage> {
    let mut usage = Usage { prompt_tokens: None, completion_tokens: None, total_tokens: None };
    for (name, value) in &value.as_object()? {
        match name {
            "prompt_tokens" => usage.prompt_tokens = value.as_u64(),
            "completion_tokens" => usage.completion_tokens = value.as_u64(),
            "total_tokens" => usage.total_tokens = value.as_u64(),
            _ => {}
        }
    }
    Some(usage)
}

fn choice<'i>(value: Value<'_, 'i>) -> Option<Choice<'i>> {
    let mut choice = Choice::default();
    for (name, value) in &value.as_object()? {
        match name {
            "index" => choice.index = value.as_u64(),
            "delta" => choice.delta = delta(value),
            "finish_reason" => choice.finish_reason = text(value),
            _ => {}
        }
    }
    Some(choice)
}

fn delta<'i>(value: Value<'_, 'i>) -> Delta<'i> {
    let mut delta = Delta::default();
    for (name, value) in members(value) {
        match name {
            "role" => delta.role = text(value),
            "content" => {
                let parts = || list(value, part).map(Content::Parts);
                delta.content = text(value).map(|text| Content::Text(text.0)).or_else(parts);
            }
            "refusal" => delta.refusal = text(value),
            "reasoning" => delta.reasoning = text(value),
            "reasoning_content" => delta.reasoning_content = text(value),
            "tool_calls" => delta.tool_calls = list(value, call),
            _ => {}
        }
    }
    delta
}

fn part<'i>(value: Value<'_, 'i>) -> Option<Part<'i>> {
    let mut part = Part { text: None, thinking: None };
    for (name, value) in &value.as_object()? {
        match name {
            "text" => part.text = text(value),
            "thinking" => part.thinking = list(value, self::part),
            _ => {}
        }
    }
    Some(part)
}

fn call<'i>(value: Value<'_, 'i>) -> Option<ToolCall<'i>> {
    let mut call = ToolCall::default();
    for (name, value) in &value.as_object()? {
        match name {
            "index" => call.index = value.as_u64(),
            "id" => call.id = text(value),
            "type" => call.r#type = text(value),
            "function" => {
                let mut function = Function { name: None, arguments: None };
                for (name, value) in members(value) {
                    match name {
                        "name" => function.name = text(value),
                        "arguments" => function.arguments = text(value),
                        _ => {}
                    }
                }
                call.function = Some(function);
            }
            _ => {}
        }
    }
    Some(call)
}
