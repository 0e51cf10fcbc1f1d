//! What `--report` says of a stream besides its completion.

use deltawire::gateway::Observed;
use deltawire::{Defect, Finished, Limit, NotWhole, Outcome};
use serde_json::{Map, Value, json};

/// The members of the report, but for the completion.
pub(crate) fn report(
    finished: &Finished,
    seen: &Observed,
    malformed: Vec<Value>,
    head: &BodyHead,
) -> Value {
    let not_whole = finished.whole().err();
    let because = not_whole.into_iter().flat_map(NotWhole::defects);
    let pending = finished.pending.iter().map(|pending| {
        let choice = finished.completion.choices.get(pending.choice).map(|choice| choice.index);
        json!({"choice": choice, "tool_call": pending.tool_call})
    });
    let irregularities: Map<_, _> = finished
        .irregularities
        .iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    let api = match finished.outcome {
        Outcome::AnotherApi(api) => Some(api.as_str()),
        _ => None,
    };
    json!({
        "outcome": finished.outcome.as_str(),
        "whole": not_whole.is_none(),
        "not_whole_because": because.map(Defect::as_str).collect::<Vec<_>>(),
        "failed_finish": finished.failed_finish,
        "api": api,
        "error": error(finished, head),
        "tokens": tokens(seen),
        "irregularities": irregularities,
        "pending": pending.collect::<Vec<_>>(),
        "limit_exceeded": finished.limit_exceeded.map(Limit::as_str),
        "events": finished.end.events,
        "chunks": finished.end.chunks,
        "malformed": malformed,
        "bytes": finished.end.bytes,
    })
}

fn tokens(seen: &Observed) -> Option<Value> {
    let tokens = seen.tokens?;
    Some(json!({
        "prompt": tokens.prompt,
        "completion": tokens.completion,
        "total": tokens.total,
        "cached": tokens.cached,
        "reasoning": tokens.reasoning,
    }))
}

/// The error of the upstream, be it in the stream or instead of one.
fn error(finished: &Finished, head: &BodyHead) -> Option<Value> {
    if let Some(error) = &finished.end.upstream_error {
        // A code that was a number is one again.
        let code = error.code.as_deref();
        let code = code.map(|code| code.parse::<i64>().map_or_else(|_| code.into(), Value::from));
        return Some(json!({
            "message": error.message,
            "code": code,
            "type": error.r#type,
            "param": error.param,
            "offset": error.offset,
        }));
    }
    let is_body = matches!(finished.outcome, Outcome::NotAnEventStream(_));
    let message = head.error_message().filter(|_| is_body)?;
    Some(json!({"message": message, "code": null, "type": null, "param": null, "offset": 0}))
}

/// The beginning of a body, for an error that comes instead of a stream.
#[derive(Default)]
pub(crate) struct BodyHead {
    bytes: Vec<u8>,
}

impl BodyHead {
    const MOST_BYTES: usize = 1 << 20;

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let room = Self::MOST_BYTES.saturating_sub(self.bytes.len());
        self.bytes.extend(piece.iter().take(room));
    }

    /// The message of an error body in JSON, wherever servers put it.
    pub(crate) fn error_message(&self) -> Option<String> {
        let text = self.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.bytes);
        let body: Value = serde_json::from_slice(text).ok()?;
        let body = body.as_array().and_then(|list| list.first()).unwrap_or(&body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let named =
            ["message", "detail", "error", "msg"].into_iter().find_map(|name| error.get(name));
        let message = named.or_else(|| body.get("message")).unwrap_or(error);
        Some(message.as_str().map_or_else(|| message.to_string(), str::to_owned))
    }
}
