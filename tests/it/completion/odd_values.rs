//! Values of an unexpected form: white space in empty ones, other types, and empty members.

use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::completion::{ChatCompletion, CompletionLimit, FinishedCompletion};
use deltawire::gateway::{Replay, assemble};
use deltawire::{ChunkDecoder, Limits, Outcome, Reassembler, Templates};
use serde_json::{Value, json};

/// Returns the event of a chunk whose first choice has a member `name`.
fn event(name: &str, value: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"{name}\":{value}}}]}}\n\n")
}

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Returns the result of a complete stream of these events.
///
/// The stream is read without templates and, with templates, three times.
fn finished(events: &[String]) -> FinishedCompletion {
    let stream = events.concat() + END;
    let read = |templates: &Templates| {
        let mut decoder = ChunkDecoder::new().with_templates(templates);
        let (mut completion, mut input) = (Reassembler::new(), stream.as_bytes());
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        completion.finish(decoder.finish())
    };
    let finished = read(&Templates::none());
    let templates = Templates::new();
    for _ in 0..3 {
        assert_eq!(read(&templates), finished, "{stream}");
    }
    assert_eq!(finished.outcome, Outcome::Complete, "{stream}");
    finished
}

/// Returns the JSON of a completion, which is read back by three readers.
fn as_json(completion: &ChatCompletion) -> Value {
    let (mut written, mut replayed) = (Vec::new(), Vec::new());
    completion.write_json(&mut written);
    let text = String::from_utf8(written).unwrap();
    let json: Value = serde_json::from_str(&text).expect(&text);
    assert_eq!(serde_json::to_value(completion).unwrap(), json);
    let read = ChatCompletion::from_json(text.as_bytes()).expect(&text);
    assert_eq!(serde_json::to_value(read).unwrap(), json);
    Replay::new(completion).write_all(&mut replayed);
    let again = assemble([&replayed[..]]).completion;
    assert_eq!(serde_json::to_value(again).unwrap(), json);
    json
}

/// Returns the message of a stream of deltas.
fn message(deltas: &[&str]) -> Value {
    let events: Vec<_> = deltas.iter().map(|delta| event("delta", delta)).collect();
    as_json(&finished(&events).completion)["choices"][0]["message"].take()
}

const BLANKS: [&str; 4] = ["", " ", "\t", "   \t "];

