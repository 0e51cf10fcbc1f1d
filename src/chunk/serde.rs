//! `Serialize` for chunks as sent, and for reports about them.

use serde::{Serialize, Serializer};

use super::schema::tool_call;
use super::{ChatCompletionChunk, ContentFlags, ErrorCode, OwnedUpstreamError, TokenCounts};
use crate::report::report;

/// Serializes the chunk as sent, with unknown members and with the text of numbers.
impl Serialize for ChatCompletionChunk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_value().serialize(serializer)
    }
}

/// Serializes the code as sent: a string or a number.
impl Serialize for ErrorCode<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(code) => serializer.serialize_str(code),
            Self::Number(code) => serializer.serialize_i64(*code),
        }
    }
}

// A message quotes prompts, completions and keys.
report!(OwnedUpstreamError {
    offset,
    message(hidden),
    code,
    r#type as tool_call::TYPE,
    param,
});

report!(TokenCounts { prompt, completion, total, cached, reasoning });

report!(ContentFlags {
    done,
    error,
    usage,
    role,
    content,
    refusal,
    reasoning,
    tool_call,
    audio,
    image,
    finish,
});
