//! A delta to its message: texts, parts, reasoning, audio, and whole messages sent instead.

use super::ChoiceState;
use super::budget::Budget;
use super::call::{push_call, push_name, push_whole_call};
use super::change::{Change, Changes};
use super::completion::{Message, ReasoningName};
use super::rules::Level;
use crate::chunk::{ContentPart, Delta};
use crate::json::{Key, Value, ValueKind};

/// What a delta is added to: the message, what is known of it besides, and where changes go.
pub(super) struct Target<'t> {
    /// Position of the choice.
    pub(super) choice: usize,
    pub(super) message: &'t mut Message,
    pub(super) state: &'t mut ChoiceState,
    pub(super) budget: &'t mut Budget,
    pub(super) changes: &'t mut Changes,
}

pub(super) fn push_delta(target: &mut Target<'_>, delta: &Delta<'_>) {
    for part in delta.content_parts().into_iter().flatten() {
        push_part(target, part);
    }
    target.budget.first(&mut target.message.role, || delta.role());
    push_texts(target, delta);
    if delta.is_content() {
        return;
    }
    if delta.has_reasoning() {
        push_reasoning(target, delta);
    }
    let Target { message, state, budget, .. } = target;
    if let Some(call) = delta.function_call() {
        let kept = message.function_call.get_or_insert_default();
        push_name(kept, call.name().unwrap_or_default(), budget);
        let value = || call.as_value().get("arguments");
        if let Some(text) = call.arguments() {
            budget.join(&mut kept.arguments, &mut state.function_call, text, value);
        } else if let Some(object) = value().filter(|value| value.kind() == ValueKind::Object) {
            budget.set_json(&mut kept.arguments, &mut state.function_call, object);
        }
    }
    if let Some(audio) = delta.audio() {
        let kept = message.audio.get_or_insert_default();
        for (name, value) in audio.as_value().members() {
            budget.keep(kept, Level::Audio, name, value);
        }
    }
    for (name, value) in delta.extra() {
        budget.keep(&mut message.extra, Level::Delta, name, value);
    }
    for call in delta.tool_calls() {
        push_call(target, &call);
    }
}

/// A part of a content that is a list.
fn push_part(target: &mut Target<'_>, part: Value<'_>) {
    let Target { choice, message, state, budget, changes } = target;
    let choice = *choice;
    match ContentPart::of(part) {
        ContentPart::Text(value) => {
            let kept = budget.text(&mut message.content);
            let text = value.as_str().unwrap_or_default();
            let start = budget.join(kept, &mut state.content, text, || Some(value));
            changes.extend(start.map(|start| Change::Content { choice, start }));
        }
        ContentPart::Thinking(thinking) => {
            let parts = thinking.elements().filter_map(|part| part.get("text"));
            for value in core::iter::once(thinking).chain(parts) {
                let Some(text) = value.as_str() else { continue };
                let kept = budget.text(&mut message.reasoning);
                let start = budget.join(kept, &mut state.reasoning, text, || Some(value));
                changes.extend(start.map(|start| Change::Reasoning { choice, start }));
            }
            for name in ["signature", "closed"] {
                if let Some(value) = part.get(name) {
                    message.extra.last(name, value, &mut budget.room);
                }
            }
        }
        ContentPart::Reference(ids) => {
            message.extra.append("reference_ids", ids, &mut budget.room);
        }
        ContentPart::Refusal(value) => {
            let kept = budget.text(&mut message.refusal);
            let text = value.as_str().unwrap_or_default();
            let start = budget.join(kept, &mut state.refusal, text, || Some(value));
            changes.extend(start.map(|start| Change::Refusal { choice, start }));
        }
        ContentPart::Nothing => {}
        ContentPart::Unknown => {
            let count = &mut state.irregular.unknown_content_parts;
            *count = count.saturating_add(1);
        }
    }
}

/// The texts that are for the reader of the answer.
#[inline]
pub(super) fn push_texts(target: &mut Target<'_>, delta: &Delta<'_>) {
    if let Some(text) = delta.content() {
        push_content(target, text, || delta.get("content"));
    }
    let Target { choice, message, state, budget, changes } = target;
    let choice = *choice;
    if let Some(text) = delta.refusal() {
        let kept = budget.text(&mut message.refusal);
        let start = budget.join(kept, &mut state.refusal, text, || delta.get("refusal"));
        changes.extend(start.map(|start| Change::Refusal { choice, start }));
    }
}

