//! `End`: the counts and the state of a stream at its end.

use core::fmt;

use crate::chunk::{ChatCompletionChunk, UpstreamError};
use crate::json::{Leniencies, Value, ValueKind, beginning};

/// The counts and the state of a stream; see [`ChunkDecoder::finish`](crate::ChunkDecoder::finish).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closes. WHATWG HTML 9.2 discards it.
    ///
    /// 0 if [`salvage`](crate::ChunkDecoder::salvage) has read it. Not counted are bytes that the
    /// decoder has already returned, because their event or line is over a limit.
    pub discarded_bytes: u64,
    /// True if the stream ended inside an event or a line, comments included.
    ///
    /// A call of [`salvage`](crate::ChunkDecoder::salvage) does not change this.
    pub is_cut: bool,
    /// Dispatched events, `[DONE]` included.
    pub events: u64,
    /// Events that are chunks.
    pub chunks: u64,
    /// Events with a JSON object that isn't a chunk; see [`Payload::Other`](crate::Payload::Other).
    pub others: u64,
    /// Events that can't be read.
    ///
    /// An event that the end of the stream cuts short isn't counted, with or without a call of
    /// [`salvage`](crate::ChunkDecoder::salvage).
    pub malformed: u64,
    /// The number of `[DONE]`, including one that lacks its blank line at the end.
    pub done: u64,
    /// Chunks, other objects and errors after the first `[DONE]`.
    pub after_done: u64,
    /// The deviations from interoperable JSON (RFC 8259) in all payloads.
    pub leniencies: Leniencies,
    /// The first error that the server reported.
    pub upstream_error: Option<UpstreamFailure>,
    /// The kind of the body, if it isn't an event stream.
    pub body: Option<Body>,
    /// The first API other than chat completions to which an event belongs.
    pub api: Option<Api>,
    /// The stream has had a field or a comment, so it is an event stream. False at its end.
    pub(super) is_event_stream: bool,
    /// The kind of the unfinished rest at the end of the stream.
    pub(super) rest: Rest,
    /// The finish reason of a dropped last chunk, if it names a failure.
    pub(crate) failed_finish: Option<String>,
}

/// The kind of the rest of a stream that no blank line closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// No bytes, or an event with a readable payload.
    #[default]
    None,
    /// A comment, or skipped bytes over a limit. No continuation of them adds content.
    Aside,
    /// Any other rest without content, or a failure that is counted.
    Framing,
    /// An event that is cut short, or a dropped chunk.
    Lost,
}

/// The most bytes stored of a finish reason that names a failure, or that exceeds the budget.
pub(crate) const LONGEST_REASON: usize = 64;

/// Returns true if a finish reason names a failure of the answer. An unknown reason names none.
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
    /// Returns true if a part of the answer may be missing at the end.
    ///
    /// After `[DONE]`, only `Rest::Lost` can be such a part.
    pub(crate) fn is_event_cut(&self) -> bool {
        let is_rest = self.discarded_bytes > 0 || self.rest != Rest::None;
        self.rest == Rest::Lost || self.is_cut && is_rest && self.done == 0
    }

    /// Returns true if there were comments and blank lines only.
    pub(crate) fn is_empty(&self) -> bool {
        let is_cut = self.is_cut && self.rest != Rest::Aside;
        self.events == 0 && self.malformed == 0 && !is_cut
    }
}

/// An owned [`UpstreamError`](crate::UpstreamError), with texts of limited length.
///
/// Contains at most 4 096 bytes of the message, and at most 256 bytes of each other text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamFailure {
    /// The offset of its event, in bytes from the start of the stream.
    pub offset: u64,
    /// The message. It may quote prompts and keys.
    pub message: Option<String>,
    /// The code; a number as its text.
    pub code: Option<String>,
    /// The type.
    pub r#type: Option<String>,
    /// The parameter of the request that caused the error.
    pub param: Option<String>,
}

/// The most bytes stored of an error's message, and of each other text of it.
const MOST_MESSAGE: usize = 4096;
const MOST_TEXT: usize = 256;

impl UpstreamFailure {
    /// Copies the error in an event that begins at `offset`.
    pub(crate) fn of(error: &UpstreamError<'_>, offset: u64) -> Self {
        let kept = |text: Option<&str>| text.map(Into::into);
        let [message, code, r#type, param] = texts(error).map(kept);
        Self { offset, message, code, r#type, param }
    }
}

/// Returns the stored texts of an error: message, code, type and parameter.
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

/// A failure that later failures replace, and spare buffers for the texts that it lacks.
#[derive(Clone, Debug)]
pub(crate) struct FailureBuffer {
    failure: UpstreamFailure,
    spare: [String; 4],
}

impl FailureBuffer {
    /// Creates a buffer with the first failure.
    pub(crate) fn new(error: &UpstreamError<'_>, offset: u64) -> Self {
        Self { failure: UpstreamFailure::of(error, offset), spare: Default::default() }
    }

    /// Replaces the failure. Allocates only if a text has to grow.
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

/// The kind of a body that isn't an event stream, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Body {
    /// A JSON text: an error, or a completion that wasn't streamed.
    Json,
    /// HTML or XML, such as an error page.
    Html,
    /// Compressed, with gzip or zstd.
    Compressed,
    /// Any other body.
    Other,
}

impl Body {
    /// Returns the kind of a body that begins with `bytes`.
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
