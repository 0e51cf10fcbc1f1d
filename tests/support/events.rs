//! Events of a JSON text, and a look at each event of a stream.

use deltawire::{ChunkDecoder, ChunkEvent};

pub fn event(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// Returns an event with a delta, as JSON, for choice 0.
pub fn delta(delta: &str) -> String {
    event(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#))
}

/// Looks at each event of a stream.
pub fn each(stream: &str, mut look: impl FnMut(&ChunkEvent<'_>)) {
    let mut decoder = ChunkDecoder::new();
    let mut input = stream.as_bytes();
    while let Some(event) = decoder.next(&mut input) {
        look(&event);
    }
}
