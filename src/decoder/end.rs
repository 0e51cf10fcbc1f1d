//! `End`: how a stream was, counted while it is read.

use core::fmt;

use crate::chunk::{ChatCompletionChunk, UpstreamError};
use crate::json::{Leniencies, Value, ValueKind, beginning};

/// What [`ChunkDecoder::finish`](crate::ChunkDecoder::finish) tells about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closed: by the standard it is dropped. 0 where
    /// [`salvage`](crate::ChunkDecoder::salvage) has read it. What is over a limit isn't counted: its
    /// bytes have been given as they came.
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
    /// Events that can't be read. One that is cut short by the end of the stream isn't counted, be it
    /// read by [`salvage`](crate::ChunkDecoder::salvage) or not.
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
    /// What is left at the end.
    pub(super) rest: Rest,
    /// The finish reason that names a failure, of a last chunk that is dropped.
    pub(crate) failed_finish: Option<String>,
}

/// What stands at the end of a stream without the blank line that would close it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// Nothing, or an event that could be read.
    #[default]
    None,
    /// A comment, or a line that is no field and over its limit: it brings nothing however it goes on.
    Aside,
    /// Anything else that brings nothing, or whose failure counts.
    Framing,
    /// An event that is cut short, or a chunk that is dropped.
    Lost,
}

/// Most bytes that are kept of a finish reason where text has no room any more.
pub(crate) const LONGEST_REASON: usize = 64;

/// Returns true if a finish reason says that the answer failed. Unknown reasons don't.
pub(crate) fn ends_badly(reason: &str) -> bool {
    const FAILURES: [&str; 7] = [
        "abort",
        "aborted",
        "canceled",
        "cancelled",
        "error",
        "failed",
        "insufficient_system_resource",
    ];
    let ends_in = |suffix: &str| {
        let start = reason.len().checked_sub(suffix.len());
        start
            .and_then(|start| reason.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    FAILURES.iter().any(|failure| reason.eq_ignore_ascii_case(failure)) || ends_in("_error")
}

impl End {
    /// Returns true if a part of the answer may be missing at the end. Behind `[DONE]` only an event
    /// can be one.
    pub(crate) fn is_event_cut(&self) -> bool {
        let is_rest = self.discarded_bytes > 0 || self.rest != Rest::None;
        self.rest == Rest::Lost || self.is_cut && is_rest && self.done == 0
    }

    /// Whether there was nothing but comments and blank lines, if that.
    pub(crate) fn is_empty(&self) -> bool {
        let is_cut = self.is_cut && self.rest != Rest::Aside;
        self.events == 0 && self.malformed == 0 && !is_cut
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
        let kept = |text: Option<&str>| text.map(Into::into);
        let [message, code, r#type, param] = texts(error).map(kept);
        Self { offset, message, code, r#type, param }
    }
}

/// What is kept of an error: message, code, type and parameter.
fn texts<'a>(error: &UpstreamError<'a>) -> [Option<&'a str>; 4] {
    let code = error.get("code");
    let is_number = |code: &Value<'_>| code.kind() == ValueKind::Number;
    let code = code.and_then(|code| code.as_str().or_else(|| is_number(&code).then(|| code.raw())));
    let kept = |text: Option<&'a str>, most| text.map(|text| beginning(text, most));
    [
        kept(error.message(), MOST_MESSAGE),
        kept(code, MOST_TEXT),
        kept(error.r#type(), MOST_TEXT),
        kept(error.param(), MOST_TEXT),
    ]
}

/// A failure that gives way to another one, and what its texts were in, where it lacks them.
#[derive(Clone, Debug)]
pub(crate) struct FailureBuffer {
    failure: UpstreamFailure,
    spare: [String; 4],
}

impl FailureBuffer {
    /// With the first failure.
    pub(crate) fn new(error: &UpstreamError<'_>, offset: u64) -> Self {
        Self { failure: UpstreamFailure::of(error, offset), spare: Default::default() }
    }

    /// Makes it another failure. Allocates only where a text has to grow.
    pub(crate) fn set(&mut self, error: &UpstreamError<'_>, offset: u64) {
        let UpstreamFailure { offset: at, message, code, r#type, param } = &mut self.failure;
        *at = offset;
        let slots = [message, code, r#type, param].into_iter().zip(&mut self.spare);
        for ((slot, spare), text) in slots.zip(texts(error)) {
            match text {
                Some(text) => {
                    let kept = slot.get_or_insert_with(|| core::mem::take(spare));
                    kept.clear();
                    kept.reserve_exact(text.len());
                    kept.push_str(text);
                }
                None => *spare = slot.take().unwrap_or(core::mem::take(spare)),
            }
        }
    }

    pub(crate) const fn failure(&self) -> &UpstreamFailure {
        &self.failure
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
