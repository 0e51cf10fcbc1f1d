//! Completions as others put them together: owned strings that each delta is pushed to.

use async_openai::types::chat::{CreateChatCompletionStreamResponse, FinishReason, Role};
use stream_rs::accumulators::openai::OpenAiAccumulator;

use crate::typed::{Chunk, Content, Delta, PARSERS, Part, Usage, text};
use crate::workloads::{Choice, Expected};

/// Accumulates the data of events.
pub trait Accumulate: Default {
    const NAME: &'static str;
    /// The name of the pipeline that it is the end of.
    const WITH_SSE_CORE: &'static str;
    /// True if it has a field for reasoning.
    const HEARS_REASONING: bool;

    fn push(&mut self, data: &str);

    /// Returns the accumulated contents.
    fn said(&self) -> Expected;

    /// Returns the bytes allocated for contents.
    fn text(&mut self) -> usize;
}

/// The borrowed structs read by the parser at this place of [`PARSERS`], and a plain fold.
#[derive(Default)]
pub struct Borrowed<const PARSER: usize>(Plain);

pub type SerdeJson = Borrowed<0>;
pub type SonicRs = Borrowed<1>;
pub type SimdJson = Borrowed<2>;

impl<const PARSER: usize> Accumulate for Borrowed<PARSER> {
    const NAME: &'static str = PARSERS[PARSER].0;
    const WITH_SSE_CORE: &'static str =
        ["peer/sse-core+serde_json", "peer/sse-core+sonic-rs", "peer/sse-core+simd-json"][PARSER];
    const HEARS_REASONING: bool = true;

    fn push(&mut self, data: &str) {
        if data != "[DONE]" {
            PARSERS[PARSER].1(data, &mut |chunk| self.0.push(chunk));
        }
    }

    fn said(&self) -> Expected {
        let choices = self.0.choices.iter().map(|choice| Choice {
            content: choice.content.clone(),
            reasoning: choice.reasoning.clone(),
            calls: choice.calls.iter().map(PlainCall::said).collect(),
            logprobs: 0,
            finish_reason: choice.finish_reason.clone(),
        });
        Expected {
            chunks: self.0.chunks,
            comments: 0,
            choices: choices.collect(),
            total_tokens: self.0.usage.and_then(|usage| usage.total_tokens),
        }
    }

    fn text(&mut self) -> usize {
        self.0.choices.iter().map(|choice| choice.content.capacity()).sum()
    }
}

/// All that the structs have, in owned strings.
#[derive(Default)]
struct Plain {
    chunks: usize,
    id: String,
    object: String,
    model: String,
    service_tier: String,
    system_fingerprint: String,
    created: u64,
    choices: Vec<PlainChoice>,
    usage: Option<Usage>,
}

#[derive(Default)]
struct PlainChoice {
    role: String,
    content: String,
    refusal: String,
    reasoning: String,
    calls: Vec<PlainCall>,
    finish_reason: String,
}

#[derive(Default)]
struct PlainCall {
    index: u64,
    id: String,
    r#type: String,
    name: String,
    arguments: String,
}

/// Keeps the first text that isn't empty.
fn first(kept: &mut String, new: Option<&str>) {
    if kept.is_empty() {
        kept.push_str(new.unwrap_or_default());
    }
}

impl Plain {
    fn push(&mut self, chunk: &Chunk<'_>) {
        if chunk.error.is_some() && chunk.choices.is_none() {
            return;
        }
        self.chunks += 1;
        first(&mut self.id, text(&chunk.id));
        first(&mut self.object, text(&chunk.object));
        first(&mut self.model, text(&chunk.model));
        first(&mut self.service_tier, text(&chunk.service_tier));
        first(&mut self.system_fingerprint, text(&chunk.system_fingerprint));
        if self.created == 0 {
            self.created = chunk.created.unwrap_or(0);
        }
        let usage = chunk.usage.or_else(|| chunk.x_groq.as_ref()?.usage);
        self.usage = usage.or(self.usage);
        for choice in chunk.choices.iter().flatten() {
            let index = usize::try_from(choice.index.unwrap_or(0)).unwrap();
            if self.choices.len() <= index {
                self.choices.resize_with(index + 1, PlainChoice::default);
            }
            let kept = &mut self.choices[index];
            kept.push(&choice.delta);
            if let Some(reason) = text(&choice.finish_reason) {
                reason.clone_into(&mut kept.finish_reason);
            }
        }
    }
}

