//! `Reassembler`: folds the deltas of a stream into a `ChatCompletion`.

mod budget;
mod completion;
mod outcome;
mod rules;

pub use completion::{
    ChatCompletion, CompletionChoice, FunctionCall, Message, ReasoningName, ToolCall,
};
pub use outcome::{Finished, Outcome};

use crate::chunk::{ChatCompletionChunk, Choice, Delta, ToolCallDelta};
use crate::decoder::{End, Payload};
use crate::json::{JsonObject, Key, Value, ValueKind};
use crate::limits::Limits;
use budget::{Budget, CutPair};
use rules::Level;

/// Gathers the chunks of a stream into the completion that the provider would have answered
/// with, had it not streamed.
///
/// ```
/// use deltawire::{ChunkDecoder, Outcome, Reassembler};
///
/// let mut input = &br#"data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"He"}}]}
///
/// data: {"id":"c1","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":"stop"}]}
///
/// data: [DONE]
///
/// "#[..];
/// let mut decoder = ChunkDecoder::new();
/// let mut completion = Reassembler::new();
/// while let Some(event) = decoder.next(&mut input) {
///     completion.push_payload(&event.payload());
/// }
/// let finished = completion.finish(decoder.finish());
/// assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Hello"));
/// assert_eq!(finished.outcome, Outcome::Complete);
/// ```
///
/// A push costs the size of the delta; it allocates only when a text that is kept has to grow.
#[derive(Clone, Debug)]
pub struct Reassembler {
    completion: ChatCompletion,
    /// What is known of each choice besides, in the order of `completion.choices`.
    states: Vec<ChoiceState>,
    usage_from: UsageFrom,
    budget: Budget,
}

#[derive(Clone, Debug, Default)]
struct ChoiceState {
    /// What is known of the tool calls, in the order of the message's `tool_calls`.
    calls: Vec<CallState>,
    /// The call that the last delta went on with.
    last_call: usize,
    content: CutPair,
    refusal: CutPair,
    reasoning: CutPair,
    function_call: CutPair,
}

#[derive(Clone, Debug, Default)]
struct CallState {
    index: Option<u64>,
    arguments: CutPair,
}

/// Which member the usage came from: `usage` itself outranks its substitutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UsageFrom {
    #[default]
    Substitute,
    Usage,
}

/// What one more choice or tool call costs besides its texts, for the bound on memory.
const PART_COST: usize = 512;

/// Longest id of a tool call: ids are compared with each other.
const LONGEST_ID: usize = 1024;

impl Default for Reassembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Reassembler {
    /// A reassembler without anything yet, with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// A reassembler without anything yet.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            completion: ChatCompletion::default(),
            states: Vec::new(),
            usage_from: UsageFrom::default(),
            budget: Budget::new(limits),
        }
    }

    /// Adds the chunk of a payload, if it has one, be it beside an error.
    pub fn push_payload(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::Chunk(chunk) => self.push(chunk),
            Payload::Error(error) => {
                if let Some(chunk) = error.chunk() {
                    self.push(&chunk);
                }
            }
            _ => {}
        }
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &ChatCompletionChunk<'_>) {
        let Self { completion, budget, .. } = self;
        budget.first(&mut completion.id, chunk.id());
        budget.first(&mut completion.model, chunk.model());
        budget.last(&mut completion.service_tier, chunk.service_tier());
        budget.last(&mut completion.system_fingerprint, chunk.system_fingerprint());
        if completion.created.unwrap_or(0) == 0 {
            completion.created = chunk.created().or(completion.created);
        }
        for (name, value) in chunk.extra() {
            budget.keep(&mut completion.extra, Level::Top, name, value);
        }
        if let Some(x_groq) = chunk.x_groq() {
            budget.keep(&mut completion.extra, Level::Top, "x_groq", x_groq);
        }
        self.push_usage(chunk);
        for choice in chunk.choices() {
            self.push_choice(&choice);
        }
    }

    /// What has been gathered so far.
    #[must_use]
    pub const fn snapshot(&self) -> &ChatCompletion {
        &self.completion
    }

    /// Whether something was left out since it would go over [`Limits`]. What was gathered
    /// before it stays.
    #[must_use]
    pub const fn limit_exceeded(&self) -> bool {
        self.budget.room.is_full()
    }

    /// The completion, and how the stream ended by what the decoder and the chunks say.
    #[must_use]
    pub fn finish(self, end: End) -> Finished {
        let outcome = outcome::judge(&self.completion, &end);
        let limit_exceeded = self.limit_exceeded();
        Finished { completion: self.completion, outcome, limit_exceeded, end }
    }

    fn push_usage(&mut self, chunk: &ChatCompletionChunk<'_>) {
        let Some(usage) = chunk.usage() else { return };
        let from = if chunk.get("usage").is_some_and(|usage| usage.kind() == ValueKind::Object) {
            UsageFrom::Usage
        } else {
            UsageFrom::Substitute
        };
        if self.usage_from == UsageFrom::Usage && from == UsageFrom::Substitute {
            return;
        }
        self.usage_from = from;
        let kept = self.completion.usage.get_or_insert_default();
        for (name, value) in usage.as_value().members() {
            self.budget.keep(kept, Level::Usage, name, value);
        }
    }

    fn push_choice(&mut self, choice: &Choice<'_>) {
        let Some(at) = self.choice_at(choice.index().unwrap_or(0)) else { return };
        let Self { completion, states, budget, .. } = self;
        let (Some(kept), Some(state)) = (completion.choices.get_mut(at), states.get_mut(at)) else {
            return;
        };
        budget.last(&mut kept.finish_reason, choice.finish_reason());
        if let Some(logprobs) = choice.logprobs() {
            push_logprobs(kept, logprobs.as_value(), budget);
        }
        for (name, value) in choice.extra() {
            budget.keep(&mut kept.extra, Level::Choice, name, value);
        }
        push_delta(&mut kept.message, state, &choice.delta(), budget);
        if let Some(message) = choice.message() {
            push_snapshot(&mut kept.message, &choice.delta(), message, budget);
        }
    }

    /// The position of the choice with this index. An index is a key: an unknown one makes one
    /// more choice, whatever its number.
    fn choice_at(&mut self, index: u64) -> Option<usize> {
        let choices = &mut self.completion.choices;
        let at = choices.partition_point(|choice| choice.index < index);
        if choices.get(at).is_none_or(|choice| choice.index != index) {
            if choices.len() >= self.budget.limits.choices {
                self.budget.room.leave_out();
            }
            if !self.budget.room.take(PART_COST) {
                return None;
            }
            choices.insert(at, CompletionChoice { index, ..CompletionChoice::default() });
            self.states.insert(at, ChoiceState::default());
        }
        Some(at)
    }
}

