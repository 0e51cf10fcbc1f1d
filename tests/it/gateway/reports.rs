//! Reports as data: their names and their JSON, and the tables of `Handling`.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt::Display;
use std::time::Duration;

use deltawire::chunk::{Api, ErrorCode};
use deltawire::completion::{ArgumentsState, CompletionLimit, Defect, MessageText, ReasoningName};
use deltawire::gateway::request::AskedBy;
use deltawire::gateway::{
    EditRule, Guard, Handling, Observer, PushResult, Relay, RelayBuilder, RelayEnd, RelayFlow,
    RelayGuard, RelayOutcome, RelayReport, RewriteOutcome, SniffResult, StopReason, UsageTap,
    WatchedTextKind, Words, assemble,
};
use deltawire::json::ValueKind;
use deltawire::sse::{BodyKind, EventKind};
use deltawire::{ChunkDecoder, ErrorKind, Limits, Outcome, Payload, Reassembler, SseDecoder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::fold::{fold, payloads};
use crate::support::{oracle, recordings};

const SECRET: &str = "s3cret";

/// The time between two pieces of a relayed stream.
const STEP: Duration = Duration::from_millis(250);

/// Returns the number of variants that the list of public items has for an enum.
fn variants(path: &str) -> usize {
    let prefix = format!("pub deltawire::{path}::");
    let variants = include_str!("../../../public-api.txt")
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix));
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

/// Returns all reasons to stop, the first with the identity of a text.
fn stop_reasons() -> [StopReason; 5] {
    let RelayOutcome::Stopped(found) = stopped_report().outcome else { panic!("no match") };
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
fn each_text_has_a_name_of_its_own() {
    let texts: Vec<_> = MessageText::all().collect();
    assert_eq!(texts.len(), variants("completion::MessageText"));
    check_names("completion::MessageText", &texts, |text| text.as_str());
    let kinds: Vec<_> = WatchedTextKind::all().collect();
    assert_eq!(kinds.len(), variants("gateway::WatchedTextKind"));
    check_names("gateway::WatchedTextKind", &kinds, |kind| kind.as_str());
}

#[test]
fn each_enum_without_a_value_is_its_name() {
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
        Defect::MarkedNotWhole,
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
fn an_error_is_its_name_and_its_offset() {
    let mut decoder = ChunkDecoder::new();
    let mut input = &b"data: {]\n\n"[..];
    let event = decoder.next(&mut input).unwrap();
    let Payload::Malformed(error) = event.payload() else { panic!("{event:?}") };
    assert_eq!(error.kind(), ErrorKind::ExpectedName);
    assert_eq!(serde_json::to_string(error).unwrap(), r#"{"kind":"expected_name","offset":7}"#);
    assert_eq!(error.to_string(), "expected a member name at byte 7");
}

/// A `PathErrorKind` is shown as a sentence and serialized as its name.
#[test]
fn an_error_in_a_path_is_its_name_and_its_offset() {
    let names: BTreeSet<_> = [
        "model", "$", "$.a ", "$.1", "$[x]", "$[0", "$['a", "$[0].", "$['\\x']", "$['\n']",
        "$[01]", "$..a", "$[-1]", "$[-x]", "$[?", "$[:x]", "$[0,]", "$[0:",
    ]
    .into_iter()
    .map(|path| {
        let error = EditRule::remove(path).unwrap_err();
        let (name, shown) = (error.kind().as_str(), error.kind().to_string());
        assert!(is_lower_snake(name) && name != shown, "{path}");
        let json = serde_json::to_value(error).unwrap();
        assert_eq!(json, json!({"kind": name, "offset": error.offset()}), "{path}");
        assert_eq!(error.to_string(), format!("{shown} at byte {} of the path", error.offset()));
        name
    })
    .collect();
    let member = EditRule::set("$[0]", 1).unwrap_err().kind().as_str();
    assert_eq!(
        (names.len() + 1, names.contains(member)),
        (variants("gateway::PathErrorKind"), false)
    );
}

#[test]
fn the_code_of_an_error_is_written_as_sent() {
    for (sent, shown) in [("502", "502"), ("-1", "-1"), ("\"rate_limit\"", "rate_limit")] {
        let stream = format!("data: {{\"error\":{{\"code\":{sent}}}}}\n\n");
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        let event = decoder.next(&mut input).unwrap();
        let Payload::Error(error) = event.payload() else { panic!("{event:?}") };
        let code: ErrorCode<'_> = error.code().unwrap();
        assert_eq!(serde_json::to_string(&code).unwrap(), sent);
        assert_eq!(code.to_string(), shown);
    }
}

fn relayed(relay: RelayBuilder, pieces: &[&[u8]], end: RelayEnd) -> RelayReport {
    let (mut relay, mut out, mut now) = (relay.build(), Vec::new(), Duration::ZERO);
    for piece in pieces {
        now += STEP;
        if !relay.push(piece, now, &mut out).is_open() {
            break;
        }
    }
    relay.finish(end, now, &mut out)
}

/// Returns the report of a stream whose guard has found a word in the arguments of a call.
fn stopped_report() -> RelayReport {
    let stream = br#"data: {"choices":[{"index":3,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"s3cret"}}]}}]}

"#;
    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new([SECRET]));
    relayed(Relay::builder().guard(guard), &[stream], RelayEnd::Upstream)
}

/// Splits a stream behind each blank line.
fn blocks(stream: &[u8]) -> Vec<&[u8]> {
    let text = std::str::from_utf8(stream).unwrap();
    let end = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    text.split_inclusive(end).map(str::as_bytes).collect()
}

/// Returns true if a value has a text that isn't empty, besides the names of kinds.
fn has_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(has_text),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name != "type" && has_text(value))
        }
        _ => false,
    }
}

