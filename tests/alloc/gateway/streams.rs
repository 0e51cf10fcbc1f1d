//! Editor and guard on generated streams that are nearly valid, in all cuts.

use std::collections::BTreeMap;

use deltawire::gateway::{
    Editor, Guard, PushResult, RewriteOutcome, UsageVisibility, WatchedTextId, WatchedTextKind,
    Words,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, SseDecoder, Templates};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::heap;

/// A part of every string that a client may read as the model's text.
const MARK: &str = "§";

/// Returns the JSON text of an object with members in any order, repeated ones too.
///
/// `~` is a place for a space or a line end.
fn object(members: BoxedStrategy<(&'static str, String)>, most: usize) -> BoxedStrategy<String> {
    let members = proptest::collection::vec((members, select(vec!["", "", "~"])), 0..=most);
    members
        .prop_map(|members| {
            let members = members.iter().map(|((name, value), space)| {
                format!("{space}\"{name}\"{space}:{space}{value}{space}")
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        })
        .boxed()
}

/// Returns a value out of a list.
fn one_of(values: &[&str]) -> BoxedStrategy<String> {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    select(values).boxed()
}

/// Returns a member of this name.
fn member(
    name: &'static str,
    value: impl Strategy<Value = String> + 'static,
) -> BoxedStrategy<(&'static str, String)> {
    value.prop_map(move |value| (name, value)).boxed()
}

fn any_value() -> BoxedStrategy<String> {
    one_of(&[
        "null",
        "\"§\"",
        "[\"§\"]",
        "{\"a\":\"§\"}",
        "true",
        "7",
        "-1.5",
        "[]",
        "{}",
        "\"\"",
        "{\"a\":[{\"b\":\"§\"}]}",
        "{\"a\":{\"b\":3}}",
    ])
}

fn text() -> BoxedStrategy<String> {
    one_of(&["\"§a\"", "\"§\\n\\\"\"", "\"\\u00a7\"", "\"§é😀\"", "\"\"", "null", "\"§ §\""])
}

fn array(elements: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let elements = proptest::collection::vec(elements, 0..3);
    elements.prop_map(|elements| format!("[{}]", elements.join(",~"))).boxed()
}

/// Returns a part of a content, or of a reasoning in it.
fn part() -> BoxedStrategy<String> {
    let texts = || {
        let kinds = select(vec!["text", "output_text", "new"]);
        let named = (kinds, text());
        let named = named.prop_map(|(kind, text)| format!(r#"{{"type":"{kind}","text":{text}}}"#));
        prop_oneof![3 => named, 1 => text()]
    };
    let refusal = text().prop_map(|text| format!(r#"{{"type":"refusal","refusal":{text}}}"#));
    let reasoning = prop_oneof![text(), array(texts())];
    let reasoning = (select(vec!["thinking", "reasoning"]), reasoning);
    let reasoning =
        reasoning.prop_map(|(kind, value)| format!(r#"{{"type":"{kind}","{kind}":{value}}}"#));
    let reference = one_of(&[r#"{"type":"reference","reference_ids":[1]}"#]);
    prop_oneof![4 => texts(), 1 => refusal, 2 => reasoning, 1 => reference, 1 => any_value()]
        .boxed()
}

/// Returns an element of `reasoning_details`.
fn detail() -> BoxedStrategy<String> {
    object(
        prop_oneof![
            8 => (select(vec!["text", "summary"]), text()),
            4 => member("index", one_of(&["0", "1", "null"])),
            2 => member("type", one_of(&["\"reasoning.text\"", "\"reasoning.summary\""])),
            1 => member("new", any_value()),
        ]
        .boxed(),
        3,
    )
}

fn delta() -> BoxedStrategy<String> {
    let texts = select(vec!["content", "refusal", "reasoning_content", "reasoning"]);
    let texts = (texts, prop_oneof![9 => text(), 1 => any_value()]).boxed();
    let others = select(vec!["tool_calls", "audio", "new", "function_call", "reasoning_details"]);
    object(
        prop_oneof![
            8 => texts,
            1 => member("content", array(part())),
            1 => member("reasoning_details", array(detail())),
            2 => member("role", one_of(&["\"assistant\"", "null", "\"\""])),
            1 => (others, any_value()),
        ]
        .boxed(),
        3,
    )
}

fn choice() -> BoxedStrategy<String> {
    let others = select(vec!["logprobs", "text", "message", "new", "token_ids"]);
    object(
        prop_oneof![
            8 => member("delta", prop_oneof![19 => delta(), 1 => any_value()]),
            4 => member("index", prop_oneof![9 => one_of(&["0", "1", "2"]), 1 => one_of(&["null", "-1", "\"§\""])]),
            3 => member("finish_reason", one_of(&["null", "\"stop\""])),
            1 => (others, any_value()),
        ]
        .boxed(),
        3,
    )
}

fn chunk() -> BoxedStrategy<String> {
    let names = select(vec!["id", "object", "system_fingerprint"]);
    let others = select(vec!["new", "timings", "error", "citations"]);
    object(
        prop_oneof![
            9 => member("choices", prop_oneof![19 => array(choice()), 1 => any_value()]),
            3 => (names, one_of(&["\"h\"", "null", "\"\""])),
            3 => member("model", one_of(&["\"h\"", "\"m\\u00e9\"", "null"])),
            3 => member("usage", one_of(&["null", "{\"total_tokens\":3}", "{}"])),
            1 => (others, any_value()),
        ]
        .boxed(),
        4,
    )
}

fn line_end() -> BoxedStrategy<&'static str> {
    select(vec!["\n", "\n", "\n", "\r\n", "\r\n", "\r"]).boxed()
}

/// Returns an event, or bytes between two events.
fn event() -> BoxedStrategy<String> {
    let around = || {
        let line = select(vec![
            "",
            "",
            "",
            "event: error",
            "event: e",
            "id: 1",
            "retry: 5",
            ": c",
            "new: x",
            ":",
        ]);
        (line, line_end()).prop_map(|(line, end)| {
            if line.is_empty() { String::new() } else { format!("{line}{end}") }
        })
    };
    let breaks = proptest::collection::vec((any::<bool>(), line_end()), 1..4);
    let json =
        (chunk(), breaks, select(vec!["data: ", "data:"])).prop_map(|(json, breaks, name)| {
            let mut data = name.to_owned();
            for (nth, part) in json.split('~').enumerate() {
                let (is_line, end) = breaks[nth % breaks.len()];
                match (nth, is_line) {
                    (0, _) => {}
                    (_, true) => data.extend([end, name]),
                    (_, false) => data.push(' '),
                }
                data.push_str(part);
            }
            data
        });
    let data = prop_oneof![
        12 => json,
        1 => one_of(&["data: [DONE]", "data", "data: {\"§", "data: \"§\"", "data: 5"]),
    ];
    let ends = (line_end(), line_end()).prop_filter("no blank line", |ends| *ends != ("\r", "\n"));
    let message = (around(), data, ends, around())
        .prop_map(|(before, data, (end, blank), behind)| {
            format!("{before}{data}{end}{behind}{blank}")
        })
        // A lone CR and the LF behind it would be one.
        .prop_filter("no blank line", |event| {
            let (mut decoder, mut input) = (SseDecoder::new(), event.as_bytes());
            decoder.next(&mut input).is_some_and(|event| event.kind() != EventKind::BlankLine)
                && input.is_empty()
        });
    prop_oneof![
        12 => message,
        1 => one_of(&[": ping\n\n", "\n", "error: {\"message\":\"§\"}\n", "{\"content\":\"§\"}\r\n", "event: e\n\n"]),
    ]
    .boxed()
}

/// Returns events, some of them repeated, and the positions at which the stream is cut.
fn stream() -> impl Strategy<Value = (String, Vec<usize>)> {
    let events = proptest::collection::vec((event(), 1..4usize), 1..8);
    let stream = events
        .prop_map(|events| events.iter().map(|(event, times)| event.repeat(*times)).collect());
    (stream, proptest::collection::vec(1..200usize, 1..6))
}

fn decode((stream, cuts): &(String, Vec<usize>), mut each: impl FnMut(&ChunkEvent<'_>)) {
    let mut decoder = ChunkDecoder::new();
    let (mut rest, mut nth) = (stream.as_bytes(), 0);
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at(cuts[nth % cuts.len()].min(rest.len()));
        while let Some(event) = decoder.next(&mut piece) {
            each(&event);
        }
        (rest, nth) = (behind, nth + 1);
    }
}

/// The contents of an event: kind, data, and other lines that aren't blank.
type Said = (EventKind, Vec<u8>, Vec<String>);

fn said(stream: &[u8]) -> Vec<Said> {
    let (mut decoder, mut input, mut said) = (SseDecoder::new(), stream, Vec::new());
    while let Some(event) = decoder.next(&mut input) {
        let raw = String::from_utf8(event.raw().to_vec()).unwrap();
        let raw = raw.replace("\r\n", "\n").replace('\r', "\n");
        let is_other =
            |line: &&str| !line.is_empty() && *line != "data" && !line.starts_with("data:");
        let lines = raw.split('\n').filter(is_other).map(str::to_owned).collect();
        if event.kind() != EventKind::BlankLine {
            said.push((event.kind(), event.data().to_vec(), lines));
        }
    }
    said
}

type NamedValues = Vec<(String, Value)>;

/// Returns the members of an object, repeated ones too, each read by `serde_json`.
fn members(json: &[u8]) -> Option<NamedValues> {
    struct Members(NamedValues);
    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Members;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<M: serde::de::MapAccess<'de>>(
                    self,
                    mut map: M,
                ) -> Result<Members, M::Error> {
                    let mut members = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        members.push(member);
                    }
                    Ok(Members(members))
                }
            }
            from.deserialize_map(Visitor)
        }
    }
    serde_json::from_slice::<Members>(json).ok().map(|members| members.0)
}

/// Applies the rules to a stream: another model, no fingerprint, and the usage hidden.
fn edited_by_hand(stream: &[u8], how: UsageVisibility) -> Vec<(Said, Option<NamedValues>)> {
    let mut expected = Vec::new();
    for (kind, data, lines) in said(stream) {
        let Some(mut chunk) = members(&data) else {
            expected.push(((kind, data, lines), None));
            continue;
        };
        let has_usage = chunk.iter().any(|(name, value)| name == "usage" && value.is_object());
        let has_no_choices = chunk.iter().all(|(name, value)| match name.as_str() {
            "choices" => *value == json!(null) || *value == json!([]),
            // To a client an empty object is an error too.
            "error" => [json!(null), json!("")].contains(value),
            _ => true,
        });
        let is_state = |line: &&String| line.starts_with("id") || line.starts_with("retry");
        let state: Vec<_> = lines.iter().filter(is_state).cloned().collect();
        // The last type of an event is its type.
        let event_type = lines.iter().rfind(|line| line.starts_with("event:"));
        let is_error = event_type.is_some_and(|line| line == "event: error");
        if has_usage && has_no_choices && !is_error {
            if !state.is_empty() {
                expected.push(((EventKind::Undispatched, Vec::new(), state), None));
            }
            continue;
        }
        chunk.retain_mut(|(name, value)| {
            match name.as_str() {
                "model" => *value = json!("al\"ias\n"),
                "usage" if how == UsageVisibility::Null => *value = json!(null),
                "usage" | "system_fingerprint" => return false,
                _ => {}
            }
            true
        });
        expected.push(((kind, Vec::new(), lines), Some(chunk)));
    }
    expected
}

/// The choice and the name of the text. The details of a choice share their texts.
type TextName = (u64, &'static str);

/// Returns the texts that a client reads in an event.
///
/// Returns none if names are repeated: clients differ then.
fn texts_by_hand(data: &[u8]) -> BTreeMap<TextName, String> {
    let mut texts = BTreeMap::<_, String>::new();
    let mut add = |id, value: Option<&Value>| {
        texts.entry(id).or_default().push_str(value.and_then(Value::as_str).unwrap_or_default());
    };
    let chunk: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    for choice in array_in(chunk.get("choices")) {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let Some(delta) = choice.get("delta") else { continue };
        for name in ["content", "refusal", "reasoning_content", "reasoning"] {
            add((index, name), delta.get(name));
        }
        for part in array_in(delta.get("content")) {
            let reasoning = part.get("thinking").or(part.get("reasoning"));
            add((index, "content"), Some(part));
            add((index, "content"), part.get("text"));
            add((index, "refusal"), part.get("refusal"));
            add((index, "reasoning"), reasoning);
            for text in array_in(reasoning) {
                add((index, "reasoning"), Some(text));
                add((index, "reasoning"), text.get("text"));
            }
        }
        for detail in array_in(delta.get("reasoning_details")) {
            for name in ["text", "summary"] {
                add((index, name), detail.get(name));
            }
        }
    }
    texts.retain(|_, text| !text.is_empty());
    texts
}

fn array_in(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

const fn name_of(id: WatchedTextId) -> TextName {
    let name = match id.kind {
        WatchedTextKind::Content => "content",
        WatchedTextKind::Refusal => "refusal",
        WatchedTextKind::ReasoningContent => "reasoning_content",
        WatchedTextKind::Reasoning => "reasoning",
        WatchedTextKind::ReasoningDetail => "text",
        WatchedTextKind::ReasoningSummary => "summary",
        _ => "another",
    };
    (id.choice, name)
}

fn marks(text: &str) -> usize {
    text.replace("\\u00a7", MARK).matches(MARK).count()
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/gateway_streams.txt", 1500))]

    #[test]
    fn an_editor_without_rules_changes_nothing(stream in stream()) {
        let (mut editor, mut out, mut raw) = (Editor::new(), Vec::new(), Vec::new());
        let mut changed = 0;
        decode(&stream, |event| {
            raw.extend_from_slice(event.raw());
            let edited = editor.write(event, &mut out);
            changed += usize::from(edited == RewriteOutcome::Changed || edited == RewriteOutcome::Dropped);
        });
        prop_assert_eq!(changed, 0);
        prop_assert!(out == raw && stream.0.as_bytes().starts_with(&out));
    }

    /// The result equals the one that `serde_json` makes of each event, and all else is unchanged.
    #[test]
    fn an_editor_changes_events_as_serde_json_does(stream in stream(), is_null in any::<bool>()) {
        let how = if is_null { UsageVisibility::Null } else { UsageVisibility::Removed };
        let mut editor = Editor::new();
        editor.replace("model", "al\"ias\n");
        editor.remove("system_fingerprint");
        editor.hide_usage(how);
        let mut out = Vec::new();
        decode(&stream, |event| {
            let before = out.len();
            let edited = editor.write(event, &mut out);
            match edited {
                RewriteOutcome::Changed => assert_ne!(&out[before..], event.raw()),
                RewriteOutcome::Dropped => assert_eq!(out.len(), before),
                _ => assert_eq!(&out[before..], event.raw()),
            }
        });
        let expected = edited_by_hand(stream.0.as_bytes(), how);
        let found = said(&out);
        prop_assert_eq!(found.len(), expected.len(), "{:?}", String::from_utf8_lossy(&out));
        for ((kind, data, lines), ((kind_by_hand, data_by_hand, lines_by_hand), chunk)) in found.iter().zip(&expected) {
            prop_assert_eq!((kind, lines), (kind_by_hand, lines_by_hand));
            if let Some(chunk) = chunk {
                prop_assert_eq!(&members(data).unwrap_or_default(), chunk);
            } else {
                prop_assert_eq!(data, data_by_hand);
            }
        }
    }

    /// A harmless event has no text, and the texts of a guard are those of the events.
    ///
    /// The guard emits all bytes unchanged, and holds no more than its bound.
    #[test]
    fn a_guard_sees_all_texts(
        stream in stream(),
        most in 300usize..4000,
        overlap in 0usize..40,
        keeps in proptest::collection::vec(0usize..30, 1..4),
    ) {
        let mut guard = Guard::with_bounds(most, overlap);
        // So large that every counted allocation is the guard's.
        let mut out = Vec::with_capacity(stream.0.len());
        let (mut raw, mut held, mut nth) = (Vec::new(), 0, 0);
        let mut held_texts = BTreeMap::<TextName, usize>::new();
        decode(&stream, |event| {
            raw.extend_from_slice(event.raw());
            let mut measured = |guard: &mut Guard, act: &mut dyn FnMut(&mut Guard)| {
                let before = heap::live();
                act(guard);
                held += heap::live() - before;
            };
            let text = std::str::from_utf8(event.raw()).unwrap();
            let mut pushed = PushResult::NoText;
            measured(&mut guard, &mut |guard| pushed = guard.push(event));
            if pushed == PushResult::Full {
                measured(&mut guard, &mut |guard| guard.release_all(&mut out));
                held_texts.clear();
                measured(&mut guard, &mut |guard| pushed = guard.push(event));
            }
            assert_ne!(pushed, PushResult::Full);
            if pushed == PushResult::TooLarge {
                measured(&mut guard, &mut |guard| guard.release_all(&mut out));
                held_texts.clear();
                out.extend_from_slice(event.raw());
                return;
            }
            // The texts of this event are the held texts that weren't held before.
            let mut found = BTreeMap::new();
            for text in guard.texts() {
                let before = held_texts.get(&name_of(text.id)).copied().unwrap_or(0);
                let new = &text.text[text.unreleased_from + before..];
                if !new.is_empty() {
                    found.insert(name_of(text.id), new.to_owned());
                }
            }
            let expected = texts_by_hand(event.event().data());
            match pushed {
                PushResult::Text | PushResult::NoText => {
                    assert_eq!(found, expected, "{text:?}");
                    assert_eq!(marks(text), found.values().map(|text| marks(text)).sum::<usize>(), "{text:?}");
                    assert_eq!(pushed == PushResult::Text, !found.is_empty());
                }
                _ => {}
            }
            assert!(guard.held_bytes() <= most);
            let keep = keeps[nth % keeps.len()];
            nth += 1;
            measured(&mut guard, &mut |guard| guard.release(keep, &mut out));
            held_texts = guard.texts().map(|text| (name_of(text.id), text.text.len() - text.unreleased_from)).collect();
            let bound = most_heap(&guard, most, overlap);
            assert!(held <= bound, "{held} {bound}");
        });
        guard.release_all(&mut out);
        prop_assert!(out == raw);
        prop_assert!(guard.is_empty() && guard.held_bytes() == 0);
    }
}

/// Returns the heap of a guard by its docs, with a little for its lists.
fn most_heap(guard: &Guard, most: usize, overlap: usize) -> isize {
    let texts = guard.texts().count();
    (4 * (most + texts * overlap) + texts * (4096 + 256) + 2048).cast_signed()
}

/// Texts that are replaced by longer ones, one choice after the other, and events of many small texts.
#[test]
fn a_guard_that_replaces_stays_within_its_bound() {
    let (most, overlap) = (20_000, 64);
    let small = vec![r#"{"delta":{"content":"","refusal":"a"}}"#; 300].join(",");
    let small = format!("data: {{\"choices\":[{small}]}}\n\n");
    let longer = "#".repeat(3000);
    let mut out = Vec::with_capacity(1 << 20);
    let mut guard = Guard::with_bounds(most, overlap);
    let (mut held, mut refused) = (0, 0);
    for round in 0..300 {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":{round},\"delta\":{{\"content\":\"abc\"}}}}]}}\n\n"
        );
        for event in [&event, &small, &event] {
            let mut decoder = ChunkDecoder::new().with_templates(&Templates::none());
            let mut input = event.as_bytes();
            let event = decoder.next(&mut input).unwrap();
            let around = heap::live();
            while guard.push(&event) == PushResult::Full {
                out.clear();
                guard.release(0, &mut out);
            }
            for _ in 0..4 {
                let Some(text) = guard.texts().find(|text| text.unreleased_from < text.text.len())
                else {
                    break;
                };
                let range = text.unreleased_from..text.text.len();
                refused += usize::from(!guard.replace(text.id, range.start..range.start, &longer));
            }
            held += heap::live() - around;
            assert!(held <= most_heap(&guard, most, overlap), "{held} in round {round}");
            assert!(guard.held_bytes() <= most);
        }
    }
    assert!(refused > 100, "{refused}");
    out.clear();
    let around = heap::live();
    guard.release_all(&mut out);
    drop(guard);
    assert_eq!(held + heap::live() - around, 0);
}

/// Texts that consist of matches, large and small: the ranges of the matches are within the bound too.
#[test]
fn a_guard_that_redacts_stays_within_its_bound() {
    for (most, len, mask) in
        [(256 << 10, 120_000, ""), (256 << 10, 60_000, "##"), (2_000, 800, ""), (2_000, 500, "##")]
    {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
            "a".repeat(len)
        );
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::none());
        let mut input = event.as_bytes();
        let event = decoder.next(&mut input).unwrap();
        let words = Words::new(["a"]);
        for stops in [false, true] {
            let mut guard = Guard::with_bounds(most, 16);
            let before = heap::live();
            heap::reset_peak();
            assert_eq!(guard.push(&event), PushResult::Text);
            if stops {
                assert_eq!(guard.stop_at(&words).unwrap().range, 0..1);
            } else {
                assert_eq!(guard.redact(&words, mask), Ok(len));
                assert_eq!(guard.texts().next().unwrap().text, mask.repeat(len));
            }
            let (peak, bound) = (heap::peak() - before, most_heap(&guard, most, 16));
            assert!(peak <= bound, "{peak} of {bound} for {len} bytes");
            assert!(guard.held_bytes() <= most);
        }
    }
}
