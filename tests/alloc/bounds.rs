//! Memory and work: limits to the byte, no allocation in steady state, linear in the bytes.

use deltawire::sse::{Event, EventKind};
use deltawire::{Error, ErrorKind, Limits, SseDecoder};

use crate::support::heap;

fn limits_of(event_bytes: usize) -> Limits {
    limits(|limits| limits.max_event_bytes = event_bytes)
}

fn limits(change: impl Fn(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// The result of a stream: kind, error and data of each event, and all raw bytes.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<(EventKind, Option<Error>, Vec<u8>)>,
    raw: Vec<u8>,
}

/// Decodes pieces; neighbours that are skipped count as one, blank lines not at all.
fn decode<'p>(limits: Limits, pieces: impl Iterator<Item = &'p [u8]>) -> Outcome {
    let mut decoder = SseDecoder::with_limits(limits);
    let mut outcome = Outcome { events: Vec::new(), raw: Vec::new() };
    for piece in pieces {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            outcome.raw.extend_from_slice(event.raw());
            let skipped = event.kind() == EventKind::Skipped;
            let seen = (event.kind(), event.error(), event.data().to_vec());
            let again = skipped && outcome.events.last() == Some(&seen);
            if !again && event.kind() != EventKind::BlankLine {
                outcome.events.push(seen);
            }
        }
    }
    outcome
}

/// Decodes `bytes` in several cuts, and returns their common result.
fn decode_all_cuts(limits: Limits, bytes: &[u8]) -> Outcome {
    let whole = decode(limits, std::iter::once(bytes));
    for size in [1, 2, 3, 5, 8, 13] {
        assert_eq!(decode(limits, bytes.chunks(size)), whole, "pieces of {size}");
    }
    for at in 0..bytes.len() {
        let (one, other) = bytes.split_at(at);
        assert_eq!(decode(limits, [one, other].into_iter()), whole, "cut at {at}");
    }
    assert_eq!(whole.raw, bytes, "raw bytes stay forwardable");
    whole
}

fn kinds(outcome: &Outcome) -> Vec<EventKind> {
    outcome.events.iter().map(|(kind, ..)| *kind).collect()
}

fn errors(outcome: &Outcome) -> Vec<(ErrorKind, u64)> {
    let errors = outcome.events.iter().filter_map(|(_, error, _)| *error);
    errors.map(|error| (error.kind(), error.offset())).collect()
}

/// Puts intact events before and behind an event that is too large.
fn between(middle: &str) -> Vec<u8> {
    format!("data: one\n\n{middle}data: two\n\n").into_bytes()
}

fn assert_neighbours(outcome: &Outcome) {
    assert_eq!(outcome.events.first().unwrap().2, b"one");
    assert_eq!(outcome.events.last().unwrap().2, b"two");
}

#[test]
fn a_line_may_have_exactly_so_many_bytes() {
    for (end, blank) in [("\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r")] {
        for len in [29, 30, 31] {
            let line = format!("data: {}", "x".repeat(len - 6));
            let bytes = between(&format!("{line}{end}{blank}"));
            let outcome = decode_all_cuts(limits(|limits| limits.max_line_bytes = 30), &bytes);
            assert_neighbours(&outcome);
            if len <= 30 {
                assert_eq!(kinds(&outcome)[1], EventKind::Message, "{len}");
                assert_eq!(outcome.events[1].2.len(), len - 6);
            } else {
                assert_eq!(kinds(&outcome)[1..3], [EventKind::TooLarge, EventKind::Skipped]);
                assert_eq!(errors(&outcome), [(ErrorKind::LineTooLong, 11)]);
            }
        }
    }
}

