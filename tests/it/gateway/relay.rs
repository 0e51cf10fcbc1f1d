//! A relay against its parts, each alone and in all combinations, in cuts, with every end.

use std::time::Duration;

use deltawire::gateway::{
    EditRule, Editor, Guard, Meter, Relay, RelayBuilder, RelayEnd, RelayFlow, RelayGuard,
    RelayOutcome, RelayReport, StopReason, UsageTap, UsageVisibility, Words,
};
use deltawire::{ChunkDecoder, Limits, Outcome, Payload, Reassembler, SseDecoder};
use proptest::prelude::*;

const MASK: &str = "[…]";

/// The parts that a relay has, besides its observer.
#[derive(Clone, Copy, Debug)]
struct Parts {
    measures: bool,
    edits: bool,
    guards: bool,
    collects: bool,
}

impl Parts {
    fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|bits| Self {
            measures: bits & 1 > 0,
            edits: bits & 2 > 0,
            guards: bits & 4 > 0,
            collects: bits & 8 > 0,
        })
    }

    fn relay(self) -> Relay {
        self.builder().build()
    }

    fn builder(self) -> RelayBuilder {
        let mut builder = Relay::builder();
        if self.measures {
            builder = builder.measure();
        }
        if self.edits {
            builder = builder.edit(editor()).pass_unreadable();
        }
        if self.guards {
            let guard = RelayGuard::new(Guard::with_bounds(16 << 20, 64));
            builder = builder.guard(guard.redact(words(), MASK).pass_unwatched());
        }
        if self.collects {
            builder = builder.collect();
        }
        builder
    }
}

fn editor() -> Editor {
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    editor.remove("system_fingerprint");
    editor.hide_usage(UsageVisibility::Removed);
    for rule in [
        EditRule::rename("$.choices[*].delta.reasoning", "reasoning_content"),
        EditRule::add_if_absent("$.choices[*].delta.role", "assistant"),
        EditRule::set("$.created", 0),
        EditRule::remove("$.choices[*].delta.refusal"),
    ] {
        editor.add_rule(rule.unwrap());
    }
    editor
}

/// Words that occur in most streams, and that deltas cut.
fn words() -> Words {
    Words::new(["the", "in", "a ", "\"location", "e"])
}

/// Returns the streams of the project and the recordings, by their names.
fn streams() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let own = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let own = own.filter(|path| path.extension().is_some_and(|extension| extension == "sse"));
    let own = own.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()));
    let recorded =
        crate::support::recordings("openai-chat").into_iter().map(|it| (it.file, it.bytes));
    own.chain(recorded).filter(|(_, bytes)| bytes.len() < 60_000).collect()
}

/// Returns the time at which the piece with a number arrives.
fn time(number: usize) -> Duration {
    Duration::from_millis(3 * number as u64)
}

/// Relays a stream in pieces; returns the bytes for the client and the report.
fn relay(parts: Parts, stream: &[u8], size: usize, end: RelayEnd) -> (Vec<u8>, RelayReport) {
    let (mut relay, mut out) = (parts.relay(), Vec::new());
    let mut number = 0;
    for piece in stream.chunks(size) {
        number += 1;
        assert_eq!(relay.push(piece, time(number), &mut out), RelayFlow::Open);
    }
    let report = relay.finish(end, time(number + 1), &mut out);
    (out, report)
}

/// Returns the bytes that an editor alone writes.
fn edited(stream: &[u8]) -> Vec<u8> {
    let (mut decoder, mut editor, mut out) = (ChunkDecoder::new(), editor(), Vec::new());
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        let _ = editor.write(&event, &mut out);
    }
    let last = decoder.salvage().filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
    if let Some(event) = last {
        let start = out.len();
        let _ = editor.write(&event, &mut out);
        out.extend_from_slice(if out.len() > start { event.missing_end() } else { b"" });
    }
    out
}

/// Returns the bytes that a guard alone releases.
fn guarded(stream: &[u8]) -> Vec<u8> {
    let (mut decoder, mut guard) = (ChunkDecoder::new(), Guard::with_bounds(16 << 20, 64));
    let (mut input, mut out, words) = (stream, Vec::new(), words());
    while let Some(event) = decoder.next(&mut input) {
        let _ = guard.push(&event);
        guard.redact(&words, MASK).unwrap();
        guard.release_searched(&mut out);
    }
    let last = decoder.salvage().filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
    if let Some(event) = &last {
        let _ = guard.push(event);
    }
    guard.finish_texts();
    guard.redact(&words, MASK).unwrap();
    guard.release_all(&mut out);
    out.extend_from_slice(last.map_or(b"", |event| event.missing_end()));
    out
}

