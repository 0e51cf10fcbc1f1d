//! A delta to its message: texts, parts, reasoning and audio.

use super::budgets::Budgets;
use super::change::{Change, Changes};
use super::choice_state::ChoiceState;
use super::model::{Message, ReasoningName};
use super::tool_call::{join_arguments, push_call, push_name};
use crate::chunk::schema::delta;
use crate::chunk::{
    ContentPart, Delta, Level, MessageText, NEEDED, REFERENCE_IDS, TextMember, lost_texts, texts_of,
};
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
    push_parts(target, delta);
    target.budget.first(&mut target.message.role, || delta.role());
    push_texts(target, delta);
    if delta.has_lost_member() {
        target.state.count(|counts| &mut counts.unknown_content_parts, 1);
    }
    if delta.is_content() {
        return;
    }
    if delta.has_reasoning() {
        push_reasoning(target, delta);
    }
    let ChoiceTarget { message, state, budget, .. } = target;
    if let Some(call) = delta.function_call().filter(|call| !call.as_value().is_empty_value()) {
        let kept = message.function_call.get_or_insert_default();
        push_name(kept, call.name_text().unwrap_or_default(), budget);
        state.count(|counts| &mut counts.texts_of_another_type, call.numbers_for_texts());
        let (text, value) = (call.arguments_text(), || call.arguments_value());
        join_arguments(
            &mut kept.arguments,
            &mut state.rare_mut().function_call,
            budget,
            text,
            value,
        );
    }
    if let Some(audio) = delta.audio().filter(|audio| !audio.as_value().is_empty_value()) {
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

/// Adds the parts of a content that is a list.
pub(super) fn push_parts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    for part in delta.content_parts().into_iter().flatten() {
        push_part(target, part);
    }
}

/// Adds a content part, from a list or in place of the content.
///
/// Counts each value with content that isn't stored.
fn push_part(target: &mut ChoiceTarget<'_>, part: Value<'_>) {
    let kind = ContentPart::of(part);
    target.state.count(|counts| &mut counts.unknown_content_parts, kind.lost_values(part));
    match kind {
        ContentPart::Text(text) => push_value(target, MessageText::Content, text),
        ContentPart::Refusal(text) => push_value(target, MessageText::Refusal, text),
        ContentPart::Reasoning(reasoning) => {
            texts_of(reasoning).for_each(|text| push_value(target, MessageText::Reasoning, text));
            push_members(target, part);
            return push_all_members(target, reasoning);
        }
        ContentPart::Nothing => {}
        ContentPart::Unknown => return,
    }
    push_members(target, part);
}

/// Stores the members besides the text of a value and of its elements.
fn push_all_members(target: &mut ChoiceTarget<'_>, value: Value<'_>) {
    push_members(target, value);
    value.elements().for_each(|part| push_members(target, part));
}

/// Stores the members of a part that a next request needs, and the ids of references.
fn push_members(target: &mut ChoiceTarget<'_>, part: Value<'_>) {
    for name in NEEDED {
        if let Some(value) = part.get(name).filter(|value| !value.is_empty_value()) {
            let kept = target.message.extra.get(name).filter(|kept| !kept.is_empty_value());
            if kept.is_some_and(|kept| kept.as_raw() != Some(value.raw())) {
                target.budget.texts.count_replaced();
            }
            target.message.extra.last(name, value, &mut target.budget.texts);
        }
    }
    if let Some(ids) = part.get(REFERENCE_IDS).filter(|ids| !ids.is_empty_value()) {
        target.message.extra.append(REFERENCE_IDS, ids, &mut target.budget.texts);
    }
}

/// Appends a piece to a text; returns its position. `value` returns the value of `piece`.
#[inline]
fn join_text<'a>(
    target: &mut ChoiceTarget<'_>,
    of: MessageText,
    piece: &str,
    value: impl FnOnce() -> Option<Value<'a>>,
) -> Option<usize> {
    let ChoiceTarget { message, state, budget, .. } = target;
    let stored = budget.text(message.text_mut(of));
    budget.join(stored, state.pending.of(of), piece, value)
}

/// Appends a piece to a text, and records the change. `value` returns the value of `piece`.
#[inline]
pub(super) fn push_text<'a>(
    target: &mut ChoiceTarget<'_>,
    of: MessageText,
    piece: &str,
    value: impl FnOnce() -> Option<Value<'a>>,
) {
    if let Some(start) = join_text(target, of, piece, value) {
        if of == MessageText::Content {
            target.state.is_snapshot = false;
        }
        target.changes.push(Change::Text { choice: target.choice, text: of, start });
    }
}

/// Appends a string or a number to a text.
fn push_value(target: &mut ChoiceTarget<'_>, of: MessageText, value: Value<'_>) {
    push_text(target, of, text_in(&value), || Some(value));
}

/// Adds a value that isn't a string to a text: a number, or the strings of an object or a list.
///
/// Counts each other value with content as an unknown content part.
#[cold]
fn push_odd_text(target: &mut ChoiceTarget<'_>, of: MessageText, value: Value<'_>) {
    if of == MessageText::Content && value.kind() == ValueKind::Object {
        return push_part(target, value);
    }
    pieces_of(value).for_each(|piece| push_value(target, of, piece));
    push_rest(target, value);
}

