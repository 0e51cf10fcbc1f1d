//! Chunk views, field by field.
//!
//! There is a module for each system that the crate was made for, one for all else on the wire,
//! and one for tolerance.

mod baseten;
mod log_probabilities;
mod openai;
mod pathologies;
mod property;
mod ray_serve;
mod tolerance;
mod wire;

use deltawire::chunk::{ChatCompletionChunk, OwnedChatCompletionChunk};
use deltawire::json::{Value, ValueKind};
use deltawire::{ChunkDecoder, ChunkEvent};

/// Reads `json` as the payload of the only event of a stream.
fn with_event<T>(json: &str, look: impl FnOnce(&ChunkEvent<'_>) -> T) -> T {
    let stream: String = json.lines().map(|line| ["data: ", line, "\n"].concat()).collect();
    let stream = stream + "\n";
    let mut decoder = ChunkDecoder::new();
    let event = decoder.next(&mut stream.as_bytes()).unwrap();
    look(&event)
}

fn with_chunk<T>(json: &str, look: impl FnOnce(ChatCompletionChunk<'_>) -> T) -> T {
    look(OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap().as_chunk())
}

/// Returns the paths of a chunk's mismatches.
fn mismatches(chunk: &ChatCompletionChunk<'_>) -> Vec<String> {
    chunk.mismatches().map(|mismatch| mismatch.path()).collect()
}

/// Converts a value of the view; of members with the same name the last one counts.
fn to_serde(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        ValueKind::Bool => value.as_bool().unwrap().into(),
        ValueKind::Number => serde_json::from_str(value.raw()).unwrap(),
        ValueKind::String => value.as_str().unwrap().into(),
        ValueKind::Array => value.elements().map(to_serde).collect(),
        ValueKind::Object => {
            value.members().map(|(name, value)| (name.to_owned(), to_serde(value))).collect()
        }
        _ => serde_json::Value::Null,
    }
}