#[test]
fn an_event_may_have_exactly_so_many_bytes() {
    for end in ["\n", "\r\n", "\r"] {
        // Each line counts with its end, but for the closing line's second byte.
        let mixed = format!("event: e{end}: c{end}u{end}data: 0123456789{end}{end}");
        let alone = format!("data: 0123456789{end}{end}");
        for lines in [mixed, alone] {
            let len = lines.len() - (end.len() - 1);
            for limit in [len - 1, len, len + 1] {
                let limits = limits(|limits| limits.max_event_bytes = limit);
                let outcome = decode_all_cuts(limits, &between(&lines));
                assert_neighbours(&outcome);
                if limit >= len {
                    let expected = [EventKind::Message; 3];
                    assert_eq!(kinds(&outcome)[..3], expected, "{limit} {end:?}");
                    assert_eq!(outcome.events[1].2, b"0123456789");
                } else {
                    assert_eq!(kinds(&outcome)[1..3], [EventKind::TooLarge, EventKind::Skipped]);
                    assert_eq!(errors(&outcome), [(ErrorKind::EventTooLarge, 11)]);
                }
            }
        }
    }
}

/// A limit between the CR and the LF of a line that doesn't close the event.
///
/// The result must not depend on the cut.
#[test]
fn limit_inside_a_line_end_has_one_result_in_any_cut() {
    for len in 16..40 {
        let limits = limits(|limits| limits.max_event_bytes = len);
        for stream in [
            "data: \nretry: 5\r\n\r\n",
            "data: 1\r\n: c\r\nretry: 5\r\n\r\n",
            "data:\r\ndata:\r\ndata:\r\nid: 1\r\n\r\n",
        ] {
            let times = |pieces: &mut dyn Iterator<Item = &'static [u8]>| {
                let mut decoder = SseDecoder::with_limits(limits);
                for mut input in pieces {
                    while decoder.next(&mut input).is_some() {}
                }
                let id = decoder.last_event_id().to_owned();
                (decoder.reconnection_time(), decoder.comments(), id)
            };
            let whole = times(&mut std::iter::once(stream.as_bytes()));
            assert_eq!(times(&mut stream.as_bytes().chunks(1)), whole, "{len} {stream:?}");
            decode_all_cuts(limits, stream.as_bytes());
        }
    }
}

/// A stream that breaks off behind a CRLF: the LF counts once something follows it.
#[test]
fn a_line_feed_at_the_end_is_not_too_much() {
    let stream = "data: 0123456789\r\n";
    for limit in [16, 17, 18, 19] {
        for size in [1, stream.len()] {
            let mut decoder = SseDecoder::with_limits(limits_of(limit));
            let mut events = 0;
            for mut input in stream.as_bytes().chunks(size) {
                while decoder.next(&mut input).is_some() {
                    events += 1;
                }
            }
            // Too large, and up to three events of its skipped bytes.
            assert_eq!(events > 0, limit == 16, "{limit} in pieces of {size}");
        }
    }
}

#[test]
fn joined_data_counts_towards_the_event_limit() {
    // Three lines of 8 bytes, a blank line, and the joined `a\nb\nc`.
    let lines = "data: a\ndata: b\ndata: c\n\n";
    let len = lines.len() + 5;
    for limit in [len - 1, len, len + 1] {
        let limits = limits(|limits| limits.max_event_bytes = limit);
        let outcome = decode_all_cuts(limits, &between(lines));
        assert_neighbours(&outcome);
        let expected = if limit >= len { EventKind::Message } else { EventKind::TooLarge };
        assert_eq!(kinds(&outcome)[1], expected, "{limit}");
    }
    // Where the stream ends before the blank line, that doesn't count.
    for limit in [len - 2, len - 1] {
        let mut decoder = SseDecoder::with_limits(limits_of(limit));
        let mut input = &lines.as_bytes()[..lines.len() - 1];
        let fits = decoder.next(&mut input).is_none();
        assert_eq!(fits, limit == len - 1);
        let salvaged = decoder.salvage().map(|event| event.data().to_vec());
        assert_eq!(salvaged, fits.then(|| b"a\nb\nc".to_vec()));
    }
}

