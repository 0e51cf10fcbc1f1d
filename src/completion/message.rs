//! A delta to its message: texts, parts, reasoning, audio, and whole messages sent instead.

use super::budgets::Budgets;
use super::change::{Change, Changes};
use super::choice_state::ChoiceState;
use super::list::Matching;
use super::model::{FunctionCall, Message, ReasoningName};
use super::outcome::count;
use super::tool_call::{push_call, push_name, push_whole_call};
use crate::chunk::schema::{delta, function};
use crate::chunk::{Choice, ContentPart, Delta, Level, NEEDED, OddText, texts_of};
use crate::json::{Value, ValueKind};

/// The choice that a delta is merged into.
pub(super) struct ChoiceTarget<'t> {
    /// The position of the choice.
    pub(super) choice: usize,
    pub(super) message: &'t mut Message,
    pub(super) state: &'t mut ChoiceState,
    pub(super) budget: &'t mut Budgets,
    pub(super) changes: &'t mut Changes,
}

pub(super) fn push_delta(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    for part in delta.content_parts().into_iter().flatten() {
        push_part(target, part);
    }
    target.budget.first(&mut target.message.role, || delta.role());
    push_texts(target, delta);
    if delta.has_lost_member() {
        count(&mut target.state.irregular.unknown_content_parts, 1);
    }
    if delta.is_content() {
        return;
    }
    if delta.has_reasoning() {
        push_reasoning(target, delta);
    }
    let ChoiceTarget { message, state, budget, .. } = target;
    if let Some(call) = delta.function_call() {
        let kept = message.function_call.get_or_insert_default();
        push_name(kept, call.name_text().unwrap_or_default(), budget);
        count(&mut state.irregular.texts_of_another_type, call.numbers_for_texts());
        let value = || call.as_value().get(function::ARGUMENTS);
        if let Some(text) = call.arguments_text() {
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

/// Adds a content part, from a list or in place of the content.
fn push_part(target: &mut ChoiceTarget<'_>, part: Value<'_>) {
    match ContentPart::of(part) {
        ContentPart::Text(text) => {
            push_text(target, TextOf::Content, text);
            push_needed(target, part);
        }
        ContentPart::Reasoning(reasoning) => {
            texts_of(reasoning).for_each(|text| push_text(target, TextOf::Reasoning, text));
            push_needed(target, part);
            reasoning.elements().for_each(|part| push_needed(target, part));
        }
        ContentPart::Reference(ids) => {
            target.message.extra.append("reference_ids", ids, &mut target.budget.texts);
        }
        ContentPart::Refusal(text) => push_text(target, TextOf::Refusal, text),
        ContentPart::Nothing => {}
        ContentPart::Unknown => count(&mut target.state.irregular.unknown_content_parts, 1),
    }
}

/// Stores the members of a part that a next request needs.
fn push_needed(target: &mut ChoiceTarget<'_>, part: Value<'_>) {
    for name in NEEDED {
        if let Some(value) = part.get(name).filter(|value| !value.is_empty_value()) {
            let kept = target.message.extra.get(name).and_then(|kept| kept.as_raw());
            if kept.is_some_and(|kept| kept != value.raw()) {
                target.budget.texts.count_replaced();
            }
            target.message.extra.last(name, value, &mut target.budget.texts);
        }
    }
}

/// A text of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextOf {
    Content,
    Refusal,
    Reasoning,
}

/// Adds a string or a number to a text.
fn push_text(target: &mut ChoiceTarget<'_>, of: TextOf, value: Value<'_>) {
    let ChoiceTarget { choice, message, state, budget, changes } = target;
    let choice = *choice;
    let (kept, cut) = match of {
        TextOf::Content => (&mut message.content, &mut state.content),
        TextOf::Refusal => (&mut message.refusal, &mut state.refusal),
        TextOf::Reasoning => (&mut message.reasoning, &mut state.reasoning),
    };
    // A number is stored as it was sent.
    let text = value.as_str().unwrap_or_else(|| value.raw());
    let start = {
        let kept = budget.text(kept);
        budget.join(kept, cut, text, || Some(value))
    };
    changes.extend(start.map(|start| match of {
        TextOf::Content => Change::Content { choice, start },
        TextOf::Refusal => Change::Refusal { choice, start },
        TextOf::Reasoning => Change::Reasoning { choice, start },
    }));
}

/// Adds a value that isn't a string to a text: a number, or the strings of an object or a list.
///
/// Counts any other value with content as an unknown content part.
#[cold]
fn push_odd_text(target: &mut ChoiceTarget<'_>, of: TextOf, value: Value<'_>) {
    if of == TextOf::Content && value.kind() == ValueKind::Object {
        return push_part(target, value);
    }
    match OddText::of(value) {
        OddText::Nothing => {}
        OddText::Number => {
            count(&mut target.state.irregular.texts_of_another_type, 1);
            push_text(target, of, value);
        }
        OddText::Texts => {
            texts_of(value).for_each(|text| push_text(target, of, text));
            push_needed(target, value);
            value.elements().for_each(|part| push_needed(target, part));
        }
        OddText::Unknown => count(&mut target.state.irregular.unknown_content_parts, 1),
    }
}

/// Merges the texts for the reader of the answer: content and refusal.
#[inline]
pub(super) fn push_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    if let Some(text) = delta.content() {
        push_content(target, text, || delta.get(delta::CONTENT));
    } else if let Some(value) = delta.odd_content() {
        push_odd_text(target, TextOf::Content, value);
    }
    if let Some(text) = delta.refusal() {
        let ChoiceTarget { choice, message, state, budget, changes } = target;
        let kept = budget.text(&mut message.refusal);
        let start = budget.join(kept, &mut state.refusal, text, || delta.get(delta::REFUSAL));
        changes.extend(start.map(|start| Change::Refusal { choice: *choice, start }));
    } else if let Some(value) = delta.odd_refusal() {
        push_odd_text(target, TextOf::Refusal, value);
    }
}

/// Appends a piece of the content; `value` returns the value of `text`.
#[inline]
pub(super) fn push_content<'a>(
    target: &mut ChoiceTarget<'_>,
    text: &str,
    value: impl FnOnce() -> Option<Value<'a>>,
) {
    let ChoiceTarget { choice, message, state, budget, changes } = target;
    let kept = budget.text(&mut message.content);
    if let Some(start) = budget.join(kept, &mut state.content, text, value) {
        changes.push(Change::Content { choice: *choice, start });
    }
}

