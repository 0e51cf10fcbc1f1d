//! Streams that failed at gateways, from public reports of operators, and variants of each kind.
//!
//! The table beside the streams, `cases/README.md`, contains the expected results.

use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{Editor, Observer, UsageTap, UsageVisibility};
use deltawire::{ChunkDecoder, Outcome, Payload, Reassembler};
use serde_json::{Value, json};

use crate::support::{say, shared};

/// Returns the bytes of a case, if the folder of cases exists.
fn case(name: &str) -> Option<Vec<u8>> {
    let Some(folder) = shared("cases") else {
        say("the streams that went wrong aren't there: their tests are skipped");
        return None;
    };
    Some(std::fs::read(folder.join(format!("{name}.sse"))).unwrap())
}

fn finish(stream: &[u8]) -> FinishedCompletion {
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
    let end = decoder.finish();
    completion.finish(end)
}

/// Returns the completion of a stream as JSON, with its outcome and its irregularities by name.
fn report(stream: &[u8]) -> Value {
    let finished = finish(stream);
    let irregular = finished.irregularities.iter();
    let irregular: serde_json::Map<_, _> = irregular
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    let mut report = serde_json::to_value(&finished.completion).unwrap();
    report["outcome"] = finished.outcome.as_str().into();
    report["irregular"] = irregular.into();
    report
}

/// Returns a stream of these deltas of choice 0, with a complete outcome.
fn of_deltas(deltas: &[Value]) -> Vec<u8> {
    let mut stream = String::new();
    for delta in deltas {
        let chunk = json!({"choices": [{"index": 0, "delta": delta}]});
        stream.extend(["data: ", &chunk.to_string(), "\n\n"]);
    }
    stream += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    (stream + "data: [DONE]\n\n").into_bytes()
}

/// Returns the message that these deltas make.
fn message(deltas: &[Value]) -> Value {
    report(&of_deltas(deltas))["choices"][0]["message"].take()
}

