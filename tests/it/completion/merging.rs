//! `Reassembler`: chunks to completions, rule by rule.

use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::completion::{
    ArgumentsState, Change, ChatCompletion, CompletionLimit, FinishedCompletion, Irregularities,
    MessageText,
};
use deltawire::sse::BodyKind;
use deltawire::{ChunkDecoder, Limits, Outcome, Reassembler, StreamSummary};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{clock, recordings, shared, vectors};

/// Returns the result of a stream.
fn finished(stream: &str) -> FinishedCompletion {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut input = stream.as_bytes();
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
    completion.finish(decoder.finish())
}

/// Returns the result of some chunks and `[DONE]`.
fn finished_chunks(chunks: &[impl ToString]) -> FinishedCompletion {
    let events = chunks.iter().map(|chunk| format!("data: {}\n\n", chunk.to_string()));
    finished(&(events.collect::<Vec<_>>().concat() + "data: [DONE]\n\n"))
}

/// Returns the completion of some chunks.
fn completion(chunks: &[impl ToString]) -> ChatCompletion {
    finished_chunks(chunks).completion
}

/// Returns a completion as JSON; a role that never came is null, not its written default.
fn as_json(completion: &ChatCompletion) -> Value {
    let mut json = serde_json::to_value(completion).unwrap();
    for (at, choice) in completion.choices.iter().enumerate() {
        if choice.message.role.is_none() {
            json["choices"][at]["message"]["role"] = Value::Null;
        }
    }
    json
}

/// Returns the paths at which `found` differs from `expected`. Null and absent are alike.
fn differences(
    expected: &Value,
    found: &Value,
    path: &str,
    ignored: &[&str],
    list: &mut Vec<String>,
) {
    if ignored.contains(&path) {
        return;
    }
    match (expected, found) {
        (Value::Object(members), Value::Object(_)) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differences(value, &found[name], &path, ignored, list);
            }
        }
        (Value::Array(values), Value::Array(others)) if values.len() == others.len() => {
            for (at, (value, other)) in values.iter().zip(others).enumerate() {
                differences(value, other, &format!("{path}[{at}]"), ignored, list);
            }
        }
        _ if expected == found => {}
        _ => list.push(format!("{path}: {expected} expected, found {found}")),
    }
}

#[test]
fn vectors_of_chunks_have_their_completion() {
    let mut count = 0;
    for (_, vector) in vectors("accumulate") {
        let name = vector["name"].as_str().unwrap();
        let chunks = vector["chunks"].as_array().unwrap();
        let finished = finished_chunks(chunks);
        if vector["expected"].is_null() {
            let reported = finished.irregularities != Irregularities::default()
                || finished.outcome == Outcome::UpstreamError;
            assert!(reported, "{name}: {finished:?}");
        } else {
            let ambiguous: Vec<&str> = vector["ambiguous"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(path, _)| &path[..])
                .collect();
            let mut list = Vec::new();
            let found = as_json(&finished.completion);
            differences(&vector["expected"], &found, "", &ambiguous, &mut list);
            assert_eq!(list, [""; 0], "{name}");
        }
        count += 1;
    }
    assert!(count == 0 || count == 79, "{count} vectors");
}

