//! Guards with finders: each match is redacted, wherever it is cut, and all other text remains.
//!
//! The oracle is a search of the whole text, character by character.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use deltawire::gateway::{
    CompletionError, Editor, Finder, Guard, PushResult, RedactionTooLong, Relay, RelayEnd,
    RelayGuard, TextMatch, WatchedTextKind, Words, assemble,
};
use deltawire::json::OwnedValue;
use deltawire::{ChunkDecoder, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::joined_texts::{ClientCalls, PositionClient, with_own_texts};

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
        // The choices begin in the order of their indexes.
        let mut stream = event(0, &json!({})) + &event(1, &json!({}));
        stream.extend(reasoning.iter().map(reasoning_event));
        for at in 0..first.len().max(second.len()) {
            for (index, pieces) in [(0, &first), (1, &second)] {
                if let Some(text) = pieces.get(at) {
                    let parts = json!([{ "type": "text", "text": text }]);
                    let content = if at > 3 { parts } else { json!(text) };
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
    #![proptest_config(crate::support::cases::cases("proptest-regressions/redaction.txt", 1500))]

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
    #![proptest_config(crate::support::cases::cases("proptest-regressions/redaction.txt", 1500))]

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

/// Sends a stream in pieces through a relay that redacts `secret`. Returns the texts of its output.
fn relayed(stream: &str, piece: usize) -> (Texts, u64) {
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "*");
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    for piece in stream.as_bytes().chunks(piece) {
        let _ = relay.push(piece, Duration::ZERO, &mut out);
    }
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    assert_eq!(report.outcome.as_str(), "complete", "{stream}");
    (texts(&out), report.redactions)
}

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A guard releases the same in any pieces, with comments and with other choices.
#[test]
fn a_text_is_held_for_events_of_its_choice() {
    let mut turns =
        event(0, &json!({ "reasoning": "a" })) + &event(0, &json!({ "content": "sec" }));
    for _ in 0..20 {
        turns += &event(0, &json!({ "reasoning": "b" }));
    }
    turns += &(event(0, &json!({ "content": "ret" })) + END);
    let turns = turns.replace('\n', "\r\n");

    let mut comments = event(0, &json!({ "reasoning": "x" }));
    comments += &(event(0, &json!({ "content": "sec" })) + &": ping\n\n".repeat(33));
    comments += &(event(0, &json!({ "reasoning": "y" })) + &event(0, &json!({ "content": "ret" })));
    comments += END;

    let mut choices = String::new();
    for (name, text) in
        [("reasoning", "x"), ("content", "sec"), ("reasoning", "y"), ("content", "ret")]
    {
        choices.extend((0..40).map(|index| event(index, &json!({ name: text }))));
    }
    choices.extend((1..40).map(|index| {
        END.split_inclusive("\n\n").next().unwrap().replace(":0", &format!(":{index}"))
    }));
    choices += END;

    for (stream, count) in [(turns, 1), (comments, 1), (choices, 40)] {
        for piece in [1, 2, 3, 1 << 20] {
            let (texts, redactions) = relayed(&stream, piece);
            assert_eq!(redactions, count, "{piece}");
            let contents: Vec<_> = texts.iter().filter(|(key, _)| key.2 == "content").collect();
            assert!(contents.iter().all(|(_, text)| *text == "*"), "{piece} {contents:?}");
        }
    }
}

/// Bytes over a limit and cut line ends cost the same in any pieces.
#[test]
fn the_bound_of_a_guard_does_not_depend_on_pieces() {
    let open = event(0, &json!({ "content": "sec" }));
    let skipped = format!("data: {}\n\n", "x".repeat(9000));
    let lines = format!("{open}{}", ": a\n\n".repeat(2000)).replace('\n', "\r\n");
    for (stream, most, expected) in [
        (open.clone() + &skipped, 20_000, "other"),
        (open + &skipped, 8_000, "guard_exceeded"),
        (lines.clone(), 150_000, "complete"),
        (lines, 140_000, "guard_exceeded"),
    ] {
        let outcomes = [1, 7, 100, 1 << 20].map(|piece| {
            let guard = RelayGuard::new(Guard::with_bounds(most, 64));
            let guard = guard.redact(Words::new(["secret"]), "*").pass_unwatched();
            let limits = deltawire::Limits::new().with_max_line_bytes(300);
            let (mut relay, mut out) =
                (Relay::builder().limits(limits).guard(guard).build(), Vec::new());
            for piece in stream.as_bytes().chunks(piece) {
                let _ = relay.push(piece, Duration::ZERO, &mut out);
            }
            let _ = relay.push(END.as_bytes(), Duration::ZERO, &mut out);
            relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out).outcome.to_string()
        });
        assert!(outcomes.iter().all(|outcome| *outcome == expected), "{most} {outcomes:?}");
    }
}

/// Sends a stream through a guard that passes unwatched values. Returns the outcome and the output.
fn relayed_with(guard: Guard, stream: &str, piece: usize) -> (String, Vec<u8>) {
    let guard = RelayGuard::new(guard).redact(Words::new(["secret"]), "*").pass_unwatched();
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    for piece in stream.as_bytes().chunks(piece) {
        let _ = relay.push(piece, Duration::ZERO, &mut out);
    }
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    (report.outcome.to_string(), out)
}

/// Bytes over a limit have no text and wait for none, so a guard that holds nothing passes them.
#[test]
fn bytes_over_a_limit_pass_an_empty_guard_in_any_pieces() {
    let comment = format!(": {}\n\n", "x".repeat(400_000));
    let stream = comment.clone() + END;
    for piece in [100, 1000, 1 << 14, 1 << 20] {
        let (outcome, out) = relayed_with(Guard::new(), &stream, piece);
        assert_eq!((&*outcome, out == stream.as_bytes()), ("complete", true), "{piece}");

        let (mut decoder, mut guard, mut out) = (ChunkDecoder::new(), Guard::new(), Vec::new());
        for mut input in comment.as_bytes().chunks(piece) {
            while let Some(event) = decoder.next(&mut input) {
                let pushed = guard.push(&event);
                assert!(matches!(pushed, PushResult::Unwatched | PushResult::NoText), "{pushed}");
                assert_eq!(guard.held_bytes(), 0, "{piece}");
                guard.release(0, &mut out);
            }
        }
        assert!(out == comment.as_bytes(), "{piece}");
    }
}

/// A decoder returns a comment with its blank line only if one piece contains both.
#[test]
fn a_comment_alone_is_not_counted_with_its_blank_line_or_without() {
    let comment = ": 12345678\r\n\r\n";
    for cut in 11..=comment.len() {
        let mut guard = Guard::with_bounds(74, 64);
        let mut decoder = ChunkDecoder::new();
        let (first, second) = comment.as_bytes().split_at(cut);
        for mut input in [first, second] {
            while let Some(event) = decoder.next(&mut input) {
                assert_eq!(guard.push(&event), PushResult::NoText, "{cut}");
                guard.release(0, &mut Vec::new());
            }
        }
    }
}

/// Behind a held text, bytes over a limit count, and after a release they fit.
#[test]
fn bytes_over_a_limit_behind_a_text_are_refused_in_any_pieces() {
    let open = event(0, &json!({ "content": "sec" }));
    let comment = format!(": {}\n\n", "x".repeat(400_000));
    let stream = open.clone() + &comment + END;
    for piece in [1000, 1 << 14, 1 << 20] {
        let (outcome, out) = relayed_with(Guard::new(), &stream, piece);
        assert_eq!((&*outcome, out.starts_with(b"data: {\"error")), ("guard_exceeded", true));

        // A guard that passes nothing unwatched stops for that reason, before it is full.
        let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "*");
        let mut relay = Relay::builder().guard(guard).build();
        for piece in stream.as_bytes().chunks(piece) {
            let _ = relay.push(piece, Duration::ZERO, &mut Vec::new());
        }
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut Vec::new());
        assert_eq!(report.outcome.as_str(), "unwatched_content", "{piece}");

        let (mut decoder, mut guard, mut out) = (ChunkDecoder::new(), Guard::new(), Vec::new());
        let held = open.clone() + &comment;
        let mut is_full = false;
        for mut input in held.as_bytes().chunks(piece) {
            while let Some(event) = decoder.next(&mut input) {
                let mut pushed = guard.push(&event);
                if pushed == PushResult::Full {
                    is_full = true;
                    guard.release_all(&mut out);
                    pushed = guard.push(&event);
                }
                assert!(!matches!(pushed, PushResult::Full | PushResult::TooLarge), "{pushed}");
            }
        }
        guard.release_all(&mut out);
        assert!(is_full && out == held.as_bytes(), "{piece}");
    }
}