/// Each case has the values of its row at the listed paths.
#[test]
fn each_case_has_the_values_of_its_row() {
    let call = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    let message = "/choices/0/message";
    let at = |path: &str| format!("{message}{path}");
    let rows: Vec<(&str, Vec<(String, Value)>)> = vec![
        ("unknown-text-in-pieces", vec![(at("/reasoning_text"), json!("AB"))]),
        (
            "unknown-list-of-fragments",
            vec![(
                at("/thinking_blocks"),
                json!([{"type": "thinking", "thinking": "A", "signature": "c2ln"}]),
            )],
        ),
        ("unknown-object-in-pieces", vec![(at("/thinking"), json!({"content": "AB"}))]),
        (
            "unknown-nested-object-again",
            vec![("/irregular/replaced_values".into(), json!(1)), (at("/content"), json!("AB"))],
        ),
        (
            "annotations-on-a-choice",
            vec![("/choices/0/annotations".into(), json!([{"n": 1}, {"n": 2}]))],
        ),
        (
            "reasoning-content-object",
            vec![(at("/reasoning_content"), json!("AB")), ("/irregular".into(), json!({}))],
        ),
        (
            "reasoning-details-other-id",
            vec![
                (at("/reasoning_details/0/id"), json!("rs_1")),
                (at("/reasoning_details/0/data"), json!("QUE=")),
                (at("/reasoning_details/1/id"), json!("rs_2")),
                (at("/reasoning_details/1/data"), json!("QkI=")),
            ],
        ),
        (
            "reasoning-details-two-summaries",
            vec![
                (at("/reasoning_details/0/summary"), json!("Plan A.")),
                (at("/reasoning_details/1/data"), json!("QUFBQQ==")),
                (at("/reasoning_details/2/summary"), json!("Plan B.")),
                (at("/reasoning_details/3/data"), json!("QkJCQg==")),
            ],
        ),
        (
            "content-part-reasoning",
            vec![(at("/reasoning_content"), json!("A")), (at("/signature"), json!("c2ln"))],
        ),
        (
            "text-part-with-signature",
            vec![(at("/content"), json!("A")), (at("/thoughtSignature"), json!("c2ln"))],
        ),
        (
            "content-is-a-number",
            vec![
                (at("/content"), json!("$6")),
                ("/irregular".into(), json!({"texts_of_another_type": 1})),
            ],
        ),
        (
            "whole-message-keeps-all",
            vec![
                (
                    at("/tool_calls/0/extra_content"),
                    json!({"google": {"thought_signature": "c2ln"}}),
                ),
                (at("/annotations"), json!([{"n": 1}])),
            ],
        ),
        (
            "same-call-id-other-name",
            vec![
                (at("/tool_calls/0/function"), call("f", "{\"a\":1}")),
                (at("/tool_calls/1/function"), call("g", "{\"b\":2}")),
                ("/irregular".into(), json!({"tool_calls_by_name": 1})),
            ],
        ),
        (
            "calls-without-ids-two-names",
            vec![
                (at("/tool_calls/0/function"), call("read", "{\"p\":\"a\"}")),
                (at("/tool_calls/1/function"), call("stat", "{\"p\":\"b\"}")),
                ("/irregular".into(), json!({"tool_calls_by_name": 1})),
            ],
        ),
        ("finish-reason-abort", vec![("/outcome".into(), json!("failed_finish"))]),
        ("error-on-a-choice", vec![("/outcome".into(), json!("upstream_error"))]),
        (
            "objects-that-are-no-chunks",
            vec![("/outcome".into(), json!("complete")), (at("/content"), json!("A"))],
        ),
        ("error-event-code-message", vec![("/outcome".into(), json!("upstream_error"))]),
    ];
    for (name, expected) in rows {
        let Some(stream) = case(name) else { return };
        let report = report(&stream);
        for (path, value) in expected {
            assert_eq!(report.pointer(&path), Some(&value), "{name} {path}: {report:#}");
        }
    }
}

/// Reads reasoning under each name that servers use, in deltas and in the message.
#[test]
fn reasoning_text_is_found_under_each_name() {
    for name in ["unknown-text-in-pieces", "unknown-object-in-pieces", "reasoning-content-object"] {
        let Some(stream) = case(name) else { return };
        let (mut decoder, mut input) = (ChunkDecoder::new(), &stream[..]);
        let mut text = String::new();
        while let Some(event) = decoder.next(&mut input) {
            let Payload::Chunk(chunk) = event.payload() else { continue };
            text.extend(chunk.choices().filter_map(|choice| choice.delta().reasoning_text()));
        }
        assert_eq!(text, "AB", "{name}");
        let message = &finish(&stream).completion.choices[0].message;
        assert_eq!(message.reasoning_text().as_deref(), Some("AB"), "{name}");
    }
}

/// Objects that aren't chunks aren't merged into the completion, and have their own payload.
#[test]
fn objects_that_are_no_chunks_are_payloads_of_their_own() {
    let Some(stream) = case("objects-that-are-no-chunks") else { return };
    let mut decoder = ChunkDecoder::new();
    let (mut input, mut found) = (&stream[..], Vec::new());
    while let Some(event) = decoder.next(&mut input) {
        let kind = match event.payload() {
            Payload::Other(_) => "other",
            Payload::Chunk(_) => "chunk",
            Payload::Done => "done",
            payload => panic!("{payload:?}"),
        };
        found.push((event.event().event_type().to_owned(), kind));
    }
    let message = |kind| ("message".to_owned(), kind);
    let progress = ("tool.progress".to_owned(), "other");
    assert_eq!(found, [progress, message("other"), message("chunk"), message("done")]);
    let report = report(&stream);
    for name in ["tool", "status", "type"] {
        assert_eq!(report.get(name), None, "{report}");
    }
    assert_eq!(decoder.finish().others, 2);
    // An event with choices is a chunk, for any event type.
    let stream = b"event: response.delta\ndata: {\"choices\":[]}\n\n";
    let mut decoder = ChunkDecoder::new();
    let event = decoder.next(&mut &stream[..]).unwrap();
    assert!(matches!(event.payload(), Payload::Chunk(_)), "{event:?}");
}

