//! Content parts and reasoning of any type: each value is stored or counted, as `docs/wire.md` states.

use deltawire::completion::{ChatCompletion, FinishedCompletion};
use deltawire::gateway::{Guard, PushResult, Replay, UsageTap, assemble};
use deltawire::{ChunkDecoder, Payload, Reassembler};
use serde_json::{Value, json};

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Returns the result of a choice whose event comes `times` times.
///
/// A tap has to agree about losses. The guard has to watch a text "X", or to report the event.
fn finished(choice: &Value, times: usize) -> FinishedCompletion {
    let stream = format!("data: {}\n\n", json!({"choices": [choice]})).repeat(times) + END;
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
    let (mut tap, mut guard) = (UsageTap::new(), Guard::new());
    let (mut input, mut is_unwatched) = (stream.as_bytes(), false);
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
        is_unwatched |= guard.push(&event) == PushResult::Unwatched;
    }
    let is_watched = guard.texts().any(|text| text.text.contains('X'));
    assert!(is_watched || is_unwatched || !stream.contains("\"X\""), "{choice}");
    tap.push(stream.as_bytes());
    let finished = completion.finish(decoder.finish());
    assert_eq!(tap.finish().whole().is_ok(), finished.whole().is_ok(), "{choice}");
    finished
}

/// Returns the message of a delta in JSON, and the number of its values that were left out.
///
/// A repeated event has to add the same, since the second one takes the path of templates.
fn merged(delta: &Value) -> (Value, u32) {
    let [one, two] = [1, 2].map(|times| finished(&json!({"index": 0, "delta": delta}), times));
    let lost = one.irregularities.unknown_content_parts;
    assert_eq!(two.irregularities.unknown_content_parts, 2 * lost, "{delta}");
    assert_eq!(one.whole().is_ok(), lost == 0, "{delta}");
    let json = serde_json::to_value(&one.completion).unwrap();
    (json["choices"][0]["message"].clone(), lost)
}

fn part(part: &Value) -> (Value, u32) {
    merged(&json!({"content": [part]}))
}

#[test]
fn a_text_beside_empty_values_in_its_part_is_read() {
    for empty in [json!(null), json!(""), json!([]), json!({})] {
        for (sent, name) in [
            (json!({"type": "reasoning", "summary": empty, "content": "X"}), "reasoning_content"),
            (json!({"type": "thinking", "thinking": empty, "text": "X"}), "reasoning_content"),
            (json!({"reasoning": empty, "thinking": "X"}), "reasoning_content"),
            (
                json!({"type": "refusal", "text": empty, "refusal": "X", "thinking": empty}),
                "refusal",
            ),
            (json!({"type": "text", "text": "X", "thinking": empty, "refusal": empty}), "content"),
        ] {
            let (message, lost) = part(&sent);
            assert_eq!((&message[name], lost), (&json!("X"), 0), "{sent}");
        }
        let sent =
            json!({"type": "reference", "reference_ids": [1], "text": empty, "thinking": empty});
        let (message, lost) = part(&sent);
        assert_eq!((&message["reference_ids"], lost), (&json!([1]), 0), "{sent}");
        let (message, lost) = merged(&json!({"reasoning": [{"text": empty, "content": "X"}]}));
        assert_eq!((message.to_string().contains("\"X\""), lost), (true, 0), "{empty}");
    }
    let sent = json!([{"type": "reasoning_text", "text": "X"}]);
    let (message, lost) = part(&json!({"type": "reasoning", "summary": [], "content": sent}));
    assert_eq!((&message["reasoning_content"], lost), (&json!("X"), 0));
}

#[test]
fn a_part_without_a_text_or_content_is_no_loss() {
    for sent in [
        json!({"type": "text", "text": ""}),
        json!({"type": "text", "text": null, "index": 0}),
        json!({"type": "thinking", "thinking": [], "closed": true}),
        json!({"type": "reasoning", "id": "rs_1", "summary": []}),
        json!({"type": "thinking", "thinking": [{"type": "text", "text": ""}, null, {}, []]}),
        json!({"type": "output_text", "text": "a", "annotations": [], "logprobs": [], "index": 1}),
        json!({"type": "thinking", "thinking": "a", "text": "a"}),
    ] {
        assert_eq!(part(&sent).1, 0, "{sent}");
    }
}