/// The members of a delta with texts of the model, as the docs of the observer list them.
const OUTPUT: [&str; 7] = [
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "tool_calls",
    "function_call",
];

/// Returns true if a chunk has output of the model.
fn has_output(chunk: &Value) -> bool {
    let mut choices = chunk["choices"].as_array().into_iter().flatten();
    choices.any(|choice| {
        let delta = &choice["delta"];
        // The end of the audio is a number only.
        let has_audio = delta["audio"].as_object().is_some_and(|audio| !audio.is_empty());
        has_audio || OUTPUT.iter().any(|name| has_text(&delta[name]))
    })
}

/// Returns the token counts of a usage, by the names of `docs/wire.md`.
fn counts(usage: &Value) -> Value {
    let first = |paths: &[&str]| {
        let mut counts = paths.iter().map(|path| usage.pointer(path).unwrap_or(&Value::Null));
        counts.find(|count| !count.is_null()).cloned()
    };
    let counts = json!({
        "prompt": first(&["/prompt_tokens"]),
        "completion": first(&["/completion_tokens"]),
        "total": first(&["/total_tokens"]),
        "cached": first(&[
            "/prompt_tokens_details/cached_tokens",
            "/cached_tokens",
            "/prompt_cache_hit_tokens",
        ]),
        "reasoning": first(&["/completion_tokens_details/reasoning_tokens", "/reasoning_tokens"]),
    });
    let has_count = counts.as_object().unwrap().values().any(|count| !count.is_null());
    if has_count { counts } else { Value::Null }
}