/// Reports the code and message of an error, and stores no member of it in the completion.
#[test]
fn errors_of_events_and_choices_are_reported() {
    for (name, code, message) in [
        ("error-event-code-message", "Throttling.Quota", "slow down"),
        ("error-on-a-choice", "504", "timed out"),
    ] {
        let Some(stream) = case(name) else { return };
        let finished = finish(&stream);
        assert_eq!(finished.outcome, Outcome::UpstreamError, "{name}");
        let error = finished.end.upstream_error.unwrap();
        assert_eq!((error.code.as_deref(), error.message.as_deref()), (Some(code), Some(message)));
        let completion = serde_json::to_value(&finished.completion).unwrap();
        for name in ["code", "message", "request_id", "error"] {
            assert_eq!(completion.get(name), None, "{completion}");
        }
    }
    let later = json!([{"index": 0, "delta": {}, "error": {"code": 504, "message": "timed out"}}]);
    let later = format!(
        "data: {}\n\ndata: {{\"choices\":[{{\"index\":0,\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n",
        json!({"choices": later})
    );
    assert_eq!(finish(later.as_bytes()).outcome, Outcome::UpstreamError);
}

/// Reads token counts under both names, also as decimals and as strings.
#[test]
fn usage_is_read_by_either_name() {
    let tokens = |stream: &[u8]| {
        let (mut tap, mut observer, mut decoder) =
            (UsageTap::new(), Observer::new(), ChunkDecoder::new());
        let mut input = stream;
        while let Some(event) = decoder.next(&mut input) {
            observer.observe(&event);
        }
        tap.push(stream);
        let seen = observer.finish(decoder.finish()).tokens.unwrap();
        assert_eq!(tap.finish().tokens, Some(seen));
        let usage = finish(stream).completion.usage.unwrap();
        assert_eq!(usage.is_empty(), seen.is_empty());
        seen
    };
    let Some(stream) = case("usage-input-output-tokens") else { return };
    let seen = tokens(&stream);
    assert_eq!((seen.prompt, seen.completion, seen.total), (Some(11), Some(5), Some(16)));
    let Some(stream) = case("usage-cache-read") else { return };
    assert_eq!(tokens(&stream).cached, Some(800));
    for details in ["prompt_tokens_details", "input_tokens_details"] {
        for count in ["7.0", "\"7\"", "7"] {
            let usage = format!(
                "data: {{\"choices\":[],\"usage\":{{\"input_tokens\":{count},\"{details}\":{{\"cached_tokens\":{count}}},\"output_tokens_details\":{{\"reasoning_tokens\":{count}}}}}}}\n\n"
            );
            let seen = tokens(usage.as_bytes());
            assert_eq!((seen.prompt, seen.cached, seen.reasoning), (Some(7), Some(7), Some(7)));
        }
    }
    // The usage of the stream is the sum of the last usages of the choices.
    let choice = |index: u32, count: u32| json!({"index": index, "delta": {}, "usage": {"completion_tokens": count}});
    let stream = [(0, 2), (1, 3), (0, 4)]
        .map(|(index, count)| format!("data: {}\n\n", json!({"choices": [choice(index, count)]})));
    assert_eq!(tokens(stream.concat().as_bytes()).completion, Some(7));
}

