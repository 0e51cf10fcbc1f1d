//! Failures that must not be reported as success, and completions that aren't whole.

use std::fmt::Write as _;

use deltawire::chunk::Api;
use deltawire::completion::{
    Change, ChatCompletion, CompletionLimit, Defect, FinishedCompletion, MessageText, NotWhole,
};
use deltawire::gateway::{
    Editor, Observer, Replay, RewriteOutcome, StreamReport, UsageTap, assemble,
};
use deltawire::sse::BodyKind;
use deltawire::{ChunkDecoder, Limits, Outcome, Payload, Reassembler, StreamSummary, Templates};
use proptest::prelude::*;

use crate::support::faults::{DONE, FINISHED, delta, limits, nested, push_all};
use crate::support::{recordings, shared};

/// Returns the results of reassembler, observer and tap for a stream.
fn judged(stream: &[u8], limits: &Limits) -> (FinishedCompletion, StreamReport, StreamReport) {
    let mut decoder = ChunkDecoder::with_limits(*limits);
    let mut completion = Reassembler::with_limits(*limits);
    let (mut observer, mut tap) = (Observer::with_limits(limits), UsageTap::with_limits(*limits));
    tap.push(stream);
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
        observer.observe(&event);
    }
    let end = decoder.finish();
    (completion.finish(end.clone()), observer.finish(end), tap.finish())
}

/// Asserts that reassembler, observer and tap agree, and returns the outcome and the defects.
fn agreed(stream: &[u8], limits: &Limits) -> (Outcome, Vec<Defect>) {
    let (finished, observed, tapped) = judged(stream, limits);
    let name = String::from_utf8_lossy(stream);
    assert_eq!(observed, tapped, "{name}");
    assert_eq!(finished.outcome, observed.outcome, "{name}");
    assert_eq!(finished.failed_finish, observed.failed_finish, "{name}");
    assert_eq!(finished.completion.not_whole, finished.whole().is_err(), "{name}");
    let defects = |whole: Result<(), NotWhole>| {
        whole.map_or_else(|not_whole| not_whole.defects().collect(), |()| Vec::new())
    };
    let (kept, seen): (Vec<_>, Vec<_>) = (defects(finished.whole()), defects(observed.whole()));
    // An observer stores no text, so limits on stored text don't apply to it.
    let is_kept_only = finished.limit_exceeded != Some(CompletionLimit::Choices)
        && observed.limit_exceeded.is_none();
    let of_both = |defect: &&Defect| **defect != LimitExceeded || !is_kept_only;
    assert!(
        kept.iter().filter(of_both).eq(seen.iter().filter(of_both)),
        "{kept:?} {seen:?} {name}"
    );
    (finished.outcome, kept)
}

use Defect::{
    CutEvent, FailedFinish, InvalidIndex, LimitExceeded, MalformedEvent, Unfinished,
    UnknownContentPart, UpstreamError,
};

/// Asserts the outcome and the defects of each stream that begins with a finished choice.
fn assert_judged(rows: &[(&str, Outcome, &[Defect])], limits: &Limits) {
    for (rest, outcome, defects) in rows {
        let stream = format!("{FINISHED}{rest}");
        assert_eq!(agreed(stream.as_bytes(), limits), (*outcome, defects.to_vec()), "{rest}");
    }
}

/// Returns an event whose chunk has a choice with these members.
fn choice(members: &str) -> String {
    format!("data: {{\"choices\":[{{{members}}}]}}\n\n")
}

/// Reports an error line beside `[DONE]` in one event.
#[test]
fn an_error_beside_the_end_is_one() {
    for rest in [
        "data: [DONE]\nerror: {\"message\":\"boom\"}\n\n",
        "id: 7\ndata: [DONE]\nerror: {\"message\":\"boom\"}\n\n",
        "error: {\"message\":\"boom\"}\ndata: [DONE]\n\n",
        "event: error\ndata: [DONE]\n\n",
    ] {
        assert_judged(&[(rest, Outcome::UpstreamError, &[UpstreamError])], &Limits::new());
    }
}

/// Reports an error without its blank line, whole or cut, before or behind `[DONE]`.
#[test]
fn an_error_at_the_end_is_one_without_its_blank_line() {
    for rest in [
        "event: error\ndata: [DONE]",
        "event: error\ndata: [DONE]\n",
        "event: error\ndata: {\"mess",
        "event: error",
        "data: {\"error\":{\"message\":\"boom\"}}",
        "data: { \"error\" : {\"mess",
        "data: {\"error\":{\"message\":\"x}",
        "data: {\"id\":\"c\",\"error\":{\"message\":\"boom\"}}",
        "data: {\"object\":\"error\",\"message\":\"boom\"}",
        "error: {\"message\":",
    ] {
        let found = [UpstreamError, CutEvent];
        assert_judged(&[(rest, Outcome::UpstreamError, &found)], &Limits::new());
        let behind = format!("{DONE}{rest}");
        assert_judged(&[(&behind, Outcome::UpstreamError, &[UpstreamError])], &Limits::new());
    }
    for (rest, defects) in [
        ("data: {\"error\":nul", &[CutEvent][..]),
        ("data: {\"error\":null,\"choices\":[", &[CutEvent]),
        ("data: {\"error\":\"\",", &[CutEvent]),
        ("error: null", &[]),
    ] {
        let behind = format!("{DONE}{rest}");
        assert_judged(&[(&behind, Outcome::Complete, defects)], &Limits::new());
    }
}