/// The figures of each recorded stream, by the standard's program and `serde_json`.
#[test]
fn a_report_of_a_recorded_stream_has_the_figures_of_its_events() {
    let mut texts = 0;
    for recording in recordings("openai-chat") {
        let file = &recording.file;
        let pieces = blocks(&recording.bytes);
        let report = relayed(Relay::builder().measure(), &pieces, RelayEnd::Upstream);
        let report = serde_json::to_value(&report).unwrap();
        let (stream, end, latency) =
            (&report["stream"], &report["stream"]["end"], &report["latency"]);

        // An unterminated last event is read too.
        let closed = [&recording.bytes[..], b"\n\n"].concat();
        let events = oracle::parse(&closed, "").events;
        let is_done = |data: &str| data.trim() == "[DONE]";
        let read: Vec<_> = events
            .iter()
            .filter(|event| !is_done(&event.data))
            .map(|event| serde_json::from_str::<Value>(&event.data))
            .collect();
        assert_eq!(end["bytes"], recording.bytes.len(), "{file}");
        assert_eq!(end["done"], events.len() - read.len(), "{file}");
        assert_eq!(end["malformed"], read.iter().filter(|value| value.is_err()).count(), "{file}");

        let folded = fold(&payloads(&recording.bytes));
        let counts = counts(&folded.usage);
        assert_eq!(stream["tokens"], counts, "{file}");
        let mut choices = stream["choices"].as_array().unwrap().clone();
        choices.sort_by_key(|choice| choice["index"].as_u64());
        let finished = folded
            .choices
            .iter()
            .map(|choice| json!({"index": choice.index, "finish_reason": choice.finish_reason}));
        assert_eq!(choices, finished.collect::<Vec<_>>(), "{file}");

        let times: Vec<_> = pieces
            .iter()
            .zip(1u32..)
            .flat_map(|(piece, number)| {
                let events = oracle::parse(&[piece, &b"\n\n"[..]].concat(), "").events;
                let chunks =
                    events.into_iter().filter_map(|event| serde_json::from_str(&event.data).ok());
                chunks.filter(has_output).map(move |_| f64::from(number) * 0.25)
            })
            .collect();
        assert_eq!(stream["deltas"], times.len(), "{file}");
        let tokens = counts["completion"].as_u64();
        assert_eq!(
            latency["output_tokens"].as_u64(),
            tokens.or(Some(times.len() as u64)),
            "{file}"
        );
        assert_eq!(latency["is_from_usage"], tokens.is_some(), "{file}");
        assert_eq!(
            latency["time_to_first_token_seconds"].as_f64(),
            times.first().copied(),
            "{file}"
        );
        let last = u32::try_from(pieces.len()).map(f64::from).unwrap();
        assert_eq!(latency["total_time_seconds"], last * 0.25, "{file}");
        assert_eq!(latency["gaps"]["count"], times.len().saturating_sub(1), "{file}");
        let span = times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first);
        assert_eq!(latency["gaps"]["sum_seconds"], span, "{file}");

        let line = report.to_string();
        for chunk in payloads(&recording.bytes) {
            for name in ["content", "reasoning_content", "reasoning", "refusal"] {
                let text = chunk["choices"][0]["delta"][name].as_str().unwrap_or_default();
                if text.trim().len() > 12 {
                    texts += 1;
                    assert!(!line.contains(text.trim()), "{file}: {text}");
                }
            }
        }
    }
    assert!(texts > 100 || crate::support::shared("corpus").is_none(), "{texts}");
}

