//! `End`: how a stream was, counted while it is read.

use core::fmt;

use crate::chunk::UpstreamError;
use crate::json::Leniencies;

/// What [`ChunkDecoder::finish`](crate::ChunkDecoder::finish) tells about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closed: by the standard it is dropped.
    pub discarded_bytes: u64,
    /// Whether the stream ended inside of an event or line, comments included.
    pub is_cut: bool,
    /// Dispatched events, `[DONE]` included.
    pub events: u64,
    /// Events that are chunks.
    pub chunks: u64,
    /// Events that can't be read.
    pub malformed: u64,
    /// How often `[DONE]` came, one that lacks its blank line at the end included.
    pub done: u64,
    /// Chunks and errors behind the first `[DONE]`.
    pub after_done: u64,
    /// What was let pass in all payloads though it isn't quite JSON.
    pub leniencies: Leniencies,
    /// The first error that the server reported.
    pub upstream_error: Option<UpstreamFailure>,
    /// What the body is instead, if it is no event stream.
    pub body: Option<Body>,
}

impl End {
    /// Whether there was nothing but comments and blank lines, if that.
    pub(crate) fn is_empty(&self) -> bool {
        self.events == 0 && self.malformed == 0 && !self.is_cut
    }
}

/// An [`UpstreamError`](crate::UpstreamError) that is kept.
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

impl UpstreamFailure {
    /// Of the error in an event that begins at `offset`.
    pub(crate) fn of(error: &UpstreamError<'_>, offset: u64) -> Self {
        let code = error.get("code");
        let text =
            code.and_then(|code| code.as_str().or_else(|| code.as_i64().map(|_| code.raw())));
        Self {
            offset,
            message: error.message().map(Into::into),
            code: text.map(Into::into),
            r#type: error.r#type().map(Into::into),
            param: error.param().map(Into::into),
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