/// A decoder returns an event at its last CR: the LF behind it may come later, or never.
#[test]
fn the_bound_of_a_guard_does_not_depend_on_a_cut_in_the_last_line_end() {
    let text = event(0, &json!({ "content": "sec" })).replace('\n', "\r\n");
    let no_text = "data: {\"choices\":[]}\r\n\r\n";
    let cost = text.len() + 64 + 64 + 3 + no_text.len() + 64;
    let stream = text.clone() + no_text;
    for (most, is_enough) in [(cost - 2, true), (cost - 3, false)] {
        for cut in [stream.len(), stream.len() - 1, text.len() - 1] {
            let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(most, 64));
            let (first, second) = stream.as_bytes().split_at(cut);
            let mut is_held = true;
            for mut input in [first, second] {
                while let Some(event) = decoder.next(&mut input) {
                    is_held &= guard.push(&event) != PushResult::Full;
                }
            }
            assert_eq!(is_held, is_enough, "{most} {cut}");
        }
    }
    let alone = no_text.len() - 1 + 64;
    for (most, expected) in [(alone, PushResult::NoText), (alone - 1, PushResult::TooLarge)] {
        for cut in [no_text.len(), no_text.len() - 1] {
            let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(most, 64));
            let pushed = guard.push(&decoder.next(&mut &no_text.as_bytes()[..cut]).unwrap());
            assert_eq!(pushed, expected, "{most} {cut}");
        }
    }
}

/// The limits of a guard that its docs state: escapes in arguments, halves of surrogate pairs.
#[test]
fn a_guard_searches_the_text_of_arguments_and_not_their_values() {
    for (arguments, expected) in [
        (r#"{"a":"secret"}"#, r#"{"a":"*"}"#),
        (r#"{"a":"s\u0065cret"}"#, r#"{"a":"s\u0065cret"}"#),
    ] {
        let call = json!([{ "index": 0, "function": { "arguments": arguments } }]);
        let (texts, _) = relayed(&(event(0, &json!({ "tool_calls": call })) + END), 1 << 20);
        assert_eq!(texts[&(0, 0, "arguments 0".to_owned())], expected);
    }
    let half = event(0, &json!({ "content": "secret @" })).replace('@', r"\ud83d");
    for (words, expected) in [("secret", "* \u{fffd}"), ("absent", r"secret \ud83d")] {
        let guard = RelayGuard::new(Guard::new()).redact(Words::new([words]), "*").pass_unwatched();
        let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
        let _ = relay.push((half.clone() + END).as_bytes(), Duration::ZERO, &mut out);
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        assert_eq!(report.redactions, u64::from(words == "secret"));
        assert!(String::from_utf8(out).unwrap().contains(&format!("\"{expected}\"")));
    }
}

/// A text that has ended is released. If it continues, the rest of a match across its end is
/// replaced.
#[test]
fn a_match_across_the_end_of_a_text_is_replaced_from_there_on() {
    let finish = |text: &str| {
        let delta = json!({ "content": text });
        let choice = json!([{ "index": 0, "delta": delta, "finish_reason": "stop" }]);
        format!("data: {}\n\n", json!({ "choices": choice }))
    };
    let content = |text: &str| event(0, &json!({ "content": text }));
    let call = |index: u64, text: &str| {
        let call = json!([{ "index": index, "function": { "arguments": text } }]);
        event(0, &json!({ "tool_calls": call }))
    };
    let refusal = || event(0, &json!({ "refusal": "x" }));
    let mut interrupted = event(0, &json!({ "reasoning": "x" })) + &content("a sec");
    for _ in 0..33 {
        interrupted += &event(0, &json!({ "reasoning": "x" }));
    }
    for (stream, name, expected) in [
        (content("a sec") + &refusal() + &content("ret b"), "content", "a sec* b"),
        (content("a sec") + &refusal() + &content("r") + &content("et"), "content", "a sec*"),
        (
            content("se") + &refusal() + &content("c") + &refusal() + &content("ret"),
            "content",
            "se*",
        ),
        (content("a sec") + &refusal() + &content("rot"), "content", "a secrot"),
        (content("a secret") + &refusal() + &content("secret"), "content", "a **"),
        (call(0, "sec") + &call(1, "x") + &call(0, "ret"), "arguments 0", "sec*"),
        (finish("sec") + &finish("ret"), "content", "sec*"),
        (interrupted + &content("ret"), "content", "a sec*"),
    ] {
        for piece in [1, 1 << 20] {
            let (texts, redactions) = relayed(&(stream.clone() + END), piece);
            let joined: String =
                texts.iter().filter(|(key, _)| key.2 == name).map(|(_, text)| &**text).collect();
            assert_eq!(joined, expected, "{stream}");
            assert_eq!(redactions, expected.matches('*').count() as u64, "{stream}");
        }
        let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
        let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
        let _ = relay.push((stream + END).as_bytes(), Duration::ZERO, &mut out);
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        let is_stopped = report.outcome.as_str() == "content_filter";
        assert_eq!(is_stopped, expected.contains('*'), "{}", report.outcome);
    }
}

/// The overlap bounds the part of a match that may be released.
#[test]
fn an_overlap_bounds_the_match_across_the_end_of_a_text() {
    let stream = event(0, &json!({ "content": "sec" }))
        + &event(0, &json!({ "refusal": "x" }))
        + &event(0, &json!({ "content": "ret" }));
    for (overlap, expected) in [(3, "sec*"), (2, "secret")] {
        let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(1000, overlap));
        let (mut input, mut out) = (stream.as_bytes(), Vec::new());
        while let Some(event) = decoder.next(&mut input) {
            let _ = guard.push(&event);
            guard.redact(&Words::new(["secret"]), "*").unwrap();
            guard.release_searched(&mut out);
        }
        guard.release_all(&mut out);
        assert_eq!(texts(&out)[&(0, 0, "content".to_owned())], expected);
    }
}

/// Finds words with a word boundary before them, and `^` at the start of the text.
struct AtBoundary(&'static [&'static str]);

