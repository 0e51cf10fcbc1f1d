//! Framing against the standard: vectors, an oracle, and the laws of the design.

use deltawire::sse::{EventKind, LineSplitter, is_event_stream};
use deltawire::{ErrorKind, Limits, SseDecoder};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::decoded::{Run, assert_laws, dispatched, pieces, run};
use crate::support::framed;
use crate::support::{
    base64, expected_events, reconnection_time, recordings, stream_vectors, vectors,
};

fn whole(bytes: &[u8]) -> Run {
    run(&mut SseDecoder::new(), &[bytes]).0
}

/// Compares the results whole, by bytes, in all pairs of pieces, and in the `given` pieces.
fn assert_all_cuts(bytes: &[u8], last_event_id: &str, given: &[usize], name: &str) {
    let mut decoder = SseDecoder::new();
    let mut run = |cut: &[&[u8]]| {
        decoder.reset();
        decoder.set_last_event_id(last_event_id);
        run(&mut decoder, cut).0
    };
    let whole = run(&[bytes]);
    assert_laws(&whole, bytes, last_event_id, name);
    assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole, "{name}: bytes");
    assert_eq!(run(&pieces(bytes, given)), whole, "{name}: as given");
    // Every one of them, except in inputs with more bytes than this, whose lines are long or alike.
    // Four vectors have more than 16 KiB, and all of their cuts would take two thirds of the time.
    let most = if cfg!(debug_assertions) { 500 } else { 16 << 10 };
    let step = 1 + bytes.len() / most;
    for at in (0..bytes.len()).step_by(step) {
        let (one, other) = bytes.split_at(at);
        assert_eq!(run(&[one, b"", other]), whole, "{name}: cut at {at}");
    }
}