/// Merges chunks with these texts at `@` of a delta.
fn deltas(template: &str, texts: &[&str]) -> ChatCompletion {
    let chunks: Vec<_> = texts
        .iter()
        .map(|text| {
            format!(r#"{{"choices":[{{"index":0,"delta":{}}}]}}"#, template.replace('@', text))
        })
        .collect();
    completion(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A server that cuts UTF-16 text sends half of a pair with one delta, and half with the next.
#[test]
fn a_surrogate_pair_cut_between_two_deltas_is_joined() {
    for (texts, expected) in [
        (&[r"a\ud83d", r"\ude00b"][..], "a😀b"),
        (&[r"\ud83d", r"\ude00"], "😀"),
        (&[r"\uD83D", r"\uDE00\uD83D", r"\uDE01"], "😀😁"),
        (&[r"a\ud83d", "", r"\ude00"], "a😀"),
        // Halves that don't belong together.
        (&[r"a\ud83d", "x", r"\ude00"], "a\u{FFFD}x\u{FFFD}"),
        (&[r"a\ud83d", r"\ud83d", r"\ude00"], "a\u{FFFD}😀"),
        (&[r"a\ude00", r"\ud83d"], "a\u{FFFD}\u{FFFD}"),
        (&["a\u{FFFD}", r"\ude00"], "a\u{FFFD}\u{FFFD}"),
        (&[r"a\ud83d", "\u{FFFD}"], "a\u{FFFD}\u{FFFD}"),
        // Text that only looks like an escape.
        (&[r"a\\ud83d", r"\ude00"], "a\\ud83d\u{FFFD}"),
        (&[r"a\\\ud83d", r"\ude00"], "a\\😀"),
    ] {
        let content = deltas(r#"{"content":"@"}"#, texts);
        assert_eq!(content.choices[0].message.content.as_deref(), Some(expected), "{texts:?}");
        let refusal = deltas(r#"{"refusal":"@"}"#, texts);
        assert_eq!(refusal.choices[0].message.refusal.as_deref(), Some(expected));
        for name in ["reasoning", "reasoning_content"] {
            let reasoning = deltas(&format!(r#"{{"{name}":"@"}}"#), texts);
            assert_eq!(reasoning.choices[0].message.reasoning.as_deref(), Some(expected));
        }
        let call = deltas(r#"{"tool_calls":[{"index":0,"function":{"arguments":"@"}}]}"#, texts);
        let function = call.choices[0].message.tool_calls[0].function.as_ref().unwrap();
        assert_eq!(function.arguments, expected);
        let call = deltas(r#"{"function_call":{"arguments":"@"}}"#, texts);
        assert_eq!(call.choices[0].message.function_call.as_ref().unwrap().arguments, expected);
    }
}

#[test]
fn halves_meet_over_parts_too_and_nothing_is_lost() {
    let part = |text: &str| format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    let thinking = |text: &str| {
        format!(
            r#"{{"content":[{{"type":"thinking","thinking":[{{"type":"text","text":"{text}"}}]}}]}}"#
        )
    };
    let text = |text: &str| format!(r#"{{"content":"{text}"}}"#);
    let chunk = |delta: String| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
    for (deltas, content, reasoning) in [
        ([part(r"a\ud83d"), part(r"\ude00b"), text("")], Some("a😀b"), None),
        ([part(r"a\ud83d"), text(r"\ude00b"), text("")], Some("a😀b"), None),
        ([text(r"a\ud83d"), part("x"), text(r"\ude00b")], Some("a\u{FFFD}x\u{FFFD}b"), None),
        ([thinking(r"a\ud83d"), thinking(r"\ude00b"), text("x")], Some("x"), Some("a😀b")),
    ] {
        let completion = completion(&deltas.map(chunk));
        let message = &completion.choices[0].message;
        assert_eq!(
            (message.content.as_deref(), message.reasoning.as_deref()),
            (content, reasoning)
        );
    }
    let arguments = |arguments: &str| {
        chunk(format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{arguments}}}}}]}}"#))
    };
    let completion = completion(&[
        arguments(r#""\ud83d""#),
        arguments(r#"{"a":NaN}"#),
        arguments(r#""\ude00Z""#),
    ]);
    let call = completion.choices[0].message.tool_calls[0].function.as_ref().unwrap();
    assert_eq!(call.arguments, "{\"a\":null}\u{FFFD}Z");
}

/// Each choice and each call has a text of its own.
#[test]
fn halves_of_different_texts_are_not_joined() {
    let completion = completion(&[
        r#"{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"\ude00"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"\ude00"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"\ude00"}}]}"#,
    ]);
    let [first, second] = &completion.choices[..] else { panic!() };
    assert_eq!(first.message.content.as_deref(), Some("😀"));
    assert_eq!(first.message.refusal.as_deref(), Some("\u{FFFD}"));
    assert_eq!(second.message.content.as_deref(), Some("\u{FFFD}"));
}

/// Rows of `../shared/vectors/pathologies.jsonl` about usage (C), choices and tool calls (E).
#[test]
fn usage_and_tool_calls_of_deviating_servers_are_merged() {
    let Some(folder) = shared("vectors") else { return };
    let text = std::fs::read_to_string(folder.join("pathologies.jsonl")).unwrap();
    let mut seen = 0;
    for row in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(stream) = row["bytes"].as_str() else { continue };
        let finished = finished(stream);
        let completion = as_json(&finished.completion);
        let (choice, usage) = (&completion["choices"][0], &completion["usage"]);
        let message = &choice["message"];
        let calls = message["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
        let functions = || {
            finished.completion.choices[0]
                .message
                .tool_calls
                .iter()
                .map(|call| call.function.as_ref().unwrap())
        };
        seen += 1;
        match row["id"].as_str().unwrap() {
            "C01" => {
                assert!(usage["total_tokens"].is_u64() && finished.completion.choices.is_empty());
            }
            "C02" => assert!(!usage["total_tokens"].is_null() || usage.is_null()),
            "C03" => assert_eq!(
                (&usage["total_tokens"], finished.completion.choices.len()),
                (&json!(2), 0)
            ),
            "C04" => assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 256),
            "C05" => {
                assert_eq!(
                    (&choice["finish_reason"], &usage["total_tokens"]),
                    (&json!("stop"), &json!(2))
                );
                assert_eq!(
                    (&message["role"], &message["content"]),
                    (&json!("assistant"), &Value::Null)
                );
            }
            "C07" => assert_eq!(usage["prompt_tokens"], 10),
            "C08" => assert_eq!((usage, &message["content"]), (&json!({}), &json!("a"))),
            "C09" => assert!(calls.is_empty()),
            "C10" => {
                let contents =
                    [&message["content"], &completion["choices"][1]["message"]["content"]];
                assert!(contents[0].as_str().unwrap().starts_with('a'));
                assert_eq!(contents[1], "bB");
            }
            "E01" | "E02" => {
                assert_eq!((calls.len(), &calls[0]["function"]["name"]), (1, &json!("f")));
                assert_eq!(finished.irregularities.tool_calls_without_index, 1);
            }
            "E04" => {
                assert_eq!((calls.len(), &calls[0]["id"]), (1, &json!("a1")));
                assert!(finished.irregularities.changed_tool_call_ids > 0);
            }
            "E05" => assert_eq!(calls.len(), 2),
            "E06" => {
                let states: Vec<_> =
                    functions().map(deltawire::completion::FunctionCall::arguments_state).collect();
                assert!(states.contains(&ArgumentsState::Several), "{states:?}");
            }
            "E08" => {
                assert_eq!(functions().next().unwrap().arguments_state(), ArgumentsState::Complete);
            }
            "E09" => assert_eq!(calls[0]["function"]["arguments"], "{}"),
            "E10" => {
                assert_eq!(calls[0]["function"]["arguments"], r#"{"x":1337,"y":42}"#);
                assert_eq!(functions().next().unwrap().arguments_state(), ArgumentsState::Complete);
            }
            "E13" => {
                assert_eq!(choice["finish_reason"], "tool_calls");
                assert_eq!(
                    functions().next().unwrap().arguments_state(),
                    ArgumentsState::Incomplete
                );
            }
            "E15" => {
                assert_eq!(calls.len(), 2);
                assert!(functions().all(|call| call.arguments_state() == ArgumentsState::Complete));
            }
            "F01" => assert_eq!(message["content"], "😀"),
            "D17" => assert_eq!(message["reference_ids"], json!([1])),
            "D18" => {
                assert_eq!(
                    (&message["content"], &message["reasoning_content"]),
                    (&json!("AB"), &json!("hm"))
                );
            }
            "D19" => assert_eq!(message["reasoning_content"], "The"),
            _ => seen -= 1,
        }
    }
    assert!(seen > 20, "{seen} rows");
}

#[test]
fn an_index_is_a_key_never_a_slot() {
    for index in [json!(0), json!(1), json!(128), json!(4_294_967_295_u64), json!(u64::MAX)] {
        let chunk = json!({"choices": [{"index": index, "delta": {"tool_calls": [
            {"index": index, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]});
        let finished = finished_chunks(&[chunk]);
        let [choice] = &finished.completion.choices[..] else { panic!() };
        assert_eq!(Some(choice.index), index.as_u64());
        assert_eq!(choice.message.tool_calls.len(), 1);
        let sparse = u32::from(index != 0);
        assert_eq!(finished.irregularities.sparse_choice_indexes, sparse);
        assert_eq!(finished.irregularities.sparse_tool_call_indexes, sparse);
    }
    for index in [json!("0"), json!(-1), json!(0.5), json!([]), json!(true), json!("__proto__")] {
        let chunk = json!({"choices": [{"index": index, "delta": {"content": "x"}},
            {"index": 0, "delta": {"content": "y", "tool_calls": [{"index": index, "id": "a"}]}}]});
        let finished = finished_chunks(&[chunk]);
        let [choice] = &finished.completion.choices[..] else { panic!() };
        assert_eq!((choice.index, choice.message.content.as_deref()), (0, Some("y")));
        assert!(choice.message.tool_calls.is_empty());
        assert_eq!(finished.irregularities.invalid_choice_indexes, 1);
        assert_eq!(finished.irregularities.invalid_tool_call_indexes, 1);
    }
}

/// Pushes a delta of one choice.
fn push(completion: &mut Reassembler, choice: &Value) {
    let json = json!({"choices": [choice]}).to_string();
    completion.push(&OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap().as_chunk());
}

#[test]
fn changes_of_a_push_are_its_new_parts() {
    let mut completion = Reassembler::new();
    let call = |index: u32, arguments: &str| {
        json!({"index": 0, "delta": {"tool_calls": [
            {"index": index, "id": format!("c{index}"), "function": {"arguments": arguments}}]}})
    };
    let steps = [
        (
            json!({"index": 0, "delta": {"role": "assistant", "content": ""}}),
            vec![Change::ChoiceStarted { choice: 0 }],
        ),
        (
            json!({"index": 0, "delta": {"reasoning": "hm"}}),
            vec![Change::Text { choice: 0, text: MessageText::Reasoning, start: 0 }],
        ),
        (
            json!({"index": 0, "delta": {"content": "Hé"}}),
            vec![Change::Text { choice: 0, text: MessageText::Content, start: 0 }],
        ),
        (
            json!({"index": 1, "delta": {"content": "x", "refusal": "no"}}),
            vec![
                Change::ChoiceStarted { choice: 1 },
                Change::Text { choice: 1, text: MessageText::Content, start: 0 },
                Change::Text { choice: 1, text: MessageText::Refusal, start: 0 },
            ],
        ),
        (
            json!({"index": 0, "delta": {"content": "llo"}}),
            vec![Change::Text { choice: 0, text: MessageText::Content, start: 3 }],
        ),
        (
            call(0, "{"),
            vec![
                Change::ToolCallStarted { choice: 0, call: 0 },
                Change::Arguments { choice: 0, call: 0, start: 0 },
            ],
        ),
        (call(0, "}"), vec![Change::Arguments { choice: 0, call: 0, start: 1 }]),
        (
            call(1, "{}"),
            vec![
                Change::ToolCallStarted { choice: 0, call: 1 },
                Change::ToolCallDone { choice: 0, call: 0 },
                Change::Arguments { choice: 0, call: 1, start: 0 },
            ],
        ),
        (
            call(0, " "),
            vec![
                Change::ToolCallDone { choice: 0, call: 1 },
                Change::Arguments { choice: 0, call: 0, start: 2 },
            ],
        ),
        (
            call(1, " "),
            vec![
                Change::ToolCallDone { choice: 0, call: 0 },
                Change::Arguments { choice: 0, call: 1, start: 2 },
            ],
        ),
        (
            json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"}),
            vec![Change::ToolCallDone { choice: 0, call: 1 }, Change::Finished { choice: 0 }],
        ),
        (json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"}), vec![]),
        // OpenRouter sends a finish reason with each call.
        (
            json!({"index": 0, "delta": {"tool_calls": [{"index": 2, "function": {"arguments": "{}"}}]},
                "finish_reason": "tool_calls"}),
            vec![
                Change::ToolCallStarted { choice: 0, call: 2 },
                Change::Arguments { choice: 0, call: 2, start: 0 },
                Change::ToolCallDone { choice: 0, call: 2 },
            ],
        ),
    ];
    for (choice, expected) in steps {
        push(&mut completion, &choice);
        assert_eq!(completion.changes(), expected, "{choice}");
    }
    assert_eq!(completion.snapshot().choices[0].message.content.as_deref(), Some("Héllo"));
}

/// The new text begins at a whole character, also where that has just become one.
#[test]
fn a_change_begins_at_a_character() {
    let mut completion = Reassembler::new();
    for (text, expected) in [(r"a\ud83d", "a\u{FFFD}"), (r"\ude00b", "😀b")] {
        let json = format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
        completion.push(&OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap().as_chunk());
        let Some(Change::Text { text: MessageText::Content, start, .. }) =
            completion.changes().last().copied()
        else {
            panic!()
        };
        let content = completion.snapshot().choices[0].message.content.as_deref().unwrap();
        assert_eq!(&content[start..], expected);
    }
}

/// Found by the fuzz target `reassemble`: a chunk appends to a text, and replaces it.
///
/// The text is reported once, and each reported position is one of the new text.
#[test]
fn a_change_of_a_text_that_is_replaced_is_void() {
    let whole = |text: &str| json!({"index": 0, "message": {"content": text, "refusal": text, "reasoning": text}});
    let call = |arguments: Value| json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}});
    let delta = json!({"index": 0, "delta": {"refusal": "\u{e9}\u{e9}"}});
    for (before, choices, count) in [
        (whole("Hello"), json!([whole("Hello, world"), whole("\u{e9}")]), 3),
        (whole("Hello"), json!([delta, whole("\u{e9}")]), 3),
        (call(json!("{\"a\":")), json!([call(json!("1234567")), call(json!({"b": 1}))]), 1),
    ] {
        let mut completion = Reassembler::new();
        push(&mut completion, &before);
        let chunk = json!({"choices": choices}).to_string();
        let chunk = OwnedChatCompletionChunk::from_json(chunk.as_bytes()).unwrap();
        completion.push(&chunk.as_chunk());
        assert_eq!(completion.changes().len(), count, "{:?}", completion.changes());
        for change in completion.changes() {
            let start = match change {
                Change::Text { start, .. } | Change::Arguments { start, .. } => *start,
                other => panic!("{other:?}"),
            };
            assert_eq!(start, 0);
        }
    }
}

#[test]
fn the_unfinished_choices_of_a_cut_stream_are_reported() {
    let finished = finished(concat!(
        r#"data: {"choices":[{"index":0,"delta":{"content":"done"},"finish_reason":"stop"}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"pa"}}]}}]}"#,
        "\n\n"
    ));
    assert_eq!(finished.outcome, Outcome::Truncated);
    let [pending] = &finished.pending[..] else { panic!() };
    assert_eq!((pending.choice, pending.tool_call), (1, Some(0)));
    let call = finished.completion.choices[1].message.tool_calls[0].function.as_ref().unwrap();
    assert_eq!(call.arguments_state(), ArgumentsState::Incomplete);
}

/// `[DONE]` ends the calls of a server that sends no finish reason.
#[test]
fn done_ends_the_calls() {
    let stream = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#,
        "\n\ndata: [DONE]\n\n"
    );
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut input = stream.as_bytes();
    let mut changes = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
        changes.push(completion.changes().last().copied());
    }
    let started = Change::ToolCallStarted { choice: 0, call: 0 };
    assert_eq!(changes, [Some(started), Some(Change::ToolCallDone { choice: 0, call: 0 })]);
}

#[test]
fn arguments_state_is_that_of_their_json() {
    for (arguments, state) in [
        ("", ArgumentsState::Empty),
        (" ", ArgumentsState::Empty),
        ("{}", ArgumentsState::Complete),
        (" {\"a\": [1, 2]}\n", ArgumentsState::Complete),
        ("{", ArgumentsState::Incomplete),
        ("{\"a\": \"", ArgumentsState::Incomplete),
        ("{}{}", ArgumentsState::Several),
        ("{\"a\":1} {\"b\":2}", ArgumentsState::Several),
        ("[1]", ArgumentsState::Invalid),
        ("null", ArgumentsState::Invalid),
        ("{a: 1}", ArgumentsState::Invalid),
        ("{\"a\":NaN}", ArgumentsState::Invalid),
        ("{} x", ArgumentsState::Invalid),
        ("{}\u{c}", ArgumentsState::Invalid),
        ("{}}", ArgumentsState::Invalid),
        ("undefined{}", ArgumentsState::Invalid),
    ] {
        let chunk = json!({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": arguments}}]}}]});
        let completion = completion(&[chunk]);
        let call = completion.choices[0].message.tool_calls[0].function.as_ref().unwrap();
        assert_eq!(call.arguments_state(), state, "{arguments:?}");
    }
}

/// A detail continues one of its index among the last 128.
///
/// This is also true if the stream repeats itself so often that no search is needed.
#[test]
fn details_of_reasoning_go_on_by_their_index() {
    let chunk = |details: Value| json!({"choices": [{"index": 0, "delta": {"reasoning_details": details}}]});
    let said = |text: &str| chunk(json!([{"type": "reasoning.text", "text": text, "index": 0}]));
    let other = |index: usize| json!({"type": "reasoning.summary", "summary": "s", "index": index});
    let texts = |others: Vec<Value>| {
        let before = ["a", "b", "c", "d"].map(said).into_iter();
        let behind = ["e", "f", "g"].map(said);
        let chunks: Vec<_> = before.chain(others).chain(behind).collect();
        let completion = completion(&chunks);
        let details = &completion.choices[0].message.reasoning_details;
        let texts = details.iter().filter_map(|detail| detail.get("text")?.as_raw());
        (texts.map(String::from).collect::<Vec<_>>(), details.len())
    };
    let whole = || vec![String::from("\"abcdefg\"")];
    let begun_anew = || ["\"abcd\"", "\"efg\""].map(String::from).to_vec();
    for (number, expected) in [(0, whole()), (127, whole()), (128, begun_anew())] {
        let len = number + expected.len();
        let each = (1..=number).map(|index| chunk(json!([other(index)]))).collect();
        let at_once = vec![chunk((1..=number).map(other).collect())];
        assert_eq!(texts(each), (expected.clone(), len), "{number}");
        assert_eq!(texts(at_once), (expected, len), "{number} at once");
    }
}

/// Choices in turn, in chunks that are alike but for the index and a text: each has details of its own.
#[test]
fn details_of_reasoning_stay_with_their_choice() {
    let chunk = |choice: u64, detail: Value| json!({"choices": [{"index": choice, "delta": {"reasoning_details": [detail]}}]});
    let mut chunks = vec![chunk(1, json!({"type": "x", "index": 5, "text": "E"}))];
    let turns = [0, 1, 0, 1, 1, 0, 0, 1].into_iter().zip('a'..);
    chunks.extend(
        turns.map(|(choice, text)| chunk(choice, json!({"index": 0, "type": "t", "text": text}))),
    );
    let completion = as_json(&completion(&chunks));
    let expected = [
        json!([{"index": 0, "type": "t", "text": "acfg"}]),
        json!([{"index": 5, "type": "x", "text": "E"}, {"index": 0, "type": "t", "text": "bdeh"}]),
    ];
    for (choice, expected) in expected.iter().enumerate() {
        assert_eq!(&completion["choices"][choice]["message"]["reasoning_details"], expected);
    }
}

#[test]
fn unknown_members_of_a_call_and_its_function_survive() {
    let completion = completion(&[
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function":
            {"name": "f", "arguments": "{", "strict": true},
            "extra_content": {"google": {"thought_signature": "s"}}}]}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"},
            "extra_content": {"google": {"more": 1}}}]}}]}),
    ]);
    let json = as_json(&completion);
    let call = &json["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{}", "strict": true}));
    assert_eq!(call["extra_content"], json!({"google": {"thought_signature": "s", "more": 1}}));
}

