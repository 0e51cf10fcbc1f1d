//! The report of `--report` on a stream, without its completion.

use std::io;

use deltawire::Outcome;
use deltawire::completion::{CompletionLimit, Defect, FinishedCompletion, NotWhole};
use deltawire::gateway::{Relay, StreamReport};
use deltawire::json::OwnedValue;
use deltawire::sse::BodyKind;

use crate::output::{Object, array, one_line};

/// Adds the members of the report, except for the completion.
///
/// Of the pair, the malformed events and the code of the first error are JSON texts.
pub(crate) fn report(
    report: Object,
    finished: &FinishedCompletion,
    seen: &StreamReport,
    (malformed, code): (Vec<String>, Option<String>),
    head: &BodyHead,
) -> io::Result<Object> {
    let because = not_whole_because(finished, head);
    let api = match finished.outcome {
        Outcome::AnotherApi(api) => Some(api.as_str()),
        _ => None,
    };
    let mut irregularities = Object::default();
    for (name, count) in finished.irregularities.iter() {
        irregularities = irregularities.member(name, &count)?;
    }
    let report = report
        .member("outcome", finished.outcome.as_str())?
        .member("whole", &because.is_empty())?
        .member("not_whole_because", &because)?
        .member("failed_finish", &finished.failed_finish)?
        .member("api", &api)?
        .raw("error", &error(finished, code, head)?)
        .raw("tokens", &tokens(seen)?)
        .raw("irregularities", &irregularities.finish())
        .raw("pending", &pending(finished)?)
        .member("limit_exceeded", &finished.limit_exceeded.map(CompletionLimit::as_str))?
        .member("events", &finished.end.events)?
        .member("chunks", &finished.end.chunks)?
        .raw("malformed", &array(malformed))
        .member("bytes", &finished.end.bytes)?;
    match body(finished, head) {
        Some(body) => report.member("body", body),
        None => Ok(report),
    }
}

/// Returns the names of the defects, or those of a completion that wasn't streamed.
fn not_whole_because(finished: &FinishedCompletion, head: &BodyHead) -> Vec<&'static str> {
    let unstreamed = head.completion(finished);
    let error = unstreamed.as_ref().unwrap_or(finished).whole().err();
    error.into_iter().flat_map(NotWhole::defects).map(Defect::as_str).collect()
}

fn pending(finished: &FinishedCompletion) -> io::Result<String> {
    let pending = finished.pending.iter().map(|pending| {
        let choice = finished.completion.choices.get(pending.choice).map(|choice| choice.index);
        let of_choice = Object::default().member("choice", &choice)?;
        Ok(of_choice.member("tool_call", &pending.tool_call)?.finish())
    });
    Ok(array(pending.collect::<io::Result<Vec<_>>>()?))
}

