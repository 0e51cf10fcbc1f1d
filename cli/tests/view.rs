//! `deltawire view` by its contract: the project's own streams, and their results.
//!
//! The `.json` beside each stream states the meaning of the stream. It isn't a copy of the
//! program's output.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[path = "../../tests/support/oracle.rs"]
#[allow(unreachable_pub, reason = "shared with the tests of the library")]
mod oracle;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{PROGRAM, deltawire, lines, recordings, root, stderr, stdout, streams};

fn exit_status(outcome: &str) -> i32 {
    match outcome {
        "complete" => 0,
        "finished_without_done" => 3,
        "done_without_finish" => 4,
        "truncated" => 5,
        "upstream_error" => 6,
        "empty" => 7,
        "not_an_event_stream" => 8,
        "failed_finish" => 9,
        "malformed_event" => 10,
        "another_api" => 11,
        other => panic!("unknown outcome {other}"),
    }
}

#[test]
fn every_own_stream_has_the_report_of_its_page() {
    for stream in streams() {
        let path = stream.to_str().unwrap();
        let expected: Value =
            serde_json::from_slice(&fs::read(stream.with_extension("json")).unwrap()).unwrap();
        let report = deltawire(&["--report", path], b"");
        assert_eq!(lines(&report).remove(0), expected, "{path}");
        let status = exit_status(expected["outcome"].as_str().unwrap());
        assert_eq!(report.status.code(), Some(status), "{path}");
        let completion = deltawire(&[path], b"");
        assert_eq!(lines(&completion), [expected["completion"].clone()], "{path}");
        assert_eq!(completion.status.code(), Some(status), "{path}");
        let said = !completion.stderr.is_empty();
        assert_eq!(said, status != 0 || expected["malformed"] != json!([]), "{path}");
    }
}

#[test]
fn pieces_and_standard_input_change_nothing() {
    let lengths = std::env::temp_dir().join(format!("deltawire-{}.chunks", std::process::id()));
    fs::write(&lengths, "1\n0\n700\n3\n3\n").unwrap();
    let lengths = lengths.to_str().unwrap();
    for stream in streams() {
        let path = stream.to_str().unwrap();
        let bytes = fs::read(&stream).unwrap();
        for mode in ["--report", "--chunks", "--events"] {
            let whole = stdout(&deltawire(&[mode, path], b""));
            assert!(!whole.is_empty());
            for cut in [["--piece", "1"], ["--piece", "37"], ["--pieces", lengths]] {
                let output = deltawire(&[mode, cut[0], cut[1], path], b"");
                assert_eq!(stdout(&output), whole, "{path} {mode} {cut:?}");
            }
            assert_eq!(stdout(&deltawire(&[mode], &bytes)), whole, "{path} {mode}: no file");
            assert_eq!(stdout(&deltawire(&[mode, "-"], &bytes)), whole, "{path} {mode}: -");
        }
    }
    fs::remove_file(lengths).unwrap();
}

#[test]
fn events_are_those_of_the_standard() {
    let input = "\u{FEFF}: one\nretry: 50\n\nid: 7\nevent: note\ndata: a\ndata:  b\n\n:\ndata\n\n\
                 id: 8\n\ndata: left"
        .as_bytes();
    let output = deltawire(&["--events", "--last-event-id", "6"], input);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        lines(&output),
        [
            json!({"event": "note", "data": "a\n b", "id": "7", "retry": 50}),
            json!({"event": "message", "data": "", "id": "7", "retry": 50}),
            json!({"end": {"last_event_id": "8", "reconnection_time": 50, "comments": 2, "discarded_bytes": 10}}),
        ]
    );
    let bare = lines(&deltawire(&["--events", "--last-event-id", "6"], b"data: x\n\n"));
    assert_eq!(bare[0], json!({"event": "message", "data": "x", "id": "6", "retry": null}));
    assert_eq!(bare[1]["end"]["reconnection_time"], Value::Null);
}