#[test]
fn whole_message_replaces_the_one_before() {
    let whole = |content: &str, arguments: &str| {
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]}}]})
    };
    let finished = finished_chunks(&[whole("He", ""), whole("Hello", "{}"), whole("Help", "{}")]);
    let message = &as_json(&finished.completion)["choices"][0]["message"];
    assert_eq!(message["content"], "Help");
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(message["tool_calls"], json!([call]));
    // Besides deltas it is a copy.
    let both = json!({"choices": [{"index": 0, "delta": {"content": "Hi"}, "message": {"content": "Hi"}}]});
    let finished = finished_chunks(&[both, whole("other", "")]);
    assert_eq!(as_json(&finished.completion)["choices"][0]["message"]["content"], "Hi");
    // Also beside a delta that brings no text yet.
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant"},
        "message": {"content": "Hi"}}]});
    let chunks = [role, json!({"choices": [{"index": 0, "delta": {"content": "Hi"}}]})];
    let finished = finished_chunks(&chunks);
    assert_eq!(as_json(&finished.completion)["choices"][0]["message"]["content"], "Hi");
}

/// A message is left out once content or a call has come by deltas, also behind other messages.
///
/// The deltas are repeated, so that templates match them.
#[test]
fn a_whole_message_behind_deltas_is_left_out() {
    let choice = |name: &str, value: &Value| {
        json!({"id": "c", "created": 5, "choices": [{"index": 0, name: value}]}).to_string()
    };
    let text = |text: &str| json!({"content": text});
    let call = |arguments: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]});
    let begun = json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]});
    for (first, pieces, last, expected) in [
        (
            json!({"role": "assistant"}),
            ["Hello", " world", "!"].map(text),
            text("X"),
            "Hello world!",
        ),
        (json!({"role": "assistant"}), ["", "", "Hello"].map(text), text("X"), "Hello"),
        (text("So "), ["Hello", " ", "world"].map(text), text("X"), "So Hello world"),
        (text("So"), [""; 3].map(text), text("X"), "X"),
        (json!({"role": "assistant"}), ["{", "}", " "].map(call), text("X"), "{} "),
        (begun.clone(), ["\"a\":", "1", "}"].map(call), begun.clone(), "{\"a\":1}"),
        (begun.clone(), [""; 3].map(call), text("X"), "X"),
    ] {
        let (first, last) = (choice("message", &first), choice("message", &last));
        let pieces = pieces.iter().map(|piece| choice("delta", piece));
        let chunks: Vec<_> = [first].into_iter().chain(pieces).chain([last]).collect();
        let message = &completion(&chunks).choices[0].message;
        let call = message.tool_calls.first().and_then(|call| call.function.as_ref());
        let arguments = call.map(|function| function.arguments.as_str());
        let found = message.content.as_deref().or(arguments);
        assert_eq!(found, Some(expected), "{chunks:?}");
    }
}