/// Appends the lists of tokens; the legacy form has lists too, under other names.
fn push_logprobs(choice: &mut CompletionChoice, logprobs: Value<'_>, budget: &mut Budget) {
    let kept = choice.logprobs.get_or_insert_default();
    for (name, value) in logprobs.members() {
        let entries = value.elements().count();
        budget.logprobs += entries;
        if budget.logprobs > budget.limits.logprob_entries {
            budget.room.leave_out();
        }
        kept.append(name, value, &mut budget.room);
    }
}

fn push_delta(
    message: &mut Message,
    state: &mut ChoiceState,
    delta: &Delta<'_>,
    budget: &mut Budget,
) {
    budget.first(&mut message.role, delta.role());
    if let Some(text) = delta.content() {
        let kept = message.content.get_or_insert_default();
        budget.join(kept, &mut state.content, text, || delta.get("content"));
    } else if let Some(parts) = delta.content_parts() {
        for part in parts {
            push_part(message, part, budget);
        }
    }
    if let Some(text) = delta.refusal() {
        let kept = message.refusal.get_or_insert_default();
        budget.join(kept, &mut state.refusal, text, || delta.get("refusal"));
    }
    push_reasoning(message, &mut state.reasoning, delta, budget);
    for call in delta.tool_calls() {
        push_call(message, state, &call, budget);
    }
    if let Some(call) = delta.function_call() {
        let kept = message.function_call.get_or_insert_default();
        push_name(kept, call.name().unwrap_or_default(), budget);
        let text = call.arguments().unwrap_or_default();
        let value = || call.as_value().get("arguments");
        budget.join(&mut kept.arguments, &mut state.function_call, text, value);
    }
    if let Some(audio) = delta.audio() {
        push_audio(message.audio.get_or_insert_default(), audio.as_value(), budget);
    }
    for (name, value) in delta.extra() {
        budget.keep(&mut message.extra, Level::Delta, name, value);
    }
}

/// One of Mistral's parts of a content: text, thinking, or a reference.
fn push_part(message: &mut Message, part: Value<'_>, budget: &mut Budget) {
    if let Some(text) = part.get("text").and_then(|text| text.as_str()) {
        budget.concat(&mut message.content, text);
    } else if let Some(thinking) = part.get("thinking") {
        if let Some(text) = thinking.as_str() {
            budget.concat(&mut message.reasoning, text);
        }
        for text in thinking.elements().filter_map(|part| part.get("text")) {
            budget.concat(&mut message.reasoning, text.as_str().unwrap_or_default());
        }
    } else if let Some(ids) = part.get("reference_ids") {
        message.extra.append("reference_ids", ids, &mut budget.room);
    }
}

/// Reasoning, which some servers send under two names at once.
fn push_reasoning(
    message: &mut Message,
    cut: &mut CutPair,
    delta: &Delta<'_>,
    budget: &mut Budget,
) {
    let named = [
        (delta.reasoning_content(), ReasoningName::ReasoningContent),
        (delta.reasoning(), ReasoningName::Reasoning),
    ];
    let mirrored = delta.reasoning_content() == delta.reasoning();
    for (text, name) in named.into_iter().take(if mirrored { 1 } else { 2 }) {
        let Some(text) = text else { continue };
        if message.reasoning.as_deref().unwrap_or_default().is_empty() {
            message.reasoning_name = name;
        }
        let kept = message.reasoning.get_or_insert_default();
        budget.join(kept, cut, text, || delta.get(name.as_str()));
    }
    let Some(details) = delta.reasoning_details() else { return };
    for detail in details.elements() {
        let key = Key::of(detail, true);
        let Some(kept) = message.reasoning_details.element(key, &mut budget.room) else { return };
        for (name, value) in detail.members() {
            budget.keep(kept, Level::ReasoningDetail, name, value);
        }
    }
}