impl Finder for AtBoundary {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        (from..text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|at| {
            let before = text[..at].chars().next_back();
            let is_word = before.is_some_and(char::is_alphanumeric);
            let starts = |word: &&str| match word.strip_prefix('^') {
                _ if is_word => None,
                Some(word) if before.is_some() || !text[at..].starts_with(word) => None,
                Some(word) => Some(word.len()),
                None => text[at..].starts_with(word).then_some(word.len()),
            };
            let len = self.0.iter().find_map(starts)?;
            Some(at..at + len)
        })
    }

    fn open_len(&self, text: &str) -> usize {
        text.len().min(8)
    }
}

/// A search behind a mask sees the character that was there before, in all cuts of the text.
#[test]
fn a_mask_changes_no_text_for_a_search_behind_it() {
    for (text, words, expected) in [
        ("Use Bearer sk-12345 ok ok ok", &["Bearer ", "sk-12345"][..], "Use MM ok ok ok"),
        ("aab aab xxxxxxxxx", &["aab ", "x"], "MMMxxxxxxxx"),
        ("aaaab", &["^a"], "Maaab"),
        ("abcd  abcd", &["abcd", " "], "M MM"),
        ("éa éa", &["é", "a"], "Ma Ma"),
        ("abab", &["ab"], "Mab"),
    ] {
        let finder = AtBoundary(words);
        let expected_of = |mask: &str| expected.replace('M', mask);
        for mask in ["REDACTED", "*", " ", ""] {
            for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let pieces = [&text[..cut], &text[cut..]];
                let stream: String =
                    pieces.iter().map(|piece| event(0, &json!({ "content": piece }))).collect();
                let (out, _) = redact(stream.as_bytes(), 1 << 20, &finder, mask).unwrap();
                let found = &texts(&out)[&(0, 0, "content".to_owned())];
                assert_eq!(*found, expected_of(mask), "{mask:?} {pieces:?}");
            }
            let each: String =
                text.chars().map(|piece| event(0, &json!({ "content": piece }))).collect();
            let (out, _) = redact(each.as_bytes(), 1 << 20, &finder, mask).unwrap();
            let found = &texts(&out)[&(0, 0, "content".to_owned())];
            assert_eq!(*found, expected_of(mask), "{mask:?} {text}");
        }
    }
}

/// A match of one search that another one masks: the other search sees the text as it was.
#[test]
fn a_mask_changes_no_text_for_another_search() {
    let stream = event(0, &json!({ "content": "ok ok ok ok Bearer sk-1" }))
        + &event(0, &json!({ "content": "2345 ok ok ok" }));
    let (mut decoder, mut guard, mut input) =
        (ChunkDecoder::new(), Guard::new(), stream.as_bytes());
    let mut found = 0;
    while let Some(event) = decoder.next(&mut input) {
        let _ = guard.push(&event);
        found += usize::from(guard.stop_at(&AtBoundary(&["sk-12345"])).is_some());
        guard.redact(&AtBoundary(&["Bearer "]), "REDACTED").unwrap();
        guard.release_searched(&mut Vec::new());
    }
    assert_eq!(found, 1);
}

/// A text that has ended and continues: the other search sees no mask in it, and no text around one.
#[test]
fn a_mask_in_a_text_that_continues_is_not_searched() {
    for (first, second, stop, expected) in [
        ("secret", "x", &["secret!", "*x"][..], None),
        ("secret", "x", &["secret!", "tx"], None),
        ("a secret b", "c", &["secret!", "a * b", "b c", " bc"], Some(" bc")),
        ("secret", "!x", &["secret!", "*!", "!x"], Some("!x")),
        ("secret a", "b secret c", &["secret!", "a*", "* c", "ab", "* a"], Some("ab")),
    ] {
        let stream = event(0, &json!({ "content": first }))
            + &event(0, &json!({ "refusal": "r" }))
            + &event(0, &json!({ "content": second }));
        let (mut decoder, mut guard, mut input) =
            (ChunkDecoder::new(), Guard::new(), stream.as_bytes());
        let (stop, mut found) = (Words::new(stop), None);
        while let Some(event) = decoder.next(&mut input) {
            let _ = guard.push(&event);
            found = guard.stop_at(&stop).and_then(|found| {
                let text = guard.texts().find(|text| text.id == found.id).unwrap();
                Some(text.text.get(found.range)?.to_owned())
            });
            if found.is_some() {
                break;
            }
            guard.redact(&Words::new(["secret"]), "*").unwrap();
            guard.release_searched(&mut Vec::new());
        }
        assert_eq!(found.as_deref(), expected, "{first} {second}");
    }
}

