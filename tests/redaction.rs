//! Guards with finders: each match is redacted, wherever it is cut, and all other text remains.
//!
//! The oracle is a search of the whole text, character by character.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use deltawire::gateway::{
    CompletionError, Editor, Finder, Guard, PushResult, RedactionTooLong, Relay, RelayEnd,
    RelayGuard, TextMatch, Words, assemble,
};
use deltawire::{ChunkDecoder, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The texts of a stream by choice, answer and member, as a client joins them.
type Texts = BTreeMap<(u64, usize, String), String>;

/// Joins the texts of a stream of single-line events. A finish reason ends the texts of a choice.
fn texts(stream: &[u8]) -> Texts {
    let (mut texts, mut answers) = (Texts::new(), BTreeMap::<u64, usize>::new());
    for line in std::str::from_utf8(stream).unwrap().lines() {
        let Some(data) = line.strip_prefix("data: ").filter(|data| data.starts_with('{')) else {
            continue;
        };
        let chunk: Value = serde_json::from_str(data).unwrap();
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            let delta = &choice["delta"];
            let answer = answers.entry(index).or_default();
            let mut add = |name: &str, text: &Value| {
                if let Some(text) = text.as_str() {
                    texts.entry((index, *answer, name.to_owned())).or_default().push_str(text);
                }
            };
            for name in ["content", "reasoning", "reasoning_content", "refusal"] {
                add(name, &delta[name]);
            }
            // An array of parts continues the texts that others send as strings.
            for part in delta["content"].as_array().into_iter().flatten() {
                add("content", &part["text"]);
                for thought in part["thinking"].as_array().into_iter().flatten() {
                    add("reasoning", &thought["text"]);
                }
            }
            for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
                for name in ["text", "summary"] {
                    add(&format!("detail {} {name}", detail["index"]), &detail[name]);
                }
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let name = format!("arguments {}", call["index"]);
                add(&name, &call["function"]["arguments"]);
            }
            *answer += usize::from(choice["finish_reason"].is_string());
        }
    }
    texts
}