/// Two lines that fit, but not their joined data: it isn't built before it is found too large.
#[test]
fn joined_data_is_measured_before_it_is_joined() {
    const LIMIT: usize = 1 << 20;
    let limits = limits(|limits| limits.max_event_bytes = LIMIT);
    let lines = format!("data: {}\n", "x".repeat(LIMIT / 2 - 10)).repeat(2);
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(limits);
    let mut kinds = Vec::with_capacity(1000);
    for mut input in lines.as_bytes().chunks(16 << 10) {
        while let Some(event) = decoder.next(&mut input) {
            kinds.push(event.kind());
        }
    }
    assert_eq!(kinds.first(), Some(&EventKind::TooLarge));
    assert!((heap::peak() - before) as usize <= LIMIT + (4 << 10));
    // The same where the stream breaks off before the second line's end.
    let mut decoder = SseDecoder::with_limits(limits);
    let mut input = &lines.as_bytes()[..lines.len() - 1];
    assert!(decoder.next(&mut input).is_none());
    let event = decoder.salvage().unwrap();
    assert_eq!(
        (event.kind(), event.error().unwrap().kind()),
        (EventKind::TooLarge, ErrorKind::EventTooLarge)
    );
}

#[test]
fn empty_data_lines_count_towards_the_event_limit() {
    let lines = format!("{}\n", "data:\n".repeat(40));
    let limits = limits(|limits| limits.max_event_bytes = 200);
    let outcome = decode_all_cuts(limits, &between(&lines));
    assert_neighbours(&outcome);
    assert_eq!(errors(&outcome), [(ErrorKind::EventTooLarge, 11)]);
}

#[test]
fn a_comment_may_have_any_length() {
    for (line, kind) in [(":", EventKind::Comment), ("error: ", EventKind::UnknownField)] {
        for len in [19, 20, 21, 60] {
            let line = format!("{line}{}", "x".repeat(len - line.len()));
            let limits = limits(|limits| {
                limits.max_comment_bytes = 20;
                limits.max_line_bytes = 30;
                limits.max_event_bytes = 40;
            });
            let outcome = decode_all_cuts(limits, &between(&format!("{line}\n")));
            assert_neighbours(&outcome);
            assert_eq!(errors(&outcome), [], "{len}");
            let rest = if len > 20 { &[kind, EventKind::Skipped][..] } else { &[kind] };
            assert_eq!(kinds(&outcome)[1..=rest.len()], *rest, "{len}");
            // A byte order mark before it is no part of it.
            let first = format!("\u{FEFF}{line}\ndata: two\n\n");
            let outcome = decode_all_cuts(limits, first.as_bytes());
            assert_eq!(kinds(&outcome), [rest, &[EventKind::Message]].concat(), "{len}");
        }
    }
}

#[test]
fn an_id_may_have_exactly_so_many_bytes() {
    for len in [9, 10, 11] {
        let id = "i".repeat(len);
        let bytes = between(&format!("id: {id}\ndata: x\n\n"));
        let limits = limits(|limits| limits.max_id_bytes = 10);
        let outcome = decode_all_cuts(limits, &bytes);
        assert_neighbours(&outcome);
        let expected: &[_] = if len <= 10 { &[] } else { &[(ErrorKind::IdTooLong, 11 + 4)] };
        assert_eq!(errors(&outcome), expected);
        let mut decoder = SseDecoder::with_limits(limits);
        let mut input = &bytes[..];
        while decoder.next(&mut input).is_some() {}
        assert_eq!(decoder.last_event_id(), if len <= 10 { &id } else { "" });
    }
}

/// U+FFFD, which replaces a byte that isn't UTF-8, counts as three bytes.
#[test]
fn an_id_counts_as_its_text() {
    for bad in [3, 4] {
        let id = [&b"i"[..], &vec![0xFF; bad]].concat();
        let bytes = [b"id: ", &id[..], b"\ndata: x\n\n"].concat();
        let outcome = decode_all_cuts(limits(|limits| limits.max_id_bytes = 10), &bytes);
        let expected: &[_] = if bad == 3 { &[] } else { &[(ErrorKind::IdTooLong, 4)] };
        assert_eq!(errors(&outcome), expected);
    }
}

