//! The record of an answer that is over: a line of log, and the source of the figures.

use std::time::Duration;

use deltawire::chunk::TokenCounts;
use deltawire::completion::ChatCompletion;
use deltawire::gateway::{RelayOutcome, RelayReport};
use deltawire::{Outcome, StreamSummary};

use super::answer::Plan;

/// The findings about an answer. Times are in seconds.
pub(crate) struct Record {
    pub(crate) outcome: &'static str,
    pub(crate) is_error: bool,
    pub(crate) may_be_cached: bool,
    pub(crate) finish_reasons: String,
    pub(crate) tokens: TokenCounts,
    pub(crate) first_token: Option<f64>,
    pub(crate) per_token: Option<f64>,
    pub(crate) duration: f64,
    pub(crate) redactions: u64,
    /// The counts of a stream.
    pub(crate) stream: Option<StreamSummary>,
}

impl Record {
    pub(crate) fn of_stream(report: &RelayReport, plan: &Plan) -> Self {
        let stream = &report.stream;
        let reasons = stream.choices.iter().filter_map(|choice| choice.finish_reason.as_deref());
        let first = report.latency.and_then(|measured| measured.time_to_first_token);
        let mut tokens = stream.tokens.unwrap_or_default();
        tokens.completion = tokens.completion.or(Some(stream.deltas));
        // By the convention: the rest of the time, for each token after the first one.
        let others = tokens.completion.and_then(|count| u32::try_from(count).ok()?.checked_sub(1));
        let rest = first.and_then(|first| report.latency?.total_time.checked_sub(first));
        Self {
            outcome: outcome(report),
            is_error: report.outcome != RelayOutcome::Complete,
            may_be_cached: report.handling().may_be_cached,
            finish_reasons: reasons.collect::<Vec<_>>().join(","),
            tokens,
            first_token: first.as_ref().map(Duration::as_secs_f64),
            per_token: rest.and_then(|rest| Some(rest.checked_div(others?)?.as_secs_f64())),
            duration: plan.started.elapsed().as_secs_f64(),
            redactions: report.redactions,
            stream: Some(stream.end.clone()),
        }
    }

    /// Logs one line, with the names of OpenTelemetry for the values that have one.
    pub(crate) fn log(&self, plan: &Plan, completion: Option<&ChatCompletion>) {
        let json = completion.map(|completion| {
            let mut json = Vec::new();
            completion.write_json(&mut json);
            String::from_utf8_lossy(&json).into_owned()
        });
        let stream = self.stream.as_ref();
        tracing::info!(
            outcome = self.outcome,
            error.type = self.is_error.then_some(self.outcome),
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = &*plan.provider,
            gen_ai.request.model = plan.model.as_deref(),
            gen_ai.response.finish_reasons = self.finish_reasons,
            gen_ai.usage.input_tokens = self.tokens.prompt,
            gen_ai.usage.output_tokens = self.tokens.completion,
            gen_ai.server.request.duration = self.duration,
            gen_ai.server.time_to_first_token = self.first_token,
            gen_ai.server.time_per_output_token = self.per_token,
            cache = plan.cache,
            request_id = plan.request_id.as_deref(),
            redactions = self.redactions,
            events = stream.map(|end| end.events),
            malformed = stream.map(|end| end.malformed),
            bytes = stream.map(|end| end.bytes),
            completion = json,
            "{}",
            if stream.is_some() { "stream" } else { "completion" },
        );
    }
}

/// Returns the name of a stream's outcome.
///
/// The outcome of the events has priority over the end of the connection. A client that leaves after
/// an error leaves because of the error, and others close the connection at `[DONE]`.
fn outcome(report: &RelayReport) -> &'static str {
    use Outcome::{Empty, FinishedWithoutDone, MalformedEvent, Truncated};

    let RelayReport { outcome, stream, .. } = report;
    let has_ended =
        !matches!(stream.outcome, Truncated | Empty | FinishedWithoutDone | MalformedEvent);
    match outcome {
        RelayOutcome::Other => stream.outcome.as_str(),
        RelayOutcome::ClientGone | RelayOutcome::Cut if has_ended => stream.outcome.as_str(),
        outcome => outcome.as_str(),
    }
}
