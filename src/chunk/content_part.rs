//! `ContentPart`: the kinds of parts in a `content` that is an array.

use super::schema::{content_part, delta, reasoning_detail};
use crate::json::{Value, ValueKind};

/// The content of a value that isn't a string, in place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OddText {
    /// `null` or an empty value.
    Nothing,
    /// A number, which is the text.
    Number,
    /// An object or array with texts.
    Texts,
    /// Anything else.
    Unknown,
}

impl OddText {
    pub(crate) fn of(value: Value<'_>) -> Self {
        match value.kind() {
            ValueKind::Number => Self::Number,
            _ if value.is_empty_value() => Self::Nothing,
            ValueKind::Object | ValueKind::Array if texts_of(value).next().is_some() => Self::Texts,
            _ => Self::Unknown,
        }
    }
}

/// The kind of a content part; see [`Delta::content_parts`](super::Delta::content_parts).
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentPart<'a> {
    /// A string: the part itself, or its member `text` (types `text` and `output_text`).
    Text(Value<'a>),
    /// Reasoning (`thinking`, `reasoning`): a string, or an array of parts that contain one.
    Reasoning(Value<'a>),
    /// The ids of references: `reference_ids`.
    Reference(Value<'a>),
    /// A refusal: the string in the member `refusal`.
    Refusal(Value<'a>),
    /// A part without content.
    Nothing,
    /// A part of any other kind.
    Unknown,
}

/// The members of a part that a next request needs.
pub(crate) const NEEDED: [&str; 3] = [reasoning_detail::SIGNATURE, "thoughtSignature", "closed"];

impl<'a> ContentPart<'a> {
    pub(crate) fn of(part: Value<'a>) -> Self {
        let text = |value: &Value<'_>| value.as_str().is_some();
        let named = |name: &&str| part.get(name);
        let r#type =
            part.get(content_part::TYPE).and_then(|name| name.as_str()).unwrap_or_default();
        let is_reasoning = matches!(r#type, delta::REASONING | content_part::THINKING);
        let reasoning = if is_reasoning {
            [
                content_part::THINKING,
                delta::REASONING,
                reasoning_detail::SUMMARY,
                delta::CONTENT,
                content_part::TEXT,
            ]
            .iter()
            .find_map(named)
        } else {
            [content_part::THINKING, delta::REASONING].iter().find_map(named)
        };
        let has_text = part.get(content_part::TEXT).or(Some(part)).filter(text);
        match (reasoning, has_text) {
            (Some(reasoning), _) if is_reasoning => Self::Reasoning(reasoning),
            (_, Some(text)) => Self::Text(text),
            (Some(reasoning), None) => Self::Reasoning(reasoning),
            (None, None) => {
                if let Some(ids) = part.get("reference_ids") {
                    Self::Reference(ids)
                } else if let Some(refusal) = part.get(delta::REFUSAL).filter(text) {
                    Self::Refusal(refusal)
                } else if part.is_empty_value() {
                    Self::Nothing
                } else {
                    Self::Unknown
                }
            }
        }
    }
}

/// Returns the strings of reasoning: its own, or those of the parts in an array.
pub(crate) fn texts_of(reasoning: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let own = slot_text_in(reasoning);
    own.into_iter().chain(reasoning.elements().filter_map(slot_text_in))
}

/// Returns a string itself, or the one in `text`, `content` or `summary` of an object.
fn slot_text_in(part: Value<'_>) -> Option<Value<'_>> {
    let is_string = |value: &Value<'_>| value.kind() == ValueKind::String;
    let named = || {
        [content_part::TEXT, delta::CONTENT, reasoning_detail::SUMMARY]
            .into_iter()
            .find_map(|name| part.get(name))
    };
    Some(part).filter(is_string).or_else(|| named().filter(is_string))
}
