//! `UpstreamError<'_>`: an error that a server reports within a stream, in each of its forms.

use core::fmt;

use super::{ChatCompletionChunk, ChunkIndex};
use crate::json::{Document, NodeId, Tape, Value, ValueKind};

/// An error that the server reports within a stream.
///
/// | on the wire | server |
/// |---|---|
/// | `data: {"error": {…}}`, alone or with `event: error` | OpenAI, vLLM, Groq |
/// | `data: {"error": {…}, "choices": […]}` | OpenRouter |
/// | `data: {"object": "error", "message": …}` | SGLang |
/// | `data: {"x_groq": {"error": …}, "choices": […]}` | Groq |
/// | `error: {…}`, a line with an unknown field | llama.cpp, GPUStack |
/// | `event: error` with any data, or with comments only | gateways, Dynamo |
#[derive(Clone, Copy)]
pub struct UpstreamError<'a> {
    /// The error, or a JSON text that contains it; its beginning, if it isn't UTF-8.
    text: &'a str,
    /// The node of the error, if the text is JSON. Its value is made on demand, as that is large.
    json: Option<(&'a Tape, NodeId)>,
    object: Option<ErrorObject<'a>>,
}

/// The object that contains an error. It has no patches: no template has an error.
#[derive(Clone, Copy)]
struct ErrorObject<'a> {
    text: &'a str,
    tape: &'a Tape,
    index: &'a ChunkIndex,
}

/// The `code` of an error: a string or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode<'a> {
    /// A string, such as `rate_limit_exceeded`.
    String(&'a str),
    /// A number, such as 502; often an HTTP status.
    Number(i64),
}

/// Writes the code as sent.
impl fmt::Display for ErrorCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(code) => f.pad(code),
            Self::Number(code) => code.fmt(f),
        }
    }
}

impl<'a> UpstreamError<'a> {
    /// Creates an error that is the value `error`, or else `text`, in the object `object`, if any.
    #[cold]
    pub(crate) fn new(
        error: Option<Value<'a>>,
        text: &'a [u8],
        object: Option<ChatCompletionChunk<'a>>,
    ) -> Self {
        let (text, json) = match error {
            Some(error) => {
                let (tape, text) = error.document.unpatched();
                (text, Some((tape, error.id)))
            }
            None => (text.utf8_chunks().next().map_or("", |beginning| beginning.valid()), None),
        };
        let object = object.map(|ChatCompletionChunk { document, index }| {
            let (tape, text) = document.unpatched();
            ErrorObject { text, tape, index }
        });
        Self { text, json, object }
    }

    /// Returns true if an `error` member isn't `null`, `false`, 0, `""`, `NaN` or infinite.
    pub(crate) fn is_truthy_error(error: &Value<'_>) -> bool {
        match error.kind() {
            ValueKind::Null | ValueKind::NonFiniteNumber => false,
            ValueKind::Bool => error.as_bool() == Some(true),
            ValueKind::Number => error.as_f64() != Some(0.0),
            ValueKind::String => error.as_str() != Some(""),
            ValueKind::Array | ValueKind::Object => true,
        }
    }

    /// Returns the message: `message`, `detail`, or the error itself if it is a string.
    ///
    /// If the server sends no whole JSON, the message is the text that it sends, up to the first byte
    /// that isn't UTF-8.
    #[must_use]
    pub fn message(&self) -> Option<&'a str> {
        let Some(error) = self.as_value() else {
            return Some(self.text).filter(|text| !text.is_empty());
        };
        let text = |name| self.get(name)?.as_str();
        error.as_str().or_else(|| text("message")).or_else(|| text("detail"))
    }

    /// Returns the `code`.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode<'a>> {
        let code = self.get("code")?;
        let string = code.as_str().map(ErrorCode::String);
        string.or_else(|| code.as_i64().map(ErrorCode::Number))
    }

    /// Returns the `type`, such as `invalid_request_error`.
    #[must_use]
    pub fn r#type(&self) -> Option<&'a str> {
        self.get("type")?.as_str()
    }

    /// Returns `param`: the parameter of the request that caused the error.
    #[must_use]
    pub fn param(&self) -> Option<&'a str> {
        self.get("param")?.as_str()
    }

    /// Returns the member `name` of the error object, of any type.
    ///
    /// If the error is a string, returns the member of the chunk, which has its code and type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let error = self.as_value()?;
        match (error.kind(), self.object()) {
            (ValueKind::String, Some(chunk)) => chunk.get(name),
            _ => error.get(name),
        }
    }

    /// Returns the error as a JSON value, or `None` if it isn't JSON.
    #[must_use]
    pub const fn as_value(&self) -> Option<Value<'a>> {
        match self.json {
            Some((tape, node)) => Some(Value::new(Document::new(tape, self.text), node)),
            None => None,
        }
    }

    /// Returns the chunk that contains the error, if there is one.
    ///
    /// Its choices may contain a last delta and a finish reason.
    #[must_use]
    pub fn chunk(&self) -> Option<ChatCompletionChunk<'a>> {
        self.object().filter(ChatCompletionChunk::is_chunk)
    }

    /// Returns the object that contains the error, even if it isn't a chunk.
    pub(crate) const fn object(&self) -> Option<ChatCompletionChunk<'a>> {
        match self.object {
            Some(ErrorObject { text, tape, index }) => {
                Some(ChatCompletionChunk::new(Document::new(tape, text), index))
            }
            None => None,
        }
    }
}

/// Shows only a numeric code: messages quote prompts and keys.
impl fmt::Debug for UpstreamError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UpstreamError");
        if let Some(ErrorCode::Number(code)) = self.code() {
            debug.field("code", &code);
        }
        debug.finish_non_exhaustive()
    }
}
