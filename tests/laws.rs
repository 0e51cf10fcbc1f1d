//! The laws of the design as properties, unless another suite has them: laws 3 to 8.
//!
//! Laws 1 and 3 of framing are in `framing.rs`, and law 2 is in `templates.rs`. Laws 1, 5 and 7 of
//! completions are in the body of the fuzz target `reassemble`. `fuzz_bodies.rs` runs it over made
//! streams.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "the bodies are public to the fuzz targets")]

#[path = "bodies/mod.rs"]
mod bodies;
#[path = "support/cases.rs"]
mod cases;

use std::fs;
use std::path::Path;

use bodies::decoded::pieces;
use bodies::heap::{self, Heap};
use bodies::input::{Choices, Input, chunk, chunks};
use deltawire::completion::{ChatCompletion, FinishedCompletion};
use deltawire::sse::BodyKind;
use deltawire::{ChunkDecoder, Limits, Outcome, Payload, Reassembler, Templates};
use proptest::collection::vec;
use proptest::prelude::*;

#[global_allocator]
static HEAP: Heap = Heap;

/// Returns choices of which a stream or a chunk is made.
fn scripts() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn made(script: &[u8], is_tame: bool) -> Vec<u8> {
    let mut choices = Choices::new(script);
    choices.is_tame = is_tame;
    chunks(&mut choices)
}

/// Returns the event of a chunk without faults.
fn event(script: &[u8]) -> Vec<u8> {
    let mut choices = Choices::new(script);
    choices.is_tame = true;
    let json = chunk(&mut choices).replace('\n', " ");
    format!("data: {json}\n\n").into_bytes()
}

/// Returns offset, kind and contents of each event, and the completion.
fn decode(stream: &[u8], limits: &Limits) -> (Vec<(u64, String)>, ChatCompletion) {
    let mut decoder = ChunkDecoder::with_limits(*limits);
    let mut completion = Reassembler::new();
    let mut input = stream;
    let mut seen = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        let said = match event.payload() {
            Payload::Chunk(chunk) => serde_json::to_string(chunk).unwrap(),
            other => format!("{other:?}"),
        };
        seen.push((event.offset(), said));
        completion.push_payload(event.payload());
    }
    (seen, completion.finish(decoder.finish()).completion)
}

fn finish(stream: &[u8]) -> FinishedCompletion {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
    completion.finish(decoder.finish())
}