/// Compares all combinations with the parts alone.
///
/// An editor reads the bytes that a guard has written, so both together decode twice.
#[test]
fn a_relay_has_the_results_of_its_parts() {
    for (name, stream) in streams() {
        for size in [1 << 20, 97] {
            let (mut tap, mut meter) = (UsageTap::new(), Meter::new());
            let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
            let mut number = 0;
            for piece in stream.chunks(size) {
                number += 1;
                let _ = meter.record(tap.push(piece), time(number));
                let mut input = piece;
                while let Some(event) = decoder.next(&mut input) {
                    completion.push_payload(event.payload());
                }
            }
            let before = tap.deltas();
            let _ = tap.salvage();
            let _ = meter.record(tap.deltas() - before, time(number + 1));
            if let Some(event) = decoder.salvage() {
                completion.push_payload(event.payload());
            }
            let seen = tap.finish();
            let completion = completion.finish(decoder.finish());
            let latency = meter.finish(&seen, time(number + 1));
            let closed = {
                let mut decoder = ChunkDecoder::new();
                let mut input = &stream[..];
                while decoder.next(&mut input).is_some() {}
                let last = decoder.salvage();
                let last = last.filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
                [&stream[..], last.map_or(&b""[..], |event| event.missing_end())].concat()
            };
            for parts in Parts::all() {
                let (out, report) = relay(parts, &stream, size, RelayEnd::Upstream);
                let expected = match (parts.edits, parts.guards) {
                    (false, false) => closed.clone(),
                    (true, false) => edited(&stream),
                    (false, true) => guarded(&stream),
                    (true, true) => edited(&guarded(&stream)),
                };
                let context = format!("{name} in pieces of {size}: {parts:?}");
                let written = out.strip_prefix(&expected[..]);
                let written = written.unwrap_or_else(|| {
                    panic!("{context}: {}", String::from_utf8_lossy(&out));
                });
                let is_cut = report.outcome == RelayOutcome::Cut;
                assert_eq!(
                    written.starts_with(b"data: {\"error\":"),
                    is_cut && !report.must_abort,
                    "{context}"
                );
                assert_eq!(report.stream, seen, "{context}");
                assert_eq!(report.latency, parts.measures.then_some(latency), "{context}");
                assert_eq!(
                    report.completion,
                    parts.collects.then(|| completion.clone()),
                    "{context}"
                );
            }
        }
    }
}

/// Cuts streams anywhere: the client never takes it for a whole one, nor sees half an event.
#[test]
fn a_cut_stream_ends_with_an_error_or_is_aborted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    for name in ["text", "tools", "usage"] {
        let stream = std::fs::read(folder.join(name).with_extension("sse")).unwrap();
        for end in 0..stream.len() {
            let parts = Parts::all().filter(|parts| !parts.measures && !parts.collects);
            // A few bytes for each of the four combinations, and all bytes near the end.
            let is_near = stream.len() - end < 80;
            for parts in parts.enumerate().filter(|(at, _)| is_near || end % 20 == 5 * at) {
                let (_, parts) = parts;
                for how in [RelayEnd::Upstream, RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
                    let (out, report) = relay(parts, &stream[..end], 1 << 20, how);
                    let context = format!("{name} up to {end}, {parts:?}, {how:?}");
                    let mut client = UsageTap::new();
                    client.push(&out);
                    let client = client.finish();
                    let is_whole = report.outcome == RelayOutcome::Complete;
                    let is_done = client.end.done > 0;
                    assert!(how == RelayEnd::Upstream || is_done || !is_whole, "{context}");
                    if report.must_abort {
                        assert!(!parts.edits && !parts.guards && client.end.is_cut, "{context}");
                    } else if is_whole {
                        client.whole().unwrap();
                    } else if report.outcome != RelayOutcome::Other {
                        assert_eq!(client.outcome, Outcome::UpstreamError, "{context}");
                        assert_eq!(
                            (client.end.malformed, client.end.is_cut),
                            (0, false),
                            "{context}"
                        );
                    }
                }
                let (out, report) = relay(parts, &stream[..end], 1 << 20, RelayEnd::ClientGone);
                assert_eq!(report.outcome, RelayOutcome::ClientGone);
                assert!(!out.ends_with(b"\"client_gone\"}}\n\n"));
            }
        }
    }
}

