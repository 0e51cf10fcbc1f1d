//! A chunk as others type it: structs that borrow, read by serde.

use std::borrow::Cow;

use serde::Deserialize;

use crate::Answer;

/// Reads a payload and adds what is in it.
pub type Parser = fn(&str, &mut Answer);

pub const PARSERS: [(&str, Parser); 2] = [
    ("serde_json", |data, answer| read(&serde_json::from_str(data).unwrap(), answer)),
    ("sonic-rs", |data, answer| read(&sonic_rs::from_str(data).unwrap(), answer)),
];

type Text<'a> = Option<Cow<'a, str>>;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
    created: Option<u64>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    #[serde(borrow)]
    system_fingerprint: Text<'a>,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(borrow)]
    refusal: Text<'a>,
    #[serde(borrow)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

pub fn len<'t>(texts: impl IntoIterator<Item = Option<&'t str>>) -> usize {
    texts.into_iter().map(|text| text.map_or(0, str::len)).sum()
}

pub fn sum(numbers: impl IntoIterator<Item = Option<u64>>) -> u64 {
    numbers.into_iter().flatten().sum()
}

fn lens<'t>(texts: impl IntoIterator<Item = &'t Text<'t>>) -> usize {
    len(texts.into_iter().map(Option::as_deref))
}

fn read(chunk: &Chunk<'_>, answer: &mut Answer) {
    let Chunk { id, object, model, service_tier, system_fingerprint, .. } = chunk;
    let mut bytes = lens([id, object, model, service_tier, system_fingerprint]);
    let mut numbers = chunk.created.unwrap_or(0);
    for choice in &chunk.choices {
        let Delta { role, content, refusal, reasoning, reasoning_content, .. } = &choice.delta;
        numbers += choice.index.unwrap_or(0);
        bytes +=
            lens([&choice.finish_reason, role, content, refusal, reasoning, reasoning_content]);
        for call in &choice.delta.tool_calls {
            numbers += call.index.unwrap_or(0);
            bytes += lens([&call.id, &call.r#type]);
            bytes += call
                .function
                .as_ref()
                .map_or(0, |function| lens([&function.name, &function.arguments]));
        }
    }
    if let Some(usage) = &chunk.usage {
        numbers += sum([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]);
    }
    *answer = (answer.0 + 1, answer.1 + bytes, answer.2 + numbers);
}