#[test]
fn content_in_a_part_that_is_no_text_is_counted() {
    for (sent, expected) in [
        (json!({"type": "image_url", "image_url": {"url": "X"}, "thinking": null}), 1),
        (json!({"type": "image_url", "image_url": {"url": "X"}, "text": ""}), 1),
        (json!({"type": "image_url", "image_url": {"url": "X"}}), 1),
        (json!({"type": "thinking", "thinking": {"x": "X"}}), 1),
        (json!({"type": "thinking", "thinking": 5}), 1),
        (json!({"type": "thinking", "thinking": ["a", {"x": "X"}]}), 1),
        (json!({"type": "thinking", "thinking": ["a", ["X"], true]}), 2),
        (json!({"type": "reasoning", "summary": [{"value": "X"}]}), 1),
        (json!({"type": "reasoning", "summary": [{"text": "a"}], "content": [{"text": "X"}]}), 1),
        (json!({"type": "text", "text": 5}), 1),
        (json!({"type": "text", "text": "a", "thinking": "X"}), 1),
        (
            json!({"type": "text", "text": "a", "annotations": [{"type": "url_citation", "url": "X"}]}),
            1,
        ),
    ] {
        assert_eq!(part(&sent).1, expected, "{sent}");
    }
    let (message, lost) = part(&json!({"type": "thinking", "thinking": ["a", {"x": "X"}]}));
    assert_eq!((&message["reasoning_content"], lost), (&json!("a"), 1));
}

#[test]
fn an_element_without_a_text_in_place_of_a_text_is_counted() {
    for (sent, expected) in [
        (json!({"reasoning": ["a", {"x": "X"}, 5]}), 2),
        (json!({"reasoning_content": [{"summary": "a"}, {"text": ["X"]}]}), 1),
        (json!({"refusal": [{"text": "a"}, {"refusal": "X"}]}), 1),
        (json!({"refusal": {"refusal": "X"}}), 1),
        (json!({"refusal": ["a", null, "", {"text": ""}]}), 0),
    ] {
        let (message, lost) = merged(&sent);
        assert_eq!((message.to_string().contains("\"X\""), lost), (false, expected), "{sent}");
    }
}

#[test]
fn what_a_next_request_needs_is_stored_of_a_part_of_any_kind() {
    for sent in [
        json!({"type": "thinking", "signature": "s"}),
        json!({"type": "thinking", "thinking": [], "signature": "s"}),
        json!({"type": "refusal", "refusal": "no", "signature": "s"}),
        json!({"type": "thinking", "thinking": ["a", {"signature": "s"}]}),
    ] {
        let (message, lost) = part(&sent);
        assert_eq!((&message["signature"], lost), (&json!("s"), 0), "{sent}");
    }
    let reference = json!({"type": "reference", "reference_ids": [1]});
    for sent in [
        json!({"type": "text", "text": "a", "reference_ids": [1]}),
        json!({"type": "thinking", "thinking": [{"type": "text", "text": "a"}, reference]}),
    ] {
        let (message, lost) = part(&sent);
        assert_eq!((&message["reference_ids"], lost), (&json!([1]), 0), "{sent}");
    }
}

#[test]
fn reasoning_of_any_type_goes_out_under_the_name_of_its_first_piece() {
    for value in [json!({"text": "5"}), json!(5), json!(["5"]), json!(["", "5"])] {
        for empty in [json!(null), json!(""), json!([])] {
            let sent = json!({"reasoning_content": empty, "reasoning": value});
            let (message, _) = merged(&sent);
            assert_eq!(
                (&message["reasoning"], &message["reasoning_content"]),
                (&json!("5"), &Value::Null),
                "{sent}"
            );
        }
    }
    let (message, _) = merged(&json!({"reasoning_content": "A", "reasoning": ["B"]}));
    assert_eq!(message["reasoning_content"], "AB");
    let (message, _) = merged(&json!({"reasoning_content": ["A"], "reasoning": "B"}));
    assert_eq!(message["reasoning_content"], "AB");
}