/// A guard that finds something ends the stream before it, with an error event and no `[DONE]`.
#[test]
fn a_guard_stops_the_stream() {
    let event = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let stream = [event("my "), event("se"), event("cret"), "data: [DONE]\n\n".to_owned()];
    let guard = || RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
    let mut relay = Relay::builder().guard(guard()).error_message("No \"secrets\".").build();
    let mut out = Vec::new();
    let flows = stream.each_ref().map(|event| relay.push(event.as_bytes(), time(1), &mut out));
    assert_eq!(flows.map(RelayFlow::is_open), [true, true, false, false]);
    let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
    let RelayOutcome::Stopped(StopReason::Found(text)) = &report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!(text.choice, 0);
    let end = "data: {\"error\":{\"message\":\"No \\\"secrets\\\".\",\"type\":\"gateway_error\",\"param\":null,\"code\":\"content_filter\"}}\n\n";
    assert_eq!(String::from_utf8(out).unwrap(), event("my ") + end);

    // The next stream of the same relay is another one.
    let mut out = Vec::new();
    assert!(relay.push(stream[0].as_bytes(), time(1), &mut out).is_open());
    assert_eq!(out, stream[0].as_bytes());

    for (event, expected) in [
        ("data: {\"error\":{\"message\":\"a secret\"}}\n\n", StopReason::Unwatched),
        (
            "data: {\"choices\":[{\"delta\":{\"audio\":{\"data\":\"YQ\"}}}]}\n\n",
            StopReason::Unwatched,
        ),
        ("data: {\n\n", StopReason::Unwatched),
    ] {
        let (mut relay, mut out) = (Relay::builder().guard(guard()).build(), Vec::new());
        assert!(!relay.push(event.as_bytes(), time(1), &mut out).is_open(), "{event}");
        let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
        assert_eq!(report.outcome, RelayOutcome::Stopped(expected), "{event}");
    }
    // Lines that are no fields are in no chunk, so no rule edits them.
    for event in [
        "data: {\n\n",
        "error: overloaded\n",
        "  \"model\": \"m\"\n",
        "model: m\ndata: {\"model\":\"m\",\"choices\":[]}\n\n",
    ] {
        let (mut relay, mut out) = (Relay::builder().edit(editor()).build(), Vec::new());
        assert!(!relay.push(event.as_bytes(), time(1), &mut out).is_open(), "{event}");
        assert!(out.is_empty());
        let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
        assert_eq!(report.outcome, RelayOutcome::Stopped(StopReason::Unreadable), "{event}");
        assert!(out.ends_with(b"\"code\":\"unreadable_event\"}}\n\n"));
    }
    let small = RelayGuard::new(Guard::with_bounds(64, 0));
    let (mut relay, mut out) = (Relay::builder().guard(small).build(), Vec::new());
    assert!(!relay.push(stream[0].as_bytes(), time(1), &mut out).is_open());
    let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
    assert_eq!(report.outcome, RelayOutcome::Stopped(StopReason::TooLarge));
}