/// A finish reason of an unknown choice doesn't end the texts of choice 0.
#[test]
fn a_finish_reason_with_an_invalid_index_ends_no_text() {
    for index in ["-1", "1.5", "18446744073709551616", "\"0\""] {
        let finish = format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
        );
        let stream = event(0, &json!({ "content": "secre" }))
            + &finish
            + &event(0, &json!({ "content": "t" }))
            + END;
        for overlap in [0, 256] {
            let guard = RelayGuard::new(Guard::with_bounds(1 << 18, overlap));
            let guard = guard.redact(Words::new(["secret"]), "*").pass_unwatched();
            let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
            let _ = relay.push(stream.as_bytes(), Duration::ZERO, &mut out);
            let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
            assert_eq!(report.redactions, 1, "{index} {overlap}");
            assert_eq!(texts(&out).into_values().collect::<String>(), "*", "{index} {overlap}");
        }
    }
}

/// Returns `redacted` or `unwatched` for a stream whose texts together are `secret`.
fn redacted_or_unwatched(deltas: &[Value]) -> String {
    let events: String = deltas.iter().map(|delta| event(0, delta)).collect();
    let stream = events + END;
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "*");
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    let _ = relay.push(stream.as_bytes(), Duration::ZERO, &mut out);
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    let mut json = Vec::new();
    assemble([&out[..]]).completion.write_json(&mut json);
    assert!(!String::from_utf8(json).unwrap().contains("secret"), "{stream}");
    match report.outcome.as_str() {
        "complete" if report.redactions > 0 => "redacted".to_owned(),
        "unwatched_content" => "unwatched".to_owned(),
        other => other.to_owned(),
    }
}

/// Reasoning under two names is one text of the completion, and two for some clients.
#[test]
fn reasoning_has_the_same_names_in_each_delta() {
    let thought = |text: &str| json!({ "content": [{ "type": "thinking", "thinking": text }] });
    let both = |one: &str, other: &str| json!({ "reasoning_content": one, "reasoning": other });
    let [sec, ret] = ["sec", "ret"].map(|text| json!({ "reasoning": text }));
    let [sec_content, ret_content] =
        ["sec", "ret"].map(|text| json!({ "reasoning_content": text }));
    let mut part_and_member = thought("sec");
    part_and_member["reasoning_content"] = json!("sec");
    for (deltas, expected) in [
        (vec![sec_content.clone(), ret.clone()], "unwatched"),
        (vec![both("sec", "ret")], "unwatched"),
        (vec![both("sec", "sec"), ret.clone()], "unwatched"),
        (vec![sec, both("ret", "ret")], "unwatched"),
        (vec![thought("sec"), ret_content.clone()], "unwatched"),
        (vec![part_and_member], "unwatched"),
        (vec![both("sec", "sec"), both("ret", "ret")], "redacted"),
        (vec![both("sec", ""), ret_content], "redacted"),
        (vec![thought("sec"), ret], "redacted"),
    ] {
        assert_eq!(redacted_or_unwatched(&deltas), expected, "{deltas:?}");
    }
    let whole = |message: &Value| {
        let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "*");
        let body = json!({ "choices": [{ "index": 0, "message": message }] }).to_string();
        let mut relay = Relay::builder().guard(guard).build();
        let written = relay.write_completion(body.as_bytes(), &mut Vec::new());
        written.map_or_else(|error| error.as_str(), |_| "")
    };
    assert_eq!(whole(&both("sec", "ret")), "unwatched_content");
    assert_eq!(whole(&both("sec", "sec")), "");
}

