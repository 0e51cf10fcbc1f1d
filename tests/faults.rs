//! Faults that were found by attacking the crate from outside, each as its kind: what a peer's bytes may
//! cost, and failures that passed for success. `tests/README.md` lists which test holds which.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

mod support;

use std::fmt::Write as _;
use std::thread;

use deltawire::gateway::{
    Edited, Editor, Guard, HiddenUsage, Observed, Observer, Pushed, Replay, UsageTap, assemble,
};
use deltawire::{
    Api, Arguments, Change, ChatCompletion, ChunkDecoder, Defect, ErrorKind, Finished,
    FunctionCall, Limit, Limits, Outcome, Payload, Reassembler,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::heap::{self, Heap};
use support::{recordings, shared};

#[global_allocator]
static HEAP: Heap = Heap;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How much more memory is in use at most while `work` runs, and how much after it.
fn memory<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = heap::live();
    heap::reset_peak();
    let made = work();
    let (peak, held) = (heap::peak() - before, heap::live() - before);
    (made, peak.max(0) as usize, held.max(0) as usize)
}

fn event(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

/// An event with a delta for choice 0.
fn delta(members: &str) -> Vec<u8> {
    event(&format!(r#"{{"choices":[{{"index":0,"delta":{{{members}}}}}]}}"#))
}

fn nested(depth: usize, inner: &str) -> String {
    [&r#"{"a":"#.repeat(depth), inner, &"}".repeat(depth)].concat()
}

fn push_all(completion: &mut Reassembler, decoder: &mut ChunkDecoder, stream: &[u8]) {
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
}

/// Runs on a thread with a small stack: what overflows it aborts the test.
fn on_a_small_stack(bytes: usize, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap();
}

// What a peer's bytes may cost.

/// A completion is read at a bounded depth: no stack overflows, however deep the text is.
#[test]
fn a_completion_that_is_too_deep_is_an_error() {
    on_a_small_stack(256 * KIB, || {
        let deep = |depth: usize| format!(r#"{{"choices":[],"x":{}}}"#, nested(depth, "1"));
        let completion = ChatCompletion::from_json(deep(127).as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&completion).unwrap().matches(r#"{"a":"#).count(), 127);
        for depth in [128, 4_684, 300_000] {
            let error = ChatCompletion::from_json(deep(depth).as_bytes()).unwrap_err();
            let at = r#"{"choices":[],"x":"#.len() + 127 * r#"{"a":"#.len();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::TooDeep, at as u64));
            let error = serde_json::from_str::<ChatCompletion>(&deep(depth)).unwrap_err();
            assert!(error.to_string().contains("nesting deeper than the limit"), "{error}");
        }
    });
}

/// What isn't a completion isn't read as one: the error says what was expected, and where.
#[test]
fn what_is_no_completion_is_an_error() {
    for (json, kind, offset) in [
        ("{}", ErrorKind::ExpectedChoices, 1),
        (r#"{"error":{"message":"m","code":429}}"#, ErrorKind::ExpectedChoices, 35),
        (r#"{"detail":"Not Found"} "#, ErrorKind::ExpectedChoices, 21),
        (r#"{"choices":null}"#, ErrorKind::ExpectedChoices, 15),
        ("[]", ErrorKind::ExpectedObject, 0),
        ("null", ErrorKind::ExpectedObject, 0),
        ("", ErrorKind::UnexpectedEnd, 0),
        (r#"{"choices":{}}"#, ErrorKind::ExpectedArray, 11),
        (r#"{"choices":[5]}"#, ErrorKind::ExpectedObject, 12),
        (r#"{"choices":[{"message":{}}]}"#, ErrorKind::ExpectedIndex, 25),
        (r#"{"choices":[{"index":-1}]}"#, ErrorKind::ExpectedInteger, 21),
        (r#"{"choices":[{"index":0,"message":[]}]}"#, ErrorKind::ExpectedObject, 33),
        (r#"{"choices":[{"index":0,"message":{"content":[]}}]}"#, ErrorKind::ExpectedString, 44),
        (r#"{"id":7,"choices":[]}"#, ErrorKind::ExpectedString, 6),
        (r#"{"created":1.5,"choices":[]}"#, ErrorKind::ExpectedInteger, 11),
        (r#"{"choices":[],"usage":3}"#, ErrorKind::ExpectedObject, 22),
        (r#"{"choices":[]} x"#, ErrorKind::TrailingData, 15),
    ] {
        let error = ChatCompletion::from_json(json.as_bytes()).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{json}");
        assert!(serde_json::from_str::<ChatCompletion>(json).is_err(), "{json}");
    }
    let error = ChatCompletion::from_json(b"{}").unwrap_err();
    assert_eq!(error.to_string(), "expected a member `choices` at byte 1");
    let mut limits = Limits::new();
    limits.json_values = 3;
    let json = br#"{"choices":[],"x":[1,2]}"#;
    let error = ChatCompletion::from_json_with_limits(json, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyValues);
}

/// A limit on depth that is raised has a bound of its own, up to which nothing overflows the stack.
#[test]
fn a_raised_limit_on_depth_is_bounded() {
    let stack = if cfg!(debug_assertions) { 2 * MIB } else { 512 * KIB };
    on_a_small_stack(stack, || {
        let mut limits = Limits::new();
        limits.json_depth = 1_000_000;
        let (mut decoder, mut completion) =
            (ChunkDecoder::with_limits(limits), Reassembler::with_limits(limits));
        // The payload itself is one level.
        let deep = |depth: usize, leaf: u8| {
            event(&format!(r#"{{"usage":{{}},"x_groq":{}}}"#, nested(depth, &leaf.to_string())))
        };
        for leaf in 1..4 {
            push_all(&mut completion, &mut decoder, &deep(1023, leaf));
        }
        push_all(&mut completion, &mut decoder, &deep(1024, 9));
        push_all(&mut completion, &mut decoder, &deep(100_000, 9));
        let finished = completion.finish(decoder.finish());
        assert_eq!(finished.end.malformed, 2);
        let copy = finished.completion.clone();
        assert!(copy == finished.completion);
        let json = serde_json::to_string(&copy).unwrap();
        assert!(json.contains(&nested(1023, "3")));
        let read = ChatCompletion::from_json_with_limits(json.as_bytes(), &limits).unwrap();
        assert!(format!("{read:?}").len() > 1023);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    });
}

/// What each chunk repeats is bounded: a replay is a few times as long as its completion.
#[test]
fn a_replay_repeats_no_long_texts() {
    for len in [100, 2_000, 16 * KIB, 64 * KIB] {
        let text = "x".repeat(len);
        let choices: Vec<_> = (0..len / 1000 + 1)
            .map(|index| json!({"index": index, "message": {"content": "Hi"}, "finish_reason": "stop"}))
            .collect();
        for completion in [
            json!({"id": text, "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}),
            json!({"id": text, "model": text, "service_tier": text, "system_fingerprint": text, "choices": choices}),
        ] {
            let json = completion.to_string();
            let completion = ChatCompletion::from_json(json.as_bytes()).unwrap();
            let mut out = Vec::new();
            Replay::new(&completion).write_all(&mut out);
            let factor = out.len() / json.len();
            assert!(factor <= 40, "{len}: {} bytes of {}", out.len(), json.len());
            assert_eq!(assemble([&out[..]]).completion, completion);
        }
    }
}

/// What was sent whole, and is all that a decoder reads of one payload, can be read again.
#[test]
fn the_largest_value_is_replayed() {
    let values = "0,".repeat(1_048_570) + "0";
    for (json, is_choice) in [
        (format!(r#"{{"choices":[],"x":[{values}]}}"#), false),
        (format!(r#"{{"choices":[],"x":{{"y":[{}]}}}}"#, &values[4..]), false),
        (format!(r#"{{"choices":[{{"delta":{{"x":[{}]}}}}]}}"#, &values[6..]), true),
        (format!(r#"{{"choices":[{{"x":[{}],"delta":{{}}}}]}}"#, &values[8..]), true),
    ] {
        let completion = assemble([&event(&json)[..]]).completion;
        assert_eq!(completion.choices.len(), usize::from(is_choice));
        assert!(completion.extra.len() + completion.choices.len() > 0);
        let mut out = Vec::new();
        Replay::new(&completion).write_all(&mut out);
        let again = assemble([&out[..]]);
        assert_eq!(again.end.malformed, 0);
        assert!(again.completion == completion);
    }
}

/// Lists that replace something else are kept as all others are, so that a replay gives them again.
#[test]
fn a_list_behind_something_else_is_replayed() {
    for chunks in [
        [r#""annotations":5"#, r#""annotations":[ 1 , 2 ]"#],
        [r#""annotations":"a""#, r#""annotations":[ {"b": 1} ]"#],
        [r#""annotations":{"a":1}"#, r#""annotations":[ [ ] ]"#],
    ] {
        let stream = chunks.map(delta).concat();
        let completion = assemble([&stream[..]]).completion;
        assert_eq!(completion.choices[0].message.extra.len(), 1);
        let mut out = Vec::new();
        Replay::new(&completion).write_all(&mut out);
        assert_eq!(assemble([&out[..]]).completion, completion, "{chunks:?}");
    }
    let logprobs = |logprobs: &str| {
        event(&format!(r#"{{"choices":[{{"index":0,"logprobs":{{"content":{logprobs}}}}}]}}"#))
    };
    let completion = assemble([&[logprobs("null"), logprobs("[ 1 ]")].concat()[..]]).completion;
    let mut out = Vec::new();
    Replay::new(&completion).write_all(&mut out);
    assert_eq!(assemble([&out[..]]).completion, completion);
}

/// What one large event made grow is given back, at once by a reset.
#[test]
fn a_reassembler_gives_large_buffers_back() {
    let parts = r#"{"text":"ab"},"#.repeat(200_000) + r#"{"text":"c"}"#;
    let large = delta(&format!(r#""content":[{parts}]"#));
    let small = delta(r#""content":"x""#);
    let mut decoder = ChunkDecoder::new();
    for resets in [false, true] {
        let (mut completion, _, _) = memory(Reassembler::new);
        let ((), _, held) = memory(|| {
            push_all(&mut completion, &mut decoder, &large);
            assert_eq!(completion.changes().len(), 1 + 200_001);
            decoder = ChunkDecoder::new();
            if resets {
                completion.reset();
            } else {
                (0..100).for_each(|_| push_all(&mut completion, &mut decoder, &small));
            }
            decoder = ChunkDecoder::new();
        });
        // The text itself, by doubling.
        let most = if resets { 64 * KIB } else { 2 * 512 * KIB };
        assert!(held <= most, "{held} bytes held, reset: {resets}");
    }
}

#[test]
fn an_editor_gives_large_buffers_back() {
    let names = r#""model":1,"#.repeat(100_000);
    let large = event(&format!(r#"{{{names}"choices":[]}}"#));
    let joined = large[..large.len() - 2].strip_prefix(b"data: ").unwrap();
    let joined = [b"data: ", joined, b"\ndata: \n\n"].concat();
    let small = event(r#"{"model":"m","choices":[]}"#);
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    editor.hide_usage(HiddenUsage::Null);
    let ((), peak, held) = memory(|| {
        let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
        for stream in [&large, &joined] {
            let mut input = &stream[..];
            let event = decoder.next(&mut input).unwrap();
            assert_eq!(editor.write(&event, &mut out), Edited::Changed);
        }
        for _ in 0..100 {
            let mut input = &small[..];
            assert_eq!(editor.write(&decoder.next(&mut input).unwrap(), &mut out), Edited::Changed);
        }
    });
    assert!(peak > 4 * MIB && held <= 64 * KIB, "{held} bytes held, {peak} at the peak");
}

/// An error's texts are kept once, as far as they have room.
#[test]
fn a_large_error_is_cut() {
    let message = "é".repeat(4 * MIB);
    let code = "c".repeat(MIB);
    let stream = event(
        &json!({"error": {"message": message, "code": code, "type": code, "param": code}})
            .to_string(),
    );
    let small = event(r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#);
    let mut tap = UsageTap::new();
    let ((), _, held) = memory(|| {
        tap.push(&stream);
        (0..200).for_each(|_| {
            tap.push(&small);
        });
    });
    assert!(held <= 16 * KIB, "{held} bytes held");
    let (seen, peak, _) = memory(|| tap.finish());
    assert!(peak <= 8 * KIB, "{peak} bytes more at the end");
    let error = seen.end.upstream_error.as_ref().unwrap();
    assert_eq!(error.message.as_deref(), Some(&*"é".repeat(2048)));
    for text in [&error.code, &error.r#type, &error.param] {
        assert_eq!(text.as_deref(), Some(&*"c".repeat(256)));
    }
    assert_eq!(seen.outcome, Outcome::UpstreamError);
}

/// The end of a stream copies nothing of an event that is unfinished.
#[test]
fn finishing_copies_nothing() {
    let text = "x".repeat(16 * MIB);
    for (head, tail) in [
        (r#"{"choices":[{"delta":{"content":""#, ""),
        (r#"{"choices":[{"delta":{"content":""#, r#""}}]}"#),
        (r#"{"error":{"message":""#, ""),
        (r#"{"error":{"message":""#, r#""}}"#),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = format!("data: {head}{text}{tail}").into_bytes();
        let before = input.len();
        assert!(decoder.next(&mut &input[..]).is_none());
        input = Vec::new();
        let (end, peak, _) = memory(|| decoder.finish());
        drop(input);
        assert!(peak <= 64 * KIB, "{head}…{tail}: {peak} bytes more");
        assert_eq!((end.discarded_bytes, end.is_cut), (before as u64, true));
        assert_eq!(end.upstream_error.is_some(), head.contains("error"));
    }
}

/// Arguments are looked at within limits, whatever the model has written.
#[test]
fn arguments_are_read_within_limits() {
    let mut call = FunctionCall::default();
    for (arguments, expected) in [
        ("[".repeat(64 * MIB), Arguments::Invalid),
        (nested(128, "1"), Arguments::Complete),
        (nested(129, "1"), Arguments::Invalid),
        (format!(r#"{{"a":[{}0]}}"#, "0,".repeat(2 * MIB)), Arguments::Invalid),
        (format!(r#"{{"a":[{}0]}}"#, "0,".repeat(KIB)), Arguments::Complete),
    ] {
        let len = arguments.len();
        call.arguments = arguments;
        let (state, peak, _) = memory(|| call.arguments_state());
        assert_eq!(state, expected, "{len} bytes");
        assert!(peak <= 64 * MIB, "{len} bytes: {peak}");
    }
}

/// Large events by turns with small ones that aren't like each other: nothing is allocated once the
/// buffers have grown.
#[test]
fn large_events_by_turns_with_small_ones_allocate_nothing() {
    let top: Vec<_> =
        (0..20).map(|at| json!({"token": format!("t{at}"), "logprob": -0.5})).collect();
    let token = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": top});
    let logprobs = json!({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token, token]}}]});
    let values = json!({"choices": [{"index": 0, "delta": {"content": "a"}}], "x": vec![1; 400]});
    for large in [logprobs, values] {
        let large = event(&large.to_string());
        let mut decoder = ChunkDecoder::new();
        let mut turn = |number: usize| {
            let small = [
                event(&format!(r#"{{"id":"c","k{}":[],"choices":[]}}"#, number % 7)),
                delta(r#""content":"x""#),
                delta(r#""content":"x","reasoning_details":[{"index":0,"type":"t","text":"a"}]"#),
            ];
            let before = heap::allocations();
            let mut events = 0;
            for stream in [&large, &small[number % 3], &large, &small[(number + 1) % 3]] {
                let mut input = &stream[..];
                while decoder.next(&mut input).is_some() {
                    events += 1;
                }
            }
            assert_eq!(events, 4);
            heap::allocations() - before
        };
        let warm: usize = (0..500).map(&mut turn).sum();
        let steady: usize = (500..1500).map(&mut turn).sum();
        assert!(warm > 0 && steady == 0, "{steady} allocations for 1 000 large events");
    }
}

// Failures that passed for success.

const FINISHED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What reassembler, observer and tap make of a stream.
fn judged(stream: &[u8], limits: &Limits) -> (Finished, Observed, Observed) {
    let mut decoder = ChunkDecoder::with_limits(*limits);
    let mut completion = Reassembler::with_limits(*limits);
    let (mut observer, mut tap) = (Observer::with_limits(limits), UsageTap::with_limits(*limits));
    tap.push(stream);
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
        observer.observe(&event);
    }
    let end = decoder.finish();
    (completion.finish(end.clone()), observer.finish(end), tap.finish())
}

/// The outcome on which all three agree, and what is missing.
fn agreed(stream: &[u8], limits: &Limits) -> (Outcome, Vec<Defect>) {
    let (finished, observed, tapped) = judged(stream, limits);
    let name = String::from_utf8_lossy(stream);
    assert_eq!(observed, tapped, "{name}");
    assert_eq!(finished.outcome, observed.outcome, "{name}");
    assert_eq!(finished.failed_finish, observed.failed_finish, "{name}");
    assert_eq!(finished.completion.not_whole, finished.whole().is_err(), "{name}");
    let defects = |whole: Result<(), deltawire::NotWhole>| {
        whole.map_or_else(|not_whole| not_whole.defects().collect(), |()| Vec::new())
    };
    let (kept, seen): (Vec<_>, Vec<_>) = (defects(finished.whole()), defects(observed.whole()));
    // Limits on what is kept are no concern of what is watched.
    let is_kept_only =
        finished.limit_exceeded != Some(Limit::Choices) && observed.limit_exceeded.is_none();
    let of_both = |defect: &&Defect| **defect != Defect::LimitExceeded || !is_kept_only;
    assert!(
        kept.iter().filter(of_both).eq(seen.iter().filter(of_both)),
        "{kept:?} {seen:?} {name}"
    );
    (finished.outcome, kept)
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::new();
    change(&mut limits);
    limits
}

#[test]
fn failures_are_never_told_as_success() {
    use Defect::{
        CutEvent, FailedFinish, InvalidIndex, LimitExceeded, MalformedEvent, Unfinished,
        UpstreamError,
    };
    let other = |choice: &str| format!("data: {{\"choices\":[{{{choice}}}]}}\n\n");
    let open = r#""index":1,"delta":{"content":"b"}"#;
    let ended = r#""index":1,"delta":{"content":"b"},"finish_reason":"stop""#;
    let long = "x".repeat(300);
    for (rest, limits, outcome, defects) in [
        // Errors beside or instead of the end.
        (
            format!("data: [DONE]\nerror: {{\"message\":\"boom\"}}\n\n"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError][..],
        ),
        (
            format!("id: 7\ndata: [DONE]\nerror: {{\"message\":\"boom\"}}\n\n"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (
            format!("error: {{\"message\":\"boom\"}}\ndata: [DONE]\n\n"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (
            "event: error\ndata: [DONE]".into(),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError, CutEvent],
        ),
        (
            "event: error\ndata: [DONE]\n".into(),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError, CutEvent],
        ),
        (
            "event: error\ndata: {\"mess".into(),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError, CutEvent],
        ),
        (
            format!("{DONE}data: {{\"error\":{{\"message\":\"boom\"}}}}"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (
            format!("{DONE}data: {{ \"error\" : {{\"mess"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (
            format!("{DONE}error: {{\"message\":"),
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (format!("{DONE}event: error"), Limits::new(), Outcome::UpstreamError, &[UpstreamError]),
        // Choices that are left out.
        (
            other(r#""index":-1,"delta":{"content":"b"}"#) + DONE,
            Limits::new(),
            Outcome::DoneWithoutFinish,
            &[Unfinished, InvalidIndex],
        ),
        (
            other(r#""index":"1","delta":{"content":"b"}"#) + DONE,
            Limits::new(),
            Outcome::DoneWithoutFinish,
            &[Unfinished, InvalidIndex],
        ),
        (
            other(r#""index":1.0,"delta":{"content":"b"}"#),
            Limits::new(),
            Outcome::Truncated,
            &[Unfinished, InvalidIndex],
        ),
        (
            other(open) + DONE,
            limits(|limits| limits.choices = 1),
            Outcome::DoneWithoutFinish,
            &[Unfinished, LimitExceeded],
        ),
        (
            other(ended) + DONE,
            limits(|limits| limits.choices = 1),
            Outcome::DoneWithoutFinish,
            &[Unfinished, LimitExceeded],
        ),
        (
            other(open) + DONE,
            limits(|limits| limits.completion_bytes = 1),
            Outcome::DoneWithoutFinish,
            &[Unfinished, LimitExceeded],
        ),
        (
            other(ended) + DONE,
            limits(|limits| limits.completion_bytes = 1),
            Outcome::Complete,
            &[LimitExceeded],
        ),
        // Parts that are left out.
        (
            delta_text(r#""tool_calls":[{"index":-1,"function":{"arguments":"{}"}}]"#) + DONE,
            Limits::new(),
            Outcome::Complete,
            &[InvalidIndex],
        ),
        (
            delta_text(r#""content":[{"type":"video","video":{"url":"u"}}]"#) + DONE,
            Limits::new(),
            Outcome::Complete,
            &[Defect::UnknownContentPart],
        ),
        (
            delta_text(&format!(r#""content":"{long}""#)) + DONE,
            limits(|limits| limits.completion_bytes = 700),
            Outcome::Complete,
            &[LimitExceeded],
        ),
        // Events that can't be read.
        (
            format!("data: {{\"choices\":[{{\"del\n\n{DONE}"),
            Limits::new(),
            Outcome::MalformedEvent,
            &[MalformedEvent],
        ),
        (format!("data: x\n\n{DONE}"), Limits::new(), Outcome::MalformedEvent, &[MalformedEvent]),
        (
            format!("data: {{\"choices\":[{{\"del\n\n"),
            Limits::new(),
            Outcome::MalformedEvent,
            &[MalformedEvent],
        ),
        (
            delta_text(&format!(r#""content":"{long}""#)) + DONE,
            limits(|limits| limits.event_bytes = 200),
            Outcome::MalformedEvent,
            &[MalformedEvent],
        ),
        (
            format!("data: {{\"error\":{{\"message\":\"{long}\"}}}}\n\n{DONE}"),
            limits(|limits| limits.event_bytes = 200),
            Outcome::MalformedEvent,
            &[MalformedEvent],
        ),
        (
            format!("data: {}\n\n{DONE}", nested(200, "1")),
            Limits::new(),
            Outcome::MalformedEvent,
            &[MalformedEvent],
        ),
        // Finish reasons that name a failure, also where a later one doesn't.
        (
            other(r#""index":0,"finish_reason":"error""#) + DONE,
            Limits::new(),
            Outcome::FailedFinish,
            &[FailedFinish],
        ),
        (
            other(r#""index":0,"finish_reason":"error""#) + FINISHED + DONE,
            Limits::new(),
            Outcome::FailedFinish,
            &[FailedFinish],
        ),
        // An error of a choice.
        (
            other(r#""index":0,"error":{"message":"m","code":504}"#) + DONE,
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (
            other(r#""index":0,"error":{"message":"m","code":504}"#) + FINISHED + DONE,
            Limits::new(),
            Outcome::UpstreamError,
            &[UpstreamError],
        ),
        (other(r#""index":0,"error":null"#) + DONE, Limits::new(), Outcome::Complete, &[]),
        // The end in the middle of an event.
        (
            "data: {\"usage\":{\"prompt_tok".into(),
            Limits::new(),
            Outcome::FinishedWithoutDone,
            &[CutEvent],
        ),
        (DONE.into(), Limits::new(), Outcome::Complete, &[]),
        ("data: [DONE]".into(), Limits::new(), Outcome::Complete, &[]),
        (String::new(), Limits::new(), Outcome::FinishedWithoutDone, &[]),
    ] {
        let stream = format!("{FINISHED}{rest}");
        let found = agreed(stream.as_bytes(), &limits);
        assert_eq!(found, (outcome, defects.to_vec()), "{rest}");
    }
}

fn delta_text(members: &str) -> String {
    String::from_utf8(delta(members)).unwrap()
}

#[test]
fn text_that_is_no_utf8_makes_an_event_malformed() {
    let half = [
        FINISHED.as_bytes(),
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\xE5\xA5\"}}]}\n\n",
        DONE.as_bytes(),
    ];
    let found = agreed(&half.concat(), &Limits::new());
    assert_eq!(found, (Outcome::MalformedEvent, vec![Defect::MalformedEvent]));
}

#[test]
fn finish_reasons_that_name_a_failure() {
    for (reason, fails) in [
        ("abort", true),
        ("aborted", true),
        ("cancelled", true),
        ("canceled", true),
        ("error", true),
        ("failed", true),
        ("network_error", true),
        ("engine_error", true),
        ("insufficient_system_resource", true),
        ("Error", true),
        ("stop", false),
        ("length", false),
        ("content_filter", false),
        ("eos", false),
        ("model_length", false),
        ("terror", false),
        ("error_free", false),
    ] {
        let stream =
            format!("data: {{\"choices\":[{{\"finish_reason\":\"{reason}\"}}]}}\n\n{DONE}");
        let (finished, observed, _) = judged(stream.as_bytes(), &Limits::new());
        let expected = if fails { Outcome::FailedFinish } else { Outcome::Complete };
        assert_eq!(agreed(stream.as_bytes(), &Limits::new()).0, expected, "{reason}");
        assert_eq!(finished.failed_finish.as_deref(), fails.then_some(reason));
        assert_eq!(observed.failed_finish.as_deref(), fails.then_some(reason));
        assert_eq!(finished.completion.choices[0].finish_reason.as_deref(), Some(reason));
    }
}

/// An error of a choice is one wherever the stream goes on, and shapes change nothing of it.
#[test]
fn an_error_of_a_choice_is_told() {
    let chunk = |error: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"error\":{error}}}]}}\n\n")
    };
    let stream = [chunk("\"\"").repeat(5), chunk("\"boom\""), chunk("\"\"")].concat();
    let mut decoder = ChunkDecoder::new();
    let mut input = stream.as_bytes();
    let mut errors = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        errors.push(matches!(event.payload(), Payload::Error(_)));
    }
    assert_eq!(errors, [false, false, false, false, false, true, false]);
    let (finished, ..) = judged(
        br#"data: {"choices":[{"index":0,"delta":{"content":"Half"},"error":{"code":504,"message":"timed out"},"finish_reason":"error"}]}

"#,
        &Limits::new(),
    );
    let error = finished.end.upstream_error.unwrap();
    assert_eq!((error.code.as_deref(), error.message.as_deref()), (Some("504"), Some("timed out")));
    assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Half"));
    assert!(finished.completion.choices[0].extra.is_empty());
}

/// A completion that isn't whole knows it itself, through JSON and through a replay.
#[test]
fn a_completion_that_is_not_whole_knows_it() {
    let long = delta(&format!(r#""content":"{}""#, "x".repeat(300)));
    let stream = [&long[..], FINISHED.as_bytes(), DONE.as_bytes()].concat();
    let limits = limits(|limits| limits.completion_bytes = 600);
    let (finished, ..) = judged(&stream, &limits);
    assert_eq!(finished.outcome, Outcome::Complete);
    assert_eq!(
        finished.whole().unwrap_err().to_string(),
        "the completion is not whole: limit_exceeded"
    );
    let json = serde_json::to_string(&finished.completion).unwrap();
    let read = ChatCompletion::from_json(json.as_bytes()).unwrap();
    assert!(read.not_whole && serde_json::to_string(&read).unwrap() == json);
    for completion in [&finished.completion, &read] {
        let mut out = Vec::new();
        Replay::new(completion).write_all(&mut out);
        assert!(!out.ends_with(DONE.as_bytes()));
        let again = assemble([&out[..]]);
        assert_eq!(again.outcome, Outcome::UpstreamError);
        let error = again.end.upstream_error.as_ref().unwrap();
        assert_eq!(error.code.as_deref(), Some("not_whole"));
        assert!(again.completion.not_whole && again.completion == *completion);
    }
    let (whole, ..) = judged(format!("{FINISHED}{DONE}").as_bytes(), &Limits::new());
    let json = serde_json::to_string(&whole.completion).unwrap();
    assert!(whole.whole().is_ok() && !json.contains("not_whole"));
}

/// A stream that was salvaged was cut all the same.
#[test]
fn a_salvaged_stream_was_cut() {
    for (stream, is_cut) in [(FINISHED.trim_end(), true), (FINISHED, false)] {
        let mut decoder = ChunkDecoder::new();
        let mut completion = Reassembler::new();
        push_all(&mut completion, &mut decoder, stream.as_bytes());
        if let Some(event) = decoder.salvage() {
            completion.push_payload(event.payload());
        }
        let finished = completion.finish(decoder.finish());
        assert_eq!((finished.end.is_cut, finished.end.discarded_bytes), (is_cut, 0));
        assert_eq!((finished.outcome, finished.whole()), (Outcome::FinishedWithoutDone, Ok(())));
    }
}

/// What an `error:` line of an event says isn't edited, and that is told.
#[test]
fn an_error_line_beside_an_edit_is_told() {
    let mut editor = Editor::new();
    for has_rule in [false, true] {
        if has_rule {
            editor.replace("model", "alias");
        }
        let stream = b"data: {\"model\":\"llama\",\"choices\":[]}\nerror: {\"message\":\"llama failed\"}\n\n";
        let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
        let mut input = &stream[..];
        let edited = editor.write(&decoder.next(&mut input).unwrap(), &mut out);
        assert_eq!(edited == Edited::Unreadable, has_rule);
        assert_eq!(String::from_utf8(out).unwrap().contains("\"alias\""), has_rule);
    }
}

/// Recorded streams of other APIs are told as such, and no usage is made of nothing.
#[test]
fn streams_of_other_apis_are_told() {
    let Some(corpus) = shared("corpus") else { return };
    let mut found = 0;
    for (begin, api) in [
        ("anthropic__", Api::AnthropicMessages),
        ("openai-responses__", Api::OpenAiResponses),
        ("gemini__", Api::Gemini),
        ("cohere__", Api::Cohere),
        ("openai-assistants__", Api::OpenAiAssistants),
    ] {
        for entry in std::fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.starts_with(begin) || path.extension().is_none_or(|kind| kind != "sse") {
                continue;
            }
            let stream = std::fs::read(&path).unwrap();
            let (outcome, defects) = agreed(&stream, &Limits::new());
            assert_eq!(outcome, Outcome::AnotherApi(api), "{name}");
            assert_eq!(defects, [Defect::NoCompletion], "{name}");
            let (_, observed, _) = judged(&stream, &Limits::new());
            assert!(observed.tokens.is_none_or(|tokens| !tokens.is_empty()), "{name}");
            found += 1;
        }
    }
    assert_eq!(found, 24);
}

/// Recorded chats are none of those.
#[test]
fn recorded_chats_are_whole_unless_they_say_otherwise() {
    let mut whole = 0;
    for recording in recordings("openai-chat") {
        let (outcome, defects) = agreed(&recording.bytes, &Limits::new());
        assert!(!matches!(outcome, Outcome::AnotherApi(_)), "{}", recording.file);
        let is_clean = matches!(outcome, Outcome::Complete | Outcome::FinishedWithoutDone);
        assert_eq!(is_clean, defects.is_empty(), "{}: {defects:?}", recording.file);
        whole += usize::from(is_clean);
    }
    assert!(whole > 90 || shared("corpus").is_none(), "{whole}");
}

/// Members of a choice, mostly as they should be.
fn choices() -> impl Strategy<Value = String> {
    let index = prop_oneof![
        4 => (0u8..4).prop_map(|index| format!(r#""index":{index},"#)),
        1 => Just(String::new()),
        1 => proptest::sample::select(vec!["-1", "\"1\"", "1.0", "null", "true", "18446744073709551616"])
            .prop_map(|index| format!(r#""index":{index},"#)),
    ];
    let delta = proptest::sample::select(vec![
        r#""content":"abc""#,
        r#""content":"""#,
        r#""reasoning":"abc""#,
        r#""content":[{"type":"text","text":"a"},{"type":"video"}]"#,
        r#""content":[{"type":"thinking","thinking":[{"text":"t"}]},5]"#,
        r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
        r#""tool_calls":[{"index":1.5,"function":{"arguments":"{}"}},{"index":1}]"#,
        r#""tool_calls":[{"id":"b","index":"0"}]"#,
        r#""role":"assistant""#,
        "",
    ]);
    let finish = proptest::sample::select(vec![
        "",
        "",
        "",
        r#","finish_reason":null"#,
        r#","finish_reason":"""#,
        r#","finish_reason":"stop""#,
        r#","finish_reason":"length""#,
        r#","finish_reason":"abort""#,
        r#","error":null"#,
        r#","error":{"code":5}"#,
        r#","finish_reason":"a very long reason, longer than any server has ever sent, of which nobody knows what it means""#,
    ]);
    (index, delta, finish)
        .prop_map(|(index, delta, finish)| format!(r#"{{{index}"delta":{{{delta}}}{finish}}}"#))
}

fn events() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => proptest::collection::vec(choices(), 0..3)
            .prop_map(|choices| format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","))),
        1 => proptest::sample::select(vec![
            "data: [DONE]\n\n", "data: [DONE]\nerror: {\"message\":\"m\"}\n\n", "data: {\"choices\":[{\"d\n\n",
            ": ping\n\n", "event: error\ndata: {}\n\n", "data: {\"usage\":{\"prompt_tokens\":3}}\n\n",
            "data: {\"type\":\"message_start\"}\n\n", "data: {\"candidates\":[]}\n\n", "error: {\"code\":5}\n",
            "data: {\"error\":{\"message\":\"m\"}}\n\n", "data: {\"x\":{\"y\":1}}\n\n",
        ]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(support::cases::cases("proptest-regressions/faults.txt", 2000))]

    /// However a stream goes wrong, all three say the same of it; and what isn't clean is not whole.
    #[test]
    fn all_say_the_same_of_every_stream(
        events in proptest::collection::vec((events(), 1usize..4), 1..8),
        cut in prop_oneof![3 => Just(0usize), 1 => 1usize..30],
        choices in 0usize..4,
        completion_bytes in prop_oneof![Just(0usize), Just(700), Just(1 << 20)],
        event_bytes in prop_oneof![3 => Just(1usize << 20), 1 => Just(120)],
        (tool_calls, json_values) in (0usize..3, prop_oneof![3 => Just(1usize << 20), 1 => Just(16)]),
    ) {
        let mut stream = events.iter().fold(String::new(), |mut stream, (event, times)| {
            (0..*times).for_each(|_| stream.write_str(event).unwrap());
            stream
        });
        stream.truncate(stream.len().saturating_sub(cut));
        let limits = limits(|limits| {
            limits.choices = choices;
            limits.completion_bytes = completion_bytes;
            limits.event_bytes = event_bytes;
            limits.tool_calls = tool_calls;
            limits.json_values = json_values;
        });
        let (outcome, defects) = agreed(stream.as_bytes(), &limits);
        let is_clean = matches!(outcome, Outcome::Complete | Outcome::FinishedWithoutDone);
        prop_assert!(is_clean || !defects.is_empty());
        if is_clean {
            prop_assert!(!defects.contains(&Defect::Unfinished) && !defects.contains(&Defect::MalformedEvent));
        }
        // What is told of the last push stands at the places where the snapshot has it.
        let mut completion = Reassembler::with_limits(limits);
        let mut decoder = ChunkDecoder::with_limits(limits);
        let mut input = stream.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
            let snapshot = completion.snapshot();
            prop_assert!(snapshot.choices.is_sorted_by_key(|choice| choice.index));
            for change in completion.changes() {
                if let Change::Content { choice, start } = *change {
                    prop_assert!(snapshot.choices[choice].message.content.as_deref().unwrap().is_char_boundary(start));
                }
            }
        }
    }
}

/// Calls of any indexes, in one event or in many, end where their indexes say.
#[test]
fn calls_stand_by_their_index() {
    let index = |number: u32| number.wrapping_mul(0x9E37_79B9) >> 22;
    let call = |number: u32| json!({"index": index(number), "id": format!("c{}", index(number)), "function": {"name": "f", "arguments": format!("{number};")}});
    let all: Vec<_> = (0..900).map(call).collect();
    let event_of = |calls: &[Value]| {
        event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).to_string())
    };
    let one = event_of(&all);
    let many: Vec<_> = all.chunks(7).flat_map(event_of).collect();
    let single: Vec<_> = all.chunks(1).flat_map(event_of).collect();
    let completion = assemble([&one[..]]).completion;
    assert!(completion.choices[0].message.tool_calls.len() > 400);
    for stream in [many, single] {
        assert!(assemble([&stream[..]]).completion == completion);
    }
    let mut expected: Vec<_> = (0..900).map(index).collect();
    expected.sort_unstable();
    expected.dedup();
    let ids = completion.choices[0].message.tool_calls.iter().map(|call| call.id.clone());
    assert!(ids.eq(expected.iter().map(|index| format!("c{index}"))));
    for (place, call) in completion.choices[0].message.tool_calls.iter().enumerate() {
        let parts = (0..900).filter(|number| index(*number) == expected[place]);
        let arguments: String = parts.map(|number| format!("{number};")).collect();
        assert_eq!(call.function.as_ref().unwrap().arguments, arguments);
    }
}

/// Guards that hold a large event of many lines don't reread it for each text.
#[test]
fn a_guard_takes_texts_of_many_lines() {
    let choices: Vec<_> = (0..200)
        .map(|index| json!({"index": index, "delta": {"content": format!("text {index}")}}))
        .collect();
    let pretty = serde_json::to_string_pretty(&json!({"choices": choices})).unwrap();
    let stream: String =
        pretty.lines().map(|line| format!("data: {line}\r\n")).collect::<String>() + "\r\n";
    let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::new());
    let mut input = stream.as_bytes();
    let event = decoder.next(&mut input).unwrap();
    assert_eq!(guard.push(&event), Pushed::Text);
    let ids: Vec<_> = guard.texts().map(|text| (text.id, text.text.len())).collect();
    assert_eq!(ids.len(), 200);
    for (id, len) in ids {
        assert!(guard.replace(id, 0..len, &format!("new {}", id.choice)));
    }
    let mut out = Vec::new();
    guard.release_all(&mut out);
    let out = String::from_utf8(out).unwrap();
    let expected: Vec<_> = (0..200).map(|index| format!("\"content\": \"new {index}\"")).collect();
    assert!(expected.iter().all(|text| out.contains(text)) && !out.contains("\"text "), "{out}");
    assert_eq!(out.lines().count(), stream.lines().count());
}