#[test]
fn the_same_reasoning_of_two_types_is_added_once() {
    let forms = ["\"5A\"", "[\"5A\"]", "[\"5\", \"A\"]", "{\"text\":\"5A\"}", "{\"text\": \"5A\"}"];
    for (one, other) in forms.iter().flat_map(|one| forms.map(|other| (one, other))) {
        let delta = format!(r#"{{"reasoning_content":{one},"reasoning":{other}}}"#);
        let chunk = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
        let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
        let mut input = chunk.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        let message = &completion.snapshot().choices[0].message;
        assert_eq!(message.reasoning.as_deref(), Some("5A"), "{delta}");
    }
    let signed = json!([{"text": "A", "signature": "s"}, {"x": "y"}]);
    let (message, lost) = merged(&json!({"reasoning_content": "A", "reasoning": signed}));
    let found = (&message["reasoning_content"], &message["signature"], lost);
    assert_eq!(found, (&json!("A"), &json!("s"), 1));
}

#[test]
fn the_reasoning_text_is_that_with_content() {
    for (name, text) in [("reasoning", "B"), ("reasoning_text", "B"), ("thinking", "B"), ("x", "")]
    {
        let sent = json!({"reasoning_content": "", name: "B"});
        let finished = finished(&json!({"index": 0, "delta": sent}), 1);
        let json = json!({"choices": [{"index": 0, "message": sent}]}).to_string();
        let read = ChatCompletion::from_json(json.as_bytes()).unwrap();
        for completion in [&finished.completion, &read] {
            let found = completion.choices[0].message.reasoning_text();
            assert_eq!(found.as_deref(), Some(text), "{name}");
        }
        let stream = format!("data: {}\n\n", json!({"choices": [{"delta": sent}]}));
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        let Payload::Chunk(chunk) = event.payload() else { panic!("{stream}") };
        let delta = chunk.choices().next().unwrap().delta();
        assert_eq!(delta.reasoning_text(), Some(text), "{name}");
    }
}

#[test]
fn a_legacy_text_of_any_type_is_counted() {
    for (text, expected) in
        [(json!("X"), 1), (json!(5), 1), (json!(["X"]), 1), (json!(""), 0), (json!(null), 0)]
    {
        let finished = finished(&json!({"index": 0, "text": text}), 2);
        let lost = finished.irregularities.unknown_content_parts;
        assert_eq!(lost, 2 * expected, "{text}");
    }
    for role in [json!(null), json!({}), json!({"role": "assistant"}), json!({"content": ""})] {
        for name in ["delta", "message"] {
            let finished = finished(&json!({"index": 0, "text": "X", name: role}), 2);
            assert_eq!(finished.irregularities.unknown_content_parts, 2, "{name} {role}");
        }
    }
    let copied = json!({"index": 0, "text": "X", "message": {"role": "assistant", "content": "X"}});
    assert_eq!(finished(&copied, 2).irregularities.unknown_content_parts, 0);
}

/// The signature of a part replaces one of any type that has content.
#[test]
fn a_replaced_signature_is_counted() {
    let event = |delta: Value| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]}));
    let part = json!({"type": "thinking", "thinking": "t", "signature": "S"});
    let rows = [(json!({"k": 1}), 1), (json!("s"), 1), (json!("S"), 0), (json!(""), 0)];
    for (before, expected) in rows {
        let stream = event(json!({"signature": before})) + &event(json!({"content": [part]}));
        let finished = assemble([stream.as_bytes()]);
        assert_eq!(finished.irregularities.replaced_values, expected, "{before}");
        let json = serde_json::to_value(&finished.completion).unwrap();
        assert_eq!(json["choices"][0]["message"]["signature"], "S", "{before}");
    }
}

/// A replay has the ids of references in a delta, where they are joined as they were.
#[test]
fn reference_ids_with_an_index_are_replayed() {
    let part = |id: &str| json!({"content": [{"type": "reference", "reference_ids": [{"index": 0, "u": id}]}]});
    let delta =
        |id: &str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": part(id)}]}));
    let first = assemble([(delta("a") + &delta("b") + END).as_bytes()]).completion;
    let mut replayed = Vec::new();
    Replay::new(&first).write_all(&mut replayed);
    assert_eq!(assemble([&replayed[..]]).completion, first);
    let json = serde_json::to_value(&first).unwrap();
    let ids = json!([{"index": 0, "u": "a"}, {"index": 0, "u": "b"}]);
    assert_eq!(json["choices"][0]["message"]["reference_ids"], ids);
}