/// The texts of a call or detail are those that the completion merges into one, by index and id.
#[test]
fn a_text_of_an_element_is_one_text_or_unwatched() {
    let call = |members: &str, arguments: &str| {
        let function = json!({ "arguments": arguments });
        let mut call: Value = serde_json::from_str(members).unwrap();
        if let Some(name) = call.as_object_mut().unwrap().remove("name") {
            call["function"]["name"] = name;
        }
        call["function"]["arguments"] = function["arguments"].clone();
        json!({ "tool_calls": [call] })
    };
    let two_calls = json!({ "tool_calls": [
        { "id": "a", "function": { "name": "f", "arguments": "sec" } },
        { "id": "b", "function": { "name": "g", "arguments": "x" } },
    ] });
    let function = |text: &str| json!({ "function_call": { "arguments": text } });
    let mut function_and_call = function("sec");
    function_and_call["tool_calls"] = call("{}", "x")["tool_calls"].clone();
    let long_id = json!({ "id": "a".repeat(1025) }).to_string();

    let [a, b] = [r#"{"index":0,"id":"a"}"#, r#"{"index":0,"id":"b"}"#];
    let new_a = r#"{"index":0,"id":"a","name":"f"}"#;
    let (only_id, second_a) = (r#"{"id":"a"}"#, r#"{"index":1,"id":"a","name":"f"}"#);
    let other_name = r#"{"index":0,"name":"g"}"#;
    for (deltas, expected) in [
        (vec![call(new_a, "sec"), call(b, "ret")], "redacted"),
        (vec![two_calls, call(only_id, "ret")], "redacted"),
        (vec![call(new_a, "sec"), call(only_id, "ret")], "redacted"),
        (vec![call(new_a, "sec"), call("{}", "ret")], "redacted"),
        (vec![call(new_a, "x"), call(second_a, "sec"), call(only_id, "ret")], "unwatched"),
        (vec![call(new_a, "{}"), call(other_name, "sec"), call(a, "ret")], "unwatched"),
        (vec![call(&long_id, "sec"), call("{}", "ret")], "unwatched"),
        (vec![function_and_call, function("ret")], "redacted"),
    ] {
        assert_eq!(redacted_or_unwatched(&deltas), expected, "{deltas:?}");
    }
}

/// Returns a delta with a tool call. An empty id is left out.
fn call(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
    let mut call = json!({ "function": { "name": name, "arguments": arguments } });
    if let Some(index) = index {
        call["index"] = index.into();
    }
    if !id.is_empty() {
        call["id"] = id.into();
    }
    json!({ "tool_calls": [call] })
}

/// Clients that find elements by position, or that read one form of a text alone, join other pieces.
#[test]
fn texts_that_a_client_joins_over_others_are_unwatched() {
    let first = |id: &str, name: &str, arguments: &str| call(Some(0), id, name, arguments);
    let of = |id: &str, arguments: &str| call(Some(0), id, "", arguments);
    let part = |kind: &str, text: &str| json!({ "content": [{ "type": kind, "text": text }] });
    let second = |arguments: &str| call(Some(1), "", "", arguments);
    let detail_of =
        |index: u64, text: &str| json!({ "reasoning_details": [{ "index": index, "text": text }] });
    let summary = |index: u64, text: &str| json!({ "reasoning_details": [{ "index": index, "summary": text }] });
    let both = |text: &str| json!({ "reasoning": text, "reasoning_details": [{ "index": 0, "text": text }] });
    let together = |deltas: &[&Value]| {
        let calls: Vec<_> = deltas.iter().map(|delta| &delta["tool_calls"][0]).collect();
        json!({ "tool_calls": calls })
    };
    for (deltas, expected) in [
        // openai-python before 3.57 finds an element by its position in the list.
        (
            vec![together(&[&first("a", "f", "sec"), &first("b", "f", "x")]), of("c", "ret")],
            "unwatched",
        ),
        (
            vec![together(&[&first("a", "f", "x"), &first("b", "f", "sec")]), second("ret")],
            "unwatched",
        ),
        (vec![together(&[&second("sec"), &first("a", "f", "x")]), of("", "ret")], "unwatched"),
        (vec![second("sec"), of("", "ret")], "unwatched"),
        (vec![second("sec"), second("ret")], "redacted"),
        (vec![second(""), first("a", "", "sec"), second("x"), of("", "ret")], "redacted"),
        (vec![json!({ "tool_calls": [] }), second("sec"), of("", "ret")], "unwatched"),
        (
            vec![
                json!({ "tool_calls": [null, first("a", "f", "sec")["tool_calls"][0]] }),
                second("ret"),
            ],
            "unwatched",
        ),
        (vec![detail_of(1, "sec"), detail_of(0, "ret")], "unwatched"),
        (vec![detail_of(0, "x"), detail_of(2, "sec"), detail_of(1, "ret")], "unwatched"),
        (vec![detail_of(0, "x"), detail_of(2, "sec"), detail_of(2, "ret")], "redacted"),
        // OpenRouter's provider for the AI SDK joins all details, and reads the reasoning without them.
        (vec![detail_of(0, "sec"), detail_of(1, "ret")], "redacted"),
        (vec![detail_of(0, "sec"), detail_of(1, "x"), detail_of(0, "ret")], "unwatched"),
        (vec![summary(0, "sec"), summary(1, "ret")], "redacted"),
        (vec![summary(0, "sec"), detail_of(0, "ret")], "unwatched"),
        (vec![both("se"), both("cret")], "redacted"),
        (
            vec![
                both("se"),
                json!({ "reasoning": "x", "reasoning_details": [{ "index": 0, "signature": "s" }] }),
                both("cret"),
            ],
            "unwatched",
        ),
        (
            vec![json!({ "reasoning_details": [{ "text": "sec" }] }), detail_of(0, "ret")],
            "unwatched",
        ),
        (
            vec![
                json!({ "reasoning_details": [{ "text": "sec" }] }),
                json!({ "reasoning_details": [{ "text": "ret" }] }),
            ],
            "redacted",
        ),
        // Clients that read a content of one form alone skip that of another one.
        (vec![json!({ "content": "sec" }), json!({ "content": ["ret"] })], "redacted"),
        (
            vec![
                json!({ "content": "sec" }),
                json!({ "content": ["x"] }),
                json!({ "content": "ret" }),
            ],
            "unwatched",
        ),
        (vec![json!({ "content": [{ "type": "text", "text": "sec", "index": 0 }] })], "unwatched"),
        (vec![part("text", "sec"), part("text", "ret")], "redacted"),
        (vec![part("text", "sec"), part("output_text", "x"), part("text", "ret")], "unwatched"),
        (
            vec![part("text", "sec"), json!({ "content": [{ "text": "x" }] }), part("text", "ret")],
            "unwatched",
        ),
        // `reasoning_content ?? reasoning`
        (
            vec![
                json!({ "reasoning": "sec" }),
                json!({ "reasoning_content": "", "reasoning": "x" }),
                json!({ "reasoning": "ret" }),
            ],
            "unwatched",
        ),
    ] {
        assert_eq!(redacted_or_unwatched(&deltas), expected, "{deltas:?}");
    }
}

/// OpenRouter's provider for the AI SDK skips a text under another type than its own.
#[test]
fn a_detail_of_another_type_than_that_of_its_text_is_another_form() {
    let typed = |kind: &str, text: &str| {
        let kind = format!("reasoning.{kind}");
        json!({ "reasoning_details": [{ "type": kind, "index": 0, "text": text }] })
    };
    let untyped = json!({ "reasoning_details": [{ "index": 0, "text": "x" }] });
    for (deltas, expected) in [
        (vec![typed("text", "sec"), typed("encrypted", "x"), typed("text", "ret")], "unwatched"),
        (vec![typed("text", "sec"), untyped, typed("text", "ret")], "unwatched"),
        (vec![typed("text", "sec"), typed("text", "ret")], "redacted"),
    ] {
        assert_eq!(redacted_or_unwatched(&deltas), expected, "{deltas:?}");
    }
}

/// Clients of OpenAI join the calls and details of an index, and others tell them apart by id.
///
/// A text is in the order of the deltas, so both are searched unless a client skips a piece of it.
#[test]
fn elements_of_an_index_are_one_text_or_unwatched() {
    let first = |id: &str, name: &str, arguments: &str| call(Some(0), id, name, arguments);
    let of = |id: &str, arguments: &str| call(Some(0), id, "", arguments);
    let without_index = |id: &str, arguments: &str| call(None, id, "", arguments);
    let detail = |id: &str, text: &str| json!({ "reasoning_details": [{ "type": "t", "index": 0, "id": id, "text": text }] });
    let many_ids: Vec<_> = (0..3000).map(|id| of(&format!("call_{id}"), "x")).collect();
    let made_up = [&[first("a", "f", "s")], &*many_ids, &[of("b", "secret")]].concat();
    for (deltas, expected) in [
        (vec![first("a", "f", "sec"), first("b", "f", "ret")], "redacted"),
        (vec![first("a", "sec", "{}"), first("b", "ret", "{}")], "redacted"),
        (vec![first("a", "f", "sec"), of("b", "r"), of("c", "et")], "redacted"),
        (
            vec![
                first("a", "f", ""),
                of("", "x"),
                first("b", "g", ""),
                of("", "sec"),
                of("", "ret"),
            ],
            "redacted",
        ),
        (vec![first("a", "f", "sec"), without_index("a", "ret")], "redacted"),
        (made_up, "redacted"),
        // Clients that join by id skip the second piece, and LangChain joins the first call of an index.
        (vec![first("a", "f", "sec"), first("b", "f", "x"), of("a", "ret")], "unwatched"),
        (vec![first("a", "f", "sec"), first("b", "f", "x"), of("", "ret")], "unwatched"),
        (vec![first("a", "f", "x"), of("b", "sec"), of("c", "x"), of("b", "ret")], "unwatched"),
        // Clients that join by index skip a call without one.
        (vec![first("a", "f", "sec"), without_index("", "x"), of("", "ret")], "unwatched"),
        (vec![first("a", "f", "sec"), without_index("a", "x"), of("b", "ret")], "unwatched"),
        (vec![detail("1", "sec"), detail("2", "ret")], "redacted"),
        (vec![detail("1", "sec"), detail("2", "x"), detail("1", "ret")], "unwatched"),
    ] {
        let start = &deltas[..deltas.len().min(5)];
        assert_eq!(redacted_or_unwatched(&deltas), expected, "{start:?}");
    }
    let stream = event(0, &first("a", "f", "sec")) + &event(0, &first("b", "f", "ret"));
    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    let _ = relay.push(stream.as_bytes(), Duration::ZERO, &mut out);
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    assert_eq!(report.outcome.as_str(), "content_filter");
}

/// Some clients skip a chunk with another name, of another API, or with an `Index`.
#[test]
fn a_text_between_chunks_that_a_client_skips_is_unwatched() {
    let chunk = |object: &str, text: &str| {
        let choices = json!([{ "index": 0, "delta": { "content": text } }]);
        format!("data: {}\n\n", json!({ "object": object, "choices": choices }))
    };
    let named = |text: &str| chunk("chat.completion.chunk", text);
    let typed = |name: &str, text: &str| format!("event: {name}\n{}", named(text));
    let indexed = |indexes: &[Value], text: &str| {
        let choices = indexes.iter();
        let choices: Vec<_> =
            choices.map(|index| json!({ "index": index, "delta": { "content": text } })).collect();
        format!("data: {}\n\n", json!({ "object": "chat.completion.chunk", "choices": choices }))
    };
    let odd_index = r#"data: {"choices":[{"index":0,"Index":1,"delta":{"content":"x"}}]}"#;
    for (events, is_unwatched) in [
        ([named("sec"), named("x"), named("ret")], false),
        ([chunk("", "sec"), chunk("", "x"), chunk("", "ret")], false),
        ([chunk("", "sec"), named("r"), named("et")], false),
        ([named("sec"), chunk("", "x"), named("ret")], true),
        ([named("sec"), format!("event: thread.x\n{}", named("x")), named("ret")], true),
        // Earlier versions of openai-node yield the data of an event with a type as no chunk.
        ([named("sec"), typed("message", "x"), named("ret")], true),
        ([named("sec"), typed("", "x"), named("ret")], true),
        ([typed("a", "sec"), typed("b", "x"), typed("a", "ret")], true),
        ([typed("a", "sec"), typed("a", "x"), typed("a", "ret")], false),
        ([named("sec"), typed("message", "r"), typed("message", "et")], false),
        ([named("sec"), format!("{odd_index}\n\n"), named("ret")], true),
        // openai-node has a choice without an index beside the list.
        ([named("sec"), indexed(&[json!(null)], "x"), named("ret")], true),
        ([named("sec"), indexed(&[json!(null)], "r"), indexed(&[json!(null)], "et")], false),
        // Some clients read the first choice of a chunk alone, also if another one has its index.
        ([named("sec"), indexed(&[json!(0), json!(0)], "x"), named("ret")], true),
        ([named("sec"), indexed(&[json!(1), json!(0), json!(1)], "x"), named("ret")], true),
        ([named("sec"), indexed(&[json!(0), json!(1)], "x"), named("ret")], false),
    ] {
        let (mut guard, mut decoder) = (Guard::new(), ChunkDecoder::new());
        let mut push = |event: &String| {
            guard.push(&decoder.next(&mut event.as_bytes()).unwrap()) == PushResult::Unwatched
        };
        assert_eq!(events.iter().any(&mut push), is_unwatched, "{events:?}");
    }
}

/// The result of an event doesn't depend on whether it was rejected before.
#[test]
fn an_unwatched_event_that_was_rejected_is_unwatched_again() {
    let part = json!({ "content": [{ "type": "text", "text": "x" }] });
    let last = json!({ "content": "cret", "reasoning": "r".repeat(300) });
    let events = [event(0, &json!({ "content": "se" })), event(0, &part), event(0, &last)];
    let comment = format!(": {}\n\n", "c".repeat(400));
    for bound in (900..2000).step_by(50) {
        let (mut guard, mut decoder) = (Guard::with_bounds(bound, 256), ChunkDecoder::new());
        let mut is_unwatched = false;
        for event in [&events[0], &events[1], &comment, &events[2]] {
            let event = decoder.next(&mut event.as_bytes()).unwrap();
            let mut pushed = guard.push(&event);
            if pushed == PushResult::Full {
                guard.release_all(&mut Vec::new());
                pushed = guard.push(&event);
            }
            is_unwatched |= pushed == PushResult::Unwatched;
        }
        assert!(is_unwatched, "{bound}");
    }
}

/// openai-python before 3.57 finds a choice by its position, too.
#[test]
fn choices_in_another_order_than_that_of_their_indexes_are_unwatched() {
    let empty = json!({ "object": "chat.completion.chunk", "choices": [] });
    let unnamed = |chunk: &Value| json!({ "object": "", "choices": chunk["choices"] });
    let chunk = |choices: &[(u64, &str)]| {
        let choices = choices.iter();
        let choice =
            |(index, text): &(u64, &str)| json!({ "index": index, "delta": { "content": text } });
        let choices: Vec<_> = choices.map(choice).collect();
        json!({ "object": "chat.completion.chunk", "choices": choices })
    };
    for (chunks, is_unwatched) in [
        (vec![empty.clone(), chunk(&[(1, "xy")]), chunk(&[(0, "z")])], true),
        (vec![empty.clone(), chunk(&[(1, "")]), chunk(&[(0, "z")]), chunk(&[(1, "xy")])], false),
        (vec![empty.clone(), chunk(&[(0, "xy")]), chunk(&[(1, "z")]), chunk(&[(0, "z")])], false),
        (vec![empty.clone(), chunk(&[(1, "x"), (0, "z")])], true),
        (vec![chunk(&[(1, "xy"), (0, "z")]), chunk(&[(0, "z")])], false),
        (vec![chunk(&[(0, "xy"), (0, "q")]), chunk(&[(0, "z")])], true),
        // The client fails on the first chunk.
        (vec![chunk(&[(1, "xy")]), chunk(&[(0, "z")])], false),
        // The client skips an object of another name.
        (vec![unnamed(&chunk(&[(1, "xy")])), chunk(&[(0, "z")])], true),
        (vec![unnamed(&empty), chunk(&[(1, "xy")]), chunk(&[(0, "z")])], false),
    ] {
        let (mut guard, mut decoder) = (Guard::new(), ChunkDecoder::new());
        let mut push = |chunk: &Value| {
            let event = format!("data: {chunk}\n\n");
            guard.push(&decoder.next(&mut event.as_bytes()).unwrap()) == PushResult::Unwatched
        };
        assert_eq!(chunks.iter().any(&mut push), is_unwatched, "{chunks:?}");
    }
}

/// The numbers 2^53 and 2^53 + 1 are equal in JavaScript, so such indexes are one for some clients.
#[test]
fn an_index_beyond_those_of_javascript_is_unwatched() {
    let exact = (1u64 << 53) - 1;
    for (index, expected) in [(exact, PushResult::Text), (exact + 1, PushResult::Unwatched)] {
        let call = json!({ "tool_calls": [{ "index": index, "function": { "arguments": "a" } }] });
        let detail = json!({ "reasoning_details": [{ "index": index, "text": "a" }] });
        for stream in [event(0, &call), event(0, &detail), event(index, &json!({ "content": "a" }))]
        {
            let mut decoder = ChunkDecoder::new();
            let pushed = Guard::new().push(&decoder.next(&mut stream.as_bytes()).unwrap());
            assert_eq!(pushed, expected, "{stream}");
        }
    }
}

/// Generates a delta of any form, with names and keys that are absent, new or known.
fn any_delta() -> impl Strategy<Value = Value> {
    let maybe =
        |values: &'static [&'static str]| proptest::option::of(proptest::sample::select(values));
    let index = || proptest::option::weighted(0.7, 0u64..3);
    let object = |members: Vec<(&str, Option<Value>)>| {
        let members =
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(members.collect())
    };
    let text = || maybe(&["", "a", "{}", "{", "}", "c\u{e9}"]);
    let function = move || {
        (maybe(&["", "f", "f", "g"]), text()).prop_map(move |(name, text)| {
            object(vec![("name", name.map(Value::from)), ("arguments", text.map(Value::from))])
        })
    };
    let call = (index(), maybe(&["", "x", "y", "z"]), function()).prop_map(
        move |(index, id, function)| {
            object(vec![
                ("index", index.map(Value::from)),
                ("id", id.map(Value::from)),
                ("function", Some(function)),
            ])
        },
    );
    let detail = (index(), maybe(&["x", "y"]), maybe(&["t", "s"]), text(), text()).prop_map(
        move |(index, id, kind, text, summary)| {
            object(vec![
                ("index", index.map(Value::from)),
                ("id", id.map(Value::from)),
                ("type", kind.map(Value::from)),
                ("text", text.map(Value::from)),
                ("summary", summary.map(Value::from)),
            ])
        },
    );
    let part = (0..5u8, text()).prop_map(|(form, text)| {
        let text = text.unwrap_or("d");
        match form {
            0 => json!(text),
            1 => json!({ "type": "text", "text": text }),
            2 => json!({ "index": 0, "type": "text", "text": text }),
            3 => json!({ "type": "refusal", "refusal": text }),
            _ => json!({ "type": "thinking", "thinking": [{ "type": "text", "text": text }] }),
        }
    });
    prop_oneof![
        4 => vec(call, 1..3).prop_map(|calls| json!({ "tool_calls": calls })),
        1 => function().prop_map(|function| json!({ "function_call": function })),
        2 => vec(detail, 1..3).prop_map(|details| json!({ "reasoning_details": details })),
        1 => vec(part, 1..3).prop_map(|parts| json!({ "content": parts })),
        1 => text().prop_map(|text| json!({ "content": text })),
        1 => text().prop_map(|text| json!({ "reasoning": text })),
        1 => (text(), text()).prop_map(|(one, other)| json!({ "reasoning": one, "reasoning_content": other })),
        1 => text().prop_map(|text| json!({ "reasoning": text, "reasoning_content": text })),
    ]
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/redaction.txt", 4000))]

    /// Each text of a completion is in a text of the guard, up to the first unwatched event.
    ///
    /// So no match spans two texts of the guard. The same holds for the calls of two clients.
    #[test]
    fn the_texts_of_a_guard_are_those_of_the_completion(
        deltas in vec((0u64..2, any_delta()), 1..12),
    ) {
        let mut guard = Guard::with_bounds(1 << 20, 1 << 20);
        let mut stream = String::new();
        let (mut texts, mut clients) = (Vec::new(), ClientCalls::default());
        for (index, delta) in &deltas {
            let event = event(*index, delta);
            let pushed = guard.push(&ChunkDecoder::new().next(&mut event.as_bytes()).unwrap());
            if pushed == PushResult::Unwatched {
                break;
            }
            stream += &event;
            clients.push(*index, delta);
            texts = guard.texts().map(|text| (text.id, text.text.to_owned())).collect();
        }
        for joined in clients.texts() {
            prop_assert!(texts.iter().any(|(_, text)| text.contains(&**joined)) || joined.is_empty(), "{} {}", joined, stream);
        }
        let completion = assemble([stream.as_bytes()]).completion;
        for choice in &completion.choices {
            let of = |kind: WatchedTextKind| {
                let own = texts.iter().filter(move |(id, _)| id.choice == choice.index && id.kind == kind);
                own.map(|(id, text)| (id.element, &**text)).filter(|(_, text)| !text.is_empty())
            };
            let alone = |kind| of(kind).find(|(element, _)| element.is_none()).map_or("", |(_, text)| text);
            let message = &choice.message;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            prop_assert_eq!(text(&message.content), alone(WatchedTextKind::Content));
            prop_assert_eq!(text(&message.refusal), alone(WatchedTextKind::Refusal));
            for kind in [WatchedTextKind::Reasoning, WatchedTextKind::ReasoningContent] {
                let reasoning = alone(kind);
                prop_assert!(reasoning.is_empty() || reasoning == text(&message.reasoning), "{}", stream);
            }
            let has_reasoning = !text(&message.reasoning).is_empty();
            prop_assert_eq!(has_reasoning, !alone(WatchedTextKind::Reasoning).is_empty() || !alone(WatchedTextKind::ReasoningContent).is_empty());

            let function = message.function_call.clone().unwrap_or_default();
            prop_assert_eq!(&function.arguments, alone(WatchedTextKind::Arguments));
            prop_assert!(alone(WatchedTextKind::FunctionName).contains(&*function.name));

            let functions = || message.tool_calls.iter().filter_map(|call| call.function.as_ref());
            // Calls of one index share a text, and a repeated name is stored once.
            for function in functions() {
                let has_arguments = |(element, text): (Option<u64>, &str)| element.is_some() && text.contains(&*function.arguments);
                prop_assert!(function.arguments.is_empty() || of(WatchedTextKind::Arguments).any(has_arguments), "{}", stream);
                let has_name = |(element, text): (Option<u64>, &str)| element.is_some() && text.contains(&*function.name);
                prop_assert!(function.name.is_empty() || of(WatchedTextKind::FunctionName).any(has_name), "{}", stream);
            }
            for detail in message.reasoning_details.iter() {
                for (name, kind) in [("text", WatchedTextKind::ReasoningDetail), ("summary", WatchedTextKind::ReasoningSummary)] {
                    let text = detail.get(name).and_then(OwnedValue::as_str).unwrap_or_default();
                    // All details of a choice share a text.
                    let is_it = |(element, watched): (Option<u64>, &str)| element.is_none() && watched.contains(&*text);
                    prop_assert!(text.is_empty() || of(kind).any(is_it), "{} {}", name, stream);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/redaction.txt", 4000))]

    /// A text as any client joins it is a part of one text of the guard, up to the first unwatched event.
    #[test]
    fn a_guard_has_each_text_that_a_client_joins(
        has_preface in any::<bool>(),
        deltas in vec((0u64..3, any_delta()), 1..12),
    ) {
        let mut guard = Guard::with_bounds(1 << 20, 1 << 20);
        let (mut calls, mut client, mut number) = (ClientCalls::default(), PositionClient::default(), 0);
        let preface = json!({ "object": "chat.completion.chunk", "choices": [] });
        if has_preface {
            client.push(&preface);
            let event = format!("data: {preface}\n\n");
            let _ = guard.push(&ChunkDecoder::new().next(&mut event.as_bytes()).unwrap());
        }
        for (index, mut delta) in deltas {
            with_own_texts(&mut delta, &mut number);
            let chunk = json!({ "object": "chat.completion.chunk", "choices": [{ "index": index, "delta": delta }] });
            let event = format!("data: {chunk}\n\n");
            let pushed = guard.push(&ChunkDecoder::new().next(&mut event.as_bytes()).unwrap());
            if pushed == PushResult::Unwatched {
                break;
            }
            calls.push(index, &delta);
            client.push(&chunk);
            for joined in client.texts().into_iter().chain(calls.texts().map(|text| &**text)) {
                let is_there = guard.texts().any(|text| text.text.contains(joined));
                prop_assert!(is_there || joined.is_empty(), "{} {}", joined, event);
            }
        }
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
    for recording in crate::support::recordings("openai-chat") {
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
    let recordings = crate::support::recordings("openai-chat");
    if recordings.is_empty() {
        return; // without the corpus, which `.ci/run` requires
    }
    let is_unwatched = |recording: &&crate::support::Recording| {
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
    for recording in crate::support::recordings("openai-chat") {
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
    assert!(
        redactions > 100 || crate::support::recordings("openai-chat").is_empty(),
        "{redactions}"
    );
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
    let details = |details: &[(&str, &str, &str)]| {
        let details = details.iter();
        let details: Vec<_> =
            details.map(|(r#type, name, text)| json!({ "type": r#type, *name: text })).collect();
        message(&json!({ "content": "a", "reasoning_details": details }))
    };
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
        // OpenRouter's provider for the AI SDK joins all details, and skips a text of another type.
        (
            details(&[("reasoning.text", "text", "a se"), ("reasoning.text", "text", "cret")]),
            "content_filter",
        ),
        (
            details(&[
                ("reasoning.text", "text", "a se"),
                ("reasoning.summary", "summary", "cret"),
            ]),
            "unwatched_content",
        ),
        (
            details(&[
                ("reasoning.text", "text", "a se"),
                ("reasoning.encrypted", "text", "x"),
                ("reasoning.text", "text", "cret"),
            ]),
            "unwatched_content",
        ),
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