fn tokens(seen: &StreamReport) -> io::Result<String> {
    let Some(tokens) = seen.tokens else { return Ok("null".into()) };
    let counts = Object::default()
        .member("prompt", &tokens.prompt)?
        .member("completion", &tokens.completion)?
        .member("total", &tokens.total)?
        .member("cached", &tokens.cached)?
        .member("reasoning", &tokens.reasoning)?;
    Ok(counts.finish())
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

/// Returns the error of the upstream, in the stream or in place of it, as a JSON text.
///
/// `code` is the code of the first error event, as it was sent.
fn error(
    finished: &FinishedCompletion,
    code: Option<String>,
    head: &BodyHead,
) -> io::Result<String> {
    if let Some(error) = &finished.end.upstream_error {
        let code = match (code, &error.code) {
            (Some(code), _) => code,
            (None, Some(text)) => code_of_text(text)?,
            (None, None) => "null".into(),
        };
        let error = Object::default()
            .member("message", &error.message)?
            .raw("code", &code)
            .member("type", &error.r#type)?
            .member("param", &error.param)?
            .member("offset", &error.offset)?;
        return Ok(error.finish());
    }
    let is_body = matches!(finished.outcome, Outcome::NotAnEventStream(_));
    let is_error = is_body && head.completion(finished).is_none();
    let Some(error) = head.error().filter(|_| is_error) else { return Ok("null".into()) };
    let named = |name| error.error().get(name);
    let error = Object::default()
        .member("message", &error.message())?
        .member("code", &named("code"))?
        .member("type", &named("type"))?
        .member("param", &named("param"))?
        .member("offset", &0)?;
    Ok(error.finish())
}

/// Returns the JSON of a code whose JSON isn't known, as if the end of the stream cuts its error.
fn code_of_text(text: &str) -> io::Result<String> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match OwnedValue::from_json(text.as_bytes()) {
        Ok(number) if is_number => one_line(&number),
        _ => one_line(text),
    }
}

/// The beginning of a JSON body that replaces a stream.
#[derive(Default)]
pub(crate) struct BodyHead {
    bytes: Vec<u8>,
    /// The start of the text in `bytes`: behind a byte order mark and white space.
    start: usize,
    is_cut: bool,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl BodyHead {
    const MOST_BYTES: usize = 16 << 20;

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let text = self.text();
        let may_be_json = text.is_empty() || BodyKind::from_bytes(text) == BodyKind::Json;
        let room = if may_be_json { Self::MOST_BYTES.saturating_sub(self.bytes.len()) } else { 0 };
        self.is_cut |= piece.len() > room;
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if self.start == 0 && self.bytes.starts_with(BOM) {
            self.start = BOM.len();
        }
        let text = self.text();
        self.start += text.len() - text.trim_ascii_start().len();
    }

    /// Returns the text behind a byte order mark and white space.
    fn text(&self) -> &[u8] {
        let text = self.bytes.get(self.start..).unwrap_or_default();
        let is_mark = self.start == 0 && BOM.starts_with(text);
        if is_mark { &[] } else { text }
    }

    /// Returns the body as a completion, if it is one that wasn't streamed.
    pub(crate) fn completion(&self, finished: &FinishedCompletion) -> Option<FinishedCompletion> {
        let is_json = matches!(finished.outcome, Outcome::NotAnEventStream(BodyKind::Json));
        if !is_json || self.is_cut {
            return None;
        }
        let read = Relay::builder().build().write_completion(self.text(), &mut Vec::new()).ok()?;
        Some(read.finished).filter(|it| !it.completion.choices.is_empty())
    }

    /// Returns the body as an error, if it is JSON.
    pub(crate) fn error(&self) -> Option<BodyError> {
        let body = self.text();
        if body.starts_with(b"[") {
            let list: Vec<OwnedValue> = serde_json::from_slice(body).ok()?;
            return list.into_iter().next().map(BodyError);
        }
        OwnedValue::from_json(body).ok().map(BodyError)
    }
}

/// A JSON error body, whose members differ between servers.
pub(crate) struct BodyError(OwnedValue);

impl BodyError {
    /// Returns the value with the code and the type.
    fn error(&self) -> &OwnedValue {
        let Self(body) = self;
        // A text in `error` has its code and its type beside it, in the body.
        let is_object = |error: &&OwnedValue| !is_null(error) && error.as_str().is_none();
        body.get("error").filter(is_object).unwrap_or(body)
    }

    pub(crate) fn message(&self) -> String {
        let Self(body) = self;
        let error = body.get("error").filter(|error| !is_null(error)).unwrap_or(body);
        let named =
            ["message", "detail", "error", "msg"].into_iter().find_map(|name| error.get(name));
        let message = named.or_else(|| body.get("message")).unwrap_or(error);
        let json = || one_line(message).unwrap_or_default();
        message.as_str().map_or_else(json, Into::into)
    }
}

fn is_null(value: &OwnedValue) -> bool {
    value.as_raw() == Some("null")
}
