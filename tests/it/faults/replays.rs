//! Replays: the size of their output, and that it is read back.

use deltawire::completion::{ChatCompletion, FinishedCompletion};
use deltawire::gateway::{Replay, assemble};
use deltawire::json::OwnedValue;
use deltawire::{Limits, Outcome, Reassembler};
use serde_json::{Value, json};

use crate::support::clock;
use crate::support::faults::{
    DONE, KIB, MIB, delta, event, limits, nested, on_a_small_stack, push_all,
};

fn replayed(completion: &ChatCompletion) -> Vec<u8> {
    let mut out = Vec::new();
    Replay::new(completion).write_all(&mut out);
    out
}

fn read(json: &str) -> ChatCompletion {
    ChatCompletion::from_json(json.as_bytes()).unwrap()
}

/// Asserts that a replay of a stream's completion is read back equal.
fn assert_same_again(events: &[Vec<u8>]) -> FinishedCompletion {
    let completion = assemble(events.iter().map(Vec::as_slice)).completion;
    let again = assemble([&replayed(&completion)[..]]);
    assert_eq!((again.end.malformed, again.limit_exceeded), (0, None));
    assert!(again.completion == completion);
    again
}

fn repeated(times: usize, one: &str) -> String {
    vec![one; times].join(",")
}

/// Returns choices that differ in their index.
fn numbered(times: usize, one: &str) -> String {
    let choice = |index| one.replacen("\"index\":0", &format!("\"index\":{index}"), 1);
    (0..times).map(choice).collect::<Vec<_>>().join(",")
}

/// Returns the number of bytes of text in a value: in members that are written in deltas.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(text_bytes).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match name.as_str() {
                "content" | "refusal" | "reasoning" | "arguments" => {
                    value.as_str().map_or(0, str::len)
                }
                _ => text_bytes(value),
            })
            .sum(),
        _ => 0,
    }
}

/// A stored text that isn't JSON ends no line and forges no event, at any place.
#[test]
fn a_text_that_is_no_json_forges_no_event() {
    let json = r#"{"choices":[{"index":0,"message":{"content":"a","audio":{"id":"b"}},"finish_reason":"stop","logprobs":{"content":[]}}],"usage":{"a":1}}"#;
    for text in [
        "\"a\n\ndata: [DONE]\n\n\"",
        "1\n\ndata: [DONE]\n\n",
        "\"a\r\rdata: x\r\r",
        "\"\\\n\ndata: [DONE]\n\n\"",
        "\"\\\r\n\r\nevent: error\r\n\r\n",
        "\"a\\",
        "{\"a\":1",
        "",
    ] {
        let value = || OwnedValue::Raw(text.into());
        let put: [fn(&mut ChatCompletion, OwnedValue); 6] = [
            |completion, value| drop(completion.extra.insert("x", value)),
            |completion, value| drop(completion.usage.as_mut().unwrap().insert("x", value)),
            |completion, value| drop(completion.choices[0].extra.insert("x", value)),
            |completion, value| drop(completion.choices[0].message.extra.insert("x", value)),
            |completion, value| {
                drop(completion.choices[0].message.audio.as_mut().unwrap().insert("x", value));
            },
            |completion, value| {
                drop(completion.choices[0].logprobs.as_mut().unwrap().insert("x", value));
            },
        ];
        for put in put {
            let mut completion = read(json);
            put(&mut completion, value());
            let out = String::from_utf8(replayed(&completion)).unwrap();
            let is_event =
                |event: &str| event.starts_with("data: {") && !event.contains(['\n', '\r']);
            let (events, last) = out.trim_end().rsplit_once("\n\n").unwrap();
            assert_eq!(last, "data: [DONE]");
            assert!(events.split("\n\n").all(is_event), "{text:?}: {out}");
        }
    }
}