proptest! {
    #![proptest_config(cases::cases("proptest-regressions/laws.txt", 500))]

    /// Law 3: the raw bytes of all events, and the rest at the end, are the stream.
    ///
    /// Offsets are the beginnings of events, and an event is emitted with its last byte.
    #[test]
    fn every_byte_is_accounted_for(script in scripts(), settings in 0..8u8) {
        let input = Input::new(&[&[settings], &script[..]].concat(), chunks);
        let mut decoder = ChunkDecoder::with_limits(input.limits);
        let mut given = Vec::new();
        for mut piece in pieces(&input.stream, &input.lengths) {
            while let Some(event) = decoder.next(&mut piece) {
                prop_assert_eq!(event.offset(), given.len() as u64);
                given.extend_from_slice(event.raw());
            }
            prop_assert!(piece.is_empty());
        }
        let left = decoder.sse().buffered().to_vec();
        let end = decoder.finish();
        prop_assert_eq!(end.discarded_bytes, left.len() as u64);
        prop_assert_eq!(end.bytes, input.stream.len() as u64);
        prop_assert_eq!([given, left].concat(), input.stream);
    }

    /// Law 4: once a stream has been decoded, decoding it again allocates nothing.
    #[test]
    fn nothing_allocates_in_steady_state(script in scripts(), lengths in vec(1usize..300, 0..40)) {
        let stream = made(&script, true);
        // The first error of a stream is kept.
        let has_error = String::from_utf8_lossy(&stream).contains("error");
        let cut = pieces(&stream, &lengths);
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut pass = || {
            let before = heap::allocations();
            for piece in &cut {
                let mut input = *piece;
                while decoder.next(&mut input).is_some() {}
            }
            decoder.reset();
            heap::allocations() - before
        };
        // While learning pauses, it takes some passes until each event has been learned.
        (0..40).for_each(|_| _ = pass());
        prop_assert!(pass() == 0 || has_error);
    }

    /// Law 5: the bytes asked of the allocator grow with the stream, in any pieces and limits.
    ///
    /// Each call emits an event or ends a piece.
    #[test]
    fn work_is_linear(script in scripts(), settings in 0..8u8) {
        let input = Input::new(&[&[settings], &script[..]].concat(), chunks);
        let cut = pieces(&input.stream, &input.lengths);
        for cut in [&cut, &input.stream.chunks(1).collect::<Vec<_>>()] {
            let before = heap::requested();
            let templates = Templates::new();
            let mut decoder = ChunkDecoder::with_limits(input.limits).with_templates(&templates);
            let (mut calls, mut events) = (0, 0);
            for piece in cut {
                let mut input = *piece;
                calls += 1;
                while decoder.next(&mut input).is_some() {
                    (calls, events) = (calls + 1, events + 1);
                }
            }
            prop_assert!(events <= input.stream.len() && calls == events + cut.len());
            // Nodes of 16 bytes and rows of a table for values of two bytes, twice by doubling.
            let requested = heap::requested() - before;
            let most = 128 * input.stream.len() + (16 << 10);
            prop_assert!(requested <= most, "{} bytes asked for, {} allowed", requested, most);
        }
    }

    /// Law 6: an event of any bytes changes only the offsets of the events behind it.
    ///
    /// An unreadable one changes nothing of the completion. No error repeats bytes of the stream.
    #[test]
    fn one_events_fault_stays_in_it(
        good in vec(scripts(), 1..6),
        bad in vec(any::<u8>(), 0..200),
        (at, canary, is_large) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()),
    ) {
        let mut bad: Vec<u8> = bad.into_iter().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        let canary = canary.index(bad.len() + 1);
        bad.splice(canary..canary, *b"sk-canary");
        if is_large {
            bad.resize(5000, b'x');
        }
        let bad = [b"data: ", &bad[..], b"\n\n"].concat();
        let good: Vec<_> = good.iter().map(|script| event(script)).collect();
        let at = at.index(good.len() + 1);
        let (before, behind) = (good[..at].concat(), good[at..].concat());
        let mut limits = Limits::new();
        limits.max_event_bytes = 4096.max(good.iter().map(Vec::len).max().unwrap());
        let (expected, mut completion) = decode(&[&before[..], &behind].concat(), &limits);
        let (mut found, found_completion) = decode(&[&before[..], &bad, &behind].concat(), &limits);
        let its: Vec<_> = found.extract_if(.., |(offset, _)| {
            (before.len() as u64..(before.len() + bad.len()) as u64).contains(offset)
        }).collect();
        for (offset, _) in &mut found[at..] {
            *offset -= bad.len() as u64;
        }
        prop_assert_eq!(found, expected);
        // After an event over a limit comes its skipped rest.
        prop_assert!(!its.is_empty() && its.len() <= 2);
        let said = &its[0].1;
        if said.starts_with("Malformed") {
            prop_assert!(!said.contains("sk-canary"));
            prop_assert!(found_completion.not_whole);
            completion.not_whole = true;
            prop_assert_eq!(found_completion, completion);
        }
    }

    /// Law 7: a broken stream is not whole, and an error is reported at each place.
    ///
    /// Each end has a name of its own.
    #[test]
    fn failure_is_never_laundered_into_success(
        texts in vec(("[a-z\"é\\\\]{0,9}", 0u64..3), 1..8),
        at in any::<prop::sample::Index>(),
    ) {
        let delta = |index: u64, text: &str, finish: Option<&str>| {
            let delta = serde_json::json!({"content": text});
            let choice = serde_json::json!({"index": index, "delta": delta, "finish_reason": finish});
            format!("data: {}\n\n", serde_json::json!({"choices": [choice]}))
        };
        let mut events: Vec<_> = texts.iter().map(|(text, index)| delta(*index, text, None)).collect();
        let mut indexes: Vec<_> = texts.iter().map(|(_, index)| *index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        events.extend(indexes.iter().map(|index| delta(*index, "", Some("stop"))));
        let chunks = events.concat();
        let stream = format!("{chunks}data: [DONE]\n\n");

        // Wherever it breaks off.
        let cut = at.index(stream.len() + 1);
        let expected = match cut {
            0 => Outcome::Empty,
            // A line that may become `data` is no field yet.
            1..4 => Outcome::NotAnEventStream(BodyKind::Other),
            _ if cut < chunks.len() => Outcome::Truncated,
            _ if cut < chunks.len() + "data: [DONE]".len() => Outcome::FinishedWithoutDone,
            _ => Outcome::Complete,
        };
        let finished = finish(&stream.as_bytes()[..cut]);
        prop_assert_eq!(finished.outcome, expected);
        if expected == Outcome::Truncated && !finished.completion.choices.is_empty() {
            let open = finished.completion.choices.iter().filter(|choice| choice.finish_reason.is_none());
            prop_assert_eq!(finished.pending.len(), open.count());
        }
        // Without one of the reasons to finish.
        events.remove(texts.len() + at.index(indexes.len()));
        let stream = format!("{}data: [DONE]\n\n", events.concat());
        prop_assert_eq!(finish(stream.as_bytes()).outcome, Outcome::DoneWithoutFinish);
        // With an error between, behind all, or beside a chunk.
        events.insert(at.index(events.len() + 1), "data: {\"error\":{\"message\":\"m\"}}\n\n".into());
        let stream = format!("{}data: [DONE]\n\n", events.concat());
        prop_assert_eq!(finish(stream.as_bytes()).outcome, Outcome::UpstreamError);
    }
}

/// Law 8 is the compiler's. This test checks that the attribute is still there.
#[test]
fn the_crate_forbids_unsafe_code() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(source.join("lib.rs")).unwrap();
    assert!(lib.lines().any(|line| line == "#![forbid(unsafe_code)]"));
}