/// A text that a rule removes isn't sent, so it neither stops the stream nor is searched.
///
/// A text that a rule replaces hasn't been searched, so it stops the stream.
#[test]
fn a_removed_text_is_no_unwatched_one() {
    let event = |name: &str, text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{name}\":\"{text}\"}}}}]}}\n\n")
    };
    let texts =
        [("reasoning", "sec"), ("content", "sec"), ("reasoning", "ret"), ("content", "ret")];
    let run = |rule: EditRule, texts: &[(&str, &str)]| {
        let stream: String = texts.iter().map(|(name, text)| event(name, text)).collect();
        let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), MASK);
        let relay = Relay::builder().edit(Editor::with_rules([rule])).guard(guard);
        let (mut relay, mut out) = (relay.build(), Vec::new());
        let _ = relay.push(stream.as_bytes(), Duration::ZERO, &mut out);
        let report = relay.finish(RelayEnd::UpstreamFailed, Duration::ZERO, &mut out);
        (report, String::from_utf8(out).unwrap())
    };
    let path = "$.choices[*].delta.reasoning";
    let (report, out) = run(EditRule::remove(path).unwrap(), &texts);
    let empty = "data: {\"choices\":[{\"index\":0,\"delta\":{}}]}\n\n";
    let expected = [empty, &event("content", MASK), empty, &event("content", "")].concat();
    assert_eq!((report.redactions, out.starts_with(&expected)), (1, true), "{out}");
    let rename = EditRule::rename(path, "reasoning_content").unwrap();
    let (report, out) = run(rename, &[("reasoning", "a sec"), ("reasoning", "ret")]);
    let texts_of = [format!("a {MASK}"), String::new()];
    let expected = texts_of.map(|text| event("reasoning_content", &text)).concat();
    assert_eq!((report.redactions, out.starts_with(&expected)), (1, true), "{out}");
    let (report, out) = run(EditRule::replace(path, "…").unwrap(), &texts);
    assert_eq!(report.outcome, RelayOutcome::Stopped(StopReason::Unwatched));
    assert!(out.starts_with("data: {\"error\":"), "{out}");
}

/// A guard finds its texts behind more edits than a chunk usually has.
#[test]
fn texts_behind_many_edits_are_found() {
    let choice = |nth: usize| {
        format!(
            "{{\"index\":{nth},\"delta\":{{\"reasoning\":\"a secret\",\"content\":\"a secret\"}}}}"
        )
    };
    let choices: Vec<_> = (0..60).map(choice).collect();
    let stream = format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","));
    let (mut relay, mut out) = {
        let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), MASK);
        (Relay::builder().edit(editor()).guard(guard).build(), Vec::new())
    };
    let _ = relay.push(stream.as_bytes(), Duration::ZERO, &mut out);
    let report = relay.finish(RelayEnd::UpstreamFailed, Duration::ZERO, &mut out);
    assert_eq!(report.redactions, 120);
    let edited = String::from_utf8(edited(stream.as_bytes())).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with(&edited.replace("secret", MASK)));
}

/// A chunk in several `data` lines that an editor joins, and whose text a guard replaces.
#[test]
fn data_in_several_lines_is_edited_and_redacted() {
    for start in ["", "\u{feff}"] {
        let stream = &format!(
            "{start}data: {{\"model\":\"m\",\ndata: \"choices\":[{{\"delta\":{{\"content\":\"the é\"}}}}]}}\n\n"
        );
        let parts = Parts { measures: false, edits: true, guards: true, collects: false };
        let (out, report) = relay(parts, stream.as_bytes(), 1 << 20, RelayEnd::UpstreamFailed);
        assert!(report.redactions == 1 && !out.windows(3).any(|bytes| bytes == b"the"), "{start}");
    }
    let stream = "id: 1\ndata: {\"model\":\"m\",\ndata: \"choices\":[{\"delta\":\ndata: {\"content\":\"the é\"}}],\ndata: \"usage\":null}\n\ndata: [DONE]\n\n";
    let parts = Parts { measures: false, edits: true, guards: true, collects: false };
    let (out, report) = relay(parts, stream.as_bytes(), 11, RelayEnd::UpstreamFailed);
    assert_eq!(report.redactions, 1);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("[…] é") && out.contains("alias") && !out.contains("the"), "{out}");
    assert!(out.starts_with(std::str::from_utf8(&edited(&guarded(stream.as_bytes()))).unwrap()));
}

const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";

/// A comment or an event over a limit is written in parts: behind the first one no event can be added.
#[test]
fn a_cut_behind_a_part_over_a_limit_is_aborted() {
    let long =
        [format!(": {}", "k".repeat(17_000)), format!("data: {{\"a\":\"{}", "k".repeat(9000))];
    let limits = Limits::new().with_max_event_bytes(4000);
    for part in &long {
        for parts in Parts::all().filter(|parts| !parts.measures && !parts.collects) {
            for end in [RelayEnd::Upstream, RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
                let (mut relay, mut out) = (parts.builder().limits(limits).build(), Vec::new());
                assert!(
                    relay.push(format!("{FINISH}{part}").as_bytes(), time(1), &mut out).is_open()
                );
                let report = relay.finish(end, time(2), &mut out);
                let is_error =
                    matches!(report.outcome, RelayOutcome::Cut | RelayOutcome::Stopped(_));
                assert_eq!(report.must_abort, is_error, "{parts:?} {end:?} {report:?}");
                assert!(!String::from_utf8(out).unwrap().contains("gateway_error"));
            }
        }
    }
}

