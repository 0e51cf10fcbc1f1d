//! `ContentPart`: a part of a content that is a list, as Mistral sends it.

use crate::json::Value;

/// What a part of a content is; see [`Delta::content_parts`](super::Delta::content_parts).
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentPart<'a> {
    /// A text, which is a string.
    Text(Value<'a>),
    /// Reasoning: a string, or a list of parts with a `text`.
    Thinking(Value<'a>),
    /// Ids of references.
    Reference(Value<'a>),
    /// A refusal, which is a string.
    Refusal(Value<'a>),
    /// There is nothing in it.
    Nothing,
    /// Something else.
    Unknown,
}

impl<'a> ContentPart<'a> {
    pub(crate) fn of(part: Value<'a>) -> Self {
        let text = |value: &Value<'_>| value.as_str().is_some();
        if let Some(text) = part.get("text").or(Some(part)).filter(text) {
            Self::Text(text)
        } else if let Some(thinking) = part.get("thinking") {
            Self::Thinking(thinking)
        } else if let Some(ids) = part.get("reference_ids") {
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
