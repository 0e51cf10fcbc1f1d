//! `Outcome`: how a stream ended. Failure is never laundered into success.

use super::completion::ChatCompletion;
use crate::decoder::{Body, End};

/// A completion, and how the stream that it comes from ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// What was gathered, whatever the outcome.
    pub completion: ChatCompletion,
    /// How the stream ended.
    pub outcome: Outcome,
    /// Something was left out of the completion since it would go over the limits.
    pub limit_exceeded: bool,
    /// What the decoder saw.
    pub end: End,
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

pub(super) fn judge(completion: &ChatCompletion, end: &End) -> Outcome {
    let choices = &completion.choices;
    let finished =
        !choices.is_empty() && choices.iter().all(|choice| choice.finish_reason.is_some());
    if end.upstream_error.is_some() {
        return Outcome::UpstreamError;
    }
    if let Some(body) = end.body {
        return Outcome::NotAnEventStream(body);
    }
    match (finished, end.done > 0) {
        (true, true) => Outcome::Complete,
        (true, false) => Outcome::FinishedWithoutDone,
        (false, true) => Outcome::DoneWithoutFinish,
        (false, false) if end.is_empty() => Outcome::Empty,
        (false, false) => Outcome::Truncated,
    }
}