#[test]
fn of_several_ids_the_last_one_counts() {
    let long = "i".repeat(11);
    for (lines, id) in [
        (format!("id: {long}\nid: 5\ndata: x\n\n"), Some("5")),
        (format!("id: {long}\nid\ndata: x\n\n"), Some("")),
        (format!("id: 5\nid: {long}\ndata: x\n\n"), None),
        (format!("id: 5\nid: {long}\0\ndata: x\n\n"), Some("5")),
    ] {
        let mut decoder = SseDecoder::with_limits(limits(|limits| limits.max_id_bytes = 10));
        let event = decoder.next(&mut lines.as_bytes()).unwrap();
        let seen = (event.kind(), event.last_event_id());
        match id {
            Some(id) => assert_eq!(seen, (EventKind::Message, id), "{lines:?}"),
            None => assert_eq!(seen, (EventKind::TooLarge, ""), "{lines:?}"),
        }
    }
}

/// A type that isn't UTF-8 is held as text, besides its bytes.
///
/// Both count, and neither is held for ever.
#[test]
fn a_type_counts_as_bytes_and_as_text() {
    const LIMIT: usize = 1 << 20;
    let limits = limits(|limits| limits.max_event_bytes = LIMIT);
    // `event: ` and a line end, `data: x` and its end, and the blank line.
    let fixed = 8 + 8 + 1;
    // One byte that isn't UTF-8 counts four times, another one twice; joined data counts besides.
    let text = [&vec![0xFF; 100][..], &[b'a'; 10]].concat();
    for (data, more) in [("data: x", 0), ("data: x\ndata: y", "data: y\n".len() + "x\ny".len())] {
        let bytes = [b"event: ", &text[..], b"\n", data.as_bytes(), b"\n\n"].concat();
        let most = fixed + 4 * 100 + 2 * 10 + more;
        for limit in [most - 1, most] {
            let outcome = decode_all_cuts(limits_of(limit), &bytes);
            let fits = limit == most;
            let expected: &[_] = if fits { &[] } else { &[(ErrorKind::EventTooLarge, 0)] };
            assert_eq!(errors(&outcome), expected, "{limit} {data:?}");
            assert_eq!(outcome.raw, bytes);
        }
    }
    let cases =
        [(LIMIT / 8, EventKind::Message), (LIMIT / 2, EventKind::TooLarge)].map(|(len, kind)| {
            (len, kind, [b"event: ", &vec![0xFF; len][..], b"\ndata: x\n\n"].concat())
        });
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(limits);
    for (len, kind, lines) in cases.iter().map(|(len, kind, lines)| (*len, *kind, lines)) {
        let mut last = None;
        for mut input in lines.chunks(4 << 10) {
            while let Some(event) = decoder.next(&mut input) {
                last = Some((event.kind(), event.event_type().len()));
            }
        }
        let expected = if kind == EventKind::Message { 3 * len } else { "message".len() };
        assert_eq!(last, Some((kind, expected)));
    }
    assert!((heap::peak() - before) as usize <= LIMIT + LIMIT / 2);
    for mut input in [&b"data: x\n\n"[..]; 100] {
        while decoder.next(&mut input).is_some() {}
    }
    assert!(heap::live() < before + (4 << 10));
}

/// One event grows the buffer, the next one the joined data, and the next one the type.
///
/// The buffers that they leave are held at once.
#[test]
fn buffers_of_different_events_hold_no_more_than_one_events() {
    const LIMIT: usize = 1 << 20;
    let limits = limits(|limits| limits.max_event_bytes = LIMIT);
    let large = format!("data: {}\n\n", "x".repeat(LIMIT - 100));
    let joined =
        format!("data: {}\ndata: {}\n\n", "x".repeat(LIMIT / 4 - 20), "x".repeat(LIMIT / 4 - 20));
    let bad = [b"event: ", &vec![0xFF; LIMIT / 4 - 20][..], b"\ndata: x\n\n"].concat();
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(limits);
    let mut messages = 0;
    for stream in [large.as_bytes(), joined.as_bytes(), &bad] {
        for mut input in stream.chunks(1000) {
            while let Some(event) = decoder.next(&mut input) {
                messages += usize::from(event.kind() == EventKind::Message);
            }
        }
    }
    assert_eq!(messages, 3);
    let peak = (heap::peak() - before) as usize;
    assert!(peak <= LIMIT + LIMIT / 2 + (4 << 10), "{peak}");
}