/// Each enum is its name, and the value inside of it is a member beside it.
#[test]
fn a_value_inside_of_an_enum_is_a_member_beside_its_name() {
    let stopped = serde_json::to_value(stopped_report()).unwrap();
    assert_eq!(stopped["outcome"], "content_filter");
    assert_eq!(stopped["found"], json!({"choice": 3, "kind": "arguments", "element": 0}));
    assert_eq!(stopped["completion"], Value::Null);

    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new([SECRET]));
    let mut relay = Relay::builder().guard(guard).build();
    let mut failure = |body: &str| {
        let failed = relay.write_completion(body.as_bytes(), &mut Vec::new()).unwrap_err();
        serde_json::to_value(failed).unwrap()
    };
    let body = format!(r#"{{"choices":[{{"index":3,"message":{{"content":"{SECRET}"}}}}]}}"#);
    // Of a whole completion, the position of the choice.
    let found = json!({"choice": 0, "kind": "content", "element": null});
    let expected = json!({"reason": "content_filter", "error": null, "found": found});
    assert_eq!(failure(&body), expected);
    let error = json!({"kind": "expected_choices", "offset": 1});
    let expected = json!({"reason": "unreadable", "error": error, "found": null});
    assert_eq!(failure("{}"), expected);

    for (body, name, api, kind) in [
        (
            &b"data: {\"type\":\"message_start\"}\n\n"[..],
            "another_api",
            json!("anthropic_messages"),
            Value::Null,
        ),
        (b"<html>", "not_an_event_stream", Value::Null, json!("html")),
        (b"", "empty", Value::Null, Value::Null),
    ] {
        let report = relayed(Relay::builder().measure().collect(), &[body], RelayEnd::Upstream);
        let report = serde_json::to_value(report).unwrap();
        assert_eq!(report["found"], Value::Null);
        for part in [&report["stream"], &report["latency"], &report["completion"]] {
            assert_eq!(part["outcome"], name, "{part}");
        }
        for part in [&report["stream"]["end"], &report["latency"], &report["completion"]["end"]] {
            assert_eq!((&part["api"], &part["body"]), (&api, &kind), "{part}");
        }
    }
}

/// Returns a stream with a secret in each text and in each member outside the schema.
fn secret_stream() -> Vec<u8> {
    let delta = json!({
        "content": SECRET, "refusal": SECRET, "reasoning": SECRET, "reasoning_details": [{"text": SECRET}],
        "tool_calls": [{"index": 0, "id": SECRET, "function": {"name": SECRET, "arguments": SECRET}}],
        "audio": {"data": SECRET}, "x": SECRET,
    });
    let chunk = json!({
        "id": SECRET, "model": SECRET, "x": SECRET,
        "choices": [{"index": 0, "delta": delta, "logprobs": {"content": [{"token": SECRET}]}}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "note": SECRET},
    });
    let error =
        json!({"error": {"message": SECRET, "type": "server_error", "code": 502, "note": SECRET}});
    format!("data: {chunk}\n\ndata: {{\"{SECRET}\n\nevent: x\ndata: {error}\n\n: {SECRET}\n\ndata: {{\"{SECRET}")
        .into_bytes()
}

#[test]
fn only_a_completion_has_text() {
    let stream = secret_stream();
    let report = relayed(Relay::builder().measure(), &[&stream], RelayEnd::Upstream);
    let line = serde_json::to_string(&report).unwrap();
    assert!(!line.contains(SECRET), "{line}");
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(report["stream"]["outcome"], "upstream_error");
    let error = &report["stream"]["end"]["upstream_error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("502")));
    assert!(error.get("message").is_none(), "{error}");
    let defects = json!(["unfinished", "upstream_error", "malformed_event", "cut_event"]);
    assert_eq!(report["stream"]["not_whole"], defects);

    let report = relayed(Relay::builder().collect(), &[&stream], RelayEnd::Upstream);
    let mut report = serde_json::to_value(&report).unwrap();
    let completion = report["completion"]["completion"].take();
    assert_eq!(completion["choices"][0]["message"]["content"], SECRET);
    assert!(!report.to_string().contains(SECRET), "{report}");

    let (mut decoder, mut observer) = (ChunkDecoder::new(), Observer::new());
    let (mut input, mut reports) = (&stream[..], 0);
    while let Some(event) = decoder.next(&mut input) {
        if let Some(report) = observer.observe(&event) {
            let line = serde_json::to_string(&report).unwrap();
            assert!(!line.contains(SECRET), "{line}");
            reports += 1;
        }
        if let Payload::Chunk(chunk) = event.payload() {
            let flags = serde_json::to_value(chunk.content_flags()).unwrap();
            let set: Vec<_> = flags
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, is_set)| **is_set == true)
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(set, ["usage", "content", "refusal", "reasoning", "tool_call", "audio"]);
        }
    }
    assert_eq!(reports, 3, "usage, malformed, error");
}

