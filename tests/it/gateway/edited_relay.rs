//! A relay with an editor: its last event, lines that it can't edit, and the guard behind it.

use std::time::Duration;

use deltawire::gateway::{
    EditRule, Editor, Guard, Relay, RelayBuilder, RelayEnd, RelayGuard, RelayOutcome, RelayReport,
    RewriteOutcome, StopReason, UsageVisibility, Words,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, Limits, SseDecoder};

const MASK: &str = "[…]";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
const ENDS: [RelayEnd; 2] = [RelayEnd::Upstream, RelayEnd::UpstreamFailed];

fn alias() -> Editor {
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    editor
}

fn without_usage() -> Editor {
    let mut editor = Editor::new();
    editor.hide_usage(UsageVisibility::Removed);
    editor
}

fn guard() -> RelayGuard {
    RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), MASK)
}

/// Returns a relay without parts, with an editor, with a guard, and with both.
fn builders(editor: fn() -> Editor) -> [(&'static str, RelayBuilder); 4] {
    [
        ("plain", Relay::builder()),
        ("edits", Relay::builder().edit(editor())),
        ("guards", Relay::builder().guard(guard())),
        ("edits and guards", Relay::builder().edit(editor()).guard(guard())),
    ]
}

fn relay(builder: RelayBuilder, pieces: &[&str], end: RelayEnd) -> (String, RelayReport) {
    let (mut relay, mut out) = (builder.build(), Vec::new());
    for piece in pieces {
        let _ = relay.push(piece.as_bytes(), Duration::ZERO, &mut out);
    }
    let report = relay.finish(end, Duration::ZERO, &mut out);
    (String::from_utf8(out).unwrap(), report)
}

/// Returns the data of the events that a client dispatches.
fn dispatched(stream: &str) -> Vec<String> {
    let (mut sse, mut input, mut found) = (SseDecoder::new(), stream.as_bytes(), Vec::new());
    while let Some(event) = sse.next(&mut input) {
        if event.kind() == EventKind::Message {
            found.push(event.data_str().unwrap().to_owned());
        }
    }
    found
}

/// Returns the outcome of an editor for the first event of a stream, and its bytes.
fn written(editor: &mut Editor, stream: &str) -> (RewriteOutcome, String) {
    let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
    let event = decoder.next(&mut stream.as_bytes()).unwrap();
    let outcome = editor.write(&event, &mut out);
    (outcome, String::from_utf8(out).unwrap())
}

/// However the lines end, a client reads the edited last event, and the error behind it, as two events.
#[test]
fn an_edited_last_event_is_closed_with_any_line_ends() {
    let data = |model: &str| {
        format!(
            "{{\"model\":\"{model}\",\n\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"stop\"}}]}}"
        )
    };
    let ends = ["\n", "\r", "\r\n", ""];
    for (first, last, line) in (0..36).map(|nth| (ends[nth % 3], ends[nth / 3 % 4], nth / 12)) {
        let line = ["", ": c\r", "id: 1\r\n"][line];
        let sent = data("m").replace('\n', &format!("{first}{line}data: "));
        let stream = format!("data: {sent}{last}");
        for end in ENDS {
            for (parts, builder) in builders(alias) {
                let (out, report) = relay(builder, &[&stream], end);
                let context = format!("{stream:?} {parts} {end}: {out:?}");
                let found = dispatched(&out);
                let expected = data(if parts.starts_with("edits") { "alias" } else { "m" });
                let has_error = end == RelayEnd::UpstreamFailed;
                assert_eq!(found.first(), Some(&expected), "{context}");
                assert_eq!(found.len(), 1 + usize::from(has_error), "{context}");
                assert_eq!(report.outcome == RelayOutcome::Complete, !has_error, "{context}");
            }
        }
    }
}

/// An editor that changes nothing of an event hides none of its texts from the guard.
#[test]
fn a_guard_searches_an_unreadable_event_as_without_an_editor() {
    for data in [
        "data: {\"choices\":[{\"index\":0,\"delta\":\ndata: {\"content\":\"a secret b\"}}]}\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a secret b\"}}]}\n",
    ] {
        for line in ["{\"note\":1}\n", "error: x\n", "foo: x\n", ""] {
            let stream = format!("{data}{line}\n");
            let run = |guard: RelayGuard, editor: Option<Editor>| {
                let builder = Relay::builder().pass_unreadable().guard(guard.pass_unwatched());
                let builder = match editor {
                    Some(editor) => builder.edit(editor),
                    None => builder,
                };
                let (out, report) = relay(builder, &[&stream], RelayEnd::Upstream);
                (out, report.redactions, report.outcome)
            };
            let found = run(guard(), Some(alias()));
            assert_eq!(found, run(guard(), None), "{stream}");
            assert!(found.0.contains(MASK) && !found.0.contains("secret"), "{found:?}");
            assert_eq!(found.1, 1, "{stream}");
            let stops = || RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
            let (out, _, outcome) = run(stops(), Some(alias()));
            let is_found = matches!(outcome, RelayOutcome::Stopped(StopReason::Found(_)));
            assert!(is_found && !out.contains("secret"), "{outcome:?} {out}");
        }
    }
}

/// A `[DONE]` that only the relay closes ends the stream for the client, too.
#[test]
fn no_error_is_written_behind_a_done_that_the_relay_closes() {
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (done, is_whole) in
        ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n", "id: 1\ndata: [DONE]\n"]
            .into_iter()
            .flat_map(|done| [(done, true), (done, false)])
    {
        let stream = format!("{}{done}", if is_whole { FINISH } else { text });
        for end in ENDS {
            for (parts, builder) in builders(alias) {
                let (out, report) = relay(builder, &[&stream], end);
                let context = format!("{stream:?} {parts} {end}: {out:?}");
                assert_eq!(
                    dispatched(&out).last().map(String::as_str),
                    Some("[DONE]"),
                    "{context}"
                );
                assert_eq!(report.outcome == RelayOutcome::Complete, is_whole, "{context}");
                assert!(!report.must_abort, "{context}");
            }
        }
    }
}

/// A `[DONE]` that isn't sent ends no stream: the client reads an error, or the response is aborted.
#[test]
fn a_done_that_the_relay_drops_cuts_the_stream() {
    for field in ["id: 1", "event: e", "retry: 5"] {
        let stream = format!("{FINISH}data: [DONE]\n{field}");
        for end in ENDS {
            for (parts, builder) in builders(alias) {
                let (out, report) = relay(builder, &[&stream], end);
                let context = format!("{field} {parts} {end}: {out:?}");
                assert_eq!(report.outcome, RelayOutcome::Cut, "{context}");
                assert_eq!(report.must_abort, parts == "plain", "{context}");
                let last = dispatched(&out).pop().unwrap();
                assert_eq!(last.starts_with("{\"error\":"), parts != "plain", "{context}");
            }
        }
        // Behind a `[DONE]` that the client has, nothing is lost, unless it may be a failure.
        let stream = format!("{FINISH}data: [DONE]\n\ndata: [DONE]\n{field}");
        for (parts, builder) in builders(alias) {
            let (_, report) = relay(builder, &[&stream], RelayEnd::UpstreamFailed);
            let is_complete = report.outcome == RelayOutcome::Complete;
            assert_eq!(is_complete, !field.starts_with("event"), "{field} {parts}");
            assert!(!report.must_abort, "{field} {parts}");
        }
    }
}

/// A last line that may be the first part of a failure cuts the stream, and no `[DONE]` ends it.
#[test]
fn a_torn_failure_line_is_a_cut() {
    let chunk = FINISH.trim_end();
    let lines =
        ["{", "{\"a", "[{", "e", "err", "error:", "error: ", "even", "event: err", "foo", "data"];
    for (data, line) in
        [chunk, "data: [DONE]"].into_iter().flat_map(|data| lines.map(|line| (data, line)))
    {
        let before = if data == chunk { "" } else { FINISH };
        let stream = format!("{before}{data}\n{line}");
        let words: Vec<_> = stream.split_inclusive(' ').collect();
        let whole = [&*stream];
        for (nth, end) in (0..4).map(|nth| (nth / 2, ENDS[nth % 2])) {
            let pieces = if nth == 0 { &words[..] } else { &whole };
            for (parts, builder) in builders(Editor::new) {
                let (out, report) = relay(builder, pieces, end);
                let context = format!("{stream:?} {parts} {end}: {out:?} {report:?}");
                assert_eq!(report.outcome, RelayOutcome::Cut, "{context}");
                report.stream.whole().unwrap_err();
                let found = dispatched(&out);
                assert!(!found.contains(&"[DONE]".to_owned()), "{context}");
                let has_error = found.last().is_some_and(|last| last.starts_with("{\"error\":"));
                assert_eq!(has_error, !report.must_abort, "{context}");
                assert_eq!(report.must_abort, parts == "plain", "{context}");
            }
        }
    }
}

/// A `[DONE]` in an event that reports an error isn't closed: a client would read a clean end.
#[test]
fn a_done_beside_an_error_is_not_closed() {
    for last in [
        "event: error\ndata: [DONE]",
        "event: error\ndata: [DONE]\n",
        "id: 1\nerror: x\ndata: [DONE]",
        "data: [DONE]\nerror: x\n",
        "data: [DONE]\nerror: x",
    ] {
        let stream = format!("{FINISH}{last}");
        for end in ENDS {
            for (parts, builder) in builders(Editor::new) {
                let (out, report) = relay(builder, &[&stream], end);
                let context = format!("{stream:?} {parts} {end}: {out:?} {report:?}");
                assert!(!dispatched(&out).contains(&"[DONE]".to_owned()), "{context}");
                assert_eq!(report.must_abort, parts == "plain", "{context}");
                report.stream.whole().unwrap_err();
            }
        }
    }
}

/// Clients read `error: …` and JSON objects in lines that are no fields, which no rule edits.
#[test]
fn an_event_with_an_error_line_is_unreadable() {
    for event in [
        "id: 1\nerror: {\"model\":\"m\"}\n\n",
        "event: error\nerror: {\"model\":\"m\"}\n\n",
        "retry: 5\n{\"error\":{\"model\":\"m\"}}\n\n",
        "id: 1\n {\"error\":{\"model\":\"m\"}}\n\n",
        "id: 1\n{\"model\":\"m\"}\n\n",
        "{\"model\":\"m\",\"choices\":[]}\n",
        " {\"error\":{\"model\":\"m\"}}\n",
        "data: [DONE]\n{\"model\":\"m\"}\n\n",
    ] {
        let expected = (RewriteOutcome::Unreadable, event.to_owned());
        assert_eq!(written(&mut alias(), event), expected, "{event}");
        assert_eq!(written(&mut Editor::new(), event).0, RewriteOutcome::Unchanged, "{event}");
    }
    for line in [" {\"error\":{\"message\":\"m failed\"}}", "{\"a\":1}", "error: x"] {
        let event = |model| format!("data: {{\"model\":\"{model}\",\"choices\":[]}}\n{line}\n\n");
        let expected = (RewriteOutcome::Unreadable, event("alias"));
        assert_eq!(written(&mut alias(), &event("m")), expected, "{line}");
    }
    for event in ["data: [DONE]\nfoo: x\n\n", "id: 1\nfoo: x\n\n", "event: error\nfoo: x\n\n"] {
        let expected = (RewriteOutcome::Unchanged, event.to_owned());
        assert_eq!(written(&mut alias(), event), expected, "{event}");
    }
}

/// The lines that remain of a hidden usage have one blank line, in each cut.
#[test]
fn the_id_of_a_hidden_usage_is_closed_once() {
    for end in ["\n", "\r", "\r\n"] {
        for line in ["id: 1", "retry: 5", "id: 1\nretry: 5"] {
            let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}";
            let lines = line.replace('\n', end);
            let done = format!("data: [DONE]{end}{end}");
            let stream = format!("{FINISH}{lines}{end}{usage}{end}{end}{done}");
            let expected = format!("{FINISH}{line}\n\n{done}");
            for cut in 0..=stream.len() {
                let pieces = [&stream[..cut], &stream[cut..]];
                for (parts, builder) in builders(without_usage).into_iter().skip(1).step_by(2) {
                    let (out, report) = relay(builder, &pieces, RelayEnd::Upstream);
                    assert_eq!(out, expected, "{stream:?} at {cut}, {parts}");
                    assert_eq!(report.outcome, RelayOutcome::Complete);
                }
            }
            // The same at the end of the upstream, which has no blank line.
            for last in [end, ""] {
                let stream = format!("{FINISH}{lines}{end}{usage}{last}");
                for (parts, builder) in builders(without_usage).into_iter().skip(1).step_by(2) {
                    let (out, _) = relay(builder, &[&stream], RelayEnd::Upstream);
                    let lines = out.strip_prefix(FINISH).unwrap();
                    let ends = lines.replace("\r\n", "\n").replace('\r', "\n");
                    assert_eq!(ends, format!("{line}\n\n"), "{stream:?} {parts}");
                }
            }
        }
    }
}

