//! The views of log probabilities beside `serde_json`, over all recordings.

use deltawire::chunk::{OwnedChatCompletionChunk, TokenLogprobs};
use deltawire::{ChunkDecoder, Payload, Templates};
use serde_json::Value;

use crate::support::recordings;

/// Compares a list of tokens with the list that `serde_json` reads; returns the number of tokens.
fn compare(name: &str, found: TokenLogprobs<'_>, expected: &Value) -> usize {
    let none = Vec::new();
    let expected = expected.as_array().unwrap_or(&none);
    assert_eq!(found.clone().count(), expected.len(), "{name}");
    for (found, expected) in found.zip(expected) {
        assert_eq!(found.token(), expected["token"].as_str(), "{name}");
        assert_eq!(found.logprob(), expected["logprob"].as_f64(), "{name}");
        let bytes = found.bytes().map(|bytes| bytes.map(u64::from).collect::<Vec<_>>());
        let numbers = |list: &Vec<Value>| list.iter().filter_map(Value::as_u64).collect();
        assert_eq!(bytes, expected["bytes"].as_array().map(numbers), "{name}");
        compare(name, found.top_logprobs(), &expected["top_logprobs"]);
    }
    expected.len()
}

/// Each stream is read twice, so that its events match templates, whose lists are read on demand.
#[test]
fn the_log_probabilities_of_recordings_are_those_of_serde_json() {
    let recordings = recordings("openai-chat");
    let (templates, mut tokens) = (Templates::new(), 0);
    for (recording, pass) in
        recordings.iter().flat_map(|recording| [(recording, 0), (recording, 1)])
    {
        let name = &recording.file;
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        let mut input = &recording.bytes[..];
        let mut number = pass;
        while let Some(event) = decoder.next(&mut input) {
            let Payload::Chunk(chunk) = event.payload() else { continue };
            number += 1;
            // The lists of an event may be the first that are read, or not.
            if number % 3 == 0 {
                continue;
            }
            let json: Value = serde_json::from_slice(event.event().data()).unwrap();
            let owned: OwnedChatCompletionChunk = chunk.into_owned();
            for chunk in [*chunk, owned.as_chunk()] {
                for (position, choice) in chunk.choices().enumerate() {
                    let expected = &json["choices"][position]["logprobs"];
                    let Some(logprobs) = choice.logprobs() else {
                        assert!(!expected.is_object(), "{name}");
                        continue;
                    };
                    tokens += compare(name, logprobs.content(), &expected["content"]);
                    tokens += compare(name, logprobs.refusal(), &expected["refusal"]);
                }
            }
        }
    }
    assert!(tokens > 1000 || recordings.is_empty(), "{tokens} tokens");
}