fn push_audio(kept: &mut JsonObject, audio: Value<'_>, budget: &mut Budget) {
    for (name, value) in audio.members() {
        budget.keep(kept, Level::Audio, name, value);
    }
}

/// Adds to the call that the delta goes on with, or begins another one.
fn push_call(
    message: &mut Message,
    state: &mut ChoiceState,
    delta: &ToolCallDelta<'_>,
    budget: &mut Budget,
) {
    let Some(at) = call_at(message, state, delta, budget) else { return };
    let (Some(call), Some(known)) = (message.tool_calls.get_mut(at), state.calls.get_mut(at))
    else {
        return;
    };
    state.last_call = at;
    if let Some(id) = delta.id().filter(|_| call.id.is_empty()) {
        if id.len() > LONGEST_ID {
            budget.room.leave_out();
        }
        budget.push_str(&mut call.id, id);
    }
    budget.first(&mut call.r#type, delta.r#type());
    if delta.name().is_some() || delta.arguments().is_some() || delta.arguments_object().is_some() {
        let function = call.function.get_or_insert_default();
        push_name(function, delta.name().unwrap_or_default(), budget);
        if let Some(arguments) = delta.arguments() {
            let value = || delta.get("function")?.get("arguments");
            budget.join(&mut function.arguments, &mut known.arguments, arguments, value);
        } else if let Some(arguments) = delta.arguments_object() {
            // The whole, again: it replaces what came before.
            budget.room.give_back(function.arguments.len());
            function.arguments.clear();
            budget.push_str(&mut function.arguments, arguments.raw());
        }
    }
    for (name, value) in delta.extra() {
        budget.keep(&mut call.extra, Level::ToolCall, name, value);
    }
}

/// Which call a delta belongs to.
///
/// | index | id | goes on with |
/// |---|---|---|
/// | known | none, "" or the call's own | the latest call of that index |
/// | known | another one, and a name | a new call: some bridges send all calls as index 0 |
/// | known | another one, without a name | the latest call of that index: some servers make up an id for each delta |
/// | new | any | a new call |
/// | absent | known | that call |
/// | absent | new | a new call |
/// | absent | none | the call of the delta before |
fn call_at(
    message: &mut Message,
    state: &mut ChoiceState,
    delta: &ToolCallDelta<'_>,
    budget: &mut Budget,
) -> Option<usize> {
    let id = delta.id().unwrap_or_default();
    let has_name = delta.name().is_some_and(|name| !name.is_empty());
    let calls = &message.tool_calls;
    let known = match delta.index() {
        Some(index) => {
            state.calls.iter().rposition(|kept| kept.index == Some(index)).filter(|at| {
                let kept = calls.get(*at).map_or("", |call| call.id.as_str());
                id.is_empty() || kept.is_empty() || kept == id || !has_name
            })
        }
        None if id.is_empty() => (!calls.is_empty() && !has_name).then_some(state.last_call),
        None => calls.iter().rposition(|call| call.id == id),
    };
    if known.is_some() {
        return known;
    }
    if calls.len() >= budget.limits.tool_calls {
        budget.room.leave_out();
    }
    if !budget.room.take(PART_COST) {
        return None;
    }
    let index = delta.index();
    let at = match index {
        Some(_) => {
            state.calls.iter().rposition(|kept| kept.index <= index).map_or(0, |last| last + 1)
        }
        None => calls.len(),
    };
    message.tool_calls.insert(at, ToolCall::default());
    state.calls.insert(at, CallState { index, ..CallState::default() });
    Some(at)
}

/// A name comes whole, and may come again; only one that is cut before any argument is joined.
fn push_name(function: &mut FunctionCall, name: &str, budget: &mut Budget) {
    if function.name != name && (function.name.is_empty() || function.arguments.is_empty()) {
        budget.push_str(&mut function.name, name);
    }
}

/// Some servers send the whole message so far instead of a delta, or besides it.
fn push_snapshot(message: &mut Message, delta: &Delta<'_>, whole: Value<'_>, budget: &mut Budget) {
    let has_delta = delta.as_value().is_some_and(|delta| delta.members().next().is_some());
    if has_delta || whole.kind() != ValueKind::Object {
        return;
    }
    if let Some(role) = whole.get("role") {
        budget.first(&mut message.role, role.as_str());
    }
    if let Some(content) = whole.get("content").and_then(|content| content.as_str()) {
        let kept = message.content.get_or_insert_default();
        if let Some(more) = content.strip_prefix(kept.as_str()) {
            budget.push_str(kept, more);
        }
    }
}