/// Stores or counts the other contents of a value in place of a text.
fn push_rest(target: &mut ChoiceTarget<'_>, value: Value<'_>) {
    if value.kind() == ValueKind::Number {
        return target.state.count(|counts| &mut counts.texts_of_another_type, 1);
    }
    push_all_members(target, value);
    target.state.count(|counts| &mut counts.unknown_content_parts, lost_texts(value));
}

/// Returns the texts of a value in place of a text: a number, or strings.
fn pieces_of(value: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let number = Some(value).filter(|value| value.kind() == ValueKind::Number);
    number.into_iter().chain(texts_of(value))
}

/// Returns a string, or the digits of a number as they were sent.
fn text_in<'a>(piece: &Value<'a>) -> &'a str {
    piece.as_str().unwrap_or_else(|| piece.raw())
}

/// Merges the texts besides the reasoning.
#[inline]
pub(super) fn push_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    if let Some(text) = delta.content() {
        push_text(target, MessageText::Content, text, || delta.get(delta::CONTENT));
    } else if let Some(value) = delta.odd_text(TextMember::Content) {
        push_odd_text(target, MessageText::Content, value);
    }
    if delta.has_plain_text() {
        push_plain_texts(target, delta);
    }
}

/// Merges the texts besides content and reasoning.
#[inline(never)]
fn push_plain_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    for member in TextMember::ALL.into_iter().filter(|member| member.is_plain()) {
        if let Some(value) = delta.text_value(member) {
            let push = if value.kind() == ValueKind::String { push_value } else { push_odd_text };
            push(target, member.text(), value);
        }
    }
}

/// Merges the reasoning, its details included.
pub(super) fn push_reasoning(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    push_all_reasoning_texts(target, delta);
    if let Some(details) = delta.reasoning_details() {
        target.budget.merge_details(&mut target.message.reasoning_details, details);
    }
}

/// Merges the texts of the reasoning, strings and other values.
pub(super) fn push_all_reasoning_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    let members = [TextMember::ReasoningContent, TextMember::Reasoning];
    if members.iter().all(|member| delta.odd_text(*member).is_none()) {
        return push_reasoning_texts(target, delta, reasoning_texts(delta));
    }
    push_odd_reasoning(target, members.map(|member| delta.text_value(member)));
}

/// Merges the values under both names of the reasoning, of which one isn't a string.
///
/// The same text under both names is added once.
#[cold]
fn push_odd_reasoning(target: &mut ChoiceTarget<'_>, values: [Option<Value<'_>>; 2]) {
    let bytes = |value| pieces_of(value).flat_map(|piece| text_in(&piece).bytes());
    let (is_equal, has_same_text) = match values {
        [Some(one), Some(other)] => (one.raw() == other.raw(), bytes(one).eq(bytes(other))),
        _ => (false, false),
    };
    let names = [ReasoningName::ReasoningContent, ReasoningName::Reasoning];
    let pairs = values.into_iter().zip(names).take(if is_equal { 1 } else { 2 });
    for (value, name) in pairs.filter_map(|(value, name)| Some((value?, name))) {
        if has_same_text && name == ReasoningName::Reasoning {
            push_rest(target, value);
            continue;
        }
        let is_first = target.message.reasoning.as_deref().is_none_or(str::is_empty);
        if is_first && pieces_of(value).next().is_some() {
            target.message.reasoning_name = name;
        }
        push_odd_text(target, MessageText::Reasoning, value);
    }
}

/// Returns the strings of the reasoning, which some servers send under two names at once.
pub(super) fn reasoning_texts<'a>(
    delta: &Delta<'a>,
) -> impl Iterator<Item = (&'a str, ReasoningName)> + use<'a> {
    let named = [
        (delta.reasoning_content(), ReasoningName::ReasoningContent),
        (delta.reasoning(), ReasoningName::Reasoning),
    ];
    let mirrored = delta.reasoning_content() == delta.reasoning();
    let texts = named.into_iter().take(if mirrored { 1 } else { 2 });
    texts.filter_map(|(text, name)| Some((text?, name)))
}

/// Appends the texts of a delta to the reasoning, and records them as one change.
#[inline]
pub(super) fn push_reasoning_texts<'a>(
    target: &mut ChoiceTarget<'_>,
    delta: &Delta<'_>,
    texts: impl IntoIterator<Item = (&'a str, ReasoningName)>,
) {
    let mut first = None;
    for (text, name) in texts {
        if target.message.reasoning.as_deref().is_none_or(str::is_empty) {
            target.message.reasoning_name = name;
        }
        let start = join_text(target, MessageText::Reasoning, text, || delta.get(name.as_str()));
        first = first.or(start);
    }
    if let Some(start) = first {
        target.changes.push(Change::Text {
            choice: target.choice,
            text: MessageText::Reasoning,
            start,
        });
    }
}
