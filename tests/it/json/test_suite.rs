//! nst/JSONTestSuite: a strict decoder accepts all `y_` texts and none of the `n_` texts.
//!
//! Another one differs from it by its counted deviations.

use deltawire::json::JsonDeviations;
use deltawire::{ChunkDecoder, ErrorKind, Payload};

use crate::support::{base64, vectors};

/// Reads a text as a payload, its lines as lines of data, and returns its deviations.
fn read(text: &[u8], strict: bool) -> Result<JsonDeviations, ErrorKind> {
    let mut stream = b"data: ".to_vec();
    for byte in text {
        match byte {
            b'\n' | b'\r' => stream.extend(b"\ndata: "),
            byte => stream.push(*byte),
        }
    }
    stream.extend(b"\n\n");
    let mut decoder = ChunkDecoder::new();
    decoder.set_strict(strict);
    let event = decoder.next(&mut &stream[..]).unwrap();
    match event.payload() {
        Payload::Chunk(_) | Payload::Other(_) | Payload::Error(_) => Ok(event.deviations()),
        // JSON, but no chunk.
        Payload::Malformed(error) if error.kind() == ErrorKind::ExpectedObject => {
            Ok(event.deviations())
        }
        Payload::Malformed(error) => Err(error.kind()),
        payload => panic!("{payload:?}"),
    }
}

#[test]
fn strict_decoder_accepts_y_texts_and_rejects_n_texts() {
    for (_, vector) in vectors("json") {
        let bytes = |value: &serde_json::Value| base64(value.as_str().unwrap());
        let text = match vector["input_repeat"].as_array() {
            None => bytes(&vector["input_b64"]),
            Some(repeat) => {
                let count = usize::try_from(repeat[1].as_u64().unwrap()).unwrap();
                [bytes(&repeat[0]).repeat(count), bytes(&vector["input_tail_b64"])].concat()
            }
        };
        let name = vector["name"].as_str().unwrap();
        let (strict, lenient) = (read(&text, true), read(&text, false));
        match vector["category"].as_str().unwrap() {
            "y" => assert!(strict.is_ok() && lenient.is_ok(), "{name}: {strict:?}"),
            "n" => {
                assert!(strict.is_err(), "{name}");
                // The accepted ones of these are the words of Python alone.
                let words = ["NaN", "nan", "nfinity"].iter().any(|word| name.contains(word));
                assert!(lenient.is_err() || words, "{name}");
            }
            _ => {}
        }
        // Strict and not, they differ by the counts.
        if let Ok(lenient) = lenient {
            assert_eq!(lenient.is_empty(), strict.is_ok(), "{name}");
        } else {
            assert!(strict.is_err(), "{name}");
        }
    }
}