/// Returns values of all kinds, and objects with one of them under each name.
fn odd_values(names: &[&str]) -> Vec<Value> {
    let part = json!({"type": "text", "text": "a"});
    let simple = json!([null, true, false, 5, 1.5, "", "a", [], {}, [null], [5], ["a", "b"], ["a", 5], {"x": 1}, [{}], [{"x": 1}], [[]],
        {"text": "a"}, [part, {"type": "refusal", "refusal": "no"}], [part, {"type": "reference", "reference_ids": [1, 2]}],
        [{"reference_ids": [1]}, {"reference_ids": [2]}], [{"type": "image", "url": "u"}], {"refusal": "no"},
        [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}], "signature": "s", "closed": true}, part],
        [{"text": "a", "signature": "s"}, {"summary": "b", "signature": "t"}], {"text": "a", "thoughtSignature": "s"}]);
    let simple = simple.as_array().unwrap();
    let inside =
        names.iter().flat_map(|name| simple.iter().map(move |value| json!({*name: value})));
    simple.iter().cloned().chain(inside).collect()
}

/// The message of a chunk is the same if it is sent whole or as a delta, and so are all counts.
#[test]
fn a_whole_message_is_stored_as_a_delta_is() {
    let texts = ["content", "refusal", "reasoning_content", "reasoning"];
    let others = ["role", "function_call", "audio", "reasoning_details", "images", "token_id", "x"];
    let mut deltas = Vec::new();
    for name in texts.into_iter().chain(others) {
        deltas.extend(
            odd_values(&["name", "arguments", "id", "data"])
                .into_iter()
                .map(|value| json!({name: value})),
        );
    }
    let call = |call: Value| json!({"tool_calls": [call]});
    for (name, value) in ["id", "type", "function", "custom", "x"].iter().flat_map(|name| {
        odd_values(&["name", "arguments", "input", "x"]).into_iter().map(move |value| (name, value))
    }) {
        deltas.push(call(json!({"index": 0, *name: value})));
    }
    deltas.extend(odd_values(&[]).into_iter().map(|mut calls| {
        // The position of a call in a whole message is its index.
        for (at, call) in calls.as_array_mut().into_iter().flatten().enumerate() {
            if let Some(call) = call.as_object_mut() {
                call.insert("index".into(), at.into());
            }
        }
        json!({"tool_calls": calls})
    }));
    for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |other| (one, other))) {
        for value in odd_values(&[]) {
            deltas.push(json!({*one: "a", *other: value}));
            deltas.push(json!({*one: [{"type": "thinking", "thinking": "r"}, "c"], *other: value}));
        }
    }
    deltas.extend([json!("a"), json!(5), json!(["a"]), json!(true)]);
    let mut different = Vec::new();
    for delta in deltas {
        let chunks = ["delta", "message"]
            .map(|name| finished_chunks(&[json!({"choices": [{"index": 0, name: delta}]})]));
        let [parts, whole] = chunks;
        let (found, expected) = (as_json(&whole.completion), as_json(&parts.completion));
        if found != expected || whole.irregularities != parts.irregularities {
            different.push(format!("{delta}: {found} {:?}", whole.irregularities));
        }
    }
    assert!(different.is_empty(), "{} cases:\n{}", different.len(), different.join("\n"));
}

/// Empty arguments never replace others, and each version of a whole message replaces the others.
#[test]
fn arguments_of_a_later_whole_message_replace_unless_empty() {
    let function = |arguments: Value| json!({"name": "f", "arguments": arguments});
    let old = |arguments| json!({"function_call": function(arguments)});
    let new = |arguments| json!({"tool_calls": [{"index": 0, "function": function(arguments)}]});
    let stored = |name: &str, messages: [Value; 2]| {
        let chunks = messages.map(|message| json!({"choices": [{"index": 0, name: message}]}));
        let message = &as_json(&completion(&chunks))["choices"][0]["message"];
        let call = [&message["function_call"], &message["tool_calls"][0]["function"]];
        call.into_iter().find(|call| !call.is_null()).unwrap()["arguments"].clone()
    };
    let first = || json!("{\"a\":1}");
    for nothing in [json!(""), json!({}), json!(null)] {
        for name in ["delta", "message"] {
            assert_eq!(stored(name, [old(first()), old(nothing.clone())]), first(), "{name}");
            assert_eq!(stored(name, [new(first()), new(nothing.clone())]), first(), "{name}");
        }
    }
    for second in [json!("{\"b\":2}"), json!({"b": 2})] {
        assert_eq!(stored("message", [old(first()), old(second.clone())]), "{\"b\":2}");
        assert_eq!(stored("message", [new(first()), new(second)]), "{\"b\":2}");
    }
}

/// Each version of a whole message replaces the parts of the one before.
#[test]
fn parts_of_a_later_whole_message_replace_the_earlier_ones() {
    let whole = |message: Value| json!({"choices": [{"index": 0, "message": message}]});
    let version = |text: &str, ids: Value| {
        whole(json!({"content": [{"text": text, "signature": text}, {"reference_ids": ids}],
            "reasoning": [{"text": text}], "reasoning_details": [{"text": text}],
            "tool_calls": [{"id": 7, "function": {"name": text}}]}))
    };
    let finished = finished_chunks(&[version("a", json!([1])), version("ab", json!([1, 2]))]);
    let last = finished_chunks(&[version("ab", json!([1, 2]))]);
    let mut expected = as_json(&last.completion);
    expected["choices"][0]["message"]["tool_calls"][0]["id"] = json!("7");
    assert_eq!(as_json(&finished.completion), expected);
    assert_eq!(finished.irregularities.replaced_values, 0);
}

