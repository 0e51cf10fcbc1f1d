//! Whole messages, which some servers send in place of deltas.
//!
//! A whole message is read as a delta. Its values replace the stored ones.

use super::budgets::PendingSurrogate;
use super::change::{Change, Changes};
use super::choice_state::ChoiceState;
use super::message::{
    ChoiceTarget, push_all_reasoning_texts, push_parts, push_texts, reasoning_texts,
};
use super::model::{Message, ReasoningName};
use super::tool_call::{set_arguments, set_name, set_whole_call};
use crate::chunk::{Choice, Delta, Level, MessageText, TextMember, WholeMessage};

/// Stores a message that a server sends whole, instead of a delta or besides an empty one.
pub(super) fn push_whole(target: &mut ChoiceTarget<'_>, choice: &Choice<'_>) {
    if let Some(whole) = choice.whole_message() {
        set_message(target, &whole);
    }
}

/// Stores a whole message.
///
/// It counts if no content or tool call came by deltas. Of several messages the last one counts.
pub(super) fn set_message(target: &mut ChoiceTarget<'_>, whole: &WholeMessage<'_>) {
    let ChoiceTarget { message, state, .. } = target;
    let is_empty =
        message.content.as_deref().unwrap_or_default().is_empty() && message.tool_calls.is_empty();
    if !whole.is_object() || !(is_empty || state.is_snapshot) {
        // A copy of the deltas is known by its parts.
        let parts = usize::from(whole.has_unknown_part());
        state.count(|counts| &mut counts.unknown_content_parts, parts);
        return;
    }
    state.is_snapshot = true;
    state.count(|counts| &mut counts.unknown_content_parts, usize::from(whole.has_lost_member()));
    let delta = whole.as_delta();
    set_texts(target, &delta);
    let ChoiceTarget { message, state, budget, .. } = target;
    budget.first(&mut message.role, || delta.role());
    if let Some(call) = delta.function_call().filter(|call| !call.as_value().is_empty_value()) {
        let kept = message.function_call.get_or_insert_default();
        state.count(|counts| &mut counts.texts_of_another_type, call.numbers_for_texts());
        set_name(kept, call.name_text().unwrap_or_default(), budget);
        let (text, value) = (call.arguments_text(), || call.arguments_value());
        set_arguments(
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
            budget.keep_whole(kept, Level::Audio, name, value);
        }
    }
    if let Some(details) = delta.reasoning_details() {
        budget.replace_details(&mut message.reasoning_details, details);
    }
    for (name, value) in whole.extra() {
        budget.keep_whole(&mut message.extra, Level::Delta, name, value);
    }
    whole.each_call(|at, call| set_whole_call(target, at, call));
}

/// Replaces the texts of the message.
fn set_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    let is_long = |text: &&str| !text.is_empty();
    let has_two = || reasoning_texts(delta).map(|(text, _)| text).filter(is_long).count() > 1;
    if delta.has_only_strings() && !has_two() {
        for member in TextMember::ALL {
            if let Some(text) = delta.text(member)
                && member.text() != MessageText::Reasoning
            {
                set_text(target, member.text(), text);
            }
        }
        for (text, name) in reasoning_texts(delta) {
            set_reasoning_name(target.message, text, name);
            set_text(target, MessageText::Reasoning, text);
        }
        return;
    }
    set_merged_texts(target, delta);
}

/// Replaces the texts by those of an empty message that the delta was merged into.
#[cold]
fn set_merged_texts(target: &mut ChoiceTarget<'_>, delta: &Delta<'_>) {
    let (mut message, mut state) = (Message::default(), ChoiceState::default());
    let (mut budget, mut changes) = (target.budget.fresh(), Changes::default());
    let mut merged = ChoiceTarget {
        choice: target.choice,
        message: &mut message,
        state: &mut state,
        budget: &mut budget,
        changes: &mut changes,
    };
    push_parts(&mut merged, delta);
    push_texts(&mut merged, delta);
    push_all_reasoning_texts(&mut merged, delta);
    target.state.add_irregularities(&state);
    target.budget.texts.add_findings(&budget.texts);
    if let Some(text) = &message.reasoning {
        set_reasoning_name(target.message, text, message.reasoning_name);
    }
    for of in MessageText::ALL {
        if let Some(text) = message.text(of) {
            set_text(target, of, text);
        }
    }
    target.message.extra.last_of(message.extra, &mut target.budget.texts);
}

/// Replaces the name of the reasoning, unless the new text is empty and the stored one isn't.
fn set_reasoning_name(message: &mut Message, text: &str, name: ReasoningName) {
    if !text.is_empty() || message.reasoning.as_deref().is_none_or(str::is_empty) {
        message.reasoning_name = name;
    }
}

/// Replaces a text by a whole one, and records the change.
///
/// Most continue the stored text. An empty one changes nothing.
fn set_text(target: &mut ChoiceTarget<'_>, of: MessageText, whole: &str) {
    let ChoiceTarget { choice, message, state, budget, changes } = target;
    *state.pending.of(of) = PendingSurrogate::default();
    let stored = budget.text(message.text_mut(of));
    let start = match whole.strip_prefix(stored.as_str()) {
        Some(more) => budget.push_str(stored, more),
        None if whole.is_empty() => None,
        None => budget.set_text(stored, whole).then_some(0),
    };
    changes.replace(start.map(|start| Change::Text { choice: *choice, text: of, start }));
}

#[cfg(test)]
mod tests {
    use crate::chunk::OwnedChatCompletionChunk;
    use crate::chunk::schema::{Columns, DeltaFields, delta};
    use crate::completion::Reassembler;

    /// Returns the completion of one chunk, whose choice has `message` under a name.
    fn completion(name: &str, message: &str) -> String {
        let json = format!(r#"{{"choices":[{{"index":0,"{name}":{message}}}]}}"#);
        let (mut completion, mut written) = (Reassembler::new(), Vec::new());
        if let Ok(chunk) = OwnedChatCompletionChunk::from_json(json.as_bytes()) {
            completion.push(&chunk.as_chunk());
        }
        completion.snapshot().write_json(&mut written);
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Compares each member with a column of a whole message with that of a delta.
    #[test]
    fn each_member_of_a_message_is_read_as_in_a_delta() {
        for name in DeltaFields::NAMES {
            let is_list = [delta::TOOL_CALLS, delta::REASONING_DETAILS].contains(name);
            let values = ["\"a\"", "7", "[\"a\"]", r#"{"text":"a"}"#, r#"{"id":"a","name":"b"}"#];
            for value in values.into_iter().chain(is_list.then_some(r#"[{"id":"a"}]"#)) {
                let message = format!(r#"{{"{name}":{value}}}"#);
                let expected = completion("delta", &message);
                assert!(expected.contains("\"message\""), "{expected}");
                assert_eq!(completion("message", &message), expected, "{message}");
            }
        }
    }
}