#[test]
fn limits_of_zero_are_enforced() {
    let none = limits(|limits| {
        limits.max_line_bytes = 0;
        limits.max_event_bytes = 0;
        limits.max_comment_bytes = 0;
        limits.max_id_bytes = 0;
    });
    let bytes = b"\xEF\xBB\xBF: ping\n\ndata: x\r\n\r\nid: 1\r\rerror: x\n\nretry: 5\n\n\
        data: 0123456789 is too long\r\n\r\nid:2\r\ndata:345678901\r\n\r\n";
    let outcome = decode_all_cuts(none, bytes);
    let messages = kinds(&outcome).iter().filter(|kind| **kind == EventKind::Message).count();
    assert_eq!(messages, 1, "16 bytes are allowed at least: {:?}", kinds(&outcome));
    assert_eq!(errors(&outcome).len(), 3, "{:?}", errors(&outcome));
}

/// The other limits apply, and the positions of cuts don't overflow.
#[test]
fn a_limit_of_the_largest_number_is_no_limit() {
    let long = "x".repeat(20_000);
    for (stream, limits, kind) in [
        (
            format!("id: 1\ndata: {long}\n\n"),
            limits(|limits| limits.max_line_bytes = usize::MAX),
            EventKind::Message,
        ),
        (
            format!("\u{FEFF}: {long}\n\n"),
            limits_of(1000).with_max_comment_bytes(usize::MAX),
            EventKind::Comment,
        ),
        (
            format!("id: 1\ndata: {long}\n\n"),
            limits(|limits| limits.max_event_bytes = usize::MAX).with_max_line_bytes(1000),
            EventKind::TooLarge,
        ),
    ] {
        for size in [stream.len(), 1000] {
            let outcome = decode(limits, stream.as_bytes().chunks(size));
            assert_eq!(kinds(&outcome)[0], kind, "{limits:?} {size}");
            assert_eq!(outcome.raw, stream.as_bytes());
        }
    }
}

/// Feeds an input without an end in pieces, and returns the peak of its memory.
fn peak(limits: Limits, head: &[u8], piece: &[u8], times: usize) -> usize {
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(limits);
    let mut too_large = 0;
    for input in std::iter::once(head).chain(std::iter::repeat_n(piece, times)) {
        let mut input = input;
        while let Some(event) = decoder.next(&mut input) {
            too_large += usize::from(event.kind() == EventKind::TooLarge);
        }
    }
    assert!(too_large <= 1, "one error, then skipped");
    // The neighbour stream is not impressed.
    let mut input = &b"\n\ndata: y\n\n"[..];
    while let Some(event) = decoder.next(&mut input) {
        if event.kind() == EventKind::Message && event.data() == b"y" {
            return (heap::peak() - before) as usize;
        }
    }
    panic!("not resynchronised");
}

/// The buffer of a comment grows to its own limit, which may be the larger one.
#[test]
fn memory_of_a_long_comment_is_within_the_docs() {
    let limits = limits_of(1 << 10)
        .with_max_line_bytes(1 << 10)
        .with_max_id_bytes(16)
        .with_max_comment_bytes(4 << 20);
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(limits);
    let piece = [b'x'; 4096];
    for piece in std::iter::once(&b": "[..]).chain(std::iter::repeat_n(&piece[..], 768)) {
        assert!(decoder.next(&mut &*piece).is_none());
    }
    let most = 2 * (4 << 20) + 3 * 16 + (64 << 10);
    let peak = (heap::moving_peak() - before) as usize;
    assert!((3 << 20..=most).contains(&peak), "{peak}");
}