/// The smaller reports, each as its JSON.
#[test]
fn a_member_has_the_name_of_its_field() {
    let mut framing = SseDecoder::new();
    assert!(framing.next(&mut &b"data: x"[..]).is_none());
    let end = serde_json::to_string(&framing.finish()).unwrap();
    assert_eq!(end, r#"{"bytes":7,"discarded_bytes":7}"#);

    let mut meter = deltawire::gateway::Meter::new();
    let first = meter.record(3, Duration::from_millis(1500));
    let first = serde_json::to_string(&first).unwrap();
    assert_eq!(first, r#"{"first_seconds":1.5,"gap_seconds":null,"simultaneous":2}"#);
    meter.record(1, Duration::from_secs(2));
    let gaps = serde_json::to_string(&meter.gaps()).unwrap();
    assert_eq!(gaps, r#"{"count":3,"sum_seconds":0.5,"min_seconds":0.0,"max_seconds":0.5}"#);

    let handling = serde_json::to_string(&Outcome::Empty.handling()).unwrap();
    assert_eq!(
        handling,
        r#"{"http_status":502,"may_be_cached":false,"may_be_billed":false,"may_be_retried":true}"#
    );

    let stream = b"data: {\"choices\":[{\"index\":-1},{\"index\":5,\"delta\":{\"content\":\"\\ud800\",\"tool_calls\":[{\"id\":1}]}}]}\n\n";
    let finished = assemble([&stream[..]]);
    let report = serde_json::to_value(&finished).unwrap();
    assert_eq!(report["pending"], json!([{"choice": 0, "tool_call": 0}]));
    let counts = report["irregularities"].as_object().unwrap();
    let named: Vec<_> =
        finished.irregularities.iter().map(|(name, count)| (name, u64::from(count))).collect();
    let written: Vec<_> =
        counts.iter().map(|(name, count)| (name.as_str(), count.as_u64().unwrap())).collect();
    assert_eq!(written, named);
    assert_eq!(
        (counts["invalid_choice_indexes"].as_u64(), counts["sparse_choice_indexes"].as_u64()),
        (Some(1), Some(1))
    );
    let deviations = json!({"lone_surrogates": 1, "non_finite_numbers": 0, "integers_out_of_range": 0, "floats_out_of_range": 0});
    assert_eq!(report["end"]["deviations"], deviations);
}

/// Returns the rows of a table in the docs of `Handling`: name, status, and three answers.
fn rows(table: &str) -> Vec<(String, Handling)> {
    let source = include_str!("../../../src/completion/handling.rs");
    let start = source.find(&format!("/// | [`{table}`]")).unwrap();
    let (_, table) = source.split_at(start);
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("/// | "));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
        let is_yes = |cell: &str| match cell {
            "yes" => true,
            "no" => false,
            other => panic!("{other} in {row}"),
        };
        let mut handling = Outcome::Complete.handling();
        handling.http_status = cells[1].parse().unwrap();
        handling.may_be_cached = is_yes(cells[2]);
        handling.may_be_billed = is_yes(cells[3]);
        handling.may_be_retried = is_yes(cells[4]);
        assert_eq!(cells.len(), 5, "{row}");
        (cells[0].trim_matches('`').to_owned(), handling)
    })
    .collect()
}

#[test]
fn the_tables_of_handling_are_those_of_the_docs() {
    let outcomes = OUTCOMES.map(|outcome| (outcome.as_str().to_owned(), outcome.handling()));
    assert_eq!(rows("Outcome"), outcomes);
    let relay =
        [RelayOutcome::Complete, RelayOutcome::Other, RelayOutcome::Cut, RelayOutcome::ClientGone];
    let relay = relay.map(|outcome| (outcome.as_str().to_owned(), outcome.handling()));
    assert_eq!(rows("RelayOutcome"), relay);
    let reasons = stop_reasons().map(|reason| (reason.as_str().to_owned(), reason.handling()));
    assert_eq!(rows("StopReason"), reasons);
    for reason in stop_reasons() {
        assert_eq!(RelayOutcome::Stopped(reason.clone()).handling(), reason.handling());
    }
    for (name, row) in outcomes.into_iter().chain(relay).chain(reasons) {
        assert_eq!(row.may_be_cached, row.http_status == 200, "{name}");
        assert!(!(row.may_be_cached && row.may_be_retried), "{name}");
    }
}

