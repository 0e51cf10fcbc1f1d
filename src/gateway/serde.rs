//! `Serialize` for reports about streams.
//!
//! A member has the name of its field, and times are numbers of seconds. An enum is written as its
//! name. A value inside of an enum is a member beside it, or `null`: `found`, `api`, `body`.

use super::edit_path::PathError;
use super::guard_search::TextMatch;
use super::latency::{InterTokenLatency, LatencyReport, MeterUpdate};
use super::observe::{ChoiceReport, EventReport, StreamReport};
use super::relay_completion::{CompletionError, RelayedCompletion};
use super::relay_guard::StopReason;
use super::relay_report::RelayReport;
use super::watched_text::WatchedTextId;
use crate::chunk::Api;
use crate::completion::Outcome;
use crate::report::report;
use crate::sse::BodyKind;

/// Returns the identity of the text that has stopped the stream.
const fn found(reason: &StopReason) -> Option<WatchedTextId> {
    match reason {
        StopReason::Found(id) => Some(*id),
        _ => None,
    }
}

/// Returns the API to which a stream belongs, if its outcome names it.
const fn api(outcome: Outcome) -> Option<Api> {
    match outcome {
        Outcome::AnotherApi(api) => Some(api),
        _ => None,
    }
}

/// Returns the kind of a body that isn't an event stream.
const fn body(outcome: Outcome) -> Option<BodyKind> {
    match outcome {
        Outcome::NotAnEventStream(body) => Some(body),
        _ => None,
    }
}

report!(RelayedCompletion { finished, redactions });

report!(PathError, error => { kind: error.kind(), offset: error.offset() });

report!(CompletionError, failed => {
    reason: failed.as_str(),
    error: failed.unreadable(),
    found: failed.stopped().and_then(found),
});

report!(RelayReport {
    outcome,
    stream,
    latency,
    completion,
    redactions,
    must_abort,
} with { found: outcome.stopped().and_then(found) });

report!(StreamReport {
    outcome,
    tokens,
    choices,
    deltas,
    limit_exceeded,
    failed_finish,
    end,
    not_whole,
});

report!(ChoiceReport { index, finish_reason });

report!(EventReport<'_> { tokens, finished, error, malformed });

report!(LatencyReport {
    time_to_first_token(seconds),
    total_time(seconds),
    gaps,
    output_tokens,
    is_from_usage,
    prompt_tokens,
    outcome,
} with { api: api(*outcome), body: body(*outcome) });

report!(InterTokenLatency { count, sum(seconds), min(seconds), max(seconds) });

report!(MeterUpdate { first(seconds), gap(seconds), simultaneous });

report!(WatchedTextId { choice, kind, element });

report!(TextMatch { id, range });
