//! Bounds on the cost of a peer's bytes: stack, time, memory, output.

use deltawire::completion::{ArgumentsState, ChatCompletion, FunctionCall};
use deltawire::gateway::{
    Editor, Guard, PushResult, Replay, RewriteOutcome, UsageTap, UsageVisibility, Words, assemble,
};
use deltawire::{ChunkDecoder, ErrorKind, Limits, Outcome, Reassembler, Templates};
use serde_json::{Value, json};

use super::memory;
use crate::support::faults::{
    KIB, MIB, SMALL_STACK, delta, event, nested, on_a_small_stack, push_all,
};
use crate::support::{clock, faults, heap};

/// Reads a completion up to a bounded depth, without a stack overflow for any deeper text.
#[test]
fn a_completion_that_is_too_deep_is_an_error() {
    on_a_small_stack(SMALL_STACK, || {
        let deep = |depth: usize| format!(r#"{{"choices":[],"x":{}}}"#, nested(depth, "1"));
        let completion = ChatCompletion::from_json(deep(127).as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&completion).unwrap().matches(r#"{"a":"#).count(), 127);
        for depth in [128, 4_684, 300_000] {
            let error = ChatCompletion::from_json(deep(depth).as_bytes()).unwrap_err();
            let at = r#"{"choices":[],"x":"#.len() + 127 * r#"{"a":"#.len();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::TooDeep, at as u64));
            let error = serde_json::from_str::<ChatCompletion>(&deep(depth)).unwrap_err();
            assert!(error.to_string().contains("nesting deeper than the limit"), "{error}");
        }
    });
}

/// Reading JSON that isn't a completion returns an error with its kind and its offset.
#[test]
fn what_is_no_completion_is_an_error() {
    for (json, kind, offset) in [
        ("{}", ErrorKind::ExpectedChoices, 1),
        (r#"{"error":{"message":"m","code":429}}"#, ErrorKind::ExpectedChoices, 35),
        (r#"{"detail":"Not Found"} "#, ErrorKind::ExpectedChoices, 21),
        (r#"{"choices":null}"#, ErrorKind::ExpectedChoices, 15),
        ("[]", ErrorKind::ExpectedObject, 0),
        ("null", ErrorKind::ExpectedObject, 0),
        ("", ErrorKind::UnexpectedEnd, 0),
        (r#"{"choices":{}}"#, ErrorKind::ExpectedArray, 11),
        (r#"{"choices":[5]}"#, ErrorKind::ExpectedObject, 12),
        (r#"{"choices":[{"index":0},{"index":0}]}"#, ErrorKind::RepeatedIndex, 24),
        (r#"{"choices":[{"index":1},{}]}"#, ErrorKind::RepeatedIndex, 24),
        (r#"{"choices":[{"index":2},{"index":7},{"index":2},{}]}"#, ErrorKind::RepeatedIndex, 36),
        (r#"{"choices":[{"index":-1}]}"#, ErrorKind::ExpectedInteger, 21),
        (r#"{"choices":[{"index":0,"message":[]}]}"#, ErrorKind::ExpectedObject, 33),
        (r#"{"choices":[{"index":0,"message":{"content":[]}}]}"#, ErrorKind::ExpectedString, 44),
        (r#"{"id":7,"choices":[]}"#, ErrorKind::ExpectedString, 6),
        (r#"{"created":1.5,"choices":[]}"#, ErrorKind::ExpectedInteger, 11),
        (r#"{"choices":[],"usage":3}"#, ErrorKind::ExpectedObject, 22),
        (r#"{"choices":[]} x"#, ErrorKind::TrailingData, 15),
    ] {
        let error = ChatCompletion::from_json(json.as_bytes()).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{json}");
        assert!(serde_json::from_str::<ChatCompletion>(json).is_err(), "{json}");
    }
    let error = ChatCompletion::from_json(b"{}").unwrap_err();
    assert_eq!(error.to_string(), "expected a member `choices` at byte 1");
    let mut limits = Limits::new();
    limits.max_json_values = 3;
    let json = br#"{"choices":[],"x":[1,2]}"#;
    let error = ChatCompletion::from_json_with_limits(json, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyValues);
}

/// A raised limit on depth has its own bound, within which no stack overflows.
#[test]
fn a_raised_limit_on_depth_is_bounded() {
    on_a_small_stack(SMALL_STACK, || {
        let mut limits = Limits::new();
        limits.max_json_depth = 1_000_000;
        let (mut decoder, mut completion) =
            (ChunkDecoder::with_limits(limits), Reassembler::with_limits(limits));
        // The payload itself is one level.
        let deep = |depth: usize, leaf: u8| {
            event(&format!(r#"{{"usage":{{}},"x_groq":{}}}"#, nested(depth, &leaf.to_string())))
        };
        for leaf in 1..4 {
            push_all(&mut completion, &mut decoder, &deep(511, leaf));
        }
        push_all(&mut completion, &mut decoder, &deep(512, 9));
        push_all(&mut completion, &mut decoder, &deep(100_000, 9));
        let finished = completion.finish(decoder.finish());
        assert_eq!(finished.end.malformed, 2);
        let copy = finished.completion.clone();
        assert!(copy == finished.completion);
        let json = serde_json::to_string(&copy).unwrap();
        assert!(json.contains(&nested(511, "3")));
        let read = ChatCompletion::from_json_with_limits(json.as_bytes(), &limits).unwrap();
        assert!(format!("{read:?}").len() > 511);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    });
}

/// A replay is a few times as long as its completion, also if each chunk repeats long texts.
#[test]
fn a_replay_repeats_no_long_texts() {
    for len in [100, 2_000, 16 * KIB, 64 * KIB] {
        let text = "x".repeat(len);
        let choices: Vec<_> = (0..=len / 1000)
            .map(|index| json!({"index": index, "message": {"content": "Hi"}, "finish_reason": "stop"}))
            .collect();
        for completion in [
            json!({"id": text, "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}),
            json!({"id": text, "model": text, "service_tier": text, "system_fingerprint": text, "choices": choices}),
        ] {
            let json = completion.to_string();
            let completion = ChatCompletion::from_json(json.as_bytes()).unwrap();
            let mut out = Vec::new();
            Replay::new(&completion).write_all(&mut out);
            let factor = out.len() / json.len();
            assert!(factor <= 16, "{len}: {} bytes of {}", out.len(), json.len());
            assert_eq!(assemble([&out[..]]).completion, completion);
        }
    }
}

/// Replays a value that fills the limit of one payload, and reads it back.
#[test]
#[cfg_attr(debug_assertions, ignore = "a million values: cargo test --release --test alloc faults")]
fn the_largest_value_is_replayed() {
    let values = "0,".repeat(1_048_570) + "0";
    for (json, is_choice) in [
        (format!(r#"{{"choices":[],"x":[{values}]}}"#), false),
        (format!(r#"{{"choices":[],"x":{{"y":[{}]}}}}"#, &values[4..]), false),
        (format!(r#"{{"choices":[{{"delta":{{"x":[{}]}}}}]}}"#, &values[6..]), true),
        (format!(r#"{{"choices":[{{"x":[{}],"delta":{{}}}}]}}"#, &values[8..]), true),
    ] {
        let completion = assemble([&event(&json)[..]]).completion;
        assert_eq!(completion.choices.len(), usize::from(is_choice));
        assert!(completion.extra.len() + completion.choices.len() > 0);
        let mut out = Vec::new();
        Replay::new(&completion).write_all(&mut out);
        let again = assemble([&out[..]]);
        assert_eq!(again.end.malformed, 0);
        assert!(again.completion == completion);
    }
}

/// Stores a list that replaces another value like any list, so that its replay is equal.
#[test]
fn a_list_behind_something_else_is_replayed() {
    for chunks in [
        [r#""annotations":5"#, r#""annotations":[ 1 , 2 ]"#],
        [r#""annotations":"a""#, r#""annotations":[ {"b":1} ]"#],
        [r#""annotations":{"a":1}"#, r#""annotations":[ [] ]"#],
    ] {
        let stream = chunks.map(delta).concat();
        let completion = assemble([&stream[..]]).completion;
        assert_eq!(completion.choices[0].message.extra.len(), 1);
        let mut out = Vec::new();
        Replay::new(&completion).write_all(&mut out);
        assert_eq!(assemble([&out[..]]).completion, completion, "{chunks:?}");
    }
    let logprobs = |logprobs: &str| {
        event(&format!(r#"{{"choices":[{{"index":0,"logprobs":{{"content":{logprobs}}}}}]}}"#))
    };
    let completion = assemble([&[logprobs("null"), logprobs("[ 1 ]")].concat()[..]]).completion;
    let mut out = Vec::new();
    Replay::new(&completion).write_all(&mut out);
    assert_eq!(assemble([&out[..]]).completion, completion);
}

/// Frees the buffers that one large event made grow: at once by a reset, or after small events.
#[test]
fn a_reassembler_frees_large_buffers() {
    let parts = r#"{"text":"ab"},"#.repeat(200_000) + r#"{"text":"c"}"#;
    let large = delta(&format!(r#""content":[{parts}]"#));
    let small = delta(r#""content":"x""#);
    let mut decoder = ChunkDecoder::new();
    for resets in [false, true] {
        let (mut completion, _, _) = memory(Reassembler::new);
        let ((), _, held) = memory(|| {
            push_all(&mut completion, &mut decoder, &large);
            assert_eq!(completion.changes().len(), 1 + 200_001);
            decoder = ChunkDecoder::new();
            if resets {
                completion.reset();
            } else {
                (0..100).for_each(|_| push_all(&mut completion, &mut decoder, &small));
            }
            decoder = ChunkDecoder::new();
        });
        // The text itself, in a buffer that grows by doubling.
        let most = if resets { 64 * KIB } else { 2 * 512 * KIB };
        assert!(held <= most, "{held} bytes held, reset: {resets}");
    }
}

/// Frees the buffers that one large event made grow.
#[test]
fn an_editor_frees_large_buffers() {
    let names = r#""model":1,"#.repeat(100_000);
    let large = event(&format!(r#"{{{names}"choices":[]}}"#));
    let joined = large[..large.len() - 2].strip_prefix(b"data: ").unwrap();
    let joined = [b"data: ", joined, b"\ndata: \n\n"].concat();
    let small = event(r#"{"model":"m","choices":[]}"#);
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    editor.hide_usage(UsageVisibility::Null);
    let ((), peak, held) = memory(|| {
        let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
        for stream in [&large, &joined] {
            let mut input = &stream[..];
            let event = decoder.next(&mut input).unwrap();
            assert_eq!(editor.write(&event, &mut out), RewriteOutcome::Changed);
        }
        for _ in 0..100 {
            let mut input = &small[..];
            assert_eq!(
                editor.write(&decoder.next(&mut input).unwrap(), &mut out),
                RewriteOutcome::Changed
            );
        }
    });
    assert!(peak > 4 * MIB && held <= 64 * KIB, "{held} bytes held, {peak} at the peak");
}

/// Stores each text of an error once, cut to a bounded length.
///
/// The texts are an eighth as long in an unoptimised build: still 8 times the bound or more.
#[test]
fn a_large_error_is_cut() {
    let unit = if cfg!(debug_assertions) { MIB / 8 } else { MIB };
    let message = "é".repeat(4 * unit);
    let code = "c".repeat(unit);
    let stream = event(
        &json!({"error": {"message": message, "code": code, "type": code, "param": code}})
            .to_string(),
    );
    let small = event(r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#);
    let mut tap = UsageTap::new();
    let ((), _, held) = memory(|| {
        tap.push(&stream);
        (0..200).for_each(|_| {
            tap.push(&small);
        });
    });
    assert!(held <= 16 * KIB, "{held} bytes held");
    let (seen, peak, _) = memory(|| tap.finish());
    assert!(peak <= 8 * KIB, "{peak} bytes more at the end");
    let error = seen.end.upstream_error.as_ref().unwrap();
    assert_eq!(error.message.as_deref(), Some(&*"é".repeat(2048)));
    for text in [&error.code, &error.r#type, &error.param] {
        assert_eq!(text.as_deref(), Some(&*"c".repeat(256)));
    }
    assert_eq!(seen.outcome, Outcome::UpstreamError);
}

/// The end of a stream copies no bytes of an unfinished event.
///
/// A copy is 16 times the bound or more, and 256 times in an optimised build.
#[test]
fn finishing_copies_nothing() {
    let text = "x".repeat(if cfg!(debug_assertions) { MIB } else { 16 * MIB });
    for (head, tail) in [
        (r#"{"choices":[{"delta":{"content":""#, ""),
        (r#"{"choices":[{"delta":{"content":""#, r#""}}]}"#),
        (r#"{"error":{"message":""#, ""),
        (r#"{"error":{"message":""#, r#""}}"#),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = format!("data: {head}{text}{tail}").into_bytes();
        let before = input.len();
        assert!(decoder.next(&mut &input[..]).is_none());
        input = Vec::new();
        let (end, peak, _) = memory(|| decoder.finish());
        drop(input);
        assert!(peak <= 64 * KIB, "{head}…{tail}: {peak} bytes more");
        assert_eq!((end.discarded_bytes, end.is_cut), (before as u64, true));
        assert_eq!(end.upstream_error.is_some(), head.contains("error"));
    }
}

/// Checks arguments within the limits on depth and values, for any text of the model.
#[test]
fn arguments_are_read_within_limits() {
    let mut call = FunctionCall::default();
    for (arguments, expected) in [
        ("[".repeat(64 * MIB), ArgumentsState::Invalid),
        (nested(128, "1"), ArgumentsState::Complete),
        (nested(129, "1"), ArgumentsState::Invalid),
        (format!(r#"{{"a":[{}0]}}"#, "0,".repeat(2 * MIB)), ArgumentsState::Invalid),
        (format!(r#"{{"a":[{}0]}}"#, "0,".repeat(KIB)), ArgumentsState::Complete),
    ] {
        let len = arguments.len();
        call.arguments = arguments;
        let (state, peak, _) = memory(|| call.arguments_state());
        assert_eq!(state, expected, "{len} bytes");
        assert!(peak <= 64 * MIB, "{len} bytes: {peak}");
    }
}

/// Large events that alternate with other small ones allocate nothing in steady state.
#[test]
fn large_events_by_turns_with_small_ones_allocate_nothing() {
    let top: Vec<_> =
        (0..20).map(|at| json!({"token": format!("t{at}"), "logprob": -0.5})).collect();
    let token = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": top});
    let logprobs = json!({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token, token]}}]});
    let values = json!({"choices": [{"index": 0, "delta": {"content": "a"}}], "x": vec![1; 400]});
    for large in [logprobs, values] {
        let large = event(&large.to_string());
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut turn = |number: usize| {
            let small = [
                event(&format!(r#"{{"id":"c","k{}":[],"choices":[]}}"#, number % 7)),
                delta(r#""content":"x""#),
                delta(r#""content":"x","reasoning_details":[{"index":0,"type":"t","text":"a"}]"#),
            ];
            let before = heap::allocations();
            let mut events = 0;
            for stream in [&large, &small[number % 3], &large, &small[(number + 1) % 3]] {
                let mut input = &stream[..];
                while decoder.next(&mut input).is_some() {
                    events += 1;
                }
            }
            assert_eq!(events, 4);
            heap::allocations() - before
        };
        let warm: usize = (0..500).map(&mut turn).sum();
        let steady: usize = (500..1500).map(&mut turn).sum();
        assert!(warm > 0 && steady == 0, "{steady} allocations for 1 000 large events");
    }
}

/// Errors that alternate with small events allocate nothing in steady state.
///
/// The errors have different texts, or are large error lines. An unoptimised build counts the
/// allocations of fewer turns, after as many turns that may allocate.
#[test]
fn errors_by_turns_allocate_nothing() {
    let numbers = |count| vec![1; count];
    let line = json!({"message": "m", "x": numbers(1000)});
    let alone = format!("error: {line}\n\n").into_bytes();
    let bare = format!("{{\"error\":{line}}}\n\n").into_bytes();
    let beside = format!("data: {{\"choices\":[]}}\nerror: {line}\n\n").into_bytes();
    let large = event(&json!({"choices": [], "x": numbers(400)}).to_string());
    let short = [
        event(r#"{"error":{"message":"boom","code":502,"type":"t"}}"#),
        event(r#"{"error":{"message":"a longer message","code":"c","param":"p"}}"#),
        event(r#"{"error":"boom"}"#),
        event(r#"{"error":{}}"#),
    ];
    let with_id = format!("id: 1\n{{\"error\":{line}}}\n\n").into_bytes();
    let turns = if cfg!(debug_assertions) { 700 } else { 1500 };
    for error in [alone, bare, beside, with_id, short.concat()] {
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut tap = UsageTap::new().with_templates(&Templates::new());
        let mut turn = |number: usize| {
            let small = event(&format!(r#"{{"id":"c","k{}":[],"choices":[]}}"#, number % 7));
            let before = heap::allocations();
            for stream in [&large, &small, &error, &small, &small] {
                let mut input = &stream[..];
                while decoder.next(&mut input).is_some() {}
                let mut input = &stream[..];
                while tap.next(&mut input).is_some() {}
            }
            heap::allocations() - before
        };
        let warm: usize = (0..500).map(&mut turn).sum();
        let steady: usize = (500..turns).map(&mut turn).sum();
        assert!(warm > 0 && steady == 0, "{steady} allocations up to turn {turns}");
    }
}

/// Orders tool calls by index, for any order of indexes, in one event or in many.
#[test]
fn calls_are_in_the_order_of_their_indexes() {
    let index = |number: u32| number.wrapping_mul(0x9E37_79B9) >> 22;
    let call = |number: u32| json!({"index": index(number), "id": format!("c{}", index(number)), "function": {"name": "f", "arguments": format!("{number};")}});
    let all: Vec<_> = (0..900).map(call).collect();
    let event_of = |calls: &[Value]| {
        event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).to_string())
    };
    let one = event_of(&all);
    let many: Vec<_> = all.chunks(7).flat_map(event_of).collect();
    let single: Vec<_> = all.chunks(1).flat_map(event_of).collect();
    let completion = assemble([&one[..]]).completion;
    assert!(completion.choices[0].message.tool_calls.len() > 400);
    for stream in [many, single] {
        assert!(assemble([&stream[..]]).completion == completion);
    }
    let mut expected: Vec<_> = (0..900).map(index).collect();
    expected.sort_unstable();
    expected.dedup();
    let ids = completion.choices[0].message.tool_calls.iter().map(|call| call.id.clone());
    assert!(ids.eq(expected.iter().map(|index| format!("c{index}"))));
    for (place, call) in completion.choices[0].message.tool_calls.iter().enumerate() {
        let parts = (0..900).filter(|number| index(*number) == expected[place]);
        let arguments: String = parts.flat_map(|number| [number.to_string(), ";".into()]).collect();
        assert_eq!(call.function.as_ref().unwrap().arguments, arguments);
    }
}

/// A guard holds an event of many texts for the last of them, while other events arrive.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn an_event_of_many_texts_that_is_held_costs_linear_time() {
    let stream = |texts: usize| {
        let parts = "\"x\",".repeat(texts);
        let event = delta(&format!("\"content\":[{parts}\"s\"]"));
        [event, ": p\n\n".repeat(texts).into_bytes()].concat()
    };
    let guard = |stream: &[u8]| {
        let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(1 << 26, 256));
        let (mut input, mut out) = (stream, Vec::new());
        while let Some(event) = decoder.next(&mut input) {
            assert_ne!(guard.push(&event), PushResult::TooLarge);
            guard.redact(&Words::new(["secret"]), "*").unwrap();
            guard.release_searched(&mut out);
        }
        assert!(out.is_empty());
    };
    let (small, large) = (stream(1000), stream(8000));
    let ratio = clock::ratio(|| guard(&small), || guard(&large), 16.0);
    assert!(ratio < 24.0, "{ratio}");
}

/// A guard replaces all texts of a large event block of many lines.
#[test]
fn a_guard_replaces_texts_of_many_lines() {
    let choices: Vec<_> = (0..200)
        .map(|index| json!({"index": index, "delta": {"content": format!("text {index}")}}))
        .collect();
    let pretty = serde_json::to_string_pretty(&json!({"choices": choices})).unwrap();
    let stream: String =
        pretty.lines().flat_map(|line| ["data: ", line, "\r\n"]).collect::<String>() + "\r\n";
    let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::new());
    let mut input = stream.as_bytes();
    let event = decoder.next(&mut input).unwrap();
    assert_eq!(guard.push(&event), PushResult::Text);
    let ids: Vec<_> = guard.texts().map(|text| (text.id, text.text.len())).collect();
    assert_eq!(ids.len(), 200);
    for (id, len) in ids {
        assert!(guard.replace(id, 0..len, &format!("new {}", id.choice)));
    }
    let mut out = Vec::new();
    guard.release_all(&mut out);
    let out = String::from_utf8(out).unwrap();
    let expected: Vec<_> = (0..200).map(|index| format!("\"content\": \"new {index}\"")).collect();
    assert!(expected.iter().all(|text| out.contains(text)) && !out.contains("\"text "), "{out}");
    assert_eq!(out.lines().count(), stream.lines().count());
}

/// A value beyond the budget costs a time that doesn't depend on the number of stored members.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn what_has_no_room_costs_nothing() {
    let replaced = |members: usize| {
        let many: Vec<_> = (0..members / 200)
            .map(|outer| {
                let inner: Vec<_> = (0..200).map(|inner| format!("\"{inner}\":1")).collect();
                format!("\"k{outer}\":{{{}}}", inner.join(","))
            })
            .collect();
        let limits = faults::limits(|limits| limits.max_completion_bytes = 8 * MIB);
        let (mut decoder, mut completion) =
            (ChunkDecoder::with_limits(limits), Reassembler::with_limits(limits));
        push_all(
            &mut completion,
            &mut decoder,
            &event(&format!(r#"{{"choices":[],"sglext":{{{}}}}}"#, many.join(","))),
        );
        push_all(
            &mut completion,
            &mut decoder,
            &delta(&format!("\"content\":\"{}\"", "x".repeat(8 * MIB))),
        );
        let stream = event(r#"{"choices":[],"sglext":[1]}"#).repeat(2000);
        // The shortest time of several is the one without other work of the machine.
        let mut time = || clock::seconds(|| push_all(&mut completion, &mut decoder, &stream));
        let time = (0..5).map(|_| time()).fold(f64::INFINITY, f64::min);
        let finished = completion.finish(decoder.finish());
        assert_eq!(
            finished.limit_exceeded,
            Some(deltawire::completion::CompletionLimit::CompletionBytes)
        );
        time
    };
    let (few, many) = (replaced(400), replaced(40_000));
    assert!(many < 4.0 * few, "{few} {many}");
}

/// Finds a tool call by its id in a time that doesn't depend on the number of tool calls.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn calls_are_found_by_their_id() {
    let call = |index: usize| {
        format!(r#"{{"index":{index},"id":"c{index:04}","function":{{"name":"f"}}}}"#)
    };
    let again = [
        r#"{"id":"c0000","function":{"arguments":"x"}}"#,
        r#"{"index":0,"id":"c0000","function":{"arguments":"x"}}"#,
    ];
    for (is_one_index, again) in [(false, again[0]), (true, again[1]), (true, again[0])] {
        let begin = |calls: usize| {
            let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
            for nth in 0..calls {
                let call = call(nth);
                let call =
                    if is_one_index { call.replacen(&nth.to_string(), "0", 1) } else { call };
                let event = delta(&format!("\"tool_calls\":[{call}]"));
                push_all(&mut completion, &mut decoder, &event);
            }
            (decoder, completion, 0)
        };
        let list = vec![again; 500].join(",");
        let event = delta(&format!("\"tool_calls\":[{list}]"));
        let find = |(decoder, completion, pushes): &mut (ChunkDecoder, Reassembler, usize)| {
            push_all(completion, decoder, &event);
            *pushes += 1;
        };
        let (mut few, mut many) = (begin(20), begin(1000));
        let ratio = clock::ratio(|| find(&mut few), || find(&mut many), 8.0);
        assert!(ratio < 8.0, "{again}: {ratio}");
        for ((mut decoder, mut completion, pushes), calls) in [(few, 20), (many, 1000)] {
            let finished = completion.finish(decoder.finish());
            let kept = &finished.completion.choices[0].message.tool_calls;
            assert_eq!(kept.len(), calls);
            let arguments = &kept[0].function.as_ref().unwrap().arguments;
            assert_eq!((kept[0].id.as_str(), arguments.len()), ("c0000", 500 * pushes));
        }
    }
}

/// Reads back a completion with more values than the limit of one payload.
#[test]
#[cfg_attr(debug_assertions, ignore = "a million values: cargo test --release --test alloc faults")]
fn a_completion_of_many_values_is_read_back() {
    let token = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": vec![json!({"token": "a", "logprob": -0.5, "bytes": [97]}); 20]});
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token]}, "finish_reason": "stop"}]});
    let stream = event(&chunk.to_string()).repeat(8_000);
    let finished = assemble([&stream[..]]);
    assert!(finished.whole().is_ok());
    let json = serde_json::to_string(&finished.completion).unwrap();
    let by_crate = ChatCompletion::from_json(json.as_bytes()).unwrap();
    let by_serde = serde_json::from_str::<ChatCompletion>(&json).unwrap();
    assert!(by_crate == by_serde);
    assert!(serde_json::to_string(&by_crate).unwrap() == json);
}

/// A reset frees the memory of many choices.
#[test]
fn a_reset_frees_many_choices() {
    let choices: Vec<_> = (0..5000).map(|index| format!("{{\"index\":{index}}}")).collect();
    let stream = event(&format!("{{\"choices\":[{}]}}", choices.join(","))).repeat(2);
    let limits = faults::limits(|limits| limits.max_choices = 5000);
    let (_, _, held) = memory(|| {
        let (mut decoder, mut completion) =
            (ChunkDecoder::with_limits(limits), Reassembler::with_limits(limits));
        for piece in stream.chunks(50_000) {
            push_all(&mut completion, &mut decoder, piece);
        }
        drop(decoder);
        completion.reset();
        completion
    });
    assert!(held <= MIB + 128 * KIB, "{held}");
}