/// Nothing is behind the end of a whole stream, and nothing is written to a client that has left.
#[test]
fn no_error_follows_a_whole_stream_or_a_client_that_has_left() {
    let stream = format!("{FINISH}data: [DONE]\n\n");
    for end in [RelayEnd::Upstream, RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
        for parts in Parts::all() {
            let (out, report) = relay(parts, stream.as_bytes(), 50, end);
            assert_eq!(report.outcome, RelayOutcome::Complete);
            assert!(out.ends_with(b"data: [DONE]\n\n"));
        }
    }
    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["a"]));
    let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
    assert!(!relay.push(FINISH.as_bytes(), time(1), &mut out).is_open());
    relay.finish(RelayEnd::ClientGone, time(2), &mut out);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/relay.txt", 300))]

    /// Compares the bytes for pieces of any size with those for one piece.
    #[test]
    fn pieces_of_any_size_have_the_same_bytes(pick in any::<prop::sample::Index>(), sizes in prop::collection::vec(1usize..4000, 1..20), bits in 0usize..16) {
        let streams = streams();
        let (name, stream) = pick.get(&streams);
        let parts = Parts::all().nth(bits).unwrap();
        let (whole, _) = relay(parts, stream, 1 << 20, RelayEnd::Upstream);
        let (mut relay, mut out, mut rest) = (parts.relay(), Vec::new(), &stream[..]);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(rest.len().min(*size));
            rest = behind;
            let _ = relay.push(piece, time(1), &mut out);
        }
        relay.finish(RelayEnd::Upstream, time(2), &mut out);
        prop_assert_eq!(out, whole, "{} {:?}", name, parts);
    }
}

/// A last line may be the first part of a field: a client would store it with a blank line behind it.
#[test]
fn a_cut_field_is_not_closed() {
    const TEXT: &str = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let is_whole = |report: &RelayReport| report.outcome == RelayOutcome::Complete;
    for (field, id) in [
        ("id: 1", ""),
        ("event: err", ""),
        ("retry: 1", ""),
        ("data", ""),
        (": c", "0"),
        ("id: 1\n", "1"),
    ] {
        for parts in Parts::all() {
            let stream = format!("id: 0\ndata: {TEXT}\n{field}");
            let (out, report) = relay(parts, stream.as_bytes(), 7, RelayEnd::Upstream);
            let context = format!("{parts:?}, {field:?}: {}", String::from_utf8_lossy(&out));
            assert_eq!(is_whole(&report), !id.is_empty(), "{context}");
            assert!(id.is_empty() || !report.must_abort, "{context}");
            let (mut sse, mut input) = (SseDecoder::new(), &out[..]);
            while sse.next(&mut input).is_some() {}
            assert_eq!(sse.last_event_id(), id, "{context}");
        }
    }
    // The event has no payload, so that the stream is whole without it.
    let stream = format!("data: {TEXT}\n\ndata: [DONE]\n\nid: 1");
    for parts in Parts::all() {
        let (_, report) = relay(parts, stream.as_bytes(), 9, RelayEnd::Upstream);
        assert!(is_whole(&report), "{parts:?}");
    }
}

/// A last event with a payload that isn't sent cuts the stream: for the report, and for the client.
#[test]
fn a_lost_last_event_cuts_the_stream() {
    for lost in [
        r#"data: {"choices":[{"index":0,"delta":{"content":" lost"}}]}"#,
        r#"data: {"choices":[],"usage":{"total_tokens":3}}"#,
    ] {
        for field in ["id: 5", "event: e", "retry: 9"] {
            let stream = format!("{FINISH}{lost}\n{field}");
            for parts in Parts::all() {
                let (out, report) = relay(parts, stream.as_bytes(), 1 << 20, RelayEnd::Upstream);
                let context = format!("{parts:?} {lost} {field}");
                assert_eq!(report.outcome, RelayOutcome::Cut, "{context}");
                assert_eq!(report.must_abort, !parts.edits && !parts.guards, "{context}");
                let out = String::from_utf8(out).unwrap();
                assert_eq!(out.contains("gateway_error"), !report.must_abort, "{context}");
                report.stream.whole().unwrap_err();
                report.completion.map(|finished| finished.whole().unwrap_err());
            }
        }
    }
}