/// A replay has at most 20 times the bytes of the completion's JSON, and 64 KiB.
///
/// Deltas of fewer than 32 bytes add at most 550 bytes each. The completions have many small
/// elements, and long texts that all chunks could repeat. An unoptimised build tries one of the texts.
#[test]
fn a_replay_is_a_few_times_as_long_as_its_completion() {
    let plain = "x".repeat(256);
    let escaped = "\u{1}".repeat(256);
    let long_name = "n".repeat(50_000);
    let choice = r#"{"index":0,"message":{"content":"a"},"finish_reason":"stop"}"#;
    let called = |calls: &str| {
        format!(r#"{{"index":0,"message":{{"tool_calls":[{calls}]}},"finish_reason":"stop"}}"#)
    };
    let long = format!(r#"{{"function":{{"name":"f","arguments":"{}"}}}}"#, "y".repeat(33));
    // Pieces of at most 32 bytes have 29 each.
    let uneven = "😀😀漢漢漢漢漢漢漢".repeat(2_000);
    let choices = [
        called(&repeated(25_000, "{}")),
        called(&repeated(5_000, r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#)),
        called(&repeated(3_000, &long)),
        called(&repeated(3_000, &format!("{{}},{long}"))),
        called(&repeated(3_000, r#"{"custom":{"name":"a","input":"b"}}"#)),
        numbered(10_000, r#"{"index":0}"#),
        numbered(5_000, choice),
        numbered(3_000, r#"{"index":0,"message":{"role":"a","function_call":{}},"x":[1]}"#),
        numbered(3_000, r#"{"index":0,"message":{"content":"a","refusal":"b","reasoning":"c"}}"#),
        numbered(128, &called(&repeated(256, "{}"))),
        format!(r#"{{"index":0,"message":{{"content":"{}"}}}}"#, "z".repeat(20_000)),
        called(&format!(
            "{}{{\"function\":{{\"name\":\"f\",\"arguments\":\"{uneven}\"}}}}",
            "{},".repeat(1_000)
        ))
        .replace(":0", ":18446744073709551615"),
    ];
    let texts = ["", &plain, &escaped, &long_name, &plain[..60]];
    let texts = if cfg!(debug_assertions) { &texts[4..] } else { &texts };
    for choices in &choices {
        for text in texts {
            // Most members are repeated if each of the four texts is short.
            let sizes: &[_] = if text.len() == 60 { &[1, 7, 31, 32, usize::MAX] } else { &[32] };
            let texts = json!({"id": text, "created": u64::MAX, "model": text, "service_tier": text, "system_fingerprint": text});
            let texts = texts.to_string();
            let json = format!(r#"{},"choices":[{choices}]}}"#, texts.trim_end_matches('}'));
            let completion = read(&json);
            let text_bytes = text_bytes(&serde_json::from_str(&json).unwrap());
            for &delta_bytes in sizes {
                let mut replay = Replay::new(&completion);
                replay.set_delta_bytes(delta_bytes);
                let mut out = Vec::new();
                while replay.write_next(&mut out) {}
                // A piece has fewer bytes only if its next character doesn't fit.
                let deltas = text_bytes / delta_bytes.saturating_sub(3).max(1);
                let further = if delta_bytes < 32 { 550 * deltas } else { 0 };
                let most = 20 * json.len() + 64 * KIB + further;
                let head = &json[..json.len().min(100)];
                assert!(
                    out.len() <= most,
                    "{delta_bytes}: {} of {}: {head}",
                    out.len(),
                    json.len()
                );
                assert_eq!(replay.text_bytes(), text_bytes);
                if delta_bytes == 32 {
                    assert_eq!(assemble([&out[..]]).end.malformed, 0);
                }
            }
        }
    }
}

/// An event with a piece of text has at most 550 bytes besides the text, for any names.
#[test]
fn a_delta_repeats_little() {
    let most = "n".repeat(64);
    for (text, call) in
        [("content", false), ("refusal", false), ("reasoning_content", false), ("", true)]
    {
        for names in [&most, &"\u{1}".repeat(40), &most.repeat(1000)] {
            let piece = "0123456789";
            let message = if call {
                json!({"tool_calls": vec![json!({"id": "i", "function": {"name": names, "arguments": piece.repeat(2)}}); 500]})
            } else {
                json!({text: piece.repeat(2)})
            };
            let choice = json!({"index": u64::MAX, "message": message, "finish_reason": "stop"});
            let completion = json!({"id": names, "created": u64::MAX, "model": names, "service_tier": names,
                "system_fingerprint": names, "choices": [choice]});
            let completion = read(&completion.to_string());
            let mut replay = Replay::new(&completion);
            replay.set_delta_bytes(1);
            let (mut out, mut pieces) = (Vec::new(), 0);
            let mut before = 0;
            while replay.write_next(&mut out) {
                let count =
                    |name: &[u8]| out.windows(name.len()).filter(|found| *found == name).count();
                // A short last piece may share its event with other deltas.
                let is_alone = count(b"\"delta\"") == 1 && count(b"\"name\"") == 0;
                if replay.text_bytes() == before + 1 && is_alone {
                    assert!(out.len() <= 551, "{}: {}", out.len(), String::from_utf8_lossy(&out));
                    pieces += 1;
                }
                before = replay.text_bytes();
                out.clear();
            }
            assert!(pieces >= 19, "{pieces}");
        }
    }
}

/// Reads back all choices and tool calls that share events.
#[test]
fn small_choices_and_calls_share_events() {
    let choices: Vec<_> = (0..100)
        .map(|index| {
            let calls: Vec<_> = (0..100)
                .map(|call| match call % 4 {
                    0 => json!({"id": format!("c{call}"), "type": "function"}),
                    1 => json!({"id": "", "type": "custom", "custom": {"name": "n", "input": "i"}}),
                    2 => json!({"id": "x", "type": "function", "function": {"name": "f", "arguments": "a".repeat(call % 32), "y": [1]}}),
                    _ => json!({"id": "", "type": "function"}),
                })
                .collect();
            let message = json!({"role": "assistant", "content": "C".repeat(index), "refusal": null, "tool_calls": calls, "images": [index]});
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": "stop"})
        })
        .collect();
    let completion = json!({"id": "i", "created": 1, "object": "chat.completion", "model": "m".repeat(240), "choices": choices, "new": {"a": 1}});
    let out = replayed(&read(&completion.to_string()));
    let again = assemble([&out[..]]);
    assert_eq!(again.outcome, Outcome::Complete);
    // With one event for each tool call there would be more than 10 000.
    assert!(again.end.chunks < 5_000, "{}", again.end.chunks);
    assert!(serde_json::to_value(again.completion).unwrap() == completion);
}

/// Returns the number of names and values in a JSON value.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(|value| 1 + count(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Replays a value of as many values as a payload may have, from each place in a completion.
#[test]
#[cfg_attr(debug_assertions, ignore = "a million values: cargo test --release --test it faults")]
fn the_largest_value_is_replayed_from_everywhere() {
    let call = |call: &str| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
    let values = Limits::new().max_json_values;
    for json in [
        call(r#"{"x":@}"#),
        call(r#"{"index":0,"x":@}"#),
        call(r#"{"id":"a","extra_content":{"y":@}}"#),
        call(r#"{"extra_content":{"y":@}}"#),
        call(r#"{"custom":{"y":@}}"#),
        call(r#"{"function":{"x":@}}"#),
        r#"{"choices":[],"x_groq":{"y":@}}"#.to_owned(),
        r#"{"choices":[],"x":{"y":@}}"#.to_owned(),
        r#"{"choices":[{"delta":{"audio":{"x":@}}}]}"#.to_owned(),
        r#"{"choices":[{"delta":{"reasoning_details":[{"signature":@}]}}]}"#.to_owned(),
        r#"{"choices":[{"content_filter_results":{"a":{"b":@}}}]}"#.to_owned(),
    ] {
        // The names and values outside the list.
        let others = count(&serde_json::from_str(&json.replace('@', "[]")).unwrap());
        let list = |len: usize| format!("[{}]", repeated(len, "0"));
        let most = event(&json.replace('@', &list(values - others)));
        let more = event(&json.replace('@', &list(values - others + 1)));
        assert_eq!(assemble([&most[..]]).end.malformed, 0, "{json}");
        assert_eq!(assemble([&more[..]]).end.malformed, 1, "{json}");
        assert_same_again(&[most]);
    }
}

/// Replays in parts a value that was merged from several events and is too large for one event.
#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "a minute in a debug build: cargo test --release --test it faults"
)]
fn what_was_merged_is_replayed_in_parts() {
    let values = repeated(400_000, "0");
    let each = |event: &dyn Fn(usize) -> String| -> Vec<_> {
        (0..3).map(|nth| event(nth).replace('@', &format!("[{values}]")).into_bytes()).collect()
    };
    let top = |json: String| format!("data: {json}\n\n");
    let inside = |members: String| String::from_utf8(delta(&members)).unwrap();
    let call = |call: String| inside(format!(r#""tool_calls":[{call}]"#));
    let detail = |element: String| inside(format!(r#""reasoning_details":[{element}]"#));
    for events in [
        each(&|nth| top(format!(r#"{{"choices":[],"sglext":{{"a":{{"m{nth}":@}}}}}}"#))),
        each(&|nth| {
            top(format!(
                r#"{{"choices":[{{"index":0,"content_filter_results":{{"c{}":{{"filtered":true,"m{nth}":@}}}}}}]}}"#,
                nth / 2
            ))
        }),
        each(&|nth| call(format!(r#"{{"index":0,"x":{{"m{nth}":@}}}}"#))),
        each(&|_| call(r#"{"index":0,"x":@}"#.to_owned())),
        each(&|nth| call(format!(r#"{{"index":0,"function":{{"name":"f","m{nth}":@}}}}"#))),
        each(&|nth| call(format!(r#"{{"index":0,"custom":{{"m{nth}":@,"input":"i"}}}}"#))),
        each(&|nth| detail(format!(r#"{{"index":3,"id":"a","m{nth}":@}}"#))),
        each(&|nth| {
            detail(format!(r#"{{"index":3,"type":"t{}","text":"a","m{nth}":@}}"#, nth / 2))
        }),
        each(&|nth| inside(format!(r#""executed_tools":[{{"index":3,"m{nth}":@}}]"#))),
        each(&|nth| inside(format!(r#""new":[{{"id":"a","m{nth}":@}}]"#))),
        each(&|nth| inside(format!(r#""thinking_blocks":[{{"type":"a","m{nth}":@}}]"#))),
        each(&|nth| inside(format!(r#""audio":{{"x":{{"m{nth}":@}}}}"#))),
    ] {
        assert_eq!(assemble(events.iter().map(Vec::as_slice)).end.malformed, 0);
        assert_same_again(&events);
    }
}

/// Replays a value of many lines in one line.
#[test]
fn values_of_many_lines_are_replayed() {
    let lines = |len: usize| format!("[\n{}0]", "0,\n".repeat(len));
    for len in [10, 500_000] {
        let value = lines(len).replace('\n', "\ndata: ");
        for json in [
            format!(r#"{{"choices":[],"x":{value}}}"#),
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"extra_content":{{"x":{value}}}}}]}}}}]}}"#
            ),
        ] {
            let completion = assemble([&event(&json)[..]]).completion;
            let out = replayed(&completion);
            let text = std::str::from_utf8(&out).unwrap();
            assert!(text.split("\n\n").all(|event| !event.contains('\n')), "one line of data each");
            let again = assemble([&out[..]]);
            assert_eq!(again.end.malformed, 0);
            let written = |completion: &ChatCompletion| {
                let mut json = Vec::new();
                completion.write_json(&mut json);
                String::from_utf8(json).unwrap()
            };
            assert!(written(&again.completion) == written(&completion).replace('\n', ""));
        }
    }
    // Lines alone: the replay has none of them.
    let blank = format!(r#"{{"choices":[],"x":[1{}]}}"#, "\n".repeat(20 * MIB));
    let out = replayed(&read(&blank));
    assert!(out.len() < KIB);
    let again = assemble([&out[..]]);
    assert_eq!(again.end.malformed, 0);
    assert_eq!(again.completion.extra.get("x").unwrap().as_raw(), Some("[1]"));
}

/// Writes readable events for values that a completion can receive only from JSON.
///
/// Reassembly needn't store these values again.
#[test]
fn values_of_json_completions_are_written_in_parts() {
    let values = format!("[{}]", repeated(1_000_000, "0"));
    for json in [
        format!(r#"{{"choices":[],"usage":{{"x":{values}}}}}"#),
        format!(
            r#"{{"choices":[{{"index":0,"message":{{"function_call":{{"name":"f","x":{values}}}}}}}]}}"#
        ),
    ] {
        let out = replayed(&read(&json));
        assert_eq!(assemble([&out[..]]).end.malformed, 0);
        assert!(out.len() > values.len());
    }
}

/// Replays long lists in which objects precede or follow another element.
#[test]
fn long_lists_of_several_kinds_are_replayed() {
    let objects = repeated(200_000, r#"{"index":0,"a":1}"#);
    assert_same_again(&[delta(&format!(r#""new":[{objects},5]"#))]);
    assert_same_again(&[delta(&format!(r#""new":[5,{objects}]"#))]);
}

/// A replay skips members that no decoder reads with default limits, and ends with an error.
#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "a minute in a debug build: cargo test --release --test it faults"
)]
fn values_that_cannot_be_read_back_are_reported() {
    let finished = |members: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"message":{{"content":"a"}},"finish_reason":"stop"}}]{members}}}"#
        )
    };
    let called = |call: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"message":{{"tool_calls":[{call}]}},"finish_reason":"stop"}}]}}"#
        )
    };
    let long = "x".repeat(65 * MIB);
    for json in [
        called(&format!(r#"{{"function":{{"name":"{long}"}}}}"#)),
        finished(&format!(r#","x":{{"{long}":1}}"#)),
        format!(r#"{{"choices":[{{"index":0,"finish_reason":"{long}"}}]}}"#),
    ] {
        let out = replayed(&read(&json));
        let again = assemble([&out[..]]);
        assert_eq!(again.end.malformed, 0);
        assert_eq!(again.outcome, Outcome::UpstreamError);
        let error = again.end.upstream_error.as_ref().unwrap();
        assert_eq!(error.code.as_deref(), Some("not_whole"));
        assert!(out.len() < MIB);
    }
    // Each text fits an event, so the replay skips neither.
    let (id, model) = ("i".repeat(30 * MIB), "m".repeat(33 * MIB));
    let completion = read(&finished(&format!(r#","id":"{id}","model":"{model}""#)));
    let out = replayed(&completion);
    assert!(out.ends_with(DONE.as_bytes()));
    let again = assemble([&out[..]]);
    assert_eq!((again.end.malformed, again.outcome), (0, Outcome::Complete));
    assert!(again.completion.id == Some(id) && again.completion.model == Some(model));
}

/// A replay doesn't merge separate elements, for any limit on their members.
///
/// A detail that a limit has left without members adds nothing when it is read again.
#[test]
fn elements_that_were_apart_stay_apart() {
    let details = [
        r#"[{"index":0,"type":"a","text":"1"},{"index":0,"type":"b","text":"2"}]"#,
        r#"[{"index":0,"id":"a","type":"t"},{"index":0,"id":"b"},{"index":1},{"index":0,"type":"u"}]"#,
        r#"[{"type":"a","index":0,"id":"x"},{"type":"b","index":0,"id":"x"},{"text":"c"}]"#,
    ];
    for list in details {
        for members in [r#""reasoning_details":"#, r#""new":"#, r#""thinking_blocks":"#] {
            let is_detail = members.contains("details");
            for most in [0, 1, 2, 256].into_iter().filter(|most| *most > 0 || !is_detail) {
                let limits = limits(|limits| limits.max_members = most);
                let completion = |stream: &[u8]| {
                    let mut completion = Reassembler::with_limits(limits);
                    push_all(&mut completion, &mut deltawire::ChunkDecoder::new(), stream);
                    completion.finish(deltawire::StreamSummary::default()).completion
                };
                let kept = completion(&delta(&format!("{members}{list}")));
                let again = completion(&replayed(&kept));
                assert!(again == kept, "{most}: {list} {kept:?} {again:?}");
                if is_detail {
                    let again = assemble([&replayed(&kept)[..]]).completion;
                    let len = |completion: &ChatCompletion| {
                        completion.choices[0].message.reasoning_details.len()
                    };
                    assert_eq!(len(&again), len(&kept), "{most}: {list}");
                }
            }
        }
    }
}

/// Replays deep values on a small stack, in a time that depends little on the depth.
///
/// Text and list are shorter in an unoptimised build: a pass for each level still takes 60 times as
/// long.
#[test]
fn deep_values_are_replayed() {
    let scale = if cfg!(debug_assertions) { 1 } else { 8 };
    let text = scale * 5 * MIB;
    on_a_small_stack(2 * MIB, move || {
        let deep =
            |leaf: &str| event(&format!(r#"{{"choices":[],"x_groq":{}}}"#, nested(120, leaf)));
        let values = repeated(scale * 25_000, "0");
        let leaves = (0..4).map(|nth| deep(&format!(r#"{{"m{nth}":[{values}]}}"#)));
        assert_same_again(&leaves.collect::<Vec<_>>());
        // The replay reads the leaf a few times, not once for each level.
        let seconds = |depth: usize| {
            let leaf = format!(r#""{}""#, ",".repeat(text));
            let json = format!(r#"{{"choices":[],"x_groq":{}}}"#, nested(depth, &leaf));
            let completion = read(&json);
            clock::seconds(|| assert!(replayed(&completion).len() > text))
        };
        let (flat, deep) = (seconds(2), seconds(120));
        assert!(deep < 4.0 * flat + 0.1, "{deep} of {flat}");
    });
}

/// A replay of a completion without a finish reason ends with its last delta.
#[test]
fn a_completion_without_end_has_none() {
    let out = replayed(&read(r#"{"choices":[{"index":0,"message":{"content":"a"}}]}"#));
    let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
    let last: Value = serde_json::from_str(&lines[lines.len() - 2][6..]).unwrap();
    assert_eq!(last["choices"][0]["delta"]["content"], "a");
}