/// Replaces words from the left, the longest one first.
fn redacted(text: &str, words: &[String], mask: &str) -> String {
    let (mut rest, mut out) = (text, String::new());
    while let Some(first) = rest.chars().next() {
        let found = words.iter().filter(|word| !word.is_empty() && rest.starts_with(&***word));
        if let Some(word) = found.max_by_key(|word| word.len()) {
            out.push_str(mask);
            rest = &rest[word.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Sends a stream through a guard that redacts.
fn redact(
    stream: &[u8],
    piece: usize,
    finder: &dyn Finder,
    mask: &str,
) -> Result<(Vec<u8>, usize), RedactionTooLong> {
    let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(16 << 20, 64));
    let (mut out, mut count) = (Vec::new(), 0);
    for mut input in stream.chunks(piece) {
        while let Some(event) = decoder.next(&mut input) {
            let pushed = guard.push(&event);
            assert!(!matches!(pushed, PushResult::Full | PushResult::TooLarge), "{event:?}");
            count += guard.redact(finder, mask)?;
            guard.release_searched(&mut out);
        }
    }
    guard.finish_texts();
    count += guard.redact(finder, mask)?;
    guard.release_all(&mut out);
    Ok((out, count))
}

fn event(index: u64, delta: &Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": index, "delta": delta }] }))
}

/// Generates a stream of a few texts in pieces, some of which two choices send by turns.
fn stream() -> impl Strategy<Value = String> {
    let pieces = || vec("[ab cé]{0,5}", 0..12);
    (pieces(), pieces(), pieces(), pieces()).prop_map(|(reasoning, first, second, arguments)| {
        let form = reasoning.len() % 3;
        let reasoning_event = |text: &String| {
            let thought =
                json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": text }] }]);
            let detail = json!([{ "type": "reasoning.text", "text": text, "index": 0 }]);
            event(
                0,
                &match form {
                    0 => json!({ "reasoning": text }),
                    1 => json!({ "reasoning": text, "reasoning_details": detail }),
                    _ => json!({ "content": thought }),
                },
            )
        };
        let mut stream: String = reasoning.iter().map(reasoning_event).collect();
        for at in 0..first.len().max(second.len()) {
            for (index, pieces) in [(0, &first), (1, &second)] {
                if let Some(text) = pieces.get(at) {
                    let parts = json!([{ "type": "text", "text": text }]);
                    let content = if at % 4 == 3 { parts } else { json!(text) };
                    stream += &event(index, &json!({ "content": content }));
                }
            }
        }
        for text in arguments {
            let call = json!([{ "index": 0, "function": { "arguments": text } }]);
            stream += &event(0, &json!({ "tool_calls": call }));
        }
        stream + "data: [DONE]\n\n"
    })
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec("[ab cé]{0,4}", 0..4)
}

proptest! {
    #![proptest_config(support::cases::cases("proptest-regressions/redaction.txt", 1500))]

    /// Redacts words that may be cut, overlap, and begin or end together.
    #[test]
    fn each_word_is_redacted_and_nothing_else(
        stream in stream(),
        words in words(),
        mask in "[a*é]{0,3}",
        piece in 1usize..200,
    ) {
        let (out, count) = redact(stream.as_bytes(), piece, &Words::new(&words), &mask).unwrap();
        let mut expected = texts(stream.as_bytes());
        for text in expected.values_mut() {
            *text = redacted(text, &words, &mask);
        }
        prop_assert_eq!(texts(&out), expected, "{}", String::from_utf8_lossy(&out));
        if count == 0 {
            prop_assert_eq!(out, stream.as_bytes());
        }
    }

    /// Stops at the first match, before any byte of it is released.
    #[test]
    fn nothing_of_a_match_is_released(stream in stream(), words in words()) {
        let finder = Words::new(&words);
        let (mut decoder, mut guard, mut out) = (ChunkDecoder::new(), Guard::new(), Vec::new());
        let (mut input, mut found) = (stream.as_bytes(), None::<TextMatch>);
        while let Some(event) = decoder.next(&mut input) {
            let _ = guard.push(&event);
            found = guard.stop_at(&finder);
            if found.is_some() {
                break;
            }
            guard.release_searched(&mut out);
        }
        if found.is_none() {
            guard.finish_texts();
            found = guard.stop_at(&finder);
        }
        let all = texts(stream.as_bytes());
        let has_word = |text: &String| words.iter().any(|word| !word.is_empty() && text.contains(&**word));
        prop_assert_eq!(found.is_some(), all.values().any(has_word));
        if let Some(TextMatch { id, range, .. }) = found {
            let text = guard.texts().find(|text| text.id == id).unwrap();
            prop_assert!(range.start >= text.unreleased_from);
            prop_assert!(words.iter().any(|word| **word == text.text[range.clone()]));
            let released = texts(&out);
            prop_assert!(!released.values().any(has_word), "{:?}", released);
            for (name, text) in released {
                prop_assert!(all[&name].starts_with(&text));
            }
        }
    }
}

proptest! {
    #![proptest_config(support::cases::cases("proptest-regressions/redaction.txt", 1500))]

    /// Stops at words, and redacts others, the same in all cuts of the text.
    #[test]
    fn both_searches_are_those_of_the_whole_text(
        pieces in vec("[ab c]{0,4}", 1..8),
        stops in vec("[ab c]{1,4}", 1..3),
        words in words(),
    ) {
        let (stop, redact) = (Words::new(&stops), Words::new(&words));
        let text = pieces.concat();
        let mut guard = Guard::new();
        let (mut out, mut found) = (Vec::new(), false);
        for piece in &pieces {
            let stream = event(0, &json!({ "content": piece }));
            let _ = guard.push(&ChunkDecoder::new().next(&mut stream.as_bytes()).unwrap());
            found |= guard.stop_at(&stop).is_some();
            if found {
                break;
            }
            guard.redact(&redact, "*").unwrap();
            guard.release_searched(&mut out);
        }
        if !found {
            guard.finish_texts();
            found = guard.stop_at(&stop).is_some();
            guard.redact(&redact, "*").unwrap();
            guard.release_all(&mut out);
        }
        prop_assert_eq!(found, stops.iter().any(|word| text.contains(&**word)));
        let released = texts(&out).into_values().next().unwrap_or_default();
        let expected = redacted(&text, &words, "*");
        prop_assert!(found || released == expected, "{} for {}", released, expected);
    }
}

/// Searches the text behind a discarded one, with both searches.
#[test]
fn a_text_behind_a_discarded_one_is_searched() {
    let (words, mut guard) = (Words::new(["secret"]), Guard::new());
    let push = |guard: &mut Guard, text: &str| {
        let stream = event(0, &json!({ "content": text }));
        let _ = guard.push(&ChunkDecoder::new().next(&mut stream.as_bytes()).unwrap());
    };
    push(&mut guard, "a text that is discarded");
    assert_eq!((guard.stop_at(&words), guard.redact(&words, "*")), (None, Ok(0)));
    guard.discard();
    push(&mut guard, "a secret");
    assert_eq!(guard.stop_at(&words).unwrap().range, 2..8);
    assert_eq!(guard.redact(&words, "*"), Ok(0), "it is stopped");
    let mut out = Vec::new();
    guard.release_searched(&mut out);
    assert!(out.is_empty());
}

/// An index that is no whole number could be that of any call.
#[test]
fn a_call_with_an_invalid_index_is_unwatched() {
    for (index, expected) in [
        (json!(0), PushResult::Text),
        (json!(null), PushResult::Text),
        (json!(1.5), PushResult::Unwatched),
        (json!("0"), PushResult::Unwatched),
    ] {
        let call = json!([{ "index": index, "function": { "arguments": "a" } }]);
        let stream = event(0, &json!({ "tool_calls": call }));
        let mut decoder = ChunkDecoder::new();
        let pushed = Guard::new().push(&decoder.next(&mut stream.as_bytes()).unwrap());
        assert_eq!(pushed, expected, "{index}");
    }
}

/// Redacts a few words of each text of each recording, and finds no other change.
#[test]
fn words_of_recordings_are_redacted() {
    for recording in support::recordings("openai-chat") {
        let before = texts(&recording.bytes);
        let mut words = Vec::new();
        for text in before.values() {
            let characters: Vec<_> = text.chars().collect();
            let word = |part: usize| {
                let start = characters.len() * part / 5;
                let len = 4 + (start + part) % 9;
                characters.iter().skip(start).take(len).collect::<String>()
            };
            words.extend((1..5).map(word));
        }
        for (mask, piece) in [("[…]", 1 << 20), ("", 700), ("\"\\ much longer than the word", 97)]
        {
            let (out, count) = redact(&recording.bytes, piece, &Words::new(&words), mask).unwrap();
            let after = texts(&out);
            assert_eq!(
                count > 0,
                before.values().any(|text| !text.is_empty()),
                "{}",
                recording.file
            );
            for (name, text) in &before {
                assert_eq!(
                    after[name],
                    redacted(text, &words, mask),
                    "{} {name:?}",
                    recording.file
                );
            }
        }
    }
}

/// Tests that a guard watches the reasoning of all providers.
///
/// The recordings with unwatched values have log probabilities, errors, audio, citations, numbers of
/// tokens, or whole messages.
#[test]
fn most_recordings_have_no_unwatched_value() {
    let recordings = support::recordings("openai-chat");
    if recordings.is_empty() {
        return; // without the corpus, which `.ci/run` requires
    }
    let is_unwatched = |recording: &&support::Recording| {
        let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::new());
        let (mut input, mut is_unwatched) = (&recording.bytes[..], false);
        while let Some(event) = decoder.next(&mut input) {
            is_unwatched |= guard.push(&event) == PushResult::Unwatched;
            guard.release_all(&mut Vec::new());
        }
        is_unwatched
    };
    let unwatched: Vec<_> = recordings.iter().filter(is_unwatched).map(|it| &it.file).collect();
    assert!(unwatched.len() <= 20 && recordings.len() >= 100, "{unwatched:?}");
    for name in ["reasoning-details", "mistral__", "avian"] {
        assert!(unwatched.iter().all(|file| !file.contains(name)), "{unwatched:?}");
    }
}

/// A finder whose ranges aren't between characters, and that keeps too much or too little.
struct Careless;

impl Finder for Careless {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let at = text.get(from..)?.find('é')?;
        Some(from + at + 1..usize::MAX)
    }

    fn open_len(&self, _: &str) -> usize {
        usize::MAX
    }
}

#[test]
fn a_careless_finder_redacts_whole_characters() {
    let stream = event(0, &json!({ "content": "aéb" })) + &event(0, &json!({ "content": "c" }));
    let (out, count) = redact(stream.as_bytes(), 100, &Careless, "*").unwrap();
    assert_eq!((texts(&out)[&(0, 0, "content".to_owned())].as_str(), count), ("a*", 1));
}

/// A mask that is longer than the bound allows leaves the match held.
#[test]
fn a_mask_without_room_is_an_error_and_releases_nothing() {
    let stream = event(0, &json!({ "content": "a secret" }));
    let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(400, 16));
    let mut input = stream.as_bytes();
    let _ = guard.push(&decoder.next(&mut input).unwrap());
    assert_eq!(guard.redact(&Words::new(["secret"]), &"*".repeat(400)), Err(RedactionTooLong));
    guard.discard();
    let mut out = Vec::new();
    guard.release_all(&mut out);
    assert!(out.is_empty());
}