#[test]
fn chunks_have_offset_kind_and_payload() {
    let chunk = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"x"},"new":[1e2, 1.0]}]}"#;
    let input = format!(
        ": ping\n\ndata: {chunk}\n\ndata: {{]\n\nerror: {{\"message\":\"m\",\"code\":5}}\n\ndata: [DONE]\n\nevent: tool\ndata: {{\"a\":1}}\n\n"
    );
    let output = deltawire(&["--chunks"], input.as_bytes());
    let malformed = 8 + 6 + chunk.len() + 2;
    let text = stdout(&output);
    assert!(text.contains(chunk), "numbers and order as they were sent: {text}");
    assert_eq!(
        lines(&output),
        [
            json!({"offset": 0, "kind": "comment", "comment": "ping"}),
            json!({"offset": 8, "kind": "chunk", "chunk": serde_json::from_str::<Value>(chunk).unwrap()}),
            json!({"offset": malformed, "kind": "malformed", "error": "expected_name", "error_offset": malformed + 7}),
            json!({"offset": malformed + 10, "kind": "error", "message": "m", "code": 5, "type": null}),
            json!({"offset": malformed + 10 + 33, "kind": "done"}),
            json!({"offset": malformed + 10 + 33 + 14, "kind": "other", "event_type": "tool", "object": {"a": 1}}),
        ]
    );
}

#[test]
fn every_outcome_has_its_exit_status() {
    let chunk = |finish: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let (open, finished) = (chunk("null"), chunk("\"stop\""));
    for (input, outcome) in [
        (format!("{finished}data: [DONE]\n\n"), "complete"),
        (format!("{finished}data: [DONE]"), "complete"),
        (finished.clone(), "finished_without_done"),
        (format!("{open}data: [DONE]\n\n"), "done_without_finish"),
        (open.clone(), "truncated"),
        (
            format!("{open}data: {{\"error\":{{\"message\":\"m\"}}}}\n\ndata: [DONE]\n\n"),
            "upstream_error",
        ),
        (String::new(), "empty"),
        (": ping\n\n".to_owned(), "empty"),
        (format!("{finished}error: {{\"message\":\"m\"}}\n\ndata: [DONE]\n\n"), "upstream_error"),
        (
            format!("{}\nerror: {{\"message\":\"m\"}}\n\ndata: [DONE]\n\n", finished.trim_end()),
            "upstream_error",
        ),
        (format!("{finished}event: error\ndata: [DONE]\n\n"), "upstream_error"),
        (
            format!("{finished}{{\"error\":{{\"message\":\"m\"}}}}\n\ndata: [DONE]\n\n"),
            "upstream_error",
        ),
        ("error: {\"message\":\"m\",\"code\":500}\n\n".to_owned(), "upstream_error"),
        (format!("{finished}error: null\n\ndata: [DONE]\n\n"), "complete"),
        ("id: 1\n".to_owned(), "truncated"),
        ("\u{FEFF}".to_owned(), "empty"),
        ("<html><style>\n:root{--x:1}\n</style></html>\n".to_owned(), "not_an_event_stream"),
        ("\u{FEFF}{\"error\":1}".to_owned(), "not_an_event_stream"),
        ("{\"error\":{\"message\":\"m\"}}".to_owned(), "not_an_event_stream"),
        ("<!DOCTYPE html>\n<html></html>\n".to_owned(), "not_an_event_stream"),
        ("\u{1F}\u{8B}\u{8}".to_owned(), "not_an_event_stream"),
        (format!("{}data: [DONE]\n\n", chunk("\"abort\"")), "failed_finish"),
        (format!("{finished}data: {{\n\ndata: [DONE]\n\n"), "malformed_event"),
        ("data: {\"type\":\"message_start\"}\n\n".to_owned(), "another_api"),
        (format!("{finished}event: error\ndata: [DONE]"), "upstream_error"),
    ] {
        let report = deltawire(&["--report"], input.as_bytes());
        assert_eq!(lines(&report)[0]["outcome"], outcome, "{input}");
        assert_eq!(report.status.code(), Some(exit_status(outcome)), "{input}");
    }
}