/// A chunk that isn't sent contains nothing that a guard has to see.
#[test]
fn a_guard_searches_no_hidden_usage() {
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3},\"foo\":\"text\"}\n\n";
    for (field, expected) in [("", ""), ("id: 1\n", "id: 1\n\n")] {
        let stream = format!("{FINISH}{field}{usage}data: [DONE]\n\n");
        let builder = Relay::builder().edit(without_usage()).guard(guard());
        let (out, report) = relay(builder, &[&stream], RelayEnd::Upstream);
        assert_eq!(report.outcome, RelayOutcome::Complete, "{out}");
        assert_eq!(out, format!("{FINISH}{expected}data: [DONE]\n\n"));
    }
}

/// A comment of any length is no error: `Limits::max_comment_bytes`.
#[test]
fn a_comment_over_its_limit_passes_an_editor() {
    let limits = Limits::new().with_max_comment_bytes(20);
    let long = "x".repeat(50);
    for (line, is_comment) in [(format!(": {long}"), true), (format!("error: {long}"), false)] {
        let stream = format!("{line}\n\n{FINISH}data: [DONE]\n\n");
        for size in [1, 7, 1000] {
            let pieces: Vec<_> = stream.as_bytes().chunks(size).collect();
            let pieces: Vec<_> =
                pieces.into_iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            let builder = Relay::builder().edit(alias()).limits(limits);
            let (out, report) = relay(builder, &pieces, RelayEnd::Upstream);
            assert_eq!(report.outcome == RelayOutcome::Complete, is_comment, "{line} {size}");
            assert_eq!(out == stream, is_comment, "{line} {size}");
        }
    }
    // The rest of an event over a limit isn't one of a comment, though it begins as one.
    let stream = format!("data: {{\"a\":\"{long}\n: {long}\n\n");
    let (_, report) = relay(
        Relay::builder().edit(alias()).limits(Limits::new().with_max_event_bytes(20)),
        &[&stream],
        RelayEnd::Upstream,
    );
    assert_eq!(report.outcome, RelayOutcome::Stopped(StopReason::Unreadable));
}