/// Redacts the texts of a message, each alone.
fn redact_message(message: &mut Value, words: &[String], mask: &str) {
    let redact = |text: Option<&mut Value>| {
        if let Some(Value::String(text)) = text {
            *text = redacted(text, words, mask);
        }
    };
    for name in ["content", "reasoning", "reasoning_content", "refusal"] {
        redact(message.get_mut(name));
    }
    let lists = [("reasoning_details", ["text", "summary"]), ("tool_calls", ["name", "arguments"])];
    for (list, names) in lists {
        for element in message.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let object = if list == "tool_calls" { &mut element["function"] } else { element };
            for name in names {
                redact(object.get_mut(name));
            }
        }
    }
}

/// A relay edits and redacts the whole completion of each recording as its stream.
#[test]
fn whole_completions_are_redacted_and_edited() {
    let mut redactions = 0;
    for recording in support::recordings("openai-chat") {
        let mut json = Vec::new();
        assemble([&recording.bytes[..]]).completion.write_json(&mut json);
        let before: Value = serde_json::from_slice(&json).unwrap();
        let text = before["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        let characters: Vec<_> = text.chars().collect();
        let word =
            |part: usize| characters.iter().skip(characters.len() * part / 5).take(6).collect();
        let words: Vec<String> =
            (0..5).map(word).chain(["the".to_owned(), "{".to_owned()]).collect();

        let mut editor = Editor::new();
        editor.replace("model", "alias");
        let guard = RelayGuard::new(Guard::with_bounds(16 << 20, 64));
        let guard = guard.redact(Words::new(&words), "[…]").pass_unwatched();
        let mut relay = Relay::builder().edit(editor).guard(guard).build();
        let mut expected = before.clone();
        expected["model"] = json!("alias");
        for choice in expected["choices"].as_array_mut().unwrap() {
            redact_message(&mut choice["message"], &words, "[…]");
        }
        // The relay is the same for a second completion.
        for _ in 0..2 {
            let mut out = b"before".to_vec();
            let written = relay.write_completion(&json, &mut out).unwrap();
            let after: Value = serde_json::from_slice(&out[6..]).unwrap();
            assert_eq!(after, expected, "{}", recording.file);
            redactions += written.redactions;
            let mut read = Vec::new();
            written.finished.completion.write_json(&mut read);
            let read: Value = serde_json::from_slice(&read).unwrap();
            // A completion that isn't whole may contain an error, which no completion of a stream has.
            let is_whole = before.get("not_whole").is_none();
            assert!(!is_whole || read == before, "{}", recording.file);
            let is_unfinished = written.finished.outcome == Outcome::DoneWithoutFinish;
            let choices = before["choices"].as_array().unwrap();
            let has_end = |choice: &Value| choice["finish_reason"].is_string();
            let is_finished = !choices.is_empty() && choices.iter().all(has_end);
            assert_eq!(is_unfinished, !is_finished, "{}", recording.file);
        }
        let mut out = Vec::new();
        Relay::builder().build().write_completion(&json, &mut out).unwrap();
        assert_eq!(out, json, "{}", recording.file);
    }
    assert!(redactions > 100 || support::recordings("openai-chat").is_empty(), "{redactions}");
}

/// A completion passes by an open stream, whose events remain held.
#[test]
fn a_completion_does_not_affect_an_open_stream() {
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "*");
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    let pieces = ["a secret se", "cret"].map(|text| event(0, &json!({ "content": text })));
    let _ = relay.push(pieces[0].as_bytes(), Duration::ZERO, &mut out);
    let body =
        json!({ "choices": [{ "index": 0, "message": { "content": "cret secret" } }] }).to_string();
    let mut written = Vec::new();
    let relayed = relay.write_completion(body.as_bytes(), &mut written).unwrap();
    assert_eq!(relayed.redactions, 1);
    assert_eq!(String::from_utf8(written).unwrap(), body.replace("secret", "*"));
    let stopped = relay.write_completion(b"{", &mut Vec::new()).unwrap_err();
    assert_eq!(stopped.as_str(), "unreadable");
    let _ = relay.push(pieces[1].as_bytes(), Duration::ZERO, &mut out);
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    assert_eq!(report.redactions, 2);
    assert_eq!(texts(&out)[&(0, 0, "content".to_owned())], "a * *");
}