impl PlainChoice {
    fn push(&mut self, delta: &Delta<'_>) {
        first(&mut self.role, text(&delta.role));
        match &delta.content {
            Some(Content::Text(text)) => self.content.push_str(text),
            Some(Content::Parts(parts)) => self.push_parts(parts),
            None => {}
        }
        self.refusal.push_str(text(&delta.refusal).unwrap_or_default());
        let reasoning = text(&delta.reasoning_content);
        let mirrored = text(&delta.reasoning).filter(|text| Some(*text) != reasoning);
        self.reasoning.push_str(reasoning.unwrap_or_default());
        self.reasoning.push_str(mirrored.unwrap_or_default());
        for call in delta.tool_calls.iter().flatten() {
            let index = call.index.unwrap_or(0);
            let id = text(&call.id).unwrap_or_default();
            let known = self.calls.iter().rposition(|call| call.index == index);
            // Another id at the same index is another call.
            let known = known.filter(|at| id.is_empty() || self.calls[*at].id == id);
            let at = known.unwrap_or_else(|| {
                self.calls.push(PlainCall { index, ..PlainCall::default() });
                self.calls.len() - 1
            });
            let kept = &mut self.calls[at];
            first(&mut kept.id, Some(id));
            first(&mut kept.r#type, text(&call.r#type));
            if let Some(function) = &call.function {
                first(&mut kept.name, text(&function.name));
                kept.arguments.push_str(text(&function.arguments).unwrap_or_default());
            }
        }
    }
}

impl PlainChoice {
    #[cold]
    fn push_parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            self.content.push_str(text(&part.text).unwrap_or_default());
            for thought in part.thinking.iter().flatten() {
                self.reasoning.push_str(text(&thought.text).unwrap_or_default());
            }
        }
    }
}

impl PlainCall {
    fn said(&self) -> (String, String, String) {
        (self.id.clone(), self.name.clone(), self.arguments.clone())
    }
}

/// The types of async-openai, and the accumulator of stream-rs. They have no reasoning.
#[derive(Default)]
pub struct AsyncOpenAi {
    chunks: usize,
    completion: OpenAiAccumulator,
    total_tokens: Option<u64>,
}

impl Accumulate for AsyncOpenAi {
    const NAME: &'static str = "async-openai";
    const WITH_SSE_CORE: &'static str = "peer/sse-core+async-openai";
    const HEARS_REASONING: bool = false;

    fn push(&mut self, data: &str) {
        if data == "[DONE]" {
            return;
        }
        let Ok(chunk) = serde_json::from_str::<CreateChatCompletionStreamResponse>(data) else {
            return;
        };
        self.chunks += 1;
        if let Some(usage) = &chunk.usage {
            self.total_tokens = Some(usage.total_tokens.into());
        }
        for choice in &chunk.choices {
            let (index, delta) = (choice.index as usize, &choice.delta);
            if let Some(role) = delta.role {
                self.completion.push_role(index, role_name(role));
            }
            if let Some(content) = &delta.content {
                self.completion.push_content(index, content);
            }
            for call in delta.tool_calls.iter().flatten() {
                let function = call.function.as_ref();
                self.completion.push_tool_call(
                    index,
                    call.index as usize,
                    call.id.as_deref(),
                    function.and_then(|function| function.name.as_deref()),
                    function.and_then(|function| function.arguments.as_deref()),
                );
            }
            if let Some(reason) = choice.finish_reason {
                self.completion.set_finish_reason(index, reason_name(reason));
            }
        }
    }

    fn said(&self) -> Expected {
        let choices = self.completion.choices().map(|(_, choice)| {
            let calls = choice.tool_calls.values().map(|call| {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                (text(&call.id), text(&call.name), call.arguments.clone())
            });
            Choice {
                content: choice.content.clone(),
                calls: calls.collect(),
                finish_reason: choice.finish_reason.clone().unwrap_or_default(),
                ..Choice::default()
            }
        });
        Expected {
            chunks: self.chunks,
            comments: 0,
            choices: choices.collect(),
            total_tokens: self.total_tokens,
        }
    }

    fn text(&mut self) -> usize {
        self.completion.choices().map(|(_, choice)| choice.content.capacity()).sum()
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Developer => "developer",
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Function => "function",
    }
}

const fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::FunctionCall => "function_call",
    }
}