/// Writes the texts of a call that are numbers as they were sent, and counts them.
#[test]
fn numbers_in_place_of_the_texts_of_a_call_are_kept() {
    let call = |id: &str, name: &str, arguments: &str| {
        format!(r#"{{"id":{id},"function":{{"name":{name},"arguments":{arguments}}}}}"#)
    };
    for (member, count) in [("tool_calls", 3), ("function_call", 2)] {
        let value = match member {
            "tool_calls" => format!("[{}]", call("7", "1.0", "20")),
            _ => r#"{"name":1.0,"arguments":20}"#.to_owned(),
        };
        let stream = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{member}\":{value}}},\"finish_reason\":\"stop\"}}]}}\n\n"
        );
        let report = report(stream.as_bytes());
        let message = &report["choices"][0]["message"];
        let function = match member {
            "tool_calls" => &message["tool_calls"][0]["function"],
            _ => &message["function_call"],
        };
        assert_eq!(*function, json!({"name": "1.0", "arguments": "20"}), "{member}");
        assert_eq!(report["irregular"]["texts_of_another_type"], json!(count), "{member}");
        if member == "tool_calls" {
            assert_eq!(message["tool_calls"][0]["id"], json!("7"));
        }
    }
}

/// Hiding the usage leaves no chunk without choices.
#[test]
fn hidden_usage_leaves_no_chunk_without_choices() {
    for name in ["usage-chunk-with-timings", "usage-chunk-with-timings-long"] {
        for how in [UsageVisibility::Removed, UsageVisibility::Null] {
            let Some(stream) = case(name) else { return };
            let (mut decoder, mut editor, mut out) =
                (ChunkDecoder::new(), Editor::new(), Vec::new());
            editor.hide_usage(how);
            let mut input = &stream[..];
            while let Some(event) = decoder.next(&mut input) {
                let _ = editor.write(&event, &mut out);
            }
            let out = String::from_utf8(out).unwrap();
            assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
            for line in out.lines().filter_map(|line| line.strip_prefix("data: {")) {
                let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
                assert_ne!(chunk["choices"], json!([]), "{name}");
                assert!(!chunk["usage"].is_object(), "{name}");
            }
        }
    }
}

/// Counts each event with output of the model as one delta, in any member.
#[test]
fn all_that_is_kept_of_the_model_is_output() {
    for name in [
        "unknown-text-in-pieces",
        "unknown-list-of-fragments",
        "unknown-object-in-pieces",
        "reasoning-content-object",
        "content-part-reasoning",
        "text-part-with-signature",
        "images-are-output",
        "whole-message-keeps-all",
        "reasoning-details-other-id",
        "content-is-a-number",
    ] {
        let Some(stream) = case(name) else { return };
        let chunks = String::from_utf8(stream.clone()).unwrap().matches("data: {").count();
        let mut tap = UsageTap::new();
        tap.push(&stream);
        assert_eq!(tap.finish().deltas, chunks as u64, "{name}");
    }
}