#[test]
fn a_missing_part_of_a_complete_stream_has_an_exit_status() {
    let chunk = |delta: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\":\"stop\"}}]}}\n\n")
    };
    let part = chunk("{\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"odd\"}]}");
    let call = chunk(r#"{"content":"x","tool_calls":[{"index":-1}]}"#);
    for (stream, defect) in [(part, "unknown_content_part"), (call, "invalid_index")] {
        let stream = format!("{stream}data: [DONE]\n\n");
        let report = deltawire(&["--report"], stream.as_bytes());
        assert_eq!(lines(&report)[0]["outcome"], "complete");
        assert_eq!(report.status.code(), Some(10));
        let completion = deltawire(&[], stream.as_bytes());
        assert_eq!(completion.status.code(), Some(10));
        let complaint = stderr(&completion);
        assert!(complaint.contains(defect) && complaint.lines().count() == 1, "{complaint}");
    }
}

#[test]
fn a_failed_completion_in_place_of_a_stream_is_not_whole() {
    for (reason, mark, defects) in [
        ("\"stop\"", "", json!([])),
        ("\"error\"", "", json!(["failed_finish"])),
        ("null", "", json!(["unfinished"])),
        ("\"stop\"", ",\"not_whole\":true", json!(["marked_not_whole"])),
    ] {
        for start in ["", "\u{FEFF}", "\n\n ", "\u{FEFF}\r\n"] {
            let message = "\"message\":{\"role\":\"assistant\",\"content\":\"x\"}";
            let body = format!(
                "{start}{{\"choices\":[{{\"index\":0,{message},\"finish_reason\":{reason}}}]{mark}}}"
            );
            for piece in ["1", "1000"] {
                let report = deltawire(&["--report", "--piece", piece], body.as_bytes());
                let found = &lines(&report)[0];
                assert_eq!(found["not_whole_because"], defects, "{body}");
                assert_eq!(found["whole"], defects == json!([]), "{body}");
                assert_eq!(found["body"], "completion", "{body}");
            }
        }
    }
}

#[test]
fn salvage_reads_an_event_without_its_blank_line() {
    let input = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}";
    let outcome = |arguments: &[&str]| lines(&deltawire(arguments, input))[0]["outcome"].clone();
    assert_eq!(outcome(&["--report"]), "truncated");
    assert_eq!(outcome(&["--report", "--salvage"]), "finished_without_done");
}

