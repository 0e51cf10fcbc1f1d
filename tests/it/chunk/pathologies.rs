//! Streams of servers in the wild, of `../shared/vectors/pathologies.jsonl`.
//!
//! These are the rows D (fields), E (tool calls) and F (payloads) that are about one chunk.

use deltawire::chunk::{ChatCompletionChunk, ErrorCode};
use deltawire::{ChunkDecoder, ErrorKind, Payload};
use serde_json::Value;

/// Returns the payloads of a row, as an owned summary made by `look`.
fn rows() -> Vec<Value> {
    let Some(folder) = crate::support::shared("vectors") else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("pathologies.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Passes each chunk of a row to `look`, in order, those of errors too.
///
/// Returns the kinds of all payloads.
fn each_chunk(
    row: &Value,
    mut look: impl FnMut(usize, ChatCompletionChunk<'_>),
) -> Vec<&'static str> {
    let variants: Vec<&str> = match (&row["bytes"], &row["variants"]) {
        (Value::String(bytes), _) => vec![bytes],
        (_, Value::Array(variants)) => variants.iter().map(|text| text.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let (mut kinds, mut number) = (Vec::new(), 0);
    for stream in variants {
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            let kind = match event.payload() {
                Payload::Chunk(chunk) => {
                    look(number, *chunk);
                    number += 1;
                    "chunk"
                }
                Payload::Error(error) => {
                    if let Some(chunk) = error.chunk() {
                        look(number, chunk);
                        number += 1;
                    }
                    "error"
                }
                Payload::Done => "done",
                Payload::Malformed(_) => "malformed",
                _ => continue,
            };
            kinds.push(kind);
        }
    }
    kinds
}

/// The expectations of each row of D, field by field.
#[test]
#[expect(clippy::too_many_lines, reason = "a table, row by row")]
fn chunks_of_deviating_servers_have_their_fields() {
    for row in rows() {
        let id = row["id"].as_str().unwrap();
        let kinds = each_chunk(&row, |number, chunk| {
            let choice = chunk.choices().next();
            let delta = choice.map(|choice| choice.delta());
            match (id, number) {
                ("D01", 0) => {
                    assert_eq!(
                        (chunk.id(), chunk.model(), chunk.object()),
                        (Some(""), Some(""), Some(""))
                    );
                    assert_eq!((chunk.created(), chunk.choices().len()), (Some(0), 0));
                    assert!(chunk.get("prompt_filter_results").is_some());
                }
                ("D02", 0) => assert_eq!(chunk.choices().len(), 0),
                ("D03", 0) => {
                    assert_eq!(choice.unwrap().finish_reason(), Some("stop"));
                    assert!(delta.unwrap().as_value().unwrap().is_null());
                }
                ("D05", 0) => {
                    assert_eq!((chunk.id(), chunk.created()), (None, None));
                    assert_eq!(delta.unwrap().content(), Some("x"));
                }
                ("D06", 0) => {
                    assert_eq!(delta.unwrap().role(), Some(""));
                    assert!(!chunk.content_flags().role);
                    assert_eq!(delta.unwrap().tool_calls().len(), 1);
                }
                ("D07", 0) => {
                    assert_eq!(delta.unwrap().content(), Some("你"));
                    assert_eq!((delta.unwrap().role(), delta.unwrap().refusal()), (None, None));
                    assert!(delta.unwrap().function_call().is_none());
                    assert_eq!(delta.unwrap().tool_calls().len(), 0);
                }
                ("D08", _) => assert!(matches!(delta.unwrap().role(), Some("assistant"))),
                ("D09" | "D10", 0) => {
                    assert_eq!(choice.unwrap().finish_reason(), None);
                    assert_eq!(choice.unwrap().get("finish_reason").unwrap().as_str(), Some(""));
                    assert!(!chunk.content_flags().finish);
                }
                ("D11", 0) => assert_eq!(choice.unwrap().finish_reason(), None),
                ("D11", 1) => assert_eq!(choice.unwrap().finish_reason(), Some("stop")),
                ("D13", 0) => {
                    let error = chunk.error().unwrap();
                    assert_eq!(error.code(), Some(ErrorCode::Number(502)));
                    assert!(error.message().unwrap().starts_with("Worker local"));
                    assert_eq!(choice.unwrap().finish_reason(), Some("error"));
                }
                ("D14", 0) => {
                    let native = choice.unwrap().get("native_finish_reason").unwrap();
                    assert_eq!(native.as_str(), Some("network_error"));
                }
                ("D15", 0) => {
                    let error = chunk.error().unwrap();
                    assert_eq!(error.code(), Some(ErrorCode::Number(500)));
                    assert_eq!(error.r#type(), Some("InternalServerError"));
                    assert_eq!(
                        (error.message(), error.param()),
                        (Some("Internal server error"), None)
                    );
                }
                ("D17", 0) => {
                    assert_eq!(delta.unwrap().content(), None);
                    let part = delta.unwrap().content_parts().unwrap().next().unwrap();
                    assert_eq!(part.get("type").unwrap().as_str(), Some("reference"));
                }
                ("D18", 0) => assert_eq!(delta.unwrap().content_parts().unwrap().count(), 2),
                ("D18", 1) => assert_eq!(delta.unwrap().content(), Some("B")),
                ("D19", 0) => assert_eq!(delta.unwrap().reasoning_text(), Some("The")),
                ("D20", 0 | 1) => assert_eq!(delta.unwrap().reasoning_text(), Some("a")),
                ("D20", 2) => {
                    let thinking = delta.unwrap().get("thinking").unwrap();
                    assert_eq!(thinking.as_str(), Some("a"));
                }
                ("D20", 3) => assert!(delta.unwrap().reasoning_details().is_some()),
                ("D22", 0) => {
                    assert_eq!(chunk.obfuscation(), Some("8q9469w7geFa"));
                    assert!(
                        choice
                            .unwrap()
                            .get("raw_output")
                            .or(delta.unwrap().get("raw_output"))
                            .is_some()
                    );
                }
                ("D23", 0) => {
                    assert_eq!(choice.unwrap().finish_reason(), Some("abort"));
                    assert_eq!(delta.unwrap().content(), Some("tail"));
                }
                ("D25", 0) => assert_eq!(delta.unwrap().content(), None),
                ("D25", 1) => assert_eq!(delta.unwrap().content(), Some(" ")),
                ("D26", 0) => {
                    assert_eq!(chunk.object(), Some("text_completion"));
                    assert_eq!(choice.unwrap().text(), Some("Par"));
                }
                ("D27", 0) => {
                    assert_eq!(choice.unwrap().finish_reason(), Some("length"));
                    assert!(!chunk.content_flags().is_output());
                }
                _ => {}
            }
        });
        if id.starts_with('D') {
            let errors = matches!(id, "D13" | "D15");
            let expected = if errors { "error" } else { "chunk" };
            assert!(
                kinds.iter().all(|kind| *kind == expected || *kind == "done"),
                "{id}: {kinds:?}"
            );
            assert!(!kinds.is_empty(), "{id}");
        }
    }
}

#[test]
fn tool_calls_of_deviating_servers_have_their_fields() {
    for row in rows() {
        let id = row["id"].as_str().unwrap().to_owned();
        let kinds = each_chunk(&row, |number, chunk| {
            let Some(choice) = chunk.choices().next() else { return };
            let call = choice.delta().tool_calls().next();
            match (id.as_str(), number) {
                ("E01", 0) => {
                    assert!(
                        call.unwrap().index().is_none() && call.unwrap().get("index").is_none()
                    );
                }
                ("E02", 0) => {
                    assert!(
                        call.unwrap().index().is_none() && call.unwrap().get("index").is_some()
                    );
                }
                ("E04" | "E06", 1) => assert_eq!(call.unwrap().name(), Some("")),
                ("E05", 0 | 1) => {
                    assert_eq!(
                        (call.unwrap().index(), call.unwrap().name().is_some()),
                        (Some(0), true)
                    );
                }
                ("E08", 0) => assert_eq!(call.unwrap().arguments(), Some("{")),
                ("E09", 0) => assert_eq!(call.unwrap().arguments(), None),
                ("E10", 0) => {
                    assert_eq!(call.unwrap().arguments(), None);
                    assert_eq!(
                        call.unwrap().arguments_object().unwrap().raw(),
                        r#"{"x":1337,"y":42}"#
                    );
                }
                ("E12", 1) => assert_eq!(call.unwrap().name(), Some("weather")),
                ("E13", 1) => assert_eq!(choice.finish_reason(), Some("tool_calls")),
                ("E15", 0) => assert_eq!(choice.delta().tool_calls().len(), 2),
                _ => {}
            }
        });
        if id.starts_with('E') && row["bytes"].is_string() {
            assert!(kinds.iter().all(|kind| matches!(*kind, "chunk" | "done")), "{id}: {kinds:?}");
        }
    }
}

#[test]
fn payloads_with_odd_json_have_their_kinds() {
    for row in rows() {
        let Some(bytes) = row["bytes"].as_str() else { continue };
        let kinds = || each_chunk(&row, |_, _| {});
        match row["id"].as_str().unwrap() {
            "F01" => {
                let mut decoder = ChunkDecoder::new();
                let mut input = bytes.as_bytes();
                while let Some(event) = decoder.next(&mut input) {
                    assert_eq!(event.deviations().lone_surrogates, 1);
                }
                assert_eq!(kinds(), ["chunk"; 2]);
            }
            "F03" => {
                assert_eq!(kinds(), ["chunk", "malformed", "chunk"]);
                let mut decoder = ChunkDecoder::new();
                let mut input = bytes.as_bytes();
                while let Some(event) = decoder.next(&mut input) {
                    if let Payload::Malformed(error) = event.payload() {
                        let at = bytes.find("{not").unwrap() + 1;
                        assert_eq!(
                            (error.kind(), error.offset()),
                            (ErrorKind::ExpectedName, at as u64)
                        );
                    }
                }
            }
            "F04" => {
                let seen = each_chunk(&row, |_, chunk| {
                    assert!(chunk.usage().is_none() && chunk.error().is_none());
                });
                assert_eq!(seen, ["chunk"]);
            }
            "F05" => {
                each_chunk(&row, |_, chunk| {
                    assert_eq!(chunk.choices().next().unwrap().delta().content(), Some("b"));
                    assert_eq!(chunk.usage().unwrap().total_tokens(), Some(2));
                });
            }
            "F07" => {
                let mut decoder = ChunkDecoder::new();
                let event = decoder.next(&mut bytes.as_bytes()).unwrap();
                let Payload::Malformed(error) = event.payload() else { panic!() };
                let at = bytes.find("}{").unwrap() + 1;
                assert_eq!((error.kind(), error.offset()), (ErrorKind::TrailingData, at as u64));
            }
            _ => {}
        }
    }
}