#[test]
fn endless_things_hold_no_more_than_their_limit() {
    const LIMIT: usize = 1 << 20;
    let limits = limits(|limits| limits.max_event_bytes = LIMIT);
    let comment = limits.max_comment_bytes;
    let small = 4 << 10;
    for (name, head, piece, times, most) in [
        ("line", "data: ", "x".repeat(1000), 8000, LIMIT),
        ("line, by bytes", "data: ", "x".to_owned(), 3 << 20, LIMIT),
        ("empty data lines", "", "data:\n".repeat(100), 8000, LIMIT + LIMIT / 2),
        ("data lines", "", "data: 0123456789\n".repeat(10), 40_000, LIMIT + LIMIT / 2),
        ("comments", "", ": ping\n".repeat(100), 8000, small),
        ("one comment", ":", "x".repeat(1000), 8000, comment),
        ("unknown lines", "", "noise: x\n".repeat(100), 8000, small),
        ("one unknown line", "noise", "x".repeat(1000), 8000, comment),
        ("comments in an event", "data: x\n", ": ping\n".repeat(100), 8000, LIMIT),
        ("ids", "", "id: 5\n".repeat(100), 8000, LIMIT),
        ("blank lines", "", "\n\r\r\n".repeat(100), 8000, small),
        ("CRLF at the limit", "", "data:\r\n".repeat(100), 8000, LIMIT + LIMIT / 2),
        ("one id", "id: ", "x".repeat(1000), 8000, LIMIT),
    ] {
        let peak = peak(limits, head.as_bytes(), piece.as_bytes(), times);
        assert!(peak <= most + small, "{name}: {peak} bytes held, {most} allowed");
    }
}

#[test]
fn nothing_is_allocated_in_steady_state() {
    let mut stream = Vec::new();
    for number in 0..200 {
        let text = "x".repeat(100 + number % 50);
        stream.extend(format!("id: {}\nevent: delta\ndata: {text}\n\n", number % 7).bytes());
        stream.extend(format!(": ping\n\ndata: {text}\ndata: two\r\n\r\n").bytes());
        stream.extend("retry: 10\n\nnoise\n\ndata: [DONE]\n\n".bytes());
        stream.extend(b"id: \xFF\nevent: \xE5\xA5\ndata: 1\n\n");
    }
    for size in [usize::MAX, 4096, 1460, 100, 16, 1] {
        let mut decoder = SseDecoder::new();
        let mut pass = || {
            let mut count = 0;
            for mut input in stream.chunks(size.min(stream.len())) {
                while let Some(event) = decoder.next(&mut input) {
                    count += usize::from(event.kind() == EventKind::Message);
                }
            }
            count
        };
        assert_eq!(pass(), 800);
        let before = heap::allocations();
        assert_eq!(pass(), 800);
        assert_eq!(heap::allocations() - before, 0, "pieces of {size}");
    }
}

#[test]
fn an_event_in_one_piece_is_borrowed_from_it() {
    let is_in = |bytes: &[u8], part: &[u8]| bytes.as_ptr_range().contains(&part.as_ptr());
    let bytes = b"event: e\n: c\ndata: whole\n\ndata: two\ndata: lines\n\ndata: cut";
    let mut decoder = SseDecoder::new();
    let mut input = &bytes[..];
    let check = |event: Event<'_>| (is_in(bytes, event.raw()), is_in(bytes, event.data()));
    assert_eq!(check(decoder.next(&mut input).unwrap()), (true, true));
    assert_eq!(check(decoder.next(&mut input).unwrap()), (true, false));
    assert!(decoder.next(&mut input).is_none());
    assert_eq!(decoder.buffered_len(), b"data: cut".len());
}

/// The size of the decoder's state for events that aren't a whole single line, at most.
const STATE: usize = 256;

