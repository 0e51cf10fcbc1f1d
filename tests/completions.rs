//! `Reassembler`: chunks to completions, rule by rule.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use deltawire::{ChatCompletion, ChunkDecoder, Reassembler};

/// The completion of some chunks.
fn completion(chunks: &[&str]) -> ChatCompletion {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    for chunk in chunks {
        let stream = format!("data: {chunk}\n\n");
        let mut input = stream.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(&event.payload());
        }
    }
    completion.finish(decoder.finish()).completion
}

/// Chunks with these texts at `@` of a delta.
fn deltas(template: &str, texts: &[&str]) -> ChatCompletion {
    let chunks: Vec<_> = texts
        .iter()
        .map(|text| {
            format!(r#"{{"choices":[{{"index":0,"delta":{}}}]}}"#, template.replace('@', text))
        })
        .collect();
    completion(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A server that cuts UTF-16 text sends half of a pair with one delta, and half with the next.
#[test]
fn a_surrogate_pair_cut_between_two_deltas_is_joined() {
    for (texts, expected) in [
        (&[r"a\ud83d", r"\ude00b"][..], "a😀b"),
        (&[r"\ud83d", r"\ude00"], "😀"),
        (&[r"\uD83D", r"\uDE00\uD83D", r"\uDE01"], "😀😁"),
        (&[r"a\ud83d", "", r"\ude00"], "a😀"),
        // Halves that don't belong together.
        (&[r"a\ud83d", "x", r"\ude00"], "a\u{FFFD}x\u{FFFD}"),
        (&[r"a\ud83d", r"\ud83d", r"\ude00"], "a\u{FFFD}😀"),
        (&[r"a\ude00", r"\ud83d"], "a\u{FFFD}\u{FFFD}"),
        (&["a\u{FFFD}", r"\ude00"], "a\u{FFFD}\u{FFFD}"),
        (&[r"a\ud83d", "\u{FFFD}"], "a\u{FFFD}\u{FFFD}"),
        // Text that only looks like an escape.
        (&[r"a\\ud83d", r"\ude00"], "a\\ud83d\u{FFFD}"),
        (&[r"a\\\ud83d", r"\ude00"], "a\\😀"),
    ] {
        let content = deltas(r#"{"content":"@"}"#, texts);
        assert_eq!(content.choices[0].message.content.as_deref(), Some(expected), "{texts:?}");
        let refusal = deltas(r#"{"refusal":"@"}"#, texts);
        assert_eq!(refusal.choices[0].message.refusal.as_deref(), Some(expected));
        for name in ["reasoning", "reasoning_content"] {
            let reasoning = deltas(&format!(r#"{{"{name}":"@"}}"#), texts);
            assert_eq!(reasoning.choices[0].message.reasoning.as_deref(), Some(expected));
        }
        let call = deltas(r#"{"tool_calls":[{"index":0,"function":{"arguments":"@"}}]}"#, texts);
        let function = call.choices[0].message.tool_calls[0].function.as_ref().unwrap();
        assert_eq!(function.arguments, expected);
        let call = deltas(r#"{"function_call":{"arguments":"@"}}"#, texts);
        assert_eq!(call.choices[0].message.function_call.as_ref().unwrap().arguments, expected);
    }
}

/// Each choice and each call has a text of its own.
#[test]
fn halves_of_different_texts_are_not_joined() {
    let completion = completion(&[
        r#"{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"\ude00"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"\ude00"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"\ude00"}}]}"#,
    ]);
    let [first, second] = &completion.choices[..] else { panic!() };
    assert_eq!(first.message.content.as_deref(), Some("😀"));
    assert_eq!(first.message.refusal.as_deref(), Some("\u{FFFD}"));
    assert_eq!(second.message.content.as_deref(), Some("\u{FFFD}"));
}