#[test]
fn vectors_in_every_cut_have_the_events_of_the_standard() {
    let mut count = 0;
    for vector in stream_vectors() {
        let name = vector["name"].as_str().unwrap();
        let bytes = base64(vector["input_b64"].as_str().unwrap());
        let id = vector["initial_last_event_id"].as_str().unwrap_or_default();
        let lengths: Vec<usize> = match (&vector["chunks"], vector["chunk_size"].as_u64()) {
            (Value::Array(lengths), _) => {
                lengths.iter().map(|length| length.as_u64().unwrap() as usize).collect()
            }
            (_, Some(size)) => vec![size as usize; bytes.len().div_ceil(size as usize)],
            _ => Vec::new(),
        };
        let cut = pieces(&bytes, &lengths);
        let mut decoder = SseDecoder::new();
        decoder.set_last_event_id(id);
        let (found, messages) = run(&mut decoder, &cut);
        assert_eq!(dispatched(&found), expected_events(&vector), "{name}");
        assert_eq!(found.last_event_id, vector["last_event_id"].as_str().unwrap(), "{name}");
        assert_eq!(found.retry, reconnection_time(&vector["reconnection_time"]), "{name}");
        let comments = vector["comments"].as_array().unwrap();
        assert_eq!(found.comments, comments.len() as u64, "{name}");
        if let Some(promptness) = vector["events_after_chunk"].as_array() {
            let promptness: Vec<_> =
                promptness.iter().map(|count| count.as_u64().unwrap() as usize).collect();
            assert_eq!(messages, promptness, "{name}: promptness");
        }
        assert_all_cuts(&bytes, id, &lengths, name);
        // The rest at the end has comments too, which only salvage returns.
        let mut texts: Vec<_> = found
            .events
            .iter()
            .flat_map(|event| event.comments.clone())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect();
        let mut decoder = SseDecoder::new();
        run_without_end(&mut decoder, &bytes);
        if let Some(event) = decoder.salvage() {
            texts.extend(event.comments().map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        let comments: Vec<_> = comments.iter().map(|text| text.as_str().unwrap()).collect();
        assert_eq!(texts.get(..comments.len()).unwrap(), comments, "{name}: comments");
        count += 1;
    }
    println!("{count} vectors");
}

#[test]
fn lines_in_any_pieces_are_split_as_their_vectors_list() {
    for (_, vector) in vectors("sse").iter().filter(|(suite, _)| suite == "lines") {
        let list = |name: &str| -> Vec<Vec<u8>> {
            let items = vector[name].as_array().unwrap().iter();
            items.map(|item| base64(item.as_str().unwrap())).collect()
        };
        let whole = list("chunks_b64").concat();
        for pieces in [list("chunks_b64"), whole.chunks(1).map(Vec::from).collect(), vec![whole]] {
            let mut splitter = LineSplitter::new();
            let (mut lines, mut line) = (Vec::new(), Vec::new());
            for piece in &pieces {
                let mut input = &piece[..];
                while let Some(span) = splitter.next(input) {
                    line.extend_from_slice(span.held());
                    line.extend_from_slice(span.content(input));
                    if span.is_complete() {
                        lines.push(std::mem::take(&mut line));
                    }
                    input = &input[span.len()..];
                }
            }
            assert_eq!(lines, list("terminated"), "{}", vector["name"]);
            let left = base64(vector["unterminated"].as_str().unwrap());
            assert_eq!(line, left, "{}", vector["name"]);
        }
    }
}

#[test]
fn content_types_are_event_streams_as_their_vectors_list() {
    for (_, vector) in vectors("sse").iter().filter(|(suite, _)| suite == "wpt-mime") {
        let content_type = vector["content_type"].as_str().unwrap();
        assert_eq!(is_event_stream(content_type), vector["is_event_stream"], "{content_type}");
    }
}

/// A decoder has the limits that it enforces, not those that it was given.
#[test]
fn limits_are_read_as_they_are_enforced() {
    let given = Limits::new().with_max_json_depth(10_000).with_max_line_bytes(1);
    let limits = *SseDecoder::with_limits(given).limits();
    assert_eq!((limits.max_json_depth, limits.max_line_bytes), (512, 16));
    let least = Limits::new().with_max_json_depth(3);
    assert_eq!(SseDecoder::with_limits(least).limits().max_json_depth, 3);
}

#[test]
fn invalid_utf8_has_its_offset_and_costs_its_event_only() {
    let bytes = b"data: one\n\ndata: a\xFFb\n\ndata: c\ndata: d\xE5\xA5\n\ndata: two\n\n";
    let mut decoder = SseDecoder::new();
    let mut input = &bytes[..];
    let mut seen = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        let text = event.data_str().map_err(|error| (error.kind(), error.offset()));
        seen.push((text.map(str::to_owned), event.data_lossy().into_owned()));
    }
    let bad = |offset: u64, lossy: &str| (Err((ErrorKind::InvalidUtf8, offset)), lossy.to_owned());
    let good = |text: &str| (Ok(text.to_owned()), text.to_owned());
    let expected = [good("one"), bad(18, "a\u{FFFD}b"), bad(37, "c\nd\u{FFFD}"), good("two")];
    assert_eq!(seen, expected);
    assert_eq!((bytes[18], bytes[37]), (0xFF, 0xE5));
}

#[test]
fn an_offset_behind_the_data_counts_on_without_overflow() {
    for (stream, start) in [("data: ab\n\n", 6), ("data: ab\ndata: cd\n\n", 12)] {
        let stream = format!(": ping\n\n{stream}");
        let mut input = stream.as_bytes();
        let mut decoder = SseDecoder::new();
        decoder.next(&mut input).unwrap();
        let event = decoder.next(&mut input).unwrap();
        let len = event.data().len();
        assert_eq!(event.data_offset(len + 3), 8 + start + (len + 3) as u64, "{stream:?}");
        assert_eq!(event.data_offset(usize::MAX), u64::MAX, "{stream:?}");
    }
}

#[test]
fn a_last_event_without_its_blank_line_is_dropped_or_salvaged() {
    for last in ["data: x\nid: 1", "data: x\nid: 1\n", "data: x\r\nid: 1\r\n", "data: x\rid: 1"] {
        let stream = format!("data: before\n\n{last}");
        for size in [stream.len(), 1] {
            let mut decoder = SseDecoder::new();
            for piece in stream.as_bytes().chunks(size) {
                run_without_end(&mut decoder, piece);
            }
            assert_eq!(decoder.finish().discarded_bytes, last.len() as u64, "{last:?}");
            assert_eq!(decoder.last_event_id(), "");
            let event = decoder.salvage().unwrap();
            assert_eq!((event.kind(), event.data()), (EventKind::Message, &b"x"[..]), "{last:?}");
            assert_eq!((event.raw(), event.last_event_id()), (last.as_bytes(), "1"));
            assert!(event.is_unterminated());
            assert!(decoder.salvage().is_none());
            assert_eq!(decoder.finish().discarded_bytes, 0);
        }
    }
    let mut decoder = SseDecoder::new();
    run_without_end(&mut decoder, b"data: x\n\n");
    assert!(decoder.salvage().is_none());
}

#[test]
fn a_byte_order_mark_alone_is_no_event() {
    for size in [1, 3] {
        let mut decoder = SseDecoder::new();
        for piece in b"\xEF\xBB\xBF".chunks(size) {
            run_without_end(&mut decoder, piece);
        }
        assert!(decoder.salvage().is_none());
        let end = decoder.finish();
        assert_eq!((end.bytes, end.discarded_bytes), (3, 3));
    }
}

/// At any place, with any line ends, if the blank line is there in time.
#[test]
fn a_blank_line_behind_a_comment_belongs_to_it() {
    for end in ["\n", "\r\n", "\r"] {
        for before in ["", "\u{FEFF}", "data: x\n\n", ": cut"] {
            let stream = format!("{before}: ping{end}{end}data: y\n\n");
            let (one, other) = stream.split_at(before.len());
            let mut decoder = SseDecoder::new();
            run_without_end(&mut decoder, one.as_bytes());
            let comment = decoder.next(&mut other.as_bytes()).unwrap();
            assert_eq!(comment.kind(), EventKind::Comment);
            assert!(comment.raw().ends_with(format!(": ping{end}{end}").as_bytes()), "{stream:?}");
        }
    }
}

#[test]
fn what_the_standard_ignores_is_visible() {
    let bytes =
        b"error: {\"message\": 1}\n\nevent: error\n: no responders\n\ndata: x\nnoise\n: c\n\n";
    let mut decoder = SseDecoder::new();
    let mut input = &bytes[..];
    let mut seen = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        let unknown: Vec<_> = event.unknown_lines().collect();
        let comments: Vec<_> = event.comments().collect();
        let event_type = event.event_type().to_owned();
        seen.push((event.kind(), event_type, unknown.concat(), comments.concat()));
        assert_eq!(event.has_unknown_lines(), !unknown.is_empty());
    }
    let expected: [(_, _, &[u8], &[u8]); 4] = [
        (EventKind::UnknownField, "message", b"error: {\"message\": 1}", b""),
        (EventKind::BlankLine, "message", b"", b""),
        (EventKind::Undispatched, "error", b"", b"no responders"),
        (EventKind::Message, "message", b"noise", b"c"),
    ];
    let seen: Vec<_> = seen.iter().map(|(k, t, u, c)| (*k, &t[..], &u[..], &c[..])).collect();
    assert_eq!(seen, expected);
}

