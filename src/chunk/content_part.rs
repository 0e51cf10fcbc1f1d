//! `ContentPart`: the kinds of parts in a `content` that is an array, their texts, and losses.

use super::schema::{content_part, delta, is_identity, reasoning_detail};
use crate::json::{Value, ValueKind};

/// The kind of a content part; see [`Delta::content_parts`](super::Delta::content_parts).
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentPart<'a> {
    /// A string: the part itself, or its member `text` (types `text` and `output_text`).
    Text(Value<'a>),
    /// Reasoning (`thinking`, `reasoning`): a string, or an array of parts that contain one.
    Reasoning(Value<'a>),
    /// A refusal: the string in the member `refusal`.
    Refusal(Value<'a>),
    /// A part without a text, such as `reference_ids` alone.
    Nothing,
    /// A part of any other kind.
    Unknown,
}

/// The members of a part that a next request needs.
pub(crate) const NEEDED: [&str; 3] = [reasoning_detail::SIGNATURE, "thoughtSignature", "closed"];

/// The member of a part that has the ids of references.
pub(crate) const REFERENCE_IDS: &str = delta::REFERENCE_IDS;

/// The members that may have the text of a reasoning part. The first with content counts.
const REASONING: [&str; 5] = [
    content_part::THINKING,
    content_part::REASONING,
    content_part::SUMMARY,
    content_part::CONTENT,
    content_part::TEXT,
];

impl<'a> ContentPart<'a> {
    /// Returns the kind of a part, by the first text with content.
    pub(crate) fn of(part: Value<'a>) -> Self {
        let kind = Self::with_text(part, has_content).or_else(|| Self::with_text(part, is_string));
        kind.unwrap_or_else(|| {
            if part.is_empty_value() || is_known(part) { Self::Nothing } else { Self::Unknown }
        })
    }

    /// Returns the kind of a part by its first text that `has` accepts.
    fn with_text(part: Value<'a>, has: impl Fn(&Value<'a>) -> bool) -> Option<Self> {
        let named = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| part.get(name));
            values.find(|value| has(value))
        };
        if is_string(&part) {
            return Some(Self::Text(part));
        }
        if is_reasoning(part) {
            return named(&REASONING).map(Self::Reasoning);
        }
        let text = named(&[content_part::TEXT]).filter(is_string).map(Self::Text);
        let reasoning =
            || named(&[content_part::THINKING, content_part::REASONING]).map(Self::Reasoning);
        let refusal = || named(&[content_part::REFUSAL]).filter(is_string).map(Self::Refusal);
        text.or_else(reasoning).or_else(refusal)
    }

    /// Returns the number of values in a part of this kind that a message can't store.
    pub(crate) fn lost_values(self, part: Value<'_>) -> usize {
        let (text, lost) = match self {
            Self::Unknown => return 1,
            Self::Nothing => (None, 0),
            Self::Text(text) | Self::Refusal(text) => (Some(text), 0),
            Self::Reasoning(reasoning) => (Some(reasoning), lost_texts(reasoning)),
        };
        lost + usize::from(has_lost_member(part, text))
    }
}

/// Returns the strings of reasoning: its own, or those of the parts in an array.
pub(crate) fn texts_of(reasoning: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let own = slot_text_in(reasoning);
    own.into_iter().chain(reasoning.elements().filter_map(slot_text_in))
}

/// Returns the number of values with content of which [`texts_of`] returns no text, or not all.
pub(crate) fn lost_texts(reasoning: Value<'_>) -> usize {
    if reasoning.kind() == ValueKind::Array {
        return reasoning.elements().filter(|part| is_lost(*part)).count();
    }
    usize::from(is_lost(reasoning))
}

/// Returns a string itself, or the one in `text`, `content` or `summary` of an object.
fn slot_text_in(part: Value<'_>) -> Option<Value<'_>> {
    let named = || {
        let names = [content_part::TEXT, content_part::CONTENT, content_part::SUMMARY];
        names.into_iter().filter_map(|name| part.get(name)).filter(is_string)
    };
    Some(part).filter(is_string).or_else(|| named().find(has_content)).or_else(|| named().next())
}

/// Returns true if a part of reasoning has content that isn't read.
fn is_lost(part: Value<'_>) -> bool {
    match part.kind() {
        ValueKind::String => false,
        ValueKind::Object if is_known(part) => has_lost_member(part, slot_text_in(part)),
        _ => has_content(&part),
    }
}

/// Returns true if a member with content is neither the text of the part nor stored.
///
/// Numbers, flags and identities describe the part. A copy of the text is no loss.
fn has_lost_member(part: Value<'_>, text: Option<Value<'_>>) -> bool {
    part.members().any(|(name, value)| {
        let is_content = match value.kind() {
            ValueKind::String | ValueKind::Array | ValueKind::Object => !value.is_empty_value(),
            ValueKind::Null => false,
            _ => is_text_name(name),
        };
        let is_text =
            |text: Value<'_>| text.document.name_of(text.id) == name || text.raw() == value.raw();
        let is_stored = name == REFERENCE_IDS || NEEDED.contains(&name);
        is_content && !is_stored && !is_identity(name) && !text.is_some_and(is_text)
    })
}

/// Returns true if the type or a member of an object is one of which a message stores the value.
fn is_known(part: Value<'_>) -> bool {
    let is_known = |name| is_text_name(name) || NEEDED.contains(&name) || name == REFERENCE_IDS;
    is_reasoning(part) || part.members().any(|(name, _)| is_known(name))
}

fn is_text_name(name: &str) -> bool {
    REASONING.contains(&name) || name == content_part::REFUSAL
}

fn is_reasoning(part: Value<'_>) -> bool {
    let name = part.get(content_part::TYPE).and_then(|name| name.as_str());
    matches!(name, Some(content_part::REASONING | content_part::THINKING))
}

fn is_string(value: &Value<'_>) -> bool {
    value.kind() == ValueKind::String
}

fn has_content(value: &Value<'_>) -> bool {
    !value.is_empty_value()
}
