//! `OwnedUpstreamError`: an error of the server that outlives its event.

use core::fmt;

use super::UpstreamError;
use crate::json::{Value, ValueKind, beginning};

/// An owned [`UpstreamError`](crate::chunk::UpstreamError), with texts of limited length.
///
/// Contains at most 4 096 bytes of the message, and at most 256 bytes of each other text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedUpstreamError {
    /// The offset of its event, in bytes from the start of the stream.
    pub offset: u64,
    /// The message. It may quote prompts and keys, so neither `Debug` nor `Serialize` writes it.
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

impl OwnedUpstreamError {
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
    failure: OwnedUpstreamError,
    spare: [String; 4],
}

impl FailureBuffer {
    /// Creates a buffer with the first failure.
    pub(crate) fn new(error: &UpstreamError<'_>, offset: u64) -> Self {
        Self { failure: OwnedUpstreamError::of(error, offset), spare: Default::default() }
    }

    /// Replaces the failure. Allocates only if a text has to grow.
    pub(crate) fn set(&mut self, error: &UpstreamError<'_>, offset: u64) {
        let OwnedUpstreamError { offset: at, message, code, r#type, param } = &mut self.failure;
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

    pub(crate) const fn failure(&self) -> &OwnedUpstreamError {
        &self.failure
    }
}

/// Shows no text: messages quote prompts and keys.
impl fmt::Debug for OwnedUpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedUpstreamError").field("offset", &self.offset).finish_non_exhaustive()
    }
}