/// A part of an event over a limit that the guard still holds is discarded with all held events.
#[test]
fn a_stop_with_a_held_part_over_a_limit_needs_no_abort() {
    let held = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sec\"}}]}\n\n";
    let part = format!("data: {}", "x".repeat(70));
    let guard = || {
        let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), MASK);
        Relay::builder().guard(guard.pass_unwatched()).limits(Limits::new().with_max_line_bytes(69))
    };
    for size in [1, 7, 1 << 20] {
        for (stream, is_sent) in [(format!("{held}{part}"), false), (part.clone(), true)] {
            let (mut relay, mut out) = (guard().build(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                let _ = relay.push(piece, time(1), &mut out);
            }
            let report = relay.finish(RelayEnd::Stopped, time(2), &mut out);
            assert_eq!(report.must_abort, is_sent, "{size}");
            let out = String::from_utf8(out).unwrap();
            assert_eq!((out.contains('x'), out.contains("gateway_error")), (is_sent, !is_sent));
            // At the end of the upstream the held events are released.
            let (mut relay, mut out) = (guard().build(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                let _ = relay.push(piece, time(1), &mut out);
            }
            let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
            assert!(report.must_abort && out.ends_with(b"x"), "{size} {:?}", report.outcome);
        }
    }
}

/// Clients read no further than `[DONE]`, so no error event is written there.
#[test]
fn nothing_is_written_behind_done() {
    let whole = format!("{FINISH}data: [DONE]\n\n");
    for (behind, is_complete) in [
        ("da", true),
        ("<html>\n\n", true),
        (": ping", true),
        ("error: x\n", false),
        ("data: {\n\n", false),
        ("data: {\"choices\":[{\"", false),
        ("data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n", true),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", false),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", false),
    ] {
        let stream = format!("{whole}{behind}");
        let bare = || {
            let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), MASK);
            let mut editor = Editor::new();
            editor.replace("model", "m");
            [Relay::builder(), Relay::builder().guard(guard), Relay::builder().edit(editor)]
        };
        for end in [RelayEnd::Upstream, RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
            for (number, builder) in bare().into_iter().enumerate() {
                let (mut relay, mut out) = (builder.build(), Vec::new());
                for piece in stream.as_bytes().chunks(5) {
                    let _ = relay.push(piece, time(1), &mut out);
                }
                let report = relay.finish(end, time(2), &mut out);
                let context = format!("{behind:?} {end:?} {number} {:?}", report.outcome);
                assert_eq!(report.outcome == RelayOutcome::Complete, is_complete, "{context}");
                let is_stopped = report.outcome.stopped().is_some();
                assert_eq!(is_stopped, !is_complete && end == RelayEnd::Stopped, "{context}");
                assert!(!report.must_abort, "{context}");
                let out = String::from_utf8(out).unwrap();
                assert!(out.starts_with(&whole) && !out.contains("gateway_error"), "{context}");
            }
        }
    }
    let stream =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    for end in [RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
        for parts in Parts::all() {
            let (out, report) = relay(parts, stream.as_bytes(), 9, end);
            assert_ne!(report.outcome, RelayOutcome::Complete);
            assert!(out.ends_with(b"data: [DONE]\n\n") && !report.must_abort, "{parts:?}");
        }
    }
}