const ROLE: &[u8] = b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const TEXT: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const USAGE: &[u8] = b"data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n";
const FINISH: &[u8] = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Returns status, cached, billed, retried.
fn row(handling: Handling) -> (u16, bool, bool, bool) {
    let Handling { http_status, may_be_cached, may_be_billed, may_be_retried, .. } = handling;
    (http_status, may_be_cached, may_be_billed, may_be_retried)
}

#[test]
fn a_report_allows_no_more_than_its_facts() {
    let handled = |pieces: &[&[u8]], end| {
        let report = relayed(Relay::builder(), pieces, end);
        let stream = row(report.stream.handling());
        (row(report.handling()), stream)
    };
    let whole = (200, true, true, false);
    assert_eq!(handled(&[TEXT, FINISH, DONE], RelayEnd::Upstream), (whole, whole));
    // Output excludes another attempt, and a bill needs a usage.
    let cut = (502, false, false, false);
    assert_eq!(handled(&[TEXT], RelayEnd::Upstream), (cut, cut));
    let cut = (502, false, true, false);
    assert_eq!(handled(&[TEXT, USAGE], RelayEnd::Upstream), (cut, cut));
    let cut = (502, false, false, true);
    assert_eq!(handled(&[ROLE], RelayEnd::Upstream), (cut, cut));
    assert_eq!(handled(&[ROLE], RelayEnd::Stopped).0, (504, false, false, true));
    assert_eq!(handled(&[TEXT, USAGE], RelayEnd::ClientGone).0, (499, false, true, false));

    // `other` repeats the stream's own failure, and each other outcome needs both rows.
    let error = &b"data: {\"error\":{\"code\":503}}\n\n"[..];
    for (pieces, end, is_retried) in [
        (&[error][..], RelayEnd::Upstream, true),
        (&[ROLE, error, DONE], RelayEnd::Upstream, true),
        (&[error], RelayEnd::UpstreamFailed, true),
        (&[TEXT, error], RelayEnd::Upstream, false),
        (&[b"{\"error\":{\"code\":503}}"], RelayEnd::Upstream, false),
        (&[b"<html>\n"], RelayEnd::Upstream, false),
        (&[b"<html>\n"], RelayEnd::UpstreamFailed, false),
        (&[ROLE, DONE], RelayEnd::Upstream, false),
        (&[ROLE, DONE], RelayEnd::UpstreamFailed, false),
        (&[ROLE, FINISH], RelayEnd::UpstreamFailed, false),
        (&[], RelayEnd::Upstream, true),
    ] {
        let report = relayed(Relay::builder(), pieces, end);
        let context = format!("{} {} {end}", report.outcome, report.stream.outcome);
        assert_eq!(report.handling().may_be_retried, is_retried, "{context}");
        assert_eq!(report.stream.handling().may_be_retried, is_retried, "{context}");
    }

    // Complete by its outcome, and not whole: a choice was left out.
    let stream = [TEXT, FINISH, b"data: {\"choices\":[{\"index\":-1}]}\n\n", DONE].concat();
    let limits = Limits::new().with_max_choices(1);
    let two = [
        TEXT,
        FINISH,
        b"data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        DONE,
    ]
    .concat();
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::with_limits(limits));
    let mut input = &two[..];
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
    for finished in [assemble([&stream[..]]), completion.finish(decoder.finish())] {
        assert!(finished.whole().is_err());
        assert_eq!(
            (finished.handling().http_status, finished.handling().may_be_cached),
            (502, false)
        );
    }
    assert_eq!(row(assemble([TEXT, FINISH, DONE]).handling()), whole);
    assert_eq!(row(assemble([TEXT, USAGE]).handling()), (502, false, true, true));
}