/// White space is insignificant between the tokens of RFC 8259, section 2.
#[test]
fn an_array_behind_an_empty_one_with_white_space_is_joined_to_valid_json() {
    for (name, rest) in ["annotations", "zz", "executed_tools"].iter().flat_map(|name| {
        [r#"[{"a":1}]"#, r#"[ {"a":1}, {"a":2} ]"#, "[1]"].map(|rest| (name, rest))
    }) {
        for blank in BLANKS {
            let delta = |value: &str| event("delta", &format!(r#"{{"{name}":{value}}}"#));
            let empty = format!(r#"{{"role":"assistant","{name}":[{blank}]}}"#);
            let events = [event("message", &empty), delta(rest)];
            let json = as_json(&finished(&events).completion);
            let expected: Value = serde_json::from_str(rest).unwrap();
            assert_eq!(json["choices"][0]["message"][name], expected, "{name} {blank:?}");
            let twice =
                [expected.as_array().unwrap().clone(), expected.as_array().unwrap().clone()];
            let expected = json!(twice.concat());
            if *name != "executed_tools" || rest != "[1]" {
                let events = [&events[..], &[delta(rest)]].concat();
                let json = as_json(&finished(&events).completion);
                assert_eq!(json["choices"][0]["message"][name], expected, "{name} {blank:?}");
            }
        }
    }
}

#[test]
fn the_first_value_with_content_counts_behind_an_empty_one_with_white_space() {
    for blank in BLANKS {
        let chunk = |ids: &str| format!("data: {{\"prompt_token_ids\":{ids},\"choices\":[]}}\n\n");
        let json = as_json(&finished(&[chunk(&format!("[{blank}]")), chunk("[1,2]")]).completion);
        assert_eq!(json["prompt_token_ids"], json!([1, 2]), "{blank:?}");
        let call = |format: &str| {
            let call = format!(r#"{{"index":0,"id":"c","custom":{{"format":{format}}}}}"#);
            format!(r#"{{"tool_calls":[{call}]}}"#)
        };
        let message = message(&[&call(&format!("{{{blank}}}")), &call(r#"{"a":1}"#)]);
        assert_eq!(message["tool_calls"][0]["custom"]["format"], json!({"a": 1}), "{blank:?}");
    }
}

/// Returns the message of a stream of deltas, and the number of replaced values.
fn counted(deltas: &[&str]) -> (Value, u32) {
    let events: Vec<_> = deltas.iter().map(|delta| event("delta", delta)).collect();
    let finished = finished(&events);
    let mut json = as_json(&finished.completion);
    (json["choices"][0]["message"].take(), finished.irregularities.replaced_values)
}

/// The rules `Concat`, `Extend` and `CustomCall` lose neither joined value nor another one silently.
#[test]
fn a_joined_value_stays_and_a_value_of_another_type_is_counted() {
    let (message, lost) = counted(&[
        r#"{"audio":{"data":"AA","transcript":"x"}}"#,
        r#"{"audio":{"data":5,"transcript":["y"]}}"#,
        r#"{"audio":{"data":"BB","transcript":"z"}}"#,
    ]);
    assert_eq!((&message["audio"], lost), (&json!({"data": "AABB", "transcript": "xz"}), 2));

    let detail = |text: &str| {
        format!(r#"{{"reasoning_details":[{{"index":0,"type":"reasoning.text","text":{text}}}]}}"#)
    };
    let texts = [r#""A""#, r#"{"x":1}"#, r#""B""#].map(detail);
    let (message, lost) = counted(&texts.each_ref().map(String::as_str));
    assert_eq!((&message["reasoning_details"][0]["text"], lost), (&json!("AB"), 1));

    let custom = |custom: &str| {
        format!(r#"{{"tool_calls":[{{"index":0,"id":"c","type":"custom","custom":{custom}}}]}}"#)
    };
    let parts = [r#"{"name":"n","input":"x"}"#, r#"{"input":5}"#, r#""zzz""#, r#"{"input":"y"}"#];
    let (message, lost) = counted(&parts.map(custom).each_ref().map(String::as_str));
    let expected = json!({"name": "n", "input": "xy"});
    assert_eq!((&message["tool_calls"][0]["custom"], lost), (&expected, 2));

    let lists = [r#"{"annotations":[1]}"#, r#"{"annotations":{"a":2}}"#, r#"{"annotations":[3]}"#];
    let (message, lost) = counted(&lists);
    assert_eq!((&message["annotations"], lost), (&json!([1, 3]), 1));
    let lists = [r#"{"executed_tools":[{"index":0,"a":1}]}"#, r#"{"executed_tools":"x"}"#];
    let (message, lost) = counted(&lists);
    assert_eq!((&message["executed_tools"], lost), (&json!([{"index": 0, "a": 1}]), 1));
}

/// Beside a text in a slot, so that a template matches the events.
#[test]
fn a_value_in_place_of_log_probabilities_is_counted_in_each_event() {
    for odd in ["1", "true", r#""b""#, r#"{"a":1}"#] {
        let chunk = |list: &str, text: &str| {
            event(
                "logprobs",
                &format!("{{\"refusal\":{list}}},\"delta\":{{\"content\":\"{text}\"}}"),
            )
        };
        let events = [chunk("[\"r\"]", "a"), chunk(odd, "b"), chunk(odd, "c"), chunk(odd, "d")];
        let finished = finished(&events);
        assert_eq!(finished.irregularities.replaced_values, 3, "{odd}");
        let json = as_json(&finished.completion);
        assert_eq!(json["choices"][0]["logprobs"]["refusal"], json!(["r"]), "{odd}");
    }
}

#[test]
fn a_value_of_another_type_is_stored_until_one_to_join_replaces_it() {
    for odd in ["5", "true", r#"["y"]"#, r#"{"x":1}"#] {
        let [odd_data, odd_list] =
            [format!(r#"{{"audio":{{"data":{odd}}}}}"#), format!(r#"{{"annotations":{odd}}}"#)];
        let (message, lost) = counted(&[&odd_data, &odd_data]);
        let expected: Value = serde_json::from_str(odd).unwrap();
        assert_eq!((&message["audio"]["data"], lost), (&expected, 0));
        let (message, lost) = counted(&[&odd_data, r#"{"audio":{"data":"A"}}"#]);
        assert_eq!((&message["audio"]["data"], lost), (&json!("A"), 1));
        if !odd.starts_with('[') {
            let (message, lost) = counted(&[&odd_list, r#"{"annotations":[1]}"#]);
            assert_eq!((&message["annotations"], lost), (&json!([1]), 1));
        }
    }
}

/// An empty value is no call, no audio and no detail.
#[test]
fn an_empty_object_adds_no_call_audio_or_detail() {
    for name in ["delta", "message"] {
        for empty in [
            r#"{"content":"a","function_call":{}}"#,
            r#"{"content":"a","audio":{ }}"#,
            r#"{"content":"a","reasoning_details":[null]}"#,
            r#"{"content":"a","reasoning_details":[{},null,""]}"#,
        ] {
            let finished = finished(&[event(name, empty), event(name, empty)]);
            let message = &as_json(&finished.completion)["choices"][0]["message"];
            let names: Vec<_> = message.as_object().unwrap().keys().collect();
            assert_eq!(names, ["role", "content", "refusal"], "{name} {empty}");
        }
    }
}

#[test]
fn a_filtered_that_is_true_stays_true_at_any_depth() {
    for path in ["@", r#"{"hate":@}"#, r#"{"custom_blocklists":{"a":@}}"#] {
        let result = |inner: &str| {
            let value = path.replace('@', inner);
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"content_filter_result\":{value}}}]}}\n\n"
            )
        };
        let events = [
            result(r#"{"filtered":true,"severity":"high"}"#),
            result(r#"{"filtered":false,"severity":"safe"}"#),
            result(r#""odd""#),
            result(r#"{"filtered":null}"#),
        ];
        let json = as_json(&finished(&events).completion);
        let expected = path.replace('@', r#"{"filtered":true,"severity":"safe"}"#);
        let expected: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(json["choices"][0]["content_filter_result"], expected, "{path}");
    }
}

/// A delta continues the members that a whole message has stored.
#[test]
fn a_delta_behind_a_whole_message_is_merged_into_its_members() {
    for (name, whole, part, expected) in [
        ("extra_content", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":1,"b":2}"#),
        ("extra_content", r#"{ "a": {"c": 1} }"#, r#"{"a":{"d":2}}"#, r#"{"a":{"c":1,"d":2}}"#),
        ("zz", r#"{"a":"x","l":[1]}"#, r#"{"a":"y","l":[2]}"#, r#"{"a":"xy","l":[1,2]}"#),
        ("zz", r#""x""#, r#""y""#, r#""xy""#),
        (
            "executed_tools",
            r#"[{"index":0,"a":1}]"#,
            r#"[{"index":0,"b":2}]"#,
            r#"[{"index":0,"a":1,"b":2}]"#,
        ),
    ] {
        let member = |value: &str| format!(r#"{{"role":"assistant","{name}":{value}}}"#);
        let events = [event("message", &member(whole)), event("delta", &member(part))];
        let finished = finished(&events);
        let expected: Value = serde_json::from_str(expected).unwrap();
        let json = as_json(&finished.completion);
        assert_eq!(json["choices"][0]["message"][name], expected);
        assert_eq!(finished.irregularities.replaced_values, 0, "{name}");
    }
    let call = |custom: &str| format!(r#"{{"tool_calls":[{{"index":0,"custom":{custom}}}]}}"#);
    let events = [
        event("message", &call(r#"{"name":"n","input":"x"}"#)),
        event("delta", &call(r#"{"input":"y"}"#)),
    ];
    let json = as_json(&finished(&events).completion);
    let custom = &json["choices"][0]["message"]["tool_calls"][0]["custom"];
    assert_eq!(custom, &json!({"name": "n", "input": "xy"}));
}

#[test]
fn equal_pieces_are_counted_from_the_whole_message() {
    let piece = |name: &str, text: &str| event(name, &format!(r#"{{"zz":"{text}"}}"#));
    let events =
        [piece("delta", "a"), piece("delta", "a"), piece("message", "b"), piece("delta", "c")];
    let json = as_json(&finished(&events).completion);
    assert_eq!(json["choices"][0]["message"]["zz"], "bc");
}

#[test]
fn a_number_that_is_not_finite_replaces_no_value() {
    for odd in ["NaN", "Infinity", "-Infinity"] {
        let usage = |value: &str| {
            format!("data: {{\"choices\":[],\"usage\":{{\"total_tokens\":{value}}}}}\n\n")
        };
        for values in [&["5", odd][..], &[odd, "5"], &["5", odd, "null"]] {
            let events: Vec<_> = values.iter().map(|value| usage(value)).collect();
            assert_eq!(as_json(&finished(&events).completion)["usage"]["total_tokens"], 5);
        }
        let message = message(&[r#"{"zz":7}"#, &format!(r#"{{"zz":{odd}}}"#)]);
        assert_eq!(message["zz"], 7);
    }
}

#[test]
fn an_empty_value_over_the_limit_of_members_exceeds_no_limit() {
    let limits = Limits::new().with_max_members(1);
    for (second, exceeds) in [
        ("null", false),
        ("\"\"", false),
        ("[]", false),
        ("{ }", false),
        ("5", true),
        ("[1]", true),
    ] {
        for (name, inner) in [("a", "b"), ("extra_content", "provider_specific_fields")] {
            let flat = format!(r#"{{"{name}":1,"{inner}":{second}}}"#);
            let nested = format!(r#"{{"{name}":{{"c":1,"{inner}":{second}}}}}"#);
            for delta in [flat, nested] {
                let mut completion = Reassembler::with_limits(limits);
                let json = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
                let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
                completion.push(&chunk.as_chunk());
                let limit = exceeds.then_some(CompletionLimit::Members);
                assert_eq!(completion.limit_exceeded(), limit, "{delta}");
            }
        }
    }
}
