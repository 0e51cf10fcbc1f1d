//! What must hold for any bytes that stand as the `data` of an event.

use deltawire::{Change, ChatCompletionChunk, ChunkDecoder, Payload, Reassembler};
use serde_json::Value;

/// What a run over a stream has shown.
#[derive(Debug, PartialEq)]
struct Run {
    payloads: Vec<(u64, &'static str, String)>,
    raw: Vec<u8>,
    completion: String,
}

/// Checks a stream of one event whose data is `data`, as far as it is one line.
pub fn run(data: &[u8]) {
    let line: Vec<u8> =
        data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    let stream = [b"data: ", &line[..], b"\n\ndata: [DONE]\n\n"].concat();
    let whole = decode(&[&stream]);
    assert_eq!(whole.raw, stream, "raw bytes");
    let bytes: Vec<_> = stream.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "bytes");
    let (one, other) = stream.split_at(stream.len() / 2);
    assert_eq!(decode(&[one, other]), whole, "halves");
    let (_, kind, text) = &whole.payloads[0];
    // serde_json keeps one of two members of a name where the view gives back both; it nests to
    // 127 only, and takes no lone surrogates.
    match serde_json::from_slice::<Value>(&line) {
        Ok(Value::Object(sent)) if *kind == "chunk" => {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), Value::Object(sent));
        }
        Ok(Value::Object(sent)) => {
            let is_error =
                sent.contains_key("error") || sent.get("object") == Some(&"error".into());
            assert!(*kind == "error" && is_error, "{kind}");
        }
        Ok(_) => assert_eq!(*kind, "malformed"),
        Err(_) => {}
    }
}

fn decode(pieces: &[&[u8]]) -> Run {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let (mut payloads, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            raw.extend_from_slice(event.raw());
            let (kind, text) = match event.payload() {
                Payload::Chunk(chunk) => {
                    check_chunk(*chunk);
                    ("chunk", serde_json::to_string(&chunk).unwrap())
                }
                Payload::Done => ("done", String::new()),
                Payload::Error(error) => ("error", format!("{:?}", error.as_value())),
                Payload::Malformed(error) => ("malformed", error.to_string()),
                Payload::Comment => ("comment", String::new()),
                _ => ("ignored", String::new()),
            };
            payloads.push((event.offset(), kind, text));
            completion.push_payload(event.payload());
            check_changes(&completion);
        }
    }
    let finished = completion.finish(decoder.finish());
    let completion = serde_json::to_string(&finished.completion).unwrap();
    Run { payloads, raw, completion }
}

/// A chunk that is owned is the same, and every mismatch has a place.
fn check_chunk(chunk: ChatCompletionChunk<'_>) {
    let owned = chunk.into_owned();
    assert_eq!(owned.as_chunk().carries(), chunk.carries());
    let paths = |chunk: ChatCompletionChunk<'_>| {
        chunk.mismatches().map(|mismatch| mismatch.path()).collect::<Vec<_>>()
    };
    let found = paths(chunk);
    assert!(found.iter().all(|path| !path.is_empty()) && found.len() <= 256);
    assert_eq!(paths(owned.as_chunk()), found);
}

/// What changed is there, and new text begins at a character.
fn check_changes(completion: &Reassembler) {
    for change in completion.changes() {
        let choices = &completion.snapshot().choices;
        let (text, start) = match *change {
            Change::Content { choice, start } => (&choices[choice].message.content, start),
            Change::Refusal { choice, start } => (&choices[choice].message.refusal, start),
            Change::Reasoning { choice, start } => (&choices[choice].message.reasoning, start),
            Change::Arguments { choice, call, start } => {
                let function = choices[choice].message.tool_calls[call].function.as_ref().unwrap();
                assert!(!function.arguments[start..].is_empty());
                continue;
            }
            _ => continue,
        };
        assert!(!text.as_deref().unwrap()[start..].is_empty());
    }
}