/// A bill needs a count of tokens: an empty usage has none, and that of Groq or of a choice has one.
#[test]
fn a_stream_without_counts_is_not_billed() {
    for (usage, is_billed) in [
        ("{\"usage\":{}}", false),
        ("{\"usage\":{\"completion_tokens\":null}}", false),
        ("{\"usage\":{\"completion_tokens\":1}}", true),
        ("{\"x_groq\":{\"usage\":{\"completion_tokens\":1}}}", true),
        ("{\"choices\":[{\"index\":0,\"usage\":{\"completion_tokens\":1}}]}", true),
    ] {
        let stream = [TEXT, format!("data: {usage}\n\n").as_bytes()].concat();
        assert_eq!(assemble([&stream[..]]).handling().may_be_billed, is_billed, "{usage}");
        let mut tap = UsageTap::new();
        tap.push(&stream);
        assert_eq!(tap.finish().handling().may_be_billed, is_billed, "{usage}");
    }
}

/// A stream that ended well by its outcome has no status 200 if a value was left out.
#[test]
fn an_outcome_alone_is_no_success() {
    let part = b"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"hologram\",\"x\":1}]},\"finish_reason\":\"stop\"}]}\n\n";
    let finished = assemble([&part[..], DONE]);
    assert_eq!(finished.outcome, Outcome::Complete);
    assert_eq!(row(finished.handling()), (502, false, false, false));
    assert_eq!(
        finished.into_result().unwrap_err().not_whole().defects().collect::<Vec<_>>(),
        [Defect::UnknownContentPart]
    );
}

#[test]
fn a_result_is_ok_only_if_all_is_whole() {
    let report = relayed(Relay::builder(), &[TEXT, FINISH, DONE], RelayEnd::Upstream);
    assert_eq!(report.into_result().unwrap().outcome, RelayOutcome::Complete);
    let failure = relayed(Relay::builder(), &[TEXT], RelayEnd::Upstream).into_result().unwrap_err();
    assert_eq!(failure.to_string(), "relayed stream ended as cut, and the upstream's as truncated");
    assert_eq!(failure.source().unwrap().to_string(), "the completion is not whole: unfinished");
    assert_eq!(failure.report().stream.deltas, 1);
    assert_eq!(failure.into_report().outcome, RelayOutcome::Cut);
    // The client has left behind a whole stream: a failure without defects.
    let gone = relayed(Relay::builder(), &[TEXT, FINISH, DONE], RelayEnd::ClientGone);
    let failure = gone.into_result().unwrap_err();
    assert_eq!(
        failure.to_string(),
        "relayed stream ended as client_gone, and the upstream's as complete"
    );
    assert!(failure.source().is_none());

    let completion = assemble([TEXT, FINISH, DONE]).into_result().unwrap();
    assert_eq!(completion.choices[0].message.content.as_deref(), Some("Hi"));
    let failure = assemble([TEXT]).into_result().unwrap_err();
    assert_eq!(failure.to_string(), "stream ended as truncated");
    assert_eq!(failure.source().unwrap().to_string(), "the completion is not whole: unfinished");
    assert_eq!(failure.finished().outcome, Outcome::Truncated);
    assert_eq!(failure.into_finished(), assemble([TEXT]));
}

/// A tap's report is the stream's part of a relay's.
#[test]
fn a_tap_reports_as_a_relay_does() {
    let mut tap = UsageTap::new();
    tap.push(TEXT);
    tap.push(USAGE);
    let report = relayed(Relay::builder(), &[TEXT, USAGE], RelayEnd::Upstream);
    assert_eq!(
        serde_json::to_value(tap.finish()).unwrap(),
        serde_json::to_value(report.stream).unwrap()
    );
}