/// Found by the fuzz target `reassemble`: a last message that is empty took the text away.
#[test]
fn an_empty_message_removes_no_text() {
    let whole = |text: &str, arguments: Value| {
        json!({"choices": [{"index": 0, "message": {"content": text, "refusal": text, "reasoning": text,
            "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}}]})
    };
    for nothing in [json!(""), json!({}), json!([]), json!(null)] {
        let chunks = [whole("Hello", json!("{\"a\":1}")), whole("", nothing)];
        let message = &as_json(&finished_chunks(&chunks).completion)["choices"][0]["message"];
        for name in ["content", "refusal", "reasoning"] {
            assert_eq!(message[name], "Hello");
        }
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    }
    let first = finished_chunks(&[whole("", json!({}))]);
    let message = &as_json(&first.completion)["choices"][0]["message"];
    assert_eq!((&message["content"], &message["refusal"]), (&json!(""), &json!("")));
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{}");
    let null = finished_chunks(&[whole("", json!(null))]);
    let message = &as_json(&null.completion)["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "");
}

/// A change of the limits, the chunk that goes over one, and which.
type Case = (fn(&mut Limits), Value, CompletionLimit);

#[test]
fn a_limit_has_a_name_and_ends_nothing() {
    let text = "x".repeat(600);
    let cases: [Case; 6] = [
        (
            |limits| limits.max_choices = 1,
            json!({"choices": [{"index": 1, "delta": {}}]}),
            CompletionLimit::Choices,
        ),
        (
            |limits| limits.max_tool_calls = 0,
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}),
            CompletionLimit::ToolCalls,
        ),
        (
            |limits| limits.max_members = 0,
            json!({"choices": [], "usage": {"a": 1}}),
            CompletionLimit::Members,
        ),
        (
            |limits| limits.max_completion_bytes = 1000,
            json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
            CompletionLimit::CompletionBytes,
        ),
        (
            |limits| limits.max_logprob_entries = 0,
            json!({"choices": [{"index": 0, "logprobs": {"content": [{}]}}]}),
            CompletionLimit::LogprobEntries,
        ),
        (
            |_| {},
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": text.repeat(2)}]}}]}),
            CompletionLimit::ToolCallId,
        ),
    ];
    for (change, chunk, expected) in cases {
        let mut limits = Limits::default();
        change(&mut limits);
        let mut completion = Reassembler::with_limits(limits);
        push(&mut completion, &json!({"index": 0, "delta": {"content": "kept"}}));
        assert_eq!(completion.limit_exceeded(), None);
        let chunk = OwnedChatCompletionChunk::from_json(chunk.to_string().as_bytes()).unwrap();
        completion.push(&chunk.as_chunk());
        push(&mut completion, &json!({"index": 0, "delta": {"content": "x"}}));
        assert_eq!(completion.limit_exceeded(), Some(expected));
        let finished = completion.finish(StreamSummary::default());
        assert_eq!(finished.limit_exceeded, Some(expected));
        let content = if expected == CompletionLimit::CompletionBytes { "kept" } else { "keptx" };
        assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some(content));
        // The next stream is another one.
        assert_eq!(completion.limit_exceeded(), None);
    }
}

#[test]
fn what_is_as_large_as_it_may_be_is_kept() {
    for over in [0, 1] {
        let mut limits = Limits::default();
        limits.max_logprob_entries = 3;
        let id = "i".repeat(1024 + over);
        let entries = vec![json!({"token": "x"}); 3 + over];
        for (choice, limit) in [
            (
                json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": id}]}}),
                CompletionLimit::ToolCallId,
            ),
            (
                json!({"index": 0, "logprobs": {"content": entries}}),
                CompletionLimit::LogprobEntries,
            ),
        ] {
            let mut completion = Reassembler::with_limits(limits);
            push(&mut completion, &choice);
            assert_eq!(completion.limit_exceeded(), (over > 0).then_some(limit));
        }
    }
}

/// A token counts once, in each member with log probabilities.
#[test]
fn tokens_with_log_probabilities_count_once() {
    let token = || json!({"token": "a", "logprob": -0.5});
    let legacy = json!({"tokens": ["a", "b"], "token_logprobs": [-0.5, -0.7],
        "top_logprobs": [{"a": -0.5}, {"b": -0.7}], "text_offset": [0, 1]});
    for (choice, tokens) in [
        (json!({"logprobs": legacy}), 2),
        (json!({"reasoning_logprobs": legacy}), 2),
        (json!({"logprobs": {"content": [token(), token()], "refusal": [token()]}}), 3),
        (json!({"reasoning_logprobs": {"content": [token(), token(), token()]}}), 3),
    ] {
        for fits in [true, false] {
            let limits = Limits::new().with_max_logprob_entries(tokens - usize::from(!fits));
            let mut completion = Reassembler::with_limits(limits);
            push(&mut completion, &choice);
            let exceeded = Some(CompletionLimit::LogprobEntries).filter(|_| !fits);
            assert_eq!(completion.limit_exceeded(), exceeded, "{choice}");
            let stored = &as_json(completion.snapshot())["choices"][0];
            for (name, lists) in choice.as_object().unwrap() {
                let is_stored = if fits { &stored[name] == lists } else { is_empty(&stored[name]) };
                assert!(is_stored, "{choice}: {stored}");
            }
        }
    }
}

/// Returns true if a value is absent or has no member.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty)
}

/// The lists of the chunk that exceeds the limit, and of later ones, are left out as a whole.
#[test]
fn lists_over_the_limit_of_log_probabilities_are_left_out_as_a_whole() {
    let lists = |tokens: usize| json!({"logprobs": {"tokens": vec!["a"; tokens], "text_offset": vec![0; tokens]}});
    let mut completion = Reassembler::with_limits(Limits::new().with_max_logprob_entries(4));
    for tokens in [3, 2, 1] {
        push(&mut completion, &lists(tokens));
    }
    assert_eq!(completion.limit_exceeded(), Some(CompletionLimit::LogprobEntries));
    let stored = &as_json(completion.snapshot())["choices"][0];
    assert_eq!(stored["logprobs"], lists(3)["logprobs"]);
}

/// The costs in the docs of `max_completion_bytes` are exact.
#[test]
fn choices_calls_and_members_count_the_documented_bytes() {
    let call = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}});
    for (chunk, cost) in [
        (json!({"choices": [{"index": 0, "delta": {"content": "abc"}}]}), 512 + 3),
        (json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}), 2 * 512 + 4),
        (json!({"choices": [], "m": 7}), 96 + 2),
    ] {
        let chunk = OwnedChatCompletionChunk::from_json(chunk.to_string().as_bytes()).unwrap();
        for (limit, exceeded) in [(cost, None), (cost - 1, Some(CompletionLimit::CompletionBytes))]
        {
            let limits = Limits::new().with_max_completion_bytes(limit);
            let mut completion = Reassembler::with_limits(limits);
            completion.push(&chunk.as_chunk());
            assert_eq!(completion.limit_exceeded(), exceeded, "{limit}: {chunk:?}");
        }
    }
}

/// The usage has 64 KiB of its own, however small the limit of the completion is.
#[test]
fn a_usage_is_stored_with_any_limit_of_the_completion() {
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 4,
            "accepted_prediction_tokens": 5, "rejected_prediction_tokens": 6}});
    let json = json!({"choices": [], "usage": usage}).to_string();
    let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
    for limit in [0, 1, 1000] {
        let limits = Limits::new().with_max_completion_bytes(limit);
        let mut completion = Reassembler::with_limits(limits);
        // The second stream has the budget of a reset.
        for _ in 0..2 {
            completion.push(&chunk.as_chunk());
            assert_eq!(completion.limit_exceeded(), None, "{limit}");
            assert_eq!(as_json(completion.snapshot())["usage"], usage, "{limit}");
            completion.reset();
        }
    }
}

/// A text with the rule `Replace` keeps its value if the budget is used up.
#[test]
fn a_text_without_room_leaves_the_one_before() {
    let mut limits = Limits::default();
    limits.max_completion_bytes = 1000;
    let long = "x".repeat(2000);
    for tiers in [&["a", &long][..], &[&long], &[&long, "a"]] {
        let mut completion = Reassembler::with_limits(limits);
        for tier in tiers {
            let json = json!({"service_tier": tier, "choices": []}).to_string();
            let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
            completion.push(&chunk.as_chunk());
        }
        assert_eq!(completion.limit_exceeded(), Some(CompletionLimit::CompletionBytes));
        let expected = Some(tiers[0]).filter(|tier| tier.len() == 1);
        assert_eq!(completion.snapshot().service_tier.as_deref(), expected);
    }
}

/// Stored values stay, and the outcome is reported as without a limit.
#[test]
fn behind_a_limit_nothing_is_lost_that_was_there() {
    let mut limits = Limits::default();
    limits.max_completion_bytes = 3000;
    let mut completion = Reassembler::with_limits(limits);
    let call = |arguments: Value, extra: Value| {
        json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a",
            "function": {"name": "f", "arguments": arguments}, "extra_content": extra}]}})
    };
    push(&mut completion, &call(json!({"a": 1}), json!("text")));
    push(&mut completion, &json!({"index": 0, "delta": {"content": "x".repeat(3000)}}));
    assert_eq!(completion.limit_exceeded(), Some(CompletionLimit::CompletionBytes));
    push(&mut completion, &call(json!({"b": 2}), json!({"k": 1})));
    push(&mut completion, &json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    assert!(completion.changes().contains(&Change::Finished { choice: 0 }));
    let usage = OwnedChatCompletionChunk::from_json(br#"{"usage":{"total_tokens":7}}"#).unwrap();
    completion.push(&usage.as_chunk());
    let mut end = StreamSummary::default();
    end.done = 1;
    let finished = completion.finish(end);
    assert_eq!((finished.outcome, &finished.pending[..]), (Outcome::Complete, &[][..]));
    let json = as_json(&finished.completion);
    assert_eq!(json["usage"], json!({"total_tokens": 7}));
    let call = &json["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(
        (&call["function"]["arguments"], &call["extra_content"]),
        (&json!("{\"a\":1}"), &json!("text"))
    );
}

#[test]
fn calls_of_one_index_differ_by_id_and_name() {
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": id,
            "function": {"name": name, "arguments": arguments}}]}}]})
    };
    for name in ["", "f"] {
        let finished = finished_chunks(&[
            call("a", "f", ""),
            call("b", "g", ""),
            call("a", name, "{1}"),
            call("b", "", "{2}"),
            call("", "", "{3}"),
        ]);
        let calls = &finished.completion.choices[0].message.tool_calls;
        let seen: Vec<_> = calls
            .iter()
            .map(|call| (&call.id[..], &call.function.as_ref().unwrap().arguments[..]))
            .collect();
        assert_eq!(seen, [("a", "{1}"), ("b", "{2}{3}")]);
    }
    let custom = |id: Option<&str>, name: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": id.map(|_| 0), "id": id,
            "type": "custom", "custom": {"name": name, "input": "x"}}]}}]})
    };
    for ids in [[Some("a"), Some("b")], [None, None]] {
        let completion = completion(&[custom(ids[0], "f"), custom(ids[1], "g")]);
        let calls = &completion.choices[0].message.tool_calls;
        assert_eq!(calls.len(), 2, "{ids:?}");
        assert!(calls.iter().all(|call| call.function.is_none()), "{ids:?}");
    }
}