/// Two choices of a whole completion are two texts, also if they share an index or lack it.
///
/// The expected text is that of the expression on each choice alone.
#[cfg(feature = "regex")]
#[test]
fn choices_of_a_completion_are_searched_apart() {
    use deltawire::gateway::Pattern;
    let texts = ["foo", "secret", "12", "4111 1111 1111 1111", "a sec", "ret b"];
    for expression in [r"\bsecret\b", "^secret", r"\b\d{4}(?:[ -]?\d{4}){3}\b", "secret"] {
        let regex = regex::Regex::new(expression).unwrap();
        for indexes in [["", ""], ["\"index\":0,", "\"index\":0,"], ["\"index\":3,", ""]] {
            for pair in texts.windows(2) {
                let body = |texts: [&str; 2]| {
                    let [a, b] = [0, 1].map(|at| {
                        format!("{{{}\"message\":{{\"content\":\"{}\"}}}}", indexes[at], texts[at])
                    });
                    format!("{{\"choices\":[{a},{b}]}}")
                };
                let (mut guard, mut out) = (Guard::new(), Vec::new());
                let pushed = guard.push_completion(body([pair[0], pair[1]]).as_bytes());
                assert_eq!(pushed, Ok(PushResult::Text));
                guard.finish_texts();
                guard.redact(&Pattern::new(regex.clone(), 64), "[X]").unwrap();
                guard.release_all(&mut out);
                let [one, other] = [0, 1].map(|at| regex.replace_all(pair[at], "[X]"));
                assert_eq!(String::from_utf8(out).unwrap(), body([&one, &other]), "{expression}");
            }
        }
    }
}

