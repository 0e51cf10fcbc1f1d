//! `Relay::write_completion`: the edits and the guard of a relay, for a whole completion.

use core::fmt;

use super::relay::{Relay, Stages};
use super::relay_guard::StopReason;
use super::rewrite_outcome::RewriteOutcome;
use crate::chunk::OwnedChatCompletionChunk;
use crate::completion::{FinishedCompletion, read_whole};
use crate::error::Error;
use crate::json::TEXT_LIMITS;
use crate::output_buffer::OutputBuffer;

/// A whole completion that a relay has written; see [`Relay::write_completion`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayedCompletion {
    /// The completion as the upstream sent it, as that of a stream which has ended well.
    pub finished: FinishedCompletion,
    /// The number of matches that the guard has replaced.
    pub redactions: u64,
}

/// The reason for which a relay doesn't write a whole completion.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompletionError {
    /// The body is no completion that can be read, such as an error of the upstream.
    Unreadable(Error),
    /// The guard has found something, or the body can't be checked.
    Stopped(StopReason),
}

impl CompletionError {
    /// Returns the name of the reason, in lower case with underscores.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Stopped(reason) => reason.as_str(),
        }
    }

    /// Returns the error in a body that can't be read.
    #[must_use]
    pub const fn unreadable(&self) -> Option<&Error> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Stopped(_) => None,
        }
    }

    /// Returns the reason for which a completion is withheld.
    #[must_use]
    pub const fn stopped(&self) -> Option<&StopReason> {
        match self {
            Self::Unreadable(_) => None,
            Self::Stopped(reason) => Some(reason),
        }
    }
}

impl From<Error> for CompletionError {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

impl fmt::Display for CompletionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the body is no completion: {error}"),
            Self::Stopped(reason) => write!(f, "the completion is withheld: {reason}"),
        }
    }
}

impl core::error::Error for CompletionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let error = self.unreadable()?;
        Some(error)
    }
}

impl Relay {
    /// Appends a whole completion, of an upstream that doesn't stream, to `out`.
    ///
    /// Its texts are searched as those of a stream, by the relay's guard. Then the editor applies its
    /// rules: a `delta` of a choice in a path selects its `message`. All other bytes are copied. An open
    /// stream of the relay isn't affected.
    ///
    /// ```
    /// use deltawire::gateway::{Editor, Guard, Relay, RelayGuard, Words};
    ///
    /// let mut editor = Editor::new();
    /// editor.replace("model", "our-alias");
    /// let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "[…]");
    /// let mut relay = Relay::builder().edit(editor).guard(guard).build();
    ///
    /// let body = br#"{"model": "m", "choices": [{"index": 0, "message": {"content": "a secret"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}"#;
    /// let mut out = Vec::new();
    /// let written = relay.write_completion(body, &mut out)?;
    /// assert_eq!(written.finished.completion.tokens().unwrap().completion, Some(2));
    /// assert_eq!(written.redactions, 1);
    /// let expected = r#"{"model": "our-alias", "choices": [{"index": 0, "message": {"content": "a […]"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}"#;
    /// assert_eq!(String::from_utf8(out)?, expected);
    ///
    /// let error = relay.write_completion(br#"{"error": {"code": 429}}"#, &mut Vec::new());
    /// assert!(error.is_err()); // forward it as it is, or write an error of the gateway
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # The completion
    ///
    /// The `message` of a choice counts. A `delta` beside it is a member of its
    /// [`extra`](crate::completion::CompletionChoice::extra). The index of a choice without one is its
    /// position. A body with the mark [`not_whole`](crate::completion::ChatCompletion::not_whole) keeps
    /// it, and has a defect.
    ///
    /// # Bounds
    ///
    /// The caller bounds the length of the body. The relay's [`Limits`](crate::Limits) don't apply, and
    /// these bounds do:
    ///
    /// - The guard's bound, by default 256 KiB, counts the body and the texts in it.
    /// - The body has at most 4 096 choices, the default nesting and less than 2 GiB.
    /// - `finished` lacks the members beyond 256 of one object, a usage beyond 64 KiB, and an id of a tool
    ///   call over 1 024 bytes. Its `limit_exceeded` reports that, and `out` has them all.
    ///
    /// Allocates the completion, and the memory of [`Guard::push_completion`](super::Guard::push_completion)
    /// and [`Editor::write_completion`](super::Editor::write_completion), one after the other. With a
    /// guard, it copies the body twice.
    ///
    /// # Errors
    ///
    /// Returns the reason, and appends nothing. Two choices with the same index are an error, and so is
    /// an index that isn't a whole number. Like a stream, a body with an unwatched value is stopped
    /// unless the guard [passes](super::RelayGuard::pass_unwatched) those.
    pub fn write_completion(
        &mut self,
        json: &[u8],
        out: &mut impl OutputBuffer,
    ) -> Result<RelayedCompletion, CompletionError> {
        out.with_vec(|out| self.append_completion(json, out))
    }

    fn append_completion(
        &mut self,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<RelayedCompletion, CompletionError> {
        let Stages { editor, guard, .. } = &mut self.stages;
        let body = OwnedChatCompletionChunk::read(json, &TEXT_LIMITS)?;
        let finished = read_whole(&body.as_chunk(), json.len() as u64)?;
        drop(body);
        let (mut body, mut redactions) = (json, 0);
        let mut guarded = Vec::new();
        if let Some(guard) = guard {
            redactions = guard.write_completion(json, &mut guarded)?;
            body = &guarded;
        }
        match editor {
            None => out.extend_from_slice(body),
            Some(editor) => {
                if editor.append_completion(body, out)? == RewriteOutcome::Dropped {
                    return Err(CompletionError::Stopped(StopReason::Unreadable));
                }
            }
        }
        Ok(RelayedCompletion { finished, redactions })
    }
}