/// Merges the reasoning, which some servers send under two names at once.
pub(super) fn push_reasoning(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    let named = [
        (delta.reasoning_content(), ReasoningName::ReasoningContent),
        (delta.reasoning(), ReasoningName::Reasoning),
    ];
    match delta.odd_reasoning() {
        // Both names have the same value.
        [Some(one), Some(other)] if one.raw() == other.raw() => {
            push_odd_text(target, TextOf::Reasoning, one);
        }
        odd => odd.into_iter().flatten().for_each(|value| {
            push_odd_text(target, TextOf::Reasoning, value);
        }),
    }
    let mirrored = delta.reasoning_content() == delta.reasoning();
    let mut first = None;
    for (text, name) in named.into_iter().take(if mirrored { 1 } else { 2 }) {
        if let Some(text) = text {
            first = first.or(push_reasoning_text(target, delta, (text, name)));
        }
    }
    let ChoiceTarget { choice, message, budget, changes, .. } = target;
    for detail in delta.reasoning_details().into_iter().flat_map(|details| details.elements()) {
        let details = &mut message.reasoning_details;
        let kept = details.element(detail, Matching::Detail, &mut budget.texts);
        let Some(kept) = kept else { break };
        for (name, value) in detail.members() {
            budget.keep(kept, Level::ReasoningDetail, name, value);
        }
    }
    changes.extend(first.map(|start| Change::Reasoning { choice: *choice, start }));
}

/// Appends a piece of the reasoning; returns its position.
pub(super) fn push_reasoning_text(
    target: &mut ChoiceTarget<'_>,
    delta: &Delta<'_>,
    (text, name): (&str, ReasoningName),
) -> Option<usize> {
    let ChoiceTarget { message, state, budget, .. } = target;
    let kept = budget.text(&mut message.reasoning);
    if kept.is_empty() {
        message.reasoning_name = name;
    }
    budget.join(kept, &mut state.reasoning, text, || delta.get(name.as_str()))
}

/// Merges a message that a server sends whole, instead of a delta or besides it.
///
/// It counts if no text came by deltas. Of several messages the last one counts.
pub(super) fn push_snapshot(target: &mut ChoiceTarget<'_>, choice: &Choice<'_>, whole: Value<'_>) {
    let ChoiceTarget { message, state, .. } = target;
    let is_empty =
        message.content.as_deref().unwrap_or_default().is_empty() && message.tool_calls.is_empty();
    if !choice.has_only_message() || !(is_empty || state.is_snapshot) {
        return;
    }
    state.is_snapshot = true;
    let has_content =
        whole.get(delta::REASONING_CONTENT).is_some_and(|text| !text.is_empty_value());
    for (name, value) in whole.members() {
        push_whole_member(target, name, value, has_content);
    }
}