/// Nothing is written of a completion that is stopped or can't be read.
#[test]
fn a_completion_that_is_stopped_is_not_written() {
    let message = |message: &Value| {
        json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] })
            .to_string()
    };
    let calls =
        json!([{ "function": { "arguments": "a se" } }, { "function": { "arguments": "cret" } }]);
    let choice = |member: &str| {
        format!(r#"{{"choices":[{{"index":0,"message":{{"content":"a"}},{member}}}]}}"#)
    };
    for (body, expected) in [
        (message(&json!({ "content": "a secret" })), "content_filter"),
        (
            message(&json!({ "content": [{ "type": "text", "text": "a secret" }] })),
            "content_filter",
        ),
        (message(&json!({ "content": "a se", "refusal": "cret" })), ""),
        (message(&json!({ "content": "a", "tool_calls": calls })), ""),
        (message(&json!({ "content": "a", "audio": { "transcript": "a" } })), "unwatched_content"),
        (choice(r#""logprobs":{"content":[{"token":"a"}]}"#), "unwatched_content"),
        (choice(r#""delta":{"content":"a"}"#), "unwatched_content"),
        (choice(r#""message":{"content":"a"}"#), "unwatched_content"),
        (message(&json!({ "content": "a".repeat(300_000) })), "guard_exceeded"),
        (r#"{"error":{"message":"a"}}"#.to_owned(), "unreadable"),
        (message(&json!({})) + "]", "unreadable"),
    ] {
        let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
        let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
        let found = match relay.write_completion(body.as_bytes(), &mut out) {
            Ok(_) => "",
            Err(CompletionError::Stopped(reason)) => reason.as_str(),
            Err(_) => "unreadable",
        };
        let shown = &body[..body.len().min(200)];
        assert_eq!(found, expected, "{shown}");
        assert_eq!(String::from_utf8(out).unwrap(), if expected.is_empty() { &*body } else { "" });
    }
}
