//! Names of the enums that reports contain.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use deltawire::chunk::Api;
use deltawire::completion::{ArgumentsState, CompletionLimit, Defect, ReasoningName};
use deltawire::gateway::request::AskedBy;
use deltawire::gateway::{
    Guard, PushResult, Relay, RelayEnd, RelayFlow, RelayGuard, RelayOutcome, RewriteOutcome,
    SniffResult, StopReason, WatchedTextKind, Words,
};
use deltawire::json::ValueKind;
use deltawire::sse::{BodyKind, EventKind};
use deltawire::{ChunkDecoder, ErrorKind, Outcome, Payload};
use serde::Serialize;
use serde_json::json;

/// Returns the number of variants that the list of public items has for an enum.
fn variants(path: &str) -> usize {
    let prefix = format!("pub deltawire::{path}::");
    let variants =
        include_str!("../public-api.txt").lines().filter_map(|line| line.strip_prefix(&prefix));
    variants.filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase())).count()
}

fn is_lower_snake(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    name.split('_').all(is_word)
}

/// Checks the names of all variants of an enum, which `path` has in the list of public items.
#[track_caller]
fn check_names<T: Serialize + Display>(
    path: &str,
    values: &[T],
    as_str: impl Fn(&T) -> &'static str,
) {
    let names: BTreeSet<_> = values.iter().map(&as_str).collect();
    assert_eq!(names.len(), values.len(), "{path}: {names:?}");
    for value in values {
        let name = as_str(value);
        assert!(is_lower_snake(name), "{path}: {name}");
        assert_eq!(value.to_string(), name, "{path}");
        assert_eq!(serde_json::to_value(value).unwrap(), json!(name), "{path}");
        assert_eq!(format!("{value:>30}"), format!("{name:>30}"), "{path}");
    }
}

/// Checks the names of an enum, of which all variants are listed.
macro_rules! check {
    ($path:literal, $($value:expr),+ $(,)?) => {{
        let values = [$($value),+];
        assert_eq!(values.len(), variants($path), $path);
        check_names($path, &values, |value| value.as_str());
    }};
}

const BODIES: [BodyKind; 4] =
    [BodyKind::Json, BodyKind::Html, BodyKind::Compressed, BodyKind::Other];

const OUTCOMES: [Outcome; 10] = [
    Outcome::Complete,
    Outcome::FinishedWithoutDone,
    Outcome::MalformedEvent,
    Outcome::Truncated,
    Outcome::DoneWithoutFinish,
    Outcome::Empty,
    Outcome::FailedFinish,
    Outcome::AnotherApi(Api::Gemini),
    Outcome::NotAnEventStream(BodyKind::Html),
    Outcome::UpstreamError,
];

/// Returns the end of a stream whose guard has found a word.
fn stopped() -> RelayOutcome {
    let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n";
    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["word"]));
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    assert_eq!(relay.push(stream, Duration::ZERO, &mut out), RelayFlow::Stopped);
    relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out).outcome
}

/// Returns all reasons to stop, the first with the identity of a text.
fn stop_reasons() -> [StopReason; 5] {
    let RelayOutcome::Stopped(found) = stopped() else { panic!("no match") };
    [
        found,
        StopReason::Unwatched,
        StopReason::Unreadable,
        StopReason::TooLarge,
        StopReason::Gateway,
    ]
}

#[test]
fn each_end_has_a_name_of_its_own() {
    let [found, unwatched, unreadable, too_large, gateway] = stop_reasons();
    check!("gateway::StopReason", found, unwatched, unreadable, too_large, gateway);
    let stopped = stop_reasons().map(RelayOutcome::Stopped);
    let [complete, other, cut, gone] =
        [RelayOutcome::Complete, RelayOutcome::Other, RelayOutcome::Cut, RelayOutcome::ClientGone];
    let all: Vec<_> = [complete, other, cut, gone].into_iter().chain(stopped).collect();
    assert_eq!(all.len(), variants("gateway::RelayOutcome") - 1 + variants("gateway::StopReason"));
    check_names("gateway::RelayOutcome", &all, RelayOutcome::as_str);
    assert_eq!(OUTCOMES.len(), variants("Outcome"));
    check_names("Outcome", &OUTCOMES, |outcome| outcome.as_str());
    assert_eq!(BODIES.len(), variants("sse::BodyKind"));
    check_names("sse::BodyKind", &BODIES, |body| body.as_str());
    let mut sniffed = BODIES.map(SniffResult::NotAnEventStream).to_vec();
    sniffed.push(SniffResult::EventStream);
    assert_eq!(variants("gateway::SniffResult"), 2);
    check_names("gateway::SniffResult", &sniffed, |kind| kind.as_str());
}