/// An event in one piece isn't copied, for all line ends, types and kinds.
#[test]
fn an_event_in_one_piece_is_not_copied() {
    let name = "e".repeat(1000);
    for end in ["\n", "\r\n", "\r"] {
        for event in [
            format!("data: x{end}{end}"),
            format!(": ping{end}{end}"),
            format!("noise {name}{end}"),
            format!("event: {name}{end}data: x{end}: c{end}{end}"),
            format!("retry: 5{end}{end}"),
        ] {
            // Nor an event over a limit, its rest included.
            for limits in
                [Limits::default(), limits_of(20), limits(|limits| limits.max_comment_bytes = 16)]
            {
                let mut decoder = SseDecoder::with_limits(limits);
                let before = (heap::allocations(), heap::live());
                let mut input = event.as_bytes();
                while decoder.next(&mut input).is_some() {}
                let held = (heap::allocations() - before.0, (heap::live() - before.1) as usize);
                let is_single = end != "\r" && event.starts_with("data")
                    || end == "\n" && event.starts_with(':');
                let expected = if is_single { (0, 0) } else { (1, STATE) };
                assert!(held <= expected, "{held:?} {event:?}");
                assert_eq!(decoder.buffered_len(), 0, "{event:?}");
            }
        }
    }
}

/// An event exactly at the limit whose last LF comes late: the buffer doesn't grow for it.
#[test]
fn the_last_line_feed_costs_nothing() {
    const LIMIT: usize = 1 << 20;
    let lines = format!("data: {}\r\n\r\n", "x".repeat(LIMIT - 9));
    let mut decoder = SseDecoder::with_limits(limits_of(LIMIT));
    let before = heap::live();
    heap::reset_peak();
    let mut messages = 0;
    for mut input in lines.as_bytes().chunks(7) {
        while let Some(event) = decoder.next(&mut input) {
            messages += usize::from(event.kind() == EventKind::Message);
        }
    }
    assert_eq!(messages, 1);
    assert!((heap::peak() - before) as usize <= LIMIT + 16 + STATE);
}

fn feed(decoder: &mut SseDecoder, bytes: &[u8], size: usize) {
    for mut input in bytes.chunks(size) {
        while decoder.next(&mut input).is_some() {}
    }
}

#[test]
fn large_buffers_are_freed_behind_small_events() {
    let large = format!("data: {}\n\n", "x".repeat(8 << 20));
    // Whether the small events that follow are cut, or whole: in one piece, one by one, comments.
    for (small, size) in [
        (&b"data: small\n\n"[..], 8),
        (b"data: small\n\n", usize::MAX),
        (b"data: small\n\n", 13),
        (b": small\n\n", usize::MAX),
    ] {
        let stream = small.repeat(200);
        let before = heap::live();
        let mut decoder = SseDecoder::new();
        feed(&mut decoder, large.as_bytes(), 1 << 14);
        assert!(heap::live() > before + (8 << 20));
        feed(&mut decoder, &stream, size.min(stream.len()));
        assert!(heap::live() < before + (1 << 10), "{size}");
    }
}

/// Large events, and now and then small ones between them, don't cost a buffer each.
#[test]
fn large_buffers_are_kept_while_they_are_used() {
    let large = format!("data: {}\n\n", "x".repeat(1 << 20));
    let stream = [large.as_bytes(), &b"data: small\n\n".repeat(30)].concat().repeat(10);
    let mut decoder = SseDecoder::new();
    feed(&mut decoder, &stream, 1 << 14);
    let before = heap::allocations();
    feed(&mut decoder, &stream, 1 << 14);
    for _ in 0..100 {
        feed(&mut decoder, large.as_bytes(), 1 << 14);
    }
    assert_eq!(heap::allocations() - before, 0);
}

/// An event is written, moved and read in each call, so it has at most 48 bytes.
#[test]
#[cfg(target_pointer_width = "64")]
fn an_event_is_small() {
    assert!(size_of::<Event<'_>>() <= 48 && size_of::<Option<Event<'_>>>() <= 48);
}