/// `value` is what `text` was read from.
#[inline]
pub(super) fn push_content<'a>(
    target: &mut Target<'_>,
    text: &str,
    value: impl FnOnce() -> Option<Value<'a>>,
) {
    let Target { choice, message, state, budget, changes } = target;
    let kept = budget.text(&mut message.content);
    if let Some(start) = budget.join(kept, &mut state.content, text, value) {
        changes.push(Change::Content { choice: *choice, start });
    }
}

/// Reasoning, which some servers send under two names at once.
pub(super) fn push_reasoning(target: &mut Target<'_>, delta: &Delta<'_>) {
    let named = [
        (delta.reasoning_content(), ReasoningName::ReasoningContent),
        (delta.reasoning(), ReasoningName::Reasoning),
    ];
    let mirrored = delta.reasoning_content() == delta.reasoning();
    let mut first = None;
    for (text, name) in named.into_iter().take(if mirrored { 1 } else { 2 }) {
        if let Some(text) = text {
            first = first.or(push_reasoning_text(target, delta, (text, name)));
        }
    }
    let Target { choice, message, budget, changes, .. } = target;
    for detail in delta.reasoning_details().into_iter().flat_map(|details| details.elements()) {
        let key = Key::of(detail, true);
        let Some(kept) = message.reasoning_details.element(key, &mut budget.room) else { break };
        for (name, value) in detail.members() {
            budget.keep(kept, Level::ReasoningDetail, name, value);
        }
    }
    changes.extend(first.map(|start| Change::Reasoning { choice: *choice, start }));
}

/// Adds a reasoning text; gives where it begins.
pub(super) fn push_reasoning_text(
    target: &mut Target<'_>,
    delta: &Delta<'_>,
    (text, name): (&str, ReasoningName),
) -> Option<usize> {
    let Target { message, state, budget, .. } = target;
    let kept = budget.text(&mut message.reasoning);
    if kept.is_empty() {
        message.reasoning_name = name;
    }
    budget.join(kept, &mut state.reasoning, text, || delta.get(name.as_str()))
}

/// Some servers send the whole message so far instead of a delta, or besides it. It counts where
/// no text came by deltas, and its latest version does.
pub(super) fn push_snapshot(target: &mut Target<'_>, delta: &Delta<'_>, whole: Value<'_>) {
    let Target { choice, message, state, budget, changes } = target;
    let has_delta =
        delta.as_value().is_some_and(|delta| delta.members().any(|(_, value)| !value.is_nothing()));
    let is_empty =
        message.content.as_deref().unwrap_or_default().is_empty() && message.tool_calls.is_empty();
    if has_delta || whole.kind() != ValueKind::Object || !(is_empty || state.is_snapshot) {
        return;
    }
    state.is_snapshot = true;
    if let Some(role) = whole.get("role") {
        budget.first(&mut message.role, || role.as_str());
    }
    let choice = *choice;
    let text = |name| whole.get(name).and_then(|text| text.as_str());
    let start = set_whole(&mut message.content, text("content"), budget);
    changes.replace(start.map(|start| Change::Content { choice, start }));
    let start = set_whole(&mut message.refusal, text("refusal"), budget);
    changes.replace(start.map(|start| Change::Refusal { choice, start }));
    for name in [ReasoningName::ReasoningContent, ReasoningName::Reasoning] {
        let Some(text) = text(name.as_str()) else { continue };
        message.reasoning_name = name;
        let start = set_whole(&mut message.reasoning, Some(text), budget);
        changes.replace(start.map(|start| Change::Reasoning { choice, start }));
        break;
    }
    let calls = whole.get("tool_calls").into_iter().flat_map(|calls| calls.elements());
    for (at, call) in calls.enumerate() {
        push_whole_call(target, at, call);
    }
}

/// Takes over a text that comes whole: mostly it goes on with what is kept, and an empty one takes
/// nothing away. Gives where it is new.
fn set_whole(kept: &mut Option<String>, whole: Option<&str>, budget: &mut Budget) -> Option<usize> {
    let whole = whole?;
    let kept = budget.text(kept);
    match whole.strip_prefix(kept.as_str()) {
        Some(more) => budget.push_str(kept, more),
        None if whole.is_empty() => None,
        None => budget.set_text(kept, whole).then_some(0),
    }
}
