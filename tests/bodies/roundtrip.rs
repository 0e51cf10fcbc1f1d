//! Written output equals the input: a view by `serde`, a view that is owned, a completion.

use deltawire::chunk::{ChatCompletionChunk, OwnedChatCompletionChunk};
use deltawire::completion::ChatCompletion;
use deltawire::{ChunkDecoder, Payload, Reassembler};

use serde_json::Value;

use super::input::{Choices, chunk, chunks};
use super::templates::same_chunk;
use crate::support::sent::Sent;

/// Runs a payload, if it begins as one; else the choices of which a stream of chunks is made.
pub fn run(input: &[u8]) {
    if input.first() == Some(&b'{') {
        check_json(input);
        return;
    }
    let mut choices = Choices::new(input);
    check_json(chunk(&mut choices).as_bytes());
    check_stream(&chunks(&mut choices));
}

/// Checks a text that is alone.
fn check_json(json: &[u8]) {
    let owned = OwnedChatCompletionChunk::from_json(json);
    let by_serde = serde_json::from_slice::<OwnedChatCompletionChunk>(json);
    match (&owned, Sent::read(json)) {
        (Ok(owned), Some(sent)) => {
            let (chunk, by_serde) = (owned.as_chunk(), by_serde.unwrap());
            same_chunk(&chunk, &by_serde.as_chunk());
            let text = serde_json::to_string(owned).unwrap();
            assert_eq!(Sent::read(text.as_bytes()), Some(sent));
            check(chunk);
        }
        // A text that `serde_json` refuses: a deviation, or deep nesting.
        (Ok(owned), None) => check(owned.as_chunk()),
        (Err(_), _) => assert!(by_serde.is_err()),
    }
}

/// Checks chunks as they come in a stream, most of which match a template.
fn check_stream(stream: &[u8]) {
    let mut decoder = ChunkDecoder::new();
    let (mut direct, mut kept) = (Reassembler::new(), Reassembler::new());
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        let Payload::Chunk(chunk) = event.payload() else { continue };
        check(*chunk);
        direct.push(chunk);
        kept.push(&chunk.into_owned().as_chunk());
        assert_eq!(kept.changes(), direct.changes());
    }
    assert_eq!(kept.snapshot(), direct.snapshot());
    check_completion(direct.snapshot());
}

/// Checks a chunk that is written, read and written again; and kept beyond its event.
fn check(chunk: ChatCompletionChunk<'_>) {
    let owned = chunk.into_owned();
    same_chunk(&chunk, &owned.as_chunk());
    same_chunk(&chunk, &owned.clone().as_chunk().into_owned().as_chunk());
    let text = serde_json::to_string(&chunk).unwrap();
    let again = OwnedChatCompletionChunk::from_json(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    if text == chunk.as_value().raw() {
        // White space before it isn't written again.
        if chunk.as_value().position() == 0 {
            same_chunk(&chunk, &again.as_chunk());
        }
    } else {
        // Numbers that aren't finite become null.
        assert!(chunk.as_value().raw().contains(['N', 'I']));
        assert_eq!(again.as_chunk().choices().len(), chunk.choices().len());
    }
}

/// Checks that a completion that is read back is written the same again.
fn check_completion(completion: &ChatCompletion) {
    let text = serde_json::to_string(completion).unwrap();
    let mut written = Vec::new();
    completion.write_json(&mut written);
    assert_eq!(String::from_utf8(written).unwrap(), text);
    match serde_json::from_str::<ChatCompletion>(&text) {
        Ok(again) => {
            // Members that are there twice, and white space, are gone now.
            let written = serde_json::to_string(&again).unwrap();
            if let Ok(said) = serde_json::from_str::<Value>(&text) {
                assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), said);
            }
            let again = serde_json::from_str::<ChatCompletion>(&written).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), written);
        }
        // Half a surrogate pair in a text that is kept as JSON is none for `serde_json`.
        Err(error) => assert_eq!(Sent::read(text.as_bytes()), None, "{error}"),
    }
}
