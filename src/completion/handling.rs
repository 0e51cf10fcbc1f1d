//! `Handling`: the consequences of a stream's end for status, cache, bill and retry.

use super::outcome::{FinishedCompletion, Outcome};

/// The consequences of a stream's end: status, cache, bill and retry.
///
/// `handling` of an outcome is its row in these tables. `handling` of a report also considers the
/// facts of the stream: see the fields.
///
/// The report of a relay has the status of its outcome. A permission needs two rows there, that of its
/// outcome and that of the stream's. But `other` only repeats a failure of the stream, whose row then
/// decides about another attempt.
///
/// | [`Outcome`] | status | cached | billed | retried |
/// |---|---|---|---|---|
/// | `complete` | 200 | yes | yes | no |
/// | `finished_without_done` | 200 | yes | yes | no |
/// | `malformed_event` | 502 | no | yes | no |
/// | `truncated` | 502 | no | yes | yes |
/// | `done_without_finish` | 502 | no | yes | no |
/// | `empty` | 502 | no | no | yes |
/// | `failed_finish` | 502 | no | yes | yes |
/// | `another_api` | 502 | no | no | no |
/// | `not_an_event_stream` | 502 | no | no | no |
/// | `upstream_error` | 502 | no | yes | yes |
///
/// | [`RelayOutcome`](crate::gateway::RelayOutcome) | status | cached | billed | retried |
/// |---|---|---|---|---|
/// | `complete` | 200 | yes | yes | no |
/// | `other` | 502 | no | yes | no |
/// | `cut` | 502 | no | yes | yes |
/// | `client_gone` | 499 | no | yes | no |
///
/// | [`StopReason`](crate::gateway::StopReason) | status | cached | billed | retried |
/// |---|---|---|---|---|
/// | `content_filter` | 400 | no | yes | no |
/// | `unwatched_content` | 502 | no | yes | no |
/// | `unreadable_event` | 502 | no | yes | no |
/// | `guard_exceeded` | 502 | no | yes | no |
/// | `stopped` | 504 | no | yes | yes |
///
/// 499 is the status that nginx logs for a client that has left. Azure OpenAI answers a filtered
/// request with 400, and clients don't retry that.
///
/// ```
/// use deltawire::Outcome;
/// use deltawire::gateway::assemble;
///
/// let handling = Outcome::Truncated.handling();
/// assert_eq!((handling.http_status, handling.may_be_retried), (502, true));
///
/// let finished = assemble([&b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"[..]]);
/// assert_eq!(finished.outcome, Outcome::Truncated);
/// assert!(!finished.handling().may_be_billed); // there is no usage to bill by
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Handling {
    /// The HTTP status of the answer, if the client has received no part of it yet.
    ///
    /// A report of a stream that isn't whole has no status 200.
    pub http_status: u16,
    /// True if the completion, or the bytes of the stream, may be stored for later requests.
    ///
    /// An outcome alone doesn't allow that: [`FinishedCompletion::whole`] is required too. A report
    /// considers it.
    pub may_be_cached: bool,
    /// True if the tokens that the upstream has produced may be billed, by the reported usage.
    ///
    /// A report of a stream without a usage has `false`, unless the stream was whole. Then the number
    /// of observed events is an estimate of the tokens.
    pub may_be_billed: bool,
    /// True if another attempt may succeed, so the same request may be sent again.
    ///
    /// Send it only while the client has received no output. The report of a forwarded stream with
    /// output has `false`. An error of the upstream may have a code that excludes an attempt, such
    /// as 400. No row considers the code: see
    /// [`StreamSummary::upstream_error`](crate::StreamSummary::upstream_error).
    pub may_be_retried: bool,
}

impl Handling {
    /// Creates a row of the tables: the status; cached, billed, retried.
    pub(crate) const fn new(http_status: u16, [cached, billed, retried]: [bool; 3]) -> Self {
        Self { http_status, may_be_cached: cached, may_be_billed: billed, may_be_retried: retried }
    }

    /// Removes the permissions that the facts of a stream don't allow.
    pub(crate) const fn limited(mut self, is_whole: bool, has_usage: bool) -> Self {
        if !is_whole && self.http_status == 200 {
            self.http_status = 502;
        }
        self.may_be_cached &= is_whole;
        self.may_be_billed &= is_whole || has_usage;
        self
    }
}

impl Outcome {
    /// Returns the row of the outcome in the first table of [`Handling`].
    #[must_use]
    pub const fn handling(self) -> Handling {
        match self {
            Self::Complete | Self::FinishedWithoutDone => Handling::new(200, [true, true, false]),
            Self::MalformedEvent | Self::DoneWithoutFinish => {
                Handling::new(502, [false, true, false])
            }
            Self::Truncated | Self::FailedFinish | Self::UpstreamError => {
                Handling::new(502, [false, true, true])
            }
            Self::Empty => Handling::new(502, [false, false, true]),
            Self::AnotherApi(_) | Self::NotAnEventStream(_) => {
                Handling::new(502, [false, false, false])
            }
        }
    }
}

impl FinishedCompletion {
    /// Returns the consequences of the outcome, and of the facts of the completion.
    ///
    /// A completion that isn't whole has no status 200 and isn't cached. A completion that is neither
    /// whole nor has [`tokens`](crate::completion::ChatCompletion::tokens) isn't billed.
    #[must_use]
    pub fn handling(&self) -> Handling {
        let (is_whole, has_usage) = (self.not_whole.is_none(), self.completion.tokens().is_some());
        self.outcome.handling().limited(is_whole, has_usage)
    }
}
