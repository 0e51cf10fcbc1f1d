//! `UpstreamError<'_>`: the error that a server reports in mid-stream, in all its shapes.

use core::fmt;
use core::str;

use super::ChatCompletionChunk;
use crate::json::{Value, ValueKind};

/// An error that the server reports inside of a stream that began well.
///
/// | on the wire | who |
/// |---|---|
/// | `data: {"error": {…}}`, alone or with `event: error` | OpenAI, vLLM, Groq |
/// | `data: {"error": {…}, "choices": […]}` | OpenRouter |
/// | `data: {"object": "error", "message": …}` | SGLang |
/// | `error: {…}`, a line that is no field | llama.cpp, GPUStack |
/// | `event: error` with anything, or nothing but comments | gateways, Dynamo |
#[derive(Clone, Copy)]
pub struct UpstreamError<'a> {
    error: Option<Value<'a>>,
    text: &'a [u8],
    chunk: Option<ChatCompletionChunk<'a>>,
}

/// The `code` of an error: some servers send a string, others a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode<'a> {
    /// Such as `rate_limit_exceeded`.
    String(&'a str),
    /// Such as 502, often an HTTP status.
    Number(i64),
}

impl<'a> UpstreamError<'a> {
    pub(crate) const fn new(
        error: Option<Value<'a>>,
        text: &'a [u8],
        chunk: Option<ChatCompletionChunk<'a>>,
    ) -> Self {
        Self { error, text, chunk }
    }

    /// Whether a client in JavaScript or Python would take an `error` member for an error.
    pub(crate) fn is_truthy_error(error: &Value<'_>) -> bool {
        match error.kind() {
            ValueKind::Null | ValueKind::NotFinite => false,
            ValueKind::Bool => error.as_bool() == Some(true),
            ValueKind::Number => error.as_f64() != Some(0.0),
            ValueKind::String => error.as_str() != Some(""),
            ValueKind::Array | ValueKind::Object => true,
        }
    }

    /// The message. What a server sends instead of a JSON object counts as one.
    #[must_use]
    pub fn message(&self) -> Option<&'a str> {
        match self.error {
            Some(error) => {
                let text = |name| self.get(name)?.as_str();
                error.as_str().or_else(|| text("message")).or_else(|| text("detail"))
            }
            None => str::from_utf8(self.text).ok().filter(|text| !text.is_empty()),
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode<'a>> {
        let code = self.get("code")?;
        let string = code.as_str().map(ErrorCode::String);
        string.or_else(|| code.as_i64().map(ErrorCode::Number))
    }

    /// The type, such as `invalid_request_error`.
    #[must_use]
    pub fn r#type(&self) -> Option<&'a str> {
        self.get("type")?.as_str()
    }

    /// The parameter of the request that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<&'a str> {
        self.get("param")?.as_str()
    }

    /// The member `name` of the error object, whatever it is; of the chunk, where the error is a
    /// text and its code and type stand beside it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let error = self.error?;
        match (error.kind(), self.chunk) {
            (ValueKind::String, Some(chunk)) => chunk.get(name),
            _ => error.get(name),
        }
    }

    /// The error as the JSON value that it is, if it is one.
    #[must_use]
    pub const fn as_value(&self) -> Option<Value<'a>> {
        self.error
    }

    /// The chunk that contains the error, if there is one.
    ///
    /// Its choices may contain a last delta and a finish reason.
    #[must_use]
    pub fn chunk(&self) -> Option<ChatCompletionChunk<'a>> {
        self.chunk.filter(ChatCompletionChunk::is_chunk)
    }

    /// Returns the object that contains the error, even if it isn't a chunk.
    pub(crate) const fn object(&self) -> Option<ChatCompletionChunk<'a>> {
        self.chunk
    }
}

/// Shows the code only: messages quote prompts and keys.
impl fmt::Debug for UpstreamError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UpstreamError");
        if let Some(ErrorCode::Number(code)) = self.code() {
            debug.field("code", &code);
        }
        debug.finish_non_exhaustive()
    }
}