/// `delta` selects the `message` of a choice, also if that is the new name of a member.
#[test]
fn a_rule_for_delta_changes_a_member_that_is_renamed_to_message() {
    let sent = r#"{"choices":[{"index":0,"msg":{"content":"x"}}]}"#;
    let rename = || EditRule::rename("$.choices[*].msg", "message").unwrap();
    let path = "$.choices[*].delta";
    for (rule, expected) in [
        (EditRule::remove(path), r#"{"choices":[{"index":0}]}"#),
        (EditRule::replace(path, 7), r#"{"choices":[{"index":0,"message":7}]}"#),
        (EditRule::set(path, 7), r#"{"choices":[{"index":0,"message":7}]}"#),
        (
            EditRule::add_if_absent(path, 7),
            r#"{"choices":[{"index":0,"message":{"content":"x"}}]}"#,
        ),
        (EditRule::remove("$.choices[*].message"), r#"{"choices":[{"index":0}]}"#),
    ] {
        let mut editor = Editor::with_rules([rename(), rule.unwrap()]);
        let written = written(&mut editor, &format!("data: {sent}\n\n"));
        assert_eq!(written, (RewriteOutcome::Changed, format!("data: {expected}\n\n")));
        let mut out = Vec::new();
        let _ = editor.write_completion(sent.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    // A rule before the renaming doesn't apply, and no other object has a `delta` of this kind.
    let mut editor = Editor::with_rules([EditRule::remove(path).unwrap(), rename()]);
    let expected = sent.replace("msg", "message");
    assert_eq!(
        written(&mut editor, &format!("data: {sent}\n\n")).1,
        format!("data: {expected}\n\n")
    );
    let rules = [EditRule::rename("$.x.msg", "message"), EditRule::remove("$.x.delta")];
    let mut editor = Editor::with_rules(rules.map(Result::unwrap));
    let written = written(&mut editor, "data: {\"choices\":[],\"x\":{\"msg\":1}}\n\n").1;
    assert_eq!(written, "data: {\"choices\":[],\"x\":{\"message\":1}}\n\n");
}

/// Without a rule there is no value that an unreadable event could still contain.
#[test]
fn an_editor_without_rules_stops_nothing() {
    let stream = format!("data: {{\n\nerror: x\nevent: error\ndata: x\n\n{FINISH}data: [DONE]\n\n");
    let (out, report) = relay(Relay::builder().edit(Editor::new()), &[&stream], RelayEnd::Upstream);
    assert_eq!((out, report.outcome.stopped()), (stream, None));
}

/// A guard searches the choices and calls of the upstream, so no rule may change which texts are one.
#[test]
fn texts_with_an_edited_index_are_unwatched() {
    let choices = r#"data: {"choices":[{"index":0,"delta":{"content":"sec"}},{"index":1,"x":0,"delta":{"content":"ret"}}]}"#;
    let calls = r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"sec"}},{"index":1,"function":{"arguments":"ret"}}]}}]}"#;
    let absent =
        r#"data: {"choices":[{"delta":{"content":"sec"}},{"index":1,"delta":{"content":"ret"}}]}"#;
    let path = "$.choices[*].index";
    let call_path = "$.choices[*].delta.tool_calls[*].index";
    for (stream, rule, expected) in [
        (choices, EditRule::replace(path, 0u64), "unwatched_content"),
        (choices, EditRule::set(path, 0u64), "unwatched_content"),
        (choices, EditRule::remove(path), "unwatched_content"),
        (choices, EditRule::rename(path, "i"), "unwatched_content"),
        (choices, EditRule::rename("$.choices[*].x", "index"), "unwatched_content"),
        (absent, EditRule::add_if_absent(path, 1u64), "unwatched_content"),
        (calls, EditRule::replace(call_path, 0u64), "unwatched_content"),
        (calls, EditRule::remove(call_path), "unwatched_content"),
        // A client may find the other elements by their positions.
        (calls, EditRule::remove("$.choices[*].delta.tool_calls[0]"), "unwatched_content"),
        // No index of a choice or call changes.
        (choices, EditRule::add_if_absent(path, 1u64), "complete"),
        (choices, EditRule::set("$.index", 1u64), "complete"),
        (choices, EditRule::remove(call_path), "complete"),
        (calls, EditRule::set("$.choices[*].seed", 1u64), "complete"),
    ] {
        let rule = rule.unwrap();
        let finish = r#"data: {"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}]}"#;
        let stream = format!("{stream}\n\n{finish}\n\ndata: [DONE]\n\n");
        let builder = Relay::builder().edit(Editor::with_rules([rule.clone()])).guard(guard());
        let (out, report) = relay(builder, &[&stream], RelayEnd::Upstream);
        assert_eq!(report.outcome.as_str(), expected, "{rule:?} {out}");
    }
}
