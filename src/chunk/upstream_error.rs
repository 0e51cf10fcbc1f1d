//! `UpstreamError<'_>`: an error that a server reports within a stream, in each of its forms.

use core::fmt;
use core::str;

use super::ChatCompletionChunk;
use crate::json::{Value, ValueKind};

/// An error that the server reports within a stream.
///
/// | on the wire | server |
/// |---|---|
/// | `data: {"error": {…}}`, alone or with `event: error` | OpenAI, vLLM, Groq |
/// | `data: {"error": {…}, "choices": […]}` | OpenRouter |
/// | `data: {"object": "error", "message": …}` | SGLang |
/// | `error: {…}`, a line with an unknown field | llama.cpp, GPUStack |
/// | `event: error` with any data, or with comments only | gateways, Dynamo |
#[derive(Clone, Copy)]
pub struct UpstreamError<'a> {
    error: Option<Value<'a>>,
    text: &'a [u8],
    chunk: Option<ChatCompletionChunk<'a>>,
}

/// The `code` of an error: a string or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode<'a> {
    /// A string, such as `rate_limit_exceeded`.
    String(&'a str),
    /// A number, such as 502; often an HTTP status.
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
    /// If the server sends no JSON object, the message is the text that it sends.
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
        let error = self.error?;
        match (error.kind(), self.chunk) {
            (ValueKind::String, Some(chunk)) => chunk.get(name),
            _ => error.get(name),
        }
    }

    /// Returns the error as a JSON value, or `None` if it isn't JSON.
    #[must_use]
    pub const fn as_value(&self) -> Option<Value<'a>> {
        self.error
    }

    /// Returns the chunk that contains the error, if there is one.
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