/// Joins unknown members of a delta by the kind of their values.
#[test]
fn unknown_members_of_a_delta_are_joined() {
    for (first, second, expected) in [
        (json!("A"), json!("B"), json!("AB")),
        (json!([1]), json!([2, 3]), json!([1, 2, 3])),
        (json!({"a": "A", "n": 1}), json!({"a": "B", "n": 2}), json!({"a": "AB", "n": 2})),
        (json!({"a": {"b": [1]}}), json!({"a": {"b": [2]}}), json!({"a": {"b": [1, 2]}})),
        (
            json!([{"index": 0, "t": "A"}, {"index": 1, "t": "C"}]),
            json!([{"index": 0, "t": "B"}]),
            json!([{"index": 0, "t": "AB"}, {"index": 1, "t": "C"}]),
        ),
        (
            json!([{"id": "x", "t": "A"}]),
            json!([{"id": "x", "t": "B"}, {"id": "y", "t": "C"}]),
            json!([{"id": "x", "t": "AB"}, {"id": "y", "t": "C"}]),
        ),
        (json!(1), json!(2), json!(2)),
        (json!(false), json!(true), json!(true)),
        (
            json!({"id": "1", "item_id": "a", "type": "t", "status": "on"}),
            json!({"id": "2", "item_id": "b", "type": "u", "status": "off"}),
            json!({"id": "2", "item_id": "b", "type": "u", "status": "off"}),
        ),
        (json!("same"), json!("same"), json!("same")),
    ] {
        let found = message(&[json!({"new": first}), json!({"new": second})]);
        assert_eq!(found["new"], expected, "{first} {second}");
    }
    let part = |id: &str, text: &str| json!({"list": [{"index": 0, "id": id, "t": text}]});
    let parts = [part("a", "A"), part("b", "B"), part("a", "C")];
    let expected = json!([{"index": 0, "id": "a", "t": "AC"}, {"index": 0, "id": "b", "t": "B"}]);
    assert_eq!(message(&parts)["list"], expected);
    let block = |block: Value| json!({"thinking_blocks": [block]});
    let blocks = [
        block(json!({"type": "thinking", "thinking": "A"})),
        block(json!({"thinking": "B"})),
        block(json!({"type": "redacted_thinking", "data": "D"})),
        block(json!({"type": "redacted_thinking", "data": "E"})),
    ];
    let expected = json!([
        {"type": "thinking", "thinking": "AB"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "redacted_thinking", "data": "E"},
    ]);
    assert_eq!(message(&blocks)["thinking_blocks"], expected);
    // Values that the completion can't store are counted.
    for arguments in [json!([1, 2]), json!(true)] {
        let call = json!({"index": 0, "function": {"name": "f", "arguments": arguments}});
        let report = report(&of_deltas(&[json!({"tool_calls": [call]})]));
        assert_eq!(report["irregular"], json!({"unknown_content_parts": 1}));
    }
    let signed =
        |name: &str| json!({"content": [{"type": "text", "text": "A", "signature": name}]});
    let signed = report(&of_deltas(&[signed("s1"), signed("s2")]));
    assert_eq!(signed["irregular"], json!({"replaced_values": 1}));
    // Equal pieces are stored once; a different piece restores the repeated ones.
    let after = |pieces: &[Value]| {
        let deltas: Vec<_> = pieces.iter().map(|piece| json!({"new": piece})).collect();
        message(&deltas)["new"].take()
    };
    assert_eq!(after(&[json!("A"), json!("A"), json!(5), json!("B"), json!("C")]), json!("BC"));
    assert_eq!(after(&[json!("A"), json!("B"), json!(5), json!("C"), json!("C")]), json!("C"));
    let pieces = ["a", "a", "a", "b"].map(|piece| json!({"new": piece}));
    assert_eq!(message(&pieces[..3])["new"], json!("a"));
    assert_eq!(message(&pieces)["new"], json!("aaab"));
    // Outside of the delta, the last value replaces the others.
    let stream = ["a", "b"].map(|text| {
        let chunk = json!({"new": text, "choices": [{"index": 0, "delta": {}, "seen": text}]});
        format!("data: {chunk}\n\n")
    });
    let report = report(stream.concat().as_bytes());
    assert_eq!((&report["new"], &report["choices"][0]["seen"]), (&json!("b"), &json!("b")));
}

/// A finish reason that names a failure is a failed finish; another unknown one is complete.
#[test]
fn finish_reason_that_names_a_failure_is_a_failed_finish() {
    let stream = |reason: &str| {
        let chunk =
            json!({"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": reason}]});
        format!("data: {chunk}\n\ndata: [DONE]\n\n").into_bytes()
    };
    for reason in
        ["abort", "aborted", "cancelled", "error", "api_error", "insufficient_system_resource"]
    {
        let finished = finish(&stream(reason));
        assert_eq!(finished.outcome, Outcome::FailedFinish, "{reason}");
        assert_eq!(finished.failed_finish.as_deref(), Some(reason));
    }
    for reason in ["stop", "length", "eos", "model_context_window_exceeded", "new_reason"] {
        assert_eq!(finish(&stream(reason)).outcome, Outcome::Complete, "{reason}");
    }
}