#[test]
fn wrong_usage_and_missing_files_have_an_exit_status() {
    for arguments in [
        &["--piece", "0"][..],
        &["--piece", "many"],
        &["--pieces", "no/such/file"],
        &["--events", "--chunks"],
        &["--unknown"],
    ] {
        let output = deltawire(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let output = deltawire(&["no/such/file"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no/such/file"));
    // The first stream that isn't complete has the status, and no other stream is skipped.
    let [text, cut] = ["text", "truncated"]
        .map(|name| root().join(format!("tests/streams/{name}.sse")).to_str().unwrap().to_owned());
    for (files, status, printed) in [
        ([&*cut, "no/such/file"], 5, 1),
        (["no/such/file", &*cut], 1, 1),
        (["no/such/file", &*text], 1, 1),
        ([&*text, "no/such/file"], 1, 1),
        ([&*text, &*cut], 5, 2),
    ] {
        let output = deltawire(&files, b"");
        assert_eq!(output.status.code(), Some(status), "{files:?}");
        assert_eq!(lines(&output).len(), printed, "{files:?}");
        let is_missing = files.contains(&"no/such/file");
        assert_eq!(stderr(&output).contains("no/such/file"), is_missing, "{files:?}");
    }
    let help = deltawire(&["--help"], b"");
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Usage: deltawire"));
}

/// The parts of a report besides the completion, of streams that have them all.
#[test]
fn a_report_names_errors_and_defects() {
    let report = |input: &str| lines(&deltawire(&["--report"], input.as_bytes())).remove(0);
    let stream = concat!(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}}]}},",
        "{\"index\":-1}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12,",
        "\"prompt_tokens_details\":{\"cached_tokens\":3},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n",
        "data: {\"error\":{\"message\":\"boom\",\"code\":\"x\",\"type\":\"t\"}}\n\n",
    );
    let found = report(stream);
    let offset = stream.find("data: {\"error").unwrap();
    assert_eq!(found["whole"], false);
    let because = ["unfinished", "upstream_error", "invalid_index"];
    assert_eq!(found["not_whole_because"], json!(because));
    assert_eq!(
        found["tokens"],
        json!({"prompt": 5, "completion": 7, "total": 12, "cached": 3, "reasoning": 2})
    );
    assert_eq!(found["irregularities"]["invalid_choice_indexes"], 1);
    assert_eq!(found["irregularities"]["tool_calls_without_index"], 1);
    assert_eq!(found["pending"], json!([{"choice": 0, "tool_call": 0}]));
    assert_eq!(
        found["error"],
        json!({"message": "boom", "code": "x", "type": "t", "param": null, "offset": offset})
    );
    let found = report("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n");
    assert_eq!((&found["failed_finish"], &found["tokens"]), (&json!("abort"), &Value::Null));
    let calls: Vec<_> = (0..1100).map(|index| json!({"index": index})).collect();
    let chunk =
        json!({"choices": [{"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
    let found = report(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
    assert_eq!(
        (&found["outcome"], &found["limit_exceeded"]),
        (&json!("complete"), &json!("tool_calls"))
    );
    assert_eq!(found["not_whole_because"], json!(["limit_exceeded"]));
    let found = report("data: {\"candidates\":[]}\n\n");
    assert_eq!((&found["outcome"], &found["api"]), (&json!("another_api"), &json!("gemini")));
}

/// An error body in JSON is shown by its message, and no text steers the terminal.
#[test]
fn an_error_body_is_shown() {
    for (body, message) in [
        (r#"{"error":{"message":"slow down","code":429}}"#, "slow down"),
        (r#"{"error":"slow down"}"#, "slow down"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (r#"{"message":"slow down"}"#, "slow down"),
        (r#"[{"error":{"code":400,"message":"bad key"}}]"#, "bad key"),
        ("{\n  \"error\": {\n    \"message\": \"in lines\"\n  }\n}\n", "in lines"),
        (
            "{\"error\":{\"message\":\"a\u{202E}b\u{2066}c\\u001b[31md\u{200F}\"}}",
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}[31md\u{FFFD}",
        ),
    ] {
        let output = deltawire(&[], body.as_bytes());
        let said = stderr(&output);
        assert!(said.contains(message), "{body}: {said}");
        let report = lines(&deltawire(&["--report"], body.as_bytes())).remove(0);
        assert_eq!(report["outcome"], "not_an_event_stream", "{body}");
        assert!(report["error"]["message"].is_string(), "{body}");
    }
}

/// The members of an error are those that were sent, in the body or in a stream.
///
/// A code keeps its type and its digits.
#[test]
fn an_error_keeps_its_members() {
    for code in
        ["429", "\"007\"", "\"429\"", "-0", "1.5", "1e400", "true", "null", "[1]", "{\"a\":1}"]
    {
        let members = format!(r#""message":"m","code":{code},"type":"t","param":"p""#);
        for (input, offset) in [
            (format!("{{\"error\":{{{members}}}}}"), 0),
            (format!("[{{\"error\":{{{members}}}}}]"), 0),
            (format!("{{{members}}}"), 0),
            (format!("data: {{\"error\":{{{members}}}}}\n\n"), 0),
            (format!(": ping\n\nerror: {{{members}}}\n\n"), 8),
        ] {
            let error =
                lines(&deltawire(&["--report"], input.as_bytes())).remove(0)["error"].take();
            let sent: Value = serde_json::from_str(code).unwrap();
            let expected =
                json!({"message": "m", "code": sent, "type": "t", "param": "p", "offset": offset});
            assert_eq!(error.to_string(), expected.to_string(), "{input}");
        }
    }
    let text = r#"{"error":"m","code":7,"type":"t"}"#;
    let error = lines(&deltawire(&["--report"], text.as_bytes())).remove(0)["error"].take();
    let expected = json!({"message": "m", "code": 7, "type": "t", "param": null, "offset": 0});
    assert_eq!(error, expected);
}

/// A completion that wasn't streamed is no error.
#[test]
fn a_whole_completion_is_reported_and_no_error() {
    let message = json!({"role": "assistant", "content": "Hi"});
    for (finish, whole) in [(json!("stop"), true), (Value::Null, false)] {
        let body = json!({
            "id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"total_tokens": 3},
        });
        for body in [body.to_string(), format!("\u{FEFF}\n {body:#}\n")] {
            for piece in ["1", "7", "65536"] {
                let arguments = ["--report", "--piece", piece];
                let output = deltawire(&arguments, body.as_bytes());
                let report = lines(&output).remove(0);
                assert_eq!(report["outcome"], "not_an_event_stream");
                assert_eq!(
                    (&report["body"], &report["error"]),
                    (&json!("completion"), &Value::Null)
                );
                assert_eq!(
                    (report["whole"].as_bool(), output.status.code()),
                    (Some(whole), Some(8))
                );
                assert_eq!(report["completion"]["choices"][0]["message"]["content"], "Hi");
                assert_eq!(report["completion"]["usage"]["total_tokens"], 3);
            }
            let output = deltawire(&[], body.as_bytes());
            assert_eq!(lines(&output)[0]["choices"][0]["message"]["content"], "Hi");
            let said = stderr(&output);
            assert!(said.contains("a completion that wasn't streamed"), "{said}");
        }
    }
    for (body, kind) in
        [("{\"choices\":[]}", "json"), ("{\"id\":\"x\"}", "json"), ("<html>", "html")]
    {
        let report = lines(&deltawire(&["--report"], body.as_bytes())).remove(0);
        assert_eq!(report["body"], kind, "{body}");
    }
}

/// No text steers a terminal, and the JSON contains it all the same.
#[test]
fn control_characters_are_written_as_escapes() {
    let text: String =
        ('\0'..='\u{A0}').chain('\u{200B}'..='\u{206F}').chain(['\u{1F600}']).collect();
    let chunk =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]});
    let stream = format!("event: \u{9B}31m\ndata: {chunk}\n\ndata: [DONE]\n\n: \u{202E}\n\n");
    for (arguments, path) in [
        (&[][..], "/choices/0/message/content"),
        (&["--report"], "/completion/choices/0/message/content"),
        (&["--chunks"], "/chunk/choices/0/delta/content"),
        (&["--events"], "/event"),
    ] {
        let output = deltawire(arguments, stream.as_bytes());
        let steers = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!stdout(&output).contains(steers), "{arguments:?}");
        let expected = if path == "/event" { "\u{9B}31m" } else { &text };
        assert_eq!(lines(&output)[0].pointer(path).unwrap(), expected, "{arguments:?}");
    }
}

/// Returns the output of a terminal for a stream.
#[cfg(target_os = "linux")]
fn shown(stream: &Path, environment: (&str, &str)) -> String {
    let command = format!("{PROGRAM} {} >/dev/null", stream.display());
    let mut script = Command::new("script");
    script.env_remove("NO_COLOR").env("TERM", "xterm").env(environment.0, environment.1);
    let output = script.args(["-qec", &command, "/dev/null"]).output();
    stdout(&output.unwrap_or_else(|error| panic!("script, of util-linux: {error}")))
}

/// On a terminal: which choice a text belongs to, and one line at the end.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_choices_and_a_summary() {
    let shown = shown(&root().join("tests/streams/n2.sse"), ("NO_COLOR", ""));
    assert!(shown.contains("[choice 1]") && shown.contains("[choice 0]"), "{shown}");
    let last = shown.trim_end().lines().last().unwrap();
    assert!(last.starts_with("complete, 8 deltas, first token after "), "{last}");
    assert!(last.ends_with(" in all"), "{last}");
}

/// Colors mark the reasoning, and a label does if the environment asks for no colors.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_without_colors_shows_labels() {
    let stream = root().join("tests/streams/reasoning.sse");
    let with_colors = shown(&stream, ("NO_COLOR", ""));
    assert!(with_colors.starts_with("\u{1b}[2m"), "{with_colors}");
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shown = shown(&stream, environment);
        assert!(shown.starts_with("[reasoning] We need to greet."), "{shown}");
        assert!(shown.contains("\nHello, world!") && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(shown.matches("[reasoning]").count(), 1, "{shown}");
    }
}

/// On a terminal: text in parts, calls with their own arguments, and the summary after the faults.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_parts_and_calls() {
    let call = |index: u64, name: Option<&str>, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]});
    let deltas = [
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
        json!({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}),
        call(0, Some("f"), "A1"),
        call(0, None, "A2"),
        call(1, Some("g"), "B1"),
        call(0, None, "A3"),
        call(1, None, "B2"),
        json!({"function_call": {"name": "h", "arguments": "C1"}}),
        json!({"function_call": {"arguments": "C2"}}),
    ];
    let event = |delta| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    let stream: String = deltas.into_iter().map(event).collect();
    let file = std::env::temp_dir().join(format!("deltawire-{}.sse", std::process::id()));
    fs::write(&file, stream).unwrap();
    let shown = shown(&file, ("NO_COLOR", ""));
    fs::remove_file(&file).unwrap();
    let mut plain = shown.replace('\r', "");
    for style in ["\u{1b}[2m", "\u{1b}[36m", "\u{1b}[0m"] {
        plain = plain.replace(style, "");
    }
    let lines: Vec<_> = plain.lines().collect();
    let expected = [
        "Hm",
        "Hello",
        "[tool call] f A1A2",
        "[tool call] g B1",
        "[tool call 0] A3",
        "[tool call 1] B2",
        "[function call] h C1C2",
    ];
    assert_eq!(lines[..7], expected, "{shown}");
    assert!(lines[7].contains("expected a finish_reason"), "{shown}");
    assert!(lines.len() == 9 && lines[8].starts_with("truncated, "), "{shown}");
}

