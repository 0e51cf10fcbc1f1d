//! `Outcome`: how a stream ended. Failure is never laundered into success.

use super::completion::ChatCompletion;
use crate::decoder::{Body, End};
use crate::json::Limit;

/// A completion, and how the stream that it comes from ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// What was gathered, whatever the outcome.
    pub completion: ChatCompletion,
    /// How the stream ended.
    pub outcome: Outcome,
    /// What the stream broke off in: each choice that has no finish reason. Empty where all have.
    pub pending: Vec<Pending>,
    /// The limit for which something was left out of the completion, if one was.
    pub limit_exceeded: Option<Limit>,
    /// What of the chunks was out of order.
    pub irregularities: Irregularities,
    /// What the decoder saw.
    pub end: End,
}

/// A choice that hasn't finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Its position in the completion's `choices`.
    pub choice: usize,
    /// The position of the call that the stream was at last, in the message's `tool_calls`: its
    /// arguments may be cut short, see
    /// [`FunctionCall::arguments_state`](super::FunctionCall::arguments_state).
    pub tool_call: Option<usize>,
}

/// What of a stream's chunks was out of order, and how often. Nothing of it ends the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Irregularities {
    /// Choices whose index is no whole number from 0 to `u64::MAX`. They are left out.
    pub invalid_choice_indexes: u32,
    /// Parts of tool calls with such an index. They are left out.
    pub invalid_tool_call_indexes: u32,
    /// Choices whose index is beyond their number: others are missing.
    pub sparse_choice_indexes: u32,
    /// Tool calls whose index is beyond their number.
    pub sparse_tool_call_indexes: u32,
    /// Parts of tool calls without an index: the id, or the name, said which call they belong to.
    pub tool_calls_without_index: u32,
    /// Parts of tool calls with another id than their call's, which keeps its own.
    pub changed_tool_call_ids: u32,
    /// Parts of a content that are neither text nor thinking nor reference nor refusal. They are
    /// left out.
    pub unknown_content_parts: u32,
}

impl Irregularities {
    pub(super) const fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($field:ident),*) => {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            };
        }
        add!(
            invalid_choice_indexes,
            invalid_tool_call_indexes,
            sparse_choice_indexes,
            sparse_tool_call_indexes,
            tool_calls_without_index,
            changed_tool_call_ids,
            unknown_content_parts
        );
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All choices finished, and `[DONE]` came.
    Complete,
    /// All choices finished, but no `[DONE]` came. Some servers never send it.
    FinishedWithoutDone,
    /// `[DONE]` came, but a choice has no finish reason, or there is no choice.
    DoneWithoutFinish,
    /// The stream stopped in the middle: neither `[DONE]` nor a finish reason for all choices.
    Truncated,
    /// The server reported an error; what came before it was gathered.
    UpstreamError,
    /// There was no event.
    Empty,
    /// The body is no event stream.
    NotAnEventStream(Body),
}

impl Outcome {
    /// Its name, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::FinishedWithoutDone => "finished_without_done",
            Self::DoneWithoutFinish => "done_without_finish",
            Self::Truncated => "truncated",
            Self::UpstreamError => "upstream_error",
            Self::Empty => "empty",
            Self::NotAnEventStream(_) => "not_an_event_stream",
        }
    }
}

/// By what the decoder saw, and by whether chunks and errors came: perhaps there was no decoder.
/// `finished` says that there are choices, and that all of them have a finish reason.
pub(crate) fn judge(finished: bool, end: &End, has_chunk: bool, has_error: bool) -> Outcome {
    if end.upstream_error.is_some() || has_error {
        return Outcome::UpstreamError;
    }
    if let Some(body) = end.body {
        return Outcome::NotAnEventStream(body);
    }
    match (finished, end.done > 0) {
        (true, true) => Outcome::Complete,
        (true, false) => Outcome::FinishedWithoutDone,
        (false, true) => Outcome::DoneWithoutFinish,
        (false, false) if end.is_empty() && !has_chunk => Outcome::Empty,
        (false, false) => Outcome::Truncated,
    }
}
