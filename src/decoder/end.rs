//! `End`: how a stream was, counted while it is read.

use core::fmt;

use crate::chunk::{ChatCompletionChunk, UpstreamError};
use crate::json::{Leniencies, ValueKind, beginning};

/// What [`ChunkDecoder::finish`](crate::ChunkDecoder::finish) tells about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closed: by the standard it is dropped. 0 where
    /// [`salvage`](crate::ChunkDecoder::salvage) has read it.
    pub discarded_bytes: u64,
    /// Whether the stream ended inside of an event or line, comments included, be it read by
    /// [`salvage`](crate::ChunkDecoder::salvage) or not.
    pub is_cut: bool,
    /// Dispatched events, `[DONE]` included.
    pub events: u64,
    /// Events that are chunks.
    pub chunks: u64,
    /// Events with a JSON object that is no chunk; see [`Payload::Other`](crate::Payload::Other).
    pub others: u64,
    /// Events that can't be read.
    pub malformed: u64,
    /// How often `[DONE]` came, one that lacks its blank line at the end included.
    pub done: u64,
    /// Chunks, other objects and errors behind the first `[DONE]`.
    pub after_done: u64,
    /// What was let pass in all payloads though it isn't quite JSON.
    pub leniencies: Leniencies,
    /// The first error that the server reported.
    pub upstream_error: Option<UpstreamFailure>,
    /// What the body is instead, if it is no event stream.
    pub body: Option<Body>,
    /// The other API that events were of, if any were.
    pub api: Option<Api>,
}

impl End {
    /// Whether there was nothing but comments and blank lines, if that.
    pub(crate) fn is_empty(&self) -> bool {
        self.events == 0 && self.malformed == 0 && !self.is_cut
    }
}

/// An [`UpstreamError`](crate::UpstreamError) that is kept, its texts as far as they have room: of the
/// message 4 096 bytes, of each other text 256.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamFailure {
    /// Where its event begins: bytes from the start of the stream.
    pub offset: u64,
    /// The message. It may quote prompts and keys.
    pub message: Option<String>,
    /// The code; a number as its text.
    pub code: Option<String>,
    /// The type.
    pub r#type: Option<String>,
    /// The parameter of the request that is at fault.
    pub param: Option<String>,
}

/// Most bytes of an error's message, and of its other texts, that are kept.
const MOST_MESSAGE: usize = 4096;
const MOST_TEXT: usize = 256;

impl UpstreamFailure {
    /// Of the error in an event that begins at `offset`.
    pub(crate) fn of(error: &UpstreamError<'_>, offset: u64) -> Self {
        let code = error.get("code");
        let code =
            code.and_then(|code| code.as_str().or_else(|| code.as_i64().map(|_| code.raw())));
        let kept = |text: Option<&str>, most| text.map(|text| beginning(text, most).into());
        Self {
            offset,
            message: kept(error.message(), MOST_MESSAGE),
            code: kept(code, MOST_TEXT),
            r#type: kept(error.r#type(), MOST_TEXT),
            param: kept(error.param(), MOST_TEXT),
        }
    }
}

/// Shows no text: messages quote prompts and keys.
impl fmt::Debug for UpstreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamFailure").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// What a body is that is no event stream, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Body {
    /// A JSON text: an error, or a completion that wasn't streamed.
    Json,
    /// HTML or XML, mostly an error page.
    Html,
    /// Compressed, with gzip or zstd.
    Compressed,
    /// Something else.
    Other,
}

impl Body {
    /// What a body that begins with `bytes` looks like.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match text.trim_ascii_start() {
            [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Compressed,
            [b'{' | b'[' | b'"', ..] => Self::Json,
            [b'<', ..] => Self::Html,
            _ => Self::Other,
        }
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
    /// Its name, in lower case with underscores.
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

    /// The API of an object that has no `choices`, by what each of its events says of itself.
    #[cold]
    pub(super) fn of(object: &ChatCompletionChunk<'_>) -> Option<Self> {
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