fn run_without_end(decoder: &mut SseDecoder, mut bytes: &[u8]) {
    while decoder.next(&mut bytes).is_some() {}
}

#[test]
fn recordings_in_every_cut_have_the_events_of_the_standard() {
    for api in [
        "openai-chat",
        "anthropic-messages",
        "gemini-generate",
        "openai-responses",
        "cohere-v2-chat",
    ] {
        for recording in recordings(api) {
            let bytes = &recording.bytes;
            let found = whole(bytes);
            assert_laws(&found, bytes, "", &recording.file);
            for size in [1, 7, 1460, 4096] {
                let cut: Vec<_> = bytes.chunks(size).collect();
                assert_eq!(
                    run(&mut SseDecoder::new(), &cut).0,
                    found,
                    "{}: {size}",
                    recording.file
                );
            }
            if let Some(lengths) = &recording.pieces {
                let cut = pieces(bytes, lengths);
                assert_eq!(
                    run(&mut SseDecoder::new(), &cut).0,
                    found,
                    "{}: as recorded",
                    recording.file
                );
            }
        }
    }
}

/// Returns streams of bytes that matter to framing.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        8 => Just(&b"data"[..]), 4 => Just(&b": "[..]), 4 => Just(&b":"[..]), 6 => Just(&b"\n"[..]),
        6 => Just(&b"\r"[..]), 4 => Just(&b"\r\n"[..]), 3 => Just(&b"id"[..]), 3 => Just(&b"event"[..]),
        3 => Just(&b"retry"[..]), 2 => Just(&b"error"[..]), 2 => Just(&b"\xEF\xBB\xBF"[..]),
        1 => Just(&b"\xEF"[..]), 1 => Just(&b"\xBB"[..]), 2 => Just(&b"12"[..]), 1 => Just(&b"\0"[..]),
        1 => Just(&b"\xF0\x9F"[..]), 3 => Just(&b" "[..]), 2 => Just("é😀".as_bytes()),
        1 => Just(&b"[DONE]"[..]),
    ];
    vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

/// The number of generated streams of each property.
///
/// Unoptimised, making them takes most of the time, and `.ci/run` reads all of them optimised.
const CASES: u32 = if cfg!(debug_assertions) { 500 } else { 2000 };

/// Returns limits below `most`, and the largest number, which is no limit.
fn limit(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..most, 1 => Just(usize::MAX)]
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/framing.txt", CASES))]

    /// Law 1 and law 3, and the standard.
    #[test]
    fn any_split_has_the_events_of_the_standard(bytes in streams(), lengths in vec(0usize..9, 0..40)) {
        assert_all_cuts(&bytes, "before", &lengths, "generated");
    }

    /// Laws 1 and 3 where limits are exceeded, too.
    #[test]
    fn any_split_has_the_same_events_under_any_limits(
        bytes in streams(),
        lengths in vec(0usize..9, 0..40),
        numbers in [limit(60), limit(60), limit(60), limit(6)],
    ) {
        let mut limits = Limits::default();
        let [line_bytes, event_bytes, comment_bytes, id_bytes] = numbers;
        limits.max_line_bytes = line_bytes;
        limits.max_event_bytes = event_bytes;
        limits.max_comment_bytes = comment_bytes;
        limits.max_id_bytes = id_bytes;
        let decode = |cut: &[&[u8]]| run(&mut SseDecoder::with_limits(limits), cut).0;
        let expected = Run::of(framed::frame(&bytes, &limits, ""), &bytes);
        prop_assert_eq!(&decode(&[&bytes]), &expected);
        prop_assert_eq!(&decode(&bytes.chunks(1).collect::<Vec<_>>()), &expected);
        prop_assert_eq!(&decode(&pieces(&bytes, &lengths)), &expected);
    }

    #[test]
    fn a_reset_decoder_is_a_fresh_one(before in streams(), bytes in streams()) {
        let mut decoder = SseDecoder::new();
        run_without_end(&mut decoder, &before);
        decoder.reset();
        prop_assert_eq!(run(&mut decoder, &[&bytes[..]]).0, whole(&bytes));
    }
}