/// Another name behind a complete object begins another call, in any pieces and behind any names.
#[test]
fn another_name_behind_complete_arguments_begins_another_call() {
    let call = |name: &str, arguments: Value| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0,
            "function": {"name": name, "arguments": arguments}}]}}]})
    };
    let text = |name: &str, arguments: &str| call(name, json!(arguments));
    for (parts, expected) in [
        (vec![text("f", "{\"a\":"), text("F", "1"), text("", "}")], "{\"a\":1}"),
        (
            vec![text("f", "{\"a\":\"}"), text("F", "{\\"), text("F", "\"}\"}")],
            "{\"a\":\"}{\\\"}\"}",
        ),
        (
            vec![text("f", "{\"a\""), text("F", ""), text("F", ":[1"), text("", "]}\n")],
            "{\"a\":[1]}\n",
        ),
        // An object replaces the arguments.
        (vec![text("f", "{\"a\":[[["), text("F", ""), call("f", json!({"b": 1}))], "{\"b\":1}"),
    ] {
        let chunks: Vec<_> = parts.into_iter().chain([text("g", "{\"b\":2}")]).collect();
        let finished = finished_chunks(&chunks);
        let calls = finished.completion.choices[0].message.tool_calls.iter();
        let functions = calls.map(|call| call.function.as_ref().unwrap());
        let seen: Vec<_> = functions.map(|it| (&it.name[..], &it.arguments[..])).collect();
        assert_eq!(seen, [("f", expected), ("g", "{\"b\":2}")]);
        assert_eq!(finished.irregularities.tool_calls_by_name, 1);
    }
    // No name ends arguments that aren't an object.
    for arguments in ["{\"a\":", "{a}", "[{}]", "{}]", "{\"a\":\"}"] {
        let completion = completion(&[text("f", arguments), text("F", ""), text("g", "{}")]);
        assert_eq!(completion.choices[0].message.tool_calls.len(), 1, "{arguments}");
    }
}

/// The most calls, the calls, a part that is left out, and the arguments of the stored calls.
type LeftOutRow = (usize, Vec<Value>, Value, Vec<&'static str>);

/// Returns calls of which one is left out, each with a part that continues it.
fn left_out_calls() -> Vec<LeftOutRow> {
    let call = |index: Value, id: &str, name: &str, arguments: &str| {
        let mut call = json!({"id": id, "function": {"name": name, "arguments": arguments}});
        if !index.is_null() {
            call["index"] = index;
        }
        call
    };
    let (no, zero, bad) = (|| Value::Null, || json!(0), || json!(-1));
    let open = "{\"a\":";
    let lost = |index: Value, id: &str| call(index, id, "", "EVIL");
    vec![
        (
            1,
            vec![call(no(), "a", "f", open), call(no(), "b", "f", open)],
            lost(no(), ""),
            vec![open],
        ),
        (
            1,
            vec![call(zero(), "a", "f", open), call(zero(), "b", "f", open)],
            lost(zero(), ""),
            vec![open],
        ),
        (
            1,
            vec![call(zero(), "a", "f", open), call(zero(), "b", "f", open)],
            lost(zero(), "b"),
            vec![open],
        ),
        (
            1,
            vec![call(zero(), "a", "f", open), call(zero(), "b", "f", open)],
            lost(no(), ""),
            vec![open],
        ),
        (
            1,
            vec![call(zero(), "a", "f", open), call(json!(1), "b", "f", open)],
            lost(no(), ""),
            vec![open],
        ),
        // The id continues the call that is stored.
        (
            1,
            vec![
                call(zero(), "a", "f", open),
                call(zero(), "b", "f", open),
                call(zero(), "a", "", "1}"),
            ],
            lost(zero(), ""),
            vec!["{\"a\":1}"],
        ),
        // A call that begins by its name.
        (
            1,
            vec![call(zero(), "", "f", "{}"), call(zero(), "", "g", open)],
            lost(zero(), ""),
            vec!["{}"],
        ),
        (
            1,
            vec![call(zero(), "a", "f", "{}"), call(zero(), "a", "g", open)],
            lost(zero(), "a"),
            vec!["{}"],
        ),
        (
            1,
            vec![call(no(), "a", "f", "{}"), call(no(), "a", "g", open)],
            lost(no(), "a"),
            vec!["{}"],
        ),
        // An invalid index, also before any call.
        (
            9,
            vec![call(zero(), "a", "f", open), call(bad(), "b", "f", open)],
            lost(no(), ""),
            vec![open],
        ),
        (9, vec![call(bad(), "b", "f", open)], lost(no(), ""), vec![]),
        (
            9,
            vec![
                call(zero(), "a", "f", open),
                call(bad(), "b", "f", open),
                call(zero(), "", "", "1}"),
                call(bad(), "b", "f", ""),
            ],
            lost(no(), ""),
            vec!["{\"a\":1}"],
        ),
    ]
}

/// The parts of a call that was left out are left out, too: no other call grows by them.
#[test]
fn parts_of_a_call_that_was_left_out_join_no_other_call() {
    for (most, calls, lost, expected) in left_out_calls() {
        let mut decoder = ChunkDecoder::new();
        let mut completion = Reassembler::with_limits(Limits::new().with_max_tool_calls(most));
        let mut push = |call: &Value| {
            let chunk = json!({"id": "c", "created": 5, "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
            let stream = format!("data: {chunk}\n\n");
            completion.push_payload(decoder.next(&mut stream.as_bytes()).unwrap().payload());
            completion.changes().to_vec()
        };
        for call in &calls {
            push(call);
        }
        for _ in 0..4 {
            assert_eq!(push(&lost), [], "{calls:?} {lost}");
        }
        let calls = &completion.snapshot().choices[0].message.tool_calls;
        let found: Vec<_> =
            calls.iter().map(|call| &call.function.as_ref().unwrap().arguments[..]).collect();
        assert_eq!(found, expected, "{lost}");
        let invalid = completion.irregularities().invalid_tool_call_indexes;
        assert_eq!(invalid > 0, most > 1, "{lost}");
        assert!(most == 1 || invalid > 4, "each part is counted: {invalid}");
    }
}

/// Ids that are too long to be stored differ all the same.
#[test]
fn calls_with_too_long_ids_differ_by_them() {
    let id = |last: &str| "i".repeat(1024) + last;
    let call = |index: Option<u64>, id: &str, name: &str, arguments: &str| {
        let mut call = json!({"id": id, "function": {"name": name, "arguments": arguments}});
        if let Some(index) = index {
            call["index"] = index.into();
        }
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    };
    for index in [Some(0), None] {
        let finished = finished_chunks(&[
            call(index, &id("1"), "f", "{"),
            call(index, &id("1"), "f", "}"),
            call(index, &id("2"), "f", "{}"),
            call(index, "short", "f", "[]"),
            call(index, &id("1"), "", " "),
        ]);
        let calls = finished.completion.choices[0].message.tool_calls.iter();
        let seen: Vec<_> = calls
            .map(|call| (&call.id[..], &call.function.as_ref().unwrap().arguments[..]))
            .collect();
        assert_eq!(seen, [("", "{} "), ("", "{}"), ("short", "[]")], "{index:?}");
        assert_eq!(finished.limit_exceeded, Some(CompletionLimit::ToolCallId));
        assert_eq!(finished.irregularities.changed_tool_call_ids, 0);
    }
    // The first id of a call isn't stored, and neither is another one.
    let finished = finished_chunks(&[
        call(Some(0), &id(""), "f", "{"),
        call(Some(0), &id("1"), "g", "{"),
        call(Some(0), "b", "", "}"),
    ]);
    let calls = &finished.completion.choices[0].message.tool_calls;
    assert_eq!((calls.len(), &calls[0].id.len(), &calls[1].id[..]), (2, &1024, ""));
    assert_eq!(finished.irregularities.changed_tool_call_ids, 1);
}

/// The rows of the table in `call_at` that have no index.
#[test]
fn calls_without_an_index_are_known_by_their_id() {
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"id": id,
            "function": {"name": name, "arguments": arguments}}]}}]})
    };
    let finished = finished_chunks(&[
        call("a", "f", "{1}"),
        call("b", "g", "{2}"),
        call("a", "", "{3}"),
        call("", "", "{4}"),
        call("", "h", "{5}"),
        call("c", "", "{6}"),
        call("b", "g", "{7}"),
    ]);
    let calls = finished.completion.choices[0].message.tool_calls.iter();
    let seen: Vec<_> =
        calls.map(|call| (&call.id[..], &call.function.as_ref().unwrap().arguments[..])).collect();
    assert_eq!(seen, [("a", "{1}{3}{4}"), ("b", "{2}{7}"), ("", "{5}"), ("c", "{6}")]);
}

