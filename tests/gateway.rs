//! What a gateway does with streams, on recorded and generated ones, in all cuts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;
#[allow(dead_code, unreachable_pub, reason = "other suites use the rest")]
#[path = "../benches/support/workloads.rs"]
mod workloads;

use deltawire::gateway::{Edited, Editor, HiddenUsage, Spans};
use deltawire::{ChunkDecoder, ChunkEvent, EventKind, Payload, SseDecoder};
use serde_json::Value;
use support::recordings;

/// All streams of chunks that there are, by their names.
fn streams() -> Vec<(String, Vec<u8>)> {
    let generated = workloads::NAMES.into_iter().filter(|name| *name != "huge");
    let generated = generated.map(|name| (name.to_owned(), workloads::generate(name, 60, 5).bytes));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let own = ["text", "tools", "reasoning", "refusal", "n2", "usage", "error", "truncated"];
    let own = own.map(|name| {
        (name.to_owned(), std::fs::read(folder.join(name).with_extension("sse")).unwrap())
    });
    let recorded = recordings("openai-chat").into_iter().map(|it| (it.file, it.bytes));
    generated.chain(own).chain(recorded).collect()
}

/// Decodes a stream in pieces of a size.
fn decode(stream: &[u8], size: usize, shapes: bool, mut each: impl FnMut(&ChunkEvent<'_>)) {
    let mut decoder = ChunkDecoder::new();
    decoder.set_shapes(shapes);
    for piece in stream.chunks(size) {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            each(&event);
        }
    }
}

/// The data of the messages in a stream.
fn messages(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut decoder, mut input, mut found) = (SseDecoder::new(), stream, Vec::new());
    while let Some(event) = decoder.next(&mut input) {
        if event.kind() == EventKind::Message {
            found.push(event.data().to_vec());
        }
    }
    found
}

/// An edited stream is what `serde_json` makes of each payload, in all cuts.
#[test]
fn edits_are_those_of_serde_json() {
    for (name, stream) in streams() {
        let edited = |size, shapes| {
            let (mut editor, mut out) = (Editor::new(), Vec::new());
            editor.replace("model", "al\"ias");
            editor.remove("system_fingerprint");
            editor.remove("id");
            editor.hide_usage(HiddenUsage::Removed);
            decode(&stream, size, shapes, |event| {
                let before = out.len();
                match editor.write(event, &mut out) {
                    Edited::Changed => assert_ne!(&out[before..], event.raw(), "{name}"),
                    Edited::Dropped => assert_eq!(out.len(), before, "{name}"),
                    _ => assert_eq!(&out[before..], event.raw(), "{name}"),
                }
            });
            out
        };
        let out = edited(usize::MAX, true);
        for (size, shapes) in [(usize::MAX, false), (1460, true), (61, true)] {
            assert!(edited(size, shapes) == out, "{name} in {size}");
        }
        let mut expected = Vec::new();
        for message in messages(&stream) {
            let Ok(Value::Object(mut chunk)) = serde_json::from_slice(&message) else {
                expected.push(message);
                continue;
            };
            let choices = chunk.get("choices").and_then(Value::as_array);
            let has_usage = chunk.get("usage").is_some_and(Value::is_object);
            if choices.is_none_or(Vec::is_empty) && has_usage && !chunk.contains_key("error") {
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

/// Where a text stands once in an event, replacing it is replacing these bytes.
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
            if raw.matches(model.raw()).count() == 1 && edited != Edited::Dropped {
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
        for (size, shapes) in [(usize::MAX, true), (700, true), (usize::MAX, false)] {
            decode(&stream, size, shapes, |event| {
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
