//! `ContentPart`: a part of a content that is a list.

use crate::json::{Value, ValueKind};

/// What a part of a content is; see [`Delta::content_parts`](super::Delta::content_parts).
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentPart<'a> {
    /// `text`, `output_text`: a string.
    Text(Value<'a>),
    /// `thinking`, `reasoning`: a string, or a list of parts that have one.
    Reasoning(Value<'a>),
    /// Ids of references.
    Reference(Value<'a>),
    /// A refusal, which is a string.
    Refusal(Value<'a>),
    /// There is nothing in it.
    Nothing,
    /// Something else.
    Unknown,
}

/// The members of a part that a next request needs.
pub(crate) const NEEDED: [&str; 3] = ["signature", "thoughtSignature", "closed"];

impl<'a> ContentPart<'a> {
    pub(crate) fn of(part: Value<'a>) -> Self {
        let text = |value: &Value<'_>| value.as_str().is_some();
        let named = |name: &&str| part.get(name);
        let r#type = part.get("type").and_then(|name| name.as_str()).unwrap_or_default();
        let is_reasoning = matches!(r#type, "reasoning" | "thinking");
        let reasoning = if is_reasoning {
            ["thinking", "reasoning", "summary", "content", "text"].iter().find_map(named)
        } else {
            ["thinking", "reasoning"].iter().find_map(named)
        };
        let has_text = part.get("text").or(Some(part)).filter(text);
        match (reasoning, has_text) {
            (Some(reasoning), _) if is_reasoning => Self::Reasoning(reasoning),
            (_, Some(text)) => Self::Text(text),
            (Some(reasoning), None) => Self::Reasoning(reasoning),
            (None, None) => {
                if let Some(ids) = part.get("reference_ids") {
                    Self::Reference(ids)
                } else if let Some(refusal) = part.get("refusal").filter(text) {
                    Self::Refusal(refusal)
                } else if part.is_nothing() {
                    Self::Nothing
                } else {
                    Self::Unknown
                }
            }
        }
    }
}

/// The strings of reasoning: itself, or those of the parts that it is a list of, with what holds each.
pub(crate) fn texts_of(reasoning: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let own = text_in(reasoning);
    own.into_iter().chain(reasoning.elements().filter_map(text_in))
}

/// A string, or the one in an object.
fn text_in(part: Value<'_>) -> Option<Value<'_>> {
    let is_string = |value: &Value<'_>| value.kind() == ValueKind::String;
    let named = || ["text", "content", "summary"].into_iter().find_map(|name| part.get(name));
    Some(part).filter(is_string).or_else(|| named().filter(is_string))
}