/// The state for a cut event is freed after 64 whole ones, and then later and later.
#[test]
fn the_state_of_a_cut_event_is_freed_after_more_and_more_events() {
    assert!(cfg!(not(target_pointer_width = "64")) || size_of::<SseDecoder>() == 56);
    let whole = &b"data: small\n\n"[..];
    let before = heap::live();
    let mut decoder = SseDecoder::new();
    feed(&mut decoder, whole, usize::MAX);
    assert_eq!(heap::live(), before);
    feed(&mut decoder, whole, 8);
    assert!(heap::live() > before);
    for _ in 0..65 {
        feed(&mut decoder, whole, usize::MAX);
    }
    assert_eq!(heap::live(), before);
    // The last event ID and the reconnection time outlive the state.
    feed(&mut decoder, b"id: 1\nretry: 5\ndata: x\n\n", usize::MAX);
    for _ in 0..130 {
        feed(&mut decoder, whole, 8);
        feed(&mut decoder, whole, usize::MAX);
    }
    for _ in 0..1000 {
        feed(&mut decoder, whole, usize::MAX);
    }
    assert!(heap::live() < before + STATE.cast_signed() + 16);
    assert_eq!((decoder.last_event_id(), decoder.reconnection_time()), ("1", Some(5)));
    // A cut event after each 300 whole ones: after two releases the state stays.
    let mut decoder = SseDecoder::new();
    let mut allocations = heap::allocations();
    for round in 0..20 {
        feed(&mut decoder, whole, 8);
        for _ in 0..300 {
            feed(&mut decoder, whole, usize::MAX);
        }
        if round == 5 {
            allocations = heap::allocations();
        }
    }
    assert_eq!(heap::allocations(), allocations);
    // Nor is it allocated again and again for streams of this kind.
    for round in 0..20 {
        decoder.reset();
        feed(&mut decoder, whole, 8);
        for _ in 0..300 {
            feed(&mut decoder, whole, usize::MAX);
        }
        assert!(round < 5 || heap::allocations() == allocations);
        allocations = heap::allocations();
    }
}

#[test]
fn the_joined_copy_is_held_too() {
    let mut decoder = SseDecoder::new();
    feed(&mut decoder, b"data: a\ndata: bc\nda", 100);
    let bytes = b"data: a\ndata: bc\nda";
    assert_eq!((decoder.buffered(), decoder.buffered_len()), (&bytes[..], bytes.len() + 4));
}

/// A large event in tiny pieces costs a small multiple of the same event whole.
///
/// Quadratic work would cost a million times as much. The bound allows one call for each byte.
/// In an unoptimised build the event has a sixteenth of the bytes, and quadratic work still fails.
#[test]
fn one_byte_pieces_cost_a_small_multiple() {
    let bytes_of_data = if cfg!(debug_assertions) { 4 << 20 } else { 64 << 20 };
    let bytes = format!("data: {}\n\n", "x".repeat(bytes_of_data)).into_bytes();
    let limits = limits(|limits| {
        limits.max_line_bytes = 65 << 20;
        limits.max_event_bytes = 65 << 20;
    });
    let seconds = |size: usize| {
        crate::support::clock::seconds(|| {
            let mut decoder = SseDecoder::with_limits(limits);
            let mut len = 0;
            for mut input in bytes.chunks(size) {
                while let Some(event) = decoder.next(&mut input) {
                    len = event.data().len();
                }
            }
            assert_eq!(len, bytes_of_data);
        })
    };
    // For each byte: the worst cost of a call in a build without optimisation, a microsecond.
    assert!(seconds(16 << 10) < 10.0);
    assert!(seconds(1) < 1e-6 * bytes_of_data as f64);
}

/// The table in the docs of `Limits` has the defaults.
#[test]
fn the_defaults_are_those_of_the_docs() {
    let source = include_str!("../../src/limits.rs");
    let shown = format!("{:?}", Limits::new());
    let mut rows = 0;
    for row in
        source.lines().filter(|line| line.starts_with("/// | [`") && line.contains("](Self::"))
    {
        let name = row.split('`').nth(1).unwrap();
        let number = row.split('|').nth(2).unwrap().trim();
        let (digits, unit) = match number.split_once(' ') {
            Some((digits, "MiB")) => (digits.to_owned(), 1 << 20),
            Some((digits, "KiB")) => (digits.to_owned(), 1 << 10),
            _ => (number.replace(' ', ""), 1),
        };
        let value = digits.parse::<usize>().unwrap() * unit;
        assert!(shown.contains(&format!("{name}: {value}")), "{name}: {value}, but {shown}");
        rows += 1;
    }
    assert_eq!(rows, shown.matches(": ").count(), "each limit has a row");
}
