//! The parts of a gateway on recorded and generated streams, in all cuts.

use std::borrow::{Borrow, Cow};
use std::sync::Arc;

use deltawire::completion::{
    ChatCompletion, CompletionChoice, FinishedCompletion, FunctionCall, Message, ReasoningName,
    ToolCall,
};
use deltawire::gateway::{
    Editor, Guard, Observer, PushResult, Replay, RewriteOutcome, Spans, StreamReport, TokenCounts,
    UsageTap, UsageVisibility, assemble,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, Outcome, Payload, Reassembler, SseDecoder, Templates};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::recordings;

/// Returns all streams of chunks, by their names.
fn streams() -> Vec<(String, Vec<u8>)> {
    let generated = crate::workloads::NAMES.into_iter().filter(|name| *name != "huge");
    let generated =
        generated.map(|name| (name.to_owned(), crate::workloads::generate(name, 60, 5).bytes));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let own = ["text", "tools", "reasoning", "refusal", "n2", "usage", "error", "truncated"];
    let own = own.map(|name| {
        (name.to_owned(), std::fs::read(folder.join(name).with_extension("sse")).unwrap())
    });
    let recorded = recordings("openai-chat").into_iter().map(|it| (it.file, it.bytes));
    generated.chain(own).chain(recorded).collect()
}

/// Decodes a stream in pieces of a size.
fn decode(stream: &[u8], size: usize, templates: bool, mut each: impl FnMut(&ChunkEvent<'_>)) {
    let mut decoder = ChunkDecoder::new();
    decoder.set_templates(&if templates { Templates::new() } else { Templates::none() });
    for piece in stream.chunks(size) {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            each(&event);
        }
    }
}

/// Returns the data of the messages in a stream.
fn messages(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut decoder, mut input, mut found) = (SseDecoder::new(), stream, Vec::new());
    while let Some(event) = decoder.next(&mut input) {
        if event.kind() == EventKind::Message {
            found.push(event.data().to_vec());
        }
    }
    found
}

/// Returns true if a chunk has no choices: a client that reads `choices[0]` fails on it.
fn has_no_choices(chunk: &serde_json::Map<String, Value>) -> bool {
    chunk.get("choices").is_none_or(|choices| *choices == json!(null) || *choices == json!([]))
}