/// The end of a call is reported again only if the call has grown since.
#[test]
fn calls_that_come_again_without_growth_end_once() {
    let call = |index: usize, arguments: &str| {
        json!({"index": index, "id": format!("c{index}"),
        "function": {"name": "f", "arguments": arguments}})
    };
    let object =
        |index: usize| json!({"index": index, "function": {"name": "f", "arguments": {"a": 1}}});
    let empty = |index: usize| json!({"index": index, "function": {"arguments": ""}});
    let renamed = |index: usize, name: &str| json!({"index": index, "function": {"name": name}});
    let both = |name: &str, calls: Value| json!({"index": 0, name: {"tool_calls": calls}});
    let whole = |calls: Value| both("message", calls);
    let delta = |calls: Value| both("delta", calls);
    let done = |step: &Value, completion: &mut Reassembler| {
        push(completion, step);
        let done = completion.changes().iter().filter_map(|change| match change {
            Change::ToolCallDone { call, .. } => Some(*call),
            _ => None,
        });
        done.collect::<Vec<_>>()
    };
    let end = json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"});
    let begin = json!([call(0, "{}"), call(1, "{}")]);
    let finish_again = json!({"index": 0, "delta": {"tool_calls": [empty(1)]},
        "finish_reason": "tool_calls"});
    for (steps, expected) in [
        // A whole message in each chunk, and one whose last call grows.
        (vec![whole(begin.clone()), whole(begin.clone())], vec![vec![0], vec![]]),
        (
            vec![
                whole(json!([call(0, "{}"), call(1, "{")])),
                whole(json!([call(0, "{}"), call(1, "{}")])),
            ],
            vec![vec![0], vec![]],
        ),
        // Each replaces a value by another one of the same length.
        (
            vec![whole(json!([renamed(0, "f"), renamed(1, "f")])), whole(json!([renamed(0, "g")]))],
            vec![vec![0], vec![1]],
        ),
        (vec![delta(begin.clone()), delta(json!([empty(0), empty(1)]))], vec![vec![0], vec![]]),
        (
            vec![delta(json!([object(0), object(1)])), delta(json!([object(0), object(1)]))],
            vec![vec![0], vec![]],
        ),
        (vec![delta(begin.clone()), delta(json!([{"index": 0}]))], vec![vec![0], vec![]]),
        (vec![delta(begin.clone()), delta(json!([call(0, " ")]))], vec![vec![0], vec![1]]),
    ] {
        let mut completion = Reassembler::new();
        for (step, expected) in steps.iter().zip(expected) {
            assert_eq!(done(step, &mut completion), expected, "{step}");
        }
        assert_eq!(done(&end, &mut completion).len(), 1, "{steps:?}");
        assert!(done(&finish_again, &mut completion).is_empty(), "{steps:?}");
    }
}

/// The call that is pending at the end of a cut stream is the one whose end isn't reported.
#[test]
fn the_pending_call_behind_an_empty_part_of_another_is_the_one_that_grows() {
    let call = |index: usize, arguments: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": index, "function": {"arguments": arguments}}]}}]})
    };
    let calls = [call(0, "{}"), call(1, "{"), call(0, "")];
    let stream = calls.map(|call| format!("data: {call}\n\n")).concat();
    assert_eq!(finished(&stream).pending[0].tool_call, Some(1));
}

/// A call that another one ends is told at its place, also where that has moved.
#[test]
fn a_call_is_done_where_it_is_now() {
    let mut completion = Reassembler::new();
    for (index, done) in [(5, None), (7, Some(0)), (2, Some(2)), (6, Some(0))] {
        let call = json!({"index": index, "function": {"arguments": "{}"}});
        push(&mut completion, &json!({"index": 0, "delta": {"tool_calls": [call]}}));
        let told = completion.changes().iter().find_map(|change| match change {
            Change::ToolCallDone { call, .. } => Some(*call),
            _ => None,
        });
        assert_eq!(told, done, "{index}");
    }
}

/// Positions are those after the push, also where choices and calls come out of order.
#[test]
fn changes_of_one_chunk_agree_on_positions() {
    let mut completion = Reassembler::new();
    push(&mut completion, &json!({"index": 5, "delta": {"content": "aaaa"}}));
    let json = json!({"choices": [
        {"index": 5, "delta": {"content": "x", "tool_calls": [{"index": 1, "function": {"arguments": "{1}"}},
            {"index": 0, "function": {"arguments": "{0}"}}]}},
        {"index": 0, "delta": {"content": "é"}}]});
    completion.push(
        &OwnedChatCompletionChunk::from_json(json.to_string().as_bytes()).unwrap().as_chunk(),
    );
    let mut texts = Vec::new();
    let (completion, changes) = completion.snapshot_with_changes();
    for change in changes {
        let choices = &completion.choices;
        match *change {
            Change::Text { choice, text: MessageText::Content, start } => {
                texts.push(choices[choice].message.content.as_deref().unwrap()[start..].to_owned());
            }
            Change::Arguments { choice, call, start } => {
                let call = &choices[choice].message.tool_calls[call];
                texts.push(call.function.as_ref().unwrap().arguments[start..].to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(texts, ["x", "{1}", "{0}", "é"]);
}

#[test]
fn without_a_decoder_the_outcome_is_that_of_the_chunks() {
    let chunk = |json: &str| OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
    let mut completion = Reassembler::new();
    completion.push(&chunk(r#"{"choices":[{"delta":{"content":"a"}}]}"#).as_chunk());
    assert_eq!(completion.finish(StreamSummary::default()).outcome, Outcome::Truncated);
    assert_eq!(completion.finish(StreamSummary::default()).outcome, Outcome::Empty);
    let error = r#"{"error":{"code":500},"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    completion.push(&chunk(error).as_chunk());
    let mut end = StreamSummary::default();
    end.done = 1;
    assert_eq!(completion.finish(end).outcome, Outcome::UpstreamError);
    // An error from a decoder, alone and with a chunk beside it.
    for (json, content) in [
        (r#"{"error":{"code":500}}"#, None),
        (r#"{"error":{"code":500},"choices":[{"delta":{"content":"a"}}]}"#, Some("a")),
    ] {
        let stream = format!("data: {json}\n\n");
        let mut decoder = ChunkDecoder::new();
        completion.push_payload(decoder.next(&mut stream.as_bytes()).unwrap().payload());
        let finished = completion.finish(StreamSummary::default());
        assert_eq!(finished.outcome, Outcome::UpstreamError, "{json}");
        let first = finished.completion.choices.first();
        assert_eq!(first.and_then(|choice| choice.message.content.as_deref()), content, "{json}");
    }
}

/// An outcome's name is its variant's, in the field's way of writing.
#[test]
fn each_outcome_has_a_name() {
    for (outcome, name) in [
        (Outcome::Complete, "complete"),
        (Outcome::FinishedWithoutDone, "finished_without_done"),
        (Outcome::DoneWithoutFinish, "done_without_finish"),
        (Outcome::Truncated, "truncated"),
        (Outcome::UpstreamError, "upstream_error"),
        (Outcome::Empty, "empty"),
        (Outcome::NotAnEventStream(BodyKind::Html), "not_an_event_stream"),
    ] {
        assert_eq!(outcome.as_str(), name);
    }
}

#[test]
fn content_parts_of_any_kind_are_merged() {
    let part = |part: Value| json!({"choices": [{"index": 0, "delta": {"content": [part]}}]});
    let finished = finished_chunks(&[
        part(json!({"type": "text", "text": "a"})),
        part(json!("b")),
        part(
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "t"}], "signature": "s"}),
        ),
        part(json!({"type": "reference", "reference_ids": [1]})),
        part(json!({"type": "reference", "reference_ids": [2]})),
        part(json!({"type": "refusal", "refusal": "no"})),
        part(json!({"type": "image_url", "image_url": {"url": "u"}})),
    ]);
    let message = &as_json(&finished.completion)["choices"][0]["message"];
    let found = [&message["content"], &message["reasoning_content"], &message["refusal"]];
    assert_eq!(found, [&json!("ab"), &json!("t"), &json!("no")]);
    assert_eq!((&message["signature"], &message["reference_ids"]), (&json!("s"), &json!([1, 2])));
    assert_eq!(finished.irregularities.unknown_content_parts, 1);
}

#[test]
fn an_empty_usage_replaces_no_other() {
    let finished = finished_chunks(&[
        json!({"usage": {}, "choices": [{"usage": {"total_tokens": 5}}]}),
        json!({"usage": {}, "x_groq": {"usage": {"prompt_tokens": 3}}}),
    ]);
    let usage = &as_json(&finished.completion)["usage"];
    assert_eq!(*usage, json!({"total_tokens": 5, "prompt_tokens": 3}));
}

#[test]
fn duplicate_done_and_data_behind_it_are_reported() {
    let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let finished = finished(&format!("{chunk}\n\ndata: [DONE]\n\n{chunk}\n\ndata: [DONE]\n\n"));
    assert_eq!((finished.end.done, finished.end.after_done), (2, 1));
    assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("aa"));
}

/// One chunk goes into as many reassemblers as there are, and none needs a decoder.
#[test]
fn chunks_from_elsewhere_go_in_too() {
    let json =
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let owned = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
    let read: OwnedChatCompletionChunk = serde_json::from_str(json).unwrap();
    let (mut one, mut other) = (Reassembler::new(), Reassembler::new());
    one.push(&owned.as_chunk());
    other.push(&read.as_chunk());
    assert_eq!(one.snapshot(), other.snapshot());
    let mut end = StreamSummary::default();
    end.done = 1;
    let finished = one.finish(end);
    assert_eq!(finished.outcome, Outcome::Complete);
    assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Hi"));
    assert!(OwnedChatCompletionChunk::from_json(b"[]").is_err());
    assert!(serde_json::from_str::<OwnedChatCompletionChunk>("{\"a\":").is_err());
}

/// Everything that a completion has, written and read back, is written the same again.
#[test]
fn a_completion_is_read_back() {
    for recording in recordings("openai-chat") {
        let finished = finished(&String::from_utf8_lossy(&recording.bytes));
        let json = serde_json::to_string(&finished.completion).unwrap();
        let mut written = Vec::new();
        finished.completion.write_json(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), json, "{}", recording.file);
        let read: ChatCompletion = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json, "{}", recording.file);
        let kept = &finished.completion;
        assert_eq!(read.choices.len(), kept.choices.len());
        assert_eq!((&read.id, read.created, &read.model), (&kept.id, kept.created, &kept.model));
        assert_eq!(read.service_tier, kept.service_tier);
        assert_eq!(read.system_fingerprint, kept.system_fingerprint);
        assert_eq!(read.extra.len(), kept.extra.len());
        for (read, kept) in read.choices.iter().zip(&finished.completion.choices) {
            assert_eq!(read.message.content, kept.message.content);
            assert_eq!(read.message.tool_calls.len(), kept.message.tool_calls.len());
            assert_eq!((read.index, &read.finish_reason), (kept.index, &kept.finish_reason));
            assert_eq!(read.message.reasoning, kept.message.reasoning);
            assert_eq!(read.message.refusal, kept.message.refusal);
            assert_eq!(read.extra.len(), kept.extra.len());
            assert_eq!(read.message.extra.len(), kept.message.extra.len());
        }
    }
    let json = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": null, "refusal": null, "tool_calls":
        [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "x": [1.50]}]},
        "logprobs": null, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 3}, "y": {"z": 1}});
    let read: ChatCompletion = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
    let z =
        read.extra.get("y").and_then(|y| y.get("z")).and_then(deltawire::json::OwnedValue::as_u64);
    assert_eq!(z, Some(1));
    assert_eq!(read.usage.unwrap().get("total_tokens").unwrap().as_u64(), Some(3));
    // Of members with the same name the last one counts.
    let twice = r#"{"id":"a","id":"b","choices":[],"usage":{"x":1,"x":2}}"#;
    let read: ChatCompletion = serde_json::from_str(twice).unwrap();
    assert_eq!(read.id.as_deref(), Some("b"));
    assert_eq!(read.usage.unwrap().get("x").unwrap().as_u64(), Some(2));
    assert!(serde_json::from_str::<ChatCompletion>("[]").is_err());
    assert!(serde_json::from_str::<ChatCompletion>(r#"{"choices":[{},{"index":0}]}"#).is_err());
}

/// A thousand times the deltas cost a thousand times as much, and not a million times.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn pushes_cost_the_same_however_long_the_text() {
    let deltas = [
        json!({"index": 0, "delta": {"content": "some text"}}),
        json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]}}),
        json!({"index": 0, "delta": {"reasoning_details": [{"index": 0, "type": "t", "text": "hm"}]}}),
        json!({"index": 0, "delta": {}, "logprobs": {"content": [{"token": "a", "logprob": -0.5}]}}),
    ];
    for delta in deltas {
        let json = json!({"choices": [delta]}).to_string();
        let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
        let push = |count: usize| {
            let mut completion = Reassembler::new();
            for _ in 0..count {
                completion.push(&chunk.as_chunk());
            }
        };
        let ratio = clock::ratio(|| push(100), || push(100_000), 8.0 * 1000.0);
        assert!(ratio < 8.0 * 1000.0, "{json}: {ratio}");
    }
}