/// A recording's events as the standard has them, and the same output for all pieces.
#[test]
fn recordings_in_all_pieces_have_the_same_output() {
    for recording in recordings() {
        let path = recording.to_str().unwrap();
        let parsed = oracle::parse(&fs::read(&recording).unwrap(), "");
        let events = lines(&deltawire(&["--events", path], b""));
        let data: Vec<_> = events[..events.len() - 1].iter().map(|event| &event["data"]).collect();
        let expected: Vec<_> = parsed.events.iter().map(|event| &event.data).collect();
        assert_eq!(data, expected, "{path}");
        for mode in ["--report", "--chunks", "--events"] {
            let whole = deltawire(&[mode, path], b"");
            let bytes = deltawire(&[mode, "--piece", "1", path], b"");
            assert_eq!(whole.stdout, bytes.stdout, "{path} {mode}");
            assert_eq!(whole.status, bytes.status, "{path} {mode}");
        }
    }
}

/// The contents of all choices are those that `serde_json` finds in the standard's events.
#[test]
fn texts_are_the_joined_contents() {
    let mut compared = 0;
    for stream in streams().into_iter().chain(recordings()) {
        let path = stream.to_str().unwrap();
        let mut expected: BTreeMap<u64, String> = BTreeMap::new();
        for event in oracle::parse(&fs::read(&stream).unwrap(), "").events {
            let Ok(chunk) = serde_json::from_str::<Value>(&event.data) else { continue };
            for choice in chunk["choices"].as_array().into_iter().flatten() {
                let text = expected.entry(choice["index"].as_u64().unwrap_or(0)).or_default();
                let content = &choice["delta"]["content"];
                text.push_str(content.as_str().unwrap_or_default());
                let parts = content.as_array().into_iter().flatten();
                parts.for_each(|part| text.push_str(part["text"].as_str().unwrap_or_default()));
            }
        }
        let completion = lines(&deltawire(&[path], b"")).remove(0);
        let choices = completion["choices"].as_array().unwrap();
        let found: BTreeMap<_, _> = choices
            .iter()
            .filter(|choice| !choice["message"]["content"].is_array())
            .map(|choice| {
                let text = choice["message"]["content"].as_str().unwrap_or_default();
                (choice["index"].as_u64().unwrap(), text.to_owned())
            })
            .collect();
        expected.retain(|index, _| found.contains_key(index));
        assert_eq!(found, expected, "{path}");
        compared += found.values().filter(|text| !text.is_empty()).count();
    }
    assert!(compared > 5, "{compared} texts");
}

/// A reader that leaves ends the program silently.
#[test]
fn a_broken_pipe_is_no_panic() {
    let path = root().join("tests/streams/text.sse");
    for arguments in [&["--events"][..], &["--chunks"], &["--report"], &[], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM).args(arguments).arg(&path).stdout(writer).output();
        let output = output.unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(1), ""),
            "{arguments:?}"
        );
    }
}