/// Stores a member of a whole message.
///
/// `has_content` is true if the message contains `reasoning_content`, which outranks `reasoning`.
fn push_whole_member(
    target: &mut ChoiceTarget<'_>,
    name: &str,
    value: Value<'_>,
    has_content: bool,
) {
    let ChoiceTarget { choice, message, budget, changes, .. } = target;
    let choice = *choice;
    match (name, value.as_str()) {
        (delta::ROLE, text) => budget.first(&mut message.role, || text),
        (delta::CONTENT, Some(text)) => {
            let start = set_whole(&mut message.content, text, budget);
            changes.replace(start.map(|start| Change::Content { choice, start }));
        }
        (delta::REFUSAL, Some(text)) => {
            let start = set_whole(&mut message.refusal, text, budget);
            changes.replace(start.map(|start| Change::Refusal { choice, start }));
        }
        (delta::REASONING, Some(_)) if has_content => {}
        (delta::REASONING_CONTENT | delta::REASONING, Some(text)) => {
            message.reasoning_name = match name {
                delta::REASONING => ReasoningName::Reasoning,
                _ => ReasoningName::ReasoningContent,
            };
            let start = set_whole(&mut message.reasoning, text, budget);
            changes.replace(start.map(|start| Change::Reasoning { choice, start }));
        }
        (delta::TOOL_CALLS, _) => {
            for (at, call) in value.elements().enumerate() {
                push_whole_call(target, at, call);
            }
        }
        (delta::REASONING_DETAILS, _) => {
            let kept = &mut message.reasoning_details;
            if kept.len() != value.elements().count() {
                budget.replace_details(kept, value);
            }
        }
        (delta::AUDIO, _) if value.kind() == ValueKind::Object => {
            let kept = message.audio.get_or_insert_default();
            for (name, value) in value.members() {
                kept.last(name, value, &mut budget.texts);
            }
        }
        (delta::FUNCTION_CALL, _) if value.kind() == ValueKind::Object => {
            push_whole_function(message.function_call.get_or_insert_default(), value, budget);
        }
        (delta::CONTENT | delta::REFUSAL | delta::REASONING | delta::REASONING_CONTENT, None)
            if value.is_empty_value() => {}
        (delta::CONTENT | delta::REFUSAL | delta::REASONING | delta::REASONING_CONTENT, None) => {
            push_whole_odd(target, name, value);
        }
        (delta::AUDIO | delta::FUNCTION_CALL, _) if !value.is_empty_value() => {
            count(&mut target.state.irregular.unknown_content_parts, 1);
        }
        (delta::AUDIO | delta::FUNCTION_CALL, _) => {}
        _ => message.extra.last(name, value, &mut budget.texts),
    }
}

/// Stores name and arguments of a whole `function_call`.
fn push_whole_function(kept: &mut FunctionCall, whole: Value<'_>, budget: &mut Budgets) {
    let text = |name: &str| whole.get(name).and_then(|text| text.as_str());
    if kept.name.is_empty() {
        budget.push_str(&mut kept.name, text(function::NAME).unwrap_or_default());
    }
    if let Some(arguments) = text(function::ARGUMENTS).filter(|text| *text != kept.arguments) {
        budget.set_text(&mut kept.arguments, arguments);
    }
}

/// Stores a whole text that isn't a string: a number, or parts of the content and the reasoning.
#[cold]
fn push_whole_odd(target: &mut ChoiceTarget<'_>, name: &str, value: Value<'_>) {
    let (mut content, mut reasoning) = (String::new(), String::new());
    if name != delta::CONTENT {
        texts_of(value).for_each(|text| reasoning.push_str(text.as_str().unwrap_or_default()));
    }
    let alone = (value.kind() == ValueKind::Object).then_some(value);
    let parts = alone.into_iter().chain(value.elements()).filter(|_| name == delta::CONTENT);
    if value.kind() == ValueKind::Number {
        count(&mut target.state.irregular.texts_of_another_type, 1);
        let text = if name == delta::CONTENT { &mut content } else { &mut reasoning };
        text.push_str(value.raw());
    }
    for part in parts {
        match ContentPart::of(part) {
            ContentPart::Text(text) => content.push_str(text.as_str().unwrap_or_default()),
            ContentPart::Reasoning(value) => {
                texts_of(value)
                    .for_each(|text| reasoning.push_str(text.as_str().unwrap_or_default()));
            }
            ContentPart::Nothing => {}
            _ => count(&mut target.state.irregular.unknown_content_parts, 1),
        }
        push_needed(target, part);
    }
    if content.is_empty()
        && reasoning.is_empty()
        && matches!(name, delta::REFUSAL | delta::REASONING)
    {
        count(&mut target.state.irregular.unknown_content_parts, 1);
    }
    let ChoiceTarget { choice, message, budget, changes, .. } = target;
    let choice = *choice;
    if !content.is_empty() {
        let start = set_whole(&mut message.content, &content, budget);
        changes.replace(start.map(|start| Change::Content { choice, start }));
    }
    if name == delta::REFUSAL && !reasoning.is_empty() {
        let start = set_whole(&mut message.refusal, &reasoning, budget);
        changes.replace(start.map(|start| Change::Refusal { choice, start }));
    } else if !reasoning.is_empty() {
        let start = set_whole(&mut message.reasoning, &reasoning, budget);
        changes.replace(start.map(|start| Change::Reasoning { choice, start }));
    }
}

/// Stores a whole text; returns the position of its new part.
///
/// Most continue the stored text. An empty one changes nothing.
fn set_whole(kept: &mut Option<String>, whole: &str, budget: &mut Budgets) -> Option<usize> {
    let kept = budget.text(kept);
    match whole.strip_prefix(kept.as_str()) {
        Some(more) => budget.push_str(kept, more),
        None if whole.is_empty() => None,
        None => budget.set_text(kept, whole).then_some(0),
    }
}
