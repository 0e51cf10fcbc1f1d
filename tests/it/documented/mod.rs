//! The loops of the README and the docs, word for word, over all recorded streams.

#[path = "cookbook.rs"]
mod cookbook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltawire::SseDecoder;
use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{Replay, assemble};
use serde_json::Value;

use crate::support::recordings;

mod guard {
    include!("guard.rs");

    pub(crate) fn run<'a>(body: impl IntoIterator<Item = &'a [u8]>, word: &str) -> Vec<u8> {
        forward(body, word)
    }
}

mod relay {
    include!("relay.rs");

    pub(crate) fn run<'a>(
        body: impl IntoIterator<Item = &'a [u8]>,
        word: &str,
    ) -> (Vec<u8>, RelayReport) {
        relay(body, word)
    }
}

mod replay {
    include!("replay.rs");

    pub(crate) fn run(
        replay: &mut Replay<Arc<ChatCompletion>>,
        elapsed: Duration,
        bytes_per_second: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        write_due(replay, elapsed, bytes_per_second, out)
    }
}

/// Compiles an example of the README, which needs a feature.
#[cfg(feature = "stream")]
#[allow(dead_code, reason = "an example is compiled only")]
mod read {
    include!("read.rs");
}

/// Compiles an example of the README, which needs a feature.
#[cfg(feature = "http-body")]
#[allow(dead_code, reason = "an example is compiled only")]
mod relayed {
    include!("relayed.rs");
}

/// The README contains its examples word for word, and the docs of `Guard` and `Replay` their loops.
#[test]
fn loops_of_these_tests_are_those_of_the_pages() {
    let readme = include_str!("../../../README.md");
    for code in [include_str!("relay.rs"), include_str!("read.rs"), include_str!("relayed.rs")] {
        assert!(readme.contains(code));
    }
    let mut lines = readme.lines().skip_while(|line| *line != "```rust");
    assert!(lines.all(|line| !line.starts_with("# ")), "a hidden line is shown on GitHub");
    for (source, code) in [
        (include_str!("../../../src/gateway/guard.rs"), include_str!("guard.rs")),
        (include_str!("../../../src/gateway/replay.rs"), include_str!("replay.rs")),
    ] {
        let docs = source.lines().filter_map(|line| line.strip_prefix("///"));
        let docs: Vec<_> = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        assert!(docs.join("\n").contains(code));
    }
}

/// Returns the recordings of chat completions: file name, bytes, finished completion.
fn streams() -> Vec<(String, Vec<u8>, FinishedCompletion)> {
    let all = recordings("openai-chat").into_iter();
    all.map(|recording| {
        let bytes = recording.bytes;
        let finished = assemble([&bytes[..]]);
        (recording.file, bytes, finished)
    })
    .collect()
}

/// Returns a stream with its last event closed, if the recording leaves the event open.
fn closed(stream: &[u8]) -> Vec<u8> {
    let mut decoder = deltawire::ChunkDecoder::new();
    let mut input = stream;
    while decoder.next(&mut input).is_some() {}
    let missing = decoder.salvage().map_or(&b""[..], |last| last.missing_end());
    [stream, missing].concat()
}

fn bytes_of(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    stream.chunks(1)
}

/// Without an edit or a match, the output equals the input, and a whole completion remains whole.
#[test]
fn untouched_streams_are_forwarded_byte_for_byte() {
    for (name, stream, finished) in streams() {
        let guarded = guard::run([&stream[..]], "no stream has this");
        if finished.end.malformed == 0 {
            let expected = closed(&stream);
            assert!(guarded == expected, "{name}");
        }
        assert!(guard::run(bytes_of(&stream), "no stream has this") == guarded, "{name}");
        let again = assemble([&guarded[..]]);
        assert_eq!(again.completion, finished.completion, "{name}");
        assert!(finished.whole().is_err() || again.whole().is_ok(), "{name}");
    }
}

/// Returns the watched texts of a stream by choice, name and tool call, read by `serde_json`.
fn texts(stream: &[u8]) -> BTreeMap<(u64, String, u64), String> {
    let mut texts = BTreeMap::<_, String>::new();
    let stream = closed(stream);
    let (mut decoder, mut input) = (SseDecoder::new(), &stream[..]);
    while let Some(event) = decoder.next(&mut input) {
        let chunk: Value = serde_json::from_slice(event.data()).unwrap_or_default();
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            let mut add = |name: &str, call: u64, text: &Value| {
                let text = text.as_str().unwrap_or_default();
                texts.entry((index, name.to_owned(), call)).or_default().push_str(text);
            };
            for name in ["content", "refusal", "reasoning_content", "reasoning"] {
                add(name, 0, &choice["delta"][name]);
            }
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let index = call["index"].as_u64().unwrap_or(u64::MAX);
                add("arguments", index, &call["function"]["arguments"]);
            }
        }
    }
    texts
}