/// Nothing is added to a body in JSON, HTML or gzip. Its client finds a cut by the format.
#[test]
fn nothing_is_added_to_a_body_that_is_no_event_stream() {
    for body in [
        &b"{\"error\":{\"message\":\"slow down\",\"code\":503}}"[..],
        b"{\"error\":{\"code\":503}}\n",
        b"{\n \"error\": {\n  \"code\": 503\n }\n}\n",
        b"\n{\"choices\":[{\"index\":0,\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}",
        b"<html>\n<body>Bad Gateway</body>\n</html>\n",
        b"<html>",
        b"Bad Gateway\n",
        b"\x1F\x8B\x08\0\n\r\n\0x",
    ] {
        for parts in Parts::all().filter(|parts| !parts.measures && !parts.collects) {
            for size in [1, 7, 1 << 20] {
                let context = format!("{:?} {parts:?} {size}", String::from_utf8_lossy(body));
                let (out, report) = relay(parts, body, size, RelayEnd::Upstream);
                assert!(out == body, "{context} {:?}", String::from_utf8_lossy(&out));
                assert_eq!(report.stream.outcome.as_str(), "not_an_event_stream", "{context}");
                assert_eq!(report.outcome, RelayOutcome::Other, "{context}");
                assert!(!report.must_abort, "{context}");
                for end in [RelayEnd::UpstreamFailed, RelayEnd::Stopped] {
                    let (out, report) = relay(parts, body, size, end);
                    let is_added = String::from_utf8_lossy(&out).contains("gateway_error");
                    // A relay that writes events may have written nothing, and then says so.
                    assert_eq!(report.must_abort, !is_added, "{context} {end:?}");
                    assert!(!is_added || out.starts_with(b"data: ") || out.starts_with(b"\ndata: "));
                    assert!(!is_added || parts.edits || parts.guards, "{context} {end:?}");
                }
            }
        }
    }
    // A body that the editor or the guard withholds is an error event.
    for body in [&b"{\"error\":1}"[..], b"{\"error\":1}\n"] {
        let mut editor = Editor::new();
        editor.replace("model", "m");
        let guard = RelayGuard::new(Guard::new());
        for builder in [Relay::builder().edit(editor), Relay::builder().guard(guard)] {
            let (mut relay, mut out) = (builder.build(), Vec::new());
            let _ = relay.push(body, time(1), &mut out);
            let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
            assert!(report.outcome.stopped().is_some() && !report.must_abort, "{report:?}");
            assert!(out.starts_with(b"data: {\"error\""), "{report:?}");
        }
    }
}

/// No client reads a choice behind `[DONE]`, so the report of one is no success.
#[test]
fn a_choice_behind_done_is_no_success() {
    let text = |text: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let late = format!("data: [DONE]\n\n{}{FINISH}", text("Hi"));
    let stop = format!("{}{FINISH}data: [DONE]\n\n{}", text("Hi"), text(" secret"));
    for stream in [late, stop] {
        let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["secret"]));
        for builder in [Relay::builder(), Relay::builder().guard(guard)] {
            let (mut relay, mut out) = (builder.collect().build(), Vec::new());
            for _ in 0..2 {
                out.clear();
                let _ = relay.push(stream.as_bytes(), time(1), &mut out);
                let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
                assert_eq!(report.outcome, RelayOutcome::Other, "{stream}");
                let handling = report.handling();
                assert_eq!(
                    (handling.http_status, handling.may_be_cached),
                    (502, false),
                    "{stream}"
                );
            }
            // The next stream of the relay is judged alone.
            let whole = format!("{}{FINISH}data: [DONE]\n\n", text("Hi"));
            let _ = relay.push(whole.as_bytes(), time(1), &mut out);
            let report = relay.finish(RelayEnd::Upstream, time(2), &mut out);
            assert_eq!(report.outcome, RelayOutcome::Complete, "{stream}");
        }
    }
}

/// The written event ends as the last one did, in one blank line.
#[test]
fn a_last_event_of_several_lines_is_closed_once() {
    const TEXT: &str =
        "data: \"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}";
    for (lines, expected) in [
        (
            format!("data: {{\"model\":\"m\",\n{TEXT}"),
            format!("data: {{\"model\":\"alias\",\n{TEXT}\n\n"),
        ),
        (
            format!("data: {{\"model\":\"m\",\r\n{TEXT}\r\n"),
            format!("data: {{\"model\":\"alias\",\r\n{TEXT}\r\n\n"),
        ),
        (
            format!("data: {{\"model\":\"m\",\n{TEXT}\n: c "),
            format!("data: {{\"model\":\"alias\",\n{TEXT}\n: c \n\n"),
        ),
    ] {
        let mut editor = Editor::new();
        editor.replace("model", "alias");
        let mut relay = Relay::builder().edit(editor).build();
        let mut out = Vec::new();
        let _ = relay.push(lines.as_bytes(), Duration::ZERO, &mut out);
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(report.outcome, RelayOutcome::Complete);
    }
}
