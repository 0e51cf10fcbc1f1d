//! `OtherObject` and `Api`: JSON objects of a stream that are no chunks.

use core::fmt;

use super::ChatCompletionChunk;
use crate::json::{Value, ValueKind};
use crate::report::named;

/// A JSON object that is no chunk; see [`Payload::Other`](crate::Payload::Other).
#[derive(Clone, Copy)]
pub struct OtherObject<'a>(pub(crate) ChatCompletionChunk<'a>);

impl<'a> OtherObject<'a> {
    /// Returns the member `name`, of any type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.get(name)
    }

    /// Returns the object as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        self.0.as_value()
    }
}

/// Writes the JSON text as sent.
impl fmt::Debug for OtherObject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An API whose events aren't chunks of a chat completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// Anthropic's Messages: `{"type":"message_start", …}`.
    AnthropicMessages,
    /// OpenAI's Responses: `{"type":"response.created", …}`.
    OpenAiResponses,
    /// OpenAI's Assistants: `{"object":"thread.run", …}`.
    OpenAiAssistants,
    /// Google's Gemini: `{"candidates":[…], …}`.
    Gemini,
    /// Cohere's Chat: `{"type":"message-start", …}`.
    Cohere,
}

impl Api {
    /// Returns the name of the API, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic_messages",
            Self::OpenAiResponses => "openai_responses",
            Self::OpenAiAssistants => "openai_assistants",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
        }
    }

    /// Returns the API of an object without `choices`, by its `type`, `object` or `candidates`.
    #[cold]
    pub(crate) fn of(object: &ChatCompletionChunk<'_>) -> Option<Self> {
        let text = |name| object.get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let is_list = |name| object.get(name).is_some_and(|value| value.kind() == ValueKind::Array);
        match text("type") {
            "message_start"
            | "message_delta"
            | "message_stop"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop" => Some(Self::AnthropicMessages),
            "message-start" | "message-end" | "content-start" | "content-delta" | "content-end" => {
                Some(Self::Cohere)
            }
            event if event.starts_with("response.") => Some(Self::OpenAiResponses),
            _ if text("object").starts_with("thread.") => Some(Self::OpenAiAssistants),
            _ if is_list("candidates") => Some(Self::Gemini),
            _ => None,
        }
    }
}

named!(Api);