/// Replaces words of each text, also across deltas, and loses no other text.
#[test]
fn no_word_leaks_and_no_text_is_lost() {
    let mut words = 0;
    for (name, stream, finished) in streams() {
        let before = texts(&stream);
        let found =
            |word: &str| before.values().map(|text| text.matches(word).count()).sum::<usize>();
        for text in before.values() {
            let characters: Vec<_> = text.chars().collect();
            for part in [1, 2] {
                let from = characters.len() * part / 3;
                let word: String = characters.iter().skip(from).take(9).collect();
                // A stream of a server that sends a text under two names contains the word twice.
                if word.chars().count() < 9 || found(&word) > 2 || word.contains('\u{FFFD}') {
                    continue;
                }
                words += 1;
                let out = guard::run([&stream[..]], &word);
                let mut expected = before.clone();
                for text in expected.values_mut() {
                    *text = text.replace(&word, "[…]");
                }
                assert_eq!(texts(&out), expected, "{name}: {word:?}");
                assert_eq!(assemble([&out[..]]).outcome, finished.outcome, "{name}");
                assert!(guard::run(bytes_of(&stream), &word) == out, "{name}: {word:?}");
            }
        }
    }
    assert!(words > 50 || crate::support::shared("corpus").is_none(), "{words}");
}

/// At each time, a paced replay has written the text that is due, and less than a delta more.
///
/// All its events together are those of a replay at once.
#[test]
fn the_paced_replay_of_the_docs() {
    const RATE: u32 = 100;
    let mut paced = 0;
    for (file, _, finished) in streams() {
        let completion = Arc::new(finished.completion);
        let mut replay = Replay::new(Arc::clone(&completion));
        let (mut out, mut elapsed) = (Vec::new(), Duration::ZERO);
        let text_len = |stream: &[u8]| texts(stream).values().map(String::len).sum::<usize>();
        let mut reads = 0;
        while replay::run(&mut replay, elapsed, RATE, &mut out) {
            let (due, written) = (elapsed.as_millis() / 10, replay.text_bytes());
            assert!(
                (due + 1..=due + 32).contains(&(written as u128)),
                "{file}: {written} of {due}"
            );
            // Reads the stream so far, but not of each step.
            if reads < 20 {
                assert_eq!(text_len(&out), written, "{file}");
                reads += 1;
            }
            elapsed += Duration::from_millis(130);
        }
        assert_eq!(text_len(&out), replay.text_bytes(), "{file}");
        let mut at_once = Vec::new();
        Replay::new(completion).write_all(&mut at_once);
        assert!(out == at_once, "{file}");
        paced += usize::from(elapsed > Duration::from_secs(1));
    }
    assert!(paced > 9 || crate::support::shared("corpus").is_none(), "{paced}");
}

/// Compares the client's completion with the upstream's: alias, usage and word differ.
///
/// A stream with an event that can't be read is stopped.
#[test]
fn the_relay_of_the_readme() {
    for (file, bytes, finished) in streams() {
        let content = |finished: &FinishedCompletion| {
            let message = finished.completion.choices.first().map(|choice| &choice.message);
            message.and_then(|message| message.content.clone()).unwrap_or_default()
        };
        let before = content(&finished);
        let word: String = before.chars().skip(3).take(7).collect();
        let (out, report) = relay::run(bytes.chunks(211), &word);
        if report.outcome.as_str() == "unreadable_event" {
            assert!(finished.end.malformed > 0 || finished.end.upstream_error.is_some(), "{file}");
            continue;
        }
        let seen = assemble([&out[..]]);
        assert_eq!(report.completion.unwrap().completion, finished.completion, "{file}");
        // Counts that a server sends elsewhere, without a request, remain.
        let sends_more = String::from_utf8_lossy(&bytes).contains("\"x_groq\"");
        assert!(seen.completion.usage.is_none() || sends_more, "{file}");
        assert_eq!(report.redactions > 0, !word.is_empty(), "{file}");
        let has_model = finished.completion.model.as_ref().is_some_and(|model| !model.is_empty());
        assert!(!has_model || seen.completion.model.as_deref() == Some("our-alias"), "{file}");
        let rest = content(&seen);
        assert!(
            word.is_empty() || !rest.contains(&word) || file.contains("parallel"),
            "{file}: {rest}"
        );
    }
}
