//! The report of `--report` on a stream, without its completion.

use deltawire::Outcome;
use deltawire::completion::{
    ChatCompletion, CompletionLimit, Defect, FinishedCompletion, NotWhole,
};
use deltawire::gateway::StreamReport;
use deltawire::sse::BodyKind;
use serde_json::{Map, Number, Value, json};

/// Returns the members of the report, except for the completion.
pub(crate) fn report(
    finished: &FinishedCompletion,
    seen: &StreamReport,
    (malformed, code): (Vec<Value>, Option<Value>),
    head: &BodyHead,
) -> Value {
    let defects = || finished.whole().err().into_iter().flat_map(NotWhole::defects);
    let because: Vec<_> = if let Some(completion) = head.completion(finished) {
        let is_whole = completion.choices.iter().all(|choice| choice.finish_reason.is_some());
        (!is_whole).then_some(Defect::Unfinished.as_str()).into_iter().collect()
    } else {
        defects().map(Defect::as_str).collect()
    };
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
    let mut report = json!({
        "outcome": finished.outcome.as_str(),
        "whole": because.is_empty(),
        "not_whole_because": because,
        "failed_finish": finished.failed_finish,
        "api": api,
        "error": error(finished, code, head),
        "tokens": tokens(seen),
        "irregularities": irregularities,
        "pending": pending.collect::<Vec<_>>(),
        "limit_exceeded": finished.limit_exceeded.map(CompletionLimit::as_str),
        "events": finished.end.events,
        "chunks": finished.end.chunks,
        "malformed": malformed,
        "bytes": finished.end.bytes,
    });
    if let (Some(body), Some(report)) = (body(finished, head), report.as_object_mut()) {
        report.insert("body".into(), body.into());
    }
    report
}

fn tokens(seen: &StreamReport) -> Option<Value> {
    let tokens = seen.tokens?;
    Some(json!({
        "prompt": tokens.prompt,
        "completion": tokens.completion,
        "total": tokens.total,
        "cached": tokens.cached,
        "reasoning": tokens.reasoning,
    }))
}

/// Returns the kind of the body, if it isn't an event stream.
fn body(finished: &FinishedCompletion, head: &BodyHead) -> Option<&'static str> {
    let Outcome::NotAnEventStream(body) = finished.outcome else { return None };
    if head.completion(finished).is_some() {
        return Some("completion");
    }
    Some(match body {
        BodyKind::Json => "json",
        BodyKind::Html => "html",
        BodyKind::Compressed => "compressed",
        _ => "other",
    })
}

/// Returns the error of the upstream, in the stream or in place of it.
///
/// `code` is the code of the first error event, as it was sent.
fn error(finished: &FinishedCompletion, code: Option<Value>, head: &BodyHead) -> Option<Value> {
    if let Some(error) = &finished.end.upstream_error {
        // The code of an error that the end of the stream cuts is available as a text only.
        let of_text = |text: &String| {
            serde_json::from_str::<Number>(text).map_or_else(|_| text.as_str().into(), Value::from)
        };
        return Some(json!({
            "message": error.message,
            "code": code.or_else(|| error.code.as_ref().map(of_text)),
            "type": error.r#type,
            "param": error.param,
            "offset": error.offset,
        }));
    }
    let is_body = matches!(finished.outcome, Outcome::NotAnEventStream(_));
    if !is_body || head.completion(finished).is_some() {
        return None;
    }
    let error = head.error()?;
    let named = |name| error.error().get(name);
    Some(json!({
        "message": error.message(),
        "code": named("code"),
        "type": named("type"),
        "param": named("param"),
        "offset": 0,
    }))
}

/// The beginning of a JSON body that replaces a stream.
#[derive(Default)]
pub(crate) struct BodyHead {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl BodyHead {
    const MOST_BYTES: usize = 16 << 20;

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let may_be_json =
            self.text().is_empty() || BodyKind::from_bytes(&self.bytes) == BodyKind::Json;
        let room = if may_be_json { Self::MOST_BYTES.saturating_sub(self.bytes.len()) } else { 0 };
        self.is_cut |= piece.len() > room;
        self.bytes.extend(piece.iter().take(room));
    }

    /// Returns the text behind a byte order mark and white space.
    fn text(&self) -> &[u8] {
        let text = self.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.bytes);
        let mark = [&b"\xEF"[..], b"\xEF\xBB"];
        if mark.contains(&text) { &[] } else { text.trim_ascii_start() }
    }

    /// Returns the body as a completion, if it is one that wasn't streamed.
    pub(crate) fn completion(&self, finished: &FinishedCompletion) -> Option<ChatCompletion> {
        let is_json = matches!(finished.outcome, Outcome::NotAnEventStream(BodyKind::Json));
        let read = || ChatCompletion::from_json(self.text()).ok();
        (is_json && !self.is_cut).then(read).flatten().filter(|it| !it.choices.is_empty())
    }

    /// Returns the body as an error, if it is JSON.
    pub(crate) fn error(&self) -> Option<BodyError> {
        let body: Value = serde_json::from_slice(self.text()).ok()?;
        Some(BodyError(match body {
            Value::Array(list) => list.into_iter().next()?,
            body => body,
        }))
    }
}

/// A JSON error body, whose members differ between servers.
pub(crate) struct BodyError(Value);

impl BodyError {
    /// Returns the value with the code and the type.
    fn error(&self) -> &Value {
        let Self(body) = self;
        // A text in `error` has its code and its type beside it, in the body.
        body.get("error").filter(|error| !error.is_null() && !error.is_string()).unwrap_or(body)
    }

    pub(crate) fn message(&self) -> String {
        let Self(body) = self;
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let named =
            ["message", "detail", "error", "msg"].into_iter().find_map(|name| error.get(name));
        let message = named.or_else(|| body.get("message")).unwrap_or(error);
        message.as_str().map_or_else(|| message.to_string(), str::to_owned)
    }
}