/// A choice that an invalid index or a limit leaves out has not finished.
#[test]
fn a_choice_that_is_left_out_has_not_finished() {
    for index in ["-1", "\"1\"", "1.0"] {
        for finish in ["", r#","finish_reason":"stop""#] {
            let rest = choice(&format!(r#""index":{index},"delta":{{"content":"b"}}{finish}"#));
            let defects = &[Unfinished, InvalidIndex];
            assert_judged(&[(&rest, Outcome::Truncated, defects)], &Limits::new());
            let rest = rest + DONE;
            assert_judged(&[(&rest, Outcome::DoneWithoutFinish, defects)], &Limits::new());
        }
    }
    let open = choice(r#""index":1,"delta":{"content":"b"}"#) + DONE;
    let ended = choice(r#""index":1,"delta":{"content":"b"},"finish_reason":"stop""#) + DONE;
    let over = (Outcome::DoneWithoutFinish, &[Unfinished, LimitExceeded]);
    let one = limits(|limits| limits.max_choices = 1);
    assert_judged(&[(&open, over.0, over.1), (&ended, over.0, over.1)], &one);
    // A choice without budget for its text is stored, so that its finish reason counts.
    let full = limits(|limits| limits.max_completion_bytes = 1);
    let rows = [(&*open, over.0, &over.1[..]), (&ended, Outcome::Complete, &[LimitExceeded])];
    assert_judged(&rows, &full);
}

/// A stream of legacy completions has texts, of which a chat completion contains none.
#[test]
fn a_legacy_text_without_a_delta_is_not_whole() {
    let text = |text: &str| choice(&format!(r#""index":0,"text":"{text}","finish_reason":null"#));
    let end = choice(r#""index":0,"text":"","finish_reason":"stop""#) + DONE;
    for texts in [&["Hi"][..], &["Hi", "Hi", "Hi"], &["a", "b", "c", "d"]] {
        let stream = texts.iter().map(|it| text(it)).collect::<String>() + &end;
        assert_judged(&[(&stream, Outcome::Complete, &[UnknownContentPart])], &Limits::new());
        for templates in [Templates::none(), Templates::new()] {
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            let mut completion = Reassembler::new();
            push_all(&mut completion, &mut decoder, stream.as_bytes());
            let parts = completion.irregularities().unknown_content_parts as usize;
            assert_eq!(parts, texts.len());
        }
    }
    // A copy of the delta, and an empty text.
    let copied = choice(r#""index":0,"text":"Hi","delta":{"content":"Hi"},"finish_reason":null"#);
    assert_judged(&[(&(copied + &end), Outcome::Complete, &[])], &Limits::new());
}

/// Reports each value that a message lacks, so that it does not pass for a whole one.
#[test]
fn values_that_a_message_lacks_are_reported() {
    let part = |members: &str| delta_text(members) + DONE;
    let call = part(r#""tool_calls":[{"index":-1,"function":{"arguments":"{}"}}]"#);
    let video = part(r#""content":[{"type":"video","video":{"url":"u"}}]"#);
    let rows = [
        (&*call, Outcome::Complete, &[InvalidIndex][..]),
        (&video, Outcome::Complete, &[UnknownContentPart]),
    ];
    assert_judged(&rows, &Limits::new());
    for message in [
        r#"{"content":[{"type":"video"}]}"#,
        r#"{"content":true}"#,
        r#"{"reasoning_content":true}"#,
        r#"{"function_call":{"arguments":true}}"#,
        r#"{"tool_calls":[{"id":true}]}"#,
        r#"{"audio":5}"#,
        r#""text""#,
    ] {
        // After deltas of the choice, and without any.
        for index in [0, 1] {
            let whole =
                choice(&format!(r#""index":{index},"message":{message},"finish_reason":"stop""#));
            for stream in [format!("{whole}{DONE}"), format!("{whole}{whole}{DONE}")] {
                assert_judged(
                    &[(&stream, Outcome::Complete, &[UnknownContentPart])],
                    &Limits::new(),
                );
            }
        }
    }
    let long = part(&format!(r#""content":"{}""#, "x".repeat(300)));
    let full = limits(|limits| limits.max_completion_bytes = 700);
    assert_judged(&[(&long, Outcome::Complete, &[LimitExceeded])], &full);
}

/// Reports an event in the middle of a text that is malformed, or is over its limit.
#[test]
fn an_event_that_is_lost_is_reported() {
    let lost = (Outcome::MalformedEvent, &[MalformedEvent][..]);
    let cut = format!("data: {{\"choices\":[{{\"del\n\n{DONE}");
    let deep = format!("data: {}\n\n{DONE}", nested(200, "1"));
    let torn = "data: {\"choices\":[{\"del\n\n";
    let rows = [&*cut, &deep, torn, "data: x\n\n"].map(|rest| (rest, lost.0, lost.1));
    assert_judged(&rows, &Limits::new());
    let small = limits(|limits| limits.max_event_bytes = 200);
    let long = "x".repeat(300);
    let text = delta_text(&format!(r#""content":"{long}""#)) + DONE;
    let error = format!("data: {{\"error\":{{\"message\":\"{long}\"}}}}\n\n{DONE}");
    assert_judged(&[(&text, lost.0, lost.1), (&error, lost.0, lost.1)], &small);
    let half = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xE5\xA5\"}}]}\n\n";
    let stream = [FINISHED.as_bytes(), half, DONE.as_bytes()].concat();
    assert_eq!(agreed(&stream, &Limits::new()), (lost.0, lost.1.to_vec()));
    // The stream ends within an event, without `[DONE]`.
    let usage = "data: {\"usage\":{\"prompt_tok";
    let rows = [
        (usage, Outcome::FinishedWithoutDone, &[CutEvent][..]),
        (DONE, Outcome::Complete, &[]),
        ("data: [DONE]", Outcome::Complete, &[]),
        ("", Outcome::FinishedWithoutDone, &[]),
    ];
    assert_judged(&rows, &Limits::new());
}

/// A later finish reason cancels neither a failed finish nor an error of the choice.
#[test]
fn failures_of_a_choice_stay() {
    let failed = choice(r#""index":0,"finish_reason":"error""#);
    let error = choice(r#""index":0,"error":{"message":"m","code":504}"#);
    for behind in ["", FINISHED] {
        let rest = format!("{failed}{behind}{DONE}");
        assert_judged(&[(&rest, Outcome::FailedFinish, &[FailedFinish])], &Limits::new());
        let rest = format!("{error}{behind}{DONE}");
        assert_judged(&[(&rest, Outcome::UpstreamError, &[UpstreamError])], &Limits::new());
    }
    let none = choice(r#""index":0,"error":null"#) + DONE;
    assert_judged(&[(&none, Outcome::Complete, &[])], &Limits::new());
}

fn delta_text(members: &str) -> String {
    String::from_utf8(delta(members)).unwrap()
}

/// A finish reason that names a failure is a failed finish.
#[test]
fn finish_reason_that_names_a_failure_is_a_failed_finish() {
    for (reason, fails) in [
        ("abort", true),
        ("aborted", true),
        ("cancelled", true),
        ("canceled", true),
        ("error", true),
        ("failed", true),
        ("network_error", true),
        ("engine_error", true),
        ("insufficient_system_resource", true),
        ("Error", true),
        ("timeout", true),
        ("TIMEOUT", true),
        ("not_finished", true),
        ("time_limit", true),
        ("cancel", true),
        ("user_cancel", true),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", true),
        ("function_call_filter: UNEXPECTED_TOOL_CALL", true),
        ("malformed_tool_use", true),
        ("malformed_model_output", true),
        ("MALFORMED_FUNCTION_CALL", true),
        ("error_limit", true),
        ("ERROR_TOXIC", true),
        ("stop", false),
        ("length", false),
        ("content_filter", false),
        ("eos", false),
        ("model_length", false),
        ("terror", false),
        ("errors", false),
        ("max_time", false),
        ("finished", false),
        ("function_call", false),
    ] {
        let stream =
            format!("data: {{\"choices\":[{{\"finish_reason\":\"{reason}\"}}]}}\n\n{DONE}");
        let (finished, observed, _) = judged(stream.as_bytes(), &Limits::new());
        let expected = if fails { Outcome::FailedFinish } else { Outcome::Complete };
        assert_eq!(agreed(stream.as_bytes(), &Limits::new()).0, expected, "{reason}");
        assert_eq!(finished.failed_finish.as_deref(), fails.then_some(reason));
        assert_eq!(observed.failed_finish.as_deref(), fails.then_some(reason));
        assert_eq!(finished.completion.choices[0].finish_reason.as_deref(), Some(reason));
    }
}

/// Reports an error of a choice, also behind equal chunks without an error.
#[test]
fn an_error_of_a_choice_is_reported() {
    let chunk = |error: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"error\":{error}}}]}}\n\n")
    };
    let stream = [chunk("\"\"").repeat(5), chunk("\"boom\""), chunk("\"\"")].concat();
    let mut decoder = ChunkDecoder::new();
    let mut input = stream.as_bytes();
    let mut errors = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        errors.push(matches!(event.payload(), Payload::Error(_)));
    }
    assert_eq!(errors, [false, false, false, false, false, true, false]);
    let (finished, ..) = judged(
        br#"data: {"choices":[{"index":0,"delta":{"content":"Half"},"error":{"code":504,"message":"timed out"},"finish_reason":"error"}]}

"#,
        &Limits::new(),
    );
    let error = finished.end.upstream_error.unwrap();
    assert_eq!((error.code.as_deref(), error.message.as_deref()), (Some("504"), Some("timed out")));
    assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Half"));
    assert!(finished.completion.choices[0].extra.is_empty());
}

/// A completion that isn't whole has `not_whole` set, also after JSON and after a replay.
#[test]
fn a_completion_that_is_not_whole_knows_it() {
    let long = delta(&format!(r#""content":"{}""#, "x".repeat(300)));
    let stream = [&long[..], FINISHED.as_bytes(), DONE.as_bytes()].concat();
    let limits = limits(|limits| limits.max_completion_bytes = 600);
    let (finished, ..) = judged(&stream, &limits);
    assert_eq!(finished.outcome, Outcome::Complete);
    assert_eq!(
        finished.whole().unwrap_err().to_string(),
        "the completion is not whole: limit_exceeded"
    );
    let json = serde_json::to_string(&finished.completion).unwrap();
    let read = ChatCompletion::from_json(json.as_bytes()).unwrap();
    assert!(read.not_whole && serde_json::to_string(&read).unwrap() == json);
    for completion in [&finished.completion, &read] {
        let mut out = Vec::new();
        Replay::new(completion).write_all(&mut out);
        assert!(!out.ends_with(DONE.as_bytes()));
        let again = assemble([&out[..]]);
        assert_eq!(again.outcome, Outcome::UpstreamError);
        let error = again.end.upstream_error.as_ref().unwrap();
        assert_eq!(error.code.as_deref(), Some("not_whole"));
        assert!(again.completion.not_whole && again.completion == *completion);
    }
    let (whole, ..) = judged(format!("{FINISHED}{DONE}").as_bytes(), &Limits::new());
    let json = serde_json::to_string(&whole.completion).unwrap();
    assert!(whole.whole().is_ok() && !json.contains("not_whole"));
}

/// A salvaged stream is reported as cut.
#[test]
fn a_salvaged_stream_was_cut() {
    for (stream, is_cut) in [(FINISHED.trim_end(), true), (FINISHED, false)] {
        let mut decoder = ChunkDecoder::new();
        let mut completion = Reassembler::new();
        push_all(&mut completion, &mut decoder, stream.as_bytes());
        if let Some(event) = decoder.salvage() {
            completion.push_payload(event.payload());
        }
        let finished = completion.finish(decoder.finish());
        assert_eq!((finished.end.is_cut, finished.end.discarded_bytes), (is_cut, 0));
        assert_eq!((finished.outcome, finished.whole()), (Outcome::FinishedWithoutDone, Ok(())));
    }
}

/// An editor with a rule reports an event with an `error:` line, since it doesn't edit this line.
#[test]
fn an_error_line_beside_an_edit_is_reported() {
    let mut editor = Editor::new();
    for has_rule in [false, true] {
        if has_rule {
            editor.replace("model", "alias");
        }
        let stream = b"data: {\"model\":\"llama\",\"choices\":[]}\nerror: {\"message\":\"llama failed\"}\n\n";
        let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
        let mut input = &stream[..];
        let edited = editor.write(&decoder.next(&mut input).unwrap(), &mut out);
        assert_eq!(edited == RewriteOutcome::Unreadable, has_rule);
        assert_eq!(String::from_utf8(out).unwrap().contains("\"alias\""), has_rule);
    }
}

/// Reports recorded streams of other APIs as such, without an empty usage.
#[test]
fn streams_of_other_apis_are_reported() {
    let Some(corpus) = shared("corpus") else { return };
    let mut found = 0;
    for (begin, api) in [
        ("anthropic__", Api::AnthropicMessages),
        ("openai-responses__", Api::OpenAiResponses),
        ("gemini__", Api::Gemini),
        ("cohere__", Api::Cohere),
        ("openai-assistants__", Api::OpenAiAssistants),
    ] {
        for entry in std::fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.starts_with(begin) || path.extension().is_none_or(|kind| kind != "sse") {
                continue;
            }
            let stream = std::fs::read(&path).unwrap();
            let (outcome, defects) = agreed(&stream, &Limits::new());
            assert_eq!(outcome, Outcome::AnotherApi(api), "{name}");
            assert_eq!(defects, [Defect::NoCompletion], "{name}");
            let (_, observed, _) = judged(&stream, &Limits::new());
            assert!(observed.tokens.is_none_or(|tokens| !tokens.is_empty()), "{name}");
            found += 1;
        }
    }
    assert_eq!(found, 24);
}

/// Recorded chats aren't streams of another API, and have no defects if their outcome is clean.
#[test]
fn recorded_chats_with_a_clean_outcome_are_whole() {
    let mut whole = 0;
    for recording in recordings("openai-chat") {
        let (outcome, defects) = agreed(&recording.bytes, &Limits::new());
        assert!(!matches!(outcome, Outcome::AnotherApi(_)), "{}", recording.file);
        let is_clean = matches!(outcome, Outcome::Complete | Outcome::FinishedWithoutDone);
        assert_eq!(is_clean, defects.is_empty(), "{}: {defects:?}", recording.file);
        whole += usize::from(is_clean);
    }
    assert!(whole > 90 || shared("corpus").is_none(), "{whole}");
}

/// Generates choices, most of them valid.
fn choices() -> impl Strategy<Value = String> {
    let index = prop_oneof![
        4 => (0u8..4).prop_map(|index| format!(r#""index":{index},"#)),
        1 => Just(String::new()),
        1 => proptest::sample::select(vec!["-1", "\"1\"", "1.0", "null", "true", "18446744073709551616"])
            .prop_map(|index| format!(r#""index":{index},"#)),
    ];
    let delta = proptest::sample::select(vec![
        r#""content":"abc""#,
        r#""content":"""#,
        r#""reasoning":"abc""#,
        r#""content":[{"type":"text","text":"a"},{"type":"video"}]"#,
        r#""content":[{"type":"thinking","thinking":[{"text":"t"}]},5]"#,
        r#""content":[{"type":"thinking","thinking":["a",{"x":"X"}]}]"#,
        r#""content":[{"type":"image_url","image_url":{"url":"u"},"thinking":null}]"#,
        r#""content":[{"type":"text","text":null,"content":"X"}]"#,
        r#""refusal":[{"text":"a"},{"refusal":"X"}]"#,
        r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
        r#""tool_calls":[{"index":1.5,"function":{"arguments":"{}"}},{"index":1}]"#,
        r#""tool_calls":[{"id":"b","index":"0"}]"#,
        r#""role":"assistant""#,
        "",
    ]);
    let finish = proptest::sample::select(vec![
        "",
        "",
        "",
        r#","finish_reason":null"#,
        r#","finish_reason":"""#,
        r#","finish_reason":"stop""#,
        r#","finish_reason":"length""#,
        r#","finish_reason":"abort""#,
        r#","error":null"#,
        r#","error":{"code":5}"#,
        r#","finish_reason":"a very long reason, longer than any server has ever sent, of which nobody knows what it means""#,
    ]);
    (index, delta, finish)
        .prop_map(|(index, delta, finish)| format!(r#"{{{index}"delta":{{{delta}}}{finish}}}"#))
}

fn events() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => proptest::collection::vec(choices(), 0..3)
            .prop_map(|choices| format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","))),
        1 => proptest::sample::select(vec![
            "data: [DONE]\n\n", "data: [DONE]\nerror: {\"message\":\"m\"}\n\n", "data: {\"choices\":[{\"d\n\n",
            ": ping\n\n", "event: error\ndata: {}\n\n", "data: {\"usage\":{\"prompt_tokens\":3}}\n\n",
            "data: {\"type\":\"message_start\"}\n\n", "data: {\"candidates\":[]}\n\n", "error: {\"code\":5}\n",
            "data: {\"error\":{\"message\":\"m\"}}\n\n", "data: {\"x\":{\"y\":1}}\n\n",
        ]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/faults.txt", 2000))]

    /// Reassembler, observer and tap agree on every stream; an unclean outcome has a defect.
    #[test]
    fn reassembler_observer_and_tap_agree_on_every_stream(
        events in proptest::collection::vec((events(), 1usize..4), 1..8),
        cut in prop_oneof![3 => Just(0usize), 1 => 1usize..30],
        choices in 0usize..4,
        completion_bytes in prop_oneof![Just(0usize), Just(700), Just(1 << 20)],
        event_bytes in prop_oneof![3 => Just(1usize << 20), 1 => Just(120)],
        (tool_calls, json_values) in (0usize..3, prop_oneof![3 => Just(1usize << 20), 1 => Just(16)]),
    ) {
        let mut stream = events.iter().fold(String::new(), |mut stream, (event, times)| {
            (0..*times).for_each(|_| stream.write_str(event).unwrap());
            stream
        });
        stream.truncate(stream.len().saturating_sub(cut));
        let limits = limits(|limits| {
            limits.max_choices = choices;
            limits.max_completion_bytes = completion_bytes;
            limits.max_event_bytes = event_bytes;
            limits.max_tool_calls = tool_calls;
            limits.max_json_values = json_values;
        });
        let (outcome, defects) = agreed(stream.as_bytes(), &limits);
        let is_clean = matches!(outcome, Outcome::Complete | Outcome::FinishedWithoutDone);
        prop_assert!(is_clean || !defects.is_empty());
        if is_clean {
            prop_assert!(!defects.contains(&Unfinished) && !defects.contains(&MalformedEvent));
        }
        // Each change of the last push points into the snapshot.
        let mut completion = Reassembler::with_limits(limits);
        let mut decoder = ChunkDecoder::with_limits(limits);
        let mut input = stream.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
            let (snapshot, changes) = completion.snapshot_with_changes();
            prop_assert!(snapshot.choices.is_sorted_by_key(|choice| choice.index));
            for change in changes {
                if let Change::Text { choice, text: MessageText::Content, start } = *change {
                    prop_assert!(snapshot.choices[choice].message.content.as_deref().unwrap().is_char_boundary(start));
                }
            }
        }
    }
}

/// A value that replaces a text and contains none is lost, and is reported as a defect.
#[test]
fn a_value_in_place_of_a_text_is_reported() {
    for (member, is_lost) in [
        (r#""content":true"#, true),
        (r#""content":{"a":1}"#, true),
        (r#""content":{"text":"a"}"#, false),
        (r#""content":7"#, false),
        (r#""content":null"#, false),
        (r#""content":[true]"#, true),
        (r#""refusal":true"#, true),
        (r#""refusal":7"#, false),
        (r#""reasoning":{"a":1}"#, true),
        (r#""reasoning":[1]"#, true),
        (r#""reasoning":{"text":"a"}"#, false),
        (r#""reasoning_content":[{"text":"a"}]"#, false),
        (r#""tool_calls":"x""#, true),
        (r#""tool_calls":["x"]"#, true),
        (r#""tool_calls":[null]"#, false),
        (r#""tool_calls":null"#, false),
        (r#""tool_calls":[{"index":0,"function":{"arguments":[1]}}]"#, true),
        (r#""tool_calls":[{"index":0,"function":{"arguments":true}}]"#, true),
        (r#""tool_calls":[{"index":0,"function":{"arguments":{"a":1}}}]"#, false),
        (r#""tool_calls":[{"index":0,"function":"f"}]"#, true),
        (r#""tool_calls":[{"index":0,"function":{"name":["f"]}}]"#, true),
        (r#""tool_calls":[{"index":0,"function":{"name":7}}]"#, false),
        (r#""tool_calls":[{"index":0,"id":{"a":1}}]"#, true),
        (r#""tool_calls":[{"index":0,"id":7}]"#, false),
        (r#""function_call":"x""#, true),
        (r#""function_call":{"name":true}"#, true),
        (r#""function_call":{"name":7,"arguments":8}"#, false),
        (r#""function_call":{"name":"f","arguments":[1]}"#, true),
        (r#""audio":"x""#, true),
        (r#""reasoning_details":{"text":"a"}"#, true),
        (r#""reasoning_details":["a"]"#, true),
        (r#""reasoning_details":[]"#, false),
    ] {
        let stream = [&delta(member)[..], FINISHED.as_bytes(), DONE.as_bytes()].concat();
        let expected = if is_lost { vec![UnknownContentPart] } else { vec![] };
        let (outcome, defects) = agreed(&stream, &Limits::new());
        assert_eq!((outcome, defects), (Outcome::Complete, expected), "{member}");
    }
}

/// Reports a chunk with values of another type in place of choices, of one of them, or of a delta.
#[test]
fn values_in_place_of_choices_and_deltas_are_reported() {
    let delta = |value| format!(r#"[{{"index":0,"delta":{value}}}]"#);
    for (choices, is_lost) in [
        ("[5]".to_owned(), true),
        (r#"["a"]"#.to_owned(), true),
        (r#""a""#.to_owned(), true),
        (r#"{"index":0}"#.to_owned(), true),
        ("true".to_owned(), true),
        ("null".to_owned(), false),
        ("[]".to_owned(), false),
        ("[null]".to_owned(), false),
    ] {
        for end in ["", r#","usage":{"total_tokens":1}"#] {
            let chunk = format!("data: {{\"choices\":{choices}{end}}}\n\n");
            let stream = [FINISHED, &chunk, DONE].concat();
            let (outcome, defects) = agreed(stream.as_bytes(), &Limits::new());
            assert_eq!(outcome == Outcome::Complete, !is_lost, "{choices}");
            assert_eq!(defects.contains(&InvalidIndex), is_lost, "{choices}: {defects:?}");
        }
    }
    for (value, is_lost) in
        [(r#""a""#, true), ("[1]", true), ("true", true), ("null", false), ("{}", false)]
    {
        let stream =
            [FINISHED, &format!("data: {{\"choices\":{}}}\n\n", delta(value)), DONE].concat();
        let (outcome, defects) = agreed(stream.as_bytes(), &Limits::new());
        let expected = if is_lost { vec![UnknownContentPart] } else { vec![] };
        assert_eq!((outcome, defects), (Outcome::Complete, expected), "{value}");
    }
}

/// Reads a number in place of a text in the same way with templates and without.
#[test]
fn a_number_beside_a_text_is_read_like_any() {
    for (first, second) in [
        (r#""reasoning":1,"reasoning_content":"a""#, r#""reasoning":4,"reasoning_content":"a""#),
        (r#""reasoning":"","reasoning_content":5"#, r#""reasoning":"a","reasoning_content":0"#),
        (r#""content":1,"refusal":"a""#, r#""content":2,"refusal":"b""#),
        (
            r#""tool_calls":[{"index":0,"id":1,"function":{"name":1,"arguments":"a"}}]"#,
            r#""tool_calls":[{"index":0,"id":1,"function":{"name":2,"arguments":"b"}}]"#,
        ),
        (
            r#""function_call":{"name":1,"arguments":2}"#,
            r#""function_call":{"name":1,"arguments":3}"#,
        ),
    ] {
        let stream = [delta(first), delta(second)].concat();
        let read = |templates| {
            let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
            decoder.set_templates(&if templates { Templates::new() } else { Templates::none() });
            push_all(&mut completion, &mut decoder, &stream);
            completion.finish(decoder.finish()).completion
        };
        assert_eq!(read(true), read(false), "{first}");
    }
}

/// Returns the outcome and the defects without `salvage`, then with it.
fn judged_both_ways(stream: &[u8], limits: &Limits) -> [(Outcome, Vec<Defect>); 2] {
    let dropped = agreed(stream, limits);
    let mut decoder = ChunkDecoder::with_limits(*limits);
    let mut completion = Reassembler::with_limits(*limits);
    let (mut observer, mut tap) = (Observer::with_limits(limits), UsageTap::with_limits(*limits));
    tap.push(stream);
    tap.salvage();
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
        observer.observe(&event);
    }
    if let Some(event) = decoder.salvage() {
        completion.push_payload(event.payload());
        observer.observe(&event);
    }
    let end = decoder.finish();
    let (finished, seen) = (completion.finish(end.clone()), observer.finish(end));
    assert_eq!(seen, tap.finish());
    assert_eq!(finished.outcome, seen.outcome);
    let defects = finished.whole().map_or_else(|it| it.defects().collect(), |()| Vec::new());
    [dropped, (finished.outcome, defects)]
}

/// Reports an error in a bare line at any position, also if the line is long, deep or cut.
#[test]
fn an_error_in_a_bare_line_is_one() {
    let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(20 << 10));
    let deep = format!("{{\"error\":{}}}", nested(200, "1"));
    let late = format!("{{\"x\":{},\"error\":{{\"message\":\"boom\"}}}}", nested(200, "1"));
    let cut = "{\"error\":{\"message\":\"bo";
    for line in
        ["{\"error\":{\"message\":\"boom\"}}", "{\"object\":\"error\"}", &long, &deep, &late, cut]
    {
        let found = (Outcome::UpstreamError, vec![UpstreamError]);
        for rest in [
            format!("data: [DONE]\n{line}\n\n"),
            format!("{line}\ndata: [DONE]\n\n"),
            format!("id: 1\n{line}\n\n{DONE}"),
            format!("data: {{\"choices\":[]}}\n{line}\n\n{DONE}"),
            format!("data: {{\"choices\":[]}}\r\n{line}\r\n\r\n{DONE}"),
            format!("{line}\n\n{DONE}"),
            format!("{DONE}{line}\n"),
            format!("{DONE}{line}"),
        ] {
            let stream = format!("{FINISHED}{rest}");
            for judged in judged_both_ways(stream.as_bytes(), &Limits::new()) {
                assert_eq!(judged, found, "{rest:.60}");
            }
        }
        for rest in [line, &format!("data: [DONE]\n{line}")] {
            let stream = format!("{FINISHED}{rest}");
            for judged in judged_both_ways(stream.as_bytes(), &Limits::new()) {
                let found = (Outcome::UpstreamError, vec![UpstreamError, CutEvent]);
                assert_eq!(judged, found, "{rest:.60}");
            }
        }
    }
    for line in ["{\"error\":null}", "{\"error\":\"\"}", "{\"id\":\"error\"}", "error: null", "{}"]
    {
        let rest = format!("{line}\n\nid: 1\n{line}\n\ndata: [DONE]\n{line}\n\n{line}");
        let stream = format!("{FINISHED}{rest}");
        for judged in judged_both_ways(stream.as_bytes(), &Limits::new()) {
            assert_eq!(judged, (Outcome::Complete, vec![]), "{rest}");
        }
    }
}

/// Reads a line without `data:` as data: its escapes, its numbers and its last members count.
#[test]
fn a_whole_object_in_a_bare_line_is_an_error_as_in_data() {
    for (json, is_error) in [
        ("{\"error\":0.5}", true),
        ("{\"error\":true}", true),
        ("{\"object\":\"err\\u006fr\",\"message\":\"boom\"}", true),
        ("{\"choices\":[{\"index\":0,\"error\":{\"message\":\"boom\"}}]}", true),
        ("{\"error\":-0,\"choices\":[]}", false),
        ("{\"error\":0e1,\"choices\":[]}", false),
        ("{\"error\":NaN,\"choices\":[]}", false),
        ("{\"error\":\"x\",\"error\":null}", false),
        ("{\"choices\":[{\"index\":0,\"error\":null}]}", false),
    ] {
        let found = if is_error {
            (Outcome::UpstreamError, vec![UpstreamError])
        } else {
            (Outcome::Complete, vec![])
        };
        for rest in [
            format!("data: {json}\n\n{DONE}"),
            format!("{json}\n\n{DONE}"),
            format!("id: 1\n{json}\n\n{DONE}"),
            format!("data: {{\"choices\":[]}}\n{json}\n\n{DONE}"),
        ] {
            let stream = format!("{FINISHED}{rest}");
            assert_eq!(agreed(stream.as_bytes(), &Limits::new()), found, "{rest}");
        }
    }
    for none in ["0", "0.0", "0e1", "-0", "NaN", "false", "null", "\"\""] {
        let rest = format!("error: {none}\n\n{DONE}");
        assert_judged(&[(&rest, Outcome::Complete, &[])], &Limits::new());
    }
}

/// A line that begins JSON and is no whole object may be a part of an error.
#[test]
fn a_bare_line_of_other_json_is_a_malformed_event() {
    let pretty = "{\n  \"error\": {\n    \"message\": \"boom\"\n  }\n}\n";
    let in_array = "[{\"error\":{\"code\":500,\"message\":\"boom\"}}]\n";
    for lines in [pretty, in_array, "[{\n\"error\": {}}\n]\n"] {
        for rest in [
            format!("{lines}\n"),
            format!("id: 1\n{lines}\n"),
            format!("data: {{\"choices\":[]}}\n{lines}\n"),
            format!("data: [DONE]\n{lines}\n"),
        ] {
            let done = format!("{rest}{DONE}");
            let found = (Outcome::MalformedEvent, &[MalformedEvent][..]);
            let rows = [(&*rest, found.0, found.1), (&*done, found.0, found.1)];
            assert_judged(&rows, &Limits::new());
        }
    }
    for line in ["[DONE]", "[INFO] ready", "{not json}", "[1]", "ping"] {
        let rest = format!("{line}\n\nid: 1\n{line}\n\n{DONE}");
        assert_judged(&[(&rest, Outcome::Complete, &[])], &Limits::new());
    }
}

/// A line of JSON before the first field is the body only if no field follows.
#[test]
fn a_bare_line_before_the_first_field_is_a_failure_once_a_field_follows() {
    let error = (Outcome::UpstreamError, vec![UpstreamError]);
    let unread = (Outcome::MalformedEvent, vec![MalformedEvent]);
    let none = (Outcome::Complete, vec![]);
    for (line, expected) in [
        ("{\"error\":{\"message\":\"overloaded\"}}", &error),
        ("{\"object\":\"error\",\"message\":\"overloaded\"}", &error),
        (" {\"error\":\"overloaded", &error),
        ("{}\n{\"error\":\"overloaded\"}\n{\"error\":1}", &error),
        ("{\"choices\":[{\"delta\":{\"content\":\"lost\"", &unread),
        ("{\n  \"error\": {\n    \"message\": \"overloaded\"\n  }\n}", &unread),
        ("[{\"error\":1}]", &unread),
        ("{\"error\":null,\"n\":NaN}", &none),
        ("[INFO] ready", &none),
    ] {
        for (before, behind) in [("", "\n"), ("", "\n\n"), ("\u{feff}", "\r\n"), ("\n\r", "\r\r")] {
            let stream = format!("{before}{line}{behind}{FINISHED}{DONE}");
            assert_eq!(&agreed(stream.as_bytes(), &Limits::new()), expected, "{stream}");
            // A comment is known to begin an event stream, so a line behind it was never the body.
            let known = format!(": x\n\n{line}{behind}{FINISHED}{DONE}");
            let (known, ..) = judged(known.as_bytes(), &Limits::new());
            for size in [1, 7, stream.len()] {
                let mut decoder = ChunkDecoder::new();
                let mut read = |body: &str| {
                    decoder.reset();
                    for mut piece in body.as_bytes().chunks(size) {
                        while decoder.next(&mut piece).is_some() {}
                    }
                    decoder.finish()
                };
                let end = read(&stream);
                assert_eq!(end.malformed, known.end.malformed, "{stream}");
                assert_eq!(message_of(&end), message_of(&known.end), "{stream}");
                assert_eq!(end.body, None);
                let body = read(&format!("{before}{line}{behind}: x\n\n"));
                assert_eq!(body.body, Some(BodyKind::Json));
                assert_eq!((body.malformed, &body.upstream_error), (0, &None), "{line}");
                assert!(body.deviations.is_empty());
                assert_eq!(read(&format!("{FINISHED}{DONE}")).upstream_error, None);
            }
        }
    }
    let end = format!("{{\"error\":{{\"message\":\"overloaded\"}}}}\n\n{DONE}");
    let (finished, ..) = judged(end.as_bytes(), &Limits::new());
    assert_eq!(finished.outcome, Outcome::UpstreamError);
    assert_eq!(message_of(&finished.end), Some("overloaded"));
}

/// An error is one with its message, also beside more choices or tool calls than a chunk may have.
#[test]
fn an_error_beside_too_many_choices_is_one_with_its_message() {
    let many = |item: &str| vec![item; 4097].join(",");
    let calls = format!("{{\"delta\":{{\"tool_calls\":[{}]}}}}", many("{}"));
    for choices in [many("{}"), calls] {
        let choices = format!("\"choices\":[{choices}]");
        for rest in [
            format!("error: {{\"message\":\"m\",{choices}}}\n\n"),
            format!("error: {{\"error\":{{\"message\":\"m\"}},{choices}}}\n\n"),
            format!("{{\"error\":{{\"message\":\"m\"}},{choices}}}\n\n"),
            format!("{{{choices},\"error\":{{\"message\":\"m\"}}}}\n\n"),
            format!("{{\"object\":\"error\",\"message\":\"m\",{choices}}}\n\n"),
            format!("event: error\ndata: {{\"error\":{{\"message\":\"m\"}},{choices}}}\n\n"),
            format!("event: error\ndata: {{\"message\":\"m\",{choices}}}\n\n"),
        ] {
            let stream = format!("{FINISHED}{rest}{DONE}");
            let found = agreed(stream.as_bytes(), &Limits::new());
            assert_eq!(found, (Outcome::UpstreamError, vec![UpstreamError]), "{rest:.60}");
            let (finished, ..) = judged(stream.as_bytes(), &Limits::new());
            assert_eq!(message_of(&finished.end), Some("m"), "{rest:.60}");
        }
        let unread = (Outcome::MalformedEvent, &[MalformedEvent][..]);
        for none in ["\"error\":null,", ""] {
            let rest = format!("{{{none}{choices}}}\n\n{DONE}");
            assert_judged(&[(&rest, unread.0, unread.1)], &Limits::new());
        }
        // An array has no index: the one of the error before it doesn't count.
        let rest = format!("{{{choices}}}\n[{{\"error\":1}}]\n\n{DONE}");
        assert_judged(&[(&rest, unread.0, unread.1)], &Limits::new());
    }
}

/// Returns the message of the first error of a stream.
fn message_of(end: &StreamSummary) -> Option<&str> {
    end.upstream_error.as_ref()?.message.as_deref()
}

/// Only the line at which the stream ends may be torn, also if its bytes equal those of another one.
#[test]
fn an_unreadable_line_before_the_last_one_is_not_torn() {
    let chunk = |text: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}],\"m\":\"{text}\"}}")
    };
    for (stream, is_malformed) in [
        (format!("{}\n{{\"error\n: {{\"error", chunk("x")), true),
        (format!("id: 1\n{{\"}}\n{}", chunk("x")), true),
        (format!("id: 1\n{{\"}}\n{}", chunk("{")), true),
        (format!("{}\n{{\"}}\n{{\"err", chunk("x")), true),
        (format!("{}\n{{\"err\n", chunk("x")), true),
        (format!("{}\n{{\"err", chunk("x")), false),
        (format!("{}\r\n{{\"err", chunk("x")), false),
    ] {
        let mut decoder = ChunkDecoder::new();
        assert!(decoder.next(&mut stream.as_bytes()).is_none());
        let last = decoder.salvage().unwrap();
        let found = matches!(last.payload(), Payload::Malformed(_));
        assert_eq!(found, is_malformed, "{stream}: {last:?}");
        assert!(found || matches!(last.payload(), Payload::Chunk(_)), "{stream}: {last:?}");
        let finished = format!("{FINISHED}{stream}");
        for (_, defects) in judged_both_ways(finished.as_bytes(), &Limits::new()) {
            assert!(defects.contains(&CutEvent), "{stream}");
        }
    }
}

/// Reports each cut of an event behind `[DONE]`, as an error or as a cut event.
///
/// It is an error if the name of the error and a part of its value precede the cut. `serde_json`
/// decides if the JSON is cut.
#[test]
fn an_event_that_is_cut_behind_done_is_reported() {
    for (json, error_from) in [
        ("{\"id\":\"c\",\"error\":{\"message\":\"bo\"}}", "{\"id\":\"c\",\"error\":{".len()),
        ("{\"type\":\"error\",\"error\":\"boom\"}", "{\"type\":\"error\",\"error\":\"b".len()),
        ("{\"object\":\"error\",\"message\":\"bo\"}", "{\"object\":\"error\"".len()),
        ("{\"choices\":[{\"error\":{\"message\":\"bo\"}}]}", usize::MAX),
        ("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}", usize::MAX),
        ("{\"type\":\"ping\",\"data\":[1]}", usize::MAX),
    ] {
        for (end, open) in [(&json[..json.len()], false)]
            .into_iter()
            .chain((1..json.len()).map(|at| (&json[..at], true)))
        {
            assert_eq!(serde_json::from_str::<serde_json::Value>(end).is_err(), open);
            for (head, tail) in [("", ""), ("", "\n"), ("id: 1\r\n", "\r\n")] {
                let stream = format!("{FINISHED}{DONE}{head}data: {end}{tail}");
                let [dropped, salvaged] = judged_both_ways(stream.as_bytes(), &Limits::new());
                let terminated = agreed(format!("{stream}\n\n").as_bytes(), &Limits::new());
                if open {
                    let is_error = end.len() >= error_from;
                    let expected = if is_error {
                        (Outcome::UpstreamError, vec![UpstreamError])
                    } else {
                        (Outcome::Complete, vec![CutEvent])
                    };
                    assert_eq!((&dropped, &salvaged), (&expected, &expected), "{stream}");
                } else {
                    assert_eq!(salvaged, terminated, "{stream}");
                    // A chunk without its blank line is missing, unless it is salvaged.
                    let is_chunk = json.contains("choices") && !json.contains("error");
                    let missing = (Outcome::Complete, vec![CutEvent]);
                    assert_eq!(dropped, if is_chunk { missing } else { terminated }, "{stream}");
                }
            }
        }
    }
}

/// A last line behind whole data may be the first part of a failure, unless it is of a harmless kind.
///
/// Comments, `id` and `retry` are harmless, and data with a text have been read.
#[test]
fn a_torn_line_behind_whole_data_is_a_cut() {
    let chunk = FINISHED.trim_end();
    for (line, is_cut) in [
        ("e", true),
        ("err", true),
        ("error", true),
        ("error:", true),
        ("error: ", true),
        ("ev", true),
        ("event", true),
        ("event: ", true),
        ("event: err", true),
        ("foo", true),
        ("d", true),
        ("data", true),
        ("data: ", true),
        ("{", true),
        (" {\"err", true),
        (" ", false),
        ("\t ", false),
        (": err", false),
        ("id: err", false),
        ("retry: 1", false),
        ("event: message", false),
    ] {
        let defects = if is_cut { vec![CutEvent] } else { vec![] };
        for end in ["\n", "\r", "\r\n"] {
            let done = format!("{FINISHED}data: [DONE]{end}{line}");
            for judged in judged_both_ways(done.as_bytes(), &Limits::new()) {
                assert_eq!(judged, (Outcome::Complete, defects.clone()), "{done:?}");
            }
            for first in ["", "\u{feff}"] {
                let stream = format!("{first}{chunk}{end}{line}");
                // A chunk without its blank line is missing, unless it is salvaged.
                let [_, salvaged] = judged_both_ways(stream.as_bytes(), &Limits::new());
                assert_eq!(salvaged.1, defects, "{stream:?}");
            }
            for size in 1..4 {
                let mut decoder = ChunkDecoder::new();
                let mut completion = Reassembler::new();
                for piece in done.as_bytes().chunks(size) {
                    push_all(&mut completion, &mut decoder, piece);
                }
                let whole = completion.finish(decoder.finish()).whole();
                assert_eq!(whole.is_err(), is_cut, "{done:?} {size}");
            }
        }
    }
    // A line with its end isn't torn.
    for stream in [format!("{chunk}\nfoo\n"), format!("\u{feff}{chunk}")] {
        assert_eq!(judged_both_ways(stream.as_bytes(), &Limits::new())[1].1, [], "{stream:?}");
    }
}

/// Counts a finish reason that names a failure in an event without its blank line.
#[test]
fn a_failed_finish_at_the_end_is_reported() {
    let failed = choice(r#""index":0,"finish_reason":"error""#);
    for before in ["", DONE] {
        let stream = format!("{FINISHED}{before}{}", failed.trim_end());
        let judged = judged_both_ways(stream.as_bytes(), &Limits::new());
        assert_eq!(judged[0], (Outcome::FailedFinish, vec![FailedFinish, CutEvent]));
        assert_eq!(judged[1], (Outcome::FailedFinish, vec![FailedFinish]));
        let (finished, observed, _) = self::judged(stream.as_bytes(), &Limits::new());
        assert_eq!(finished.failed_finish.as_deref(), Some("error"));
        assert_eq!(observed.failed_finish.as_deref(), Some("error"));
    }
}

/// An end within a skipped part of the stream is a cut, as within any other part.
#[test]
fn the_end_in_what_is_skipped_is_a_cut() {
    let small = limits(|limits| {
        limits.max_comment_bytes = 64;
        limits.max_event_bytes = 300;
    });
    for len in [0, 1, 20, 63, 64, 65, 66, 80, 400] {
        for name in [":", "x"] {
            let line = format!("{name}{}", "c".repeat(len));
            for (end, is_cut) in
                [("", true), ("\n", false), ("\r", false), ("\r\n", false), ("\n\n", false)]
            {
                for (before, cut_defects) in [("", &[CutEvent][..]), (DONE, &[])] {
                    let stream = format!("{FINISHED}{before}{line}{end}");
                    let expected = if is_cut { cut_defects } else { &[] };
                    for (_, defects) in judged_both_ways(stream.as_bytes(), &small) {
                        assert_eq!(defects, expected, "{stream}");
                    }
                    for size in [1, 7, stream.len()] {
                        let mut decoder = ChunkDecoder::with_limits(small);
                        for piece in stream.as_bytes().chunks(size) {
                            let mut input = piece;
                            while decoder.next(&mut input).is_some() {}
                        }
                        assert_eq!(decoder.finish().is_cut, is_cut, "{stream}");
                    }
                }
            }
        }
    }
    let long = format!("data: \"{}\"", "x".repeat(400));
    for (end, is_cut) in [("", true), ("\n", true), ("\n\n", false), ("\r\n\r\n", false)] {
        let stream = format!("{FINISHED}{DONE}{long}{end}");
        let (finished, ..) = judged(stream.as_bytes(), &small);
        assert_eq!(finished.end.is_cut, is_cut, "{end:?}");
        for judged in judged_both_ways(stream.as_bytes(), &small) {
            assert_eq!(judged, (Outcome::MalformedEvent, vec![MalformedEvent]));
        }
    }
}

/// An id that is too long makes its event malformed, with or without its blank line.
#[test]
fn an_id_that_is_too_long_at_the_end_is_malformed() {
    let short = limits(|limits| limits.max_id_bytes = 8);
    let id = "x".repeat(9);
    for data in ["[DONE]", "{\"error\":{\"message\":\"boom\"}}", "{\"choices\":[]}"] {
        let stream = format!("{FINISHED}id: {id}\ndata: {data}\n");
        let terminated = agreed(format!("{stream}\n").as_bytes(), &short);
        assert_eq!(terminated, (Outcome::MalformedEvent, vec![MalformedEvent]));
        let cut = (Outcome::MalformedEvent, vec![MalformedEvent, CutEvent]);
        assert_eq!(judged_both_ways(stream.as_bytes(), &short), [cut.clone(), cut]);
    }
}
