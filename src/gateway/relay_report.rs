//! `RelayReport`: how a relayed stream has ended, and the findings of the relay's parts.

use super::latency::LatencyReport;
use super::observe::StreamReport;
use super::relay_guard::StopReason;
use crate::completion::{FinishedCompletion, Handling, Outcome};
use crate::report::named;

/// How the caller ends a stream; see [`Relay::finish`](super::Relay::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelayEnd {
    /// The upstream's body has ended.
    Upstream,
    /// Reading the upstream's body has failed.
    UpstreamFailed,
    /// The gateway ends the stream: a time limit, a shutdown.
    Stopped,
    /// The client has left.
    ClientGone,
}

impl RelayEnd {
    /// Returns the name of the end, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::UpstreamFailed => "upstream_failed",
            Self::Stopped => "stopped",
            Self::ClientGone => "client_gone",
        }
    }
}

/// How a relayed stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayOutcome {
    /// The stream was [whole](StreamReport::whole).
    Complete,
    /// The stream was forwarded to its end, and it wasn't whole.
    ///
    /// [`StreamReport::outcome`] and [`StreamReport::whole`] have the reasons, such as an error that the
    /// upstream has reported, or a body of another API. A body that is no event stream has this outcome
    /// too. A choice behind `[DONE]` is a reason that only the relay considers.
    Other,
    /// The upstream's body has ended, or has failed, before the end of the stream.
    Cut,
    /// The gateway or its guard has stopped the stream.
    Stopped(StopReason),
    /// The client has left.
    ClientGone,
}

/// The part of the upstream's body that the client has received.
#[derive(Clone, Copy)]
pub(super) struct Received {
    /// The client may have received the whole body.
    pub(super) may_be_whole: bool,
    /// The client has received `[DONE]`.
    pub(super) is_done: bool,
    /// The body is no event stream, and isn't the first part of one.
    pub(super) is_other_body: bool,
}

impl RelayOutcome {
    /// Returns the outcome of a stream that wasn't stopped by its guard.
    pub(super) fn of(end: RelayEnd, received: Received, stream: &StreamReport) -> Self {
        let Received { may_be_whole, is_done, is_other_body } = received;
        // An unfinished `[DONE]` counts for the stream, but the relay may have dropped it.
        let lacks_done = stream.end.done > 0 && !is_done;
        let is_cut = matches!(stream.outcome, Outcome::Truncated | Outcome::Empty)
            || stream.end.is_event_cut()
            || lacks_done;
        // Its end isn't that of an event.
        let is_cut = if is_other_body { !may_be_whole } else { is_cut };
        let is_whole = may_be_whole && !lacks_done && stream.whole().is_ok();
        match end {
            RelayEnd::ClientGone => Self::ClientGone,
            _ if is_whole && is_done => Self::Complete,
            RelayEnd::Stopped => Self::Stopped(StopReason::Gateway),
            RelayEnd::UpstreamFailed => Self::Cut,
            RelayEnd::Upstream if is_whole => Self::Complete,
            RelayEnd::Upstream if is_cut => Self::Cut,
            RelayEnd::Upstream => Self::Other,
        }
    }

    /// Returns the name of the outcome, in lower case with underscores.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Other => "other",
            Self::Cut => "cut",
            Self::Stopped(reason) => reason.as_str(),
            Self::ClientGone => "client_gone",
        }
    }

    /// Returns the row of the outcome in the tables of [`Handling`].
    #[must_use]
    pub const fn handling(&self) -> Handling {
        match self {
            Self::Complete => Handling::new(200, [true, true, false]),
            Self::Other => Handling::new(502, [false, true, false]),
            Self::Cut => Handling::new(502, [false, true, true]),
            Self::Stopped(reason) => reason.handling(),
            Self::ClientGone => Handling::new(499, [false, true, false]),
        }
    }

    /// Returns the reason for which the gateway or its guard has stopped the stream.
    #[must_use]
    pub const fn stopped(&self) -> Option<&StopReason> {
        match self {
            Self::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns true if the relay writes an error event at the end.
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Cut | Self::Stopped(_))
    }
}

named!(RelayEnd, RelayOutcome);

/// The findings of a relay about one stream; see [`Relay::finish`](super::Relay::finish).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayReport {
    /// How the stream has ended.
    pub outcome: RelayOutcome,
    /// The findings about the upstream's stream: usage, finish reasons, errors.
    ///
    /// Bytes behind the event that stopped a stream don't count. That depends on how the body was cut. The
    /// LF of its last CRLF may be such a byte, and so are the further pieces of a line over a limit.
    pub stream: StreamReport,
    /// The time to the first token and the gaps, if the relay [measures](super::RelayBuilder::measure).
    pub latency: Option<LatencyReport>,
    /// The completion as the upstream sent it, if the relay [collects](super::RelayBuilder::collect) it.
    ///
    /// It is unedited and unredacted: replay it through a relay.
    pub completion: Option<FinishedCompletion>,
    /// The number of matches that the guard has replaced.
    pub redactions: u64,
    /// True if the client has received a part of an event, to which no end can be added.
    ///
    /// True too if it has a part of a body that is no event stream, and the upstream hasn't ended it.
    /// Abort the response then, so that the client doesn't take the end for that of a whole stream.
    pub must_abort: bool,
}

impl RelayReport {
    /// Returns the consequences of the outcome, and of the facts of the stream.
    ///
    /// A permission needs both rows: that of the outcome and that of the stream's outcome. The outcome
    /// [`Other`](RelayOutcome::Other) only repeats a failure of the stream, so the row of the stream's
    /// outcome decides about another attempt. A stream that is neither whole nor has a usage isn't
    /// billed. A stream with output of the model isn't retried.
    ///
    /// ```
    /// use std::time::Duration;
    /// use deltawire::gateway::{Relay, RelayEnd, RelayOutcome};
    ///
    /// let (mut relay, mut out) = (Relay::builder().build(), Vec::new());
    /// let piece = b"data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n";
    /// let _ = relay.push(piece, Duration::ZERO, &mut out);
    /// let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    /// assert_eq!(report.outcome, RelayOutcome::Other);
    /// assert!(report.handling().may_be_retried); // as for the stream's `UpstreamError`
    /// ```
    #[must_use]
    pub fn handling(&self) -> Handling {
        let (own, stream) = (self.outcome.handling(), self.stream.outcome.handling());
        let is_repeated = self.outcome == RelayOutcome::Other;
        self.stream.limited(Handling {
            may_be_cached: own.may_be_cached && stream.may_be_cached,
            may_be_billed: own.may_be_billed && stream.may_be_billed,
            may_be_retried: (own.may_be_retried || is_repeated) && stream.may_be_retried,
            ..own
        })
    }
}