#[test]
fn each_enum_without_a_value_is_its_name() {
    use WatchedTextKind as Text;

    check!(
        "chunk::Api",
        Api::AnthropicMessages,
        Api::OpenAiResponses,
        Api::OpenAiAssistants,
        Api::Gemini,
        Api::Cohere
    );
    check!(
        "completion::ArgumentsState",
        ArgumentsState::Empty,
        ArgumentsState::Complete,
        ArgumentsState::Incomplete,
        ArgumentsState::Several,
        ArgumentsState::Invalid,
    );
    check!(
        "completion::CompletionLimit",
        CompletionLimit::Choices,
        CompletionLimit::ToolCalls,
        CompletionLimit::Members,
        CompletionLimit::CompletionBytes,
        CompletionLimit::LogprobEntries,
        CompletionLimit::ToolCallId,
    );
    check!(
        "completion::Defect",
        Defect::NoCompletion,
        Defect::Unfinished,
        Defect::UpstreamError,
        Defect::FailedFinish,
        Defect::MalformedEvent,
        Defect::CutEvent,
        Defect::LimitExceeded,
        Defect::InvalidIndex,
        Defect::UnknownContentPart,
    );
    check!("completion::ReasoningName", ReasoningName::ReasoningContent, ReasoningName::Reasoning);
    check!("gateway::request::AskedBy", AskedBy::Client, AskedBy::Gateway, AskedBy::Neither);
    check!(
        "gateway::PushResult",
        PushResult::Text,
        PushResult::NoText,
        PushResult::Unwatched,
        PushResult::Full,
        PushResult::TooLarge,
    );
    check!(
        "gateway::RelayEnd",
        RelayEnd::Upstream,
        RelayEnd::UpstreamFailed,
        RelayEnd::Stopped,
        RelayEnd::ClientGone,
    );
    check!("gateway::RelayFlow", RelayFlow::Open, RelayFlow::Stopped);
    check!(
        "gateway::RewriteOutcome",
        RewriteOutcome::Unchanged,
        RewriteOutcome::Changed,
        RewriteOutcome::Dropped,
        RewriteOutcome::Unreadable,
    );
    check!(
        "gateway::WatchedTextKind",
        Text::Content,
        Text::Refusal,
        Text::ReasoningContent,
        Text::Reasoning,
        Text::FunctionName,
        Text::Arguments,
    );
    check!(
        "json::ValueKind",
        ValueKind::Null,
        ValueKind::Bool,
        ValueKind::Number,
        ValueKind::NonFiniteNumber,
        ValueKind::String,
        ValueKind::Array,
        ValueKind::Object,
    );
    check!(
        "sse::EventKind",
        EventKind::Message,
        EventKind::Undispatched,
        EventKind::Comment,
        EventKind::UnknownField,
        EventKind::BlankLine,
        EventKind::TooLarge,
        EventKind::Skipped,
    );
    #[cfg(feature = "http-body")]
    {
        use deltawire::adapters::BodyEnd;
        check!("adapters::BodyEnd", BodyEnd::Complete, BodyEnd::Failed, BodyEnd::Dropped);
    }
}

/// An `ErrorKind` is shown as a sentence and serialized as its name.
#[test]
fn the_kind_of_an_error_is_its_name() {
    let mut decoder = ChunkDecoder::new();
    let mut input = &b"data: {]\n\n"[..];
    let event = decoder.next(&mut input).unwrap();
    let Payload::Malformed(error) = event.payload() else { panic!("{event:?}") };
    assert_eq!(error.kind(), ErrorKind::ExpectedName);
    assert_eq!(serde_json::to_value(error.kind()).unwrap(), "expected_name");
    assert_eq!(error.to_string(), "expected a member name at byte 7");
}