/// An edited stream equals the one that `serde_json` makes of each payload, in all cuts.
#[test]
fn edits_are_those_of_serde_json() {
    for (name, stream) in streams() {
        let edited = |size, templates| {
            let (mut editor, mut out) = (Editor::new(), Vec::new());
            editor.replace("model", "al\"ias");
            editor.remove("system_fingerprint");
            editor.remove("id");
            editor.hide_usage(UsageVisibility::Removed);
            decode(&stream, size, templates, |event| {
                let before = out.len();
                match editor.write(event, &mut out) {
                    RewriteOutcome::Changed => assert_ne!(&out[before..], event.raw(), "{name}"),
                    RewriteOutcome::Dropped => assert_eq!(out.len(), before, "{name}"),
                    _ => assert_eq!(&out[before..], event.raw(), "{name}"),
                }
            });
            out
        };
        let out = edited(usize::MAX, true);
        for (size, templates) in [(usize::MAX, false), (1460, true), (61, true)] {
            assert!(edited(size, templates) == out, "{name} in {size}");
        }
        let mut expected = Vec::new();
        for message in messages(&stream) {
            let Ok(Value::Object(mut chunk)) = serde_json::from_slice(&message) else {
                expected.push(message);
                continue;
            };
            let has_usage = chunk.get("usage").is_some_and(Value::is_object);
            if has_usage && has_no_choices(&chunk) {
                continue;
            }
            if let Some(model) = chunk.get_mut("model") {
                *model = "al\"ias".into();
            }
            for name in ["system_fingerprint", "id", "usage"] {
                chunk.shift_remove(name);
            }
            expected.push(serde_json::to_vec(&chunk).unwrap());
        }
        let found: Vec<_> = messages(&out)
            .into_iter()
            .map(|message| match serde_json::from_slice::<Value>(&message) {
                Ok(chunk @ Value::Object(_)) => serde_json::to_vec(&chunk).unwrap(),
                _ => message,
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(String::from_utf8_lossy(found), String::from_utf8_lossy(expected), "{name}");
        }
    }
}

/// A chunk without choices is dropped, with all members besides its usage.
#[test]
fn what_is_dropped_does_not_depend_on_the_chunks_before() {
    let chunk = |note: &str| {
        format!("data: {{\"note\":\"{note}\",\"choices\":[],\"usage\":{{\"total_tokens\":1}}}}\n\n")
    };
    for notes in [["x", "", "y", ""], ["", "x", "", "y"], ["x", "y", "", "z"]] {
        let stream: String = notes.map(chunk).concat();
        for templates in [true, false] {
            let (mut editor, mut out, mut told) = (Editor::new(), Vec::new(), Vec::new());
            editor.hide_usage(UsageVisibility::Removed);
            decode(stream.as_bytes(), stream.len(), templates, |event| {
                told.push(editor.write(event, &mut out));
            });
            assert_eq!(String::from_utf8(out).unwrap(), "", "{notes:?}");
            assert_eq!(told, [RewriteOutcome::Dropped; 4], "{notes:?}");
        }
    }
}

#[test]
fn an_event_in_which_something_is_replaced_is_not_dropped() {
    for (sent, name, expected) in [
        (r#"{"usage":{"a":1},"usage":{"b":1}}"#, "usage", r#"{"usage":"new"}"#),
        (r#"{"id":"1","usage":{"a":1}}"#, "id", r#"{"id":"new"}"#),
    ] {
        let stream = format!("data: {sent}\n\n");
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.hide_usage(UsageVisibility::Removed);
        decode(stream.as_bytes(), stream.len(), true, |event| {
            let value = match event.payload() {
                Payload::Chunk(chunk) => chunk.get(name).unwrap(),
                payload => panic!("{payload:?}"),
            };
            let mut edit = editor.edit(event);
            assert!(edit.replace(value, "new"), "{sent}");
            assert_eq!(edit.write(&mut out), RewriteOutcome::Changed, "{sent}");
        });
        assert_eq!(String::from_utf8(out).unwrap(), format!("data: {expected}\n\n"));
    }
}

#[test]
fn lines_that_are_no_field_are_unwatched_wherever_they_stand() {
    for block in [
        "data: {\"choices\":[]}\n{\"error\":{\"message\":\"secret\"}}\n\n",
        "event: x\nsecret\ndata: {\"choices\":[]}\n\n",
        "data: [DONE]\nsecret\n\n",
        "id: 1\nsecret\n\n",
        "secret\n\n",
    ] {
        let (mut guard, mut pushed) = (Guard::new(), Vec::new());
        decode(block.as_bytes(), block.len(), true, |event| pushed.push(guard.push(event)));
        assert!(pushed.contains(&PushResult::Unwatched), "{block:?}: {pushed:?}");
    }
    for filtered in ["[97,98]", "[[{}]]", "[true]"] {
        let event = format!("data: {{\"choices\":[],\"prompt_filter_results\":{filtered}}}\n\n");
        let (mut guard, mut pushed) = (Guard::new(), Vec::new());
        decode(event.as_bytes(), event.len(), true, |event| pushed.push(guard.push(event)));
        assert_eq!(pushed, [PushResult::Unwatched], "{filtered}");
    }
}

#[test]
fn a_replacement_changes_no_other_byte() {
    let mut replaced = 0;
    for (name, stream) in streams() {
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.replace("model", "alias");
        decode(&stream, 4096, true, |event| {
            let Payload::Chunk(chunk) = event.payload() else { return };
            let Some(model) = chunk.get("model") else { return };
            let Ok(raw) = std::str::from_utf8(event.raw()) else { return };
            out.clear();
            let edited = editor.write(event, &mut out);
            if raw.matches(model.raw()).count() == 1 && edited != RewriteOutcome::Dropped {
                let expected = raw.replace(model.raw(), "\"alias\"");
                assert_eq!(String::from_utf8_lossy(&out), expected, "{name}");
                replaced += 1;
            }
        });
    }
    assert!(replaced > 100, "{replaced}");
}

/// The bytes in a span are the value.
#[test]
fn spans_hold_their_values() {
    for (name, stream) in streams() {
        for (size, templates) in [(usize::MAX, true), (700, true), (usize::MAX, false)] {
            decode(&stream, size, templates, |event| {
                let Some(spans) = Spans::of(event) else { return };
                let Payload::Chunk(chunk) = event.payload() else { return };
                let text = |span: std::ops::Range<usize>| &event.raw()[span];
                for (member, value) in chunk.as_value().members() {
                    assert_eq!(text(spans.of_value(value)), value.raw().as_bytes(), "{name}");
                    let last = chunk.get(member).map(|value| value.raw().as_bytes());
                    assert_eq!(spans.value(member).map(text), last, "{name} {member}");
                }
                for (position, choice) in chunk.choices().enumerate() {
                    let content = choice.delta().get("content");
                    let raw = content.map(|content| content.raw().as_bytes());
                    assert_eq!(spans.content(position).map(text), raw, "{name}");
                }
                let usage = chunk.usage().map(|usage| usage.as_value().raw().as_bytes());
                assert_eq!(spans.usage().map(text), usage, "{name}");
            });
        }
    }
}

/// Compares the report of a tap with the results of a decoder and a reassembler.
fn assert_same(name: &str, seen: &StreamReport, finished: &FinishedCompletion, deltas: u64) {
    assert_eq!(seen.outcome, finished.outcome, "{name}");
    assert_eq!(seen.end, finished.end, "{name}");
    assert_eq!(seen.deltas, deltas, "{name}");
    let count = |name: &str| finished.completion.usage.as_ref()?.get(name)?.as_u64();
    let tokens = seen.tokens.unwrap_or_default();
    assert_eq!(seen.tokens.is_some(), finished.completion.usage.is_some(), "{name}");
    assert_eq!(tokens.prompt, count("prompt_tokens"), "{name}");
    assert_eq!(tokens.completion, count("completion_tokens"), "{name}");
    assert_eq!(tokens.total, count("total_tokens"), "{name}");
    assert_eq!(seen.choices.len(), finished.completion.choices.len(), "{name}");
    for choice in &seen.choices {
        let expected = finished.completion.choice(choice.index).unwrap();
        assert_eq!(choice.finish_reason, expected.finish_reason, "{name}");
    }
}

/// In all cuts, on all streams, a tap reports the findings of a decoder, event by event.
#[test]
fn a_tap_has_the_findings_of_a_decoder() {
    let mut usages = 0;
    for (name, stream) in streams() {
        for size in [usize::MAX, 1460, 61] {
            let (mut tap, mut next) = (UsageTap::new(), UsageTap::new());
            let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
            let (mut observer, mut deltas) = (Observer::new(), 0);
            for piece in stream.chunks(size) {
                let mut input = piece;
                let mut told = piece;
                while let Some(event) = decoder.next(&mut input) {
                    completion.push_payload(event.payload());
                    let has_told = observer.observe(&event).is_some();
                    let content_flags = event.payload().content_flags();
                    deltas += u64::from(content_flags.is_output());
                    let malformed = match event.payload() {
                        Payload::Malformed(error) => Some(*error),
                        _ => None,
                    };
                    let is_news = content_flags.usage
                        || content_flags.finish
                        || content_flags.error
                        || malformed.is_some();
                    assert_eq!(has_told, is_news, "{name}");
                    if !is_news {
                        continue;
                    }
                    let tapped = next.next(&mut told).unwrap();
                    assert_eq!(tapped.tokens.is_some(), content_flags.usage, "{name}");
                    assert_eq!(tapped.finished.is_some(), content_flags.finish, "{name}");
                    assert_eq!(tapped.error.is_some(), content_flags.error, "{name}");
                    assert_eq!(tapped.malformed, malformed, "{name}");
                    if let (Payload::Chunk(chunk), Some(tokens)) = (event.payload(), tapped.tokens)
                    {
                        let usage = TokenCounts::from(chunk.usage().unwrap());
                        assert_eq!(usage.prompt.or(tokens.prompt), tokens.prompt, "{name}");
                        assert_eq!(usage.completion.or(tokens.completion), tokens.completion);
                        assert_eq!(usage.total.or(tokens.total), tokens.total, "{name}");
                        usages += 1;
                    }
                    assert_eq!(told.len(), input.len(), "{name}");
                }
                assert!(next.next(&mut told).is_none(), "{name}");
                tap.push(piece);
            }
            let finished = completion.finish(decoder.finish());
            assert_same(&name, &tap.finish(), &finished, deltas);
            assert_same(&name, &next.finish(), &finished, deltas);
            assert_same(&name, &observer.finish(finished.end.clone()), &finished, deltas);
        }
    }
    // Of the own streams alone; with recordings there are more.
    assert!(usages > 150, "{usages}");
}

/// The token counts of a completion are those that a tap reports for its stream.
///
/// The same holds for the completion's replay, and for a completion that is read from JSON.
#[test]
fn a_completion_has_the_token_counts_of_its_stream() {
    let tapped = |stream: &[u8]| {
        let mut tap = UsageTap::new();
        tap.push(stream);
        tap.finish().tokens
    };
    let mut counted = 0;
    for (name, stream) in streams() {
        let completion = assemble([&stream[..]]).completion;
        let tokens = completion.tokens();
        assert_eq!(tokens, tapped(&stream), "{name}");
        assert_eq!(tapped(&replayed(&completion, 32)), tokens, "{name}");
        let mut json = Vec::new();
        completion.write_json(&mut json);
        let read = ChatCompletion::from_json(&json).unwrap();
        assert_eq!(read.tokens(), tokens, "{name}");
        counted += usize::from(tokens.is_some());
    }
    assert!(counted > 4, "{counted}");
}

/// A completion's counts are those of a chunk with the same JSON.
#[test]
fn a_completion_counts_by_the_rules_of_a_stream() {
    let usage = |prompt: u64| json!({"prompt_tokens": prompt});
    let count = |members: Value| {
        let mut json = json!({"choices": []});
        json.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let completion = ChatCompletion::from_json(json.to_string().as_bytes()).unwrap();
        let mut tap = UsageTap::new();
        tap.push(format!("data: {json}\n\n").as_bytes());
        assert_eq!(completion.tokens(), tap.finish().tokens, "{json}");
        completion.tokens().map(|tokens| (tokens.prompt, tokens.completion, tokens.total))
    };
    let choices = json!([{"index": 0, "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
        {"index": 1, "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}]);
    for (members, expected) in [
        (json!({}), None),
        (json!({"usage": {}}), None),
        (json!({"usage": {"prompt_tokens": null}}), None),
        (json!({"usage": usage(3), "x_groq": {"usage": usage(4)}}), Some((Some(3), None, None))),
        (json!({"usage": {}, "x_groq": {"usage": usage(4)}}), Some((Some(4), None, None))),
        (json!({"x_groq": {"usage": usage(4)}, "choices": choices}), Some((Some(4), None, None))),
        (json!({"x_groq": {"usage": 1}, "choices": choices}), Some((Some(3), Some(3), Some(6)))),
        (
            json!({"usage": {"input_tokens": 7.0, "output_tokens": "8"}}),
            Some((Some(7), Some(8), None)),
        ),
    ] {
        assert_eq!(count(members.clone()), expected, "{members}");
    }
    // Counts that differ from those of a stream: the docs of `tokens` list the reasons.
    let stream = |usages: &[&str]| {
        let events = usages.iter().map(|usage| format!("data: {{{usage}}}\n\n"));
        events.collect::<Vec<_>>().concat().into_bytes()
    };
    for (usages, in_stream, stored) in [
        ([r#""usage":{"prompt_tokens":1}"#, r#""usage":{"input_tokens":2}"#], 2, 1),
        ([r#""x_groq":{"usage":{"prompt_tokens":1}}"#, r#""usage":{"input_tokens":2}"#], 2, 1),
        (
            [r#""usage":{"prompt_tokens":1,"input_tokens":2}"#, r#""usage":{"prompt_tokens":[]}"#],
            1,
            1,
        ),
        (
            [r#""usage":{"prompt_tokens":1,"input_tokens":2}"#, r#""usage":{"prompt_tokens":"?"}"#],
            1,
            2,
        ),
    ] {
        let (stream, mut tap) = (stream(&usages), UsageTap::new());
        tap.push(&stream);
        assert_eq!(tap.finish().tokens.unwrap().prompt, Some(in_stream), "{usages:?}");
        assert_eq!(assemble([&stream[..]]).completion.tokens().unwrap().prompt, Some(stored));
    }
}

/// Returns usages with counts in all their forms, each count under one name.
fn usages() -> impl Strategy<Value = String> {
    let counts =
        ["0", "3", "7", "8.0", "1e1", "\"12\"", "9007199254740992", "18446744073709551615"];
    let count = proptest::sample::select(counts.to_vec());
    proptest::collection::btree_map(0..USAGE_MEMBERS.len(), count, 0..4).prop_map(|members| {
        let members = members.into_iter().map(|(at, count)| USAGE_MEMBERS[at].replace('#', count));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

const USAGE_MEMBERS: [&str; 5] = [
    r#""prompt_tokens":#"#,
    r#""completion_tokens":#"#,
    r#""total_tokens":#"#,
    r#""prompt_tokens_details":{"cached_tokens":#}"#,
    r#""output_tokens_details":{"reasoning_tokens":#}"#,
];

proptest! {
    /// A tap counts the tokens of a completion, for usages in any place and form.
    #[test]
    fn a_tap_and_a_completion_count_the_same_tokens(
        usages in proptest::collection::vec(
            (0..5_usize, usages(), prop_oneof![3 => Just(1_usize), 1 => Just(3)]),
            1..6,
        ),
    ) {
        let chunk = |place: usize, usage: &str| match place {
            0 => format!(r#"{{"choices":[],"usage":{usage}}}"#),
            1 => format!(r#"{{"choices":[{{"index":0}}],"x_groq":{{"usage":{usage}}}}}"#),
            _ => format!(r#"{{"usage":{{}},"choices":[{{"index":{},"usage":{usage}}}]}}"#, place - 2),
        };
        let chunks = usages.iter().flat_map(|(place, usage, times)| {
            std::iter::repeat_n(format!("data: {}\n\n", chunk(*place, usage)), *times)
        });
        let stream = chunks.collect::<Vec<_>>().concat();
        for templates in [true, false] {
            let (mut observer, mut completion) = (Observer::new(), Reassembler::new());
            decode(stream.as_bytes(), usize::MAX, templates, |event| {
                observer.observe(event);
                completion.push_payload(event.payload());
                assert_eq!(observer.tokens(), completion.snapshot().tokens(), "{templates} {stream}");
            });
        }
    }
}

/// Choices that begin in chunks of which everything has to be looked at count too.
#[test]
fn a_tap_sees_every_choice() {
    let part = |index, text| {
        format!(
            r#"{{"choices":[{{"index":{index},"delta":{{"content":[{{"type":"text","text":"{text}"}}]}}}}]}}"#
        )
    };
    let end = |index| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#)
    };
    let chunks = [part(0, "a"), part(1, "b"), part(2, "c"), end(0), end(1)];
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    let stream = events.collect::<Vec<_>>().concat() + "data: [DONE]\n\n";
    let mut tap = UsageTap::new();
    tap.push(stream.as_bytes());
    let seen = tap.finish();
    assert_eq!((seen.outcome, seen.choices.len()), (Outcome::DoneWithoutFinish, 3));
}

/// The input of a custom tool is output, and no text that a guard could look at.
#[test]
fn custom_tools_are_seen() {
    let part = |input: &str| {
        format!(
            r#"data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"custom":{{"input":"{input}"}}}}]}}}}]}}"#
        ) + "\n\n"
    };
    let stream = [part("a"), part("b"), part(""), part("c")].concat();
    for templates in [true, false] {
        let (mut observer, mut guard) = (Observer::new(), Guard::new());
        decode(stream.as_bytes(), usize::MAX, templates, |event| {
            let _ = observer.observe(event);
            let is_empty = event.raw().ends_with(b"\"input\":\"\"}}]}}]}\n\n");
            let expected = if is_empty { PushResult::NoText } else { PushResult::Unwatched };
            assert_eq!(guard.push(event), expected);
        });
        assert_eq!(observer.deltas(), 3, "templates {templates}");
    }
    let mut guard = Guard::new();
    decode(b"event: error\ndata: {\"text\n\n", usize::MAX, true, |event| {
        assert_eq!(guard.push(event), PushResult::Unwatched);
    });
}

/// The members `index` of a call, which a completion doesn't have, would be another call's.
#[test]
fn calls_with_an_index_are_replayed_as_they_stand() {
    let arguments = format!("{{\"city\":\"{}\"}}", "x".repeat(100));
    let call = |id: &str, index: u64| {
        serde_json::json!({"index": index, "id": id, "type": "function",
            "function": {"name": id, "arguments": arguments}})
    };
    for indexes in [[0, 0], [5, 0], [0, 1]] {
        let calls = [call("a", indexes[0]), call("b", indexes[1])];
        let json = serde_json::json!({"id": "1", "model": "m", "choices": [{"index": 0,
            "delta": {"content": "no"}, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "tool_calls": calls}}]});
        let completion: ChatCompletion = serde_json::from_value(json).unwrap();
        let back = assemble([&replayed(&completion, 32)[..]]);
        assert_eq!(back.outcome, Outcome::Complete);
        let message = &back.completion.choices[0].message;
        assert_eq!((message.content.as_deref(), message.tool_calls.len()), (None, 2));
        for (call, id) in message.tool_calls.iter().zip(["a", "b"]) {
            let function = call.function.as_ref().unwrap();
            assert_eq!((&*call.id, &*function.name), (id, id));
            assert_eq!(function.arguments, arguments);
        }
    }
}

/// One tap for one stream after the other is as one for each.
#[test]
fn a_tap_forgets_the_stream_before() {
    let mut tap = UsageTap::new();
    for (name, stream) in streams() {
        let mut fresh = UsageTap::new();
        assert_eq!(tap.push(&stream), fresh.push(&stream), "{name}");
        assert_eq!(tap.finish(), fresh.finish(), "{name}");
    }
}

/// An unchanged usage counts too: of a chunk that is like one before the last.
#[test]
fn the_last_usage_counts() {
    let event =
        |total| format!("data: {{\"usage\":{{\"prompt_tokens\":1,\"total_tokens\":{total}}}}}\n\n");
    let stream = [5, 6, 7, 8].map(event).concat();
    for between in [
        "data: {\"usage\":{\"prompt_tokens\":2e0,\"prompt_tokens\":2}}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"x\":[],\"n\":1e400}}\n\n",
    ] {
        let stream = format!("{stream}{between}{stream}");
        let mut tap = UsageTap::new();
        tap.push(stream.as_bytes());
        assert_eq!(tap.tokens().unwrap().prompt, Some(1), "{between}");
    }
}

/// Counts of any length, wherever the event ends behind them.
#[test]
fn counts_of_any_length_are_seen() {
    let counts: Vec<u64> =
        (0..19).map(|digits| 1_234_567_890_123_456_789 / 10u64.pow(digits)).collect();
    for end in ["}}\n\n", "}}\r\n\r\n", "},\"choices\":[],\"created\":1}\n\n", "}\n}\r\r"] {
        let mut tap = UsageTap::new();
        for count in counts.iter().flat_map(|count| [*count, count / 7, 0, 10, 7]) {
            let event = format!(
                "data: {{\"usage\":{{\"prompt_tokens\":{count},\"total_tokens\":{count}{end}"
            );
            let event = event.replace("}\n}", "}\ndata:}");
            tap.push(event.as_bytes());
            let seen = tap.tokens().unwrap();
            assert_eq!((seen.prompt, seen.total), (Some(count), Some(count)), "{event:?}");
        }
    }
}

/// Replays a completion as a stream, in deltas of a size.
fn replayed(completion: &ChatCompletion, delta_bytes: usize) -> Vec<u8> {
    let mut replay = Replay::new(completion);
    replay.set_delta_bytes(delta_bytes);
    let mut out = Vec::new();
    replay.write_all(&mut out);
    out
}

fn json(completion: &ChatCompletion) -> String {
    let mut json = Vec::new();
    completion.write_json(&mut json);
    String::from_utf8(json).unwrap()
}

/// Returns a JSON text without the white space between its tokens.
fn minified(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        let is_kept = in_string || !character.is_ascii_whitespace();
        in_string ^= *character == '"' && !is_escaped;
        is_escaped = in_string && *character == '\\' && !is_escaped;
        is_kept
    };
    json.chars().filter(is_kept).collect()
}

/// Asserts that a completion equals another one, except for white space in values without a field.
fn assert_equal_values(name: &str, found: &ChatCompletion, expected: &ChatCompletion) {
    let (written, sent) = (json(found), json(expected));
    let expected_json = minified(&sent);
    assert!(written == expected_json, "{name}: {written} {expected_json}");
    assert!(sent != expected_json || found == expected, "{name}: {found:?} {expected:?}");
}

/// Replays a completion, which must be the same again, and checks the order of its chunks.
///
/// A completion that isn't whole doesn't end as if it were.
fn assert_replays(name: &str, completion: &ChatCompletion) {
    let is_finished = |choice: &CompletionChoice| choice.finish_reason.is_some();
    let choices = &completion.choices;
    let all_finished = !choices.is_empty() && choices.iter().all(is_finished);
    // Made by hand it may not know of itself that it isn't.
    let mut expected = completion.clone();
    expected.not_whole |= !all_finished;
    for delta_bytes in [1, 7, 32, usize::MAX] {
        let stream = replayed(completion, delta_bytes);
        let again = assemble([&stream[..]]);
        assert_equal_values(name, &again.completion, &expected);
        assert_eq!(again.whole().is_err(), expected.not_whole, "{name}");
        let is_complete = again.outcome == Outcome::Complete;
        assert_eq!(is_complete, !expected.not_whole, "{name}: {:?}", again.outcome);
        assert_eq!(again.end.malformed, 0, "{name}");
        for message in messages(&stream).iter().filter(|message| *message != b"[DONE]") {
            let message = std::str::from_utf8(message).unwrap();
            assert!(minified(message) == message, "{name}: {message}");
        }
        decode(&stream, usize::MAX, true, |event| {
            if let Payload::Chunk(chunk) = event.payload() {
                assert_eq!(chunk.object(), Some("chat.completion.chunk"), "{name}");
                assert!(chunk.get("choices").is_some() && chunk.get("model").is_some(), "{name}");
            } else if completion.not_whole {
                assert!(matches!(event.payload(), Payload::Error(_)), "{name}: {event:?}");
            } else {
                assert!(matches!(event.payload(), Payload::Done), "{name}: {event:?}");
            }
        });
    }
}

/// Replays that own their completion write the bytes of one that borrows it, on another thread too.
///
/// In all cuts their stream is the same completion.
#[test]
fn an_owned_replay_is_a_borrowed_one() {
    fn written(replay: Replay<impl Borrow<ChatCompletion> + Send + 'static>) -> Vec<u8> {
        let all = move || {
            let mut out = Vec::new();
            replay.write_all(&mut out);
            out
        };
        std::thread::spawn(all).join().unwrap()
    }
    for (name, stream) in streams() {
        let completion = assemble([&stream[..]]).completion;
        let expected = replayed(&completion, 32);
        let shared = Arc::new(completion.clone());
        assert!(written(Replay::new(Arc::clone(&shared))) == expected, "{name}");
        assert!(written(Replay::new(Box::new(completion.clone()))) == expected, "{name}");
        assert!(written(Replay::new(Cow::Owned(completion.clone()))) == expected, "{name}");
        let mut json = Vec::new();
        completion.write_json(&mut json);
        let read = ChatCompletion::from_json(&json).unwrap();
        let from_json = written(Replay::from_json(&json).unwrap());
        assert!(from_json == replayed(&read, 32), "{name}");
        let again = assemble([&expected[..]]).completion;
        assert!(written(Replay::new(completion)) == expected, "{name}");
        for size in [1, 61, 1460] {
            assert!(assemble(expected.chunks(size)).completion == again, "{name} in {size}");
        }
    }
}

/// No answer that reports an error becomes a stream that ends well.
#[test]
fn no_error_becomes_a_successful_stream() {
    let finished = r#"{"index":0,"message":{"content":"a"},"finish_reason":"stop"}"#;
    for body in [
        r#"{"error":{"message":"Rate limit reached","type":"requests","code":"429"}}"#,
        r#"{"error":{"code":429},"choices":null}"#,
        r#"{"object":"error","message":"no such model","type":"NotFoundError","code":404}"#,
        r#"{"detail":"Unauthorized"}"#,
        r#"[{"error":{"code":500}}]"#,
        "<html><body>502 Bad Gateway</body></html>",
        "upstream connect error",
        "",
    ] {
        assert!(Replay::from_json(body.as_bytes()).is_err(), "{body}");
    }
    for (body, outcome) in [
        (format!(r#"{{"error":{{"code":429}},"choices":[{finished}]}}"#), Outcome::UpstreamError),
        (r#"{"error":{"code":429},"choices":[]}"#.to_owned(), Outcome::UpstreamError),
        (
            format!(
                r#"{{"choices":[{finished},{{"index":1,"error":{{"code":502}},"message":{{}},"finish_reason":"error"}}]}}"#
            ),
            Outcome::UpstreamError,
        ),
        (
            format!(
                r#"{{"choices":[{finished},{{"index":1,"message":{{"content":"b"}},"finish_reason":"error"}}]}}"#
            ),
            Outcome::FailedFinish,
        ),
        (r#"{"choices":[]}"#.to_owned(), Outcome::Truncated),
        (r#"{"choices":[{"index":0,"message":{"content":"a"}}]}"#.to_owned(), Outcome::Truncated),
        (format!(r#"{{"choices":[{finished}]}}"#), Outcome::Complete),
    ] {
        let mut out = Vec::new();
        Replay::from_json(body.as_bytes()).unwrap().write_all(&mut out);
        assert_eq!(assemble([&out[..]]).outcome, outcome, "{body}");
    }
}

#[test]
fn streams_of_all_kinds_are_replayed() {
    let mut replayed = 0;
    for (name, stream) in streams() {
        assert_replays(&name, &assemble([&stream[..]]).completion);
        replayed += 1;
    }
    assert!(replayed > 15, "{replayed}");
}

/// Values without a field are replayed without white space, in their spelling.
#[test]
fn values_are_replayed_without_white_space() {
    let event = |json: &str| format!("data: {}\n\n", json.replace('\n', "\ndata: "));
    let stream = [
        r#"{"choices":[{"index":0,"delta":{"content":"a b","new":{"x": [1.50, 2 ]}},"logprobs":{"content":[{"token": "a b", "logprob": -0.10, "bytes": [97, 32]} ]}}], "timings": {"a": 1E2}}"#,
        "{\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":{\"content\":[\n{\"token\": \"\\u00e9\\\"\"\n}]},\"finish_reason\":\"stop\"}]}",
    ]
    .map(event)
    .concat();
    let completion = assemble([stream.as_bytes()]).completion;
    assert!(json(&completion).contains(r#""logprob": -0.10"#));
    assert_replays("white space", &completion);
    let replayed = String::from_utf8(replayed(&completion, 32)).unwrap();
    let tokens = r#""logprobs":{"content":[{"token":"a b","logprob":-0.10,"bytes":[97,32]},{"token":"\u00e9\""}]}"#;
    for expected in [tokens, r#""new":{"x":[1.50,2]}"#, r#""timings":{"a":1E2}"#] {
        assert!(replayed.contains(expected), "{expected}: {replayed}");
    }
}

/// A decoder with default limits reads the replay of a completion of any length.
#[test]
fn long_completions_are_replayed() {
    // 1 240 000 names and values.
    let alternative = r#"{"token":"t","logprob":-0.1,"bytes":[1,2,3]}"#;
    let alternatives = vec![alternative; 20].join(",");
    let token =
        format!(r#"{{"token":"t","logprob":-0.1,"bytes":null,"top_logprobs":[{alternatives}]}}"#);
    let tokens = vec![token; 500].join(",");
    let chunk = format!(r#"{{"choices":[{{"delta":{{}},"logprobs":{{"content":[{tokens}]}}}}]}}"#);
    let chunk = format!("data: {chunk}\n\n");
    let finished = assemble(std::iter::repeat_n(chunk.as_bytes(), 11));
    assert_eq!(finished.completion.choices.len(), 1);
    let again = assemble([&replayed(&finished.completion, 32)[..]]);
    assert_eq!((again.end.malformed, again.end.chunks > 4), (0, true));
    assert!(again.completion == finished.completion);
    // Text of which each byte is written as six.
    let mut completion = ChatCompletion::default();
    let mut choice = CompletionChoice::default();
    choice.message.content = Some("\u{1}".repeat(11 << 20));
    completion.choices = vec![choice];
    completion.not_whole = true;
    let again = assemble([&replayed(&completion, usize::MAX)[..]]);
    assert_eq!((again.end.malformed, again.end.chunks), (0, 4));
    assert!(again.completion == completion);
}

/// Through JSON and back, as a cache has it: the same JSON.
#[test]
fn completions_from_json_are_replayed() {
    for (name, stream) in streams() {
        let json = serde_json::to_string_pretty(&assemble([&stream[..]]).completion).unwrap();
        let completion: ChatCompletion = serde_json::from_str(&json).unwrap();
        let again = assemble([&replayed(&completion, 9)[..]]).completion;
        let expected: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), expected, "{name}");
    }
}

/// Through JSON and back a completion writes the same JSON, even if it isn't equal.
///
/// The cases are the rows of the table in the docs of `ChatCompletion`.
#[test]
fn there_and_back_the_json_is_the_same() {
    let role = r#""role":"assistant","#;
    let delta = |delta: &str, more: &str| {
        let chunk = format!(r#"{{"id":"1","choices":[{{"index":0,"delta":{{{delta}}}}}]{more}}}"#);
        format!("data: {chunk}\n\n")
    };
    let text = delta(&format!(r#"{role}"content":"a\u00e9","new":[1, 2.50]"#), "");
    for (more, is_equal) in [
        (String::new(), true),
        (delta(r#""tool_calls":[{"id":"","type":"function","function":{"name":"f"}}]"#, ""), true),
        (
            delta(
                r#""extra_content":{"a":{"b":1}},"audio":{"id":"x"}"#,
                r#","usage":{"a":{"b":1}}"#,
            ),
            true,
        ),
        (delta(r#""annotations":[{"a": 1}]"#, r#","warnings":[{"b":2}],"citations":["c"]"#), true),
        // A call without a type.
        (delta(r#""tool_calls":[{"id":"","function":{"name":"f"}}]"#, ""), false),
        // An object that came whole.
        (delta("", r#","timings":{"n":1.50}"#), false),
        // Lists by index.
        (delta("", r#","prompt_filter_results":[{"prompt_index":0}]"#), false),
        (delta(r#""reasoning_details":[{"index":0,"text":"a"}]"#, ""), false),
    ] {
        let kept = assemble([text.as_bytes(), more.as_bytes()]).completion;
        let json = serde_json::to_string(&kept).unwrap();
        let read: ChatCompletion = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(serde_json::from_str::<ChatCompletion>(&json).unwrap(), read);
        assert_eq!(read == kept, is_equal, "{json}");
    }
    let kept = assemble([text.replace(role, "").as_bytes()]).completion;
    let json = serde_json::to_string(&kept).unwrap();
    let read: ChatCompletion = serde_json::from_str(&json).unwrap();
    assert_eq!(kept.choices[0].message.role, None);
    assert_eq!(read.choices[0].message.role.as_deref(), Some("assistant"));
    // From elsewhere.
    let json = r#"{"error":{"code": 5},"x": [1.50],"object":"o","choices":[{"finish_reason":"stop","index":0,
        "message":{"tool_calls":[],"content":"a"}}],"id":"","usage":null}"#;
    let read: ChatCompletion = serde_json::from_str(json).unwrap();
    let expected = r#"{"id":"","object":"chat.completion","created":null,"model":null,"choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop"}],"error":{"code":5},"x":[1.50]}"#;
    assert_eq!(serde_json::to_string(&read).unwrap(), expected);
    let again = assemble([&replayed(&read, 32)[..]]);
    assert_eq!((again.outcome, again.completion.id), (Outcome::UpstreamError, None));
}

/// A guard that replaces no text forwards the stream, and holds no more than its bound.
#[test]
fn a_guard_that_replaces_nothing_forwards_the_stream() {
    for (name, stream) in streams() {
        for (most, keep) in [(256 << 10, 0), (256 << 10, 20), (4 << 10, 1000)] {
            let (mut guard, mut out) = (Guard::with_bounds(most, 10), Vec::new());
            decode(&stream, 1460, true, |event| {
                let mut pushed = guard.push(event);
                if pushed == PushResult::Full {
                    guard.release_all(&mut out);
                    pushed = guard.push(event);
                }
                assert_ne!(pushed, PushResult::Full, "{name}");
                if pushed == PushResult::TooLarge {
                    guard.release_all(&mut out);
                    out.extend_from_slice(event.raw());
                }
                assert!(guard.held_bytes() <= most, "{name}");
                guard.release(keep, &mut out);
            });
            guard.release_all(&mut out);
            assert!(out == stream[..out.len()], "{name}");
            // The rest is an event that is cut.
            assert!(messages(&stream[out.len()..]).is_empty(), "{name}");
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-c\"\\\\\n\r\u{0}é😀\u{fffd}\u{2028} ]{0,12}"
}

prop_compose! {
    fn call()(
        id in "[a-z]{0,3}",
        r#type in proptest::option::of("[a-z]{1,3}"),
        function in proptest::option::of(("[a-z]{0,3}", text())),
    ) -> ToolCall {
        let mut call = ToolCall::default();
        (call.id, call.r#type) = (id, r#type);
        call.function = function.map(|(name, arguments)| {
            let mut function = FunctionCall::default();
            (function.name, function.arguments) = (name, arguments);
            function
        });
        call
    }
}

prop_compose! {
    fn choice()(
        texts in proptest::array::uniform3(proptest::option::of(text())),
        role in proptest::option::of("[a-z]{1,3}"),
        is_reasoning in any::<bool>(),
        tool_calls in proptest::collection::vec(call(), 0..3),
        function_call in proptest::option::of(("[a-z]{0,3}", text())),
        finish_reason in proptest::option::of("[a-z]{1,3}"),
    ) -> CompletionChoice {
        let mut message = Message::default();
        let [content, refusal, reasoning] = texts;
        if is_reasoning && reasoning.is_some() {
            message.reasoning_name = ReasoningName::Reasoning;
        }
        (message.content, message.refusal, message.reasoning) = (content, refusal, reasoning);
        (message.role, message.tool_calls) = (role, tool_calls);
        message.function_call = function_call.map(|(name, arguments)| {
            let mut function = FunctionCall::default();
            (function.name, function.arguments) = (name, arguments);
            function
        });
        let mut choice = CompletionChoice::default();
        (choice.message, choice.finish_reason) = (message, finish_reason);
        choice
    }
}

prop_compose! {
    fn completion()(
        names in proptest::array::uniform4(proptest::option::of("[a-z\"]{1,4}")),
        created in proptest::option::of(any::<u64>()),
        choices in proptest::collection::btree_map(any::<u64>(), choice(), 0..4),
    ) -> ChatCompletion {
        let mut completion = ChatCompletion::default();
        let [id, model, service_tier, system_fingerprint] = names;
        (completion.id, completion.model, completion.created) = (id, model, created);
        completion.service_tier = service_tier;
        completion.system_fingerprint = system_fingerprint;
        completion.choices = choices
            .into_iter()
            .map(|(index, mut choice)| { choice.index = index; choice })
            .collect();
        completion
    }
}

/// Returns values that merge to themselves: none is empty, and no element of a list has a key.
fn extra_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a \"\\\\\n\u{0}é😀{}:,]{1,6}".prop_map(Value::from),
        Just(json!(-0.5)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            proptest::collection::vec(("[p-z ]{1,3}", inner), 1..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Returns members without a field.
fn extra() -> impl Strategy<Value = Value> {
    proptest::collection::vec(("x_[a-z]{1,3}", extra_value()), 0..3)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Adds members to an object.
fn with(mut object: Value, members: Value) -> Value {
    object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    object
}

prop_compose! {
    fn json_call()(
        id in "[a-z]{1,4}",
        name in "[a-z]{1,4}",
        arguments in text(),
        of_call in extra(),
        of_function in extra(),
    ) -> Value {
        let function = with(json!({"name": name, "arguments": arguments}), of_function);
        with(json!({"id": id, "type": "function", "function": function}), of_call)
    }
}

prop_compose! {
    fn json_choice()(
        texts in proptest::array::uniform3(proptest::option::of(text())),
        calls in proptest::collection::vec(json_call(), 0..3),
        logprobs in proptest::option::of(proptest::collection::vec(extra_value(), 1..4)),
        finish_reason in "[a-d]{1,3}",
        of_message in extra(),
        of_choice in extra(),
    ) -> Value {
        let [content, refusal, reasoning] = texts;
        let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
        if let Some(reasoning) = reasoning {
            message["reasoning"] = reasoning.into();
        }
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let logprobs = logprobs.map(|tokens| json!({"content": tokens}));
        let message = with(message, of_message);
        let choice = json!({"message": message, "logprobs": logprobs, "finish_reason": finish_reason});
        with(choice, of_choice)
    }
}

prop_compose! {
    /// Returns a completion in JSON, without the exceptions that the docs of `Replay` list.
    fn json_completion()(
        names in proptest::array::uniform4("[a-z\"é]{1,4}"),
        created in 1..u64::MAX,
        choices in proptest::collection::btree_map(0u64..200, json_choice(), 1..4),
        usage in proptest::option::of(1u64..),
        members in extra(),
    ) -> Value {
        let [id, model, service_tier, system_fingerprint] = names;
        let with_index = |(index, choice): (u64, Value)| with(json!({"index": index}), choice);
        let choices: Vec<_> = choices.into_iter().map(with_index).collect();
        let mut completion = json!({"id": id, "object": "chat.completion", "created": created, "model": model,
            "choices": choices, "service_tier": service_tier, "system_fingerprint": system_fingerprint});
        if let Some(tokens) = usage {
            completion["usage"] = json!({"prompt_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 1}});
        }
        with(completion, members)
    }
}

/// Returns an object's members, each with the space around its parts, and a value.
fn members() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let value = proptest::sample::select(vec![
        "1",
        "\"a\"",
        "\"\\\"\"",
        "null",
        "[]",
        "{\"model\":1, \"b\":[2]}",
        "1.50",
        "\"{,}\"",
        "[{\"delta\":{\"content\":\"x\"}}]",
    ]);
    let name = proptest::sample::select(vec!["model", "id", "usage", "choices", "a", "b"]);
    let space = proptest::sample::select(vec!["", " ", "\n", " \n "]);
    let member = (name, value, space);
    proptest::collection::vec(
        member.prop_map(|(name, value, space)| (name.into(), value.into(), space.into())),
        0..6,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// For any members and rules, the result has the members that the rules leave.
    ///
    /// They have their order and their text, also if the event matches a template.
    #[test]
    fn rules_change_the_named_members_only(
        members in members(),
        rules in proptest::collection::btree_map("(model|id|usage|choices|a|b)", proptest::option::of("[x\"é]{0,3}"), 0..4),
        frame in proptest::sample::select(vec![("data: ", "\n"), ("data:", "\r\n"), ("event: e\ndata: ", "\n")]),
    ) {
        let (name, end) = frame;
        let json: Vec<_> = members.iter().map(|(name, value, space)| format!("{space}\"{name}\"{space}:{value}{space}")).collect();
        let json = format!("{{{}}}", json.join(","));
        let data = json.replace('\n', &format!("{end}data: "));
        let event = format!("{name}{data}{end}{end}");
        let mut editor = Editor::new();
        for (name, rule) in &rules {
            match rule {
                Some(text) => editor.replace(name, text),
                None => editor.remove(name),
            }
        }
        let mut expected = Vec::new();
        for (name, value, _) in &members {
            match rules.get(name) {
                Some(Some(text)) => expected.push((name.clone(), serde_json::to_string(text).unwrap())),
                Some(None) => {}
                None => expected.push((name.clone(), value.clone())),
            }
        }
        let mut decoder = ChunkDecoder::new();
        let mut outs = Vec::new();
        for _ in 0..4 {
            let mut out = Vec::new();
            let mut input = event.as_bytes();
            let edited = editor.write(&decoder.next(&mut input).unwrap(), &mut out);
            prop_assert!(input.is_empty());
            prop_assert_eq!(edited == RewriteOutcome::Changed, out != event.as_bytes());
            outs.push(out);
        }
        prop_assert!(outs.iter().all(|out| *out == outs[0]));
        let (mut decoder, mut input) = (ChunkDecoder::new(), &outs[0][..]);
        let again = decoder.next(&mut input).unwrap();
        prop_assert!(input.is_empty());
        let object = match again.payload() {
            Payload::Chunk(chunk) => chunk.as_value(),
            Payload::Other(other) => other.as_value(),
            payload => panic!("{payload:?}"),
        };
        let found: Vec<_> = object.members().map(|(name, value)| (name.to_owned(), value.raw().to_owned())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(again.event().event_type(), if name.starts_with("event") { "e" } else { "message" });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_completion_is_replayed(completion in completion()) {
        assert_replays("any", &completion);
    }

    /// JSON becomes a stream, and the stream the same JSON, for any size of deltas and pieces.
    #[test]
    fn json_is_the_same_after_a_stream(
        sent in json_completion(),
        delta_bytes in prop_oneof![1usize..40, Just(usize::MAX)],
        size in prop_oneof![1usize..80, Just(usize::MAX)],
        is_pretty in any::<bool>(),
    ) {
        let text = if is_pretty { format!("{sent:#}") } else { sent.to_string() };
        let mut replay = Replay::from_json(text.as_bytes()).unwrap();
        replay.set_delta_bytes(delta_bytes);
        let mut stream = Vec::new();
        replay.write_all(&mut stream);
        let again = assemble(stream.chunks(size));
        prop_assert_eq!(again.outcome, Outcome::Complete);
        let found: Value = serde_json::from_str(&json(&again.completion)).unwrap();
        prop_assert_eq!(found, sent);
    }
}