/// The usages of eight times as many choices cost eight times as much, in any order of the indexes.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn tokens_of_choices_cost_the_same_however_many_there_are() {
    let of_choices = |count: usize, index: fn(usize, usize) -> usize| {
        let choices = (0..count).map(|at| {
            let tokens = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
            json!({"index": index(at, count), "usage": tokens})
        });
        let json = json!({"choices": choices.collect::<Vec<_>>()}).to_string();
        ChatCompletion::from_json(json.as_bytes()).unwrap()
    };
    for index in [|at, _| at, |at, count: usize| count - at] {
        let (few, many) = (of_choices(1000, index), of_choices(8000, index));
        let counts = many.tokens().unwrap();
        let counts = (counts.prompt, counts.completion, counts.total);
        assert_eq!(counts, (Some(5), Some(16_000), Some(16_005)));
        let ratio = clock::ratio(|| _ = few.tokens(), || _ = many.tokens(), 24.0);
        assert!(ratio < 24.0, "{ratio}");
    }
}

/// Returns streams of deltas: choice, member, text.
fn deltas_of_choices() -> impl Strategy<Value = Vec<Value>> {
    let text = "[a-zé😀\"\\\\ ]{0,8}";
    let delta = prop_oneof![
        text.prop_map(|text| json!({"content": text})),
        text.prop_map(|text| json!({"reasoning": text})),
        text.prop_map(|text| json!({"refusal": text})),
        (0u8..3, text).prop_map(
            |(index, text)| json!({"tool_calls": [{"index": index, "id": format!("c{index}"),
            "function": {"name": "f", "arguments": text}}]})
        ),
    ];
    vec((0u8..3, delta).prop_map(|(index, delta)| json!({"index": index, "delta": delta})), 0..20)
}

fn of_choices<'c>(choices: impl IntoIterator<Item = &'c Value>) -> Value {
    let chunks: Vec<_> = choices.into_iter().map(|choice| json!({"choices": [choice]})).collect();
    as_json(&completion(&chunks))
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/completions.txt", 300))]

    #[test]
    fn splitting_a_text_over_two_chunks_changes_nothing(choices in deltas_of_choices(), at in 0usize..8) {
        let parts = |choice: &Value| {
            let (mut one, mut other) = (choice.clone(), choice.clone());
            let pointers = ["/delta/content", "/delta/reasoning", "/delta/refusal", "/delta/tool_calls/0/function/arguments"];
            for pointer in pointers {
                if let Some(Value::String(text)) = choice.pointer(pointer) {
                    let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
                    *one.pointer_mut(pointer).unwrap() = json!(text[..at]);
                    *other.pointer_mut(pointer).unwrap() = json!(text[at..]);
                }
            }
            [one, other]
        };
        let split: Vec<_> = choices.iter().flat_map(parts).collect();
        prop_assert_eq!(of_choices(&split), of_choices(&choices));
    }

    #[test]
    fn interleaving_choices_changes_nothing(choices in deltas_of_choices()) {
        let mut sorted = choices.clone();
        sorted.sort_by_key(|choice| choice["index"].as_u64());
        prop_assert_eq!(of_choices(&sorted), of_choices(&choices));
    }

    #[test]
    fn null_member_is_merged_as_an_absent_one(choices in deltas_of_choices()) {
        let with_nulls = |choice: &Value| {
            let mut choice = choice.clone();
            for name in ["role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call", "audio"] {
                let delta = choice["delta"].as_object_mut().unwrap();
                delta.entry(name).or_insert(Value::Null);
            }
            for name in ["logprobs", "finish_reason"] {
                choice[name] = Value::Null;
            }
            choice
        };
        let nulls: Vec<_> = choices.iter().map(with_nulls).collect();
        prop_assert_eq!(of_choices(&nulls), of_choices(&choices));
    }

    /// Field by field, buffers aside.
    #[test]
    fn a_reset_reassembler_is_a_fresh_one(before in deltas_of_choices(), after in deltas_of_choices(), by_finish: bool) {
        let mut limits = Limits::default();
        limits.max_completion_bytes = 4000;
        let mut used = Reassembler::with_limits(limits);
        for choice in &before {
            push(&mut used, choice);
        }
        if by_finish {
            drop(used.finish(StreamSummary::default()));
        } else {
            used.reset();
        }
        let mut fresh = Reassembler::with_limits(limits);
        let shown = |completion: &Reassembler| {
            let text = format!("{completion:?}");
            let spare = text.find(", spare: [").unwrap();
            let end = spare + text[spare..].find(']').unwrap();
            [&text[..spare], &text[end..]].concat()
        };
        prop_assert_eq!(shown(&used), shown(&fresh));
        for choice in &after {
            push(&mut used, choice);
            push(&mut fresh, choice);
            prop_assert_eq!(used.changes(), fresh.changes());
        }
        prop_assert_eq!(shown(&used), shown(&fresh));
    }
}
